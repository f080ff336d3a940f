//! A member whose files are damaged: what is left is set aside, and a leader's state takes its place.
//!
//! A lone server refuses to start on damage before the log's end, and so does a member whose peers could not elect a leader
//! without it. Any other member has peers that hold what it lost, if it was ever committed. It begins with nothing, without
//! a voice ([`Standing::Lost`](zabd_zab::election::Standing::Lost)), joins the leader that the others make, and votes again
//! when that leader's state is on its disk. Until then the loss is remembered there ([`zabd_storage::damage`]), so that
//! no restart makes it a voter that knows of nothing. Java's server ends at damaged files.

use std::sync::Arc;
use std::time::Duration;

use zabd_jute::Limits;
use zabd_replica::{Replica, Serving};
use zabd_storage::apart::APART;
use zabd_storage::damage::{LOST, PARTIAL, forget_loss, remembers_loss, remove_old_sets, set_aside};
use zabd_storage::damaged_epochs::{
    DoubtfulEpochs, EpochFiles, epoch_in_names, judge_epochs, set_epochs_aside, write_derived,
};
use zabd_storage::disk::{Disk, RealDisk};
use zabd_storage::recovery::{Directories, RecoveryError, RecoveryOptions};
use zabd_tree::TreeOptions;

use crate::driver::Driver;
use crate::recover::{Reading, Recovered, recover};

/// How often it is looked whether what was lost is there again.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// How often it is tried to forget a loss, where the disk does not let it be.
const FORGET_INTERVAL: Duration = Duration::from_secs(1);

/// What a member starts with.
pub struct MemberStart {
    /// What stood on the disk, perhaps nothing any more.
    pub recovered: Recovered,
    /// It had more.
    pub has_lost: bool,
}

/// Recovers a member's tree; of damaged files, the member keeps only the knowledge that there was something.
pub fn recover_member<D: Disk>(
    disk: &D,
    options: &RecoveryOptions,
    tree_options: TreeOptions,
    limits: Limits,
    reading: Reading<'_>,
    others_are_a_quorum: bool,
) -> Result<MemberStart, RecoveryError> {
    let directories = Directories::of(options);
    let again = || recover(disk, options, tree_options, limits, reading);
    if remembers_loss(disk, &directories) {
        let marker = directories.snapshots.join(LOST);
        tracing::error!(
            "This server lost data and has not fetched it again, says {}: until a leader has given it, it does not \
             vote. Only if you restored all of its files, remove that one, and {PARTIAL} and {APART} beside it if they are there, and \
             start again",
            marker.display()
        );
        let why =
            disk.read(&marker).map(|why| String::from_utf8_lossy(&why).into_owned()).unwrap_or_default();
        match judge_epochs(disk, &directories.snapshots, epoch_in_names(disk, &directories)?)? {
            EpochFiles::Doubtful(doubtful) | EpochFiles::Contradictory { doubtful, .. } => {
                tell_epochs(disk, &directories, &doubtful)?;
            }
            EpochFiles::Derived { why, epoch } => derive_epoch(disk, &directories, &why, epoch)?,
            EpochFiles::Sound => (),
        }
        tell_places(disk, &directories, &why)?;
        return Ok(MemberStart { recovered: again()?, has_lost: true });
    }
    match again() {
        Ok(recovered) => {
            let reached = recovered.tree.last_zxid().epoch();
            match judge_epochs(disk, &directories.snapshots, reached)? {
                EpochFiles::Contradictory { refusal, .. } => return Err(refusal),
                EpochFiles::Doubtful(doubtful) if others_are_a_quorum => {
                    tell_epochs(disk, &directories, &doubtful)?;
                    begin_with_nothing(disk, &directories, &doubtful.why)?;
                    return Ok(MemberStart { recovered: again()?, has_lost: true });
                }
                EpochFiles::Derived { why, epoch } => derive_epoch(disk, &directories, &why, epoch)?,
                EpochFiles::Sound | EpochFiles::Doubtful(_) => (),
            }
            Ok(MemberStart { recovered, has_lost: false })
        }
        Err(error) if error.is_damage() && others_are_a_quorum => {
            tracing::error!("{error}");
            if matches!(error, RecoveryError::LogsGone { .. }) {
                tracing::error!(
                    "dataLogDir must be as lasting as dataDir: where it is not, every restart begins with nothing, and when all \
                     members restart at once nobody has a vote"
                );
            }
            match judge_epochs(disk, &directories.snapshots, epoch_in_names(disk, &directories)?)? {
                EpochFiles::Contradictory { refusal, .. } => return Err(refusal),
                EpochFiles::Doubtful(doubtful) => tell_epochs(disk, &directories, &doubtful)?,
                EpochFiles::Derived { why, epoch } => derive_epoch(disk, &directories, &why, epoch)?,
                EpochFiles::Sound => (),
            }
            begin_with_nothing(disk, &directories, &error.to_string())?;
            Ok(MemberStart { recovered: again()?, has_lost: true })
        }
        Err(error) => Err(error),
    }
}

