//! Servers that have never had data are started at nearly the same moment, over a network that takes its time. Whatever
//! arrives first, they have one leader soon: who follows another one than the rest is served by nobody for a second or more.

use zabd_jute::quorum::Role;
use zabd_jute::{Epoch, ServerId, Zxid};
use zabd_zab::election::Standing;

use crate::faults::Dice;
use crate::net::{Fact, Net};
use crate::node::Disk;
use crate::script::config;

const SEEDS: u64 = 300;
/// Longer than a message takes, and shorter than servers wait before they repeat themselves.
const SLOWNESS_MS_MAX: i64 = 30;
/// From the last start to the last decision.
const DECIDED_WITHIN_MS: i64 = 1000;

fn start(seed: u64, ids: &[i64]) -> Net {
    let mut dice = Dice(seed);
    let mut net = Net::new();
    let words: Vec<_> = ids.iter().map(i64::to_string).collect();
    let config = config(&words.iter().map(String::as_str).collect::<Vec<_>>());
    for id in ids {
        let disk = Disk {
            last_zxid: Zxid::ZERO,
            epoch: Epoch::ZERO,
            standing: Standing::Empty,
            role: Role::Participant,
            config: config.clone(),
            last_seen: None,
            adopts_configs: false,
        };
        net.add(*id, disk);
    }
    let mut chance = Dice(seed ^ 0x5eed);
    let slowness = 1 + chance.roll(SLOWNESS_MS_MAX);
    net.delay = Box::new(move |_, _| 1 + chance.roll(slowness));
    let mut order = ids.to_vec();
    order.sort_by_key(|_| dice.roll(1000));
    for id in order {
        net.run_until(net.now + dice.roll(SLOWNESS_MS_MAX));
        net.boot(id);
        net.connect_all(id);
        net.look(id);
    }
    net.run_until(net.now + DECIDED_WITHIN_MS);
    net
}

#[test]
fn fresh_servers_agree_on_one_leader_whatever_arrives_first() {
    for ids in [&[1, 2, 3][..], &[1, 2, 3, 4, 5]] {
        for seed in 0..SEEDS {
            let net = start(seed, ids);
            let decided = net.facts.iter().filter_map(|(at, fact)| match fact {
                Fact::Decides { server, decision } => Some((*at, *server, decision.elected.vote.leader)),
                _ => None,
            });
            let decided: Vec<_> = decided.collect();
            let leaders: Vec<_> = ids.iter().map(|id| net.leader(*id).map(ServerId)).collect();
            let is_one = leaders.iter().all(|leader| leader.is_some() && *leader == leaders[0]);
            assert!(is_one, "seed {seed} of {}: (at, who, whom) {decided:?}", ids.len());
        }
    }
}
