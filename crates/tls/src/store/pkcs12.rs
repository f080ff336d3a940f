//! PKCS#12, as keytool and openssl write it.
//!
//! keytool marks the certificates that are trusted, and Java believes no other. openssl marks none unless it is told to
//! (`-jdktrust`): a store in which nothing is marked, and no key is, can only be one of trust. It is taken for one, and told.

use p12_keystore::{CertificateBag, Pkcs12Archive};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use super::{KeyEntry, Store, StoreError, Wanted};
use crate::der::{self, OCTETS, OID, SEQUENCE};

/// Names that are told of a store without marks.
const NAMES_MAX: usize = 5;

pub(super) fn parse(bytes: &[u8], password: &str, wanted: Wanted) -> Result<Store, StoreError> {
    let archive = Pkcs12Archive::from_pkcs12(bytes, password).map_err(|error| {
        if matches!(error, p12_keystore::error::Error::MacError(_)) {
            StoreError::wrong_password("the password is wrong, or the file is damaged")
        } else {
            StoreError::unusable(format!("it cannot be read as PKCS#12: {error}"))
        }
    })?;
    let (trusted, has_doubt) = trusted(&archive);
    let doubts = if has_doubt && wanted == Wanted::Trust { vec![unmarked(&trusted)] } else { Vec::new() };
    let trusted = trusted.into_iter().map(certificate).collect();
    let mut keys = Vec::new();
    for bag in &archive.keys {
        let id = bag.local_key_id.as_ref().map(AsRef::as_ref);
        let own = archive.certs.iter().find(|cert| cert.local_key_id.as_deref() == id && id.is_some());
        let own = own.or_else(|| archive.certs.first().filter(|_| archive.keys.len() == 1));
        let Some(own) = own else { continue };
        let key = PrivatePkcs8KeyDer::from(bag.key.as_der().to_vec()).into();
        keys.push(KeyEntry { key, chain: chain(own, &archive.certs) });
    }
    Ok(Store { keys, trusted, doubts })
}

/// Those that are trusted, and whether that is a guess.
fn trusted(archive: &Pkcs12Archive) -> (Vec<&CertificateBag>, bool) {
    let Pkcs12Archive { keys, certs, .. } = archive;
    let marked: Vec<_> = certs.iter().filter(|bag| bag.trusted).collect();
    let is_guess = marked.is_empty() && keys.is_empty() && !certs.is_empty();
    (if is_guess { certs.iter().collect() } else { marked }, is_guess)
}

fn unmarked(bags: &[&CertificateBag]) -> String {
    let names: Vec<_> = bags.iter().take(NAMES_MAX).map(|bag| bag.cert.subject()).collect();
    let more = if bags.len() > NAMES_MAX { ", …" } else { "" };
    format!(
        "no certificate in it is marked as trusted, so all of them are ({}{more}), where Java believes none; hint: `keytool -importcert` \
         and `openssl pkcs12 -export -jdktrust anyExtendedKeyUsage` mark them",
        names.join("; ")
    )
}

/// The key in `EncryptedPrivateKeyInfo`, encrypted as stores of this kind have it, which is how Java reads encrypted keys in PEM.
/// `None` if it is encrypted in another way, or with another password.
pub(super) fn decrypted(info: &[u8], password: &str) -> Option<Vec<u8>> {
    let archive = Pkcs12Archive::from_pkcs12(&store_of(info), password).ok()?;
    archive.keys.first().map(|bag| bag.key.as_der().to_vec())
}

/// A store of one key that is encrypted, without a seal.
fn store_of(info: &[u8]) -> Vec<u8> {
    const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
    const SHROUDED_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 10, 1, 2];
    const VERSION: &[u8] = &[2, 1, 3];
    const EXPLICIT: u8 = 0xa0;
    let named = |name: &[u8], value: &[u8]| {
        der::wrapped(SEQUENCE, &[der::wrapped(OID, name), der::wrapped(EXPLICIT, value)].concat())
    };
    let data = |content: &[u8]| named(DATA, &der::wrapped(OCTETS, &der::wrapped(SEQUENCE, content)));
    let whole = data(&data(&named(SHROUDED_KEY, info)));
    der::wrapped(SEQUENCE, &[VERSION, &whole].concat())
}

fn certificate(bag: &CertificateBag) -> CertificateDer<'static> {
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
    chain.into_iter().map(certificate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{PLAIN_PASSWORD, Workshop};

    #[test]
    fn where_one_is_marked_no_other_is_trusted() {
        let shop = Workshop::new();
        let archive = |name: &str| {
            Pkcs12Archive::from_pkcs12(&std::fs::read(shop.path(name)).unwrap(), PLAIN_PASSWORD).unwrap()
        };
        for name in ["marked", "unmarked"] {
            shop.authority(name);
        }
        shop.run(&format!("keytool -noprompt -importcert -storetype PKCS12 -storepass {PLAIN_PASSWORD} -file marked.crt -alias m -keystore m.p12"));
        shop.run(&format!(
            "openssl pkcs12 -export -nokeys -in unmarked.crt -out u.p12 -passout pass:{PLAIN_PASSWORD}"
        ));
        let (marked, unmarked) = (archive("m.p12"), archive("u.p12"));
        let names = |archive: &Pkcs12Archive| {
            let (bags, is_guess) = trusted(archive);
            (bags.iter().map(|bag| bag.cert.subject().to_owned()).collect::<Vec<_>>(), is_guess)
        };
        assert_eq!(names(&marked), (vec!["CN=marked".to_owned()], false));
        assert_eq!(names(&unmarked), (vec!["CN=unmarked".to_owned()], true));
        let both =
            Pkcs12Archive { certs: [unmarked.certs, marked.certs].concat(), ..Pkcs12Archive::default() };
        assert_eq!(names(&both), (vec!["CN=marked".to_owned()], false));
        assert_eq!(names(&Pkcs12Archive::default()), (vec![], false));
    }
}
