//! One server of a configuration: what stands behind `server.N=`.
//!
//! ```text
//! host:quorumPort:electionPort[:role][|host:quorumPort:electionPort[:role]…][;[clientHost:]clientPort]
//! ```
//!
//! Read as leniently as Java's `QuorumPeer.QuorumServer` reads it, except for what it cannot print again: a
//! member without any address becomes a text that no server can read, and of an address that stands twice it
//! loses a port, or dies. Both are errors here. A host with several ports keeps them in the order of the text;
//! Java's order depends on what the name resolves to.

use std::collections::BTreeSet;
use std::fmt;

use super::address::{Bracketed, host_and_ports, port, printed_host, split};
use super::{Address, ConfigurationError};
use crate::ServerId;

/// What a server does in its ensemble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Votes.
    Participant,
    /// Only learns.
    Observer,
}

impl Role {
    /// The word in the text.
    pub fn name(self) -> &'static str {
        match self {
            Role::Participant => "participant",
            Role::Observer => "observer",
        }
    }

    fn from_text(text: &str) -> Option<Role> {
        let word = super::configuration::trim(text);
        [Role::Participant, Role::Observer].into_iter().find(|role| word.eq_ignore_ascii_case(role.name()))
    }
}

/// A host under which other servers reach a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberAddress {
    /// As configured.
    pub host: String,
    /// Where it leads.
    pub quorum_port: u16,
    /// Where it votes.
    pub election_port: u16,
}

/// A server of an ensemble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    id: ServerId,
    addresses: Vec<MemberAddress>,
    role: Role,
    client: Option<Address>,
}

impl Member {
    /// A member with these addresses, of which there is at least one and none twice.
    pub fn new(
        id: ServerId,
        mut addresses: Vec<MemberAddress>,
        role: Role,
        client: Option<Address>,
    ) -> Result<Self, ConfigurationError> {
        for address in &mut addresses {
            address.host = printed_host(&address.host).into_owned();
            if address.quorum_port == address.election_port {
                return Err(ConfigurationError::SamePorts { id });
            }
        }
        if addresses.is_empty() {
            return Err(ConfigurationError::NoAddress { id });
        }
        let quorum: BTreeSet<_> = addresses.iter().map(|one| (&one.host, one.quorum_port)).collect();
        let election: BTreeSet<_> = addresses.iter().map(|one| (&one.host, one.election_port)).collect();
        if quorum.len() < addresses.len() || election.len() < addresses.len() {
            return Err(ConfigurationError::RepeatedAddress { id });
        }
        // Java sorts by the host alone, as UTF-16.
        addresses.sort_by(|a, b| a.host.encode_utf16().cmp(b.host.encode_utf16()));
        let client = client.map(|client| Address::new(printed_host(&client.host), client.port));
        Ok(Self { id, addresses, role, client })
    }

    /// Reads what stands behind `server.<id>=`.
    pub fn parse(id: ServerId, text: &str) -> Result<Self, ConfigurationError> {
        let form = || ConfigurationError::ServerForm { id, text: super::configuration::excerpt(text) };
        let (servers, client) = match split(text, ';').as_slice() {
            [servers] => (*servers, None),
            [servers, client] => (*servers, Some(parse_client(client).ok_or_else(form)?)),
            _ => return Err(form()),
        };
        let mut addresses = Vec::new();
        let mut role = None;
        for server in split(servers, '|') {
            let parts = host_and_ports(server).ok_or_else(form)?;
            let [host, quorum, election, word @ ..] = parts.as_slice() else { return Err(form()) };
            addresses.push(MemberAddress {
                host: (*host).to_owned(),
                quorum_port: port(quorum).ok_or_else(form)?,
                election_port: port(election).ok_or_else(form)?,
            });
            let word = match word {
                [] => continue,
                [word] => Role::from_text(word).ok_or_else(form)?,
                _ => return Err(form()),
            };
            if *role.get_or_insert(word) != word {
                return Err(ConfigurationError::TwoRoles { id });
            }
        }
        Self::new(id, addresses, role.unwrap_or(Role::Participant), client)
    }

    /// Its number.
    pub fn id(&self) -> ServerId {
        self.id
    }

    /// Its hosts, never none, sorted by their text.
    pub fn addresses(&self) -> &[MemberAddress] {
        &self.addresses
    }

    /// What it does.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether it votes.
    pub fn is_voter(&self) -> bool {
        self.role == Role::Participant
    }

