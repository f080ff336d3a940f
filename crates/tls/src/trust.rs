//! Whom this side believes.
//!
//! A chain is believed that ends at a certificate of the trust store, as rustls checks it, or that begins with one: Java believes
//! a certificate that is itself in the store without a look at anything else in it, its time included. Hosts are compared
//! afterwards, by whoever knows them ([`crate::wanting`]).
//!
//! Where revocation is checked, a list counts in its time, from its `thisUpdate` to its `nextUpdate`, and a certificate about
//! which no list says anything is refused. As in Java clocks may differ by a quarter of an hour.

use std::cell::Cell;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};
use webpki::{
    BorrowedCertRevocationList, CertRevocationList, EndEntityCert, ExtendedKeyUsageValidator,
    KeyPurposeIdIter, KeyUsage, RequiredEkuNotFoundContext, RevocationOptionsBuilder,
};
use x509_parser::extensions::KeyUsage as KeyUsageExtension;
use x509_parser::prelude::{FromDer as _, X509Certificate, X509Version};
use x509_parser::revocation_list::CertificateRevocationList as X509CertificateList;

use crate::Certificate;
use crate::old_version::OldCertificate;
use crate::wanted;

/// So far the clock of whoever made a list may be from ours; Java's `MAX_CLOCK_SKEW`.
const CLOCKS_DIFFER_S: i64 = 15 * 60;

/// A list of revoked certificates, and its time in seconds since 1970.
#[derive(Debug)]
pub(crate) struct RevocationList {
    list: CertRevocationList<'static>,
    begin_s: i64,
    /// Without one it holds for ever.
    end_s: Option<i64>,
}

impl RevocationList {
    fn holds_at(&self, now_s: i64) -> bool {
        self.begin_s <= now_s + CLOCKS_DIFFER_S
            && self.end_s.is_none_or(|end_s| now_s - CLOCKS_DIFFER_S <= end_s)
    }
}

/// `anyExtendedKeyUsage` of RFC 5280.
const ANY_PURPOSE: &[usize] = &[2, 5, 29, 37, 0];

/// What a certificate must be for, if it says what for; as in Java, one that is for everything is for that, too.
struct Purpose(KeyUsage);

impl ExtendedKeyUsageValidator for Purpose {
    fn validate(&self, stated: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let mut present = Vec::new();
        for purpose in stated {
            let purpose = purpose?.to_decoded_oid();
            if purpose == ANY_PURPOSE || self.0.oid_values().eq(purpose.iter().copied()) {
                return Ok(());
            }
            present.push(purpose);
        }
        if present.is_empty() {
            return Ok(());
        }
        let context = RequiredEkuNotFoundContext { required: self.0, present };
        Err(webpki::Error::RequiredEkuNotFoundContext(context))
    }
}

thread_local! {
    /// Whose certificate was refused last on this thread.
    static REFUSED: Cell<Option<String>> = const { Cell::new(None) };
}

/// The reason that has no words of its own here: whoever asked for it has better ones.
#[derive(Debug, thiserror::Error)]
#[error("it is somebody else's than was wanted")]
struct Elsewhere;

/// Of whom the key is for something else, as Java has it whether or not that is critical; webpki does not look.
#[derive(Debug, thiserror::Error)]
#[error("its keyUsage does not allow digital signatures, and a handshake is one")]
struct NotForSignatures;

/// Whether a certificate that says what its key is for allows this.
fn may(der: &CertificateDer<'_>, allows: impl Fn(&KeyUsageExtension) -> bool) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(der) else { return false };
    parsed.key_usage().is_ok_and(|usage| usage.is_none_or(|usage| allows(usage.value)))
}

/// How much is told of whom nobody believes.
const SUBJECT_CHARS_MAX: usize = 300;

/// Whose certificate the last handshake of this thread refused, if it was that.
pub fn take_refused() -> Option<String> {
    REFUSED.take()
}

