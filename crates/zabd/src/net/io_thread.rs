//! A thread that carries many connections, each a task on its single-threaded runtime.
//!
//! Mail from other threads wakes the thread once per round, not once per connection: the connections
//! with mail are put on a list, and one task of the thread wakes them from there.

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::task::Poll;

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::acceptor::{Acceptor, Admission};
use super::client::Client;
use super::connection::{Connection, Service, ThreadService};
use super::handshake::Proved;
use super::stream::Stream;
use crate::probes::Pulse;

/// After so many that were woken, those have their turn who have asked for something meanwhile: a change may have tens of thousands
/// of watchers, and to send something takes some microseconds.
const WOKEN_AT_ONCE_MAX: usize = 64;

/// After so many turns of connections the thread looks who else is ready: a connection has three for what its client asks
/// for, if it gives way, and those of some dozens are done together.
const TURNS_PER_LOOK: u32 = 192;

/// The connections of one thread that can go on.
#[derive(Debug, Default)]
pub struct ReadyList {
    state: Mutex<Ready>,
}

#[derive(Debug, Default)]
struct Ready {
    clients: VecDeque<Arc<Client>>,
    waker: Option<std::task::Waker>,
}

impl ReadyList {
    /// Adds a connection that has mail.
    pub fn push(&self, client: Arc<Client>) {
        let mut state = self.state.lock();
        state.clients.push_back(client);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Wakes connections for as long as the thread lives.
    async fn run(&self) {
        let mut woken = VecDeque::new();
        loop {
            std::future::poll_fn(|context| {
                let mut state = self.state.lock();
                if state.clients.is_empty() {
                    state.waker = Some(context.waker().clone());
                    return Poll::Pending;
                }
                std::mem::swap(&mut state.clients, &mut woken);
                Poll::Ready(())
            })
            .await;
            while !woken.is_empty() {
                woken.drain(..woken.len().min(WOKEN_AT_ONCE_MAX)).for_each(|client| client.wake_here());
                // The connections run before this list is looked at again: one wake for many mails.
                tokio::task::yield_now().await;
            }
        }
    }
}

/// An accepted socket on its way to its thread.
#[derive(Debug)]
pub struct NewConnection {
    /// Non-blocking.
    pub socket: TcpStream,
    /// The other end.
    pub address: SocketAddr,
    /// Whatever must happen when the connection ends, such as counting it off.
    pub guard: Admission,
    /// What its handshake brought, if it had one.
    pub proved: Option<Proved>,
}

#[derive(Debug)]
enum Job {
    Serve(NewConnection),
    Accept(Acceptor, Vec<IoThread>),
}

/// The way to one I/O thread.
#[derive(Clone, Debug)]
pub struct IoThread {
    inbox: mpsc::UnboundedSender<Job>,
}

impl IoThread {
    /// Starts the thread.
    pub fn start(number: usize, service: Arc<Service>, pulse: Pulse) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .event_interval(TURNS_PER_LOOK)
            .build()?;
        let (inbox, jobs) = mpsc::unbounded_channel();
        std::thread::Builder::new()
            .name(format!("ClientIo-{number}"))
            .spawn(move || runtime.block_on(carry(service, jobs, pulse)))?;
        Ok(Self { inbox })
    }

    /// Hands over a connection.
    pub fn take(&self, connection: NewConnection) {
        // The thread ends only with the process; a socket that comes then is closed by being dropped.
        let _ = self.inbox.send(Job::Serve(connection));
    }

    /// Lets this thread accept, too, for itself and `others`.
    pub fn accept(&self, acceptor: Acceptor, others: Vec<IoThread>) {
        let _ = self.inbox.send(Job::Accept(acceptor, others));
    }
}

async fn carry(service: Arc<Service>, mut jobs: mpsc::UnboundedReceiver<Job>, pulse: Pulse) {
    tokio::spawn(pulse.beat_for_runtime());
    let service = Arc::new(ThreadService(service));
    let ready = Arc::new(ReadyList::default());
    let waking = ready.clone();
    tokio::spawn(async move { waking.run().await });
    while let Some(job) = jobs.recv().await {
        match job {
            Job::Serve(NewConnection { socket, address, guard, proved }) => {
                match tokio::net::TcpStream::from_std(socket) {
                    Ok(socket) => serve(socket, address, guard, proved, &service, &ready),
                    Err(error) => tracing::warn!("Cannot serve the connection from {address}: {error}"),
                }
            }
            Job::Accept(acceptor, others) => {
                let (service, ready) = (service.clone(), ready.clone());
                tokio::spawn(async move {
                    let here = |socket, address, guard| serve(socket, address, guard, None, &service, &ready);
                    if let Err(error) = acceptor.run(others, here).await {
                        tracing::error!("The client port is closed: {error}");
                    }
                });
            }
        }
    }
    // Nobody is left who could send a job; the connections live on.
    std::future::pending::<()>().await;
}

fn serve(
    socket: tokio::net::TcpStream,
    address: SocketAddr,
    guard: Admission,
    proved: Option<Proved>,
    service: &Arc<ThreadService>,
    ready: &Arc<ReadyList>,
) {
    let (tls, identities) =
        proved.map_or_else(Default::default, |proved| (Some(proved.tls), proved.identities));
    let stream = Stream::new(socket, tls);
    tokio::spawn(Connection::new(stream, address, identities, guard, service.clone(), ready.clone()));
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;
    use crate::logging::hold::tests::Woken;
    use crate::net::Registry;

    /// All watchers of one znode have an event at once, and one client has asked for something.
    #[tokio::test]
    async fn a_crowd_that_is_woken_lets_others_have_their_turns() {
        const CROWD: usize = 100 * WOKEN_AT_ONCE_MAX;
        let registry = Registry::new(usize::MAX, usize::MAX, usize::MAX, usize::MAX);
        let (ready, woken) = (Arc::new(ReadyList::default()), Arc::new(Woken::default()));
        for _ in 0..CROWD {
            let client = registry.add(|id| Client::new(id, ([127, 0, 0, 1], 1).into(), 0, ready.clone()));
            client.listen(&woken.clone().into());
            ready.push(client);
        }
        let turns = Rc::new(Cell::new(0));
        let local = tokio::task::LocalSet::new();
        let (waking, counted, seen) = (ready.clone(), turns.clone(), woken.clone());
        local.spawn_local(async move { waking.run().await });
        local
            .run_until(async move {
                while seen.0.load(Relaxed) < CROWD {
                    counted.set(counted.get() + 1);
                    tokio::task::yield_now().await;
                }
            })
            .await;
        assert!(turns.get() >= 100, "{} turns", turns.get());
    }
}
