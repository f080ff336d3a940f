//! Requests that change no znode: answered from the tree where they arrive.
//!
//! A connection serves its own reads under the shared lock, without any queue; only a read behind an
//! unfinished request of the same connection goes through the pipeline, and then the same functions
//! serve it between its neighbours. The order of checks follows Java's `FinalRequestProcessor`.
//!
//! A request of a few bytes may ask for many megabytes. So whoever serves it may say how much it has room for
//! ([`serve_within`]): of a request whose reply is longer nothing is done, no watch is set, and the caller hears how long the
//! reply would be. What a reply repeats of its request needs no such bound.

use std::borrow::Cow;

use zabd_jute::client::{
    AddWatchRequest, ClientInfo, GetEphemeralsRequest, MultiHeader, MultiReadOp, MultiReadRequest,
    PathRequest, PathWatchRequest, ReplyHeader, SetWatches, WatchTypeRequest,
};
use zabd_jute::{
    Acl, DecodeError, ErrorCode, Id, Limits, OpCode, Reader, Record, SessionId, Writer, java_length, perms,
};
use zabd_mutation::{Mutation, is_on};
use zabd_tree::{NodeRef, Tree, allows, masked};

use crate::ConnId;
use crate::reply::{self, NO_ZXID};
use crate::room::NO_ROOM;
use crate::traffic::Traffic;
use crate::watches::{EventKind, WatchKind, WatchSelection, Watches};

/// A multiRead whose results are longer is refused: a request of a megabyte can ask for sixty thousand
/// times the largest znode, and Java dies of it.
const MULTI_READ_BYTES_MAX: usize = 64 << 20;

/// One request that changes nothing, still as bytes.
#[derive(Clone, Copy, Debug)]
pub struct Read<'a> {
    /// Who gets the reply, and the watches.
    pub conn: ConnId,
    /// On whose behalf.
    pub session: SessionId,
    /// Echoed.
    pub xid: i32,
    /// The operation's number.
    pub op: i32,
    /// What follows the request header.
    pub body: &'a [u8],
    /// Who asks.
    pub identities: &'a [Id<'static>],
}

/// What the server allows reads to do.
#[derive(Clone, Copy, Debug)]
pub struct ReadOptions {
    /// No ACL is checked at all.
    pub skip_acl: bool,
    /// How long a field may be.
    pub limits: Limits,
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// It goes on.
    Answered,
    /// It is closed behind the reply.
    AnsweredForTheLastTime,
    /// Nothing was done: the reply would have so many bytes, its header not counted, and is longer than there is room for.
    TooLong {
        /// How much room it needs.
        bytes: usize,
    },
}

/// Whether a request is for the write pipeline, whatever stands before it.
pub fn is_write(op: i32) -> bool {
    use OpCode as Op;
    OpCode::from_code(op).is_some_and(|op| {
        matches!(
            op,
            Op::Create
                | Op::Create2
                | Op::CreateContainer
                | Op::CreateTtl
                | Op::Delete
                | Op::SetData
                | Op::SetAcl
                | Op::Multi
                | Op::Reconfig
                | Op::CloseSession
        )
    })
}

/// Whether serving the request may look at or change watches; they have a lock of their own.
pub fn touches_watches(op: i32, body: &[u8]) -> bool {
    match OpCode::from_code(op) {
        // The watch flag is the last byte; bytes behind the record only make this too careful.
        Some(OpCode::Exists | OpCode::GetData | OpCode::GetChildren | OpCode::GetChildren2) => {
            let mut reader = Reader::with_limits(body, Limits { field_bytes_max: body.len() });
            PathWatchRequest::decode(&mut reader).is_ok_and(|request| request.watch)
        }
        Some(
            OpCode::SetWatches
            | OpCode::SetWatches2
            | OpCode::AddWatch
            | OpCode::CheckWatches
            | OpCode::RemoveWatches,
        ) => true,
        _ => false,
    }
}

/// Whether a client asks for watches that it had before.
pub fn sets_watches(op: i32) -> bool {
    [OpCode::SetWatches.code(), OpCode::SetWatches2.code()].contains(&op)
}

/// Whether a request asks for many things, so that a reply may be longer than the largest znode.
pub fn is_list(op: i32) -> bool {
    use OpCode as Op;
    OpCode::from_code(op).is_some_and(|op| {
        matches!(op, Op::GetChildren | Op::GetChildren2 | Op::GetEphemerals | Op::MultiRead)
    })
}

