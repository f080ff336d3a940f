//! A small ZooKeeper client: one thread that keeps a session, and operations that wait for their answer.
//!
//! It is written here and not taken from `zookeeper-client` because a shell shows what a library hides: Java's own
//! error for each number, data that is null, access lists that are empty, watches removed by kind whoever set them,
//! a server's `removewatches` that failed and a local one that did not, events in which state they came, and
//! whether a command that waits for a server is told of the loss at each failed attempt, as Java's is. What is
//! left to do once those are wanted is this folder, and it starts no runtime.
//!
//! ```text
//! command ── request ─► [waiting] ── connected ─► [sent] ── reply ─► command
//!                            └─────────── connection lost: CONNECTIONLOSS ──┘
//! ```
//!
//! [`connection`] decides when to connect, ping and give up; [`stream`] is the socket, by TLS or without; [`login`] what is proved
//! by SASL before anything is asked; [`session`] holds what both threads see, behind one lock. An event is told before any answer
//! that came behind it.

mod connection;
mod event;
mod failure;
mod hosts;
mod login;
mod operations;
mod path;
mod session;
mod stream;
mod watches;

use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use zabd_config::TlsSide;
use zabd_jute::OpCode;

pub use event::{Event, EventState, EventType, State};
pub use failure::{Failure, Refusal};
pub use hosts::ConnectString;
pub use login::Login;
pub use operations::{AddWatchMode, Deletion, WatcherType};
pub(crate) use stream::Stream;

use session::{Packet, Reply, Session, Shared};

/// Whoever hears of a session: called from the thread that keeps it, in the order in which things happen.
pub trait Listener: Send + Sync {
    /// Something has happened.
    fn on_event(&self, event: &Event);
    /// Why there is no server: only what trying again is no remedy for, and once for as long as it is the same.
    fn on_problem(&self, problem: &str);
}

/// How a session is kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to connect to.
    pub servers: ConnectString,
    /// What is asked for; the server has the last word.
    pub session_timeout: Duration,
    /// Whether a server without a quorum will do.
    pub is_read_only_enough: bool,
    /// How long an operation may take, if there is a limit.
    pub request_timeout: Option<Duration>,
    /// Whether watches are set again on the next server.
    pub keeps_watches: bool,
    /// Stores and what is offered, if it is by TLS.
    pub tls: Option<TlsSide>,
    /// As whom to log in by SASL.
    pub login: Login,
}

/// A session with some server.
pub struct Client {
    shared: Arc<Shared>,
    chroot: Option<String>,
    request_timeout: Option<Duration>,
}

impl Client {
    /// Begins a session; the first attempt to connect is made by another thread.
    pub fn begin(settings: Settings, listener: Box<dyn Listener>) -> Self {
        let chroot = settings.servers.chroot.clone();
        let request_timeout = settings.request_timeout;
        let shared = Arc::new(Shared::new(Session::new(chroot.clone(), settings.keeps_watches), listener));
        let kept = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("session".to_owned())
            .spawn(move || connection::keep(&kept, &settings))
            .expect("a process that has just begun can start a thread");
        Self { shared, chroot, request_timeout }
    }

    /// Where the session stands.
    pub fn state(&self) -> State {
        self.shared.lock().state
    }

    /// Waits for the first server to answer, but no longer than this.
    pub fn await_connection(&self, time: Duration) {
        self.shared.pause_while(time, |session| session.state == State::Connecting);
    }

    /// Ends the session; the server is told if there is one.
    pub fn close(&self) {
        let ended = {
            let mut session = self.shared.lock();
            if !session.state.is_alive() {
                return;
            }
            let ended = session.is_connected().then(|| {
                let (packet, answer) = Packet::new(OpCode::CloseSession, Vec::new());
                session.submit(packet);
                answer
            });
            session.is_closing = true;
            ended
        };
        if let Some(answer) = ended {
            // A server that says nothing does not keep anybody from leaving.
            let _ = answer.recv_timeout(self.request_timeout.unwrap_or(Duration::from_secs(10)));
        }
        let lost = self.shared.lock().end(State::Closed);
        self.shared.wake();
        self.shared.tell(&Event::of_session(EventState::Closed));
        lost.into_iter().for_each(Packet::lose);
    }

    /// Adds an identity to this and every later connection; what the server thinks of it comes as an event.
    pub fn add_identity(&self, scheme: &str, credentials: Option<&[u8]>) {
        self.shared.lock().add_identity(scheme, credentials);
    }

    /// Sends a request and waits for its answer.
    fn ask(&self, op: OpCode, body: Vec<u8>) -> Reply {
        let (packet, answer) = Packet::new(op, body);
        self.wait(packet, &answer)
    }

    fn wait(&self, packet: Packet, answer: &session::Answer) -> Reply {
        self.shared.submit(packet);
        let reply = match self.request_timeout {
            None => answer.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(limit) => answer.recv_timeout(limit),
        };
        match reply {
            Ok(reply) => reply,
            Err(RecvTimeoutError::Timeout) => {
                self.shared.lock().disconnect();
                Reply::error(failure::REQUEST_TIMEOUT)
            }
            Err(RecvTimeoutError::Disconnected) => Reply::error(failure::CONNECTION_LOSS),
        }
    }
}
