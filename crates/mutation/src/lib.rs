//! Bugs that are put in on purpose, to see whether the tests find them.
//!
//! Each [`Mutation`] is a mistake that somebody made, in ZooKeeper or elsewhere, and that loses a write, splits an
//! ensemble or tells a client something wrong. Where it would have been made stands `is_on(Mutation::…)`. That is
//! `false` and compiled away, unless the feature `switch` is on, which only the tests that hunt mutations ask for: a
//! server that is built with it is a compile error (`crates/zabd/src/lib.rs`).
//!
//! With the feature, [`with`] turns one of them on for what the calling thread does, so that several hunts can go on
//! side by side.
//!
//! Each stands under the suite that hunts it. A suite lists all that is its own, or fails, so a mutation that nobody hunts
//! fails too; and one that survives does. The table of all of them in `docs/testing.md` is held against those lists.

/// Makes the enum, and the list of each suite, out of one list.
macro_rules! mutations {
    ($($(#[$about_suite:meta])* $suite:ident: { $($(#[$about:meta])* $name:ident,)* })*) => {
        /// A mistake, named for what goes wrong. The numbers are of Apache's issues with the same one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutation {
            $($($(#[$about])* $name,)*)*
        }

        /// Who hunts a mutation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Suite {
            $($(#[$about_suite])* $suite,)*
        }

        impl Suite {
            /// All that it must find.
            pub const fn mutations(self) -> &'static [Mutation] {
                match self {
                    $(Suite::$suite => &[$(Mutation::$name,)*],)*
                }
            }
        }
    };
}

mutations! {
    /// `crates/zab/tests/agreement/mutations.rs`
    Agreement: {
        /// A follower acknowledges a proposal when it has come, not when it is on disk.
        AckBeforeSync,
        /// A leader counts its own log as soon as a record is handed to it.
        LeaderCountsUnsynced,
        /// A transaction is committed as soon as anybody has it.
        CommitWithoutQuorum,
        /// A leader reigns as soon as it has adopted its own epoch.
        ReignWithoutQuorum,
        /// NEWLEADER is acknowledged while the initial history is on its way to the disk (ZOOKEEPER-4646, 4785).
        NewLeaderAckedEarly,
        /// `currentEpoch` is written before the initial history (ZOOKEEPER-4643).
        EpochWrittenEarly,
        /// `currentEpoch` stays behind the log.
        EpochWrittenLate,
        /// An epoch is promised and not written down (ZOOKEEPER-335).
        PromiseNotWritten,
        /// A follower shows what is proposed (ZOOKEEPER-3911).
        ProposalShown,
        /// TRUNC is taken note of and not carried out (ZOOKEEPER-3701).
        TruncSkipped,
        /// NEWLEADER overtakes the snapshot (ZOOKEEPER-3104).
        NewLeaderBeforeSnapshot,
        /// UPTODATE is sent to whoever acknowledges NEWLEADER, quorum or not.
        UpToDateBeforeQuorum,
        /// A leader keeps the lead when a follower has more than itself.
        LongerHistoryLed,
        /// A history that diverges is taken for a prefix (ZOOKEEPER-1549).
        DivergedTakenForPrefix,
        /// A DIFF out of memory to a learner that needs older transactions (ZOOKEEPER-2418).
        DifferenceWithGap,
        /// What comes while a learner joins is logged, and not remembered in memory (ZOOKEEPER-4925).
        JoiningForgotten,
        /// Proposals that come between NEWLEADER and UPTODATE are dropped (ZOOKEEPER-1551).
        ProposalsBeforeUpToDateDropped,
        /// A change of configuration needs the old quorum only (ZOOKEEPER-1699).
        ChangedByOneQuorum,
        /// A leader tells a follower of commits of what it came with.
        KnownCommitsTold,
        /// UPTODATE is sent to a follower that came with what is not committed yet.
        UpToDateBeforeCommit,
    }
    /// `crates/zab/tests/reconfiguration/mutations.rs`
    Reconfiguration: {
        /// A follower does not tell its leader which change of members it has noted.
        NotedChangeUnsaid,
    }
    /// `crates/zab/tests/election/mutations.rs`
    Election: {
        /// A leader is followed without its word, as soon as a quorum claims to follow it (ZOOKEEPER-569, 975).
        LeaderClaimBelieved,
    }
    /// `crates/sim/tests/mutations.rs`
    Ensembles: {
        /// SNAP announces more than the snapshot holds (ZOOKEEPER-962).
        SnapshotMislabelled,
        /// Servers that lost all they had elect one of themselves.
        EmptyMajorityElected,
        /// The larger id wins over the longer history (ZOOKEEPER-1419).
        LargerIdWins,
        /// A leader without followers goes on leading (ZOOKEEPER-1699).
        LeaderStaysWithoutQuorum,
        /// A server votes before its disk has done what the last role asked for (ZOOKEEPER-2845, 4712).
        VoteBeforeSettled,
        /// Some changes fire no watch.
        EventLost,
        /// A session that is closing expires once more.
        SessionExpiredTwice,
        /// Nobody looks where a session lives (ZOOKEEPER-710 and the check that it is about).
        OwnerCheckSkipped,
        /// A session that is closing may still create (ZOOKEEPER-1208, 1496).
        ClosingSessionAccepted,
        /// A new leader knows none of the sessions in its tree (ZOOKEEPER-1367).
        SessionsForgotten,
        /// A session that lives elsewhere cannot expire (ZOOKEEPER-450).
        ExpiryChecksOwner,
        /// A leader does not listen to which sessions its learners have heard of.
        TouchesIgnored,
        /// A learner answers `sync` by itself.
        SyncAnsweredLocally,
        /// A client is served by a server that is behind what it has seen.
        ClientAheadAccepted,
        /// A read is served before the write in front of it has come back (ZOOKEEPER-1863).
        ReadOvertakesWrite,
        /// Ephemerals stay when their session ends (ZOOKEEPER-2355).
        EphemeralsStay,
        /// A creation counts twice at its parent.
        CversionOffByOne,
        /// Of a multi that is refused, the operations before the culprit happen.
        MultiNotAtomic,
        /// A write fails for one reason, and the client is told another.
        AnotherReasonTold,
        /// The results of a multi are told one place too early.
        CulpritMisplaced,
        /// A client that comes with its watches is not told what has changed meanwhile.
        MissedChangesForgotten,
        /// Proposed digests are wrong, and nobody compares them.
        DigestIgnored,
        /// The log reports what it has not synced.
        LogNotSynced,
        /// A snapshot says that it holds the next transaction (ZOOKEEPER-582).
        SnapshotNamedAhead,
        /// A snapshot holds some sessions only, and all their ephemerals (ZOOKEEPER-3144).
        SnapshotWithoutSessions,
        /// A snapshot shows what is written while it is taken (ZOOKEEPER-1558, 3127).
        SnapshotNotFrozen,
        /// A server that lost records votes with what is left (ZOOKEEPER-596).
        DamageForgotten,
        /// An epoch is something to vote with, whatever became of the logs.
        EpochTestifies,
        /// An empty server does not note that it has a part of its leader's history only.
        PartNotMarked,
        /// It notes that behind the first of it.
        PartMarkedLate,
        /// A change of members takes the place of the one before it, which does not hold yet.
        EarlierChangeForgotten,
        /// One that is written down counts as logged as soon as the log has gone beyond it.
        LoggedByPosition,
        /// Lists of members that a leader tells are not written down.
        ListsForgotten,
        /// A server whose log disk was replaced votes with its snapshot.
        LostLogsUnnoticed,
        /// A leader that hands over drops writes, and answers what was asked for behind them.
        AnswersWhileRetiring,
        /// A new leader ends the sessions in its tree.
        SessionsEndedByNewLeader,
        /// Groups and weights are ignored: more than half of the voters decide.
        WeightsIgnored,
        /// A follower goes on with a leader of which it hears nothing.
        SilentLeaderKept,
    }
    /// `crates/storage/tests/mutations.rs`
    Disk: {
        /// A log that cannot be written goes on as if it had been (ZOOKEEPER-2247).
        WriteErrorIgnored,
        /// A snapshot gets its name before its bytes are durable (ZOOKEEPER-2872).
        SnapshotNotSynced,
        /// A snapshot has its name from its first byte on (ZOOKEEPER-3082).
        SnapshotInPlace,
        /// An epoch is written in place, and not synced (ZOOKEEPER-4269).
        EpochNotSynced,
        /// A start writes the epoch that was joined before the one that was promised (ZOOKEEPER-2307).
        JoinedBeforePromised,
        /// A leader's snapshot is taken while the records that it replaces stay (ZOOKEEPER-3642).
        AdoptKeepsRecords,
        /// A leader's snapshot gets its name while records that contradict it are still there (ZOOKEEPER-3642).
        AdoptPublishesFirst,
        /// The epoch of a leader's snapshot is joined before the snapshot has its name (ZOOKEEPER-1653).
        AdoptJoinsFirst,
        /// Only the log is cut, and a snapshot of what was cut stays (ZOOKEEPER-1489).
        CutKeepsSnapshots,
        /// A cut takes the last record that was to stay (ZOOKEEPER-1154, 1156).
        CutTakesOneMore,
        /// What a crash left half-written stays in the log, and others come behind it (ZOOKEEPER-1621).
        TornTailStays,
        /// A log gets its name before its header is durable (ZOOKEEPER-1069).
        LogHeaderNotSynced,
        /// A purge takes the log that begins before the oldest snapshot that stays (ZOOKEEPER-2574).
        PurgeTakesNeededLog,
        /// Damage is taken for the end of the log (ZOOKEEPER-1520).
        DamageTakenForEnd,
    }
}

/// Whether the bugs are compiled in.
pub const IS_COMPILED_IN: bool = cfg!(feature = "switch");

#[cfg(feature = "switch")]
thread_local! {
    static ON: std::cell::Cell<Option<Mutation>> = const { std::cell::Cell::new(None) };
}

/// Whether this mistake is made.
#[cfg(feature = "switch")]
#[inline]
pub fn is_on(mutation: Mutation) -> bool {
    ON.get() == Some(mutation)
}

/// Whether this mistake is made: never.
#[cfg(not(feature = "switch"))]
#[inline(always)]
#[expect(clippy::inline_always, reason = "what stands behind it must not cost anything, nor be there")]
pub const fn is_on(_: Mutation) -> bool {
    false
}

/// Makes the mistake in all that `act` does on this thread, also if that panics.
#[cfg(feature = "switch")]
pub fn with<T>(mutation: Mutation, act: impl FnOnce() -> T) -> T {
    struct Off;
    impl Drop for Off {
        fn drop(&mut self) {
            ON.set(None);
        }
    }
    assert_eq!(ON.replace(Some(mutation)), None, "one mistake at a time");
    let _off = Off;
    act()
}

/// Fails unless the table in `docs/testing.md` says that a mutation is found within this.
#[cfg(feature = "switch")]
pub fn assert_documented(mutation: Mutation, within: &str) {
    const PAGE: &str = include_str!("../../../docs/testing.md");
    let row = PAGE.lines().find(|line| line.starts_with(&format!("| `{mutation:?}` |")));
    let is_said = row.is_some_and(|row| row.ends_with(&format!("| {within} |")));
    assert!(is_said, "docs/testing.md does not say that {mutation:?} is found within {within}");
}
