//! Limits on how much a part of the tree may hold, and how much it holds.
//!
//! Both are ordinary znodes below `/zookeeper/quota`, made by clients: `zookeeper_limits` registers the
//! path that it stands for, `zookeeper_stats` shows the usage. The server keeps the usage's text up to
//! date in place: no transaction, no version, no watch. Follows Java's `StatsTrack` and `DataTree`.

mod track;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::BitOrAssign;

use zabd_jute::txn::{CreateKind, CreateTxn, Txn};

use crate::namespaces::namespace;
use crate::tree::Tree;
pub(crate) use track::Track;
use track::{is_read_before_3_7, is_read_since_3_7};

const ROOT: &str = "/zookeeper/quota";
const LIMITS: &str = "/zookeeper_limits";
const STATS: &str = "/zookeeper_stats";

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
/// operators. As in Java the hard limit counts where there is one, and no limit counts as −1; what no znode says is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaFigures {
    /// What may be there.
    pub limit: Option<QuotaSum>,
    /// What is there.
    pub used: Option<QuotaSum>,
}

/// A part of [`QuotaFigures`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaSum {
    /// Znodes.
    pub count: i64,
    /// Bytes of data.
    pub bytes: i64,
}

impl QuotaSum {
    fn add(into: &mut Option<Self>, count: i64, bytes: i64) {
        let sum = into.get_or_insert_default();
        sum.count = sum.count.wrapping_add(count);
        sum.bytes = sum.bytes.wrapping_add(bytes);
    }
}

impl Tree {
    /// How many paths have limits.
    pub fn quota_count(&self) -> usize {
        self.quotas.paths.len()
    }

