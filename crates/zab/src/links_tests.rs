//! Rules of [`super`], each with the connections that show it. Server 2 is ours; 1 is below it, 3 above.

use super::*;

const ME: ServerId = ServerId(2);
const LOWER: ServerId = ServerId(1);
const HIGHER: ServerId = ServerId(3);
const OBSERVER: ServerId = ServerId(4);

struct Port {
    now: Instant,
    links: Links,
}

impl Port {
    fn new() -> Self {
        Self::with(&directory("1 2 3"), false)
    }

    fn with(directory: &Directory, multi_address: bool) -> Self {
        Self { now: Instant(0), links: Links::new(ME, directory.clone(), multi_address) }
    }

    fn step(&mut self, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        self.links.step(self.now, input, &mut out);
        out
    }

    fn queue(&mut self, to: ServerId, text: &'static str) -> Vec<Output> {
        self.step(Input::Queue { to, frame: text.into() })
    }

    fn introduced(&mut self, conn: u64, server: ServerId, addresses: &[&str]) -> Vec<Output> {
        let addresses = addresses.iter().map(|host| Address::new(*host, 3888)).collect();
        self.step(Input::Introduced { conn: ConnId(conn), server, addresses })
    }

    fn dialled(&mut self, peer: ServerId, conn: u64) -> Vec<Output> {
        self.step(Input::Dialled { peer, conn: ConnId(conn) })
    }

    /// A connection to the peer with the higher id, and nothing written to it.
    fn linked(conn: u64) -> Self {
        let mut port = Self::new();
        assert_eq!(port.introduced(conn, HIGHER, &["zk3"]), [Output::LinkUp(HIGHER)]);
        port
    }

    /// Waits for the deadline that is next.
    fn wait(&mut self) -> Vec<Output> {
        self.now = self.links.next_deadline().expect("something is to be done later");
        self.step(Input::Timer)
    }
}

fn config(text: &str) -> Configuration {
    let lines = text.split_whitespace().map(|id| match id.strip_prefix("observer=") {
        None => format!("server.{id}=zk{id}:2888:3888:participant"),
        Some(id) => format!("server.{id}=zk{id}:2888:3888:observer"),
    });
    Configuration::parse(&lines.collect::<Vec<_>>().join("\n")).unwrap()
}

fn directory(text: &str) -> Directory {
    Directory::new(ME, &config(text), None)
}

fn dial(peer: ServerId) -> Output {
    dial_at(peer, &format!("zk{peer}"))
}

fn dial_at(peer: ServerId, host: &str) -> Output {
    Output::Dial { peer, addresses: vec![Address::new(host, 3888)] }
}

fn write(conn: u64, text: &'static str) -> Output {
    Output::Write { conn: ConnId(conn), bytes: text.into() }
}

fn close(conn: u64) -> Output {
    Output::Close { conn: ConnId(conn) }
}

/// Version 1 with one address.
fn initial(conn: u64) -> Output {
    let bytes = b"\xff\xff\xff\xff\xff\xff\0\0\0\0\0\0\0\0\0\x02\0\0\0\x08zk2:3888";
    Output::Write { conn: ConnId(conn), bytes: Bytes::from_static(bytes) }
}

#[test]
fn the_higher_id_keeps_what_it_dialled() {
    let mut port = Port::new();
    assert_eq!(port.queue(LOWER, "vote"), [dial(LOWER)]);
    assert_eq!(port.dialled(LOWER, 7), [initial(7), Output::LinkUp(LOWER), write(7, "vote")]);
}

#[test]
fn the_lower_id_dials_to_be_called() {
    let mut port = Port::new();
    assert_eq!(port.queue(HIGHER, "vote"), [dial(HIGHER)]);
    assert_eq!(port.dialled(HIGHER, 7), [initial(7), close(7)]);
    assert_eq!(port.introduced(8, HIGHER, &["zk3"]), [Output::LinkUp(HIGHER), write(8, "vote")]);
    assert_eq!(port.links.next_deadline(), None);
}

