//! From a request to a log record.
//!
//! Every request that wants to write takes the next zxid before it is checked; one that is refused
//! keeps it and is logged as an error, so the positions in the log have no gaps (Java ≥ 3.9.4 does not
//! start from a log that has). Two kinds of request take none: those whose body does not decode, and
//! those that come while the log has no room.

use bytes::BufMut as _;
use zabd_jute::client::{
    CreateMode, CreateRequest, CreateTtlRequest, DeleteRequest, MultiOp, MultiRequest, ReconfigRequest,
    SetAclRequest, SetDataRequest,
};
use zabd_jute::quorum::Configuration;
use zabd_jute::txn::{Entry, Txn, TxnDigest, TxnHeader};
use zabd_jute::{DecodeError, ErrorCode, Limits, OpCode, Reader, Record, SessionId, Writer};
use zabd_mutation::{Mutation, is_on};
use zabd_tree::{Caller, Tree, WriteRequest};

use crate::ensemble::Owner;
use crate::input::{ConnId, Fact, Now, Output, Outputs, Request};
use crate::pipeline::{Origin, Queued, Replica};
use crate::reconfig::Mistake;
use crate::reply;
use crate::room::NO_ROOM;

impl Replica {
    /// Checks and proposes a client's write.
    pub(crate) fn propose_request(&mut self, now: Now, tree: &Tree, request: &Request, out: &mut Outputs) {
        let Request { conn, session, xid, op, .. } = *request;
        if self.suspended {
            let error = ErrorCode::NotReadOnly;
            if conn == ConnId::NOBODY {
                // Who asked is at a learner, which hears only of transactions; a quorum of others can commit this one.
                self.propose_failure(now, tree, request, error, out);
            } else if self.is_awaited_by(conn) {
                self.enqueue(Queued::Refused { conn, xid, error }, out);
            } else {
                // What others wait for may not be logged for hours, and would hold up this client's reads.
                reply::failure(&mut out.bytes, xid, tree.last_zxid(), error);
                out.send(conn, true);
            }
            return;
        }
        if conn == ConnId::NOBODY && self.has_no_room_for(tree, request) {
            self.propose_failure(now, tree, request, NO_ROOM, out);
            return;
        }
        let op = OpCode::from_code(op).expect("only known operations are writes");
        let mut reader = Reader::with_limits(&request.body, self.options.read.limits);
        let decoded = match decode(op, &mut reader) {
            Ok(decoded) => decoded,
            // For a multi Java takes the zxid nevertheless.
            Err(_) if op == OpCode::Multi => Decoded::Fail(ErrorCode::MarshallingError),
            Err(DecodeError::Null { .. }) => without_path(op, &request.body, self.options.read.limits),
            Err(_) => Decoded::Refused,
        };
        let multi = decoded.multi_kinds();
        let origin = origin_of(request, multi, self.options.audit);
        let no_ephemerals = self.why_no_ephemerals(session);
        let caller = Caller { session, ids: &request.identities, no_ephemerals };
        match decoded {
            // Another server waits for a transaction, whatever it says.
            Decoded::Refused if conn == ConnId::NOBODY => {
                self.propose_failure(now, tree, request, ErrorCode::MarshallingError, out);
            }
            Decoded::Refused => {
                self.enqueue(Queued::Refused { conn, xid, error: ErrorCode::MarshallingError }, out);
            }
            Decoded::Fail(error) => self.propose_failure(now, tree, request, error, out),
            Decoded::Reconfig(asked) => match self.requested_configuration(now, &asked) {
                Ok(configuration) => {
                    let prepared =
                        Prepared::Reconfiguration(configuration.to_string(), Box::new(configuration));
                    self.append(now, tree, &caller, xid, prepared, origin, out);
                }
                Err(Mistake { error, why }) => {
                    out.list.push(Output::Fact(Fact::ReconfigRefused { session, why }));
                    self.propose_failure(now, tree, request, error, out);
                }
            },
            Decoded::Write(WriteRequest::CloseSession) => self.close(now, tree, session, xid, origin, out),
            Decoded::Write(write) => {
                self.append(now, tree, &caller, xid, Prepared::Check(write), origin, out);
            }
        }
    }

