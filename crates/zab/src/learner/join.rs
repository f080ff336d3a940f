//! Joining: from the first packet to the last one before the leader is established.
//!
//! What comes before UPTODATE is sorted into three: committed entries of the initial history are logged at
//! once, and taken into the tree as they become durable, so that a long one needs no memory; entries that are not committed wait, since an acknowledgement of theirs must not precede that of
//! NEWLEADER; everything else is not for now and is ignored.

use std::borrow::Cow;
use std::collections::BTreeSet;

use bytes::Bytes;
use zabd_jute::quorum::{Configuration, FromLeader, FromLearner, LearnerInfo, Member, Sections};
use zabd_jute::{Epoch, Zxid};
use zabd_mutation::{Mutation, is_on};

use super::{ATTEMPTS_MAX, Learner, Phase};
use crate::effect::{DialId, Durable, Effect, Effects, Instant, LinkId, Note, Reason, Uncounted};
use crate::history::History;
use crate::leader::is_still_voter;
use crate::leader::noted::NOTED_CHANGE;
use crate::quorum::Lists;
use crate::quorum::lists::LISTS;

impl Learner {
    pub(super) fn on_connected(&mut self, now: Instant, dial: DialId, link: LinkId, out: &mut Effects) {
        if self.phase != Phase::Dialling || self.dial != dial {
            out.push(Effect::Close { link });
            return;
        }
        self.link = Some(link);
        self.connected_at = now;
        self.phase = Phase::Introduced;
        self.deadline = now.after_ms(self.timing.init_ms());
        let info = LearnerInfo {
            server: self.me,
            protocol_version: Some(LearnerInfo::PROTOCOL_VERSION),
            config_version: Some(self.configuration.version()),
        };
        let noted = self.changes.noted().filter(|_| self.reconfig && !is_on(Mutation::NotedChangeUnsaid));
        let (noted, lists) = (noted.map(Configuration::to_string), self.lists.to_string());
        let lists = Some(&lists).filter(|lists| !lists.is_empty()).map(|lists| (LISTS, lists));
        let behind = noted.iter().map(|noted| (NOTED_CHANGE, noted)).chain(lists);
        let behind =
            behind.fold(Sections::default(), |behind, (name, text)| behind.with(name, text.as_bytes()));
        let (kind, accepted) = (self.kind, self.accepted);
        let packet = FromLearner::Info { kind, accepted, info: Some(info), behind };
        out.tell_leader(link, &packet);
    }

    pub(super) fn on_connect_failed(&mut self, now: Instant, dial: DialId, out: &mut Effects) {
        if self.phase == Phase::Dialling && self.dial == dial {
            self.on_attempt_failed(now, out);
        }
    }

    /// The connection is gone. Who closes at once has not listened, and has said nothing about who leads: something in between
    /// may take connections for a leader that is not there yet. That is an attempt that failed, as if nobody had answered. To
    /// turn to an election at once would begin thousands in a second, and Java's leader-to-be ends its own only when it hears
    /// nothing for a while. Who takes longer knows that it does not lead; then it is asked anew who does.
    pub(super) fn on_closed(&mut self, now: Instant, out: &mut Effects) {
        let listened_until = self.connected_at.after_ms(self.timing.pause_ms());
        if self.phase != Phase::Introduced || listened_until < now {
            self.leave(Reason::LeaderClosed, out);
            return;
        }
        self.link = None;
        self.phase = Phase::Dialling;
        self.deadline = self.dial_until;
        self.on_attempt_failed(now, out);
    }

    fn on_attempt_failed(&mut self, now: Instant, out: &mut Effects) {
        self.attempts += 1;
        if self.asks_masters {
            self.on_master_refused(now, out);
            return;
        }
        if self.attempts >= ATTEMPTS_MAX {
            self.leave(Reason::LeaderUnreachable, out);
            return;
        }
        self.deadline = now.after_ms(self.timing.pause_ms());
    }

    /// The next follower, round after round: they serve observers only when they are in step themselves. Then the leader,
    /// which Java's observers never turn to.
    fn on_master_refused(&mut self, now: Instant, out: &mut Effects) {
        if self.masters_until <= now {
            self.asks_masters = false;
            self.attempts = 0;
        } else if (self.attempts as usize).is_multiple_of(self.masters.len()) {
            self.deadline = now.after_ms(self.timing.pause_ms());
            return;
        }
        self.connect_again(out);
    }

