//! One transaction as `zkTxnLogToolkit.sh` prints it.
//!
//! Records are decoded here as Java decodes them, which is laxer than what a server may act upon: any string may be null, and
//! what a record inside of a multi means is not looked at. Text and access lists have the form of jute's
//! `ToStringOutputArchive`: `'` before a string, `s{…}` around a record, `v{…}` around a vector, and a line's end behind each
//! record, also within a line. Follows Java's `SerializeUtils.deserializeTxn` and `TxnLogToolkit.printTxn`.

use std::borrow::Cow;
use std::fmt::Write as _;

use zabd_jute::txn::{TxnDigest, TxnHeader};
use zabd_jute::{Acl, DecodeError, Id, Limits, OpCode, Reader, Record as _, lenient};

use crate::console::Thrown;
use crate::dates::Dates;

/// Appends the lines of an entry.
pub(crate) fn print(
    entry: &[u8],
    limits: Limits,
    dates: &mut Dates,
    out: &mut String,
) -> Result<TxnHeader, Thrown> {
    let mut r = Reader::with_limits(entry, limits);
    let header = TxnHeader::decode(&mut r)?;
    let TxnHeader { session, cxid, zxid, time_ms, kind } = header;
    let (session, cxid, zxid) = (session.0, i64::from(cxid), zxid.0);
    let date = dates.text(time_ms);
    let name = Name(kind);
    write(out, format_args!("{date} session {session:#x} cxid {cxid:#x} zxid {zxid:#x} {name} "));
    print_body(&mut r, kind, out)?;
    if !out.ends_with('\n') {
        out.push('\n');
    }
    Ok(header)
}

fn write(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a string cannot fail");
}

/// `Request.op2String`.
struct Name(i32);

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self.0 {
            0 => "notification",
            1 => "create",
            2 => "delete",
            3 => "exists",
            4 => "getData",
            5 => "setData",
            6 => "getACL",
            7 => "setACL",
            8 => "getChildren",
            9 => "sync",
            11 => "ping",
            12 => "getChildren2",
            13 => "check",
            14 => "multi",
            15 => "create2",
            16 => "reconfig",
            17 => "checkWatches",
            18 => "removeWatches",
            19 => "createContainer",
            20 => "deleteContainer",
            21 => "createTTL",
            22 => "multiRead",
            100 => "auth",
            101 => "setWatches",
            102 => "sasl",
            103 => "getEphemerals",
            104 => "getAllChildrenNumber",
            105 => "setWatches2",
            106 => "addWatch",
            107 => "whoAmI",
            -10 => "createSession",
            -11 => "closeSession",
            -1 => "error",
            other => return write!(f, "unknown {other}"),
        };
        f.write_str(name)
    }
}

fn print_body(r: &mut Reader<'_>, kind: i32, out: &mut String) -> Result<(), Thrown> {
    let Some(op) = OpCode::from_code(kind) else { return Err(unsupported(kind)) };
    match op {
        OpCode::CreateSession | OpCode::Error => write(out, format_args!("{}\n", r.int()?)),
        OpCode::CloseSession => print_closing(r, out)?,
        OpCode::Create | OpCode::Create2 => print_create(r, op, out)?,
        OpCode::CreateContainer | OpCode::CreateTtl => {
            print_node(r, out)?;
            write(out, format_args!(",{}", r.int()?));
            if op == OpCode::CreateTtl {
                write(out, format_args!(",{}", r.long()?));
            }
        }
        OpCode::Delete | OpCode::DeleteContainer => {
            put_string(r.ustring_or_null()?.as_deref(), out);
            out.push('\n');
        }
        OpCode::SetData | OpCode::Reconfig => {
            out.push_str(r.ustring_or_null()?.as_deref().unwrap_or("null"));
            out.push(',');
            out.push_str(&lenient(r.buffer()?.unwrap_or_default()));
            write(out, format_args!(",{}", r.int()?));
        }
        OpCode::SetAcl => {
            put_string(r.ustring_or_null()?.as_deref(), out);
            let list = r.vector_or_null(Acl::decode)?.unwrap_or_default();
            out.push_str(",v{");
            for (place, acl) in list.iter().enumerate() {
                out.push_str(if place == 0 { "s{" } else { ",s{" });
                put_acl(acl, out);
                out.push('}');
            }
            write(out, format_args!("}},{}\n", r.int()?));
        }
        // Java refuses what its older servers logged, and does not print what follows.
        OpCode::Check => {
            put_string(r.ustring_or_null()?.as_deref(), out);
            write(out, format_args!(",{}\n", r.int()?));
        }
        OpCode::Multi => print_multi(r, out)?,
        _ => return Err(unsupported(kind)),
    }
    Ok(())
}

