//! What goes wrong, and when servers start again.

use zabd_replica::Input;
use zabd_storage::disk::Crash;

use super::{End, Event, World, tell};
use crate::plan::Plan;

impl World {
    pub(super) fn decide(&mut self) {
        self.at(Plan::DECISION_MS, Event::Decide);
        let at = self.dice.throw(self.servers.len());
        if self.servers[at].running.is_some() {
            if self.dice.chance(self.plan.crash) {
                self.crash(at);
            }
        } else if self.dice.chance(self.plan.restart) {
            self.start(at);
        }
        if self.dice.chance(self.plan.break_link) && !self.links.is_empty() {
            let links: Vec<_> = self.links.keys().copied().collect();
            let link = *self.dice.pick(&links);
            tell!(self, "link {link} breaks");
            self.sever(link);
        }
        if self.dice.chance(self.plan.partition) {
            let other = self.dice.throw(self.servers.len());
            tell!(self, "{} is not heard by {}", at + 1, other + 1);
            self.blocked.insert((at, other));
            if self.dice.chance(500) {
                self.blocked.insert((other, at));
            }
        }
        if self.dice.chance(self.plan.heal) {
            self.blocked.clear();
        }
    }

    pub(super) fn start(&mut self, at: usize) {
        let now = self.now();
        self.servers[at].start(now, &self.configuration, self.plan.kept);
        let tree = &self.servers[at].running.as_ref().expect("just started").tree;
        tell!(self, "{} starts at {}", at + 1, tree.last_zxid());
        self.feed(at, Input::Applied);
    }

    pub(super) fn crash(&mut self, at: usize) {
        tell!(self, "{} crashes", at + 1);
        self.crashes += 1;
        let kind = if self.dice.chance(self.plan.crash_keeps) {
            Crash::KeepsUnsynced
        } else {
            *self.dice.pick(&[
                Crash::LosesUnsynced,
                Crash::LosesUnsyncedData,
                Crash::Scatters { seed: self.order },
            ])
        };
        let server = &mut self.servers[at];
        let running = server.running.take().expect("only a running server crashes");
        server.disk = running.store.disk.after(kind);
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
}
