//! The other end, for clients that know nothing but stdio: carries lines to a hub's WebSocket and back.
//!
//! It understands just enough to survive a restart of the hub: the client's `initialize` is said again on the new socket and
//! its second answer kept back, and calls that were out are answered with an error that says so.

use std::{
    collections::{HashMap, VecDeque},
    pin::pin,
    time::Duration,
};

use anyhow::{Context as _, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{StatusCode, header};
use serde_json::{Value, json};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _, Lines};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::client::generate_key,
        protocol::{Role, WebSocketConfig},
    },
};
use url::Url;

/// Largest message from the hub: a picture of 12 MB in base64.
const MESSAGE: usize = 32 << 20;
/// The first and the longest pause before the hub is dialled again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));
/// Lines of the client that are kept while the hub is away.
const UNSENT: usize = 100;
/// How long answers are waited for after the client has closed its side.
const LAST: Duration = Duration::from_secs(600);

pub(super) type Socket = WebSocketStream<reqwest::Upgraded>;

/// Where to, and as whom.
#[derive(Clone)]
pub struct Bridge {
    /// The hub's address, with or without `/mcp`.
    pub url: Url,
    /// The agent's token.
    pub token: String,
}

impl std::fmt::Debug for Bridge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bridge({})", self.url)
    }
}

/// Carries lines from `input` to the hub and from the hub to `output`, until `input` ends.
pub async fn carry(
    bridge: &Bridge,
    input: impl AsyncBufRead + Unpin,
    output: impl AsyncWrite + Unpin,
) -> anyhow::Result<()> {
    let client = reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(10))
        .redirect(reqwest::redirect::Policy::none())
        .tcp_nodelay(true)
        .user_agent(concat!("central-mcp/", env!("CARGO_PKG_VERSION")))
        .build()?;
    let mut carrier = Carrier { lines: input.lines(), output, talk: Talk::default(), unsent: VecDeque::new() };
    // The first time a wrong address or token should be told, not tried for ever.
    let mut socket = dial(&client, bridge).await?;
    loop {
        if carrier.until_lost(&mut socket).await? {
            let _ = socket.close(None).await;
            return Ok(());
        }
        tracing::warn!("the hub is lost; dialling again");
        carrier.answer_lost().await?;
        match carrier.redial(&client, bridge).await? {
            Some(again) => socket = again,
            None => return Ok(()),
        }
    }
}

/// What must be known of the talk to take it up again.
#[derive(Default)]
struct Talk {
    /// The client's `initialize`, and what it said when it was ready.
    opening: Vec<String>,
    /// Requests that are out, by their id as text.
    out: HashMap<String, Value>,
}

impl Talk {
    /// Notes a line of the client.
    fn heard(&mut self, line: &str) {
        let Ok(message) = serde_json::from_str::<Value>(line) else { return };
        match message.get("method").and_then(Value::as_str) {
            Some("initialize") => self.opening = vec![line.to_owned()],
            // A cancelled call gets no answer.
            Some("notifications/cancelled") => {
                self.out.remove(&message["params"]["requestId"].to_string());
            }
            Some("notifications/initialized") if self.opening.len() == 1 => self.opening.push(line.to_owned()),
            _ => {}
        }
        if let (Some(id), Some(_)) = (message.get("id"), message.get("method")) {
            self.out.insert(id.to_string(), id.clone());
        }
    }

    /// Notes a message of the hub.
    fn said(&mut self, text: &str) {
        let Ok(message) = serde_json::from_str::<Value>(text) else { return };
        if let Some(id) = message.get("id").filter(|_| message.get("method").is_none()) {
            self.out.remove(&id.to_string());
        }
    }
}

struct Carrier<I, O> {
    lines: Lines<I>,
    output: O,
    talk: Talk,
    /// What the client said while the hub was away.
    unsent: VecDeque<String>,
}

