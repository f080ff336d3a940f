//! `mntr`: every figure, one per line, for monitoring tools, in the shape of the metrics provider that is configured.
//!
//! Java's default provider spells a summary out (`avg_`, `min_`, `max_`, `cnt_`, `sum_`, and percentiles), Prometheus' names its
//! samples, the null one has none.

use std::fmt::Write as _;

use zabd_config::MetricsProvider;
use zabd_replica::percentiles::Percentiles;
use zabd_replica::traffic::{Samples, Traffic};

use super::clients::shown_average;
use super::exposition;
use super::families::{Fact, Family, Number, Seen, Value};
use super::java_number::double;
use crate::introspect::Introspection;
use crate::net::LONG_REPLY_BYTES;

/// How long the text is, about, without what clients have a part in.
const OWN_BYTES: usize = 24 << 10;

/// So many lines there are for a namespace, or fewer, and so long they are beside its name.
const NAMESPACE_LINES: usize = 5;

/// See [`NAMESPACE_LINES`].
const LINE_BYTES: usize = 40;

/// The same for a path with limits, of which it is not looked how long its name is.
const QUOTA_BYTES: usize = 1 << 10;

/// Whether the text may be longer than replies that need no place: the names of namespaces stand in it.
pub(super) fn may_be_long(server: &Introspection) -> bool {
    let of = |traffic: &Traffic| -> usize {
        traffic.iter().map(|(name, _)| NAMESPACE_LINES * (LINE_BYTES + name.len())).sum()
    };
    let served = of(&server.counters.reads_by_namespace.lock());
    let in_pipeline = server.driver.inspect(|replica| of(replica.reads()) + of(replica.writes()));
    let quotas = QUOTA_BYTES * server.driver.tree().quota_count();
    OWN_BYTES + served + in_pipeline + quotas > LONG_REPLY_BYTES
}

/// A word with its lines.
pub(super) fn mntr(server: &Introspection) -> String {
    let mut text = String::new();
    let seen = Seen::now(server);
    for (name, fact) in seen.facts() {
        let _ = match fact {
            Fact::Text(words) => writeln!(text, "zk_{name}\t{words}"),
            Fact::Number(number) => writeln!(text, "zk_{name}\t{number}"),
        };
    }
    for (name, number) in figures(server, &seen) {
        let _ = match number {
            Number::Whole(number) => writeln!(text, "zk_{name}\t{number}"),
            Number::Real(number) => writeln!(text, "zk_{name}\t{}", double(number)),
        };
    }
    text
}

/// Every figure by its name there.
pub(super) fn figures(server: &Introspection, seen: &Seen<'_>) -> Vec<(String, Number)> {
    let mut list = List::default();
    match server.config.metrics.provider {
        MetricsProvider::Null => (),
        MetricsProvider::Default => {
            for family in seen.families() {
                list.add(family);
            }
        }
        MetricsProvider::Prometheus => {
            for family in exposition::families(server, seen) {
                let samples = exposition::samples(&family, &server.windows);
                list.0.extend(samples.iter().map(|sample| (sample.key(), Number::Real(sample.value))));
            }
        }
    }
    list.0
}

/// What Java's default provider makes of families.
#[derive(Default)]
struct List(Vec<(String, Number)>);

impl List {
    fn add(&mut self, Family { name, value, .. }: Family) {
        match value {
            Value::Gauge(number) => self.push(name.to_owned(), number),
            Value::Counter(count) => self.push(name.to_owned(), Number::Whole(count as i64)),
            Value::Basic(spread) => self.add_summary(name, spread.summary()),
            Value::Advanced(spread) => self.add_percentiles(name, &spread),
            Value::Gauges(list) => {
                for (key, number) in list {
                    self.push(format!("{key}_{name}"), number);
                }
            }
            Value::Counters(list) => {
                for (key, count) in list {
                    self.push(format!("{key}_{name}"), Number::Whole(count as i64));
                }
            }
            Value::Basics(list) => {
                for (key, spread) in list {
                    self.add_summary(&format!("{key}_{name}"), spread.summary());
                }
            }
            Value::Advanceds(list) => {
                for (key, spread) in list {
                    self.add_percentiles(&format!("{key}_{name}"), &spread);
                }
            }
            Value::Sums(list) => {
                for (key, samples) in list {
                    self.add_summary(&format!("{key}_{name}"), &samples);
                }
            }
            // Only Prometheus is told about the process.
            Value::Plain(..) | Value::Labelled(..) | Value::Amount(_) => (),
        }
    }

    fn push(&mut self, name: String, number: Number) {
        self.0.push((name, number));
    }

    fn add_summary(&mut self, name: &str, summary: &Samples) {
        self.push(format!("avg_{name}"), Number::Real(shown_average(summary)));
        for (part, value) in
            [("min", summary.min), ("max", summary.max), ("cnt", summary.count), ("sum", summary.sum)]
        {
            self.push(format!("{part}_{name}"), Number::Whole(value as i64));
        }
    }

    fn add_percentiles(&mut self, name: &str, spread: &Percentiles) {
        self.add_summary(name, spread.summary());
        for (percentile, permille) in [("p50", 500), ("p95", 950), ("p99", 990), ("p999", 999)] {
            self.push(format!("{percentile}_{name}"), Number::Whole(spread.permille(permille) as i64));
        }
    }
}
