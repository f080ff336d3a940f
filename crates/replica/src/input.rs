//! What goes into a replica and what comes out of it.

use std::collections::BTreeSet;

use bytes::Bytes;
use zabd_jute::{ErrorCode, SessionId, Zxid};
use zabd_tree::QuotaExcess;

use crate::audit::AuditEvent;
use crate::room::Room;
use crate::watches::{EventKind, EventSink, Identities};

/// A hasher's seed. Fixed, an attacker could choose colliding names; random, the same inputs would not
/// give the same outputs: so the shell hands it in.
pub type HashSeed = foldhash::fast::FixedState;

/// A client connection of this server, never reused while the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

impl ConnId {
    /// In the place of a connection: the request is another server's.
    pub const NOBODY: ConnId = ConnId(u64::MAX);
}

/// When an input happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// For timeouts: milliseconds since some moment in the past, never stepping.
    pub monotonic_ms: i64,
    /// For times that clients see: milliseconds since 1970.
    pub wall_ms: i64,
}

/// A connection's first frame, decoded.
#[derive(Clone, Debug)]
pub struct SessionRequest {
    /// The newest transaction that the client has seen anywhere.
    pub last_zxid_seen: Zxid,
    /// What it asks for, before negotiation.
    pub timeout_ms: i32,
    /// The session to resume, or none.
    pub session: SessionId,
    /// The proof that the session is its own.
    pub password: Vec<u8>,
    /// The answer ends with a `readOnly` byte exactly when the request did.
    pub has_read_only_byte: bool,
    /// The client would take a server without a quorum.
    pub takes_read_only: bool,
}

impl SessionRequest {
    /// Of a client that is known to have seen nothing that this server has not.
    pub(crate) fn for_a_new_one(timeout_ms: i32, has_read_only_byte: bool) -> Self {
        Self {
            last_zxid_seen: Zxid::ZERO,
            timeout_ms,
            session: SessionId::NONE,
            password: Vec::new(),
            has_read_only_byte,
            takes_read_only: false,
        }
    }
}

/// One request of an established session, as it came off the wire.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where the reply goes.
    pub conn: ConnId,
    /// On whose behalf.
    pub session: SessionId,
    /// Echoed in the reply.
    pub xid: i32,
    /// The operation's number.
    pub op: i32,
    /// What follows the request header.
    pub body: Bytes,
    /// Who asks.
    pub identities: Identities,
}

/// Everything that can happen to a replica.
#[derive(Debug)]
pub enum Input {
    /// A client asks for a session.
    Connect {
        /// The connection.
        conn: ConnId,
        /// What it asks for.
        request: SessionRequest,
    },
    /// A client asks for something that its connection cannot serve by itself: a write, or a read
    /// with requests of the same connection before it.
    Request(Request),
    /// A client asks for something that waited too long for its turn: it is refused in its turn, untried.
    Refuse {
        /// Where the reply goes.
        conn: ConnId,
        /// On whose behalf.
        session: SessionId,
        /// Echoed in the reply.
        xid: i32,
        /// Why.
        error: ErrorCode,
    },
    /// A session showed a sign of life.
    Touch {
        /// Which one.
        session: SessionId,
    },
    /// Every record up to here survives a crash.
    Synced {
        /// The last of them.
        upto: Zxid,
    },
    /// The log has no room; what was handed over stays there until there is some.
    DiskFull,
    /// It has had none for so long that whoever waits should hear of it.
    DiskStaysFull,
    /// The log has room again.
    DiskHasRoom,
    /// So much more may be kept in memory.
    Room(Room),
    /// Time has passed: sessions may have expired.
    Tick,
    /// An operator wants a session to end.
    EndSession {
        /// Which one.
        session: SessionId,
    },
    /// A container or TTL znode looks outdated.
    Reap {
        /// The znode.
        path: String,
    },
    /// For the agreement among the servers of an ensemble.
    Peer(Box<zabd_zab::peer::Input>),
    /// Everything that could be applied has been; only a member of an ensemble wants to know.
    Applied,
    /// A client's connection is gone; only a member of an ensemble wants to know.
    Gone {
        /// Which one.
        conn: ConnId,
        /// Whose it was.
        session: SessionId,
    },
}

