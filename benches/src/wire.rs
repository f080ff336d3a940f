//! The few messages a load generator says and hears: requests into a buffer, replies out of a frame.
//!
//! Built on `zabd_jute`'s primitives alone, so that measuring does not depend on the records that the
//! server uses, and a mistake there cannot hide itself here. Encoding appends to a buffer that the
//! connection keeps; nothing is allocated per request.

use zabd_jute::{DecodeError, OpCode, Reader, Writer};

/// The xid of a watch event.
const XID_EVENT: i32 = -1;
/// The xid of a ping and of its reply.
pub const XID_PING: i32 = -2;
/// `ZooDefs.Perms.ALL`.
const PERMS_ALL: i32 = 31;
/// Any version matches.
const VERSION_ANY: i32 = -1;

/// Appends one frame: its length, then what `body` writes.
fn frame(out: &mut Vec<u8>, body: impl FnOnce(&mut Writer<'_>)) {
    let mut w = Writer::new(out);
    let length = w.reserve_int();
    body(&mut w);
    w.fill_length(length);
}

fn request(out: &mut Vec<u8>, xid: i32, op: OpCode, body: impl FnOnce(&mut Writer<'_>)) {
    frame(out, |w| {
        w.int(xid);
        w.int(op.code());
        body(w);
    });
}

/// `ConnectRequest` for a new session.
pub fn connect(out: &mut Vec<u8>, timeout_ms: i32) {
    frame(out, |w| {
        w.int(0); // Protocol version.
        w.long(0); // Last zxid seen: nothing yet.
        w.int(timeout_ms);
        w.long(0); // Session id: a new one.
        w.buffer(Some(&[0; 16]));
        w.boolean(false); // Read-only servers are not welcome.
    });
}

/// `getData`.
pub fn get(out: &mut Vec<u8>, xid: i32, path: &[u8], watch: bool) {
    request(out, xid, OpCode::GetData, |w| {
        w.buffer(Some(path));
        w.boolean(watch);
    });
}

/// `exists`.
pub fn exists(out: &mut Vec<u8>, xid: i32, path: &[u8]) {
    request(out, xid, OpCode::Exists, |w| {
        w.buffer(Some(path));
        w.boolean(false);
    });
}

/// `setData` of any version.
pub fn set(out: &mut Vec<u8>, xid: i32, path: &[u8], data: &[u8]) {
    request(out, xid, OpCode::SetData, |w| {
        w.buffer(Some(path));
        w.buffer(Some(data));
        w.int(VERSION_ANY);
    });
}

/// The flags of `create`.
const PERSISTENT: i32 = 0;
const EPHEMERAL: i32 = 1;

fn create_body(w: &mut Writer<'_>, path: &[u8], data: &[u8], flags: i32) {
    w.buffer(Some(path));
    w.buffer(Some(data));
    w.count(1);
    w.int(PERMS_ALL);
    w.ustring("world");
    w.ustring("anyone");
    w.int(flags);
}

/// `create` of a persistent znode open to everyone.
pub fn create(out: &mut Vec<u8>, xid: i32, path: &[u8], data: &[u8]) {
    request(out, xid, OpCode::Create, |w| create_body(w, path, data, PERSISTENT));
}

/// `create` of a znode that goes with its session.
pub fn create_ephemeral(out: &mut Vec<u8>, xid: i32, path: &[u8], data: &[u8]) {
    request(out, xid, OpCode::Create, |w| create_body(w, path, data, EPHEMERAL));
}

/// `delete` of any version.
pub fn delete(out: &mut Vec<u8>, xid: i32, path: &[u8]) {
    request(out, xid, OpCode::Delete, |w| {
        w.buffer(Some(path));
        w.int(VERSION_ANY);
    });
}

/// `addWatch`, mode 0: persistent, not recursive.
pub fn add_persistent_watch(out: &mut Vec<u8>, xid: i32, path: &[u8]) {
    request(out, xid, OpCode::AddWatch, |w| {
        w.buffer(Some(path));
        w.int(0);
    });
}

/// `ping`.
pub fn ping(out: &mut Vec<u8>) {
    request(out, XID_PING, OpCode::Ping, |_| ());
}

/// `closeSession`.
pub fn close(out: &mut Vec<u8>, xid: i32) {
    request(out, xid, OpCode::CloseSession, |_| ());
}

/// A `multi` under construction, operation by operation.
#[derive(Debug)]
pub struct Multi<'o> {
    out: &'o mut Vec<u8>,
    frame_length: usize,
}

impl<'o> Multi<'o> {
    /// Begins a multi at the end of `out`.
    pub fn begin(out: &'o mut Vec<u8>, xid: i32) -> Self {
        let mut w = Writer::new(out);
        let frame_length = w.reserve_int();
        w.int(xid);
        w.int(OpCode::Multi.code());
        Self { out, frame_length }
    }

    fn header(&mut self, kind: i32, done: bool) -> Writer<'_> {
        let mut w = Writer::new(self.out);
        w.int(kind);
        w.boolean(done);
        w.int(-1);
        w
    }

    /// Adds a create of a persistent znode.
    pub fn create(&mut self, path: &[u8], data: &[u8]) {
        create_body(&mut self.header(OpCode::Create.code(), false), path, data, PERSISTENT);
    }

    /// Adds a delete of any version.
    pub fn delete(&mut self, path: &[u8]) {
        let mut w = self.header(OpCode::Delete.code(), false);
        w.buffer(Some(path));
        w.int(VERSION_ANY);
    }

    /// Writes the terminator and the frame's length.
    pub fn end(mut self) {
        self.header(-1, true);
        Writer::new(self.out).fill_length(self.frame_length);
    }
}

