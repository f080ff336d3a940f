//! Synchronisation: each learner gets what its history lacks, then NEWLEADER.
//!
//! ```text
//! its history is a prefix of ours, the rest is in memory or in the log on disk   DIFF  proposals with commits
//! it is not, or is too old                                                       SNAP  the whole tree
//! it goes on where ours ends, before anything of this epoch is established       TRUNC
//! then in every case                                                             NEWLEADER
//! then                                                                           proposals not committed yet
//! ```
//!
//! A snapshot is always taken anew, so that a learner whose history *diverges* ends up behind everything it
//! had: Java's learner keeps its log under a snapshot, and a record that the snapshot's position does not
//! cover would come back at its next start. Once this leader is established, a snapshot without
//! anything of its epoch is given the epoch's first position, which covers all. Before that nobody may claim
//! that position, and a learner that is ahead is told to cut, as Java's leader does.
//!
//! A learner that was led by this leader before comes with proposals that are still under way. It keeps them: its
//! acknowledgement of NEWLEADER is one of them too. DIFF then names the last of them, none of their commits is
//! sent, and UPTODATE, which says that all that it came with is committed, waits until that is so. (Java's leader
//! has them cut off and sends them again; what a quorum counts on would be gone from a disk for a while, and Java's
//! learner cuts badly where its log does not hold the place.)
//!
//! NEWLEADER is acknowledged when the learner has all of that on disk. A quorum of these acknowledgements
//! makes the leader: its history is the epoch's initial history, and committed.

use std::borrow::Cow;

use zabd_jute::Zxid;
use zabd_jute::quorum::{Configuration, FromLeader};
use zabd_mutation::{Mutation, is_on};

use super::link::Stage;
use super::{Leader, Phase};
use crate::effect::{Durable, Effect, Effects, Instant, LinkId, Note, Remedy};
use crate::history::Membership;
use crate::quorum::Lists;

impl Leader {
    /// A quorum has promised: this server's history is the one, and this change is to hold.
    pub(super) fn begin_synchronisation(
        &mut self,
        now: Instant,
        change: Option<Configuration>,
        out: &mut Effects,
    ) {
        self.phase = Phase::Synchronising;
        self.deadline = now.after_ms(self.timing.init_ms());
        self.take_change(change, out);
        self.number_configuration(out);
        let lists = if self.reconfig {
            self.lists.joining(self.epoch)
        } else {
            self.lists.with(self.epoch, &self.configuration)
        };
        self.know_lists(lists, out);
        out.push(Effect::Persist(Durable::Current(self.epoch)));
        self.examine_waiting(now, out);
    }

    /// A change that others have noted is on disk here, too, before the epoch in which it is completed.
    fn take_change(&mut self, change: Option<Configuration>, out: &mut Effects) {
        if let Some(change) = change.filter(|change| self.next.as_ref() != Some(change)) {
            out.push(Effect::Persist(Durable::NextConfiguration(Box::new(change.clone()))));
            self.rules = [(Zxid::ZERO, self.quorums_with(Some(&change)))].into();
            self.next = Some(change);
        }
    }

    /// Which lists may hold, on disk before anything rests on it.
    fn know_lists(&mut self, lists: Lists, out: &mut Effects) {
        if lists != self.lists && !lists.is_empty() && !is_on(Mutation::ListsForgotten) {
            self.lists = lists.clone();
            out.push(Effect::Persist(Durable::Lists(lists)));
        }
    }

    fn examine_waiting(&mut self, now: Instant, out: &mut Effects) {
        let waiting = self.learners.iter().filter(|(_, learner)| learner.stage == Stage::Promised);
        let links: Vec<_> = waiting.map(|(link, _)| *link).collect();
        for link in links {
            self.examine(now, link, out);
        }
    }

    /// Everything that is committed now, for a learner that is about to be brought into step. Before this
    /// leader is established its whole history is what learners get.
    fn settled(&self) -> Zxid {
        if self.phase == Phase::Broadcasting { self.committed } else { self.history.last() }
    }

    /// Finds out what a learner may keep.
    pub(super) fn examine(&mut self, now: Instant, link: LinkId, out: &mut Effects) {
        let learner = self.learners.get_mut(&link).expect("only a known learner is examined");
        let (peer, needs_snapshot) = (learner.last_zxid, learner.needs_snapshot);
        learner.stage = Stage::Examined;
        match self.membership(peer) {
            _ if needs_snapshot => out.push(Effect::TakeSnapshot { link }),
            Membership::Yes => self.send_difference(now, link, peer, out),
            Membership::OnDiskOrNowhere if peer > Zxid::ZERO => out.push(Effect::LookUp { link, zxid: peer }),
            Membership::Ahead if self.phase < Phase::Broadcasting && peer.counter() != 0 => {
                self.cut(now, link, out);
            }
            // Nobody else proposes in this epoch.
            Membership::Ahead if self.phase == Phase::Broadcasting && peer.epoch() == self.epoch => {
                self.learners.get_mut(&link).expect("the learner was just looked at").is_foreign = true;
                out.push(Effect::TakeSnapshot { link });
            }
            _ => out.push(Effect::TakeSnapshot { link }),
        }
    }

