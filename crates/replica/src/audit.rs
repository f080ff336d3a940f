//! The audit log: who asked for which change, and how it ended.
//!
//! An event is made where the reply is made, by the server that answers the client, and for the ephemerals
//! that go with a session where they go. The lines are Java's (`AuditHelper`), with four differences: in a
//! multi every created znode's kind is told, control characters in what clients choose are escaped,
//! so that a line stays a line, what they choose has an end, and no line has a secret: Java writes the
//! password of an entry `auth:user:password`, and the hashes of passwords.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use zabd_jute::client::{
    CreateMode, CreateRequest, DeleteRequest, MultiOp, MultiRequest, SetAclRequest, SetDataRequest,
};
use zabd_jute::txn::Txn;
use zabd_jute::{Acl, Id, Limits, OpCode, Reader, Record, SessionId, perms};

use crate::input::Request;

/// How much of a path or an access list is told.
const TEXT_CHARS_MAX: usize = 4096;
/// How much of all names of whoever asked is told. Each line has them, and a client may have given itself a thousand.
pub const USERS_CHARS_MAX: usize = 1024;
/// How much of one of them.
const USER_CHARS_MAX: usize = 200;

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Success,
    /// It was refused.
    Failure,
    /// It has been asked for.
    Invoked,
}

/// One line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// On whose behalf, if on a session's.
    pub session: Option<SessionId>,
    /// Who asked, as its identities name it; `None` is the server itself.
    pub user: Option<Arc<str>>,
    /// From where.
    pub address: Option<String>,
    /// What was asked for.
    pub operation: &'static str,
    /// Of which znode.
    pub znode: Option<String>,
    /// Of which kind, if it is made.
    pub znode_type: Option<&'static str>,
    /// With which access list, if that is set.
    pub acl: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
}

impl AuditEvent {
    /// Something that the server does by itself.
    pub fn of_server(operation: &'static str, outcome: Outcome) -> Self {
        Self {
            session: None,
            user: None,
            address: None,
            operation,
            znode: None,
            znode_type: None,
            acl: None,
            outcome,
        }
    }

    /// An ephemeral that went with its session.
    pub(crate) fn of_session_end(session: SessionId, path: &str) -> Self {
        let operation = "ephemeralZNodeDeletionOnSessionCloseOrExpire";
        let event = Self::of_server(operation, Outcome::Success);
        Self { session: Some(session), znode: Some(cut(path, TEXT_CHARS_MAX)), ..event }
    }

    fn of_request(request: &Request, operation: &'static str, outcome: Outcome) -> Self {
        let address = request.identities.iter().find(|id| id.scheme() == "ip");
        Self {
            session: Some(request.session),
            user: Some(users(&request.identities)).filter(|users| !users.is_empty()).map(Into::into),
            address: address.map(|id| id.id().to_owned()),
            ..Self::of_server(operation, outcome)
        }
    }

    /// The line without its end; `server_user` is whom the server runs as.
    pub fn line(&self, server_user: &str) -> String {
        let session = self.session.map(|session| session.to_string());
        let user = if self.is_of_server() { Some(server_user) } else { self.user.as_deref() };
        let outcome = match self.outcome {
            Outcome::Success => "success",
            Outcome::Failure => "failure",
            Outcome::Invoked => "invoked",
        };
        let mut line = String::new();
        for (key, value) in [
            ("session", session.as_deref()),
            ("user", user),
            ("ip", self.address.as_deref()),
            ("operation", Some(self.operation)),
            ("znode", self.znode.as_deref()),
            ("znode_type", self.znode_type),
            ("acl", self.acl.as_deref()),
            ("result", Some(outcome)),
        ] {
            let Some(value) = value else { continue };
            if !line.is_empty() {
                line.push('\t');
            }
            line.push_str(key);
            line.push('=');
            push_escaped(&mut line, value);
        }
        line
    }

    fn is_of_server(&self) -> bool {
        self.user.is_none() && self.address.is_none()
    }
}

