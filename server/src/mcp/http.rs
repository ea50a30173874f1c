//! `/mcp`: what is checked before the SDK sees a request, and what is made better in its answers.

use std::{
    borrow::Cow,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Extension, Json,
    body::{Body, Bytes, HttpBody, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt as _, stream};
use http_body::{Frame, SizeHint};
use rmcp::{ServerHandler, model::ErrorCode};
use serde::Deserialize;
use serde_json::{Value, json};
use url::{Host, Url};

use super::{
    places::Place,
    seat::{Seat, Wire},
    socket,
    state::{Entry, MESSAGE, SMALL},
};
use crate::{
    error::{Failure, FailureKind},
    http::Visit,
};

/// The method whose answers can be large.
pub(super) const READ: &str = "resources/read";
/// How long a large answer waits for its turn.
pub(super) const TURN: Duration = Duration::from_secs(20);
/// What is said to who sends too much, and to who reads too much at once.
pub(super) const TOO_LARGE: &str = "the message is over 64 KiB; only a tool call may be larger";
/// See above.
pub(super) const BUSY: &str = "other pictures are on their way with this token; read them one after the other";

/// Every method of `/mcp`.
pub(super) async fn endpoint<F: ServerHandler>(
    State(entry): State<Entry<F>>,
    Extension(visit): Extension<Visit>,
    mut request: Request,
) -> Response {
    let (mcp, headers, uri) = (&entry.mcp, request.headers(), request.uri());
    let wire = if socket::asked_for(headers) { Wire::Socket } else { Wire::Http };
    let seat = match Seat::of(&visit, home(mcp.options.public_url.as_ref(), headers, uri), wire) {
        Ok(seat) => seat,
        Err(failure) => {
            return ([(header::WWW_AUTHENTICATE, "Bearer realm=\"central-mcp\"")], failure).into_response();
        }
    };
    if !own_origin(mcp.options.public_url.as_ref(), headers, uri) {
        let message = "this came from another site's page; connect from a program, or open the hub by its own name";
        return Failure::new(FailureKind::Forbidden, message).into_response();
    }
    if let Err(wait) = mcp.pace.take(seat.token, mcp.hub.clock.now()) {
        let seconds = (wait / 1000 + 1).to_string();
        let message = format!("too many calls with this token; wait {seconds} s and try again");
        return ([(header::RETRY_AFTER, seconds)], Failure::new(FailureKind::TooMany, message)).into_response();
    }
    let Some(place) = mcp.connections.take(seat.token) else {
        let message = "this token has too many connections and calls open; end some first";
        return ([(header::RETRY_AFTER, "5")], Failure::new(FailureKind::TooMany, message)).into_response();
    };
    if wire == Wire::Socket {
        return socket::upgrade(entry, seat, place, request).await;
    }
    request.extensions_mut().insert(seat.clone());
    call(&entry, seat, place, request).await
}

/// One request of Streamable HTTP.
async fn call<F: ServerHandler>(entry: &Entry<F>, seat: Seat, place: Place, request: Request) -> Response {
    let mcp = &entry.mcp;
    let (mut parts, body) = request.into_parts();
    widen_accept(&mut parts.headers);
    let Ok(body) = to_bytes(body, MESSAGE).await else {
        let message = format!("the message is over {} MiB; upload pictures first and name them", MESSAGE >> 20);
        return (StatusCode::PAYLOAD_TOO_LARGE, Json(Failure::invalid(message))).into_response();
    };
    let json = is(&parts.headers, "application/json");
    let method = method(&body);
    if too_large(&body, method.as_deref()) {
        return (StatusCode::PAYLOAD_TOO_LARGE, Json(Failure::invalid(TOO_LARGE))).into_response();
    }
    let reading = match method.as_deref() {
        Some(READ) => match mcp.reads.wait(seat.token, TURN).await {
            Some(place) => Some(place),
            None => {
                let failure = Failure::new(FailureKind::TooMany, BUSY);
                return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")], Json(failure)).into_response();
            }
        },
        _ => None,
    };
    let request_body = body.clone();
    let ending = parts.method == Method::DELETE;
    let request = Request::from_parts(parts, Body::from(body.clone()));
    let mut response = entry.service(&seat).handle(request).await.map(Body::new);
    if ending && response.status() == StatusCode::ACCEPTED {
        // It has ended and nothing follows; of 202 the Python SDK says that it failed.
        *response.status_mut() = StatusCode::NO_CONTENT;
    }
    if json && response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        let (code, message, id) = what_is_wrong(&body);
        return (StatusCode::BAD_REQUEST, Json(error(code, message, &id))).into_response();
    }
    // Until the answer has left, or nobody wants it any more.
    let kept = (place, reading, seat.left.clone().drop_guard());
    if !is(response.headers(), "text/event-stream") {
        return response.map(|body| Body::new(Kept { body, _kept: kept }));
    }
    let (auth, over) = (mcp.hub.auth.clone(), Arc::new(AtomicBool::new(false)));
    let (ends, gone) = (over.clone(), async move { seat.gone(&auth).await });
    let gone = Box::pin(async move {
        gone.await;
        ends.store(true, Ordering::Relaxed);
    });
    let word = last_word(&request_body);
    // The call goes nowhere any more, and its client should not have to guess why.
    let last = stream::once(async move { over.load(Ordering::Relaxed).then_some(word).flatten() })
        .filter_map(std::future::ready);
    response.map(|body| {
        let body = Body::from_stream(body.into_data_stream().take_until(gone).chain(last.map(Ok)));
        Body::new(Kept { body, _kept: kept })
    })
}

