//! The hub's own socket on this machine, `DATA/hub.sock`: for the command line beside a running hub.
//!
//! Who can open it can read the database anyway (mode 0600 in a folder of 0700), so it asks for nothing and may do
//! everything. It answers only what needs the running hub: who watches and who types is nowhere else.

use std::path::Path;

use axum::{
    Json, Router,
    extract::{Path as Segment, State},
    routing::{get, post},
};
use tokio::net::UnixListener;

use crate::{
    Hub,
    caller::Caller,
    error::Error,
    terminals::{TerminalDraft, TerminalState, TerminalView},
};

/// The socket's file name in the data folder.
pub const LOCAL_SOCKET: &str = "hub.sock";

/// Listens until the hub stops.
pub fn local_socket(hub: &Hub, data: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let path = data.join(LOCAL_SOCKET);
    // The hub holds its folder's lock, so what lies there is of an earlier life.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let router = Router::new()
        .route("/terminals", get(list))
        .route("/terminals/{name}/start", post(start))
        .route("/terminals/{name}/stop", post(stop))
        .with_state(hub.clone());
    let stop = hub.stop.clone();
    hub.tasks.spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::warn!(%error, "the local socket broke; `central-mcp terminal` cannot reach this hub");
        }
        let _ = std::fs::remove_file(&path);
    });
    Ok(())
}

async fn list(State(hub): State<Hub>) -> Result<Json<Vec<TerminalView>>, Error> {
    Ok(Json(hub.terminals.list(&Caller::cli()).await?))
}

/// With a body a terminal is started with what it says, without one again as it was.
async fn start(
    State(hub): State<Hub>,
    Segment(name): Segment<String>,
    draft: Option<Json<TerminalDraft>>,
) -> Result<Json<TerminalView>, Error> {
    let who = Caller::cli();
    match draft {
        Some(Json(draft)) => hub.terminals.start(&who, TerminalDraft { name: name.clone(), ..draft }).await?,
        None => hub.terminals.start_again(&who, &name).await?,
    }
    Ok(Json(hub.terminals.get(&who, &name).await?))
}

async fn stop(State(hub): State<Hub>, Segment(name): Segment<String>) -> Result<Json<TerminalView>, Error> {
    let who = Caller::cli();
    let before = hub.terminals.get(&who, &name).await;
    hub.terminals.stop(&who, &name).await?;
    match (hub.terminals.get(&who, &name).await, before) {
        // One that somebody started by hand is known only while it runs.
        (Err(Error::Refused(_)), Ok(before)) => Ok(Json(ended(before))),
        (after, _) => Ok(Json(after?)),
    }
}

/// As it is shown after its end.
fn ended(before: TerminalView) -> TerminalView {
    TerminalView {
        state: TerminalState::Ended,
        pid: None,
        keyboard: None,
        recording: None,
        active_at: None,
        started_at: None,
        needs: None,
        ..before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[tokio::test]
    async fn a_session_started_by_hand_is_shown_as_ended_once_it_was_stopped() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let data = tempfile::tempdir_in("/tmp").expect("a folder");
        let hub = Hub::open(data.path(), None, Clock::default()).await.expect("the hub opens");
        hub.terminals.ready().await.expect("tmux");
        let socket = data.path().join("terminals/tmux.sock");
        let tmux = |words: &[&str]| {
            std::process::Command::new("tmux").arg("-S").arg(&socket).args(words).output().expect("tmux runs")
        };
        tmux(&["new-session", "-d", "-s", "hand", "cat"]);
        let stopped = stop(State(hub.clone()), Segment("hand".to_owned())).await.expect("stops");
        assert_eq!((stopped.name.as_str(), stopped.state, stopped.pid), ("hand", TerminalState::Ended, None));
        assert!(stop(State(hub.clone()), Segment("hand".to_owned())).await.is_err(), "there is none any more");
        hub.stop.cancel();
        tmux(&["kill-server"]);
    }
}
