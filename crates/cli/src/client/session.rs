//! What the thread that keeps the session and those who ask share, behind one lock.
//!
//! A packet is in `waiting` until a server serves the session, then in `sent` until its answer comes. Both are failed when a
//! connection is lost *or does not come about*: a command says that there is no server and does not hang until there is one.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use zabd_jute::client::{
    AuthPacket, ConnectRequest, ReplyHeader, RequestHeader, SaslRequest, SetWatches, WatcherEvent,
};
use zabd_jute::{ErrorCode, OpCode, Reader, Record as _, SessionId, Writer, Zxid};

use super::event::{Event, EventState, EventType, State};
use super::operations::WatcherType;
use super::stream::Stream;
use super::watches::{Registration, Watches};
use super::{Listener, failure};

/// What is reserved: events, pings, identities, watches set again.
pub const XID_EVENT: i32 = -1;
pub const XID_PING: i32 = -2;
pub const XID_AUTH: i32 = -4;
pub const XID_SET_WATCHES: i32 = -8;

/// How many bytes of paths one request to set watches again carries, so that the server takes it.
const SET_WATCHES_BYTES: usize = 128 * 1024;

/// An answer: an error, or the body.
#[derive(Debug)]
pub struct Reply {
    /// 0, or `KeeperException.Code`.
    pub err: i32,
    /// Empty if `err` is not 0.
    pub body: Vec<u8>,
}

impl Reply {
    /// An answer without a body.
    pub fn error(err: i32) -> Self {
        Self { err, body: Vec::new() }
    }
}

/// Where an answer comes.
pub type Answer = mpsc::Receiver<Reply>;

/// What a request does to the watches when it is answered.
#[derive(Debug)]
pub enum WatchChange {
    /// It leaves one.
    Leave(Registration),
    /// It removes some.
    Remove { kind: WatcherType, is_local: bool },
}

/// A request.
#[derive(Debug)]
pub struct Packet {
    xid: i32,
    op: OpCode,
    body: Vec<u8>,
    /// With the path as this client names it.
    watch: Option<(WatchChange, String)>,
    answer: mpsc::Sender<Reply>,
    /// What is answered when nothing comes.
    loss: i32,
}

impl Packet {
    /// A request, and where its answer comes.
    pub fn new(op: OpCode, body: Vec<u8>) -> (Self, Answer) {
        let (answer, received) = mpsc::channel();
        (Self { xid: 0, op, body, watch: None, answer, loss: failure::CONNECTION_LOSS }, received)
    }

    /// The same, with what it does to watches.
    #[must_use]
    pub fn with_watch(mut self, change: WatchChange, path: &str) -> Self {
        self.watch = Some((change, path.to_owned()));
        self
    }

    /// Answers that nobody knows.
    pub fn lose(self) {
        let loss = Reply::error(self.loss);
        self.finish(loss);
    }

    fn finish(self, reply: Reply) {
        // Whoever asked may have given up.
        let _ = self.answer.send(reply);
    }
}

/// What a frame made happen, to be told without the lock: first the events, then the answer.
#[derive(Debug, Default)]
pub struct Happened {
    events: Vec<Event>,
    answers: Vec<(Packet, Reply)>,
}

/// The state of a session.
pub struct Session {
    pub state: State,
    /// Nothing more is asked for, and no other server is looked for.
    pub is_closing: bool,
    /// The client's own, 0 before the first server that takes writes.
    pub id: SessionId,
    pub password: Vec<u8>,
    pub has_met_writer: bool,
    pub last_zxid: Zxid,
    pub last_sent: Instant,
    pub watches: Watches,
    keeps_watches: bool,
    chroot: Option<String>,
    next_xid: i32,
    waiting: VecDeque<Packet>,
    sent: VecDeque<Packet>,
    identities: Vec<(String, Option<Vec<u8>>)>,
    /// Set while a server serves the session.
    stream: Option<Arc<Stream>>,
    /// The state in the last event: the same is not told twice.
    told: EventState,
}

impl Session {
    /// A session that does not exist yet.
    pub fn new(chroot: Option<String>, keeps_watches: bool) -> Self {
        Self {
            state: State::Connecting,
            is_closing: false,
            id: SessionId::NONE,
            password: vec![0; 16],
            has_met_writer: false,
            last_zxid: Zxid::ZERO,
            last_sent: Instant::now(),
            watches: Watches::default(),
            keeps_watches,
            chroot,
            next_xid: 1,
            waiting: VecDeque::new(),
            sent: VecDeque::new(),
            identities: Vec::new(),
            stream: None,
            told: EventState::Disconnected,
        }
    }

