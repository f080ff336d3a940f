//! "Did you mean": the known key nearest to a misspelt one.

use crate::keys;

/// The key within two slips of `name`, if there is one; case is not a slip.
pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    if name.len() < 4 || 64 < name.len() {
        return None; // Any short word is near another; a long one is no slip of the finger.
    }
    let name = name.to_ascii_lowercase();
    let distances = keys::all()
        .filter(|key| key.prefix.is_none())
        .map(|key| (distance(&name, &key.name.to_ascii_lowercase()), key.name));
    distances.filter(|(distance, _)| *distance <= 2).min().map(|(_, key)| key)
}

/// Levenshtein's distance in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        assert_eq!(nearest("ticktime"), Some("tickTime"));
        assert_eq!(nearest("snapCuont"), Some("snapCount"));
        assert_eq!(nearest("maxClientCnxn"), Some("maxClientCnxns"));
        assert_eq!(nearest("something.else.entirely"), None);
        assert_eq!(nearest("x"), None);
    }

    #[test]
    fn distance_counts_slips() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
