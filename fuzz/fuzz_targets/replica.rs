//! A whole server without its input and output: four connections, a log and a clock, driven by bytes.
//!
//! ```text
//! input = { action byte · for a frame: length (2 bytes), frame }…
//! ```
//!
//! Whatever clients send, in whatever order, and whatever the disk and the clock do meanwhile: each
//! request is answered once, in order; what the log says, replayed, is the tree that clients saw; and a
//! snapshot with the log behind it is that tree, too.

#![no_main]

use std::collections::VecDeque;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use zabd_fuzz::{Summary, TREE_OPTIONS, summary};
use zabd_jute::client::{AuthPacket, ConnectRequest, ConnectResponse, ReplyHeader, RequestHeader, password};
use zabd_jute::txn::Entry;
use zabd_jute::{Limits, OpCode, Reader, Record, SessionId, Writer, Zxid};
use zabd_replica::auth::{AuthOptions, AuthRefused, authenticate, initial_identities};
use zabd_replica::read::{self, Read, ReadOptions, Served};
use zabd_replica::traffic::Traffic;
use zabd_replica::watches::{Identities, Watches};
use zabd_replica::{
    ConnId, HashSeed, Input, MemberOptions, Now, Output, Outputs, Replica, ReplicaOptions, Request,
    SessionRequest, SessionTimeouts,
};
use zabd_tree::{AuthSchemes, CheckOptions, Tree};

const CLIENTS: usize = 4;
const LIMITS: Limits = Limits { field_bytes_max: 1 << 16 };

fuzz_target!(|input: &[u8]| {
    let mut server = Server::new();
    let mut rest = input;
    while let Some((action, behind)) = rest.split_first() {
        rest = behind;
        let client = usize::from(action >> 4) % CLIENTS;
        match action & 0xf {
            0..8 => {
                let Some((length, behind)) = rest.split_first_chunk() else { break };
                let length = usize::from(u16::from_be_bytes(*length)).min(behind.len());
                let (frame, behind) = behind.split_at(length);
                rest = behind;
                server.on_frame(client, frame);
            }
            8 => server.sync(),
            9 => server.pass_time(u64::from(*action) * 100),
            10 => server.feed(Input::DiskFull),
            11 => server.feed(Input::DiskHasRoom),
            12 => server.reap(),
            13 => server.disconnect(client),
            14 => server.go_on_with_snapshot(),
            _ => server.restart(),
        }
    }
    server.end();
});

/// What a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    Session,
    Reply { xid: i32 },
}

struct Client {
    conn: ConnId,
    identities: Identities,
    session: SessionId,
    awaits: VecDeque<Awaited>,
}

/// A snapshot that is being written, and what it must turn out to be.
struct Snapshot {
    zxid: Zxid,
    of: Summary,
    body: Vec<u8>,
}

struct Server {
    replica: Replica,
    tree: Tree,
    watches: Watches,
    now_ms: i64,
    log: Vec<(Zxid, Bytes)>,
    /// By slot; an empty slot has no connection.
    clients: [Option<Client>; CLIENTS],
    connections: u64,
    /// Sessions that clients may ask to resume.
    sessions: Vec<SessionId>,
    snapshot: Option<Snapshot>,
}

fn replica(tree: &Tree, now_ms: i64) -> Replica {
    let check = CheckOptions {
        enforce_quota: true,
        extended_types: true,
        entry_bytes_max: LIMITS.field_bytes_max,
        schemes: AuthSchemes::default(),
        ..CheckOptions::default()
    };
    let options = ReplicaOptions {
        timeouts: SessionTimeouts { tick_ms: 2000, min_ms: 4000, max_ms: 40_000 },
        first_session: SessionId(0x0100_0000_0001_0000 + now_ms),
        check,
        read: ReadOptions { skip_acl: false, limits: LIMITS },
        reconfig: zabd_replica::ReconfigOptions::default(),
        member: MemberOptions::default(),
        audit: true,
    };
    Replica::new(now(now_ms), tree, options)
}

