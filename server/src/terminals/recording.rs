//! Recordings: what terminals said, as asciicast v3, compressed, one file each.
//!
//! `DATA/terminals/recordings/ID.cast.zst`, and a row for each. The file comes before the row and goes after it, so a crash
//! leaves at most a file that no row names, which the next start removes. A recording never gets in the way of its
//! terminal: where the disk is slow it waits and then takes a snapshot, where the disk is full it ends.

use std::{
    collections::HashMap,
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::Stream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    RecordingView,
    store::recordings::{self as store, NewRecording},
};
use crate::{
    caller::Actor,
    clock::Clock,
    db::Db,
    error::{Error, Failure, FailureKind},
    events::{Events, NewEvent, Topic},
    id::RecordingId,
};

mod cast;
mod file;
mod keep;
mod recorder;
#[cfg(test)]
mod tests;

use cast::Cast;
use file::{Reading, Writing};
use recorder::Running;
pub(super) use recorder::{Recorder, Stopped};

/// A file takes nothing more in from here on. With the frame that goes over it, it stays below 512 MiB.
const LIMIT: u64 = 508 * 1024 * 1024;
/// What the names of the files end with, after the id.
const ENDING: &str = ".cast.zst";
/// Who ends a recording that cannot be written, or that is too old.
const SELF: Actor = Actor::Hub("recordings");

/// The recordings of all terminals. Cheap to clone.
#[derive(Clone)]
pub(super) struct Recordings(Arc<Inner>);

struct Inner {
    db: Db,
    events: Events,
    clock: Clock,
    folder: PathBuf,
    tasks: TaskTracker,
    stop: CancellationToken,
    running: Mutex<HashMap<RecordingId, Arc<Running>>>,
    limit: AtomicU64,
}

impl Recordings {
    /// Opens the folder `terminals/recordings` in `data`. Recordings that an earlier life of the hub left running are settled.
    pub(super) async fn open(
        db: Db,
        events: Events,
        clock: Clock,
        data: &Path,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let folder = data.join("terminals").join("recordings");
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let (running, limit) = (Mutex::default(), LIMIT.into());
        let recordings = Self(Arc::new(Inner { db, events, clock, folder, tasks, stop, running, limit }));
        recordings.settle().await.context("cannot settle the recordings of an earlier start")?;
        recordings.sweep().await.context("cannot look through the folder of recordings")?;
        Ok(recordings)
    }

    /// Begins a recording of `terminal`. The first output given to it must be a snapshot of the screen.
    pub(super) async fn begin(&self, terminal: &str, cols: u16, rows: u16, title: &str) -> Result<Recorder, Error> {
        let (recordings, terminal, title) = (self.clone(), terminal.to_owned(), title.to_owned());
        // In a task of its own: a caller who goes away in the middle would leave one that never ends.
        let work = self.0.tasks.spawn(async move { recordings.start(&terminal, cols, rows, &title).await });
        work.await.map_err(|error| anyhow::anyhow!("a recording did not begin: {error}"))?
    }

    async fn start(&self, terminal: &str, cols: u16, rows: u16, title: &str) -> Result<Recorder, Error> {
        let inner = &self.0;
        let now = inner.clock.now();
        let id = RecordingId::new(now);
        let (mut cast, path) = (Cast::begin(now, cols, rows, title), inner.path(id));
        let header = cast.take();
        let made = path.clone();
        let file = blocking(move || {
            let mut file = Writing::create(&made)?;
            file.append(&header).inspect_err(|_| remove(&made))?;
            Ok(file)
        })
        .await?
        .map_err(|error| disk_failure(&error))?;

        // Known as running before there is a row, so that nobody settles it.
        let running = Arc::new(Running::default());
        running.bytes.store(file.bytes(), Ordering::Release);
        inner.running().insert(id, running.clone());
        let new = NewRecording { id, terminal, started_at: now, cols, rows };
        if let Err(error) = inner.add(&new, file.bytes()).await {
            inner.running().remove(&id);
            remove(&path);
            return Err(error);
        }
        let limit = inner.limit.load(Ordering::Relaxed);
        let (recorder, task) = Recorder::new(id, cast, file, limit, running, inner.stop.clone());
        let (inner, terminal) = (inner.clone(), terminal.to_owned());
        self.0.tasks.spawn(task.run(async move |bytes, failed| inner.ended(id, &terminal, bytes, failed).await));
        Ok(recorder)
    }