/// The answer to a call whose token has ended while its stream was open.
fn last_word(request: &[u8]) -> Option<Bytes> {
    let id = serde_json::from_slice::<Value>(request).ok()?.get("id")?.clone();
    let message = "the token is no longer valid; what the call began goes on, and an operator can say how it stands";
    let error = error(ErrorCode(-32_000), message, &id);
    Some(format!("event: message\ndata: {error}\n\n").into())
}

/// A body, and what is held until it is dropped.
struct Kept<T> {
    body: Body,
    _kept: T,
}

impl<T: Unpin> HttpBody for Kept<T> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The hub's address as this request reached it. The name was checked before: it is one of ours.
fn home(public: Option<&Url>, headers: &HeaderMap, uri: &Uri) -> String {
    match public {
        Some(url) => url.as_str().trim_end_matches('/').to_owned(),
        None => format!("http://{}", host(headers, uri).unwrap_or("localhost")),
    }
}

/// The name the sender used, with its port. HTTP/2 carries it in the URI.
fn host<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    let header = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    header.or_else(|| uri.authority().map(|authority| authority.as_str()))
}

/// Programs send no `Origin`; a page may be one of ours, or one on the reader's own machine.
fn own_origin(public: Option<&Url>, headers: &HeaderMap, uri: &Uri) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Some((text, origin)) = origin.to_str().ok().and_then(|text| Some((text, Url::parse(text).ok()?))) else {
        return false;
    };
    let same = text.split_once("://").is_some_and(|(_, rest)| {
        host(headers, uri).is_some_and(|host| host.eq_ignore_ascii_case(rest.trim_end_matches('/')))
    });
    let below =
        |name: &str, domain: &str| name == domain || name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    let known = match origin.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => {
            below(name, "localhost") || public.and_then(Url::domain).is_some_and(|domain| below(name, domain))
        }
        None => false,
    };
    matches!(origin.scheme(), "http" | "https") && (same || known)
}

/// Who names no type, or every type, takes both that the protocol may answer with.
fn widen_accept(headers: &mut HeaderMap) {
    let every = match headers.get(header::ACCEPT) {
        None => true,
        Some(accept) => {
            accept.to_str().is_ok_and(|accept| accept.split(',').any(|kind| kind.trim().starts_with("*/*")))
        }
    };
    if every {
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    }
}

fn is(headers: &HeaderMap, kind: &str) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(kind)
}