/// What is to be told of a request that was answered with `txn`.
pub(crate) fn events(request: &Request, txn: &Txn<'_>, limits: Limits) -> Vec<AuditEvent> {
    let reader = || Reader::with_limits(&request.body, limits);
    let failed = matches!(txn, Txn::Error { .. });
    let outcome = if failed { Outcome::Failure } else { Outcome::Success };
    let event = |operation| AuditEvent::of_request(request, operation, outcome);
    let Some(op) = OpCode::from_code(request.op) else { return Vec::new() };
    let mut event = match op {
        OpCode::Create | OpCode::Create2 | OpCode::CreateContainer | OpCode::CreateTtl => {
            // The time to live stands behind what all creates have in common.
            let asked = CreateRequest::decode(&mut reader()).ok();
            let znode_type = asked.as_ref().and_then(|asked| kind(asked.flags));
            if asked.is_some() && znode_type.is_none() {
                // Java finds no name for the kind, and tells nothing of what it has refused.
                return Vec::new();
            }
            let znode = asked.map(|asked| cut(&asked.path, TEXT_CHARS_MAX));
            AuditEvent { znode, znode_type, ..event("create") }
        }
        OpCode::Delete => {
            let asked = DeleteRequest::decode(&mut reader()).ok();
            AuditEvent { znode: asked.map(|asked| cut(&asked.path, TEXT_CHARS_MAX)), ..event("delete") }
        }
        OpCode::SetData => {
            let asked = SetDataRequest::decode(&mut reader()).ok();
            AuditEvent { znode: asked.map(|asked| cut(&asked.path, TEXT_CHARS_MAX)), ..event("setData") }
        }
        OpCode::SetAcl => {
            let asked = SetAclRequest::decode(&mut reader()).ok();
            let acl = asked
                .as_ref()
                .and_then(|asked| asked.acl.as_deref())
                .map(|acl| cut(&acl_text(acl), TEXT_CHARS_MAX));
            AuditEvent { znode: asked.map(|asked| cut(&asked.path, TEXT_CHARS_MAX)), acl, ..event("setAcl") }
        }
        OpCode::Multi => return multi_events(request, txn, limits),
        OpCode::Reconfig => event("reconfig"),
        _ => return Vec::new(),
    };
    match txn {
        Txn::Create(create) => event.znode = Some(cut(&create.path, TEXT_CHARS_MAX)),
        Txn::SetData { path, .. } if op == OpCode::Reconfig => event.znode = Some(cut(path, TEXT_CHARS_MAX)),
        _ => (),
    }
    vec![event]
}

/// A line for each operation of a multi, or one if it failed.
fn multi_events(request: &Request, txn: &Txn<'_>, limits: Limits) -> Vec<AuditEvent> {
    let parts = match txn {
        Txn::Multi(parts) if parts.iter().all(|part| !matches!(part.txn, Txn::Error { .. })) => parts,
        _ => return vec![AuditEvent::of_request(request, "multiOperation", Outcome::Failure)],
    };
    let asked = MultiRequest::decode(&mut Reader::with_limits(&request.body, limits));
    let asked = asked.map_or_else(|_| Vec::new(), |asked| asked.ops);
    let mut events = Vec::with_capacity(parts.len());
    let of_all = AuditEvent::of_request(request, "multiOperation", Outcome::Success);
    for (part, asked) in parts.iter().zip(asked) {
        let (operation, path, znode_type) = match (&part.txn, asked) {
            (Txn::Create(create), MultiOp::Create { request, .. }) => {
                ("create", &create.path, kind(request.create.flags))
            }
            (Txn::Delete { path }, _) => ("delete", path, None),
            (Txn::SetData { path, .. }, _) => ("setData", path, None),
            _ => continue,
        };
        let znode = Some(cut(path, TEXT_CHARS_MAX));
        events.push(AuditEvent { operation, znode, znode_type, ..of_all.clone() });
    }
    events
}

