//! Walks through a znode and all below (`ZKUtil`). No walk sees one moment: the tree changes meanwhile.

use std::collections::VecDeque;

use zabd_jute::ErrorCode;

use super::CommandError;
use crate::client::{Client, Failure};

/// Calls `each` for a znode, then for all its children by name, then below the first of them, and so on.
pub fn visit(
    client: &Client,
    path: &str,
    watch: bool,
    each: &mut dyn FnMut(&str) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    client.data(path, watch)?;
    each(path)?;
    visit_below(client, path, watch, each)
}

fn visit_below(
    client: &Client,
    path: &str,
    watch: bool,
    each: &mut dyn FnMut(&str) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    let mut children = match client.children_and_stat(path, watch) {
        Ok((children, _)) => children,
        // It went meanwhile.
        Err(Failure::Refused(refusal)) if refusal.is(ErrorCode::NoNode) => return Ok(()),
        Err(failure) => return Err(failure.into()),
    };
    sort(&mut children);
    let children: Vec<String> = children.iter().map(|name| below(path, name)).collect();
    for child in &children {
        each(child)?;
    }
    children.iter().try_for_each(|child| visit_below(client, child, watch, each))
}

/// A znode and all below, each before its children.
pub fn list(client: &Client, path: &str) -> Result<Vec<String>, Failure> {
    let mut found = vec![path.to_owned()];
    let mut queue = VecDeque::from([path.to_owned()]);
    while let Some(path) = queue.pop_front() {
        for name in client.children(&path, false)? {
            let child = below(&path, &name);
            found.push(child.clone());
            queue.push_back(child);
        }
    }
    Ok(found)
}

/// Names in Java's order, which is that of UTF-16 units.
pub fn sort(names: &mut [String]) {
    names.sort_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
}

fn below(path: &str, name: &str) -> String {
    if path == "/" { format!("/{name}") } else { format!("{path}/{name}") }
}
