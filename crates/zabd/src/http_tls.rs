//! HTTPS: what stands between a connection to a port for operators and its answers.
//!
//! A port takes TLS alone, or TLS and plain text by the first byte, as Jetty does for Java. What whoever asks has shown of himself
//! goes with each of his requests ([`Shown`]); his certificate is not compared with where he comes from, as in Java.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::net::TcpStream;
use zabd_tls::Tls;
use zabd_tls::rustls::pki_types::CertificateDer;
use zabd_tls::rustls::{Connection, ServerConnection};

use crate::http_port::Refusing;
use crate::secure::{Refused, Secure, negotiate, refused};

/// What a handshake begins with.
const HANDSHAKE_BYTE: u8 = 0x16;

/// See the module's description.
#[derive(Debug)]
pub struct HttpTls {
    /// Keys, trust and offer.
    pub tls: Arc<Tls>,
    /// Whether plain text is taken, too.
    pub takes_plain: bool,
}

/// The certificates that somebody has shown, his own first. The port's trust store believes them.
#[derive(Clone, Debug)]
pub struct Shown(pub Arc<Vec<CertificateDer<'static>>>);

/// A connection whose beginning is over.
#[derive(Debug)]
pub enum Greeted {
    /// In plain text.
    Plain(TcpStream),
    /// By TLS, with what was shown.
    Secure(Box<Secure>, Option<Shown>),
}

impl HttpTls {
    /// Does what comes before the first request.
    pub async fn greet(&self, socket: TcpStream, at: &Refusing) -> Result<Greeted, Refused> {
        let greeted = self.begin(socket).await?;
        if matches!(greeted, Greeted::Plain(_)) {
            at.counters.insecure_admin.fetch_add(1, Relaxed);
        }
        Ok(greeted)
    }

    async fn begin(&self, socket: TcpStream) -> Result<Greeted, Refused> {
        let mut first = [0];
        if socket.peek(&mut first).await? == 0 {
            return Err(Refused::Gone);
        }
        if self.takes_plain && first[0] != HANDSHAKE_BYTE {
            return Ok(Greeted::Plain(socket));
        }
        let tls = ServerConnection::new(self.tls.server()).map_err(|error| refused(&error))?;
        let (tls, _) = negotiate(Connection::Server(tls), &socket, None).await?;
        let chain = tls.peer_certificates();
        let shown =
            chain.map(|chain| Shown(Arc::new(chain.iter().map(|each| each.clone().into_owned()).collect())));
        Ok(Greeted::Secure(Box::new(Secure::new(socket, tls)), shown))
    }
}
