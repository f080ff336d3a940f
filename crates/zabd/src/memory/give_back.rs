//! Memory that was freed goes back to the system, also while nobody asks for anything.
//!
//! mimalloc keeps freed memory for a second, in case it is needed again, and looks for what has been kept for longer only
//! when it frees again. A server that has just closed a client with 64 MiB of unsent replies, and has nothing else to do, would
//! keep them for as long as that lasts. So the ticker lets the allocator look once a second: with nothing to give back that is
//! a comparison of two times.
//!
//! What one thread allocated and another freed is found only by the first, when it looks itself: a client's thread that has
//! nothing to do any more would keep the tables of watches that others have cleared. So each thread of a runtime looks, too.

/// Gives back what was freed more than a second ago.
#[allow(unsafe_code)]
pub fn give_back() {
    // The program's allocator; this links it where tests use another one.
    use mimalloc as _;
    unsafe extern "C" {
        /// `void mi_collect(bool force)`.
        ///
        /// Safe: it takes no pointer, and may be called from any thread at any time.
        safe fn mi_collect(force: bool);
    }
    mi_collect(false);
}
