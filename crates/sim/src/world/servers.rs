//! Servers: inputs, what follows from them, and their disks.

use std::ops::Bound;

use bytes::Bytes;
use zabd_jute::Writer;
use zabd_jute::quorum::{FromLeader, Member, PeerState};
use zabd_replica::{Fact, Input, Output, shown_members};
use zabd_zab::effect::{Durable, Effect, LinkId};
use zabd_zab::{leader, links, peer};

use super::{Event, Message, SESSION_MS, World, identities, tell};
use crate::server::{Image, Server, TIMEOUTS};
use crate::store::{Operation, StoreError, image_of};
use crate::weights;
use zabd_jute::Zxid;

/// How often a full disk is tried again.
const FULL_AGAIN_MS: i64 = 20;

/// How many inputs may follow from one.
const TURNS_MAX: usize = 100_000;

impl World {
    pub(super) fn feed_links(&mut self, at: usize, input: links::Input) {
        self.feed_peer(at, peer::Input::Links(input));
    }

    pub(super) fn feed_peer(&mut self, at: usize, input: peer::Input) {
        self.feed(at, Input::Peer(Box::new(input)));
    }

    /// One input, and all that follows from it. What its outputs bring about comes behind them.
    pub(super) fn feed(&mut self, at: usize, input: Input) {
        let Some(running) = self.servers[at].running.as_mut() else { return };
        running.inbox.push_back(input);
        if !std::mem::replace(&mut running.is_stepping, true) {
            self.go_on(at);
        }
    }

    /// A bite of what is committed; other inputs come between it and the next.
    pub(super) fn apply(&mut self, at: usize) {
        let now = self.now(at);
        let running = self.servers[at].running.as_mut().expect("it was just alive");
        running.is_applying = false;
        running.is_stepping = true;
        running.apply(now);
        self.go_on(at);
    }

    fn go_on(&mut self, at: usize) {
        let now = self.now(at);
        for turn in 0.. {
            assert!(turn < TURNS_MAX, "server {} comes to no end", at + 1);
            self.carry_out(at);
            self.watch(at);
            // The disk may have refused what it was asked for.
            let Some(running) = self.servers[at].running.as_mut() else { return };
            if !running.outputs.list.is_empty() {
                continue;
            }
            let Some(input) = running.inbox.pop_front() else {
                running.is_stepping = false;
                break;
            };
            running.feed(now, input);
        }
        if self.narrates {
            self.tell_change(at);
        }
        self.schedule(at);
    }

    /// Whom a server votes for is not seen from outside, whom it follows is.
    fn tell_change(&mut self, at: usize) {
        let running = self.servers[at].running.as_mut().expect("it was just alive");
        let status = running.replica.ensemble_status().expect("it is a member");
        let stands = (status.state, status.leader);
        if running.stood.replace(stands) != Some(stands) {
            let of = status.leader.map_or_else(String::new, |leader| format!(", and {leader} leads"));
            tell!(self, "{} is {:?}{of}", at + 1, status.state);
        }
    }

    pub(super) fn schedule(&mut self, at: usize) {
        let server = &mut self.servers[at];
        let life = server.life;
        let running = server.running.as_mut().expect("it was just alive");
        let wakes_at = running.next_wake().max(self.now_ms + 1);
        let begins_disk =
            !running.disk_is_busy && (!running.operations.is_empty() || running.store.is_taking_snapshot());
        running.disk_is_busy |= begins_disk;
        let begins_apply = running.outputs.apply && !running.is_applying;
        running.is_applying |= begins_apply;
        if wakes_at < server.wakes_at || server.wakes_at <= self.now_ms {
            server.wakes_at = wakes_at;
            let delay_ms = wakes_at.min(self.now_ms + 10_000) - self.now_ms;
            self.at(delay_ms, Event::Wake { at, life });
        }
        if begins_disk {
            let delay_ms = self.dice.ms(0, self.plan.disk_ms_max);
            self.at(delay_ms, Event::Disk { at, life });
        }
        if begins_apply {
            let delay_ms = self.dice.ms(0, self.plan.network_ms_max / 4);
            self.at(delay_ms, Event::Apply { at, life });
        }
    }

