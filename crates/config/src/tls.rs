//! What the keys of TLS say. Files are named here, and read by whoever opens a port.

use std::path::PathBuf;

use crate::config::{Config, ListenHost, MetricsConfig, Secret};

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// Port of clients that speak TLS from their first byte on.
    pub secure_client_port: Option<u16>,
    /// Where it is bound.
    pub secure_client_port_address: ListenHost,
    /// Whether `clientPort` takes TLS too.
    pub client_port_unification: bool,
    /// TLS handshakes of clients at once; `None` leaves it to zabd.
    pub handshakes_max: Option<u32>,
    /// Whether no handshake is begun while the server serves nobody.
    pub early_drop: bool,
    /// Of client ports: `ssl.*`.
    pub clients: TlsSide,
    /// Whether members talk to each other by TLS.
    pub is_quorum_secure: bool,
    /// Whether the ports of members take both TLS and plain text.
    pub quorum_port_unification: bool,
    /// Between servers: `ssl.quorum.*`.
    pub quorum: TlsSide,
}

/// The keys of one side, `ssl.*` or `ssl.quorum.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSide {
    /// What the keys begin with.
    pub prefix: &'static str,
    /// Who this server is.
    pub key_store: StoreConfig,
    /// Whom it believes.
    pub trust_store: StoreConfig,
    /// `protocol`, as written.
    pub protocol: Option<String>,
    /// `enabledProtocols`, as written.
    pub enabled_protocols: Option<Vec<String>>,
    /// `ciphersuites`, as written.
    pub cipher_suites: Option<Vec<String>>,
    /// Whether the other side shows a certificate.
    pub client_auth: ClientAuth,
    /// `hostnameVerification`, if it is written.
    pub verifies_hosts: Option<bool>,
    /// `clientHostnameVerification`, if it is written.
    pub verifies_client_hosts: Option<bool>,
    /// Files with revocation lists; empty asks for none.
    pub crl_files: Vec<PathBuf>,
    /// Whether revocation is checked, which needs such files.
    pub checks_revocation: bool,
    /// How long a port that takes both waits for the first bytes.
    pub detection_timeout_ms: u32,
    /// Whether changed files are read again.
    pub reloads: bool,
    /// Whether there may be no trust store where certificates are asked for: then none is believed.
    pub may_believe_nobody: bool,
    /// Whether there may be no key store: such a side judges certificates that others took in, and never talks itself.
    pub is_for_judging: bool,
    /// Java's FIPS mode: members' certificates are not compared with their hosts, unless that is asked for.
    pub is_fips: bool,
}

/// A store, of keys or of trust.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreConfig {
    /// The file; a server without one has no such store.
    pub location: Option<PathBuf>,
    /// Its password.
    pub password: Option<Secret>,
    /// A file that holds it; goes before `password`.
    pub password_path: Option<PathBuf>,
    /// What the file is, if its name does not say so.
    pub kind: Option<StoreKind>,
}

/// What a store is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// Java's own, before version 9.
    Jks,
    /// Certificates and a PKCS#8 key as text.
    Pem,
    /// What keytool writes today.
    Pkcs12,
}

/// A key that asks for what cannot be.
pub(crate) struct Mistake {
    pub key: &'static str,
    /// Behind the key and its value.
    pub problem: String,
    pub hint: String,
}

/// Whether the other side shows a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// It is not asked for one.
    None,
    /// It may.
    Want,
    /// It must.
    Need,
}

impl StoreKind {
    /// By its name in Java.
    pub fn from_name(name: &str) -> Option<Self> {
        match name.to_ascii_uppercase().as_str() {
            "JKS" => Some(StoreKind::Jks),
            "PEM" => Some(StoreKind::Pem),
            "PKCS12" => Some(StoreKind::Pkcs12),
            _ => None,
        }
    }
}

impl TlsSide {
    pub(crate) fn new(prefix: &'static str) -> Self {
        TlsSide {
            prefix,
            key_store: StoreConfig::default(),
            trust_store: StoreConfig::default(),
            protocol: None,
            enabled_protocols: None,
            cipher_suites: None,
            client_auth: ClientAuth::Need,
            verifies_hosts: None,
            verifies_client_hosts: None,
            crl_files: Vec::new(),
            checks_revocation: false,
            detection_timeout_ms: 5000,
            reloads: true,
            may_believe_nobody: false,
            is_for_judging: false,
            is_fips: true,
        }
    }
}

impl TlsConfig {
    pub(crate) fn defaults() -> Self {
        TlsConfig {
            secure_client_port: None,
            secure_client_port_address: ListenHost::Any,
            client_port_unification: false,
            handshakes_max: None,
            early_drop: false,
            clients: TlsSide { may_believe_nobody: true, ..TlsSide::new("ssl.") },
            is_quorum_secure: false,
            quorum_port_unification: false,
            quorum: TlsSide::new("ssl.quorum."),
        }
    }

