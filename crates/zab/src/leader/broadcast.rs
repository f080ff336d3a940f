//! Broadcast: proposals in the order of their positions, and commits in the same order as soon as a quorum
//! has logged them.
//!
//! An acknowledgement says that everything up to a position is in the learner's log, so a learner is one
//! number here, and a transaction is committed when the voters whose number has reached it are a quorum: of
//! the configuration that held when it was proposed, and, while a reconfiguration is under way, of the new one
//! too. This server's own number is what its log reports; it may be the last to get there.

use bytes::Bytes;
use zabd_jute::quorum::{Configuration, FromLeader, Member};
use zabd_jute::{ConfigVersion, OpCode, ServerId, Zxid};
use zabd_mutation::{Mutation, is_on};

use super::link::Stage;
use super::{Asked, Leader, Phase};
use crate::effect::{Durable, Effect, Effects, Instant, LinkId, Loss, Reason};
use crate::quorum::Quorums;

/// The last counter that a transaction may have; the one behind it ends the epoch.
const COUNTER_MAX: u32 = u32::MAX - 1;

impl Leader {
    /// Proposes the next transaction.
    pub(super) fn propose(
        &mut self,
        now: Instant,
        zxid: Zxid,
        entry: Bytes,
        configuration: Option<Configuration>,
        out: &mut Effects,
    ) {
        assert_eq!(self.phase, Phase::Broadcasting, "only an established leader proposes");
        assert_eq!(zxid, self.proposed.next(), "transactions are proposed without a gap");
        assert!(zxid.counter() <= COUNTER_MAX, "the epoch has run out of positions");
        self.proposed = zxid;
        if let Some(configuration) = configuration {
            self.propose_configuration(zxid, configuration, out);
        }
        let followers =
            self.learners.iter_mut().filter(|(_, each)| each.is_registered() && each.is_follower());
        let links = followers.map(|(link, learner)| {
            learner.owes_since.get_or_insert(now);
            *link
        });
        out.tell_learners(links, &FromLeader::Proposal { zxid, txn: &entry });
        out.push(Effect::Append { zxid, entry: entry.clone() });
        self.uncommitted_bytes += entry.len();
        self.history.push(zxid, entry);
        if zxid.counter() == COUNTER_MAX {
            // Nothing can follow; what is proposed is committed by whoever leads next.
            self.leave(Reason::ZxidsUsedUp, out);
        }
    }

    /// From this proposal on two configurations must agree. It is on disk before the proposal is.
    fn propose_configuration(&mut self, zxid: Zxid, configuration: Configuration, out: &mut Effects) {
        assert!(self.reconfiguring.is_none(), "one reconfiguration at a time");
        out.push(Effect::Persist(Durable::NextConfiguration(Box::new(configuration.clone()))));
        let both = Some(&configuration).filter(|_| !is_on(Mutation::ChangedByOneQuorum));
        let quorums = Quorums::new(&self.configuration, both);
        self.rules.push_back((zxid, quorums));
        self.next = Some(configuration.clone());
        self.reconfiguring = Some((zxid, configuration));
    }

    /// A learner has logged something.
    pub(super) fn on_ack(&mut self, now: Instant, link: LinkId, zxid: Zxid, out: &mut Effects) {
        let learner = self.learners.get_mut(&link).expect("the learner was just looked at");
        if learner.stage < Stage::Synchronising {
            self.drop_learner(link, out);
            return;
        }
        if zxid.counter() == 0 {
            // The second acknowledgement of NEWLEADER, behind UPTODATE, says nothing new.
            if learner.stage == Stage::Synchronising && zxid == self.epoch.first_zxid() {
                self.on_new_leader_acked(now, link, out);
            }
            return;
        }
        if zxid <= learner.acked || self.proposed < zxid {
            return;
        }
        learner.acked = zxid;
        let owes_more = zxid < self.proposed && learner.is_follower();
        learner.owes_since = owes_more.then_some(now);
        self.advance_commits(now, out);
    }

    /// Commits what a quorum has.
    pub(super) fn advance_commits(&mut self, now: Instant, out: &mut Effects) {
        while self.phase == Phase::Broadcasting && self.committed < self.proposed {
            let Some(upto) = self.newest_committable() else { break };
            self.commit(now, upto, out);
        }
        self.let_serve(out);
        self.answer_asked(out);
    }

