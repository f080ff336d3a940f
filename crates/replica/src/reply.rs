//! Replies and events as framed bytes, appended to a buffer that the caller owns.

use zabd_jute::client::{ConnectResponse, ReplyHeader, WatcherEvent};
use zabd_jute::{ErrorCode, Record, SessionId, Writer, Zxid};

use crate::input::{ConnId, Fact, Output, Outputs};
use crate::watches::EventKind;

/// State `SyncConnected`; the others exist only inside clients.
const SYNC_CONNECTED: i32 = 3;

/// Appends one frame: length, reply header, and what `body` writes.
pub(crate) fn frame(out: &mut Vec<u8>, header: ReplyHeader, body: impl FnOnce(&mut Writer<'_>)) {
    let mut w = Writer::new(out);
    let length = w.reserve_int();
    header.encode(&mut w);
    body(&mut w);
    w.fill_length(length);
}

/// Success, with what `body` writes.
pub(crate) fn success(out: &mut Vec<u8>, xid: i32, zxid: Zxid, body: impl FnOnce(&mut Writer<'_>)) {
    frame(out, ReplyHeader { xid, zxid, err: 0 }, body);
}

/// A bare header that says why not.
pub(crate) fn failure(out: &mut Vec<u8>, xid: i32, zxid: Zxid, error: ErrorCode) {
    frame(out, ReplyHeader { xid, zxid, err: error.code() }, |_| ());
}

/// The zxid of replies that have none: events that a client missed, unknown operations.
pub(crate) const NO_ZXID: Zxid = Zxid(-1);

/// What an unknown operation is answered, before its connection is closed.
pub(crate) fn unimplemented(out: &mut Vec<u8>, xid: i32) {
    failure(out, xid, NO_ZXID, ErrorCode::Unimplemented);
}

/// A watch event.
pub(crate) fn event(out: &mut Vec<u8>, zxid: Zxid, kind: EventKind, path: &str) {
    frame(out, ReplyHeader { xid: -1, zxid, err: 0 }, |w| {
        WatcherEvent { kind: kind as i32, state: SYNC_CONNECTED, path: path.into() }.encode(w);
    });
}

/// The answer to a connect request. `read_only` ends it exactly when the request ended so.
fn connected(out: &mut Vec<u8>, session: SessionId, timeout_ms: i32, read_only: Option<bool>) {
    let response =
        ConnectResponse { timeout_ms, session, password: zabd_jute::client::password(session), read_only };
    connect_frame(out, &response);
}

/// The answer to a connect request for a session that cannot be resumed: clients take it as *expired*.
fn refused(out: &mut Vec<u8>, read_only: Option<bool>) {
    let response = ConnectResponse { timeout_ms: 0, session: SessionId::NONE, password: [0; 16], read_only };
    connect_frame(out, &response);
}

impl Outputs {
    /// Answers a connect request for a session that goes on here, or begins, with this transaction if it is known to others.
    pub(crate) fn establish(
        &mut self,
        conn: ConnId,
        session: SessionId,
        timeout_ms: i32,
        read_only: Option<bool>,
        zxid: Option<Zxid>,
    ) {
        connected(&mut self.bytes, session, timeout_ms, read_only);
        self.send(conn, true);
        self.list.push(Output::Established { conn, session, timeout_ms, zxid });
    }

    /// Answers one for a session that cannot be resumed, for the last time.
    pub(crate) fn refuse_session(
        &mut self,
        conn: ConnId,
        session: SessionId,
        wrong_password: bool,
        read_only: Option<bool>,
    ) {
        self.list.push(Output::Fact(Fact::SessionRefused { conn, session, wrong_password }));
        refused(&mut self.bytes, read_only);
        self.send(conn, true);
        self.list.push(Output::Close { conn });
    }
}

fn connect_frame(out: &mut Vec<u8>, response: &ConnectResponse) {
    let mut w = Writer::new(out);
    let length = w.reserve_int();
    response.encode(&mut w);
    w.fill_length(length);
}
