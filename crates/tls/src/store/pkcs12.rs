//! PKCS#12, as keytool and openssl write it.
//!
//! keytool marks the certificates that are trusted; openssl cannot, so a store without keys is one of trust altogether.

use p12_keystore::{CertificateBag, Pkcs12Archive};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use super::{KeyEntry, Store, StoreError};

pub(super) fn parse(bytes: &[u8], password: &str) -> Result<Store, StoreError> {
    let archive = Pkcs12Archive::from_pkcs12(bytes, password).map_err(|error| {
        if matches!(error, p12_keystore::error::Error::MacError(_)) {
            StoreError::wrong_password("the password is wrong, or the file is damaged")
        } else {
            StoreError::unusable(format!("it cannot be read as PKCS#12: {error}"))
        }
    })?;
    let is_trusted = |bag: &&CertificateBag| bag.trusted || archive.keys.is_empty();
    let trusted = archive.certs.iter().filter(is_trusted).map(der).collect();
    let mut keys = Vec::new();
    for bag in &archive.keys {
        let id = bag.local_key_id.as_ref().map(AsRef::as_ref);
        let own = archive.certs.iter().find(|cert| cert.local_key_id.as_deref() == id && id.is_some());
        let own = own.or_else(|| archive.certs.first().filter(|_| archive.keys.len() == 1));
        let Some(own) = own else { continue };
        let key = PrivatePkcs8KeyDer::from(bag.key.as_der().to_vec()).into();
        keys.push(KeyEntry { key, chain: chain(own, &archive.certs) });
    }
    Ok(Store { keys, trusted })
}

fn der(bag: &CertificateBag) -> CertificateDer<'static> {
    bag.cert.as_der().to_vec().into()
}

/// A certificate and those that it was issued by, as far as they are there.
fn chain(own: &CertificateBag, all: &[CertificateBag]) -> Vec<CertificateDer<'static>> {
    let mut chain = vec![own];
    while let Some(last) = chain.last() {
        let issuer = all.iter().find(|bag| bag.cert.subject() == last.cert.issuer() && !bag.trusted);
        match issuer {
            Some(issuer) if !chain.iter().any(|known| known.cert == issuer.cert) => chain.push(issuer),
            _ => break,
        }
    }
    chain.into_iter().map(der).collect()
}
