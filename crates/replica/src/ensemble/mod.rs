//! The same server as a member of an ensemble: proposals go to a quorum, requests of a learner to its leader.
//!
//! ```text
//! leader   request ─► checks, zxid ─► proposal to log and learners ─► quorum ─► apply
//! learner  request ─► to the leader ─► comes back as a proposal ─► log ─► commit ─► apply, answer
//! ```
//!
//! The pipeline stays what it is alone: one queue, worked off from the front, a transaction when it is
//! committed, a read when its turn comes. What an ensemble adds is where transactions come from, and what
//! *committed* means. A server that is in no role serves nobody: its connections are closed, its queue is worked
//! off as far as it is on disk, and only then does it vote (`settling`).
//!
//! In reading order: this file (the role and what agreement asks for), [`leading`] (requests of learners, owners of
//! sessions), [`learning`] (what waits for the leader), [`local`] (sessions that no other server knows), [`read_only`]
//! (a server that finds no leader), [`relaying`] (what a follower passes on for its observers), [`holding`] (clients that
//! come between two roles), [`early`] (what is refused before the leader hears of it), [`figures`] (what operators ask).

mod acknowledgements;
mod early;
mod figures;
mod holding;
mod leading;
mod learning;
mod local;
mod read_only;
mod relaying;
#[cfg(test)]
mod tests;
mod unsynced;

use std::collections::BTreeMap;

use bytes::Bytes;
use zabd_jute::quorum::{Address, Configuration, PeerState};
use zabd_jute::{ConfigVersion, Epoch, ServerId, SessionId, Zxid};
use zabd_mutation::{Mutation, is_on};
use zabd_tree::{Pending, Tree};
use zabd_zab::effect::{Effect, Effects, Instant, Reason};
use zabd_zab::{leader, peer};

use self::acknowledgements::Acknowledgements;
use self::figures::Course;
use self::holding::Held;
use self::learning::Learning;
use self::unsynced::Unsynced;
use crate::input::{Fact, Input, Now, Output, Outputs, SessionRequest};
use crate::pipeline::{Origin, Positions, Queued, Replica};
use crate::session::Sessions;

pub use figures::{LeaderGauges, QuorumFigures};
pub(crate) use leading::Owner;

/// Whom this server serves as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serving {
    /// Nobody is served.
    Nobody,
    /// As the leader.
    Leading,
    /// As a follower or observer.
    Learning,
    /// Without a leader: only reads, to who asks for no more.
    ReadOnly,
}

/// Whom a member of an ensemble serves, as configured.
#[derive(Clone, Copy, Debug)]
pub struct MemberOptions {
    /// `leaderServes`: whether a leader has clients too when there are other members.
    pub leader_serves: bool,
    /// `readonlymode.enabled`: whether a server that finds no leader serves reads.
    pub read_only: bool,
    /// `localSessionsEnabled` and `localSessionsUpgradingEnabled`.
    pub local_sessions: LocalSessions,
    /// `leader.ackLoggingFrequency`: of one transaction in so many it is measured how long voters take; of none, if it is 0.
    pub acknowledgements_one_in: u32,
    /// `enableEagerACLCheck`: whether a write that access lists forbid is refused before it is forwarded or proposed.
    pub checks_access_early: bool,
}

impl Default for MemberOptions {
    fn default() -> Self {
        let local_sessions = LocalSessions::Off;
        Self {
            leader_serves: true,
            read_only: false,
            local_sessions,
            acknowledgements_one_in: 1000,
            checks_access_early: false,
        }
    }
}

/// What a new session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalSessions {
    /// Known to all servers.
    Off,
    /// Known to its own server only; it can own no ephemerals.
    On,
    /// The same, until it wants an ephemeral.
    Upgrading,
}

