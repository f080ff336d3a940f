//! What Java's client takes from system properties and from the file of `-client-configuration`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use zabd_config::{TlsSide, properties};

use crate::client::Login;
use crate::commands::CommandError;

/// The settings of a client that this shell has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientProperties {
    /// `zookeeper.request.timeout`; 0 is none.
    pub request_timeout: Option<Duration>,
    /// Not `zookeeper.disableAutoWatchReset`.
    pub keeps_watches: bool,
    /// `zookeeper.client.secure` and `zookeeper.ssl.*`.
    pub tls: Option<TlsSide>,
    /// `java.security.auth.login.config` and `zookeeper.sasl.*`.
    pub login: Login,
}

const REQUEST_TIMEOUT: &str = "zookeeper.request.timeout";
const DISABLE_WATCH_RESET: &str = "zookeeper.disableAutoWatchReset";
const SECURE: &str = "zookeeper.client.secure";
const SOCKET: &str = "zookeeper.clientCnxnSocket";
const FIPS_MODE: &str = "zookeeper.fips-mode";
const SASL: &str = "zookeeper.sasl.client";
const SASL_SECTION: &str = "zookeeper.sasl.clientconfig";
const JAAS: &str = "java.security.auth.login.config";

/// Java's two ways to a server, with and without their package. Both are one here: what is to be hidden is hidden, whichever is
/// named.
const SOCKETS: [&str; 2] = ["ClientCnxnSocketNIO", "ClientCnxnSocketNetty"];
const PACKAGE: &str = "org.apache.zookeeper.";

impl ClientProperties {
    /// Reads the `-D` words of `CLIENT_JVMFLAGS` and `JVMFLAGS`, which the script hands to Java, then the file.
    pub fn load(
        environment: &dyn Fn(&str) -> Option<String>,
        file: Option<&str>,
    ) -> Result<Self, CommandError> {
        let mut found = Found::of_flags(environment);
        // Java asks the machine for it, and never the file.
        let machine = Found(found.0.clone());
        if let Some(file) = file {
            found
                .read(file)
                .map_err(|message| CommandError { message, exit_code: super::INVALID_INVOCATION })?;
        }
        found.understood(&machine).map_err(CommandError::new)
    }
}

/// What the `-D` words of the script's variables say of TLS, for whoever knows already that it is to be spoken.
pub fn tls_of_flags(environment: &dyn Fn(&str) -> Option<String>) -> Result<TlsSide, String> {
    Found::of_flags(environment).side()
}

/// Properties by name.
struct Found(BTreeMap<String, String>);

impl Found {
    fn of_flags(environment: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut found = BTreeMap::new();
        for variable in ["CLIENT_JVMFLAGS", "JVMFLAGS"] {
            for word in environment(variable).unwrap_or_default().split_whitespace() {
                if let Some((key, value)) = word.strip_prefix("-D").and_then(|word| word.split_once('=')) {
                    found.insert(key.to_owned(), value.to_owned());
                }
            }
        }
        Self(found)
    }

    fn side(&self) -> Result<TlsSide, String> {
        TlsSide::of_client(self.0.iter().map(|(key, value)| (key.as_str(), value.trim())))
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|value| value.trim())
    }

    /// As `Boolean.parseBoolean` has it.
    fn is_true(&self, key: &str, default: bool) -> bool {
        self.get(key).map_or(default, |value| value.eq_ignore_ascii_case("true"))
    }

    fn read(&mut self, file: &str) -> Result<(), String> {
        let wrong = |reason: String| format!("Error while processing {}: {reason}", absolute(file));
        let bytes = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
        for entry in properties::parse(&bytes) {
            let entry = entry.map_err(|error| wrong(format!("malformed \\uxxxx in line {}", error.line)))?;
            self.0.insert(entry.key, entry.value);
        }
        Ok(())
    }

    /// `machine` is what the Java machine itself knows.
    fn understood(&self, machine: &Self) -> Result<ClientProperties, String> {
        let request_timeout = match self.get(REQUEST_TIMEOUT) {
            None => 0,
            Some(value) => {
                value.parse::<i64>().map_err(|_| format!("{REQUEST_TIMEOUT}: `{value}` is no number"))?
            }
        };
        let request_timeout = u64::try_from(request_timeout).ok().filter(|&time| time > 0);
        if let Some(socket) = self.get(SOCKET)
            && !SOCKETS.contains(&socket.strip_prefix(PACKAGE).unwrap_or(socket))
        {
            return Err(format!("Couldn't instantiate {socket}"));
        }
        let tls = if self.is_true(SECURE, false) { Some(self.side()?) } else { None };
        let login = if self.is_true(SASL, true) {
            let is_fips = self.is_true(FIPS_MODE, true);
            let property = |name: &str| machine.0.get(name).cloned();
            Login::find(machine.get(JAAS), self.get(SASL_SECTION), is_fips, &property)
        } else {
            Login::None
        };
        Ok(ClientProperties {
            request_timeout: request_timeout.map(Duration::from_millis),
            keeps_watches: !self.is_true(DISABLE_WATCH_RESET, false),
            tls,
            login,
        })
    }
}