#[test]
fn whoever_asks_to_be_called_is_called_where_it_says() {
    let mut port = Port::new();
    assert_eq!(port.introduced(7, LOWER, &["10.0.0.1"]), [close(7), dial_at(LOWER, "10.0.0.1")]);
    assert_eq!(port.introduced(8, LOWER, &["10.0.0.1"]), [close(8)], "the dial goes on");
    port.dialled(LOWER, 9);
    assert_eq!(port.introduced(10, LOWER, &["10.0.0.1"]), [close(10)], "it has just been called");
    port.now = port.now.after_ms(CROSSING_MS);
    let again = [close(11), close(9), Output::LinkDown(LOWER), dial_at(LOWER, "10.0.0.1")];
    assert_eq!(port.introduced(11, LOWER, &["10.0.0.1"]), again, "the connection may be dead by now");
    assert_eq!(
        port.step(Input::Frame { conn: ConnId(9), content: "x".into() }),
        [],
        "it is not ours any more"
    );
}

#[test]
fn a_peer_that_moved_is_not_looked_for_where_it_was() {
    let mut port = Port::new();
    assert_eq!(port.queue(LOWER, "vote"), [dial(LOWER)]);
    port.now = port.now.after_ms(CROSSING_MS);
    assert_eq!(port.introduced(7, LOWER, &["10.0.0.1"]), [close(7), dial_at(LOWER, "10.0.0.1")]);
    assert_eq!(port.dialled(LOWER, 8)[1], Output::LinkUp(LOWER));
    let both = [close(8), Output::LinkDown(LOWER), initial(9), Output::LinkUp(LOWER), write(9, "vote")];
    assert_eq!(port.dialled(LOWER, 9), both, "the dial that was given up had just succeeded");
}

/// ZOOKEEPER-2164; and servers before 3.5 give no address.
#[test]
fn wildcards_cannot_be_called() {
    for addresses in [&["0.0.0.0"][..], &["::"], &["0.0.0.0", "0:0:0:0:0:0:0:0"], &[]] {
        assert_eq!(Port::new().introduced(7, LOWER, addresses), [close(7), dial(LOWER)]);
    }
    let both = Port::new().introduced(7, LOWER, &["0.0.0.0", "zk9"]);
    assert_eq!(both, [close(7), dial_at(LOWER, "zk9")]);
}

#[test]
fn of_several_connections_the_newest_counts() {
    let mut port = Port::linked(7);
    let newer = [close(7), Output::LinkDown(HIGHER), Output::LinkUp(HIGHER)];
    assert_eq!(port.introduced(8, HIGHER, &[]), newer);
    assert_eq!(port.step(Input::Closed { conn: ConnId(7) }), [], "the old one ends unnoticed");
    let content = Bytes::from("vote");
    let delivered = Output::Deliver { from: HIGHER, content: content.clone() };
    assert_eq!(port.step(Input::Frame { conn: ConnId(8), content }), [delivered]);
}

#[test]
fn a_peer_that_called_meanwhile_is_not_asked_to_call() {
    let mut port = Port::new();
    port.queue(HIGHER, "vote");
    port.introduced(7, HIGHER, &[]);
    assert_eq!(port.dialled(HIGHER, 8), [close(8)]);
    assert_eq!(port.queue(HIGHER, "next"), [], "one frame is being written");
    assert_eq!(port.step(Input::Written { conn: ConnId(7) }), [write(7, "next")]);
}

#[test]
fn only_the_newest_message_waits() {
    let mut port = Port::linked(7);
    assert_eq!(port.queue(HIGHER, "a"), [write(7, "a")]);
    assert_eq!(port.queue(HIGHER, "b"), []);
    assert_eq!(port.queue(HIGHER, "c"), []);
    assert_eq!(port.step(Input::Written { conn: ConnId(7) }), [write(7, "c")]);
    assert_eq!(port.step(Input::Written { conn: ConnId(7) }), []);
    assert_eq!(port.queue(HIGHER, "d"), [write(7, "d")]);
}

#[test]
fn a_new_connection_repeats_the_last_message() {
    let mut port = Port::linked(7);
    port.queue(HIGHER, "a");
    assert_eq!(port.step(Input::Closed { conn: ConnId(7) }), [Output::LinkDown(HIGHER)]);
    assert_eq!(port.introduced(8, HIGHER, &[]), [Output::LinkUp(HIGHER), write(8, "a")]);
    port.queue(HIGHER, "b");
    port.step(Input::Closed { conn: ConnId(8) });
    assert_eq!(
        port.introduced(9, HIGHER, &[]),
        [Output::LinkUp(HIGHER), write(9, "b")],
        "one that waits is newer"
    );
}

