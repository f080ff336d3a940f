//! Whether a new session is let in: a bucket of tokens, refilled with time, and above it a
//! probability that grows while the bucket is empty. Off unless configured. Follows Java's
//! `BlueThrottle` (the BLUE queue-management algorithm).

use parking_lot::Mutex;

/// The settings, Java's `zookeeper.connection_throttle_*`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ThrottleOptions {
    /// The size of the bucket; 0 lets everybody in.
    pub tokens: i64,
    /// How often the bucket is refilled, milliseconds.
    pub fill_time_ms: i64,
    /// By how many tokens.
    pub fill_count: i64,
    /// How often the probability is adjusted, milliseconds; −1 never drops by chance.
    pub freeze_time_ms: i64,
    /// What an empty bucket adds to the probability.
    pub drop_increase: f64,
    /// What a full enough bucket takes from it.
    pub drop_decrease: f64,
    /// The share of a full enough bucket that may be missing.
    pub decrease_ratio: f64,
    /// Tokens for a new session; 1 unless weights are enabled.
    pub new_session_weight: i64,
    /// Tokens for a resumed one.
    pub resumed_session_weight: i64,
}

/// See the module's description.
#[derive(Debug)]
pub struct ConnectionThrottle {
    options: ThrottleOptions,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tokens: i64,
    filled_ms: i64,
    drop_probability: f64,
    adjusted_ms: i64,
    /// A small generator; which connection is dropped need not be unpredictable.
    random: u64,
}

impl ConnectionThrottle {
    /// A full bucket.
    pub fn new(options: ThrottleOptions, now_ms: i64) -> Self {
        let state = State {
            tokens: options.tokens,
            filled_ms: now_ms,
            drop_probability: 0.0,
            adjusted_ms: now_ms,
            random: 0x9e37_79b9_7f4a_7c15,
        };
        Self { options, state: Mutex::new(state) }
    }

    /// Takes tokens for a session, if it may come in.
    pub fn admit(&self, now_ms: i64, resumed: bool) -> bool {
        let options = &self.options;
        if options.tokens <= 0 {
            return true;
        }
        let weight = if resumed { options.resumed_session_weight } else { options.new_session_weight };
        let mut state = self.state.lock();
        state.refill(options, now_ms);
        state.adjust(options, now_ms);
        if state.drops(options) || state.tokens < weight {
            return false;
        }
        state.tokens -= weight;
        true
    }

    /// How many tokens are missing from the bucket: Java's `connection_token_deficit`.
    pub fn deficit(&self) -> u64 {
        (self.options.tokens - self.state.lock().tokens).max(0) as u64
    }

    /// Java's `connection_drop_probability`.
    pub fn drop_probability(&self) -> f64 {
        self.state.lock().drop_probability
    }
}

impl State {
    fn refill(&mut self, options: &ThrottleOptions, now_ms: i64) {
        let rounds = (now_ms - self.filled_ms) / options.fill_time_ms.max(1);
        if rounds > 0 {
            self.filled_ms += rounds * options.fill_time_ms.max(1);
            self.tokens =
                options.tokens.min(self.tokens.saturating_add(rounds.saturating_mul(options.fill_count)));
        }
    }

    fn adjust(&mut self, options: &ThrottleOptions, now_ms: i64) {
        if options.freeze_time_ms < 0 || now_ms - self.adjusted_ms <= options.freeze_time_ms {
            return;
        }
        self.adjusted_ms = now_ms;
        let missing = options.tokens - self.tokens;
        if self.tokens <= 0 {
            self.drop_probability = (self.drop_probability + options.drop_increase).min(1.0);
        } else if missing as f64 <= (options.tokens as f64 * options.decrease_ratio).round() {
            self.drop_probability = (self.drop_probability - options.drop_decrease).max(0.0);
        }
    }

    fn drops(&mut self, options: &ThrottleOptions) -> bool {
        if options.freeze_time_ms < 0 || self.drop_probability <= 0.0 {
            return false;
        }
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        ((self.random >> 11) as f64) / ((1u64 << 53) as f64) < self.drop_probability
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::net) const OFF: ThrottleOptions = ThrottleOptions {
        tokens: 0,
        fill_time_ms: 1,
        fill_count: 1,
        freeze_time_ms: -1,
        drop_increase: 0.02,
        drop_decrease: 0.002,
        decrease_ratio: 0.0,
        new_session_weight: 1,
        resumed_session_weight: 1,
    };

    #[test]
    fn without_tokens_configured_everybody_comes_in() {
        let throttle = ConnectionThrottle::new(OFF, 0);
        assert!((0..1000).all(|_| throttle.admit(0, false)));
    }

    #[test]
    fn the_bucket_empties_and_refills() {
        let options = ThrottleOptions { tokens: 2, fill_time_ms: 10, ..OFF };
        let throttle = ConnectionThrottle::new(options, 0);
        assert_eq!(
            [0, 0, 9, 10, 11].map(|now_ms| throttle.admit(now_ms, false)),
            [true, true, false, true, false]
        );
    }

    #[test]
    fn weights_tell_new_sessions_from_resumed_ones() {
        let options = ThrottleOptions {
            tokens: 5,
            fill_count: 0,
            new_session_weight: 3,
            resumed_session_weight: 2,
            ..OFF
        };
        let throttle = ConnectionThrottle::new(options, 0);
        assert_eq!(
            [false, false, true, true].map(|resumed| throttle.admit(0, resumed)),
            [true, false, true, false]
        );
    }

    #[test]
    fn an_empty_bucket_makes_drops_likelier() {
        let options =
            ThrottleOptions { tokens: 1, fill_count: 0, freeze_time_ms: 0, drop_increase: 0.5, ..OFF };
        let throttle = ConnectionThrottle::new(options, 0);
        assert!(throttle.admit(0, false));
        for now_ms in 1..4 {
            assert!(!throttle.admit(now_ms, false));
        }
        assert!((throttle.drop_probability() - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn only_a_full_enough_bucket_makes_drops_unlikelier() {
        for (decrease_ratio, expected) in [(0.0, 1.0), (0.2, 1.0), (0.5, 0.75)] {
            let options = ThrottleOptions {
                tokens: 2,
                fill_time_ms: 10,
                freeze_time_ms: 0,
                drop_increase: 1.0,
                drop_decrease: 0.25,
                decrease_ratio,
                ..OFF
            };
            let throttle = ConnectionThrottle::new(options, 0);
            assert!([0, 0].map(|now_ms| throttle.admit(now_ms, false)) == [true, true]);
            assert!(!throttle.admit(1, false), "the bucket is empty: nobody comes in any more");
            assert!(!throttle.admit(10, false), "one of two tokens is back");
            assert!((throttle.drop_probability() - expected).abs() < f64::EPSILON, "{decrease_ratio}");
        }
    }
}
