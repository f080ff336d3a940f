//! `zkServer.sh`: starts a server, ends it, and asks how it is, with Java's words and exit codes.
//!
//! ```text
//! start-foreground   the server, in this very process
//! start              the same behind the scenes; its number goes to zookeeper_server.pid below the data
//! stop, restart      by that number
//! status             the line `Mode: …` of what it answers to `srvr`, by TLS if it has no other port
//! version, print-cmd
//! ```

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::ToSocketAddrs as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use zabd_config::scripts::client_place;
use zabd_config::{CommandLine, load};

use super::names::Call;
use super::zk_env::ZkEnv;
use super::{four_letter, mistakes};
use crate::admin::VERSION;

/// How long `start` looks at a server that it has started.
const WATCH: Duration = Duration::from_secs(1);
/// How long `stop` waits for the end.
const END: Duration = Duration::from_secs(10);

/// How long `status` waits for an answer, as in Java.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs it.
pub fn run(call: &Call) -> ExitCode {
    let mut env = ZkEnv::of(call);
    if let Some(name) = env.words.get(1).filter(|name| !name.is_empty()).cloned() {
        let inside = env.conf.join(&name);
        // A path of more than a name does not lie in the directory of the configuration.
        env.zoo_cfg = if inside.parent() == Some(&env.conf) { inside } else { PathBuf::from(name) };
    }
    match env.variable("JMXDISABLE") {
        None | Some("false") => eprintln!("ZooKeeper JMX enabled by default"),
        Some(_) => eprintln!("JMX disabled by user request"),
    }
    eprintln!("Using config: {}", env.zoo_cfg.display());
    match env.words.first().map_or("", String::as_str) {
        "start-foreground" => foreground(&env),
        "start" => start(&env),
        "stop" => stop(&env),
        "restart" => {
            stop(&env);
            start(&env)
        }
        "status" => status(&env),
        "version" => {
            let (version, made) = VERSION.split_once(", built on ").unwrap_or((VERSION, ""));
            say!("Apache ZooKeeper, version {version} {made}");
            ExitCode::SUCCESS
        }
        "print-cmd" => {
            let flags = ["SERVER_JVMFLAGS", "JVMFLAGS"].into_iter().filter_map(|name| env.variable(name));
            let settings = flags.flat_map(str::split_whitespace).filter(|word| word.starts_with("-D"));
            let words = settings.map(str::to_owned).chain(words(&env));
            let words: Vec<String> = words.map(|word| format!("\"{word}\"")).collect();
            let (program, out) = (program(), out_file(&env));
            say!("\"{}\" {} > \"{}\" 2>&1 < /dev/null", program.display(), words.join(" "), out.display());
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!(
                "Usage: {} [--config <conf-dir>] {{start|start-foreground|stop|version|restart|status|print-cmd}}",
                call.program
            );
            ExitCode::SUCCESS
        }
    }
}

fn program() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("zabd"))
}

/// The words of the server's own command line.
fn words(env: &ZkEnv) -> Vec<String> {
    let autocreate = env
        .variable("ZOO_DATADIR_AUTOCREATE_DISABLE")
        .map(|_| "-Dzookeeper.datadir.autocreate=false".to_owned());
    autocreate.into_iter().chain([env.zoo_cfg.display().to_string()]).collect()
}

fn foreground(env: &ZkEnv) -> ExitCode {
    let environment = |name: &str| env.variables.get(name).cloned();
    let loaded = CommandLine::parse(words(env)).and_then(|command| load(&command, &environment));
    match loaded {
        Ok(config) => super::serve(config, None, false),
        Err(errors) => {
            let hint =
                "name a zoo.cfg that is there behind the word, or its directory by `--config` in front";
            mistakes::refuse(&errors.with_hint_of_usage(hint))
        }
    }
}

/// Where the number of a server that `start` has started is kept.
fn pid_file(env: &ZkEnv) -> PathBuf {
    // As in Java's script, at the top if there is no such line.
    let below_data =
        || PathBuf::from(format!("{}/zookeeper_server.pid", env.view().value("dataDir").unwrap_or_default()));
    env.variable("ZOOPIDFILE").map_or_else(below_data, PathBuf::from)
}

/// Where what it says goes.
fn out_file(env: &ZkEnv) -> PathBuf {
    let dir = env.variable("ZOO_LOG_DIR").map_or_else(|| env.bin.join("../logs"), PathBuf::from);
    let user = env.variable("USER").unwrap_or_default();
    let host = super::start_script::host().name;
    dir.join(format!("zookeeper-{user}-server-{host}.out"))
}

/// The number in the file.
fn kept_pid(path: &Path) -> Option<Pid> {
    Pid::from_raw(fs::read_to_string(path).ok()?.trim().parse().ok()?)
}

fn is_alive(pid: Pid) -> bool {
    // One that belongs to somebody else is alive, too.
    !matches!(test_kill_process(pid), Err(error) if error == rustix::io::Errno::SRCH)
}

fn say(text: &str) {
    let _ = write!(io::stdout(), "{text}");
    let _ = io::stdout().flush();
}

/// Says what is wrong if the zoo.cfg cannot be read, as `grep` does for Java's script.
fn warn_if_unreadable(env: &ZkEnv) -> bool {
    let unreadable = fs::read(&env.zoo_cfg).err();
    if let Some(error) = &unreadable {
        let path = env.zoo_cfg.display();
        match error.kind() {
            io::ErrorKind::NotFound => eprintln!("zkServer.sh: {path}: No such file or directory"),
            _ => eprintln!("zkServer.sh: {path}: {error}"),
        }
    }
    unreadable.is_some()
}

