//! What operators are told about the log's batches.

use std::time::{Duration, Instant};

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

    pub(super) fn count_sync(&self, took: Duration) {
        if !self.batches.force_sync {
            return;
        }
        let took_ms = took.as_millis();
        self.figures.lock().sync_ms.add(took_ms as u64);
        if took_ms > self.batches.slow_sync.as_millis() {
            self.figures.lock().slow_syncs += 1;
            tracing::warn!(
                "fsync-ing the write ahead log in {} took {took_ms}ms which will adversely effect operation latency.\
                 File size is {} bytes. See the ZooKeeper troubleshooting guide",
                std::thread::current().name().unwrap_or("?"),
                self.log.file_bytes()
            );
        }
    }
}

fn whole_ms(later: Instant, earlier: Instant) -> u64 {
    later.saturating_duration_since(earlier).as_millis() as u64
}
