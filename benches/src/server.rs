//! A server under measurement: its configuration, its process, and the moment it first answers.
//!
//! zabd and Java are started from the same generated `zoo.cfg`. Java's class path is the smallest with
//! which it runs, and its log goes nowhere: what it would print is not part of what is compared.
//!
//! An ensemble is three servers on ports of 127.0.0.1; it answers when all of them do.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::connection::Target;
use crate::error::BenchError;
use crate::process::Process;

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Apache ZooKeeper.
    Java,
    /// This project's.
    Zabd,
}

impl Kind {
    /// As it stands in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Java => "Java",
            Self::Zabd => "zabd",
        }
    }
}

/// How servers are started.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// zabd's binary.
    pub zabd: PathBuf,
    /// The `java` command.
    pub java: PathBuf,
    /// Java ZooKeeper's class path.
    pub class_path: String,
    /// Flags of the Java machine, such as `-Xmx4g`.
    pub java_flags: Vec<String>,
    /// Servers listen on the first free port from here on.
    pub port_first: u16,
}

/// The jars without which Java ZooKeeper does not start, by Debian's names.
const JARS: [&str; 6] = [
    "zookeeper.jar",
    "zookeeper-jute.jar",
    "slf4j-api.jar",
    "slf4j-nop.jar",
    "metrics-core.jar",
    "snappy-java.jar",
];

/// The class path of Java ZooKeeper as Debian's package `zookeeper` installs it.
pub fn debian_class_path() -> String {
    JARS.map(|jar| format!("/usr/share/java/{jar}")).join(":")
}

/// What differs between measurements.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// Transactions between snapshots; Java's default if `None`.
    pub snap_count: Option<u32>,
    /// `globalOutstandingLimit`, if not the default.
    pub outstanding_max: Option<u32>,
}

/// Longer than any server takes to load a million znodes.
const START_DEADLINE: Duration = Duration::from_mins(2);
/// How often a starting server is called.
const CALL_INTERVAL: Duration = Duration::from_micros(500);
/// A server that does not end when asked is killed.
const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// A running server; dropping it kills it.
#[derive(Debug)]
pub struct Server {
    /// Which one.
    pub kind: Kind,
    /// Its process.
    pub process: Process,
    /// Its client port.
    pub target: Target,
    /// Its data directory.
    pub data_dir: PathBuf,
    /// From the start of the process to the first answer to `srvr`.
    pub first_answer: Duration,
    started: Instant,
    child: Child,
    output: PathBuf,
}

/// A port of 127.0.0.1 that is free now, from `first` on.
pub fn free_port(first: u16) -> Result<u16, BenchError> {
    let is_free = |&port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let no_port = || BenchError::Unavailable(format!("no free port from {first} on"));
    (first..first.saturating_add(500)).find(is_free).ok_or_else(no_port)
}

/// The configuration that both servers get.
fn zoo_cfg(data_dir: &Path, port: u16, settings: Settings) -> String {
    let mut text = format!(
        "tickTime=2000\ndataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\n\
         4lw.commands.whitelist=*\nadmin.enableServer=false\nforceSync=yes\n",
        data_dir.display()
    );
    if let Some(snap_count) = settings.snap_count {
        writeln!(text, "snapCount={snap_count}").expect("writing to a string succeeds");
    }
    if let Some(outstanding_max) = settings.outstanding_max {
        writeln!(text, "globalOutstandingLimit={outstanding_max}").expect("writing to a string succeeds");
    }
    text
}

/// What the members of an ensemble get beside that.
fn member_lines(ports: &[(u16, u16)]) -> String {
    let mut text = "initLimit=10\nsyncLimit=5\n".to_owned();
    for (id, (quorum, election)) in (1..).zip(ports) {
        writeln!(text, "server.{id}=127.0.0.1:{quorum}:{election}").expect("writing to a string succeeds");
    }
    text
}

