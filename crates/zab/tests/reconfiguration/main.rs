//! Members change, told as stories: what a leader says to whom, and what is written down before, line by line.
//!
//! The rule behind all of them: from the proposal on, quorums of both configurations are needed; a configuration is on
//! disk wherever its proposal is; who leads when it holds is said together with the commit.

#[cfg(feature = "mutations")]
mod mutations;
mod noted;
mod reigns;
mod stage;

use stage::{LeaderStage, LearnerStage, zxid};
use zabd_jute::Zxid;
use zabd_jute::quorum::FromLeader;

/// Version 0 looks like every other version 0, so the first leader numbers it; whoever holds it holds the number.
#[test]
fn a_fresh_configuration_is_numbered_by_its_first_leader() {
    let mut stage = LeaderStage::new("1 2 3", 0);
    stage.follow(2);
    stage.check(
        "disk accepted 1
         2 <- LEADERINFO 1
         disk next [1 2 3] version 1:0
         disk current 1
         2 <- DIFF 0:0
         2 <- NEWLEADER 1:0 [1 2 3] version 1:0
         disk holds [1 2 3] version 1:0
         commits 0:0
         serves 1
         2 <- UPTODATE",
    );
}

/// 1, 2 and 3 are to become 1, 4 and 5. The old quorum alone decides nothing, nor does the new one.
#[test]
fn quorums_of_both_configurations_commit() {
    let mut stage = LeaderStage::led("1 2 3", &[2, 3, 4, 5]);
    stage.reconfigure("1 4 5");
    stage.check(
        "disk next [1 4 5] version 1:1
         2 <- PROPOSAL 1:1
         3 <- PROPOSAL 1:1
         4 <- PROPOSAL 1:1
         5 <- PROPOSAL 1:1
         logs 1:1",
    );
    stage.synced();
    stage.acknowledge(2);
    stage.acknowledge(3);
    stage.check("");
    stage.propose();
    stage.acknowledge(4);
    stage.check(
        "2 <- PROPOSAL 1:2
         3 <- PROPOSAL 1:2
         4 <- PROPOSAL 1:2
         5 <- PROPOSAL 1:2
         logs 1:2
         2 <- COMMITANDACTIVATE 1:1 led by 1
         3 <- COMMITANDACTIVATE 1:1 led by 1
         4 <- COMMITANDACTIVATE 1:1 led by 1
         5 <- COMMITANDACTIVATE 1:1 led by 1
         commits 1:1
         disk holds [1 4 5] version 1:1",
    );
}

/// What was proposed while both counted needs both; 4 has it, and 5 and the leader have not.
#[test]
fn what_was_proposed_meanwhile_needs_both_quorums_too() {
    let mut stage = LeaderStage::led("1 2 3", &[2, 3, 4, 5]);
    stage.reconfigure("1 4 5");
    stage.propose();
    stage.synced();
    stage.acknowledge_upto(4, 2);
    stage.acknowledge_upto(2, 1);
    stage.drain();
    stage.acknowledge_upto(5, 2);
    stage.check("");
    stage.acknowledge_upto(3, 2);
    stage.check(
        "2 <- COMMIT 1:2
         3 <- COMMIT 1:2
         4 <- COMMIT 1:2
         5 <- COMMIT 1:2
         commits 1:2",
    );
}

/// The follower that has most is named, everybody hears of it before the connections end, and no election is needed.
#[test]
fn a_leader_that_is_removed_names_its_successor() {
    let mut stage = LeaderStage::led("1 2 3", &[2, 3]);
    stage.reconfigure("2 3");
    stage.synced();
    stage.drain();
    stage.acknowledge(2);
    stage.check("");
    stage.acknowledge(3);
    stage.check(
        "2 <- COMMITANDACTIVATE 1:1 led by 3
         3 <- COMMITANDACTIVATE 1:1 led by 3
         commits 1:1
         disk holds [2 3] version 1:1
         2 closed
         3 closed
         leaves Reconfigured { leader: ServerId(3) }",
    );
}

/// A follower is back before the commit: it must not hold what may never be committed, and is sent the proposal anew.
#[test]
fn a_learner_that_comes_meanwhile_is_told_of_what_holds() {
    let mut stage = LeaderStage::led("1 2 3", &[2]);
    stage.reconfigure("1 2");
    stage.drain();
    stage.follow(3);
    stage.check(
        "3 <- LEADERINFO 1
         3 <- DIFF 1:0
         3 <- NEWLEADER 1:0 [1 2 3] version 1:0
         3 <- PROPOSAL 1:1
         3 <- UPTODATE",
    );
}

