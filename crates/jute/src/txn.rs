//! What the log holds: a header, a transaction body, and the digest of the tree behind it.
//!
//! ```text
//! entry = TxnHeader (32 bytes) · body, by the header's type · TxnDigest (12 bytes, optional)
//! ```
//!
//! [`Entry::decode`] finds out from the bytes that are left whether there is a digest, and tells the
//! bodyless `closeSession` of older servers from the one with a list of paths. Follows Java's
//! `SerializeUtils.deserializeTxn` and the records of `org.apache.zookeeper.txn`.

use std::borrow::Cow;

use crate::{Acl, DecodeError, OpCode, Reader, Record, SessionId, Writer, Zxid};

/// `TxnHeader { long clientId; int cxid; long zxid; long time; int type; }`, 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxnHeader {
    /// The session that asked; 0 for the reaper.
    pub session: SessionId,
    /// The request's xid; 0 for session creation, expiry and the reaper.
    pub cxid: i32,
    /// The transaction's position.
    pub zxid: Zxid,
    /// Wall-clock milliseconds of the server that prepared it.
    pub time_ms: i64,
    /// What the body is; a number, because logs hold types that this server never writes.
    pub kind: i32,
}

/// `TxnDigest { int version; long treeDigest; }`, 12 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxnDigest {
    /// 2 in every release.
    pub version: i32,
    /// The digest of the whole tree behind the transaction.
    pub tree: u64,
}

impl TxnDigest {
    /// The only version that any release wrote.
    pub const VERSION: i32 = 2;
}

/// A new znode: `CreateTxn`, `CreateContainerTxn`, `CreateTTLTxn`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTxn<'a> {
    /// The final path, sequence suffix included.
    pub path: Cow<'a, str>,
    /// Null and empty differ.
    pub data: Option<&'a [u8]>,
    /// Expanded; a log may hold null, which means none.
    pub acl: Vec<Acl<'a>>,
    /// What kind of znode it is.
    pub kind: CreateKind,
    /// The parent's stored cversion behind this creation; −1 means its cversion plus one.
    pub parent_cversion: i32,
}

/// Which of the four create records a [`CreateTxn`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateKind {
    /// Types 1 and 15: an ordinary znode, or an ephemeral of the header's session.
    Plain {
        /// Whether the header's session owns it.
        ephemeral: bool,
    },
    /// Type 19.
    Container,
    /// Type 21.
    Ttl {
        /// Milliseconds.
        ttl_ms: i64,
    },
}

/// A transaction's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Txn<'a> {
    /// −10 `CreateSessionTxn`.
    CreateSession {
        /// The negotiated timeout.
        timeout_ms: i32,
    },
    /// −11 `CloseSessionTxn`; `None` is the bodyless form of older servers.
    CloseSession {
        /// The ephemerals that end with the session.
        paths: Option<Vec<Cow<'a, str>>>,
    },
    /// −1 `ErrorTxn`: a request that failed.
    Error {
        /// The code of the reply.
        code: i32,
    },
    /// 1, 15, 19, 21.
    Create(CreateTxn<'a>),
    /// 2 `DeleteTxn`, and 20, the reaper's.
    Delete {
        /// What to delete.
        path: Cow<'a, str>,
    },
    /// 5 `SetDataTxn`, and 16, reconfig.
    SetData {
        /// Where.
        path: Cow<'a, str>,
        /// Null and empty differ.
        data: Option<&'a [u8]>,
        /// The resulting version.
        version: i32,
    },
    /// 7 `SetACLTxn`.
    SetAcl {
        /// Where.
        path: Cow<'a, str>,
        /// Expanded.
        acl: Vec<Acl<'a>>,
        /// The resulting aversion.
        version: i32,
    },
    /// 13 `CheckVersionTxn`: no effect.
    Check {
        /// Where.
        path: Cow<'a, str>,
        /// The checked version plus one.
        version: i32,
    },
    /// 14 `MultiTxn`: all or, if one is an error, nothing.
    Multi(Vec<SubTxn<'a>>),
}

/// One operation of a multi: `Txn { int type; buffer data; }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubTxn<'a> {
    /// The operation's type.
    pub kind: i32,
    /// Creation, deletion, new data, check, or error.
    pub txn: Txn<'a>,
}

