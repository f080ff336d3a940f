//! Clients: they come, ask, are answered, and go.

use bytes::Bytes;
use zabd_jute::client::ReconfigRequest;
use zabd_jute::{OpCode, Record, SessionId};
use zabd_replica::read::{self, Read, Served};
use zabd_replica::traffic::Traffic;
use zabd_replica::{ConnId, Input, Request, SessionRequest};

use super::{End, Event, Kind, Message, SESSION_MS, World, identities, member, tell};
use crate::client::{Asking, Standing};
use crate::plan::Change;

impl World {
    pub(super) fn act(&mut self, number: usize) {
        let delay_ms = self.dice.ms(1, 15);
        self.at(delay_ms, Event::Act { client: number });
        if self.clients[number].standing == Standing::Apart {
            self.come(number);
            return;
        }
        if self.is_healing {
            return;
        }
        if self.clients[number].wants_to_move(&mut self.dice, self.now_ms) {
            let conn = self.clients[number].conn.expect("who is connected has a connection");
            self.clients[number].lose();
            self.close(conn, 0);
            self.come(number);
            return;
        }
        let at = (self.now_ms, self.order);
        let client = &mut self.clients[number];
        if !client.may_ask() {
            return;
        }
        let asking = match self.wanted.pop_front() {
            Some(change) => client.ask_for(OpCode::Reconfig, &request_for(change).to_bytes(), at),
            None => client.ask(&mut self.dice, at),
        };
        let conn = self.clients[number].conn.expect("who may ask has a connection");
        self.send(conn, 0, Message::Ask(asking));
    }

    /// A client without a connection tries any server.
    pub(super) fn come(&mut self, number: usize) {
        let at = self.dice.throw(self.servers.len());
        if self.is_healing || self.servers[at].running.is_none() {
            return;
        }
        let link = self.connect(Kind::Client, [End::Client { at: number }, self.end_of(at)]);
        let client = &mut self.clients[number];
        client.standing = Standing::Connecting;
        client.conn = Some(link);
        let (session, seen) = (client.session, client.seen);
        tell!(self, "client {number} goes to {} with {session}, having seen {seen}", at + 1);
        let request = SessionRequest {
            last_zxid_seen: client.seen,
            timeout_ms: SESSION_MS,
            session: client.session,
            password: client.password.to_vec(),
            has_read_only_byte: true,
            takes_read_only: false,
        };
        self.send(link, 0, Message::Connect(request));
    }

    pub(super) fn deliver_to_client(&mut self, id: u64, number: usize, message: Message) {
        let at = (self.now_ms, self.order);
        let is_current = self.is_current(id);
        let client = &mut self.clients[number];
        if client.conn != Some(id) {
            return;
        }
        if let Message::Bytes(bytes) = message {
            let before = (client.standing, client.session);
            client.hear(&bytes, is_current, at);
            let after = (client.standing, client.session);
            if before.0 != Standing::Connected
                && after.0 == Standing::Connected
                && let Some(asking) = client.ask_for_watches(at)
            {
                self.send(id, 0, Message::Ask(asking));
            }
            if before != after {
                tell!(self, "client {number}: {before:?} -> {after:?}");
            }
        } else {
            client.lose();
            tell!(self, "client {number} loses its connection");
            self.links.get_mut(&id).expect("the link is there").is_open[0] = false;
        }
    }

    /// Whether nobody has been given the lead behind the back of the server at the other end.
    fn is_current(&self, link: u64) -> bool {
        let End::Server { at, life } = self.links[&link].ends[1] else { return false };
        let running = self.servers[at].running.as_ref().filter(|_| self.servers[at].life == life);
        let status = running.and_then(|running| running.replica.ensemble_status());
        status.is_some_and(|status| status.epoch == self.truth.newest_epoch())
    }

    pub(super) fn deliver_request(&mut self, id: u64, at: usize, to: usize, message: Message) {
        let conn = ConnId(id);
        match message {
            Message::Connect(request) => {
                let running = self.servers[at].running.as_mut().expect("it was just alive");
                running.unanswered.insert(conn, 1);
                self.feed(at, Input::Connect { conn, request });
            }
            Message::Ask(asking) => self.ask(at, conn, asking),
            _ => {
                self.links.get_mut(&id).expect("the link is there").is_open[to] = false;
                self.forget_client(at, conn);
            }
        }
    }

    pub(super) fn forget_client(&mut self, at: usize, conn: ConnId) {
        let running = self.servers[at].running.as_mut().expect("it was just alive");
        running.unanswered.remove(&conn);
        let session = running.watches.session(conn).unwrap_or(SessionId::NONE);
        running.watches.disconnect(conn);
        self.feed(at, Input::Gone { conn, session });
    }

    /// As a connection does: it serves a read that stands behind nothing, and hands over everything else.
    pub(super) fn ask(&mut self, at: usize, conn: ConnId, asking: Asking) {
        let running = self.servers[at].running.as_mut().expect("it was just alive");
        let Some(session) = running.watches.session(conn) else { return };
        let Asking { xid, op, body } = asking;
        if !running.unanswered.contains_key(&conn) {
            return;
        }
        if let Some(epoch) = self.epoch_led_by(at) {
            self.truth.hear(epoch, session, self.now_ms);
        }
        let running = self.servers[at].running.as_mut().expect("it was just alive");
        let unanswered = running.unanswered.get_mut(&conn).expect("it was just there");
        let is_deferred = read::is_write(op) || *unanswered > 0 || op == OpCode::Sync.code();
        if is_deferred {
            *unanswered += 1;
            let identities = identities().into();
            self.feed(at, Input::Request(Request { conn, session, xid, op, body: body.into(), identities }));
            return;
        }
        let identities = identities();
        let read = Read { conn, session, xid, op, body: &body, identities: &identities };
        let options = running.replica.read_options();
        let mut out = Vec::new();
        let served = read::serve(
            &running.tree,
            Some(&mut running.watches),
            &read,
            &options,
            &mut Traffic::default(),
            &mut out,
        );
        assert_eq!(served, Served::Answered, "clients of this world ask for nothing odd");
        self.send_from(at, conn.0, Message::Bytes(out.into()));
        self.feed(at, Input::Touch { session });
    }

    pub(super) fn answer(&mut self, at: usize, conn: ConnId, answers: bool, bytes: &[u8]) {
        let running = self.servers[at].running.as_mut().expect("it was just alive");
        let Some(unanswered) = running.unanswered.get_mut(&conn) else { return };
        *unanswered -= usize::from(answers);
        self.send_from(at, conn.0, Message::Bytes(Bytes::copy_from_slice(bytes)));
    }

    pub(super) fn close_client(&mut self, at: usize, conn: ConnId) {
        if let Some(end) = self.own_end(conn.0, at) {
            self.close(conn.0, end);
        }
        self.forget_client(at, conn);
    }
}

fn request_for(change: Change) -> ReconfigRequest<'static> {
    let mut request = ReconfigRequest { joining: None, leaving: None, new_members: None, config_id: -1 };
    match change {
        Change::Votes(at) => request.joining = Some(member(at + 1, "participant").into()),
        Change::Observes(at) => request.joining = Some(member(at + 1, "observer").into()),
        Change::Leaves(at) => request.leaving = Some((at + 1).to_string().into()),
        Change::Weighs { voters, weights } => {
            let members = (1..=voters).map(|id| member(id, "participant"));
            let lines: Vec<_> = members.chain(weights.lines().map(str::to_owned)).collect();
            request.new_members = Some(lines.join(",").into());
        }
    }
    request
}
