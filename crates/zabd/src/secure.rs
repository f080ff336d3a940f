//! A socket with TLS, as rustls and tokio leave it to whoever has both.
//!
//! rustls turns bytes into bytes and knows no sockets. What it has encrypted and the socket has not taken yet stays with it: at
//! most one slice of [`SLICE_BYTES`]; and so does what has come of a record whose end has not: 16 KiB at most. That is little for
//! one connection and very much for ten thousand, so each can tell how much it is ([`Secure::unsent`], [`Secure::half_record`]),
//! and it counts as what waits in the connection itself.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, ToSocketAddrs as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use zabd_tls::rustls::Connection;
use zabd_tls::{Certificate, IsWanted, take_refused, wanting};
pub use zabd_tls::{Refused, refused};

use crate::memory::at_most;

/// So much is encrypted at a time, if there is so much.
const SLICE_BYTES: usize = 64 << 10;
/// So many names of a certificate are looked up.
const NAMES_MAX: usize = 16;
/// How long a handshake may take, as in Netty.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// What a handshake holds until it is done: certificates, and what has come of a message.
const HANDSHAKE_BYTES: usize = 32 << 10;

/// How many handshakes may be under way: these, or fewer where memory is scarce.
pub fn handshakes_at_once(most: usize) -> usize {
    (at_most(most * HANDSHAKE_BYTES) / HANDSHAKE_BYTES).max(1)
}

/// See the module's description.
#[derive(Debug)]
pub struct Secure {
    socket: TcpStream,
    tls: Box<Connection>,
    /// Bytes that were encrypted and not sent.
    unsent: usize,
    frames: FrameEnds,
    half: HalfRecord,
}

/// Where in a stream of frames, each behind its length, the present one ends.
#[derive(Debug, Default)]
struct FrameEnds {
    /// Bytes of the frame that are still to come; none between two frames.
    left: usize,
}

impl FrameEnds {
    /// How many of these bytes, which go on where the last ones ended, belong to one frame. What cannot be a length is text, and all
    /// that is to come.
    fn first_part(&mut self, bytes: &[u8]) -> usize {
        if self.left == 0 {
            self.left =
                bytes.first_chunk().map_or(bytes.len(), |length| 4 + u32::from_be_bytes(*length) as usize);
        }
        self.left.min(bytes.len())
    }

    /// So much of the present frame is taken.
    fn take(&mut self, length: usize) {
        self.left -= length;
    }
}

/// How much has come of a record of TLS that is not there as a whole.
#[derive(Debug, Default)]
struct HalfRecord {
    header: [u8; HEADER_BYTES],
    /// Of header and content.
    length: usize,
}

/// Type, version and length of the content.
const HEADER_BYTES: usize = 5;

impl HalfRecord {
    /// So much more has come.
    fn note(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let end = match self.length.checked_sub(HEADER_BYTES) {
                None => HEADER_BYTES,
                Some(_) => HEADER_BYTES + usize::from(u16::from_be_bytes([self.header[3], self.header[4]])),
            };
            let (part, rest) = bytes.split_at(bytes.len().min(end - self.length));
            if let Some(header) = self.header.get_mut(self.length..self.length + part.len()) {
                header.copy_from_slice(part);
            }
            self.length += part.len();
            let is_whole = self.length >= HEADER_BYTES
                && self.length
                    == HEADER_BYTES + usize::from(u16::from_be_bytes([self.header[3], self.header[4]]));
            if is_whole {
                self.length = 0;
            }
            bytes = rest;
        }
    }
}

impl Secure {
    /// A socket, and its handshake, which is done.
    pub fn new(socket: TcpStream, tls: Box<Connection>) -> Self {
        Self { socket, tls, unsent: 0, frames: FrameEnds::default(), half: HalfRecord::default() }
    }

    /// The socket, to be asked about.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// How much was encrypted, and the socket has not taken.
    pub fn unsent(&self) -> usize {
        self.unsent
    }

    /// How much has come of a record that is not there as a whole.
    pub fn half_record(&self) -> usize {
        self.half.length
    }

