//! One generator thread: an epoll loop over its share of the connections.
//!
//! A turn of the loop writes whatever is due, waits for sockets until the next request is due, and takes
//! the replies of each ready connection with one read. In closed loop the next requests of that
//! connection go out with one write, as many as were answered.

use std::collections::VecDeque;
use std::time::Duration;

use crate::connection::{Connection, Received};
use crate::error::BenchError;
use crate::latency::Latencies;
use crate::load::{Control, Demand, LoadPlan, StreamReport};
use crate::pace::Pace;
use crate::poller::{Interest, Poller};
use crate::wire::{Frames, Incoming, multi_error};
use crate::workload::{Dice, Keyspace, Op, Requests};

/// The longest wait, so that a thread without work sees the end of the window.
const WAIT_MAX: Duration = Duration::from_millis(20);

/// A request without an answer.
#[derive(Clone, Copy, Debug)]
struct Pending {
    intended_ns: u64,
    xid: i32,
    op: Op,
}

/// One connection and what it waits for.
#[derive(Debug)]
pub struct Lane {
    connection: Connection,
    stream: usize,
    index: u64,
    requests: Requests,
    pending: VecDeque<Pending>,
    /// Set while the socket takes no more, and the poller tells when it does.
    is_blocked: bool,
    /// Set while the lane has requests that were written but not flushed.
    is_dirty: bool,
}

impl Lane {
    /// The `index`-th connection of the run `run`, working for the plan's stream number `stream`.
    pub fn new(
        connection: Connection,
        stream: usize,
        index: u64,
        keyspace: Keyspace,
        value_bytes: usize,
        run: u64,
    ) -> Self {
        let requests = Requests::new(keyspace, value_bytes, run, index);
        Self {
            connection,
            stream,
            index,
            requests,
            pending: VecDeque::new(),
            is_blocked: false,
            is_dirty: false,
        }
    }

    fn issue(&mut self, op: Op, intended_ns: u64, dice: &mut Dice) {
        let xid = self.connection.next_xid();
        let xid = self.requests.write(op, xid, dice, self.connection.out());
        self.pending.push_back(Pending { intended_ns, xid, op });
    }

    fn flush(&mut self, token: usize, poller: &Poller) -> Result<(), BenchError> {
        self.is_dirty = false;
        let is_blocked = !self.connection.flush().map_err(BenchError::io("write to the server"))?;
        if is_blocked != self.is_blocked {
            self.is_blocked = is_blocked;
            let interest = if is_blocked { Interest::ReadWrite } else { Interest::Read };
            poller.change(&self.connection, token, interest).map_err(BenchError::io("watch a socket"))?;
        }
        Ok(())
    }
}

/// A stream's open loop on this thread.
#[derive(Debug)]
struct Schedule {
    pace: Pace,
    /// The lanes that take turns.
    lanes: Vec<usize>,
    turn: usize,
}

/// A generator thread.
#[derive(Debug)]
pub struct Worker<'p> {
    plan: &'p LoadPlan,
    poller: Poller,
    lanes: Vec<Lane>,
    /// By stream; `None` for closed loops.
    schedules: Vec<Option<Schedule>>,
    reports: Vec<StreamReport>,
    dice: Dice,
    buffer: Vec<u8>,
    dirty: Vec<usize>,
}

/// What a worker gives back.
#[derive(Debug)]
pub struct Finished {
    /// By stream.
    pub streams: Vec<StreamReport>,
    /// Connections, by now without anything outstanding, to be closed.
    pub connections: Vec<Connection>,
    /// How many znodes each lane created.
    pub created: Vec<(u64, u64)>,
}

impl<'p> Worker<'p> {
    /// The `thread`-th worker, with its share of the lanes; open loops begin at `start_ns`.
    pub fn new(plan: &'p LoadPlan, thread: u64, lanes: Vec<Lane>, start_ns: u64) -> Result<Self, BenchError> {
        let poller = Poller::new().map_err(BenchError::io("create an epoll"))?;
        for (token, lane) in lanes.iter().enumerate() {
            poller.add(&lane.connection, token, Interest::Read).map_err(BenchError::io("watch a socket"))?;
        }
        let schedule = |(index, stream): (usize, &crate::load::Stream)| match stream.demand {
            Demand::Closed { .. } => None,
            Demand::Open { per_second } => {
                let own: Vec<usize> = (0..lanes.len()).filter(|&lane| lanes[lane].stream == index).collect();
                let share = per_second * own.len() as f64 / stream.connections as f64;
                (!own.is_empty()).then(|| Schedule { pace: Pace::new(start_ns, share), lanes: own, turn: 0 })
            }
        };
        let schedules = plan.streams.iter().enumerate().map(schedule).collect();
        let reports = vec![StreamReport::default(); plan.streams.len()];
        let dice = Dice::new(plan.run.wrapping_mul(64).wrapping_add(thread));
        Ok(Self { plan, poller, lanes, schedules, reports, dice, buffer: Vec::new(), dirty: Vec::new() })
    }

