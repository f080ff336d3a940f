//! JKS, Java's store before version 9.
//!
//! ```text
//! int magic | int version | int entries | { int tag | utf alias | long time | entry } … | 20 bytes SHA-1
//! entry of tag 1: bytes EncryptedPrivateKeyInfo | int certificates | { utf type | bytes certificate } …
//! entry of tag 2: utf type | bytes certificate
//! ```
//!
//! `bytes` are an int and as many bytes, `utf` a short and as many; version 1 has no types. The SHA-1 is over the password in
//! UTF-16, a phrase, and all before it. A key is protected by the same hash: a stream that begins with 20 bytes of salt.

use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use sha1::{Digest as _, Sha1};

use super::{KeyEntry, Store, StoreError, Wanted};
use crate::der;

pub(super) const MAGIC: [u8; 4] = [0xfe, 0xed, 0xfe, 0xed];
pub(super) const JCEKS_MAGIC: [u8; 4] = [0xce; 4];

const PHRASE: &[u8] = b"Mighty Aphrodite";
const HASH_BYTES: usize = 20;
const KEY_TAG: u32 = 1;
const CERTIFICATE_TAG: u32 = 2;
/// 1.3.6.1.4.1.42.2.17.1.1, the protection of keys by the stream.
const KEY_PROTECTOR: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x2a, 0x02, 0x11, 0x01, 0x01];

pub(super) fn parse(bytes: &[u8], password: &str, wanted: Wanted) -> Result<Store, StoreError> {
    let password: Vec<u8> = password.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let (signed, hash) = bytes
        .split_at_checked(bytes.len().wrapping_sub(HASH_BYTES))
        .ok_or_else(|| StoreError::unusable(TRUNCATED))?;
    let found = Sha1::new().chain_update(&password).chain_update(PHRASE).chain_update(signed).finalize();
    if found[..] != *hash {
        return Err(StoreError::wrong_password("the password is wrong, or the file is damaged"));
    }
    entries(signed, &password, wanted).ok_or_else(|| StoreError::unusable(TRUNCATED))?
}

const TRUNCATED: &str = "it is cut off";

/// `None` if the bytes end too early.
fn entries(bytes: &[u8], password: &[u8], wanted: Wanted) -> Option<Result<Store, StoreError>> {
    let mut fields = Fields(bytes.get(MAGIC.len()..)?);
    let version = fields.int()?;
    if !matches!(version, 1 | 2) {
        return Some(Err(StoreError::unusable(format!("it is a JKS store of version {version}"))));
    }
    let mut store = Store::default();
    for _ in 0..fields.int()? {
        let tag = fields.int()?;
        let alias = String::from_utf8_lossy(fields.utf()?).into_owned();
        fields.take(size_of::<u64>())?;
        match tag {
            KEY_TAG => {
                let protected = fields.bytes()?;
                let mut chain = Vec::new();
                for _ in 0..fields.int()? {
                    chain.push(fields.certificate(version)?);
                }
                // Whoever looks for whom to trust opens no key, and one may have another password.
                if wanted == Wanted::Trust {
                    continue;
                }
                let Some(key) = unprotect(protected, password) else {
                    let problem = format!("the key `{alias}` does not have the store's password");
                    return Some(Err(StoreError::unusable(problem)));
                };
                store.keys.push(KeyEntry { key: PrivatePkcs8KeyDer::from(key).into(), chain });
            }
            CERTIFICATE_TAG => store.trusted.push(fields.certificate(version)?),
            _ => {
                let problem = format!("the entry `{alias}` is of an unknown kind");
                return Some(Err(StoreError::unusable(problem)));
            }
        }
    }
    Some(Ok(store))
}

/// The PKCS#8 key, if the password is right.
fn unprotect(protected: &[u8], password: &[u8]) -> Option<Vec<u8>> {
    let (info, _) = der::expect(protected, der::SEQUENCE)?;
    let (algorithm, rest) = der::expect(info, der::SEQUENCE)?;
    let (identifier, _) = der::expect(algorithm, der::OID)?;
    let (stream, _) = der::expect(rest, der::OCTETS)?;
    if identifier != KEY_PROTECTOR {
        return None;
    }
    let (salt, rest) = stream.split_at_checked(HASH_BYTES)?;
    let (encrypted, check) = rest.split_at_checked(rest.len().checked_sub(HASH_BYTES)?)?;
    let mut key = Vec::with_capacity(encrypted.len());
    let mut pad = salt.to_vec();
    for block in encrypted.chunks(HASH_BYTES) {
        pad = Sha1::new().chain_update(password).chain_update(&pad).finalize().to_vec();
        key.extend(block.iter().zip(&pad).map(|(byte, pad)| byte ^ pad));
    }
    let found = Sha1::new().chain_update(password).chain_update(&key).finalize();
    (found[..] == *check).then_some(key)
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn int(&mut self) -> Option<u32> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*taken))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.int()?;
        self.take(length as usize)
    }

    fn utf(&mut self) -> Option<&'a [u8]> {
        let length = self.take(size_of::<u16>())?;
        self.take(usize::from(u16::from_be_bytes([length[0], length[1]])))
    }

    fn certificate(&mut self, version: u32) -> Option<CertificateDer<'static>> {
        if version > 1 {
            self.utf()?;
        }
        self.bytes().map(|bytes| bytes.to_vec().into())
    }
}
