//! Which servers can read what is there: by the kinds of transactions and znodes that are in use, and by how it is stored.
//!
//! | what | read by Java |
//! | --- | --- |
//! | create2, reconfig, containers, TTLs | from 3.5; TTLs with `zookeeper.extendedTypesEnabled=true` |
//! | create2 inside of a multi | from 3.7.2 and 3.8.2 |
//! | compressed snapshots | from 3.6 |
//! | a last zxid without a digest before it | not by 3.6 to 3.8 |
//! | an empty newest log | from 3.9.3 |
//! | an older log without a header | not at all: it reads one log too many |
//! | a log that holds older records than its name promises | wrongly: it applies them again, or loses those behind them |
//! | logs without a snapshot | by 3.4; later with `zookeeper.snapshot.trust.empty=true` |
//! | a check outside of a multi | never, though 3.8.4 and 3.9.2 wrote it |
//! | limits of a quota that stand for no path | never, though each version wrote them before it ended; of one name without a slash from 3.6 |
//! | a text of a quota's usage or limits that is none | before 3.7, from 3.7, or never, by the text |
//! | a damaged log in the way of a start, or no whole snapshot | by no version |
//! | a record, or a field of a snapshot, above `jute.maxbuffer` and its extra size | with a larger one |
//!
//! All files count, also those that a start would not read: an operator who goes back to an older server may go back further.

use std::collections::BTreeSet;
use std::path::Path;

use zabd_jute::txn::{CreateKind, Entry, Txn};
use zabd_jute::{Limits, OpCode};
use zabd_storage::log::{LogError, Tail};
use zabd_storage::recovery::RecoveryError;
use zabd_storage::snapshot::{Compression, LoadedSnapshot, SnapshotError};
use zabd_tree::{EndsJava, Owner, Tree};

/// What is in use.
#[derive(Debug, Default)]
pub struct Formats {
    kinds: BTreeSet<OpCode>,
    has_records: bool,
    has_snapshots: bool,
    has_containers: bool,
    has_ttls: bool,
    has_create2_in_multi: bool,
    has_compressed: bool,
    lacks_digest_section: bool,
    newest_is_empty: bool,
    older_is_empty: bool,
    has_misnamed: bool,
    ends: EndsJava,
    longest_bytes: usize,
    damage: Option<&'static str>,
    has_forbidden: bool,
}

/// A version of Java's server.
#[derive(Debug, PartialEq, Eq)]
pub struct Reader {
    /// 3.4 to 3.9.
    pub version: &'static str,
    /// Why it cannot read what is there; it can, if there is nothing.
    pub refuses: Vec<String>,
    /// What it has to be told.
    pub needs: Vec<String>,
}

/// Versions, oldest first; the second number is all that tells them apart here.
const VERSIONS: [(u32, &str); 6] = [(4, "3.4"), (5, "3.5"), (6, "3.6"), (7, "3.7"), (8, "3.8"), (9, "3.9")];

/// The server must read the text to end: with the next write below the quota.
const TEXT_OF_A_QUOTA: &str = "a text of a quota that it cannot read, with which it ends";

/// Whether it is there, for which versions that matters, and what it is.
type Rule<'w> = (bool, fn(u32) -> bool, &'w str);

impl Formats {
    pub(super) fn see_entry(&mut self, entry: &Entry<'_>, bytes: usize) {
        self.has_records = true;
        self.longest_bytes = self.longest_bytes.max(bytes);
        self.kinds.extend(OpCode::from_code(entry.header.kind));
        self.ends |= EndsJava::of_txn(&entry.txn);
        let parts: &[_] = if let Txn::Multi(parts) = &entry.txn { parts } else { &[] };
        self.has_create2_in_multi |= parts.iter().any(|part| part.kind == OpCode::Create2.code());
        for txn in parts.iter().map(|part| &part.txn).chain([&entry.txn]) {
            if let Txn::Create(create) = txn {
                self.has_containers |= create.kind == CreateKind::Container;
                self.has_ttls |= matches!(create.kind, CreateKind::Ttl { .. });
            }
        }
    }

