//! What servers of an ensemble agree on; a standalone server reads it for mistakes only.
//!
//! What this build does not do for an ensemble yet ends the start of a member that asks for it: an operator who
//! migrates must hear of it before the data does.

use super::Section;
use crate::draft::{Draft, SNAPSHOT_SIZE_FACTOR};
use crate::key::{Class, Key, Problem, Raw, Verdict, ignored_bool, ignored_number};

pub(super) const SECTION: Section = Section {
    title: "Ensemble",
    intro: "As in Java, a configuration with one voting `server.N` line is a standalone server, unless `standaloneEnabled=false`. More \
            make an ensemble, whose members each need their number in `<dataDir>/myid`. A standalone server reads what only \
            concerns peers for mistakes.",
    keys: &[
        Key::file("server.N", "none", "zk1:2888:3888")
            .family("server.")
            .doc("A member: `host:quorumPort:electionPort[:role][;[clientHost:]clientPort]`. A single one may give the \
                  client port of the server whose `myid` it names. No `-D` property.")
            .in_ensemble(),
        Key::file("group.N", "none", "1:2:3")
            .family("group")
            .doc("Members of a group in a hierarchical quorum. No `-D` property.")
            .in_ensemble()
            .custom(|_, raw| hierarchy(raw, ':')),
        Key::file("weight.N", "1", "2")
            .family("weight")
            .doc("Weight of a member's vote. No `-D` property.")
            .in_ensemble()
            .custom(|_, raw| hierarchy(raw, '\n')),
        Key::file("standaloneEnabled", "true", "false")
            .doc("Whether a single member is served as a standalone server.")
            .strict_bool(|d, v| d.standalone_enabled = v),
        Key::file("dynamicConfigFile", "none", "zoo.cfg.dynamic")
            .doc("File with the `server.N`, `group.N` and `weight.N` lines, which may then not stand in zoo.cfg.")
            .differently("written anew when members change, as in Java; of zoo.cfg, comments and order are kept")
            .custom(|d, raw| {
                d.dynamic_config_file = Some(raw.value.to_owned());
                Ok(None)
            }),
        Key::file("initLimit", "required", "10")
            .unit("ticks")
            .doc("How long a learner may take to connect and synchronise.")
            .in_ensemble()
            .int(i32::MIN as i64, |d, v| d.init_limit = u32::try_from(v).ok()),
        Key::file("syncLimit", "required", "5")
            .unit("ticks")
            .doc("How long a learner and its leader may be out of touch.")
            .in_ensemble()
            .int(i32::MIN as i64, |d, v| d.sync_limit = u32::try_from(v).ok()),
        Key::file("connectToLearnerMasterLimit", "0", "5")
            .unit("ticks")
            .doc("How long a learner may take to connect; 0 means `initLimit`.")
            .no_effect("`initLimit` bounds it, as it does in Java unless this is set")
            .int(i32::MIN as i64, ignored_number),
        Key::file("electionAlg", "3", "3")
            .doc("Election algorithm; there is only 3.")
            .no_effect("there is one algorithm, 3")
            .custom(|_, raw| {
                if raw.key.number(raw.value, i64::MIN, i64::MAX)? == 3 {
                    return Ok(None);
                }
                let problem = Problem::whole("Invalid electionAlg value. Only 3 is supported.");
                Err(problem.hint("remove the line"))
            }),
        Key::file("peerType", "participant", "observer")
            .doc("`participant` or `observer`; the server list has the last word.")
            .no_effect("the list of servers says it")
            .custom(peer_type),
        Key::file("quorumListenOnAllIPs", "false", "true")
            .doc("Bind quorum and election ports on every interface.")
            .in_ensemble()
            .strict_bool(|d, v| d.listen_on_all_ips = v),
        Key::file("localSessionsEnabled", "false", "true")
            .doc("Sessions that only the server knows on which they were opened.")
            .in_ensemble()
            .strict_bool(|d, v| d.local_sessions = v),
        Key::file("localSessionsUpgradingEnabled", "false", "true")
            .doc("Make such a session global when it creates an ephemeral node.")
            .in_ensemble()
            .strict_bool(|d, v| d.local_sessions_upgrade = v),
        Key::file("reconfigEnabled", "false", "true")
            .doc("Members may be changed at run time. A standalone server answers `reconfig` with `Unimplemented` then, \
                  rather than with `ReconfigDisabled`.")
            .strict_bool(|d, v| d.config.reconfig_enabled = v),
        Key::file("observerMasterPort", "0", "2191")
            .doc("Port on which followers take observers; observers go to one of them before they go to the leader.")
            .in_ensemble()
            .custom(observer_master_port),
        Key::file("syncEnabled", "true", "false")
            .aliases(&["observer.syncEnabled"])
            .doc("Observers write logs and snapshots.")
            .no_effect("an observer writes what it applies as every member does, so that it asks for little when it starts again")
            .strict_bool(ignored_bool),
        Key::file("oraclePath", "none", "/run/zk/oracle")
            .doc("File that decides for a lone survivor of two.")
            .no_effect("a standalone server has no peers, and a member that names one is refused: a file is no quorum"),
        Key::file("multiAddress.enabled", "false", "true")
            .doc("Members may have several addresses, separated by `|`.")
            .in_ensemble()
            .strict_bool(|d, v| d.multi_address_enabled = v),
        Key::file("multiAddress.reachabilityCheckEnabled", "true", "false")
            .class(Class::B)
            .doc("Probe a peer's addresses before choosing one.")
            .no_effect(REACHED)
            .strict_bool(ignored_bool),
        Key::file("multiAddress.reachabilityCheckTimeoutMs", "1000", "500")
            .unit("milliseconds")
            .class(Class::B)
            .doc("How long such a probe may take.")
            .no_effect(REACHED)
            .int(i32::MIN as i64, ignored_number),
        Key::file("quorum.cnxn.threads.size", "20", "40")
            .class(Class::C)
            .doc("Threads for election connections.")
            .no_effect(NO_THREADS)
            .int(i32::MIN as i64, ignored_number),
        Key::prefixed("leaderServes", "yes", "no")
            .doc("`no` keeps clients off the leader, when there are other members.")
            .in_ensemble()
            .custom(|d, raw| {
                d.leader_serves = raw.value != "no";
                Ok(None)
            }),
        Key::prefixed("cnxTimeout", "5000", "3000")
            .unit("milliseconds")
            .doc("Connect timeout of election sockets.")
            .in_ensemble()
            .int(1, |d, v| d.connect_timeout_ms = v as u32),
        Key::prefixed("quorumCnxnTimeoutMs", "-1", "5000")
            .unit("milliseconds")
            .doc("Read timeout of election sockets; -1 means `syncLimit` ticks.")
            .no_effect("a silent connection on the election port is kept; who has gone is told by the pings on the quorum port"),
        Key::prefixed("electionPortBindRetry", "3", "0")
            .unit("attempts")
            .doc("Attempts to bind a port for other servers, a second apart; 0 never gives up.")
            .in_ensemble()
            .int(i32::MIN as i64, |d, v| {
                // Java goes back to its default when it is told a number below 0.
                d.bind_attempts_max = if v < 0 { Some(3) } else { Some(v as u32).filter(|attempts| *attempts > 0) };
            }),
        Key::prefixed("fastleader.minNotificationInterval", "200", "100")
            .unit("milliseconds")
            .doc("First pause in an election.")
            .in_ensemble()
            .int(1, |d, v| d.notification_interval_ms.0 = v as u32),
        Key::prefixed("fastleader.maxNotificationInterval", "60000", "10000")
            .unit("milliseconds")
            .doc("Longest pause in an election.")
            .in_ensemble()
            .int(1, |d, v| d.notification_interval_ms.1 = v as u32),
        Key::prefixed("leaderConnectDelayDuringRetryMs", "100", "200")
            .unit("milliseconds")
            .class(Class::B)
            .doc("A learner's pause between attempts to reach its leader.")
            .in_ensemble()
            .int(0, |d, v| d.leader_connect_delay_ms = v as u32),
        Key::prefixed("leader.maxConcurrentSnapSyncs", "10", "5")
            .aliases(&["maxConcurrentSnapSyncs"])
            .doc("Snapshots that a leader sends at once.")
            .no_effect(AS_TAKEN),
        Key::prefixed("leader.maxConcurrentDiffSyncs", "100", "50")
            .aliases(&["maxConcurrentDiffSyncs"])
            .doc("Differences that a leader sends at once.")
            .no_effect(AS_TAKEN),
        Key::prefixed("leader.maxTimeToWaitForEpoch", "-1", "10000")
            .aliases(&["maxTimeToWaitForEpoch"])
            .unit("milliseconds")
            .doc("A leader to be gives up when its voters do not come within this; -1 waits.")
            .no_effect("`initLimit` bounds it, as it does in Java unless this is set"),
        Key::prefixed("leader.ackLoggingFrequency", "1000", "100")
            .class(Class::C)
            .doc("Of one transaction in so many `ack_latency` measures how long each voter takes; 0 or less measures none.")
            .in_ensemble()
            .int(i32::MIN as i64, |d, v| d.acknowledgements_one_in = v.max(0) as u32),
        Key::either("learner.asyncSending", "false", "true")
            .class(Class::C)
            .doc("A learner sends from a thread of its own.")
            .no_effect(NO_THREADS),
        Key::either("learner.closeSocketAsync", "false", "true")
            .class(Class::C)
            .doc("A learner closes sockets in the background.")
            .no_effect(NO_THREADS),
        Key::either("leader.closeSocketAsync", "false", "true")
            .class(Class::C)
            .doc("A leader closes sockets in the background.")
            .no_effect(NO_THREADS),
        Key::bare("leader.nodelay", "true", "false")
            .class(Class::C)
            .doc("`TCP_NODELAY` at the leader.")
            .no_effect(NO_DELAY),
        Key::bare("follower.nodelay", "true", "false")
            .class(Class::C)
            .doc("`TCP_NODELAY` at the learner.")
            .no_effect(NO_DELAY),
        Key::prefixed("observer.reconnectDelayMs", "0", "1000")
            .unit("milliseconds")
            .doc("An observer's pause before it connects again.")
            .no_effect(PAUSES),
        Key::prefixed("observer.election.DelayMs", "200", "500")
            .unit("milliseconds")
            .doc("An observer's pause before it joins an election.")
            .no_effect(PAUSES),
        Key::prefixed("observerMaster.sizeLimit", "33554432", "16777216")
            .unit("bytes")
            .doc("Proposals buffered for observers.")
            .no_effect("an observer has the bounds that a learner of the leader has, in bytes for each and for all together"),
        Key::prefixed("follower.skipLearnerRequestToNextProcessor", "false", "true")
            .class(Class::C)
            .doc("Observers' writes go straight to the leader.")
            .no_effect(NO_PROCESSORS),
        Key::prefixed("forward_learner_requests_to_commit_processor_disabled", "false", "true")
            .class(Class::C)
            .doc("A short cut inside the leader.")
            .no_effect(NO_PROCESSORS),
        Key::prefixed("tcpKeepAlive", "false", "true").doc("`SO_KEEPALIVE` on election sockets.").no_effect("who has gone is told by the pings on the quorum port"),
        Key::prefixed("commitLogCount", "500", "1000")
            .unit("transactions")
            .class(Class::B)
            .doc("Committed transactions kept in memory for learners.")
            .no_effect("a learner is sent what it lacks from memory and from the log on disk, by `snapshotSizeFactor`"),
        Key::prefixed("snapshotSizeFactor", "0.33", "0.5")
            .class(Class::B)
            .doc("Share of the newest snapshot's size up to which a learner is sent the log and not the tree. 0 is no limit; below 0 the \
                  log is not read. Up to 8 MiB are sent whatever the share.")
            .in_ensemble()
            .custom(snapshot_size_factor),
        Key::prefixed("forceSnapshotSync", "false", "true")
            .class(Class::B)
            .doc("Learners always get a snapshot.")
            .no_effect("a learner comes to the same state by the log as by the tree"),
        Key::prefixed("test.allowDiscontinuousProposals", "false", "true")
            .class(Class::C)
            .doc("Let learners accept a leader that does not begin with 1. For tests.")
            .in_ensemble()
            .lenient_bool(|d, v| d.allows_gaps = v),
        Key::prefixed("testingonly.initialZxid", "none", "4294967000")
            .class(Class::B)
            .doc("Where a new leader starts to count, so that a test sees the end of an epoch. Members need `test.allowDiscontinuousProposals` with it.")
            .in_ensemble()
            .custom(|d, raw| {
                // Behind the last one there is no position.
                let counter = raw.key.number(raw.value, 0, i64::from(u32::MAX - 2))?;
                d.initial_counter = u32::try_from(counter).expect("it is in range");
                Ok(None)
            }),
    ],
};

