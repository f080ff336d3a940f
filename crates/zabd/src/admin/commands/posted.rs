//! Commands that come by POST with what they are to do, in JSON: how that is read, and refused.

use http::StatusCode;
use serde_json::Value;

use super::{Reply, field};

const UNREADABLE: &str = "Invalid JSON or failed to read request body";

/// A field of what came, or Java's words for why there is none.
pub(super) fn required(body: &[u8], name: &str) -> Result<Value, String> {
    let missing = || format!("Missing required field: {name}");
    if body.is_empty() {
        return Err(missing());
    }
    let mut said: Value = serde_json::from_slice(body).map_err(|error| format!("{UNREADABLE}: {error}"))?;
    said.get_mut(name).map(Value::take).ok_or_else(missing)
}

/// What is answered if it has not come.
pub fn unreadable(status: StatusCode, why: &str) -> Reply {
    let told = format!("what is to be done cannot be read: {why}");
    Reply { why: Some(told), ..refused(status, &format!("{UNREADABLE}: {why}")) }
}

/// What is answered if it is not done.
pub(super) fn refused(status: StatusCode, error: &str) -> Reply {
    Reply { fields: vec![field("error", error)], ..Reply::status(status) }
}