    /// Proposes that a request is refused: it gets a position, as every request that another server waits for.
    pub(crate) fn propose_failure(
        &mut self,
        now: Now,
        tree: &Tree,
        request: &Request,
        error: ErrorCode,
        out: &mut Outputs,
    ) {
        let caller = Caller { session: request.session, ids: &request.identities, no_ephemerals: None };
        let origin = origin_of(request, Box::default(), self.options.audit);
        let txn = Prepared::Ready(Txn::Error { code: error.code() });
        self.append(now, tree, &caller, request.xid, txn, origin, out);
    }

    /// Proposes a new session.
    pub(crate) fn propose_session(
        &mut self,
        now: Now,
        tree: &Tree,
        conn: ConnId,
        timeout_ms: i32,
        has_read_only_byte: bool,
        out: &mut Outputs,
    ) {
        if self.suspended || !self.may_propose() {
            out.list.push(Output::Close { conn });
            return;
        }
        let session = self.sessions.new_id();
        self.sessions.track(now.monotonic_ms, session, timeout_ms, Some(conn));
        self.own(session, Owner::Here);
        let origin = Origin::Connect { conn, timeout_ms, has_read_only_byte };
        self.append_session(now, tree, session, timeout_ms, origin, out);
    }

    /// Proposes a session that is tracked already.
    pub(crate) fn append_session(
        &mut self,
        now: Now,
        tree: &Tree,
        session: SessionId,
        timeout_ms: i32,
        origin: Origin,
        out: &mut Outputs,
    ) {
        let caller = Caller { session, ids: &[], no_ephemerals: None };
        let write = Prepared::Check(WriteRequest::CreateSession { timeout_ms });
        self.append(now, tree, &caller, 0, write, origin, out);
    }

    /// Proposes the end of a session that has been silent too long.
    pub(crate) fn propose_expiry(&mut self, now: Now, tree: &Tree, session: SessionId, out: &mut Outputs) {
        self.close(now, tree, session, 0, Origin::Server, out);
    }

    /// Proposes the end of a session: all its ephemerals go in one transaction. Where one record could
    /// not hold their paths (Java could not read it back), the first of them go in records before it.
    pub(crate) fn close(
        &mut self,
        now: Now,
        tree: &Tree,
        session: SessionId,
        xid: i32,
        origin: Origin,
        out: &mut Outputs,
    ) {
        let caller = Caller { session, ids: &[], no_ephemerals: None };
        for path in self.pending.paths_before_close(tree, session) {
            let part = Prepared::Check(WriteRequest::DeleteOwn { path: path.into() });
            self.append(now, tree, &caller, 0, part, Origin::Server, out);
        }
        self.sessions.close(session);
        self.append(now, tree, &caller, xid, Prepared::Check(WriteRequest::CloseSession), origin, out);
    }

    /// Proposes to remove an outdated container or TTL znode.
    pub(crate) fn propose_reap(&mut self, now: Now, tree: &Tree, path: String, out: &mut Outputs) {
        if self.suspended || !self.may_propose() {
            return;
        }
        let caller = Caller { session: SessionId::NONE, ids: &[], no_ephemerals: None };
        let write = Prepared::Check(WriteRequest::DeleteContainer { path: path.into() });
        self.append(now, tree, &caller, 0, write, Origin::Server, out);
    }

