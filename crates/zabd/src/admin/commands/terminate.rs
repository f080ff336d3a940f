//! `terminate_session`: a session is ended by an operator, with its ephemerals, as if its client had been silent. Java's server has that
//! over JMX only (`ConnectionBean.terminateSession`).
//!
//! ```text
//! POST /commands/terminate_session {"session": "0x100001234560000"} ──► {"session": "0x100001234560000", ..}
//! ```
//!
//! The answer comes before the end, which is a transaction like any other. Sessions end where they are looked after: at the
//! leader, wherever their clients are, and those that only one server knows at that server.

use http::StatusCode;
use serde_json::Value;
use zabd_jute::SessionId;
use zabd_replica::{Input, Replica};

use super::posted::{refused, required};
use super::{Call, Reply, field};

/// Ends the session that `body` names.
pub(super) fn terminate(call: &Call<'_>, body: &[u8]) -> Reply {
    let session = match required(body, "session").and_then(|said| session(&said)) {
        Ok(session) => session,
        Err(error) => return refused(StatusCode::BAD_REQUEST, &error),
    };
    let driver = &call.server.driver;
    let is_local = driver.inspect(|replica| replica.is_local_session(session));
    if !is_local && driver.tree().session_timeout_ms(session).is_none() {
        return refused(StatusCode::NOT_FOUND, "There is no such session");
    }
    if !is_local && !driver.inspect(Replica::ends_sessions) {
        let told = "Sessions end at the leader, and only while its log has room: ask `leader` who that is, and it to do this";
        return refused(StatusCode::SERVICE_UNAVAILABLE, told);
    }
    tracing::warn!("Session {session} is ended by an operator");
    driver.feed([Input::EndSession { session }]);
    Reply { fields: vec![field("session", session.to_string())], ..Reply::status(StatusCode::OK) }
}

/// As logs and other commands show it: a number, or its hexadecimal digits in a string.
fn session(said: &Value) -> Result<SessionId, String> {
    let id = match said {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => {
            let digits = text.strip_prefix("0x").unwrap_or(text);
            // Without its sign, which the digits do not have.
            u64::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+')).map(u64::cast_signed)
        }
        _ => None,
    };
    let id = id.map(SessionId).filter(|id| *id != SessionId::NONE);
    id.ok_or_else(|| "A session is a number, or hexadecimal digits like \"0x100001234560000\"".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_written_as_it_is_shown() {
        for (said, id) in [
            (Value::from("0x100001234560000"), 0x0100_0012_3456_0000),
            (Value::from("100001234560000"), 0x0100_0012_3456_0000),
            (Value::from("0xff00001234560000"), 0xff00_0012_3456_0000_u64.cast_signed()),
            (Value::from(72_057_594_037_927_936_i64), 72_057_594_037_927_936),
        ] {
            assert_eq!(session(&said), Ok(SessionId(id)), "{said}");
        }
        for said in [
            Value::Null,
            Value::from(0),
            Value::from(1.5),
            Value::from(""),
            Value::from("0x+1"),
            Value::from("0x1ffffffffffffffff"),
        ] {
            assert!(session(&said).is_err(), "{said}");
        }
    }
}
