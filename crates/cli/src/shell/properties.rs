//! What Java's client takes from system properties and from the file of `-client-configuration`.

use std::path::Path;
use std::time::Duration;

use zabd_config::properties;

/// The settings of a client that this shell has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientProperties {
    /// `zookeeper.request.timeout`; 0 is none.
    pub request_timeout: Option<Duration>,
    /// Not `zookeeper.disableAutoWatchReset`.
    pub keeps_watches: bool,
}

const REQUEST_TIMEOUT: &str = "zookeeper.request.timeout";
const DISABLE_WATCH_RESET: &str = "zookeeper.disableAutoWatchReset";
const SECURE: &str = "zookeeper.client.secure";

impl ClientProperties {
    /// Reads the `-D` words of `CLIENT_JVMFLAGS` and `JVMFLAGS`, which the script hands to Java, then the file.
    pub fn load(environment: &dyn Fn(&str) -> Option<String>, file: Option<&str>) -> Result<Self, String> {
        let mut found = Self { request_timeout: None, keeps_watches: true };
        for variable in ["CLIENT_JVMFLAGS", "JVMFLAGS"] {
            for word in environment(variable).unwrap_or_default().split_whitespace() {
                if let Some((key, value)) = word.strip_prefix("-D").and_then(|word| word.split_once('=')) {
                    found.take(key, value)?;
                }
            }
        }
        if let Some(file) = file {
            let wrong = |reason: String| format!("Error while processing {}: {reason}", absolute(file));
            let bytes = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
            for entry in properties::parse(&bytes) {
                let entry =
                    entry.map_err(|error| wrong(format!("malformed \\uxxxx in line {}", error.line)))?;
                found.take(&entry.key, &entry.value)?;
            }
        }
        Ok(found)
    }

    fn take(&mut self, key: &str, value: &str) -> Result<(), String> {
        let value = value.trim();
        match key {
            REQUEST_TIMEOUT => {
                let milliseconds: i64 =
                    value.parse().map_err(|_| format!("{REQUEST_TIMEOUT}: `{value}` is no number"))?;
                let time = u64::try_from(milliseconds).ok().filter(|&time| time > 0);
                self.request_timeout = time.map(Duration::from_millis);
            }
            DISABLE_WATCH_RESET => self.keeps_watches = !value.eq_ignore_ascii_case("true"),
            // A password that was meant to be hidden must not go out in clear.
            SECURE if value.eq_ignore_ascii_case("true") => {
                return Err(format!("{SECURE}=true: this shell has no TLS yet"));
            }
            _ => (),
        }
        Ok(())
    }
}

fn absolute(file: &str) -> String {
    std::path::absolute(Path::new(file)).map_or_else(|_| file.to_owned(), |path| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(flags: &str, file: Option<&str>) -> Result<ClientProperties, String> {
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
        assert!(missing.starts_with("Error while processing /none/such: "), "{missing}");
        let secure = load("-Dzookeeper.client.secure=true", None).expect_err("there is no TLS");
        assert_eq!(secure, "zookeeper.client.secure=true: this shell has no TLS yet");
        assert!(load("-Dzookeeper.client.secure=false", None).is_ok());
    }
}
