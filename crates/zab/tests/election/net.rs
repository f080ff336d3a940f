//! A network of servers that elect leaders, and nothing else. One thread, one clock, no chance.
//!
//! Connections are first in, first out, in either direction; they break, they never lose anything in the middle.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use zabd_jute::quorum::{InitialForm, InitialMessage, Notification, PeerState, frame};
use zabd_jute::{ConfigVersion, Epoch, ServerId};
use zabd_zab::effect::Instant;
use zabd_zab::election::Decision;
use zabd_zab::links::{self, ConnId};

use crate::node::{Disk, Input, Node, Output, describe};

pub struct Server {
    pub disk: Disk,
    process: Option<Node>,
    /// How often it was started.
    life: u64,
    /// Set while it is stopped and not dead: what should reach it.
    held: Option<Vec<Event>>,
    /// Played by the script: it accepts and calls back, and says what it is told to.
    is_scripted: bool,
}

struct Pipe {
    /// The dialler and the listener.
    ends: [i64; 2],
    is_open: [bool; 2],
    /// When the last thing arrives at either end: nothing overtakes it.
    last_arrival: [i64; 2],
    was_introduced: bool,
    is_cut: bool,
}

#[derive(Debug)]
enum Event {
    Dial { dialler: i64, life: u64, target: i64 },
    DialEnds { dialler: i64, life: u64, target: i64, conn: Option<u64> },
    Bytes { to: i64, conn: u64, bytes: Bytes },
    Fin { to: i64, conn: u64 },
    Written { to: i64, conn: u64 },
}

/// Something worth telling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A notification left for another server.
    Says {
        from: i64,
        to: i64,
        text: String,
    },
    /// A server knows its leader.
    Decides {
        server: i64,
        decision: Decision,
    },
    /// A server took a newer configuration.
    Adopts {
        server: i64,
        version: ConfigVersion,
        is_restart: bool,
    },
    /// A server without a voice says for whom it waits.
    Voiceless {
        server: i64,
        unheard: Vec<ServerId>,
    },
    LinkUp {
        server: i64,
        peer: i64,
    },
    LinkDown {
        server: i64,
        peer: i64,
    },
}

/// How long something is on its way, given the two ends.
pub type Delay = Box<dyn FnMut(i64, i64) -> i64>;

pub struct Net {
    pub now: i64,
    pub servers: BTreeMap<i64, Server>,
    pub facts: Vec<(i64, Fact)>,
    pub delay: Delay,
    events: BTreeMap<(i64, u64), Event>,
    events_made: u64,
    pipes: BTreeMap<u64, Pipe>,
    conns_made: u64,
    cuts: BTreeSet<(i64, i64)>,
}

impl Net {
    /// One millisecond from everywhere to everywhere.
    pub fn new() -> Self {
        Self {
            now: 0,
            servers: BTreeMap::new(),
            facts: Vec::new(),
            delay: Box::new(|_, _| 1),
            events: BTreeMap::new(),
            events_made: 0,
            pipes: BTreeMap::new(),
            conns_made: 0,
            cuts: BTreeSet::new(),
        }
    }

    pub fn add(&mut self, id: i64, disk: Disk) {
        let server = Server { disk, process: None, life: 0, held: None, is_scripted: false };
        assert!(self.servers.insert(id, server).is_none(), "server {id} is there already");
    }

    /// Starts the process. It listens, and does nothing yet.
    pub fn boot(&mut self, id: i64) {
        let server = self.servers.get_mut(&id).expect("the server is there");
        server.life += 1;
        server.process = Some(Node::boot(id, &server.disk, false));
    }

    pub fn look(&mut self, id: i64) {
        self.drive(id, Input::Begin);
    }

    pub fn connect_all(&mut self, id: i64) {
        self.drive(id, Input::Links(links::Input::ConnectAll));
    }

    /// From now on the script speaks for this server. It knows everybody who runs.
    pub fn play(&mut self, id: i64) {
        let server = self.servers.get_mut(&id).expect("the server is there");
        (server.is_scripted, server.life) = (true, server.life + 1);
        let is_to_be_called = |other: &i64| *other < id && self.is_running(*other);
        let lower: Vec<_> = self.servers.keys().copied().filter(is_to_be_called).collect();
        for other in lower {
            self.call(id, other);
        }
    }

