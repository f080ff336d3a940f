//! One client connection, from its first byte to its last.
//!
//! ```text
//! First ──four letters──► (Asking ──►) Closing
//!   └──frame──► Handshake ──► Connecting ──session──► Open ──► Closing
//! ```
//!
//! The task reads a chunk, works off its frames, and flushes once; connections that are ready together take each of these steps
//! together. Reads are served here, under the tree's shared lock, many per hold; writes, and reads behind an unanswered request, are
//! collected and submitted together. Buffers are lent by the thread and given back as soon as nothing is left in
//! them, so an idle connection holds none.
//!
//! Here is how a turn goes; what a frame asks for is in `frames`, who the client is in `authentication`, words instead of
//! frames in `four_letter`, the order of steps among connections in `giving_way`, waiting for a place in the pipeline, or for a
//! long reply, in `in_line`, what is sent, and what is kept meanwhile, in `sending`, words for the log in `telling` and `slow`,
//! and lent memory in `buffers`.

mod answers;
mod authentication;
mod buffers;
mod counting;
mod four_letter;
mod frames;
mod giving_way;
mod in_line;
mod sending;
mod slow;
mod telling;

use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use tokio::io::ReadBuf;
use tokio::time::Sleep;
use zabd_jute::client::{FourLetterWord, RequestHeader};
use zabd_jute::{Id, OpCode, SessionId};
use zabd_replica::auth::{AuthOptions, initial_identities};
use zabd_replica::read::ReadOptions;
use zabd_replica::watches::Identities;
use zabd_replica::{Input, SessionTimeouts, SignsOfLife};

use self::answers::Making;
pub use self::answers::{Answers, Pace};
use self::buffers::{CHUNK, CHUNK_BYTES};
use self::counting::{Tally, publish_counts};
use self::giving_way::GaveWay;
use self::telling::{Ending, Trace};
use super::acceptor::Admission;
use super::client::{BegunSession, Client, UNSENT_BYTES_MAX};
use super::figures::ServerCounters;
use super::io_thread::ReadyList;
use super::java_address;
use super::large_requests::{Held, LargeRequests};
use super::left_watches;
use super::reply_line::TAKEN_BYTES_MIN;
use super::request_throttle::{Line, Place, RequestThrottle};
use super::stream::Stream;
use super::throttle::ConnectionThrottle;
use crate::driver::Driver;
use crate::logging::hold::Share;
use crate::sasl::{ClientExchange, ClientSasl, Proving};
use crate::slow::About;

/// While more than this is unsent, nothing further is read from the client.
const UNSENT_BYTES_PAUSE: usize = 1 << 20;
/// After this many chunks in a row other connections get a turn.
const CHUNKS_PER_TURN_MAX: usize = 4;
/// This many requests may wait for answers before the list of them is freed when they have come.
const KEPT_UNANSWERED_MAX: usize = 32;

/// What the operator configured about connections.
#[derive(Clone, Debug)]
pub struct ConnectionOptions {
    /// Java's `jute.maxbuffer`: the longest frame.
    pub frame_bytes_max: usize,
    /// How identities are established.
    pub auth: AuthOptions,
    /// Schemes of which a connection must have one before it may ask for anything; empty asks for none.
    pub enforced_schemes: Vec<String>,
    /// The key that demands them.
    pub enforced_by: &'static str,
    /// `globalOutstandingLimit`: above it, connections with unanswered requests are not read.
    pub in_flight_max: i64,
    /// How long sessions may be silent.
    pub timeouts: SessionTimeouts,
    /// How reads are served.
    pub read: ReadOptions,
}

/// Whoever knows what four-letter words are answered.
pub trait FourLetterAnswers: Send + Sync {
    /// Whether the word is on the whitelist; one that is not is refused without its argument.
    fn allows(&self, word: FourLetterWord) -> bool;
    /// How long the text may take.
    fn pace(&self, word: FourLetterWord) -> Pace;
    /// Whether the text may be so long that it needs a place among what is kept for all clients.
    fn may_be_long(&self, word: FourLetterWord) -> bool;
    /// The text behind `word`; `argument` is what follows `stmk`.
    fn answer(&self, word: FourLetterWord, argument: Option<u64>) -> Vec<u8>;
}