fn now(now_ms: i64) -> Now {
    Now { monotonic_ms: now_ms, wall_ms: 1_700_000_000_000 + now_ms }
}

impl Server {
    fn new() -> Self {
        let tree = Tree::new(TREE_OPTIONS);
        Self {
            replica: replica(&tree, 0),
            tree,
            watches: Watches::new(HashSeed::with_seed(1), false),
            now_ms: 0,
            log: Vec::new(),
            clients: [const { None }; CLIENTS],
            connections: 0,
            sessions: Vec::new(),
            snapshot: None,
        }
    }

    // What clients do.

    fn on_frame(&mut self, slot: usize, frame: &[u8]) {
        match &self.clients[slot] {
            None => self.on_connect(slot, frame),
            // A client that has no session yet is not listened to.
            Some(client) if client.session == SessionId::NONE => (),
            Some(_) => self.on_request(slot, frame),
        }
    }

    fn on_connect(&mut self, slot: usize, frame: &[u8]) {
        let Ok(connect) = ConnectRequest::from_bytes(frame) else { return };
        self.connections += 1;
        let conn = ConnId(self.connections);
        // Ids and passwords cannot be guessed: a small number means one of the known sessions.
        let known = usize::try_from(connect.session.0)
            .ok()
            .and_then(|at| self.sessions.get(at.wrapping_sub(1)).copied());
        let request = SessionRequest {
            last_zxid_seen: connect.last_zxid_seen,
            timeout_ms: connect.timeout_ms,
            session: known.unwrap_or(connect.session),
            password: match known {
                Some(session) => password(session).to_vec(),
                None => connect.password.unwrap_or_default().to_vec(),
            },
            has_read_only_byte: connect.read_only.is_some(),
            takes_read_only: connect.read_only == Some(true),
        };
        let identities = initial_identities("127.0.0.1");
        let awaits = [Awaited::Session].into();
        self.clients[slot] = Some(Client { conn, identities, session: SessionId::NONE, awaits });
        self.feed(Input::Connect { conn, request });
    }

    fn on_request(&mut self, slot: usize, frame: &[u8]) {
        let Ok(header) = RequestHeader::from_bytes(frame) else { return self.disconnect(slot) };
        let body = &frame[8..];
        let Some(client) = &mut self.clients[slot] else { return };
        let RequestHeader { xid, op } = header;
        if op == OpCode::Auth.code() {
            return self.on_auth(slot, body);
        }
        if read::is_write(op) || !client.awaits.is_empty() {
            client.awaits.push_back(Awaited::Reply { xid });
            let (conn, session, identities) = (client.conn, client.session, client.identities.clone());
            let body = Bytes::copy_from_slice(body);
            self.feed(Input::Request(Request { conn, session, xid, op, body, identities }));
        } else {
            self.serve(slot, header, body);
        }
    }

    fn on_auth(&mut self, slot: usize, body: &[u8]) {
        let Some(client) = &mut self.clients[slot] else { return };
        let packet = AuthPacket::from_bytes(body);
        let options = AuthOptions::default();
        let believed = packet
            .map_err(|_| AuthRefused::NoCredentials)
            .and_then(|packet| authenticate(&packet, &client.identities, "127.0.0.1", &options));
        match believed {
            Ok(identities) => {
                client.identities = identities.clone();
                self.watches.authenticate(client.conn, identities);
            }
            Err(_) => self.disconnect(slot),
        }
    }

