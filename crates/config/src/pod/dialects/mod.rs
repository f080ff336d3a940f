//! The variables of other images: which image they are of, and what it makes of them.
//!
//! ```text
//! ZOO_MY_ID=2                 the Docker official image     /conf/zoo.cfg, /data, /datalog
//! ZOO_SERVER_ID=2             Bitnami's                     /opt/bitnami/zookeeper/conf/zoo.cfg, /bitnami/zookeeper/data
//! ZOOKEEPER_SERVER_ID=2       Confluent's                   /etc/kafka/zookeeper.properties, /var/lib/zookeeper
//! ```
//!
//! A dialect is one table of variables: the reader, the manual and the tests read it. Which one is spoken is told by the path that a
//! container starts, or by `ZABD_DIALECT`, or else by shape: a variable that only one image has, or how `ZOO_SERVERS` is
//! written. Variables of two images together are refused, and both are named. What an image would not read is
//! named once. Two variables that set one key to different values are refused, too: which of them counts would depend on the image.
//!
//! Kubernetes gives containers variables of services. Those of a service called `zookeeper` look like Confluent's and are told apart by
//! their shape: `ZOOKEEPER_PORT=tcp://10.0.0.1:2181`, `ZOOKEEPER_SERVICE_HOST`.

mod bitnami;
mod confluent;
mod docker;
mod logins;
mod manual;
mod reader;
mod scripts;

#[cfg(test)]
mod tests;

use super::{Plan, Surroundings, mistake, refused};
use crate::error::{ConfigError, ConfigErrors};
use reader::Reader;
use std::collections::BTreeMap;

pub use bitnami::BITNAMI;
pub use confluent::CONFLUENT;
pub use docker::DOCKER;
pub use manual::manual;
pub use reader::is_yes;

/// An image's way to be told things.
pub struct Dialect {
    /// What `ZABD_DIALECT` calls it.
    pub name: &'static str,
    /// Whose image.
    pub image: &'static str,
    /// Its user and group, for a container that is started as root.
    pub user: (u32, u32),
    /// What its variables begin with; others of its table are no sign of it.
    prefixes: &'static [&'static str],
    /// Its variables.
    variables: &'static [Variable],
    /// A prefix whose variables are keys: `ZOO_CFG_a_b` is `a.b`.
    key_prefix: Option<&'static str>,
    /// Whether `NAME_FILE` names a file that holds the value of `NAME`.
    has_files: bool,
    /// Whether a variable that is there but empty counts as set.
    empty_counts: bool,
    plan: fn(&mut Reader<'_>) -> Option<Plan>,
}

/// One row of a dialect's table.
struct Variable {
    name: &'static str,
    /// What it is without being set; empty for nothing.
    default: &'static str,
    becomes: Becomes,
}