/// Epochs that are damaged go before the data, which show what takes their place at least.
fn tell_epochs<D: Disk>(
    disk: &D,
    directories: &Directories,
    doubtful: &DoubtfulEpochs,
) -> Result<(), RecoveryError> {
    let place = set_epochs_aside(disk, directories, doubtful)?;
    tracing::error!("{}: set aside, to {}", doubtful.why, place.display());
    Ok(())
}

/// The same holds for one that can have been no other: without the data, nothing would show that any more.
fn derive_epoch<D: Disk>(
    disk: &D,
    directories: &Directories,
    why: &str,
    epoch: u32,
) -> Result<(), RecoveryError> {
    tracing::warn!("{why}; it was {epoch}, as acceptedEpoch and the log show, and is written anew");
    write_derived(disk, directories, epoch)
}

fn begin_with_nothing<D: Disk>(disk: &D, directories: &Directories, why: &str) -> Result<(), RecoveryError> {
    tell_places(disk, directories, &format!("{why}\n"))?;
    tracing::error!("This server votes again when a leader, elected without it, has given it its state");
    Ok(())
}

fn tell_places<D: Disk>(disk: &D, directories: &Directories, why: &str) -> Result<(), RecoveryError> {
    for place in set_aside(disk, directories, why)? {
        tracing::error!("Set the logs and snapshots aside, to {}; nothing was removed", place.display());
    }
    Ok(())
}

/// Waits in a thread of its own until a leader's state has come in the place of what was lost, then forgets the loss.
pub fn forget_when_repaired(driver: Arc<Driver>, directories: Directories) -> std::io::Result<()> {
    let is_repaired =
        |replica: &Replica| replica.ensemble_status().is_some_and(|status| status.serving != Serving::Nobody);
    std::thread::Builder::new().name("Repair".into()).spawn(move || {
        while !driver.inspect(is_repaired) {
            std::thread::sleep(LOOK_INTERVAL);
        }
        let mut is_told = false;
        while let Err(error) = forget_loss(&RealDisk, &directories) {
            if !std::mem::replace(&mut is_told, true) {
                tracing::error!(
                    "{error}; it is tried again, and before that, a restart fetches everything again"
                );
            }
            std::thread::sleep(FORGET_INTERVAL);
        }
        tracing::warn!("What was lost has come back from the leader: this server votes again");
        match remove_old_sets(&RealDisk, &directories) {
            Ok(places) => {
                for place in places {
                    tracing::info!(
                        "Removed snapshots that reach less far than others that were set aside, from {}",
                        place.display()
                    );
                }
            }
            Err(error) => tracing::warn!("Old snapshots that were set aside stay: {error}"),
        }
    })?;
    Ok(())
}
