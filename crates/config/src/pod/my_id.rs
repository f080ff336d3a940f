//! Which number a server has: what its volume says and what it is told must agree.
//!
//! A server that votes under another's number can undo what was agreed on, and nothing shows it. So when `myid` and the
//! pod's ordinal (or the variable that gives the number) disagree, or a member's data is there without a `myid`, somebody mounted
//! another's volume or changed how numbers are counted, and only they can tell which.

use super::mistake;
use crate::error::ConfigError;
use crate::sources::ReadFile;
use std::path::Path;

/// What a server is told about its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told<'a> {
    /// The number.
    pub id: i64,
    /// The flag or variable that says so, or what it follows from.
    pub by: &'a str,
    /// It is not said, but follows from a name or a default.
    pub is_derived: bool,
    /// How to say another one.
    pub remedy: String,
}

/// Whether `myid` is to be written; or why not to start at all.
pub(crate) fn settle(data_dir: &Path, told: &Told<'_>, read: ReadFile<'_>) -> Result<bool, ConfigError> {
    let path = data_dir.join("myid");
    let written = read(&path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    // A start that ended between making the file and writing it leaves it empty.
    match written.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) => match text.lines().next().unwrap_or_default().trim().parse::<i64>() {
            Ok(id) if id != told.id => Err(mistake(
                told.by,
                format!("this is server {}, but {} says {id}", told.id, path.display()),
                format!(
                    "give server {id} its volume back and mount server {}'s here; {}",
                    told.id, told.remedy
                ),
            )),
            // What is no number is found when the file is read.
            _ => Ok(false),
        },
        None if told.is_derived && has_members_data(data_dir, read) => Err(mistake(
            told.by,
            format!(
                "this is server {}, but the data in {} is a member's that has no myid",
                told.id,
                data_dir.display()
            ),
            format!("if the data is this server's, say so: `echo {} > {}`", told.id, path.display()),
        )),
        None => Ok(true),
    }
}

/// Only members of an ensemble write this file.
fn has_members_data(data_dir: &Path, read: ReadFile<'_>) -> bool {
    read(&data_dir.join("version-2").join("acceptedEpoch")).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(files: &[(&str, &str)], is_derived: bool) -> Result<bool, String> {
        let told = Told { id: 2, by: "the host name zk-1", is_derived, remedy: "or count otherwise".into() };
        let read = |path: &Path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| text.as_bytes().to_vec()).ok_or_else(|| std::io::ErrorKind::NotFound.into())
        };
        settle(Path::new("/d"), &told, &read).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_volume_gets_its_number() {
        assert_eq!(settled(&[], true), Ok(true));
        assert_eq!(settled(&[("/d/myid", "")], true), Ok(true), "torn when it was first written");
        assert_eq!(
            settled(&[("/d/version-2/snapshot.0", "")], true),
            Ok(true),
            "a standalone server's, that grows"
        );
    }

    #[test]
    fn what_agrees_stays() {
        assert_eq!(settled(&[("/d/myid", "2\n")], true), Ok(false));
        assert_eq!(settled(&[("/d/myid", " 2 \nx")], false), Ok(false));
        assert_eq!(settled(&[("/d/myid", "two")], false), Ok(false), "whoever reads it says so");
    }

    #[test]
    fn anothers_volume_is_refused_in_one_line() {
        for is_derived in [true, false] {
            let error = settled(&[("/d/myid", "3\n")], is_derived).unwrap_err();
            assert_eq!(
                error,
                "the host name zk-1: this is server 2, but /d/myid says 3; hint: give server 3 its volume back and mount \
                 server 2's here; or count otherwise"
            );
        }
    }

    #[test]
    fn a_members_data_without_a_number_is_refused_unless_somebody_says_whose_it_is() {
        let files = [("/d/version-2/acceptedEpoch", "1")];
        let error = settled(&files, true).unwrap_err();
        assert!(error.contains("`echo 2 > /d/myid`") && !error.contains('\n'), "{error}");
        assert_eq!(settled(&files, false), Ok(true));
    }
}
