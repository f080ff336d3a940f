//! Memory that was freed goes back to the system, also while nobody asks for anything.
//!
//! mimalloc keeps freed memory for a second, in case it is needed again, and looks for what has been kept for longer only
//! when it frees again. A server that has just closed a client with 64 MiB of unsent replies, and has nothing else to do, would
//! keep them for as long as that lasts. So the ticker lets the allocator look once a second: with nothing to give back that is
//! a comparison of two times.
//!
//! What one thread allocated and another freed is found only by the first, when it looks itself: a client's thread that has
//! nothing to do any more would keep the tables of watches that others have cleared. So each thread of a runtime looks, too.
//!
//! Of the program itself, some megabytes are only used while it starts: relocations, the reading of configuration and data. They are
//! given back once, too; what is needed after all comes back from the page cache.

use std::ffi::{c_int, c_long, c_void};
use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;

use rustix::mm::Advice;

/// `mi_option_purge_delay`, in milliseconds: the same number in every version of the allocator.
const PURGE_DELAY: c_int = 15;

/// What that is as a rule.
static USUAL_DELAY_MS: OnceLock<c_long> = OnceLock::new();

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

/// From now on what is freed goes back to the system at once, or when it has not been needed for a while. At once costs more calls of the
/// system; not at once, a server that overwrites large znodes holds on to twice what it uses.
#[allow(unsafe_code)]
pub fn give_back_at_once(is_at_once: bool) {
    use mimalloc as _;
    unsafe extern "C" {
        /// `long mi_option_get(mi_option_t option)` and `void mi_option_set(mi_option_t option, long value)`.
        ///
        /// Safe: they take no pointer; the option is an aligned word that the allocator reads whenever it frees.
        safe fn mi_option_get(option: c_int) -> c_long;
        safe fn mi_option_set(option: c_int, value: c_long);
    }
    let usual = *USUAL_DELAY_MS.get_or_init(|| mi_option_get(PURGE_DELAY));
    mi_option_set(PURGE_DELAY, if is_at_once { 0 } else { usual });
}

/// Unmaps the pages of the program's file, all of which can be mapped again.
pub fn give_back_program() {
    for range in pages_of_program() {
        give_back_pages(range);
    }
}

/// Where the program's file is mapped, and not written to by the loader; nowhere, if the system does not say.
pub(super) fn pages_of_program() -> Vec<Range<usize>> {
    let (Ok(program), Ok(mappings)) =
        (std::fs::read_link("/proc/self/exe"), std::fs::read_to_string("/proc/self/smaps"))
    else {
        return Vec::new();
    };
    pages_of_file(&mappings, &program)
}

/// The parts of the address space that show nothing but this file's content, by the text of `smaps`. What a loader has written to is
/// in none of them.
fn pages_of_file(mappings: &str, file: &Path) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut range = None;
    for line in mappings.lines() {
        if let Some(found) = mapped_range(line) {
            let words: Vec<_> = line.split_ascii_whitespace().collect();
            let is_read_only = words.get(1).is_some_and(|rights| matches!(*rights, "r-xp" | "r--p"));
            let is_of_file = words.get(5).is_some_and(|name| Path::new(name) == file);
            range = (is_read_only && is_of_file).then_some(found);
        } else if line.starts_with("Anonymous:") && line.ends_with(" 0 kB") {
            ranges.extend(range.take());
        }
    }
    ranges
}

/// What the first line of a mapping begins with.
pub(super) fn mapped_range(line: &str) -> Option<Range<usize>> {
    let (begin, end) = line.split_ascii_whitespace().next()?.split_once('-')?;
    Some(usize::from_str_radix(begin, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
}

#[allow(unsafe_code)]
fn give_back_pages(range: Range<usize>) {
    // SAFETY: the range is a part of the program's own file, which stays mapped while the process lives; nobody has written to it, so
    // whoever reads it next is given the same bytes by the file.
    let given =
        unsafe { rustix::mm::madvise(range.start as *mut c_void, range.len(), Advice::LinuxDontNeed) };
    if let Err(e) = given {
        tracing::debug!("the program's pages are kept: {e}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_has_written_to_is_the_files_own() {
        let mapping = |range: &str, rights: &str, name: &str, anonymous: u32| {
            format!(
                "{range} {rights} 00000000 fe:00 1 {name}\nSize: 4 kB\nAnonymous: {anonymous:>15} kB\nVmFlags: rd ex\n"
            )
        };
        let text = [
            mapping("1000-3000", "r--p", "/bin/zabd", 0),
            mapping("3000-5000", "r-xp", "/bin/zabd", 0),
            mapping("5000-6000", "r--p", "/bin/zabd", 8),
            mapping("6000-7000", "rw-p", "/bin/zabd", 0),
            mapping("7000-8000", "r-xp", "/lib/libc.so.6", 0),
            mapping("8000-9000", "r-xp", "", 0),
        ];
        assert_eq!(pages_of_file(&text.concat(), Path::new("/bin/zabd")), [0x1000..0x3000, 0x3000..0x5000]);
    }

    #[test]
    fn a_program_goes_on_without_its_pages() {
        assert!(!pages_of_program().is_empty());
        give_back_program();
        assert!(!pages_of_program().is_empty());
    }
}