    /// The figures of all quotas, by child of the root. As Java's `QuotaMetricsUtils` does: each of the two znodes counts by itself, if it has
    /// no children.
    pub fn quota_figures(&self) -> BTreeMap<String, QuotaFigures> {
        let mut by_namespace: BTreeMap<String, QuotaFigures> = BTreeMap::new();
        let mut ahead: Vec<_> = self.nodes.resolve(ROOT).into_iter().collect();
        while let Some(id) = ahead.pop() {
            let before = ahead.len();
            ahead.extend(self.nodes.children(id));
            if ahead.len() > before {
                continue;
            }
            let path = self.nodes.path(id);
            let Some((of, is_limits)) = special(&path).map(|special| match special {
                Special::Limits(of) => (of, true),
                Special::Stats(of) => (of, false),
            }) else {
                continue;
            };
            let (Some(namespace), Some(track)) = (namespace(of), Track::parse(self.nodes.get(id).data()))
            else {
                continue;
            };
            let figures = by_namespace.entry(namespace.to_owned()).or_default();
            if is_limits {
                let limit = |hard: i64, soft: i64| if hard > -1 { hard } else { soft };
                let count = limit(track.count_hard(), track.count);
                QuotaSum::add(&mut figures.limit, count, limit(track.bytes_hard(), track.bytes));
            } else {
                QuotaSum::add(&mut figures.used, track.count, track.bytes);
            }
        }
        by_namespace
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
/// that: their `DataTree` cuts as many letters from the parent's path as `ROOT` has, and has no place for what is left. Before 3.6
/// they end with all that has no slash left, as `/zookeeper/quotas` has; later ones take it for a quota of `/s`.
pub(crate) fn are_nobodys_limits(path: &str) -> bool {
    left_by_java(path).is_some_and(|left| !left.contains(&u16::from(b'/')))
}

/// What Java leaves of the path of the parent of limits.
fn left_by_java(path: &str) -> Option<Vec<u16>> {
    let parent = path.strip_suffix(LIMITS).filter(|parent| parent.starts_with("/zookeeper"))?;
    Some(parent.encode_utf16().skip(ROOT.len()).collect())
}

/// Whether data may not be written to a znode, because it is a quota's usage and some of Java's servers end when they read it
/// (the next write below the quota makes them). What a usage is created with is written over before anybody reads it.
pub(crate) fn is_unreadable_usage(path: &str, data: Option<&[u8]>) -> bool {
    matches!(special(path), Some(Special::Stats(of)) if of.starts_with('/'))
        && !(is_read_before_3_7(data) && is_read_since_3_7(data))
}

/// What there is in logs or snapshots with which Java's servers end, though zabd applies it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndsJava {
    /// Limits that stand for no path, with which all versions end.
    pub limits_of_nobody: bool,
    /// Limits of which Java leaves a name without a slash, with which versions before 3.6 end.
    pub limits_without_slash: bool,
    /// The text of limits or usage with which versions before 3.7 end.
    pub text_before_3_7: bool,
    /// The text of usage with which versions from 3.7 on end.
    pub text_since_3_7: bool,
}

impl BitOrAssign for EndsJava {
    fn bitor_assign(&mut self, other: Self) {
        self.limits_of_nobody |= other.limits_of_nobody;
        self.limits_without_slash |= other.limits_without_slash;
        self.text_before_3_7 |= other.text_before_3_7;
        self.text_since_3_7 |= other.text_since_3_7;
    }
}

impl EndsJava {
    /// What a transaction has. Of a session's end without paths nothing can be told. A text ends nobody by itself: a write
    /// below its quota must follow.
    pub fn of_txn(txn: &Txn<'_>) -> Self {
        match txn {
            Txn::Create(CreateTxn { path, kind, data, .. }) => {
                let goes_with_its_session = matches!(kind, CreateKind::Plain { ephemeral: true });
                let mut ends = Self::of_limits_text(path, *data);
                if goes_with_its_session || special(path).is_some() {
                    ends |= Self::of_place(path);
                }
                ends
            }
            Txn::SetData { path, data, .. } => {
                let mut ends = Self::of_limits_text(path, *data);
                if is_unreadable_usage(path, *data) {
                    ends.text_before_3_7 = !is_read_before_3_7(*data);
                    ends.text_since_3_7 = !is_read_since_3_7(*data);
                }
                ends
            }
            Txn::Delete { path } => Self::of_place(path),
            Txn::CloseSession { paths } => {
                let mut ends = Self::default();
                for path in paths.iter().flatten() {
                    ends |= Self::of_place(path);
                }
                ends
            }
            Txn::Multi(parts) if parts.iter().any(|part| matches!(part.txn, Txn::Error { .. })) => {
                Self::default()
            }
            Txn::Multi(parts) => {
                let mut ends = Self::default();
                for part in parts {
                    ends |= Self::of_txn(&part.txn);
                }
                ends
            }
            _ => Self::default(),
        }
    }

    /// What a znode without children has, in a snapshot: the first znode with the name of limits tells Java for which path these
    /// are. The texts of usage are made anew.
    pub fn of_leaf(path: &str, data: Option<&[u8]>) -> Self {
        let mut ends = Self::of_limits_text(path, data);
        let stands_for_nothing = path.strip_prefix(ROOT).is_some_and(|below| below.starts_with(LIMITS));
        ends.limits_of_nobody = path.ends_with(LIMITS) && stands_for_nothing;
        ends
    }

    /// Limits at this path come or go.
    fn of_place(path: &str) -> Self {
        let left = left_by_java(path);
        let limits_of_nobody = left.as_ref().is_some_and(Vec::is_empty);
        let limits_without_slash = !limits_of_nobody && are_nobodys_limits(path);
        Self { limits_of_nobody, limits_without_slash, ..Self::default() }
    }

    /// Versions before 3.7 read limits with each write below; later ones only where they are enforced, and are none the worse.
    fn of_limits_text(path: &str, data: Option<&[u8]>) -> Self {
        let is_quotas = matches!(special(path), Some(Special::Limits(of)) if of.starts_with('/'));
        Self { text_before_3_7: is_quotas && !is_read_before_3_7(data), ..Self::default() }
    }
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
        let (limit, used) = (QuotaSum { count: 9, bytes: 11 }, QuotaSum { count: 3, bytes: 5 });
        let expected = QuotaFigures { limit: Some(limit), used: Some(used) };
        assert_eq!(tree.quota_figures(), BTreeMap::from([("a".to_owned(), expected)]));
    }

