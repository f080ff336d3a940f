//! The text that says who the servers of an ensemble are. Votes, NEWLEADER, transactions that reconfigure
//! and `/zookeeper/config` all hold it.
//!
//! ```text
//! server.<id>=<see Member>
//! …
//! group.<id>=<server>:<server>…       only if quorums are made of groups
//! weight.<server>=<n>
//! version=<hexadecimal>
//! ```
//!
//! It is read as Java reads it, as a properties file, and printed as Java prints it, in the order of Java's
//! hash tables and without a line end behind the last line. A text comes from whoever can connect, so there
//! is no text that reading it could not bear: what makes a Java server's receiving thread die is an error
//! with a name. Stored texts are never printed anew: a transaction's bytes are what `/zookeeper/config` gets.
//!
//! Left out is what a configuration is *for*: which sets of servers are a quorum, and which of two
//! configurations holds.

use std::collections::BTreeSet;
use std::fmt;

use super::java_order::{LongMap, PropertyMap};
use super::properties::{self, MalformedEscape};
use super::{Member, address::split};
use crate::{ConfigVersion, ServerId};

/// How many lines a text may have, and how many servers its groups. Server ids are 0 to 255 in practice; the
/// bound keeps a peer from making this server sort for long.
const LINES_MAX: usize = 4096;

/// The number of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub i64);

/// Quorums made of groups: a quorum of the weight in a majority of the groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    groups: Vec<(GroupId, Vec<ServerId>)>,
    weights: Vec<(ServerId, i64)>,
}

/// Who the servers of an ensemble are. Made by [`Configuration::parse`] or [`Configuration::majority`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    members: Vec<Member>,
    hierarchy: Option<Hierarchy>,
    version: ConfigVersion,
}

/// Why a text is not a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigurationError {
    /// `\u` without four hexadecimal digits behind it.
    #[error("the configuration holds a malformed \\uXXXX escape")]
    MalformedEscape,
    /// More than any ensemble has servers.
    #[error("the configuration has more than {LINES_MAX} lines or servers in groups")]
    TooLong,
    /// A line that belongs elsewhere.
    #[error("unknown key {key:?} in the configuration")]
    UnknownKey {
        /// The beginning of the key.
        key: String,
    },
    /// A server's, a group's, a weight's or a version's number is none.
    #[error("{text:?} in the configuration's line `{key}` is not a number")]
    NotANumber {
        /// The beginning of the key.
        key: String,
        /// The beginning of what should be a number.
        text: String,
    },
    /// Two lines for one thing, which Java would let a hash table choose from.
    #[error("the configuration has two lines for `{key}`")]
    Repeated {
        /// The key of one of them.
        key: String,
    },
    /// A server's line does not have its form.
    #[error("server.{id}={text:?} is not `host:port:port[:role][;[host:]port]`, hosts separated by `|`")]
    ServerForm {
        /// Which server.
        id: ServerId,
        /// The beginning of the value.
        text: String,
    },
    /// A server that cannot be reached.
    #[error("server.{id} has no address")]
    NoAddress {
        /// Which server.
        id: ServerId,
    },
    /// A server with one port for two purposes.
    #[error("server.{id} has the same port for its quorum and its elections")]
    SamePorts {
        /// Which server.
        id: ServerId,
    },
    /// A server's address stands twice in its line.
    #[error("server.{id} has an address twice")]
    RepeatedAddress {
        /// Which server.
        id: ServerId,
    },
    /// A server's addresses disagree about its role.
    #[error("server.{id} is both participant and observer")]
    TwoRoles {
        /// Which server.
        id: ServerId,
    },
    /// There are groups, and a voter is in none of them.
    #[error("server.{id} is not in a group")]
    NoGroup {
        /// Which server.
        id: ServerId,
    },
    /// A server is in several groups, or in one of them twice.
    #[error("server.{id} is in a group twice or in several groups")]
    SeveralGroups {
        /// Which server.
        id: ServerId,
    },
    /// A group's member has no weight, because it is not a voter either.
    #[error("server.{id} is in a group and has no weight")]
    NoWeight {
        /// Which server.
        id: ServerId,
    },
    /// Observers, and nobody or (where that would be a standalone server) only one whom they could observe.
    #[error("the configuration has observers and not enough participants")]
    ObserversAlone,
    /// Nobody who votes, and yet no standalone server.
    #[error("the configuration has no participant")]
    NoParticipants,
}