/// What the server made of a `ConnectRequest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connected {
    /// Negotiated, in milliseconds; 0 or less is a refusal.
    pub timeout_ms: i32,
    /// The session's id.
    pub session: i64,
}

impl Connected {
    /// Reads a `ConnectResponse`; bytes behind the session's id are of no interest.
    pub fn decode(frame: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(frame);
        r.int()?; // Protocol version.
        Ok(Self { timeout_ms: r.int()?, session: r.long()? })
    }
}

/// A frame of an established session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// The answer to a request.
    Reply {
        /// The request's.
        xid: i32,
        /// 0, or ZooKeeper's negative code.
        error: i32,
        /// The record behind the header.
        body: &'a [u8],
    },
    /// A watch has fired.
    Event,
}

impl<'a> Incoming<'a> {
    /// Reads the header of a reply or an event.
    pub fn decode(frame: &'a [u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(frame);
        let xid = r.int()?;
        r.long()?; // The zxid.
        let error = r.int()?;
        Ok(if xid == XID_EVENT { Self::Event } else { Self::Reply { xid, error, body: r.remaining() } })
    }
}

/// The first error among the results of a `multi`, if one failed.
pub fn multi_error(body: &[u8]) -> Result<Option<i32>, DecodeError> {
    let mut r = Reader::new(body);
    let kind = r.int()?;
    if r.boolean()? || kind != OpCode::Error.code() {
        return Ok(None);
    }
    // A multi fails as a whole: every result is an error, the culprit's is neither 0 nor −2.
    let mut first = r.int()?;
    while first == 0 {
        r.int()?; // The result repeats its header's code.
        r.int()?; // The next result's type.
        if r.boolean()? {
            break;
        }
        first = r.int()?;
    }
    Ok(Some(first))
}

/// Cuts complete frames off the front of received bytes.
#[derive(Debug)]
pub struct Frames<'a> {
    bytes: &'a [u8],
}

