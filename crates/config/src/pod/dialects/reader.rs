//! Reads the variables of one dialect by its table.

use super::super::plan::{Lines, Plan, ZooCfg};
use super::super::{Surroundings, mistake, my_id, named};
use super::{Becomes, DIALECTS, Dialect, Variable, is_service_link, scripts};
use crate::error::{ConfigError, Warning};
use crate::setting::DEFAULT_OF;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The values of a dialect's variables, and what is wrong with them.
pub(super) struct Reader<'a> {
    pub dialect: &'static Dialect,
    around: &'a Surroundings<'a>,
    /// What was given, by the variable's own name: the value, and the variable that gave it.
    given: BTreeMap<&'static str, (String, String)>,
    pub errors: Vec<ConfigError>,
    warnings: Vec<Warning>,
}

impl<'a> Reader<'a> {
    pub fn new(dialect: &'static Dialect, around: &'a Surroundings<'a>) -> Self {
        let (given, errors, warnings) = (BTreeMap::new(), Vec::new(), Vec::new());
        let mut reader = Self { dialect, around, given, errors, warnings };
        for row in dialect.variables {
            if let Some(given) = reader.read(row) {
                reader.given.insert(row.name, given);
            }
        }
        reader.warn_of_strangers();
        reader
    }

    fn read(&mut self, row: &'static Variable) -> Option<(String, String)> {
        let own = self.variable(row.name).map(|value| (value.to_owned(), row.name.to_owned()));
        let by_file = format!("{}_FILE", row.name);
        let path = self.variable(&by_file).filter(|path| self.dialect.has_files && !path.is_empty());
        let Some(path) = path.map(str::to_owned) else { return own };
        let text = match (self.around.read)(Path::new(&path)) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned(),
            Err(error) => {
                let hint = format!("mount the file, or set {} instead", row.name);
                self.errors.push(mistake(&by_file, format!("cannot read {path}: {error}"), hint));
                return own;
            }
        };
        if own.is_some_and(|(value, _)| value != text) {
            let message = format!("{} is set, too, to another value than {path} holds", row.name);
            self.errors.push(mistake(&by_file, message, "leave one of them out"));
        }
        Some((text, by_file))
    }

    /// A variable as the image's shell would see it.
    fn variable(&self, name: &str) -> Option<&str> {
        let value = self.around.variables.get(name).filter(|value| !is_service_link(name, value))?;
        Some(value.as_str()).filter(|value| self.dialect.empty_counts || !value.is_empty())
    }

    /// What the image would not read.
    fn warn_of_strangers(&mut self) {
        for (name, value) in self.around.variables {
            let is_known = self.dialect.reads(name) || scripts::read(name);
            // Another image's is meant for somebody, too.
            let is_anothers = DIALECTS.iter().any(|other| other.has_prefix(name) && other.reads(name));
            let is_told = self.dialect.has_prefix(name) || is_anothers;
            if !is_known && is_told && !is_service_link(name, value) {
                let message = format!(
                    "{} does not read this variable, and neither does zabd in its place",
                    self.dialect.image
                );
                self.warnings.push(Warning { source: Some(named(name)), message });
            }
        }
    }

    /// What was given, or the default; nothing if that is empty.
    pub fn value(&self, name: &str) -> &str {
        match self.given.get(name) {
            Some((value, _)) => value,
            None => self.dialect.find(name).expect("a variable of the table").default,
        }
    }

    pub fn is_given(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// Whether a switch is on, as Bitnami's scripts take it.
    pub fn is_yes(&self, name: &str) -> bool {
        is_yes(self.value(name))
    }

    /// Who said what `name` is.
    pub fn by(&self, name: &str) -> String {
        self.given.get(name).map_or_else(|| format!("{DEFAULT_OF}{name}"), |(_, by)| by.clone())
    }

    /// A path that the image has fixed, below `ZABD_ROOT`, which is for tries outside of a container.
    pub fn place(&self, path: &str) -> PathBuf {
        let root = self.around.variable("ZABD_ROOT").unwrap_or("/");
        Path::new(root).join(path.trim_start_matches('/'))
    }

    /// A path that a variable may say.
    pub fn path(&self, name: &str) -> PathBuf {
        if self.is_given(name) { PathBuf::from(self.value(name)) } else { self.place(self.value(name)) }
    }

    pub fn error(&mut self, name: &str, message: impl Into<String>, hint: &str) {
        let by = self.given.get(name).map_or(name, |(_, by)| by).to_owned();
        self.errors.push(mistake(&by, message, hint));
    }

    /// The lines that follow from the table, in its order; `own` adds those of variables that are more than a value.
    pub fn lines(&mut self, lines: &mut Lines, own: &dyn Fn(&mut Self, &'static str, &mut Lines)) {
        for row in self.dialect.variables {
            let (value, by) = (self.value(row.name).to_owned(), self.by(row.name));
            if value.contains(['\n', '\r']) {
                self.error(row.name, "the value has more than one line", "a value is one line");
                continue;
            }
            let is_said = self.is_given(row.name) || !value.is_empty();
            match row.becomes {
                Becomes::Line(key) if is_said => lines.push(key, &value, &by),
                Becomes::Switch(key) if is_said => {
                    lines.push(key, if is_yes(&value) { "true" } else { "false" }, &by);
                }
                Becomes::With(switch, key) if is_said && self.is_yes(switch) => lines.push(key, &value, &by),
                Becomes::Own(_) => own(self, row.name, lines),
                _ => (),
            }
        }
        let variables = self.around.variables.iter();
        let keys = variables.filter_map(|(name, value)| Some((name, self.dialect.key_of(name)?, value)));
        for (name, key, value) in keys {
            lines.push(&key, value, name);
        }
        self.refuse_contradictions(lines);
    }

    /// Two variables that were both set, and set one key to different values.
    fn refuse_contradictions(&mut self, lines: &Lines) {
        let mut seen: BTreeMap<String, (String, String)> = BTreeMap::new();
        for setting in lines.settings() {
            let by = setting.source.to_string();
            if !setting.source.is_somebodys() {
                continue;
            }
            let key = crate::keys::unprefixed(&setting.key).to_owned();
            let Some((value, earlier)) = seen.insert(key.clone(), (setting.value.clone(), by.clone())) else {
                continue;
            };
            if value != setting.value {
                let is_shown = crate::keys::find(&key).is_none_or(|row| !row.secret);
                let to =
                    |value: &str| if is_shown { format!("to {value}") } else { "to a secret".to_owned() };
                let (first, second) = (to(&value), to(&setting.value));
                let message = if earlier == by {
                    format!("{key} is set twice, {first} and {second}")
                } else {
                    format!("this sets {key} {second}, and {earlier} sets it {first}")
                };
                self.errors.push(mistake(&by, message, "leave one of them out"));
            }
        }
    }

    /// The zoo.cfg: the file that is there, if it counts, or these lines.
    pub fn zoo_cfg(&mut self, path: PathBuf, lines: Lines, keeps_file: bool) -> ZooCfg {
        let there = (self.around.read)(&path).ok().filter(|_| keeps_file);
        let Some(bytes) = there.filter(|bytes| *bytes != lines.text().into_bytes()) else {
            return ZooCfg::Made { path, lines };
        };
        // What was found wrong with variables that are not read is nobody's concern.
        let reads_lines = |row: &&Variable| {
            matches!(row.becomes, Becomes::Line(_) | Becomes::Switch(_) | Becomes::With(..))
        };
        let ignored = self.dialect.variables.iter().filter(reads_lines).filter(|row| self.is_given(row.name));
        let names = ignored.map(|row| row.name).collect::<Vec<_>>().join(", ");
        if !names.is_empty() {
            let message = format!(
                "{} is there and counts, as always with {}: no effect of {names}",
                path.display(),
                self.dialect.image
            );
            self.warnings.push(Warning { source: None, message });
        }
        ZooCfg::There { path, bytes }
    }

    /// What is to be written into `myid`: what the variable says, unless the file says otherwise.
    pub fn myid(&mut self, name: &'static str, data_dir: &Path, zoo_cfg: &ZooCfg) -> Option<i64> {
        let Ok(id) = self.value(name).trim().parse::<i64>() else {
            self.error(
                name,
                format!("{:?} is not a number", self.value(name)),
                "this server's number among the `server.N` lines",
            );
            return None;
        };
        // Even a single server finds its port in the line of its number.
        let has_number = match zoo_cfg {
            ZooCfg::There { .. } => self.is_given(name),
            ZooCfg::Made { lines, .. } => lines.settings().any(|line| line.key.starts_with("server.")),
        };
        if let ZooCfg::Made { lines, .. } = zoo_cfg {
            self.refuse_unlisted(name, id, lines);
        }
        if !has_number {
            return (self.around.read)(&data_dir.join("myid")).is_err().then_some(id);
        }
        let by = self.by(name);
        let remedy = format!("or set {name}");
        let told = my_id::Told { id, by: &by, is_derived: !self.is_given(name), remedy };
        match my_id::settle(data_dir, &told, self.around.read) {
            Ok(is_new) => is_new.then_some(id),
            Err(error) => {
                self.errors.push(error);
                None
            }
        }
    }

    /// A number that the list of servers does not have, told by the variables of both.
    fn refuse_unlisted(&mut self, name: &'static str, id: i64, lines: &Lines) {
        let listed: Vec<_> = lines.settings().filter(|line| line.key.starts_with("server.")).collect();
        let own = format!("server.{id}");
        // A single server may do without a line, if its port stands elsewhere.
        let is_single = listed.len() == 1 && lines.settings().any(|line| line.key == "clientPort");
        if listed.is_empty() || is_single || listed.iter().any(|line| line.key == own) {
            return;
        }
        let list = &listed[0].source;
        let keys = listed.iter().map(|line| line.key.as_str()).collect::<Vec<_>>().join(", ");
        let message = format!("My id {id} not in the peer list, which is {keys} ({list})");
        let list_name = list.to_string();
        let list_name = list_name.trim_start_matches(DEFAULT_OF);
        let hint = format!("set {name} to this server's number there, or give {list_name} a line for {own}");
        self.error(name, message, &hint);
    }

    /// The plan, with what the table says about properties.
    pub fn plan(
        &mut self,
        zoo_cfg: ZooCfg,
        needed: Vec<PathBuf>,
        wanted: Vec<PathBuf>,
        myid: Option<i64>,
    ) -> Plan {
        let mut properties = Vec::new();
        for row in self.dialect.variables {
            if let (Becomes::Property(key), true) = (row.becomes, self.is_given(row.name)) {
                properties.push((self.by(row.name), format!("-D{key}={}", self.value(row.name).trim())));
            }
        }
        let data_dir = needed.first().cloned().expect("a server has data");
        let warnings = std::mem::take(&mut self.warnings);
        Plan {
            zoo_cfg,
            beside: Vec::new(),
            login: None,
            needed,
            wanted,
            data_dir,
            myid,
            properties,
            warnings,
        }
    }
}

/// Yes, as Bitnami's scripts take it.
pub fn is_yes(value: &str) -> bool {
    ["1", "yes", "true"].iter().any(|yes| yes.eq_ignore_ascii_case(value.trim()))
}
