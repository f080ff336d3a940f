//! What a snapshot holds: every znode, a summary of a part of the tree, or what two of them do not have in common.
//!
//! Follows Java's `SnapshotFormatter`, `SnapshotRecursiveSummary` and `SnapshotComparer`. Like these, the tools read what they
//! can and look at no checksum: a snapshot that no server would start from can still be looked into.

mod compare;
mod format;
mod image;
mod json;
mod summarise;

pub(crate) use compare::run as compare;
pub(crate) use format::run as format;
pub(crate) use summarise::run as summarise;

/// Java's exit code for a command line that is none.
const INVALID_INVOCATION: u8 = 2;
