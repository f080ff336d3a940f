//! The rows about memory and starting, and those that need a million znodes: each server alone, on a
//! directory of its own, one after the other.

use std::time::Duration;

use crate::compare::Comparison;
use crate::compare::arena::{Tally, per_cpu_second_cell};
use crate::compare::row::{Cell, Goal, Row, RowId, Unit, median};
use crate::compare::throughput::load;
use crate::error::BenchError;
use crate::load::Stream;
use crate::prefill;
use crate::server::{Kind, Server, Settings};
use crate::workload::{Keyspace, Op};

/// How long a server may settle before its memory is looked at.
const SETTLE: Duration = Duration::from_secs(1);
/// Java's default.
const SNAP_COUNT_DEFAULT: u32 = 100_000;
/// A scaled figure may be this much below the one it is compared with: caches miss more, noise is noise.
pub(super) const SCALE_SHARE: f64 = 0.7;

fn mebibytes(server: &Server) -> Result<f64, BenchError> {
    let usage = server.process.usage().map_err(BenchError::io("read /proc"))?;
    Ok(usage.rss_bytes as f64 / f64::from(1 << 20))
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The rows that are measured on a million znodes.
struct MillionRows {
    snapshot: Row,
    memory: Row,
    memory_loaded: Row,
    start: Row,
    gets: Row,
    sets: Row,
}

impl Comparison {
    /// Start on an empty directory, and memory when idle.
    pub(super) fn empty(&mut self) -> Vec<Row> {
        let at_most = |limit| Goal::AtMost(limit, String::new());
        let mut start =
            Row::new(RowId::StartEmpty, "start to first answer, empty", Unit::Milliseconds, at_most(30.0));
        let mut memory = Row::new(RowId::MemoryIdle, "RSS, idle", Unit::Mebibytes, at_most(10.0));
        self.say("starting on empty directories");
        for kind in self.kinds.clone() {
            match self.empty_of(kind) {
                Ok((starts, idle)) => {
                    *start.cell(kind) = median(starts);
                    *memory.cell(kind) = Cell::of(idle);
                }
                Err(error) => {
                    *start.cell(kind) = Cell::missing(error.one_line());
                    *memory.cell(kind) = Cell::missing(error.one_line());
                }
            }
        }
        vec![memory, start]
    }

    fn empty_of(&self, kind: Kind) -> Result<(Vec<f64>, f64), BenchError> {
        let (mut starts, mut idle) = (Vec::new(), 0.0);
        for index in 0..self.effort.starts_empty {
            let home = self.home.join(format!("empty-{}-{index}", kind.name()));
            let server = self.launcher.start(kind, &home, Settings::default())?;
            starts.push(milliseconds(server.first_answer));
            if index + 1 == self.effort.starts_empty {
                std::thread::sleep(SETTLE);
                idle = mebibytes(&server)?;
            }
            server.stop()?;
            self.forget(&home);
        }
        Ok((starts, idle))
    }

    /// Everything that needs a million znodes.
    pub(super) fn million(&mut self) -> Vec<Row> {
        let znodes = self.effort.znodes_million;
        let at_most = |limit| Goal::AtMost(limit, String::new());
        let row = |id, work: String, unit, goal| Row::new(id, work, unit, goal);
        let mut rows = MillionRows {
            snapshot: row(
                RowId::Snapshot,
                format!("p99 of those sets while {znodes} znodes are snapshotted"),
                Unit::Microseconds,
                Goal::None,
            ),
            memory: row(
                RowId::MemoryMillion,
                format!("RSS, {znodes} znodes of 100 bytes, created"),
                Unit::Mebibytes,
                at_most(260.0),
            ),
            memory_loaded: row(
                RowId::MemoryMillion,
                format!("RSS, {znodes} znodes of 100 bytes, loaded"),
                Unit::Mebibytes,
                at_most(260.0),
            ),
            start: row(
                RowId::StartMillion,
                format!("start to first answer, {znodes} znodes from a snapshot"),
                Unit::Milliseconds,
                at_most(1000.0),
            ),
            gets: row(
                RowId::ScaleZnodes,
                format!("get, 64 × 16, {znodes} znodes"),
                Unit::PerCpuSecond,
                self.scale_goal(RowId::GetPipelined),
            ),
            sets: row(
                RowId::ScaleZnodes,
                format!("set, 64 × 16, {znodes} znodes"),
                Unit::PerCpuSecond,
                self.scale_goal(RowId::Set),
            ),
        };
        for kind in self.kinds.clone() {
            if let Err(error) = self.million_of(kind, &mut rows) {
                let MillionRows { snapshot, memory, memory_loaded, start, gets, sets } = &mut rows;
                for row in [snapshot, memory, memory_loaded, start, gets, sets] {
                    let cell = row.cell(kind);
                    if cell.value.is_none() && cell.note.is_empty() {
                        cell.note = error.one_line();
                    }
                }
            }
        }
        let MillionRows { snapshot, memory, memory_loaded, start, gets, sets } = rows;
        let all = [snapshot, memory, memory_loaded, start, gets, sets];
        all.into_iter().filter(|row| self.wants(row.id)).collect()
    }

    fn million_of(&mut self, kind: Kind, rows: &mut MillionRows) -> Result<(), BenchError> {
        let keyspace = Keyspace::spread(self.effort.znodes_million);
        let home = self.home.join(format!("million-{}", kind.name()));
        self.say(&format!("filling {} with {} znodes", kind.name(), keyspace.znodes));
        let settings = Settings { snap_count: Some(self.effort.snap_count), ..Settings::default() };
        let server = self.launcher.start(kind, &home, settings)?;
        prefill::fill(&server.target, &keyspace, self.value_bytes)?;
        std::thread::sleep(SETTLE);
        *rows.memory.cell(kind) = Cell::of(mebibytes(&server)?);
        let own_keyspace = std::mem::replace(&mut self.keyspace, keyspace);
        let outcome = self.million_filled(kind, server, rows);
        self.keyspace = own_keyspace;
        self.forget(&home);
        outcome
    }

    fn million_filled(
        &mut self,
        kind: Kind,
        server: Server,
        rows: &mut MillionRows,
    ) -> Result<(), BenchError> {
        let home = self.home.join(format!("million-{}", kind.name()));
        if self.wants(RowId::Snapshot) {
            self.say(&format!("a snapshot of {} under load", kind.name()));
            *rows.snapshot.cell(kind) = match self.snapshot_figures(&server) {
                Err(error) => Cell::missing(error.one_line()),
                Ok(figures) => {
                    if kind == Kind::Zabd {
                        rows.snapshot.goal = figures.goal();
                    }
                    figures.cell()
                }
            };
        }
        server.stop()?;
        self.say(&format!("starting {} on {} znodes", kind.name(), self.keyspace.znodes));
        let settings = self.scaled_settings();
        // The first start may replay a log and write a snapshot; the ones behind it have only that to read.
        let mut server = self.launcher.start(kind, &home, settings)?;
        let mut starts = Vec::new();
        for _ in 0..self.effort.starts_million {
            server.stop()?;
            server = self.launcher.start(kind, &home, settings)?;
            starts.push(milliseconds(server.first_answer));
        }
        *rows.start.cell(kind) = median(starts);
        std::thread::sleep(SETTLE);
        *rows.memory_loaded.cell(kind) = Cell::of(mebibytes(&server)?);
        if self.wants(RowId::ScaleZnodes) {
            *rows.gets.cell(kind) = self.scaled(&server, &Stream::closed(Op::Get, 64, 16));
            *rows.sets.cell(kind) = self.scaled(&server, &Stream::closed(Op::Set, 64, 16));
        }
        server.stop()
    }

    /// As many times Java's default `snapCount` as there are more znodes, so that a transaction's share of
    /// the snapshots is the same as in the rows that are scaled.
    fn scaled_settings(&self) -> Settings {
        let times = self.effort.znodes_million / self.effort.znodes;
        Settings { snap_count: Some(SNAP_COUNT_DEFAULT * times as u32), ..Settings::default() }
    }

    /// A closed loop on a server that is alone, with the warm-up that its first figure needs.
    pub(super) fn scaled(&mut self, server: &Server, stream: &Stream) -> Cell {
        let mut plan = self.plan(server.target, vec![stream.clone()]);
        plan.warm_up = self.effort.warm_up_first;
        per_cpu_second_cell(&load(&[server.process], &plan).map(|report| vec![Tally::of_load(&report)]))
    }

    /// Gets, sets and creates below one parent with a million children.
    pub(super) fn million_children(&mut self) -> Vec<Row> {
        let children = self.effort.znodes_million;
        let row = |work: &str, goal| {
            let work = format!("{work}, 64 × 16, one parent with {children} children");
            Row::new(RowId::ScaleChildren, work, Unit::PerCpuSecond, goal)
        };
        let mut gets = row("get", self.scale_goal(RowId::GetPipelined));
        let mut sets = row("set", self.scale_goal(RowId::Set));
        let mut swaps = row("delete + create in one multi", self.scale_goal(RowId::ScaleChildren));
        for kind in self.kinds.clone() {
            self.say(&format!("filling {} with {children} children of one parent", kind.name()));
            let home = self.home.join(format!("children-{}", kind.name()));
            let own_keyspace = std::mem::replace(&mut self.keyspace, Keyspace::flat(children));
            let outcome = self.children_of(kind, &home, [&mut gets, &mut sets, &mut swaps]);
            self.keyspace = own_keyspace;
            self.forget(&home);
            if let Err(error) = outcome {
                for row in [&mut gets, &mut sets, &mut swaps] {
                    *row.cell(kind) = Cell::missing(error.one_line());
                }
            }
        }
        vec![gets, sets, swaps]
    }

    fn children_of(
        &mut self,
        kind: Kind,
        home: &std::path::Path,
        rows: [&mut Row; 3],
    ) -> Result<(), BenchError> {
        let server = self.launcher.start(kind, home, self.scaled_settings())?;
        prefill::fill(&server.target, &self.keyspace, self.value_bytes)?;
        for (row, op) in rows.into_iter().zip([Op::Get, Op::Set, Op::Swap]) {
            *row.cell(kind) = self.scaled(&server, &Stream::closed(op, 64, 16));
        }
        server.stop()
    }
}
