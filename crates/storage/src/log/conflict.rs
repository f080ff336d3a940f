//! Whether two records have one zxid and are not one transaction.
//!
//! Logs may overlap: Java repeats records, and an operator may have copied a file. The same transaction twice harms nothing.
//! Two *different* ones of one zxid are two pasts: two servers wrote to one directory at the same time, each to a log of its
//! own (only zabd's servers take their directories for themselves), or Java's server went on in its log behind a restore that
//! it had done in memory. A reader that goes by zxids takes the first, and what was acknowledged in the second is gone without
//! a word.
//!
//! Transactions are the same if their headers are: session, cxid, zxid, time, kind. Bodies are not compared, for a learner logs
//! what it understood of them, and digests are not, for some versions have none.
//!
//! Below a snapshot one of the two pasts has won already, and a sound directory of Java's may still hold the other. So a start
//! cares only for what it reads; [`reach_behind`] tells it, from the ends of the files, whether older logs have any part in that.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use zabd_jute::Zxid;

use super::frame::{ANY_LENGTH, FRAME_BEFORE, HEADER, frame_bytes, header_of, whole_at};
use super::torn::{Ending, ending};
use super::{LogError, io_error};
use crate::disk::{Contents, Disk};
use crate::layout::{self, NamedFile};
use crate::zeros::without_zeros_behind;

/// How many older files are asked for their ends.
const OLDER_FILES_MAX: usize = 100;
/// How far from the end of a file its last record is looked for before all of it is read.
const LAST_RECORD_BYTES_MAX: usize = 64 << 10;

/// Where the records of two logs contradict each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The log with the smaller name; the other one itself, if that contradicts itself.
    pub earlier: PathBuf,
    /// The last record of `earlier` before all others that are in doubt.
    pub before: Option<Zxid>,
    /// The other log.
    pub path: PathBuf,
    /// Where its first record begins that is another one.
    pub offset: u64,
    /// The zxid of that.
    pub first: Zxid,
    /// The largest zxid that both have, and differently.
    pub last: Zxid,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { earlier, path, offset, first, last, .. } = self;
        let (path, zxids) = (path.display(), format_args!("zxids {first} to {last}"));
        if *earlier == self.path {
            return write!(
                f,
                "{path}: behind offset {offset} other transactions have {zxids}, which the records before it have already: a server \
                 of Java's went on in this log when a snapshot had been restored into its memory, or two servers wrote to it. What \
                 was written behind the offset is in no state that this directory can give"
            );
        }
        write!(
            f,
            "{path} and {} have different transactions of {zxids} (in the first from offset {offset} on): two servers wrote to this \
             directory at the same time, and what either acknowledged is in its own log alone. Decide whose writes are to go, and \
             see to it that only one server is started here",
            earlier.display()
        )
    }
}

/// The first contradiction among the logs of a directory, of records behind `above`.
pub fn find_conflict<D: Disk>(disk: &D, dir: &Path, above: Zxid) -> Result<Option<Conflict>, LogError> {
    let files = layout::logs(disk, dir).map_err(io_error("list", dir))?;
    let mut spans: Vec<Span> = Vec::new();
    for NamedFile { path, .. } in files {
        // Logs of years may stand below what is asked about.
        if last_in_file(disk, &path)?.is_none_or(|last| last <= above) {
            continue;
        }
        let Some(span) = Span::of(disk, path)? else { continue };
        for earlier in &spans {
            let from = span.first.max(earlier.first).max(above.next());
            let upto = span.last.min(earlier.last);
            if from > upto {
                continue;
            }
            let conflict = compare(disk, earlier, &span, from, upto)?;
            if conflict.is_some() {
                return Ok(conflict);
            }
        }
        if !span.is_ordered {
            let conflict = compare_with_itself(disk, &span, above)?;
            if conflict.is_some() {
                return Ok(conflict);
            }
        }
        spans.push(span);
    }
    Ok(None)
}

/// Whether logs that begin before `after` reach behind it, although another one that begins there or before it follows them.
pub fn reach_behind<D: Disk>(disk: &D, dir: &Path, after: Zxid) -> Result<bool, LogError> {
    let files = layout::logs(disk, dir).map_err(io_error("list", dir))?;
    Ok(first_reaching(disk, &files, after)? < first_by_name(&files, after))
}

/// The newest file that can hold a record behind `after`, by the files' names.
fn first_by_name(files: &[NamedFile], after: Zxid) -> usize {
    files.iter().rposition(|file| file.zxid <= after.next()).unwrap_or(0)
}

