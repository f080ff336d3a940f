//! Files that say who may log in: Java's login configuration, and zabd's own lists.
//!
//! A directory of users is what a Secret of Kubernetes looks like when it is mounted: a file for each key, and beside them hidden
//! names by which Kubernetes changes all of them at once.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zabd_config::{Config, Secret};
use zabd_sasl::jaas::{Jaas, Module};
use zabd_sasl::kerberos;
use zabd_sasl::users::{Account, KERBEROS_MODULE, Users, UsersError};

use super::kerberos::Library;
use super::members::{Login, Others, Own};
use crate::admin::of_process;
use crate::launch::with_causes;

/// The longest file that is read; users have a line each.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// What the JDK would know as system properties: the words `-Dname=value`, the keys that nothing reads, and who the process is.
#[derive(Clone, Debug)]
pub(super) struct Properties(Arc<BTreeMap<String, Secret>>);

impl Properties {
    /// Those of this process.
    pub fn of(config: &Config) -> Self {
        let of_process = of_process().into_iter().chain([("file.separator", "/".to_owned())]);
        let of_process = of_process.map(|(name, value)| (name.to_owned(), value));
        let all = of_process
            .chain(config.system_properties.clone())
            .map(|(name, value)| (name, Secret::new(value)));
        Self(Arc::new(all.chain(config.java_words.clone()).collect()))
    }

    fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|value| value.expose().to_owned())
    }
}

/// Where users come from.
#[derive(Clone, Debug)]
pub(super) struct UserFiles {
    /// The login configuration of Java.
    pub jaas: Option<PathBuf>,
    /// Its section.
    pub section: String,
    /// A file or a directory of users.
    pub users: Option<PathBuf>,
    /// What this build has of Kerberos.
    pub library: Option<Arc<dyn Library>>,
    /// What values may ask for.
    pub properties: Properties,
}

/// Who may log in.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Whoever {
    /// By a password.
    pub users: Users,
    /// As whom this server is known to Kerberos, if whoever is known to it, too, may log in.
    pub kerberos: Option<kerberos::Login>,
}

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Jaas,
    /// The former, where it is about Kerberos.
    Kerberos,
    Users,
}

/// A file that cannot be used.
#[derive(Debug)]
pub(super) struct FileProblem {
    pub origin: Origin,
    pub path: PathBuf,
    text: String,
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.text)
    }
}

impl UserFiles {
    /// Who may log in; nothing if nothing says so.
    pub fn read(&self) -> Result<Option<Whoever>, FileProblem> {
        let mut found: Option<Whoever> = None;
        if let Some(path) = &self.jaas
            && let Some(section) = jaas(path, &self.properties)?.section(&self.section)
        {
            let kerberos = kerberos_of(section, self.library.as_deref()).map_err(|problem| FileProblem {
                origin: Origin::Kerberos,
                path: path.clone(),
                text: format!("section `{}`: {problem}", self.section),
            })?;
            found = Some(Whoever { users: users_of(path, &self.section, section)?, kerberos });
        }
        if let Some(path) = &self.users {
            let users = listed(path).map_err(|text| FileProblem {
                origin: Origin::Users,
                path: path.clone(),
                text,
            })?;
            found.get_or_insert_default().users.extend(users);
        }
        Ok(found)
    }
}

/// Where the accounts of members come from.
#[derive(Clone, Debug)]
pub(super) struct MemberFiles {
    /// The login configuration of Java.
    pub jaas: PathBuf,
    /// Its section that says as whom this server authenticates itself.
    pub learner: String,
    /// Its section that says who may authenticate.
    pub server: String,
    /// Whether the former must name somebody.
    pub needs_account: bool,
    /// What this build has of Kerberos.
    pub library: Option<Arc<dyn Library>>,
    /// What values may ask for.
    pub properties: Properties,
}

impl MemberFiles {
    /// What both sections say. As in Java, both must be there.
    pub fn read(&self) -> Result<Login, FileProblem> {
        let path = &self.jaas;
        let jaas = jaas(path, &self.properties)?;
        let section = |name: &str| {
            jaas.section(name).ok_or_else(|| {
                jaas_problem(path, format!("the JAAS configuration section '{name}' could not be found"))
            })
        };
        let library = self.library.as_deref();
        let kerberos = |name: &str| {
            kerberos_of(section(name)?, library).map_err(|problem| FileProblem {
                origin: Origin::Kerberos,
                path: path.clone(),
                text: format!("section `{name}`: {problem}"),
            })
        };
        let own =
            match kerberos(&self.learner)? {
                Some(login) => Some(Own::Key(login)),
                None => match Account::of_section(section(&self.learner)?) {
                    Err(UsersError::NoAccount) if !self.needs_account => None,
                    account => Some(Own::Account(account.map_err(|error| {
                        jaas_problem(path, format!("section `{}`: {error}", self.learner))
                    })?)),
                },
            };
        let others = match kerberos(&self.server)? {
            Some(login) => Others::Tickets(login),
            None => Others::Users(users_of(path, &self.server, section(&self.server)?)?),
        };
        Ok(Login { own, others })
    }
}

/// What a section says about Kerberos, if there is a key for that.
fn kerberos_of(section: &[Module], library: Option<&dyn Library>) -> Result<Option<kerberos::Login>, String> {
    if !section.iter().any(|module| module.class == KERBEROS_MODULE) {
        return Ok(None);
    }
    let library = library.ok_or(
        "it asks for Kerberos, which this build does not serve; only a build with the feature `kerberos` does",
    )?;
    let login = kerberos::Login::of_section(section).map_err(|error| error.to_string())?;
    if let Some(login) = &login {
        library.check(login).map_err(|problem| format!("Kerberos: {problem}"))?;
    }
    Ok(login)
}

