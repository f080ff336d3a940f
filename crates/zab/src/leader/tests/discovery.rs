//! Which epoch a leader comes to reign in: what others have promised, and by which lists of voters they went.

use zabd_jute::quorum::{FromLeader, FromLearner, LearnerInfo, LearnerKind};
use zabd_jute::{Epoch, ServerId, Zxid};

use super::super::Input;
use super::super::backing;
use super::super::discovery::{EPOCHS_GIVEN_UP_MAX, REIGN_MS_MIN};
use super::{LAST, Stage, TIMING};
use crate::effect::{Durable, Effect, LinkId, Note, Reason, Refusal};

/// The number goes to disk. A stranger's packet made a leader promise an epoch whose zxids are negative: it was never again
/// a member of its ensemble.
#[test]
fn who_is_no_member_does_not_raise_the_epoch() {
    let mut stage = Stage::new();
    stage.introduce(901, LearnerKind::Observer, Epoch(Epoch::LAST.0 - 1));
    stage.introduce(902, LearnerKind::Follower, Epoch(70));
    stage.introduce(2, LearnerKind::Follower, Epoch(6));
    assert!(stage.has(&Effect::Persist(Durable::Accepted(Epoch(7)))));
}

/// Its promise counts for nothing, but it keeps it: under an older epoch it would stay outside, as it does under Java's leader
/// if it comes too late.
#[test]
fn an_observer_that_is_a_member_raises_the_epoch() {
    let mut stage = Stage::of(&["participant", "participant", "participant", "observer"], Epoch(1), LAST);
    stage.introduce(4, LearnerKind::Observer, Epoch(6));
    stage.introduce(2, LearnerKind::Follower, Epoch(1));
    assert!(stage.has(&Effect::Persist(Durable::Accepted(Epoch(7)))));
}

#[test]
fn an_epoch_that_none_can_follow_is_refused() {
    let mut stage = Stage::new();
    stage.introduce(2, LearnerKind::Follower, Epoch::LAST);
    assert!(stage.has(&Effect::Close { link: LinkId(2) }));
    stage.introduce(3, LearnerKind::Follower, Epoch(Epoch::LAST.0 - 1));
    assert!(stage.has(&Effect::Persist(Durable::Accepted(Epoch::LAST))));
    assert!(Epoch::ZERO.first_zxid() < Epoch::LAST.first_zxid());
}

/// Its epoch would have zxids below all others.
#[test]
fn who_has_promised_the_last_epoch_leads_nobody() {
    let mut stage = Stage::having_promised(Epoch::LAST, &["participant"; 3], Epoch(1), LAST);
    assert!(stage.has(&Effect::Leave(Reason::EpochsUsedUp)));
    stage.step(Input::Accepted { link: LinkId(2) });
    assert!(stage.has(&Effect::Close { link: LinkId(2) }));
}

/// A voter that has promised the last epoch cannot be given back by a newer one.
#[test]
fn no_reign_ends_for_the_last_epoch() {
    let mut stage = Stage::new();
    stage.follow(2, LAST);
    stage.introduce(3, LearnerKind::Follower, Epoch::LAST);
    assert!(!stage.has(&Effect::Leave(Reason::NewerEpochPromised)));
}

/// A voter whose promise is newer tries again, and is given back in the end; meanwhile it is told why it cannot come.
#[test]
fn an_established_reign_lasts_a_while_before_it_ends_for_a_newer_promise() {
    let mut stage = Stage::new();
    stage.reign_with(&[2]);
    let left = Effect::Leave(Reason::NewerEpochPromised);
    stage.out.clear();
    stage.introduce(3, LearnerKind::Follower, Epoch(9));
    let told = FromLeader::LeaderInfo { epoch: Epoch(2), protocol_version: LearnerInfo::PROTOCOL_VERSION };
    assert_eq!(stage.sent(), [format!("{told:?}")]);
    stage.step(Input::Closed { link: LinkId(3) });
    stage.now = stage.now.after_ms(REIGN_MS_MIN - 1);
    stage.introduce(3, LearnerKind::Follower, Epoch(9));
    assert!(!stage.has(&left));
    stage.step(Input::Closed { link: LinkId(3) });
    stage.now = stage.now.after_ms(1);
    stage.introduce(3, LearnerKind::Follower, Epoch(9));
    assert!(stage.has(&left));
}

/// The file of a voter said 2,000,000,000. Its ensemble had a new leader every five seconds, and would have had for ever.
#[test]
fn a_promise_from_far_away_ends_no_reign() {
    let mut stage = Stage::new();
    stage.reign_with(&[2]);
    stage.now = stage.now.after_ms(REIGN_MS_MIN);
    let too_far = Epoch(2 + EPOCHS_GIVEN_UP_MAX + 1);
    stage.introduce(3, LearnerKind::Follower, too_far);
    assert!(!stage.has(&Effect::Leave(Reason::NewerEpochPromised)));
    stage.step(Input::Closed { link: LinkId(3) });
    stage.introduce(3, LearnerKind::Follower, Epoch(too_far.0 - 1));
    assert!(stage.has(&Effect::Leave(Reason::NewerEpochPromised)));
}

/// Who is only about to reign may need just this voter.
#[test]
fn who_does_not_reign_yet_makes_way_for_a_newer_promise_at_once() {
    let mut stage = Stage::new();
    stage.follow(2, LAST);
    stage.introduce(3, LearnerKind::Follower, Epoch(9));
    assert!(stage.has(&Effect::Leave(Reason::NewerEpochPromised)));
}

