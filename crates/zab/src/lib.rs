//! Agreement: which server leads, what the order of transactions is, and when one is committed.
//!
//! Transactions are opaque here: bytes with a [`Zxid`](zabd_jute::Zxid). Every machine in this crate is a
//! value with one function that takes the time and one input and appends outputs to a list that the caller
//! owns; whatever blocks in Java (a poll with a timeout, a wait for a quorum, a file write) is a state here,
//! left by an input. Nothing is assumed durable that an input did not say is durable.
//!
//! ```text
//!                  ┌───────────── election port ─────────────┐
//!   notifications ─┤ links (one connection per pair of servers)
//!                  └► election (LOOKING) ──decided──┐
//!                                                   ▼
//!                       peer: LOOKING ⇄ LEADING | FOLLOWING | OBSERVING
//!                                                   │
//!   quorum port ────► leader  discovery → synchronisation → broadcast
//!                └──► learner discovery → synchronisation → broadcast
//!   observers' port ► observers (a follower in the leader's place)
//! ```
//!
//! Words, as in the papers and in Java: an *epoch* is one leader's reign; a server *promises* an epoch
//! (`acceptedEpoch`) before its leader may propose in it, and *adopts* it (`currentEpoch`) when it holds the
//! epoch's whole initial history. A *learner* is a follower or an observer.
//!
//! Sources: Junqueira, Reed, Serafini, "Zab: High-performance broadcast for primary-backup systems" (2011);
//! Java's `org.apache.zookeeper.server.quorum`, whose wire is ours.

pub mod election;
pub mod links;
pub mod quorum;

pub mod effect;
pub mod history;

pub mod leader;
pub mod learner;
pub mod observers;
pub mod peer;
