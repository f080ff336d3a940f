//! What an access list allows, and which lists a client may set.
//!
//! Follows Java's `ZooKeeperServer.checkACL` and `PrepRequestProcessor.fixupACL`, with the schemes that
//! are part of the server: world, auth, digest, ip; sasl and x509 where they are switched on.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use zabd_jute::{Acl, ErrorCode, Id, SessionId, perms};

use crate::distinguished_name;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// Its session.
    pub session: SessionId,
    /// The identities of its connection.
    pub ids: &'a [Id<'static>],
    /// Why its session may own no ephemerals, if it may not: it is known to one server only.
    pub no_ephemerals: Option<ErrorCode>,
}

/// Which schemes access lists may name, besides `world`, `auth` and `ip`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthSchemes {
    /// `digest`, on unless switched off.
    pub digest: bool,
    /// `sasl`, off unless its provider is configured.
    pub sasl: bool,
    /// `x509`, off unless there is a TLS port.
    pub x509: bool,
}

impl Default for AuthSchemes {
    fn default() -> Self {
        Self { digest: true, sasl: false, x509: false }
    }
}

/// Whether one of `ids` may do one of `wanted` with a znode that has this list.
pub fn allows(acl: &[Acl<'_>], wanted: i32, ids: &[Id<'_>], skip_acl: bool) -> bool {
    if skip_acl || acl.is_empty() || ids.iter().any(|id| id.scheme() == "super") {
        return true;
    }
    acl.iter().filter(|entry| entry.perms & wanted != 0).any(|entry| {
        let Id { scheme, .. } = &entry.id;
        match scheme.as_deref() {
            Some("world") => entry.id.id() == "anyone",
            Some("ip") => ids.iter().any(|id| id.scheme() == "ip" && ip_matches(id.id(), entry.id.id())),
            Some("sasl") => {
                ids.iter().any(|id| id.scheme() == "sasl" && (id.id() == "super" || id.id() == entry.id.id()))
            }
            Some(scheme) => ids.iter().any(|id| id.scheme() == scheme && id.id() == entry.id.id()),
            None => false,
        }
    })
}

