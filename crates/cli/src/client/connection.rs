//! The thread that keeps a session: connects, reads, pings, and looks for another server.
//!
//! Times are Java's: silence of two thirds of the session's timeout ends a connection, four thirds the session; a ping goes
//! out at half of the former; behind a round of all servers it waits for a second. Only here is anything waited for.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use zabd_jute::client::ConnectResponse;
use zabd_jute::{Record as _, SessionId};

use super::Settings;
use super::event::State;
use super::hosts::{Rotation, resolve};
use super::session::Shared;

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
        // Why a connection was lost is a line of Java's log, which scripts do not read.
        if let Ok(stream) = self.connect(&host) {
            let _ = self.serve(&stream);
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

    /// The first address of a server that answers.
    fn connect(&self, host: &(String, u16)) -> io::Result<TcpStream> {
        let patience = (self.timeout / self.rotation.len() as u32).max(Duration::from_millis(1));
        let mut failure = io::ErrorKind::AddrNotAvailable.into();
        for address in resolve(host) {
            match TcpStream::connect_timeout(&address, patience) {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    fn serve(&mut self, stream: &TcpStream) -> io::Result<()> {
        self.has_connected = true;
        self.last_heard = Instant::now();
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(self.timeout.max(Duration::from_millis(1))))?;
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

    fn handshake(&mut self, frames: &mut Frames<'_>) -> io::Result<()> {
        let request = self
            .shared
            .lock()
            .connect_request(self.settings.session_timeout, self.settings.is_read_only_enough);
        frames.stream.write_all(&request)?;
        let patience = self.timeout / self.rotation.len() as u32;
        let asked = Instant::now();
        let response = loop {
            if let Some(frame) = frames.next()? {
                break frame;
            }
            let left = patience.checked_sub(asked.elapsed()).ok_or(io::ErrorKind::TimedOut)?;
            frames.read_for(left)?;
        };
        let response = ConnectResponse::from_bytes(&response).map_err(io::Error::other)?;
        self.last_heard = Instant::now();
        if response.timeout_ms <= 0 {
            let happened = self.shared.lock().on_expired();
            self.shared.tell_all(happened);
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        self.timeout = Duration::from_millis(response.timeout_ms as u64);
        self.rotation.answered();
        self.seek_interval = SEEK_WRITER_MIN;
        let stream = frames.stream.try_clone()?;
        let event = {
            let mut session = self.shared.lock();
            if session.is_closing || !session.state.is_alive() {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            session.id = response.session;
            session.password = response.password.to_vec();
            session.on_connected(response.read_only == Some(true))
        };
        // Before anything is sent, so that no answer comes before it.
        if let Some(event) = event {
            self.shared.tell(&event);
        }
        self.shared.lock().established(stream);
        self.shared.wake();
        Ok(())
    }

    /// Does what is due, and says how long nothing else will be.
    fn until_next_duty(&mut self, sought: &mut Instant) -> io::Result<Duration> {
        let patience = self.timeout * 2 / 3;
        let silence = patience.checked_sub(self.last_heard.elapsed()).ok_or(io::ErrorKind::TimedOut)?;
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
    fn seek_writer(&mut self) -> io::Result<()> {
        let (host, _) = self.rotation.next();
        if resolve(&host).iter().any(takes_writes) {
            self.writer = Some(host);
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

fn takes_writes(address: &SocketAddr) -> bool {
    let ask = || -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"isro")?;
        let mut answer = Vec::new();
        stream.take(16).read_to_end(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with(b"rw"))
}

/// Frames out of a socket.
struct Frames<'a> {
    stream: &'a TcpStream,
    bytes: Vec<u8>,
}

impl Frames<'_> {
    /// Whether anything came in this time; the end of the stream is an error.
    fn read_for(&mut self, time: Duration) -> io::Result<bool> {
        self.stream.set_read_timeout(Some(time.max(Duration::from_millis(1))))?;
        let mut chunk = [0; 16 * 1024];
        let mut stream = self.stream;
        match stream.read(&mut chunk) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.bytes.extend_from_slice(&chunk[..count]);
                Ok(true)
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => Ok(false),
                _ => Err(error),
            },
        }
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
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn long_frames_are_read_and_unreasonable_ones_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let stream = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        let (mut server, _) = listener.accept().expect("the connection");
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
