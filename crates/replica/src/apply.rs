//! From a log record to the tree, to watch events and to the reply.
//!
//! The shell calls this under the tree's write lock, in bounded bites, and delivers what comes out
//! before it lets the lock go: whoever sees a change has been sent its event.

use std::collections::VecDeque;

use zabd_jute::client::MultiHeader;
use zabd_jute::txn::{Entry, Txn, TxnHeader};
use zabd_jute::{ErrorCode, Limits, OpCode, Reader, Record, SessionId, Stat, Writer, Zxid};
use zabd_mutation::{Mutation, is_on};
use zabd_tree::{Change, Effects, OpResult, Tree, TtlChange};

use crate::audit::{self, AuditEvent};
use crate::ensemble::Serving;
use crate::input::{ConnId, Fact, Output, Outputs, Request};
use crate::pipeline::{Origin, Queued, Replica};
use crate::read::{self, Read, Served};
use crate::reply;
use crate::traffic::{Traffic, TtlNodes};
use crate::watches::Watches;

/// A bite ends with the reply that reaches this many bytes: what comes out of one stays small.
const BITE_BYTES_MAX: usize = 1 << 20;

/// While its own disk lacks more than this, a server shows only what that has, in bytes.
pub(crate) const AHEAD_OF_DISK_BYTES_MAX: usize = 16 << 20;

impl Replica {
    /// Works off the queue from the front: committed transactions in zxid order, and the reads between
    /// them; at most `most` of them. Returns whether there is more to do at once.
    pub fn apply(&mut self, tree: &mut Tree, watches: &mut Watches, most: usize, out: &mut Outputs) -> bool {
        self.show_configuration(tree);
        for done in 0..most {
            if !self.is_turn_of_front() {
                return false;
            }
            if done % Tree::AHEAD_MAX == 0 {
                self.pending.look_ahead(tree);
            }
            if out.bytes.len() >= BITE_BYTES_MAX {
                break;
            }
            match self.queue.pop_front().expect("the front was just looked at") {
                Queued::Txn { zxid, entry, origin } => {
                    self.apply_txn(tree, watches, zxid, &entry, origin, out);
                }
                Queued::Read(request) => self.serve(tree, watches, &request, out),
                Queued::Refused { conn, xid, error } => {
                    reply::failure(&mut out.bytes, xid, tree.last_zxid(), error);
                    out.send(conn, true);
                }
            }
        }
        self.is_turn_of_front()
    }

    fn is_turn_of_front(&self) -> bool {
        self.queue.front().is_some_and(|queued| match queued {
            Queued::Txn { zxid, .. } => {
                *zxid <= self.positions.committed
                    && (*zxid <= self.positions.synced || self.may_be_ahead_of_its_disk(*zxid))
            }
            Queued::Read(_) | Queued::Refused { .. } => true,
        })
    }

    /// Whether a transaction is shown that a quorum has and this server's own disk does not, as in Java: a disk that is slow slows
    /// nobody then, and a leader shows what its followers do. Not what a leader sends before it is established; and whose disk
    /// stands still waits for it in the end, for what it lacks stays in memory.
    fn may_be_ahead_of_its_disk(&self, zxid: Zxid) -> bool {
        self.ensemble.as_ref().is_some_and(|ensemble| {
            ensemble.serving != Serving::Nobody && ensemble.unsynced.bytes() <= AHEAD_OF_DISK_BYTES_MAX
        }) && !self.is_fuzzy(zxid)
    }

    fn serve(&mut self, tree: &Tree, watches: &mut Watches, request: &Request, out: &mut Outputs) {
        let Request { conn, session, xid, op, .. } = *request;
        if op == OpCode::CloseSession.code() {
            self.end_local_session(tree, conn, session, xid, out);
            return;
        }
        let read = Read { conn, session, xid, op, body: &request.body, identities: &request.identities };
        let (options, traffic) = (&self.options.read, &mut self.reads);
        let served = read::serve(tree, Some(watches), &read, options, traffic, &mut out.bytes);
        out.send(conn, true);
        if served == Served::AnsweredForTheLastTime {
            out.list.push(Output::Close { conn });
        }
    }

