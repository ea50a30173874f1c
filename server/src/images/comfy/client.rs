//! The renderer's door: starting it, and the calls that are not about one job.

use std::sync::Arc;

use bytes::Bytes;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Drawn, Job, Pace, Report, Stop, away, calls::Calls, job, socket::Line};
use crate::services::{Endpoint, EndpointError};

/// One ComfyUI server as a renderer. Cheap to clone; all clones share the socket and the turn.
#[derive(Clone)]
pub(in crate::images) struct Comfy {
    pub(super) shared: Arc<Shared>,
}

/// What the clones share.
pub(super) struct Shared {
    pub(super) calls: Calls,
    pub(super) client_id: String,
    pub(super) pace: Pace,
    pub(super) line: Arc<Line>,
    pub(super) tracker: TaskTracker,
    pub(super) stop: CancellationToken,
    /// Held by the job that is out: the socket has one listener.
    pub(super) turn: tokio::sync::Mutex<()>,
}

impl Comfy {
    /// Starts the connection task through `tracker`, ended by `stop`. Nothing is sent before the first draw.
    /// `client_id` is stable per hub and service: the server addresses a job's messages to it, also after our restart.
    pub(in crate::images) fn start(
        endpoint: Endpoint,
        client_id: String,
        tracker: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        Self::start_at(endpoint, client_id, tracker, stop, Pace::default())
    }

    /// [`Comfy::start`] at another pace.
    pub(in crate::images) fn start_at(
        endpoint: Endpoint,
        client_id: String,
        tracker: &TaskTracker,
        stop: CancellationToken,
        pace: Pace,
    ) -> Self {
        let line = Line::new();
        tracker.spawn(super::socket::keep(
            line.clone(),
            endpoint.clone(),
            client_id.clone(),
            pace.clone(),
            stop.clone(),
        ));
        Self {
            shared: Arc::new(Shared {
                calls: Calls::new(endpoint, pace.clone()),
                client_id,
                pace,
                line,
                tracker: tracker.clone(),
                stop,
                turn: tokio::sync::Mutex::default(),
            }),
        }
    }

    /// Jobs waiting or running on the server, of anybody. For choosing the shortest queue.
    pub(in crate::images) async fn queue_remaining(&self) -> Result<u32, EndpointError> {
        self.shared.calls.queue_remaining().await
    }

    /// Uploads a source picture to the server's input folder and returns the name that LoadImage takes, which is the
    /// server's choice.
    ///
    /// # Errors
    /// [`Stop::Unfit`] when it is too large for this server, else [`Stop::Unreachable`].
    pub(in crate::images) async fn upload(&self, name: &str, bytes: Bytes) -> Result<String, Stop> {
        self.shared.calls.upload(name, bytes).await.map_err(away)
    }

    /// Lets the server forget a job whose files are kept here now, so that one that lives long does not grow.
    pub(in crate::images) async fn forget(&self, prompt_id: &str) {
        self.shared.calls.forget(prompt_id).await;
    }

    /// Draws one job to its end, however long it takes; a second draw waits for the first. `report` is called with each
    /// change, in order. When `cancel` fires, the job is stopped on the server and watched until it is gone.
    ///
    /// # Errors
    /// See [`Stop`].
    pub(in crate::images) async fn draw(
        &self,
        job: Job,
        report: &(dyn Fn(Report) + Send + Sync),
        cancel: &CancellationToken,
    ) -> Result<Drawn, Stop> {
        let _turn = tokio::select! {
            turn = self.shared.turn.lock() => turn,
            () = cancel.cancelled(), if !job.resume => return Err(Stop::Cancelled),
        };
        tokio::select! {
            result = job::draw(&self.shared, job, report, cancel) => result,
            () = self.shared.stop.cancelled() => Err(Stop::Unreachable("the hub is stopping".to_owned())),
        }
    }
}
