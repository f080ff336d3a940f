//! The life of a connection at DEBUG, and of each of its requests at TRACE.
//!
//! The level of the log is the same for as long as the process lives, so a connection keeps what these lines need only where
//! they are written: elsewhere a request costs a look at a pointer. A line has a request's path, never its data.

use std::collections::VecDeque;

use zabd_jute::client::{ReplyHeader, RequestHeader};
use zabd_jute::{ErrorCode, OpCode, Reader, Record as _, SessionId, Writer, Zxid};
use zabd_replica::read;

use super::{Connection, Phase};
use crate::net::java_address::shown;

/// How much of a path is shown.
const PATH_CHARS_MAX: usize = 256;

/// Where a reply's header begins and ends, behind the frame's length.
const HEADER: std::ops::Range<usize> = 4..20;
/// The xid of an event.
const EVENT_XID: i32 = -1;

/// Why a connection ends, as far as is known where that is decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Ending {
    /// Its client says that nothing more will come.
    #[default]
    Client,
    /// It cannot be read or written.
    Broken,
    /// A four-letter word is answered.
    Answered,
    /// Too many want a session.
    NotLetIn,
    /// What came is no request, is too long, or has waited for too long.
    Refused,
    /// Its client is not who it says it is.
    Unauthenticated,
    /// The replica wants it so.
    Replica,
    /// It was silent, or has left too much untaken or undone.
    Dropped,
}

/// What one request asks for.
#[derive(Debug)]
pub(super) struct Asked {
    op: i32,
    path: Option<String>,
}

/// What waits for an answer, oldest first.
pub(super) type Trace = Option<Box<VecDeque<Asked>>>;

/// Of a new connection.
pub(super) fn trace() -> Trace {
    tracing::enabled!(tracing::Level::TRACE).then(Box::default)
}

impl Asked {
    fn new(op: i32, body: &[u8]) -> Self {
        let has_path = OpCode::from_code(op).is_some_and(begins_with_path);
        let path = has_path.then(|| Reader::new(body).ustring().ok()).flatten();
        Self { op, path: path.map(|path| path.chars().take(PATH_CHARS_MAX).collect()) }
    }
}

fn begins_with_path(op: OpCode) -> bool {
    use OpCode as Op;
    match op {
        Op::Multi | Op::Reconfig | Op::CloseSession => false,
        Op::Sync
        | Op::Exists
        | Op::GetData
        | Op::GetAcl
        | Op::GetChildren
        | Op::GetChildren2
        | Op::GetEphemerals
        | Op::GetAllChildrenNumber
        | Op::AddWatch
        | Op::CheckWatches
        | Op::RemoveWatches => true,
        other => read::is_write(other.code()),
    }
}

impl Connection {
    /// Answers what the replica has no part in.
    pub(super) fn answer_at_once(
        &mut self,
        header: RequestHeader,
        err: i32,
        body: impl FnOnce(&mut Writer<'_>),
    ) {
        let begin = self.out.len();
        let mut w = Writer::new(&mut self.out);
        let length = w.reserve_int();
        ReplyHeader { xid: header.xid, zxid: Zxid::ZERO, err }.encode(&mut w);
        body(&mut w);
        w.fill_length(length);
        self.trace_served(header.op, &[], begin);
        self.tally.sent += 1;
    }

    /// A request waits for its turn; its answer comes by mail.
    pub(super) fn trace_deferred(&mut self, header: RequestHeader, body: &[u8]) {
        if let Some(trace) = &mut self.trace {
            trace.push_back(Asked::new(header.op, body));
        }
    }

    /// A request was answered at once, by what stands in the output from `begin` on.
    pub(super) fn trace_served(&self, op: i32, body: &[u8], begin: usize) {
        if self.trace.is_some() {
            tell_answer(self.session, &Asked::new(op, body), &self.out[begin..]);
        }
    }

    /// Mail has come, which stands in the output from `begin` on.
    pub(super) fn trace_mail(&mut self, begin: usize) {
        let Some(trace) = &mut self.trace else { return };
        let mut rest = &self.out[begin..];
        // The answer to a request for a session has another form.
        let mut is_answer = self.phase != Phase::Connecting;
        while let Some(length) = rest.first_chunk::<4>() {
            let end = (4 + i32::from_be_bytes(*length) as usize).min(rest.len());
            let (frame, behind) = rest.split_at(end);
            rest = behind;
            if std::mem::replace(&mut is_answer, true)
                && !is_event(frame)
                && let Some(asked) = trace.pop_front()
            {
                tell_answer(self.session, &asked, frame);
            }
        }
    }

    /// The connection has its session.
    pub(super) fn tell_established(&self) {
        let how = if self.asked_for_session.is_some() { "begins" } else { "goes on" };
        tracing::debug!(
            "Session {} {how} at client {}, with a timeout of {}ms",
            self.session,
            shown(self.client.address),
            self.timeout_ms
        );
    }

    /// What cannot be understood where it decides about the connection ends it without a word, as in Java.
    pub(super) fn close_malformed(&mut self, what: &str) {
        self.tell_refused(what);
        self.close(Ending::Refused);
    }

    /// The connection is closed for what came over it, which [`Self::close`] counts.
    pub(super) fn tell_refused(&self, why: &str) {
        let address = self.client.address;
        self.service.counters.clients.tell(address.ip(), why, || {
            tracing::warn!("Closing the connection from {}: {why}", shown(address));
        });
    }

    /// The connection has ended.
    pub(super) fn tell_closed(&self) {
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let carried = match self.session {
            SessionId::NONE => "no session".to_owned(),
            session => format!("session {session}"),
        };
        tracing::debug!(
            "Closed the connection of client {}, which had {carried} and {} requests unanswered, after {}ms: {}",
            shown(self.client.address),
            self.unanswered.len(),
            self.service.driver.clock.monotonic_ms() - self.client.counters.since_ms,
            self.why_closed()
        );
    }

    fn why_closed(&self) -> &'static str {
        match self.ending {
            Ending::Client => "its client has closed it",
            Ending::Broken => "it is broken",
            Ending::Answered => "the four-letter word is answered",
            Ending::NotLetIn => "too many ask for a session",
            Ending::Refused => "what came cannot be served",
            Ending::Unauthenticated => "its client is not authenticated",
            Ending::Dropped => "it was silent for too long, or has not taken what was sent to it",
            Ending::Replica => self.why_the_replica_closed(),
        }
    }