    /// Whether a server serves it.
    pub fn is_connected(&self) -> bool {
        self.stream.is_some()
    }

    /// The first thing to say on a connection.
    pub fn connect_request(&self, timeout: Duration, is_read_only_enough: bool) -> Vec<u8> {
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: self.last_zxid,
            timeout_ms: i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX),
            session: if self.has_met_writer { self.id } else { SessionId::NONE },
            password: Some(&self.password),
            read_only: Some(is_read_only_enough),
        };
        frame(|w| request.encode(w))
    }

    /// A server has taken the session: identities, watches and what waits go out.
    pub fn established(&mut self, stream: Arc<Stream>) {
        self.stream = Some(stream);
        for (scheme, credentials) in std::mem::take(&mut self.identities) {
            self.send_identity(&scheme, credentials.as_deref());
            self.identities.push((scheme, credentials));
        }
        if self.keeps_watches && !self.watches.is_empty() {
            for request in self.watches_again() {
                let op = match (&request.persistent[..], &request.persistent_recursive[..]) {
                    ([], []) => OpCode::SetWatches,
                    _ => OpCode::SetWatches2,
                };
                self.send(XID_SET_WATCHES, op, |w| match op {
                    OpCode::SetWatches => request.encode(w),
                    _ => request.encode2(w),
                });
            }
        }
        self.send_waiting();
    }

    fn watches_again(&self) -> Vec<SetWatches<'static>> {
        let Watches { data, exist, children, persistent, recursive } = &self.watches;
        let mut requests: Vec<SetWatches<'static>> = Vec::new();
        let mut room = 0;
        for (kind, paths) in [data, exist, children, persistent, recursive].into_iter().enumerate() {
            for path in paths {
                if room == 0 {
                    requests.push(SetWatches { relative_zxid: self.last_zxid, ..SetWatches::default() });
                    room = SET_WATCHES_BYTES;
                }
                let path = self.server_path(path);
                room = room.saturating_sub(path.len());
                let request = requests.last_mut().expect("there is room in the last one");
                let lists = [
                    &mut request.data,
                    &mut request.exist,
                    &mut request.child,
                    &mut request.persistent,
                    &mut request.persistent_recursive,
                ];
                lists[kind].push(path.into());
            }
        }
        requests
    }

    /// A path as the server names it.
    pub fn server_path(&self, path: &str) -> String {
        match self.chroot.as_deref() {
            None => path.to_owned(),
            Some(chroot) if path.len() == 1 => chroot.to_owned(),
            Some(chroot) => format!("{chroot}{path}"),
        }
    }

    fn client_path<'a>(&self, path: &'a str) -> &'a str {
        match self.chroot.as_deref().and_then(|chroot| path.strip_prefix(chroot)) {
            None => path,
            Some("") => "/",
            Some(below) => below,
        }
    }

    /// Sends a packet now or when there is a server.
    pub fn submit(&mut self, packet: Packet) {
        if !self.state.is_alive() || self.is_closing {
            return Packet { loss: self.loss(), ..packet }.lose();
        }
        self.waiting.push_back(packet);
        self.send_waiting();
    }

    fn send_waiting(&mut self) {
        while self.is_connected()
            && let Some(mut packet) = self.waiting.pop_front()
        {
            packet.xid = self.take_xid();
            self.send(packet.xid, packet.op, |w| w.bytes(&packet.body));
            self.sent.push_back(packet);
        }
    }

    fn take_xid(&mut self) -> i32 {
        let xid = self.next_xid;
        self.next_xid = xid.checked_add(1).unwrap_or(1);
        xid
    }

    fn send(&mut self, xid: i32, op: OpCode, body: impl FnOnce(&mut Writer<'_>)) {
        let Some(stream) = self.stream.as_ref() else { return };
        let bytes = request(xid, op, body);
        self.last_sent = Instant::now();
        if stream.send(&bytes).is_err() {
            self.disconnect();
        }
    }

    /// One step of an exchange of SASL, to be sent before anything else that needs an answer.
    pub fn sasl_request(&mut self, token: &[u8]) -> Vec<u8> {
        self.last_sent = Instant::now();
        request(self.take_xid(), OpCode::Sasl, |w| SaslRequest { token: Some(token) }.encode(w))
    }

    /// Says that this client lives.
    pub fn send_ping(&mut self) {
        self.send(XID_PING, OpCode::Ping, |_| ());
    }

    /// See [`super::Client::add_identity`].
    pub fn add_identity(&mut self, scheme: &str, credentials: Option<&[u8]>) {
        if self.state.is_alive() {
            self.identities.push((scheme.to_owned(), credentials.map(<[u8]>::to_vec)));
            self.send_identity(scheme, credentials);
        }
    }

    fn send_identity(&mut self, scheme: &str, credentials: Option<&[u8]>) {
        let packet = AuthPacket { kind: 0, scheme: Some(scheme.into()), auth: credentials };
        self.send(XID_AUTH, OpCode::Auth, |w| packet.encode(w));
    }

    /// Ends the connection; the thread that reads it finds out.
    pub fn disconnect(&mut self) {
        if let Some(stream) = &self.stream {
            stream.shut();
        }
    }

    /// Takes a server's frame apart; an error means that the connection is of no use.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Happened, &'static str> {
        let mut reader = Reader::new(bytes);
        let header = ReplyHeader::decode(&mut reader).map_err(|_| "a reply without a header")?;
        match header.xid {
            XID_PING | XID_SET_WATCHES => Ok(Happened::default()),
            XID_AUTH => Ok(self.on_identity(header.err)),
            XID_EVENT => {
                let event = WatcherEvent::decode(&mut reader).map_err(|_| "an event that is none")?;
                Ok(self.on_event(&event, header.zxid))
            }
            _ => self.on_reply(header, reader.remaining()),
        }
    }

    fn on_identity(&mut self, err: i32) -> Happened {
        if err == ErrorCode::AuthFailed.code() {
            return self.on_unauthenticated(EventState::AuthFailed);
        }
        Happened::default()
    }

    fn on_event(&mut self, event: &WatcherEvent<'_>, zxid: Zxid) -> Happened {
        let mut happened = Happened::default();
        let path = self.client_path(&event.path).to_owned();
        if let Some(kind) = EventType::from_wire(event.kind) {
            self.told = EventState::SyncConnected;
            if self.watches.fire(kind, &path) {
                happened.events.push(Event {
                    state: EventState::SyncConnected,
                    kind,
                    path: Some(path),
                    zxid: zxid.0,
                });
            }
        }
        happened
    }

    fn on_reply(&mut self, header: ReplyHeader, body: &[u8]) -> Result<Happened, &'static str> {
        let packet = self.sent.pop_front().ok_or("an answer to nothing")?;
        if packet.xid != header.xid {
            self.sent.push_front(packet);
            return Err("answers in another order");
        }
        if header.zxid > Zxid::ZERO {
            self.last_zxid = header.zxid;
        }
        let body = if header.err == 0 { body.to_vec() } else { Vec::new() };
        let mut happened = Happened::default();
        self.answered(packet, Reply { err: header.err, body }, &mut happened);
        Ok(happened)
    }

    fn answered(&mut self, packet: Packet, mut reply: Reply, happened: &mut Happened) {
        match &packet.watch {
            None => (),
            Some((WatchChange::Leave(registration), path)) => {
                self.watches.register(*registration, path, reply.err);
            }
            Some((WatchChange::Remove { kind, is_local }, path)) => {
                match self.watches.remove(path, *kind, *is_local, reply.err) {
                    Err(err) => reply.err = err,
                    Ok(removed) => {
                        let state = match reply.err {
                            failure::CONNECTION_LOSS | SESSION_EXPIRED => EventState::Disconnected,
                            _ => EventState::SyncConnected,
                        };
                        for kind in removed {
                            self.told = state;
                            reply.err = 0;
                            happened.events.push(Event { state, kind, path: Some(path.clone()), zxid: -1 });
                        }
                    }
                }
            }
        }
        happened.answers.push((packet, reply));
    }

    /// The server and this client have proved to each other who they are.
    pub fn on_authenticated(&mut self) -> Option<Event> {
        self.tell_once(EventState::SaslAuthenticated)
    }

    /// They have not, and the session ends with that.
    pub fn on_unauthenticated(&mut self, told: EventState) -> Happened {
        let mut happened = Happened::default();
        happened.events.extend(self.tell_once(told));
        self.lost_packets(State::AuthFailed, &mut happened);
        happened
    }

    /// This client cannot even try; the session may go on without.
    pub fn on_no_login(&mut self) -> Option<Event> {
        self.tell_once(EventState::AuthFailed)
    }

    /// The session is served, or served for reads.
    pub fn on_connected(&mut self, is_read_only: bool) -> Option<Event> {
        self.has_met_writer |= !is_read_only;
        self.state = if is_read_only { State::ConnectedReadOnly } else { State::Connected };
        self.tell_once(if is_read_only { EventState::ConnectedReadOnly } else { EventState::SyncConnected })
    }

    /// A connection is gone, or has not come about: whoever waits is told.
    pub fn on_disconnected(&mut self) -> Happened {
        let mut happened = Happened::default();
        self.lost_packets(self.state, &mut happened);
        if self.state.is_alive() && !self.is_closing {
            self.state = State::Connecting;
            if !self.keeps_watches {
                self.watches.clear_one_shot();
            }
            happened.events.extend(self.tell_once(EventState::Disconnected));
        }
        happened
    }

    /// The server, or the clock, says that the session is no more.
    pub fn on_expired(&mut self) -> Happened {
        let mut happened = Happened::default();
        self.lost_packets(State::Closed, &mut happened);
        happened.events.extend(self.tell_once(EventState::Expired));
        happened
    }

    fn lost_packets(&mut self, state: State, happened: &mut Happened) {
        for packet in self.end_as(state) {
            let loss = Reply::error(packet.loss);
            self.answered(packet, loss, happened);
        }
    }

    /// The end of the session; gives what nobody will answer.
    pub fn end(&mut self, state: State) -> Vec<Packet> {
        self.told = EventState::Closed;
        self.end_as(state)
    }

    fn end_as(&mut self, state: State) -> Vec<Packet> {
        self.state = state;
        self.disconnect();
        self.stream = None;
        let loss = self.loss();
        let packets = self.sent.drain(..).chain(self.waiting.drain(..));
        packets.map(|packet| Packet { loss, ..packet }).collect()
    }

    /// What a request gets that nobody answers.
    fn loss(&self) -> i32 {
        match self.state {
            State::AuthFailed => ErrorCode::AuthFailed.code(),
            State::Closed => SESSION_EXPIRED,
            _ if self.is_closing => SESSION_EXPIRED,
            _ => failure::CONNECTION_LOSS,
        }
    }

    fn tell_once(&mut self, state: EventState) -> Option<Event> {
        (std::mem::replace(&mut self.told, state) != state).then(|| Event::of_session(state))
    }
}

