//! The words behind the program's name.

/// What the shell is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// A connect string.
    pub server: String,
    /// In milliseconds, as written.
    pub timeout: String,
    /// Whether a server without a quorum will do.
    pub is_read_only_enough: bool,
    /// A file of properties.
    pub client_configuration: Option<String>,
    /// Whether nothing is carried out before there is a session.
    pub is_connection_waited_for: bool,
    /// The one command to carry out, if not those of the standard input.
    pub command: Option<Vec<String>>,
}

impl Invocation {
    /// Sorts the words, and complains of what is missing. Options that nobody knows are passed over, as Java passes over
    /// them; the first word without a dash begins the command.
    pub fn parse(words: &[String]) -> (Self, Option<String>) {
        let mut invocation = Self {
            server: "localhost:2181".to_owned(),
            timeout: "30000".to_owned(),
            is_read_only_enough: false,
            client_configuration: None,
            is_connection_waited_for: false,
            command: None,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if !word.starts_with('-') {
                invocation.command = Some(std::iter::once(word).chain(words).cloned().collect());
                break;
            }
            let place = match word.as_str() {
                "-r" => {
                    invocation.is_read_only_enough = true;
                    continue;
                }
                "-waitforconnection" => {
                    invocation.is_connection_waited_for = true;
                    continue;
                }
                "-server" => &mut invocation.server,
                "-timeout" => &mut invocation.timeout,
                "-client-configuration" => invocation.client_configuration.get_or_insert_default(),
                _ => continue,
            };
            let Some(value) = words.next() else {
                invocation.client_configuration.take_if(|file| file.is_empty());
                return (invocation, Some(format!("Error: no argument found for option {word}")));
            };
            value.clone_into(place);
        }
        (invocation, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Invocation, Option<String>) {
        Invocation::parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_come_first() {
        let (invocation, complaint) = parse("-server a:1 -timeout 5 -r -what -waitforconnection ls -s /");
        assert_eq!(complaint, None);
        assert_eq!((invocation.server.as_str(), invocation.timeout.as_str()), ("a:1", "5"));
        assert!(invocation.is_read_only_enough && invocation.is_connection_waited_for);
        assert_eq!(invocation.command, Some(["ls", "-s", "/"].map(str::to_owned).to_vec()));
    }

    #[test]
    fn nothing_said_is_this_machine() {
        let (invocation, _) = parse("");
        assert_eq!(invocation.server, "localhost:2181");
        assert_eq!((invocation.command, invocation.client_configuration), (None, None));
    }

    #[test]
    fn a_missing_value_is_named() {
        for option in ["-server", "-timeout", "-client-configuration"] {
            let (invocation, complaint) = parse(option);
            assert_eq!(complaint, Some(format!("Error: no argument found for option {option}")));
            assert_eq!(invocation, parse("").0);
        }
    }
}