/// What all connections of a server share.
pub struct Service {
    /// Where requests go.
    pub driver: Arc<Driver>,
    /// What is allowed.
    pub options: ConnectionOptions,
    /// Who may log in by SASL, if it is served.
    pub sasl: Option<Arc<ClientSasl>>,
    /// What operators ask for.
    pub counters: Arc<ServerCounters>,
    /// Four-letter words.
    pub four_letter: Arc<dyn FourLetterAnswers>,
    /// How many of those that take their time are answered at once.
    pub answers: Answers,
    /// Whether new sessions are let in.
    pub throttle: Arc<ConnectionThrottle>,
    /// What long requests in flight may hold.
    pub large_requests: Arc<LargeRequests>,
    /// How many requests are in the pipeline, if that is limited.
    pub request_throttle: Option<Arc<RequestThrottle>>,
}

/// A thread's own handle of it. Each turn takes one, so it does not count in memory that other threads count in as well.
pub struct ThreadService(pub Arc<Service>);

impl Deref for ThreadService {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.0
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    First,
    Handshake,
    Connecting,
    Open,
    /// Another thread makes the answer to a four-letter word.
    Asking,
    Closing,
}

/// Whether a request waits outside the pipeline because its reply may be long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stays {
    /// It does not.
    Nothing,
    /// Until those before it are answered: then it can be served here.
    BehindAnswers,
    /// Until there is a place for its reply.
    InLine,
    /// Until there is room for the rest of it, which has not come.
    Coming,
    /// Until there is room for it in the pipeline.
    InFlight,
    /// Until the audit log has room for what would be told of it.
    ForAudit,
}

/// The task. See the module's description.
pub struct Connection {
    socket: Stream,
    client: Arc<Client>,
    service: Arc<ThreadService>,
    _admission: Admission,
    phase: Phase,
    /// Why it is closing, if it is.
    ending: Ending,
    identities: Identities,
    /// Its exchange by SASL, which it has once at most.
    sasl: Option<Box<ClientExchange>>,
    /// A token of it that another thread looks at, and what it came with. Nothing is taken from the client meanwhile.
    proving: Option<Box<(RequestHeader, Proving)>>,
    session: SessionId,
    timeout_ms: i32,
    signs_of_life: SignsOfLife,
    /// Bytes of a frame that is not complete, or that may not be worked off yet.
    input: Vec<u8>,
    /// When the first of them came.
    frame_since_ms: i64,
    out: Vec<u8>,
    out_sent: usize,
    /// Whether it ends without sending what is unsent.
    is_aborted: bool,
    /// Whether others that are ready have their turn before it goes on, and where it does.
    gave_way: GaveWay,
    /// In which turn of its thread that was.
    gave_way_in: u64,
    /// How many bytes it keeps meanwhile.
    kept_bytes: usize,
    /// The unanswered requests, oldest first.
    unanswered: VecDeque<Unanswered>,
    /// What the replies to the reads among them may be worth.
    reads_waiting: usize,
    /// While so much is unsent, nothing further is read from the client.
    pause_bytes: usize,
    /// How long those are that wait for the end of the turn.
    batch_bytes: usize,
    /// How long a large request is that comes, if all that do have a bound.
    coming_bytes: usize,
    /// What was taken from the socket in this turn, and long replies.
    turn_bytes: u64,
    /// What the replies to reads in the pipeline may be worth; less than `reads_max` while little may be asked for.
    reads_waiting_max: usize,
    /// Reads in the pipeline are answered together, before the client can take the first of their replies: as many as
    /// would fit if each asked for the largest znode. What may have a longer reply does not go there.
    reads_max: usize,
    /// Whether the next request stays in `input`, and what for.
    stays: Stays,
    /// When a client that waits for the audit log is looked at.
    audit_look: Option<Pin<Box<Sleep>>>,
    /// How much had come when the client that waits for a place was last heard.
    heard_in_line_bytes: usize,
    /// The client says no more, and what it said before has to be worked off yet.
    is_at_end: bool,
    /// What the client has taken since that was much.
    taken: usize,
    /// When the client asked for a new session that it does not have yet.
    asked_for_session: Option<Asked>,
    /// Where it stands among those that want a place in the pipeline, if places are limited.
    line: Option<Box<Line>>,
    /// The answer to a four-letter word, until another thread has made it.
    asking: Option<Making>,
    batch: Vec<Input>,
    tally: Tally,
    trace: Trace,
}

/// A connect request in the pipeline.
#[derive(Debug)]
struct Asked {
    came_ms: i64,
    _place: Option<Place>,
}