/// What a member of an ensemble has beside what a lone server has.
#[derive(Debug)]
pub(crate) struct Ensemble {
    pub(crate) peer: peer::Peer,
    effects: Effects,
    /// Scratch: the memory of a list of effects.
    spare: Vec<Effect>,
    pub(crate) serving: Serving,
    /// Led by whom, in which epoch; of the last time that somebody was served.
    epoch: Epoch,
    leader: Option<ServerId>,
    /// The disk is finishing what the last role asked for; then a leader is looked for.
    settling: bool,
    /// A leader that is about to hand over, see [`Replica::is_retiring`].
    is_retiring: bool,
    /// When reads are served, if no leader is found before.
    read_only_from: Option<i64>,
    /// A leader has begun, and looks for ephemerals that nobody owns.
    looks_for_dead_sessions: bool,
    /// How many operations the disk has not reported, apart from appends.
    disk_operations: usize,
    pub(crate) unsynced: Unsynced,
    /// Transactions up to here may meet their own effects: the leader's snapshot can be newer than it says.
    fuzzy_until: Zxid,
    /// What `/zookeeper/config` is to show, until it does.
    configuration_to_show: Option<ToShow>,
    /// A reconfiguration has ended the role: whoever asked for what is committed up to here is answered before all
    /// connections are closed.
    farewell: Option<Zxid>,
    held: Held,
    pub(crate) owners: BTreeMap<SessionId, Owner>,
    pub(crate) learning: Learning,
    course: Course,
}

/// The configuration in which a role has begun.
#[derive(Debug)]
struct ToShow {
    text: String,
    version: ConfigVersion,
    time_ms: i64,
    /// Older texts may stand in the transactions up to here.
    behind: Zxid,
}

impl Ensemble {
    /// Whether there is something for [`Replica::carry_out`].
    pub(crate) fn has_effects(&self) -> bool {
        !self.effects.list.is_empty()
    }
}

/// What operators ask about a member.
#[derive(Clone, Debug)]
pub struct EnsembleStatus {
    /// What it is.
    pub state: PeerState,
    /// Whether clients are served.
    pub serving: Serving,
    /// Whom it follows, or itself.
    pub leader: Option<ServerId>,
    /// The epoch in which it serves or last served.
    pub epoch: Epoch,
    /// From whom a learner hears of transactions.
    pub master: Option<ServerId>,
    /// How many observers a follower has brought into step, if it has a port for them.
    pub observers_in_step: Option<usize>,
    /// How a leader that was asked to end has left.
    pub retired: Option<Reason>,
}

/// Who the members are, as a tree shows it.
pub fn shown_members(tree: &Tree) -> Option<Box<Configuration>> {
    let data = tree.node("/zookeeper/config")?.data()?;
    Configuration::parse(&String::from_utf8_lossy(data)).ok().map(Box::new)
}

/// Whether most of the servers that both know are at the same place. Data of another ensemble name that one's members: who restores
/// them on other machines must become none of those.
fn is_same_ensemble(ours: &Configuration, shown: &Configuration) -> bool {
    let both = shown.members().iter().filter_map(|shown| {
        ours.member(shown.id()).map(|ours| ours.quorum_addresses().eq(shown.quorum_addresses()))
    });
    let (equal, moved): (Vec<bool>, Vec<bool>) = both.partition(|is_equal| *is_equal);
    moved.len() < equal.len()
}

/// The change of members that a start may be in the middle of. If the power failed when a leader's snapshot had just been taken
/// over, or the files beside zoo.cfg cannot be written to, only the tree names it. Where zoo.cfg names the members itself, it
/// has the last word: an operator may have written it anew, for data that knew others. But if a change is noted beside it, which he
/// removes to begin anew, a newer one may have taken its place in the data, and not there yet.
fn newest_change(
    tree: &Tree,
    held: &Configuration,
    noted: Option<Configuration>,
    reconfig: bool,
) -> Option<Configuration> {
    let may_show = reconfig && (held.version() != ConfigVersion::ZERO || noted.is_some());
    let shown =
        shown_members(tree).map(|shown| *shown).filter(|shown| may_show && is_same_ensemble(held, shown));
    let known = [noted, shown].into_iter().flatten();
    known.filter(|known| held.version() < known.version()).max_by_key(Configuration::version)
}

