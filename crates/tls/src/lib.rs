//! TLS as ZooKeeper's keys describe it, in rustls' hands.
//!
//! A [`Tls`] is one side's keys (`ssl.*` or `ssl.quorum.*`) made into what rustls takes: who this server is, whom it believes, what
//! it offers. It knows no sockets; whoever has one asks it for a configuration at each handshake, so a certificate that was
//! replaced holds for the next connection and disturbs none that is there.
//!
//! ```text
//! TlsSide ─► store (PEM, PKCS#12, JKS) ─► keys, trusted certificates ─► trust, offer ─► ServerConfig, ClientConfig
//!                                              ▲ refresh(): the files are looked at again
//! ```
//!
//! In reading order: this file, [`store`], [`trust`] (whom a side believes), [`offer`] (protocols and suites),
//! [`ec_key`] (keys of the JDK), [`old_version`] (certificates without extensions), [`certificate`] (whose it is, and for which hosts),
//! [`distinguished_name`] (names as Java prints them), [`wanted`] (who else it must be), [`refused`] (why a handshake fails).
//!
//! Nobody resumes: a handshake that is taken up again shows no certificate, so the other side would be who it was, however long its
//! certificate has been expired or revoked. Each connection is a whole handshake, on either side. Connections live long, and
//! clients of ZooKeeper begin each with nothing kept from the one before.
//!
//! What rustls does not do, and Java does: TLS 1.0 and 1.1, suites of CBC or without forward secrecy, DSA, RSA keys below 2048
//! bits, EC on P-521, revocation by OCSP or by lists that are fetched. Each is refused in words at the start, or at the handshake
//! if it is the other side's.

mod certificate;
mod der;
mod distinguished_name;
mod ec_key;
mod offer;
mod old_version;
mod refused;
mod store;
mod trust;
mod wanted;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::{Mutex, RwLock};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::ClientCertVerifier as _;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, InconsistentKeys, ServerConfig, SignatureScheme, SupportedProtocolVersion};
use x509_parser::time::ASN1Time;
use zabd_config::{ClientAuth, StoreConfig, StoreKind, TlsSide};

pub use certificate::Certificate;
pub use refused::{Refused, refused};
pub use rustls;
pub use store::StoreError;
pub use trust::take_refused;
pub use wanted::{IsWanted, wanting};

use old_version::OldCertificate;
use store::{KeyEntry, Store, Wanted};
use trust::Trust;

/// Why a side cannot speak TLS.
#[derive(Debug, thiserror::Error)]
#[error("{}{problem}", path_before(.path.as_deref()))]
pub struct TlsError {
    /// The key that must be mended.
    pub key: String,
    /// The file that the key names, if it is that which is wrong.
    pub path: Option<PathBuf>,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub hint: String,
}

fn path_before(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |path| format!("{}: ", path.display()))
}

/// A certificate of one of the stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The store.
    pub path: PathBuf,
    /// The certificate.
    pub certificate: Certificate,
    /// Whether this side shows it, and does not only believe it.
    pub is_own: bool,
}

/// What the files hold at the moment.
#[derive(Debug)]
struct Loaded {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    trust: Option<Arc<Trust>>,
    certificates: Vec<Stored>,
}

/// How a file was when it was read: changes when it is replaced, also by way of a link.
type Stamp = Option<(PathBuf, u64, SystemTime)>;

/// See the module's description.
#[derive(Debug)]
pub struct Tls {
    side: TlsSide,
    loaded: RwLock<Arc<Loaded>>,
    read: Mutex<LastRead>,
}

#[derive(Debug)]
struct LastRead {
    stamps: Vec<Stamp>,
    /// What was wrong when they were read.
    problem: Option<String>,
}

/// What came of a look at the files.
#[derive(Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// They are as they were.
    Unchanged,
    /// They were read again, and hold from now on.
    Read,
    /// They cannot be used; what was read before still holds.
    Failed(String),
    /// They still cannot be used, as it was told.
    StillFailed,
}

