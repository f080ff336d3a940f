//! When this version was made, for the lines in which servers say what they are.
//!
//! It is the time of the commit, not of the build, so that the same sources give the same program. The first of these
//! that is known counts:
//!
//! 1. `SOURCE_DATE_EPOCH`, seconds since 1970, as whoever makes packages sets it;
//! 2. the commit that is checked out;
//! 3. `commit-date` beside this file, where `git archive` leaves the commit's time;
//! 4. 1970, where nobody knows.

#[allow(dead_code, reason = "the program prints dates in more ways")]
#[path = "src/admin/date.rs"]
mod date;

use std::path::Path;
use std::process::Command;

/// What a date has in front of its seconds.
const MINUTES: usize = "2026-11-24 13:17".len();
/// The last second that a date has room for.
const SECONDS_MAX: i64 = 253_402_300_799;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=commit-date");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let here = Path::new(".");
    watch_checkout(here);
    println!("cargo::rustc-env=ZABD_MADE={}", made(here, std::env::var("SOURCE_DATE_EPOCH").ok().as_deref()));
}

/// The moment as Java prints it, of the sources in a folder.
pub fn made(folder: &Path, source_date_epoch: Option<&str>) -> String {
    let archived = || std::fs::read_to_string(folder.join("commit-date")).ok();
    let known = source_date_epoch
        .and_then(seconds)
        .or_else(|| of_checkout(folder))
        .or_else(|| archived().as_deref().and_then(seconds));
    let date = date::log_date(known.unwrap_or(0) * 1000);
    format!("{} UTC", &date[..MINUTES])
}

fn seconds(text: &str) -> Option<i64> {
    text.trim().parse().ok().filter(|seconds| (0..=SECONDS_MAX).contains(seconds))
}

/// The time of the commit of which a folder is a part; a repository that only lies around it says nothing.
fn of_checkout(folder: &Path) -> Option<i64> {
    git(folder, &["ls-files", "--error-unmatch", "commit-date"])?;
    seconds(&git(folder, &["log", "-1", "--format=%ct"])?)
}

/// Another commit is another moment.
fn watch_checkout(folder: &Path) {
    let branch = git(folder, &["symbolic-ref", "--quiet", "HEAD"]);
    for name in ["HEAD", "packed-refs"].into_iter().chain(branch.as_deref()) {
        // A file that is not there would run this again each time.
        if let Some(path) =
            git(folder, &["rev-parse", "--git-path", name]).filter(|path| Path::new(path).exists())
        {
            println!("cargo::rerun-if-changed={path}");
        }
    }
}

fn git(folder: &Path, words: &[&str]) -> Option<String> {
    let output = Command::new("git").current_dir(folder).args(words).output().ok()?;
    let text = output.status.success().then(|| String::from_utf8(output.stdout).ok())??;
    Some(text.trim().to_owned())
}
