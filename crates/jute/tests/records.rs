//! Every record: what is encoded decodes to itself and to its end; with any part of its end cut off it is
//! no record; and bytes that are none are an error, never a panic.

use std::borrow::Cow;
use std::fmt::Debug;

use proptest::collection::vec;
use proptest::prelude::*;
use zabd_jute::client::{
    AddWatchRequest, AuthPacket, ClientInfo, ConnectRequest, ConnectResponse, Create2Response, CreateMode,
    CreateRequest, CreateTtlRequest, DeleteRequest, GetAclResponse, GetChildren2Response,
    GetChildrenResponse, GetDataResponse, GetEphemeralsRequest, MultiHeader, MultiOp, MultiReadOp,
    MultiReadRequest, MultiRequest, PathRequest, PathWatchRequest, ReconfigRequest, ReplyHeader,
    RequestHeader, SaslRequest, SetAclRequest, SetDataRequest, SetWatches, WatchTypeRequest, WatcherEvent,
};
use zabd_jute::txn::{CreateKind, CreateTxn, Entry, SubTxn, Txn, TxnDigest, TxnHeader};
use zabd_jute::{
    Acl, DecodeError, Id, Limits, OpCode, Reader, Record, SessionId, Stat, StatPersisted, Writer, Zxid,
};

/// The only place that calls the API: there and back, whatever follows, then every truncation.
fn check<R: Record<'static> + PartialEq + Debug>(record: &R) {
    assert_eq!(there_and_back(record), record.to_bytes().len(), "{record:?} is decoded to its end");
    let bytes: &'static [u8] = [record.to_bytes(), b"what follows".to_vec()].concat().leak();
    assert_eq!(R::from_bytes(bytes).as_ref(), Ok(record), "what follows is left alone");
    truncate(record, |_| false);
}

/// The same for a record whose end may be missing: `is_whole` says for which lengths it is still one.
fn check_but<R: Record<'static> + PartialEq + Debug>(record: &R, is_whole: impl Fn(usize) -> bool) {
    assert_eq!(there_and_back(record), record.to_bytes().len(), "{record:?} is decoded to its end");
    truncate(record, is_whole);
}

/// Where decoding ends.
fn there_and_back<R: Record<'static> + PartialEq + Debug>(record: &R) -> usize {
    let mut reader = Reader::new(record.to_bytes().leak());
    assert_eq!(R::decode(&mut reader).as_ref(), Ok(record));
    reader.offset()
}

fn truncate<R: Record<'static> + PartialEq + Debug>(record: &R, is_whole: impl Fn(usize) -> bool) {
    let bytes: &'static [u8] = record.to_bytes().leak();
    for length in 0..bytes.len() {
        match R::from_bytes(&bytes[..length]) {
            Err(DecodeError::Truncated { offset }) if offset <= length && !is_whole(length) => (),
            Ok(_) if is_whole(length) => (),
            outcome => panic!("{record:?} cut to {length} of {} bytes: {outcome:?}", bytes.len()),
        }
    }
}

// Values that live as long as the test, so that records can borrow them.

fn text() -> impl Strategy<Value = Cow<'static, str>> {
    prop_oneof!["[/a-z]{0,12}", any::<String>()].prop_map(Cow::from)
}

fn path() -> impl Strategy<Value = Cow<'static, str>> {
    prop_oneof![8 => "(/[a-zé]{1,4}){1,3}", 1 => Just("/".to_owned())].prop_map(Cow::from)
}

fn text_or_null() -> impl Strategy<Value = Option<Cow<'static, str>>> {
    proptest::option::of(text())
}

fn data() -> impl Strategy<Value = Option<&'static [u8]>> {
    proptest::option::of(vec(any::<u8>(), 0..20).prop_map(|bytes| &*bytes.leak()))
}

fn acl() -> impl Strategy<Value = Acl<'static>> {
    let id = (text_or_null(), text_or_null()).prop_map(|(scheme, id)| Id { scheme, id });
    (any::<i32>(), id).prop_map(|(perms, id)| Acl { perms, id })
}

fn zxid() -> impl Strategy<Value = Zxid> {
    any::<i64>().prop_map(Zxid)
}

fn session() -> impl Strategy<Value = SessionId> {
    any::<i64>().prop_map(SessionId)
}

