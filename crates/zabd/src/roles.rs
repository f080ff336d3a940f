//! A member's roles in words: what it looks for, what keeps it from finding it, and what it becomes.
//!
//! An operator who sees no service reads these lines first, so each says what is waited for.

use zabd_jute::quorum::PeerState;
use zabd_jute::{Epoch, ServerId};
use zabd_zab::effect::{Note, Reason};
use zabd_zab::election::Standing;

/// Clients are served from now on.
pub fn tell_begun(role: PeerState, leader: ServerId, epoch: Epoch, after_ms: i64) {
    let after = format!("after {after_ms}ms without a leader");
    match role {
        PeerState::Leading => tracing::info!("LEADING in epoch {epoch} as server {leader}, {after}"),
        PeerState::Observing => tracing::info!("OBSERVING server {leader} in epoch {epoch}, {after}"),
        PeerState::Following => tracing::info!("FOLLOWING server {leader} in epoch {epoch}, {after}"),
        PeerState::Looking => unreachable!("who serves has a role"),
    }
}

/// Nobody is served any more, or an attempt to get there has failed.
pub fn tell_left(reason: Reason) {
    match reason {
        Reason::HandedOver => tracing::info!("The others have everything, and elect another leader"),
        Reason::Reconfigured { leader } => {
            tracing::info!(
                "A reconfiguration gives this server another role, or the lead to server {leader}"
            );
        }
        reason => tracing::warn!("LOOKING for a leader: {}", why(reason)),
    }
}

fn why(reason: Reason) -> String {
    let why = match reason {
        Reason::NoQuorumInTime => "no quorum has joined this one in time",
        Reason::VotersTurnedAway => {
            "servers that had voted for this one want another leader, and no quorum is left"
        }
        Reason::QuorumLost => "this one and the followers that are in step are no quorum any more",
        Reason::LeaderUnreachable => "the one that was elected does not answer on its quorum port",
        Reason::LeaderLost => "the last one has closed the connection, or was silent for too long",
        Reason::LeaderBroken(what) => return format!("the last one is not understood: {what}"),
        Reason::StaleLeader => "the epoch of the last one is older than one that was promised to another",
        Reason::ZxidsUsedUp => "the epoch's zxids are used up, and a new epoch begins new ones",
        Reason::NewerEpochPromised => "a voter has promised a newer epoch than this one's",
        Reason::EpochsUsedUp => {
            return format!(
                "this one has promised epoch {}, the last there is, and can lead nobody; hint: stop it, move its data \
                 directories away, and start it to take its state from members whose acceptedEpoch is lower",
                Epoch::LAST
            );
        }
        Reason::LeaderReconfigured => "a reconfiguration has taken the lead from the last one",
        Reason::NoRoom => "this one's log has no room",
        Reason::CannotCut => "this one's log cannot be cut where the last one says; a snapshot is needed",
        Reason::Reconfigured { .. } | Reason::HandedOver => unreachable!("nobody is looked for"),
    };
    why.to_owned()
}

/// How an election goes.
pub fn tell(note: &Note) {
    match note {
        Note::Elected { leader, .. } => tracing::info!("Server {leader} is elected"),
        Note::Voiceless { standing: Standing::Lost, .. } => tracing::warn!(
            "This server has lost what it had and does not count in an election: the others must elect a leader"
        ),
        Note::Voiceless { unheard, .. } => {
            let unheard = unheard.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            tracing::warn!(
                "This server is empty and does not count in an election before it has heard voters {unheard} look for a \
                 leader too"
            );
        }
        Note::Joins | Note::BringsIntoStep { .. } | Note::InStep { .. } => (),
    }
}

/// A learner of this server is sent what it lacks.
pub fn tell_into_step(server: ServerId, with_snapshot: bool) {
    let what =
        if with_snapshot { "a snapshot (SNAP)" } else { "the transactions that it lacks (DIFF or TRUNC)" };
    tracing::info!("Synchronizing with learner {server}: it is sent {what}");
}
