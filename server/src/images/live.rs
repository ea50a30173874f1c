//! What is known of running images beyond the table: step, phase, newest preview. Only in memory, so nothing is written at
//! every step; lost with the process, and back with the service's next message.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::Progress;
use crate::id::ImageId;

/// Progress lines a slow listener may be behind before it is told to look again.
const BACKLOG: usize = 64;

struct Entry {
    progress: Progress,
    preview: Option<(&'static str, Bytes)>,
    cancel: CancellationToken,
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(super) struct Live {
    entries: Arc<Mutex<HashMap<ImageId, Entry>>>,
    sender: broadcast::Sender<(ImageId, Progress)>,
}

impl Live {
    pub(super) fn new() -> Self {
        Self { entries: Arc::default(), sender: broadcast::Sender::new(BACKLOG) }
    }

    /// Begins to follow an image; the token fires when somebody cancels it.
    pub(super) fn begin(&self, id: ImageId) -> CancellationToken {
        let cancel = CancellationToken::new();
        let progress = Progress { phase: "sent".into(), ..Progress::default() };
        self.lock().insert(id, Entry { progress, preview: None, cancel: cancel.clone() });
        cancel
    }

    pub(super) fn end(&self, id: ImageId) {
        self.lock().remove(&id);
    }

    /// Changes what is known and tells the listeners.
    pub(super) fn update(&self, id: ImageId, change: impl FnOnce(&mut Progress)) {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(&id) else { return };
        change(&mut entry.progress);
        // An error means that nobody listens.
        let _ = self.sender.send((id, entry.progress.clone()));
    }

    pub(super) fn set_preview(&self, id: ImageId, media_type: &'static str, bytes: Bytes) {
        if let Some(entry) = self.lock().get_mut(&id) {
            entry.preview = Some((media_type, bytes));
        }
        self.update(id, |progress| progress.preview += 1);
    }

    pub(super) fn progress(&self, id: ImageId) -> Option<Progress> {
        self.lock().get(&id).map(|entry| entry.progress.clone())
    }

    pub(super) fn preview(&self, id: ImageId) -> Option<(&'static str, Bytes)> {
        self.lock().get(&id)?.preview.clone()
    }

    /// Fires the image's cancel token; `false` if it is not running here.
    pub(super) fn cancel(&self, id: ImageId) -> bool {
        self.lock().get(&id).map(|entry| entry.cancel.cancel()).is_some()
    }

    pub(super) fn follow(&self) -> broadcast::Receiver<(ImageId, Progress)> {
        self.sender.subscribe()
    }

    pub(super) fn followed(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ImageId, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
