//! Which sessions are alive, and until when.
//!
//! As in Java's `SessionTrackerImpl`, time is cut into buckets one tick wide and a session lives until
//! its bucket ends: between its timeout and its timeout plus one tick after the last sign of life. A
//! sign of life that falls into the same bucket changes nothing, so a connection needs to report few of them ([`SignsOfLife`]).
//!
//! Expiry marks a session *closing* and closes it like a client would; it stays here, refusing
//! requests, until that transaction is applied, so that no ephemeral can slip in behind its end.

use std::collections::{BTreeMap, BTreeSet};

use zabd_jute::SessionId;
use zabd_mutation::{Mutation, is_on};

use crate::ConnId;

/// How long sessions may be silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTimeouts {
    /// The width of a bucket.
    pub tick_ms: i64,
    /// The shortest timeout that a client gets.
    pub min_ms: i32,
    /// The longest; wins over the shortest.
    pub max_ms: i32,
}

impl SessionTimeouts {
    /// What a client gets that asks for `asked_ms`.
    pub fn negotiate(&self, asked_ms: i32) -> i32 {
        asked_ms.max(self.min_ms).min(self.max_ms)
    }

    /// When a session with this timeout ends that shows a sign of life now.
    pub fn bucket_end_ms(&self, now_ms: i64, timeout_ms: i32) -> i64 {
        ((now_ms + i64::from(timeout_ms)) / self.tick_ms + 1) * self.tick_ms
    }
}

/// Of which signs of life of its client a connection has told its server.
///
/// Where the server tracks the session itself, one in each bucket is enough. The buckets of another one, the leader, are not known here:
/// a learner tells it in answer to each of its pings whose clients were heard since the one before, so one behind each answer is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignsOfLife {
    bucket_end_ms: i64,
    answers: u64,
}

impl SignsOfLife {
    /// Whether one that is shown now changes anything: it puts the session's end off to `bucket_end_ms`, and
    /// [`Replica::touches_told`](crate::Replica::touches_told) is `answers`.
    pub fn is_news(&mut self, bucket_end_ms: i64, answers: u64) -> bool {
        let now = Self { bucket_end_ms, answers };
        std::mem::replace(self, now) != now
    }
}

/// Sessions that end at the same moment, for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionBucket {
    /// When, on the monotonic clock.
    pub end_ms: i64,
    /// Who.
    pub sessions: Vec<SessionId>,
}

#[derive(Debug)]
struct Tracked {
    timeout_ms: i32,
    /// The key of this session in `buckets`, unless it is closing.
    bucket_end_ms: i64,
    /// Its end is proposed or decided: it accepts nothing any more.
    closing: bool,
    /// The connection that carries it, if any.
    conn: Option<ConnId>,
}

/// All sessions of this server.
#[derive(Debug)]
pub(crate) struct Sessions {
    timeouts: SessionTimeouts,
    tracked: BTreeMap<SessionId, Tracked>,
    buckets: BTreeSet<(i64, SessionId)>,
    next_id: SessionId,
}

impl Sessions {
    /// `first_id` is where new ids are counted from.
    pub(crate) fn new(timeouts: SessionTimeouts, first_id: SessionId) -> Self {
        assert!(timeouts.tick_ms > 0, "a tick takes time");
        Self { timeouts, tracked: BTreeMap::new(), buckets: BTreeSet::new(), next_id: first_id }
    }

    /// A new id, never one that is alive.
    pub(crate) fn new_id(&mut self) -> SessionId {
        loop {
            let id = self.next_id;
            self.next_id = SessionId(id.0.wrapping_add(1));
            let reserved = id == SessionId::NONE || id.0 == i64::MIN;
            if !reserved && !self.tracked.contains_key(&id) {
                return id;
            }
        }
    }

    /// Begins to track a session with a full timeout.
    pub(crate) fn track(&mut self, now_ms: i64, id: SessionId, timeout_ms: i32, conn: Option<ConnId>) {
        let bucket_end_ms = self.timeouts.bucket_end_ms(now_ms, timeout_ms);
        let before = self.tracked.insert(id, Tracked { timeout_ms, bucket_end_ms, closing: false, conn });
        assert!(before.is_none(), "session {id} is tracked twice");
        self.buckets.insert((bucket_end_ms, id));
    }

