//! Who a client is: auth and SASL packets, answered at once. They overtake what is in the pipeline, as in Java.

use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use zabd_jute::client::{AuthPacket, RequestHeader, SaslRequest};
use zabd_jute::{ErrorCode, Id, Record};
use zabd_replica::Room;
use zabd_replica::auth::{AuthRefused, authenticate, with_added};
use zabd_replica::watches::Identities;
use zabd_sasl::SaslError;

use super::telling::Ending;
use super::{Connection, Phase};
use crate::cut::Cut;
use crate::net::java_address::{self, shown};
use crate::sasl::{Answer, ClientSasl, Progress};

/// Nobody is so many people; each identity is compared with each entry of an access list.
const IDENTITIES_MAX: usize = 1000;
/// What their names may add up to, in bytes.
const IDENTITY_BYTES_MAX: usize = 256 << 10;
/// The same where memory is scarce: those of thousands of clients fit into what is left.
const SCARCE_IDENTITY_BYTES_MAX: usize = 1 << 10;

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
                let scheme = Cut(packet.scheme.as_deref().unwrap_or_default());
                self.tell_refused(&format!(
                    "Authentication failed for scheme: {scheme}: too many identities"
                ));
                self.refuse(header, ErrorCode::AuthFailed);
            }
            Ok(identities) if self.has_no_room_for(&identities) => {
                let address = self.client.address;
                tracing::warn!("No further identity for {address}: memory is short, and it has long ones");
                self.answer_at_once(header, ErrorCode::QuotaExceeded.code(), |_| ());
            }
            Ok(identities) => {
                if let Some(is_given) = ensemble_name {
                    self.count_ensemble_name(is_given);
                }
                tracing::info!(
                    "Session {}: auth success for scheme {} and address {}",
                    self.session,
                    Cut(packet.scheme.as_deref().unwrap_or_default()),
                    shown(self.client.address)
                );
                self.become_known_as(identities);
                self.answer_at_once(header, 0, |_| ());
            }
            Err(refused @ AuthRefused::WrongEnsemble) => {
                self.tell_refused(&refused.to_string());
                self.service.counters.ensemble_names.unknown.fetch_add(1, Relaxed);
                self.close(Ending::Unauthenticated);
            }
            Err(refused) => {
                let scheme = Cut(packet.scheme.as_deref().unwrap_or("null"));
                self.tell_refused(&if refused == AuthRefused::UnknownScheme {
                    format!("No authentication provider for scheme: {scheme}")
                } else {
                    format!("Authentication failed for scheme: {scheme}: {refused}")
                });
                self.refuse(header, ErrorCode::AuthFailed);
            }
        }
    }

    /// Near the limit of memory nobody gets long names any more. Who comes back with one of the usual length is still let in.
    fn has_no_room_for(&self, identities: &Identities) -> bool {
        length_of(identities) > SCARCE_IDENTITY_BYTES_MAX && self.service.driver.room() == Room::NothingNew
    }

    /// A name that was believed was compared, or there was nothing to compare.
    fn count_ensemble_name(&self, is_given: bool) {
        let configured = self.service.options.auth.ensemble_names.as_ref();
        let is_compared = is_given && configured.is_some_and(|names| !names.is_empty());
        let judged = &self.service.counters.ensemble_names;
        if is_compared { &judged.known } else { &judged.skipped }.fetch_add(1, Relaxed);
    }

    fn become_known_as(&mut self, identities: Identities) {
        self.identities = identities;
        self.service.driver.watches().authenticate(self.client.id, self.identities.clone());
    }

    /// Without a SASL configuration the answer is a null token and the connection goes on.
    pub(super) fn on_sasl(&mut self, header: RequestHeader, body: &[u8]) {
        let packet = SaslRequest::decode(&mut self.reader(body)).ok();
        let Some(token) = packet.and_then(|packet| packet.token) else {
            self.close_malformed("a SASL packet is malformed");
            return;
        };
        let Some(sasl) = self.service.sasl.clone() else {
            self.answer_at_once(header, 0, |w| w.buffer(None));
            return;
        };
        let exchange = self.sasl.get_or_insert_with(|| Box::new(sasl.exchange()));
        match sasl.step(exchange, token) {
            Progress::Now(answer) => self.on_looked(header, &sasl, answer),
            Progress::Later(proving) => self.proving = Some(Box::new((header, proving))),
        }
    }

    /// Takes what another thread says about a token; true if it has said something.
    pub(super) fn poll_proving(&mut self, context: &mut Context<'_>) -> bool {
        let Some(proving) = &mut self.proving else { return false };
        let exchange = self.sasl.as_mut().expect("what is proved is an exchange");
        let Poll::Ready(answer) = exchange.poll(&mut proving.1, context) else { return false };
        let header = proving.0;
        self.proving = None;
        let sasl = self.service.sasl.clone();
        if let Some(sasl) = sasl.filter(|_| self.phase == Phase::Open) {
            self.on_looked(header, &sasl, answer);
        }
        true
    }

    fn on_looked(&mut self, header: RequestHeader, sasl: &ClientSasl, answer: Result<Answer, SaslError>) {
        match answer {
            Ok(Answer::Challenge(token)) => self.answer_at_once(header, 0, |w| w.buffer(Some(&token))),
            Ok(Answer::Proved { token, user }) => {
                self.service.counters.sasl_authenticated.fetch_add(1, Relaxed);
                self.on_proved(sasl, &user);
                self.answer_at_once(header, 0, |w| w.buffer(token.as_deref()));
            }
            Err(error) => self.on_unproved(header, sasl, &error),
        }
    }

    fn on_proved(&mut self, sasl: &ClientSasl, user: &str) {
        let (session, name) = (self.session, Cut(user));
        tracing::info!("Session {session}: adding SASL authorization for authorizationID: {name}");
        let mut added = vec![Id::new("sasl", user.to_owned())];
        if sasl.is_super_user(user) {
            tracing::info!("Session {session}: Authenticated Id '{name}' as super user");
            added.push(Id::new("super", ""));
        }
        self.become_known_as(with_added(&self.identities, added));
    }

    /// A client whose exchange fails hears no more than that, and goes, unless it may stay as nobody in particular.
    fn on_unproved(&mut self, header: RequestHeader, sasl: &ClientSasl, error: &SaslError) {
        let is_required = self.service.options.enforced_schemes.iter().any(|scheme| scheme == "sasl");
        // Java stumbles over it, and its client hears nothing.
        let is_silent = matches!(error, SaslError::NotANumber { .. });
        let stays = sasl.keeps_failed && !is_required && !is_silent;
        self.service.counters.sasl_refused.note(self.client.address.ip(), &error.to_string(), || {
            let address = shown(self.client.address);
            tracing::warn!("Client {address} failed to SASL authenticate: {error}");
            if stays {
                tracing::warn!("Maintaining the connection of {address} despite SASL authentication failure");
            } else {
                let demand = if is_required && sasl.keeps_failed {
                    format!(", as {} keeps nobody who has failed", self.service.options.enforced_by)
                } else {
                    String::new()
                };
                tracing::warn!(
                    "Closing the connection of {address} due to SASL authentication failure{demand}"
                );
            }
        });
        if is_silent {
            self.close(Ending::Unauthenticated);
            return;
        }
        if stays {
            self.answer_at_once(header, 0, |w| w.buffer(None));
            return;
        }
        let error = if is_required { ErrorCode::SessionClosedRequireAuth } else { ErrorCode::AuthFailed };
        self.answer_at_once(header, error.code(), |w| w.buffer(None));
        self.close(Ending::Unauthenticated);
    }
}

