//! `shed_connections`: a share of the clients is sent away, to find other servers. Of Java's release 3.10.
//!
//! ```text
//! POST /commands/shed_connections {"percentage": 30} ──► {"connections_shed": 3, "percentage_requested": 30, ..}
//! ```
//!
//! Whom it hits is chance, so that whoever is sent away again and again is nobody in particular. Java decides about each client by
//! itself; here it is the share that was asked for, rounded up, so that a few repetitions of ten per cent empty a server of three
//! clients, too. Connections end at once, and their sessions live on, as when a cable is cut.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use http::StatusCode;
use serde_json::Value;

use super::posted::{refused, required};
use super::{Call, Fields, Reply, field};
use crate::net::Client;

/// Sends as many away as `body` asks for.
pub(super) fn shed(call: &Call<'_>, body: &[u8]) -> Reply {
    let percentage = match percentage(body) {
        Ok(percentage) => percentage,
        Err(error) => return refused(StatusCode::BAD_REQUEST, &error),
    };
    let registry = &call.server.driver.registry;
    let mut clients: Vec<Arc<Client>> = registry.lock().iter().cloned().collect();
    let all = clients.len();
    take_share(&mut clients, percentage, |client| client.id.0);
    let shed = clients.len();
    for client in clients {
        if let Some(client) = client.post_abort() {
            client.wake();
        }
    }
    tracing::info!("Shed {shed} out of {all} connections ({percentage}%)");
    let fields: Fields =
        vec![field("connections_shed", shed as i64), field("percentage_requested", i64::from(percentage))];
    Reply { fields, ..Reply::status(StatusCode::OK) }
}

/// Java's words; numbers may also stand in a string there, and fractions do not count.
fn percentage(body: &[u8]) -> Result<u8, String> {
    let number = match required(body, "percentage")? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let number = number.map(f64::trunc).filter(|number| (0.0..=100.0).contains(number));
    number.map(|number| number as u8).ok_or_else(|| "Percentage must be between 0 and 100".to_owned())
}

/// Leaves so many hundredths, chosen by chance.
fn take_share<T>(all: &mut Vec<T>, percentage: u8, number: impl Fn(&T) -> u64) {
    let chance = RandomState::new();
    all.sort_by_cached_key(|each| chance.hash_one(number(each)));
    all.truncate((all.len() * usize::from(percentage)).div_ceil(100));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_a_number_up_to_a_hundred() {
        for (said, expected) in [
            (r#"{"percentage": 0}"#, 0),
            (r#"{"percentage": 100, "more": []}"#, 100),
            (r#"{"percentage": "50"}"#, 50),
            (r#"{"percentage": 12.9}"#, 12),
        ] {
            assert_eq!(percentage(said.as_bytes()), Ok(expected), "{said}");
        }
        for said in ["", "{}", "[]", "7", r#"{"Percentage": 1}"#] {
            assert_eq!(
                percentage(said.as_bytes()),
                Err("Missing required field: percentage".to_owned()),
                "{said}"
            );
        }
        for said in [-1.0, 101.0, 1e300].map(|number| format!(r#"{{"percentage": {number}}}"#)) {
            assert_eq!(
                percentage(said.as_bytes()),
                Err("Percentage must be between 0 and 100".to_owned()),
                "{said}"
            );
        }
        for said in ["{", "\u{0}", r#"{"percentage": }"#] {
            assert!(percentage(said.as_bytes()).unwrap_err().starts_with("Invalid JSON"), "{said}");
        }
    }

    #[test]
    fn a_share_is_rounded_up_and_chance_says_who() {
        let share = |count: u64, percentage| {
            let mut all: Vec<u64> = (0..count).collect();
            take_share(&mut all, percentage, |number| *number);
            all
        };
        assert_eq!(
            [0, 1, 10, 50, 99, 100].map(|percentage| share(10, percentage).len()),
            [0, 1, 1, 5, 10, 10]
        );
        assert!(share(0, 100).is_empty());
        assert!((0..100).any(|_| share(1000, 1) != share(1000, 1)), "not always the same");
    }
}