/// The list as somebody sees it who may not administer the znode: without the hashes of passwords.
pub fn masked(acl: &[Acl<'static>]) -> Vec<Acl<'static>> {
    let mask = |entry: &Acl<'static>| match (entry.id.scheme(), entry.id.id().split_once(':')) {
        ("digest", Some((user, _))) => Acl::new(entry.perms, "digest", format!("{user}:x")),
        _ => entry.clone(),
    };
    acl.iter().map(mask).collect()
}

/// The list as it is stored: each entry once, `auth` replaced by who the caller is, all else valid.
///
/// It may be encoded in `bytes_max`: a list can grow far beyond its request, by `auth` for every identity
/// and by bytes that are no UTF-8, and Java cannot read back a record that is too long.
pub fn fix_up(
    list: Option<&[Acl<'_>]>,
    caller: &Caller<'_>,
    schemes: AuthSchemes,
    bytes_max: usize,
) -> Result<Vec<Acl<'static>>, ErrorCode> {
    let list = list.filter(|list| !list.is_empty()).ok_or(ErrorCode::InvalidAcl)?;
    let mut fixed = FixedList { entries: Vec::with_capacity(list.len()), bytes_left: bytes_max };
    let mut seen = BTreeSet::new();
    for entry in list {
        if 1 < list.len() && !seen.insert(entry) {
            continue;
        }
        match (entry.id.scheme.as_deref(), entry.id.id.as_deref()) {
            // By far the most common entry takes no memory of its own.
            (Some("world"), Some("anyone")) => fixed.push(Acl::new(entry.perms, "world", "anyone"))?,
            (Some("auth"), _) => expand_auth(entry.perms, caller, schemes, &mut fixed)?,
            // Java stumbles over the null before it can call the list invalid.
            (Some(scheme), None) if is_known(scheme, schemes) => return Err(ErrorCode::MarshallingError),
            (Some(scheme), Some(id)) if is_valid(scheme, id, schemes) => {
                fixed.push(entry.clone().into_owned())?;
            }
            _ => return Err(ErrorCode::InvalidAcl),
        }
    }
    Ok(fixed.entries)
}

/// A list under construction, of limited length.
struct FixedList {
    entries: Vec<Acl<'static>>,
    bytes_left: usize,
}

impl FixedList {
    fn push(&mut self, entry: Acl<'static>) -> Result<(), ErrorCode> {
        // Permissions, and the lengths of scheme and id.
        let bytes = 12 + entry.id.scheme().len() + entry.id.id().len();
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or(ErrorCode::BadArguments)?;
        self.entries.push(entry);
        Ok(())
    }
}

/// One entry for each identity that was proved, if lists may name it; an address is none.
fn expand_auth(
    perms: i32,
    caller: &Caller<'_>,
    schemes: AuthSchemes,
    fixed: &mut FixedList,
) -> Result<(), ErrorCode> {
    let before = fixed.entries.len();
    let is_proved = |scheme: &str| matches!(scheme, "digest" | "sasl" | "x509") && is_known(scheme, schemes);
    for id in caller.ids.iter().filter(|id| is_proved(id.scheme())) {
        fixed.push(Acl { perms, id: id.clone() })?;
    }
    if fixed.entries.len() == before { Err(ErrorCode::InvalidAcl) } else { Ok(()) }
}

fn is_known(scheme: &str, schemes: AuthSchemes) -> bool {
    match scheme {
        "world" | "ip" => true,
        "digest" => schemes.digest,
        "sasl" => schemes.sasl,
        "x509" => schemes.x509,
        _ => false,
    }
}

fn is_valid(scheme: &str, id: &str, schemes: AuthSchemes) -> bool {
    is_known(scheme, schemes)
        && match scheme {
            "digest" => is_digest(id),
            "ip" => parse_network(id).is_some(),
            "sasl" => is_principal(id),
            "x509" => distinguished_name::is_valid(id),
            _ => false,
        }
}

/// Two parts, as Java's `split` counts them: an empty one at the end is none.
fn is_digest(id: &str) -> bool {
    id.trim_end_matches(':').split(':').count() == 2
}

/// A name without a realm, whatever it looks like, or `name@REALM`, or `name/host@REALM`.
fn is_principal(id: &str) -> bool {
    let Some((name, realm)) = id.split_once('@') else { return true };
    name.matches('/').count() <= 1 && !realm.contains(['/', '@'])
}

/// `a.b.c.d` or an IPv6 address without such a tail, either with `/bits`.
fn parse_network(text: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let address = if address.contains(':') {
        address.parse::<Ipv6Addr>().ok().filter(|_| !address.contains('.'))?.into()
    } else {
        // Java takes leading zeros for what they are.
        let octets: Result<Vec<u8>, _> = address.split('.').map(str::parse).collect();
        IpAddr::from(<[u8; 4]>::try_from(octets.ok()?).ok()?)
    };
    let width = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        None => width,
        Some(bits) => bits.parse().ok().filter(|bits| *bits <= width)?,
    };
    Some((address, bits))
}

fn ip_matches(address: &str, network: &str) -> bool {
    let (Ok(address), Some((network, bits))) = (address.parse::<IpAddr>(), parse_network(network)) else {
        return false;
    };
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => {
            (a.to_bits() ^ n.to_bits()).checked_shr(32 - bits).unwrap_or(0) == 0
        }
        (IpAddr::V6(a), IpAddr::V6(n)) => {
            (a.to_bits() ^ n.to_bits()).checked_shr(128 - bits).unwrap_or(0) == 0
        }
        _ => false,
    }
}

