//! Memory that is nearly used up: what is refused, what goes on, and that nothing refused is in the log.

use zabd_jute::client::AddWatchRequest;

use super::*;
use crate::Room;
use crate::read::{Read, Served, serve};

fn delete(path: &str) -> Vec<u8> {
    DeleteRequest { path: path.into(), version: -1 }.to_bytes()
}

#[test]
fn what_grows_is_refused_in_its_turn_and_all_else_goes_on() {
    let mut alone = Alone::new();
    let session = alone.connect(1);
    alone.ask(1, session, 1, OpCode::Create, create("/a", 0));
    alone.feed(Input::Room(Room::NoGrowth));
    assert!(alone.ask(1, session, 2, OpCode::Create, create("/b", 0)).is_empty(), "behind the first");
    assert_eq!(alone.sync(), ["1 <- 1 zxid=2 err=0 +6", "1 <- 2 zxid=2 err=-125 +0"]);
    let appended = alone.appended.len();
    for (xid, op, body) in [
        (3, OpCode::CreateContainer, create("/b", 4)),
        (4, OpCode::SetData, set("/a", b"12")),
        (5, OpCode::Multi, multi(vec![Part::Create { at: 1, flags: 0 }.op(), Part::Set { at: 0 }.op()])),
    ] {
        let lines = alone.ask(1, session, xid, op, body);
        assert_eq!(lines, [format!("1 <- {xid} zxid=2 err=-125 +0")]);
    }
    assert_eq!(alone.appended.len(), appended, "what is refused is not logged");
    for (xid, op, body) in [
        (6, OpCode::SetData, set("/a", b"2")),
        (7, OpCode::SetData, set("/a", b"")),
        (8, OpCode::Multi, multi(vec![Part::Delete { at: 0 }.op(), Part::Create { at: 0, flags: 0 }.op()])),
        (9, OpCode::Delete, delete("/a")),
    ] {
        assert!(alone.ask(1, session, xid, op, body).is_empty());
        let said = alone.sync();
        assert!(said.len() == 1 && said[0].contains("err=0"), "{said:?}");
    }
    alone.begin_to_connect(2);
    assert_eq!(alone.sync(), ["2 <- connected"]);
    alone.feed(Input::Room(Room::Enough));
    alone.ask(1, session, 10, OpCode::Create, create("/b", 0));
    assert_eq!(alone.sync().len(), 1);
    assert!(alone.tree.node("/b").is_some());
}

/// What a request makes and frees is told by what there will be, not by what there is.
#[test]
fn a_request_is_judged_by_what_those_before_it_leave() {
    let long = vec![0; 10_000];
    let set_op = |path: &'static str| {
        MultiOp::SetData(SetDataRequest { path: path.into(), data: Some(&long), version: -1 })
    };
    let delete_op = |path: &'static str| MultiOp::Delete(DeleteRequest { path: path.into(), version: -1 });
    let create_op = |path: &'static str| multi_create(OpCode::Create, path);
    let sequential = || {
        let MultiOp::Create { op, mut request } = create_op("/s") else { unreachable!() };
        request.create.flags = 2;
        MultiOp::Create { op, request }
    };
    let mut alone = Alone::new();
    let session = alone.connect(1);
    for (xid, path) in [(1, "/a"), (2, "/b")] {
        alone.ask(1, session, xid, OpCode::Create, create(path, 0));
    }
    alone.ask(1, session, 3, OpCode::SetData, set("/b", &long));
    alone.sync();
    alone.feed(Input::Room(Room::NoGrowth));
    for (xid, ops) in [
        (4, vec![delete_op("/a"), create_op("/c"), set_op("/c")]),
        (5, vec![delete_op("/a"), delete_op("/a"), create_op("/c"), create_op("/d")]),
        (6, vec![delete_op("/a"), create_op("/a"), set_op("/a")]),
        (7, vec![delete_op("/a"), sequential(), set_op("/s0000000002")]),
        (8, vec![set_op("/a"), set_op("/a"), delete_op("/b"), create_op("/c"), create_op("/d")]),
    ] {
        let lines = alone.ask(1, session, xid, OpCode::Multi, multi(ops));
        assert_eq!(lines, [format!("1 <- {xid} zxid=4 err=-125 +0")]);
    }
    // It frees as much as it takes.
    let moved = vec![delete_op("/b"), create_op("/c"), set_op("/c")];
    assert!(alone.ask(1, session, 9, OpCode::Multi, multi(moved.clone())).is_empty());
    // Again, while that is on its way to the disk.
    let again = alone.ask(1, session, 10, OpCode::Multi, multi(moved));
    let grown = alone.ask(1, session, 11, OpCode::SetData, set("/c", &[0; 10_001]));
    assert!(again.is_empty() && grown.is_empty(), "they are answered in their turn");
    let said = alone.sync();
    assert!(said[0].contains("1 <- 9 ") && said[0].contains("err=0"), "{said:?}");
    assert!(said[1].contains("1 <- 10 ") && said[1].contains("err=-125"), "{said:?}");
    assert!(said[2].contains("1 <- 11 ") && said[2].contains("err=-125"), "{said:?}");
}