/// A leader finds a reconfiguration in its log that nobody committed: it completes it, and is no voter any more.
#[test]
fn an_interrupted_reconfiguration_is_completed_by_the_next_leader() {
    let mut stage = LeaderStage::with_next("1 2 3", "2 3 4", 7);
    stage.follow(2);
    stage.follow(4);
    stage.check(
        "disk accepted 1
         2 <- LEADERINFO 1
         4 <- LEADERINFO 1
         disk current 1
         2 <- DIFF 0:7
         2 <- NEWLEADER 1:0 [2 3 4] version 0:7
         4 <- DIFF 0:7
         4 <- NEWLEADER 1:0 [2 3 4] version 0:7
         disk holds [2 3 4] version 0:7
         commits 0:7
         2 <- UPTODATE
         4 <- UPTODATE
         2 closed
         4 closed
         leaves LeaderReconfigured",
    );
}

/// The change to 3, 4 and 5 may be committed, and a quorum of these may have acknowledged what this leader lacks. Before they
/// have promised its epoch too, nobody may take it over: who has would beat, in the next election, who has more.
#[test]
fn nobody_takes_an_epoch_over_that_the_new_voters_have_not_promised() {
    let mut stage = LeaderStage::with_next("1 2 3", "3 4 5", 9);
    stage.follow(2);
    stage.follow(5);
    stage.check("");
}

/// A joiner is told by NEWLEADER who the members are, and holds it when it may serve.
#[test]
fn a_joiner_holds_what_newleader_says() {
    let mut stage = LearnerStage::new(4, "1 2 3 4", None);
    stage.synchronise("1 2 3", 1, 5);
    stage.check(
        "disk accepted 2
         disk next [1 2 3] version 1:5
         disk current 2
         disk holds [1 2 3] version 1:5
         serves 2
         commits 0:0",
    );
}

/// A joiner came as the observer that its own file says it is; who is in no line follows without a vote.
#[test]
fn whoever_has_another_role_takes_it_without_an_election() {
    let mut stage = LearnerStage::new(4, "1 2 3 o4", None);
    stage.synchronise("1 2 3", 1, 5);
    stage.check(
        "disk accepted 2
         disk next [1 2 3] version 1:5
         disk current 2
         disk holds [1 2 3] version 1:5
         closed
         leaves Reconfigured { leader: ServerId(1) }",
    );
}

/// What was proposed to this server alone is in nobody's history: its voters are not asked any more.
#[test]
fn what_came_to_nothing_is_forgotten() {
    let mut stage = LearnerStage::new(2, "1 2 3", Some(("2 8 9", 1, 6)));
    stage.synchronise("1 2 3", 0, 0);
    stage.check(
        "disk accepted 2
         disk current 2
         disk next [1 2 3] version 0:0
         serves 2
         commits 0:0",
    );
}

/// The leader numbered the configuration when its reign began, this server ended before it held that, and comes back after
/// a change: both were told at the epoch's first position.
#[test]
fn of_what_was_told_in_one_epoch_the_newest_holds() {
    let mut stage = LearnerStage::new(2, "1 2 3", Some(("1 2 3", 2, 0)));
    stage.synchronise("1 2 3 o4", 2, 7);
    stage.check(
        "disk accepted 2
         disk next [1 2 3 o4] version 2:7
         disk current 2
         disk holds [1 2 3 o4] version 2:7
         serves 2
         commits 0:0",
    );
}

/// What NEWLEADER tells may be committed, and this server the only one that was asked to elect by it. A proposal behind that waits
/// for UPTODATE, and must not take its place on disk before it is in the log.
#[test]
fn a_change_is_written_down_when_it_is_logged() {
    let mut stage = LearnerStage::new(4, "1 2 3 4", None);
    stage.is_led(&FromLeader::Diff { zxid: zxid(1, 5) });
    stage.hear_new_leader("1 2 3", zxid(1, 5));
    stage.hear_change(zxid(2, 1), "1 2 4");
    stage.check(
        "disk accepted 2
         disk next [1 2 3] version 1:5
         disk current 2",
    );
    stage.hear_up_to_date();
    stage.check(
        "disk holds [1 2 3] version 1:5
         disk next [1 2 4] version 2:1
         logs 2:1
         serves 2
         commits 1:5",
    );
}

