//! The replica itself: its queue, its positions, and the one function that takes inputs.
//!
//! Everything that must be answered in order stands in one queue: proposed transactions, and reads
//! that came behind an unfinished request of their connection. The queue is worked off from the
//! front: a transaction when it is committed, a read when it is its turn. So a read sees exactly what
//! was sent before it, as in Java's single pipeline.
//!
//! ```text
//!            applied ≤ committed ≤ appended,  synced ≤ appended        (alone: committed = synced)
//! ```
//!
//! What a quorum has is committed, whether or not this server's own disk is done with it.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use zabd_jute::{ErrorCode, SessionId, Zxid};
use zabd_mutation::{Mutation, is_on};
use zabd_tree::{Changes, CheckOptions, OpResult, Pending, Tree};

use crate::ensemble::{Ensemble, MemberOptions, Owner, Serving};
use crate::input::{ConnId, Fact, Input, Now, Output, Outputs, Request, SessionRequest};
use crate::read::{self, ReadOptions};
use crate::reconfig::ReconfigOptions;
use crate::room::{self, NO_ROOM, Room};
use crate::session::{SessionBucket, SessionTimeouts, Sessions};
use crate::traffic::{Traffic, TtlNodes};

/// What the operator configured about requests.
#[derive(Clone, Debug)]
pub struct ReplicaOptions {
    /// How long sessions may be silent.
    pub timeouts: SessionTimeouts,
    /// Where session ids are counted from.
    pub first_session: SessionId,
    /// How writes are checked.
    pub check: CheckOptions,
    /// How reads are served.
    pub read: ReadOptions,
    /// Whether changes are told to the audit log.
    pub audit: bool,
    /// How the members of the ensemble may be changed.
    pub reconfig: ReconfigOptions,
    /// Whom a member of an ensemble serves, and how.
    pub member: MemberOptions,
}

/// Where this server stands in the log. See the module's drawing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Positions {
    /// The newest transaction handed to the log.
    pub appended: Zxid,
    /// The newest that survives a crash.
    pub synced: Zxid,
    /// The newest that may be applied.
    pub committed: Zxid,
    /// The newest that the tree shows.
    pub applied: Zxid,
}

impl Positions {
    fn assert_ordered(&self, is_alone: bool) {
        assert!(self.synced <= self.appended, "sync overtook append");
        // A quorum may hold what this server has not written yet.
        assert!(
            !is_alone || self.committed <= self.synced,
            "a lone server committed what may be lost in a crash"
        );
        assert!(self.applied <= self.committed, "applied a transaction that is not committed");
    }
}

/// Who waits for a transaction.
#[derive(Debug)]
pub(crate) enum Origin {
    /// A request.
    Client {
        /// Where the reply goes.
        conn: ConnId,
        /// Echoed.
        xid: i32,
        /// What was asked for.
        op: i32,
        /// What each operation of a multi was.
        multi: Box<[i32]>,
        /// The request itself, if it is told to the audit log.
        audited: Option<Box<Request>>,
        /// What it is told if it fails, whatever the transaction says.
        known_error: Option<ErrorCode>,
    },
    /// A connect request: the new session's first reply.
    Connect { conn: ConnId, timeout_ms: i32, has_read_only_byte: bool },
    /// Nobody: an expiry, the reaper, or a part of a larger change.
    Server,
}

impl Origin {
    /// Where the answer goes.
    fn conn(&self) -> Option<ConnId> {
        match self {
            Origin::Client { conn, .. } | Origin::Connect { conn, .. } => Some(*conn),
            Origin::Server => None,
        }
    }
}

/// What stands in the queue.
#[derive(Debug)]
pub(crate) enum Queued {
    /// A proposed transaction.
    Txn { zxid: Zxid, entry: Bytes, origin: Origin },
    /// A read whose turn has not come.
    Read(Request),
    /// A request that needs no transaction to be refused, and its turn has not come.
    Refused { conn: ConnId, xid: i32, error: ErrorCode },
}

/// One server's state beside the tree. See the crate's description.
#[derive(Debug)]
pub struct Replica {
    pub(crate) options: ReplicaOptions,
    pub(crate) pending: Pending,
    pub(crate) sessions: Sessions,
    /// Sessions that no other server knows.
    pub(crate) local: Sessions,
    pub(crate) queue: VecDeque<Queued>,
    pub(crate) positions: Positions,
    /// Set if this server is not alone.
    pub(crate) ensemble: Option<Box<Ensemble>>,
    /// The log has no room: nothing new is proposed.
    pub(crate) suspended: bool,
    /// What is taken while memory is nearly used up.
    pub(crate) room: Room,
    /// What was written, by namespace.
    pub(crate) writes: Traffic,
    /// What was read through the pipeline, by namespace.
    pub(crate) reads: Traffic,
    /// Znodes with a time to live that came and went.
    pub(crate) ttl_nodes: TtlNodes,
    pub(crate) touches_told: u64,
    /// Scratch: one encoded record.
    pub(crate) encoded: Vec<u8>,
    /// Scratch: memory that log records share.
    pub(crate) scratch: bytes::BytesMut,
    /// Scratch: the results of one transaction's operations.
    pub(crate) results: VecDeque<OpResult>,
}