/// `CreateMode`'s name in lower case.
fn kind(flags: i32) -> Option<&'static str> {
    Some(match CreateMode::from_flags(flags)? {
        CreateMode::Persistent => "persistent",
        CreateMode::Ephemeral => "ephemeral",
        CreateMode::PersistentSequential => "persistent_sequential",
        CreateMode::EphemeralSequential => "ephemeral_sequential",
        CreateMode::Container => "container",
        CreateMode::PersistentTtl => "persistent_with_ttl",
        CreateMode::PersistentSequentialTtl => "persistent_sequential_with_ttl",
    })
}

/// Of a digest identity the user, of others all; the super user's second identity has no name. Where there are too many, those of
/// digests are left out first: anybody may give himself as many as he likes, and the others have been proved.
fn users(identities: &[Id<'static>]) -> String {
    let name = |id: &Id<'static>| {
        let name = match id.scheme() {
            "digest" => id.id().split(':').next().unwrap_or(""),
            _ => id.id(),
        };
        (!name.trim_matches(|c| c <= ' ').is_empty()).then(|| cut(name, USER_CHARS_MAX))
    };
    let all: Vec<String> = identities.iter().filter_map(name).collect();
    let text = all.join(",");
    if text.len() <= USERS_CHARS_MAX {
        return text;
    }
    let (claimed, proved): (Vec<_>, Vec<_>) = identities.iter().partition(|id| id.scheme() == "digest");
    let mut text = String::new();
    let mut told = 0;
    for name in proved.into_iter().chain(claimed).filter_map(name) {
        if text.len() + name.len() > USERS_CHARS_MAX {
            break;
        }
        text += &name;
        text.push(',');
        told += 1;
    }
    let _ = write!(text, "... ({} more names)", all.len() - told);
    text
}

/// The text, or the beginning of one that is too long, and how long it is.
fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}... ({} bytes)", &text[..end], text.len()),
    }
}

/// Java's `ZKUtil.aclToString`: nothing stands between the entries.
fn acl_text(acl: &[Acl<'_>]) -> String {
    let letters = [
        (perms::CREATE, 'c'),
        (perms::DELETE, 'd'),
        (perms::READ, 'r'),
        (perms::WRITE, 'w'),
        (perms::ADMIN, 'a'),
    ];
    let mut text = String::new();
    for entry in acl {
        let _ = write!(text, "{}:{}:", entry.id.scheme(), without_secret(entry.id.scheme(), entry.id.id()));
        text.extend(letters.iter().filter(|(perm, _)| entry.perms & perm != 0).map(|(_, letter)| letter));
    }
    text
}

/// Whom an entry names, as `getAcl` shows it to those who do not administrate: of what may be a password, or the hash of one, `x`
/// is left. That is so of schemes that nobody knows, too: whoever mistypes `digest` has typed a password behind it.
fn without_secret<'a>(scheme: &str, id: &'a str) -> Cow<'a, str> {
    if matches!(scheme, "world" | "ip" | "sasl" | "x509") || id.is_empty() {
        return id.into();
    }
    id.split_once(':').map_or("x".into(), |(user, _)| format!("{user}:x").into())
}

