//! `zabd doctor`: what is in a data directory, whether it is sound, who can read it, what a start would do with it, and, on
//! request, setting it right.
//!
//! What a start would do is found out by starting: the very function that a server recovers with runs on a disk that
//! keeps all changes in memory ([`zabd_storage::disk::Rehearsal`]). A repair is found out in the same way: a remedy is tried
//! there for what the start ended at, and it starts again, until it goes through; then the steps that were tried are what is
//! shown, and what `--repair` does. So the doctor cannot promise what a server would not keep.
//!
//! - `files`: each file for itself, also those that no start would read; `voters`: the one about members;
//! - `formats`: which servers read what the files have in them;
//! - `start`: the rehearsal; `remedies`: the steps;
//! - `report`: all of it, for people and for programs.
//!
//! Nothing is ever removed: what is in the way is moved to `damaged-<n>`, and so is a copy of a log that holds what is given up.
//! What any start would cut is kept as `cut-<log>-<offset>`, as by a start.

mod files;
mod formats;
mod remedies;
mod report;
mod start;
mod voters;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use zabd_config::Config;
use zabd_jute::Limits;
use zabd_jute::quorum::Configuration;
use zabd_storage::disk::Disk;
use zabd_storage::recovery::{RecoveryError, RecoveryOptions};
use zabd_tree::TreeOptions;

pub use files::File;
pub use formats::Formats;
pub use remedies::Plan;
pub use start::Start;

use crate::start_error::recovery_text;

/// Whose files are looked at. Those of a lone server may look like a member's: Java leaves the epochs and `myid` of what it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// A member's, if there is a file that only members have; what is known of a directory without its zoo.cfg.
    AsTheyLook,
    /// A member's, as its zoo.cfg says.
    Member,
    /// A lone server's, or a member's whose peers are not counted on.
    Alone,
}

impl Whose {
    /// What a configuration says.
    pub fn by(config: &Config) -> Self {
        if config.ensemble.is_some() { Whose::Member } else { Whose::Alone }
    }
}

/// What is to be looked at.
#[derive(Clone, Debug)]
pub struct Patient {
    /// `dataDir`.
    pub data_dir: PathBuf,
    /// `dataLogDir`.
    pub log_dir: PathBuf,
    /// Whether somebody has said so, or the directory of the data is only taken for it.
    pub is_log_dir_named: bool,
    /// Whose files these are.
    pub whose: Whose,
    /// `snapshot.trust.empty`.
    pub trust_empty: bool,
    /// `jute.maxbuffer` with its extra size: how long a record may be that a start reads.
    pub limits: Limits,
    /// The members without a number that zoo.cfg names, if one is known.
    pub members: Option<Configuration>,
}

impl Patient {
    fn recovery(&self, is_member: bool) -> RecoveryOptions {
        let (data_dir, log_dir) = (self.data_dir.clone(), self.log_dir.clone());
        RecoveryOptions {
            data_dir,
            log_dir,
            autocreate: true,
            trust_empty: self.trust_empty,
            is_alone: !is_member,
        }
    }

    /// Whoever can look into the directories can choose names in them, and waits for nobody but himself.
    fn tree_options() -> TreeOptions {
        TreeOptions { hash_seed: 0, digest: true, emulate_353_ttl: false }
    }
}

/// So many of something, in words.
fn counted(count: impl Into<u64>, one: &str, many: &str) -> String {
    match count.into() {
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    }
}

/// How it stands with a directory; the numbers are exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// A start goes through, and there is nothing to look at.
    Sound = 0,
    /// A start goes through, and somebody should know what it finds; a damaged member's does if its peers are a quorum.
    NeedsAttention = 1,
    /// A start does not go through.
    Unusable = 2,
}

/// All that is known about a directory.
#[derive(Debug)]
pub struct Examination {
    /// Every file.
    pub files: Vec<File>,
    /// What is in logs and snapshots.
    pub formats: Formats,
    /// Whether it belongs to a member of an ensemble.
    pub is_member: bool,
    /// What a start would do.
    pub start: Result<Start, RecoveryError>,
    /// What it would do if the other members are a quorum; only where that differs.
    pub with_peers: Option<Result<Start, RecoveryError>>,
    /// What can be done before it.
    pub plan: Plan,
    /// `dataDir` and `dataLogDir`.
    pub dirs: [PathBuf; 2],
    /// Where the logs are to be, if somebody has said so.
    pub named_logs: Option<PathBuf>,
}

impl Examination {
    /// Looks at everything, and changes nothing.
    pub fn of<D: Disk>(disk: &D, patient: &Patient) -> Result<Self, RecoveryError> {
        let mut formats = Formats::default();
        let files = files::all(disk, patient, &mut formats)?;
        let is_member = match patient.whose {
            Whose::AsTheyLook => files.iter().any(|file| file.is_of_member),
            Whose::Member => true,
            Whose::Alone => false,
        };
        let start = start::rehearse(disk, patient, is_member, false);
        if let Err(error) = &start {
            formats.see_start(error);
        }
        let is_damage = matches!(&start, Err(error) if error.is_damage());
        let with_peers = (is_member && is_damage).then(|| start::rehearse(disk, patient, true, true));
        let plan = if with_peers.is_some() {
            Plan::default()
        } else {
            Plan::for_patient(disk, patient, &files, is_member)?
        };
        let named_logs = patient.is_log_dir_named.then(|| patient.log_dir.clone());
        let dirs = [patient.data_dir.clone(), patient.log_dir.clone()];
        Ok(Self { files, formats, is_member, start, with_peers, plan, dirs, named_logs })
    }

    fn words(&self, error: &RecoveryError) -> String {
        recovery_text(error, [&self.dirs[0], &self.dirs[1]])
    }

    /// Whether a start goes through as soon as the other members are a quorum, who give it what is damaged here.
    pub fn is_left_to_peers(&self) -> bool {
        self.with_peers.as_ref().is_some_and(Result::is_ok)
    }

    /// How it stands.
    pub fn verdict(&self) -> Verdict {
        if self.is_left_to_peers() {
            return Verdict::NeedsAttention;
        }
        let Ok(start) = &self.start else { return Verdict::Unusable };
        // A copy that holds nothing is none, and who looks at one may have named the wrong directory.
        let is_quiet = start.is_quiet() && self.plan.steps.is_empty() && !self.files.is_empty();
        if is_quiet && self.files.iter().all(|file| !file.needs_attention) {
            Verdict::Sound
        } else {
            Verdict::NeedsAttention
        }
    }
}
