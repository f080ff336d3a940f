//! `request_throttle_max_requests`: how many requests are in the pipeline, and what becomes of the others. Off unless
//! configured.
//!
//! A request that needs the pipeline needs a place in it and keeps the place until it is answered. Who gets none stands
//! in line: the frame stays with its connection, nothing behind it is worked off, and places go round in the order in
//! which connections asked. So whoever sends thousands of requests at once delays the others by one, not by thousands.
//!
//! What waited longer than `throttled_op_wait_time` since it was received is refused when its turn comes, untried. What has
//! become *stale* meanwhile, because its client is gone or has given up, is dropped with its connection, or done all the
//! same. The end of a session is neither refused nor stale.
//!
//! Follows Java's `RequestThrottler` and `Request.isStale`, except that Java has one line for all requests, in which reads that
//! are answered from memory wait, too.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use zabd_jute::OpCode;

use zabd_replica::percentiles::Percentiles;

/// The settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestThrottleOptions {
    /// Places in the pipeline.
    pub requests_max: usize,
    /// How often who stands in line is looked at; zero is never.
    pub stall: Duration,
    /// Whether what is stale is dropped.
    pub drops_stale: bool,
    /// Whether a request is stale that is older than its session's timeout.
    pub checks_latency: bool,
    /// Whether a request is stale whose client is gone.
    pub checks_connection: bool,
    /// What waited longer is refused, milliseconds.
    pub refused_after_ms: Option<i64>,
}

/// See the module's description.
#[derive(Debug)]
pub struct RequestThrottle {
    options: RequestThrottleOptions,
    places: Arc<Semaphore>,
    /// What operators ask for.
    pub figures: ThrottleFigures,
}

/// Figures since the last `srst`, by the names of Java's metrics.
#[derive(Debug, Default)]
pub struct ThrottleFigures {
    /// `request_throttle_wait_count`: looks at somebody in line who has to go on waiting.
    pub stalls: AtomicU64,
    /// `request_throttle_queue_time_ms`: from when a request was received until it got its place.
    pub waited_ms: Mutex<Percentiles>,
    /// `throttled_ops`: refused.
    pub refused: AtomicU64,
    /// `stale_requests`: stale, and done.
    pub stale: AtomicU64,
    /// `stale_requests_dropped`.
    pub dropped: AtomicU64,
}

/// A place in the pipeline, given back when dropped.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

/// One connection, as far as it waits.
#[derive(Debug)]
pub struct Line {
    throttle: Arc<RequestThrottle>,
    /// When what is received and not worked off came: how many bytes, and when, oldest first.
    received: VecDeque<(usize, i64)>,
    turn: Turn,
    /// The client has gone, and what it sent is done all the same.
    is_abandoned: bool,
}

/// Whether the next frame may be worked off.
enum Turn {
    /// It needs no place, or may ask for one.
    Free,
    /// It stands in line.
    Waiting(Waiting),
    /// It has waited, and has its place.
    Come(Place),
}

struct Waiting {
    op: i32,
    since_ms: i64,
    place: Pin<Box<dyn Future<Output = Place> + Send>>,
    look: Option<Pin<Box<Sleep>>>,
}

impl std::fmt::Debug for Turn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Turn::Free => "Free",
            Turn::Waiting(_) => "Waiting",
            Turn::Come(_) => "Come",
        })
    }
}

/// What becomes of somebody in line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InLine {
    /// Nothing yet.
    Waits,
    /// It may go on.
    GoesOn,
    /// It is dropped, and its connection ends.
    IsDropped,
}

/// A request on its way into the pipeline.
#[derive(Debug)]
pub struct Admitted {
    /// Its place, if it needs one.
    pub place: Option<Place>,
    /// Whether it waited too long, and is to be refused.
    pub is_refused: bool,
}

impl RequestThrottle {
    /// All places are free.
    pub fn new(options: RequestThrottleOptions) -> Self {
        let places = Arc::new(Semaphore::new(options.requests_max.min(Semaphore::MAX_PERMITS)));
        Self { options, places, figures: ThrottleFigures::default() }
    }

