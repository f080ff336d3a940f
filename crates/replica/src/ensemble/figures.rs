//! What operators ask about agreement: counted from what it asks for, in the sense of Java's metrics.
//!
//! Some latencies are measured from the time that the leader gave a transaction, which is of its wall clock: between two
//! machines they are as good as their clocks agree, and what would be negative does not count, as in Java.

use std::collections::{BTreeMap, VecDeque};

use zabd_jute::quorum::PeerState;
use zabd_jute::{OpCode, ServerId, Zxid};
use zabd_zab::effect::{Effect, LinkId, Note, Remedy};
use zabd_zab::leader::Census;

use super::Serving;
use super::acknowledgements::Acknowledgements;
use crate::input::{Fact, Now, Output, Outputs, Request};
use crate::percentiles::Percentiles;
use crate::pipeline::{Queued, Replica};
use crate::traffic::Samples;

/// Since the last `srst`; transactions only while somebody is served. Times are in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuorumFigures {
    /// Transactions that this server proposed as a leader.
    pub proposals: u64,
    /// Transactions that it found committed as a leader.
    pub commits: u64,
    /// Proposals of a leader.
    pub proposals_received: u64,
    /// Transactions that a leader said were committed.
    pub commits_received: u64,
    /// How often this server began to look for a leader.
    pub searches: u64,
    /// How long elections took in which it came to lead or to follow.
    pub election_ms: Percentiles,
    /// How long a leader took to bring it into step as a follower.
    pub follower_sync_ms: Percentiles,
    /// The same as an observer.
    pub observer_sync_ms: Percentiles,
    /// How long it served nobody, whenever that was over.
    pub unavailable_ms: Percentiles,
    /// The same when it then led.
    pub leader_unavailable_ms: Percentiles,
    /// Learners that were brought into step with what they lacked.
    pub differences: u64,
    /// Learners that were sent a snapshot.
    pub snapshots: u64,
    /// How many were under way when one began or ended.
    pub differences_underway: Percentiles,
    /// The same of snapshots.
    pub snapshots_underway: Percentiles,
    /// Sessions that learners asked about.
    pub revalidations: u64,
    /// Until a proposal came here.
    pub proposal_ms: Percentiles,
    /// Until it was durable here.
    pub acknowledged_ms: Percentiles,
    /// Until its commit came here.
    pub commit_ms: Percentiles,
    /// Until a quorum had it, of which this server is the leader.
    pub quorum_ms: Percentiles,
}

/// What only a leader has to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderGauges {
    /// Who follows and observes.
    pub census: Census,
    /// Positions whose commit a `sync` waits for.
    pub syncs: usize,
    /// Bytes of the last transaction that it proposed; of the smallest and of the largest. None, before there is one.
    pub proposal_bytes: Option<(u64, u64, u64)>,
}

/// How a learner is brought into step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Difference,
    Snapshot,
}

/// What the figures are made of.
#[derive(Debug)]
pub(super) struct Course {
    figures: QuorumFigures,
    looking_since_ms: Option<i64>,
    joining_since_ms: Option<i64>,
    unavailable_since_ms: Option<i64>,
    /// Since when the role is served in.
    pub serving_since_ms: Option<i64>,
    /// A leader's learners on their way into step.
    underway: BTreeMap<LinkId, How>,
    /// The times of transactions that are not committed, and of those that are not durable.
    uncommitted: VecDeque<(Zxid, i64)>,
    unsynced: VecDeque<(Zxid, i64)>,
    last_proposal_bytes: u64,
    proposal_bytes: Samples,
    pub acknowledgements: Acknowledgements,
}

impl Course {
    /// Nothing has happened.
    pub fn new(acknowledgements: Acknowledgements) -> Self {
        Self {
            figures: QuorumFigures::default(),
            looking_since_ms: None,
            joining_since_ms: None,
            unavailable_since_ms: None,
            serving_since_ms: None,
            underway: BTreeMap::new(),
            uncommitted: VecDeque::new(),
            unsynced: VecDeque::new(),
            last_proposal_bytes: 0,
            proposal_bytes: Samples::default(),
            acknowledgements,
        }
    }

    pub fn figures(&self) -> &QuorumFigures {
        &self.figures
    }

    pub fn reset(&mut self) {
        self.figures = QuorumFigures::default();
        self.acknowledgements.reset();
        self.forget_sizes();
    }

    /// A leader is looked for.
    pub fn looks(&mut self, now: Now) {
        self.figures.searches += 1;
        self.looking_since_ms.get_or_insert(now.monotonic_ms);
        self.unavailable_since_ms.get_or_insert(now.monotonic_ms);
    }

