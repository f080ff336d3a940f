//! Where lines come from: somebody at a terminal, who can edit, recall and complete them, or a script.
//!
//! A script sees the prompts too, as Java's does with `JLine` on a dumb terminal: they go to the standard output without a line
//! end, in front of what a command prints.

use std::io::{IsTerminal as _, Stdin, stdin, stdout};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{CompletionType, Config, Editor, ExternalPrinter as _};

use super::completion::Completion;
use crate::client::Client;
use crate::screen::Screen;

/// One of the two.
pub enum Input {
    /// Somebody, and the thread that shows them events.
    Terminal(Box<Editor<Completion, MemHistory>>, Option<JoinHandle<()>>),
    /// A script.
    Script(Stdin, Arc<Screen>),
}

impl Input {
    /// A terminal if both ends are one; `client` knows the znodes.
    pub fn open(screen: &Arc<Screen>, client: Arc<Client>) -> Self {
        let script = || Input::Script(stdin(), Arc::clone(screen));
        if !stdin().is_terminal() || !stdout().is_terminal() {
            return script();
        }
        let config = Config::builder().completion_type(CompletionType::List).auto_add_history(true).build();
        let history = MemHistory::with_config(&config);
        let Ok(mut editor) = Editor::with_history(config, history) else {
            return script();
        };
        editor.set_helper(Some(Completion::new(client)));
        let printer = editor.create_external_printer().ok().and_then(|mut printer| {
            // A thread of its own, since an editor that is busy completing takes no events, and completing needs the
            // session's thread.
            let (events, printed) = mpsc::channel::<String>();
            let print = move || {
                for event in printed {
                    // A terminal that is gone shows nothing.
                    let _ = printer.print(format!("{event}\n"));
                }
            };
            let thread = std::thread::Builder::new().name("events".to_owned()).spawn(print).ok()?;
            screen.send_events_to(Some(events));
            Some(thread)
        });
        Input::Terminal(Box::new(editor), printer)
    }

    /// Returns when every event has been shown.
    pub fn close(self, screen: &Screen) {
        screen.send_events_to(None);
        if let Input::Terminal(_, Some(printer)) = self {
            // It has nothing to say but events.
            let _ = printer.join();
        }
    }

    /// The next line without its end; `None` when there are no more, or Ctrl-C or Ctrl-D says so.
    pub fn line(&mut self, prompt: &str) -> Option<String> {
        match self {
            Input::Terminal(editor, _) => loop {
                match editor.readline(prompt) {
                    Ok(line) => return Some(line),
                    // A window of another size is no input.
                    Err(ReadlineError::Signal(_)) => (),
                    Err(_) => return None,
                }
            },
            Input::Script(stdin, screen) => {
                screen.out_unended(prompt);
                let mut line = Vec::new();
                let count = std::io::BufRead::read_until(&mut stdin.lock(), b'\n', &mut line).unwrap_or(0);
                let line = line.strip_suffix(b"\n").unwrap_or(&line);
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                (count > 0).then(|| String::from_utf8_lossy(line).into_owned())
            }
        }
    }
}
