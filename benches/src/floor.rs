//! The least that any server has to do for the same load: a server that decides nothing, stores nothing
//! and remembers nothing, but moves the same bytes with the fewest system calls that sockets allow.
//!
//! One thread, one epoll: a read per ready connection, the answers of all its frames with one write. What
//! would be a transaction is appended to a file, once per round of the loop with one `fdatasync`, and
//! answered behind it. What it costs is the kernel's price of the load on this machine, and no server
//! that talks to sockets is cheaper. It understands the load generator's own requests and nobody else's.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use rustix::net::{self, SocketFlags, sockopt};
use zabd_jute::{OpCode, Writer};

use crate::error::BenchError;
use crate::poller::{Interest, Poller};
use crate::wire::Frames;
use crate::workload::CREATED;

/// The listening socket among the tokens.
const LISTENER: usize = usize::MAX;
/// How much one read takes.
const READ_BYTES: usize = 64 << 10;
/// The value that every znode has.
const VALUE: [u8; 100] = [b'v'; 100];
/// A `Stat` on the wire.
const STAT: [u8; 68] = [0; 68];

/// A client.
struct Lane {
    socket: TcpStream,
    /// The start of a frame whose end has not arrived.
    kept: Vec<u8>,
    out: Vec<u8>,
    is_established: bool,
    is_closing: bool,
}

struct Floor {
    poller: Poller,
    listener: TcpListener,
    /// By token.
    lanes: Vec<Option<Lane>>,
    free: Vec<usize>,
    /// Tokens of those that watch the one znode that the generator changes for its audience.
    watchers: Vec<usize>,
    /// What this round appends to the log.
    record: Vec<u8>,
    log: File,
    /// Lanes with answers that wait for the end of the round.
    dirty: Vec<usize>,
    buffer: Vec<u8>,
}

/// Serves on the port and in the data directory of a `zoo.cfg`, until the process is ended.
pub fn run(config: &Path) -> Result<std::convert::Infallible, BenchError> {
    let text = std::fs::read_to_string(config).map_err(BenchError::io("read the configuration"))?;
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let missing = |key| BenchError::Unavailable(format!("{} has no {key}", config.display()));
    let port = value("clientPort").and_then(|port| port.parse().ok()).ok_or_else(|| missing("clientPort"))?;
    let data_dir = value("dataDir").ok_or_else(|| missing("dataDir"))?;
    let mut floor = Floor::open(port, Path::new(data_dir)).map_err(BenchError::io("open the floor"))?;
    loop {
        floor.round().map_err(BenchError::io("serve"))?;
    }
}

