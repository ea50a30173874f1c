//! One watched session: its screen, what was said last, and everybody's place in it.
//!
//! Screen and ring change under one lock, so that whoever joins gets a snapshot and then every byte after it exactly once. Nobody
//! waits for a reader: who falls behind finds a snapshot instead of what was missed.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use pty_process::OwnedWritePty;
use tokio::{io::AsyncWriteExt as _, sync::watch};

mod reader;

pub(super) use reader::Reader;

use super::{BYTES, Run, Screen, far, place::Place, tmux::SessionInfo};
use crate::{
    clock::{Clock, Timestamp},
    error::{Error, Failure, FailureKind},
};

/// Bytes that the ring keeps.
const RING: usize = 256 * 1024;
/// Chunks that the ring keeps, for they may be small.
const CHUNKS: usize = 8 * 1024;
/// Longest that keys wait for a tmux that does not read.
const KEYS: Duration = Duration::from_secs(5);

/// How fast a reader wants to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Every chunk, as long as the ring holds it: recorders.
    Every,
    /// At once: who holds the keyboard.
    Now,
    /// At once after a rest, then a batch every 25 ms: who looks.
    Calm,
    /// A snapshot a second: pages in the background.
    Slow,
}

/// What a reader is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A frame: [`BYTES`], then terminal bytes. A snapshot begins with a reset, so it needs nothing before it.
    Bytes(Bytes),
    /// The terminal has another size (columns, rows); a snapshot follows.
    Resized(u16, u16),
    /// The program has set its title.
    Titled,
    /// Keys were not typed, and why. Only a session of another machine says so later than at once.
    Untyped(Arc<str>),
    /// The session has ended.
    Ended,
}

/// The way for keys.
pub(super) enum Way {
    /// Our own client of tmux.
    Pty(OwnedWritePty),
    /// A machine's runner.
    Link(far::Keys),
}

/// What wakes readers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct News {
    seq: u64,
    /// Grows when what was said before no longer leads to what is shown: another size, another attach.
    epoch: u64,
    ready: bool,
    ended: bool,
}

struct State {
    screen: Screen,
    size: (u16, u16),
    news: News,
    /// Chunks with the number of bytes said before each; the last one has the sequence number `news.seq - 1`.
    ring: VecDeque<(u64, Bytes)>,
    /// Bytes in the ring.
    held: usize,
    /// Bytes said in all.
    said: u64,
    /// How far calm readers may read.
    calm: u64,
    /// How often keys were not typed, and why the last ones.
    untyped: (u64, Arc<str>),
    snapshot: Option<(News, Bytes)>,
    /// The newest batch made of several chunks, for the next reader at the same place.
    batch: Option<(u64, u64, Bytes)>,
}

/// See the module.
pub(super) struct Feed {
    name: String,
    place: Place,
    state: Mutex<State>,
    news: watch::Sender<News>,
    calm: watch::Sender<u64>,
    watchers: watch::Sender<usize>,
    keys: tokio::sync::Mutex<Option<Way>>,
    wanted: Mutex<(u16, u16)>,
}

impl Feed {
    pub(super) fn new(session: &SessionInfo, place: Place, clock: &Clock) -> Self {
        let size = (session.cols, session.rows);
        // Sequence numbers of a later feed of the same session are larger.
        let news = News { seq: u64::try_from(clock.now().millis()).unwrap_or(0), ..News::default() };
        let state = State {
            screen: Screen::new(size.0, size.1),
            size,
            news,
            ring: VecDeque::new(),
            held: 0,
            said: 0,
            calm: news.seq,
            untyped: (0, Arc::default()),
            snapshot: None,
            batch: None,
        };
        Self {
            name: session.name.clone(),
            place,
            state: Mutex::new(state),
            news: watch::Sender::new(news),
            calm: watch::Sender::new(0),
            watchers: watch::Sender::new(0),
            keys: tokio::sync::Mutex::new(None),
            wanted: Mutex::new(size),
        }
    }

    /// The session's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The newest sequence number: another one means another screen.
    pub(super) fn seq(&self) -> u64 {
        self.lock().news.seq
    }

    /// Columns and rows.
    pub(super) fn size(&self) -> (u16, u16) {
        self.lock().size
    }

    /// The title that the program set. Untrusted.
    pub(super) fn title(&self) -> String {
        self.lock().screen.title().to_owned()
    }

