//! Limits on how much a part of the tree may hold, and how much it holds.
//!
//! Both are ordinary znodes below `/zookeeper/quota`, made by clients: `zookeeper_limits` registers the
//! path that it stands for, `zookeeper_stats` shows the usage. The server keeps the usage's text up to
//! date in place: no transaction, no version, no watch. Follows Java's `StatsTrack` and `DataTree`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use zabd_jute::txn::{CreateKind, CreateTxn, Txn};

use crate::namespaces::namespace;
use crate::tree::Tree;

const ROOT: &str = "/zookeeper/quota";
const LIMITS: &str = "/zookeeper_limits";
const STATS: &str = "/zookeeper_stats";

/// Text such as `count=5,bytes=-1=;byteHardLimit=-1;countHardLimit=-1`; −1 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Track {
    pub(crate) count: i64,
    pub(crate) bytes: i64,
    pub(crate) count_hard: i64,
    pub(crate) bytes_hard: i64,
}

impl Track {
    /// `None` if it does not parse, or is null. What is between commas or semicolons is a name and a number,
    /// whatever the name is; what is behind a second equals sign does not count.
    pub(crate) fn parse(text: Option<&[u8]>) -> Option<Track> {
        let text = std::str::from_utf8(text?).ok()?;
        let mut track = Track { count: -1, bytes: -1, count_hard: -1, bytes_hard: -1 };
        // As Java splits: several separators are one, and only what is empty in front is a part.
        let parts = text.split([',', ';']).enumerate().filter(|(at, part)| *at == 0 || !part.is_empty());
        for (_, part) in parts.take_while(|_| !text.is_empty()) {
            let (name, rest) = part.split_once('=')?;
            let number = match rest.split('=').next()? {
                "" if rest.trim_end_matches('=').is_empty() => return None,
                "" => -1,
                number => number.parse().ok()?,
            };
            match name {
                "count" => track.count = number,
                "bytes" => track.bytes = number,
                "countHardLimit" => track.count_hard = number,
                "byteHardLimit" => track.bytes_hard = number,
                _ => (),
            }
        }
        Some(track)
    }
}

/// A write that went beyond a limit, or would have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaExcess {
    /// The limited part of the tree.
    pub of: String,
    /// `count` or `bytes`.
    pub what: &'static str,
    /// What there would be.
    pub will_be: i64,
    /// What there may be.
    pub limit: i64,
    /// Whether the write was refused.
    pub is_hard: bool,
}

/// In Java's words.
impl fmt::Display for QuotaExcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { of, what, will_be, limit, is_hard } = self;
        let kind = if *is_hard { "hard" } else { "soft" };
        let name = if *what == "count" { "Count" } else { "Byte" };
        write!(f, "Quota exceeded: {of} [current {what}={will_be}, {kind}{name}Limit={limit}]")
    }
}

/// What quotas allow and what is there below one child of the root, all of its limited parts together: for
/// operators. As in Java the hard limit counts where there is one, and no limit counts as −1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaFigures {
    /// Znodes that may be there.
    pub count_limit: i64,
    /// Bytes of data that may be there.
    pub bytes_limit: i64,
    /// Znodes that are there.
    pub count_used: i64,
    /// Bytes of data that are there.
    pub bytes_used: i64,
}

impl Tree {
    /// How many paths have limits.
    pub fn quota_count(&self) -> usize {
        self.quotas.paths.len()
    }

    /// The figures of all quotas, by child of the root.
    pub fn quota_figures(&self) -> BTreeMap<String, QuotaFigures> {
        let mut by_namespace: BTreeMap<String, QuotaFigures> = BTreeMap::new();
        let track = |path: String| Track::parse(self.node(&path)?.data());
        for of in self.quotas.iter() {
            let Some(namespace) = namespace(of) else { continue };
            let figures = by_namespace.entry(namespace.to_owned()).or_default();
            if let Some(limits) = track(limits_path(of)) {
                let limit = |hard: i64, soft: i64| if hard > -1 { hard } else { soft };
                figures.count_limit =
                    figures.count_limit.wrapping_add(limit(limits.count_hard, limits.count));
                figures.bytes_limit =
                    figures.bytes_limit.wrapping_add(limit(limits.bytes_hard, limits.bytes));
            }
            if let Some(usage) = track(stats_path(of)) {
                figures.count_used = figures.count_used.wrapping_add(usage.count);
                figures.bytes_used = figures.bytes_used.wrapping_add(usage.bytes);
            }
        }
        by_namespace
    }
}

/// How much a part of the tree holds, as text for its stats znode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) count: i64,
    pub(crate) bytes: i64,
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "count={},bytes={}", self.count, self.bytes)
    }
}

/// Which of the two special znodes a path is, and for which part of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Special<'p> {
    Limits(&'p str),
    Stats(&'p str),
}

/// Whether the path is one of the special znodes.
pub(crate) fn special(path: &str) -> Option<Special<'_>> {
    let below = path.strip_prefix(ROOT)?;
    if let Some(of) = below.strip_suffix(LIMITS) {
        return Some(Special::Limits(of));
    }
    below.strip_suffix(STATS).map(Special::Stats)
}