impl Floor {
    fn open(port: u16, data_dir: &Path) -> io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        net::listen(&listener, 1024)?;
        listener.set_nonblocking(true)?;
        // Accepted sockets inherit it.
        sockopt::set_tcp_nodelay(&listener, true)?;
        let poller = Poller::new()?;
        poller.add(&listener, LISTENER, Interest::Read)?;
        let log = OpenOptions::new().create(true).append(true).open(data_dir.join("floor.log"))?;
        Ok(Self {
            poller,
            listener,
            lanes: Vec::new(),
            free: Vec::new(),
            watchers: Vec::new(),
            record: Vec::new(),
            log,
            dirty: Vec::new(),
            buffer: vec![0; READ_BYTES],
        })
    }

    fn round(&mut self) -> io::Result<()> {
        let mut ready = Vec::new();
        self.poller.wait(Duration::from_secs(1), &mut ready)?;
        for token in ready {
            if token == LISTENER {
                self.accept()?;
            } else {
                self.on_ready(token);
            }
        }
        if !self.record.is_empty() {
            self.log.write_all(&self.record)?;
            self.log.sync_data()?;
            self.record.clear();
        }
        for token in std::mem::take(&mut self.dirty) {
            self.flush(token);
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        while let Ok(socket) = net::accept_with(&self.listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)
        {
            let socket = TcpStream::from(socket);
            let token = self.free.pop().unwrap_or_else(|| {
                self.lanes.push(None);
                self.lanes.len() - 1
            });
            self.poller.add(&socket, token, Interest::Read)?;
            let (kept, out) = (Vec::new(), Vec::new());
            self.lanes[token] = Some(Lane { socket, kept, out, is_established: false, is_closing: false });
        }
        Ok(())
    }

    fn on_ready(&mut self, token: usize) {
        let Some(mut lane) = self.lanes[token].take() else { return };
        let mut buffer = std::mem::take(&mut self.buffer);
        let kept = lane.kept.len();
        buffer.resize(buffer.len().max(kept + READ_BYTES), 0);
        buffer[..kept].copy_from_slice(&lane.kept);
        let count = lane.socket.read(&mut buffer[kept..]).unwrap_or(0);
        if count == 0 {
            self.end(token);
        } else {
            self.answer(token, &mut lane, &buffer[..kept + count]);
            self.lanes[token] = Some(lane);
        }
        self.buffer = buffer;
        if !self.dirty.ends_with(&[token]) {
            self.flush(token);
        }
    }

    fn answer(&mut self, token: usize, lane: &mut Lane, bytes: &[u8]) {
        if bytes == b"srvr" {
            lane.out.extend_from_slice(b"Mode: floor\n");
            lane.is_closing = true;
            return;
        }
        let records_before = self.record.len();
        let mut frames = Frames::new(bytes);
        for frame in frames.by_ref() {
            if lane.is_established {
                self.reply(token, lane, frame);
            } else {
                self.record.extend_from_slice(frame);
                connected(&mut lane.out);
                lane.is_established = true;
            }
        }
        lane.kept.clear();
        lane.kept.extend_from_slice(frames.rest());
        if records_before < self.record.len() {
            self.dirty.push(token);
        }
    }

    fn reply(&mut self, token: usize, lane: &mut Lane, frame: &[u8]) {
        let word =
            |at: usize| frame.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, i32::from_be_bytes);
        let (xid, op) = (word(0), word(4));
        let path = frame.get(12..12 + word(8).max(0) as usize).unwrap_or_default();
        let is = |code: OpCode| op == code.code();
        if [OpCode::SetData, OpCode::Create, OpCode::Multi, OpCode::CloseSession].iter().any(|&code| is(code))
        {
            self.record.extend_from_slice(frame);
        }
        if is(OpCode::AddWatch) {
            self.watchers.push(token);
        }
        if is(OpCode::SetData) && path == CREATED {
            self.tell_watchers();
        }
        lane.is_closing |= is(OpCode::CloseSession);
        success(&mut lane.out, xid, |w| {
            if is(OpCode::GetData) {
                w.buffer(Some(&VALUE));
                w.bytes(&STAT);
            } else if is(OpCode::SetData) || is(OpCode::Exists) {
                w.bytes(&STAT);
            } else if is(OpCode::Create) {
                w.buffer(Some(path));
            } else if is(OpCode::Multi) {
                w.int(-1);
                w.boolean(true);
                w.int(-1);
            }
        });
    }

    fn tell_watchers(&mut self) {
        for &watcher in &self.watchers {
            let Some(lane) = &mut self.lanes[watcher] else { continue };
            success(&mut lane.out, -1, |w| {
                w.int(3);
                w.int(3);
                w.buffer(Some(CREATED));
            });
            self.dirty.push(watcher);
        }
    }

    /// Sends what there is; a client whose socket is full or gone is closed, for the generator always reads.
    fn flush(&mut self, token: usize) {
        let Some(lane) = &mut self.lanes[token] else { return };
        let sent = lane.out.is_empty() || (&lane.socket).write_all(&lane.out).is_ok();
        lane.out.clear();
        if lane.is_closing || !sent {
            self.end(token);
        }
    }

    fn end(&mut self, token: usize) {
        // The kernel takes a closed socket off the epoll.
        self.lanes[token] = None;
        self.free.push(token);
        self.watchers.retain(|&watcher| watcher != token);
    }
}

fn frame(out: &mut Vec<u8>, body: impl FnOnce(&mut Writer<'_>)) {
    let mut w = Writer::new(out);
    let length = w.reserve_int();
    body(&mut w);
    w.fill_length(length);
}

fn success(out: &mut Vec<u8>, xid: i32, body: impl FnOnce(&mut Writer<'_>)) {
    frame(out, |w| {
        w.int(xid);
        w.long(1);
        w.int(0);
        body(w);
    });
}

fn connected(out: &mut Vec<u8>) {
    frame(out, |w| {
        w.int(0);
        w.int(40_000);
        w.long(1);
        w.buffer(Some(&[0; 16]));
        w.boolean(false);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Target;
    use crate::load::{self, LoadPlan, Stream};
    use crate::new_sessions::{self, NewSessionsPlan};
    use crate::server::free_port;
    use crate::workload::{Keyspace, Op};

    /// The generator takes it for a server: sessions open and close, and nothing is answered with an error.
    #[test]
    fn the_generator_is_answered() {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port(24_100).unwrap();
        let mut floor = Floor::open(port, folder.path()).unwrap();
        // It ends with the process.
        std::thread::spawn(move || while floor.round().is_ok() {});
        let target = Target::new(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let (warm_up, window) = (Duration::ZERO, Duration::from_secs(1));
        let sessions = NewSessionsPlan { target, concurrency: 4, warm_up, window, ephemerals: 1 };
        assert!(0 < new_sessions::run(&sessions, &[]).unwrap().sessions);
        for op in [Op::Get, Op::Set, Op::Create] {
            let plan = LoadPlan {
                target,
                streams: vec![Stream::closed(op, 4, 2)],
                keyspace: Keyspace::spread(10),
                value_bytes: VALUE.len(),
                threads: 1,
                warm_up,
                window_max: window,
                replies_max: None,
                run: 1,
            };
            let report = load::run(&plan, &[]).unwrap();
            report.check().unwrap();
            assert!(0 < report.replies(), "{op:?}");
        }
    }
}
