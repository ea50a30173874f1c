//! What the two programs that run for long, hub and runner, ask of the system.

use tokio::signal::unix::SignalKind;

/// Every viewer of a terminal is an open file. The usual soft limit of 1024 is for programs that use `select`; the hard one is ours to
/// take.
pub(super) fn many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        eprintln!("central-mcp: the limit of open files stays as it is ({error})");
    }
}

/// The next SIGTERM or SIGINT.
pub(super) async fn signal() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (tokio::signal::unix::signal(SignalKind::terminate()), tokio::signal::unix::signal(SignalKind::interrupt()))
    else {
        tracing::warn!("signals cannot be watched; end this program with kill -9");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
