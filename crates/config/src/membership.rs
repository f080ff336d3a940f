//! `server.N` lines: who the members are, and so whether this is a standalone server at all.
//!
//! Java decides by counting: no line, or one voting member while `standaloneEnabled` is true, is a
//! standalone server. The lines are read as strictly as Java reads them even then, because a typing
//! error in one may have hidden the others.

use crate::config::ListenHost;
use crate::error::{ConfigError, Warning};
use crate::keys;
use crate::setting::{Setting, Source};
use std::collections::BTreeMap;

/// The members by id.
#[derive(Debug, Default)]
pub(crate) struct Membership {
    pub members: BTreeMap<i64, Member>,
    /// The lines themselves, and the version, if they have one.
    pub text: String,
    /// The same of the members that were about to take their place.
    pub next: Option<String>,
    /// How many lines are mistaken, and so name nobody.
    pub mistaken: usize,
    places: BTreeMap<i64, Source>,
    /// What each `weight.N` line says, and where; groups without one have weights of 1.
    weights: BTreeMap<i64, (i64, Source)>,
}

/// What is needed of `host:quorumPort:electionPort[:role][;[clientHost:]clientPort]`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub is_observer: bool,
    /// Hosts and ports for other servers, and what each port is for.
    pub ports: Vec<(String, u16, &'static str)>,
    /// Where this member's clients connect, if its line says so.
    pub client: Option<(ListenHost, u16)>,
}

const FORM: &str = "does not have the form server_config or server_config;client_config where server_config is the pipe \
                    separated list of host:port:port or host:port:port:type and client_config is port or host:port";

impl Membership {
    /// Reads all lines, reporting every mistake.
    pub fn parse(lines: &[Setting], multi_address: bool, errors: &mut Vec<ConfigError>) -> Membership {
        let mut membership = Membership::default();
        for line in lines {
            let name = keys::unprefixed(&line.key);
            let weight = name.strip_prefix("weight.").and_then(|id| Some((id, line.value.parse().ok()?)));
            if let Some((Ok(id), weight)) = weight.map(|(id, weight)| (id.parse(), weight)) {
                membership.weights.insert(id, (weight, line.source.clone()));
            }
            let Some(id) = name.strip_prefix("server.") else { continue };
            let member = match id.parse::<i64>() {
                Ok(id) => member(id, &line.value, multi_address).map(|member| (id, member)),
                Err(_) => Err(format!("server id {id} is not a number")),
            };
            match member {
                Ok((id, member)) => {
                    membership.members.insert(id, member);
                    membership.places.insert(id, line.source.clone());
                }
                Err(message) => {
                    membership.mistaken += 1;
                    errors.push(ConfigError {
                        source: Some(line.source.clone()),
                        key: Some(name.to_owned()),
                        message,
                        hint: Some("write `server.1=host:2888:3888`".to_owned()),
                    });
                }
            }
        }
        membership
    }

    /// Where a member's line stands.
    pub fn place(&self, id: i64) -> Option<&Source> {
        self.places.get(&id)
    }

    /// What cannot work as it stands. Java starts all the same, and never says why nobody leads.
    pub fn oddities(&self) -> Vec<Warning> {
        let ids: Vec<i64> = self.members.keys().copied().collect();
        let pairs =
            ids.iter().enumerate().flat_map(|(at, one)| ids[at + 1..].iter().map(|other| (*one, *other)));
        let mut oddities: Vec<_> = pairs.filter_map(|(one, other)| self.shared_port(one, other)).collect();
        let is_voter = |id: &i64| self.members.get(id).is_some_and(|member| !member.is_observer);
        let mut voters = ids.iter().filter(|id| is_voter(id)).peekable();
        let first = voters.peek().and_then(|id| self.weights.get(id));
        let source = first.map(|(_, source)| source.clone());
        if source.is_some() && voters.all(|id| self.weights.get(id).is_some_and(|(weight, _)| *weight == 0)) {
            let message = "all voters weigh 0, so that no number of them is ever a quorum and nobody can lead; give \
                           those that count `weight.N=1`";
            oddities.push(Warning { source, message: message.to_owned() });
        }
        oddities
    }

    /// What is to be said of how many voters there are, in Java's words.
    pub fn size_warning(&self) -> Option<Warning> {
        let message = match self.participants() {
            0..=2 => "No server failure will be tolerated. You need at least 3 servers.",
            even if even % 2 == 0 => "Non-optimal configuration, consider an odd number of servers.",
            _ => return None,
        };
        Some(Warning { source: None, message: message.to_owned() })
    }

    fn shared_port(&self, one: i64, other: i64) -> Option<Warning> {
        let theirs = &self.members[&other].ports;
        let is_shared =
            |(host, port, _): &&(String, u16, _)| theirs.iter().any(|(h, p, _)| h == host && p == port);
        let (host, port, _) = self.members[&one].ports.iter().find(is_shared)?;
        let place = self.place(one).map_or_else(String::new, |place| format!(" ({place})"));
        let message = format!(
            "server.{other} has {host}:{port}, and so has server.{one}{place}: only one of the two can run, and the others \
             take it for both"
        );
        Some(Warning { source: self.place(other).cloned(), message })
    }

    pub fn participants(&self) -> usize {
        self.members.values().filter(|member| !member.is_observer).count()
    }

    pub fn observers(&self) -> usize {
        self.members.len() - self.participants()
    }
}

