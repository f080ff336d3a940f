//! One row of the comparison: what was measured, on either server, and what it has to reach.

use serde::Serialize;

use crate::latency::Latencies;
use crate::server::Kind;

/// Which measurement; the names are those of `--rows`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum RowId {
    /// `getData`, 64 connections, 1 outstanding.
    Get,
    /// `getData`, 64 connections, 16 outstanding.
    GetPipelined,
    /// `setData`, 64 connections, 16 outstanding.
    Set,
    /// `create`, 64 connections, 4 outstanding.
    Create,
    /// Notifications to 10,000 watchers.
    FanOut,
    /// New sessions.
    Sessions,
    /// p50 of a lone `setData`, beside the disk's.
    SetLatency,
    /// p99 at 20,000 gets and 2,000 sets a second.
    FixedRate,
    /// p99 of those sets while a snapshot of a million znodes is written.
    Snapshot,
    /// Resident memory, idle.
    MemoryIdle,
    /// Resident memory with a million znodes.
    MemoryMillion,
    /// Start to first answer, empty.
    StartEmpty,
    /// Start to first answer, a million znodes.
    StartMillion,
    /// Gets and sets with ten times the znodes.
    ScaleZnodes,
    /// Gets and sets with ten times the connections.
    ScaleConnections,
    /// Gets, sets and creates below a parent with a million children.
    ScaleChildren,
    /// Three servers: `setData`, 64 connections, 16 outstanding.
    EnsembleSet,
    /// Three servers: `create`, 64 connections, 4 outstanding.
    EnsembleCreate,
    /// Three servers: `getData`, 64 connections, 16 outstanding.
    EnsembleGet,
    /// Three servers: nine gets to a set, 64 connections, 16 outstanding.
    EnsembleMix,
    /// Three servers: sessions that create an ephemeral znode each.
    EnsembleChurn,
    /// Three servers: new sessions.
    EnsembleSessions,
    /// Three servers: p99 at 2,000 sets a second.
    EnsembleFixedRate,
}

impl RowId {
    /// The rows of the table of targets.
    pub const TABLE: [Self; 13] = [
        Self::Get,
        Self::GetPipelined,
        Self::Set,
        Self::Create,
        Self::FanOut,
        Self::Sessions,
        Self::SetLatency,
        Self::FixedRate,
        Self::Snapshot,
        Self::MemoryIdle,
        Self::MemoryMillion,
        Self::StartEmpty,
        Self::StartMillion,
    ];
    /// The rows of an ensemble of three servers.
    pub const ENSEMBLE: [Self; 7] = [
        Self::EnsembleSet,
        Self::EnsembleCreate,
        Self::EnsembleGet,
        Self::EnsembleMix,
        Self::EnsembleChurn,
        Self::EnsembleSessions,
        Self::EnsembleFixedRate,
    ];
    /// The rows that show how cost grows.
    pub const SCALE: [Self; 3] = [Self::ScaleZnodes, Self::ScaleConnections, Self::ScaleChildren];
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Operations per second of server CPU; more is better.
    PerCpuSecond,
    /// Less is better.
    Microseconds,
    /// Less is better.
    Milliseconds,
    /// Less is better.
    Mebibytes,
}

impl Unit {
    /// A figure as it stands in a table.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::PerCpuSecond if 10_000.0 <= value => format!("{:.0} k", value / 1e3),
            Self::PerCpuSecond => format!("{:.1} k", value / 1e3),
            Self::Microseconds if 10_000.0 <= value => format!("{:.1} ms", value / 1e3),
            Self::Microseconds => format!("{value:.0} µs"),
            Self::Milliseconds if 1000.0 <= value => format!("{:.2} s", value / 1e3),
            Self::Milliseconds => format!("{value:.1} ms"),
            Self::Mebibytes => format!("{value:.1} MiB"),
        }
    }
}

/// What zabd's figure has to reach.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    /// At least so many times Java's.
    TimesJava(f64),
    /// At most this share of Java's.
    ShareOfJava(f64),
    /// At most this much, in the row's unit, and where the number comes from.
    AtMost(f64, String),
    /// At least this much, in the row's unit, and where the number comes from.
    AtLeast(f64, String),
    /// For information.
    None,
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The goal is reached.
    Pass,
    /// It is not.
    Fail,
    /// There is no goal, or a figure is missing.
    Open,
}

/// One server's figure.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Cell {
    /// In the row's unit; `None` if it could not be measured.
    pub value: Option<f64>,
    /// Operations per second of wall-clock time, where that means something.
    pub per_second: Option<f64>,
    /// Percentiles in microseconds (50, 99, 99.9), where there are latencies.
    pub percentiles_us: Option<[f64; 3]>,
    /// The figure of each round, so that the noise can be seen.
    pub rounds: Vec<f64>,
    /// Why there is no figure, or what to know about it.
    pub note: String,
}

