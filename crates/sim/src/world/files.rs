//! Members that are changed where nobody can ask for it: everybody's file is written anew, and everybody is started again.
//!
//! In any order, while some go by the old file and others by the new one: a quorum of the one need not have a server in common with
//! any quorum of the other. That this loses nothing is for the servers to see to, see [`zabd_zab::quorum::lists`]. What is left to the
//! operator is that a quorum of those that were there stays, and that the next change waits until everybody serves by the last one, if
//! somebody leaves by it. Who comes has what it had when it left, or nothing.

use std::collections::BTreeSet;

use zabd_jute::Zxid;
use zabd_jute::quorum::Configuration;
use zabd_storage::disk::Crash;

use super::{Event, World, member, tell};
use crate::plan::Fault;
use crate::server::Server;

/// How often it is looked whether the next change may come.
const LOOK_AGAIN_MS: i64 = 20;
/// How often of a thousand looks the next one comes although it may not, if nobody leaves by it.
const HURRIES: usize = 30;

impl Server {
    /// Whether it goes by an old file.
    pub(super) fn is_stale(&self) -> bool {
        let known = self.running.as_ref().and_then(|running| running.replica.configuration());
        known.is_some_and(|known| known.members() != self.configuration.members())
    }
}

impl Server {
    fn has_data(&self) -> bool {
        let running = self.running.as_ref();
        running.is_some_and(|running| !running.has_lost && running.tree.last_zxid() != Zxid::ZERO)
    }

    /// Whether all is on its disk, so that it knows in its next life that it needs nobody who has left.
    pub(super) fn is_idle(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.operations.is_empty() && !running.disk_is_busy)
    }
}

impl World {
    /// The next change, if everybody has taken up the one before.
    pub(super) fn deploy(&mut self) {
        let Some(&change) = self.files.front().filter(|_| !self.is_healing) else { return };
        let is_settled = self.deployed().all(|at| {
            self.serves_in_newest_epoch(at) && !self.servers[at].is_stale() && self.servers[at].is_idle()
        });
        // With too many who have no data nobody can be elected.
        let may_hurry = matches!(change, Fault::Grows { rolling: true, .. })
            && self.deployed().all(|at| self.servers[at].has_data());
        if !(is_settled || may_hurry && self.dice.chance(HURRIES)) {
            self.at(LOOK_AGAIN_MS, Event::Deploy);
            return;
        }
        self.files.pop_front();
        self.deployed_anew += 1;
        let old: BTreeSet<_> = self.deployed().collect();
        let others = (0..self.servers.len()).filter(|at| !old.contains(at)).collect::<Vec<_>>();
        let mut new = old.clone();
        let rolling = match change {
            Fault::Grows { by, rolling } => {
                new.extend(others.into_iter().take(by));
                rolling
            }
            Fault::Shrinks { by, rolling } => {
                (0..by.min((old.len() - 1) / 2)).for_each(|_| _ = new.pop_last());
                rolling
            }
            Fault::Replaces { rolling } => {
                if 2 < old.len() && !others.is_empty() {
                    new.pop_first();
                    new.extend(others.into_iter().take(1));
                }
                rolling
            }
            other => unreachable!("{other:?} is in no file"),
        };
        let how = if rolling { ", one by one" } else { "" };
        tell!(self, "members {old:?} are to become {new:?}{how}");
        let lines: String = new.iter().map(|at| member(at + 1, "participant") + "\n").collect();
        let file = Configuration::parse(&lines).expect("the world's configuration is one");
        for at in old.union(&new) {
            self.servers[*at].is_deployed = new.contains(at);
            self.servers[*at].configuration = file.clone();
        }
        let mut stands = 0;
        for at in self.shuffled(old.union(&new).copied().collect()) {
            let down_ms = self.dice.ms(20, 300);
            if !old.contains(&at) {
                self.at(down_ms, Event::Start { at });
            } else if rolling && new.contains(&at) {
                stands += self.dice.ms(50, 600);
                self.at(stands, Event::Restart { at });
            } else {
                self.crash(at, Crash::KeepsUnsynced, down_ms);
            }
        }
    }

    /// A server that goes by an old file is started again.
    pub(super) fn restart(&mut self, at: usize) {
        if self.servers[at].is_deployed && !self.plan.reconfig && self.servers[at].is_stale() {
            let down_ms = self.dice.ms(20, 300);
            self.crash(at, Crash::KeepsUnsynced, down_ms);
        }
    }

    /// Whether these members are those in everybody's file.
    pub(super) fn are_in_files(&self, members: &Configuration) -> bool {
        self.deployed().all(|at| self.servers[at].configuration.members() == members.members())
    }

    fn deployed(&self) -> impl Iterator<Item = usize> {
        (0..self.servers.len()).filter(|at| self.servers[*at].is_deployed)
    }

    fn shuffled(&mut self, mut left: Vec<usize>) -> Vec<usize> {
        (0..left.len()).map(|_| left.swap_remove(self.dice.throw(left.len()))).collect()
    }
}
