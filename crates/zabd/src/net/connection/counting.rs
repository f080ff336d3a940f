//! What a connection's answers are counted as.

use std::sync::atomic::Ordering::Relaxed;

use super::telling::answers_in;
use super::{Connection, KEPT_UNANSWERED_MAX, Unanswered};

impl Connection {
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
        let Self { tally, unanswered, service, out, .. } = self;
        let asked = unanswered.iter().take(answered);
        for (request, (_, _, error)) in asked.zip(answers_in(&out[begin..])) {
            if !request.is_refused && (error == 0 || !request.is_update) {
                tally.operations.add(request.op, &service.counters.operations);
            }
        }
    }
}
