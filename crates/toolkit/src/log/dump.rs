//! Prints every transaction of a log; in recovery, writes them to another file with the checksums that they have.

use std::fs::File;
use std::io::{BufWriter, Write as _};

use super::record::{Header, LogReader, MAGIC};
use super::txn_text;
use super::{INVALID_INVOCATION, UNEXPECTED_ERROR};
use crate::console::{Console, End, Thrown, file_name, thrown_io};
use crate::dates::Dates;

/// When less than this is left before the end, Java extends a log.
const LEFT_BYTES_MIN: u64 = 4096;

/// The file that a recovery writes.
#[derive(Debug)]
pub(crate) struct Recovery {
    path: String,
    file: BufWriter<File>,
    position: u64,
    length: u64,
    ahead_bytes: u64,
    fixed: usize,
}

impl Recovery {
    /// Makes the file.
    pub(crate) fn begin(path: String, ahead_bytes: u64) -> Result<Self, End> {
        let file = File::create_new(&path).map_err(|error| Thrown::not_opened(&path, &error))?;
        let file = BufWriter::with_capacity(256 << 10, file);
        Ok(Self { path, file, position: 0, length: 0, ahead_bytes, fixed: 0 })
    }

    fn header(&mut self, header: &Header) -> Result<(), End> {
        header.write(&mut self.file).map_err(|error| thrown_io(&error))?;
        self.position = Header::BYTES;
        self.length = Header::BYTES;
        Ok(())
    }

    fn record<R: std::io::Read>(&mut self, reader: &LogReader<R>, checksum: i64) -> Result<(), End> {
        let length = extended(self.position, self.length, self.ahead_bytes);
        if self.length != length {
            self.file.get_ref().set_len(length).map_err(|error| thrown_io(&error))?;
            self.length = length;
        }
        self.position += reader.copy(checksum, &mut self.file).map_err(|error| thrown_io(&error))?;
        Ok(())
    }

    fn finish(mut self, console: &mut Console<'_>) -> Result<(), End> {
        self.file.flush().map_err(|error| thrown_io(&error))?;
        self.file.get_ref().sync_all().map_err(|error| thrown_io(&error))?;
        let Self { path, fixed, .. } = self;
        writeln!(console.out, "Recovery file {path} has been written with {fixed} fixed CRC error(s)")?;
        Ok(())
    }
}

/// How long a log becomes before it is written at `position`: Java's `FilePadding`.
fn extended(position: u64, length: u64, ahead_bytes: u64) -> u64 {
    if ahead_bytes == 0 || position + LEFT_BYTES_MIN < length {
        length
    } else if position > length {
        let length = position + ahead_bytes;
        length - length % ahead_bytes
    } else {
        length + ahead_bytes
    }
}

/// A log that is being printed.
pub(crate) struct Dump<R> {
    reader: LogReader<R>,
    recovery: Option<Recovery>,
    prints_all: bool,
    is_asked: bool,
    dates: Dates,
    text: String,
}

impl<R: std::io::Read> Dump<R> {
    pub(crate) fn new(
        reader: LogReader<R>,
        recovery: Option<Recovery>,
        is_verbose: bool,
        fixes_all: bool,
    ) -> Self {
        let prints_all = recovery.is_none() || is_verbose;
        Self {
            reader,
            recovery,
            prints_all,
            is_asked: !fixes_all,
            dates: Dates::of_logs(),
            text: String::new(),
        }
    }

    pub(crate) fn run(mut self, path: &str, console: &mut Console<'_>) -> Result<(), End> {
        let header = self.reader.header()?;
        if header.magic != MAGIC {
            let complaint = format!("Invalid magic number for {}", file_name(path));
            return Err(End::Complaint(INVALID_INVOCATION, complaint));
        }
        writeln!(console.out, "{}", header.line())?;
        if let Some(recovery) = &mut self.recovery {
            recovery.header(&header)?;
        }
        let mut count = 0;
        while self.reader.next_entry()? {
            self.record(console)?;
            count += 1;
        }
        writeln!(console.out, "EOF reached after {count} txns.")?;
        self.recovery.map_or(Ok(()), |recovery| recovery.finish(console))
    }

    fn record(&mut self, console: &mut Console<'_>) -> Result<(), End> {
        let checksum = self.checksum(console)?;
        if self.prints_all {
            self.print("", console)?;
        }
        if !self.reader.is_whole()? {
            return Err(End::Complaint(UNEXPECTED_ERROR, "Last transaction was partial.".to_owned()));
        }
        match &mut self.recovery {
            Some(recovery) => recovery.record(&self.reader, checksum),
            None => Ok(()),
        }
    }

    /// Which checksum the record gets.
    fn checksum(&mut self, console: &mut Console<'_>) -> Result<i64, End> {
        let (stored, right) = (self.reader.checksum, self.reader.right_checksum());
        if stored == right {
            return Ok(stored);
        }
        let asks = self.recovery.is_some() && self.is_asked;
        self.print(if self.recovery.is_none() || asks { "CRC ERROR - " } else { "CRC FIXED - " }, console)?;
        let fixes = self.recovery.is_some() && (!asks || is_agreed(console)?);
        if !fixes {
            return Ok(stored);
        }
        if let Some(recovery) = &mut self.recovery {
            recovery.fixed += 1;
        }
        Ok(right)
    }

    fn print(&mut self, prefix: &str, console: &mut Console<'_>) -> Result<(), End> {
        self.text.clear();
        self.text.push_str(prefix);
        txn_text::print(&self.reader.entry, self.reader.limits(), &mut self.dates, &mut self.text)?;
        console.out.write_all(self.text.as_bytes())?;
        Ok(())
    }
}

fn is_agreed(console: &mut Console<'_>) -> Result<bool, End> {
    loop {
        console.out.write_all(b"Would you like to fix it (Yes/No/Abort) ? ")?;
        match console.letter()? {
            'Y' => return Ok(true),
            'N' => return Ok(false),
            'A' => return Err(End::Complaint(0, "Recovery aborted.".to_owned())),
            _ => (),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_extended_as_java_extends_it() {
        const AHEAD: u64 = 65536;
        assert_eq!(extended(16, 16, AHEAD), 16 + AHEAD);
        assert_eq!(extended(1000, 16 + AHEAD, AHEAD), 16 + AHEAD);
        assert_eq!(extended(AHEAD - 4079, 16 + AHEAD, AHEAD), 16 + 2 * AHEAD);
        assert_eq!(extended(3 * AHEAD + 5, 16 + AHEAD, AHEAD), 4 * AHEAD);
        assert_eq!(extended(16, 16, 0), 16);
    }
}
