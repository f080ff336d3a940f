//! Can what clients saw of one znode be explained by doing one thing after the other?
//!
//! Wing and Gong's search, as Lowe improved it: take an operation that nothing must precede, see whether its answer fits,
//! go on, and come back if that leads nowhere; a situation that led nowhere is not looked at again. It knows nothing of
//! positions in a log: only when each thing was asked for and answered, and what the answer was.

use std::collections::BTreeSet;

/// When something happened: the world's time, and the order of events.
pub type Moment = (i64, u64);

/// A moment that never comes.
pub const NEVER: Moment = (i64::MAX, u64::MAX);

/// What was asked for, and what the answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It was made, with this in it.
    Created(Vec<u8>),
    /// It was not made, since it is there.
    Exists,
    /// It is gone.
    Deleted,
    /// It has this in it, and has this version.
    Set(Vec<u8>, i32),
    /// It is not there, so nothing was done.
    Missing,
    /// It was read: this was in it, or it was not there.
    Read(Option<Vec<u8>>),
}

/// One operation on one znode.
#[derive(Clone, Debug)]
pub struct Operation {
    /// When it was asked for.
    pub asked: Moment,
    /// When it was answered; [`NEVER`] if it happened and nobody was told.
    pub answered: Moment,
    /// What it was.
    pub what: What,
}

/// A znode: its data and version, if it is there.
type State = Option<(Vec<u8>, i32)>;

/// The state behind an operation, if its answer fits to the one before it.
fn apply(state: &State, what: &What) -> Option<State> {
    match (what, state) {
        (What::Created(data), None) => Some(Some((data.clone(), 0))),
        (What::Set(data, version), Some((_, before))) if *version == before + 1 => {
            Some(Some((data.clone(), *version)))
        }
        (What::Deleted, Some(_)) => Some(None),
        (What::Exists, Some(_)) | (What::Missing, None) => Some(state.clone()),
        (What::Read(seen), _) if seen.as_ref() == state.as_ref().map(|(data, _)| data) => Some(state.clone()),
        _ => None,
    }
}

/// How many situations are looked at before a history counts as too tangled.
const SITUATIONS_MAX: usize = 200_000;

/// Which of the operations are done: all before `first`, and those in `more`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Done {
    first: usize,
    more: BTreeSet<usize>,
}

impl Done {
    fn add(&mut self, operation: usize) {
        self.more.insert(operation);
        while self.more.remove(&self.first) {
            self.first += 1;
        }
    }
}

/// The operation that cannot be explained, if there is one: whatever is done before it, its answer does not fit.
pub fn unexplained(operations: &mut [Operation]) -> Option<&Operation> {
    operations.sort_by_key(|operation| operation.asked);
    let mut seen = BTreeSet::new();
    let mut trail = vec![(Done { first: 0, more: BTreeSet::new() }, None::<(Vec<u8>, i32)>)];
    let mut furthest = 0;
    while let Some((done, state)) = trail.pop() {
        if operations[done.first..]
            .iter()
            .enumerate()
            .all(|(at, each)| each.answered == NEVER || done.more.contains(&(done.first + at)))
        {
            return None;
        }
        furthest = furthest.max(done.first);
        assert!(seen.len() < SITUATIONS_MAX, "too tangled to say whether the history is linearizable");
        let begin = trail.len();
        // What was asked for behind an answer comes behind what was answered.
        let mut until = NEVER;
        for (at, operation) in operations.iter().enumerate().skip(done.first) {
            if until < operation.asked {
                break;
            }
            if done.more.contains(&at) {
                continue;
            }
            until = until.min(operation.answered);
            if let Some(behind) = apply(&state, &operation.what) {
                let mut more = done.clone();
                more.add(at);
                if seen.insert((more.clone(), behind.clone())) {
                    trail.push((more, behind));
                }
            }
        }
        // The one that was asked for first is tried first.
        trail[begin..].reverse();
    }
    Some(&operations[furthest])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(asked: i64, answered: i64, what: What) -> Operation {
        let answered = if answered == 0 { NEVER } else { (answered, 0) };
        Operation { asked: (asked, 0), answered, what }
    }

    fn data(text: &str) -> Vec<u8> {
        text.as_bytes().to_vec()
    }

    #[test]
    fn one_after_the_other() {
        let mut operations = [
            done(1, 2, What::Missing),
            done(3, 4, What::Created(data("a"))),
            done(5, 6, What::Set(data("b"), 1)),
            done(7, 8, What::Read(Some(data("b")))),
            done(9, 10, What::Deleted),
            done(11, 12, What::Read(None)),
        ];
        assert!(unexplained(&mut operations).is_none());
    }

    #[test]
    fn what_overlaps_may_come_in_any_order() {
        let mut operations = [
            done(1, 2, What::Created(data("a"))),
            done(3, 20, What::Set(data("b"), 2)),
            done(4, 19, What::Set(data("c"), 1)),
            done(5, 18, What::Read(Some(data("c")))),
        ];
        assert!(unexplained(&mut operations).is_none());
    }

    #[test]
    fn what_nobody_was_told_of_may_come_late() {
        let mut operations = [
            done(1, 2, What::Created(data("a"))),
            done(3, 0, What::Set(data("b"), 1)),
            done(4, 5, What::Read(Some(data("a")))),
            done(6, 7, What::Read(Some(data("b")))),
        ];
        assert!(unexplained(&mut operations).is_none());
    }

    #[test]
    fn a_stale_read_a_lost_write_and_a_double_one_are_found() {
        let stale = [
            done(1, 2, What::Created(data("a"))),
            done(3, 4, What::Set(data("b"), 1)),
            done(5, 6, What::Read(Some(data("a")))),
        ];
        let lost = [
            done(1, 2, What::Created(data("a"))),
            done(3, 4, What::Set(data("b"), 1)),
            done(5, 6, What::Set(data("c"), 1)),
        ];
        let double = [done(1, 2, What::Created(data("a"))), done(3, 4, What::Created(data("b")))];
        for history in [&mut stale.to_vec(), &mut lost.to_vec(), &mut double.to_vec()] {
            let last = history.last().unwrap().asked;
            assert_eq!(unexplained(history).unwrap().asked, last);
        }
    }
}
