//! From a reconfig request to the configuration that it asks for, or to the error that it becomes.
//!
//! A request names who joins and who leaves (*incremental*), or all members (the only way to change what a quorum is made
//! of). The order of the checks is Java's (`PrepRequestProcessor`), and so is which mistake becomes which error: what Java
//! throws for a malformed line is −8, and what escapes it, such as a number that is none, −5.
//!
//! ```text
//! not enabled −123 │ standalone −6 │ another one under way −14 │ from another version −103 │ the members −8, −5
//! │ too few voters −8 │ no synced quorum of the new ones −13 │ may not write /zookeeper/config −102
//! ```
//!
//! Two servers at one address are refused by comparing what is written: this crate resolves no names. Addresses that are
//! the machine's own or all of them stand for nobody in particular, and are not compared, as in Java.

use std::net::IpAddr;

use zabd_jute::client::ReconfigRequest;
use zabd_jute::quorum::{Address, Configuration, ConfigurationError, Member};
use zabd_jute::{ConfigVersion, ErrorCode, ServerId};
use zabd_zab::effect::Instant;

use crate::input::Now;
use crate::pipeline::Replica;

/// How the members of the ensemble may be changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReconfigOptions {
    /// `reconfigEnabled`.
    pub is_enabled: bool,
    /// `standaloneEnabled`: an ensemble does not become smaller than two voters.
    pub standalone_enabled: bool,
    /// `multiAddress.enabled`: members may have several addresses.
    pub multi_address: bool,
}

/// Why a change of members is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// What the client hears.
    pub error: ErrorCode,
    /// What the log says.
    pub why: String,
}

impl Mistake {
    fn new(error: ErrorCode, why: impl Into<String>) -> Self {
        Self { error, why: why.into() }
    }

    fn arguments(why: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadArguments, why)
    }
}

impl Replica {
    /// The configuration that a request asks for, if it may be proposed now; its version is that of the next transaction.
    pub(crate) fn requested_configuration(
        &self,
        now: Now,
        request: &ReconfigRequest<'_>,
    ) -> Result<Configuration, Mistake> {
        let options = self.options.reconfig;
        if !options.is_enabled {
            return Err(Mistake::new(ErrorCode::ReconfigDisabled, "reconfigEnabled is not true"));
        }
        let alone = || Mistake::new(ErrorCode::Unimplemented, "this server is no member of an ensemble");
        let peer = &self.ensemble.as_ref().ok_or_else(alone)?.peer;
        if let Some(next) = peer.next_configuration() {
            let why = format!("the one to version {} is not committed yet", next.version());
            return Err(Mistake::new(ErrorCode::ReconfigInProgress, why));
        }
        let current = peer.configuration();
        if request.config_id != -1 && request.config_id != current.version().0 {
            let [its, holds] = [ConfigVersion(request.config_id), current.version()];
            let why = format!("it is asked for from version {its}, and version {holds} holds");
            return Err(Mistake::new(ErrorCode::BadVersion, why));
        }
        let version = ConfigVersion::from(self.positions.appended.next());
        let requested = requested(request, current, options)?.with_version(version);
        let voters_min = if options.standalone_enabled { 2 } else { 1 };
        let voters = requested.voters().count();
        if voters < voters_min {
            return Err(Mistake::arguments(format!(
                "{voters} voters would be left, and {voters_min} must be"
            )));
        }
        let leader = peer.as_leader().expect("only a leader proposes");
        if !leader.has_synced_quorum_of(Instant(now.monotonic_ms), &requested) {
            let why = "of its voters no quorum follows this leader in step yet; hint: start the servers that join, and ask again when \
                       they are in step";
            return Err(Mistake::new(ErrorCode::NewConfigNoQuorum, why));
        }
        Ok(requested)
    }
}

fn requested(
    request: &ReconfigRequest<'_>,
    current: &Configuration,
    options: ReconfigOptions,
) -> Result<Configuration, Mistake> {
    if let Some(members) = &request.new_members {
        return all_members(&members.replace(',', "\n"), options);
    }
    let (joining, leaving) = (request.joining.as_deref(), request.leaving.as_deref());
    changed(joining.unwrap_or(""), leaving.unwrap_or(""), current, options)
}

fn all_members(text: &str, options: ReconfigOptions) -> Result<Configuration, Mistake> {
    let configuration = Configuration::parse(text).map_err(|error| blame(&error, text))?;
    configuration.members().iter().try_for_each(|member| check_addresses(member, options))?;
    let enough = configuration.check_participants(options.standalone_enabled);
    enough.map_err(|error| blame(&error, text))?;
    Ok(configuration)
}

