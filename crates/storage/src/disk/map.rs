//! Files as memory: the one place with `unsafe` in this crate.
//!
//! A map is sound only while nobody shortens the file. Logs and snapshots are read before the server
//! writes to them, by the process that owns the directory; a snapshot is never changed once it has its
//! name. Reading by copy would need as much memory again as the tree.

use std::fs::File;
use std::io;
use std::ops::Deref;

/// A file, mapped for reading.
#[derive(Debug)]
pub struct Mapped(memmap2::Mmap);

impl Mapped {
    /// Maps all of a file that is not empty.
    #[allow(unsafe_code)]
    pub(super) fn new(file: &File) -> io::Result<Self> {
        // SAFETY: see the module's description; the file outlives its descriptor while it is mapped.
        let map = unsafe { memmap2::Mmap::map(file)? };
        map.advise(memmap2::Advice::Sequential).ok();
        Ok(Self(map))
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
