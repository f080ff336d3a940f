//! The replicated state: znodes, their access lists, sessions, ephemerals, containers, TTLs, quotas, and
//! the digest over it all.
//!
//! Two things happen here. A request is *checked* against the tree and what is proposed but not yet
//! applied ([`Pending`]), and becomes a transaction or an error. A committed transaction is *applied*
//! ([`Tree::apply`]) by a function that cannot fail and reads nothing but its arguments, so that every
//! server that applies the same transactions has the same tree, down to the digest.
//!
//! In reading order: `nodes` (where znodes live), `acl_cache`, `owner` (which kind a znode is), `quota`,
//! `tree` (with `last_digests`), `apply`, `acl` (what lists allow), `pending`, `ops` (one file per operation), `snapshot` (the
//! tree as a stream of records, and back); beside them [`namespaces`] (figures by child of the root). Follows Java's `DataTree`, `PrepRequestProcessor` and
//! `DigestCalculator`.

mod acl;
mod acl_cache;
mod apply;
mod distinguished_name;
mod last_digests;
pub mod namespaces;
mod nodes;
mod ops;
mod owner;
mod pending;
mod quota;
mod snapshot;
mod tree;

pub use acl::{AuthSchemes, Caller, allows, fix_up, masked};
pub use apply::{Change, DigestMismatch, Effects, OpResult, Replayed, TtlChange};
pub use ops::WriteRequest;
pub use owner::{Owner, TTL_MS_MAX};
pub use pending::{Changes, CheckOptions, Foreseen, Pending};
pub use quota::{EndsJava, QuotaExcess, QuotaFigures, QuotaSum};
pub use snapshot::{LoadError, SnapshotHead};
pub use tree::{NodeRef, Tree, TreeOptions};
