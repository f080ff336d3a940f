//! The shell itself: what it is started with, its lines, its history, and the commands that need no server.

mod completion;
mod input;
mod invocation;
mod properties;
mod words;

use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::client::{Client, ConnectString, Event, EventState, EventType, Listener, Settings};
use crate::commands::{COMMANDS, CommandError, Context};
use crate::screen::Screen;

use input::Input;
use invocation::Invocation;
use properties::ClientProperties;
pub(crate) use properties::tls_of_flags;

/// Exit codes of Java's shell beside 0 and 1.
const INVALID_INVOCATION: u8 = 2;
const COMMAND_NOT_FOUND: u8 = 127;

/// Runs the shell: `words` are those behind the program's name, `version` is what `version` says.
pub fn run(words: &[String], environment: &dyn Fn(&str) -> Option<String>, version: &str) -> ExitCode {
    let screen = Arc::new(Screen::new(std::io::stdout(), std::io::stderr()));
    let (invocation, complaint) = Invocation::parse(words);
    if let Some(complaint) = complaint {
        screen.err(&complaint);
    }
    screen.out(&format!("Connecting to {}", invocation.server));
    match Shell::start(&invocation, environment, version, Arc::clone(&screen)) {
        Ok(mut shell) => ExitCode::from(match &invocation.command {
            Some(words) => shell.run_one(words),
            None => shell.run_lines(),
        }),
        Err(error) => {
            screen.err(&error.message);
            ExitCode::from(error.exit_code)
        }
    }
}

/// Java's shell takes longer to start than a server to answer, so that its first prompt shows a session; so does this one if
/// there is a server.
const FIRST_PROMPT_DELAY_MAX: Duration = Duration::from_millis(300);

/// The commands that are carried out here, with their syntax.
const OWN_COMMANDS: [(&str, &str); 5] =
    [("connect", "host:port"), ("history", ""), ("redo", "cmdno"), ("printwatches", "on|off"), ("quit", "")];

/// All commands with their syntax, by name.
fn all_commands() -> Vec<(&'static str, &'static str)> {
    let others = COMMANDS.iter().map(|command| (command.name, command.syntax));
    let mut all: Vec<_> = OWN_COMMANDS.into_iter().chain(others).collect();
    all.sort_unstable();
    all
}

fn usage() -> String {
    let mut text = "ZooKeeper -server host:port -client-configuration properties-file cmd args".to_owned();
    for (name, syntax) in all_commands() {
        let _ = write!(text, "\n\t{name} {syntax}");
    }
    text
}

/// What comes behind a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    NextLine,
    Quit,
}

struct Shell {
    screen: Arc<Screen>,
    version: String,
    settings: Settings,
    is_waited_for: bool,
    client: Arc<Client>,
    /// Where it was told to connect to, as the prompt shows it.
    server: String,
    prints_watches: Arc<AtomicBool>,
    /// Every line that was not empty; a command's number is its place.
    history: Vec<String>,
    /// Of the last command.
    exit_code: u8,
}

impl Shell {
    fn start(
        invocation: &Invocation,
        environment: &dyn Fn(&str) -> Option<String>,
        version: &str,
        screen: Arc<Screen>,
    ) -> Result<Self, CommandError> {
        let file = invocation.client_configuration.as_deref();
        let properties = ClientProperties::load(environment, file)?;
        let timeout_ms: i32 = crate::commands::number(&invocation.timeout)?;
        let settings = Settings {
            servers: servers(&invocation.server)?,
            session_timeout: Duration::from_millis(timeout_ms.max(0) as u64),
            is_read_only_enough: invocation.is_read_only_enough,
            request_timeout: properties.request_timeout,
            keeps_watches: properties.keeps_watches,
            tls: properties.tls,
            login: properties.login,
        };
        let prints_watches = Arc::new(AtomicBool::new(true));
        let client = begin(&screen, &prints_watches, settings.clone(), invocation.is_connection_waited_for)?;
        Ok(Self {
            screen,
            version: version.to_owned(),
            settings,
            is_waited_for: invocation.is_connection_waited_for,
            client: Arc::new(client),
            server: invocation.server.clone(),
            prints_watches,
            history: Vec::new(),
            exit_code: 0,
        })
    }

    /// One command, and its exit code. The session is left to its timeout, as Java leaves it: an ephemeral outlives
    /// the command that made it.
    fn run_one(&mut self, words: &[String]) -> u8 {
        self.process(words, 0);
        self.exit_code
    }

    fn run_lines(&mut self) -> u8 {
        self.screen.out("Welcome to ZooKeeper!\nJLine support is enabled");
        self.client.await_connection(FIRST_PROMPT_DELAY_MAX);
        let mut input = Input::open(&self.screen, Arc::clone(&self.client));
        while let Some(line) = input.line(&self.prompt()) {
            let line = words::without_escapes(&line);
            if line.is_empty() {
                continue;
            }
            let number = self.history.len();
            self.history.push(line.clone());
            if self.process(&words::split(&line), number) == Then::Quit {
                break;
            }
        }
        input.close(&self.screen);
        self.exit_code
    }

    fn prompt(&self) -> String {
        format!("[zk: {}({}) {}] ", self.server, self.client.state(), self.history.len())
    }