    pub(super) fn see_snapshot(&mut self, path: &Path, loaded: &LoadedSnapshot, tree: &Tree) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        self.has_snapshots = true;
        self.has_compressed |= Compression::of_name(name) != Compression::None;
        self.lacks_digest_section |= loaded.lacks_digest_section();
        let mut ahead = vec!["/".to_owned()];
        while let Some(path) = ahead.pop() {
            let Some(node) = tree.node(&path) else { continue };
            self.longest_bytes =
                self.longest_bytes.max(path.len()).max(node.data().unwrap_or_default().len());
            match node.owner() {
                Owner::Container => self.has_containers = true,
                Owner::Ttl { .. } => self.has_ttls = true,
                Owner::Nobody | Owner::Session(_) => (),
            }
            if node.child_names().next().is_none() {
                self.ends |= EndsJava::of_leaf(&path, node.data());
            }
            let above = path.trim_end_matches('/');
            ahead.extend(node.child_names().map(|name| format!("{above}/{name}")));
        }
    }

    pub(super) fn see_tail(&mut self, tail: &Tail, is_newest: bool) {
        self.newest_is_empty |= is_newest && tail.offset == 0;
        self.older_is_empty |= !is_newest && tail.offset == 0;
    }

    /// What ends a start of Java's too.
    pub(super) fn see_start(&mut self, error: &RecoveryError) {
        self.damage = match error {
            RecoveryError::Log(LogError::Corrupt { .. } | LogError::NotALog { .. }) => Some("a damaged log"),
            RecoveryError::NoWholeSnapshot { .. }
            | RecoveryError::Snapshot(SnapshotError::Damaged { .. }) => Some("no whole snapshot"),
            _ => None,
        };
    }

    pub(super) fn see_forbidden(&mut self) {
        self.has_forbidden = true;
    }

    /// Whether there are files of which nobody here can say what is in them.
    pub fn are_unknown(&self) -> bool {
        self.has_forbidden
    }

    pub(super) fn see_misnamed(&mut self) {
        self.has_misnamed = true;
    }

    /// Each version, and whether it can read all of this.
    pub fn readers(&self) -> Vec<Reader> {
        let has = |kind: OpCode| self.kinds.contains(&kind);
        let longest = self.longest_bytes;
        let maxbuffer = format!("a larger jute.maxbuffer, {longest} is enough");
        let refused: [Rule; 11] = [
            (has(OpCode::Create2) || has(OpCode::Reconfig), |v| v < 5, "transactions create2 or reconfig"),
            (self.has_containers, |v| v < 5, "containers"),
            (self.has_ttls, |v| v < 5, "znodes with a time to live"),
            (self.has_create2_in_multi, |v| v < 7, "create2 inside of a multi"),
            (self.has_compressed, |v| v < 6, "compressed snapshots"),
            (self.lacks_digest_section, |v| (6..=8).contains(&v), "a last zxid without a digest before it"),
            (has(OpCode::Check), |_| true, "a check outside of a multi"),
            (
                self.ends.limits_of_nobody,
                |_| true,
                "limits of a quota that stand for no path, with which it ends",
            ),
            (
                self.ends.limits_without_slash,
                |v| v < 6,
                "limits of a quota whose path is a name without a slash, with which it ends",
            ),
            (self.ends.text_before_3_7, |v| v < 7, TEXT_OF_A_QUOTA),
            (self.ends.text_since_3_7, |v| v >= 7, TEXT_OF_A_QUOTA),
        ];
        let needed: [Rule; 8] = [
            (self.has_ttls, |v| v >= 5, "zookeeper.extendedTypesEnabled=true"),
            (self.has_create2_in_multi, |v| v == 7, "3.7.2 or later"),
            (self.has_create2_in_multi, |v| v == 8, "3.8.2 or later"),
            (self.newest_is_empty, |v| v < 9, "the empty newest log to be moved away"),
            (self.older_is_empty, |_| true, "the empty older log to be moved away"),
            (self.has_misnamed, |_| true, "the log that has another's name to be moved away"),
            (self.has_records && !self.has_snapshots, |v| v >= 5, "zookeeper.snapshot.trust.empty=true"),
            (longest > Limits::default().field_bytes_max, |_| true, &maxbuffer),
        ];
        let of = |rules: &[Rule], number| {
            rules
                .iter()
                .filter(|(is_there, is_for, _)| *is_there && is_for(number))
                .map(|rule| rule.2.to_owned())
                .collect()
        };
        let reader = |(number, version)| {
            let mut refuses: Vec<_> = of(&refused, number);
            refuses.extend(self.damage.map(str::to_owned));
            Reader { version, refuses, needs: of(&needed, number) }
        };
        VERSIONS.map(reader).into()
    }
}
