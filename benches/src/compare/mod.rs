//! zabd and Java ZooKeeper side by side in one run, on one disk, asked the same questions by the same
//! generator; the table of what zabd has to reach, with both figures, their ratio and a verdict.
//!
//! In reading order: [`row`] what is compared; `effort` how much time it takes; `arena` two servers and
//! alternating rounds; `ensemble` three servers of each; `throughput`, `tail` and `resources` the measurements; [`report`] the tables.

mod arena;
mod effort;
mod ensemble;
pub mod report;
mod resources;
pub mod row;
mod tail;
mod throughput;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

pub use effort::Effort;
use row::{Cell, Goal, Row, RowId, Unit};

use crate::compare::arena::Arena;
use crate::error::BenchError;
use crate::load::Stream;
use crate::process;
use crate::server::{Kind, Launcher, Settings};
use crate::workload::{Keyspace, Op};

/// What to compare.
#[derive(Clone, Debug)]
pub struct Request {
    /// How servers are started.
    pub launcher: Launcher,
    /// Where data directories are made and removed again.
    pub folder: PathBuf,
    /// Which servers.
    pub kinds: Vec<Kind>,
    /// Which rows.
    pub rows: Vec<RowId>,
    /// How much time to spend.
    pub effort: Effort,
    /// Threads of the generator.
    pub threads: usize,
}

/// A comparison under way.
#[derive(Debug)]
pub struct Comparison {
    launcher: Launcher,
    home: PathBuf,
    kinds: Vec<Kind>,
    rows: Vec<RowId>,
    effort: Effort,
    threads: usize,
    keyspace: Keyspace,
    value_bytes: usize,
    /// Number of the last load; each has its own.
    run: u64,
    open_files_max: u64,
    started: Instant,
    /// zabd's figures so far, for the rows that scale them.
    base: BTreeMap<RowId, f64>,
}

/// Value size of every row of the table.
const VALUE_BYTES: usize = 100;
/// Rows measured on the two servers that are prepared alike.
const ARENA_ROWS: [RowId; 8] = [
    RowId::Get,
    RowId::GetPipelined,
    RowId::Set,
    RowId::Create,
    RowId::FanOut,
    RowId::Sessions,
    RowId::SetLatency,
    RowId::FixedRate,
];
/// Rows measured on a million znodes.
const MILLION_ROWS: [RowId; 4] =
    [RowId::Snapshot, RowId::MemoryMillion, RowId::StartMillion, RowId::ScaleZnodes];

/// Runs a comparison; a row that could not be measured says why.
pub fn run(request: Request) -> Result<Vec<Row>, BenchError> {
    let open_files_max =
        process::raise_open_files().map_err(BenchError::io("raise the limit on open files"))?;
    let home = request.folder.join(format!("compare-{}", std::process::id()));
    std::fs::create_dir_all(&home).map_err(BenchError::io(format!("create {}", home.display())))?;
    let home = home.canonicalize().map_err(BenchError::io(format!("find {}", home.display())))?;
    let mut comparison = Comparison {
        keyspace: Keyspace::spread(request.effort.znodes),
        launcher: request.launcher,
        home: home.clone(),
        kinds: request.kinds,
        rows: request.rows,
        effort: request.effort,
        threads: request.threads,
        value_bytes: VALUE_BYTES,
        run: 0,
        open_files_max,
        started: Instant::now(),
        base: BTreeMap::new(),
    };
    let rows = comparison.measure();
    comparison.forget(&home);
    rows
}

impl Comparison {
    fn measure(&mut self) -> Result<Vec<Row>, BenchError> {
        let mut rows = Vec::new();
        if self.wants_any(&[RowId::MemoryIdle, RowId::StartEmpty]) {
            let measured = self.empty();
            rows.extend(measured.into_iter().filter(|row| self.wants(row.id)));
        }
        if self.wants_any(&ARENA_ROWS) {
            rows.extend(self.measure_arena()?);
        }
        let connections = [RowId::ScaleConnections];
        if self.wants_any(&connections) && self.has_time(&mut rows, &connections) {
            rows.extend(self.scale_connections()?);
        }
        if self.wants_any(&RowId::ENSEMBLE) && self.has_time(&mut rows, &RowId::ENSEMBLE) {
            rows.extend(self.ensemble());
        }
        if self.wants_any(&MILLION_ROWS) && self.has_time(&mut rows, &MILLION_ROWS) {
            rows.extend(self.million());
        }
        let children = [RowId::ScaleChildren];
        if self.wants_any(&children) && self.has_time(&mut rows, &children) {
            rows.extend(self.million_children());
        }
        rows.sort_by_key(|row| row.id); // Stable: a measurement's own rows stay in their order.
        Ok(rows)
    }

