//! Who a connection says it is, and whether that is believed: the `auth` packet.
//!
//! A connection starts as `ip:<address>` and adds identities; nothing takes them away again. They
//! belong to the connection, so clients repeat their packets after a reconnect. Follows Java's
//! `DigestAuthenticationProvider`, `IPAuthenticationProvider`, `EnsembleAuthenticationProvider` and
//! `X509AuthenticationProvider`, whose packet says nothing: who a certificate names is so since the handshake.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha1::Digest as _;
use zabd_jute::Id;
use zabd_jute::client::AuthPacket;

use crate::identity_order;
use crate::watches::Identities;

/// `zookeeper.DigestAuthenticationProvider.digestAlg`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DigestAlgorithm {
    /// Java's default.
    #[default]
    Sha1,
    /// `MD5`.
    Md5,
    /// `SHA-224`.
    Sha224,
    /// `SHA-256`.
    Sha256,
    /// `SHA-384`.
    Sha384,
    /// `SHA-512`.
    Sha512,
    /// `SHA-512/224`.
    Sha512_224,
    /// `SHA-512/256`.
    Sha512_256,
    /// `SHA3-224`.
    Sha3_224,
    /// `SHA3-256`.
    Sha3_256,
    /// `SHA3-384`.
    Sha3_384,
    /// `SHA3-512`.
    Sha3_512,
}

impl DigestAlgorithm {
    fn hash(self, text: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => sha1::Sha1::digest(text).to_vec(),
            Self::Md5 => md5::Md5::digest(text).to_vec(),
            Self::Sha224 => sha2::Sha224::digest(text).to_vec(),
            Self::Sha256 => sha2::Sha256::digest(text).to_vec(),
            Self::Sha384 => sha2::Sha384::digest(text).to_vec(),
            Self::Sha512 => sha2::Sha512::digest(text).to_vec(),
            Self::Sha512_224 => sha2::Sha512_224::digest(text).to_vec(),
            Self::Sha512_256 => sha2::Sha512_256::digest(text).to_vec(),
            Self::Sha3_224 => sha3::Sha3_224::digest(text).to_vec(),
            Self::Sha3_256 => sha3::Sha3_256::digest(text).to_vec(),
            Self::Sha3_384 => sha3::Sha3_384::digest(text).to_vec(),
            Self::Sha3_512 => sha3::Sha3_512::digest(text).to_vec(),
        }
    }
}

/// What the operator configured about identities.
#[derive(Clone, Debug)]
pub struct AuthOptions {
    /// Whether the scheme `digest` exists.
    pub digest: bool,
    /// How passwords become identities.
    pub digest_algorithm: DigestAlgorithm,
    /// `user:hash` of the digest identity that may do everything.
    pub super_digest: Option<String>,
    /// The names that a client of scheme `ensemble` may give: none without the scheme, any if there are none. As in Java a client
    /// that gives no name is not compared, so an empty one lets nobody in.
    pub ensemble_names: Option<Vec<String>>,
}

impl Default for AuthOptions {
    fn default() -> Self {
        Self {
            digest: true,
            digest_algorithm: DigestAlgorithm::Sha1,
            super_digest: None,
            ensemble_names: None,
        }
    }
}

/// The packet is not believed: the reply says so and the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthRefused {
    /// There is no such scheme, or it cannot be used by an auth packet.
    #[error("the authentication scheme is unknown or switched off")]
    UnknownScheme,
    /// The packet has no credentials.
    #[error("the credentials are missing")]
    NoCredentials,
    /// The client looks for another ensemble: closed without a reply, as in Java.
    #[error("the client expects another ensemble")]
    WrongEnsemble,
}

/// What a connection from `address` is before it says anything.
pub fn initial_identities(address: &str) -> Identities {
    [Id::new("ip", address.to_owned())].into()
}

/// The identities of a certificate's subject.
pub fn certificate_identities(subject: &str, super_user: Option<&str>) -> Vec<Id<'static>> {
    let is_super = super_user == Some(subject);
    let above = is_super.then(|| Id::new("super", subject.to_owned()));
    above.into_iter().chain([Id::new("x509", subject.to_owned())]).collect()
}

/// The identities behind an auth packet, in Java's order.
pub fn authenticate(
    packet: &AuthPacket<'_>,
    before: &Identities,
    address: &str,
    options: &AuthOptions,
) -> Result<Identities, AuthRefused> {
    let added = match packet.scheme.as_deref() {
        Some("digest") if options.digest => {
            digest_identities(packet.auth.ok_or(AuthRefused::NoCredentials)?, options)
        }
        Some("ip") => vec![Id::new("ip", address.to_owned())],
        Some("x509") if before.iter().any(|id| id.scheme() == "x509") => Vec::new(),
        Some("x509") => return Err(AuthRefused::NoCredentials),
        Some("ensemble") if options.ensemble_names.is_some() => {
            let name = zabd_jute::lenient(packet.auth.unwrap_or_default());
            let names = options.ensemble_names.as_deref().unwrap_or_default();
            let is_compared = !names.is_empty() && !name.is_empty();
            if is_compared && !names.iter().any(|known| *known == name) {
                return Err(AuthRefused::WrongEnsemble);
            }
            Vec::new()
        }
        _ => return Err(AuthRefused::UnknownScheme),
    };
    Ok(with_added(before, added))
}