#[test]
fn a_peer_that_hangs_slows_nobody() {
    let mut port = Port::linked(7);
    port.queue(HIGHER, "a");
    port.queue(HIGHER, "b");
    port.queue(LOWER, "a");
    assert_eq!(port.dialled(LOWER, 8), [initial(8), Output::LinkUp(LOWER), write(8, "a")]);
    port.step(Input::Written { conn: ConnId(8) });
    assert_eq!(port.queue(LOWER, "b"), [write(8, "b")]);
}

#[test]
fn voters_are_dialled_again_after_growing_waits() {
    let mut port = Port::new();
    port.queue(LOWER, "vote");
    let mut waits = Vec::new();
    for _ in 0..6 {
        let before = port.now;
        assert_eq!(port.step(Input::DialFailed { peer: LOWER }), []);
        assert_eq!(port.step(Input::Timer), [], "not yet");
        assert_eq!(port.queue(LOWER, "vote"), [], "messages do not hurry it");
        assert_eq!(port.wait(), [dial(LOWER)]);
        waits.push(port.now.0 - before.0);
    }
    assert_eq!(waits, [100, 200, 400, 800, 1000, 1000]);
    port.dialled(LOWER, 7);
    port.step(Input::Frame { conn: ConnId(7), content: "x".into() });
    port.step(Input::Closed { conn: ConnId(7) });
    assert_eq!(port.links.next_deadline(), Some(port.now.after_ms(100)), "one that spoke is missed soon");
}

/// A peer that takes connections and drops them is not dialled in a loop.
#[test]
fn a_connection_without_a_word_is_as_good_as_none() {
    let mut port = Port::new();
    port.queue(LOWER, "vote");
    let mut waits = Vec::new();
    for conn in 0..5 {
        port.dialled(LOWER, conn);
        let before = port.now;
        port.step(Input::Closed { conn: ConnId(conn) });
        port.wait();
        waits.push(port.now.0 - before.0);
    }
    assert_eq!(waits, [100, 200, 400, 800, 1000]);
}

#[test]
fn connect_all_dials_every_voter_that_is_missed() {
    let mut port = Port::with(&directory("1 2 3 observer=4"), false);
    assert_eq!(port.step(Input::ConnectAll), [dial(LOWER), dial(HIGHER)]);
    assert_eq!(port.step(Input::ConnectAll), [], "one dial per peer");
    port.step(Input::DialFailed { peer: LOWER });
    port.dialled(HIGHER, 7);
    assert_eq!(port.step(Input::ConnectAll), [dial(LOWER)], "3 has been asked to call");
    port.now = port.now.after_ms(CALL_BACK_MS);
    assert_eq!(port.step(Input::Timer), [dial(HIGHER)], "and has not");
}

#[test]
fn observers_are_dialled_only_with_something_to_say() {
    let mut port = Port::with(&directory("1 2 3 observer=4"), false);
    assert_eq!(port.introduced(7, OBSERVER, &["zk4"]), [Output::LinkUp(OBSERVER)]);
    port.step(Input::Closed { conn: ConnId(7) });
    assert_eq!(port.links.next_deadline(), None);
    assert_eq!(port.queue(OBSERVER, "answer"), [dial(OBSERVER)]);
    port.step(Input::DialFailed { peer: OBSERVER });
    assert_eq!(port.wait(), [dial(OBSERVER)]);
}

#[test]
fn one_without_a_number_gets_one_and_is_called() {
    let mut port = Port::new();
    let called = port.introduced(7, ServerId::ANONYMOUS, &["zk9"]);
    assert_eq!(called, [close(7), dial_at(ServerId(-1), "zk9")]);
    assert_eq!(port.dialled(ServerId(-1), 8), [initial(8), Output::LinkUp(ServerId(-1))]);
    assert_eq!(port.introduced(9, ServerId::ANONYMOUS, &["zk9"])[1], dial_at(ServerId(-2), "zk9"));
    assert_eq!(port.queue(ServerId(-1), "answer"), [write(8, "answer")]);
}

#[test]
fn strangers_are_answered_and_forgotten() {
    let stranger = ServerId(9);
    let mut port = Port::new();
    assert_eq!(port.queue(stranger, "answer"), [], "nobody knows where it is");
    assert_eq!(port.introduced(7, stranger, &["zk9"]), [Output::LinkUp(stranger)], "what was said is gone");
    assert_eq!(port.queue(stranger, "answer"), [write(7, "answer")]);
    assert_eq!(port.step(Input::Closed { conn: ConnId(7) }), [Output::LinkDown(stranger)]);
    assert!(port.links.peers.is_empty());
    assert_eq!(port.introduced(8, ServerId(0), &["zk0"]), [close(8), dial_at(ServerId(0), "zk0")]);
    assert_eq!(port.step(Input::DialFailed { peer: ServerId(0) }), []);
    assert!(port.links.peers.is_empty());
    assert_eq!(port.introduced(9, ServerId(0), &[]), [close(9)], "it does not say where it is either");
}

