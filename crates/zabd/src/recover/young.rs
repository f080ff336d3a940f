//! A server of Java 3.4 that never lived long enough for a snapshot: all that it has are its logs.
//!
//! Java 3.5 and later write a snapshot before their first record, and so does zabd. Logs alone are therefore what 3.4 left, or
//! what is left when snapshots were removed, and a leader's snapshot may have held what no log here does. So they are taken only
//! if nothing speaks for the second:
//!
//! - the first record is the first that there can be: number 1, of a server alone or of the first epoch;
//! - no number is missing behind it, and each epoch is there from its own first one on;
//! - no record has a digest, as have all that 3.6, later ones and zabd write;
//! - a member's epoch is beside them, and not older than the records: with `dataLogDir` apart, a new `dataDir` lacks it.
//!
//! Only `start-zookeeper` asks for it: what it stands in for is 3.4, and never purges. Whoever else has such logs says
//! `snapshot.trust.empty=true`, as to Java.

use zabd_jute::{Limits, Reader, Zxid};
use zabd_storage::disk::Disk;
use zabd_storage::epochs::{self, EpochFile};
use zabd_storage::log::Records;
use zabd_storage::recovery::{Directories, RecoveryError};

use super::decode;

/// The first record of a server alone, and of an ensemble.
const FIRST: [Zxid; 2] = [Zxid(1), Zxid(0x1_0000_0001)];

/// Whether the logs are all that there ever was.
pub fn are_whole<D: Disk>(
    disk: &D,
    directories: &Directories,
    limits: Limits,
) -> Result<bool, RecoveryError> {
    let mut records = Records::after(disk.clone(), &directories.logs, Zxid::ZERO, limits)?;
    let mut last: Option<Zxid> = None;
    while let Some(position) = records.next_record()? {
        let mut reader = Reader::with_limits(position.entry, limits);
        let has_digest = decode(&mut reader).is_ok_and(|entry| entry.digest.is_some());
        let zxid = position.zxid;
        let follows = match last {
            None => FIRST.contains(&zxid),
            Some(last) => zxid == last.next() || last.epoch() < zxid.epoch() && zxid.counter() == 1,
        };
        if has_digest || !follows {
            return Ok(false);
        }
        last = Some(zxid);
    }
    let current = epochs::read(disk, &directories.snapshots, EpochFile::Current).ok().flatten().unwrap_or(0);
    Ok(last.is_some_and(|last| last.epoch().0 <= i64::from(current)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use zabd_jute::txn::{Entry, Txn, TxnDigest, TxnHeader};
    use zabd_jute::{OpCode, SessionId, Writer};
    use zabd_storage::disk::{DiskFile as _, MemoryDisk};
    use zabd_storage::log::{Log, LogOptions};

    use super::*;

    fn is_whole(zxids: &[i64], digest: Option<TxnDigest>, current: Option<u32>) -> bool {
        let disk = MemoryDisk::default();
        let dir = Path::new("/data/version-2");
        disk.create_dir(dir).unwrap();
        for zxid in zxids.iter().copied().map(Zxid) {
            let kind = OpCode::CreateSession.code();
            let header = TxnHeader { session: SessionId(1), cxid: 0, zxid, time_ms: 0, kind };
            let mut entry = Vec::new();
            Entry { header, txn: Txn::CreateSession { timeout_ms: 4000 }, digest }
                .encode(&mut Writer::new(&mut entry));
            // A file of its own, since a writer leaves nothing out.
            let mut log = Log::new(disk.clone(), dir, Zxid(zxid.0 - 1), LogOptions::default());
            log.append(zxid, &entry).unwrap();
            log.sync().unwrap();
        }
        if let Some(epoch) = current {
            let text = epoch.to_string();
            disk.create(&dir.join("currentEpoch")).unwrap().write_at(0, text.as_bytes()).unwrap();
        }
        let directories = Directories { snapshots: dir.into(), logs: dir.into() };
        are_whole(&disk, &directories, Limits::default()).unwrap_or(false)
    }

    #[test]
    fn logs_that_may_lack_something_are_not_taken() {
        const A: i64 = 0x1_0000_0000;
        assert!(is_whole(&[1, 2, 3], None, None), "a server alone");
        assert!(is_whole(&[A + 1, A + 2], None, Some(1)), "a member");
        assert!(is_whole(&[A + 1, A + 2, 3 * A + 1], None, Some(4)), "of any age");
        assert!(!is_whole(&[2, 3], None, None), "not from the first on");
        assert!(!is_whole(&[2 * A + 1, 2 * A + 2], None, Some(2)), "another epoch may have been before");
        assert!(!is_whole(&[A + 1, A + 3], None, Some(1)), "with a gap");
        assert!(!is_whole(&[A + 1, 2 * A + 2], None, Some(2)), "without the beginning of an epoch");
        assert!(!is_whole(&[A + 1], None, None), "beside a data directory that is new");
        assert!(!is_whole(&[A + 1, 2 * A + 1], None, Some(1)), "beside one that is older");
        let digest = Some(TxnDigest { version: TxnDigest::VERSION, tree: 1 });
        assert!(!is_whole(&[A + 1, A + 2], digest, Some(1)), "of a server that begins with a snapshot");
        assert!(!is_whole(&[], None, None), "nothing");
    }
}
