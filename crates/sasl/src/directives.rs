//! The text inside a token: `key=value,key="quoted value",...`.
//!
//! As Java's JDK reads it, which is looser than the RFC: white space ends an unquoted value as a comma does, commas may be
//! repeated, a key at the very end needs no value, and keys that nobody asks for are skipped. Keys do not care for case.

use crate::SaslError;

/// The values of the keys that are asked for.
#[derive(Debug)]
pub(crate) struct Directives {
    keys: &'static [&'static str],
    values: Vec<Option<Vec<u8>>>,
}

impl Directives {
    /// Reads a token. Each of `keys` may come once.
    pub fn parse(token: &[u8], keys: &'static [&'static str]) -> Result<Self, SaslError> {
        let mut directives = Self { keys, values: vec![None; keys.len()] };
        let mut cursor = Cursor { bytes: token, at: 0 };
        while let Some((key, value)) = cursor.directive()? {
            directives.add(&key, value)?;
        }
        Ok(directives)
    }

    fn add(&mut self, key: &[u8], value: Vec<u8>) -> Result<(), SaslError> {
        let Some(index) = self.keys.iter().position(|known| known.as_bytes().eq_ignore_ascii_case(key))
        else {
            return Ok(());
        };
        match self.values[index].replace(value) {
            None => Ok(()),
            Some(_) => Err(SaslError::Repeated(self.keys[index])),
        }
    }

    /// The value of a key, if it is there.
    pub fn get(&self, key: &'static str) -> Option<&[u8]> {
        let index = self.keys.iter().position(|known| *known == key).expect("only what is read is asked for");
        self.values[index].as_deref()
    }

    /// The value of a key that must be there.
    pub fn required(&self, key: &'static str) -> Result<&[u8], SaslError> {
        self.get(key).ok_or(SaslError::Missing(key))
    }

    /// The number behind a key, as Java's `Integer.parseInt` reads it, if it is there.
    pub fn number(&self, key: &'static str, radix: u32) -> Result<Option<i32>, SaslError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let number = std::str::from_utf8(value).ok().and_then(|text| i32::from_str_radix(text, radix).ok());
        number.map(Some).ok_or_else(|| SaslError::not_a_number(key, value))
    }
}

/// A key and its value.
type Pair = (Vec<u8>, Vec<u8>);

/// A place in a token.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
    }

    /// The next key and its value; nothing at the end.
    fn directive(&mut self) -> Result<Option<Pair>, SaslError> {
        while self.peek().is_some_and(|byte| byte == b',' || is_space(byte)) {
            self.at += 1;
        }
        let start = self.at;
        while self.peek().is_some_and(|byte| !is_space(byte) && byte != b',' && byte != b'=') {
            self.at += 1;
        }
        let key = self.bytes[start..self.at].to_vec();
        match self.peek() {
            None if key.is_empty() => return Ok(None),
            None => return Ok(Some((key, Vec::new()))),
            Some(b',') => return Err(SaslError::Malformed("a key has a comma behind it")),
            Some(_) => self.skip_space(),
        }
        if self.peek() != Some(b'=') {
            return Err(SaslError::Malformed("a key has no `=` behind it"));
        }
        if key.is_empty() {
            return Err(SaslError::Malformed("there is a `=` without a key"));
        }
        self.at += 1;
        self.skip_space();
        let value = match self.peek() {
            None => return Err(SaslError::Malformed("the last key has no value")),
            Some(b'"') => self.quoted()?,
            Some(_) => self.unquoted(),
        };
        Ok(Some((key, value)))
    }

    fn unquoted(&mut self) -> Vec<u8> {
        let start = self.at;
        while self.peek().is_some_and(|byte| !is_space(byte) && byte != b',') {
            self.at += 1;
        }
        self.bytes[start..self.at].to_vec()
    }

    fn quoted(&mut self) -> Result<Vec<u8>, SaslError> {
        const UNCLOSED: SaslError = SaslError::Malformed("a quoted value has no end");
        self.at += 1;
        let mut value = Vec::new();
        loop {
            match self.peek().ok_or(UNCLOSED)? {
                b'"' => break,
                b'\\' => {
                    self.at += 1;
                    value.push(self.peek().ok_or(UNCLOSED)?);
                }
                byte => value.push(byte),
            }
            self.at += 1;
        }
        self.at += 1;
        if self.peek().is_some_and(|byte| !is_space(byte) && byte != b',') {
            return Err(SaslError::Malformed("something follows a quoted value at once"));
        }
        Ok(value)
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n' | b' ' | b'\t')
}

/// Appends a value in quotes, escaped as Java does.
pub(crate) fn push_quoted(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"=\"");
    for byte in value {
        let is_control = (*byte < 0x20 && !matches!(byte, b'\r' | b'\n' | b'\t')) || *byte == 0x7f;
        if is_control || matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &[&str] = &["a", "b", "c"];

    fn values(token: &str) -> Result<[Option<String>; 3], SaslError> {
        let directives = Directives::parse(token.as_bytes(), KEYS)?;
        let text = |key| directives.get(key).map(|value| String::from_utf8(value.to_vec()).unwrap());
        Ok([text("a"), text("b"), text("c")])
    }

    #[test]
    fn values_with_and_without_quotes() {
        let some = |text: &str| Some(text.to_owned());
        for (token, expected) in [
            ("a=1,b=2,c=3", [some("1"), some("2"), some("3")]),
            (" ,, A = \"x,y\" ,\tb=2 c=3,", [some("x,y"), some("2"), some("3")]),
            (r#"a="q\"u\\o\te",other="z""#, [some(r#"q"u\ote"#), None, None]),
            ("a=,b=\"\"", [some(""), some(""), None]),
            ("a=1=2,b", [some("1=2"), some(""), None]),
            ("", [None, None, None]),
        ] {
            assert_eq!(values(token), Ok(expected), "{token}");
        }
    }

    #[test]
    fn what_is_no_list() {
        for token in ["a,b=1", "=1", "a=", "a =", "a b=1", "a=\"1", "a=\"1\\", "a=\"1\"2", " = 1"] {
            assert!(matches!(values(token), Err(SaslError::Malformed(_))), "{token}: {:?}", values(token));
        }
        assert_eq!(values("a=1,A=2"), Err(SaslError::Repeated("a")));
        assert_eq!(values("z=1,z=2").unwrap(), [None, None, None], "who does not ask does not care");
    }

    #[test]
    fn quoting_comes_back() {
        let value = b"a\"b\\c\x01\t\x7f\xc3\xa9";
        let mut token = Vec::new();
        push_quoted(&mut token, "a", value);
        assert_eq!(Directives::parse(&token, KEYS).unwrap().get("a"), Some(&value[..]));
    }

    #[test]
    fn numbers_are_javas() {
        let number = |token: &str| Directives::parse(token.as_bytes(), KEYS).unwrap().number("a", 10);
        assert_eq!((number("a=+5"), number("a=-5"), number("b=1")), (Ok(Some(5)), Ok(Some(-5)), Ok(None)));
        for token in ["a=,", "a=x", "a=4294967296"] {
            assert!(matches!(number(token), Err(SaslError::NotANumber { .. })), "{token}");
        }
    }
}