    fn apply_txn(
        &mut self,
        tree: &mut Tree,
        watches: &mut Watches,
        zxid: Zxid,
        bytes: &[u8],
        origin: Origin,
        out: &mut Outputs,
    ) {
        // What was logged is as long as the operator allows, not as Java's default does.
        let limits = Limits { field_bytes_max: bytes.len() };
        let entry = Entry::decode(&mut Reader::with_limits(bytes, limits)).expect("our own record decodes");
        assert_eq!(entry.header.zxid, zxid, "a record stands at its position");
        if entry.header.kind == OpCode::Reconfig.code() {
            self.note_reconfiguration(zxid);
        }
        if self.is_fuzzy(zxid) {
            self.replay(tree, &entry, out);
            return;
        }
        let results = std::mem::take(&mut self.results);
        let audited_end =
            (self.options.audit && is_part_of_end(&entry, &origin)).then_some(entry.header.session);
        let ended = matches!(entry.txn, Txn::CloseSession { .. }).then_some(&mut self.writes);
        let ttl_nodes = &mut self.ttl_nodes;
        let foreseen = self.pending.foreseen(zxid);
        let mut observer = Observer { zxid, watches, out, results, audited_end, ended, ttl_nodes };
        let mismatch = if self.ensemble.is_none() {
            tree.apply(&entry, foreseen, &mut observer);
            None
        } else {
            tree.follow(&entry, foreseen, &mut observer)
        };
        let mut results = observer.results;
        count_writes(&mut self.writes, &entry.txn);
        self.pending.applied(zxid);
        self.positions.applied = zxid;
        self.answer(&entry, origin, &results, out);
        out.list.extend(mismatch.map(|mismatch| Output::Fact(Fact::DigestMismatch(mismatch))));
        results.clear();
        self.results = results;
    }

    /// A transaction that may be in the tree already; nobody is served yet who could wait for it.
    fn replay(&mut self, tree: &mut Tree, entry: &Entry<'_>, out: &mut Outputs) {
        let replayed = tree.replay(entry);
        let mismatch = replayed.digest_mismatch.map(|mismatch| Output::Fact(Fact::DigestMismatch(mismatch)));
        out.list.extend(mismatch);
        self.pending.applied(entry.header.zxid);
        self.positions.applied = entry.header.zxid;
    }

    fn answer(&mut self, entry: &Entry<'_>, origin: Origin, results: &VecDeque<OpResult>, out: &mut Outputs) {
        let zxid = entry.header.zxid;
        let ends = matches!(entry.txn, Txn::CloseSession { .. });
        match origin {
            Origin::Server => (),
            Origin::Connect { conn, timeout_ms, has_read_only_byte } => {
                let session = entry.header.session;
                if let Some(ensemble) =
                    self.ensemble.as_mut().filter(|each| each.serving == Serving::Learning)
                {
                    ensemble.learning.begin(session, conn, timeout_ms);
                }
                let read_only = has_read_only_byte.then_some(false);
                out.establish(conn, session, timeout_ms, read_only, Some(zxid));
            }
            Origin::Client { conn, .. } if is_refused_as_moved(&entry.txn) => {
                self.leave_to_another(conn, entry.header.session, out);
            }
            Origin::Client { conn, xid, op, multi, audited, known_error } => {
                if let Some(request) = audited {
                    let events = audit::events(&request, &entry.txn, self.options.read.limits);
                    out.list.extend(events.into_iter().map(audited_fact));
                }
                let bytes = &mut out.bytes;
                match (&entry.txn, results.front()) {
                    (Txn::Error { code }, _) => {
                        let code = known_error.map_or(*code, ErrorCode::code);
                        let code = if is_on(Mutation::AnotherReasonTold) { code - 1 } else { code };
                        reply::frame(bytes, header(xid, zxid, code), |_| ());
                    }
                    (Txn::Multi(parts), _) => {
                        let paths = parts.iter().map(|part| path_of(&part.txn));
                        let body = |w: &mut Writer<'_>| multi_body(w, &multi, paths, results);
                        reply::success(bytes, xid, zxid, body);
                    }
                    (txn, Some(result)) => {
                        reply::success(bytes, xid, zxid, |w| {
                            if let (Some(OpCode::Reconfig), Txn::SetData { data, .. }) =
                                (OpCode::from_code(op), txn)
                            {
                                w.buffer(*data);
                            }
                            body(w, op, path_of(txn), result);
                        });
                    }
                    (_, None) => unreachable!("every operation has a result"),
                }
                out.send(conn, true);
            }
        }
        if ends && let Some(conn) = self.end_session(entry.header.session) {
            out.list.push(Output::Close { conn });
        }
        if let (Txn::CreateSession { timeout_ms }, Some(ensemble)) = (&entry.txn, &mut self.ensemble) {
            ensemble.learning.note_created(entry.header.session, *timeout_ms);
        }
    }
}

impl Replica {
    /// The session's client is at another server, or comes from one: what was refused there may have had the number of a
    /// request that is under way here, and will be done. As in Java no answer is right, and the connection ends.
    fn leave_to_another(&mut self, conn: ConnId, session: SessionId, out: &mut Outputs) {
        self.forget_waiting(conn, session);
        for queued in &mut self.queue {
            if let Queued::Txn { origin, .. } = queued
                && matches!(origin, Origin::Client { conn: waiting, .. } if *waiting == conn)
            {
                *origin = Origin::Server;
            }
        }
        self.queue.retain(|queued| match queued {
            Queued::Read(Request { conn: waiting, .. }) | Queued::Refused { conn: waiting, .. } => {
                *waiting != conn
            }
            Queued::Txn { .. } => true,
        });
        out.list.push(Output::Close { conn });
    }

