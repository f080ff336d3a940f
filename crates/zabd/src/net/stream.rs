//! A client's socket, with TLS or without.
//!
//! The plain one costs one branch. The other keeps what rustls has encrypted and the socket has not taken yet: at most one slice
//! of [`SLICE_BYTES`], so what a connection holds back is bounded as before.

use std::io::{self, Read as _, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;
use zabd_tls::rustls::ServerConnection;

/// So much is encrypted at a time, if there is so much.
const SLICE_BYTES: usize = 64 << 10;

/// See the module's description.
#[derive(Debug)]
pub enum Stream {
    /// As it comes.
    Plain(TcpStream),
    /// By TLS.
    Secure(Box<Secure>),
}

/// A socket whose handshake is done.
#[derive(Debug)]
pub struct Secure {
    socket: TcpStream,
    tls: ServerConnection,
}

impl Stream {
    /// The socket of a connection, with what its handshake left if it had one.
    pub fn new(socket: TcpStream, tls: Option<Box<ServerConnection>>) -> Self {
        match tls {
            None => Stream::Plain(socket),
            Some(tls) => Stream::Secure(Box::new(Secure { socket, tls: *tls })),
        }
    }

    /// Whether it is by TLS.
    pub fn is_secure(&self) -> bool {
        matches!(self, Stream::Secure(_))
    }

    /// Reads what has come; nothing is the end of the stream.
    pub fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Stream::Secure(secure) => secure.poll_read(context, buffer),
        }
    }

    /// Takes some of the bytes, and sends as much as the socket takes.
    pub fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Stream::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Stream::Secure(secure) => secure.poll_write(context, bytes),
        }
    }

    /// Ready when the socket has taken everything.
    pub fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Plain(_) => Poll::Ready(Ok(())),
            Stream::Secure(secure) => secure.poll_send(context),
        }
    }

    /// Says that nothing more comes, if there is a way to say so; whoever cannot hear it now need not.
    pub fn say_goodbye(&mut self) {
        if let Stream::Secure(secure) = self {
            secure.tls.send_close_notify();
            let _ = secure.tls.write_tls(&mut Now(&secure.socket));
        }
    }
}

impl Secure {
    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
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
            match self.tls.read_tls(&mut Now(&self.socket)) {
                Ok(_) => {
                    self.tls.process_new_packets().map_err(io::Error::other)?;
                    if self.tls.wants_write() {
                        // An answer of TLS itself; what does not fit now goes with the next reply.
                        let _ = self.poll_send(context)?;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.socket.poll_read_ready(context))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_send(context))?;
        let taken = self.tls.writer().write(&bytes[..bytes.len().min(SLICE_BYTES)])?;
        let _ = self.poll_send(context)?;
        Poll::Ready(Ok(taken))
    }

    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut Now(&self.socket)) {
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

/// A socket as rustls takes it: what cannot be done at once would block.
#[derive(Debug)]
pub(crate) struct Now<'s>(pub &'s TcpStream);

impl io::Read for Now<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
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
