//! Requests that wait for their turn for too long, and a log without room: who is refused, who waits, and what becomes of those
//! who wait for long.

use super::*;

#[test]
fn what_waited_too_long_is_refused_in_its_turn() {
    let mut alone = Alone::new();
    let session = alone.connect(1);
    let refuse =
        |xid| Input::Refuse { conn: ConnId(1), session, xid, error: zabd_jute::ErrorCode::ThrottledOp };
    assert_eq!(alone.feed(refuse(1)), ["1 <- 1 zxid=1 err=-127 +0"]);
    alone.ask(1, session, 2, OpCode::Create, create("/a", 0));
    assert!(alone.feed(refuse(3)).is_empty());
    alone.ask(1, session, 4, OpCode::Create, create("/b", 0));
    let lines = alone.sync();
    assert_eq!(lines, ["1 <- 2 zxid=2 err=0 +6", "1 <- 3 zxid=2 err=-127 +0", "1 <- 4 zxid=3 err=0 +6"]);
    alone.ask(1, session, 5, OpCode::CloseSession, vec![]);
    alone.feed(refuse(6));
    assert_eq!(alone.sync(), ["1 <- 5 zxid=4 err=0 +0", "1 closed"], "nobody is left to be refused");
}

#[test]
fn without_room_writes_are_refused_and_reads_go_on() {
    let mut alone = Alone::new();
    let session = alone.connect(1);
    let other = alone.connect(2);
    alone.ask(1, session, 1, OpCode::Create, create("/a", 0));
    alone.feed(Input::DiskFull);
    assert_eq!(
        alone.ask(2, other, 1, OpCode::Create, create("/c", 0)),
        ["2 <- 1 zxid=2 err=-119 +0"],
        "at once"
    );
    assert!(alone.ask(1, session, 2, OpCode::Create, create("/b", 0)).is_empty(), "behind the first");
    alone.now_ms = 60_000;
    assert!(alone.feed(Input::Tick).is_empty(), "no session ends while its end cannot be logged");
    alone.feed(Input::Touch { session });
    alone.feed(Input::DiskHasRoom);
    assert_eq!(alone.sync(), ["1 <- 1 zxid=3 err=0 +6", "1 <- 2 zxid=3 err=-119 +0"]);
    alone.ask(1, session, 3, OpCode::Create, create("/b", 0));
    assert_eq!(alone.sync(), ["1 <- 3 zxid=4 err=0 +6"]);
    assert_eq!(alone.facts, [Fact::WritesSuspended, Fact::WritesResumed]);
}

#[test]
fn whoever_waits_for_room_for_long_loses_the_connection_and_not_the_write() {
    let mut alone = Alone::new();
    let session = alone.connect(1);
    alone.connect(2);
    alone.ask(1, session, 1, OpCode::Create, create("/a", 0));
    alone.ask(1, session, 2, OpCode::Create, create("/b", 0));
    assert!(alone.feed(Input::DiskStaysFull).is_empty(), "it has room");
    alone.feed(Input::DiskFull);
    assert_eq!(alone.feed(Input::DiskStaysFull), ["1 closed"], "once, and nobody who does not wait");
    alone.feed(Input::DiskHasRoom);
    alone.sync();
    assert!(
        ["/a", "/b"].iter().all(|path| alone.tree.node(path).is_some()),
        "what was handed to the log is written"
    );
    alone.ask(1, session, 3, OpCode::Create, create("/c", 0));
    assert_eq!(alone.sync(), ["1 <- 3 zxid=5 err=0 +6"], "the session lives");
}
