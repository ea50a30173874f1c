//! Puts routes and layers together, listens, and ends in order.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context;
use axum::{
    Router,
    extract::{DefaultBodyLimit, MatchedPath, Request},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tokio::net::TcpListener;
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::CompressionLayer,
    limit::RequestBodyLimitLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    set_header::SetResponseHeaderLayer,
    timeout::TimeoutLayer,
    trace::TraceLayer,
};

use super::{guard, guard::Hosts, live, routes, visit};
use crate::{
    Hub,
    clock::Stopwatch,
    error::{Failure, FailureKind},
};

/// Largest request body, except for uploads.
const BODY: usize = 2 << 20;
/// Largest upload; the room's own limit is 32 MiB, and says so better.
const UPLOAD: usize = 40 << 20;
/// The longest a handler may take to begin its answer.
const ANSWER: Duration = Duration::from_secs(90);

/// What the routes share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) hub: Hub,
    pub(super) hosts: Hosts,
    pub(super) secure: bool,
    pub(super) behind_proxy: bool,
    pub(super) public_file: fn(&str) -> bool,
}

/// How the hub is reached.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// The address people type, if it is not the listen address: a proxy in front ends TLS.
    pub public_url: Option<url::Url>,
    /// Which paths are static files for anybody.
    pub public_file: fn(&str) -> bool,
}

/// Every route with every layer. `pages` are the routes of the crate `app`; they pass the same layers.
pub fn router(hub: Hub, pages: Router, options: &ServeOptions) -> Router {
    let domain = options.public_url.as_ref().and_then(|url| url.host_str().map(str::to_owned));
    let shared = Shared {
        hub,
        hosts: Hosts::new(domain.as_deref()),
        secure: options.public_url.as_ref().is_some_and(|url| url.scheme() == "https"),
        behind_proxy: options.public_url.is_some(),
        public_file: options.public_file,
    };
    let header = |name: HeaderName, value: &'static str| {
        SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
    };
    let request_id = HeaderName::from_static("x-request-id");
    Router::new()
        .route("/live", get(live::live))
        .route("/pictures/{sha256}", get(routes::picture))
        .route("/images/{id}/preview", get(routes::preview))
        .route("/images/{id}/workflow.json", get(routes::workflow))
        .route("/uploads", post(routes::upload).layer(DefaultBodyLimit::max(UPLOAD)))
        .route("/healthz", get(routes::healthy))
        .route("/readyz", get(routes::ready))
        .with_state(shared.clone())
        // A hard limit while reading: server functions read their bodies by themselves.
        .merge(pages.layer(RequestBodyLimitLayer::new(BODY)))
        // Layers added later are further out.
        .layer(middleware::from_fn_with_state(shared.clone(), guard::guard))
        .layer(middleware::from_fn_with_state(shared.clone(), visit::identify))
        .layer(CompressionLayer::new())
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, ANSWER))
        .layer(middleware::from_fn_with_state(shared, guard::host))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(header(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(header(header::REFERRER_POLICY, "same-origin"))
        .layer(header(header::X_FRAME_OPTIONS, "DENY"))
        .layer(header(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"))
        .layer(header(HeaderName::from_static("cross-origin-opener-policy"), "same-origin"))
        .layer(middleware::from_fn(count))
        .layer(TraceLayer::new_for_http().make_span_with(span).on_request(()).on_response(()).on_failure(()))
        .layer(PropagateRequestIdLayer::new(request_id.clone()))
        .layer(SetRequestIdLayer::new(request_id, MakeRequestUuid))
}

/// Serves until the hub stops, then lets open requests finish (streams end by the same token).
pub async fn serve(listener: TcpListener, router: Router, hub: &Hub) -> anyhow::Result<()> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        // Small answers must not wait for acknowledgements.
        let _ = stream.set_nodelay(true);
    });
    let stop = hub.stop.clone();
    let serving = axum::serve(listener, service).with_graceful_shutdown(stop.clone().cancelled_owned());
    // A client that never reads its answer must not hold the end up.
    let late = async {
        stop.cancelled().await;
        tokio::time::sleep(Duration::from_secs(8)).await;
    };
    tokio::select! {
        result = serving.into_future() => result.context("the listener broke"),
        () = late => Ok(()),
    }
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

#[expect(clippy::needless_pass_by_value, reason = "the signature that CatchPanicLayer asks for")]
fn panicked(cause: Box<dyn std::any::Any + Send>) -> Response {
    let text = cause.downcast_ref::<String>().map(String::as_str).or_else(|| cause.downcast_ref::<&str>().copied());
    tracing::error!(panic = text.unwrap_or("?"), "a handler panicked");
    Failure::new(FailureKind::Internal, "something failed inside the hub; the cause is in its log").into_response()
}
