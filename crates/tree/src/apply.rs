//! From a transaction to a changed tree.
//!
//! [`Tree::apply`] is for transactions that this server checked or a leader committed: it refuses
//! nothing, and a transaction that does not fit is a broken invariant. [`Tree::replay`] is its tolerant
//! sister for logs: over a fuzzy snapshot it meets effects that are already there, and converges,
//! because versions and counters are absolute or only ever raised.

use std::borrow::Cow;

use zabd_jute::txn::{CreateKind, CreateTxn, Entry, SubTxn, Txn, TxnDigest, TxnHeader};
use zabd_jute::{Acl, ConfigVersion, ErrorCode, OpCode, SessionId, Stat, StatPersisted, Zxid, path};
use zabd_mutation::{Mutation, is_on};

use crate::nodes::NodeId;
use crate::owner::{Owner, is_ttl_or_session};
use crate::pending::Foreseen;
use crate::tree::Tree;

/// One change that watches may wait for, in the order in which they must fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// A znode came.
    Created {
        /// Where.
        path: &'a str,
        /// Who may read it; empty for everybody.
        acl: &'a [Acl<'static>],
        /// Who may read its parent.
        parent_acl: &'a [Acl<'static>],
    },
    /// A znode went.
    Deleted {
        /// Where.
        path: &'a str,
        /// Who could read it.
        acl: &'a [Acl<'static>],
        /// Who may read its parent.
        parent_acl: &'a [Acl<'static>],
    },
    /// A znode's data was set.
    DataChanged {
        /// Where.
        path: &'a str,
        /// Who may read it.
        acl: &'a [Acl<'static>],
    },
}

/// What an operation leaves for its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpResult {
    /// A znode was made.
    Created {
        /// Its stat.
        stat: Stat,
    },
    /// A znode was removed.
    Deleted,
    /// Data or access list were set.
    Set {
        /// The stat behind it.
        stat: Stat,
    },
    /// A version was as expected.
    Checked,
    /// A session began.
    SessionCreated,
    /// A session ended.
    SessionClosed,
    /// The operation was refused, or stands in a multi that was.
    Error {
        /// 0 for those before the culprit.
        code: i32,
    },
}

/// What became of a znode with a time to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TtlChange {
    /// It was made.
    Created,
    /// It was removed, by whomever.
    Deleted,
}

/// Who wants to know what a transaction does.
pub trait Effects {
    /// A watch may wait for this.
    fn change(&mut self, change: Change<'_>);
    /// An operation is done; a multi has many.
    fn result(&mut self, result: OpResult);
    /// A znode with a time to live came or went.
    fn ttl_node(&mut self, _: TtlChange) {}
}

/// Nobody wants to know.
impl Effects for () {
    fn change(&mut self, _: Change<'_>) {}
    fn result(&mut self, _: OpResult) {}
}

/// What replaying one record showed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// It was in the tree already.
    pub skipped: bool,
    /// The record says that the digest is another.
    pub digest_mismatch: Option<DigestMismatch>,
}

/// Two servers disagree about the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DigestMismatch {
    /// Behind which transaction.
    pub zxid: Zxid,
    /// What the record or snapshot says.
    pub expected: u64,
    /// What the tree is.
    pub actual: u64,
}

/// What becomes of a counter of children when a record says `recorded`; nothing, if it stays, and its zxid with it. It only
/// rises: over a fuzzy snapshot it may be ahead, and behind 2³¹−1 the next number is a smaller one. Java's
/// `DataTree.createNode`; every member must do the same with the same record.
pub(crate) fn raised_cversion(before: i32, recorded: i32) -> Option<i32> {
    let recorded = if recorded == -1 { before.wrapping_add(1) } else { recorded };
    (recorded > before).then_some(recorded)
}

/// The tree's digest behind a record, if the record says it in the way that this tree counts it.
fn stated_digest(entry: &Entry<'_>) -> Option<u64> {
    entry.digest.filter(|digest| digest.version == TxnDigest::VERSION).map(|digest| digest.tree)
}

impl Tree {
    /// Applies one committed transaction. Every replica runs this on the same input, so it reads no
    /// clock and refuses nothing: a request that had to be refused was turned into an error before it
    /// was proposed.
    pub fn apply(&mut self, entry: &Entry<'_>, foreseen: Option<Foreseen>, effects: &mut impl Effects) {
        assert!(self.last_zxid < entry.header.zxid, "transactions are applied once, in zxid order");
        self.perform(&entry.header, &entry.txn, foreseen, effects);
        self.last_zxid = entry.header.zxid;
        self.note_digest();
        if let Some(mismatch) = self.compare_digest(entry) {
            panic!("the tree is not what was proposed: {mismatch:?}");
        }
    }