/// One record of the log, without its framing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Who, when, where.
    pub header: TxnHeader,
    /// What.
    pub txn: Txn<'a>,
    /// The tree's digest behind it, if the writer kept digests.
    pub digest: Option<TxnDigest>,
}

impl Record<'_> for TxnHeader {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            session: r.session()?,
            cxid: r.int()?,
            zxid: r.zxid()?,
            time_ms: r.long()?,
            kind: r.int()?,
        })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        w.session(self.session);
        w.int(self.cxid);
        w.zxid(self.zxid);
        w.long(self.time_ms);
        w.int(self.kind);
    }
}

impl Record<'_> for TxnDigest {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { version: r.int()?, tree: r.long()? as u64 })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        w.int(self.version);
        w.long(self.tree as i64);
    }
}

fn decode_create<'a>(r: &mut Reader<'a>, kind: i32) -> Result<CreateTxn<'a>, DecodeError> {
    let path = r.ustring()?;
    let data = r.buffer()?;
    let acl = r.vector_or_null(Acl::decode)?.unwrap_or_default();
    let plain = kind == OpCode::Create.code() || kind == OpCode::Create2.code();
    let ephemeral = plain && r.boolean()?;
    // Servers before 3.4 wrote no parent cversion; no server wrote a digest behind such a record.
    let parent_cversion = if plain && r.remaining().is_empty() { -1 } else { r.int()? };
    let kind = if plain {
        CreateKind::Plain { ephemeral }
    } else if kind == OpCode::CreateTtl.code() {
        CreateKind::Ttl { ttl_ms: r.long()? }
    } else {
        CreateKind::Container
    };
    Ok(CreateTxn { path, data, acl, kind, parent_cversion })
}

/// Whether what is left behind a `closeSession` header is no body: nothing, or only a digest.
fn is_bodyless(remaining: &[u8]) -> bool {
    remaining.is_empty() || (remaining.len() == 12 && remaining[..4] == TxnDigest::VERSION.to_be_bytes())
}

impl<'a> Txn<'a> {
    /// Reads the body of a transaction of type `kind`.
    pub fn decode(r: &mut Reader<'a>, kind: i32) -> Result<Self, DecodeError> {
        let offset = r.offset();
        let Some(op) = OpCode::from_code(kind) else {
            return Err(DecodeError::UnknownValue { value: kind, offset });
        };
        Ok(match op {
            OpCode::CreateSession => Txn::CreateSession { timeout_ms: r.int()? },
            OpCode::CloseSession if is_bodyless(r.remaining()) => Txn::CloseSession { paths: None },
            OpCode::CloseSession => Txn::CloseSession { paths: Some(r.vector(Reader::ustring)?) },
            OpCode::Error => Txn::Error { code: r.int()? },
            OpCode::Create | OpCode::Create2 | OpCode::CreateContainer | OpCode::CreateTtl => {
                Txn::Create(decode_create(r, kind)?)
            }
            OpCode::Delete | OpCode::DeleteContainer => Txn::Delete { path: r.ustring()? },
            OpCode::SetData | OpCode::Reconfig => {
                Txn::SetData { path: r.ustring()?, data: r.buffer()?, version: r.int()? }
            }
            OpCode::SetAcl => Txn::SetAcl {
                path: r.ustring()?,
                acl: r.vector_or_null(Acl::decode)?.unwrap_or_default(),
                version: r.int()?,
            },
            OpCode::Check => Txn::Check { path: r.ustring()?, version: r.int()? },
            OpCode::Multi => Txn::Multi(r.vector(SubTxn::decode)?),
            _ => return Err(DecodeError::UnknownValue { value: kind, offset }),
        })
    }

