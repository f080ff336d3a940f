//! SASL as ZooKeeper's clients and servers speak it: the mechanisms DIGEST-MD5 and GSSAPI, and the files that name their users.
//!
//! ```text
//! dialler                              listener
//!   ── empty ─────────────────────────►  nonce out of 30 random bytes
//!   ◄── realm, nonce, charset ─────────
//!   ── user, cnonce, response ────────►  the same hash from the user's password?
//!   ◄── rspauth ───────────────────────  which shows that the listener knows it, too
//! ```
//!
//! [`server::Exchange`] and [`client::Exchange`] are the two ends, as Java's JDK has them (RFC 2831 with `charset=utf-8`,
//! `qop=auth`, no cipher, no subsequent authentication), down to what they accept that the RFC does not. The tokens travel inside
//! other protocols' packets, which are not known here; nor are files and random numbers, which are handed in. Tokens are bounded
//! before they are looked at, and a message that comes out of turn, again, or cut short is an error of its own.
//!
//! [`gssapi`] is the other mechanism, around a library of Kerberos that is handed in; [`kerberos`] says who a principal is.
//!
//! [`jaas`] reads the login configuration of Java's servers and clients, [`users`] what it says about users.

pub mod client;
mod directives;
mod error;
mod expansion;
pub mod gssapi;
pub mod jaas;
pub mod kerberos;
mod response;
pub mod server;
pub mod users;

pub use error::SaslError;
pub use response::nonce;

/// What the password of an exchange is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// What is authenticated for.
    pub protocol: &'static str,
    /// The server's name, which is the realm of its users.
    pub name: &'static str,
    /// Whether a user that asks for the rights of another is authenticated, as itself; else it is refused.
    pub overlooks_other_names: bool,
}

impl Service {
    /// Clients at a server.
    pub const CLIENTS: Self =
        Self { protocol: "zookeeper", name: "zk-sasl-md5", overlooks_other_names: true };
    /// Servers at each other.
    pub const SERVERS: Self =
        Self { protocol: "zookeeper-quorum", name: "zk-quorum-sasl-md5", overlooks_other_names: false };

    fn uri(&self) -> String {
        format!("{}/{}", self.protocol, self.name)
    }
}
