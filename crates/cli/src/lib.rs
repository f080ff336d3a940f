//! `zkCli.sh`: ZooKeeper's shell, with every command, option, output and exit code of Java's 3.9 shell.
//!
//! What scripts read is written as Java writes it, on the stream where Java writes it; what they filter away, the log
//! lines among the output, is not written at all. The shell knows records of the client's protocol (`zabd-jute`), the
//! format of `.properties` files and the keys of TLS in them (`zabd-config`), stores of certificates (`zabd-tls`) and proofs of a
//! password (`zabd-sasl`), and nothing of how a server works.
//!
//! From a line to its output: [`shell`] reads a line and splits it into words, keeps the history, and does what needs no
//! server; [`commands`] holds one command after the other, whose options [`options`] takes apart; [`client`] keeps the
//! session; `four_letter` asks without one; [`print`] has values as Java prints them. Nothing here is asynchronous but the thread of the session: the shell
//! starts in a few milliseconds.
//!
//! Where it deliberately does something else than Java's shell, docs/compatibility says so.

mod client;
mod commands;
mod four_letter;
mod options;
mod print;
mod screen;
mod shell;

pub use four_letter::ask_by_tls;
pub use shell::run;
