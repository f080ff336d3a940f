//! Writing past the system's memory (`O_DIRECT`).
//!
//! A snapshot is read by the next start, if at all. In the system's memory it would push out what is of use, a fresh page
//! for each four KiB of it would be found, filled and written behind the server's back, and all that cost as much as
//! writing the tree down. So whole blocks of it go from a buffer of its own to the disk. Where a file system cannot do that,
//! and for the part of a block that is left at the end, the file is written as any other.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

/// What offsets, lengths and addresses are multiples of: as much as any disk asks for.
pub const BLOCK_BYTES: usize = 4096;
/// How much is written at a time.
const BUFFER_BYTES: usize = 256 << 10;

/// Memory that begins at a multiple of [`BLOCK_BYTES`].
pub(crate) struct Buffer {
    memory: Vec<u8>,
    start: usize,
}

impl Buffer {
    fn new() -> Self {
        let memory = vec![0; BUFFER_BYTES + BLOCK_BYTES];
        let start = memory.as_ptr().align_offset(BLOCK_BYTES);
        assert!(start <= BLOCK_BYTES, "bytes can be aligned to anything");
        Self { memory, start }
    }

    fn filled(&mut self, bytes: &[u8]) -> &[u8] {
        let filled = &mut self.memory[self.start..][..bytes.len()];
        filled.copy_from_slice(bytes);
        filled
    }
}

/// How a file is written.
#[derive(Default)]
pub(crate) enum Way {
    /// Nobody has asked yet for more than the usual.
    #[default]
    Unknown,
    /// Past the system's memory.
    Direct(Buffer),
    /// Through the system's memory, and there is no other way.
    Cached,
}

impl Way {
    /// Writes as many whole blocks as there are, if that can be done past the system's memory; how many bytes those were.
    pub(crate) fn write(&mut self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        if let Way::Unknown = self {
            *self = if set_direct(file, true).is_ok() { Way::Direct(Buffer::new()) } else { Way::Cached };
        }
        let Way::Direct(buffer) = self else { return Ok(0) };
        let whole =
            if offset.is_multiple_of(BLOCK_BYTES as u64) { bytes.len() & !(BLOCK_BYTES - 1) } else { 0 };
        let mut done = 0;
        while done < whole {
            let piece = &bytes[done..whole.min(done + BUFFER_BYTES)];
            match file.write_all_at(buffer.filled(piece), offset + done as u64) {
                // It is larger blocks that this disk asks for, or it cannot do it at all. What was written is written again.
                Err(error) if cannot_be_direct(&error) => break,
                written => written?,
            }
            done += piece.len();
        }
        if done < bytes.len() {
            set_direct(file, false)?;
            *self = Way::Cached;
        }
        Ok(done)
    }
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Way::Unknown => "Unknown",
            Way::Direct(_) => "Direct",
            Way::Cached => "Cached",
        })
    }
}

fn cannot_be_direct(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS))
}

fn set_direct(file: &File, is_direct: bool) -> io::Result<()> {
    let mut flags = fcntl_getfl(file)?;
    flags.set(OFlags::DIRECT, is_direct);
    Ok(fcntl_setfl(file, flags)?)
}
