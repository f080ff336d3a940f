//! The one place where the replica is fed, and where its outputs are carried out.
//!
//! Whoever has an input (a connection, the log writer, the ticker) leaves it in the inbox and, if nobody
//! has the driver's lock, takes it, lets the replica step, and carries out the outputs before letting go:
//! so outputs happen in the order in which they were decided, and no thread of its own stands between a
//! request and its log record. Whoever finds the lock taken goes on with other work at once: the one who
//! has it looks into the inbox again. Nothing done under the lock waits: appending is a push to the log
//! writer's queue, sending a push to a connection's mailbox.
//!
//! Two more locks guard what reads share. The order is always driver, tree, watches:
//!
//! - the tree, read-write: connections read under the shared side, only [`Driver::apply`] writes;
//! - the watches: touched only by who holds the tree's lock, so that a read and its watch, and a change
//!   and its events, are each one step. Events and replies are in the mailboxes before the tree's lock
//!   is let go, and a connection empties its mailbox after it has taken that lock: it can never send
//!   what a change shows before the change's event.

mod restoring;

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, fence};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
use zabd_jute::{SessionId, Zxid};
use zabd_replica::watches::Watches;
use zabd_replica::{
    ConnId, Fact, Input, Now, Output, Outputs, Replica, Request, Room, SessionRequest, ahead,
};
use zabd_tree::{SnapshotHead, Tree};
use zabd_zab::effect::{Durable, Effect, LinkId};
use zabd_zab::{leader, peer};

use self::restoring::hold_back;
use crate::alarm::OfMachines;
use crate::cut::Cut;
use crate::log_writer::{LogQueue, Operation};
use crate::memory::Watchman;
use crate::net::java_address::shown;
use crate::net::{BegunSession, Client, Clients, Registry, Responses, Sent, ServerCounters};
use crate::probes::{Part, Vitals};
use crate::quorum::{QueueFigures, Quorum};
use crate::quota_log::QuotaLog;
use crate::roles::RolesLog;
use crate::slow::SlowOperations;
use crate::snapshotter::Image;

/// How many queued items are worked off per hold of the tree's write lock: some tenths of a
/// millisecond, which a read can wait.
const APPLIED_PER_HOLD_MAX: usize = 256;

/// After this many rounds a thread leaves what is left to the log writer, so that nobody works for others
/// for ever while its own clients wait.
const ROUNDS_MAX: usize = 4;

/// After so many the log writer looks at the log first.
const LOG_WRITER_ROUNDS_MAX: usize = 256;

/// What is kept of the memory that replies are written to, in bytes; a long one is not kept for ever.
const KEPT_OUTPUT_BYTES_MAX: usize = 1 << 20;

/// After so many bytes in mailboxes the backlog of all clients is looked at. One change may have very many watchers.
const POSTED_BYTES_MAX: isize = 4 << 20;

/// Time, as the replica wants it.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
    /// What the machine's own clock showed then.
    start_of_machine_ms: i64,
}

impl Clock {
    /// Counts from now.
    pub fn new() -> Self {
        let start = Instant::now();
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        // Both count whole milliseconds from the same moments.
        let into_ms = Duration::from_nanos((now.tv_nsec % 1_000_000) as u64);
        Self {
            start: start.checked_sub(into_ms).unwrap_or(start),
            start_of_machine_ms: now.tv_sec * 1000 + now.tv_nsec / 1_000_000,
        }
    }

    /// Milliseconds since the clock began; never steps.
    pub fn monotonic_ms(&self) -> i64 {
        self.start.elapsed().as_millis() as i64
    }

    /// The same moment in milliseconds since the machine was started: what Java shows where it shows one of its own clock.
    pub fn of_machine_ms(&self, monotonic_ms: i64) -> i64 {
        self.start_of_machine_ms + monotonic_ms
    }

    /// Both clocks.
    pub fn now(&self) -> Now {
        Now { monotonic_ms: self.monotonic_ms(), wall_ms: wall_ms() }
    }
}