    pub(super) fn on_join(&mut self, packet: &Bytes, decoded: FromLeader<'_>, out: &mut Effects) {
        match (self.phase, decoded) {
            (Phase::Introduced, FromLeader::LeaderInfo { epoch, .. }) => self.on_leader_info(epoch, out),
            (Phase::Promised, FromLeader::Diff { zxid }) if !self.needs_snapshot => {
                self.committed = zxid;
                self.phase = Phase::Synchronising;
                if is_on(Mutation::EpochWrittenEarly) {
                    self.write_current(self.epoch, out);
                }
            }
            (Phase::Promised, FromLeader::Trunc { .. }) if is_on(Mutation::TruncSkipped) => {
                self.committed = self.came_with;
                self.phase = Phase::Synchronising;
            }
            (Phase::Promised, FromLeader::Trunc { zxid }) => {
                self.rebase(zxid, false);
                out.push(Effect::Truncate { zxid });
            }
            (Phase::Promised, FromLeader::SnapInstead { zxid }) => {
                self.is_disowned = true;
                self.base = zxid;
                self.phase = Phase::Receiving;
            }
            (Phase::Promised, FromLeader::Snap { zxid }) => {
                self.base = zxid;
                self.phase = Phase::Receiving;
            }
            (
                Phase::Dialling | Phase::Introduced | Phase::Promising | Phase::Promised | Phase::Receiving,
                _,
            ) => {
                self.leave(Reason::LeaderBroken("the handshake has another order"), out);
            }
            (_, FromLeader::Proposal { zxid, txn }) => self.wait(zxid, packet.slice_ref(txn), out),
            (_, FromLeader::Commit { zxid }) => self.on_early_commit(zxid, out),
            (_, FromLeader::CommitAndActivate { zxid, leader }) => {
                self.on_early_commit(zxid, out);
                self.activate(zxid, leader, out);
            }
            (_, FromLeader::Inform { zxid, txn }) => {
                self.wait(zxid, packet.slice_ref(txn), out);
                self.on_early_commit(zxid, out);
            }
            (_, FromLeader::InformAndActivate { zxid, leader, txn }) => {
                self.wait(zxid, packet.slice_ref(txn), out);
                self.on_early_commit(zxid, out);
                self.activate(zxid, leader, out);
            }
            (Phase::Synchronising, FromLeader::NewLeader { zxid, config }) => {
                self.on_new_leader(zxid, config, out);
            }
            (Phase::Adopted, FromLeader::UpToDate) => self.on_up_to_date(out),
            (_, FromLeader::UpToDate | FromLeader::NewLeader { .. }) => {
                self.leave(Reason::LeaderBroken("NEWLEADER or UPTODATE out of order"), out);
            }
            _ => (),
        }
    }

    fn on_leader_info(&mut self, epoch: Epoch, out: &mut Effects) {
        if epoch < self.accepted {
            self.leave(Reason::StaleLeader, out);
            return;
        }
        if Epoch::LAST < epoch {
            self.leave(Reason::LeaderBroken("its epoch is one that a zxid has no room for"), out);
            return;
        }
        self.epoch = epoch;
        if is_on(Mutation::PromiseNotWritten) {
            self.acknowledge_epoch(Some(self.known_epoch()), out);
        } else if epoch == self.accepted {
            // Promised before, perhaps to this very leader in another life: it must not count twice.
            self.acknowledge_epoch(None, out);
        } else {
            self.phase = Phase::Promising;
            out.push(Effect::Persist(Durable::Accepted(epoch)));
        }
    }

    /// Who has nothing, not even its word for that, has no epoch either, as in its vote: a file that survived must not keep it
    /// from the leader that it helped to elect. Nor has who has a part of what a leader was sending: it may have ended between the file
    /// and the mark that it is none any more, and nobody else need ever have joined that epoch.
    fn known_epoch(&self) -> Epoch {
        let has_nothing = self.came_with == Zxid::ZERO || self.is_partial;
        if self.begins_anew && has_nothing { Epoch::ZERO } else { self.current }
    }

    /// Who cannot be cut says that it has nothing, to be given everything. The leader cannot see then whether this server has more, which it
    /// must not lead: a promise that may be of such a server does not count. If the leader was elected with as much, or more, it does.
    fn acknowledge_epoch(&mut self, current: Option<Epoch>, out: &mut Effects) {
        self.phase = Phase::Promised;
        let has = (self.known_epoch(), self.came_with);
        let is_no_more = self.elected_with.is_some_and(|leader_had| has <= leader_had);
        let current = current.filter(|_| !self.needs_snapshot || is_no_more);
        out.push(Effect::Note(Note::Joins));
        let last_zxid = match (self.vouches, self.needs_snapshot) {
            (false, _) => Zxid(-1),
            (true, true) => Zxid::ZERO,
            (true, false) => self.came_with,
        };
        let link = self.link.expect("only a connected learner hears of an epoch");
        out.tell_leader(link, &FromLearner::AckEpoch { last_zxid, current });
    }

