//! Steady load: groups of connections that ask as fast as they are answered (closed loop) or at a rate
//! that no answer can slow down (open loop), for a window that is measured and around it one that is not.
//!
//! ```text
//!  open sessions │ warm-up │ window: replies counted, latencies of requests *meant* for it │ drain │ close
//!                          ▲ server CPU                                                     ▲ server CPU
//! ```
//!
//! The window's throughput counts replies that arrive in it. Its latencies are those of requests whose
//! intended time lies in it, however late the answer: the drain waits for them. One thread serves
//! hundreds of connections, because the generator must leave the machine to the server.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::connection::{Connection, Target};
use crate::error::BenchError;
use crate::latency::Latencies;
use crate::process::{Process, Usage};
use crate::sessions;
use crate::worker::{Lane, Worker};
use crate::workload::{Keyspace, Mix, Op};

/// How the connections of a stream decide to ask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Demand {
    /// Each connection keeps this many requests outstanding.
    Closed {
        /// At least 1.
        outstanding: usize,
    },
    /// All connections together ask this often, in turn.
    Open {
        /// Requests per second.
        per_second: f64,
    },
}

/// Connections with the same work.
#[derive(Clone, Debug)]
pub struct Stream {
    /// How many.
    pub connections: usize,
    /// What they ask.
    pub mix: Mix,
    /// When they ask.
    pub demand: Demand,
    /// Whether to keep every request's intended time and latency, for looking at parts of the window.
    pub keep_timeline: bool,
}

impl Stream {
    /// A closed loop of one operation.
    pub fn closed(op: Op, connections: usize, outstanding: usize) -> Self {
        let demand = Demand::Closed { outstanding };
        Self { connections, mix: Mix::only(op), demand, keep_timeline: false }
    }

    /// An open loop of one operation.
    pub fn open(op: Op, connections: usize, per_second: f64) -> Self {
        Self { connections, mix: Mix::only(op), demand: Demand::Open { per_second }, keep_timeline: false }
    }
}

/// One measurement.
#[derive(Clone, Debug)]
pub struct LoadPlan {
    /// Whom to ask.
    pub target: Target,
    /// What to ask, all at the same time.
    pub streams: Vec<Stream>,
    /// The prefilled znodes that requests are about.
    pub keyspace: Keyspace,
    /// The size of values written.
    pub value_bytes: usize,
    /// Threads of the generator.
    pub threads: usize,
    /// Load before the window.
    pub warm_up: Duration,
    /// The longest window.
    pub window_max: Duration,
    /// The window ends early with this many replies.
    pub replies_max: Option<u64>,
    /// Tells the znodes that this run creates from those of other runs; also the seed of its choices.
    pub run: u64,
}

/// How long the drain waits for the last answers; requests without one count as this slow.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// How often the measuring thread looks at the workers.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// What one stream saw in the window.
#[derive(Clone, Debug, Default)]
pub struct StreamReport {
    /// Replies that arrived in the window.
    pub replies: u64,
    /// Those with an error code.
    pub errors: u64,
    /// The last error code seen.
    pub last_error: i32,
    /// Requests meant for the window that were never answered; their latency is the drain's length.
    pub unanswered: u64,
    /// Latencies by operation, of the operations that occurred.
    pub latencies: Vec<(Op, Latencies)>,
    /// Intended time and latency in nanoseconds, if the stream keeps them.
    pub timeline: Vec<(u64, u64)>,
}

impl StreamReport {
    /// The latencies of one operation; empty if it did not occur.
    pub fn of(&self, op: Op) -> Latencies {
        self.latencies.iter().find(|(of, _)| *of == op).map(|(_, it)| it.clone()).unwrap_or_default()
    }

