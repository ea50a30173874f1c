//! MCP over WebSocket, on the same path: subprotocol `mcp`, one JSON-RPC message a text frame, both eras inside. No part of
//! the specification, but Claude Code and the first TypeScript SDK speak it, and it costs half of what HTTP does.
//!
//! Who it is was decided by the upgrade request; the socket ends when that token does. Cancellation is
//! `notifications/cancelled`, as on stdio.

use std::{
    borrow::Cow,
    pin::pin,
    sync::{Arc, PoisonError},
    time::Duration,
};

use axum::{
    Json,
    extract::{
        FromRequestParts as _, Request,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code},
    },
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use rmcp::{
    RoleServer, ServerHandler,
    model::{
        ClientJsonRpcMessage, ClientNotification, ClientRequest, ErrorCode, JsonRpcMessage, JsonRpcNotification,
        RequestId,
    },
    service::{RxJsonRpcMessage, TxJsonRpcMessage, serve_server_with_ct},
    transport::{Transport, TransportAdapterIdentity},
};
use serde_json::Value;
use tokio::{
    sync::{Mutex, mpsc},
    time::MissedTickBehavior,
};
use tokio_util::sync::CancellationToken;

use super::{
    http,
    places::Place,
    seat::Seat,
    state::{Entry, MESSAGE, Shared},
};
use crate::{clock::Stopwatch, error::Failure};

/// The subprotocol that clients ask for.
const SUBPROTOCOL: &str = "mcp";
/// Buffers of an idle socket: small, since most sockets idle.
const BUFFER: usize = 4 << 10;
/// Messages that wait to be taken up.
const BACKLOG: usize = 16;
/// How often a ping is sent. After three without a word the client is gone.
const PING: Duration = Duration::from_secs(30);
/// How long a client may take to read one message: so long, and a second more for each [`PACE`] bytes of it.
const WRITE: Duration = Duration::from_secs(30);
/// Bytes a second of a link that is slow and still of use.
const PACE: u64 = 32 << 10;

/// Whether the request wants to become a WebSocket.
pub(super) fn asked_for(headers: &HeaderMap) -> bool {
    let upgrade = headers.get(header::UPGRADE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    upgrade.eq_ignore_ascii_case("websocket")
}

/// Answers the upgrade request, and holds the socket.
pub(super) async fn upgrade<F: ServerHandler>(entry: Entry<F>, seat: Seat, place: Place, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade.protocols([SUBPROTOCOL]),
        Err(rejection) => return rejection.into_response(),
    };
    if upgrade.selected_protocol().is_none() {
        let failure = Failure::invalid("a WebSocket here speaks MCP; open it with the subprotocol \"mcp\"");
        return (StatusCode::BAD_REQUEST, Json(failure)).into_response();
    }
    let tasks = entry.mcp.hub.tasks.clone();
    upgrade
        .max_message_size(MESSAGE)
        .max_frame_size(MESSAGE)
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .on_upgrade(move |socket| {
            tasks.track_future(async move {
                hold(entry, seat, socket).await;
                drop(place);
            })
        })
}

/// Serves one socket to its end.
async fn hold<F: ServerHandler>(entry: Entry<F>, seat: Seat, socket: WebSocket) {
    metrics::gauge!("central_mcp_sockets").increment(1.0);
    let (sink, stream) = socket.split();
    let (sender, receiver) = mpsc::channel(BACKLOG);
    let writer = Writer { sink: Arc::new(Mutex::new(sink)), broken: CancellationToken::new(), reading: Arc::default() };
    let line = Line { writer: writer.clone(), receiver };
    let end = CancellationToken::new();
    let mut serving = pin!(serve(entry.front(), line, end.clone()));
    let why = tokio::select! {
        () = &mut serving => End::Gone,
        why = read(&entry.mcp, &seat, stream, &writer, sender) => {
            // Calls that wait hear of it; what they wait for goes on.
            end.cancel();
            serving.await;
            why
        }
    };
    if let Some((code, reason)) = why.frame() {
        let frame = CloseFrame { code, reason: reason.into() };
        let _ = writer.send(Message::Close(Some(frame))).await;
    }
    metrics::gauge!("central_mcp_sockets").decrement(1.0);
}

