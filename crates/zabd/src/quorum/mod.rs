//! The ensemble's network: election and quorum connections, carried for the replica that decides.
//!
//! One thread with a runtime of its own holds all of it, so that nothing that clients do delays a heartbeat. A socket
//! task only finds where packets end; what they mean is decided in the replica, which is fed from here and whose outputs
//! come back as commands. Files are never touched on this thread.
//!
//! ```text
//! socket ─► reader ─► Input::Peer ─► driver ─► replica ─► Output::Ensemble ─► Quorum::carry_out
//!                                                                              │
//!   socket ◄── writer ◄── the link's queue ◄───────────────────────────────────┤
//!   runtime ◄── Command: dial, listen, look up, take a snapshot ◄──────────────┘
//! ```
//!
//! Every dial resolves its names anew: an address that a peer had before says nothing about where it is now, and a
//! name that does not resolve yet is a peer that is not there yet, unless it is connected to the election port at the moment:
//! then it is found where it is ([`dial::unnamed`]).
//!
//! In reading order: this file (who carries what), [`listen`] and [`dial`], [`tls`] (what is encrypted), [`authentication`] (who is
//! who) and [`crate::lobby`] (who has not shown it yet), [`election`] (its port), [`reader`] and [`halves`], [`queue`] and [`writer`]
//! (a quorum connection's two directions), [`alive`] (what takes long), [`exchanged`] (who takes one port for the other), [`trouble`] (who is not reached), [`complaints`] (why connections are
//! closed).

mod alive;
mod authentication;
mod complaints;
mod dial;
mod election;
mod exchanged;
mod halves;
mod listen;
mod queue;
mod reader;
mod tls;
mod trouble;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use zabd_jute::quorum::{Address, Configuration, Member};
use zabd_jute::{Limits, ServerId, Zxid};
use zabd_replica::Input;
use zabd_storage::recovery::Directories;
use zabd_tree::TreeOptions;
use zabd_zab::effect::{DialId, Effect, LinkId};
use zabd_zab::{leader, links, peer};

use crate::driver::Driver;
use crate::net::ServerCounters;
use crate::probes::Pulse;
use crate::roles;
use crate::sasl::MemberSasl;
use crate::snapshotter::{Image, Snapshotter};

use crate::lobby::{Lobby, Place};
use authentication::Checked;
use complaints::{Complaints, Twins, Whom};
use halves::{Halves, Worst};
pub use listen::{PeerListenError, PeerListener, Port};
pub(crate) use queue::{Item, Queue, QueueFigures};
use queue::{Unsent, close_largest};
pub use tls::QuorumTls;

/// How long what is left for the other side may take when a connection is closed.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

/// What the operator configured about the ensemble's network.
#[derive(Clone, Debug)]
pub struct QuorumOptions {
    /// `cnxTimeout`: how long a connection on the election port may take to be made.
    pub connect_timeout: Duration,
    /// How long a field of a packet may be.
    pub limits: Limits,
    /// Where a snapshot that comes is put.
    pub directories: Directories,
    /// How the tree in it is kept.
    pub tree_options: TreeOptions,
    /// The port that followers have for observers.
    pub observer_master_port: Option<u16>,
    /// How connections are encrypted, if they are.
    pub tls: Option<QuorumTls>,
    /// Up to which share of the newest snapshot's size a learner is sent the log; see [`writer::has_log_for`].
    pub snapshot_size_factor: f64,
    /// How members authenticate each other, if they do.
    pub sasl: Option<Arc<MemberSasl>>,
}

/// The same machines, at another port.
pub fn at_port(addresses: &[Address], port: u16) -> impl Iterator<Item = Address> {
    addresses.iter().map(move |address| Address { host: address.host.clone(), port })
}

/// Something for the thread.
enum Command {
    DialPeer { peer: ServerId, addresses: Vec<Address> },
    DialLeader { leader: ServerId, addresses: Vec<Address>, dial: DialId },
    DialObserverMaster { server: ServerId, addresses: Vec<Address>, dial: DialId },
    LookUp { link: LinkId, zxid: Zxid },
    Listen { me: Member },
}

/// How many may have dialled this server and not shown yet who they are.
const STRANGERS_MAX: usize = 256;

