//! Copies a log up to and including one transaction.
//!
//! Whatever goes wrong on the way is a line of the output and no exit code, and what was copied until then stays, as in Java;
//! only when there is something behind the transaction was anything chopped. What was copied is on the disk before that is said.

use std::fs::File;
use std::io::{BufWriter, Write as _};

use super::record::{LogReader, MAGIC};
use super::txn_text;
use crate::console::{Console, End, Thrown, file_name, open, thrown_io};
use crate::dates::Dates;
use crate::tool::Settings;

/// Why nothing was chopped.
enum Failed {
    /// Caught and printed.
    Caught(Thrown),
    /// Printed already.
    Told,
    /// The tool ends.
    Ended(End),
}

impl From<Thrown> for Failed {
    fn from(thrown: Thrown) -> Self {
        Failed::Caught(thrown)
    }
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        Failed::Ended(error.into())
    }
}

/// Chops the file behind `zxid`.
pub(crate) fn run(path: &str, zxid: i64, settings: &Settings, console: &mut Console<'_>) -> Result<(), End> {
    let message = match chop(path, zxid, settings, console) {
        Ok(()) => return Ok(()),
        Err(Failed::Ended(end)) => return Err(end),
        Err(Failed::Caught(thrown)) => thrown.message.unwrap_or_else(|| "null".to_owned()),
        Err(Failed::Told) => format!("Failed to chop {}", file_name(path)),
    };
    writeln!(console.out, "Got exception: {message}")?;
    Ok(())
}

fn chop(path: &str, zxid: i64, settings: &Settings, console: &mut Console<'_>) -> Result<(), Failed> {
    let mut reader = LogReader::new(open(path)?, settings.limits);
    let target = format!("{path}.chopped{zxid}");
    let copy = File::create(&target).map_err(|error| Thrown::not_opened(&target, &error))?;
    let mut copy = BufWriter::new(copy);
    let header = reader.header()?;
    if header.magic != MAGIC {
        console.out.flush()?;
        writeln!(console.err, "Invalid magic number in txn log file")?;
        return Err(Failed::Told);
    }
    writeln!(console.out, "{}", header.line())?;
    header.write(&mut copy).map_err(|error| thrown_io(&error))?;
    let (mut dates, mut text) = (Dates::of_logs(), String::new());
    let (mut count, mut is_there, mut previous) = (0, false, None);
    while reader.next_entry()? {
        let right = reader.right_checksum();
        if reader.checksum != right {
            return Err(Thrown::io(format!("CRC doesn't match {} vs {right}", reader.checksum)).into());
        }
        // Java reads the whole record, and stumbles over what it cannot read.
        text.clear();
        let at = txn_text::print(&reader.entry, settings.limits, &mut dates, &mut text)?.zxid.0;
        if !reader.is_whole()? {
            writeln!(console.out, "Last transaction was partial.")?;
            return Err(Thrown::io("Last transaction was partial.").into());
        }
        is_there |= at == zxid;
        if let Some(gap) = previous.and_then(|previous| gap(previous, at)) {
            writeln!(console.out, "{gap}")?;
        }
        previous = Some(at).filter(|at| *at != -1);
        if zxid < at {
            if count == 0 || !is_there {
                writeln!(console.out, "This log does not contain zxid {zxid:x}")?;
                return Err(Failed::Told);
            }
            copy.flush().and_then(|()| copy.get_ref().sync_all()).map_err(|error| thrown_io(&error))?;
            writeln!(console.out, "Chopping at {zxid:x} new log has {count} records")?;
            return Ok(());
        }
        reader.copy(reader.checksum, &mut copy).map_err(|error| thrown_io(&error))?;
        count += 1;
    }
    writeln!(console.out, "EOF reached after {count} txns.")?;
    Err(Failed::Told)
}

/// What is missing between two transactions.
fn gap(previous: i64, zxid: i64) -> Option<String> {
    if zxid == previous.wrapping_add(1) {
        return None;
    }
    let is_same_epoch = zxid >> 32 == previous >> 32;
    if is_same_epoch {
        Some(format!("There is intra-epoch gap between {previous:x} and {zxid:x}"))
    } else {
        let counter = zxid & 0xffff_ffff;
        (counter != 1).then(|| format!("There is inter-epoch gap between {previous:x} and {zxid:x}"))
    }
}