    /// Applies one transaction that another server checked. Two servers that disagree about the tree both go
    /// on, as Java's do; whoever runs them is told.
    pub fn follow(
        &mut self,
        entry: &Entry<'_>,
        foreseen: Option<Foreseen>,
        effects: &mut impl Effects,
    ) -> Option<DigestMismatch> {
        assert!(self.last_zxid < entry.header.zxid, "transactions are applied once, in zxid order");
        self.perform(&entry.header, &entry.txn, foreseen, effects);
        self.last_zxid = entry.header.zxid;
        self.note_digest();
        self.compare_digest(entry)
    }

    /// The configuration of the ensemble that this server serves in, as every member of one sets it for itself: it is
    /// no transaction, and no part of the digest. Java's `ZKDatabase.initConfigInZKDatabase`.
    pub fn set_configuration(&mut self, text: &str, version: ConfigVersion, time_ms: i64) {
        if self.node("/zookeeper").is_none() {
            return;
        }
        if self.node("/zookeeper/config").is_none() {
            // Servers before 3.5 had none, nor have those that serve alone from what they left.
            self.attach_system("/zookeeper/config");
        }
        let (zxid, kind) = (Zxid(version.0), OpCode::SetData.code());
        let header = TxnHeader { session: SessionId::NONE, cxid: 0, zxid, time_ms, kind };
        let txn = Txn::SetData { path: "/zookeeper/config".into(), data: Some(text.as_bytes()), version: -1 };
        self.perform(&header, &txn, None, &mut ());
    }

    /// Applies one record of a log.
    pub fn replay(&mut self, entry: &Entry<'_>) -> Replayed {
        if entry.header.zxid <= self.last_zxid {
            return Replayed { skipped: true, digest_mismatch: None };
        }
        self.perform(&entry.header, &entry.txn, None, &mut ());
        self.last_zxid = entry.header.zxid;
        self.note_digest();
        let digest_mismatch = match self.promised_digest {
            // Effects of later transactions may be in the tree until this one is reached.
            Some((zxid, _)) if self.last_zxid < zxid => None,
            Some((zxid, expected)) => {
                self.promised_digest = None;
                self.doubted_digest =
                    (self.options.digest && self.last_zxid == zxid && expected != self.digest)
                        .then_some(DigestMismatch { zxid, expected, actual: self.digest });
                None
            }
            None => self.settle_doubt(entry),
        };
        Replayed { skipped: false, digest_mismatch }
    }

    /// A digest that the replay did not find, while no later record has settled whether that is a fault.
    ///
    /// - Java promises the digest of the transaction that it has applied last, and changes the znodes of the next one
    ///   before it notes that (`DataTree.serializeZxidDigest`, `processTxn`): a whole snapshot may hold one transaction
    ///   more than it promises. The record behind it brings the digest of both, and decides.
    /// - The snapshot that a Java leader streams promises nothing (`SerializeUtils.serializeSnapshot`), and may hold any
    ///   number of transactions more than it says. The first record that finds its digest ends the doubt.
    pub fn doubted_digest(&self) -> Option<DigestMismatch> {
        self.doubted_digest
    }

    /// Compares a replayed record's digest where no promise says up to where the tree may be ahead of it.
    fn settle_doubt(&mut self, entry: &Entry<'_>) -> Option<DigestMismatch> {
        stated_digest(entry)?;
        let mismatch = self.compare_digest(entry);
        if mismatch.is_some() && self.promises_nothing {
            self.doubted_digest = mismatch;
            return None;
        }
        self.doubted_digest = None;
        self.promises_nothing = false;
        mismatch
    }

    fn compare_digest(&self, entry: &Entry<'_>) -> Option<DigestMismatch> {
        let expected = stated_digest(entry).filter(|_| !is_on(Mutation::DigestIgnored))?;
        let (zxid, actual) = (entry.header.zxid, self.digest);
        (self.options.digest && expected != actual).then_some(DigestMismatch { zxid, expected, actual })
    }

    fn perform(
        &mut self,
        header: &TxnHeader,
        txn: &Txn<'_>,
        foreseen: Option<Foreseen>,
        effects: &mut impl Effects,
    ) {
        let result = match txn {
            Txn::CreateSession { timeout_ms } => {
                self.add_session(header.session, *timeout_ms);
                OpResult::SessionCreated
            }
            Txn::CloseSession { paths } => {
                self.close_session(header, paths.as_deref().unwrap_or_default(), effects);
                OpResult::SessionClosed
            }
            Txn::Multi(parts) => return self.multi(header, parts, effects),
            txn => self.operation(header, txn, foreseen, effects),
        };
        effects.result(result);
    }

