//! Cutting a member's past and adopting a leader's, stopped at every operation: the next start finds the new past,
//! or the old one, or the old one cut, and never a mixture.

use std::path::Path;

use zabd_jute::{Epoch, Limits, Zxid};
use zabd_storage::disk::{Crash, Disk, DiskFile, Fault, MemoryDisk};
use zabd_storage::epochs::{self, EpochFile};
use zabd_storage::log::{Log, LogError, LogOptions, Records, settle};
use zabd_storage::rebase::{Epochs, RebaseError, adopt, cut, settle_epochs};
use zabd_storage::recovery::{Directories, RecoveryOptions, prepare, snapshots_to_try};
use zabd_storage::snapshot::{self, Compression, SealedSnapshot, SnapshotTrailer, SnapshotWriter};

const CRASHES: [Crash; 4] =
    [Crash::LosesUnsynced, Crash::LosesUnsyncedData, Crash::KeepsUnsynced, Crash::Scatters { seed: 7 }];

fn at(epoch: i64, counter: u32) -> Zxid {
    Zxid::new(Epoch(epoch), counter)
}

fn entry(zxid: Zxid) -> Vec<u8> {
    let mut entry = vec![0; 12];
    entry.extend_from_slice(&zxid.0.to_be_bytes());
    entry.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 9, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    entry
}

/// A snapshot's body stands for a tree: whose it is, and nothing else.
fn image(disk: &MemoryDisk, dir: &Path, zxid: Zxid, whose: u8) -> SealedSnapshot<MemoryDisk> {
    let mut writer = SnapshotWriter::begin(disk.clone(), dir, zxid, Compression::None).unwrap();
    writer.write(&[whose]).unwrap();
    writer.write(b"\0\0\0\x01/").unwrap();
    writer.seal_up(SnapshotTrailer { digest: None, last_zxid: None }).unwrap()
}

fn directories(disk: &MemoryDisk) -> Directories {
    let dir = Path::new("/data").to_owned();
    prepare(
        disk,
        &RecoveryOptions {
            data_dir: dir.clone(),
            log_dir: dir,
            autocreate: true,
            trust_empty: false,
            is_alone: false,
        },
    )
    .unwrap()
}

/// A member with a snapshot at (1, 2), three files of log up to `last` in epoch 1, and an own snapshot inside.
fn member(last: u32) -> (MemoryDisk, Directories) {
    let disk = MemoryDisk::default();
    let directories = directories(&disk);
    image(&disk, &directories.snapshots, at(1, 2), b'm').publish().unwrap();
    let mut log = Log::new(
        disk.clone(),
        &directories.logs,
        at(1, 2),
        LogOptions { prealloc_bytes: 0, ..LogOptions::default() },
    );
    for counter in 3..=last {
        log.append(at(1, counter), &entry(at(1, counter))).unwrap();
        log.sync().unwrap();
        if counter % 3 == 0 {
            log.roll();
        }
    }
    image(&disk, &directories.snapshots, at(1, 8), b'm').publish().unwrap();
    epochs::write(&disk, &directories.snapshots, EpochFile::Accepted, 4).unwrap();
    epochs::write(&disk, &directories.snapshots, EpochFile::Current, 1).unwrap();
    (disk, directories)
}

/// What a start finds: whose image, where it stands, and the last record behind it. It checks what must always
/// hold on the way: the newest snapshot loads, the log goes on behind it, the epochs are Java's to start on.
fn start(disk: &MemoryDisk) -> (u8, Zxid, Zxid, Epochs) {
    let directories = directories(disk);
    let newest = snapshots_to_try(disk, &directories, false).unwrap().remove(0);
    let whose = snapshot::load(disk, &newest.path).unwrap().body()[0];
    let mut records =
        Records::after(disk.clone(), &directories.logs, newest.zxid, Limits::default()).unwrap();
    let mut last = newest.zxid;
    while let Some(record) = records.next_record().unwrap() {
        last = record.zxid;
    }
    settle(disk, records).unwrap();
    let epochs = settle_epochs(disk, &directories.snapshots, last).unwrap();
    assert!(last.epoch() <= epochs.current && epochs.current <= epochs.accepted);
    let tmp = directories.snapshots.join("currentEpoch.tmp");
    assert!(disk.length(&tmp).is_err(), "a start leaves nothing that another server could take up");
    (whose, newest.zxid, last, epochs)
}

