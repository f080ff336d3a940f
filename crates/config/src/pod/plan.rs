//! What a start script leaves behind, and what it starts from.

use super::named;
use crate::config::Config;
use crate::error::{ConfigErrors, Warning};
use crate::load::IMAGE_FLAGS;
use crate::properties;
use crate::setting::Setting;
use crate::sources::{ReadFile, Sources};
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// What a start script does; whoever performs it need not understand it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The zoo.cfg.
    pub zoo_cfg: ZooCfg,
    /// Files beside it, by name, with their text.
    pub beside: Vec<(&'static str, String)>,
    /// Who may log in, as one more of them.
    pub login: Option<Login>,
    /// Directories that the server needs; made if they are missing.
    pub needed: Vec<PathBuf>,
    /// Directories that people look for; made if they are missing and can be made.
    pub wanted: Vec<PathBuf>,
    /// `dataDir`, which has the file `myid`.
    pub data_dir: PathBuf,
    /// What is to be written into `myid`, if it is not there yet.
    pub myid: Option<i64>,
    /// `-D` words that are weaker than the zoo.cfg, each with the file, flag or variable that says so.
    pub(crate) properties: Vec<(String, String)>,
    /// What is said once, at start.
    pub(crate) warnings: Vec<Warning>,
}

/// A JAAS file, which the server reads wherever it could be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The variable that asks for it.
    pub(crate) by: String,
    /// What it holds; passwords are among it.
    pub(crate) text: String,
    /// Whether Java's FIPS mode is asked for, in which a client does not log in.
    pub(crate) is_fips: bool,
}

/// The name of [`Login`]'s file.
const LOGIN_FILE: &str = "zoo_jaas.conf";
/// What `zkCli.sh` and the other scripts read first.
const SHELL_FILE: &str = "java.env";

impl Login {
    /// The word that names the file in this directory.
    fn flag(dir: &Path) -> String {
        format!("-Djava.security.auth.login.config={}", dir.join(LOGIN_FILE).display())
    }
}

/// A file that is left for whoever looks for it.
#[derive(Clone, Debug)]
pub struct Left<'a> {
    /// Its name.
    pub name: &'a Path,
    /// What it holds.
    pub text: Cow<'a, str>,
    /// Whether nobody but its owner may read it.
    pub is_secret: bool,
}

/// Where the server's zoo.cfg comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ZooCfg {
    /// It is there, and wins.
    There {
        /// Where.
        path: PathBuf,
        /// What it holds.
        bytes: Vec<u8>,
    },
    /// It is to be written.
    Made {
        /// Where.
        path: PathBuf,
        /// What it holds.
        lines: Lines,
    },
}

impl ZooCfg {
    /// Where it is to be.
    pub fn path(&self) -> &Path {
        let (ZooCfg::There { path, .. } | ZooCfg::Made { path, .. }) = self;
        path
    }
}

/// Lines of a zoo.cfg, each with the flag or variable that it came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// Comment lines in front.
    header: &'static str,
    lines: Vec<(String, String)>,
}

impl Lines {
    /// None yet but comments.
    pub(crate) fn new(header: &'static str) -> Self {
        Self { header, lines: Vec::new() }
    }

    /// Adds `key=value`.
    pub(crate) fn push(&mut self, key: &str, value: &str, by: &str) {
        self.push_text(format!("{key}={value}"), by);
    }

    /// Adds a line as it was written.
    pub(crate) fn push_text(&mut self, text: String, by: &str) {
        self.lines.push((text, by.to_owned()));
    }

    /// The file's text.
    pub fn text(&self) -> String {
        let lines = self.lines.iter().map(|(text, _)| format!("{text}\n"));
        std::iter::once(self.header.to_owned()).chain(lines).collect()
    }

    /// Whether a password is among them.
    fn have_secrets(&self) -> bool {
        let key_of = |line: Setting| crate::keys::find(crate::keys::unprefixed(&line.key));
        self.settings().any(|line| key_of(line).is_some_and(|key| key.secret))
    }

