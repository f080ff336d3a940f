//! Whatever a connection may begin with, sent to a real server through a real socket: four letters, a
//! handshake with requests behind it, anything. The first byte says where the rest is cut in two.
//!
//! The server runs in this process, with its files below the target directory. It must end the
//! connection when the client has said all, answer a word that it knows, and go on.

#![no_main]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use socket2::{Domain, Socket, Type};
use zabd::Server;
use zabd_config::Sources;
use zabd_jute::client::FourLetterWord;

static SERVER: LazyLock<Server> = LazyLock::new(|| {
    let dir = std::env::temp_dir().join(format!("zabd-fuzz-connection-{}", std::process::id()));
    let dir = dir.to_str().expect("the directory of temporary files has a plain name");
    let settings = [
        ("clientPort", "0"),
        ("clientPortAddress", "127.0.0.1"),
        ("dataDir", dir),
        ("4lw.commands.whitelist", "*"),
        ("maxClientCnxns", "0"),
        ("forceSync", "no"),
        ("jute.maxbuffer", "65536"),
        ("snapCount", "1000000"),
    ];
    let config = Sources::new().pairs(settings).resolve(&|_| Err(ErrorKind::NotFound.into()));
    Server::start(config.expect("the settings are right")).expect("a server starts")
});

fuzz_target!(|input: &[u8]| {
    let Some((cut, bytes)) = input.split_first() else { return };
    let mut socket = connect(SERVER.address());
    let (first, second) = bytes.split_at(bytes.len().min(usize::from(*cut)));
    // The server may have closed by the second part.
    let _ = socket.write_all(first).and_then(|()| socket.write_all(second));
    let _ = socket.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    match socket.read_to_end(&mut answer) {
        Ok(_) => (),
        Err(error) => {
            let is_reset = matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
            assert!(is_reset, "the server does not end the connection: {error}");
            return;
        }
    }
    if let Some(word) = bytes.first_chunk().and_then(|word| FourLetterWord::from_bytes(*word)) {
        let is_whole = bytes.len() == if word.has_argument() { 12 } else { 4 };
        // Nothing may have been noted or be watched yet.
        let may_be_silent = matches!(
            word,
            FourLetterWord::TelnetClose | FourLetterWord::Hash | FourLetterWord::Wchc | FourLetterWord::Wchp
        );
        // An argument that does not come together with its word does not count, as in Java.
        let is_torn = word.has_argument() && (4..12).contains(cut);
        assert!(!is_whole || is_torn || may_be_silent || !answer.is_empty(), "{word:?} was not answered");
    }
});

/// From one address after the other, because those that are closed cannot be used again for a minute.
fn connect(server: SocketAddr) -> TcpStream {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Relaxed) % 0xff_0000;
    let [_, high, middle, low] = next.to_be_bytes();
    let from = SocketAddr::from((Ipv4Addr::new(127, high.wrapping_add(1), middle, low | 1), 0));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("there is room for a socket");
    socket.bind(&from.into()).expect("every address of the loopback is ours");
    // The one that goes on after a signal: the fuzzer has an alarm clock.
    socket.connect_timeout(&server.into(), Duration::from_secs(10)).expect("the server listens");
    let socket = TcpStream::from(socket);
    socket.set_nodelay(true).expect("a socket has options");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket has options");
    socket
}
