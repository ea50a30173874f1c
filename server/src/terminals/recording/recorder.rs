//! One running recording: what is said to it goes through a bounded queue to a task that makes events of it and writes them.

use std::{
    future::pending,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Sleep, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{cast::Cast, file::Writing};
use crate::{clock::Timestamp, id::RecordingId};

/// This much text is written away at once, …
const FRAME: usize = 64 * 1024;
/// … or what there is this long after its first byte: no crash loses more.
const EVERY: Duration = Duration::from_secs(4);
/// Pieces of output that may wait for the disk. Then the sender waits, and the feed gives it a snapshot instead.
const QUEUE: usize = 32;

/// Why a recording takes nothing more in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Stopped {
    /// Its file is as large as one may be: finish it, and begin another with a new snapshot.
    Full,
    /// It cannot be written; the reason is logged and told. Begin no other by yourself.
    Failed,
    /// The hub ends.
    Closing,
}

/// What others see of a running recording.
#[derive(Debug, Default)]
pub(super) struct Running {
    /// The size of its file, whole frames only.
    pub(super) bytes: AtomicU64,
    stopped: Mutex<Option<Stopped>>,
}

impl Running {
    fn stop(&self, why: Stopped) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }
}

enum Message {
    Output(Timestamp, Bytes),
    Resized(Timestamp, u16, u16),
}

/// Takes in what a terminal says. Dropped without [`Recorder::finish`] it ends all the same, a moment later.
pub(in super::super) struct Recorder {
    id: RecordingId,
    sender: mpsc::Sender<Message>,
    running: Arc<Running>,
    done: oneshot::Receiver<()>,
}

impl Recorder {
    /// A recorder, and what its task needs.
    pub(super) fn new(
        id: RecordingId,
        cast: Cast,
        file: Writing,
        limit: u64,
        running: Arc<Running>,
        stop: CancellationToken,
    ) -> (Self, Task) {
        let (sender, inbox) = mpsc::channel(QUEUE);
        let (ended, done) = oneshot::channel();
        let task = Task { cast, file: Some(file), limit, running: running.clone(), inbox, stop, ended };
        (Self { id, sender, running, done }, task)
    }

    /// Which recording it is.
    pub(in super::super) fn id(&self) -> RecordingId {
        self.id
    }

    /// Takes output in; the first must be a snapshot of the screen. Waits while the disk is behind.
    pub(in super::super) async fn output(&mut self, at: Timestamp, bytes: Bytes) -> Result<(), Stopped> {
        self.send(Message::Output(at, bytes)).await
    }

    /// The terminal has another size.
    pub(in super::super) async fn resized(&mut self, at: Timestamp, cols: u16, rows: u16) -> Result<(), Stopped> {
        self.send(Message::Resized(at, cols, rows)).await
    }

    /// Ends it, when all that was taken in is written.
    pub(in super::super) async fn finish(self) {
        drop(self.sender);
        // An error here is a task that is gone, and so has nothing more to write.
        let _ = self.done.await;
    }

    async fn send(&mut self, message: Message) -> Result<(), Stopped> {
        if self.sender.send(message).await.is_ok() {
            return Ok(());
        }
        let stopped = self.running.stopped.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Err(stopped.unwrap_or(Stopped::Closing))
    }
}

/// The other end of a [`Recorder`].
pub(super) struct Task {
    cast: Cast,
    /// Out of its place only while it is written.
    file: Option<Writing>,
    limit: u64,
    running: Arc<Running>,
    inbox: mpsc::Receiver<Message>,
    stop: CancellationToken,
    ended: oneshot::Sender<()>,
}

impl Task {
    /// Writes until the recorder is dropped, the hub ends, the file is full or cannot be written. Then `settle` is told
    /// how large the file is, and why it could not be written.
    pub(super) async fn run(mut self, settle: impl AsyncFnOnce(u64, Option<io::Error>)) {
        let mut failed = self.record().await.err();
        if failed.is_none() {
            self.cast.finish();
            failed = self.write(true).await.err();
        }
        if failed.is_some() {
            self.running.stop(Stopped::Failed);
        }
        self.inbox.close();
        settle(self.running.bytes.load(Ordering::Acquire), failed).await;
        let _ = self.ended.send(());
    }

    async fn record(&mut self) -> io::Result<()> {
        let mut due: Option<Pin<Box<Sleep>>> = None;
        loop {
            let message = tokio::select! {
                message = self.inbox.recv() => message,
                () = wait(&mut due) => {
                    self.cast.settle();
                    self.write(false).await?;
                    due = None;
                    continue;
                }
                () = self.stop.cancelled(), if !self.inbox.is_closed() => {
                    // What is in the queue is still taken in.
                    self.running.stop(Stopped::Closing);
                    self.inbox.close();
                    continue;
                }
            };
            match message {
                Some(Message::Output(at, bytes)) => self.cast.output(at, &bytes),
                Some(Message::Resized(at, cols, rows)) => self.cast.resized(at, cols, rows),
                None => return Ok(()),
            }
            if self.cast.len() >= FRAME {
                self.cast.settle();
                self.write(false).await?;
                due = None;
            }
            if self.running.bytes.load(Ordering::Acquire) >= self.limit {
                self.running.stop(Stopped::Full);
                return Ok(());
            }
            if due.is_none() && !self.cast.is_empty() {
                due = Some(Box::pin(sleep(EVERY)));
            }
        }
    }

    async fn write(&mut self, last: bool) -> io::Result<()> {
        let text = self.cast.take();
        let Some(mut file) = self.file.take() else { return Ok(()) };
        let work = tokio::task::spawn_blocking(move || {
            let written = file.append(&text).and_then(|()| if last { file.sync() } else { Ok(()) });
            (file, written)
        });
        let (file, written) = work.await.map_err(io::Error::other)?;
        self.running.bytes.store(file.bytes(), Ordering::Release);
        self.file = Some(file);
        written
    }
}

async fn wait(due: &mut Option<Pin<Box<Sleep>>>) {
    match due {
        Some(due) => due.as_mut().await,
        None => pending().await,
    }
}