/// How many servers an ensemble has.
const MEMBERS: usize = 3;

/// Running servers that follow one of them.
#[derive(Debug)]
pub struct Ensemble {
    members: Vec<Server>,
}

impl Ensemble {
    /// Where to connect to: all of them in turn.
    pub fn target(&self) -> Target {
        let others = [1, 2].map(|other| self.members.get(other).map(|member| member.target.address));
        Target { others, ..self.members[0].target }
    }

    /// Their processes.
    pub fn processes(&self) -> Vec<Process> {
        self.members.iter().map(|member| member.process).collect()
    }

    /// Asks all of them to end and waits until they have.
    pub fn stop(self) -> Result<(), BenchError> {
        self.members.into_iter().try_for_each(Server::stop)
    }
}

impl Launcher {
    /// Why this kind of server cannot be started here, if it cannot.
    pub fn missing(&self, kind: Kind) -> Option<String> {
        match kind {
            Kind::Zabd if !self.zabd.is_file() => {
                Some(format!("no zabd at {}, build it with `cargo build --release`", self.zabd.display()))
            }
            Kind::Java => {
                let jar = self.class_path.split(':').find(|jar| !Path::new(jar).exists());
                jar.map(|jar| format!("no {jar}, install Java ZooKeeper or give `--class-path`"))
            }
            Kind::Zabd => None,
        }
    }

    fn command(&self, kind: Kind, config: &Path) -> Command {
        let mut command = match kind {
            Kind::Zabd => Command::new(&self.zabd),
            Kind::Java => {
                let mut command = Command::new(&self.java);
                command.args(&self.java_flags).arg("-cp").arg(&self.class_path);
                command.arg("org.apache.zookeeper.server.quorum.QuorumPeerMain");
                command
            }
        };
        command.arg(config);
        command
    }

    /// Starts a server on `home`, which keeps its data directory, and waits for its first answer.
    pub fn start(&self, kind: Kind, home: &Path, settings: Settings) -> Result<Server, BenchError> {
        if let Some(why) = self.missing(kind) {
            return Err(BenchError::Unavailable(why));
        }
        let port = free_port(self.port_first)?;
        let text = zoo_cfg(&home.join("data"), port, settings);
        let mut server = self.spawn(kind, home, port, &text, None)?;
        server.first_answer = server.wait_for_answer()?;
        Ok(server)
    }

    /// Starts three servers below `home` that form an ensemble, and waits until all of them answer.
    pub fn start_ensemble(&self, kind: Kind, home: &Path) -> Result<Ensemble, BenchError> {
        if let Some(why) = self.missing(kind) {
            return Err(BenchError::Unavailable(why));
        }
        let (mut next, mut ports) = (self.port_first, Vec::new());
        while ports.len() < 3 * MEMBERS {
            let port = free_port(next)?;
            ports.push(port);
            next = port + 1;
        }
        let (clients, peers) = ports.split_at(MEMBERS);
        let peers: Vec<_> = peers.chunks(2).map(|pair| (pair[0], pair[1])).collect();
        let mut members = Vec::new();
        for (id, port) in (1..).zip(clients) {
            let home = home.join(format!("{}-{id}", kind.name()));
            let text = zoo_cfg(&home.join("data"), *port, Settings::default()) + &member_lines(&peers);
            members.push(self.spawn(kind, &home, *port, &text, Some(id))?);
        }
        for member in &mut members {
            member.first_answer = member.wait_for_answer()?;
        }
        Ok(Ensemble { members })
    }

