//! A client connection as the rest of the server sees it: an address, a mailbox, some figures.
//!
//! The mailbox takes framed bytes from whoever has them and gives them to the connection's task, the
//! only one that touches the socket. The first mail wakes the task, further mail finds it awake.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Waker;

use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use zabd_jute::SessionId;
use zabd_replica::ConnId;

use super::figures::ConnectionCounters;
use super::io_thread::ReadyList;

/// A client that does not read gets this much kept for it before its connection is closed. Java keeps
/// everything; a server that must not run out of memory cannot.
pub const UNSENT_BYTES_MAX: usize = 64 << 20;

/// What waits for the connection's task.
#[derive(Debug, Default)]
pub struct Mail {
    /// Framed replies and events, in order.
    pub bytes: Vec<u8>,
    /// How many frames they are.
    pub frames: u32,
    /// How many of the frames answer requests.
    pub answers: u32,
    /// The zxid in the last of the answers.
    pub zxid: i64,
    /// The session that the connection asked for, with its timeout in milliseconds.
    pub session: Option<(SessionId, i32)>,
    /// The connection ends when the bytes are sent.
    pub close: bool,
    /// The connection ends now, whatever is unsent.
    pub abort: bool,
}

/// See the module's description.
#[derive(Debug)]
pub struct Client {
    /// Who it is within this server.
    pub id: ConnId,
    /// Where it comes from.
    pub address: SocketAddr,
    /// What operators ask about it.
    pub counters: ConnectionCounters,
    mail: Mutex<Mail>,
    /// Bytes that have left the mailbox, and that the client has not taken.
    unsent: AtomicUsize,
    /// Whether the task has been told of its mail and has not looked yet.
    told: AtomicBool,
    waker: Mutex<Option<Waker>>,
    home: Arc<ReadyList>,
}

impl Client {
    /// A connection whose task lives on the thread of `home`.
    pub fn new(id: ConnId, address: SocketAddr, now_ms: i64, home: Arc<ReadyList>) -> Self {
        Self {
            id,
            address,
            counters: ConnectionCounters::new(now_ms),
            mail: Mutex::default(),
            unsent: AtomicUsize::new(0),
            told: AtomicBool::new(false),
            waker: Mutex::new(None),
            home,
        }
    }

    /// Leaves framed bytes; yields the client if its task must be woken.
    #[must_use = "whom it yields must be woken"]
    pub fn post(self: &Arc<Self>, bytes: &[u8], answers: bool) -> Option<Arc<Self>> {
        let mut mail = self.mail.lock();
        let unsent = mail.bytes.len() + self.unsent.load(Ordering::Relaxed);
        // One reply may be longer than all of this, as a list of very many children is.
        if unsent > UNSENT_BYTES_MAX {
            // Whoever does not read would never take what stands before an orderly end.
            mail.abort = true;
            mail.bytes = Vec::new();
        } else if !mail.abort {
            mail.bytes.extend_from_slice(bytes);
        }
        mail.frames += 1;
        if answers {
            mail.answers += 1;
            // Length and xid come before it.
            mail.zxid = bytes.get(8..16).and_then(|b| b.try_into().ok()).map_or(0, i64::from_be_bytes);
        }
        drop(mail);
        self.tell()
    }

    /// Leaves the news that the session is established.
    #[must_use = "whom it yields must be woken"]
    pub fn post_session(self: &Arc<Self>, session: SessionId, timeout_ms: i32) -> Option<Arc<Self>> {
        self.mail.lock().session = Some((session, timeout_ms));
        self.tell()
    }

    /// Leaves the order to close behind everything else.
    #[must_use = "whom it yields must be woken"]
    pub fn post_close(self: &Arc<Self>) -> Option<Arc<Self>> {
        self.mail.lock().close = true;
        self.tell()
    }

    /// Leaves the order to close at once.
    #[must_use = "whom it yields must be woken"]
    pub fn post_abort(self: &Arc<Self>) -> Option<Arc<Self>> {
        self.mail.lock().abort = true;
        self.tell()
    }

    fn tell(self: &Arc<Self>) -> Option<Arc<Self>> {
        (!self.told.swap(true, Ordering::AcqRel)).then(|| self.clone())
    }

    /// Puts the connection's task on its thread's list of those that can go on.
    pub fn wake(self: Arc<Self>) {
        self.home.clone().push(self);
    }

    /// Wakes the task; called on its own thread, where that is cheap.
    pub fn wake_here(&self) {
        if let Some(waker) = &*self.waker.lock() {
            waker.wake_by_ref();
        }
    }

    /// The task says how to wake it.
    pub fn listen(&self, waker: &Waker) {
        let mut known = self.waker.lock();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }

    /// Moves the bytes to the end of `out` and takes the rest; the task looks here before it sleeps.
    pub fn take_mail(&self, out: &mut Vec<u8>) -> Option<Mail> {
        if !self.told.swap(false, Ordering::AcqRel) {
            return None;
        }
        let mut mail = self.mail.lock();
        self.unsent.fetch_add(mail.bytes.len(), Ordering::Relaxed);
        out.append(&mut mail.bytes);
        if mail.bytes.capacity() > 64 << 10 {
            mail.bytes = Vec::new();
        }
        let bytes = Vec::new();
        Some(Mail {
            bytes,
            frames: std::mem::take(&mut mail.frames),
            answers: std::mem::take(&mut mail.answers),
            zxid: mail.zxid,
            session: mail.session.take(),
            close: mail.close,
            abort: mail.abort,
        })
    }

