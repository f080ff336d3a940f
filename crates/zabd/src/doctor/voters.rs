//! Which lists of voters a member keeps, what a start makes of them, and what is to be done when one has lost its quorum for good.

use std::path::{Path, PathBuf};

use zabd_jute::quorum::Configuration;
use zabd_jute::{Epoch, ServerId};
use zabd_storage::disk::Disk;
use zabd_storage::epochs::{self, EpochFile};
use zabd_zab::quorum::lists::Found;
use zabd_zab::quorum::{Lists, Voters};

use super::files::{File, first_line};

/// As far as this directory says which server's it is. Of `members`, the lines of zoo.cfg, only other lists are news; without them any is
/// that is not the only one.
pub(super) fn file<D: Disk>(disk: &D, dir: &Path, path: PathBuf, members: Option<&Configuration>) -> File {
    let text = disk.read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let current = epochs::read(disk, dir, EpochFile::Current).ok().flatten().unwrap_or(0);
    let me = dir.parent().and_then(|data_dir| first_line(disk, &data_dir.join("myid")).parse().ok());
    let found = match Lists::found(&text, me.map(ServerId), Epoch(current.into())) {
        Err(error) => return File::new(path, "voters", "").of_member().damaged(error.to_string()),
        Ok(found) => found,
    };
    let (about, others) = match &found {
        Found::Lists(lists) => of_this_server(lists, members),
        Found::Outdated(lists) => {
            let why = format!("epoch {current} was joined with a server that keeps no such file");
            (format!("does not count, since {why}: {}", listed(lists.each())), Vec::new())
        }
        Found::Foreign(its, lists) => {
            let what = "only what this server's own lines have a quorum of counts";
            (format!("of server {its}, so {what}: {}", listed(lists.each())), Vec::new())
        }
    };
    let file = File::new(path, "voters", about).of_member();
    if others.is_empty() { file } else { file.worth_knowing() }
}

/// What it means, and the lists that somebody should know about.
fn of_this_server(lists: &Lists, members: Option<&Configuration>) -> (String, Vec<Voters>) {
    let others = match members {
        Some(members) => lists.others_than(members),
        None if lists.each().nth(1).is_none() => Vec::new(),
        None => lists.each().cloned().collect(),
    };
    let about = match (members, &others[..]) {
        (_, []) => format!("a leader needs a quorum of voters {}", listed(lists.each())),
        (Some(_), others) => format!(
            "beside those of zoo.cfg, a leader needs a quorum of voters {}, as long as no leader by the new lines has served; {REMEDY}",
            listed(others)
        ),
        (None, others) => format!(
            "a leader needs a quorum of each of these that is not outdated: voters {}; {REMEDY}",
            listed(others)
        ),
    };
    (about, others)
}

const REMEDY: &str = "only if that quorum is lost for good: stop all members that are left, remove this file on each of them, and start \
                      them";

fn listed<'a>(lists: impl IntoIterator<Item = &'a Voters>) -> String {
    let ids = |list: &Voters| list.ids().map(|id| id.to_string()).collect::<Vec<_>>().join(", ");
    lists.into_iter().map(ids).collect::<Vec<_>>().join("; ")
}
