//! Log lines: in the pattern that Java's logback configuration prints, or as JSON.
//!
//! ```text
//! 2026-11-24 13:17:40,279 [myid:] - INFO  [SyncThread:0:c.z.LogWriter@42] - message
//! ```
//!
//! What other programs choose (names in certificates, words on a port) is in many of them. So whatever could end a line or
//! command a terminal is escaped where the line is made, and a line of the log is always one event.
//!
//! They go to standard output. Whoever closes it or does not read it must not stop the server, and neither may
//! clients who cause many lines: a thread of its own writes them, errors of writing are ignored, and what it
//! does not get rid of is dropped.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;
use zabd_config::{LogConfig, LogFormat};

use crate::admin::log_date;
use crate::driver::wall_ms;

/// How many lines may wait to be written.
const LINES_MAX: usize = 4096;

/// Begins to log; called once. What waits is written when the guard goes.
#[must_use = "lines that wait are lost without it"]
pub fn begin(config: LogConfig, myid: Option<i64>) -> WorkerGuard {
    // Whoever switched the audit log on wants its lines, however quiet the rest is.
    let directives = format!("{},{}=info", config.level.as_str().to_lowercase(), crate::audit::LOGGER);
    let filter = EnvFilter::new(directives);
    let lines = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(LINES_MAX).thread_name("Log");
    let (writer, guard) = lines.finish(QuietOutput(std::io::stdout()));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
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
    guard
}

/// Standard output, whose errors are nobody's business.
struct QuietOutput(std::io::Stdout);

impl std::io::Write for QuietOutput {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = self.0.write_all(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
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
        let Some(myid) = self.myid else { return self.json.format_event(context, writer, event) };
        let mut line = String::new();
        self.json.format_event(context, Writer::new(&mut line), event)?;
        let fields = line.strip_prefix('{').expect("a JSON line is an object");
        write!(writer, "{{\"myid\":{myid},{fields}")
    }
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
        context.field_format().format_fields(Writer::new(&mut OneLine(&mut writer)), event)?;
        writeln!(writer)
    }
}

/// Escapes what is no part of a line. Tabs are, since they part the fields of the audit log.
struct OneLine<'w, W>(&'w mut W);

impl<W: fmt::Write> fmt::Write for OneLine<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for piece in text.split_inclusive(ends_or_commands) {
            match piece.chars().next_back().filter(|last| ends_or_commands(*last)) {
                None => self.0.write_str(piece)?,
                Some(last) => {
                    self.0.write_str(&piece[..piece.len() - last.len_utf8()])?;
                    match last {
                        '\n' => self.0.write_str("\\n")?,
                        '\r' => self.0.write_str("\\r")?,
                        _ => write!(self.0, "\\u{:04x}", last as u32)?,
                    }
                }
            }
        }
        Ok(())
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
}
