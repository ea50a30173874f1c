//! The JSON-RPC entry: any bytes as a message of `/mcp`, through all layers of the real hub, by every way that HTTP offers.
//!
//! The first byte chooses the way: a call of 2026-07-28 with headers that mirror the body or contradict it, a message within a
//! session of a handshake revision, or one without. The caller is a viewer: every argument of every tool is read and
//! checked, and nothing is drawn. A panic is a finding, and so is an answer of 500 or above.

#![no_main]

use std::{sync::LazyLock, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Method, Request, header},
};
use http_body_util::BodyExt as _;
use libfuzzer_sys::fuzz_target;
use server::{
    Hub,
    auth::TokenDraft,
    caller::{Caller, Role},
    clock::Clock,
    http::{self, ServeOptions},
    mcp::{Mcp, McpOptions},
};
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt as _;

/// Answers that stream have no end; this much of one is read.
const TASTE: Duration = Duration::from_millis(2);

struct House {
    runtime: Runtime,
    router: Router,
    bearer: String,
    session: String,
    _folder: tempfile::TempDir,
}

static HOUSE: LazyLock<House> = LazyLock::new(|| {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let (router, bearer, session) = runtime.block_on(async {
        let hub = Hub::open(folder.path(), None, Clock::default()).await.expect("a hub");
        let draft = TokenDraft { name: "fuzz".into(), role: Role::Viewer, agent: None, expires_in_days: None };
        let token = hub.auth.create_token(&Caller::cli(), draft).await.expect("a token");
        let mcp = Mcp::open(&hub, McpOptions { calls_per_minute: u32::MAX, ..McpOptions::default() });
        let options = ServeOptions { public_url: None, public_file: |_| false, oauth: None };
        let router = http::router(hub, mcp.router(), &options);
        let bearer = format!("Bearer {}", token.secret);
        let hello = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"fuzz","version":"1"}}}"#;
        let answer = router.clone().oneshot(request(&bearer, &[], hello.into())).await.expect("an answer");
        let session = answer.headers()["mcp-session-id"].to_str().expect("a session").to_owned();
        (router, bearer, session)
    });
    House { runtime, router, bearer, session, _folder: folder }
});

fn request(bearer: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Request<Body> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri("/mcp")
        .header(header::HOST, "localhost:3000")
        .header(header::AUTHORIZATION, bearer)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json, text/event-stream");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body)).expect("a request")
}

fuzz_target!(|input: &[u8]| {
    let Some((way, body)) = input.split_first() else { return };
    let house = &*HOUSE;
    let modern = ("mcp-protocol-version", "2026-07-28");
    let call = ("mcp-method", "tools/call");
    let within = ("mcp-session-id", house.session.as_str());
    let headers: &[(&str, &str)] = match way % 10 {
        0 => &[modern, call, ("mcp-name", "generate_image")],
        1 => &[modern, call, ("mcp-name", "list_images")],
        2 => &[modern, call, ("mcp-name", "get_image")],
        3 => &[modern, ("mcp-method", "resources/read"), ("mcp-name", "central://images")],
        4 => &[modern, ("mcp-method", "completion/complete")],
        5 => &[modern, ("mcp-method", "prompts/get"), ("mcp-name", "=?base64?bG9nbw==?=")],
        6 => &[within, ("mcp-protocol-version", "2025-11-25")],
        7 => &[within],
        8 => &[("mcp-session-id", "nobody's")],
        _ => &[],
    };
    house.runtime.block_on(async {
        let answer = house.router.clone().oneshot(request(&house.bearer, headers, body.to_vec())).await;
        let answer = answer.expect("the router answers everything");
        assert!(answer.status().as_u16() < 500 || answer.status() == 503, "{answer:?}");
        let mut body = answer.into_body();
        let _ = tokio::time::timeout(TASTE, async { while let Some(Ok(_)) = body.frame().await {} }).await;
    });
});
