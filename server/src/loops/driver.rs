//! Runs one loop: period, nudge, time limit, panics, status.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::sync::{Notify, watch};

use crate::{
    Hub,
    clock::{Stopwatch, Timestamp},
};

/// A loop's work.
pub(super) trait Activate: Send + 'static {
    /// Its one word.
    const NAME: &'static str;
    /// From the end of one activation to the start of the next.
    const PERIOD: Duration;

    /// Looks, acts, and says what it did in a few words.
    fn activate(&mut self) -> impl Future<Output = anyhow::Result<String>> + Send;
}

/// What a loop did last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoopStatus {
    /// When it last began.
    pub started_at: Option<Timestamp>,
    /// How long that took, in milliseconds; `None` while it runs.
    pub took_ms: Option<i64>,
    /// What it said, or why it failed.
    pub result: Option<Result<String, String>>,
    /// Activations since the start of the hub.
    pub activations: u64,
}

struct Handle {
    status: watch::Receiver<LoopStatus>,
    nudge: Arc<Notify>,
}

/// The running loops. Ends with the hub.
#[derive(Default)]
pub struct Loops(BTreeMap<&'static str, Handle>);

impl Loops {
    /// What each loop did last, by name.
    pub fn status(&self) -> Vec<(&'static str, LoopStatus)> {
        self.0.iter().map(|(name, handle)| (*name, handle.status.borrow().clone())).collect()
    }

    /// Runs a loop now, or right after its current activation.
    pub fn nudge(&self, name: &str) {
        if let Some(handle) = self.0.get(name) {
            handle.nudge.notify_one();
        }
    }

    pub(super) fn start<L: Activate>(&mut self, hub: &Hub, work: L) {
        let (sender, status) = watch::channel(LoopStatus::default());
        let nudge = Arc::new(Notify::new());
        hub.tasks.spawn(drive(hub.clone(), work, sender, nudge.clone()));
        self.0.insert(L::NAME, Handle { status, nudge });
    }
}

async fn drive<L: Activate>(hub: Hub, mut work: L, status: watch::Sender<LoopStatus>, nudge: Arc<Notify>) {
    while !hub.stop.is_cancelled() {
        let watch = Stopwatch::start();
        status.send_modify(|status| {
            status.started_at = Some(hub.clock.now());
            status.took_ms = None;
            status.activations += 1;
        });
        // An activation is finished even while the hub ends: it is bounded, and half of one helps nobody.
        let limit = L::PERIOD.max(Duration::from_secs(60));
        let result = match tokio::time::timeout(limit, AssertUnwindSafe(work.activate()).catch_unwind()).await {
            Ok(Ok(Ok(said))) => Ok(said),
            Ok(Ok(Err(error))) => Err(format!("{error:#}")),
            Ok(Err(_)) => Err("it panicked; the log has the place".to_owned()),
            Err(_) => Err(format!("it took longer than {} s and was stopped", limit.as_secs())),
        };
        match &result {
            Ok(said) => tracing::debug!(loop.name = L::NAME, took_ms = watch.millis(), said, "loop ran"),
            Err(error) => tracing::error!(loop.name = L::NAME, error, "loop failed"),
        }
        status.send_modify(|status| {
            status.took_ms = Some(watch.millis());
            status.result = Some(result);
        });
        tokio::select! {
            () = hub.stop.cancelled() => {}
            () = nudge.notified() => {}
            () = tokio::time::sleep(L::PERIOD) => {}
        }
    }
}
