//! What servers say to each other: the stream of packets in both directions, votes, greetings, configurations, and the
//! stream of a snapshot.
//!
//! ```text
//! input = { which decoder (1 byte) } bytes
//! ```
//!
//! What decodes survives being encoded; a stream gives the same whether it comes at once or in pieces.

#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use zabd_jute::quorum::{
    AuthPacket, Configuration, FromLeader, FromLearner, InitialMessage, Notification, QuorumPacket,
    SnapshotStream, frame,
};
use zabd_jute::{Limits, Writer};

const LIMITS: Limits = Limits { field_bytes_max: 1 << 16 };

fuzz_target!(|input: &[u8]| {
    let Some((which, bytes)) = input.split_first() else { return };
    match which % 6 {
        0 => packets(bytes, true),
        1 => packets(bytes, false),
        2 => notification(bytes),
        3 => greeting(bytes),
        4 => configuration(bytes),
        _ => snapshot(bytes, usize::from(which >> 3) + 1),
    }
});

fn encoded(encode: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&mut Writer::new(&mut bytes));
    bytes
}

fn packets(mut rest: &[u8], are_of_leader: bool) {
    while let Ok(Some(length)) = QuorumPacket::length(rest, LIMITS) {
        let whole =
            |bytes| QuorumPacket::decode_stream(bytes, LIMITS).expect("it decodes").expect("it is whole");
        let (packet, read) = whole(rest);
        assert_eq!(length, read, "the length is where the next packet begins");
        if are_of_leader {
            if let Ok(Some(said)) = FromLeader::decode(&packet) {
                let again = encoded(|writer| said.encode(writer));
                assert_eq!(FromLeader::decode(&whole(&again).0), Ok(Some(said)));
            }
        } else if let Ok(Some(said)) = FromLearner::decode(packet) {
            let again = encoded(|writer| said.encode(writer));
            assert_eq!(FromLearner::decode(whole(&again).0), Ok(Some(said)));
        }
        rest = &rest[length..];
    }
}

fn notification(bytes: &[u8]) {
    let Ok(vote) = Notification::decode(bytes) else { return };
    let mut framed = Vec::new();
    if vote.encode_frame(&mut framed).is_ok() {
        let (content, length) = frame(&framed).expect("our own frame is one").expect("it is whole");
        assert_eq!(length, framed.len());
        let mut again = Vec::new();
        Notification::decode(content)
            .expect("our own vote decodes")
            .encode_frame(&mut again)
            .expect("it fits");
        assert_eq!(again, framed);
    }
}

fn greeting(bytes: &[u8]) {
    drop(InitialMessage::decode_stream(bytes));
    drop(AuthPacket::decode_stream(bytes, LIMITS));
}

fn configuration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(configuration) = Configuration::parse(text) {
        // As in Java, a version below 0 is printed as what cannot be read again.
        if configuration.version().0 < 0 {
            return;
        }
        let text = configuration.to_string();
        let again = Configuration::parse(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        // In what order Java prints two servers of one bucket depends on the order in which it read them.
        let sorted = |text: &str| text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(sorted(&again.to_string()), sorted(&text));
    }
}

/// The body that is found, and how much of the stream it took.
fn body_in_pieces(bytes: &[u8], piece: usize) -> Option<(Vec<u8>, usize)> {
    let mut stream = SnapshotStream::new(LIMITS);
    let (mut waiting, mut body, mut taken_bytes) = (BytesMut::new(), Vec::new(), 0);
    for chunk in bytes.chunks(piece) {
        waiting.extend_from_slice(chunk);
        let taken = stream.take(&waiting).ok()?;
        let part: Bytes = waiting.split_to(taken.stream).freeze();
        body.extend_from_slice(&part[..taken.body]);
        taken_bytes += taken.stream;
        if taken.is_complete {
            return Some((body, taken_bytes));
        }
    }
    None
}

fn snapshot(bytes: &[u8], piece: usize) {
    assert_eq!(body_in_pieces(bytes, piece), body_in_pieces(bytes, bytes.len().max(1)));
}