/// Why a client is turned away that has shown none of these schemes, and what helps.
pub(super) fn unauthenticated(schemes: &[String], key: &str) -> String {
    let remedies: Vec<_> = schemes
        .iter()
        .map(|scheme| match scheme.as_str() {
            "sasl" => "let it log in by SASL (the section `Client` of its JAAS file)".to_owned(),
            "x509" => "let it come to secureClientPort with a certificate".to_owned(),
            scheme => format!("let it begin with `addauth {scheme} ...`"),
        })
        .collect();
    let remedies = remedies.join(", or ");
    format!("it asks before it has authenticated, as {key} demands; hint: {remedies}, or remove the key")
}

/// Whether somebody claims to be more people than anybody is, or has a longer name than anybody.
fn is_too_much(identities: &Identities) -> bool {
    identities.len() > IDENTITIES_MAX || length_of(identities) > IDENTITY_BYTES_MAX
}

fn length_of(identities: &Identities) -> usize {
    identities.iter().map(|id| id.id.as_deref().map_or(0, str::len)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_turned_away_is_told_of_with_the_key_and_the_remedy() {
        let said = |schemes: &[&str], key| {
            unauthenticated(&schemes.iter().map(ToString::to_string).collect::<Vec<_>>(), key)
        };
        assert_eq!(
            said(&["sasl"], "sessionRequireClientSASLAuth"),
            "it asks before it has authenticated, as sessionRequireClientSASLAuth demands; hint: let it log in by SASL (the section \
             `Client` of its JAAS file), or remove the key"
        );
        assert_eq!(
            said(&["digest", "x509"], "enforce.auth.schemes"),
            "it asks before it has authenticated, as enforce.auth.schemes demands; hint: let it begin with `addauth digest ...`, or let \
             it come to secureClientPort with a certificate, or remove the key"
        );
    }
}
