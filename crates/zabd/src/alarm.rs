//! What is told at once, and then once a minute for as long as it lasts: whoever looks at a log later should find it, and
//! nobody should find nothing else.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How often it is told again.
const PAUSE: Duration = Duration::from_mins(1);

/// How many troubles are told apart.
const TROUBLES_MAX: usize = 256;

/// How many of one machine.
const OF_A_MACHINE_MAX: usize = 8;
/// How much of a trouble tells it from others.
const REASON_CHARS_MAX: usize = 200;

/// One trouble.
#[derive(Debug, Default)]
pub struct Alarm {
    told: Option<Instant>,
}

impl Alarm {
    /// Of a trouble that has been told just now.
    pub fn begun(now: Instant) -> Self {
        Self { told: Some(now) }
    }

    /// Tells it, unless that was less than a minute ago.
    pub fn ring(&mut self, now: Instant, tell: impl FnOnce()) {
        if self.is_due(now) {
            self.told = Some(now);
            tell();
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.told.is_none_or(|told| now.saturating_duration_since(told) >= PAUSE)
    }
}

/// Troubles of many kinds, each told by itself. Strangers can make up any number of them: when there are too many, what is new
/// waits until some of them are a minute old.
#[derive(Debug)]
pub struct Alarms<K>(BTreeMap<K, Alarm>);

impl<K> Default for Alarms<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord> Alarms<K> {
    /// Tells this one, unless that was less than a minute ago.
    pub fn ring(&mut self, now: Instant, trouble: K, tell: impl FnOnce()) {
        if self.0.len() >= TROUBLES_MAX && !self.0.contains_key(&trouble) {
            self.0.retain(|_, alarm| !alarm.is_due(now));
            if self.0.len() >= TROUBLES_MAX {
                return;
            }
        }
        self.0.entry(trouble).or_default().ring(now, tell);
    }
}

/// What is wrong with connections of others, told apart by machine and reason but for the numbers in it. A reason may hold what
/// the other side has made up, so one machine has only so many places: it cannot silence what is told of the others.
#[derive(Debug)]
pub struct OfMachines<M>(Alarms<(M, String)>);

impl<M> Default for OfMachines<M> {
    fn default() -> Self {
        Self(Alarms::default())
    }
}

impl<M: Ord + Clone> OfMachines<M> {
    /// Tells this one, unless that was less than a minute ago.
    pub fn ring(&mut self, now: Instant, machine: M, why: &str, tell: impl FnOnce()) {
        let reason = why.chars().filter(|c| !c.is_ascii_digit()).take(REASON_CHARS_MAX).collect();
        let trouble = (machine, reason);
        let Alarms(told) = &mut self.0;
        if told.get(&trouble).is_none_or(|alarm| alarm.is_due(now)) {
            let others = told.range((trouble.0.clone(), String::new())..);
            let others = others.take_while(|((machine, _), _)| *machine == trouble.0);
            if others.filter(|(_, alarm)| !alarm.is_due(now)).count() >= OF_A_MACHINE_MAX {
                return;
            }
        }
        self.0.ring(now, trouble, tell);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_told_once_a_minute() {
        let begin = Instant::now();
        let told_at = |mut alarm: Alarm| {
            let mut told = Vec::new();
            for second in 0..130 {
                alarm.ring(begin + Duration::from_secs(second), || told.push(second));
            }
            told
        };
        assert_eq!(told_at(Alarm::default()), [0, 60, 120]);
        assert_eq!(told_at(Alarm::begun(begin)), [60, 120]);
    }

    #[test]
    fn each_trouble_is_told_by_itself_and_there_are_only_so_many() {
        let begin = Instant::now();
        let mut alarms = Alarms::default();
        let mut told = Vec::new();
        for second in [0, 1, 60] {
            for trouble in 0..=TROUBLES_MAX {
                alarms.ring(begin + Duration::from_secs(second), trouble, || told.push((second, trouble)));
            }
        }
        let firsts = (0..TROUBLES_MAX).map(|trouble| (0, trouble));
        let again = (0..TROUBLES_MAX).map(|trouble| (60, trouble));
        assert_eq!(told, firsts.chain(again).collect::<Vec<_>>());
    }

    /// Whoever makes up a name for each connection is told of a few times, and everybody else as ever.
    #[test]
    fn a_machine_that_makes_up_reasons_silences_nobody() {
        let begin = Instant::now();
        let mut alarms = OfMachines::default();
        let mut told = Vec::new();
        let mut ring = |second, machine, why: &str| {
            alarms.ring(begin + Duration::from_secs(second), machine, why, || {
                told.push((second, machine, why.to_owned()));
            });
        };
        let made_up = |number: usize| format!("the certificate of {}", "x".repeat(number));
        for number in 0..2 * TROUBLES_MAX {
            ring(0, "bad", &made_up(number));
            ring(1, "good", &format!("port {number} is closed"));
        }
        ring(2, "good", "another");
        ring(60, "bad", &made_up(TROUBLES_MAX));
        let expected: Vec<_> = told.iter().map(|(second, machine, _)| (*second, *machine)).collect();
        let mut wanted = vec![(0, "bad"); OF_A_MACHINE_MAX];
        wanted.insert(1, (1, "good"));
        wanted.extend([(2, "good"), (60, "bad")]);
        assert_eq!(expected, wanted);
    }
}