    /// Asks until the window has ended, then waits for the last answers.
    pub fn run(mut self, control: &Control) -> Result<Finished, BenchError> {
        self.fill_closed_loops(control.now_ns())?;
        let mut ready = Vec::new();
        loop {
            let now_ns = control.now_ns();
            let is_draining = match control.window_end() {
                None => false,
                Some(end_ns) if self.is_drained() || end_ns + drain_ns(control) < now_ns => break,
                Some(_) => true,
            };
            if !is_draining {
                self.issue_due(now_ns)?;
            }
            let next_due = self.schedules.iter().flatten().map(|schedule| schedule.pace.next_due_ns()).min();
            let wait = match next_due {
                Some(due_ns) if !is_draining => {
                    Duration::from_nanos(due_ns.saturating_sub(control.now_ns())).min(WAIT_MAX)
                }
                _ => WAIT_MAX,
            };
            self.poller.wait(wait, &mut ready).map_err(BenchError::io("wait for sockets"))?;
            for token in ready.drain(..) {
                self.on_ready(token, is_draining, control)?;
            }
        }
        Ok(self.finish(control))
    }

    fn is_drained(&self) -> bool {
        self.lanes.iter().all(|lane| lane.pending.is_empty())
    }

    fn fill_closed_loops(&mut self, now_ns: u64) -> Result<(), BenchError> {
        for (token, lane) in self.lanes.iter_mut().enumerate() {
            let stream = &self.plan.streams[lane.stream];
            if let Demand::Closed { outstanding } = stream.demand {
                for _ in 0..outstanding {
                    lane.issue(stream.mix.pick(&mut self.dice), now_ns, &mut self.dice);
                }
                lane.flush(token, &self.poller)?;
            }
        }
        Ok(())
    }

    /// Sends what the open loops owe by now.
    fn issue_due(&mut self, now_ns: u64) -> Result<(), BenchError> {
        for (stream, schedule) in self.plan.streams.iter().zip(&mut self.schedules) {
            let Some(schedule) = schedule else { continue };
            while let Some(intended_ns) = schedule.pace.take_due(now_ns) {
                let token = schedule.lanes[schedule.turn];
                schedule.turn = (schedule.turn + 1) % schedule.lanes.len();
                let lane = &mut self.lanes[token];
                lane.issue(stream.mix.pick(&mut self.dice), intended_ns, &mut self.dice);
                if !lane.is_dirty {
                    lane.is_dirty = true;
                    self.dirty.push(token);
                }
            }
        }
        for token in self.dirty.drain(..) {
            self.lanes[token].flush(token, &self.poller)?;
        }
        Ok(())
    }

    fn on_ready(&mut self, token: usize, is_draining: bool, control: &Control) -> Result<(), BenchError> {
        let lane = &mut self.lanes[token];
        let received =
            lane.connection.receive(&mut self.buffer).map_err(BenchError::io("read from the server"))?;
        let Received::Bytes(count) = received else {
            return Err(BenchError::Closed { during: "under load" });
        };
        let now_ns = control.now_ns();
        let report = &mut self.reports[lane.stream];
        let replies_before = report.replies;
        let mut answered = 0;
        let mut frames = Frames::new(&self.buffer[..count]);
        for frame in frames.by_ref() {
            let Incoming::Reply { xid, error, body } = Incoming::decode(frame)? else { continue };
            let pending = lane.pending.pop_front();
            let pending = pending.filter(|pending| pending.xid == xid).ok_or(BenchError::OutOfOrder {
                expected: pending.map_or(0, |pending| pending.xid),
                actual: xid,
            })?;
            let error = match (pending.op, error) {
                (Op::Swap, 0) => multi_error(body)?.unwrap_or(0),
                (_, error) => error,
            };
            record(report, self.plan, lane.stream, pending, error, now_ns, control);
            answered += 1;
        }
        lane.connection.keep(frames.rest());
        let replies = report.replies - replies_before;
        if 0 < replies {
            control.count_replies(replies);
        }
        let stream = &self.plan.streams[lane.stream];
        if !is_draining && matches!(stream.demand, Demand::Closed { .. }) {
            for _ in 0..answered {
                lane.issue(stream.mix.pick(&mut self.dice), now_ns, &mut self.dice);
            }
        }
        lane.flush(token, &self.poller)
    }

    fn finish(mut self, control: &Control) -> Finished {
        let now_ns = control.now_ns();
        for lane in &mut self.lanes {
            let report = &mut self.reports[lane.stream];
            for pending in lane.pending.drain(..).filter(|it| control.is_in_window(it.intended_ns)) {
                report.unanswered += 1;
                record_latency(report, self.plan, lane.stream, pending, now_ns);
            }
        }
        let created = self.lanes.iter().map(|lane| (lane.index, lane.requests.created_count())).collect();
        let connections = self.lanes.into_iter().map(|lane| lane.connection).collect();
        Finished { streams: self.reports, connections, created }
    }
}

fn drain_ns(control: &Control) -> u64 {
    control.drain_max().as_nanos() as u64
}

fn record(
    report: &mut StreamReport,
    plan: &LoadPlan,
    stream: usize,
    pending: Pending,
    error: i32,
    now_ns: u64,
    control: &Control,
) {
    if control.is_in_window(now_ns) {
        report.replies += 1;
        if error != 0 {
            report.errors += 1;
            report.last_error = error;
        }
    }
    if control.is_in_window(pending.intended_ns) {
        record_latency(report, plan, stream, pending, now_ns);
    }
}

fn record_latency(report: &mut StreamReport, plan: &LoadPlan, stream: usize, pending: Pending, now_ns: u64) {
    let latency_ns = now_ns.saturating_sub(pending.intended_ns);
    let index = report.latencies.iter().position(|(op, _)| *op == pending.op).unwrap_or_else(|| {
        report.latencies.push((pending.op, Latencies::default()));
        report.latencies.len() - 1
    });
    report.latencies[index].1.record(latency_ns);
    if plan.streams[stream].keep_timeline {
        report.timeline.push((pending.intended_ns, latency_ns));
    }
}
