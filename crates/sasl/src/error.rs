//! Why an exchange fails.

/// How much of a text from outside an operator is shown.
const SHOWN_CHARS_MAX: usize = 64;

/// Why an exchange fails, in words for an operator; the other side never hears them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SaslError {
    /// The token is longer than any can be.
    #[error("a token of {length} bytes is longer than {max}")]
    TooLong {
        /// Its length.
        length: usize,
        /// What is allowed.
        max: usize,
    },
    /// The exchange is over, or was never begun: nothing is to be answered to a token.
    #[error("a token comes out of turn: the exchange is over, so it may be a replay")]
    OutOfTurn,
    /// The token is not made of `key=value`.
    #[error("the token is malformed or cut short: {0}")]
    Malformed(&'static str),
    /// Something is missing that must be there.
    #[error("the token is malformed or cut short: `{0}` is missing")]
    Missing(&'static str),
    /// Something is there twice.
    #[error("the token has `{0}` more than once")]
    Repeated(&'static str),
    /// Something is not what this end takes.
    #[error("the token's `{key}` is `{value}`, which is not supported here")]
    Unsupported {
        /// What.
        key: &'static str,
        /// Its value, shortened.
        value: String,
    },
    /// A number is none. Java's server stumbles over that and says nothing any more.
    #[error("the token's `{key}` is `{value}`, which is not a number")]
    NotANumber {
        /// What.
        key: &'static str,
        /// Its value, shortened.
        value: String,
    },
    /// The token answers another challenge.
    #[error("the token answers another challenge, so it may be a replay")]
    OtherNonce,
    /// Nobody is called so.
    #[error("there is no user `{user}`")]
    UnknownUser {
        /// What it calls itself, shortened.
        user: String,
    },
    /// The password is another.
    #[error("the password of user `{user}` is wrong")]
    WrongPassword {
        /// Who.
        user: String,
    },
    /// A user asks for the rights of another.
    #[error("user `{user}` may not act as `{other}`")]
    NotAuthorized {
        /// Who.
        user: String,
        /// As whom.
        other: String,
    },
    /// A client begins with nothing, as those of DIGEST-MD5 do.
    #[error(
        "it begins with an empty token, which is none of GSSAPI: it may want DIGEST-MD5, which is not served beside Kerberos"
    )]
    NotKerberos,
    /// The library of Kerberos does not take a token, or cannot do what is asked of it. This is what it says.
    #[error("Kerberos: {0}")]
    Kerberos(String),
    /// The same, where it is known already who the other side is.
    #[error("{principal}: {problem}")]
    KerberosPeer {
        /// Its principal, shortened.
        principal: String,
        /// What is wrong.
        problem: String,
    },
    /// It has more parts than a service, a host and a realm.
    #[error("the principal `{principal}` has not the form `name@REALM` or `service/host@REALM`")]
    Principal {
        /// The principal, shortened.
        principal: String,
    },
    /// The server does not know the password either.
    #[error("the server does not show that it knows the password")]
    ServerUnproved,
}

impl SaslError {
    pub(crate) fn unsupported(key: &'static str, value: &[u8]) -> Self {
        Self::Unsupported { key, value: shown(value) }
    }

    pub(crate) fn not_a_number(key: &'static str, value: &[u8]) -> Self {
        Self::NotANumber { key, value: shown(value) }
    }
}

/// Text from outside as a log line may show it.
pub(crate) fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}