impl Cell {
    /// A figure and nothing else.
    pub fn of(value: f64) -> Self {
        Self { value: Some(value), ..Self::default() }
    }

    /// No figure, and why.
    pub fn missing(why: impl Into<String>) -> Self {
        Self { note: why.into(), ..Self::default() }
    }

    /// Adds percentiles.
    #[must_use]
    pub fn with_latencies(mut self, latencies: &Latencies) -> Self {
        self.percentiles_us = Some([0.5, 0.99, 0.999].map(|quantile| latencies.quantile_us(quantile)));
        self
    }
}

/// The median of the rounds, at least one; the upper one of an even number.
pub fn median(mut rounds: Vec<f64>) -> Cell {
    rounds.sort_by(f64::total_cmp);
    Cell { value: rounds.get(rounds.len() / 2).copied(), rounds, ..Cell::default() }
}

/// One row.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Which measurement.
    pub id: RowId,
    /// What was measured, for people.
    pub work: String,
    /// What the figures count.
    pub unit: Unit,
    /// Java's figure.
    pub java: Cell,
    /// zabd's figure.
    pub zabd: Cell,
    /// What zabd's figure has to reach.
    pub goal: Goal,
}

impl Row {
    /// A row without figures.
    pub fn new(id: RowId, work: impl Into<String>, unit: Unit, goal: Goal) -> Self {
        Self { id, work: work.into(), unit, java: Cell::default(), zabd: Cell::default(), goal }
    }

    /// The cell of one server.
    pub fn cell(&mut self, kind: Kind) -> &mut Cell {
        match kind {
            Kind::Java => &mut self.java,
            Kind::Zabd => &mut self.zabd,
        }
    }

    /// zabd's figure as a multiple of Java's.
    pub fn ratio(&self) -> Option<f64> {
        Some(self.zabd.value? / self.java.value.filter(|&java| 0.0 < java)?)
    }

    /// Whether the goal is reached.
    pub fn verdict(&self) -> Verdict {
        let reached = match self.goal {
            Goal::TimesJava(times) => self.ratio().map(|ratio| times <= ratio),
            Goal::ShareOfJava(share) => self.ratio().map(|ratio| ratio <= share),
            Goal::AtMost(limit, _) => self.zabd.value.map(|value| value <= limit),
            Goal::AtLeast(limit, _) => self.zabd.value.map(|value| limit <= value),
            Goal::None => None,
        };
        match reached {
            Some(true) => Verdict::Pass,
            Some(false) => Verdict::Fail,
            None => Verdict::Open,
        }
    }

    /// The goal in words.
    pub fn goal_text(&self) -> String {
        match &self.goal {
            Goal::TimesJava(times) => format!("≥ {times} × Java"),
            Goal::ShareOfJava(share) => format!("≤ {share} × Java"),
            Goal::AtMost(limit, why) if why.is_empty() => format!("≤ {}", self.unit.show(*limit)),
            Goal::AtMost(limit, why) => format!("≤ {} ({why})", self.unit.show(*limit)),
            Goal::AtLeast(limit, why) => format!("≥ {} ({why})", self.unit.show(*limit)),
            Goal::None => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(goal: Goal, java: Option<f64>, zabd: Option<f64>) -> Row {
        let mut row = Row::new(RowId::Get, "get", Unit::PerCpuSecond, goal);
        row.java.value = java;
        row.zabd.value = zabd;
        row
    }

    #[test]
    fn a_verdict_compares_as_the_goal_says() {
        let judge = |goal, java, zabd| row(goal, java, zabd).verdict();
        assert_eq!(judge(Goal::TimesJava(4.0), Some(10.0), Some(40.0)), Verdict::Pass);
        assert_eq!(judge(Goal::TimesJava(4.0), Some(10.0), Some(39.0)), Verdict::Fail);
        assert_eq!(judge(Goal::ShareOfJava(0.25), Some(8.0), Some(2.0)), Verdict::Pass);
        assert_eq!(judge(Goal::ShareOfJava(0.25), Some(8.0), Some(3.0)), Verdict::Fail);
        assert_eq!(judge(Goal::AtMost(5.0, String::new()), None, Some(5.0)), Verdict::Pass);
        assert_eq!(judge(Goal::AtLeast(5.0, String::new()), None, Some(4.0)), Verdict::Fail);
    }

    #[test]
    fn a_missing_figure_decides_nothing() {
        assert_eq!(row(Goal::TimesJava(4.0), None, Some(1.0)).verdict(), Verdict::Open);
        assert_eq!(row(Goal::AtMost(1.0, String::new()), Some(1.0), None).verdict(), Verdict::Open);
        assert_eq!(row(Goal::None, Some(1.0), Some(1.0)).verdict(), Verdict::Open);
    }
}
