//! The certificates that this server runs with: read at the start, again when their files change, and watched as they grow old.
//!
//! Files are looked at, not listened to: what a secret of Kubernetes is mounted by is a link that is replaced, one directory up.
//! A look is a few calls a second. What cannot be used is told once, and the certificate from before stays.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use zabd_config::TlsSide;
use zabd_tls::{Certificate, Refreshed, Stored, Tls, TlsError};

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often ages are looked at.
const AGE_LOOK: Duration = Duration::from_hours(12);
/// A certificate that ends sooner is told of.
const SOON_S: i64 = 30 * 24 * 3600;

/// The sides that were opened, for whoever asks how old their certificates are.
static OPENED: Mutex<Vec<Weak<Tls>>> = Mutex::new(Vec::new());

/// How often files could not be used that were looked at: it grows for as long as they cannot.
static UNUSABLE: AtomicU64 = AtomicU64::new(0);

/// See [`UNUSABLE`]; nothing without TLS.
pub fn unusable_looks() -> Option<u64> {
    OPENED.lock().iter().any(|tls| tls.strong_count() > 0).then(|| UNUSABLE.load(Relaxed))
}

/// In how many seconds the first certificate ends that this server runs with; less than none if one has ended.
pub fn first_ends_in_s() -> Option<i64> {
    let opened: Vec<Arc<Tls>> = OPENED.lock().iter().filter_map(Weak::upgrade).collect();
    let ends = opened.iter().flat_map(|tls| tls.certificates());
    ends.map(|Stored { certificate, .. }| certificate.not_after_s - now_s()).min()
}

/// Reads the stores of a side, and watches them from then on.
pub fn open(side: &TlsSide) -> Result<Arc<Tls>, TlsError> {
    let tls = Tls::open(side, &mut |words| tracing::warn!("{words}"))?;
    for Stored { path, certificate, .. } in tls.certificates() {
        tracing::info!(
            "Certificate of {} from {}, until {}",
            certificate.subject,
            path.display(),
            date(certificate.not_after_s)
        );
    }
    OPENED.lock().push(Arc::downgrade(&tls));
    let (watched, side) = (tls.clone(), side.clone());
    let name = format!("CertWatch-{}", side.prefix.trim_end_matches('.'));
    // A server whose certificates nobody watches works all the same.
    if let Err(error) = std::thread::Builder::new().name(name).spawn(move || watch(&watched, &side)) {
        tracing::error!("Certificates are not watched: cannot start a thread: {error}");
    }
    Ok(tls)
}

fn watch(tls: &Tls, side: &TlsSide) {
    let TlsSide { prefix, reloads, checks_revocation, .. } = *side;
    let mut aged: Option<Instant> = None;
    loop {
        if reloads {
            match tls.refresh() {
                Refreshed::Unchanged => (),
                Refreshed::Read => {
                    tracing::info!(
                        "The stores of {prefix}* have changed and are read again; connections stay as they are"
                    );
                    aged = None;
                }
                Refreshed::Failed(problem) => {
                    UNUSABLE.fetch_add(1, Relaxed);
                    let lists =
                        if checks_revocation { ", and who was revoked since is still let in" } else { "" };
                    tracing::error!(
                        "The stores of {prefix}* have changed and cannot be used, so those from before stay{lists}: {problem}"
                    );
                }
                Refreshed::StillFailed => {
                    UNUSABLE.fetch_add(1, Relaxed);
                }
            }
        }
        if aged.is_none_or(|aged| aged.elapsed() >= AGE_LOOK) {
            aged = Some(Instant::now());
            tell_ages(&tls.certificates());
        }
        std::thread::sleep(LOOK);
    }
}

/// Those that do not hold, or soon will not.
fn tell_ages(certificates: &[Stored]) {
    for Doubt { words, holds } in doubts(certificates, now_s()) {
        if holds { tracing::warn!("{words}") } else { tracing::error!("{words}") }
    }
}

/// What is to be said of the time of a certificate.
#[derive(Debug, PartialEq, Eq)]
pub struct Doubt {
    /// Whose, where, until or from when, and what to do.
    pub words: String,
    /// Whether it is good at the moment.
    pub holds: bool,
}

/// What is to be said of what this side has read, and whether it can show a certificate that holds, if it shows any.
pub fn doubts_of(tls: &Tls) -> (Vec<Doubt>, bool) {
    let (certificates, now_s) = (tls.certificates(), now_s());
    let mut own = certificates.iter().filter(|stored| stored.is_own).peekable();
    let is_shown = own.peek().is_none() || own.any(|Stored { certificate, .. }| holds(certificate, now_s));
    (doubts(&certificates, now_s), is_shown)
}

fn holds(certificate: &Certificate, now_s: i64) -> bool {
    (certificate.not_before_s..=certificate.not_after_s).contains(&now_s)
}

/// In the order of files and subjects, each once.
fn doubts(certificates: &[Stored], now_s: i64) -> Vec<Doubt> {
    let mut found = BTreeMap::new();
    for Stored { path, certificate, .. } in certificates {
        let (place, subject) = (path.display(), &certificate.subject);
        let (from, until) = (date(certificate.not_before_s), date(certificate.not_after_s));
        let left_s = certificate.not_after_s - now_s;
        let words = if now_s < certificate.not_before_s {
            format!(
                "The certificate of {subject} in {place} is not valid before {from}; hint: set this machine's clock right if it is \
                 behind, else replace the file, no restart is needed"
            )
        } else if left_s < 0 {
            format!(
                "The certificate of {subject} in {place} has expired on {until}; hint: replace the file, no restart is needed"
            )
        } else if left_s < SOON_S {
            let days = left_s / (24 * 3600);
            format!(
                "The certificate of {subject} in {place} expires in {days} days, on {until}; hint: replace the file"
            )
        } else {
            continue;
        };
        found.insert((path, subject), Doubt { words, holds: holds(certificate, now_s) });
    }
    found.into_values().collect()
}

fn now_s() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

/// The day, in UTC.
fn date(seconds: i64) -> String {
    // Days since 1 March of year 0, in eras of 400 years: after Hinnant's `civil_from_days`.
    let days = seconds.div_euclid(24 * 3600) + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day - day / 1460 + day / 36524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_dates() {
        for (seconds, expected) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (1_767_225_599, "2025-12-31"),
            (4_102_444_800, "2100-01-01"),
            (-1, "1969-12-31"),
        ] {
            assert_eq!(date(seconds), expected);
        }
    }
}