/// The oldest file that holds a record behind `after`, or that one.
pub(super) fn first_reaching<D: Disk>(disk: &D, files: &[NamedFile], after: Zxid) -> Result<usize, LogError> {
    let by_name = first_by_name(files, after);
    let mut first = by_name;
    for (at, file) in files[..by_name].iter().enumerate().rev().take(OLDER_FILES_MAX) {
        if last_in_file(disk, &file.path)?.is_some_and(|last| last > after) {
            first = at;
        }
    }
    Ok(first)
}

/// The zxid of a file's first record.
pub(crate) fn first_in_file<D: Disk>(disk: &D, path: &Path) -> Result<Option<Zxid>, LogError> {
    let first =
        |(contents, end): (Contents, usize)| records(&contents[..end]).next().map(|(_, zxid, _)| zxid);
    if let Some(zxid) = first(likely_records_of(disk, path)?) {
        return Ok(Some(zxid));
    }
    Ok(first(records_of(disk, path)?))
}

/// Whether a file ends as logs do, be it by a crash: then its records are all that it ever held.
pub(crate) fn is_undamaged<D: Disk>(disk: &D, path: &Path) -> Result<bool, LogError> {
    let (contents, data_end) = records_of(disk, path)?;
    let last = records(&contents[..data_end]).last();
    let end = last.map_or(HEADER.len(), |(offset, _, entry)| offset as usize + frame_bytes(entry.len()));
    let rest = contents.get(end..data_end).unwrap_or_default();
    Ok(!matches!(ending(rest, end as u64, ANY_LENGTH), Ending::Damaged(_)))
}

/// Whether `other` holds every record of a file. Of files that are not in order it is never said.
pub(crate) fn holds_all_of<D: Disk>(disk: &D, other: &Path, path: &Path) -> Result<bool, LogError> {
    let (others, others_end) = records_of(disk, other)?;
    let (contents, data_end) = records_of(disk, path)?;
    let mut others = records(&others[..others_end]);
    let mut is_held = |zxid, entry| {
        let found = others.find(|(_, other, _)| *other >= zxid);
        found.is_some_and(|(_, other, others)| other == zxid && header_of(others) == header_of(entry))
    };
    Ok(records(&contents[..data_end]).all(|(_, zxid, entry)| is_held(zxid, entry)))
}

/// Which zxids are in a file.
struct Span {
    path: PathBuf,
    first: Zxid,
    last: Zxid,
    is_ordered: bool,
}

impl Span {
    fn of<D: Disk>(disk: &D, path: PathBuf) -> Result<Option<Self>, LogError> {
        let mut zxids: Option<(Zxid, Zxid)> = None;
        let mut is_ordered = true;
        let (contents, data_end) = records_of(disk, &path)?;
        for (_, zxid, _) in records(&contents[..data_end]) {
            is_ordered &= zxids.is_none_or(|(_, last)| zxid > last);
            zxids = Some(zxids.map_or((zxid, zxid), |(first, last)| (first.min(zxid), last.max(zxid))));
        }
        Ok(zxids.map(|(first, last)| Self { path, first, last, is_ordered }))
    }
}

fn compare<D: Disk>(
    disk: &D,
    earlier: &Span,
    later: &Span,
    from: Zxid,
    upto: Zxid,
) -> Result<Option<Conflict>, LogError> {
    let mut known = BTreeMap::new();
    let (contents, earlier_end) = records_of(disk, &earlier.path)?;
    for (_, zxid, entry) in records(&contents[..earlier_end]) {
        if (from..=upto).contains(&zxid) {
            known.entry(zxid).or_insert_with(|| header_of(entry).to_vec());
        }
    }
    let mut found: Option<Conflict> = None;
    let (others, data_end) = records_of(disk, &later.path)?;
    for (offset, zxid, entry) in records(&others[..data_end]) {
        if known.get(&zxid).is_none_or(|header| header[..] == *header_of(entry)) {
            continue;
        }
        let conflict = found.get_or_insert_with(|| Conflict {
            earlier: earlier.path.clone(),
            before: None,
            path: later.path.clone(),
            offset,
            first: zxid,
            last: zxid,
        });
        conflict.last = conflict.last.max(zxid);
    }
    if let Some(conflict) = &mut found {
        let before = records(&contents[..earlier_end])
            .map(|(_, zxid, _)| zxid)
            .take_while(|zxid| *zxid < conflict.first)
            .last();
        conflict.before = before;
    }
    Ok(found)
}

