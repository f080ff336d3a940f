//! The rows about the tail: latencies at a fixed rate, with nothing else going on and while a snapshot of
//! a million znodes is written.
//!
//! The snapshot is made to happen: the server runs with a small `snapCount`, from which ZooKeeper draws
//! the number of transactions to the next snapshot, between half of it and all of it. The first phase
//! ends before half of it is reached; the second goes on until a snapshot was written. Of the second
//! phase, only the sets that were meant for the time of writing count ([`crate::snapshot_watch`]).

use std::time::{Duration, Instant};

use crate::compare::Comparison;
use crate::compare::arena::Arena;
use crate::compare::row::{Cell, Goal, Row, RowId, Unit, median};
use crate::compare::throughput::load;
use crate::error::BenchError;
use crate::latency::Latencies;
use crate::load::{LoadReport, Stream, run_until};
use crate::server::Server;
use crate::snapshot_watch::{SnapshotWatch, Writing};
use crate::workload::Op;

/// The fixed rate of reads, over 64 connections.
pub const GETS_PER_SECOND: f64 = 20_000.0;
/// The fixed rate of writes, over 16 other connections.
pub const SETS_PER_SECOND: f64 = 2_000.0;
/// How much worse the sets may become.
const SNAPSHOT_TIMES: f64 = 1.5;

/// The two streams; the sets keep their timeline.
fn fixed_rate_streams() -> Vec<Stream> {
    let sets = Stream { keep_timeline: true, ..Stream::open(Op::Set, 16, SETS_PER_SECOND) };
    vec![Stream::open(Op::Get, 64, GETS_PER_SECOND), sets]
}

/// What the snapshot row needs of one server.
#[derive(Debug)]
pub struct SnapshotFigures {
    quiet: Latencies,
    during: Latencies,
    written: Duration,
}

impl Comparison {
    /// p99 of gets and of sets at the fixed rate.
    pub(super) fn fixed_rate(&mut self, arena: &Arena) -> Vec<Row> {
        let title = |op| format!("p99 of {op} at 20 k get/s + 2 k set/s");
        let goal = Goal::ShareOfJava(0.25);
        let mut gets = Row::new(RowId::FixedRate, title("get"), Unit::Microseconds, goal.clone());
        let mut sets = Row::new(RowId::FixedRate, title("set"), Unit::Microseconds, goal);
        self.say("20 k get/s + 2 k set/s");
        let window = self.effort.window_tail;
        // One more than the other rows have, so that a median of them is not the worse of two.
        let rounds = arena.rounds(self.effort.rounds + 1, |server, _| {
            let mut plan = self.plan(server.target, fixed_rate_streams());
            plan.window_max = window;
            load(&[server.process], &plan)
        });
        for (kind, rounds) in &rounds {
            for (row, stream, op) in [(&mut gets, 0, Op::Get), (&mut sets, 1, Op::Set)] {
                *row.cell(*kind) = match rounds {
                    Err(error) => Cell::missing(error.one_line()),
                    Ok(rounds) => merged(rounds, stream, op),
                };
            }
        }
        vec![gets, sets]
    }

    /// The same rate before and during a snapshot, on a server that was started for this.
    pub(super) fn snapshot_figures(&mut self, server: &Server) -> Result<SnapshotFigures, BenchError> {
        // Only reads, because writes bring the snapshot nearer.
        let mut plan = self.plan(server.target, vec![Stream::closed(Op::Get, 64, 4)]);
        plan.window_max = self.effort.warm_up_first;
        load(&[server.process], &plan)?;

        let mut plan = self.plan(server.target, fixed_rate_streams());
        plan.window_max = self.effort.window_tail;
        let watch = SnapshotWatch::start(&server.data_dir);
        let quiet = load(&[server.process], &plan);
        if !watch.stop().is_empty() {
            return Err(BenchError::Unavailable("a snapshot came before it was due".to_owned()));
        }
        let quiet = quiet?.streams[1].of(Op::Set);

        let mut plan = self.plan(server.target, fixed_rate_streams());
        plan.window_max = self.effort.snapshot_wait;
        let watch = SnapshotWatch::start(&server.data_dir);
        let report = run_until(&plan, &[server.process], &mut |_| 0 < watch.finished());
        let writings = watch.stop();
        let report = report?;
        report.check()?;
        let during = latencies_during(&report.streams[1].timeline, report.epoch, &writings);
        if during.count() == 0 {
            let why = format!("no snapshot was written within {:?}", self.effort.snapshot_wait);
            return Err(BenchError::Unavailable(why));
        }
        let written = writings.iter().map(|writing| writing.end - writing.start).sum();
        Ok(SnapshotFigures { quiet, during, written })
    }
}

/// The median of the rounds' p99, because one disturbed round spoils the p99 of all together.
fn merged(rounds: &[LoadReport], stream: usize, op: Op) -> Cell {
    let each: Vec<Latencies> = rounds.iter().map(|report| report.streams[stream].of(op)).collect();
    median(each.iter().map(|round| round.quantile_us(0.99)).collect()).with_latencies(&Latencies::sum(&each))
}

fn latencies_during(timeline: &[(u64, u64)], epoch: Instant, writings: &[Writing]) -> Latencies {
    let mut latencies = Latencies::default();
    for &(intended_ns, latency_ns) in timeline {
        let at = epoch + Duration::from_nanos(intended_ns);
        if writings.iter().any(|writing| writing.start <= at && at <= writing.end) {
            latencies.record(latency_ns);
        }
    }
    latencies
}

impl SnapshotFigures {
    /// Java's or zabd's cell.
    pub fn cell(&self) -> Cell {
        let mut cell = Cell::of(self.during.quantile_us(0.99)).with_latencies(&self.during);
        let quiet = Unit::Microseconds.show(self.quiet.quantile_us(0.99));
        cell.note =
            format!("{quiet} without; {} sets in {:.1?} of writing", self.during.count(), self.written);
        cell
    }

    /// What the same server reached without a snapshot allows.
    pub fn goal(&self) -> Goal {
        let quiet = self.quiet.quantile_us(0.99);
        let why = format!("{SNAPSHOT_TIMES} × {} without", Unit::Microseconds.show(quiet));
        Goal::AtMost(SNAPSHOT_TIMES * quiet, why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_requests_meant_for_the_time_of_writing_count() {
        let epoch = Instant::now();
        let at = |ms| epoch + Duration::from_millis(ms);
        let timeline: Vec<(u64, u64)> = (0..10).map(|ms| (ms * 1_000_000, (ms + 1) * 1_000)).collect();
        let writings = [Writing { start: at(3), end: at(5) }, Writing { start: at(8), end: at(8) }];
        let latencies = latencies_during(&timeline, epoch, &writings);
        assert_eq!(latencies.count(), 4);
        assert_eq!(latencies.quantile_us(1.0).round() as u64, 9);
    }
}
