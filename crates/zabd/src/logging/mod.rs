//! Log lines: in the pattern that Java's logback configuration prints, or as JSON.
//!
//! ```text
//! 2026-11-24 13:17:40,279 [myid:] - INFO  [SyncThread:0:c.z.LogWriter@42] - message
//! ```
//!
//! What other programs choose (names in certificates, words on a port) is in many of them. So whatever could end a line or
//! command a terminal is escaped where the line is made, and a line of the log is always one event.
//!
//! How long it is has a bound, too ([`LINE_BYTES_MAX`]), behind the one that [`crate::cut`] has for each such text.
//!
//! They go to standard output. Whoever closes it or does not read it must not stop the server, and neither may
//! clients who cause many lines: a thread of its own writes them ([`lines`]), and what it does not get rid of is dropped and counted.
//! Lines of the audit log are not: clients wait for them ([`hold`]).

pub mod hold;
mod lines;

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde_json::Value;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::registry::LookupSpan;
use zabd_config::{LogConfig, LogFormat};

use crate::admin::log_date;
use crate::driver::wall_ms;

use self::hold::AuditLog;
use self::lines::{Bounds, Lane, Line, Lines};
use crate::memory::at_most;

/// How many bytes of lines may wait to be written.
const WAITING_BYTES_MAX: usize = 4 << 20;
/// The same of the audit log, when its clients are not held any more.
const AUDIT_BYTES_MAX: usize = 32 << 20;
/// How many bytes of the audit log wait before clients are held.
const AUDIT_BYTES_MARK: usize = 2 << 20;
/// How long a line is at most, in bytes; those of the audit log have bounds where they are made.
pub const LINE_BYTES_MAX: usize = 16 << 10;
/// How much stays of a text that is longer than that, where it is known which one.
const TEXT_BYTES_MAX: usize = 4 << 10;

/// The log of this process, since it has one standard output.
static LOG: OnceLock<Log> = OnceLock::new();

#[derive(Debug)]
struct Log {
    lines: Arc<Lines>,
    audit: Option<AuditLog>,
}

/// Lines that wait are written when this goes.
#[must_use = "lines that wait are lost without it"]
#[derive(Debug)]
pub struct LogGuard(());

impl Drop for LogGuard {
    fn drop(&mut self) {
        if let Some(log) = LOG.get() {
            log.lines.flush();
        }
    }
}

/// The audit log, if there is one: who asks for a change waits for it.
pub fn audit_log() -> Option<&'static AuditLog> {
    LOG.get()?.audit.as_ref()
}

/// How many lines of the log and of the audit log were lost.
pub fn lost_lines() -> [u64; 2] {
    LOG.get().map_or([0; 2], |log| [Lane::Ordinary, Lane::Audit].map(|lane| log.lines.lost(lane)))
}

/// Begins to log; called once, when it is known how much memory there is.
pub fn begin(config: LogConfig, myid: Option<i64>, is_audited: bool) -> LogGuard {
    // Whoever switched the audit log on wants its lines, however quiet the rest is.
    let directives = format!("{},{}=info", config.level.as_str().to_lowercase(), crate::audit::LOGGER);
    let filter = EnvFilter::new(directives);
    let lines = Arc::new(Lines::new(Bounds {
        ordinary: at_most(WAITING_BYTES_MAX),
        audit: at_most(AUDIT_BYTES_MAX),
    }));
    let audit = is_audited.then(|| AuditLog::new(lines.clone(), at_most(AUDIT_BYTES_MARK)));
    LOG.set(Log { lines: lines.clone(), audit }).expect("the log begins once");
    let writing = lines.clone();
    let write = move || {
        writing.write_to(std::io::stdout(), tell_lost, || audit_log().into_iter().for_each(AuditLog::let_on));
    };
    if let Err(error) = std::thread::Builder::new().name("Log".to_owned()).spawn(write) {
        eprintln!("There is no log, since there is no thread for it: {error}");
    }
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Output(lines));
    match config.format {
        LogFormat::Json => {
            builder
                .json()
                .with_thread_names(true)
                .map_event_format(|json| NumberedJson { json, myid })
                .init();
        }
        LogFormat::Java => builder.event_format(JavaPattern { myid }).init(),
    }
    LogGuard(())
}

fn tell_lost(lane: Lane, lost: u64) {
    match lane {
        Lane::Ordinary => tracing::warn!("{lost} lines of the log were lost: they were not read in time"),
        Lane::Audit => {
            tracing::warn!("{lost} lines of the audit log were lost: nobody has read them for too long");
        }
    }
}

/// Where lines wait for standard output.
struct Output(Arc<Lines>);

impl<'w> MakeWriter<'w> for Output {
    type Writer = Line<'w>;

    fn make_writer(&'w self) -> Line<'w> {
        Line { lines: &self.0, lane: Lane::Ordinary }
    }

    fn make_writer_for(&'w self, metadata: &Metadata<'_>) -> Line<'w> {
        let lane = if is_audit(metadata) { Lane::Audit } else { Lane::Ordinary };
        Line { lines: &self.0, lane }
    }
}

fn is_audit(metadata: &Metadata<'_>) -> bool {
    metadata.target() == crate::audit::LOGGER
}

/// A member's lines begin with its number, for a reader of the lines of all.
struct NumberedJson<F> {
    json: F,
    myid: Option<i64>,
}