    /// A sign of life; false if the session is unknown or closing.
    pub(crate) fn touch(&mut self, now_ms: i64, id: SessionId) -> bool {
        let Some(tracked) = self.tracked.get_mut(&id).filter(|tracked| !tracked.closing) else {
            return false;
        };
        let end_ms = self.timeouts.bucket_end_ms(now_ms, tracked.timeout_ms);
        if tracked.bucket_end_ms < end_ms {
            self.buckets.remove(&(tracked.bucket_end_ms, id));
            self.buckets.insert((end_ms, id));
            tracked.bucket_end_ms = end_ms;
        }
        true
    }

    /// Whether requests of this session are accepted.
    pub(crate) fn is_alive(&self, id: SessionId) -> bool {
        self.tracked.get(&id).is_some_and(|tracked| !tracked.closing)
    }

    /// Resumes a session on another connection with a new timeout; yields the connection that had it.
    pub(crate) fn resume(
        &mut self,
        now_ms: i64,
        id: SessionId,
        timeout_ms: i32,
        conn: ConnId,
    ) -> Option<ConnId> {
        let tracked = self.tracked.get_mut(&id).expect("only a live session is resumed");
        assert!(!tracked.closing, "only a live session is resumed");
        self.buckets.remove(&(tracked.bucket_end_ms, id));
        tracked.timeout_ms = timeout_ms;
        tracked.bucket_end_ms = self.timeouts.bucket_end_ms(now_ms, timeout_ms);
        self.buckets.insert((tracked.bucket_end_ms, id));
        tracked.conn.replace(conn)
    }

    /// Whether the session is tracked, be it closing.
    pub(crate) fn is_known(&self, id: SessionId) -> bool {
        self.tracked.contains_key(&id)
    }

    /// A live session goes on at another server; yields the connection that had it here.
    pub(crate) fn hand_over(&mut self, now_ms: i64, id: SessionId, timeout_ms: i32) -> Option<ConnId> {
        let tracked = self.tracked.get_mut(&id)?;
        tracked.timeout_ms = timeout_ms;
        let conn = tracked.conn.take();
        self.touch(now_ms, id);
        conn
    }

    /// Another server decides who lives.
    pub(crate) fn forget_all(&mut self) {
        self.tracked.clear();
        self.buckets.clear();
    }

    /// Accepts nothing from the session any more.
    pub(crate) fn close(&mut self, id: SessionId) {
        if let Some(tracked) = self.tracked.get_mut(&id).filter(|_| !is_on(Mutation::SessionExpiredTwice)) {
            self.buckets.remove(&(tracked.bucket_end_ms, id));
            tracked.closing = true;
        }
    }

    /// The connection that carries a session.
    pub(crate) fn conn(&self, id: SessionId) -> Option<ConnId> {
        self.tracked.get(&id)?.conn
    }

    /// The session goes on elsewhere: its timeout, and the connection that carries it.
    pub(crate) fn take(&mut self, id: SessionId) -> Option<(i32, Option<ConnId>)> {
        let tracked = self.tracked.remove(&id)?;
        self.buckets.remove(&(tracked.bucket_end_ms, id));
        Some((tracked.timeout_ms, tracked.conn))
    }

    /// The session is gone; yields the connection that carried it.
    pub(crate) fn remove(&mut self, id: SessionId) -> Option<ConnId> {
        let tracked = self.tracked.remove(&id)?;
        self.buckets.remove(&(tracked.bucket_end_ms, id));
        tracked.conn
    }

    /// The sessions whose bucket has ended, with their timeouts.
    pub(crate) fn overdue(&self, now_ms: i64) -> Vec<(SessionId, i32)> {
        let ended = self.buckets.iter().take_while(|(end_ms, _)| *end_ms <= now_ms);
        ended.map(|(_, id)| (*id, self.tracked[id].timeout_ms)).collect()
    }

    /// When the next bucket ends.
    pub(crate) fn next_end_ms(&self) -> Option<i64> {
        self.buckets.first().map(|(end_ms, _)| *end_ms)
    }

