//! Those parts of the heap that are in use throughout are mapped by huge pages.
//!
//! A request touches a few places anywhere in the tree, and with pages of 4 KiB the processor has to look up nearly each of
//! them in the system's tables. Huge pages for all of the heap would add a sixth to it, and more to a small one. So this looks, when the
//! heap has grown, for aligned pieces of which most small pages are in memory, and asks the system to put each into one huge page,
//! the densest first, until what they add is much: that copies a piece, while whoever touches it waits for some tenths of a
//! millisecond.
//!
//! What the allocator gives back later splits a huge page again. The system frees such parts only when memory becomes scarce, so they
//! still count for the process' control group: nothing is done while a limit is near.

use std::ffi::{c_int, c_void};
use std::fs::{File, read_to_string};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Watchman, used};
use crate::driver::Driver;

/// A huge page.
const PIECE_BYTES: usize = 2 << 20;
/// A small one: where pages have other sizes, nothing is done.
const PAGE_BYTES: usize = 4 << 10;
const PAGES: usize = PIECE_BYTES / PAGE_BYTES;
/// A piece of which more small pages are not in memory is left as it is.
const PAGES_MISSING_MAX: usize = PAGES / 2;
/// What all huge pages together may add to the heap, and to a large one as a part of it.
const ADDED_BYTES_MAX: usize = 4 << 20;
const ADDED_PART: usize = 64;
/// A smaller heap is in the processor's caches anyway.
const HEAP_BYTES_MIN: usize = 16 << 20;
/// After so much growth there is something new to see.
const GROWTH_BYTES: usize = 4 << 20;
/// How many pieces are asked for at once.
const PIECES_AT_ONCE: usize = 8;
/// How often the heap's size is looked at.
const NAP: Duration = Duration::from_secs(1);
/// One part work, so many parts rest.
const REST: u32 = 39;
/// A system that has no huge page, or does not know what is asked for, is asked again after this.
const NAP_REFUSED: Duration = Duration::from_mins(1);
/// Set in what `pagemap` says of a page that is in memory.
const IS_PRESENT: u64 = 1 << 63;

/// The thread's work, for as long as the process lives.
pub fn watch(driver: &Arc<Driver>) {
    if !are_allowed() {
        return;
    }
    let (mut seen, mut added) = (0, 0);
    loop {
        std::thread::sleep(NAP);
        let heap = used::of_process() as usize;
        let is_wary = driver.memory().is_some_and(Watchman::is_wary);
        if heap < HEAP_BYTES_MIN || heap < seen + GROWTH_BYTES || is_wary {
            // What was given back may come again.
            seen = seen.min(heap);
            continue;
        }
        seen = heap;
        let added_max = ADDED_BYTES_MAX.max(heap / ADDED_PART);
        if let Err(error) = collapse_dense(&mut added, added_max) {
            tracing::debug!("Not all of the heap that could be is in huge pages: {error}");
            std::thread::sleep(NAP_REFUSED);
        }
    }
}

/// Whether the operator lets programs have huge pages: the request that is made here would not ask.
fn are_allowed() -> bool {
    let read = |file: &str| read_to_string(format!("/sys/kernel/mm/transparent_hugepage/{file}"));
    let enabled = read("enabled").unwrap_or_default();
    let is_allowed = enabled.contains("[madvise]") || enabled.contains("[always]");
    let piece_bytes = read("hpage_pmd_size").ok().and_then(|text| text.trim().parse().ok());
    is_allowed && piece_bytes == Some(PIECE_BYTES) && rustix::param::page_size() == PAGE_BYTES
}

/// A part of the heap that may become a huge page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    start: usize,
    /// Small pages that are not in memory.
    missing: usize,
}

/// Goes once through the heap. What is refused for one piece may be granted for the next one.
fn collapse_dense(added: &mut usize, added_max: usize) -> io::Result<()> {
    let pages = File::open("/proc/self/pagemap")?;
    let mut pieces = Vec::new();
    for start in heap(&read_to_string("/proc/self/maps")?).into_iter().flat_map(|it| it.step_by(PIECE_BYTES))
    {
        pieces.push(Piece { start, missing: pages_missing(&pages, start)? });
    }
    let mut result = Ok(());
    let pieces = densest(pieces, added_max.saturating_sub(*added));
    for run in pieces.chunk_by(|one, next| one.start + PIECE_BYTES == next.start) {
        for run in run.chunks(PIECES_AT_ONCE) {
            let begin = Instant::now();
            match collapse(run[0].start, run.len() * PIECE_BYTES) {
                Ok(()) => *added += run.iter().map(|piece| piece.missing * PAGE_BYTES).sum::<usize>(),
                Err(error) => result = Err(error),
            }
            std::thread::sleep(begin.elapsed() * REST);
        }
    }
    result
}

