//! The rows that count operations per second of server CPU, and the lone set beside the disk.

use std::time::Duration;

use crate::compare::Comparison;
use crate::compare::arena::{Arena, Tally, per_cpu_second_cell};
use crate::compare::row::{Cell, Goal, Row, RowId, Unit};
use crate::connection::Target;
use crate::disk_probe;
use crate::error::BenchError;
use crate::fan_out::{self, FanOutPlan, WatchMode};
use crate::latency::Latencies;
use crate::load::{self, LoadPlan, LoadReport, Stream};
use crate::new_sessions::{self, NewSessionsPlan};
use crate::prefill;
use crate::process::Process;
use crate::workload::Op;

/// What the table allows a lone set on top of the disk.
const SET_OVER_DISK_US: f64 = 100.0;

/// Runs a plan, checks it, and removes what it created.
pub(super) fn load(servers: &[Process], plan: &LoadPlan) -> Result<LoadReport, BenchError> {
    let report = load::run(plan, servers)?;
    report.check()?;
    prefill::remove_created(&plan.target, plan.run, &report.created)?;
    Ok(report)
}

impl Comparison {
    /// A plan with this comparison's sizes; every call has its own run number.
    pub(super) fn plan(&mut self, target: Target, streams: Vec<Stream>) -> LoadPlan {
        self.run += 1;
        LoadPlan {
            target,
            streams,
            keyspace: self.keyspace,
            value_bytes: self.value_bytes,
            threads: self.threads,
            warm_up: self.effort.warm_up,
            window_max: self.effort.window,
            replies_max: None,
            run: self.run,
        }
    }

    /// Lets a server's compiler see every operation before the first figure.
    pub(super) fn warm_up(&mut self, arena: &Arena) {
        self.say("warming up");
        let warm_up = self.effort.warm_up_first;
        // A server that fails here fails again in the first row, and is reported there.
        let _ = arena.rounds(1, |server, _| {
            let streams = vec![
                Stream::closed(Op::Get, 32, 8),
                Stream::closed(Op::Set, 16, 8),
                Stream::closed(Op::Create, 16, 4),
            ];
            let mut plan = self.plan(server.target, streams);
            (plan.warm_up, plan.window_max) = (Duration::ZERO, warm_up);
            load(&[server.process], &plan)
        });
    }

    /// A row of a closed loop.
    pub(super) fn closed_loop(&mut self, arena: &Arena, mut row: Row, stream: &Stream) -> Row {
        self.say(&row.work);
        let is_create = stream.mix == crate::workload::Mix::only(Op::Create);
        let rounds = arena.rounds(self.effort.rounds, |server, _| {
            let mut plan = self.plan(server.target, vec![stream.clone()]);
            plan.replies_max = is_create.then_some(self.effort.creates_max);
            Ok(Tally::of_load(&load(&[server.process], &plan)?))
        });
        for (kind, rounds) in &rounds {
            *row.cell(*kind) = per_cpu_second_cell(rounds);
        }
        row
    }

    /// One of the four rows of operations.
    pub(super) fn operations(&mut self, arena: &Arena, id: RowId) -> Row {
        let (op, outstanding, times) = match id {
            RowId::Get => (Op::Get, 1, 4.0),
            RowId::GetPipelined => (Op::Get, 16, 10.0),
            RowId::Set => (Op::Set, 16, 6.0),
            _ => (Op::Create, 4, 6.0),
        };
        let name = format!("{op:?}").to_lowercase();
        let work = format!("{name}, 64 connections, {outstanding} outstanding");
        let row = Row::new(id, work, Unit::PerCpuSecond, Goal::TimesJava(times));
        self.closed_loop(arena, row, &Stream::closed(op, 64, outstanding))
    }

    /// Notifications.
    pub(super) fn fan_out(&mut self, arena: &Arena) -> Row {
        let watchers = self.watchers();
        let work = format!("watch fan-out to {watchers} clients, notifications");
        let mut row = Row::new(RowId::FanOut, work, Unit::PerCpuSecond, Goal::TimesJava(8.0));
        self.say(&row.work);
        let rounds = arena.rounds(self.effort.rounds, |server, _| {
            let plan = FanOutPlan {
                target: server.target,
                watchers,
                mode: WatchMode::Persistent,
                warm_up_rounds: 3,
                firing_max: self.effort.window,
                value_bytes: self.value_bytes,
            };
            let report = fan_out::run(&plan, &[server.process])?;
            let (operations, window) = (report.notifications, report.firing);
            Ok(Tally { operations, window, cpu: report.cpu, latencies: report.latencies })
        });
        for (kind, rounds) in &rounds {
            *row.cell(*kind) = per_cpu_second_cell(rounds);
        }
        row
    }

    /// New sessions.
    pub(super) fn sessions(&mut self, arena: &Arena) -> Row {
        let work = "new sessions (connect, create, close)";
        let mut row = Row::new(RowId::Sessions, work, Unit::PerCpuSecond, Goal::TimesJava(6.0));
        self.say(&row.work);
        let rounds = arena.rounds(self.effort.rounds, |server, _| {
            let plan = NewSessionsPlan {
                target: server.target,
                concurrency: 32,
                warm_up: self.effort.warm_up,
                window: self.effort.window,
                ephemerals: 0,
            };
            let report = new_sessions::run(&plan, &[server.process])?;
            let (operations, window) = (report.sessions, report.window);
            Ok(Tally { operations, window, cpu: report.cpu, latencies: report.latencies })
        });
        for (kind, rounds) in &rounds {
            *row.cell(*kind) = per_cpu_second_cell(rounds);
        }
        row
    }

    /// A lone set, with the disk probed beside every round.
    pub(super) fn set_latency(&mut self, arena: &Arena) -> Row {
        let work = "set, 1 connection, 1 outstanding: p50";
        let mut row = Row::new(RowId::SetLatency, work, Unit::Microseconds, Goal::None);
        self.say(&row.work);
        let mut disk = Latencies::default();
        let rounds = arena.rounds(self.effort.rounds, |server, _| {
            disk.merge(&disk_probe::run(&server.data_dir, self.effort.window / 2)?);
            let plan = self.plan(server.target, vec![Stream::closed(Op::Set, 1, 1)]);
            Ok(Tally::of_load(&load(&[server.process], &plan)?).latencies)
        });
        for (kind, rounds) in &rounds {
            *row.cell(*kind) = p50_cell(rounds);
        }
        let disk_us = disk.quantile_us(0.5);
        let why = format!("fdatasync {disk_us:.0} µs + {SET_OVER_DISK_US:.0} µs");
        row.goal = Goal::AtMost(disk_us + SET_OVER_DISK_US, why);
        row
    }
}

fn p50_cell(rounds: &Result<Vec<Latencies>, BenchError>) -> Cell {
    match rounds {
        Err(error) => Cell::missing(error.one_line()),
        Ok(rounds) => {
            let all = Latencies::sum(rounds);
            let mut cell = Cell::of(all.quantile_us(0.5)).with_latencies(&all);
            cell.rounds = rounds.iter().map(|round| round.quantile_us(0.5)).collect();
            cell
        }
    }
}
