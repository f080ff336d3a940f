//! Performs what an image's start script does: directories, files, `myid`, and then the server in this very process.
//!
//! On a read-only root file system the directory of the configuration cannot be written. The server does not need it, so the
//! files go to `conf` below the data, where whoever wonders can read them. What is on a volume already stays as it is: owners
//! and modes are the volume's (`fsGroup`), not the image's.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rustix::process::{getegid, geteuid};
use zabd_config::pod::{Host, Left, Plan, ZooCfg};
use zabd_config::{ExitCode as Code, read_file};

use super::mistakes;

/// The environment, as far as it is text.
pub fn variables() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Who this host is.
pub fn host() -> Host {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let text = |path: &str| {
        fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    };
    Host { name, hosts: text("/etc/hosts"), resolv_conf: text("/etc/resolv.conf") }
}

/// Performs the plan and serves; `environment` has `-D` words. `program` tells what could not be done.
pub fn perform(program: &str, plan: &Plan, environment: &dyn Fn(&str) -> Option<String>) -> ExitCode {
    let config = |zoo_cfg: &Path| {
        plan.config(zoo_cfg, environment, &read_file).map_err(|errors| mistakes::refuse(&errors))
    };
    // A file that no server can start from would count at the next start, and be there for whoever looks.
    let prepared = config(plan.zoo_cfg.path()).and_then(|_| {
        make_directories(program, plan)?;
        let zoo_cfg = write_configuration(program, plan);
        eprintln!("Using config: {}", zoo_cfg.display());
        let config = config(&zoo_cfg)?;
        write_myid(program, plan)?;
        Ok(config)
    });
    match prepared {
        Ok(config) => super::serve(config, None, false),
        Err(code) => code,
    }
}

fn make_directories(program: &str, plan: &Plan) -> Result<(), ExitCode> {
    for path in &plan.needed {
        fs::create_dir_all(path).map_err(|error| {
            let why = format!("cannot make {}: {error}", path.display());
            no_data(program, &with_remedy(program, &why, path, &error))
        })?;
    }
    for path in &plan.wanted {
        if let Err(error) = fs::create_dir_all(path) {
            eprintln!("{program}: {} is not made ({error}); the server does without it", path.display());
        }
    }
    Ok(())
}

/// The number of this server, once it is known that there will be one: a wrong one would stay on the volume.
fn write_myid(program: &str, plan: &Plan) -> Result<(), ExitCode> {
    let Some(id) = plan.myid else { return Ok(()) };
    let path = plan.data_dir.join("myid");
    let written = write_durably(&path, &format!("{id}\n"));
    written.map_err(|error| {
        let why = format!("cannot write {}: {error}", path.display());
        no_data(program, &with_remedy(program, &why, &plan.data_dir, &error))
    })
}

/// What is wrong, and, if `path` belongs to somebody else, how this user comes to write it. Only an entry point gives away what root
/// is started on.
fn with_remedy(program: &str, why: &str, path: &Path, error: &io::Error) -> String {
    let there = path.ancestors().find_map(|each| Some((each, fs::metadata(each).ok()?)));
    let Some((place, of)) = there.filter(|_| error.kind() == io::ErrorKind::PermissionDenied) else {
        return why.to_owned();
    };
    let (owner, uid, gid) = (format!("{}:{}", of.uid(), of.gid()), geteuid().as_raw(), getegid().as_raw());
    let as_root = if program == "docker-entrypoint.sh" {
        "start it once as root (`user: root`, `docker run --user root`): it then gives its directories to the image's user and \
         goes on as that one; or "
    } else {
        ""
    };
    // Never a server that stays root.
    let as_owner = match of.uid() {
        0 => String::new(),
        _ => format!("start it as the owner (`user: \"{owner}\"`), or "),
    };
    let place = place.display();
    format!(
        "{why}; hint: {place} belongs to {owner}, and this is user {uid}:{gid}: {as_root}{as_owner}give the \
         directory to this user (`chown {uid}:{gid}`; in a pod `fsGroup: {gid}`)"
    )
}

fn no_data(program: &str, why: &str) -> ExitCode {
    eprintln!("{program}: {why}");
    ExitCode::from(Code::UnableToAccessDataDir as u8)
}

fn write_configuration(program: &str, plan: &Plan) -> PathBuf {
    let path = plan.zoo_cfg.path();
    let ZooCfg::Made { lines, .. } = &plan.zoo_cfg else { return path.to_owned() };
    let place = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default();
    let text = lines.text();
    let write_into = |dir: &Path| -> io::Result<()> {
        fs::create_dir_all(dir)?;
        plan.left(dir, &text).iter().try_for_each(|file| replace(&dir.join(file.name), file))
    };
    let Err(error) = write_into(place) else { return path.to_owned() };
    let instead = plan.data_dir.join("conf");
    let why = format!("{program}: cannot write into {} ({error})", place.display());
    match write_into(&instead) {
        Ok(()) => {
            eprintln!("{why}: the configuration is in {}", instead.display());
            instead.join(name)
        }
        Err(error) => {
            eprintln!(
                "{why}, nor into {} ({error}): the configuration is nowhere but in memory",
                instead.display()
            );
            path.to_owned()
        }
    }
}

