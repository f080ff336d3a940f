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

use std::collections::BTreeMap;

use zabd_jute::client::{CreateMode, CreateRequest, MultiOp};
use zabd_jute::{ErrorCode, Limits, OpCode, Reader};
use zabd_tree::{Pending, Tree, WriteRequest};

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
pub(crate) fn grows(tree: &Tree, pending: &Pending, request: &Request, limits: Limits) -> bool {
    let Some(op) = OpCode::from_code(request.op) else { return false };
    match decode(op, &mut Reader::with_limits(&request.body, limits)) {
        Ok(Decoded::Write(write)) => growth_bytes(&mut Ahead::new(tree, pending), &write) > 0,
        _ => false,
    }
}

fn growth_bytes(ahead: &mut Ahead<'_>, write: &WriteRequest<'_>) -> i64 {
    match write {
        WriteRequest::Create { request, .. } => ahead.create(&request.create),
        WriteRequest::SetData(request) => ahead.set(&request.path, request.data),
        WriteRequest::SetAcl(request) => request.acl.as_ref().map_or(0, |list| ACL_BYTES * list.len() as i64),
        WriteRequest::Delete(request) => ahead.delete(&request.path),
        WriteRequest::Multi(multi) => multi.ops.iter().map(|op| part_bytes(ahead, op)).sum(),
        _ => 0,
    }
}

fn part_bytes(ahead: &mut Ahead<'_>, op: &MultiOp<'_>) -> i64 {
    match op {
        MultiOp::Create { request, .. } => ahead.create(&request.create),
        MultiOp::SetData(request) => ahead.set(&request.path, request.data),
        MultiOp::Delete(request) => ahead.delete(&request.path),
        MultiOp::Check(_) => 0,
    }
}

/// The znodes as they will be: the tree, what is proposed, and what the request has changed so far. Each change says how many bytes
/// it adds; one that would fail says what keeps nobody from hearing why.
struct Ahead<'t> {
    tree: &'t Tree,
    pending: &'t Pending,
    /// How long the data are of those that the request has changed; nothing of those that it deletes.
    changed: BTreeMap<String, Option<usize>>,
    /// Whether it creates znodes under names that are found later.
    has_unnamed: bool,
}

impl<'t> Ahead<'t> {
    fn new(tree: &'t Tree, pending: &'t Pending) -> Self {
        Self { tree, pending, changed: BTreeMap::new(), has_unnamed: false }
    }

    fn length(&self, path: &str) -> Option<usize> {
        self.changed.get(path).copied().unwrap_or_else(|| self.pending.data_length(self.tree, path))
    }

    fn create(&mut self, request: &CreateRequest<'_>) -> i64 {
        let length = request.data.map_or(0, <[u8]>::len);
        if CreateMode::from_flags(request.flags).is_some_and(CreateMode::is_sequential) {
            self.has_unnamed = true;
        } else {
            self.changed.insert(request.path.to_string(), Some(length));
        }
        node_bytes(&request.path, length)
    }

    fn set(&mut self, path: &str, data: Option<&[u8]>) -> i64 {
        let length = data.map_or(0, <[u8]>::len);
        let Some(before) = self.length(path) else {
            // It may be one that has just got its name, which the client may well have guessed.
            return if self.has_unnamed { length as i64 } else { 0 };
        };
        self.changed.insert(path.to_owned(), Some(length));
        length as i64 - before as i64
    }

    fn delete(&mut self, path: &str) -> i64 {
        let freed = self.length(path).map_or(0, |length| node_bytes(path, length));
        self.changed.insert(path.to_owned(), None);
        -freed
    }
}

fn node_bytes(path: &str, data_length: usize) -> i64 {
    ZNODE_BYTES + (path.len() + data_length) as i64
}