#[test]
pub(crate) fn a_log_is_cut_and_so_are_snapshots_behind_it() {
    let (disk, directories) = member(11);
    assert!(cut(&disk, &directories, at(1, 5), Limits::default()).unwrap());
    let epochs = Epochs { accepted: Epoch(4), current: Epoch(1) };
    assert_eq!(start(&disk), (b'm', at(1, 2), at(1, 5), epochs));
}

#[test]
fn nothing_is_cut_where_the_past_does_not_end_exactly() {
    for last in [at(1, 1), at(1, 12), at(1, 0), at(2, 0)] {
        let (disk, directories) = member(11);
        assert!(!cut(&disk, &directories, last, Limits::default()).unwrap(), "{last}");
        assert_eq!(start(&disk).2, at(1, 11), "{last}");
    }
    let (disk, directories) = member(11);
    disk.remove(&directories.logs.join("log.100000004")).unwrap();
    assert!(!cut(&disk, &directories, at(1, 5), Limits::default()).unwrap(), "there is a gap before it");
}

#[test]
pub(crate) fn a_cut_that_is_stopped_leaves_the_past_or_a_part_of_it() {
    for stop in 0.. {
        let (disk, directories) = member(11);
        disk.plan_faults([(stop, Fault::Stop)]);
        let outcome = cut(&disk, &directories, at(1, 5), Limits::default());
        for crash in CRASHES {
            let (_, _, last, _) = start(&disk.after(crash));
            let expected = if outcome.is_ok() { at(1, 5)..=at(1, 5) } else { at(1, 5)..=at(1, 11) };
            assert!(expected.contains(&last), "stop at {stop}, {crash:?}: {last}");
        }
        if outcome.is_ok() {
            assert!(stop > 4, "there was something to stop at");
            return;
        }
    }
}

/// The leader's image is older than what this server has, of its epoch, or newer and given the epoch's first position.
#[test]
pub(crate) fn an_adoption_that_is_stopped_leaves_one_past_or_the_other() {
    for (zxid, epoch) in
        [(at(1, 6), 4), (at(1, 9), 4), (at(1, 11), 4), (at(1, 20), 4), (at(4, 0), 4), (at(4, 7), 4)]
    {
        for stop in 0.. {
            let (disk, directories) = member(11);
            let mut leader = image(&disk, &directories.snapshots, zxid, b'L');
            disk.plan_faults([(stop, Fault::Stop)]);
            let outcome = adopt(&disk, &directories, &mut leader, zxid, Epoch(epoch), Limits::default());
            for crash in CRASHES {
                let (whose, base, last, epochs) = start(&disk.after(crash));
                let context = format!("{zxid}, stop at {stop}, {crash:?}");
                if whose == b'L' {
                    assert_eq!((base, last), (zxid, zxid), "{context}: something of the old past is left");
                    assert_eq!(epochs.current, zxid.epoch().max(Epoch(1)), "{context}");
                } else {
                    assert!(outcome.is_err(), "{context}: the image is lost");
                    assert!(last <= at(1, 11) && at(1, 6).min(zxid) <= last, "{context}: {last}");
                    assert_eq!(epochs.current, Epoch(1), "{context}: an epoch that was not joined");
                }
            }
            if outcome.is_ok() {
                assert!(stop >= 2, "there was something to stop at");
                break;
            }
        }
    }
}

/// Cuts and adopts as often as it takes, there being room, or descriptors, for only so many operations the first time. Where it
/// ends, and how often something was missing; nothing, if a sync failed, behind which nobody tries anything.
fn in_want(limit: impl Fn(&MemoryDisk, usize), zxid: Option<Zxid>, after: usize) -> Option<(Zxid, usize)> {
    let (disk, directories) = member(11);
    let mut leader = zxid.map(|zxid| image(&disk, &directories.snapshots, zxid, b'L'));
    limit(&disk, after);
    for failed in 0.. {
        let outcome = match &mut leader {
            None => cut(&disk, &directories, at(1, 5), Limits::default()).map(|is_cut| assert!(is_cut)),
            Some(leader) => adopt(&disk, &directories, leader, zxid.unwrap(), Epoch(4), Limits::default()),
        };
        disk.plan_faults([]);
        disk.set_opens(None);
        match outcome {
            Ok(()) => {
                let (whose, base, last, epochs) = start(&disk.after(Crash::LosesUnsynced));
                if let Some(zxid) = zxid {
                    assert_eq!((whose, base), (b'L', zxid));
                    assert_eq!(epochs.current, zxid.epoch().max(Epoch(1)));
                }
                return Some((last, failed));
            }
            Err(RebaseError::Log(LogError::SyncFailed { .. })) => return None,
            Err(error) => assert!(error.is_want(), "{error:?}"),
        }
    }
    unreachable!("numbers do not end")
}

