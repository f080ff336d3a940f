//! Another tree takes the place of the one that is shown, while clients ask and others wait for their answers.
//!
//! [`Driver::hold`] keeps what clients ask for undecided, [`Driver::settle_decided`] answers what was decided before, and then either
//! nothing has happened ([`Driver::release`]), or everything is another one ([`Driver::restore`]).

use std::collections::HashSet;
use std::sync::atomic::Ordering::Relaxed;

use zabd_replica::{ConnId, Input};
use zabd_tree::Tree;

use super::{Core, Driver, ROUNDS_MAX};

/// Whether it is no client's, and goes on while clients are held.
fn is_of_the_disk(input: &Input) -> bool {
    matches!(
        input,
        Input::Synced { .. } | Input::DiskFull | Input::DiskStaysFull | Input::DiskHasRoom | Input::Room(_)
    )
}

/// Puts what is not to be decided now aside.
pub(super) fn hold_back(core: &mut Core, inputs: &mut Vec<Input>) {
    let Some(held) = &mut core.held else { return };
    let of_others = inputs.extract_if(.., |input| !is_of_the_disk(input));
    // Time goes on, and says so again.
    held.extend(of_others.filter(|input| !matches!(input, Input::Tick | Input::Reap { .. })));
}

impl Driver {
    /// From now on nothing that clients ask for is decided; what was decided before goes on.
    pub fn hold(&self) {
        self.core.lock().held.get_or_insert_default();
        self.work_off(ROUNDS_MAX);
    }

    /// Applies and answers everything that can be; true if nothing is left. Only while clients are held there is an end to it.
    pub fn settle_decided(&self) -> bool {
        let mut core = self.core.lock();
        while core.outputs.apply || !self.inbox.lock().is_empty() {
            self.round(&mut core);
        }
        core.replica.queue_length() == 0
    }

    /// What was held is decided now, in its order and before what comes later.
    pub fn release(&self) {
        let mut core = self.core.lock();
        let held = core.held.take().unwrap_or_default();
        self.inbox.lock().splice(0..0, held);
        drop(core);
        self.work_off(ROUNDS_MAX);
    }

    /// A lone server shows another tree, in one step with its sessions, its position and its watches, and every connection
    /// is closed before anything of it can be seen there. Of what was held, only who wants a session is heard. Yields the tree that
    /// was shown.
    pub fn restore(&self, tree: Tree) -> Tree {
        let mut core = self.core.lock();
        let now = self.clock.now();
        let mut shown = self.tree.write();
        {
            let Core { replica, outputs, .. } = &mut *core;
            replica.restore(now, &tree, outputs);
        }
        let before = std::mem::replace(&mut *shown, tree);
        self.trees_replaced.fetch_add(1, Relaxed);
        let clients = self.registry.lock();
        core.left_behind =
            clients.iter().filter(|client| client.has_asked()).map(|client| client.id).collect();
        drop(clients);
        let mut watches = self.watches.lock();
        core.left_behind.iter().for_each(|conn| watches.disconnect(*conn));
        drop(watches);
        let mailed = self.deliver(&mut core);
        drop(shown);
        Self::wake(&mut core, mailed);
        let held = core.held.take().unwrap_or_default().into_iter();
        let connects = held.filter(|input| matches!(input, Input::Connect { .. }));
        self.inbox.lock().splice(0..0, connects);
        drop(core);
        self.work_off(ROUNDS_MAX);
        before
    }

    /// Whether an input is of a connection that is about to end; those that have ended are forgotten now and then.
    pub(super) fn is_left_behind(&self, input: &Input, left_behind: &mut HashSet<ConnId>) -> bool {
        match input {
            Input::Request(request) => left_behind.contains(&request.conn),
            Input::Refuse { conn, .. } => left_behind.contains(conn),
            Input::Tick => {
                let clients = self.registry.lock();
                left_behind.retain(|conn| clients.get(*conn).is_some());
                false
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use zabd_jute::{SessionId, Zxid};

    use super::super::tests::{connect, driver, numbered};
    use super::*;

    /// What was asked for before is answered in the tree before; who asks for a session meanwhile gets one in the next tree, and
    /// what comes over a connection of the tree before is not decided in the next one.
    #[test]
    fn a_tree_is_replaced_between_two_inputs() {
        let driver = driver();
        driver.feed([connect(1)]);
        driver.hold();
        driver.feed([connect(2), Input::Tick]);
        assert!(!driver.settle_decided(), "the first is not logged yet");
        driver.synced(Zxid(1));
        assert!(driver.settle_decided());
        assert_eq!(driver.inspect(zabd_replica::Replica::session_count), 1);
        let before = driver.restore(numbered(7));
        assert_eq!((before.session_count(), before.last_zxid()), (1, Zxid(1)));
        assert_eq!(driver.inspect(zabd_replica::Replica::session_count), 1, "the one that was held");
        assert_eq!(driver.inspect(zabd_replica::Replica::positions).appended, Zxid(8));
        driver.synced(Zxid(8));
        assert_eq!(driver.tree().session_count(), 1);
    }

    #[test]
    fn what_was_held_is_decided_when_nothing_came_of_it() {
        let driver = driver();
        driver.hold();
        driver.feed([connect(1), Input::Touch { session: SessionId(1) }, connect(2)]);
        assert!(driver.settle_decided());
        assert_eq!(driver.inspect(zabd_replica::Replica::session_count), 0);
        driver.release();
        assert_eq!(driver.inspect(zabd_replica::Replica::session_count), 2);
    }
}