    fn merge(&mut self, other: Self) {
        self.replies += other.replies;
        self.errors += other.errors;
        self.last_error = if other.last_error == 0 { self.last_error } else { other.last_error };
        self.unanswered += other.unanswered;
        for (op, latencies) in other.latencies {
            match self.latencies.iter_mut().find(|(of, _)| *of == op) {
                Some((_, mine)) => mine.merge(&latencies),
                None => self.latencies.push((op, latencies)),
            }
        }
        self.timeline.extend(other.timeline);
    }
}

/// What came of a measurement.
#[derive(Clone, Debug)]
pub struct LoadReport {
    /// One per stream of the plan.
    pub streams: Vec<StreamReport>,
    /// How long the window was.
    pub window: Duration,
    /// CPU time the servers used during the window; zero if none was given.
    pub cpu: Duration,
    /// CPU time the generator used during the window: near the window's length per thread, it was the
    /// bottleneck.
    pub generator_cpu: Duration,
    /// The servers at the end of the window.
    pub usage: Usage,
    /// How many znodes each connection created, by lane.
    pub created: Vec<(u64, u64)>,
    /// What `timeline` counts from.
    pub epoch: Instant,
}

impl LoadReport {
    /// Replies of all streams.
    pub fn replies(&self) -> u64 {
        self.streams.iter().map(|stream| stream.replies).sum()
    }

    /// Replies per second of the window.
    pub fn per_second(&self) -> f64 {
        self.replies() as f64 / self.window.as_secs_f64()
    }

    /// Replies per second of server CPU.
    pub fn per_cpu_second(&self) -> f64 {
        self.replies() as f64 / self.cpu.as_secs_f64().max(0.01)
    }

    /// An error if the server refused anything: a figure with errors in it measures something else.
    pub fn check(&self) -> Result<(), BenchError> {
        match self.streams.iter().find(|stream| 0 < stream.errors) {
            Some(stream) => {
                Err(BenchError::Failed { during: "a request under load", code: stream.last_error })
            }
            None => Ok(()),
        }
    }
}

/// What the measuring thread and the workers tell each other. Times are nanoseconds since `epoch`.
#[derive(Debug)]
pub struct Control {
    /// What all times count from.
    pub epoch: Instant,
    window_start_ns: AtomicU64,
    window_end_ns: AtomicU64,
    replies: AtomicU64,
    failed: AtomicBool,
}

impl Control {
    fn new() -> Self {
        Self {
            epoch: Instant::now(),
            window_start_ns: AtomicU64::new(u64::MAX),
            window_end_ns: AtomicU64::new(u64::MAX),
            replies: AtomicU64::new(0),
            failed: AtomicBool::new(false),
        }
    }

    /// Nanoseconds since `epoch`.
    pub fn now_ns(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    /// Whether this moment belongs to the window.
    pub fn is_in_window(&self, at_ns: u64) -> bool {
        self.window_start_ns.load(Ordering::Relaxed) <= at_ns
            && at_ns < self.window_end_ns.load(Ordering::Relaxed)
    }

    /// When the window ended, once it has.
    pub fn window_end(&self) -> Option<u64> {
        Some(self.window_end_ns.load(Ordering::Relaxed)).filter(|&end| end != u64::MAX)
    }

    /// Counts replies that arrived in the window.
    pub fn count_replies(&self, replies: u64) {
        self.replies.fetch_add(replies, Ordering::Relaxed);
    }

    /// After the end, how long a worker still waits for answers.
    pub fn drain_max(&self) -> Duration {
        DRAIN_MAX
    }

    fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }
}

/// Runs a plan for its whole window.
pub fn run(plan: &LoadPlan, servers: &[Process]) -> Result<LoadReport, BenchError> {
    run_until(plan, servers, &mut |_| false)
}

