//! `zabd check`: asks the server on this machine what a probe asks, for `exec` probes in an image without a shell, for
//! scripts, and for `HEALTHCHECK`.
//!
//! One line, and exit code 0 for yes and 1 for anything else. It speaks HTTP/1.1 to the port that `zabd.probes.port` opens,
//! and needs nothing of the server but that.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use zabd_config::{CommandLine, ListenHost, load};

use super::names::Call;
use crate::probes::{DEFAULT_PORT, Question};

const USAGE: &str = "\
Usage:
  zabd check [--live | --ready | --startup] [--port PORT | --config FILE]

Asks the server on this machine whether it lives, is ready (if nothing is said), or has started. Exit code 0 is yes, 1 is no.
The port is what `zabd.probes.port` is in FILE, or PORT, or 8086.";

/// How long a server may take. A probe has its own, shorter limit.
const PATIENCE: Duration = Duration::from_secs(5);

/// An answer is a few lines.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// Runs `zabd check`.
pub fn run(call: &Call) -> ExitCode {
    let environment = |name: &str| std::env::var(name).ok();
    let asked = match parse(&call.words, &environment) {
        Ok(Wanted::Help) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Ok(Wanted::Answer(asked)) => asked,
        Err(mistake) => {
            eprintln!("{}: {mistake}", call.program);
            return ExitCode::FAILURE;
        }
    };
    let (is_yes, line) = asked.answer();
    println!("{line}");
    if is_yes { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Help,
    Answer(Asked),
}

#[derive(Debug, PartialEq, Eq)]
struct Asked {
    question: Question,
    port: u16,
    host: ListenHost,
}

fn parse(words: &[String], environment: &dyn Fn(&str) -> Option<String>) -> Result<Wanted, String> {
    let mut asked = Asked { question: Question::Ready, port: DEFAULT_PORT, host: ListenHost::Any };
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        let mut value = || value.or_else(|| words.next()).ok_or(format!("{name} needs a value\n\n{USAGE}"));
        match name {
            "--live" => asked.question = Question::Live,
            "--ready" => asked.question = Question::Ready,
            "--startup" => asked.question = Question::Started,
            "--port" => {
                let text = value()?;
                asked.port = text.parse().map_err(|_| format!("{text} is not a port"))?;
            }
            "--config" => {
                let (port, host) = configured(value()?, environment)?;
                asked = Asked { port, host, ..asked };
            }
            "--help" | "-h" => return Ok(Wanted::Help),
            _ => return Err(format!("Invalid argument: {word}\n\n{USAGE}")),
        }
    }
    Ok(Wanted::Answer(asked))
}

/// Where the server of this file answers probes.
fn configured(file: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<(u16, ListenHost), String> {
    let command = CommandLine::parse([file.to_owned()]).map_err(|errors| errors.to_string())?;
    let config = load(&command, environment).map_err(|errors| errors.to_string())?;
    let port = config.probes.port.ok_or(format!("{file} sets no zabd.probes.port"))?;
    Ok((port, config.probes.address))
}

impl Asked {
    /// Whether the answer is yes, and the line that says so.
    fn answer(&self) -> (bool, String) {
        let (yes, no) = match self.question {
            Question::Live => ("live", "not live"),
            Question::Ready => ("ready", "not ready"),
            Question::Started => ("started", "not started"),
        };
        match self.ask() {
            Ok((200, _)) => (true, yes.to_owned()),
            Ok((status, text)) => (false, format!("{no}: {}", reasons(status, &text))),
            Err(error) => (false, format!("{no}: port {}: {error}", self.port)),
        }
    }

    fn ask(&self) -> std::io::Result<(u16, String)> {
        let mut refused = std::io::ErrorKind::AddrNotAvailable.into();
        for address in self.addresses()? {
            match ask(address, self.question) {
                Ok(answer) => return Ok(answer),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    fn addresses(&self) -> std::io::Result<Vec<SocketAddr>> {
        let at = |ip: IpAddr| SocketAddr::new(ip, self.port);
        match &self.host {
            ListenHost::Any => Ok(vec![at(Ipv6Addr::LOCALHOST.into()), at(Ipv4Addr::LOCALHOST.into())]),
            ListenHost::Address(ip) => Ok(vec![at(*ip)]),
            ListenHost::Name(name) => Ok((name.as_str(), self.port).to_socket_addrs()?.collect()),
        }
    }
}

fn ask(address: SocketAddr, question: Question) -> std::io::Result<(u16, String)> {
    let end = Instant::now() + PATIENCE;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let path = question.name();
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || answer.len() as u64 > ANSWER_BYTES_MAX {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut chunk)? {
            0 => break,
            length => answer.extend_from_slice(&chunk[..length]),
        }
    }
    understand(&String::from_utf8_lossy(&answer)).ok_or_else(|| {
        std::io::Error::new(std::io::ErrorKind::InvalidData, "what answers there is no probe's port")
    })
}

/// Status and body.
fn understand(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.split(' ').next()?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// Of the checks, those that failed.
fn reasons(status: u16, text: &str) -> String {
    let failed: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("[-]")).collect();
    if failed.is_empty() { format!("status {status}") } else { failed.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Wanted, String> {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        parse(&words, &|_| None)
    }

    fn asked(question: Question, port: u16) -> Result<Wanted, String> {
        Ok(Wanted::Answer(Asked { question, port, host: ListenHost::Any }))
    }

    #[test]
    fn words_name_the_question_and_the_port() {
        assert_eq!(parsed(&[]), asked(Question::Ready, 8086));
        assert_eq!(parsed(&["--live", "--port", "1"]), asked(Question::Live, 1));
        assert_eq!(parsed(&["--port=2", "--startup"]), asked(Question::Started, 2));
        assert_eq!(parsed(&["--help"]), Ok(Wanted::Help));
        for (words, said) in [
            (&["--port"][..], "--port needs a value"),
            (&["--port", "x"], "x is not a port"),
            (&["--port=70000"], "70000 is not a port"),
            (&["ready"], "Invalid argument: ready"),
        ] {
            let mistake = parsed(words).unwrap_err();
            assert!(mistake.starts_with(said), "{mistake}");
        }
    }

    #[test]
    fn a_file_names_port_and_address() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("zoo.cfg");
        let file = file.to_str().unwrap();
        let lines = "dataDir=/data\nclientPort=2181\n";
        std::fs::write(file, format!("{lines}zabd.probes.port=7\nzabd.probes.address=127.0.0.2\n")).unwrap();
        let host = ListenHost::Address([127, 0, 0, 2].into());
        let expected = Asked { question: Question::Live, port: 7, host };
        assert_eq!(parsed(&["--live", "--config", file]), Ok(Wanted::Answer(expected)));
        std::fs::write(file, lines).unwrap();
        assert!(parsed(&["--config", file]).unwrap_err().ends_with("sets no zabd.probes.port"));
    }

    #[test]
    fn only_what_failed_is_told() {
        let text = "[+]start ok: 1\n[-]serving failed: looking for a leader\nreadyz check failed\n";
        assert_eq!(reasons(503, text), "serving failed: looking for a leader");
        assert_eq!(reasons(404, "Here are"), "status 404");
    }

    #[test]
    fn answers_of_others_are_not_taken_for_a_probes() {
        assert_eq!(understand("HTTP/1.1 503 X\r\na: b\r\n\r\nno"), Some((503, "no".to_owned())));
        assert_eq!(understand("imok"), None);
        assert_eq!(understand("HTTP/1.1 what\r\n\r\n"), None);
    }
}
