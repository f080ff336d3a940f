//! `zkServer-initialize.sh`: makes empty directories in which a server may start, and its `myid`.
//!
//! The file `initialize` says that this one may start with nothing. `--force` removes what is there first, as in Java; but never
//! under a server that runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use zabd_storage::layout::VERSION_DIR;
use zabd_storage::recovery::{INITIALIZE, RecoveryError, RecoveryOptions, hold};

use super::names::Call;
use super::zk_env::ZkEnv;

/// What the words ask for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    config: Option<String>,
    myid: Option<String>,
    is_forced: bool,
}

/// Runs it.
pub fn run(call: &Call) -> ExitCode {
    let env = ZkEnv::of(call);
    let asked = match parse(&env.words) {
        Ok(asked) => asked,
        Err(mistake) => {
            if let Some(mistake) = mistake {
                say!("{mistake}");
            }
            say!("{}", usage(&call.program, &env.zoo_cfg));
            return ExitCode::FAILURE;
        }
    };
    let zoo_cfg = asked.config.as_ref().map_or_else(|| env.zoo_cfg.clone(), PathBuf::from);
    match initialize(&ZkEnv { zoo_cfg, ..env }, &asked) {
        Ok(said) => {
            say!("{said}");
            ExitCode::SUCCESS
        }
        Err(mistake) => {
            say!("{mistake}");
            ExitCode::FAILURE
        }
    }
}

fn usage(program: &str, zoo_cfg: &Path) -> String {
    format!(
        "usage: {program} <parameters>\n  \
           Optional parameters:\n     \
           -h                                                    Display this message\n     \
           --help                                                Display this message\n     \
           --configfile={:<40} ZooKeeper config file\n     \
           --myid=#                                              Set the myid to be used, if any (1-255)\n     \
           --force                                               Force creation of the data/txnlog dirs",
        zoo_cfg.display()
    )
}

/// Reads the words; or what is wrong with them, if it is more than that somebody wants help.
fn parse(words: &[String]) -> Result<Asked, Option<String>> {
    let mut asked = Asked::default();
    let mut words = words.iter();
    while let Some(word) = words.next().filter(|word| !word.is_empty()) {
        match word.split_once('=').map_or((word.as_str(), None), |(name, value)| (name, Some(value))) {
            ("--configfile", value) if value != Some("") => {
                asked.config = value.map(str::to_owned).or_else(|| words.next().cloned());
            }
            ("--myid", value) if value != Some("") => {
                asked.myid = value.map(str::to_owned).or_else(|| words.next().cloned());
            }
            ("--force", None) => asked.is_forced = true,
            ("-h" | "--help", None) => return Err(None),
            _ => return Err(Some(format!("Unknown option: {word}"))),
        }
    }
    Ok(asked)
}

fn initialize(env: &ZkEnv, asked: &Asked) -> Result<String, String> {
    let zoo_cfg = env.zoo_cfg.display();
    if !env.zoo_cfg.exists() {
        return Err(format!("Unable to find config file at {zoo_cfg}"));
    }
    let view = env.view();
    let data = view
        .value("dataDir")
        .map(PathBuf::from)
        .ok_or_else(|| format!("Unable to determine dataDir from {zoo_cfg}"))?;
    let log = view.value("dataLogDir").map(PathBuf::from);
    let dirs = [("data", Some(&data)), ("txnlog", log.as_ref())];
    if asked.is_forced {
        refuse_if_held(&data, log.as_ref().unwrap_or(&data))?;
        say!("Force enabled, data/txnlog directories will be re-initialized");
    }
    for (what, dir) in dirs.iter().filter_map(|(what, dir)| Some((what, (*dir)?))) {
        if !asked.is_forced && dir.join(VERSION_DIR).is_dir() {
            return Err(format!(
                "ZooKeeper {what} directory already exists at {} (or use --force to force re-initialization)",
                dir.display()
            ));
        }
    }
    let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    for dir in dirs.iter().filter_map(|(_, dir)| *dir) {
        let _ = fs::remove_file(dir.join("myid"));
        let version = dir.join(VERSION_DIR);
        if version.exists() {
            fs::remove_dir_all(&version).map_err(|error| failed(&version, error))?;
        }
        fs::create_dir_all(&version).map_err(|error| failed(&version, error))?;
    }
    let path = data.join("myid");
    let said = match &asked.myid {
        Some(myid) => {
            fs::write(&path, format!("{myid}\n")).map_err(|error| failed(&path, error))?;
            format!("Using myid of {myid}")
        }
        None => {
            format!("No myid provided, be sure to specify it in {} if using non-standalone", path.display())
        }
    };
    let initialize = data.join(INITIALIZE);
    fs::write(&initialize, "").map_err(|error| failed(&initialize, error))?;
    Ok(said)
}

fn refuse_if_held(data: &Path, log: &Path) -> Result<(), String> {
    let options = RecoveryOptions {
        data_dir: data.to_owned(),
        log_dir: log.to_owned(),
        autocreate: false,
        trust_empty: false,
        is_alone: true,
    };
    match hold(&options) {
        Err(error @ RecoveryError::InUse { .. }) => Err(error.to_string()),
        // Whatever else is wrong there is about to go.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Asked, Option<String>> {
        parse(&words.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn words_are_read_in_either_form() {
        let expected = Asked { config: Some("a".into()), myid: Some("3".into()), is_forced: true };
        assert_eq!(parsed(&["--configfile=a", "--myid=3", "--force"]), Ok(expected));
        assert_eq!(parsed(&["--myid", "4"]), Ok(Asked { myid: Some("4".into()), ..Asked::default() }));
        assert_eq!(parsed(&["-h"]), Err(None));
        assert_eq!(parsed(&["--bogus=1"]), Err(Some("Unknown option: --bogus=1".into())));
        assert_eq!(parsed(&["--myid="]), Err(Some("Unknown option: --myid=".into())));
    }
}
