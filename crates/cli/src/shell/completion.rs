//! What the tab key offers: znodes for a word that begins with a slash, commands for any other.

use std::sync::Arc;

use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

use super::all_commands;
use crate::client::Client;

/// Completes with what a session sees.
pub struct Completion {
    client: Arc<Client>,
}

impl Completion {
    /// Asks this session.
    pub fn new(client: Arc<Client>) -> Self {
        Self { client }
    }
}

impl Completer for Completion {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        cursor: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let start = line[..cursor].rfind([' ', '\t']).map_or(0, |at| at + 1);
        Ok((start, candidates(&line[start..cursor], &|folder| self.client.children(folder, false).ok())))
    }
}

/// How a word may go on; a command that is the only one is followed by a blank.
fn candidates(word: &str, children: &dyn Fn(&str) -> Option<Vec<String>>) -> Vec<String> {
    if let Some(slash) = word.rfind('/').filter(|_| word.starts_with('/')) {
        let (folder, prefix) = (&word[..slash], &word[slash + 1..]);
        let names = children(if folder.is_empty() { "/" } else { folder }).unwrap_or_default();
        let mut found: Vec<String> = names
            .iter()
            .filter(|name| name.starts_with(prefix))
            .map(|name| format!("{folder}/{name}"))
            .collect();
        found.sort_unstable();
        return found;
    }
    let names = all_commands().into_iter().map(|(name, _)| name).filter(|name| name.starts_with(word));
    let mut found: Vec<String> = names.map(str::to_owned).collect();
    if let [only] = &mut found[..] {
        only.push(' ');
    }
    found
}

impl Helper for Completion {}
impl Hinter for Completion {
    type Hint = String;
}
impl Highlighter for Completion {}
impl Validator for Completion {}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(word: &str) -> Vec<String> {
        candidates(word, &|folder| match folder {
            "/" => Some(vec!["zookeeper".to_owned(), "app".to_owned(), "apple".to_owned()]),
            "/app" => Some(vec!["x".to_owned()]),
            _ => None,
        })
    }

    #[test]
    fn words_with_a_slash_are_znodes() {
        assert_eq!(offered("/a"), ["/app", "/apple"]);
        assert_eq!(offered("/"), ["/app", "/apple", "/zookeeper"]);
        assert_eq!(offered("/app/"), ["/app/x"]);
        assert_eq!(offered("/none/x"), [""; 0]);
    }

    #[test]
    fn other_words_are_commands() {
        assert_eq!(offered("getA"), ["getAcl", "getAllChildrenNumber"]);
        assert_eq!(offered("sy"), ["sync "]);
        assert_eq!(offered("").len(), 28);
    }
}
