//! Bodies of replies, for whoever reads them: clients, tests and tools. The server appends the same
//! fields directly to its output.

use std::borrow::Cow;

use crate::{Acl, DecodeError, Reader, Record, Stat, Writer};

/// `ClientInfo { ustring authScheme; ustring user; }`, one identity in the answer to whoAmI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientInfo<'a> {
    /// The scheme.
    pub scheme: Cow<'a, str>,
    /// The user, without what proves it.
    pub user: Cow<'a, str>,
}

impl<'a> Record<'a> for ClientInfo<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { scheme: r.ustring()?, user: r.ustring()? })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        w.ustring(&self.scheme);
        w.ustring(&self.user);
    }
}

/// `GetDataResponse { buffer data; Stat stat; }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetDataResponse<'a> {
    /// Null and empty differ.
    pub data: Option<&'a [u8]>,
    /// The znode's stat.
    pub stat: Stat,
}

impl<'a> Record<'a> for GetDataResponse<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { data: r.buffer()?, stat: Stat::decode(r)? })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        w.buffer(self.data);
        self.stat.encode(w);
    }
}

/// `Create2Response { ustring path; Stat stat; }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Create2Response<'a> {
    /// The final path.
    pub path: Cow<'a, str>,
    /// The new znode's stat.
    pub stat: Stat,
}

impl<'a> Record<'a> for Create2Response<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { path: r.ustring()?, stat: Stat::decode(r)? })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        w.ustring(&self.path);
        self.stat.encode(w);
    }
}

/// `GetACLResponse { vector<ACL> acl; Stat stat; }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetAclResponse<'a> {
    /// The access list.
    pub acl: Vec<Acl<'a>>,
    /// The znode's stat.
    pub stat: Stat,
}

impl<'a> Record<'a> for GetAclResponse<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { acl: r.vector(Acl::decode)?, stat: Stat::decode(r)? })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        w.vector(&self.acl, |w, acl| acl.encode(w));
        self.stat.encode(w);
    }
}

/// `GetChildrenResponse { vector<ustring> children; }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetChildrenResponse<'a> {
    /// Names, in no particular order.
    pub children: Vec<Cow<'a, str>>,
}

impl<'a> Record<'a> for GetChildrenResponse<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { children: r.vector(Reader::ustring)? })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        w.vector(&self.children, |w, name| w.ustring(name));
    }
}

/// `GetChildren2Response { vector<ustring> children; Stat stat; }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetChildren2Response<'a> {
    /// Names, in no particular order.
    pub children: Vec<Cow<'a, str>>,
    /// The znode's stat.
    pub stat: Stat,
}

impl<'a> Record<'a> for GetChildren2Response<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { children: r.vector(Reader::ustring)?, stat: Stat::decode(r)? })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        w.vector(&self.children, |w, name| w.ustring(name));
        self.stat.encode(w);
    }
}
