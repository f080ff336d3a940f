//! A connection to a server, in plain text or by TLS: one thread reads it, and whoever has a request writes.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use zabd_config::TlsSide;
use zabd_tls::rustls::ClientConnection;
use zabd_tls::rustls::pki_types::ServerName;
use zabd_tls::{Certificate, Refused, TlsError, refused};

/// How much is read at a time.
const CHUNK_BYTES: usize = 16 * 1024;

/// See the module's description.
pub struct Stream {
    socket: TcpStream,
    /// Locked for moments only: nobody waits for the other side while he holds it, but for room to send.
    tls: Option<Mutex<ClientConnection>>,
}

/// Why there is no connection by TLS.
#[derive(Debug, thiserror::Error)]
pub enum NoTls {
    /// A store cannot be used.
    #[error("{key}: {0}; hint: {hint}", key = .0.key, hint = .0.hint)]
    Store(#[from] TlsError),
    /// The server and this client have something against each other.
    #[error("{0}")]
    Refused(#[from] Refused),
}

impl Stream {
    /// Without TLS.
    pub fn plain(socket: TcpStream) -> Self {
        Self { socket, tls: None }
    }

    /// By TLS, with whom was looked for as `host`. The stores are read each time, so that those which were replaced hold.
    pub fn secure(socket: TcpStream, side: &TlsSide, host: &str, patience: Duration) -> Result<Self, NoTls> {
        let config = zabd_tls::client(side, &mut |_| ())?;
        let name = ServerName::try_from(host.to_owned()).or_else(|_| ServerName::try_from("zookeeper"));
        let name = name.expect("the latter is a name");
        let mut tls = ClientConnection::new(config, name).map_err(|error| refused(&error))?;
        let done = shake(&mut tls, &socket, patience);
        if done.is_err() {
            // The alert that says why.
            let _ = tls.write_tls(&mut &socket);
        }
        done?;
        let shown = tls.peer_certificates().and_then(|chain| chain.first()).and_then(Certificate::parse);
        let shown = shown.ok_or_else(|| Refused::Failed("the certificate cannot be read".to_owned()))?;
        if side.verifies_hosts.unwrap_or(true) && !is_there(&shown, host, &socket, side.is_fips) {
            return Err(Refused::elsewhere(shown, "was looked for").into());
        }
        Ok(Self { socket, tls: Some(Mutex::new(tls)) })
    }

    /// Whether what is sent goes as it is.
    pub fn is_plain(&self) -> bool {
        self.tls.is_none()
    }

    /// Sends all of it.
    pub fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let Some(tls) = &self.tls else { return (&self.socket).write_all(bytes) };
        let mut tls = lock(tls);
        let mut left = bytes;
        while !left.is_empty() {
            let taken = tls.writer().write(left)?;
            left = &left[taken..];
            self.send_encrypted(&mut tls)?;
        }
        Ok(())
    }

    /// Reads what comes in this time; false if nothing has. The end of the stream is an error.
    pub fn read_for(&self, time: Duration, bytes: &mut Vec<u8>) -> io::Result<bool> {
        self.socket.set_read_timeout(Some(time.max(Duration::from_millis(1))))?;
        let mut chunk = [0; CHUNK_BYTES];
        let come = match (&self.socket).read(&mut chunk) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => &chunk[..count],
            Err(error) => {
                return match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => {
                        Ok(false)
                    }
                    _ => Err(error),
                };
            }
        };
        let Some(tls) = &self.tls else {
            bytes.extend_from_slice(come);
            return Ok(true);
        };
        self.decrypt(&mut lock(tls), come, bytes)
    }

    fn decrypt(&self, tls: &mut ClientConnection, mut come: &[u8], bytes: &mut Vec<u8>) -> io::Result<bool> {
        let before = bytes.len();
        while !come.is_empty() {
            tls.read_tls(&mut come)?;
            if let Err(error) = tls.process_new_packets() {
                let _ = self.send_encrypted(tls);
                return Err(io::Error::other(refused(&error)));
            }
            if let Err(error) = tls.reader().read_to_end(bytes)
                && error.kind() != io::ErrorKind::WouldBlock
            {
                return Err(error);
            }
        }
        self.send_encrypted(tls)?;
        Ok(bytes.len() > before)
    }

    fn send_encrypted(&self, tls: &mut ClientConnection) -> io::Result<()> {
        while tls.wants_write() {
            tls.write_tls(&mut &self.socket)?;
        }
        Ok(())
    }

    /// Ends it, whoever reads or writes.
    pub fn shut(&self) {
        // It may be gone already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

/// Until nothing more is to be said about who is who.
fn shake(tls: &mut ClientConnection, mut socket: &TcpStream, patience: Duration) -> Result<(), Refused> {
    let begun = Instant::now();
    loop {
        while tls.wants_write() {
            tls.write_tls(&mut socket)?;
        }
        if !tls.is_handshaking() {
            return Ok(());
        }
        let left = patience.checked_sub(begun.elapsed()).filter(|left| !left.is_zero());
        socket.set_read_timeout(Some(left.ok_or(Refused::Slow(patience))?))?;
        match tls.read_tls(&mut socket) {
            Ok(0) => return Err(Refused::Gone),
            Ok(_) => {
                let _ = zabd_tls::take_refused();
                tls.process_new_packets().map_err(|error| refused(&error))?;
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => return Err(Refused::Slow(patience)),
                io::ErrorKind::Interrupted => (),
                _ => return Err(error.into()),
            },
        }
    }
}

/// Whether the certificate is for the host that was looked for. Without Java's FIPS mode its address will do.
fn is_there(shown: &Certificate, host: &str, socket: &TcpStream, is_fips: bool) -> bool {
    let is_at_address =
        || socket.peer_addr().is_ok_and(|peer| shown.is_for(&peer.ip().to_canonical().to_string()));
    shown.is_for(host) || (!is_fips && is_at_address())
}

fn lock(tls: &Mutex<ClientConnection>) -> MutexGuard<'_, ClientConnection> {
    tls.lock().unwrap_or_else(PoisonError::into_inner)
}