impl<'a> Frames<'a> {
    /// Frames of `bytes`, which begin at a frame's length.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// What is left when there is no complete frame any more.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, behind) = self.bytes.split_first_chunk::<4>()?;
        // A negative length becomes a huge one: never complete, and the connection ends at its deadline.
        let frame = behind.get(..u32::from_be_bytes(*length) as usize)?;
        self.bytes = &behind[frame.len()..];
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let pair = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap();
        digits.chunks(2).map(pair).collect()
    }

    fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        encode(&mut out);
        out
    }

    /// The bytes on the right are what ZooKeeper's own client sends.
    #[test]
    fn requests_are_what_a_java_client_sends() {
        let connect_bytes = hex("0000002d 00000000 0000000000000000 00002710 0000000000000000 00000010 \
             00000000000000000000000000000000 00");
        assert_eq!(encoded(|out| connect(out, 10_000)), connect_bytes);
        assert_eq!(
            encoded(|out| create(out, 2, b"/a", b"abc")),
            hex("00000034 00000002 00000001 00000002 2f61 00000003 616263 00000001 0000001f 00000005 \
                 776f726c64 00000006 616e796f6e65 00000000"),
        );
        assert_eq!(encoded(|out| exists(out, 15, b"/a")), hex("0000000f 0000000f 00000003 00000002 2f61 00"));
        assert_eq!(encoded(ping), hex("00000008 fffffffe 0000000b"));
        assert_eq!(encoded(|out| close(out, 1)), hex("00000008 00000001 fffffff5"));
        assert_eq!(
            encoded(|out| get(out, 3, b"/a", true)),
            hex("0000000f 00000003 00000004 00000002 2f61 01")
        );
        let set_bytes = hex("00000017 00000004 00000005 00000002 2f61 00000001 78 ffffffff");
        assert_eq!(encoded(|out| set(out, 4, b"/a", b"x")), set_bytes);
        let watch_bytes = hex("00000012 00000005 0000006a 00000002 2f61 00000000");
        assert_eq!(encoded(|out| add_persistent_watch(out, 5, b"/a")), watch_bytes);
    }

    #[test]
    fn a_multi_ends_with_its_terminator_and_knows_its_length() {
        let bytes = encoded(|out| {
            out.push(7); // Something of an earlier frame.
            let mut multi = Multi::begin(out, 9);
            multi.delete(b"/a");
            multi.end();
        });
        let expected = hex("07 00000024 00000009 0000000e 00000002 00 ffffffff 00000002 2f61 ffffffff \
                            ffffffff 01 ffffffff");
        assert_eq!(bytes, expected);
    }

    #[test]
    fn replies_events_and_refusals_are_told_apart() {
        let response = hex("00000000 00002710 010000287a360000 00000010 4859c40935e5c51b66010d8a068575ca 00");
        let connected = Connected { timeout_ms: 10_000, session: 0x0100_0028_7a36_0000 };
        assert_eq!(Connected::decode(&response), Ok(connected));

        let reply = hex("00000003 0000000000000006 ffffff92");
        assert_eq!(Incoming::decode(&reply), Ok(Incoming::Reply { xid: 3, error: -110, body: b"" }));
        let event = hex("ffffffff ffffffffffffffff 00000000 00000003 00000003 00000002 2f61");
        assert_eq!(Incoming::decode(&event), Ok(Incoming::Event));
        for length in 0..reply.len() {
            assert!(Incoming::decode(&reply[..length]).is_err(), "{length} bytes are no header");
        }
    }

    #[test]
    fn a_failed_multi_names_its_culprit() {
        let failed = hex(
            "ffffffff 00 00000000 00000000  ffffffff 00 ffffff99 ffffff99  ffffffff 00 fffffffe fffffffe \
             ffffffff 01 ffffffff",
        );
        assert_eq!(multi_error(&failed), Ok(Some(-103)));
        assert_eq!(multi_error(&hex("00000002 00 00000000  ffffffff 01 ffffffff")), Ok(None));
        assert_eq!(multi_error(&hex("ffffffff 01 ffffffff")), Ok(None), "an empty multi succeeds");
    }

    #[test]
    fn frames_wait_for_their_last_byte() {
        let bytes = hex("00000002 aabb 00000000 00000003 cc");
        let mut frames = Frames::new(&bytes);
        assert_eq!(frames.next(), Some(&[0xaa, 0xbb][..]));
        assert_eq!(frames.next(), Some(&[][..]));
        assert_eq!(frames.next(), None);
        assert_eq!(frames.rest(), hex("00000003 cc"));
        let negative = hex("ffffffff 00");
        assert_eq!(Frames::new(&negative).next(), None);
    }
}