/// Runs a plan until `is_enough` says so, given the time since the window began.
pub fn run_until(
    plan: &LoadPlan,
    servers: &[Process],
    is_enough: &mut dyn FnMut(Duration) -> bool,
) -> Result<LoadReport, BenchError> {
    assert!(0 < plan.threads && !plan.streams.is_empty(), "a load has a thread and something to do");
    let control = Control::new();
    let workers = build_workers(plan, &control)?;
    std::thread::scope(|scope| {
        let running: Vec<_> = workers
            .into_iter()
            .map(|worker| {
                let control = &control;
                scope.spawn(move || worker.run(control).inspect_err(|_| control.fail()))
            })
            .collect();
        let measured = measure(plan, servers, &control, is_enough);
        let end_ns = control.now_ns();
        control.window_end_ns.fetch_min(end_ns, Ordering::Relaxed); // Also when measuring failed.

        let mut report = measured;
        let mut connections = Vec::new();
        for thread in running {
            let finished = thread.join().expect("a worker does not panic");
            match (finished, &mut report) {
                (Ok(finished), Ok(report)) => {
                    for (mine, other) in report.streams.iter_mut().zip(finished.streams) {
                        mine.merge(other);
                    }
                    report.created.extend(finished.created);
                    connections.extend(finished.connections);
                }
                (Err(error), report) => *report = Err(error),
                (Ok(_), Err(_)) => (),
            }
        }
        let report = report?;
        sessions::close(connections)?;
        Ok(report)
    })
}

fn build_workers<'p>(plan: &'p LoadPlan, control: &Control) -> Result<Vec<Worker<'p>>, BenchError> {
    let total = plan.streams.iter().map(|stream| stream.connections).sum();
    let mut connections = sessions::open(&plan.target, total)?.into_iter();
    let mut lanes: Vec<Vec<Lane>> = (0..plan.threads).map(|_| Vec::new()).collect();
    let mut index = 0;
    for (stream_index, stream) in plan.streams.iter().enumerate() {
        for connection in connections.by_ref().take(stream.connections) {
            lanes[index % plan.threads].push(new_lane(plan, stream_index, index as u64, connection));
            index += 1;
        }
    }
    let start_ns = control.now_ns();
    lanes
        .into_iter()
        .enumerate()
        .map(|(thread, lanes)| Worker::new(plan, thread as u64, lanes, start_ns))
        .collect()
}

fn new_lane(plan: &LoadPlan, stream: usize, index: u64, connection: Connection) -> Lane {
    Lane::new(connection, stream, index, plan.keyspace, plan.value_bytes, plan.run)
}

/// Opens and closes the window, with a look at the server's CPU at either end.
fn measure(
    plan: &LoadPlan,
    servers: &[Process],
    control: &Control,
    is_enough: &mut dyn FnMut(Duration) -> bool,
) -> Result<LoadReport, BenchError> {
    let usage = || Process::usage_of_all(servers).map_err(BenchError::io("read /proc"));
    let generator = || Process::this().cpu().map_err(BenchError::io("read /proc"));
    let has_failed = || control.failed.load(Ordering::Relaxed);
    let warm_until = Instant::now() + plan.warm_up;
    while Instant::now() < warm_until && !has_failed() {
        std::thread::sleep(LOOK_INTERVAL.min(plan.warm_up));
    }
    let (before, generator_before) = (usage()?, generator()?);
    let start = Instant::now();
    control.window_start_ns.store(control.now_ns(), Ordering::Relaxed);
    let replies_max = plan.replies_max.unwrap_or(u64::MAX);
    while start.elapsed() < plan.window_max
        && control.replies.load(Ordering::Relaxed) < replies_max
        && !has_failed()
        && !is_enough(start.elapsed())
    {
        std::thread::sleep(LOOK_INTERVAL);
    }
    control.window_end_ns.store(control.now_ns(), Ordering::Relaxed);
    let window = start.elapsed();
    let (after, generator_after) = (usage()?, generator()?);
    Ok(LoadReport {
        streams: vec![StreamReport::default(); plan.streams.len()],
        window,
        cpu: after.cpu.saturating_sub(before.cpu),
        generator_cpu: generator_after.saturating_sub(generator_before),
        usage: after,
        created: Vec::new(),
        epoch: control.epoch,
    })
}
