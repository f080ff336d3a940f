//! Who somebody may be, and how he proves it.

use std::path::PathBuf;

use super::Secret;

/// The schemes on offer and who is above them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthConfig {
    /// No ACL is checked at all (`skipACL=yes`).
    pub skip_acl: bool,
    /// Whether the scheme `digest` exists.
    pub digest_enabled: bool,
    /// The hash inside `digest` identities.
    pub digest_alg: DigestAlg,
    /// `user:base64` identity that passes every check.
    pub super_digest: Option<Secret>,
    /// A connection must have one of these schemes before it may do anything; empty demands none.
    pub enforce_schemes: Vec<String>,
    /// The key that demands them.
    pub enforced_by: &'static str,
    /// Names taken by the scheme `ensemble`; `None` when the scheme is not registered, an empty list
    /// when it is and takes any name. One that is empty is nobody's.
    pub ensemble_names: Option<Vec<String>>,
    /// Whether the scheme `x509` exists.
    pub x509_enabled: bool,
    /// The distinguished name whose certificate makes a super user.
    pub x509_super_user: Option<String>,
    /// Whether `X-Forwarded-For` names the client of an HTTP request.
    pub ip_use_x_forwarded_for: bool,
    /// Who may log in by SASL.
    pub sasl: SaslConfig,
    /// Who principals of Kerberos are.
    pub kerberos: KerberosConfig,
}

/// Kerberos, where the JAAS file asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KerberosConfig {
    /// Names lose their host.
    pub removes_host: bool,
    /// Names lose their realm.
    pub removes_realm: bool,
    /// Rules that make names of principals; none is the rule `DEFAULT` alone.
    pub auth_to_local: Option<String>,
    /// The configuration of Kerberos, if it is not where the library looks for it.
    pub krb5_conf: Option<PathBuf>,
}

/// SASL for clients. It is served if there is anything that says who may log in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SaslConfig {
    /// The JAAS file.
    pub jaas_file: Option<PathBuf>,
    /// Its section for this server, if it is named; then it must be there.
    pub server_section: Option<String>,
    /// A file of users, or a directory of them.
    pub users: Option<PathBuf>,
    /// Whether access lists may name the scheme `sasl`.
    pub is_scheme: bool,
    /// Names with the rights of the super user.
    pub super_users: Vec<String>,
    /// What the user `super` proves in place of its own password.
    pub super_password: Option<Secret>,
    /// Whether a client stays whose exchange failed.
    pub keeps_failed: bool,
}

impl SaslConfig {
    /// The section of the JAAS file for this server.
    pub fn server_section(&self) -> &str {
        self.server_section.as_deref().unwrap_or("Server")
    }

    /// Whether there is anything that says who may log in.
    pub fn has_users(&self) -> bool {
        self.jaas_file.is_some() || self.users.is_some()
    }
}

/// Hashes that a `digest` identity may be made with, by their `MessageDigest` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestAlg {
    /// `MD5`
    Md5,
    /// `SHA1`, `SHA-1` or `SHA`
    Sha1,
    /// `SHA-224`
    Sha224,
    /// `SHA-256`
    Sha256,
    /// `SHA-384`
    Sha384,
    /// `SHA-512`
    Sha512,
    /// `SHA-512/224`
    Sha512_224,
    /// `SHA-512/256`
    Sha512_256,
    /// `SHA3-224`
    Sha3_224,
    /// `SHA3-256`
    Sha3_256,
    /// `SHA3-384`
    Sha3_384,
    /// `SHA3-512`
    Sha3_512,
}

/// SASL among the members of an ensemble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumSaslConfig {
    /// The JAAS file.
    pub jaas_file: PathBuf,
    /// Its section that says as whom this server authenticates itself.
    pub learner_section: String,
    /// Its section that says who may authenticate.
    pub server_section: String,
    /// Whether this server authenticates itself to those whom it dials.
    pub learner_required: bool,
    /// Whether it refuses those who do not.
    pub server_required: bool,
    /// As whom those whom it dials are known to Kerberos; `_HOST` stands for their host.
    pub service_principal: String,
}

impl AuthConfig {
    pub(super) fn defaults() -> Self {
        AuthConfig {
            skip_acl: false,
            digest_enabled: true,
            digest_alg: DigestAlg::Sha1,
            super_digest: None,
            enforce_schemes: Vec::new(),
            enforced_by: "enforce.auth.schemes",
            ensemble_names: None,
            x509_enabled: false,
            x509_super_user: None,
            ip_use_x_forwarded_for: false,
            sasl: SaslConfig::default(),
            kerberos: KerberosConfig::default(),
        }
    }
}
