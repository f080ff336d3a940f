//! `zabd doctor DIR`, or `zabd doctor zoo.cfg`: what is in a data directory, what a start would do with it, and setting it right.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use zabd_config::{CommandLine, Config, Start, load};
use zabd_storage::disk::RealDisk;
use zabd_storage::layout::{self, LOG, SNAPSHOT};
use zabd_storage::recovery::{Held, RecoveryError, RecoveryOptions, hold};

use super::check_config;
use super::names::Call;
use crate::doctor::{Examination, Patient, Verdict, Whose};
use crate::java_beside;
use crate::start_error::{forbidden_directory, recovery_text};

const USAGE: &str = "\
Usage:
  zabd doctor DIR [-Dkey=value ...] [--log-dir DIR] [--alone] [--json] [--repair]
  zabd doctor zoo.cfg [-Dkey=value ...] [--alone] [--json] [--repair]

Says what is in a data directory that no server uses, whether each file is whole, which versions of Java's server can read it,
what a start would do, and what could be done before it. Nothing is changed without --repair, which does what is shown under
`repair`: it moves and cuts files, keeps a copy of what it cuts, and removes nothing.

  -Dkey=value     as a start has it, such as -Djute.maxbuffer=4194304; SERVER_JVMFLAGS and JVMFLAGS are read, too, and so is
                  the java.env beside a zoo.cfg
  --log-dir DIR   dataLogDir, if the logs are elsewhere; a zoo.cfg names both
  --alone         treats a member of an ensemble as if it had no peers any more; whether it is one, a zoo.cfg says; of a directory,
                  the files that only members have
  --json          for programs
  --repair        does what was shown, and looks again

Exit code 0 is sound, 1 needs attention (so does a member that its peers repair, if they are a quorum), 2 cannot be used as it is.";

/// Runs it.
pub fn run(call: &Call) -> ExitCode {
    let asked = match parse(&call.words) {
        Ok(Some(asked)) => asked,
        Ok(None) => {
            say!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(mistake) => {
            eprintln!("{}: {mistake}\n\n{USAGE}", call.program);
            return ExitCode::from(Verdict::Unusable as u8);
        }
    };
    match asked.answer() {
        Ok(verdict) => ExitCode::from(verdict as u8),
        Err(RecoveryError::InUse { path }) => {
            let path = path.display();
            eprintln!(
                "{}: {path} is in use by a server that runs: stop that one, or ask about a copy",
                call.program
            );
            ExitCode::from(Verdict::Unusable as u8)
        }
        Err(error) => {
            let dirs = [&asked.patient.data_dir, &asked.patient.log_dir].map(PathBuf::as_path);
            eprintln!("{}: {}", call.program, recovery_text(&error, dirs));
            ExitCode::from(Verdict::Unusable as u8)
        }
    }
}

#[derive(Debug)]
struct Asked {
    patient: Patient,
    json: bool,
    repair: bool,
}

/// `None` is a question for help.
fn parse(words: &[String]) -> Result<Option<Asked>, String> {
    let (mut dir, mut log_dir, mut properties) = (None, None, Vec::new());
    let (mut is_alone, mut json, mut repair) = (false, false, false);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match &word[..] {
            "--help" | "-h" => return Ok(None),
            "--alone" => is_alone = true,
            "--json" => json = true,
            "--repair" => repair = true,
            "--log-dir" => log_dir = Some(PathBuf::from(words.next().ok_or("--log-dir needs a directory")?)),
            word if word.starts_with("-D") => properties.push(word.to_owned()),
            word => match word.strip_prefix("--log-dir=") {
                Some(value) => log_dir = Some(PathBuf::from(value)),
                None if word.starts_with('-') => return Err(format!("{word} is no option")),
                None if dir.is_some() => return Err(format!("{word} is one directory too many")),
                None => dir = Some(PathBuf::from(word)),
            },
        }
    }
    let dir = dir.ok_or("which directory?")?;
    if dir.is_file() && is_of_data(&dir) {
        let dir = dir.display();
        return Err(format!(
            "{dir} is a file of data: name the directory that has its version-2 in it, or print it: `zabd zkTxnLogToolkit.sh` a \
             log, `zabd zkSnapShotToolkit.sh` a snapshot"
        ));
    }
    let is_configured = dir.is_file();
    let config = if is_configured {
        properties.push(dir.to_string_lossy().into_owned());
        check_config::configured(&properties)?
    } else {
        of_directory(&dir, properties)?
    };
    let (limits, members) = (check_config::limits(&config), check_config::unnumbered_members(&config));
    let whose = match is_configured {
        _ if is_alone => Whose::Alone,
        true => Whose::by(&config),
        false => Whose::AsTheyLook,
    };
    let trust_empty = config.snapshot_trust_empty;
    let (data_dir, configured) =
        if is_configured { (config.data_dir, Some(config.data_log_dir)) } else { (dir, None) };
    let named = log_dir.or(configured);
    let is_log_dir_named = named.is_some();
    let log_dir = named.unwrap_or_else(|| data_dir.clone());
    for dir in [&data_dir, &log_dir] {
        if !dir.is_dir() {
            return Err(format!("{} is no directory", dir.display()));
        }
    }
    let patient = Patient { data_dir, log_dir, is_log_dir_named, whose, trust_empty, limits, members };
    Ok(Some(Asked { patient, json, repair }))
}