    /// The newest position that a quorum has, among those under one rule.
    fn newest_committable(&self) -> Option<Zxid> {
        let place = self.rule_in_force();
        let end = self.rules.get(place + 1).map_or(self.proposed, |(from, _)| Zxid(from.0 - 1));
        let quorums = &self.rules[place].1;
        let numbers = self.learners.values().map(|learner| learner.acked).chain([self.synced]);
        let candidates = numbers.map(|acked| acked.min(end)).filter(|zxid| self.committed < *zxid);
        candidates
            .filter(|zxid| {
                let has = |learner: &super::Learner| learner.stage >= Stage::InStep && learner.acked >= *zxid;
                let counts_itself = self.synced >= *zxid || is_on(Mutation::LeaderCountsUnsynced);
                is_on(Mutation::CommitWithoutQuorum) || self.is_quorum(quorums, counts_itself, has)
            })
            .max()
    }

    /// Which of the rules the next commit needs.
    fn rule_in_force(&self) -> usize {
        let first = self.committed.next();
        self.rules.partition_point(|(from, _)| *from <= first) - 1
    }

    fn commit(&mut self, now: Instant, upto: Zxid, out: &mut Effects) {
        let reconfiguration = self.reconfiguring.take_if(|(zxid, _)| *zxid <= upto);
        // A reconfiguration is the last commit under its rule, and tells more than other commits.
        let plain = reconfiguration.as_ref().map_or(upto, |(zxid, _)| Zxid(zxid.0 - 1));
        self.announce_commits(plain, out);
        if let Some((zxid, configuration)) = reconfiguration {
            self.commit_configuration(now, zxid, configuration, out);
            self.answer_asked(out);
        }
    }

    /// What was asked for is answered between these: a learner of Java's holds a `sync` against the head of what it has forwarded
    /// itself, and waits for ever for a write of its own whose commit comes in front of the answer that belongs before it.
    fn announce_commits(&mut self, upto: Zxid, out: &mut Effects) {
        loop {
            let place = self.asked.front().map_or(upto, |(place, ..)| upto.min(*place));
            self.announce_commits_in_a_row(place, out);
            self.answer_asked(out);
            if place == upto {
                return;
            }
        }
    }

    fn announce_commits_in_a_row(&mut self, upto: Zxid, out: &mut Effects) {
        if upto <= self.committed {
            return;
        }
        let told = |is_follower: bool, zxid: Zxid| {
            let learners = self.learners.iter();
            let wanted =
                learners.filter(move |(_, each)| each.is_told_of(zxid) && each.is_follower() == is_follower);
            wanted.map(|(link, _)| *link)
        };
        let has_observers = told(false, upto).next().is_some();
        for logged in self.history.behind(self.committed).take_while(|logged| logged.zxid <= upto) {
            self.uncommitted_bytes -= logged.entry.len();
            out.tell_learners(told(true, logged.zxid), &FromLeader::Commit { zxid: logged.zxid });
            if has_observers {
                let inform = FromLeader::Inform { zxid: logged.zxid, txn: &logged.entry };
                out.tell_learners(told(false, logged.zxid), &inform);
            }
        }
        self.committed = upto;
        out.push(Effect::Commit { upto });
        // A quorum may be faster than this server's disk, from which whatever memory lets go of is read.
        self.history.trim(upto.min(self.synced));
    }

