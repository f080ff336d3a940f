//! The one place where the replica is fed, and where its outputs are carried out.
//!
//! Whoever has an input (a connection, the log writer, the ticker) takes the driver's lock, lets the
//! replica step, and carries out the outputs before letting go: so outputs happen in the order in
//! which they were decided, and no thread of its own stands between a request and its log record.
//! Nothing done under the lock waits: appending is a push to the log writer's queue, sending a push to
//! a connection's mailbox.
//!
//! Two more locks guard what reads share. The order is always driver, tree, watches:
//!
//! - the tree, read-write: connections read under the shared side, only [`Driver::apply`] writes;
//! - the watches: touched only by who holds the tree's lock, so that a read and its watch, and a change
//!   and its events, are each one step. Events and replies are in the mailboxes before the tree's lock
//!   is let go, and a connection empties its mailbox after it has taken that lock: it can never send
//!   what a change shows before the change's event.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
use zabd_jute::{SessionId, Zxid};
use zabd_replica::watches::Watches;
use zabd_replica::{ConnId, Fact, Input, Now, Output, Outputs, Positions, Replica, Request, SessionRequest};
use zabd_tree::Tree;

use crate::log_writer::LogQueue;
use crate::net::{Client, Registry};

/// How many queued items are worked off per hold of the tree's write lock: some tenths of a
/// millisecond, which a read can wait.
const APPLIED_PER_HOLD_MAX: usize = 256;

/// What is kept of the memory that replies are written to, in bytes; a long one is not kept for ever.
const KEPT_OUTPUT_BYTES_MAX: usize = 1 << 20;

/// Time, as the replica wants it.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Counts from now.
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }

    /// Milliseconds since the clock began; never steps.
    pub fn monotonic_ms(&self) -> i64 {
        self.start.elapsed().as_millis() as i64
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
    /// Scratch: connections that got mail in this round.
    mailed: Vec<Arc<Client>>,
}

/// See the module's description.
#[derive(Debug)]
pub struct Driver {
    core: Mutex<Core>,
    tree: RwLock<Tree>,
    watches: Mutex<Watches>,
    /// Where replies and events go.
    pub registry: Registry,
    /// Where log records go.
    pub log: LogQueue,
    /// What time it is.
    pub clock: Clock,
}

impl Driver {
    /// A driver around a recovered tree and its replica.
    pub fn new(replica: Replica, tree: Tree, watches: Watches, clock: Clock) -> Self {
        Self {
            core: Mutex::new(Core { replica, outputs: Outputs::default(), mailed: Vec::new() }),
            tree: RwLock::new(tree),
            watches: Mutex::new(watches),
            registry: Registry::default(),
            log: LogQueue::default(),
            clock,
        }
    }

    /// The tree, for reading.
    pub fn tree(&self) -> RwLockReadGuard<'_, Tree> {
        self.tree.read()
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
        look(&self.core.lock().replica)
    }

    /// Where this server stands in its log.
    pub fn positions(&self) -> Positions {
        self.inspect(Replica::positions)
    }

    /// Feeds the requests of one connection, in order.
    pub fn submit(&self, requests: &mut Vec<Request>) {
        self.feed(requests.drain(..).map(Input::Request));
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
        self.feed([Input::Synced { upto }]);
    }

    /// Feeds inputs in order and carries out what follows from them.
    pub fn feed(&self, inputs: impl IntoIterator<Item = Input>) {
        let now = self.clock.now();
        let mut core = self.core.lock();
        {
            let Core { replica, outputs, .. } = &mut *core;
            let tree = self.tree.read();
            for input in inputs {
                replica.step(now, &tree, input, outputs);
            }
        }
        self.carry_out(&mut core);
        while core.outputs.apply {
            self.apply(&mut core);
            // Between two bites whoever waits to propose may go first.
            MutexGuard::bump(&mut core);
        }
    }

    /// One bite of committed work under the tree's write lock; its events and replies are delivered
    /// before the lock is let go.
    fn apply(&self, core: &mut Core) {
        let Core { replica, outputs, .. } = core;
        let mut tree = self.tree.write();
        let mut watches = self.watches.lock();
        outputs.apply = replica.apply(&mut tree, &mut watches, APPLIED_PER_HOLD_MAX, outputs);
        drop(watches);
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
        let Core { outputs, mailed, .. } = core;
        let mut mailed = std::mem::take(mailed);
        let clients = self.registry.lock();
        let mut log = self.log.batch();
        let mut begin = 0;
        for output in outputs.list.drain(..) {
            match output {
                Output::Append { zxid, entry } => log.push(zxid, entry),
                Output::Send { conn, answers, end } => {
                    if let Some(client) = clients.get(conn) {
                        mailed.extend(client.post(&outputs.bytes[begin..end], answers));
                    }
                    begin = end;
                }
                Output::Established { conn, session, timeout_ms } => {
                    if let Some(client) = clients.get(conn) {
                        mailed.extend(client.post_session(session, timeout_ms));
                    }
                }
                Output::Close { conn } => {
                    if let Some(client) = clients.get(conn) {
                        mailed.extend(client.post_close());
                    }
                }
                Output::Fact(fact) => tell(&fact, &clients),
            }
        }
        outputs.bytes.clear();
        outputs.bytes.shrink_to(KEPT_OUTPUT_BYTES_MAX);
        mailed
    }

    fn wake(core: &mut Core, mut mailed: Vec<Arc<Client>>) {
        for client in mailed.drain(..) {
            client.wake();
        }
        core.mailed = mailed;
    }
}

/// The replica reports facts; here they become words.
fn tell(fact: &Fact, clients: &crate::net::Clients<'_>) {
    match fact {
        Fact::ClientAhead { conn, seen, applied } => {
            let address = clients.get(*conn).map(|client| client.address.to_string()).unwrap_or_default();
            tracing::info!(
                "Refusing session request for client {address} as it has seen zxid {seen} our last zxid is {applied} \
                 client must try another server"
            );
        }
        Fact::SessionExpired { session, timeout_ms } => {
            tracing::info!("Expiring session {session}, timeout of {timeout_ms}ms exceeded");
        }
        Fact::SessionRefused { session, wrong_password: true } => {
            tracing::warn!("Incorrect password from a client for session {session}");
        }
        Fact::SessionRefused { session, wrong_password: false } => {
            tracing::info!("Invalid session {session}, probably expired");
        }
        Fact::Audited(event) => crate::audit::tell(event),
        Fact::WritesSuspended => {
            tracing::error!("The log has no room: writes are refused until there is some, reads go on");
        }
        Fact::WritesResumed => tracing::warn!("The log has room again: writes are accepted"),
    }
}
