//! The operations, one method each: which paths are sent, what leaves a watch, what an answer means.

use std::borrow::Cow;

use zabd_jute::client::{
    AddWatchRequest, ClientInfo, Create2Response, CreateMode, CreateRequest, CreateTtlRequest, DeleteRequest,
    GetAclResponse, GetChildren2Response, GetChildrenResponse, GetDataResponse, GetEphemeralsRequest,
    MultiHeader, MultiOp, MultiRequest, PathRequest, PathWatchRequest, ReconfigRequest, SetAclRequest,
    SetDataRequest, WatchTypeRequest,
};
use zabd_jute::{Acl, DecodeError, Limits, OpCode, Reader, Record, Stat};

use super::Client;
use super::failure::{self, Failure, Refusal};
use super::path::{validate, validate_sequential};
use super::session::{Answer, Packet, Reply, WatchChange};
use super::watches::Registration;

/// Where the ensemble's members are written.
const CONFIG_PATH: &str = "/zookeeper/config";

/// A znode that was created: its path, as this client names it.
pub type Created = String;

/// `AddWatchMode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddWatchMode {
    /// Stays; about one znode and its children.
    Persistent = 0,
    /// Stays; about a znode and all below.
    PersistentRecursive = 1,
}

/// `Watcher.WatcherType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatcherType {
    /// On children.
    Children = 1,
    /// On data, or on there being none.
    Data = 2,
    /// All of them.
    Any = 3,
    /// Of [`AddWatchMode::Persistent`].
    Persistent = 4,
    /// Of [`AddWatchMode::PersistentRecursive`].
    PersistentRecursive = 5,
}

impl Client {
    fn server_path(&self, path: &str) -> String {
        self.shared.lock().server_path(path)
    }

    /// A path in an answer, cut by as much as was added to the one in the request.
    fn without_chroot(&self, path: &str) -> String {
        path.get(self.chroot.as_ref().map_or(0, String::len)..).unwrap_or_default().to_owned()
    }

