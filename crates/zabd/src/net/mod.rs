//! The client port: sockets in, sockets out, no decisions.
//!
//! A few I/O threads, each a single-threaded runtime, carry the connections; the first also accepts them
//! and deals them out. A connection is one task on one of them, from its first byte to its last: it frames bytes,
//! serves reads by itself, hands everything else to the driver, and sends what is in its mailbox. Connections with TLS come to
//! them by way of a thread for handshakes.

mod acceptor;
mod backlog;
mod budget;
mod client;
mod connection;
mod figures;
mod half_frames;
pub(crate) mod handshake;
mod intake;
mod io_thread;
pub mod java_address;
mod large_requests;
mod left_watches;
mod operations;
mod reply_line;
mod request_throttle;
mod stream;
mod throttle;

pub use acceptor::{Acceptor, ListenError, ListenOptions};
pub use client::{BegunSession, Client, Clients, Registry};
pub use connection::{Answers, ConnectionOptions, FourLetterAnswers, Pace, Service};
pub use figures::{ConnectionFigures, Latencies, Responses, Sent, ServerCounters, Summary};
pub use handshake::{HandshakeOptions, Handshakes, Takes, lobby};
pub use intake::COPIES as IN_FLIGHT_COPIES;
pub use io_thread::IoThread;
pub use large_requests::LargeRequests;
pub use reply_line::LONG_REPLY_BYTES;
pub use request_throttle::{RequestThrottle, RequestThrottleOptions, ThrottleFigures};
pub use throttle::{ConnectionThrottle, ThrottleOptions};