    /// Gives a transaction its position, checks it, and hands it to the log.
    fn append(
        &mut self,
        now: Now,
        tree: &Tree,
        caller: &Caller<'_>,
        cxid: i32,
        prepared: Prepared<'_>,
        origin: Origin,
        out: &mut Outputs,
    ) {
        // In the midst of a step, the last position of the epoch may have been used up: then all connections are closed. A leader that
        // retires comes here for nobody.
        if !self.may_propose() {
            return;
        }
        let zxid = self.positions.appended.next();
        let mut header = TxnHeader {
            session: caller.session,
            cxid,
            zxid,
            time_ms: now.wall_ms,
            kind: OpCode::Error.code(),
        };
        let (text, configuration);
        let txn = match prepared {
            Prepared::Ready(txn) => {
                configuration = None;
                txn
            }
            Prepared::Check(write) => {
                configuration = None;
                let (kind, txn) = self.pending.prepare(tree, caller, &header, write);
                header.kind = kind;
                let excesses = self.pending.take_quota_excesses().into_iter();
                out.list.extend(excesses.map(|excess| Output::Fact(Fact::QuotaExceeded(excess))));
                txn
            }
            Prepared::Reconfiguration(asked, made) => {
                text = asked;
                let write = WriteRequest::Reconfig { text: &text };
                let (kind, txn) = self.pending.prepare(tree, caller, &header, write);
                configuration = (kind == OpCode::Reconfig.code()).then_some(made);
                header.kind = kind;
                txn
            }
        };
        let has_digest = self.options.check.digest && !matches!(txn, Txn::Error { .. });
        let digest = has_digest.then(|| TxnDigest {
            version: TxnDigest::VERSION,
            tree: self.pending.digest(tree).wrapping_add(u64::from(is_on(Mutation::DigestIgnored))),
        });

        let entry = self.encode(&Entry { header, txn, digest });
        self.positions.appended = zxid;
        self.queue.push_back(Queued::Txn { zxid, entry: entry.clone(), origin });
        if self.ensemble.is_some() {
            self.propose_to_quorum(now, tree, zxid, entry, configuration, out);
        } else {
            out.list.push(Output::Append { zxid, entry });
        }
    }

    /// Encodes into shared memory that many records use together.
    fn encode(&mut self, entry: &Entry<'_>) -> bytes::Bytes {
        let mut encoded = std::mem::take(&mut self.encoded);
        encoded.clear();
        entry.encode(&mut Writer::new(&mut encoded));
        // To ask for as much as there was at first would begin another one each time.
        if self.scratch.capacity() < encoded.len() {
            self.scratch.reserve(encoded.len().max(SCRATCH_BYTES));
        }
        self.scratch.put_slice(&encoded);
        self.encoded = encoded;
        self.scratch.split().freeze()
    }
}

/// Who hears of the outcome: the client, or whichever server the request came from.
fn origin_of(request: &Request, multi: Box<[i32]>, is_audited: bool) -> Origin {
    let Request { conn, xid, op, .. } = *request;
    if conn == ConnId::NOBODY {
        return Origin::Server;
    }
    let audited = is_audited.then(|| Box::new(request.clone()));
    Origin::Client { conn, xid, op, multi, audited, known_error: None }
}

/// Whether a request creates an ephemeral, be it as a part of a multi.
pub(crate) fn creates_ephemeral(request: &Request, limits: Limits) -> bool {
    let Some(op @ (OpCode::Create | OpCode::Create2 | OpCode::Multi)) = OpCode::from_code(request.op) else {
        return false;
    };
    let is_ephemeral = |flags| CreateMode::from_flags(flags).is_some_and(CreateMode::is_ephemeral);
    match decode(op, &mut Reader::with_limits(&request.body, limits)) {
        Ok(Decoded::Write(WriteRequest::Create { request, .. })) => is_ephemeral(request.create.flags),
        Ok(Decoded::Write(WriteRequest::Multi(multi))) => multi.ops.iter().any(|op| match op {
            MultiOp::Create { request, .. } => is_ephemeral(request.create.flags),
            _ => false,
        }),
        _ => false,
    }
}

/// What each operation of a multi is, for the reply; nothing for other requests.
pub(crate) fn multi_kinds(request: &Request, limits: Limits) -> Box<[i32]> {
    if request.op != OpCode::Multi.code() {
        return Box::default();
    }
    let decoded = decode(OpCode::Multi, &mut Reader::with_limits(&request.body, limits));
    decoded.map(|decoded| decoded.multi_kinds()).unwrap_or_default()
}

/// How much is allocated at a time for log records: some dozens of small ones, which leave the queue together.
const SCRATCH_BYTES: usize = 8 << 10;