const SESSION_EXPIRED: i32 = -112;

/// A request with its length before it.
fn request(xid: i32, op: OpCode, body: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    frame(|w| {
        RequestHeader { xid, op: op.code() }.encode(w);
        body(w);
    })
}

/// A record with its length before it.
fn frame(body: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    let place = writer.reserve_int();
    body(&mut writer);
    writer.fill_length(place);
    bytes
}

/// A session, its lock, and whoever listens.
pub struct Shared {
    session: Mutex<Session>,
    changed: Condvar,
    listener: Box<dyn Listener>,
}

impl Shared {
    /// Puts a session behind a lock.
    pub fn new(session: Session, listener: Box<dyn Listener>) -> Self {
        Self { session: Mutex::new(session), changed: Condvar::new(), listener }
    }

    /// A panic of the other thread is no reason to hang on exit.
    pub fn lock(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands in a request.
    pub fn submit(&self, packet: Packet) {
        self.lock().submit(packet);
    }

    /// Waits, but not behind the end of the session.
    pub fn pause(&self, time: Duration) {
        self.pause_while(time, |session| session.state.is_alive() && !session.is_closing);
    }

    /// Waits while something holds, but no longer than this.
    pub fn pause_while(&self, time: Duration, mut holds: impl FnMut(&Session) -> bool) {
        // Whether it held to the end is asked by whoever goes on.
        drop(self.changed.wait_timeout_while(self.lock(), time, |session| holds(session)));
    }

    /// Has those who pause look again.
    pub fn wake(&self) {
        self.changed.notify_all();
    }

    /// Tells an event.
    pub fn tell(&self, event: &Event) {
        self.listener.on_event(event);
    }

    /// Tells why there is no server, or not the one that was wanted.
    pub fn complain(&self, problem: &str) {
        self.listener.on_problem(problem);
    }

    /// Tells what happened: events, then answers.
    pub fn tell_all(&self, happened: Happened) {
        happened.events.iter().for_each(|event| self.tell(event));
        for (packet, reply) in happened.answers {
            packet.finish(reply);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(chroot: Option<&str>) -> Session {
        Session::new(chroot.map(str::to_owned), true)
    }

    fn errors(happened: &Happened) -> Vec<i32> {
        happened.answers.iter().map(|(_, reply)| reply.err).collect()
    }

    fn states(happened: &Happened) -> Vec<EventState> {
        happened.events.iter().map(|event| event.state).collect()
    }

    /// A frame from a server, without its length.
    fn event_frame(kind: i32, path: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        ReplyHeader { xid: XID_EVENT, zxid: Zxid(7), err: 0 }.encode(&mut writer);
        WatcherEvent { kind, state: 3, path: path.into() }.encode(&mut writer);
        bytes
    }

    #[test]
    fn what_waits_is_lost_with_each_attempt_that_fails() {
        let mut session = session(None);
        session.submit(Packet::new(OpCode::Exists, Vec::new()).0);
        let happened = session.on_disconnected();
        assert_eq!(errors(&happened), [failure::CONNECTION_LOSS]);
        assert_eq!(states(&happened), [], "nobody was connected yet");
        assert!(session.on_connected(false).is_some());
        assert_eq!(states(&session.on_disconnected()), [EventState::Disconnected]);
        assert_eq!(states(&session.on_disconnected()), [], "it is told once");
    }

    #[test]
    fn behind_its_end_nothing_is_sent() {
        for (end, loss) in
            [(State::Closed, SESSION_EXPIRED), (State::AuthFailed, ErrorCode::AuthFailed.code())]
        {
            let mut session = session(None);
            assert_eq!(session.end(end).len(), 0);
            let (packet, answer) = Packet::new(OpCode::Exists, Vec::new());
            session.submit(packet);
            assert_eq!(answer.try_recv().expect("an answer at once").err, loss);
        }
    }

    #[test]
    fn an_expired_session_loses_what_waits_and_says_so_once() {
        let mut session = session(None);
        session.submit(Packet::new(OpCode::Exists, Vec::new()).0);
        let happened = session.on_expired();
        assert_eq!(
            (errors(&happened), states(&happened)),
            (vec![SESSION_EXPIRED], vec![EventState::Expired])
        );
        let happened = session.on_disconnected();
        assert_eq!((session.state, states(&happened)), (State::Closed, vec![]));
    }

    #[test]
    fn events_come_to_those_who_asked_under_the_clients_own_names() {
        let mut session = session(Some("/app"));
        session.watches.register(Registration::Data, "/", 0);
        session.watches.register(Registration::Children, "/a", 0);
        let mut told = |kind, path| {
            let happened = session.receive(&event_frame(kind, path)).expect("an event");
            happened.events.first().map(ToString::to_string)
        };
        let event = |kind: &str, path: &str| {
            Some(format!("WatchedEvent state:SyncConnected type:{kind} path:{path} zxid: 7"))
        };
        assert_eq!(told(3, "/app"), event("NodeDataChanged", "/"));
        assert_eq!(told(3, "/app"), None, "it was used up");
        assert_eq!(told(4, "/app/a"), event("NodeChildrenChanged", "/a"));
        assert_eq!(told(4, "/app/b"), None, "nobody asked");
    }

    #[test]
    fn a_local_removal_needs_no_server() {
        for (is_local, left) in [(true, 0), (false, failure::CONNECTION_LOSS)] {
            let mut session = session(None);
            session.watches.register(Registration::Data, "/a", 0);
            let remove = WatchChange::Remove { kind: WatcherType::Any, is_local };
            session.submit(Packet::new(OpCode::RemoveWatches, Vec::new()).0.with_watch(remove, "/a"));
            let happened = session.on_disconnected();
            assert_eq!(errors(&happened), [left]);
            assert_eq!(session.watches.is_empty(), is_local);
        }
    }

    #[test]
    fn watches_are_set_again_in_requests_of_bounded_size() {
        let mut session = session(Some("/app"));
        let long = "x".repeat(SET_WATCHES_BYTES / 2);
        for name in ["a", "b", "c"] {
            session.watches.register(Registration::Data, &format!("/{name}{long}"), 0);
        }
        session.watches.register(Registration::Persistent, "/", 0);
        let requests = session.watches_again();
        assert_eq!(requests.iter().map(|request| request.data.len()).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(requests[1].persistent, ["/app"]);
    }

    #[test]
    fn what_no_server_says_ends_the_connection() {
        let mut session = session(None);
        assert_eq!(session.receive(&[1, 2]).err(), Some("a reply without a header"));
        assert_eq!(session.receive(&[0; 16]).err(), Some("an answer to nothing"));
    }
}
