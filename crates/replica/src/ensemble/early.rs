//! `enableEagerACLCheck`: a member refuses a write that the access lists of its own tree forbid, before it costs the ensemble anything.
//!
//! Such a write takes no zxid. Where a request of the same connection waits for its answer, it may change
//! what is looked at here, and answers keep their order; then the write goes the way of all others, where it is checked as well. A lone
//! server checks nothing early, as Java's.
//!
//! Java's `ZooKeeperServer.authWriteRequest`, which looks at these five requests too; its answer names no zxid, and overtakes others.

use std::borrow::Cow;

use zabd_jute::{ErrorCode, OpCode, Reader, perms};
use zabd_tree::{Caller, Tree, WriteRequest, allows, fix_up};

use crate::input::Request;
use crate::pipeline::Replica;
use crate::write::{Decoded, decode};

impl Replica {
    /// With which error a request is refused before anybody else hears of it.
    pub(crate) fn refusal_before_all(&self, tree: &Tree, request: &Request) -> Option<ErrorCode> {
        let ensemble = self.ensemble.as_ref().filter(|_| self.options.member.checks_access_early)?;
        if ensemble.learning.is_awaited_by(request.conn) || self.is_awaited_by(request.conn) {
            return None;
        }
        let op = OpCode::from_code(request.op)?;
        if !matches!(op, OpCode::Create | OpCode::Create2 | OpCode::Delete | OpCode::SetData | OpCode::SetAcl)
        {
            return None;
        }
        let decoded = decode(op, &mut Reader::with_limits(&request.body, self.options.read.limits)).ok()?;
        let Decoded::Write(write) = decoded else { return None };
        let (path, wanted, list) = match &write {
            WriteRequest::Create { request, .. } => {
                (parent(&request.create.path)?, perms::CREATE, Some(&request.create.acl))
            }
            WriteRequest::Delete(request) => (parent(&request.path)?, perms::DELETE, None),
            WriteRequest::SetData(request) => (Cow::Borrowed(&*request.path), perms::WRITE, None),
            WriteRequest::SetAcl(request) => {
                (Cow::Borrowed(&*request.path), perms::ADMIN, Some(&request.acl))
            }
            _ => return None,
        };
        let check = &self.options.check;
        if let Some(list) = list {
            let caller = Caller { session: request.session, ids: &request.identities, no_ephemerals: None };
            if fix_up(list.as_deref(), &caller, check.schemes, usize::MAX) == Err(ErrorCode::InvalidAcl) {
                return Some(ErrorCode::InvalidAcl);
            }
        }
        let node = tree.node(&path)?;
        let is_allowed = allows(node.acl(), wanted, &request.identities, check.skip_acl);
        (!is_allowed).then_some(ErrorCode::NoAuth)
    }
}

fn parent(path: &str) -> Option<Cow<'_, str>> {
    let (parent, _) = path.rsplit_once('/')?;
    Some(Cow::Borrowed(if parent.is_empty() { "/" } else { parent }))
}
