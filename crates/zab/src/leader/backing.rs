//! Who elected a leader, and whether enough of them are still for it while nobody serves yet.
//!
//! Two servers may be elected in one round, each by a quorum that a voter belongs to which has changed its vote. The one
//! that nobody follows would wait for `initLimit`, as in Java, and be missed meanwhile. But it hears on the election port what
//! its voters say: links keep their order, so what a voter says after its vote for this server is its newer word. A voter
//! has *turned away* if it
//!
//! - looks for a leader with another vote. In the round of the election votes only get better, so it never votes for this
//!   server again; in another one, the votes of that round do not count any more; in an earlier one, it has been started
//!   again in between. In each case it can come back only to a leader that a quorum without it says that it follows;
//! - or says that it has another leader.
//!
//! If those who have not turned away, those who have connected, and this server are no quorum, that never comes: who has
//! turned away waits for others to follow first. Then this server looks for a leader itself. An established leader never
//! ends by what is said on the election port: its followers do.
//!
//! **Why that ends.** A server gives up at most once for each time it is elected, and only after one of its voters was heard
//! with a newer word. In one round a voter changes its vote at most once per candidate. Whoever gives up begins a new
//! round, with the votes that it has heard, and a decision there waits for everybody who has a link, for as long as a vote takes to
//! arrive ([`crate::election`]): so the vote that came too late in one round is part of the next. What is
//! left are links that are slower than that wait every time, and for them a leader gives up the second time in a row it
//! rests first, longer each time, as whoever is turned away does.

use std::collections::BTreeSet;

use zabd_jute::ServerId;

use super::{Leader, Phase};
use crate::effect::{Effects, Reason};

/// See the module's description.
#[derive(Debug)]
pub(super) struct Backing {
    /// Voters whose last word was for this leader.
    voters: BTreeSet<ServerId>,
    /// Whether somebody has turned away.
    is_doubted: bool,
}

impl Backing {
    pub(super) fn new(voters: BTreeSet<ServerId>) -> Self {
        Self { voters, is_doubted: false }
    }

    /// The newest word of a server.
    pub(super) fn hear(&mut self, server: ServerId, is_for_it: bool) {
        if is_for_it {
            self.voters.insert(server);
        } else {
            self.is_doubted |= self.voters.remove(&server);
        }
    }
}

impl Leader {
    /// Leaves if the reign has not begun and nobody is left who could make it begin.
    pub(super) fn consider_giving_up(&mut self, out: &mut Effects) {
        if self.phase >= Phase::Broadcasting || !self.backing.is_doubted {
            return;
        }
        let is_connected = |id| self.learners.values().any(|learner| learner.server == Some(id));
        let may_follow = |id| id == self.me || self.backing.voters.contains(&id) || is_connected(id);
        if !self.quorums().is_quorum(may_follow) {
            self.leave(Reason::VotersTurnedAway, out);
        }
    }
}
