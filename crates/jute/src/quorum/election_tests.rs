use proptest::prelude::*;

use super::*;

fn initial(form: InitialForm, server: i64, addresses: &[(&str, u16)]) -> InitialMessage {
    let addresses = addresses.iter().map(|(host, port)| Address::new(*host, *port)).collect();
    InitialMessage { form, server: ServerId(server), addresses }
}

fn check_initial(bytes: &[u8], expected: &InitialMessage) {
    let followed = [bytes, b"frame"].concat();
    assert_eq!(InitialMessage::decode_stream(&followed), Ok(Some((expected.clone(), bytes.len()))));
    let mut out = Vec::new();
    expected.encode(&mut out).unwrap();
    assert_eq!(out, bytes);
    for length in 0..bytes.len() {
        assert_eq!(InitialMessage::decode_stream(&bytes[..length]), Ok(None));
    }
}

fn with_addresses(version: i64, text: &str) -> Vec<u8> {
    let length = (text.len() as i32).to_be_bytes();
    [&version.to_be_bytes()[..], &7i64.to_be_bytes(), &length, text.as_bytes()].concat()
}

/// Bytes of Java 3.4.14 and 3.8.0.
#[test]
fn initial_messages_match_captured_bytes() {
    check_initial(b"\0\0\0\0\0\0\0\x03", &initial(InitialForm::IdOnly, 3, &[]));
    check_initial(
        b"\xff\xff\xff\xff\xff\xff\0\0\0\0\0\0\0\0\0\x02\0\0\0\x0f127.0.0.1:24302",
        &initial(InitialForm::V1, 2, &[("127.0.0.1", 24302)]),
    );
    check_initial(
        b"\xff\xff\xff\xff\xff\xff\0\x01\0\0\0\0\0\0\0\x01\0\0\0\x1f127.0.0.1:24321|127.0.0.1:24301",
        &initial(InitialForm::V2, 1, &[("127.0.0.1", 24321), ("127.0.0.1", 24301)]),
    );
}

#[test]
fn hosts_of_initial_messages_are_kept_as_sent() {
    check_initial(
        &with_addresses(-65535, "[::1]:3888|zk-1.example:3888|0.0.0.0:1"),
        &initial(InitialForm::V2, 7, &[("::1", 3888), ("zk-1.example", 3888), ("0.0.0.0", 1)]),
    );
}

#[test]
fn negative_ids_are_for_listeners_to_give() {
    for version in [-1, -65534, -65537, i64::MIN] {
        let bytes = version.to_be_bytes();
        assert_eq!(InitialMessage::decode_stream(&bytes), Err(InitialError::UnknownVersion { version }));
    }
    let anonymous = initial(InitialForm::IdOnly, i64::MAX, &[]);
    assert_eq!(anonymous.server, ServerId::ANONYMOUS);
    check_initial(&i64::MAX.to_be_bytes(), &anonymous);
}

#[test]
fn addresses_have_a_length_between_1_and_2048() {
    let server = ServerId(7);
    for length in [i32::MIN, -1, 0, 2049, i32::MAX] {
        let mut bytes = with_addresses(-65536, "a:1");
        bytes[16..20].copy_from_slice(&length.to_be_bytes());
        let error = InitialError::UnreasonableLength { server, length: length.into() };
        assert_eq!(InitialMessage::decode_stream(&bytes), Err(error));
    }
    let longest = format!("{}:1", "h".repeat(INITIAL_BYTES_MAX - 2));
    assert!(InitialMessage::decode_stream(&with_addresses(-65536, &longest)).unwrap().is_some());
    for hosts in [vec![], vec!["h".repeat(1023), "h".repeat(1023)]] {
        let addresses = hosts.into_iter().map(|host| Address::new(host, 1)).collect();
        let message = InitialMessage { form: InitialForm::V2, server, addresses };
        let mut out = Vec::new();
        assert!(matches!(message.encode(&mut out), Err(InitialError::UnreasonableLength { .. })));
        assert_eq!(out, b"");
    }
}

#[test]
fn what_is_no_address_is_named() {
    for (text, address) in [
        ("zk1", "zk1"),
        ("a:1|zk1:1:2", "zk1:1:2"),
        ("zk1:x", "zk1:x"),
        ("zk1:65536", "zk1:65536"),
        ("zk1:-1", "zk1:-1"),
        ("[::1", "[::1"),
        ("[::1]", "[::1]"),
        ("::1:1", "::1:1"),
        ("|a:1", ""),
    ] {
        let error = InitialError::Address { server: ServerId(7), address: address.to_owned() };
        assert_eq!(InitialMessage::decode_stream(&with_addresses(-65535, text)), Err(error), "{text}");
    }
    let (message, _) = InitialMessage::decode_stream(&with_addresses(-65535, "a:1||")).unwrap().unwrap();
    assert_eq!(message.addresses, [Address::new("a", 1)], "Java's split drops what is empty at the end");
}

#[test]
fn frames_are_bounded() {
    assert_eq!(frame(b"\0\0\0\x02ab\0"), Ok(Some((&b"ab"[..], 6))));
    for length in 0..6 {
        assert_eq!(frame(&b"\0\0\0\x02ab"[..length]), Ok(None));
    }
    assert_eq!(frame(&524_288i32.to_be_bytes()), Ok(None));
    for length in [i32::MIN, -1, 0, 524_289, i32::MAX] {
        let error = FrameError::UnreasonableLength { length: length.into() };
        assert_eq!(frame(&length.to_be_bytes()), Err(error));
    }
}