    /// Gives the socket a part of what is encrypted.
    fn send_part(&mut self) -> io::Result<usize> {
        let sent = self.tls.write_tls(&mut Now(&self.socket))?;
        self.unsent = if self.tls.wants_write() { self.unsent.saturating_sub(sent) } else { 0 };
        Ok(sent)
    }

    /// Says that nothing more comes; whoever cannot hear it now need not.
    pub fn say_goodbye(&mut self) {
        self.tls.send_close_notify();
        let _ = self.tls.write_tls(&mut Now(&self.socket));
    }

    /// Sends an answer of TLS itself, as far as the socket takes it: the rest goes with the next bytes. Whoever reads does not
    /// wait for it, since who writes may be another task, and only one is woken.
    fn send_now(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.send_part() {
                Ok(_) => (),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes some of the bytes, of which each frame that begins has at least its length here, and sends as much as the socket takes. No
    /// record has parts of two frames; see the module's description.
    pub fn poll_write_frames(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_send(context))?;
        let mut taken = 0;
        while taken < bytes.len().min(SLICE_BYTES) {
            let rest = &bytes[taken..];
            let part = self.frames.first_part(rest).min(SLICE_BYTES - taken);
            let written = self.tls.writer().write(&rest[..part])?;
            self.frames.take(written);
            taken += written;
            if written < part {
                break;
            }
        }
        self.unsent += taken;
        let _ = self.poll_send(context)?;
        Poll::Ready(Ok(taken))
    }

    /// Sends as much as the socket takes; ready when that is everything.
    pub fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.tls.wants_write() {
            match self.send_part() {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => (),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.socket.poll_write_ready(context))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Secure {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let read = self.tls.reader().read(buffer.initialize_unfilled());
            match read {
                Ok(length) => {
                    buffer.advance(length);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
                // The other side has closed its socket without a word, as many do.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Poll::Ready(Ok(())),
                Err(error) => return Poll::Ready(Err(error)),
            }
            let this = &mut *self;
            match this.tls.read_tls(&mut Noted(&this.socket, &mut this.half)) {
                Ok(_) => {
                    this.tls.process_new_packets().map_err(io::Error::other)?;
                    if this.tls.wants_write() {
                        this.send_now()?;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(this.socket.poll_read_ready(context))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Secure {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_send(context))?;
        let taken = self.tls.writer().write(&bytes[..bytes.len().min(SLICE_BYTES)])?;
        self.unsent += taken;
        let _ = self.poll_send(context)?;
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_send(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tls.send_close_notify();
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

/// A socket as rustls takes it: what cannot be done at once would block.
struct Now<'s>(&'s TcpStream);

impl io::Read for Now<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

/// The same, where records are followed.
struct Noted<'s>(&'s TcpStream, &'s mut HalfRecord);

impl io::Read for Noted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.0.try_read(buffer)?;
        self.1.note(&buffer[..length]);
        Ok(length)
    }
}

impl io::Write for Now<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Who the other side must be, beside being believed.
#[derive(Clone)]
pub struct Wanted {
    /// Whether it is.
    pub is_wanted: IsWanted,
    /// What is told of the place of whoever is not: `comes from` or `was looked for`.
    pub comes: &'static str,
    /// Whether names are looked up for that, which may take its time.
    pub looks_up: bool,
}

/// Until nothing more is to be said about who is who; gives whose certificate was shown, if one was.
pub async fn negotiate(
    tls: Connection,
    socket: &TcpStream,
    wanted: Option<Wanted>,
) -> Result<(Box<Connection>, Option<Certificate>), Refused> {
    let tls = tokio::time::timeout(HANDSHAKE_MAX, exchange(Box::new(tls), socket, wanted.as_ref()))
        .await
        .unwrap_or(Err(Refused::Slow(HANDSHAKE_MAX)))?;
    let Some(shown) = tls.peer_certificates().and_then(|chain| chain.first()) else { return Ok((tls, None)) };
    match Certificate::parse(shown) {
        Some(certificate) => Ok((tls, Some(certificate))),
        None => Err(Refused::Failed("the certificate cannot be read".to_owned())),
    }
}

async fn exchange(
    mut tls: Box<Connection>,
    socket: &TcpStream,
    wanted: Option<&Wanted>,
) -> Result<Box<Connection>, Refused> {
    let mut has_spoken = false;
    loop {
        while tls.wants_write() {
            has_spoken = true;
            match tls.write_tls(&mut Now(socket)) {
                Ok(_) => (),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.writable().await?,
                Err(error) => return Err(error.into()),
            }
        }
        if !tls.is_handshaking() {
            return Ok(tls);
        }
        match tls.read_tls(&mut Now(socket)) {
            Ok(0) => return Err(Refused::Gone),
            Ok(_) => {
                let result;
                // Nobody shows a certificate before he was asked for it.
                (tls, result) = match wanted {
                    Some(wanted) if wanted.looks_up && has_spoken => beside(tls, wanted.clone()).await,
                    _ => {
                        let result = process(&mut tls, wanted);
                        (tls, result)
                    }
                };
                if result.is_err() {
                    // The alert that says why.
                    let _ = tls.write_tls(&mut Now(socket));
                }
                result?;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.readable().await?,
            Err(error) => return Err(error.into()),
        }
    }
}

/// The same as [`process`], where it holds up nobody else.
async fn beside(mut tls: Box<Connection>, wanted: Wanted) -> (Box<Connection>, Result<(), Refused>) {
    let work = move || {
        let result = process(&mut tls, Some(&wanted));
        (tls, result)
    };
    tokio::task::spawn_blocking(work).await.expect("what it does has no reason to panic")
}

/// Makes something of what has come.
fn process(tls: &mut Connection, wanted: Option<&Wanted>) -> Result<(), Refused> {
    let _ = take_refused();
    let Some(Wanted { is_wanted, comes, .. }) = wanted else {
        return tls.process_new_packets().map(drop).map_err(|error| refused(&error));
    };
    match wanting(is_wanted, || tls.process_new_packets().map(drop).map_err(|error| refused(&error))) {
        (_, Some(other)) => Err(Refused::elsewhere(other, comes)),
        (result, None) => result,
    }
}

/// Whether the certificate is for this address, or for a name that stands for it, as far as that is found out in time: blocks.
pub fn comes_from(certificate: &Certificate, address: IpAddr) -> bool {
    let address = address.to_canonical();
    let until = Instant::now() + HANDSHAKE_MAX;
    let stands_for_it = |name: &str| {
        let found = (name, 0).to_socket_addrs();
        found.is_ok_and(|mut found| found.any(|found| found.ip().to_canonical() == address))
    };
    certificate.is_for(&address.to_string())
        || certificate.host_names().take(NAMES_MAX).take_while(|_| Instant::now() < until).any(stands_for_it)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_ends_where_its_frame_ends() {
        let stream = [&[0, 0, 0, 2, 7, 7][..], &[0, 0, 0, 0], &[0, 0, 1, 0], &[9; 256], b"imok"].concat();
        for slice in 4..=stream.len() {
            let (mut ends, mut frames, mut at) = (vec![], FrameEnds::default(), 0);
            while at < stream.len() {
                let part = frames.first_part(&stream[at..]).min(slice);
                frames.take(part);
                at += part;
                ends.push(at);
            }
            for end in [6, 10, 270, 274] {
                assert!(ends.contains(&end), "in slices of {slice}: {ends:?}");
            }
        }
        assert_eq!(FrameEnds::default().first_part(b"ok"), 2);
    }

    #[test]
    fn a_record_is_half_until_its_last_byte() {
        let mut bytes = vec![23, 3, 3, 0, 3, 1, 2, 3];
        bytes.extend([21, 3, 3, 0, 0]);
        bytes.extend([23, 3, 3, 1, 0]);
        bytes.extend([9; 256]);
        let ends = [0, 8, 13, 274];
        assert_eq!(bytes.len(), ends[3]);
        for size in 1..=bytes.len() {
            let mut half = HalfRecord::default();
            let mut come = 0;
            for part in bytes.chunks(size) {
                half.note(part);
                come += part.len();
                let begin = ends.iter().rev().find(|end| **end <= come).unwrap();
                assert_eq!(half.length, come - begin, "in parts of {size}");
            }
        }
    }
}