fn changed(
    joining: &str,
    leaving: &str,
    current: &Configuration,
    options: ReconfigOptions,
) -> Result<Configuration, Mistake> {
    if current.hierarchy().is_some() {
        return Err(Mistake::arguments(
            "members with groups and weights are changed as a whole, by `-members` or `-file`",
        ));
    }
    let mut members = current.members().to_vec();
    for leaver in parts(leaving, ',') {
        let id = server_id(leaver)?;
        members.retain(|member| member.id() != id);
    }
    for joiner in parts(joining, ',') {
        let member = joiner_of(joiner, options)?;
        members.retain(|other| other.id() != member.id());
        if let Some(other) = members.iter().find(|other| has_same_address(&member, other)) {
            let why = format!("`{joiner}` has an address of server {}", other.id());
            return Err(Mistake::arguments(why));
        }
        members.push(member);
    }
    Ok(Configuration::majority(ConfigVersion::ZERO, members))
}

/// `server.4=host:2888:3888:role;2181`, where all ports must be named.
fn joiner_of(text: &str, options: ReconfigOptions) -> Result<Member, Mistake> {
    let [key, value] = parts(text, '=').collect::<Vec<_>>()[..] else {
        return Err(Mistake::arguments(format!("`{text}` is not `server.N=host:port:port:role;port`")));
    };
    let id = server_id(key.rsplit('.').next().unwrap_or(key))?;
    let member = Member::parse(id, value).map_err(|error| blame(&error, value))?;
    check_addresses(&member, options)?;
    let no_client = || {
        Mistake::arguments(format!(
            "`{text}` does not end with `;` and the port for clients; hint: without one, as where clients come by secureClientPort \
             alone, a member is named by `-members`, with the lines of all"
        ))
    };
    member.client().ok_or_else(no_client)?;
    Ok(member)
}

/// Java's `StringUtils.split`: trimmed, and without what is empty.
fn parts(text: &str, separator: char) -> impl Iterator<Item = &str> {
    text.split(separator).map(|part| part.trim_matches(|c| c <= ' ')).filter(|part| !part.is_empty())
}

fn server_id(text: &str) -> Result<ServerId, Mistake> {
    let no_number =
        |_| Mistake::new(ErrorCode::MarshallingError, format!("`{text}` is not the number of a server"));
    text.parse().map(ServerId).map_err(no_number)
}

fn check_addresses(member: &Member, options: ReconfigOptions) -> Result<(), Mistake> {
    if member.addresses().len() == 1 || options.multi_address {
        return Ok(());
    }
    let why = format!("server {} has several addresses, and multiAddress.enabled is not true", member.id());
    Err(Mistake::arguments(why))
}

/// What Java throws as a mistake of the caller, and what escapes it.
fn blame(error: &ConfigurationError, text: &str) -> Mistake {
    let code = match error {
        ConfigurationError::MalformedEscape
        | ConfigurationError::NotANumber { .. }
        | ConfigurationError::NoWeight { .. }
        | ConfigurationError::NoParticipants
        | ConfigurationError::ObserversAlone => ErrorCode::MarshallingError,
        ConfigurationError::ServerForm { .. } if has_impossible_port(text) => ErrorCode::MarshallingError,
        _ => ErrorCode::BadArguments,
    };
    Mistake::new(code, error.to_string())
}

/// A number where a port belongs, and not one that a port can be.
fn has_impossible_port(text: &str) -> bool {
    let numbers = text.split([':', ';', '|', '\n']).skip(1).filter_map(|part| part.parse::<i32>().ok());
    numbers.into_iter().any(|number| u16::try_from(number).is_err())
}

fn has_same_address(one: &Member, other: &Member) -> bool {
    let addresses = |member: &Member| -> Vec<Address> {
        let all =
            member.quorum_addresses().chain(member.election_addresses()).chain(member.client().cloned());
        all.filter(|address| !is_nobodys(&address.host)).collect()
    };
    let others = addresses(other);
    addresses(one).iter().any(|address| others.contains(address))
}