/// The log that a server fetches holds two changes. There is one place for what does not hold yet, and the second one shows
/// that the first one was committed.
#[test]
fn of_two_changes_in_one_history_the_first_one_holds() {
    let mut stage = LearnerStage::new(4, "1 2 3 4", None);
    stage.is_led(&FromLeader::Diff { zxid: zxid(1, 2) });
    stage.hear_change(zxid(1, 1), "1 4 5");
    stage.hear_commit(zxid(1, 1));
    stage.hear_change(zxid(1, 2), "5 6 7");
    stage.hear_commit(zxid(1, 2));
    stage.hear_new_leader("5 6 7", zxid(1, 2));
    stage.check(
        "disk accepted 2
         disk next [1 4 5] version 1:1
         logs 1:1
         disk holds [1 4 5] version 1:1
         disk next [5 6 7] version 1:2
         logs 1:2
         disk current 2",
    );
}

/// A leader's own change is under way, and this server comes back with it in its log. What NEWLEADER tells held before that was
/// proposed, and must not take its place.
#[test]
fn what_held_before_a_change_does_not_take_its_place() {
    let mut stage = LearnerStage::with_log(2, "1 2 3", Some(("2 3 4", 2, 6)), zxid(2, 6));
    stage.is_led(&FromLeader::Diff { zxid: zxid(2, 6) });
    stage.hear_new_leader("1 2 3 o4", zxid(2, 3));
    stage.hear_up_to_date();
    stage.check(
        "disk accepted 2
         disk holds [1 2 3 o4] version 2:3
         disk current 2
         serves 2
         commits 2:6",
    );
}

/// Java's leader tells of what it has only proposed, too, which may come to nothing.
#[test]
fn what_is_told_and_not_committed_does_not_hold() {
    let mut stage = LearnerStage::new(4, "1 2 3 4", None);
    stage.is_led(&FromLeader::Diff { zxid: Zxid::ZERO });
    stage.hear_new_leader("1 4 5", zxid(2, 1));
    stage.hear_change(zxid(2, 1), "1 4 5");
    stage.hear_up_to_date();
    stage.check(
        "disk accepted 2
         disk current 2
         disk next [1 4 5] version 2:1
         logs 2:1
         serves 2
         commits 0:0",
    );
}

/// What was proposed to a leader that is gone is cut off: it came to nothing.
#[test]
fn what_is_cut_off_is_forgotten() {
    let mut stage = LearnerStage::with_log(2, "1 2 3", Some(("2 8 9", 1, 6)), zxid(1, 6));
    stage.is_led(&FromLeader::Trunc { zxid: zxid(1, 5) });
    stage.hear_change(zxid(2, 1), "1 2 3 4");
    stage.hear_commit(zxid(2, 1));
    stage.hear_new_leader("1 2 3 4", zxid(2, 1));
    stage.hear_up_to_date();
    stage.check(
        "disk accepted 2
         cuts 1:5
         disk next [1 2 3] version 0:0
         disk current 2
         disk next [1 2 3 4] version 2:1
         logs 2:1
         disk current 2
         disk holds [1 2 3 4] version 2:1
         serves 2
         commits 2:1",
    );
}

/// The power failed when a change was written down and its transaction was not. The log goes on beyond that without it.
#[test]
fn what_a_log_goes_beyond_without_gives_way_to_the_next_change() {
    let mut stage = LearnerStage::with_log(2, "1 2 3", Some(("2 8 9", 1, 6)), zxid(1, 5));
    stage.is_led(&FromLeader::Diff { zxid: zxid(2, 1) });
    stage.hear_change(zxid(2, 1), "1 2 3 4");
    stage.hear_commit(zxid(2, 1));
    stage.check(
        "disk accepted 2
         disk current 2
         disk next [1 2 3 4] version 2:1
         logs 2:1",
    );
}

/// The change to 3, 4 and 5 was proposed by a leader of which nobody has heard since; this server was given a snapshot without it, and
/// the power failed before it had forgotten it. Another change follows: 3, 4 and 5 must not become an ensemble of their own by that.
#[test]
fn what_the_log_went_beyond_never_holds() {
    let mut stage = LearnerStage::in_doubt(3, "1 2 3 6 7", ("3 4 5", 1, 5), zxid(2, 4));
    stage.is_led(&FromLeader::Diff { zxid: zxid(2, 5) });
    stage.hear_change(zxid(2, 5), "1 4 5");
    stage.hear_commit(zxid(2, 5));
    stage.check(
        "disk accepted 2
         disk current 2
         disk next [1 4 5] version 2:5
         logs 2:5",
    );
}

