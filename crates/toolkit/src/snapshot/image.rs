//! A snapshot in memory, as Java's `DataTree` has it when a file is read.
//!
//! Znodes stay in the order of the file and borrow from it. That order, in which parents come before their children, is also
//! that in which Java fills its tables, so it decides in which order Java walks them ([`zabd_jute::java_table`]). As when a server
//! starts, the usage of every quota is counted anew.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use zabd_jute::java_table::{BUCKETS_OF_CHILDREN, order};
use zabd_jute::{Acl, DecodeError, Reader, Record as _, StatPersisted};
use zabd_storage::disk::RealDisk;
use zabd_storage::snapshot::{Content, content};

use crate::console::{Thrown, open};
use crate::tool::Settings;

const MAGIC: i32 = i32::from_be_bytes(*b"ZKSN");
const QUOTAS: &str = "/zookeeper/quota";
const LIMITS: &str = "/zookeeper_limits";
const STATS: &str = "/zookeeper_stats";
/// How many buckets Java's table of sessions has at first.
const BUCKETS_OF_SESSIONS: usize = 16;

/// A znode.
#[derive(Debug, Default)]
pub(super) struct Znode<'b> {
    /// Empty for the root.
    pub(super) path: Cow<'b, str>,
    pub(super) data: Option<Cow<'b, [u8]>>,
    pub(super) stat: StatPersisted,
    /// In the order of the file.
    pub(super) children: Vec<u32>,
}

impl Znode<'_> {
    /// Bytes of data.
    pub(super) fn length(&self) -> usize {
        self.data.as_deref().map_or(0, <[u8]>::len)
    }

    /// The last part of the path.
    pub(super) fn name(&self) -> &str {
        &self.path[self.path.rfind('/').map_or(0, |slash| slash + 1)..]
    }
}

/// A snapshot.
#[derive(Debug)]
pub(super) struct Image<'b> {
    pub(super) znodes: Vec<Znode<'b>>,
    places: HashMap<Cow<'b, str>, u32>,
    /// The last znode that is below none.
    pub(super) root: Option<u32>,
    /// Session and timeout, in the order in which Java walks them.
    pub(super) sessions: Vec<(i64, i32)>,
}

/// Reads a file and decompresses it as far as that goes.
pub(super) fn read(path: &str) -> Result<Content, Thrown> {
    open(path)?;
    content(&RealDisk, Path::new(path)).map_err(|error| Thrown::io(error.to_string()))
}

impl<'b> Image<'b> {
    /// Takes a file apart.
    pub(super) fn of(content: &'b Content, settings: &Settings) -> Result<Self, Thrown> {
        let mut r = Reader::with_limits(&content.bytes, settings.limits);
        let image = Self::decode(&mut r);
        match (image, &content.broken) {
            (Err(thrown), Some(broken)) if thrown == Thrown::end_of_file() => {
                Err(Thrown::io(broken.to_string()))
            }
            (image, _) => image,
        }
    }

    fn decode(r: &mut Reader<'b>) -> Result<Self, Thrown> {
        let (magic, _version, _database) = (r.int()?, r.int()?, r.long()?);
        if magic != MAGIC {
            return Err(Thrown::io(format!("mismatching magic headers {magic} !=  {MAGIC}")));
        }
        let sessions = sessions(r)?;
        access_lists(r)?;
        let mut image = Image { znodes: Vec::new(), places: HashMap::new(), root: None, sessions };
        while image.decode_znode(r)? {}
        image.count_usage();
        Ok(image)
    }

    /// Reads one znode; false at the `/` that ends them.
    fn decode_znode(&mut self, r: &mut Reader<'b>) -> Result<bool, Thrown> {
        let path = r.ustring_or_null()?;
        if path.as_deref() == Some("/") {
            return Ok(false);
        }
        let (data, _list, stat) = (r.buffer()?.map(Cow::Borrowed), r.long()?, StatPersisted::decode(r)?);
        let path = path.ok_or_else(Thrown::null_key)?;
        let parent = match path.rfind('/') {
            None => None,
            Some(slash) => Some(self.places.get(&path[..slash]).copied().ok_or_else(|| {
                let parent = &path[..slash];
                Thrown::io(format!("Invalid Datatree, unable to find parent {parent} of path {path}"))
            })?),
        };
        // A path that comes twice is one znode, with the later content.
        if let Some(place) = self.places.get(&path).copied() {
            let znode = &mut self.znodes[place as usize];
            (znode.data, znode.stat) = (data, stat);
            return Ok(true);
        }
        let place = self.znodes.len() as u32;
        self.places.insert(path.clone(), place);
        self.znodes.push(Znode { path, data, stat, children: Vec::new() });
        match parent {
            None => self.root = Some(place),
            Some(parent) => self.znodes[parent as usize].children.push(place),
        }
        Ok(true)
    }

