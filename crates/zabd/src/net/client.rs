//! A client connection as the rest of the server sees it: an address, a mailbox, some figures.
//!
//! The mailbox takes framed bytes from whoever has them and gives them to the connection's task, the
//! only one that touches the socket. The first mail wakes the task, further mail finds it awake.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::task::Waker;

use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use zabd_jute::{SessionId, Zxid};
use zabd_replica::ConnId;

use super::backlog::Backlog;
use super::figures::ConnectionCounters;
use super::half_frames::{HalfFrames, close_slow};
use super::intake::{COPIES, Intake, Way};
use super::io_thread::ReadyList;
use super::reply_line::STALLED_MS;
use crate::memory::at_most;

/// A client that does not read gets this much kept for it before its connection is closed. Java keeps
/// everything; a server that must not run out of memory cannot.
pub const UNSENT_BYTES_MAX: usize = 64 << 20;
/// What all clients may leave untaken, and have begun, however little memory is left.
const UNSENT_BYTES_MIN: usize = 256 << 10;
const INCOMPLETE_BYTES_MIN: usize = 4 << 20;
/// What one reply may have however little is left: any znode of the usual `jute.maxbuffer` can be read.
const REPLY_BYTES_MIN: usize = 2 << 20;
/// A time that does not come.
const NEVER_MS: i64 = i64::MAX;
/// A larger mailbox is freed, not kept for the next mail: an idle connection is a small one.
const KEPT_MAIL_BYTES_MAX: usize = 4 << 10;

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
    /// Whether the last of the answers is an error.
    pub is_error: bool,
    /// The session that the connection asked for.
    pub session: Option<BegunSession>,
    /// The connection ends when the bytes are sent.
    pub close: bool,
    /// The connection ends now, whatever is unsent.
    pub abort: bool,
    /// That is so for what came over it, or has not come.
    pub is_refused: bool,
}