impl Tls {
    /// Reads the stores of a side. What cannot be offered is told to `warn`.
    pub fn open(side: &TlsSide, warn: &mut dyn FnMut(&str)) -> Result<Arc<Self>, TlsError> {
        // Before they are read: whatever changes meanwhile is read again.
        let stamps = stamps(side);
        let loaded = load(side, warn)?;
        let read = Mutex::new(LastRead { stamps, problem: None });
        Ok(Arc::new(Self { side: side.clone(), loaded: RwLock::new(Arc::new(loaded)), read }))
    }

    /// For the side that is connected to.
    pub fn server(&self) -> Arc<ServerConfig> {
        self.loaded.read().server.clone()
    }

    /// For the side that connects.
    pub fn client(&self) -> Arc<ClientConfig> {
        self.loaded.read().client.clone()
    }

    /// Whether whoever connects here and shows these, his own first, would be believed.
    pub fn believes(&self, chain: &[CertificateDer<'_>]) -> bool {
        let trust = self.loaded.read().trust.clone();
        let (Some(trust), Some((own, others))) = (trust, chain.split_first()) else { return false };
        let verified = trust.verify_client_cert(own, others, UnixTime::now());
        // Nobody asks for whom.
        let _ = take_refused();
        verified.is_ok()
    }

    /// The certificates that hold at the moment.
    pub fn certificates(&self) -> Vec<Stored> {
        self.loaded.read().certificates.clone()
    }

    /// Looks whether files have changed, and reads them again if they have.
    pub fn refresh(&self) -> Refreshed {
        let mut read = self.read.lock();
        let stamps = stamps(&self.side);
        // A file that was read while it was written may look no different when it is whole.
        if stamps == read.stamps && read.problem.is_none() {
            return Refreshed::Unchanged;
        }
        read.stamps = stamps;
        match load(&self.side, &mut |_| ()) {
            Ok(loaded) => {
                *self.loaded.write() = Arc::new(loaded);
                read.problem = None;
                Refreshed::Read
            }
            Err(error) => {
                let problem = format!("{error}; hint: {}", error.hint);
                if read.problem.replace(problem.clone()).as_ref() == Some(&problem) {
                    return Refreshed::StillFailed;
                }
                Refreshed::Failed(problem)
            }
        }
    }
}

/// What is offered, as far as rustls has it.
fn offered(
    side: &TlsSide,
    warn: &mut dyn FnMut(&str),
) -> Result<(Arc<CryptoProvider>, Vec<&'static SupportedProtocolVersion>), TlsError> {
    let provider = ring::default_provider();
    let offer = offer::offer(side, &provider).map_err(|(key, problem)| TlsError {
        key: format!("{}{key}", side.prefix),
        path: None,
        problem,
        hint: "remove the line".to_owned(),
    })?;
    offer.left_out.iter().for_each(|words| warn(words));
    Ok((Arc::new(CryptoProvider { cipher_suites: offer.suites, ..provider }), offer.versions))
}

fn load(side: &TlsSide, warn: &mut dyn FnMut(&str)) -> Result<Loaded, TlsError> {
    let (provider, versions) = offered(side, warn)?;
    let mut certificates = Vec::new();
    let keys = own_keys(side, &provider, &mut certificates, warn);
    let trust = trust(side, &provider, &mut certificates, warn);
    if let (Err(_), Err(other)) = (&keys, &trust) {
        warn(&format!("{}: {other}; hint: {}", other.key, other.hint));
    }
    let (keys, trust) = (Arc::new(Keys(keys?)), trust?);

    let builder = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(&versions);
    let builder = builder.expect("a suite is of a protocol that is offered");
    let builder = match &trust {
        Some(trust) if side.client_auth != ClientAuth::None => {
            builder.with_client_cert_verifier(trust.clone())
        }
        _ => builder.with_no_client_auth(),
    };
    let mut server = builder.with_cert_resolver(keys.clone());
    // What is kept of a handshake for the next one would be believed without a look at time and lists.
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    // Whoever cannot be read by one connection must not read ahead in another.
    server.max_early_data_size = 0;

    let builder = ClientConfig::builder_with_provider(provider.clone()).with_protocol_versions(&versions);
    let builder = builder.expect("a suite is of a protocol that is offered").dangerous();
    let nobody = || Arc::new(Trust::new(provider, Vec::new(), None, true));
    let builder = builder.with_custom_certificate_verifier(trust.clone().unwrap_or_else(nobody));
    let client = whole_handshakes(builder.with_client_cert_resolver(keys));
    Ok(Loaded { server: Arc::new(server), client: Arc::new(client), trust, certificates })
}

/// For the side that connects: whoever answers shows each time who he is.
fn whole_handshakes(mut config: ClientConfig) -> ClientConfig {
    config.resumption = Resumption::disabled();
    config
}

fn own_keys(
    side: &TlsSide,
    provider: &CryptoProvider,
    certificates: &mut Vec<Stored>,
    warn: &mut dyn FnMut(&str),
) -> Result<Vec<Arc<CertifiedKey>>, TlsError> {
    let key = format!("{}keyStore.location", side.prefix);
    let Some(path) = &side.key_store.location else {
        if side.is_for_judging {
            return Ok(Vec::new());
        }
        let problem = "is not set, so nobody could be told who this server is".to_owned();
        return Err(TlsError { key, path: None, problem, hint: "name the key store".to_owned() });
    };
    let store = open(path, &side.key_store, Wanted::Keys, certificates, warn)
        .map_err(|error| unusable(key.clone(), path, &side.key_store, &error))?;
    let mut keys = Vec::new();
    let mut problems = Vec::new();
    for KeyEntry { key, chain } in store.keys {
        match certified(chain, key, provider) {
            Ok(key) => keys.push(Arc::new(key)),
            Err(error) => problems.push(format!("the key cannot be used: {error}")),
        }
    }
    // Java takes the first one that fits what the other side can do, so that one too many does no harm.
    match problems.pop() {
        Some(problem) if keys.is_empty() => {
            return Err(TlsError { key, path: Some(path.clone()), problem, hint: KEY_HINT.to_owned() });
        }
        Some(problem) => warn(&format!("{}: {problem}; another one of the store is used", path.display())),
        None => (),
    }
    Ok(keys)
}

/// A key with its certificates, the first of which must be for this very key.
fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, rustls::Error> {
    let key = chain.first().and_then(|own| ec_key::with_public_half(&key, own)).unwrap_or(key);
    let Some(old) = chain.first().and_then(OldCertificate::parse) else {
        return CertifiedKey::from_der(chain, key, provider);
    };
    let key = provider.key_provider.load_private_key(key)?;
    if key.public_key().is_some_and(|public| public != old.key()) {
        return Err(InconsistentKeys::KeyMismatch.into());
    }
    Ok(CertifiedKey::new(chain, key))
}

/// What is wrong with the store that this key names, and what to do about it.
fn unusable(key: String, path: &Path, store: &StoreConfig, error: &StoreError) -> TlsError {
    let is_without_password = store.password.is_none() && store.password_path.is_none();
    let sibling = |name: &str| key.replace("location", name);
    let hint = match error {
        StoreError::WrongPassword { .. } if is_without_password => {
            format!("`{}` is not set", sibling("password"))
        }
        StoreError::WrongPassword { .. } => match &store.password_path {
            Some(file) => format!("check what is in {}", file.display()),
            None => format!("check `{}`", sibling("password")),
        },
        StoreError::Unnamed { is_pem: true, .. } => format!("set `{}=PEM`", sibling("type")),
        StoreError::Unnamed { .. } => format!("set `{}` to `JKS`, `PKCS12` or `PEM`", sibling("type")),
        StoreError::Read { .. } => "check that the file is there, and who may read it".to_owned(),
        StoreError::Unusable { .. } => "check the file, its type and its password".to_owned(),
    };
    let (path, problem) = match error {
        StoreError::Read { path: other, source } if other == path => {
            (Some(path), format!("cannot be read: {source}"))
        }
        StoreError::Read { .. } => (None, format!("cannot be opened: {}", with_causes(error))),
        other => (Some(path), other.to_string()),
    };
    TlsError { key, path: path.map(Path::to_owned), problem, hint }
}

const KEY_HINT: &str = "RSA from 2048 to 4096 bits, EC on P-256 or P-384, and Ed25519 can be used, with the certificate of that very key";

fn trust(
    side: &TlsSide,
    provider: &Arc<CryptoProvider>,
    certificates: &mut Vec<Stored>,
    warn: &mut dyn FnMut(&str),
) -> Result<Option<Arc<Trust>>, TlsError> {
    let key = format!("{}trustStore.location", side.prefix);
    let is_mandatory = side.client_auth == ClientAuth::Need;
    let Some(path) = &side.trust_store.location else {
        if side.client_auth == ClientAuth::None {
            return Ok(None);
        }
        if !side.may_believe_nobody {
            let problem = "is not set, so no certificate could be believed".to_owned();
            return Err(TlsError { key, path: None, problem, hint: "name the trust store".to_owned() });
        }
        warn(&format!(
            "{key} is not set, so no certificate is believed; hint: name the trust store, or set `{}clientAuth` to `none`",
            side.prefix
        ));
        return Ok(Some(Arc::new(Trust::new(provider.clone(), Vec::new(), None, is_mandatory))));
    };
    let store = open(path, &side.trust_store, Wanted::Trust, certificates, warn)
        .map_err(|error| unusable(key, path, &side.trust_store, &error))?;
    let lists = if side.checks_revocation { Some(revocation_lists(side)?) } else { None };
    Ok(Some(Arc::new(Trust::new(provider.clone(), store.trusted, lists, is_mandatory))))
}

/// For whoever asks this very server whether it is well: shows its own certificate, and believes nobody but itself.
pub fn client_of_itself(side: &TlsSide) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let keys = own_keys(side, &provider, &mut Vec::new(), &mut |_| ())?;
    let own = keys.iter().filter_map(|key| key.cert.first().cloned()).collect();
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let builder = builder.expect("there are suites of each protocol").dangerous();
    let itself = Arc::new(Trust::new(provider, own, None, true));
    let builder = builder.with_custom_certificate_verifier(itself);
    Ok(Arc::new(whole_handshakes(builder.with_client_cert_resolver(Arc::new(Keys(keys))))))
}

