//! What is offered: protocols and cipher suites by Java's names, in rustls' hands.

use rustls::crypto::CryptoProvider;
use rustls::{SupportedCipherSuite, SupportedProtocolVersion, version};
use zabd_config::TlsSide;

/// What a side offers, and what it was asked for in vain.
#[derive(Debug)]
pub(crate) struct Offer {
    pub versions: Vec<&'static SupportedProtocolVersion>,
    pub suites: Vec<SupportedCipherSuite>,
    /// Words for the log.
    pub left_out: Vec<String>,
}

/// What the keys ask for, as far as rustls has it; in words if that is nothing.
pub(crate) fn offer(side: &TlsSide, provider: &CryptoProvider) -> Result<Offer, (&'static str, String)> {
    let mut left_out = Vec::new();
    let versions = versions(side, &mut left_out)?;
    let suites = suites(side, provider, &mut left_out)?;
    if !suites.iter().any(|suite| versions.contains(&suite.version())) {
        return Err(("ciphersuites", "none of them is of a protocol that is offered".to_owned()));
    }
    Ok(Offer { versions, suites, left_out })
}

fn versions(
    side: &TlsSide,
    left_out: &mut Vec<String>,
) -> Result<Vec<&'static SupportedProtocolVersion>, (&'static str, String)> {
    let Some(names) = &side.enabled_protocols else {
        return match side.protocol.as_deref().unwrap_or("TLSv1.3") {
            "TLSv1.3" | "TLS" => Ok(vec![&version::TLS13, &version::TLS12]),
            "TLSv1.2" => Ok(vec![&version::TLS12]),
            other => Err(("protocol", format!("`{other}` is none of `TLSv1.3`, `TLSv1.2`"))),
        };
    };
    let mut versions = Vec::new();
    for name in names {
        match name.as_str() {
            "TLSv1.3" => versions.push(&version::TLS13),
            "TLSv1.2" => versions.push(&version::TLS12),
            other => left_out.push(format!("{}enabledProtocols: `{other}` is not offered", side.prefix)),
        }
    }
    if versions.is_empty() {
        return Err(("enabledProtocols", "neither `TLSv1.3` nor `TLSv1.2` is among them".to_owned()));
    }
    Ok(versions)
}

fn suites(
    side: &TlsSide,
    provider: &CryptoProvider,
    left_out: &mut Vec<String>,
) -> Result<Vec<SupportedCipherSuite>, (&'static str, String)> {
    let all = &provider.cipher_suites;
    let Some(names) = &side.cipher_suites else { return Ok(all.clone()) };
    let mut suites = Vec::new();
    for name in names {
        match all.iter().find(|suite| java_name(suite) == *name) {
            Some(suite) => suites.push(*suite),
            None => left_out.push(format!("{}ciphersuites: `{name}` is not offered", side.prefix)),
        }
    }
    if suites.is_empty() {
        let known: Vec<_> = all.iter().map(|suite| format!("`{}`", java_name(suite))).collect();
        return Err(("ciphersuites", format!("none of them is one of {}", known.join(", "))));
    }
    Ok(suites)
}

fn java_name(suite: &SupportedCipherSuite) -> String {
    format!("{:?}", suite.suite()).replace("TLS13_", "TLS_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(change: impl FnOnce(&mut TlsSide)) -> TlsSide {
        let mut side = crate::tests::side();
        change(&mut side);
        side
    }

    fn offered(change: impl FnOnce(&mut TlsSide)) -> Result<(usize, usize, usize), &'static str> {
        let offer = offer(&side(change), &rustls::crypto::ring::default_provider());
        offer.map(|o| (o.versions.len(), o.suites.len(), o.left_out.len())).map_err(|(key, _)| key)
    }

    fn words(text: &str) -> Option<Vec<String>> {
        Some(text.split(',').map(str::to_owned).collect())
    }

    #[test]
    fn both_protocols_and_all_suites_are_offered() {
        assert_eq!(offered(|_| ()), Ok((2, 9, 0)));
        assert_eq!(offered(|side| side.protocol = Some("TLSv1.2".into())), Ok((1, 9, 0)));
        assert_eq!(offered(|side| side.enabled_protocols = words("TLSv1.3,TLSv1.1")), Ok((1, 9, 1)));
    }

    #[test]
    fn suites_have_the_names_that_java_gives_them() {
        let asked = "TLS_AES_256_GCM_SHA384,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256";
        assert_eq!(offered(|side| side.cipher_suites = words(asked)), Ok((2, 2, 1)));
    }

    #[test]
    fn an_offer_of_nothing_is_a_mistake() {
        assert_eq!(offered(|side| side.protocol = Some("TLSv1.1".into())), Err("protocol"));
        assert_eq!(offered(|side| side.enabled_protocols = words("TLSv1.1,SSLv3")), Err("enabledProtocols"));
        assert_eq!(
            offered(|side| side.cipher_suites = words("TLS_RSA_WITH_AES_128_CBC_SHA")),
            Err("ciphersuites")
        );
        let mismatch = |side: &mut TlsSide| {
            side.enabled_protocols = words("TLSv1.2");
            side.cipher_suites = words("TLS_AES_256_GCM_SHA384");
        };
        assert_eq!(offered(mismatch), Err("ciphersuites"));
    }
}
