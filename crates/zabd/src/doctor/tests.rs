use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use zabd_storage::disk::{DiskFile as _, MemoryDisk, RealDisk};
use zabd_storage::recovery::RecoveryOptions;

use super::*;
use crate::doctor::files::Condition;
use crate::recover::{Reading, recover};
use crate::repair::recover_member;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/golden").join(name)
}

fn patient(data_dir: impl Into<PathBuf>, log_dir: impl Into<PathBuf>) -> Patient {
    Patient {
        data_dir: data_dir.into(),
        log_dir: log_dir.into(),
        is_log_dir_named: false,
        whose: Whose::AsTheyLook,
        trust_empty: false,
        limits: Limits::default(),
        members: None,
    }
}

/// What Java's servers left behind is sound, but for what is known of it.
#[test]
fn directories_of_java_are_sound() {
    for (name, verdict, refused_by) in [
        ("java-3.5.9/standalone", Verdict::Sound, &["3.4"][..]),
        ("java-3.8.0/standalone", Verdict::Sound, &["3.4"]),
        ("java-3.8.0/fuzzy", Verdict::Sound, &["3.4"]),
        ("java-3.8.0/snapshot-gz", Verdict::Sound, &["3.4", "3.5"]),
        ("java-3.8.0/snapshot-snappy", Verdict::Sound, &["3.4", "3.5"]),
        ("java-3.8.0/opt-no-closesessiontxn", Verdict::Sound, &[]),
        ("java-3.9.5/standalone", Verdict::Sound, &["3.4"]),
        ("java-3.9.5/opt-digest-off", Verdict::Sound, &["3.6", "3.7", "3.8"]),
        // A young directory of 3.4 has no snapshot.
        ("java-3.4.14/standalone", Verdict::Unusable, &[]),
    ] {
        let found = Examination::of(&RealDisk, &patient(golden(name), golden(name))).unwrap();
        assert_eq!(found.verdict(), verdict, "{name}\n{}", found.text());
        assert!(found.plan.steps.is_empty() && !found.is_member, "{name}");
        let readers = found.formats.readers();
        let refused: Vec<_> = readers.iter().filter(|reader| !reader.refuses.is_empty()).collect();
        assert_eq!(refused.iter().map(|reader| reader.version).collect::<Vec<_>>(), refused_by, "{name}");
    }
    let quorum = golden("java-3.8.0/quorum1");
    let found = Examination::of(&RealDisk, &patient(quorum.join("data"), quorum.join("log"))).unwrap();
    assert_eq!((found.verdict(), found.is_member), (Verdict::Sound, true), "{}", found.text());
}

/// A directory of 3.9.5 in memory: `snapshot.0`, `log.1` with 21 records, `snapshot.15`, `log.16`.
fn disk() -> MemoryDisk {
    let from = golden("java-3.9.5/standalone/version-2");
    let disk = MemoryDisk::default();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        put(&disk, path.file_name().unwrap().to_str().unwrap(), &std::fs::read(&path).unwrap());
    }
    disk
}

const DIR: &str = "/data/version-2";

fn put(disk: &MemoryDisk, name: &str, content: &[u8]) {
    disk.create(&Path::new(DIR).join(name)).unwrap().write_at(0, content).unwrap();
}

fn edit(disk: &MemoryDisk, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut content = disk.read(&Path::new(DIR).join(name)).unwrap().to_vec();
    change(&mut content);
    put(disk, name, &content);
}

/// Every file, also of what was set aside.
fn contents(disk: &MemoryDisk) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for dir in [DIR.to_owned(), format!("{DIR}/damaged-1"), format!("{DIR}/damaged-2")] {
        for path in
            disk.list(Path::new(&dir)).unwrap_or_default().into_iter().map(|name| format!("{dir}/{name}"))
        {
            let content = disk.read(Path::new(&path)).unwrap().to_vec();
            all.insert(path, content);
        }
    }
    all
}