#[test]
fn what_does_not_decode_and_what_fails_anyway_says_so_as_ever() {
    let mut alone = Alone::new();
    let session = alone.connect(1);
    alone.feed(Input::Room(Room::NothingNew));
    assert_eq!(alone.ask(1, session, 1, OpCode::Create, vec![0, 0]), ["1 <- 1 zxid=1 err=-5 +0"]);
    alone.ask(1, session, 2, OpCode::SetData, set("/none", b"long"));
    assert_eq!(alone.sync(), ["1 <- 2 zxid=2 err=-101 +0"]);
}

#[test]
fn when_there_is_none_sessions_are_resumed_and_none_is_begun() {
    let mut alone = Alone::new();
    let session = alone.connect(1);
    alone.feed(Input::Room(Room::NothingNew));
    assert_eq!(alone.ask_for_session(2), ["2 closed"]);
    let password = zabd_jute::client::password(session);
    let lines = alone.resume(3, session, password, 0);
    assert!(lines.iter().any(|line| line == "3 <- connected"), "{lines:?}");
    alone.now_ms = 60_000;
    alone.feed(Input::Tick);
    alone.sync();
    assert_eq!(alone.tree.sessions().count(), 0, "sessions end as ever");
}

#[test]
fn watches_that_are_there_stay_and_no_others_come_back() {
    let mut alone = Alone::new();
    let session = alone.connect(1);
    let ask = |op: OpCode, body: Vec<u8>, alone: &mut Alone| {
        let ids = identities();
        let read = Read { conn: ConnId(1), session, xid: 1, op: op.code(), body: &body, identities: &ids };
        let mut out = Vec::new();
        let options = alone.replica.read_options();
        let watches = Some(&mut alone.watches);
        let served =
            serve(&alone.tree, watches, &read, &options, &mut crate::traffic::Traffic::default(), &mut out);
        let end = if served == Served::AnsweredForTheLastTime { ", and the end" } else { "" };
        say(&out) + end
    };
    assert_eq!(ask(OpCode::GetData, read("/", true), &mut alone), "1 zxid=1 err=0 +72");
    alone.watches.take_new(false);
    assert_eq!(ask(OpCode::GetData, read("/", true), &mut alone), "1 zxid=1 err=0 +72", "it has that one");
    assert_eq!(ask(OpCode::GetData, read("/zookeeper", true), &mut alone), "1 zxid=1 err=-125 +0");
    assert_eq!(ask(OpCode::GetData, read("/zookeeper", false), &mut alone), "1 zxid=1 err=0 +72");
    let wide = AddWatchRequest { path: "/zookeeper".into(), mode: 1 }.to_bytes();
    assert_eq!(ask(OpCode::AddWatch, wide.clone(), &mut alone), "1 zxid=1 err=-125 +0");
    // A client that comes from another server believes that it has them: it has to hear that it has not.
    let lists = |data: &str, exist: &str, persistent: &str| {
        let mut body = 1_i64.to_be_bytes().to_vec();
        let mut w = zabd_jute::Writer::new(&mut body);
        for path in [data, exist, "", persistent, ""] {
            let paths: Vec<_> = [path].into_iter().filter(|path| !path.is_empty()).collect();
            w.vector(&paths, |w, path| w.ustring(path));
        }
        body
    };
    assert_eq!(
        ask(OpCode::SetWatches2, lists("/", "", ""), &mut alone),
        "1 zxid=1 err=0 +0",
        "it has that one"
    );
    for body in [lists("/zookeeper", "", ""), lists("", "/none", ""), lists("/", "", "/zookeeper")] {
        assert_eq!(ask(OpCode::SetWatches2, body, &mut alone), "1 zxid=1 err=-125 +0, and the end");
    }
    assert_eq!(alone.watches.total(), 1);
    alone.watches.take_new(true);
    assert_eq!(ask(OpCode::SetWatches2, lists("/zookeeper", "", ""), &mut alone), "1 zxid=1 err=0 +0");
    assert_eq!(ask(OpCode::AddWatch, wide, &mut alone), "1 zxid=1 err=0 +4");
}
