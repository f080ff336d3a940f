//! Memory that connections share and lend each other.
//!
//! A thread reads into one chunk, whoever's turn it is, and has some empty output buffers and one empty batch with memory. What is
//! left over of them after a turn belongs to its connection, until that is sent or submitted.

use std::cell::RefCell;

use bytes::Bytes;
use zabd_replica::Input;

use super::Connection;
use super::giving_way::KEPT_BYTES_MAX;

/// How much one read takes from a socket.
pub(super) const CHUNK_BYTES: usize = 64 << 10;
/// The same while memory is nearly used up: so much stays of each large request that waits.
const SCARCE_CHUNK_BYTES: usize = 8 << 10;
/// How much small requests in a row share.
const SHARED_BYTES: usize = 4 << 10;
/// Buffers above this size are freed, not kept for reuse.
const KEPT_BUFFER_BYTES_MAX: usize = 1 << 20;
/// More than one is kept, since connections keep what they have to send while they give way.
/// So many are kept, which, but for one, are no larger than what a connection may keep.
const KEPT_BUFFERS_MAX: usize = 64;
/// A batch with room for more requests is freed, not kept for the next one.
const KEPT_BATCH_MAX: usize = 1024;

thread_local! {
    pub(super) static CHUNK: RefCell<Box<[u8]>> = RefCell::new(vec![0; CHUNK_BYTES].into());
    /// Empty output buffers with memory, lent to the connection whose turn it is, and kept by it while it gives way.
    static OUTS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    /// An empty batch, lent likewise.
    pub(super) static BATCH: RefCell<Vec<Input>> = const { RefCell::new(Vec::new()) };
}

impl Connection {
    pub(super) fn borrow_buffer(&mut self) {
        if self.out.capacity() == 0 {
            self.out = OUTS.with_borrow_mut(|outs| outs.pop().unwrap_or_default());
        }
    }

    /// How much is read at once.
    pub(super) fn chunk_bytes(&self) -> usize {
        let is_scarce = self.coming_bytes == 0 && self.service.driver.registry.is_scarce();
        if is_scarce { SCARCE_CHUNK_BYTES } else { CHUNK_BYTES }
    }

    /// Makes room for more of a request: at most twice as much as before, and no more than it needs.
    pub(super) fn reserve_input(&mut self, more: usize) {
        let needed = self.input.len() + more;
        if needed <= self.input.capacity() {
            return;
        }
        let head = self.input.first_chunk::<4>().map_or(0, |head| u32::from_be_bytes(*head) as usize);
        let wanted = (2 * self.input.capacity()).min(head.saturating_add(4)).max(needed);
        self.input.reserve_exact(wanted - self.input.len());
    }

    /// A little that is kept for a while does not keep the room of much.
    pub(super) fn lend_large_buffer_to_others(&mut self) {
        if self.out.capacity() > KEPT_BYTES_MAX {
            let little = self.out.clone();
            let mut large = std::mem::replace(&mut self.out, little);
            large.clear();
            give_back(large);
        }
    }

    pub(super) fn return_buffer(&mut self) {
        if self.out.is_empty() {
            let out = std::mem::take(&mut self.out);
            give_back(out);
        }
        if self.batch.is_empty() && self.batch.capacity() > 0 {
            let batch = std::mem::take(&mut self.batch);
            if batch.capacity() <= KEPT_BATCH_MAX {
                BATCH.set(batch);
            }
        }
    }
}

/// An output buffer is nobody's any more.
fn give_back(out: Vec<u8>) {
    OUTS.with_borrow_mut(|outs| {
        let bytes_max = if outs.is_empty() { KEPT_BUFFER_BYTES_MAX } else { KEPT_BYTES_MAX };
        if out.capacity() <= bytes_max && outs.len() < KEPT_BUFFERS_MAX {
            outs.push(out);
        }
    });
}

/// A copy of a part of a chunk.
#[derive(Debug, Default)]
pub(super) struct Shared {
    from: usize,
    bytes: Bytes,
}

impl Shared {
    /// A part of `chunk`; those that are asked for come one behind the other. Each holds its copy as a whole for as long as
    /// the request waits, and nobody knows how many will share it: so the copy is short.
    pub(super) fn part(&mut self, chunk: &[u8], start: usize, length: usize) -> Bytes {
        if self.from + self.bytes.len() < start + length {
            let end = chunk.len().min(start + length.max(SHARED_BYTES));
            *self = Self { from: start, bytes: Bytes::copy_from_slice(&chunk[start..end]) };
        }
        self.bytes.slice(start - self.from..start - self.from + length)
    }
}

/// Forgets what is sent, when that costs no more than sending it did: the buffer of a client that always has something
/// left to take would grow for ever.
pub(super) fn forget_sent(out: &mut Vec<u8>, sent: &mut usize) {
    if out.len() <= 2 * *sent {
        out.drain(..*sent);
        *sent = 0;
        if out.capacity() > KEPT_BUFFER_BYTES_MAX {
            // Of a long reply what is sent is somebody else's room.
            out.shrink_to(KEPT_BUFFER_BYTES_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client takes a stream of answers more slowly than the server could send it, and always has some left to take.
    #[test]
    fn what_is_sent_takes_no_room_although_there_is_always_more() {
        const PIECE: usize = 10_000;
        let (mut out, mut sent) = (vec![0; PIECE], 0);
        for number in 1..=1000_usize {
            out.extend([number as u8; PIECE]);
            sent += PIECE;
            forget_sent(&mut out, &mut sent);
            assert_eq!(out[sent..], [number as u8; PIECE]);
        }
        assert!(out.capacity() < 10 * PIECE, "{} bytes", out.capacity());
    }

    /// A client that sends thousands of requests at once, of which the server takes one at a time, would otherwise hold as
    /// many copies of all of them.
    #[test]
    fn a_request_holds_little_more_than_itself() {
        let chunk: Vec<u8> = (0..CHUNK_BYTES).map(|at| at as u8).collect();
        let mut shared = Shared::default();
        let mut copies = 0;
        for start in (0..chunk.len() - 100).step_by(100) {
            let from = shared.from;
            assert_eq!(shared.part(&chunk, start, 90), chunk[start..start + 90]);
            assert!(shared.bytes.len() <= SHARED_BYTES);
            copies += usize::from(shared.from != from);
        }
        assert!(copies < 20, "{copies} for small requests in a row");
        let mut shared = Shared::default();
        assert_eq!(shared.part(&chunk, 10, 30_000), chunk[10..30_010], "a large one has its own");
        assert_eq!(shared.bytes.len(), 30_000);
        assert_eq!(shared.part(&chunk, chunk.len() - 1, 1), chunk[chunk.len() - 1..]);
        assert_eq!(shared.part(&chunk, chunk.len(), 0), b""[..]);
    }
}
