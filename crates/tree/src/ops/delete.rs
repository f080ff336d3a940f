//! Delete: a znode without children goes. The right to do so is the parent's.

use std::borrow::Cow;

use zabd_jute::client::DeleteRequest;
use zabd_jute::txn::{Txn, TxnHeader};
use zabd_jute::{ErrorCode, perms};

use super::{canonical, next_version, parent_of};
use crate::acl::{self, Caller};
use crate::pending::{Pending, Planned};
use crate::quota;
use crate::tree::Tree;

/// Znodes that every tree has.
const UNDELETABLE: [&str; 4] = ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"];

impl Pending {
    pub(super) fn prepare_delete<'a>(
        &mut self,
        tree: &Tree,
        caller: &Caller<'_>,
        header: &TxnHeader,
        request: DeleteRequest<'a>,
    ) -> Result<Txn<'a>, ErrorCode> {
        let parent_path = parent_of(&request.path)?;
        if UNDELETABLE.contains(&&*request.path) {
            return Err(ErrorCode::BadArguments);
        }
        let parent = self.get(tree, parent_path).ok_or(ErrorCode::NoNode)?;
        let parent_acl = Pending::acl(tree, &parent);
        acl::check(parent_acl, perms::DELETE, caller, self.options.skip_acl)?;
        let node = self.get(tree, &request.path).ok_or(ErrorCode::NoNode)?;
        next_version(node.stat.version, request.version)?;
        if node.num_children > 0 {
            return Err(ErrorCode::NotEmpty);
        }
        if quota::are_nobodys_limits(&request.path) {
            return Err(ErrorCode::BadArguments);
        }
        self.plan_removal(tree, header, &request.path, &node);
        Ok(Txn::Delete { path: request.path })
    }

    /// A part of a session's end: no right is needed.
    pub(super) fn prepare_delete_own<'a>(
        &mut self,
        tree: &Tree,
        header: &TxnHeader,
        path: Cow<'a, str>,
    ) -> Result<Txn<'a>, ErrorCode> {
        let node = self.get(tree, &path).ok_or(ErrorCode::NoNode)?;
        self.plan_removal(tree, header, &path, &node);
        Ok(Txn::Delete { path })
    }

    /// The znode goes, and its parent knows.
    pub(super) fn plan_removal(&mut self, tree: &Tree, header: &TxnHeader, path: &str, node: &Planned) {
        let parent_path = parent_of(path).map_or("/", canonical);
        let parent = self.get(tree, parent_path).expect("what exists has a parent");
        let mut left = parent.clone();
        left.num_children -= 1;
        left.stat.pzxid = header.zxid;
        self.plan(tree, header.zxid, parent_path, Some(&parent), Some(left));
        self.plan(tree, header.zxid, path, Some(node), None);
    }
}