fn unsupported(kind: i32) -> Thrown {
    Thrown::io(format!("Unsupported Txn with type={kind}"))
}

fn print_create(r: &mut Reader<'_>, op: OpCode, out: &mut String) -> Result<(), Thrown> {
    print_node(r, out)?;
    write(out, format_args!(",{}", r.boolean()?));
    match r.int() {
        Ok(parent_cversion) => write(out, format_args!(",{parent_cversion}")),
        // Servers before 3.4 wrote none.
        Err(DecodeError::Truncated { .. }) if op == OpCode::Create => out.push_str(",-1"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Path, data and access list of a new znode.
fn print_node(r: &mut Reader<'_>, out: &mut String) -> Result<(), Thrown> {
    out.push_str(r.ustring_or_null()?.as_deref().unwrap_or("null"));
    out.push(',');
    out.push_str(&lenient(r.buffer()?.unwrap_or_default()));
    out.push(',');
    match r.vector_or_null(Acl::decode)? {
        None => out.push_str("null"),
        Some(list) => {
            out.push('[');
            for (place, acl) in list.iter().enumerate() {
                out.push_str(if place == 0 { "" } else { ", " });
                put_acl(acl, out);
                out.push('\n');
            }
            out.push(']');
        }
    }
    Ok(())
}

/// The paths that end with the session. A server that kept no list wrote nothing, or only a digest, which Java takes for a
/// list that breaks off, if its numbers allow.
fn print_closing(r: &mut Reader<'_>, out: &mut String) -> Result<(), Thrown> {
    let rest = r.remaining();
    if rest.len() == DIGEST_BYTES && rest.starts_with(&TxnDigest::VERSION.to_be_bytes()) {
        return Ok(());
    }
    let paths = match r.vector_or_null(Reader::ustring_or_null) {
        Ok(paths) => paths.unwrap_or_default(),
        Err(DecodeError::Truncated { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    out.push_str("v{");
    for (place, path) in paths.iter().enumerate() {
        out.push_str(if place == 0 { "" } else { "," });
        put_string(path.as_deref(), out);
    }
    out.push_str("}\n");
    Ok(())
}

/// Version and digest.
const DIGEST_BYTES: usize = 12;

fn print_multi(r: &mut Reader<'_>, out: &mut String) -> Result<(), Thrown> {
    let parts = r.vector_or_null(|r| Ok((r.int()?, r.buffer()?)))?;
    let parts = parts.ok_or_else(|| {
        Thrown::null_pointer("Cannot invoke \"java.util.List.size()\" because \"txnList\" is null")
    })?;
    for (place, (kind, body)) in parts.into_iter().enumerate() {
        let before = if place == 0 { "" } else { ";" };
        write(out, format_args!("{before}{}:{}", Name(kind), lenient(body.unwrap_or_default())));
    }
    Ok(())
}

fn put_acl(acl: &Acl<'_>, out: &mut String) {
    let Acl { perms, id: Id { scheme, id } } = acl;
    write(out, format_args!("{perms},s{{"));
    put_string(scheme.as_deref(), out);
    out.push(',');
    put_string(id.as_deref(), out);
    out.push('}');
}

fn put_string(text: Option<&str>, out: &mut String) {
    let Some(text) = text else { return };
    out.push('\'');
    out.push_str(&escaped(text));
}

fn escaped(text: &str) -> Cow<'_, str> {
    const ESCAPED: [char; 6] = ['\0', '\n', '\r', ',', '}', '%'];
    if !text.contains(ESCAPED) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if ESCAPED.contains(&c) {
            write(&mut out, format_args!("%{:02X}", c as u32));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every kind of transaction that is decoded, and some that are none.
    const KINDS: [i32; 16] = [-11, -10, -1, 1, 2, 4, 5, 7, 13, 14, 15, 16, 19, 20, 21, 99];

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(kind in 0..KINDS.len(), body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut entry = vec![0; 28];
            entry.extend_from_slice(&KINDS[kind].to_be_bytes());
            entry.extend_from_slice(&body);
            let mut text = String::new();
            let printed = print(&entry, Limits::default(), &mut Dates::of_logs(), &mut text);
            prop_assert!(printed.is_err() || text.ends_with('\n'));
        }
    }

    #[test]
    fn text_is_escaped_as_jute_escapes_it() {
        assert_eq!(escaped("/a b'c"), "/a b'c");
        assert_eq!(escaped("a,b}c%d\0\n\r"), "a%2Cb%7Dc%25d%00%0A%0D");
    }
}