/// The beginning of what may be long and strange.
pub(super) fn excerpt(text: &str) -> String {
    text.chars().take(80).collect()
}

/// Java's `String.trim`.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(|c| c <= ' ')
}

fn number(key: &str, text: &str, radix: u32) -> Result<i64, ConfigurationError> {
    let error = |_| ConfigurationError::NotANumber { key: excerpt(key), text: excerpt(text) };
    i64::from_str_radix(text, radix).map_err(error)
}

/// The number behind a key's first dot; without a dot, Java takes the whole key.
fn number_in(key: &str) -> Result<i64, ConfigurationError> {
    number(key, key.split_once('.').map_or(key, |(_, text)| text), 10)
}

/// A text's lines, sorted by what they are about and each in the order in which Java comes across them.
#[derive(Default)]
struct Lines<'t> {
    servers: Vec<(i64, &'t str)>,
    groups: Vec<(&'t str, i64, &'t str)>,
    weights: Vec<(i64, i64)>,
    version: ConfigVersion,
    is_hierarchical: bool,
}

impl<'t> Lines<'t> {
    fn new(properties: &'t PropertyMap) -> Result<Self, ConfigurationError> {
        let mut lines = Lines::default();
        let mut seen = BTreeSet::new();
        for (key, value) in properties.iter() {
            let (what, id) = if key.starts_with("server.") {
                let id = number_in(key)?;
                lines.servers.push((id, value));
                ("server", id)
            } else if key.starts_with("group") {
                let id = number_in(key)?;
                lines.groups.push((key, id, value));
                ("group", id)
            } else if key.starts_with("weight") {
                let id = number_in(key)?;
                lines.weights.push((id, number(key, value, 10)?));
                ("weight", id)
            } else if key == "version" {
                lines.version = ConfigVersion(number(key, value, 16)?);
                continue;
            } else {
                return Err(ConfigurationError::UnknownKey { key: excerpt(key) });
            };
            if !seen.insert((what, id)) {
                return Err(ConfigurationError::Repeated { key: excerpt(key) });
            }
        }
        lines.is_hierarchical = !lines.groups.is_empty() || !lines.weights.is_empty();
        Ok(lines)
    }
}

impl Configuration {
    /// Reads a text, be it Java's or an operator's. Whether it has enough voters is another question, see
    /// [`Configuration::check_participants`]: an empty text is an empty configuration.
    pub fn parse(text: &str) -> Result<Self, ConfigurationError> {
        let mut properties = PropertyMap::new();
        for pair in properties::parse(text) {
            let (key, value) = pair.map_err(|MalformedEscape| ConfigurationError::MalformedEscape)?;
            properties.put(key, value);
            if LINES_MAX < properties.len() {
                return Err(ConfigurationError::TooLong);
            }
        }
        let lines = Lines::new(&properties)?;
        let members = lines.servers.iter().map(|(id, value)| Member::parse(ServerId(*id), value));
        let members = in_java_order(members.collect::<Result<_, _>>()?);
        let hierarchy = lines.is_hierarchical.then(|| Hierarchy::new(&lines, &members)).transpose()?;
        Ok(Self { members, hierarchy, version: lines.version })
    }

    /// A configuration in which the majority of voters is a quorum. Of two members with one number the
    /// later counts; their order is the one in which Java would come across them, which matters only for
    /// numbers that are equal modulo 16 or more.
    pub fn majority(version: ConfigVersion, members: Vec<Member>) -> Self {
        Self { members: in_java_order(members), hierarchy: None, version }
    }

    /// The same servers under another version.
    #[must_use]
    pub fn with_version(self, version: ConfigVersion) -> Self {
        Self { version, ..self }
    }

    /// Which of several configurations this is.
    pub fn version(&self) -> ConfigVersion {
        self.version
    }

