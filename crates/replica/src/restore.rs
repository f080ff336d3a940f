//! Another tree takes the place of the one that was served, because an operator restores a snapshot.
//!
//! ```text
//! shell: holds what clients ask for · everything proposed is logged, applied and answered · the snapshot has its name
//! replica: another position, other sessions, nothing pending · closes every connection
//! shell: gives the replica what it held
//! ```
//!
//! Sessions are those of the snapshot, as in Java, each with its full timeout: whoever is among them comes back and goes on with his
//! ephemerals, and whoever is not hears that his session has expired. Java leaves the connections open and drops what comes over
//! them without a word, and their watches with it. Here they are closed before anything of the new tree can be seen on them: a client
//! that comes back sets its watches anew and looks again. It may come back, since the new position is above everything
//! that it has seen.

use std::collections::BTreeSet;

use zabd_tree::{Pending, Tree};

use crate::input::{Now, Output, Outputs};
use crate::pipeline::{Positions, Replica};

impl Replica {
    /// A lone server shows this tree from now on; nothing is on its way to the log, or to the tree before it.
    pub fn restore(&mut self, now: Now, tree: &Tree, out: &mut Outputs) {
        assert!(self.ensemble.is_none(), "what a member shows is agreed on");
        assert!(self.queue.is_empty(), "a tree was replaced below transactions that are on their way");
        let last = tree.last_zxid();
        assert!(self.positions.appended < last, "a restored tree is newer than all that was logged");
        self.positions = Positions { appended: last, synced: last, committed: last, applied: last };
        self.pending = Pending::new(self.options.check);
        self.sessions.forget_all();
        for (session, timeout_ms) in tree.sessions() {
            self.sessions.track(now.monotonic_ms, session, timeout_ms, None);
        }
        out.list.push(Output::CloseAll { but: BTreeSet::new() });
    }
}
