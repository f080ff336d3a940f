//! A client: it keeps a session alive, goes from server to server with it, and writes down all that it is told.

use std::collections::VecDeque;

use zabd_jute::client::{
    ConnectResponse, CreateRequest, DeleteRequest, GetDataResponse, PathRequest, PathWatchRequest,
    ReplyHeader, SetDataRequest,
};
use zabd_jute::{Acl, OpCode, Reader, Record, SessionId, Zxid};

use crate::dice::Dice;

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
    /// When, in the world's milliseconds and in the order of events.
    pub at: (i64, u64),
}

/// What a client was told.
#[derive(Clone, Debug)]
pub struct Told {
    /// About what.
    pub asked: Asked,
    /// The position in the answer.
    pub zxid: Zxid,
    /// 0, or why not.
    pub err: i32,
    /// What was read.
    pub data: Option<Vec<u8>>,
    /// When.
    pub at: (i64, u64),
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
    /// All that it was ever told.
    pub told: Vec<Told>,
    xid: i32,
    counter: u64,
}

/// Requests in flight per client.
const IN_FLIGHT_MAX: usize = 4;

impl Client {
    /// A client without a session.
    pub fn new(number: usize) -> Self {
        Self {
            number,
            standing: Standing::Apart,
            conn: None,
            session: SessionId::NONE,
            password: [0; 16],
            seen: Zxid::ZERO,
            asked: VecDeque::new(),
            told: Vec::new(),
            xid: 0,
            counter: 0,
        }
    }

    /// Its connection is gone; what it waits for may have happened or not.
    pub fn lose(&mut self) {
        self.standing = Standing::Apart;
        self.conn = None;
        self.asked.clear();
    }

    /// The next thing to ask for, if it may ask now.
    pub fn ask(&mut self, dice: &mut Dice, at: (i64, u64)) -> Option<Asking> {
        if self.standing != Standing::Connected || self.asked.len() >= IN_FLIGHT_MAX {
            return None;
        }
        self.xid += 1;
        self.counter += 1;
        let value = format!("{}-{}", self.number, self.counter).into_bytes();
        let path = format!("/k{}", dice.throw(5));
        let create = |path: &str, flags| CreateRequest {
            path: path.to_owned().into(),
            data: Some(&value),
            acl: Some(vec![Acl::open()]),
            flags,
        };
        let (op, path, body) = match dice.throw(100) {
            0..30 => {
                let body =
                    SetDataRequest { path: path.as_str().into(), data: Some(&value), version: -1 }.to_bytes();
                (OpCode::SetData, path, body)
            }
            30..45 => (OpCode::Create, path.clone(), create(&path, 0).to_bytes()),
            45..52 => {
                let body = DeleteRequest { path: path.as_str().into(), version: -1 }.to_bytes();
                (OpCode::Delete, path, body)
            }
            52..58 => {
                let path = format!("/e{}-{}", self.number, dice.throw(3));
                (OpCode::Create, path.clone(), create(&path, 1).to_bytes())
            }
            58..62 => (OpCode::Create, "/s-".into(), create("/s-", 2).to_bytes()),
            62..66 => {
                let body = PathRequest { path: path.as_str().into() }.to_bytes();
                (OpCode::Sync, path, body)
            }
            66..68 => (OpCode::CloseSession, String::new(), Vec::new()),
            _ => {
                let body = PathWatchRequest { path: path.as_str().into(), watch: false }.to_bytes();
                (OpCode::GetData, path, body)
            }
        };
        let (session, xid) = (self.session, self.xid);
        self.asked.push_back(Asked { session, xid, op, path, at });
        Some(Asking { xid, op: op.code(), body })
    }

    /// Bytes that came over the connection that counts: one frame or several.
    pub fn hear(&mut self, mut bytes: &[u8], at: (i64, u64)) {
        while let Some(head) = bytes.first_chunk::<4>() {
            let (frame, rest) = bytes[4..].split_at(i32::from_be_bytes(*head) as usize);
            bytes = rest;
            if self.standing == Standing::Connecting {
                self.hear_session(frame);
            } else {
                self.hear_answer(frame, at);
            }
        }
    }

    fn hear_session(&mut self, frame: &[u8]) {
        let response = ConnectResponse::from_bytes(frame).expect("a server's response decodes");
        if response.timeout_ms <= 0 {
            // The session is gone; another one begins.
            self.session = SessionId::NONE;
            self.password = [0; 16];
            self.seen = Zxid::ZERO;
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

    fn hear_answer(&mut self, frame: &[u8], at: (i64, u64)) {
        let mut r = Reader::new(frame);
        let ReplyHeader { xid, zxid, err } = ReplyHeader::decode(&mut r).expect("an answer has a header");
        let asked = self.asked.pop_front().expect("answers answer something");
        let (number, waits) = (self.number, &self.asked);
        assert_eq!(
            asked.xid, xid,
            "client {number} waits for {asked:?}, was answered another, then waits for {waits:?}"
        );
        assert!(self.seen <= zxid, "client {} was taken back from {} to {zxid}", self.number, self.seen);
        self.seen = zxid;
        let is_read = asked.op == OpCode::GetData && err == 0;
        let data = is_read.then(|| {
            let response = GetDataResponse::decode(&mut r).expect("an answer with data decodes");
            response.data.unwrap_or_default().to_vec()
        });
        if asked.op == OpCode::CloseSession && err == 0 {
            self.session = SessionId::NONE;
            self.password = [0; 16];
            self.seen = Zxid::ZERO;
        }
        self.told.push(Told { asked, zxid, err, data, at });
    }
}
