//! The figures as Prometheus reads them: its text format 0.0.4, spelled as Java's provider spells it.
//!
//! ```text
//! # HELP readlatency readlatency
//! # TYPE readlatency summary
//! readlatency{quantile="0.5",} 0.0        0.5, of an advanced one 0.9 and 0.99 too: of the last ten minutes (see `windows`)
//! readlatency_count 12.0                  since the start, whatever `srst` resets
//! readlatency_sum 7.0
//! # HELP quota_count_limit_per_namespace quota_count_limit_per_namespace
//! # TYPE quota_count_limit_per_namespace gauge
//! quota_count_limit_per_namespace{key="a",} 4.0
//! ```
//!
//! That is the format of the Prometheus library of Java's release 3.9: counters do not end with `_total`, a comma stands
//! behind the last label, every number has a fraction.

use std::fmt::Write as _;

use zabd_replica::percentiles::Percentiles;

use super::families::{Family, Number, Seen, Value};
use super::java_number::double;
use super::process;
use super::windows::Windows;
use crate::introspect::Introspection;

/// What the text is, for HTTP.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The label of Java's sets.
const KEY: &str = "key";

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'f> {
    name: &'static str,
    suffix: &'static str,
    label: Option<(&'static str, &'f str)>,
    quantile: Option<&'static str>,
    /// What it shows.
    pub value: f64,
}

impl Sample<'_> {
    /// The sample's name.
    fn name(&self) -> String {
        format!("{}{}", self.name, self.suffix)
    }

    fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.label.into_iter().chain(self.quantile.map(|quantile| ("quantile", quantile)))
    }

    /// The name with its labels, as `mntr` shows it.
    pub fn key(&self) -> String {
        let labels: Vec<_> = self.labels().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        if labels.is_empty() { self.name() } else { format!("{}{{{}}}", self.name(), labels.join(",")) }
    }

    fn write(&self, text: &mut String) {
        let _ = write!(text, "{}{}", self.name, self.suffix);
        if self.label.is_some() || self.quantile.is_some() {
            text.push('{');
            for (name, value) in self.labels() {
                let _ = write!(text, "{name}=\"{}\",", escaped(value));
            }
            text.push('}');
        }
        let _ = writeln!(text, " {}", double(self.value));
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// The server's families, and the process's if they are wanted.
pub fn families(server: &Introspection, seen: &Seen<'_>) -> Vec<Family> {
    let mut families = seen.families();
    if server.config.metrics.export_process {
        families.extend(process::families());
    }
    families
}

/// The whole text, or of samples with one of these names.
pub fn text(server: &Introspection, wanted: &[String]) -> String {
    let mut text = String::with_capacity(64 << 10);
    for family in families(server, &Seen::now(server)) {
        let mut samples = samples(&family, &server.windows);
        if !wanted.is_empty() {
            samples.retain(|sample| wanted.contains(&sample.name()));
            if samples.is_empty() {
                continue;
            }
        }
        let name = family.name;
        let help = family.help.unwrap_or(name);
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {}\n", kind(&family.value));
        for sample in samples {
            sample.write(&mut text);
        }
    }
    text
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Gauge(_) | Value::Gauges(_) | Value::Labelled(..) => "gauge",
        Value::Counter(_) | Value::Counters(_) | Value::Amount(_) => "counter",
        Value::Basic(_)
        | Value::Advanced(_)
        | Value::Basics(_)
        | Value::Advanceds(_)
        | Value::Sums(_)
        | Value::Plain(..) => "summary",
    }
}

fn real(number: Number) -> f64 {
    match number {
        Number::Whole(number) => number as f64,
        Number::Real(number) => number,
    }
}

const BASIC: &[(&str, u64)] = &[("0.5", 500)];
const ADVANCED: &[(&str, u64)] = &[("0.5", 500), ("0.9", 900), ("0.99", 990)];

