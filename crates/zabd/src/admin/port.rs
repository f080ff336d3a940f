//! The AdminServer's port: which command a path asks for, and whether whoever asks may give it.
//!
//! A port that cannot be opened is told, and clients are served all the same. Java's standalone server ends with it instead: here
//! somebody else's web server on port 8080 is no reason for an outage. Stores that cannot be used are no reason for one either, and
//! never for plain text: then there is no AdminServer, as in Java.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, EXPECT, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use zabd_config::Config;
use zabd_jute::Id;
use zabd_jute::client::AuthPacket;
use zabd_replica::auth::{AuthOptions, authenticate, certificate_identities};
use zabd_tls::{Certificate, Tls, TlsError};
use zabd_tree::{TreeOptions, allows};

use super::commands::{self, COMMANDS, Call, Command, Reply, Restores, Snapshots, Turns, Work, throw_away};
use crate::certificates;
use crate::cut::Cut;
use crate::http_port::{
    Answering, Answers, Body, HttpPort, Jobs, NoAnswer, bad_request, because, meant, not_found, query,
    refused, text, whole,
};
use crate::http_tls::{HttpTls, Shown};
use crate::introspect::Introspection;
use crate::launch::with_causes;
use crate::net::{ServerCounters, java_address};
use crate::restore::Asker;
use crate::snapshotter::Snapshotter;

/// The scheme of whoever has shown a certificate.
const X509: &str = "x509";
const JSON: &str = "application/json";
const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests";
/// Every permission there is, each of which is asked for.
const ALL_PERMISSIONS: [i32; 5] = [1, 2, 4, 8, 16];
/// How long a text may be that comes with a command, in bytes, and how long it may take.
const JSON_BYTES_MAX: usize = 64 << 10;
const JSON_FOR_MAX: Duration = Duration::from_secs(5);
/// How much of a file is read at a time.
const CHUNK_BYTES: usize = 256 << 10;

/// An open port that nobody answers on yet.
#[derive(Debug)]
pub struct AdminPort {
    port: HttpPort,
    judge: Option<Arc<Tls>>,
}

impl AdminPort {
    /// Opens the port, if there is to be one and it can be had. `clients` is whom clients' ports believe, if they have TLS.
    pub fn open(config: &Config, counters: &Arc<ServerCounters>, clients: Option<Arc<Tls>>) -> Option<Self> {
        let admin = &config.admin;
        if !admin.enabled {
            return None;
        }
        let not_started = |why: &str, hint: &str| {
            tracing::warn!(
                "Problem starting AdminServer: {why}; clients are served without it; hint: {hint}, or admin.enableServer=false"
            );
        };
        let tls = match config.admin_tls().map(|side| certificates::open(&side)).transpose() {
            Ok(tls) => tls,
            Err(error) => {
                not_started(&format!("{}: {error}", error.key), &error.hint);
                return None;
            }
        };
        let tls = tls.map(|tls| HttpTls { tls, takes_plain: !admin.force_https });
        match HttpPort::open(&admin.address, admin.port, "the AdminServer", counters) {
            Ok(port) => Some(Self { port: port.with_tls(tls), judge: clients.or_else(|| judge(config)) }),
            Err(error) => {
                not_started(&with_causes(&error), "set another admin.serverPort");
                None
            }
        }
    }

    /// Answers, in a thread of its own, for as long as the process lives.
    pub fn run(
        self,
        server: Arc<Introspection>,
        auth: AuthOptions,
        tree_options: TreeOptions,
        snapshotter: Snapshotter,
    ) -> std::io::Result<()> {
        let config: &Config = &server.config;
        let (path, idle_max) =
            (config.admin.command_url.clone(), Duration::from_millis(config.admin.idle_timeout_ms));
        let Self { port, judge } = self;
        tracing::info!("Started AdminServer on {}, with commands at {path}", port.address);
        let has_last_zxid = config.serialize_last_processed_zxid;
        let turns = Turns::default();
        let snapshots = Snapshots::new(&config.admin, has_last_zxid, snapshotter.clone(), turns.clone());
        let dir = server.directories.snapshots.clone();
        let restores = Restores::new(config, dir, tree_options, snapshotter, turns);
        let admin = Admin { server, path, auth, judge, snapshots, restores, jobs: Jobs::new() };
        port.run("AdminServer", idle_max, Arc::new(admin), std::future::ready(()))
    }
}