fn copy_of(disk: &MemoryDisk) -> MemoryDisk {
    let copy = MemoryDisk::default();
    for (path, content) in contents(disk) {
        let path = Path::new(&path);
        copy.create_dir(path.parent().unwrap()).unwrap();
        copy.create(path).unwrap().write_at(0, &content).unwrap();
    }
    copy
}

/// Where the record of this number begins.
fn record(log: &[u8], number: usize) -> usize {
    let next = |at: &usize| {
        let length = u32::from_be_bytes(*log[at + 8..].first_chunk().unwrap());
        (length > 0).then_some(at + 12 + length as usize + 1)
    };
    std::iter::successors(Some(16), next).nth(number).unwrap()
}

fn damage_snapshots(disk: &MemoryDisk) {
    for name in ["snapshot.0", "snapshot.15"] {
        edit(disk, name, |content| content[100] ^= 1);
    }
}

/// The records of a log from this number on, with other cxids if another server wrote them: that changes no tree.
fn records_from(log: &[u8], first: usize, is_other: bool) -> Vec<u8> {
    let mut content = log[..16].to_vec();
    let mut at = record(log, first);
    while let Some(length) =
        log.get(at + 8..at + 12).map(|length| u32::from_be_bytes(*length.first_chunk().unwrap()))
        && length > 0
    {
        let end = at + 12 + length as usize;
        let mut entry = log[at + 12..end].to_vec();
        entry[9] = u8::from(is_other);
        let checksum = entry.iter().fold((1_u64, 0_u64), |(low, high), byte| {
            let low = (low + u64::from(*byte)) % 65521;
            (low, (high + low) % 65521)
        });
        content.extend_from_slice(&(checksum.1 << 16 | checksum.0).to_be_bytes());
        content.extend_from_slice(&length.to_be_bytes());
        content.extend_from_slice(&entry);
        content.push(b'B');
        at = end + 1;
    }
    content
}

fn put_beside(disk: &MemoryDisk, of: &str, first: usize, is_other: bool, name: &str) {
    let log = disk.read(&Path::new(DIR).join(of)).unwrap();
    put(disk, name, &records_from(&log, first, is_other));
}

