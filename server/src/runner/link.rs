//! One link at a time: greets, carries frames, tells how busy the machine is, and says why it ended.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use tokio::{sync::mpsc, time::timeout};
use tokio_tungstenite::tungstenite::{Message, protocol::CloseFrame};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Address,
    dial::{Socket, dial},
    keeping::Keeping,
    words::{HELLO, Hello, OTHER_PROTOCOL, PING, Pipe, REPLACED, SILENCE, Sorted, WITHDRAWN, Word, sort},
};
use crate::{
    clock::Clock,
    error::{Failure, FailureKind},
    machines::{FactsReader, PROTOCOL, system},
    terminals::Holder,
};

/// How often it is told how busy the machine is.
const FACTS: Duration = Duration::from_secs(10);

/// Why a link ended that may be opened again.
pub(super) struct Lost(pub(super) String);

/// What every link of this runner needs.
pub(super) struct Link {
    http: reqwest::Client,
    hub: Address,
    key: String,
    hello: Hello,
    holder: Holder,
    facts: FactsReader,
}

impl Link {
    /// Makes ready to dial. What this machine holds is opened once, for all links; what it does beside them runs in `tasks`
    /// until `stop`.
    pub(super) fn open(
        http: reqwest::Client,
        hub: Address,
        key: String,
        keeping: &Keeping,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let data = keeping.folder();
        let hello = Hello {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            system: system(),
            data: data.to_string_lossy().into_owned(),
            hub: hub.to_string(),
        };
        let holder = Holder::open(data, tasks.clone(), stop.clone(), Clock::default())?;
        Ok(Self { http, hub, key, hello, holder, facts: FactsReader::new(data) })
    }

    /// Opens the link and serves it to its end; `None` after `stop`. A refusal for good is an error.
    pub(super) async fn once(&mut self, keeping: &Keeping, stop: &CancellationToken) -> anyhow::Result<Option<Lost>> {
        let opened = tokio::select! {
            () = stop.cancelled() => return Ok(None),
            opened = self.greet() => opened,
        };
        let (mut socket, machine) = match opened {
            Ok(opened) => opened,
            Err(error) if error.is::<Failure>() => return Err(error),
            Err(error) => return Ok(Some(Lost(format!("{error:#}")))),
        };
        tracing::info!("connected to {} as the machine {machine}", self.hub);
        keeping.say(&format!("connected to {} as {machine}", self.hub));
        tokio::select! {
            () = stop.cancelled() => {
                // The hub would find out by itself, later.
                let _ = timeout(Duration::from_secs(2), socket.close(None)).await;
                Ok(None)
            }
            ended = self.serve(&mut socket) => ended.map(Some),
        }
    }

    /// Dials, says who this is, and hears whether it is welcome; as which machine.
    async fn greet(&self) -> anyhow::Result<(Socket, String)> {
        let mut socket = dial(&self.http, &self.hub, &self.key).await?;
        let hello = Message::Binary(Word::Hello(self.hello.clone()).frame());
        timeout(HELLO, socket.send(hello)).await??;
        let answer = timeout(HELLO, socket.next()).await?;
        let Some(Message::Binary(frame)) = answer.transpose()? else { anyhow::bail!("the hub said nothing") };
        match sort(frame) {
            Some(Sorted::Word(Word::Welcome { machine })) => Ok((socket, machine)),
            Some(Sorted::Word(Word::Refused { code: WITHDRAWN | OTHER_PROTOCOL, why })) => Err(refused(why).into()),
            Some(Sorted::Word(Word::Refused { why, .. })) => anyhow::bail!(why),
            _ => anyhow::bail!("what the hub said is not understood"),
        }
    }

    /// Carries frames both ways until the link ends.
    async fn serve(&mut self, socket: &mut Socket) -> anyhow::Result<Lost> {
        let (mut sink, stream) = socket.split();
        let (Pipe { mut said, heard }, end) = Pipe::new();
        let (busy, mut facts) = mpsc::channel(1);
        tokio::select! {
            () = self.holder.serve(end) => Ok(Lost("the terminals ended".into())),
            ended = hear(stream, heard) => ended,
            why = tell(&mut sink, &mut said, &mut facts) => Ok(Lost(why)),
            never = look(&mut self.facts, busy) => match never {},
        }
    }
}

/// Hands what the hub says to the terminals.
async fn hear(mut stream: SplitStream<&mut Socket>, heard: mpsc::Sender<Bytes>) -> anyhow::Result<Lost> {
    let lost = |why: &str| Ok(Lost(why.to_owned()));
    loop {
        let Ok(next) = timeout(SILENCE, stream.next()).await else {
            return lost("the hub was silent for 15 s");
        };
        let frame = match next {
            Some(Ok(Message::Binary(frame))) => frame,
            Some(Ok(Message::Close(frame))) => return closed(frame),
            Some(Ok(_)) => continue,
            Some(Err(error)) => return Ok(Lost(format!("the connection broke: {error}"))),
            None => return lost("the connection was closed"),
        };
        match sort(frame) {
            Some(Sorted::Terminals(frame)) => {
                if heard.send(frame).await.is_err() {
                    return lost("the terminals ended");
                }
            }
            // Words of a later hub of the same protocol.
            Some(Sorted::Word(_)) => {}
            None => return lost("what the hub said is not understood"),
        }
    }
}

/// Reads how busy the machine is, time and again, beside everything else: a driver may take seconds to answer, and no terminal
/// stands still for that.
async fn look(facts: &mut FactsReader, busy: mpsc::Sender<Bytes>) -> Infallible {
    let mut look = tokio::time::interval(FACTS);
    loop {
        look.tick().await;
        match facts.read().await {
            Ok(facts) => {
                // Who does not take it ends the link, and this with it.
                let _ = busy.send(Word::Facts(facts).frame()).await;
            }
            Err(error) => tracing::debug!(%error, "no facts of this machine"),
        }
    }
}

/// Says what the terminals say, and how busy the machine is; and a word now and then, so that silence means something.
async fn tell(
    sink: &mut SplitSink<&mut Socket, Message>,
    said: &mut mpsc::Receiver<Bytes>,
    facts: &mut mpsc::Receiver<Bytes>,
) -> String {
    let mut ping = tokio::time::interval(PING);
    loop {
        let message = tokio::select! {
            frame = said.recv() => match frame {
                Some(frame) => Message::Binary(frame),
                None => return "the terminals ended".into(),
            },
            _ = ping.tick() => Message::Ping(Bytes::new()),
            Some(frame) = facts.recv() => Message::Binary(frame),
        };
        match timeout(SILENCE, sink.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return format!("the connection broke: {error}"),
            Err(_) => return "the hub took nothing for 15 s".into(),
        }
    }
}

/// What a close frame means for what comes next.
fn closed(frame: Option<CloseFrame>) -> anyhow::Result<Lost> {
    let Some(frame) = frame else { return Ok(Lost("the hub closed the connection".into())) };
    match u16::from(frame.code) {
        WITHDRAWN | OTHER_PROTOCOL => Err(refused(frame.reason.to_string()).into()),
        REPLACED => {
            let message = "another runner came with this machine's key; end one of the two, \
                           or let this one join as a machine of its own (page Machines)";
            Err(refused(message.to_owned()).into())
        }
        _ => Ok(Lost(format!("the hub closed the connection: {}", frame.reason))),
    }
}

fn refused(why: String) -> Failure {
    Failure::new(FailureKind::Forbidden, why)
}
