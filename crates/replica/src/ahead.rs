//! Which znodes requests are about to need, so that they are in the processor's cache when it is their turn
//! ([`Tree::look_ahead`]).

use zabd_jute::OpCode;
use zabd_tree::Tree;

/// The path that a request begins with, as it stands there, if its operation needs the znode at a path.
pub fn asked_path(op: i32, body: &[u8]) -> Option<&[u8]> {
    use OpCode as Op;
    let has_path = OpCode::from_code(op).is_some_and(|op| {
        matches!(
            op,
            Op::GetData
                | Op::Exists
                | Op::GetAcl
                | Op::GetChildren
                | Op::GetChildren2
                | Op::SetData
                | Op::SetAcl
                | Op::Delete
                | Op::Create
                | Op::Create2
                | Op::CreateContainer
                | Op::CreateTtl
        )
    });
    let (length, rest) = body.split_first_chunk::<4>()?;
    let length = usize::try_from(i32::from_be_bytes(*length)).ok()?;
    rest.get(..length).filter(|_| has_path)
}

/// Looks ahead at what the first of these requests need, as many as are looked at together; one alone gains nothing.
pub fn look_ahead<'r>(tree: &Tree, requests: impl Iterator<Item = (i32, &'r [u8])> + Clone) {
    if !tree.is_large() {
        return;
    }
    let paths = requests.take(Tree::AHEAD_MAX).filter_map(|(op, body)| asked_path(op, body));
    if paths.clone().nth(1).is_some() {
        tree.look_ahead(paths);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_about_the_path_it_begins_with() {
        let body = |path: &[u8]| [&(path.len() as i32).to_be_bytes()[..], path, b"\x01rest"].concat();
        for op in [
            OpCode::GetData,
            OpCode::Exists,
            OpCode::SetData,
            OpCode::Create,
            OpCode::CreateTtl,
            OpCode::Delete,
        ] {
            assert_eq!(asked_path(op.code(), &body(b"/a/b")), Some(&b"/a/b"[..]), "{op:?}");
        }
        for op in [OpCode::Ping, OpCode::Multi, OpCode::SetWatches, OpCode::Auth, OpCode::CloseSession] {
            assert_eq!(asked_path(op.code(), &body(b"/a/b")), None, "{op:?}");
        }
        assert_eq!(asked_path(-12345, &body(b"/a")), None);
    }

    #[test]
    fn whatever_a_client_sends_is_looked_at_and_nothing_more() {
        let op = OpCode::GetData.code();
        assert_eq!(asked_path(op, b""), None);
        assert_eq!(asked_path(op, &[0, 0, 0]), None);
        assert_eq!(asked_path(op, &(-1_i32).to_be_bytes()), None);
        assert_eq!(asked_path(op, &[0x7f, 0xff, 0xff, 0xff, b'/']), None);
        assert_eq!(asked_path(op, &[0, 0, 0, 2, b'/']), None);
        assert_eq!(asked_path(op, &[0, 0, 0, 0]), Some(&b""[..]));
    }
}
