//! Who can be heard: what an election knows of the links to the other servers.
//!
//! It asks two questions of them. *Is it worth waiting for this voter?* And: *can what it said be old?* When
//! a connection is made, a server first repeats the last notification that it ever sent to that peer (it may
//! have been lost with the connection before), or sends one that has been waiting for a connection. Only that
//! first one can be older than the connection; whatever follows was said while it stood.

use std::collections::BTreeMap;

use zabd_jute::ServerId;

/// The links that stand.
#[derive(Clone, Debug, Default)]
pub(super) struct Contacts {
    /// Whether something has come over the connection already.
    has_spoken: BTreeMap<ServerId, bool>,
}

impl Contacts {
    /// A connection stands, maybe instead of an earlier one.
    pub fn on_link_up(&mut self, server: ServerId) {
        self.has_spoken.insert(server, false);
    }

    /// There is no connection any more.
    pub fn on_link_down(&mut self, server: ServerId) {
        self.has_spoken.remove(&server);
    }

    /// Something came. Answers whether it is surely not older than the connection.
    pub fn on_message(&mut self, server: ServerId) -> bool {
        self.has_spoken.get_mut(&server).is_some_and(|has_spoken| std::mem::replace(has_spoken, true))
    }

    /// Whether a connection stands.
    pub fn is_up(&self, server: ServerId) -> bool {
        self.has_spoken.contains_key(&server)
    }
}