/// What the shell has to do, besides sending what is in [`Outputs`].
#[derive(Debug)]
pub enum Output {
    /// Append a record to the log; answer with [`Input::Synced`].
    Append {
        /// The record's position.
        zxid: Zxid,
        /// Header, body and digest.
        entry: Bytes,
    },
    /// Send bytes, a part of [`Outputs::bytes`], in order with all else of the connection.
    Send {
        /// To whom.
        conn: ConnId,
        /// Whether these bytes answer one of its requests (and are not an event).
        answers: bool,
        /// Where the bytes end; they begin where those before them end.
        end: usize,
    },
    /// Send the bytes of the last [`Output::Send`], an event, to somebody else too.
    Again {
        /// To whom.
        conn: ConnId,
    },
    /// The connection's session is established: its identities may set watches, its requests count.
    Established {
        /// The connection.
        conn: ConnId,
        /// Its session.
        session: SessionId,
        /// What was negotiated.
        timeout_ms: i32,
        /// The transaction with which it began, if it began now and has one.
        zxid: Option<Zxid>,
    },
    /// Close the connection when everything before this has been sent.
    Close {
        /// Which one.
        conn: ConnId,
    },
    /// Close the connections of all clients that have asked for a session, but for those.
    CloseAll {
        /// Whose sessions are still to begin.
        but: BTreeSet<ConnId>,
    },
    /// What the agreement among servers asks for: everything that concerns other servers, the disk apart from
    /// appends, and snapshots. A send's bytes are a part of [`Outputs::packets`].
    Ensemble(zabd_zab::effect::Effect),
    /// Something that an operator may want to read.
    Fact(Fact),
}

/// What happened, in the terms of the domain; the shell chooses the words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A client has seen transactions that this server has not.
    ClientAhead {
        /// Its connection.
        conn: ConnId,
        /// The session that it would resume, or none.
        session: SessionId,
        /// What it has seen.
        seen: Zxid,
        /// What this server has applied.
        applied: Zxid,
    },
    /// A session had no sign of life for its timeout.
    SessionExpired {
        /// Which one.
        session: SessionId,
        /// Its timeout.
        timeout_ms: i32,
    },
    /// A session could not be resumed.
    SessionRefused {
        /// On which connection.
        conn: ConnId,
        /// Which one.
        session: SessionId,
        /// Whether its password was wrong, rather than the session gone.
        wrong_password: bool,
    },
    /// A change was asked for and answered; only if the audit log is on.
    Audited(Box<AuditEvent>),
    /// Ephemerals were found whose session is gone; it is ended once more.
    DeadSession {
        /// Whose.
        session: SessionId,
    },
    /// A change of members was asked for, and is none.
    ReconfigRefused {
        /// Whose client has asked.
        session: SessionId,
        /// What is wrong with it.
        why: String,
    },
    /// A write went beyond a quota's limit, or would have.
    QuotaExceeded(QuotaExcess),
    /// Writes are refused until the disk has room.
    WritesSuspended,
    /// Writes are accepted again.
    WritesResumed,
    /// Agreement has come so far.
    Agreement(zabd_zab::effect::Note),
    /// Clients are served from now on.
    RoleBegun {
        /// In which epoch.
        epoch: zabd_jute::Epoch,
        /// Who leads; of an observer, whom it observes.
        leader: zabd_jute::ServerId,
        /// Which role it is; never looking.
        role: zabd_jute::quorum::PeerState,
        /// For how many milliseconds nobody was served.
        after_ms: i64,
    },
    /// There is no leader: clients that ask for no more may read from now on.
    ReadOnlyBegun,
    /// Nobody is served any more.
    RoleLeft {
        /// Why.
        reason: zabd_zab::effect::Reason,
    },
    /// This server's tree is not what the leader's is.
    DigestMismatch(zabd_tree::DigestMismatch),
}

/// What one or more steps ask of the shell, in order. The shell keeps one and reuses it.
#[derive(Debug, Default)]
pub struct Outputs {
    /// What to do, in order.
    pub list: Vec<Output>,
    /// What to send; see [`Output::Send`].
    pub bytes: Vec<u8>,
    /// What is sent to other servers; see [`Output::Ensemble`].
    pub packets: Vec<u8>,
    /// Committed transactions, or reads behind them, wait for [`crate::Replica::apply`].
    pub apply: bool,
}

impl Outputs {
    /// Empties it, keeping its memory.
    pub fn clear(&mut self) {
        self.list.clear();
        self.bytes.clear();
        self.packets.clear();
        self.apply = false;
    }

    /// Hands everything that was appended to `bytes` since the last send to `conn`.
    pub(crate) fn send(&mut self, conn: ConnId, answers: bool) {
        self.list.push(Output::Send { conn, answers, end: self.bytes.len() });
    }
}

impl EventSink for Outputs {
    /// However many hear of it, it is encoded once: a long path with very many watchers would not fit into memory.
    fn event(&mut self, mut hearers: impl Iterator<Item = ConnId>, zxid: Zxid, kind: EventKind, path: &str) {
        let Some(first) = hearers.next() else { return };
        crate::reply::event(&mut self.bytes, zxid, kind, path);
        self.send(first, false);
        self.list.extend(hearers.map(|conn| Output::Again { conn }));
    }
}
