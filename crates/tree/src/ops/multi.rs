//! Multi: several operations as one transaction. Each sees what those before it do; if one is refused,
//! nothing of them stays.
//!
//! A refused multi is logged in full: those before the culprit as they would have been, the culprit as
//! its error, those behind it as errors of their own.

use zabd_jute::client::{MultiOp, MultiRequest};
use zabd_jute::txn::{SubTxn, Txn, TxnHeader};
use zabd_jute::{ErrorCode, OpCode, Writer};

use crate::acl::Caller;
use crate::pending::Pending;
use crate::tree::Tree;

/// Type and length.
const PART_OVERHEAD_BYTES: usize = 8;

impl Pending {
    pub(super) fn prepare_multi<'a>(
        &mut self,
        tree: &Tree,
        caller: &Caller<'_>,
        header: &TxnHeader,
        multi: MultiRequest<'a>,
    ) -> Result<Txn<'a>, ErrorCode> {
        self.begin();
        let count = multi.ops.len();
        let mut parts = Vec::with_capacity(count);
        let mut failed = false;
        let mut encoded = Vec::new();
        for op in multi.ops {
            let prepared = if failed {
                Err(ErrorCode::RuntimeInconsistency)
            } else {
                self.prepare_part(tree, caller, header, op)
            };
            if let Err(ErrorCode::MarshallingError) = prepared {
                // Where Java stumbles it does not tell one operation from another.
                self.take_back();
                return Err(ErrorCode::MarshallingError);
            }
            failed |= prepared.is_err();
            let (kind, txn) =
                prepared.unwrap_or_else(|error| (OpCode::Error, Txn::Error { code: error.code() }));
            // Expanded access lists can make a record larger than its request, and than Java could read.
            txn.encode(&mut Writer::new(&mut encoded));
            parts.push(SubTxn { kind: kind.code(), txn });
            if self.room(encoded.len() + parts.len() * PART_OVERHEAD_BYTES).is_none() {
                self.take_back();
                return Ok(Txn::Multi(refused_whole(count)));
            }
        }
        if failed {
            self.take_back();
        } else {
            self.keep();
        }
        Ok(Txn::Multi(parts))
    }

    fn prepare_part<'a>(
        &mut self,
        tree: &Tree,
        caller: &Caller<'_>,
        header: &TxnHeader,
        op: MultiOp<'a>,
    ) -> Result<(OpCode, Txn<'a>), ErrorCode> {
        Ok(match op {
            // Create2 is logged as create: servers before 3.7.2 and 3.8.2 cannot apply it in a multi.
            MultiOp::Create { request, .. } => self.prepare_create(tree, caller, header, request)?,
            MultiOp::Delete(request) => (OpCode::Delete, self.prepare_delete(tree, caller, header, request)?),
            MultiOp::SetData(request) => {
                (OpCode::SetData, self.prepare_set_data(tree, caller, header, request)?)
            }
            MultiOp::Check(request) => (OpCode::Check, self.prepare_check(tree, caller, request)?),
        })
    }
}

/// The first operation is the culprit for all.
fn refused_whole(count: usize) -> Vec<SubTxn<'static>> {
    let error = |at: usize| {
        if at == 0 { ErrorCode::BadArguments } else { ErrorCode::RuntimeInconsistency }
    };
    let part = |at| SubTxn { kind: OpCode::Error.code(), txn: Txn::Error { code: error(at).code() } };
    (0..count).map(part).collect()
}