    /// Whether a body of type `kind` is read as this kind of transaction.
    fn is_of_type(&self, kind: i32) -> bool {
        let Some(op) = OpCode::from_code(kind) else { return false };
        match self {
            Txn::CreateSession { .. } => op == OpCode::CreateSession,
            Txn::CloseSession { .. } => op == OpCode::CloseSession,
            Txn::Error { .. } => op == OpCode::Error,
            Txn::Create(create) => match create.kind {
                CreateKind::Plain { .. } => matches!(op, OpCode::Create | OpCode::Create2),
                CreateKind::Container => op == OpCode::CreateContainer,
                CreateKind::Ttl { .. } => op == OpCode::CreateTtl,
            },
            Txn::Delete { .. } => matches!(op, OpCode::Delete | OpCode::DeleteContainer),
            Txn::SetData { .. } => matches!(op, OpCode::SetData | OpCode::Reconfig),
            Txn::SetAcl { .. } => op == OpCode::SetAcl,
            Txn::Check { .. } => op == OpCode::Check,
            Txn::Multi(_) => op == OpCode::Multi,
        }
    }

    fn assert_reads_back_as(&self, kind: i32) {
        assert!(self.is_of_type(kind), "a transaction of type {kind} would not be read back as {self:?}");
    }

    /// Appends the body; its type goes into the header.
    pub fn encode(&self, w: &mut Writer<'_>) {
        match self {
            Txn::CreateSession { timeout_ms } => w.int(*timeout_ms),
            Txn::CloseSession { paths } => {
                if let Some(paths) = paths {
                    w.vector(paths, |w, path| w.ustring(path));
                }
            }
            Txn::Error { code } => w.int(*code),
            Txn::Create(create) => {
                w.ustring(&create.path);
                w.buffer(create.data);
                w.vector(&create.acl, |w, acl| acl.encode(w));
                if let CreateKind::Plain { ephemeral } = create.kind {
                    w.boolean(ephemeral);
                }
                w.int(create.parent_cversion);
                if let CreateKind::Ttl { ttl_ms } = create.kind {
                    w.long(ttl_ms);
                }
            }
            Txn::Delete { path } => w.ustring(path),
            Txn::SetData { path, data, version } => {
                w.ustring(path);
                w.buffer(*data);
                w.int(*version);
            }
            Txn::SetAcl { path, acl, version } => {
                w.ustring(path);
                w.vector(acl, |w, acl| acl.encode(w));
                w.int(*version);
            }
            Txn::Check { path, version } => {
                w.ustring(path);
                w.int(*version);
            }
            Txn::Multi(parts) => w.vector(parts, |w, part| part.encode(w)),
        }
    }
}

/// What may stand in a multi: what Java's `DataTree.processTxn` takes there.
fn is_operation(op: OpCode) -> bool {
    use OpCode as Op;
    matches!(
        op,
        Op::Create
            | Op::Create2
            | Op::CreateContainer
            | Op::CreateTtl
            | Op::Delete
            | Op::DeleteContainer
            | Op::SetData
            | Op::Check
            | Op::Error
    )
}

impl<'a> SubTxn<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let offset = r.offset();
        let kind = r.int()?;
        let body = r.buffer()?.ok_or(DecodeError::Null { offset })?;
        if !OpCode::from_code(kind).is_some_and(is_operation) {
            // Nesting has no meaning, and decoding it would recurse as deep as the bytes say.
            return Err(DecodeError::UnknownValue { value: kind, offset });
        }
        Ok(Self { kind, txn: Txn::decode(&mut r.within(body), kind)? })
    }

    fn encode(&self, w: &mut Writer<'_>) {
        self.txn.assert_reads_back_as(self.kind);
        w.int(self.kind);
        let length = w.reserve_int();
        self.txn.encode(w);
        w.fill_length(length);
    }
}

impl<'a> Entry<'a> {
    /// Reads a whole entry; anything behind the digest is ignored, as Java ignores it.
    ///
    /// A `check` at top level, which some older servers logged, reads as what it does: nothing.
    pub fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let header = TxnHeader::decode(r)?;
        let txn = Txn::decode(r, header.kind)?;
        let digest = if r.remaining().len() < 12 { None } else { Some(TxnDigest::decode(r)?) };
        Ok(Self { header, txn, digest })
    }

    /// Appends header, body and digest.
    ///
    /// # Panics
    /// If the header names a type whose body is read in another shape: such a record would be read back as something else.
    pub fn encode(&self, w: &mut Writer<'_>) {
        self.txn.assert_reads_back_as(self.header.kind);
        self.header.encode(w);
        self.txn.encode(w);
        if let Some(digest) = self.digest {
            digest.encode(w);
        }
    }
}