    fn spawn(
        &self,
        kind: Kind,
        home: &Path,
        port: u16,
        text: &str,
        id: Option<u32>,
    ) -> Result<Server, BenchError> {
        let data_dir = home.join("data");
        let prepare = || BenchError::io(format!("prepare {}", home.display()));
        fs::create_dir_all(&data_dir).map_err(prepare())?;
        let config = home.join("zoo.cfg");
        fs::write(&config, text).map_err(prepare())?;
        if let Some(id) = id {
            fs::write(data_dir.join("myid"), id.to_string()).map_err(prepare())?;
        }
        let output = home.join("output");
        let log = File::create(&output).map_err(prepare())?;
        let log_too = log.try_clone().map_err(prepare())?;
        let mut command = self.command(kind, &config);
        command.current_dir(home).stdin(Stdio::null()).stdout(log).stderr(log_too);

        let started = Instant::now();
        let child = command.spawn().map_err(BenchError::io(format!("start {}", kind.name())))?;
        let process = Process::new(child.id()).map_err(BenchError::io("watch the server"))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let target = Target { sources: 64, ..Target::new(address) };
        let first_answer = Duration::ZERO;
        Ok(Server { kind, process, target, data_dir, first_answer, started, child, output })
    }
}

impl Server {
    fn wait_for_answer(&mut self) -> Result<Duration, BenchError> {
        loop {
            if answers_srvr(self.target.address) {
                return Ok(self.started.elapsed());
            }
            if let Some(status) = self.child.try_wait().map_err(BenchError::io("watch the server"))? {
                let name = self.kind.name().to_owned();
                return Err(BenchError::ServerEnded {
                    name,
                    status: status.to_string(),
                    output: self.last_words(),
                });
            }
            if START_DEADLINE < self.started.elapsed() {
                let during = "the start of a server";
                return Err(BenchError::TimedOut { during, seconds: START_DEADLINE.as_secs() });
            }
            std::thread::sleep(CALL_INTERVAL);
        }
    }

    fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.output).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    /// Halts the process while another one is measured, and lets it go on.
    pub fn pause(&self, is_paused: bool) -> Result<(), BenchError> {
        let signal = if is_paused { Signal::STOP } else { Signal::CONT };
        self.process.signal(signal).map_err(BenchError::io("signal the server"))
    }

    /// Asks the process to end and waits until it has.
    pub fn stop(mut self) -> Result<(), BenchError> {
        let signal_error = || BenchError::io("signal the server");
        self.process.signal(Signal::TERM).map_err(signal_error())?;
        self.process.signal(Signal::CONT).map_err(signal_error())?;
        let asked = Instant::now();
        while asked.elapsed() < STOP_DEADLINE {
            if self.child.try_wait().map_err(BenchError::io("watch the server"))?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(()) // Dropping it kills it.
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether the server answers the four-letter word `srvr` as one that is serving.
fn answers_srvr(address: SocketAddr) -> bool {
    let ask = || -> io::Result<String> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        socket.write_all(b"srvr")?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.contains("Mode:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_servers_get_the_same_configuration() {
        let text =
            zoo_cfg(Path::new("/data"), 23_000, Settings { snap_count: Some(7), outstanding_max: Some(8) });
        for line in [
            "dataDir=/data",
            "clientPort=23000",
            "forceSync=yes",
            "maxClientCnxns=0",
            "snapCount=7",
            "globalOutstandingLimit=8",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} is missing in {text}");
        }
        assert!(!zoo_cfg(Path::new("/data"), 1, Settings::default()).contains("snapCount"));
        assert!(
            member_lines(&[(1, 2), (3, 4)]).ends_with("server.1=127.0.0.1:1:2\nserver.2=127.0.0.1:3:4\n")
        );
    }

    #[test]
    fn a_server_that_is_not_there_is_named() {
        let launcher = Launcher {
            zabd: "/nowhere/zabd".into(),
            java: "java".into(),
            class_path: "/nowhere/zookeeper.jar".into(),
            java_flags: Vec::new(),
            port_first: 23_000,
        };
        assert!(launcher.missing(Kind::Zabd).unwrap().contains("/nowhere/zabd"));
        assert!(launcher.missing(Kind::Java).unwrap().contains("/nowhere/zookeeper.jar"));
    }
}