/// See the module's description.
pub(crate) struct Trust {
    provider: Arc<CryptoProvider>,
    roots: RootCertStore,
    known: Vec<CertificateDer<'static>>,
    /// Those of them that stand for whatever they signed.
    authorities: Vec<CertificateDer<'static>>,
    subjects: Vec<DistinguishedName>,
    lists: Option<Vec<RevocationList>>,
    is_mandatory: bool,
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trust").field("known", &self.known.len()).finish_non_exhaustive()
    }
}

impl Trust {
    /// Believes these; a side that `is_mandatory` for must show a certificate.
    pub(crate) fn new(
        provider: Arc<CryptoProvider>,
        known: Vec<CertificateDer<'static>>,
        lists: Option<Vec<RevocationList>>,
        is_mandatory: bool,
    ) -> Self {
        // Of the lists of one authority the first that holds is asked: the newest knows most.
        let lists = lists.map(|mut lists| {
            lists.sort_by_key(|list| std::cmp::Reverse(list.begin_s));
            lists
        });
        let mut roots = RootCertStore::empty();
        let authorities: Vec<_> = known.iter().filter(|known| may_sign(known)).cloned().collect();
        roots.add_parsable_certificates(authorities.iter().cloned());
        Trust { provider, subjects: roots.subjects(), roots, known, authorities, lists, is_mandatory }
    }

    fn check(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
    ) -> Result<(), Error> {
        // webpki looks neither at names nor at hosts here: a certificate that it takes may still be one that no host can be
        // compared with, and nobody can be told apart by.
        let Some(certificate) = Certificate::parse(own) else {
            return Err(CertificateError::BadEncoding.into());
        };
        let result = self.check_chain(own, others, now, usage).and_then(|()| {
            let elsewhere = || CertificateError::Other(rustls::OtherError(Arc::new(Elsewhere))).into();
            wanted::is_wanted(&certificate).then_some(()).ok_or_else(elsewhere)
        });
        if result.is_err() {
            REFUSED.set(Some(certificate.subject.chars().take(SUBJECT_CHARS_MAX).collect()));
        }
        result
    }

    fn check_chain(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
    ) -> Result<(), Error> {
        let is_known = self.known.iter().any(|known| known == own);
        if let Some(old) = OldCertificate::parse(own) {
            return match &self.lists {
                _ if is_known => Ok(()),
                Some(_) => Err(CertificateError::UnknownRevocationStatus.into()),
                None => old.check(&self.authorities, &self.provider, now),
            };
        }
        let parsed = EndEntityCert::try_from(own).map_err(in_words)?;
        if is_known {
            return Ok(());
        }
        if !may(own, KeyUsageExtension::digital_signature) {
            return Err(CertificateError::Other(rustls::OtherError(Arc::new(NotForSignatures))).into());
        }
        let now_s = now.as_secs() as i64;
        let lists = self.lists.as_ref().map(|lists| {
            let holding = lists.iter().filter(|list| list.holds_at(now_s));
            holding.map(|holding| &holding.list).collect::<Vec<_>>()
        });
        let revocation = lists.as_ref().map(|lists| RevocationOptionsBuilder::new(lists)).transpose();
        // There is none in its time.
        let revocation = revocation.map_err(|_| CertificateError::UnknownRevocationStatus)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        parsed
            .verify_for_usage(
                algorithms,
                &self.roots.roots,
                others,
                now,
                Purpose(usage),
                revocation.map(RevocationOptionsBuilder::build),
                Some(&|path| {
                    let mut signers = path.intermediate_certificates();
                    let is_fine = signers.all(|signer| may(&signer.der(), KeyUsageExtension::key_cert_sign));
                    is_fine.then_some(()).ok_or(webpki::Error::EndEntityUsedAsCa)
                }),
            )
            .map(drop)
            .map_err(in_words)
    }

    fn verify_tls12(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        said: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        match OldCertificate::parse(cert) {
            Some(old) => old.verify_tls12_signature(message, said, algorithms),
            None => verify_tls12_signature(message, cert, said, algorithms),
        }
    }

