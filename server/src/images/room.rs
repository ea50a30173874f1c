//! The room's methods.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{ImageDraft, ImageFilter, ImageStats, ImageView, Progress, WorkflowView};
use crate::{
    caller::Caller,
    clock::Clock,
    db::Db,
    error::Error,
    events::Events,
    id::{ImageId, WorkflowId},
    services::Services,
};

/// A stored file, ready to be served.
#[derive(Clone, Debug)]
pub struct PictureFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its fixed type.
    pub media_type: String,
}

/// A source picture that was taken in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Upload {
    /// Name it by this in [`Source`](super::Source).
    pub sha256: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

/// The room's handle. Cheap to clone.
#[derive(Clone)]
pub struct Images {}

fn not_yet<T>() -> Result<T, Error> {
    Err(anyhow::anyhow!("not built yet").into())
}

#[expect(unused_variables, clippy::unused_async, reason = "stub being replaced")]
impl Images {
    /// Opens.
    pub async fn open(db: Db, events: Events, clock: Clock, services: Services, data: &Path, tasks: TaskTracker, stop: CancellationToken) -> Result<Self, Error> {
        Ok(Self {})
    }
    /// Accepts an image. Needs `Draw`. `parent` is set by "again" and "vary".
    pub async fn draw(&self, who: &Caller, draft: ImageDraft) -> Result<ImageView, Error> { not_yet() }
    /// The same again: same seed (`vary` false) or a new one (`vary` true).
    pub async fn again(&self, who: &Caller, id: ImageId, vary: bool) -> Result<ImageView, Error> { not_yet() }
    /// Puts a failed or cancelled image back into the queue.
    pub async fn retry(&self, who: &Caller, id: ImageId) -> Result<ImageView, Error> { not_yet() }
    /// Cancels a queued or running image.
    pub async fn cancel(&self, who: &Caller, id: ImageId) -> Result<ImageView, Error> { not_yet() }
    /// Deletes an ended image and the files nobody else uses.
    pub async fn delete(&self, who: &Caller, id: ImageId) -> Result<(), Error> { not_yet() }
    /// One image.
    pub async fn get(&self, who: &Caller, id: ImageId) -> Result<ImageView, Error> { not_yet() }
    /// Images, newest first (waiting and running ones: oldest first if `ended` is `Some(false)`).
    pub async fn list(&self, who: &Caller, filter: ImageFilter) -> Result<Vec<ImageView>, Error> { not_yet() }
    /// Totals.
    pub async fn stats(&self, who: &Caller) -> Result<ImageStats, Error> { not_yet() }
    /// Live progress of running images.
    pub fn follow(&self) -> broadcast::Receiver<(ImageId, Progress)> { broadcast::channel(1).1 }
    /// The newest preview of a running image: media type and bytes.
    pub fn preview(&self, id: ImageId) -> Option<(&'static str, Bytes)> { None }
    /// Takes in a source picture (PNG, JPEG or WebP, at most 32 MiB). Needs `Draw`.
    pub async fn upload(&self, who: &Caller, bytes: Bytes) -> Result<Upload, Error> { not_yet() }
    /// A stored picture or thumbnail by hash.
    pub async fn picture(&self, who: &Caller, sha256: &str) -> Result<PictureFile, Error> { not_yet() }
    /// Saved workflows by name.
    pub async fn workflows(&self, who: &Caller) -> Result<Vec<WorkflowView>, Error> { not_yet() }
    /// Saves a workflow in API format. Needs `Operate`.
    pub async fn save_workflow(&self, who: &Caller, name: &str, graph: &str) -> Result<WorkflowView, Error> { not_yet() }
    /// Deletes a workflow. Needs `Operate`.
    pub async fn delete_workflow(&self, who: &Caller, id: WorkflowId) -> Result<(), Error> { not_yet() }
}
