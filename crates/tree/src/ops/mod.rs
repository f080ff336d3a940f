//! From a request to a transaction, or to the error that it becomes: one file per operation.
//!
//! The order of checks is Java's (`PrepRequestProcessor`), because the first that fails is what the
//! client sees. Session checks come before all this and are not made here.

mod check;
mod close_session;
mod create;
mod delete;
mod delete_container;
mod multi;
mod quota_check;
mod reconfig;
mod set_acl;
mod set_data;

use std::borrow::Cow;

use zabd_jute::client::{CreateTtlRequest, DeleteRequest, MultiRequest, SetAclRequest, SetDataRequest};
use zabd_jute::txn::{Txn, TxnHeader};
use zabd_jute::{ErrorCode, OpCode};

use crate::acl::Caller;
use crate::pending::Pending;
use crate::tree::Tree;

/// A request for a change, decoded.
#[derive(Clone, Debug)]
pub enum WriteRequest<'a> {
    /// Opcodes 1, 15, 19, 21.
    Create {
        /// Which of them.
        op: OpCode,
        /// What to create; the TTL is −1 where the request has none.
        request: CreateTtlRequest<'a>,
    },
    /// Opcode 2.
    Delete(DeleteRequest<'a>),
    /// Opcode 5.
    SetData(SetDataRequest<'a>),
    /// Opcode 7.
    SetAcl(SetAclRequest<'a>),
    /// Opcode 14.
    Multi(MultiRequest<'a>),
    /// Opcode 16, when it is known what it asks for.
    Reconfig {
        /// The new configuration.
        text: &'a str,
    },
    /// A session begins.
    CreateSession {
        /// Its timeout.
        timeout_ms: i32,
    },
    /// A session ends.
    CloseSession,
    /// The reaper wants an outdated container or TTL znode gone.
    DeleteContainer {
        /// Which one.
        path: Cow<'a, str>,
    },
    /// A part of a session's end: one of its ephemerals goes before the rest.
    DeleteOwn {
        /// Which one.
        path: Cow<'a, str>,
    },
}

impl Pending {
    /// Checks a request against the tree and everything proposed, and plans what it changes. Yields the
    /// transaction and its type; a refused request is an error transaction, a multi of which one operation
    /// is refused is a multi of errors.
    pub fn prepare<'a>(
        &mut self,
        tree: &Tree,
        caller: &Caller<'_>,
        header: &TxnHeader,
        request: WriteRequest<'a>,
    ) -> (i32, Txn<'a>) {
        let prepared = self.prepare_one(tree, caller, header, request);
        prepared.unwrap_or_else(|error| (OpCode::Error.code(), Txn::Error { code: error.code() }))
    }

    fn prepare_one<'a>(
        &mut self,
        tree: &Tree,
        caller: &Caller<'_>,
        header: &TxnHeader,
        request: WriteRequest<'a>,
    ) -> Result<(i32, Txn<'a>), ErrorCode> {
        Ok(match request {
            WriteRequest::Create { op, request } => {
                create::check_opcode(op, request.create.flags, self.options.extended_types)?;
                let (kind, txn) = self.prepare_create(tree, caller, header, request)?;
                // Create and create2 differ in their reply alone. The type decides how the body is read back, so the
                // second may stand only where the first would.
                let logged = if kind == OpCode::Create && op == OpCode::Create2 { op } else { kind };
                (logged.code(), txn)
            }
            WriteRequest::Delete(request) => {
                (OpCode::Delete.code(), self.prepare_delete(tree, caller, header, request)?)
            }
            WriteRequest::SetData(request) => {
                (OpCode::SetData.code(), self.prepare_set_data(tree, caller, header, request)?)
            }
            WriteRequest::SetAcl(request) => {
                (OpCode::SetAcl.code(), self.prepare_set_acl(tree, caller, header, request)?)
            }
            WriteRequest::Reconfig { text } => {
                (OpCode::Reconfig.code(), self.prepare_reconfig(tree, caller, header, text)?)
            }
            WriteRequest::CreateSession { timeout_ms } => {
                (OpCode::CreateSession.code(), Txn::CreateSession { timeout_ms })
            }
            WriteRequest::CloseSession => {
                (OpCode::CloseSession.code(), self.prepare_close(tree, caller, header))
            }
            WriteRequest::DeleteContainer { path } => {
                (OpCode::DeleteContainer.code(), self.prepare_delete_container(tree, header, path)?)
            }
            WriteRequest::DeleteOwn { path } => {
                (OpCode::Delete.code(), self.prepare_delete_own(tree, header, path)?)
            }
            WriteRequest::Multi(multi) => {
                (OpCode::Multi.code(), self.prepare_multi(tree, caller, header, multi)?)
            }
        })
    }
}

/// Header, counts, lengths and digest of a record with one operation, and the number of a sequential name.
const ENTRY_OVERHEAD_BYTES: usize = 128;

impl Pending {
    /// How much more a record may hold that has this much beside its overhead.
    fn room(&self, bytes: usize) -> Option<usize> {
        self.options.entry_bytes_max.checked_sub(bytes + ENTRY_OVERHEAD_BYTES)
    }

    /// How long an access list may be beside path and data.
    fn acl_room(&self, bytes: usize) -> usize {
        self.room(bytes).unwrap_or(0)
    }
}

/// The text before the last slash, as the path of a znode; `None` without a slash or with a NUL.
pub(crate) fn parent_of(path: &str) -> Result<&str, ErrorCode> {
    if path.contains('\0') {
        return Err(ErrorCode::BadArguments);
    }
    match path.rfind('/') {
        None => Err(ErrorCode::BadArguments),
        Some(0) => Ok("/"),
        Some(slash) => Ok(&path[..slash]),
    }
}

/// A path as change records know it: the root has one name.
pub(crate) fn canonical(path: &str) -> &str {
    if path.is_empty() { "/" } else { path }
}

/// The version behind this one, if it is the expected one.
pub(crate) fn next_version(current: i32, expected: i32) -> Result<i32, ErrorCode> {
    if expected == -1 || expected == current {
        Ok(current.wrapping_add(1))
    } else {
        Err(ErrorCode::BadVersion)
    }
}