/// How many bytes of data a getData would be answered with, whoever asks.
pub fn data_bytes(tree: &Tree, body: &[u8]) -> usize {
    let mut reader = Reader::with_limits(body, Limits { field_bytes_max: body.len() });
    let path = reader.ustring().ok();
    path.and_then(|path| tree.node(&path)?.data()).map_or(0, <[u8]>::len)
}

/// Answers one read, appending frames to `out`: events that it catches up with, then the reply, however long it is.
///
/// `watches` may be `None` only if [`touches_watches`] says so.
pub fn serve(
    tree: &Tree,
    watches: Option<&mut Watches>,
    read: &Read<'_>,
    options: &ReadOptions,
    traffic: &mut Traffic,
    out: &mut Vec<u8>,
) -> Served {
    serve_within(usize::MAX, tree, watches, read, options, traffic, out)
}

/// The same, if the reply has no more than `room_bytes`, its header not counted; else nothing is done. What the tree
/// shows meanwhile being the same, a second call with the number that the first one yields answers.
pub fn serve_within(
    room_bytes: usize,
    tree: &Tree,
    watches: Option<&mut Watches>,
    read: &Read<'_>,
    options: &ReadOptions,
    traffic: &mut Traffic,
    out: &mut Vec<u8>,
) -> Served {
    let Some(op) = OpCode::from_code(read.op) else {
        reply::unimplemented(out, read.xid);
        return Served::AnsweredForTheLastTime;
    };
    let mut server = Server { room_bytes, tree, watches, read, options, traffic, out };
    let begin = server.out.len();
    let answered = match op {
        OpCode::Ping => server.bare(-2),
        OpCode::GetData => server.get_data(),
        OpCode::Exists => server.exists(),
        OpCode::GetChildren => server.get_children(false),
        OpCode::GetChildren2 => server.get_children(true),
        OpCode::GetAcl => server.get_acl(),
        OpCode::Sync => server.sync(),
        OpCode::MultiRead => server.multi_read(),
        OpCode::GetEphemerals => server.get_ephemerals(),
        OpCode::GetAllChildrenNumber => server.get_all_children_number(),
        OpCode::WhoAmI => server.who_am_i(),
        OpCode::SetWatches => server.set_watches(false),
        OpCode::SetWatches2 => server.set_watches(true),
        OpCode::AddWatch => server.add_watch(),
        OpCode::CheckWatches => server.check_watches(),
        OpCode::RemoveWatches => server.remove_watches(),
        // Writes never come here; what only servers may ask for is unknown when a client asks.
        _ => {
            reply::unimplemented(out, read.xid);
            return Served::AnsweredForTheLastTime;
        }
    };
    let code = match answered {
        Ok(()) => return Served::Answered,
        Err(Refusal::TooLong(bytes)) => {
            server.out.truncate(begin);
            return Served::TooLong { bytes };
        }
        Err(Refusal::Error(code)) => {
            server.out.truncate(begin);
            code
        }
        Err(Refusal::Undecodable) => ErrorCode::MarshallingError,
        Err(Refusal::ForTheLastTime(code)) => {
            server.out.truncate(begin);
            reply::failure(out, read.xid, tree.last_zxid(), code);
            return Served::AnsweredForTheLastTime;
        }
    };
    reply::failure(out, read.xid, tree.last_zxid(), code);
    Served::Answered
}

/// Why a read has no body.
enum Refusal {
    Error(ErrorCode),
    /// The bytes do not decode; events that were caught up with before that stay.
    Undecodable,
    /// It would have so many bytes.
    TooLong(usize),
    /// The connection cannot go on either.
    ForTheLastTime(ErrorCode),
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Refusal::Error(code)
    }
}

impl From<DecodeError> for Refusal {
    fn from(_: DecodeError) -> Self {
        Refusal::Undecodable
    }
}

struct Server<'s, 'a> {
    room_bytes: usize,
    tree: &'s Tree,
    watches: Option<&'s mut Watches>,
    read: &'s Read<'a>,
    options: &'s ReadOptions,
    traffic: &'s mut Traffic,
    out: &'s mut Vec<u8>,
}

