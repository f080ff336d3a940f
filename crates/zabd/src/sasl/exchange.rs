//! A client's exchange, whichever mechanism it is of.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use tokio::sync::oneshot;
use zabd_sasl::gssapi::{self, Listener};
use zabd_sasl::kerberos::Names;
use zabd_sasl::{SaslError, server};

use super::kerberos::{Context, Library};
use crate::cut::Cut;

/// What has come of a client's tokens so far.
pub enum ClientExchange {
    /// DIGEST-MD5.
    Digest(server::Exchange),
    /// GSSAPI.
    Kerberos(KerberosExchange),
}

/// An exchange of GSSAPI, which is with another thread while a token of it is looked at.
#[derive(Default)]
pub struct KerberosExchange(Option<Box<Listener<Context>>>);

/// What is answered to a token.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// The exchange goes on behind this.
    Challenge(Vec<u8>),
    /// It is over.
    Proved {
        /// The server's own proof, if there is one yet to send.
        token: Option<Vec<u8>>,
        /// Who the other side is.
        user: String,
    },
}

/// When a token is answered.
pub enum Progress {
    /// It is.
    Now(Result<Answer, SaslError>),
    /// Another thread looks at it.
    Later(Proving),
}

/// A token that another thread looks at.
pub struct Proving(pub(super) oneshot::Receiver<Looked>);

/// What comes back from there.
pub(super) type Looked = (KerberosExchange, Result<Answer, SaslError>);

impl ClientExchange {
    /// Takes the answer to its token, if it is there. No other token is looked at before.
    pub fn poll(
        &mut self,
        proving: &mut Proving,
        context: &mut TaskContext<'_>,
    ) -> Poll<Result<Answer, SaslError>> {
        Pin::new(&mut proving.0).poll(context).map(|looked| {
            let (exchange, answer) = looked.expect("whoever looks at a token answers");
            *self = Self::Kerberos(exchange);
            answer
        })
    }
}

impl KerberosExchange {
    /// The exchange itself, which this one is without until it comes back.
    pub(super) fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// Whether no token has been looked at.
    pub(super) fn is_fresh(&self) -> bool {
        self.0.is_none()
    }

    /// Takes a token; waits for files.
    pub(super) fn step(
        mut self,
        token: &[u8],
        begin: impl FnOnce() -> Result<Context, String>,
        who: impl FnOnce(&str, Option<&str>) -> Result<String, SaslError>,
    ) -> Looked {
        let listener = match self.0.take() {
            Some(listener) => Ok(listener),
            None => begin().map(|context| Box::new(Listener::new(context))),
        };
        let mut listener = match listener {
            Ok(listener) => listener,
            Err(problem) => return (self, Err(SaslError::Kerberos(problem))),
        };
        let answer = listener.step(token).and_then(|step| match step {
            gssapi::Step::Challenge(token) => Ok(Answer::Challenge(token)),
            gssapi::Step::Proved { principal, acts_as } => {
                Ok(Answer::Proved { token: None, user: who(&principal, acts_as.as_deref())? })
            }
        });
        (Self(Some(listener)), answer)
    }
}

/// Who a principal is in access lists.
pub(super) fn identity(names: &Names, library: &dyn Library, principal: &str) -> Result<String, SaslError> {
    let mut names = names.clone();
    names.default_realm = library.default_realm().unwrap_or_default();
    let identity = names.identity(principal)?;
    if let Some(why) = identity.unmatched {
        let principal = Cut(principal);
        tracing::warn!("The principal {principal} is called so in access lists, too: {why}");
    }
    Ok(identity.id)
}

#[cfg(test)]
mod tests {
    use zabd_sasl::kerberos::{Login, Rules};

    use super::super::kerberos::tests::Toy;
    use super::*;

    fn names(removes_realm: bool) -> Names {
        Names { rules: Rules::default(), default_realm: String::new(), removes_host: false, removes_realm }
    }

    fn step(exchange: KerberosExchange, token: &[u8]) -> Looked {
        let login = Login { principal: "zookeeper/host".into(), keytab: None };
        exchange.step(token, || Toy.listener(&login), |principal, _| identity(&names(true), &Toy, principal))
    }

    fn challenge(text: &[u8]) -> Result<Answer, SaslError> {
        Ok(Answer::Challenge(text.to_vec()))
    }

    #[test]
    fn an_exchange_goes_on_where_it_was() {
        let (exchange, answer) = step(KerberosExchange::default(), b"ticket:alice@R");
        assert_eq!((exchange.is_fresh(), answer), (false, challenge(b"w\x01\x01\x00\x00")));
        let (exchange, answer) = step(exchange, b"w\x01\x00\x00\x00admin");
        assert_eq!(answer, Ok(Answer::Proved { token: None, user: "alice".into() }));
        assert_eq!(step(exchange, b"ticket:alice@R").1, Err(SaslError::OutOfTurn));
    }

    #[test]
    fn without_a_key_nothing_begins() {
        let refused = || Err("No key table entry found".to_owned());
        let (exchange, answer) =
            KerberosExchange::default().step(b"ticket:alice@R", refused, |_, _| unreachable!());
        assert_eq!(answer, Err(SaslError::Kerberos("No key table entry found".into())));
        assert!(exchange.is_fresh());
    }

    #[test]
    fn who_is_elsewhere_keeps_its_realm() {
        let who = |principal| identity(&names(true), &Toy, principal);
        assert_eq!(who("alice@R"), Ok("alice".into()));
        assert_eq!(who("alice@ELSEWHERE"), Ok("alice@ELSEWHERE".into()));
        assert!(matches!(who("a/b/c@R"), Err(SaslError::Principal { .. })));
    }
}
