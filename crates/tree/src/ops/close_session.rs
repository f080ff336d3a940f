//! The end of a session: all its ephemerals go with it, in one transaction.

use zabd_jute::SessionId;
use zabd_jute::txn::{Txn, TxnHeader};
use zabd_mutation::{Mutation, is_on};

use crate::acl::Caller;
use crate::pending::Pending;
use crate::tree::Tree;

/// Header, count and digest of the record.
const ENTRY_OVERHEAD_BYTES: usize = 64;

impl Pending {
    pub(super) fn prepare_close<'a>(
        &mut self,
        tree: &Tree,
        caller: &Caller<'_>,
        header: &TxnHeader,
    ) -> Txn<'a> {
        let mut paths = self.session_paths(tree, caller.session);
        paths.retain(|_| !is_on(Mutation::EphemeralsStay));
        for path in &paths {
            let node = self.get(tree, path).expect("a session's ephemerals exist");
            self.plan_removal(tree, header, path, &node);
        }
        let paths = self.options.lists_closed.then(|| paths.into_iter().map(Into::into).collect());
        Txn::CloseSession { paths }
    }

    /// The ephemerals that must go in records of their own before the session's end, because one
    /// record could not hold them all and still be read back by Java. Nearly always none.
    pub fn paths_before_close(&self, tree: &Tree, session: SessionId) -> Vec<String> {
        let mut paths = self.session_paths(tree, session);
        let mut bytes = ENTRY_OVERHEAD_BYTES;
        let fitting = paths.iter().rev().take_while(|path| {
            bytes += 4 + path.len();
            bytes <= self.options.entry_bytes_max
        });
        let fitting = fitting.count();
        paths.truncate(paths.len() - fitting);
        paths
    }
}