    fn serve(&mut self, slot: usize, header: RequestHeader, body: &[u8]) {
        let client = self.clients[slot].as_mut().expect("it just asked");
        let RequestHeader { xid, op } = header;
        let read = Read {
            conn: client.conn,
            session: client.session,
            xid,
            op,
            body,
            identities: &client.identities,
        };
        let options = ReadOptions { skip_acl: false, limits: LIMITS };
        let watches = read::touches_watches(op, body).then_some(&mut self.watches);
        let mut out = Vec::new();
        let served = read::serve(&self.tree, watches, &read, &options, &mut Traffic::default(), &mut out);
        client.awaits.push_back(Awaited::Reply { xid });
        client.hear(&out, true, self.tree.last_zxid());
        if served == Served::AnsweredForTheLastTime {
            self.disconnect(slot);
        }
    }

    fn disconnect(&mut self, slot: usize) {
        if let Some(client) = self.clients[slot].take() {
            self.watches.disconnect(client.conn);
        }
    }

    // What the shell does.

    fn feed(&mut self, input: Input) {
        let mut out = Outputs::default();
        self.replica.step(now(self.now_ms), &self.tree, input, &mut out);
        self.carry_out(&mut out);
        while out.apply {
            out.apply = self.replica.apply(&mut self.tree, &mut self.watches, 2, &mut out);
            self.carry_out(&mut out);
        }
    }

    fn carry_out(&mut self, out: &mut Outputs) {
        let mut last = 0..0;
        for output in out.list.drain(..) {
            match output {
                Output::Append { zxid, entry } => self.append(zxid, entry),
                Output::Send { conn, answers, end } => {
                    last = last.end..end;
                    self.deliver(conn, &out.bytes[last.clone()], answers);
                }
                Output::Again { conn } => self.deliver(conn, &out.bytes[last.clone()], false),
                Output::Established { conn, session, .. } => self.establish(conn, session),
                Output::Close { conn } => {
                    if let Some(slot) = self.slot(conn) {
                        self.disconnect(slot);
                    }
                }
                Output::Fact(_) => (),
                Output::CloseAll { .. } | Output::Ensemble(_) => unreachable!("this server is alone"),
            }
        }
        out.bytes.clear();
    }

    fn deliver(&mut self, conn: ConnId, bytes: &[u8], answers: bool) {
        if let Some(slot) = self.slot(conn) {
            let client = self.clients[slot].as_mut().expect("the slot was just found");
            client.hear(bytes, answers, self.tree.last_zxid());
        }
    }

    fn slot(&self, conn: ConnId) -> Option<usize> {
        self.clients.iter().position(|client| client.as_ref().is_some_and(|client| client.conn == conn))
    }

    fn append(&mut self, zxid: Zxid, entry: Bytes) {
        let last = self.log.last().map_or(Zxid::ZERO, |(last, _)| *last);
        assert_eq!(zxid, last.next(), "the log has no gap");
        assert!(entry.len() <= LIMITS.field_bytes_max, "Java could not read the record back");
        let decoded = Entry::decode(&mut Reader::new(&entry)).expect("our own record decodes");
        let mut again = Vec::new();
        decoded.encode(&mut Writer::new(&mut again));
        assert_eq!(again, entry);
        self.log.push((zxid, entry));
    }

    fn establish(&mut self, conn: ConnId, session: SessionId) {
        let Some(slot) = self.slot(conn) else { return };
        let client = self.clients[slot].as_mut().expect("the slot was just found");
        client.session = session;
        self.watches.connect(conn, session, client.identities.clone());
        if !self.sessions.contains(&session) {
            self.sessions.push(session);
        }
    }

    fn sync(&mut self) {
        if let Some((upto, _)) = self.log.last() {
            self.feed(Input::Synced { upto: *upto });
        }
    }

    fn pass_time(&mut self, ms: u64) {
        self.now_ms += ms as i64;
        self.feed(Input::Tick);
    }

    fn reap(&mut self) {
        for path in self.tree.reap_candidates(now(self.now_ms + 100_000).wall_ms, 50_000) {
            self.feed(Input::Reap { path });
        }
    }

    // What must hold.