/// Those of which little is missing, and no more than `left` bytes in all, by address.
fn densest(mut pieces: Vec<Piece>, mut left: usize) -> Vec<Piece> {
    pieces.sort_unstable_by_key(|piece| piece.missing);
    let is_affordable = |piece: &&Piece| {
        let rest = left.checked_sub(piece.missing * PAGE_BYTES);
        left = rest.unwrap_or(0);
        rest.is_some() && piece.missing <= PAGES_MISSING_MAX
    };
    let mut chosen: Vec<_> = pieces.iter().take_while(is_affordable).copied().collect();
    chosen.sort_unstable_by_key(|piece| piece.start);
    chosen
}

/// Where the allocator has its memory, in whole pieces, by the text of `maps`. Stacks of threads look the same, and are never dense.
fn heap(mappings: &str) -> Vec<Range<usize>> {
    let whole = |line: &str| {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        let is_anonymous = words.len() == 5 || words.get(5).is_some_and(|name| name.starts_with("[anon"));
        let range = super::give_back::mapped_range(line)?;
        let start = range.start.checked_next_multiple_of(PIECE_BYTES)?;
        let end = range.end / PIECE_BYTES * PIECE_BYTES;
        (is_anonymous && words[1] == "rw-p" && start < end).then_some(start..end)
    };
    mappings.lines().filter_map(whole).collect()
}

/// How many small pages of a piece are not in memory.
fn pages_missing(pages: &File, start: usize) -> io::Result<usize> {
    let mut entries = [0; PAGES * 8];
    pages.read_exact_at(&mut entries, (start / PAGE_BYTES * 8) as u64)?;
    let (entries, _) = entries.as_chunks::<8>();
    Ok(entries.iter().filter(|entry| u64::from_ne_bytes(**entry) & IS_PRESENT == 0).count())
}

/// Asks for huge pages in the place of the small ones of this range.
#[allow(unsafe_code)]
fn collapse(start: usize, bytes: usize) -> io::Result<()> {
    /// `MADV_COLLAPSE`, since Linux 6.1.
    const COLLAPSE: c_int = 25;
    unsafe extern "C" {
        fn madvise(start: *mut c_void, bytes: usize, advice: c_int) -> c_int;
    }
    // SAFETY: the advice changes how memory is mapped, and no byte of it, and fails where nothing is mapped: no matter whose memory that
    // is by now, nobody sees a difference.
    match unsafe { madvise(start as *mut c_void, bytes, COLLAPSE) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_memory_of_the_allocator_counts_in_whole_pieces() {
        let mapping =
            |range: &str, rights: &str, name: &str| format!("{range} {rights} 00000000 00:00 0 {name}\n");
        let text = [
            mapping("3ff000-a01000", "rw-p", ""),
            mapping("a01000-bff000", "rw-p", ""),
            mapping("c00000-e00000", "rw-p", "[anon:heap]"),
            mapping("e00000-1000000", "---p", ""),
            mapping("1000000-1200000", "rw-p", "[stack]"),
            mapping("1200000-1400000", "rw-p", "/a/file"),
            mapping("1400000-1600000", "rw-s", ""),
        ];
        assert_eq!(heap(&text.concat()), [0x40_0000..0xa0_0000, 0xc0_0000..0xe0_0000]);
    }

    #[test]
    fn what_huge_pages_add_is_bounded_and_what_adds_least_comes_first() {
        let pieces = |of: &[(usize, usize)]| {
            of.iter().map(|&(start, missing)| Piece { start, missing }).collect::<Vec<_>>()
        };
        let heap = pieces(&[(1, 200), (2, 0), (3, 400), (4, 30), (5, 0)]);
        assert_eq!(densest(heap.clone(), 0), pieces(&[(2, 0), (5, 0)]));
        assert_eq!(densest(heap.clone(), 229 * PAGE_BYTES), pieces(&[(2, 0), (4, 30), (5, 0)]));
        assert_eq!(densest(heap, usize::MAX), pieces(&[(1, 200), (2, 0), (4, 30), (5, 0)]));
    }

    #[test]
    fn what_is_in_use_throughout_is_in_huge_pages_and_says_the_same() {
        const BYTES: usize = 16 << 20;
        let much: Vec<usize> = (0..BYTES / 8).collect();
        let mut added = 0;
        let result = collapse_dense(&mut added, 0);
        assert_eq!(added, 0);
        assert!(much.iter().enumerate().all(|(at, number)| at == *number));
        let smaps = read_to_string("/proc/self/smaps_rollup").unwrap();
        let huge = smaps.lines().find(|line| line.starts_with("AnonHugePages:")).unwrap();
        let kib: usize = huge.split_ascii_whitespace().nth(1).unwrap().parse().unwrap();
        if are_allowed() && result.is_ok() {
            assert!(kib << 10 >= BYTES - 2 * PIECE_BYTES, "{huge}");
        }
    }
}
