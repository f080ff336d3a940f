//! A change of members that is written down and in no log: whoever knows of it says so, and nobody leads past it.

use crate::reigns::Reigns;
use crate::stage::zxid;

/// 3 wrote the change to 3, 4 and 5 down and ended before it was in its log. It leads again and completes the change by its file; 2 has
/// acknowledged that, and never hears UPTODATE. 1 comes late, and is cut off in the midst of what it lacks: it has what was
/// committed, its epoch too, and was told of no change. 1 and 2 are a quorum of the old members, 3, 4 and 5 serve.
pub fn nobody_leads_the_old_members_beside_the_new_ones() {
    let mut reigns = Reigns::new("1 2 3", &[1, 2, 3, 4, 5]);
    reigns.note(3, "3 4 5", 9);
    reigns.lead(3);
    reigns.follow_until(2, 3, "UPTODATE");
    reigns.follow(4, 3);
    assert!(reigns.reigns(3), "quorums of both have its history");
    reigns.follow(5, 3);
    reigns.propose(3);
    reigns.propose(3);
    assert_eq!(reigns.committed(3), zxid(6, 2), "the new members go on alone");
    reigns.follow_until(1, 3, "NEWLEADER");
    assert_eq!(reigns.disk(1), "epoch 6, holds 1 2 3, noted nothing, logged 6:2");
    assert_eq!(reigns.disk(2), "epoch 6, holds 1 2 3, noted 3 4 5, logged 5:8");
    reigns.lead(1);
    reigns.follow(2, 1);
    assert!(reigns.reigns(3), "nobody was taken from it");
    assert!(!reigns.reigns(1), "two leaders");
    reigns.propose(3);
    assert_eq!(reigns.committed(3), zxid(6, 3));
}

#[test]
fn nobody_leads_beside_members_of_whom_a_follower_knows() {
    nobody_leads_the_old_members_beside_the_new_ones();
}

/// 2 and 4 were told of it by a leader that ended right there. 1 has never heard of it, and completes it when enough of its voters are there.
#[test]
fn a_leader_completes_what_its_followers_have_noted() {
    let mut reigns = Reigns::new("1 2 3", &[1, 2, 3, 4, 5]);
    reigns.note(2, "3 4 5", 9);
    reigns.note(4, "3 4 5", 9);
    reigns.lead(1);
    reigns.follow(2, 1);
    reigns.follow(4, 1);
    assert_eq!(reigns.disk(1), "epoch 5, holds 1 2 3, noted nothing, logged 5:8", "3 and 5 may have more");
    reigns.follow(5, 1);
    // It is no voter any more, and was there until everybody knew.
    reigns.assert_disks(&[1, 2, 4, 5], "epoch 6, holds 3 4 5, noted nothing, logged 5:8");
}

/// The change of which 3 alone knows was never completed, for a quorum without 3 knows nothing of it. Its voters may not even be there.
#[test]
fn a_change_of_which_a_quorum_knows_nothing_is_not_waited_for() {
    let mut reigns = Reigns::new("1 2 3", &[1, 2, 3]);
    reigns.note(3, "3 4 5", 9);
    reigns.lead(1);
    reigns.follow(3, 1);
    assert!(!reigns.reigns(1), "2 may know of it");
    reigns.follow(2, 1);
    assert!(reigns.reigns(1), "2 does not");
    reigns.assert_disks(&[1, 2, 3], "epoch 6, holds 1 2 3, noted nothing, logged 5:8");
}

/// Were the newer one completed, and the leader ended then, nobody might know of both any more.
#[test]
fn two_noted_changes_are_not_counted_together() {
    let mut reigns = Reigns::new("1 2 3 4 5", &[1, 2, 3, 4]);
    reigns.note(2, "1 2 3 4 6", 9);
    reigns.note(3, "1 2 3 4 7", 10);
    reigns.lead(1);
    reigns.follow(2, 1);
    reigns.follow(3, 1);
    assert!(!reigns.reigns(1), "quorums of all three have promised");
    reigns.follow(4, 1);
    assert!(reigns.reigns(1), "1, 3 and 4 know of one, and of no other");
    reigns.assert_disks(&[1, 2, 3, 4], "epoch 6, holds 1 2 3 4 7, noted nothing, logged 5:8");
}

/// Leaders of a fresh ensemble ended before they reigned, and each of them had numbered its members.
#[test]
fn what_leaves_the_voters_as_they_are_keeps_nobody_out() {
    let mut reigns = Reigns::new("1 2 3", &[1, 2, 3]);
    reigns.note(1, "1 2 3", 9);
    reigns.note(2, "1 2 3 o4", 10);
    reigns.lead(1);
    reigns.follow(2, 1);
    assert!(reigns.reigns(1));
    // The newest of them.
    reigns.assert_disks(&[1, 2], "epoch 6, holds 1 2 3 4, noted nothing, logged 5:8");
}

/// 2 was away when the change that it has noted was taken back. Who leads has the newer one in its log, and the voters are as they were.
#[test]
fn what_is_logged_is_not_given_up_for_an_older_change() {
    let mut reigns = Reigns::new("1 2 3", &[1, 2, 3]);
    reigns.note(1, "1 2 3 o4", 8);
    reigns.note(2, "1 2 5", 7);
    reigns.lead(1);
    reigns.follow(2, 1);
    assert!(reigns.reigns(1));
    reigns.assert_disks(&[1, 2], "epoch 6, holds 1 2 3 4, noted nothing, logged 5:8");
}

/// Nor is anybody who has it noted only made to forget it.
#[test]
fn a_newer_change_is_not_forgotten_for_an_older_one() {
    let mut reigns = Reigns::new("1 2 3 4 5", &[1, 2, 3, 4]);
    reigns.note(2, "1 2 3 4 6", 9);
    reigns.note(3, "1 2 3 4 5 o6", 10);
    reigns.lead(1);
    reigns.follow(2, 1);
    reigns.follow(3, 1);
    assert!(!reigns.reigns(1), "3 of five are there, and would have to forget one of the two");
    reigns.follow(4, 1);
    assert!(reigns.reigns(1), "1, 3 and 4 know of none that needs other voters");
    reigns.assert_disks(&[1, 2, 3, 4], "epoch 6, holds 1 2 3 4 5 6, noted nothing, logged 5:8");
}
