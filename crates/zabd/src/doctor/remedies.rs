//! What can be done so that a start goes through, and finds nothing that somebody should know of.
//!
//! Each step is tried on a disk that only remembers, and then the start is tried again. The steps of a plan therefore lead to a
//! start that goes through, or the plan says why none do. On a real disk they are done by the same function.
//!
//! A member of an ensemble has no plan while its files are damaged: what its log lost may have been acknowledged, and with a
//! vote it could help to elect a leader that lacks it. Its peers repair it.

use std::fmt;
use std::path::{Path, PathBuf};

use zabd_jute::{Limits, Zxid};
use zabd_storage::damage::{move_aside, next_place};
use zabd_storage::disk::{Disk, Rehearsal};
use zabd_storage::layout::{LOG, NamedFile, snapshot_name, zxid_in_name};
use zabd_storage::log::{
    Behind, Conflict, LogError, Records, Tail, behind, cut_behind_copy, cut_damage, first_record,
};
use zabd_storage::misnamed::{Moved, set_names_right};
use zabd_storage::recovery::{Directories, RecoveryError};
use zabd_storage::snapshot::{Compression, SnapshotTrailer, SnapshotWriter};
use zabd_tree::Tree;

use super::files::{Condition, File};
use super::{Patient, counted};
use crate::recover::{Reading, recover};

/// Where the first record of a log begins.
const FIRST_RECORD: u64 = 16;

/// What a step gives up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenUp {
    /// What was written behind this one, as far as only that file holds it.
    pub after: Zxid,
    /// What the file has behind that.
    pub behind: Behind,
    /// How that could be kept instead.
    pub otherwise: Option<String>,
}

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { after, behind: Behind { whole_records, last, .. }, otherwise } = self;
        write!(f, "what was written behind zxid {after} is given up")?;
        match last {
            None => write!(f, ", of which no record is whole")?,
            Some(last) => {
                let records = counted(*whole_records, "record is", "records are");
                write!(f, ", of which {records} whole, up to zxid {last}")?;
            }
        }
        otherwise.as_ref().map_or(Ok(()), |way| write!(f, "; {way}"))
    }
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Moves a file out of the way.
    SetAside {
        /// Which one.
        from: PathBuf,
        /// Where it goes.
        to: PathBuf,
        /// What only it holds.
        gives_up: Option<GivenUp>,
    },
    /// Cuts a log as a start does, and keeps what is cut beside it.
    Cut {
        /// Which one, and where.
        tail: Tail,
    },
    /// Cuts a log behind a copy of it.
    CutBehindCopy {
        /// Which one, and where.
        tail: Tail,
        /// Where the copy goes.
        copy: PathBuf,
        /// What stands behind the cut.
        gives_up: GivenUp,
    },
    /// Writes the snapshot of an empty beginning before logs that hold everything since.
    Begin {
        /// Where snapshots are.
        dir: PathBuf,
    },
}

impl Step {
    /// Does it.
    pub fn perform<D: Disk>(&self, disk: &D) -> Result<(), RecoveryError> {
        match self {
            Step::SetAside { from, to, .. } => move_aside(disk, from, to),
            Step::Cut { tail } => Ok(cut_damage(disk, tail).map(drop)?),
            Step::CutBehindCopy { tail, copy, .. } => Ok(cut_behind_copy(disk, tail, copy)?),
            Step::Begin { dir } => write_empty(disk, dir),
        }
    }

    /// What is given up.
    pub fn gives_up(&self) -> Option<&GivenUp> {
        match self {
            Step::SetAside { gives_up, .. } => gives_up.as_ref(),
            Step::CutBehindCopy { gives_up, .. } => Some(gives_up),
            Step::Cut { .. } | Step::Begin { .. } => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::SetAside { from, to, .. } => write!(f, "move {} to {}", from.display(), to.display())?,
            Step::Cut { tail: Tail { path, offset } } => {
                write!(f, "cut {} at offset {offset}, and keep the rest beside it", path.display())?;
            }
            Step::CutBehindCopy { tail: Tail { path, offset }, copy, .. } => {
                let (path, copy) = (path.display(), copy.display());
                write!(f, "copy {path} to {copy}, and cut it at offset {offset}")?;
            }
            Step::Begin { dir } => {
                let path = dir.join(snapshot_name(Zxid::ZERO, ""));
                write!(f, "write {}, which holds nothing: the logs hold everything since", path.display())?;
            }
        }
        self.gives_up().map_or(Ok(()), |given_up| write!(f, "; {given_up}"))
    }
}