/// Nor by what a leader says of other transactions, of another change, or of nothing. Until the leader is established, it may be one that
/// a leader completed by its file alone: then it is asked for both, whatever the log goes on with.
#[test]
fn what_is_in_doubt_is_asked_until_a_leader_is_established() {
    let mut stage = LearnerStage::in_doubt(3, "1 2 3 6 7", ("3 4 5", 1, 5), zxid(2, 4));
    stage.is_led(&FromLeader::Diff { zxid: zxid(2, 5) });
    stage.hear_proposal(zxid(2, 5));
    stage.hear_commit(zxid(2, 5));
    stage.hear_new_leader("1 2 3 6 7", zxid(1, 0));
    stage.check(
        "disk accepted 2
         disk current 2
         logs 2:5
         disk current 2",
    );
    stage.hear_up_to_date();
    stage.check(
        "disk next [1 2 3 6 7] version 1:0
         serves 2
         commits 2:5",
    );
    stage = LearnerStage::in_doubt(3, "1 2 3 6 7", ("1 3 4", 1, 5), zxid(1, 8));
    stage.is_led(&FromLeader::Snap { zxid: zxid(1, 9) });
    stage.shows("1 2 3 6 7", zxid(1, 0));
    stage.receive_snapshot();
    stage.hear_new_leader("1 3 4", zxid(1, 5));
    stage.check(
        "disk accepted 2
         adopts 1:9
         disk current 2",
    );
    stage.hear_up_to_date();
    stage.check(
        "disk holds [1 3 4] version 1:5
         serves 2
         commits 1:9",
    );
}

/// A leader completed the change by its file alone, and this server ended when it had joined that reign. The next leader's snapshot
/// says nothing of it; NEWLEADER will.
#[test]
fn what_is_in_doubt_is_not_cut_off() {
    let mut stage = LearnerStage::in_doubt(3, "1 2 3", ("1 3 4", 1, 9), zxid(1, 8));
    stage.is_led(&FromLeader::Snap { zxid: zxid(1, 8) });
    stage.shows("1 2 3", zxid(1, 0));
    stage.receive_snapshot();
    stage.check(
        "disk accepted 2
         adopts 1:8",
    );
}

/// What a Java leader has seen last may be older than what its log holds, and that is what it tells. The newer change is in the initial
/// history, and committed with it: whoever has it in its log completes it when it leads, and this server must ask its voters. But this
/// leader does not hold it when it proposes the next one.
#[test]
fn what_is_logged_is_not_forgotten_for_an_older_change_that_is_told() {
    let mut stage = LearnerStage::numbered(2, "1 2 3", Some(("1 2 4", 1, 7)), zxid(1, 9));
    stage.is_led(&FromLeader::Diff { zxid: zxid(1, 9) });
    stage.hear_new_leader("1 2 3 4", zxid(1, 4));
    stage.hear_up_to_date();
    stage.check(
        "disk accepted 2
         disk holds [1 2 3 4] version 1:4
         disk current 2
         serves 2
         commits 1:9",
    );
    stage.hear_change(zxid(2, 1), "1 2 5");
    stage.check(
        "disk next [1 2 5] version 2:1
         logs 2:1",
    );
}

/// A commit of what this server came with says nothing of an older change.
#[test]
fn what_is_in_doubt_does_not_come_to_hold_with_another_commit() {
    let mut stage = LearnerStage::in_doubt(3, "1 2 3 6 7", ("3 4 5", 1, 5), zxid(2, 4));
    stage.is_led(&FromLeader::Diff { zxid: zxid(2, 4) });
    stage.hear_activation(zxid(2, 4));
    stage.check("disk accepted 2");
}

/// The transaction of a change that a snapshot holds never comes. Before NEWLEADER the snapshot is what this server votes with.
#[test]
fn what_a_snapshot_holds_is_written_down() {
    let mut stage = LearnerStage::numbered(2, "1 2 3", Some(("2 8 9", 1, 3)), zxid(1, 3));
    stage.is_led(&FromLeader::Snap { zxid: zxid(1, 9) });
    stage.shows("1 4 5", zxid(1, 7));
    stage.receive_snapshot();
    stage.check(
        "disk accepted 2
         adopts 1:9
         disk next [1 4 5] version 1:7",
    );
    stage.hear_new_leader("1 4 5", zxid(1, 7));
    stage.hear_up_to_date();
    stage.check(
        "disk current 2
         disk holds [1 4 5] version 1:7
         serves 2
         commits 1:9",
    );
}