fn stat() -> impl Strategy<Value = Stat> {
    let longs = (zxid(), zxid(), any::<i64>(), any::<i64>(), any::<i64>(), zxid());
    (longs, any::<[i32; 5]>()).prop_map(
        |((czxid, mzxid, ctime_ms, mtime_ms, ephemeral_owner, pzxid), ints)| {
            let [version, cversion, aversion, data_length, num_children] = ints;
            Stat {
                czxid,
                mzxid,
                ctime_ms,
                mtime_ms,
                version,
                cversion,
                aversion,
                ephemeral_owner,
                data_length,
                num_children,
                pzxid,
            }
        },
    )
}

// Requests.

fn create_request(flags: impl Strategy<Value = i32>) -> impl Strategy<Value = CreateRequest<'static>> {
    (text(), data(), proptest::option::of(vec(acl(), 0..3)), flags)
        .prop_map(|(path, data, acl, flags)| CreateRequest { path, data, acl, flags })
}

fn delete_request() -> impl Strategy<Value = DeleteRequest<'static>> {
    (text(), any::<i32>()).prop_map(|(path, version)| DeleteRequest { path, version })
}

fn set_data_request() -> impl Strategy<Value = SetDataRequest<'static>> {
    (text(), data(), any::<i32>()).prop_map(|(path, data, version)| SetDataRequest { path, data, version })
}

fn path_watch_request() -> impl Strategy<Value = PathWatchRequest<'static>> {
    (text(), any::<bool>()).prop_map(|(path, watch)| PathWatchRequest { path, watch })
}

fn multi_op() -> impl Strategy<Value = MultiOp<'static>> {
    let plain = proptest::sample::select(vec![OpCode::Create, OpCode::Create2, OpCode::CreateContainer]);
    // Others make a multi undecodable.
    let modes = || 0..=CreateMode::PersistentSequentialTtl as i32;
    prop_oneof![
        (plain, create_request(modes())).prop_map(|(op, create)| MultiOp::Create {
            op,
            request: CreateTtlRequest { create, ttl_ms: -1 }
        }),
        (create_request(modes()), any::<i64>()).prop_map(|(create, ttl_ms)| MultiOp::Create {
            op: OpCode::CreateTtl,
            request: CreateTtlRequest { create, ttl_ms }
        }),
        delete_request().prop_map(MultiOp::Delete),
        delete_request().prop_map(MultiOp::Check),
        set_data_request().prop_map(MultiOp::SetData),
    ]
}

fn set_watches() -> impl Strategy<Value = SetWatches<'static>> {
    let list = || vec(text(), 0..3);
    let lists = (list(), list(), list(), list(), list());
    (zxid(), lists).prop_map(|(relative_zxid, (data, exist, child, persistent, persistent_recursive))| {
        SetWatches { relative_zxid, data, exist, child, persistent, persistent_recursive }
    })
}

/// `SetWatches` has two forms on the wire.
#[derive(Debug, PartialEq)]
struct ThreeLists(SetWatches<'static>);
#[derive(Debug, PartialEq)]
struct FiveLists(SetWatches<'static>);

impl Record<'static> for ThreeLists {
    fn decode(r: &mut Reader<'static>) -> Result<Self, DecodeError> {
        SetWatches::decode(r).map(Self)
    }
    fn encode(&self, w: &mut Writer<'_>) {
        self.0.encode(w);
    }
}

impl Record<'static> for FiveLists {
    fn decode(r: &mut Reader<'static>) -> Result<Self, DecodeError> {
        SetWatches::decode2(r).map(Self)
    }
    fn encode(&self, w: &mut Writer<'_>) {
        self.0.encode2(w);
    }
}

