//! A client's socket, with TLS or without; the plain one costs one branch.
//!
//! What a plain socket is asked for goes to the system directly: the C library makes each call a point where a thread
//! may be cancelled, which costs more than what is done with a small request otherwise.

use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{RecvFlags, SendFlags};
use tokio::io::{AsyncRead as _, Interest, ReadBuf};
use tokio::net::TcpStream;
use zabd_tls::rustls::Connection;

use crate::secure::Secure;

/// See the module's description.
#[derive(Debug)]
pub enum Stream {
    /// As it comes.
    Plain(TcpStream),
    /// By TLS.
    Secure(Box<Secure>),
}

impl Stream {
    /// The socket of a connection, with what its handshake left if it had one.
    pub fn new(socket: TcpStream, tls: Option<Box<Connection>>) -> Self {
        match tls {
            None => Stream::Plain(socket),
            Some(tls) => Stream::Secure(Box::new(Secure::new(socket, tls))),
        }
    }

    /// Whether it is by TLS.
    pub fn is_secure(&self) -> bool {
        matches!(self, Stream::Secure(_))
    }

    /// Reads what has come; nothing is the end of the stream.
    pub fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Plain(socket) => poll_receive(socket, context, buffer),
            Stream::Secure(secure) => Pin::new(&mut **secure).poll_read(context, buffer),
        }
    }

    /// Takes some of the bytes, which are whole frames or the rest of one and whole frames, and sends as much as the socket takes.
    pub fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Stream::Plain(socket) => poll_send(socket, context, bytes),
            Stream::Secure(secure) => secure.poll_write_frames(context, bytes),
        }
    }

    /// Ready when the socket has taken everything.
    pub fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Plain(_) => Poll::Ready(Ok(())),
            Stream::Secure(secure) => secure.poll_send(context),
        }
    }

    /// How much it has taken to send, and the socket has not.
    pub fn unsent(&self) -> usize {
        match self {
            Stream::Plain(_) => 0,
            Stream::Secure(secure) => secure.unsent(),
        }
    }

    /// How much it keeps of what cannot be read yet.
    pub fn half_record(&self) -> usize {
        match self {
            Stream::Plain(_) => 0,
            Stream::Secure(secure) => secure.half_record(),
        }
    }

    /// Whether the client may say more, as far as the kernel has heard, whatever of it is unread.
    pub fn is_open(&self) -> bool {
        let socket = match self {
            Stream::Plain(socket) => socket.as_fd(),
            Stream::Secure(secure) => secure.as_fd(),
        };
        #[cfg(target_os = "linux")]
        let end = PollFlags::RDHUP;
        #[cfg(not(target_os = "linux"))]
        let end = PollFlags::empty();
        let mut socket = [PollFd::from_borrowed_fd(socket, end)];
        matches!(rustix::event::poll(&mut socket, Some(&Timespec::default())), Ok(0))
    }

    /// Says that nothing more comes. Where bytes of the client's are unread, the kernel resets the connection when it is closed, which
    /// the client hears behind this: it may have an answer to read yet. Java shuts its output first, too.
    pub fn say_goodbye(&mut self) {
        match self {
            Stream::Plain(socket) => _ = socket2::SockRef::from(&*socket).shutdown(Shutdown::Write),
            Stream::Secure(secure) => secure.say_goodbye(),
        }
    }
}

/// Receives what there is, as tokio's `poll_read` does.
fn poll_receive(
    socket: &TcpStream,
    context: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let room = buffer.initialize_unfilled();
    let wanted = room.len();
    let receive = || Ok(rustix::net::recv(socket, &mut *room, RecvFlags::empty())?.0);
    let received = ready!(poll_call(Interest::READABLE, socket, context, wanted, receive))?;
    buffer.advance(received);
    Poll::Ready(Ok(()))
}

/// Sends what the socket takes, as tokio's `poll_write` does.
fn poll_send(socket: &TcpStream, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    let send = || Ok(rustix::net::send(socket, bytes, SendFlags::NOSIGNAL)?);
    poll_call(Interest::WRITABLE, socket, context, bytes.len(), send)
}

/// Calls when the socket is ready. Where less is done than was `wanted`, it is not ready any more, which need not be found
/// out by another call.
fn poll_call(
    interest: Interest,
    socket: &TcpStream,
    context: &mut Context<'_>,
    wanted: usize,
    mut call: impl FnMut() -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        ready!(if interest.is_readable() {
            socket.poll_read_ready(context)
        } else {
            socket.poll_write_ready(context)
        })?;
        let mut some = None;
        let outcome = socket.try_io(interest, || {
            let done = call()?;
            if 0 < done && done < wanted {
                some = Some(done);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(done)
        });
        match (some, outcome) {
            (Some(done), _) | (None, Ok(done)) => return Poll::Ready(Ok(done)),
            (None, Err(error))
                if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            (None, Err(error)) => return Poll::Ready(Err(error)),
        }
    }
}
