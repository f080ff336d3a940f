//! The checkers: what must be true of a world, seen from outside.
//!
//! What is shown is checked as it happens. When the world has healed, all that was ever shown is replayed, alone, on a
//! tree of the checker's own, and what clients were told is held against that.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use zabd_jute::quorum::Configuration;
use zabd_jute::txn::{Entry, Txn, TxnHeader};
use zabd_jute::{ConfigVersion, Epoch, OpCode, Reader, Record, SessionId, Zxid};
use zabd_tree::{Change, Effects, OpResult, Tree};
use zabd_zab::history::History;

use crate::client::{Asked, Client, Told};
use crate::heard::{Happened, assert_events};
use crate::linear::{NEVER, Operation, What, unexplained};
use crate::outcome::{self, NO_NODE, NODE_EXISTS};
use crate::silence::Silence;
use crate::store::TREE;

/// Everything that was ever proposed, shown and told.
#[derive(Debug, Default)]
pub struct Truth {
    /// Every transaction that a server logged, by position.
    proposed: BTreeMap<Zxid, Bytes>,
    /// The positions that were ever shown.
    shown: BTreeSet<Zxid>,
    /// The tree behind a position.
    looks: BTreeMap<Zxid, Look>,
    /// Who led when, or was about to.
    leaders: BTreeMap<Epoch, usize>,
    /// Where a leader's history ended when it began to propose.
    initial: BTreeMap<Epoch, Zxid>,
    /// Sessions that are over.
    ended: BTreeSet<SessionId>,
    /// The members of each version.
    members: BTreeMap<ConfigVersion, String>,
    /// Those that some server has decided to hold.
    decided: BTreeSet<ConfigVersion>,
    /// Every reconfiguration that was shown.
    reconfigured: BTreeSet<Zxid>,
    /// When leaders heard of sessions.
    silence: Silence,
}

/// What a tree is told by: its digest, and its sessions, which are not in that.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Look {
    digest: u64,
    sessions: Vec<(SessionId, i32)>,
}

impl Look {
    fn at(tree: &Tree) -> Self {
        Self { digest: tree.digest(), sessions: tree.sessions().collect() }
    }
}

/// What the replay shows of the past.
#[derive(Debug, Default)]
struct Past {
    /// What happened to a znode where: 1 created, 2 deleted, 3 changed.
    changes: Happened,
    /// What became of a request.
    outcomes: BTreeMap<(SessionId, i32), Zxid>,
    /// The newest request of each session that changed something.
    newest: BTreeMap<SessionId, i32>,
    expired: BTreeSet<SessionId>,
    last_number: i64,
    /// How many znodes came and went below the root.
    below_root: i32,
}

impl Truth {
    /// A server hands a transaction to its log; its leader is the first who does.
    pub fn propose(&mut self, zxid: Zxid, entry: &Bytes, now_ms: i64, timeout_ms: i32) {
        let is_new = !self.proposed.contains_key(&zxid);
        let before = self.proposed.entry(zxid).or_insert_with(|| entry.clone());
        assert_eq!(before, entry, "two transactions at {zxid}");
        if is_new {
            let header = TxnHeader::decode(&mut Reader::new(entry)).expect("our own record decodes");
            match OpCode::from_code(header.kind) {
                Some(OpCode::CreateSession) => self.hear(zxid.epoch(), header.session, now_ms),
                // Who ends its own has numbered that.
                Some(OpCode::CloseSession) if header.cxid == 0 => {
                    self.silence.assert_long(header.session, zxid, now_ms, timeout_ms);
                }
                _ => (),
            }
        }
    }

    /// A sign of life of a session reaches a leader.
    pub fn hear(&mut self, epoch: Epoch, session: SessionId, now_ms: i64) {
        self.silence.hear(epoch, session, now_ms);
    }

    /// A server tells others that its history is the one with which an epoch begins.
    pub fn lead(&mut self, epoch: Epoch, server: usize) {
        let before = *self.leaders.entry(epoch).or_insert(server);
        assert_eq!(before, server, "two servers lead epoch {epoch}");
    }

