//! When a member's tree shows a transaction: before its own disk has it, or only then.

use zabd_jute::txn::{Entry, Txn, TxnHeader};
use zabd_jute::{Epoch, OpCode, SessionId, Writer, Zxid};
use zabd_zab::effect::Effect;

use super::{Member, OF_THREE, header, set, tree};
use crate::apply::AHEAD_OF_DISK_BYTES_MAX;
use crate::ensemble::MemberOptions;
use crate::{Input, Outputs};

/// A learner may lack more than its memory holds. What it logs before it serves anybody goes into the tree as soon as it is
/// durable, and not before.
#[test]
fn what_a_leader_sends_first_is_taken_in_as_it_becomes_durable() {
    let mut member = Member::new(OF_THREE, tree(), MemberOptions::default());
    let session = SessionId(0x0200_0000_0000_0001);
    let now = member.now();
    let send = |member: &mut Member, counter: u32| {
        let zxid = Zxid::new(Epoch(1), counter);
        let header = TxnHeader { session, cxid: 0, zxid, time_ms: 1, kind: OpCode::CreateSession.code() };
        let mut entry = Vec::new();
        let txn = Txn::CreateSession { timeout_ms: 4000 };
        Entry { header, txn, digest: None }.encode(&mut Writer::new(&mut entry));
        let ensemble = member.replica.ensemble.as_mut().unwrap();
        ensemble.effects.list.push(Effect::Append { zxid, entry: entry.into() });
        ensemble.effects.list.push(Effect::Replay { upto: zxid });
        let mut out = Outputs::default();
        member.replica.carry_out(now, &member.tree, &mut out);
        while out.apply {
            out.apply = member.replica.apply(&mut member.tree, &mut member.watches, 2, &mut out);
        }
        zxid
    };
    let (first, second) = (send(&mut member, 1), send(&mut member, 2));
    assert_eq!((member.replica.queue_length(), member.tree.last_zxid()), (2, Zxid::ZERO));
    member.feed(Input::Synced { upto: first });
    assert_eq!((member.replica.queue_length(), member.tree.last_zxid()), (1, first));
    member.feed(Input::Synced { upto: second });
    assert_eq!((member.replica.queue_length(), member.tree.last_zxid()), (0, second));
    assert!(!member.replica.serves_clients(), "the leader may not be established yet");
}

/// A quorum's word is enough, until so much waits for the own disk that memory would be full of it.
#[test]
fn what_a_quorum_has_is_shown_before_the_own_disk_has_it_but_not_without_end() {
    let (mut member, [session, _]) = Member::learning();
    let hear = |member: &mut Member, counter: i64, bytes: usize| {
        let header = header(session, counter, OpCode::SetData);
        let mut entry = Vec::new();
        Entry { header, txn: set(), digest: None }.encode(&mut Writer::new(&mut entry));
        let now = member.now();
        member.replica.enqueue_proposal(header.zxid, entry.into(), &mut Outputs::default());
        member.replica.ensemble.as_mut().unwrap().unsynced.add(now, header.zxid, bytes);
        member.replica.positions.committed = header.zxid;
        member.apply(Outputs { apply: true, ..Outputs::default() });
        header.zxid
    };
    let first = hear(&mut member, 1, 100);
    assert_eq!(member.tree.last_zxid(), first);
    assert!(member.replica.positions.synced < first);
    let second = hear(&mut member, 2, AHEAD_OF_DISK_BYTES_MAX);
    assert_eq!(member.tree.last_zxid(), first, "its disk stands still");
    member.feed(Input::Synced { upto: first });
    assert_eq!(member.tree.last_zxid(), second, "no more than may wait does");
}
