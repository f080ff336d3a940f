//! What a tool talks to, and how it ends.
//!
//! A tool prints to a buffer that is written before anybody is asked for anything, and before every complaint, so that both
//! streams of a terminal are in the order in which things happened.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, Write};

use zabd_jute::DecodeError;

/// Three streams.
pub struct Console<'c> {
    /// Where answers come from.
    pub input: &'c mut dyn BufRead,
    /// Where results go; may be buffered.
    pub out: &'c mut dyn Write,
    /// Where complaints go.
    pub err: &'c mut dyn Write,
}

impl fmt::Debug for Console<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").finish_non_exhaustive()
    }
}

/// Why a tool ends before its last line.
#[derive(Debug)]
pub(crate) enum End {
    /// With this exit code; everything is said.
    Exit(u8),
    /// With a complaint and this exit code.
    Complaint(u8, String),
    /// With an exception that nobody catches.
    Thrown(Thrown),
    /// Nobody takes the output.
    Unheard(io::Error),
}

/// A Java exception, as far as it is printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Thrown {
    class: &'static str,
    pub(crate) message: Option<String>,
}

impl Thrown {
    pub(crate) fn new(class: &'static str, message: impl Into<String>) -> Self {
        Self { class, message: Some(message.into()) }
    }

    /// The stream ends inside of something.
    pub(crate) fn end_of_file() -> Self {
        Self { class: "java.io.EOFException", message: None }
    }

    /// A table does not take null.
    pub(crate) fn null_key() -> Self {
        Self { class: "java.lang.NullPointerException", message: None }
    }

    pub(crate) fn io(message: impl Into<String>) -> Self {
        Self::new("java.io.IOException", message)
    }

    pub(crate) fn null_pointer(message: impl Into<String>) -> Self {
        Self::new("java.lang.NullPointerException", message)
    }

    /// `text` should be a number.
    pub(crate) fn no_number(text: &str) -> Self {
        Self::new("java.lang.NumberFormatException", format!("For input string: \"{text}\""))
    }

    pub(crate) fn unreasonable_length(length: i32) -> Self {
        Self::io(format!("Unreasonable length = {length}"))
    }

    /// A file of this name cannot be opened.
    pub(crate) fn not_opened(path: &str, error: &io::Error) -> Self {
        Self::new("java.io.FileNotFoundException", format!("{path} ({})", reason(error)))
    }
}

/// What the system says, without Rust's number behind it.
fn reason(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::IsADirectory {
        return "Is a directory".to_owned();
    }
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

impl fmt::Display for Thrown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.class)?;
        self.message.as_ref().map_or(Ok(()), |message| write!(f, ": {message}"))
    }
}

impl From<DecodeError> for Thrown {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Truncated { .. } => Self::end_of_file(),
            DecodeError::UnreasonableLength { length, .. } => Self::unreasonable_length(length),
            DecodeError::Null { .. } | DecodeError::UnknownValue { .. } => {
                Self::null_pointer(error.to_string())
            }
        }
    }
}

impl From<Thrown> for End {
    fn from(thrown: Thrown) -> Self {
        End::Thrown(thrown)
    }
}

/// Failures to print; those of files become [`Thrown`] where they happen.
impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        End::Unheard(error)
    }
}

/// For `map_err`: what happens to files while they are read or written.
pub(crate) fn thrown_io(error: &io::Error) -> Thrown {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        Thrown::end_of_file()
    } else {
        Thrown::io(reason(error))
    }
}

impl Console<'_> {
    /// Says the last words; gives the exit code.
    pub(crate) fn close(&mut self, end: End) -> u8 {
        let end = match self.out.flush() {
            Ok(()) => end,
            Err(error) => End::Unheard(error),
        };
        // There is nobody left to hear that nobody hears.
        let mut say = |text: String| drop(writeln!(self.err, "{text}"));
        match end {
            End::Exit(code) => code,
            End::Complaint(code, text) => {
                say(text);
                code
            }
            End::Thrown(thrown) => {
                say(format!("Exception in thread \"main\" {thrown}"));
                1
            }
            // `| head` has seen enough.
            End::Unheard(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            End::Unheard(error) => {
                say(format!("cannot write the output: {error}"));
                1
            }
        }
    }

    /// A line of input without its end.
    pub(crate) fn line(&mut self) -> Result<String, End> {
        self.out.flush()?;
        let mut bytes = Vec::new();
        self.input.read_until(b'\n', &mut bytes).map_err(|error| thrown_io(&error))?;
        if bytes.is_empty() {
            return Err(Thrown::new("java.util.NoSuchElementException", "No line found").into());
        }
        let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        Ok(String::from_utf8_lossy(line).into_owned())
    }

    /// The first letter of the next word of input, as a capital.
    pub(crate) fn letter(&mut self) -> Result<char, End> {
        self.out.flush()?;
        let mut word = Vec::new();
        loop {
            let bytes = self.input.fill_buf().map_err(|error| thrown_io(&error))?;
            let Some(byte) = bytes.first().copied() else { break };
            if byte.is_ascii_whitespace() && !word.is_empty() {
                break;
            }
            self.input.consume(1);
            if !byte.is_ascii_whitespace() {
                word.push(byte);
            }
        }
        let letter = String::from_utf8_lossy(&word).chars().next();
        let letter = letter.ok_or(Thrown { class: "java.util.NoSuchElementException", message: None })?;
        Ok(letter.to_uppercase().next().unwrap_or(letter))
    }
}

/// Opens a file for reading; a directory is none.
pub(crate) fn open(path: &str) -> Result<File, Thrown> {
    let opened = File::open(path).and_then(|file| {
        let is_dir = file.metadata()?.is_dir();
        if is_dir { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(file) }
    });
    opened.map_err(|error| Thrown::not_opened(path, &error))
}

/// A path as Java's `File` prints it.
pub(crate) fn java_path(path: &str) -> String {
    let mut printed = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !printed.ends_with('/') {
            printed.push(c);
        }
    }
    if printed.len() > 1 && printed.ends_with('/') {
        printed.pop();
    }
    printed
}

/// The last part of a path.
pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_print_as_javas_files() {
        for (path, printed) in
            [("/a//b/", "/a/b"), ("a/", "a"), ("//", "/"), ("", ""), ("./a///b", "./a/b"), ("/", "/")]
        {
            assert_eq!(java_path(path), printed);
        }
    }

    #[test]
    fn answers_are_words_and_lines() {
        let mut input = io::Cursor::new(b"  yes no\nnext line\r\n\nlast".to_vec());
        let mut console = Console { input: &mut input, out: &mut io::sink(), err: &mut io::sink() };
        assert_eq!((console.letter().unwrap(), console.letter().unwrap()), ('Y', 'N'));
        let lines: Vec<_> = (0..4).map(|_| console.line().unwrap()).collect();
        assert_eq!(lines, ["", "next line", "", "last"]);
        assert!(matches!(console.line(), Err(End::Thrown(_))));
        assert!(matches!(console.letter(), Err(End::Thrown(_))));
    }
}
