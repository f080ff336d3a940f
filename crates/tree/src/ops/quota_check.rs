//! Hard limits, where the operator wants them enforced. The usage is the tree's, without what is
//! proposed: each operation of a multi is measured against the same state, as in Java.

use zabd_jute::ErrorCode;

use crate::pending::Pending;
use crate::quota::{self, Track};
use crate::tree::Tree;

impl Pending {
    pub(super) fn check_quota(
        &self,
        tree: &Tree,
        path: &str,
        bytes: i64,
        count: i64,
    ) -> Result<(), ErrorCode> {
        if !self.options.enforce_quota {
            return Ok(());
        }
        let Some(of) = tree.quotas.covering(path) else { return Ok(()) };
        let Some(limits) = tree.node(&quota::limits_path(of)) else { return Ok(()) };
        let Some(usage) = tree.node(&quota::stats_path(of)) else { return Ok(()) };
        // Text that does not parse makes Java stumble, which the client sees as a marshalling error.
        let parse = |data: Option<&[u8]>| Track::parse(data.unwrap_or_default());
        let limits = parse(limits.data()).ok_or(ErrorCode::MarshallingError)?;
        let usage = parse(usage.data()).ok_or(ErrorCode::MarshallingError)?;
        let exceeds = |limit: i64, will_be: i64| limit > -1 && will_be > limit;
        if exceeds(limits.count_hard, usage.count + count) || exceeds(limits.bytes_hard, usage.bytes + bytes)
        {
            return Err(ErrorCode::QuotaExceeded);
        }
        Ok(())
    }
}