proptest! {
    #[test]
    fn handshakes(
        (protocol_version, timeout_ms) in any::<(i32, i32)>(),
        last_zxid_seen in zxid(),
        session in session(),
        password in data(),
        read_only in any::<Option<bool>>(),
        own_password in any::<[u8; 16]>(),
    ) {
        let request =
            ConnectRequest { protocol_version, last_zxid_seen, timeout_ms, session, password, read_only };
        let response = ConnectResponse { timeout_ms, session, password: own_password, read_only };
        // The last byte is missing from clients and servers of 3.3.
        let lacks_a_byte = |length: usize| move |cut: usize| read_only.is_some() && cut == length - 1;
        check_but(&request, lacks_a_byte(request.to_bytes().len()));
        check_but(&response, lacks_a_byte(response.to_bytes().len()));
    }

    #[test]
    fn headers(a in any::<i32>(), b in any::<i32>(), zxid in zxid(), done in any::<bool>()) {
        check(&RequestHeader { xid: a, op: b });
        check(&ReplyHeader { xid: a, zxid, err: b });
        check(&MultiHeader { op: a, done, err: b });
    }

    #[test]
    fn writes(
        create in create_request(any::<i32>()),
        ttl_ms in any::<i64>(),
        delete in delete_request(),
        set_data in set_data_request(),
    ) {
        let CreateRequest { path, acl, flags: version, .. } = create.clone();
        check(&create);
        check(&CreateTtlRequest { create, ttl_ms });
        check(&delete);
        check(&set_data);
        check(&SetAclRequest { path, acl, version });
    }

    #[test]
    fn reads_and_watches(path in text(), kind in any::<i32>(), prefix in text_or_null(), read in path_watch_request()) {
        check(&read);
        check(&PathRequest { path: path.clone() });
        check(&GetEphemeralsRequest { prefix });
        check(&AddWatchRequest { path: path.clone(), mode: kind });
        check(&WatchTypeRequest { path, kind });
    }

    #[test]
    fn watches_after_a_reconnect(watches in set_watches()) {
        let SetWatches { relative_zxid, data, exist, child, .. } = watches.clone();
        check(&ThreeLists(SetWatches { relative_zxid, data, exist, child, ..SetWatches::default() }));
        check(&FiveLists(watches));
    }

    #[test]
    fn lists_of_operations(ops in vec(multi_op(), 0..4), reads in vec((any::<bool>(), path_watch_request()), 0..4)) {
        let lacks_ttl = |part: &MultiOp<'_>| {
            matches!(part, MultiOp::Create { op, request }
                if *op != OpCode::CreateTtl && matches!(request.create.flags, 5 | 6))
        };
        let holds_a_write = !ops.is_empty() && !ops.iter().any(lacks_ttl);
        let multi = MultiRequest { ops };
        check(&multi);
        prop_assert_eq!(MultiReadRequest::holds_a_write(&multi.to_bytes()), holds_a_write);
        let read = |(is_data, request)| {
            if is_data { MultiReadOp::GetData(request) } else { MultiReadOp::GetChildren(request) }
        };
        check(&MultiReadRequest { ops: reads.into_iter().map(read).collect() });
    }

    #[test]
    fn the_rest_of_requests(
        kind in any::<i32>(),
        config_id in any::<i64>(),
        texts in (text_or_null(), text_or_null(), text_or_null()),
        auth in data(),
    ) {
        let (joining, leaving, new_members) = texts;
        check(&AuthPacket { kind, scheme: joining.clone(), auth });
        check(&SaslRequest { token: auth });
        check(&ReconfigRequest { joining, leaving, new_members, config_id });
    }

    #[test]
    fn answers(
        data in data(),
        stat in stat(),
        path in text(),
        user in text(),
        acl in vec(acl(), 0..3),
        children in vec(text(), 0..4),
        (kind, state) in any::<(i32, i32)>(),
    ) {
        check(&GetDataResponse { data, stat });
        check(&Create2Response { path: path.clone(), stat });
        check(&GetAclResponse { acl, stat });
        check(&GetChildrenResponse { children: children.clone() });
        check(&GetChildren2Response { children, stat });
        check(&ClientInfo { scheme: path.clone(), user });
        check(&WatcherEvent { kind, state, path });
    }

    #[test]
    fn znodes(stat in stat(), acl in acl()) {
        check(&stat);
        let Stat { czxid, mzxid, ctime_ms, mtime_ms, version, cversion, aversion, ephemeral_owner, pzxid, .. } = stat;
        check(&StatPersisted {
            czxid, mzxid, ctime_ms, mtime_ms, version, cversion, aversion, ephemeral_owner, pzxid,
        });
        check(&acl.id);
        check(&acl);
    }
}

// The log.

