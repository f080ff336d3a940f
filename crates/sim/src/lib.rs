//! The deterministic world: whole servers under one seed.
//!
//! A world is an ensemble of real replicas (pipeline, tree, sessions, watches, elections and agreement), each with the
//! real log and snapshots on a disk in memory, and clients that ask them for things. Time is a number, the network a
//! queue of messages per connection, a disk operation an event, and so is a bite of what is applied or of a snapshot that
//! is taken; the seed decides how long each takes. What goes wrong is a list that is drawn from the seed beforehand
//! ([`plan`]): crashes, failures of power, disks that fail, fill up, rot or are lost, leaders that are told to end, pauses,
//! jumping clocks, connections that break, and whoever does not hear whom, in one direction or both; in worlds that are drawn for it,
//! members change too. Nothing else is random, so a seed repeats its world exactly, and a world that fails can be lived again with
//! fewer faults until none can be spared ([`shrink`]).
//!
//! Checkers watch from outside, and know nothing of how servers agree. What they check, and what of Apache's TLA+
//! specification of Zab (`zookeeper-specifications`, its invariants in capitals) can be seen from there:
//!
//! | what must hold | where |
//! | --- | --- |
//! | one server leads an epoch, as soon as it says so to others (LEADERSHIP 1), and while it reigns (LEADERSHIP 2) | `Truth::lead`, `Truth::reign` |
//! | one transaction per position, whoever proposes it, and none is shown that was not proposed (INTEGRITY) | `Truth::propose`, `Truth::show` |
//! | who begins to propose has applied all that was shown of older epochs, and no more of them is shown afterwards (PRIMARY INTEGRITY) | `Truth::reign`, `Truth::show` |
//! | who leads is a voter; a version has one set of members, and those hold in the end that were asked for last | [`world`], `Truth::hold`, `Truth::assert_members` |
//! | servers at one position show the same tree, by digest and sessions (AGREEMENT, TOTAL ORDER) | `Truth::show_tree` |
//! | all that was ever shown makes, replayed alone, the tree that all servers end with, with the digest that each record states on the way (PREFIX CONSISTENCY, LOCAL and GLOBAL PRIMARY ORDER, COMMITTED LOG DURABILITY) | `Truth::replay` |
//! | a start finds what the disk reported to be durable before a crash, and nothing that was not handed to it; it misses something, and says so, only where something has rotted; where somebody showed a tree at that position, the same | `Durable::assert_found`, `Truth::assert_found` |
//! | no acknowledged write is lost, done twice, or out of the order in which clients were told | `Truth::assert_writes` |
//! | a write's answer, its error codes, the results of a multi and its stats, and the error that is logged, are what the tree in front of it makes of it | [`outcome`] |
//! | what was answered is linearizable, by answers and times alone: writes, and reads behind a sync | [`linear`] |
//! | a session's requests happen in its order, and none behind its end | `Past::live` |
//! | reads are what the sequence says at their position, stat included, and positions never go back | `assert_read`, [`client`] |
//! | a client hears of the first change behind each watch, before it sees it, and of nothing else; and of what it has missed, when it tells another server of its watches | [`heard`] |
//! | ephemerals go with their session, and neither sooner nor later | `Past::live` |
//! | a session ends once, whoever is told of its end was told the truth, none expires in a world without faults, and all do when clients fall silent | `Past::live`, [`world`] |
//! | whatever is shown is, or was, on the disks of a quorum, by weights and groups where there are some (if members stay) | [`weights`] |
//! | a learner that hears nothing for long enough gives up its leader | `World::assert_hears` |
//! | nobody else ends a session before its leader has led, and heard nothing of it, for its timeout | [`silence`] |
//! | numbered names are unique and ascend; half of a multi never happens; a parent's cversion counts its children | `Past::live` |
//! | when nothing is broken any more, somebody leads everybody, and all are level | [`world`] |
//!
//! Reads and syncs behind the back of a leader
//! that is not one any more may be stale, here as in Java; they are left out where somebody else has begun to lead.
//!
//! In reading order: [`dice`], [`plan`], [`store`] (a server's disk), [`server`], [`client`], [`world`], [`truth`],
//! [`outcome`], [`heard`], [`linear`], [`silence`] and [`weights`] (the checkers), [`shrink`].

pub mod client;
pub mod dice;
pub mod heard;
pub mod linear;
pub mod outcome;
pub mod plan;
pub mod server;
pub mod shrink;
pub mod silence;
pub mod store;
pub mod truth;
pub mod weights;
pub mod world;