/// The method of a message, if it is one.
pub(super) fn method(body: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(borrow)]
        method: Option<Cow<'a, str>>,
    }
    serde_json::from_slice::<Message<'_>>(body).ok()?.method
}

/// Whether a message is larger than its kind may be.
pub(super) fn too_large(body: &[u8], method: Option<&str>) -> bool {
    body.len() > SMALL && method != Some("tools/call")
}

/// Why a body is no message: the JSON-RPC error, and the id of the request if it had one.
pub(super) fn what_is_wrong(body: &[u8]) -> (ErrorCode, String, Value) {
    match serde_json::from_slice::<Value>(body) {
        Err(cause) => (ErrorCode::PARSE_ERROR, format!("this is not JSON: {cause}"), Value::Null),
        Ok(Value::Array(_)) => {
            let message = "batches are not part of the protocol any more; send one message at a time";
            (ErrorCode::INVALID_REQUEST, message.into(), Value::Null)
        }
        Ok(message) => {
            let id = message.get("id").filter(|id| id.is_string() || id.is_i64()).cloned().unwrap_or_default();
            let method = message.get("method").and_then(Value::as_str).unwrap_or_default();
            let message = match method {
                "" => "this is no JSON-RPC 2.0 message: it needs \"jsonrpc\": \"2.0\" and a \"method\"".to_owned(),
                _ => format!(
                    "this is no valid JSON-RPC 2.0 message for \"{}\"; check \"jsonrpc\", \"id\" and \"params\"",
                    method.chars().take(60).collect::<String>()
                ),
            };
            (ErrorCode::INVALID_REQUEST, message, id)
        }
    }
}

/// A JSON-RPC error as it goes over the wire.
pub(super) fn error(code: ErrorCode, message: impl Into<String>, id: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code.0, "message": message.into() } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(host: &str, origin: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().expect("a header"));
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().expect("a header"));
        }
        headers
    }

    #[test]
    fn only_our_own_pages_and_the_readers_own_machine_may_be_an_origin() {
        let public = Url::parse("https://hub.example.org").expect("a URL");
        let cases = [
            ("localhost:3000", None, true),
            ("localhost:3000", Some("http://localhost:3000"), true),
            ("localhost:3000", Some("http://localhost:6274"), true),
            ("127.0.0.1:3000", Some("http://127.0.0.1:3000"), true),
            ("[::1]:3000", Some("http://[::1]:3000"), true),
            ("10.0.0.7:3000", Some("http://10.0.0.7:3000"), true),
            ("10.0.0.7:3000", Some("http://10.0.0.8:3000"), false),
            ("hub.example.org", Some("https://hub.example.org"), true),
            ("hub.example.org", Some("https://dashboard.hub.example.org"), true),
            ("hub.example.org", Some("https://evilhub.example.org"), false),
            ("hub.example.org", Some("https://example.org"), false),
            ("localhost:3000", Some("https://evil.example"), false),
            ("localhost:3000", Some("http://localhost.evil.example"), false),
            ("localhost:3000", Some("http://203.0.113.9"), false),
            ("localhost:3000", Some("null"), false),
            ("localhost:3000", Some("file:///etc/passwd"), false),
            ("localhost:3000", Some("nonsense"), false),
        ];
        for (host, origin, expected) in cases {
            let headers = headers(host, origin);
            assert_eq!(own_origin(Some(&public), &headers, &Uri::from_static("/mcp")), expected, "{host} {origin:?}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_body_is_said_with_its_id() {
        let cases = [
            ("{", -32700, Value::Null),
            ("", -32700, Value::Null),
            ("[]", -32600, Value::Null),
            ("3", -32600, Value::Null),
            (r#"{"id": 7}"#, -32600, json!(7)),
            (r#"{"id": "a", "method": "tools/call"}"#, -32600, json!("a")),
            (r#"{"id": {}, "method": 3}"#, -32600, Value::Null),
        ];
        for (body, code, id) in cases {
            let wrong = what_is_wrong(body.as_bytes());
            assert_eq!((wrong.0.0, wrong.2), (code, id), "{body}");
        }
    }
}
