//! Dialling: names are resolved, then whatever they resolve to is tried, one behind the other.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use zabd_jute::quorum::Address;

/// A connection to the first of these that answers in time. A name that does not resolve is a peer that is not there
/// (yet); that is no error.
pub(super) async fn first_that_answers(addresses: &[Address], patience: Duration) -> Option<TcpStream> {
    for address in addresses {
        let resolved = match tokio::net::lookup_host((address.host.as_str(), address.port)).await {
            Ok(resolved) => resolved,
            Err(error) => {
                tracing::debug!("{address} does not resolve: {error}");
                continue;
            }
        };
        for target in resolved {
            match timeout(patience, TcpStream::connect(target)).await {
                Ok(Ok(socket)) => return Some(socket),
                Ok(Err(error)) => tracing::debug!("Cannot connect to {target}: {error}"),
                Err(_) => tracing::debug!("{target} does not answer within {patience:?}"),
            }
        }
    }
    None
}