    /// It begins to propose: it has applied its history, and nobody has shown more than that.
    pub fn reign(&mut self, epoch: Epoch, server: usize, last: Zxid, now_ms: i64) {
        self.lead(epoch, server);
        self.silence.begin(epoch, now_ms);
        self.initial.insert(epoch, last);
        let shown = self.shown.range(..epoch.first_zxid()).next_back();
        assert!(
            shown <= Some(&last),
            "{server} leads epoch {epoch} with {last}, and {shown:?} was shown before"
        );
    }

    /// The newest epoch in which somebody has led.
    pub fn newest_epoch(&self) -> Epoch {
        self.initial.last_key_value().map_or(Epoch::ZERO, |(epoch, _)| *epoch)
    }

    /// The newest position that was ever shown.
    pub fn newest(&self) -> Zxid {
        self.shown.last().copied().unwrap_or(Zxid::ZERO)
    }

    /// A server starts on this: it holds nothing but what was proposed, and where somebody showed a tree it has the same.
    pub fn assert_found(&self, server: usize, tree: &Tree, history: &History) {
        for logged in history.behind(history.before()) {
            let proposed = self.proposed.get(&logged.zxid);
            assert_eq!(
                proposed,
                Some(&logged.entry),
                "server {server} starts with a strange {}",
                logged.zxid
            );
        }
        let (zxid, found) = (tree.last_zxid(), Look::at(tree));
        let shown = self.looks.get(&zxid).unwrap_or(&found);
        assert_eq!(*shown, found, "server {server} starts with another tree at {zxid}");
    }

    /// A server that serves shows a transaction.
    pub fn show(&mut self, zxid: Zxid) {
        if self.shown.insert(zxid) {
            if let Some((epoch, last)) = self.initial.range(zxid.epoch().next()..).next() {
                assert!(zxid <= *last, "{zxid} is shown, and epoch {epoch} has begun behind {last}");
            }
            let header = TxnHeader::decode(&mut Reader::new(&self.proposed[&zxid]));
            let TxnHeader { kind, session, .. } = header.expect("our own record decodes");
            if kind == OpCode::CloseSession.code() {
                self.ended.insert(session);
            }
            if kind == OpCode::Reconfig.code() {
                self.reconfigured.insert(zxid);
            }
        }
    }

    /// Members come to hold somewhere: there is one set of them per version, whoever has it from whom.
    pub fn hold(&mut self, configuration: &Configuration) {
        let (version, text) = (configuration.version(), configuration.to_string());
        if version != ConfigVersion::ZERO {
            let before = self.members.entry(version).or_insert_with(|| text.clone());
            assert_eq!(*before, text, "two sets of members of one version");
        }
    }

    /// Whether the leader of this epoch, as others were told, is this server.
    pub fn has_led(&self, epoch: Epoch, server: usize) -> bool {
        self.leaders.get(&epoch) == Some(&server)
    }

    /// A server is about to hold members. Whoever is the first to do so has their change in its history, or completes it as a leader:
    /// a change that came to nothing makes an ensemble of its own if somebody else holds it.
    pub fn decide(&mut self, server: usize, configuration: &Configuration, may: bool) {
        let zxid = Zxid(configuration.version().0);
        let is_known = !self.proposed.contains_key(&zxid) || self.shown.contains(&zxid);
        assert!(
            !self.decided.insert(configuration.version()) || is_known || may,
            "{server} is the first to hold {configuration}, which is not in its history"
        );
    }

    /// The members in the end are those of the last reconfiguration that was shown, or of a later one that was proposed: a
    /// server has what it proposes in a file before it has it in its log, and may lose the one and keep the other.
    pub fn assert_members(&self, last: &Configuration) {
        if let Some(&shown) = self.reconfigured.last() {
            let named = Zxid(last.version().0);
            let zxid = if self.proposed.contains_key(&named) { named.max(shown) } else { shown };
            let Txn::SetData { data, .. } = self.entry(zxid).txn else {
                panic!("a reconfiguration sets data")
            };
            let text = String::from_utf8_lossy(data.unwrap_or_default());
            let expected = Configuration::parse(&text).expect("what was proposed is a configuration");
            assert!(ConfigVersion::from(zxid) <= last.version(), "{last} holds, behind {expected}");
            assert_eq!(last.members(), expected.members(), "others were asked for at {zxid}");
            assert_eq!(last.hierarchy(), expected.hierarchy(), "others were asked for at {zxid}");
        }
    }

