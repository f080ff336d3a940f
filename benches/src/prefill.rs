//! Fills a server with znodes, and takes away what a measurement added: multis of a few hundred
//! operations, several outstanding, so that a million znodes take seconds.

use zabd_jute::ErrorCode;

use crate::connection::Target;
use crate::conversation::Conversation;
use crate::error::BenchError;
use crate::wire::{self, Multi};
use crate::workload::{CREATED, Keyspace, PathBuffer, ROOT, value};

/// Operations of one multi, for small values.
const BATCH_OPS_MAX: u64 = 500;
/// The size of one multi that stays well below Java's largest frame.
const BATCH_BYTES_MAX: u64 = 400_000;
/// What an operation takes beside its value.
const OP_BYTES: u64 = 100;
/// Multis under way at once.
const BATCHES_OUTSTANDING: usize = 8;

/// Makes sure that the znodes of `keyspace` exist, with values of `value_bytes`.
pub fn fill(target: &Target, keyspace: &Keyspace, value_bytes: usize) -> Result<(), BenchError> {
    let mut conversation = Conversation::open(target)?;
    for path in [ROOT, CREATED] {
        create_if_missing(&mut conversation, path)?;
    }
    let mut path = PathBuffer::prefilled();
    let last = keyspace.znodes.saturating_sub(1);
    let has_last = exists(&mut conversation, path.znode(keyspace, last))?;
    if 0 < keyspace.znodes && !has_last {
        in_batches(&mut conversation, keyspace.parents(), 0, |multi, index| {
            multi.create(path.parent(index), b"");
        })?;
        let data = value(value_bytes);
        in_batches(&mut conversation, keyspace.znodes, value_bytes as u64, |multi, index| {
            multi.create(path.znode(keyspace, index), &data);
        })?;
    }
    conversation.close()
}

/// Deletes what one connection of a run created.
pub fn remove_created(target: &Target, run: u64, lanes: &[(u64, u64)]) -> Result<(), BenchError> {
    let mut conversation = Conversation::open(target)?;
    for &(lane, count) in lanes {
        let mut path = PathBuffer::created(run, lane);
        in_batches(&mut conversation, count, 0, |multi, index| multi.delete(path.nth_created(index)))?;
    }
    conversation.close()
}

fn exists(conversation: &mut Conversation, path: &[u8]) -> Result<bool, BenchError> {
    conversation.ask("looking for a znode", |out, xid| wire::exists(out, xid, path))?;
    Ok(conversation.answer()?.error == 0)
}

fn create_if_missing(conversation: &mut Conversation, path: &[u8]) -> Result<(), BenchError> {
    conversation.ask("creating a parent", |out, xid| wire::create(out, xid, path, b""))?;
    match conversation.answer()?.error {
        0 => Ok(()),
        code if code == ErrorCode::NodeExists.code() => Ok(()),
        code => Err(BenchError::Failed { during: "creating a parent", code }),
    }
}

/// Runs operations 0 to `count` in multis; `add` adds the one with the given index.
fn in_batches(
    conversation: &mut Conversation,
    count: u64,
    value_bytes: u64,
    mut add: impl FnMut(&mut Multi<'_>, u64),
) -> Result<(), BenchError> {
    let batch = (BATCH_BYTES_MAX / (value_bytes + OP_BYTES)).clamp(1, BATCH_OPS_MAX);
    let mut next = 0;
    while next < count {
        let end = (next + batch).min(count);
        conversation.ask("filling the server", |out, xid| {
            let mut multi = Multi::begin(out, xid);
            (next..end).for_each(|index| add(&mut multi, index));
            multi.end();
        })?;
        next = end;
        if conversation.outstanding() == BATCHES_OUTSTANDING {
            expect_success(conversation)?;
        }
    }
    while 0 < conversation.outstanding() {
        expect_success(conversation)?;
    }
    Ok(())
}

fn expect_success(conversation: &mut Conversation) -> Result<(), BenchError> {
    let answer = conversation.answer()?;
    let code = match answer.error {
        0 => wire::multi_error(&answer.body)?,
        code => Some(code),
    };
    match code {
        None => Ok(()),
        Some(code) => Err(BenchError::Failed { during: "filling the server", code }),
    }
}
