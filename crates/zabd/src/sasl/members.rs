//! What members of an ensemble prove to each other, and check.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use zabd_config::{Config, QuorumSaslConfig};
use zabd_sasl::Service;
#[cfg(test)]
use zabd_sasl::users::Password;
use zabd_sasl::users::{Account, Users};
use zabd_sasl::{client, server};

use super::files::{FileProblem, MemberFiles};
use super::watched::Watched;
use crate::start_error::StartError;

/// SASL between servers.
#[derive(Debug)]
pub struct MemberSasl {
    login: Arc<Watched<Login>>,
    config: QuorumSaslConfig,
    /// What became of it where this server was dialled.
    pub counts: Arc<MemberSaslCounts>,
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
    pub account: Option<Account>,
    /// Who may authenticate here.
    pub users: Users,
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
        };
        let found = files.read().map_err(|problem| StartError::login_file(config, &problem))?;
        tracing::info!(
            "Servers authenticate by SASL: quorum.auth.learnerRequireSasl={}, quorum.auth.serverRequireSasl={}",
            sasl.learner_required,
            sasl.server_required
        );
        let read = move || files.read().map_err(|problem: FileProblem| problem.to_string());
        let login = Watched::start("SASL's accounts of servers", found, read)?;
        Ok(Some(Arc::new(Self { login, config: sasl, counts })))
    }

    /// An exchange in which this server proves who it is; none if it does not.
    pub fn exchange(&self) -> Option<client::Exchange> {
        let login = self.login.get();
        let account = login.account.clone().filter(|_| self.config.learner_required)?;
        Some(client::Exchange::new(Service::SERVERS, account))
    }

    /// Whether nobody is let in who does not prove who it is.
    pub fn is_required(&self) -> bool {
        self.config.server_required
    }

    /// Takes a token of whoever has dialled this server.
    pub fn step(
        &self,
        exchange: &mut server::Exchange,
        token: &[u8],
    ) -> Result<server::Step, zabd_sasl::SaslError> {
        let login = self.login.get();
        exchange.step(token, super::random_nonce, |user| login.users.password_of(user))
    }

    /// This server is `user` with a password of its own, and knows the same user by a password that may be another.
    #[cfg(test)]
    pub fn fixed(user: &str, own: &str, known: &str, is_required: bool) -> Self {
        let account = Some(Account { user: user.into(), password: Password::new(own) });
        let mut users = Users::default();
        users.insert(user, Password::new(known));
        let config = QuorumSaslConfig {
            jaas_file: "none".into(),
            learner_section: "QuorumLearner".into(),
            server_section: "QuorumServer".into(),
            learner_required: true,
            server_required: is_required,
        };
        Self { login: Watched::fixed(Login { account, users }), config, counts: Arc::default() }
    }
}
