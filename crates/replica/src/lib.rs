//! One whole server without its input and output: what it does with every request, tick and
//! disk report, as a state machine.
//!
//! The shell feeds [`Replica::step`] one input at a time with the time it happened and carries out the
//! outputs in order. Durability is an input: a write is answered after [`Input::Synced`] says that its
//! log record survives a crash, and by no other road. The tree is not in here: the shell holds it
//! behind one lock, hands it to `step` to check requests against, and to [`Replica::apply`] to change.
//!
//! ```text
//!  request ──► step: session alive? checks against tree + pending ──► Append(zxid, entry) ──► log
//!  log     ──► step(Synced{upto}) ──► Apply ──► apply(&mut tree): txns in zxid order, events, replies
//!  read    ──► serve (shared lock, no step) unless the same connection has requests before it:
//!              then it queues here and is served between its neighbours
//! ```
//!
//! In reading order: [`input`](Input), `session` (who is alive, until when), `pipeline` (the queue and
//! its positions), `write` (from request to log record), `apply` (from log record to tree, events and
//! replies), `room` (what is taken when memory runs out), [`read`] (requests that change nothing), [`ahead`] (znodes that come into
//! the processor's cache before their turn), [`watches`], [`auth`].

pub mod ahead;
mod apply;
pub mod audit;
pub mod auth;
mod ensemble;
mod identity_order;
mod input;
pub mod percentiles;
mod pipeline;
pub mod read;
mod reconfig;
mod reply;
mod restore;
mod room;
mod session;
pub mod traffic;
pub mod watches;
mod write;

#[cfg(test)]
mod in_flight_tests;
#[cfg(test)]
mod tests;

pub use ensemble::{
    EnsembleStatus, LeaderGauges, LocalSessions, MemberOptions, QuorumFigures, Serving, shown_members,
};
pub use input::{ConnId, Fact, HashSeed, Input, Now, Output, Outputs, Request, SessionRequest};
pub use pipeline::{Positions, Replica, ReplicaOptions};
pub use reconfig::ReconfigOptions;
pub use room::{NO_ROOM, Room};
pub use session::{SessionBucket, SessionTimeouts, SignsOfLife};
pub use traffic::TtlNodes;