    /// Whether somebody has shown this transaction.
    pub fn has_shown(&self, zxid: Zxid) -> bool {
        self.shown.contains(&zxid)
    }

    /// What was proposed for a request, for people.
    pub fn proposals(&self, session: SessionId, xid: i32) -> Vec<Zxid> {
        let is_its = |zxid: &Zxid| {
            let header = self.entry(*zxid).header;
            (header.session, header.cxid) == (session, xid)
        };
        self.proposed.keys().copied().filter(is_its).collect()
    }

    /// Whether a session's end was shown.
    pub fn has_ended(&self, session: SessionId) -> bool {
        self.ended.contains(&session)
    }

    /// A server that serves shows this tree.
    pub fn show_tree(&mut self, server: usize, tree: &Tree) {
        let (zxid, look) = (tree.last_zxid(), Look::at(tree));
        let before = self.looks.entry(zxid).or_insert_with(|| look.clone());
        assert_eq!(*before, look, "server {server} shows another tree at {zxid}");
    }

    /// How many reconfigurations were shown.
    pub fn reconfigurations(&self) -> usize {
        self.reconfigured.len()
    }

    /// How many transactions were shown.
    pub fn len(&self) -> usize {
        self.shown.len()
    }

    /// Whether none were.
    pub fn is_empty(&self) -> bool {
        self.shown.is_empty()
    }

