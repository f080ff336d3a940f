//! The date that servers show is that of their sources, wherever they are built.

#[allow(dead_code, reason = "a build script begins with `main`")]
#[path = "../build.rs"]
mod build_script;

use std::path::Path;
use std::process::Command;

use build_script::made;

const COMMITTED: &str = "2023-11-14 22:13 UTC";

fn git(folder: &Path, words: &[&str]) {
    let output = Command::new("git")
        .current_dir(folder)
        .args(["-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false"])
        .args(words)
        .env("GIT_COMMITTER_DATE", "1700000000 +0200")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_checkout_shows_the_time_of_its_commit() {
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["init", "--quiet"]);
    std::fs::write(folder.path().join("commit-date"), "$Format:%ct$").unwrap();
    assert_eq!(made(folder.path(), None), "1970-01-01 00:00 UTC", "the repository around it is another's");
    git(folder.path(), &["add", "commit-date"]);
    git(folder.path(), &["commit", "--quiet", "--message", "first"]);
    assert_eq!(made(folder.path(), None), COMMITTED);
    assert_eq!(
        made(folder.path(), Some("86400\n")),
        "1970-01-02 00:00 UTC",
        "whoever makes packages decides"
    );
    assert_eq!(made(folder.path(), Some("yesterday")), COMMITTED);
}

#[test]
fn an_archive_shows_what_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(made(folder.path(), None), "1970-01-01 00:00 UTC");
    std::fs::write(folder.path().join("commit-date"), "1700000000\n").unwrap();
    assert_eq!(made(folder.path(), None), COMMITTED);
}