impl<'s, 'a> Server<'s, 'a> {
    fn reader(&self) -> Reader<'a> {
        Reader::with_limits(self.read.body, self.options.limits)
    }

    fn decode<R: Record<'a>>(&self) -> Result<R, DecodeError> {
        R::decode(&mut self.reader())
    }

    fn answer(&mut self, body: impl FnOnce(&mut Writer<'_>)) -> Result<(), Refusal> {
        reply::success(self.out, self.read.xid, self.tree.last_zxid(), body);
        Ok(())
    }

    fn bare(&mut self, xid: i32) -> Result<(), Refusal> {
        reply::success(self.out, xid, self.tree.last_zxid(), |_| ());
        Ok(())
    }

    /// A reply of so many bytes may be made.
    fn fit(&self, bytes: usize) -> Result<(), Refusal> {
        if bytes > self.room_bytes { Err(Refusal::TooLong(bytes)) } else { Ok(()) }
    }

    fn allowed(&self, acl: &[Acl<'static>], wanted: i32) -> bool {
        allows(acl, wanted, self.read.identities, self.options.skip_acl)
    }

    /// The node, if it exists and its data may be read.
    fn readable(&self, path: &str) -> Result<NodeRef<'s>, ErrorCode> {
        let node = self.tree.node(path).ok_or(ErrorCode::NoNode)?;
        if self.allowed(node.acl(), perms::READ) { Ok(node) } else { Err(ErrorCode::NoAuth) }
    }

    fn watches(&mut self) -> &mut Watches {
        self.watches.as_deref_mut().expect("the caller lends the watches to requests that touch them")
    }

    fn watch(&mut self, wanted: bool, path: &str, kind: WatchKind) -> Result<(), ErrorCode> {
        if !wanted {
            return Ok(());
        }
        let conn = self.read.conn;
        if !self.watches().takes(conn, path) {
            return Err(NO_ROOM);
        }
        self.watches().set(conn, path, kind);
        Ok(())
    }

    /// Sets a watch of which the client believes that it has it. Without it, it would wait for ever, and clients do not look at the
    /// answer: where there is no room the connection ends, and they look for another server, or come again.
    fn rearm(&mut self, path: &str, kind: WatchKind) -> Result<(), Refusal> {
        self.watch(true, path, kind).map_err(Refusal::ForTheLastTime)
    }

    fn get_data(&mut self) -> Result<(), Refusal> {
        let request: PathWatchRequest = self.decode()?;
        let node = self.readable(&request.path)?;
        let length = node.data().map_or(0, <[u8]>::len);
        self.fit(length)?;
        self.watch(request.watch, &request.path, WatchKind::Data)?;
        self.traffic.add_read(&request.path, length);
        self.answer(|w| {
            w.buffer(node.data());
            node.stat().encode(w);
        })
    }

    fn exists(&mut self) -> Result<(), Refusal> {
        let request: PathWatchRequest = self.decode()?;
        if request.path.contains('\0') {
            return Err(ErrorCode::BadArguments.into());
        }
        let node = self.readable(&request.path);
        if !matches!(node, Err(ErrorCode::NoAuth)) {
            self.watch(request.watch, &request.path, WatchKind::Data)?;
        }
        let stat = node?.stat();
        self.traffic.add_read(&request.path, 0);
        self.answer(|w| stat.encode(w))
    }

    fn get_children(&mut self, with_stat: bool) -> Result<(), Refusal> {
        let request: PathWatchRequest = self.decode()?;
        let node = self.readable(&request.path)?;
        let mut names_bytes = None;
        let room_bytes = self.room_bytes;
        self.answer(|w| {
            names_bytes = child_names(w, &node, room_bytes);
            if with_stat {
                node.stat().encode(w);
            }
        })?;
        // Only of a list that turns out to be long the length is counted: to do so first would delay all short ones.
        let Some(names_bytes) = names_bytes else { return Err(Refusal::TooLong(children_bytes(&node))) };
        self.watch(request.watch, &request.path, WatchKind::Child)?;
        self.traffic.add_read(&request.path, names_bytes);
        Ok(())
    }

    fn get_acl(&mut self) -> Result<(), Refusal> {
        let request: PathRequest = self.decode()?;
        let node = self.tree.node(&request.path).ok_or(ErrorCode::NoNode)?;
        if !self.allowed(node.acl(), perms::READ | perms::ADMIN) {
            return Err(ErrorCode::NoAuth.into());
        }
        let list = node.acl_wire();
        let list =
            if self.allowed(node.acl(), perms::ADMIN) { Cow::Borrowed(&*list) } else { masked(&list).into() };
        let begin = self.out.len();
        self.answer(|w| {
            w.vector(&list, |w, acl| acl.encode(w));
            node.stat().encode(w);
        })?;
        self.fit(self.out.len() - begin)
    }

    fn sync(&mut self) -> Result<(), Refusal> {
        // Nobody looks at the path, so it may even be null.
        let path = self.reader().ustring_or_null()?;
        self.answer(|w| w.ustring_or_null(path.as_deref()))
    }

    fn get_ephemerals(&mut self) -> Result<(), Refusal> {
        let request: GetEphemeralsRequest = self.decode()?;
        let prefix = request.prefix.unwrap_or_default();
        // Java's `String.trim` takes everything up to the space, control characters too, and no other space.
        let all = matches!(prefix.trim_matches(|c| c <= ' '), "" | "/");
        let mut paths = self.tree.ephemerals_as_listed(self.read.session);
        paths.retain(|path| all || path.starts_with(&*prefix));
        self.fit(paths.iter().map(|path| string_bytes(path)).sum())?;
        self.answer(|w| w.vector(&paths, |w, path| w.ustring(path)))
    }

    fn get_all_children_number(&mut self) -> Result<(), Refusal> {
        let request: PathRequest = self.decode()?;
        let node = self.readable(&request.path)?;
        // Java counts keys, and below its second name the root is one.
        let count = node.descendants() + usize::from(request.path.is_empty());
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        self.answer(|w| w.int(count))
    }

    fn who_am_i(&mut self) -> Result<(), Refusal> {
        let identities = self.read.identities;
        self.answer(|w| w.vector(identities, |w, id| client_info(id).encode(w)))
    }

    fn add_watch(&mut self) -> Result<(), Refusal> {
        let request: AddWatchRequest = self.decode()?;
        let kind = match request.mode {
            0 => WatchKind::Persistent,
            1 => WatchKind::PersistentRecursive,
            _ => return Err(Refusal::Undecodable),
        };
        self.watch(true, &request.path, kind)?;
        self.answer(|w| w.int(0))
    }

    fn selection(&mut self) -> Result<(Cow<'a, str>, WatchSelection), Refusal> {
        let request: WatchTypeRequest = self.decode()?;
        let selection = WatchSelection::from_code(request.kind).ok_or(Refusal::Undecodable)?;
        Ok((request.path, selection))
    }

    fn check_watches(&mut self) -> Result<(), Refusal> {
        let (path, selection) = self.selection()?;
        let conn = self.read.conn;
        if self.watches().has(conn, &path, selection) {
            return self.bare(self.read.xid);
        }
        Err(ErrorCode::NoWatcher.into())
    }

    fn remove_watches(&mut self) -> Result<(), Refusal> {
        let (path, selection) = self.selection()?;
        let conn = self.read.conn;
        if self.watches().remove(conn, &path, selection) {
            return self.bare(self.read.xid);
        }
        Err(ErrorCode::NoWatcher.into())
    }

    /// Events for what changed while the client was away, watches for what did not.
    fn set_watches(&mut self, with_persistent: bool) -> Result<(), Refusal> {
        let mut r = self.reader();
        let request =
            if with_persistent { SetWatches::decode2(&mut r)? } else { SetWatches::decode(&mut r)? };
        let since = request.relative_zxid;
        for path in &request.data {
            match self.tree.node(path) {
                None => self.missed(EventKind::Deleted, path),
                Some(node) if node.persisted().mzxid > since && !is_on(Mutation::MissedChangesForgotten) => {
                    self.missed(EventKind::DataChanged, path);
                }
                Some(_) => self.rearm(path, WatchKind::Data)?,
            }
        }
        for path in &request.exist {
            match self.tree.node(path) {
                Some(_) => self.missed(EventKind::Created, path),
                None => self.rearm(path, WatchKind::Data)?,
            }
        }
        for path in &request.child {
            match self.tree.node(path) {
                None => self.missed(EventKind::Deleted, path),
                Some(node) if node.persisted().pzxid > since => self.missed(EventKind::ChildrenChanged, path),
                Some(_) => self.rearm(path, WatchKind::Child)?,
            }
        }
        for path in &request.persistent {
            self.rearm(path, WatchKind::Persistent)?;
        }
        for path in &request.persistent_recursive {
            self.rearm(path, WatchKind::PersistentRecursive)?;
        }
        self.bare(self.read.xid)
    }

    fn missed(&mut self, kind: EventKind, path: &str) {
        reply::event(self.out, NO_ZXID, kind, path);
    }

    /// Each operation has its own result; a refused one does not stop the others.
    fn multi_read(&mut self) -> Result<(), Refusal> {
        let Ok(request) = self.decode::<MultiReadRequest>() else {
            return self.multi_read_of_something_else();
        };
        let zxid = self.tree.last_zxid();
        let results: Vec<_> = request.ops.iter().map(|op| (op, self.readable(op.path()))).collect();
        self.fit(results_bytes(&results).ok_or(ErrorCode::MarshallingError)?)?;
        let Server { out, traffic, .. } = self;
        reply::success(out, self.read.xid, zxid, |w| {
            for (op, node) in results {
                match (op, node) {
                    (MultiReadOp::GetData(_), Ok(node)) => {
                        traffic.add_read(op.path(), node.data().map_or(0, <[u8]>::len));
                        MultiHeader { op: OpCode::GetData.code(), done: false, err: 0 }.encode(w);
                        w.buffer(node.data());
                        node.stat().encode(w);
                    }
                    (MultiReadOp::GetChildren(_), Ok(node)) => {
                        MultiHeader { op: OpCode::GetChildren.code(), done: false, err: 0 }.encode(w);
                        let names_bytes = child_names(w, &node, usize::MAX);
                        traffic.add_read(op.path(), names_bytes.unwrap_or_default());
                    }
                    (_, Err(error)) => {
                        MultiHeader { op: -1, done: false, err: error.code() }.encode(w);
                        w.int(error.code());
                    }
                }
            }
            MultiHeader::END.encode(w);
        });
        Ok(())
    }

    /// A multiRead with anything but reads in it is the one error whose reply has a body: no results.
    fn multi_read_of_something_else(&mut self) -> Result<(), Refusal> {
        let header = ReplyHeader {
            xid: self.read.xid,
            zxid: self.tree.last_zxid(),
            err: ErrorCode::MarshallingError.code(),
        };
        let has_write = MultiReadRequest::holds_a_write(self.read.body);
        reply::frame(self.out, header, |w| {
            if has_write {
                MultiHeader::END.encode(w);
            }
        });
        Ok(())
    }
}

