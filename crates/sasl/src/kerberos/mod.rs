//! Who a principal of Kerberos is in access lists, and what a JAAS section says about Kerberos.

mod login;
mod rules;

pub use login::{Login, LoginError};
pub use rules::{Rules, RulesError, Unmatched};

use crate::SaslError;
use crate::error::shown;

/// `service/host@REALM`, as Java takes it apart. Without an `@` the whole text is the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KerberosName<'a> {
    /// The first part, which of people is their name.
    pub service: &'a str,
    /// The host, if there is one.
    pub host: Option<&'a str>,
    /// The realm, if there is one.
    pub realm: Option<&'a str>,
}

impl<'a> KerberosName<'a> {
    /// Takes a principal apart; one with more parts than three is none.
    pub fn parse(text: &'a str) -> Result<Self, SaslError> {
        let Some((name, realm)) = text.split_once('@') else {
            return Ok(Self { service: text, host: None, realm: None });
        };
        let (service, host) = match name.split_once('/') {
            Some((service, host)) => (service, Some(host)),
            None => (name, None),
        };
        if host.is_some_and(|host| host.contains('/')) || realm.contains(['/', '@']) {
            return Err(SaslError::Principal { principal: shown(text.as_bytes()) });
        }
        Ok(Self { service, host, realm: Some(realm) })
    }
}

/// How principals become identities of the scheme `sasl`.
#[derive(Clone, Debug)]
pub struct Names {
    /// `zookeeper.security.auth_to_local`.
    pub rules: Rules,
    /// The realm that the rule `DEFAULT` is for.
    pub default_realm: String,
    /// `zookeeper.kerberos.removeHostFromPrincipal`.
    pub removes_host: bool,
    /// `zookeeper.kerberos.removeRealmFromPrincipal`.
    pub removes_realm: bool,
}

/// Who somebody is in access lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The name.
    pub id: String,
    /// Why it is the principal as it stands, if the rules did not say.
    pub unmatched: Option<Unmatched>,
}

impl Names {
    /// Who `principal` is. As in Java, host and realm stand behind what the rules say, unless they are to be removed.
    ///
    /// Whom the rules do not know is called by its principal. Java calls it as it calls itself: it could be anybody.
    pub fn identity(&self, principal: &str) -> Result<Identity, SaslError> {
        let name = KerberosName::parse(principal)?;
        let short = match self.rules.short_name(&name, &self.default_realm) {
            Ok(short) => short,
            Err(unmatched) => {
                return Ok(Identity { id: principal.to_owned(), unmatched: Some(unmatched) });
            }
        };
        let mut id = short;
        if let Some(host) = name.host.filter(|_| !self.removes_host) {
            id.push('/');
            id.push_str(host);
        }
        if let Some(realm) = name.realm.filter(|_| !self.removes_realm) {
            id.push('@');
            id.push_str(realm);
        }
        Ok(Identity { id, unmatched: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(rules: &str, removes_host: bool, removes_realm: bool) -> Names {
        Names { rules: Rules::parse(rules).unwrap(), default_realm: "R".into(), removes_host, removes_realm }
    }

    #[test]
    fn names_are_taken_apart_as_in_java() {
        let parts = |text| KerberosName::parse(text).map(|name| (name.service, name.host, name.realm));
        assert_eq!(parts("a/b@C"), Ok(("a", Some("b"), Some("C"))));
        assert_eq!(parts("a@C"), Ok(("a", None, Some("C"))));
        assert_eq!(parts("a/b"), Ok(("a/b", None, None)));
        assert_eq!(parts("@"), Ok(("", None, Some(""))));
        for malformed in ["a/b/c@D", "a@b@C", "a@b/c", "a\\@b@C"] {
            assert_eq!(
                parts(malformed),
                Err(SaslError::Principal { principal: shown(malformed.as_bytes()) })
            );
        }
    }

    #[test]
    fn hosts_and_realms_are_removed_if_asked_for() {
        let id = |removes_host, removes_realm| {
            names("DEFAULT", removes_host, removes_realm).identity("zk/host@R").unwrap().id
        };
        assert_eq!(
            [id(false, false), id(true, false), id(false, true), id(true, true)],
            ["zk/host@R", "zk@R", "zk/host", "zk"]
        );
    }

    #[test]
    fn whom_the_rules_do_not_know_is_its_principal_whatever_is_to_be_removed() {
        let identity = names("DEFAULT", true, true).identity("admin@ELSEWHERE").unwrap();
        assert_eq!(identity.id, "admin@ELSEWHERE");
        assert_eq!(identity.unmatched.unwrap().to_string(), "no rule of auth_to_local is for it");
    }
}
