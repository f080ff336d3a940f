//! EC keys as the JDK writes them.
//!
//! Such a key in PKCS#8 may hold its public half or leave it out (RFC 5915). Java leaves it out, and ring asks for it; the
//! certificate that belongs to the key has it.
//!
//! ```text
//! SEQUENCE { version  SEQUENCE { ecPublicKey  curve }  OCTETS { SEQUENCE { 1  OCTETS private  [0] curve?  [1] public? } }  … }
//! ```

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::der;
use crate::old_version::subject_and_key;

const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const PUBLIC_HALF: u8 = 0xa1;

/// The key with the public half that `own` holds; `None` if it is none of EC, or has it.
pub(crate) fn with_public_half(
    key: &PrivateKeyDer<'_>,
    own: &CertificateDer<'_>,
) -> Option<PrivateKeyDer<'static>> {
    let PrivateKeyDer::Pkcs8(key) = key else { return None };
    let (info, _) = der::expect(key.secret_pkcs8_der(), der::SEQUENCE)?;
    let (_, _version, rest) = der::value(info)?;
    let (algorithm, rest) = der::expect(rest, der::SEQUENCE)?;
    let (kind, _) = der::expect(algorithm, der::OID)?;
    let (private, behind) = der::expect(rest, der::OCTETS)?;
    let (private, _) = der::expect(private, der::SEQUENCE)?;
    let has_it = der::values(private)?.iter().any(|(tag, _)| *tag == PUBLIC_HALF);
    if kind != EC_PUBLIC_KEY || has_it {
        return None;
    }
    let (_, public) = subject_and_key(own)?;
    let (_algorithm, public) =
        der::expect(public, der::SEQUENCE).and_then(|(key, _)| der::expect(key, der::SEQUENCE))?;
    let whole = [private, &der::wrapped(PUBLIC_HALF, public)].concat();
    let octets = der::wrapped(der::OCTETS, &der::wrapped(der::SEQUENCE, &whole));
    let head = &info[..info.len() - rest.len()];
    let whole = der::wrapped(der::SEQUENCE, &[head, &octets, behind].concat());
    Some(PrivatePkcs8KeyDer::from(whole).into())
}