    /// Clients are served from now on; yields after how long without.
    pub fn begins(&mut self, now: Now, role: PeerState) -> i64 {
        let since =
            |moment: &mut Option<i64>| moment.take().map(|since_ms| (now.monotonic_ms - since_ms) as u64);
        let joined_ms = since(&mut self.joining_since_ms);
        match (role, joined_ms) {
            (PeerState::Following, Some(ms)) => self.figures.follower_sync_ms.add(ms),
            (PeerState::Observing, Some(ms)) => self.figures.observer_sync_ms.add(ms),
            _ => (),
        }
        let unavailable_ms = since(&mut self.unavailable_since_ms).unwrap_or(0);
        self.figures.unavailable_ms.add(unavailable_ms);
        if role == PeerState::Leading {
            self.figures.leader_unavailable_ms.add(unavailable_ms);
        }
        self.looking_since_ms = None;
        self.serving_since_ms = Some(now.monotonic_ms);
        self.forget_transactions();
        unavailable_ms as i64
    }

    /// The role is over.
    pub fn ends(&mut self, now: Now) {
        self.unavailable_since_ms.get_or_insert(now.monotonic_ms);
        self.serving_since_ms = None;
        self.joining_since_ms = None;
        self.underway.clear();
        self.forget_transactions();
    }

    fn forget_transactions(&mut self) {
        self.uncommitted.clear();
        self.unsynced.clear();
        self.acknowledgements.forget();
        self.forget_sizes();
    }

    fn forget_sizes(&mut self) {
        (self.last_proposal_bytes, self.proposal_bytes) = (0, Samples::default());
    }

    /// Everything up to here is durable here.
    pub fn synced(&mut self, now: Now, upto: Zxid) {
        self.acknowledgements.synced(now, upto);
        while let Some((_, time_ms)) = self.unsynced.pop_front_if(|(zxid, _)| *zxid <= upto) {
            add_latency(&mut self.figures.acknowledged_ms, now, time_ms);
        }
    }

    fn appended(&mut self, now: Now, role: PeerState, zxid: Zxid, entry: &[u8]) {
        let time_ms = time_of(entry);
        match role {
            PeerState::Leading => {
                self.figures.proposals += 1;
                self.last_proposal_bytes = entry.len() as u64;
                self.proposal_bytes.add(entry.len() as u64);
                self.acknowledgements.proposed(zxid, time_ms);
            }
            PeerState::Following => {
                self.figures.proposals_received += 1;
                add_latency(&mut self.figures.proposal_ms, now, time_ms);
            }
            // It is told of what is committed, and acknowledges nothing.
            PeerState::Observing => return self.uncommitted.push_back((zxid, time_ms)),
            PeerState::Looking => return,
        }
        self.uncommitted.push_back((zxid, time_ms));
        self.unsynced.push_back((zxid, time_ms));
    }

    fn committed(&mut self, now: Now, serving: Serving, upto: Zxid) {
        while let Some((_, time_ms)) = self.uncommitted.pop_front_if(|(zxid, _)| *zxid <= upto) {
            match serving {
                Serving::Leading => add_latency(&mut self.figures.quorum_ms, now, time_ms),
                Serving::Learning => add_latency(&mut self.figures.commit_ms, now, time_ms),
                Serving::Nobody | Serving::ReadOnly => (),
            }
        }
    }

    /// What a learner lacks has been sent, in one step.
    fn brings(&mut self, link: LinkId, remedy: Remedy, is_leading: bool) {
        let how = if remedy == Remedy::Snapshot { How::Snapshot } else { How::Difference };
        match how {
            How::Difference => self.figures.differences += 1,
            How::Snapshot => self.figures.snapshots += 1,
        }
        // Whether an observer arrives, its follower does not say.
        if is_leading {
            self.underway.insert(link, how);
            self.sample_underway(how);
        }
    }

    fn is_in_step(&mut self, link: LinkId) {
        if let Some(how) = self.underway.remove(&link) {
            self.sample_underway(how);
        }
    }

    fn sample_underway(&mut self, how: How) {
        let count = self.underway.values().filter(|each| **each == how).count() as u64;
        match how {
            How::Difference => self.figures.differences_underway.add(count),
            How::Snapshot => self.figures.snapshots_underway.add(count),
        }
    }
}

/// Where the time stands in a log record: behind session, cxid and zxid.
const TIME: std::ops::Range<usize> = 20..28;

/// What is too short to have one is found out where it is read.
fn time_of(entry: &[u8]) -> i64 {
    entry.get(TIME).and_then(|bytes| bytes.try_into().ok()).map_or(i64::MAX, i64::from_be_bytes)
}

fn add_latency(latencies: &mut Percentiles, now: Now, time_ms: i64) {
    if let Ok(took_ms) = u64::try_from(now.wall_ms.saturating_sub(time_ms)) {
        latencies.add(took_ms);
    }
}

impl Replica {
    /// What was proposed and committed, and how a leader was found; nothing, if this server is alone.
    pub fn quorum_figures(&self) -> QuorumFigures {
        self.ensemble.as_ref().map(|ensemble| ensemble.course.figures().clone()).unwrap_or_default()
    }

