//! What goes wrong, and when servers start again.

use zabd_jute::Zxid;
use zabd_jute::quorum::Configuration;
use zabd_storage::disk::{Crash, MemoryDisk};
use zabd_zab::effect;

use super::{End, Event, Kind, Link, World, place, tell};
use crate::plan::Fault;
use crate::server::Durable;
use crate::store::{
    LogDisk, Operation, lacks_what_it_lost, lose_data, replace_log_disk, rot_log, rot_snapshot,
};

/// How long a leader that is told to end tries to hand over, in milliseconds, as in `zabd/src/member.rs`.
const HAND_OVER_MS_MAX: i64 = 2000;

/// How long after a start that failed the next is tried, in milliseconds.
const START_AGAIN_MS: i64 = 200;

impl World {
    /// A fault of the plan happens, if it still can.
    pub(super) fn suffer(&mut self, fault: Fault) {
        if self.is_healing {
            return;
        }
        match fault {
            Fault::Crash { at, kind, down_ms } => self.crash(at, kind, down_ms),
            Fault::DiskFails { at, kind, down_ms } => {
                let Some(running) = self.servers[at].running.as_ref() else { return };
                tell!(self, "the disk of {} is about to fail", at + 1);
                running.store.disk.plan_faults([(0, zabd_storage::disk::Fault::Fail)]);
                self.servers[at].dies = Some((kind, down_ms));
            }
            Fault::DiskFull { at, bytes, for_ms } => {
                let life = self.servers[at].life;
                let Some(running) = self.servers[at].running.as_ref() else { return };
                tell!(self, "the disk of {} takes {bytes} bytes more", at + 1);
                running.store.disk.set_room(Some(bytes));
                self.at(for_ms, Event::Room { at, life });
            }
            Fault::Emptied { at, down_ms, .. }
            | Fault::Rots { at, down_ms, .. }
            | Fault::LogRots { at, down_ms, .. }
            | Fault::LogDiskReplaced { at, down_ms } => {
                if self.can_be_spared(at) {
                    self.crash(at, Crash::KeepsUnsynced, down_ms);
                    if self.plan.reconfig {
                        self.servers[at].loses = Some(fault);
                    } else {
                        self.lose(fault);
                    }
                }
            }
            Fault::PowerFails { kind, down_ms } => {
                tell!(self, "the power fails");
                for at in 0..self.servers.len() {
                    let down_ms = self.dice.ms(down_ms / 2, down_ms);
                    self.crash(at, kind, down_ms);
                }
            }
            Fault::OneIsLeft { at, keeps_epochs, down_ms } => {
                let voters = self.voters();
                if voters.contains(&at) && self.can_be_spared(at) && self.has_all(at) {
                    tell!(self, "only {} is left", at + 1);
                    self.crash(at, Crash::LosesUnsynced, 3 * down_ms);
                    for other in voters.into_iter().filter(|other| *other != at) {
                        self.crash(other, Crash::KeepsUnsynced, down_ms);
                        self.empty(other, keeps_epochs);
                    }
                }
            }
            Fault::Reconfigure(change) => {
                tell!(self, "somebody wants {change:?}");
                self.wanted.push_back(change);
            }
            Fault::Grows { .. } | Fault::Shrinks { .. } | Fault::Replaces { .. } => {
                self.files.push_back(fault);
                self.deploy();
            }
            Fault::HandsOver { down_ms } => {
                if let Some(at) = self.leader_place() {
                    let life = self.servers[at].life;
                    // One that sleeps hears of it when it wakes up.
                    self.at(0, Event::HandOver { at, life, down_ms });
                }
            }
            Fault::Pause { at, for_ms } => {
                tell!(self, "{} sleeps for {for_ms} ms", at + 1);
                self.servers[at].paused_until = self.now_ms + for_ms;
            }
            Fault::ClockJumps { at, by_ms } => self.servers[at].clock_ms += by_ms,
            Fault::Breaks { which } => {
                if !self.links.is_empty() {
                    let link = *self.links.keys().nth(which % self.links.len()).expect("there are so many");
                    tell!(self, "link {link} breaks");
                    self.sever(link);
                }
            }
            Fault::Cut { from, to, both, for_ms } => {
                tell!(
                    self,
                    "{} is not heard by {}{}",
                    from + 1,
                    to + 1,
                    if both { ", nor the other way" } else { "" }
                );
                for (from, to) in [(from, to)].into_iter().chain(both.then_some((to, from))) {
                    let until = self.blocked.entry((from, to)).or_insert(0);
                    *until = (*until).max(self.now_ms + for_ms);
                }
            }
        }
    }

