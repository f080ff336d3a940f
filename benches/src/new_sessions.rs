//! New sessions: connect, `createSession`, perhaps some ephemeral znodes, `closeSession`, wait for the end of the stream, and again,
//! with a fixed number of them under way.

use std::time::{Duration, Instant};

use crate::connection::{Connection, Target};
use crate::error::BenchError;
use crate::latency::Latencies;
use crate::poller::Poller;
use crate::process::Process;
use crate::sessions::{begin_handshake, end_handshake, is_closed};
use crate::wire;
use crate::workload::{PathBuffer, value};

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub struct NewSessionsPlan {
    /// Whom to call; from several local addresses, if it is to last more than seconds.
    pub target: Target,
    /// Sessions under way at once; Java's backlog is 50.
    pub concurrency: usize,
    /// Load before the window.
    pub warm_up: Duration,
    /// How long to measure.
    pub window: Duration,
    /// Ephemeral znodes of 100 bytes that each session creates, below `/bench/created`.
    pub ephemerals: usize,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct NewSessionsReport {
    /// Sessions that were closed in the window.
    pub sessions: u64,
    /// How long the window was.
    pub window: Duration,
    /// Server CPU time of the window.
    pub cpu: Duration,
    /// From the call to the server's `ConnectResponse`.
    pub latencies: Latencies,
}

impl NewSessionsReport {
    /// Sessions per second of server CPU.
    pub fn per_cpu_second(&self) -> f64 {
        self.sessions as f64 / self.cpu.as_secs_f64().max(0.01)
    }
}

/// Keeps the paths apart from those of loads, which count from 1. What a session creates goes with it.
const RUN: u64 = 0;

/// One session under way.
struct Slot {
    connection: Connection,
    /// Which session this is.
    number: u64,
    called: Instant,
    is_established: bool,
}

struct Slots<'p> {
    plan: &'p NewSessionsPlan,
    poller: Poller,
    slots: Vec<Slot>,
    /// Connections opened so far; chooses the local address.
    opened: usize,
    ready: Vec<usize>,
    buffer: Vec<u8>,
    value: Vec<u8>,
}

impl<'p> Slots<'p> {
    fn new(plan: &'p NewSessionsPlan) -> Result<Self, BenchError> {
        let poller = Poller::new().map_err(BenchError::io("create an epoll"))?;
        let mut slots = Self {
            plan,
            poller,
            slots: Vec::new(),
            opened: 0,
            ready: Vec::new(),
            buffer: Vec::new(),
            value: value(100),
        };
        for token in 0..plan.concurrency {
            let slot = slots.call(token)?;
            slots.slots.push(slot);
        }
        Ok(slots)
    }

    fn call(&mut self, token: usize) -> Result<Slot, BenchError> {
        let called = Instant::now();
        self.opened += 1;
        let connection = begin_handshake(&self.plan.target, self.opened, token, &self.poller)?;
        let number = self.opened as u64;
        Ok(Slot { connection, number, called, is_established: false })
    }

    /// Waits once; each session that ended makes room for the next, as long as there is to be one.
    fn turn(&mut self, goes_on: bool, latencies: &mut Latencies) -> Result<u64, BenchError> {
        let mut ended = 0;
        let mut ready = std::mem::take(&mut self.ready);
        self.poller
            .wait(Duration::from_millis(20), &mut ready)
            .map_err(BenchError::io("wait for sockets"))?;
        for token in ready.drain(..) {
            let slot = &mut self.slots[token];
            if !slot.is_established {
                if end_handshake(&mut slot.connection, &mut self.buffer)? {
                    latencies.record(slot.called.elapsed().as_nanos() as u64);
                    slot.is_established = true;
                    let mut path = PathBuffer::created(RUN, slot.number);
                    for index in 0..self.plan.ephemerals {
                        let xid = slot.connection.next_xid();
                        let path = path.nth_created(index as u64);
                        wire::create_ephemeral(slot.connection.out(), xid, path, &self.value);
                    }
                    let xid = slot.connection.next_xid();
                    wire::close(slot.connection.out(), xid);
                    slot.connection.flush().map_err(BenchError::io("close a session"))?;
                }
            } else if is_closed(&mut slot.connection, &mut self.buffer)? {
                ended += 1;
                if goes_on {
                    self.slots[token] = self.call(token)?;
                } else {
                    self.poller.remove(&slot.connection).map_err(BenchError::io("forget a socket"))?;
                }
            }
        }
        self.ready = ready;
        Ok(ended)
    }
}

/// Runs a plan.
pub fn run(plan: &NewSessionsPlan, servers: &[Process]) -> Result<NewSessionsReport, BenchError> {
    let cpu = || Process::usage_of_all(servers).map(|usage| usage.cpu).map_err(BenchError::io("read /proc"));
    let mut slots = Slots::new(plan)?;
    let warm_until = Instant::now() + plan.warm_up;
    while Instant::now() < warm_until {
        slots.turn(true, &mut Latencies::default())?;
    }
    let (start, cpu_before) = (Instant::now(), cpu()?);
    let (mut sessions, mut latencies) = (0, Latencies::default());
    while start.elapsed() < plan.window {
        sessions += slots.turn(true, &mut latencies)?;
    }
    let (window, cpu_used) = (start.elapsed(), cpu()?.saturating_sub(cpu_before));
    let mut left = plan.concurrency as u64;
    let draining = Instant::now();
    while 0 < left && draining.elapsed() < Duration::from_secs(10) {
        left -= slots.turn(false, &mut Latencies::default())?;
    }
    Ok(NewSessionsReport { sessions, window, cpu: cpu_used, latencies })
}
