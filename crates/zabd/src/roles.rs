//! A member's roles in words: what it looks for, what keeps it from finding it, and what it becomes.
//!
//! An operator who sees no service reads these lines first, so each says what is waited for.

use std::time::Instant;

use parking_lot::Mutex;
use zabd_jute::quorum::{Configuration, LearnerKind, PeerState};
use zabd_jute::{Epoch, ServerId};
use zabd_zab::effect::{Loss, Note, Reason, Remedy, Uncounted};
use zabd_zab::election::Standing;

use crate::alarm::Alarm;

/// What has been told of a search that goes on. Who cannot join the one that is elected, as by a wrong password, elects it anew
/// several times a second.
#[derive(Debug, Default)]
pub struct RolesLog(Mutex<InVain>);

#[derive(Debug, Default)]
struct InVain {
    elected: Option<ServerId>,
    /// The one that was elected and not reached last.
    unreached: Option<ServerId>,
    alarm: Alarm,
}

impl RolesLog {
    /// Clients are served from now on.
    pub fn tell_begun(&self, role: PeerState, leader: ServerId, epoch: Epoch, after_ms: i64) {
        *self.0.lock() = InVain::default();
        tell_begun(role, leader, epoch, after_ms);
    }

    /// Nobody is served any more, or an attempt to get there has failed; why the one that was elected was not reached, if it was not. The
    /// latter is told once a minute for as long as it lasts.
    pub fn tell_left(&self, reason: Reason, unreached: Option<String>) {
        if reason != Reason::LeaderUnreachable {
            return tell_left(reason);
        }
        let mut vain = self.0.lock();
        vain.unreached = vain.elected;
        let line = vain.elected.map_or_else(|| "server.N".to_owned(), |leader| format!("server.{leader}"));
        let why = unreached.map_or_else(
            || {
                format!(
                    "it takes connections on its quorum port and ends them at once; hint: if its log does not tell why, look \
                     whether {line}=HOST:QUORUM:ELECTION has the same two ports, in this order, here and there"
                )
            },
            |problem| format!("no connection to its quorum port stands: {problem}"),
        );
        vain.alarm.ring(Instant::now(), || {
            tracing::warn!(
                "LOOKING for a leader, again and again: the one that was elected cannot be joined; {why}"
            );
        });
    }

    /// How an election goes.
    pub fn tell(&self, note: &Note) {
        if let Note::Elected { leader, .. } = note {
            let mut vain = self.0.lock();
            vain.elected = Some(*leader);
            if vain.unreached == Some(*leader) {
                return;
            }
        }
        tell(note);
    }
}

fn tell_begun(role: PeerState, leader: ServerId, epoch: Epoch, after_ms: i64) {
    let after = format!("after {after_ms}ms without a leader");
    match role {
        PeerState::Leading => tracing::info!("LEADING in epoch {epoch} as server {leader}, {after}"),
        PeerState::Observing => tracing::info!("OBSERVING server {leader} in epoch {epoch}, {after}"),
        PeerState::Following => tracing::info!("FOLLOWING server {leader} in epoch {epoch}, {after}"),
        PeerState::Looking => unreachable!("who serves has a role"),
    }
}

fn tell_left(reason: Reason) {
    match reason {
        // Whoever has asked for it tells how it went.
        Reason::HandedOver | Reason::NoHeirs => (),
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
        Reason::LeaderClosed => "the last one has closed the connection, or has ended",
        Reason::LeaderSilent => "the last one was silent for too long",
        Reason::LeaderBroken(what) => return format!("the last one is not understood: {what}"),
        Reason::StaleLeader => "the epoch of the last one is older than one that was promised to another",
        Reason::AnotherList => "a voter knows of members that this one had not asked",
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
        Reason::StandsStill => "this one's disk stands still, and others go on without it",
        Reason::CannotCut => "this one's log cannot be cut where the last one says; a snapshot is needed",
        Reason::LeaderUnreachable => unreachable!("that is told with what became of the connection"),
        Reason::Reconfigured { .. } | Reason::HandedOver | Reason::NoHeirs => {
            unreachable!("nobody is looked for")
        }
    };
    why.to_owned()
}