    fn operation(
        &mut self,
        header: &TxnHeader,
        txn: &Txn<'_>,
        foreseen: Option<Foreseen>,
        effects: &mut impl Effects,
    ) -> OpResult {
        match txn {
            Txn::Create(create) => self.create(header, create, foreseen, effects),
            Txn::Delete { path } => self.delete(header.zxid, path, effects),
            Txn::SetData { path, data, version } => {
                self.set_data(header, path, *data, *version, foreseen, effects)
            }
            Txn::SetAcl { path, acl, version } => self.set_acl(path, acl, *version),
            Txn::Check { .. } => OpResult::Checked,
            Txn::Error { code } => OpResult::Error { code: *code },
            Txn::CreateSession { .. } | Txn::CloseSession { .. } | Txn::Multi(_) => {
                unreachable!("sessions and multis are no operations of a multi")
            }
        }
    }

    /// All or, if one is an error, nothing.
    fn multi(&mut self, header: &TxnHeader, parts: &[SubTxn<'_>], effects: &mut impl Effects) {
        let failed = parts.iter().any(|part| matches!(part.txn, Txn::Error { .. }));
        for part in parts {
            let result = match &part.txn {
                txn if is_on(Mutation::MultiNotAtomic) => self.operation(header, txn, None, effects),
                Txn::Error { code } => OpResult::Error { code: *code },
                _ if failed => OpResult::Error { code: 0 },
                txn => self.operation(header, txn, None, effects),
            };
            effects.result(result);
        }
    }

    /// The znode at a path, whose slot may be known.
    fn find(&self, path: &str, foreseen: Option<Foreseen>) -> Option<NodeId> {
        let Some(Foreseen(id)) = foreseen else { return self.nodes.resolve(path) };
        assert!(self.nodes.is_at(id, path), "the slot that was foreseen for {path} is another znode's");
        Some(id)
    }

    fn create(
        &mut self,
        header: &TxnHeader,
        create: &CreateTxn<'_>,
        foreseen: Option<Foreseen>,
        effects: &mut impl Effects,
    ) -> OpResult {
        let missing = OpResult::Error { code: ErrorCode::NoNode.code() };
        let Some((parent_path, name)) = path::split(&create.path) else { return missing };
        let Some(parent) = self.find(parent_path, foreseen) else { return missing };
        if let Some(existing) = self.nodes.child(parent, name) {
            self.recreate(header, create, parent, existing);
            return OpResult::Error { code: ErrorCode::NodeExists.code() };
        }
        self.raise_cversion(header.zxid, parent, create.parent_cversion);
        let owner = match create.kind {
            CreateKind::Plain { ephemeral: true } => Owner::Session(header.session),
            CreateKind::Plain { ephemeral: false } => Owner::Nobody,
            CreateKind::Container => Owner::Container,
            CreateKind::Ttl { ttl_ms } => Owner::Ttl { ttl_ms },
        };
        let stat = StatPersisted {
            czxid: header.zxid,
            mzxid: header.zxid,
            pzxid: header.zxid,
            ctime_ms: header.time_ms,
            mtime_ms: header.time_ms,
            ephemeral_owner: owner.stored(),
            ..StatPersisted::default()
        };
        let id = self.attach(parent, &create.path, create.data, &create.acl, stat);
        // As it was asked for: what follows may write the text of a quota's usage over it.
        let stat = self.stat_of(id);
        if matches!(owner, Owner::Ttl { .. }) {
            effects.ttl_node(TtlChange::Created);
        }
        self.count_usage(&create.path, 1, create.data.map_or(0, <[u8]>::len) as i64);
        effects.change(Change::Created {
            path: &create.path,
            acl: self.acls.list(self.nodes.get(id).acl),
            parent_acl: self.acls.list(self.nodes.get(parent).acl),
        });
        OpResult::Created { stat }
    }

    /// A replayed creation of a znode that a fuzzy snapshot has already: the snapshot may have its
    /// parent from before it, and its list from a table that lacks it.
    fn recreate(&mut self, header: &TxnHeader, create: &CreateTxn<'_>, parent: NodeId, existing: NodeId) {
        self.raise_cversion(header.zxid, parent, create.parent_cversion);
        if self.nodes.get(existing).stat.czxid == header.zxid && self.nodes.get(existing).stat.aversion == 0 {
            self.change_acl(existing, &create.acl);
        }
    }

    fn raise_cversion(&mut self, zxid: Zxid, parent: NodeId, cversion: i32) {
        if let Some(raised) = raised_cversion(self.nodes.get(parent).stat.cversion, cversion) {
            self.change_stat(parent, |stat| {
                stat.cversion = raised;
                stat.pzxid = zxid;
            });
        }
    }

    fn delete(&mut self, zxid: Zxid, path: &str, effects: &mut impl Effects) -> OpResult {
        let missing = OpResult::Error { code: ErrorCode::NoNode.code() };
        let Some((parent_path, name)) = path::split(path) else { return missing };
        let Some(parent) = self.nodes.resolve(parent_path) else { return missing };
        if self.nodes.get(parent).stat.pzxid < zxid {
            self.change_stat(parent, |stat| stat.pzxid = zxid);
        }
        let Some(id) = self.nodes.child(parent, name) else { return missing };
        if self.nodes.get(id).num_children() > 0 {
            // Only a damaged log can ask for this; orphans would be worse.
            return OpResult::Error { code: ErrorCode::NotEmpty.code() };
        }
        let bytes = self.nodes.get(id).data().map_or(0, <[u8]>::len) as i64;
        let acl: Cow<'_, [Acl<'static>]> = self.acls.list(self.nodes.get(id).acl).to_vec().into();
        if matches!(self.owner(&self.nodes.get(id).stat), Owner::Ttl { .. }) {
            effects.ttl_node(TtlChange::Deleted);
        }
        self.detach(id, path);
        self.count_usage(path, -1, -bytes);
        let parent_acl = self.acls.list(self.nodes.get(parent).acl);
        effects.change(Change::Deleted { path, acl: &acl, parent_acl });
        OpResult::Deleted
    }

