//! `start-zookeeper`: the start script of the image in Kubernetes' ZooKeeper tutorial.
//!
//! ```text
//! start-zookeeper --servers=3 --data_dir=/var/lib/zookeeper/data --client_port=2181 …
//!   on host zk-1  ─►  server 2 of  server.N=zk-(N-1).<domain>:2888:3888
//! ```
//!
//! Words are taken apart as the script's `getopts` does: `--name=value`, of which the value is what stands behind the last
//! `=`; the first word that is no option ends them. The script misspells `autopurge.purgeInterval`, so that its server
//! never purges; here it purges. Its default session timeouts begin with a blank; values are trimmed here. ZooKeeper 3.4.10, which
//! it starts, answers every four-letter word but `wchc` and `wchp`, and the tutorial's probes need `ruok`: java.env says so.

use super::identity::PodName;
use super::my_id::{self, Told};
use super::plan::{Lines, Plan, ZooCfg};
use super::{Surroundings, mistake, refused};
use crate::error::{ConfigError, ConfigErrors};
use crate::setting::DEFAULT_OF;
use std::fmt::Write as _;
use std::path::PathBuf;

/// What the words ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The usage, and nothing else.
    Help,
    /// Nothing: a word is wrong, or the host's name.
    Refused {
        /// What is wrong; for a word, what the script says.
        said: String,
        /// What to do about it.
        hint: String,
    },
    /// Nothing, for reasons that the script does not know.
    Mistaken(ConfigErrors),
    /// A server.
    Start {
        /// What the script says on standard error about words.
        said: Vec<String>,
        /// What to start.
        plan: Box<Plan>,
    },
}

/// A flag.
struct Flag {
    name: &'static str,
    default: &'static str,
    doc: &'static str,
}

const fn flag(name: &'static str, default: &'static str, doc: &'static str) -> Flag {
    Flag { name, default, doc }
}

const FLAGS: &[Flag] = &[
    flag("servers", "1", "Servers of the ensemble; with 1 this is a standalone server."),
    flag("data_dir", "/var/lib/zookeeper/data", "Directory of snapshots, and of myid."),
    flag("data_log_dir", "/var/lib/zookeeper/log", "Directory of the log."),
    flag("log_dir", "/var/log/zookeeper", "Made and named in java.env; log lines go to standard output."),
    flag(
        "conf_dir",
        "/opt/zookeeper/conf",
        "Directory of zoo.cfg, java.env and log4j.properties. Where it cannot be\nwritten, they are in conf below the data.",
    ),
    flag("client_port", "2181", "Port for clients."),
    flag("election_port", "3888", "Port for elections."),
    flag("server_port", "2888", "Port for the other servers."),
    flag("tick_time", "2000", "A tick in milliseconds."),
    flag("init_limit", "10", "Ticks until a server must be in step with its leader."),
    flag("sync_limit", "5", "Ticks that it may then lag behind."),
    flag("heap", "2G", "Named in java.env; zabd has no heap to be set."),
    flag("max_client_cnxns", "60", "Connections of one client address."),
    flag("snap_retain_count", "3", "Snapshots that a purge keeps."),
    flag("purge_interval", "0", "Hours between two purges; 0 never purges."),
    flag("max_session_timeout", "", "Longest session timeout in milliseconds; 20 ticks by default."),
    flag("min_session_timeout", "", "Shortest one; 2 ticks by default."),
    flag("log_level", "INFO", "FATAL, ERROR, WARN, INFO or DEBUG."),
    flag("id_base", "1", "Number of the server whose ordinal is 0, also ZABD_ID_BASE. (zabd's own flag)"),
    flag(
        "domain",
        "",
        "Domain of the servers' names, also ZABD_DOMAIN; by default that of the host's full\nname. (zabd's own flag)",
    ),
    flag(
        "probes_port",
        "8086",
        "Port of /livez, /readyz and /startupz, also ZABD_PROBES_PORT; 0 opens none.\n(zabd's own flag)",
    ),
    flag("hostname", "", "The host's name, also ZABD_HOSTNAME. (zabd's own flag)"),
];