/// Another file, as the script makes it: who may write into the directory need not be who wrote the file.
fn replace(path: &Path, file: &Left<'_>) -> io::Result<()> {
    let _ = fs::remove_file(path);
    let mode = if file.is_secret { 0o600 } else { 0o666 };
    let mut new = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    new.write_all(file.text.as_bytes())
}

/// All or nothing, also when the power fails.
fn write_durably(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = fs::File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use zabd_config::pod::{Asked, Surroundings, start_zookeeper};

    use super::*;

    #[test]
    fn who_may_write_a_directory_is_told() {
        let root = tempfile::tempdir().unwrap();
        let of = fs::metadata(root.path()).unwrap();
        let owner = format!("{}:{}", of.uid(), of.gid());
        let path = root.path().join("data/version-2");
        let said = |program: &str, kind: io::ErrorKind| {
            with_remedy(program, "cannot", &path, &io::Error::from(kind))
        };
        let denied = said("docker-entrypoint.sh", io::ErrorKind::PermissionDenied);
        let begin = format!("cannot; hint: {} belongs to {owner}, and this is user", root.path().display());
        assert!(denied.starts_with(&begin), "{denied}");
        assert_eq!(denied.contains(&format!("`user: \"{owner}\"`")), of.uid() != 0, "{denied}");
        assert!(denied.contains("start it once as root (`user: root`"), "{denied}");
        let other = said("start-zookeeper", io::ErrorKind::PermissionDenied);
        assert!(other.contains("`fsGroup: ") && !other.contains("root ("), "{other}");
        assert_eq!(said("docker-entrypoint.sh", io::ErrorKind::StorageFull), "cannot");
    }

    /// The plan of a pod whose directories are below `root`.
    fn plan(root: &Path, conf: &str) -> Plan {
        let at = |name: &str| root.join(name).display().to_string();
        let words = [
            "--servers=3".to_owned(),
            "--hostname=zk-1".to_owned(),
            "--domain=zk-hs".to_owned(),
            format!("--data_dir={}", at("data")),
            format!("--data_log_dir={}", at("data/log")),
            format!("--log_dir={}", at("logs")),
            format!("--conf_dir={}", at(conf)),
        ];
        let around = Surroundings { variables: &BTreeMap::new(), host: &Host::default(), read: &read_file };
        match start_zookeeper(&words, &around) {
            Asked::Start { plan, .. } => *plan,
            other => panic!("{other:?}"),
        }
    }

    fn prepare(plan: &Plan) -> Result<PathBuf, ExitCode> {
        make_directories("test", plan)?;
        let zoo_cfg = write_configuration("test", plan);
        write_myid("test", plan)?;
        Ok(zoo_cfg)
    }

    #[test]
    fn everything_is_left_where_people_look_for_it() {
        let root = tempfile::tempdir().unwrap();
        let zoo_cfg = prepare(&plan(root.path(), "conf")).unwrap();
        assert_eq!(zoo_cfg, root.path().join("conf/zoo.cfg"));
        let text = |name: &str| fs::read_to_string(root.path().join(name)).unwrap();
        assert!(text("conf/zoo.cfg").contains("server.2=zk-1.zk-hs:2888:3888\n"));
        assert!(
            text("conf/java.env").contains("-Xmx2G") && text("conf/log4j.properties").contains("CONSOLE")
        );
        assert_eq!(text("data/myid"), "2\n");
        assert!(root.path().join("data/log").is_dir() && root.path().join("logs").is_dir());
        assert_eq!(fs::read_dir(root.path().join("data")).unwrap().count(), 2, "nothing else");
    }

    #[test]
    fn an_earlier_files_place_is_taken() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("conf")).unwrap();
        fs::write(root.path().join("conf/zoo.cfg"), "something longer than nothing ".repeat(99)).unwrap();
        let zoo_cfg = prepare(&plan(root.path(), "conf")).unwrap();
        assert!(fs::read_to_string(zoo_cfg).unwrap().starts_with("#This file was autogenerated"));
    }

    #[test]
    fn where_the_configuration_cannot_be_written_it_is_beside_the_data() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), "").unwrap();
        let zoo_cfg = prepare(&plan(root.path(), "file/conf")).unwrap();
        assert_eq!(zoo_cfg, root.path().join("data/conf/zoo.cfg"));
        assert!(zoo_cfg.exists() && zoo_cfg.with_file_name("java.env").exists());
    }

    #[test]
    fn without_a_place_for_the_data_there_is_no_server() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("data"), "").unwrap();
        let error = prepare(&plan(root.path(), "conf")).unwrap_err();
        assert_eq!(error, ExitCode::from(Code::UnableToAccessDataDir as u8));
    }
}
