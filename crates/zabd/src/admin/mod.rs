//! What operators and their tools ask a running server, in Java's exact formats: four-letter words on the client port, the
//! AdminServer's commands over HTTP, and Prometheus' text on a port of its own.
//!
//! One function per word writes its text from an [`Introspection`]; the whitelist decides first. Follows
//! Java's `org.apache.zookeeper.server.command`. All figures come from one place, whoever asks:
//!
//! - `metrics`: the names and kinds of Java's counters and summaries; `families`: they and all else, at one moment;
//! - `monitor`: the word `mntr`; `exposition`: the text for Prometheus, with `windows` for its quantiles and `process` for what a
//!   Java machine would tell of itself; `prometheus`: the port;
//! - `port`: the AdminServer, and `commands`: what it can be asked.

mod clients;
mod commands;
mod date;
mod environment;
mod exposition;
mod families;
mod java_number;
mod metrics;
mod monitor;
mod port;
mod process;
mod prometheus;
mod sessions;
mod watches;
mod windows;

use std::sync::atomic::Ordering::Relaxed;

use zabd_jute::client::FourLetterWord as Word;

use crate::introspect::Introspection;
use crate::net::Pace;

pub use clients::shown_node_count;
pub use date::{log_date, tool_date};
pub(crate) use environment::of_process;
pub use port::AdminPort;
pub use prometheus::PrometheusPorts;
pub use windows::Windows;

/// What a server of this version says that it is: the protocol's version, then our own.
pub const VERSION: &str = concat!("3.9.5-zabd-", env!("CARGO_PKG_VERSION"), ", built on ", env!("ZABD_MADE"));

/// Java's default trace mask; tracing itself is a matter of the log level here.
pub const TRACE_MASK: u64 = 0b1_0011_0010;

/// The text behind a word.
pub fn answer(server: &Introspection, word: Word, argument: Option<u64>) -> Vec<u8> {
    if word == Word::TelnetClose {
        return Vec::new();
    }
    if !server.config.four_letter_words.allows(word.name()) {
        return format!("{} is not executed because it is not in the whitelist.\n", word.name()).into_bytes();
    }
    if asks_about_clients(word) && !server.driver.serves_clients() {
        // Java's `hash` alone has no end of line here.
        let end = if word == Word::Hash { "" } else { "\n" };
        return format!("This ZooKeeper instance is not currently serving requests{end}").into_bytes();
    }
    let text = match word {
        Word::Ruok => "imok".to_owned(),
        Word::Isro => environment::isro(server).to_owned(),
        Word::Gtmk => shown_mask(server.trace_mask.load(Relaxed)),
        Word::Stmk => {
            let mask = argument.unwrap_or(TRACE_MASK);
            server.trace_mask.store(mask, Relaxed);
            shown_mask(mask)
        }
        Word::Conf => environment::conf(server),
        Word::Envi => environment::envi(),
        Word::Dirs => environment::dirs(server),
        Word::Srvr => clients::srvr(server),
        Word::Stat => clients::stat(server),
        Word::Cons => clients::cons(server),
        Word::Crst => {
            server.reset_connections();
            "Connection stats reset.\n".to_owned()
        }
        Word::Srst => {
            server.reset_server();
            "Server stats reset.\n".to_owned()
        }
        Word::Dump => sessions::dump(server),
        Word::Hash => sessions::hash(server),
        Word::Mntr => monitor::mntr(server),
        Word::Wchs => watches::wchs(server),
        Word::Wchc => watches::wchc(server),
        Word::Wchp => watches::wchp(server),
        Word::TelnetClose => String::new(),
    };
    text.into_bytes()
}

/// Java's masks have a sign.
fn shown_mask(mask: u64) -> String {
    mask.cast_signed().to_string()
}

/// Whether a disk is asked, or a list may be long.
pub fn pace(word: Word) -> Pace {
    match word {
        Word::Ruok
        | Word::Isro
        | Word::Gtmk
        | Word::Stmk
        | Word::Srvr
        | Word::Crst
        | Word::Srst
        | Word::TelnetClose => Pace::AtOnce,
        Word::Envi | Word::Wchs | Word::Stat | Word::Hash => Pace::Soon,
        Word::Cons | Word::Dump | Word::Wchc | Word::Wchp => Pace::ByLength,
        // How long files are, and how much of the disk is free.
        Word::Conf | Word::Dirs | Word::Mntr => Pace::ByDisk,
    }
}

/// Whether the text may be a megabyte: lists of clients, watches and sessions, and figures of each namespace.
pub fn may_be_long(server: &Introspection, word: Word) -> bool {
    match word {
        Word::Cons | Word::Dump | Word::Wchc | Word::Wchp => true,
        // Whoever watches a server that is short of memory asks for these figures, and is not to wait for those who make it short.
        Word::Mntr => monitor::may_be_long(server),
        _ => false,
    }
}

/// Whether the word has an answer only while clients are served.
fn asks_about_clients(word: Word) -> bool {
    !matches!(word, Word::Ruok | Word::Isro | Word::Gtmk | Word::Stmk | Word::Envi | Word::TelnetClose)
}