    /// The new configuration holds: everybody is told, together with who leads from now on.
    fn commit_configuration(
        &mut self,
        now: Instant,
        zxid: Zxid,
        configuration: Configuration,
        out: &mut Effects,
    ) {
        let leader = self.designated_leader(zxid, &configuration);
        let entry = self.history.entry(zxid).expect("an uncommitted proposal is in memory").clone();
        for (link, learner) in self.learners.iter().filter(|(_, learner)| learner.is_told_of(zxid)) {
            if learner.is_follower() {
                out.tell_learner(*link, &FromLeader::CommitAndActivate { zxid, leader });
            } else {
                out.tell_learner(*link, &FromLeader::InformAndActivate { zxid, leader, txn: &entry });
            }
        }
        self.committed = zxid;
        self.uncommitted_bytes -= entry.len();
        out.push(Effect::Commit { upto: zxid });
        self.configuration = configuration;
        self.next = None;
        out.push(Effect::Persist(Durable::Configuration(Box::new(self.configuration.clone()))));
        // What was proposed meanwhile needs both; what comes now, only the new one.
        self.rules.push_back((self.proposed.next(), Quorums::new(&self.configuration, None)));
        self.forget_old_rules();
        if leader != self.me {
            self.leave(Reason::Reconfigured { leader }, out);
        } else if !self.has_live_quorum(now) {
            self.leave(Reason::QuorumLost, out);
        }
        // Who came with the proposal is not told of its commit, and must hold what it makes: NEWLEADER will say.
        let came_with = |(link, learner): (&LinkId, &super::Learner)| (zxid <= learner.tail).then_some(*link);
        for link in self.learners.iter().filter_map(came_with).collect::<Vec<_>>() {
            self.drop_learner(link, out);
        }
    }

    fn forget_old_rules(&mut self) {
        while self.rules.get(1).is_some_and(|(from, _)| *from <= self.committed.next()) {
            self.rules.pop_front();
        }
    }

    /// This server, if it stays a voter where it is; otherwise the voter of the new configuration that has most.
    fn designated_leader(&self, zxid: Zxid, configuration: &Configuration) -> ServerId {
        if is_still_voter(self.me, &self.configuration, configuration) {
            return self.me;
        }
        let candidates = self.learners.values().filter_map(|learner| {
            let server =
                learner.server.filter(|id| configuration.member(*id).is_some_and(Member::is_voter))?;
            (learner.stage >= Stage::InStep && learner.acked >= zxid).then_some((learner.acked, server))
        });
        candidates.max().map_or(self.me, |(_, server)| server)
    }

    /// Version 0 says only that nobody has numbered a configuration, and all such look alike. Established together with
    /// its leader, it gets the leader's first position for a version, above any that a joiner may come with.
    pub(super) fn number_configuration(&mut self, out: &mut Effects) {
        if self.reconfig && self.newest_configuration().version() == ConfigVersion::ZERO {
            let numbered = self.newest_configuration().clone().with_version(self.epoch.first_zxid().into());
            out.push(Effect::Persist(Durable::NextConfiguration(Box::new(numbered.clone()))));
            self.next = Some(numbered);
        }
    }

    fn newest_configuration(&self) -> &Configuration {
        self.next.as_ref().unwrap_or(&self.configuration)
    }

    /// A newer configuration that this leader started with was agreed to by both quorums. Answers whether this server is
    /// a voter in it where it was.
    pub(super) fn activate_newest_configuration(&mut self, out: &mut Effects) -> bool {
        let before = self.configuration.clone();
        if let Some(newest) = self.next.take_if(|newest| before.version() < newest.version()) {
            self.configuration = newest;
            out.push(Effect::Persist(Durable::Configuration(Box::new(self.configuration.clone()))));
        }
        self.next = None;
        self.rules.clear();
        self.rules.push_back((Zxid::ZERO, Quorums::new(&self.configuration, None)));
        before == self.configuration || is_still_voter(self.me, &before, &self.configuration)
    }

    /// What another leader began to change is committed now, and this server does not lead under it: whoever is in step
    /// is told to hold it, and somebody else is elected.
    pub(super) fn dismiss(&mut self, out: &mut Effects) {
        let in_step = self.learners.iter().filter(|(_, learner)| learner.stage == Stage::InStep);
        let links: Vec<_> = in_step.map(|(link, _)| *link).collect();
        out.tell_learners(links, &FromLeader::UpToDate);
        self.leave(Reason::LeaderReconfigured, out);
    }

    /// A learner's client asks. A sync needs no transaction: it is answered behind the commit of everything
    /// that was proposed when it came. A leader that hands over takes neither: a sync would be answered although a write in front of it
    /// is not done, and what has no answer when the learner loses this leader is over for its client.
    pub(super) fn on_request(&mut self, link: LinkId, op: i32, packet: &Bytes, out: &mut Effects) {
        let takes = self.phase == Phase::Broadcasting && !self.is_handing_over;
        if op == OpCode::Sync.code() {
            if takes || is_on(Mutation::AnswersWhileRetiring) {
                self.answer_behind_commits(link, Asked::Sync, out);
            }
        } else if takes {
            out.push(Effect::Request { link, packet: packet.clone() });
        }
    }