impl Replica {
    /// The same replica as a member of an ensemble: nobody is served before a leader is found.
    #[must_use]
    pub fn in_ensemble(mut self, tree: &Tree, mut start: peer::Start) -> Self {
        start.next = newest_change(tree, &start.configuration, start.next.take(), start.reconfig);
        let (me, one_in) = (start.me, self.options.member.acknowledgements_one_in);
        self.sessions = Sessions::new(self.options.timeouts, self.options.first_session);
        self.ensemble = Some(Box::new(Ensemble {
            peer: peer::Peer::new(start, shown_members(tree).map(|shown| shown.version())),
            effects: Effects::default(),
            spare: Vec::new(),
            serving: Serving::Nobody,
            epoch: Epoch::ZERO,
            leader: None,
            settling: true,
            is_retiring: false,
            read_only_from: None,
            looks_for_dead_sessions: false,
            disk_operations: 0,
            unsynced: Unsynced::default(),
            fuzzy_until: tree.last_zxid(),
            configuration_to_show: None,
            farewell: None,
            held: Held::default(),
            owners: BTreeMap::new(),
            learning: Learning::default(),
            course: Course::new(Acknowledgements::of(me, one_in)),
        }));
        self
    }

    /// Whether this server is alone, or in a role.
    pub fn is_serving(&self) -> bool {
        self.ensemble
            .as_ref()
            .is_none_or(|ensemble| !matches!(ensemble.serving, Serving::Nobody | Serving::ReadOnly))
    }

    /// Whether this server has a part in a quorum and shows what that agreed on: always, if it is alone.
    pub fn is_in_step(&self) -> bool {
        self.ensemble.as_ref().is_none_or(|ensemble| match ensemble.serving {
            Serving::Leading => true,
            // What the leader has sent first is replayed, as at a start, and tells no watch of anything.
            Serving::Learning => ensemble.fuzzy_until <= self.positions.applied,
            Serving::Nobody | Serving::ReadOnly => false,
        })
    }

    /// Whether any client is served.
    pub fn serves_clients(&self) -> bool {
        let Some(ensemble) = &self.ensemble else { return true };
        match ensemble.serving {
            Serving::Nobody => false,
            // Alone, it is the only one there is to ask.
            Serving::Leading => {
                self.options.member.leader_serves || ensemble.peer.configuration().members().len() == 1
            }
            Serving::Learning => self.is_in_step(),
            Serving::ReadOnly => true,
        }
    }

    /// Whether a client may have a session. As in Java, one that cannot be served here is not told why.
    pub(crate) fn serves(&self, tree: &Tree, request: &SessionRequest) -> bool {
        self.serves_clients() && (!self.is_read_only() || Self::may_read_only(tree, request))
    }

    /// Its part in the ensemble, if it is in one.
    pub fn ensemble_status(&self) -> Option<EnsembleStatus> {
        let ensemble = self.ensemble.as_ref()?;
        Some(EnsembleStatus {
            state: ensemble.peer.state(),
            serving: ensemble.serving,
            leader: ensemble.peer.leader(),
            epoch: ensemble.epoch,
            master: ensemble.peer.master(),
            observers_in_step: ensemble.peer.observers_in_step(),
            retired: ensemble.peer.retired(),
        })
    }

    /// Whether it votes by its own list, and follows a leader that does not count it.
    pub fn is_uncounted(&self) -> bool {
        self.ensemble.as_ref().is_some_and(|ensemble| ensemble.peer.uncounted().is_some())
    }

    /// What it waits for as long as it serves no writes, or is not counted.
    pub fn search(&self) -> Option<peer::Search> {
        let ensemble = self.ensemble.as_ref()?;
        match ensemble.serving {
            Serving::Nobody | Serving::ReadOnly => match ensemble.peer.search() {
                Some(search @ peer::Search::Election(_)) => Some(search),
                _ if self.suspended => Some(peer::Search::Room),
                search => search,
            },
            Serving::Leading | Serving::Learning => {
                ensemble.peer.uncounted().cloned().map(peer::Search::List)
            }
        }
    }

    /// The configuration that holds, if this server is in an ensemble.
    pub fn configuration(&self) -> Option<&Configuration> {
        self.ensemble.as_ref().map(|ensemble| ensemble.peer.configuration())
    }

    /// A newer one that was heard of.
    pub fn next_configuration(&self) -> Option<&Configuration> {
        self.ensemble.as_ref().and_then(|ensemble| ensemble.peer.next_configuration())
    }

