//! The duties of a container's first process.
//!
//! A process whose parent has ended becomes the child of process 1, and stays in the table of processes as a zombie when it
//! ends, until process 1 asks for it. In a container that is the server: `kubectl exec` and probes may leave such orphans,
//! and there is no shell or init around it. The other duty, to hear signals that nobody listens for, is `signals`' business.

use rustix::process::{WaitOptions, wait};
use tokio::signal::unix::{SignalKind, signal};

/// Asks for each orphan that ends, if this is process 1.
pub fn reap_orphans() -> std::io::Result<()> {
    if std::process::id() != 1 {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let mut ended = {
        let _inside = runtime.enter();
        signal(SignalKind::child())?
    };
    let reap = async move {
        loop {
            // One signal may stand for several; a server has no children of its own.
            while wait(WaitOptions::NOHANG).is_ok_and(|found| found.is_some()) {}
            ended.recv().await;
        }
    };
    std::thread::Builder::new().name("Reaper".into()).spawn(move || runtime.block_on(reap)).map(drop)
}
