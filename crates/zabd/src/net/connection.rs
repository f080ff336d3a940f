//! One client connection, from its first byte to its last.
//!
//! ```text
//! First ──four letters──► (Asking ──►) Closing
//!   └──frame──► Handshake ──► Connecting ──session──► Open ──► Closing
//! ```
//!
//! The task reads a chunk, works off its frames, and flushes once. Reads are served here, under the
//! tree's shared lock, many per hold; writes, and reads behind an unanswered request, are collected and
//! submitted together. Buffers are lent by the thread and given back as soon as nothing is left in
//! them, so an idle connection holds none.

mod four_letter;
mod in_line;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use bytes::Bytes;
use parking_lot::RwLockReadGuard;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use zabd_jute::client::{
    AuthPacket, ConnectRequest, FourLetterWord, ReplyHeader, RequestHeader, SaslRequest,
};
use zabd_jute::{ErrorCode, OpCode, Reader, Record, SessionId, Writer, Zxid};
use zabd_replica::auth::{AuthOptions, AuthRefused, authenticate, initial_identities};
use zabd_replica::read::{self, Read, ReadOptions, Served};
use zabd_replica::traffic::Traffic;
use zabd_replica::watches::Identities;
use zabd_replica::{Input, Request, SessionRequest, SessionTimeouts};
use zabd_tree::Tree;

use super::acceptor::Admission;
use super::client::{Client, UNSENT_BYTES_MAX};
use super::figures::{Responses, Sent, ServerCounters, Summary};
use super::io_thread::ReadyList;
use super::large_requests::{Held, LargeRequests};
use super::request_throttle::{Admitted, Line, Place, RequestThrottle};
use super::throttle::ConnectionThrottle;
use crate::driver::{Driver, shown, wall_ms};

/// How much one read takes from a socket.
const CHUNK_BYTES: usize = 64 << 10;
/// While more than this is unsent, nothing further is read from the client.
const UNSENT_BYTES_PAUSE: usize = 1 << 20;
/// After this many chunks in a row other connections get a turn.
const CHUNKS_PER_TURN_MAX: usize = 4;
/// Nobody is so many people; each identity is compared with each entry of an access list.
const IDENTITIES_MAX: usize = 1000;
/// What their names may add up to, in bytes.
const IDENTITY_BYTES_MAX: usize = 256 << 10;
/// How much small requests in a row share.
const SHARED_BYTES: usize = 4 << 10;
/// Buffers above this size are freed, not kept for reuse.
const KEPT_BUFFER_BYTES_MAX: usize = 1 << 20;

/// This many requests may wait for answers before the list of them is freed when they have come.
const KEPT_UNANSWERED_MAX: usize = 32;
/// A batch with room for more requests is freed, not kept for the next one.
const KEPT_BATCH_MAX: usize = 1024;

thread_local! {
    static CHUNK: RefCell<Box<[u8]>> = RefCell::new(vec![0; CHUNK_BYTES].into());
    /// An empty output buffer with memory, lent to the connection whose turn it is.
    static OUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// An empty batch, lent likewise.
    static BATCH: RefCell<Vec<Input>> = const { RefCell::new(Vec::new()) };
}

/// What the operator configured about connections.
#[derive(Clone, Debug)]
pub struct ConnectionOptions {
    /// Java's `jute.maxbuffer`: the longest frame.
    pub frame_bytes_max: usize,
    /// How identities are established.
    pub auth: AuthOptions,
    /// Schemes of which a connection must have one before it may ask for anything; empty asks for none.
    pub enforced_schemes: Vec<String>,
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
    /// Whether the text may take so long that other clients must not wait for it.
    fn takes_time(&self, word: FourLetterWord) -> bool;
    /// The text behind `word`; `argument` is what follows `stmk`.
    fn answer(&self, word: FourLetterWord, argument: Option<u64>) -> Vec<u8>;
}

