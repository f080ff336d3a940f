//! The end that checks a password.
//!
//! ```text
//! Fresh ──anything──► Challenged ──right──► Over
//!                          └───────wrong──► Over
//! ```
//!
//! One exchange for one connection: what comes behind its end is refused, so that nothing can be replayed into it, and a nonce
//! is asked for once. What a client sends first is not looked at, as in Java, whose clients send nothing.

use crate::directives::{Directives, push_quoted};
use crate::error::shown;
use crate::response::{Facts, Method, QOP, is_same};
use crate::{SaslError, Service};

/// The longest response that is looked at.
pub const RESPONSE_BYTES_MAX: usize = 4096;

const KEYS: &[&str] = &[
    "username",
    "realm",
    "nonce",
    "cnonce",
    // Java looks for this name, which the RFC calls `nc`: what clients count is not compared.
    "nonce-count",
    "qop",
    "digest-uri",
    "response",
    "maxbuf",
    "charset",
    "authzid",
];

/// One exchange.
#[derive(Debug)]
pub struct Exchange {
    service: Service,
    state: State,
}

#[derive(Debug)]
enum State {
    Fresh,
    Challenged { nonce: String },
    Over,
}

/// What is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The exchange goes on behind this.
    Challenge(Vec<u8>),
    /// It is over.
    Proved {
        /// The server's own proof.
        token: Vec<u8>,
        /// Who the other side is.
        user: String,
    },
}

impl Exchange {
    /// An exchange of which nothing has come yet.
    pub fn new(service: Service) -> Self {
        Self { service, state: State::Fresh }
    }

    /// Takes a token. `nonce` makes one that nobody can guess, `password_of` knows the users.
    pub fn step<P: AsRef<str>>(
        &mut self,
        token: &[u8],
        nonce: impl FnOnce() -> String,
        password_of: impl FnOnce(&str) -> Option<P>,
    ) -> Result<Step, SaslError> {
        if token.len() > RESPONSE_BYTES_MAX {
            // As in Java, this does not count as an answer.
            return Err(SaslError::TooLong { length: token.len(), max: RESPONSE_BYTES_MAX });
        }
        match std::mem::replace(&mut self.state, State::Over) {
            State::Fresh => {
                let nonce = nonce();
                let challenge = self.challenge(&nonce);
                self.state = State::Challenged { nonce };
                Ok(Step::Challenge(challenge))
            }
            State::Challenged { nonce } => self.judge(&nonce, token, password_of),
            State::Over => Err(SaslError::OutOfTurn),
        }
    }

    fn challenge(&self, nonce: &str) -> Vec<u8> {
        let mut out = Vec::new();
        push_quoted(&mut out, "realm", self.service.name.as_bytes());
        out.push(b',');
        push_quoted(&mut out, "nonce", nonce.as_bytes());
        out.extend_from_slice(b",charset=utf-8,algorithm=md5-sess");
        out
    }

    fn judge<P: AsRef<str>>(
        &self,
        nonce: &str,
        token: &[u8],
        password_of: impl FnOnce(&str) -> Option<P>,
    ) -> Result<Step, SaslError> {
        let said = Directives::parse(token, KEYS)?;
        if let Some(charset) = said.get("charset").filter(|charset| *charset != b"utf-8") {
            return Err(SaslError::unsupported("charset", charset));
        }
        said.number("maxbuf", 10)?;
        let user = String::from_utf8_lossy(said.required("username")?).into_owned();
        let realm = said.get("realm").unwrap_or_default();
        if realm != self.service.name.as_bytes() {
            return Err(SaslError::unsupported("realm", realm));
        }
        if said.required("nonce")? != nonce.as_bytes() {
            return Err(SaslError::OtherNonce);
        }
        let client_nonce = said.required("cnonce")?;
        if said.number("nonce-count", 16)?.is_some_and(|count| count != 1) {
            return Err(SaslError::OtherNonce);
        }
        if let Some(qop) = said.get("qop").filter(|qop| *qop != QOP.as_bytes()) {
            return Err(SaslError::unsupported("qop", qop));
        }
        let uri = String::from_utf8_lossy(said.required("digest-uri")?).into_owned();
        if !uri.eq_ignore_ascii_case(&self.service.uri()) {
            return Err(SaslError::unsupported("digest-uri", uri.as_bytes()));
        }
        let proof = said.required("response")?;
        let authorization = said.get("authzid");

        let password = password_of(&user);
        let password = password.ok_or_else(|| SaslError::UnknownUser { user: shown(user.as_bytes()) })?;
        let facts = Facts {
            user: &user,
            realm: self.service.name,
            nonce: nonce.as_bytes(),
            client_nonce,
            uri: &uri,
            authorization,
            is_utf8: true,
        };
        let expected = facts.response(password.as_ref(), Method::Client);
        if !is_same(expected.as_bytes(), proof) {
            return Err(SaslError::WrongPassword { user: shown(user.as_bytes()) });
        }
        let other = authorization.filter(|other| *other != user.as_bytes());
        if let Some(other) = other.filter(|_| !self.service.overlooks_other_names) {
            return Err(SaslError::NotAuthorized { user: shown(user.as_bytes()), other: shown(other) });
        }
        let token = format!("rspauth={}", facts.response(password.as_ref(), Method::Server)).into_bytes();
        Ok(Step::Proved { token, user })
    }
}
