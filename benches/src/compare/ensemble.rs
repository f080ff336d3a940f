//! The rows of an ensemble: three servers of each kind, started anew for every round, with their CPU time summed.
//!
//! Connections go to the three servers in turn, so two thirds of the writes are forwarded to the leader. An ensemble is not
//! halted by signal while the other is measured: its members would miss each other. It is started, filled, warmed up,
//! asked for all rows, and ended; then it is the other one's turn.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::compare::Comparison;
use crate::compare::arena::{Tally, per_cpu_second_cell};
use crate::compare::row::{Cell, Goal, Row, RowId, Unit, median};
use crate::compare::tail::SETS_PER_SECOND;
use crate::compare::throughput::load;
use crate::error::BenchError;
use crate::load::{Demand, Stream};
use crate::new_sessions::{self, NewSessionsPlan};
use crate::prefill;
use crate::server::{Ensemble, Kind};
use crate::workload::{Mix, Op};

/// What the rounds of one row gave.
type Rounds = BTreeMap<RowId, Result<Vec<Tally>, BenchError>>;

impl Comparison {
    /// All of them.
    pub(super) fn ensemble(&mut self) -> Vec<Row> {
        let mut rounds: BTreeMap<Kind, Rounds> = BTreeMap::new();
        for round in 0..self.effort.rounds {
            for kind in self.kinds.clone() {
                self.say(&format!("three servers of {}, round {}", kind.name(), round + 1));
                let home = self.home.join("ensemble");
                let outcome = self.ensemble_round(kind, &home, rounds.entry(kind).or_default());
                if let Err(error) = outcome {
                    self.say(&error.one_line());
                    let rows = rounds.entry(kind).or_default();
                    for id in RowId::ENSEMBLE {
                        rows.insert(id, Err(BenchError::Unavailable(error.one_line())));
                    }
                }
                self.forget(&home);
            }
        }
        let wanted: Vec<_> = RowId::ENSEMBLE.into_iter().filter(|id| self.wants(*id)).collect();
        let row = |id| {
            let mut row = described(id);
            for (kind, rows) in &rounds {
                if let Some(rounds) = rows.get(&id) {
                    *row.cell(*kind) = cell(&row, rounds);
                }
            }
            row
        };
        wanted.into_iter().map(row).collect()
    }

    fn ensemble_round(
        &mut self,
        kind: Kind,
        home: &std::path::Path,
        rows: &mut Rounds,
    ) -> Result<(), BenchError> {
        let ensemble = self.launcher.start_ensemble(kind, home)?;
        prefill::fill(&ensemble.target(), &self.keyspace, self.value_bytes)?;
        self.warm_up_ensemble(&ensemble)?;
        for id in RowId::ENSEMBLE {
            if !self.wants(id) {
                continue;
            }
            self.say(&described(id).work);
            let measured = self.measure_ensemble(&ensemble, id);
            let so_far = rows.entry(id).or_insert_with(|| Ok(Vec::new()));
            match (so_far.as_mut(), measured) {
                (Ok(tallies), Ok(tally)) => tallies.push(tally),
                (_, Err(error)) => *so_far = Err(error),
                (Err(_), Ok(_)) => (),
            }
        }
        ensemble.stop()
    }

    fn warm_up_ensemble(&mut self, ensemble: &Ensemble) -> Result<(), BenchError> {
        let streams = vec![
            Stream::closed(Op::Get, 32, 8),
            Stream::closed(Op::Set, 16, 8),
            Stream::closed(Op::Create, 16, 4),
        ];
        let mut plan = self.plan(ensemble.target(), streams);
        (plan.warm_up, plan.window_max) = (Duration::ZERO, self.effort.warm_up_first);
        load(&ensemble.processes(), &plan).map(drop)
    }

    fn measure_ensemble(&mut self, ensemble: &Ensemble, id: RowId) -> Result<Tally, BenchError> {
        let ephemerals = match id {
            RowId::EnsembleSessions => Some(0),
            RowId::EnsembleChurn => Some(1),
            _ => None,
        };
        if let Some(ephemerals) = ephemerals {
            let plan = NewSessionsPlan {
                target: ensemble.target(),
                concurrency: 32,
                warm_up: self.effort.warm_up,
                window: self.effort.window,
                ephemerals,
            };
            let report = new_sessions::run(&plan, &ensemble.processes())?;
            let (operations, window) = (report.sessions, report.window);
            return Ok(Tally { operations, window, cpu: report.cpu, latencies: report.latencies });
        }
        let mut plan = self.plan(ensemble.target(), vec![stream(id)]);
        plan.replies_max = (id == RowId::EnsembleCreate).then_some(self.effort.creates_max);
        if id == RowId::EnsembleFixedRate {
            plan.window_max = self.effort.window_tail;
        }
        Ok(Tally::of_load(&load(&ensemble.processes(), &plan)?))
    }
}

fn stream(id: RowId) -> Stream {
    match id {
        RowId::EnsembleSet => Stream::closed(Op::Set, 64, 16),
        RowId::EnsembleCreate => Stream::closed(Op::Create, 64, 4),
        RowId::EnsembleGet => Stream::closed(Op::Get, 64, 16),
        RowId::EnsembleMix => Stream {
            connections: 64,
            mix: Mix::weighted(vec![(Op::Get, 90), (Op::Set, 10)]),
            demand: Demand::Closed { outstanding: 16 },
            keep_timeline: false,
        },
        RowId::EnsembleFixedRate => Stream::open(Op::Set, 64, SETS_PER_SECOND),
        other => unreachable!("{other:?} is no load on an ensemble"),
    }
}

fn described(id: RowId) -> Row {
    let (work, times) = match id {
        RowId::EnsembleSet => ("set, 64 connections, 16 outstanding", 6.0),
        RowId::EnsembleCreate => ("create, 64 connections, 4 outstanding", 6.0),
        RowId::EnsembleGet => ("get, 64 connections, 16 outstanding", 10.0),
        RowId::EnsembleMix => ("90 % get 10 % set, 64 connections, 16 outstanding", 8.0),
        RowId::EnsembleChurn => ("sessions with an ephemeral znode", 6.0),
        RowId::EnsembleSessions => ("new sessions (connect, create, close)", 6.0),
        RowId::EnsembleFixedRate => {
            let work = "three servers: p99 of set at 2 k set/s";
            return Row::new(id, work, Unit::Microseconds, Goal::ShareOfJava(0.25));
        }
        other => unreachable!("{other:?} is no row of an ensemble"),
    };
    Row::new(id, format!("three servers: {work}"), Unit::PerCpuSecond, Goal::TimesJava(times))
}

fn cell(row: &Row, rounds: &Result<Vec<Tally>, BenchError>) -> Cell {
    match (row.unit, rounds) {
        (Unit::Microseconds, Ok(rounds)) => {
            let p99 = rounds.iter().map(|round| round.latencies.quantile_us(0.99)).collect();
            let all = crate::latency::Latencies::sum(rounds.iter().map(|round| &round.latencies));
            median(p99).with_latencies(&all)
        }
        _ => per_cpu_second_cell(rounds),
    }
}