/// What all connections of a server share.
pub struct Service {
    /// Where requests go.
    pub driver: Arc<Driver>,
    /// What is allowed.
    pub options: ConnectionOptions,
    /// What operators ask for.
    pub counters: Arc<ServerCounters>,
    /// Four-letter words.
    pub four_letter: Arc<dyn FourLetterAnswers>,
    /// Whether new sessions are let in.
    pub throttle: Arc<ConnectionThrottle>,
    /// What long requests in flight may hold.
    pub large_requests: Arc<LargeRequests>,
    /// How many requests are in the pipeline, if that is limited.
    pub request_throttle: Option<Arc<RequestThrottle>>,
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

/// The task. See the module's description.
pub struct Connection {
    socket: TcpStream,
    client: Arc<Client>,
    service: Arc<Service>,
    _admission: Admission,
    phase: Phase,
    identities: Identities,
    session: SessionId,
    timeout_ms: i32,
    /// The end of the bucket that the session is known to be in.
    bucket_end_ms: i64,
    /// Bytes of a frame that is not complete, or that may not be worked off yet.
    input: Vec<u8>,
    out: Vec<u8>,
    out_sent: usize,
    /// Whether it ends without sending what is unsent.
    is_aborted: bool,
    /// The unanswered requests, oldest first.
    unanswered: VecDeque<Unanswered>,
    /// What the replies to the reads among them may be worth.
    reads_waiting: usize,
    /// While so much is unsent, nothing further is read from the client.
    pause_bytes: usize,
    /// What the replies to reads in the pipeline may be worth; less than `reads_max` while little may be asked for.
    reads_waiting_max: usize,
    /// Reads in the pipeline are answered together, before the client can take the first of their replies: as many as
    /// would fit if each asked for the largest znode. A reply that may be longer counts as all of them.
    reads_max: usize,
    /// When the client asked for a new session that it does not have yet.
    asked_for_session: Option<Asked>,
    /// Where it stands among those that want a place in the pipeline, if places are limited.
    line: Option<Box<Line>>,
    /// The answer to a four-letter word, while another thread makes it.
    asking: Option<tokio::task::JoinHandle<Vec<u8>>>,
    batch: Vec<Input>,
    tally: Tally,
    traffic: Traffic,
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
    is_update: bool,
    /// How many replies as long as the largest znode its own may be worth; nothing for what changes a znode.
    weight: usize,
    /// Of the allowance for large requests.
    _held: Option<Held>,
    /// In the pipeline, if places are limited.
    _place: Option<Place>,
}

/// What one turn adds to the figures.
#[derive(Debug, Default)]
struct Tally {
    received: u64,
    received_bytes: u64,
    sent: u64,
    reads: u64,
    pipeline: Summary,
    responses: Responses,
    last: Option<(i32, i32)>,
    /// Of the last answer.
    zxid: i64,
}

impl Connection {
    /// The task of a new connection.
    pub fn new(
        socket: TcpStream,
        address: SocketAddr,
        admission: Admission,
        service: Arc<Service>,
        home: Arc<ReadyList>,
    ) -> Self {
        let now_ms = service.driver.clock.monotonic_ms();
        let largest = service.options.frame_bytes_max.max(1);
        let reads_max = ((UNSENT_BYTES_MAX - UNSENT_BYTES_PAUSE) / largest).max(1);
        let client = service.driver.registry.add(|id| Client::new(id, address, now_ms, home));
        Self {
            socket,
            client,
            _admission: admission,
            phase: Phase::First,
            identities: initial_identities(&address.ip().to_canonical().to_string()),
            session: SessionId::NONE,
            timeout_ms: 0,
            bucket_end_ms: 0,
            input: Vec::new(),
            out: Vec::new(),
            out_sent: 0,
            is_aborted: false,
            unanswered: VecDeque::new(),
            reads_waiting: 0,
            asked_for_session: None,
            line: service.request_throttle.clone().map(|throttle| Box::new(Line::new(throttle))),
            asking: None,
            pause_bytes: UNSENT_BYTES_PAUSE,
            reads_waiting_max: reads_max,
            reads_max,
            batch: Vec::new(),
            tally: Tally::default(),
            traffic: Traffic::default(),
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
        open && !self.is_unsent_much() && !self.is_throttled() && self.reads_waiting < self.reads_waiting_max
    }

    fn is_unsent_much(&self) -> bool {
        self.unsent() >= self.pause_bytes
    }

    fn unsent(&self) -> usize {
        self.out.len() - self.out_sent
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
        let own = !self.unanswered.is_empty();
        own && self.service.counters.in_flight.load(Relaxed) + self.batch.len() as i64
            > self.service.options.in_flight_max
    }

    /// Takes what others left for this connection.
    fn collect_mail(&mut self) {
        let Some(mail) = self.client.take_mail(&mut self.out) else { return };
        self.tally.sent += u64::from(mail.frames);
        if mail.answers > 0 {
            self.tally.zxid = mail.zxid;
            self.count_answers(mail.answers as usize);
        }
        if let Some((session, timeout_ms)) = mail.session {
            self.establish(session, timeout_ms);
        }
        if mail.close || mail.abort {
            self.phase = Phase::Closing;
        }
        self.is_aborted |= mail.abort;
    }

    fn establish(&mut self, session: SessionId, timeout_ms: i32) {
        self.session = session;
        self.timeout_ms = timeout_ms;
        let now_ms = self.service.driver.clock.monotonic_ms();
        // The session's time began when it was asked for, perhaps long ago: the next sign of life counts.
        self.bucket_end_ms = 0;
        self.client.counters.session.store(session.0, Relaxed);
        self.client.counters.timeout_ms.store(i64::from(timeout_ms), Relaxed);
        self.service.driver.watches().connect(self.client.id, session, self.identities.clone());
        if let Some(asked) = self.asked_for_session.take() {
            let took_ms = (now_ms - asked.came_ms).max(0) as u64;
            self.tally.pipeline.add(took_ms);
            self.service.counters.latency.lock().add(took_ms, true);
        }
        self.tally.last = Some((OpCode::CreateSession.code(), 0));
        self.tally.zxid = self.service.driver.tree().last_zxid().0;
        self.phase = Phase::Open;
    }

    fn count_answers(&mut self, answers: usize) {
        let answered = answers.min(self.unanswered.len());
        if answered == 0 {
            return;
        }
        let now_ms = self.service.driver.clock.monotonic_ms();
        let mut latency = self.service.counters.latency.lock();
        for Unanswered { came_ms, is_update, weight, .. } in self.unanswered.drain(..answered) {
            self.reads_waiting -= weight;
            let took_ms = (now_ms - came_ms).max(0) as u64;
            self.tally.pipeline.add(took_ms);
            latency.add(took_ms, is_update);
        }
        drop(latency);
        if self.unanswered.is_empty() {
            self.unanswered.shrink_to(KEPT_UNANSWERED_MAX);
        }
        self.service.counters.in_flight.fetch_sub(answered as i64, Relaxed);
    }

    /// Works off what stands in `bytes`; returns how much of it is done.
    fn work_off(&mut self, bytes: &[u8]) -> usize {
        let service = self.service.clone();
        let now_ms = service.driver.clock.monotonic_ms();
        self.client.counters.heard_ms.store(now_ms, Relaxed);
        let mut turn =
            Turn { service: &service, bytes, at: 0, now_ms, tree: None, shared: Shared::default() };
        while self.may_go_on() && self.work_off_frame(&mut turn) {}
        let done = turn.at;
        drop(turn);
        self.submit(&service, now_ms);
        done
    }

    fn submit(&mut self, service: &Service, now_ms: i64) {
        let end_ms = if self.phase == Phase::Open {
            service.options.timeouts.bucket_end_ms(now_ms, self.timeout_ms)
        } else {
            self.bucket_end_ms
        };
        let is_news = end_ms != std::mem::replace(&mut self.bucket_end_ms, end_ms);
        if !self.batch.is_empty() {
            service.counters.in_flight.fetch_add(self.batch.len() as i64, Relaxed);
            service.driver.feed(self.batch.drain(..));
        } else if is_news {
            service.driver.touch(self.session);
        }
    }

    /// One frame, or the first four letters; false if there is not a whole one.
    fn work_off_frame(&mut self, turn: &mut Turn<'_>) -> bool {
        let rest = &turn.bytes[turn.at..];
        let Some(head) = rest.first_chunk::<4>() else { return false };
        if self.phase == Phase::First {
            if let Some(word) = FourLetterWord::from_bytes(*head) {
                return self.answer_word(turn, word);
            }
            self.phase = Phase::Handshake;
        }
        let length = i32::from_be_bytes(*head);
        let Some(length) =
            usize::try_from(length).ok().filter(|l| *l <= self.service.options.frame_bytes_max)
        else {
            tracing::warn!(
                "Len error. A message from {} with advertised length of {length} is either a malformed message or \
                 too large to process (length is greater than jute.maxbuffer={})",
                shown(self.client.address),
                self.service.options.frame_bytes_max
            );
            self.phase = Phase::Closing;
            return false;
        };
        let Some(frame) = rest.get(4..4 + length) else { return false };
        let start = turn.at + 4;
        let Ok(admitted) = self.admit(turn, start + length, frame) else { return false };
        turn.at = start + length;
        self.tally.received += 1;
        self.tally.received_bytes += 4 + length as u64;
        if self.phase == Phase::Handshake {
            self.on_connect(turn, frame, admitted);
        } else {
            self.on_frame(turn, start, frame, admitted);
        }
        true
    }

    fn on_connect(&mut self, turn: &mut Turn<'_>, frame: &[u8], admitted: Option<Admitted>) {
        let Ok(request) = ConnectRequest::from_bytes(frame) else {
            self.close_malformed("the connect request is malformed");
            return;
        };
        if !turn.service.throttle.admit(turn.now_ms, request.session != SessionId::NONE) {
            turn.service.counters.connections_rejected.fetch_add(1, Relaxed);
            self.phase = Phase::Closing;
            return;
        }
        self.phase = Phase::Connecting;
        let counters = &turn.service.counters;
        counters.connect_requests.fetch_add(1, Relaxed);
        counters.token_deficit.lock().add(turn.service.throttle.deficit());
        if request.session == SessionId::NONE {
            let place = admitted.and_then(|admitted| admitted.place);
            self.asked_for_session = Some(Asked { came_ms: turn.now_ms, _place: place });
        } else {
            counters.resumptions.fetch_add(1, Relaxed);
        }
        let request = SessionRequest {
            last_zxid_seen: request.last_zxid_seen,
            timeout_ms: request.timeout_ms,
            session: request.session,
            password: request.password.unwrap_or_default().to_vec(),
            has_read_only_byte: request.read_only.is_some(),
            takes_read_only: request.read_only == Some(true),
        };
        turn.service.driver.connect(self.client.id, request);
    }

    fn on_frame(&mut self, turn: &mut Turn<'_>, start: usize, frame: &[u8], admitted: Option<Admitted>) {
        let Ok(header) = RequestHeader::from_bytes(frame) else {
            self.close_malformed("a request has no header");
            return;
        };
        let Ok(held) = turn.service.large_requests.take(frame.len()) else {
            self.close_malformed("large requests in flight exceed largeRequestMaxBytes");
            return;
        };
        let body = &frame[8..];
        self.tally.last = Some((header.op, header.xid));
        if header.op == OpCode::Auth.code() {
            self.on_auth(header, body);
        } else if header.op == OpCode::Sasl.code() {
            self.on_sasl(header, body);
        } else if !self.is_authenticated() {
            self.refuse(header, ErrorCode::SessionClosedRequireAuth);
        } else if self.needs_pipeline(header.op) || admitted.as_ref().is_some_and(|it| it.is_refused) {
            self.defer(turn, header, (held, admitted), start + 8, body.len());
        } else {
            self.serve(turn, header, body);
        }
    }

    /// Whether a request cannot be served here and now. A sync of a member of an ensemble waits for its leader.
    fn needs_pipeline(&self, op: i32) -> bool {
        read::is_write(op)
            || !self.unanswered.is_empty()
            || (op == OpCode::Sync.code() && self.service.driver.is_member())
    }

    /// Puts a request into the batch for the driver.
    fn defer(
        &mut self,
        turn: &mut Turn<'_>,
        header: RequestHeader,
        (held, admitted): (Option<Held>, Option<Admitted>),
        start: usize,
        length: usize,
    ) {
        // What follows is decided behind the driver's lock, which comes before the tree's.
        turn.tree = None;
        let is_refused = admitted.as_ref().is_some_and(|admitted| admitted.is_refused);
        let is_update = read::is_write(header.op) && !is_refused;
        let weight = match OpCode::from_code(header.op) {
            _ if is_update || is_refused => 0,
            Some(op) if has_long_reply(op) => self.reads_max,
            _ => 1,
        };
        let place = admitted.and_then(|admitted| admitted.place);
        let came_ms = turn.now_ms;
        self.unanswered.push_back(Unanswered { came_ms, is_update, weight, _held: held, _place: place });
        self.reads_waiting += weight;
        if self.batch.capacity() == 0 {
            self.batch = BATCH.take();
        }
        let (conn, session, RequestHeader { xid, op }) = (self.client.id, self.session, header);
        self.batch.push(if is_refused {
            Input::Refuse { conn, session, xid, error: ErrorCode::ThrottledOp }
        } else {
            let body = turn.shared.part(turn.bytes, start, length);
            Input::Request(Request { conn, session, xid, op, body, identities: self.identities.clone() })
        });
    }

    /// Serves a read here and now.
    fn serve(&mut self, turn: &mut Turn<'_>, header: RequestHeader, body: &[u8]) {
        if turn.tree.is_none() {
            turn.tree = Some(turn.service.driver.tree());
            // Whatever the tree shows from now on, its events are in the mailbox.
            self.collect_mail();
            if self.phase != Phase::Open {
                return;
            }
        }
        let tree = turn.tree.as_deref().expect("the tree was just locked");
        let mut watches = read::touches_watches(header.op, body).then(|| turn.service.driver.watches());
        let read = Read {
            conn: self.client.id,
            session: self.session,
            xid: header.xid,
            op: header.op,
            body,
            identities: &self.identities,
        };
        let options = &turn.service.options.read;
        let begin = self.out.len();
        let served =
            read::serve(tree, watches.as_deref_mut(), &read, options, &mut self.traffic, &mut self.out);
        self.tally.reads += 1;
        self.tally.sent += 1;
        let sent = if header.op == OpCode::Ping.code() { Sent::Pong } else { Sent::Answer };
        self.tally.responses.add((self.out.len() - begin).saturating_sub(4) as u64, sent);
        self.tally.zxid = tree.last_zxid().0;
        if served == Served::AnsweredForTheLastTime {
            self.phase = Phase::Closing;
        }
    }

    /// Authentication is answered at once and overtakes what is in the pipeline, as in Java.
    fn on_auth(&mut self, header: RequestHeader, body: &[u8]) {
        let Ok(packet) = AuthPacket::decode(&mut self.reader(body)) else {
            self.close_malformed("an auth packet is malformed");
            return;
        };
        let ensemble_name = (packet.scheme.as_deref() == Some("ensemble"))
            .then(|| packet.auth.is_some_and(|name| !name.is_empty()));
        let address = self.client.address.ip().to_canonical().to_string();
        match authenticate(&packet, &self.identities, &address, &self.service.options.auth) {
            Ok(identities) if is_too_much(&identities) => {
                let scheme = packet.scheme.as_deref().unwrap_or_default().escape_debug();
                tracing::warn!("Authentication failed for scheme: {scheme}: too many identities");
                self.refuse(header, ErrorCode::AuthFailed);
            }
            Ok(identities) => {
                if let Some(is_given) = ensemble_name {
                    self.count_ensemble_name(is_given);
                }
                tracing::info!(
                    "Session {}: auth success for scheme {} and address {}",
                    self.session,
                    packet.scheme.as_deref().unwrap_or_default().escape_debug(),
                    shown(self.client.address)
                );
                self.identities = identities;
                let mut watches = self.service.driver.watches();
                watches.authenticate(self.client.id, self.identities.clone());
                drop(watches);
                self.answer_at_once(header.xid, 0, |_| ());
            }
            Err(AuthRefused::WrongEnsemble) => {
                self.service.counters.ensemble_names.unknown.fetch_add(1, Relaxed);
                self.phase = Phase::Closing;
            }
            Err(refused) => {
                let scheme = packet.scheme.as_deref().unwrap_or("null").escape_debug();
                if refused == AuthRefused::UnknownScheme {
                    tracing::warn!("No authentication provider for scheme: {scheme}");
                } else {
                    tracing::warn!("Authentication failed for scheme: {scheme}: {refused}");
                }
                self.refuse(header, ErrorCode::AuthFailed);
            }
        }
    }

    /// A name that was believed was compared, or there was nothing to compare.
    fn count_ensemble_name(&self, is_given: bool) {
        let configured = self.service.options.auth.ensemble_names.as_ref();
        let is_compared = is_given && configured.is_some_and(|names| !names.is_empty());
        let judged = &self.service.counters.ensemble_names;
        if is_compared { &judged.known } else { &judged.skipped }.fetch_add(1, Relaxed);
    }

    /// Without a SASL configuration the answer is a null token and the connection goes on.
    fn on_sasl(&mut self, header: RequestHeader, body: &[u8]) {
        if !SaslRequest::decode(&mut self.reader(body)).is_ok_and(|packet| packet.token.is_some()) {
            self.close_malformed("a SASL packet is malformed");
            return;
        }
        self.answer_at_once(header.xid, 0, |w| w.buffer(None));
    }

    /// What cannot be understood where it decides about the connection ends it without a word, as in Java.
    fn close_malformed(&mut self, what: &str) {
        tracing::warn!("Closing the connection from {}: {what}", self.client.address);
        self.phase = Phase::Closing;
    }

    fn reader<'b>(&self, body: &'b [u8]) -> Reader<'b> {
        Reader::with_limits(body, self.service.options.read.limits)
    }

