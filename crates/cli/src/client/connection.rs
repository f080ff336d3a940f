//! The thread that keeps a session: connects, reads, pings, and looks for another server.
//!
//! Times are Java's: silence of two thirds of the session's timeout ends a connection, four thirds the session; a ping goes
//! out at half of the former; behind a round of all servers it waits for a second. Only here is anything waited for.

use std::collections::BTreeSet;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use zabd_jute::client::{ConnectResponse, ReplyHeader, SaslRequest};
use zabd_jute::{Reader, Record as _, SessionId};
use zabd_sasl::client::{Exchange, Step};
use zabd_sasl::users::Account;
use zabd_sasl::{Service, nonce};
use zabd_tls::Refused;

use super::event::{EventState, State};
use super::hosts::{Rotation, resolve};
use super::session::{Shared, XID_EVENT};
use super::stream::Stream;
use super::{Login, Settings};

/// Between two rounds of all servers.
const BETWEEN_ROUNDS: Duration = Duration::from_secs(1);
/// Clients of a server that ends do not come back all at once.
const SCATTER_MS_MAX: usize = 1000;
/// A ping at the latest.
const PING_INTERVAL_MAX: Duration = Duration::from_secs(10);
/// How often a server that takes writes is looked for while there is only one that does not.
const SEEK_WRITER_MIN: Duration = Duration::from_millis(100);
const SEEK_WRITER_MAX: Duration = Duration::from_mins(1);
/// A reply may be as long as a record in a log; nothing is taken on the word of a length above it.
const FRAME_BYTES_MAX: usize = 256 << 20;

/// How a record of TLS begins that is an alert.
const TLS_ALERT: [u8; 2] = [21, 3];

const SPEAKS_TLS: &str = "it speaks TLS there, and plain text was sent; hint: `zookeeper.client.secure=true` and a trust store, in \
                          CLIENT_JVMFLAGS or in a file for `-client-configuration`; or its port for plain text";

/// Keeps the session until it ends.
pub fn keep(shared: &Shared, settings: &Settings) {
    let mut keeper = Keeper {
        shared,
        settings,
        rotation: Rotation::new(&settings.servers, random),
        timeout: settings.session_timeout,
        last_heard: Instant::now(),
        has_connected: false,
        writer: None,
        seek_interval: SEEK_WRITER_MIN,
        problem: None,
        unreached: BTreeSet::new(),
    };
    while keeper.is_on() {
        keeper.one_server();
    }
}

struct Keeper<'a> {
    shared: &'a Shared,
    settings: &'a Settings,
    rotation: Rotation,
    /// What was negotiated.
    timeout: Duration,
    last_heard: Instant,
    has_connected: bool,
    /// A server that was found to take writes, where the session should go.
    writer: Option<(String, u16)>,
    seek_interval: Duration,
    /// What was told last, and is still so.
    problem: Option<String>,
    /// Servers that were not reached before any was, and why, as far as that was told.
    unreached: BTreeSet<String>,
}

/// Why a server does not serve the session.
#[derive(Debug)]
enum Lost {
    /// Servers come and go: why is a line of Java's log, which scripts do not read.
    Connection,
    /// There is no connection, and why.
    Unreached(String),
    /// TLS or SASL with this server will be no better the next time.
    Hopeless(String),
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        // A certificate of TLS 1.3 is judged by the server when the handshake is over here.
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Refused>()) {
            Some(refused) => Lost::Hopeless(format!("TLS: {refused}")),
            None => Lost::Connection,
        }
    }
}

