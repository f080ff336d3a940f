//! The port that Prometheus asks: `GET /metrics`, as with Java's `PrometheusMetricsProvider`.
//!
//! `?name[]=uptime&name[]=readlatency_count` asks for samples by name. The port is opened before anything is read from the disk,
//! so that a mistake shows at once, and answers when the server has started.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use zabd_config::{MetricsConfig, MetricsProvider};

use super::exposition;
use super::families::Seen;
use super::windows::INTERVAL;
use crate::http_port::{
    Answering, Answers, HttpListenError, HttpPort, Jobs, not_found, query, refused, text,
};
use crate::introspect::Introspection;

/// How long a connection may be silent: Jetty's default.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// Where figures are asked for.
const PATH: &str = "/metrics";

/// An open port that nobody answers on yet.
#[derive(Debug)]
pub struct PrometheusPort(HttpPort);

impl PrometheusPort {
    /// Opens the port, if this provider is configured.
    pub fn open(config: &MetricsConfig) -> Result<Option<Self>, HttpListenError> {
        if config.provider != MetricsProvider::Prometheus {
            return Ok(None);
        }
        HttpPort::open(&config.http_host, config.http_port).map(|port| Some(Self(port)))
    }

    /// Answers, in a thread of its own, for as long as the process lives.
    pub fn run(self, server: Arc<Introspection>) -> std::io::Result<()> {
        tracing::info!("Telling Prometheus at http://{}{PATH}", self.0.address);
        let notes = note_tables(server.clone());
        self.0.run("Prometheus", IDLE_MAX, Arc::new(Metrics { server, jobs: Jobs::new() }), notes)
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
            if request.uri().path() != PATH {
                return not_found();
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
                    text(none.status(), "text/plain; charset=utf-8", none.words().unwrap_or_default())
                }
            }
        })
    }
}
