//! One server: a real replica with its tree and watches, and the disk that it runs on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use zabd_jute::quorum::{Configuration, PeerState};
use zabd_jute::{ConfigVersion, Epoch, Limits, ServerId, SessionId, Zxid};
use zabd_replica::read::ReadOptions;
use zabd_replica::watches::Watches;
use zabd_replica::{
    ConnId, HashSeed, Input, MemberOptions, Now, Outputs, ReconfigOptions, Replica, ReplicaOptions,
    SessionTimeouts, shown_members,
};
use zabd_storage::disk::{Crash, MemoryDisk};
use zabd_storage::rebase::Epochs;
use zabd_tree::{AuthSchemes, CheckOptions, Tree};
use zabd_zab::effect::{self, LinkId, Testing, Timing};
use zabd_zab::{election, peer};

use crate::plan::Fault;
use crate::store::{Found, Operation, Store, StoreError};
use crate::truth::Truth;

/// How long sessions may be silent here.
pub const TIMEOUTS: SessionTimeouts = SessionTimeouts { tick_ms: 100, min_ms: 200, max_ms: 4000 };

/// How long servers wait for each other here.
pub const TIMING: Timing = Timing { tick_ms: 100, init_limit: 10, sync_limit: 5, connect_delay_ms: 20 };

/// How many queued items are applied per bite: few, so that much happens in between.
const APPLIED_MAX: usize = 3;

/// A tree for a learner.
#[derive(Clone, Debug)]
pub struct Image {
    /// As a stream.
    pub body: Vec<u8>,
    /// The transactions in it that nobody has shown yet: with it they come to those who never log them.
    pub unshown: Vec<Zxid>,
}

/// A server's life, from a start to a crash.
#[derive(Debug)]
pub struct Running {
    /// The real thing.
    pub replica: Replica,
    /// What it shows.
    pub tree: Tree,
    /// Who waits for what.
    pub watches: Watches,
    /// Its disk.
    pub store: Store,
    /// What the disk has been asked for.
    pub operations: VecDeque<Operation>,
    /// Whether an event is on its way that does the next of them.
    pub disk_is_busy: bool,
    /// Whether the log waits for room, with records that it has taken.
    pub is_full: bool,
    /// What it lost was not given back yet.
    pub has_lost: bool,
    /// Unanswered requests of each client's connection.
    pub unanswered: BTreeMap<ConnId, usize>,
    /// Images that were taken for learners and not sent yet.
    pub images: BTreeMap<LinkId, Image>,
    /// Every transaction in its log, and those in an image of somebody else's that nobody had shown yet.
    pub logged: BTreeSet<Zxid>,
    /// Those in an image that has come and is not adopted yet.
    pub received: Vec<Zxid>,
    /// What it was seen to show, so far.
    pub seen: Zxid,
    /// What was last told of it: what it is, and whom it takes for the leader.
    pub stood: Option<(PeerState, Option<ServerId>)>,
    /// Inputs that wait for the step in progress to end.
    pub inbox: VecDeque<Input>,
    /// Whether an event is on its way that applies the next bite.
    pub is_applying: bool,
    /// Whether a step is in progress.
    pub is_stepping: bool,
    /// Scratch.
    pub outputs: Outputs,
}

/// What a server's disk has reported to be durable. The next start finds it, whatever the crash, unless it says that
/// something was lost, or somebody took the disk away.
#[derive(Clone, Copy, Debug, Default)]
pub struct Durable {
    /// The end of its history.
    pub last: Zxid,
    /// The newest position that a start may find.
    pub most: Zxid,
    /// What it has promised.
    pub accepted: Epoch,
    /// What it has joined.
    pub current: Epoch,
    /// Some of it rotted, and what a start lost by that has not come back.
    pub rots: bool,
    /// The last crash left holes where nothing was synced. Behind one may stand what was acknowledged while it was not durable here:
    /// the others hold it, and a log cannot tell that from rot.
    pub has_holes: bool,
}

impl Durable {
    /// Its history is to end elsewhere; while the disk is at it, it may end at either.
    pub fn begin_rebase(&mut self, last: Zxid) {
        (self.last, self.most) = (self.last.min(last), self.most.max(last));
    }

