//! Quantiles of the last ten minutes, as Prometheus' Java library has them, of figures that are counted since the start.
//!
//! How samples spread is kept as a table of counts that only grow. Every two minutes the tables are noted; what a table has now,
//! less what it had when it was noted last but four, is what came in the last eight to ten minutes. Whoever counts knows nothing
//! of it, and nothing of it is done unless Prometheus' provider is configured.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use parking_lot::Mutex;
use zabd_replica::percentiles::Percentiles;

use super::families::{Family, Value};

/// The library's `maxAgeSeconds` and `ageBuckets`.
const NOTES: usize = 5;
/// How often tables are noted.
pub const INTERVAL: Duration = Duration::from_secs(600 / NOTES as u64);

/// Of a family, and the key of a set; empty, if it is none.
type Name = (&'static str, String);

/// See the module's description.
#[derive(Debug, Default)]
pub struct Windows {
    /// The oldest first.
    notes: Mutex<VecDeque<HashMap<Name, Percentiles>>>,
}

impl Windows {
    /// Notes the tables as they are; due every [`INTERVAL`].
    pub fn note(&self, families: Vec<Family>) {
        let tables = families.into_iter().flat_map(|Family { name, value, .. }| {
            let list = match value {
                Value::Basic(spread) | Value::Advanced(spread) => vec![(String::new(), spread)],
                Value::Basics(list) | Value::Advanceds(list) => list,
                _ => Vec::new(),
            };
            list.into_iter().map(move |(key, spread)| ((name, key), spread))
        });
        let note = tables.collect();
        let mut notes = self.notes.lock();
        if notes.len() == NOTES {
            notes.pop_front();
        }
        notes.push_back(note);
    }

    /// The value that so many thousandths of the samples of the window do not exceed; `None` if there are none.
    pub fn permille(&self, name: &'static str, key: &str, now: &Percentiles, share: u64) -> Option<u64> {
        let notes = self.notes.lock();
        let before =
            notes.front().filter(|_| notes.len() == NOTES).and_then(|note| note.get(&(name, key.to_owned())));
        now.permille_since(before.unwrap_or(&Percentiles::default()), share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_ten_minutes_does_not_count() {
        let windows = Windows::default();
        let mut spread = Percentiles::default();
        let median = |spread: &Percentiles| windows.permille("f", "", spread, 500);
        let note = |spread: &Percentiles| windows.note(vec![Family::new("f", Value::Basic(spread.clone()))]);
        assert_eq!(median(&spread), None);
        spread.add_many(1000, 100);
        for _ in 0..4 {
            note(&spread);
            assert_eq!(median(&spread).map(|median| median / 10), Some(100), "all since the start");
        }
        note(&spread);
        assert_eq!(median(&spread), None, "they came before the first of five notes");
        spread.add(7);
        assert_eq!(median(&spread), Some(7));
        for _ in 0..5 {
            assert_eq!(median(&spread), Some(7));
            note(&spread);
        }
        assert_eq!(median(&spread), None);
    }
}
