//! Where ours says something else than Java's, on purpose.

use crate::leader::ASKED;

/// Where, why, and exactly which packets only one of the two says: what a name and a position do not tell stands in a hash.
#[derive(Clone, Copy, Debug)]
pub struct Difference {
    pub capture: &'static str,
    pub conn: u64,
    pub why: &'static str,
    pub what: &'static [&'static str],
}

const OLD_ACKS: &str = "before 3.9.4 a learner acknowledged whatever it was sent before UPTODATE, committed or not; since then NEWLEADER's \
    acknowledgement stands for the initial history";
const EARLY_ACKS: &str = "before 3.9.4 a learner acknowledged transactions before NEWLEADER, which a leader may take for NEWLEADER's own";
const OLD_HELLO: &str = "3.4 knew no versions of configurations; every leader since then takes both forms";

/// What our learner answers otherwise than Java's did.
pub const OF_OUR_LEARNER: &[Difference] = &[
    Difference {
        capture: "3.8.0/02-follower-restart-diff",
        conn: 18,
        why: OLD_ACKS,
        what: &["Java: 5 packets, ACK 0x100000003 - … ACK 0x100000007 -, #53b02c034f35128a"],
    },
    Difference {
        capture: "3.8.0/02b-follower-restart-under-load",
        conn: 7,
        why: OLD_ACKS,
        what: &["Java: 41 packets, ACK 0x100000005 - … ACK 0x10000002d -, #bc053123db207aa8"],
    },
    Difference {
        capture: "3.8.0/02c-diff-from-disk-txnlog",
        conn: 5,
        why: OLD_ACKS,
        what: &["Java: 55 packets, ACK 0x200000003 - … ACK 0x200000039 -, #70414013fa5b1ac4"],
    },
    Difference {
        capture: "3.8.0/02d-follower-restart-under-load-npe",
        conn: 5,
        why: "3.8.0 ends its connection at UPTODATE (ZOOKEEPER-4394); ours goes on",
        what: &["ours: ACK 0x100000000 -"],
    },
    Difference {
        capture: "3.8.0/02d-follower-restart-under-load-npe",
        conn: 6,
        why: "as before",
        what: &["ours: ACK 0x100000000 -"],
    },
    Difference {
        capture: "3.8.0/10-leader-failover",
        conn: 20,
        why: OLD_ACKS,
        what: &["Java: ACK 0x200000001 -"],
    },
    Difference {
        capture: "3.8.0/13-scripted-leader",
        conn: 10,
        why: EARLY_ACKS,
        what: &["Java: 2 packets, ACK 0x100000001 - … ACK 0x100000002 -, #22110db36c50572c"],
    },
    Difference {
        capture: "3.8.0/13-scripted-leader",
        conn: 16,
        why: OLD_ACKS,
        what: &["Java: 3 packets, ACK 0x100000001 - … ACK 0x100000003 -, #f331d277713cd3e7"],
    },
    Difference {
        capture: "3.8.0/13-scripted-leader",
        conn: 46,
        why: "a gap in what the leader sends: 3.8.0 takes it, 3.9.4 and ours refuse it",
        what: &[
            "Java: 3 packets, ACK 0x100000000 - … ACK 0x100000003 -, #431664def60d8e7d",
            "ours: ends, LeaderBroken(\"a transaction is missing from what the leader sends\")",
        ],
    },
    Difference {
        capture: "other-versions/3.4.14-leader-with-3.9.5-follower",
        conn: 7,
        why: OLD_HELLO,
        what: &[
            "Java: FOLLOWERINFO 0x0 12 bytes #4d72480548351e2d",
            "ours: FOLLOWERINFO 0x0 20 bytes #58c2371a54fa23b5",
        ],
    },
    Difference {
        capture: "other-versions/3.8.0-leader-with-3.4.14-and-3.9.5-followers",
        conn: 10,
        why: OLD_HELLO,
        what: &[
            "Java: FOLLOWERINFO 0x0 12 bytes #a11542f994d1f864",
            "ours: FOLLOWERINFO 0x0 20 bytes #5e78483617f86acc",
        ],
    },
    Difference {
        capture: "other-versions/3.9.5-follower-restart-under-load",
        conn: 5,
        why: "the proposals that these acknowledge are not in the capture",
        what: &["Java: 5 packets, ACK 0x10000033d - … ACK 0x100000341 -, #775d3ba7c3600a5f"],
    },
];

const ALL_IN_MEMORY: &str = "all that the leader has ever committed is in its memory: Java sends the whole tree to a learner without anything, \
    ours what was committed";
const ANOTHER_DESIGNATED: &str = "the leader is removed: Java names the first follower that has acknowledged that, ours the largest number among \
    all that have, and its reign ends with this packet";