    /// Where its clients connect, if its line says so.
    pub fn client(&self) -> Option<&Address> {
        self.client.as_ref()
    }

    /// Where learners dial it when it leads.
    pub fn quorum_addresses(&self) -> impl Iterator<Item = Address> {
        self.addresses.iter().map(|address| Address::new(&address.host, address.quorum_port))
    }

    /// Where voters dial it.
    pub fn election_addresses(&self) -> impl Iterator<Item = Address> {
        self.addresses.iter().map(|address| Address::new(&address.host, address.election_port))
    }
}

/// `port` or `host:port`.
fn parse_client(text: &str) -> Option<Address> {
    match host_and_ports(text)?.as_slice() {
        [number] => Some(Address::new("0.0.0.0", port(number)?)),
        [host, number] => Some(Address::new(*host, port(number)?)),
        _ => None,
    }
}

/// What stands behind `server.N=`, as Java prints it: the role always, once, behind all addresses.
impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, address) in self.addresses.iter().enumerate() {
            let separator = if place == 0 { "" } else { "|" };
            let MemberAddress { host, quorum_port, election_port } = address;
            write!(f, "{separator}{}:{quorum_port}:{election_port}", Bracketed(host))?;
        }
        write!(f, ":{}", self.role.name())?;
        self.client.as_ref().map_or(Ok(()), |client| write!(f, ";{client}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Member, ConfigurationError> {
        Member::parse(ServerId(1), text)
    }

    #[test]
    fn role_and_client_are_optional() {
        for (text, printed) in [
            ("zk1:2888:3888", "zk1:2888:3888:participant"),
            ("zk1:2888:3888: Observer ;2181", "zk1:2888:3888:observer;0.0.0.0:2181"),
            ("zk1:2888:3888:;a.b:2181;", "zk1:2888:3888:participant;a.b:2181"),
            ("[::1]:2888:3888;[::1]:2181", "[0:0:0:0:0:0:0:1]:2888:3888:participant;[0:0:0:0:0:0:0:1]:2181"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), printed);
        }
    }

    #[test]
    fn several_addresses_are_sorted_by_host_and_share_the_role() {
        let member = parse("b:1:2|A:3:4:observer|a:5:6;7").unwrap();
        assert_eq!(member.to_string(), "A:3:4|a:5:6|b:1:2:observer;0.0.0.0:7");
        let quorum: Vec<_> = member.quorum_addresses().map(|address| address.to_string()).collect();
        let election: Vec<_> = member.election_addresses().map(|address| address.to_string()).collect();
        assert_eq!(
            (quorum, election),
            (vec!["A:3".into(), "a:5".into(), "b:1".into()], vec!["A:4".into(), "a:6".into(), "b:2".into()])
        );
        assert_eq!(
            parse("a:1:2:observer|b:1:2:participant"),
            Err(ConfigurationError::TwoRoles { id: ServerId(1) })
        );
    }

    #[test]
    fn what_is_no_member_is_refused() {
        for text in [
            "",
            ";",
            "|",
            "zk1",
            "zk1:1",
            "zk1:1:2:observer:x",
            "zk1:1:2;1;2",
            "zk1:1:2;a:b:c",
            "zk1:1:2;:",
            "zk1:x:2",
            "zk1:1:70000",
            "zk1:-1:2",
            "zk1: 1:2",
            "zk1:1:2;x",
            "[::1:1:2",
            "[::1]:",
            "zk1::1:2",
            "zk1:1:2:leader",
            "|zk1:1:2",
        ] {
            let error = parse(text).unwrap_err();
            let is_form =
                matches!(error, ConfigurationError::ServerForm { .. } | ConfigurationError::NoAddress { .. });
            assert!(is_form, "{text}: {error}");
        }
        assert_eq!(parse("zk1:1:1"), Err(ConfigurationError::SamePorts { id: ServerId(1) }));
    }

    /// Java's sets would hold one address of a kind and two of the other; it prints one of them, or dies of it.
    #[test]
    fn no_address_stands_twice() {
        for text in ["a:1:2|a:1:2", "a:1:2|a:1:3", "a:1:2|b:1:2|a:3:2", "[::1]:1:2|[0::1]:1:3"] {
            assert_eq!(parse(text), Err(ConfigurationError::RepeatedAddress { id: ServerId(1) }));
        }
        assert!(parse("a:1:2|a:3:4|b:1:2").is_ok());
    }
}