    /// What the lines say, as the file would be read.
    pub(crate) fn settings(&self) -> impl Iterator<Item = Setting> {
        let read = |(text, by): &(String, String)| {
            let entries = properties::parse(text.as_bytes()).into_iter().flatten();
            let by = by.clone();
            entries
                .map(move |entry| Setting { key: entry.key, value: entry.value, source: named(&by) })
                .collect::<Vec<_>>()
        };
        self.lines.iter().flat_map(read)
    }
}

impl Plan {
    /// The files of the configuration, all for this directory; none if a zoo.cfg is there.
    pub fn left<'a>(&'a self, dir: &Path, zoo_cfg: &'a str) -> Vec<Left<'a>> {
        let ZooCfg::Made { path, lines } = &self.zoo_cfg else { return Vec::new() };
        let name = Path::new(path.file_name().unwrap_or_default());
        let file = |name: &'a str, text, is_secret| Left { name: Path::new(name), text, is_secret };
        let mut files = vec![Left { name, text: zoo_cfg.into(), is_secret: lines.have_secrets() }];
        files.extend(self.beside.iter().map(|(name, text)| file(name, text.into(), false)));
        if let Some(login) = &self.login {
            files.push(file(LOGIN_FILE, (&login.text).into(), true));
            // Whoever types `zkCli.sh` in the container logs in by it, as in the image.
            let mut flags = format!("export JVMFLAGS=\"$JVMFLAGS {}\"\n", Login::flag(dir));
            if !login.is_fips {
                // Of the client alone: a server would compare certificates of others with their hosts.
                flags += "export CLIENT_JVMFLAGS=\"$CLIENT_JVMFLAGS -Dzookeeper.fips-mode=false\"\n";
            }
            files.push(file(SHELL_FILE, flags.into(), false));
        }
        files
    }

    /// The server, with `path` as the place of the zoo.cfg: it may have had to be written elsewhere. `myid` counts as written, so
    /// that it need not be before it is known that there will be a server.
    pub fn config(
        &self,
        path: &Path,
        environment: &dyn Fn(&str) -> Option<String>,
        read: ReadFile<'_>,
    ) -> Result<Config, ConfigErrors> {
        let myid = self.data_dir.join("myid");
        self.sources(path, environment, read).resolve(&|path| match self.myid {
            Some(id) if path == myid => Ok(format!("{id}\n").into_bytes()),
            _ => read(path),
        })
    }

    fn sources(
        &self,
        path: &Path,
        environment: &dyn Fn(&str) -> Option<String>,
        read: ReadFile<'_>,
    ) -> Sources {
        let flags = |sources: Sources, variable: &str| match environment(variable) {
            Some(text) => sources.jvm_flags(variable, &text),
            None => sources,
        };
        let mut sources = flags(flags(Sources::new(), IMAGE_FLAGS), "SERVER_JVMFLAGS");
        for (by, text) in &self.properties {
            sources = sources.jvm_flags(by, text);
        }
        let mut sources = flags(sources, "JVMFLAGS").warnings(self.warnings.iter().cloned());
        let file = path.with_file_name(LOGIN_FILE);
        // An earlier start left it beside the zoo.cfg, which may have been rewritten since, as by a change of members.
        let counts = matches!(self.zoo_cfg, ZooCfg::Made { .. }) || read(&file).is_ok();
        if let Some(login) = self.login.as_ref().filter(|_| counts) {
            let dir = path.parent().unwrap_or(Path::new("/"));
            sources = sources.jvm_flags(&login.by, &Login::flag(dir));
        }
        let path = path.to_string_lossy();
        match &self.zoo_cfg {
            ZooCfg::There { bytes, .. } => sources.file(&path, bytes),
            ZooCfg::Made { lines, .. } => sources.made_file(&path, lines.settings()),
        }
    }
}
