//! What a server still takes when the memory that it may use is nearly used up.
//!
//! ```text
//! enough ──► no growth ──► nothing new                       (the shell says which, see `Input::Room`)
//!            no larger     no new sessions,
//!            tree          no new watches
//! ```
//!
//! Deletes, writes that make nothing larger, reads, pings, and the ends of sessions go on in each of them: they are the way out. A
//! request that is refused gets no transaction, since there may be very many of them; but one that another server has
//! forwarded does, because nothing else reaches its client.
//!
//! The refusal is `QuotaExceeded`, which clients know as "not on this tree", and do not try again at once. Java has no such
//! mark: its process ends when the heap is full.

use zabd_jute::client::MultiOp;
use zabd_jute::{ErrorCode, Limits, OpCode, Reader};
use zabd_tree::{Tree, WriteRequest};

use crate::input::Request;
use crate::write::{Decoded, decode};

/// What a request that would need more memory is told.
pub const NO_ROOM: ErrorCode = ErrorCode::QuotaExceeded;

/// What a znode costs besides its path and its data, in bytes, about.
const ZNODE_BYTES: i64 = 160;
/// What an entry of an access list costs besides its text, in bytes, about.
const ACL_BYTES: i64 = 64;

/// How much more a server takes. See the module's drawing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    /// Everything.
    #[default]
    Enough,
    /// Nothing that makes the tree larger.
    NoGrowth,
    /// Nor new sessions and watches.
    NothingNew,
}

/// Whether the tree would be larger behind this request, if it succeeds. What does not decode is none.
pub(crate) fn grows(tree: &Tree, request: &Request, limits: Limits) -> bool {
    let Some(op) = OpCode::from_code(request.op) else { return false };
    match decode(op, &mut Reader::with_limits(&request.body, limits)) {
        Ok(Decoded::Write(write)) => growth_bytes(tree, &write) > 0,
        _ => false,
    }
}

fn growth_bytes(tree: &Tree, write: &WriteRequest<'_>) -> i64 {
    match write {
        WriteRequest::Create { request, .. } => created_bytes(&request.create.path, request.create.data),
        WriteRequest::SetData(request) => changed_bytes(tree, &request.path, request.data),
        WriteRequest::SetAcl(request) => request.acl.as_ref().map_or(0, |list| ACL_BYTES * list.len() as i64),
        WriteRequest::Delete(request) => -held_bytes(tree, &request.path),
        WriteRequest::Multi(multi) => multi.ops.iter().map(|op| part_bytes(tree, op)).sum(),
        _ => 0,
    }
}

fn part_bytes(tree: &Tree, op: &MultiOp<'_>) -> i64 {
    match op {
        MultiOp::Create { request, .. } => created_bytes(&request.create.path, request.create.data),
        MultiOp::SetData(request) => changed_bytes(tree, &request.path, request.data),
        MultiOp::Delete(request) => -held_bytes(tree, &request.path),
        MultiOp::Check(_) => 0,
    }
}

fn created_bytes(path: &str, data: Option<&[u8]>) -> i64 {
    ZNODE_BYTES + (path.len() + length(data)) as i64
}

/// A znode that is not there fails for that reason.
fn changed_bytes(tree: &Tree, path: &str, data: Option<&[u8]>) -> i64 {
    tree.node(path).map_or(0, |node| length(data) as i64 - length(node.data()) as i64)
}

fn held_bytes(tree: &Tree, path: &str) -> i64 {
    tree.node(path).map_or(0, |node| ZNODE_BYTES + (path.len() + length(node.data())) as i64)
}

fn length(data: Option<&[u8]>) -> usize {
    data.map_or(0, <[u8]>::len)
}