    pub(super) fn on_persisted(&mut self, now: Instant, what: &Durable, out: &mut Effects) {
        match what {
            Durable::Accepted(epoch) if self.phase == Phase::Promising && *epoch == self.epoch => {
                self.accepted = *epoch;
                self.acknowledge_epoch(Some(self.known_epoch()), out);
            }
            Durable::Current(epoch) if *epoch == self.epoch => {
                self.adoptions_due -= 1;
                self.consider_adopted(now, out);
            }
            Durable::Partial(false) => {
                self.is_partial = false;
                self.consider_adopted(now, out);
            }
            _ => (),
        }
    }

    fn consider_adopted(&mut self, now: Instant, out: &mut Effects) {
        if self.phase != Phase::Adopting || self.adoptions_due > 0 || self.is_partial {
            return;
        }
        self.phase = Phase::Adopted;
        self.deadline = now.after_ms(self.timing.sync_ms());
        self.acknowledge_new_leader(out);
    }

    /// Something of a leader's history is about to be written where there was nothing.
    pub(super) fn mark_partial(&mut self, out: &mut Effects) {
        let is_first = self.begins_anew && !self.is_partial && self.phase < Phase::Adopting;
        if is_first && !is_on(Mutation::PartNotMarked) {
            self.is_partial = true;
            out.push(Effect::Persist(Durable::Partial(true)));
        }
    }

    fn acknowledge_new_leader(&mut self, out: &mut Effects) {
        let link = self.link.expect("only a connected learner adopts an epoch");
        out.tell_leader(link, &FromLearner::Ack { zxid: self.epoch.first_zxid() });
    }

    fn rebase(&mut self, base: Zxid, is_committed: bool) {
        self.base = base;
        self.base_is_committed = is_committed;
        self.phase = Phase::Rebasing;
    }

    pub(super) fn on_snapshot_received(&mut self, shown: Option<Box<Configuration>>, out: &mut Effects) {
        if self.phase != Phase::Receiving {
            self.leave(Reason::LeaderBroken("a snapshot that nobody announced"), out);
            return;
        }
        let base = self.base;
        // Who has proposed something in its epoch is established, and its tree shows what is committed. Before that, it shows all
        // that its log holds.
        self.rebase(base, base.epoch() == self.epoch);
        self.mark_partial(out);
        self.note_before_adoption(shown, out);
        self.know_lists(self.lists.joining(self.current.max(base.epoch())), out);
        // What the leader knows nothing of is treated like that of an older epoch.
        let own = if self.is_disowned { Epoch(self.epoch.0 + 1) } else { self.epoch };
        out.push(Effect::Adopt { zxid: base, epoch: own });
        // The image brings its epoch along: it is written before the image has its name.
        self.current = self.current.max(base.epoch());
    }

    /// Tree and log have their new base: what came meanwhile is worked off.
    pub(super) fn on_rebased(
        &mut self,
        now: Instant,
        last: Zxid,
        shown: Option<Box<Configuration>>,
        out: &mut Effects,
    ) {
        assert_eq!(self.phase, Phase::Rebasing, "nobody asked for another base");
        if last != self.base {
            self.leave(Reason::CannotCut, out);
            return;
        }
        self.history = History::new(last);
        self.note_shown(shown, out);
        self.came_with = last;
        self.committed = last;
        self.phase = Phase::Synchronising;
        self.deadline = now.after_ms(self.timing.init_ms());
        // One of them may end the role; what is behind it would be logged without what is between.
        while self.phase != Phase::Left
            && let Some(packet) = self.held.pop_front()
        {
            self.on_packet(packet, out);
        }
    }

    /// A proposal that is not logged before it is committed or the leader is established.
    fn wait(&mut self, zxid: Zxid, entry: Bytes, out: &mut Effects) {
        if zxid <= self.history.last() && zxid <= self.committed {
            // A snapshot can be newer than what is sent behind it.
            return;
        }
        if !self.goes_on_with(zxid) {
            self.leave(Reason::LeaderBroken("a transaction is missing from what the leader sends"), out);
            return;
        }
        self.note_change(zxid, &entry);
        self.waiting.push_back((zxid, entry));
    }

    fn on_early_commit(&mut self, zxid: Zxid, out: &mut Effects) {
        if zxid <= self.committed || zxid <= self.came_with {
            self.committed = self.committed.max(zxid.min(self.came_with));
            // DIFF has said where the initial history ends: what comes of it may be more than memory holds, and more
            // than a disk takes in one step when NEWLEADER comes.
            if self.phase == Phase::Synchronising {
                self.log_waiting(zxid.min(self.committed), out);
            }
            return;
        }
        let Some((next, _)) = self.waiting.iter().find(|(waiting, _)| self.committed < *waiting) else {
            self.leave(Reason::LeaderBroken("a commit without its proposal"), out);
            return;
        };
        if *next != zxid {
            self.leave(Reason::LeaderBroken("commits out of order"), out);
            return;
        }
        self.committed = zxid;
        // Behind NEWLEADER nothing is logged before UPTODATE: what is logged is acknowledged.
        if self.phase == Phase::Synchronising {
            self.log_waiting(zxid, out);
        }
    }

