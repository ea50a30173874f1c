//! `GET /live`: server-sent events that tell a page what to fetch again, and how far running images are.
//!
//! * `event: change`, `id: SEQ`, data `{"seq", "topic"}`: something was committed. Resumes by `Last-Event-ID`; a page that opens
//!   the stream for the first time says in `?after=SEQ` what it was rendered from, so that nothing in between is missed.
//! * `event: progress`, data `{"image", "progress"}`: not stored, not resumed.
//! * `event: resync`, `id: SEQ`: too much was missed; fetch everything.
//!
//! The stream ends with the hub, and with the credential it was opened with.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, Uri},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream;
use serde_json::json;
use tokio::sync::{broadcast::error::RecvError, mpsc};

use super::{Visit, serve::Shared};
use crate::{caller::Right, error::Error};

/// More missed events than this are not replayed: fetching everything is cheaper.
const REPLAY: i64 = 200;
/// Events written by another process (the command line), and the end of the credential, are noticed at least this often.
const LOOK: Duration = Duration::from_secs(2);

/// See the module.
pub(super) async fn live(
    State(shared): State<Arc<Shared>>,
    Extension(visit): Extension<Visit>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Error> {
    visit.caller()?.must(Right::Look)?;
    let begins = After { page: page(&uri), stream: stream_id(&headers) };
    let (sender, receiver) = mpsc::channel(32);
    let stop = shared.hub.stop.clone();
    shared.hub.tasks.clone().spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = sender.closed() => {}
            result = feed(&shared, &visit, begins, &sender) => if let Err(error) = result {
                tracing::warn!(%error, "a live stream broke");
            }
        }
    });
    let stream = stream::unfold(receiver, |mut receiver| async {
        Some((Ok::<_, Infallible>(receiver.recv().await?), receiver))
    });
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(15));
    // `no`: a proxy such as nginx must not hold events back.
    Ok(([("x-accel-buffering", "no")], Sse::new(stream).keep_alive(keep_alive)).into_response())
}

/// The event after which a stream begins.
#[derive(Clone, Copy)]
struct After {
    /// What the page was rendered from.
    page: Option<i64>,
    /// What the stream said last, before it broke: newer than the page.
    stream: Option<i64>,
}

fn page(uri: &Uri) -> Option<i64> {
    let mut pairs = url::form_urlencoded::parse(uri.query()?.as_bytes());
    pairs.find(|(name, _)| name == "after")?.1.parse().ok()
}

fn stream_id(headers: &HeaderMap) -> Option<i64> {
    headers.get("last-event-id")?.to_str().ok()?.parse().ok()
}

/// Sends until the page is gone or the credential is no longer valid.
async fn feed(shared: &Shared, visit: &Visit, begins: After, sender: &mpsc::Sender<Event>) -> Result<(), Error> {
    let hub = &shared.hub;
    // Subscribe first, then read: what happens in between comes twice at most, never not at all.
    let (mut changed, mut progress) = (hub.events.follow(), hub.images.follow());
    let newest = hub.events.newest().await?;
    let known = begins.stream.or(begins.page);
    let replayed = known.filter(|known| (0..=REPLAY).contains(&(newest - known)));
    let mut seen = replayed.unwrap_or(newest);
    if begins.stream.is_none() {
        let hello = Event::default().event("hello").id(seen.to_string()).retry(Duration::from_secs(1)).data("{}");
        let _ = sender.send(hello).await;
    }
    if known.is_some() && replayed.is_none() {
        let _ = sender.send(resync(newest)).await;
    }
    let mut look = true;
    let mut ticks = tokio::time::interval(LOOK);
    loop {
        // Progress lines are many; only a change is worth a look at the table.
        let missed = if look { hub.events.after(seen, REPLAY).await? } else { Vec::new() };
        for event in missed {
            seen = event.seq;
            let data = json!({ "seq": event.seq, "topic": event.topic }).to_string();
            if sender.send(Event::default().event("change").id(event.seq.to_string()).data(data)).await.is_err() {
                return Ok(());
            }
        }
        // A credential ends by a change, or because its time has come.
        if look
            && let Some(credential) = &visit.credential
            && credential.still(&hub.auth).await?.is_none()
        {
            return Ok(());
        }
        look = true;
        tokio::select! {
            result = changed.changed() => if result.is_err() { return Ok(()) },
            _ = ticks.tick() => {}
            line = progress.recv() => match line {
                Ok((image, progress)) => {
                    look = false;
                    let data = json!({ "image": image, "progress": progress }).to_string();
                    if sender.send(Event::default().event("progress").data(data)).await.is_err() {
                        return Ok(());
                    }
                }
                // Missed lines are no loss: each line tells all there is.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Ok(()),
            },
        }
    }
}

fn resync(newest: i64) -> Event {
    Event::default().event("resync").id(newest.to_string()).data("{}")
}
