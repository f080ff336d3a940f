//! Where output goes. Java's streams never fail: whoever stopped reading is no reason to end with an error.

use std::io::Write;
use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The two streams, and how events reach a terminal whose line is being edited.
pub struct Screen {
    out: Mutex<Box<dyn Write + Send>>,
    err: Mutex<Box<dyn Write + Send>>,
    events: Mutex<Option<Sender<String>>>,
}

impl Screen {
    /// Writes to these.
    pub fn new(out: impl Write + Send + 'static, err: impl Write + Send + 'static) -> Self {
        Self { out: Mutex::new(Box::new(out)), err: Mutex::new(Box::new(err)), events: Mutex::new(None) }
    }

    /// A line, or several, of output.
    pub fn out(&self, text: &str) {
        write(&self.out, &format!("{text}\n"));
    }

    /// Output without a line end.
    pub fn out_unended(&self, text: &str) {
        write(&self.out, text);
    }

    /// A line, or several, about what went wrong.
    pub fn err(&self, text: &str) {
        write(&self.err, &format!("{text}\n"));
    }

    /// What a session's thread has to say.
    pub fn event(&self, text: &str) {
        if !self.is_edited_in(text) {
            self.out(text);
        }
    }

    /// What it has to complain of.
    pub fn complaint(&self, text: &str) {
        if !self.is_edited_in(text) {
            self.err(text);
        }
    }

    /// Whether whoever edits a line has taken it. An editor that is gone leaves the terminal to whoever writes.
    fn is_edited_in(&self, text: &str) -> bool {
        let editor = lock(&self.events).clone();
        editor.is_some_and(|editor| editor.send(text.to_owned()).is_ok())
    }

    /// From now on events go to whoever edits the line, or again to the stream.
    pub fn send_events_to(&self, editor: Option<Sender<String>>) {
        *lock(&self.events) = editor;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write(stream: &Mutex<Box<dyn Write + Send>>, text: &str) {
    let mut stream = lock(stream);
    let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
}
