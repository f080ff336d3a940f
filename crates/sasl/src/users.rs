//! Who may log in, and as whom to log in: what a JAAS section says, or a file of `name=password` lines.

use std::collections::BTreeMap;
use std::fmt;

use crate::jaas::{Module, ValueError};

/// The login module of ZooKeeper's own; options of it are users.
pub const DIGEST_MODULE: &str = "org.apache.zookeeper.server.auth.DigestLoginModule";
/// The JDK's module for Kerberos.
pub const KERBEROS_MODULE: &str = "com.sun.security.auth.module.Krb5LoginModule";

const USER_PREFIX: &str = "user_";

/// Text that must not reach a log; its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Takes a password in.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Password {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// As whom to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The name.
    pub user: String,
    /// What proves it.
    pub password: Password,
}

/// Who may log in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users(BTreeMap<String, Password>);

/// What a section cannot be used for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsersError {
    /// The mechanism of Java's Kerberos module is GSSAPI, and there is no password in it.
    #[error("it asks for Kerberos, which is not served here")]
    Kerberos,
    /// A class that only a JVM can load.
    #[error("its login module is {0}, and only {DIGEST_MODULE} is known")]
    Module(String),
    /// There is no account to log in with.
    #[error("it has no `username` and `password`")]
    NoAccount,
    /// Nobody knows what a value is.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// A line of a file of users.
    #[error("line {0} is not `name=password`")]
    Line(usize),
    /// A list names somebody whom anybody could be.
    #[error("user `{0}` has an empty password")]
    Empty(String),
}

impl Users {
    /// The password of somebody who may log in.
    pub fn password_of(&self, user: &str) -> Option<&Password> {
        self.0.get(user)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds somebody; a later password of the same user holds.
    pub fn insert(&mut self, user: impl Into<String>, password: Password) {
        self.0.insert(user.into(), password);
    }

    /// Adds somebody of a list; what is cut short may have lost the password.
    pub fn insert_listed(&mut self, user: &str, password: &str) -> Result<(), UsersError> {
        if password.is_empty() {
            return Err(UsersError::Empty(user.to_owned()));
        }
        self.insert(user, Password::new(password));
        Ok(())
    }

    /// Adds everybody of `others`.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// The `user_<name>` options of a server's section. What it says about Kerberos is another matter.
    pub fn of_section(section: &[Module]) -> Result<Self, UsersError> {
        let mut users = Self::default();
        for module in section {
            match check_class(module) {
                Err(UsersError::Kerberos) => continue,
                checked => checked?,
            }
            for (key, password) in module.options() {
                let Some(user) = key.strip_prefix(USER_PREFIX) else { continue };
                users.insert(user, Password::new(password?));
            }
        }
        Ok(users)
    }

    /// Lines of `name=password`; empty lines and those that begin with `#` are nothing. White space around a line is no part of
    /// it, and a password goes on to its end.
    pub fn of_lines(text: &str) -> Result<Self, UsersError> {
        let mut users = Self::default();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let account = line.split_once('=').filter(|(user, _)| !user.trim().is_empty());
            let (user, password) = account.ok_or(UsersError::Line(index + 1))?;
            users.insert_listed(user.trim(), password.trim())?;
        }
        Ok(users)
    }
}

impl Account {
    /// The options `username` and `password` of a client's section.
    pub fn of_section(section: &[Module]) -> Result<Self, UsersError> {
        for module in section {
            check_class(module)?;
            let option = |key: &str| module.option(key).transpose();
            if let (Some(user), Some(password)) = (option("username")?, option("password")?) {
                return Ok(Self { user: user.to_owned(), password: Password::new(password) });
            }
        }
        Err(UsersError::NoAccount)
    }
}

fn check_class(module: &Module) -> Result<(), UsersError> {
    match module.class.as_str() {
        DIGEST_MODULE => Ok(()),
        KERBEROS_MODULE => Err(UsersError::Kerberos),
        other => Err(UsersError::Module(other.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jaas::Jaas;

    fn property(name: &str) -> Option<String> {
        [("pw", "sesame"), ("empty", "")]
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| (*value).to_owned())
    }

    fn section(options: &str) -> Vec<Module> {
        let text = format!("Server {{ {DIGEST_MODULE} required {options}; }};");
        Jaas::parse(&text, &property).unwrap().section("Server").unwrap().to_vec()
    }

    fn password(users: &Users, user: &str) -> Option<String> {
        users.password_of(user).map(|password| password.expose().to_owned())
    }

    #[test]
    fn users_of_a_section() {
        let users =
            Users::of_section(&section("user_super=\"s e=c\" user_bob=b username=x password=y")).unwrap();
        assert_eq!(users.len(), 2);
        assert_eq!(password(&users, "super").as_deref(), Some("s e=c"));
        assert_eq!(password(&users, "bob").as_deref(), Some("b"));
        assert_eq!(password(&users, "x"), None);
        assert_eq!(format!("{users:?}"), "Users({\"bob\": ***, \"super\": ***})");
    }

    #[test]
    fn an_account_of_a_section() {
        let account = Account::of_section(&section("username=\"zk\" password=\"pw\"")).unwrap();
        assert_eq!((account.user.as_str(), account.password.expose()), ("zk", "pw"));
        assert_eq!(Account::of_section(&section("username=\"zk\"")), Err(UsersError::NoAccount));
    }

    #[test]
    fn sections_that_cannot_be_used() {
        let of = |class: &str| {
            let text = format!("S {{ {class} required useKeyTab=true; }};");
            Users::of_section(Jaas::parse(&text, &property).unwrap().section("S").unwrap())
        };
        assert_eq!(of(KERBEROS_MODULE), Ok(Users::default()));
        let text = format!("S {{ {KERBEROS_MODULE} required; }};");
        let account = Account::of_section(Jaas::parse(&text, &property).unwrap().section("S").unwrap());
        assert_eq!(account, Err(UsersError::Kerberos));
        assert_eq!(of("a.B"), Err(UsersError::Module("a.B".into())));
        let missing = ValueError::Missing { option: "user_a".into(), name: "nothing".into() };
        assert_eq!(Users::of_section(&section("user_a=\"${nothing}\"")), Err(UsersError::Value(missing)));
        let empty = ValueError::Empty { option: "user_a".into() };
        assert_eq!(Users::of_section(&section("user_a=\"${empty}\"")), Err(UsersError::Value(empty)));
        for (written, meant) in [("${{x}", "${{x}"), ("a${pw}", "asesame"), ("b${empty}", "b")] {
            let users = Users::of_section(&section(&format!("user_a=\"{written}\""))).unwrap();
            assert_eq!(password(&users, "a").as_deref(), Some(meant));
        }
    }

    #[test]
    fn users_of_lines() {
        let users = Users::of_lines("# who\n\n alice = in wonder=land \r\n").unwrap();
        assert_eq!(password(&users, "alice").as_deref(), Some("in wonder=land"));
        assert_eq!(Users::of_lines("alice=a\nbob= \n"), Err(UsersError::Empty("bob".into())));
        assert_eq!(Users::of_lines("a=b\nnobody\n"), Err(UsersError::Line(2)));
        assert_eq!(Users::of_lines("=b"), Err(UsersError::Line(1)));
    }
}
