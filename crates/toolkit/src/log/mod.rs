//! `zkTxnLogToolkit.sh`: what a log holds, the same log with the checksums that its content has, or its beginning.
//!
//! ```text
//! [-d] FILE                 each transaction on a line, damaged or not            dump
//! -r [-v] [-y] FILE         FILE.fixed, with checksums made right                 dump
//! -c -z ZXID FILE           FILE.choppedZXID, which ends behind that transaction  chop
//! ```
//!
//! Follows Java's `TxnLogToolkit` and `LogChopper`.

mod chop;
mod dump;
mod record;
mod txn_text;

use std::fs::File;
use std::path::Path;

use zabd_config::java_number;

use crate::console::{Console, End, Thrown, java_path, open};
use crate::options::{Flag, Line, flag, parse, valued};
use crate::tool::Settings;
use dump::{Dump, Recovery};
use record::LogReader;

const FLAGS: &[Flag] = &[
    flag('h', "help"),
    flag('r', "recover"),
    flag('v', "verbose"),
    flag('d', "dump"),
    flag('y', "yes"),
    flag('c', "chop"),
    valued('z', "zxid"),
];

const HELP: &str = "\
usage: TxnLogToolkit [-dhrvc] <txn_log_file_name> (-z <zxid>)
 -c,--chop         Chop mode. Chop txn file to a zxid.
 -d,--dump         Dump mode. Dump all entries of the log file with printing the content of a nodepath (default)
 -h,--help         Print help message
 -r,--recover      Recovery mode. Re-calculate CRC for broken entries.
 -v,--verbose      Be verbose in recovery mode: print all entries, not just fixed ones.
 -y,--yes          Non-interactive mode: repair all CRC errors without asking
 -z,--zxid <arg>   Used with chop. Zxid to which to chop.
";

/// Exit codes, by Java's names.
const UNEXPECTED_ERROR: u8 = 1;
const INVALID_INVOCATION: u8 = 2;

/// Runs the tool.
pub(crate) fn run(words: &[String], settings: &Settings, console: &mut Console<'_>) -> Result<(), End> {
    let line = match parse(FLAGS, words) {
        Ok(line) => line,
        Err(complaint) => {
            writeln!(console.err, "{complaint}\n")?;
            return help(console, UNEXPECTED_ERROR);
        }
    };
    if line.has('h') {
        return help(console, 0);
    }
    let Some(file) = line.words.first().map(|word| java_path(word)) else {
        return help(console, UNEXPECTED_ERROR);
    };
    match line.value('z').filter(|_| line.has('c')) {
        Some(zxid) => chopped(&file, zxid, settings, console),
        None => dumped(&line, &file, settings, console),
    }
}

fn help(console: &mut Console<'_>, code: u8) -> Result<(), End> {
    console.out.write_all(HELP.as_bytes())?;
    Err(End::Exit(code))
}

fn chopped(file: &str, zxid: &str, settings: &Settings, console: &mut Console<'_>) -> Result<(), End> {
    refuse_missing(file)?;
    let zxid = java_number::decode(zxid).ok_or_else(|| Thrown::no_number(zxid))?;
    if zxid < 0 {
        // Java takes this for a request to dump, having opened nothing.
        const HEADER: &str = "org.apache.jute.InputArchive.startRecord(String)";
        return Err(Thrown::null_pointer(format!("Cannot invoke \"{HEADER}\" because \"a_\" is null")).into());
    }
    chop::run(file, zxid, settings, console)
}

fn dumped(line: &Line, file: &str, settings: &Settings, console: &mut Console<'_>) -> Result<(), End> {
    refuse_missing(file)?;
    let fixed = format!("{file}.fixed");
    if line.has('r') && Path::new(&fixed).exists() {
        let complaint = format!("Recovery file {fixed} already exists or not writable");
        return Err(End::Complaint(UNEXPECTED_ERROR, complaint));
    }
    let reader = LogReader::new(open(file)?, settings.limits);
    let is_recovery = line.has('r');
    let begin = || Recovery::begin(fixed, settings.ahead_bytes);
    let recovery = if is_recovery { Some(begin()?) } else { None };
    Dump::new(reader, recovery, line.has('v'), line.has('y')).run(file, console)
}

fn refuse_missing(file: &str) -> Result<(), End> {
    match File::open(file) {
        Ok(_) => Ok(()),
        Err(_) => {
            Err(End::Complaint(UNEXPECTED_ERROR, format!("File doesn't exist or not readable: {file}")))
        }
    }
}