/// Who judges certificates where clients have no TLS. One whose store cannot be read gives nobody a right, as in Java.
fn judge(config: &Config) -> Option<Arc<Tls>> {
    let opened = certificates::open(&config.admin_judge()?);
    let told = opened.inspect_err(|error| {
        let TlsError { key, hint, .. } = error;
        tracing::error!("Certificates give no rights at the AdminServer: {key}: {error}; hint: {hint}");
    });
    told.ok()
}

struct Admin {
    server: Arc<Introspection>,
    /// Of the commands, without a slash at its end.
    path: String,
    auth: AuthOptions,
    /// Whom the trust store of clients believes.
    judge: Option<Arc<Tls>>,
    snapshots: Snapshots,
    restores: Restores,
    jobs: Jobs,
}

/// A command is not carried out.
struct Denied {
    status: StatusCode,
    /// What whoever asked hears.
    error: String,
    /// What the log says, if it is no mistake that costs nothing.
    why: Option<String>,
}

impl Answers for Admin {
    fn answer(self: Arc<Self>, request: Request<Incoming>, peer: SocketAddr) -> Answering {
        Box::pin(async move {
            let Some(path) = meant(request.uri().path()) else { return bad_request("its path is none") };
            let Some(name) = self.name(&path) else { return not_found() };
            if !matches!(*request.method(), Method::GET | Method::HEAD | Method::POST) {
                return refused(request.method());
            }
            if name.is_empty() {
                return Response::new(whole(self.list()));
            }
            let command = match self.judge(&name, &request, peer) {
                Ok(command) => command,
                Err(Denied { status, error, why }) => {
                    return because(text(status, JSON, commands::text(&name, Vec::new(), Some(&error))), why);
                }
            };
            let made = match command.work {
                Work::Answers(run) => {
                    let words = query(&request);
                    let admin = self.clone();
                    self.jobs.make(move || run(&Call { server: &admin.server, words: &words })).await
                }
                Work::Snapshot => self.snapshot(&query(&request)).await,
                Work::Does(run) => self.act(run, request.into_body()).await,
                Work::Restores => self.restore(request, peer).await,
            };
            made.map_or_else(
                |none| {
                    let told = commands::text(command.name(), Vec::new(), none.words());
                    because(text(none.status(), JSON, told), none.words().map(str::to_owned))
                },
                |reply| answer(command, reply),
            )
        })
    }
}

