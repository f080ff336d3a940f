//! `zabd links DIR` makes a link in `DIR` for every name that the program goes by, as an image or an installation wants them.
//!
//! With `--places ROOT` it makes those that other images keep at fixed paths, below `ROOT`. What is there and is no link stays,
//! and is a mistake: another program has that name.

use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::names::{Call, PROGRAMS};

const USAGE: &str = "\
Usage:
  zabd links [--target PATH] DIR
  zabd links [--target PATH] --places ROOT

Makes a link to zabd in DIR for every name that it goes by; with --places, the links that other images have at fixed paths,
below ROOT. The links point to PATH; by default to this very file.";

/// Runs it.
pub fn run(call: &Call) -> ExitCode {
    let mut words = call.words.iter().map(String::as_str);
    let (mut target, mut dir, mut root) = (None, None, None);
    while let Some(word) = words.next() {
        let slot = match word {
            "--help" | "-h" => {
                say!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            "--target" => &mut target,
            "--places" => &mut root,
            _ if word.starts_with('-') || dir.is_some() => return mistake(),
            _ => {
                dir = Some(word);
                continue;
            }
        };
        let Some(value) = words.next() else { return mistake() };
        *slot = Some(value);
    }
    let links = match (dir, root) {
        (Some(dir), None) => in_directory(Path::new(dir)),
        (None, Some(root)) => at_places(Path::new(root)),
        _ => return mistake(),
    };
    let target = target.map_or_else(std::env::current_exe, |path| Ok(PathBuf::from(path)));
    match target.and_then(|target| links.iter().try_for_each(|link| make(link, &target))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("zabd links: {error}");
            ExitCode::FAILURE
        }
    }
}

fn mistake() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(zabd_config::ExitCode::InvalidInvocation as u8)
}

fn in_directory(dir: &Path) -> Vec<PathBuf> {
    PROGRAMS.iter().flat_map(|program| program.names).map(|name| dir.join(name)).collect()
}

fn at_places(root: &Path) -> Vec<PathBuf> {
    let places = PROGRAMS.iter().flat_map(|program| program.places);
    places.map(|place| root.join(place.trim_start_matches('/'))).collect()
}

fn make(link: &Path, target: &Path) -> io::Result<()> {
    let parent = link.parent().unwrap_or(Path::new("."));
    // Beside the program a link need not know where that is, so both can be moved together.
    let beside = target.file_name().filter(|_| target.parent().is_some_and(|dir| is_same(dir, parent)));
    let target = beside.map_or(target, Path::new);
    let blamed = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", link.display()));
    match std::fs::symlink_metadata(link) {
        Ok(there) if there.is_symlink() => std::fs::remove_file(link).map_err(blamed)?,
        Ok(_) => {
            return Err(blamed(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "there is such a file, and it is no link",
            )));
        }
        Err(_) => std::fs::create_dir_all(parent).map_err(blamed)?,
    }
    symlink(target, link).map_err(blamed)
}

fn is_same(one: &Path, other: &Path) -> bool {
    one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_with(words: &[&str]) -> ExitCode {
        run(&Call {
            program: "zabd links".to_owned(),
            words: words.iter().map(ToString::to_string).collect(),
        })
    }

    fn target(link: &Path) -> PathBuf {
        std::fs::read_link(link).unwrap()
    }

    #[test]
    fn every_name_gets_a_link_and_again() {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("bin");
        for to in ["/old/zabd", "/opt/zabd"] {
            assert_eq!(run_with(&["--target", to, bin.to_str().unwrap()]), ExitCode::SUCCESS);
            for name in PROGRAMS.iter().flat_map(|program| program.names) {
                assert_eq!(target(&bin.join(name)), Path::new(to), "{name}");
            }
        }
    }

    #[test]
    fn beside_the_program_links_are_relative() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("zabd");
        let to = program.to_str().unwrap();
        assert_eq!(run_with(&["--target", to, dir.path().to_str().unwrap()]), ExitCode::SUCCESS);
        assert_eq!(target(&dir.path().join("zookeeper-ready")), Path::new("zabd"));
    }

    #[test]
    fn another_program_of_that_name_stays() {
        let dir = tempfile::tempdir().unwrap();
        let theirs = dir.path().join("zookeeper-ready");
        std::fs::write(&theirs, "theirs").unwrap();
        assert_eq!(run_with(&[dir.path().to_str().unwrap()]), ExitCode::FAILURE);
        assert_eq!(std::fs::read(&theirs).unwrap(), b"theirs");
    }

    #[test]
    fn mistakes_show_the_usage() {
        let invalid = ExitCode::from(zabd_config::ExitCode::InvalidInvocation as u8);
        for words in [&[][..], &["--target"], &["a", "b"], &["a", "--places", "b"], &["--bogus", "a"]] {
            assert_eq!(run_with(words), invalid, "{words:?}");
        }
    }
}