/// A full disk, or too many open files, keep a member from its new past only for as long as they last.
#[test]
fn what_lacked_room_or_a_descriptor_is_done_when_tried_again() {
    let room = |disk: &MemoryDisk, after| disk.plan_faults([(after, Fault::Full { kept: 1 })]);
    let descriptors = |disk: &MemoryDisk, after| disk.set_opens(Some(after));
    for zxid in [None, Some(at(1, 6)), Some(at(1, 9)), Some(at(1, 20)), Some(at(4, 0)), Some(at(4, 7))] {
        let mut failures = [0, 0];
        for after in 0..40 {
            let expected = zxid.unwrap_or(at(1, 5));
            let outcomes = [in_want(room, zxid, after), in_want(descriptors, zxid, after)];
            for (failures, outcome) in failures.iter_mut().zip(outcomes) {
                let Some((last, failed)) = outcome else { continue };
                assert_eq!(last, expected, "{zxid:?}, {after}");
                *failures += failed;
            }
        }
        assert!(failures.iter().all(|failures| (2..40).contains(failures)), "{zxid:?}: {failures:?}");
    }
}

/// Where a member's log ends that reached two records further than the image that it adopts in this epoch.
fn last_behind_an_image_in(epoch: Epoch) -> Zxid {
    let (disk, directories) = member(11);
    let mut leader = image(&disk, &directories.snapshots, at(1, 9), b'L');
    adopt(&disk, &directories, &mut leader, at(1, 9), epoch, Limits::default()).unwrap();
    let (whose, base, last, _) = start(&disk);
    assert_eq!((whose, base), (b'L', at(1, 9)));
    last
}

/// A follower that comes back with proposals that its leader has not committed yet, and is sent a snapshot, must not
/// lose what it has acknowledged.
#[test]
fn records_of_the_leaders_own_epoch_stay_behind_its_image() {
    assert_eq!(last_behind_an_image_in(Epoch(1)), at(1, 11));
}

/// If the leader has proposed nothing of them, they count as older.
#[test]
fn records_that_the_leader_disowns_go() {
    assert_eq!(last_behind_an_image_in(Epoch(2)), at(1, 9));
}

/// The image holds what no log of this server does. Once it is damaged, an older snapshot and the log behind it would make a
/// past with a hole, and no record says so if the first one behind the hole begins an epoch.
#[test]
fn nothing_older_takes_the_place_of_a_damaged_image() {
    let (disk, directories) = member(11);
    let mut leader = image(&disk, &directories.snapshots, at(3, 9), b'L');
    adopt(&disk, &directories, &mut leader, at(3, 9), Epoch(4), Limits::default()).unwrap();
    let options = LogOptions { prealloc_bytes: 0, ..LogOptions::default() };
    let mut log = Log::new(disk.clone(), &directories.logs, at(3, 9), options);
    log.append(at(4, 1), &entry(at(4, 1))).unwrap();
    log.sync().unwrap();
    let snapshots = snapshots_to_try(&disk, &directories, false).unwrap();
    assert_eq!(snapshots.iter().map(|file| file.zxid).collect::<Vec<_>>(), [at(3, 9)]);
}