/// Steps in their order.
#[derive(Debug, Default)]
pub struct Plan {
    /// None, if there is nothing to do or nothing helps.
    pub steps: Vec<Step>,
    /// Why a start does not go through even so.
    pub in_vain: Option<RecoveryError>,
}

impl Plan {
    /// Finds the steps. Where logs contradict each other, the snapshot may fit to one of them alone, as its digests show.
    pub(super) fn for_patient<D: Disk>(
        disk: &D,
        patient: &Patient,
        files: &[File],
        is_member: bool,
    ) -> Result<Self, RecoveryError> {
        let plan = Self::keeping(Kept::Earlier, disk, patient, files, is_member)?;
        if !matches!(plan.in_vain, Some(RecoveryError::Log(LogError::Conflict(_)))) {
            return Ok(plan);
        }
        let other = Self::keeping(Kept::Later, disk, patient, files, is_member)?;
        Ok(if other.in_vain.is_none() { other } else { plan })
    }

    fn keeping<D: Disk>(
        kept: Kept,
        disk: &D,
        patient: &Patient,
        files: &[File],
        is_member: bool,
    ) -> Result<Self, RecoveryError> {
        let trial = Rehearsal::on(disk.clone());
        let (limits, steps) = (patient.limits, Vec::new());
        let mut planner = Planner { trial, limits, kept, conflict: None, places: Vec::new(), steps };
        for file in files {
            // A start removes both, for neither ever held anything.
            let is_empty_log = file.condition == Condition::Torn(0) && file.needs_attention;
            if file.kind == "leftover" || is_empty_log {
                planner.set_aside(&file.path, None)?;
            }
        }
        let logs = Directories::of(&patient.recovery(is_member)).logs;
        let (tree_options, limits) = (Patient::tree_options(), patient.limits);
        // Why another beginning was looked for.
        let mut unread = None;
        // Each step takes a file out of the way or makes one shorter, or is the only beginning, so there is an end.
        loop {
            // A start does it too.
            for Moved { from, to, .. } in set_names_right(&planner.trial, &logs)? {
                planner.steps.push(Step::SetAside { from, to, gives_up: None });
            }
            let started = recover(
                &planner.trial,
                &patient.recovery(is_member),
                tree_options,
                limits,
                Reading::default(),
            );
            match started {
                Ok(recovered) => {
                    if let Some(conflict) =
                        planner.conflict.take().filter(|_| recovered.figures.digest_mismatches > 0)
                    {
                        let error = RecoveryError::Log(LogError::Conflict(conflict));
                        return Ok(Self { steps: Vec::new(), in_vain: Some(error) });
                    }
                    let is_all = recovered.figures.digest_mismatches == 0
                        && recovered.tree.last_zxid() >= newest_damaged(files);
                    if let Some(error) = unread.filter(|_| !is_all) {
                        return Ok(Self { steps: Vec::new(), in_vain: Some(error) });
                    }
                    // The start has cut it on the trial's disk.
                    if let Some(cut) = recovered.story.cut {
                        planner.steps.push(Step::Cut { tail: cut.tail });
                    }
                    break;
                }
                Err(RecoveryError::Log(error)) if unread.is_none() && planner.remedy(&error)? => (),
                Err(error @ RecoveryError::NoWholeSnapshot { .. })
                    if unread.is_none() && planner.begin_before(patient, files)? =>
                {
                    unread = Some(error);
                }
                Err(error) => {
                    return Ok(Self { steps: Vec::new(), in_vain: Some(unread.unwrap_or(error)) });
                }
            }
        }
        planner.set_damaged_aside(files)?;
        Ok(Self { steps: planner.steps, in_vain: None })
    }
}

/// Which of two logs that contradict each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Earlier,
    Later,
}