async fn serve(door: impl ServerHandler, line: Line, end: CancellationToken) {
    match serve_server_with_ct::<_, _, _, TransportAdapterIdentity>(door, line, end).await {
        Ok(running) => drop(running.waiting().await),
        Err(error) => tracing::debug!(%error, "a socket ended before it began"),
    }
}

/// Why a socket ended.
enum End {
    /// The client left, or does not read or answer any more.
    Gone,
    /// It sent a message over the limit, of which the rest was not read.
    Large,
    /// Its token is no longer valid.
    Token,
    /// The hub stops.
    Stop,
}

impl End {
    /// What the client is told.
    fn frame(&self) -> Option<(u16, &'static str)> {
        match self {
            Self::Gone => None,
            Self::Large => Some((close_code::SIZE, "a message may have 2 MiB; a picture in it 1.4 MB")),
            Self::Token => Some((close_code::POLICY, "the token is no longer valid")),
            Self::Stop => Some((close_code::RESTART, "the hub stops; connect again")),
        }
    }
}

/// Reads messages until the socket ends.
async fn read(
    mcp: &Shared,
    seat: &Seat,
    mut stream: SplitStream<WebSocket>,
    writer: &Writer,
    sender: mpsc::Sender<ClientJsonRpcMessage>,
) -> End {
    let mut gone = pin!(seat.gone(&mcp.hub.auth));
    let mut heard = Stopwatch::start();
    // The request that opened it was a call.
    let mut noted = mcp.hub.clock.now();
    let mut ping = tokio::time::interval(PING);
    // The first tick of an interval is now; the first ping is not.
    ping.reset();
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            message = stream.next() => {
                heard = Stopwatch::start();
                // Whatever came: the agent's program is there.
                mcp.hub.auth.heartbeat(&seat.caller);
                let text = match message {
                    Some(Ok(Message::Text(text))) => text,
                    Some(Ok(Message::Binary(_))) => {
                        let said = http::error(ErrorCode::INVALID_REQUEST, "send messages as text frames", &Value::Null);
                        let _ = writer.send(Message::text(said.to_string())).await;
                        continue;
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                    Some(Ok(Message::Close(_))) | None => return End::Gone,
                    Some(Err(error)) => return if is_too_large(error) { End::Large } else { End::Gone },
                };
                // Who sends too fast is read from more slowly.
                if let Err(wait) = mcp.pace.take(seat.token, mcp.hub.clock.now()) {
                    tokio::time::sleep(Duration::from_millis(wait.unsigned_abs())).await;
                }
                match take(mcp, seat, writer, &text).await {
                    Ok(message) => {
                        if is_call(&message)
                            && let Err(error) = mcp.hub.auth.called_again(&seat.caller, &mut noted).await
                        {
                            tracing::warn!(%error, "the use of a token is not written down");
                        }
                        if sender.send(message).await.is_err() {
                            return End::Gone;
                        }
                    }
                    Err(said) => {
                        let _ = writer.send(Message::text(said.to_string())).await;
                    }
                }
            }
            _ = ping.tick() => {
                // While a large answer is on its way, that is the sign of life.
                if writer.sink.try_lock().is_err() {
                    heard = Stopwatch::start();
                } else if heard.elapsed() > PING * 3 || writer.send(Message::Ping(bytes::Bytes::new())).await.is_err() {
                    return End::Gone;
                }
            }
            () = &mut gone => return End::Token,
            () = writer.broken.cancelled() => return End::Gone,
            () = mcp.hub.stop.cancelled() => return End::Stop,
        }
    }
}

/// Whether it asks for something: a `ping`, an answer and a notification do not.
fn is_call(message: &ClientJsonRpcMessage) -> bool {
    matches!(message, JsonRpcMessage::Request(it) if !matches!(it.request, ClientRequest::PingRequest(_)))
}

