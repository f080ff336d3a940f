//! Who the other side must be, beside being believed.
//!
//! It is asked in the midst of the handshake, where certificates are checked, so that whoever is refused hears it in TLS's own words:
//! an alert of `certificate_unknown`, as from Java. Behind the handshake there is none left to be sent.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use crate::Certificate;

/// Whether somebody who is believed is whom this side wants to talk to.
pub type IsWanted = Arc<dyn Fn(&Certificate) -> bool + Send + Sync>;

thread_local! {
    static WANTED: RefCell<Option<IsWanted>> = const { RefCell::new(None) };
    static SOMEBODY_ELSE: Cell<Option<Certificate>> = const { Cell::new(None) };
}

/// Takes a step of a handshake; gives what came of it, and the certificate of whoever is believed and not wanted.
pub fn wanting<T>(is_wanted: &IsWanted, step: impl FnOnce() -> T) -> (T, Option<Certificate>) {
    WANTED.set(Some(is_wanted.clone()));
    let done = step();
    WANTED.set(None);
    (done, SOMEBODY_ELSE.take())
}

pub(crate) fn is_wanted(certificate: &Certificate) -> bool {
    let is_wanted = WANTED.with_borrow(Option::clone).is_none_or(|is_wanted| is_wanted(certificate));
    if !is_wanted {
        SOMEBODY_ELSE.set(Some(certificate.clone()));
    }
    is_wanted
}
