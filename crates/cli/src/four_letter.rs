//! A four-letter word by TLS, as Java's `FourLetterWordMain` asks it for `zkServer.sh status`.

use std::io;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use crate::client::Stream;
use crate::shell::tls_of_flags;

/// Connects to `host`, and gives what the server answers until it closes the connection. Stores and protocols are those that
/// `CLIENT_JVMFLAGS` and `JVMFLAGS` name, also without `zookeeper.client.secure`. The error says what to do where that is known.
pub fn ask_by_tls(
    host: &str,
    port: u16,
    word: &str,
    patience: Duration,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<u8>, String> {
    let side = tls_of_flags(environment)?;
    let begun = Instant::now();
    let mut last = format!("{host}: no address");
    for address in (host, port).to_socket_addrs().map_err(|error| format!("{host}: {error}"))? {
        let Some(left) = left(patience, begun) else { break };
        let socket = match TcpStream::connect_timeout(&address, left) {
            Ok(socket) => socket,
            Err(error) => {
                last = format!("{address}: {error}");
                continue;
            }
        };
        socket.set_write_timeout(Some(left)).map_err(|error| error.to_string())?;
        let stream =
            Stream::secure(socket, &side, host, left).map_err(|error| format!("{address}: TLS: {error}"))?;
        return answer(&stream, word, patience, begun).map_err(|error| format!("{address}: {error}"));
    }
    Err(last)
}

fn left(patience: Duration, begun: Instant) -> Option<Duration> {
    patience.checked_sub(begun.elapsed()).filter(|left| !left.is_zero())
}

fn answer(stream: &Stream, word: &str, patience: Duration, begun: Instant) -> io::Result<Vec<u8>> {
    stream.send(word.as_bytes())?;
    let mut bytes = Vec::new();
    while let Some(left) = left(patience, begun) {
        match stream.read_for(left, &mut bytes) {
            Ok(_) => (),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(bytes),
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}