    /// Where a server's quorum port is, by the configuration that holds. One that is only to become a member is in a newer one,
    /// and may have been elected to complete the change.
    pub fn quorum_addresses(&self, server: ServerId) -> Vec<Address> {
        let peer = self.ensemble.as_ref().map(|ensemble| &ensemble.peer);
        let known = peer.map(|peer| [Some(peer.configuration()), peer.next_configuration()]);
        let member = known.into_iter().flatten().flatten().find_map(|known| known.member(server));
        member.map(|member| member.quorum_addresses().collect()).unwrap_or_default()
    }

    /// How long everything is that this server has proposed as a leader and that is not committed.
    pub fn uncommitted_bytes(&self) -> usize {
        let leader = self.ensemble.as_ref().and_then(|ensemble| ensemble.peer.as_leader());
        leader.map_or(0, leader::Leader::uncommitted_bytes)
    }

    /// When [`Input::Peer`] with a timer is due, if nothing else happens.
    pub fn next_peer_timer_ms(&self) -> Option<i64> {
        let ensemble = self.ensemble.as_ref()?;
        let timer_ms = ensemble.peer.next_timer().map(|instant| instant.0);
        let read_only_ms = ensemble.read_only_from.filter(|_| ensemble.serving == Serving::Nobody);
        [timer_ms, read_only_ms, ensemble.held.due_ms()].into_iter().flatten().min()
    }

    /// Whether a transaction may be proposed now.
    pub(crate) fn may_propose(&self) -> bool {
        self.ensemble
            .as_ref()
            .is_none_or(|ensemble| ensemble.serving == Serving::Leading && !ensemble.is_retiring)
    }

    /// Whether this server leads and is about to hand over. It proposes nothing more, so it takes nothing more from its clients either,
    /// not even a read that is to be answered behind something else: a write that is not taken has no answer, and whatever
    /// came behind it would be answered in its place. Such a client asks the next server, since its connection is closed
    /// with the role.
    pub(crate) fn is_retiring(&self) -> bool {
        self.is_leading() && !self.may_propose() && !is_on(Mutation::AnswersWhileRetiring)
    }

    pub(crate) fn is_learning(&self) -> bool {
        self.ensemble.as_ref().is_some_and(|ensemble| ensemble.serving == Serving::Learning)
    }

    pub(crate) fn is_leading(&self) -> bool {
        self.ensemble.as_ref().is_some_and(|ensemble| ensemble.serving == Serving::Leading)
    }

    /// Something for the agreement among servers.
    pub(crate) fn on_peer(&mut self, now: Now, tree: &Tree, input: peer::Input, out: &mut Outputs) {
        self.before_peer(now, &input);
        let is_time = matches!(input, peer::Input::Timer);
        self.tell_peer(now, input);
        self.carry_out(now, tree, out);
        // What the disk has just reported may have been the last thing that a server between two roles waits for.
        out.apply |= self.ensemble.as_ref().is_some_and(|ensemble| ensemble.settling);
        self.consider_read_only(now, out);
        self.end_dead_sessions(now, tree, out);
        self.consider_held(now, tree, out);
        if is_time {
            self.consider_standing_still(now, tree, out);
        }
    }

    pub(super) fn tell_peer(&mut self, now: Now, input: peer::Input) {
        let ensemble = self.ensemble.as_mut().expect("only a member of an ensemble has peers");
        ensemble.peer.step(Instant(now.monotonic_ms), input, &mut ensemble.effects);
    }

    /// What the disk reports is this server's own business first.
    fn before_peer(&mut self, now: Now, input: &peer::Input) {
        let ensemble = self.ensemble.as_mut().expect("only a member of an ensemble has peers");
        match input {
            peer::Input::Leader(leader::Input::HandOver) => ensemble.is_retiring = true,
            peer::Input::Persisted(_) => ensemble.disk_operations -= 1,
            peer::Input::Packet { link, packet } => {
                let acknowledged = acknowledgements::acknowledged_by(packet);
                let server = || ensemble.peer.as_leader()?.server_of(*link);
                if let Some((zxid, server)) = acknowledged.and_then(|zxid| Some((zxid, server()?))) {
                    ensemble.course.acknowledgements.acknowledged(now, server, zxid);
                }
            }
            peer::Input::Rebased { last, .. } => {
                ensemble.disk_operations -= 1;
                ensemble.unsynced.clear();
                ensemble.fuzzy_until = *last;
                let is_empty = !self.queue.iter().any(|queued| matches!(queued, Queued::Txn { .. }));
                assert!(is_empty, "the base was replaced below transactions that are on their way");
                self.positions =
                    Positions { appended: *last, synced: *last, committed: *last, applied: *last };
            }
            _ => (),
        }
    }

