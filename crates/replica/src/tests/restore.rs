//! Another tree in the place of the one that was served.

use super::*;

impl Alone {
    fn restore(&mut self, tree: Tree) -> Vec<String> {
        let now = Now { monotonic_ms: self.now_ms, wall_ms: 1_000_000 + self.now_ms };
        let mut out = Outputs::default();
        self.replica.restore(now, &tree, &mut out);
        self.tree = tree;
        self.lines(&mut out)
    }

    /// The tree as a snapshot of it would be read, behind `zxid`.
    fn copy(&mut self, zxid: i64) -> Tree {
        self.tree.begin_snapshot();
        let mut body = Vec::new();
        while self.tree.snapshot_chunk(&mut body, 100) {}
        let options = TreeOptions { hash_seed: 2, digest: true, emulate_353_ttl: false };
        let mut tree = Tree::load(&body, Zxid(1), None, options).unwrap();
        tree.stand_at(Zxid(zxid));
        tree
    }
}

#[test]
fn sessions_are_those_of_the_tree_and_begin_anew() {
    let mut alone = Alone::new();
    let old = alone.connect(1);
    let silent = alone.connect(2);
    alone.ask(1, old, 1, OpCode::Create, create("/old", 1));
    alone.sync();
    let kept = alone.copy(100);
    let young = alone.connect(3);
    alone.ask(3, young, 1, OpCode::Create, create("/young", 1));
    alone.sync();
    alone.now_ms = 9000;
    assert_eq!(alone.restore(kept), ["all closed"]);
    assert_eq!(alone.replica.session_count(), 2);
    assert!(alone.tree.node("/old").is_some() && alone.tree.node("/young").is_none());
    // Whoever has seen everything comes back; whose session is another tree's has expired.
    let password = zabd_jute::client::password;
    assert_eq!(alone.resume(4, old, password(old), 5), ["4 <- connected"]);
    assert_eq!(alone.resume(5, young, password(young), 5), ["5 <- refused", "5 closed"]);
    // Behind the tree, without a gap.
    alone.ask(4, old, 2, OpCode::Create, create("/new", 0));
    assert_eq!(alone.sync(), ["4 <- 2 zxid=101 err=0 +8"]);
    // Each has its full timeout from then on.
    alone.now_ms = 17_000;
    assert!(alone.feed(Input::Tick).is_empty());
    alone.feed(Input::Touch { session: old });
    alone.now_ms = 21_000;
    alone.feed(Input::Tick);
    alone.sync();
    assert_eq!(alone.facts.last(), Some(&Fact::SessionExpired { session: silent, timeout_ms: 10_000 }));
    assert_eq!(alone.replica.session_count(), 1);
}

/// What was planned for the tree before says nothing about the next one.
#[test]
#[should_panic(expected = "a tree was replaced below transactions that are on their way")]
fn nothing_may_be_on_its_way() {
    let mut alone = Alone::new();
    let session = alone.connect(1);
    let kept = alone.copy(100);
    alone.ask(1, session, 1, OpCode::Create, create("/a", 0));
    alone.restore(kept);
}