    fn try_enter(&self) -> Option<Place> {
        self.places.clone().try_acquire_owned().ok().map(|permit| Place { _permit: permit })
    }

    fn refuses(&self, op: i32, waited_ms: i64) -> bool {
        let is_late = self.options.refused_after_ms.is_some_and(|most| waited_ms > most);
        let refuses = is_late && may_be_refused(op);
        self.figures.refused.fetch_add(u64::from(refuses), Relaxed);
        refuses
    }

    fn enter(&self) -> impl Future<Output = Place> + Send + use<> {
        let places = self.places.clone();
        async move { Place { _permit: places.acquire_owned().await.expect("the pipeline is never closed") } }
    }
}

impl ThrottleFigures {
    /// What `srst` does.
    pub fn reset(&self) {
        for counter in [&self.stalls, &self.refused, &self.stale, &self.dropped] {
            counter.store(0, Relaxed);
        }
        *self.waited_ms.lock() = Percentiles::default();
    }
}

impl Line {
    /// Of a connection that has sent nothing.
    pub fn new(throttle: Arc<RequestThrottle>) -> Self {
        Self { throttle, received: VecDeque::new(), turn: Turn::Free, is_abandoned: false }
    }

    /// More bytes came that are not worked off.
    pub fn note_received(&mut self, bytes: usize, now_ms: i64) {
        if bytes > 0 {
            self.received.push_back((bytes, now_ms));
        }
    }

    /// Bytes from the front were worked off.
    pub fn note_done(&mut self, mut bytes: usize) {
        while bytes > 0
            && let Some((there, _)) = self.received.front_mut()
        {
            let taken = bytes.min(*there);
            *there -= taken;
            bytes -= taken;
            if *there == 0 {
                self.received.pop_front();
            }
        }
    }

    /// When the byte in front of `end` came.
    fn received_ms(&self, end: usize, now_ms: i64) -> i64 {
        let mut upto = 0;
        let found = self.received.iter().find(|(bytes, _)| {
            upto += bytes;
            end <= upto
        });
        found.map_or(now_ms, |(_, came_ms)| *came_ms)
    }

    /// A place for a request whose frame ends at `end` of what is received; without one it stands in line from now on.
    pub fn enter(&mut self, op: i32, end: usize, now_ms: i64, timeout_ms: i32) -> Option<Admitted> {
        let since_ms = self.received_ms(end, now_ms);
        let place = match std::mem::replace(&mut self.turn, Turn::Free) {
            Turn::Come(place) => Some(place),
            Turn::Free => self.throttle.try_enter(),
            waiting @ Turn::Waiting(_) => {
                self.turn = waiting;
                return None;
            }
        };
        let Some(place) = place else {
            let stall = self.throttle.options.stall;
            let look = (!stall.is_zero()).then(|| Box::pin(tokio::time::sleep(stall)));
            let place = Box::pin(self.throttle.enter());
            self.throttle.figures.stalls.fetch_add(1, Relaxed);
            self.turn = Turn::Waiting(Waiting { op, since_ms, place, look });
            return None;
        };
        let RequestThrottle { options, figures, .. } = &*self.throttle;
        let waited_ms = now_ms - since_ms;
        figures.waited_ms.lock().add(waited_ms.max(0) as u64);
        let is_abandoned = self.is_abandoned && options.checks_connection;
        if op != CLOSE && (is_abandoned || self.is_late(since_ms, now_ms, timeout_ms)) {
            figures.stale.fetch_add(1, Relaxed);
        }
        let is_refused = self.throttle.refuses(op, waited_ms);
        Some(Admitted { place: Some(place), is_refused })
    }

    /// A request that needs no place, be it that what it waited for is done. It may have waited too long even so.
    pub fn pass(&mut self, op: i32, end: usize, now_ms: i64) -> Admitted {
        self.turn = Turn::Free;
        let is_refused = self.throttle.refuses(op, now_ms - self.received_ms(end, now_ms));
        Admitted { place: None, is_refused }
    }