    /// The task says how much it could not send.
    pub fn set_unsent(&self, bytes: usize) {
        self.unsent.store(bytes, Ordering::Relaxed);
    }
}

/// All client connections by their number.
#[derive(Debug, Default)]
pub struct Registry {
    slots: RwLock<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    /// A connection's number is its slot in the low half and the slot's use in the high half, so that
    /// numbers are never reused while lookups stay an index.
    clients: Vec<Option<Arc<Client>>>,
    uses: Vec<u32>,
    free: Vec<u32>,
}

/// The registry, locked for reading.
#[derive(Debug)]
pub struct Clients<'r>(RwLockReadGuard<'r, Slots>);

impl Clients<'_> {
    /// The connection with this number, unless it is gone.
    pub fn get(&self, conn: ConnId) -> Option<&Arc<Client>> {
        let client = self.0.clients.get((conn.0 & 0xffff_ffff) as usize)?.as_ref()?;
        (client.id == conn).then_some(client)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Client>> {
        self.0.clients.iter().flatten()
    }
}

impl Registry {
    /// Locks it for a few lookups.
    pub fn lock(&self) -> Clients<'_> {
        Clients(self.slots.read())
    }

    /// Adds a connection, which `make` creates for the number it gets.
    pub fn add(&self, make: impl FnOnce(ConnId) -> Client) -> Arc<Client> {
        let mut slots = self.slots.write();
        let slot = slots.free.pop().unwrap_or_else(|| {
            slots.clients.push(None);
            slots.uses.push(0);
            (slots.clients.len() - 1) as u32
        });
        let at = slot as usize;
        slots.uses[at] += 1;
        let client = Arc::new(make(ConnId(u64::from(slots.uses[at]) << 32 | u64::from(slot))));
        slots.clients[at] = Some(client.clone());
        client
    }

    /// Removes a connection that has ended.
    pub fn remove(&self, conn: ConnId) {
        let mut slots = self.slots.write();
        let at = (conn.0 & 0xffff_ffff) as usize;
        let removed = slots.clients[at].take();
        assert!(removed.is_some_and(|client| client.id == conn), "a connection ends once");
        slots.free.push(at as u32);
    }

    /// How many connections there are.
    pub fn len(&self) -> usize {
        let slots = self.slots.read();
        slots.clients.len() - slots.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(registry: &Registry) -> Arc<Client> {
        let home = Arc::new(ReadyList::default());
        registry.add(|id| Client::new(id, ([127, 0, 0, 1], 1).into(), 0, home))
    }

    #[test]
    fn numbers_are_not_reused() {
        let registry = Registry::default();
        let first = client(&registry);
        registry.remove(first.id);
        let second = client(&registry);
        assert_ne!(first.id, second.id);
        assert!(registry.lock().get(first.id).is_none());
        assert_eq!(registry.lock().get(second.id).map(|client| client.id), Some(second.id));
        assert_eq!(registry.len(), 1);
    }

    #[test]
    fn only_the_first_mail_wakes_and_nothing_is_lost() {
        let client = client(&Registry::default());
        assert!(client.post(b"one", true).is_some());
        assert!(client.post(b"two", false).is_none());
        let mut out = Vec::new();
        let mail = client.take_mail(&mut out).unwrap();
        assert_eq!((&out[..], mail.answers, mail.close), (&b"onetwo"[..], 1, false));
        assert!(client.take_mail(&mut out).is_none());
        assert!(client.post_close().is_some());
        assert!(client.take_mail(&mut out).unwrap().close);
    }

    #[test]
    fn a_client_that_never_reads_is_closed() {
        let client = client(&Registry::default());
        let megabyte = vec![0; 1 << 20];
        for _ in 0..=(UNSENT_BYTES_MAX >> 20) + 1 {
            let _ = client.post(&megabyte, false);
        }
        let mut out = Vec::new();
        assert!(client.take_mail(&mut out).unwrap().abort);
        assert!(out.len() <= UNSENT_BYTES_MAX + megabyte.len());
    }

    #[test]
    fn what_the_task_cannot_send_counts_too() {
        let client = client(&Registry::default());
        let megabyte = vec![0; 1 << 20];
        let mut out = Vec::new();
        let mut is_aborted = false;
        for _ in 0..=(UNSENT_BYTES_MAX >> 20) + 1 {
            assert!(!is_aborted);
            let _ = client.post(&megabyte, false);
            is_aborted = client.take_mail(&mut out).unwrap().abort;
            client.set_unsent(out.len());
        }
        assert!(is_aborted);
        assert_eq!(out.len(), UNSENT_BYTES_MAX + megabyte.len());
    }

    #[test]
    fn one_reply_may_be_longer_than_all_that_is_kept() {
        let client = client(&Registry::default());
        let _ = client.post(b"x", true);
        let _ = client.post(&vec![0; UNSENT_BYTES_MAX + 1], true);
        assert!(!client.take_mail(&mut Vec::new()).unwrap().abort);
    }
}