/// For whoever only ever connects: it need not show who it is, and where it is told of no trust store it believes those whom this
/// machine believes. Hosts are compared by whoever knows them.
pub fn client(side: &TlsSide, warn: &mut dyn FnMut(&str)) -> Result<Arc<ClientConfig>, TlsError> {
    let (provider, versions) = offered(side, warn)?;
    let keys = match side.key_store.location {
        None => Vec::new(),
        Some(_) => own_keys(side, &provider, &mut Vec::new(), warn)?,
    };
    let mut side = side.clone();
    side.client_auth = ClientAuth::Need;
    if side.trust_store.location.is_none() {
        side.trust_store = StoreConfig {
            location: openssl_probe::probe().cert_file,
            kind: Some(StoreKind::Pem),
            ..StoreConfig::default()
        };
    }
    let trust = trust(&side, &provider, &mut Vec::new(), warn)?.expect("it is needed");
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&versions);
    let builder = builder.expect("a suite is of a protocol that is offered").dangerous();
    let builder = builder.with_custom_certificate_verifier(trust);
    Ok(Arc::new(whole_handshakes(builder.with_client_cert_resolver(Arc::new(Keys(keys))))))
}

/// A store, whose certificates are noted.
fn open(
    path: &Path,
    config: &StoreConfig,
    wanted: Wanted,
    certificates: &mut Vec<Stored>,
    warn: &mut dyn FnMut(&str),
) -> Result<Store, StoreError> {
    let store = store::load(path, config, wanted)?;
    let unread = store
        .trusted
        .iter()
        .enumerate()
        .filter_map(|(at, der)| trust::unusable(der).map(|why| (at + 1, why)));
    let unread = unread.map(|(number, why)| {
        format!("certificate {number} in it cannot be used, and whoever it has signed is not believed: {why}")
    });
    for doubt in store.doubts.iter().cloned().chain(unread) {
        warn(&format!("{}: {doubt}", path.display()));
    }
    let own = store.keys.iter().filter_map(|entry| entry.chain.first());
    let is_own = wanted == Wanted::Keys;
    let shown = if is_own { own.collect::<Vec<_>>() } else { store.trusted.iter().collect() };
    let parsed = shown.into_iter().filter_map(Certificate::parse);
    certificates.extend(parsed.map(|certificate| Stored { path: path.to_owned(), certificate, is_own }));
    Ok(store)
}