impl Keeper<'_> {
    fn is_on(&self) -> bool {
        let session = self.shared.lock();
        session.state.is_alive() && !session.is_closing
    }

    /// Tries one server, and stays with it as long as it goes.
    fn one_server(&mut self) {
        let host = self.writer.take().unwrap_or_else(|| {
            let (host, is_round_over) = self.rotation.next();
            if is_round_over {
                self.shared.pause(BETWEEN_ROUNDS);
            }
            host
        });
        if self.has_connected {
            self.shared.pause(Duration::from_millis(random(SCATTER_MS_MAX) as u64));
        }
        if !self.is_on() {
            return;
        }
        if let Login::Unknown(problem) = &self.settings.login {
            let event = self.shared.lock().on_no_login();
            self.complain(problem.clone());
            if let Some(event) = event {
                self.shared.tell(&event);
            }
        }
        match self.connect(&host).and_then(|stream| self.serve(&Arc::new(stream))) {
            Err(Lost::Hopeless(problem)) => self.complain(format!("{}:{}: {problem}", host.0, host.1)),
            // Whoever has been served knows that there is a server, and scripts read what is said here. Before, the
            // name or the port may be wrong.
            Err(Lost::Unreached(problem)) if !self.has_connected => {
                let problem = format!("{}:{}: {problem}", host.0, host.1);
                if self.unreached.insert(problem.clone()) {
                    self.shared.complain(&problem);
                }
            }
            Err(Lost::Unreached(_) | Lost::Connection) | Ok(()) => (),
        }
        let happened = {
            let mut session = self.shared.lock();
            let is_silent = self.last_heard.elapsed() >= self.timeout * 4 / 3;
            if session.state.is_alive() && !session.is_closing && session.id != SessionId::NONE && is_silent {
                session.on_expired()
            } else {
                session.on_disconnected()
            }
        };
        self.shared.tell_all(happened);
    }

    /// Tells what is wrong, once.
    fn complain(&mut self, problem: String) {
        if self.problem.as_ref() != Some(&problem) {
            self.shared.complain(&problem);
            self.problem = Some(problem);
        }
    }

    /// How long one server may take to answer.
    fn patience(&self) -> Duration {
        (self.timeout / self.rotation.len() as u32).max(Duration::from_millis(1))
    }

    /// The first address of a server that answers.
    fn connect(&self, host: &(String, u16)) -> Result<Stream, Lost> {
        let mut problem = "unknown host".to_owned();
        for address in resolve(host) {
            match TcpStream::connect_timeout(&address, self.patience()) {
                Ok(socket) => return self.prepare(socket, &host.0),
                Err(error) => problem = error.to_string(),
            }
        }
        Err(Lost::Unreached(problem))
    }

    fn prepare(&self, socket: TcpStream, host: &str) -> Result<Stream, Lost> {
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(self.timeout.max(Duration::from_millis(1))))?;
        secured(socket, host, self.settings, self.patience())
    }

    fn serve(&mut self, stream: &Arc<Stream>) -> Result<(), Lost> {
        self.has_connected = true;
        self.last_heard = Instant::now();
        let mut frames = Frames { stream, bytes: Vec::new() };
        self.handshake(&mut frames)?;
        let mut sought = Instant::now();
        loop {
            let wait = self.until_next_duty(&mut sought)?;
            let is_some = frames.read_for(wait)?;
            if is_some {
                self.last_heard = Instant::now();
            }
            while let Some(frame) = frames.next()? {
                let happened = self.shared.lock().receive(&frame).map_err(io::Error::other)?;
                self.shared.tell_all(happened);
            }
            if !self.shared.lock().state.is_alive() {
                return Ok(());
            }
        }
    }

    fn handshake(&mut self, frames: &mut Frames<'_>) -> Result<(), Lost> {
        let request = self
            .shared
            .lock()
            .connect_request(self.settings.session_timeout, self.settings.is_read_only_enough);
        frames.stream.send(&request)?;
        let response = frames.wait(self.patience()).map_err(|error| {
            if frames.tells_of_tls() { Lost::Hopeless(SPEAKS_TLS.to_owned()) } else { error.into() }
        })?;
        let response = ConnectResponse::from_bytes(&response).map_err(io::Error::other)?;
        self.last_heard = Instant::now();
        if response.timeout_ms <= 0 {
            let happened = self.shared.lock().on_expired();
            self.shared.tell_all(happened);
            return Err(Lost::Connection);
        }
        self.timeout = Duration::from_millis(response.timeout_ms as u64);
        self.rotation.answered();
        self.seek_interval = SEEK_WRITER_MIN;
        let event = {
            let mut session = self.shared.lock();
            if session.is_closing || !session.state.is_alive() {
                return Err(Lost::Connection);
            }
            session.id = response.session;
            session.password = response.password.to_vec();
            session.on_connected(response.read_only == Some(true))
        };
        // Before anything is sent, so that no answer comes before it.
        if let Some(event) = event {
            self.shared.tell(&event);
        }
        self.log_in(frames)?;
        if !matches!(self.settings.login, Login::Unknown(_)) {
            self.problem = None;
        }
        self.shared.lock().established(Arc::clone(frames.stream));
        self.shared.wake();
        Ok(())
    }

    /// Proves who this client is, and has the server prove itself, if that was asked for.
    fn log_in(&mut self, frames: &mut Frames<'_>) -> Result<(), Lost> {
        let (problem, told) = match &self.settings.login {
            Login::None | Login::Unknown(_) => return Ok(()),
            Login::Impossible(problem) => (problem.clone(), EventState::Null),
            Login::As(account) => match self.exchange(frames, account)? {
                Ok(()) => {
                    let event = self.shared.lock().on_authenticated();
                    if let Some(event) = event {
                        self.shared.tell(&event);
                    }
                    return Ok(());
                }
                Err(problem) => (problem, EventState::AuthFailed),
            },
        };
        // Whoever is told of the end of the session may be gone before the reason comes.
        self.complain(problem);
        let happened = self.shared.lock().on_unauthenticated(told);
        self.shared.tell_all(happened);
        Err(Lost::Connection)
    }

    /// The exchange; the inner error is that of a proof.
    fn exchange(&self, frames: &mut Frames<'_>, account: &Account) -> Result<Result<(), String>, Lost> {
        let mut exchange = Exchange::new(Service::CLIENTS, account.clone());
        let mut token = Vec::new();
        loop {
            let request = self.shared.lock().sasl_request(&token);
            frames.stream.send(&request)?;
            let reply = loop {
                let frame = frames.wait(self.patience())?;
                let mut reader = Reader::new(&frame);
                let header = ReplyHeader::decode(&mut reader).map_err(io::Error::other)?;
                if header.xid > XID_EVENT {
                    break (header.err, reader.remaining().to_vec());
                }
                let happened = self.shared.lock().receive(&frame).map_err(io::Error::other)?;
                self.shared.tell_all(happened);
            };
            let challenge = match reply {
                (0, body) => {
                    SaslRequest::from_bytes(&body).ok().and_then(|said| said.token.map(<[u8]>::to_vec))
                }
                _ => None,
            };
            let Some(challenge) = challenge else {
                return Ok(Err(format!(
                    "SASL: the server refuses user `{}` or the password",
                    exchange.user()
                )));
            };
            match exchange.step(&challenge, random_nonce) {
                Ok(Step::Respond(response)) => token = response,
                Ok(Step::Done) => return Ok(Ok(())),
                Err(error) => return Ok(Err(format!("SASL: {error}"))),
            }
        }
    }

    /// Does what is due, and says how long nothing else will be.
    fn until_next_duty(&mut self, sought: &mut Instant) -> Result<Duration, Lost> {
        let patience = self.timeout * 2 / 3;
        let silence = patience.checked_sub(self.last_heard.elapsed()).ok_or_else(timed_out)?;
        let (ping, state) = {
            let mut session = self.shared.lock();
            let idle = session.last_sent.elapsed();
            let margin = if idle > Duration::from_secs(1) { Duration::from_secs(1) } else { Duration::ZERO };
            let ping = (patience / 2).min(PING_INTERVAL_MAX).saturating_sub(idle + margin);
            if ping.is_zero() {
                session.send_ping();
            }
            (if ping.is_zero() { patience / 2 } else { ping }, session.state)
        };
        let mut wait = silence.min(ping);
        if state == State::ConnectedReadOnly {
            if sought.elapsed() >= self.seek_interval {
                *sought = Instant::now();
                self.seek_interval = (self.seek_interval * 2).min(SEEK_WRITER_MAX);
                self.seek_writer()?;
            }
            wait = wait.min(self.seek_interval.saturating_sub(sought.elapsed()));
        }
        Ok(wait.max(Duration::from_millis(1)))
    }

    /// Asks the next server whether it takes writes; if so, the session goes there.
    fn seek_writer(&mut self) -> Result<(), Lost> {
        let (host, _) = self.rotation.next();
        if takes_writes(&host, self.settings) {
            self.writer = Some(host);
            return Err(Lost::Connection);
        }
        Ok(())
    }
}