impl Admin {
    /// Takes in what is to be done, and does it.
    async fn act(
        self: &Arc<Self>,
        run: fn(&Call<'_>, &[u8]) -> Reply,
        body: Incoming,
    ) -> Result<Reply, NoAnswer> {
        let taking = Limited::new(body, JSON_BYTES_MAX).collect();
        let body = match timeout(JSON_FOR_MAX, taking).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                let why = format!("it is longer than {JSON_BYTES_MAX} bytes");
                return Ok(commands::unreadable(StatusCode::PAYLOAD_TOO_LARGE, &why));
            }
            Ok(Err(error)) => return Ok(commands::unreadable(StatusCode::BAD_REQUEST, &error.to_string())),
            Err(_) => {
                let why = format!("it has not come as a whole within {}s", JSON_FOR_MAX.as_secs());
                return Ok(commands::unreadable(StatusCode::REQUEST_TIMEOUT, &why));
            }
        };
        let admin = self.clone();
        self.jobs.make(move || run(&Call { server: &admin.server, words: &[] }, &body)).await
    }

    /// Takes a snapshot, and sends it.
    async fn snapshot(self: &Arc<Self>, words: &[(String, String)]) -> Result<Reply, NoAnswer> {
        let turn = match self.snapshots.admit(&self.server).await {
            Ok(turn) => turn,
            Err(reply) => return Ok(reply),
        };
        let streaming = commands::value(words, "streaming").map(str::to_owned);
        let admin = self.clone();
        let work = move || {
            let reply = admin.snapshots.take(streaming.as_deref());
            drop(turn);
            reply
        };
        self.jobs.make(work).await
    }

    /// Takes a snapshot in, and restores it.
    async fn restore(
        self: &Arc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<Reply, NoAnswer> {
        let from = asked_from(request.headers(), peer, self.trusts_proxies());
        let asks_before_it_sends = request.headers().contains_key(EXPECT);
        if let Err(reply) = self.restores.admit(&self.server) {
            if !asks_before_it_sends {
                throw_away(request.into_body()).await;
            }
            return Ok(reply);
        }
        tracing::warn!("A snapshot is being taken in for {from}, to be restored");
        let incoming = match self.restores.take_in(request.into_body()).await {
            Ok(incoming) => incoming,
            Err(error) => {
                let why = format!("the snapshot has not come as a whole: {}", with_causes(&error));
                return Ok(Reply { why: Some(why), ..Restores::failed(&self.server, &error) });
            }
        };
        let turn = self.restores.turn().await;
        let admin = self.clone();
        // Whoever hangs up drops this future, and not the work.
        let asker = Asker::default();
        let asked = asker.asked();
        let work = move || {
            let Admin { server, restores, .. } = &*admin;
            let reply = restores.restore(server, incoming, asked);
            drop(turn);
            reply.unwrap_or_else(|error| Restores::failed(server, &error))
        };
        let reply = self.jobs.make(work).await;
        drop(asker);
        reply
    }

    /// What stands behind the commands' path; nothing, if the list is asked for.
    fn name(&self, path: &str) -> Option<String> {
        let rest = path.strip_prefix(&*self.path)?;
        match rest.strip_prefix('/') {
            Some(name) => Some(name.to_owned()),
            None => rest.is_empty().then(String::new),
        }
    }

    fn list(&self) -> String {
        let path = &self.path;
        let link = |command: &Command| {
            let name = command.name();
            format!("<a href=\"{path}/{name}\">{name}</a>\n<br/>\n")
        };
        COMMANDS.iter().map(link).collect()
    }

    /// The command, if it is one, if there is somebody to give it to, and if whoever gives it may.
    fn judge(
        &self,
        name: &str,
        request: &Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<&'static Command, Denied> {
        let mistaken = |status, error: String| Denied { status, error, why: None };
        let Some(command) = commands::find(name) else {
            return Err(mistaken(StatusCode::OK, format!("Unknown command: {name}")));
        };
        if command.needs_server && !self.server.driver.serves_clients() {
            return Err(mistaken(StatusCode::OK, NOT_SERVING.to_owned()));
        }
        if command.needs_rights {
            self.judge_rights(request, peer).map_err(|(status, error)| {
                let from = asked_from(request.headers(), peer, self.trusts_proxies());
                let behind = if from == java_address::host(peer) {
                    String::new()
                } else {
                    format!(" for {}", Cut(&from))
                };
                let hint = self.hint(request).map_or_else(String::new, |hint| format!("; hint: {hint}"));
                let why = format!("the command {}{behind}: {error}{hint}", command.name());
                Denied { status, error: error.to_owned(), why: Some(why) }
            })?;
        }
        let is_posted = !matches!(command.work, Work::Answers(_) | Work::Snapshot);
        if is_posted != (request.method() == Method::POST) {
            let method = if is_posted { "POST" } else { "GET" };
            return Err(mistaken(StatusCode::METHOD_NOT_ALLOWED, format!("The command takes {method}")));
        }
        Ok(command)
    }

    /// Who somebody is by what was shown in the handshake. As in Java the trust store of clients must believe it, too.
    fn certificate(&self, request: &Request<Incoming>) -> Vec<Id<'static>> {
        let (Some(judge), Some(Shown(chain))) = (&self.judge, request.extensions().get()) else {
            return Vec::new();
        };
        let own = chain.first().filter(|_| judge.believes(chain)).and_then(Certificate::parse);
        let super_user = self.server.config.auth.x509_super_user.as_deref();
        own.map_or_else(Vec::new, |own| certificate_identities(&own.subject, super_user))
    }

    /// What whoever configures this server can do for somebody whose certificate is believed and gives no identity.
    fn hint(&self, request: &Request<Incoming>) -> Option<&'static str> {
        let says_x509 =
            request.headers().get(AUTHORIZATION).is_some_and(|said| said.as_bytes() == X509.as_bytes());
        if !says_x509 || !self.certificate(request).is_empty() {
            return None;
        }
        let Config { tls, admin, auth, .. } = &*self.server.config;
        Some(if !admin.need_client_auth || request.extensions().get::<Shown>().is_none() {
            "certificates are asked for with `admin.needClientAuth=true` and `admin.forceHttps=true`"
        } else if !auth.x509_enabled {
            "add `authProvider.x509=org.apache.zookeeper.server.auth.X509AuthenticationProvider`"
        } else if tls.clients.trust_store.location.is_none() {
            "name the trust store of clients in `ssl.trustStore.location`, which gives rights"
        } else {
            "the trust store of `ssl.trustStore.location`, which gives rights, does not believe the certificate"
        })
    }

    fn trusts_proxies(&self) -> bool {
        self.server.config.auth.ip_use_x_forwarded_for
    }

    fn judge_rights(
        &self,
        request: &Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<(), (StatusCode, &'static str)> {
        let Some(said) = request.headers().get(AUTHORIZATION) else {
            return Err((StatusCode::UNAUTHORIZED, "Auth info is missing for the command"));
        };
        let address = asked_from(request.headers(), peer, self.trusts_proxies());
        let certificate = self.certificate(request);
        let ids = identities(said.as_bytes(), &address, &certificate, &self.auth);
        if ids.is_empty() {
            return Err((StatusCode::UNAUTHORIZED, "Not authenticated"));
        }
        let tree = self.server.driver.tree();
        let acl = tree.node("/").map(|root| root.acl().to_vec()).unwrap_or_default();
        drop(tree);
        let skip = self.server.config.auth.skip_acl;
        if ALL_PERMISSIONS.iter().all(|permission| allows(&acl, *permission, &ids, skip)) {
            Ok(())
        } else {
            Err((StatusCode::FORBIDDEN, "Not authorized"))
        }
    }
}