    fn go_on_with_snapshot(&mut self) {
        let Some(mut snapshot) = self.snapshot.take() else {
            let of = summary(&self.tree);
            let head = self.tree.begin_snapshot();
            self.snapshot = Some(Snapshot { zxid: head.zxid, of, body: Vec::new() });
            return;
        };
        if self.tree.snapshot_chunk(&mut snapshot.body, 2) {
            self.snapshot = Some(snapshot);
            return;
        }
        let loaded = Tree::load(&snapshot.body, snapshot.zxid, None, TREE_OPTIONS);
        let mut loaded = loaded.expect("a snapshot of our own loads");
        assert_eq!(summary(&loaded), snapshot.of, "a snapshot is the tree at its zxid");
        self.replay(&mut loaded);
        assert_eq!(summary(&loaded), summary(&self.tree), "a snapshot and the log behind it are the tree");
    }

    fn replay(&self, tree: &mut Tree) {
        let applied = self.tree.last_zxid();
        for (_, entry) in self.log.iter().take_while(|(zxid, _)| *zxid <= applied) {
            let entry = Entry::decode(&mut Reader::new(entry)).expect("our own record decodes");
            assert_eq!(tree.replay(&entry).digest_mismatch, None);
        }
    }

    /// The process is gone: what the log holds is what there is.
    fn restart(&mut self) {
        self.sync();
        let mut tree = Tree::new(TREE_OPTIONS);
        self.replay(&mut tree);
        assert_eq!(summary(&tree), summary(&self.tree), "the log is the tree");
        assert_eq!(tree.data_size(), self.tree.data_size());
        assert_eq!(tree.remove_dead_sessions(), Vec::<String>::new(), "ephemerals end with their sessions");
        (0..CLIENTS).for_each(|slot| self.disconnect(slot));
        self.now_ms += 1000;
        self.replica = replica(&tree, self.now_ms);
        self.watches = Watches::new(HashSeed::with_seed(1), false);
        self.tree = tree;
        self.snapshot = None;
    }

    fn end(mut self) {
        self.feed(Input::DiskHasRoom);
        self.sync();
        for client in self.clients.iter().flatten() {
            let is_alive = self.tree.session_timeout_ms(client.session).is_some();
            assert!(!is_alive || client.awaits.is_empty(), "{:?} were not answered", client.awaits);
        }
        (0..CLIENTS).for_each(|slot| self.disconnect(slot));
        assert_eq!(self.watches.total(), 0, "watches end with their connections");
        self.pass_time(100_000);
        self.sync();
        assert_eq!(self.tree.sessions().count(), 0, "sessions without clients expire");
        assert_eq!(self.tree.ephemerals_count(), 0, "ephemerals end with their sessions");
        self.restart();
    }
}

impl Client {
    /// Reads what it is sent: events, and at the end, if it is an answer, the one that it waits for.
    fn hear(&mut self, mut bytes: &[u8], answers: bool, applied: Zxid) {
        while let Some((length, rest)) = bytes.split_first_chunk() {
            let (frame, rest) = rest.split_at(i32::from_be_bytes(*length) as usize);
            bytes = rest;
            if !answers || !rest.is_empty() {
                let event = ReplyHeader::from_bytes(frame).expect("an event has a header");
                assert_eq!((event.xid, event.err), (-1, 0), "what is no answer is an event");
                continue;
            }
            match self.awaits.pop_front().expect("somebody asked") {
                Awaited::Session => {
                    ConnectResponse::from_bytes(frame).expect("the answer decodes");
                }
                Awaited::Reply { xid } => {
                    let header = ReplyHeader::from_bytes(frame).expect("a reply has a header");
                    // What comes for a session that is closing is dropped; its connection is closed next.
                    assert!(header.xid == xid || header.xid == PING, "{header:?} does not answer {xid}");
                    assert!(header.zxid <= applied, "{header:?} shows what is not applied");
                }
            }
        }
        assert!(bytes.is_empty(), "half a frame is sent");
    }
}

/// A ping is answered with this xid, whatever its own is.
const PING: i32 = -2;