    pub(super) fn wake(&mut self, at: usize) {
        self.servers[at].wakes_at = i64::MAX;
        self.feed(at, Input::Tick);
        self.feed_peer(at, peer::Input::Timer);
        self.assert_hears(at);
    }

    pub(super) fn work_disk(&mut self, at: usize) {
        let running = self.servers[at].running.as_mut().expect("it was just alive");
        running.disk_is_busy = false;
        let outcome = self.work_disk_once(at);
        self.servers[at].note_durable();
        if let Err(error) = outcome {
            self.die(at, &error);
        }
    }

    fn work_disk_once(&mut self, at: usize) -> Result<(), StoreError> {
        let Server { running, durable, .. } = &mut self.servers[at];
        let running = running.as_mut().expect("it was just alive");
        if !running.is_full {
            let mut batch = Vec::new();
            while let Some(Operation::Append(..)) = running.operations.front() {
                let Some(Operation::Append(zxid, entry)) = running.operations.pop_front() else {
                    unreachable!("just seen")
                };
                durable.most = zxid;
                batch.push((zxid, entry));
            }
            running.store.append(&batch)?;
        }
        if running.store.has_unsynced() {
            return self.sync_log(at);
        }
        let Some(operation) = running.operations.pop_front() else { return self.consider_snapshot(at) };
        match self.perform(at, &operation) {
            Err(StoreError::Full) => {
                let running = self.servers[at].running.as_mut().expect("it was just alive");
                running.operations.push_front(operation);
                self.await_room(at);
            }
            outcome => {
                outcome?;
                self.note_room(at);
            }
        }
        Ok(())
    }

    fn perform(&mut self, at: usize, operation: &Operation) -> Result<(), StoreError> {
        let Server { running, durable, .. } = &mut self.servers[at];
        let running = running.as_mut().expect("it was just alive");
        match *operation {
            Operation::Persist(ref what) => {
                running.store.persist(what)?;
                durable.note(what);
                self.keep_members(at, what);
                self.feed_peer(at, peer::Input::Persisted(what.clone()));
            }
            Operation::Truncate(last) => {
                running.store.abandon_snapshot(&mut running.tree);
                let before = *durable;
                durable.begin_rebase(last);
                if let Some(tree) = running.store.truncate(last)? {
                    running.tree = tree;
                    running.logged.retain(|zxid| *zxid <= last);
                    durable.end_at(last);
                } else {
                    *durable = before;
                }
                let (last, shown) = (running.tree.last_zxid(), shown_members(&running.tree));
                self.feed_peer(at, peer::Input::Rebased { last, shown });
            }
            Operation::Adopt(zxid, epoch) => {
                running.store.abandon_snapshot(&mut running.tree);
                durable.begin_rebase(zxid);
                running.tree = running.store.adopt(zxid, epoch)?;
                let covered = std::mem::take(&mut running.received);
                running.logged = covered.iter().copied().collect();
                let (last, shown) = (running.tree.last_zxid(), shown_members(&running.tree));
                durable.end_at(last);
                self.servers[at].covered = covered;
                tell!(self, "{} has its leader's snapshot at {last}", at + 1);
                self.feed_peer(at, peer::Input::Rebased { last, shown });
            }
            Operation::Append(..) => (),
        }
        Ok(())
    }

