//! The election port: one connection between any two servers, and at most one message waiting for it.
//!
//! Either side may dial; the connection that stays is always the one **dialled by the higher id**. So whoever
//! has the lower id dials only to say «call me»: it writes the initial message, closes, and is dialled back at
//! the address that the message gave. The one with the higher id takes that for «I have just started»: what
//! it holds as a connection may be dead without its knowing, so it lets go of it and dials, unless it has done so
//! just now. Of several connections the newest counts.
//!
//! Only the newest word matters in an election, so a message that could not be sent yet is replaced by the
//! next one. A message may be lost with its connection, so a new connection begins with the last one that was
//! ever sent to that peer. It may be as old as it likes; see [`crate::election`] for who must know.
//!
//! ```text
//!  peer:    no connection ◄──────────── Closed, replaced ───────────┐
//!            │ a message, connect-all, a retry                      │
//!            ▼                                                      │
//!          dialling ──► dialled ──► lower id: adopted ──────────► LinkUp
//!            │            └──────► higher id: closed,               ▲
//!            ▼                      it calls back ──► introduced ───┘
//!          retry after 100 ms, 200 ms, … 1 s, for as long as the peer is a voter
//! ```
//!
//! Nothing here waits for anybody: a peer that hangs has one frame handed over and one in its place, and all
//! others are served. Every dial names hosts as they are configured; whoever carries it out resolves them
//! anew. Left out: TLS, and SASL where a server has been dialled, both of which are done on the connection before it is reported
//! here; and SASL where one has dialled, which whoever carries the connection does behind the initial message.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bytes::Bytes;
use zabd_jute::ServerId;
use zabd_jute::quorum::{Address, Configuration, InitialForm, InitialMessage};

use crate::effect::Instant;

/// The first wait between two dials to one peer; each failure doubles it.
const RETRY_MS_MIN: i64 = 100;
/// The longest such wait: a peer that is there again is found within this time.
const RETRY_MS_MAX: i64 = 1000;
/// How long a peer that was asked to call has for it. Asking again makes it drop the connection that it may
/// just have made.
const CALL_BACK_MS: i64 = 1000;
/// How long a call for a connection and a dial that makes one can cross. A connection, or a dial, of this age is
/// taken for what is called for; an older connection may be dead, and an older dial may go where the peer no longer is.
const CROSSING_MS: i64 = 200;
/// How many servers that are in no configuration may be connected or be called back. Joiners are such, and
/// whoever can reach the port can claim to be one.
const STRANGERS_MAX: usize = 64;
/// The length in front of every frame.
const LENGTH_BYTES: usize = 4;

/// A connection on the election port, never used again while the process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// Where everybody is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    own: Vec<Address>,
    peers: BTreeMap<ServerId, Entry>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entry {
    addresses: Vec<Address>,
    is_voter: bool,
}

impl Directory {
    /// The members of the committed configuration and of a newer one that was seen, for the server `me`.
    pub fn new(me: ServerId, committed: &Configuration, last_seen: Option<&Configuration>) -> Self {
        let mut directory = Self::default();
        for member in committed.members().iter().chain(last_seen.iter().flat_map(|config| config.members())) {
            let entry = directory.peers.entry(member.id()).or_default();
            entry.is_voter |= member.is_voter();
            for address in member.election_addresses() {
                if !entry.addresses.contains(&address) {
                    entry.addresses.push(address);
                }
            }
        }
        directory.own = directory.peers.remove(&me).unwrap_or_default().addresses;
        directory
    }

    fn is_voter(&self, peer: ServerId) -> bool {
        self.peers.get(&peer).is_some_and(|entry| entry.is_voter)
    }
}