/// A file of members without a number has the last word at a start: where the power fails behind the snapshot, only what was
/// written down before it names the change.
#[test]
fn what_a_snapshot_holds_is_written_down_first_where_members_have_no_number() {
    let mut stage = LearnerStage::new(4, "1 2 3 4", None);
    stage.is_led(&FromLeader::Snap { zxid: zxid(1, 9) });
    stage.shows("1 4 5", zxid(1, 7));
    stage.receive_snapshot();
    stage.check(
        "disk accepted 2
         disk next [1 4 5] version 1:7
         adopts 1:9",
    );
}

/// There is one place. What stands there may be in the log until the snapshot has taken that log's place, and is a sign for a start to look
/// into the tree.
#[test]
fn what_is_logged_stays_written_down_until_a_snapshot_has_replaced_the_log() {
    let mut stage = LearnerStage::with_log(4, "1 2 3 4", Some(("1 2 9", 1, 3)), zxid(1, 3));
    stage.is_led(&FromLeader::Snap { zxid: zxid(1, 9) });
    stage.shows("1 4 5", zxid(1, 7));
    stage.receive_snapshot();
    stage.check(
        "disk accepted 2
         adopts 1:9
         disk next [1 4 5] version 1:7",
    );
}

/// A leader that has proposed something in its epoch shows what is committed. This server was away for two changes: the one
/// that it had logged is no more between the old members and these, and a quorum of neither is needed.
#[test]
fn what_an_established_leaders_snapshot_shows_holds() {
    let mut stage = LearnerStage::numbered(2, "1 2 3", Some(("2 8 9", 1, 3)), zxid(1, 3));
    stage.is_led(&FromLeader::Snap { zxid: zxid(2, 4) });
    stage.shows("1 2 5", zxid(2, 3));
    stage.receive_snapshot();
    stage.check(
        "disk accepted 2
         adopts 2:4
         disk holds [1 2 5] version 2:3",
    );
    stage.hear_new_leader("1 2 5", zxid(2, 3));
    stage.hear_up_to_date();
    stage.check(
        "disk current 2
         serves 2
         commits 2:4",
    );
}

/// A Java leader names in NEWLEADER what it has only proposed, and so does not say whether it holds the change before, which is in the
/// initial history and may be committed. Nothing is forgotten, as if this server had ended before UPTODATE.
#[test]
fn what_is_told_in_flight_does_not_hide_the_change_before_it() {
    let mut stage = LearnerStage::numbered(2, "1 2 3", None, zxid(1, 2));
    stage.is_led(&FromLeader::Snap { zxid: zxid(1, 9) });
    stage.shows("1 4 5", zxid(1, 7));
    stage.receive_snapshot();
    stage.hear_change(zxid(2, 1), "1 2 3");
    stage.hear_new_leader("1 2 3", zxid(2, 1));
    stage.hear_up_to_date();
    stage.check(
        "disk accepted 2
         adopts 1:9
         disk next [1 4 5] version 1:7
         disk current 2
         closed
         leaves LeaderBroken(\"it tells of members that it has proposed, and not of those that hold\")",
    );
    stage = LearnerStage::numbered(2, "1 2 3", Some(("1 4 5", 1, 7)), zxid(1, 9));
    stage.is_led(&FromLeader::Diff { zxid: zxid(1, 9) });
    stage.hear_change(zxid(2, 1), "1 2 3");
    stage.hear_new_leader("1 2 3", zxid(2, 1));
    stage.hear_up_to_date();
    stage.check(
        "disk accepted 2
         disk current 2
         closed
         leaves LeaderBroken(\"it tells of members that it has proposed, and not of those that hold\")",
    );
}

/// It is in doubt no longer when that is committed: it followed what was before it.
#[test]
fn what_is_told_and_committed_by_uptodate_holds() {
    let mut stage = LearnerStage::numbered(2, "1 2 3", Some(("1 4 5", 1, 7)), zxid(1, 9));
    stage.is_led(&FromLeader::Diff { zxid: zxid(1, 9) });
    stage.hear_change(zxid(2, 1), "1 2 3");
    stage.hear_new_leader("1 2 3", zxid(2, 1));
    stage.hear_commit(zxid(2, 1));
    stage.hear_up_to_date();
    stage.check(
        "disk accepted 2
         disk current 2
         disk holds [1 2 3] version 2:1
         logs 2:1
         serves 2
         commits 2:1",
    );
}
