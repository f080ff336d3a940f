//! Who may log in by SASL, and how exchanges with clients and other members are judged.
//!
//! The mechanism itself is `zabd-sasl`. Here are what it must be handed: files ([`files`]), which are read again when they change
//! ([`watched`]), and numbers that nobody can guess.

mod files;
mod members;
mod watched;

use std::sync::Arc;

use zabd_config::Config;
use zabd_sasl::server::{Exchange, Step};
use zabd_sasl::users::Users;
use zabd_sasl::{SaslError, nonce};

use self::files::{Origin, UserFiles};
use self::watched::Watched;
use crate::net::ServerCounters;
use crate::start_error::StartError;

pub use self::members::{MemberSasl, MemberSaslCounts};

/// The user whose password may stand in the configuration.
const SUPER: &str = "super";

/// SASL for clients.
#[derive(Debug)]
pub struct ClientSasl {
    users: Arc<Watched<Users>>,
    super_users: Vec<String>,
    super_password: Option<String>,
    /// Whether a client stays whose exchange failed.
    pub keeps_failed: bool,
}

/// Who may log in, if anybody.
#[derive(Debug)]
pub struct Sasl {
    /// Of clients.
    pub clients: Option<Arc<ClientSasl>>,
    /// Of other members.
    pub members: Option<Arc<MemberSasl>>,
}

impl Sasl {
    /// Reads the files.
    pub fn start(config: &Config, counters: &ServerCounters) -> Result<Self, StartError> {
        let members = MemberSasl::start(config, counters.member_sasl.clone())?;
        Ok(Self { clients: ClientSasl::start(config)?, members })
    }
}

impl ClientSasl {
    /// Reads who may log in; nothing if nothing says so, as in Java where the JAAS file has no section for this server.
    fn start(config: &Config) -> Result<Option<Arc<Self>>, StartError> {
        let sasl = &config.auth.sasl;
        let files = UserFiles {
            jaas: sasl.jaas_file.clone(),
            section: sasl.server_section().to_owned(),
            users: sasl.users.clone(),
        };
        let blamed = |problem: files::FileProblem| StartError::login_file(config, &problem);
        let Some(users) = files.read().map_err(blamed)? else {
            if let Some(path) = &files.jaas {
                let (section, path) = (&files.section, path.display());
                if sasl.server_section.is_some() || !config.auth.enforce_schemes.is_empty() {
                    tracing::warn!("{path} has no section `{section}`: clients cannot authenticate by SASL");
                } else {
                    tracing::info!("{path} has no section `{section}`: clients do not authenticate by SASL");
                }
            }
            return Ok(None);
        };
        tracing::info!("{} users may authenticate by SASL", users.len());
        let missing = format!("there is no section `{}` any more", files.section);
        let users = Watched::start("SASL's users", users, move || match files.read() {
            Ok(users) => users.ok_or_else(|| missing.clone()),
            Err(problem) => Err(problem.to_string()),
        })?;
        Ok(Some(Arc::new(Self {
            users,
            super_users: sasl.super_users.clone(),
            super_password: sasl.super_password.as_ref().map(|password| password.expose().to_owned()),
            keeps_failed: sasl.keeps_failed,
        })))
    }

    /// Takes a client's token.
    pub fn step(&self, exchange: &mut Exchange, token: &[u8]) -> Result<Step, SaslError> {
        let users = self.users.get();
        exchange.step(token, random_nonce, |user| {
            // As in Java, whoever is called so must be among the users all the same.
            let own = users.password_of(user)?.expose();
            Some(self.super_password.as_deref().filter(|_| user == SUPER).unwrap_or(own).to_owned())
        })
    }

    /// Whether this user has the rights of the super user.
    pub fn is_super_user(&self, user: &str) -> bool {
        self.super_users.iter().any(|name| name == user)
    }
}

impl StartError {
    fn login_file(config: &Config, problem: &files::FileProblem) -> Self {
        let key = match problem.origin {
            Origin::Jaas => "java.security.auth.login.config",
            Origin::Users => "zabd.sasl.users",
        };
        let hint = match problem.origin {
            Origin::Jaas => {
                "a section looks like `Server { org.apache.zookeeper.server.auth.DigestLoginModule required \
                 user_alice=\"password\"; };`"
            }
            Origin::Users => "it is a file of lines `name=password`, or a directory with a file of each user",
        };
        StartError::LoginFile(config.blame(key, &format!("cannot be used: {problem}"), hint))
    }
}

/// A nonce out of the kernel's random numbers.
pub(crate) fn random_nonce() -> String {
    let mut random = [0; 30];
    let mut filled = 0;
    while filled < random.len() {
        let flags = rustix::rand::GetRandomFlags::empty();
        match rustix::rand::getrandom(&mut random[filled..], flags) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => (),
            Err(error) => panic!("the kernel has no random numbers: {error}"),
        }
    }
    nonce(random)
}
