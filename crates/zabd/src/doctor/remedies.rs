//! What can be done so that a start goes through, and finds nothing that somebody should know of.
//!
//! Each step is tried on a disk that only remembers, and then the start is tried again. The steps of a plan therefore lead to a
//! start that goes through, or the plan says why none do. On a real disk they are done by the same function.
//!
//! A member of an ensemble has no plan while its files are damaged: what its log lost may have been acknowledged, and with a
//! vote it could help to elect a leader that lacks it. Its peers repair it.

use std::fmt;
use std::path::{Path, PathBuf};

use zabd_jute::Zxid;
use zabd_storage::damage::{move_aside, next_place};
use zabd_storage::disk::{Disk, Rehearsal};
use zabd_storage::layout::{LOG, zxid_in_name};
use zabd_storage::log::{LogError, Tail, cut_damage};
use zabd_storage::recovery::RecoveryError;

use super::Patient;
use super::files::{Condition, File};
use crate::recover::{Reading, recover};

/// Where the first record of a log begins.
const FIRST_RECORD: u64 = 16;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Moves a file out of the way.
    SetAside {
        /// Which one.
        from: PathBuf,
        /// Where it goes.
        to: PathBuf,
        /// Transactions behind this one that only it holds are given up.
        gives_up_behind: Option<Zxid>,
    },
    /// Cuts a log, and keeps what is cut beside it.
    Cut {
        /// Which one, and where.
        tail: Tail,
        /// Transactions behind this one are given up.
        gives_up_behind: Option<Zxid>,
    },
}

impl Step {
    /// Does it.
    pub fn perform<D: Disk>(&self, disk: &D) -> Result<(), RecoveryError> {
        match self {
            Step::SetAside { from, to, .. } => move_aside(disk, from, to),
            Step::Cut { tail, .. } => Ok(cut_damage(disk, tail).map(drop)?),
        }
    }

    /// From which transaction on something is given up.
    pub fn gives_up_behind(&self) -> Option<Zxid> {
        match self {
            Step::SetAside { gives_up_behind, .. } | Step::Cut { gives_up_behind, .. } => *gives_up_behind,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::SetAside { from, to, .. } => write!(f, "move {} to {}", from.display(), to.display())?,
            Step::Cut { tail: Tail { path, offset }, .. } => {
                write!(f, "cut {} at offset {offset}, and keep the rest beside it", path.display())?;
            }
        }
        match self.gives_up_behind() {
            None => Ok(()),
            Some(zxid) => write!(f, "; what was written behind zxid {zxid} is given up"),
        }
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
    /// Finds the steps.
    pub(super) fn for_patient<D: Disk>(
        disk: &D,
        patient: &Patient,
        files: &[File],
        is_member: bool,
    ) -> Result<Self, RecoveryError> {
        let mut planner =
            Planner { trial: Rehearsal::on(disk.clone()), places: Vec::new(), steps: Vec::new() };
        for file in files {
            // A start removes both, for neither ever held anything.
            let is_empty_log = file.condition == Condition::Torn(0) && file.needs_attention;
            if file.kind == "leftover" || is_empty_log {
                planner.set_aside(&file.path, None)?;
            }
        }
        let (tree_options, limits) = (Patient::tree_options(), Patient::limits());
        // Each step takes a file out of the way or makes one shorter, so there is an end.
        loop {
            let started = recover(
                &planner.trial,
                &patient.recovery(is_member),
                tree_options,
                limits,
                Reading::default(),
            );
            match started {
                Ok(recovered) => {
                    // The start has cut it on the trial's disk.
                    if let Some(cut) = recovered.story.cut {
                        planner.steps.push(Step::Cut { tail: cut.tail, gives_up_behind: None });
                    }
                    break;
                }
                Err(RecoveryError::Log(error)) if planner.remedy(&error)? => (),
                Err(error) => return Ok(Self { steps: Vec::new(), in_vain: Some(error) }),
            }
        }
        planner.set_damaged_aside(files)?;
        Ok(Self { steps: planner.steps, in_vain: None })
    }
}

struct Planner<D> {
    trial: Rehearsal<D>,
    /// Where the files of each directory go.
    places: Vec<(PathBuf, PathBuf)>,
    steps: Vec<Step>,
}

impl<D: Disk> Planner<D> {
    /// Tries what helps against an error; false if nothing does.
    fn remedy(&mut self, error: &LogError) -> Result<bool, RecoveryError> {
        match error {
            LogError::Corrupt { path, offset, upto, .. } => self.cut(path, *offset, *upto)?,
            LogError::Gap { path, offset, expected, .. } => {
                let behind = Zxid(expected.0 - 1);
                if *offset <= FIRST_RECORD {
                    self.set_aside(path, Some(behind))?;
                } else {
                    self.cut(path, *offset, behind)?;
                }
            }
            LogError::NotALog { path } => {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let first = zxid_in_name(name, LOG).unwrap_or(Zxid::ZERO);
                self.set_aside(path, Some(Zxid((first.0 - 1).max(0))))?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn cut(&mut self, path: &Path, offset: u64, behind: Zxid) -> Result<(), RecoveryError> {
        let tail = Tail { path: path.to_owned(), offset };
        self.take(Step::Cut { tail, gives_up_behind: Some(behind) })
    }

    fn set_aside(&mut self, path: &Path, gives_up_behind: Option<Zxid>) -> Result<(), RecoveryError> {
        let dir = path.parent().expect("a file stands in a directory");
        let known = self.places.iter().find(|(of, _)| of == dir).map(|(_, place)| place.clone());
        let place = if let Some(place) = known { place } else { next_place(&self.trial, dir)? };
        self.places.push((dir.to_owned(), place.clone()));
        let to = place.join(path.file_name().expect("a file has a name"));
        self.take(Step::SetAside { from: path.to_owned(), to, gives_up_behind })
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
                Step::Cut { tail, .. } => tail.path == *path,
            });
            if is_data && !is_touched {
                self.set_aside(path, None)?;
            }
        }
        Ok(())
    }
}
