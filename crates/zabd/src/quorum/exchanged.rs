//! Whoever says on one port what belongs on the other: a `server.N` line has its two ports the wrong way round, in the zoo.cfg
//! of either side. From one connection nobody can tell in which.
//!
//! ```text
//! server.N=HOST:QUORUM:ELECTION
//! ```

use std::ops::Range;

use zabd_jute::quorum::{InitialForm, InitialMessage, LearnerInfo, PacketKind, QuorumPacket};
use zabd_jute::{Limits, Reader, Record as _, ServerId};

/// Where a notification's length stands behind the shortest initial message, and a learner's packet has the lower half of its zxid.
const LENGTH_AT: Range<usize> = 8..12;
/// How much of a packet is waited for: anybody who reaches the port may announce any length.
const PACKET_LIMITS: Limits = Limits { field_bytes_max: 4096 };

/// What is wrong if these first bytes on the quorum port of `me` are an initial message of an election.
pub(super) fn on_quorum_port(bytes: &[u8], me: ServerId) -> Option<String> {
    let (message, _) = InitialMessage::decode_stream(bytes).ok()??;
    // Only a number could be anything.
    let is_sure = message.form != InitialForm::IdOnly;
    is_sure.then(|| in_words(message.server, "begins an election", me))
}

/// The same of the election port and a learner's first packet; [`Spoken::Begun`] if there is too little to tell.
pub(super) fn on_election_port(bytes: &[u8], me: ServerId) -> Spoken {
    let kind = bytes.first_chunk().map(|kind| PacketKind::from_code(i32::from_be_bytes(*kind)));
    if !matches!(kind, Some(Some(PacketKind::FollowerInfo | PacketKind::ObserverInfo))) {
        return Spoken::ForThisPort;
    }
    // Were it the number of a server before 3.5, a notification without bytes would follow, which there is none of.
    if bytes.get(LENGTH_AT).is_some_and(|length| length != [0; 4]) {
        return Spoken::ForThisPort;
    }
    match QuorumPacket::decode_stream(bytes, PACKET_LIMITS) {
        Ok(None) => Spoken::Begun,
        Err(_) => Spoken::ForThisPort,
        Ok(Some((packet, _))) => {
            let info = packet.data.map(|data| LearnerInfo::decode(&mut Reader::new(data)));
            match info {
                Some(Ok(info)) => {
                    Spoken::ForTheOther(in_words(info.server, "wants to learn from a leader", me))
                }
                _ => Spoken::ForThisPort,
            }
        }
    }
}

/// Which port some bytes are meant for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    /// The one where they came, as far as it looks.
    ForThisPort,
    /// The other one, if the rest fits.
    Begun,
    /// The other one: what is wrong.
    ForTheOther(String),
}

fn in_words(server: ServerId, what: &str, me: ServerId) -> String {
    format!(
        "server {server} {what} here, which belongs on the other port; hint: in the zoo.cfg of server {server} or of this \
         one, server.{me}=HOST:QUORUM:ELECTION has its two ports exchanged: it must be the same on both"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use zabd_jute::quorum::{Address, FromLearner, LearnerKind, Sections};
    use zabd_jute::{ConfigVersion, Epoch, Writer};

    const ME: ServerId = ServerId(1);

    fn election(form: InitialForm) -> Vec<u8> {
        let addresses = vec![Address::new("zk2", 3888)];
        let mut bytes = Vec::new();
        InitialMessage { form, server: ServerId(2), addresses }.encode(&mut bytes).unwrap();
        bytes
    }

    fn learner(kind: LearnerKind, accepted: Epoch) -> Vec<u8> {
        let info = LearnerInfo {
            server: ServerId(2),
            protocol_version: Some(LearnerInfo::PROTOCOL_VERSION),
            config_version: Some(ConfigVersion(7)),
        };
        let mut bytes = Vec::new();
        let packet = FromLearner::Info { kind, accepted, info: Some(info), behind: Sections::default() };
        packet.encode(&mut Writer::new(&mut bytes));
        bytes
    }

    #[test]
    fn a_voter_on_the_quorum_port_is_told_from_a_learner() {
        for form in [InitialForm::V1, InitialForm::V2] {
            let bytes = election(form);
            let told = on_quorum_port(&bytes, ME).unwrap();
            assert!(told.contains("server 2 begins an election here"), "{told}");
            assert!(told.contains("server.1=HOST:QUORUM:ELECTION has its two ports exchanged"), "{told}");
            assert_eq!(on_quorum_port(&bytes[..bytes.len() - 1], ME), None);
        }
        for bytes in [election(InitialForm::IdOnly), learner(LearnerKind::Follower, Epoch(3))] {
            assert_eq!(on_quorum_port(&bytes, ME), None);
        }
    }

    #[test]
    fn a_learner_on_the_election_port_is_told_from_a_voter() {
        for (kind, accepted) in [(LearnerKind::Follower, Epoch(0)), (LearnerKind::Observer, Epoch(77))] {
            let bytes = learner(kind, accepted);
            let Spoken::ForTheOther(told) = on_election_port(&bytes, ME) else { panic!("{bytes:?}") };
            assert!(told.contains("server 2 wants to learn from a leader here"), "{told}");
            for length in 4..bytes.len() {
                assert_eq!(on_election_port(&bytes[..length], ME), Spoken::Begun, "{length}");
            }
        }
        let forms = [InitialForm::IdOnly, InitialForm::V1, InitialForm::V2];
        for bytes in forms.map(election) {
            assert_eq!(on_election_port(&bytes, ME), Spoken::ForThisPort);
        }
        // Server 47244640257 of 3.4, and how long its notification is.
        let number = [&[0, 0, 0, 11, 0, 0, 0, 1][..], &28_i32.to_be_bytes()].concat();
        assert_eq!(on_election_port(&number, ME), Spoken::ForThisPort);
    }
}
