//! How ZooKeeper's shell scripts look at a zoo.cfg: they search its lines, and know nothing else of it.

use crate::properties;
use std::path::Path;

/// A zoo.cfg as a script sees it.
#[derive(Clone, Debug, Default)]
pub struct ScriptView {
    entries: Vec<(String, String)>,
}

impl ScriptView {
    /// Reads the file's bytes.
    pub fn new(bytes: &[u8]) -> Self {
        let entries = properties::parse(bytes).into_iter().flatten();
        Self { entries: entries.map(|entry| (entry.key, entry.value)).collect() }
    }

    /// What a key is set to; the last line counts.
    pub fn value(&self, key: &str) -> Option<&str> {
        let set = self.entries.iter().rev().find(|(each, _)| each == key);
        set.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// What stands behind `;` in the line of this server.
    fn client_of(&self, id: u64) -> Option<&str> {
        Some(self.value(&format!("server.{id}"))?.rsplit_once(';')?.1).filter(|client| !client.is_empty())
    }
}

/// Where `zkServer.sh status` finds the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientPlace {
    /// The host.
    pub host: String,
    /// The port, as written.
    pub port: String,
    /// Whether it takes only TLS.
    pub is_secure: bool,
}

/// Looks for the port as `zkServer.sh status` does, and yields what it says meanwhile. `read` is asked for `myid` and for the dynamic file.
pub fn client_place(
    zoo_cfg: &ScriptView,
    read: &dyn Fn(&Path) -> Option<Vec<u8>>,
) -> (Vec<&'static str>, Option<ClientPlace>) {
    let mut said = Vec::new();
    let host = zoo_cfg.value("clientPortAddress").unwrap_or("localhost").to_owned();
    let is_number = |port: &&str| port.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(port) = zoo_cfg.value("clientPort").filter(is_number) {
        return (said, Some(ClientPlace { host, port: port.to_owned(), is_secure: false }));
    }
    if let Some(client) = client_of_own_line(zoo_cfg, read, &mut said) {
        // A port alone, or `host:port`, or `[host]:port`.
        let (host, port) = match client.rsplit_once(':') {
            Some((address, port)) => (address.trim_matches(['[', ']']).to_owned(), port),
            None => (host, client.as_str()),
        };
        return (said, Some(ClientPlace { host, port: port.to_owned(), is_secure: false }));
    }
    said.push("Client port not found. Looking for secureClientPort in the static config.");
    let Some(port) = zoo_cfg.value("secureClientPort") else {
        said.push("Unable to find either secure or unsecure client port in any configs. Terminating.");
        return (said, None);
    };
    let host = zoo_cfg.value("secureClientPortAddress").unwrap_or("localhost").to_owned();
    (said, Some(ClientPlace { host, port: port.to_owned(), is_secure: true }))
}

fn client_of_own_line(
    zoo_cfg: &ScriptView,
    read: &dyn Fn(&Path) -> Option<Vec<u8>>,
    said: &mut Vec<&'static str>,
) -> Option<String> {
    let myid = zoo_cfg.value("dataDir").and_then(|dir| read(&Path::new(dir).join("myid")));
    let Some(id) = myid.and_then(|bytes| String::from_utf8_lossy(&bytes).trim().parse().ok()) else {
        said.push("myid could not be determined, will not able to locate clientPort in the server configs.");
        return None;
    };
    if let Some(client) = zoo_cfg.client_of(id) {
        return Some(client.to_owned());
    }
    said.push("Client port not found in static config file. Looking in dynamic config file.");
    let dynamic = zoo_cfg.value("dynamicConfigFile").and_then(|path| read(Path::new(path)));
    let client = dynamic.and_then(|bytes| ScriptView::new(&bytes).client_of(id).map(str::to_owned));
    if client.is_none() {
        said.push("Client port not found in the server configs");
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(zoo_cfg: &str) -> (Vec<&'static str>, Option<(String, String, bool)>) {
        let read = |path: &Path| match path.to_str()? {
            "/d/myid" => Some(b"2\n".to_vec()),
            "/dynamic" => Some(b"server.1=a:1:2;3\nserver.2=b:1:2:participant;0.0.0.0:2184".to_vec()),
            _ => None,
        };
        let (said, place) = client_place(&ScriptView::new(zoo_cfg.as_bytes()), &read);
        (said, place.map(|place| (place.host, place.port, place.is_secure)))
    }

    fn at(host: &str, port: &str, is_secure: bool) -> Option<(String, String, bool)> {
        Some((host.to_owned(), port.to_owned(), is_secure))
    }

    const DYNAMIC: &str = "Client port not found in static config file. Looking in dynamic config file.";

    #[test]
    fn the_port_is_looked_for_everywhere() {
        assert_eq!(place("clientPort=2181"), (vec![], at("localhost", "2181", false)));
        assert_eq!(
            place("clientPort = 1\nclientPort=2\nclientPortAddress=::1"),
            (vec![], at("::1", "2", false))
        );
        assert_eq!(place("dataDir=/d\nserver.2=b:1:2;2183"), (vec![], at("localhost", "2183", false)));
        assert_eq!(place("dataDir=/d\nserver.2=b:1:2;[::1]:2183"), (vec![], at("::1", "2183", false)));
        assert_eq!(
            place("dataDir=/d\ndynamicConfigFile=/dynamic"),
            (vec![DYNAMIC], at("0.0.0.0", "2184", false))
        );
    }

    #[test]
    fn what_is_not_found_is_said() {
        let secure = "Client port not found. Looking for secureClientPort in the static config.";
        let none = "Unable to find either secure or unsecure client port in any configs. Terminating.";
        let no_id = "myid could not be determined, will not able to locate clientPort in the server configs.";
        let no_line = "Client port not found in the server configs";
        assert_eq!(place(""), (vec![no_id, secure, none], None));
        assert_eq!(place("dataDir=/d"), (vec![DYNAMIC, no_line, secure, none], None));
        assert_eq!(place("secureClientPort=2281"), (vec![no_id, secure], at("localhost", "2281", true)));
    }
}
