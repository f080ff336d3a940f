//! `zabd-floor <zoo.cfg>`: see [`zabd_benches::floor`]. Started as a server is, so that
//! `zabd-bench compare --zabd target/release/zabd-floor` measures it like one.

use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(config) = std::env::args_os().nth(1) else {
        eprintln!("usage: zabd-floor <zoo.cfg>");
        return ExitCode::FAILURE;
    };
    let Err(error) = zabd_benches::floor::run(config.as_ref());
    eprintln!("error: {error}");
    ExitCode::FAILURE
}