/// What `-h` and `--help` print.
pub static START_ZOOKEEPER_USAGE: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
    let mut text = "Usage: start-zookeeper [OPTIONS]\nStarts a ZooKeeper server of a StatefulSet, named after its pod.\n".to_owned();
    for Flag { name, default, doc } in FLAGS {
        let doc = doc.replace('\n', &format!("\n{:26}", ""));
        let default = if default.is_empty() { String::new() } else { format!(" [{default}]") };
        let _ = writeln!(text, "    --{name:<20}{doc}{default}");
    }
    text
});

/// Words that ZooKeeper 3.4.10 answers without being told to.
const FOUR_LETTER_WORDS: &str = "conf,cons,crst,dirs,dump,envi,gtmk,isro,mntr,ruok,srst,srvr,stat,stmk,wchs";

/// More servers than this cannot tell their sessions apart.
const SERVERS_MAX: i64 = 255;

/// Reads the words and says what to start.
pub fn start_zookeeper(words: &[String], around: &Surroundings<'_>) -> Asked {
    let (values, said) = match parse(words) {
        Ok(parsed) => parsed,
        Err(asked) => return asked,
    };
    let values = Values { given: values, around };
    let Some(pod) = PodName::parse(values.host().split('.').next().unwrap_or_default()) else {
        return Asked::Refused {
            // The script says so, too, in a line with a slip in it that helps nobody.
            said: format!(
                "the host is called {:?}, not NAME-ORDINAL as a pod of a StatefulSet",
                values.host()
            ),
            hint: "name it so, or say --hostname=NAME-ORDINAL".to_owned(),
        };
    };
    match plan(&pod, &values) {
        Ok(plan) => Asked::Start { said, plan: Box::new(plan) },
        Err(errors) => Asked::Mistaken(refused(errors)),
    }
}

type Given = Vec<(&'static str, String)>;

/// Takes the words apart as `getopts ":hv-:"` does.
fn parse(words: &[String]) -> Result<(Given, Vec<String>), Asked> {
    let (mut given, mut said) = (Vec::new(), Vec::new());
    let mut words = words.iter();
    while let Some(options) =
        words.next().and_then(|word| word.strip_prefix('-')).filter(|rest| !rest.is_empty() && *rest != "-")
    {
        let mut rest = options;
        while let Some(option) = rest.chars().next() {
            rest = &rest[option.len_utf8()..];
            match option {
                'h' => return Err(Asked::Help),
                'v' => said.push("Parsing option: '-v'".to_owned()),
                '-' => {
                    let long = if rest.is_empty() { words.next().map(String::as_str) } else { Some(rest) };
                    match long {
                        Some(long) => given.push(long_option(long)?),
                        None => said.push("Non-option argument: '--'".to_owned()),
                    }
                    break;
                }
                other => said.push(format!("Non-option argument: '-{other}'")),
            }
        }
    }
    Ok((given, said))
}

fn long_option(text: &str) -> Result<(&'static str, String), Asked> {
    if text == "help" {
        return Err(Asked::Help);
    }
    let known = text.split_once('=').and_then(|(name, _)| FLAGS.iter().find(|flag| flag.name == name));
    let Some(flag) = known else {
        return Err(Asked::Refused {
            said: format!("Unknown option --{text}"),
            hint: "options are written --name=value; -h lists them".to_owned(),
        });
    };
    let value = text.rsplit('=').next().unwrap_or_default();
    Ok((flag.name, value.trim().to_owned()))
}

struct Values<'a> {
    given: Given,
    around: &'a Surroundings<'a>,
}