fn users_of(path: &Path, name: &str, section: &[Module]) -> Result<Users, FileProblem> {
    Users::of_section(section).map_err(|error| jaas_problem(path, format!("section `{name}`: {error}")))
}

fn jaas(path: &Path, properties: &Properties) -> Result<Jaas, FileProblem> {
    let text = text_of(path).map_err(|text| jaas_problem(path, text))?;
    Jaas::parse(&text, &|name| properties.get(name)).map_err(|error| jaas_problem(path, with_causes(&error)))
}

fn jaas_problem(path: &Path, text: String) -> FileProblem {
    FileProblem { origin: Origin::Jaas, path: path.to_owned(), text }
}

fn listed(path: &Path) -> Result<Users, String> {
    let readable = |result: io::Result<_>| result.map_err(|error| error.to_string());
    if !readable(std::fs::metadata(path))?.is_dir() {
        return Users::of_lines(&text_of(path)?).map_err(|error| with_causes(&error));
    }
    let mut users = Users::default();
    for entry in std::fs::read_dir(path).map_err(|error| error.to_string())? {
        let entry = entry.map_err(|error| error.to_string())?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
        let file = entry.path();
        if !readable(std::fs::metadata(&file))?.is_file() {
            continue;
        }
        let text = text_of(&file).map_err(|text| format!("{name}: {text}"))?;
        let password = text.trim_end_matches(['\r', '\n']);
        users.insert_listed(name, password).map_err(|error| error.to_string())?;
    }
    Ok(users)
}

fn text_of(path: &Path) -> Result<String, String> {
    use std::io::Read as _;
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut text = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("it is longer than {FILE_BYTES_MAX} bytes"));
    }
    String::from_utf8(text).map_err(|_| "it is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(users: &Users, user: &str) -> Option<String> {
        users.password_of(user).map(|password| password.expose().to_owned())
    }

    fn nothing() -> Properties {
        Properties(Arc::default())
    }

    #[test]
    fn users_come_from_all_that_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (jaas, secret) = (dir.path().join("jaas.conf"), dir.path().join("secret"));
        let section = |user: &str| {
            format!(
                "Zk {{ org.apache.zookeeper.server.auth.DigestLoginModule required user_{user}=\"j\"; }};"
            )
        };
        std::fs::write(&jaas, section("a")).unwrap();
        // As Kubernetes mounts a Secret.
        std::fs::create_dir_all(secret.join("..2026_01_01")).unwrap();
        std::os::unix::fs::symlink("..2026_01_01", secret.join("..data")).unwrap();
        std::fs::write(secret.join("..data/b"), "with space \n").unwrap();
        std::os::unix::fs::symlink("..data/b", secret.join("b")).unwrap();

        let mut files = UserFiles {
            jaas: Some(jaas.clone()),
            section: "Zk".into(),
            users: Some(secret),
            library: None,
            properties: nothing(),
        };
        let users = files.read().unwrap().unwrap().users;
        assert_eq!(users.len(), 2);
        assert_eq!(password(&users, "a").as_deref(), Some("j"));
        assert_eq!(password(&users, "b").as_deref(), Some("with space "));

        files.section = "Other".into();
        assert_eq!(files.read().unwrap().unwrap().users.len(), 1);
        files.users = None;
        assert_eq!(files.read().unwrap(), None);
        files.users = Some(dir.path().join("users"));
        std::fs::write(dir.path().join("users"), "c=pw\n").unwrap();
        assert_eq!(password(&files.read().unwrap().unwrap().users, "c").as_deref(), Some("pw"));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_without_a_password() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let problem = |content: &[u8], is_jaas: bool| {
            std::fs::write(&path, content).unwrap();
            let named = |is_it: bool| is_it.then(|| path.clone());
            let files = UserFiles {
                jaas: named(is_jaas),
                section: "Server".into(),
                users: named(!is_jaas),
                library: None,
                properties: nothing(),
            };
            let problem = files.read().unwrap_err();
            assert_eq!(problem.origin, if is_jaas { Origin::Jaas } else { Origin::Users });
            let text = problem.to_string();
            assert!(text.starts_with(&format!("{}: ", path.display())), "{text}");
            assert!(!text.contains("secret"), "{text}");
            text
        };
        assert!(problem(b"Server { a.B required x=\"secret\"", true).contains("line 1: expected"));
        assert!(
            problem(b"Server { a.B required x=\"secret\"; };", true).contains("section `Server`: its login")
        );
        assert!(problem(b"secret", false).contains("line 1 is not `name=password`"));
        assert!(problem(b"a=secret\xff", false).contains("not UTF-8"));
        assert!(problem(b"a=secret\nb=\n", false).contains("user `b` has an empty password"));
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("c"), "\n").unwrap();
        let files = |users| UserFiles {
            jaas: None,
            section: "S".into(),
            users: Some(users),
            library: None,
            properties: nothing(),
        };
        let listed = files(path).read().unwrap_err().to_string();
        assert!(listed.ends_with("user `c` has an empty password"), "{listed}");
        let missing = UserFiles { jaas: Some(dir.path().join("none")), ..files(dir.path().into()) };
        assert!(missing.read().unwrap_err().to_string().contains("none: No such file"));
    }
}