#[test]
fn epochs_are_brought_up_to_the_history_and_no_further() {
    for (accepted, current, tmp, last, expected) in [
        (None, None, None, at(0, 5), (0, 0)),
        (None, None, None, at(3, 5), (3, 3)),
        (Some(5), Some(2), None, at(3, 5), (5, 3)),
        (Some(5), Some(2), Some(5), at(3, 5), (5, 3)),
        (Some(5), Some(4), Some(5), at(3, 5), (5, 4)),
        (Some(2), Some(2), None, at(3, 5), (3, 3)),
        (None, Some(4), None, at(3, 5), (4, 4)),
    ] {
        let disk = MemoryDisk::default();
        let dir = directories(&disk).snapshots;
        let put = |name: &str, epoch: Option<u32>| {
            let Some(epoch) = epoch else { return };
            let mut file = disk.create(&dir.join(name)).unwrap();
            file.write_at(0, epoch.to_string().as_bytes()).and_then(|()| file.sync()).unwrap();
            disk.sync_dir(&dir).unwrap();
        };
        put("acceptedEpoch", accepted);
        put("currentEpoch", current);
        put("currentEpoch.tmp", tmp);
        let epochs = settle_epochs(&disk, &dir, last).unwrap();
        assert_eq!(
            (epochs.accepted.0, epochs.current.0),
            expected,
            "{accepted:?} {current:?} {tmp:?} {last}"
        );
        assert_eq!(settle_epochs(&disk.after(Crash::LosesUnsynced), &dir, last).unwrap(), epochs);
    }
}

/// What is promised is what the history has reached: there is no epoch between.
#[test]
fn a_current_epoch_without_a_number_is_written_anew_where_it_can_be_no_other() {
    for contents in [&b""[..], b"garbage", b"\0\0"] {
        for (accepted, is_derived) in [(3, true), (4, false), (2, false)] {
            let disk = MemoryDisk::default();
            let dir = directories(&disk).snapshots;
            epochs::write(&disk, &dir, EpochFile::Accepted, accepted).unwrap();
            let mut file = disk.create(&dir.join("currentEpoch")).unwrap();
            file.write_at(0, contents).and_then(|()| file.sync()).unwrap();
            match settle_epochs(&disk, &dir, at(3, 5)) {
                Ok(epochs) if is_derived => {
                    assert_eq!(epochs, Epochs { accepted: Epoch(3), current: Epoch(3) });
                    assert_eq!(&*disk.read(&dir.join("currentEpoch")).unwrap(), b"3");
                }
                Err(RebaseError::Epoch(epochs::EpochError::NotANumber { .. })) if !is_derived => {
                    assert_eq!(&*disk.read(&dir.join("currentEpoch")).unwrap(), contents);
                }
                outcome => panic!("{contents:?} {accepted}: {outcome:?}"),
            }
        }
    }
}

/// Java starts on no directory whose `currentEpoch` is above its `acceptedEpoch`.
#[test]
pub(crate) fn epochs_that_are_settled_halfway_are_ones_to_start_on() {
    for (accepted, current) in [(None, None), (Some(2), None), (None, Some(2)), (Some(2), Some(1))] {
        for stop in 0.. {
            let disk = MemoryDisk::default();
            let dir = directories(&disk).snapshots;
            for (file, epoch) in [(EpochFile::Accepted, accepted), (EpochFile::Current, current)] {
                if let Some(epoch) = epoch {
                    epochs::write(&disk, &dir, file, epoch).unwrap();
                }
            }
            disk.plan_faults([(stop, Fault::Stop)]);
            let outcome = settle_epochs(&disk, &dir, at(3, 5));
            for crash in CRASHES {
                let left = disk.after(crash);
                let read = |file| epochs::read(&left, &dir, file).unwrap();
                let (promised, joined) = (read(EpochFile::Accepted), read(EpochFile::Current));
                assert!(promised.is_none() || joined <= promised, "{promised:?}, {joined:?}");
                let settled = settle_epochs(&left, &dir, at(3, 5)).unwrap();
                assert_eq!((settled.accepted.0, settled.current.0), (3, 3), "stop at {stop}, {crash:?}");
            }
            if outcome.is_ok() {
                assert!(stop > 4, "there was something to stop at");
                break;
            }
        }
    }
}

#[test]
fn a_joined_epoch_that_was_never_promised_is_refused() {
    let disk = MemoryDisk::default();
    let dir = directories(&disk).snapshots;
    epochs::write(&disk, &dir, EpochFile::Accepted, 3).unwrap();
    epochs::write(&disk, &dir, EpochFile::Current, 4).unwrap();
    let error = settle_epochs(&disk, &dir, at(3, 1)).unwrap_err();
    assert!(
        matches!(error, RebaseError::EpochsContradict { accepted: Epoch(3), current: Epoch(4), .. }),
        "{error}"
    );
}
