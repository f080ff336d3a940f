//! Hard limits, where the operator wants them enforced. The usage is the tree's, without what is
//! proposed: each operation of a multi is measured against the same state, as in Java.

use zabd_jute::ErrorCode;

use crate::pending::Pending;
use crate::quota::{self, Track};
use crate::tree::Tree;

impl Pending {
    pub(super) fn check_quota(
        &mut self,
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
        if exceeds(limits.count_hard, usage.count.wrapping_add(count))
            || exceeds(limits.bytes_hard, usage.bytes.wrapping_add(bytes))
        {
            self.count_quota_refusal(path);
            return Err(ErrorCode::QuotaExceeded);
        }
        Ok(())
    }

    /// A handful of namespaces have quotas; more than this are not told apart.
    fn count_quota_refusal(&mut self, path: &str) {
        let Some(namespace) = quota::namespace(path) else { return };
        if let Some(count) = self.quota_refusals.get_mut(namespace) {
            *count += 1;
        } else if self.quota_refusals.len() < NAMESPACES_MAX {
            self.quota_refusals.insert(namespace.to_owned(), 1);
        }
    }

    /// How many writes hard limits refused, by child of the root: for operators.
    pub fn quota_refusals(&self) -> impl Iterator<Item = (&str, u64)> {
        self.quota_refusals.iter().map(|(namespace, count)| (namespace.as_str(), *count))
    }
}

const NAMESPACES_MAX: usize = 128;