/// A transaction on its way into the log.
enum Prepared<'a> {
    /// Still to be checked.
    Check(WriteRequest<'a>),
    /// Its outcome is known.
    Ready(Txn<'a>),
    /// Other members, as text and as what it says; still to be checked whether the caller may do that.
    Reconfiguration(String, Box<Configuration>),
}

/// A request's body.
pub(crate) enum Decoded<'a> {
    Write(WriteRequest<'a>),
    /// Other members are asked for.
    Reconfig(ReconfigRequest<'a>),
    /// It decodes, and is refused with a position of its own.
    Fail(ErrorCode),
    /// It does not decode, and gets no position.
    Refused,
}

impl Decoded<'_> {
    /// What each operation of a multi was, for the reply: the log does not tell create from create2.
    fn multi_kinds(&self) -> Box<[i32]> {
        let Decoded::Write(WriteRequest::Multi(multi)) = self else { return Box::default() };
        multi.ops.iter().map(|op| multi_kind(op).code()).collect()
    }
}

fn multi_kind(op: &MultiOp<'_>) -> OpCode {
    match op {
        // Inside a multi the flags choose the kind; only the original create answers without a stat.
        MultiOp::Create { request, .. } if request.create.flags > 3 => OpCode::Create2,
        MultiOp::Create { op, .. } => *op,
        MultiOp::Delete(_) => OpCode::Delete,
        MultiOp::SetData(_) => OpCode::SetData,
        MultiOp::Check(_) => OpCode::Check,
    }
}

pub(crate) fn decode<'a>(op: OpCode, r: &mut Reader<'a>) -> Result<Decoded<'a>, DecodeError> {
    let write = match op {
        OpCode::Create | OpCode::Create2 | OpCode::CreateContainer => {
            let create = CreateRequest::decode(r)?;
            WriteRequest::Create { op, request: CreateTtlRequest { create, ttl_ms: -1 } }
        }
        OpCode::CreateTtl => WriteRequest::Create { op, request: CreateTtlRequest::decode(r)? },
        OpCode::Delete => WriteRequest::Delete(DeleteRequest::decode(r)?),
        OpCode::SetData => WriteRequest::SetData(SetDataRequest::decode(r)?),
        OpCode::SetAcl => WriteRequest::SetAcl(SetAclRequest::decode(r)?),
        OpCode::Multi => return decode_multi(r),
        OpCode::CloseSession => WriteRequest::CloseSession,
        OpCode::Reconfig => return Ok(Decoded::Reconfig(ReconfigRequest::decode(r)?)),
        _ => unreachable!("{op:?} is not a write"),
    };
    Ok(Decoded::Write(write))
}

/// Java's decoder makes of each create in a multi what its flags say, and stumbles where it cannot. It takes them one after the
/// other: the first at which it stumbles decides what becomes of the whole.
fn decode_multi<'a>(r: &mut Reader<'a>) -> Result<Decoded<'a>, DecodeError> {
    let mut multi = MultiRequest { ops: Vec::new() };
    let read = multi.read(r);
    for part in &mut multi.ops {
        let MultiOp::Create { op, request } = part else { continue };
        let has_ttl = CreateMode::from_flags(request.create.flags).is_some_and(CreateMode::is_ttl);
        match op {
            OpCode::CreateTtl if has_ttl => (),
            OpCode::CreateTtl => (*op, request.ttl_ms) = (OpCode::Create, -1),
            _ if request.create.acl.is_none() => return Ok(Decoded::Refused),
            _ if has_ttl => return Ok(Decoded::Fail(ErrorCode::MarshallingError)),
            _ => (),
        }
    }
    read?;
    Ok(Decoded::Write(WriteRequest::Multi(multi)))
}

/// What becomes of a request whose path is null: Java decodes it all the same, and stumbles over the path
/// where it needs one. Only a path that has to be valid first is found to be a bad argument, and flags that are no mode before it.
fn without_path(op: OpCode, body: &[u8], limits: Limits) -> Decoded<'static> {
    let mut with_empty_path = body.to_vec();
    with_empty_path[..4].fill(0);
    match decode(op, &mut Reader::with_limits(&with_empty_path, limits)) {
        Err(_) => Decoded::Refused,
        Ok(Decoded::Write(WriteRequest::SetData(_) | WriteRequest::SetAcl(_))) => {
            Decoded::Fail(ErrorCode::BadArguments)
        }
        Ok(Decoded::Write(WriteRequest::Create { request, .. }))
            if CreateMode::from_flags(request.create.flags).is_none() =>
        {
            Decoded::Fail(ErrorCode::BadArguments)
        }
        Ok(_) => Decoded::Fail(ErrorCode::MarshallingError),
    }
}