impl Values<'_> {
    fn given(&self, name: &str) -> Option<&str> {
        self.given.iter().rev().find(|(each, _)| *each == name).map(|(_, value)| value.as_str())
    }

    /// What was given, or the default.
    fn of(&self, name: &str) -> &str {
        let default = || FLAGS.iter().find(|flag| flag.name == name).map_or("", |flag| flag.default);
        self.given(name).unwrap_or_else(default)
    }

    /// A flag of zabd's own, or the variable that stands for it, and which of the two it was.
    fn own(&self, name: &str, variable: &'static str) -> Option<(String, String)> {
        let flag = self
            .given(name)
            .filter(|value| !value.is_empty())
            .map(|value| (format!("--{name}"), value.to_owned()));
        flag.or_else(|| {
            self.around.variable(variable).map(|value| (variable.to_owned(), value.trim().to_owned()))
        })
    }

    fn host(&self) -> String {
        self.own("hostname", "ZABD_HOSTNAME").map_or_else(|| self.around.host.name.clone(), |(_, name)| name)
    }

    fn number(&self, name: &str, errors: &mut Vec<ConfigError>) -> i64 {
        let text = self.of(name);
        text.parse().unwrap_or_else(|_| {
            errors.push(mistake(
                &format!("--{name}"),
                format!("{text:?} is not a number"),
                format!("for example --{name}=3"),
            ));
            0
        })
    }
}

