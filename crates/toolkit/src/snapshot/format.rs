//! `zkSnapShotToolkit.sh [-d|-json] FILE`: every znode with its stat, every session, the last transaction.

use std::collections::HashMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::INVALID_INVOCATION;
use super::image::{Image, Znode, read};
use super::json;
use crate::console::{Console, End, file_name, java_path};
use crate::dates::Dates;
use crate::tool::Settings;

const USAGE: &str = "\
USAGE: SnapshotFormatter [-d|-json] snapshot_file
       -d dump the data for each znode
       -json dump znode info in json format";

/// Runs the tool.
pub(crate) fn run(words: &[String], settings: &Settings, console: &mut Console<'_>) -> Result<(), End> {
    let refused = |text: String| Err(End::Complaint(INVALID_INVOCATION, text));
    let options = words.iter().take_while(|word| matches!(&word[..], "-d" | "-json")).count();
    let (options, files) = words.split_at(options);
    let [file] = files else { return refused(USAGE.to_owned()) };
    if let Some(mistake) = mistake(file) {
        return refused(mistake);
    }
    let has = |option: &str| options.iter().any(|word| word == option);
    if has("-d") && has("-json") {
        return refused("Cannot specify both data dump (-d) and json mode (-json) in same call".to_owned());
    }
    let content = read(&java_path(file))?;
    let image = Image::of(&content, settings)?;
    if has("-json") { json::print(&image, console.out) } else { print(&image, has("-d"), file, console) }
}

/// Why this is no file to read: Java's `ZKUtil.validateFileInput`.
fn mistake(file: &str) -> Option<String> {
    let absolute = || {
        let dir = std::env::current_dir().unwrap_or_default();
        java_path(&dir.join(java_path(file)).to_string_lossy())
    };
    let path = Path::new(file);
    if !path.exists() {
        Some(format!("File '{}' does not exist.", absolute()))
    } else if std::fs::File::open(path).is_err() {
        Some(format!("Read permission is denied on the file '{}'", absolute()))
    } else if path.is_dir() {
        Some(format!("'{}' is a directory. it must be a file.", absolute()))
    } else {
        None
    }
}

fn print(image: &Image<'_>, with_data: bool, file: &str, console: &mut Console<'_>) -> Result<(), End> {
    let out = &mut *console.out;
    writeln!(out, "ZNode Details (count={}):", image.count())?;
    let mut dates = Dates::of_snapshots();
    let mut last = zxid_of_name(file_name(file));
    let mut text = String::new();
    for place in image.root.into_iter().flat_map(|root| image.walk(root)) {
        let znode = image.znode(place);
        text.clear();
        put(znode, with_data, &mut dates, &mut text);
        out.write_all(text.as_bytes())?;
        last = last.max(znode.stat.mzxid.0).max(znode.stat.pzxid.0);
    }
    writeln!(out, "----")?;
    writeln!(out, "Session Details (sid, timeout, ephemeralCount):")?;
    let ephemerals = ephemerals(image);
    for (session, timeout_ms) in &image.sessions {
        let count = ephemerals.get(session).copied().unwrap_or(0);
        writeln!(out, "{session:#016x}, {timeout_ms}, {count}")?;
    }
    writeln!(out, "----\nLast zxid: {last:#x}")?;
    Ok(())
}

fn put(znode: &Znode<'_>, with_data: bool, dates: &mut Dates, out: &mut String) {
    use std::fmt::Write as _;
    let Znode { path, data, stat, .. } = znode;
    let path = if path.is_empty() { "/" } else { path };
    let ctime = dates.text(stat.ctime_ms).to_owned();
    let mtime = dates.text(stat.mtime_ms);
    let written = write!(
        out,
        "----\n{path}\n  cZxid = {:#016x}\n  ctime = {ctime}\n  mZxid = {:#016x}\n  mtime = {mtime}\n  pZxid = {:#016x}\n  \
         cversion = {}\n  dataVersion = {}\n  aclVersion = {}\n  ephemeralOwner = {:#016x}\n",
        stat.czxid.0,
        stat.mzxid.0,
        stat.pzxid.0,
        stat.cversion,
        stat.version,
        stat.aversion,
        stat.ephemeral_owner
    );
    written.expect("writing to a string cannot fail");
    if with_data {
        out.push_str("  data = ");
        STANDARD.encode_string(data.as_deref().unwrap_or_default(), out);
        out.push('\n');
    } else {
        writeln!(out, "  dataLength = {}", znode.length()).expect("writing to a string cannot fail");
    }
}

/// How many znodes each session owns.
fn ephemerals(image: &Image<'_>) -> HashMap<i64, usize> {
    let mut count = HashMap::new();
    for znode in image.znodes.iter().filter(|znode| znode.path.contains('/')) {
        *count.entry(znode.stat.ephemeral_owner).or_default() += 1;
    }
    count
}

/// Java's `Util.getZxidFromName`; −1 if there is none.
fn zxid_of_name(name: &str) -> i64 {
    let mut parts = name.split('.');
    let zxid = (parts.next() == Some("snapshot")).then(|| parts.next()).flatten();
    zxid.and_then(|zxid| i64::from_str_radix(zxid, 16).ok()).unwrap_or(-1)
}
