//! "Did you mean": the known key nearest to a misspelt one.

use crate::keys;

/// What is written for a key, by people and by pages about it, and further from it than a slip; in small letters.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("authprovider", "authProvider.1"),
    ("authproviders", "authProvider.1"),
    ("digest.superdigest", "DigestAuthenticationProvider.superDigest"),
    ("enforceauth", "enforce.auth.enabled"),
    ("enforce.auth", "enforce.auth.enabled"),
    ("enforceauthenabled", "enforce.auth.enabled"),
    ("enforceauthschemes", "enforce.auth.schemes"),
    ("enforce.authentication.enabled", "enforce.auth.enabled"),
    ("enforce.authentication.schemes", "enforce.auth.schemes"),
    ("quorum.auth.enable", "quorum.auth.enableSasl"),
    ("quorum.auth.enabled", "quorum.auth.enableSasl"),
    ("requireclientauthscheme", "sessionRequireClientSASLAuth"),
    ("requireclientsaslauth", "sessionRequireClientSASLAuth"),
    ("ssl.clientauthentication", "ssl.clientAuth"),
    ("superdigest", "DigestAuthenticationProvider.superDigest"),
    ("x509.superuser", "X509AuthenticationProvider.superUser"),
];

/// What may have been meant by a key that there is not.
pub(crate) fn meant(name: &str) -> Option<&'static str> {
    let small = name.to_ascii_lowercase();
    // A member of the family has any name.
    let family = small.split_once('.').map_or(&*small, |(family, _)| family);
    let written = |other: &&(&str, &str)| {
        other.0 == small || (other.1.starts_with("authProvider") && other.0 == family)
    };
    OTHER_NAMES.iter().find(written).map(|(_, key)| *key).or_else(|| nearest(name))
}

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
    fn other_names_of_what_guards_a_server_are_understood() {
        for (written, key) in [
            ("authprovider.1", Some("authProvider.1")),
            ("authProvider", Some("authProvider.1")),
            ("authProviders.sasl", Some("authProvider.1")),
            ("requireClientAuthScheme", Some("sessionRequireClientSASLAuth")),
            ("enforce.auth.scheme", Some("enforce.auth.schemes")),
            ("superDigest", Some("DigestAuthenticationProvider.superDigest")),
            ("author", None),
        ] {
            assert_eq!(meant(written), key, "{written}");
        }
        for (_, key) in OTHER_NAMES {
            assert!(keys::find(key).is_some(), "{key}");
        }
    }

    #[test]
    fn distance_counts_slips() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
