//! A client: it keeps a session alive, goes from server to server with it, and writes down all that it is told.

use std::collections::{BTreeMap, VecDeque};

use zabd_jute::client::{
    CheckVersionRequest, ConnectResponse, CreateRequest, CreateTtlRequest, DeleteRequest, GetDataResponse,
    MultiOp, MultiRequest, PathRequest, PathWatchRequest, ReplyHeader, SetDataRequest, SetWatches,
    WatcherEvent,
};
use zabd_jute::{Acl, OpCode, Reader, Record, SessionId, Stat, Writer, Zxid};

use crate::dice::Dice;
use crate::linear::Moment;
use crate::outcome::{self, NO_NODE, Part};

/// What a client asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// In which session.
    pub session: SessionId,
    /// Its number there.
    pub xid: i32,
    /// The operation.
    pub op: OpCode,
    /// About which znode.
    pub path: String,
    /// What is to be in it.
    pub value: Vec<u8>,
    /// The request's body.
    pub body: Vec<u8>,
    /// Whether it is to be told of the next change.
    pub watches: bool,
    /// The sync in front of this read, of the same connection.
    pub behind_sync: Option<Moment>,
    /// When, in the world's milliseconds and in the order of events.
    pub at: Moment,
}

/// What a client was told.
#[derive(Clone, Debug)]
pub struct Told {
    /// About what.
    pub asked: Asked,
    /// Over which connection.
    pub conn: u64,
    /// The position in the answer.
    pub zxid: Zxid,
    /// 0, or why not.
    pub err: i32,
    /// What was read.
    pub data: Option<Vec<u8>>,
    /// The stat behind it, where the answer has one.
    pub stat: Option<Stat>,
    /// The name that was made.
    pub name: Option<String>,
    /// What came of each operation of a multi.
    pub parts: Option<Vec<Part>>,
    /// Whether nobody had been given the lead behind the back of the server that says so.
    pub is_current: bool,
    /// When.
    pub at: Moment,
}

impl Told {
    /// Whether the answer leaves a watch, and if it does, whether that waits for the znode to be there.
    pub fn watches(&self) -> Option<bool> {
        match (self.asked.op, self.err) {
            _ if !self.asked.watches => None,
            (OpCode::GetData | OpCode::Exists, 0) => Some(false),
            (OpCode::Exists, NO_NODE) => Some(true),
            _ => None,
        }
    }
}

/// An event.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Over which connection.
    pub conn: u64,
    /// Of which transaction.
    pub zxid: Zxid,
    /// What happened: 1 created, 2 deleted, 3 changed.
    pub kind: i32,
    /// Where.
    pub path: String,
}

/// Everything that a client hears, in its order.
#[derive(Clone, Debug)]
pub enum Word {
    /// An answer.
    Told(Box<Told>),
    /// An event.
    Heard(Heard),
}

/// A request on its way to a server.
#[derive(Clone, Debug)]
pub struct Asking {
    /// The request's number.
    pub xid: i32,
    /// The operation.
    pub op: i32,
    /// What follows the header.
    pub body: Vec<u8>,
}

/// What a client does next about its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has none.
    Apart,
    /// It has asked for its session.
    Connecting,
    /// Its session goes on.
    Connected,
}

/// See the module's description.
#[derive(Debug)]
pub struct Client {
    /// Its number.
    pub number: usize,
    /// What about its connection.
    pub standing: Standing,
    /// The connection that counts; others are over.
    pub conn: Option<u64>,
    /// Its session, and the proof that it is its own.
    pub session: SessionId,
    /// See there.
    pub password: [u8; 16],
    /// The newest position that it was told of in this session.
    pub seen: Zxid,
    /// What it waits for, in order.
    pub asked: VecDeque<Asked>,
    /// All that it ever heard.
    pub words: Vec<Word>,
    /// What it never was told the outcome of.
    pub unanswered: Vec<Asked>,
    /// Sessions of which it was told that they are over.
    pub refused: Vec<SessionId>,
    /// Whether it tells the next server of the watches that it has left at the last one.
    pub keeps_watches: bool,
    /// Those that have not fired, and whether they wait for the znode to be there.
    watches: BTreeMap<String, bool>,
    /// The sync that it has just asked for, and about what.
    synced: Option<(Moment, String)>,
    /// Until when it only reads and synchronises, and stays where it is.
    rests_until_ms: i64,
    xid: i32,
    counter: u64,
}

/// As every client numbers it.
const SET_WATCHES_XID: i32 = -8;
/// Requests in flight per client.
const IN_FLIGHT_MAX: usize = 4;
/// How long a client only reads and synchronises now and then, in milliseconds: for longer than its session may be silent,
/// so that whoever ends sessions must have been told of reads.
const REST_MS: i64 = 3000;

