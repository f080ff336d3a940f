//! The entry points of other images: their variables are understood in `zabd_config::pod::dialects`.
//!
//! ```text
//! docker-entrypoint.sh zkServer.sh start-foreground     a server, made from the variables of whichever image they are of
//! docker-entrypoint.sh zkCli.sh -server zoo1            that program, which is this one, too, wherever its link is
//! docker-entrypoint.sh server --clientPort 2181          zabd with these words
//! docker-entrypoint.sh bash                             any other
//! /opt/bitnami/scripts/zookeeper/entrypoint.sh /opt/bitnami/scripts/zookeeper/run.sh
//! /etc/confluent/docker/run
//! ```
//!
//! Started as root, the directories become the image's user's, and the program goes on as that user, in the same process.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, lchown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use rustix::process::geteuid;
use zabd_config::pod::dialects::{BITNAMI, CONFLUENT, Dialect, recognise};
use zabd_config::pod::{Plan, Surroundings};
use zabd_config::read_file;

use super::names::{self, Call};
use super::{mistakes, start_script, zk_env};

/// Of the Docker official image, and of whoever does not care.
pub fn any(call: &Call) -> ExitCode {
    run(call, None)
}

/// Of Bitnami's image.
pub fn bitnami(call: &Call) -> ExitCode {
    run(call, Some(&BITNAMI))
}

/// Of Confluent's image.
pub fn confluent(call: &Call) -> ExitCode {
    run(call, Some(&CONFLUENT))
}

fn run(call: &Call, place: Option<&'static Dialect>) -> ExitCode {
    match call.words.split_first() {
        Some((word, rest)) if !means_server(word, rest) => another(word, rest, call),
        _ => serve(place),
    }
}

/// Whether the words start a server: all images' do, each in its way.
fn means_server(word: &str, rest: &[String]) -> bool {
    match word.rsplit('/').next().unwrap_or_default() {
        "zkServer.sh" => rest == ["start-foreground"],
        "run.sh" | "run" => rest.is_empty(),
        _ => false,
    }
}

fn another(word: &str, rest: &[String], call: &Call) -> ExitCode {
    if names::is_own(word) {
        return super::run_as(word, rest);
    }
    if names::is_word(word) {
        return super::run_as("zabd", &call.words);
    }
    let error = Command::new(word).args(rest).exec();
    eprintln!("docker-entrypoint.sh: {word}: {error}");
    // What a shell says of a command that it does not find, or may not run.
    ExitCode::from(if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 })
}

fn serve(place: Option<&'static Dialect>) -> ExitCode {
    let (variables, host) = (start_script::variables(), start_script::host());
    let around = Surroundings { variables: &variables, host: &host, read: &read_file };
    let planned = recognise(&variables, place).and_then(|dialect| Ok((dialect, dialect.plan(&around)?)));
    let (dialect, plan) = match planned {
        Ok(planned) => planned,
        Err(errors) => {
            mistakes::refuse(&errors);
            return ExitCode::FAILURE;
        }
    };
    eprintln!("Configured by the variables of {}", dialect.image);
    if geteuid().is_root() {
        match user(dialect, around.variable("ZABD_RUN_AS")) {
            Err(said) => {
                eprintln!("ZABD_RUN_AS: {said} is no user; hint: `ZABD_RUN_AS=1000:1000`, or `root`");
                return ExitCode::FAILURE;
            }
            Ok(None) => (),
            Ok(Some((uid, gid))) => return go_on_as(uid, gid, &plan),
        }
    }
    // `zkServer.sh`, which these images start, reads them, too.
    let conf = plan.zoo_cfg.path().parent().unwrap_or(Path::new("/"));
    let environment = zk_env::with_shell_files(variables.clone(), conf);
    start_script::perform("docker-entrypoint.sh", &plan, &|name| environment.get(name).cloned())
}

/// Who root is to become; nobody else if that is what was said.
fn user(dialect: &Dialect, said: Option<&str>) -> Result<Option<(u32, u32)>, String> {
    let Some(said) = said.map(str::trim) else { return Ok(Some(dialect.user)) };
    if said == "root" {
        return Ok(None);
    }
    let (uid, gid) = said.split_once(':').unwrap_or((said, said));
    match (uid.parse(), gid.parse()) {
        (Ok(uid), Ok(gid)) if uid != 0 => Ok(Some((uid, gid))),
        _ => Err(said.to_owned()),
    }
}

/// Gives the directories to the user and starts again as that one.
fn go_on_as(uid: u32, gid: u32, plan: &Plan) -> ExitCode {
    let conf = plan.zoo_cfg.path().parent().into_iter();
    for path in plan.needed.iter().chain(&plan.wanted).map(AsRef::as_ref).chain(conf) {
        let given = fs::create_dir_all(path).and_then(|()| give(path, uid, gid));
        if let Err(error) = given {
            // It may be one that need not be written; if it is needed, that is found out next.
            eprintln!("docker-entrypoint.sh: {} stays as it is: {error}", path.display());
        }
    }
    // By all the words, of which the first may be what this program was called by.
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_else(|| "docker-entrypoint.sh".into());
    let error = Command::new("/proc/self/exe").arg0(program).args(words).uid(uid).gid(gid).exec();
    eprintln!("docker-entrypoint.sh: cannot go on as user {uid}: {error}");
    ExitCode::FAILURE
}

/// Everything below `path` and itself; what is the user's already is not touched, so that a large volume costs one look.
fn give(path: &Path, uid: u32, gid: u32) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.uid() != uid {
        lchown(path, Some(uid), Some(gid))?;
    }
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), uid, gid)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use zabd_config::pod::dialects::DOCKER;

    use super::*;

    #[test]
    fn only_words_that_start_a_server_do() {
        let means = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            means_server(&words[0], &words[1..])
        };
        for words in [
            &["zkServer.sh", "start-foreground"][..],
            &["/opt/bitnami/scripts/zookeeper/run.sh"],
            &["/run.sh"],
        ] {
            assert!(means(words), "{words:?}");
        }
        for words in [&["zkServer.sh", "status"][..], &["zkServer.sh"], &["bash"], &["zkCli.sh", "ls", "/"]] {
            assert!(!means(words), "{words:?}");
        }
    }

    #[test]
    fn root_becomes_the_images_user_or_who_is_said() {
        assert_eq!(user(&DOCKER, None), Ok(Some((1000, 1000))));
        assert_eq!(user(&BITNAMI, None), Ok(Some((1001, 1001))));
        assert_eq!(user(&DOCKER, Some("7")), Ok(Some((7, 7))));
        assert_eq!(user(&DOCKER, Some("7:0")), Ok(Some((7, 0))));
        assert_eq!(user(&DOCKER, Some("root")), Ok(None));
        for said in ["0", "0:0", "zookeeper", "1:x"] {
            assert!(user(&DOCKER, Some(said)).is_err(), "{said}");
        }
    }
}