/// Yields how long the names are for Java; nothing, and not all of them are there, if the list is longer than `bytes_max`.
fn child_names(w: &mut Writer<'_>, node: &NodeRef<'_>, bytes_max: usize) -> Option<usize> {
    w.count(node.num_children());
    let begin = w.position();
    let mut length = 0;
    for name in node.child_names_as_listed() {
        w.ustring(name);
        length += java_length(name);
        if w.position() - begin > bytes_max {
            return None;
        }
    }
    Some(length)
}

/// What [`child_names`] appends, without their number.
fn children_bytes(node: &NodeRef<'_>) -> usize {
    node.child_names().map(string_bytes).sum()
}

fn string_bytes(text: &str) -> usize {
    4 + text.len()
}

/// How long a multiRead's results are; nothing if they are too long before the last of them.
fn results_bytes(results: &[(&MultiReadOp<'_>, Result<NodeRef<'_>, ErrorCode>)]) -> Option<usize> {
    /// A header of ten bytes at most and a number, and for data a stat.
    const ERROR_BYTES: usize = 16;
    const STAT_BYTES: usize = 68;
    results.iter().try_fold(0, |bytes, (op, node)| {
        let more = match (op, node) {
            (MultiReadOp::GetData(_), Ok(node)) => STAT_BYTES + node.data().map_or(0, <[u8]>::len),
            (MultiReadOp::GetChildren(_), Ok(node)) => children_bytes(node),
            (_, Err(_)) => 0,
        };
        (bytes <= MULTI_READ_BYTES_MAX).then_some(bytes + ERROR_BYTES + more)
    })
}

/// A digest identity shows its user, never its hash.
fn client_info<'a>(id: &'a Id<'static>) -> ClientInfo<'a> {
    let user = match id.scheme() {
        "digest" => id.id().split(':').next().unwrap_or(""),
        "super" => "",
        _ => id.id(),
    };
    ClientInfo { scheme: id.scheme().into(), user: user.into() }
}
