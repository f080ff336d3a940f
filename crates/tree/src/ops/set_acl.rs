//! SetACL: a znode's access list is replaced. No watch hears of it.

use zabd_jute::client::SetAclRequest;
use zabd_jute::txn::{Txn, TxnHeader};
use zabd_jute::{ErrorCode, path, perms};

use super::{canonical, next_version};
use crate::acl::{self, Caller};
use crate::pending::{Pending, PlannedAcl};
use crate::tree::Tree;

impl Pending {
    pub(super) fn prepare_set_acl<'a>(
        &mut self,
        tree: &Tree,
        caller: &Caller<'_>,
        header: &TxnHeader,
        request: SetAclRequest<'a>,
    ) -> Result<Txn<'a>, ErrorCode> {
        path::validate(&request.path).map_err(|_| ErrorCode::BadArguments)?;
        let room = self.acl_room(request.path.len());
        let acl = acl::fix_up(request.acl.as_deref(), caller, self.options.schemes, room)?;
        let node = self.get(tree, &request.path).ok_or(ErrorCode::NoNode)?;
        acl::check(Pending::acl(tree, &node), perms::ADMIN, caller, self.options.skip_acl)?;
        let version = next_version(node.stat.aversion, request.version)?;
        let mut after = node.clone();
        after.stat.aversion = version;
        after.acl = PlannedAcl::new(&acl);
        self.plan(tree, header.zxid, canonical(&request.path), Some(&node), Some(after));
        Ok(Txn::SetAcl { path: request.path, acl, version })
    }
}
