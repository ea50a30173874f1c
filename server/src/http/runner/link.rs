//! The hub's end of one link.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use bytes::Bytes;
use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use tokio::{sync::mpsc, time::timeout};

use crate::{
    Hub,
    error::{Error, Failure},
    machines::{Ending, Greeting, PROTOCOL, Seat},
    runner::{Address, HELLO, Hello, OTHER_PROTOCOL, PING, Pipe, REPLACED, SILENCE, Sorted, WITHDRAWN, Word, sort},
    terminals::Home,
};

/// Close code: the hub restarts. Come back.
const RESTART: u16 = 1012;
/// Close code: not now. Come back.
const LATER: u16 = 4000;
/// Close code: a frame that is not understood. Come back, but nothing is better then.
const NOT_UNDERSTOOD: u16 = 4009;

/// Why a link ends: what the runner is told with the close frame.
struct End {
    code: u16,
    why: String,
}

impl End {
    fn new(code: u16, why: impl Into<String>) -> Self {
        Self { code, why: why.into() }
    }
}

/// Serves one link to its end; says why it ended.
pub(super) async fn hold(hub: &Hub, key: &str, address: String, socket: WebSocket) -> String {
    let (mut sink, mut stream) = socket.split();
    let end = match welcome(hub, key, address, &mut sink, &mut stream).await {
        Ok((seat, home)) => serve(hub, seat, home, &mut sink, stream).await,
        Err(end) => {
            // The words of a close frame are cut at 123 bytes.
            let refused = Word::Refused { code: end.code, why: end.why.clone() };
            let _ = timeout(HELLO, sink.send(Message::Binary(refused.frame()))).await;
            end
        }
    };
    close(&mut sink, &end).await;
    end.why
}

/// Hears who it is, and gives the machine its seat.
async fn welcome(
    hub: &Hub,
    key: &str,
    address: String,
    sink: &mut SplitSink<WebSocket, Message>,
    stream: &mut SplitStream<WebSocket>,
) -> Result<(Seat, Home), End> {
    let hello = match timeout(HELLO, stream.next()).await {
        Ok(Some(Ok(Message::Binary(frame)))) => sort(frame),
        _ => None,
    };
    let Some(Sorted::Word(Word::Hello(hello))) = hello else {
        return Err(End::new(NOT_UNDERSTOOD, "a runner says first who it is"));
    };
    if hello.protocol != PROTOCOL {
        let spoken = hello.protocol;
        let why = match spoken < PROTOCOL {
            true => format!(
                "this runner speaks protocol {spoken}, the hub speaks {PROTOCOL}; run the install line again (page Machines)"
            ),
            false => format!("this runner speaks protocol {spoken}, the hub only {PROTOCOL}; update the hub"),
        };
        return Err(End::new(OTHER_PROTOCOL, why));
    }
    let greeting =
        Greeting { version: hello.version.clone(), protocol: hello.protocol, system: hello.system.clone(), address };
    let home = home(hello)?;
    let seat = hub.machines.connected(key, greeting).await.map_err(|error| match error {
        Error::Refused(failure) => End::new(WITHDRAWN, failure.message),
        inside => End::new(LATER, Failure::from(inside).message),
    })?;
    let word = Word::Welcome { machine: seat.machine().to_owned() };
    send(sink, word.frame()).await?;
    Ok((seat, home))
}

/// Carries frames both ways until something ends the link.
async fn serve(
    hub: &Hub,
    mut seat: Seat,
    home: Home,
    sink: &mut SplitSink<WebSocket, Message>,
    stream: SplitStream<WebSocket>,
) -> End {
    let (Pipe { mut said, heard }, end) = Pipe::new();
    let (ended, machine) = (seat.ended(), seat.machine().to_owned());
    tokio::select! {
        () = hub.terminals.connect(&machine, home, end) => End::new(LATER, "the terminals of this machine ended"),
        end = hear(stream, heard, &mut seat) => end,
        end = tell(sink, &mut said) => end,
        ending = ended => match ending {
            Ending::Withdrawn => End::new(WITHDRAWN, "this machine was removed, or has joined anew: run the install line"),
            Ending::Replaced => End::new(REPLACED, "a newer connection of this machine has come"),
        },
        () = hub.stop.cancelled() => End::new(RESTART, "the hub restarts"),
    }
}

/// Where the machine keeps its things, and how it reaches the hub: what it says, if that can be.
fn home(hello: Hello) -> Result<Home, End> {
    let not = |what: &str| End::new(NOT_UNDERSTOOD, format!("what the runner says of its {what} is not understood"));
    // It was up to the runner whether that way is encrypted.
    let hub = Address::new(&hello.hub, true).map_err(|_| not("way to the hub"))?;
    if !hello.data.starts_with('/') || hello.data.contains(char::is_control) {
        return Err(not("data folder"));
    }
    Ok(Home { data: hello.data, hub: hub.to_string() })
}

/// Hands what the runner says to the terminals, and its words to its seat.
async fn hear(mut stream: SplitStream<WebSocket>, heard: mpsc::Sender<Bytes>, seat: &mut Seat) -> End {
    let gone = |why: &str| End::new(LATER, why);
    loop {
        let Ok(next) = timeout(SILENCE, stream.next()).await else { return gone("the runner was silent for 15 s") };
        let frame = match next {
            Some(Ok(Message::Binary(frame))) => frame,
            Some(Ok(Message::Close(_))) | None => return gone("the runner ended"),
            Some(Ok(_)) => continue,
            Some(Err(error)) => return gone(&format!("the connection broke: {error}")),
        };
        match sort(frame) {
            Some(Sorted::Terminals(frame)) => {
                if heard.send(frame).await.is_err() {
                    return gone("the terminals of this machine ended");
                }
            }
            Some(Sorted::Word(Word::Facts(facts))) => {
                if let Err(error) = seat.facts(facts).await {
                    tracing::warn!(%error, machine = seat.machine(), "what a machine says of itself is not kept");
                }
            }
            Some(Sorted::Word(_)) | None => return End::new(NOT_UNDERSTOOD, "a frame that is not understood"),
        }
    }
}

/// Says what the terminals say; and a ping now and then, so that silence means something.
async fn tell(sink: &mut SplitSink<WebSocket, Message>, said: &mut mpsc::Receiver<Bytes>) -> End {
    let mut ping = tokio::time::interval(PING);
    loop {
        let sent = tokio::select! {
            frame = said.recv() => match frame {
                Some(frame) => send(sink, frame).await,
                None => return End::new(LATER, "the terminals of this machine ended"),
            },
            _ = ping.tick() => put(sink, Message::Ping(Bytes::new())).await,
        };
        if let Err(end) = sent {
            return end;
        }
    }
}

async fn send(sink: &mut SplitSink<WebSocket, Message>, frame: Bytes) -> Result<(), End> {
    put(sink, Message::Binary(frame)).await
}

async fn put(sink: &mut SplitSink<WebSocket, Message>, message: Message) -> Result<(), End> {
    match timeout(SILENCE, sink.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(End::new(LATER, format!("the connection broke: {error}"))),
        Err(_) => Err(End::new(LATER, "the runner took nothing for 15 s")),
    }
}

async fn close(sink: &mut SplitSink<WebSocket, Message>, end: &End) {
    // A close frame has room for 123 bytes of words.
    let mut length = end.why.len().min(120);
    while !end.why.is_char_boundary(length) {
        length -= 1;
    }
    let frame = CloseFrame { code: end.code, reason: end.why[..length].into() };
    let _ = timeout(Duration::from_secs(2), sink.send(Message::Close(Some(frame)))).await;
}
