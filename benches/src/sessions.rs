//! Sessions by the thousand: opened and closed many at a time, never more than a server's backlog takes.
//!
//! Every measurement closes its sessions properly. Sockets that were merely dropped would leave sessions
//! to expire in the middle of the next measurement, on the next measurement's account.

use std::time::{Duration, Instant};

use crate::connection::{Connection, Received, Target};
use crate::error::BenchError;
use crate::poller::{Interest, Poller};
use crate::wire::{self, Connected, Frames, Incoming};

/// The timeout that sessions ask for. Longer than anything that leaves a session silent.
pub const SESSION_TIMEOUT_MS: i32 = 40_000;
/// Handshakes under way at once; Java listens with a backlog of 50.
const HANDSHAKES_MAX: usize = 32;
/// Closings under way at once.
const CLOSINGS_MAX: usize = 256;
/// Plenty for ten thousand sessions on a slow disk.
const DEADLINE: Duration = Duration::from_mins(1);

/// Opens `count` sessions.
pub fn open(target: &Target, count: usize) -> Result<Vec<Connection>, BenchError> {
    let poller = Poller::new().map_err(BenchError::io("create an epoll"))?;
    let mut connections = Vec::with_capacity(count);
    let (mut established, mut ready, mut buffer) = (0, Vec::new(), Vec::new());
    let started = Instant::now();
    while established < count {
        while connections.len() < count && connections.len() - established < HANDSHAKES_MAX {
            let index = connections.len();
            connections.push(begin_handshake(target, index, index, &poller)?);
        }
        poller.wait(Duration::from_millis(100), &mut ready).map_err(BenchError::io("wait for sockets"))?;
        for token in ready.drain(..) {
            if end_handshake(&mut connections[token], &mut buffer)? {
                established += 1;
            }
        }
        check_deadline(started, "opening sessions")?;
    }
    Ok(connections)
}

fn check_deadline(started: Instant, during: &'static str) -> Result<(), BenchError> {
    if DEADLINE < started.elapsed() {
        return Err(BenchError::TimedOut { during, seconds: DEADLINE.as_secs() });
    }
    Ok(())
}

/// Connects and sends the `ConnectRequest`; `index` chooses the local address, `token` is the poller's.
pub fn begin_handshake(
    target: &Target,
    index: usize,
    token: usize,
    poller: &Poller,
) -> Result<Connection, BenchError> {
    let connect_error = || BenchError::io(format!("connect to {}", target.address));
    let mut connection = Connection::open(target, index).map_err(connect_error())?;
    wire::connect(connection.out(), SESSION_TIMEOUT_MS);
    connection.flush().map_err(connect_error())?;
    poller.add(&connection, token, Interest::Read).map_err(BenchError::io("watch a socket"))?;
    Ok(connection)
}

/// Reads the `ConnectResponse`; false if it has not arrived.
pub fn end_handshake(connection: &mut Connection, buffer: &mut Vec<u8>) -> Result<bool, BenchError> {
    let Received::Bytes(count) =
        connection.receive(buffer).map_err(BenchError::io("read from the server"))?
    else {
        return Err(BenchError::Refused);
    };
    let mut frames = Frames::new(&buffer[..count]);
    let response = frames.next();
    connection.keep(frames.rest());
    let Some(response) = response else { return Ok(false) };
    if Connected::decode(response)?.timeout_ms <= 0 {
        return Err(BenchError::Refused);
    }
    Ok(true)
}

/// Closes sessions that have nothing outstanding but events.
pub fn close(mut connections: Vec<Connection>) -> Result<(), BenchError> {
    let started = Instant::now();
    let mut buffer = Vec::new();
    for wave in connections.chunks_mut(CLOSINGS_MAX) {
        let poller = Poller::new().map_err(BenchError::io("create an epoll"))?;
        for (token, connection) in wave.iter_mut().enumerate() {
            let xid = connection.next_xid();
            wire::close(connection.out(), xid);
            connection.flush().map_err(BenchError::io("close a session"))?;
            poller.add(&*connection, token, Interest::Read).map_err(BenchError::io("watch a socket"))?;
        }
        let (mut closed, mut ready) = (vec![false; wave.len()], Vec::new());
        while !closed.iter().all(|&is_closed| is_closed) {
            poller
                .wait(Duration::from_millis(100), &mut ready)
                .map_err(BenchError::io("wait for sockets"))?;
            for token in ready.drain(..) {
                if !closed[token] && is_closed(&mut wave[token], &mut buffer)? {
                    closed[token] = true;
                    poller.remove(&wave[token]).map_err(BenchError::io("forget a socket"))?;
                }
            }
            check_deadline(started, "closing sessions")?;
        }
    }
    Ok(())
}

/// Reads until the server closes, and says whether it has.
pub fn is_closed(connection: &mut Connection, buffer: &mut Vec<u8>) -> Result<bool, BenchError> {
    match connection.receive(buffer).map_err(BenchError::io("read from the server"))? {
        Received::Closed => Ok(true),
        Received::Bytes(count) => {
            let mut frames = Frames::new(&buffer[..count]);
            for frame in frames.by_ref() {
                if let Incoming::Reply { error, .. } = Incoming::decode(frame)?
                    && error != 0
                {
                    return Err(BenchError::Failed { during: "closing a session", code: error });
                }
            }
            connection.keep(frames.rest());
            Ok(false)
        }
    }
}
