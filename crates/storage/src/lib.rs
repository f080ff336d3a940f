//! What survives a crash: the transaction log and snapshots, in Java's own formats.
//!
//! The crate knows bytes and files, not what a record means and not who agreed on it. Everything goes
//! through a [`disk::Disk`]: real files, or a disk for tests that forgets what was not synced, tears
//! writes, fails and fills.
//!
//! In reading order: [`disk`], [`layout`] (names), [`log`] (appending and reading), [`snapshot`],
//! [`recovery`] (what a start finds), [`misnamed`] (logs under names of others), [`retention`] (what may go), [`epochs`] (what a member of an ensemble
//! promised), [`held`] (by whose votes), [`testimony`] and [`apart`] (what it may vote with), [`rebase`] (what it gives up), [`damage`] (what its
//! peers must give back),
//! [`restore`] (what an operator puts in the place of everything). Follows Java's `FileTxnLog`, `FileSnap`, `FileTxnSnapLog` and `PurgeTxnLog`.

pub mod apart;
pub mod damage;
pub mod damaged_epochs;
pub mod disk;
pub mod epochs;
pub mod held;
pub mod layout;
pub mod log;
pub mod misnamed;
pub mod rebase;
pub mod recovery;
pub mod restore;
pub mod retention;
pub mod snapshot;
pub mod testimony;
mod zeros;