    /// Its history ends here.
    pub fn end_at(&mut self, last: Zxid) {
        (self.last, self.most) = (last, last);
    }

    /// A small thing was written.
    pub fn note(&mut self, what: &effect::Durable) {
        match what {
            effect::Durable::Accepted(epoch) => self.accepted = *epoch,
            effect::Durable::Current(epoch) => self.current = *epoch,
            effect::Durable::Configuration(_)
            | effect::Durable::NextConfiguration(_)
            | effect::Durable::Partial(_)
            | effect::Durable::Lists(_) => (),
        }
    }

    /// Holds what a start finds against it.
    fn assert_found(&mut self, id: ServerId, found: &Found) {
        let last = found.tree.last_zxid();
        if found.has_lost {
            assert!(
                self.rots || self.has_holes,
                "{id} starts with a loss, and nothing of its disk has rotted or was torn since the last"
            );
            self.end_at(last);
        }
        let Epochs { accepted, current } = found.epochs;
        assert!(self.last <= last, "{id} had all up to {} on its disk, and starts at {last}", self.last);
        assert!(
            last <= self.most,
            "{id} starts at {last}, and its disk was given nothing behind {}",
            self.most
        );
        assert!(self.accepted <= accepted, "{id} has promised {}, and remembers {accepted}", self.accepted);
        assert!(self.current <= current, "{id} has joined {}, and remembers {current}", self.current);
        *self = Self { last, most: last, accepted, current, has_holes: false, ..*self };
    }
}

/// One server over all its lives.
#[derive(Debug)]
pub struct Server {
    /// Who it is.
    pub id: ServerId,
    /// Which life it lives; what was meant for another is ignored.
    pub life: u64,
    /// Unless it is down.
    pub running: Option<Box<Running>>,
    /// While it is down.
    pub disk: MemoryDisk,
    /// What that has promised to keep.
    pub durable: Durable,
    /// The newest position that was ever durable here, whatever became of that disk.
    pub has_had: Zxid,
    /// What [`Image::unshown`] said of the image that is the base of its disk.
    pub covered: Vec<Zxid>,
    /// Whether there is such a server already, or still.
    pub is_deployed: bool,
    /// The members that it knows, in a file that is none of its data.
    pub configuration: Configuration,
    /// Newer ones that may come to hold.
    pub next: Option<Configuration>,
    /// When it is woken next.
    pub wakes_at: i64,
    /// How far its clock of the time of day is ahead of the world's.
    pub clock_ms: i64,
    /// Until when it does nothing.
    pub paused_until: i64,
    /// What becomes of it when its disk fails: what that keeps, and for how long it is down.
    pub dies: Option<(Crash, i64)>,
    /// What becomes of the disk while it is down, if it can be done without until then.
    pub loses: Option<Fault>,
}

fn options(id: ServerId, life: u64, reconfig: bool) -> ReplicaOptions {
    let limits = Limits::default();
    let check =
        CheckOptions { schemes: AuthSchemes::default(), skip_acl: reconfig, ..CheckOptions::default() };
    ReplicaOptions {
        timeouts: TIMEOUTS,
        first_session: SessionId(id.0 << 56 | (life as i64) << 16),
        check,
        read: ReadOptions { skip_acl: false, limits },
        audit: false,
        reconfig: ReconfigOptions { is_enabled: reconfig, ..ReconfigOptions::default() },
        member: MemberOptions::default(),
    }
}

impl Server {
    /// A server that was never started.
    pub fn new(id: ServerId, configuration: Configuration) -> Self {
        Self {
            id,
            is_deployed: true,
            configuration,
            next: None,
            life: 0,
            running: None,
            disk: MemoryDisk::default(),
            durable: Durable::default(),
            has_had: Zxid::ZERO,
            covered: Vec::new(),
            wakes_at: i64::MAX,
            clock_ms: 0,
            paused_until: 0,
            dies: None,
            loses: None,
        }
    }

