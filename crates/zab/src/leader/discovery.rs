//! Discovery: a quorum promises a new epoch, and this server's history is the newest in it.
//!
//! ```text
//! learner                                    leader
//!   FOLLOWERINFO(promised before) ──────────►  epoch := the newest promise of a quorum + 1
//!                                              on disk: acceptedEpoch := epoch
//!                 ◄────────────── LEADERINFO(epoch)
//!   on disk: acceptedEpoch := epoch
//!   ACKEPOCH(current epoch, last zxid) ─────►  whoever has more than this server is turned away
//! ```
//!
//! Why the turned away matters: a leader is chosen for having the newest history of a quorum, but votes are
//! words of a moment. Here a quorum has promised to follow nobody older, so what it has is all that can ever
//! have been committed before this epoch; if none of it is newer than what this server has, this server has
//! everything. Only who has another history is turned away: the same one, adopted for a newer epoch, is no more than what this server has
//! (Java turns that away, too). Observers that are members may raise the number too: one that has promised more could not be led. It goes to
//! disk, so a stranger who names the last one there is does not use up the epochs of an ensemble for good. (In Java
//! whoever connects raises it.)

use zabd_jute::quorum::{Configuration, FromLeader, LearnerInfo, LearnerKind, Member};
use zabd_jute::{ConfigVersion, Epoch, ServerId, Zxid};
use zabd_mutation::{Mutation, is_on};

use super::link::Stage;
use super::noted::Agreed;
use super::{Leader, Phase};
use crate::effect::{Durable, Effect, Effects, Instant, LinkId, Note, Reason, Refusal};
use crate::quorum::{Lists, Quorums, Voters};

/// How long an established leader reigns, at least, before it makes way for a voter that has promised a newer epoch.
pub(super) const REIGN_MS_MIN: i64 = 5000;

/// How far ahead that promise may be. Each new reign comes nearer by one only, if it begins without this voter; promises that failed to make a
/// leader are few, and a number far ahead comes from somewhere else: from another ensemble's directory, or a file that somebody wrote. Who
/// has that stays outside, as with Java's leader, and disturbs nobody.
pub(super) const EPOCHS_GIVEN_UP_MAX: i64 = 8;

impl Leader {
    /// A learner says who it is.
    pub(super) fn on_info(
        &mut self,
        now: Instant,
        link: LinkId,
        kind: LearnerKind,
        accepted: Epoch,
        info: Option<LearnerInfo>,
        out: &mut Effects,
    ) {
        let Some(info) = info else { return self.refuse(link, Refusal::OldProtocol, out) };
        if let Some(why) = self.objection(link, info) {
            return self.refuse(link, why, out);
        }
        self.drop_predecessor(link, info, out);
        let learner = self.learners.get_mut(&link).expect("the learner was just looked at");
        learner.server = Some(info.server);
        learner.kind = kind;
        learner.accepted = accepted;
        learner.stage = Stage::Introduced;
        if self.phase < Phase::Synchronising && self.hear_of_lists(out) {
            return;
        }
        if self.phase == Phase::CollectingPromises {
            if self.has_say(info.server) && Epoch::LAST <= accepted {
                return self.refuse(link, Refusal::LastEpoch, out);
            }
            self.consider_promises(now, out);
        } else if (self.epoch.next()..Epoch::LAST).contains(&accepted)
            && self.committed_quorums().with_lists(&self.lists).counts(info.server)
            && self.may_make_way(now, accepted)
        {
            // It keeps its promise to a leader that never came to reign, and can never follow this one. A new
            // epoch gives the voter back; Java's leader leaves it outside until somebody restarts something.
            self.leave(Reason::NewerEpochPromised, out);
        } else if self.phase > Phase::PromisingItself {
            self.tell_epoch(link, out);
        }
    }

