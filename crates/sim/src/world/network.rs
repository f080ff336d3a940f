//! Connections: what is sent arrives late, in order, or not at all.

use std::collections::VecDeque;

use bytes::Bytes;
use zabd_jute::quorum::{FromLeader, FromLearner, InitialMessage, QuorumPacket};
use zabd_jute::{OpCode, ServerId, Zxid};
use zabd_replica::Serving;
use zabd_zab::effect::{DialId, LinkId};
use zabd_zab::{links, peer};

use super::{End, Event, Kind, Link, Message, World};
use crate::server::{Image, TIMING};

impl World {
    pub(super) fn is_alive(&self, at: usize, life: u64) -> bool {
        self.servers[at].life == life && self.servers[at].running.is_some()
    }

    pub(super) fn connect(&mut self, kind: Kind, ends: [End; 2]) -> u64 {
        let id = self.next_link;
        self.next_link += 1;
        let link = Link {
            kind,
            ends,
            is_open: [true; 2],
            to: Default::default(),
            arrives: [self.now_ms; 2],
            heard_ms: [self.now_ms; 2],
            is_introduced: false,
            snap: None,
        };
        self.links.insert(id, link);
        id
    }

    pub(super) fn end_of(&self, at: usize) -> End {
        End::Server { at, life: self.servers[at].life }
    }

    pub(super) fn can_reach(&self, from: usize, to: usize) -> bool {
        self.servers[to].running.is_some()
            && !self.is_cut(from, to)
            && !self.is_cut(to, from)
            && self.servers[to].paused_until <= self.now_ms
    }

    /// Whether nothing from the one arrives at the other.
    fn is_cut(&self, from: usize, to: usize) -> bool {
        self.blocked.get(&(from, to)).is_some_and(|until| self.now_ms < *until)
    }

    pub(super) fn dial_election(&mut self, at: usize, peer: i64) {
        let (target, peer) = (peer as usize - 1, ServerId(peer));
        if !self.can_reach(at, target) {
            self.feed_links(at, links::Input::DialFailed { peer });
            return;
        }
        let link = self.connect(Kind::Election, [self.end_of(at), self.end_of(target)]);
        self.feed_links(at, links::Input::Dialled { peer, conn: links::ConnId(link) });
    }

    pub(super) fn dial_quorum(&mut self, at: usize, leader: i64, dial: DialId) {
        let target = leader as usize - 1;
        if !self.can_reach(at, target) {
            self.feed_peer(at, peer::Input::ConnectFailed { dial });
            return;
        }
        let link = self.connect(Kind::Quorum, [self.end_of(at), self.end_of(target)]);
        self.feed_peer(target, peer::Input::Accepted { link: LinkId(link) });
        self.feed_peer(at, peer::Input::Connected { dial, link: LinkId(link) });
    }

    /// Which end of the link is this server's, in this life.
    pub(super) fn own_end(&self, link: u64, at: usize) -> Option<usize> {
        let link = self.links.get(&link)?;
        let own = self.end_of(at);
        (0..2).find(|end| link.ends[*end] == own && link.is_open[*end])
    }

    pub(super) fn send(&mut self, id: u64, from: usize, message: Message) {
        let delay_ms = self.dice.ms(0, self.plan.network_ms_max);
        let now_ms = self.now_ms;
        let Some(link) = self.links.get_mut(&id) else { return };
        if !link.is_open[from] && !matches!(message, Message::End) {
            return;
        }
        let to = 1 - from;
        link.to[to].push_back(message);
        link.arrives[to] = link.arrives[to].max(now_ms + delay_ms);
        let arrives = link.arrives[to];
        self.at(arrives - now_ms, Event::Deliver { link: id, to });
    }

