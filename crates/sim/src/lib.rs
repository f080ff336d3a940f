//! The deterministic world: whole servers under one seed.
//!
//! A world is an ensemble of real replicas (pipeline, tree, sessions, watches, elections and agreement), each with the
//! real log and snapshots on a disk in memory, and clients that ask them for things. Time is a number, the network a
//! queue of messages per connection, a disk operation an event; the seed decides how long each takes, and what
//! breaks when: connections, servers, disks, for one direction or both. Nothing else is random, so a seed repeats its
//! world exactly.
//!
//! Checkers watch from outside, and know nothing of how servers agree:
//!
//! - what two servers show at one position is the same, by their trees' digests;
//! - the transactions that were ever shown form one sequence, and replayed alone they make the tree with which all
//!   servers end;
//! - what a client was told is in that sequence, once, and in the order in which it was told;
//! - what a client read is what the sequence says at the position of the answer, and positions never go back;
//! - an ephemeral is there as long as its session, and not longer.
//!
//! In reading order: [`dice`], [`plan`] (what will go wrong), [`store`] (a server's disk), [`server`], [`client`],
//! [`world`], [`truth`] (the checkers).

pub mod client;
pub mod dice;
pub mod plan;
pub mod server;
pub mod store;
pub mod truth;
pub mod world;
