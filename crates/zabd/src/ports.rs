//! The ports of clients: in plain text, with TLS, or both on one.
//!
//! ```text
//! clientPort ───────────────────────────────► I/O threads
//! secureClientPort ─────────► handshakes ────────▲
//! clientPort, if it takes both ──▲
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use zabd_config::{Config, ListenHost};
use zabd_jute::quorum::Address;
use zabd_tls::Tls;

use crate::certificates;
use crate::listen_name;
use crate::net::{
    Acceptor, HandshakeOptions, Handshakes, IoThread, ListenOptions, ServerCounters, Service, Takes, lobby,
};
use crate::probes::Vitals;
use crate::refusals::Refusals;
use crate::start_error::StartError;

/// See the module's description.
#[derive(Debug)]
pub struct ClientPorts {
    plain: Option<Acceptor>,
    secure: Option<Acceptor>,
    tls: Option<Arc<Tls>>,
}

/// Where clients are served, which may change; `None` for a port that there is not.
#[derive(Clone, Debug)]
pub struct ClientAddresses {
    /// In plain text, and by TLS if the port takes both.
    pub plain: Option<Arc<Mutex<SocketAddr>>>,
    /// By TLS.
    pub secure: Option<Arc<Mutex<SocketAddr>>>,
}

impl ClientAddresses {
    /// One of them, in plain text if there is one.
    pub fn first(&self) -> SocketAddr {
        let address = self.plain.as_ref().or(self.secure.as_ref());
        *address.expect("a server has a port for clients").lock()
    }
}

impl ClientPorts {
    /// Reads the stores, if there is TLS, and opens the ports.
    pub fn open(config: &Config, counters: &Arc<ServerCounters>) -> Result<Self, StartError> {
        let tls = if config.tls.serves_clients() {
            Some(certificates::open(&config.tls.clients).map_err(|error| StartError::tls(config, &error))?)
        } else {
            None
        };
        let mut plain = None;
        if let Some(port) = config.client_port {
            let keys = ["clientPort", "clientPortAddress"];
            plain = Some(listen(config, &config.client_port_address, port, keys, counters)?);
        }
        let mut secure = None;
        if let Some(port) = config.tls.secure_client_port {
            let keys = ["secureClientPort", "secureClientPortAddress"];
            secure = Some(listen(config, &config.tls.secure_client_port_address, port, keys, counters)?);
        }
        if plain.is_none() && secure.is_none() {
            return Err(StartError::NoPort);
        }
        Ok(Self { plain, secure, tls })
    }

    /// The plain one listens somewhere else whenever it is told to.
    #[must_use]
    pub fn following(self, moves: watch::Receiver<Option<Address>>) -> Self {
        Self { plain: self.plain.map(|plain| plain.following(moves)), ..self }
    }

    /// The stores, if there is TLS.
    pub fn tls(&self) -> Option<Arc<Tls>> {
        self.tls.clone()
    }

    /// Where they listen.
    pub fn addresses(&self) -> ClientAddresses {
        let address = |port: &Option<Acceptor>| port.as_ref().map(Acceptor::address);
        ClientAddresses { plain: address(&self.plain), secure: address(&self.secure) }
    }

    /// Serves clients, in threads of their own.
    ///
    /// One I/O thread for two cores: the log, the applying and the kernel's share of every packet need the other
    /// half. Threads that sleep and wake for a few packets each cost more than one that finds many at once: on
    /// two cores, one thread answers 1.35 times the gets and opens 1.3 times the sessions per CPU second of two.
    pub fn serve(self, config: &Config, service: &Arc<Service>, vitals: &Arc<Vitals>) -> std::io::Result<()> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let count = (cores / 2).max(1);
        let start =
            |number| IoThread::start(number, service.clone(), vitals.pulse(&format!("ClientIo-{number}")));
        let threads: Vec<_> = (0..count).map(start).collect::<Result<_, _>>()?;
        let mut shaking = Vec::new();
        match self.plain {
            Some(plain) if config.tls.client_port_unification => shaking.push((plain, Takes::Both)),
            Some(plain) => threads[0].accept(plain, threads[1..].to_vec()),
            None => (),
        }
        shaking.extend(self.secure.map(|secure| (secure, Takes::Tls)));
        let Some(tls) = self.tls else { return Ok(()) };
        let handshakes = Handshakes {
            tls,
            options: handshake_options(config),
            driver: service.driver.clone(),
            counters: service.counters.clone(),
            threads,
            next: 0.into(),
            refusals: Refusals::default(),
            lobby: lobby(),
        };
        handshakes.start(shaking, vitals.pulse("ClientTls"))
    }
}

fn handshake_options(config: &Config) -> HandshakeOptions {
    let side = &config.tls.clients;
    HandshakeOptions {
        sessionless_max: Duration::from_millis(config.sessionless_timeout_ms.into()),
        at_once_max: config.tls.handshakes_max,
        early_drop: config.tls.early_drop,
        verifies_hosts: side.verifies_hosts.unwrap_or(true) && side.verifies_client_hosts.unwrap_or(false),
        super_user: config.auth.x509_super_user.clone(),
    }
}

fn listen(
    config: &Config,
    host: &ListenHost,
    port: u16,
    keys: [&str; 2],
    counters: &Arc<ServerCounters>,
) -> Result<Acceptor, StartError> {
    let is_plain_only = keys[0] == "clientPort" && !config.tls.client_port_unification;
    let options = |address| ListenOptions {
        address,
        backlog: config.listen_backlog() as i32,
        keepalive: config.client_tcp_keepalive,
        per_address_max: usize::try_from(config.max_client_cnxns_per_ip).unwrap_or(0),
        total_max: config.max_cnxns as usize,
        counts_plain: is_plain_only && config.tls.serves_clients(),
    };
    let bind_to = |address: SocketAddr| Acceptor::bind(options(address), counters.clone());
    let bind = |ip: IpAddr| bind_to(SocketAddr::new(ip, port));
    let bound = match host {
        // All of IPv6 includes all of IPv4, where there is IPv6.
        ListenHost::Any => match bind(Ipv6Addr::UNSPECIFIED.into()) {
            Err(error) if error.source.kind() != std::io::ErrorKind::AddrInUse => {
                bind(Ipv4Addr::UNSPECIFIED.into())
            }
            bound => bound,
        },
        ListenHost::Address(ip) => bind(*ip),
        ListenHost::Name(name) => {
            let resolved = listen_name::resolve(name, port).ok().and_then(|found| found.first().copied());
            bind_to(resolved.ok_or_else(|| StartError::no_address(config, keys[1], name))?)
        }
    };
    bound.map_err(|error| StartError::listen(config, keys, &error))
}
