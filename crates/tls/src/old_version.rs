//! Certificates of versions 1 and 2, which have no extensions: what `openssl x509 -req` makes of a request when no file of
//! extensions is named, as many instructions do, ZooKeeper's own script `gencerts.sh` among them.
//!
//! webpki knows them only as authorities. Java believes one for a server or a client too, so what there is to check is checked
//! here: its time, and that a certificate of the trust store has signed it. It names no host but by its common name, may be
//! used for anything, and signs no other certificate: one that stands between it and the trust store is not looked for, and where
//! lists of revocation are asked for it is refused.
//!
//! ```text
//! SEQUENCE { tbs SEQUENCE { [0] version?  serial  algorithm  issuer  validity  subject  key  … }  algorithm  BIT STRING }
//! ```

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, PeerMisbehaved};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::der;

const BITS: u8 = 0x03;
const INTEGER: u8 = 0x02;
const EXPLICIT_VERSION: u8 = 0xa0;
/// Version 3, which is written as 2.
const VERSION_3: &[u8] = &[INTEGER, 1, 2];

/// A certificate of version 1 or 2. Names, keys and algorithms are their encodings.
pub(crate) struct OldCertificate<'a> {
    signed: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
    issuer: &'a [u8],
    not_before_s: i64,
    not_after_s: i64,
    key: &'a [u8],
}

impl<'a> OldCertificate<'a> {
    /// Reads it; `None` if it is of version 3, or no certificate.
    pub(crate) fn parse(der: &'a CertificateDer<'_>) -> Option<Self> {
        let (whole, []) = der::expect(der, der::SEQUENCE)? else { return None };
        let (tbs, rest) = der::expect(whole, der::SEQUENCE)?;
        let signed = &whole[..whole.len() - rest.len()];
        let (algorithm, rest) = der::expect(rest, der::SEQUENCE)?;
        let (signature, []) = der::expect(rest, BITS)? else { return None };

        let fields = Fields::of(tbs)?;
        if fields.is_version_3 || fields.algorithm != algorithm {
            return None;
        }
        let (_, parsed) = X509Certificate::from_der(der).ok()?;
        let validity = parsed.validity();
        Some(OldCertificate {
            signed,
            algorithm,
            signature: whole_bytes(signature)?,
            issuer: fields.issuer,
            not_before_s: validity.not_before.timestamp(),
            not_after_s: validity.not_after.timestamp(),
            key: fields.key,
        })
    }

    /// Its public key, as a certificate holds it.
    pub(crate) fn key(&self) -> SubjectPublicKeyInfoDer<'a> {
        SubjectPublicKeyInfoDer::from(self.key)
    }

    /// Checks its time, and that one of `authorities` has signed it.
    pub(crate) fn check(
        &self,
        authorities: &[CertificateDer<'_>],
        provider: &CryptoProvider,
        now: UnixTime,
    ) -> Result<(), Error> {
        let now_s = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if now_s > self.not_after_s {
            return Err(CertificateError::Expired.into());
        }
        if now_s < self.not_before_s {
            return Err(CertificateError::NotValidYet.into());
        }
        let algorithms = provider.signature_verification_algorithms.all;
        let mut problem = CertificateError::UnknownIssuer;
        for authority in authorities {
            let Some((subject, key)) = subject_and_key(authority) else { continue };
            if subject != self.issuer {
                continue;
            }
            problem = CertificateError::BadSignature;
            let is_ours = |algorithm: &&&dyn SignatureVerificationAlgorithm| {
                algorithm.signature_alg_id().as_ref() == self.algorithm
            };
            if algorithms
                .iter()
                .filter(is_ours)
                .any(|algorithm| is_signed(*algorithm, key, self.signed, self.signature))
            {
                return Ok(());
            }
        }
        Err(problem.into())
    }

    /// Whether what was said in a handshake of TLS 1.2 was signed with its key.
    pub(crate) fn verify_tls12_signature(
        &self,
        message: &[u8],
        said: &DigitallySignedStruct,
        supported: &WebPkiSupportedAlgorithms,
    ) -> Result<HandshakeSignatureValid, Error> {
        let (_, algorithms) = supported
            .mapping
            .iter()
            .find(|(scheme, _)| *scheme == said.scheme)
            .ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
        if algorithms.iter().any(|algorithm| is_signed(*algorithm, self.key, message, said.signature())) {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(CertificateError::BadSignature.into())
        }
    }

    /// The same in one of TLS 1.3, which takes fewer schemes.
    pub(crate) fn verify_tls13_signature(
        &self,
        message: &[u8],
        said: &DigitallySignedStruct,
        supported: &WebPkiSupportedAlgorithms,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature_with_raw_key(message, &self.key(), said, supported)
    }
}

/// What is signed in a certificate of any version, as far as it is looked at.
struct Fields<'a> {
    is_version_3: bool,
    algorithm: &'a [u8],
    issuer: &'a [u8],
    subject: &'a [u8],
    /// With its header.
    key: &'a [u8],
}

impl<'a> Fields<'a> {
    fn of(tbs: &'a [u8]) -> Option<Self> {
        let (tag, version, behind) = der::value(tbs)?;
        let fields = if tag == EXPLICIT_VERSION { behind } else { tbs };
        let (_serial, rest) = der::expect(fields, INTEGER)?;
        let (algorithm, rest) = der::expect(rest, der::SEQUENCE)?;
        let (issuer, rest) = der::expect(rest, der::SEQUENCE)?;
        let (_validity, rest) = der::expect(rest, der::SEQUENCE)?;
        let (subject, rest) = der::expect(rest, der::SEQUENCE)?;
        let (_key, behind) = der::expect(rest, der::SEQUENCE)?;
        let key = &rest[..rest.len() - behind.len()];
        let is_version_3 = tag == EXPLICIT_VERSION && version == VERSION_3;
        Some(Fields { is_version_3, algorithm, issuer, subject, key })
    }
}

/// Whose a certificate of any version is, and its key.
pub(crate) fn subject_and_key<'a>(der: &'a CertificateDer<'_>) -> Option<(&'a [u8], &'a [u8])> {
    let (whole, _) = der::expect(der, der::SEQUENCE)?;
    let (tbs, _) = der::expect(whole, der::SEQUENCE)?;
    Fields::of(tbs).map(|fields| (fields.subject, fields.key))
}

/// Whether `signature` is that of `message`, by the key in `key` if the algorithm is for keys of its kind.
fn is_signed(
    algorithm: &dyn SignatureVerificationAlgorithm,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> bool {
    let bits = || {
        let (key, _) = der::expect(key, der::SEQUENCE)?;
        let (kind, rest) = der::expect(key, der::SEQUENCE)?;
        let (bits, _) = der::expect(rest, BITS)?;
        (algorithm.public_key_alg_id().as_ref() == kind).then(|| whole_bytes(bits)).flatten()
    };
    bits().is_some_and(|key| algorithm.verify_signature(key, message, signature).is_ok())
}

/// The bytes of a string of bits that fills them.
fn whole_bytes(bits: &[u8]) -> Option<&[u8]> {
    bits.split_first().and_then(|(&unused, bytes)| (unused == 0).then_some(bytes))
}
