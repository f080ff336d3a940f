//! The mechanism GSSAPI (RFC 4752), as Java's JDK has it: what is said around a security context of Kerberos.
//!
//! ```text
//! dialler                              listener
//!   ── ticket, authenticator ─────────►  the context stands, and the dialler's principal is known
//!   ◄── proof of the listener ─────────
//!   ── empty ─────────────────────────►
//!   ◄── wrapped: layers on offer ──────  none but "no layer", and how much is taken at a time
//!   ── wrapped: layer, whom to be ────►  the exchange is over
//! ```
//!
//! The context itself is a [`SecurityContext`]: a library that reads keys and remembers what was replayed, of which nothing is
//! known here. What is wrapped is bound to the context, so that whoever replays the first token cannot say the last.

use crate::SaslError;
use crate::error::shown;

/// The longest token that is looked at. Tickets of a directory with many groups come near to it.
pub const TOKEN_BYTES_MAX: usize = 64 << 10;

/// No layer: what follows the exchange is not wrapped.
const NO_LAYER: u8 = 1;
/// What Java says it takes at a time behind the exchange.
const BUFFER_BYTES: u32 = 65536;
/// A layer, and how much is taken at a time.
const OFFER_BYTES: usize = 4;

/// One end of a context that two sides establish. An error is the library's own text.
pub trait SecurityContext {
    /// Takes a token of the other side.
    fn step(&mut self, token: &[u8]) -> Result<Stepped, String>;
    /// Protects a message against change.
    fn wrap(&mut self, message: &[u8]) -> Result<Vec<u8>, String>;
    /// Gives the message that the other side protected.
    fn unwrap(&mut self, token: &[u8]) -> Result<Vec<u8>, String>;
}

impl<C: SecurityContext + ?Sized> SecurityContext for Box<C> {
    fn step(&mut self, token: &[u8]) -> Result<Stepped, String> {
        (**self).step(token)
    }

    fn wrap(&mut self, message: &[u8]) -> Result<Vec<u8>, String> {
        (**self).wrap(message)
    }

    fn unwrap(&mut self, token: &[u8]) -> Result<Vec<u8>, String> {
        (**self).unwrap(token)
    }
}

/// What a context does with a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stepped {
    /// What is to be sent, if anything.
    pub token: Option<Vec<u8>>,
    /// The principal of the other side, once the context is established.
    pub peer: Option<String>,
}

/// What a listener sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The exchange goes on behind this.
    Challenge(Vec<u8>),
    /// It is over.
    Proved {
        /// Who the other side is.
        principal: String,
        /// Whom it wants to be, if it says so.
        acts_as: Option<String>,
    },
}

/// The end that checks who the other is.
#[derive(Debug)]
pub struct Listener<C> {
    context: C,
    state: ListenerState,
}

#[derive(Debug)]
enum ListenerState {
    Accepting,
    Established { principal: String },
    Offered { principal: String },
    Over,
}

impl<C: SecurityContext> Listener<C> {
    /// An exchange of which nothing has come yet.
    pub fn new(context: C) -> Self {
        Self { context, state: ListenerState::Accepting }
    }

    /// Takes a token. After an error the exchange is over.
    pub fn step(&mut self, token: &[u8]) -> Result<Step, SaslError> {
        check_length(token)?;
        match std::mem::replace(&mut self.state, ListenerState::Over) {
            ListenerState::Accepting => self.accept(token),
            ListenerState::Established { .. } if !token.is_empty() => {
                Err(SaslError::Malformed("something stands where nothing is due"))
            }
            ListenerState::Established { principal } => self.offer(principal),
            ListenerState::Offered { principal } => self.conclude(principal, token),
            ListenerState::Over => Err(SaslError::OutOfTurn),
        }
    }

    fn accept(&mut self, token: &[u8]) -> Result<Step, SaslError> {
        if token.is_empty() {
            return Err(SaslError::NotKerberos);
        }
        let stepped = self.context.step(token).map_err(SaslError::Kerberos)?;
        match (stepped.peer, stepped.token) {
            (Some(principal), None) => self.offer(principal),
            (Some(principal), Some(token)) => {
                self.state = ListenerState::Established { principal };
                Ok(Step::Challenge(token))
            }
            (None, token) => {
                self.state = ListenerState::Accepting;
                Ok(Step::Challenge(token.unwrap_or_default()))
            }
        }
    }