type Damage = (&'static str, fn(&MemoryDisk), Verdict, &'static [&'static str], Verdict);

/// What was done to the directory, how it stands, what is to be done, and how it stands then.
#[rustfmt::skip]
const TABLE: &[Damage] = &[
    ("nothing", |_| (), Verdict::Sound, &[], Verdict::Sound),
    ("torn end", |d| edit(d, "log.16", |f| { let at = record(f, 3); f[at + 20..].fill(0); }), Verdict::NeedsAttention,
        &["cut log.16 at offset 253, and keep the rest beside it"], Verdict::Sound),
    ("newest snapshot cut", |d| edit(d, "snapshot.15", |f| f.truncate(700)), Verdict::NeedsAttention,
        &["move snapshot.15 to damaged-1/snapshot.15"], Verdict::Sound),
    ("older snapshot damaged", |d| edit(d, "snapshot.0", |f| f[100] ^= 1), Verdict::NeedsAttention,
        &["move snapshot.0 to damaged-1/snapshot.0"], Verdict::Sound),
    ("log that no start needs damaged", |d| edit(d, "log.1", |f| f[40] ^= 1), Verdict::NeedsAttention,
        &["move log.1 to damaged-1/log.1"], Verdict::Sound),
    ("a record in the middle damaged", |d| edit(d, "log.16", |f| { let at = record(f, 1); f[at + 30] ^= 1; }), Verdict::Unusable,
        &["copy log.16 to damaged-1/log.16, and cut it at offset 90; what was written behind zxid 0x16 is given up, of which 3 records \
            are whole, up to zxid 0x1a; to keep them instead, take the copy that `zkTxnLogToolkit.sh --recover log.16` writes"], Verdict::Sound),
    ("a checksum damaged", |d| edit(d, "log.16", |f| { let at = record(f, 1); f[at + 7] ^= 1; }), Verdict::Unusable,
        &["copy log.16 to damaged-1/log.16, and cut it at offset 90; what was written behind zxid 0x16 is given up, of which 3 records \
            are whole, up to zxid 0x1a; to keep them instead, take the copy that `zkTxnLogToolkit.sh --recover log.16` writes"], Verdict::Sound),
    ("a length damaged", |d| edit(d, "log.16", |f| { let at = record(f, 1); f[at + 8] = 0x7f; }), Verdict::Unusable,
        &["copy log.16 to damaged-1/log.16, and cut it at offset 90; what was written behind zxid 0x16 is given up, of which 3 records \
            are whole, up to zxid 0x1a"], Verdict::Sound),
    ("newest log is none", |d| edit(d, "log.16", |f| f[0] = b'X'), Verdict::Unusable,
        &["move log.16 to damaged-1/log.16; what was written behind zxid 0x15 is given up, of which 5 records \
            are whole, up to zxid 0x1a; to keep them instead, write the first 16 bytes of a whole log over its own"], Verdict::Sound),
    ("a log is missing", |d| { d.remove(&Path::new(DIR).join("snapshot.15")).unwrap(); d.remove(&Path::new(DIR).join("log.1")).unwrap(); }, Verdict::Unusable,
        &["move log.16 to damaged-1/log.16; what was written behind zxid 0x0 is given up, of which 5 records \
            are whole, up to zxid 0x1a"], Verdict::Sound),
    ("empty newest log", |d| put(d, "log.30", b""), Verdict::NeedsAttention, &["move log.30 to damaged-1/log.30"], Verdict::Sound),
    ("leftover", |d| put(d, "new-snapshot.30", b"half"), Verdict::NeedsAttention, &["move new-snapshot.30 to damaged-1/new-snapshot.30"], Verdict::Sound),
    ("no whole snapshot", damage_snapshots, Verdict::Unusable,
        &["move snapshot.0 to damaged-1/snapshot.0", "move snapshot.15 to damaged-1/snapshot.15",
            "write snapshot.0, which holds nothing: the logs hold everything since"], Verdict::Sound),
    ("no whole snapshot, and not all logs", |d| { damage_snapshots(d); d.remove(&Path::new(DIR).join("log.1")).unwrap(); }, Verdict::Unusable,
        &[], Verdict::Unusable),
    ("no whole snapshot, and logs that end before the last", |d| { damage_snapshots(d); put(d, "snapshot.99", b"damaged"); }, Verdict::Unusable,
        &[], Verdict::Unusable),
    ("no whole snapshot, and a damaged log", |d| { damage_snapshots(d); edit(d, "log.1", |f| f[40] ^= 1); }, Verdict::Unusable,
        &[], Verdict::Unusable),
    ("no snapshot", |d| { for name in ["snapshot.0", "snapshot.15"] { d.remove(&Path::new(DIR).join(name)).unwrap(); } }, Verdict::Unusable, &[], Verdict::Unusable),
    ("two servers wrote", |d| put_beside(d, "log.16", 2, true, "log.18"), Verdict::Unusable,
        &["move log.18 to damaged-1/log.18; what was written behind zxid 0x17 is given up, of which 3 records are whole, up to zxid \
            0x1a; to keep those of log.18 instead, and give up those of log.16, take, in the place of log.16, the copy that \
            `zkTxnLogToolkit.sh --chop --zxid 0x17 log.16` writes"], Verdict::Sound),
    ("two servers wrote, below a snapshot", |d| put_beside(d, "log.1", 9, true, "log.a"), Verdict::NeedsAttention, &[], Verdict::NeedsAttention),
    ("two servers wrote, and all of one was of two", |d| put_beside(d, "log.16", 0, true, "log.16.bak"), Verdict::Unusable,
        &["move log.16.bak to damaged-1/log.16.bak; what was written behind zxid 0x0 is given up, of which 5 records are whole, up to \
            zxid 0x1a"], Verdict::Sound),
    ("no log", |d| for name in ["log.1", "log.16"] { d.remove(&Path::new(DIR).join(name)).unwrap(); }, Verdict::NeedsAttention, &[],
        Verdict::NeedsAttention),
    ("a copy of records", |d| put_beside(d, "log.16", 2, false, "log.18"), Verdict::Sound, &[], Verdict::Sound),
    ("a copy under a name to come", |d| put_beside(d, "log.1", 0, false, "log.1b"), Verdict::NeedsAttention,
        &["move log.1b to damaged-1/log.1b"], Verdict::Sound),
    ("a log with a name to come", |d| d.rename(&Path::new(DIR).join("log.16"), &Path::new(DIR).join("log.1b")).unwrap(),
        Verdict::NeedsAttention, &["move log.1b to log.16"], Verdict::Sound),
    ("a log whose own name a shorter copy has", |d| { put_beside(d, "log.16", 0, false, "log.1b");
        edit(d, "log.16", |f| f.truncate(record(f, 2))); }, Verdict::NeedsAttention,
        &["move log.16 to damaged-1/log.16", "move log.1b to log.16"], Verdict::Sound),
    ("another's log under a name to come, below a snapshot", |d| put_beside(d, "log.1", 0, true, "log.1b"), Verdict::Unusable,
        &[], Verdict::Unusable),
    ("a damaged copy under a name to come", |d| { put_beside(d, "log.1", 0, false, "log.1b");
        edit(d, "log.1b", |f| { let at = record(f, 5); f[at + 30] ^= 1; }); }, Verdict::Unusable,
        &["copy log.1b to damaged-1/log.1b, and cut it at offset 451; what was written behind zxid 0x1a is given up, of which 15 records are \
            whole, up to zxid 0x15; to keep them instead, take the copy that `zkTxnLogToolkit.sh --recover log.1b` writes",
            "move log.1b to damaged-2/log.1b"], Verdict::Sound),
    ("an empty older log", |d| edit(d, "log.1", Vec::clear), Verdict::NeedsAttention, &["move log.1 to damaged-1/log.1"],
        Verdict::Sound),
    ("something else", |d| put(d, "notes.txt", b"hello"), Verdict::Sound, &[], Verdict::Sound),
];

fn start_on(disk: &MemoryDisk) -> Result<(zabd_jute::Zxid, u64), String> {
    let patient = patient("/data", "/data");
    let options: RecoveryOptions = patient.recovery(false);
    let recovered = recover(disk, &options, Patient::tree_options(), patient.limits, Reading::default());
    recovered.map(|it| (it.tree.last_zxid(), it.tree.digest())).map_err(|error| error.to_string())
}

#[test]
fn what_is_said_is_what_a_start_does_and_what_a_repair_does() {
    for (what, damage, verdict, steps, repaired) in TABLE {
        let disk = disk();
        damage(&disk);
        let before = contents(&disk);
        let patient = patient("/data", "/data");
        let found = Examination::of(&disk, &patient).unwrap();
        assert_eq!(contents(&disk), before, "{what}: looking changes nothing");
        assert_eq!(found.verdict(), *verdict, "{what}\n{}", found.text());
        let said: Vec<_> =
            found.plan.steps.iter().map(|step| step.to_string().replace(&format!("{DIR}/"), "")).collect();
        assert_eq!(said, *steps, "{what}\n{}", found.text());
        assert_eq!(found.json()["exit_code"], *verdict as u8, "{what}");

        let started = copy_of(&disk);
        match (&found.start, start_on(&started)) {
            (Ok(said), Ok((last, _))) => assert_eq!(said.last_zxid, last, "{what}"),
            (Err(said), Err(error)) => assert_eq!(said.to_string(), error, "{what}"),
            (said, done) => panic!("{what}: {said:?} was said, and {done:?} done"),
        }
        if let Ok(said) = &found.start {
            let is_changed = contents(&started) != before;
            assert_eq!(is_changed, !said.changes.is_empty(), "{what}: {:?}", said.changes);
        }

        found.plan.steps.iter().for_each(|step| step.perform(&disk).unwrap());
        assert_nothing_is_lost(what, &before, &contents(&disk));
        // What is beside a log is purged with it one day.
        let gives_up = found.plan.steps.iter().any(|step| step.gives_up().is_some());
        assert!(!gives_up || !contents(&disk).keys().any(|path| path.contains("/cut-")), "{what}");
        let left = Examination::of(&disk, &patient).unwrap();
        assert_eq!(left.verdict(), *repaired, "{what}\n{}", left.text());
        assert!(left.plan.steps.is_empty(), "{what}: one repair is enough");
        if *verdict == Verdict::NeedsAttention {
            assert_eq!(
                start_on(&disk),
                start_on(&started),
                "{what}: a repair gives nothing up that a start keeps"
            );
        }
    }
}

/// Every file is still there, has moved, has another name, or has been cut, with the rest beside it.
fn assert_nothing_is_lost(what: &str, before: &BTreeMap<String, Vec<u8>>, after: &BTreeMap<String, Vec<u8>>) {
    for (path, content) in before {
        let name = path.rsplit('/').next().unwrap();
        let is_whole =
            |left: &[u8]| content.strip_prefix(left).is_some_and(|zeros| zeros.iter().all(|byte| *byte == 0));
        let is_there =
            after.iter().any(|(other, left)| left == content || other.ends_with(name) && is_whole(left));
        let is_cut = after.get(path).is_some_and(|head| {
            let rest = after.iter().find(|(other, _)| other.contains(&format!("cut-{name}-")));
            let whole: Vec<u8> =
                head.iter().chain(rest.into_iter().flat_map(|(_, rest)| rest)).copied().collect();
            is_whole(&whole)
        });
        assert!(is_there || is_cut, "{what}: {path} is gone");
    }
}

/// A member whose logs tell two pasts fetches its state, like any other damaged one.
#[test]
fn peers_decide_between_two_pasts() {
    let disk = disk();
    put_beside(&disk, "log.16", 2, true, "log.18");
    put(&disk, "currentEpoch", b"0");
    put(&disk, "acceptedEpoch", b"0");
    let found = Examination::of(&disk, &patient("/data", "/data")).unwrap();
    assert!(found.is_member && found.plan.steps.is_empty(), "{}", found.text());
    let with_peers = found.with_peers.as_ref().expect("it has peers").as_ref().expect("which repair it");
    assert!(with_peers.has_no_vote && with_peers.last_zxid.0 == 0, "{with_peers:?}");
}

/// Whoever starts without the `jute.maxbuffer` with which a record was written must hear of that key, and lose nothing: neither
/// by a repair, nor as a member whose peers have it all.
#[test]
fn what_takes_a_larger_jute_maxbuffer_is_no_damage() {
    for (log, verdict) in [("log.16", Verdict::Unusable), ("log.1", Verdict::NeedsAttention)] {
        let disk = disk();
        put(&disk, "currentEpoch", b"0");
        put(&disk, "acceptedEpoch", b"0");
        let content = disk.read(&Path::new(DIR).join(log)).unwrap().to_vec();
        let length = |number| record(&content, number + 1) - record(&content, number) - 13;
        // Longer than any record of log.16, or one of those.
        let longest = (0..5).map(length).max().unwrap();
        let limits = Limits { field_bytes_max: if log == "log.16" { longest - 1 } else { longest } };
        if log == "log.1" {
            assert!((0..20).map(length).any(|length| length > longest), "the others are no test");
        }
        let before = contents(&disk);
        for is_alone in [true, false] {
            let whose = if is_alone { Whose::Alone } else { Whose::AsTheyLook };
            let patient = Patient { whose, limits, ..patient("/data", "/data") };
            let found = Examination::of(&disk, &patient).unwrap();
            assert_eq!((found.verdict(), found.is_member), (verdict, !is_alone), "{}", found.text());
            assert!(found.plan.steps.is_empty() && found.with_peers.is_none(), "{}", found.text());
            let file = found.files.iter().find(|file| file.path.ends_with(log)).unwrap();
            assert!(file.needs_attention && file.condition == Condition::Sound, "{file:?}");
            assert!(file.about.contains(&format!("jute.maxbuffer allows {}", limits.field_bytes_max)));
            let (options, tree_options) = (patient.recovery(!is_alone), Patient::tree_options());
            let copy = copy_of(&disk);
            let started = recover_member(&copy, &options, tree_options, limits, Reading::default(), true);
            if verdict == Verdict::Unusable {
                let error = started.map(drop).unwrap_err();
                let said = format!("jute.maxbuffer={longest} is enough");
                assert!(error.to_string().contains(&said) && !error.is_damage(), "{error}");
                assert_eq!(found.plan.in_vain.unwrap().to_string(), error.to_string());
                assert_eq!(contents(&copy), before, "nothing is set aside");
            } else {
                assert!(!started.unwrap().has_lost);
            }
        }
        let allowed = Patient { limits: Limits { field_bytes_max: 1 << 20 }, ..patient("/data", "/data") };
        assert_eq!(Examination::of(&disk, &allowed).unwrap().verdict(), Verdict::Sound);
    }
}

/// What a member lost its peers may have been promised: nothing is done behind their backs.
#[test]
fn a_member_is_left_to_its_peers() {
    let disk = disk();
    edit(&disk, "log.16", |log| {
        let at = record(log, 1);
        log[at + 30] ^= 1;
    });
    put(&disk, "currentEpoch", b"0");
    put(&disk, "acceptedEpoch", b"0");
    let mut patient = patient("/data", "/data");
    let found = Examination::of(&disk, &patient).unwrap();
    assert_eq!(found.verdict(), Verdict::NeedsAttention, "one who is repaired can be used");
    let verdict =
        "\nneeds attention: a start goes through, repaired by its peers, if these are a quorum without it\n";
    assert!(found.text().ends_with(verdict) && !found.text().contains("cannot be used"), "{}", found.text());
    assert_eq!(found.json()["repaired_by_peers"], true);
    assert!(found.is_member && found.plan.steps.is_empty());
    let with_peers = found.with_peers.as_ref().expect("it has peers").as_ref().expect("which repair it");
    assert!(with_peers.has_no_vote && with_peers.last_zxid.0 == 0, "{with_peers:?}");
    assert!(found.text().contains("moves /data/version-2/log.16 to /data/version-2/damaged-1/log.16"));
    patient.whose = Whose::Alone;
    let alone = Examination::of(&disk, &patient).unwrap();
    assert_eq!(alone.verdict(), Verdict::Unusable);
    assert!(alone.with_peers.is_none() && alone.plan.steps[0].gives_up().is_some());
}

#[test]
fn one_is_not_many() {
    assert_eq!(counted(1_u64, "session", "sessions"), "1 session");
    assert_eq!(counted(0_u64, "session", "sessions"), "0 sessions");
    assert_eq!(counted(2_u64, "record is", "records are"), "2 records are");
}

/// A table of versions is no promise that they start.
#[test]
fn nobody_reads_what_is_damaged_and_of_what_is_not_read_nothing_is_promised() {
    let disk = disk();
    edit(&disk, "log.16", |log| {
        let at = record(log, 2);
        log[at + 30] ^= 1;
    });
    let found = Examination::of(&disk, &patient("/data", "/data")).unwrap();
    let log = found.files.iter().find(|file| file.path.ends_with("log.16")).unwrap();
    let Condition::Damaged(why) = &log.condition else { panic!("{log:?}") };
    assert!(why.starts_with("a wrong checksum at offset ") && !why.contains("zxid"), "{why}");
    assert!(found.text().contains("  3.9  no: a damaged log\n"), "{}", found.text());
    assert_eq!(found.json()["java"][5]["reads"], false);

    let scratch = tempfile::tempdir().unwrap();
    let version = scratch.path().join("version-2");
    std::fs::create_dir(&version).unwrap();
    for name in ["snapshot.0", "log.1"] {
        std::fs::write(version.join(name), disk.read(&Path::new(DIR).join(name)).unwrap().to_vec()).unwrap();
    }
    let mut found = Examination::of(&RealDisk, &patient(scratch.path(), scratch.path())).unwrap();
    assert!(found.text().contains("  3.9  yes, with "), "{}", found.text());
    // A test that runs as root may read everything.
    found.formats.see_forbidden();
    let unknown = "  3.9  not known: this user may not read every file\n";
    assert!(found.text().contains(unknown), "{}", found.text());
    assert!(found.json()["java"][5]["reads"].is_null());
}

/// What a member says that keeps these lists, and whether somebody should know; members are those of zoo.cfg.
fn said_of_voters(held: &str, members: Option<&[i64]>) -> (String, Condition, bool) {
    let disk = disk();
    put(&disk, "acceptedEpoch", b"7");
    put(&disk, "currentEpoch", b"7");
    disk.create(Path::new("/data/myid")).unwrap().write_at(0, b"2\n").unwrap();
    put(&disk, "voters-held", held.as_bytes());
    let lines = |ids: &[i64]| ids.iter().map(|id| format!("server.{id}=zk{id}:1:2")).collect::<Vec<_>>();
    let members = members.map(|ids| Configuration::parse(&lines(ids).join("\n")).unwrap());
    let found = Examination::of(&disk, &Patient { members, ..patient("/data", "/data") }).unwrap();
    let file = found.files.into_iter().find(|file| file.kind == "voters").unwrap();
    (file.about, file.condition, file.needs_attention)
}

const THREE_AND_FIVE: &str = "established=5\nlist.5=1 2 3\nlist.7=1 2 3 4 5\n";

#[test]
fn lists_of_voters_are_told_with_what_they_mean() {
    for (says, means) in [
        (
            "server=2\nepoch=6\n",
            "does not count, since epoch 7 was joined with a server that keeps no such file: ",
        ),
        (
            "server=3\nepoch=7\n",
            "of server 3, so only what this server's own lines have a quorum of counts: ",
        ),
    ] {
        let means = format!("{means}1, 2, 3; 1, 2, 3, 4, 5");
        let held = format!("# of members\n{says}{THREE_AND_FIVE}");
        assert_eq!(said_of_voters(&held, None), (means, Condition::Sound, false));
    }
    let (_, condition, needs_attention) = said_of_voters("list.8=all", None);
    let why = "\"list.8=all\" is no list of voters".to_owned();
    assert_eq!((condition, needs_attention), (Condition::Damaged(why), true));
}

#[test]
fn voters_that_keep_others_waiting_are_told_with_the_remedy() {
    let held = format!("server=2\nepoch=7\n{THREE_AND_FIVE}");
    let remedy = "only if that quorum is lost for good: stop all members that are left, remove this file on each of them, and start them";
    let each = "a leader needs a quorum of each of these that is not outdated: voters 1, 2, 3; 1, 2, 3, 4, 5";
    assert_eq!(said_of_voters(&held, None), (format!("{each}; {remedy}"), Condition::Sound, true));
    let beside = "beside those of zoo.cfg, a leader needs a quorum of voters 1, 2, 3, as long as no leader by the new lines has served";
    let (about, _, needs_attention) = said_of_voters(&held, Some(&[5, 4, 3, 2, 1]));
    assert_eq!((about, needs_attention), (format!("{beside}; {remedy}"), true));
    let one = "server=2\nepoch=7\nestablished=7\nlist.7=1 2 3\n";
    let alone = "a leader needs a quorum of voters 1, 2, 3".to_owned();
    for members in [None, Some(&[1, 2, 3][..])] {
        assert_eq!(said_of_voters(one, members), (alone.clone(), Condition::Sound, false));
    }
    assert!(said_of_voters(one, Some(&[1, 2, 3, 4, 5])).2);
}
