//! What a client asks for, frame by frame: the handshake, reads that are served here and now under one hold of the tree's
//! lock, and everything else, collected for one hold of the driver's.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::RwLockReadGuard;
use zabd_jute::client::{ConnectRequest, FourLetterWord, RequestHeader};
use zabd_jute::{ErrorCode, OpCode, Reader, Record, SessionId};
use zabd_replica::read::{self, Read, Served};
use zabd_replica::{Input, NO_ROOM, Request, SessionRequest, ahead};
use zabd_tree::Tree;

use super::authentication::unauthenticated;
use super::buffers::{BATCH, Shared};
use super::counting::{COUNTS, Counts};
use super::in_line::MustWait;
use super::telling::Ending;
use super::{Asked, Connection, ConnectionOptions, Phase, Service, Stays, Unanswered};
use crate::logging::hold::Share;
use crate::net::backlog::Backlog;
use crate::net::client::Client;
use crate::net::figures::Sent;
use crate::net::half_frames::LARGE_BYTES;
use crate::net::java_address::shown;
use crate::net::large_requests::Held;
use crate::net::reply_line::{LONG_REPLY_BYTES, Stand};
use crate::net::request_throttle::Admitted;

/// One run over a chunk of bytes.
pub(super) struct Turn<'t> {
    pub(super) service: &'t Service,
    pub(super) bytes: &'t [u8],
    pub(super) at: usize,
    /// Up to where the znodes that are asked for have been looked at.
    looked_ahead: usize,
    pub(super) now_ms: i64,
    /// Locked with the first read, until something else comes.
    pub(super) tree: Option<RwLockReadGuard<'t, Tree>>,
    /// A copy of a part of the chunk, which the requests for the driver share.
    pub(super) shared: Shared,
}

impl Turn<'_> {
    /// Brings what the next requests ask for into the processor's cache, if that has not been done.
    fn look_ahead(&mut self) {
        if let Some(tree) =
            self.tree.as_deref().filter(|tree| self.looked_ahead <= self.at && tree.is_large())
        {
            let next = requests_in(&self.bytes[self.at..]).take(Tree::AHEAD_MAX);
            ahead::look_ahead(tree, next.clone());
            self.looked_ahead = self.at + next.map(|(_, body)| 12 + body.len()).sum::<usize>();
        }
    }
}

/// The requests that stand in `bytes` as a whole: of each its operation, and what follows its header.
pub(super) fn requests_in(mut bytes: &[u8]) -> impl Iterator<Item = (i32, &[u8])> + Clone {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = usize::try_from(i32::from_be_bytes(*length)).ok()?;
        let (frame, rest) = rest.split_at_checked(length)?;
        bytes = rest;
        let ([_, op], body) =
            frame.as_chunks::<4>().0.split_first_chunk::<2>().map(|(head, _)| (head, &frame[8..]))?;
        Some((i32::from_be_bytes(*op), body))
    })
}

/// How long a request for a session may be, in bytes. Java takes what `jute.maxbuffer` allows, a megabyte, from whoever
/// connects. The request has 28 bytes, a password, of which nobody sends more than the 16 that a server gave it, and a flag.
const CONNECT_BYTES_MAX: usize = 64 << 10;

/// What a reply has besides what is counted to find out how long it is: length, header, number of elements and a stat, at most.
const HEAD_BYTES: usize = 128;

impl Connection {
    /// Works off what stands in `bytes`; returns how much of it is done.
    pub(super) fn work_off(&mut self, bytes: &[u8]) -> usize {
        let service = self.service.clone();
        let now_ms = service.driver.clock.monotonic_ms();
        self.client.counters.heard_ms.store(now_ms, Relaxed);
        let mut turn = Turn {
            service: &service,
            bytes,
            at: 0,
            looked_ahead: 0,
            now_ms,
            tree: None,
            shared: Shared::default(),
        };
        while self.may_go_on() && self.work_off_frame(&mut turn) {}
        let done = turn.at;
        drop(turn);
        if done > 0 {
            self.frame_since_ms = now_ms;
        }
        // A request says that its client is alive when it is whole, as in Java: who sends one for ever is not. What is
        // not looked at because this server is not ready for it may be whole.
        let is_sign_of_life = done > 0 || !self.may_go_on();
        self.submit(&service, now_ms, is_sign_of_life);
        done
    }