/// The lines of a family.
pub fn samples<'f>(family: &'f Family, windows: &Windows) -> Vec<Sample<'f>> {
    let name = family.name;
    let plain = |value| Sample { name, suffix: "", label: None, quantile: None, value };
    let labelled = |label, value| Sample { label: Some(label), ..plain(value) };
    let spread_of = |quantiles: &[(&'static str, u64)], key: Option<&'f str>, spread: &Percentiles| {
        let label = key.map(|key| (KEY, key));
        let value_of = |permille| windows.permille(name, key.unwrap_or_default(), spread, permille);
        let quantile = |(quantile, permille): &(&'static str, u64)| {
            let value = value_of(*permille).map_or(f64::NAN, |value| value as f64);
            Sample { label, quantile: Some(quantile), ..plain(value) }
        };
        let mut samples: Vec<_> = quantiles.iter().map(quantile).collect();
        samples.push(Sample { label, suffix: "_count", ..plain(spread.summary().count as f64) });
        samples.push(Sample { label, suffix: "_sum", ..plain(spread.summary().sum as f64) });
        samples
    };
    let spread = |quantiles, all| spread_of(quantiles, None, all);
    let spreads = |quantiles, list: &'f [(String, Percentiles)]| {
        list.iter().flat_map(|(key, spread)| spread_of(quantiles, Some(key), spread)).collect()
    };
    match &family.value {
        Value::Gauge(number) => vec![plain(real(*number))],
        Value::Counter(count) => vec![plain(*count as f64)],
        Value::Amount(amount) => vec![plain(*amount)],
        Value::Basic(all) => spread(BASIC, all),
        Value::Advanced(all) => spread(ADVANCED, all),
        Value::Basics(list) => spreads(BASIC, list),
        Value::Advanceds(list) => spreads(ADVANCED, list),
        Value::Gauges(list) => {
            list.iter().map(|(key, number)| labelled((KEY, &**key), real(*number))).collect()
        }
        Value::Labelled(label, list) => {
            list.iter().map(|(key, value)| labelled((*label, &**key), *value)).collect()
        }
        Value::Counters(list) => {
            list.iter().map(|(key, count)| labelled((KEY, &**key), *count as f64)).collect()
        }
        Value::Sums(list) => {
            let each = |(key, samples): &'f (String, _)| {
                let samples: &zabd_replica::traffic::Samples = samples;
                let sample = |value| labelled((KEY, &**key), value);
                // How they spread is nowhere kept: a client makes as many namespaces as it likes.
                [
                    Sample { quantile: Some("0.5"), ..sample(f64::NAN) },
                    Sample { suffix: "_count", ..sample(samples.count as f64) },
                    Sample { suffix: "_sum", ..sample(samples.sum as f64) },
                ]
            };
            list.iter().flat_map(each).collect()
        }
        Value::Plain(label, list) => {
            let each = |(key, count, sum): &'f (String, f64, f64)| {
                let sample = |suffix, value| Sample { suffix, ..labelled((*label, &**key), value) };
                [sample("_count", *count), sample("_sum", *sum)]
            };
            list.iter().flat_map(each).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use zabd_replica::percentiles::Percentiles;

    use super::*;

    fn lines(value: Value) -> String {
        let family = Family::new("f", value);
        let mut text = String::new();
        for sample in samples(&family, &Windows::default()) {
            sample.write(&mut text);
        }
        text
    }

    #[test]
    fn lines_are_those_of_javas_library() {
        assert_eq!(lines(Value::Gauge(Number::Whole(-1))), "f -1.0\n");
        assert_eq!(lines(Value::Counter(20_000_000)), "f 2.0E7\n");
        assert_eq!(
            lines(Value::Gauges(vec![("a\"\\".to_owned(), Number::Real(0.5))])),
            "f{key=\"a\\\"\\\\\",} 0.5\n"
        );
        let mut spread = Percentiles::default();
        assert_eq!(lines(Value::Basic(spread.clone())), "f{quantile=\"0.5\",} NaN\nf_count 0.0\nf_sum 0.0\n");
        (1..=100).for_each(|sample| spread.add(sample));
        assert_eq!(
            lines(Value::Advanced(spread)),
            "f{quantile=\"0.5\",} 50.0\nf{quantile=\"0.9\",} 90.0\nf{quantile=\"0.99\",} 99.0\nf_count 100.0\nf_sum 5050.0\n"
        );
    }

    #[test]
    fn a_set_has_a_summary_for_each_key() {
        let mut spread = Percentiles::default();
        spread.add(7);
        assert_eq!(
            lines(Value::Basics(vec![
                ("2".to_owned(), spread.clone()),
                ("3".to_owned(), Percentiles::default())
            ])),
            "f{key=\"2\",quantile=\"0.5\",} 7.0\nf_count{key=\"2\",} 1.0\nf_sum{key=\"2\",} 7.0\n\
             f{key=\"3\",quantile=\"0.5\",} NaN\nf_count{key=\"3\",} 0.0\nf_sum{key=\"3\",} 0.0\n"
        );
        assert_eq!(lines(Value::Advanceds(vec![("2".to_owned(), spread)])).lines().count(), 5);
    }

    #[test]
    fn mntr_names_a_sample_by_its_labels() {
        let family =
            Family::new("f", Value::Sums(vec![("a".to_owned(), zabd_replica::traffic::Samples::default())]));
        let keys: Vec<_> = samples(&family, &Windows::default()).iter().map(Sample::key).collect();
        assert_eq!(keys, ["f{key=\"a\",quantile=\"0.5\"}", "f_count{key=\"a\"}", "f_sum{key=\"a\"}"]);
    }
}