fn plan(pod: &PodName, values: &Values<'_>) -> Result<Plan, Vec<ConfigError>> {
    let mut errors = Vec::new();
    let servers = values.number("servers", &mut errors);
    let (base_by, base) = values.own("id_base", "ZABD_ID_BASE").unwrap_or(("--id_base".into(), "1".into()));
    let base = base.parse::<i64>().ok().filter(|base| *base >= 0).unwrap_or_else(|| {
        errors.push(mistake(&base_by, format!("{base:?} is not a number"), "for example --id_base=1"));
        0
    });
    if !(1..=SERVERS_MAX).contains(&servers) && errors.is_empty() {
        errors.push(mistake(
            "--servers",
            format!("there cannot be {servers} servers"),
            format!("from 1, which is standalone, to {SERVERS_MAX}"),
        ));
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let host = values.host();
    let data_dir = PathBuf::from(values.of("data_dir"));
    let id = base + i64::from(pod.ordinal);
    let mut lines = lines(values);
    let mut myid = None;
    // Of a single one too: clients of one service would find two servers that know nothing of each other.
    if i64::from(pod.ordinal) >= servers {
        let hint = format!(
            "raise --servers to the number of replicas, on all of them, or remove this pod ({} stays on its volume); ordinals \
             count from 0, so the StatefulSet must not set `spec.ordinals.start`",
            data_dir.display()
        );
        let those = match servers {
            1 => format!("not the only server, which is {}-0", pod.set),
            _ => format!("none of {servers} servers, which are {0}-0 to {0}-{1}", pod.set, servers - 1),
        };
        errors.push(mistake("--servers", format!("{host} is {those}"), hint));
    }
    if servers > 1 {
        match domain(values, &host) {
            Ok(domain) => add_servers(&mut lines, pod, base, servers, &domain, values),
            Err(error) => errors.push(error),
        }
    }
    let by = format!("the host name {host}");
    let remedy = format!("or, if servers are counted otherwise, set --id_base, which is {base}");
    match my_id::settle(&data_dir, &Told { id, by: &by, is_derived: servers > 1, remedy }, values.around.read)
    {
        Ok(is_new) => myid = (is_new && servers > 1).then_some(id),
        Err(error) => errors.push(error),
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(Plan {
        zoo_cfg: ZooCfg::Made { path: PathBuf::from(values.of("conf_dir")).join("zoo.cfg"), lines },
        beside: vec![("java.env", java_env(values)), ("log4j.properties", log4j(values.of("log_level")))],
        login: None,
        needed: ["data_dir", "data_log_dir"].map(|name| PathBuf::from(values.of(name))).into(),
        wanted: vec![PathBuf::from(values.of("log_dir"))],
        data_dir,
        myid,
        properties: vec![
            ("java.env".to_owned(), jvm_flags(values)),
            probes_port(values),
            ("start-zookeeper".to_owned(), "-Dzabd.snapshot.trust.unbroken=true".to_owned()),
            ("--log_level".to_owned(), format!("-Dzookeeper.console.threshold={}", values.of("log_level"))),
        ],
        warnings: Vec::new(),
    })
}

/// The lines that do not depend on who this is, in the script's order.
fn lines(values: &Values<'_>) -> Lines {
    let mut lines = Lines::new("#This file was autogenerated DO NOT EDIT\n");
    for (key, flag) in [
        ("clientPort", "client_port"),
        ("dataDir", "data_dir"),
        ("dataLogDir", "data_log_dir"),
        ("tickTime", "tick_time"),
        ("initLimit", "init_limit"),
        ("syncLimit", "sync_limit"),
        ("maxClientCnxns", "max_client_cnxns"),
        ("minSessionTimeout", "min_session_timeout"),
        ("maxSessionTimeout", "max_session_timeout"),
        ("autopurge.snapRetainCount", "snap_retain_count"),
        ("autopurge.purgeInterval", "purge_interval"),
    ] {
        let ticks = match flag {
            "min_session_timeout" => 2,
            "max_session_timeout" => 20,
            _ => 0,
        };
        let given = values.of(flag);
        if given.is_empty() && ticks > 0 {
            // A tick time that is no number is told where it stands itself.
            let timeout = values.of("tick_time").parse::<i64>().unwrap_or(2000).saturating_mul(ticks);
            lines.push(key, &timeout.to_string(), "--tick_time");
        } else {
            lines.push(key, given, &format!("--{flag}"));
        }
    }
    lines
}

fn add_servers(lines: &mut Lines, pod: &PodName, base: i64, servers: i64, domain: &str, values: &Values<'_>) {
    let (set, ports) = (&pod.set, format!("{}:{}", values.of("server_port"), values.of("election_port")));
    for ordinal in 0..servers {
        lines.push(
            &format!("server.{}", base + ordinal),
            &format!("{set}-{ordinal}.{domain}:{ports}"),
            "--servers",
        );
    }
}

fn domain(values: &Values<'_>, host: &str) -> Result<String, ConfigError> {
    if let Some((_, domain)) = values.own("domain", "ZABD_DOMAIN") {
        return Ok(domain.trim_matches('.').to_owned());
    }
    let around = values.around.host;
    let known = super::Host { name: host.to_owned(), ..around.clone() };
    known.domain().map(str::to_owned).ok_or_else(|| {
        let namespace = around.namespace().unwrap_or("NAMESPACE.svc.cluster.local");
        mistake(
            "--servers",
            format!("the other servers have no names: neither the host name {host} nor /etc/hosts tells the domain"),
            format!("give the StatefulSet a headless service as its `serviceName`, or set --domain=SERVICE.{namespace}"),
        )
    })
}

fn jvm_flags(values: &Values<'_>) -> String {
    let heap = values.of("heap");
    format!("-Xmx{heap} -Xms{heap} -Dzookeeper.4lw.commands.whitelist={FOUR_LETTER_WORDS}")
}

fn java_env(values: &Values<'_>) -> String {
    let (_, probes) = probes_port(values);
    format!("ZOO_LOG_DIR={}\nJVMFLAGS=\"{} {probes}\"\n", values.of("log_dir"), jvm_flags(values))
}

/// Where probes are answered, and who says so. zoo.cfg has the tutorial's content, so java.env tells `zabd check --config`.
fn probes_port(values: &Values<'_>) -> (String, String) {
    let told = values.own("probes_port", "ZABD_PROBES_PORT");
    let given = || values.given("probes_port").map(|port| ("--probes_port".to_owned(), port.to_owned()));
    let default = || (format!("{DEFAULT_OF}--probes_port"), values.of("probes_port").to_owned());
    let (by, port) = told.or_else(given).unwrap_or_else(default);
    (by, format!("-Dzabd.probes.port={port}"))
}

/// What log4j would need for log lines as zabd writes them.
fn log4j(level: &str) -> String {
    format!(
        "zookeeper.root.logger=CONSOLE\n\
         zookeeper.console.threshold={level}\n\
         log4j.rootLogger=${{zookeeper.root.logger}}\n\
         log4j.appender.CONSOLE=org.apache.log4j.ConsoleAppender\n\
         log4j.appender.CONSOLE.Threshold=${{zookeeper.console.threshold}}\n\
         log4j.appender.CONSOLE.layout=org.apache.log4j.PatternLayout\n\
         log4j.appender.CONSOLE.layout.ConversionPattern=%d{{ISO8601}} [myid:%X{{myid}}] - %-5p [%t:%C{{1}}@%L] - %m%n\n"
    )
}

#[cfg(test)]
mod tests;