    /// Creates a znode; `ttl_ms` for those that have one.
    pub fn create(
        &self,
        path: &str,
        data: Option<&[u8]>,
        acl: &[Acl<'_>],
        mode: CreateMode,
        ttl_ms: i64,
    ) -> Result<Created, Failure> {
        if mode.is_sequential() { validate_sequential(path) } else { validate(path) }?;
        needs_acl(acl)?;
        let create = CreateRequest {
            path: self.server_path(path).into(),
            data,
            acl: Some(acl.to_vec()),
            flags: mode as i32,
        };
        let (op, body) = match mode {
            _ if mode.is_ttl() => (OpCode::CreateTtl, CreateTtlRequest { create, ttl_ms }.to_bytes()),
            _ if mode.is_container() => (OpCode::CreateContainer, create.to_bytes()),
            _ => (OpCode::Create, create.to_bytes()),
        };
        let body = answered(self.ask(op, body), Some(path))?;
        let created = match op {
            OpCode::CreateTtl => decoded(&body, path, Create2Response::decode)?.path,
            _ => decoded(&body, path, Reader::ustring)?,
        };
        Ok(self.without_chroot(&created))
    }

    /// Deletes a znode.
    pub fn delete(&self, path: &str, version: i32) -> Result<(), Failure> {
        validate(path)?;
        // The root is refused, also where it is somebody's chroot.
        let server_path = if path == "/" { path.to_owned() } else { self.server_path(path) };
        let request = DeleteRequest { path: server_path.into(), version };
        answered(self.ask(OpCode::Delete, request.to_bytes()), Some(path))?;
        Ok(())
    }

    /// Deletes znodes, all or none of them, without waiting; [`Deletion::succeeded`] waits.
    pub fn begin_delete_all(&self, paths: &[String]) -> Deletion {
        if paths.iter().any(|path| validate(path).is_err()) {
            return Deletion(None);
        }
        let delete = |path: &String| {
            MultiOp::Delete(DeleteRequest { path: self.server_path(path).into(), version: -1 })
        };
        let request = MultiRequest { ops: paths.iter().map(delete).collect() };
        let (packet, answer) = Packet::new(OpCode::Multi, request.to_bytes());
        self.shared.submit(packet);
        Deletion(Some(answer))
    }

    /// The stat of a znode, `None` if there is no such znode.
    pub fn exists(&self, path: &str, watch: bool) -> Result<Option<Stat>, Failure> {
        match self.read(OpCode::Exists, path, watch.then_some(Registration::Exists)) {
            Ok(body) => Ok(Some(decoded(&body, path, Stat::decode)?)),
            Err(Failure::Refused(refusal)) if refusal.is(zabd_jute::ErrorCode::NoNode) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Data and stat.
    pub fn data(&self, path: &str, watch: bool) -> Result<(Option<Vec<u8>>, Stat), Failure> {
        let body = self.read(OpCode::GetData, path, watch.then_some(Registration::Data))?;
        data_and_stat(&body, path)
    }

    /// Replaces the data.
    pub fn set_data(&self, path: &str, data: &[u8], version: i32) -> Result<Stat, Failure> {
        validate(path)?;
        let request = SetDataRequest { path: self.server_path(path).into(), data: Some(data), version };
        let body = answered(self.ask(OpCode::SetData, request.to_bytes()), Some(path))?;
        decoded(&body, path, Stat::decode)
    }

    /// Names of the children, as the server orders them.
    pub fn children(&self, path: &str, watch: bool) -> Result<Vec<String>, Failure> {
        let body = self.read(OpCode::GetChildren, path, watch.then_some(Registration::Children))?;
        Ok(owned(decoded(&body, path, GetChildrenResponse::decode)?.children))
    }

    /// The same and the stat.
    pub fn children_and_stat(&self, path: &str, watch: bool) -> Result<(Vec<String>, Stat), Failure> {
        let body = self.read(OpCode::GetChildren2, path, watch.then_some(Registration::Children))?;
        let response = decoded(&body, path, GetChildren2Response::decode)?;
        Ok((owned(response.children), response.stat))
    }

    fn read(&self, op: OpCode, path: &str, leaves: Option<Registration>) -> Result<Vec<u8>, Failure> {
        validate(path)?;
        let request = PathWatchRequest { path: self.server_path(path).into(), watch: leaves.is_some() };
        let (mut packet, answer) = Packet::new(op, request.to_bytes());
        if let Some(registration) = leaves {
            packet = packet.with_watch(WatchChange::Leave(registration), path);
        }
        Ok(answered(self.wait(packet, &answer), Some(path))?)
    }

    /// The access list and the stat.
    pub fn acl(&self, path: &str) -> Result<(Vec<Acl<'static>>, Stat), Failure> {
        let body = self.ask_path(OpCode::GetAcl, path)?;
        let response = decoded(&body, path, GetAclResponse::decode)?;
        Ok((response.acl.into_iter().map(Acl::into_owned).collect(), response.stat))
    }

    /// Replaces the access list.
    pub fn set_acl(&self, path: &str, acl: &[Acl<'_>], version: i32) -> Result<Stat, Failure> {
        validate(path)?;
        needs_acl(acl)?;
        let request = SetAclRequest { path: self.server_path(path).into(), acl: Some(acl.to_vec()), version };
        let body = answered(self.ask(OpCode::SetAcl, request.to_bytes()), Some(path))?;
        decoded(&body, path, Stat::decode)
    }

    /// How many znodes are below one.
    pub fn all_children_number(&self, path: &str) -> Result<i32, Failure> {
        let body = self.ask_path(OpCode::GetAllChildrenNumber, path)?;
        decoded(&body, path, Reader::int)
    }

    /// Lets the server catch up; gives the number of an error.
    pub fn sync(&self, path: &str) -> Result<i32, Failure> {
        match self.ask_path(OpCode::Sync, path) {
            Ok(_) => Ok(0),
            Err(Failure::Refused(refusal)) => Ok(refusal.code),
            Err(failure) => Err(failure),
        }
    }

    fn ask_path(&self, op: OpCode, path: &str) -> Result<Vec<u8>, Failure> {
        validate(path)?;
        let request = PathRequest { path: self.server_path(path).into() };
        Ok(answered(self.ask(op, request.to_bytes()), Some(path))?)
    }

    /// The session's ephemerals whose paths begin so; the server's names, whatever the chroot.
    pub fn ephemerals(&self, prefix: &str) -> Result<Vec<String>, Failure> {
        validate(prefix)?;
        let request = GetEphemeralsRequest { prefix: Some(prefix.into()) };
        let body = answered(self.ask(OpCode::GetEphemerals, request.to_bytes()), None)?;
        Ok(owned(decoded(&body, prefix, |r| r.vector(Reader::ustring))?))
    }

    /// The identities of this connection, scheme and user; none if nobody answers.
    pub fn who_am_i(&self) -> Vec<(String, String)> {
        let body = answered(self.ask(OpCode::WhoAmI, Vec::new()), None).unwrap_or_default();
        let identities = reader(&body).vector(ClientInfo::decode).unwrap_or_default();
        identities.into_iter().map(|info| (info.scheme.into_owned(), info.user.into_owned())).collect()
    }

    /// Leaves a watch that stays.
    pub fn add_watch(&self, path: &str, mode: AddWatchMode) -> Result<(), Failure> {
        validate(path)?;
        let request = AddWatchRequest { path: self.server_path(path).into(), mode: mode as i32 };
        let registration = match mode {
            AddWatchMode::Persistent => Registration::Persistent,
            AddWatchMode::PersistentRecursive => Registration::PersistentRecursive,
        };
        let (packet, answer) = Packet::new(OpCode::AddWatch, request.to_bytes());
        let packet = packet.with_watch(WatchChange::Leave(registration), path);
        answered(self.wait(packet, &answer), Some(path))?;
        Ok(())
    }

    /// Removes watches of a kind; events say which. A local removal does not need the server's consent.
    pub fn remove_watches(&self, path: &str, kind: WatcherType, is_local: bool) -> Result<(), Failure> {
        validate(path)?;
        let request = WatchTypeRequest { path: self.server_path(path).into(), kind: kind as i32 };
        let (packet, answer) = Packet::new(OpCode::RemoveWatches, request.to_bytes());
        let packet = packet.with_watch(WatchChange::Remove { kind, is_local }, path);
        answered(self.wait(packet, &answer), Some(path))?;
        Ok(())
    }

    /// The ensemble's configuration, which no chroot hides.
    pub fn config(&self, watch: bool) -> Result<(Option<Vec<u8>>, Stat), Failure> {
        let request = PathWatchRequest { path: CONFIG_PATH.into(), watch };
        let (mut packet, answer) = Packet::new(OpCode::GetData, request.to_bytes());
        if watch {
            packet = packet.with_watch(WatchChange::Leave(Registration::Data), CONFIG_PATH);
        }
        let body = answered(self.wait(packet, &answer), Some(CONFIG_PATH))?;
        data_and_stat(&body, CONFIG_PATH)
    }

    /// Changes the ensemble's members, and gives the new configuration.
    pub fn reconfig(&self, request: &ReconfigRequest<'_>) -> Result<(Option<Vec<u8>>, Stat), Failure> {
        let body = answered(self.ask(OpCode::Reconfig, request.to_bytes()), Some(""))?;
        data_and_stat(&body, "")
    }
}

/// Deletions on their way; none if a path was not sent.
pub struct Deletion(Option<Answer>);

impl Deletion {
    /// Waits for the answer.
    pub fn succeeded(self) -> bool {
        let Some(answer) = self.0 else { return false };
        answer.recv().is_ok_and(|reply| reply.err == 0 && all_succeeded(&reply.body).unwrap_or(false))
    }
}

fn all_succeeded(body: &[u8]) -> Result<bool, DecodeError> {
    let mut reader = reader(body);
    loop {
        let header = MultiHeader::decode(&mut reader)?;
        if header.done {
            return Ok(true);
        }
        if header.op == OpCode::Error.code() && reader.int()? != 0 {
            return Ok(false);
        }
    }
}

fn answered(reply: Reply, path: Option<&str>) -> Result<Vec<u8>, Refusal> {
    match reply.err {
        0 => Ok(reply.body),
        code => Err(Refusal { code, path: path.map(str::to_owned) }),
    }
}

fn needs_acl(acl: &[Acl<'_>]) -> Result<(), Refusal> {
    if acl.is_empty() {
        Err(Refusal { code: zabd_jute::ErrorCode::InvalidAcl.code(), path: None })
    } else {
        Ok(())
    }
}

/// A reader of answers, which may be longer than what servers accept.
fn reader(body: &[u8]) -> Reader<'_> {
    Reader::with_limits(body, Limits { field_bytes_max: body.len() })
}

fn decoded<'a, T>(
    body: &'a [u8],
    path: &str,
    decode: impl FnOnce(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<T, Failure> {
    Ok(decode(&mut reader(body)).map_err(|_| Refusal::new(failure::MARSHALLING_ERROR, path))?)
}

fn data_and_stat(body: &[u8], path: &str) -> Result<(Option<Vec<u8>>, Stat), Failure> {
    let response = decoded(body, path, GetDataResponse::decode)?;
    Ok((response.data.map(<[u8]>::to_vec), response.stat))
}

fn owned(names: Vec<Cow<'_, str>>) -> Vec<String> {
    names.into_iter().map(Cow::into_owned).collect()
}
