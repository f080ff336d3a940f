//! What members of an ensemble prove to each other, and check.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use zabd_config::{Config, EnsembleConfig, QuorumSaslConfig};
use zabd_jute::quorum::Configuration;
use zabd_sasl::gssapi::{Dialler, TOKEN_BYTES_MAX};
use zabd_sasl::kerberos::{self, KerberosName};
#[cfg(test)]
use zabd_sasl::users::Password;
use zabd_sasl::users::{Account, Users};
use zabd_sasl::{SaslError, Service, client, gssapi, server};

use super::exchange::{Answer, KerberosExchange};
use super::files::{FileProblem, MemberFiles, Properties};
use super::kerberos::{Context, Library, Thread, library};
use super::random_nonce;
use super::watched::Watched;
use crate::start_error::StartError;

/// SASL between servers.
#[derive(Debug)]
pub struct MemberSasl {
    login: Arc<Watched<Login>>,
    config: QuorumSaslConfig,
    kerberos: Option<Kerberos>,
    /// The hosts of all members, as they were when this server started: whoever is known to Kerberos must be on one of them.
    hosts: Arc<BTreeSet<String>>,
    /// What became of it where this server was dialled.
    pub counts: Arc<MemberSaslCounts>,
}

/// What a build has that serves Kerberos. A KDC that does not answer those who dial must not keep out those who are dialled.
#[derive(Debug)]
struct Kerberos {
    library: Arc<dyn Library>,
    dialling: Thread,
    listening: Thread,
}

/// How often others have proved who they are, and how often not.
#[derive(Debug, Default)]
pub struct MemberSaslCounts {
    /// Connections of servers that have.
    pub authenticated: AtomicU64,
    /// Connections that have not, whether they were closed for that or not.
    pub refused: AtomicU64,
}

/// What the login configuration says about members.
#[derive(Debug, PartialEq)]
pub(super) struct Login {
    /// As whom this server authenticates, if it does.
    pub own: Option<Own>,
    /// Who may authenticate here.
    pub others: Others,
}

/// What a server proves who it is with.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Own {
    /// A password.
    Account(Account),
    /// A key of Kerberos.
    Key(kerberos::Login),
}

/// What others must prove who they are with.
#[derive(Debug, PartialEq)]
pub(super) enum Others {
    /// Passwords.
    Users(Users),
    /// A ticket for this server.
    Tickets(kerberos::Login),
}

/// An exchange in which this server proves who it is.
pub enum Dialling {
    /// By DIGEST-MD5.
    Digest(client::Exchange),
    /// By GSSAPI: the exchange, which is with another thread while a token of it is looked at, and as whom.
    Kerberos(Option<Box<Dialler<Context>>>, String),
}

/// What is to be done with a token of the server that was dialled.
#[derive(Debug)]
pub enum Said {
    /// This is to be sent.
    Respond(Vec<u8>),
    /// The same, and nothing but consent is to come.
    Conclude(Vec<u8>),
    /// The other server has shown who it is: the exchange is over.
    Done,
}

/// An exchange in which another server proves who it is.
pub enum Listening {
    /// By DIGEST-MD5.
    Digest(server::Exchange),
    /// By GSSAPI.
    Kerberos(KerberosExchange),
}

impl MemberSasl {
    /// Reads who the members are, if they authenticate.
    pub(super) fn start(
        config: &Config,
        counts: Arc<MemberSaslCounts>,
    ) -> Result<Option<Arc<Self>>, StartError> {
        let Some(sasl) = config.ensemble.as_ref().and_then(|ensemble| ensemble.sasl.clone()) else {
            return Ok(None);
        };
        let files = MemberFiles {
            jaas: sasl.jaas_file.clone(),
            learner: sasl.learner_section.clone(),
            server: sasl.server_section.clone(),
            needs_account: sasl.learner_required,
            library: library(),
            properties: Properties::of(config),
        };
        let found = files.read().map_err(|problem| StartError::login_file(config, &problem))?;
        tracing::info!(
            "Servers authenticate by SASL: quorum.auth.learnerRequireSasl={}, quorum.auth.serverRequireSasl={}",
            sasl.learner_required,
            sasl.server_required
        );
        let read = move || files.read().map_err(|problem: FileProblem| problem.to_string());
        let login = Watched::start("SASL's accounts of servers", found, read)?;
        let kerberos = match library() {
            None => None,
            Some(library) => {
                Some(Kerberos { library, dialling: Thread::start()?, listening: Thread::start()? })
            }
        };
        let hosts = Arc::new(config.ensemble.as_ref().map(hosts).unwrap_or_default());
        Ok(Some(Arc::new(Self { login, config: sasl, kerberos, hosts, counts })))
    }

