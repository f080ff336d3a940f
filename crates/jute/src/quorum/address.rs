//! A host and a port as text, cut and joined as Java does.
//!
//! A host stays what an operator wrote; turning it into an address is for whoever dials, each time anew.
//! Only literals take the one form that Java prints, so that two texts for one address are equal: `::1` is
//! `0:0:0:0:0:0:0:1`, an IPv4 address inside an IPv6 one is the IPv4 address, and no host is `localhost`.

use std::borrow::Cow;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Where to dial.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// A name or a literal, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Address {
    /// `host:port` with the host as it is.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }
}

/// `host:port`, and `[host]:port` for what holds a colon itself.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", Bracketed(&self.host), self.port)
    }
}

/// A host before a colon.
pub(super) struct Bracketed<'a>(pub &'a str);

impl fmt::Display for Bracketed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains(':') { write!(f, "[{}]", self.0) } else { f.write_str(self.0) }
    }
}

/// Java's `String.split`: empty parts at the end do not count, and only separators are no part at all.
pub(super) fn split(text: &str, separator: char) -> Vec<&str> {
    let mut parts: Vec<_> = text.split(separator).collect();
    while text.contains(separator) && parts.last() == Some(&"") {
        parts.pop();
    }
    parts
}

/// Cuts at colons, but not inside the brackets of a literal; `None` for brackets that do not close or
/// have an empty rest. Java's `ConfigUtils.getHostAndPort`, which skips whatever stands behind a bracket.
///
/// Configurations are printed without escapes and read with them, so what looks like one would be another address, or
/// another line, at every reading; no host needs it, and it is `None`.
pub(super) fn host_and_ports(text: &str) -> Option<Vec<&str>> {
    if text.contains(|c: char| c == '\\' || c.is_control()) {
        return None;
    }
    let Some(bracketed) = text.strip_prefix('[') else { return Some(split(text, ':')) };
    let (host, rest) = bracketed.split_once(']')?;
    let mut behind = rest.chars();
    match behind.next() {
        None => Some(vec![host]),
        Some(_) if behind.as_str().is_empty() => None,
        Some(_) => Some([vec![host], split(behind.as_str(), ':')].concat()),
    }
}

/// `Integer.parseInt`, within what a port can be.
pub(super) fn port(text: &str) -> Option<u16> {
    text.parse::<i32>().ok()?.try_into().ok()
}

/// The host as Java prints it.
pub(super) fn printed_host(host: &str) -> Cow<'_, str> {
    if host.is_empty() {
        return "localhost".into();
    }
    if let Some(ip) = ipv4(host) {
        return ip.to_string().into();
    }
    // A scope is a number or the name of an interface; whether the latter exists is not known here.
    let (literal, scope) = host.split_once('%').unwrap_or((host, ""));
    if !scope.bytes().all(|byte| byte.is_ascii_digit()) {
        return host.into();
    }
    match literal.parse::<Ipv6Addr>() {
        Err(_) => host.into(),
        Ok(ip) => ip.to_ipv4_mapped().map_or_else(|| full_ipv6(ip, scope), |ip| ip.to_string()).into(),
    }
}

fn full_ipv6(ip: Ipv6Addr, scope: &str) -> String {
    let groups = ip.segments().map(|group| format!("{group:x}"));
    let percent = if scope.is_empty() { "" } else { "%" };
    format!("{}{percent}{scope}", groups.join(":"))
}

/// One to four decimal numbers, of which the last fills what the others leave: `127.1` is `127.0.0.1`.
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<&str> = text.split('.').collect();
    let (last, first) = parts.split_last()?;
    let number = |part: &str| {
        let is_decimal = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        is_decimal.then(|| part.parse::<u64>().ok()).flatten()
    };
    if 3 < first.len() {
        return None;
    }
    let mut bits = 0;
    for part in first {
        bits = bits << 8 | number(part).filter(|byte| *byte < 256)?;
    }
    let room = 32 - 8 * first.len();
    let rest = number(last).filter(|rest| rest >> room == 0)?;
    Some(Ipv4Addr::from((bits << room | rest) as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_read_otherwise_is_no_address() {
        for text in ["a\\2:1:2", "a\nb:1:2", "[a\tb]:1:2", "a:1\0:2"] {
            assert_eq!(host_and_ports(text), None, "{text:?}");
        }
        assert_eq!(host_and_ports("zk-0.é:1:2"), Some(vec!["zk-0.é", "1", "2"]));
    }

    #[test]
    fn split_is_javas() {
        assert_eq!(split("", ':'), [""]);
        assert_eq!(split(":", ':'), [""; 0]);
        assert_eq!(split(":a::", ':'), ["", "a"]);
    }

    #[test]
    fn brackets_hold_colons() {
        assert_eq!(host_and_ports("[::1]:2:3"), Some(vec!["::1", "2", "3"]));
        assert_eq!(host_and_ports("[::1]"), Some(vec!["::1"]));
        assert_eq!(host_and_ports("[::1]x2"), Some(vec!["::1", "2"]));
        assert_eq!(host_and_ports("[::1]:"), None);
        assert_eq!(host_and_ports("[::1:2"), None);
        assert_eq!(host_and_ports("zk1:2"), Some(vec!["zk1", "2"]));
        assert_eq!(Address::new("::1", 2).to_string(), "[::1]:2");
    }

    #[test]
    fn ports_are_small_and_decimal() {
        assert_eq!(["0", "+5", "0010", "65535"].map(port), [Some(0), Some(5), Some(10), Some(65535)]);
        assert_eq!(["", "-1", "65536", " 1", "1 ", "x"].map(port), [None; 6]);
    }

    /// What `InetSocketAddress.getHostString` of Java 17 made of each text.
    #[test]
    fn literals_take_javas_form() {
        for (host, printed) in [
            ("zk1", "zk1"),
            ("ZK1.example", "ZK1.example"),
            ("", "localhost"),
            ("127.1", "127.0.0.1"),
            ("1", "0.0.0.1"),
            ("010.0.0.1", "10.0.0.1"),
            ("1.2.3.4.5", "1.2.3.4.5"),
            ("256.0.0.1", "256.0.0.1"),
            ("::1", "0:0:0:0:0:0:0:1"),
            ("2001:db8::A:0:0:1", "2001:db8:0:0:a:0:0:1"),
            ("::1.2.3.4", "0:0:0:0:0:0:102:304"),
            ("::ffff:10.0.0.9", "10.0.0.9"),
            ("fe80::1%1", "fe80:0:0:0:0:0:0:1%1"),
            ("fe80::1%eth9", "fe80::1%eth9"),
        ] {
            assert_eq!(printed_host(host), printed);
        }
    }
}
