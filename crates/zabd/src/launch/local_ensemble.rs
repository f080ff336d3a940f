//! An ensemble on this machine in one command, for developers: three servers of this very program, each a process.
//!
//! Ports are the usual ones if they are free, else whatever is; data is kept below `./data/ensemble`, so that the next start
//! goes on where this one ended. Each line of a server's log carries its number. Ctrl-C reaches all of them, as they share
//! a terminal; any other request to end is passed on. Each server's input is a pipe whose other end is here, and it ends with
//! that: so none outlives this process, even if it is killed.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;
use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus, kill_process, wait as wait_for_any, waitid,
};

use super::command_line::MEMBER;

/// How many servers: the fewest of which one may fail.
const SERVERS: u16 = 3;
/// Where their data is.
const DATA_DIR: &str = "data/ensemble";

/// One server's place on this machine.
struct Place {
    number: u16,
    client: u16,
    quorum: u16,
    election: u16,
    dir: PathBuf,
}

/// A server that runs.
struct Running {
    number: u16,
    child: Child,
    /// While it is there, the server runs on.
    _lifeline: ChildStdin,
}

/// Runs until all servers have ended. `program` is what this one was started as.
pub fn run(program: &str) -> ExitCode {
    match hold_directory().and_then(|held| Ok((held, start(program)?))) {
        Ok((_held, children)) => wait(program, &children),
        Err(error) => {
            eprintln!("cannot start an ensemble in ./{DATA_DIR}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Another one in this directory would give the members of the first other ports.
fn hold_directory() -> std::io::Result<File> {
    std::fs::create_dir_all(DATA_DIR)?;
    let held = File::create(Path::new(DATA_DIR).join("lock"))?;
    match flock(&held, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Err(std::io::Error::other(
            "one runs there already; end it, or start this one in another directory",
        )),
        _ => Ok(held),
    }
}

fn start(started_as: &str) -> std::io::Result<Vec<Running>> {
    let places: Vec<_> = (1..=SERVERS).map(place).collect::<Result<_, _>>()?;
    for place in &places {
        std::fs::create_dir_all(&place.dir)?;
        std::fs::write(place.dir.join("myid"), format!("{}\n", place.number))?;
        std::fs::write(place.dir.join("zoo.cfg"), zoo_cfg(place, &places))?;
    }
    say!("{}", greeting(started_as, &places));
    let program = std::env::current_exe()?;
    places.iter().map(|place| spawn(&program, place)).collect()
}

fn place(number: u16) -> std::io::Result<Place> {
    let offset = number - 1;
    Ok(Place {
        number,
        client: free_port(2181 + offset)?,
        quorum: free_port(2888 + offset)?,
        election: free_port(3888 + offset)?,
        dir: dir_of(number),
    })
}

fn dir_of(number: u16) -> PathBuf {
    Path::new(DATA_DIR).join(format!("server{number}"))
}

/// The usual port, or any other if somebody has it.
fn free_port(usual: u16) -> std::io::Result<u16> {
    let bound = TcpListener::bind(("127.0.0.1", usual)).or_else(|_| TcpListener::bind(("127.0.0.1", 0)));
    Ok(bound?.local_addr()?.port())
}

fn zoo_cfg(place: &Place, places: &[Place]) -> String {
    let members = places
        .iter()
        .map(|each| format!("server.{}=127.0.0.1:{}:{}\n", each.number, each.quorum, each.election));
    format!(
        "tickTime=2000\ninitLimit=10\nsyncLimit=5\ndataDir={}\nclientPort={}\nclientPortAddress=127.0.0.1\n\
         4lw.commands.whitelist=*\nadmin.enableServer=false\n{}",
        absolute(&place.dir).display(),
        place.client,
        members.collect::<String>()
    )
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn greeting(program: &str, places: &[Place]) -> String {
    let clients =
        places.iter().map(|place| format!("127.0.0.1:{}", place.client)).collect::<Vec<_>>().join(",");
    let lines = places.iter().map(|place| {
        format!("  [{}] clients on port {}, data in ./{}\n", place.number, place.client, place.dir.display())
    });
    format!(
        "\nAn ensemble of {SERVERS} on this machine:\n{}\nTry, in another terminal:\n  {program} zkCli.sh -server {clients}\n\n\
         Ctrl-C ends all of them; the next start goes on with the same data.\n",
        lines.collect::<String>()
    )
}

fn spawn(program: &Path, place: &Place) -> std::io::Result<Running> {
    let mut child = Command::new(program)
        .args(["ensemble", MEMBER])
        .arg(absolute(&place.dir.join("zoo.cfg")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let lifeline = child.stdin.take().expect("its input was asked for");
    let log = child.stdout.take().expect("its output was asked for");
    let number = place.number;
    std::thread::spawn(move || {
        // The servers run on when nobody reads any more, as behind `| head`.
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            say!("[{number}] {line}");
        }
    });
    Ok(Running { number, child, _lifeline: lifeline })
}

fn wait(program: &str, children: &[Running]) -> ExitCode {
    let pids = children.iter().map(|running| Pid::from_child(&running.child)).collect::<Vec<_>>();
    let living = Arc::new(Mutex::new(pids));
    let pass_on = |living: &Mutex<Vec<Pid>>, signal| {
        for pid in living.lock().iter() {
            // One that has ended just now needs no telling.
            let _ = kill_process(*pid, signal);
        }
    };
    let is_ending = Arc::new(AtomicBool::new(false));
    let (ending, asked, is_asked_to_end) = (living.clone(), living.clone(), is_ending.clone());
    let passed_on = super::signals::on_request(
        move || {
            is_asked_to_end.store(true, Relaxed);
            pass_on(&ending, Signal::TERM);
        },
        move || pass_on(&asked, Signal::QUIT),
    );
    if let Err(error) = passed_on {
        eprintln!("signals reach only this process: {error}");
    }
    let mut is_fine = true;
    for left in (0..SERVERS).rev() {
        let Some((pid, status)) = next_ended(&living) else { return ExitCode::FAILURE };
        let number =
            children.iter().find(|each| Pid::from_child(&each.child) == pid).map_or(0, |each| each.number);
        is_fine &= status.exit_status() == Some(0);
        say!("[{number}] ended ({})", in_words(status));
        if !is_ending.load(Relaxed) {
            say!("{}", advice(program, number, left));
        }
    }
    if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What can be done about a server that nobody has asked to end. One that was brought back by hand is not known here.
fn advice(program: &str, number: u16, left: u16) -> String {
    let zoo_cfg = dir_of(number).join("zoo.cfg");
    let back = format!("[{number}] to bring it back: {program} {}", zoo_cfg.display());
    let needed = SERVERS / 2 + 1;
    if needed <= left {
        return back;
    }
    let gone = format!(
        "{left} of {SERVERS} servers run here, and a quorum is {needed}: nobody is served until one is back"
    );
    format!("{back}\n{gone}")
}

/// Whichever ends next. Its number may be another process's as soon as it is reaped: nothing is sent to it meanwhile.
fn next_ended(living: &Mutex<Vec<Pid>>) -> Option<(Pid, WaitStatus)> {
    let seen = retry_on_intr(|| waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT));
    let mut living = living.lock();
    let reaped = seen.and_then(|_| wait_for_any(WaitOptions::NOHANG));
    let ended = reaped.inspect_err(|error| eprintln!("cannot wait for the servers: {error}")).ok().flatten();
    living.retain(|pid| ended.is_none_or(|(ended, _)| *pid != ended));
    ended
}

fn in_words(status: WaitStatus) -> String {
    match (status.terminating_signal(), status.exit_status()) {
        (Some(signal), _) => format!("signal {signal}"),
        (None, code) => format!("exit status {}", code.unwrap_or(-1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_names_all_members_and_itself() {
        let places: Vec<_> = (1..=SERVERS).map(|number| place(number).unwrap()).collect();
        let text = zoo_cfg(&places[1], &places);
        assert_eq!(text.matches("server.").count(), 3);
        assert!(text.contains(&format!("clientPort={}", places[1].client)), "{text}");
        assert!(text.contains("server2"), "{text}");
        let clients =
            format!("./zabd zkCli.sh -server 127.0.0.1:{},127.0.0.1:{}", places[0].client, places[1].client);
        assert!(greeting("./zabd", &places).contains(&clients));
    }

    #[test]
    fn a_server_that_ends_can_be_brought_back_and_a_lost_quorum_is_told() {
        let back = "[2] to bring it back: ./zabd data/ensemble/server2/zoo.cfg";
        assert_eq!(advice("./zabd", 2, 2), back);
        let gone = "1 of 3 servers run here, and a quorum is 2: nobody is served until one is back";
        assert_eq!(advice("./zabd", 2, 1), format!("{back}\n{gone}"));
    }

    #[test]
    fn a_port_that_somebody_has_is_left_to_them() {
        let taken =
            TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().map(|address| address.port()).unwrap();
        let held = TcpListener::bind(("127.0.0.1", taken)).unwrap();
        assert_ne!(free_port(taken).unwrap(), held.local_addr().unwrap().port());
    }
}