    /// Carries out a command and prints its error; `number` is that of its line.
    fn process(&mut self, words: &[String], number: usize) -> Then {
        match self.execute(words, number) {
            Ok(Then::Quit) => Then::Quit,
            Ok(Then::NextLine) => {
                self.exit_code = 0;
                Then::NextLine
            }
            Err(error) => {
                self.exit_code = error.exit_code;
                self.screen.err(&error.message);
                Then::NextLine
            }
        }
    }

    fn execute(&mut self, words: &[String], number: usize) -> Result<Then, CommandError> {
        let name = match words.first().map_or("", String::as_str) {
            // As releases behind 3.9 have it, in no list of commands.
            "exit" => "quit",
            name => name,
        };
        let command = COMMANDS.iter().find(|command| command.name == name);
        if command.is_none() && !OWN_COMMANDS.iter().any(|(own, _)| *own == name) {
            self.screen.err(&usage());
            let message = format!("Command not found: Command not found {name}");
            return Err(CommandError { message, exit_code: COMMAND_NOT_FOUND });
        }
        match (name, words.get(1)) {
            ("quit", _) => {
                self.client.close();
                return Ok(Then::Quit);
            }
            ("redo", Some(which)) if self.redo(which, number)? == Then::Quit => return Ok(Then::Quit),
            ("history", _) => self.print_history(number),
            ("printwatches", None) => {
                let state = if self.prints_watches.load(Ordering::Relaxed) { "on" } else { "off" };
                self.screen.out(&format!("printwatches is {state}"));
            }
            ("printwatches", Some(word)) => self.prints_watches.store(word == "on", Ordering::Relaxed),
            ("connect", server) => self.connect(server.cloned())?,
            _ => (),
        }
        // Java asks this behind the commands that need no server too.
        if !self.client.state().is_alive() {
            self.screen.out("Not connected");
        } else if let Some(command) = command {
            let context = Context { client: &self.client, screen: &self.screen, version: &self.version };
            (command.run)(&context, words)?;
        }
        Ok(Then::NextLine)
    }

    /// Carries a line out again; the history has it in the place of `redo`.
    fn redo(&mut self, which: &str, number: usize) -> Result<Then, CommandError> {
        let which = words::decode_number(which)
            .ok_or_else(|| CommandError::new(format!("For input string: \"{which}\"")))?;
        let earlier = usize::try_from(which).ok().filter(|&earlier| earlier < number);
        let line = earlier.map(|earlier| self.history[earlier].clone());
        let line = line.ok_or_else(|| CommandError::new("Command index out of range"))?;
        let words = words::split(&line);
        if words.first().is_some_and(|name| name == "redo") {
            return Err(CommandError::new("No redoing redos"));
        }
        self.history[number] = line;
        Ok(self.process(&words, number))
    }

    /// The last eleven lines. A shell that carries out one command has none, and Java says so.
    fn print_history(&self, number: usize) {
        for number in number.saturating_sub(10)..=number {
            let line = self.history.get(number).map_or("null", String::as_str);
            self.screen.out(&format!("{number} - {line}"));
        }
    }

    fn connect(&mut self, server: Option<String>) -> Result<(), CommandError> {
        let server = server.unwrap_or_else(|| self.server.clone());
        self.settings.servers = servers(&server)?;
        self.client.close();
        self.server = server;
        let client = begin(&self.screen, &self.prints_watches, self.settings.clone(), self.is_waited_for)?;
        self.client = Arc::new(client);
        Ok(())
    }
}

fn servers(text: &str) -> Result<ConnectString, CommandError> {
    ConnectString::parse(text).map_err(|error| CommandError::new(error.to_string()))
}

/// Begins a session, and waits for it if that was asked for.
fn begin(
    screen: &Arc<Screen>,
    prints_watches: &Arc<AtomicBool>,
    settings: Settings,
    is_waited_for: bool,
) -> Result<Client, CommandError> {
    let patience = settings.session_timeout;
    let (connected, is_connected) = mpsc::channel();
    let (screen, prints_watches) = (Arc::clone(screen), Arc::clone(prints_watches));
    let client = Client::begin(settings, Box::new(Teller { screen, prints_watches, connected }));
    if is_waited_for && is_connected.recv_timeout(patience).is_err() {
        client.close();
        return Err(CommandError::new("KeeperErrorCode = ConnectionLoss"));
    }
    Ok(client)
}

/// Shows what a session has to tell.
struct Teller {
    screen: Arc<Screen>,
    prints_watches: Arc<AtomicBool>,
    connected: mpsc::Sender<()>,
}

impl Listener for Teller {
    fn on_event(&self, event: &Event) {
        if self.prints_watches.load(Ordering::Relaxed) {
            self.screen.event(&format!("\nWATCHER::\n\n{event}"));
        }
        if event.kind == EventType::None && event.state == EventState::SyncConnected {
            // Nobody waits for the second time.
            let _ = self.connected.send(());
        }
    }

    fn on_problem(&self, problem: &str) {
        self.screen.complaint(problem);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usage_names_every_command_once() {
        let usage = usage();
        let lines: Vec<&str> = usage.lines().collect();
        assert_eq!(lines.len(), 29);
        assert_eq!(lines[0], "ZooKeeper -server host:port -client-configuration properties-file cmd args");
        assert!(lines[1].starts_with("\taddWatch [-m mode] path # optional"), "{}", lines[1]);
        assert_eq!(lines[2], "\taddauth scheme auth");
        assert_eq!(lines[3], "\tclose ");
        assert_eq!(lines[28], "\twhoami ");
    }
}