    /// Lists that a voter knows of need a quorum, too. When a quorum has promised, or is asked to, it is too late for that, as it is to hear
    /// of a newer epoch that was established: then this server leaves, and knows that when it looks for a leader again. Answers
    /// whether it does.
    fn hear_of_lists(&mut self, out: &mut Effects) -> bool {
        let (before, known) = (self.quorums().clone(), self.lists.clone());
        if self.lists_are_outranked() {
            return false;
        }
        // Whoever votes by a list that has just been heard of is asked for others.
        while let Some(lists) = self.newer_lists() {
            self.lists = lists;
            let rule = self.rules.back_mut().expect("some quorum always commits");
            rule.1 = rule.1.clone().with_lists(&self.lists);
        }
        if self.lists == known {
            return false;
        }
        out.push(Effect::Persist(Durable::Lists(self.lists.clone())));
        if self.phase == Phase::CollectingPromises {
            return false;
        }
        if let Some((server, voters)) = self.newly_asked(&before) {
            out.push(Effect::Note(Note::AnotherList { server, voters }));
            self.leave(Reason::AnotherList, out);
        } else if self.epoch <= self.lists.established() {
            self.leave(Reason::NewerEpochPromised, out);
        }
        self.phase == Phase::Left
    }

    /// Who has named a list that was not asked before, and its voters.
    fn newly_asked(&self, before: &Quorums) -> Option<(ServerId, Vec<ServerId>)> {
        let now = self.quorums();
        self.learners.values().find_map(|learner| {
            let is_new = |list: &&Voters| now.asks(list) && !before.asks(list);
            let list = learner.lists.each().find(is_new)?;
            Some((learner.server?, list.ids().collect()))
        })
    }

    fn newer_lists(&self) -> Option<Lists> {
        let is_voter =
            |learner: &&super::Learner| learner.server.is_some_and(|id| self.quorums().is_voter(id));
        let voters = self.learners.values().filter(is_voter);
        let all = voters.fold(self.lists.clone(), |all, learner| all.and(&learner.lists));
        (all != self.lists).then_some(all)
    }

    /// Members with a number outrank lists without one.
    fn lists_are_outranked(&self) -> bool {
        self.reconfig && self.configuration.version() != ConfigVersion::ZERO
    }

    /// Why somebody who says that it is this learner cannot be led here. Before 3.4 there was another handshake; a learner
    /// whose configuration is newer than this leader's must not be led by it.
    fn objection(&self, link: LinkId, info: LearnerInfo) -> Option<Refusal> {
        let config_version = self.config_version();
        [
            (info.protocol_version.is_none(), Refusal::OldProtocol),
            (info.config_version.is_some_and(|its| config_version < its), Refusal::NewerConfiguration),
            (self.learners[&link].stage != Stage::Unknown, Refusal::NoLearner),
            (info.server == self.me, Refusal::OwnId),
        ]
        .into_iter()
        .find_map(|(holds, why)| holds.then_some(why))
    }

    /// A reign has a quorum without the voter that asks for a newer one. It may end now and then, not each time: the voter may
    /// be another server with a member's number. Who does not reign yet may need just this voter.
    fn may_make_way(&self, now: Instant, promised: Epoch) -> bool {
        let is_near = promised.0 - self.epoch.0 <= EPOCHS_GIVEN_UP_MAX;
        self.established_at.is_none_or(|begin| is_near && begin.after_ms(REIGN_MS_MIN) <= now)
    }

    /// Whether what it has promised raises the number of the next epoch.
    fn has_say(&self, server: ServerId) -> bool {
        self.is_member(server) || self.quorums().is_voter(server)
    }

    /// Above whatever has been promised by those who have a say, by now: who votes in a list that was heard of later has one later.
    /// And above what was established: of lists that were told before that, the newest one is known.
    fn raise_epoch(&mut self) {
        let heard = self.learners.values().filter(|learner| learner.stage >= Stage::Introduced);
        let counted = heard.filter(|learner| learner.server.is_some_and(|id| self.has_say(id)));
        let promised = counted.map(|learner| learner.accepted).filter(|accepted| *accepted < Epoch::LAST);
        let newest = promised.max().unwrap_or_default().max(self.lists.established());
        self.epoch = self.epoch.max(newest.next()).min(Epoch::LAST);
    }

    fn is_member(&self, server: ServerId) -> bool {
        let known = [Some(&self.configuration), self.next.as_ref()];
        known.into_iter().flatten().any(|configuration| configuration.member(server).is_some())
    }

    /// A learner that connects again has lost its old connection, whether that is known yet or not.
    fn drop_predecessor(&mut self, link: LinkId, info: LearnerInfo, out: &mut Effects) {
        let is_predecessor = |(other, learner): (&LinkId, &super::Learner)| {
            (*other != link && learner.server == Some(info.server)).then_some(*other)
        };
        let predecessors: Vec<_> = self.learners.iter().filter_map(is_predecessor).collect();
        for each in predecessors {
            if self.is_member(info.server) {
                out.push(Effect::Replaced { server: info.server, old: each, new: link });
            }
            self.drop_learner(each, out);
        }
    }

