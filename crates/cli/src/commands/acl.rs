//! `getAcl` and `setAcl`, and access lists as text: `scheme:id:perms`, separated by commas.

use zabd_jute::{Acl, perms};

use super::subtree::visit;
use super::{Command, CommandError, Context, version};
use crate::client::Failure;
use crate::options::{Options, flag, valued};
use crate::print::stat_block;
use crate::screen::Screen;

/// Shows who may do what.
pub const GET_ACL: Command = Command { name: "getAcl", syntax: "[-s] path", details: "", run: get_acl };
/// Says who may do what.
pub const SET_ACL: Command =
    Command { name: "setAcl", syntax: "[-s] [-v version] [-R] path acl", details: "", run: set_acl };

const GET_OPTIONS: Options = Options::free(&[flag("s")]);
const SET_OPTIONS: Options = Options::free(&[flag("s"), valued("v"), flag("R")]);

/// Letters of rights in the order in which they are printed.
const LETTERS: [(char, i32); 5] = [
    ('c', perms::CREATE),
    ('d', perms::DELETE),
    ('r', perms::READ),
    ('w', perms::WRITE),
    ('a', perms::ADMIN),
];

fn get_acl(context: &Context<'_>, words: &[String]) -> Result<(), CommandError> {
    let line = GET_OPTIONS.parse(words)?;
    let path = line.words.get(1).ok_or_else(|| GET_ACL.usage())?;
    let (acl, stat) = context.client.acl(path)?;
    for entry in acl {
        context.screen.out(&printed(&entry));
    }
    if line.has("s") {
        context.screen.out(&stat_block(&stat));
    }
    Ok(())
}

fn printed(entry: &Acl<'_>) -> String {
    let letters: String =
        LETTERS.iter().filter(|(_, bit)| entry.perms & bit != 0).map(|(letter, _)| *letter).collect();
    format!("'{},'{}\n: {letters}", entry.id.scheme(), entry.id.id())
}

fn set_acl(context: &Context<'_>, words: &[String]) -> Result<(), CommandError> {
    let line = SET_OPTIONS.parse(words)?;
    let [_, path, acl, ..] = &line.words[..] else { return Err(SET_ACL.usage()) };
    let acl = parse(acl, context.screen);
    let version = version(&line)?;
    if line.has("R") {
        return visit(context.client, path, false, &mut |path| {
            match context.client.set_acl(path, &acl, version) {
                Ok(_) => (),
                Err(Failure::Refused(refusal)) => context.screen.out_unended(&refusal.to_string()),
                Err(failure) => return Err(failure.into()),
            }
            Ok(())
        });
    }
    let stat = context.client.set_acl(path, &acl, version)?;
    if line.has("s") {
        context.screen.out(&stat_block(&stat));
    }
    Ok(())
}

/// An access list; what is none in it is said and left out.
pub fn parse(text: &str, screen: &Screen) -> Vec<Acl<'static>> {
    // Java's `split` gives nothing for what is empty at the end, but something for nothing.
    let entries = match text.trim_end_matches(',') {
        "" if !text.is_empty() => return Vec::new(),
        entries => entries,
    };
    let parts = |entry: &str| {
        let (scheme, rest) = entry.split_once(':')?;
        let (id, letters) = rest.rsplit_once(':')?;
        Some((scheme.to_owned(), id.to_owned(), letters.to_owned()))
    };
    let mut acl = Vec::new();
    for entry in entries.split(',') {
        match parts(entry) {
            None => screen.err(&format!("{entry} does not have the form scheme:id:perm")),
            Some((scheme, id, letters)) => acl.push(Acl::new(rights(&letters, screen), scheme, id)),
        }
    }
    acl
}

fn rights(letters: &str, screen: &Screen) -> i32 {
    let mut rights = 0;
    for letter in letters.chars() {
        match LETTERS.iter().find(|(known, _)| *known == letter) {
            Some((_, bit)) => rights |= bit,
            None => screen.err(&format!("Unknown perm type: {letter}")),
        }
    }
    rights
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<String> {
        parse(text, &Screen::new(std::io::sink(), std::io::sink())).iter().map(printed).collect()
    }

    #[test]
    fn lists_are_read_and_printed() {
        assert_eq!(parsed("world:anyone:cdrwa"), ["'world,'anyone\n: cdrwa"]);
        assert_eq!(
            parsed("digest:user:hash=:arw,ip:10.0.0.0/8:r,"),
            ["'digest,'user:hash=\n: rwa", "'ip,'10.0.0.0/8\n: r"]
        );
        assert_eq!(parsed("auth::cx"), ["'auth,'\n: c"]);
    }

    #[test]
    fn what_is_none_is_left_out() {
        for text in ["", ",", "a", "a:b", "a:b,c:d"] {
            assert_eq!(parsed(text), [""; 0], "{text}");
        }
    }
}