fn timed_out() -> io::Error {
    io::ErrorKind::TimedOut.into()
}

/// By TLS, if that was asked for.
fn secured(socket: TcpStream, host: &str, settings: &Settings, patience: Duration) -> Result<Stream, Lost> {
    let Some(side) = &settings.tls else { return Ok(Stream::plain(socket)) };
    let secured = Stream::secure(socket, side, host, patience);
    secured.map_err(|error| Lost::Hopeless(format!("TLS: {error}")))
}

fn takes_writes(host: &(String, u16), settings: &Settings) -> bool {
    const PATIENCE: Duration = Duration::from_secs(1);
    let ask = |address| -> Result<bool, Lost> {
        let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let stream = secured(socket, &host.0, settings, PATIENCE)?;
        stream.send(b"isro")?;
        let (mut answer, begun) = (Vec::new(), Instant::now());
        while answer.len() < 2 {
            stream.read_for(PATIENCE.checked_sub(begun.elapsed()).ok_or_else(timed_out)?, &mut answer)?;
        }
        Ok(answer.starts_with(b"rw"))
    };
    resolve(host).into_iter().any(|address| ask(address).unwrap_or(false))
}

/// What makes a proof of one exchange worthless for any other.
fn random_nonce() -> String {
    let mut random = [0; 30];
    let source = zabd_tls::rustls::crypto::ring::default_provider().secure_random;
    source.fill(&mut random).expect("the system has random numbers");
    nonce(random)
}

