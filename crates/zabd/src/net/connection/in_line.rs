//! A connection whose next request has to wait outside the pipeline: for a place in it that is not free (see
//! [`RequestThrottle`](super::RequestThrottle)), for room, if it is large (see [`crate::net::intake`]), for a place among what is kept
//! for all clients (see [`crate::net::reply_line`]), or for the audit log (see [`crate::logging::hold`]).

use std::sync::atomic::Ordering::Relaxed;
use std::task::Context;
use std::time::Duration;

use zabd_jute::client::{ConnectRequest, RequestHeader};
use zabd_jute::{OpCode, Record as _, SessionId};
use zabd_replica::read;

use super::super::intake::Way;
use super::super::request_throttle::{Admitted, InLine, Line};
use super::frames::Turn;
use super::telling::Ending;
use super::{CHUNK_BYTES, Connection, Phase, Stays};
use crate::logging::audit_log;
use crate::logging::hold::Share;

/// How often a client that waits for the audit log is looked at, should nobody wake it.
const AUDIT_LOOK: Duration = Duration::from_millis(500);

/// The frame has to wait.
#[derive(Debug)]
pub(super) struct MustWait;

impl Connection {
    /// A place in the pipeline for a frame that ends at `end`, if it needs one and places are limited.
    pub(super) fn admit(
        &mut self,
        turn: &Turn<'_>,
        end: usize,
        frame: &[u8],
    ) -> Result<Option<Admitted>, MustWait> {
        if self.line.is_none() {
            return Ok(None);
        }
        let op = self.throttled_op(frame);
        let needs_place = op.is_some_and(|op| op == OpCode::CreateSession.code() || self.needs_pipeline(op));
        let timeout_ms = self.patience_ms();
        let line = self.line.as_mut().expect("it was just there");
        match op {
            None => {
                line.leave();
                Ok(None)
            }
            Some(op) if needs_place => line.enter(op, end, turn.now_ms, timeout_ms).map(Some).ok_or(MustWait),
            Some(op) => Ok(Some(line.pass(op, end, turn.now_ms))),
        }
    }

    /// What a frame asks for, if that is a matter for the throttle; a session that is resumed is not.
    fn throttled_op(&self, frame: &[u8]) -> Option<i32> {
        if self.phase == Phase::Handshake {
            let request = ConnectRequest::from_bytes(frame).ok()?;
            return (request.session == SessionId::NONE).then_some(OpCode::CreateSession.code());
        }
        let op = RequestHeader::from_bytes(frame).ok()?.op;
        let is_answered_here =
            op == OpCode::Auth.code() || op == OpCode::Sasl.code() || !self.is_authenticated();
        (!is_answered_here && op != OpCode::CreateSession.code()).then_some(op)
    }

    /// How old a request may become, if that is limited.
    fn patience_ms(&self) -> i32 {
        if self.phase == Phase::Open { self.timeout_ms } else { self.service.options.timeouts.max_ms }
    }

    pub(super) fn is_in_line(&self) -> bool {
        self.line.as_ref().is_some_and(|line| line.waiting_op().is_some())
    }

    /// Whoever waits in a line reads on, a little, to hear whether the client is still there. Who waits for answers does not: they
    /// come soon.
    pub(super) fn may_read_ahead(&self) -> bool {
        (self.is_in_line() || self.waits_for_place())
            && self.stays != Stays::Coming
            && !self.is_at_end
            && self.input.len() < CHUNK_BYTES
            // Whoever asks with a word may have said all already, and wants the answer all the same.
            && !matches!(self.phase, Phase::First | Phase::Closing)
    }

    pub(super) fn waits_for_place(&self) -> bool {
        matches!(self.stays, Stays::InLine | Stays::Coming | Stays::InFlight) && self.has_to_stay()
    }

    /// Whether it waits for a place for a long reply.
    pub(super) fn stands_in_line(&self) -> bool {
        self.stays == Stays::InLine && self.has_to_stay()
    }

    /// It does, and has said something: it does not hang.
    pub(super) fn note_heard_in_line(&self) {
        self.service.driver.registry.backlog.hear(&self.client);
    }

    /// Whether a client that waits for a place for a long reply has been heard since this was last asked. Its pings stand behind
    /// the request that waits. Of one that has sent as much as is read ahead nobody can say more than that its socket is open.
    pub(super) fn is_heard_in_line(&mut self) -> bool {
        if !self.waits_for_place() || self.phase != Phase::Open || self.is_at_end || !self.socket.is_open() {
            return false;
        }
        let before = std::mem::replace(&mut self.heard_in_line_bytes, self.input.len());
        before != self.input.len() || self.input.len() >= CHUNK_BYTES || self.stays == Stays::Coming
    }

    /// A client that takes its answers is alive, and so is one that says something while it is kept waiting.
    pub(super) fn note_sign_of_life(&mut self) {
        let service = self.service.clone();
        let now_ms = service.driver.clock.monotonic_ms();
        self.client.counters.heard_ms.store(now_ms, Relaxed);
        self.submit(&service, now_ms, true);
    }

