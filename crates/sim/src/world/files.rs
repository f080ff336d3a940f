//! Members that are changed where nobody can ask for it: everybody's file is written anew, and everybody is started again.
//!
//! That this loses nothing rests on the operator. Any quorum of the voters before needs a server in common with any
//! quorum of those after, since some go by the old file while others go by the new one; so one server comes or goes at a
//! time. More than one may come if nobody goes by the old file any more when they do: a server without data has no vote
//! before everybody else was heard. And the next change waits until everybody serves by the last one.

use zabd_jute::quorum::Configuration;
use zabd_storage::disk::Crash;

use super::{Event, World, member, tell};
use crate::plan::Fault;
use crate::server::Server;

/// How often it is looked whether the next change may come.
const LOOK_AGAIN_MS: i64 = 20;

impl Server {
    /// Whether it goes by an old file.
    pub(super) fn is_stale(&self) -> bool {
        let known = self.running.as_ref().and_then(|running| running.replica.configuration());
        known.is_some_and(|known| known.members() != self.configuration.members())
    }
}

impl World {
    /// The next change, if everybody has taken up the one before.
    pub(super) fn deploy(&mut self) {
        let Some(&change) = self.files.front().filter(|_| !self.is_healing) else { return };
        let (old, all) = (self.deployed().count(), self.servers.len());
        if !self.deployed().all(|at| self.serves_in_newest_epoch(at) && !self.servers[at].is_stale()) {
            self.at(LOOK_AGAIN_MS, Event::Deploy);
            return;
        }
        self.files.pop_front();
        self.deployed_anew += 1;
        let (new, rolling) = match change {
            Fault::Grows { by, rolling } => ((old + by).min(all), rolling && (by == 1 || old == 1)),
            Fault::Shrinks { rolling } => ((old - 1).max(1), rolling),
            other => unreachable!("{other:?} is in no file"),
        };
        tell!(self, "{old} servers are to become {new}{}", if rolling { ", one by one" } else { "" });
        let lines: String = (1..=new).map(|id| member(id, "participant") + "\n").collect();
        let file = Configuration::parse(&lines).expect("the world's configuration is one");
        for at in 0..old.max(new) {
            self.servers[at].is_deployed = at < new;
            self.servers[at].configuration = file.clone();
        }
        let mut stands = 0;
        for at in self.shuffled(old.max(new)) {
            let down_ms = self.dice.ms(20, 300);
            if old <= at {
                self.at(down_ms, Event::Start { at });
            } else if rolling && at < new {
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

    fn shuffled(&mut self, count: usize) -> Vec<usize> {
        let mut left: Vec<_> = (0..count).collect();
        (0..count).map(|_| left.swap_remove(self.dice.throw(left.len()))).collect()
    }
}
