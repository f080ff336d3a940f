//! The ports of a server, opened before it touches a file.

use std::sync::Arc;

use zabd_config::Config;

use crate::admin::{AdminPort, PrometheusPorts};
use crate::member::Member;
use crate::net::ServerCounters;
use crate::ports::ClientPorts;
use crate::probes::{self, Vitals};
use crate::start_error::StartError;

/// Ports that nobody answers on yet.
pub(super) struct Ports {
    pub(super) prometheus: PrometheusPorts,
    pub(super) admin: Option<AdminPort>,
    pub(super) clients: ClientPorts,
    pub(super) member: Option<Member>,
}

/// Before all else: whoever waits for a start wants to know how far it is.
pub(super) fn answer_probes(
    config: &Config,
    counters: &Arc<ServerCounters>,
) -> Result<Arc<Vitals>, StartError> {
    let vitals = Arc::new(Vitals::default());
    let opened = probes::Listener::open(&config.probes).map_err(|error| StartError::probes(config, &error));
    let listener = match opened {
        // Two containers may share a network, as on the host's; whoever asks for no probes is not to go without a server.
        Err(error) if config.has_images_own_probes() => {
            tracing::warn!("Probes are not answered: {error}");
            None
        }
        opened => opened?,
    };
    if let Some(listener) = listener {
        listener.run(vitals.clone(), counters.clone())?;
    }
    Ok(vitals)
}

/// The ports first: whoever starts a second server by mistake must not touch its files.
pub(super) fn open_ports(config: &Config, counters: &Arc<ServerCounters>) -> Result<Ports, StartError> {
    let prometheus = PrometheusPorts::open(config, counters)?;
    let clients = ClientPorts::open(config, counters)?;
    let admin = AdminPort::open(config, counters, clients.tls());
    let Some(ensemble) = &config.ensemble else {
        return Ok(Ports { prometheus, admin, clients, member: None });
    };
    let member = Member::prepare(config, ensemble)?;
    let clients = clients.following(member.client_addresses());
    Ok(Ports { prometheus, admin, clients, member: Some(member) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use zabd_config::Sources;

    /// As that of another container on the host's network.
    #[test]
    fn a_port_for_probes_that_is_taken_ends_only_the_start_of_whoever_asked_for_it() {
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let words = format!(
            "-Dzabd.probes.port={} -Dzabd.probes.address=127.0.0.1",
            other.local_addr().unwrap().port()
        );
        let answered = |variable: &str| {
            let nothing = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
            let sources = Sources::new().jvm_flags(variable, &words);
            let pairs = [("dataDir", "/data"), ("clientPort", "2181")];
            answer_probes(&sources.pairs(pairs).resolve(&nothing).unwrap(), &Arc::default()).map(drop)
        };
        assert!(answered("default of --probes_port").is_ok());
        assert!(matches!(answered("JVMFLAGS"), Err(StartError::Probes(_))));
    }
}
