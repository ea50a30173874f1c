//! One outside HTTP endpoint: base URL, credential, and requests that are bounded in size and time.

use std::{fmt, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use reqwest::{Method, RequestBuilder, StatusCode, header};
use serde_json::Value;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::protocol::{Role, WebSocketConfig},
};
use url::Url;

use super::ServiceAuth;
use crate::clock::Stopwatch;

/// The longest silence before or within an answer.
const SILENCE: Duration = Duration::from_secs(20);
/// An answer that comes at less than [`LEAST`] bytes in this time is given up: a server that drips a byte a second is never
/// silent, and would hold a file for as long as a large one may take.
const DRIP: Duration = Duration::from_secs(10);
/// See [`DRIP`].
const LEAST: usize = 1000;
/// The longest a small request may take in all. Jobs are never waited for inside a request.
const TOTAL: Duration = Duration::from_secs(60);
/// A 16-bit 4K PNG sent over the socket passes 16 MiB (reference/comfyui.md §3).
const SOCKET_LIMIT: usize = 128 << 20;

/// An open socket to a service.
pub type Socket = WebSocketStream<reqwest::Upgraded>;

/// Why a request to a service failed. The text is for a person, without the URL's secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointError {
    /// No connection, or it broke, or it was silent for too long.
    Unreachable(String),
    /// It answered, but not with what was asked for: a proxy's page, a wrong status, something that is not JSON.
    Unexpected {
        /// The HTTP status.
        status: u16,
        /// What it means and what to do.
        reason: String,
    },
    /// The answer is over the limit given.
    TooLarge(String),
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(reason) | Self::TooLarge(reason) | Self::Unexpected { reason, .. } => f.write_str(reason),
        }
    }
}

impl std::error::Error for EndpointError {}

/// An answer in JSON, with its status: ComfyUI explains refusals in the body of a 400.
#[derive(Debug)]
pub struct JsonAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Value,
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Endpoint {
    client: reqwest::Client,
    base: Url,
    auth: ServiceAuth,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({}, {})", self.base, self.auth.word())
    }
}

impl Endpoint {
    /// The client that all endpoints share: no redirects (a service must not send the hub elsewhere), no proxy from the
    /// environment (addresses are the owner's own words), no cookies.
    pub fn client() -> reqwest::Result<reqwest::Client> {
        reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(SILENCE)
            .tcp_nodelay(true)
            .user_agent(concat!("central-mcp/", env!("CARGO_PKG_VERSION")))
            .build()
    }

    /// An endpoint at `base`, whose path is kept as a prefix.
    pub fn new(client: reqwest::Client, base: &Url, auth: ServiceAuth) -> Self {
        Self { client, base: base.clone(), auth }
    }

    /// `GET path`, parsed as JSON; anything but 200 is an error.
    pub async fn get_json(&self, path: &str, query: &[(&str, &str)], limit: usize) -> Result<Value, EndpointError> {
        let answer = self.json(self.request(Method::GET, path)?.query(query), limit).await?;
        if answer.status == 200 {
            return Ok(answer.body);
        }
        Err(self.unexpected(answer.status, &answer.body.to_string()))
    }

    /// `POST path` with a JSON body; the answer must be JSON (or empty) with any status.
    pub async fn post_json(&self, path: &str, body: &Value, limit: usize) -> Result<JsonAnswer, EndpointError> {
        self.json(self.request(Method::POST, path)?.json(body), limit).await
    }

    /// `GET path` as bytes, with no limit on the total time (files over slow lines), only on silence, dripping and size.
    pub async fn get_bytes(&self, path: &str, query: &[(&str, &str)], limit: usize) -> Result<Bytes, EndpointError> {
        let response = self.send(self.request(Method::GET, path)?.query(query)).await?;
        let status = response.status();
        if status != StatusCode::OK {
            let body = read(response, 4096).await.unwrap_or_default();
            return Err(self.unexpected(status.as_u16(), &String::from_utf8_lossy(&body)));
        }
        read(response, limit).await
    }

    /// `POST path` as multipart form; the answer must be JSON.
    pub async fn post_form(&self, path: &str, form: reqwest::multipart::Form) -> Result<JsonAnswer, EndpointError> {
        self.json(self.request(Method::POST, path)?.multipart(form), 1 << 20).await
    }