impl Replica {
    /// A replica over a recovered tree: every session gets its full timeout.
    pub fn new(now: Now, tree: &Tree, options: ReplicaOptions) -> Self {
        let mut sessions = Sessions::new(options.timeouts, options.first_session);
        for (id, timeout_ms) in tree.sessions() {
            sessions.track(now.monotonic_ms, id, timeout_ms, None);
        }
        let last = tree.last_zxid();
        Self {
            pending: Pending::new(options.check),
            sessions,
            local: Sessions::new(options.timeouts, SessionId::NONE),
            queue: VecDeque::new(),
            positions: Positions { appended: last, synced: last, committed: last, applied: last },
            ensemble: None,
            suspended: false,
            room: Room::Enough,
            writes: Traffic::default(),
            reads: Traffic::default(),
            ttl_nodes: TtlNodes::default(),
            touches_told: 0,
            encoded: Vec::new(),
            scratch: bytes::BytesMut::new(),
            results: VecDeque::new(),
            options,
        }
    }

    /// Where this server stands.
    pub fn positions(&self) -> Positions {
        self.positions
    }

    /// How reads are served, for connections that serve their own.
    pub fn read_options(&self) -> ReadOptions {
        self.options.read
    }

    /// Sessions by the moment they end, for operators.
    pub fn session_buckets(&self) -> Vec<SessionBucket> {
        self.sessions.buckets()
    }

    /// The same of those that only this server knows.
    pub fn local_session_buckets(&self) -> Vec<SessionBucket> {
        self.local.buckets()
    }

    /// How many sessions are alive or closing.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// What was written, by namespace.
    pub fn writes(&self) -> &Traffic {
        &self.writes
    }

    /// What was read behind other requests, by namespace; what connections serve, they count.
    pub fn reads(&self) -> &Traffic {
        &self.reads
    }

    /// Znodes with a time to live that came and went.
    pub fn ttl_nodes(&self) -> TtlNodes {
        self.ttl_nodes
    }

    /// Changes that were planned, and those of them that are applied.
    pub fn changes(&self) -> Changes {
        self.pending.changes()
    }

    /// How many writes a hard quota refused, by namespace.
    pub fn quota_refusals(&self) -> impl Iterator<Item = (&str, u64)> {
        self.pending.quota_refusals()
    }

    /// Counts from zero; for operators.
    pub fn reset_figures(&mut self) {
        self.writes.reset();
        self.reads.reset();
        self.ttl_nodes = TtlNodes::default();
        self.pending.reset_figures();
        self.reset_quorum_figures();
    }

    /// The same of what a leader proposed only, which no metrics provider keeps.
    pub fn reset_proposal_sizes(&mut self) {
        self.forget_proposal_sizes();
    }

    /// Whether writes are refused because the log has no room.
    pub fn is_suspended(&self) -> bool {
        self.suspended
    }

    /// When [`Input::Tick`] is due, if nothing else happens.
    pub fn next_tick_ms(&self) -> Option<i64> {
        // While nothing can be logged, no session ends.
        let global = self.sessions.next_end_ms().filter(|_| self.ends_sessions());
        [global, self.local.next_end_ms()].into_iter().flatten().min()
    }

    /// Advances by one input, appending to `out` what the shell must do, in order.
    pub fn step(&mut self, now: Now, tree: &Tree, input: Input, out: &mut Outputs) {
        match input {
            Input::Request(_) | Input::Refuse { .. } if self.is_retiring() => (),
            Input::Request(request) if self.has_no_room_for(tree, &request) => {
                self.on_refuse(now, request.conn, request.session, request.xid, NO_ROOM, out);
            }
            Input::Request(request) => self.on_request(now, tree, request, out),
            Input::Refuse { conn, session, xid, error } => {
                self.on_refuse(now, conn, session, xid, error, out);
            }
            Input::Room(room) => self.room = room,
            Input::Connect { conn, request } => self.on_connect(now, tree, conn, &request, out),
            Input::Touch { session } => self.on_touch(now, session),
            Input::Synced { upto } => self.on_synced(now, tree, upto, out),
            Input::DiskFull => self.on_disk_full(now, tree, out),
            Input::DiskStaysFull => self.on_disk_stays_full(out),
            Input::DiskHasRoom => self.on_disk_has_room(out),
            Input::Tick => self.on_tick(now, tree, out),
            Input::EndSession { session } => self.on_end_session(now, tree, session, out),
            Input::Reap { path } => self.propose_reap(now, tree, path, out),
            Input::Peer(_) | Input::Applied | Input::Gone { .. } => self.feed_peer(now, tree, input, out),
        }
        self.positions.assert_ordered(self.ensemble.is_none());
    }