/// Everything that could end a line or a field, or command a terminal, as a backslash and its number.
fn push_escaped(line: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\t' => line.push_str("\\t"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\u{2028}' | '\u{2029}' => _ = write!(line, "\\u{:04x}", c as u32),
            _ if c.is_control() => _ = write!(line, "\\u{:04x}", c as u32),
            _ => line.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConnId;

    fn request(op: OpCode, body: Vec<u8>) -> Request {
        let identities = [Id::new("ip", "10.0.0.1"), Id::new("super", ""), Id::new("digest", "eve\n:hash")];
        Request {
            conn: ConnId(1),
            session: SessionId(0x1234),
            xid: 1,
            op: op.code(),
            body: body.into(),
            identities: identities.into(),
        }
    }

    fn lines(request: &Request, txn: &Txn<'_>) -> Vec<String> {
        events(request, txn, Limits::default()).iter().map(|event| event.line("root")).collect()
    }

    #[test]
    fn a_line_names_who_did_what_and_stays_a_line() {
        let body = DeleteRequest { path: "/a\tb\u{85}".into(), version: -1 }.to_bytes();
        assert_eq!(
            lines(&request(OpCode::Delete, body), &Txn::Error { code: -101 }),
            [
                "session=0x1234\tuser=10.0.0.1,eve\\n\tip=10.0.0.1\toperation=delete\tznode=/a\\tb\\u0085\tresult=failure"
            ]
        );
    }

    #[test]
    fn a_list_is_told_as_it_was_asked_for() {
        let acl = vec![Acl::open(), Acl::new(perms::READ | perms::ADMIN, "ip", "10.0.0.0/8")];
        let body = SetAclRequest { path: "/a".into(), acl: Some(acl.clone()), version: -1 }.to_bytes();
        let txn = Txn::SetAcl { path: "/a".into(), acl, version: 1 };
        let lines = lines(&request(OpCode::SetAcl, body), &txn);
        assert!(
            lines[0].ends_with("znode=/a\tacl=world:anyone:cdrwaip:10.0.0.0/8:ra\tresult=success"),
            "{lines:?}"
        );
    }

    #[test]
    fn no_line_has_a_secret() {
        let ids = [
            "auth:eve:sesame",
            "auth:",
            "auth:sesame",
            "digest:eve:hash=",
            "digest:sesame",
            "Digest:eve:a:b",
            "sasl:eve/h@R",
        ];
        let entry = |id: &&'static str| {
            let (scheme, id) = id.split_once(':').unwrap();
            Acl::new(perms::READ, scheme, id)
        };
        let shown = ids.map(|id| acl_text(&[entry(&id)]));
        assert_eq!(
            shown,
            [
                "auth:eve:x:r",
                "auth::r",
                "auth:x:r",
                "digest:eve:x:r",
                "digest:x:r",
                "Digest:eve:x:r",
                "sasl:eve/h@R:r"
            ]
        );
    }

    #[test]
    fn what_does_not_decode_is_told_without_its_znode() {
        let lines = lines(&request(OpCode::Create, vec![0]), &Txn::Error { code: -5 });
        assert!(lines[0].ends_with("operation=create\tresult=failure"), "{lines:?}");
    }

    /// Each line has the names of whoever asked, and in each line of a multi they are the same.
    #[test]
    fn what_a_client_says_of_itself_has_an_end_and_hides_nobody() {
        let many = (0..1000).map(|number| Id::new("digest", format!("{number}:hash")));
        let long = Id::new("digest", format!("{}:hash", "u".repeat(60_000)));
        let others = [Id::new("ip", "10.0.0.1"), Id::new("sasl", "eve")];
        let identities: Vec<_> = many.chain([long]).chain(others).collect();
        let text = users(&identities);
        assert!(text.starts_with("10.0.0.1,eve,0,1,2,") && text.len() <= USERS_CHARS_MAX + 40, "{text}");
        assert!(text.ends_with(" more names)"), "{text}");
        let few = users(&identities[1000..]);
        assert_eq!(few, format!("{}... (60000 bytes),10.0.0.1,eve", "u".repeat(USER_CHARS_MAX)));
        let body =
            DeleteRequest { path: format!("/{}", "\u{1}".repeat(900_000)).into(), version: -1 }.to_bytes();
        let lines = lines(&request(OpCode::Delete, body), &Txn::Error { code: -101 });
        assert!(lines[0].len() < 6 * TEXT_CHARS_MAX + 300 && lines[0].contains("... (900001 bytes)"));
    }

    #[test]
    fn the_server_has_a_name_too() {
        assert_eq!(
            AuditEvent::of_session_end(SessionId(1), "/e").line("zookeeper"),
            "session=0x1\tuser=zookeeper\toperation=ephemeralZNodeDeletionOnSessionCloseOrExpire\tznode=/e\tresult=success"
        );
        assert_eq!(
            AuditEvent::of_server("serverStop", Outcome::Invoked).line("root"),
            "user=root\toperation=serverStop\tresult=invoked"
        );
    }
}
