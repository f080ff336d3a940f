//! Requests about one znode, and the header before every request and reply.

use std::borrow::Cow;

use crate::{Acl, DecodeError, Reader, Record, Writer, Zxid};

/// `RequestHeader { int xid; int type; }`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// Echoed, never interpreted.
    pub xid: i32,
    /// The operation; a number, because clients send any.
    pub op: i32,
}

impl Record<'_> for RequestHeader {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { xid: r.int()?, op: r.int()? })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        w.int(self.xid);
        w.int(self.op);
    }
}

/// `ReplyHeader { int xid; long zxid; int err; }`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyHeader {
    /// The request's, or −1 for an event, −2 for a ping.
    pub xid: i32,
    /// The last transaction that the server had applied.
    pub zxid: Zxid,
    /// 0, or why there is no body.
    pub err: i32,
}

impl Record<'_> for ReplyHeader {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { xid: r.int()?, zxid: r.zxid()?, err: r.int()? })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        w.int(self.xid);
        w.zxid(self.zxid);
        w.int(self.err);
    }
}

/// `CreateRequest { ustring path; buffer data; vector<ACL> acl; int flags; }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateRequest<'a> {
    /// Where; a sequential create appends to it.
    pub path: Cow<'a, str>,
    /// Null and empty differ.
    pub data: Option<&'a [u8]>,
    /// As asked, not expanded; null is an error of its own.
    pub acl: Option<Vec<Acl<'a>>>,
    /// See [`super::CreateMode`].
    pub flags: i32,
}

impl<'a> Record<'a> for CreateRequest<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            path: r.ustring()?,
            data: r.buffer()?,
            acl: r.vector_or_null(Acl::decode)?,
            flags: r.int()?,
        })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        w.ustring(&self.path);
        w.buffer(self.data);
        encode_acl(w, self.acl.as_deref());
        w.int(self.flags);
    }
}

fn encode_acl(w: &mut Writer<'_>, acl: Option<&[Acl<'_>]>) {
    match acl {
        None => w.int(-1),
        Some(acl) => w.vector(acl, |w, entry| entry.encode(w)),
    }
}

/// `CreateTTLRequest`: a [`CreateRequest`] with `long ttl` behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTtlRequest<'a> {
    /// What to create.
    pub create: CreateRequest<'a>,
    /// Milliseconds; −1 stands for requests without the field.
    pub ttl_ms: i64,
}

impl<'a> Record<'a> for CreateTtlRequest<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { create: CreateRequest::decode(r)?, ttl_ms: r.long()? })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        self.create.encode(w);
        w.long(self.ttl_ms);
    }
}

/// `DeleteRequest { ustring path; int version; }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteRequest<'a> {
    /// Where.
    pub path: Cow<'a, str>,
    /// The expected version, −1 for any.
    pub version: i32,
}

impl<'a> Record<'a> for DeleteRequest<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { path: r.ustring()?, version: r.int()? })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        w.ustring(&self.path);
        w.int(self.version);
    }
}

/// `CheckVersionRequest { ustring path; int version; }`, inside a multi only.
pub type CheckVersionRequest<'a> = DeleteRequest<'a>;

/// `ExistsRequest`, `GetDataRequest`, `GetChildrenRequest`, `GetChildren2Request`:
/// `{ ustring path; boolean watch; }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathWatchRequest<'a> {
    /// Where.
    pub path: Cow<'a, str>,
    /// Whether to leave a watch.
    pub watch: bool,
}

impl<'a> Record<'a> for PathWatchRequest<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { path: r.ustring()?, watch: r.boolean()? })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        w.ustring(&self.path);
        w.boolean(self.watch);
    }
}

/// `SetDataRequest { ustring path; buffer data; int version; }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetDataRequest<'a> {
    /// Where.
    pub path: Cow<'a, str>,
    /// Null and empty differ.
    pub data: Option<&'a [u8]>,
    /// The expected version, −1 for any.
    pub version: i32,
}

impl<'a> Record<'a> for SetDataRequest<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { path: r.ustring()?, data: r.buffer()?, version: r.int()? })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        w.ustring(&self.path);
        w.buffer(self.data);
        w.int(self.version);
    }
}

/// `SetACLRequest { ustring path; vector<ACL> acl; int version; }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAclRequest<'a> {
    /// Where.
    pub path: Cow<'a, str>,
    /// As asked, not expanded; null is an error of its own.
    pub acl: Option<Vec<Acl<'a>>>,
    /// The expected aversion, −1 for any.
    pub version: i32,
}

impl<'a> Record<'a> for SetAclRequest<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { path: r.ustring()?, acl: r.vector_or_null(Acl::decode)?, version: r.int()? })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        w.ustring(&self.path);
        encode_acl(w, self.acl.as_deref());
        w.int(self.version);
    }
}

/// `GetACLRequest`, `SyncRequest`, `GetAllChildrenNumberRequest`: `{ ustring path; }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathRequest<'a> {
    /// Where.
    pub path: Cow<'a, str>,
}

impl<'a> Record<'a> for PathRequest<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { path: r.ustring()? })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        w.ustring(&self.path);
    }
}

/// `GetEphemeralsRequest { ustring prefixPath; }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetEphemeralsRequest<'a> {
    /// A plain prefix of the path's text; null means all.
    pub prefix: Option<Cow<'a, str>>,
}

impl<'a> Record<'a> for GetEphemeralsRequest<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { prefix: r.ustring_or_null()? })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        w.ustring_or_null(self.prefix.as_deref());
    }
}

/// `ReconfigRequest { ustring joiningServers; ustring leavingServers; ustring newMembers; long curConfigId; }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReconfigRequest<'a> {
    /// Servers to add.
    pub joining: Option<Cow<'a, str>>,
    /// Servers to remove.
    pub leaving: Option<Cow<'a, str>>,
    /// All servers, instead of the two above.
    pub new_members: Option<Cow<'a, str>>,
    /// The expected configuration, −1 for any.
    pub config_id: i64,
}

impl<'a> Record<'a> for ReconfigRequest<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            joining: r.ustring_or_null()?,
            leaving: r.ustring_or_null()?,
            new_members: r.ustring_or_null()?,
            config_id: r.long()?,
        })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        w.ustring_or_null(self.joining.as_deref());
        w.ustring_or_null(self.leaving.as_deref());
        w.ustring_or_null(self.new_members.as_deref());
        w.long(self.config_id);
    }
}

/// `AuthPacket { int type; ustring scheme; buffer auth; }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthPacket<'a> {
    /// Ignored.
    pub kind: i32,
    /// How the credentials are meant.
    pub scheme: Option<Cow<'a, str>>,
    /// The credentials.
    pub auth: Option<&'a [u8]>,
}

impl<'a> Record<'a> for AuthPacket<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { kind: r.int()?, scheme: r.ustring_or_null()?, auth: r.buffer()? })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        w.int(self.kind);
        w.ustring_or_null(self.scheme.as_deref());
        w.buffer(self.auth);
    }
}

/// `GetSASLRequest { buffer token; }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaslRequest<'a> {
    /// One step of the mechanism.
    pub token: Option<&'a [u8]>,
}

impl<'a> Record<'a> for SaslRequest<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { token: r.buffer()? })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        w.buffer(self.token);
    }
}
