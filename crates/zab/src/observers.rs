//! An observer master: a follower that gives observers what its leader would give them, so that the leader has
//! fewer to serve.
//!
//! ```text
//! observer                        follower                                leader
//!   OBSERVERINFO, ACKEPOCH ─────►   what it may keep, from its own history
//!   ◄──── DIFF | SNAP, NEWLEADER
//!   ACK ────────────────────────►
//!   ◄──────── UPTODATE, INFORM …    ◄───────────────────── PROPOSAL, COMMIT
//!   REQUEST, REVALIDATE, PING ──►   passed on as if they were its own ────►
//! ```
//!
//! No quorum waits for an observer, and an epoch in which a follower serves is established: so there is one stage
//! after the other, and nothing to wait for. Only one thing a leader need not think of: an observer may come with more
//! than this follower knows to be committed, because it heard of it elsewhere. It waits then until the follower has
//! caught up; Java's follower would tell it to forget what is committed.
//!
//! A reconfiguration is passed on as the leader would tell it, INFORMANDACTIVATE, together with who leads from now on.
//! Everybody is sent away when the follower loses its role.
//!
//! Java's `ObserverMaster` and `LearnerHandler`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use zabd_jute::quorum::{FromLeader, FromLearner, LearnerInfo, LearnerKind, QuorumPacket};
use zabd_jute::{ConfigVersion, Epoch, Limits, Reader, Record as _, ServerId, SessionId, Zxid};

use crate::effect::{Effect, Effects, Instant, LinkId, Note, Refusal, Remedy, Timing};
use crate::history::Membership;
use crate::learner::Learner;

/// How much is remembered of what is said too early.
const EARLY_MAX: usize = 64;

/// How far an observer is. The order is that of its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Connected, nothing heard.
    Unknown,
    /// It was told the epoch.
    Told,
    /// It has said what it has, and that is more than is known here to be committed.
    Ahead,
    /// What it may keep of its history is being found out.
    Examined,
    /// It has been sent all it lacks, and NEWLEADER; everything new goes to it too.
    Synchronising,
    /// It was told that it may serve.
    Serving,
}

#[derive(Debug)]
struct Observer {
    server: Option<ServerId>,
    stage: Stage,
    /// When it counts as gone unless it is heard of.
    patience: Instant,
    /// The epoch that it had promised before.
    accepted: Epoch,
    /// Where its history ends, as it says.
    last_zxid: Zxid,
}

/// What becomes of something that an observer has asked the leader through this server.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// Its oldest sync is answered.
    Synchronised,
    /// What became of a session that a client brought.
    Revalidated {
        /// Which.
        session: SessionId,
        /// Whether it goes on there.
        is_valid: bool,
    },
}

/// See the module's description.
#[derive(Debug)]
pub struct ObserverMaster {
    me: ServerId,
    timing: Timing,
    limits: Limits,
    observers: BTreeMap<LinkId, Observer>,
    /// What was said before this follower served.
    early: Vec<(LinkId, Bytes)>,
    /// Whether the follower serves, so that observers can be served.
    is_open: bool,
    /// Everything up to here was sent to all that are registered.
    relayed: Zxid,
    configuration: ConfigVersion,
    ping_at: Instant,
}

impl ObserverMaster {
    /// A follower that has not found out what it has.
    pub(crate) fn new(now: Instant, me: ServerId, timing: Timing, limits: Limits) -> Self {
        Self {
            me,
            timing,
            limits,
            observers: BTreeMap::new(),
            early: Vec::new(),
            is_open: false,
            relayed: Zxid::ZERO,
            configuration: ConfigVersion::ZERO,
            ping_at: now.after_ms(timing.tick_ms / 2),
        }
    }

