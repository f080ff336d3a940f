//! The checkers: what must be true of a world, seen from outside.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use zabd_jute::txn::{Entry, Txn};
use zabd_jute::{OpCode, Reader, SessionId, Zxid};
use zabd_tree::Tree;

use crate::client::Told;
use crate::store::TREE;

/// Everything that was ever proposed, shown and told.
#[derive(Debug, Default)]
pub struct Truth {
    /// Every transaction that a server logged, by position.
    proposed: BTreeMap<Zxid, Bytes>,
    /// The positions that were ever shown.
    shown: BTreeSet<Zxid>,
    /// The digest of the tree behind a position.
    digests: BTreeMap<Zxid, u64>,
}

impl Truth {
    /// A server hands a transaction to its log.
    pub fn propose(&mut self, zxid: Zxid, entry: &Bytes) {
        let before = self.proposed.entry(zxid).or_insert_with(|| entry.clone());
        assert_eq!(before, entry, "two transactions at {zxid}");
    }

    /// A server that serves shows a transaction.
    pub fn show(&mut self, zxid: Zxid) {
        self.shown.insert(zxid);
    }

    /// A server that serves shows this tree.
    pub fn show_tree(&mut self, server: i64, tree: &Tree) {
        let (zxid, digest) = (tree.last_zxid(), tree.digest());
        let before = *self.digests.entry(zxid).or_insert(digest);
        assert_eq!(before, digest, "server {server} shows another tree at {zxid}");
    }

    /// How many transactions were shown.
    pub fn len(&self) -> usize {
        self.shown.len()
    }

    /// Whether none were.
    pub fn is_empty(&self) -> bool {
        self.shown.is_empty()
    }

    /// Replays all that was shown, alone, and holds against it what clients were told and what is left.
    pub fn assert_told(&self, told: &[Told], last: &Tree) {
        self.assert_writes(told);
        let mut reads: Vec<_> = told
            .iter()
            .filter(|told| told.asked.op == OpCode::GetData && (told.err == 0 || told.err == -101))
            .collect();
        reads.sort_by_key(|told| told.zxid);
        let mut reads = reads.into_iter().peekable();
        let mut tree = Tree::new(TREE);
        for zxid in &self.shown {
            while let Some(read) = reads.next_if(|read| read.zxid < *zxid) {
                assert_read(&tree, read);
            }
            let bytes = self.proposed.get(zxid).expect("what is shown was proposed");
            let entry = Entry::decode(&mut Reader::new(bytes)).expect("our own record decodes");
            let outcome = tree.replay(&entry);
            assert!(outcome.digest_mismatch.is_none(), "a transaction is missing before {zxid}: {outcome:?}");
            if let Txn::CloseSession { .. } = entry.txn {
                let left = tree.ephemerals(entry.header.session);
                assert!(left.is_empty(), "{left:?} outlive their session, which ended at {zxid}");
            }
        }
        reads.for_each(|read| assert_read(&tree, read));
        assert_eq!(
            tree.digest(),
            last.digest(),
            "the servers end with another tree than what was shown makes"
        );
        for session in tree.sessions_with_ephemerals() {
            assert!(tree.session_timeout_ms(session).is_some(), "ephemerals of {session}, which is over");
        }
    }

    /// Each answered write is where the answer says, once, and later ones are behind earlier ones.
    fn assert_writes(&self, told: &[Told]) {
        let mut writes: Vec<_> = told.iter().filter(|told| is_write(told)).collect();
        let mut places: BTreeMap<Zxid, (SessionId, i32)> = BTreeMap::new();
        for write in &writes {
            let bytes = self.proposed.get(&write.zxid);
            let (zxid, asked) = (write.zxid, &write.asked);
            assert!(self.shown.contains(&zxid), "{asked:?} was answered with {zxid}, which is lost");
            let entry =
                Entry::decode(&mut Reader::new(bytes.expect("what is shown was proposed"))).expect("decodes");
            assert_eq!(
                (entry.header.session, entry.header.cxid),
                (asked.session, asked.xid),
                "{asked:?} was answered with another's transaction"
            );
            let is_error = matches!(entry.txn, Txn::Error { .. });
            assert_eq!(is_error, write.err != 0, "{asked:?} was told {} and is {:?}", write.err, entry.txn);
            let before = places.insert(zxid, (asked.session, asked.xid));
            assert!(before.is_none(), "{asked:?} was answered twice");
        }
        // Whoever asks after another was answered comes behind it.
        writes.sort_by_key(|write| write.at);
        let mut newest = Vec::new();
        let mut highest = Zxid::ZERO;
        for write in &writes {
            highest = highest.max(write.zxid);
            newest.push((write.at, highest));
        }
        for write in &writes {
            let before = newest.partition_point(|(at, _)| *at < write.asked.at);
            if let Some((_, highest)) = before.checked_sub(1).map(|place| newest[place]) {
                assert!(highest < write.zxid, "{:?} came behind {highest} and is before it", write.asked);
            }
        }
    }
}

fn is_write(told: &Told) -> bool {
    matches!(told.asked.op, OpCode::SetData | OpCode::Create | OpCode::Delete | OpCode::CloseSession)
}

fn assert_read(tree: &Tree, read: &Told) {
    let data = tree.node(&read.asked.path).map(|node| node.data().unwrap_or_default().to_vec());
    assert_eq!(read.data, data, "{:?} was read at {}", read.asked, read.zxid);
}
