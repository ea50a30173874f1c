//! What all requests share, and the routes.

use std::sync::Arc;

use anyhow::ensure;
use axum::{
    Router,
    routing::{get, post},
};
use url::{Host, Url};

use super::{
    authorize::{self, Ticket},
    clients::{Clients, Reach},
    codes::{self, Code},
    metadata,
    pages::Render,
    rules,
    shelf::Shelf,
    token,
};
use crate::{Hub, clock::MINUTE, pace::Pace};

/// How long a person may think about the question.
const TICKET_LIFE: i64 = 30 * MINUTE;

/// Requests for tokens that a network may send in a minute; all of them at once, if need be.
const REQUESTS: u32 = 60;
/// Networks told apart at the same time.
const NETWORKS: usize = 1_000;

/// How OAuth is set up.
#[derive(Clone, Debug)]
pub struct OauthOptions {
    public_url: Url,
    render: Render,
    reach: Reach,
}

impl OauthOptions {
    /// At the address that people type. It must be https, or on this machine: secrets go over it.
    pub fn new(public_url: &Url, render: Render) -> anyhow::Result<Self> {
        let loopback = match public_url.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        ensure!(
            public_url.scheme() == "https" || loopback,
            "oauth = true needs a public_url with https, and \"{public_url}\" has none; \
             give the address that people type, such as https://hub.example.org, or leave oauth off"
        );
        Ok(Self { public_url: public_url.clone(), render, reach: Reach::default() })
    }

    /// Fetches documents from this machine too, by http and from any port, and gives up after `wait`. For tests.
    #[cfg(test)]
    pub(super) fn fetching_from_loopback(mut self, wait: std::time::Duration) -> Self {
        self.reach = Reach { loopback: true, wait };
        self
    }
}

/// The handle. Cheap to clone.
#[derive(Clone)]
pub struct Oauth(pub(super) Arc<Shared>);

/// What the requests share.
pub(super) struct Shared {
    pub(super) hub: Hub,
    /// The public address without a slash at the end.
    pub(super) issuer: String,
    /// What tokens are for: `ISSUER/mcp`.
    pub(super) resource: String,
    pub(super) render: Render,
    pub(super) clients: Clients,
    /// Questions on consent pages.
    pub(super) tickets: Shelf<Ticket>,
    /// Answers that clients have not come for yet.
    pub(super) codes: Shelf<Code>,
    pub(super) pace: Pace<String>,
}

impl Oauth {
    /// Opens the way in to `hub`.
    pub fn open(hub: &Hub, options: OauthOptions) -> anyhow::Result<Self> {
        let issuer = options.public_url.origin().ascii_serialization();
        Ok(Self(Arc::new(Shared {
            hub: hub.clone(),
            resource: format!("{issuer}/mcp"),
            issuer,
            render: options.render,
            clients: Clients::new(options.reach)?,
            tickets: Shelf::new(TICKET_LIFE),
            codes: Shelf::new(codes::REMEMBERED),
            pace: Pace::new(REQUESTS, REQUESTS, NETWORKS),
        })))
    }

    /// What `/mcp` tells those it refuses (RFC 9728 §5.1): parameters of `WWW-Authenticate: Bearer`.
    pub fn challenge(&self) -> String {
        let issuer = &self.0.issuer;
        let scopes = rules::SCOPES.join(" ");
        format!("resource_metadata=\"{issuer}/.well-known/oauth-protected-resource/mcp\", scope=\"{scopes}\"")
    }

    /// The routes.
    pub fn router(&self) -> Router {
        let resource = || get(metadata::resource).options(metadata::preflight);
        Router::new()
            .route("/.well-known/oauth-protected-resource", resource())
            .route("/.well-known/oauth-protected-resource/mcp", resource())
            .route("/.well-known/oauth-authorization-server", get(metadata::server).options(metadata::preflight))
            .route("/oauth/authorize", get(authorize::ask).post(authorize::answer))
            .route("/oauth/token", post(token::token).options(metadata::preflight))
            .route("/oauth/revoke", post(token::revoke))
            .with_state(self.0.clone())
    }
}
