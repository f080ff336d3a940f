//! Who decides in a world whose members stay, counted without a word of the servers' own code: whatever is shown is, or was, on the
//! disks of more than half of the voters; or, where there are groups, of more than half of the weight in more than half of the
//! groups that have any.

use crate::plan::Plan;

/// Whether the voters for which this holds are a quorum of the plan's. Voters are counted from 1, as in the plan's lines.
pub fn is_quorum(plan: &Plan, counts: impl Fn(usize) -> bool) -> bool {
    let lines = || plan.weights.lines().filter_map(|line| line.split_once('='));
    let weight = |voter: usize| -> usize {
        let own = lines().find(|(key, _)| *key == format!("weight.{voter}"));
        own.map_or(1, |(_, weight)| weight.parse().expect("a weight is a number"))
    };
    let groups = lines().filter(|(key, _)| key.starts_with("group."));
    let mut groups: Vec<Vec<usize>> = groups
        .map(|(_, ids)| ids.split(':').map(|id| id.parse().expect("a voter is a number")).collect())
        .collect();
    if groups.is_empty() {
        groups.push((1..=plan.voters).collect());
    }
    let all = |group: &Vec<usize>| group.iter().map(|voter| weight(*voter)).sum::<usize>();
    let present = |group: &Vec<usize>| {
        group.iter().filter(|voter| counts(**voter)).map(|voter| weight(*voter)).sum::<usize>()
    };
    groups.retain(|group| 0 < all(group));
    let won = groups.iter().filter(|group| all(group) < 2 * present(group)).count();
    groups.len() < 2 * won
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_and_groups_decide() {
        let plan = |voters, weights| Plan { voters, weights, ..Plan::draw(0) };
        for (voters, weights, quorum, none) in [
            (3, "", &[1, 3][..], &[2][..]),
            (3, "group.1=1:2:3\nweight.3=0\n", &[1, 2], &[1, 3]),
            (3, "group.1=1:2:3\nweight.1=2\n", &[1, 3], &[2, 3]),
            (5, "group.1=1:2\ngroup.2=3:4\ngroup.3=5\n", &[1, 2, 5], &[1, 3, 5]),
            (5, "group.1=1\ngroup.2=2:3\nweight.2=0\nweight.3=0\n", &[1], &[2, 3]),
        ] {
            let plan = plan(voters, weights);
            let holds = |ids: &[usize]| is_quorum(&plan, |voter| ids.contains(&voter));
            assert!(holds(quorum) && !holds(none), "{weights}");
        }
    }
}