fn absolute(file: &str) -> String {
    std::path::absolute(Path::new(file)).map_or_else(|_| file.to_owned(), |path| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(flags: &str, file: Option<&str>) -> Result<ClientProperties, CommandError> {
        ClientProperties::load(&|name| (name == "CLIENT_JVMFLAGS").then(|| flags.to_owned()), file)
    }

    #[test]
    fn the_file_beats_the_environment() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("client.properties");
        std::fs::write(&file, "# comment\nzookeeper.request.timeout = 1500\nother=x\n").expect("a file");
        let properties = load("-Xmx1m -Dzookeeper.request.timeout=7", None).expect("properties");
        assert_eq!(properties.request_timeout, Some(Duration::from_millis(7)));
        let flags = "-Dzookeeper.request.timeout=7 -Dzookeeper.disableAutoWatchReset=true";
        let properties = load(flags, file.to_str()).expect("properties");
        assert_eq!(properties.request_timeout, Some(Duration::from_millis(1500)));
        assert!(!properties.keeps_watches);
    }

    #[test]
    fn what_cannot_be_read_or_done_is_said() {
        let missing = load("", Some("/none/such")).expect_err("there is no such file");
        assert!(missing.message.starts_with("Error while processing /none/such: "), "{}", missing.message);
        assert_eq!(missing.exit_code, 2);
        let socket = load("-Dzookeeper.clientCnxnSocket=Mine", None).expect_err("there is no such class");
        assert_eq!((&*socket.message, socket.exit_code), ("Couldn't instantiate Mine", 1));
        let protocol = "-Dzookeeper.client.secure=true -Dzookeeper.ssl.keyStore.type=ZIP";
        assert!(load(protocol, None).expect_err("no store").message.contains("hint: one of `JKS`"));
        assert!(load("-Dzookeeper.ssl.keyStore.type=ZIP", None).is_ok(), "nobody looks at it");
    }

    #[test]
    fn tls_is_asked_for_by_one_word() {
        let tls = |flags| load(flags, None).expect("properties").tls;
        assert_eq!(tls("-Dzookeeper.ssl.trustStore.location=/a.pem"), None);
        let flags = "-Dzookeeper.client.secure=true -Dzookeeper.ssl.trustStore.location=/a.pem \
                     -Dzookeeper.clientCnxnSocket=org.apache.zookeeper.ClientCnxnSocketNetty";
        let side = tls(flags).expect("a side");
        assert_eq!(side.trust_store.location.as_deref(), Some(Path::new("/a.pem")));
        assert!(
            tls("-Dzookeeper.client.secure=TRUE -Dzookeeper.clientCnxnSocket=ClientCnxnSocketNIO").is_some()
        );
    }

    #[test]
    fn a_login_is_configured_by_the_machine_and_not_by_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("client.properties");
        std::fs::write(&file, "java.security.auth.login.config=/none\n").expect("a file");
        assert_eq!(load("", file.to_str()).expect("properties").login, Login::None);
        let flags = "-Djava.security.auth.login.config=/none";
        assert!(matches!(load(flags, None).expect("properties").login, Login::Unknown(_)));
        let flags = format!("{flags} -Dzookeeper.sasl.client=false");
        assert_eq!(load(&flags, None).expect("properties").login, Login::None);
    }
}
