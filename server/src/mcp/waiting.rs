//! Waits for an image, and tells the client how far it is. Losing the wait loses nothing: the image is the room's.

use std::time::Duration;

use rmcp::model::{ProgressNotificationParam, ProgressToken};
use tokio::sync::broadcast::error::RecvError;

use super::{door::Client, tools::Call};
use crate::{
    clock::Stopwatch,
    error::Error,
    id::ImageId,
    images::{ImageStatus, ImageView, Progress},
};

/// How often it is looked whether something should be said.
const LOOK: Duration = Duration::from_secs(5);
/// After so long the last word is said again: with [`LOOK`] never later than 15 s. Clients give up on silent calls.
const SILENCE: Duration = Duration::from_secs(9);
/// Steps are told at most so often.
const PACE: Duration = Duration::from_millis(500);

/// How long a call waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// Not at all.
    None,
    /// As long as is sensible for this client.
    Sensible,
    /// So many seconds.
    Seconds(u32),
}

impl Patience {
    /// With progress a client lives on; without, it gives up at 60 s, and the hub's own limit is 90 s to the first byte, in
    /// which a preview must be made besides.
    fn limit(self, progress: bool) -> Duration {
        let (sensible, most) = if progress { (240, super::schema::LONGEST_WAIT) } else { (50, 60) };
        Duration::from_secs(match self {
            Self::None => 0,
            Self::Sensible => sensible,
            Self::Seconds(seconds) => u64::from(seconds.min(most)),
        })
    }
}

/// Waits until the image has ended, the patience has, or the client or the hub is gone; gives it as it then stands.
pub(super) async fn wait(call: &Call<'_>, id: ImageId, patience: Patience, cancel: bool) -> Result<ImageView, Error> {
    let (hub, who, gone) = (&call.mcp.hub, &call.seat.caller, &call.context.ct);
    // Subscribe first, then read: nothing that happens in between is missed.
    let (mut changed, mut live) = (hub.events.follow(), hub.images.follow());
    let token = call.context.meta.get_progress_token();
    // Who lets too many calls wait gets an id at once.
    let place = call.mcp.waits.take(call.seat.token);
    let limit = place.as_ref().map_or(Duration::ZERO, |_| patience.limit(token.is_some()));
    let mut reporter = Reporter::new(call.context.peer.clone(), token);
    let mut deadline = Box::pin(tokio::time::sleep(limit));
    loop {
        let view = hub.images.get(who, id).await?;
        if view.status.ended() || limit.is_zero() {
            return Ok(view);
        }
        let look = async {
            reporter.status(&view).await;
            // Outside the loop: the lines of other images must not put it off.
            let mut again = Box::pin(tokio::time::sleep(LOOK));
            loop {
                tokio::select! {
                    result = changed.changed() => return result.is_ok(),
                    () = &mut again => return true,
                    line = live.recv() => match line {
                        Ok((image, progress)) if image == id => reporter.progress(&view, &progress).await,
                        Ok(_) => {}
                        Err(RecvError::Lagged(_)) => return true,
                        Err(RecvError::Closed) => return false,
                    },
                }
            }
        };
        let look = tokio::select! {
            biased;
            // First: when the hub stops all its connections go, and that is nobody's wish to cancel.
            () = hub.stop.cancelled() => false,
            () = gone.cancelled() => {
                if cancel && !hub.stop.is_cancelled() {
                    return hub.images.cancel(who, id).await;
                }
                false
            }
            () = call.seat.left.cancelled(), if cancel => {
                return if hub.stop.is_cancelled() { Ok(view) } else { hub.images.cancel(who, id).await };
            }
            () = &mut deadline => false,
            look = look => look,
        };
        if !look {
            return hub.images.get(who, id).await;
        }
    }
}

/// Tells a client that asked for it how far the image is. The numbers only grow, as the protocol wants.
struct Reporter {
    client: Client,
    token: Option<ProgressToken>,
    told: f64,
    message: String,
    since: Stopwatch,
}

impl Reporter {
    fn new(client: Client, token: Option<ProgressToken>) -> Self {
        Self { client, token, told: -1.0, message: String::new(), since: Stopwatch::start() }
    }

    /// Where the image stands; said again when the last word is old.
    async fn status(&mut self, view: &ImageView) {
        match (&view.progress, view.status) {
            (Some(progress), _) => self.progress(view, progress).await,
            (None, ImageStatus::Queued) => {
                let message = match (view.reason.as_deref(), view.place) {
                    (Some(reason), _) => format!("it {reason}"),
                    (None, Some(place @ 1..)) => format!("waiting, {place} before it"),
                    (None, _) => "waiting, next in the queue".into(),
                };
                self.tell(0.0, None, message).await;
            }
            (None, _) => self.tell(0.0, None, "running".into()).await,
        }
    }

    async fn progress(&mut self, view: &ImageView, progress: &Progress) {
        let on = view.renderer.as_deref().map(|renderer| format!(" on {renderer}")).unwrap_or_default();
        let message = match progress.steps {
            0 => format!("{}{on}", progress.phase),
            steps => format!("{}, step {} of {steps}{on}", progress.phase, progress.step),
        };
        // One more than the steps: after the last there is decoding and storing.
        let total = (progress.steps > 0).then(|| f64::from(progress.steps) + 1.0);
        self.tell(f64::from(progress.step), total, message).await;
    }

    async fn tell(&mut self, step: f64, total: Option<f64>, message: String) {
        let Some(token) = self.token.clone() else { return };
        let (first, age) = (self.told < 0.0, self.since.elapsed());
        let news = message != self.message;
        if !first && ((news && age < PACE) || (!news && age < SILENCE)) {
            return;
        }
        let told = if step > self.told { step } else { self.told + 0.001 };
        let mut line = ProgressNotificationParam::new(token, told).with_message(&message);
        line.total = total.filter(|total| *total >= told);
        (self.told, self.message, self.since) = (told, message, Stopwatch::start());
        // A client that is gone is noticed by the call's own end.
        let _ = self.client.notify_progress(line).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_longer_than_the_client_lives() {
        let cases = [
            (Patience::None, true, 0),
            (Patience::Sensible, true, 240),
            (Patience::Sensible, false, 50),
            (Patience::Seconds(30), false, 30),
            (Patience::Seconds(300), false, 60),
            (Patience::Seconds(9_999), true, 600),
        ];
        for (patience, progress, seconds) in cases {
            assert_eq!(patience.limit(progress).as_secs(), seconds, "{patience:?} {progress}");
        }
    }
}
