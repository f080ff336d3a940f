//! `start-zookeeper`: what the image of Kubernetes' ZooKeeper tutorial starts. Its words are understood in `zabd_config::pod`.
//!
//! A step of the tutorial ends the server by `pkill java`. The image that is made for the tutorial says `ZABD_PROCESS_NAME=java`, and
//! the process goes by that name; anywhere else a list of processes shows what was started.

use std::ffi::CString;
use std::process::ExitCode;

use zabd_config::pod::{Asked, START_ZOOKEEPER_USAGE, Surroundings, ZooCfg, start_zookeeper};
use zabd_config::read_file;

use super::names::Call;
use super::{mistakes, start_script};

/// Runs it.
pub fn run(call: &Call) -> ExitCode {
    let (variables, host) = (start_script::variables(), start_script::host());
    let around = Surroundings { variables: &variables, host: &host, read: &read_file };
    if let Some(name) = around.variable("ZABD_PROCESS_NAME") {
        go_by(name);
    }
    match start_zookeeper(&call.words, &around) {
        Asked::Help => {
            say!("{}", START_ZOOKEEPER_USAGE.trim_end());
            ExitCode::SUCCESS
        }
        Asked::Refused { said, hint } => {
            eprintln!("{said}\nstart-zookeeper: {hint}");
            ExitCode::FAILURE
        }
        Asked::Mistaken(errors) => {
            mistakes::refuse(&errors);
            ExitCode::FAILURE
        }
        Asked::Start { said, plan } => {
            for line in said {
                eprintln!("{line}");
            }
            if let ZooCfg::Made { lines, .. } = &plan.zoo_cfg {
                eprint!("{}", lines.text());
            }
            say!("Creating ZooKeeper log4j configuration");
            start_script::perform("start-zookeeper", &plan, &|name| variables.get(name).cloned())
        }
    }
}

/// The name of the first thread, which is the process's for `ps -e`, `pkill` and the kernel's log; of a longer one, 15 bytes.
fn go_by(name: &str) {
    let taken = CString::new(name).map_err(std::io::Error::from);
    if let Err(error) = taken.and_then(|name| Ok(rustix::thread::set_name(&name)?)) {
        eprintln!("start-zookeeper: cannot go by the name {name}: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_goes_by_the_name_that_it_is_given() {
        // Of a thread of its own: a test's name is its thread's.
        let shown = std::thread::spawn(|| {
            go_by("java");
            std::fs::read_to_string("/proc/thread-self/comm").unwrap()
        });
        assert_eq!(shown.join().unwrap(), "java\n");
    }
}