/// What the links react to.
#[derive(Clone, Debug)]
pub enum Input {
    /// Send this frame, length included; to oneself it comes back as [`Output::Deliver`].
    Queue {
        /// To whom.
        to: ServerId,
        /// What.
        frame: Bytes,
    },
    /// Somebody is missed: dial now whoever there is no connection to.
    ConnectAll,
    /// A dial succeeded.
    Dialled {
        /// Who was dialled.
        peer: ServerId,
        /// The connection to it.
        conn: ConnId,
    },
    /// A dial did not succeed.
    DialFailed {
        /// Who was dialled.
        peer: ServerId,
    },
    /// Somebody dialled this server and sent its initial message.
    Introduced {
        /// The connection.
        conn: ConnId,
        /// Who it says it is.
        server: ServerId,
        /// Where it says it can be called.
        addresses: Vec<Address>,
    },
    /// A frame came, here without its length.
    Frame {
        /// Over which connection.
        conn: ConnId,
        /// The notification.
        content: Bytes,
    },
    /// Everything that was to be written to this connection has been.
    Written {
        /// Which.
        conn: ConnId,
    },
    /// A connection ended, or what it carried was no initial message or no frame.
    Closed {
        /// Which.
        conn: ConnId,
    },
    /// The configurations changed.
    Members(Directory),
    /// Look at the clock.
    Timer,
}

/// What the links ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Resolve these, dial until one answers, and say [`Input::Dialled`] or [`Input::DialFailed`]. There is never
    /// more than one dial per peer: one that has not ended yet is given up for this one.
    Dial {
        /// Whom.
        peer: ServerId,
        /// Where, the likeliest first.
        addresses: Vec<Address>,
    },
    /// Write this at once: Java reads an initial message with one read.
    Write {
        /// Where.
        conn: ConnId,
        /// What.
        bytes: Bytes,
    },
    /// Close, after what was to be written before. [`Input::Closed`] need not follow.
    Close {
        /// Which.
        conn: ConnId,
    },
    /// A notification came.
    Deliver {
        /// From whom.
        from: ServerId,
        /// The notification.
        content: Bytes,
    },
    /// A connection stands. There is no other: what stood before was reported to be down.
    LinkUp(ServerId),
    /// The connection is gone.
    LinkDown(ServerId),
    /// Somebody else says that it is this server: two processes have one `myid`, or this one was told its own
    /// address under another server's number.
    OwnIdCalled,
}

#[derive(Debug)]
struct Conn {
    id: ConnId,
    since: Instant,
    /// Set while a frame is handed over and not known to be written.
    is_writing: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dial {
    Idle,
    /// Since this moment.
    InProgress(Instant),
    /// At this moment.
    Retry(Instant),
    /// It was asked to call; if it does not until then, it is asked again.
    CallsBack(Instant),
}

#[derive(Debug)]
struct Peer {
    conn: Option<Conn>,
    /// The newest message that could not be sent yet.
    queued: Option<Bytes>,
    last_sent: Option<Bytes>,
    dial: Dial,
    /// The next wait between two dials; short again when something was heard.
    retry_ms: i64,
}

impl Peer {
    fn new() -> Self {
        Self { conn: None, queued: None, last_sent: None, dial: Dial::Idle, retry_ms: RETRY_MS_MIN }
    }

    fn deadline(&self) -> Option<Instant> {
        match self.dial {
            Dial::Retry(at) | Dial::CallsBack(at) => Some(at),
            Dial::Idle | Dial::InProgress(_) => None,
        }
    }

    fn is_dialling(&self) -> bool {
        matches!(self.dial, Dial::InProgress(_))
    }

    fn retry_later(&mut self, now: Instant) {
        self.dial = Dial::Retry(now.after_ms(self.retry_ms));
        self.retry_ms = (2 * self.retry_ms).min(RETRY_MS_MAX);
    }

    /// Hands over the next frame, if the one before has left.
    fn write(&mut self, out: &mut Vec<Output>) {
        let Some(conn) = self.conn.as_mut().filter(|conn| !conn.is_writing) else { return };
        let Some(frame) = self.queued.take() else { return };
        conn.is_writing = true;
        out.push(Output::Write { conn: conn.id, bytes: frame.clone() });
        self.last_sent = Some(frame);
    }
}

/// See the module's description.
#[derive(Debug)]
pub struct Links {
    me: ServerId,
    form: InitialForm,
    own: Vec<Address>,
    directory: Directory,
    peers: BTreeMap<ServerId, Peer>,
    /// Whose each adopted connection is.
    owners: BTreeMap<ConnId, ServerId>,
    /// The number for the next observer without one.
    next_anonymous: i64,
}

impl Links {
    /// For the server `me`, without any connection. Several addresses are only told to others if
    /// `multi_address` (Java's `multiAddress.enabled`), since servers before 3.6 cannot read them.
    pub fn new(me: ServerId, directory: Directory, multi_address: bool) -> Self {
        let form = if multi_address { InitialForm::V2 } else { InitialForm::V1 };
        let (own, next_anonymous) = (directory.own.clone(), -1);
        Self { me, form, own, directory, peers: BTreeMap::new(), owners: BTreeMap::new(), next_anonymous }
    }

