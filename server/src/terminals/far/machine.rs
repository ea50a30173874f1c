//! The hub's end: a machine as the hub knows it, which outlives its links.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

mod channel;

pub(super) use channel::Channel;

use super::{
    Began, Belongings, Home, Launch, LinkEnd,
    words::{Answer, Ask, FRAME_COST, Frame, LINE_COST, LINES_MOST, Order, Said, WINDOW, Word, json},
};
use crate::{
    clock::{Clock, Timestamp},
    error::{Error, Failure, FailureKind},
    terminals::{History, LastWords, last_words, policy::clean, rules, tmux::SessionInfo},
};

/// Longest that an answer may take: tmux there has its own 10 s.
const PATIENCE: Duration = Duration::from_secs(15);
/// Longest that a link may refuse an order.
const STUCK: Duration = Duration::from_secs(5);
/// Most sessions of one machine.
const SESSIONS: usize = 256;
/// Frames of one session that may wait here: more than its window can hold.
const FRAMES: usize = (WINDOW / FRAME_COST) as usize + 16;
/// Bytes of one session that may wait here: its window, and the largest screen that there can be.
const HELD: usize = 8 << 20;
/// Longest title in characters.
const TITLE: usize = 200;
/// Longest refusal in characters.
const WORDS: usize = 300;

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(in crate::terminals) struct Machine(Arc<Own>);

struct Own {
    name: String,
    clock: Clock,
    state: Mutex<State>,
    /// Tells that the machine came, went, or has other sessions.
    changes: watch::Sender<u64>,
}

struct State {
    link: Option<Link>,
    /// What it said last, also while it is away. Times are the hub's.
    sessions: Vec<SessionInfo>,
    /// Whether tmux runs there.
    serves: bool,
    /// The last output of each by its machine's clock, which may be wrong: another value means output now.
    clocks: HashMap<String, Timestamp>,
    /// Since when it is not there; `None` while it is.
    away: Option<Timestamp>,
    /// How many links there have been.
    links: u64,
}

struct Link {
    home: Home,
    out: mpsc::Sender<Bytes>,
    next: u64,
    asked: HashMap<u64, Asked>,
    channels: HashMap<u32, Showing>,
    /// Channels that are watched no more, to be told.
    left: mpsc::UnboundedSender<u32>,
}

/// The way to who watches a session.
struct Showing {
    to: mpsc::Sender<Shown>,
    /// Bytes on that way.
    held: Arc<AtomicUsize>,
}

/// An order that waits for its answer.
struct Asked {
    lines: Vec<String>,
    held: usize,
    answer: oneshot::Sender<Result<(Answer, Vec<String>), Failure>>,
}

/// What a watched session's channel tells.
#[derive(Debug)]
pub(super) enum Shown {
    /// A whole screen.
    Snapshot(Bytes),
    /// What was said after what went before.
    More(Bytes),
    /// Another size; a snapshot follows.
    Resized(u16, u16),
    /// The session has ended.
    Ended,
    /// It cannot be shown now.
    Lost,
    /// Keys were not typed, and why.
    Untyped(String),
}

impl Machine {
    /// A machine that is not there yet.
    pub(in crate::terminals) fn new(name: &str, clock: Clock) -> Self {
        let state = State {
            link: None,
            sessions: Vec::new(),
            serves: false,
            clocks: HashMap::new(),
            away: Some(clock.now()),
            links: 0,
        };
        Self(Arc::new(Own { name: name.to_owned(), clock, state: Mutex::new(state), changes: watch::Sender::new(0) }))
    }

    /// Its name.
    pub(in crate::terminals) fn name(&self) -> &str {
        &self.0.name
    }

    /// Since when it is not there; `None` while it is.
    pub(in crate::terminals) fn away(&self) -> Option<Timestamp> {
        self.lock().away
    }

    /// How many links there have been.
    #[cfg(test)]
    pub(in crate::terminals) fn links(&self) -> u64 {
        self.lock().links
    }