    /// Starts it on its disk.
    pub fn start(&mut self, now: Now, reconfig: bool, kept: usize, truth: &Truth) -> Result<(), StoreError> {
        self.life += 1;
        self.wakes_at = i64::MAX;
        let (store, found) = Store::start(self.id, self.disk.clone(), kept)?;
        self.durable.assert_found(self.id, &found);
        truth.assert_found(self.id.0 as usize, &found.tree, &found.history);
        let Found { tree, history, epochs, logged, changes, has_lost, is_partial, lists, is_empty } = found;
        // What was set aside is not the base any more.
        if has_lost {
            self.covered.clear();
        }
        let covered =
            self.covered.iter().copied().filter(|zxid| *zxid <= tree.last_zxid()).collect::<Vec<_>>();
        let start = peer::Start {
            me: self.id,
            timing: TIMING,
            election_timing: election::Timing { repeat_ms_min: 50, repeat_ms_max: 1000, finalize_ms: 50 },
            limits: Limits::default(),
            reconfig,
            multi_address: false,
            accepted: epochs.accepted,
            current: epochs.current,
            configuration: self.configuration.clone(),
            next: self.next.clone(),
            lists: lists.lists(&self.configuration),
            observer_masters: false,
            testing: Testing::default(),
            history,
            standing: match is_partial || is_empty {
                _ if has_lost => election::Standing::Lost,
                true => election::Standing::Empty,
                false => election::Standing::Voter,
            },
            is_partial,
        };
        let options = options(self.id, self.life, reconfig);
        let replica = Replica::new(now, &tree, options).in_ensemble(&tree, start);
        if reconfig {
            self.assert_names(&tree, &changes, replica.next_configuration());
        }
        self.running = Some(Box::new(Running {
            replica,
            tree,
            watches: Watches::new(HashSeed::with_seed(1), false),
            store,
            operations: VecDeque::new(),
            disk_is_busy: false,
            is_full: false,
            has_lost,
            unanswered: BTreeMap::new(),
            images: BTreeMap::new(),
            logged: logged.into_iter().chain(covered).collect(),
            received: Vec::new(),
            seen: Zxid::ZERO,
            stood: None,
            inbox: VecDeque::new(),
            is_applying: false,
            is_stepping: false,
            outputs: Outputs::default(),
        }));
        Ok(())
    }
}

impl Server {
    /// Whoever counts on it may count on that from now on.
    pub fn note_durable(&mut self) {
        self.has_had = self.has_had.max(self.durable.last);
    }

    /// A change of members that is on its disk counts, whether it was committed or not: a server that does not know of it might
    /// elect, or be elected, without those whom it needs. Of several that it does not hold, only the newest may be in doubt.
    fn assert_names(&self, tree: &Tree, changes: &[Zxid], next: Option<&Configuration>) {
        let held = self.configuration.version();
        // A file that nobody has numbered has the last word, unless something is noted beside it.
        let may_show = held != ConfigVersion::ZERO || self.next.is_some();
        let shown = shown_members(tree).filter(|_| may_show).map(|shown| shown.version());
        let next = next.map(Configuration::version);
        for change in changes.iter().map(|zxid| ConfigVersion(zxid.0)).chain(shown) {
            assert!(
                change <= held || next == Some(change),
                "{} has {change:?} on its disk, holds {held:?}, and may come to hold {next:?}",
                self.id
            );
        }
    }
}

impl Running {
    /// One input, and all that can be applied afterwards.
    pub fn feed(&mut self, now: Now, input: Input) {
        self.replica.step(now, &self.tree, input, &mut self.outputs);
    }

    /// Works off a bite of what is committed.
    pub fn apply(&mut self, now: Now) {
        self.watches.take_away(1);
        let more = self.replica.apply(&mut self.tree, &mut self.watches, APPLIED_MAX, &mut self.outputs);
        self.outputs.apply = more;
        if !more {
            self.replica.step(now, &self.tree, Input::Applied, &mut self.outputs);
        }
    }

    /// When it wants to be woken.
    pub fn next_wake(&self) -> i64 {
        let ticks = [self.replica.next_peer_timer_ms(), self.replica.next_tick_ms()];
        ticks.into_iter().flatten().min().unwrap_or(i64::MAX)
    }
}
