//! PEM: a PKCS#8 key and its certificates, or certificates alone, as text.
//!
//! As in Java the key may be encrypted as in PKCS#12 (`openssl pkcs8 -topk8 -v1 PBE-SHA1-3DES`), and whatever stands around the
//! blocks is skipped. Unlike Java, PBES2 is read too, which openssl uses by itself, and so are the older forms of openssl (`RSA
//! PRIVATE KEY`, `EC PRIVATE KEY`), if they are not encrypted.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use pkcs8::EncryptedPrivateKeyInfoRef;
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
};

use super::{KeyEntry, Store, StoreError, Wanted, pkcs12};
use crate::der;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A block's label, and what is in it.
pub(crate) struct Block {
    pub label: String,
    pub bytes: Vec<u8>,
}

pub(super) fn parse(bytes: &[u8], password: &str, wanted: Wanted) -> Result<Store, StoreError> {
    let blocks = blocks(bytes)?;
    let certificates = blocks.iter().filter(|block| block.label.ends_with("CERTIFICATE"));
    let certificates = certificates.map(|block| certificate(&block.bytes)).collect::<Vec<_>>();
    if wanted == Wanted::Trust {
        return Ok(Store { trusted: certificates, ..Store::default() });
    }
    let Some(block) = blocks.iter().find(|block| block.label.ends_with("PRIVATE KEY")) else {
        return Ok(Store::default());
    };
    if certificates.is_empty() {
        return Err(StoreError::unusable("there is no certificate in it"));
    }
    Ok(Store {
        keys: vec![KeyEntry { key: private_key(block, password)?, chain: certificates }],
        ..Store::default()
    })
}

/// As in Java what stands behind it is not read: in a `TRUSTED CERTIFICATE` openssl's own notes do.
fn certificate(bytes: &[u8]) -> CertificateDer<'static> {
    let behind = der::expect(bytes, der::SEQUENCE).map_or(0, |(_, behind)| behind.len());
    bytes[..bytes.len() - behind].to_vec().into()
}

/// All blocks of a text.
pub(crate) fn blocks(bytes: &[u8]) -> Result<Vec<Block>, String> {
    let text = String::from_utf8_lossy(bytes);
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines().map(str::trim) {
        if let Some(label) = label(line, "BEGIN") {
            open = Some((label.to_owned(), String::new()));
        } else if let Some(end) = label(line, "END") {
            let (label, body) =
                open.take().filter(|(label, _)| label == end).ok_or("a block ends that has not begun")?;
            let bytes = BASE64.decode(body).map_err(|_| format!("the block `{label}` is not base64"))?;
            blocks.push(Block { label, bytes });
        } else if let Some((_, body)) = &mut open {
            body.extend(line.chars().filter(|c| !c.is_whitespace()));
        }
    }
    match open {
        Some((label, _)) => Err(format!("the block `{label}` is cut off")),
        None => Ok(blocks),
    }
}

fn label<'l>(line: &'l str, word: &str) -> Option<&'l str> {
    let inner = line.strip_prefix("-----")?.strip_suffix("-----")?;
    inner.strip_prefix(word)?.strip_prefix(' ')
}

fn private_key(block: &Block, password: &str) -> Result<PrivateKeyDer<'static>, StoreError> {
    let bytes = block.bytes.clone();
    match block.label.as_str() {
        "ENCRYPTED PRIVATE KEY" => {
            let key = match EncryptedPrivateKeyInfoRef::try_from(bytes.as_slice()) {
                Ok(info) => info.decrypt(password).map(|key| key.as_bytes().to_vec()).ok(),
                Err(_) => pkcs12::decrypted(&bytes, password),
            };
            let wrong = "the password of the private key is wrong, or it is encrypted in a way that zabd does not read (it reads PBES2, \
                         and PBE-SHA1-3DES)";
            key.map(|key| PrivatePkcs8KeyDer::from(key).into())
                .ok_or_else(|| StoreError::wrong_password(wrong))
        }
        "RSA PRIVATE KEY" => Ok(PrivatePkcs1KeyDer::from(bytes).into()),
        "EC PRIVATE KEY" => Ok(PrivateSec1KeyDer::from(bytes).into()),
        "PRIVATE KEY" => Ok(PrivatePkcs8KeyDer::from(bytes).into()),
        other => Err(StoreError::unusable(format!("`{other}` is no private key that zabd reads"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_stand_between_their_lines() {
        let text = "Bag Attributes\n-----BEGIN X-----\r\nAQID\r\nBA==\r\n-----END X-----\n\n-----BEGIN Y Z-----\nAQ\n-----END Y Z-----";
        let found: Vec<_> =
            blocks(text.as_bytes()).unwrap().into_iter().map(|b| (b.label, b.bytes)).collect();
        assert_eq!(found, [("X".to_owned(), vec![1, 2, 3, 4]), ("Y Z".to_owned(), vec![1])]);
    }

    #[test]
    fn what_is_cut_off_is_no_block() {
        for text in ["-----BEGIN X-----\nAQID", "-----END X-----", "-----BEGIN X-----\nAQ!D\n-----END X-----"]
        {
            assert!(blocks(text.as_bytes()).is_err(), "{text}");
        }
        assert!(blocks(b"no block at all").unwrap().is_empty());
    }
}