    /// Its folder and its way to the hub, while it is there.
    pub(in crate::terminals) fn home(&self) -> Result<Home, Failure> {
        self.lock().link.as_ref().map(|link| link.home.clone()).ok_or_else(|| self.absent())
    }

    /// What it said last of its sessions, also while it is away.
    pub(in crate::terminals) fn known(&self) -> Vec<SessionInfo> {
        self.lock().sessions.clone()
    }

    /// Tells that it came, went, or has other sessions.
    pub(in crate::terminals) fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// Serves a link until it is cut, or a newer one has come, or the future is dropped.
    pub(in crate::terminals) async fn serve(&self, home: Home, end: LinkEnd) {
        let LinkEnd { out, mut inn } = end;
        let (left, mut leaving) = mpsc::unbounded_channel();
        let orders = out.clone();
        let turn = {
            let mut state = self.lock();
            state.links += 1;
            // What waits for the older link's answers is told by their loss.
            let (asked, channels) = (HashMap::new(), HashMap::new());
            state.link = Some(Link { home, out, next: 0, asked, channels, left });
            state.links
        };
        let _cut = Cut { machine: self, turn };
        let hears = async {
            while let Some(frame) = inn.recv().await {
                if !self.take(turn, &frame) {
                    break;
                }
            }
        };
        let leaves = async {
            while let Some(channel) = leaving.recv().await {
                if orders.send(json(&Order::Leave { channel })).await.is_err() {
                    break;
                }
            }
        };
        tokio::select! {
            () = hears => {}
            () = leaves => {}
        }
    }

    /// Does what one frame says. `false`: the link must go.
    fn take(&self, turn: u64, frame: &Bytes) -> bool {
        let Some(frame) = Frame::<Word>::read(frame) else {
            tracing::warn!(machine = self.name(), "a runner sent what is not understood; its link is closed");
            return false;
        };
        let mut guard = self.lock();
        let state = &mut *guard;
        if state.links != turn {
            return false;
        }
        let Some(link) = &mut state.link else { return false };
        match frame {
            Frame::Bytes(rest) => {
                let Some(Said { channel, snapshot, bytes }) = Said::read(&rest) else { return false };
                return link.show(channel, if snapshot { Shown::Snapshot(bytes) } else { Shown::More(bytes) });
            }
            Frame::Word(Word::Resized { channel, cols, rows }) => {
                return rules::size(cols, rows).is_err() || link.show(channel, Shown::Resized(cols, rows));
            }
            Frame::Word(Word::Ended { channel }) => return link.show(channel, Shown::Ended),
            Frame::Word(Word::Lost { channel }) => return link.show(channel, Shown::Lost),
            Frame::Word(Word::Untyped { channel, why }) => {
                return link.show(channel, Shown::Untyped(clean(&why, WORDS)));
            }
            Frame::Word(Word::Lines { id, lines }) => {
                let Some(asked) = link.asked.get_mut(&id) else { return true };
                asked.held += lines.iter().map(|line| line.len() + LINE_COST).sum::<usize>();
                asked.lines.extend(lines.iter().map(|line| clean(line, usize::MAX)));
                if asked.held > LINES_MOST
                    && let Some(asked) = link.asked.remove(&id)
                {
                    let message = format!("{} sent more lines than an answer may have", self.name());
                    let _ = asked.answer.send(Err(Failure::new(FailureKind::Outside, message)));
                }
            }
            Frame::Word(Word::Answer { id, answer }) => {
                if let Some(asked) = link.asked.remove(&id) {
                    // Who asked may have gone.
                    let _ = asked.answer.send(answer.map(|answer| (answer, asked.lines)).map_err(foreign));
                }
            }
            Frame::Word(Word::Sessions { sessions }) => {
                state.serves = sessions.is_some();
                state.take_sessions(sessions.unwrap_or_default(), self.0.clock.now());
                state.away = None;
                drop(guard);
                self.changed();
            }
        }
        true
    }

    /// The sessions that run there now; `None` where tmux does not run at all.
    pub(in crate::terminals) fn look(&self) -> Result<Option<Vec<SessionInfo>>, Error> {
        let state = self.lock();
        match state.away {
            None => Ok(state.serves.then(|| state.sessions.clone())),
            Some(_) => Err(self.absent().into()),
        }
    }

