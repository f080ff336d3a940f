//! Why a handshake gets no further, in words for an operator.

use std::io;
use std::time::Duration;

use rustls::Error as RustlsError;

use crate::{Certificate, in_words, take_refused};

/// See the module's description.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The other side has ended it.
    #[error("it was closed before the handshake was done")]
    Gone,
    /// The connection has broken.
    #[error("it is broken: {0}")]
    Broken(#[from] io::Error),
    /// The other side is silent.
    #[error("the handshake was not done after {}s", .0.as_secs())]
    Slow(Duration),
    /// Too many others want to show who they are.
    #[error("{0}")]
    Crowded(String),
    /// It speaks something else.
    #[error("what came is not TLS: {0}")]
    NotTls(String),
    /// The sides do not agree.
    #[error("the handshake failed: {0}")]
    Failed(String),
    /// The other side is not believed.
    #[error("the certificate of {subject} was refused: {why}")]
    Certificate {
        /// Whose.
        subject: String,
        /// The reason.
        why: String,
    },
    /// The other side is somebody, but not whom it should be.
    #[error("the certificate of {subject} is for {hosts}, which is not where it {comes}")]
    Elsewhere {
        /// Whose.
        subject: String,
        /// The hosts it is for.
        hosts: String,
        /// `comes from` or `was looked for`.
        comes: &'static str,
    },
}

impl Refused {
    /// Of somebody who is not where the certificate says.
    pub fn elsewhere(certificate: Certificate, comes: &'static str) -> Self {
        Refused::Elsewhere { hosts: certificate.hosts(), subject: certificate.subject, comes }
    }
}

/// What rustls has against the other side; to be asked on the thread that has just heard it.
pub fn refused(error: &RustlsError) -> Refused {
    let why = in_words(error);
    match take_refused() {
        Some(subject) => Refused::Certificate { subject, why },
        None if matches!(error, RustlsError::InvalidMessage(_)) => Refused::NotTls(why),
        None => Refused::Failed(why),
    }
}
