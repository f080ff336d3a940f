//! The reaper's delete: an outdated container or TTL znode, if it still is one.
//!
//! Between the moment when it was found and this one it may have got a child, new data or a successor
//! of the same name; then it stays.

use std::borrow::Cow;

use zabd_jute::ErrorCode;
use zabd_jute::txn::{Txn, TxnHeader};

use super::parent_of;
use crate::owner::Owner;
use crate::pending::Pending;
use crate::tree::Tree;

impl Pending {
    pub(super) fn prepare_delete_container<'a>(
        &mut self,
        tree: &Tree,
        header: &TxnHeader,
        path: Cow<'a, str>,
    ) -> Result<Txn<'a>, ErrorCode> {
        parent_of(&path)?;
        let node = self.get(tree, &path).ok_or(ErrorCode::NoNode)?;
        if node.num_children > 0 {
            return Err(ErrorCode::NotEmpty);
        }
        let is_outdated = match tree.owner(&node.stat) {
            Owner::Container => true,
            // Times in a file may be anything, and Java's numbers wrap around.
            Owner::Ttl { ttl_ms } => header.time_ms.wrapping_sub(node.stat.mtime_ms) > ttl_ms,
            Owner::Nobody | Owner::Session(_) => false,
        };
        if !is_outdated {
            return Err(ErrorCode::BadVersion);
        }
        self.plan_removal(tree, header, &path, &node);
        Ok(Txn::Delete { path })
    }
}
