//! What was found, for people and for programs.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use zabd_storage::disk::Change;
use zabd_storage::recovery::RecoveryError;

use super::files::{Condition, File};
use super::start::Start;
use super::{Examination, Verdict, counted};

impl Verdict {
    fn text(self) -> &'static str {
        match self {
            Verdict::Sound => "sound",
            Verdict::NeedsAttention => "needs attention",
            Verdict::Unusable => "cannot be used as it is",
        }
    }
}

/// Of what the verdict of a damaged member depends on.
const LEFT_TO_PEERS: &str = ": a start goes through, repaired by its peers, if these are a quorum without it";

impl Examination {
    /// For people.
    pub fn text(&self) -> String {
        let mut out = String::new();
        put_files(&self.files, &mut out);
        put_readers(self, &mut out);
        let who = if self.is_member { "a start, as a member whose peers are no quorum" } else { "a start" };
        self.put_start(who, &self.start, &mut out);
        if let Some(start) = &self.with_peers {
            let who = "a start, as a member whose peers are a quorum";
            self.put_start(who, start, &mut out);
        }
        self.put_plan(&mut out);
        let condition = if self.is_left_to_peers() { LEFT_TO_PEERS } else { "" };
        put(&mut out, format_args!("\n{}{condition}\n", self.verdict().text()));
        out
    }

    fn put_plan(&self, out: &mut String) {
        if self.with_peers.is_some() {
            out.push_str(
                "\nrepair\n  its peers repair a member; if there are none any more, `--alone` tells what can be done without them\n",
            );
        } else if let Some(error) = &self.plan.in_vain {
            put(out, format_args!("\nrepair\n  nothing can be done here: {}\n", self.words(error)));
        } else if !self.plan.steps.is_empty() {
            out.push_str("\nrepair\n");
            for step in &self.plan.steps {
                put(out, format_args!("  {step}\n"));
            }
        }
    }

    fn put_start(&self, who: &str, start: &Result<Start, RecoveryError>, out: &mut String) {
        let named_logs = self.named_logs.as_deref();
        put(out, format_args!("\n{who}\n"));
        let start = match start {
            Ok(start) => start,
            Err(error) => {
                put(out, format_args!("  ends: {}\n", self.words(error)));
                if matches!(error, RecoveryError::LogsGone { .. }) && named_logs.is_none() {
                    put(
                        out,
                        format_args!(
                            "  was asked about this directory alone: if the logs are in another, {LOG_DIR_HERE}\n"
                        ),
                    );
                }
                return;
            }
        };
        for problem in &start.passed_over {
            put(out, format_args!("  passes over {problem}\n"));
        }
        match &start.snapshot {
            Some(path) => put(out, format_args!("  reads {}\n", path.display())),
            None => out.push_str("  begins with nothing\n"),
        }
        match named_logs {
            Some(logs) if start.lacks_logs => put(
                out,
                format_args!(
                    "  finds snapshots, and no log in {}, where zoo.cfg has them: if they are elsewhere, `dataLogDir` must name that directory\n",
                    logs.display()
                ),
            ),
            None if start.lacks_logs => {
                put(
                    out,
                    format_args!("  finds snapshots and no log: is there a dataLogDir? {LOG_DIR_HERE}\n"),
                );
            }
            _ => (),
        }
        let Start { replayed, last_zxid, znodes, sessions, .. } = start;
        let replayed = counted(*replayed, "transaction", "transactions");
        put(out, format_args!("  replays {replayed}, up to zxid {last_zxid}\n"));
        let znodes = counted(*znodes as u64, "znode", "znodes");
        let sessions = counted(*sessions as u64, "session", "sessions");
        put(out, format_args!("  has {znodes} and {sessions}\n"));
        for (session, count) in &start.ephemerals {
            let count = counted(*count as u64, "ephemeral", "ephemerals");
            put(out, format_args!("  session {session} has {count}\n"));
        }
        if !start.dead.is_empty() {
            put(
                out,
                format_args!("  removes ephemerals of sessions that are gone: {}\n", start.dead.join(" ")),
            );
        }
        if start.digest_mismatches > 0 {
            put(out, format_args!("  finds digests that do not match: {}\n", start.digest_mismatches));
        }
        for change in &start.changes {
            put(out, format_args!("  {}\n", change_text(change)));
        }
        if let Some(cut) = start.cut.as_ref().filter(|cut| cut.whole_records > 0) {
            put(
                out,
                format_args!(
                    "  cuts off {} behind one that a crash left incomplete; if this machine has not crashed, its disk is damaged\n",
                    counted(cut.whole_records as u64, "whole record", "whole records")
                ),
            );
        }
        if start.has_no_vote {
            out.push_str("  has no vote until a leader has given it its state\n");
        } else if start.writes_snapshot {
            out.push_str("  writes a snapshot\n");
        }
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let readers: Vec<Value> = self
            .formats
            .readers()
            .into_iter()
            .map(|reader| {
                json!({
                    "version": reader.version,
                    "reads": (!self.formats.are_unknown()).then_some(reader.refuses.is_empty()),
                    "refuses": reader.refuses, "needs": reader.needs,
                })
            })
            .collect();
        let steps: Vec<Value> = self
            .plan
            .steps
            .iter()
            .map(|step| {
                let given_up = step.gives_up();
                json!({
                    "step": step.to_string(),
                    "gives_up_behind": given_up.map(|it| it.after.0),
                    "whole_records": given_up.map(|it| it.behind.whole_records),
                    "last_whole_zxid": given_up.and_then(|it| it.behind.last).map(|zxid| zxid.0),
                })
            })
            .collect();
        json!({
            "verdict": self.verdict().text(),
            "repaired_by_peers": self.is_left_to_peers(),
            "exit_code": self.verdict() as u8,
            "is_member": self.is_member,
            "files": self.files.iter().map(file_json).collect::<Vec<_>>(),
            "java": readers,
            "start": self.start_json(&self.start),
            "start_with_peers": self.with_peers.as_ref().map(|start| self.start_json(start)),
            "repair": {"steps": steps, "in_vain": self.plan.in_vain.as_ref().map(|error| self.words(error))},
        })
    }