    fn verify_tls13(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        said: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        match OldCertificate::parse(cert) {
            Some(old) => old.verify_tls13_signature(message, said, algorithms),
            None => verify_tls13_signature(message, cert, said, algorithms),
        }
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether a certificate of the trust store stands for those that it signed, and not for itself alone. Java asks the same
/// (`jdk.security.allowNonCaAnchor`): who is known by its own certificate must not make others.
fn may_sign(der: &CertificateDer<'_>) -> bool {
    X509Certificate::from_der(der)
        .is_ok_and(|(_, certificate)| certificate.version() != X509Version::V3 || certificate.is_ca())
}

/// Why nobody can be believed for this certificate of a trust store, if so.
pub(crate) fn unusable(der: &CertificateDer<'_>) -> Option<String> {
    match X509Certificate::from_der(der) {
        Err(error) => Some(error.to_string()),
        Ok((_, parsed)) if parsed.version() == X509Version::V3 && parsed.is_ca() => {
            webpki::anchor_from_trusted_cert(der).err().map(|error| error.to_string())
        }
        Ok(_) => None,
    }
}

/// The list in `der`; if it cannot be used, what is wrong with it, and what to do.
pub(crate) fn revocation_list(
    der: &CertificateRevocationListDer<'_>,
) -> Result<RevocationList, (String, &'static str)> {
    let (_, parsed) = X509CertificateList::from_der(der)
        .map_err(|error| (format!("it is no revocation list: {error}"), LIST_HINT))?;
    let list = BorrowedCertRevocationList::from_der(der).and_then(|list| list.to_owned());
    let list = list.map_err(|error| match lacking(&parsed) {
        Some(what) => {
            (format!("it is a revocation list {what}, and no such list can be used"), OLD_LIST_HINT)
        }
        None => (format!("it is no revocation list that can be used: {error}"), LIST_HINT),
    })?;
    let end_s = parsed.next_update().map(|end| end.timestamp());
    Ok(RevocationList { list: list.into(), begin_s: parsed.last_update().timestamp(), end_s })
}

/// What RFC 5280 asks of a list and webpki takes none without, where Java does.
fn lacking(list: &X509CertificateList<'_>) -> Option<&'static str> {
    if list.version() != Some(X509Version::V2) {
        return Some("of version 1");
    }
    if list.next_update().is_none() {
        return Some("without an end (nextUpdate)");
    }
    list.extensions().is_empty().then_some("without extensions")
}

pub(crate) const LIST_HINT: &str = "a file holds lists in PEM, or one in DER";
const OLD_LIST_HINT: &str = "`openssl ca -gencrl` writes one that can be used where its configuration names a `crlnumber` file, or with \
                             `-crlexts`";

/// The reasons that have an alert of their own; the others as they are.
fn in_words(error: webpki::Error) -> Error {
    use webpki::Error as Why;
    let reason = match error {
        Why::BadDer | Why::BadDerTime | Why::TrailingData(_) => CertificateError::BadEncoding,
        Why::CertExpired { time, not_after } => CertificateError::ExpiredContext { time, not_after },
        Why::CertNotValidYet { time, not_before } => {
            CertificateError::NotValidYetContext { time, not_before }
        }
        Why::UnknownIssuer => CertificateError::UnknownIssuer,
        Why::CertRevoked => CertificateError::Revoked,
        Why::UnknownRevocationStatus => CertificateError::UnknownRevocationStatus,
        Why::InvalidSignatureForPublicKey => CertificateError::BadSignature,
        other => return CertificateError::Other(rustls::OtherError(Arc::new(other))).into(),
    };
    reason.into()
}

impl ClientCertVerifier for Trust {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.subjects
    }

    fn client_auth_mandatory(&self) -> bool {
        self.is_mandatory
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity, intermediates, now, KeyUsage::client_auth())?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_tls12(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_tls13(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity, intermediates, now, KeyUsage::server_auth())?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_tls12(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_tls13(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}