fn is_nobodys(host: &str) -> bool {
    let is_local = |ip: IpAddr| ip.is_unspecified() || ip.is_loopback();
    host == "localhost" || host.parse().is_ok_and(is_local)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CURRENT: &str =
        "server.1=zk1:2888:3888;2181\nserver.2=zk2:2888:3888;2181\nserver.3=zk3:2888:3888\nversion=7";
    const OPTIONS: ReconfigOptions =
        ReconfigOptions { is_enabled: true, standalone_enabled: true, multi_address: false };

    fn ask(joining: &str, leaving: &str, members: Option<&str>) -> Result<String, ErrorCode> {
        let request = ReconfigRequest {
            joining: Some(joining.into()),
            leaving: Some(leaving.into()),
            new_members: members.map(Into::into),
            config_id: -1,
        };
        let found = requested(&request, &Configuration::parse(CURRENT).unwrap(), OPTIONS);
        found.map(|found| found.to_string()).map_err(|mistake| mistake.error)
    }

    fn check(joining: &str, leaving: &str, expected: &[&str]) {
        assert_eq!(ask(joining, leaving, None), Ok([expected, &["version=0"]].concat().join("\n")));
    }

    const ONE: &str = "server.1=zk1:2888:3888:participant;0.0.0.0:2181";
    const TWO: &str = "server.2=zk2:2888:3888:participant;0.0.0.0:2181";
    const THREE: &str = "server.3=zk3:2888:3888:participant";

    #[test]
    fn servers_join_and_leave() {
        check("", "", &[ONE, TWO, THREE]);
        check("", " 2 ,, 9", &[ONE, THREE]);
        let four = "server.4=zk4:2888:3888:observer;0.0.0.0:2181";
        check("server.4=zk4:2888:3888:observer;2181", "3", &[ONE, TWO, four]);
        check("4 = zk4:2888:3888:Observer;2181", "1,2", &[THREE, four]);
        check("server.2=zk2:1:2:observer;3", "", &[ONE, "server.2=zk2:1:2:observer;0.0.0.0:3", THREE]);
        check("server.3=zk3:2888:3888;2181", "3", &[ONE, TWO, &format!("{THREE};0.0.0.0:2181")]);
    }

    #[test]
    fn all_members_may_be_named_with_commas_or_lines() {
        let expected = Ok(format!("{ONE}\n{THREE}\nversion=0"));
        assert_eq!(ask("", "", Some("server.3=zk3:2888:3888,server.1=zk1:2888:3888;2181")), expected);
        assert_eq!(ask("x", "x", Some("server.1=zk1:2888:3888;2181\nserver.3=zk3:2888:3888")), expected);
        let groups = "server.1=a:1:2,server.2=b:1:2,group.1=1:2,weight.1=3";
        assert!(ask("", "", Some(groups)).unwrap().contains("weight.1=3\nweight.2=1"));
    }

    /// What Java 3.9.5 answers, row by row.
    #[test]
    fn mistakes_become_javas_errors() {
        use ErrorCode::{BadArguments, MarshallingError};
        for (joining, leaving, expected) in [
            ("server.4=zk4:2888:3888", "", BadArguments),
            ("server.4", "", BadArguments),
            ("server.4=zk4:2888;2181", "", BadArguments),
            ("server.4=zk4:x:3888;2181", "", BadArguments),
            ("server.4=zk4:2888:70000;2181", "", MarshallingError),
            ("server.4=zk4:2888:2888;2181", "", BadArguments),
            ("server.4=zk4:2888:3888:boss;2181", "", BadArguments),
            ("server.four=zk4:2888:3888;2181", "", MarshallingError),
            ("server.4=zk1:2888:3889;2182", "", BadArguments),
            ("server.4=zk4:2888:3888|zk5:2888:3888;2181", "", BadArguments),
            ("", "two", MarshallingError),
        ] {
            assert_eq!(ask(joining, leaving, None), Err(expected), "{joining} {leaving}");
        }
        for (members, expected) in [
            ("server.x=a:1:2", MarshallingError),
            ("server.1=a:1", BadArguments),
            ("clientPort=3", BadArguments),
            ("server.1=a:1:2,server.2=a:3:4:observer", MarshallingError),
            ("server.1=a:1:2,server.2=b:1:2,group.1=1", BadArguments),
            ("server.1=a:1:2,weight.1=heavy,group.1=1", MarshallingError),
            ("server.1=a\\u12", MarshallingError),
        ] {
            assert_eq!(ask("", "", Some(members)), Err(expected), "{members}");
        }
    }

    #[test]
    fn addresses_of_nobody_in_particular_may_stand_twice() {
        let local = "server.1=127.0.0.1:1:2;127.0.0.1:3\nserver.2=127.0.0.1:4:5;127.0.0.1:6";
        let current = Configuration::parse(local).unwrap();
        let found = changed("server.3=127.0.0.1:1:2;127.0.0.1:3", "", &current, OPTIONS);
        assert_eq!(found.unwrap().members().len(), 3);
    }

    #[test]
    fn groups_are_changed_as_a_whole() {
        let current = Configuration::parse("server.1=a:1:2\nserver.2=b:1:2\ngroup.1=1:2").unwrap();
        assert_eq!(changed("", "2", &current, OPTIONS).unwrap_err().error, ErrorCode::BadArguments);
    }
}