    /// Starts a session there.
    pub(in crate::terminals) async fn start(&self, launch: &Launch) -> Result<Began, Error> {
        match self.ask(Ask::Start(Box::new(launch.clone()))).await? {
            (Answer::Shell, _) => Ok(Began::Shell),
            _ => Ok(Began::AsAsked),
        }
    }

    /// Ends one.
    pub(in crate::terminals) async fn stop(&self, session: &str) -> Result<(), Error> {
        self.ask(Ask::Stop { session: session.to_owned() }).await.map(drop)
    }

    /// Gives one another size.
    pub(in crate::terminals) async fn resize(&self, session: &str, cols: u16, rows: u16) -> Result<(), Error> {
        self.ask(Ask::Resize { session: session.to_owned(), cols, rows }).await.map(drop)
    }

    /// The newest lines of one.
    pub(in crate::terminals) async fn history(&self, session: &str, lines: usize) -> Result<History, Error> {
        let (answer, lines) = self.ask(Ask::History { session: session.to_owned(), lines }).await?;
        let total = if let Answer::Lines { total } = answer { total } else { lines.len() };
        Ok(History { lines, total })
    }

    /// The lines on one's screen.
    pub(in crate::terminals) async fn screen(&self, session: &str) -> Result<Vec<String>, Error> {
        Ok(self.ask(Ask::Screen { session: session.to_owned() }).await?.1)
    }

    /// What one said last whose program failed.
    pub(in crate::terminals) async fn last_words(&self, session: &str) -> Result<Option<LastWords>, Error> {
        let (Answer::LastWords(said), _) = self.ask(Ask::LastWords { session: session.to_owned() }).await? else {
            return Ok(None);
        };
        Ok(said.map(|said| last_words::of_a_stranger(said, self.0.clock.now())))
    }

    /// Lines that hold `text`.
    pub(in crate::terminals) async fn find_lines(
        &self,
        session: &str,
        text: &str,
        most: usize,
    ) -> Result<Vec<(usize, String)>, Error> {
        let ask = Ask::Find { session: session.to_owned(), text: text.to_owned(), most };
        let (Answer::Found { found }, _) = self.ask(ask).await? else { return Ok(Vec::new()) };
        Ok(found.into_iter().take(most).map(|(above, line)| (above, clean(&line, usize::MAX))).collect())
    }

    /// Removes what a session was given.
    pub(in crate::terminals) async fn forget(&self, belongings: &Belongings) -> Result<(), Error> {
        self.ask(Ask::Forget(belongings.clone())).await.map(drop)
    }

    /// Begins to watch a session; `None` while the machine is away.
    pub(super) async fn watch(&self, session: &str) -> Option<Channel> {
        let channel = self.open()?;
        let order = Order::Watch { channel: channel.channel, session: session.to_owned() };
        // A link that takes no order for so long is about to be cut.
        timeout(STUCK, channel.out.send(json(&order))).await.ok()?.ok()?;
        Some(channel)
    }

    fn open(&self) -> Option<Channel> {
        let mut state = self.lock();
        if state.away.is_some() {
            return None;
        }
        let link = state.link.as_mut()?;
        link.next += 1;
        let channel = u32::try_from(link.next).ok()?;
        let (to, shown) = mpsc::channel(FRAMES);
        let held = Arc::<AtomicUsize>::default();
        link.channels.insert(channel, Showing { to, held: held.clone() });
        let (out, left) = (link.out.clone(), link.left.clone());
        Some(Channel { machine: self.clone(), channel, out, left, shown, held, arrived: 0, told: 0 })
    }

