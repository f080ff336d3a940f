//! What `zkEnv.sh` tells ZooKeeper's scripts: where the configuration is, and what its shell files set.
//!
//! ```text
//! --config DIR, else ZOOCFGDIR, else ../conf beside the script if it is there, else ../etc/zookeeper
//!   zookeeper-env.sh, java.env    variables, as far as they need no shell
//!   zoo.cfg                       or what ZOOCFG calls it
//! ```
//!
//! If no zoo.cfg is there, and neither `--config` nor ZOOCFG asked for that one, it is that of the server that a container runs
//! ([`super::trace`]). Java's scripts find nothing then, so nothing that they would have found is passed over.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use zabd_config::ConfigErrors;
use zabd_config::pod::assignments;
use zabd_config::scripts::ScriptView;

use super::names::Call;
use super::{start_script, trace};

/// What a script knows before it begins.
pub struct ZkEnv {
    /// The directory of the script.
    pub bin: PathBuf,
    /// The directory of the configuration.
    pub conf: PathBuf,
    /// The zoo.cfg.
    pub zoo_cfg: PathBuf,
    /// The environment, with what the shell files set.
    pub variables: BTreeMap<String, String>,
    /// The words that are left.
    pub words: Vec<String>,
}

impl ZkEnv {
    /// Reads it, as the script's first lines do.
    pub fn of(call: &Call) -> Self {
        let mut variables = start_script::variables();
        let bin = directory_of(&call.program, variables.get("PATH").map(String::as_str));
        let mut words = call.words.clone();
        let is_asked_for = words.first().is_some_and(|word| word == "--config");
        if words.len() > 1 && words[0] == "--config" {
            variables.insert("ZOOCFGDIR".to_owned(), words[1].clone());
            words.drain(..2);
        }
        let beside = || {
            let conf = bin.join("../conf");
            if conf.exists() { conf } else { bin.join("../etc/zookeeper") }
        };
        let conf =
            variables.get("ZOOCFGDIR").filter(|dir| !dir.is_empty()).map_or_else(beside, PathBuf::from);
        let variables = with_shell_files(variables, &conf);
        let name = variables.get("ZOOCFG").filter(|name| !name.is_empty());
        let zoo_cfg = conf.join(name.map_or("zoo.cfg", String::as_str));
        let is_there = is_asked_for || name.is_some() || zoo_cfg.exists();
        match trace::of_first_process().filter(|_| !is_there) {
            Some(zoo_cfg) => {
                let conf = zoo_cfg.parent().unwrap_or(Path::new("/")).to_owned();
                let variables = with_shell_files(variables, &conf);
                Self { bin, conf, zoo_cfg, variables, words }
            }
            None => Self { bin, conf, zoo_cfg, variables, words },
        }
    }

    /// A variable that says something.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The zoo.cfg as scripts see it; empty if it cannot be read.
    pub fn view(&self) -> ScriptView {
        ScriptView::new(&fs::read(&self.zoo_cfg).unwrap_or_default())
    }
}

/// In the order in which scripts read them.
const SHELL_FILES: [&str; 2] = ["zookeeper-env.sh", "java.env"];

/// The environment with what `zookeeper-env.sh` and `java.env` in this directory set; what would need a shell is named.
pub fn with_shell_files(mut variables: BTreeMap<String, String>, conf: &Path) -> BTreeMap<String, String> {
    for name in SHELL_FILES {
        let path = conf.join(name);
        let Ok(bytes) = fs::read(&path) else { continue };
        let found = assignments(&String::from_utf8_lossy(&bytes), &variables);
        for line in found.not_understood {
            eprintln!(
                "{}:{line} is more than an assignment, and has no effect: zabd runs no shell",
                path.display()
            );
        }
        variables.extend(found.set);
    }
    variables
}