fn tell(note: &Note) {
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
        Note::BringsIntoStep { server, remedy, .. } => {
            let what = match remedy {
                Remedy::Difference => "it is sent the transactions that it lacks (DIFF)",
                Remedy::Cut => "it forgets what only its own log has (TRUNC)",
                Remedy::Snapshot => "it is sent a snapshot (SNAP)",
            };
            tracing::info!("Synchronizing with learner {server}: {what}");
        }
        Note::LearnerLost { server, kind, loss } => {
            let who = if *kind == LearnerKind::Follower { "follower" } else { "observer" };
            match loss {
                Loss::Closed => {
                    tracing::warn!("Lost {who} {server}: it has closed the connection, or has ended");
                }
                Loss::Silent => {
                    tracing::warn!("Lost {who} {server}: it was silent for too long, and is closed");
                }
            }
        }
        Note::Uncounted(uncounted) => {
            tracing::warn!("This server is not counted: {}", lists_in_words(uncounted));
        }
        Note::AnotherList { server, voters } => {
            let voters = voters.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            tracing::warn!(
                "Server {server} knows that voters {voters} may hold: their quorum is needed too, and this server begins anew"
            );
        }
        Note::Joins | Note::InStep { .. } => (),
    }
}

/// How a leader's list differs from this server's, and what is to be done.
pub fn lists_in_words(uncounted: &Uncounted) -> String {
    let Uncounted { leader, counted, own } = uncounted;
    let [counted, own] =
        [counted, own].map(|ids| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    format!(
        "leader {leader} counts voters {counted}, and this server's own list has {own}; hint: give all members one list and \
         restart them"
    )
}

/// Another configuration takes effect; `me` need not be in it. Whoever `was_member` has been taken out of it.
pub fn tell_configuration(me: ServerId, configuration: &Configuration, was_member: bool) {
    let words = configuration_in_words(me, configuration, was_member);
    if configuration.member(me).is_some() {
        tracing::info!("{words}");
    } else {
        tracing::warn!("{words}");
    }
}

fn configuration_in_words(me: ServerId, configuration: &Configuration, was_member: bool) -> String {
    let listed = |role: &str, is_voter| {
        let members = configuration.members().iter().filter(|member| member.is_voter() == is_voter);
        let ids = members.map(|member| member.id().to_string()).collect::<Vec<_>>();
        if ids.is_empty() { String::new() } else { format!("{role} {}", ids.join(", ")) }
    };
    let parts = [listed("voters", true), listed("observers", false)];
    let parts = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
    let absent = match (configuration.member(me), was_member) {
        (Some(_), _) => String::new(),
        (None, true) => {
            "; this server is not a member any more; hint: stop it; until then it follows, and has no vote"
                .to_owned()
        }
        (None, false) => format!(
            "; this server is none of them, follows, and has no vote; hint: `reconfig -add server.{me}=…` makes it one; if it \
             was removed, stop it"
        ),
    };
    format!("Configuration version={} takes effect: {parts}{absent}", configuration.version())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_names_its_members_by_role() {
        let text = "server.4=a:1:2:participant\nserver.5=b:1:2:participant\nserver.6=c:1:2:observer\nversion=40000000b";
        let configuration = Configuration::parse(text).unwrap();
        let told = "Configuration version=40000000b takes effect: voters 4, 5; observers 6";
        assert_eq!(configuration_in_words(ServerId(4), &configuration, true), told);
        let removed = configuration_in_words(ServerId(1), &configuration, true);
        assert!(removed.starts_with(&format!("{told}; this server is not a member any more; hint: stop it")));
        let joining = configuration_in_words(ServerId(1), &configuration, false);
        assert!(
            joining.contains("; hint: `reconfig -add server.1=…` makes it one")
                && !joining.contains("any more")
        );
    }
}