    fn start_json(&self, start: &Result<Start, RecoveryError>) -> Value {
        let start = match start {
            Ok(start) => start,
            Err(error) => return json!({"ends": self.words(error), "is_damage": error.is_damage()}),
        };
        let ephemerals: Vec<Value> = start
            .ephemerals
            .iter()
            .map(|(session, count)| json!({"session": session.to_string(), "ephemerals": count}))
            .collect();
        json!({
            "snapshot": start.snapshot, "passed_over": start.passed_over, "replayed": start.replayed,
            "last_zxid": start.last_zxid.0, "znodes": start.znodes, "sessions": start.sessions, "ephemerals": ephemerals,
            "removed_ephemerals": start.dead, "digest_mismatches": start.digest_mismatches,
            "changes": start.changes.iter().map(change_text).collect::<Vec<_>>(),
            "lacks_logs": start.lacks_logs, "writes_snapshot": start.writes_snapshot, "has_no_vote": start.has_no_vote,
        })
    }
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a string cannot fail");
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn put_files(files: &[File], out: &mut String) {
    let mut dir = None;
    let width = files.iter().map(|file| name(&file.path).len()).max().unwrap_or(0);
    for file in files {
        if dir != file.path.parent() {
            dir = file.path.parent();
            put(out, format_args!("{}\n", dir.unwrap_or(Path::new("")).display()));
        }
        let condition = match &file.condition {
            Condition::Sound => String::new(),
            Condition::Torn(0) => "; empty, as a crash leaves a new log".to_owned(),
            Condition::Torn(offset) => format!("; torn at offset {offset}, as a crash leaves a log"),
            Condition::Damaged(why) => format!("; DAMAGED: {why}"),
            Condition::Forbidden => "; this user may not read it".to_owned(),
        };
        let text = format!("{}{condition}", file.about);
        put(out, format_args!("  {:width$}  {}\n", name(&file.path), text.trim_start_matches("; ")));
    }
    if files.is_empty() {
        out.push_str("no files of a server; dataDir is the directory that has version-2 in it\n");
    }
}

fn put_readers(examination: &Examination, out: &mut String) {
    out.push_str("\nread by zabd and Java\n");
    for reader in examination.formats.readers() {
        let version = reader.version;
        if examination.formats.are_unknown() {
            put(out, format_args!("  {version}  not known: this user may not read every file\n"));
            continue;
        }
        match (&reader.refuses[..], &reader.needs[..]) {
            ([], []) => put(out, format_args!("  {version}  yes\n")),
            ([], needs) => put(out, format_args!("  {version}  yes, with {}\n", needs.join(", "))),
            (refuses, _) => put(out, format_args!("  {version}  no: {}\n", refuses.join(", "))),
        }
    }
}

/// How the doctor of a directory is told where its logs are.
const LOG_DIR_HERE: &str = "`--log-dir DIR` names it, and so does a zoo.cfg instead of the directory";

fn change_text(change: &Change) -> String {
    match change {
        Change::NewDirectory(path) => format!("makes the directory {}", path.display()),
        Change::Written(path) => format!("writes {}", path.display()),
        Change::Cut { path, length } => format!("cuts {} at offset {length}", path.display()),
        Change::Moved { from, to } => format!("moves {} to {}", from.display(), to.display()),
        Change::Removed(path) => format!("removes {}", path.display()),
    }
}

fn file_json(file: &File) -> Value {
    let (condition, offset, why) = match &file.condition {
        Condition::Sound => ("sound", None, None),
        Condition::Torn(offset) => ("torn", Some(*offset), None),
        Condition::Damaged(why) => ("damaged", None, Some(why)),
        Condition::Forbidden => ("forbidden", None, None),
    };
    json!({
        "path": file.path, "kind": file.kind, "condition": condition, "offset": offset, "why": why, "about": file.about,
        "first_zxid": file.zxids.map(|zxids| zxids.0.0), "last_zxid": file.zxids.map(|zxids| zxids.1.0),
        "needs_attention": file.needs_attention,
    })
}