    pub(super) fn submit(&mut self, service: &Service, now_ms: i64, is_sign_of_life: bool) {
        let is_news = self.phase == Phase::Open && is_sign_of_life && {
            let end_ms = service.options.timeouts.bucket_end_ms(now_ms, self.timeout_ms);
            self.signs_of_life.is_news(end_ms, service.driver.touches_told())
        };
        if !self.batch.is_empty() {
            service.counters.in_flight.fetch_add(self.batch.len() as i64, Relaxed);
            let bytes = std::mem::take(&mut self.batch_bytes);
            service.driver.registry.intake.add(bytes);
            service.driver.feed(self.batch.drain(..));
        } else if is_news {
            service.driver.touch(self.session);
        }
    }

    /// One frame, or the first four letters; false if there is not a whole one.
    fn work_off_frame(&mut self, turn: &mut Turn<'_>) -> bool {
        let rest = &turn.bytes[turn.at..];
        let Some(head) = rest.first_chunk::<4>() else { return false };
        if self.phase == Phase::First {
            if let Some(word) = FourLetterWord::from_bytes(*head) {
                return self.answer_word(turn, word);
            }
            self.phase = Phase::Handshake;
        }
        let length = i32::from_be_bytes(*head);
        let configured_max = self.service.options.frame_bytes_max;
        let length_max = match self.phase {
            Phase::Handshake => configured_max.min(CONNECT_BYTES_MAX),
            _ => configured_max,
        };
        let Some(length) = usize::try_from(length).ok().filter(|l| *l <= length_max) else {
            let address = self.client.address;
            self.service.counters.clients.tell(address.ip(), "Len error", || {
                tracing::warn!(
                    "Len error. A message from {} with advertised length of {length} is either a malformed message or \
                     too large to process (length is greater than jute.maxbuffer={configured_max}, or, of a request for a \
                     session, than {CONNECT_BYTES_MAX})",
                    shown(address),
                );
            });
            self.close(Ending::Refused);
            return false;
        };
        let Some(frame) = rest.get(4..4 + length) else {
            self.enter_coming(turn, length);
            return false;
        };
        let start = turn.at + 4;
        let Ok(admitted) = self.admit(turn, start + length, frame) else { return false };
        if self.phase == Phase::Handshake {
            self.on_connect(turn, frame, admitted);
        } else if self.on_frame(turn, start, frame, admitted).is_err() {
            return false;
        }
        self.release_place();
        if self.coming_bytes > 0 {
            turn.service.driver.registry.coming.remove(std::mem::take(&mut self.coming_bytes));
        }
        turn.at = start + length;
        self.tally.received += 1;
        self.tally.received_bytes += 4 + length as u64;
        true
    }

    /// A large request has not come as a whole: the rest of it is taken when there is room.
    fn enter_coming(&mut self, turn: &Turn<'_>, length: usize) {
        let coming = &turn.service.driver.registry.coming;
        if length <= LARGE_BYTES || self.coming_bytes > 0 || !coming.is_bounded() {
            return;
        }
        let was_let_in = self.stays == Stays::Coming && coming.use_entry(&self.client);
        if was_let_in || coming.enter(&self.client, 0, length) {
            self.stays = Stays::Nothing;
            self.coming_bytes = length;
            // What it waited for is not its doing.
            self.frame_since_ms = turn.now_ms;
            coming.add(length);
        } else {
            self.stays = Stays::Coming;
        }
    }

