//! The load generator against a server of a page: every mode ends when it should, counts what was
//! answered and nothing else, and says so when the server misbehaves.
//!
//! The fake server answers any request with success at once, keeps persistent watches of one znode, and
//! follows `closeSession`. It is not ZooKeeper; it is just enough to show that the loops are bounded.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use zabd_benches::connection::Target;
use zabd_benches::error::BenchError;
use zabd_benches::fan_out::{self, FanOutPlan, WatchMode};
use zabd_benches::load::{self, LoadPlan, Stream};
use zabd_benches::new_sessions::{self, NewSessionsPlan};
use zabd_benches::prefill;
use zabd_benches::workload::{Keyspace, Op};
use zabd_jute::{OpCode, Reader, Writer};

/// How the fake server treats requests.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Polite,
    /// Every request fails with this code.
    Refusing(i32),
    /// Replies carry an xid that nobody asked with.
    Confused,
    /// Closes at the first request.
    Rude,
}

type Watchers = Arc<Mutex<Vec<TcpStream>>>;

/// Starts a server that lives as long as the test process.
fn fake_server(manner: Manner) -> Target {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let watchers = Watchers::default();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let watchers = Arc::clone(&watchers);
            // A client that goes away ends its thread with an error of no interest.
            std::thread::spawn(move || serve(socket.unwrap(), manner, &watchers).ok());
        }
    });
    Target { sources: 4, ..Target::new(address) }
}

fn read_frame(socket: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    socket.read_exact(&mut length)?;
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    socket.read_exact(&mut frame)?;
    Ok(frame)
}

fn frame(body: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    let mut w = Writer::new(&mut out);
    let length = w.reserve_int();
    body(&mut w);
    w.fill_length(length);
    out
}

fn header(xid: i32, error: i32, body: &[u8]) -> Vec<u8> {
    frame(|w| {
        w.int(xid);
        w.long(1);
        w.int(error);
        w.bytes(body);
    })
}

fn serve(mut socket: TcpStream, manner: Manner, watchers: &Watchers) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    read_frame(&mut socket)?;
    let connected = frame(|w| {
        w.int(0);
        w.int(40_000);
        w.long(7);
        w.buffer(Some(&[0; 16]));
    });
    socket.write_all(&connected)?;
    loop {
        let request = read_frame(&mut socket)?;
        let mut r = Reader::new(&request);
        let (xid, op) = (r.int().unwrap(), OpCode::from_code(r.int().unwrap()).unwrap());
        let error = match manner {
            Manner::Refusing(code) if op != OpCode::CloseSession => code,
            Manner::Rude => return Ok(()),
            _ => 0,
        };
        let xid = if manner == Manner::Confused { xid + 1000 } else { xid };
        match op {
            OpCode::AddWatch => watchers.lock().unwrap().push(socket.try_clone()?),
            OpCode::SetData => {
                for watcher in watchers.lock().unwrap().iter_mut() {
                    watcher.write_all(&header(-1, 0, &[0; 12]))?;
                }
            }
            _ => (),
        }
        // Only the end of a multi's results is looked at.
        let body: &[u8] = if op == OpCode::Multi { b"\xff\xff\xff\xff\x01\xff\xff\xff\xff" } else { b"" };
        socket.write_all(&header(xid, error, body))?;
        if op == OpCode::CloseSession {
            return socket.shutdown(Shutdown::Both); // Dropping it is not enough: a watch holds it too.
        }
    }
}

fn plan(target: Target, streams: Vec<Stream>) -> LoadPlan {
    LoadPlan {
        target,
        streams,
        keyspace: Keyspace::spread(100),
        value_bytes: 10,
        threads: 2,
        warm_up: Duration::from_millis(20),
        window_max: Duration::from_millis(200),
        replies_max: None,
        run: 1,
    }
}