    /// When [`ObserverMaster::on_timer`] is due, if nothing else happens.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        (!self.observers.is_empty()).then_some(self.ping_at)
    }

    /// How many get everything new.
    pub(crate) fn in_step(&self) -> usize {
        self.observers.values().filter(|observer| observer.stage >= Stage::Synchronising).count()
    }

    /// Somebody has connected to the port for observers.
    pub(crate) fn accept(&mut self, now: Instant, link: LinkId) {
        let patience = now.after_ms(self.timing.init_ms());
        let (accepted, last_zxid) = (Epoch::ZERO, Zxid::ZERO);
        let observer = Observer { server: None, stage: Stage::Unknown, patience, accepted, last_zxid };
        self.observers.insert(link, observer);
    }

    /// Whether the connection is an observer's.
    pub(crate) fn has(&self, link: LinkId) -> bool {
        self.observers.contains_key(&link)
    }

    /// The connection is gone.
    pub(crate) fn forget(&mut self, link: LinkId) {
        self.observers.remove(&link);
        self.early.retain(|(from, _)| *from != link);
    }

    fn drop_observer(&mut self, link: LinkId, out: &mut Effects) {
        out.push(Effect::Close { link });
        self.forget(link);
    }

    /// The role is over.
    pub(crate) fn close_all(&mut self, out: &mut Effects) {
        for link in std::mem::take(&mut self.observers).into_keys() {
            out.push(Effect::Close { link });
        }
        self.early.clear();
    }

    /// The follower has taken a step: what is committed now goes to everybody who is in step.
    pub(crate) fn follow(&mut self, now: Instant, follower: &Learner, out: &mut Effects) {
        if !follower.is_serving() {
            return;
        }
        let version = follower.configuration().version();
        if !std::mem::replace(&mut self.is_open, true) {
            (self.relayed, self.configuration) = (follower.committed(), version);
            for (link, packet) in std::mem::take(&mut self.early) {
                self.on_packet(now, link, &packet, follower, out);
            }
        }
        let upto = follower.committed();
        let mut activated = None;
        if std::mem::replace(&mut self.configuration, version) != version {
            activated = Some(Zxid(version.0)).filter(|zxid| self.relayed < *zxid && *zxid <= upto);
            if activated.is_none() {
                // It came in another way than as a transaction; what holds is told in the next NEWLEADER.
                self.close_all(out);
            }
        }
        if upto <= self.relayed {
            return;
        }
        let registered = self.observers.iter().filter(|(_, each)| each.stage >= Stage::Synchronising);
        let links: Vec<_> = registered.map(|(link, _)| *link).collect();
        if !links.is_empty() {
            let newer = follower.history().behind(self.relayed);
            for logged in newer.take_while(|logged| logged.zxid <= upto) {
                let (zxid, txn) = (logged.zxid, &logged.entry);
                let inform = if activated == Some(zxid) {
                    FromLeader::InformAndActivate { zxid, leader: follower.leader(), txn }
                } else {
                    FromLeader::Inform { zxid, txn }
                };
                out.tell_learners(links.iter().copied(), &inform);
            }
        }
        self.relayed = upto;
        let ahead = self.observers.iter().filter(|(_, each)| each.stage == Stage::Ahead);
        for link in ahead.map(|(link, _)| *link).collect::<Vec<_>>() {
            self.examine(link, follower, out);
        }
    }

    /// An observer sent one whole packet.
    pub(crate) fn on_packet(
        &mut self,
        now: Instant,
        link: LinkId,
        packet: &Bytes,
        follower: &Learner,
        out: &mut Effects,
    ) {
        let Some(observer) = self.observers.get_mut(&link) else { return };
        if !self.is_open {
            // Before it is answered, it says one thing only.
            if self.early.len() < EARLY_MAX {
                self.early.push((link, packet.clone()));
            } else {
                self.drop_observer(link, out);
            }
            return;
        }
        let patience_ms =
            if observer.stage < Stage::Serving { self.timing.init_ms() } else { self.timing.sync_ms() };
        observer.patience = now.after_ms(patience_ms);
        let stage = observer.stage;
        let mut reader = Reader::with_limits(packet, self.limits);
        match QuorumPacket::decode(&mut reader).ok().map(FromLearner::decode) {
            Some(Ok(Some(FromLearner::Info {
                kind: LearnerKind::Observer,
                accepted,
                info: Some(info),
                ..
            }))) if stage == Stage::Unknown => {
                self.on_info(link, accepted, info, follower, out);
            }
            Some(Ok(Some(FromLearner::AckEpoch { last_zxid, .. }))) if stage == Stage::Told => {
                observer.last_zxid = last_zxid;
                self.examine(link, follower, out);
            }
            Some(Ok(Some(FromLearner::Ack { zxid }))) if stage >= Stage::Synchronising => {
                if stage == Stage::Synchronising && zxid.counter() == 0 {
                    observer.stage = Stage::Serving;
                    out.tell_learner(link, &FromLeader::UpToDate);
                }
            }
            // Nothing else is an observer's to say in the handshake; later, but before it serves, it is ignored.
            Some(Ok(_)) if Stage::Synchronising == stage => (),
            Some(Ok(Some(FromLearner::Ping { touched, .. }))) if stage == Stage::Serving => {
                out.list.extend(touched.into_iter().map(Effect::Touch));
            }
            Some(Ok(Some(FromLearner::Request(_)))) if stage == Stage::Serving => {
                out.push(Effect::Request { link, packet: packet.clone() });
            }
            Some(Ok(Some(FromLearner::Revalidate { session, timeout_ms }))) if stage == Stage::Serving => {
                out.push(Effect::Revalidate { link, session, timeout_ms });
            }
            Some(Ok(None)) if stage == Stage::Serving => (),
            _ => {
                out.push(Effect::Refuse { link, why: Refusal::NoLearner });
                self.drop_observer(link, out);
            }
        }
    }

    fn on_info(
        &mut self,
        link: LinkId,
        accepted: Epoch,
        info: LearnerInfo,
        follower: &Learner,
        out: &mut Effects,
    ) {
        let version = follower.configuration().version();
        let is_acceptable = info.protocol_version.is_some()
            && info.config_version.is_none_or(|its| its <= version)
            && info.server != self.me
            && accepted <= follower.epoch();
        if !is_acceptable {
            self.drop_observer(link, out);
            return;
        }
        // One that connects again has lost its old connection, whether that is known yet or not.
        let old = self.observers.iter().find(|(_, each)| each.server == Some(info.server));
        if let Some(old) = old.map(|(old, _)| *old) {
            self.drop_observer(old, out);
        }
        let observer = self.observers.get_mut(&link).expect("the observer was just looked at");
        observer.server = Some(info.server);
        observer.accepted = accepted;
        observer.stage = Stage::Told;
        let protocol_version = LearnerInfo::PROTOCOL_VERSION;
        out.tell_learner(link, &FromLeader::LeaderInfo { epoch: follower.epoch(), protocol_version });
    }

    /// Finds out what an observer may keep.
    fn examine(&mut self, link: LinkId, follower: &Learner, out: &mut Effects) {
        let observer = self.observers.get_mut(&link).expect("only a known observer is examined");
        let peer = observer.last_zxid;
        let needs_snapshot = peer <= Zxid::ZERO && observer.accepted > Epoch::ZERO;
        let first = follower.epoch().first_zxid();
        observer.stage = Stage::Examined;
        match follower.history().holds(peer) {
            _ if needs_snapshot => out.push(Effect::TakeSnapshot { link }),
            Membership::Yes | Membership::Ahead if follower.committed() < peer && first < peer => {
                observer.stage = Stage::Ahead;
            }
            Membership::Yes => self.send_difference(link, peer, follower, out),
            // The epoch's initial history, and nothing of the epoch.
            Membership::Ahead | Membership::No if peer == first => {
                self.send_difference(link, peer, follower, out);
            }
            Membership::OnDiskOrNowhere if peer > Zxid::ZERO => out.push(Effect::LookUp { link, zxid: peer }),
            _ => out.push(Effect::TakeSnapshot { link }),
        }
    }

    /// DIFF: what is behind `peer`, out of memory.
    fn send_difference(&mut self, link: LinkId, peer: Zxid, follower: &Learner, out: &mut Effects) {
        out.tell_learner(link, &FromLeader::Diff { zxid: follower.committed().max(peer) });
        self.send_rest(link, peer, Remedy::Difference, follower, out);
    }

    /// What is behind `after` and committed, then NEWLEADER.
    fn send_rest(
        &mut self,
        link: LinkId,
        after: Zxid,
        remedy: Remedy,
        follower: &Learner,
        out: &mut Effects,
    ) {
        let settled = follower.history().behind(after);
        for logged in settled.take_while(|logged| logged.zxid <= follower.committed()) {
            out.tell_learner(link, &FromLeader::Proposal { zxid: logged.zxid, txn: &logged.entry });
            out.tell_learner(link, &FromLeader::Commit { zxid: logged.zxid });
        }
        let config = Some(Cow::Owned(follower.configuration().to_string()));
        out.tell_learner(link, &FromLeader::NewLeader { zxid: follower.epoch().first_zxid(), config });
        let observer = self.observers.get_mut(&link).expect("the observer was just looked at");
        observer.stage = Stage::Synchronising;
        let server = observer.server.expect("who is examined has said who it is");
        out.push(Effect::Note(Note::BringsIntoStep { link, server, remedy }));
    }

    fn is_examined(&self, link: LinkId) -> bool {
        self.observers.get(&link).is_some_and(|observer| observer.stage == Stage::Examined)
    }

    /// Whether the log on disk has what memory has not.
    pub(crate) fn on_looked_up(
        &mut self,
        link: LinkId,
        is_found: bool,
        follower: &Learner,
        out: &mut Effects,
    ) {
        if !self.is_examined(link) {
            return;
        }
        let (peer, upto) = (self.observers[&link].last_zxid, follower.history().before());
        if !is_found {
            out.push(Effect::TakeSnapshot { link });
            return;
        }
        out.tell_learner(link, &FromLeader::Diff { zxid: follower.committed() });
        out.push(Effect::SendLog { link, after: peer, upto });
        self.send_rest(link, upto.max(peer), Remedy::Difference, follower, out);
    }

    /// SNAP: a snapshot of the tree was begun, at `zxid`.
    pub(crate) fn on_snapshot_begun(
        &mut self,
        link: LinkId,
        zxid: Zxid,
        follower: &Learner,
        out: &mut Effects,
    ) {
        if !self.is_examined(link) {
            return;
        }
        // The label must cover whatever the observer had. See the leader's synchronisation.
        let first = follower.epoch().first_zxid();
        let label = if zxid < first { first } else { zxid };
        let is_whole = follower.initial_end() <= zxid && follower.history().before() <= zxid;
        if !is_whole {
            // What the tree shows lags behind; the observer comes again.
            self.drop_observer(link, out);
            return;
        }
        out.tell_learner(link, &FromLeader::Snap { zxid: label });
        out.push(Effect::SendSnapshot { link });
        self.send_rest(link, label, Remedy::Snapshot, follower, out);
    }

    /// It could not be taken.
    pub(crate) fn on_snapshot_failed(&mut self, link: LinkId, out: &mut Effects) {
        if self.is_examined(link) {
            self.drop_observer(link, out);
        }
    }

    /// Something of what an observer lacks is on its way: nothing can be heard of it before it has heard all of that.
    pub(crate) fn on_sent(&mut self, now: Instant, link: LinkId) {
        let patience = now.after_ms(self.timing.init_ms());
        if let Some(observer) = self.observers.get_mut(&link).filter(|each| each.stage < Stage::Serving) {
            observer.patience = patience;
        }
    }

    /// The leader has answered something that was passed on.
    pub(crate) fn answer(&self, link: LinkId, answer: Answer, out: &mut Effects) {
        if self.has(link) {
            let packet = match answer {
                Answer::Synchronised => FromLeader::Sync,
                Answer::Revalidated { session, is_valid } => FromLeader::Revalidate { session, is_valid },
            };
            out.tell_learner(link, &packet);
        }
    }

    /// Time has passed: who is silent goes, everybody else is pinged.
    pub(crate) fn on_timer(&mut self, now: Instant, out: &mut Effects) {
        if now < self.ping_at {
            return;
        }
        self.ping_at = now.after_ms(self.timing.tick_ms / 2);
        let silent = self.observers.iter().filter(|(_, each)| each.patience < now);
        for link in silent.map(|(link, _)| *link).collect::<Vec<_>>() {
            self.drop_observer(link, out);
        }
        let registered = self.observers.iter().filter(|(_, each)| each.stage >= Stage::Synchronising);
        out.tell_learners(registered.map(|(link, _)| *link), &FromLeader::Ping { zxid: self.relayed });
    }
}

#[cfg(test)]
#[path = "observers_tests.rs"]
mod tests;