    fn measure_arena(&mut self) -> Result<Vec<Row>, BenchError> {
        self.say(&format!("preparing servers with {} znodes", self.keyspace.znodes));
        let arena = self.open_arena(Settings::default());
        let mut rows = Vec::new();
        for id in ARENA_ROWS {
            if !self.wants(id) || !self.has_time(&mut rows, &[id]) {
                continue;
            }
            match id {
                RowId::FanOut => rows.push(self.fan_out(&arena)),
                RowId::Sessions => rows.push(self.sessions(&arena)),
                RowId::SetLatency => rows.push(self.set_latency(&arena)),
                RowId::FixedRate => rows.extend(self.fixed_rate(&arena)),
                _ => rows.push(self.operations(&arena, id)),
            }
            let measured = rows.last().expect("a row was just added");
            self.base.extend(measured.zabd.value.map(|value| (id, value)));
        }
        if self.wants(RowId::ScaleChildren) {
            let work = "delete + create in one multi, 64 × 16, parents with 1000 children";
            let row = Row::new(RowId::ScaleChildren, work, Unit::PerCpuSecond, Goal::None);
            let row = self.closed_loop(&arena, row, &Stream::closed(Op::Swap, 64, 16));
            self.base.extend(row.zabd.value.map(|value| (RowId::ScaleChildren, value)));
            rows.push(row);
        }
        self.close_arena(arena)?;
        Ok(rows)
    }

    fn open_arena(&mut self, settings: Settings) -> Arena {
        let Self { launcher, home, kinds, keyspace, value_bytes, .. } = self;
        let arena = Arena::open(launcher, home, kinds, keyspace, *value_bytes, settings);
        self.warm_up(&arena);
        arena
    }

    fn close_arena(&mut self, arena: Arena) -> Result<(), BenchError> {
        arena.close()?;
        for kind in self.kinds.clone() {
            self.forget(&self.home.join(kind.name()));
        }
        Ok(())
    }

    /// The rows of operations with ten times the connections. Both servers get a `globalOutstandingLimit` above what all
    /// connections together ask for, or the rows would show what a server costs that refuses to read.
    fn scale_connections(&mut self) -> Result<Vec<Row>, BenchError> {
        self.say("preparing servers for ten times the connections");
        let arena = self.open_arena(Settings { outstanding_max: Some(100_000), ..Settings::default() });
        let plans = [
            (RowId::Get, Op::Get, 1),
            (RowId::GetPipelined, Op::Get, 16),
            (RowId::Set, Op::Set, 16),
            (RowId::Create, Op::Create, 4),
        ];
        let row = |(base, op, outstanding)| {
            let name = format!("{op:?}").to_lowercase();
            let work = format!("{name}, 640 connections, {outstanding} outstanding");
            let goal = self.scale_goal(base);
            let row = Row::new(RowId::ScaleConnections, work, Unit::PerCpuSecond, goal);
            self.closed_loop(&arena, row, &Stream::closed(op, 640, outstanding))
        };
        let rows = plans.map(row).into();
        self.close_arena(arena)?;
        Ok(rows)
    }

    /// What a scaled figure has to reach: most of the figure it scales, if that was measured.
    fn scale_goal(&self, base: RowId) -> Goal {
        self.base.get(&base).map_or(Goal::None, |&base| {
            let share = resources::SCALE_SHARE;
            Goal::AtLeast(share * base, format!("{share} × {} unscaled", Unit::PerCpuSecond.show(base)))
        })
    }

    /// As many watchers as the effort asks for and the limit on open files allows.
    fn watchers(&self) -> usize {
        const OTHER_FILES: u64 = 500;
        self.effort.watchers.min(self.open_files_max.saturating_sub(OTHER_FILES) as usize)
    }

    fn wants(&self, id: RowId) -> bool {
        self.rows.contains(&id)
    }

    fn wants_any(&self, ids: &[RowId]) -> bool {
        ids.iter().any(|&id| self.wants(id))
    }

    /// Whether the budget has something left; if not, the rows say so.
    fn has_time(&self, rows: &mut Vec<Row>, ids: &[RowId]) -> bool {
        if self.started.elapsed() < self.effort.budget {
            return true;
        }
        for &id in ids.iter().filter(|&&id| self.wants(id)) {
            let mut row = Row::new(id, format!("{id:?}"), Unit::PerCpuSecond, Goal::None);
            row.zabd = Cell::missing("not measured: the time was used up");
            rows.push(row);
        }
        false
    }

    fn say(&self, what: &str) {
        eprintln!("[{:>5.1} s] {what}", self.started.elapsed().as_secs_f64());
    }

    /// Removes a data directory. What cannot be removed stays, and is in nobody's way but the disk's.
    fn forget(&self, folder: &Path) {
        assert!(folder.starts_with(&self.home), "only what the comparison made is removed");
        if let Err(error) = std::fs::remove_dir_all(folder) {
            eprintln!("cannot remove {}: {error}", folder.display());
        }
    }
}