    /// A part of the initial history goes to the log and, behind that, into the tree. If this leader comes to nothing, it is
    /// what this server has, like everything that is logged: cutting the log makes the tree anew.
    fn log_waiting(&mut self, upto: Zxid, out: &mut Effects) {
        let before = self.history.last();
        while let Some((zxid, entry)) = self.waiting.pop_front_if(|(zxid, _)| *zxid <= upto) {
            self.log(zxid, entry, out);
        }
        let last = self.history.last();
        if before < last {
            out.push(Effect::Replay { upto: last });
        }
    }

    /// A part of the initial history is on disk, from which whatever memory lets go of is read.
    pub(super) fn on_synced_early(&mut self, upto: Zxid) {
        if self.phase < Phase::Following {
            self.history.trim(upto.min(self.committed));
        }
    }

    /// The initial history is complete: it goes to disk, then the epoch, then the answer.
    fn on_new_leader(&mut self, zxid: Zxid, config: Option<Cow<'_, str>>, out: &mut Effects) {
        if zxid.epoch() != self.epoch {
            self.leave(Reason::LeaderBroken("NEWLEADER of another epoch"), out);
            return;
        }
        self.log_waiting(self.committed, out);
        self.initial_end = self.history.last();
        match config.map(|text| Configuration::parse(&text)) {
            Some(Ok(told)) if self.reconfig => self.hear_told(told, out),
            Some(Err(_)) if self.reconfig => {
                self.leave(Reason::LeaderBroken("NEWLEADER's configuration cannot be read"), out);
                return;
            }
            Some(Ok(told)) => {
                self.uncounted = self.compare_lists(&told);
                // A follower tells its own list, which is better than to know none when this server is made a voter.
                if !self.asks_masters || self.lists.is_empty() {
                    self.know_lists(self.lists.with(self.epoch, &told), out);
                }
                self.told_list = (!self.asks_masters).then(|| Lists::only(self.epoch, &told));
            }
            Some(Err(_)) | None => (),
        }
        self.phase = Phase::Adopting;
        self.write_current(self.epoch, out);
        if self.is_partial {
            out.push(Effect::Persist(Durable::Partial(false)));
        }
        if is_on(Mutation::NewLeaderAckedEarly) {
            self.phase = Phase::Adopted;
            self.acknowledge_new_leader(out);
        }
    }

    /// What may hold, on disk before anything rests on it.
    pub(super) fn know_lists(&mut self, lists: Lists, out: &mut Effects) {
        if lists != self.lists && !lists.is_empty() && !is_on(Mutation::ListsForgotten) {
            self.lists = lists.clone();
            out.push(Effect::Persist(Durable::Lists(lists)));
        }
    }

    /// What an operator has to know if the leader counts others than this server would.
    fn compare_lists(&self, told: &Configuration) -> Option<Uncounted> {
        let voters = |list: &Configuration| list.voters().map(Member::id).collect::<BTreeSet<_>>();
        let (own, counted) = (voters(&self.configuration), voters(told));
        let is_uncounted = own.contains(&self.me) && !counted.contains(&self.me);
        let [own, counted] = [own, counted].map(|ids| ids.into_iter().collect());
        is_uncounted.then_some(Uncounted { leader: self.leader, counted, own })
    }

    /// The leader is established: the rest of what it proposed is logged and acknowledged from now on.
    fn on_up_to_date(&mut self, out: &mut Effects) {
        if self.is_noted_change_in_doubt() {
            self.leave(
                Reason::LeaderBroken("it tells of members that it has proposed, and not of those that hold"),
                out,
            );
            return;
        }
        self.phase = Phase::Following;
        if let Some(told) = self.told_list.take() {
            self.know_lists(told, out);
        }
        self.acknowledge_new_leader(out);
        out.list.extend(self.uncounted.clone().map(|uncounted| Effect::Note(Note::Uncounted(uncounted))));
        let before = self.configuration.clone();
        self.activate_as_told(out);
        if before != self.configuration && !is_still_voter(self.leader, &before, &self.configuration) {
            self.leave(Reason::LeaderReconfigured, out);
            return;
        }
        if !self.has_role() {
            self.leave(Reason::Reconfigured { leader: self.leader }, out);
            return;
        }
        if is_on(Mutation::ProposalsBeforeUpToDateDropped) {
            self.waiting.clear();
        }
        while let Some((zxid, entry)) = self.waiting.pop_front() {
            self.owed.push_back(zxid);
            self.log(zxid, entry, out);
        }
        self.consider_serving(out);
        let upto = self.committed.min(self.history.last());
        out.push(Effect::Commit { upto });
    }
}
