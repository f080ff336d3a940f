//! In which order a connection's identities stand.
//!
//! Clients see it, in `whoAmI` and in what becomes of `auth` in an access list. Java keeps them in a `ConcurrentHashMap`
//! (`ServerCnxn.authInfo`): buckets by hash, and within one the order in which the keys came, which is turned round where
//! the table grows. All of that can be told from the list in that order, so nothing else is kept. (A bucket of eight
//! makes Java's table grow early; no client has as many that collide.)

use zabd_jute::{Id, java_hash};

/// How many buckets an empty table has.
const BUCKETS_MIN: usize = 16;

/// Adds what is not there yet.
pub(crate) fn add(all: &mut Vec<Id<'static>>, id: Id<'static>) {
    let buckets = bucket_count(all.len());
    let own = bucket_of(&id, buckets);
    all.insert(all.partition_point(|other| bucket_of(other, buckets) <= own), id);
    if bucket_count(all.len()) > buckets {
        *all = grown(all, buckets);
    }
}

/// The table grows as soon as it is three quarters full.
fn bucket_count(keys: usize) -> usize {
    let sizes = std::iter::successors(Some(BUCKETS_MIN), |buckets| Some(2 * buckets));
    sizes.into_iter().find(|buckets| keys < buckets / 4 * 3).expect("some table is large enough")
}

/// The same in a table with twice as many buckets. `ConcurrentHashMap.transfer` keeps the end of a bucket that goes to one of
/// its two halves as it is, and puts each key before that in front of its half.
fn grown(all: &[Id<'static>], buckets: usize) -> Vec<Id<'static>> {
    let is_high = |id: &Id<'_>| hash_of(id) as usize & buckets != 0;
    let mut halves = [Vec::with_capacity(all.len()), Vec::new()];
    for bucket in all.chunk_by(|one, other| bucket_of(one, buckets) == bucket_of(other, buckets)) {
        let end_is_high = bucket.last().is_some_and(is_high);
        let end = bucket.iter().rposition(|id| is_high(id) != end_is_high).map_or(0, |last| last + 1);
        for (half, keys) in halves.iter_mut().enumerate() {
            let belongs = |id: &&Id<'_>| is_high(id) == (half == 1);
            keys.extend(bucket[..end].iter().rev().filter(belongs).cloned());
            keys.extend(bucket[end..].iter().filter(belongs).cloned());
        }
    }
    halves.concat()
}

fn bucket_of(id: &Id<'_>, buckets: usize) -> usize {
    hash_of(id) as usize & (buckets - 1)
}

/// `hashCode()` of a record of two strings, its upper half folded into the lower as the table does.
fn hash_of(id: &Id<'_>) -> u32 {
    let fields = [java_hash(id.scheme()), java_hash(id.id())];
    let hash = fields.into_iter().fold(17, |hash: u32, field| hash.wrapping_mul(37).wrapping_add(field));
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_stand_by_their_buckets_and_many_as_the_table_grew() {
        let mut all = Vec::new();
        for number in 0..11 {
            add(&mut all, Id::new("auth", format!("{number}")));
        }
        assert!(all.is_sorted_by_key(|id| bucket_of(id, 16)), "{all:?}");
        add(&mut all, Id::new("auth", "11"));
        assert!(all.is_sorted_by_key(|id| bucket_of(id, 32)), "{all:?}");
        assert_eq!(all.len(), 12);
    }

    #[test]
    fn what_shared_a_bucket_is_turned_round_but_for_its_end() {
        let sharing = |bit: usize| {
            let is = move |id: &Id<'_>| bucket_of(id, 16) == 3 && hash_of(id) as usize & 16 == bit;
            (0..).map(|number| Id::new("s", number.to_string())).filter(is)
        };
        let (low, high): (Vec<_>, Vec<_>) = (sharing(0).take(3).collect(), sharing(16).take(2).collect());
        let bucket = [&low[0], &high[0], &low[1], &high[1], &low[2]].map(Clone::clone);
        let after = [&low[1], &low[0], &low[2], &high[1], &high[0]].map(Clone::clone);
        assert_eq!(grown(&bucket, 16), after);
    }
}