    /// The recordings of `terminal`, newest first.
    pub(super) async fn list(&self, terminal: &str) -> Result<Vec<RecordingView>, Error> {
        let mut all = store::of_terminal(self.0.db.read(), terminal).await?;
        self.0.measure(&mut all);
        Ok(all)
    }

    /// One recording.
    pub(super) async fn get(&self, id: RecordingId) -> Result<RecordingView, Error> {
        let mut found = store::get(self.0.db.read(), id).await?.ok_or_else(unknown)?;
        self.0.measure(std::slice::from_mut(&mut found));
        Ok(found)
    }

    /// Its text as it was at this moment, decompressed piece by piece. Of one that runs, up to a few seconds ago.
    pub(super) async fn read(
        &self,
        id: RecordingId,
    ) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + use<>, Error> {
        let bytes = u64::try_from(self.get(id).await?.bytes).unwrap_or(0);
        let path = self.0.path(id);
        let reading = blocking(move || Reading::open(&path, bytes)).await?.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => unknown().into(),
            _ => Error::from(anyhow::Error::new(error).context("cannot open a recording")),
        })?;
        Ok(reading.into_stream())
    }

    /// Deletes a recording that does not run.
    pub(super) async fn delete(&self, actor: &Actor, id: RecordingId) -> Result<(), Error> {
        let found = self.get(id).await?;
        if self.0.running().contains_key(&id) {
            let message = "the recording is still running; switch recording off for this terminal, then delete it";
            return Err(Failure::new(FailureKind::Conflict, message).into());
        }
        let mut tx = self.0.db.write().await?;
        if store::delete(&mut *tx, id).await?.rows_affected() == 0 {
            return Err(unknown().into());
        }
        let event = NewEvent::new(Topic::Terminals, "recording-deleted", &found.terminal, size(found.bytes));
        self.0.events.commit(tx, actor, event).await?;
        let path = self.0.path(id);
        blocking(move || remove(&path)).await
    }

    /// Deletes the recordings that ended more than `days` days ago, then the oldest, until what is left fits into `bytes`
    /// bytes. Says how many. One that runs is never deleted.
    pub(super) async fn prune(&self, days: u32, bytes: u64) -> Result<usize, Error> {
        self.settle().await?;
        let mut all = store::all(self.0.db.read()).await?;
        self.0.measure(&mut all);
        let gone = keep::too_many(&all, days, bytes, self.0.clock.now());
        if gone.is_empty() {
            return Ok(0);
        }
        let mut tx = self.0.db.write().await?;
        for id in &gone {
            store::delete(&mut *tx, *id).await?;
        }
        let freed = all.iter().filter(|it| gone.contains(&it.id)).map(|it| it.bytes).sum();
        let detail = format!("{} recordings, {}", gone.len(), size(freed));
        self.0.events.commit(tx, &SELF, NewEvent::new(Topic::Terminals, "recordings-pruned", "", detail)).await?;
        let paths: Vec<_> = gone.iter().map(|id| self.0.path(*id)).collect();
        blocking(move || paths.iter().for_each(|path| remove(path))).await?;
        Ok(gone.len())
    }

    /// Ends the rows of recordings that were cut off: the hub was killed, or the disk was too full to say that they ended.
    async fn settle(&self) -> Result<(), Error> {
        for cut in store::all(self.0.db.read()).await?.into_iter().filter(|it| it.ended_at.is_none()) {
            let path = self.0.path(cut.id);
            if self.0.running().contains_key(&cut.id) {
                continue;
            }
            let left = blocking(move || file::mend(&path)).await?.context("cannot mend a recording")?;
            let mut tx = self.0.db.write().await?;
            match left {
                Some((bytes, at)) => store::end(&mut *tx, cut.id, at, signed(bytes)).await?,
                None => store::delete(&mut *tx, cut.id).await?,
            };
            tx.commit().await?;
            tracing::info!(recording = %cut.id, terminal = cut.terminal, "a recording that was cut off is settled");
        }
        Ok(())
    }

    /// Removes the files that no row names: a crash came between the two. Only while nothing runs.
    async fn sweep(&self) -> Result<(), Error> {
        let known: Vec<_> = store::all(self.0.db.read()).await?.iter().map(|it| format!("{}{ENDING}", it.id)).collect();
        let folder = self.0.folder.clone();
        blocking(move || {
            for entry in std::fs::read_dir(folder)?.flatten() {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                if name.ends_with(ENDING) && !known.iter().any(|it| **it == *name) {
                    remove(&entry.path());
                }
            }
            io::Result::Ok(())
        })
        .await?
        .context("cannot read the folder of recordings")?;
        Ok(())
    }
}

