//! Fetches the documents that clients are known by. Only from the public internet, only by https, small and soon.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use bytes::BytesMut;
use futures_util::StreamExt as _;
use reqwest::{
    StatusCode,
    dns::{Addrs, Name, Resolve, Resolving},
    header,
};
use tokio::sync::Semaphore;
use url::Url;

use super::{
    address,
    documents::{self, Client},
};
use crate::error::{Error, Failure, FailureKind};

/// Largest document. Real ones have half a kilobyte.
const LARGEST: usize = 64 << 10;
/// Documents fetched at the same time.
const AT_ONCE: usize = 4;

/// Where documents may come from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    /// Whether from this machine too. Only in tests.
    pub(super) loopback: bool,
    /// The longest a document may take, from the name's look-up to the last byte.
    pub(super) wait: Duration,
}

impl Default for Reach {
    fn default() -> Self {
        Self { loopback: false, wait: Duration::from_secs(5) }
    }
}

/// See the module.
pub(super) struct Clients {
    http: reqwest::Client,
    reach: Reach,
    turns: Semaphore,
}

impl Clients {
    pub(super) fn new(reach: Reach) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .https_only(!reach.loopback)
            .dns_resolver(std::sync::Arc::new(Outside { loopback: reach.loopback }))
            // A document that is elsewhere is not the client's (draft §3).
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(reach.wait)
            .pool_max_idle_per_host(0)
            .user_agent(concat!("central-mcp/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("cannot make the client that fetches OAuth clients' documents")?;
        Ok(Self { http, reach, turns: Semaphore::new(AT_ONCE) })
    }

    /// The client that says it is `id`.
    pub(super) async fn client(&self, id: &str) -> Result<Client, Error> {
        let url = documents::client_id(id, self.reach.loopback)?;
        let fetched = tokio::time::timeout(self.reach.wait, self.fetch(&url)).await;
        let fetched = fetched.unwrap_or_else(|_| Err("it took too long".into()));
        read(&url, fetched)
    }

    /// The document's bytes, or in words why they cannot be had.
    async fn fetch(&self, url: &Url) -> Result<BytesMut, String> {
        let _turn = self.turns.acquire().await.map_err(|_| "the hub is ending".to_owned())?;
        let request = self.http.get(url.clone()).header(header::ACCEPT, "application/json");
        let response = request.send().await.map_err(|error| root(&error))?;
        if response.status() != StatusCode::OK {
            return Err(format!("its host answered with status {}", response.status().as_u16()));
        }
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if kind != "application/json" && !(kind.starts_with("application/") && kind.ends_with("+json")) {
            return Err("its host did not answer with JSON".into());
        }
        let (mut body, mut stream) = (BytesMut::new(), response.bytes_stream());
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|error| root(&error))?;
            if body.len() + piece.len() > LARGEST {
                return Err(format!("it is over {} KiB", LARGEST >> 10));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }
}

/// The client `id` from what was fetched: its document, or in words why that cannot be had.
fn read(id: &Url, fetched: Result<BytesMut, String>) -> Result<Client, Error> {
    match (fetched, documents::known(id)) {
        (Ok(bytes), _) => Ok(documents::document(id, &bytes)?),
        (Err(why), Some(client)) => {
            tracing::info!(client.id = %id, why, "a client's document cannot be had; what is known of it is used");
            Ok(client)
        }
        (Err(why), None) => {
            let message = format!("the client's document {id} cannot be had: {why}. Try again, or tell its makers");
            Err(Failure::new(FailureKind::Outside, message).into())
        }
    }
}

/// The innermost cause, which names the fault without the URL.
fn root(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it took too long".into();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// Looks names up, and keeps back every address that is not of the public internet. The connection goes to what is given
/// here, so that a name cannot be one address when it is checked and another when it is used.
struct Outside {
    loopback: bool,
}

impl Resolve for Outside {
    fn resolve(&self, name: Name) -> Resolving {
        let loopback = self.loopback;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let ours = |at: &SocketAddr| address::public(at.ip()) || (loopback && at.ip().is_loopback());
            let open: Vec<SocketAddr> = found.into_iter().filter(ours).collect();
            if open.is_empty() {
                return Err("its host has no address on the public internet".into());
            }
            Ok(Box::new(open.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_by_heart_helps_only_while_the_document_cannot_be_had() {
        let claude = Url::parse("https://claude.ai/oauth/mcp-oauth-client-metadata").expect("a URL");
        let other = Url::parse("https://claude.ai/oauth/other").expect("a URL");
        let wall = || Err("its host answered with status 403".to_owned());
        let client = read(&claude, wall()).expect("known by heart");
        assert!(client.name == "Claude" && client.redirect("https://claude.ai/api/mcp/auth_callback").is_ok());
        assert!(read(&other, wall()).is_err_and(|error| error.to_string().contains("status 403")));
        // What it says itself goes before.
        let own = format!(r#"{{"client_id":"{claude}","redirect_uris":["https://claude.com/new"]}}"#);
        let client = read(&claude, Ok(own.as_bytes().into())).expect("its own document");
        assert!(client.redirect("https://claude.ai/api/mcp/auth_callback").is_err());
        assert!(read(&claude, Ok("{}".as_bytes().into())).is_err());
    }
}