fn compare_with_itself<D: Disk>(disk: &D, span: &Span, above: Zxid) -> Result<Option<Conflict>, LogError> {
    let mut known: BTreeMap<Zxid, Vec<u8>> = BTreeMap::new();
    let mut found: Option<Conflict> = None;
    let mut before = None;
    let (contents, data_end) = records_of(disk, &span.path)?;
    for (offset, zxid, entry) in records(&contents[..data_end]).filter(|(_, zxid, _)| *zxid > above) {
        let header = header_of(entry);
        if known.get(&zxid).is_some_and(|known| known[..] != *header) {
            let conflict = found.get_or_insert_with(|| Conflict {
                earlier: span.path.clone(),
                before,
                path: span.path.clone(),
                offset,
                first: zxid,
                last: zxid,
            });
            conflict.last = conflict.last.max(zxid);
        }
        before = before.max(Some(zxid));
        known.entry(zxid).or_insert_with(|| header.to_vec());
    }
    Ok(found)
}

/// A file, and where its data end; nothing, if it is no log.
fn records_of<D: Disk>(disk: &D, path: &Path) -> Result<(Contents, usize), LogError> {
    records_up_to(disk, path, D::data_end)
}

/// The same with an end that is found by a few looks, and may be too early.
fn likely_records_of<D: Disk>(disk: &D, path: &Path) -> Result<(Contents, usize), LogError> {
    records_up_to(disk, path, D::likely_data_end)
}

/// What stands behind the end is not touched: it may be a hole, which has no room on a disk that is full.
fn records_up_to<D: Disk>(
    disk: &D,
    path: &Path,
    end: impl Fn(&D, &Path) -> std::io::Result<u64>,
) -> Result<(Contents, usize), LogError> {
    let contents = disk.read(path).map_err(io_error("read", path))?;
    let end = end(disk, path).map_err(io_error("read", path))?;
    let end = contents.len().min(end as usize);
    let is_log = contents.len() >= HEADER.len() && contents[..end].starts_with(&HEADER[..4]);
    Ok((contents, if is_log { end } else { 0 }))
}

/// Offset, zxid and entry of each record up to what is none.
fn records(contents: &[u8]) -> impl Iterator<Item = (u64, Zxid, &[u8])> {
    let mut at = HEADER.len();
    std::iter::from_fn(move || {
        let rest = contents.get(at..)?;
        let (length, zxid) = whole_at(rest)?;
        let offset = at as u64;
        at += frame_bytes(length);
        Some((offset, zxid, &rest[FRAME_BEFORE..][..length]))
    })
}

/// The zxid of a file's last record, in front of a hole if there is one: a start asks this of every older log, and of most of them it
/// needs no more.
pub(super) fn last_in_file<D: Disk>(disk: &D, path: &Path) -> Result<Option<Zxid>, LogError> {
    let (contents, likely_end) = likely_records_of(disk, path)?;
    if let Some(last) = last_by_end(contents[..likely_end].get(HEADER.len()..).unwrap_or_default()) {
        return Ok(Some(last));
    }
    let (contents, data_end) = records_of(disk, path)?;
    Ok(last_zxid(&contents[..data_end]))
}

/// The zxid of a file's last record, by its end if that is whole.
fn last_zxid(contents: &[u8]) -> Option<Zxid> {
    let data = without_zeros_behind(contents.get(HEADER.len()..)?);
    last_by_end(data).or_else(|| records(contents).map(|(_, zxid, _)| zxid).max())
}

/// The zxid of a whole record with which this ends.
fn last_by_end(data: &[u8]) -> Option<Zxid> {
    let furthest = data.len().saturating_sub(LAST_RECORD_BYTES_MAX);
    let ends_file = |at: &usize| {
        let length = data[at + 8..].first_chunk().map(|length| u32::from_be_bytes(*length) as usize);
        length.is_some_and(|length| at + frame_bytes(length) == data.len())
    };
    let whole = |at: usize| whole_at(&data[at..]).map(|(_, zxid)| zxid);
    let last_begin = data.len().saturating_sub(frame_bytes(0));
    (furthest..last_begin).rev().filter(ends_file).find_map(whole)
}

#[cfg(test)]
mod tests {
    use zabd_jute::Limits;

    use super::super::frame::put_record;
    use super::*;
    use crate::disk::{DiskFile as _, MemoryDisk};
    use crate::log::Records;

    const DIR: &str = "/log";

    /// Records of one writer, who is told by their session.
    fn log(writer: u8, zxids: impl IntoIterator<Item = i64>) -> Vec<u8> {
        let mut content = HEADER.to_vec();
        for zxid in zxids {
            let mut entry = vec![writer; 40];
            entry[12..20].copy_from_slice(&zxid.to_be_bytes());
            put_record(&entry, &mut content);
        }
        content
    }