/// A request in the pipeline, for the figures.
#[derive(Debug)]
struct Unanswered {
    came_ms: i64,
    op: i32,
    /// Whether it changes something if it is done.
    is_update: bool,
    /// Whether it is answered untried.
    is_refused: bool,
    /// How many replies as long as the largest znode its own may be worth; nothing for what changes a znode.
    weight: usize,
    /// Of its body, in bytes.
    length: usize,
    /// Of the allowance for large requests.
    _held: Option<Held>,
    /// In the pipeline, if places are limited.
    _place: Option<Place>,
    /// Of what may wait of the audit log.
    _audit: Option<Share>,
    /// Its number.
    xid: i32,
    /// For a line about it, if it is slow.
    about: About,
}

impl Connection {
    /// The task of a new connection.
    pub fn new(
        socket: Stream,
        address: SocketAddr,
        proved: Vec<Id<'static>>,
        admission: Admission,
        service: Arc<ThreadService>,
        home: Arc<ReadyList>,
    ) -> Self {
        let now_ms = service.driver.clock.monotonic_ms();
        let largest = service.options.frame_bytes_max.max(1);
        let reads_max = ((UNSENT_BYTES_MAX - UNSENT_BYTES_PAUSE) / largest).max(1);
        let client = service.driver.registry.add(|id| Client::new(id, address, now_ms, home));
        client.counters.is_secure.store(socket.is_secure(), Relaxed);
        tracing::debug!("Accepted the connection of client {}", java_address::shown(address));
        Self {
            socket,
            client,
            _admission: admission,
            phase: Phase::First,
            ending: Ending::default(),
            identities: initial_identities(&java_address::host(address))
                .iter()
                .cloned()
                .chain(proved)
                .collect(),
            sasl: None,
            proving: None,
            session: SessionId::NONE,
            timeout_ms: 0,
            signs_of_life: SignsOfLife::default(),
            input: Vec::new(),
            frame_since_ms: now_ms,
            out: Vec::new(),
            out_sent: 0,
            is_aborted: false,
            gave_way: GaveWay::No,
            gave_way_in: 0,
            kept_bytes: 0,
            unanswered: VecDeque::new(),
            reads_waiting: 0,
            asked_for_session: None,
            line: service.request_throttle.clone().map(|throttle| Box::new(Line::new(throttle))),
            asking: None,
            pause_bytes: UNSENT_BYTES_PAUSE,
            batch_bytes: 0,
            coming_bytes: 0,
            turn_bytes: 0,
            reads_waiting_max: reads_max,
            reads_max,
            stays: Stays::Nothing,
            audit_look: None,
            heard_in_line_bytes: 0,
            is_at_end: false,
            taken: 0,
            batch: Vec::new(),
            tally: Tally::default(),
            trace: telling::trace(),
            service,
        }
    }

    /// Whether another frame may be worked off now.
    fn may_go_on(&self) -> bool {
        self.may_enter() && !self.is_in_line()
    }

    /// Whether a frame that has its place in the pipeline may be worked off now.
    fn may_enter(&self) -> bool {
        let open = matches!(self.phase, Phase::First | Phase::Handshake | Phase::Open);
        open && self.proving.is_none()
            && !self.is_unsent_much()
            && !self.is_throttled()
            && self.reads_waiting < self.reads_waiting_max
            && !self.has_to_stay()
    }

    fn is_unsent_much(&self) -> bool {
        self.unsent() >= self.pause_bytes
    }

    fn unsent(&self) -> usize {
        self.out.len() - self.out_sent + self.socket.unsent()
    }

    /// How much the client may ask for in this turn: when all clients together have much untaken, nothing before it
    /// has taken everything, and one read behind a write.
    fn set_pace(&mut self) {
        let is_pressing = self.service.driver.registry.backlog.is_pressing();
        (self.pause_bytes, self.reads_waiting_max) =
            if is_pressing { (1, 1) } else { (UNSENT_BYTES_PAUSE, self.reads_max) };
    }

    /// The server has enough in flight, and this connection a share of it.
    fn is_throttled(&self) -> bool {
        if self.unanswered.is_empty() {
            return false;
        }
        let driver = &self.service.driver;
        let intake = &driver.registry.intake;
        driver.in_flight() + self.batch.len() as i64 > self.service.options.in_flight_max
            || self.batch_bytes + intake.bytes() > intake.bytes_max()
            || driver.uncommitted_bytes() > intake.bytes_max()
    }