    fn set_data(
        &mut self,
        header: &TxnHeader,
        path: &str,
        data: Option<&[u8]>,
        version: i32,
        foreseen: Option<Foreseen>,
        effects: &mut impl Effects,
    ) -> OpResult {
        let Some(id) = self.find(path, foreseen) else {
            return OpResult::Error { code: ErrorCode::NoNode.code() };
        };
        let before = self.nodes.get(id).data().map_or(0, <[u8]>::len) as i64;
        self.change_data(id, path, data, |stat| {
            stat.version = version;
            stat.mzxid = header.zxid;
            stat.mtime_ms = header.time_ms;
        });
        let bytes = data.map_or(0, <[u8]>::len) as i64 - before;
        if !self.quotas.is_empty() {
            self.count_usage(path, 0, bytes);
        }
        effects.change(Change::DataChanged { path, acl: self.acls.list(self.nodes.get(id).acl) });
        OpResult::Set { stat: self.stat_of(id) }
    }

    fn set_acl(&mut self, path: &str, acl: &[Acl<'_>], version: i32) -> OpResult {
        let Some(id) = self.nodes.resolve(path) else {
            return OpResult::Error { code: ErrorCode::NoNode.code() };
        };
        self.change_acl(id, acl);
        self.change_stat(id, |stat| stat.aversion = version);
        OpResult::Set { stat: self.stat_of(id) }
    }

    /// The session's ephemerals go with it: those that the transaction names, then any others, both in Java's order.
    fn close_session(&mut self, header: &TxnHeader, paths: &[Cow<'_, str>], effects: &mut impl Effects) {
        if is_ttl_or_session(header.session) {
            // A snapshot that was written meanwhile may hold neither its beginning nor its name.
            self.add_session(header.session, 0);
        }
        self.sessions.remove(&header.session);
        if is_on(Mutation::EphemeralsStay) {
            return;
        }
        for path in paths {
            self.delete(header.zxid, path, effects);
        }
        for path in self.ephemerals_as_listed(header.session) {
            self.delete(header.zxid, &path, effects);
        }
    }

    /// Removes the ephemerals of sessions that are not in the table, as every server does behind its
    /// recovery; yields what was removed.
    pub fn remove_dead_sessions(&mut self) -> Vec<String> {
        let owners: Vec<SessionId> = self.sessions_with_ephemerals().collect();
        let mut removed = Vec::new();
        for owner in owners.into_iter().filter(|owner| !self.sessions.contains_key(owner)).collect::<Vec<_>>()
        {
            for path in self.ephemerals(owner) {
                self.delete(self.last_zxid, &path, &mut ());
                removed.push(path);
            }
        }
        removed
    }

    fn stat_of(&self, id: NodeId) -> Stat {
        let node = self.nodes.get(id);
        crate::tree::wire_stat(&node.stat, self.owner(&node.stat), node.data(), node.num_children())
    }
}