/// Who somebody is that was these before.
pub fn with_added(before: &Identities, mut added: Vec<Id<'static>>) -> Identities {
    added.retain(|id| !before.contains(id));
    if added.is_empty() {
        return before.clone();
    }
    let mut all = before.to_vec();
    for id in added {
        identity_order::add(&mut all, id);
    }
    all.into()
}

fn digest_identities(auth: &[u8], options: &AuthOptions) -> Vec<Id<'static>> {
    let text = zabd_jute::lenient(auth);
    let user = text.split(':').next().unwrap_or("");
    let id = format!("{user}:{}", BASE64.encode(options.digest_algorithm.hash(text.as_bytes())));
    let mut identities = Vec::new();
    if options.super_digest.as_deref() == Some(&id) {
        identities.push(Id::new("super", ""));
    }
    identities.push(Id::new("digest", id));
    identities
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet<'a>(scheme: &'a str, auth: &'a [u8]) -> AuthPacket<'a> {
        AuthPacket { kind: 0, scheme: Some(scheme.into()), auth: Some(auth) }
    }

    fn names(identities: &Identities) -> Vec<String> {
        identities.iter().map(|id| format!("{}:{}", id.scheme(), id.id())).collect()
    }

    #[test]
    fn digest_identity_is_the_user_and_the_hash_of_the_whole_text() {
        let before = initial_identities("127.0.0.1");
        let after = authenticate(&packet("digest", b"alice:secret"), &before, "", &AuthOptions::default());
        assert_eq!(names(&after.unwrap()), ["digest:alice:aYXlLOpEooaV1cRAvUL1fp9Qt7E=", "ip:127.0.0.1"]);
    }

    #[test]
    fn the_super_user_is_super_and_somebody() {
        let options = AuthOptions {
            super_digest: Some("super:D/InIHSb7yEEbrWz8b9l71RjZJU=".into()),
            ..AuthOptions::default()
        };
        let before = initial_identities("::1");
        let after = authenticate(&packet("digest", b"super:test"), &before, "::1", &options).unwrap();
        assert_eq!(names(&after), ["super:", "ip:::1", "digest:super:D/InIHSb7yEEbrWz8b9l71RjZJU="]);
    }

    /// Java's decoder makes one character of it, the standard library three.
    #[test]
    fn an_encoded_surrogate_is_one_character_that_cannot_be_read() {
        let before = initial_identities("127.0.0.1");
        let after =
            authenticate(&packet("digest", b"u:\xed\xa0\x80"), &before, "", &AuthOptions::default()).unwrap();
        assert!(names(&after).contains(&"digest:u:NP+S9gihaPOxs49p+sWDO0/R0ac=".to_owned()), "{after:?}");
    }

    #[test]
    fn saying_it_twice_changes_nothing() {
        let before = initial_identities("127.0.0.1");
        let options = AuthOptions::default();
        let once = authenticate(&packet("digest", b"a:b"), &before, "", &options).unwrap();
        let twice = authenticate(&packet("digest", b"a:b"), &once, "", &options).unwrap();
        assert_eq!(once, twice);
        assert_eq!(authenticate(&packet("ip", b""), &once, "127.0.0.1", &options), Ok(once));
    }

    #[test]
    fn a_certificate_is_believed_if_one_was_shown() {
        let options = AuthOptions::default();
        let plain = initial_identities("127.0.0.1");
        let refused = authenticate(&packet("x509", b"CN=alice"), &plain, "", &options);
        assert_eq!(refused, Err(AuthRefused::NoCredentials));
        let shown = with_added(&plain, certificate_identities("CN=alice", Some("CN=admin")));
        assert_eq!(authenticate(&packet("x509", b"CN=admin"), &shown, "", &options), Ok(shown));
    }

    #[test]
    fn what_is_not_believed() {
        let before = initial_identities("127.0.0.1");
        let refusing = AuthOptions {
            digest: false,
            ensemble_names: Some(vec!["left".into(), "right".into()]),
            ..AuthOptions::default()
        };
        let no_data = AuthPacket { auth: None, ..packet("digest", b"") };
        for (packet, options, error) in [
            (packet("digest", b"a:b"), &refusing, AuthRefused::UnknownScheme),
            (packet("kerberos", b""), &AuthOptions::default(), AuthRefused::UnknownScheme),
            (packet("sasl", b""), &AuthOptions::default(), AuthRefused::UnknownScheme),
            (packet("ensemble", b"up"), &refusing, AuthRefused::WrongEnsemble),
            (no_data, &AuthOptions::default(), AuthRefused::NoCredentials),
        ] {
            assert_eq!(authenticate(&packet, &before, "", options), Err(error));
        }
        assert!(
            authenticate(&packet("ensemble", b""), &before, "", &refusing).is_ok(),
            "no name is no other name"
        );
        assert!(authenticate(&packet("ensemble", b"right"), &before, "", &refusing).is_ok());
    }
}
