//! Puts routes and layers together, listens, and ends in order.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{
    Extension, Router,
    extract::{ConnectInfo, DefaultBodyLimit, MatchedPath, Request},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore};
use tower::{Layer as _, ServiceBuilder};
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::CompressionLayer,
    limit::RequestBodyLimitLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    set_header::SetResponseHeaderLayer,
    timeout::TimeoutLayer,
    trace::TraceLayer,
};

use super::{
    guard,
    guard::Hosts,
    live, routes, runner, share,
    terminals::{self, Patience},
    visit,
};
use crate::{
    Hub,
    clock::Stopwatch,
    error::{Failure, FailureKind},
    pace::Pace,
};

/// Largest request body, except for uploads.
const BODY: usize = 2 << 20;
/// Largest upload; the room's own limit is 32 MiB, and says so better.
const UPLOAD: usize = 40 << 20;
/// The longest a handler may take to begin its answer.
const ANSWER: Duration = Duration::from_secs(90);

/// The longest that a connection may take to send the header of a request.
const HEADER: Duration = Duration::from_secs(10);
/// Connections open at once; more wait in the system's own queue. Below the usual limit of 1024 file descriptors.
const CONNECTIONS: usize = 800;

/// How often a minute a network may come with a machine's secret that is none.
const STRANGE: u32 = 20;
/// Networks that are told apart in that.
const NETWORKS: usize = 1_000;

/// How long an open request may take at the end of the hub.
const LAST: Duration = Duration::from_secs(8);

/// What the routes share.
pub(super) struct Shared {
    pub(super) hub: Hub,
    pub(super) hosts: Hosts,
    pub(super) secure: bool,
    pub(super) home: Option<Arc<str>>,
    pub(super) behind_proxy: bool,
    pub(super) public_file: fn(&str) -> bool,
    pub(super) oauth: Option<Arc<str>>,
    /// How often a network may come with a machine's secret that is none.
    pub(super) strange: Pace<String>,
    pub(super) patience: Patience,
}

/// How the hub is reached.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// The address people type, if it is not the listen address: a proxy in front ends TLS.
    pub public_url: Option<url::Url>,
    /// Which paths are static files for anybody.
    pub public_file: fn(&str) -> bool,
    /// What `/mcp` tells those it refuses, of [`Oauth::challenge`](crate::oauth::Oauth::challenge); `None` while OAuth is off.
    pub oauth: Option<String>,
}

/// Every route with every layer. `pages` are the routes of the crate `app`; they pass the same layers.
pub fn router(hub: Hub, pages: Router, options: &ServeOptions) -> Router {
    patient(hub, pages, options, Patience::default())
}

/// The same, with its own patience for viewers of terminals.
pub(super) fn patient(hub: Hub, pages: Router, options: &ServeOptions, patience: Patience) -> Router {
    let domain = options.public_url.as_ref().and_then(|url| url.host_str().map(str::to_owned));
    let shared = Arc::new(Shared {
        hub,
        hosts: Hosts::new(domain.as_deref()),
        secure: options.public_url.as_ref().is_some_and(|url| url.scheme() == "https"),
        home: options.public_url.as_ref().map(|url| url.as_str().trim_end_matches('/').into()),
        behind_proxy: options.public_url.is_some(),
        public_file: options.public_file,
        oauth: options.oauth.as_deref().map(Into::into),
        strange: Pace::new(STRANGE, STRANGE, NETWORKS),
        patience,
    });
    let header = |name: HeaderName, value: &'static str| {
        SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
    };
    let request_id = HeaderName::from_static("x-request-id");
    Router::new()
        .route("/live", get(live::live))
        .route("/pictures/{sha256}", get(routes::picture))
        .route("/images/{id}/preview", get(routes::preview))
        .route("/images/{id}/workflow.json", get(routes::workflow))
        .route("/terminals/{name}/ws", get(terminals::known))
        .route("/casts/{file}", get(routes::recording))
        .route("/s/open", post(share::open))
        .route("/s/ticket", post(share::ticket))
        .route("/s/ws", get(share::guest))
        .route("/runner", get(runner::socket))
        .route("/runner/join", post(runner::join))
        .route("/runner/program", get(runner::program))
        .route("/runner/install.sh", get(runner::install))
        .route("/uploads", post(routes::upload).layer(DefaultBodyLimit::max(UPLOAD)))
        .route("/healthz", get(routes::healthy))
        .route("/readyz", get(routes::ready))
        .with_state(shared.clone())
        // A hard limit while reading: server functions read their bodies by themselves.
        .merge(pages.layer(RequestBodyLimitLayer::new(BODY)))
        .layer(
            // All at once: added one by one, each would be boxed, and cloned with all below it, at every request.
            ServiceBuilder::new()
                .layer(SetRequestIdLayer::new(request_id.clone(), MakeRequestUuid))
                .layer(PropagateRequestIdLayer::new(request_id))
                .layer(TraceLayer::new_for_http().make_span_with(span).on_request(()).on_response(()).on_failure(()))
                .layer(middleware::from_fn(count))
                .layer(header(HeaderName::from_static("cross-origin-opener-policy"), "same-origin"))
                .layer(header(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"))
                .layer(header(header::X_FRAME_OPTIONS, "DENY"))
                .layer(header(header::REFERRER_POLICY, "same-origin"))
                .layer(header(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
                .layer(CatchPanicLayer::custom(panicked))
                .map_response(in_words)
                .layer(middleware::from_fn_with_state(shared.clone(), guard::host))
                .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, ANSWER))
                .layer(CompressionLayer::new())
                .layer(middleware::from_fn_with_state(shared.clone(), visit::identify))
                .layer(middleware::from_fn_with_state(shared, guard::guard)),
        )
}

/// Serves until the hub stops, then lets open requests finish (streams end by the same token).
///
/// The accept loop is our own and not `axum::serve`, which gives a connection all the time in the world for its header.
pub async fn serve(listener: TcpListener, router: Router, hub: &Hub) -> anyhow::Result<()> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEADER);
    server.http2().timer(TokioTimer::new()).keep_alive_interval(Some(HEADER));
    let (open, places) = (GracefulShutdown::new(), Arc::new(Semaphore::new(CONNECTIONS)));
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await?;
            anyhow::Ok((listener.accept().await, place))
        };
        let (accepted, place) = tokio::select! {
            () = hub.stop.cancelled() => break,
            next = next => next?,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Most likely there are no file descriptors left; some come back when others leave.
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Small answers must not wait for acknowledgements.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(Extension(ConnectInfo(peer)).layer(router.clone()));
        let connection = server.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
        let connection = open.watch(connection);
        let stop = hub.stop.clone();
        hub.tasks.spawn(async move {
            let _place = place;
            // A client that never reads its answer must not hold the end up.
            let late = async {
                stop.cancelled().await;
                tokio::time::sleep(LAST).await;
            };
            tokio::select! {
                result = connection => if let Err(error) = result {
                    tracing::debug!(error, "a connection broke");
                },
                () = late => {}
            }
        });
    }
    open.shutdown().await;
    Ok(())
}

