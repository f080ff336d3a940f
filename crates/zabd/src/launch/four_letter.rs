//! Asking a server a four-letter word, as `echo ruok | nc HOST PORT` does: `zookeeper-ready` and `zookeeper-metrics`, and what
//! `zkServer.sh status` looks at.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use zabd_config::pod::Surroundings;
use zabd_config::pod::dialects::{self, BITNAMI};
use zabd_config::read_file;
use zabd_tls::rustls::pki_types::ServerName;
use zabd_tls::rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::names::Call;
use super::start_script;

/// How long a server may take. A probe has its own, shorter limit; this one is for whoever calls without any.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends the word and reads until the server closes the connection.
pub fn ask(address: SocketAddr, word: &str, patience: Duration) -> io::Result<Vec<u8>> {
    let end = Instant::now() + patience;
    let stream = TcpStream::connect_timeout(&address, patience)?;
    converse(&mut &stream, &stream, word, end)
}

/// The same by TLS.
fn ask_secretly(
    address: SocketAddr,
    word: &str,
    patience: Duration,
    tls: &Arc<ClientConfig>,
) -> io::Result<Vec<u8>> {
    let end = Instant::now() + patience;
    let socket = TcpStream::connect_timeout(&address, patience)?;
    let stream = socket.try_clone()?;
    let name = ServerName::try_from("localhost").expect("it is a name");
    let connection = ClientConnection::new(tls.clone(), name).map_err(io::Error::other)?;
    converse(&mut StreamOwned::new(connection, stream), &socket, word, end)
}

/// Asks over `stream`, which ends at `socket`.
fn converse(
    stream: &mut (impl Read + Write),
    socket: &TcpStream,
    word: &str,
    end: Instant,
) -> io::Result<Vec<u8>> {
    let left = || match end.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(io::Error::from(io::ErrorKind::TimedOut)),
        left => Ok(left),
    };
    let wait_at_most = |left: Duration| {
        socket.set_write_timeout(Some(left)).and_then(|()| socket.set_read_timeout(Some(left)))
    };
    wait_at_most(left()?)?;
    stream.write_all(format!("{word}\n").as_bytes())?;
    stream.flush()?;
    let mut answer = Vec::new();
    let mut chunk = [0; 16 << 10];
    loop {
        wait_at_most(left()?)?;
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(answer),
            Ok(length) => answer.extend_from_slice(&chunk[..length]),
            // TLS ends with a word of its own, which a server need not wait to say.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(answer),
            Err(error) => return Err(error),
        }
    }
}

/// Asks at this machine's own addresses; a server may listen on one family only.
fn here<T>(port: u16, asked: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    let at = |address: IpAddr| asked(SocketAddr::new(address, port));
    at(Ipv4Addr::LOCALHOST.into()).or_else(|error| at(Ipv6Addr::LOCALHOST.into()).map_err(|_| error))
}

/// `zookeeper-ready PORT`: whether the server answers `imok`. Says nothing, as the probe that it is; nor does it say anything
/// about a quorum, which is what `ruok` leaves out.
pub fn ready(call: &Call) -> ExitCode {
    let is_ok = port(call).is_some_and(|port| {
        ask(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port), "ruok", PATIENCE)
            .is_ok_and(|answer| answer.trim_ascii_end() == b"imok")
    });
    if is_ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// `zookeeper-metrics PORT`: what `mntr` says.
pub fn metrics(call: &Call) -> ExitCode {
    let Some(port) = port(call) else { return ExitCode::FAILURE };
    let answered = here(port, |address| ask(address, "mntr", PATIENCE));
    let shown = answered.and_then(|answer| io::stdout().write_all(&answer));
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: port {port}: {error}", call.program);
            ExitCode::FAILURE
        }
    }
}

/// `healthcheck.sh` of Bitnami's image, which its chart's probes run: whether the server answers `imok`, within
/// `ZOO_HC_TIMEOUT` seconds. It says why not. With TLS for clients it asks by TLS, as the server itself.
pub fn bitnamis_health(call: &Call) -> ExitCode {
    let (variables, host) = (start_script::variables(), start_script::host());
    let around = Surroundings { variables: &variables, host: &host, read: &read_file };
    let value = |name: &str| BITNAMI.value_of(name, &around);
    let is_secure = dialects::is_yes(&value("ZOO_TLS_CLIENT_ENABLE"));
    let tls = if is_secure { own_tls(&around).map(Some) } else { Ok(None) };
    let port = if is_secure { "ZOO_TLS_PORT_NUMBER" } else { "ZOO_PORT_NUMBER" };
    let port = (port, value(port));
    match tls.and_then(|tls| health((port.0, &port.1), &value("ZOO_HC_TIMEOUT"), tls.as_ref())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{}: {why}", call.program);
            ExitCode::FAILURE
        }
    }
}