/// A session that a connection has from now on.
#[derive(Clone, Copy, Debug)]
pub struct BegunSession {
    /// Its number.
    pub session: SessionId,
    /// What was negotiated.
    pub timeout_ms: i32,
    /// The transaction with which it began, if it began now and has one.
    pub zxid: Option<Zxid>,
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
    /// How many of them are of long replies, for which there was a place before they were made.
    placed: AtomicUsize,
    /// When it took some of its bytes last, or had none; monotonic milliseconds, and never while the task has sent everything.
    taken_ms: AtomicI64,
    /// The place that it was given for a long reply, and has not used.
    place: AtomicUsize,
    /// How long its request is that was let in on its way, by the way, and has not entered.
    entries: [AtomicUsize; 2],
    /// Bytes that a request takes which has come only in part.
    half_frame: AtomicUsize,
    /// When that request began, monotonic milliseconds; means nothing if there is none.
    half_frame_since_ms: AtomicI64,
    /// Whether the replica has heard of it: before that, no role of this server's has anything to do with it.
    has_asked: AtomicBool,
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
            placed: AtomicUsize::new(0),
            taken_ms: AtomicI64::new(NEVER_MS),
            place: AtomicUsize::new(0),
            entries: Default::default(),
            half_frame: AtomicUsize::new(0),
            half_frame_since_ms: AtomicI64::new(now_ms),
            has_asked: AtomicBool::new(false),
            told: AtomicBool::new(false),
            waker: Mutex::new(None),
            home,
        }
    }

    /// The replica hears that the client wants a session.
    pub fn note_asked(&self) {
        self.has_asked.store(true, Ordering::Relaxed);
    }

    /// Whether it has.
    pub fn has_asked(&self) -> bool {
        self.has_asked.load(Ordering::Relaxed)
    }

    /// Leaves framed bytes; yields the client if its task must be woken. By how much what is kept has changed is
    /// added to `kept`, for the backlog.
    #[must_use = "whom it yields must be woken"]
    pub fn post(self: &Arc<Self>, bytes: &[u8], answers: bool, kept: &mut isize) -> Option<Arc<Self>> {
        let mut mail = self.mail.lock();
        let before = mail.bytes.len();
        let own = self.unsent.load(Ordering::Relaxed).saturating_sub(self.placed.load(Ordering::Relaxed));
        let unsent = before + own;
        // One reply may be longer than all of this, as a list of very many children is.
        if unsent > UNSENT_BYTES_MAX {
            // Whoever does not read would never take what stands before an orderly end.
            mail.abort = true;
            mail.bytes = Vec::new();
        } else if !mail.abort {
            mail.bytes.extend_from_slice(bytes);
        }
        *kept += mail.bytes.len() as isize - before as isize;
        mail.frames += 1;
        if answers {
            mail.answers += 1;
            // Length and xid come before it.
            mail.zxid = bytes.get(8..16).and_then(|b| b.try_into().ok()).map_or(0, i64::from_be_bytes);
            mail.is_error = bytes.get(16..20).is_some_and(|error| error != [0; 4]);
        }
        drop(mail);
        self.tell()
    }

    /// Leaves the news that the session is established.
    #[must_use = "whom it yields must be woken"]
    pub fn post_session(self: &Arc<Self>, begun: BegunSession) -> Option<Arc<Self>> {
        self.mail.lock().session = Some(begun);
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

    /// The same for what has come over it, or has not come in time.
    #[must_use = "whom it yields must be woken"]
    pub fn post_refusal(self: &Arc<Self>) -> Option<Arc<Self>> {
        self.mail.lock().is_refused = true;
        self.post_abort()
    }

    /// The connection ends at once, and what has not left the mailbox is freed here and now.
    #[must_use = "whom it yields must be woken"]
    pub fn give_up(self: &Arc<Self>, backlog: &Backlog) -> Option<Arc<Self>> {
        let mut mail = self.mail.lock();
        mail.abort = true;
        backlog.add(-(mail.bytes.len() as isize));
        mail.bytes = Vec::new();
        drop(mail);
        self.tell()
    }

    /// What the client has not taken yet; nothing if it is about to be closed.
    pub fn kept_bytes(&self) -> Option<usize> {
        let mail = self.mail.lock();
        (!mail.abort).then(|| mail.bytes.len() + self.unsent.load(Ordering::Relaxed))
    }

    /// The same without the long replies that the client is taking.
    pub fn blamed_bytes(&self, now_ms: i64) -> Option<usize> {
        let excused =
            if self.is_stalled(now_ms, STALLED_MS) { 0 } else { self.placed.load(Ordering::Relaxed) };
        self.kept_bytes().map(|bytes| bytes.saturating_sub(excused))
    }

    /// Whether it has had something to take for so long, and has not taken it.
    pub fn is_stalled(&self, now_ms: i64, patience_ms: i64) -> bool {
        now_ms.saturating_sub(self.taken_ms.load(Ordering::Relaxed)) >= patience_ms
    }

    /// Whether nothing was heard of it for a quarter of the time for which it may be silent.
    pub fn is_silent(&self, now_ms: i64) -> bool {
        let heard_ms = self.counters.heard_ms.load(Ordering::Relaxed);
        now_ms - heard_ms >= self.counters.timeout_ms.load(Ordering::Relaxed) / 4
    }

    /// Its long reply has a place, of so many bytes.
    pub fn give_place(&self, bytes: usize) {
        self.place.store(bytes, Ordering::Release);
    }

    /// Whether it has a place that it has not used.
    pub fn has_place(&self) -> bool {
        self.place.load(Ordering::Acquire) > 0
    }

    /// The place that it was given, in bytes, if it has one. They are the caller's business from now on.
    pub fn take_place(&self) -> usize {
        self.place.swap(0, Ordering::AcqRel)
    }

    /// Its request of so many bytes may enter.
    pub fn give_entry(&self, way: Way, bytes: usize) {
        self.entries[way as usize].store(bytes, Ordering::Release);
    }

    /// Whether its request may enter, and has not.
    pub fn has_entry(&self, way: Way) -> bool {
        self.entries[way as usize].load(Ordering::Acquire) > 0
    }

    /// How long the request is that may enter, if one may. That is the caller's business from now on.
    pub fn take_entry(&self, way: Way) -> usize {
        self.entries[way as usize].swap(0, Ordering::AcqRel)
    }

    /// The task makes a long reply; there is a place for it, so the backlog counts it already.
    pub fn use_place(&self, bytes: usize) {
        self.unsent.fetch_add(bytes, Ordering::Relaxed);
        self.placed.fetch_add(bytes, Ordering::Relaxed);
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
        // Nearly always there is none, and to look is cheaper than to swap.
        if !self.told.load(Ordering::Acquire) || !self.told.swap(false, Ordering::AcqRel) {
            return None;
        }
        let mut mail = self.mail.lock();
        self.unsent.fetch_add(mail.bytes.len(), Ordering::Relaxed);
        out.append(&mut mail.bytes);
        if mail.bytes.capacity() > KEPT_MAIL_BYTES_MAX {
            mail.bytes = Vec::new();
        }
        let bytes = Vec::new();
        Some(Mail {
            bytes,
            frames: std::mem::take(&mut mail.frames),
            answers: std::mem::take(&mut mail.answers),
            zxid: mail.zxid,
            is_error: mail.is_error,
            session: mail.session.take(),
            close: mail.close,
            abort: mail.abort,
            is_refused: mail.is_refused,
        })
    }

    /// The task says how much it could not send, and the time if the client has taken something.
    pub fn set_unsent(&self, bytes: usize, taken_ms: Option<i64>, backlog: &Backlog) {
        if let Some(taken_ms) = taken_ms {
            self.taken_ms.store(taken_ms, Ordering::Relaxed);
        }
        // Nobody else writes it.
        let before = self.unsent.load(Ordering::Relaxed);
        if before != bytes {
            self.unsent.store(bytes, Ordering::Relaxed);
            if bytes == 0 {
                self.taken_ms.store(NEVER_MS, Ordering::Relaxed);
            }
            if self.placed.load(Ordering::Relaxed) > bytes {
                self.placed.store(bytes, Ordering::Relaxed);
            }
            backlog.add(bytes as isize - before as isize);
        }
    }

    /// The task says what a request takes that has come only in part, and since when; true if that is more than before.
    pub fn set_half_frame(&self, bytes: usize, since_ms: i64, half_frames: &HalfFrames) -> bool {
        // Nobody else writes them.
        let before = self.half_frame.load(Ordering::Relaxed);
        if before == 0 && bytes == 0 {
            return false;
        }
        self.half_frame_since_ms.store(since_ms, Ordering::Relaxed);
        if before != bytes {
            self.half_frame.store(bytes, Ordering::Relaxed);
            half_frames.add(bytes as isize - before as isize);
        }
        before < bytes
    }

    /// Whether anything counts as a request that has come only in part.
    pub fn has_half_frame(&self) -> bool {
        self.half_frame.load(Ordering::Relaxed) > 0
    }

    /// What a request takes that has come only in part, and since when; nothing if the connection is about to be closed.
    pub fn half_frame(&self) -> Option<(usize, i64)> {
        let bytes = self.half_frame.load(Ordering::Relaxed);
        (bytes > 0 && !self.mail.lock().abort)
            .then(|| (bytes, self.half_frame_since_ms.load(Ordering::Relaxed)))
    }
}