    /// Whether its program has asked for pastes in brackets.
    pub(super) fn pastes_in_brackets(&self) -> bool {
        self.lock().screen.pastes_in_brackets()
    }

    /// How often the bell has rung since this feed began.
    pub(super) fn bells(&self) -> u64 {
        self.lock().screen.bells()
    }

    /// Whether the session has ended.
    pub(super) fn ended(&self) -> bool {
        self.lock().news.ended
    }

    /// How many watch.
    pub(super) fn watchers(&self) -> usize {
        *self.watchers.borrow()
    }

    /// The screen as lines of styled runs.
    pub(super) fn screen_lines(&self) -> Vec<Vec<Run>> {
        self.lock().screen.lines()
    }

    /// A reader that does not keep the session attached.
    #[cfg(test)]
    pub(super) fn tap(self: &Arc<Self>) -> Reader {
        Reader::new(Arc::clone(self))
    }

    /// Types `bytes` into the session.
    pub(super) async fn write(&self, bytes: &[u8]) -> Result<(), Error> {
        let mut keys = self.keys.lock().await;
        let way = keys.as_mut().ok_or_else(|| self.unreachable())?;
        let written = async {
            match way {
                Way::Pty(pty) => pty.write_all(bytes).await.context("the terminal took no keys"),
                Way::Link(link) => link.send(bytes).await,
            }
        };
        match tokio::time::timeout(KEYS, written).await {
            Ok(written) => Ok(written?),
            Err(_) => Err(anyhow!("the terminal took no keys for {} s", KEYS.as_secs()).into()),
        }
    }

    /// Gives the session another size. In a storm of these only the last one is sure to be done.
    pub(super) async fn resize(&self, cols: u16, rows: u16) -> Result<(), Error> {
        *self.wanted() = (cols, rows);
        let keys = self.keys.lock().await;
        let (cols, rows) = *self.wanted();
        if self.size() == (cols, rows) {
            return Ok(());
        }
        self.place.resize(&self.name, cols, rows).await?;
        if matches!(self.place, Place::There(_)) {
            // Its machine says so on the same way as all else.
            return Ok(());
        }
        self.resized(cols, rows);
        // Last, so that a whole redraw follows all the rest. Without a PTY, the attach that is to come takes the size.
        if let Some(Way::Pty(pty)) = keys.as_ref() {
            fit(pty, (cols, rows))?;
        }
        Ok(())
    }

    /// The session has another size; what was said before leads nowhere.
    pub(super) fn resized(&self, cols: u16, rows: u16) {
        let mut state = self.lock();
        if state.size == (cols, rows) {
            return;
        }
        state.screen.resize(cols, rows);
        state.size = (cols, rows);
        state.turn();
        self.tell(&mut state, true);
    }

    /// Keys that were taken were not typed after all.
    pub(super) fn untyped(&self, why: String) {
        let mut state = self.lock();
        state.untyped = (state.untyped.0 + 1, why.into());
        self.tell(&mut state, true);
    }

    /// Since when its machine is not connected; `None`: it is.
    pub(super) fn away(&self) -> Option<Timestamp> {
        self.place.away()
    }

    fn unreachable(&self) -> Failure {
        let why = match self.away() {
            Some(_) => "its machine is not connected; nothing was typed",
            None => "the terminal is being attached again; nothing was typed",
        };
        Failure::new(FailureKind::Outside, why)
    }

    /// Takes what the attach said. `false`: the screen is lost, and another attach must draw it.
    pub(super) fn publish(&self, raw: &[u8]) -> bool {
        let mut frame = Vec::with_capacity(raw.len() + 1);
        frame.push(BYTES);
        let mut state = self.lock();
        let whole = state.screen.feed(raw, &mut frame);
        if frame.len() > 1 {
            // The ring counts what passed; what was dropped must not be kept beside it.
            frame.shrink_to_fit();
            state.push(frame.into());
        }
        self.tell(&mut state, false);
        whole
    }

    /// Lets calm readers read what was published.
    pub(super) fn calm(&self) {
        let mut state = self.lock();
        state.calm = state.news.seq;
        self.calm.send_replace(state.calm);
    }