    /// Opens a WebSocket at `path`, with the same credential and rules as every request.
    pub async fn socket(&self, path: &str, query: &[(&str, &str)]) -> Result<Socket, EndpointError> {
        let request = self
            .request(Method::GET, path)?
            .query(query)
            .version(reqwest::Version::HTTP_11)
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, tokio_tungstenite::tungstenite::handshake::client::generate_key());
        let response = tokio::time::timeout(SILENCE, self.send(request)).await.map_err(|_| self.silent(SILENCE))??;
        let status = response.status();
        if status != StatusCode::SWITCHING_PROTOCOLS {
            let body = read(response, 4096).await.unwrap_or_default();
            return Err(self.unexpected(status.as_u16(), &String::from_utf8_lossy(&body)));
        }
        let upgraded = response.upgrade().await.map_err(|error| self.unreachable(&error))?;
        let config = WebSocketConfig::default().max_message_size(Some(SOCKET_LIMIT)).max_frame_size(Some(SOCKET_LIMIT));
        Ok(WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await)
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, EndpointError> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| EndpointError::Unreachable(format!("{} cannot be a service's address", self.base)))?
            .pop_if_empty()
            .extend(path.trim_start_matches('/').split('/'));
        let request = self.client.request(method, url);
        Ok(match &self.auth {
            ServiceAuth::None => request,
            ServiceAuth::Bearer { token } => request.bearer_auth(token),
            ServiceAuth::Basic { user, password } => request.basic_auth(user, Some(password)),
            ServiceAuth::Headers { headers } => {
                headers.iter().fold(request, |request, (name, value)| request.header(name, value))
            }
        })
    }

    async fn send(&self, request: RequestBuilder) -> Result<reqwest::Response, EndpointError> {
        request.send().await.map_err(|error| self.unreachable(&error))
    }

    async fn json(&self, request: RequestBuilder, limit: usize) -> Result<JsonAnswer, EndpointError> {
        let ask = async {
            let response = self.send(request).await?;
            let status = response.status().as_u16();
            let is_json = response
                .headers()
                .get(header::CONTENT_TYPE)
                .and_then(|value| value.to_str().ok())
                .is_some_and(|value| value.starts_with("application/json"));
            let body = read(response, limit).await?;
            if body.is_empty() && status < 300 {
                return Ok(JsonAnswer { status, body: Value::Null });
            }
            // A proxy in front answers for a sleeping server in HTML, sometimes with status 200: judge by the type.
            if !is_json {
                return Err(self.unexpected(status, &String::from_utf8_lossy(&body)));
            }
            let body = serde_json::from_slice(&body).map_err(|_| self.unexpected(status, "broken JSON"))?;
            Ok(JsonAnswer { status, body })
        };
        tokio::time::timeout(TOTAL, ask).await.map_err(|_| self.silent(TOTAL))?
    }

    fn host(&self) -> String {
        let port = self.base.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}{port}", self.base.host_str().unwrap_or("?"))
    }

    fn silent(&self, limit: Duration) -> EndpointError {
        EndpointError::Unreachable(format!(
            "{} took longer than {} s to answer; is it overloaded?",
            self.host(),
            limit.as_secs()
        ))
    }

    fn unreachable(&self, error: &reqwest::Error) -> EndpointError {
        let why = if error.is_timeout() {
            format!("gave no answer within {} s", SILENCE.as_secs())
        } else if error.is_connect() {
            format!("cannot be connected to ({})", root(error))
        } else {
            format!("broke the connection ({})", root(error))
        };
        EndpointError::Unreachable(format!("{} {why}; is the service running and the address right?", self.host()))
    }

    fn unexpected(&self, status: u16, body: &str) -> EndpointError {
        let host = self.host();
        let reason = match status {
            300..=399 => format!(
                "{host} redirects elsewhere (status {status}); enter the final address, redirects are not followed"
            ),
            401 => format!("{host} wants a credential (status 401); set the service's authentication"),
            403 if body.is_empty() => {
                format!(
                    "{host} refuses this Host or Origin (status 403, empty); start ComfyUI with --listen or fix the proxy in front"
                )
            }
            403 => format!("{host} refuses the credential (status 403); check the service's authentication"),
            404 => format!("{host} has no such address (status 404); is it a ComfyUI server, and is the path right?"),
            413 => format!(
                "{host} says the request is too large (status 413); raise --max-upload-size or send a smaller picture"
            ),
            502..=504 | 520..=530 => {
                format!("a proxy in front of {host} says it is not up (status {status}); it may still be starting")
            }
            200..=299 => format!(
                "{host} did not answer like ComfyUI (status {status}, not JSON); is something else at this address?"
            ),
            _ => format!("{host} answered with status {status}"),
        };
        EndpointError::Unexpected { status, reason }
    }
}

/// The innermost cause, which names the fault ("connection refused") without the URL.
fn root(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// Reads a body of at most `limit` bytes, and stops at the first byte over it.
async fn read(response: reqwest::Response, limit: usize) -> Result<Bytes, EndpointError> {
    let too_large =
        || EndpointError::TooLarge(format!("the service's answer is over {} MiB; it was cut off", limit >> 20));
    if response.content_length().is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    let mut stream = response.bytes_stream();
    // Since when, and how much there was then. Counted from the first byte: before it there is silence, which has its limit.
    let mut pace: Option<(Stopwatch, usize)> = None;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| {
            EndpointError::Unreachable(format!("the service broke off its answer ({})", root(&error)))
        })?;
        if body.len() + chunk.len() > limit {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
        let (since, before) = *pace.get_or_insert_with(|| (Stopwatch::start(), body.len()));
        if since.elapsed() >= DRIP {
            let (came, seconds) = (body.len() - before, since.elapsed().as_secs());
            if came < LEAST {
                return Err(EndpointError::Unreachable(format!(
                    "the service sent only {came} bytes in {seconds} s; is it overloaded, or the line to it bad?"
                )));
            }
            pace = Some((Stopwatch::start(), body.len()));
        }
    }
    Ok(body.freeze())
}