/// Whether a znode is in the place of limits that stand for no path. Java's servers end when they apply its creation (below
/// [`ROOT`] itself) or its deletion (below a shorter path that begins like the system's), and do not start again where a log has
/// that: their `DataTree` cuts as many letters from the parent's path as `ROOT` has, and has no place for what is left.
pub(crate) fn are_nobodys_limits(path: &str) -> bool {
    let parent = path.strip_suffix(LIMITS).filter(|parent| parent.starts_with("/zookeeper"));
    parent.is_some_and(|parent| parent.encode_utf16().count() <= ROOT.len())
}

/// Whether Java's servers, of any version, end when they apply a transaction that zabd applies: see [`are_nobodys_limits`]. Of a
/// session's end without paths nothing can be told.
pub fn ends_java(txn: &Txn<'_>) -> bool {
    match txn {
        Txn::Create(CreateTxn { path, kind, .. }) => {
            let goes_with_its_session = matches!(kind, CreateKind::Plain { ephemeral: true });
            are_nobodys_limits(path) && (goes_with_its_session || special(path).is_some())
        }
        Txn::Delete { path } => are_nobodys_limits(path),
        Txn::CloseSession { paths } => paths.iter().flatten().any(|path| are_nobodys_limits(path)),
        Txn::Multi(parts) => parts.iter().any(|part| ends_java(&part.txn)),
        _ => false,
    }
}

/// Whether they end when they load a snapshot in which this znode has no children: the first znode with the name of limits tells
/// them for which path these are.
pub fn ends_java_as_leaf(path: &str) -> bool {
    path.ends_with(LIMITS) && path.strip_prefix(ROOT).is_some_and(|below| below.starts_with(LIMITS))
}

pub(crate) fn limits_path(of: &str) -> String {
    format!("{ROOT}{of}{LIMITS}")
}

pub(crate) fn stats_path(of: &str) -> String {
    format!("{ROOT}{of}{STATS}")
}

/// The parts of the tree that have limits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quotas {
    paths: BTreeSet<String>,
}

impl Quotas {
    pub(crate) fn register(&mut self, of: &str) {
        self.paths.insert(of.to_owned());
    }

    pub(crate) fn unregister(&mut self, of: &str) {
        self.paths.remove(of);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(String::as_str)
    }