    fn on_connect(&mut self, turn: &mut Turn<'_>, frame: &[u8], admitted: Option<Admitted>) {
        let Ok(request) = ConnectRequest::from_bytes(frame) else {
            self.close_malformed("the connect request is malformed");
            return;
        };
        if !turn.service.throttle.admit(turn.now_ms, request.session != SessionId::NONE) {
            turn.service.counters.connections_rejected.fetch_add(1, Relaxed);
            self.close(Ending::NotLetIn);
            return;
        }
        self.phase = Phase::Connecting;
        let counters = &turn.service.counters;
        counters.connect_requests.fetch_add(1, Relaxed);
        counters.token_deficit.lock().add(turn.service.throttle.deficit());
        if request.session == SessionId::NONE {
            let place = admitted.and_then(|admitted| admitted.place);
            self.asked_for_session = Some(Asked { came_ms: turn.now_ms, _place: place });
        } else {
            counters.resumptions.fetch_add(1, Relaxed);
        }
        let request = SessionRequest {
            last_zxid_seen: request.last_zxid_seen,
            timeout_ms: request.timeout_ms,
            session: request.session,
            password: request.password.unwrap_or_default().to_vec(),
            has_read_only_byte: request.read_only.is_some(),
            takes_read_only: request.read_only == Some(true),
        };
        // From now on it may be silent for as long as its session, which may take its time to begin.
        let timeout_ms = turn.service.options.timeouts.negotiate(request.timeout_ms);
        self.client.counters.timeout_ms.store(i64::from(timeout_ms), Relaxed);
        turn.service.driver.connect(self.client.id, request);
    }

    fn on_frame(
        &mut self,
        turn: &mut Turn<'_>,
        start: usize,
        frame: &[u8],
        admitted: Option<Admitted>,
    ) -> Result<(), MustWait> {
        let was_let_in =
            self.stays == Stays::InFlight && turn.service.driver.registry.intake.use_entry(&self.client);
        self.stays = Stays::Nothing;
        let Ok(header) = RequestHeader::from_bytes(frame) else {
            self.close_malformed("a request has no header");
            return Ok(());
        };
        let Ok(held) = turn.service.large_requests.take(frame.len()) else {
            self.close_malformed("large requests in flight exceed largeRequestMaxBytes");
            return Ok(());
        };
        let is_refused = admitted.as_ref().is_some_and(|admitted| admitted.is_refused);
        let body = &frame[8..];
        // Who proves who he is has asked for nothing yet: to operators, as in Java, neither is an operation.
        if ![OpCode::Auth.code(), OpCode::Sasl.code()].contains(&header.op) {
            self.tally.note_last(header.op, header.xid);
            self.tally.is_refused = false;
        }
        if header.op == OpCode::Auth.code() {
            self.on_auth(header, body);
        } else if header.op == OpCode::Sasl.code() {
            self.on_sasl(header, body);
        } else if !self.is_authenticated() {
            let ConnectionOptions { enforced_schemes, enforced_by, .. } = &self.service.options;
            self.tell_refused(&unauthenticated(enforced_schemes, enforced_by));
            self.refuse(header, ErrorCode::SessionClosedRequireAuth);
        } else if is_refused {
            self.defer(turn, header, (held, admitted, None), start + 8, body.len());
        } else if !self.unanswered.is_empty() && Self::may_be_long(turn, header.op, body) {
            self.stays = Stays::BehindAnswers;
            return Err(MustWait);
        } else if self.needs_pipeline(header.op) {
            let intake = &turn.service.driver.registry.intake;
            if !was_let_in && !intake.enter(&self.client, self.batch_bytes, body.len()) {
                self.stays = Stays::InFlight;
                return Err(MustWait);
            }
            let audit = self.enter_audit(header.op, body.len())?;
            self.defer(turn, header, (held, admitted, audit), start + 8, body.len());
        } else {
            return self.serve(turn, header, body);
        }
        Ok(())
    }

