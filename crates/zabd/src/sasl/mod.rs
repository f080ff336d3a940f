//! Who may log in by SASL, and how exchanges with clients and other members are judged.
//!
//! The mechanisms themselves are `zabd-sasl`. Here are what they must be handed: files ([`files`]), which are read again when they
//! change ([`watched`]), a library of Kerberos ([`kerberos`]), and numbers that nobody can guess.

mod exchange;
mod files;
pub mod kerberos;
mod members;
mod watched;

use std::io::ErrorKind;
use std::sync::Arc;

use zabd_config::Config;
use zabd_sasl::gssapi::TOKEN_BYTES_MAX;
use zabd_sasl::kerberos::{Login, Names, Rules};
use zabd_sasl::server::{Exchange, Step};
use zabd_sasl::{SaslError, Service, nonce};

use self::exchange::KerberosExchange;
use self::files::{Origin, Properties, UserFiles, Whoever};
use self::kerberos::{Library, Thread};
use self::watched::Watched;
use crate::net::ServerCounters;
use crate::start_error::{StartError, hint_of_owner};

pub use self::exchange::{Answer, ClientExchange, Progress, Proving};
pub use self::members::{Dialling, MemberSasl, MemberSaslCounts, Said};

/// The user whose password may stand in the configuration.
const SUPER: &str = "super";

/// SASL for clients.
#[derive(Debug)]
pub struct ClientSasl {
    whoever: Arc<Watched<Whoever>>,
    kerberos: Option<Kerberos>,
    super_users: Vec<String>,
    super_password: Option<String>,
    /// Whether a client stays whose exchange failed.
    pub keeps_failed: bool,
}

/// What a build has that serves Kerberos.
#[derive(Debug)]
struct Kerberos {
    library: Arc<dyn Library>,
    thread: Thread,
    names: Arc<Names>,
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
            library: kerberos::library(),
            properties: Properties::of(config),
        };
        let blamed = |problem: files::FileProblem| StartError::login_file(config, &problem);
        let Some(found) = files.read().map_err(blamed)? else {
            if let Some(path) = &files.jaas {
                let (section, path) = (&files.section, path.display());
                if sasl.server_section.is_some() || sasl.is_scheme || !config.auth.enforce_schemes.is_empty()
                {
                    tracing::warn!("{path} has no section `{section}`: clients cannot authenticate by SASL");
                } else {
                    tracing::info!("{path} has no section `{section}`: clients do not authenticate by SASL");
                }
            }
            return Ok(None);
        };
        if let Some(login) = &found.kerberos {
            tracing::info!("Clients may authenticate by SASL, by Kerberos to {}", login.principal);
            if !found.users.is_empty() {
                tracing::warn!(
                    "{} users of DIGEST-MD5 cannot authenticate by SASL: their section asks for Kerberos, too, and one \
                     mechanism is served, as by Java's server",
                    found.users.len()
                );
            }
        } else {
            let unnamed = if config.auth.sasl.is_scheme {
                ""
            } else {
                "; hint: for access lists to name them, set \
                 `authProvider.sasl=org.apache.zookeeper.server.auth.SASLAuthenticationProvider`"
            };
            tracing::info!("{} users may authenticate by SASL{unnamed}", found.users.len());
        }
        let kerberos = Kerberos::start(config, found.kerberos.as_ref())?;
        let missing = format!("there is no section `{}` any more", files.section);
        let whoever = Watched::start("SASL's users", found, move || match files.read() {
            Ok(found) => found.ok_or_else(|| missing.clone()),
            Err(problem) => Err(problem.to_string()),
        })?;
        Ok(Some(Arc::new(Self {
            whoever,
            kerberos,
            super_users: sasl.super_users.clone(),
            super_password: sasl.super_password.as_ref().map(|password| password.expose().to_owned()),
            keeps_failed: sasl.keeps_failed,
        })))
    }

    /// An exchange of which nothing has come yet, of the mechanism that is served at the moment: as in Java, Kerberos if its section
    /// asks for it, else DIGEST-MD5.
    pub fn exchange(&self) -> ClientExchange {
        if self.whoever.get().kerberos.is_some() {
            ClientExchange::Kerberos(KerberosExchange::default())
        } else {
            ClientExchange::Digest(Exchange::new(Service::CLIENTS))
        }
    }

    /// Takes a client's token.
    pub fn step(&self, exchange: &mut ClientExchange, token: &[u8]) -> Progress {
        match exchange {
            ClientExchange::Digest(exchange) => Progress::Now(self.step_digest(exchange, token)),
            ClientExchange::Kerberos(exchange) => self.step_kerberos(exchange, token),
        }
    }

    fn step_digest(&self, exchange: &mut Exchange, token: &[u8]) -> Result<Answer, SaslError> {
        let whoever = self.whoever.get();
        let step = exchange.step(token, random_nonce, |user| {
            // As in Java, whoever is called so must be among the users all the same.
            let own = whoever.users.password_of(user)?.expose();
            Some(self.super_password.as_deref().filter(|_| user == SUPER).unwrap_or(own).to_owned())
        });
        Ok(match step? {
            Step::Challenge(token) => Answer::Challenge(token),
            Step::Proved { token, user } => Answer::Proved { token: Some(token), user },
        })
    }

    fn step_kerberos(&self, exchange: &mut KerberosExchange, token: &[u8]) -> Progress {
        // What is refused in any case is not worth another thread's time.
        if token.len() > TOKEN_BYTES_MAX {
            let max = TOKEN_BYTES_MAX;
            return Progress::Now(Err(SaslError::TooLong { length: token.len(), max }));
        }
        if token.is_empty() && exchange.is_fresh() {
            return Progress::Now(Err(SaslError::NotKerberos));
        }
        let (Some(kerberos), Some(login)) = (&self.kerberos, self.whoever.get().kerberos.clone()) else {
            return Progress::Now(Err(SaslError::Kerberos("It is not served any more".to_owned())));
        };
        let (library, names) = (kerberos.library.clone(), kerberos.names.clone());
        let (exchange, token) = (exchange.take(), token.to_vec());
        Progress::Later(Proving(kerberos.thread.ask(move || {
            // As in Java, whom it wants to be is overlooked: nobody gets another's rights.
            let who = |principal: &str, _: Option<&str>| exchange::identity(&names, &*library, principal);
            exchange.step(&token, || library.listener(&login), who)
        })))
    }

    /// Whether this user has the rights of the super user.
    pub fn is_super_user(&self, user: &str) -> bool {
        self.super_users.iter().any(|name| name == user)
    }
}