    fn is_authenticated(&self) -> bool {
        let schemes = &self.service.options.enforced_schemes;
        schemes.is_empty() || self.identities.iter().any(|id| schemes.iter().any(|s| s == id.scheme()))
    }

    fn refuse(&mut self, header: RequestHeader, error: ErrorCode) {
        self.answer_at_once(header.xid, error.code(), |_| ());
        self.phase = Phase::Closing;
    }

    fn answer_at_once(&mut self, xid: i32, err: i32, body: impl FnOnce(&mut Writer<'_>)) {
        let mut w = Writer::new(&mut self.out);
        let length = w.reserve_int();
        ReplyHeader { xid, zxid: Zxid::ZERO, err }.encode(&mut w);
        body(&mut w);
        w.fill_length(length);
        self.tally.sent += 1;
    }

    /// Reads one chunk and works it off. `Ready(false)` is the end of the stream.
    fn read_chunk(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        CHUNK.with_borrow_mut(|chunk| {
            let mut buffer = ReadBuf::new(chunk);
            match Pin::new(&mut self.socket).poll_read(context, &mut buffer) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(false),
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                    self.service.counters.clients_gone.fetch_add(1, Relaxed);
                    return Poll::Ready(false);
                }
                Poll::Ready(Ok(())) => (),
            }
            let filled = buffer.filled();
            if self.input.is_empty() {
                let done = self.work_off(filled);
                self.input.extend_from_slice(&filled[done..]);
                self.note_received(filled.len() - done);
            } else {
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
            self.input = input;
        }
        if let Some(line) = &mut self.line {
            line.note_done(done);
        }
    }

    /// Says what is left unsent at the end of a turn.
    fn settle(&self) {
        let registry = &self.service.driver.registry;
        self.client.set_unsent(self.unsent(), &registry.backlog);
        if self.unsent() > 0 && registry.backlog.is_too_much() {
            let to_wake = registry.backlog.close_largest(&registry.lock());
            to_wake.into_iter().for_each(Client::wake);
        }
    }

    /// Sends what there is; `Ready(false)` if the client is gone.
    fn flush(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        while self.out_sent < self.out.len() {
            match Pin::new(&mut self.socket).poll_write(context, &self.out[self.out_sent..]) {
                Poll::Pending => {
                    forget_sent(&mut self.out, &mut self.out_sent);
                    return Poll::Pending;
                }
                Poll::Ready(Ok(sent)) if sent > 0 => self.out_sent += sent,
                Poll::Ready(_) => return Poll::Ready(false),
            }
        }
        self.out.clear();
        self.out_sent = 0;
        Poll::Ready(true)
    }

    /// A client that takes its answers is alive; whatever it says meanwhile is not read.
    fn note_sign_of_life(&mut self) {
        let service = self.service.clone();
        let now_ms = service.driver.clock.monotonic_ms();
        self.client.counters.heard_ms.store(now_ms, Relaxed);
        self.submit(&service, now_ms);
    }

    fn borrow_buffer(&mut self) {
        if self.out.capacity() == 0 {
            self.out = OUT.take();
        }
    }

    fn return_buffer(&mut self) {
        if self.out.is_empty() {
            let out = std::mem::take(&mut self.out);
            if out.capacity() <= KEPT_BUFFER_BYTES_MAX {
                OUT.set(out);
            }
        }
        if self.batch.is_empty() && self.batch.capacity() > 0 {
            let batch = std::mem::take(&mut self.batch);
            if batch.capacity() <= KEPT_BATCH_MAX {
                BATCH.set(batch);
            }
        }
    }

    /// Adds what this turn did to the figures.
    fn publish_tally(&mut self) {
        let tally = std::mem::take(&mut self.tally);
        if tally.received == 0 && tally.sent == 0 {
            return;
        }
        let counters = &self.service.counters;
        counters.received.fetch_add(tally.received, Relaxed);
        counters.received_bytes.fetch_add(tally.received_bytes, Relaxed);
        counters.sent.fetch_add(tally.sent, Relaxed);
        let mut latency = tally.pipeline;
        let reads = Summary { min: 0, max: 0, sum: 0, count: tally.reads };
        latency.merge(&reads);
        if tally.reads > 0 {
            counters.reads_by_namespace.lock().absorb(&mut self.traffic);
            counters.responses.lock().merge(&tally.responses);
            counters.latency.lock().add_instant_reads(tally.reads);
        }
        let mut figures = self.client.counters.figures.lock();
        figures.received += tally.received;
        figures.sent += tally.sent;
        figures.outstanding = self.unanswered.len() as u64;
        figures.latency.merge(&latency);
        figures.last_zxid = figures.last_zxid.max(tally.zxid);
        if let Some((op, xid)) = tally.last {
            figures.last_op = op;
            figures.last_cxid = i64::from(xid);
            figures.last_response_ms = wall_ms();
            figures.last_latency_ms = tally.pipeline.max;
        }
    }

    /// One turn; true when the connection has ended.
    fn turn(&mut self, context: &mut Context<'_>) -> bool {
        let mut is_read_dry = false;
        self.set_pace();
        self.look_in_line(context);
        for chunk in 0.. {
            self.collect_mail();
            if !self.input.is_empty() && self.may_go_on() {
                self.work_off_input();
                self.collect_mail();
            }
            if self.phase == Phase::Asking {
                self.poll_answer(context);
            }
            if self.is_abandoned() || !(self.may_go_on() || self.may_read_ahead()) {
                break;
            }
            if chunk == CHUNKS_PER_TURN_MAX {
                context.waker().wake_by_ref();
                break;
            }
            match self.read_chunk(context) {
                Poll::Pending => {
                    is_read_dry = true;
                    break;
                }
                Poll::Ready(true) => (),
                Poll::Ready(false) if self.outlives_its_client() => break,
                Poll::Ready(false) => return true,
            }
        }
        if self.look_in_line(context) {
            context.waker().wake_by_ref();
        }
        if self.is_abandoned() {
            self.out.clear();
            self.out_sent = 0;
        }
        // Whoever has an answer finds it counted.
        self.publish_tally();
        if self.is_aborted {
            return true;
        }
        let was_unsent_much = self.is_unsent_much();
        let unsent_before = self.unsent();
        let flushed = self.flush(context);
        if was_unsent_much && self.unsent() != unsent_before {
            self.note_sign_of_life();
        }
        self.settle();
        match flushed {
            Poll::Pending => false,
            Poll::Ready(false) => true,
            Poll::Ready(true)
                if self.phase == Phase::Closing || (self.is_abandoned() && self.may_go_on()) =>
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

impl Future for Connection {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.client.listen(context.waker());
        this.borrow_buffer();
        let ended = this.turn(context);
        this.return_buffer();
        if ended { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.service.driver.watches().disconnect(self.client.id);
        if self.service.driver.is_member() && self.session != SessionId::NONE {
            self.service.driver.feed([Input::Gone { conn: self.client.id, session: self.session }]);
        }
        self.service.driver.registry.remove(self.client.id);
        self.service.counters.in_flight.fetch_sub(self.unanswered.len() as i64, Relaxed);
    }
}

/// One run over a chunk of bytes.
struct Turn<'t> {
    service: &'t Service,
    bytes: &'t [u8],
    at: usize,
    now_ms: i64,
    /// Locked with the first read, until something else comes.
    tree: Option<RwLockReadGuard<'t, Tree>>,
    /// A copy of a part of the chunk, which the requests for the driver share.
    shared: Shared,
}

/// A copy of a part of a chunk.
#[derive(Debug, Default)]
struct Shared {
    from: usize,
    bytes: Bytes,
}

impl Shared {
    /// A part of `chunk`; those that are asked for come one behind the other. Each holds its copy as a whole for as long as
    /// the request waits, and nobody knows how many will share it: so the copy is short.
    fn part(&mut self, chunk: &[u8], start: usize, length: usize) -> Bytes {
        if self.from + self.bytes.len() < start + length {
            let end = chunk.len().min(start + length.max(SHARED_BYTES));
            *self = Self { from: start, bytes: Bytes::copy_from_slice(&chunk[start..end]) };
        }
        self.bytes.slice(start - self.from..start - self.from + length)
    }
}

/// Forgets what is sent, when that costs no more than sending it did: the buffer of a client that always has something
/// left to take would grow for ever.
fn forget_sent(out: &mut Vec<u8>, sent: &mut usize) {
    if out.len() <= 2 * *sent {
        out.drain(..*sent);
        *sent = 0;
    }
}

/// Whether somebody claims to be more people than anybody is, or has a longer name than anybody.
fn is_too_much(identities: &Identities) -> bool {
    let length = |id: &zabd_jute::Id<'_>| id.id.as_deref().map_or(0, str::len);
    identities.len() > IDENTITIES_MAX || identities.iter().map(length).sum::<usize>() > IDENTITY_BYTES_MAX
}

/// Whether a reply may be longer than the largest znode.
fn has_long_reply(op: OpCode) -> bool {
    use OpCode as Op;
    matches!(op, Op::GetChildren | Op::GetChildren2 | Op::GetEphemerals | Op::MultiRead)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client takes a stream of answers more slowly than the server could send it, and always has some left to take.
    #[test]
    fn what_is_sent_takes_no_room_although_there_is_always_more() {
        const PIECE: usize = 10_000;
        let (mut out, mut sent) = (vec![0; PIECE], 0);
        for number in 1..=1000_usize {
            out.extend([number as u8; PIECE]);
            sent += PIECE;
            forget_sent(&mut out, &mut sent);
            assert_eq!(out[sent..], [number as u8; PIECE]);
        }
        assert!(out.capacity() < 10 * PIECE, "{} bytes", out.capacity());
    }

    /// A client that sends thousands of requests at once, of which the server takes one at a time, would otherwise hold as
    /// many copies of all of them.
    #[test]
    fn a_request_holds_little_more_than_itself() {
        let chunk: Vec<u8> = (0..CHUNK_BYTES).map(|at| at as u8).collect();
        let mut shared = Shared::default();
        let mut copies = 0;
        for start in (0..chunk.len() - 100).step_by(100) {
            let from = shared.from;
            assert_eq!(shared.part(&chunk, start, 90), chunk[start..start + 90]);
            assert!(shared.bytes.len() <= SHARED_BYTES);
            copies += usize::from(shared.from != from);
        }
        assert!(copies < 20, "{copies} for small requests in a row");
        let mut shared = Shared::default();
        assert_eq!(shared.part(&chunk, 10, 30_000), chunk[10..30_010], "a large one has its own");
        assert_eq!(shared.bytes.len(), 30_000);
        assert_eq!(shared.part(&chunk, chunk.len() - 1, 1), chunk[chunk.len() - 1..]);
        assert_eq!(shared.part(&chunk, chunk.len(), 0), b""[..]);
    }
}