    /// Looks whether who stands in line may go on, and asks to be woken if not.
    pub fn poll(&mut self, context: &mut Context<'_>, now_ms: i64, timeout_ms: i32) -> InLine {
        let Turn::Waiting(waiting) = &mut self.turn else { return InLine::GoesOn };
        let come = waiting.place.as_mut().poll(context);
        let stall = self.throttle.options.stall;
        while let Some(look) = &mut waiting.look
            && look.as_mut().poll(context).is_ready()
        {
            self.throttle.figures.stalls.fetch_add(1, Relaxed);
            look.as_mut().reset(tokio::time::Instant::now() + stall);
        }
        let (op, since_ms) = (waiting.op, waiting.since_ms);
        if self.throttle.options.drops_stale && op != CLOSE && self.is_late(since_ms, now_ms, timeout_ms) {
            return self.drop_request();
        }
        match come {
            Poll::Pending => InLine::Waits,
            Poll::Ready(place) => {
                self.turn = Turn::Come(place);
                InLine::GoesOn
            }
        }
    }

    /// The operation that stands in line; nothing may be worked off then.
    pub fn waiting_op(&self) -> Option<i32> {
        if let Turn::Waiting(Waiting { op, .. }) = self.turn { Some(op) } else { None }
    }

    /// What stood in line needs no place after all.
    pub fn leave(&mut self) {
        self.turn = Turn::Free;
    }

    /// The client is gone.
    pub fn abandon(&mut self) -> InLine {
        let Turn::Waiting(Waiting { op, .. }) = self.turn else { return InLine::IsDropped };
        let options = self.throttle.options;
        if options.drops_stale && options.checks_connection && op != CLOSE {
            return self.drop_request();
        }
        self.is_abandoned = true;
        InLine::Waits
    }

    /// Whether the client is gone, and what it sent is done all the same.
    pub fn is_abandoned(&self) -> bool {
        self.is_abandoned
    }

    fn drop_request(&mut self) -> InLine {
        self.throttle.figures.dropped.fetch_add(1, Relaxed);
        self.turn = Turn::Free;
        InLine::IsDropped
    }

    fn is_late(&self, since_ms: i64, now_ms: i64, timeout_ms: i32) -> bool {
        self.throttle.options.checks_latency && now_ms - since_ms > i64::from(timeout_ms)
    }
}

const CLOSE: i32 = OpCode::CloseSession as i32;

