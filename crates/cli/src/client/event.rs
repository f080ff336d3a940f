//! What a session tells its listener, in the words of Java's `WatchedEvent`.

use std::fmt;

/// `ZooKeeper.States`: where a session stands, as the prompt shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No server has answered yet, or none any more.
    Connecting,
    /// A server serves it.
    Connected,
    /// A server without a quorum serves its reads.
    ConnectedReadOnly,
    /// Over: closed or expired.
    Closed,
    /// Over: an identity was refused.
    AuthFailed,
}

impl State {
    /// Whether there is anything to hope for.
    pub fn is_alive(self) -> bool {
        !matches!(self, State::Closed | State::AuthFailed)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Connecting => "CONNECTING",
            State::Connected => "CONNECTED",
            State::ConnectedReadOnly => "CONNECTEDREADONLY",
            State::Closed => "CLOSED",
            State::AuthFailed => "AUTH_FAILED",
        })
    }
}

/// `Watcher.Event.KeeperState`; printed as named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventState {
    /// The connection is gone.
    Disconnected,
    /// The session is served.
    SyncConnected,
    /// An identity was refused.
    AuthFailed,
    /// Reads alone are served.
    ConnectedReadOnly,
    /// The session is gone.
    Expired,
    /// The session was closed.
    Closed,
    /// Client and server have proved to each other who they are.
    SaslAuthenticated,
    /// None at all: what Java's client tells where it may not even try to.
    Null,
}

impl fmt::Display for EventState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EventState::Null => f.write_str("null"),
            named => write!(f, "{named:?}"),
        }
    }
}

/// `Watcher.Event.EventType`; printed as named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// About the session.
    None,
    /// A znode was created.
    NodeCreated,
    /// A znode was deleted.
    NodeDeleted,
    /// Its data was set.
    NodeDataChanged,
    /// Children came or went.
    NodeChildrenChanged,
    /// The watch on data is no more.
    DataWatchRemoved,
    /// The watch on children is no more.
    ChildWatchRemoved,
    /// The persistent watch is no more.
    PersistentWatchRemoved,
}

impl EventType {
    /// The number of a `WatcherEvent`; only what a server sends.
    pub fn from_wire(kind: i32) -> Option<Self> {
        Some(match kind {
            1 => EventType::NodeCreated,
            2 => EventType::NodeDeleted,
            3 => EventType::NodeDataChanged,
            4 => EventType::NodeChildrenChanged,
            _ => return None,
        })
    }
}

/// `WatchedEvent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The connection's state when it came.
    pub state: EventState,
    /// What happened.
    pub kind: EventType,
    /// To which znode, as this client names it; `None` for the session.
    pub path: Option<String>,
    /// By which transaction; −1 if by none.
    pub zxid: i64,
}

impl Event {
    /// The session's state has changed.
    pub fn of_session(state: EventState) -> Self {
        Self { state, kind: EventType::None, path: None, zxid: -1 }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.as_deref().unwrap_or("null");
        write!(f, "WatchedEvent state:{} type:{:?} path:{path} zxid: {}", self.state, self.kind, self.zxid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_print_as_javas() {
        assert_eq!(
            Event::of_session(EventState::SyncConnected).to_string(),
            "WatchedEvent state:SyncConnected type:None path:null zxid: -1"
        );
        assert_eq!(
            Event::of_session(EventState::Null).to_string(),
            "WatchedEvent state:null type:None path:null zxid: -1"
        );
        let event = Event {
            state: EventState::SyncConnected,
            kind: EventType::NodeDataChanged,
            path: Some("/a".to_owned()),
            zxid: 7,
        };
        assert_eq!(
            event.to_string(),
            "WatchedEvent state:SyncConnected type:NodeDataChanged path:/a zxid: 7"
        );
    }
}
