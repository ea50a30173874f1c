//! The sockets of terminals: `GET /terminals/{name}/ws` for those who are known, `GET /s/ws` for guests of a share link.
//!
//! The words on them are in `terminals/model.rs`, and in ARCHITECTURE.md for people who write a client. A browser comes with its
//! cookie and, as a subprotocol, a ticket that only our own page can have got; a program comes with a bearer token.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use axum::{
    Extension,
    extract::{
        Path, State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    },
    http::{HeaderMap, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures_util::{
    FutureExt as _, SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use tokio::sync::{mpsc, watch};

use super::{Visit, serve::Shared, visit::Credential};
use crate::{
    clock::Stopwatch,
    error::{Error, Failure, FailureKind},
    terminals::{Closing, Eyes, FRAME, Hands, JSON, Next, Notice, Pace, Request, SUBPROTOCOL, Said, Who},
};

/// What a socket reads at once, and what waits to be sent together: little, since there may be a thousand.
const BUFFER: usize = 1 << 10;
/// After so many pings without a word the viewer is gone. Browsers answer them by themselves.
const SILENT: u32 = 3;
/// When a viewer is taken for gone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// How often a ping is sent.
    pub(super) ping: Duration,
    /// A viewer that takes nothing for so long is gone; a sleeping laptop comes back by itself.
    pub(super) stalled: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { ping: Duration::from_secs(30), stalled: Duration::from_secs(60) }
    }
}

/// How often it is asked whether the credential still holds, beside every event.
const LOOK: Duration = Duration::from_secs(5);
/// A viewer whose credential could not be checked so often in a row is sent away, to come back later.
const UNKNOWN: u32 = 3;
/// Facts beside the screen change no faster than this: a thousand viewers that come at once are told of in few words.
const FACTS: Duration = Duration::from_millis(200);
/// Client frames a second, and as many at once; typing, pasting and mouse reports stay far below.
const FRAMES: u32 = 400;