/// What is made of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Becomes {
    /// This key of zoo.cfg.
    Line(&'static str),
    /// This key of zoo.cfg, `true` or `false` for yes or no.
    Switch(&'static str),
    /// With the first, a switch, this key of zoo.cfg.
    With(&'static str, &'static str),
    /// This property, which zoo.cfg overrides.
    Property(&'static str),
    /// More than a value; the text says what.
    Own(&'static str),
    /// Nothing, for this reason.
    Nothing(&'static str),
}

const fn row(name: &'static str, default: &'static str, becomes: Becomes) -> Variable {
    Variable { name, default, becomes }
}

/// All of them; without any sign, the first.
pub static DIALECTS: [&Dialect; 3] = [&DOCKER, &BITNAMI, &CONFLUENT];

impl Dialect {
    fn find(&self, name: &str) -> Option<&'static Variable> {
        self.variables.iter().find(|row| row.name == name)
    }

    /// The row whose value this variable gives, also through a file.
    fn row_of(&self, name: &str) -> Option<&'static Variable> {
        let by_file =
            || name.strip_suffix("_FILE").filter(|_| self.has_files).and_then(|name| self.find(name));
        self.find(name).or_else(by_file)
    }

    /// Whether the image reads it.
    fn reads(&self, name: &str) -> bool {
        self.row_of(name).is_some() || self.key_of(name).is_some()
    }

    /// The key that a variable is by its name.
    fn key_of(&self, name: &str) -> Option<String> {
        let key = name.strip_prefix(self.key_prefix?)?;
        let is_key = !key.is_empty() && !DOCKER.variables.iter().any(|row| row.name == name);
        is_key.then(|| key.replace('_', "."))
    }

    fn has_prefix(&self, name: &str) -> bool {
        self.prefixes.iter().any(|prefix| name.starts_with(prefix))
    }

    /// What a variable of its table says, directly or by a file, or is without being set.
    pub fn value_of(&'static self, name: &str, around: &Surroundings<'_>) -> String {
        Reader::new(self, around).value(name).to_owned()
    }

    /// What its start script would do.
    pub fn plan(&'static self, around: &Surroundings<'_>) -> Result<Plan, ConfigErrors> {
        let mut reader = Reader::new(self, around);
        let plan = (self.plan)(&mut reader);
        let errors = reader.errors;
        match plan {
            Some(plan) if errors.is_empty() => Ok(plan),
            _ => Err(refused(errors)),
        }
    }
}

/// Which image's variables these are. `place` is the image whose script is started by its path.
pub fn recognise(
    variables: &BTreeMap<String, String>,
    place: Option<&'static Dialect>,
) -> Result<&'static Dialect, ConfigErrors> {
    if let Some(said) = variables.get("ZABD_DIALECT").map(|said| said.trim()).filter(|said| !said.is_empty())
    {
        return DIALECTS.into_iter().find(|dialect| dialect.name == said).ok_or_else(|| {
            let names = DIALECTS.map(|dialect| format!("`{}`", dialect.name)).join(", ");
            refused(vec![mistake(
                "ZABD_DIALECT",
                format!("{said} is no image's dialect"),
                format!("one of {names}"),
            )])
        });
    }
    if let Some(place) = place {
        return Ok(place);
    }
    let signs: Vec<_> =
        DIALECTS.into_iter().filter_map(|dialect| Some((dialect, sign_of(dialect, variables)?))).collect();
    match signs.as_slice() {
        [] => Ok(DIALECTS[0]),
        [(dialect, _)] => Ok(dialect),
        [(one, one_sign), (other, other_sign), ..] => {
            Err(refused(vec![conflict(one, one_sign, other, other_sign)]))
        }
    }
}

fn conflict(one: &Dialect, one_sign: &str, other: &Dialect, other_sign: &str) -> ConfigError {
    mistake(
        one_sign,
        format!("this is a variable of {}, and {other_sign} is one of {}", one.image, other.image),
        format!(
            "leave one of them out, or say which image's count: `ZABD_DIALECT={}` or `ZABD_DIALECT={}`",
            one.name, other.name
        ),
    )
}

/// A variable that only this image has.
fn sign_of<'v>(dialect: &Dialect, variables: &'v BTreeMap<String, String>) -> Option<&'v str> {
    let is_sign = |(name, value): &(&'v String, &'v String)| {
        if is_service_link(name, value) || value.is_empty() {
            return false;
        }
        if *name == "ZOO_SERVERS" {
            return dialect.name == if value.contains("server.") { DOCKER.name } else { BITNAMI.name };
        }
        let is_others = DIALECTS.iter().any(|other| other.name != dialect.name && other.reads(name));
        dialect.has_prefix(name) && dialect.reads(name) && !is_others
    };
    variables.iter().find(is_sign).map(|(name, _)| name.as_str())
}

/// Whether Kubernetes or Docker made this variable for a service or a container of that name.
fn is_service_link(name: &str, value: &str) -> bool {
    let is_address = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let of_port = name
        .split("_PORT_")
        .nth(1)
        .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
    is_address || of_port || name.ends_with("_SERVICE_HOST") || name.contains("_SERVICE_PORT")
}