    /// A new attach begins: an empty screen, shown to nobody before it is drawn.
    pub(super) fn begin(&self) {
        let mut state = self.lock();
        state.screen = state.screen.again();
        state.news.ready = false;
        state.turn();
        self.tell(&mut state, true);
    }

    /// How many redraws have ended.
    pub(super) fn frames(&self) -> u64 {
        self.lock().screen.frames()
    }

    /// The screen is drawn.
    pub(super) fn ready(&self) {
        let mut state = self.lock();
        state.news.ready = true;
        self.tell(&mut state, true);
    }

    /// The session has ended, or nobody feeds this any more.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.news.ended = true;
        self.tell(&mut state, true);
    }

    /// Gives or takes the way for keys.
    pub(super) async fn connect(&self, way: Option<Way>) -> Result<(), Error> {
        let mut keys = self.keys.lock().await;
        if let Some(Way::Pty(pty)) = &way {
            // It may have changed since the attach began.
            fit(pty, self.size())?;
        }
        *keys = way;
        Ok(())
    }

    /// Waits until there is a screen to show; `false` when the session ended before.
    pub(super) async fn drawn(&self) -> bool {
        let mut news = self.news.subscribe();
        let news = news.wait_for(|news| news.ready || news.ended).await;
        news.is_ok_and(|news| !news.ended)
    }

    /// Bytes and chunks in the ring.
    #[cfg(test)]
    pub(super) fn kept(&self) -> (usize, usize) {
        let state = self.lock();
        (state.held, state.ring.len())
    }

    pub(super) fn count(&self) -> &watch::Sender<usize> {
        &self.watchers
    }

    fn tell(&self, state: &mut State, calm: bool) {
        self.news.send_replace(state.news);
        if calm {
            state.calm = state.news.seq;
            self.calm.send_replace(state.calm);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wanted(&self) -> MutexGuard<'_, (u16, u16)> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fit(pty: &OwnedWritePty, (cols, rows): (u16, u16)) -> Result<(), Error> {
    let size = pty_process::Size::new(rows, cols);
    Ok(pty.resize(size).map_err(|error| anyhow!("the PTY took no size: {error}"))?)
}

impl State {
    fn push(&mut self, frame: Bytes) {
        let length = frame.len() - 1;
        self.ring.push_back((self.said, frame));
        self.held += length;
        self.said += length as u64;
        self.news.seq += 1;
        while self.held > RING || self.ring.len() > CHUNKS {
            let Some((_, oldest)) = self.ring.pop_front() else { break };
            self.held -= oldest.len() - 1;
        }
    }

    /// What was said so far leads nowhere; everybody needs a snapshot.
    fn turn(&mut self) {
        self.ring.clear();
        self.held = 0;
        self.news.seq += 1;
        self.news.epoch += 1;
    }

    fn snapshot(&mut self) -> Bytes {
        match &self.snapshot {
            Some((at, frame)) if at.seq == self.news.seq => frame.clone(),
            _ => {
                let frame = self.screen.snapshot();
                self.snapshot = Some((self.news, frame.clone()));
                frame
            }
        }
    }

    /// How many bytes were said from the chunk `from` on, if the ring still holds it.
    fn behind(&self, from: u64) -> Option<u64> {
        if from == self.news.seq {
            return Some(0);
        }
        let first = self.news.seq - self.ring.len() as u64;
        let index = usize::try_from(from.checked_sub(first)?).ok()?;
        Some(self.said - self.ring.get(index)?.0)
    }

    /// The chunks `from..until`, which the ring holds, as one frame.
    fn batch(&mut self, from: u64, until: u64) -> Bytes {
        let first = self.news.seq - self.ring.len() as u64;
        let place = |seq: u64| usize::try_from(seq - first).unwrap_or(usize::MAX);
        let mut chunks = self.ring.range(place(from)..place(until)).map(|(_, chunk)| chunk);
        if let (Some(only), None) = (chunks.next(), chunks.next()) {
            return only.clone();
        }
        match &self.batch {
            Some((start, end, frame)) if (*start, *end) == (from, until) => frame.clone(),
            _ => {
                let mut frame = vec![BYTES];
                for (_, chunk) in self.ring.range(place(from)..place(until)) {
                    frame.extend_from_slice(&chunk[1..]);
                }
                let frame = Bytes::from(frame);
                self.batch = Some((from, until, frame.clone()));
                frame
            }
        }
    }
}