    /// What cannot be meant, whatever the files hold.
    pub(crate) fn mistakes(&self, client_port: Option<u16>, is_member: bool) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        let [clients, quorum] = [&self.clients, &self.quorum];
        if self.secure_client_port.is_some_and(|port| port != 0 && client_port == Some(port)) {
            mistakes.push(Mistake {
                key: "secureClientPort",
                problem: "is clientPort, too".to_owned(),
                hint: "give each its own, or set `client.portUnification=true` and remove this line"
                    .to_owned(),
            });
        }
        let asking = [
            // Without a trust store no client's certificate is believed, which is safe; Java starts, too.
            (self.secure_client_port.is_some(), "secureClientPort", clients, false),
            (self.client_port_unification, "client.portUnification", clients, false),
            (is_member && self.is_quorum_secure, "sslQuorum", quorum, true),
            (is_member && self.unifies_quorum_ports(), "portUnification", quorum, true),
        ];
        for (is_asked, key, side, needs_trust) in asking {
            let lacks = [
                ("keyStore", side.key_store.location.is_none()),
                ("trustStore", needs_trust && side.trust_store.location.is_none()),
            ];
            let missing: Vec<_> = lacks
                .iter()
                .filter(|(_, is_missing)| is_asked && *is_missing)
                .map(|(store, _)| format!("`{}{store}.location`", side.prefix))
                .collect();
            if !missing.is_empty() {
                mistakes.push(Mistake {
                    key,
                    problem: format!("asks for TLS, which needs {}", missing.join(" and ")),
                    hint: "name the stores".to_owned(),
                });
            }
        }
        let crls = [("ssl.crl", clients), ("ssl.quorum.crl", quorum)];
        for (key, side) in
            crls.into_iter().filter(|(_, side)| side.checks_revocation && side.crl_files.is_empty())
        {
            mistakes.push(Mistake {
                key,
                problem: "asks for revocation lists, and zabd fetches none".to_owned(),
                hint: format!("name the files in `zabd.{}crlFile`, or remove `{key}`", side.prefix),
            });
        }
        mistakes
    }

    /// Whether other servers may speak TLS at all.
    pub fn serves_members(&self) -> bool {
        self.is_quorum_secure || self.unifies_quorum_ports()
    }

    /// Whether the ports among members take both. Without any store they take plain text alone, as in Java, which looks for its
    /// stores when the first peer speaks TLS.
    fn unifies_quorum_ports(&self) -> bool {
        let stores = [&self.quorum.key_store, &self.quorum.trust_store];
        self.quorum_port_unification && stores.iter().any(|store| store.location.is_some())
    }

    /// Whether clients may speak TLS at all.
    pub fn serves_clients(&self) -> bool {
        self.secure_client_port.is_some() || self.client_port_unification
    }
}

impl Config {
    /// The side of the AdminServer, if it has TLS: the stores of members, and nothing else of theirs, as in Java.
    pub fn admin_tls(&self) -> Option<TlsSide> {
        let has_tls = self.admin.force_https || self.admin.port_unification;
        let client_auth = if self.admin.need_client_auth { ClientAuth::Need } else { ClientAuth::None };
        let members = &self.tls.quorum;
        has_tls.then(|| TlsSide {
            key_store: members.key_store.clone(),
            trust_store: members.trust_store.clone(),
            // What Java's release 3.10 adds: those of 3.9 offer what Jetty has.
            enabled_protocols: members.enabled_protocols.clone(),
            cipher_suites: members.cipher_suites.clone(),
            reloads: members.reloads,
            client_auth,
            ..TlsSide::new(members.prefix)
        })
    }

    /// Who judges the certificates that the AdminServer is shown, if they may give rights: as in Java the trust store of clients,
    /// beside that of members, whether or not clients have TLS.
    pub fn admin_judge(&self) -> Option<TlsSide> {
        let asks = self.admin_tls().is_some() && self.admin.need_client_auth;
        let clients = &self.tls.clients;
        let is_named = clients.trust_store.location.is_some();
        (asks && is_named && self.auth.x509_enabled).then(|| TlsSide {
            key_store: StoreConfig::default(),
            client_auth: ClientAuth::Need,
            is_for_judging: true,
            ..clients.clone()
        })
    }
}

impl MetricsConfig {
    /// The side of the listener for Prometheus, if it has TLS.
    pub fn side(&self) -> Option<TlsSide> {
        let has_trust = self.tls.trust_store.location.is_some();
        let client_auth = match (self.needs_client_auth, self.wants_client_auth && has_trust) {
            (true, _) => ClientAuth::Need,
            (false, true) => ClientAuth::Want,
            (false, false) => ClientAuth::None,
        };
        self.https_port.map(|_| TlsSide { client_auth, ..self.tls.clone() })
    }
}