    /// How long each voter took to acknowledge, in milliseconds, of the transactions of which that is measured.
    pub fn acknowledgement_figures(&self) -> Vec<(ServerId, Percentiles)> {
        let course = self.ensemble.as_ref().map(|ensemble| &ensemble.course);
        let figures = course.into_iter().flat_map(|course| course.acknowledgements.figures());
        figures.map(|(server, took_ms)| (server, took_ms.clone())).collect()
    }

    /// Over which connections this server's learners are reached; none, unless it leads.
    pub fn learner_links(&self) -> Vec<(LinkId, ServerId)> {
        let leader = self.ensemble.as_ref().and_then(|ensemble| ensemble.peer.as_leader());
        leader.map_or_else(Vec::new, |leader| leader.links().collect())
    }

    /// Counts it from zero.
    pub(crate) fn reset_quorum_figures(&mut self) {
        if let Some(ensemble) = &mut self.ensemble {
            ensemble.course.reset();
        }
    }

    pub(crate) fn forget_proposal_sizes(&mut self) {
        if let Some(ensemble) = &mut self.ensemble {
            ensemble.course.forget_sizes();
        }
    }

    /// Since when a member has served in its role, on the monotonic clock.
    pub fn serving_since_ms(&self) -> Option<i64> {
        self.ensemble.as_ref()?.course.serving_since_ms
    }

    /// What only a leader has to show.
    pub fn leader_gauges(&self) -> Option<LeaderGauges> {
        let ensemble = self.ensemble.as_ref().filter(|ensemble| ensemble.serving == Serving::Leading)?;
        let census = ensemble.peer.as_leader()?.census();
        let (last, all) = (ensemble.course.last_proposal_bytes, ensemble.course.proposal_bytes);
        let proposal_bytes = (all.count > 0).then_some((last, all.min, all.max));
        Some(LeaderGauges { census, syncs: census.syncs + self.syncs_awaiting(), proposal_bytes })
    }

    /// Behind how many transactions a `sync` of an own client waits.
    fn syncs_awaiting(&self) -> usize {
        let (mut count, mut is_behind_txn) = (0, false);
        for queued in &self.queue {
            match queued {
                Queued::Txn { .. } => is_behind_txn = true,
                Queued::Read(Request { op, .. }) if *op == OpCode::Sync.code() => {
                    count += usize::from(std::mem::replace(&mut is_behind_txn, false));
                }
                Queued::Read(_) | Queued::Refused { .. } => (),
            }
        }
        count
    }

    /// Counts what an effect of agreement says.
    pub(super) fn count_agreement(&mut self, now: Now, effect: &Effect) {
        let committed = self.positions.committed;
        let ensemble = self.ensemble.as_mut().expect("only a member of an ensemble has peers");
        let (course, serving) = (&mut ensemble.course, ensemble.serving);
        match (effect, serving) {
            (Effect::Append { zxid, entry }, Serving::Leading | Serving::Learning) => {
                course.appended(now, ensemble.peer.state(), *zxid, entry);
            }
            (Effect::Commit { upto }, serving) if committed < *upto => {
                course.committed(now, serving, *upto);
                // The first of an epoch follows none.
                let before = if committed.epoch() == upto.epoch() { committed.counter() } else { 0 };
                let more = u64::from(upto.counter().saturating_sub(before));
                match serving {
                    Serving::Leading => course.figures.commits += more,
                    Serving::Learning => course.figures.commits_received += more,
                    Serving::Nobody | Serving::ReadOnly => (),
                }
            }
            (Effect::Revalidate { .. }, Serving::Leading) => course.figures.revalidations += 1,
            (Effect::LearnerGone { link }, _) => _ = course.underway.remove(link),
            _ => (),
        }
    }

    /// How far agreement has come.
    pub(super) fn note(&mut self, now: Now, note: Note, out: &mut Outputs) {
        let ensemble = self.ensemble.as_mut().expect("only a member of an ensemble has peers");
        let course = &mut ensemble.course;
        match note {
            Note::Voiceless { .. }
            | Note::LearnerLost { .. }
            | Note::Uncounted(_)
            | Note::AnotherList { .. } => {
                out.list.push(Output::Fact(Fact::Agreement(note)));
            }
            Note::Elected { role, .. } => {
                let since_ms = course.looking_since_ms.take();
                if let Some(since_ms) = since_ms.filter(|_| role != PeerState::Observing) {
                    course.figures.election_ms.add((now.monotonic_ms - since_ms) as u64);
                }
                out.list.push(Output::Fact(Fact::Agreement(note)));
            }
            Note::Joins => course.joining_since_ms = Some(now.monotonic_ms),
            Note::BringsIntoStep { link, remedy, .. } => {
                course.brings(link, remedy, ensemble.peer.as_leader().is_some());
                out.list.push(Output::Fact(Fact::Agreement(note)));
            }
            Note::InStep { link } => course.is_in_step(link),
        }
    }
}