    fn keep_members(&mut self, at: usize, what: &Durable) {
        let server = &mut self.servers[at];
        match what {
            Durable::Accepted(_) | Durable::Current(_) | Durable::Partial(_) | Durable::Lists(_) => (),
            Durable::NextConfiguration(next) => {
                server.next =
                    Some((**next).clone()).filter(|next| server.configuration.version() < next.version());
            }
            Durable::Configuration(configuration) => {
                server.configuration = (**configuration).clone();
                server.next.take_if(|next| next.version() <= configuration.version());
                self.truth.hold(configuration);
                tell!(self, "{} holds {configuration}", at + 1);
            }
        }
    }

    /// A full disk is tried again until there is room; the replica is told of the beginning and of the end.
    fn sync_log(&mut self, at: usize) -> Result<(), StoreError> {
        let Server { running, durable, .. } = &mut self.servers[at];
        let running = running.as_mut().expect("it was just alive");
        match running.store.sync() {
            Err(StoreError::Full) => {
                self.await_room(at);
                Ok(())
            }
            Err(error) => Err(error),
            Ok(upto) => {
                durable.last = upto;
                self.note_room(at);
                self.feed(at, Input::Synced { upto });
                self.consider_snapshot(at)
            }
        }
    }

    fn await_room(&mut self, at: usize) {
        let life = self.servers[at].life;
        self.at(FULL_AGAIN_MS, Event::Disk { at, life });
        let running = self.servers[at].running.as_mut().expect("it was just alive");
        running.disk_is_busy = true;
        if !std::mem::replace(&mut running.is_full, true) {
            tell!(self, "the disk of {} has no room", at + 1);
            self.feed(at, Input::DiskFull);
        }
    }

    fn note_room(&mut self, at: usize) {
        let running = self.servers[at].running.as_mut();
        if running.is_some_and(|running| std::mem::replace(&mut running.is_full, false)) {
            self.feed(at, Input::DiskHasRoom);
        }
    }

    fn consider_snapshot(&mut self, at: usize) -> Result<(), StoreError> {
        let every = self.plan.snapshot_every;
        let Some(running) = self.servers[at].running.as_mut() else { return Ok(()) };
        let store = &mut running.store;
        let taken = if store.is_taking_snapshot() {
            store.go_on_with_snapshot(&mut running.tree)
        } else if running.replica.is_serving() && store.since_snapshot() >= every {
            store.begin_snapshot(&mut running.tree)
        } else {
            Ok(())
        };
        match taken {
            Err(StoreError::Full) => Ok(()),
            outcome => outcome,
        }
    }

    /// The checkers look at a server that serves.
    pub(super) fn watch(&mut self, at: usize) {
        let Some(running) = self.servers[at].running.as_ref() else { return };
        if !running.replica.is_serving() || running.tree.last_zxid() == running.seen {
            return;
        }
        let last = running.tree.last_zxid();
        // Nothing, if its past was cut.
        let unseen = (Bound::Excluded(running.seen.min(last)), Bound::Included(last));
        for zxid in running.logged.range(unseen) {
            // Where members change, others decide at other times.
            if !self.plan.reconfig && self.plan.strangers == 0 && !self.truth.has_shown(*zxid) {
                let has = |voter: usize| *zxid <= self.servers[voter - 1].has_had;
                assert!(
                    weights::is_quorum(&self.plan, has),
                    "{} shows {zxid}, which no quorum has ever had on its disks",
                    at + 1
                );
            }
            self.truth.show(*zxid);
        }
        let running = self.servers[at].running.as_mut().expect("it was just alive");
        running.seen = last;
        self.truth.show_tree(at + 1, &running.tree);
    }

