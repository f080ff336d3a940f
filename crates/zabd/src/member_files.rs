//! Keeps the files that name the members of the ensemble in step with what the agreement says of them.
//!
//! Everything is written beside itself, made durable and renamed, and the file that says which one counts comes last: a
//! crash leaves the members from before or those from after. A directory that cannot be written to does not end the
//! server, as in Java: it goes on with what the others say, and finds it out from them at its next start. Where only zoo.cfg cannot
//! be replaced, as one file that is mounted, the members that hold stand in the file of those that were proposed: a start counts them
//! beside those of zoo.cfg, and not others that were proposed once and came to nothing.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use zabd_config::{ConfigFiles, Source, dynamic_file, without_members};
use zabd_jute::quorum::{Configuration, Member};
use zabd_jute::{ConfigVersion, ServerId};
use zabd_storage::disk::{Disk as _, DiskFile as _, RealDisk};

/// See the module's description.
#[derive(Debug)]
pub struct MemberFiles {
    me: ServerId,
    files: Option<ConfigFiles>,
    held: ConfigVersion,
    /// The newest that was proposed, as far as it is known.
    next: ConfigVersion,
    named: Option<Named>,
}

/// Members that a flag or a variable names, which zoo.cfg is made from at every start.
#[derive(Debug)]
pub struct Named {
    /// What names them.
    pub by: Source,
    /// Who they are.
    pub members: Configuration,
}

impl Named {
    /// What is to be told if other members hold than those: a change of members outlasts a start, and the flag shows nothing of it.
    fn outranked(&self, holds: &Configuration) -> Option<String> {
        let listed = |configuration: &Configuration| {
            let one = |member: &Member| {
                let role = if member.is_voter() { "" } else { " (observer)" };
                let addresses = member.quorum_addresses().map(|address| address.to_string());
                (format!("{}{role}", member.id()), addresses.collect::<Vec<_>>())
            };
            configuration.members().iter().map(one).collect::<BTreeMap<_, _>>()
        };
        let (named, holding) = (listed(&self.members), listed(holds));
        if named == holding {
            return None;
        }
        let ids = |listed: BTreeMap<String, _>| listed.into_keys().collect::<Vec<_>>().join(", ");
        Some(format!(
            "{} has no effect on who the members are: with reconfigEnabled=true the last change of members holds, version {}, \
             also after a start. The members are {}, and {0} names {}: change them by `reconfig`, or let both say the same",
            self.by,
            holds.version(),
            ids(holding),
            ids(named)
        ))
    }
}

impl MemberFiles {
    /// The files beside a zoo.cfg, if there is one, which names the members of version `held`; those of `next` were proposed.
    pub fn new(me: ServerId, files: Option<ConfigFiles>, held: ConfigVersion, next: ConfigVersion) -> Self {
        Self { me, files, held, next, named: None }
    }

    /// Whose they are.
    pub fn server(&self) -> ServerId {
        self.me
    }

    /// The same, where not zoo.cfg but a flag or a variable names them.
    #[must_use]
    pub fn named(self, named: Option<Named>) -> Self {
        Self { named, ..self }
    }

    /// Members that may come to hold; unless they are newer than those that do, there are none.
    pub fn propose(&mut self, next: &Configuration) {
        self.next = next.version();
        let Some(files) = &self.files else { return };
        let path = files.next();
        let done = if self.held < next.version() {
            replace(&path, dynamic_file(&next.to_string(), true).as_bytes())
        } else {
            remove(&path)
        };
        tell_failure(&path, done);
    }

    /// These members hold. What was proposed since does not, and may be in the log: it stays.
    pub fn hold(&mut self, configuration: &Configuration) {
        self.held = configuration.version();
        let Some(files) = &self.files else { return };
        if let Some(said) = self.named.as_ref().and_then(|named| named.outranked(configuration)) {
            tracing::warn!("{said}");
        }
        let path = files.dynamic(self.held.0);
        let names_client = configuration.member(self.me).is_some_and(|member| member.client().is_some());
        let pointed = replace(&path, dynamic_file(&configuration.to_string(), false).as_bytes())
            .and_then(|()| point_to(files.zoo_cfg(), &path, names_client));
        let next = files.next();
        let forgotten = match &pointed {
            _ if self.held < self.next => Ok(()),
            Ok(()) => remove(&next),
            Err(_) => replace(&next, dynamic_file(&configuration.to_string(), true).as_bytes()),
        };
        tell_failure(&path, pointed);
        tell_failure(&next, forgotten);
    }
}

/// Keeps what zoo.cfg was while it named the members itself: it is rewritten as soon as they have a version.
pub fn back_up(files: &ConfigFiles) {
    let path = files.backup();
    let done = std::fs::read(files.zoo_cfg()).and_then(|bytes| replace(&path, &bytes));
    tell_failure(&path, done);
}

fn point_to(zoo_cfg: &Path, dynamic_file: &Path, names_client: bool) -> io::Result<()> {
    let before = std::fs::read(zoo_cfg)?;
    replace(zoo_cfg, &without_members(&before, &dynamic_file.canonicalize()?, names_client))
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let beside = Path::new(&name);
    let mut file = RealDisk.create(beside)?;
    file.write_at(0, bytes)?;
    file.sync()?;
    RealDisk.rename(beside, path)?;
    RealDisk.sync_dir(directory(path))
}

