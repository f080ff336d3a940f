//! Who a client is: auth packets, answered at once. They overtake what is in the pipeline, as in Java.

use std::sync::atomic::Ordering::Relaxed;

use zabd_jute::client::{AuthPacket, RequestHeader, SaslRequest};
use zabd_jute::{ErrorCode, Record};
use zabd_replica::auth::{AuthRefused, authenticate};
use zabd_replica::watches::Identities;

use super::Connection;
use super::telling::Ending;
use crate::net::java_address::{self, shown};

/// Nobody is so many people; each identity is compared with each entry of an access list.
const IDENTITIES_MAX: usize = 1000;
/// What their names may add up to, in bytes.
const IDENTITY_BYTES_MAX: usize = 256 << 10;

impl Connection {
    /// Authentication is answered at once and overtakes what is in the pipeline, as in Java.
    pub(super) fn on_auth(&mut self, header: RequestHeader, body: &[u8]) {
        let Ok(packet) = AuthPacket::decode(&mut self.reader(body)) else {
            self.close_malformed("an auth packet is malformed");
            return;
        };
        let ensemble_name = (packet.scheme.as_deref() == Some("ensemble"))
            .then(|| packet.auth.is_some_and(|name| !name.is_empty()));
        let address = java_address::host(self.client.address);
        match authenticate(&packet, &self.identities, &address, &self.service.options.auth) {
            Ok(identities) if is_too_much(&identities) => {
                let scheme = packet.scheme.as_deref().unwrap_or_default().escape_debug();
                tracing::warn!("Authentication failed for scheme: {scheme}: too many identities");
                self.refuse(header, ErrorCode::AuthFailed);
            }
            Ok(identities) => {
                if let Some(is_given) = ensemble_name {
                    self.count_ensemble_name(is_given);
                }
                tracing::info!(
                    "Session {}: auth success for scheme {} and address {}",
                    self.session,
                    packet.scheme.as_deref().unwrap_or_default().escape_debug(),
                    shown(self.client.address)
                );
                self.identities = identities;
                let mut watches = self.service.driver.watches();
                watches.authenticate(self.client.id, self.identities.clone());
                drop(watches);
                self.answer_at_once(header.xid, 0, |_| ());
            }
            Err(AuthRefused::WrongEnsemble) => {
                self.service.counters.ensemble_names.unknown.fetch_add(1, Relaxed);
                self.close(Ending::Unauthenticated);
            }
            Err(refused) => {
                let scheme = packet.scheme.as_deref().unwrap_or("null").escape_debug();
                if refused == AuthRefused::UnknownScheme {
                    tracing::warn!("No authentication provider for scheme: {scheme}");
                } else {
                    tracing::warn!("Authentication failed for scheme: {scheme}: {refused}");
                }
                self.refuse(header, ErrorCode::AuthFailed);
            }
        }
    }

    /// A name that was believed was compared, or there was nothing to compare.
    fn count_ensemble_name(&self, is_given: bool) {
        let configured = self.service.options.auth.ensemble_names.as_ref();
        let is_compared = is_given && configured.is_some_and(|names| !names.is_empty());
        let judged = &self.service.counters.ensemble_names;
        if is_compared { &judged.known } else { &judged.skipped }.fetch_add(1, Relaxed);
    }

    /// Without a SASL configuration the answer is a null token and the connection goes on.
    pub(super) fn on_sasl(&mut self, header: RequestHeader, body: &[u8]) {
        if !SaslRequest::decode(&mut self.reader(body)).is_ok_and(|packet| packet.token.is_some()) {
            self.close_malformed("a SASL packet is malformed");
            return;
        }
        self.answer_at_once(header.xid, 0, |w| w.buffer(None));
    }
}

/// Whether somebody claims to be more people than anybody is, or has a longer name than anybody.
fn is_too_much(identities: &Identities) -> bool {
    let length = |id: &zabd_jute::Id<'_>| id.id.as_deref().map_or(0, str::len);
    identities.len() > IDENTITIES_MAX || identities.iter().map(length).sum::<usize>() > IDENTITY_BYTES_MAX
}
