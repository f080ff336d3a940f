//! The audit log's way out: one log line per event, under the name of Java's logger, failures as errors.

use std::sync::OnceLock;

use zabd_replica::audit::{AuditEvent, Outcome};

/// Java's logger; operators route its lines by this name.
pub const LOGGER: &str = "org.apache.zookeeper.audit.Slf4jAuditLogger";

/// Writes one event.
pub fn tell(event: &AuditEvent) {
    static SERVER_USER: OnceLock<String> = OnceLock::new();
    let line = event.line(SERVER_USER.get_or_init(user_name));
    match event.outcome {
        Outcome::Failure => tracing::error!(target: LOGGER, "{line}"),
        Outcome::Success | Outcome::Invoked => tracing::info!(target: LOGGER, "{line}"),
    }
}

/// Whom the process runs as, by name or else by number.
pub fn user_name() -> String {
    let id = rustix::process::getuid().as_raw().to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id).then(|| name.to_owned())
    });
    name.unwrap_or(id)
}