/// A transaction of any kind that may stand in a multi, with its kind.
fn operation() -> impl Strategy<Value = (i32, Txn<'static>)> {
    let create = (path(), data(), vec(acl(), 0..3), any::<i32>(), any::<(u8, bool, i64)>());
    let one_of = |ops: [OpCode; 2]| proptest::sample::select(ops.map(OpCode::code).to_vec());
    prop_oneof![
        create.prop_map(|(path, data, acl, parent_cversion, (which, ephemeral, ttl_ms))| {
            let (op, kind) = match which % 4 {
                0 => (OpCode::Create, CreateKind::Plain { ephemeral }),
                1 => (OpCode::Create2, CreateKind::Plain { ephemeral }),
                2 => (OpCode::CreateContainer, CreateKind::Container),
                _ => (OpCode::CreateTtl, CreateKind::Ttl { ttl_ms }),
            };
            (op.code(), Txn::Create(CreateTxn { path, data, acl, kind, parent_cversion }))
        }),
        (one_of([OpCode::Delete, OpCode::DeleteContainer]), path())
            .prop_map(|(kind, path)| (kind, Txn::Delete { path })),
        (path(), data(), any::<i32>()).prop_map(|(path, data, version)| {
            (OpCode::SetData.code(), Txn::SetData { path, data, version })
        }),
        (path(), any::<i32>())
            .prop_map(|(path, version)| (OpCode::Check.code(), Txn::Check { path, version })),
        any::<i32>().prop_map(|code| (OpCode::Error.code(), Txn::Error { code })),
    ]
}

fn txn() -> impl Strategy<Value = (i32, Txn<'static>)> {
    let part = operation().prop_map(|(kind, txn)| SubTxn { kind, txn });
    prop_oneof![
        4 => operation(),
        1 => any::<i32>().prop_map(|timeout_ms| (OpCode::CreateSession.code(), Txn::CreateSession { timeout_ms })),
        1 => proptest::option::of(vec(path(), 0..4)).prop_map(|paths| (OpCode::CloseSession.code(), Txn::CloseSession { paths })),
        1 => (path(), vec(acl(), 0..3), any::<i32>())
            .prop_map(|(path, acl, version)| (OpCode::SetAcl.code(), Txn::SetAcl { path, acl, version })),
        1 => (path(), data(), any::<i32>())
            .prop_map(|(path, data, version)| (OpCode::Reconfig.code(), Txn::SetData { path, data, version })),
        2 => vec(part, 0..4).prop_map(|parts| (OpCode::Multi.code(), Txn::Multi(parts))),
    ]
}

fn entry() -> impl Strategy<Value = Entry<'static>> {
    let digest = any::<u64>().prop_map(|tree| TxnDigest { version: TxnDigest::VERSION, tree });
    (session(), any::<i32>(), zxid(), any::<i64>(), txn(), proptest::option::of(digest)).prop_map(
        |(session, cxid, zxid, time_ms, (kind, txn), digest)| Entry {
            header: TxnHeader { session, cxid, zxid, time_ms, kind },
            txn,
            digest,
        },
    )
}

fn encoded(entry: &Entry<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    entry.encode(&mut Writer::new(&mut bytes));
    bytes
}

