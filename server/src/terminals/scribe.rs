//! Writes into the audit log who came and went. Beside the viewers, who should not wait for the disk, and many in one
//! transaction: a thousand viewers that come at once would keep the only writer busy for seconds. What cannot be written, since
//! the disk is full, is tried again until it can, or the hub ends.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    caller::Actor,
    db::Db,
    error::Error,
    events::{Events, NewEvent},
};

/// Events that may wait to be written.
const WAITING: usize = 8_192;
/// Events of one transaction.
const TOGETHER: usize = 256;
/// Before what could not be written is tried again.
const AGAIN: Duration = Duration::from_secs(2);
/// After the hub was told to stop, the viewers still leave; so long is listened to them.
const LAST: Duration = Duration::from_millis(500);

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(super) struct Scribe(mpsc::Sender<(Actor, NewEvent)>);

impl Scribe {
    /// Begins to write.
    pub(super) fn open(db: Db, events: Events, tasks: &TaskTracker, stop: CancellationToken) -> Self {
        let (sender, mut waiting) = mpsc::channel(WAITING);
        tasks.spawn(async move {
            let mut together = Vec::with_capacity(TOGETHER);
            loop {
                let some = tokio::select! {
                    some = waiting.recv_many(&mut together, TOGETHER) => some > 0,
                    () = stop.cancelled() => {
                        let last = tokio::time::timeout(LAST, waiting.recv_many(&mut together, TOGETHER)).await;
                        last.is_ok_and(|some| some > 0)
                    }
                };
                if !some {
                    return;
                }
                while let Err(error) = write(&db, &events, &together).await {
                    tracing::warn!(%error, "what happened at the terminals is not in the audit log yet");
                    tokio::select! {
                        () = tokio::time::sleep(AGAIN) => {}
                        () = stop.cancelled() => return,
                    }
                }
                together.clear();
            }
        });
        Self(sender)
    }

    /// Will be written in a moment, in order.
    pub(super) fn note(&self, actor: Actor, event: NewEvent) {
        if self.0.try_send((actor, event)).is_err() {
            tracing::warn!("too much happens at the terminals; something of it is not in the audit log");
        }
    }
}

async fn write(db: &Db, events: &Events, together: &[(Actor, NewEvent)]) -> Result<(), Error> {
    let Some(((actor, last), before)) = together.split_last() else { return Ok(()) };
    let mut tx = db.write().await?;
    for (actor, event) in before {
        events.append(&mut tx, actor, event.clone()).await?;
    }
    events.commit(tx, actor, last.clone()).await.map(drop)
}
