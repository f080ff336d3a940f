//! What a write must come to: the tree in front of it and what was asked decide that, by rules that know no server.
//!
//! The rules are those of what the clients of this world ask for, and no others: versions are asked for in a multi alone, and everything
//! is below the root.

use zabd_jute::client::{CreateRequest, MultiHeader, MultiOp, MultiRequest};
use zabd_jute::txn::{Entry, Txn};
use zabd_jute::{OpCode, Reader, Record, Stat};
use zabd_tree::Tree;

use crate::client::{Asked, Told};

const ANY_VERSION: i32 = -1;
const NOT_TRIED: i32 = -2;
/// No voter would be left, no quorum of the new members follows, or another change is under way.
const REFUSED_FOR_MEMBERS: [i32; 3] = [-8, -13, -14];
pub(crate) const NO_NODE: i32 = -101;
const BAD_VERSION: i32 = -103;
pub(crate) const NODE_EXISTS: i32 = -110;
const SESSION_EXPIRED: i32 = -112;

/// What a client was told of one operation of a multi.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// It was made, under this name.
    Created(String),
    /// Its data was set; the stat behind that.
    Set(Box<Stat>),
    /// The version was as expected.
    Checked,
    /// Nothing happened, and why: 0 in front of the operation that failed.
    Failed(i32),
}

/// The answer to a multi.
pub fn parts(r: &mut Reader<'_>) -> Vec<Part> {
    let mut parts = Vec::new();
    loop {
        let MultiHeader { op, done, err } = MultiHeader::decode(r).expect("an answer to a multi has headers");
        if done {
            return parts;
        }
        parts.push(match OpCode::from_code(op) {
            Some(OpCode::Create) => Part::Created(r.ustring().expect("a name decodes").into_owned()),
            Some(OpCode::SetData) => Part::Set(Box::new(Stat::decode(r).expect("a stat decodes"))),
            Some(OpCode::Check) => Part::Checked,
            Some(OpCode::Error) => {
                assert_eq!(r.int().expect("an error decodes"), err, "an error is told twice");
                Part::Failed(err)
            }
            other => panic!("{other:?} is in an answer, and nobody asked for that"),
        });
    }
}

/// Why a write must fail, in front of which the tree is this; 0 if it must not. What a multi fails for is in its parts.
fn reason(tree: &Tree, asked: &Asked) -> i32 {
    if tree.session_timeout_ms(asked.session).is_none() {
        return SESSION_EXPIRED;
    }
    let is_there = tree.node(&asked.path).is_some();
    match asked.op {
        OpCode::Create if is_there => NODE_EXISTS,
        OpCode::Delete | OpCode::SetData if !is_there => NO_NODE,
        _ => 0,
    }
}

/// Why the operations of a multi must fail, each; all are 0 if none does.
fn reasons(tree: &Tree, ops: &[MultiOp<'_>]) -> Vec<i32> {
    let mut made: Vec<&str> = Vec::new();
    let mut reasons = Vec::new();
    for op in ops {
        // A znode that the multi makes, or changes, has a version that no check of this world asks for.
        let reason = match op {
            MultiOp::Create { request, .. } => {
                let path = &*request.create.path;
                let is_there = made.contains(&path) || tree.node(path).is_some();
                made.push(path);
                if is_there { NODE_EXISTS } else { 0 }
            }
            MultiOp::SetData(set) if tree.node(&set.path).is_none() => NO_NODE,
            MultiOp::SetData(set) if set.version == ANY_VERSION => 0,
            MultiOp::Check(check) if made.contains(&&*check.path) || tree.node(&check.path).is_some() => {
                assert_eq!(check.version, i32::MAX, "no znode has the version that is asked for");
                BAD_VERSION
            }
            MultiOp::Check(_) => NO_NODE,
            other => panic!("nobody asks for {other:?}"),
        };
        reasons.push(reason);
        if reason != 0 {
            reasons.resize(ops.len(), NOT_TRIED);
            return reasons;
        }
    }
    reasons
}

/// A client was told what its write comes to in front of this tree, and its transaction says the same.
pub fn assert_due(tree: &Tree, told: &Told, entry: &Entry<'_>) {
    let Told { asked, err, parts, zxid, .. } = told;
    let reason = match reason(tree, asked) {
        // That is a matter of who follows, which the tree does not know.
        0 if asked.op == OpCode::Reconfig && REFUSED_FOR_MEMBERS.contains(err) => *err,
        reason => reason,
    };
    assert_eq!(*err, reason, "what {asked:?} was told, and had to be, at {zxid}");
    let written = if let Txn::Error { code } = entry.txn { code } else { 0 };
    assert_eq!(written, reason, "what is written of {asked:?}, and had to be, at {zxid}");
    if let Some(parts) = parts {
        let request = MultiRequest::from_bytes(&asked.body).expect("what was asked decodes");
        let reasons = reasons(tree, &request.ops);
        let failures =
            parts.iter().map(|part| if let Part::Failed(code) = part { Some(*code) } else { None });
        let has_failed = reasons.iter().any(|reason| *reason != 0);
        let expected = reasons.iter().map(|reason| has_failed.then_some(*reason));
        assert!(
            failures.eq(expected),
            "{asked:?} was told {parts:?} at {zxid}, and each had to be {reasons:?}"
        );
    }
}

/// A client was told what its write has made of the tree, which is the one behind it.
pub fn assert_done(tree: &Tree, told: &Told) {
    let Told { asked, err, stat, parts, zxid, .. } = told;
    let stat_of = |path: &str| tree.node(path).map(|node| node.stat());
    if asked.op == OpCode::SetData && *err == 0 {
        assert_eq!(*stat, stat_of(&asked.path), "{asked:?} was told another stat at {zxid}");
    }
    let Some(parts) = parts else { return };
    let request = MultiRequest::from_bytes(&asked.body).expect("what was asked decodes");
    assert_eq!(parts.len(), request.ops.len(), "{asked:?} was told {parts:?} at {zxid}");
    for (op, part) in request.ops.iter().zip(parts) {
        let is_right = match (op, part) {
            (MultiOp::Create { request: made, .. }, Part::Created(name)) => is_made(tree, &made.create, name),
            (MultiOp::SetData(set), Part::Set(stat)) => stat_of(&set.path) == Some(**stat),
            (_, Part::Failed(_)) | (MultiOp::Check(_), Part::Checked) => true,
            _ => false,
        };
        assert!(is_right, "{op:?} of {asked:?} was told {part:?} at {zxid}");
    }
}

fn is_made(tree: &Tree, made: &CreateRequest<'_>, name: &str) -> bool {
    name == made.path && tree.node(name).is_some_and(|node| node.data() == made.data)
}
