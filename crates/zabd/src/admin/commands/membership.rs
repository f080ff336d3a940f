//! The ensemble: who leads, who votes, how far this member is.

use zabd_jute::ServerId;
use zabd_jute::quorum::{Address, Configuration, Member, PeerState, Role};
use zabd_replica::{EnsembleStatus, Serving};

use super::{Fields, Json, field};
use crate::introspect::Introspection;

/// Who and where the leader is; of an observer, whom it observes, as in Java. Who leads it may not know: a follower says nothing of it.
pub(super) fn leader(server: &Introspection) -> Fields {
    let Some((status, configuration)) = membership(server) else {
        return vec![field("error", "server is not initialized")];
    };
    let id = status.master.or(status.leader);
    let leader = id.and_then(|leader| configuration.member(leader));
    let hosts = leader.map_or_else(String::new, |leader| {
        leader.addresses().iter().map(|address| &*address.host).collect::<Vec<_>>().join("|")
    });
    vec![
        field("is_leader", status.state == PeerState::Leading),
        field("leader_id", id.map_or(-1, |leader| leader.0)),
        field("leader_ip", hosts),
    ]
}

/// How many observers are in step with this server. What passes between them is not counted one by one.
pub(super) fn observers(server: &Introspection) -> Fields {
    let of_leader =
        server.driver.inspect(zabd_replica::Replica::leader_gauges).map(|gauges| gauges.census.observers);
    let of_follower = || membership(server).and_then(|(status, _)| status.observers_in_step);
    vec![
        field("synced_observers", of_leader.or_else(of_follower).unwrap_or(0)),
        field("observers", Json::List(Vec::new())),
    ]
}

/// Who votes.
pub(super) fn voting_view(server: &Introspection) -> Fields {
    let voters: Fields = membership(server).map_or_else(Vec::new, |(_, configuration)| {
        configuration
            .voters()
            .map(|member| (member.id().0.to_string(), Json::Object(view(server, member))))
            .collect()
    });
    vec![field("current_config", voters)]
}

fn view(server: &Introspection, member: &Member) -> Fields {
    let role = match member.role() {
        Role::Participant => "participant",
        Role::Observer => "observer",
    };
    vec![
        field("server_addresses", texts(member.quorum_addresses())),
        field("election_addresses", texts(member.election_addresses())),
        field("client_address", client_address(server, member).unwrap_or_default()),
        field("learner_type", role),
    ]
}

/// Where a member has its clients; of this one that may stand outside of its line.
fn client_address(server: &Introspection, member: &Member) -> Option<String> {
    let config = &server.config;
    let is_me = config.ensemble.as_ref().is_some_and(|ensemble| ensemble.myid == member.id().0);
    let own = || {
        let plain = server.addresses.plain.as_ref().filter(|_| is_me)?;
        Some(format!("{}:{}", config.client_port_address, plain.lock().port()))
    };
    member.client().map(ToString::to_string).or_else(own)
}

/// What this member is, where, and how far.
pub(super) fn zab_state(server: &Introspection) -> Fields {
    let Some((status, configuration)) = membership(server) else {
        return vec![field("voting", false), field("zabstate", "")];
    };
    let myid = server.config.ensemble.as_ref().map_or(0, |ensemble| ensemble.myid);
    // Who has been removed still listens where it did.
    let at_start =
        server.config.ensemble.as_ref().and_then(|ensemble| Configuration::parse(&ensemble.members).ok());
    let me = configuration.member(ServerId(myid));
    let place = me.or_else(|| at_start.as_ref()?.member(ServerId(myid)));
    let led_from = server.led_from();
    let zxid = server.driver.tree().last_zxid().max(led_from);
    let addresses = |list: Option<Vec<Address>>| Json::Object(several(&list.unwrap_or_default()));
    vec![
        field("myid", myid),
        field("is_leader", status.state == PeerState::Leading),
        field("quorum_address", addresses(place.map(|place| place.quorum_addresses().collect()))),
        field("election_address", addresses(place.map(|place| place.election_addresses().collect()))),
        field(
            "client_address",
            place.and_then(|place| client_address(server, place)).map_or(Json::Null, Json::Text),
        ),
        field("voting", me.is_some_and(Member::is_voter)),
        field("last_zxid", format!("{zxid:#x}")),
        field("zab_epoch", zxid.epoch().0),
        field("zab_counter", i64::from(zxid.counter())),
        field("zabstate", if status.serving == Serving::Nobody { "election" } else { "broadcast" }),
    ]
}

/// Java's `MultipleAddresses`, seen through its getters. Whether an address can be reached is not tried.
fn several(addresses: &[Address]) -> Fields {
    let all = || texts(addresses.iter().cloned());
    let one = || addresses.first().map_or(Json::Null, |address| Json::Text(address.to_string()));
    vec![
        field("all_ports", addresses.iter().map(|address| i64::from(address.port).into()).collect::<Json>()),
        field(
            "wildcard_addresses",
            texts(addresses.iter().map(|address| Address::new("0.0.0.0", address.port))),
        ),
        field("reachable_address", one()),
        field("all_reachable_addresses_or_all", all()),
        field(
            "all_host_strings",
            addresses.iter().map(|address| Json::from(&*address.host)).collect::<Json>(),
        ),
        field("all_reachable_addresses", all()),
        field("reachable_or_one", one()),
        field("one", one()),
        field("all_addresses", all()),
        field("empty", addresses.is_empty()),
    ]
}

fn texts(addresses: impl Iterator<Item = Address>) -> Json {
    addresses.map(|address| Json::Text(address.to_string())).collect()
}

/// Without a leader Java's is another server, which knows nothing of an ensemble.
fn membership(server: &Introspection) -> Option<(EnsembleStatus, Configuration)> {
    let (status, configuration) =
        server.driver.inspect(|replica| (replica.ensemble_status(), replica.configuration().cloned()));
    let status = status.filter(|status| !matches!(status.serving, Serving::ReadOnly | Serving::Nobody))?;
    Some((status, configuration?))
}