fn vote(version: i32, config: Option<&str>) -> Notification<'_> {
    Notification {
        state: PeerState::Leading,
        leader: ServerId(3),
        zxid: Zxid(0x5_0000_0007),
        round: 2,
        epoch: Epoch(6),
        version,
        config: config.map(Into::into),
    }
}

/// A frame's content of version 2 with the configuration `version=0`.
fn content() -> Vec<u8> {
    let mut out = Vec::new();
    vote(2, Some("version=0")).encode_frame(&mut out).unwrap();
    let (content, length) = frame(&out).unwrap().unwrap();
    assert_eq!(length, out.len());
    content.to_vec()
}

#[test]
fn notification_has_its_fields_in_order() {
    let expected = b"\0\0\0\x02\0\0\0\0\0\0\0\x03\0\0\0\x05\0\0\0\x07\0\0\0\0\0\0\0\x02\
                     \0\0\0\0\0\0\0\x06\0\0\0\x02\0\0\0\x09version=0";
    assert_eq!(content(), expected);
    assert_eq!(Notification::decode(expected), Ok(vote(2, Some("version=0"))));
}

/// 28 bytes came from servers before 3.4.0, 36 from 3.4.0 to 3.4.5, 40 from later 3.4, with a version that
/// later servers do not look at.
#[test]
fn length_tells_the_form() {
    let content = content();
    for length in 0..content.len() {
        let expected = match length {
            0..28 => Err(NotificationError::Short { length }),
            28 => Ok(Notification { epoch: Epoch(5), ..vote(0, None) }),
            40 => Ok(vote(0, None)),
            29..44 => Err(NotificationError::Truncated { length }),
            _ => Err(NotificationError::ConfigLength { config_length: 9, length }),
        };
        assert_eq!(Notification::decode(&content[..length]), expected, "{length} bytes");
    }
}

#[test]
fn versions_below_2_have_no_configuration() {
    for version in [i32::MIN, -1, 0, 1] {
        let mut content = content();
        content[36..40].copy_from_slice(&version.to_be_bytes());
        assert_eq!(Notification::decode(&content), Ok(vote(version, None)));
        assert_eq!(Notification::decode(&content[..41]), Ok(vote(version, None)));
    }
    let mut content = content();
    content[39] = 3;
    assert_eq!(Notification::decode(&content), Ok(vote(3, Some("version=0"))));
}

#[test]
fn configuration_is_within_the_frame() {
    let length = content().len();
    for config_length in [i32::MIN, -1, 10, i32::MAX] {
        let mut content = content();
        content[40..44].copy_from_slice(&config_length.to_be_bytes());
        let error = NotificationError::ConfigLength { config_length, length };
        assert_eq!(Notification::decode(&content), Err(error));
    }
    let mut content = content();
    content[43] = 7;
    assert_eq!(Notification::decode(&content), Ok(vote(2, Some("version"))), "what is behind it is ignored");
}

#[test]
fn states_are_four() {
    for state in [-1, 4, i32::MIN, i32::MAX] {
        let mut content = content();
        content[..4].copy_from_slice(&state.to_be_bytes());
        assert_eq!(Notification::decode(&content), Err(NotificationError::UnknownState { state }));
    }
    for (code, state) in [PeerState::Looking, PeerState::Following, PeerState::Leading, PeerState::Observing]
        .into_iter()
        .enumerate()
    {
        assert_eq!(PeerState::from_code(code as i32), Some(state));
        assert_eq!(state as usize, code);
    }
}

#[test]
fn a_configuration_that_no_server_would_take_is_not_sent() {
    let longest = "#".repeat(FRAME_BYTES_MAX - 44);
    let mut out = Vec::new();
    vote(2, Some(&longest)).encode_frame(&mut out).unwrap();
    assert!(frame(&out).unwrap().is_some());
    out.clear();
    let error = FrameError::UnreasonableLength { length: FRAME_BYTES_MAX as i64 + 1 };
    assert_eq!(vote(2, Some(&(longest + "#"))).encode_frame(&mut out), Err(error));
    assert_eq!(out, b"");
}

proptest! {
    #[test]
    fn notifications_come_back(
        (code, leader, zxid, round, epoch) in (0..4, any::<i64>(), any::<i64>(), any::<i64>(), any::<i64>()),
        config in "\\PC{0,40}",
    ) {
        let state = PeerState::from_code(code).unwrap();
        let (leader, zxid, epoch) = (ServerId(leader), Zxid(zxid), Epoch(epoch));
        let sent = Notification { state, leader, zxid, round, epoch, version: 2, config: Some(config.into()) };
        let mut out = Vec::new();
        sent.encode_frame(&mut out).unwrap();
        prop_assert_eq!(Notification::decode(frame(&out).unwrap().unwrap().0), Ok(sent));
    }

    #[test]
    fn initial_messages_come_back(
        server in any::<i64>(),
        addresses in proptest::collection::vec(("[a-z0-9.:%-]{1,20}", any::<u16>()), 1..5),
    ) {
        let addresses = addresses.into_iter().map(|(host, port)| Address::new(host, port)).collect();
        let sent = InitialMessage { form: InitialForm::V2, server: ServerId(server), addresses };
        let mut out = Vec::new();
        sent.encode(&mut out).unwrap();
        let length = out.len();
        prop_assert_eq!(InitialMessage::decode_stream(&out), Ok(Some((sent, length))));
    }

    #[test]
    fn any_bytes_decode_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = frame(&bytes);
        let _ = Notification::decode(&bytes);
        let _ = InitialMessage::decode_stream(&bytes);
        let _ = InitialMessage::decode_stream(&with_addresses(-65535, &String::from_utf8_lossy(&bytes)));
    }
}