    fn offer(&mut self, principal: String) -> Result<Step, SaslError> {
        let mut offer = BUFFER_BYTES.to_be_bytes();
        offer[0] = NO_LAYER;
        let token = self.context.wrap(&offer).map_err(SaslError::Kerberos)?;
        self.state = ListenerState::Offered { principal };
        Ok(Step::Challenge(token))
    }

    fn conclude(&mut self, principal: String, token: &[u8]) -> Result<Step, SaslError> {
        let message =
            self.context.unwrap(token).map_err(|problem| SaslError::of_peer(&principal, &problem))?;
        let Some((chosen, acts_as)) = message.split_at_checked(OFFER_BYTES) else {
            return Err(SaslError::of_peer(&principal, "its choice of a layer is cut short"));
        };
        if chosen[0] & NO_LAYER == 0 {
            let problem = format!("it asks for the security layer {}, which is not offered", chosen[0]);
            return Err(SaslError::of_peer(&principal, &problem));
        }
        let acts_as = (!acts_as.is_empty()).then(|| String::from_utf8_lossy(acts_as).into_owned());
        Ok(Step::Proved { principal, acts_as })
    }
}

/// The end that shows who it is, and wants to see who the other is.
#[derive(Debug)]
pub struct Dialler<C> {
    context: C,
    /// Whom it wants to be.
    principal: String,
    state: DiallerState,
}

#[derive(Clone, Copy, Debug)]
enum DiallerState {
    Initiating,
    Established,
    Over,
}

/// What a dialler sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The exchange goes on behind this.
    Respond(Vec<u8>),
    /// The same, and nothing but the listener's consent is waited for.
    Conclude(Vec<u8>),
}

impl<C: SecurityContext> Dialler<C> {
    /// An exchange that begins with an empty token of the listener's.
    pub fn new(context: C, principal: String) -> Self {
        Self { context, principal, state: DiallerState::Initiating }
    }

    /// Takes what the listener says. After an error the exchange is over.
    pub fn step(&mut self, token: &[u8]) -> Result<Said, SaslError> {
        check_length(token)?;
        match std::mem::replace(&mut self.state, DiallerState::Over) {
            DiallerState::Initiating => {
                let stepped = self.context.step(token).map_err(SaslError::Kerberos)?;
                let is_established = stepped.peer.is_some();
                self.state =
                    if is_established { DiallerState::Established } else { DiallerState::Initiating };
                Ok(Said::Respond(stepped.token.unwrap_or_default()))
            }
            DiallerState::Established => self.choose(token).map(Said::Conclude),
            DiallerState::Over => Err(SaslError::OutOfTurn),
        }
    }

    fn choose(&mut self, token: &[u8]) -> Result<Vec<u8>, SaslError> {
        let offer = self.context.unwrap(token).map_err(SaslError::Kerberos)?;
        if offer.len() != OFFER_BYTES {
            return Err(SaslError::Malformed("the offer of layers is cut short"));
        }
        if offer[0] & NO_LAYER == 0 {
            return Err(SaslError::unsupported("security layer", offer[0].to_string().as_bytes()));
        }
        let mut choice = vec![NO_LAYER, 0, 0, 0];
        choice.extend_from_slice(self.principal.as_bytes());
        self.context.wrap(&choice).map_err(SaslError::Kerberos)
    }
}

fn check_length(token: &[u8]) -> Result<(), SaslError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(SaslError::TooLong { length: token.len(), max: TOKEN_BYTES_MAX });
    }
    Ok(())
}

