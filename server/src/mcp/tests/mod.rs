//! The door over a real hub and all the layers of `http`, spoken to in JSON-RPC. No network, except where a socket needs one.

use std::time::Duration;

use axum::{
    Router,
    body::{Body, BodyDataStream},
    http::{HeaderMap, Method, Request, StatusCode, header},
    response::Response,
};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

use super::{Mcp, McpOptions};
use crate::{
    Hub,
    auth::{TokenDraft, Visitor},
    caller::{Caller, Role},
    clock::{Clock, Timestamp},
    events::EventFilter,
    http::{ServeOptions, router},
    id::ImageId,
    images::{ImageStatus, ImageView},
};

mod doors;
mod eras;
mod generate;
mod resources;
mod sockets;

/// The newest revision, and the newest with a handshake.
const MODERN: &str = "2026-07-28";
const LEGACY: &str = "2025-11-25";

struct House {
    hub: Hub,
    mcp: Mcp,
    clock: Clock,
    router: Router,
    _folder: TempDir,
}

/// Stops the hub's tasks, so that none outlives its test.
impl Drop for House {
    fn drop(&mut self) {
        self.hub.stop.cancel();
    }
}

impl House {
    async fn new() -> Self {
        Self::open(McpOptions::default()).await
    }

    async fn open(options: McpOptions) -> Self {
        // Another test may have been first; one provider is as good as the other.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::by_hand(Timestamp::from_millis(1_800_000_000_000));
        let hub = Hub::open(folder.path(), None, clock.clone()).await.unwrap();
        let public_file = |_: &str| false;
        let serve = ServeOptions { public_url: options.public_url.clone(), public_file, oauth: None };
        let mcp = Mcp::open(&hub, options);
        let router = router(hub.clone(), mcp.router(), &serve);
        Self { hub, mcp, clock, router, _folder: folder }
    }

    /// A token of the agent `fox`.
    async fn agent(&self) -> String {
        self.token(Role::Agent, Some("fox"), None).await
    }

    async fn token(&self, role: Role, agent: Option<&str>, days: Option<u32>) -> String {
        let draft =
            TokenDraft { name: role.word().into(), role, agent: agent.map(str::to_owned), expires_in_days: days };
        self.hub.auth.create_token(&Caller::cli(), draft).await.unwrap().secret
    }

