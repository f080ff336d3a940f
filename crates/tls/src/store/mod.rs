//! Files with keys and certificates, as Java names them.
//!
//! What a file is stands in `….type`, or else in the end of its name. As in Java since version 9, `JKS` and `PKCS12` both
//! take either of the two: keytool writes PKCS#12 into files named `.jks`. A store's password is also that of its keys.
//!
//! Left out: BCFKS, JCEKS, keys with passwords of their own, DSA.

mod jks;
mod pem;
mod pkcs12;

use std::path::{Path, PathBuf};

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use zabd_config::{StoreConfig, StoreKind};

use crate::der;

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file, or that of its password, cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What it is cannot be told.
    #[error("the name does not tell what the file is (`.jks`, `.pem` or `.p12`), and no type is set")]
    Unnamed {
        /// Whether it looks like PEM.
        is_pem: bool,
    },
    /// The password does not open it.
    #[error("{problem}")]
    WrongPassword {
        /// What is seen of that.
        problem: String,
    },
    /// It is not what it should be.
    #[error("{problem}")]
    Unusable {
        /// What is wrong with it.
        problem: String,
    },
}

impl StoreError {
    fn unusable(problem: impl Into<String>) -> Self {
        StoreError::Unusable { problem: problem.into() }
    }

    fn wrong_password(problem: impl Into<String>) -> Self {
        StoreError::WrongPassword { problem: problem.into() }
    }
}

impl From<String> for StoreError {
    fn from(problem: String) -> Self {
        StoreError::Unusable { problem }
    }
}

/// A private key and the certificates for it, the server's own first.
#[derive(Debug)]
pub(crate) struct KeyEntry {
    pub key: PrivateKeyDer<'static>,
    pub chain: Vec<CertificateDer<'static>>,
}

/// What a store holds.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub keys: Vec<KeyEntry>,
    pub trusted: Vec<CertificateDer<'static>>,
    /// What an operator should know of it, though it can be used.
    pub doubts: Vec<String>,
}

/// What a file has to do with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Keys,
    Trust,
}

/// Reads the file that `config` names.
pub(crate) fn load(path: &Path, config: &StoreConfig, wanted: Wanted) -> Result<Store, StoreError> {
    let kind = match config.kind {
        Some(kind) => kind,
        None => kind_of(path)?,
    };
    let password = password(config)?;
    let bytes = read(path)?;
    let parsed = match kind {
        StoreKind::Pem => pem::parse(&bytes, &password, wanted),
        _ if bytes.starts_with(&jks::MAGIC) => jks::parse(&bytes, &password, wanted),
        _ if bytes.starts_with(&jks::JCEKS_MAGIC) => {
            Err(StoreError::unusable("it is a JCEKS store, which ZooKeeper does not read either"))
        }
        _ if bytes.first() == Some(&der::SEQUENCE) => pkcs12::parse(&bytes, &password, wanted),
        _ if bytes.is_empty() => Err(StoreError::unusable("it is empty")),
        _ => Err(StoreError::unusable("it is neither a PKCS#12 nor a JKS store")),
    };
    let store = parsed?;
    let shown = if wanted == Wanted::Keys {
        store.keys.iter().flat_map(|entry| &entry.chain).collect()
    } else {
        store.trusted.iter().collect::<Vec<_>>()
    };
    // As in Java, which believes nobody of a store in which one certificate is broken.
    if let Some(at) = shown.iter().position(|certificate| !is_whole(certificate)) {
        let problem =
            format!("certificate {} of {} in it is broken: it is cut off, or none", at + 1, shown.len());
        return Err(StoreError::Unusable { problem });
    }
    match wanted {
        Wanted::Keys if store.keys.is_empty() => Err(StoreError::unusable("there is no private key in it")),
        Wanted::Trust if store.trusted.is_empty() => {
            Err(StoreError::unusable("there is no trusted certificate in it"))
        }
        _ => Ok(store),
    }
}

/// Whether this is a certificate from its first byte to its last, whatever may be in it.
fn is_whole(certificate: &[u8]) -> bool {
    const BITS: u8 = 3;
    let parts = der::expect(certificate, der::SEQUENCE)
        .filter(|(_, behind)| behind.is_empty())
        .and_then(|(inner, _)| der::values(inner));
    parts.is_some_and(|parts| parts.iter().map(|(tag, _)| *tag).eq([der::SEQUENCE, der::SEQUENCE, BITS]))
}

/// A file as it is.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, StoreError> {
    std::fs::read(path).map_err(|source| StoreError::Read { path: path.to_owned(), source })
}

fn kind_of(path: &Path) -> Result<StoreKind, StoreError> {
    match path.extension().and_then(|end| end.to_str()) {
        Some("jks") => Ok(StoreKind::Jks),
        Some("pem") => Ok(StoreKind::Pem),
        Some("p12") => Ok(StoreKind::Pkcs12),
        _ => {
            let is_pem = std::fs::read(path)
                .is_ok_and(|bytes| pem::blocks(&bytes).is_ok_and(|blocks| !blocks.is_empty()));
            Err(StoreError::Unnamed { is_pem })
        }
    }
}

/// Without one it is empty; an end of line behind it is no part of it.
fn password(config: &StoreConfig) -> Result<String, StoreError> {
    let Some(path) = &config.password_path else {
        return Ok(config.password.as_ref().map(|password| password.expose().to_owned()).unwrap_or_default());
    };
    let text = String::from_utf8_lossy(&read(path)?).into_owned();
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// The revocation lists in a file: several in PEM, or one in DER.
pub(crate) fn revocation_lists(bytes: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    if bytes.first() == Some(&der::SEQUENCE) {
        return Ok(vec![bytes.to_vec().into()]);
    }
    let blocks = pem::blocks(bytes)?.into_iter().filter(|block| block.label == "X509 CRL");
    let lists: Vec<_> = blocks.map(|block| block.bytes.into()).collect();
    if lists.is_empty() { Err("there is no revocation list in it".to_owned()) } else { Ok(lists) }
}