impl Inner {
    fn path(&self, id: RecordingId) -> PathBuf {
        self.folder.join(format!("{id}{ENDING}"))
    }

    fn running(&self) -> MutexGuard<'_, HashMap<RecordingId, Arc<Running>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the sizes in that only memory knows.
    fn measure(&self, recordings: &mut [RecordingView]) {
        let running = self.running();
        for recording in recordings {
            if let Some(now) = running.get(&recording.id) {
                recording.bytes = signed(now.bytes.load(Ordering::Acquire));
            }
        }
    }

    async fn add(&self, new: &NewRecording<'_>, bytes: u64) -> Result<(), Error> {
        let mut tx = self.db.write().await?;
        store::add(&mut *tx, new, signed(bytes)).await?;
        let event = NewEvent::new(Topic::Terminals, "recording-began", new.terminal, "");
        self.events.commit(tx, &SELF, event).await?;
        Ok(())
    }

    /// A recording has ended; `failed` says why it could not go on.
    async fn ended(&self, id: RecordingId, terminal: &str, bytes: u64, failed: Option<io::Error>) {
        let event = match &failed {
            Some(error) => {
                tracing::error!(recording = %id, terminal, %error, "a recording cannot be written, so it ends here");
                let why = if is_full(error) { "the disk is full" } else { "its file could not be written" };
                NewEvent::new(
                    Topic::Terminals,
                    "recording-failed",
                    terminal,
                    format!("{why}, at {}", size(signed(bytes))),
                )
            }
            None => NewEvent::new(Topic::Terminals, "recording-ended", terminal, size(signed(bytes))),
        };
        let written = async {
            let mut tx = self.db.write().await?;
            store::end(&mut *tx, id, self.clock.now(), signed(bytes)).await?;
            self.events.commit(tx, &SELF, event).await
        };
        if let Err(error) = written.await {
            // Settled by the next start, or before the next pruning.
            tracing::error!(recording = %id, terminal, error = %error, "the end of a recording cannot be stored yet");
        }
        self.running().remove(&id);
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| anyhow::anyhow!("a blocking job broke: {error}").into())
}

fn unknown() -> Failure {
    Failure::not_found("this recording")
}

/// Removes a file; it is no fault if it is gone.
fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(file = %path.display(), %error, "a recording's file cannot be removed");
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

/// Tells a full disk apart from other faults: the operator can mend it.
fn disk_failure(error: &io::Error) -> Error {
    if is_full(error) {
        let message =
            "the hub's disk is full, so nothing can be recorded; free some space in the data folder, then retry";
        return Failure::new(FailureKind::Outside, message).into();
    }
    anyhow::anyhow!("cannot make a recording's file: {error}").into()
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// A size for people.
fn size(bytes: i64) -> String {
    match bytes {
        ..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{} kB", bytes / 1_000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}
