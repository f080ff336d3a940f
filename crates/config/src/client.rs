//! TLS of a client: the keys of a server's client ports, read the other way round.

use crate::draft::Draft;
use crate::keys;
use crate::resolve::said;
use crate::tls::TlsSide;

impl TlsSide {
    /// The side of a client with these properties, by their names with or without `zookeeper.`; later ones hold. What is no key of
    /// TLS is passed over; what is wrong is said with its remedy.
    pub fn of_client<'a>(
        properties: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<TlsSide, String> {
        let mut draft = Draft::new();
        for (name, value) in properties {
            let name = keys::unprefixed(name);
            if !is_of_clients(name) {
                continue;
            }
            let Some(key) = keys::find(name) else { continue };
            if let Err(problem) = key.apply(&mut draft, name, value) {
                let (message, hint) = said(key, name, value, problem);
                return Err(format!("{message}; hint: {hint}"));
            }
        }
        Ok(draft.config.tls.clients)
    }
}

/// What is only for a server is none of them, and neither is what Java's client does not look at.
fn is_of_clients(name: &str) -> bool {
    let is_of_ports = name.starts_with("ssl.") && !name.starts_with("ssl.quorum.");
    let is_passed_over = ["ssl.clientAuth", "ssl.authProvider", "ssl.context.supplier.class"].contains(&name);
    (is_of_ports && !is_passed_over) || ["fips-mode", "zabd.ssl.crlFile"].contains(&name)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn later_properties_hold_and_others_are_passed_over() {
        let side = TlsSide::of_client([
            ("zookeeper.ssl.keyStore.location", "/a.p12"),
            ("zookeeper.ssl.keyStore.location", "/b.p12"),
            ("ssl.trustStore.passwordPath", "/password"),
            ("zookeeper.ssl.quorum.trustStore.location", "/other"),
            ("zookeeper.ssl.hostnameVerification", "false"),
            ("zookeeper.fips-mode", "false"),
            ("ssl.clientAuth", "whoever"),
            ("dataDir", "/data"),
        ]);
        let side = side.expect("a side");
        assert_eq!(side.key_store.location.as_deref(), Some(Path::new("/b.p12")));
        assert_eq!(side.trust_store.password_path.as_deref(), Some(Path::new("/password")));
        assert_eq!(
            (side.trust_store.location, side.verifies_hosts, side.is_fips),
            (None, Some(false), false)
        );
    }

    #[test]
    fn a_mistake_is_said_with_its_remedy() {
        let wrong = TlsSide::of_client([("zookeeper.ssl.keyStore.type", "ZIP")]).unwrap_err();
        assert_eq!(
            wrong,
            "ssl.keyStore.type=ZIP is no type of store that zabd reads; hint: one of `JKS`, `PEM`, `PKCS12`"
        );
    }
}