const NEW_LEADER_FIRST: &str = "proposals that were not committed, or not applied, when the learner came: Java sends them before NEWLEADER, which \
    its followers up to 3.9.2 die of; ours behind it";
const LAST_POSITION: &str = "an epoch runs out of positions: ours leads on no longer, and what is proposed is committed by whoever leads next";
const TEST_KEY: &str = "testingonly.initialZxid: ours begins behind that position when its reign begins, Java with the first proposal";
const NO_CONFIGURATION: &str = "3.4 sends no configuration with NEWLEADER; its learners ignore what is there (the last packet: see `CAPTURE_ENDS`)";
const CAPTURE_ENDS: &str = "the capture ends before Java says it too";

/// What our leader answers otherwise than Java's did.
pub const OF_OUR_LEADER: &[Difference] = &[
    Difference {
        capture: "3.8.0/02d-follower-restart-under-load-npe",
        conn: 5,
        why: NEW_LEADER_FIRST,
        what: &[
            "ours: NEWLEADER 0x100000000 138 bytes #56e98ccecfc2be02",
            "Java: NEWLEADER 0x100000000 138 bytes #56e98ccecfc2be02",
            "ours: UPTODATE 0xffffffffffffffff -",
            "Java: UPTODATE 0xffffffffffffffff -",
        ],
    },
    Difference {
        capture: "3.8.0/02d-follower-restart-under-load-npe",
        conn: 6,
        why: NEW_LEADER_FIRST,
        what: &[
            "ours: NEWLEADER 0x100000000 138 bytes #56e98ccecfc2be02",
            "Java: NEWLEADER 0x100000000 138 bytes #56e98ccecfc2be02",
            "ours: UPTODATE 0xffffffffffffffff -",
            "Java: UPTODATE 0xffffffffffffffff -",
        ],
    },
    Difference {
        capture: "3.8.0/04-divergent-follower-trunc",
        conn: 28,
        why: "a reign has begun and proposed nothing: ours covers what the learner has too much with a snapshot (see `synchronisation.rs`)",
        what: &["Java: TRUNC 0x100000003 -", "ours: SNAP 0x200000000 -", "ours: the snapshot"],
    },
    Difference {
        capture: "3.8.0/05-observer-join",
        conn: 22,
        why: "as in `ALL_IN_MEMORY`; and ours pings a learner from NEWLEADER on",
        what: &[
            "Java: SNAP 0x100000002 -",
            "Java: the snapshot",
            "ours: DIFF 0x100000002 -",
            "ours: PROPOSAL 0x100000001 48 bytes #f21b30aea9db8049",
            "ours: COMMIT 0x100000001 -",
            "ours: PROPOSAL 0x100000002 87 bytes #aab5abc404f86501",
            "ours: COMMIT 0x100000002 -",
            "ours: PING 0x100000002 -",
        ],
    },
    Difference {
        capture: "3.8.0/06-reconfig",
        conn: 25,
        why: ANOTHER_DESIGNATED,
        what: &[
            "Java: COMMITANDACTIVATE 0x100000005 8 bytes #b77eafeb6b593825",
            "Java: PING 0x100000005 -",
            "ours: COMMITANDACTIVATE 0x100000005 8 bytes #fca32ffeabc609b1",
            "ours: ends, Reconfigured { leader: ServerId(5) }",
        ],
    },
    Difference {
        capture: "3.8.0/06-reconfig",
        conn: 27,
        why: ANOTHER_DESIGNATED,
        what: &[
            "Java: INFORMANDACTIVATE 0x100000005 272 bytes #9193e7e3974124fb",
            "Java: PING 0x100000005 -",
            "ours: INFORMANDACTIVATE 0x100000005 272 bytes #05cee12c352543ff",
            "ours: ends, Reconfigured { leader: ServerId(5) }",
        ],
    },
    Difference {
        capture: "3.8.0/06-reconfig",
        conn: 28,
        why: ANOTHER_DESIGNATED,
        what: &[
            "Java: COMMITANDACTIVATE 0x100000005 8 bytes #b77eafeb6b593825",
            "Java: PING 0x100000005 -",
            "ours: COMMITANDACTIVATE 0x100000005 8 bytes #fca32ffeabc609b1",
            "ours: ends, Reconfigured { leader: ServerId(5) }",
        ],
    },
    Difference {
        capture: "3.8.0/06-reconfig",
        conn: 35,
        why: "as in `ALL_IN_MEMORY`, and as in `ANOTHER_DESIGNATED`",
        what: &[
            "Java: SNAP 0x100000000 -",
            "Java: the snapshot",
            "ours: DIFF 0x100000000 -",
            "Java: COMMITANDACTIVATE 0x100000005 8 bytes #b77eafeb6b593825",
            "Java: PING 0x100000005 -",
            "ours: COMMITANDACTIVATE 0x100000005 8 bytes #fca32ffeabc609b1",
            "ours: ends, Reconfigured { leader: ServerId(5) }",
        ],
    },
    Difference {
        capture: "3.8.0/06-reconfig",
        conn: 41,
        why: "Java's tree shows the epoch's first position a moment after the first UPTODATE, ours at once",
        what: &["Java: DIFF 0x100000005 -", "ours: DIFF 0x200000000 -"],
    },
    Difference {
        capture: "3.8.0/09-zxid-rollover",
        conn: 11,
        why: LAST_POSITION,
        what: &["Java: COMMIT 0x1fffffffe -", "ours: ends, ZxidsUsedUp"],
    },
    Difference {
        capture: "3.8.0/09-zxid-rollover",
        conn: 12,
        why: LAST_POSITION,
        what: &["Java: COMMIT 0x1fffffffe -", "ours: ends, ZxidsUsedUp"],
    },
    Difference {
        capture: "3.8.0/09-zxid-rollover",
        conn: 14,
        why: TEST_KEY,
        what: &["Java: PING 0x200000000 -", "ours: PING 0x2fffffffa -"],
    },
    Difference {
        capture: "3.8.0/09-zxid-rollover",
        conn: 15,
        why: TEST_KEY,
        what: &[
            "Java: DIFF 0x1fffffffe -",
            "ours: DIFF 0x2fffffffa -",
            "Java: PING 0x200000000 -",
            "ours: PING 0x2fffffffa -",
        ],
    },
    Difference {
        capture: "3.8.0/09-zxid-rollover",
        conn: ASKED,
        why: LAST_POSITION,
        what: &["Java: REQUEST 0xffffffffffffffff 31 bytes #e415cdd29518c1e0"],
    },
    Difference {
        capture: "3.8.0/11-multiaddress-initial-v2",
        conn: 15,
        why: ALL_IN_MEMORY,
        what: &["Java: SNAP 0x100000000 -", "Java: the snapshot", "ours: DIFF 0x100000000 -"],
    },
    Difference {
        capture: "other-versions/3.4.14-leader-with-3.9.5-follower",
        conn: 7,
        why: NO_CONFIGURATION,
        what: &[
            "Java: NEWLEADER 0x100000000 -",
            "ours: NEWLEADER 0x100000000 120 bytes #05447c4e3d0f09fa",
            "ours: PROPOSAL 0x10000000c 32 bytes #50a3d180a0b0c62e",
        ],
    },
    Difference {
        capture: "other-versions/3.4.14-leader-with-3.9.5-follower",
        conn: 12,
        why: "as in `ALL_IN_MEMORY`, and as in `NO_CONFIGURATION`",
        what: &[
            "Java: SNAP 0x100000000 -",
            "Java: the snapshot",
            "Java: NEWLEADER 0x100000000 -",
            "ours: DIFF 0x100000000 -",
            "ours: NEWLEADER 0x100000000 120 bytes #05447c4e3d0f09fa",
        ],
    },
    Difference {
        capture: "other-versions/3.5.10-leader-with-3.9.5-and-3.8.0-followers",
        conn: 14,
        why: ALL_IN_MEMORY,
        what: &["Java: SNAP 0x100000000 -", "Java: the snapshot", "ours: DIFF 0x100000000 -"],
    },
    Difference {
        capture: "other-versions/3.8.0-leader-with-3.4.14-and-3.9.5-followers",
        conn: 13,
        why: ALL_IN_MEMORY,
        what: &["Java: SNAP 0x100000000 -", "Java: the snapshot", "ours: DIFF 0x100000000 -"],
    },
    Difference {
        capture: "other-versions/3.9.5-follower-restart-under-load",
        conn: 5,
        why: NEW_LEADER_FIRST,
        what: &[
            "ours: NEWLEADER 0x100000000 138 bytes #56e98ccecfc2be02",
            "Java: NEWLEADER 0x100000000 138 bytes #56e98ccecfc2be02",
        ],
    },
    Difference {
        capture: "other-versions/3.9.5-three-servers-first-sync-writes",
        conn: 9,
        why: CAPTURE_ENDS,
        what: &["ours: COMMIT 0x100000010 -"],
    },
    Difference {
        capture: "other-versions/3.9.5-three-servers-first-sync-writes",
        conn: 10,
        why: CAPTURE_ENDS,
        what: &["ours: COMMIT 0x100000010 -"],
    },
];
