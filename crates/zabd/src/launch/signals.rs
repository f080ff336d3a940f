//! Signals: SIGTERM and SIGINT end the server in an orderly way, and so does the end of its input, for one that must not
//! outlive whoever started it.

use tokio::signal::unix::{SignalKind, signal};

use crate::server::Server;

/// Ends the server when it is asked to.
pub fn stop_on_request(server: &Server) -> std::io::Result<()> {
    let server = server.clone();
    on_request(move || {
        tracing::info!("Asked to stop");
        server.stop();
    })
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

/// Waits for a signal on a thread of its own, and does this.
pub fn on_request(act: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut terminate, mut interrupt) = {
        let _inside = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    let wait = async move {
        tokio::select! {
            _ = terminate.recv() => (),
            _ = interrupt.recv() => (),
        }
        act();
    };
    std::thread::Builder::new().name("Signals".into()).spawn(move || runtime.block_on(wait)).map(drop)
}