    /// TRUNC: the learner's log goes on where this history ends. An epoch's first position is in no log, so nobody can cut
    /// there. A learner of an older epoch gets the tree instead: the reign may not begin without it. One that is ahead of this
    /// leader was heard of after a quorum had promised without it, or it would have been turned away: it waits until
    /// the reign has begun and a snapshot covers what it has.
    fn cut(&mut self, now: Instant, link: LinkId, out: &mut Effects) {
        let last = self.history.last();
        if last.counter() == 0 {
            let learner = self.learners.get_mut(&link).expect("the learner was just looked at");
            if learner.is_ahead {
                learner.stage = Stage::Promised;
            } else {
                out.push(Effect::TakeSnapshot { link });
            }
            return;
        }
        out.tell_learner(link, &FromLeader::Trunc { zxid: last });
        self.send_new_leader(now, link, last, Remedy::Cut, out);
    }

    /// Whether a learner whose log ends at `peer` has a prefix of this history. See [`crate::history`] for the
    /// first positions of epochs; a leader knows two more of them: that of the epoch that it had adopted
    /// itself, if nothing was proposed in it, and its own.
    fn membership(&self, peer: Zxid) -> Membership {
        let own = self.epoch.first_zxid();
        let is_begun = (peer == own && self.phase == Phase::Broadcasting)
            || (peer == self.frozen.0.first_zxid() && peer > self.frozen.1);
        match self.history.holds(peer) {
            Membership::No if is_on(Mutation::DivergedTakenForPrefix) => Membership::Yes,
            Membership::OnDiskOrNowhere if is_on(Mutation::DifferenceWithGap) => Membership::Yes,
            Membership::Ahead | Membership::No if is_begun => Membership::Yes,
            other => other,
        }
    }

    /// DIFF: what is behind `peer`, out of memory.
    fn send_difference(&mut self, now: Instant, link: LinkId, peer: Zxid, out: &mut Effects) {
        let settled = self.settled();
        let has_tail = self.phase == Phase::Broadcasting && settled < peer;
        if has_tail {
            self.learners.get_mut(&link).expect("the learner was just looked at").tail = peer;
        }
        out.tell_learner(link, &FromLeader::Diff { zxid: if has_tail { peer } else { settled } });
        self.send_settled(link, peer, settled, out);
        self.send_new_leader(now, link, settled.max(peer), Remedy::Difference, out);
    }

    fn send_settled(&self, link: LinkId, after: Zxid, upto: Zxid, out: &mut Effects) {
        for logged in self.history.behind(after).take_while(|logged| logged.zxid <= upto) {
            out.tell_learner(link, &FromLeader::Proposal { zxid: logged.zxid, txn: &logged.entry });
            out.tell_learner(link, &FromLeader::Commit { zxid: logged.zxid });
        }
    }

    /// Whether the log on disk has what memory has not.
    pub(super) fn on_looked_up(&mut self, now: Instant, link: LinkId, is_found: bool, out: &mut Effects) {
        let Some(learner) = self.learners.get(&link).filter(|learner| learner.stage == Stage::Examined)
        else {
            return;
        };
        let peer = learner.last_zxid;
        if !is_found {
            out.push(Effect::TakeSnapshot { link });
            return;
        }
        let (settled, upto) = (self.settled(), self.history.before());
        out.tell_learner(link, &FromLeader::Diff { zxid: settled });
        out.push(Effect::SendLog { link, after: peer, upto });
        self.send_settled(link, upto, settled, out);
        self.send_new_leader(now, link, settled, Remedy::Difference, out);
    }

    /// SNAP: a snapshot of the tree was begun, at `zxid`.
    pub(super) fn on_snapshot_begun(&mut self, now: Instant, link: LinkId, zxid: Zxid, out: &mut Effects) {
        if self.learners.get(&link).is_none_or(|learner| learner.stage != Stage::Examined) {
            return;
        }
        let settled = self.settled();
        assert!(zxid <= settled.max(self.epoch.first_zxid()), "a snapshot holds what is not committed");
        let is_whole = self.phase == Phase::Broadcasting && zxid < self.epoch.first_zxid();
        let label = match is_whole {
            true => self.epoch.first_zxid(),
            false if is_on(Mutation::SnapshotMislabelled) => settled,
            false => zxid,
        };
        let is_foreign = self.learners.get(&link).is_some_and(|learner| learner.is_foreign);
        let snap = if is_foreign {
            FromLeader::SnapInstead { zxid: label }
        } else {
            FromLeader::Snap { zxid: label }
        };
        out.tell_learner(link, &snap);
        if is_on(Mutation::NewLeaderBeforeSnapshot) {
            self.send_new_leader(now, link, settled.max(label), Remedy::Snapshot, out);
        }
        out.push(Effect::SendSnapshot { link });
        let upto = self.history.before();
        if zxid < upto {
            // What the tree shows lags behind what is committed, and memory has let go of some of that.
            out.push(Effect::SendLog { link, after: zxid, upto });
        }
        self.send_settled(link, label.max(upto), settled, out);
        self.send_new_leader(now, link, settled.max(label), Remedy::Snapshot, out);
    }