    pub(crate) fn len(&self) -> usize {
        self.tracked.len()
    }

    /// All buckets, for operators.
    pub(crate) fn buckets(&self) -> Vec<SessionBucket> {
        let mut buckets: Vec<SessionBucket> = Vec::new();
        for &(end_ms, id) in &self.buckets {
            match buckets.last_mut().filter(|bucket| bucket.end_ms == end_ms) {
                Some(bucket) => bucket.sessions.push(id),
                None => buckets.push(SessionBucket { end_ms, sessions: vec![id] }),
            }
        }
        buckets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sign_of_life_is_told_in_each_bucket_and_behind_each_answer_to_a_ping() {
        let mut signs = SignsOfLife::default();
        let told: Vec<_> = [(4000, 0), (4000, 0), (4000, 1), (4000, 1), (5000, 1), (5000, 2), (5000, 2)]
            .map(|(bucket_end_ms, answers)| signs.is_news(bucket_end_ms, answers))
            .into();
        assert_eq!(told, [true, false, true, false, true, true, false]);
    }

    const TIMEOUTS: SessionTimeouts = SessionTimeouts { tick_ms: 2000, min_ms: 4000, max_ms: 40_000 };

    fn sessions() -> Sessions {
        Sessions::new(TIMEOUTS, SessionId(7))
    }

    #[test]
    fn timeouts_are_clamped_and_the_maximum_wins() {
        for (asked, got) in [(1, 4000), (-5, 4000), (10_000, 10_000), (i32::MAX, 40_000)] {
            assert_eq!(TIMEOUTS.negotiate(asked), got);
        }
        assert_eq!(SessionTimeouts { min_ms: 9, max_ms: 3, ..TIMEOUTS }.negotiate(5), 3);
    }

    #[test]
    fn a_session_lives_between_its_timeout_and_one_tick_more() {
        for now_ms in [0, 1, 1999, 2000, 2001] {
            let lifetime_ms = TIMEOUTS.bucket_end_ms(now_ms, 4000) - now_ms;
            assert!((4000..=6000).contains(&lifetime_ms), "{lifetime_ms}");
        }
    }

    #[test]
    fn touching_postpones_the_end_and_never_hastens_it() {
        let mut sessions = sessions();
        sessions.track(0, SessionId(1), 4000, None);
        assert_eq!(sessions.next_end_ms(), Some(6000));
        assert!(sessions.touch(2500, SessionId(1)));
        assert_eq!(sessions.next_end_ms(), Some(8000));
        assert!(sessions.touch(100, SessionId(1)));
        assert_eq!(sessions.overdue(7999), vec![]);
        assert_eq!(sessions.overdue(8000), vec![(SessionId(1), 4000)]);
    }

    #[test]
    fn a_closing_session_accepts_nothing_and_does_not_expire_again() {
        let mut sessions = sessions();
        sessions.track(0, SessionId(1), 4000, Some(ConnId(3)));
        sessions.close(SessionId(1));
        assert!(!sessions.is_alive(SessionId(1)));
        assert!(!sessions.touch(0, SessionId(1)));
        assert_eq!(sessions.overdue(i64::MAX), vec![]);
        assert_eq!(sessions.remove(SessionId(1)), Some(ConnId(3)));
    }

    #[test]
    fn new_ids_avoid_living_and_reserved_ones() {
        let mut sessions = Sessions::new(TIMEOUTS, SessionId(-1));
        sessions.track(0, SessionId(1), 4000, None);
        let ids = [sessions.new_id(), sessions.new_id(), sessions.new_id()];
        assert_eq!(ids, [SessionId(-1), SessionId(2), SessionId(3)]);
    }

    #[test]
    fn resuming_renegotiates_and_names_the_old_connection() {
        let mut sessions = sessions();
        sessions.track(0, SessionId(1), 4000, Some(ConnId(3)));
        assert_eq!(sessions.resume(0, SessionId(1), 10_000, ConnId(4)), Some(ConnId(3)));
        assert_eq!(sessions.next_end_ms(), Some(12_000));
    }
}