/// Milliseconds since 1970.
pub fn wall_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// The replica and what its steps leave to do.
#[derive(Debug)]
struct Core {
    replica: Replica,
    outputs: Outputs,
    /// Scratch: what was taken from the inbox.
    inputs: Vec<Input>,
    /// Scratch: connections that got mail in this round.
    mailed: Vec<Arc<Client>>,
    /// While another tree takes the place of this one: what clients asked for meanwhile, in order.
    held: Option<Vec<Input>>,
    /// Connections of a tree that was replaced: they are about to end, and what still comes over them is about that tree.
    left_behind: HashSet<ConnId>,
}

/// See the module's description.
#[derive(Debug)]
pub struct Driver {
    /// Inputs in the order in which they came. They do not stay: whoever adds one, and whoever had the core
    /// when somebody else did, looks here when the core is free.
    inbox: Mutex<Vec<Input>>,
    /// The core was let go with work left that the inbox does not show.
    is_left: AtomicBool,
    core: Mutex<Core>,
    tree: RwLock<Tree>,
    watches: Mutex<Watches>,
    /// Whether anybody takes away what connections that are gone have left in the watches; changed while these are locked.
    pub is_taking_watches: AtomicBool,
    /// Where replies and events go.
    pub registry: Registry,
    /// Where log records go.
    pub log: LogQueue,
    /// What time it is.
    pub clock: Clock,
    counters: Arc<ServerCounters>,
    quota_log: QuotaLog,
    roles_log: RolesLog,
    /// Why changes of members were refused.
    refused_reconfigs: Mutex<OfMachines<()>>,
    /// The way to other servers, if there are any.
    quorum: OnceLock<Arc<Quorum>>,
    /// Where probes look.
    vitals: Arc<Vitals>,
    /// How much stood in the replica's queue after the last round.
    queued: AtomicUsize,
    /// See [`Replica::touches_told`].
    touches_told: AtomicU64,
    /// How often the tree was replaced by another one.
    trees_replaced: AtomicU64,
    /// Who looks after memory, if there is a limit.
    memory: Option<Watchman>,
    /// What took long, and when which transaction got how far.
    pub slow: SlowOperations,
}

/// A snapshot that has begun.
#[derive(Debug)]
pub struct Begun {
    /// Of what.
    pub head: SnapshotHead,
    /// Of which tree.
    pub trees_replaced: u64,
}

impl Driver {
    /// A driver around a recovered tree and its replica.
    pub fn new(
        replica: Replica,
        tree: Tree,
        watches: Watches,
        clock: Clock,
        counters: Arc<ServerCounters>,
        registry: Registry,
        vitals: &Arc<Vitals>,
        memory: Option<Watchman>,
        slow_ms: Option<u64>,
    ) -> Arc<Self> {
        vitals.note_part(Part::of(&replica));
        let slow = SlowOperations::new(slow_ms, replica.positions());
        Arc::new(Self {
            inbox: Mutex::default(),
            is_left: AtomicBool::new(false),
            core: Mutex::new(Core {
                replica,
                outputs: Outputs::default(),
                inputs: Vec::new(),
                mailed: Vec::new(),
                held: None,
                left_behind: HashSet::new(),
            }),
            tree: RwLock::new(tree),
            watches: Mutex::new(watches),
            is_taking_watches: AtomicBool::new(false),
            registry,
            log: LogQueue::default(),
            clock,
            counters,
            quota_log: QuotaLog::default(),
            roles_log: RolesLog::default(),
            refused_reconfigs: Mutex::default(),
            quorum: OnceLock::new(),
            vitals: vitals.clone(),
            queued: AtomicUsize::new(0),
            touches_told: AtomicU64::new(0),
            trees_replaced: AtomicU64::new(0),
            memory,
            slow,
        })
    }

    /// Who looks after memory, if there is a limit.
    pub fn memory(&self) -> Option<&Watchman> {
        self.memory.as_ref()
    }

    /// What is taken while memory is nearly used up.
    pub fn room(&self) -> Room {
        self.memory.as_ref().map_or(Room::Enough, Watchman::room)
    }

    /// So much has come from clients or other servers: much of it may stay in memory. The caller has no lock.
    pub fn note_bytes(&self, bytes: u64) {
        if let Some(memory) = self.memory().filter(|memory| memory.note(bytes)) {
            memory.look_after(self);
        }
    }

    /// This server has peers from now on; nothing was fed before.
    pub fn join(&self, quorum: Arc<Quorum>) {
        assert!(self.quorum.set(quorum).is_ok(), "a server joins one ensemble");
    }

