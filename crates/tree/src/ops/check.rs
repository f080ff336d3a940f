//! Check, inside a multi: the others happen only if a version is the expected one.

use zabd_jute::client::CheckVersionRequest;
use zabd_jute::txn::Txn;
use zabd_jute::{ErrorCode, path, perms};

use super::next_version;
use crate::acl::{self, Caller};
use crate::pending::Pending;
use crate::tree::Tree;

impl Pending {
    pub(super) fn prepare_check<'a>(
        &mut self,
        tree: &Tree,
        caller: &Caller<'_>,
        request: CheckVersionRequest<'a>,
    ) -> Result<Txn<'a>, ErrorCode> {
        path::validate(&request.path).map_err(|_| ErrorCode::BadArguments)?;
        let node = self.get(tree, &request.path).ok_or(ErrorCode::NoNode)?;
        acl::check(Pending::acl(tree, &node), perms::READ, caller, self.options.skip_acl)?;
        let version = next_version(node.stat.version, request.version)?;
        Ok(Txn::Check { path: request.path, version })
    }
}