/// Frames out of a stream.
struct Frames<'a> {
    stream: &'a Arc<Stream>,
    bytes: Vec<u8>,
}

impl Frames<'_> {
    /// Whether anything came in this time; the end of the stream is an error.
    fn read_for(&mut self, time: Duration) -> io::Result<bool> {
        self.stream.read_for(time, &mut self.bytes)
    }

    /// The next whole frame, which is to come in this time.
    fn wait(&mut self, patience: Duration) -> io::Result<Vec<u8>> {
        let begun = Instant::now();
        loop {
            if let Some(frame) = self.next()? {
                return Ok(frame);
            }
            self.read_for(patience.checked_sub(begun.elapsed()).ok_or_else(timed_out)?)?;
        }
    }

    /// Whether an alert of TLS has come as the answer to plain text.
    fn tells_of_tls(&self) -> bool {
        self.stream.is_plain() && self.bytes.starts_with(&TLS_ALERT)
    }

    /// The next whole frame that has come.
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some((length, rest)) = self.bytes.split_first_chunk::<4>() else { return Ok(None) };
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length > FRAME_BYTES_MAX {
            return Err(io::Error::other("a frame of unreasonable length"));
        }
        if rest.len() < length {
            return Ok(None);
        }
        let frame = rest[..length].to_vec();
        self.bytes.drain(..4 + length);
        Ok(Some(frame))
    }
}

/// A number below `end`: good enough to spread clients over servers and time.
fn random(end: usize) -> usize {
    static STATE: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_nanos() as u64);
    let seed = now ^ (u64::from(std::process::id()) << 32);
    let mut mixed = STATE.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed).wrapping_add(seed);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed >> 33) % end as u64) as usize
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn long_frames_are_read_and_unreasonable_ones_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let stream = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        let (mut server, _) = listener.accept().expect("the connection");
        let stream = Arc::new(Stream::plain(stream));
        let mut frames = Frames { stream: &stream, bytes: Vec::new() };
        let long = vec![7; 3 << 20];
        let sender = std::thread::spawn(move || {
            server.write_all(&(long.len() as u32).to_be_bytes()).expect("a length");
            server.write_all(&long).expect("a body");
            server.write_all(&[0, 0, 0, 1, 9, 0xff, 0xff, 0xff, 0xff]).expect("a short one, and none");
            server
        });
        let mut taken = Vec::new();
        let refused = loop {
            match frames.next() {
                Ok(Some(frame)) => taken.push(frame),
                Ok(None) => drop(frames.read_for(Duration::from_secs(10)).expect("more")),
                Err(error) => break error,
            }
        };
        assert_eq!(refused.to_string(), "a frame of unreasonable length");
        assert_eq!((taken.len(), taken[0].len(), &taken[1][..]), (2, 3 << 20, &[9][..]));
        drop(sender.join().expect("everything was sent"));
    }
}