    fn disk(files: &[(&str, Vec<u8>)]) -> MemoryDisk {
        let disk = MemoryDisk::default();
        disk.create_dir(Path::new(DIR)).unwrap();
        for (name, content) in files {
            let mut padded = content.clone();
            padded.resize(content.len() + 500, 0);
            disk.create(&Path::new(DIR).join(name)).unwrap().write_at(0, &padded).unwrap();
        }
        disk
    }

    fn found(disk: &MemoryDisk, above: i64) -> Option<(String, String, i64, i64)> {
        let conflict = find_conflict(disk, Path::new(DIR), Zxid(above)).unwrap()?;
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        Some((name(&conflict.earlier), name(&conflict.path), conflict.first.0, conflict.last.0))
    }

    /// What a start's reading says of it.
    fn repeats(disk: &MemoryDisk, after: i64) -> bool {
        let mut records =
            Records::after(disk.clone(), Path::new(DIR), Zxid(after), Limits::default()).unwrap();
        while records.next_record().unwrap().is_some() {}
        records.has_repeated() || reach_behind(disk, Path::new(DIR), Zxid(after)).unwrap()
    }

    #[test]
    fn logs_of_two_servers_are_told_from_copies() {
        let two = disk(&[("log.1", log(1, 1..=10)), ("log.7", log(2, 7..=9))]);
        assert_eq!(found(&two, 0), Some(("log.1".into(), "log.7".into(), 7, 9)));
        assert_eq!(found(&two, 8), Some(("log.1".into(), "log.7".into(), 9, 9)));
        assert_eq!(found(&two, 9), None);
        assert!(repeats(&two, 0) && repeats(&two, 8), "the first is not read behind 8, and reaches there");
        let copy =
            disk(&[("log.1", log(1, 1..=10)), ("log.1.bak", log(1, 1..=9)), ("log.7", log(1, 7..=12))]);
        assert_eq!(found(&copy, 0), None);
        assert!(repeats(&copy, 0), "and that was worth a look");
        let third = disk(&[("log.1", log(1, 1..=40)), ("log.7", log(1, 7..=9)), ("log.20", log(2, 32..=50))]);
        assert_eq!(found(&third, 0), Some(("log.1".into(), "log.20".into(), 32, 40)));
        assert!(repeats(&third, 39) && !repeats(&third, 40));
    }

    #[test]
    fn usual_logs_are_not_looked_at_twice() {
        let usual = disk(&[("log.1", log(1, 1..=9)), ("log.a", log(1, 10..=30)), ("log.1f", log(1, []))]);
        for after in 0..31 {
            assert!(!repeats(&usual, after), "{after}");
        }
        assert_eq!(found(&usual, 0), None);
        // A crash left the older one torn, and whole records behind the hole: they are none.
        let mut torn = log(1, 1..=8);
        torn[HEADER.len() + 5 * 53..][..53].fill(0);
        let torn = disk(&[("log.1", torn), ("log.6", log(2, 6..=9))]);
        assert_eq!(found(&torn, 0), None);
    }

    #[test]
    fn a_log_may_contradict_itself() {
        let mut restored = log(1, 1..=9);
        restored.extend_from_slice(&log(2, 4..=6)[HEADER.len()..]);
        let restored = disk(&[("log.1", restored)]);
        assert_eq!(found(&restored, 0), Some(("log.1".into(), "log.1".into(), 4, 6)));
        assert_eq!(found(&restored, 6), None, "the snapshot has what came of it");
        assert!(repeats(&restored, 0));
        let mut repeated = log(1, 1..=9);
        repeated.extend_from_slice(&log(1, 4..=12)[HEADER.len()..]);
        assert_eq!(found(&disk(&[("log.1", repeated)]), 0), None);
    }

    #[test]
    fn what_keeps_the_first_is_known() {
        let two = disk(&[("log.1", log(1, [1, 2, 3])), ("log.3", log(2, 3..=9))]);
        let conflict = find_conflict(&two, Path::new(DIR), Zxid::ZERO).unwrap().unwrap();
        assert_eq!((conflict.before, conflict.offset), (Some(Zxid(2)), HEADER.len() as u64));
    }

    #[test]
    fn the_last_record_is_found_by_its_end_and_otherwise_by_all() {
        for zxids in [1..=1, 1..=9] {
            let last = *zxids.end();
            let mut content = log(66, zxids);
            assert_eq!(last_zxid(&content), Some(Zxid(last)));
            content.extend_from_slice(b"half a record");
            assert_eq!(last_zxid(&content), Some(Zxid(last)));
        }
        for content in [&HEADER[..], &HEADER[..3], b""] {
            assert_eq!(last_zxid(content), None);
        }
    }
}
