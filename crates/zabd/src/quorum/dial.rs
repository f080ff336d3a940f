//! Dialling: names are resolved, then whatever they resolve to is tried until one answers.
//!
//! An address that swallows everything, as one behind a firewall does, must not keep a server from its peer for as
//! long as a connection may take: the next address has its turn a moment later, and the first that answers wins.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use zabd_jute::quorum::Address;

/// How long an address that does not answer keeps the next one from being tried; RFC 8305's delay.
const HEAD_START: Duration = Duration::from_millis(250);

/// A connection to the first of these that answers in time. A name that does not resolve is a peer that is not there
/// (yet). If none does: what is wrong with each.
pub(super) async fn first_that_answers(
    addresses: Vec<Address>,
    patience: Duration,
) -> Result<TcpStream, String> {
    if addresses.is_empty() {
        return Err(
            "no address: no server.N line here has its number, as one of the other members has".to_owned()
        );
    }
    let problems = Arc::<Mutex<Vec<String>>>::default();
    let first = first_of(addresses.into_iter().map(|address| {
        let problems = problems.clone();
        async move {
            let targets = noted(resolve(&address, patience).await, &problems)?;
            let attempts = targets.into_iter().map(|target| {
                let (problems, host) = (problems.clone(), address.host.clone());
                async move { noted(connect(&host, target, patience).await, &problems) }
            });
            first_of(attempts).await
        }
    }));
    first.await.ok_or_else(|| std::mem::take(&mut *problems.lock()).join("; "))
}

/// Where else a server can be dialled of which only names are known: where it is seen at the moment, at the port of the first.
///
/// In Kubernetes a pod's name resolves when the pod is ready, or to its last address for as long as somebody's cache
/// holds that. A server that had to be found by name alone would not be a member before, and as the pod may be told to be ready
/// without that, the next member is taken away just then. The names come first all the same.
pub(super) fn unnamed(addresses: &[Address], seen: IpAddr) -> Option<Address> {
    let has_number = addresses.iter().any(|address| address.host.parse::<IpAddr>().is_ok());
    let port = addresses.first().filter(|_| !has_number)?.port;
    Some(Address::new(seen.to_canonical().to_string(), port))
}

fn noted<T>(attempt: Result<T, String>, problems: &Mutex<Vec<String>>) -> Option<T> {
    attempt.map_err(|problem| problems.lock().push(problem)).ok()
}

/// What comes of the first attempt that succeeds; each begins when all before it have failed, or have had their time.
async fn first_of<T, F>(attempts: impl IntoIterator<Item = F>) -> Option<T>
where
    T: Send + 'static,
    F: Future<Output = Option<T>> + Send + 'static,
{
    let mut running = JoinSet::new();
    for attempt in attempts {
        running.spawn(attempt);
        let head_start = timeout(HEAD_START, succeeded(&mut running));
        if let Ok(Some(success)) = head_start.await {
            return Some(success);
        }
    }
    succeeded(&mut running).await
}

/// The next success of those that are running; none when all have failed.
async fn succeeded<T: Send + 'static>(running: &mut JoinSet<Option<T>>) -> Option<T> {
    while let Some(ended) = running.join_next().await {
        if let Ok(Some(success)) = ended {
            return Some(success);
        }
    }
    None
}

async fn resolve(address: &Address, patience: Duration) -> Result<Vec<SocketAddr>, String> {
    match timeout(patience, tokio::net::lookup_host((address.host.as_str(), address.port))).await {
        Ok(Ok(resolved)) => Ok(resolved.collect()),
        Ok(Err(error)) => Err(format!("{address}: the name does not resolve: {error}")),
        Err(_) => Err(format!("{address}: the name does not resolve within {patience:?}")),
    }
}

/// `host` is what was resolved to `target`; an operator knows it by that name.
async fn connect(host: &str, target: SocketAddr, patience: Duration) -> Result<TcpStream, String> {
    let problem = match timeout(patience, TcpStream::connect(target)).await {
        Ok(Ok(socket)) => return Ok(socket),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {patience:?}"),
    };
    let is_literal = host.parse() == Ok(target.ip());
    Err(if is_literal { format!("{target}: {problem}") } else { format!("{host}/{target}: {problem}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(work)
    }

    async fn after_ms(ms: u64, result: Option<u32>) -> Option<u32> {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        result
    }

    #[test]
    fn who_says_only_names_can_be_dialled_where_it_is_seen() {
        let seen = "::ffff:10.0.0.7".parse().unwrap();
        let said = |hosts: &[&str]| -> Vec<_> {
            hosts.iter().zip(3888..).map(|(host, port)| Address::new(*host, port)).collect()
        };
        assert_eq!(
            unnamed(&said(&["zk-0.zk-hs", "zk-0.elsewhere"]), seen),
            Some(Address::new("10.0.0.7", 3888))
        );
        for hosts in [&["zk-0.zk-hs", "10.0.0.8"][..], &["::1"], &[]] {
            assert_eq!(unnamed(&said(hosts), seen), None, "{hosts:?}");
        }
    }

    /// What wins, and after how many milliseconds.
    fn race(attempts: &[(u64, Option<u32>)]) -> (Option<u32>, u128) {
        let attempts: Vec<_> = attempts.iter().map(|(ms, result)| after_ms(*ms, *result)).collect();
        block_on(async {
            let begin = tokio::time::Instant::now();
            (first_of(attempts).await, begin.elapsed().as_millis())
        })
    }

    #[test]
    fn the_next_address_is_tried_when_one_has_failed_or_has_had_its_time() {
        assert_eq!(race(&[(10, Some(1)), (0, Some(2))]), (Some(1), 10));
        assert_eq!(race(&[(10, None), (20, Some(2))]), (Some(2), 30));
        assert_eq!(race(&[(5000, Some(1)), (20, Some(2))]), (Some(2), 270));
        assert_eq!(race(&[(260, Some(1)), (5000, Some(2))]), (Some(1), 260));
        assert_eq!(race(&[(5000, None), (5000, None)]), (None, 5250));
        assert_eq!(race(&[]), (None, 0));
    }
}
