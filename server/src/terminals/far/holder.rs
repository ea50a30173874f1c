//! The runner's end: keeps sessions on its machine, and serves one link after the other.

use std::{collections::HashMap, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::{Mutex, Semaphore, mpsc, watch},
    time::MissedTickBehavior,
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{
    Began, LinkEnd,
    words::{
        Answer, Ask, FOUND_LINE, FRAME_COST, Frame, LINE, LINE_COST, LINES_MOST, Order, PART, PIECE, Said, WINDOW,
        Word, json, read_keys,
    },
};
use crate::{
    clock::Clock,
    error::{Error, Failure, FailureKind},
    terminals::{
        feed::{Feed, Next, Pace},
        place::Place,
        policy::clean,
        sessions::{Sessions, Watch},
        tmux::{SessionInfo, Tmux},
    },
};

/// How often the sessions are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// Orders carried out at once; more wait.
const AT_ONCE: usize = 16;
/// Pieces of typing that may wait for one session.
const TYPED: usize = 64;
/// Sessions watched at once by one hub, and told of.
const MOST: usize = 256;

/// What the hub was told of the sessions, if it was; inside that is `None` where tmux does not run. Locked from the look to the
/// word, so that no older list comes after a newer one.
type Told = Mutex<Option<Option<Vec<SessionInfo>>>>;

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Holder {
    sessions: Sessions,
    tasks: TaskTracker,
}

/// A session that the hub watches.
struct Channel {
    keys: mpsc::Sender<Bytes>,
    /// How much has arrived at the hub.
    arrived: watch::Sender<u64>,
    _end: DropGuard,
}

impl Holder {
    /// Keeps its sessions below `data`. Fails when tmux is missing, and says what to install.
    pub fn open(data: &Path, tasks: TaskTracker, stop: CancellationToken, clock: Clock) -> anyhow::Result<Self> {
        let tmux = Tmux::open(data)?;
        Ok(Self { sessions: Sessions::new(Place::Here(tmux), tasks.clone(), stop, clock), tasks })
    }

    /// Serves one link until it is cut. The sessions live on.
    pub async fn serve(&self, link: LinkEnd) {
        let LinkEnd { out, mut inn } = link;
        let at_once = Arc::new(Semaphore::new(AT_ONCE));
        let mut channels: HashMap<u32, Channel> = HashMap::new();
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let told = Arc::new(Told::default());
        loop {
            let frame = tokio::select! {
                frame = inn.recv() => frame,
                _ = look.tick() => match self.tell_sessions(&out, &told).await {
                    Some(()) => continue,
                    None => return,
                },
            };
            match frame.as_ref().map(Frame::<Order>::read) {
                Some(Some(Frame::Bytes(rest))) => type_in(&out, &channels, &rest).await,
                Some(Some(Frame::Word(Order::Ask { id, ask }))) => {
                    let (holder, out, at_once, told) = (self.clone(), out.clone(), at_once.clone(), told.clone());
                    self.tasks.spawn(async move {
                        let _turn = at_once.acquire().await;
                        holder.answer(id, ask, &out, &told).await;
                    });
                }
                Some(Some(Frame::Word(Order::Watch { channel, session }))) => {
                    // A session that ended took its channel with it.
                    channels.retain(|_, channel| !channel.keys.is_closed());
                    if channels.len() < MOST {
                        channels.insert(channel, self.show(channel, session, out.clone()));
                    } else if out.send(json(&Word::Lost { channel })).await.is_err() {
                        return;
                    }
                }
                Some(Some(Frame::Word(Order::Leave { channel }))) => drop(channels.remove(&channel)),
                Some(Some(Frame::Word(Order::Arrived { channel, bytes }))) => {
                    if let Some(channel) = channels.get(&channel) {
                        channel.arrived.send_replace(bytes);
                    }
                }
                Some(None) => return tracing::warn!("the hub sent what this runner does not understand"),
                None => return,
            }
        }
    }

    /// Says which sessions run, if that has changed. `None`: the link is cut.
    async fn tell_sessions(&self, out: &mpsc::Sender<Bytes>, told: &Told) -> Option<()> {
        let mut told = told.lock().await;
        match self.sessions.place().look().await {
            Ok(mut sessions) if told.as_ref() != Some(&sessions) => {
                *told = Some(sessions.clone());
                sessions.iter_mut().for_each(|sessions| sessions.truncate(MOST));
                out.send(json(&Word::Sessions { sessions })).await.ok()
            }
            Ok(_) => Some(()),
            Err(error) => {
                tracing::warn!(%error, "tmux does not answer");
                Some(())
            }
        }
    }

    /// Carries one order out, and says how it went.
    async fn answer(&self, id: u64, ask: Ask, out: &mpsc::Sender<Bytes>, told: &Told) {
        let changes = matches!(ask, Ask::Start(_) | Ask::Stop { .. } | Ask::Resize { .. });
        let answer = self.carry_out(id, ask, out).await.map_err(Failure::from);
        if changes {
            // Before the answer, so that who asked finds it so.
            let _ = self.tell_sessions(out, told).await;
        }
        let _ = out.send(json(&Word::Answer { id, answer })).await;
    }

    async fn carry_out(&self, id: u64, ask: Ask, out: &mpsc::Sender<Bytes>) -> Result<Answer, Error> {
        let place = self.sessions.place();
        let lines = match ask {
            Ask::Start(launch) => {
                return Ok(match place.start(&launch).await? {
                    Began::AsAsked => Answer::Done,
                    Began::Shell => Answer::Shell,
                });
            }
            Ask::Stop { session } => return place.stop(&session).await.map(|()| Answer::Done),
            Ask::Forget(belongings) => return place.forget(&belongings).await.map(|()| Answer::Done),
            Ask::Resize { session, cols, rows } => {
                // Through its feed, if there is one: whoever watches must hear of it.
                match self.sessions.peek(&session) {
                    Some(feed) => feed.resize(cols, rows).await?,
                    None => place.resize(&session, cols, rows).await?,
                }
                return Ok(Answer::Done);
            }
            Ask::Find { session, text, most } => {
                let found = place.find_lines(&session, &text, most).await?;
                let short = |(above, line): (usize, String)| (above, clean(&line, FOUND_LINE));
                return Ok(Answer::Found { found: found.into_iter().map(short).collect() });
            }
            Ask::History { session, lines } => {
                let history = place.history(&session, lines).await?;
                tell_lines(id, history.lines, out).await;
                return Ok(Answer::Lines { total: history.total });
            }
            Ask::LastWords { session } => return place.last_words(&session).await.map(Answer::LastWords),
            Ask::Screen { session } => place.screen(&session).await?,
        };
        let total = lines.len();
        tell_lines(id, lines, out).await;
        Ok(Answer::Lines { total })
    }

    /// Shows one session on a channel until it ends, or the channel is left, or the link is cut.
    fn show(&self, channel: u32, session: String, out: mpsc::Sender<Bytes>) -> Channel {
        let (keys, typed) = mpsc::channel(TYPED);
        let (arrived, credit) = watch::channel(0);
        let end = CancellationToken::new();
        let (sessions, ended) = (self.sessions.clone(), end.clone());
        self.tasks.spawn(async move {
            let showing = async {
                let last = match sessions.watch(&session).await {
                    Ok(watch) => {
                        let feed = watch.feed().clone();
                        tokio::select! {
                            () = show(watch, channel, &out, credit) => {}
                            () = types(&feed, channel, &out, typed) => {}
                        }
                        Word::Ended { channel }
                    }
                    Err(Error::Refused(failure)) if failure.kind == FailureKind::NotFound => Word::Ended { channel },
                    // It may run all the same: tmux does not answer.
                    Err(error) => {
                        tracing::warn!(terminal = session, %error, "cannot be shown to the hub");
                        Word::Lost { channel }
                    }
                };
                let _ = out.send(json(&last)).await;
            };
            tokio::select! {
                () = showing => {}
                () = ended.cancelled() => {}
                () = out.closed() => {}
            }
        });
        Channel { keys, arrived, _end: end.drop_guard() }
    }
}

/// Hands keys to their session; they are refused in words when it does not take them.
async fn type_in(out: &mpsc::Sender<Bytes>, channels: &HashMap<u32, Channel>, rest: &Bytes) {
    let Some((number, bytes)) = read_keys(rest) else { return };
    let Some(channel) = channels.get(&number) else { return };
    if channel.keys.try_send(bytes).is_err() {
        let why = "the session takes no keys".to_owned();
        let _ = out.send(json(&Word::Untyped { channel: number, why })).await;
    }
}

/// Types what comes, in order.
async fn types(feed: &Feed, channel: u32, out: &mpsc::Sender<Bytes>, mut typed: mpsc::Receiver<Bytes>) {
    while let Some(bytes) = typed.recv().await {
        if let Err(error) = feed.write(&bytes).await {
            let why = Failure::from(error).message;
            let _ = out.send(json(&Word::Untyped { channel, why })).await;
        }
    }
    // The channel was left; that is no end of the session.
    std::future::pending().await
}

/// Sends what is said, never more than [`WINDOW`] ahead of the hub. Meanwhile the feed goes on; then a snapshot catches up.
async fn show(mut watch: Watch, channel: u32, out: &mpsc::Sender<Bytes>, mut credit: watch::Receiver<u64>) {
    let (cols, rows) = watch.feed().size();
    let mut told = out.send(json(&Word::Resized { channel, cols, rows })).await;
    let mut sent = 0;
    while told.is_ok() {
        if credit.wait_for(|arrived| sent - (*arrived).min(sent) < WINDOW).await.is_err() {
            return;
        }
        told = match watch.next(Pace::Now).await {
            Next::Bytes(frame) => {
                let mut bytes = frame.slice(1..);
                // tmux never resets the terminal of its client; so this is our own.
                let snapshot = bytes.starts_with(b"\x1bc");
                if snapshot {
                    // A screen has no title in it; the hub shows it beside.
                    let title = watch.feed().title();
                    bytes = [&bytes, b"\x1b]2;".as_slice(), title.as_bytes(), b"\x07"].concat().into();
                }
                let mut told = Ok(());
                for (part, snapshot) in parts(bytes, snapshot) {
                    sent += part.len() as u64 + FRAME_COST;
                    told = out.send(Said { channel, snapshot, bytes: part }.frame()).await;
                }
                told
            }
            // A title is among what was said.
            Next::Titled | Next::Untyped(_) => Ok(()),
            Next::Resized(cols, rows) => out.send(json(&Word::Resized { channel, cols, rows })).await,
            Next::Ended => return,
        };
    }
}

/// What is said in pieces that a frame can hold; only the first is a snapshot.
fn parts(mut bytes: Bytes, snapshot: bool) -> impl Iterator<Item = (Bytes, bool)> {
    let mut first = snapshot;
    std::iter::from_fn(move || {
        let part = bytes.split_to(bytes.len().min(PART));
        (!part.is_empty()).then(|| (part, std::mem::take(&mut first)))
    })
}

/// Sends lines in pieces: the newest, as many as an answer may have.
async fn tell_lines(id: u64, mut lines: Vec<String>, out: &mpsc::Sender<Bytes>) {
    let mut held = 0;
    for line in &mut lines {
        if line.len() > LINE {
            *line = clean(line, LINE);
        }
    }
    let fits = |line: &&String| {
        held += line.len() + LINE_COST;
        held <= LINES_MOST
    };
    let newest = lines.iter().rev().take_while(fits).count();
    let lines = lines.split_off(lines.len() - newest);
    let (mut piece, mut size) = (Vec::new(), 0);
    for line in lines {
        size += line.len();
        piece.push(line);
        if size > PIECE {
            let lines = std::mem::take(&mut piece);
            let _ = out.send(json(&Word::Lines { id, lines })).await;
            size = 0;
        }
    }
    if !piece.is_empty() {
        let _ = out.send(json(&Word::Lines { id, lines: piece })).await;
    }
}