    /// Decides the epoch when a quorum has said what it promised before.
    pub(super) fn consider_promises(&mut self, now: Instant, out: &mut Effects) {
        self.raise_epoch();
        if self.epoch <= self.lists.established() {
            return self.leave(Reason::EpochsUsedUp, out);
        }
        // A change under way may be committed: who has only the old quorum may lack what the new one has acknowledged.
        let change = self.agreed_change(|learner| learner.stage >= Stage::Introduced);
        if let Some(Agreed(change)) = change {
            self.rise_above_voters_of(change.as_ref());
            self.phase = Phase::PromisingItself;
            self.deadline = now.after_ms(self.timing.init_ms());
            out.push(Effect::Persist(Durable::Accepted(self.epoch)));
        }
    }

    /// What they have promised could not be told from a stranger's promise before the change was named.
    fn rise_above_voters_of(&mut self, change: Option<&Configuration>) {
        let is_voter = |id| change.and_then(|change| change.member(id)).is_some_and(Member::is_voter);
        let learners = self.learners.values().filter(|learner| learner.server.is_some_and(is_voter));
        let promised = learners.map(|learner| learner.accepted.next()).filter(|next| *next <= Epoch::LAST);
        self.epoch = promised.fold(self.epoch, Epoch::max);
    }

    /// This server has promised its own epoch: now others may be asked to.
    pub(super) fn announce_epoch(&mut self, now: Instant, out: &mut Effects) {
        self.phase = Phase::CollectingHistories;
        self.deadline = now.after_ms(self.timing.init_ms());
        let waiting = self.learners.iter().filter(|(_, learner)| learner.stage == Stage::Introduced);
        let links: Vec<_> = waiting.map(|(link, _)| *link).collect();
        for link in links {
            self.tell_epoch(link, out);
        }
        self.consider_histories(now, out);
    }

    fn tell_epoch(&mut self, link: LinkId, out: &mut Effects) {
        self.learners.get_mut(&link).expect("only a known learner is told").stage = Stage::Told;
        let protocol_version = LearnerInfo::PROTOCOL_VERSION;
        out.tell_learner(link, &FromLeader::LeaderInfo { epoch: self.epoch, protocol_version });
    }

    /// A learner promises the epoch and says what it has.
    pub(super) fn on_ack_epoch(
        &mut self,
        now: Instant,
        link: LinkId,
        last_zxid: Zxid,
        current: Option<Epoch>,
        out: &mut Effects,
    ) {
        let learner = self.learners.get_mut(&link).expect("the learner was just looked at");
        if learner.stage != Stage::Told {
            return self.refuse(link, Refusal::NoLearner, out);
        }
        learner.stage = Stage::Promised;
        learner.last_zxid = last_zxid;
        learner.needs_snapshot = last_zxid <= Zxid::ZERO && learner.accepted > Epoch::ZERO;
        // Whose history ends at the same transaction has the same history, even if it joined an epoch with it in which this server fell
        // before it had done so itself. To turn that learner away may be for good: if a change under way makes it a voter, it is needed, and
        // cannot lead as long as it only observes.
        let is_same = last_zxid == self.frozen.1 && Zxid::ZERO < last_zxid;
        learner.is_ahead = current.is_some_and(|current| !is_same && (current, last_zxid) > self.frozen);
        let is_ahead = learner.is_ahead;
        if self.phase > Phase::CollectingHistories {
            self.examine(now, link, out);
            return;
        }
        // A promise that was made before, to this very epoch, is none to this leader; and a server that lost
        // what it had says −1 and vouches for nothing.
        if current.is_none() {
            return;
        }
        if is_ahead && !is_on(Mutation::LongerHistoryLed) {
            self.drop_learner(link, out);
            return;
        }
        learner.has_promised = last_zxid != Zxid(-1);
        self.consider_histories(now, out);
    }

    fn consider_histories(&mut self, now: Instant, out: &mut Effects) {
        let change = self.agreed_change(|learner| learner.has_promised);
        if let Some(Agreed(change)) = change {
            self.begin_synchronisation(now, change, out);
        }
    }
}
