//! Bytes to records and back: Jute, ZooKeeper's serialisation, and every record that a client, a peer,
//! a log or a snapshot carries.
//!
//! Decoding borrows from the frame and never panics, whatever the bytes are; encoding appends to a
//! buffer that the caller owns. Nothing here knows sockets, files, clocks, or what a record *means*.
//! The definitions follow Apache ZooKeeper's `zookeeper.jute`; each record names its original.

pub mod client;
mod data;
mod error_code;
mod ids;
mod io;
pub mod java_table;
mod opcode;
pub mod path;
pub mod quorum;
pub mod txn;

pub use data::{Acl, Id, Stat, StatPersisted, perms};
pub use error_code::ErrorCode;
pub use ids::{ConfigVersion, Epoch, ServerId, SessionId, Zxid};
pub use io::{DecodeError, Limits, Reader, Record, Writer, java_hash, java_length, lenient};
pub use opcode::OpCode;