    /// Whether a request behind others that are unanswered waits for their answers outside the pipeline, since its reply may
    /// need a place: nobody else is to wait for that.
    fn may_be_long(turn: &Turn<'_>, op: i32, body: &[u8]) -> bool {
        if op != OpCode::GetData.code() {
            return read::is_list(op);
        }
        let bytes = match &turn.tree {
            Some(tree) => read::data_bytes(tree, body),
            None => read::data_bytes(&turn.service.driver.tree(), body),
        };
        bytes > LONG_REPLY_BYTES
    }

    /// Whether a request cannot be served here and now. A sync of a member of an ensemble waits for its leader.
    pub(super) fn needs_pipeline(&self, op: i32) -> bool {
        read::is_write(op)
            || !self.unanswered.is_empty()
            || (op == OpCode::Sync.code() && self.service.driver.is_member())
    }

    /// Puts a request into the batch for the driver.
    fn defer(
        &mut self,
        turn: &mut Turn<'_>,
        header: RequestHeader,
        (held, admitted, audit): (Option<Held>, Option<Admitted>, Option<Share>),
        start: usize,
        length: usize,
    ) {
        self.trace_deferred(header, &turn.bytes[start..start + length]);
        let is_refused = admitted.as_ref().is_some_and(|admitted| admitted.is_refused);
        let is_update = read::is_write(header.op) && !is_refused;
        let weight = usize::from(!is_update && !is_refused);
        // What follows is decided behind the driver's lock, which comes before the tree's.
        turn.tree = None;
        let place = admitted.and_then(|admitted| admitted.place);
        let came_ms = turn.now_ms;
        let about = turn.service.driver.slow.about(header.op, &turn.bytes[start..start + length]);
        let (xid, op) = (header.xid, header.op);
        let request = Unanswered {
            came_ms,
            op,
            is_update,
            is_refused,
            weight,
            length,
            _held: held,
            _place: place,
            _audit: audit,
            xid,
            about,
        };
        self.unanswered.push_back(request);
        self.batch_bytes += length;
        self.reads_waiting += weight;
        if self.batch.capacity() == 0 {
            self.batch = BATCH.take();
        }
        let (conn, session, RequestHeader { xid, op }) = (self.client.id, self.session, header);
        self.batch.push(if is_refused {
            Input::Refuse { conn, session, xid, error: ErrorCode::ThrottledOp }
        } else {
            let body = turn.shared.part(turn.bytes, start, length);
            Input::Request(Request { conn, session, xid, op, body, identities: self.identities.clone() })
        });
    }

