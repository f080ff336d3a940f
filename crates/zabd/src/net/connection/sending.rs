//! What a connection sends, and what is kept for its client meanwhile.

use std::task::{Context, Poll};

use super::buffers::forget_sent;
use super::counting::publish_counts;
use super::telling::Ending;
use super::{Client, Connection, Phase, Stays, TAKEN_BYTES_MIN};

impl Connection {
    /// Says what is kept for the client at the end of a turn in which it took `sent` bytes; `had_unsent` is whether there was
    /// anything to take before it.
    pub(super) fn settle(&mut self, had_unsent: bool, sent: usize) {
        let service = self.service.clone();
        service.driver.note_bytes(std::mem::take(&mut self.turn_bytes));
        let registry = &service.driver.registry;
        if self.phase == Phase::Closing {
            self.input = Vec::new();
            if self.stays == Stays::InLine {
                self.stays = Stays::Nothing;
                registry.backlog.leave(&self.client);
            }
        }
        self.settle_intake();
        let half_record = self.socket.half_record();
        let is_begun = self.may_go_on() || self.stays == Stays::Coming;
        let half_frame = if is_begun { self.input.capacity() + half_record } else { 0 };
        if half_record > 0 && self.input.is_empty() && !self.client.has_half_frame() {
            // No frame has begun where frames are looked for.
            self.frame_since_ms = service.driver.clock.monotonic_ms();
        }
        let is_more = self.client.set_half_frame(half_frame, self.frame_since_ms, &registry.half_frames);
        if is_more && registry.half_frames.is_too_much() {
            let now_ms = service.driver.clock.monotonic_ms();
            let to_wake = registry.half_frames.close_worst(&registry.lock(), now_ms);
            to_wake.into_iter().for_each(Client::wake);
        }
        let unsent = self.unsent();
        if unsent == 0 {
            self.client.set_unsent(0, None, &registry.backlog);
            return;
        }
        let now_ms = service.driver.clock.monotonic_ms();
        self.taken += sent;
        let is_taking = !had_unsent || self.taken >= TAKEN_BYTES_MIN;
        if is_taking {
            self.taken = 0;
        }
        self.client.set_unsent(unsent, is_taking.then_some(now_ms), &registry.backlog);
        if registry.backlog.is_too_much() {
            let to_wake = registry.backlog.close_largest(&registry.lock(), now_ms);
            to_wake.into_iter().for_each(Client::wake);
        }
    }

    /// Sends what there is; `Ready(false)` if the client is gone. Whoever has an answer finds it counted.
    pub(super) fn flush(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        publish_counts(&self.service.counters);
        while self.out_sent < self.out.len() {
            match self.socket.poll_write(context, &self.out[self.out_sent..]) {
                Poll::Pending => {
                    forget_sent(&mut self.out, &mut self.out_sent);
                    return Poll::Pending;
                }
                Poll::Ready(Ok(sent)) if sent > 0 => self.out_sent += sent,
                Poll::Ready(_) => {
                    self.ending = Ending::Broken;
                    return Poll::Ready(false);
                }
            }
        }
        self.out.clear();
        self.out_sent = 0;
        match self.socket.poll_flush(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => Poll::Ready(true),
            Poll::Ready(Err(_)) => {
                self.ending = Ending::Broken;
                Poll::Ready(false)
            }
        }
    }
}