    /// Somebody wants a leader's process to end, which waits for what it hands over.
    pub(super) fn hand_over(&mut self, at: usize, down_ms: i64) {
        if self.leads(at) {
            tell!(self, "{} is told to end", at + 1);
            let (life, until_ms) = (self.servers[at].life, self.now_ms + HAND_OVER_MS_MAX);
            self.feed_peer(at, zabd_zab::peer::Input::Leader(zabd_zab::leader::Input::HandOver));
            self.at(0, Event::Ends { at, life, until_ms, down_ms });
        }
    }

    pub(super) fn consider_end(&mut self, at: usize, until_ms: i64, down_ms: i64) {
        let leads = self.leads(at);
        if leads && self.now_ms < until_ms {
            let life = self.servers[at].life;
            self.at(1, Event::Ends { at, life, until_ms, down_ms });
            return;
        }
        tell!(self, "{} ends, and has {}handed over", at + 1, if leads { "not " } else { "" });
        self.hand_overs += usize::from(!leads);
        self.crash(at, Crash::KeepsUnsynced, down_ms);
    }

    /// What a server that is down has on its disk is not what it left there. Whoever draws faults leaves each loss the time in which it
    /// is repaired; if something else got in the way of that, another one would be more than peers can repair.
    fn lose(&mut self, fault: Fault) {
        if let Some(lacks) = self.servers.iter().position(|server| lacks_what_it_lost(&server.disk)) {
            tell!(self, "nothing is lost here, for {} has not fetched what it lost", lacks + 1);
            return;
        }
        match fault {
            Fault::Emptied { at, keeps_epochs, .. } => self.empty(at, keeps_epochs),
            Fault::Rots { at, place, .. } => {
                let rots = rot_snapshot(&self.servers[at].disk, place);
                self.servers[at].durable.rots |= rots;
                tell!(self, "the newest snapshot of {} rots: {rots}", at + 1);
            }
            Fault::LogRots { at, place, .. } => {
                let rots = rot_log(&self.servers[at].disk, place);
                self.servers[at].durable.rots |= rots;
                tell!(self, "the log of {} rots: {rots}", at + 1);
            }
            Fault::LogDiskReplaced { at, .. } => {
                let server = &mut self.servers[at];
                match replace_log_disk(&server.disk) {
                    LogDisk::Unused => (),
                    LogDisk::HeldAll => {
                        server.durable.end_at(Zxid::ZERO);
                        server.covered.clear();
                    }
                    LogDisk::HeldMore => server.durable.rots = true,
                }
                tell!(self, "the disk of the logs of {} is replaced", at + 1);
            }
            other => unreachable!("{other:?} takes nothing from a disk"),
        }
    }

    fn empty(&mut self, at: usize, keeps_epochs: bool) {
        tell!(self, "{} loses its disk{}", at + 1, if keeps_epochs { ", but not its epochs" } else { "" });
        let server = &mut self.servers[at];
        if keeps_epochs {
            lose_data(&server.disk);
            server.durable.end_at(Zxid::ZERO);
        } else {
            server.disk = MemoryDisk::default();
            server.durable = Durable::default();
        }
        server.covered.clear();
    }

    /// Whether all that was ever shown is durable there, and what may be shown by those to whom the leader has said so.
    fn has_all(&self, at: usize) -> bool {
        let committed = self.leader().map_or(Zxid::ZERO, |leader| leader.replica.positions().committed);
        self.truth.newest().max(committed) <= self.servers[at].durable.last
    }

    /// Whether the others have all that this server ever acknowledged, and can go on with it, and it is level with them: so
    /// it has been brought level since it was spared itself.
    fn can_be_spared(&self, at: usize) -> bool {
        let is_level = !self.voters().contains(&at) || self.serves_in_newest_epoch(at);
        self.servers[at].running.is_some() && is_level && self.can_do_without(at)
    }

    /// Whether each voter but this one serves in the newest epoch. Of one or two voters nobody can be done without: what is
    /// left is no quorum.
    fn can_do_without(&self, at: usize) -> bool {
        let mut voters = self.voters();
        let is_settled = voters.len() > 2 && !self.are_members_changing();
        voters.retain(|voter| *voter != at);
        is_settled && voters.into_iter().all(|voter| self.serves_in_newest_epoch(voter))
    }