/// All client connections by their number.
#[derive(Debug)]
pub struct Registry {
    slots: RwLock<Slots>,
    /// What they have not taken yet.
    pub backlog: Backlog,
    /// What has come of them only in part.
    pub half_frames: HalfFrames,
    /// How long those requests are that come, and are large.
    pub coming: Intake,
    /// What of them is in the pipeline.
    pub intake: Intake,
    /// Whether what is left of memory is shared out.
    is_scarce: AtomicBool,
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
    /// No connection yet; all of them together may leave `unsent_bytes_max` untaken, have begun requests of
    /// `incomplete_bytes_max`, be about to send large ones of `coming_bytes_max`, and have `in_flight_bytes_max` in the pipeline.
    pub fn new(
        unsent_bytes_max: usize,
        incomplete_bytes_max: usize,
        coming_bytes_max: usize,
        in_flight_bytes_max: usize,
    ) -> Self {
        Self {
            slots: RwLock::default(),
            backlog: Backlog::new(unsent_bytes_max),
            half_frames: HalfFrames::new(incomplete_bytes_max),
            coming: Intake::new(Way::Coming, coming_bytes_max),
            intake: Intake::new(Way::InFlight, in_flight_bytes_max),
            is_scarce: AtomicBool::new(false),
        }
    }

    /// So many bytes of memory are left for whatever comes, or more than anybody looks at: everything that is kept for a moment
    /// has a share of it, and of what it has already.
    pub fn fit(&self, left: Option<usize>, now_ms: i64) {
        self.is_scarce.store(left.is_some(), Ordering::Relaxed);
        let own = self.backlog.bytes() + self.half_frames.bytes() + self.intake.bytes() * COPIES;
        let room = left.map(|left| left + own);
        let share = |part: usize, bytes_min: usize| room.map(|room| (room / part).max(bytes_min));
        self.backlog.narrow(share(6, UNSENT_BYTES_MIN));
        self.backlog.bound_replies(room.map(|room| (room / 2).max(at_most(REPLY_BYTES_MIN))));
        // Large ones wait for each other; what is beyond them is closed.
        self.coming.narrow(share(4, 0));
        self.half_frames.narrow(share(2, INCOMPLETE_BYTES_MIN));
        self.intake.narrow(share(6 * COPIES, 0));
        let mut to_wake = Vec::new();
        if self.backlog.is_too_much() {
            to_wake.extend(self.backlog.close_largest(&self.lock(), now_ms));
        }
        if self.half_frames.is_too_much() {
            to_wake.extend(self.half_frames.close_worst(&self.lock(), now_ms));
        }
        to_wake.into_iter().for_each(Client::wake);
    }

