//! Probes over gRPC: the standard service `grpc.health.v1.Health`.
//!
//! A question is a *service*: `liveness`, `readiness`, `startup`, and the empty name, which means the whole server, for
//! readiness. A service that nobody knows is `NOT_FOUND` for `Check`, and `SERVICE_UNKNOWN` for `Watch`, as the protocol says.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::verdict::Question;
use super::vitals::Vitals;

/// How late a watcher may hear of a change. Whoever asks with `Check` is told how it is now.
const WATCH_INTERVAL: Duration = Duration::from_millis(50);

/// See the module's description.
#[derive(Debug)]
pub struct Health {
    vitals: Arc<Vitals>,
}

impl Health {
    /// Answers that are read off `vitals`.
    pub fn new(vitals: Arc<Vitals>) -> Self {
        Self { vitals }
    }
}

#[tonic::async_trait]
impl health_server::Health for Health {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let service = request.into_inner().service;
        let Some(question) = Question::of_service(&service) else {
            return Err(Status::not_found("services are liveness, readiness and startup"));
        };
        Ok(Response::new(said(status(question, &self.vitals))))
    }

    type WatchStream = ReceiverStream<Result<HealthCheckResponse, Status>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (sender, receiver) = mpsc::channel(1);
        let question = Question::of_service(&request.into_inner().service);
        tokio::spawn(tell(question, self.vitals.clone(), sender));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

/// Tells of each change until nobody listens.
async fn tell(
    question: Option<Question>,
    vitals: Arc<Vitals>,
    listener: mpsc::Sender<Result<HealthCheckResponse, Status>>,
) {
    let mut told = None;
    while !listener.is_closed() {
        let now = question.map_or(ServingStatus::ServiceUnknown, |question| status(question, &vitals));
        if told != Some(now) {
            if listener.send(Ok(said(now))).await.is_err() {
                return;
            }
            told = Some(now);
        }
        tokio::select! {
            () = tokio::time::sleep(WATCH_INTERVAL) => (),
            () = listener.closed() => return,
        }
    }
}

fn status(question: Question, vitals: &Vitals) -> ServingStatus {
    if question.holds(vitals) { ServingStatus::Serving } else { ServingStatus::NotServing }
}

fn said(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status as i32 }
}

#[cfg(test)]
mod tests {
    use tonic::codegen::tokio_stream::StreamExt as _;

    use super::health_server::Health as _;
    use super::*;

    fn request(service: &str) -> Request<HealthCheckRequest> {
        Request::new(HealthCheckRequest { service: service.to_owned() })
    }

    #[tokio::test]
    async fn a_check_tells_how_it_is_now() {
        let vitals = Arc::new(Vitals::default());
        let health = Health::new(vitals.clone());
        let now =
            async |service| health.check(request(service)).await.map(|answer| answer.into_inner().status);
        assert_eq!(now("startup").await.unwrap(), ServingStatus::NotServing as i32);
        assert_eq!(now("liveness").await.unwrap(), ServingStatus::Serving as i32);
        vitals.note_started();
        for service in ["", "liveness", "readiness", "startup"] {
            assert_eq!(now(service).await.unwrap(), ServingStatus::Serving as i32, "{service}");
        }
        assert_eq!(now("livez").await.unwrap_err().code(), tonic::Code::NotFound);
    }

    #[tokio::test(start_paused = true)]
    async fn a_watcher_hears_of_each_change_once() {
        let vitals = Arc::new(Vitals::default());
        let health = Health::new(vitals.clone());
        let mut watch = health.watch(request("")).await.unwrap().into_inner();
        let mut next = async || watch.next().await.unwrap().unwrap().status;
        assert_eq!(next().await, ServingStatus::NotServing as i32);
        vitals.note_started();
        assert_eq!(next().await, ServingStatus::Serving as i32);
        tokio::time::sleep(WATCH_INTERVAL * 3).await;
        vitals.note_stopping();
        assert_eq!(next().await, ServingStatus::NotServing as i32);

        let mut unknown = health.watch(request("nobody")).await.unwrap().into_inner();
        let first = unknown.next().await.unwrap().unwrap().status;
        assert_eq!(first, ServingStatus::ServiceUnknown as i32);
        let silent = tokio::time::timeout(Duration::from_mins(1), unknown.next()).await;
        assert!(silent.is_err(), "an unknown service stays unknown, and the call open");
    }
}