    /// Whether this server is a member of an ensemble.
    pub fn is_member(&self) -> bool {
        self.quorum.get().is_some()
    }

    /// Whether any client is served: always, by a lone server.
    pub fn serves_clients(&self) -> bool {
        !self.is_member() || self.inspect(Replica::serves_clients)
    }

    /// Whether this server has a role: always, if it is alone.
    pub fn is_serving(&self) -> bool {
        !self.is_member() || self.inspect(Replica::is_serving)
    }

    /// How many requests are in the pipeline, those included whose connections are gone.
    pub fn in_flight(&self) -> i64 {
        let queued = i64::try_from(self.queued.load(Relaxed)).unwrap_or(i64::MAX);
        self.counters.in_flight.load(Relaxed).max(queued)
    }

    /// How often this server, as a learner, has told its leader who was heard.
    pub fn touches_told(&self) -> u64 {
        self.touches_told.load(Relaxed)
    }

    /// Whether everything up to here is on this server's own disk.
    pub fn is_durable(&self, zxid: Zxid) -> bool {
        self.inspect(|replica| zxid <= replica.positions().synced)
    }

    /// How much of what this server has proposed to others is not committed.
    pub fn uncommitted_bytes(&self) -> usize {
        self.quorum.get().map_or(0, |quorum| quorum.uncommitted_bytes())
    }

    /// What waited on each connection to another server.
    pub fn queue_figures(&self) -> Vec<(LinkId, QueueFigures)> {
        self.quorum.get().map_or_else(Vec::new, |quorum| quorum.queue_figures())
    }

    /// Begins a snapshot of the tree as it is now.
    pub fn begin_snapshot(&self) -> Begun {
        let mut tree = self.tree_exclusively();
        Begun { head: tree.begin_snapshot(), trees_replaced: self.trees_replaced() }
    }

    /// Begins a snapshot for learners, and tells the replica of its position before anything is applied behind it.
    pub fn begin_snapshot_for(&self, images: Vec<(LinkId, Image)>) -> Begun {
        let mut core = self.core.lock();
        let begun = self.begin_snapshot();
        let quorum = self.quorum.get().expect("only a member has learners");
        let zxid = begun.head.zxid;
        let inputs = images.into_iter().map(|(link, image)| {
            quorum.begin_image(link, image);
            let input = peer::Input::Leader(leader::Input::SnapshotBegun { link, zxid });
            Input::Peer(Box::new(input))
        });
        self.step(&mut core, &mut inputs.collect());
        self.is_left.store(true, SeqCst);
        drop(core);
        self.work_off(ROUNDS_MAX);
        begun
    }

    /// The files have another past: this is what they show. Nobody is served meanwhile.
    pub fn replace_tree(&self, tree: Tree) {
        let mut shown = self.tree.write();
        *shown = tree;
        self.trees_replaced.fetch_add(1, Relaxed);
    }

    /// How often the tree was replaced; looked at while the tree is held.
    pub fn trees_replaced(&self) -> u64 {
        self.trees_replaced.load(Relaxed)
    }

    /// Feeds the agreement among servers.
    pub fn feed_peer(&self, input: peer::Input) {
        self.feed([Input::Peer(Box::new(input))]);
    }