    /// A request is refused in its turn, untried.
    fn on_refuse(
        &mut self,
        now: Now,
        conn: ConnId,
        session: SessionId,
        xid: i32,
        error: ErrorCode,
        out: &mut Outputs,
    ) {
        let refused = Queued::Refused { conn, xid, error };
        if self.is_learning() {
            self.on_refuse_as_learner(now, conn, session, refused, out);
        } else if self.local.touch(now.monotonic_ms, session)
            || self.sessions.touch(now.monotonic_ms, session)
        {
            self.enqueue(refused, out);
        }
    }

    /// Whether a write has to be refused because the tree may not become larger.
    pub(crate) fn has_no_room_for(&self, tree: &Tree, request: &Request) -> bool {
        self.room != Room::Enough
            && read::is_write(request.op)
            && room::grows(tree, &self.pending, request, self.options.read.limits)
    }

    /// What is taken while memory is nearly used up.
    pub fn room(&self) -> Room {
        self.room
    }

    fn on_touch(&mut self, now: Now, session: SessionId) {
        match &mut self.ensemble {
            _ if self.local.touch(now.monotonic_ms, session) => (),
            Some(ensemble) if ensemble.serving == Serving::Learning => _ = ensemble.learning.touch(session),
            _ => _ = self.sessions.touch(now.monotonic_ms, session),
        }
    }

    fn on_request(&mut self, now: Now, tree: &Tree, request: Request, out: &mut Outputs) {
        if let Some(error) = self.refusal_before_all(tree, &request) {
            self.on_refuse(now, request.conn, request.session, request.xid, error, out);
            return;
        }
        if self.is_learning() {
            self.on_request_as_learner(now, request, out);
            let Some(ensemble) = &self.ensemble else { return };
            if ensemble.has_effects() {
                self.carry_out(now, tree, out);
            }
            return;
        }
        if self.local.is_known(request.session) {
            self.on_local_request(now, tree, request, out);
            return;
        }
        // As in Java, what comes for a session that is closing or gone is dropped: its connection is
        // about to be closed.
        if !self.sessions.touch(now.monotonic_ms, request.session) {
            return;
        }
        if read::is_write(request.op) {
            match self.check_owner(request.session, Owner::Here) {
                Ok(()) => self.propose_request(now, tree, &request, out),
                Err(error) => self.propose_failure(now, tree, &request, error, out),
            }
        } else {
            self.enqueue(Queued::Read(request), out);
        }
    }

    /// How often this server, as a learner, has told its leader whose clients were heard since it told it last.
    pub fn touches_told(&self) -> u64 {
        self.touches_told
    }

    /// How much stands in the queue, whoever waits for it.
    pub fn queue_length(&self) -> usize {
        self.queue.len()
    }

    /// Queues what needs no commit; if nothing stands before it, its turn has come.
    pub(crate) fn enqueue(&mut self, queued: Queued, out: &mut Outputs) {
        self.queue.push_back(queued);
        out.apply |= self.queue.len() == 1;
    }

    /// Whether a request of this connection stands in the queue, whose answer must come first.
    pub(crate) fn is_awaited_by(&self, conn: ConnId) -> bool {
        self.queue.iter().any(|queued| match queued {
            Queued::Txn { origin, .. } => origin.conn() == Some(conn),
            Queued::Read(Request { conn: waiting, .. }) | Queued::Refused { conn: waiting, .. } => {
                *waiting == conn
            }
        })
    }

    pub(crate) fn on_connect(
        &mut self,
        now: Now,
        tree: &Tree,
        conn: ConnId,
        request: &SessionRequest,
        out: &mut Outputs,
    ) {
        if !self.serves(tree, request) {
            if !self.hold(now, conn, request) {
                out.list.push(Output::Close { conn });
            }
            return;
        }
        if request.last_zxid_seen > self.positions.applied && !is_on(Mutation::ClientAheadAccepted) {
            let (seen, applied) = (request.last_zxid_seen, self.positions.applied);
            let session = request.session;
            out.list.push(Output::Fact(Fact::ClientAhead { conn, session, seen, applied }));
            out.list.push(Output::Close { conn });
            return;
        }
        if self.room == Room::NothingNew && request.session == SessionId::NONE {
            out.list.push(Output::Close { conn });
            return;
        }
        let timeout_ms = self.options.timeouts.negotiate(request.timeout_ms);
        if self.is_for_local_sessions(request.session) {
            self.connect_locally(now, conn, request, timeout_ms, out);
        } else if request.session == SessionId::NONE {
            if self.is_learning() {
                self.forward_new_session(conn, request, timeout_ms);
                self.carry_out(now, tree, out);
                return;
            }
            self.propose_session(now, tree, conn, timeout_ms, request.has_read_only_byte, out);
        } else if self.is_learning() && request.password == zabd_jute::client::password(request.session) {
            self.forward_revalidation(conn, request, timeout_ms, out);
            self.carry_out(now, tree, out);
        } else {
            self.resume(now, conn, request, timeout_ms, out);
        }
    }