/// What the server's key store makes of a client.
fn own_tls(around: &Surroundings<'_>) -> Result<Arc<ClientConfig>, String> {
    let environment = |name: &str| around.variables.get(name).cloned();
    let config = BITNAMI
        .plan(around)
        .and_then(|plan| plan.config(plan.zoo_cfg.path(), &environment, around.read))
        .map_err(|errors| errors.to_string())?;
    zabd_tls::client_of_itself(&config.tls.clients).map_err(|error| format!("{}: {error}", error.key))
}

/// `port` has the name of its variable before it.
fn health(port: (&str, &str), seconds: &str, tls: Option<&Arc<ClientConfig>>) -> Result<(), String> {
    let (name, port) = port;
    let port = port.trim().parse().map_err(|_| format!("{name}: {port:?} is not a port"))?;
    let number = seconds.trim().trim_end_matches('s').parse().ok();
    let patience = number.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let patience = patience
        .filter(|patience| !patience.is_zero())
        .ok_or_else(|| format!("ZOO_HC_TIMEOUT: {seconds:?} is not a number of seconds"))?;
    let answered = here(port, |address| match tls {
        Some(tls) => ask_secretly(address, "ruok", patience, tls),
        None => ask(address, "ruok", patience),
    });
    let answer = answered.map_err(|error| format!("port {port}: {error}"))?;
    match String::from_utf8_lossy(&answer).trim() {
        answer if answer.contains("imok") => Ok(()),
        answer if answer.contains("not in the whitelist") => Err(format!(
            "port {port}: {answer} hint: ZOO_4LW_COMMANDS_WHITELIST must have it, as in \"srvr, mntr, ruok\""
        )),
        answer => Err(format!("port {port} answers {answer:?}")),
    }
}

fn port(call: &Call) -> Option<u16> {
    let port = call.words.first().and_then(|word| word.parse().ok());
    if port.is_none() {
        eprintln!("Usage: {} PORT", call.program);
    }
    port
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A server that takes one connection, wants the word with its line end, and answers in pieces.
    fn server(pieces: Vec<&'static [u8]>) -> (SocketAddr, std::thread::JoinHandle<Vec<u8>>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let serving = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut word = [0; 5];
            stream.read_exact(&mut word).unwrap();
            for piece in pieces {
                stream.write_all(piece).unwrap();
            }
            word.to_vec()
        });
        (address, serving)
    }

    fn called(port: u16) -> Call {
        Call { program: "zookeeper-ready".to_owned(), words: vec![port.to_string()] }
    }

    #[test]
    fn the_answer_is_read_to_its_end() {
        let (address, serving) = server(vec![b"zk_version\t", b"3.9\n", b"zk_x\t1\n"]);
        assert_eq!(ask(address, "mntr", PATIENCE).unwrap(), b"zk_version\t3.9\nzk_x\t1\n");
        assert_eq!(serving.join().unwrap(), b"mntr\n", "what `echo mntr | nc` sends");
    }

    #[test]
    fn health_is_imok_in_time_and_says_what_else_there_is() {
        let answered = |answer: &'static str| {
            let (address, serving) = server(vec![answer.as_bytes()]);
            let health = health(("ZOO_PORT_NUMBER", &address.port().to_string()), " 2s ", None);
            serving.join().unwrap();
            health
        };
        assert_eq!(answered("imok"), Ok(()));
        let refused = answered("ruok is not executed because it is not in the whitelist.\n").unwrap_err();
        assert!(refused.contains("hint: ZOO_4LW_COMMANDS_WHITELIST must have it"), "{refused}");
        assert!(answered("").unwrap_err().ends_with("answers \"\""));
        let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = silent.local_addr().unwrap().port().to_string();
        let health = |port: &str, seconds: &str| health(("ZOO_PORT_NUMBER", port), seconds, None);
        assert!(health(&port, "0.05").unwrap_err().starts_with(&format!("port {port}: ")));
        for (port, seconds, named) in
            [("x", "5", "ZOO_PORT_NUMBER: "), ("1", "x", "ZOO_HC_TIMEOUT: "), ("1", "0", "ZOO_HC_TIMEOUT: ")]
        {
            assert!(health(port, seconds).unwrap_err().starts_with(named), "{port} {seconds}");
        }
    }

    #[test]
    fn only_imok_is_ready() {
        for (answer, is_ready) in [("imok", true), ("imok\n", true), ("", false), ("imnotok", false)] {
            let (address, serving) = server(vec![answer.as_bytes()]);
            let expected = if is_ready { ExitCode::SUCCESS } else { ExitCode::FAILURE };
            assert_eq!(ready(&called(address.port())), expected, "{answer}");
            serving.join().unwrap();
        }
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        assert_eq!(ready(&called(free)), ExitCode::FAILURE, "nobody listens");
    }
}