    /// Takes what others left for this connection.
    fn collect_mail(&mut self) {
        let begin = self.out.len();
        let Some(mail) = self.client.take_mail(&mut self.out) else { return };
        self.trace_mail(begin);
        self.tally.sent += u64::from(mail.frames);
        if mail.answers > 0 {
            self.tally.zxid = mail.zxid;
            let was_update = self.count_answers(mail.answers as usize, begin);
            self.tally.is_refused = was_update && mail.is_error;
        }
        if let Some(begun) = mail.session {
            self.establish(begun);
        }
        if mail.close || mail.abort {
            self.close(match (mail.abort, mail.is_refused) {
                (true, true) => Ending::Refused,
                (true, false) => Ending::Dropped,
                (false, _) => Ending::Replica,
            });
        }
        self.is_aborted |= mail.abort;
    }

    fn establish(&mut self, begun: BegunSession) {
        let BegunSession { session, timeout_ms, zxid } = begun;
        self.session = session;
        self.timeout_ms = timeout_ms;
        let now_ms = self.service.driver.clock.monotonic_ms();
        // The session's time began when it was asked for, perhaps long ago: the next sign of life counts.
        self.signs_of_life = SignsOfLife::default();
        self.client.counters.session.store(session.0, Relaxed);
        self.client.counters.timeout_ms.store(i64::from(timeout_ms), Relaxed);
        self.service.driver.watches().connect(self.client.id, session, self.identities.clone());
        self.tell_established();
        if let Some(asked) = self.asked_for_session.take() {
            self.tell_slow_session(asked.came_ms, now_ms, zxid);
            let took_ms = (now_ms - asked.came_ms).max(0) as u64;
            self.tally.pipeline.add(took_ms);
            self.tally.answered_ms = now_ms;
            self.service.counters.latency.lock().add(took_ms, true);
            self.count_operation(OpCode::CreateSession.code());
        }
        self.tally.note_last(OpCode::CreateSession.code(), 0);
        self.tally.zxid = self.service.driver.tree().last_zxid().0;
        self.phase = Phase::Open;
    }

    /// Nothing more is taken from the client; what it is owed is still sent.
    fn close(&mut self, ending: Ending) {
        if matches!(ending, Ending::Refused | Ending::Unauthenticated) {
            self.service.counters.clients.count.fetch_add(1, Relaxed);
        }
        self.phase = Phase::Closing;
        self.ending = ending;
    }