    /// The tree, for reading.
    pub fn tree(&self) -> RwLockReadGuard<'_, Tree> {
        self.tree.read()
    }

    /// The same, unless somebody changes it now.
    pub fn tree_if_free(&self) -> Option<RwLockReadGuard<'_, Tree>> {
        self.tree.try_read()
    }

    /// The tree, for the snapshotter's short exclusive holds.
    pub fn tree_exclusively(&self) -> RwLockWriteGuard<'_, Tree> {
        self.tree.write()
    }

    /// The watches; the caller holds the tree's lock if it looks at znodes too.
    pub fn watches(&self) -> MutexGuard<'_, Watches> {
        self.watches.lock()
    }

    /// Looks at the replica, for operators.
    pub fn inspect<T>(&self, look: impl FnOnce(&Replica) -> T) -> T {
        let answer = look(&self.core.lock().replica);
        self.work_off(ROUNDS_MAX);
        answer
    }

    /// Counts from zero, for operators.
    pub fn reset_figures(&self) {
        self.core.lock().replica.reset_figures();
        self.quorum.get().into_iter().for_each(|quorum| quorum.reset_queue_figures());
        self.work_off(ROUNDS_MAX);
        self.watches.lock().reset_fired();
    }

    /// Counts from zero what no metrics provider keeps.
    pub fn reset_proposal_sizes(&self) {
        self.core.lock().replica.reset_proposal_sizes();
        self.work_off(ROUNDS_MAX);
    }

    /// Feeds a connection's wish for a session.
    pub fn connect(&self, conn: ConnId, request: SessionRequest) {
        self.feed([Input::Connect { conn, request }]);
    }

    /// A session showed a sign of life.
    pub fn touch(&self, session: SessionId) {
        self.feed([Input::Touch { session }]);
    }

    /// Everything up to here survives a crash.
    pub fn synced(&self, upto: Zxid) {
        self.inbox.lock().push(Input::Synced { upto });
        self.work_off_all();
    }

    /// Feeds inputs in order; what follows from them is carried out here, or by whoever has the core.
    pub fn feed(&self, inputs: impl IntoIterator<Item = Input>) {
        self.inbox.lock().extend(inputs);
        self.work_off(ROUNDS_MAX);
    }

    /// Does what was left, for the log writer. While it works for others nothing new becomes durable, so there is an
    /// end to most of it; what needs no log, such as sessions that are resumed, may come for ever, and then it
    /// looks at the log in between.
    pub fn work_off_all(&self) {
        self.work_off(LOG_WRITER_ROUNDS_MAX);
    }

    /// Does what there is to do, unless somebody is at it.
    fn work_off(&self, rounds_max: usize) {
        loop {
            // Whoever adds an input looks at the core afterwards, and whoever lets go of the core looks at the
            // inbox afterwards. The fences let at least one of them see what the other one did.
            fence(SeqCst);
            if self.inbox.lock().is_empty() && !self.is_left.load(SeqCst) {
                return;
            }
            let Some(mut core) = self.core.try_lock() else { return };
            self.is_left.store(false, SeqCst);
            for round in 0.. {
                let is_quiet = self.inbox.lock().is_empty() && !core.outputs.apply;
                if is_quiet {
                    break;
                }
                if round == rounds_max {
                    self.is_left.store(true, SeqCst);
                    drop(core);
                    self.log.nudge();
                    return;
                }
                self.round(&mut core);
            }
        }
    }

    /// Lets the replica step over what is in the inbox, then apply one bite of what is committed.
    fn round(&self, core: &mut Core) {
        let mut inputs = std::mem::take(&mut core.inputs);
        std::mem::swap(&mut *self.inbox.lock(), &mut inputs);
        hold_back(core, &mut inputs);
        if !inputs.is_empty() {
            self.step(core, &mut inputs);
        }
        core.inputs = inputs;
        if core.outputs.apply {
            self.apply(core);
            if !core.outputs.apply && self.is_member() {
                self.step(core, &mut vec![Input::Applied]);
            }
        }
        self.queued.store(core.replica.queue_length(), Relaxed);
        self.vitals.note_part(Part::of(&core.replica));
        self.vitals.note_writes_refused(core.replica.is_suspended());
    }

    fn step(&self, core: &mut Core, inputs: &mut Vec<Input>) {
        let now = self.clock.now();
        let Core { replica, outputs, left_behind, .. } = core;
        let tree = self.tree.read();
        let mut inputs = inputs.drain(..);
        for done in 0.. {
            if done % Tree::AHEAD_MAX == 0 {
                look_ahead(&tree, inputs.as_slice());
            }
            let Some(input) = inputs.next() else { break };
            if !left_behind.is_empty() && self.is_left_behind(&input, left_behind) {
                continue;
            }
            if let Input::Connect { conn, .. } = &input {
                self.registry.lock().get(*conn).into_iter().for_each(|client| client.note_asked());
            }
            replica.step(now, &tree, input, outputs);
        }
        drop(tree);
        self.slow.note(replica.positions(), || now.monotonic_ms);
        // Before what it tells its leader leaves: who is heard from now on is not in it.
        self.touches_told.store(replica.touches_told(), Relaxed);
        self.carry_out(core);
    }

    /// One bite of committed work under the tree's write lock; its events and replies are delivered
    /// before the lock is let go.
    fn apply(&self, core: &mut Core) {
        let Core { replica, outputs, .. } = core;
        let mut tree = self.tree.write();
        let mut watches = self.watches.lock();
        outputs.apply = replica.apply(&mut tree, &mut watches, APPLIED_PER_HOLD_MAX, outputs);
        drop(watches);
        self.slow.note(replica.positions(), || self.clock.monotonic_ms());
        let mailed = self.deliver(core);
        drop(tree);
        Self::wake(core, mailed);
    }

    fn carry_out(&self, core: &mut Core) {
        let mailed = self.deliver(core);
        Self::wake(core, mailed);
    }

    /// Carries out the list of outputs, except for waking: yields who has mail.
    fn deliver(&self, core: &mut Core) -> Vec<Arc<Client>> {
        let Core { replica, outputs, mailed, .. } = core;
        let mut mailed = std::mem::take(mailed);
        let clients = self.registry.lock();
        let mut log = self.log.batch();
        let mut last = 0..0;
        let mut responses = Responses::default();
        let mut kept = 0;
        if let Some(quorum) = self.quorum.get() {
            quorum.note_uncommitted(replica.uncommitted_bytes());
        }
        for output in outputs.list.drain(..) {
            match output {
                Output::Append { zxid, entry } => log.push(zxid, entry),
                Output::Send { .. } | Output::Again { .. } => {
                    let (conn, answers) = match output {
                        Output::Send { conn, answers, end } => {
                            last = last.end..end;
                            (conn, answers)
                        }
                        Output::Again { conn } => (conn, false),
                        _ => unreachable!("just seen"),
                    };
                    let bytes = &outputs.bytes[last.clone()];
                    let Some(client) = clients.get(conn) else {
                        self.counters.stale_replies.fetch_add(u64::from(answers), Relaxed);
                        continue;
                    };
                    // The first answer tells the client its session; Java counts none of those.
                    if !answers || client.counters.session.load(Relaxed) != 0 {
                        let sent = if answers { Sent::Answer } else { Sent::Event };
                        responses.add(bytes.len().saturating_sub(4) as u64, sent);
                    }
                    mailed.extend(client.post(bytes, answers, &mut kept));
                    if kept > POSTED_BYTES_MAX {
                        self.settle(std::mem::take(&mut kept), &clients, &mut mailed);
                    }
                }
                Output::Established { conn, session, timeout_ms, zxid } => {
                    if let Some(client) = clients.get(conn) {
                        mailed.extend(client.post_session(BegunSession { session, timeout_ms, zxid }));
                    }
                }
                Output::Close { conn } => {
                    if let Some(client) = clients.get(conn) {
                        mailed.extend(client.post_close());
                    }
                }
                Output::CloseAll { but } => {
                    let asked = clients.iter().filter(|client| client.has_asked());
                    let others = asked.filter(|client| !but.contains(&client.id));
                    mailed.extend(others.filter_map(Client::post_close));
                }
                Output::Ensemble(Effect::Persist(what)) => {
                    if let Durable::Configuration(configuration) = &what {
                        let quorum = self.quorum.get().expect("a lone server has no members");
                        quorum.reconfigure(configuration);
                    }
                    log.push_operation(Operation::Persist(what));
                }
                Output::Ensemble(Effect::Truncate { zxid }) => log.push_operation(Operation::Truncate(zxid)),
                Output::Ensemble(Effect::Adopt { zxid, epoch }) => {
                    log.push_operation(Operation::Adopt(zxid, epoch));
                }
                Output::Ensemble(effect) => {
                    let quorum = self.quorum.get().expect("a lone server has no peers");
                    quorum.carry_out(effect, &outputs.packets, |leader| replica.quorum_addresses(leader));
                }
                Output::Fact(fact) => {
                    let is_expiry = matches!(fact, Fact::SessionExpired { .. });
                    self.counters.sessions_expired.fetch_add(u64::from(is_expiry), Relaxed);
                    let differs = matches!(fact, Fact::DigestMismatch(_));
                    self.counters.digest_mismatches.fetch_add(u64::from(differs), Relaxed);
                    self.tell(&fact, &clients);
                }
            }
        }
        if kept != 0 {
            self.settle(kept, &clients, &mut mailed);
        }
        if responses != Responses::default() {
            self.counters.responses.lock().merge(&responses);
        }
        outputs.bytes.clear();
        outputs.packets.clear();
        outputs.bytes.shrink_to(KEPT_OUTPUT_BYTES_MAX);
        mailed
    }

    /// Adds what mailboxes have more now, or less, to what all clients have not taken.
    fn settle(&self, kept: isize, clients: &Clients<'_>, mailed: &mut Vec<Arc<Client>>) {
        let backlog = &self.registry.backlog;
        backlog.add(kept);
        if backlog.is_too_much() {
            mailed.extend(backlog.close_largest(clients, self.clock.monotonic_ms()));
        }
    }

    fn wake(core: &mut Core, mut mailed: Vec<Arc<Client>>) {
        for client in mailed.drain(..) {
            client.wake();
        }
        core.mailed = mailed;
    }
}

