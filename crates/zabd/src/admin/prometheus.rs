//! The port that Prometheus asks: `GET /metrics`, as with Java's `PrometheusMetricsProvider`; by TLS as with that of release 3.10.
//!
//! `?name[]=uptime&name[]=readlatency_count` asks for samples by name. The port is opened before anything is read from the disk,
//! so that a mistake shows at once, and answers when the server has started.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use zabd_config::{Config, MetricsProvider};

use super::exposition;
use super::families::Seen;
use super::windows::INTERVAL;
use crate::certificates;
use crate::http_port::{
    Answering, Answers, HttpPort, Jobs, bad_request, because, meant, not_found, query, refused, text,
};
use crate::http_tls::HttpTls;
use crate::introspect::Introspection;
use crate::net::ServerCounters;
use crate::start_error::StartError;

/// How long a connection may be silent: Jetty's default.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// What the ports are called where somebody is refused.
const NAME: &str = "the listener for Prometheus";

/// Where figures are asked for.
const PATH: &str = "/metrics";

/// Open ports that nobody answers on yet: without TLS, with it, or one for both.
#[derive(Debug)]
pub struct PrometheusPorts(Vec<HttpPort>);

impl PrometheusPorts {
    /// Opens the ports, if this provider is configured.
    pub fn open(config: &Config, counters: &Arc<ServerCounters>) -> Result<Self, StartError> {
        let metrics = &config.metrics;
        if metrics.provider != MetricsProvider::Prometheus {
            return Ok(Self(Vec::new()));
        }
        let open = |port, key| {
            HttpPort::open(&metrics.http_host, port, NAME, counters)
                .map_err(|error| StartError::metrics(config, key, &error))
        };
        let is_one = metrics.http_port == metrics.https_port;
        let mut ports = Vec::new();
        if let Some(port) = metrics.http_port.filter(|_| !is_one) {
            ports.push(open(port, "metricsProvider.httpPort")?);
        }
        if let (Some(port), Some(side)) = (metrics.https_port, metrics.side()) {
            let tls = certificates::open(&side).map_err(|error| StartError::tls(config, &error))?;
            let tls = HttpTls { tls, takes_plain: is_one };
            ports.push(open(port, "metricsProvider.httpsPort")?.with_tls(Some(tls)));
        }
        Ok(Self(ports))
    }

    /// Answers, in a thread for each, for as long as the process lives.
    pub fn run(self, server: &Arc<Introspection>) -> std::io::Result<()> {
        let metrics = Arc::new(Metrics { server: server.clone(), jobs: Jobs::new() });
        let mut notes = Some(note_tables(server.clone()));
        for port in self.0 {
            tracing::info!("Telling Prometheus at {}://{}{PATH}", port.scheme(), port.address);
            let noting = notes.take();
            let notes = async move {
                if let Some(noting) = noting {
                    noting.await;
                }
            };
            port.run("Prometheus", IDLE_MAX, metrics.clone(), notes)?;
        }
        Ok(())
    }
}

async fn note_tables(server: Arc<Introspection>) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        server.windows.note(Seen::now(&server).families());
    }
}

struct Metrics {
    server: Arc<Introspection>,
    jobs: Jobs,
}

impl Answers for Metrics {
    fn answer(self: Arc<Self>, request: Request<Incoming>, _: SocketAddr) -> Answering {
        Box::pin(async move {
            match meant(request.uri().path()) {
                None => return bad_request("its path is none"),
                Some(path) if path != PATH => return not_found(),
                Some(_) => (),
            }
            if !matches!(*request.method(), Method::GET | Method::HEAD | Method::POST) {
                return refused(request.method());
            }
            let wanted: Vec<_> = query(&request)
                .into_iter()
                .filter(|(word, _)| word == "name[]")
                .map(|(_, name)| name)
                .collect();
            let server = self.server.clone();
            match self.jobs.make(move || exposition::text(&server, &wanted)).await {
                Ok(figures) => text(StatusCode::OK, exposition::CONTENT_TYPE, figures),
                Err(none) => {
                    let words = none.words();
                    let told = text(none.status(), "text/plain; charset=utf-8", words.unwrap_or_default());
                    because(told, words.map(str::to_owned))
                }
            }
        })
    }
}
