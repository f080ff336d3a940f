//! One client connection: a socket that never blocks, and the bytes on their way in and out of it.
//!
//! Reading uses a buffer of the whole thread; a connection keeps only the start of a frame whose end has
//! not arrived. So ten thousand connections cost ten thousand small structs, and a reply costs one system
//! call and no copy.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::{AddressFamily, SocketType, bind, connect, socket, sockopt};

/// The first size of a thread's read buffer: one reply of 64 KiB, or several hundred small ones.
pub const READ_BUFFER_BYTES: usize = 256 * 1024;

/// Where a server, or an ensemble of three, listens, and from how many local addresses it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The server's client port.
    pub address: SocketAddr,
    /// Those of the other members of its ensemble; connections go to all of them in turn.
    pub others: [Option<SocketAddr>; 2],
    /// Connections are spread over 127.0.0.1 to 127.0.0.`sources` when the server is on 127.0.0.1, because
    /// one address has ports for some 28,000 connections a minute only.
    pub sources: u8,
}

impl Target {
    /// Calls `address` from whatever local address the system chooses.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, others: [None; 2], sources: 1 }
    }

    /// Whom the `index`-th connection goes to.
    fn server(&self, index: usize) -> SocketAddr {
        let members = 1 + self.others.iter().flatten().count();
        let other = (index % members).checked_sub(1).and_then(|other| self.others[other]);
        other.unwrap_or(self.address)
    }

    /// Opens the `index`-th connection. A connection on this machine completes at once.
    fn open(&self, index: usize) -> io::Result<TcpStream> {
        let address = self.server(index);
        let many = 1 < self.sources && address.ip() == Ipv4Addr::LOCALHOST;
        if !many {
            return TcpStream::connect(address);
        }
        let fd = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        let last = 1 + (index % usize::from(self.sources)) as u8;
        bind(&fd, &SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0)))?;
        connect(&fd, &address)?;
        sockopt::set_socket_keepalive(&fd, false)?;
        Ok(TcpStream::from(fd))
    }
}

/// Whether the other side still talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// That many bytes of the read buffer are valid: what was kept, then what arrived.
    Bytes(usize),
    /// The other side has closed.
    Closed,
}

/// A client connection.
#[derive(Debug)]
pub struct Connection {
    socket: TcpStream,
    /// The start of a frame whose end has not arrived.
    kept: Vec<u8>,
    out: Vec<u8>,
    /// How much of `out` the socket has taken; ≤ its length.
    sent: usize,
    last_xid: i32,
}

impl Connection {
    /// Opens the `index`-th connection to `target`.
    pub fn open(target: &Target, index: usize) -> io::Result<Self> {
        let socket = target.open(index)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, kept: Vec::new(), out: Vec::new(), sent: 0, last_xid: 0 })
    }

    /// The next request's xid.
    pub fn next_xid(&mut self) -> i32 {
        self.last_xid = self.last_xid.wrapping_add(1).max(1);
        self.last_xid
    }

    /// Where requests are appended; [`Connection::flush`] sends them.
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Sends what the socket takes; false if some is left.
    pub fn flush(&mut self) -> io::Result<bool> {
        while self.sent < self.out.len() {
            match self.socket.write(&self.out[self.sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.sent = 0;
        Ok(true)
    }

    /// Reads once into the thread's buffer, behind the part of a frame that was kept.
    pub fn receive(&mut self, buffer: &mut Vec<u8>) -> io::Result<Received> {
        let kept = self.kept.len();
        if buffer.len() < kept + READ_BUFFER_BYTES {
            buffer.resize(kept + READ_BUFFER_BYTES, 0);
        }
        match self.socket.read(&mut buffer[kept..]) {
            Ok(0) => Ok(Received::Closed),
            Ok(count) => {
                buffer[..kept].copy_from_slice(&self.kept);
                self.kept.clear();
                Ok(Received::Bytes(kept + count))
            }
            Err(error) if is_retry(&error) => {
                buffer[..kept].copy_from_slice(&self.kept);
                self.kept.clear();
                Ok(Received::Bytes(kept))
            }
            // A server that closes with requests unread resets; to a client that is an end like any other.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(Received::Closed),
            Err(error) => Err(error),
        }
    }

    /// Keeps the start of a frame until its end arrives.
    pub fn keep(&mut self, rest: &[u8]) {
        self.kept.extend_from_slice(rest);
    }
}

fn is_retry(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_go_to_all_members_in_turn() {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let lone = Target::new(at(1));
        assert!((0..4).all(|index| lone.server(index) == at(1)));
        let ensemble = Target { others: [Some(at(2)), Some(at(3))], ..lone };
        let called: Vec<_> = (0..4).map(|index| ensemble.server(index).port()).collect();
        assert_eq!(called, [1, 2, 3, 1]);
    }
}