/// The files beside a zoo.cfg with keys of the `-D` words in them that a start by `zabd zoo.cfg` lacks: only scripts read these files.
/// Values may be secrets, and are left out.
pub fn unread_keys(zoo_cfg: &Path, variables: &BTreeMap<String, String>) -> Vec<(PathBuf, String)> {
    let conf = zoo_cfg.parent().unwrap_or(Path::new("."));
    let flags = ["SERVER_JVMFLAGS", "JVMFLAGS"];
    let known: Vec<_> = flags
        .iter()
        .filter_map(|flag| variables.get(*flag))
        .flat_map(|text| text.split_whitespace())
        .collect();
    let mut keys = Vec::new();
    for name in SHELL_FILES {
        let path = conf.join(name);
        let Ok(bytes) = fs::read(&path) else { continue };
        let set = assignments(&String::from_utf8_lossy(&bytes), variables).set;
        let of_flags = set.iter().filter(|(variable, _)| flags.contains(&variable.as_str()));
        for word in
            of_flags.flat_map(|(_, text)| text.split_whitespace()).filter(|word| !known.contains(word))
        {
            if let Some((key, _)) = word.strip_prefix("-D").and_then(|word| word.split_once('=')) {
                keys.push((path.clone(), key.to_owned()));
            }
        }
    }
    keys
}

/// Mistakes of a start by `zabd zoo.cfg`, which may be none for a start by a script: where such a file has the key that is missing,
/// it is named.
pub fn naming_unread(
    errors: ConfigErrors,
    words: &[String],
    variables: &BTreeMap<String, String>,
) -> ConfigErrors {
    let Some(zoo_cfg) = words.iter().map(Path::new).find(|path| path.is_file()) else { return errors };
    let unread = unread_keys(zoo_cfg, variables);
    errors.with_more(&|error| {
        let texts = [error.key.as_deref(), Some(&*error.message), error.hint.as_deref()];
        let is_named = |key: &str| texts.iter().flatten().any(|text| text.contains(key.trim_start_matches("zookeeper.")));
        let (path, key) = unread.iter().find(|(_, key)| is_named(key))?;
        Some(format!(
            "{} sets {key}, and is read by `zkServer.sh start-foreground`, and not by `zabd zoo.cfg`: start by the former, or say \
             that -D word here",
            path.display()
        ))
    })
}

/// Where a program was found that was called so.
fn directory_of(program: &str, path: Option<&str>) -> PathBuf {
    // `zabd zkServer.sh`: beside zabd.
    let program = Path::new(program.split(' ').next().unwrap_or_default());
    let found = match program.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => Some(dir.to_owned()),
        _ => path.unwrap_or_default().split(':').map(PathBuf::from).find(|dir| dir.join(program).is_file()),
    };
    let dir = found.unwrap_or_else(|| PathBuf::from("."));
    std::path::absolute(&dir).unwrap_or(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_as_a_shell_finds_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("zkServer.sh"), "").unwrap();
        let path = format!("/nowhere:{}", dir.path().display());
        assert_eq!(directory_of("zkServer.sh", Some(&path)), dir.path());
        assert_eq!(directory_of("/usr/bin/zkServer.sh", Some(&path)), Path::new("/usr/bin"));
        assert_eq!(directory_of("/usr/bin/zabd zkServer.sh", None), Path::new("/usr/bin"));
    }

    #[test]
    fn shell_files_set_variables() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("zookeeper-env.sh"), "ZOOPIDFILE=/run/zk.pid\n").unwrap();
        fs::write(dir.path().join("java.env"), "export JVMFLAGS=\"-Xmx1G $JVMFLAGS\"\n").unwrap();
        let outside = BTreeMap::from([("JVMFLAGS".to_owned(), "-Da=b".to_owned())]);
        let variables = with_shell_files(outside, dir.path());
        assert_eq!(
            (&variables["ZOOPIDFILE"][..], &variables["JVMFLAGS"][..]),
            ("/run/zk.pid", "-Xmx1G -Da=b")
        );
    }
}
