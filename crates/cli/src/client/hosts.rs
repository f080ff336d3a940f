//! Which servers there are: Java's connect string, and the order in which they are tried.

use std::net::{SocketAddr, ToSocketAddrs as _};

use super::path::{self, PathMistake};

/// ZooKeeper's port.
const PORT_DEFAULT: u16 = 2181;

/// `host[:port][,host[:port]…][/chroot]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectString {
    /// At least one.
    pub hosts: Vec<(String, u16)>,
    /// Below which znode everything is, if not below the root.
    pub chroot: Option<String>,
}

/// Why a connect string is none. Prints as Java says it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostsError {
    /// There is no server in it.
    #[error("A HostProvider may not be empty!")]
    Empty,
    /// A port is no number.
    #[error("For input string: \"{0}\"")]
    Port(String),
    /// A port is no port.
    #[error("port out of range:{0}")]
    PortRange(i64),
    /// A bracket is not closed, or has the wrong neighbour.
    #[error("{0}")]
    Brackets(String),
    /// The chroot is no path.
    #[error(transparent)]
    Chroot(#[from] PathMistake),
}

impl ConnectString {
    /// Takes a connect string apart.
    pub fn parse(text: &str) -> Result<Self, HostsError> {
        let (servers, chroot) = match text.find('/') {
            None => (text, None),
            Some(at) => (&text[..at], Some(&text[at..]).filter(|chroot| chroot.len() > 1)),
        };
        if let Some(chroot) = chroot {
            path::validate(chroot)?;
        }
        let hosts: Vec<_> = servers
            .split(',')
            .map(str::trim)
            .filter(|host| !host.is_empty())
            .map(host_and_port)
            .collect::<Result<_, _>>()?;
        if hosts.is_empty() {
            return Err(HostsError::Empty);
        }
        Ok(Self { hosts, chroot: chroot.map(str::to_owned) })
    }
}

fn host_and_port(text: &str) -> Result<(String, u16), HostsError> {
    if let Some(inner) = text.strip_prefix('[') {
        let (host, behind) = inner
            .rsplit_once(']')
            .ok_or_else(|| HostsError::Brackets(format!("{text} starts with '[' but has no matching ']'")))?;
        return match behind.strip_prefix(':') {
            _ if host.is_empty() => Err(HostsError::Brackets(" is empty.".to_owned())),
            None if behind.is_empty() => Ok((host.to_owned(), PORT_DEFAULT)),
            None => Err(HostsError::Brackets(format!("{text} does not have : after ]"))),
            Some("") => Err(HostsError::Brackets(format!("{text} doesn't have a port after colon."))),
            Some(number) => Ok((host.to_owned(), port(number)?)),
        };
    }
    match text.rsplit_once(':') {
        None => Ok((text.to_owned(), PORT_DEFAULT)),
        Some((host, "")) => Ok((host.to_owned(), PORT_DEFAULT)),
        Some((host, number)) => Ok((host.to_owned(), port(number)?)),
    }
}

fn port(text: &str) -> Result<u16, HostsError> {
    let number: i64 = text.parse().map_err(|_| HostsError::Port(text.to_owned()))?;
    u16::try_from(number).map_err(|_| HostsError::PortRange(number))
}

/// The servers in the order of this session.
pub struct Rotation {
    hosts: Vec<(String, u16)>,
    next: usize,
    /// The one behind which a round is over: nothing is gained by asking all of them again at once.
    last: Option<usize>,
}

impl Rotation {
    /// In an order that differs between clients, so that they spread over the servers.
    pub fn new(servers: &ConnectString, mut random: impl FnMut(usize) -> usize) -> Self {
        let mut hosts = servers.hosts.clone();
        for end in (1..hosts.len()).rev() {
            hosts.swap(end, random(end + 1));
        }
        Self { hosts, next: 0, last: None }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// The next one, and whether all have been tried since the last success.
    pub fn next(&mut self) -> ((String, u16), bool) {
        let at = self.next;
        self.next = (at + 1) % self.hosts.len();
        let is_round_over = self.last == Some(at);
        // The very first round begins at the first server and ends when that is met again.
        self.last.get_or_insert(0);
        (self.hosts[at].clone(), is_round_over)
    }

    /// The last one given has answered.
    pub fn answered(&mut self) {
        self.last = Some((self.next + self.hosts.len() - 1) % self.hosts.len());
    }
}

/// All addresses of a server; none if its name does not resolve now.
pub fn resolve((host, port): &(String, u16)) -> Vec<SocketAddr> {
    (host.as_str(), *port).to_socket_addrs().map(Iterator::collect).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Vec<(String, u16)>, Option<String>) {
        let servers = ConnectString::parse(text).expect(text);
        (servers.hosts, servers.chroot)
    }

    #[test]
    fn connect_strings_are_taken_apart() {
        let host = |name: &str, port| (name.to_owned(), port);
        assert_eq!(parsed("a"), (vec![host("a", 2181)], None));
        assert_eq!(parsed("a:1,b:2/"), (vec![host("a", 1), host("b", 2)], None));
        assert_eq!(parsed("a:1,, b/x/y"), (vec![host("a", 1), host("b", 2181)], Some("/x/y".to_owned())));
        assert_eq!(
            parsed("[::1]:7,[::2],c:"),
            (vec![host("::1", 7), host("::2", 2181), host("c", 2181)], None)
        );
    }

    #[test]
    fn mistakes_print_as_javas() {
        for (text, mistake) in [
            ("", "A HostProvider may not be empty!"),
            ("a:b", "For input string: \"b\""),
            ("a:70000", "port out of range:70000"),
            ("[::1", "[::1 starts with '[' but has no matching ']'"),
            ("[::1]x", "[::1]x does not have : after ]"),
            ("[::1]:", "[::1]: doesn't have a port after colon."),
            ("a/b/", "Path must not end with / character"),
        ] {
            assert_eq!(
                ConnectString::parse(text).map_err(|error| error.to_string()),
                Err(mistake.to_owned())
            );
        }
    }

    #[test]
    fn a_round_is_over_where_it_began() {
        let servers = ConnectString::parse("a,b").expect("two servers");
        let mut rotation = Rotation::new(&servers, |_| 0);
        let rounds: Vec<bool> = (0..4).map(|_| rotation.next().1).collect();
        assert_eq!(rounds, [false, false, true, false]);
        rotation.answered();
        assert_eq!(
            [rotation.next().1, rotation.next().1],
            [false, true],
            "the one that answered is asked last"
        );
    }
}