proptest! {
    /// What stands behind the body is a digest if it is long enough for one, as in Java; so without its
    /// last bytes an entry loses its digest, and then is none. Servers before 3.4 wrote no parent cversion,
    /// some later ones no body of a closed session, whose digest is told by its length and version.
    #[test]
    fn log_entries(entry in entry()) {
        let bytes = encoded(&entry);
        let mut reader = Reader::new(&bytes);
        let decoded = Entry::decode(&mut reader);
        prop_assert_eq!(decoded.as_ref(), Ok(&entry));
        prop_assert!(reader.remaining().is_empty());
        check(&entry.header);
        let body_end = bytes.len() - if entry.digest.is_some() { 12 } else { 0 };
        for length in 0..bytes.len() {
            let outcome = Entry::decode(&mut Reader::new(&bytes[..length]));
            let is_older = match &entry.txn {
                Txn::Create(create) => matches!(create.kind, CreateKind::Plain { .. }) && length == body_end - 4,
                Txn::CloseSession { .. } => length == 32 || (length == 44 && bytes[32..36] == TxnDigest::VERSION.to_be_bytes()),
                _ => false,
            };
            if matches!(entry.txn, Txn::CloseSession { paths: None }) && body_end < length {
                prop_assert!(outcome.is_err(), "half a digest is no list of paths");
            } else if length >= body_end {
                prop_assert_eq!(outcome, Ok(Entry { digest: None, ..entry.clone() }));
            } else if is_older {
                prop_assert_eq!(outcome.map(|older| older.header), Ok(entry.header));
            } else {
                let is_truncated = matches!(outcome, Err(DecodeError::Truncated { .. }));
                prop_assert!(is_truncated, "cut to {} of {} bytes: {:?}", length, bytes.len(), outcome);
            }
        }
    }

    #[test]
    fn arbitrary_bytes_decode_or_explain(bytes in vec(any::<u8>(), 0..120), op in -11..108, limit in 0..64_usize) {
        let limits = Limits { field_bytes_max: limit };
        let _ = Txn::decode(&mut Reader::with_limits(&bytes, limits), op);
        let _ = Entry::decode(&mut Reader::with_limits(&bytes, limits));
        let _ = MultiRequest::decode(&mut Reader::with_limits(&bytes, limits));
        let _ = MultiReadRequest::decode(&mut Reader::with_limits(&bytes, limits));
        let _ = SetWatches::decode2(&mut Reader::with_limits(&bytes, limits));
        let _ = ConnectRequest::from_bytes(&bytes);
        let _ = ConnectResponse::from_bytes(&bytes);
        let _ = GetChildren2Response::from_bytes(&bytes);
    }

    /// A field may be as long as the limit, inside a multi too, and no longer.
    #[test]
    fn fields_are_as_long_as_the_limit_at_most(length in 1..200_usize) {
        let content = vec![7; length];
        let set = Txn::SetData { path: "/a".into(), data: Some(&content), version: 1 };
        let kind = OpCode::SetData.code();
        for (kind, txn) in [(kind, set.clone()), (OpCode::Multi.code(), Txn::Multi(vec![SubTxn { kind, txn: set }]))] {
            let mut bytes = Vec::new();
            txn.encode(&mut Writer::new(&mut bytes));
            let decode = |field_bytes_max| {
                Txn::decode(&mut Reader::with_limits(&bytes, Limits { field_bytes_max }), kind)
            };
            // A multi's parts are fields, too.
            prop_assert_eq!(decode(bytes.len()), Ok(txn.clone()));
            let is_refused = matches!(decode(length - 1), Err(DecodeError::UnreasonableLength { .. }));
            prop_assert!(is_refused);
        }
    }
}

/// Java's default is 1 MB, and operators raise it: what was written with a larger limit must be read back.
#[test]
fn parts_of_a_multi_are_limited_as_the_multi_is() {
    let content = vec![7; 3 << 20];
    let set = Txn::SetData { path: "/a".into(), data: Some(&content), version: 1 };
    let multi = Txn::Multi(vec![SubTxn { kind: OpCode::SetData.code(), txn: set }]);
    let mut bytes = Vec::new();
    multi.encode(&mut Writer::new(&mut bytes));
    let mut reader = Reader::with_limits(&bytes, Limits { field_bytes_max: 4 << 20 });
    assert!(Txn::decode(&mut reader, OpCode::Multi.code()) == Ok(multi));
}

/// Sessions do not begin or end inside a multi, nor do multis nest: a log that says so is damaged.
#[test]
fn only_operations_stand_in_a_multi() {
    let parts = [
        (OpCode::CreateSession, Txn::CreateSession { timeout_ms: 1 }),
        (OpCode::CloseSession, Txn::CloseSession { paths: None }),
        (OpCode::Multi, Txn::Multi(Vec::new())),
        (OpCode::SetAcl, Txn::SetAcl { path: "/".into(), acl: Vec::new(), version: 1 }),
        (OpCode::Reconfig, Txn::SetData { path: "/".into(), data: None, version: 1 }),
    ];
    for (op, txn) in parts {
        let multi = Txn::Multi(vec![SubTxn { kind: op.code(), txn }]);
        let mut bytes = Vec::new();
        multi.encode(&mut Writer::new(&mut bytes));
        let outcome = Txn::decode(&mut Reader::new(&bytes), OpCode::Multi.code());
        assert_eq!(outcome, Err(DecodeError::UnknownValue { value: op.code(), offset: 4 }), "{op:?}");
    }
}