fn start(env: &ZkEnv) -> ExitCode {
    let is_unreadable = warn_if_unreadable(env);
    say("Starting zookeeper ... ");
    if is_unreadable {
        // It would end at once, and nobody knows where its number should go.
        say!("FAILED TO START");
        return ExitCode::FAILURE;
    }
    let pid_file = pid_file(env);
    if let Some(pid) = kept_pid(&pid_file).filter(|pid| is_alive(*pid)) {
        say!("already running as process {}.", pid.as_raw_nonzero());
        return ExitCode::FAILURE;
    }
    let mut child = match spawn(env, &pid_file) {
        Ok(child) => child,
        Err(error) => {
            say!("SERVER DID NOT START");
            eprintln!("zkServer.sh: {error}");
            return ExitCode::FAILURE;
        }
    };
    if let Err(error) = fs::write(&pid_file, child.id().to_string()) {
        say!("FAILED TO WRITE PID");
        eprintln!("zkServer.sh: {}: {error}", pid_file.display());
        return ExitCode::FAILURE;
    }
    let end = Instant::now() + WATCH;
    while Instant::now() < end {
        if child.try_wait().is_ok_and(|ended| ended.is_some()) {
            let _ = fs::remove_file(&pid_file);
            say!("FAILED TO START");
            return ExitCode::FAILURE;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    say!("STARTED");
    ExitCode::SUCCESS
}

/// Starts it in a group of its own, so that what ends the terminal's programs does not end it.
fn spawn(env: &ZkEnv, pid_file: &Path) -> io::Result<std::process::Child> {
    let out = out_file(env);
    for path in [pid_file, &out] {
        fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    }
    let (out, err) = (File::create(&out)?, File::options().append(true).open(&out)?);
    Command::new(program())
        .arg0("zabd")
        .args(words(env))
        .envs(&env.variables)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .process_group(0)
        .spawn()
}

fn stop(env: &ZkEnv) -> ExitCode {
    say("Stopping zookeeper ... ");
    let pid_file = pid_file(env);
    if !pid_file.exists() {
        say!("no zookeeper to stop (could not find file {})", pid_file.display());
        return ExitCode::SUCCESS;
    }
    if let Some(pid) = kept_pid(&pid_file) {
        if let Err(error) = kill_process(pid, Signal::TERM) {
            eprintln!("zkServer.sh: process {}: {error}", pid.as_raw_nonzero());
        }
        let end = Instant::now() + END;
        while is_alive(pid) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let _ = fs::remove_file(&pid_file);
    say!("STOPPED");
    ExitCode::SUCCESS
}

fn status(env: &ZkEnv) -> ExitCode {
    warn_if_unreadable(env);
    let (said, place) = client_place(&env.view(), &|path| fs::read(path).ok());
    for line in said {
        say!("{line}");
    }
    let Some(place) = place else { return ExitCode::FAILURE };
    say!(
        "Client port found: {}. Client address: {}. Client SSL: {}.",
        place.port,
        place.host,
        place.is_secure
    );
    let port = place.port.parse().unwrap_or_default();
    let mode = if place.is_secure { mode_by_tls(env, &place.host, port) } else { mode(&place.host, port) };
    let Some(mode) = mode else {
        if place.is_secure {
            say!("{}", SECURE_NOTE.replace("PORT", &place.port));
        }
        say!("Error contacting service. It is probably not running.");
        return ExitCode::FAILURE;
    };
    say!("{mode}");
    ExitCode::SUCCESS
}

/// What Java's script says, which is the first that knows that clients are configured elsewhere.
const SECURE_NOTE: &str = " 
Note: We used secureClientPort (PORT) to establish connection, but we failed. The 'status'
  command establishes a client connection to the server to execute diagnostic commands. Please make sure you
  provided all the Client SSL connection related parameters in the CLIENT_JVMFLAGS environment variable! E.g.:
  CLIENT_JVMFLAGS=\"-Dzookeeper.clientCnxnSocket=org.apache.zookeeper.ClientCnxnSocketNetty
  -Dzookeeper.ssl.trustStore.location=/tmp/clienttrust.jks -Dzookeeper.ssl.trustStore.password=password
  -Dzookeeper.ssl.keyStore.location=/tmp/client.jks -Dzookeeper.ssl.keyStore.password=password
  -Dzookeeper.client.secure=true\" ./zkServer.sh status
 ";

/// Java's script throws away why there is no answer; here it is said on the standard error.
fn mode_by_tls(env: &ZkEnv, host: &str, port: u16) -> Option<String> {
    let environment = |name: &str| env.variable(name).map(str::to_owned);
    match zabd_cli::ask_by_tls(host, port, "srvr", PATIENCE, &environment) {
        Ok(answer) => line_of_mode(&answer),
        Err(why) => {
            eprintln!("zkServer.sh: {why}");
            None
        }
    }
}

/// The line that says what the server is.
fn mode(host: &str, port: u16) -> Option<String> {
    let mut answers = (host, port)
        .to_socket_addrs()
        .ok()?
        .filter_map(|address| four_letter::ask(address, "srvr", PATIENCE).ok());
    answers.find_map(|answer| line_of_mode(&answer))
}

fn line_of_mode(answer: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(answer);
    text.lines().find(|line| line.contains("Mode")).map(str::to_owned)
}
