//! What must not be shown: values of keys that the table calls secret, and of those that it does not know and that look like one.
//!
//! A password under a name that nobody reads is a password all the same: whoever mistyped `ssl.keyStore.password` has told it to
//! the server, and Java's answer to `initial_configuration` tells it to whoever asks, since no command but `snapshot` and
//! `restore` asks who that is. In doubt it is hidden: an unknown `token` loses nothing but a look at it.

use crate::config::Config;
use crate::keys;
use crate::properties::{Piece, pieces};
use crate::suggestion::nearest;

/// What stands in for a secret wherever a value is shown.
pub(crate) const HIDDEN: &str = "(hidden)";

/// What names of secrets have in them, in small letters and without what separates words.
const SIGNS: [&str; 12] = [
    "passw",
    "pasw",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "token",
    "credential",
    "digest",
    "privatekey",
    "apikey",
    "accesskey",
];

/// Whether the value of a key or property must not be shown, whoever reads it, or nobody.
fn is_secret(name: &str) -> bool {
    match keys::find(name) {
        Some(row) if row.secret => true,
        Some(row) if row.prefix.is_none() => false,
        _ => {
            looks_secret(name)
                || nearest(keys::unprefixed(name)).and_then(keys::find).is_some_and(|row| row.secret)
        }
    }
}

/// The value of a key or property as it may be shown.
pub fn shown<'a>(name: &str, value: &'a str) -> &'a str {
    if is_secret(name) { HIDDEN } else { value }
}

fn looks_secret(text: &str) -> bool {
    let word: String =
        text.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase();
    SIGNS.iter().any(|sign| word.contains(sign))
}

impl Config {
    /// Whether a key that nothing reads may hold a secret under any name: a login configuration may ask for it, and gets a password.
    fn lends_unknown_keys(&self) -> bool {
        self.auth.sasl.jaas_file.is_some()
    }

    /// The keys that nothing reads, by their names in Java, as they may be shown.
    pub fn shown_system_properties(&self) -> impl Iterator<Item = (&str, &str)> {
        let hides = self.lends_unknown_keys();
        self.system_properties.iter().map(move |(name, value)| {
            let value = if hides { HIDDEN } else { shown(name, value) };
            (name.as_str(), value)
        })
    }

    /// Its zoo.cfg, which holds this, as it may be shown.
    pub fn shown_file(&self, file: &[u8]) -> String {
        without_secrets(file, self.lends_unknown_keys())
    }
}

/// A file of properties as it may be shown: entries without their secrets, and comments only if they speak of none.
fn without_secrets(file: &[u8], hides_unknown: bool) -> String {
    let is_secret = |key: &str| is_secret(key) || hides_unknown && keys::find(key).is_none();
    let mut shown = String::new();
    for piece in pieces(file) {
        match piece {
            Piece::Entry { key, .. } if is_secret(&key) => shown.extend([&*key, "=", HIDDEN, "\n"]),
            Piece::Malformed => shown.extend([HIDDEN, "\n"]),
            Piece::Comment { text } if looks_secret(&String::from_utf8_lossy(text)) => {
                shown.extend(["# ", HIDDEN, "\n"]);
            }
            Piece::Entry { text, .. } | Piece::Comment { text } => {
                shown.push_str(&String::from_utf8_lossy(text));
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_the_table_and_else_by_their_looks() {
        for name in [
            "ssl.keyStore.password",
            "zookeeper.ssl.quorum.trustStore.password",
            "zookeeper.DigestAuthenticationProvider.superDigest",
            "ssl.keyStore.pasword",
            "ssl.keystore.Passwrod",
            "metricsProvider.ssl.keyStore.password",
            "javax.net.ssl.keyStorePassword",
            "my.vault-token",
            "zookeeper.db.PASS_WORD",
            "DigestAuthenticationProvider.superDigst",
            "aws.secretAccessKey",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "tickTime",
            "ssl.keyStore.passwordPath",
            "connection_throttle_tokens",
            "connectionMaxTokens",
            "digest.enabled",
            "zookeeper.my.key",
            "server.1",
            "authProvider.1",
            "metricsProvider.httpPort",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn a_file_is_shown_without_its_secrets() {
        let file = b"# zabd\ntickTime=2000\n\nssl.keyStore.password = se\\\n  same\nssl.keyStore.pasword:sesame\r\n\
                     #ssl.keyStore.password=sesame\n! the old password was sesame\nsuperDigest \\u12 sesame\nmy.key=\\\n  1\nlast=2";
        assert_eq!(
            without_secrets(file, false),
            "# zabd\ntickTime=2000\n\nssl.keyStore.password=(hidden)\nssl.keyStore.pasword=(hidden)\n# (hidden)\n# (hidden)\n\
             (hidden)\nmy.key=\\\n  1\nlast=2"
        );
        let lent = without_secrets(b"tickTime=2000\ncarol=sesame\nauthProvider.1=x\n", true);
        assert_eq!(lent, "tickTime=2000\ncarol=(hidden)\nauthProvider.1=x\n");
    }
}