/// The way to the thread. See the module's description.
#[derive(Debug)]
pub struct Quorum {
    commands: mpsc::UnboundedSender<Command>,
    /// Connections on the election port; gone means closed.
    peers: Mutex<BTreeMap<links::ConnId, ElectionPeer>>,
    queues: Mutex<BTreeMap<LinkId, Arc<Queue>>>,
    unsent: Arc<Unsent>,
    halves: Halves,
    /// Snapshots that are being taken for learners.
    images: Mutex<BTreeMap<LinkId, Image>>,
    complaints: Complaints,
    twins: Mutex<Twins>,
    unreached: Mutex<Option<String>>,
    lobby: Lobby,
    next_id: AtomicU64,
    snapshotter: Snapshotter,
    me: ServerId,
    /// The version of the configuration that an operator was told of.
    told_version: AtomicI64,
    /// Whether a configuration that an ensemble agreed on had this server among its members.
    was_member: AtomicBool,
    /// Where clients are served, if this server's line says so.
    client_address: watch::Sender<Option<Address>>,
}

/// The other side of a connection on the election port.
#[derive(Debug)]
struct ElectionPeer {
    unwritten: mpsc::UnboundedSender<Bytes>,
    server: ServerId,
    seen: Option<IpAddr>,
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Command::DialPeer { .. } => "DialPeer",
            Command::DialLeader { .. } => "DialLeader",
            Command::DialObserverMaster { .. } => "DialObserverMaster",
            Command::LookUp { .. } => "LookUp",
            Command::Listen { .. } => "Listen",
        })
    }
}

/// What the tasks of the thread share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) driver: Arc<Driver>,
    pub(crate) quorum: Arc<Quorum>,
    pub(crate) options: Arc<QuorumOptions>,
    troubles: Arc<trouble::Troubles>,
}

impl Shared {
    pub(crate) fn feed(&self, input: peer::Input) {
        self.driver.feed([Input::Peer(Box::new(input))]);
    }

    /// Whether somebody who has dialled a port may go on, after it has shown who it is if that is asked for.
    async fn let_in(
        &self,
        place: &mut Place,
        socket: &mut tls::PeerSocket,
        bytes: &mut BytesMut,
        port: &str,
    ) -> bool {
        let (complaints, address) = (&self.quorum.complaints, socket.address());
        let check = authentication::check(socket, bytes, self.options.sasl.as_deref());
        match place.during(check).await {
            Ok(Checked::Good) => true,
            Ok(Checked::Overlooked(problem)) => {
                complaints.tell_overlooked(port, &address, &problem);
                true
            }
            Err(problem) => {
                // Whoever takes this port for the other one would have proved itself there.
                let exchanged = exchanged::on_quorum_port(bytes, self.quorum.me);
                complaints.tell(port, &address, &exchanged.unwrap_or(problem));
                false
            }
        }
    }
}

/// The thread's work before it is started: outputs may come at any moment, so the way to it is there first.
pub struct Start {
    commands: mpsc::UnboundedReceiver<Command>,
}

impl Quorum {
    /// The way to a thread that is not running yet.
    pub fn new(
        snapshotter: Snapshotter,
        me: ServerId,
        configuration: &Configuration,
        client_address: watch::Sender<Option<Address>>,
        counters: Arc<ServerCounters>,
    ) -> (Arc<Self>, Start) {
        let (sender, commands) = mpsc::unbounded_channel();
        let version = configuration.version();
        // What zoo.cfg says has no version, and is nothing that others know of.
        let was_member = version.0 != 0 && configuration.member(me).is_some();
        let quorum = Self {
            commands: sender,
            peers: Mutex::default(),
            queues: Mutex::default(),
            unsent: Arc::default(),
            halves: Halves::default(),
            images: Mutex::default(),
            complaints: Complaints::new(counters),
            twins: Mutex::default(),
            unreached: Mutex::default(),
            lobby: Lobby::of(STRANGERS_MAX),
            next_id: AtomicU64::new(1),
            snapshotter,
            me,
            told_version: AtomicI64::new(version.0),
            was_member: AtomicBool::new(was_member),
            client_address,
        };
        (Arc::new(quorum), Start { commands })
    }

