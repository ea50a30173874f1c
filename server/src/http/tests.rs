//! The layers and routes over a real hub, without a network: requests go straight into the router.

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, Method, Request, StatusCode, header},
    response::Response,
    routing::{get, post},
};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt as _;

use super::{ServeOptions, router};
use crate::{
    Hub,
    auth::{TokenDraft, Visitor},
    caller::{Caller, Role},
    clock::{Clock, Timestamp},
    error::Failure,
    services::{MicroUsd, ServiceDraft, ServiceKind},
};

mod doors;
mod pictures;
mod sockets;
mod streams;

const PASSWORD: &str = "correct horse battery";

struct House {
    hub: Hub,
    clock: Clock,
    router: Router,
    _folder: TempDir,
}

/// Stops the hub's tasks, so that no dispatcher outlives its test.
impl Drop for House {
    fn drop(&mut self) {
        self.hub.stop.cancel();
    }
}

impl House {
    async fn new() -> Self {
        Self::open(None).await
    }

    async fn open(public_url: Option<&str>) -> Self {
        let pages = Router::new()
            .route("/", get(|| async { "landing" }))
            .route("/overview", get(|| async { "overview" }))
            .route("/api/write", post(|body: Bytes| async move { body.len().to_string() }))
            .route("/api/panic", post(panics));
        Self::with(public_url, pages).await
    }

    async fn with(public_url: Option<&str>, pages: Router) -> Self {
        // Another test may have been first; one provider is as good as the other.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::by_hand(Timestamp::from_millis(1_800_000_000_000));
        let hub = Hub::open(folder.path(), None, clock.clone()).await.unwrap();
        let public_url = public_url.map(|url| url.parse().unwrap());
        let options = ServeOptions { public_url, public_file: |path| path.starts_with("/pkg/"), oauth: None };
        let router = router(hub.clone(), pages, &options);
        Self { hub, clock, router, _folder: folder }
    }

    async fn send(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn status(&self, request: Request<Body>) -> StatusCode {
        self.send(request).await.status()
    }

    /// The cookie of the owner, ada.
    async fn owner(&self) -> String {
        let code = self.hub.auth.setup_code().await.unwrap().unwrap();
        let signed_in = self.hub.auth.setup(&code, "ada", PASSWORD, Visitor::default()).await.unwrap();
        format!("session={}", signed_in.secret)
    }

    async fn token(&self, role: Role, days: Option<u32>) -> String {
        let draft = TokenDraft { name: role.word().into(), role, agent: None, expires_in_days: days };
        self.hub.auth.create_token(&Caller::cli(), draft).await.unwrap().secret
    }

    /// A token of the agent `fox`.
    async fn fox(&self) -> String {
        let draft =
            TokenDraft { name: "fox".into(), role: Role::Agent, agent: Some("fox".into()), expires_in_days: None };
        self.hub.auth.create_token(&Caller::cli(), draft).await.unwrap().secret
    }

    /// Makes an event of the topic `services`.
    async fn change(&self, name: &str) {
        let draft = ServiceDraft {
            name: name.into(),
            kind: ServiceKind::Comfyui,
            base_url: "http://127.0.0.1:1".into(),
            auth: None,
            price_per_hour: MicroUsd(0),
        };
        self.hub.services.add(&Caller::cli(), draft).await.unwrap();
    }
}

async fn panics() -> &'static str {
    panic!("the secret cause")
}

/// A request as our own page or a program sends it; `extra` headers replace those.
fn ask(method: Method, path: &str, extra: &[(&str, &str)]) -> Request<Body> {
    ask_with(method, path, extra, Body::empty())
}

fn ask_with(method: Method, path: &str, extra: &[(&str, &str)], body: impl Into<Body>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path).body(body.into()).unwrap();
    request.headers_mut().insert(header::HOST, "localhost:3000".parse().unwrap());
    for (name, value) in extra {
        let name: header::HeaderName = name.parse().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    request
}

fn bearer(token: &str) -> (&'static str, String) {
    ("authorization", format!("Bearer {token}"))
}

fn value<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

async fn body(response: Response) -> Bytes {
    axum::body::to_bytes(response.into_body(), 64 << 20).await.unwrap()
}

async fn failure(response: Response) -> Failure {
    let value: Value = serde_json::from_slice(&body(response).await).unwrap();
    serde_json::from_value(value).unwrap()
}

/// A PNG of one colour.
fn png(shade: u8) -> Vec<u8> {
    let mut out = std::io::Cursor::new(Vec::new());
    let pixels = image::RgbImage::from_pixel(64, 48, image::Rgb([shade, 20, 30]));
    image::DynamicImage::from(pixels).write_to(&mut out, image::ImageFormat::Png).unwrap();
    out.into_inner()
}