/// Where the question comes from; behind a proxy that says so, if it is trusted.
fn asked_from(headers: &HeaderMap, peer: SocketAddr, trusts_proxies: bool) -> String {
    let forwarded = headers
        .get("x-forwarded-for")
        .filter(|_| trusts_proxies)
        .and_then(|said| said.to_str().ok())
        .and_then(|said| said.split(',').next())
        .map(str::trim)
        .filter(|first| !first.is_empty());
    forwarded.map_or_else(|| java_address::host(peer), str::to_owned)
}

/// Who somebody is that says so: a scheme, and what it takes.
fn identities(
    said: &[u8],
    address: &str,
    certificate: &[Id<'static>],
    options: &AuthOptions,
) -> Vec<Id<'static>> {
    let said = String::from_utf8_lossy(said);
    let words: Vec<&str> = said.trim_end_matches(' ').split(' ').collect();
    let (scheme, auth) = match words[..] {
        [scheme] => (scheme, None),
        [scheme, auth] => (scheme, Some(auth.as_bytes())),
        _ => return Vec::new(),
    };
    if scheme == X509 {
        return certificate.to_vec();
    }
    let packet = AuthPacket { kind: 0, scheme: Some(scheme.into()), auth };
    let nobody = std::iter::empty().collect();
    authenticate(&packet, &nobody, address, options).map(|ids| ids.to_vec()).unwrap_or_default()
}