    /// Advances by one input, appending to `out` what the caller must do, in order.
    pub fn step(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Queue { to, frame } if to == self.me => {
                out.push(Output::Deliver { from: to, content: frame.slice(LENGTH_BYTES..) });
            }
            Input::Queue { to, frame } => self.on_queue(now, to, frame, out),
            Input::ConnectAll => self.on_connect_all(now, out),
            Input::Dialled { peer, conn } => self.on_dialled(now, peer, conn, out),
            Input::DialFailed { peer } => self.on_dial_failed(now, peer),
            Input::Introduced { conn, server, addresses } => {
                self.on_introduced(now, conn, server, addresses, out);
            }
            Input::Frame { conn, content } => self.on_frame(conn, content, out),
            Input::Written { conn } => self.on_written(conn, out),
            Input::Closed { conn } => self.on_closed(now, conn, out),
            Input::Members(directory) => self.on_members(now, directory, out),
            Input::Timer => self.on_timer(now, out),
        }
        self.assert_invariants();
    }

    /// When to come back with [`Input::Timer`].
    pub fn next_deadline(&self) -> Option<Instant> {
        self.peers.values().filter_map(Peer::deadline).min()
    }

    fn on_queue(&mut self, now: Instant, to: ServerId, frame: Bytes, out: &mut Vec<Output>) {
        let peer = self.peers.entry(to).or_insert_with(Peer::new);
        peer.queued = Some(frame);
        peer.write(out);
        if peer.conn.is_none() && peer.dial == Dial::Idle {
            self.dial(now, to, None, out);
            self.forget_stranger(to);
        }
    }

    fn on_connect_all(&mut self, now: Instant, out: &mut Vec<Output>) {
        for (id, entry) in &self.directory.peers {
            if entry.is_voter {
                self.peers.entry(*id).or_insert_with(Peer::new);
            }
        }
        let is_missed = |peer: &Peer| peer.conn.is_none() && matches!(peer.dial, Dial::Idle | Dial::Retry(_));
        let missed: Vec<_> =
            self.peers.iter().filter(|(_, peer)| is_missed(peer)).map(|(id, _)| *id).collect();
        for id in missed {
            self.dial(now, id, None, out);
        }
    }

    fn on_dialled(&mut self, now: Instant, id: ServerId, conn: ConnId, out: &mut Vec<Output>) {
        let Some(peer) = self.peers.get_mut(&id) else {
            out.push(Output::Close { conn });
            return;
        };
        peer.dial = Dial::Idle;
        if self.me < id && (peer.conn.is_some() || !self.directory.peers.contains_key(&id)) {
            // It is a member no more; or it has called meanwhile, and if it were asked to call it would drop the
            // connection that it has made.
            out.push(Output::Close { conn });
            self.forget_stranger(id);
            return;
        }
        if self.me < id {
            peer.dial = Dial::CallsBack(now.after_ms(CALL_BACK_MS));
            out.extend([Output::Write { conn, bytes: self.initial_message() }, Output::Close { conn }]);
        } else {
            self.release(id, out);
            out.push(Output::Write { conn, bytes: self.initial_message() });
            self.adopt(now, id, conn, out);
        }
    }

    fn on_dial_failed(&mut self, now: Instant, id: ServerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.dial = Dial::Idle;
        self.find_again(now, id);
    }