    pub(super) fn carry_out(&mut self, at: usize) {
        let Some(running) = self.servers[at].running.as_mut() else { return };
        let list = std::mem::take(&mut running.outputs.list);
        let bytes = std::mem::take(&mut running.outputs.bytes);
        let packets = Bytes::from(std::mem::take(&mut running.outputs.packets));
        let mut last = 0..0;
        for output in list {
            match output {
                Output::Append { zxid, entry } => {
                    self.truth.propose(zxid, &entry, self.now_ms, TIMEOUTS.negotiate(SESSION_MS));
                    let running = self.servers[at].running.as_mut().expect("it was just alive");
                    running.logged.insert(zxid);
                    running.operations.push_back(Operation::Append(zxid, entry));
                }
                Output::Send { conn, answers, end } => {
                    last = last.end..end;
                    self.answer(at, conn, answers, &bytes[last.clone()]);
                }
                Output::Again { conn } => self.answer(at, conn, false, &bytes[last.clone()]),
                Output::Established { conn, session, .. } => {
                    let running = self.servers[at].running.as_mut().expect("it was just alive");
                    running.watches.connect(conn, session, identities().into());
                }
                Output::Close { conn } => self.close_client(at, conn),
                Output::CloseAll { but } => {
                    let running = self.servers[at].running.as_ref().expect("it was just alive");
                    let conns: Vec<_> =
                        running.unanswered.keys().copied().filter(|conn| !but.contains(conn)).collect();
                    for conn in conns {
                        self.close_client(at, conn);
                    }
                }
                Output::Ensemble(effect) => self.carry_out_effect(at, effect, &packets),
                Output::Fact(fact) => self.note(at, &fact),
            }
        }
    }

    pub(super) fn note(&mut self, at: usize, fact: &Fact) {
        match fact {
            Fact::DigestMismatch(mismatch) => {
                panic!("server {} is not what its leader is: {mismatch:?}", at + 1)
            }
            Fact::RoleBegun { epoch, role, .. } => {
                let leads = *role == PeerState::Leading;
                if leads {
                    self.reigns += 1;
                    let running = self.servers[at].running.as_ref().expect("it was just alive");
                    self.truth.reign(*epoch, at + 1, running.tree.last_zxid(), self.now_ms);
                    let configuration = running.replica.configuration().expect("it is a member");
                    let own = configuration.member(self.servers[at].id);
                    assert!(
                        own.is_some_and(Member::is_voter),
                        "{} leads without a vote: {configuration}",
                        at + 1
                    );
                }
                tell!(self, "{} {} epoch {epoch}", at + 1, if leads { "leads" } else { "joins" });
                let running = self.servers[at].running.as_mut().expect("it was just alive");
                if std::mem::replace(&mut running.has_lost, false) {
                    match running.store.forget_loss() {
                        Ok(()) => self.servers[at].durable.rots = false,
                        Err(error) => {
                            tell!(self, "{} remembers what is no loss any more: {error:?}", at + 1);
                        }
                    }
                }
            }
            Fact::SessionExpired { session, .. } => {
                tell!(self, "{}: session {session} expires", at + 1);
                assert!(
                    self.is_healing || !self.plan.faults.is_empty(),
                    "session {session} expires although its client asks all the time and nothing is broken: {}",
                    self.state()
                );
            }
            other => tell!(self, "{}: {other:?}", at + 1),
        }
    }