    /// Starts the thread.
    pub fn run(
        self: &Arc<Self>,
        start: Start,
        driver: Arc<Driver>,
        listener: PeerListener,
        options: QuorumOptions,
        pulse: Pulse,
    ) -> std::io::Result<()> {
        let shared =
            Shared { driver, quorum: self.clone(), options: Arc::new(options), troubles: Arc::default() };
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be made").block_on(serve(shared, listener, start.commands, pulse));
        };
        std::thread::Builder::new().name("QuorumPeer".into()).spawn(work).map(drop)
    }

    fn new_id(&self) -> u64 {
        self.next_id.fetch_add(1, Relaxed)
    }

    fn command(&self, command: Command) {
        self.commands.send(command).expect("the quorum thread lives as long as the process");
    }

    /// Carries out what the replica asks for; called while the driver is held, so nothing here waits.
    pub fn carry_out(
        &self,
        effect: Effect,
        packets: &[u8],
        addresses: impl FnOnce(ServerId) -> Vec<Address>,
    ) {
        match effect {
            Effect::Send { link, bytes } => self.push_bytes(link, &packets[bytes]),
            Effect::SendLog { link, after, upto } => self.push(link, Item::Log(after, upto)),
            Effect::SendSnapshot { link } => {
                let image = self.images.lock().remove(&link);
                if let Some(image) = image {
                    self.push(link, Item::Image(image));
                }
            }
            Effect::Refuse { link, why } => self.complain(link, &why),
            Effect::Replaced { server, old, new } => self.note_replaced(server, old, new),
            Effect::Close { link } => {
                self.images.lock().remove(&link);
                self.queues.lock().get(&link).into_iter().for_each(|queue| queue.close());
            }
            Effect::Dial { leader, dial } => {
                self.command(Command::DialLeader { leader, addresses: addresses(leader), dial });
            }
            Effect::DialObserverMaster { server, dial } => {
                self.command(Command::DialObserverMaster { server, addresses: addresses(server), dial });
            }
            Effect::LookUp { link, zxid } => self.command(Command::LookUp { link, zxid }),
            Effect::TakeSnapshot { link } => self.snapshotter.request_for(link),
            Effect::Link(output) => self.carry_out_link(output),
            other => unreachable!("{other:?} is not for the network"),
        }
    }

    /// Another configuration holds: this server listens where its own line says. A server that is in none stays where
    /// it is.
    pub fn reconfigure(&self, configuration: &Configuration) {
        let version = configuration.version().0;
        if self.told_version.swap(version, Relaxed) != version {
            let is_member = configuration.member(self.me).is_some();
            let was_member = self.was_member.fetch_or(is_member, Relaxed);
            roles::tell_configuration(self.me, configuration, was_member);
        }
        let Some(me) = configuration.member(self.me) else { return };
        self.command(Command::Listen { me: me.clone() });
        if let Some(client) = me.client() {
            self.client_address.send_replace(Some(client.clone()));
        }
    }

    /// Where a server is whose newest connection on the election port is there at the moment.
    fn is_connected(&self, server: ServerId) -> bool {
        self.peers.lock().values().any(|peer| peer.server == server)
    }

    fn seen(&self, server: ServerId) -> Option<IpAddr> {
        self.peers.lock().values().rev().find(|peer| peer.server == server)?.seen
    }

    fn carry_out_link(&self, output: links::Output) {
        match output {
            links::Output::Dial { peer, addresses } => self.command(Command::DialPeer { peer, addresses }),
            links::Output::Write { conn, bytes } => {
                if let Some(peer) = self.peers.lock().get(&conn) {
                    // A task that has ended has said so.
                    let _ = peer.unwritten.send(bytes);
                }
            }
            links::Output::Close { conn } => drop(self.peers.lock().remove(&conn)),
            links::Output::OwnIdCalled => tracing::error!(
                "Another server calls itself by this server's id: two servers have the same myid, or the address of \
                 one stands at the other's server.N line"
            ),
            links::Output::Deliver { .. } | links::Output::LinkUp(_) | links::Output::LinkDown(_) => {
                unreachable!("the peer keeps what its links deliver")
            }
        }
    }

    /// A snapshot for a learner has begun; it can be sent when it is whole.
    pub fn begin_image(&self, link: LinkId, image: Image) {
        // Nobody would ever take the image of a connection that is gone, and its file would stay open.
        let queues = self.queues.lock();
        if queues.contains_key(&link) {
            self.images.lock().insert(link, image);
        }
    }

    /// Says why a connection on the quorum port is closed, of each machine once a minute.
    fn complain(&self, link: LinkId, why: &(impl std::fmt::Display + ?Sized)) {
        let queue = self.queues.lock().get(&link).cloned();
        if let Some(queue) = queue {
            self.complaints.tell("quorum", &queue.peer, why);
        }
    }

    /// So much of a packet has come from whoever has dialled; those are closed who keep too much.
    fn note_half(&self, link: LinkId, bytes: usize, is_new: bool) {
        for Worst { link, bytes, took } in self.halves.note(link, bytes, is_new) {
            let took_ms = took.as_millis();
            self.complain(
                link,
                &format!("it has sent {bytes} bytes of a packet for {took_ms}ms, and all servers together more than they may"),
            );
            self.queues.lock().get(&link).into_iter().for_each(|queue| queue.close());
        }
    }

    fn note_replaced(&self, server: ServerId, old: LinkId, new: LinkId) {
        let queues = self.queues.lock();
        let [old, new] = [old, new].map(|link| queues.get(&link).map(|queue| queue.peer.clone()));
        drop(queues);
        // Whoever has ended has not been replaced.
        if let (Some(old), Some(new)) = (old, new)
            && self.twins.lock().are_seen(server, Instant::now())
        {
            tracing::error!(
                "Server {server} connects from {old} and from {new}, again and again, while the connection before still stands: two \
                 servers have myid {server}; hint: stop one of them, and give it a myid and data directories of its own"
            );
        }
    }

    /// Why the last leader that this server has dialled was not reached, if it was not.
    pub(crate) fn unreached(&self) -> Option<String> {
        self.unreached.lock().clone()
    }

    fn push_bytes(&self, link: LinkId, bytes: &[u8]) {
        let queues = self.queues.lock();
        if let Some(queue) = queues.get(&link) {
            queue.push_bytes(bytes);
            if self.unsent.may_be_too_much() {
                close_largest(queues.values());
            }
        }
    }

    /// What waited on each connection.
    pub fn queue_figures(&self) -> Vec<(LinkId, QueueFigures)> {
        self.queues.lock().iter().map(|(link, queue)| (*link, queue.figures())).collect()
    }

    /// Counts it from zero.
    pub fn reset_queue_figures(&self) {
        self.queues.lock().values().for_each(|queue| queue.reset_figures());
    }

    /// So much of what this server has proposed is not committed.
    pub fn note_uncommitted(&self, bytes: usize) {
        self.unsent.note_uncommitted(bytes);
    }

    /// How much of what this server has proposed is not committed.
    pub fn uncommitted_bytes(&self) -> usize {
        self.unsent.uncommitted()
    }

    fn push(&self, link: LinkId, item: Item) {
        if let Some(queue) = self.queues.lock().get(&link) {
            queue.push(item);
        }
    }
}