#[test]
fn strangers_are_bounded() {
    let mut port = Port::new();
    for stranger in 0..STRANGERS_MAX as i64 {
        port.introduced(stranger as u64, ServerId(100 + stranger), &[]);
    }
    assert_eq!(port.introduced(500, ServerId(5000), &[]), [close(500)]);
    assert_eq!(port.introduced(501, ServerId(-5000), &["zk9"]), [close(501)]);
    assert_eq!(port.introduced(502, HIGHER, &[]), [Output::LinkUp(HIGHER)], "members are always welcome");
    port.step(Input::Closed { conn: ConnId(0) });
    assert_eq!(port.introduced(503, ServerId(5000), &[]), [Output::LinkUp(ServerId(5000))]);
}

#[test]
fn nobody_talks_to_itself() {
    let mut port = Port::new();
    let content = Bytes::from("vote");
    let to_itself = Input::Queue { to: ME, frame: "\0\0\0\x04vote".into() };
    assert_eq!(port.step(to_itself), [Output::Deliver { from: ME, content }]);
    assert_eq!(port.introduced(7, ME, &["zk2"]), [close(7), Output::OwnIdCalled]);
}

#[test]
fn a_newer_configuration_adds_addresses_and_peers() {
    let (old, new) = (config("1 2 3"), config("1 2 5"));
    let moved = Configuration::parse("server.1=zk1b:2888:3888\nserver.2=zk2:2888:3888\nversion=9").unwrap();
    let mut port = Port::with(&Directory::new(ME, &old, None), false);
    let dials = port.step(Input::Members(Directory::new(ME, &old, Some(&new))));
    assert_eq!(dials, [dial(ServerId(5))], "a new voter is dialled at once");
    port.step(Input::Members(Directory::new(ME, &old, Some(&moved))));
    let addresses = vec![Address::new("zk1", 3888), Address::new("zk1b", 3888)];
    assert_eq!(port.queue(LOWER, "vote"), [Output::Dial { peer: LOWER, addresses }]);
    assert_eq!(port.dialled(ServerId(5), 7), [close(7)], "5 is gone; it will not be asked to call");
}

#[test]
fn connections_outlive_configurations() {
    let mut port = Port::linked(7);
    assert_eq!(port.step(Input::Members(directory("1 2"))), []);
    assert_eq!(port.queue(HIGHER, "answer"), [write(7, "answer")]);
    port.step(Input::Closed { conn: ConnId(7) });
    assert_eq!(port.links.next_deadline(), None, "but a stranger is not looked for");
}

#[test]
fn several_addresses_are_told_if_wanted() {
    let text = "server.1=zk1:2888:3888\nserver.2=zk2:2888:3888|zk2b:2889:3889";
    let directory = Directory::new(ME, &Configuration::parse(text).unwrap(), None);
    let mut port = Port::with(&directory, true);
    port.queue(LOWER, "vote");
    let bytes = b"\xff\xff\xff\xff\xff\xff\0\x01\0\0\0\0\0\0\0\x02\0\0\0\x12zk2:3888|zk2b:3889";
    let initial = Output::Write { conn: ConnId(7), bytes: Bytes::from_static(bytes) };
    assert_eq!(port.dialled(LOWER, 7)[0], initial);
    let mut port = Port::with(&directory, false);
    port.queue(LOWER, "vote");
    assert_eq!(port.dialled(LOWER, 7)[0], self::initial(7), "servers before 3.6 read only one");
}

/// A joiner whose configuration does not name it any more still has an address.
#[test]
fn the_own_address_is_remembered() {
    let mut port = Port::new();
    port.step(Input::Members(directory("1 3")));
    port.queue(LOWER, "vote");
    assert_eq!(port.dialled(LOWER, 7)[0], initial(7));
    let nowhere = Port::with(&directory("1 3"), false).links.initial_message();
    assert_eq!(*nowhere, 2i64.to_be_bytes(), "who never had one says only who it is");
}
