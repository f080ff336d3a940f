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
//! turned away waits for others to follow first. Then this server looks for a leader itself.
//!
//! A voter that decided for another behind its vote has a leader, and tells that only to who asks. (Java's does when the one that
//! it voted for before says that it follows.) So those who have not connected are asked after some time, and again, by the vote that
//! they know: see [`crate::peer`].
//!
//! A voter that has crashed says nothing. But voters connect as soon as they have decided, and give up after a few attempts. So
//! after twice that time those who are not connected are not waited for any more, if those who are and those who were
//! heard to look for a leader could elect one. An established leader never ends by what is said on the election port: its
//! followers see to that.
//!
//! A server that its own list has elected needs a quorum of every other list that may hold, too ([`crate::quorum::lists`]). If only
//! that is missing when those who are about to connect have done so, it does not wait for `initLimit`: who has the votes that are
//! missing may look for a leader by another list, which needs the votes of those who follow here.
//!
//! **Why that ends.** A server gives up at most once for each time it is elected: because of a word that reached it behind its
//! decision, so no more often than words take to come, or after the time that voters have to connect. And it is hardly elected
//! in vain again. It begins a new round, which reaches whoever has turned away no sooner than two delays of a link after that
//! turned, and a decision waits for some time for better votes ([`crate::election`]):
//!
//! - if two delays take longer than that, the voter has decided meanwhile, if a quorum is for the other one, and its answer
//!   names the leader;
//! - if they take less, the decision in the new round waits for the answers of all that have a link: who came too late in one
//!   round is part of the next.
//!
//! What is left are delays that differ by more than that wait, in each round anew. Nothing here ends that: whoever has turned away
//! or was turned away for the second time in a row rests ([`crate::peer`]), but only until somebody else looks, for it must not
//! be missing in an election. Java's leader waits for `initLimit` each time instead.

use std::collections::BTreeSet;

use zabd_jute::ServerId;

use super::{Leader, Phase};
use crate::effect::{Effects, Instant, Reason, Timing};
use crate::election::Word;
use crate::learner::ATTEMPTS_MAX;
use crate::quorum::Quorums;

/// See the module's description.
#[derive(Debug)]
pub(super) struct Backing {
    /// Voters whose last word was for this leader.
    voters: BTreeSet<ServerId>,
    /// Those whose last word was a vote for somebody else.
    looking: BTreeSet<ServerId>,
    /// Whether somebody has turned away.
    is_doubted: bool,
    /// From then on voters that have not connected are not waited for.
    pub(super) awaited_until: Instant,
}

impl Backing {
    pub(super) fn new(now: Instant, timing: Timing, voters: BTreeSet<ServerId>) -> Self {
        let awaited_until = now.after_ms(patience_ms(timing));
        Self { voters, looking: BTreeSet::new(), is_doubted: false, awaited_until }
    }

    /// The newest word of a server.
    pub(super) fn hear(&mut self, server: ServerId, word: Word) {
        self.looking.remove(&server);
        match word {
            Word::ForIt => _ = self.voters.insert(server),
            Word::Looks | Word::Against => self.is_doubted |= self.voters.remove(&server),
        }
        if word == Word::Looks {
            self.looking.insert(server);
        }
    }

    /// A server that cannot be heard any more looks for nobody as far as is known. If it votes again, it says so again.
    pub(super) fn lose(&mut self, server: ServerId) {
        self.looking.remove(&server);
    }
}

/// How long voters are waited for that have not connected.
pub(crate) fn patience_ms(timing: Timing) -> i64 {
    let dialling_ms = i64::from(ATTEMPTS_MAX) * timing.pause_ms();
    // Attempts may follow each other at once (`leaderConnectDelayDuringRetryMs=0`); to decide takes time all the same.
    (2 * dialling_ms).max(timing.tick_ms / 2)
}

impl Leader {
    /// Leaves if the reign has not begun, and who could make it begin has turned away or does not come.
    pub(super) fn consider_giving_up(&mut self, now: Instant, out: &mut Effects) {
        if self.phase == Phase::CollectingPromises
            && self.backing.awaited_until <= now
            && self.lacks_only_lists()
        {
            self.leave(Reason::NoQuorumInTime, out);
            return;
        }
        let Backing { voters, looking, is_doubted, awaited_until } = &self.backing;
        let is_late = *awaited_until <= now && !looking.is_empty();
        if self.phase >= Phase::Broadcasting || !(*is_doubted || is_late) {
            return;
        }
        let follows = |id| id == self.me || self.learners.values().any(|learner| learner.server == Some(id));
        let is_quorum_with =
            |others: &BTreeSet<ServerId>| self.quorums().is_quorum(|id| follows(id) || others.contains(&id));
        if *is_doubted && !is_quorum_with(voters) {
            self.leave(Reason::VotersTurnedAway, out);
        } else if is_late && is_quorum_with(looking) && !is_quorum_with(&BTreeSet::new()) {
            self.leave(Reason::NoQuorumInTime, out);
        }
    }

    fn lacks_only_lists(&self) -> bool {
        let is_here = |quorums: &Quorums| self.is_quorum(quorums, true, |learner| learner.server.is_some());
        let own = Quorums::new(&self.configuration, self.next.as_ref());
        is_here(&own) && !is_here(self.quorums())
    }
}
