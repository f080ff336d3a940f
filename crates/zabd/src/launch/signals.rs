//! Signals: SIGTERM, SIGINT and SIGHUP end the server in an orderly way, and so does the end of its input, for one that must
//! not outlive whoever started it. SIGQUIT, at which a Java machine prints its threads and goes on, ends nothing either; nor do
//! SIGUSR1 and SIGUSR2, at which other programs open their logs anew, and which kill a Java machine.

use std::sync::{Arc, OnceLock};

use tokio::signal::unix::{SignalKind, signal};

use crate::server::Server;

/// Whom requests reach: until there is a server, they end the process. A start promises nothing to anybody, and the first process
/// of a container would otherwise not even hear them.
#[derive(Clone, Default)]
pub struct Requests {
    server: Arc<OnceLock<Server>>,
}

impl Requests {
    /// Listens from now on.
    pub fn listen() -> std::io::Result<Self> {
        let requests = Self::default();
        let (stopping, asked) = (requests.server.clone(), requests.server.clone());
        let stop = move || {
            tracing::info!("Asked to stop");
            match stopping.get() {
                Some(server) => server.stop(),
                None => std::process::exit(zabd_config::ExitCode::ExecutionFinished as i32),
            }
        };
        let tell = move || {
            let state = asked.get().map_or_else(|| "starting".to_owned(), Server::state);
            tracing::info!("Asked how it is: {state}");
        };
        on_request(stop, tell)?;
        Ok(requests)
    }

    /// There is a server now.
    pub fn reach(&self, server: &Server) {
        assert!(self.server.set(server.clone()).is_ok(), "a process is one server");
    }
}

/// Ends the server when nothing more can come on its standard input: whoever held the other end is gone, however it ended.
pub fn stop_with_input(server: &Server) -> std::io::Result<()> {
    let server = server.clone();
    let wait = move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        tracing::info!("Whoever started this server is gone");
        server.stop();
    };
    std::thread::Builder::new().name("Input".into()).spawn(wait).map(drop)
}

/// Waits for a signal on a thread of its own: once for one that asks for the end, and for each that asks how things are.
pub fn on_request(
    end: impl FnOnce() + Send + 'static,
    mut tell: impl FnMut() + Send + 'static,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut terminate, mut interrupt, mut quit, mut hangup, mut first, mut second) = {
        let _inside = runtime.enter();
        let hangup = if is_hangup_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
        let [first, second] = [SignalKind::user_defined1(), SignalKind::user_defined2()].map(signal);
        let [terminate, interrupt, quit] =
            [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::quit()].map(signal);
        (terminate?, interrupt?, quit?, hangup, first?, second?)
    };
    let wait = async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                Some(()) = async { hangup.as_mut()?.recv().await } => break,
                _ = quit.recv() => tell(),
                _ = first.recv() => tell_of_nothing("SIGUSR1"),
                _ = second.recv() => tell_of_nothing("SIGUSR2"),
            }
        }
        end();
    };
    std::thread::Builder::new().name("Signals".into()).spawn(move || runtime.block_on(wait)).map(drop)
}

fn tell_of_nothing(signal: &str) {
    tracing::warn!("{signal} asks this server for nothing: it goes on");
}

/// Whoever starts a server under `nohup` wants it to outlive the terminal; a Java machine leaves it so, too.
fn is_hangup_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status))
}

/// `SigIgn` is the mask of the ignored signals in hexadecimal; the lowest bit is signal 1.
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_hangup_is_found_in_the_mask() {
        for (mask, is_ignored) in
            [("0000000000000001", true), ("0000000000001007", true), ("0000000000001006", false)]
        {
            assert_eq!(
                ignores_hangup(&format!("SigBlk:\t0000000000000001\nSigIgn:\t{mask}\n")),
                is_ignored,
                "{mask}"
            );
        }
        assert!(!ignores_hangup(""));
    }
}