    /// Whether a server that is down can be done without, whatever somebody asks for next. A leader that still counts on it
    /// proposes members of whom no quorum is left without what it had.
    fn is_missed(&self, at: usize) -> bool {
        let is_counted_on = |link: &Link| {
            let is_its = matches!(link.ends[0], End::Server { at: learner, .. } if learner == at);
            link.kind == Kind::Quorum && is_its && link.is_open[1]
        };
        self.can_do_without(at) && !self.links.values().any(is_counted_on)
    }

    pub(super) fn serves_in_newest_epoch(&self, at: usize) -> bool {
        let Some(running) = &self.servers[at].running else { return false };
        let epoch = running.replica.ensemble_status().map(|status| status.epoch);
        running.replica.is_serving() && !running.has_lost && epoch == Some(self.truth.newest_epoch())
    }

    /// Who votes, as the leader says; nobody if nobody leads.
    fn voters(&self) -> Vec<usize> {
        let configuration = self.leader().and_then(|leader| leader.replica.configuration());
        let voters = configuration.into_iter().flat_map(Configuration::voters);
        voters.map(|voter| place(voter.id())).collect()
    }

    fn are_members_changing(&self) -> bool {
        use effect::Durable::{Configuration, NextConfiguration};
        let is_of_members = |operation: &Operation| {
            matches!(operation, Operation::Persist(Configuration(_) | NextConfiguration(_)))
        };
        self.servers.iter().any(|server| {
            if !self.plan.reconfig {
                // Once members have changed, a disk may be lost when everybody knows in its next life, too, whose votes are needed.
                let is_busy = server.running.is_some() && !server.is_idle();
                return server.is_stale() || 0 < self.deployed_anew && is_busy;
            }
            let mut operations = server.running.iter().flat_map(|running| &running.operations);
            server.next.is_some() || operations.any(is_of_members)
        })
    }

    pub(super) fn start(&mut self, at: usize) {
        if self.servers[at].running.is_some() || !self.servers[at].is_deployed {
            return;
        }
        if let Some(fault) = self.servers[at].loses.take()
            && !self.is_healing
            && self.is_missed(at)
        {
            self.lose(fault);
        }
        let now = self.now(at);
        let started = self.servers[at].start(now, self.plan.reconfig, self.plan.kept, &self.truth);
        if let Err(error) = started {
            tell!(self, "{} does not start: {error:?}", at + 1);
            self.at(START_AGAIN_MS, Event::Start { at });
            return;
        }
        self.servers[at].note_durable();
        let running = self.servers[at].running.as_ref().expect("just started");
        tell!(
            self,
            "{} starts at {}{}",
            at + 1,
            running.tree.last_zxid(),
            if running.has_lost { ", with a loss" } else { "" }
        );
        self.feed(at, zabd_replica::Input::Applied);
    }

    /// A server that is down already stays so.
    pub(super) fn crash(&mut self, at: usize, kind: Crash, down_ms: i64) {
        let server = &mut self.servers[at];
        let Some(running) = server.running.take() else { return };
        server.disk = running.store.disk.after(kind);
        server.durable.has_holes |= matches!(kind, Crash::Scatters { .. });
        server.paused_until = 0;
        server.dies = None;
        tell!(self, "{} crashes: {kind:?}", at + 1);
        self.crashes += 1;
        self.at(down_ms, Event::Start { at });
        let own: Vec<_> = self
            .links
            .iter()
            .flat_map(|(id, link)| (0..2).map(move |end| (*id, end, link.ends[end])))
            .collect();
        for (link, end, who) in own {
            if matches!(who, End::Server { at: server, .. } if server == at) {
                self.close(link, end);
            }
        }
    }

    /// The disk has refused something without which the process cannot go on.
    pub(super) fn die(&mut self, at: usize, why: &dyn std::fmt::Debug) {
        tell!(self, "{} ends: {why:?}", at + 1);
        let (kind, down_ms) = self.servers[at].dies.take().unwrap_or((Crash::KeepsUnsynced, START_AGAIN_MS));
        self.crash(at, kind, down_ms);
    }

    /// The disk has room again.
    pub(super) fn make_room(&mut self, at: usize) {
        if let Some(running) = self.servers[at].running.as_ref() {
            running.store.disk.set_room(None);
        }
    }
}
