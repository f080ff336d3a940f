//! What a section says with the JDK's module for Kerberos.

use std::path::PathBuf;

use super::KerberosName;
use crate::jaas::{Module, ValueError};
use crate::users::KERBEROS_MODULE;

/// As whom a server is known to Kerberos, and where its key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Its principal, `service/host` or `service/host@REALM`.
    pub principal: String,
    /// The file with its key; the library's own if none is named.
    pub keytab: Option<PathBuf>,
}

/// What a section with Kerberos cannot be used for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// Where the key is to come from otherwise, nobody is there to be asked.
    #[error("it asks for Kerberos without `useKeyTab=true`")]
    NoKeytab,
    /// It does not say who the server is.
    #[error("it asks for Kerberos without a `principal`")]
    NoPrincipal,
    /// Clients could not tell whom they talk to.
    #[error("its principal `{0}` has not the form `service/host@REALM`")]
    Principal(String),
    /// Nobody knows what a value is.
    #[error(transparent)]
    Value(#[from] ValueError),
}

impl Login {
    /// What the section says about Kerberos, if it does. Options that tune the JDK's module are overlooked.
    pub fn of_section(section: &[Module]) -> Result<Option<Self>, LoginError> {
        let Some(module) = section.iter().find(|module| module.class == KERBEROS_MODULE) else {
            return Ok(None);
        };
        let option = |key: &str| module.option(key).transpose();
        if option("useKeyTab")?.is_none_or(|value| !value.eq_ignore_ascii_case("true")) {
            return Err(LoginError::NoKeytab);
        }
        let principal = option("principal")?.ok_or(LoginError::NoPrincipal)?.to_owned();
        let is_whole = match KerberosName::parse(&principal) {
            Ok(KerberosName { service, host: Some(host), .. }) => !service.is_empty() && !host.is_empty(),
            // The realm is the default one.
            Ok(KerberosName { service, realm: None, .. }) => {
                service.split_once('/').is_some_and(|(service, host)| {
                    !service.is_empty() && !host.is_empty() && !host.contains('/')
                })
            }
            _ => false,
        };
        if !is_whole {
            return Err(LoginError::Principal(principal));
        }
        Ok(Some(Self { principal, keytab: option("keyTab")?.map(keytab) }))
    }
}

/// The JDK takes a path as Kerberos' own files have it, too.
fn keytab(text: &str) -> PathBuf {
    const KIND: &str = "FILE:";
    let has_kind = text.get(..KIND.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(KIND));
    if has_kind { text[KIND.len()..].into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jaas::Jaas;

    fn login(options: &str) -> Result<Option<Login>, LoginError> {
        let text = format!("S {{ a.B required; {KERBEROS_MODULE} required {options}; }};");
        Login::of_section(
            Jaas::parse(&text, &|name| (name == "host").then(|| "zoo".to_owned()))
                .unwrap()
                .section("S")
                .unwrap(),
        )
    }

    #[test]
    fn the_section_of_the_administrators_guide() {
        let found = login(
            "useKeyTab=true keyTab=\"/etc/zk.keytab\" storeKey=true useTicketCache=false principal=\"zookeeper/host@R\"",
        );
        let principal = "zookeeper/host@R".to_owned();
        assert_eq!(found, Ok(Some(Login { principal, keytab: Some("/etc/zk.keytab".into()) })));
        assert_eq!(login("useKeyTab=True principal=\"zk/h\"").unwrap().unwrap().keytab, None);
        let found = login("useKeyTab=true keyTab=\"file:/k\" principal=\"zk/h\"").unwrap().unwrap();
        assert_eq!(found.keytab, Some("/k".into()));
        assert_eq!(Login::of_section(&[]), Ok(None));
    }

    #[test]
    fn sections_that_cannot_be_used() {
        assert_eq!(login("useTicketCache=true principal=\"zk/h@R\""), Err(LoginError::NoKeytab));
        assert_eq!(login("useKeyTab=true"), Err(LoginError::NoPrincipal));
        for principal in ["zk", "zk@R", "*", "zk/@R", "/h@R", "a/b/c@R", "a/b/c"] {
            let expected = Err(LoginError::Principal(principal.into()));
            assert_eq!(login(&format!("useKeyTab=true principal=\"{principal}\"")), expected);
        }
        let text = login("useKeyTab=true principal=\"zk/${other}@R\"").unwrap_err().to_string();
        assert!(text.contains("`principal` asks for the property `other`"), "{text}");
        let found = login("useKeyTab=true principal=\"zk/${host}@R\"").unwrap().unwrap();
        assert_eq!(found.principal, "zk/zoo@R");
    }
}