fn answer(command: &Command, reply: Reply) -> Response<Body> {
    let mut response = match reply.file {
        Some(file) => {
            let mut response = Response::new(FileBody::new(file).boxed_unsync());
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            response
        }
        None => text(reply.status, JSON, commands::text(command.name(), reply.fields, None)),
    };
    for (name, value) in reply.headers {
        response.headers_mut().insert(name, value.parse().expect("numbers are fit for a header"));
    }
    because(response, reply.why)
}

/// A file piece by piece, as fast as it is taken. It is read beside the port's thread, for each piece anew, so that a reader who
/// stops holds nothing but the file.
struct FileBody {
    file: Option<std::fs::File>,
    left: u64,
    reading: Option<JoinHandle<std::io::Result<Piece>>>,
}

impl FileBody {
    fn new(file: std::fs::File) -> Self {
        let left = file.metadata().map_or(0, |metadata| metadata.len());
        Self { file: Some(file), left, reading: None }
    }
}

/// The file behind a piece of it, and the piece.
type Piece = (std::fs::File, Vec<u8>);

fn read_piece(mut file: std::fs::File, most: u64) -> std::io::Result<Piece> {
    use std::io::Read as _;
    let mut piece = vec![0; CHUNK_BYTES.min(most as usize)];
    file.read_exact(&mut piece)?;
    Ok((file, piece))
}

impl hyper::body::Body for FileBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        if let Some(file) = self.file.take() {
            let most = self.left;
            self.reading = Some(tokio::task::spawn_blocking(move || read_piece(file, most)));
        }
        let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
        let read = match std::task::ready!(Pin::new(reading).poll(context)) {
            Ok(read) => read,
            Err(error) => Err(std::io::Error::other(error)),
        };
        self.reading = None;
        Poll::Ready(Some(read.map(|(file, piece)| {
            self.left -= piece.len() as u64;
            self.file = Some(file);
            Frame::data(piece.into())
        })))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schemes(said: &str, options: &AuthOptions) -> Vec<String> {
        let ids = identities(said.as_bytes(), "10.0.0.1", &[], options);
        ids.iter().map(|id| format!("{}:{}", id.scheme(), id.id())).collect()
    }

    #[test]
    fn a_proxy_is_believed_if_it_is_trusted() {
        let peer: SocketAddr = "[::ffff:10.0.0.9]:4000".parse().unwrap();
        let mut headers = HeaderMap::new();
        assert_eq!(asked_from(&headers, peer, true), "10.0.0.9");
        headers.insert("x-forwarded-for", HeaderValue::from_static("192.0.2.1, 10.0.0.9"));
        assert_eq!(asked_from(&headers, peer, true), "192.0.2.1");
        assert_eq!(asked_from(&headers, peer, false), "10.0.0.9");
        headers.insert("x-forwarded-for", HeaderValue::from_static(" "));
        assert_eq!(asked_from(&headers, peer, true), "10.0.0.9");
    }

    #[test]
    fn an_identity_is_a_scheme_and_what_it_takes() {
        let options = AuthOptions {
            super_digest: Some("super:D/InIHSb7yEEbrWz8b9l71RjZJU=".to_owned()),
            ..AuthOptions::default()
        };
        assert_eq!(schemes("ip", &options), ["ip:10.0.0.1"]);
        let digest = "digest:super:D/InIHSb7yEEbrWz8b9l71RjZJU=";
        assert!(schemes("digest super:test", &options).contains(&digest.to_owned()));
        assert!(schemes("digest super:test", &options).iter().any(|id| id.starts_with("super:")));
        assert!(!schemes("digest super:wrong", &options).iter().any(|id| id.starts_with("super:")));
        for said in ["digest", "nothing a:b", "", "digest a:b c", "ensemble x"] {
            assert_eq!(schemes(said, &options), Vec::<String>::new(), "{said}");
        }
    }
}