    async fn send(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// A call of 2026-07-28, read to its end.
    async fn modern(&self, token: &str, method: &str, params: Value) -> Answer {
        Answer::read(self.send(modern(token, method, params)).await).await
    }

    /// A tool call of 2026-07-28; its result.
    async fn tool(&self, token: &str, name: &str, arguments: Value) -> Value {
        let answer = self.modern(token, "tools/call", json!({ "name": name, "arguments": arguments })).await;
        answer.result().clone()
    }

    /// The structured content of a tool call that went well.
    async fn facts(&self, token: &str, name: &str, arguments: Value) -> Value {
        let result = self.tool(token, name, arguments).await;
        assert_eq!(result["isError"], false, "{result}");
        result["structuredContent"].clone()
    }

    /// The text of a tool call that was refused.
    async fn refused(&self, token: &str, name: &str, arguments: Value) -> String {
        let result = self.tool(token, name, arguments).await;
        assert_eq!(result["isError"], true, "{result}");
        result["content"][0]["text"].as_str().unwrap().to_owned()
    }

    async fn image(&self, id: &str) -> ImageView {
        self.hub.images.get(&Caller::cli(), id.parse::<ImageId>().unwrap()).await.unwrap()
    }

    /// Waits until an image stands as wanted.
    async fn until(&self, id: &str, wanted: ImageStatus) -> ImageView {
        for _ in 0..400 {
            let view = self.image(id).await;
            if view.status == wanted {
                return view;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the image does not become {}", wanted.word());
    }
}

/// A session of a handshake revision.
struct Session<'a> {
    house: &'a House,
    token: String,
    id: String,
    next: std::cell::Cell<u32>,
}

impl<'a> Session<'a> {
    async fn begin(house: &'a House, token: &str, revision: &str) -> Self {
        let response = house.send(initialize(token, revision)).await;
        assert_eq!(response.status(), StatusCode::OK);
        let id = value(response.headers(), "mcp-session-id").to_owned();
        let answer = Answer::read(response).await;
        assert_eq!(answer.result()["protocolVersion"], revision);
        let session = Self { house, token: token.to_owned(), id, next: 10.into() };
        let ready = session.post(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
        assert_eq!(ready.status(), StatusCode::ACCEPTED);
        session
    }

    async fn post(&self, message: &Value) -> Response {
        let headers = [("mcp-session-id", self.id.as_str()), ("mcp-protocol-version", LEGACY)];
        self.house.send(post(&self.token, &headers, message.to_string())).await
    }

    async fn call(&self, method: &str, params: Value) -> Answer {
        let id = self.next.replace(self.next.get() + 1);
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        Answer::read(self.post(&message).await).await
    }

    async fn listen(&self) -> Stream {
        let headers = [("mcp-session-id", self.id.as_str()), ("accept", "text/event-stream")];
        Stream::open(self.house.send(ask(Method::GET, &self.token, &headers)).await)
    }
}

/// What came back, read to its end.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    messages: Vec<Value>,
    text: String,
}

impl Answer {
    async fn read(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let reading = axum::body::to_bytes(body, 64 << 20);
        let bytes = tokio::time::timeout(Duration::from_secs(30), reading).await.expect("an end within 30 s").unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let messages = if value(&parts.headers, "content-type").starts_with("text/event-stream") {
            text.split("\n\n").filter_map(event).collect()
        } else {
            serde_json::from_str(&text).into_iter().collect()
        };
        Self { status: parts.status, headers: parts.headers, messages, text }
    }

    /// The result, which is the last message.
    fn result(&self) -> &Value {
        let last = self.messages.last().unwrap_or_else(|| panic!("{self:?}"));
        assert!(last.get("result").is_some(), "{self:?}");
        &last["result"]
    }

    /// The code of the error.
    fn code(&self) -> i64 {
        self.messages.last().and_then(|last| last["error"]["code"].as_i64()).unwrap_or_else(|| panic!("{self:?}"))
    }
}

/// An event stream, read message by message.
struct Stream {
    body: BodyDataStream,
    text: String,
}

impl Stream {
    fn open(response: Response) -> Self {
        assert_eq!(response.status(), StatusCode::OK);
        assert!(value(response.headers(), "content-type").starts_with("text/event-stream"));
        assert_eq!(value(response.headers(), "content-encoding"), "", "a compressor would hold messages back");
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The next message; `None` when the stream has ended.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((piece, rest)) = self.text.split_once("\n\n") {
                let message = event(piece);
                self.text = rest.to_owned();
                if message.is_some() {
                    return message;
                }
                continue;
            }
            let piece = tokio::time::timeout(Duration::from_secs(20), self.body.next()).await;
            let piece = piece.expect("something is heard within 20 s")?.unwrap();
            self.text.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }

    /// The next message with this method, whatever comes before.
    async fn next_of(&mut self, method: &str) -> Value {
        loop {
            let message = self.next().await.unwrap_or_else(|| panic!("the stream ended before {method}"));
            if message["method"] == method {
                return message;
            }
        }
    }
}

/// The message of one event, if it has one: the first event of a stream only says when to come back.
fn event(piece: &str) -> Option<Value> {
    let data: Vec<_> = piece.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim).collect();
    serde_json::from_str(&data.join("\n")).ok()
}

/// A request as a program sends it; `extra` headers replace those.
fn ask(method: Method, token: &str, extra: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri("/mcp").body(Body::empty()).unwrap();
    let headers = request.headers_mut();
    headers.insert(header::HOST, "localhost:3000".parse().unwrap());
    headers.insert(header::ACCEPT, "application/json, text/event-stream".parse().unwrap());
    headers.insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
    if !token.is_empty() {
        headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    }
    for (name, value) in extra {
        headers.insert(name.parse::<header::HeaderName>().unwrap(), value.parse().unwrap());
    }
    request
}

fn post(token: &str, extra: &[(&str, &str)], body: impl Into<Body>) -> Request<Body> {
    ask(Method::POST, token, extra).map(|_| body.into())
}

/// A call of 2026-07-28 as its clients send it.
fn modern(token: &str, method: &str, params: Value) -> Request<Body> {
    modern_with(token, method, params, json!({}))
}

/// The same, with more in `_meta`.
fn modern_with(token: &str, method: &str, mut params: Value, more: Value) -> Request<Body> {
    let mut meta = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
    });
    for (key, value) in more.as_object().unwrap() {
        meta[key] = value.clone();
    }
    params["_meta"] = meta;
    let name =
        ["name", "uri", "taskId"].into_iter().find_map(|key| params.get(key)?.as_str()).unwrap_or_default().to_owned();
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let mut headers = vec![("mcp-protocol-version", MODERN), ("mcp-method", method)];
    if !name.is_empty() {
        headers.push(("mcp-name", &name));
    }
    post(token, &headers, body.to_string())
}

fn initialize(token: &str, revision: &str) -> Request<Body> {
    let params = json!({
        "protocolVersion": revision, "capabilities": {}, "clientInfo": { "name": "old-test", "version": "0.9" },
    });
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params });
    post(token, &[], message.to_string())
}

fn value<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// A small image that is drawn at once.
fn small(prompt: &str) -> Value {
    json!({ "prompt": prompt, "width": 64, "height": 64, "steps": 2 })
}

/// An image that does not end by itself within a test.
fn long(prompt: &str) -> Value {
    json!({ "prompt": prompt, "width": 64, "height": 64, "steps": 150, "count": 16 })
}

/// `base` with the fields of `more`.
fn with(mut base: Value, more: Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        base[key] = value.clone();
    }
    base
}

/// A PNG of one colour.
fn png(shade: u8) -> Vec<u8> {
    let mut out = std::io::Cursor::new(Vec::new());
    let pixels = image::RgbImage::from_pixel(64, 48, image::Rgb([shade, 20, 30]));
    image::DynamicImage::from(pixels).write_to(&mut out, image::ImageFormat::Png).unwrap();
    out.into_inner()
}
