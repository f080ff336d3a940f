//! The Docker official image, `zookeeper`: `ZOO_*`, with whole `server.N=…` lines in `ZOO_SERVERS`.
//!
//! A zoo.cfg that is there counts, and no variable does; else one is made. `myid` is written if it is not there. There is no
//! `clientPort` line: the port stands behind `;` in the server's own line.

use super::super::plan::{Lines, Plan};
use super::Becomes::{Line, Nothing, Own, Property};
use super::reader::Reader;
use super::{Dialect, Variable, row};

/// The Docker official image.
pub static DOCKER: Dialect = Dialect {
    name: "docker",
    image: "the Docker official image",
    user: (1000, 1000),
    prefixes: &["ZOO_"],
    variables: VARIABLES,
    key_prefix: None,
    has_files: false,
    empty_counts: true,
    plan,
};

/// In the order of its zoo.cfg.
const VARIABLES: &[Variable] = &[
    row("ZOO_CONF_DIR", "/conf", Own("directory of zoo.cfg")),
    row("ZOO_DATA_DIR", "/data", Own("`dataDir`")),
    row("ZOO_DATA_LOG_DIR", "/datalog", Own("`dataLogDir`")),
    row("ZOO_LOG_DIR", "/logs", Own("made; log lines go to standard output")),
    row("ZOO_TICK_TIME", "2000", Line("tickTime")),
    row("ZOO_INIT_LIMIT", "5", Line("initLimit")),
    row("ZOO_SYNC_LIMIT", "2", Line("syncLimit")),
    row("ZOO_AUTOPURGE_SNAPRETAINCOUNT", "3", Line("autopurge.snapRetainCount")),
    row("ZOO_AUTOPURGE_PURGEINTERVAL", "0", Line("autopurge.purgeInterval")),
    row("ZOO_MAX_CLIENT_CNXNS", "60", Line("maxClientCnxns")),
    row("ZOO_STANDALONE_ENABLED", "true", Line("standaloneEnabled")),
    row("ZOO_ADMINSERVER_ENABLED", "true", Line("admin.enableServer")),
    row("ZOO_SERVERS", "server.1=localhost:2888:3888;2181", Own("`server.N=…` lines, separated by blanks")),
    row("ZOO_4LW_COMMANDS_WHITELIST", "", Own("`4lw.commands.whitelist`")),
    row("ZOO_CFG_EXTRA", "", Own("further `key=value` lines, separated by blanks")),
    row("ZOO_MY_ID", "1", Own("`myid`, if that is not there")),
    row("ZOO_LOG4J_PROP", "", Property("zookeeper.root.logger")),
    row("JVMFLAGS", "", Nothing("read for `-D` words, as always")),
];

fn plan(reader: &mut Reader<'_>) -> Option<Plan> {
    let data_dir = reader.path("ZOO_DATA_DIR");
    let log_dir = reader.path("ZOO_DATA_LOG_DIR");
    let mut lines = Lines::default();
    reader.lines(&mut lines, &own);
    let path = reader.path("ZOO_CONF_DIR").join("zoo.cfg");
    let zoo_cfg = reader.zoo_cfg(path, lines, true);
    let myid = reader.myid("ZOO_MY_ID", &data_dir, &zoo_cfg);
    let wanted = vec![reader.path("ZOO_LOG_DIR")];
    Some(reader.plan(zoo_cfg, vec![data_dir, log_dir], wanted, myid))
}

fn own(reader: &mut Reader<'_>, name: &'static str, lines: &mut Lines) {
    let by = reader.by(name);
    let value = reader.value(name);
    match name {
        "ZOO_DATA_DIR" => lines.push("dataDir", &reader.path(name).to_string_lossy(), &by),
        "ZOO_DATA_LOG_DIR" => lines.push("dataLogDir", &reader.path(name).to_string_lossy(), &by),
        "ZOO_SERVERS" => {
            let default = DOCKER.find(name).map_or("", |row| row.default);
            let servers = if value.trim().is_empty() { default } else { value };
            servers.split_ascii_whitespace().for_each(|line| lines.push_text(line.to_owned(), &by));
        }
        "ZOO_4LW_COMMANDS_WHITELIST" if !value.is_empty() => lines.push("4lw.commands.whitelist", value, &by),
        "ZOO_CFG_EXTRA" => {
            value.split_ascii_whitespace().for_each(|line| lines.push_text(line.to_owned(), &by));
        }
        _ => (),
    }
}