    fn entry(&self, zxid: Zxid) -> Entry<'_> {
        let bytes = self.proposed.get(&zxid).expect("what is shown was proposed");
        Entry::decode(&mut Reader::new(bytes)).expect("our own record decodes")
    }

    /// Replays all that was shown, alone, and holds against it what clients were told and what is left.
    pub fn assert_told(&self, clients: &[Client], last: &Tree) {
        let told: Vec<_> = clients.iter().flat_map(Client::told).collect();
        self.assert_writes(&told);
        let past = self.replay(&told, last);
        for client in clients {
            assert_events(client, &past.changes);
        }
        for key in 0..5 {
            self.assert_linearizable(&format!("/k{key}"), clients, &past);
        }
    }

    fn replay(&self, told: &[&Told], last: &Tree) -> Past {
        let is_read = |told: &&&Told| {
            matches!(told.asked.op, OpCode::GetData | OpCode::Exists) && matches!(told.err, 0 | NO_NODE)
        };
        let mut reads: Vec<_> = told.iter().filter(is_read).collect();
        reads.sort_by_key(|told| told.zxid);
        let mut reads = reads.into_iter().peekable();
        let mut tree = Tree::new(TREE);
        let cversion = |tree: &Tree| tree.node("/").expect("there is a root").stat().cversion;
        let first_cversion = cversion(&tree);
        let writes: BTreeMap<_, _> =
            told.iter().filter(|told| is_write(told)).map(|told| (told.zxid, *told)).collect();
        let mut past = Past { last_number: -1, ..Past::default() };
        for zxid in &self.shown {
            while let Some(read) = reads.next_if(|read| read.zxid < *zxid) {
                assert_read(&tree, read);
            }
            let (entry, write) = (self.entry(*zxid), writes.get(zxid));
            if let Some(write) = write {
                outcome::assert_due(&tree, write, &entry);
            }
            past.live(&mut tree, &entry);
            if let Some(write) = write {
                outcome::assert_done(&tree, write);
            }
        }
        reads.for_each(|read| assert_read(&tree, read));
        assert_eq!(
            Look::at(&tree),
            Look::at(last),
            "the servers end with another tree than what was shown makes"
        );
        let expected = first_cversion + past.below_root;
        assert_eq!(cversion(&tree), expected, "the root has another cversion than its children made");
        for session in tree.sessions_with_ephemerals() {
            assert!(tree.session_timeout_ms(session).is_some(), "ephemerals of {session}, which is over");
        }
        past
    }

    /// Each answered write is where the answer says, once, and later ones are behind earlier ones.
    fn assert_writes(&self, told: &[&Told]) {
        let mut writes: Vec<_> = told.iter().filter(|told| is_write(told)).collect();
        let mut places: BTreeMap<Zxid, (SessionId, i32)> = BTreeMap::new();
        for write in &writes {
            let (zxid, asked) = (write.zxid, &write.asked);
            assert!(self.shown.contains(&zxid), "{asked:?} was answered with {zxid}, which is lost");
            let entry = self.entry(zxid);
            assert_eq!(
                (entry.header.session, entry.header.cxid),
                (asked.session, asked.xid),
                "{asked:?} was answered with another's transaction"
            );
            let is_error = matches!(entry.txn, Txn::Error { .. });
            assert_eq!(is_error, write.err != 0, "{asked:?} was told {} and is {:?}", write.err, entry.txn);
            let is_numbered = asked.path == "/s-";
            assert!(!is_numbered || write.err != NODE_EXISTS, "{asked:?} was given a name that exists");
            if let (Txn::Create(create), Some(name)) = (&entry.txn, &write.name) {
                assert_eq!(create.path, *name, "{asked:?} was told another name");
            }
            let before = places.insert(zxid, (asked.session, asked.xid));
            assert!(before.is_none(), "{asked:?} was answered twice");
        }
        // Whoever asks after another was answered comes behind it.
        writes.sort_by_key(|write| write.at);
        let mut newest = Vec::new();
        let mut highest = Zxid::ZERO;
        for write in &writes {
            highest = highest.max(write.zxid);
            newest.push((write.at, highest));
        }
        let highest_before = |at| {
            let before = newest.partition_point(|(answered, _)| *answered < at);
            before.checked_sub(1).map(|place| newest[place].1)
        };
        for write in &writes {
            if let Some(highest) = highest_before(write.asked.at) {
                assert!(highest < write.zxid, "{:?} came behind {highest} and is before it", write.asked);
            }
        }
        for sync in
            told.iter().filter(|told| told.asked.op == OpCode::Sync && told.err == 0 && told.is_current)
        {
            if let Some(highest) = highest_before(sync.asked.at) {
                assert!(
                    highest <= sync.zxid,
                    "{:?} was answered at {}, before {highest}",
                    sync.asked,
                    sync.zxid
                );
            }
        }
    }

    /// Writes, and reads behind a sync, of one znode, by their answers and times alone.
    fn assert_linearizable(&self, path: &str, clients: &[Client], past: &Past) {
        let told = clients.iter().flat_map(Client::told).filter(|told| told.asked.path == path);
        let mut operations: Vec<_> = told.filter_map(operation).collect();
        let unanswered =
            clients.iter().flat_map(|client| &client.unanswered).filter(|asked| asked.path == path);
        operations.extend(unanswered.filter_map(|asked| {
            let zxid = past.outcomes.get(&(asked.session, asked.xid))?;
            let what = match self.entry(*zxid).txn {
                Txn::Create(_) => What::Created(asked.value.clone()),
                Txn::Delete { .. } => What::Deleted,
                Txn::SetData { version, .. } => What::Set(asked.value.clone(), version),
                _ => return None,
            };
            Some(Operation { asked: asked.at, answered: NEVER, what })
        }));
        let found = unexplained(&mut operations);
        assert!(found.is_none(), "no order of what was asked of {path} explains {found:?}");
    }
}

fn operation(told: &Told) -> Option<Operation> {
    let Told { asked, err, at, .. } = told;
    let Asked { value, .. } = asked;
    let (begin, what) = match (asked.op, *err) {
        (OpCode::Create, 0) => (asked.at, What::Created(value.clone())),
        (OpCode::Create, NODE_EXISTS) => (asked.at, What::Exists),
        (OpCode::Delete, 0) => (asked.at, What::Deleted),
        (OpCode::SetData, 0) => (asked.at, What::Set(value.clone(), told.stat?.version)),
        (OpCode::Delete | OpCode::SetData, NO_NODE) => (asked.at, What::Missing),
        // Who has synchronised reads nothing older, as long as nobody leads behind the leader's back.
        (OpCode::GetData, 0 | NO_NODE) if told.is_current => {
            (asked.behind_sync?, What::Read(told.data.clone()))
        }
        _ => return None,
    };
    Some(Operation { asked: begin, answered: *at, what })
}