    /// Asks, and waits for the answer. When the link is cut meanwhile, nobody knows whether it was done.
    async fn ask(&self, ask: Ask) -> Result<(Answer, Vec<String>), Error> {
        let (answer, coming) = oneshot::channel();
        let (out, id) = {
            let mut state = self.lock();
            let link = state.link.as_mut().ok_or_else(|| self.absent())?;
            link.next += 1;
            link.asked.insert(link.next, Asked { lines: Vec::new(), held: 0, answer });
            (link.out.clone(), link.next)
        };
        let _asked = Forget { machine: self, id };
        let sent = timeout(STUCK, out.send(json(&Order::Ask { id, ask }))).await;
        if !matches!(sent, Ok(Ok(()))) {
            return Err(self.absent().into());
        }
        match timeout(PATIENCE, coming).await {
            Ok(Ok(answer)) => Ok(answer?),
            Ok(Err(_)) => Err(outside(format!("the connection to {} was cut before it answered", self.name()))),
            Err(_) => {
                let silent = format!("{} did not answer within {} s", self.name(), PATIENCE.as_secs());
                Err(outside(silent))
            }
        }
    }

    fn absent(&self) -> Failure {
        let message = format!("the machine {} is not connected; see the page Machines", self.name());
        Failure::new(FailureKind::Outside, message)
    }

    fn changed(&self) {
        self.0.changes.send_modify(|changes| *changes += 1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Dropped when a link is served no more: from then on the machine is away, unless a newer link has come.
struct Cut<'a> {
    machine: &'a Machine,
    turn: u64,
}

impl Drop for Cut<'_> {
    fn drop(&mut self) {
        let mut state = self.machine.lock();
        if state.links == self.turn {
            state.link = None;
            state.away = state.away.or(Some(self.machine.0.clock.now()));
            drop(state);
            self.machine.changed();
        }
    }
}

impl State {
    /// A machine's word is trusted no more than its programs', and its clock not at all.
    fn take_sessions(&mut self, said: Vec<SessionInfo>, now: Timestamp) {
        let good = |session: &SessionInfo| {
            rules::name(&session.name).is_ok() && rules::size(session.cols, session.rows).is_ok()
        };
        let before = std::mem::take(&mut self.sessions);
        let clocks = std::mem::take(&mut self.clocks);
        for session in said.into_iter().filter(good).take(SESSIONS) {
            let known = before.iter().find(|known| known.name == session.name && known.id == session.id);
            let rests = clocks.get(&session.name) == Some(&session.activity);
            self.clocks.insert(session.name.clone(), session.activity);
            let activity = known.filter(|_| rests).map_or(now, |known| known.activity);
            let started_at = known.map_or(now, |known| known.started_at);
            let title = clean(&session.title, TITLE);
            self.sessions.push(SessionInfo { title, activity, started_at, ..session });
        }
    }
}

/// Dropped when nobody waits for an answer any more.
struct Forget<'a> {
    machine: &'a Machine,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        if let Some(link) = &mut self.machine.lock().link {
            link.asked.remove(&self.id);
        }
    }
}

impl Link {
    /// `false` when more came than may be on its way.
    fn show(&mut self, channel: u32, shown: Shown) -> bool {
        let Some(showing) = self.channels.get(&channel) else { return true };
        let length = shown.length();
        if showing.held.fetch_add(length, Ordering::Relaxed) + length > HELD {
            return false;
        }
        match showing.to.try_send(shown) {
            Err(mpsc::error::TrySendError::Full(_)) => false,
            Err(mpsc::error::TrySendError::Closed(_)) => self.channels.remove(&channel).is_some(),
            Ok(()) => true,
        }
    }
}

impl Shown {
    fn length(&self) -> usize {
        match self {
            Self::Snapshot(bytes) | Self::More(bytes) => bytes.len(),
            Self::Resized(..) | Self::Ended | Self::Lost | Self::Untyped(_) => 0,
        }
    }
}

/// A machine's refusal in the hub's mouth: the kinds that say something of a session, and words without control characters.
fn foreign(failure: Failure) -> Failure {
    let kind = match failure.kind {
        kind @ (FailureKind::NotFound | FailureKind::Conflict | FailureKind::Invalid) => kind,
        _ => FailureKind::Outside,
    };
    Failure::new(kind, clean(&failure.message, WORDS))
}

fn outside(message: String) -> Error {
    Failure::new(FailureKind::Outside, message).into()
}

#[cfg(test)]
mod tests;
