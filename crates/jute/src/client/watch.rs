//! Requests about watches, and the events that they yield.

use std::borrow::Cow;

use crate::{DecodeError, Reader, Record, Writer, Zxid};

/// `SetWatches` and `SetWatches2`: what a client watched on the server that it came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetWatches<'a> {
    /// The newest transaction that the client has seen.
    pub relative_zxid: Zxid,
    /// One-shot watches left by getData, or by exists on a znode that existed.
    pub data: Vec<Cow<'a, str>>,
    /// One-shot watches left by exists on a missing znode.
    pub exist: Vec<Cow<'a, str>>,
    /// One-shot watches left by getChildren.
    pub child: Vec<Cow<'a, str>>,
    /// `SetWatches2` only.
    pub persistent: Vec<Cow<'a, str>>,
    /// `SetWatches2` only.
    pub persistent_recursive: Vec<Cow<'a, str>>,
}

impl<'a> SetWatches<'a> {
    /// Reads a `SetWatches`: three lists.
    pub fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            relative_zxid: r.zxid()?,
            data: r.vector(Reader::ustring)?,
            exist: r.vector(Reader::ustring)?,
            child: r.vector(Reader::ustring)?,
            ..Self::default()
        })
    }

    /// Reads a `SetWatches2`: five lists.
    pub fn decode2(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let three = Self::decode(r)?;
        Ok(Self {
            persistent: r.vector(Reader::ustring)?,
            persistent_recursive: r.vector(Reader::ustring)?,
            ..three
        })
    }

    /// Appends a `SetWatches`.
    pub fn encode(&self, w: &mut Writer<'_>) {
        w.zxid(self.relative_zxid);
        for list in [&self.data, &self.exist, &self.child] {
            w.vector(list, |w, path| w.ustring(path));
        }
    }

    /// Appends a `SetWatches2`.
    pub fn encode2(&self, w: &mut Writer<'_>) {
        self.encode(w);
        for list in [&self.persistent, &self.persistent_recursive] {
            w.vector(list, |w, path| w.ustring(path));
        }
    }
}

/// `AddWatchRequest { ustring path; int mode; }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddWatchRequest<'a> {
    /// Where.
    pub path: Cow<'a, str>,
    /// 0 persistent, 1 persistent recursive.
    pub mode: i32,
}

impl<'a> Record<'a> for AddWatchRequest<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { path: r.ustring()?, mode: r.int()? })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        w.ustring(&self.path);
        w.int(self.mode);
    }
}

/// `CheckWatchesRequest`, `RemoveWatchesRequest`: `{ ustring path; int type; }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchTypeRequest<'a> {
    /// Where.
    pub path: Cow<'a, str>,
    /// 1 children, 2 data, 3 any, 4 persistent, 5 persistent recursive.
    pub kind: i32,
}

impl<'a> Record<'a> for WatchTypeRequest<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { path: r.ustring()?, kind: r.int()? })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        w.ustring(&self.path);
        w.int(self.kind);
    }
}

/// `WatcherEvent { int type; int state; ustring path; }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatcherEvent<'a> {
    /// 1 created, 2 deleted, 3 data changed, 4 children changed.
    pub kind: i32,
    /// Always 3, `SyncConnected`.
    pub state: i32,
    /// Where.
    pub path: Cow<'a, str>,
}

impl<'a> Record<'a> for WatcherEvent<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self { kind: r.int()?, state: r.int()?, path: r.ustring()? })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        w.int(self.kind);
        w.int(self.state);
        w.ustring(&self.path);
    }
}
