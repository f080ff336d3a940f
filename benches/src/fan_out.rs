//! Watch fan-out: many sessions watch one znode, one session changes it, everybody hears.
//!
//! A round begins when the change is sent and ends when the last notification has arrived. Arming the
//! watches is not part of the figure: persistent watches are armed once before the first round; one-shot
//! watches are armed again between rounds, with the server's CPU clock looked at around each firing.

use std::time::{Duration, Instant};

use crate::connection::{Connection, Received, Target};
use crate::conversation::Conversation;
use crate::error::BenchError;
use crate::latency::Latencies;
use crate::poller::{Interest, Poller};
use crate::process::Process;
use crate::sessions;
use crate::wire::{self, Frames, Incoming};
use crate::workload::{CREATED, value};

/// How watches are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum WatchMode {
    /// `addWatch` once.
    Persistent,
    /// `getData` with a watch before every round.
    OneShot,
}

/// One measurement. The watched znode is `/bench/created`, so a prefilled server is needed.
#[derive(Clone, Copy, Debug)]
pub struct FanOutPlan {
    /// Whom to ask.
    pub target: Target,
    /// Sessions that watch.
    pub watchers: usize,
    /// How they watch.
    pub mode: WatchMode,
    /// Rounds before the measured ones.
    pub warm_up_rounds: usize,
    /// Measured rounds end after this time; at least one is done.
    pub firing_max: Duration,
    /// The size of the value that the writer sets.
    pub value_bytes: usize,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct FanOutReport {
    /// Notifications that arrived in measured rounds.
    pub notifications: u64,
    /// Measured rounds.
    pub rounds: u64,
    /// Time the measured rounds took, arming excluded.
    pub firing: Duration,
    /// Server CPU time of the measured rounds, arming excluded.
    pub cpu: Duration,
    /// From the change being sent to each notification.
    pub latencies: Latencies,
}

impl FanOutReport {
    /// Notifications per second of server CPU.
    pub fn per_cpu_second(&self) -> f64 {
        self.notifications as f64 / self.cpu.as_secs_f64().max(0.01)
    }
}

/// Longer than a round takes on any server.
const ROUND_DEADLINE: Duration = Duration::from_secs(20);

/// The watching sessions.
struct Audience {
    poller: Poller,
    watchers: Vec<Connection>,
    ready: Vec<usize>,
    buffer: Vec<u8>,
}

impl Audience {
    fn gather(plan: &FanOutPlan) -> Result<Self, BenchError> {
        let watchers = sessions::open(&plan.target, plan.watchers)?;
        let poller = Poller::new().map_err(BenchError::io("create an epoll"))?;
        for (token, watcher) in watchers.iter().enumerate() {
            poller.add(watcher, token, Interest::Read).map_err(BenchError::io("watch a socket"))?;
        }
        Ok(Self { poller, watchers, ready: Vec::new(), buffer: Vec::new() })
    }

    fn arm(&mut self, mode: WatchMode) -> Result<(), BenchError> {
        for watcher in &mut self.watchers {
            let xid = watcher.next_xid();
            match mode {
                WatchMode::Persistent => wire::add_persistent_watch(watcher.out(), xid, CREATED),
                WatchMode::OneShot => wire::get(watcher.out(), xid, CREATED, true),
            }
            watcher.flush().map_err(BenchError::io("write to the server"))?;
        }
        let total = self.watchers.len() as u64;
        let (mut replies, started) = (0, Instant::now());
        while replies < total {
            self.hear(started, "arming watches", &mut |incoming| match incoming {
                Incoming::Event => Ok(()),
                Incoming::Reply { error: 0, .. } => {
                    replies += 1;
                    Ok(())
                }
                Incoming::Reply { error: code, .. } => {
                    Err(BenchError::Failed { during: "arming a watch", code })
                }
            })?;
        }
        Ok(())
    }

    /// Waits until every watcher has heard once more; records how long after `sent` each did.
    fn hear_all(&mut self, sent: Instant, latencies: &mut Latencies) -> Result<u64, BenchError> {
        let total = self.watchers.len() as u64;
        let mut heard = 0;
        while heard < total {
            self.hear(sent, "a round of notifications", &mut |incoming| {
                if incoming == Incoming::Event {
                    heard += 1;
                    latencies.record(sent.elapsed().as_nanos() as u64);
                }
                Ok(())
            })?;
        }
        Ok(heard)
    }

    /// Waits once and hands over whatever has arrived.
    fn hear(
        &mut self,
        started: Instant,
        during: &'static str,
        on_frame: &mut dyn FnMut(Incoming<'_>) -> Result<(), BenchError>,
    ) -> Result<(), BenchError> {
        if ROUND_DEADLINE < started.elapsed() {
            return Err(BenchError::TimedOut { during, seconds: ROUND_DEADLINE.as_secs() });
        }
        self.poller
            .wait(Duration::from_millis(100), &mut self.ready)
            .map_err(BenchError::io("wait for sockets"))?;
        for token in self.ready.drain(..) {
            let watcher = &mut self.watchers[token];
            let received =
                watcher.receive(&mut self.buffer).map_err(BenchError::io("read from the server"))?;
            let Received::Bytes(count) = received else { return Err(BenchError::Closed { during }) };
            let mut frames = Frames::new(&self.buffer[..count]);
            for frame in frames.by_ref() {
                on_frame(Incoming::decode(frame)?)?;
            }
            watcher.keep(frames.rest());
        }
        Ok(())
    }
}

/// Runs a plan.
pub fn run(plan: &FanOutPlan, servers: &[Process]) -> Result<FanOutReport, BenchError> {
    let mut writer = Conversation::open(&plan.target)?;
    let mut audience = Audience::gather(plan)?;
    if plan.mode == WatchMode::Persistent {
        audience.arm(plan.mode)?;
    }
    let data = value(plan.value_bytes);
    let mut round = |audience: &mut Audience, latencies: &mut Latencies| -> Result<u64, BenchError> {
        let sent = Instant::now();
        writer.ask("changing the watched znode", |out, xid| wire::set(out, xid, CREATED, &data))?;
        let heard = audience.hear_all(sent, latencies)?;
        let answer = writer.answer()?;
        match answer.error {
            0 => Ok(heard),
            code => Err(BenchError::Failed { during: "changing the watched znode", code }),
        }
    };
    let cpu = || Process::usage_of_all(servers).map(|usage| usage.cpu).map_err(BenchError::io("read /proc"));
    for _ in 0..plan.warm_up_rounds {
        if plan.mode == WatchMode::OneShot {
            audience.arm(plan.mode)?;
        }
        round(&mut audience, &mut Latencies::default())?;
    }
    let mut report = FanOutReport {
        notifications: 0,
        rounds: 0,
        firing: Duration::ZERO,
        cpu: Duration::ZERO,
        latencies: Latencies::default(),
    };
    while report.rounds == 0 || report.firing < plan.firing_max {
        if plan.mode == WatchMode::OneShot {
            audience.arm(plan.mode)?;
        }
        let (started, cpu_before) = (Instant::now(), cpu()?);
        report.notifications += round(&mut audience, &mut report.latencies)?;
        report.cpu += cpu()?.saturating_sub(cpu_before);
        report.firing += started.elapsed();
        report.rounds += 1;
    }
    writer.close()?;
    let Audience { poller, watchers, .. } = audience;
    drop(poller);
    sessions::close(watchers)?;
    Ok(report)
}