    /// An exchange in which this server proves who it is; none if it does not.
    pub fn exchange(&self) -> Option<Dialling> {
        let own = self.login.get().own.clone().filter(|_| self.config.learner_required)?;
        Some(match own {
            Own::Account(account) => Dialling::Digest(client::Exchange::new(Service::SERVERS, account)),
            Own::Key(login) => Dialling::Kerberos(None, login.principal),
        })
    }

    /// What comes first, for a server on this host; waits for a KDC.
    pub async fn begin(&self, exchange: &mut Dialling, host: &str) -> Result<Vec<u8>, String> {
        let Dialling::Kerberos(dialler, own) = exchange else { return Ok(Vec::new()) };
        let login = self.login.get().own.clone();
        let (Some(kerberos), Some(Own::Key(login))) = (&self.kerberos, login) else {
            return Err("it is not done by Kerberos any more".to_owned());
        };
        let (library, service) = (kerberos.library.clone(), service_at(&self.config.service_principal, host));
        let begun = kerberos.dialling.ask(move || {
            let (context, principal) = library.dialler(&login, &service)?;
            let mut dialler = Dialler::new(context, principal.clone());
            match dialler.step(b"") {
                Ok(gssapi::Said::Respond(token)) => Ok((Box::new(dialler), principal, token)),
                Ok(gssapi::Said::Conclude(_)) => Err("it ends before it has begun".to_owned()),
                Err(error) => Err(error.to_string()),
            }
        });
        let (begun, principal, token) = begun.await.expect("whoever is asked answers")?;
        (*dialler, *own) = (Some(begun), principal);
        Ok(token)
    }

    /// Takes a token of a server that was dialled.
    pub async fn respond(&self, exchange: &mut Dialling, token: Vec<u8>) -> Result<Said, String> {
        let (dialler, kerberos) = match exchange {
            Dialling::Digest(exchange) => {
                return match exchange.step(&token, random_nonce).map_err(|error| error.to_string())? {
                    client::Step::Respond(token) => Ok(Said::Respond(token)),
                    client::Step::Done => Ok(Said::Done),
                };
            }
            Dialling::Kerberos(dialler, _) => {
                (dialler, self.kerberos.as_ref().expect("without it no exchange has begun"))
            }
        };
        let mut taken = dialler.take().expect("one token is looked at at a time");
        let looked = kerberos.dialling.ask(move || {
            let said = taken.step(&token);
            (taken, said)
        });
        let (back, said) = looked.await.expect("whoever is asked answers");
        *dialler = Some(back);
        match said.map_err(|error| error.to_string())? {
            gssapi::Said::Respond(token) => Ok(Said::Respond(token)),
            gssapi::Said::Conclude(token) => Ok(Said::Conclude(token)),
        }
    }

    /// An exchange with whoever has dialled this server.
    pub fn listen(&self) -> Listening {
        match self.login.get().others {
            Others::Users(_) => Listening::Digest(server::Exchange::new(Service::SERVERS)),
            Others::Tickets(_) => Listening::Kerberos(KerberosExchange::default()),
        }
    }

    /// How long a token may be.
    pub fn token_bytes_max(&self) -> usize {
        if self.kerberos.is_some() { TOKEN_BYTES_MAX } else { server::RESPONSE_BYTES_MAX }
    }

    /// Whether nobody is let in who does not prove who it is.
    pub fn is_required(&self) -> bool {
        self.config.server_required
    }

    /// Takes a token of whoever has dialled this server.
    pub async fn step(&self, exchange: &mut Listening, token: Vec<u8>) -> Result<Answer, SaslError> {
        let login = self.login.get();
        match (exchange, &login.others) {
            (Listening::Digest(exchange), Others::Users(users)) => {
                Ok(match exchange.step(&token, random_nonce, |user| users.password_of(user))? {
                    server::Step::Challenge(token) => Answer::Challenge(token),
                    server::Step::Proved { token, user } => Answer::Proved { token: Some(token), user },
                })
            }
            (Listening::Kerberos(exchange), Others::Tickets(login)) => {
                let Some(kerberos) = &self.kerberos else { return Err(SaslError::OutOfTurn) };
                let (library, login, hosts) = (kerberos.library.clone(), login.clone(), self.hosts.clone());
                let taken = exchange.take();
                let looked = kerberos.listening.ask(move || {
                    let who = |principal: &str, acts_as: Option<&str>| member(principal, acts_as, &hosts);
                    taken.step(&token, || library.listener(&login), who)
                });
                let (back, answer) = looked.await.expect("whoever is asked answers");
                *exchange = back;
                answer
            }
            // What is asked for has changed in the midst of it.
            _ => Err(SaslError::OutOfTurn),
        }
    }

