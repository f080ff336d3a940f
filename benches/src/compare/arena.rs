//! Both servers, prepared alike, and only one of them awake at a time.
//!
//! Rounds alternate (Java, zabd, Java, zabd), so that a machine that slows down for a while slows down
//! both. The server whose turn it is not is stopped by signal: it holds no session and takes no CPU.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::compare::row::Cell;
use crate::error::BenchError;
use crate::latency::Latencies;
use crate::load::LoadReport;
use crate::prefill;
use crate::server::{Kind, Launcher, Server, Settings};
use crate::workload::Keyspace;

/// What rounds add up to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Operations done.
    pub operations: u64,
    /// In this much time.
    pub window: Duration,
    /// For this much of the server's CPU time.
    pub cpu: Duration,
    /// How long each took.
    pub latencies: Latencies,
}

impl Tally {
    /// Operations per second of server CPU.
    pub fn per_cpu_second(&self) -> f64 {
        self.operations as f64 / self.cpu.as_secs_f64().max(0.01)
    }

    /// Everything that one load report holds.
    pub fn of_load(report: &LoadReport) -> Self {
        let all = report.streams.iter().flat_map(|stream| &stream.latencies);
        let latencies = Latencies::sum(all.map(|(_, latencies)| latencies));
        Self { operations: report.replies(), window: report.window, cpu: report.cpu, latencies }
    }

    fn merge(&mut self, other: &Self) {
        self.operations += other.operations;
        self.window += other.window;
        self.cpu += other.cpu;
        self.latencies.merge(&other.latencies);
    }
}

/// What the rounds gave on each server, or why there are none.
pub type Rounds<T> = BTreeMap<Kind, Result<Vec<T>, BenchError>>;

/// A figure per CPU second out of rounds of tallies.
pub fn per_cpu_second_cell(rounds: &Result<Vec<Tally>, BenchError>) -> Cell {
    let rounds = match rounds {
        Ok(rounds) => rounds,
        Err(error) => return Cell::missing(error.one_line()),
    };
    let mut sum = Tally::default();
    for round in rounds {
        sum.merge(round);
    }
    let mut cell = Cell::of(sum.per_cpu_second()).with_latencies(&sum.latencies);
    cell.per_second = Some(sum.operations as f64 / sum.window.as_secs_f64().max(1e-9));
    cell.rounds = rounds.iter().map(Tally::per_cpu_second).collect();
    cell
}

/// The servers of a comparison, each on a data directory of its own.
#[derive(Debug)]
pub struct Arena {
    servers: Vec<Server>,
    failed: BTreeMap<Kind, String>,
}

impl Arena {
    /// Starts and fills the servers one after the other, and puts all of them to sleep. A server that
    /// cannot be started leaves its reason behind.
    pub fn open(
        launcher: &Launcher,
        home: &Path,
        kinds: &[Kind],
        keyspace: &Keyspace,
        value_bytes: usize,
        settings: Settings,
    ) -> Self {
        let (mut servers, mut failed) = (Vec::new(), BTreeMap::new());
        for &kind in kinds {
            let prepare = || -> Result<Server, BenchError> {
                let server = launcher.start(kind, &home.join(kind.name()), settings)?;
                prefill::fill(&server.target, keyspace, value_bytes)?;
                server.pause(true)?;
                Ok(server)
            };
            match prepare() {
                Ok(server) => servers.push(server),
                Err(error) => drop(failed.insert(kind, error.one_line())),
            }
        }
        Self { servers, failed }
    }

    /// Runs `measure` on each awake server in turn, `rounds` times; a server's first error ends its rounds.
    pub fn rounds<T>(
        &self,
        rounds: usize,
        mut measure: impl FnMut(&Server, usize) -> Result<T, BenchError>,
    ) -> Rounds<T> {
        let failed = |why: &String| Err(BenchError::Unavailable(why.clone()));
        let mut results: Rounds<T> = self.failed.iter().map(|(&kind, why)| (kind, failed(why))).collect();
        for round in 0..rounds {
            for server in &self.servers {
                let so_far = results.entry(server.kind).or_insert_with(|| Ok(Vec::new()));
                let Ok(figures) = so_far else { continue };
                let outcome = server.pause(false).and_then(|()| measure(server, round));
                let outcome = server.pause(true).and(outcome);
                match outcome {
                    Ok(figure) => figures.push(figure),
                    Err(error) => *so_far = Err(error),
                }
            }
        }
        results
    }

    /// Ends all servers.
    pub fn close(self) -> Result<(), BenchError> {
        self.servers.into_iter().try_for_each(Server::stop)
    }
}
