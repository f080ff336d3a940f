//! What a server says about its leader to one that asks.
//!
//! Voting is asking: a server that looks for a leader sends its vote, and who has a leader answers with
//! that. Who has one never speaks first, and two that have one have nothing to tell each other.
//!
//! The answer remembers the election: leader, history and round are what was voted for, not what is true
//! by now. Only the epoch is brought up to date, once it is established ([`Answers::establish`]): otherwise
//! a restarted server would hear two epochs for one leader and wait for ever (ZOOKEEPER-1732).
//!
//! Observers, joiners and strangers cannot vote, so whatever they say is a question, and they are answered
//! in every state. While this server itself is looking, they hear of its last leader.

use bytes::Bytes;
use zabd_jute::quorum::{Configuration, Notification, PeerState};
use zabd_jute::{Epoch, ServerId};

use super::voice::ABSTENTION;
use super::vote::Vote;
use crate::quorum::Quorums;

/// A leader, as the election remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elected {
    /// The vote that won.
    pub vote: Vote,
    /// In which round.
    pub round: i64,
}

/// What a server says of an election that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Its vote is the one that won, or it follows who won.
    ForIt,
    /// It looks for a leader with another vote.
    Looks,
    /// It has another leader, or no voice.
    Against,
}

impl Elected {
    /// What somebody says of this election.
    pub(crate) fn word_of(&self, notification: &Notification<'_>) -> Word {
        let vote = Vote::of(notification);
        match notification.state {
            PeerState::Looking if vote == self.vote && notification.round == self.round => Word::ForIt,
            PeerState::Looking if vote.zxid != ABSTENTION => Word::Looks,
            PeerState::Looking => Word::Against,
            _ if vote.leader == self.vote.leader => Word::ForIt,
            _ => Word::Against,
        }
    }
}

/// Answers for a server that leads, follows or observes.
#[derive(Clone, Debug)]
pub struct Answers {
    me: ServerId,
    state: PeerState,
    elected: Elected,
    quorums: Quorums,
    config_text: String,
}

impl Answers {
    /// For the server `me`, which has just been given this state by an election, or by a reconfiguration.
    pub fn new(
        me: ServerId,
        state: PeerState,
        elected: Elected,
        committed: &Configuration,
        last_seen: Option<&Configuration>,
    ) -> Self {
        assert_ne!(state, PeerState::Looking, "who looks for a leader votes");
        let (quorums, config_text) = (Quorums::new(committed, last_seen), committed.to_string());
        Self { me, state, elected, quorums, config_text }
    }

    /// The leader's epoch is established: on a learner when it is in step, on the leader when a quorum is.
    pub fn establish(&mut self, epoch: Epoch) {
        self.elected.vote.epoch = epoch;
    }

    /// Another configuration holds, or was seen.
    pub fn reconfigure(&mut self, committed: &Configuration, last_seen: Option<&Configuration>) {
        (self.quorums, self.config_text) = (Quorums::new(committed, last_seen), committed.to_string());
    }

    /// What is answered to.
    pub fn elected(&self) -> Elected {
        self.elected
    }

    /// The frame that asks somebody who voted the same what it says now. Who looks in this round knows it as this server's vote,
    /// and who has a leader answers.
    pub fn question(&self) -> Bytes {
        let Elected { vote, round } = self.elected;
        frame(PeerState::Looking, vote, round, &self.config_text)
    }

    /// The frame to send back to `from`, if its notification is a question.
    pub fn answer(&self, from: ServerId, notification: &Notification<'_>) -> Option<Bytes> {
        let is_question = notification.state == PeerState::Looking || !self.quorums.is_voter(from);
        let Elected { vote, round } = self.elected;
        (is_question && from != self.me).then(|| frame(self.state, vote, round, &self.config_text))
    }
}

/// A notification as it goes over the wire.
pub(super) fn frame(state: PeerState, vote: Vote, round: i64, config_text: &str) -> Bytes {
    let Vote { leader, zxid, epoch } = vote;
    let config = Some(config_text.into());
    let mut notification =
        Notification { state, leader, zxid, round, epoch, version: Notification::VERSION, config };
    let mut frame = Vec::new();
    if notification.encode_frame(&mut frame).is_err() {
        // No server would take a frame with a configuration as long as that. The vote matters more.
        notification.config = None;
        notification.encode_frame(&mut frame).expect("a vote without a configuration is 44 bytes");
    }
    frame.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use zabd_jute::Zxid;

    const CONFIG: &str = "server.1=zk1:2888:3888:participant\nserver.2=zk2:2888:3888:participant\n\
                          server.3=zk3:2888:3888:observer\nversion=0";

    fn answer(from: i64, state: PeerState) -> Option<Vec<u8>> {
        let vote = Vote { epoch: Epoch(0), zxid: Zxid(7), leader: ServerId(2) };
        let config = Configuration::parse(CONFIG).unwrap();
        let elected = Elected { vote, round: 4 };
        let mut answers = Answers::new(ServerId(1), PeerState::Following, elected, &config, None);
        answers.establish(Epoch(1));
        let asked = Notification {
            state,
            leader: ServerId(from),
            zxid: Zxid(9),
            round: 9,
            epoch: Epoch(0),
            version: 2,
            config: None,
        };
        answers.answer(ServerId(from), &asked).map(Into::into)
    }

    #[test]
    fn whoever_looks_is_told_of_the_leader_and_its_established_epoch() {
        let frame = answer(2, PeerState::Looking).unwrap();
        let (content, _) = zabd_jute::quorum::frame(&frame).unwrap().unwrap();
        let told = Notification::decode(content).unwrap();
        assert_eq!((told.state, told.leader, told.zxid), (PeerState::Following, ServerId(2), Zxid(7)));
        assert_eq!((told.round, told.epoch, told.config.as_deref()), (4, Epoch(1), Some(CONFIG)));
    }

    #[test]
    fn only_questions_are_answered() {
        assert!(answer(2, PeerState::Leading).is_none() && answer(2, PeerState::Following).is_none());
        assert!(answer(3, PeerState::Observing).is_some(), "an observer can only ask");
        assert!(answer(9, PeerState::Leading).is_some(), "so can a stranger");
        assert!(answer(1, PeerState::Looking).is_none(), "an old vote of one's own comes back late");
    }

    #[test]
    fn a_configuration_too_long_to_send_is_left_out() {
        let text = "x".repeat(1 << 20);
        assert_eq!(frame(PeerState::Looking, Vote::NONE, 1, &text).len(), 48);
    }
}