impl<I: AsyncBufRead + Unpin, O: AsyncWrite + Unpin> Carrier<I, O> {
    /// Carries until the client has ended (`true`) or the hub is lost (`false`).
    async fn until_lost(&mut self, socket: &mut Socket) -> anyhow::Result<bool> {
        let mut open = true;
        let mut last = Box::pin(tokio::time::sleep(LAST));
        while let Some(line) = self.unsent.pop_front() {
            self.talk.heard(&line);
            if socket.send(Message::text(line)).await.is_err() {
                return Ok(false);
            }
        }
        loop {
            if !open && self.talk.out.is_empty() {
                return Ok(true);
            }
            tokio::select! {
                line = self.lines.next_line(), if open => match line.context("cannot read standard input")? {
                    None => {
                        open = false;
                        last.set(tokio::time::sleep(LAST));
                    }
                    Some(line) if line.trim().is_empty() => {}
                    Some(line) => {
                        self.talk.heard(&line);
                        if socket.send(Message::text(line)).await.is_err() {
                            return Ok(false);
                        }
                    }
                },
                message = socket.next() => match message {
                    Some(Ok(Message::Text(text))) => {
                        self.talk.said(&text);
                        self.write(&text).await?;
                    }
                    Some(Ok(Message::Close(frame))) => {
                        if let Some(frame) = frame.filter(|frame| u16::from(frame.code) == 1008) {
                            bail!("the hub ended the connection: {}", frame.reason);
                        }
                        return Ok(false);
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return Ok(false),
                },
                () = &mut last, if !open => bail!("the hub did not answer the last calls"),
            }
        }
    }

    /// Opens the socket again; `None` if the client has ended meanwhile, which nobody would tell otherwise.
    async fn redial(&mut self, client: &reqwest::Client, bridge: &Bridge) -> anyhow::Result<Option<Socket>> {
        let mut dialling = pin!(redial(client, bridge, &self.talk));
        loop {
            tokio::select! {
                socket = &mut dialling => return socket.map(Some),
                line = self.lines.next_line(), if self.unsent.len() < UNSENT => {
                    match line.context("cannot read standard input")? {
                        None => return Ok(None),
                        Some(line) => self.unsent.push_back(line),
                    }
                }
            }
        }
    }

    /// Answers the calls that were out when the hub was lost.
    async fn answer_lost(&mut self) -> anyhow::Result<()> {
        // Of these nobody knows whether they were heard. What they began goes on; it can be asked for.
        for (_, id) in std::mem::take(&mut self.talk.out) {
            let message = "the hub was lost during this call; an image that it began goes on: see list_images";
            let error = json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32_000, "message": message } });
            self.write(&error.to_string()).await?;
        }
        Ok(())
    }

    async fn write(&mut self, text: &str) -> anyhow::Result<()> {
        let line = format!("{}\n", text.replace('\n', " "));
        self.output.write_all(line.as_bytes()).await.context("cannot write to standard output")?;
        self.output.flush().await.context("cannot write to standard output")
    }
}

/// Opens the socket.
pub(super) async fn dial(client: &reqwest::Client, bridge: &Bridge) -> anyhow::Result<Socket> {
    let mut url = bridge.url.clone();
    if url.path() == "/" {
        url.set_path("/mcp");
    }
    // The upgrade begins as a plain request.
    for (socket, plain) in [("ws", "http"), ("wss", "https")] {
        if url.scheme() == socket {
            url = Url::parse(&url.as_str().replacen(socket, plain, 1))?;
        }
    }
    let request = client
        .get(url.clone())
        .bearer_auth(&bridge.token)
        .version(reqwest::Version::HTTP_11)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_PROTOCOL, "mcp")
        .header(header::SEC_WEBSOCKET_KEY, generate_key());
    let response = request.send().await.with_context(|| format!("no hub answers at {url}"))?;
    match response.status() {
        StatusCode::SWITCHING_PROTOCOLS => {}
        StatusCode::UNAUTHORIZED => bail!(Refused("the hub does not know this token; make one under Settings")),
        StatusCode::FORBIDDEN => bail!(Refused("the hub refuses this connection")),
        StatusCode::MISDIRECTED_REQUEST => bail!(Refused("the hub does not answer to this name; use its own")),
        StatusCode::NOT_FOUND => bail!(Refused("there is no MCP at this address; use https://HOST/mcp")),
        status => bail!("the hub answered with status {status} at {url}"),
    }
    let upgraded = response.upgrade().await.context("the hub broke off the connection")?;
    let config = WebSocketConfig::default().max_message_size(Some(MESSAGE)).max_frame_size(Some(MESSAGE));
    Ok(WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await)
}

/// A refusal that will not go away by trying again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(&'static str);

/// Opens the socket again, however long it takes, and says the opening of the talk again.
async fn redial(client: &reqwest::Client, bridge: &Bridge, talk: &Talk) -> anyhow::Result<Socket> {
    let (mut pause, longest) = PAUSE;
    loop {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(longest);
        match dial(client, bridge).await {
            Err(error) if error.is::<Refused>() => return Err(error),
            Err(error) => tracing::debug!(%error, "the hub is not back yet"),
            Ok(mut socket) => {
                if let Ok(Ok(())) = tokio::time::timeout(longest, say_again(&mut socket, talk)).await {
                    return Ok(socket);
                }
            }
        }
    }
}

/// Says `initialize` and `initialized` again; the answer between them is read here, so that the client never sees it.
async fn say_again(socket: &mut Socket, talk: &Talk) -> anyhow::Result<()> {
    let mut opening = talk.opening.iter();
    let Some(initialize) = opening.next() else { return Ok(()) };
    socket.send(Message::text(initialize.as_str())).await?;
    while let Some(message) = socket.next().await {
        if let Message::Text(text) = message?
            && serde_json::from_str::<Value>(&text).is_ok_and(|message| message.get("result").is_some())
        {
            break;
        }
    }
    for line in opening {
        socket.send(Message::text(line.as_str())).await?;
    }
    Ok(())
}