    /// Serves a read here and now, if there is a place for its reply.
    fn serve(&mut self, turn: &mut Turn<'_>, header: RequestHeader, body: &[u8]) -> Result<(), MustWait> {
        if turn.tree.is_none() {
            turn.tree = Some(turn.service.driver.tree());
            // Whatever the tree shows from now on, its events are in the mailbox.
            self.collect_mail();
            if self.phase != Phase::Open {
                return Ok(());
            }
        }
        turn.look_ahead();
        let tree = turn.tree.as_deref().expect("the tree was just locked");
        let mut watches = read::touches_watches(header.op, body).then(|| turn.service.driver.watches());
        let read = Read {
            conn: self.client.id,
            session: self.session,
            xid: header.xid,
            op: header.op,
            body,
            identities: &self.identities,
        };
        let options = &turn.service.options.read;
        let begin = self.out.len();
        let mut serve_within = |room, out: &mut Vec<u8>| {
            COUNTS.with_borrow_mut(|Counts { traffic, .. }| {
                read::serve_within(room, tree, watches.as_deref_mut(), &read, options, traffic, out)
            })
        };
        let mut served = serve_within(LONG_REPLY_BYTES, &mut self.out);
        if let Served::TooLong { bytes } = served {
            let backlog = &turn.service.driver.registry.backlog;
            if backlog.never_fits(bytes) {
                tracing::warn!(
                    "Refusing a request of {}: the answer has {bytes} bytes, for which there is no memory",
                    shown(self.client.address),
                );
                self.answer_at_once(header, NO_ROOM.code(), |_| ());
                return Ok(());
            }
            if !has_place(backlog, &self.client, bytes) {
                self.stays = Stays::InLine;
                return Err(MustWait);
            }
            self.client.use_place(bytes);
            self.turn_bytes += bytes as u64;
            // Exactly, since to grow by doubling would take the memory of two.
            self.out.reserve_exact(bytes + HEAD_BYTES);
            served = serve_within(bytes, &mut self.out);
            assert!(!matches!(served, Served::TooLong { .. }), "the tree has not changed since");
        }
        self.tally.reads += 1;
        self.tally.sent += 1;
        let sent = if header.op == OpCode::Ping.code() { Sent::Pong } else { Sent::Answer };
        let bytes = (self.out.len() - begin).saturating_sub(4) as u64;
        COUNTS.with_borrow_mut(|Counts { operations, responses, .. }| {
            operations.add(header.op, &turn.service.counters.operations);
            responses.add(bytes, sent);
        });
        (self.tally.zxid, self.tally.answered_ms) = (tree.last_zxid().0, turn.now_ms);
        self.trace_served(header.op, body, begin);
        if served == Served::AnsweredForTheLastTime {
            if read::sets_watches(header.op) {
                tracing::warn!(
                    "Closing the connection from {}: there is no memory for the watches that it had elsewhere",
                    shown(self.client.address),
                );
            }
            self.close(Ending::Replica);
        }
        Ok(())
    }

    pub(super) fn reader<'b>(&self, body: &'b [u8]) -> Reader<'b> {
        Reader::with_limits(body, self.service.options.read.limits)
    }

    pub(super) fn is_authenticated(&self) -> bool {
        let schemes = &self.service.options.enforced_schemes;
        schemes.is_empty() || self.identities.iter().any(|id| schemes.iter().any(|s| s == id.scheme()))
    }

    pub(super) fn refuse(&mut self, header: RequestHeader, error: ErrorCode) {
        self.answer_at_once(header, error.code(), |_| ());
        self.close(Ending::Unauthenticated);
    }
}

/// Whether a long reply has a place; if not, its client stands in line from now on.
pub(super) fn has_place(backlog: &Backlog, client: &Arc<Client>, bytes: usize) -> bool {
    let given = client.take_place();
    if given == 0 {
        return backlog.take_place(client, bytes, Stand::Last);
    }
    // What is asked for may have become shorter meanwhile, or longer.
    if bytes <= given {
        backlog.add(bytes as isize - given as isize);
        return true;
    }
    let has_place = backlog.take_place(client, bytes, Stand::First);
    backlog.add(-(given as isize));
    has_place
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(op: i32, body: &[u8]) -> Vec<u8> {
        let length = (8 + body.len()) as i32;
        [&length.to_be_bytes()[..], &7_i32.to_be_bytes(), &op.to_be_bytes(), body].concat()
    }

    #[test]
    fn whole_requests_are_seen_and_no_halves() {
        let bytes = [frame(4, b"one"), frame(11, b""), frame(4, b"two")].concat();
        let seen: Vec<_> = requests_in(&bytes).collect();
        assert_eq!(seen, [(4, &b"one"[..]), (11, b""), (4, b"two")]);
        for end in 0..bytes.len() {
            assert!(requests_in(&bytes[..end]).count() < 3, "{end}");
        }
        assert_eq!(requests_in(&[0xff; 12]).count(), 0, "a length below zero");
        assert_eq!(requests_in(&[0, 0, 0, 4, 1, 2, 3, 4]).count(), 0, "no header");
    }
}
