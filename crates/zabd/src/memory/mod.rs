//! What the server may use of memory, what it uses, and what it takes no more when the two come close.
//!
//! A container's memory has a limit, and whoever goes beyond it is killed in the midst of whatever it does. So the limit is read
//! ([`limit`]), what is used is looked at ten times a second and after every few megabytes from the network ([`used`]), and three
//! marks decide ([`marks`]):
//!
//! ```text
//! 0 ───────────────────────────────── no growth ─── nothing new ─────── limit
//!                                     │               │◄─ two thirds ──►│
//!                                     │◄────────── the reserve ────────►│
//!   everything                        no larger     no new sessions
//!                                     tree          and watches; who does not take what waits for him
//!                                                   is closed; a snapshot that holds on to old znodes
//!                                                   is given up
//! ```
//!
//! What is refused and what goes on is the replica's business (`zabd_replica::Room`). What waits in queues (for clients, for
//! other servers, for the log) has bounds of its own everywhere; each of those is at most a twelfth of the limit
//! ([`at_most`]). A start whose data do not fit ends with a message instead of being killed.
//!
//! A member that is given a leader's snapshot holds two trees for a moment; where both have no place, the snapshot is refused with a
//! message, again and again, until the limit is raised ([`is_out`]).
//!
//! A follower cannot refuse what others have agreed on: it refuses its own clients, and relies on the leader to have no more
//! memory than it has.

pub mod give_back;
pub mod huge_pages;
pub mod limit;
pub mod marks;
pub mod used;
mod watchman;

use std::sync::OnceLock;

pub use give_back::{give_back, give_back_at_once};
pub use limit::Limit;
pub use watchman::Watchman;

/// What this process may use, in bytes; found out once, since it is a property of the process.
static LIMIT: OnceLock<Option<Limit>> = OnceLock::new();

/// Which part of the limit one kind of queue may fill.
const SHARE: usize = 12;

/// Finds out what this process may use: what is configured, or else what the system says. The first call decides.
pub fn find_limit(configured_bytes: Option<u64>) -> Option<&'static Limit> {
    let limit = LIMIT.get_or_init(|| match configured_bytes {
        Some(0) => None,
        Some(bytes) => Some(Limit::configured(bytes)),
        None => limit::of_control_group(),
    });
    limit.as_ref()
}

/// Gives back what of the program is only needed to start.
pub fn give_back_program() {
    give_back::give_back_program();
    used::forget_program();
}

/// So many bytes, or less where memory is scarce.
pub fn at_most(bytes: usize) -> usize {
    let limit = LIMIT.get().and_then(Option::as_ref);
    limit.map_or(bytes, |limit| bytes.min(limit.bytes as usize / SHARE))
}

/// The limit, if no data fit below it any more: whoever loads a tree looks now and then.
pub fn is_out() -> Option<&'static Limit> {
    let limit = LIMIT.get().and_then(Option::as_ref)?;
    (used::bytes(limit) >= marks::Marks::below(limit.bytes, false).nothing_more()).then_some(limit)
}
