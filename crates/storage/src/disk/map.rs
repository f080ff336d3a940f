//! Files as memory: the one place with `unsafe` in this crate.
//!
//! A map is sound only while nobody shortens the file. Logs and snapshots are read before the server
//! writes to them, by the process that owns the directory; a snapshot is never changed once it has its
//! name. Reading by copy would need as much memory again as the tree.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// How many files are mapped.
static MAPPED: AtomicUsize = AtomicUsize::new(0);

/// Whether any file is mapped: then what the system counts as mapped is not the program alone.
pub fn is_any_mapped() -> bool {
    MAPPED.load(Relaxed) > 0
}

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
        MAPPED.fetch_add(1, Relaxed);
        Ok(Self(map))
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // The file is unmapped a moment later: whoever asks in between is wrong once, by no more than the file.
        MAPPED.fetch_sub(1, Relaxed);
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