impl Driver {
    /// The replica reports facts; here they become words.
    fn tell(&self, fact: &Fact, clients: &Clients<'_>) {
        let address = |conn: ConnId| {
            clients
                .get(conn)
                .map_or_else(|| "a client that is gone".to_owned(), |client| shown(client.address))
        };
        match fact {
            Fact::ClientAhead { conn, session, seen, applied } => {
                let address = address(*conn);
                tracing::info!(
                    "Refusing session({session}) request for client {address} as it has seen zxid {seen} our last zxid \
                     is {applied} client must try another server"
                );
            }
            Fact::SessionExpired { session, timeout_ms } => {
                tracing::info!("Expiring session {session}, timeout of {timeout_ms}ms exceeded");
            }
            Fact::SessionRefused { conn, session, wrong_password: true } => {
                let who =
                    clients.get(*conn).map_or(Ipv4Addr::UNSPECIFIED.into(), |client| client.address.ip());
                self.counters.clients.note(who, &format!("password of {session}"), || {
                    tracing::warn!("Incorrect password from {} for session {session}", address(*conn));
                });
            }
            Fact::SessionRefused { conn, session, wrong_password: false } => {
                tracing::info!("Invalid session {session} for client {}, probably expired", address(*conn));
            }
            Fact::Audited(event) => crate::audit::tell(event),
            Fact::QuotaExceeded(excess) => self.quota_log.tell(self.clock.monotonic_ms(), excess),
            Fact::ReconfigRefused { session, why } => {
                self.refused_reconfigs.lock().ring(Instant::now(), (), why, || {
                    tracing::warn!(
                        "Refusing a reconfig that a client asked for in session {session}: {}",
                        Cut(why)
                    );
                });
            }
            Fact::WritesSuspended if self.quorum.get().is_some() => tracing::error!(
                "The log has no room: writes are refused until there is some. Reads of an observer go on; those of a follower do until its \
                 leader gives it up after syncLimit, and then it serves nobody until there is room; a leader gives up its lead and serves nobody \
                 at once"
            ),
            Fact::WritesSuspended => {
                tracing::error!("The log has no room: writes are refused until there is some, reads go on");
            }
            Fact::RoleBegun { epoch, leader, role, after_ms } => {
                self.roles_log.tell_begun(*role, *leader, *epoch, *after_ms);
            }
            Fact::Agreement(note) => self.roles_log.tell(note),
            Fact::ReadOnlyBegun => {
                tracing::warn!("No leader is found: clients that ask for a read-only server may read here");
            }
            Fact::DeadSession { session } => {
                tracing::warn!("Removing the ephemerals of session {session}, which is gone");
            }
            Fact::RoleLeft { reason } => {
                let unreached = self.quorum.get().and_then(|quorum| quorum.unreached());
                self.roles_log.tell_left(*reason, unreached);
            }
            Fact::DigestMismatch(mismatch) => {
                tracing::error!(
                    "Digests are not matching: {mismatch:?}; this server's tree is not the one that the leader named"
                );
            }
            Fact::WritesResumed => tracing::warn!("The log has room again: writes are accepted"),
        }
    }
}

/// Looks ahead at what the first of these inputs are about.
fn look_ahead(tree: &Tree, inputs: &[Input]) {
    let requests = inputs.iter().take(Tree::AHEAD_MAX).filter_map(|input| match input {
        Input::Request(Request { op, body, .. }) => Some((*op, &body[..])),
        _ => None,
    });
    ahead::look_ahead(tree, requests);
}

#[cfg(test)]
pub(crate) mod tests;