/// Servers 1, 2 and 3 go by their own lines; 2 has followed a leader of five.
#[test]
fn a_list_that_a_learner_knows_needs_a_quorum_too() {
    let mut stage = Stage::new();
    let follower = LearnerKind::Follower;
    stage.introduce_with_lists(9, follower, Epoch(0), "list.1=9 10\n");
    stage.introduce_with_lists(2, LearnerKind::Observer, Epoch(0), "list.1=1 2 3\nlist.2=1 2 3 4 5\n");
    assert!(stage.knows("list.1=1 2 3\nlist.2=1 2 3 4 5\n"), "{:?}", stage.out.list);
    let decides = |epoch| Effect::Persist(Durable::Accepted(Epoch(epoch)));
    assert!(!stage.has(&decides(2)), "1 and 2 are a quorum of three, and not of five");
    stage.introduce(4, follower, Epoch(6));
    assert!(stage.has(&decides(7)), "1, 2 and 4 are one of both; 9 votes in neither, and has no say");
}

/// What quorum has promised the epoch is known already, and it may be too small.
#[test]
fn a_list_that_comes_late_ends_what_was_begun_without_it() {
    let mut stage = Stage::new();
    stage.introduce(2, LearnerKind::Follower, Epoch(0));
    assert!(stage.has(&Effect::Persist(Durable::Accepted(Epoch(2)))));
    stage.introduce_with_lists(3, LearnerKind::Follower, Epoch(0), "list.1=1 2 3 4 5\n");
    assert!(stage.has(&Effect::Leave(Reason::AnotherList)));
    let voters = (1..=5).map(ServerId).collect();
    assert!(stage.has(&Effect::Note(Note::AnotherList { server: ServerId(3), voters })));
    assert!(stage.knows("list.1=1 2 3 4 5\n"), "next time");
}

/// Whoever names it needs nobody of those who voted then, and nor does this server.
#[test]
fn a_list_from_before_the_newest_established_epoch_stops_nobody() {
    let mut stage = Stage::new();
    let follower = LearnerKind::Follower;
    stage.introduce_with_lists(2, follower, Epoch(0), "list.3=2 7 8 9\n");
    assert!(!stage.has(&Effect::Persist(Durable::Accepted(Epoch(2)))));
    stage.introduce_with_lists(3, follower, Epoch(0), "established=5\nlist.5=1 2 3\n");
    assert!(stage.knows("established=5\nlist.5=1 2 3\n"), "{:?}", stage.out.list);
    assert!(stage.has(&Effect::Persist(Durable::Accepted(Epoch(6)))), "an older one would come too late");
}

/// Who was to promise this one has promised a newer one by now.
#[test]
fn a_newer_established_epoch_that_is_heard_of_late_ends_what_was_begun() {
    let mut stage = Stage::new();
    stage.introduce(2, LearnerKind::Follower, Epoch(0));
    stage.introduce_with_lists(3, LearnerKind::Follower, Epoch(0), "established=2\nlist.2=1 2 3\n");
    assert!(stage.has(&Effect::Leave(Reason::NewerEpochPromised)), "{:?}", stage.out.list);
}

#[test]
fn who_names_what_is_no_list_is_refused() {
    let mut stage = Stage::new();
    stage.introduce_with_lists(2, LearnerKind::Follower, Epoch(0), "list.1=all\n");
    let why = Refusal::NoLearner;
    assert!(stage.has(&Effect::Refuse { link: LinkId(2), why }), "{:?}", stage.out.list);
}

/// Those who are missing may look for another leader, who needs whoever follows here.
#[test]
fn who_lacks_only_the_voters_of_other_lists_gives_up_soon() {
    let mut stage = Stage::new();
    stage.introduce_with_lists(2, LearnerKind::Follower, Epoch(0), "list.1=2 7 8\n");
    let patience = backing::patience_ms(TIMING);
    stage.wait(patience / 2, None);
    assert!(!stage.has(&Effect::Leave(Reason::NoQuorumInTime)));
    stage.wait(2 * TIMING.tick_ms, None);
    assert!(stage.has(&Effect::Leave(Reason::NoQuorumInTime)), "{:?}", stage.out.list);
}

/// A leader fell when others had joined its epoch, and it had not done so itself. One of them observed, and a change under way made it
/// a voter: it was turned away for its newer epoch, could not lead itself, and nobody led ever after.
#[test]
fn who_has_the_same_history_of_a_newer_epoch_is_led() {
    let has_begun = |last_zxid| {
        let mut stage = Stage::new();
        stage.introduce(2, LearnerKind::Follower, Epoch(5));
        stage.step(Input::Persisted(Durable::Accepted(Epoch(6))));
        stage.say(2, &FromLearner::AckEpoch { last_zxid, current: Some(Epoch(5)) });
        let is_turned_away = stage.has(&Effect::Close { link: LinkId(2) });
        assert_ne!(is_turned_away, stage.told(2).contains(&"NEWLEADER".to_owned()));
        !is_turned_away
    };
    assert!(has_begun(LAST));
    assert!(!has_begun(LAST.next()));
    assert!(!has_begun(Zxid(LAST.0 - 1)), "the others may have cut off what it lacks");
}
