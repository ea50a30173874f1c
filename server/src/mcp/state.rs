//! What all connections share.

use std::{io, sync::Arc};

use axum::{Router, http::StatusCode, routing::any};
use rmcp::{
    ServerHandler,
    transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService},
};
use tokio::sync::Semaphore;
use url::Url;

use super::{
    changes::Changes,
    door::Door,
    http,
    met::Met,
    places::Places,
    seat::Seat,
    sessions::{Bound, Held},
};
use crate::{Hub, id::TokenId, pace::Pace};

/// Largest message taken in, by HTTP and by WebSocket. The layer on the pages has the same limit.
pub(super) const MESSAGE: usize = 2 << 20;
/// Largest message that is no tool call: only those carry pictures, and what the others say may be kept for long.
pub(super) const SMALL: usize = 64 << 10;
/// Pictures that are read or scaled for an answer at the same time: each needs tens of megabytes for a moment.
const HEAVY: usize = 2;

/// Requests under way and sockets: of one token, and in all. The hub's own limit of connections is below the second.
const CONNECTIONS: (usize, usize) = (64, 2_000);
/// Calls that wait for an image. Who has more gets the image's id at once.
const WAITS: (usize, usize) = (32, 1_000);
/// Tokens whose messages are counted apart at the same time.
const TOKENS: usize = 10_000;
/// Pictures on their way to a client that may read slowly: each takes some forty megabytes, in the worst case.
const READS: (usize, usize) = (2, 8);

/// How the door is set up.
#[derive(Clone, Debug)]
pub struct McpOptions {
    /// The address people type, if a proxy in front ends TLS. Its host may be an `Origin`, and links begin with it.
    pub public_url: Option<Url>,
    /// Messages a minute that one token may send; a sixth of them at once.
    pub calls_per_minute: u32,
}

impl Default for McpOptions {
    fn default() -> Self {
        Self { public_url: None, calls_per_minute: 1_200 }
    }
}

/// The door's handle. Cheap to clone.
#[derive(Clone)]
pub struct Mcp(pub(super) Arc<Shared>);

/// What the connections share.
pub(super) struct Shared {
    pub(super) hub: Hub,
    pub(super) options: McpOptions,
    pub(super) held: Arc<Held>,
    pub(super) pace: Pace<TokenId>,
    pub(super) connections: Places,
    pub(super) waits: Places,
    pub(super) reads: Places,
    pub(super) changes: Changes,
    pub(super) met: Met,
    pub(super) heavy: Semaphore,
    config: StreamableHttpServerConfig,
}

impl Mcp {
    /// Opens the door on `hub`, and begins to listen for changes.
    pub fn open(hub: &Hub, options: McpOptions) -> Self {
        let config = StreamableHttpServerConfig::default()
            // Our own layers have answered for Host and Origin before a request comes here.
            .disable_allowed_hosts()
            .disable_allowed_origins()
            // Handshake revisions get sessions and event streams, 2026-07-28 gets JSON and streams only what has progress.
            .with_legacy_session_mode(true)
            .with_json_response(true)
            .with_max_request_body_bytes(MESSAGE)
            .with_cancellation_token(hub.stop.child_token());
        Self(Arc::new(Shared {
            hub: hub.clone(),
            pace: Pace::new(options.calls_per_minute, options.calls_per_minute / 6, TOKENS),
            connections: Places::new(CONNECTIONS.0, CONNECTIONS.1),
            waits: Places::new(WAITS.0, WAITS.1),
            reads: Places::new(READS.0, READS.1),
            options,
            held: Arc::new(Held::new(hub.tasks.clone())),
            changes: Changes::start(hub),
            met: Met::default(),
            heavy: Semaphore::new(HEAVY),
            config,
        }))
    }

    /// The routes: `/mcp`, and plain 404s where a client looks for a sign-in that this hub does not offer. What OAuth offers
    /// while it is on has routes of its own, which go before these.
    pub fn router(&self) -> Router {
        self.router_behind(|door| door)
    }

    /// As [`Mcp::router`], with `front` before every door: the conformance suite wants tools that no product has
    /// (`examples/conformance`), on the product's own layers, sessions and streams.
    pub fn router_behind<F: ServerHandler>(&self, front: fn(Door) -> F) -> Router {
        Router::new()
            .route("/mcp", any(http::endpoint::<F>))
            .route("/.well-known/{*path}", any(|| async { StatusCode::NOT_FOUND }))
            .route("/oauth/{*path}", any(|| async { StatusCode::NOT_FOUND }))
            .with_state(Entry { mcp: self.0.clone(), front })
    }
}

/// The shared state, and what answers the SDK: the [`Door`], or something that stands before it.
pub(super) struct Entry<F> {
    pub(super) mcp: Arc<Shared>,
    front: fn(Door) -> F,
}

// Derived it would ask that F can be cloned, and no F is in it.
impl<F> Clone for Entry<F> {
    fn clone(&self) -> Self {
        Self { mcp: self.mcp.clone(), front: self.front }
    }
}

impl<F: ServerHandler> Entry<F> {
    /// What answers one session, one socket, or one call that needs no session.
    pub(super) fn front(&self) -> F {
        (self.front)(Door::new(self.mcp.clone()))
    }

    /// The SDK's service as `seat` may use it: with the sessions of its own token.
    pub(super) fn service(&self, seat: &Seat) -> StreamableHttpService<F, Bound> {
        let entry = self.clone();
        let sessions = Arc::new(Bound::new(self.mcp.held.clone(), seat.token));
        StreamableHttpService::new(move || Ok::<_, io::Error>(entry.front()), sessions, self.mcp.config.clone())
    }
}
