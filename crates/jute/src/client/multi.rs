//! Several operations in one request: all or nothing for writes, each by itself for reads.
//!
//! ```text
//! request = { MultiHeader(type, false, -1) · the operation's own request }… · MultiHeader(-1, true, -1)
//! ```

use crate::{DecodeError, OpCode, Reader, Record, Writer};

use super::{
    CheckVersionRequest, CreateMode, CreateRequest, CreateTtlRequest, DeleteRequest, PathWatchRequest,
    SetDataRequest,
};

/// `MultiHeader { int type; boolean done; int err; }`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MultiHeader {
    /// The operation, −1 for an error or the end.
    pub op: i32,
    /// Whether this is the end.
    pub done: bool,
    /// The operation's error code; −1 in requests.
    pub err: i32,
}

impl MultiHeader {
    /// Closes the list, in requests and replies alike.
    pub const END: MultiHeader = MultiHeader { op: -1, done: true, err: -1 };
}

impl Record<'_> for MultiHeader {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { op: r.int()?, done: r.boolean()?, err: r.int()? })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        w.int(self.op);
        w.boolean(self.done);
        w.int(self.err);
    }
}

/// One operation of a multi.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MultiOp<'a> {
    /// Types 1, 15, 19, 21.
    Create {
        /// Which of them.
        op: OpCode,
        /// What to create.
        request: CreateTtlRequest<'a>,
    },
    /// Type 2.
    Delete(DeleteRequest<'a>),
    /// Type 5.
    SetData(SetDataRequest<'a>),
    /// Type 13.
    Check(CheckVersionRequest<'a>),
}

/// Writes that happen together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultiRequest<'a> {
    /// In order; there may be none.
    pub ops: Vec<MultiOp<'a>>,
}

/// The next operation's type, `None` at the end of the list.
fn next_op(r: &mut Reader<'_>) -> Result<Option<(i32, usize)>, DecodeError> {
    let offset = r.offset();
    let header = MultiHeader::decode(r)?;
    Ok((!header.done).then_some((header.op, offset)))
}

fn encode_op(w: &mut Writer<'_>, op: OpCode) {
    MultiHeader { op: op.code(), done: false, err: -1 }.encode(w);
}

impl<'a> MultiRequest<'a> {
    /// Appends each operation as it is decoded: those in front of a mistake are there.
    pub fn read(&mut self, r: &mut Reader<'a>) -> Result<(), DecodeError> {
        while let Some((code, offset)) = next_op(r)? {
            self.ops.push(match OpCode::from_code(code) {
                Some(op @ (OpCode::Create | OpCode::Create2 | OpCode::CreateContainer)) => {
                    let create = known_flags(CreateRequest::decode(r)?, offset)?;
                    MultiOp::Create { op, request: CreateTtlRequest { create, ttl_ms: -1 } }
                }
                Some(op @ OpCode::CreateTtl) => MultiOp::Create { op, request: CreateTtlRequest::decode(r)? },
                Some(OpCode::Delete) => MultiOp::Delete(DeleteRequest::decode(r)?),
                Some(OpCode::SetData) => MultiOp::SetData(SetDataRequest::decode(r)?),
                Some(OpCode::Check) => MultiOp::Check(CheckVersionRequest::decode(r)?),
                _ => return Err(DecodeError::UnknownValue { value: code, offset }),
            });
        }
        Ok(())
    }
}

impl<'a> Record<'a> for MultiRequest<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let mut multi = Self { ops: Vec::new() };
        multi.read(r)?;
        Ok(multi)
    }

    fn encode(&self, w: &mut Writer<'_>) {
        for op in &self.ops {
            match op {
                MultiOp::Create { op, request } => {
                    encode_op(w, *op);
                    request.create.encode(w);
                    if *op == OpCode::CreateTtl {
                        w.long(request.ttl_ms);
                    }
                }
                MultiOp::Delete(request) => {
                    encode_op(w, OpCode::Delete);
                    request.encode(w);
                }
                MultiOp::SetData(request) => {
                    encode_op(w, OpCode::SetData);
                    request.encode(w);
                }
                MultiOp::Check(request) => {
                    encode_op(w, OpCode::Check);
                    request.encode(w);
                }
            }
        }
        MultiHeader::END.encode(w);
    }
}

/// Inside a multi, flags that are no mode make the whole request undecodable (Java since 3.9), unless it
/// has a field for a TTL.
fn known_flags(create: CreateRequest<'_>, offset: usize) -> Result<CreateRequest<'_>, DecodeError> {
    match CreateMode::from_flags(create.flags) {
        Some(_) => Ok(create),
        None => Err(DecodeError::UnknownValue { value: create.flags, offset }),
    }
}

/// One operation of a multiRead; its watch flag has no meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MultiReadOp<'a> {
    /// Type 4.
    GetData(PathWatchRequest<'a>),
    /// Type 8.
    GetChildren(PathWatchRequest<'a>),
}

impl MultiReadOp<'_> {
    /// Which znode it reads.
    pub fn path(&self) -> &str {
        match self {
            MultiReadOp::GetData(request) | MultiReadOp::GetChildren(request) => &request.path,
        }
    }
}

/// Reads that are served together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultiReadRequest<'a> {
    /// In order; there may be none.
    pub ops: Vec<MultiReadOp<'a>>,
}

impl MultiReadRequest<'_> {
    /// Whether the bytes are a list of writes: Java answers such a request with an error *and* a body. (It stumbles over a create
    /// whose flags want a TTL that it cannot have.)
    pub fn holds_a_write(body: &[u8]) -> bool {
        let lacks_ttl = |part: &MultiOp<'_>| match part {
            MultiOp::Create { op, request } => {
                *op != OpCode::CreateTtl
                    && CreateMode::from_flags(request.create.flags).is_some_and(CreateMode::is_ttl)
            }
            _ => false,
        };
        MultiRequest::from_bytes(body)
            .is_ok_and(|multi| !multi.ops.is_empty() && !multi.ops.iter().any(lacks_ttl))
    }
}

impl<'a> Record<'a> for MultiReadRequest<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let mut ops = Vec::new();
        while let Some((code, offset)) = next_op(r)? {
            ops.push(match OpCode::from_code(code) {
                Some(OpCode::GetData) => MultiReadOp::GetData(PathWatchRequest::decode(r)?),
                Some(OpCode::GetChildren) => MultiReadOp::GetChildren(PathWatchRequest::decode(r)?),
                _ => return Err(DecodeError::UnknownValue { value: code, offset }),
            });
        }
        Ok(Self { ops })
    }

    fn encode(&self, w: &mut Writer<'_>) {
        for op in &self.ops {
            let (code, request) = match op {
                MultiReadOp::GetData(request) => (OpCode::GetData, request),
                MultiReadOp::GetChildren(request) => (OpCode::GetChildren, request),
            };
            encode_op(w, code);
            request.encode(w);
        }
        MultiHeader::END.encode(w);
    }
}