    /// Whether little memory is left, so that it is shared out.
    pub fn is_scarce(&self) -> bool {
        self.is_scarce.load(Ordering::Relaxed)
    }

    /// Makes room for those who wait for places for their long replies, as far as others take nothing, and sees to it that they
    /// do not count as silent meanwhile.
    pub fn look_after_line(&self, now_ms: i64) {
        let mut to_wake = self.backlog.close_stalled(&self.lock(), now_ms);
        to_wake.extend(self.backlog.silent(now_ms));
        if self.coming.has_waiting() {
            to_wake.extend(close_slow(&self.lock(), now_ms));
        }
        to_wake.into_iter().for_each(Client::wake);
    }

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
        let removed = slots.clients[at].take().filter(|client| client.id == conn);
        let client = removed.expect("a connection ends once");
        slots.free.push(at as u32);
        drop(slots);
        self.backlog.leave(&client);
        self.coming.leave(&client);
        self.intake.leave(&client);
        // Whoever posts holds the lock, and does not find this client any more.
        let mut mail = client.mail.lock();
        let unsent = client.unsent.swap(0, Ordering::Relaxed);
        let kept = std::mem::take(&mut mail.bytes).len() + unsent;
        self.backlog.add(-(kept as isize));
        self.half_frames.add(-(client.half_frame.swap(0, Ordering::Relaxed) as isize));
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

    fn registry() -> Registry {
        Registry::new(usize::MAX, usize::MAX, usize::MAX, usize::MAX)
    }

    fn client(registry: &Registry) -> Arc<Client> {
        let home = Arc::new(ReadyList::default());
        registry.add(|id| Client::new(id, ([127, 0, 0, 1], 1).into(), 0, home))
    }

    #[test]
    fn whatever_is_left_a_znode_can_be_read() {
        let registry = registry();
        let never_fits = |left: Option<usize>, bytes: usize| {
            registry.fit(left, 0);
            registry.backlog.never_fits(bytes)
        };
        assert!(!never_fits(Some(0), 1 << 20) && never_fits(Some(0), 3 << 20));
        assert!(!never_fits(Some(8 << 20), 3 << 20) && never_fits(Some(8 << 20), 5 << 20));
        assert!(!never_fits(None, 1 << 30));
    }

    #[test]
    fn numbers_are_not_reused() {
        let registry = Registry::new(usize::MAX, usize::MAX, usize::MAX, usize::MAX);
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
        let client = client(&registry());
        assert!(client.post(b"one", true, &mut 0).is_some());
        assert!(client.post(b"two", false, &mut 0).is_none());
        let mut out = Vec::new();
        let mail = client.take_mail(&mut out).unwrap();
        assert_eq!((&out[..], mail.answers, mail.close), (&b"onetwo"[..], 1, false));
        assert!(client.take_mail(&mut out).is_none());
        assert!(client.post_close().is_some());
        assert!(client.take_mail(&mut out).unwrap().close);
    }

    #[test]
    fn a_client_that_never_reads_is_closed() {
        let client = client(&registry());
        let megabyte = vec![0; 1 << 20];
        for _ in 0..=(UNSENT_BYTES_MAX >> 20) + 1 {
            let _ = client.post(&megabyte, false, &mut 0);
        }
        let mut out = Vec::new();
        assert!(client.take_mail(&mut out).unwrap().abort);
        assert!(out.len() <= UNSENT_BYTES_MAX + megabyte.len());
    }

    #[test]
    fn what_the_task_cannot_send_counts_too() {
        let registry = registry();
        let client = client(&registry);
        let megabyte = vec![0; 1 << 20];
        let mut kept = 0;
        let mut out = Vec::new();
        let mut is_aborted = false;
        for _ in 0..=(UNSENT_BYTES_MAX >> 20) + 1 {
            assert!(!is_aborted);
            let _ = client.post(&megabyte, false, &mut kept);
            registry.backlog.add(std::mem::take(&mut kept));
            is_aborted = client.take_mail(&mut out).unwrap().abort;
            client.set_unsent(out.len(), Some(0), &registry.backlog);
        }
        assert!(is_aborted);
        assert_eq!(out.len(), UNSENT_BYTES_MAX + megabyte.len());
    }

    #[test]
    fn one_reply_may_be_longer_than_all_that_is_kept() {
        let client = client(&registry());
        let _ = client.post(b"x", true, &mut 0);
        let _ = client.post(&vec![0; UNSENT_BYTES_MAX + 1], true, &mut 0);
        assert!(!client.take_mail(&mut Vec::new()).unwrap().abort);
    }
}
