//! One program under many names: a link to it does what its name says, and so does `zabd <name>`.
//!
//! ```text
//! argv[0] = /usr/bin/zkServer.sh    words = status          ─► the row `zkServer.sh`, words = status
//! argv[0] = zabd                    words = zkServer.sh status     the same
//! argv[0] = anything else           words = zoo.cfg         ─► no row: the server's own command line
//! ```
//!
//! A name is a row of [`PROGRAMS`]: to add one, add its row. Links that other images keep at fixed places are rows too; how
//! they are made is `links`'s business.

use std::process::ExitCode;

use super::{
    check, doctor, entrypoint, four_letter, links, shell, start_zookeeper, toolkit, zk_cleanup,
    zk_initialize, zk_server,
};

/// A program that this one can be.
pub struct Program {
    /// The names of its links; the first is also the word behind `zabd`.
    pub names: &'static [&'static str],
    /// What else the word behind `zabd` may be.
    pub words: &'static [&'static str],
    /// Where other images keep it, for scripts and manifests that name the whole path.
    pub places: &'static [&'static str],
    /// Runs it.
    pub run: fn(&Call) -> ExitCode,
}

/// How a program was called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What it was called as, for its usage and for what lies beside it.
    pub program: String,
    /// The words behind that.
    pub words: Vec<String>,
}

/// Every name but `zabd` itself.
pub const PROGRAMS: &[Program] = &[
    Program { names: &["start-zookeeper"], words: &[], places: &[], run: start_zookeeper::run },
    Program { names: &["zookeeper-ready"], words: &[], places: &[], run: four_letter::ready },
    Program { names: &["zookeeper-metrics"], words: &[], places: &[], run: four_letter::metrics },
    Program {
        names: &["zkServer.sh"],
        words: &[],
        places: &["/opt/bitnami/zookeeper/bin/zkServer.sh"],
        run: zk_server::run,
    },
    Program { names: &["zkServer-initialize.sh"], words: &[], places: &[], run: zk_initialize::run },
    Program {
        names: &["zkCleanup.sh"],
        words: &[],
        places: &["/opt/bitnami/zookeeper/bin/zkCleanup.sh"],
        run: zk_cleanup::run,
    },
    Program {
        names: &["docker-entrypoint.sh"],
        words: &[],
        places: &["/docker-entrypoint.sh"],
        run: entrypoint::any,
    },
    Program {
        names: &[],
        words: &[],
        places: &[
            "/entrypoint.sh",
            "/run.sh",
            "/opt/bitnami/scripts/zookeeper/entrypoint.sh",
            "/opt/bitnami/scripts/zookeeper/run.sh",
        ],
        run: entrypoint::bitnami,
    },
    Program {
        names: &[],
        words: &[],
        places: &["/opt/bitnami/scripts/zookeeper/healthcheck.sh"],
        run: four_letter::bitnamis_health,
    },
    Program { names: &[], words: &[], places: &["/etc/confluent/docker/run"], run: entrypoint::confluent },
    Program {
        names: &["zkCli.sh", "zkCli"],
        words: &["cli"],
        places: &["/opt/bitnami/zookeeper/bin/zkCli.sh"],
        run: shell::run,
    },
    Program { names: &["zookeeper-shell"], words: &[], places: &[], run: shell::confluents },
    Program { names: &["zkTxnLogToolkit.sh"], words: &[], places: &[], run: toolkit::txn_log },
    Program { names: &["zkSnapShotToolkit.sh"], words: &[], places: &[], run: toolkit::snapshot_formatter },
    Program { names: &["zkSnapshotComparer.sh"], words: &[], places: &[], run: toolkit::snapshot_comparer },
    Program {
        names: &["zkSnapshotRecursiveSummaryToolkit.sh"],
        words: &[],
        places: &[],
        run: toolkit::snapshot_recursive_summary,
    },
    Program { names: &[], words: &["check"], places: &[], run: check::run },
    Program { names: &[], words: &["doctor"], places: &[], run: doctor::run },
    Program { names: &[], words: &["links"], places: &[], run: links::run },
];

/// First words of the server's own command line that are no path.
const SERVERS_WORDS: &[&str] = &["server", "ensemble", "help", "version"];

