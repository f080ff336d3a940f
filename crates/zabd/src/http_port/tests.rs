use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::Ordering::Relaxed;

use super::*;

struct Echo;

impl Answers for Echo {
    fn answer(self: Arc<Self>, request: Request<Incoming>, peer: SocketAddr) -> Answering {
        Box::pin(async move {
            let words = query(&request);
            text(StatusCode::OK, "text/plain", format!("{} {} {words:?}", peer.ip(), request.uri().path()))
        })
    }
}

fn opened() -> HttpPort {
    let host = ListenHost::Address([127, 0, 0, 1].into());
    HttpPort::open(&host, 0, "the port of a test", &Arc::default()).unwrap()
}

fn started(idle_max: Duration) -> SocketAddr {
    let port = opened();
    let address = port.address;
    port.run("Echo", idle_max, Arc::new(Echo), std::future::ready(())).unwrap();
    address
}

fn say(address: SocketAddr, words: &str) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    socket.write_all(words.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A connection that is closed with words unread is reset.
    let _ = socket.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

#[test]
fn words_of_a_query_are_read() {
    let address = started(Duration::from_mins(1));
    let answer =
        say(address, "GET /a?b=c%5B%5d&d+e&=&%zz=%e4 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let words = "127.0.0.1 /a [(\"b\", \"c[]\"), (\"d e\", \"\"), (\"\", \"\"), (\"%zz\", \"\u{fffd}\")]";
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with(words), "{answer}");
}

#[test]
fn silent_connections_make_room_and_go_in_time() {
    let address = started(Duration::from_millis(200));
    let mut silent: Vec<_> = (0..CONNECTIONS_MAX + 3).map(|_| TcpStream::connect(address).unwrap()).collect();
    let answer = say(address, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    for socket in &mut silent {
        socket.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest);
    }
}

/// Answers with as much as nobody's kernel takes at once, and no copy of it for each.
struct Flood(Bytes);

const FLOOD_BYTES: usize = 32 << 20;

impl Answers for Flood {
    fn answer(self: Arc<Self>, _: Request<Incoming>, _: SocketAddr) -> Answering {
        Box::pin(async move { Response::new(whole(self.0.clone())) })
    }
}

/// An operator's snapshot must not end in the midst because others open connections.
#[test]
fn who_is_being_answered_keeps_his_place() {
    let port = opened();
    let address = port.address;
    let flood = Flood(vec![b'x'; FLOOD_BYTES].into());
    port.run("Flood", Duration::from_mins(1), Arc::new(flood), std::future::ready(())).unwrap();
    let asked = |_| {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        socket.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut first = [0; 8];
        socket.read_exact(&mut first).unwrap();
        socket
    };
    let mut first = asked(0);
    let silent: Vec<_> = (0..2 * CONNECTIONS_MAX).map(|_| TcpStream::connect(address).unwrap()).collect();
    let mut others: Vec<_> = (1..CONNECTIONS_MAX).map(asked).collect();
    let mut late = TcpStream::connect(address).unwrap();
    late.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let mut refused = String::new();
    late.read_to_string(&mut refused).unwrap();
    assert!(
        refused.starts_with("HTTP/1.1 503 ")
            && refused.ends_with("\r\n\r\nEvery connection is being answered, try again later\n")
    );
    drop((silent, others.split_off(1)));
    for socket in others.iter_mut().chain([&mut first]) {
        let mut rest = Vec::new();
        socket.read_to_end(&mut rest).unwrap();
        assert!(rest.len() >= FLOOD_BYTES, "{}", rest.len());
    }
}

/// Answers with a text of its own for each.
struct Texts;

impl Answers for Texts {
    fn answer(self: Arc<Self>, _: Request<Incoming>, _: SocketAddr) -> Answering {
        Box::pin(async move { text(StatusCode::OK, PLAIN, vec![b'x'; FLOOD_BYTES]) })
    }
}

/// Whoever asks for long texts and takes none fills no memory.
#[test]
fn texts_that_nobody_takes_have_a_bound() {
    let port = opened();
    let address = port.address;
    port.run("Texts", Duration::from_mins(1), Arc::new(Texts), std::future::ready(())).unwrap();
    let asked = || {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        socket.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut head = [0; 12];
        socket.read_exact(&mut head).unwrap();
        (socket, head)
    };
    let mut taken: Vec<_> = (0..TEXTS_BYTES_MAX / FLOOD_BYTES).map(|_| asked()).collect();
    assert!(taken.iter().all(|(_, head)| head == b"HTTP/1.1 200"));
    assert_eq!(&asked().1, b"HTTP/1.1 503");
    let (mut first, _) = taken.pop().unwrap();
    let mut rest = Vec::new();
    first.read_to_end(&mut rest).unwrap();
    assert!(rest.len() >= FLOOD_BYTES);
    assert_eq!(&asked().1, b"HTTP/1.1 200");
}

/// Whoever asks and goes leaves nothing behind that is made for nobody, and a job counts until its thread is done with it.
#[test]
fn jobs_are_counted_until_they_are_done() {
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let (begun, begins) = std::sync::mpsc::channel();
    let made_for_nobody = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    runtime.block_on(async {
        let jobs = Arc::new(Jobs::new());
        let ask = |work: Box<dyn FnOnce() + Send>| {
            let jobs = jobs.clone();
            tokio::spawn(async move { jobs.make(work).await })
        };
        let mut asked = vec![ask(Box::new(move || {
            begun.send(()).unwrap();
            // It ends when the test does, too.
            let _ = gone.recv();
        }))];
        asked.extend((1..JOBS_MAX).map(|_| {
            let made = made_for_nobody.clone();
            ask(Box::new(move || _ = made.fetch_add(1, std::sync::atomic::Ordering::SeqCst)))
        }));
        tokio::task::yield_now().await;
        begins.recv().unwrap();
        for asker in asked {
            asker.abort();
            let _ = asker.await;
        }
        assert_eq!(jobs.make(|| ()).await, Err(NoAnswer::TooMany));
        drop(go);
        drop(jobs.0.acquire_many(JOBS_MAX as u32).await.unwrap());
        assert_eq!(jobs.make(|| 7).await, Ok(7));
    });
    assert_eq!(made_for_nobody.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[test]
fn a_head_without_end_is_refused() {
    let address = started(Duration::from_mins(1));
    let answer = say(address, &format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "x".repeat(2 * HEAD_BYTES_MAX)));
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

/// An alert on the figure must not ring for connections that are kept, or only opened.
#[test]
fn who_is_refused_is_counted_and_nobody_else() {
    let port = opened();
    let (address, counters) = (port.address, port.refusing.counters.clone());
    port.run("Echo", Duration::from_millis(100), Arc::new(Echo), std::future::ready(())).unwrap();
    let long = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "x".repeat(2 * HEAD_BYTES_MAX));
    let mut wanted = 0;
    for (words, is_refused) in [
        ("", false),
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", false),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", false),
        ("GET / HTTP/1.1\r\nHo", true),
        ("what is this\r\n\r\n", true),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", true),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: minus\r\n\r\n", true),
        (&long, true),
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", false),
    ] {
        say(address, words);
        wanted += u64::from(is_refused);
        // It may be told a moment after the connection's end.
        let until = Instant::now() + Duration::from_mins(1);
        while counters.http_requests.count.load(Relaxed) < wanted {
            assert!(Instant::now() < until, "{words:?} is not counted");
            std::thread::yield_now();
        }
        assert_eq!(counters.http_requests.count.load(Relaxed), wanted, "{words:?}");
    }
}

#[test]
fn who_loses_a_place_is_counted_unless_it_was_answered() {
    let port = opened();
    let (address, counters) = (port.address, port.refusing.counters.clone());
    port.run("Echo", Duration::from_mins(1), Arc::new(Echo), std::future::ready(())).unwrap();
    let ask = || {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        socket.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        socket.read_exact(&mut [0; 12]).unwrap();
        socket
    };
    let answered: Vec<_> = (0..CONNECTIONS_MAX).map(|_| ask()).collect();
    let count = || counters.http_requests.count.load(Relaxed);
    let silent: Vec<_> = (0..CONNECTIONS_MAX).map(|_| TcpStream::connect(address).unwrap()).collect();
    for mut socket in answered {
        socket.read_to_end(&mut Vec::new()).unwrap();
    }
    assert_eq!(count(), 0, "they had their answers");
    ask();
    assert_eq!(count(), 1, "the first of the silent ones goes");
    drop(silent);
}