/// Serves Prometheus metrics on an address of their own, so that they cannot leak through the public one.
pub fn metrics_listener(address: SocketAddr, hub: &Hub) -> anyhow::Result<()> {
    let (recorder, exporter) = metrics_exporter_prometheus::PrometheusBuilder::new()
        .with_http_listener(address)
        .build()
        .with_context(|| format!("cannot serve metrics on {address}"))?;
    metrics::set_global_recorder(recorder).context("metrics are already recorded")?;
    let stop = hub.stop.clone();
    hub.tasks.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            result = exporter => if let Err(error) = result {
                tracing::error!(?error, "the metrics listener broke");
            }
        }
    });
    Ok(())
}

fn span(request: &Request) -> tracing::Span {
    let id = request.headers().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    tracing::info_span!("request", http.method = %request.method(), http.path = request.uri().path(), request.id = id)
}

/// Counts and times every answer, by route and status: paths would be without bound.
async fn count(request: Request, next: Next) -> Response {
    let route =
        request.extensions().get::<MatchedPath>().map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let watch = Stopwatch::start();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    metrics::counter!("central_mcp_http_requests", "route" => route.clone(), "status" => status).increment(1);
    metrics::histogram!("central_mcp_http_seconds", "route" => route).record(watch.elapsed().as_secs_f64());
    tracing::debug!(http.status = response.status().as_u16(), duration_ms = watch.millis(), "answered");
    response
}

/// What layers and the routing refuse with a bare status or a plain text, said as everything else is: programs read one form.
fn in_words(response: Response) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if kind.is_some_and(|kind| !kind.starts_with("text/plain")) {
        return response;
    }
    let failure = match response.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Failure::invalid(format!(
            "this is too much for one request: at most {} MiB, as an upload at most {} MiB",
            BODY >> 20,
            UPLOAD >> 20
        )),
        StatusCode::METHOD_NOT_ALLOWED => Failure::invalid("there is something here, but not for this method"),
        StatusCode::GATEWAY_TIMEOUT => {
            let message = format!("the answer was not ready within {} s; ask again, or for less", ANSWER.as_secs());
            Failure::new(FailureKind::Internal, message)
        }
        _ => return response,
    };
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_TYPE);
    parts.headers.remove(header::CONTENT_LENGTH);
    let (said, body) = axum::Json(failure).into_response().into_parts();
    parts.headers.extend(said.headers);
    Response::from_parts(parts, body)
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that CatchPanicLayer asks for")]
fn panicked(cause: Box<dyn std::any::Any + Send>) -> Response {
    let text = cause.downcast_ref::<String>().map(String::as_str).or_else(|| cause.downcast_ref::<&str>().copied());
    tracing::error!(panic = text.unwrap_or("?"), "a handler panicked");
    Failure::new(FailureKind::Internal, "something failed inside the hub; the cause is in its log").into_response()
}