    /// One end closes: it hears nothing more, the other end hears of it behind all that was sent.
    pub(super) fn close(&mut self, id: u64, end: usize) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if std::mem::replace(&mut link.is_open[end], false) {
            link.to[end].clear();
            self.send(id, end, Message::End);
        }
    }

    /// The connection breaks: what is on its way is lost, and both ends hear of it.
    pub(super) fn sever(&mut self, id: u64) {
        for from in 0..2 {
            let Some(link) = self.links.get_mut(&id) else { return };
            link.to[1 - from].clear();
            self.send(id, from, Message::End);
        }
    }

    pub(super) fn deliver(&mut self, id: u64, to: usize) {
        let Some(link) = self.links.get(&id) else { return };
        if let [End::Server { at: one, .. }, End::Server { at: other, .. }] = link.ends {
            let (from, towards) = if to == 1 { (one, other) } else { (other, one) };
            if self.is_cut(from, towards) {
                self.at(10, Event::Deliver { link: id, to });
                return;
            }
        }
        let link = self.links.get_mut(&id).expect("the link was just looked at");
        let Some(message) = link.to[to].pop_front() else { return };
        link.heard_ms[to] = self.now_ms;
        let (kind, end, is_open) = (link.kind, link.ends[to], link.is_open[to]);
        if is_open {
            match end {
                End::Client { at } => self.deliver_to_client(id, at, message),
                End::Server { at, life } if self.is_alive(at, life) => match kind {
                    Kind::Election => self.deliver_election(id, at, to, message),
                    Kind::Quorum => self.deliver_quorum(id, at, to, message),
                    Kind::Client => self.deliver_request(id, at, to, message),
                },
                End::Server { .. } => (),
            }
        }
        if self
            .links
            .get(&id)
            .is_some_and(|link| link.is_open == [false; 2] && link.to.iter().all(VecDeque::is_empty))
        {
            self.links.remove(&id);
        }
    }

    pub(super) fn deliver_election(&mut self, id: u64, at: usize, to: usize, message: Message) {
        let conn = links::ConnId(id);
        let link = self.links.get_mut(&id).expect("the link was just looked at");
        match message {
            Message::Bytes(bytes) if to == 1 && !std::mem::replace(&mut link.is_introduced, true) => {
                let decoded = InitialMessage::decode_stream(&bytes).expect("a server introduces itself");
                let (InitialMessage { server, addresses, .. }, _) =
                    decoded.expect("it does so with one write");
                self.feed_links(at, links::Input::Introduced { conn, server, addresses });
            }
            Message::Bytes(bytes) => {
                self.feed_links(at, links::Input::Frame { conn, content: bytes.slice(4..) });
            }
            _ => {
                link.is_open[to] = false;
                self.feed_links(at, links::Input::Closed { conn });
            }
        }
    }

    pub(super) fn deliver_quorum(&mut self, id: u64, at: usize, to: usize, message: Message) {
        let link = LinkId(id);
        match message {
            Message::Bytes(packet) => {
                let link_end = self.links.get_mut(&id).expect("the link is there");
                match from_leader(&packet).filter(|_| to == 0) {
                    Some(Said::Snap(zxid)) => link_end.snap = Some(zxid),
                    Some(Said::NewLeader(zxid)) => {
                        let End::Server { at: leader, .. } = link_end.ends[1] else {
                            unreachable!("a server leads")
                        };
                        self.truth.lead(zxid.epoch(), leader + 1);
                    }
                    None => (),
                }
                if to == 1 {
                    self.hear_of_sessions(at, &packet);
                }
                self.feed_peer(at, peer::Input::Packet { link, packet });
            }
            Message::Image(Image { body, unshown }) => {
                let zxid = self.links[&id].snap.expect("an image follows its announcement");
                let running = self.servers[at].running.as_mut().expect("it was just alive");
                running.received = unshown;
                match running.store.receive(&body, zxid) {
                    Ok(shown) => self.feed_peer(at, peer::Input::SnapshotReceived { link, shown }),
                    Err(error) => self.die(at, &error),
                }
            }
            _ => {
                self.links.get_mut(&id).expect("the link is there").is_open[to] = false;
                self.feed_peer(at, peer::Input::Closed { link });
            }
        }
    }
}

impl World {
    /// A learner that has just looked at its clock has given up a leader that it has not heard for too long. Of a leader nothing is
    /// asked here: whatever leaves it for a learner that it brings into step gives that one more time.
    pub(super) fn assert_hears(&self, at: usize) {
        let Some(running) = self.servers[at].running.as_ref() else { return };
        if running.replica.ensemble_status().map(|status| status.serving) != Some(Serving::Learning) {
            return;
        }
        // Over one that it is about to leave it may hear of another leader.
        let heard_ms = self.heard(at).max();
        assert!(
            heard_ms.is_none_or(|heard_ms| self.now_ms - heard_ms <= TIMING.sync_ms()),
            "{} has heard nothing of its leader since {heard_ms:?}, and does not give it up: {}",
            at + 1,
            self.state()
        );
    }

    /// When something arrived last over each of the connections that a server has dialled.
    fn heard(&self, at: usize) -> impl Iterator<Item = i64> {
        let own = self.end_of(at);
        let is_its = move |link: &&Link| link.kind == Kind::Quorum && link.ends[0] == own && link.is_open[0];
        self.links.values().filter(is_its).map(|link| link.heard_ms[0])
    }

    /// What a learner says of its clients' sessions, if this server leads.
    fn hear_of_sessions(&mut self, at: usize, packet: &Bytes) {
        let Some(epoch) = self.epoch_led_by(at) else { return };
        let decoded = QuorumPacket::decode_stream(packet, zabd_jute::Limits::default());
        let Ok(Some((packet, _))) = decoded else { return };
        match FromLearner::decode(packet) {
            Ok(Some(FromLearner::Ping { touched, .. })) => {
                for touch in touched {
                    self.truth.hear(epoch, touch.session, self.now_ms);
                }
            }
            Ok(Some(FromLearner::Request(request))) if is_sign_of_life(request.op) => {
                self.truth.hear(epoch, request.session, self.now_ms);
            }
            _ => (),
        }
    }
}

/// A session that ends needs no life, one that begins has a record of its own, and a sync does not come to who knows sessions.
fn is_sign_of_life(op: i32) -> bool {
    let op = OpCode::from_code(op);
    !matches!(op, None | Some(OpCode::CloseSession | OpCode::CreateSession | OpCode::Sync))
}

/// What is listened to on its way from a leader.
enum Said {
    /// An image comes, which stands here.
    Snap(Zxid),
    /// What the leader has is what the epoch begins with.
    NewLeader(Zxid),
}

fn from_leader(packet: &Bytes) -> Option<Said> {
    let decoded = QuorumPacket::decode_stream(packet, zabd_jute::Limits::default());
    let (packet, _) = decoded.ok()??;
    match FromLeader::decode(&packet) {
        Ok(Some(FromLeader::Snap { zxid } | FromLeader::SnapInstead { zxid })) => Some(Said::Snap(zxid)),
        Ok(Some(FromLeader::NewLeader { zxid, .. })) => Some(Said::NewLeader(zxid)),
        _ => None,
    }
}
