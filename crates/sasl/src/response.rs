//! The hash at the heart of the exchange: it proves a password, in either direction, without showing it.
//!
//! ```text
//! A1       = MD5(user:realm:password) ':' nonce ':' cnonce [':' authzid]
//! A2       = method ':' digest-uri                  method: AUTHENTICATE from the client, nothing from the server
//! response = hex(MD5( hex(MD5(A1)) ':' nonce ':' nc ':' cnonce ':' qop ':' hex(MD5(A2)) ))
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest as _, Md5};

/// A nonce is good for one exchange only.
pub(crate) const NONCE_COUNT: &str = "00000001";
/// The only quality of protection: none behind the exchange.
pub(crate) const QOP: &str = "auth";

/// What both ends know of an exchange once the client has answered.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    pub user: &'a str,
    pub realm: &'a str,
    pub nonce: &'a [u8],
    pub client_nonce: &'a [u8],
    pub uri: &'a str,
    /// As whom the user wants to act, if the client has said it.
    pub authorization: Option<&'a [u8]>,
    /// Whether names and passwords may be UTF-8.
    pub is_utf8: bool,
}

/// Whose proof it is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Method {
    Client,
    Server,
}

impl Facts<'_> {
    /// The proof that somebody knows the password, in hexadecimal.
    pub fn response(&self, password: &str, method: Method) -> String {
        let account = [
            &*self.latin1_if_possible(self.user),
            &*self.latin1_if_possible(self.realm),
            &*self.latin1_if_possible(password),
        ];
        let mut a1 = Md5::digest(account.join(&b':')).to_vec();
        for part in [Some(self.nonce), Some(self.client_nonce), self.authorization].into_iter().flatten() {
            a1.push(b':');
            a1.extend_from_slice(part);
        }
        let method = match method {
            Method::Client => "AUTHENTICATE",
            Method::Server => "",
        };
        let a2 = format!("{method}:{}", self.uri);
        let (a1, a2) = (hex(&Md5::digest(a1)), hex(&Md5::digest(a2)));
        let parts = [
            a1.as_bytes(),
            self.nonce,
            NONCE_COUNT.as_bytes(),
            self.client_nonce,
            QOP.as_bytes(),
            a2.as_bytes(),
        ];
        hex(&Md5::digest(parts.join(&b':')))
    }

    /// The RFC's rule for what is hashed: ISO 8859-1 if the text fits into it.
    fn latin1_if_possible(&self, text: &str) -> Vec<u8> {
        if self.is_utf8 && text.chars().any(|each| u32::from(each) > 0xff) {
            return text.as_bytes().to_vec();
        }
        latin1(text)
    }
}

/// ISO 8859-1, with a question mark for what is not in it.
pub(crate) fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|each| u8::try_from(u32::from(each)).unwrap_or(b'?')).collect()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A nonce as Java writes one: 40 characters for 30 random bytes.
pub fn nonce(random: [u8; 30]) -> String {
    BASE64.encode(random)
}

/// Whether two proofs are the same, in a time that does not tell how much of them is.
pub(crate) fn is_same(expected: &[u8], given: &[u8]) -> bool {
    expected.len() == given.len() && expected.iter().zip(given).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 2831, section 4.
    #[test]
    fn the_example_of_the_rfc() {
        let facts = Facts {
            user: "chris",
            realm: "elwood.innosoft.com",
            nonce: b"OA6MG9tEQGm2hh",
            client_nonce: b"OA6MHXh6VqTrRk",
            uri: "imap/elwood.innosoft.com",
            authorization: None,
            is_utf8: true,
        };
        assert_eq!(facts.response("secret", Method::Client), "d388dad90d4bbd760a152321f2143af7");
        assert_eq!(facts.response("secret", Method::Server), "ea40f60335c427b5527b84dbabcdfffd");
    }

    #[test]
    fn text_is_latin1_where_it_can_be() {
        let facts = |is_utf8| Facts {
            user: "u",
            realm: "r",
            nonce: b"n",
            client_nonce: b"c",
            uri: "p/s",
            authorization: None,
            is_utf8,
        };
        assert_eq!(facts(true).latin1_if_possible("é"), b"\xe9");
        assert_eq!(facts(true).latin1_if_possible("é€"), "é€".as_bytes());
        assert_eq!(facts(false).latin1_if_possible("é€"), b"\xe9?");
    }
}