    /// What a learner has asked for is answered behind the commit of everything that is proposed by now.
    pub(super) fn answer_behind_commits(&mut self, link: LinkId, asked: Asked, out: &mut Effects) {
        self.asked.push_back((self.proposed, link, asked));
        self.answer_asked(out);
    }

    fn answer_asked(&mut self, out: &mut Effects) {
        while let Some((_, link, asked)) = self.asked.pop_front_if(|(upto, ..)| *upto <= self.committed) {
            let answer = match asked {
                Asked::Sync => FromLeader::Sync,
                Asked::Revalidation { session, is_valid } => FromLeader::Revalidate { session, is_valid },
            };
            out.tell_learner(link, &answer);
        }
    }

    /// Asks every learner that is being brought into step, or is, for a sign of life.
    pub(super) fn ping(&mut self, _now: Instant, out: &mut Effects) {
        let registered = self.learners.iter().filter(|(_, learner)| learner.is_registered());
        out.tell_learners(registered.map(|(link, _)| *link), &FromLeader::Ping { zxid: self.proposed });
    }

    pub(super) fn drop_silent_learners(&mut self, now: Instant, out: &mut Effects) {
        let sync_ms = self.timing.sync_ms();
        let silent = self.learners.iter().filter(|(_, learner)| {
            let owes = learner.stage >= Stage::InStep
                && learner.owes_since.is_some_and(|since| since.after_ms(sync_ms) < now);
            learner.patience < now || owes
        });
        let links: Vec<_> = silent.map(|(link, _)| *link).collect();
        for link in links {
            self.note_lost(link, Loss::Silent, out);
            self.drop_learner(link, out);
        }
    }

    /// Whether this server and the followers that were heard of lately can commit everything that is proposed. An observer
    /// that a change under way makes a voter acknowledges nothing, so a leader that counted it would wait for it for ever.
    /// So would one that waits for old voters, for what was proposed while they counted, when they do not follow any
    /// more. (Java's leader does both; once it is established anew, the newest configuration alone decides.)
    pub(super) fn has_live_quorum(&self, now: Instant) -> bool {
        let backs = |quorums| self.is_quorum(quorums, true, |learner| learner.is_live_follower(now));
        self.rules.iter().skip(self.rule_in_force()).all(|(_, quorums)| backs(quorums))
            || is_on(Mutation::LeaderStaysWithoutQuorum)
    }

    /// Leaves when everything is committed and a quorum without this server has all of it: then the next
    /// leader lacks nothing, and no client waits for an answer. If those who follow are no quorum without it, nobody can lead next,
    /// and it waits only for what can still be committed.
    pub(super) fn consider_hand_over(&mut self, now: Instant, out: &mut Effects) {
        if !self.is_handing_over || self.phase != Phase::Broadcasting {
            return;
        }
        let follows = |learner: &super::Learner| learner.is_follower() && learner.is_registered();
        let has_heirs = self.is_quorum(self.quorums(), false, follows);
        if self.committed < self.proposed && (has_heirs || self.has_live_quorum(now)) {
            return;
        }
        if !has_heirs {
            self.leave(Reason::NoHeirs, out);
            return;
        }
        // Whoever serves has the whole initial history; nothing more is to be had before the first proposal.
        let is_begun = self.proposed.counter() != self.testing.initial_counter;
        let has_all = |learner: &super::Learner| {
            learner.stage >= Stage::Serving && (!is_begun || learner.acked >= self.proposed)
        };
        if self.is_quorum(self.quorums(), false, has_all) {
            self.leave(Reason::HandedOver, out);
        }
    }
}

/// Whether a server is a voter in a configuration, and was not somewhere else in the one before.
pub(crate) fn is_still_voter(server: ServerId, before: &Configuration, after: &Configuration) -> bool {
    let was_at = before.member(server).map(Member::quorum_addresses);
    after.member(server).is_some_and(|member| {
        member.is_voter() && was_at.is_none_or(|was_at| was_at.eq(member.quorum_addresses()))
    })
}