    /// Whether the next request stays where it is for now.
    pub(super) fn has_to_stay(&self) -> bool {
        match self.stays {
            Stays::Nothing => false,
            Stays::BehindAnswers => !self.unanswered.is_empty(),
            Stays::InLine => !self.client.has_place(),
            Stays::Coming => !self.client.has_entry(Way::Coming),
            Stays::InFlight => !self.client.has_entry(Way::InFlight),
            Stays::ForAudit => true,
        }
    }

    /// A share of the audit log for a request that is about to be told there; without one its client waits.
    pub(super) fn enter_audit(&mut self, op: i32, body_bytes: usize) -> Result<Option<Share>, MustWait> {
        let Some(log) = audit_log().filter(|_| read::is_write(op)) else { return Ok(None) };
        let share = log.enter(op, body_bytes, &self.identities);
        if share.is_none() {
            self.stays = Stays::ForAudit;
        }
        share.map(Some).ok_or(MustWait)
    }

    /// Looks whether a client that waits for the audit log may go on; true if it may. A client that is not read because of the log
    /// cannot show that it is alive, so its open socket says so.
    pub(super) fn look_for_audit(&mut self, context: &mut Context<'_>) -> bool {
        let Some(log) = audit_log().filter(|_| self.stays == Stays::ForAudit) else { return false };
        if self.phase == Phase::Closing || log.may_go_on(self.client.id, context.waker()) {
            self.stays = Stays::Nothing;
            self.audit_look = None;
            return true;
        }
        let look = self.audit_look.get_or_insert_with(|| Box::pin(tokio::time::sleep(AUDIT_LOOK)));
        let mut is_due = false;
        while look.as_mut().poll(context).is_ready() {
            look.as_mut().reset(tokio::time::Instant::now() + AUDIT_LOOK);
            is_due = true;
        }
        if is_due && self.phase == Phase::Open && self.socket.is_open() {
            self.note_sign_of_life();
        }
        false
    }

    /// Gives back the place for a long reply that was not needed for the request that waited for it.
    pub(super) fn release_place(&mut self) {
        if self.client.has_place() {
            let backlog = &self.service.driver.registry.backlog;
            backlog.add(-(self.client.take_place() as isize));
        }
    }

    /// Leaves to others what this client does not need, or cannot use now.
    pub(super) fn settle_intake(&mut self) {
        let registry = &self.service.driver.registry;
        let is_closing = self.phase == Phase::Closing;
        if is_closing && self.coming_bytes > 0 {
            registry.coming.remove(std::mem::take(&mut self.coming_bytes));
        }
        let (way, intake) = match self.stays {
            Stays::Coming => (Way::Coming, &registry.coming),
            Stays::InFlight => (Way::InFlight, &registry.intake),
            _ => return,
        };
        if is_closing || (self.client.has_entry(way) && !self.may_go_on()) {
            intake.leave(&self.client);
            self.stays = Stays::Nothing;
        }
    }

    pub(super) fn note_received(&mut self, bytes: usize) {
        if let Some(line) = &mut self.line {
            line.note_received(bytes, self.service.driver.clock.monotonic_ms());
        }
    }

    /// Looks how a connection stands that stood in line; true if it may go on.
    pub(super) fn look_in_line(&mut self, context: &mut Context<'_>) -> bool {
        if self.line.is_none() {
            return false;
        }
        let may_enter = self.may_enter();
        let line = self.line.as_mut().expect("it was just there");
        if !may_enter {
            // A place is for who uses it at once.
            line.leave();
        }
        let Some(op) = line.waiting_op() else { return false };
        let is_needed = self.phase == Phase::Handshake || self.needs_pipeline(op);
        let (now_ms, timeout_ms) = (self.service.driver.clock.monotonic_ms(), self.patience_ms());
        let line = self.line.as_mut().expect("it was just there");
        if !is_needed {
            // What stood before it was answered meanwhile.
            line.leave();
        }
        match line.poll(context, now_ms, timeout_ms) {
            InLine::Waits => false,
            InLine::GoesOn => true,
            InLine::IsDropped => {
                self.tell_refused("a request waited longer than its session may");
                self.close(Ending::Refused);
                false
            }
        }
    }

    /// The client is gone: whether what it sent is done all the same. Nobody wants the answers. `waited` is whether it waited for a
    /// place when that was looked for: it may have been given one since.
    pub(super) fn outlives_its_client(&mut self, waited: bool) -> bool {
        // Behind a read that waits there may be writes, or the end of the session.
        self.is_at_end = waited && (self.stays == Stays::InFlight || self.has_more_than_one_request());
        self.is_at_end || self.line.as_mut().is_some_and(|line| line.abandon() == InLine::Waits)
    }

    fn has_more_than_one_request(&self) -> bool {
        self.first_length().is_some_and(|length| self.input.len() - 4 > length)
    }

    pub(super) fn has_whole_request(&self) -> bool {
        self.first_length().is_some_and(|length| self.input.len() - 4 >= length)
    }

    fn first_length(&self) -> Option<usize> {
        self.input.first_chunk::<4>().map(|length| u32::from_be_bytes(*length) as usize)
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.line.as_deref().is_some_and(Line::is_abandoned)
    }
}