    /// Resumes a session, or tells the client that it is gone. A wrong password changes nothing for
    /// the session's owner.
    fn resume(
        &mut self,
        now: Now,
        conn: ConnId,
        request: &SessionRequest,
        timeout_ms: i32,
        out: &mut Outputs,
    ) {
        let session = request.session;
        let wrong_password = request.password != zabd_jute::client::password(session);
        if wrong_password || !self.sessions.is_alive(session) {
            out.refuse_session(conn, session, wrong_password, request.has_read_only_byte.then_some(false));
            return;
        }
        self.own(session, Owner::Here);
        let before = self.sessions.resume(now.monotonic_ms, session, timeout_ms, conn);
        if let Some(old) = before.filter(|old| *old != conn) {
            out.list.push(Output::Close { conn: old });
        }
        let read_only = request.has_read_only_byte.then_some(false);
        out.establish(conn, session, timeout_ms, read_only, None);
    }

    fn on_synced(&mut self, now: Now, tree: &Tree, upto: Zxid, out: &mut Outputs) {
        assert!(self.positions.synced <= upto, "durability was taken back");
        assert!(upto <= self.positions.appended, "synced a transaction that was never appended");
        self.positions.synced = upto;
        out.apply = true;
        if self.ensemble.is_some() {
            self.on_synced_in_ensemble(now, tree, upto, out);
        } else {
            self.positions.committed = upto;
        }
    }

    fn on_disk_full(&mut self, now: Now, tree: &Tree, out: &mut Outputs) {
        if !self.suspended {
            self.suspended = true;
            out.list.push(Output::Fact(Fact::WritesSuspended));
            self.give_up_the_lead(now, tree, out);
        }
    }

    /// What was handed to the log stays there: it may be in the file already for whoever reads it after a crash, so nobody
    /// can say that it failed. A connection that closes says just that, and its client goes on reading on another one.
    /// In an ensemble it is the leader's end that says so.
    fn on_disk_stays_full(&mut self, out: &mut Outputs) {
        if !self.suspended || self.ensemble.is_some() {
            return;
        }
        let waiting: BTreeSet<ConnId> = self
            .queue
            .iter()
            .filter_map(|queued| match queued {
                Queued::Txn { zxid, .. } if *zxid <= self.positions.synced => None,
                Queued::Txn { origin, .. } => origin.conn(),
                Queued::Read(_) | Queued::Refused { .. } => None,
            })
            .collect();
        out.list.extend(waiting.into_iter().map(|conn| Output::Close { conn }));
    }

    fn on_disk_has_room(&mut self, out: &mut Outputs) {
        if self.suspended {
            self.suspended = false;
            out.list.push(Output::Fact(Fact::WritesResumed));
        }
    }

    /// Whether sessions that all servers know end here, when they are silent or an operator wants it.
    pub fn ends_sessions(&self) -> bool {
        !self.suspended && self.may_propose()
    }

    fn on_end_session(&mut self, now: Now, tree: &Tree, session: SessionId, out: &mut Outputs) {
        if self.end_local_session_unasked(session, out) || !self.ends_sessions() {
            return;
        }
        // One that is closing has an end on its way already.
        if self.sessions.touch(now.monotonic_ms, session) {
            self.propose_expiry(now, tree, session, out);
        }
    }

    fn on_tick(&mut self, now: Now, tree: &Tree, out: &mut Outputs) {
        self.expire_local_sessions(now, out);
        if !self.ends_sessions() {
            // An end that cannot be logged is no end; the sessions expire when there is room, or by the next leader.
            return;
        }
        for (session, timeout_ms) in self.sessions.overdue(now.monotonic_ms) {
            if is_on(Mutation::ExpiryChecksOwner) && self.check_owner(session, Owner::Here).is_err() {
                self.sessions.close(session);
                continue;
            }
            out.list.push(Output::Fact(Fact::SessionExpired { session, timeout_ms }));
            self.propose_expiry(now, tree, session, out);
        }
    }
}
