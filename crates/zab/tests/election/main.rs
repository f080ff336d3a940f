//! Elections among several servers, with their links, on a network that one thread plays.
//!
//! - `script`: stories in `*.txt` beside this file: what happens, and what the servers then say;
//! - `faults`: random crashes, losses and delays, and what must hold whatever happens;
//! - `fresh_starts`: servers without data, started together;
//! - `captures`: what real Java servers said to each other, with one of them replaced by ours.

mod captures;
mod faults;
mod fresh_starts;
#[cfg(feature = "mutations")]
mod mutations;
mod net;
mod node;
mod script;