fn remove(path: &Path) -> io::Result<()> {
    match RealDisk.remove(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| RealDisk.sync_dir(directory(path))),
    }
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn tell_failure(path: &Path, done: io::Result<()>) {
    if let Err(error) = done {
        tracing::error!(
            "Cannot write {}: {error}; at its next start this server does not know the newest members, and has to \
             hear of them from the others",
            path.display()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(text: &str) -> Configuration {
        Configuration::parse(text).unwrap()
    }

    #[test]
    fn the_files_follow_the_agreement() {
        let dir = tempfile::tempdir().unwrap();
        let zoo_cfg = dir.path().join("zoo.cfg");
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).ok();
        std::fs::write(&zoo_cfg, "# here\nclientPort=1\nserver.1=a:1:2\n").unwrap();
        let files = ConfigFiles::new(&zoo_cfg);
        back_up(&files);
        let mut members =
            MemberFiles::new(ServerId(1), Some(files), ConfigVersion::ZERO, ConfigVersion::ZERO);

        let numbered = configuration("server.1=a:1:2:participant\nversion=100000000");
        members.propose(&numbered);
        let next = "server.1=a:1:2:participant\nversion=100000000";
        assert_eq!(read("zoo.cfg.dynamic.next").as_deref(), Some(next));
        members.hold(&numbered);
        assert_eq!(read("zoo.cfg.dynamic.next"), None);
        assert_eq!(read("zoo.cfg.dynamic.100000000").as_deref(), Some("server.1=a:1:2:participant"));
        let at = |version: &str| format!("dynamicConfigFile={}.dynamic.{version}\n", zoo_cfg.display());
        assert_eq!(read("zoo.cfg"), Some(format!("# here\nclientPort=1\n{}", at("100000000"))));

        let with_client = configuration("server.1=a:1:2:participant;3\nversion=100000004");
        members.propose(&with_client);
        members.hold(&with_client);
        assert_eq!(read("zoo.cfg"), Some(format!("# here\n{}", at("100000004"))));

        members.propose(&configuration("server.1=a:1:2:participant;3\nversion=100000005"));
        members.propose(&with_client);
        assert_eq!(read("zoo.cfg.dynamic.next"), None, "what was proposed is void");
        assert_eq!(read("zoo.cfg.bak").as_deref(), Some("# here\nclientPort=1\nserver.1=a:1:2\n"));
    }
    /// A leader tells a follower which members hold when the next change is on its way already, and in its log.
    #[test]
    fn what_was_proposed_since_stays() {
        let dir = tempfile::tempdir().unwrap();
        let zoo_cfg = dir.path().join("zoo.cfg");
        let next = dir.path().join("zoo.cfg.dynamic.next");
        std::fs::write(&zoo_cfg, "server.1=a:1:2\n").unwrap();
        let [first, second, third] = ["100000003", "100000007", "100000009"]
            .map(|version| configuration(&format!("server.1=a:1:2\nversion={version}")));
        let files = || Some(ConfigFiles::new(&zoo_cfg));
        let mut members = MemberFiles::new(ServerId(1), files(), ConfigVersion::ZERO, ConfigVersion::ZERO);
        members.propose(&second);
        members.hold(&first);
        assert!(std::fs::read_to_string(&next).unwrap().ends_with("version=100000007"));
        let mut started = MemberFiles::new(ServerId(1), files(), first.version(), second.version());
        started.hold(&first);
        assert!(next.exists(), "nor does a start forget it");
        started.hold(&third);
        assert!(!next.exists(), "what is older than what holds is void");
    }

    #[test]
    fn a_flag_that_a_change_of_members_outranks_is_named() {
        let [two, same, three] = [
            "server.1=a:1:2:participant\nserver.2=b:1:2:participant\nversion=100000002",
            "server.1=a:1:2:participant\nserver.2=b:1:2:participant\nserver.3=c:1:2:participant\nversion=100000000",
            "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2",
        ]
        .map(configuration);
        let named = Named { by: Source::Named("--servers".into()), members: three };
        assert_eq!(named.outranked(&same), None, "a number changes nothing");
        let said = named.outranked(&two).unwrap();
        assert!(
            said.starts_with("--servers has no effect on who the members are: with reconfigEnabled=true"),
            "{said}"
        );
        assert!(
            said.contains("version 100000002")
                && said.contains("members are 1, 2, and --servers names 1, 2, 3:"),
            "{said}"
        );
        let moved =
            configuration("server.1=a:1:2\nserver.2=b:1:2\nserver.3=d:1:2:participant\nversion=100000003");
        assert!(named.outranked(&moved).is_some(), "so is another address");
    }

    /// As where zoo.cfg is one file that was mounted: the directory can be written to.
    #[test]
    fn members_that_zoo_cfg_cannot_name_stand_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let zoo_cfg = dir.path().join("zoo.cfg");
        std::fs::create_dir(&zoo_cfg).unwrap();
        let next = dir.path().join("zoo.cfg.dynamic.next");
        let read = || std::fs::read_to_string(&next).unwrap();
        let [void, held, newer] = ["100000003", "100000007", "100000009"]
            .map(|version| configuration(&format!("server.1=a:1:2:participant\nversion={version}")));
        let files = Some(ConfigFiles::new(&zoo_cfg));
        let mut members = MemberFiles::new(ServerId(1), files, ConfigVersion::ZERO, ConfigVersion::ZERO);
        members.propose(&void);
        members.hold(&held);
        assert!(read().ends_with("version=100000007"), "what came to nothing is no more: {}", read());
        members.propose(&newer);
        members.hold(&held);
        assert!(read().ends_with("version=100000009"), "what may come to hold stays: {}", read());
    }
}
