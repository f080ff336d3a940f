//! What a follower passes on for the observers that it serves.
//!
//! Their requests go to the leader as if they were this follower's own; the leader knows one connection for all of
//! them. What is proposed for them comes to everybody. What has no name of its own on the way back, a sync and the
//! fate of a session, stands in the same line as this follower's own.
//!
//! Java's `ObserverMaster` and `FollowerZooKeeperServer`.

use bytes::Bytes;
use zabd_jute::quorum::{FromLearner, QuorumPacket};
use zabd_jute::{OpCode, Reader, Record as _, SessionId};
use zabd_zab::effect::LinkId;
use zabd_zab::observers::Answer;
use zabd_zab::peer;

use super::learning::{Bringer, Syncing};
use crate::input::Now;
use crate::pipeline::Replica;

impl Replica {
    /// A request of an observer's client.
    pub(super) fn relay(&mut self, link: LinkId, packet: &Bytes) {
        let mut reader = Reader::with_limits(packet, self.options.read.limits);
        let decoded = QuorumPacket::decode(&mut reader).ok().map(FromLearner::decode);
        let Some(Ok(Some(FromLearner::Request(request)))) = decoded else { return };
        if request.op == OpCode::Sync.code() {
            self.learning().syncs.push_back(Syncing::Observer(link));
        }
        self.send_to_leader(&FromLearner::Request(request));
    }

    /// A client has brought its session to an observer.
    pub(super) fn relay_revalidation(&mut self, link: LinkId, session: SessionId, timeout_ms: i32) {
        let bringer = Bringer::Observer { link, timeout_ms };
        self.learning().revalidating.entry(session).or_default().push_back(bringer);
        self.send_to_leader(&FromLearner::Revalidate { session, timeout_ms });
    }

    pub(super) fn answer_sync(&mut self, now: Now, link: LinkId) {
        self.tell_peer(now, peer::Input::ObserverAnswered { link, answer: Answer::Synchronised });
    }

    pub(super) fn answer_revalidation(
        &mut self,
        now: Now,
        link: LinkId,
        session: SessionId,
        timeout_ms: i32,
        is_valid: bool,
    ) {
        if is_valid {
            self.learning().note_created(session, timeout_ms);
        }
        let answer = Answer::Revalidated { session, is_valid };
        self.tell_peer(now, peer::Input::ObserverAnswered { link, answer });
    }
}
