use super::*;
use zabd_jute::quorum::Configuration;
use zabd_jute::txn::{Entry, Txn, TxnHeader};
use zabd_jute::{Epoch, Limits, OpCode, ServerId};
use zabd_replica::read::ReadOptions;
use zabd_replica::{HashSeed, MemberOptions, ReplicaOptions, SessionTimeouts};
use zabd_tree::{CheckOptions, TreeOptions};
use zabd_zab::effect::{Testing, Timing};
use zabd_zab::election;
use zabd_zab::history::History;

/// Of a lone server without anything.
pub(crate) fn driver() -> Arc<Driver> {
    driver_of(|replica, _| replica)
}

/// Of a member of an ensemble that has found no leader yet.
pub(crate) fn looking_driver() -> Arc<Driver> {
    let members = "server.1=127.0.0.1:1:2:participant\nserver.2=127.0.0.1:3:4:participant";
    driver_of(|replica, tree| {
        let start = peer::Start {
            me: ServerId(1),
            timing: Timing { tick_ms: 500, init_limit: 10, sync_limit: 5, connect_delay_ms: 100 },
            election_timing: election::Timing::default(),
            limits: Limits::default(),
            reconfig: false,
            multi_address: false,
            accepted: Epoch::ZERO,
            current: Epoch::ZERO,
            configuration: Configuration::parse(members).unwrap(),
            next: None,
            lists: zabd_zab::quorum::Lists::default(),
            observer_masters: false,
            testing: Testing::default(),
            history: History::new(tree.last_zxid()),
            standing: election::Standing::Voter,
            is_partial: false,
        };
        replica.in_ensemble(tree, start)
    })
}

fn driver_of(made: impl FnOnce(Replica, &Tree) -> Replica) -> Arc<Driver> {
    let tree = Tree::new(TreeOptions { hash_seed: 1, digest: true, emulate_353_ttl: false });
    let clock = Clock::new();
    let options = ReplicaOptions {
        timeouts: SessionTimeouts { tick_ms: 2000, min_ms: 4000, max_ms: 40_000 },
        first_session: SessionId(1),
        check: CheckOptions::default(),
        read: ReadOptions { skip_acl: false, limits: Limits::default() },
        audit: false,
        reconfig: zabd_replica::ReconfigOptions::default(),
        member: MemberOptions::default(),
    };
    let replica = made(Replica::new(clock.now(), &tree, options), &tree);
    let watches = Watches::new(HashSeed::with_seed(1), false);
    let registry = Registry::new(usize::MAX, usize::MAX, usize::MAX, usize::MAX);
    Driver::new(replica, tree, watches, clock, Arc::default(), registry, &Arc::default(), None, None)
}

pub(super) fn connect(conn: u64) -> Input {
    let request = SessionRequest {
        last_zxid_seen: Zxid::ZERO,
        timeout_ms: 10_000,
        session: SessionId::NONE,
        password: vec![0; 16],
        has_read_only_byte: false,
        takes_read_only: false,
    };
    Input::Connect { conn: ConnId(conn), request }
}

/// What a thread leaves because another one has the core is done when that one lets go: no input waits
/// for the next one to come.
#[test]
fn what_comes_while_the_core_is_taken_is_done_by_whoever_has_it() {
    let driver = driver();
    let sessions = driver.inspect(|replica| {
        std::thread::scope(|scope| scope.spawn(|| driver.feed([connect(1), connect(2)])).join().unwrap());
        replica.session_count()
    });
    assert_eq!(sessions, 0);
    assert!(driver.inbox.lock().is_empty());
    assert_eq!(driver.inspect(Replica::session_count), 2);
}

/// The number of a tree is its last transaction.
pub(super) fn numbered(number: u64) -> Tree {
    let mut tree = Tree::new(TreeOptions { hash_seed: 1, digest: true, emulate_353_ttl: false });
    let (session, zxid) = (SessionId(1), Zxid(number as i64));
    let header = TxnHeader { session, cxid: 0, zxid, time_ms: 0, kind: OpCode::Error.code() };
    tree.apply(&Entry { header, txn: Txn::Error { code: 0 }, digest: None }, None, &mut ());
    tree
}

/// A snapshot that took one tree for another would hold neither.
#[test]
fn a_tree_that_is_replaced_is_told_from_the_one_before() {
    const TREES: u64 = 2000;
    let driver = driver();
    std::thread::scope(|scope| {
        let replacing = scope.spawn(|| (1..=TREES).for_each(|number| driver.replace_tree(numbered(number))));
        while !replacing.is_finished() {
            let begun = driver.begin_snapshot();
            assert_eq!(begun.head.zxid.0 as u64, begun.trees_replaced);
            let mut tree = driver.tree_exclusively();
            assert_eq!(tree.last_zxid().0 as u64, driver.trees_replaced());
            tree.abandon_snapshot();
        }
    });
}

/// Nothing is lost or left among threads that all find the core taken again and again.
#[test]
fn nothing_is_left_when_all_threads_are_done() {
    const THREADS: u64 = 4;
    const INPUTS: u64 = 2000;
    let driver = driver();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let driver = &driver;
            scope.spawn(move || {
                (0..INPUTS).for_each(|input| driver.feed([connect(thread * INPUTS + input)]));
            });
        }
    });
    // What is left is left to the log writer, which was told.
    if driver.is_left.load(SeqCst) {
        driver.work_off_all();
    }
    assert!(driver.inbox.lock().is_empty());
    assert_eq!(driver.core.lock().replica.session_count() as u64, THREADS * INPUTS);
}