/// Which program is meant by what it was started as and the words behind that, if not the server's own command line.
pub fn find(program: &str, words: &[String]) -> Option<(&'static Program, Call)> {
    let called = file_name(program);
    let is_place = |each: &&Program| is_at_place(each, program);
    let linked =
        PROGRAMS.iter().find(|each| each.names.contains(&called)).or_else(|| PROGRAMS.iter().find(is_place));
    if let Some(linked) = linked {
        return Some((linked, Call { program: program.to_owned(), words: words.to_vec() }));
    }
    let (word, rest) = words.split_first()?;
    let is_meant = |each: &&Program| each.names.contains(&&word[..]) || each.words.contains(&&word[..]);
    let meant = PROGRAMS.iter().find(is_meant)?;
    Some((meant, Call { program: format!("{program} {word}"), words: rest.to_vec() }))
}

/// Whether this is a name of this program, wherever its link may be.
pub fn is_own(program: &str) -> bool {
    let called = file_name(program);
    called == "zabd" || PROGRAMS.iter().any(|each| each.names.contains(&called) || is_at_place(each, program))
}

/// Whether this is a word behind `zabd` rather than the name of a program.
pub fn is_word(word: &str) -> bool {
    word.starts_with('-')
        || SERVERS_WORDS.contains(&word)
        || PROGRAMS.iter().any(|each| each.words.contains(&word))
}

fn is_at_place(program: &Program, path: &str) -> bool {
    program.places.iter().any(|place| path.ends_with(place))
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn found(program: &str, words: &[&str]) -> Option<(&'static str, Call)> {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        let (program, call) = find(program, &words)?;
        let name = program.names.iter().chain(program.words).chain(program.places).next();
        Some((name.expect("a program has a name"), call))
    }

    fn call(program: &str, words: &[&str]) -> Call {
        Call { program: program.to_owned(), words: words.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn a_link_does_what_its_name_says() {
        for program in ["zookeeper-ready", "/usr/bin/zookeeper-ready", "./bin/zookeeper-ready"] {
            assert_eq!(found(program, &["2181"]), Some(("zookeeper-ready", call(program, &["2181"]))));
        }
    }

    /// Below any root, for images in the making.
    #[test]
    fn a_place_of_another_image_does_what_is_there() {
        for root in ["", "/tmp/root"] {
            let program = format!("{root}/opt/bitnami/scripts/zookeeper/run.sh");
            assert_eq!(found(&program, &[]), Some(("/entrypoint.sh", call(&program, &[]))));
            let program = format!("{root}/opt/bitnami/scripts/zookeeper/healthcheck.sh");
            assert_eq!(found(&program, &[]).expect("a place").1, call(&program, &[]));
            let program = format!("{root}/etc/confluent/docker/run");
            assert_eq!(found(&program, &[]), Some(("/etc/confluent/docker/run", call(&program, &[]))));
        }
        assert_eq!(found("run.sh", &[]), None, "no name by itself");
    }

    #[test]
    fn the_word_behind_zabd_does_the_same() {
        assert_eq!(
            found("zabd", &["zookeeper-metrics", "2181"]),
            Some(("zookeeper-metrics", call("zabd zookeeper-metrics", &["2181"])))
        );
        assert_eq!(found("bin/zabd", &["cli"]), Some(("zkCli.sh", call("bin/zabd cli", &[]))));
    }

    /// A file of that name is meant if it is not the first word, or is written as a path.
    #[test]
    fn all_else_is_the_servers_own_command_line() {
        for words in [&[][..], &["zoo.cfg"], &["./links"], &["server", "links"], &["-Da=b", "links"]] {
            assert_eq!(found("zabd", words), None, "{words:?}");
        }
        assert_eq!(found("zabd-1.0", &["zoo.cfg"]), None, "a copy of another name is a server as well");
    }

    #[test]
    fn no_name_means_two_things() {
        let mut seen: BTreeSet<_> = SERVERS_WORDS.iter().chain(&["zabd"]).collect();
        for name in PROGRAMS.iter().flat_map(|program| program.names.iter().chain(program.words)) {
            assert!(seen.insert(name), "{name} stands twice");
            assert!(!name.contains('/'), "{name} is a path");
        }
    }
}