    pub fn kill(&mut self, id: i64) {
        let server = self.servers.get_mut(&id).expect("the server is there");
        (server.process, server.is_scripted) = (None, false);
        let held = server.held.take().into_iter().flatten();
        held.for_each(|event| self.schedule(0, event));
        let conns: Vec<_> = self.pipes.keys().copied().collect();
        for conn in conns {
            self.close(id, conn);
        }
    }

    /// Stops a process without ending it.
    pub fn pause(&mut self, id: i64) {
        self.servers.get_mut(&id).expect("the server is there").held = Some(Vec::new());
    }

    pub fn resume(&mut self, id: i64) {
        let held = self.servers.get_mut(&id).and_then(|server| server.held.take());
        held.into_iter().flatten().for_each(|event| self.schedule(0, event));
    }

    /// Breaks what connects two servers, until it is mended.
    pub fn cut(&mut self, a: i64, b: i64) {
        self.cuts.extend([(a, b), (b, a)]);
        let mut fins = Vec::new();
        for (conn, pipe) in &mut self.pipes {
            if pipe.ends == [a, b] || pipe.ends == [b, a] {
                pipe.is_cut = true;
                fins.extend(pipe.ends.map(|to| Event::Fin { to, conn: *conn }));
            }
        }
        for fin in fins {
            self.schedule(0, fin);
        }
    }

    pub fn mend(&mut self, a: i64, b: i64) {
        self.cuts.remove(&(a, b));
        self.cuts.remove(&(b, a));
    }

    pub fn is_cut(&self, a: i64, b: i64) -> bool {
        self.cuts.contains(&(a, b))
    }

    pub fn is_paused(&self, id: i64) -> bool {
        self.servers[&id].held.is_some()
    }

    pub fn is_running(&self, id: i64) -> bool {
        self.servers[&id].process.is_some()
    }

    pub fn state(&self, id: i64) -> Option<PeerState> {
        self.servers[&id].process.as_ref().map(Node::state)
    }

    /// Whom this server follows or is.
    pub fn leader(&self, id: i64) -> Option<i64> {
        Some(self.servers[&id].process.as_ref()?.elected()?.vote.leader.0)
    }

    /// The leader's epoch becomes known to all that have it.
    pub fn establish(&mut self, id: i64, epoch: Epoch) {
        let process = self.servers.get_mut(&id).and_then(|server| server.process.as_mut());
        process.expect("the server runs").establish(epoch);
    }

    /// A scripted server says something.
    pub fn say(&mut self, from: i64, to: i64, content: &[u8]) {
        let ends = |pipe: &Pipe| pipe.ends == [from, to] || pipe.ends == [to, from];
        let mut newest = self.pipes.iter().rev();
        let open = newest.find(|(_, pipe)| ends(pipe) && pipe.is_open == [true; 2]);
        let conn = *open.expect("a connection is there").0;
        let mut bytes = (content.len() as i32).to_be_bytes().to_vec();
        bytes.extend_from_slice(content);
        self.send(from, conn, bytes.into());
    }

    /// Runs everything that happens until this moment, timers included.
    pub fn run_until(&mut self, end: i64) {
        while self.step(end) {}
        self.now = end;
    }

    /// Runs until nothing is on its way. Timers that are due later stay.
    pub fn run_until_quiet(&mut self) {
        while let Some(((at, _), _)) = self.events.first_key_value() {
            let at = *at;
            assert!(at < self.now + 10_000, "this network never gets quiet");
            self.step(at);
        }
    }

