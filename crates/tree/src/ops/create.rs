//! Create: a new znode of any kind, its name numbered if asked for.

use std::borrow::Cow;
use zabd_jute::client::{CreateMode, CreateTtlRequest};
use zabd_jute::txn::{CreateKind, CreateTxn, Txn, TxnHeader};
use zabd_jute::{ErrorCode, OpCode, StatPersisted, path, perms};
use zabd_mutation::{Mutation, is_on};

use super::{canonical, parent_of};
use crate::acl::{self, Caller};
use crate::apply::raised_cversion;
use crate::owner::{Owner, TTL_MS_MAX};
use crate::pending::{Pending, Planned, PlannedAcl, planned_crc};
use crate::quota;
use crate::tree::Tree;

/// Outside a multi the operation and the flags must agree: they decide together what is logged, and a
/// record that says two things at once must not exist. A plain creation with a container's flags says one thing: Go's client
/// asks so for a container, and gets one, as in a multi. (Java logs an ordinary znode, whose digest it then contradicts.)
pub(super) fn check_opcode(op: OpCode, flags: i32, extended_types: bool) -> Result<(), ErrorCode> {
    let mode = CreateMode::from_flags(flags).ok_or(ErrorCode::BadArguments)?;
    if mode.is_ttl() && !extended_types {
        return Err(ErrorCode::Unimplemented);
    }
    let agrees = match op {
        OpCode::CreateContainer => mode.is_container(),
        OpCode::CreateTtl => mode.is_ttl(),
        _ => !mode.is_ttl(),
    };
    if agrees { Ok(()) } else { Err(ErrorCode::BadArguments) }
}

impl Pending {
    /// The flags choose the kind. Yields the record's type and the transaction.
    pub(super) fn prepare_create<'a>(
        &mut self,
        tree: &Tree,
        caller: &Caller<'_>,
        header: &TxnHeader,
        request: CreateTtlRequest<'a>,
    ) -> Result<(OpCode, Txn<'a>), ErrorCode> {
        let CreateTtlRequest { create, ttl_ms } = request;
        let mode = self.check_mode(create.flags, ttl_ms)?;
        if let Some(error) = caller.no_ephemerals.filter(|_| mode.is_ephemeral()) {
            return Err(error);
        }
        // The whole path begins with it, whatever number is appended.
        let parent_length = parent_of(&create.path)?.len();
        let data_length = create.data.map_or(0, <[u8]>::len);
        let room = self.acl_room(create.path.len() + data_length);
        let acl = acl::fix_up(create.acl.as_deref(), caller, self.options.schemes, room)?;
        let parent_path = &create.path[..parent_length];
        let parent = self.get(tree, parent_path).ok_or(ErrorCode::NoNode)?;
        let is_below_ephemeral = matches!(tree.owner(&parent.stat), Owner::Session(_))
            || self.will_be_ephemeral(&parent, parent_path);
        let parent_acl = Pending::acl(tree, &parent);
        acl::check(parent_acl, perms::CREATE, caller, self.options.skip_acl)?;
        let final_path = if mode.is_sequential() {
            Cow::Owned(format!("{}{:010}", create.path, parent.stat.cversion))
        } else {
            create.path
        };
        path::validate(&final_path).map_err(|_| ErrorCode::BadArguments)?;
        if self.get(tree, &final_path).is_some() {
            return Err(ErrorCode::NodeExists);
        }
        if is_below_ephemeral {
            return Err(ErrorCode::NoChildrenForEphemerals);
        }
        if quota::are_nobodys_limits(&final_path) {
            return Err(ErrorCode::BadArguments);
        }
        self.check_quota(tree, &final_path, data_length as i64, 1)?;

        let (op, kind, owner) = match mode {
            _ if mode.is_container() => (OpCode::CreateContainer, CreateKind::Container, Owner::Container),
            _ if mode.is_ttl() => (OpCode::CreateTtl, CreateKind::Ttl { ttl_ms }, Owner::Ttl { ttl_ms }),
            _ if mode.is_ephemeral() => {
                (OpCode::Create, CreateKind::Plain { ephemeral: true }, Owner::Session(caller.session))
            }
            _ => (OpCode::Create, CreateKind::Plain { ephemeral: false }, Owner::Nobody),
        };
        let parent_cversion =
            parent.stat.cversion.wrapping_add(1 + i32::from(is_on(Mutation::CversionOffByOne)));
        let mut raised = parent.clone();
        // What applying will make of it. Java counts on here, and then finds another digest than it logged.
        if let Some(cversion) = raised_cversion(parent.stat.cversion, parent_cversion) {
            raised.stat.cversion = cversion;
            raised.stat.pzxid = header.zxid;
        }
        raised.num_children += 1;
        let node = Planned {
            stat: StatPersisted {
                czxid: header.zxid,
                mzxid: header.zxid,
                pzxid: header.zxid,
                ctime_ms: header.time_ms,
                mtime_ms: header.time_ms,
                ephemeral_owner: owner.stored(),
                ..StatPersisted::default()
            },
            num_children: 0,
            prefix_crc: planned_crc(&final_path, create.data),
            data_length,
            acl: PlannedAcl::new(&acl),
            id: None,
        };
        let parent_path = canonical(&final_path[..parent_length]);
        self.plan(tree, header.zxid, parent_path, Some(&parent), Some(raised));
        self.plan(tree, header.zxid, &final_path, None, Some(node));
        if mode.is_ephemeral() {
            self.plan_ephemeral(caller.session, &final_path);
        }
        let txn = CreateTxn { path: final_path, data: create.data, acl, kind, parent_cversion };
        Ok((op, Txn::Create(txn)))
    }

    fn check_mode(&self, flags: i32, ttl_ms: i64) -> Result<CreateMode, ErrorCode> {
        let mode = CreateMode::from_flags(flags).ok_or(ErrorCode::BadArguments)?;
        if mode.is_ttl() && !self.options.extended_types {
            return Err(ErrorCode::Unimplemented);
        }
        let is_valid = if mode.is_ttl() { (1..=TTL_MS_MAX).contains(&ttl_ms) } else { ttl_ms < 0 };
        if is_valid { Ok(mode) } else { Err(ErrorCode::BadArguments) }
    }
}