    fn why_the_replica_closed(&self) -> &'static str {
        let driver = &self.service.driver;
        if self.session == SessionId::NONE {
            "there is no session for it here"
        } else if self.client.counters.figures.lock().last_op == OpCode::CloseSession.code() {
            "its client has closed the session"
        } else if !driver.serves_clients() {
            "this server serves nobody at the moment"
        } else if driver.tree().session_timeout_ms(self.session).is_none() {
            "the session has ended"
        } else {
            "the session goes on elsewhere"
        }
    }
}

fn is_event(frame: &[u8]) -> bool {
    header_of(frame).is_some_and(|(xid, ..)| xid == EVENT_XID)
}

/// The headers of the answers among framed replies and events.
pub(super) fn answers_in(mut frames: &[u8]) -> impl Iterator<Item = (i32, i64, i32)> {
    std::iter::from_fn(move || {
        let length = frames.first_chunk::<4>()?;
        let end = (4 + i32::from_be_bytes(*length) as usize).min(frames.len());
        let (frame, behind) = frames.split_at(end);
        frames = behind;
        Some(header_of(frame))
    })
    .flatten()
    .filter(|(xid, ..)| *xid != EVENT_XID)
}

/// Xid, zxid and error of a framed reply.
fn header_of(frame: &[u8]) -> Option<(i32, i64, i32)> {
    let mut header = Reader::new(frame.get(HEADER)?);
    Some((header.int().ok()?, header.long().ok()?, header.int().ok()?))
}

fn tell_answer(session: SessionId, asked: &Asked, frame: &[u8]) {
    let Some((xid, zxid, code)) = header_of(frame) else { return };
    let op = OpCode::from_code(asked.op).map_or_else(|| asked.op.to_string(), |op| format!("{op:?}"));
    let result = match (code, ErrorCode::from_code(code)) {
        (0, _) => "Ok".to_owned(),
        (_, Some(error)) => format!("{error:?}"),
        (_, None) => code.to_string(),
    };
    let path = asked.path.as_deref();
    tracing::trace!(%session, xid, op, path, zxid = format_args!("{zxid:#x}"), result, "Answered");
}

#[cfg(test)]
mod tests {
    use zabd_jute::Writer;

    use super::*;

    #[test]
    fn only_what_begins_with_a_path_has_one() {
        let mut body = Vec::new();
        Writer::new(&mut body).ustring("/a\n");
        let path = |op: OpCode, body: &[u8]| Asked::new(op.code(), body).path;
        assert_eq!(path(OpCode::Create, &body).as_deref(), Some("/a\n"));
        assert_eq!(path(OpCode::GetData, &body[..5]), None, "it does not decode");
        assert_eq!(path(OpCode::Multi, &body), None);
        assert_eq!(Asked::new(12345, &body).path, None);
        let mut long = Vec::new();
        Writer::new(&mut long).ustring(&"é".repeat(1000));
        assert_eq!(path(OpCode::Exists, &long).unwrap().chars().count(), PATH_CHARS_MAX);
    }

    #[test]
    fn answers_are_told_from_events() {
        let frame = |xid: i32, zxid: i64| {
            [&24_i32.to_be_bytes()[..], &xid.to_be_bytes(), &zxid.to_be_bytes(), &[0; 12]].concat()
        };
        let frames = [frame(1, 5), frame(-1, 6), frame(2, 7)].concat();
        assert_eq!(answers_in(&frames).collect::<Vec<_>>(), [(1, 5, 0), (2, 7, 0)]);
        assert_eq!(answers_in(&frames[..50]).count(), 1, "half a header is none");
    }

    #[test]
    fn a_reply_has_a_header() {
        let frame = [0, 0, 0, 16, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 1, 2, 255, 255, 255, 155];
        assert_eq!(header_of(&frame), Some((7, 0x102, -101)));
        assert_eq!(header_of(&frame[..19]), None);
    }
}