impl Past {
    /// The next transaction.
    fn live(&mut self, tree: &mut Tree, entry: &Entry<'_>) {
        let TxnHeader { session, cxid, zxid, .. } = entry.header;
        let is_alive = tree.session_timeout_ms(session).is_some();
        match &entry.txn {
            Txn::Error { .. } | Txn::CreateSession { .. } => (),
            Txn::CloseSession { .. } => {
                let is_first = cxid != 0 || is_alive && self.expired.insert(session);
                assert!(is_first, "session {session} expires again at {zxid}");
            }
            txn => assert!(is_alive, "{txn:?} happens at {zxid} in session {session}, which is over"),
        }
        // As in Java, a session ends wherever its client has gone meanwhile. Only one that goes on with a session which it
        // has closed can tell.
        let may_be_late = cxid == 0 || matches!(entry.txn, Txn::Error { .. } | Txn::CloseSession { .. });
        if !may_be_late {
            let before = self.newest.insert(session, cxid).unwrap_or(0);
            assert!(before < cxid, "request {cxid} of {session} comes at {zxid}, behind request {before}");
        }
        match &entry.txn {
            Txn::Create(create) if create.path.starts_with("/s-") => {
                let number = create.path[3..].parse().expect("a numbered name ends in a number");
                assert!(self.last_number < number, "{} comes behind {}", create.path, self.last_number);
                self.last_number = number;
            }
            Txn::Delete { path } if path.starts_with("/e") => {
                assert_eq!(cxid, 0, "{path} is deleted, and its session goes on");
            }
            _ => (),
        }
        self.outcomes.insert((session, cxid), zxid);
        let mut changes = Changes { zxid, past: self };
        tree.follow(entry, None, &mut changes);
        let stated = entry.digest.map(|digest| digest.tree);
        assert!(
            stated.is_none_or(|stated| stated == tree.digest()),
            "the digest behind {zxid} is {}, and was proposed as {stated:?}: a transaction is missing, or wrong",
            tree.digest()
        );
        let data = |path| tree.node(path).map(|node| node.data().map(<[u8]>::to_vec));
        assert_eq!(data("/m0"), data("/m1"), "half of a multi happened at {zxid}");
        if let Txn::CloseSession { .. } = entry.txn {
            let left = tree.ephemerals(session);
            assert!(left.is_empty(), "{left:?} outlive their session, which ended at {zxid}");
        }
    }
}

/// Writes down what changes where.
struct Changes<'p> {
    zxid: Zxid,
    past: &'p mut Past,
}

impl Effects for Changes<'_> {
    fn change(&mut self, change: Change<'_>) {
        let (path, kind) = match change {
            Change::Created { path, .. } => (path, 1),
            Change::Deleted { path, .. } => (path, 2),
            Change::DataChanged { path, .. } => (path, 3),
        };
        self.past.below_root += i32::from(kind != 3);
        self.past.changes.entry(path.to_owned()).or_default().push((self.zxid, kind));
    }
    fn result(&mut self, _: OpResult) {}
}

fn is_write(told: &Told) -> bool {
    use OpCode::{CloseSession, Create, Delete, Multi, Reconfig, SetData};
    matches!(told.asked.op, SetData | Create | Delete | CloseSession | Multi | Reconfig)
}

fn assert_read(tree: &Tree, read: &Told) {
    let node = tree.node(&read.asked.path);
    let (zxid, stat) = (read.zxid, node.map(|node| node.stat()));
    assert_eq!(read.stat, stat, "{:?} was read at {zxid}", read.asked);
    if read.asked.op == OpCode::GetData {
        let data = node.map(|node| node.data().unwrap_or_default().to_vec());
        assert_eq!(read.data, data, "{:?} was read at {zxid}", read.asked);
    }
}
