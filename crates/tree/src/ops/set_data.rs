//! SetData: a znode's data is replaced.

use zabd_jute::client::SetDataRequest;
use zabd_jute::txn::{Txn, TxnHeader};
use zabd_jute::{ErrorCode, path, perms};

use super::{canonical, next_version};
use crate::acl::{self, Caller};
use crate::pending::{Pending, planned_crc};
use crate::quota;
use crate::tree::Tree;

impl Pending {
    pub(super) fn prepare_set_data<'a>(
        &mut self,
        tree: &Tree,
        caller: &Caller<'_>,
        header: &TxnHeader,
        request: SetDataRequest<'a>,
    ) -> Result<Txn<'a>, ErrorCode> {
        path::validate(&request.path).map_err(|_| ErrorCode::BadArguments)?;
        let node = self.get(tree, &request.path).ok_or(ErrorCode::NoNode)?;
        acl::check(Pending::acl(tree, &node), perms::WRITE, caller, self.options.skip_acl)?;
        let data_length = request.data.map_or(0, <[u8]>::len);
        self.check_quota(tree, &request.path, data_length as i64 - node.data_length as i64, 0)?;
        let version = next_version(node.stat.version, request.version)?;
        if quota::is_unreadable_usage(&request.path, request.data) {
            return Err(ErrorCode::BadArguments);
        }
        let mut after = node.clone();
        after.stat.version = version;
        after.stat.mzxid = header.zxid;
        after.stat.mtime_ms = header.time_ms;
        after.prefix_crc = planned_crc(&request.path, request.data);
        after.data_length = data_length;
        self.plan(tree, header.zxid, canonical(&request.path), Some(&node), Some(after));
        Ok(Txn::SetData { path: request.path, data: request.data, version })
    }
}