    /// A session is over; yields the connection that carried it here.
    fn end_session(&mut self, session: SessionId) -> Option<ConnId> {
        if let Some(ensemble) = &mut self.ensemble {
            ensemble.owners.remove(&session);
            if ensemble.serving == Serving::Learning {
                return ensemble.learning.end(session);
            }
        }
        self.sessions.remove(session)
    }
}

fn header(xid: i32, zxid: Zxid, err: i32) -> zabd_jute::client::ReplyHeader {
    zabd_jute::client::ReplyHeader { xid, zxid, err }
}

fn is_refused_as_moved(txn: &Txn<'_>) -> bool {
    matches!(txn, Txn::Error { code } if *code == ErrorCode::SessionMoved.code())
}

/// Whether the ephemerals that a transaction deletes go with their session.
fn is_part_of_end(entry: &Entry<'_>, origin: &Origin) -> bool {
    match &entry.txn {
        Txn::CloseSession { .. } => true,
        // What does not fit into the record of the end goes before it, in records that answer nobody.
        Txn::Delete { .. } => {
            let TxnHeader { session, cxid, .. } = entry.header;
            matches!(origin, Origin::Server) && session != SessionId::NONE && cxid == 0
        }
        _ => false,
    }
}

fn audited_fact(event: AuditEvent) -> Output {
    Output::Fact(Fact::Audited(Box::new(event)))
}

/// Passes changes on to the watches and keeps the results for the reply.
struct Observer<'w> {
    zxid: Zxid,
    watches: &'w mut Watches,
    out: &'w mut Outputs,
    results: VecDeque<OpResult>,
    /// The session whose ephemerals go, if the audit log wants to know.
    audited_end: Option<SessionId>,
    /// Counts the ephemerals that go with their session: the record of its end need not name them.
    ended: Option<&'w mut Traffic>,
    ttl_nodes: &'w mut TtlNodes,
}

impl Effects for Observer<'_> {
    fn change(&mut self, change: Change<'_>) {
        if let (Some(session), Change::Deleted { path, .. }) = (self.audited_end, &change) {
            self.out.list.push(audited_fact(AuditEvent::of_session_end(session, path)));
        }
        if let (Some(writes), Change::Deleted { path, .. }) = (&mut self.ended, &change) {
            writes.add_write(path, 0);
        }
        self.watches.offer(self.zxid, &change, self.out);
    }
    fn result(&mut self, result: OpResult) {
        self.results.push_back(result);
    }
    fn ttl_node(&mut self, change: TtlChange) {
        match change {
            TtlChange::Created => self.ttl_nodes.created += 1,
            TtlChange::Deleted => self.ttl_nodes.deleted += 1,
        }
    }
}

fn count_writes(writes: &mut Traffic, txn: &Txn<'_>) {
    match txn {
        Txn::Create(create) => {
            writes.add_write(&create.path, create.data.map_or(0, <[u8]>::len));
        }
        Txn::SetData { path, data, .. } => writes.add_write(path, data.map_or(0, <[u8]>::len)),
        Txn::Delete { path } => writes.add_write(path, 0),
        // Of a multi that failed nothing was written, though its record keeps what was asked before the failure.
        Txn::Multi(parts) if parts.iter().any(|part| matches!(part.txn, Txn::Error { .. })) => (),
        Txn::Multi(parts) => parts.iter().for_each(|part| count_writes(writes, &part.txn)),
        _ => (),
    }
}

fn path_of<'t>(txn: &'t Txn<'_>) -> &'t str {
    match txn {
        Txn::Create(create) => &create.path,
        _ => "",
    }
}

/// What follows the header of a successful reply.
fn body(w: &mut Writer<'_>, op: i32, path: &str, result: &OpResult) {
    match result {
        OpResult::Created { stat } => created(w, op, path, stat),
        OpResult::Set { stat } => stat.encode(w),
        OpResult::Deleted | OpResult::Checked | OpResult::SessionCreated | OpResult::SessionClosed => (),
        OpResult::Error { code } => w.int(*code),
    }
}

/// Only the original create answers without a stat.
fn created(w: &mut Writer<'_>, op: i32, path: &str, stat: &Stat) {
    w.ustring(path);
    if op != OpCode::Create.code() {
        stat.encode(w);
    }
}

/// One header and result per operation. A failed multi has only error results.
fn multi_body<'t>(
    w: &mut Writer<'_>,
    kinds: &[i32],
    paths: impl Iterator<Item = &'t str>,
    results: &VecDeque<OpResult>,
) {
    assert_eq!(kinds.len(), results.len(), "every operation of a multi has a result");
    let results = results.iter().cycle().skip(usize::from(is_on(Mutation::CulpritMisplaced)));
    for ((kind, path), result) in kinds.iter().zip(paths).zip(results) {
        let (kind, err) = match result {
            OpResult::Error { code } => (OpCode::Error.code(), *code),
            OpResult::Created { .. } if *kind != OpCode::Create.code() => (OpCode::Create2.code(), 0),
            _ => (*kind, 0),
        };
        MultiHeader { op: kind, done: false, err }.encode(w);
        body(w, kind, path, result);
    }
    MultiHeader::END.encode(w);
}
