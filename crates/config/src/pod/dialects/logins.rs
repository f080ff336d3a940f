//! Names and passwords of variables, as sections of a JAAS file.

use super::reader::Reader;
use std::fmt::Write as _;

const MODULE: &str = "org.apache.zookeeper.server.auth.DigestLoginModule";

/// As whom to log in: the variables of the name and of the password.
pub(super) fn account(reader: &mut Reader<'_>, section: &str, names: [&str; 2], text: &mut String) {
    let missing = names.into_iter().find(|name| reader.value(name).is_empty());
    if let Some(missing) = missing {
        let hint = format!("set {} and {}", names[0], names[1]);
        return reader.error(missing, "it is not set, so there is nobody to log in as", &hint);
    }
    let [user, password] = names.map(|name| quoted(reader.value(name)));
    let _ = writeln!(
        text,
        "{section} {{\n    {MODULE} required\n    username={user}\n    password={password};\n}};"
    );
}

/// Who may log in: the variables of the names and of their passwords, in one order.
pub(super) fn users(reader: &mut Reader<'_>, section: &str, names: [&str; 2], text: &mut String) {
    let [users, passwords] = names.map(|name| words(reader.value(name)));
    if users.is_empty() {
        let hint = format!("set {} and {}", names[0], names[1]);
        return reader.error(names[0], "it names nobody, so nobody could log in", &hint);
    }
    if users.len() != passwords.len() {
        let message = format!("it has {}, and {} has {}", users.len(), names[1], passwords.len());
        return reader.error(names[0], message, "one password for each user, in the same order");
    }
    let _ = write!(text, "{section} {{\n    {MODULE} required");
    for (user, password) in users.iter().zip(&passwords) {
        let _ = write!(text, "\n    {}={}", quoted(&format!("user_{user}")), quoted(password));
    }
    text.push_str(";\n};\n");
}

/// As Bitnami's scripts cut a list.
fn words(list: &str) -> Vec<String> {
    let words = list.split([';', ',', ' ', '\t', '\n']).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

/// A text in quotes, as the JDK reads it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
