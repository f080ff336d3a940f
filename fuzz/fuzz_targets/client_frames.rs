//! Frames of the client protocol, without their length: a connect request, or a header and the body
//! that its operation asks for; and, because clients are built from the same crate, what they are
//! answered. Nothing panics, and what decodes survives being encoded.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zabd_fuzz::round_trip;
use zabd_jute::client::{
    AddWatchRequest, AuthPacket, CheckVersionRequest, ClientInfo, ConnectRequest, ConnectResponse,
    Create2Response, CreateRequest, CreateTtlRequest, DeleteRequest, GetAclResponse, GetChildren2Response,
    GetChildrenResponse, GetDataResponse, GetEphemeralsRequest, MultiHeader, MultiReadRequest, MultiRequest,
    PathRequest, PathWatchRequest, ReconfigRequest, ReplyHeader, RequestHeader, SaslRequest, SetAclRequest,
    SetDataRequest, SetWatches, WatchTypeRequest, WatcherEvent,
};
use zabd_jute::{OpCode, Record, Stat, path};

fuzz_target!(|frame: &[u8]| {
    round_trip!(ConnectRequest, frame);
    round_trip!(ConnectResponse, frame);
    round_trip!(RequestHeader, frame);
    round_trip!(ReplyHeader, frame);
    if let Ok(header) = RequestHeader::from_bytes(frame) {
        request(header.op, &frame[8..]);
    }
    if ReplyHeader::from_bytes(frame).is_ok() {
        answer(&frame[16..]);
    }
});

fn request(op: i32, body: &[u8]) {
    let Some(op) = OpCode::from_code(op) else { return };
    assert_eq!(OpCode::from_code(op.code()), Some(op));
    match op {
        OpCode::Create | OpCode::Create2 | OpCode::CreateContainer => {
            round_trip!(CreateRequest, body);
        }
        OpCode::CreateTtl => {
            round_trip!(CreateTtlRequest, body);
        }
        OpCode::Delete => {
            round_trip!(DeleteRequest, body);
        }
        OpCode::Check => {
            round_trip!(CheckVersionRequest, body);
        }
        OpCode::SetData => {
            round_trip!(SetDataRequest, body);
        }
        OpCode::SetAcl => {
            round_trip!(SetAclRequest, body);
        }
        OpCode::Exists | OpCode::GetData | OpCode::GetChildren | OpCode::GetChildren2 => {
            round_trip!(PathWatchRequest, body);
        }
        OpCode::GetAcl | OpCode::Sync | OpCode::GetAllChildrenNumber => {
            round_trip!(PathRequest, body);
            if let Ok(request) = PathRequest::from_bytes(body) {
                walk(&request.path);
            }
        }
        OpCode::Multi => {
            round_trip!(MultiRequest, body);
        }
        OpCode::MultiRead => {
            round_trip!(MultiReadRequest, body);
            MultiReadRequest::holds_a_write(body);
        }
        OpCode::Reconfig => {
            round_trip!(ReconfigRequest, body);
        }
        OpCode::CheckWatches | OpCode::RemoveWatches => {
            round_trip!(WatchTypeRequest, body);
        }
        OpCode::AddWatch => {
            round_trip!(AddWatchRequest, body);
        }
        OpCode::SetWatches => {
            round_trip!(SetWatches::decode, SetWatches::encode, body);
        }
        OpCode::SetWatches2 => {
            round_trip!(SetWatches::decode2, SetWatches::encode2, body);
        }
        OpCode::GetEphemerals => {
            round_trip!(GetEphemeralsRequest, body);
        }
        OpCode::Auth => {
            round_trip!(AuthPacket, body);
        }
        OpCode::Sasl => {
            round_trip!(SaslRequest, body);
        }
        OpCode::CreateSession
        | OpCode::CloseSession
        | OpCode::Error
        | OpCode::Ping
        | OpCode::DeleteContainer
        | OpCode::WhoAmI => (),
    }
}

fn answer(body: &[u8]) {
    round_trip!(GetDataResponse, body);
    round_trip!(Create2Response, body);
    round_trip!(GetAclResponse, body);
    round_trip!(GetChildrenResponse, body);
    round_trip!(GetChildren2Response, body);
    round_trip!(ClientInfo, body);
    round_trip!(Stat, body);
    round_trip!(WatcherEvent, body);
    round_trip!(MultiHeader, body);
}

/// A path that is one ends at the root when it is walked up, and every step is a path.
fn walk(mut text: &str) {
    if path::validate(text).is_err() {
        return;
    }
    while let Some((parent, name)) = path::split(text) {
        assert_eq!(path::validate(parent), Ok(()));
        assert!(!name.is_empty() && parent.len() < text.len());
        text = parent;
    }
    assert_eq!(text, "/");
}