    /// Every record up to here is durable.
    pub(crate) fn on_synced_in_ensemble(&mut self, now: Now, tree: &Tree, upto: Zxid, out: &mut Outputs) {
        let ensemble = self.ensemble.as_mut().expect("only a member of an ensemble has peers");
        ensemble.course.synced(now, upto);
        ensemble.unsynced.synced(now, upto);
        self.tell_peer(now, peer::Input::Synced { upto });
        self.carry_out(now, tree, out);
    }

    /// The tree shows what may be shown.
    pub(crate) fn on_applied(&mut self, now: Now, tree: &Tree, out: &mut Outputs) {
        self.consider_settled(now, tree, out);
        self.consider_held(now, tree, out);
    }

    /// A server between two roles goes on when it has settled.
    fn consider_settled(&mut self, now: Now, tree: &Tree, out: &mut Outputs) {
        let Some(ensemble) = self.ensemble.as_mut().filter(|ensemble| ensemble.settling) else { return };
        if ensemble.farewell.take_if(|upto| *upto <= self.positions.applied).is_some() {
            self.close_all(out);
        }
        let Some(ensemble) = &self.ensemble else { return };
        let is_busy = ensemble.disk_operations > 0 || self.positions.synced < self.positions.appended;
        if is_busy && !is_on(Mutation::VoteBeforeSettled) {
            return;
        }
        if !self.queue.is_empty() {
            // What is logged is what this server has: the next leader decides about it.
            self.positions.committed = self.positions.appended;
            out.apply = true;
            return;
        }
        let ensemble = self.ensemble.as_mut().expect("it is there");
        ensemble.settling = false;
        if ensemble.peer.is_to_look() {
            ensemble.course.looks(now);
        }
        ensemble.fuzzy_until = tree.last_zxid();
        let last = tree.last_zxid();
        self.positions = Positions { appended: last, synced: last, committed: last, applied: last };
        self.tell_peer(now, peer::Input::Settled { last });
        self.carry_out(now, tree, out);
        self.consider_read_only(now, out);
    }

    /// A leader whose log takes nothing more, or whose epoch has no room, lets somebody lead who has some: whoever has been elected
    /// and serves nobody yet would be waited for as long as `initLimit` says.
    pub(crate) fn give_up_the_lead(&mut self, now: Now, tree: &Tree, out: &mut Outputs) {
        if self.ensemble.as_ref().is_some_and(|ensemble| ensemble.peer.state() == PeerState::Leading) {
            self.on_peer(now, tree, peer::Input::Leader(leader::Input::NoRoom), out);
        }
    }

    /// Proposes what was checked here.
    pub(crate) fn propose_to_quorum(
        &mut self,
        now: Now,
        tree: &Tree,
        zxid: Zxid,
        entry: Bytes,
        configuration: Option<Box<Configuration>>,
        out: &mut Outputs,
    ) {
        let propose = leader::Input::Propose { zxid, entry, configuration };
        self.tell_peer(now, peer::Input::Leader(propose));
        self.carry_out(now, tree, out);
    }

    /// A role has begun: the tree shows in which ensemble.
    pub(crate) fn show_configuration(&mut self, tree: &mut Tree) {
        let Some(ensemble) = &mut self.ensemble else { return };
        let applied = self.positions.applied;
        if let Some(shown) = ensemble.configuration_to_show.take_if(|shown| shown.behind <= applied) {
            tree.set_configuration(&shown.text, shown.version, shown.time_ms);
            self.writes.add_write("/zookeeper/config", shown.text.len());
        }
    }

    /// A reconfiguration is applied, which may be newer than what was to be shown.
    pub(crate) fn note_reconfiguration(&mut self, zxid: Zxid) {
        let Some(ensemble) = &mut self.ensemble else { return };
        ensemble.configuration_to_show.take_if(|shown| shown.version <= zxid.into());
    }