    /// All servers, in the order of the text.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The server with this number.
    pub fn member(&self, id: ServerId) -> Option<&Member> {
        self.members.iter().find(|member| member.id() == id)
    }

    /// The servers that vote.
    pub fn voters(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.is_voter())
    }

    /// The servers that only learn.
    pub fn observers(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| !member.is_voter())
    }

    /// What quorums are made of, if it is not the majority of voters.
    pub fn hierarchy(&self) -> Option<&Hierarchy> {
        self.hierarchy.as_ref()
    }

    /// Whether there are enough voters to call this an ensemble. A text that fails here must not be sent to
    /// a Java server with the same `standaloneEnabled`: it would never vote again until it is restarted.
    pub fn check_participants(&self, standalone_enabled: bool) -> Result<(), ConfigurationError> {
        let has_observers = self.observers().next().is_some();
        match self.voters().count() {
            0 if !standalone_enabled => Err(ConfigurationError::NoParticipants),
            0 if has_observers => Err(ConfigurationError::ObserversAlone),
            1 if has_observers && standalone_enabled => Err(ConfigurationError::ObserversAlone),
            _ => Ok(()),
        }
    }
}

fn in_java_order(members: Vec<Member>) -> Vec<Member> {
    let mut table = LongMap::new();
    for member in members {
        let id = member.id().0;
        *table.entry(id, None) = Some(member);
    }
    table.into_entries().filter_map(|(_, member)| member).collect()
}

impl Hierarchy {
    fn new(lines: &Lines<'_>, members: &[Member]) -> Result<Self, ConfigurationError> {
        let mut group_of = LongMap::new();
        for (key, group, value) in &lines.groups {
            for part in split(value, ':') {
                let server = number(key, part, 10)?;
                if group_of.contains(server) {
                    return Err(ConfigurationError::SeveralGroups { id: ServerId(server) });
                }
                group_of.entry(server, *group);
                if LINES_MAX < group_of.len() {
                    return Err(ConfigurationError::TooLong);
                }
            }
        }
        let mut weights = LongMap::new();
        for (server, weight) in &lines.weights {
            weights.entry(*server, *weight);
        }
        for voter in members.iter().filter(|member| member.is_voter()) {
            if !group_of.contains(voter.id().0) {
                return Err(ConfigurationError::NoGroup { id: voter.id() });
            }
            weights.entry(voter.id().0, 1);
        }
        let mut groups = LongMap::new();
        for (server, group) in group_of.iter() {
            if !weights.contains(server) {
                return Err(ConfigurationError::NoWeight { id: ServerId(server) });
            }
            groups.entry(*group, Vec::new()).push(ServerId(server));
        }
        let groups = groups.into_entries().map(|(id, servers)| (GroupId(id), servers)).collect();
        let weights = weights.into_entries().map(|(id, weight)| (ServerId(id), weight)).collect();
        Ok(Self { groups, weights })
    }

    /// All groups and who is in them, in the order of the text. No server is in two of them; not all need be
    /// servers of the configuration, but all have a weight.
    pub fn groups(&self) -> &[(GroupId, Vec<ServerId>)] {
        &self.groups
    }

    /// All weights, in the order of the text: of all voters, and of whom else they were given to.
    pub fn weights(&self) -> &[(ServerId, i64)] {
        &self.weights
    }

    /// What a server counts, in votes of its group.
    pub fn weight(&self, server: ServerId) -> Option<i64> {
        self.weights.iter().find(|(id, _)| *id == server).map(|(_, weight)| *weight)
    }
}

/// The text, as Java's `QuorumVerifier.toString` makes it.
impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for member in &self.members {
            writeln!(f, "server.{}={member}", member.id())?;
        }
        if let Some(hierarchy) = &self.hierarchy {
            for (GroupId(id), servers) in &hierarchy.groups {
                let servers: Vec<_> = servers.iter().map(ServerId::to_string).collect();
                writeln!(f, "group.{id}={}", servers.join(":"))?;
            }
            for (server, weight) in &hierarchy.weights {
                writeln!(f, "weight.{server}={weight}")?;
            }
        }
        write!(f, "version={}", self.version)
    }
}

#[cfg(test)]
#[path = "configuration_tests.rs"]
mod tests;