/// The socket of somebody known.
pub(super) async fn known(
    State(shared): State<Arc<Shared>>,
    Extension(visit): Extension<Visit>,
    Path(name): Path<String>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Error> {
    let who = Who::Known(visit.caller()?.clone());
    if !matches!(visit.credential, Some(Credential::Token(_))) {
        admit(&shared, &who, &name, &headers)?;
    }
    let address = visit.visitor.address.clone();
    let pass = Arc::new(Pass::new(&shared, visit));
    let watched = pass.clone();
    let entry = Entry { who, name, address, pass: Some(pass) };
    Ok(open(shared, upgrade, entry, async move { watched.withdrawn().await }))
}

/// A browser: from our own page, with a ticket.
pub(super) fn admit(shared: &Shared, who: &Who, name: &str, headers: &HeaderMap) -> Result<(), Failure> {
    let refused = |why: &str| Err(Failure::new(FailureKind::Forbidden, why));
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (origin, host) = (text(header::ORIGIN), text(header::HOST));
    // The host is one of our own names already; a page of ours has it as its origin.
    if origin.split_once("://").map(|(_, rest)| rest.to_ascii_lowercase()) != Some(host.to_ascii_lowercase()) {
        return refused("a terminal opens from the hub's own pages; a program sends a token instead");
    }
    let offered = text(header::SEC_WEBSOCKET_PROTOCOL).split(',').map(str::trim);
    let ticket = offered.filter_map(|word| word.strip_prefix("ticket.")).next().unwrap_or_default();
    if !shared.hub.terminals.redeem(who, name, ticket) {
        return refused("this ticket is not valid: used, too old, or another's; load the page again");
    }
    Ok(())
}

/// What somebody known came with: looked at again and again, for it may be revoked, and whoever typed may no more.
pub(super) struct Pass {
    shared: Arc<Shared>,
    visit: Visit,
    events: watch::Receiver<i64>,
    /// The newest event when it was last found to hold: without another one nobody's rights have changed.
    held: AtomicI64,
}

impl Pass {
    fn new(shared: &Arc<Shared>, visit: Visit) -> Self {
        let events = shared.hub.events.follow();
        let held = AtomicI64::new(*events.borrow());
        Self { shared: shared.clone(), visit, events, held }
    }

    /// Whether something has happened since it was looked at.
    fn stale(&self) -> bool {
        *self.events.borrow() != self.held.load(Ordering::Relaxed)
    }

    /// Whether it holds, with the same rights as before.
    async fn holds(&self) -> Result<bool, Error> {
        let newest = *self.events.borrow();
        let Some(credential) = &self.visit.credential else { return Ok(false) };
        let now = credential.still(&self.shared.hub.auth).await?;
        let same = now.is_some() && now.map(|now| now.role) == self.visit.caller.as_ref().map(|before| before.role);
        self.held.store(newest, Ordering::Relaxed);
        Ok(same)
    }

    /// Ends when it no longer holds, or that cannot be found out.
    async fn withdrawn(&self) -> Closing {
        let (mut events, mut unknown) = (self.events.clone(), 0);
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                result = events.changed() => if result.is_err() { return Closing::Restart },
            }
            match self.holds().await {
                Ok(true) => {
                    unknown = 0;
                    // The socket is open, so it answers to pings: a sign of life, at most as old as a silence may be.
                    if let Some(caller) = &self.visit.caller {
                        self.shared.hub.auth.heartbeat(caller);
                    }
                }
                Ok(false) => return Closing::Withdrawn,
                Err(error) => {
                    tracing::warn!(%error, "a viewer's credential cannot be checked now");
                    unknown += 1;
                    if unknown == UNKNOWN {
                        return Closing::Later;
                    }
                }
            }
            // A thousand viewers that come at once are a thousand events; each viewer looks once a second.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

/// Who wants in, and where.
pub(super) struct Entry {
    pub(super) who: Who,
    pub(super) name: String,
    pub(super) address: String,
    /// What they came with; a guest of a share link may do nothing that must be asked for.
    pub(super) pass: Option<Arc<Pass>>,
}

/// Answers the upgrade request, and holds the socket until `over` says why no longer.
pub(super) fn open(
    shared: Arc<Shared>,
    upgrade: WebSocketUpgrade,
    entry: Entry,
    over: impl Future<Output = Closing> + Send + 'static,
) -> Response {
    upgrade
        .protocols([SUBPROTOCOL])
        .max_message_size(FRAME)
        .max_frame_size(FRAME)
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .on_upgrade(move |socket| {
            let tasks = shared.hub.tasks.clone();
            // Each viewer's task is as large as all that it may ever wait for. What a future is handed, it keeps a place for to
            // its end: so it is handed the halves and a box, and what is seldom waited for is boxed below.
            let (sink, stream) = socket.split();
            tasks.track_future(hold(shared, entry, sink, stream, Box::pin(over)))
        })
        .into_response()
}

/// What the half that listens has for the half that shows.
enum Aside {
    /// They want a sign of life.
    Alive,
    /// What they asked was not done, and why.
    Refused(String),
    /// Whether they see the terminal, or another page.
    Visible(bool),
}

/// Serves one socket to its end.
async fn hold(
    shared: Arc<Shared>,
    entry: Entry,
    sink: SplitSink<WebSocket, Message>,
    stream: SplitStream<WebSocket>,
    over: Pin<Box<dyn Future<Output = Closing> + Send>>,
) {
    metrics::gauge!("central_mcp_viewers").increment(1.0);
    let mut sink = Sink { sink, stalled: shared.patience.stalled };
    let joined = Box::pin(shared.hub.terminals.join(entry.who, &entry.name, &entry.address)).await;
    match joined {
        Ok((hands, eyes)) => {
            let (say, said) = mpsc::channel(8);
            let heard = AtomicBool::new(true);
            let why = tokio::select! {
                biased;
                // First, since who types waits for it.
                why = listen(&hands, entry.pass.as_deref(), stream, say, &heard) => why,
                why = look(&hands, eyes, &mut sink, said, &heard, shared.patience.ping) => why,
                why = over => Some(why),
                () = shared.hub.stop.cancelled() => Some(Closing::Restart),
            };
            hands.leave();
            if let Some(why) = why {
                close(&mut sink, why, why.words()).await;
            }
        }
        Err(error) => {
            let failure = Failure::from(error);
            let why = match failure.kind {
                FailureKind::NotFound | FailureKind::Invalid => Closing::Ended,
                FailureKind::TooMany => Closing::TooMuch,
                FailureKind::Unauthorized | FailureKind::Forbidden => Closing::Withdrawn,
                FailureKind::Conflict | FailureKind::Outside | FailureKind::Internal => Closing::Later,
            };
            close(&mut sink, why, &failure.message).await;
        }
    }
    metrics::gauge!("central_mcp_viewers").decrement(1.0);
}

/// The way to the viewer.
struct Sink {
    sink: SplitSink<WebSocket, Message>,
    stalled: Duration,
}

impl Sink {
    /// Keeps a frame until the next is sent. `None` when the viewer is gone.
    async fn feed(&mut self, frame: Bytes) -> Option<()> {
        self.sink.feed(Message::Binary(frame)).await.ok()
    }

    /// Sends what was kept. `None` when the viewer is gone.
    async fn flush(&mut self) -> Option<()> {
        self.sink.flush().await.ok()
    }

    /// `None` when the viewer is gone.
    async fn send(&mut self, message: Message) -> Option<()> {
        tokio::time::timeout(self.stalled, self.sink.send(message)).await.ok()?.ok()
    }
}

async fn close(sink: &mut Sink, why: Closing, words: &str) {
    // A close frame has room for 123 bytes of words.
    let mut end = words.len().min(120);
    while !words.is_char_boundary(end) {
        end -= 1;
    }
    let frame = CloseFrame { code: why.code(), reason: words[..end].into() };
    // Who does not read does not need to know.
    let _ = tokio::time::timeout(Duration::from_secs(2), sink.sink.send(Message::Close(Some(frame)))).await;
}

/// Shows the terminal, and says what is to be said. Ends with what the viewer is told; `None` when they are gone.
async fn look(
    hands: &Hands,
    mut eyes: Eyes,
    sink: &mut Sink,
    mut said: mpsc::Receiver<Aside>,
    heard: &AtomicBool,
    ping: Duration,
) -> Option<Closing> {
    let Eyes { screen, changed } = &mut eyes;
    let mut ping = tokio::time::interval(ping);
    ping.reset();
    changed.mark_unchanged();
    // Facts and picture in one packet: who joins waits for both.
    let picture = screen.next(Pace::Now).now_or_never();
    sink.feed(notice(&hands.state())).await?;
    match picture {
        Some(Next::Bytes(bytes)) => sink.send(Message::Binary(bytes)).await?,
        _ => sink.flush().await?,
    }
    let mut facts = Stopwatch::start();
    let (mut visible, mut silent) = (true, 0);
    loop {
        let pace = match visible {
            false => Pace::Slow,
            true if hands.holds() => Pace::Now,
            true => Pace::Calm,
        };
        let wait = FACTS.saturating_sub(facts.elapsed());
        tokio::select! {
            biased;
            aside = said.recv() => match aside? {
                Aside::Alive => sink.send(Message::Binary(notice(&Notice::Alive))).await?,
                Aside::Refused(why) => sink.send(Message::Binary(notice(&Notice::Refused { why }))).await?,
                Aside::Visible(on) => visible = on,
            },
            () = later(changed, wait) => {
                changed.mark_unchanged();
                facts = Stopwatch::start();
                sink.send(Message::Binary(notice(&hands.state()))).await?;
            }
            // Before the screen: while a slow viewer is sent one picture the next is ready, and who gets no ping answers none.
            _ = ping.tick() => {
                silent = if heard.swap(false, Ordering::Relaxed) { 0 } else { silent + 1 };
                if silent == SILENT {
                    return None;
                }
                sink.send(Message::Ping(Bytes::new())).await?;
            }
            next = screen.next(pace) => match next {
                Next::Bytes(bytes) => sink.send(Message::Binary(bytes)).await?,
                Next::Resized(..) => sink.send(Message::Binary(notice(&hands.state()))).await?,
                Next::Untyped(why) if hands.holds() => {
                    sink.send(Message::Binary(notice(&Notice::Refused { why: why.to_string() }))).await?;
                }
                // Some programs set it many times a second.
                Next::Titled => changed.mark_changed(),
                Next::Untyped(_) => {}
                Next::Ended => return Some(Closing::Ended),
            },
        }
    }
}

/// Ends when something changed, but not before `wait` is over.
async fn later(changed: &mut watch::Receiver<()>, wait: Duration) {
    if changed.changed().await.is_err() {
        return std::future::pending().await;
    }
    changed.mark_changed();
    tokio::time::sleep(wait).await;
}

fn notice(notice: &Notice) -> Bytes {
    let mut frame = vec![JSON];
    // Plain structs of numbers and texts: writing them to memory cannot fail.
    let _ = serde_json::to_writer(&mut frame, notice);
    frame.into()
}

/// Does what the viewer sends. Ends like [`look`].
async fn listen(
    hands: &Hands,
    pass: Option<&Pass>,
    mut stream: SplitStream<WebSocket>,
    say: mpsc::Sender<Aside>,
    heard: &AtomicBool,
) -> Option<Closing> {
    let (mut second, mut frames) = (Stopwatch::start(), 0);
    loop {
        let frame = stream.next().await?;
        heard.store(true, Ordering::Relaxed);
        let frame = match frame {
            Ok(Message::Binary(bytes)) => bytes,
            Ok(Message::Text(text)) => text.into(),
            Ok(Message::Ping(_) | Message::Pong(_)) => continue,
            Ok(Message::Close(_)) => return None,
            Err(error) => return too_large(error).then_some(Closing::TooMuch),
        };
        if second.elapsed() >= Duration::from_secs(1) {
            (second, frames) = (Stopwatch::start(), 0);
        }
        frames += 1;
        if frames > FRAMES {
            return Some(Closing::TooMuch);
        }
        let said = Said::read(&frame);
        let acts = !matches!(said, None | Some(Said::Asked(Request::Alive | Request::Visible { .. })));
        if let Some(pass) = pass.filter(|pass| acts && pass.stale()) {
            match Box::pin(pass.holds()).await {
                Ok(true) => {}
                Ok(false) => return Some(Closing::Withdrawn),
                Err(error) => {
                    tracing::warn!(%error, "a viewer's credential cannot be checked now");
                    let why = "the hub cannot check now whether you may; nothing was done".to_owned();
                    say.send(Aside::Refused(why)).await.ok()?;
                    continue;
                }
            }
        }
        let done = match said {
            Some(Said::Typed(bytes)) => hands.typed(bytes).await,
            Some(Said::Asked(Request::Alive)) => {
                say.send(Aside::Alive).await.ok()?;
                continue;
            }
            Some(Said::Asked(Request::Visible { on })) => {
                say.send(Aside::Visible(on)).await.ok()?;
                continue;
            }
            Some(Said::Asked(request)) => Box::pin(hands.ask(request)).await,
            None => return Some(Closing::NotUnderstood),
        };
        if let Err(error) = done {
            say.send(Aside::Refused(Failure::from(error).message)).await.ok()?;
        }
    }
}

fn too_large(error: axum::Error) -> bool {
    use tokio_tungstenite::tungstenite::Error;
    error.into_inner().downcast::<Error>().is_ok_and(|error| matches!(*error, Error::Capacity(_)))
}
