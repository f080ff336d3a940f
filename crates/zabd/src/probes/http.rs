//! Probes over HTTP: `/livez`, `/readyz`, `/startupz`, in the shape that Kubernetes' own components have.
//!
//! 200 with `ok`, or 503 with what each check found; `?verbose` shows that in both cases. HTTP/1.1 and HTTP/2 are the same
//! here. What is not a probe goes to the gRPC service if it asks for that.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use tonic::body::Body;
use tonic::codegen::Service as _;
use tonic::{Code, Status};
use tonic_health::pb::health_server::HealthServer;

use super::health::Health;
use super::listener::HEAD_TIME_MAX;
use super::verdict::Question;
use super::vitals::Vitals;
use crate::http_port::{HEAD_BYTES_MAX, Refusing, long_head};

/// The longest message of the gRPC protocol that is read; a service's name is one word.
const MESSAGE_BYTES_MAX: usize = 1024;

/// Answers everything that comes on the port.
#[derive(Clone)]
pub struct Answers {
    vitals: Arc<Vitals>,
    health: HealthServer<Health>,
    refusing: Refusing,
}

impl Answers {
    /// Answers that are read off `vitals`.
    pub fn new(vitals: Arc<Vitals>, refusing: Refusing) -> Self {
        let health =
            HealthServer::new(Health::new(vitals.clone())).max_decoding_message_size(MESSAGE_BYTES_MAX);
        Self { vitals, health, refusing }
    }

    /// One answer.
    pub async fn answer(
        self,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<Response<Body>, Infallible> {
        if head_bytes(&request) > HEAD_BYTES_MAX {
            self.refusing.request(peer, &long_head());
            return Ok(text(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, String::new()));
        }
        let is_grpc = request
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        if is_grpc {
            return Ok(self.call(request, peer).await);
        }
        Ok(answer(&self.vitals, request.method(), request.uri().path(), request.uri().query()))
    }

    /// A call by gRPC, whose message has as long as the head of a request.
    async fn call(mut self, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        let Ok(called) = tokio::time::timeout(HEAD_TIME_MAX, self.health.call(request)).await else {
            self.refusing.request(
                peer,
                &format!("its call has not come as a whole within {}ms", HEAD_TIME_MAX.as_millis()),
            );
            return Status::deadline_exceeded("the call has not come as a whole").into_http();
        };
        let Ok(answer) = called;
        match Status::from_header_map(answer.headers()).map(|status| status.code()) {
            Some(Code::OutOfRange) => {
                let why = format!("the message of its call is longer than {MESSAGE_BYTES_MAX} bytes");
                self.refusing.request(peer, &why);
            }
            Some(Code::Internal) => self.refusing.request(peer, "what it calls with is no message"),
            _ => (),
        }
        answer
    }
}

/// How long the head of a request is, as HTTP/2 counts its fields; nearly that of its text in HTTP/1.1, which was measured already.
fn head_bytes<B>(request: &Request<B>) -> usize {
    const FIELD_BYTES: usize = 32;
    if request.version() != Version::HTTP_2 {
        return 0;
    }
    let uri = request.uri();
    let asked = uri.authority().map_or(0, |host| host.as_str().len())
        + uri.path_and_query().map_or(0, |path| path.as_str().len());
    let fields =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES);
    asked + 4 * FIELD_BYTES + fields.sum::<usize>()
}

fn answer(vitals: &Vitals, method: &Method, path: &str, query: Option<&str>) -> Response<Body> {
    let asked = Question::ALL.into_iter().find(|question| path.strip_prefix('/') == Some(question.name()));
    let Some(question) = asked else {
        return text(StatusCode::NOT_FOUND, "Here are /livez, /readyz and /startupz\n".to_owned());
    };
    if method != Method::GET && method != Method::HEAD {
        let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "Only GET and HEAD\n".to_owned());
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    match question.answer(vitals) {
        (true, details) => text(StatusCode::OK, if is_verbose(query) { details } else { "ok".to_owned() }),
        (false, details) => text(StatusCode::SERVICE_UNAVAILABLE, details),
    }
}

/// `?verbose` with any value or none, as in Kubernetes.
fn is_verbose(query: Option<&str>) -> bool {
    let mut words =
        query.unwrap_or_default().split('&').map(|word| word.split('=').next().unwrap_or_default());
    words.any(|name| name == "verbose")
}

fn text(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::new(http_body_util::Full::new(Bytes::from(text))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(method: &Method, path: &str) -> u16 {
        let vitals = Vitals::default();
        vitals.note_started();
        answer(&vitals, method, path, None).status().as_u16()
    }

    #[test]
    fn paths_and_methods_are_looked_at() {
        for (method, path, expected) in [
            (Method::GET, "/livez", 200),
            (Method::HEAD, "/readyz", 200),
            (Method::GET, "/startupz", 200),
            (Method::POST, "/livez", 405),
            (Method::GET, "/livez/", 404),
            (Method::GET, "/", 404),
            (Method::GET, "livez", 404),
        ] {
            assert_eq!(status(&method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn what_does_not_hold_is_503() {
        let response = answer(&Vitals::default(), &Method::GET, "/startupz", None);
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    }

    #[test]
    fn verbose_is_a_word_of_the_query() {
        for (query, expected) in [
            (None, false),
            (Some(""), false),
            (Some("verbose"), true),
            (Some("verbose=1"), true),
            (Some("a=b&verbose"), true),
            (Some("verbosely"), false),
        ] {
            assert_eq!(is_verbose(query), expected, "{query:?}");
        }
    }
}