    /// Reads one chunk and works it off. `Ready(false)` is the end of the stream.
    fn read_chunk(&mut self, context: &mut Context<'_>, may_give_way: bool) -> Poll<bool> {
        CHUNK.with_borrow_mut(|chunk| {
            let mut buffer = ReadBuf::new(&mut chunk[..self.chunk_bytes()]);
            match self.socket.poll_read(context, &mut buffer) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => {
                    self.ending = Ending::Broken;
                    return Poll::Ready(false);
                }
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                    self.service.counters.clients_gone.fetch_add(1, Relaxed);
                    return Poll::Ready(false);
                }
                Poll::Ready(Ok(())) => (),
            }
            let filled = buffer.filled();
            self.turn_bytes += filled.len() as u64;
            if may_give_way && self.may_keep(filled) {
                self.give_way_before_work(filled, context);
            } else if self.input.is_empty() {
                let done = self.work_off(filled);
                self.frame_since_ms = self.client.counters.heard_ms.load(Relaxed);
                self.input.extend_from_slice(&filled[done..]);
                self.note_received(filled.len() - done);
            } else {
                self.reserve_input(filled.len());
                self.input.extend_from_slice(filled);
                self.note_received(filled.len());
                self.work_off_input();
            }
            Poll::Ready(true)
        })
    }

    /// Works off what was left over before.
    fn work_off_input(&mut self) {
        let mut input = std::mem::take(&mut self.input);
        let done = self.work_off(&input);
        input.drain(..done);
        if !input.is_empty() {
            if input.capacity() / 4 > input.len().max(CHUNK_BYTES) {
                // Of a large request that is done, with some bytes of the next.
                input.shrink_to(CHUNK_BYTES);
            }
            self.input = input;
        }
        if let Some(line) = &mut self.line {
            line.note_done(done);
        }
    }

    /// One turn; true when the connection has ended.
    fn turn(&mut self, context: &mut Context<'_>) -> bool {
        let mut is_read_dry = false;
        let gave_way = self.go_on();
        if gave_way == GaveWay::BeforeSending && self.flush(context) == Poll::Ready(false) {
            return true;
        }
        let had_unsent = self.unsent() > 0 && gave_way != GaveWay::BeforeSending;
        self.set_pace();
        self.look_in_line(context);
        self.look_for_audit(context);
        for chunk in 0.. {
            self.collect_mail();
            if !self.input.is_empty() && self.may_go_on() {
                self.work_off_input();
                self.collect_mail();
            }
            if chunk == 0 && gave_way == GaveWay::BeforeWork && !self.input.is_empty() {
                // When it came was not looked at, for mostly nothing is left.
                self.frame_since_ms = self.service.driver.clock.monotonic_ms();
            }
            if self.phase == Phase::Asking {
                self.poll_answer(context);
            }
            if self.poll_proving(context) {
                // What stands behind it may go on.
                continue;
            }
            // Others decide it, too, so it is asked once.
            let may_go_on = self.may_go_on();
            let is_more_to_do = may_go_on && self.has_whole_request();
            if !is_more_to_do && (self.is_abandoned() || !(may_go_on || self.may_read_ahead())) {
                break;
            }
            if chunk >= CHUNKS_PER_TURN_MAX {
                wake_behind_news(context);
                break;
            }
            if is_more_to_do {
                // Answers have come meanwhile. It goes before what the client says next, of which there may be much, and before its end.
                continue;
            }
            let (stood_in_line, waited) = (self.stands_in_line(), self.waits_for_place());
            match self.read_chunk(context, chunk == 0 && gave_way == GaveWay::No) {
                Poll::Pending => {
                    is_read_dry = true;
                    break;
                }
                Poll::Ready(true) if self.gave_way == GaveWay::BeforeWork => return false,
                Poll::Ready(true) if stood_in_line => self.note_heard_in_line(),
                Poll::Ready(true) => (),
                Poll::Ready(false) if self.outlives_its_client(waited) => break,
                Poll::Ready(false) => {
                    self.count_turn();
                    // Who says no more may still listen.
                    let _ = self.flush(context);
                    return true;
                }
            }
        }
        if self.look_in_line(context) | self.look_for_audit(context) {
            context.waker().wake_by_ref();
        }
        if self.is_abandoned() {
            self.out.clear();
            self.out_sent = 0;
        }
        self.count_turn();
        if self.is_aborted {
            publish_counts(&self.service.counters);
            return true;
        }
        if !had_unsent && gave_way != GaveWay::BeforeSending && self.gives_way_before_sending(context) {
            return false;
        }
        let was_unsent_much = self.is_unsent_much();
        let unsent_before = self.unsent();
        let flushed = self.flush(context);
        if (was_unsent_much && self.unsent() != unsent_before) || self.is_heard_in_line() {
            self.note_sign_of_life();
        }
        self.settle(had_unsent, unsent_before.saturating_sub(self.unsent()));
        match flushed {
            Poll::Pending => false,
            Poll::Ready(false) => true,
            Poll::Ready(true)
                if self.phase == Phase::Closing
                    || (self.is_abandoned() && self.may_go_on() && !self.has_whole_request()) =>
            {
                true
            }
            Poll::Ready(true) => {
                if self.may_go_on() && !is_read_dry {
                    // The output was what stood in the way, and nobody else would say that there is more to read.
                    context.waker().wake_by_ref();
                }
                false
            }
        }
    }
}

/// Wakes the task when its thread has looked who else is ready. A turn with many chunks takes as long as dozens of others, of which
/// there are many between two such looks.
fn wake_behind_news(context: &mut Context<'_>) {
    let news = std::pin::pin!(tokio::task::yield_now());
    assert!(news.poll(context).is_pending(), "whoever gives way has not had the next turn yet");
}

impl Future for Connection {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.gave_way == GaveWay::No {
            this.client.listen(context.waker());
        }
        this.borrow_buffer();
        let ended = this.turn(context);
        this.return_buffer();
        if ended { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.tell_slow_unanswered();
        self.tell_closed();
        self.socket.say_goodbye();
        left_watches::leave(&self.service.driver, self.client.id);
        if self.service.driver.is_member() {
            self.service.driver.feed([Input::Gone { conn: self.client.id, session: self.session }]);
        }
        self.service.driver.registry.coming.remove(self.coming_bytes);
        self.service.driver.registry.remove(self.client.id);
        self.service.counters.in_flight.fetch_sub(self.unanswered.len() as i64, Relaxed);
        let bytes = self.unanswered.iter().map(|request| request.length).sum();
        self.service.driver.registry.intake.remove(bytes);
    }
}