    /// Whether this transaction may meet its own effects in the tree.
    pub(crate) fn is_fuzzy(&self, zxid: Zxid) -> bool {
        self.ensemble.as_ref().is_some_and(|ensemble| zxid <= ensemble.fuzzy_until)
    }

    /// Does what agreement asks for, until it asks for nothing more.
    pub(crate) fn carry_out(&mut self, now: Now, tree: &Tree, out: &mut Outputs) {
        loop {
            let ensemble = self.ensemble.as_mut().expect("only a member of an ensemble has peers");
            if ensemble.effects.list.is_empty() {
                return;
            }
            let mut effects =
                std::mem::replace(&mut ensemble.effects.list, std::mem::take(&mut ensemble.spare));
            let begin = out.packets.len();
            out.packets.append(&mut ensemble.effects.bytes);
            for effect in effects.drain(..) {
                self.carry_out_one(now, tree, effect, begin, out);
            }
            self.ensemble.as_mut().expect("it was just there").spare = effects;
        }
    }

    fn carry_out_one(&mut self, now: Now, tree: &Tree, effect: Effect, begin: usize, out: &mut Outputs) {
        self.count_agreement(now, &effect);
        match effect {
            Effect::Append { zxid, entry } => {
                if !self.is_leading() {
                    self.enqueue_proposal(zxid, entry.clone(), out);
                }
                let ensemble = self.ensemble.as_mut().expect("only a member of an ensemble has peers");
                ensemble.unsynced.add(now, zxid, entry.len());
                out.list.push(Output::Append { zxid, entry });
            }
            Effect::Replay { upto } => {
                let ensemble = self.ensemble.as_mut().expect("only a member of an ensemble has peers");
                assert_eq!(
                    ensemble.serving,
                    Serving::Nobody,
                    "an initial history is taken in before anybody is served"
                );
                ensemble.fuzzy_until = ensemble.fuzzy_until.max(upto);
                self.positions.committed = self.positions.committed.max(upto);
                out.apply = true;
            }
            Effect::Commit { upto } => {
                let positions = &mut self.positions;
                positions.committed = positions.committed.max(upto.min(positions.appended));
                out.apply = true;
            }
            Effect::Serve { epoch, leader } => self.begin_to_serve(now, tree, epoch, leader, out),
            Effect::Request { link, packet } if self.is_learning() => self.relay(link, &packet),
            Effect::Request { link, packet } => self.on_forwarded(now, tree, link, &packet, out),
            Effect::Revalidate { link, session, timeout_ms } if self.is_learning() => {
                self.relay_revalidation(link, session, timeout_ms);
            }
            Effect::Revalidate { link, session, timeout_ms } => {
                self.revalidate_for(now, link, session, timeout_ms, out);
            }
            Effect::Touch(_) if is_on(Mutation::TouchesIgnored) => (),
            Effect::Touch(touch) if self.is_learning() => {
                self.learning().note_created(touch.session, touch.timeout_ms);
            }
            Effect::Touch(touch) => _ = self.sessions.touch(now.monotonic_ms, touch.session),
            // Its sessions live until they expire; whoever they come to next is their owner then.
            Effect::LearnerGone { .. } => (),
            Effect::Ping { zxid } => {
                let touched = self.take_touched();
                self.tell_peer(now, peer::Input::Pong { zxid, touched });
            }
            Effect::Synchronised => self.on_synchronised(now, out),
            Effect::Revalidated { session, is_valid } => self.on_revalidated(now, session, is_valid, out),
            Effect::Note(note) => self.note(now, note, out),
            Effect::Leave(reason) => {
                out.list.push(Output::Fact(Fact::RoleLeft { reason }));
                self.cease_to_serve(now, reason, out);
            }
            Effect::Send { link, bytes } => {
                let bytes = begin + bytes.start..begin + bytes.end;
                out.list.push(Output::Ensemble(Effect::Send { link, bytes }));
            }
            Effect::Persist(_) | Effect::Truncate { .. } | Effect::Adopt { .. } => {
                let ensemble = self.ensemble.as_mut().expect("only a member of an ensemble has peers");
                ensemble.disk_operations += 1;
                out.list.push(Output::Ensemble(effect));
            }
            other => out.list.push(Output::Ensemble(other)),
        }
    }

