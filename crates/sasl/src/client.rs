//! The end that proves a password, and wants to see it proved.
//!
//! ```text
//! Fresh ──challenge──► Answered ──rspauth──► Over
//! ```

use crate::directives::{Directives, push_quoted};
use crate::response::{Facts, Method, NONCE_COUNT, QOP, is_same, latin1};
use crate::users::Account;
use crate::{SaslError, Service};

/// The longest challenge that is looked at.
pub const CHALLENGE_BYTES_MAX: usize = 2048;

/// What Java says it takes at a time behind the exchange, where nothing is wrapped.
const BUFFER_BYTES: &str = "65536";

const KEYS: &[&str] =
    &["realm", "qop", "algorithm", "nonce", "maxbuf", "charset", "cipher", "rspauth", "stale"];

/// One exchange.
#[derive(Debug)]
pub struct Exchange {
    service: Service,
    account: Account,
    state: State,
}

#[derive(Debug)]
enum State {
    Fresh,
    Answered { expected: String },
    Over,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// This is to be sent.
    Respond(Vec<u8>),
    /// The server has shown that it knows the password: the exchange is over.
    Done,
}

impl Exchange {
    /// An exchange that begins with an empty token.
    pub fn new(service: Service, account: Account) -> Self {
        Self { service, account, state: State::Fresh }
    }

    /// As whom this end authenticates itself.
    pub fn user(&self) -> &str {
        &self.account.user
    }

    /// Takes what the server says. `nonce` makes one that nobody can guess.
    pub fn step(&mut self, token: &[u8], nonce: impl FnOnce() -> String) -> Result<Step, SaslError> {
        if token.len() > CHALLENGE_BYTES_MAX {
            return Err(SaslError::TooLong { length: token.len(), max: CHALLENGE_BYTES_MAX });
        }
        match std::mem::replace(&mut self.state, State::Over) {
            State::Fresh => {
                let (response, expected) = self.respond(token, &nonce())?;
                self.state = State::Answered { expected };
                Ok(Step::Respond(response))
            }
            State::Answered { expected } => {
                let said = Directives::parse(token, KEYS)?;
                if !is_same(expected.as_bytes(), said.required("rspauth")?) {
                    return Err(SaslError::ServerUnproved);
                }
                Ok(Step::Done)
            }
            State::Over => Err(SaslError::OutOfTurn),
        }
    }

    /// The response, and the proof that the server is to give.
    fn respond(&self, challenge: &[u8], client_nonce: &str) -> Result<(Vec<u8>, String), SaslError> {
        let said = Directives::parse(challenge, KEYS)?;
        let is_utf8 = match said.get("charset") {
            None => false,
            Some(b"utf-8") => true,
            Some(other) => return Err(SaslError::unsupported("charset", other)),
        };
        match said.required("algorithm")? {
            b"md5-sess" => (),
            other => return Err(SaslError::unsupported("algorithm", other)),
        }
        let nonce = said.required("nonce")?;
        let realm = String::from_utf8_lossy(said.get("realm").unwrap_or_default());
        said.number("maxbuf", 10)?;
        let qop = said.get("qop").unwrap_or(QOP.as_bytes());
        if !qop.split(|byte| b", \t\n".contains(byte)).any(|each| each == QOP.as_bytes()) {
            return Err(SaslError::unsupported("qop", qop));
        }
        let (user, uri) = (&self.account.user, self.service.uri());
        let facts = Facts {
            user,
            realm: &realm,
            nonce,
            client_nonce: client_nonce.as_bytes(),
            uri: &uri,
            authorization: Some(user.as_bytes()),
            is_utf8,
        };
        let password = self.account.password.expose();
        let proof = facts.response(password, Method::Client);
        let encoded = |text: &str| if is_utf8 { text.as_bytes().to_vec() } else { latin1(text) };

        let mut out = Vec::new();
        if is_utf8 {
            out.extend_from_slice(b"charset=utf-8,");
        }
        push_quoted(&mut out, "username", &encoded(user));
        if !realm.is_empty() {
            out.push(b',');
            push_quoted(&mut out, "realm", &encoded(&realm));
        }
        out.push(b',');
        push_quoted(&mut out, "nonce", nonce);
        out.extend_from_slice(format!(",nc={NONCE_COUNT},").as_bytes());
        push_quoted(&mut out, "cnonce", client_nonce.as_bytes());
        out.extend_from_slice(
            format!(",digest-uri=\"{uri}\",maxbuf={BUFFER_BYTES},response={proof},qop={QOP},").as_bytes(),
        );
        push_quoted(&mut out, "authzid", user.as_bytes());
        Ok((out, facts.response(password, Method::Server)))
    }
}
