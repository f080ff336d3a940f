//! Of a read whose reply is longer than there is room for nothing is done, and the second attempt answers as if it were the first.

use zabd_jute::client::{GetEphemeralsRequest, MultiReadOp, MultiReadRequest, PathRequest};

use super::*;
use crate::read::{Read, Served, serve, serve_within};
use crate::traffic::Traffic;

const DATA_BYTES: usize = 5000;
const CHILDREN: usize = 100;

/// A znode with much data, many ephemeral children, and a long list of rights.
fn large() -> (Alone, SessionId) {
    let mut alone = Alone::new();
    let session = alone.connect(1);
    let create = |path: &str, data: &[u8], flags| {
        let others = (0..100).map(|each| Acl::new(31, "ip", format!("10.0.0.{each}")));
        let acl = Some([Acl::open()].into_iter().chain(others).collect());
        CreateRequest { path: path.into(), data: Some(data), acl, flags }.to_bytes()
    };
    alone.ask(1, session, 1, OpCode::Create, create("/large", &[7; DATA_BYTES], 0));
    for each in 0..CHILDREN {
        alone.ask(1, session, 1, OpCode::Create, create(&format!("/large/child-{each:050}"), b"", 1));
    }
    alone.sync();
    (alone, session)
}

#[test]
fn what_is_too_long_is_not_done_and_then_done_as_ever() {
    let (mut alone, session) = large();
    let watching = PathWatchRequest { path: "/large".into(), watch: true };
    let quiet = || PathWatchRequest { path: "/large".into(), watch: false };
    let parts = vec![MultiReadOp::GetData(quiet()), MultiReadOp::GetChildren(quiet())];
    let ids = identities();
    let options = alone.replica.read_options();
    for (op, body, watches) in [
        (OpCode::GetData, watching.to_bytes(), 1),
        (OpCode::GetChildren, watching.to_bytes(), 1),
        (OpCode::GetChildren2, watching.to_bytes(), 1),
        (OpCode::GetAcl, PathRequest { path: "/large".into() }.to_bytes(), 0),
        (OpCode::GetEphemerals, GetEphemeralsRequest { prefix: Some("/large".into()) }.to_bytes(), 0),
        (OpCode::MultiRead, MultiReadRequest { ops: parts }.to_bytes(), 0),
    ] {
        let read = Read { conn: ConnId(1), session, xid: 7, op: op.code(), body: &body, identities: &ids };
        let mut expected = Vec::new();
        let mut traffic = Traffic::default();
        let mut others = Watches::new(HashSeed::with_seed(1), false);
        others.connect(ConnId(1), session, identities());
        serve(&alone.tree, Some(&mut others), &read, &options, &mut traffic, &mut expected);

        let mut out = b"before".to_vec();
        let mut within = |room, out: &mut Vec<u8>, watches: &mut Watches| {
            serve_within(room, &alone.tree, Some(watches), &read, &options, &mut traffic, out)
        };
        let Served::TooLong { bytes } = within(1000, &mut out, &mut alone.watches) else {
            panic!("{op:?} is answered");
        };
        assert_eq!(out, b"before", "{op:?}");
        assert_eq!(alone.watches.total(), 0, "{op:?}");
        assert!(
            (expected.len() - 100..expected.len() + 100).contains(&bytes),
            "{op:?}: {bytes} of {}",
            expected.len()
        );
        assert_eq!(within(bytes - 1, &mut out, &mut alone.watches), Served::TooLong { bytes }, "{op:?}");
        assert_eq!(within(bytes, &mut out, &mut alone.watches), Served::Answered, "{op:?}");
        assert_eq!(out[6..], expected, "{op:?}");
        assert_eq!(alone.watches.total(), watches, "{op:?}");
        alone.watches.disconnect(ConnId(1));
        alone.watches.connect(ConnId(1), session, identities());
    }
}