    /// NEWLEADER, and whatever is proposed and not committed behind it. `upto` is where the learner's log ends
    /// when it acknowledges.
    fn send_new_leader(&mut self, now: Instant, link: LinkId, upto: Zxid, remedy: Remedy, out: &mut Effects) {
        let config = Some(Cow::Owned(self.configuration_to_hold().to_string()));
        out.tell_learner(link, &FromLeader::NewLeader { zxid: self.epoch.first_zxid(), config });
        let learner = self.learners.get_mut(&link).expect("the learner was just looked at");
        learner.stage = Stage::Synchronising;
        learner.acked = upto;
        let server = learner.server.expect("who is examined has said who it is");
        out.push(Effect::Note(Note::BringsIntoStep { link, server, remedy }));
        if !learner.is_follower() || self.phase < Phase::Broadcasting {
            return;
        }
        for logged in self.history.behind(upto) {
            out.tell_learner(link, &FromLeader::Proposal { zxid: logged.zxid, txn: &logged.entry });
            learner.owes_since.get_or_insert(now);
        }
    }

    /// Something of what a learner lacks is on its way. While that goes on it counts as heard, and a reign that cannot
    /// begin without it has time: how long a snapshot takes is a matter of its size and the network, not of ticks. What has
    /// left may still be in buffers on the way, and must be checked and written where it arrives: it is given as long again
    /// for that, beside `initLimit`.
    pub(super) fn on_sent(&mut self, now: Instant, link: LinkId) {
        let Some(learner) = self.learners.get_mut(&link) else { return };
        if !(Stage::Examined..Stage::InStep).contains(&learner.stage) {
            return;
        }
        let since = *learner.sending_since.get_or_insert(now);
        let patience = now.after_ms(self.timing.init_ms() + now.0 - since.0);
        learner.patience = learner.patience.max(patience);
        let server = learner.server.expect("who is examined has said who it is");
        if self.phase == Phase::Synchronising && self.quorums().counts(server) {
            self.deadline = self.deadline.max(patience);
        }
    }

    /// A learner has the initial history on disk.
    pub(super) fn on_new_leader_acked(&mut self, now: Instant, link: LinkId, out: &mut Effects) {
        let learner = self.learners.get_mut(&link).expect("the learner was just looked at");
        learner.stage = Stage::InStep;
        out.push(Effect::Note(Note::InStep { link }));
        learner.owes_since = learner.owes_since.map(|_| now);
        learner.patience = now.after_ms(self.timing.sync_ms());
        if self.phase == Phase::Broadcasting {
            self.let_serve(out);
            self.advance_commits(now, out);
        } else {
            if is_on(Mutation::UpToDateBeforeQuorum) {
                out.tell_learner(link, &FromLeader::UpToDate);
            }
            self.consider_establishment(now, out);
        }
    }

    /// Whoever is in step may serve as soon as all that it came with is committed.
    pub(super) fn let_serve(&mut self, out: &mut Effects) {
        if self.phase != Phase::Broadcasting {
            return;
        }
        for (link, learner) in &mut self.learners {
            let is_committed = learner.tail <= self.committed || is_on(Mutation::UpToDateBeforeCommit);
            if learner.stage == Stage::InStep && is_committed {
                learner.stage = Stage::Serving;
                out.tell_learner(*link, &FromLeader::UpToDate);
            }
        }
    }

    /// The reign begins when a quorum has the initial history: it is committed.
    pub(super) fn consider_establishment(&mut self, now: Instant, out: &mut Effects) {
        if self.phase != Phase::Synchronising || !self.has_adopted {
            return;
        }
        let is_backed = self.is_quorum(self.quorums(), true, |learner| learner.stage >= Stage::InStep);
        if !is_backed && !is_on(Mutation::ReignWithoutQuorum) {
            return;
        }
        assert_eq!(self.synced, self.history.last(), "a leader's own history is durable before it leads");
        self.phase = Phase::Broadcasting;
        self.established_at = Some(now);
        let leads_on = self.activate_newest_configuration(out);
        if !self.reconfig {
            self.know_lists(Lists::only(self.epoch, &self.configuration), out);
        }
        let last = self.history.last();
        self.proposed = Zxid::new(self.epoch, self.testing.initial_counter);
        self.committed = self.proposed;
        out.push(Effect::Commit { upto: last });
        if !leads_on {
            self.dismiss(out);
            return;
        }
        out.push(Effect::Serve { epoch: self.epoch, leader: self.me });
        for (link, learner) in &mut self.learners {
            if learner.stage == Stage::InStep {
                learner.stage = Stage::Serving;
                learner.patience = now.after_ms(self.timing.sync_ms());
                out.tell_learner(*link, &FromLeader::UpToDate);
            }
        }
        self.examine_waiting(now, out);
        self.ping(now, out);
    }
}