/// Sessions begin and end however late it is, and what is unknown is told so.
fn may_be_refused(op: i32) -> bool {
    use OpCode as Op;
    OpCode::from_code(op).is_some_and(|op| !matches!(op, Op::Ping | Op::CreateSession | Op::CloseSession))
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    const WRITE: i32 = OpCode::SetData as i32;
    const OPTIONS: RequestThrottleOptions = RequestThrottleOptions {
        requests_max: 1,
        stall: Duration::ZERO,
        drops_stale: true,
        checks_latency: false,
        checks_connection: true,
        refused_after_ms: None,
    };

    fn throttle(options: RequestThrottleOptions) -> Arc<RequestThrottle> {
        Arc::new(RequestThrottle::new(options))
    }

    fn look(line: &mut Line, now_ms: i64) -> InLine {
        line.poll(&mut Context::from_waker(Waker::noop()), now_ms, 1000)
    }

    fn enter(line: &mut Line, now_ms: i64) -> Option<Admitted> {
        line.enter(WRITE, 10, now_ms, 1000)
    }

    #[test]
    fn places_go_round_by_connection() {
        let throttle = throttle(OPTIONS);
        let [mut first, mut second, mut third] = [(); 3].map(|()| Line::new(throttle.clone()));
        let held = enter(&mut first, 0).unwrap();
        for line in [&mut second, &mut third, &mut first] {
            assert!(enter(line, 0).is_none());
            assert_eq!(look(line, 0), InLine::Waits);
        }
        drop(held);
        assert_eq!(look(&mut third, 0), InLine::Waits, "it came later");
        assert_eq!(look(&mut second, 0), InLine::GoesOn);
        let held = enter(&mut second, 0).unwrap();
        assert!(enter(&mut second, 0).is_none(), "one request each");
        assert_eq!(look(&mut second, 0), InLine::Waits);
        drop(held);
        assert_eq!([&mut second, &mut third].map(|line| look(line, 0)), [InLine::Waits, InLine::GoesOn]);
        drop(third);
        assert_eq!(look(&mut first, 0), InLine::GoesOn, "whose connection ends gives its place back");
    }

    #[test]
    fn a_request_is_as_old_as_its_last_byte() {
        let throttle = throttle(RequestThrottleOptions { refused_after_ms: Some(5), ..OPTIONS });
        let mut line = Line::new(throttle.clone());
        line.note_received(15, 100);
        line.note_received(20, 104);
        assert!(enter(&mut line, 106).unwrap().is_refused);
        line.note_done(10);
        assert!(!enter(&mut line, 106).unwrap().is_refused, "its second half came later");
        line.note_done(10);
        assert!(!enter(&mut line, 109).unwrap().is_refused);
        assert!(enter(&mut line, 110).unwrap().is_refused);
        line.note_done(15);
        assert!(!enter(&mut line, 200).unwrap().is_refused, "what is worked off at once is not old");
        line.note_received(10, 200);
        assert!(!line.enter(CLOSE, 10, 1000, 1000).unwrap().is_refused, "sessions end however late it is");
        assert!(line.pass(WRITE, 10, 1000).is_refused, "whether it needs a place or not");
        assert_eq!(throttle.figures.refused.load(Relaxed), 3);
    }

    #[test]
    fn who_gave_up_is_dropped_or_served_as_configured() {
        for (drops_stale, checks_connection, expected) in
            [(true, true, InLine::IsDropped), (true, false, InLine::Waits), (false, true, InLine::Waits)]
        {
            let throttle = throttle(RequestThrottleOptions { drops_stale, checks_connection, ..OPTIONS });
            let [mut first, mut second] = [(); 2].map(|()| Line::new(throttle.clone()));
            let held = enter(&mut first, 0);
            assert!(enter(&mut second, 0).is_none());
            assert_eq!(second.abandon(), expected);
            drop(held);
            let is_dropped = expected == InLine::IsDropped;
            assert_eq!(throttle.figures.dropped.load(Relaxed), u64::from(is_dropped));
            if !is_dropped {
                assert_eq!(look(&mut second, 0), InLine::GoesOn);
                assert!(enter(&mut second, 0).is_some());
                assert_eq!(throttle.figures.stale.load(Relaxed), u64::from(checks_connection));
            }
        }
    }

    #[test]
    fn the_end_of_a_session_outlives_its_client() {
        let throttle = throttle(RequestThrottleOptions { checks_latency: true, ..OPTIONS });
        let [mut first, mut second] = [(); 2].map(|()| Line::new(throttle.clone()));
        let held = enter(&mut first, 0);
        assert!(second.enter(CLOSE, 10, 0, 1000).is_none());
        assert_eq!(second.abandon(), InLine::Waits);
        drop(held);
        assert_eq!(look(&mut second, 5000), InLine::GoesOn);
    }

    #[test]
    fn what_is_older_than_its_session_is_dropped_while_it_waits() {
        let throttle = throttle(RequestThrottleOptions { checks_latency: true, ..OPTIONS });
        let [mut first, mut second] = [(); 2].map(|()| Line::new(throttle.clone()));
        let _held = enter(&mut first, 0);
        assert!(enter(&mut second, 0).is_none());
        assert_eq!(look(&mut second, 1000), InLine::Waits);
        assert_eq!(look(&mut second, 1001), InLine::IsDropped);
    }
}