async fn serve(
    shared: Shared,
    listener: PeerListener,
    mut commands: mpsc::UnboundedReceiver<Command>,
    pulse: Pulse,
) {
    tokio::spawn(pulse.beat_for_runtime());
    let mut ports = listener.run(&shared);
    // Whoever dials again has given up the dial before, which may be to an address that answers late.
    let mut dials: BTreeMap<ServerId, AbortHandle> = BTreeMap::new();
    let mut leader_dial: Option<AbortHandle> = None;
    while let Some(command) = commands.recv().await {
        match command {
            Command::DialPeer { peer, addresses } => {
                let dial = tokio::spawn(election::dial(shared.clone(), peer, addresses)).abort_handle();
                dials.insert(peer, dial).iter().for_each(AbortHandle::abort);
            }
            Command::DialLeader { leader, mut addresses, dial } => {
                let seen = shared.quorum.seen(leader);
                addresses.extend(seen.and_then(|seen| dial::unnamed(&addresses, seen)));
                let dialling = dial_leader(shared.clone(), leader, addresses, dial, Whom::Leader);
                let dialling = tokio::spawn(dialling).abort_handle();
                leader_dial.replace(dialling).iter().for_each(AbortHandle::abort);
            }
            Command::DialObserverMaster { server, addresses, dial } => {
                let port = shared.options.observer_master_port.expect("only a member that has one dials it");
                let addresses = at_port(&addresses, port).collect();
                let dialling = dial_leader(shared.clone(), server, addresses, dial, Whom::ObserverMaster);
                let dialling = tokio::spawn(dialling).abort_handle();
                leader_dial.replace(dialling).iter().for_each(AbortHandle::abort);
            }
            Command::LookUp { link, zxid } => drop(tokio::spawn(look_up(shared.clone(), link, zxid))),
            Command::Listen { me } => {
                let wanted = ports_of(&me, shared.options.observer_master_port);
                ports.move_to(&shared, wanted).await;
            }
        }
    }
}

/// Where a member listens; for observers only if it votes.
fn ports_of(me: &Member, observer_master_port: Option<u16>) -> BTreeSet<(Port, Address)> {
    let quorums: Vec<_> = me.quorum_addresses().collect();
    let port = observer_master_port.filter(|_| me.is_voter());
    let observers = port.into_iter().flat_map(|port| at_port(&quorums, port)).collect::<Vec<_>>();
    let elections = me.election_addresses().map(|address| (Port::Election, address));
    let quorums = quorums.into_iter().map(|address| (Port::Quorum, address));
    elections.chain(quorums).chain(observers.into_iter().map(|address| (Port::Observers, address))).collect()
}