#[test]
fn a_closed_loop_runs_for_its_window_and_counts_every_operation() {
    let target = fake_server(Manner::Polite);
    for op in [Op::Get, Op::Set, Op::Create, Op::Exists, Op::Swap, Op::Ping] {
        let report = load::run(&plan(target, vec![Stream::closed(op, 4, 3)]), &[]).unwrap();
        report.check().unwrap();
        assert!(0 < report.replies(), "{op:?}");
        assert!(Duration::from_millis(200) <= report.window, "{op:?}");
        let measured = report.streams[0].of(op).count();
        // At either end of the window, replies and the requests meant for it differ by what is under way.
        assert!(measured.abs_diff(report.replies()) <= 2 * 12, "{op:?}: {measured} of {}", report.replies());
    }
}

#[test]
fn an_open_loop_keeps_its_rate_and_leaves_no_request_out() {
    let target = fake_server(Manner::Polite);
    let mut stream = Stream::open(Op::Get, 3, 1000.0);
    stream.keep_timeline = true;
    let report = load::run(&plan(target, vec![stream]), &[]).unwrap();
    let stream = &report.streams[0];
    let expected = (report.window.as_secs_f64() * 1000.0) as u64;
    assert_eq!(stream.unanswered, 0);
    // The window's length is read a moment after its end was set; 20 ms is a long moment.
    assert!(stream.of(Op::Get).count().abs_diff(expected) <= 20, "{expected} were meant for the window");
    assert_eq!(stream.timeline.len() as u64, stream.of(Op::Get).count());
}

#[test]
fn a_window_ends_early_with_enough_replies() {
    let target = fake_server(Manner::Polite);
    let mut plan = plan(target, vec![Stream::closed(Op::Create, 2, 1)]);
    (plan.window_max, plan.replies_max) = (Duration::from_mins(1), Some(50));
    let report = load::run(&plan, &[]).unwrap();
    assert!(50 <= report.replies());
    let created: u64 = report.created.iter().map(|&(_, count)| count).sum();
    assert!(report.replies() <= created, "what was created is known, so that it can be removed");
    prefill::remove_created(&target, plan.run, &report.created).unwrap();
}

#[test]
fn filling_ends() {
    let target = fake_server(Manner::Polite);
    prefill::fill(&target, &Keyspace::spread(5000), 100).unwrap();
}

#[test]
fn every_watcher_is_counted_in_every_round() {
    let plan = FanOutPlan {
        target: fake_server(Manner::Polite),
        watchers: 5,
        mode: WatchMode::Persistent,
        warm_up_rounds: 1,
        firing_max: Duration::from_millis(50),
        value_bytes: 10,
    };
    let report = fan_out::run(&plan, &[]).unwrap();
    assert!(1 <= report.rounds);
    assert_eq!(report.notifications, 5 * report.rounds);
    assert_eq!(report.latencies.count(), report.notifications);
}

#[test]
fn sessions_come_and_go_for_the_window() {
    let plan = NewSessionsPlan {
        target: fake_server(Manner::Polite),
        concurrency: 4,
        warm_up: Duration::ZERO,
        window: Duration::from_millis(100),
        ephemerals: 2,
    };
    let report = new_sessions::run(&plan, &[]).unwrap();
    assert!(0 < report.sessions);
    assert!(report.sessions <= report.latencies.count(), "a session is counted when it has been closed");
}

#[test]
fn errors_spoil_a_figure() {
    let target = fake_server(Manner::Refusing(-101));
    let report = load::run(&plan(target, vec![Stream::closed(Op::Get, 2, 1)]), &[]).unwrap();
    assert!(matches!(report.check(), Err(BenchError::Failed { code: -101, .. })));
}

#[test]
fn a_server_that_answers_nonsense_or_closes_ends_the_run() {
    let run = |manner| load::run(&plan(fake_server(manner), vec![Stream::closed(Op::Get, 2, 1)]), &[]);
    assert!(matches!(run(Manner::Confused), Err(BenchError::OutOfOrder { .. })));
    assert!(matches!(run(Manner::Rude), Err(BenchError::Closed { .. })));
}
