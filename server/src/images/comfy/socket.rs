//! The one socket to a server: opened when first wanted, kept, pinged, opened again while a job is out.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    sync::{mpsc, watch},
    time::MissedTickBehavior,
};
use tokio_tungstenite::tungstenite;
use tokio_util::sync::CancellationToken;

use super::{
    Pace,
    protocol::{self, Message},
};
use crate::{
    clock::Stopwatch,
    services::{Endpoint, Socket},
};

/// What the socket tells the job that is out.
pub(super) enum Heard {
    /// It is open, perhaps again: something may have been missed.
    Open,
    /// It is gone.
    Closed,
    /// A message.
    Message(Message),
}

/// How the socket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nobody wanted it yet, or it is being opened.
    Opening,
    /// It could not be opened; it is tried again while a job is out.
    Shut,
    /// It is open.
    Open,
}

/// The side that a draw holds.
pub(super) struct Line {
    listener: Mutex<Option<mpsc::Sender<Heard>>>,
    standing: watch::Sender<Standing>,
    /// Whether a job is out.
    wanted: watch::Sender<bool>,
    /// Counts the requests for a fresh socket.
    renew: watch::Sender<u64>,
}

impl Line {
    /// A line that is not open.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            listener: Mutex::default(),
            standing: watch::Sender::new(Standing::Opening),
            wanted: watch::Sender::new(false),
            renew: watch::Sender::new(0),
        })
    }

    /// Listens until the guard is dropped, and keeps the socket open meanwhile. There is one listener at a time.
    pub(super) fn listen(self: &Arc<Self>) -> (mpsc::Receiver<Heard>, Listening) {
        // Few messages wait at most: a slow reader slows the server down, and frames may be large.
        let (sender, receiver) = mpsc::channel(8);
        self.set_listener(Some(sender));
        self.standing.send_if_modified(|standing| {
            let shut = *standing == Standing::Shut;
            if shut {
                *standing = Standing::Opening;
            }
            shut
        });
        self.wanted.send_replace(true);
        (receiver, Listening(self.clone()))
    }

    /// Waits until the socket is open or could not be opened.
    pub(super) async fn settled(&self) -> Standing {
        let mut standing = self.standing.subscribe();
        let settled = standing.wait_for(|standing| *standing != Standing::Opening).await;
        settled.map_or(Standing::Shut, |standing| *standing)
    }

    /// Whether the socket is open.
    pub(super) fn open(&self) -> bool {
        *self.standing.borrow() == Standing::Open
    }

    /// Asks for a fresh socket: a server can forget an open one (reference/comfyui.md §3.1, file 12).
    pub(super) fn renew(&self) {
        self.renew.send_modify(|count| *count += 1);
    }

    fn set_listener(&self, listener: Option<mpsc::Sender<Heard>>) {
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = listener;
    }

    async fn tell(&self, heard: Heard) {
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(listener) = listener {
            // A listener that went away meanwhile is no fault.
            let _ = listener.send(heard).await;
        }
    }
}

/// While it lives, a job is out.
pub(super) struct Listening(Arc<Line>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.set_listener(None);
        self.0.wanted.send_replace(false);
    }
}

/// Keeps the line until `stop`.
pub(super) async fn keep(line: Arc<Line>, endpoint: Endpoint, client_id: String, pace: Pace, stop: CancellationToken) {
    let kept = async {
        let mut wanted = line.wanted.subscribe();
        let mut pause = pace.reopen;
        // The sender lives in `line`, which this holds: waiting cannot fail.
        while wanted.wait_for(|wanted| *wanted).await.is_ok() {
            match endpoint.socket("/ws", &[("clientId", &client_id)]).await {
                Ok(socket) => {
                    if hold(&line, socket, &pace).await {
                        pause = pace.reopen;
                    }
                    tracing::debug!("the socket to ComfyUI closed");
                }
                Err(error) => tracing::debug!(%error, "the socket to ComfyUI cannot be opened"),
            }
            line.standing.send_replace(Standing::Shut);
            line.tell(Heard::Closed).await;
            // The next draw does not wait for the pause of the one before.
            let idle = async {
                let _ = wanted.wait_for(|wanted| !*wanted).await;
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(pace.reopen * 40),
                () = idle => pause = pace.reopen,
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = kept => {}
    }
}

/// Reads one socket to its end; `true` if the server said anything on it.
async fn hold(line: &Line, mut socket: Socket, pace: &Pace) -> bool {
    if socket.send(tungstenite::Message::text(protocol::FLAGS)).await.is_err() {
        return false;
    }
    line.standing.send_replace(Standing::Open);
    line.tell(Heard::Open).await;
    let mut renew = line.renew.subscribe();
    let mut ping = tokio::time::interval(pace.ping);
    // The first tick of an interval is now; the first ping is not.
    ping.reset();
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard_at = None;
    let opened_at = Stopwatch::start();
    loop {
        tokio::select! {
            message = socket.next() => {
                let message = match message {
                    Some(Ok(message)) => message,
                    Some(Err(error)) => {
                        tracing::debug!(%error, "the socket to ComfyUI broke");
                        break;
                    }
                    None => break,
                };
                heard_at = Some(Stopwatch::start());
                let message = match message {
                    tungstenite::Message::Text(text) => protocol::text(&text),
                    tungstenite::Message::Binary(bytes) => protocol::binary(bytes),
                    _ => continue,
                };
                if message != Message::Other {
                    line.tell(Heard::Message(message)).await;
                }
            }
            _ = ping.tick() => {
                // A half-open connection swallows pings without an error.
                let silent = heard_at.unwrap_or(opened_at).elapsed();
                if silent > pace.ping * 3 || socket.send(tungstenite::Message::Ping(bytes::Bytes::new())).await.is_err() {
                    break;
                }
            }
            _ = renew.changed() => {
                // The server must see the old one close before a new one opens, or it forgets the client id.
                let _ = tokio::time::timeout(pace.socket, async {
                    let _ = socket.close(None).await;
                    while let Some(Ok(_)) = socket.next().await {}
                })
                .await;
                break;
            }
        }
    }
    heard_at.is_some()
}