fn revocation_lists(side: &TlsSide) -> Result<Vec<trust::RevocationList>, TlsError> {
    let mut lists = Vec::new();
    for path in &side.crl_files {
        let blamed = |(problem, hint): (String, &str)| TlsError {
            key: format!("zabd.{}crlFile", side.prefix),
            path: None,
            problem: format!("{}: {problem}", path.display()),
            hint: hint.to_owned(),
        };
        let bytes = store::read(path).map_err(|error| with_causes(&error));
        let found = bytes.and_then(|bytes| store::revocation_lists(&bytes));
        for list in found.map_err(|problem| blamed((problem, trust::LIST_HINT)))? {
            lists.push(trust::revocation_list(&list).map_err(blamed)?);
        }
    }
    Ok(lists)
}

/// Why a handshake failed, in words for an operator.
pub fn in_words(error: &rustls::Error) -> String {
    use rustls::{AlertDescription as Alert, CertificateError as Reason, Error};
    match error {
        Error::InvalidCertificate(Reason::BadEncoding) => {
            "its certificate cannot be read, or is nobody's: its subject is empty, with no critical names beside it (BadEncoding)".into()
        }
        Error::InvalidCertificate(Reason::UnknownIssuer) => {
            "nobody in the trust store has signed it (UnknownIssuer)".into()
        }
        Error::InvalidCertificate(Reason::Other(other)) => match other.0.to_string().as_str() {
            "CaUsedAsEndEntity" => {
                "it is that of an authority, and not itself in the trust store (CaUsedAsEndEntity)".into()
            }
            "InvalidCertValidity" => "its time ends before it begins (InvalidCertValidity); hint: sign a new one, whose notBefore comes \
                                      before its notAfter"
                .into(),
            other => other.to_owned(),
        },
        Error::InvalidCertificate(Reason::UnknownRevocationStatus) => {
            "no revocation list that holds at the moment tells whether it is revoked (UnknownRevocationStatus)".into()
        }
        Error::InvalidCertificate(Reason::ExpiredContext { time, not_after }) => {
            format!("certificate expired: it was valid until {}, and now it is {}", date(*not_after), date(*time))
        }
        Error::InvalidCertificate(Reason::NotValidYetContext { time, not_before }) => {
            format!("certificate not valid yet: it is valid from {} on, and now it is {}", date(*not_before), date(*time))
        }
        Error::InvalidCertificate(reason) => reason.to_string(),
        Error::AlertReceived(
            Alert::UnknownCA | Alert::BadCertificate | Alert::CertificateUnknown | Alert::CertificateExpired,
        ) => {
            format!("the other side does not believe the certificate that it was shown ({error})")
        }
        Error::AlertReceived(Alert::CertificateRequired) => {
            format!("the other side wants to be shown a certificate ({error})")
        }
        Error::NoCertificatesPresented => "the other side shows no certificate".into(),
        other => other.to_string(),
    }
}

