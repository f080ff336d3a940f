//! Which change of members a leader that begins completes: its own, or one that its followers have noted.
//!
//! A follower names, when it introduces itself, a change that is written down there and does not hold yet; the argument stands in
//! [`crate::learner`]'s `changes`. Whoever promises this leader a vote is such a witness, so the changes that they name
//! need quorums, too. But one that is named may be void, and its voters gone. So who names it is left out of the count where it is not
//! needed: if those who promise are a quorum of the members that hold, and none of them knows of a change, there is none.
//!
//! Two changes of voters are never counted together. To have the newer one completed, followers would have to forget the older one, and if
//! this leader ended then, nobody might be left who knows both. The exception is what this leader has in its log: whoever
//! proposed that has seen each older change hold, or that change is void.

use std::cmp::Reverse;
use std::iter::once;

use zabd_jute::ConfigVersion;
use zabd_jute::quorum::{Configuration, Sections};

use super::Leader;
use super::link::Learner;
use crate::quorum::{Quorums, Voters};

/// What the section is called that names it.
pub(crate) const NOTED_CHANGE: &str = "next";

/// Something that is named and cannot be read.
#[derive(Debug)]
pub(super) struct Unreadable;

/// The change that a learner names.
pub(super) fn noted_change(behind: &Sections<'_>) -> Result<Option<Configuration>, Unreadable> {
    let Some(text) = behind.named(NOTED_CHANGE) else { return Ok(None) };
    let text = str::from_utf8(text).map_err(|_| Unreadable)?;
    Configuration::parse(text).map(Some).map_err(|_| Unreadable)
}

/// What those who may decide for all complete: a change, or nothing.
#[derive(Debug)]
pub(super) struct Agreed(pub(super) Option<Configuration>);

impl Leader {
    /// Whether this server and the learners for which `counts` holds may decide for all; then what they complete.
    pub(super) fn agreed_change(&self, counts: impl Fn(&Learner) -> bool) -> Option<Agreed> {
        let own = self.next.as_ref().filter(|own| self.is_newer(own));
        if let Some(own) = own.filter(|own| self.is_next_logged || self.has_other_voters(own)) {
            return self.agree_on(Some(own), &counts).then(|| Agreed(Some(own.clone())));
        }
        // Of strangers nothing is taken, who may name anything.
        let held = Voters::new(&self.configuration);
        let is_witness = |learner: &&Learner| {
            counts(learner) && learner.server.is_some_and(|server| held.contains(server))
        };
        let noted = self.learners.values().filter(is_witness).filter_map(|learner| learner.noted.as_ref());
        let known = own.unwrap_or(&self.configuration).version();
        let mut noted: Vec<_> = noted.filter(|noted| known < noted.version()).collect();
        noted.sort_by_key(|noted| Reverse(noted.version()));
        let (changed, renumbered): (Vec<_>, Vec<_>) =
            noted.into_iter().partition(|noted| self.has_other_voters(noted));
        let mut candidates = once(None).chain(changed.into_iter().map(Some));
        let change = candidates.find(|change| self.agree_on(*change, &counts))?;
        let newest = || own.into_iter().chain(renumbered).max_by_key(|change| change.version());
        Some(Agreed(change.or_else(newest).cloned()))
    }

    fn agree_on(&self, change: Option<&Configuration>, counts: impl Fn(&Learner) -> bool) -> bool {
        let version = change.map(Configuration::version);
        // Nobody is made to forget a newer change, whatever it is about.
        let is_no_newer = |noted: ConfigVersion| version.is_none_or(|change| noted <= change);
        let may_be_forgotten = |noted: &Configuration| {
            version == Some(noted.version()) || self.is_next_logged || !self.has_other_voters(noted)
        };
        let agrees = |noted: &Configuration| {
            !self.is_newer(noted) || is_no_newer(noted.version()) && may_be_forgotten(noted)
        };
        let quorums = self.quorums_with(change);
        self.is_quorum(&quorums, true, |learner| counts(learner) && learner.noted.as_ref().is_none_or(agrees))
    }

    /// Those that count if this change may hold, and the lists that may.
    pub(super) fn quorums_with(&self, change: Option<&Configuration>) -> Quorums {
        Quorums::new(&self.configuration, change).with_lists(&self.lists)
    }

    /// One that does not hold yet; what is older than the members that hold is over.
    fn is_newer(&self, noted: &Configuration) -> bool {
        self.configuration.version() < noted.version()
    }

    /// Leaders that never came to reign may each have given the first members a number, and other changes are not of voters.
    fn has_other_voters(&self, noted: &Configuration) -> bool {
        !Voters::new(&self.configuration).decide_like(&Voters::new(noted))
    }
}
