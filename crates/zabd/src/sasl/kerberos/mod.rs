//! Kerberos, as far as this build has it: a library that reads keys and keeps what must not be replayed, behind a trait, and a
//! thread that asks it.
//!
//! The library is MIT's and of C ([`mit`], with the feature `kerberos`). It reads files at every exchange, so that a key that is
//! replaced counts at once, and it waits for them; no thread that carries connections may. One thread asks it for all clients: a
//! crowd of them waits for each other, and costs everybody else no more than one processor.

#[cfg(feature = "kerberos")]
mod mit;

use std::fmt::Debug;
use std::sync::{Arc, mpsc};

use tokio::sync::oneshot;
use zabd_sasl::gssapi::SecurityContext;
use zabd_sasl::kerberos::Login;

/// One end of an exchange.
pub(super) type Context = Box<dyn SecurityContext + Send>;

/// What is asked of a library of Kerberos. Errors are its own words.
pub(super) trait Library: Debug + Send + Sync {
    /// Whether there is a key for this login.
    fn check(&self, login: &Login) -> Result<(), String>;
    /// The end of a server of this name.
    fn listener(&self, login: &Login) -> Result<Context, String>;
    /// The end of whoever logs in so and dials a service; and as whom it is known. Waits for a KDC.
    fn dialler(&self, login: &Login, service: &str) -> Result<(Context, String), String>;
    /// The realm of principals that name none.
    fn default_realm(&self) -> Result<String, String>;
}

/// The library of this build, if there is one.
#[allow(clippy::unnecessary_wraps)]
pub(super) fn library() -> Option<Arc<dyn Library>> {
    #[cfg(feature = "kerberos")]
    return Some(Arc::new(mit::Mit));
    #[cfg(not(feature = "kerberos"))]
    return None;
}

/// Has the library look for its configuration where Java's is told to. Before any thread is started: it reads the process's
/// environment.
#[cfg(feature = "kerberos")]
pub fn adopt_configuration(config: &zabd_config::Config) {
    if let Some(path) = &config.auth.kerberos.krb5_conf {
        mit::name_configuration(path);
    }
}

/// The thread. It ends with whoever asks it.
#[derive(Debug)]
pub(super) struct Thread(mpsc::Sender<Job>);

type Job = Box<dyn FnOnce() + Send>;

impl Thread {
    /// Starts it.
    pub fn start() -> std::io::Result<Self> {
        let (jobs, waiting) = mpsc::channel::<Job>();
        std::thread::Builder::new().name("Kerberos".into()).spawn(move || {
            for job in waiting {
                job();
            }
        })?;
        Ok(Self(jobs))
    }

    /// Has it do something, unless nobody waits for that any more.
    pub fn ask<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> oneshot::Receiver<T> {
        let (answer, receiver) = oneshot::channel();
        let job: Job = Box::new(move || {
            if !answer.is_closed() {
                // Whoever asked may be gone meanwhile.
                let _ = answer.send(job());
            }
        });
        self.0.send(job).expect("the thread lives as long as whoever asks it");
        receiver
    }
}

#[cfg(test)]
pub(super) mod tests {
    use zabd_sasl::gssapi::Stepped;

    use super::*;

    /// A library without secrets: `ticket:<principal>` establishes a context, and `w` before a message protects it.
    #[derive(Debug)]
    pub struct Toy;

    struct ToyContext;

    impl Library for Toy {
        fn check(&self, _: &Login) -> Result<(), String> {
            Ok(())
        }

        fn listener(&self, _: &Login) -> Result<Context, String> {
            Ok(Box::new(ToyContext))
        }

        fn dialler(&self, _: &Login, _: &str) -> Result<(Context, String), String> {
            Err("it dials nobody".to_owned())
        }

        fn default_realm(&self) -> Result<String, String> {
            Ok("R".to_owned())
        }
    }

    impl SecurityContext for ToyContext {
        fn step(&mut self, token: &[u8]) -> Result<Stepped, String> {
            let principal = token.strip_prefix(b"ticket:").ok_or("Defective token")?;
            Ok(Stepped { token: None, peer: Some(String::from_utf8_lossy(principal).into_owned()) })
        }

        fn wrap(&mut self, message: &[u8]) -> Result<Vec<u8>, String> {
            Ok([b"w", message].concat())
        }

        fn unwrap(&mut self, token: &[u8]) -> Result<Vec<u8>, String> {
            token.strip_prefix(b"w").map(<[u8]>::to_vec).ok_or_else(|| "Token is not whole".to_owned())
        }
    }

    #[test]
    fn what_nobody_waits_for_is_not_done() {
        let thread = Thread::start().unwrap();
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let first = thread.ask(move || may_go_on.recv().unwrap());
        drop(thread.ask(|| panic!("nobody waits for this")));
        let last = thread.ask(|| 3);
        go_on.send(()).unwrap();
        first.blocking_recv().unwrap();
        assert_eq!(last.blocking_recv(), Ok(3));
    }
}
