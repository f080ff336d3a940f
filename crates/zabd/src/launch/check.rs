//! `zabd check`: asks the server on this machine what a probe asks, for `exec` probes in an image without a shell, for
//! scripts, and for `HEALTHCHECK`.
//!
//! One line, and exit code 0 for yes, 1 for no and 2 for words that ask nothing. It speaks HTTP/1.1 to the port that `zabd.probes.port` opens,
//! and needs nothing of the server but that.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use zabd_config::{CommandLine, ListenHost, load};

use super::names::Call;
use super::{check_config, start_script, zk_env};
use crate::listen_name;
use crate::probes::{DEFAULT_PORT, Question};

const USAGE: &str = "\
Usage:
  zabd check [--live | --ready | --startup] [--port PORT | --config FILE]
  zabd check [-Dkey=value ...] zoo.cfg

Asks the server on this machine whether it lives, is ready (if nothing is said), or has started. Exit code 0 is yes, 1
is no, 2 is a mistake in these words. The port is what `zabd.probes.port` is in FILE or in the java.env beside it, or PORT, or 8086.

With a zoo.cfg alone, nobody is asked: the second form tells whether a start with it would go through, by a certificate that is
valid now where there is TLS (0), or not (1). It reads the configuration, the
members, the stores of TLS, the files of SASL and the data, as a start does, opens no port, and writes nothing.";

/// How long a server may take. A probe has its own, shorter limit.
const PATIENCE: Duration = Duration::from_secs(5);

/// An answer is a few lines.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// Runs `zabd check`.
pub fn run(call: &Call) -> ExitCode {
    let asked = match parse(&call.words, &start_script::variables()) {
        Ok(Wanted::Help) => {
            say!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Ok(Wanted::Configuration) => return check_config::run(&call.words),
        Ok(Wanted::Answer(asked)) => asked,
        Err(mistake) => {
            eprintln!("{}: {mistake}", call.program);
            return ExitCode::from(zabd_config::ExitCode::InvalidInvocation as u8);
        }
    };
    let (is_yes, line) = asked.answer();
    say!("{line}");
    if is_yes { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Help,
    Answer(Asked),
    /// Whether a start with these words would go through.
    Configuration,
}

#[derive(Debug, PartialEq, Eq)]
struct Asked {
    question: Question,
    port: u16,
    host: ListenHost,
}

fn parse(words: &[String], variables: &BTreeMap<String, String>) -> Result<Wanted, String> {
    let (properties, rest): (Vec<_>, Vec<_>) = words.iter().partition(|word| word.starts_with("-D"));
    if let [file] = rest[..]
        && !file.starts_with('-')
        && (!properties.is_empty() || file.contains(['/', '.']) || Path::new(file).is_file())
    {
        return Ok(Wanted::Configuration);
    }
    let mut asked = Asked { question: Question::Ready, port: DEFAULT_PORT, host: ListenHost::Any };
    let mut said = None;
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        let mut value = || value.or_else(|| words.next()).ok_or(format!("{name} needs a value\n\n{USAGE}"));
        match name {
            "--live" | "--ready" | "--startup" => {
                if let Some(earlier) = said.replace(name).filter(|earlier| *earlier != name) {
                    return Err(format!(
                        "{earlier} and {name} ask two things, and one is answered\n\n{USAGE}"
                    ));
                }
                asked.question = match name {
                    "--live" => Question::Live,
                    "--ready" => Question::Ready,
                    _ => Question::Started,
                };
            }
            "--port" => {
                let text = value()?;
                asked.port = text.parse().map_err(|_| format!("{text} is not a port"))?;
            }
            "--config" => {
                let (port, host) = configured(value()?, variables)?;
                asked = Asked { port, host, ..asked };
            }
            "--help" | "-h" => return Ok(Wanted::Help),
            _ => return Err(format!("Invalid argument: {word}\n\n{USAGE}")),
        }
    }
    Ok(Wanted::Answer(asked))
}

/// Where the server of this file answers probes.
fn configured(file: &str, variables: &BTreeMap<String, String>) -> Result<(u16, ListenHost), String> {
    let beside = Path::new(file).parent().unwrap_or(Path::new("."));
    let variables = zk_env::with_shell_files(variables.clone(), beside);
    let command = CommandLine::parse([file.to_owned()]).map_err(|errors| errors.to_string())?;
    let hint = "--config names the zoo.cfg of the server that is asked about";
    let config = load(&command, &|name| variables.get(name).cloned())
        .map_err(|errors| errors.with_hint_of_usage(hint).to_string())?;
    let port = config.probes.port.ok_or_else(|| {
        format!(
            "{file} sets no zabd.probes.port, so its server answers no probes; hint: add `zabd.probes.port=8086` and start it \
             again, or say --port if the port is set elsewhere"
        )
    })?;
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
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                let hint = "a server listens there if its zoo.cfg sets zabd.probes.port, or start-zookeeper wrote it";
                (false, format!("{no}: port {}: {error}; hint: {hint}", self.port))
            }
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
            ListenHost::Name(name) => listen_name::resolve(name, self.port),
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
        parse(&words, &BTreeMap::new())
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
        for words in [&["zoo.cfg"][..], &["/etc/zookeeper"], &["-DtickTime=5", "conf/zoo.cfg"]] {
            assert_eq!(parsed(words), Ok(Wanted::Configuration), "{words:?}");
        }
        for (words, said) in [
            (&["--port"][..], "--port needs a value"),
            (&["--port", "x"], "x is not a port"),
            (&["--port=70000"], "70000 is not a port"),
            (&["ready"], "Invalid argument: ready"),
            (&["--live", "--ready"], "--live and --ready ask two things"),
            (&["--config", "/nope"], "Error processing /nope: file is missing"),
        ] {
            let mistake = parsed(words).unwrap_err();
            assert!(mistake.contains(said) && !mistake.contains("configfile"), "{mistake}");
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
        let mistake = parsed(&["--config", file]).unwrap_err();
        assert!(mistake.contains("sets no zabd.probes.port") && mistake.contains("hint: "), "{mistake}");
        let flags = "JVMFLAGS=\"-Xmx1G -Dzabd.probes.port=8\"\n";
        std::fs::write(folder.path().join("java.env"), flags).unwrap();
        assert_eq!(parsed(&["--config", file]), asked(Question::Ready, 8));
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
