//! What a runner asks of the hub over HTTP: a key for its one-time secret, and the socket.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::{Client, Response, StatusCode, header};
use serde::Deserialize;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        handshake::client::generate_key,
        protocol::{Role, WebSocketConfig},
    },
};

use super::{Address, words::FRAME};
use crate::error::Failure;

pub(super) type Socket = WebSocketStream<reqwest::Upgraded>;

/// The longest that the hub may take to answer a request.
const ANSWER: Duration = Duration::from_secs(20);

/// What the hub gives for a one-time secret.
#[derive(Deserialize)]
pub(super) struct Joined {
    pub(super) machine: String,
    pub(super) key: String,
}

/// A client that follows nowhere: a key is for one hub alone.
pub(super) fn client() -> anyhow::Result<Client> {
    Ok(Client::builder()
        .connect_timeout(Duration::from_secs(10))
        .redirect(reqwest::redirect::Policy::none())
        .tcp_nodelay(true)
        .user_agent(concat!("central-mcp/", env!("CARGO_PKG_VERSION")))
        .build()?)
}

/// Turns a one-time secret into a key.
pub(super) async fn join(client: &Client, hub: &Address, secret: &str) -> anyhow::Result<Joined> {
    let request = client.post(hub.at("/runner/join")).bearer_auth(secret).timeout(ANSWER);
    let response = request.send().await.with_context(|| format!("no hub answers at {hub}"))?;
    match response.status() {
        StatusCode::OK => response.json().await.with_context(|| format!("what answers at {hub} is no hub")),
        _ => Err(refusal(hub, response).await),
    }
}

/// Opens the socket. A refusal that trying again does not mend is a [`Failure`].
pub(super) async fn dial(client: &Client, hub: &Address, key: &str) -> anyhow::Result<Socket> {
    let request = client
        .get(hub.at("/runner"))
        .bearer_auth(key)
        .version(reqwest::Version::HTTP_11)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, generate_key());
    let answer = tokio::time::timeout(ANSWER, request.send()).await;
    let response = answer.context("the hub does not answer")?.with_context(|| format!("no hub answers at {hub}"))?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(refusal(hub, response).await);
    }
    let upgraded = response.upgrade().await.context("the hub broke off the connection")?;
    let config = WebSocketConfig::default().max_message_size(Some(FRAME)).max_frame_size(Some(FRAME));
    Ok(WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await)
}

/// What the hub's answer means. Only the hub's own words about the key are final; anything else may be a proxy's bad hour.
async fn refusal(hub: &Address, response: Response) -> anyhow::Error {
    let status = response.status();
    let words = tokio::time::timeout(ANSWER, response.json::<Failure>()).await;
    match words {
        Ok(Ok(failure)) if status == StatusCode::UNAUTHORIZED => failure.into(),
        Ok(Ok(failure)) => anyhow::anyhow!("the hub at {hub} refuses: {failure}"),
        _ if status == StatusCode::NOT_FOUND => anyhow::anyhow!("what answers at {hub} takes no runners"),
        _ => anyhow::anyhow!("{hub} answered with status {status}"),
    }
}