    /// The next thing that happens, if it happens until `end`.
    pub fn step(&mut self, end: i64) -> bool {
        let event_at = self.events.first_key_value().map(|((at, _), _)| *at);
        let timer = self.servers.iter().filter_map(|(id, server)| {
            let process = server.process.as_ref().filter(|_| server.held.is_none())?;
            Some((process.next_deadline()?.0.max(self.now), *id))
        });
        let timer = timer.min();
        match (event_at, timer) {
            (Some(at), _) if at <= end && timer.is_none_or(|(timer, _)| at <= timer) => {
                let ((at, _), event) = self.events.pop_first().expect("there is one");
                self.now = at;
                self.happen(event);
            }
            (_, Some((at, id))) if at <= end => {
                self.now = at;
                self.drive(id, Input::Timer);
            }
            _ => return false,
        }
        true
    }

    fn schedule(&mut self, delay: i64, event: Event) {
        self.events_made += 1;
        self.events.insert((self.now + delay, self.events_made), event);
    }

    fn happen(&mut self, event: Event) {
        let (Event::Dial { target: at, .. }
        | Event::DialEnds { dialler: at, .. }
        | Event::Bytes { to: at, .. }
        | Event::Fin { to: at, .. }
        | Event::Written { to: at, .. }) = event;
        let Some(server) = self.servers.get_mut(&at) else {
            if let Event::Dial { dialler, life, target } = event {
                self.schedule(1, Event::DialEnds { dialler, life, target, conn: None });
            }
            return;
        };
        if let Some(held) = &mut server.held {
            held.push(event);
            return;
        }
        match event {
            Event::Dial { dialler, life, target } => {
                let listens = server.process.is_some() || server.is_scripted;
                let conn =
                    (listens && !self.cuts.contains(&(dialler, target))).then(|| self.pipe(dialler, target));
                let delay = (self.delay)(target, dialler);
                if let Some(conn) = conn {
                    self.pipes.get_mut(&conn).expect("pipes stay").last_arrival[0] = self.now + delay;
                }
                self.schedule(delay, Event::DialEnds { dialler, life, target, conn });
            }
            Event::DialEnds { dialler, life, target, conn } if server.life == life => {
                let peer = ServerId(target);
                let open = conn.filter(|conn| self.pipes[conn].is_open[0]);
                let input = match open {
                    Some(conn) => links::Input::Dialled { peer, conn: ConnId(conn) },
                    None => links::Input::DialFailed { peer },
                };
                self.drive(dialler, Input::Links(input));
            }
            Event::DialEnds { dialler, conn, .. } => {
                if let Some(conn) = conn {
                    self.close(dialler, conn);
                }
            }
            Event::Bytes { to, conn, bytes } => self.receive(to, conn, &bytes),
            Event::Fin { to, conn } => {
                let pipe = self.pipes.get_mut(&conn).expect("pipes stay");
                let end = usize::from(pipe.ends[1] == to);
                if std::mem::replace(&mut pipe.is_open[end], false) {
                    self.drive(to, Input::Links(links::Input::Closed { conn: ConnId(conn) }));
                }
            }
            Event::Written { to, conn } => {
                self.drive(to, Input::Links(links::Input::Written { conn: ConnId(conn) }));
            }
        }
    }

    fn pipe(&mut self, dialler: i64, target: i64) -> u64 {
        self.conns_made += 1;
        let pipe = Pipe {
            ends: [dialler, target],
            is_open: [true; 2],
            last_arrival: [self.now; 2],
            was_introduced: false,
            is_cut: false,
        };
        self.pipes.insert(self.conns_made, pipe);
        self.conns_made
    }

    /// A scripted server dials and introduces itself.
    fn call(&mut self, from: i64, to: i64) {
        let conn = self.pipe(from, to);
        let form = InitialForm::IdOnly;
        let mut bytes = Vec::new();
        let message = InitialMessage { form, server: ServerId(from), addresses: Vec::new() };
        message.encode(&mut bytes).expect("an id is short");
        self.send(from, conn, bytes.into());
    }