    fn begin_to_serve(&mut self, now: Now, tree: &Tree, epoch: Epoch, leader: ServerId, out: &mut Outputs) {
        self.end_read_only(out);
        let ensemble = self.ensemble.as_mut().expect("only a member of an ensemble has peers");
        let role = ensemble.peer.state();
        let leads = role == PeerState::Leading;
        ensemble.epoch = epoch;
        ensemble.leader = Some(leader);
        ensemble.owners.clear();
        ensemble.learning = Learning::default();
        ensemble.serving = if leads { Serving::Leading } else { Serving::Learning };
        self.pending = Pending::new(self.options.check);
        self.sessions.forget_all();
        if leads {
            assert!(self.queue.is_empty(), "a leader begins with everything applied");
            // The epoch's first position, unless a test says otherwise.
            let first = ensemble.peer.as_leader().expect("it leads").proposed();
            self.positions = Positions { appended: first, synced: first, committed: first, ..self.positions };
            let forgets = is_on(Mutation::SessionsForgotten);
            for (session, timeout_ms) in tree.sessions().filter(|_| !forgets) {
                self.sessions.track(now.monotonic_ms, session, timeout_ms, None);
            }
            ensemble.looks_for_dead_sessions = true;
        } else {
            // What came before is in the leader's snapshot, perhaps already with later effects.
            ensemble.fuzzy_until = self.positions.appended;
        }
        let configuration = ensemble.peer.configuration();
        ensemble.configuration_to_show = Some(ToShow {
            text: configuration.to_string(),
            version: configuration.version(),
            time_ms: now.wall_ms,
            behind: if leads { Zxid::ZERO } else { self.positions.appended },
        });
        out.apply = true;
        let after_ms = ensemble.course.begins(now, role);
        // One that was elected may be gone by the time at which an observer comes to a follower of the next.
        let leader = ensemble.peer.master().unwrap_or(leader);
        out.list.push(Output::Fact(Fact::RoleBegun { epoch, leader, role, after_ms }));
    }

    /// Nobody is served any more. What is on its way to the disk still gets there.
    fn cease_to_serve(&mut self, now: Now, reason: Reason, out: &mut Outputs) {
        let ensemble = self.ensemble.as_mut().expect("only a member of an ensemble has peers");
        ensemble.serving = Serving::Nobody;
        ensemble.course.ends(now);
        ensemble.settling = true;
        ensemble.held.begin(now, reason);
        for (conn, request) in std::mem::take(&mut ensemble.learning).into_connecting() {
            ensemble.held.take(now, conn, request);
        }
        ensemble.owners.clear();
        self.sessions.forget_all();
        self.local.forget_all();
        let is_reconfigured = matches!(reason, Reason::Reconfigured { .. });
        let answered = if is_reconfigured { self.positions.committed } else { Zxid::ZERO };
        let is_answered = |queued: &Queued| matches!(queued, Queued::Txn { zxid, .. } if *zxid <= answered);
        // Reads in front of a write that is answered are answered too: a client is told in the order in which it asked.
        let mut in_front = self.queue.iter().rposition(is_answered).unwrap_or(0);
        self.queue.retain(|queued| {
            let is_in_front = in_front > 0;
            in_front = in_front.saturating_sub(1);
            is_in_front || matches!(queued, Queued::Txn { .. })
        });
        for queued in &mut self.queue {
            if let Queued::Txn { zxid, origin, .. } = queued
                && answered < *zxid
                && let Origin::Connect { conn, timeout_ms, has_read_only_byte } =
                    std::mem::replace(origin, Origin::Server)
            {
                ensemble.held.take(now, conn, SessionRequest::for_a_new_one(timeout_ms, has_read_only_byte));
            }
        }
        if self.positions.applied < answered {
            ensemble.farewell = Some(answered);
        } else {
            self.close_all(out);
        }
        out.apply = true;
    }

    /// One input of the world for a member of an ensemble, if it is one.
    pub(crate) fn feed_peer(&mut self, now: Now, tree: &Tree, input: Input, out: &mut Outputs) {
        match input {
            Input::Peer(input) => self.on_peer(now, tree, *input, out),
            Input::Applied => self.on_applied(now, tree, out),
            Input::Gone { conn, session } => self.forget_waiting(conn, session),
            _ => unreachable!("only inputs of an ensemble come here"),
        }
    }
}