struct Planner<D> {
    trial: Rehearsal<D>,
    limits: Limits,
    kept: Kept,
    /// The first one that was met.
    conflict: Option<Box<Conflict>>,
    /// Where the files of each directory go.
    places: Vec<(PathBuf, PathBuf)>,
    steps: Vec<Step>,
}

impl<D: Disk> Planner<D> {
    /// Tries what helps against an error; false if nothing does.
    fn remedy(&mut self, error: &LogError) -> Result<bool, RecoveryError> {
        match error {
            LogError::Corrupt { path, offset, upto, .. } => {
                let behind = self.behind(path, *offset)?;
                let otherwise = (behind.lacks_only_checksums && behind.whole_records > 0).then(|| {
                    format!(
                        "to keep them instead, take the copy that `zkTxnLogToolkit.sh --recover {}` writes",
                        path.display()
                    )
                });
                self.cut(path, *offset, GivenUp { after: *upto, behind, otherwise })?;
            }
            LogError::Gap { path, offset, expected, .. } => {
                let after = Zxid(expected.0 - 1);
                let behind = self.behind(path, *offset)?;
                let given_up = GivenUp { after, behind, otherwise: None };
                if *offset <= FIRST_RECORD {
                    self.set_aside(path, Some(given_up))?;
                } else {
                    self.cut(path, *offset, given_up)?;
                }
            }
            LogError::NotALog { path } => {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let first = zxid_in_name(name, LOG).unwrap_or(Zxid::ZERO);
                let after = Zxid((first.0 - 1).max(0));
                let behind = self.behind(path, FIRST_RECORD)?;
                let otherwise = (behind.whole_records > 0).then(|| {
                    format!("to keep them instead, write the first {FIRST_RECORD} bytes of a whole log over its own")
                });
                self.set_aside(path, Some(GivenUp { after, behind, otherwise }))?;
            }
            LogError::Conflict(conflict) => return self.end_conflict(conflict),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Only one of two pasts can be kept; which one, somebody has to decide who knows what was written by whom.
    fn end_conflict(&mut self, conflict: &Conflict) -> Result<bool, RecoveryError> {
        self.conflict.get_or_insert_with(|| Box::new(conflict.clone()));
        let Conflict { earlier, before, path, offset, .. } = conflict;
        let after = before.unwrap_or(Zxid::ZERO);
        if earlier == path {
            let given_up = GivenUp { after, behind: self.behind(path, *offset)?, otherwise: None };
            self.cut(path, *offset, given_up)?;
            return Ok(true);
        }
        match (self.kept, before) {
            (Kept::Earlier, _) => {
                let otherwise = before.map(|before| {
                    let (earlier, path) = (earlier.display(), path.display());
                    format!(
                        "to keep those of {path} instead, and give up those of {earlier}, take, in the place of {earlier}, the copy \
                         that `zkTxnLogToolkit.sh --chop --zxid {before} {earlier}` writes"
                    )
                });
                let behind = self.behind(path, *offset)?;
                self.set_aside(path, Some(GivenUp { after, behind, otherwise }))?;
            }
            (Kept::Later, None) => {
                let behind = self.behind(earlier, FIRST_RECORD)?;
                self.set_aside(earlier, Some(GivenUp { after, behind, otherwise: None }))?;
            }
            (Kept::Later, Some(before)) => {
                let Some(end) = self.end_of(earlier, *before)? else { return Ok(false) };
                let behind = self.behind(earlier, end)?;
                self.cut(earlier, end, GivenUp { after, behind, otherwise: None })?;
            }
        }
        Ok(true)
    }

    /// Where the record behind this one begins.
    fn end_of(&self, path: &Path, zxid: Zxid) -> Result<Option<u64>, RecoveryError> {
        let file = NamedFile { zxid: Zxid::ZERO, path: path.to_owned() };
        let mut records = Records::of_file(self.trial.clone(), file, self.limits).of_any_length();
        while let Some(record) = records.next_record()? {
            if record.zxid == zxid {
                return Ok(Some(record.offset + record.frame_bytes()));
            }
        }
        Ok(None)
    }

    /// Begins before damaged snapshots, with an older one or, if the logs begin with the very first transaction, with nothing.
    /// Whether the logs are whole, the next start shows.
    fn begin_before(&mut self, patient: &Patient, files: &[File]) -> Result<bool, RecoveryError> {
        let Directories { snapshots, logs } = Directories::of(&patient.recovery(false));
        let first = first_record(&self.trial, &logs, self.limits).ok().flatten();
        // A start tries some of the newest.
        let has_whole =
            files.iter().any(|file| file.kind == "snapshot" && file.condition == Condition::Sound);
        if !has_whole && first.is_none_or(|(_, zxid)| zxid != Zxid(1)) {
            return Ok(false);
        }
        for file in damaged_snapshots(files) {
            self.set_aside(&file.path, None)?;
        }
        if !has_whole {
            self.take(Step::Begin { dir: snapshots })?;
        }
        Ok(true)
    }

    fn behind(&self, path: &Path, offset: u64) -> Result<Behind, RecoveryError> {
        Ok(behind(&self.trial, path, offset, self.limits)?)
    }

    fn cut(&mut self, path: &Path, offset: u64, given_up: GivenUp) -> Result<(), RecoveryError> {
        let tail = Tail { path: path.to_owned(), offset };
        let copy = self.place_for(path)?;
        self.take(Step::CutBehindCopy { tail, copy, gives_up: given_up })
    }

    fn set_aside(&mut self, path: &Path, gives_up: Option<GivenUp>) -> Result<(), RecoveryError> {
        let to = self.place_for(path)?;
        self.take(Step::SetAside { from: path.to_owned(), to, gives_up })
    }

    /// Where a file goes that is set aside, or its copy.
    fn place_for(&mut self, path: &Path) -> Result<PathBuf, RecoveryError> {
        let dir = path.parent().expect("a file stands in a directory");
        let known = self.places.iter().find(|(of, _)| of == dir).map(|(_, place)| place.clone());
        let place = if let Some(place) = known { place } else { next_place(&self.trial, dir)? };
        self.places.push((dir.to_owned(), place.clone()));
        Ok(place.join(path.file_name().expect("a file has a name")))
    }

    fn take(&mut self, step: Step) -> Result<(), RecoveryError> {
        step.perform(&self.trial)?;
        self.steps.push(step);
        Ok(())
    }

    /// What a start passes over: snapshots that are not whole, and logs that it does not need, over which Java would stumble.
    fn set_damaged_aside(&mut self, files: &[File]) -> Result<(), RecoveryError> {
        for File { path, kind, condition, .. } in files {
            let is_data = matches!(*kind, "snapshot" | "log") && matches!(condition, Condition::Damaged(_));
            let is_touched = self.steps.iter().any(|step| match step {
                Step::SetAside { from, .. } => from == path,
                Step::Cut { tail } | Step::CutBehindCopy { tail, .. } => tail.path == *path,
                Step::Begin { .. } => false,
            });
            if is_data && !is_touched {
                self.set_aside(path, None)?;
            }
        }
        Ok(())
    }
}

fn damaged_snapshots(files: &[File]) -> impl Iterator<Item = &File> {
    let is_damaged = |file: &&File| matches!(file.condition, Condition::Damaged(_));
    files.iter().filter(|file| file.kind == "snapshot").filter(is_damaged)
}

/// Logs that end before it are not all that there was.
fn newest_damaged(files: &[File]) -> Zxid {
    damaged_snapshots(files).filter_map(|file| file.zxids).map(|(zxid, _)| zxid).max().unwrap_or(Zxid::ZERO)
}

/// Without a trailer, which every version of Java's server reads.
fn write_empty<D: Disk>(disk: &D, dir: &Path) -> Result<(), RecoveryError> {
    let mut tree = Tree::new(Patient::tree_options());
    let mut body = Vec::new();
    tree.begin_snapshot();
    while tree.snapshot_chunk(&mut body, 100) {}
    let mut writer = SnapshotWriter::begin(disk.clone(), dir, Zxid::ZERO, Compression::None)?;
    writer.write(&body)?;
    writer.finish(SnapshotTrailer::default())?;
    Ok(())
}