/// The properties by which a start reads data; mistakes in others do not matter here.
const READ_BY: [&str; 3] =
    ["-Djute.maxbuffer=", "-Dzookeeper.jute.maxbuffer.extrasize=", "-Dzookeeper.snapshot.trust.empty="];

/// What these words and the environment tell a start, if there is no zoo.cfg.
fn of_directory(dir: &Path, properties: Vec<String>) -> Result<Config, String> {
    let read_by = |text: String| {
        let words = text.split_whitespace().filter(|word| READ_BY.iter().any(|key| word.starts_with(key)));
        words.collect::<Vec<_>>().join(" ")
    };
    let start = Start::PortAndDirectory(vec!["0".to_owned(), dir.to_string_lossy().into_owned()]);
    load(&CommandLine { properties, start }, &|name| std::env::var(name).ok().map(read_by))
        .map_err(|errors| errors.to_string())
}

/// A log or a snapshot, by its name, which nobody has meant for a zoo.cfg.
fn is_of_data(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    [LOG, SNAPSHOT].iter().any(|kind| layout::zxid_in_name(&name, kind).is_some())
}

impl Asked {
    fn answer(&self) -> Result<Verdict, RecoveryError> {
        let _held = self.hold()?;
        if let Some(java) = java_beside::find(&self.patient.data_dir, &self.patient.log_dir) {
            return Err(java.into());
        }
        let found = Examination::of(&RealDisk, &self.patient)?;
        if !self.repair {
            self.print(&found);
            return Ok(found.verdict());
        }
        for step in &found.plan.steps {
            eprintln!("{step}");
            step.perform(&RealDisk)?;
        }
        let left = Examination::of(&RealDisk, &self.patient)?;
        self.print(&left);
        Ok(left.verdict())
    }

    /// A server that runs changes what is looked at, and must not find it changed.
    fn hold(&self) -> Result<Option<Held>, RecoveryError> {
        let Patient { data_dir, log_dir, .. } = &self.patient;
        let (data_dir, log_dir) = (data_dir.clone(), log_dir.clone());
        let options =
            RecoveryOptions { data_dir, log_dir, autocreate: false, trust_empty: false, is_alone: true };
        match hold(&options) {
            Ok(held) => Ok(Some(held)),
            Err(RecoveryError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn print(&self, examination: &Examination) {
        if self.json {
            say!("{:#}", examination.json());
        } else {
            say!("{}", examination.text().trim_end());
        }
        let Patient { data_dir, log_dir, .. } = &self.patient;
        if let Some((dir, hint)) = forbidden_directory([data_dir, log_dir]) {
            eprintln!(
                "a start as this user ends: {} cannot be read and written; hint: {hint}",
                dir.display()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Java leaves the epochs and `myid` of what a server was before.
    #[test]
    fn whose_the_files_are_a_zoo_cfg_decides() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("myid"), "1\n").unwrap();
        let zoo_cfg = dir.path().join("zoo.cfg");
        let whose = |members: &str, asked: &Path, words: &[&str]| {
            let text = format!(
                "dataDir={}\nclientPort=2181\ninitLimit=5\nsyncLimit=5\n{members}",
                dir.path().display()
            );
            std::fs::write(&zoo_cfg, text).unwrap();
            let words = words.iter().map(|word| (*word).to_owned());
            let words: Vec<_> = [asked.to_string_lossy().into_owned()].into_iter().chain(words).collect();
            parse(&words).unwrap().unwrap().patient.whose
        };
        let two = "server.1=a:1:2\nserver.2=b:1:2\n";
        assert_eq!(whose("", &zoo_cfg, &[]), Whose::Alone);
        assert_eq!(whose("server.1=a:1:2\n", &zoo_cfg, &[]), Whose::Alone);
        assert_eq!(whose(two, &zoo_cfg, &[]), Whose::Member);
        assert_eq!(whose(two, &zoo_cfg, &["--alone"]), Whose::Alone);
        assert_eq!(whose("", dir.path(), &[]), Whose::AsTheyLook);
    }
}