/// What a server is called by who knows it by name: as in Java, the last of its addresses has its host.
fn host_of(addresses: &[Address]) -> String {
    addresses.last().map(|address| address.host.clone()).unwrap_or_default()
}

async fn dial_leader(shared: Shared, server: ServerId, addresses: Vec<Address>, dial: DialId, whom: Whom) {
    let complaints = &shared.quorum.complaints;
    let host = host_of(&addresses);
    match tls::connect(&shared, addresses).await {
        Ok(mut socket) => {
            match authentication::prove(&mut socket, shared.options.sasl.as_deref(), &host).await {
                Ok(bytes) => {
                    complaints.note_reached(server);
                    *shared.quorum.unreached.lock() = None;
                    return open_link(&shared, socket, bytes, Side::Learner, None, |link| {
                        peer::Input::Connected { dial, link }
                    });
                }
                Err(problem) => {
                    let address = socket.address();
                    complaints.tell_refused("quorum", &address, &problem);
                    *shared.quorum.unreached.lock() = Some(format!("{address}: {problem}"));
                }
            }
        }
        Err(unreached) => {
            let is_heard = shared.quorum.is_connected(server);
            complaints.tell_unreached(whom, server, &unreached, is_heard, Instant::now());
            *shared.quorum.unreached.lock() = Some(unreached.problem);
        }
    }
    shared.feed(peer::Input::ConnectFailed { dial });
}

/// Whose end of a quorum connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// This server was dialled.
    Leader,
    /// This server was dialled by an observer, on the port for observers.
    ObserverMaster,
    /// This server has dialled.
    Learner,
}

/// A quorum connection was dialled from elsewhere: who that is may come first.
fn accept_link(
    shared: &Shared,
    mut socket: tls::PeerSocket,
    side: Side,
    says: impl FnOnce(LinkId) -> peer::Input + Send + 'static,
) {
    let mut place = shared.quorum.lobby.enter(socket.peer().map(|peer| peer.ip()));
    if shared.options.sasl.is_none() {
        return open_link(shared, socket, BytesMut::new(), side, Some(place), says);
    }
    let shared = shared.clone();
    tokio::spawn(async move {
        let mut bytes = BytesMut::new();
        if shared.let_in(&mut place, &mut socket, &mut bytes, "quorum").await {
            open_link(&shared, socket, bytes, side, Some(place), says);
        }
    });
}

/// A quorum connection stands, and `bytes` have come over it: its queue is there before the replica hears of it. Whoever has dialled
/// keeps its `place` among strangers until its first packet is there.
pub(crate) fn open_link(
    shared: &Shared,
    socket: tls::PeerSocket,
    bytes: BytesMut,
    side: Side,
    place: Option<Place>,
    says: impl FnOnce(LinkId) -> peer::Input,
) {
    let link = LinkId(shared.quorum.new_id());
    let queue = Arc::new(Queue::to(socket.address(), Arc::clone(&shared.quorum.unsent)));
    tracing::debug!("Connected with {} on the quorum port, as {side:?}", queue.peer);
    let (read_half, write_half) = socket.into_ends();
    let closed = queue.closing.subscribe();
    shared.quorum.queues.lock().insert(link, Arc::clone(&queue));
    tokio::spawn(writer::run(shared.clone(), link, write_half, side, queue, closed.clone()));
    shared.feed(says(link));
    tokio::spawn(reader::run(shared.clone(), link, (read_half, bytes), (side, place), closed));
}

/// The connection is gone, whichever direction found out.
pub(crate) fn close_link(shared: &Shared, link: LinkId) {
    let queue = shared.quorum.queues.lock().remove(&link);
    shared.quorum.images.lock().remove(&link);
    shared.quorum.halves.forget(link);
    if let Some(queue) = queue {
        tracing::debug!("The connection with {} on the quorum port is closed", queue.peer);
        queue.close();
        shared.feed(peer::Input::Closed { link });
    }
}

async fn look_up(shared: Shared, link: LinkId, zxid: Zxid) {
    let options = shared.options.clone();
    let is_found = tokio::task::spawn_blocking(move || writer::has_log_for(&options, zxid)).await;
    let is_found = is_found.unwrap_or(false);
    shared.feed(peer::Input::Leader(leader::Input::LookedUp { link, is_found }));
}
