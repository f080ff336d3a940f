//! As whom this client logs in by SASL: what Java's client finds in its login configuration.
//!
//! Nothing is asked for before the exchange is over, so that no request is carried out as nobody. As in Java a configuration that
//! cannot be used leaves the session without an identity, and one that must not be used ends it.

use std::path::Path;

use zabd_sasl::jaas::Jaas;
use zabd_sasl::users::{Account, UsersError};

/// See the module's description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// Nobody has asked for it.
    None,
    /// As this one.
    As(Account),
    /// It cannot even be tried, for this reason; the server may still serve whom it does not know.
    Unknown(String),
    /// It was configured, and must not or cannot be done: there is no session.
    Impossible(String),
}

/// The section of a client that names none.
const SECTION_DEFAULT: &str = "Client";

impl Login {
    /// What the login configuration says: the file of `java.security.auth.login.config`, the section of
    /// `zookeeper.sasl.clientconfig`, and whether Java would be in its FIPS mode.
    pub fn find(
        jaas: Option<&str>,
        section: Option<&str>,
        is_fips: bool,
        property: &dyn Fn(&str) -> Option<String>,
    ) -> Self {
        let name = section.unwrap_or(SECTION_DEFAULT);
        let Some(path) = jaas else {
            return match section {
                None => Login::None,
                Some(_) => Login::Unknown(format!(
                    "SASL: section `{name}` is to be used, and no file is named by `java.security.auth.login.config`"
                )),
            };
        };
        let unknown = |problem: String| Login::Unknown(format!("SASL: {path}: {problem}"));
        let jaas = match read(path, property) {
            Ok(jaas) => jaas,
            Err(problem) => return unknown(problem),
        };
        let Some(modules) = jaas.section(name) else {
            return unknown(format!("there is no section `{name}`"));
        };
        match Account::of_section(modules) {
            Err(error @ UsersError::NoAccount) => {
                Login::Impossible(format!("SASL: {path}: section `{name}`: {error}"))
            }
            Err(error) => unknown(format!("section `{name}`: {error}")),
            Ok(_) if is_fips => Login::Impossible(
                "SASL: DIGEST-MD5 is not used in FIPS mode, which is the default; hint: `-Dzookeeper.fips-mode=false` in CLIENT_JVMFLAGS, as with Java"
                    .to_owned(),
            ),
            Ok(account) => Login::As(account),
        }
    }
}

fn read(path: &str, property: &dyn Fn(&str) -> Option<String>) -> Result<Jaas, String> {
    // A `=` says that no other file counts.
    let path = path.strip_prefix('=').unwrap_or(path);
    let path = path.strip_prefix("file://").or_else(|| path.strip_prefix("file:")).unwrap_or(path);
    let text = std::fs::read_to_string(Path::new(path)).map_err(|error| error.to_string())?;
    Jaas::parse(&text, property).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_the_section_and_the_mode_decide() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("jaas.conf");
        let module = "org.apache.zookeeper.server.auth.DigestLoginModule required";
        let text = format!(
            "Client {{ {module} username=\"bob\" password=\"p\"; }};\nEmpty {{ {module}; }};\n\
             Kerberos {{ com.sun.security.auth.module.Krb5LoginModule required; }};\n"
        );
        std::fs::write(&file, text).expect("a file");
        let find = |section, is_fips| Login::find(file.to_str(), section, is_fips, &|_| None);
        assert!(matches!(find(None, false), Login::As(account) if account.user == "bob"));
        assert!(matches!(find(None, true), Login::Impossible(why) if why.contains("fips-mode=false")));
        assert!(matches!(find(Some("Empty"), false), Login::Impossible(why) if why.contains("`Empty`")));
        assert!(matches!(find(Some("Kerberos"), false), Login::Unknown(why) if why.contains("Kerberos")));
        assert!(matches!(find(Some("Other"), false), Login::Unknown(why) if why.contains("no section")));
        assert!(
            matches!(Login::find(Some("/none"), None, false, &|_| None), Login::Unknown(why) if why.contains("/none"))
        );
        assert!(matches!(Login::find(None, Some("Other"), false, &|_| None), Login::Unknown(_)));
        assert_eq!(Login::find(None, None, false, &|_| None), Login::None);
    }
}
