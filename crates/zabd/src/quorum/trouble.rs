//! Peers that cannot be reached, in words for an operator.
//!
//! A peer that is down is dialled every second. Its first failure is told at once, and so is another kind of failure; the same
//! one again only after a pause that doubles up to a minute.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use zabd_jute::ServerId;

const PAUSE_MIN: Duration = Duration::from_secs(2);
const PAUSE_MAX: Duration = Duration::from_mins(1);
/// Another kind of failure is told no sooner than this: two kinds may take turns.
const CHANGE_PAUSE: Duration = Duration::from_secs(1);
/// Who was not dialled for so long was reached in the meantime, by whichever side dialled.
const FORGOTTEN: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Trouble {
    problem: String,
    told: Instant,
    seen: Instant,
    pause: Duration,
}

/// What is wrong with whom.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    of: Mutex<BTreeMap<ServerId, Trouble>>,
}

impl Troubles {
    /// A dial has failed: whether that is worth a line.
    pub(super) fn is_news(&self, peer: ServerId, problem: &str, now: Instant) -> bool {
        let mut troubles = self.of.lock();
        let Some(trouble) = troubles.get_mut(&peer).filter(|trouble| now < trouble.seen + FORGOTTEN) else {
            let trouble = Trouble { problem: problem.to_owned(), told: now, seen: now, pause: PAUSE_MIN };
            troubles.insert(peer, trouble);
            return true;
        };
        trouble.seen = now;
        let is_other = trouble.problem != problem;
        if now < trouble.told + if is_other { CHANGE_PAUSE } else { trouble.pause } {
            return false;
        }
        trouble.pause = if is_other { PAUSE_MIN } else { (2 * trouble.pause).min(PAUSE_MAX) };
        trouble.told = now;
        problem.clone_into(&mut trouble.problem);
        true
    }

    /// A dial has succeeded.
    pub(super) fn forget(&self, peer: ServerId) {
        self.of.lock().remove(&peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds, out of five minutes, in which a line is written about a peer that is dialled every second.
    fn told(problem: impl Fn(u64) -> &'static str) -> Vec<u64> {
        let (troubles, begin) = (Troubles::default(), Instant::now());
        let is_told = |s: &u64| troubles.is_news(ServerId(2), problem(*s), begin + Duration::from_secs(*s));
        (0..300).filter(is_told).collect()
    }

    #[test]
    fn the_same_failure_is_told_less_and_less_often() {
        assert_eq!(told(|_| "refused"), [0, 2, 6, 14, 30, 62, 122, 182, 242]);
    }

    #[test]
    fn another_failure_is_told_at_once() {
        assert_eq!(told(|s| if s < 20 { "does not resolve" } else { "refused" })[..6], [0, 2, 6, 14, 20, 22]);
    }

    #[test]
    fn whoever_was_reached_may_fail_anew() {
        let (troubles, begin) = (Troubles::default(), Instant::now());
        assert!(troubles.is_news(ServerId(2), "refused", begin));
        assert!(troubles.is_news(ServerId(3), "refused", begin), "another peer");
        troubles.forget(ServerId(2));
        assert!(troubles.is_news(ServerId(2), "refused", begin));
        assert!(!troubles.is_news(ServerId(2), "refused", begin));
        assert!(troubles.is_news(ServerId(2), "refused", begin + FORGOTTEN));
    }
}
