//! How a container platform asks whether this server lives, is ready, has started.
//!
//! ```text
//! loops ── beat ──►┐                         ┌── GET /livez, /readyz, /startupz
//! driver ─ part ──►├─► Vitals ─► Verdict ◄───┤
//! replay ─ bytes ─►┘  (atomics)              └── grpc.health.v1.Health: Check, Watch
//! ```
//!
//! Whoever does the work leaves a trace of it in [`Vitals`], at the price of a store; the thread that answers only reads those.
//! It takes no lock of the driver or the tree, touches no file, and shares its runtime with nobody, so an answer says how the
//! server is, and never waits for it to become better. The port is open before anything is read from the disk.
//!
//! What each question means:
//!
//! - *live*: the loops turn, on which all work depends. A disk that is slow, or full, does not count: a restart mends
//!   neither, and would have to replay the log from that very disk. Nor does a quorum that is missing.
//! - *ready*: this server serves: alone, or as a member of a quorum that shows all that was agreed on when it joined.
//! - *started*: everything on the disk was replayed, and clients are listened to.
//!
//! In reading order: this file, `vitals` (what is known), `verdict` (what follows from it), `listener` (who is let in),
//! `http` and `health` (how it is said).

mod health;
mod http;
mod listener;
mod verdict;
mod vitals;

pub use listener::{Listener, ProbeListenError};
pub use verdict::Question;
pub use vitals::{Part, Progress, Pulse, Vitals};

/// Where probes are answered in a container, if nothing else is said.
pub const DEFAULT_PORT: u16 = 8086;
