//! What a znode carries besides its data: access lists and stats (`org.apache.zookeeper.data`).

use std::borrow::Cow;

use crate::{DecodeError, Reader, Record, Writer, Zxid};

/// Permission bits of an [`Acl`]; other bits are stored and returned, and never match a check.
pub mod perms {
    /// Read data, stat, children.
    pub const READ: i32 = 1;
    /// Replace the data.
    pub const WRITE: i32 = 2;
    /// Create children.
    pub const CREATE: i32 = 4;
    /// Delete children.
    pub const DELETE: i32 = 8;
    /// Replace the access list.
    pub const ADMIN: i32 = 16;
    /// All of them.
    pub const ALL: i32 = 31;
}

/// `Id { ustring scheme; ustring id; }`, as a request carries it: either part may be null there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id<'a> {
    /// `world`, `auth`, `digest`, `ip`, `sasl`, `x509`, `super`.
    pub scheme: Option<Cow<'a, str>>,
    /// What the scheme makes of it.
    pub id: Option<Cow<'a, str>>,
}

impl<'a> Id<'a> {
    /// An identity with both parts.
    pub fn new(scheme: impl Into<Cow<'a, str>>, id: impl Into<Cow<'a, str>>) -> Self {
        Self { scheme: Some(scheme.into()), id: Some(id.into()) }
    }

    /// The scheme, empty when null.
    pub fn scheme(&self) -> &str {
        self.scheme.as_deref().unwrap_or("")
    }

    /// The id, empty when null.
    pub fn id(&self) -> &str {
        self.id.as_deref().unwrap_or("")
    }

    /// A copy that borrows nothing.
    pub fn into_owned(self) -> Id<'static> {
        Id { scheme: self.scheme.map(|s| s.into_owned().into()), id: self.id.map(|s| s.into_owned().into()) }
    }
}

impl<'a> Record<'a> for Id<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { scheme: r.ustring_or_null()?, id: r.ustring_or_null()? })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        w.ustring_or_null(self.scheme.as_deref());
        w.ustring_or_null(self.id.as_deref());
    }
}

/// `ACL { int perms; Id id; }`
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Acl<'a> {
    /// Bits of [`perms`].
    pub perms: i32,
    /// Whom they are granted to.
    pub id: Id<'a>,
}

impl<'a> Acl<'a> {
    /// `perms` for `scheme:id`.
    pub fn new(perms: i32, scheme: impl Into<Cow<'a, str>>, id: impl Into<Cow<'a, str>>) -> Self {
        Self { perms, id: Id::new(scheme, id) }
    }

    /// What a znode without an access list shows: everything to everybody.
    pub fn open() -> Acl<'static> {
        Acl::new(perms::ALL, "world", "anyone")
    }

    /// A copy that borrows nothing.
    pub fn into_owned(self) -> Acl<'static> {
        Acl { perms: self.perms, id: self.id.into_owned() }
    }
}

impl<'a> Record<'a> for Acl<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { perms: r.int()?, id: Id::decode(r)? })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        w.int(self.perms);
        self.id.encode(w);
    }
}

/// `Stat`, 68 bytes: what a client sees. `cversion` and `ephemeral_owner` are in wire form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// Transaction that created the znode.
    pub czxid: Zxid,
    /// Transaction that last set its data.
    pub mzxid: Zxid,
    /// Creation time, wall-clock milliseconds.
    pub ctime_ms: i64,
    /// Time of the last change of data, wall-clock milliseconds.
    pub mtime_ms: i64,
    /// Changes of data.
    pub version: i32,
    /// Creations and deletions of children.
    pub cversion: i32,
    /// Changes of the access list.
    pub aversion: i32,
    /// The owning session, 0 for all but ordinary ephemerals.
    pub ephemeral_owner: i64,
    /// Bytes of data.
    pub data_length: i32,
    /// Children by now.
    pub num_children: i32,
    /// Transaction that last created or deleted a child.
    pub pzxid: Zxid,
}

impl Record<'_> for Stat {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            czxid: r.zxid()?,
            mzxid: r.zxid()?,
            ctime_ms: r.long()?,
            mtime_ms: r.long()?,
            version: r.int()?,
            cversion: r.int()?,
            aversion: r.int()?,
            ephemeral_owner: r.long()?,
            data_length: r.int()?,
            num_children: r.int()?,
            pzxid: r.zxid()?,
        })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        w.zxid(self.czxid);
        w.zxid(self.mzxid);
        w.long(self.ctime_ms);
        w.long(self.mtime_ms);
        w.int(self.version);
        w.int(self.cversion);
        w.int(self.aversion);
        w.long(self.ephemeral_owner);
        w.int(self.data_length);
        w.int(self.num_children);
        w.zxid(self.pzxid);
    }
}

/// `StatPersisted`, 60 bytes: what a snapshot holds. `cversion` and `ephemeral_owner` are in stored form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatPersisted {
    /// Transaction that created the znode.
    pub czxid: Zxid,
    /// Transaction that last set its data.
    pub mzxid: Zxid,
    /// Creation time, wall-clock milliseconds.
    pub ctime_ms: i64,
    /// Time of the last change of data, wall-clock milliseconds.
    pub mtime_ms: i64,
    /// Changes of data.
    pub version: i32,
    /// Creations of children alone.
    pub cversion: i32,
    /// Changes of the access list.
    pub aversion: i32,
    /// Session, container marker, TTL, or 0; see the tree's `Owner`.
    pub ephemeral_owner: i64,
    /// Transaction that last created or deleted a child.
    pub pzxid: Zxid,
}

impl Record<'_> for StatPersisted {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            czxid: r.zxid()?,
            mzxid: r.zxid()?,
            ctime_ms: r.long()?,
            mtime_ms: r.long()?,
            version: r.int()?,
            cversion: r.int()?,
            aversion: r.int()?,
            ephemeral_owner: r.long()?,
            pzxid: r.zxid()?,
        })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        w.zxid(self.czxid);
        w.zxid(self.mzxid);
        w.long(self.ctime_ms);
        w.long(self.mtime_ms);
        w.int(self.version);
        w.int(self.cversion);
        w.int(self.aversion);
        w.long(self.ephemeral_owner);
        w.zxid(self.pzxid);
    }
}
