//! What a connection's answers are counted as.
//!
//! What a turn adds to the figures of the whole server is collected by the thread, of all connections that step together, and
//! published before any of them sends: whoever has an answer finds it counted, and the memory that all threads count in, which
//! each has to take from the other, is touched once for many requests. A thread carries connections of one server only.

use std::cell::RefCell;
use std::sync::atomic::Ordering::Relaxed;

use zabd_replica::traffic::Traffic;

use super::telling::answers_in;
use super::{Connection, KEPT_UNANSWERED_MAX, Unanswered};
use crate::net::figures::{Responses, ServerCounters, Summary};
use crate::net::operations::OperationTally;

/// What operators are shown in the place of a refused update.
const NO_OP: i32 = 0;

/// What one turn adds to the figures.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) received: u64,
    pub(super) received_bytes: u64,
    pub(super) sent: u64,
    pub(super) reads: u64,
    pub(super) pipeline: Summary,
    pub(super) last_op: Option<i32>,
    /// Pings and the like are no operations of the client.
    pub(super) last_cxid: Option<i32>,
    /// Whether an update was refused behind that: Java forgets what it was.
    pub(super) is_refused: bool,
    /// Of the last answer.
    pub(super) zxid: i64,
    /// When that was made, monotonic milliseconds.
    pub(super) answered_ms: i64,
}

/// What the connections of a thread have done, and the whole server has not been told of.
#[derive(Debug, Default)]
pub(super) struct Counts {
    is_more: bool,
    received: u64,
    received_bytes: u64,
    sent: u64,
    reads: u64,
    pub(super) operations: OperationTally,
    pub(super) responses: Responses,
    pub(super) traffic: Traffic,
}

thread_local! {
    pub(super) static COUNTS: RefCell<Counts> = RefCell::default();
}

impl Tally {
    /// What the client asks for.
    pub(super) fn note_last(&mut self, op: i32, xid: i32) {
        self.last_op = Some(op);
        self.last_cxid = if xid >= 0 { Some(xid) } else { self.last_cxid };
    }
}

impl Counts {
    fn add(&mut self, tally: &Tally) {
        self.is_more = true;
        self.received += tally.received;
        self.received_bytes += tally.received_bytes;
        self.sent += tally.sent;
        self.reads += tally.reads;
    }

    fn publish(&mut self, counters: &ServerCounters) {
        if !std::mem::take(&mut self.is_more) {
            return;
        }
        counters.received.fetch_add(std::mem::take(&mut self.received), Relaxed);
        counters.received_bytes.fetch_add(std::mem::take(&mut self.received_bytes), Relaxed);
        counters.sent.fetch_add(std::mem::take(&mut self.sent), Relaxed);
        self.operations.publish(&counters.operations);
        let reads = std::mem::take(&mut self.reads);
        if reads > 0 {
            counters.reads_by_namespace.lock().absorb(&mut self.traffic);
            counters.responses.lock().merge(&std::mem::take(&mut self.responses));
            counters.latency.lock().add_instant_reads(reads);
        }
    }
}

/// Adds what the connections of this thread have done to the figures of the server; before anything of it is sent.
pub(super) fn publish_counts(counters: &ServerCounters) {
    COUNTS.with_borrow_mut(|counts| counts.publish(counters));
}

impl Connection {
    /// Counts what this turn did, for the connection and for the thread.
    pub(super) fn count_turn(&mut self) {
        let tally = std::mem::take(&mut self.tally);
        if tally.received == 0 && tally.sent == 0 {
            return;
        }
        COUNTS.with_borrow_mut(|counts| counts.add(&tally));
        let mut latency = tally.pipeline;
        latency.merge(&Summary { min: 0, max: 0, sum: 0, count: tally.reads });
        let mut figures = self.client.counters.figures.lock();
        figures.received += tally.received;
        figures.sent += tally.sent;
        figures.outstanding = self.unanswered.len() as u64;
        figures.latency.merge(&latency);
        if tally.zxid != 0 {
            figures.last_zxid = figures.last_zxid.max(tally.zxid);
        }
        figures.last_op = tally.last_op.unwrap_or(figures.last_op);
        figures.last_cxid = tally.last_cxid.map_or(figures.last_cxid, i64::from);
        if latency.count > 0 {
            figures.last_response_ms = self.service.driver.clock.of_machine_ms(tally.answered_ms);
            figures.last_latency_ms = tally.pipeline.max;
        }
        if tally.is_refused {
            figures.last_op = NO_OP;
        }
    }

    /// Whether the last of the answers is that of an update.
    pub(super) fn count_answers(&mut self, answers: usize, begin: usize) -> bool {
        let answered = answers.min(self.unanswered.len());
        if answered == 0 {
            return false;
        }
        let was_update = self.unanswered[answered - 1].is_update;
        let now_ms = self.service.driver.clock.monotonic_ms();
        self.tell_slow(answered, begin, now_ms);
        self.count_operations(answered, begin);
        self.tally.answered_ms = now_ms;
        let mut latency = self.service.counters.latency.lock();
        let mut bytes = 0;
        for Unanswered { came_ms, is_update, weight, length, .. } in self.unanswered.drain(..answered) {
            self.reads_waiting -= weight;
            bytes += length;
            let took_ms = (now_ms - came_ms).max(0) as u64;
            self.tally.pipeline.add(took_ms);
            latency.add(took_ms, is_update);
        }
        drop(latency);
        if self.unanswered.is_empty() {
            self.unanswered.shrink_to(KEPT_UNANSWERED_MAX);
        }
        self.service.counters.in_flight.fetch_sub(answered as i64, Relaxed);
        self.service.driver.registry.intake.remove(bytes);
        was_update
    }

    /// Counts what was asked for, by the answers that stand in the output from `begin` on. Of a multi it is the results that say
    /// whether it was done, as in Java.
    fn count_operations(&mut self, answered: usize, begin: usize) {
        let asked = self.unanswered.iter().take(answered);
        for (request, (_, _, error)) in asked.zip(answers_in(&self.out[begin..])) {
            if !request.is_refused && (error == 0 || !request.is_update) {
                self.count_operation(request.op);
            }
        }
    }

    pub(super) fn count_operation(&self, op: i32) {
        COUNTS.with_borrow_mut(|counts| counts.operations.add(op, &self.service.counters.operations));
    }
}