fn member(id: i64, text: &str, multi_address: bool) -> Result<Member, String> {
    let form = || format!("{text} {FORM}");
    let (servers, client) = match java_split(text, ';').as_slice() {
        [servers] => (*servers, None),
        [servers, client] => (*servers, Some(client_address(client).ok_or_else(form)??)),
        [_, _, secure] if client_address(secure).is_some_and(|address| address.is_ok()) => {
            return Err(format!(
                "{text} {FORM}. A port for clients with TLS is named here from Java's release 3.10 on, and a member of 3.9 that hears of \
                 such a line ends: write `secureClientPort` into that server's own zoo.cfg instead"
            ));
        }
        _ => return Err(form()),
    };
    if !multi_address && servers.contains('|') {
        let start = "Multiple address feature is disabled, but multiple addresses were specified for sid";
        return Err(format!("{start} {id}"));
    }
    let (mut roles, mut ports) = (Vec::new(), Vec::new());
    for server in java_split(servers, '|') {
        let parts = host_and_ports(server);
        let [host, quorum, election, role @ ..] = parts.as_slice() else { return Err(form()) };
        if 1 < role.len() {
            return Err(form());
        }
        let (quorum, election) = (port(host, quorum)?, port(host, election)?);
        if quorum == election {
            let start = "Client and election port must be different! Please update the configuration file on";
            return Err(format!("{start} server.{id}"));
        }
        ports.push(((*host).to_owned(), quorum, "quorum"));
        ports.push(((*host).to_owned(), election, "election"));
        if let Some(role) = role.first() {
            roles.push(match role.trim().to_ascii_lowercase().as_str() {
                "observer" => true,
                "participant" => false,
                _ => return Err(format!("Unrecognised peertype: {role}")),
            });
        }
    }
    roles.dedup();
    if 1 < roles.len() {
        return Err("Multiple addresses should have similar roles".to_owned());
    }
    Ok(Member { is_observer: roles == [true], ports, client })
}

/// Java's `String.split`: empty parts at the end do not count.
fn java_split(text: &str, separator: char) -> Vec<&str> {
    let mut parts: Vec<_> = text.split(separator).collect();
    while 1 < parts.len() && parts.last() == Some(&"") {
        parts.pop();
    }
    parts
}

/// Splits at colons, except inside the brackets of an IPv6 address.
fn host_and_ports(text: &str) -> Vec<&str> {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once("]:"));
    match bracketed {
        Some((host, ports)) => std::iter::once(host).chain(java_split(ports, ':')).collect(),
        None if text.starts_with('[') => vec![text],
        None => java_split(text, ':'),
    }
}

fn port(host: &str, text: &str) -> Result<u16, String> {
    let number: i32 = text.parse().map_err(|_| format!("Address unresolved: {host}:{text}"))?;
    u16::try_from(number).map_err(|_| format!("port out of range:{number}"))
}

/// `None` if it is not of the form `port` or `host:port`.
fn client_address(text: &str) -> Option<Result<(ListenHost, u16), String>> {
    let (host, number) = match host_and_ports(text).as_slice() {
        [port] => ("0.0.0.0", *port),
        [host, port] => (*host, *port),
        _ => return None,
    };
    let listen = match host.parse::<std::net::IpAddr>() {
        Ok(address) if address.is_unspecified() => ListenHost::Any,
        Ok(address) => ListenHost::Address(address),
        Err(_) => ListenHost::Name(host.to_owned()),
    };
    Some(port(host, number).map(|port| (listen, port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(text: &str) -> Member {
        member(1, text, false).unwrap()
    }

    #[test]
    fn role_and_client_part_are_optional() {
        let ports = |host: &str| vec![(host.to_owned(), 2888, "quorum"), (host.to_owned(), 3888, "election")];
        assert_eq!(ok("zk1:2888:3888"), Member { is_observer: false, ports: ports("zk1"), client: None });
        assert_eq!(
            ok("zk1:2888:3888:;2181;"),
            ok("zk1:2888:3888;2181"),
            "Java's split drops what is empty at the end"
        );
        assert_eq!(ok("zk1:2888:3888;2181").client, Some((ListenHost::Any, 2181)));
        assert_eq!(
            ok("zk1:2888:3888:Observer;a.b:2181"),
            Member {
                is_observer: true,
                ports: ports("zk1"),
                client: Some((ListenHost::Name("a.b".into()), 2181))
            }
        );
        assert_eq!(
            ok("[::1]:2888:3888:participant;[::1]:2181").client,
            Some((ListenHost::Address("::1".parse().unwrap()), 2181,))
        );
    }

    #[test]
    fn mistakes_are_named_in_javas_words() {
        for (text, message) in [
            ("", "does not have the form"),
            ("zk1", "does not have the form"),
            ("zk1:2888", "does not have the form"),
            ("zk1:2888:3888:observer:x", "does not have the form"),
            ("zk1:2888:3888;1;2", "A port for clients with TLS is named here"),
            ("zk1:2888:3888;1;2;3", "does not have the form"),
            ("zk1:2888:3888;a:b:c", "does not have the form"),
            ("zk1:x:3888", "Address unresolved: zk1:x"),
            ("zk1:2888:70000", "port out of range:70000"),
            ("zk1:2888:3888;x", "Address unresolved: 0.0.0.0:x"),
            ("[::1:2888:3888", "does not have the form"),
            ("zk1:2888:2888", "Client and election port must be different"),
            ("zk1:2888:3888:leader", "Unrecognised peertype: leader"),
            ("zk1:2888:3888|zk2:2888:3888", "Multiple address feature is disabled"),
        ] {
            let error = member(1, text, false).unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
        assert!(member(1, "a:1:2:observer|b:1:2", true).unwrap().is_observer);
        assert!(member(1, "a:1:2:observer|b:1:2:participant", true).is_err());
    }
}