    fn receive(&mut self, to: i64, conn: u64, bytes: &Bytes) {
        let pipe = self.pipes.get_mut(&conn).expect("pipes stay");
        let end = usize::from(pipe.ends[1] == to);
        if pipe.is_cut || !pipe.is_open[end] {
            return;
        }
        let is_first = end == 1 && !std::mem::replace(&mut pipe.was_introduced, true);
        let dialler = pipe.ends[0];
        if self.servers[&to].is_scripted {
            if is_first && dialler < to {
                self.call(to, dialler);
            }
            return;
        }
        let conn = ConnId(conn);
        let input = if is_first {
            let (message, length) =
                InitialMessage::decode_stream(bytes).expect("well formed").expect("written at once");
            assert_eq!(length, bytes.len(), "the initial message is written alone");
            links::Input::Introduced { conn, server: message.server, addresses: message.addresses }
        } else {
            let (content, length) = frame(bytes).expect("well formed").expect("written at once");
            assert_eq!(length, bytes.len(), "one frame, one write");
            links::Input::Frame { conn, content: bytes.slice_ref(content) }
        };
        self.drive(to, Input::Links(input));
    }

    fn send(&mut self, from: i64, conn: u64, bytes: Bytes) {
        let delay = |net: &mut Self, to| (net.delay)(from, to);
        let ends = self.pipes[&conn].ends;
        let other = usize::from(ends[0] == from);
        let delay = delay(self, ends[other]);
        let pipe = self.pipes.get_mut(&conn).expect("pipes stay");
        pipe.last_arrival[other] = pipe.last_arrival[other].max(self.now + delay);
        let delay = pipe.last_arrival[other] - self.now;
        self.schedule(delay, Event::Bytes { to: ends[other], conn, bytes });
    }

    fn close(&mut self, id: i64, conn: u64) {
        let pipe = self.pipes.get_mut(&conn).expect("pipes stay");
        let Some(end) = pipe.ends.iter().position(|end| *end == id) else { return };
        if std::mem::replace(&mut pipe.is_open[end], false) {
            let other = pipe.ends[1 - end];
            let delay = (self.delay)(id, other);
            let pipe = self.pipes.get_mut(&conn).expect("pipes stay");
            let arrival = pipe.last_arrival[1 - end].max(self.now + delay);
            pipe.last_arrival[1 - end] = arrival;
            self.schedule(arrival - self.now, Event::Fin { to: other, conn });
        }
    }

    fn tell(&mut self, fact: Fact) {
        self.facts.push((self.now, fact));
    }

    /// Feeds one server and carries out what it asks for.
    fn drive(&mut self, id: i64, input: Input) {
        let server = self.servers.get_mut(&id).expect("the server is there");
        let Some(process) = &mut server.process else { return };
        let mut out = Vec::new();
        process.step(Instant(self.now), &mut server.disk, input, &mut out);
        for output in out {
            self.obey(id, output);
        }
    }

    fn obey(&mut self, id: i64, output: Output) {
        match output {
            Output::Dial { peer, addresses } => {
                let host = &addresses.first().expect("a dial has an address").host;
                let target: i64 = host.trim_start_matches("zk").parse().expect("hosts are zkN");
                assert_eq!(target, peer.0, "host and peer belong together");
                let life = self.servers[&id].life;
                let delay = (self.delay)(id, target);
                self.schedule(delay, Event::Dial { dialler: id, life, target });
            }
            Output::Write { conn: ConnId(conn), bytes } => {
                let pipe = &self.pipes[&conn];
                if let Ok(Some((content, length))) = frame(&bytes)
                    && length == bytes.len()
                    && let Ok(notification) = Notification::decode(content)
                {
                    let to = pipe.ends[usize::from(pipe.ends[0] == id)];
                    self.tell(Fact::Says { from: id, to, text: describe(&notification) });
                }
                self.send(id, conn, bytes);
                self.schedule(0, Event::Written { to: id, conn });
            }
            Output::Close { conn } => self.close(id, conn.0),
            Output::Decides(decision) => self.tell(Fact::Decides { server: id, decision }),
            Output::Adopts { version, is_restart } => {
                self.tell(Fact::Adopts { server: id, version, is_restart });
            }
            Output::Voiceless { unheard } => self.tell(Fact::Voiceless { server: id, unheard }),
            Output::LinkUp(peer) => self.tell(Fact::LinkUp { server: id, peer: peer.0 }),
            Output::LinkDown(peer) => self.tell(Fact::LinkDown { server: id, peer: peer.0 }),
        }
    }
}