    /// The znode at a path; both `/` and nothing are the root.
    pub(super) fn place(&self, path: &str) -> Option<u32> {
        if path == "/" { self.root } else { self.places.get(path).copied() }
    }

    pub(super) fn znode(&self, place: u32) -> &Znode<'b> {
        &self.znodes[place as usize]
    }

    /// The children of a znode in the order in which Java walks them.
    pub(super) fn children(&self, place: u32) -> impl DoubleEndedIterator<Item = u32> {
        let children = &self.znode(place).children;
        let names: Vec<&str> = children.iter().map(|child| self.znode(*child).name()).collect();
        order(&names, BUCKETS_OF_CHILDREN).into_iter().map(|at| children[at as usize])
    }

    /// Znodes and all below them, parents first, as Java walks them.
    pub(super) fn walk(&self, from: u32) -> impl Iterator<Item = u32> {
        let mut ahead = vec![from];
        std::iter::from_fn(move || {
            let place = ahead.pop()?;
            ahead.extend(self.children(place).rev());
            Some(place)
        })
    }

    /// How many znodes Java counts: the root is there under two names.
    pub(super) fn count(&self) -> usize {
        self.znodes.len() + 1
    }

    fn count_usage(&mut self) {
        let Some(quotas) = self.place(QUOTAS) else { return };
        let is_limit = |place: &u32| {
            let Znode { path, children, .. } = self.znode(*place);
            children.is_empty() && path.ends_with(LIMITS)
        };
        let limits: Vec<u32> = self.walk(quotas).filter(is_limit).collect();
        for place in limits {
            let path = &self.znode(place).path;
            let of =
                path[..path.find(LIMITS).unwrap_or(0)].get(QUOTAS.len()..).unwrap_or_default().to_owned();
            let (mut count, mut bytes) = (0, 0);
            for below in self.place(&of).into_iter().flat_map(|place| self.walk(place)) {
                count += 1;
                bytes += self.znode(below).length();
            }
            if let Some(stats) = self.place(&format!("{QUOTAS}{of}{STATS}")) {
                let text = format!("count={count},bytes={bytes}");
                self.znodes[stats as usize].data = Some(Cow::Owned(text.into_bytes()));
            }
        }
    }
}

fn sessions(r: &mut Reader<'_>) -> Result<Vec<(i64, i32)>, DecodeError> {
    let mut timeouts = HashMap::new();
    let mut sessions = Vec::new();
    for _ in 0..r.int()? {
        let (session, timeout_ms) = (r.long()?, r.int()?);
        if timeouts.insert(session, timeout_ms).is_none() {
            sessions.push(session);
        }
    }
    let walked = order(&sessions, BUCKETS_OF_SESSIONS).into_iter().map(|at| sessions[at as usize]);
    Ok(walked.map(|session| (session, timeouts[&session])).collect())
}

/// Goes past the access lists, which no tool shows.
fn access_lists(r: &mut Reader<'_>) -> Result<(), Thrown> {
    for _ in 0..r.int()? {
        r.long()?;
        if r.vector_or_null(Acl::decode)?.is_none() {
            const WHAT: &str = "Incorrent format of InputArchive when deserialize DataTree - missing acls";
            return Err(Thrown::new("java.lang.RuntimeException", WHAT));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zabd_storage::disk::Contents;

    use super::*;

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            for head in [&b""[..], b"ZKSN\0\0\0\x02\0\0\0\0\0\0\0\0", b"ZKSN\0\0\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"] {
                let content = Content { bytes: Contents::Owned([head, &bytes].concat()), broken: None };
                if let Ok(image) = Image::of(&content, &Settings::default()) {
                    image.root.into_iter().flat_map(|root| image.walk(root)).for_each(drop);
                }
            }
        }
    }
}