const NO_THREADS: &str = "no thread waits for a socket";
const REACHED: &str =
    "all addresses are dialled, one shortly after the other, and the first that answers is taken";
const NO_DELAY: &str = "it is always on";
const AS_TAKEN: &str =
    "what a learner lacks is read as fast as it takes it, within bounds for each and for all together";
const PAUSES: &str = "an observer has pauses of its own, of a second at most";
const NO_PROCESSORS: &str = "there are no such queues between a request and the leader";

/// As in Java, what is above 1 is a mistake and the default holds.
fn snapshot_size_factor(draft: &mut Draft, raw: &Raw<'_>) -> Verdict {
    let factor = raw.value.trim().parse().ok().filter(|factor: &f64| factor.is_finite());
    let factor = factor.ok_or_else(|| Problem::value("is not a number"))?;
    if factor > 1.0 {
        return Ok(Some(format!("snapshotSizeFactor={factor} is above 1; {SNAPSHOT_SIZE_FACTOR} is used")));
    }
    draft.snapshot_size_factor = factor;
    Ok(None)
}

/// As in Java, what is not above 0 is none.
fn observer_master_port(draft: &mut Draft, raw: &Raw<'_>) -> Verdict {
    let port = raw.key.number(raw.value, i64::from(i32::MIN), i64::from(u16::MAX))?;
    draft.observer_master_port = u16::try_from(port).ok().filter(|port| *port > 0);
    Ok(None)
}

fn peer_type(_: &mut Draft, raw: &Raw<'_>) -> Verdict {
    match raw.value.to_ascii_lowercase().as_str() {
        "participant" | "observer" => Ok(None),
        _ => {
            let problem = Problem::whole(format!("Unrecognised peertype: {}", raw.value));
            Err(problem.hint("`participant` or `observer`"))
        }
    }
}

/// `group.N=id:id` or `weight.N=w`: numbers throughout.
fn hierarchy(raw: &Raw<'_>, separator: char) -> Verdict {
    let number = raw.name.split_once('.').map_or(raw.name, |(_, number)| number);
    let mut numbers = raw.value.split(separator).chain([number]);
    match numbers.find(|number| number.parse::<i64>().is_err()) {
        None => Ok(None),
        Some(other) => {
            let hint = "write `group.1=1:2:3` and `weight.1=1`";
            Err(Problem::value(format!("has `{other}` where a number belongs")).hint(hint))
        }
    }
}