impl Client {
    /// A client without a session.
    pub fn new(number: usize, keeps_watches: bool) -> Self {
        Self {
            number,
            standing: Standing::Apart,
            conn: None,
            session: SessionId::NONE,
            password: [0; 16],
            seen: Zxid::ZERO,
            asked: VecDeque::new(),
            words: Vec::new(),
            unanswered: Vec::new(),
            refused: Vec::new(),
            keeps_watches,
            watches: BTreeMap::new(),
            synced: None,
            rests_until_ms: 0,
            xid: 0,
            counter: 0,
        }
    }

    /// Its connection is gone; what it waits for may have happened or not.
    pub fn lose(&mut self) {
        self.standing = Standing::Apart;
        self.conn = None;
        self.synced = None;
        self.unanswered.extend(self.asked.drain(..));
    }

    /// What it says first on a new connection: which watches it had, and what it has seen.
    pub fn ask_for_watches(&mut self, at: Moment) -> Option<Asking> {
        if !self.keeps_watches || self.watches.is_empty() {
            return None;
        }
        let those = |waits: bool| {
            let watches = self.watches.iter().filter(|(_, waits_for_it)| **waits_for_it == waits);
            watches.map(|(path, _)| path.as_str().into()).collect()
        };
        let watches = SetWatches {
            relative_zxid: self.seen,
            data: those(false),
            exist: those(true),
            ..SetWatches::default()
        };
        let mut body = Vec::new();
        watches.encode(&mut Writer::new(&mut body));
        let op = OpCode::SetWatches;
        let (session, path, value) = (self.session, String::new(), Vec::new());
        let xid = SET_WATCHES_XID;
        Some(self.asks(Asked { session, xid, op, path, value, body, watches: false, behind_sync: None, at }))
    }

    /// Goes away from its server without a word, to look for another.
    pub fn wants_to_move(&self, dice: &mut Dice, now_ms: i64) -> bool {
        self.standing == Standing::Connected && self.rests_until_ms <= now_ms && dice.chance(8)
    }

    /// Whether it has somebody to ask, and few answers are missing.
    pub fn may_ask(&self) -> bool {
        self.standing == Standing::Connected && self.asked.len() < IN_FLIGHT_MAX
    }

    /// Asks for what somebody else thought of.
    pub fn ask_for(&mut self, op: OpCode, body: &[u8], at: Moment) -> Asking {
        self.xid += 1;
        let (session, xid) = (self.session, self.xid);
        let (path, value) = (String::new(), Vec::new());
        let body = body.to_vec();
        self.asks(Asked { session, xid, op, path, value, body, watches: false, behind_sync: None, at })
    }

    fn asks(&mut self, asked: Asked) -> Asking {
        let asking = Asking { xid: asked.xid, op: asked.op.code(), body: asked.body.clone() };
        self.asked.push_back(asked);
        asking
    }

    /// The next thing to ask for.
    pub fn ask(&mut self, dice: &mut Dice, at: Moment) -> Asking {
        self.xid += 1;
        self.counter += 1;
        let value = format!("{}-{}", self.number, self.counter).into_bytes();
        let behind_sync = self.synced.take();
        let key = format!("/k{}", dice.throw(5));
        let watches = dice.chance(250);
        let create = |path: &str, flags| CreateRequest {
            path: path.to_owned().into(),
            data: Some(&value),
            acl: Some(vec![Acl::open()]),
            flags,
        };
        let read = |path: &str, watch| PathWatchRequest { path: path.to_owned().into(), watch }.to_bytes();
        if dice.chance(2) {
            self.rests_until_ms = at.0 + REST_MS;
        }
        let choice = match behind_sync {
            Some(_) => 100,
            None if at.0 < self.rests_until_ms => *dice.pick(&[62, 69, 90, 91, 92]),
            None => dice.throw(100),
        };
        let (op, path, body) = match choice {
            0..28 => {
                let body =
                    SetDataRequest { path: key.as_str().into(), data: Some(&value), version: -1 }.to_bytes();
                (OpCode::SetData, key, body)
            }
            28..40 => (OpCode::Create, key.clone(), create(&key, 0).to_bytes()),
            40..47 => {
                let body = DeleteRequest { path: key.as_str().into(), version: -1 }.to_bytes();
                (OpCode::Delete, key, body)
            }
            47..53 => {
                let path = format!("/e{}-{}", self.number, dice.throw(3));
                let body = create(&path, 1).to_bytes();
                (OpCode::Create, path, body)
            }
            53..57 => (OpCode::Create, "/s-".into(), create("/s-", 2).to_bytes()),
            57..62 => (OpCode::Multi, "/m".into(), multi(dice, &value)),
            62..67 => {
                self.synced = Some((at, key.clone()));
                let body = PathRequest { path: key.as_str().into() }.to_bytes();
                (OpCode::Sync, key, body)
            }
            67..69 => (OpCode::CloseSession, String::new(), Vec::new()),
            69..75 => {
                let body = read(&key, watches);
                (OpCode::Exists, key, body)
            }
            _ => {
                let path = behind_sync.as_ref().map_or(key, |(_, path)| path.clone());
                let body = read(&path, watches);
                (OpCode::GetData, path, body)
            }
        };
        let watches = watches && matches!(op, OpCode::GetData | OpCode::Exists);
        let behind_sync = behind_sync.map(|(at, _)| at);
        let (session, xid) = (self.session, self.xid);
        self.asks(Asked { session, xid, op, path, value, body, watches, behind_sync, at })
    }

