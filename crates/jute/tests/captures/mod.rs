//! Captured traffic between Java servers, as `tests/data/golden/zab-java-3.8.0/README.md` describes it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

/// One message as it was captured: what a reader of the captures made of it, and its bytes.
pub struct Record {
    pub fields: Value,
    pub bytes: Vec<u8>,
}

impl Record {
    pub fn kind(&self) -> &str {
        self.fields["kind"].as_str().unwrap()
    }

    /// A number that is written in hexadecimal.
    pub fn hex(&self, pointer: &str) -> Option<i64> {
        hex(self.fields.pointer(pointer)?)
    }

    pub fn int(&self, pointer: &str) -> Option<i64> {
        self.fields.pointer(pointer)?.as_i64()
    }

    pub fn text(&self, pointer: &str) -> Option<&str> {
        self.fields.pointer(pointer)?.as_str()
    }
}

pub fn hex(value: &Value) -> Option<i64> {
    let digits = value.as_str()?.strip_prefix("0x")?;
    u64::from_str_radix(digits, 16).ok().map(|bits| bits as i64)
}

/// Everything that went one way over one connection.
pub struct Stream {
    /// Capture, connection and direction, for messages.
    pub name: String,
    pub is_election: bool,
    pub is_from_dialer: bool,
    pub records: Vec<Record>,
}

impl Stream {
    pub fn bytes(&self) -> Vec<u8> {
        self.records.iter().flat_map(|record| &record.bytes).copied().collect()
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap();
    assert!(text.len().is_multiple_of(2), "{text}");
    text.as_bytes().chunks(2).map(byte).collect()
}

/// All streams of all captures; opening and closing of connections, and notes, have no bytes.
pub fn streams() -> Vec<Stream> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/golden");
    let mut streams = BTreeMap::new();
    for folder in ["zab-java-3.8.0", "zab-java-other-versions"] {
        for entry in std::fs::read_dir(golden.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "jsonl") {
                let capture = path.file_stem().unwrap().to_str().unwrap();
                for line in std::fs::read_to_string(&path).unwrap().lines() {
                    add(&mut streams, capture, serde_json::from_str(line).unwrap());
                }
            }
        }
    }
    streams.into_values().collect()
}

fn add(streams: &mut BTreeMap<String, Stream>, capture: &str, fields: Value) {
    let Some(bytes) = fields.get("hex") else {
        let kind = fields["kind"].as_str().unwrap();
        assert!(kind == "NOTE" || kind.starts_with("TCP_"), "{capture}: {kind} without bytes");
        return;
    };
    let bytes = unhex(bytes.as_str().unwrap());
    let (port, direction) = (fields["port"].as_str().unwrap(), fields["dir"].as_str().unwrap());
    let name = format!("{capture}, {port} connection {}, {direction}", fields["conn"]);
    let stream = streams.entry(name.clone()).or_insert_with(|| Stream {
        name,
        is_election: port == "election",
        is_from_dialer: direction == "dialer->listener",
        records: Vec::new(),
    });
    stream.records.push(Record { fields, bytes });
}
