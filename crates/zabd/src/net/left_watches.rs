//! Watches of clients that are gone: half a million of them are not taken away while others wait.
//!
//! A connection that ends takes away what it can in one bite, which is nearly always all. For what is left a task begins on its
//! thread, unless there is one already. Between two of its bites the thread's other connections have their turns, and whoever waits
//! for the watches gets them.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use parking_lot::MutexGuard;
use zabd_replica::ConnId;
use zabd_replica::watches::{Emptied, Watches};

use crate::driver::Driver;

/// About as long others wait for one bite.
const BITE: Duration = Duration::from_micros(200);

/// So many watches are taken away between two looks at the clock: some ten microseconds.
const STEP: usize = 32;

/// A connection has ended: its watches end too. Called by its task.
pub(super) fn leave(driver: &Arc<Driver>, conn: ConnId) {
    let mut watches = driver.watches();
    watches.disconnect(conn);
    let (emptied, is_done) = bite(&mut watches);
    let begins = !is_done && !driver.is_taking_watches.swap(true, Relaxed);
    MutexGuard::unlock_fair(watches);
    drop(emptied);
    if begins {
        tokio::spawn(take_away(driver.clone()));
    }
}

async fn take_away(driver: Arc<Driver>) {
    loop {
        tokio::task::yield_now().await;
        let mut watches = driver.watches();
        let (emptied, is_done) = bite(&mut watches);
        if is_done {
            // Still locked: who leaves behind that sees that nobody takes away.
            driver.is_taking_watches.store(false, Relaxed);
        }
        MutexGuard::unlock_fair(watches);
        drop(emptied);
        if is_done {
            return;
        }
    }
}

/// True if nothing is left. What it yields is dropped when the watches are not locked any more.
fn bite(watches: &mut Watches) -> (Vec<Emptied>, bool) {
    let mut emptied = Vec::new();
    if !watches.has_gone() {
        return (emptied, true);
    }
    let begin = Instant::now();
    loop {
        emptied.extend(watches.take_away(STEP));
        if !watches.has_gone() {
            return (emptied, true);
        }
        if begin.elapsed() >= BITE {
            return (emptied, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use zabd_jute::SessionId;
    use zabd_replica::watches::WatchKind;

    use super::*;

    fn watch(driver: &Driver, conn: ConnId, paths: usize) {
        let mut watches = driver.watches();
        watches.connect(conn, SessionId(conn.0 as i64), std::iter::empty().collect());
        for number in 0..paths {
            watches.set(conn, &format!("/{number}"), WatchKind::Data);
        }
    }

    /// Other tasks of the thread have their turns, and find the watches free in them; one task takes away for all who leave.
    #[tokio::test]
    async fn others_have_their_turns_while_watches_are_taken_away() {
        const PATHS: usize = 200_000;
        let driver = crate::driver::tests::driver();
        watch(&driver, ConnId(1), PATHS);
        watch(&driver, ConnId(2), PATHS / 2);
        let turns = Rc::new(Cell::new(0));
        let (counted, others) = (turns.clone(), driver.clone());
        let local = tokio::task::LocalSet::new();
        local.spawn_local(async move {
            while others.watches().has_gone() {
                counted.set(counted.get() + 1);
                tokio::task::yield_now().await;
            }
        });
        leave(&driver, ConnId(1));
        leave(&driver, ConnId(2));
        assert_eq!(driver.watches().total(), 0, "they are over, all of them");
        assert!(driver.watches().kept() > PATHS, "they are too many for a bite");
        local.await;
        assert!(turns.get() > 20, "{} turns", turns.get());
        assert_eq!(driver.watches().kept(), 0);
        tokio::task::yield_now().await;
        assert!(!driver.is_taking_watches.load(Relaxed), "whoever leaves next begins again");
    }

    #[tokio::test]
    async fn a_few_watches_go_with_their_connection() {
        let driver = crate::driver::tests::driver();
        watch(&driver, ConnId(1), STEP / 2);
        leave(&driver, ConnId(1));
        assert!(!driver.watches().has_gone() && !driver.is_taking_watches.load(Relaxed));
    }
}
