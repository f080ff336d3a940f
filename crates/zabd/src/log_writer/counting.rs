//! What operators are told about the log's batches.

use std::time::Instant;

use super::LogWriter;

impl LogWriter {
    pub(super) fn count_taken(&self, taken: Instant, arrivals: &[Instant]) {
        let mut figures = self.figures.lock();
        figures.taken += arrivals.len() as u64;
        figures.batch.add(arrivals.len() as u64);
        figures.left.add(self.driver.log.len() as u64);
        for since in arrivals {
            figures.queue_ms.add(whole_ms(taken, *since));
        }
    }

    /// Everything before this is applied and answered.
    pub(super) fn count_done(&self, taken: Instant, durable: Instant, arrivals: &[Instant]) {
        let answered = Instant::now();
        let mut figures = self.figures.lock();
        figures.flush_ms.add(whole_ms(durable, taken));
        figures.process_ms.add(whole_ms(answered, taken));
        for since in arrivals {
            figures.durable_ms.add(whole_ms(durable, *since));
            figures.answered_ms.add(whole_ms(answered, *since));
        }
    }
}

fn whole_ms(later: Instant, earlier: Instant) -> u64 {
    later.saturating_duration_since(earlier).as_millis() as u64
}
