//! Reconfig: the znode that names the members of the ensemble gets another text.
//!
//! It is a set without a version, kept as −1, and outside the digest: every server also writes that znode for itself.

use zabd_jute::txn::{Txn, TxnHeader};
use zabd_jute::{ErrorCode, perms};

use crate::acl::{self, Caller};
use crate::pending::{Pending, planned_crc};
use crate::tree::Tree;

const CONFIG: &str = "/zookeeper/config";

impl Pending {
    pub(super) fn prepare_reconfig<'a>(
        &mut self,
        tree: &Tree,
        caller: &Caller<'_>,
        header: &TxnHeader,
        text: &'a str,
    ) -> Result<Txn<'a>, ErrorCode> {
        let node = self.get(tree, CONFIG).ok_or(ErrorCode::NoNode)?;
        acl::check(Pending::acl(tree, &node), perms::WRITE, caller, self.options.skip_acl)?;
        let mut after = node.clone();
        after.stat.version = -1;
        after.stat.mzxid = header.zxid;
        after.stat.mtime_ms = header.time_ms;
        after.prefix_crc = planned_crc(CONFIG, Some(text.as_bytes()));
        after.data_length = text.len();
        self.plan(tree, header.zxid, CONFIG, Some(&node), Some(after));
        Ok(Txn::SetData { path: CONFIG.into(), data: Some(text.as_bytes()), version: -1 })
    }
}
