//! `start-zookeeper`: what the image of Kubernetes' ZooKeeper tutorial starts. Its words are understood in `zabd_config::pod`.

use std::process::ExitCode;

use zabd_config::pod::{Asked, START_ZOOKEEPER_USAGE, Surroundings, ZooCfg, start_zookeeper};
use zabd_config::read_file;

use super::names::Call;
use super::{mistakes, start_script};

/// Runs it.
pub fn run(call: &Call) -> ExitCode {
    let (variables, host) = (start_script::variables(), start_script::host());
    let around = Surroundings { variables: &variables, host: &host, read: &read_file };
    match start_zookeeper(&call.words, &around) {
        Asked::Help => {
            print!("{}", *START_ZOOKEEPER_USAGE);
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
            println!("Creating ZooKeeper log4j configuration");
            start_script::perform("start-zookeeper", &plan, &|name| variables.get(name).cloned())
        }
    }
}
