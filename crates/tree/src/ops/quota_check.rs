//! Limits, where the operator wants them enforced. The usage is the tree's, without what is proposed: each
//! operation of a multi is measured against the same state, as in Java.

use zabd_jute::ErrorCode;

use crate::namespaces::namespace;
use crate::pending::Pending;
use crate::quota::{self, QuotaExcess, Track};
use crate::tree::Tree;

impl Pending {
    /// Whether a write may change the usage so: it is measured only if it changes what is limited. Beyond a
    /// soft limit it is only told.
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
        // Text that does not parse makes Java stumble, which the client sees as a marshalling error.
        let limits = Track::parse(limits.data()).ok_or(ErrorCode::MarshallingError)?;
        let count_limit = Limit::of("count", limits.count_hard(), limits.count).filter(|_| count != 0);
        let bytes_limit = Limit::of("bytes", limits.bytes_hard(), limits.bytes).filter(|_| bytes != 0);
        if count_limit.is_none() && bytes_limit.is_none() {
            return Ok(());
        }
        let Some(usage) = tree.node(&quota::stats_path(of)) else { return Ok(()) };
        let usage = Track::parse(usage.data()).ok_or(ErrorCode::MarshallingError)?;
        // Clients write these texts; numbers that wrap are theirs, as in Java.
        let (count, bytes) = (usage.count.wrapping_add(count), usage.bytes.wrapping_add(bytes));
        for (limit, will_be) in [(count_limit, count), (bytes_limit, bytes)] {
            let Some(limit) = limit.filter(|limit| will_be > limit.value) else { continue };
            let Limit { what, value, is_hard } = limit;
            self.quota_excesses.push(QuotaExcess { of: of.to_owned(), what, will_be, limit: value, is_hard });
            if is_hard {
                self.count_quota_refusal(path);
                return Err(ErrorCode::QuotaExceeded);
            }
        }
        Ok(())
    }

    /// What went beyond a limit since this was asked last.
    pub fn take_quota_excesses(&mut self) -> Vec<QuotaExcess> {
        std::mem::take(&mut self.quota_excesses)
    }

    fn count_quota_refusal(&mut self, path: &str) {
        if let Some(count) = namespace(path).and_then(|name| self.quota_refusals.used(name, 1)) {
            *count += 1;
        }
    }

    /// How many writes hard limits refused, by child of the root: for operators.
    pub fn quota_refusals(&self) -> impl Iterator<Item = (&str, u64)> {
        self.quota_refusals.iter().map(|(namespace, count)| (namespace, *count))
    }
}

/// A limit that is set: a hard one takes the place of the soft one.
#[derive(Clone, Copy, Debug)]
struct Limit {
    what: &'static str,
    value: i64,
    is_hard: bool,
}

impl Limit {
    fn of(what: &'static str, hard: i64, soft: i64) -> Option<Self> {
        let is_hard = hard > -1;
        let value = if is_hard { hard } else { soft };
        (value > -1).then_some(Self { what, value, is_hard })
    }
}