impl<S, N, F> FormatEvent<S, N> for NumberedJson<F>
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    N: for<'w> FormatFields<'w> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.json.format_event(context, Writer::new(&mut line), event)?;
        if line.len() > LINE_BYTES_MAX && !is_audit(event.metadata()) {
            line = shortened(&line);
        }
        let Some(myid) = self.myid else { return writer.write_str(&line) };
        let fields = line.strip_prefix('{').expect("a JSON line is an object");
        write!(writer, "{{\"myid\":{myid},{fields}")
    }
}

/// A line of JSON whose long texts are cut.
fn shortened(line: &str) -> String {
    fn cut(value: &mut Value) {
        match value {
            Value::String(text) if text.len() > TEXT_BYTES_MAX => {
                let all = text.len();
                let begin = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
                *text = format!("{begin}... ({} bytes more)", all - begin.len());
            }
            Value::Object(fields) => fields.values_mut().for_each(cut),
            Value::Array(items) => items.iter_mut().for_each(cut),
            _ => (),
        }
    }
    let mut value = serde_json::from_str(line).unwrap_or_default();
    cut(&mut value);
    format!("{value}\n")
}

struct JavaPattern {
    myid: Option<i64>,
}

impl<S, N> FormatEvent<S, N> for JavaPattern
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let thread = std::thread::current();
        let place = metadata.target().rsplit([':', '.']).next().unwrap_or_default();
        write!(writer, "{} [myid:", log_date(wall_ms()))?;
        if let Some(myid) = self.myid {
            write!(writer, "{myid}")?;
        }
        write!(
            writer,
            "] - {:<5} [{}:{place}@{}] - ",
            metadata.level().as_str(),
            thread.name().unwrap_or("?"),
            metadata.line().unwrap_or(0)
        )?;
        let left = if is_audit(metadata) { usize::MAX } else { LINE_BYTES_MAX };
        let mut line = OneLine { out: &mut writer, left, cut: 0 };
        context.field_format().format_fields(Writer::new(&mut line), event)?;
        match line.cut {
            0 => writeln!(writer),
            cut => writeln!(writer, "... ({cut} bytes more)"),
        }
    }
}

/// Escapes what is no part of a line. Tabs are, since they part the fields of the audit log.
struct OneLine<'w, W> {
    out: &'w mut W,
    /// How many bytes have a place in it.
    left: usize,
    /// How many had none.
    cut: usize,
}

impl<W: fmt::Write> fmt::Write for OneLine<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for piece in text.split_inclusive(ends_or_commands) {
            match piece.chars().next_back().filter(|last| ends_or_commands(*last)) {
                None => self.put(piece)?,
                Some(last) => {
                    self.put(&piece[..piece.len() - last.len_utf8()])?;
                    match last {
                        '\n' => self.put("\\n")?,
                        '\r' => self.put("\\r")?,
                        _ => self.put(&format!("\\u{:04x}", last as u32))?,
                    }
                }
            }
        }
        Ok(())
    }
}

impl<W: fmt::Write> OneLine<'_, W> {
    fn put(&mut self, text: &str) -> fmt::Result {
        let length = if self.cut > 0 { 0 } else { text.floor_char_boundary(self.left) };
        self.left -= length;
        self.cut += text.len() - length;
        self.out.write_str(&text[..length])
    }
}

fn ends_or_commands(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}') || c.is_control() && c != '\t'
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The subject of a certificate is chosen by whoever asks for it to be signed.
    #[test]
    fn what_others_say_makes_no_lines_of_its_own() {
        let kept = Kept::default();
        let writer = kept.clone();
        let lines = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .event_format(JavaPattern { myid: None })
            .finish();
        tracing::subscriber::with_default(lines, || {
            let subject = "CN=x\n2026-01-01 00:00:00,000 [myid:] - INFO  [main:c.z.Server@1] - all is well\r\u{1b}[2J\u{85}\u{2028}é";
            tracing::warn!("the certificate of {subject}\twas refused");
            tracing::error!(subject, "as a field");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<_> = text.split('\n').collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].ends_with("\\u2028é\twas refused"), "{text}");
        assert!(lines[0].contains("- the certificate of CN=x\\n2026-"), "{text}");
        assert!(!text.contains(['\r', '\u{1b}', '\u{85}', '\u{2028}']), "{text}");
    }

    /// Whatever is told, and whoever has chosen it.
    #[test]
    fn a_line_has_an_end() {
        let (kept, json) = (Kept::default(), Kept::default());
        let writers = (kept.clone(), json.clone());
        let told = "é\x01".repeat(1 << 20);
        let java = tracing_subscriber::fmt()
            .with_writer(move || writers.0.clone())
            .event_format(JavaPattern { myid: None })
            .finish();
        tracing::subscriber::with_default(java, || tracing::warn!("{told}"));
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert!(text.len() < LINE_BYTES_MAX + 200 && text.ends_with(" bytes more)\n"), "{}", text.len());
        let lines = tracing_subscriber::fmt()
            .with_writer(move || writers.1.clone())
            .json()
            .map_event_format(|json| NumberedJson { json, myid: Some(7) })
            .finish();
        tracing::subscriber::with_default(lines, || tracing::warn!("{told}"));
        let text = String::from_utf8(json.0.lock().unwrap().clone()).unwrap();
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["myid"], 7);
        let message = line["fields"]["message"].as_str().unwrap();
        assert!(
            message.len() < TEXT_BYTES_MAX + 50 && message.ends_with(" bytes more)"),
            "{}",
            message.len()
        );
    }
}
