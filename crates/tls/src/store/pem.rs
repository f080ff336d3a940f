//! PEM: a PKCS#8 key and its certificates, or certificates alone, as text.
//!
//! As in Java the key may be encrypted (PBES2, as `openssl pkcs8 -topk8` makes it), and whatever stands around the blocks is
//! skipped. Unlike Java, the older forms of openssl (`RSA PRIVATE KEY`, `EC PRIVATE KEY`) are taken too, if they are not encrypted.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use pkcs8::EncryptedPrivateKeyInfoRef;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};

use super::{KeyEntry, Store, StoreError, Wanted};

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
    let certificates = certificates.map(|block| block.bytes.clone().into()).collect::<Vec<_>>();
    if wanted == Wanted::Trust {
        return Ok(Store { keys: Vec::new(), trusted: certificates });
    }
    let Some(block) = blocks.iter().find(|block| block.label.ends_with("PRIVATE KEY")) else {
        return Ok(Store::default());
    };
    if certificates.is_empty() {
        return Err(StoreError::unusable("there is no certificate in it"));
    }
    Ok(Store {
        keys: vec![KeyEntry { key: private_key(block, password)?, chain: certificates }],
        trusted: Vec::new(),
    })
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
            let info = EncryptedPrivateKeyInfoRef::try_from(bytes.as_slice()).map_err(|error| {
                StoreError::unusable(format!(
                    "the private key is encrypted in a way that zabd does not read (it reads PBES2): {error}"
                ))
            })?;
            let wrong = |_| StoreError::wrong_password("the password of the private key is wrong");
            let key = info.decrypt(password).map_err(wrong)?;
            Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into())
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