    #[test]
    fn limits_and_usage_count_each_by_itself() {
        let tree = tree_of(&[
            ("/a", "x"),
            ("/zookeeper/quota/a", ""),
            ("/zookeeper/quota/a/zookeeper_stats", "count=4,bytes=6"),
            ("/b", "x"),
            ("/zookeeper/quota/b", ""),
            ("/zookeeper/quota/b/zookeeper_limits", "count=3,bytes=9"),
            ("/zookeeper/quota/b/c", ""),
        ]);
        // What a usage is created with gives way to what is there.
        let used = QuotaFigures { used: Some(QuotaSum { count: 1, bytes: 1 }), limit: None };
        let limited = QuotaFigures { limit: Some(QuotaSum { count: 3, bytes: 9 }), used: None };
        assert_eq!(tree.quota_figures(), BTreeMap::from([("a".to_owned(), used), ("b".to_owned(), limited)]));
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
        assert_eq!(tree.quota_figures()["a"].used.unwrap().count, i64::MIN);
    }

    #[test]
    fn special_znodes_are_recognised() {
        assert_eq!(special("/zookeeper/quota/a/b/zookeeper_limits"), Some(Special::Limits("/a/b")));
        assert_eq!(special(&stats_path("/x")), Some(Special::Stats("/x")));
        assert_eq!(special("/zookeeper/quota/a"), None);
        assert_eq!(special("/a/zookeeper_limits"), None);
    }

    fn of_creation(path: &str, ephemeral: bool, data: Option<&str>) -> EndsJava {
        let (kind, data) = (CreateKind::Plain { ephemeral }, data.map(str::as_bytes));
        let created = CreateTxn { path: path.into(), data, acl: vec![], kind, parent_cversion: 1 };
        EndsJava::of_txn(&Txn::Create(created))
    }

    #[test]
    fn what_java_ends_with_is_recognised() {
        let nothing = EndsJava::default();
        let nobody = EndsJava { limits_of_nobody: true, ..nothing };
        let create = |path: &'static str, ephemeral| of_creation(path, ephemeral, Some("count=1,bytes=1"));
        let deletion = |path: &'static str| Txn::Delete { path: path.into() };
        let delete = |path: &'static str| EndsJava::of_txn(&deletion(path));
        let of_nothing = "/zookeeper/quota/zookeeper_limits";
        assert_eq!((create(of_nothing, false), delete(of_nothing)), (nobody, nobody));
        // The creation of the others is applied, and their deletion is not.
        let shorter = "/zookeeperx/zookeeper_limits";
        assert_eq!(
            (create(shorter, false), create(shorter, true), delete(shorter)),
            (nothing, nobody, nobody)
        );
        assert_eq!(
            EndsJava::of_txn(&Txn::CloseSession { paths: Some(vec!["/a".into(), shorter.into()]) }),
            nobody
        );
        let part = |txn| zabd_jute::txn::SubTxn { kind: 2, txn };
        assert_eq!(EndsJava::of_txn(&Txn::Multi(vec![part(deletion(shorter))])), nobody);
        let refused = vec![part(deletion(shorter)), part(Txn::Error { code: -1 })];
        assert_eq!(EndsJava::of_txn(&Txn::Multi(refused)), nothing);
        let without_slash = EndsJava { limits_without_slash: true, ..nothing };
        let longer = "/zookeeper/quotas/zookeeper_limits";
        assert_eq!((create(longer, false), delete(longer)), (without_slash, without_slash));
        let text = Some(&b"count=1,bytes=1"[..]);
        for path in ["/zookeeper/quota/a/zookeeper_limits", "/zookeeper/quota/zookeeper_stats", "/a"] {
            assert_eq!((create(path, false), delete(path)), (nothing, nothing), "{path}");
            assert_eq!(EndsJava::of_leaf(path, text), nothing, "{path}");
        }
        assert_eq!(EndsJava::of_txn(&Txn::CloseSession { paths: None }), nothing);
        assert_eq!(
            (EndsJava::of_leaf(of_nothing, text), EndsJava::of_leaf(shorter, text)),
            (nobody, nothing)
        );
        assert_eq!(EndsJava::of_leaf("/zookeeper/quota/zookeeper_limits/a/zookeeper_limits", text), nobody);
        assert_eq!(EndsJava::of_leaf(longer, text), nothing);
    }