fn is_too_large(error: axum::Error) -> bool {
    use tokio_tungstenite::tungstenite::Error;
    error.into_inner().downcast::<Error>().is_ok_and(|error| matches!(*error, Error::Capacity(_)))
}

/// One frame as a message with its sender, or the error to answer with.
async fn take(mcp: &Shared, seat: &Seat, writer: &Writer, text: &str) -> Result<ClientJsonRpcMessage, Value> {
    let method = http::method(text.as_bytes());
    if http::too_large(text.as_bytes(), method.as_deref()) {
        return Err(http::error(ErrorCode::INVALID_REQUEST, http::TOO_LARGE, &Value::Null));
    }
    let mut message: ClientJsonRpcMessage = serde_json::from_str(text).map_err(|_| {
        let (code, said, id) = http::what_is_wrong(text.as_bytes());
        http::error(code, said, &id)
    })?;
    match &message {
        JsonRpcMessage::Request(request) if method.as_deref() == Some(http::READ) => {
            let Some(place) = mcp.reads.wait(seat.token, http::TURN).await else {
                return Err(http::error(ErrorCode(-32_000), http::BUSY, &request.id.clone().into_json_value()));
            };
            writer.reading().push((request.id.clone(), place));
        }
        // To what was cancelled no answer comes.
        JsonRpcMessage::Notification(JsonRpcNotification {
            notification: ClientNotification::CancelledNotification(cancelled),
            ..
        }) => writer.answered(cancelled.params.request_id.as_ref()),
        _ => {}
    }
    message.insert_extension(seat.clone());
    Ok(message)
}

/// Why a message could not be sent.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("the client does not read")]
    Slow,
    #[error("the socket broke: {0}")]
    Broken(#[from] axum::Error),
    #[error("the message cannot be written: {0}")]
    Json(#[from] serde_json::Error),
}

/// The writing half. Cheap to clone.
#[derive(Clone)]
struct Writer {
    sink: Arc<Mutex<SplitSink<WebSocket, Message>>>,
    /// Fires when there is no use in writing more.
    broken: CancellationToken,
    /// The requests whose answers may be large, and the place that each holds until its answer is out.
    reading: Arc<std::sync::Mutex<Vec<(RequestId, Place)>>>,
}

impl Writer {
    async fn send(&self, message: Message) -> Result<(), WriteError> {
        let bytes = if let Message::Text(text) = &message { text.len() as u64 } else { 0 };
        let most = WRITE + Duration::from_secs(bytes / PACE);
        let mut sink = self.sink.lock().await;
        let result = match tokio::time::timeout(most, sink.send(message)).await {
            Ok(result) => result.map_err(WriteError::from),
            Err(_) => Err(WriteError::Slow),
        };
        result.inspect_err(|_| self.broken.cancel())
    }

    fn reading(&self) -> std::sync::MutexGuard<'_, Vec<(RequestId, Place)>> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the place of one request with this id back.
    fn answered(&self, id: Option<&RequestId>) {
        let mut reading = self.reading();
        if let Some(n) = reading.iter().position(|(reading, _)| Some(reading) == id) {
            reading.swap_remove(n);
        }
    }
}

/// The socket as the SDK sees it.
struct Line {
    writer: Writer,
    receiver: mpsc::Receiver<ClientJsonRpcMessage>,
}

impl Transport<RoleServer> for Line {
    type Error = WriteError;

    fn name() -> Cow<'static, str> {
        "websocket".into()
    }

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let writer = self.writer.clone();
        async move {
            let sent = writer.send(Message::text(serde_json::to_string(&item)?)).await;
            match &item {
                JsonRpcMessage::Response(response) => writer.answered(Some(&response.id)),
                JsonRpcMessage::Error(error) => writer.answered(error.id.as_ref()),
                _ => {}
            }
            sent
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        self.receiver.recv().await
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.receiver.close();
        Ok(())
    }
}
