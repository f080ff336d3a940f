//! What a leader knows of one learner.

use zabd_jute::quorum::{Configuration, LearnerKind};
use zabd_jute::{Epoch, ServerId, Zxid};
use zabd_mutation::{Mutation, is_on};

use crate::effect::{Instant, Timing};
use crate::quorum::Lists;

/// How far a learner is. The order is that of its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Connected, nothing heard.
    Unknown,
    /// It has said who it is and waits for the epoch.
    Introduced,
    /// It was told the epoch.
    Told,
    /// It has promised the epoch and waits for a quorum to do so.
    Promised,
    /// What it may keep of its history is being found out.
    Examined,
    /// It has been sent all it lacks, and NEWLEADER; everything new goes to it too.
    Synchronising,
    /// It has acknowledged NEWLEADER.
    InStep,
    /// It was told that it may serve.
    Serving,
}

/// See the module's description.
#[derive(Debug)]
pub(super) struct Learner {
    /// Who it is, once it has said so.
    pub(super) server: Option<ServerId>,
    pub(super) kind: LearnerKind,
    pub(super) stage: Stage,
    /// When it counts as gone unless it is heard of.
    pub(super) patience: Instant,
    /// A change of members that it has noted, and that did not hold there when it came.
    pub(super) noted: Option<Configuration>,
    /// The lists without a number that it knows of.
    pub(super) lists: Lists,
    /// The epoch that it had promised before.
    pub(super) accepted: Epoch,
    /// Where its history ends, as it says.
    pub(super) last_zxid: Zxid,
    /// It has a history that it cannot build on, and says that it has none.
    pub(super) needs_snapshot: bool,
    /// Its log has more of this leader's epoch than this leader has proposed: a server was started alone on it.
    pub(super) is_foreign: bool,
    /// Its promise counts towards the quorum.
    pub(super) has_promised: bool,
    /// It has seen more than this leader had when its reign began to be prepared.
    pub(super) is_ahead: bool,
    /// Its log holds everything up to here. Counts only from [`Stage::InStep`] on.
    pub(super) acked: Zxid,
    /// Where the log ended that it came with and keeps, if not all of that was committed: it is told of no commit up to here, and
    /// serves when the last of them is.
    pub(super) tail: Zxid,
    /// Since when what it lacks has been leaving for it.
    pub(super) sending_since: Option<Instant>,
    /// Since when it owes an acknowledgement.
    pub(super) owes_since: Option<Instant>,
}

impl Learner {
    pub(super) fn new(patience: Instant) -> Self {
        Self {
            server: None,
            kind: LearnerKind::Observer,
            stage: Stage::Unknown,
            patience,
            noted: None,
            lists: Lists::default(),
            accepted: Epoch::ZERO,
            last_zxid: Zxid::ZERO,
            needs_snapshot: false,
            is_foreign: false,
            has_promised: false,
            is_ahead: false,
            acked: Zxid::ZERO,
            tail: Zxid::ZERO,
            sending_since: None,
            owes_since: None,
        }
    }

    /// A sign of life.
    pub(super) fn heard(&mut self, now: Instant, timing: Timing) {
        let patience_ms = if self.stage < Stage::InStep { timing.init_ms() } else { timing.sync_ms() };
        self.patience = self.patience.max(now.after_ms(patience_ms));
        if self.stage >= Stage::InStep {
            self.patience = now.after_ms(patience_ms);
        }
    }

    /// Whether it gets proposals and commits, rather than what is committed.
    pub(super) fn is_follower(&self) -> bool {
        self.kind == LearnerKind::Follower
    }

    /// Whether it acknowledges what is proposed, and was heard of lately.
    pub(super) fn is_live_follower(&self, now: Instant) -> bool {
        self.is_follower() && self.stage >= Stage::InStep && now <= self.patience
    }

    /// Whether the commit of what is there is news to it: a server of Java ends over one that it has no proposal for.
    pub(super) fn is_told_of(&self, zxid: Zxid) -> bool {
        self.is_registered() && (self.tail < zxid || is_on(Mutation::KnownCommitsTold))
    }

    /// Whether new traffic goes to it.
    pub(super) fn is_registered(&self) -> bool {
        self.stage >= Stage::Synchronising
    }
}