    /// Bytes that came over the connection that counts: one frame or several.
    pub fn hear(&mut self, mut bytes: &[u8], is_current: bool, at: Moment) {
        while let Some(head) = bytes.first_chunk::<4>() {
            let (frame, rest) = bytes[4..].split_at(i32::from_be_bytes(*head) as usize);
            bytes = rest;
            if self.standing == Standing::Connecting {
                self.hear_session(frame);
            } else {
                self.hear_answer(frame, is_current, at);
            }
        }
    }

    fn hear_session(&mut self, frame: &[u8]) {
        let response = ConnectResponse::from_bytes(frame).expect("a server's response decodes");
        if response.timeout_ms <= 0 {
            // The session is gone; another one begins.
            if self.session != SessionId::NONE {
                self.refused.push(self.session);
            }
            self.forget_session();
            return;
        }
        assert!(
            self.session == SessionId::NONE || self.session == response.session,
            "client {} was given another session",
            self.number
        );
        self.session = response.session;
        self.password = response.password;
        self.standing = Standing::Connected;
    }

    fn forget_session(&mut self) {
        self.watches.clear();
        self.session = SessionId::NONE;
        self.password = [0; 16];
        self.seen = Zxid::ZERO;
    }

    fn hear_answer(&mut self, frame: &[u8], is_current: bool, at: Moment) {
        let mut r = Reader::new(frame);
        let conn = self.conn.expect("who hears is connected");
        let ReplyHeader { xid, zxid, err } = ReplyHeader::decode(&mut r).expect("an answer has a header");
        if xid == -1 {
            let WatcherEvent { kind, path, .. } = WatcherEvent::decode(&mut r).expect("an event decodes");
            self.watches.remove(&*path);
            self.words.push(Word::Heard(Heard { conn, zxid, kind, path: path.into_owned() }));
            return;
        }
        let asked = self.asked.pop_front().expect("answers answer something");
        let (number, waits) = (self.number, &self.asked);
        assert_eq!(
            asked.xid, xid,
            "client {number} waits for {asked:?}, was answered another, then waits for {waits:?}"
        );
        assert!(self.seen <= zxid, "client {} was taken back from {} to {zxid}", self.number, self.seen);
        self.seen = zxid;
        let mut told =
            Told { asked, conn, zxid, err, data: None, stat: None, name: None, parts: None, is_current, at };
        if err == 0 {
            match told.asked.op {
                OpCode::GetData => {
                    let response = GetDataResponse::decode(&mut r).expect("an answer with data decodes");
                    told.data = Some(response.data.unwrap_or_default().to_vec());
                    told.stat = Some(response.stat);
                }
                OpCode::Exists | OpCode::SetData => {
                    told.stat = Some(Stat::decode(&mut r).expect("an answer with a stat decodes"));
                }
                OpCode::Create => {
                    told.name = Some(r.ustring().expect("an answer with a name decodes").into_owned());
                }
                OpCode::Multi => told.parts = Some(outcome::parts(&mut r)),
                OpCode::CloseSession => self.forget_session(),
                _ => (),
            }
        }
        if let Some(waits) = told.watches() {
            self.watches.entry(told.asked.path.clone()).or_insert(waits);
        }
        self.words.push(Word::Told(Box::new(told)));
    }

    /// What it was told, without events.
    pub fn told(&self) -> impl Iterator<Item = &Told> {
        self.words.iter().filter_map(|word| match word {
            Word::Told(told) => Some(&**told),
            Word::Heard(_) => None,
        })
    }
}

/// Two znodes that change together or not at all; every third time there is a reason why not.
fn multi(dice: &mut Dice, value: &[u8]) -> Vec<u8> {
    let paths = ["/m0", "/m1"];
    let create = |path: &'static str| MultiOp::Create {
        op: OpCode::Create,
        request: CreateTtlRequest {
            create: CreateRequest {
                path: path.into(),
                data: Some(value),
                acl: Some(vec![Acl::open()]),
                flags: 0,
            },
            ttl_ms: -1,
        },
    };
    let set = |path: &'static str| {
        MultiOp::SetData(SetDataRequest { path: path.into(), data: Some(value), version: -1 })
    };
    let mut ops: Vec<_> = if dice.chance(200) { paths.map(create).into() } else { paths.map(set).into() };
    if dice.chance(333) {
        ops.push(MultiOp::Check(CheckVersionRequest { path: "/m0".into(), version: i32::MAX }));
    }
    MultiRequest { ops }.to_bytes()
}