    /// This server is `user` with a password of its own, and knows the same user by a password that may be another.
    #[cfg(test)]
    pub fn fixed(user: &str, own: &str, known: &str, is_required: bool) -> Self {
        let account = Account { user: user.into(), password: Password::new(own) };
        let mut users = Users::default();
        users.insert(user, Password::new(known));
        let config = QuorumSaslConfig {
            jaas_file: "none".into(),
            learner_section: "QuorumLearner".into(),
            server_section: "QuorumServer".into(),
            learner_required: true,
            server_required: is_required,
            service_principal: "zkquorum/localhost".into(),
        };
        let login = Login { own: Some(Own::Account(account)), others: Others::Users(users) };
        Self {
            login: Watched::fixed(login),
            config,
            kerberos: None,
            hosts: Arc::default(),
            counts: Arc::default(),
        }
    }
}

impl Dialling {
    /// As whom this server authenticates itself.
    pub fn user(&self) -> &str {
        match self {
            Self::Digest(exchange) => exchange.user(),
            Self::Kerberos(_, principal) => principal,
        }
    }
}

/// The hosts of all members, and of those who may become ones.
fn hosts(ensemble: &EnsembleConfig) -> BTreeSet<String> {
    let lists = [Some(&ensemble.members), ensemble.next_members.as_ref()].into_iter().flatten();
    let configurations = lists.filter_map(|text| Configuration::parse(text).ok());
    let hosts = |configuration: Configuration| {
        let members = configuration.members().iter().flat_map(zabd_jute::quorum::Member::quorum_addresses);
        members.map(|address| address.host).collect::<Vec<_>>()
    };
    configurations.flat_map(hosts).collect()
}

/// Whom a server is dialled as on this host: as in Java, `_HOST` stands for it only where nothing stands behind it.
fn service_at(principal: &str, host: &str) -> String {
    match principal.strip_suffix("/_HOST") {
        Some(service) if !service.contains('/') => format!("{service}/{}", host.to_lowercase()),
        _ => principal.to_owned(),
    }
}

/// Whether a principal is one of a member: as in Java, its host is, and it wants to be nobody else.
fn member(principal: &str, acts_as: Option<&str>, hosts: &BTreeSet<String>) -> Result<String, SaslError> {
    if let Some(other) = acts_as.filter(|other| *other != principal) {
        return Err(SaslError::NotAuthorized { user: principal.to_owned(), other: other.to_owned() });
    }
    let name = KerberosName::parse(principal)?;
    if name.realm.is_some() && name.host.is_some_and(|host| hosts.contains(host)) {
        return Ok(principal.to_owned());
    }
    let problem = "its host is none of the ensemble's, as they were when this server started".to_owned();
    Err(SaslError::KerberosPeer { principal: principal.to_owned(), problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_of_a_host() {
        assert_eq!(service_at("zk/_HOST", "One.Example.Org"), "zk/one.example.org");
        for fixed in ["zkquorum/localhost", "zk/_HOST@R", "a/b/_HOST", "_HOST"] {
            assert_eq!(service_at(fixed, "one"), fixed);
        }
    }

    #[test]
    fn members_are_on_hosts_of_the_ensemble() {
        let hosts = ["one".to_owned()].into();
        assert_eq!(member("learner/one@R", None, &hosts), Ok("learner/one@R".into()));
        assert_eq!(member("learner/one@R", Some("learner/one@R"), &hosts), Ok("learner/one@R".into()));
        for (principal, acts_as) in [
            ("learner/two@R", None),
            ("learner@R", None),
            ("one@R", None),
            ("learner/one/x@R", None),
            ("learner/one@R", Some("learner/one@S")),
        ] {
            member(principal, acts_as, &hosts).unwrap_err();
        }
    }
}
