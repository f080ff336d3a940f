//! `delete` and `deleteall`.

use super::{Command, CommandError, Context, subtree, version};
use crate::options::{Options, valued};

/// Deletes a znode.
pub const DELETE: Command = Command { name: "delete", syntax: "[-v version] path", details: "", run: delete };
/// Deletes a znode and all below.
pub const DELETE_ALL: Command =
    Command { name: "deleteall", syntax: "path [-b batch size]", details: "", run: delete_all };

const DELETE_OPTIONS: Options = Options::free(&[valued("v")]);
const DELETE_ALL_OPTIONS: Options = Options::free(&[valued("b")]);

const BATCH_DEFAULT: i32 = 1000;
/// How many batches are on their way at once.
const BATCHES_UNANSWERED_MAX: usize = 10;

fn delete(context: &Context<'_>, words: &[String]) -> Result<(), CommandError> {
    let line = DELETE_OPTIONS.parse(words)?;
    let path = line.words.get(1).ok_or_else(|| DELETE.usage())?;
    if line.words.len() > 2 {
        context.screen.err(
            "'delete path [version]' has been deprecated. Please use 'delete [-v version] path' instead.",
        );
    }
    context.client.delete(path, version(&line)?)?;
    Ok(())
}

fn delete_all(context: &Context<'_>, words: &[String]) -> Result<(), CommandError> {
    let line = DELETE_ALL_OPTIONS.parse(words)?;
    let path = line.words.get(1).ok_or_else(|| DELETE_ALL.usage())?;
    let batch = line.value("b").map_or(Ok(BATCH_DEFAULT), str::parse);
    let batch = batch.map_err(|_| CommandError::new("-b argument must be an int value"))?;
    let mut leaves_first = subtree::list(context.client, path)?;
    leaves_first.reverse();
    match usize::try_from(batch) {
        Ok(batch @ 1..) => {
            if !in_batches(context, &leaves_first, batch) {
                context.screen.err("Failed to delete some node(s) in the subtree!");
            }
        }
        _ => leaves_first.iter().try_for_each(|path| context.client.delete(path, -1))?,
    }
    Ok(())
}

/// Whether all batches succeeded; behind one that failed no other is sent.
fn in_batches(context: &Context<'_>, paths: &[String], batch: usize) -> bool {
    let mut unanswered = std::collections::VecDeque::new();
    let mut succeeded = true;
    for paths in paths.chunks(batch) {
        if unanswered.len() == BATCHES_UNANSWERED_MAX {
            succeeded &= unanswered.pop_front().is_some_and(crate::client::Deletion::succeeded);
        }
        if !succeeded {
            break;
        }
        unanswered.push_back(context.client.begin_delete_all(paths));
    }
    // Each of them is waited for, whatever became of the others.
    unanswered.into_iter().fold(succeeded, |succeeded, deletion| deletion.succeeded() & succeeded)
}