    /// The deepest registered path that `path` is, or is below.
    pub(crate) fn covering(&self, path: &str) -> Option<&str> {
        if self.paths.is_empty() {
            return None;
        }
        let mut at = path;
        while !at.is_empty() {
            if let Some(found) = self.paths.get(at) {
                return Some(found);
            }
            at = &at[..at.rfind('/').unwrap_or(0)];
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_parse_in_every_order() {
        let none = Track { count: -1, bytes: -1, count_hard: -1, bytes_hard: -1 };
        for (text, track) in [
            ("count=5,bytes=-1", Track { count: 5, ..none }),
            (
                "count=5,bytes=-1=;byteHardLimit=-1;countHardLimit=7",
                Track { count: 5, count_hard: 7, ..none },
            ),
            (
                "count=-1,bytes=-1=;countHardLimit=50;byteHardLimit=100000",
                Track { count_hard: 50, bytes_hard: 100_000, ..none },
            ),
            ("", none),
            ("x=7,,;count=5=9;", Track { count: 5, ..none }),
            ("count==5,bytes=+3", Track { bytes: 3, ..none }),
        ] {
            assert_eq!(Track::parse(Some(text.as_bytes())), Some(track), "{text}");
        }
        for text in
            ["count=x,bytes=1", "count", "bytes=1,count=", "x=y", "count= 1", ",count=1", "=", "count=="]
        {
            assert_eq!(Track::parse(Some(text.as_bytes())), None, "{text}");
        }
        assert_eq!(Track::parse(None), None);
    }

    #[test]
    fn the_deepest_limit_counts() {
        let mut quotas = Quotas::default();
        quotas.register("/a");
        quotas.register("/a/b/c");
        for (path, covering) in [
            ("/a", Some("/a")),
            ("/a/b", Some("/a")),
            ("/a/b/c/d", Some("/a/b/c")),
            ("/ab", None),
            ("/", None),
        ] {
            assert_eq!(quotas.covering(path), covering, "{path}");
        }
        quotas.unregister("/a");
        assert_eq!(quotas.covering("/a/x"), None);
    }

    /// A tree of these znodes, created one behind the other.
    fn tree_of(nodes: &[(&str, &str)]) -> Tree {
        use crate::tree::TreeOptions;
        use zabd_jute::txn::{Entry, TxnHeader};
        let mut tree = Tree::new(TreeOptions { hash_seed: 1, digest: false, emulate_353_ttl: false });
        for (number, (path, data)) in nodes.iter().enumerate() {
            let kind = zabd_jute::OpCode::Create.code();
            let zxid = zabd_jute::Zxid(1 + number as i64);
            let header = TxnHeader { session: zabd_jute::SessionId(1), cxid: 0, zxid, time_ms: 0, kind };
            let create = CreateTxn {
                path: (*path).into(),
                data: Some(data.as_bytes()),
                acl: vec![],
                kind: CreateKind::Plain { ephemeral: false },
                parent_cversion: -1,
            };
            tree.replay(&Entry { header, txn: Txn::Create(create), digest: None });
        }
        tree
    }

    #[test]
    fn figures_are_summed_by_namespace() {
        let tree = tree_of(&[
            ("/a", "x"),
            ("/a/b", "yz"),
            ("/zookeeper/quota/a", ""),
            ("/zookeeper/quota/a/zookeeper_limits", "count=5,bytes=10=;byteHardLimit=12;countHardLimit=6"),
            ("/zookeeper/quota/a/zookeeper_stats", "count=0,bytes=0"),
            ("/zookeeper/quota/a/b", ""),
            ("/zookeeper/quota/a/b/zookeeper_limits", "count=3,bytes=-1"),
            ("/zookeeper/quota/a/b/zookeeper_stats", "count=0,bytes=0"),
        ]);
        let expected = QuotaFigures { count_limit: 9, bytes_limit: 11, count_used: 3, bytes_used: 5 };
        assert_eq!(tree.quota_figures(), BTreeMap::from([("a".to_owned(), expected)]));
    }

    /// Clients may write any number into these znodes: it ends nobody.
    #[test]
    fn figures_that_clients_wrote_wrap() {
        let largest = "count=9223372036854775807,bytes=9223372036854775807";
        let mut tree = tree_of(&[
            ("/a", ""),
            ("/zookeeper/quota/a", ""),
            ("/zookeeper/quota/a/zookeeper_limits", largest),
            ("/zookeeper/quota/a/zookeeper_stats", "count=0,bytes=0"),
            ("/a/b", ""),
            ("/zookeeper/quota/a/b", ""),
            ("/zookeeper/quota/a/b/zookeeper_limits", largest),
        ]);
        let id = tree.nodes.resolve("/zookeeper/quota/a/zookeeper_stats").unwrap();
        tree.change_data(id, "/zookeeper/quota/a/zookeeper_stats", Some(largest.as_bytes()), |_| ());
        tree.count_usage("/a/x", 1, 1);
        assert_eq!(tree.quota_figures()["a"].count_used, i64::MIN);
    }

    #[test]
    fn special_znodes_are_recognised() {
        assert_eq!(special("/zookeeper/quota/a/b/zookeeper_limits"), Some(Special::Limits("/a/b")));
        assert_eq!(special(&stats_path("/x")), Some(Special::Stats("/x")));
        assert_eq!(special("/zookeeper/quota/a"), None);
        assert_eq!(special("/a/zookeeper_limits"), None);
    }

    #[test]
    fn what_java_ends_with_is_recognised() {
        let create = |path: &'static str, ephemeral| {
            let kind = CreateKind::Plain { ephemeral };
            Txn::Create(CreateTxn { path: path.into(), data: None, acl: vec![], kind, parent_cversion: 1 })
        };
        let delete = |path: &'static str| Txn::Delete { path: path.into() };
        let of_nothing = "/zookeeper/quota/zookeeper_limits";
        assert!(ends_java(&create(of_nothing, false)) && ends_java(&delete(of_nothing)));
        // The creation of the others is applied, and their deletion is not.
        let shorter = "/zookeeperx/zookeeper_limits";
        assert!(!ends_java(&create(shorter, false)) && ends_java(&create(shorter, true)));
        assert!(ends_java(&delete(shorter)));
        assert!(ends_java(&Txn::CloseSession { paths: Some(vec!["/a".into(), shorter.into()]) }));
        let part = zabd_jute::txn::SubTxn { kind: 2, txn: delete(shorter) };
        assert!(ends_java(&Txn::Multi(vec![part])));
        for path in ["/zookeeper/quota/a/zookeeper_limits", "/zookeeper/quota/zookeeper_stats", "/a"] {
            assert!(!ends_java(&create(path, false)) && !ends_java(&delete(path)), "{path}");
            assert!(!ends_java_as_leaf(path), "{path}");
        }
        assert!(!ends_java(&Txn::CloseSession { paths: None }));
        assert!(ends_java_as_leaf(of_nothing) && !ends_java_as_leaf(shorter));
        assert!(ends_java_as_leaf("/zookeeper/quota/zookeeper_limits/a/zookeeper_limits"));
    }

    #[test]
    fn limits_of_nothing_are_recognised() {
        for parent in ["/zookeeper", "/zookeeperx", "/zookeeper/quota", "/zookeeper/häher"] {
            assert!(are_nobodys_limits(&format!("{parent}{LIMITS}")), "{parent}");
        }
        for parent in
            ["", "/a", "/a/zookeeper", "/zookeeper/quota/a", "/zookeeper/quotas", "/zookeeper-quotas"]
        {
            assert!(!are_nobodys_limits(&format!("{parent}{LIMITS}")), "{parent}");
        }
        assert!(!are_nobodys_limits("/zookeeper/quota/zookeeper_stats"));
    }
}