    fn on_introduced(
        &mut self,
        now: Instant,
        conn: ConnId,
        server: ServerId,
        addresses: Vec<Address>,
        out: &mut Vec<Output>,
    ) {
        let id = if server == ServerId::ANONYMOUS { self.number_anonymous() } else { server };
        if id == self.me {
            // Java leaves such a connection open, silent and unowned.
            out.extend([Output::Close { conn }, Output::OwnIdCalled]);
        } else if self.is_stranger_too_many(id) {
            out.push(Output::Close { conn });
        } else if self.me < id {
            self.peers.entry(id).or_insert_with(Peer::new);
            self.release(id, out);
            self.adopt(now, id, conn, out);
        } else {
            out.push(Output::Close { conn });
            self.call_back(now, id, addresses, out);
        }
    }

    fn call_back(&mut self, now: Instant, id: ServerId, addresses: Vec<Address>, out: &mut Vec<Output>) {
        let peer = self.peers.entry(id).or_insert_with(Peer::new);
        let is_recent = |since: Instant| now < since.after_ms(CROSSING_MS);
        let is_on_its_way = match (&peer.conn, peer.dial) {
            (Some(conn), _) => is_recent(conn.since),
            (None, Dial::InProgress(since)) => is_recent(since),
            (None, _) => false,
        };
        if is_on_its_way {
            return;
        }
        self.release(id, out);
        let reachable = addresses.into_iter().filter(|address| !is_wildcard(address)).collect::<Vec<_>>();
        self.dial(now, id, Some(reachable).filter(|addresses| !addresses.is_empty()), out);
        self.forget_stranger(id);
    }

    fn on_frame(&mut self, conn: ConnId, content: Bytes, out: &mut Vec<Output>) {
        let Some(from) = self.owners.get(&conn).copied() else { return };
        self.peers.get_mut(&from).expect("an adopted connection has a peer").retry_ms = RETRY_MS_MIN;
        out.push(Output::Deliver { from, content });
    }

    fn on_written(&mut self, conn: ConnId, out: &mut Vec<Output>) {
        let Some(id) = self.owners.get(&conn) else { return };
        let peer = self.peers.get_mut(id).expect("an adopted connection has a peer");
        peer.conn.iter_mut().for_each(|conn| conn.is_writing = false);
        peer.write(out);
    }

    fn on_closed(&mut self, now: Instant, conn: ConnId, out: &mut Vec<Output>) {
        let Some(id) = self.owners.remove(&conn) else { return };
        self.peers.get_mut(&id).expect("an adopted connection has a peer").conn = None;
        out.push(Output::LinkDown(id));
        self.find_again(now, id);
    }

    fn on_members(&mut self, now: Instant, directory: Directory, out: &mut Vec<Output>) {
        let before = std::mem::replace(&mut self.directory, directory);
        if !self.directory.own.is_empty() {
            self.own.clone_from(&self.directory.own);
        }
        let is_new = |id: &&ServerId| self.directory.is_voter(**id) && !before.is_voter(**id);
        let new: Vec<_> = self.directory.peers.keys().filter(is_new).copied().collect();
        for id in new {
            let peer = self.peers.entry(id).or_insert_with(Peer::new);
            if peer.conn.is_none() && peer.dial == Dial::Idle {
                self.dial(now, id, None, out);
            }
        }
        let known: Vec<_> = self.peers.keys().copied().collect();
        for id in known {
            self.forget_stranger(id);
        }
    }

    fn on_timer(&mut self, now: Instant, out: &mut Vec<Output>) {
        let is_due = |peer: &Peer| peer.deadline().is_some_and(|at| at <= now);
        let due: Vec<_> = self.peers.iter().filter(|(_, peer)| is_due(peer)).map(|(id, _)| *id).collect();
        for id in due {
            let peer = self.peers.get_mut(&id).expect("only peers have deadlines");
            peer.dial = Dial::Idle;
            if self.is_wanted(id) {
                self.dial(now, id, None, out);
            }
            self.forget_stranger(id);
        }
    }

    /// Whether to go on dialling. Observers dial for themselves.
    fn is_wanted(&self, id: ServerId) -> bool {
        let has_message = || self.peers.get(&id).is_some_and(|peer| peer.queued.is_some());
        self.directory.peers.get(&id).is_some_and(|entry| entry.is_voter || has_message())
    }