    #[test]
    fn texts_that_java_ends_with_are_recognised() {
        let (limits, usage) = ("/zookeeper/quota/a/zookeeper_limits", "/zookeeper/quota/a/zookeeper_stats");
        let create = |path: &'static str, data: Option<&'static str>| of_creation(path, false, data);
        let set = |path: &'static str, data: Option<&'static str>| {
            EndsJava::of_txn(&Txn::SetData { path: path.into(), data: data.map(str::as_bytes), version: 1 })
        };
        let nothing = EndsJava::default();
        let before = EndsJava { text_before_3_7: true, ..nothing };
        let all = EndsJava { text_before_3_7: true, text_since_3_7: true, ..nothing };
        for (text, of_usage, of_limits) in [
            (Some("count=1,bytes=2"), nothing, nothing),
            (Some("count=1"), before, before),
            (Some("count=1,bytes=2=;x"), EndsJava { text_since_3_7: true, ..nothing }, nothing),
            (Some("zzz"), all, before),
            (None, all, before),
        ] {
            assert_eq!(set(usage, text), of_usage, "{text:?}");
            assert_eq!(is_unreadable_usage(usage, text.map(str::as_bytes)), of_usage != nothing, "{text:?}");
            assert_eq!((create(limits, text), set(limits, text)), (of_limits, of_limits), "{text:?}");
            assert_eq!(EndsJava::of_leaf(limits, text.map(str::as_bytes)), of_limits, "{text:?}");
            // It is written over, or nobody's.
            assert_eq!(
                (create(usage, text), EndsJava::of_leaf(usage, text.map(str::as_bytes))),
                (nothing, nothing)
            );
            for other in [
                "/zookeeper/quota/zookeeper_stats",
                "/zookeeper/quotas/zookeeper_stats",
                "/a/zookeeper_stats",
            ] {
                assert_eq!(set(other, text), nothing, "{other}");
            }
        }
    }

    #[test]
    fn limits_of_nothing_are_recognised() {
        for parent in [
            "/zookeeper",
            "/zookeeperx",
            "/zookeeper/quota",
            "/zookeeper/häher",
            "/zookeeper/quotas",
            "/zookeeper-quotas",
        ] {
            assert!(are_nobodys_limits(&format!("{parent}{LIMITS}")), "{parent}");
        }
        for parent in ["", "/a", "/a/zookeeper", "/zookeeper/quota/a", "/zookeeper/quotas/a"] {
            assert!(!are_nobodys_limits(&format!("{parent}{LIMITS}")), "{parent}");
        }
        assert!(!are_nobodys_limits("/zookeeper/quota/zookeeper_stats"));
    }

    /// What a client wrote into a usage beside it stays, as with Java.
    #[test]
    fn a_usage_keeps_what_else_it_says() {
        let usage = "/zookeeper/quota/a/zookeeper_stats";
        let mut tree = tree_of(&[
            ("/a", "xy"),
            ("/zookeeper/quota/a", ""),
            ("/zookeeper/quota/a/zookeeper_limits", "count=9,bytes=-1"),
            (usage, "count=0,bytes=0"),
        ]);
        let id = tree.nodes.resolve(usage).unwrap();
        tree.change_data(id, usage, Some(b"byteHardLimit=5;count=1,bytes=2"), |_| ());
        let text =
            |tree: &Tree| String::from_utf8(tree.node(usage).unwrap().data().unwrap().to_vec()).unwrap();
        // As many bytes as there were are written anew, too.
        tree.count_usage("/a", 0, 0);
        assert_eq!(text(&tree), "count=1,bytes=2=;byteHardLimit=5");
        tree.count_usage("/a/b", 1, 3);
        assert_eq!(text(&tree), "count=2,bytes=5=;byteHardLimit=5");
        tree.refresh_usage("/a");
        assert_eq!(text(&tree), "count=1,bytes=2");
    }
}