/// Whether the caller may do `wanted` with a znode that has this list.
pub(crate) fn check(
    acl: &[Acl<'static>],
    wanted: i32,
    caller: &Caller<'_>,
    skip_acl: bool,
) -> Result<(), ErrorCode> {
    debug_assert!(wanted & !perms::ALL == 0, "only known permissions are asked for");
    if allows(acl, wanted, caller.ids, skip_acl) { Ok(()) } else { Err(ErrorCode::NoAuth) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller<'a>(ids: &'a [Id<'static>]) -> Caller<'a> {
        Caller { session: SessionId(1), ids, no_ephemerals: None }
    }

    #[test]
    fn who_is_let_in() {
        let ids = [Id::new("ip", "10.1.2.3"), Id::new("digest", "a:h")];
        for (scheme, id, expected) in [
            ("world", "anyone", true),
            ("world", "other", false),
            ("ip", "10.1.2.3", true),
            ("ip", "10.1.0.0/16", true),
            ("ip", "010.001.0.0/16", true),
            ("ip", "10.2.0.0/16", false),
            ("ip", "0.0.0.0/0", true),
            ("ip", "::/0", false),
            ("digest", "a:h", true),
            ("digest", "a:g", false),
            ("auth", "", false),
        ] {
            assert_eq!(
                allows(&[Acl::new(perms::READ, scheme, id)], perms::READ, &ids, false),
                expected,
                "{scheme}:{id}"
            );
        }
        let locked = [Acl::new(perms::ALL, "digest", "x:y")];
        assert!(!allows(&locked, perms::READ, &ids, false));
        assert!(allows(&locked, perms::READ, &ids, true));
        assert!(allows(&locked, perms::READ, &[Id::new("super", "")], false));
        assert!(allows(&[], perms::READ, &ids, false));
        assert!(!allows(&[Acl::new(perms::WRITE, "world", "anyone")], perms::READ, &ids, false));
    }

    #[test]
    fn who_is_super_for_sasl_is_everybody_for_sasl() {
        let ids = [Id::new("sasl", "super")];
        assert!(allows(&[Acl::new(31, "sasl", "alice")], 1, &ids, false));
        assert!(!allows(&[Acl::new(31, "digest", "alice:x")], 1, &ids, false));
        assert!(!allows(&[Acl::new(31, "sasl", "alice")], 1, &[Id::new("sasl", "bob")], false));
    }

    #[test]
    fn sasl_is_named_where_its_provider_is_configured() {
        let ids = [Id::new("sasl", "alice"), Id::new("digest", "a:h")];
        let schemes = AuthSchemes { sasl: true, ..AuthSchemes::default() };
        let fixed = |schemes| fix_up(Some(&[Acl::new(1, "auth", "")]), &caller(&ids), schemes, 1000).unwrap();
        assert_eq!(fixed(schemes), [Acl::new(1, "sasl", "alice"), Acl::new(1, "digest", "a:h")]);
        assert_eq!(fixed(AuthSchemes::default()), [Acl::new(1, "digest", "a:h")]);
        for (id, is_taken) in [
            ("alice", true),
            ("", true),
            ("a/b", true),
            ("a@R", true),
            ("a/b@R", true),
            ("@", true),
            ("a/b/c@R", false),
            ("a@R/b", false),
            ("a@b@c", false),
        ] {
            let list = [Acl::new(1, "sasl", id)];
            assert_eq!(fix_up(Some(&list), &caller(&[]), schemes, 1000).is_ok(), is_taken, "{id}");
        }
    }

    #[test]
    fn ipv6_networks() {
        let ids = [Id::new("ip", "2001:db8::1")];
        assert!(allows(&[Acl::new(31, "ip", "2001:db8::/32")], 1, &ids, false));
        assert!(!allows(&[Acl::new(31, "ip", "2001:db9::/32")], 1, &ids, false));
    }

    #[test]
    fn lists_are_fixed_up() {
        let ids = [Id::new("ip", "::1"), Id::new("digest", "a:h"), Id::new("super", "")];
        let list =
            [Acl::open(), Acl::new(1, "auth", "whatever"), Acl::open(), Acl::new(7, "ip", "10.0.0.0/8")];
        let fixed = fix_up(Some(&list), &caller(&ids), AuthSchemes::default(), 1000).unwrap();
        assert_eq!(fixed, [Acl::open(), Acl::new(1, "digest", "a:h"), Acl::new(7, "ip", "10.0.0.0/8")]);
    }

    #[test]
    fn lists_that_would_grow_too_long_are_refused() {
        let ids = [Id::new("digest", "a:12345"), Id::new("digest", "b:12345")];
        let list = [Acl::new(1, "auth", ""), Acl::new(2, "auth", "")];
        // Four entries of 25 bytes.
        let fixed = |bytes_max| fix_up(Some(&list), &caller(&ids), AuthSchemes::default(), bytes_max);
        assert_eq!(fixed(100).unwrap().len(), 4);
        assert_eq!(fixed(99), Err(ErrorCode::BadArguments));
    }

    #[test]
    fn digests_have_two_parts_as_java_counts_them() {
        for id in ["a:b", ":b", "a:b:", "a:b::"] {
            let list = [Acl::new(1, "digest", id)];
            assert_eq!(
                fix_up(Some(&list), &caller(&[]), AuthSchemes::default(), 1000),
                Ok(list.to_vec()),
                "{id}"
            );
        }
    }

    #[test]
    fn lists_that_are_refused() {
        let schemes = AuthSchemes::default();
        let null_id =
            |scheme: &'static str| Acl { perms: 1, id: Id { scheme: Some(scheme.into()), id: None } };
        let null_scheme = Acl { perms: 1, id: Id { scheme: None, id: Some("a".into()) } };
        for (list, error) in [
            (vec![], ErrorCode::InvalidAcl),
            (vec![null_scheme], ErrorCode::InvalidAcl),
            (vec![null_id("world")], ErrorCode::MarshallingError),
            (vec![null_id("digest")], ErrorCode::MarshallingError),
            (vec![null_id("ip")], ErrorCode::MarshallingError),
            (vec![null_id("sasl")], ErrorCode::InvalidAcl),
            (vec![Acl::new(1, "world", "somebody")], ErrorCode::InvalidAcl),
            (vec![Acl::new(1, "auth", "")], ErrorCode::InvalidAcl),
            (vec![Acl::new(1, "super", "")], ErrorCode::InvalidAcl),
            (vec![Acl::new(1, "sasl", "me")], ErrorCode::InvalidAcl),
            (vec![Acl::new(1, "digest", "nocolon")], ErrorCode::InvalidAcl),
            (vec![Acl::new(1, "digest", "a:b:c")], ErrorCode::InvalidAcl),
            (vec![Acl::new(1, "digest", "a:")], ErrorCode::InvalidAcl),
            (vec![Acl::new(1, "digest", "::")], ErrorCode::InvalidAcl),
            (vec![Acl::new(1, "ip", "10.0.0.0/33")], ErrorCode::InvalidAcl),
            (vec![Acl::new(1, "ip", "somewhere")], ErrorCode::InvalidAcl),
            (vec![Acl::new(1, "ip", "10.0.0")], ErrorCode::InvalidAcl),
            (vec![Acl::new(1, "ip", "::ffff:10.0.0.1")], ErrorCode::InvalidAcl),
        ] {
            assert_eq!(fix_up(Some(&list), &caller(&[]), schemes, 1000), Err(error), "{list:?}");
        }
        assert_eq!(fix_up(None, &caller(&[]), schemes, 1000), Err(ErrorCode::InvalidAcl));
    }

    #[test]
    fn hashes_are_masked() {
        let list = [Acl::open(), Acl::new(1, "digest", "a:hash"), Acl::new(1, "ip", "1.2.3.4")];
        assert_eq!(masked(&list)[1], Acl::new(1, "digest", "a:x"));
        assert_eq!(masked(&list)[2], list[2]);
    }
}