    /// Dials at the configured addresses, or where the peer asks to be called.
    fn dial(&mut self, now: Instant, id: ServerId, called_at: Option<Vec<Address>>, out: &mut Vec<Output>) {
        let configured = || self.directory.peers.get(&id).map(|entry| entry.addresses.clone());
        let addresses = called_at.or_else(configured);
        let peer = self.peers.get_mut(&id).expect("only peers are dialled");
        peer.dial = Dial::Idle;
        if let Some(addresses) = addresses {
            peer.dial = Dial::InProgress(now);
            out.push(Output::Dial { peer: id, addresses });
        }
    }

    /// After a connection or a dial came to nothing.
    fn find_again(&mut self, now: Instant, id: ServerId) {
        let is_wanted = self.is_wanted(id);
        let peer = self.peers.get_mut(&id).expect("only peers are missed");
        if is_wanted && peer.conn.is_none() && peer.dial == Dial::Idle {
            peer.retry_later(now);
        }
        self.forget_stranger(id);
    }

    fn adopt(&mut self, now: Instant, id: ServerId, conn: ConnId, out: &mut Vec<Output>) {
        let peer = self.peers.get_mut(&id).expect("only peers have connections");
        peer.conn = Some(Conn { id: conn, since: now, is_writing: false });
        if !peer.is_dialling() {
            peer.dial = Dial::Idle;
        }
        self.owners.insert(conn, id);
        out.push(Output::LinkUp(id));
        if peer.queued.is_none() {
            peer.queued.clone_from(&peer.last_sent);
        }
        peer.write(out);
    }

    /// Lets go of the connection that a newer one will replace.
    fn release(&mut self, id: ServerId, out: &mut Vec<Output>) {
        let conn = self.peers.get_mut(&id).and_then(|peer| peer.conn.take());
        if let Some(Conn { id: conn, .. }) = conn {
            self.owners.remove(&conn);
            out.extend([Output::Close { conn }, Output::LinkDown(id)]);
        }
    }

    fn initial_message(&self) -> Bytes {
        let (form, server, addresses) = (self.form, self.me, self.own.clone());
        let mut bytes = Vec::new();
        let message = InitialMessage { form, server, addresses };
        if message.encode(&mut bytes).is_err() {
            // Without an address that could be told, or with more of them than fit, the form of old servers
            // is left: it makes the peer dial the address in its own configuration.
            let message = InitialMessage { form: InitialForm::IdOnly, ..message };
            message.encode(&mut bytes).expect("an id always fits");
        }
        bytes.into()
    }

    /// Never larger than a real id, so such an observer is always dialled back.
    fn number_anonymous(&mut self) -> ServerId {
        self.next_anonymous -= 1;
        ServerId(self.next_anonymous + 1)
    }

    fn is_stranger_too_many(&self, id: ServerId) -> bool {
        let is_stranger = |id: &ServerId| !self.directory.peers.contains_key(id);
        let is_new = is_stranger(&id) && !self.peers.contains_key(&id);
        is_new && STRANGERS_MAX <= self.peers.keys().filter(|id| is_stranger(id)).count()
    }

    /// Nothing is remembered of servers that are in no configuration and not connected.
    fn forget_stranger(&mut self, id: ServerId) {
        let is_member = self.directory.peers.contains_key(&id);
        let is_gone = |peer: &Peer| peer.conn.is_none() && !peer.is_dialling();
        if !is_member && self.peers.get(&id).is_some_and(is_gone) {
            self.peers.remove(&id);
        }
    }

    fn assert_invariants(&self) {
        assert!(!self.peers.contains_key(&self.me), "nobody is its own peer");
        let adopted = self.peers.iter().filter_map(|(id, peer)| Some((peer.conn.as_ref()?.id, *id)));
        let adopted: BTreeMap<_, _> = adopted.collect();
        assert!(adopted == self.owners, "each adopted connection has one owner, and each owner that one");
    }
}

/// Whether nobody can be called there.
fn is_wildcard(address: &Address) -> bool {
    address.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified())
}

#[cfg(test)]
#[path = "links_tests.rs"]
mod tests;