impl SaslError {
    fn of_peer(principal: &str, problem: &str) -> Self {
        Self::KerberosPeer { principal: shown(principal.as_bytes()), problem: problem.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A context whose protection is a letter: `!` for whole tokens, `w` for wrapped ones.
    struct Plain {
        peer: &'static str,
        answers: Option<Vec<u8>>,
    }

    impl SecurityContext for Plain {
        fn step(&mut self, token: &[u8]) -> Result<Stepped, String> {
            match token.split_first() {
                Some((b'!', _)) => {
                    Ok(Stepped { token: self.answers.take(), peer: Some(self.peer.to_owned()) })
                }
                Some((b'.', _)) => Ok(Stepped { token: Some(b"more".to_vec()), peer: None }),
                None => Ok(Stepped { token: Some(b"!ticket".to_vec()), peer: None }),
                _ => Err("Defective token".to_owned()),
            }
        }

        fn wrap(&mut self, message: &[u8]) -> Result<Vec<u8>, String> {
            Ok([b"w", message].concat())
        }

        fn unwrap(&mut self, token: &[u8]) -> Result<Vec<u8>, String> {
            token.strip_prefix(b"w").map(<[u8]>::to_vec).ok_or_else(|| "Token is not whole".to_owned())
        }
    }

    fn listener(answers: Option<&[u8]>) -> Listener<Plain> {
        Listener::new(Plain { peer: "alice@R", answers: answers.map(<[u8]>::to_vec) })
    }

    fn challenge(token: &[u8]) -> Result<Step, SaslError> {
        Ok(Step::Challenge(token.to_vec()))
    }

    fn proved(acts_as: Option<&str>) -> Result<Step, SaslError> {
        Ok(Step::Proved { principal: "alice@R".into(), acts_as: acts_as.map(str::to_owned) })
    }

    #[test]
    fn an_exchange_as_javas_client_has_it() {
        let mut it = listener(Some(b"!proof"));
        assert_eq!(it.step(b".first"), challenge(b"more"));
        assert_eq!(it.step(b"!ticket"), challenge(b"!proof"));
        assert_eq!(it.step(b""), challenge(b"w\x01\x01\x00\x00"));
        assert_eq!(it.step(b"w\x01\x00\x00\x00alice@R"), proved(Some("alice@R")));
        assert_eq!(it.step(b"w\x01\x00\x00\x00alice@R"), Err(SaslError::OutOfTurn));
    }

    /// Where the dialler asks for no proof, the offer comes at once, and whom it wants to be may be left out.
    #[test]
    fn an_exchange_without_a_proof_of_the_listener() {
        let mut it = listener(None);
        assert_eq!(it.step(b"!ticket"), challenge(b"w\x01\x01\x00\x00"));
        assert_eq!(it.step(b"w\x01\x00\x00\x00"), proved(None));
    }

    #[test]
    fn tokens_that_end_an_exchange() {
        assert_eq!(listener(None).step(b""), Err(SaslError::NotKerberos));
        assert_eq!(listener(None).step(b"\xff"), Err(SaslError::Kerberos("Defective token".into())));
        let long = vec![b'!'; TOKEN_BYTES_MAX + 1];
        assert!(matches!(listener(None).step(&long), Err(SaslError::TooLong { .. })));

        let mut it = listener(Some(b"!proof"));
        it.step(b"!ticket").unwrap();
        assert!(matches!(it.step(b"!"), Err(SaslError::Malformed(_))));
        assert_eq!(it.step(b""), Err(SaslError::OutOfTurn), "an error is the end");
    }

    #[test]
    fn who_has_shown_who_it_is_is_named_when_it_fails_behind_that() {
        for (token, problem) in [
            (&b"x\x01\x00\x00\x00"[..], "Token is not whole"),
            (b"w\x01\x00\x00", "cut short"),
            (b"w\x02\x00\x00\x00", "security layer 2"),
            (b"w\x00\x00\x00\x00", "security layer 0"),
        ] {
            let mut it = listener(None);
            it.step(b"!ticket").unwrap();
            let text = it.step(token).unwrap_err().to_string();
            assert!(text.starts_with("alice@R: ") && text.contains(problem), "{text}");
        }
    }

    #[test]
    fn both_ends_meet() {
        let mut listener = listener(Some(b"!proof"));
        let mut dialler = Dialler::new(Plain { peer: "zk/host@R", answers: None }, "alice@R".into());
        let mut token = Vec::new();
        for _ in 0..2 {
            let Ok(Said::Respond(said)) = dialler.step(&token) else { panic!("it goes on") };
            let Ok(Step::Challenge(challenge)) = listener.step(&said) else { panic!("it goes on") };
            token = challenge;
        }
        let Ok(Said::Conclude(said)) = dialler.step(&token) else { panic!("it chooses") };
        assert_eq!(listener.step(&said), proved(Some("alice@R")));
        assert_eq!(dialler.step(b""), Err(SaslError::OutOfTurn));
    }

    #[test]
    fn offers_that_a_dialler_does_not_take() {
        for offer in [&b"w\x06\x00\x00\x00"[..], b"w\x01\x00\x00", b"x", b""] {
            let mut it = Dialler::new(Plain { peer: "zk/host@R", answers: None }, "alice@R".into());
            it.step(b"!").unwrap();
            it.step(offer).unwrap_err();
        }
    }
}