impl Kerberos {
    /// Nothing where this build has none.
    fn start(config: &Config, login: Option<&Login>) -> Result<Option<Self>, StartError> {
        let Some(library) = kerberos::library() else { return Ok(None) };
        let settings = &config.auth.kerberos;
        let rules = match settings.auth_to_local.as_deref().map(Rules::parse) {
            None => Rules::default(),
            Some(parsed) => parsed.map_err(|error| {
                let hint = "rules look like `RULE:[2:$1@$0](.*@EXAMPLE.ORG)s/@.*//` or `DEFAULT`, and are for who has so many parts";
                StartError::LoginFile(config.blame("security.auth_to_local", &format!("cannot be used: {error}"), hint))
            })?,
        };
        if login.is_some()
            && let Err(problem) = library.default_realm()
        {
            tracing::warn!(
                "Kerberos has no default realm, so that the rule DEFAULT is for nobody: {problem}"
            );
        }
        let names = Arc::new(Names {
            rules,
            // It is asked for when it is needed: the library reads its files again when they change.
            default_realm: String::new(),
            removes_host: settings.removes_host,
            removes_realm: settings.removes_realm,
        });
        Ok(Some(Self { library, thread: Thread::start()?, names }))
    }
}

impl StartError {
    fn login_file(config: &Config, problem: &files::FileProblem) -> Self {
        let key = match problem.origin {
            Origin::Jaas | Origin::Kerberos => "java.security.auth.login.config",
            Origin::Users => "zabd.sasl.users",
        };
        let unread = std::fs::File::open(&problem.path).err().map(|error| error.kind());
        let missing = format!(
            "there is no such file: make it, or correct the path (a relative one begins where the server is started), or remove {key}"
        );
        let forbidden = hint_of_owner(&problem.path, false);
        let hint = match problem.origin {
            _ if unread == Some(ErrorKind::NotFound) => &missing[..],
            _ if unread == Some(ErrorKind::PermissionDenied) => &forbidden[..],
            Origin::Jaas => {
                "a section looks like `Server { org.apache.zookeeper.server.auth.DigestLoginModule required \
                 user_alice=\"password\"; };`"
            }
            Origin::Kerberos if kerberos::library().is_none() => {
                "`cargo build --release -p zabd --features kerberos` makes such a build"
            }
            Origin::Kerberos => {
                "a section looks like `Server { com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true \
                 keyTab=\"/etc/zookeeper/server.keytab\" principal=\"zookeeper/host@REALM\"; };`"
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