    pub(super) fn carry_out_effect(&mut self, at: usize, effect: Effect, packets: &Bytes) {
        let life = self.servers[at].life;
        match effect {
            Effect::Dial { leader, dial } => {
                let delay_ms = self.dice.ms(0, self.plan.network_ms_max);
                self.at(delay_ms, Event::DialQuorum { at, life, leader: leader.0, dial });
            }
            Effect::Send { link, bytes } => self.send_from(at, link.0, Message::Bytes(packets.slice(bytes))),
            Effect::SendLog { link, after, upto } => self.send_log(at, link, after, upto),
            Effect::LookUp { link, zxid } => {
                let store = &self.servers[at].running.as_ref().expect("it was just alive").store;
                let is_found = store.records(zxid, zxid).is_some();
                self.feed_peer(at, peer::Input::Leader(leader::Input::LookedUp { link, is_found }));
            }
            Effect::TakeSnapshot { link } => {
                let running = self.servers[at].running.as_mut().expect("it was just alive");
                running.store.abandon_snapshot(&mut running.tree);
                let (zxid, body) = image_of(&mut running.tree);
                let unshown =
                    running.logged.range(..=zxid).copied().filter(|zxid| !self.truth.has_shown(*zxid));
                let image = Image { body, unshown: unshown.collect() };
                running.images.insert(link, image);
                self.feed_peer(at, peer::Input::Leader(leader::Input::SnapshotBegun { link, zxid }));
            }
            Effect::SendSnapshot { link } => {
                let running = self.servers[at].running.as_mut().expect("it was just alive");
                if let Some(image) = running.images.remove(&link) {
                    self.send_from(at, link.0, Message::Image(image));
                }
            }
            Effect::Refuse { link, why } => tell!(self, "{} refuses connection {}: {why}", at + 1, link.0),
            Effect::Replaced { server, old, new } => {
                tell!(self, "{}: server {server} is on connection {} instead of {}", at + 1, new.0, old.0);
            }
            Effect::Close { link } => {
                if let Some(end) = self.own_end(link.0, at) {
                    self.close(link.0, end);
                }
            }
            Effect::Persist(what) => {
                if let Durable::Configuration(configuration) = &what {
                    let may = self.may_be_first(at, Zxid(configuration.version().0));
                    self.truth.decide(at + 1, configuration, may);
                }
                self.ask_disk(at, Operation::Persist(what));
            }
            Effect::Truncate { zxid } => self.ask_disk(at, Operation::Truncate(zxid)),
            Effect::Adopt { zxid, epoch } => self.ask_disk(at, Operation::Adopt(zxid, epoch)),
            Effect::Link(output) => self.carry_out_link(at, life, output),
            other => unreachable!("the replica keeps {other:?} to itself"),
        }
    }

    /// Whether a server has this in its history, or leads. One that does not lead under what it completes has left already.
    fn may_be_first(&self, at: usize, zxid: Zxid) -> bool {
        let server = &self.servers[at];
        let running = server.running.as_ref().expect("it was just alive");
        let status = running.replica.ensemble_status().expect("it is a member");
        let leads = status.state == PeerState::Leading || self.truth.has_led(server.durable.current, at + 1);
        leads || running.logged.contains(&zxid)
    }

    pub(super) fn ask_disk(&mut self, at: usize, operation: Operation) {
        self.servers[at].running.as_mut().expect("it was just alive").operations.push_back(operation);
    }

    pub(super) fn carry_out_link(&mut self, at: usize, life: u64, output: links::Output) {
        match output {
            links::Output::Dial { peer, .. } => {
                let delay_ms = self.dice.ms(0, self.plan.network_ms_max);
                self.at(delay_ms, Event::DialElection { at, life, peer: peer.0 });
            }
            links::Output::Write { conn, bytes } => {
                self.send_from(at, conn.0, Message::Bytes(bytes));
                self.feed_links(at, links::Input::Written { conn });
            }
            links::Output::Close { conn } => {
                if let Some(end) = self.own_end(conn.0, at) {
                    self.close(conn.0, end);
                }
            }
            other => unreachable!("the peer keeps {other:?} to itself"),
        }
    }

    pub(super) fn send_from(&mut self, at: usize, link: u64, message: Message) {
        if let Some(end) = self.own_end(link, at) {
            self.send(link, end, message);
        }
    }

    pub(super) fn send_log(&mut self, at: usize, link: LinkId, after: Zxid, upto: Zxid) {
        let store = &self.servers[at].running.as_ref().expect("it was just alive").store;
        let records = store.records(after, upto).expect("what was looked up is there");
        for (zxid, entry) in records {
            for packet in [FromLeader::Proposal { zxid, txn: &entry }, FromLeader::Commit { zxid }] {
                let mut bytes = Vec::new();
                packet.encode(&mut Writer::new(&mut bytes));
                self.send_from(at, link.0, Message::Bytes(bytes.into()));
            }
        }
    }
}