fn date(time: UnixTime) -> String {
    let date = i64::try_from(time.as_secs()).ok().and_then(|seconds| ASN1Time::from_timestamp(seconds).ok());
    date.map_or_else(|| "a time that no calendar has".to_owned(), |date| date.to_string())
}

fn with_causes(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

fn stamps(side: &TlsSide) -> Vec<Stamp> {
    let stores = [&side.key_store, &side.trust_store];
    let files = stores.into_iter().flat_map(|store| [&store.location, &store.password_path]).flatten();
    files.chain(&side.crl_files).map(|path| stamp(path)).collect()
}

fn stamp(path: &Path) -> Stamp {
    let path = path.canonicalize().ok()?;
    let found = path.metadata().ok()?;
    Some((path, found.len(), found.modified().ok()?))
}

/// Who this server is: the first of its keys that the other side can make something of.
#[derive(Debug)]
struct Keys(Vec<Arc<CertifiedKey>>);

impl Keys {
    fn choose(&self, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.iter().find(|key| key.key.choose_scheme(schemes).is_some()).cloned()
    }
}

impl ResolvesServerCert for Keys {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.signature_schemes())
    }
}

impl ResolvesClientCert for Keys {
    fn resolve(&self, _hints: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.choose(schemes)
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}

#[cfg(test)]
mod tests;
