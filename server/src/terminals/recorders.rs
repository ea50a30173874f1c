//! What records: a watcher like any other, which writes instead of showing. And what people do with recordings and links.

use std::{io, sync::PoisonError, time::Duration};

use bytes::Bytes;
use futures_util::Stream;
use tokio_util::sync::CancellationToken;

use super::{
    LinkView, NewLink, RecordingView,
    feed::{Next, Pace},
    links::LinkWatch,
    recording::{Recorder, Stopped},
    room::{Terminals, terminal_event},
    rules,
    sessions::Watch,
    store,
};
use crate::{
    caller::{Actor, Caller, Right},
    clock::Timestamp,
    error::{Error, Failure},
    id::{LinkId, RecordingId},
};

/// Before a recording that could not begin is tried again.
const AGAIN: Duration = Duration::from_secs(60);

impl Terminals {
    /// Whether a terminal's output is kept, from now on and whenever it runs. Needs `Operate`.
    pub async fn record(&self, who: &Caller, name: &str, on: bool) -> Result<(), Error> {
        who.must(Right::Operate)?;
        rules::name(name)?;
        let mut tx = self.inner.db.write().await?;
        if store::set_recorded(&mut *tx, name, on).await?.rows_affected() == 0 {
            return Err(Failure::not_found("this terminal").into());
        }
        let kind = if on { "recording-on" } else { "recording-off" };
        self.inner.events.commit(tx, &who.actor, terminal_event(kind, name, "")).await?;
        self.reconcile_recording().await
    }

    /// Starts and ends recorders until each terminal that should be recorded and runs has one.
    pub async fn reconcile_recording(&self) -> Result<(), Error> {
        let wanted: Vec<String> = store::list(self.inner.db.read())
            .await?
            .into_iter()
            .filter(|row| row.recorded)
            .map(|row| row.name)
            .collect();
        {
            let recorders = self.inner.recorders.lock().unwrap_or_else(PoisonError::into_inner);
            for (name, (_, end)) in &*recorders {
                if !wanted.contains(name) {
                    end.cancel();
                }
            }
            if wanted.iter().all(|name| recorders.contains_key(name)) {
                return Ok(());
            }
        }
        let live = self.live().await?;
        for name in wanted.into_iter().filter(|name| live.iter().any(|session| session.name == *name)) {
            let end = CancellationToken::new();
            {
                let mut recorders = self.inner.recorders.lock().unwrap_or_else(PoisonError::into_inner);
                if recorders.contains_key(&name) {
                    continue;
                }
                recorders.insert(name.clone(), (None, end.clone()));
            }
            let room = self.clone();
            self.spawn(async move {
                if let Err(error) = room.keep(&name, &end).await {
                    tracing::warn!(terminal = name, error = %error, "it is not recorded; tried again in a minute");
                    tokio::select! {
                        () = tokio::time::sleep(AGAIN) => {}
                        () = end.cancelled() => {}
                        () = room.inner.stop.cancelled() => {}
                    }
                }
                room.inner.recorders.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
                room.stages().tell(&name);
            });
        }
        Ok(())
    }

    /// Records one terminal until it ends, or recording is turned off, or the hub stops.
    async fn keep(&self, name: &str, end: &CancellationToken) -> Result<(), Error> {
        let sessions = self.sessions_of(name).await?;
        loop {
            // A new watch begins with a snapshot, and so does each recording.
            let mut watch = sessions.watch(name).await?;
            let (cols, rows) = watch.feed().size();
            let mut recorder = self.inner.recordings.begin(name, cols, rows, &watch.feed().title()).await?;
            tracing::info!(terminal = name, recording = %recorder.id(), "records");
            self.set_recording(name, Some(self.now()));
            let why = tokio::select! {
                why = self.write_down(&mut watch, &mut recorder) => why,
                () = end.cancelled() => None,
                () = self.inner.stop.cancelled() => None,
            };
            recorder.finish().await;
            self.set_recording(name, None);
            match why {
                Some(Stopped::Full) => {}
                // Not again before a person asks for it: the disk that was full would be filled at every try.
                Some(Stopped::Failed) => {
                    let mut tx = self.inner.db.write().await?;
                    store::set_recorded(&mut *tx, name, false).await?;
                    let event = terminal_event("recording-off", name, "it could not be written");
                    self.inner.events.commit(tx, &Actor::Hub("recordings"), event).await?;
                    return Ok(());
                }
                Some(Stopped::Closing) | None => return Ok(()),
            }
        }
    }

    /// Tells those at a terminal since when it is recorded.
    fn set_recording(&self, name: &str, since: Option<Timestamp>) {
        let mut recorders = self.inner.recorders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(recorder) = recorders.get_mut(name) {
            recorder.0 = since;
        }
        drop(recorders);
        self.stages().tell(name);
    }

    /// Hands everything on until the session ends (`None`) or the recording does.
    async fn write_down(&self, watch: &mut Watch, recorder: &mut Recorder) -> Option<Stopped> {
        loop {
            let taken = match watch.next(Pace::Every).await {
                // The first byte says what the frame is.
                Next::Bytes(frame) => recorder.output(self.now(), frame.slice(1..)).await,
                Next::Resized(cols, rows) => recorder.resized(self.now(), cols, rows).await,
                Next::Titled | Next::Untyped(_) => Ok(()),
                Next::Ended => return None,
            };
            if let Err(why) = taken {
                return Some(why);
            }
        }
    }

    /// The recordings of a terminal, newest first. Needs a look at it: a recording shows no more than the live view did.
    pub async fn recordings(&self, who: &Caller, name: &str) -> Result<Vec<RecordingView>, Error> {
        rules::sees(who, name)?;
        rules::name(name)?;
        self.inner.recordings.list(name).await
    }

    /// A recording and its text, decompressed piece by piece. Needs a look at its terminal.
    pub async fn recording(
        &self,
        who: &Caller,
        id: RecordingId,
    ) -> Result<(RecordingView, impl Stream<Item = io::Result<Bytes>> + Send + use<>), Error> {
        who.must(Right::Look)?;
        let view = self.inner.recordings.get(id).await?;
        rules::sees(who, &view.terminal)?;
        Ok((view, self.inner.recordings.read(id).await?))
    }

    /// Deletes a recording that has ended. Needs `Operate`.
    pub async fn delete_recording(&self, who: &Caller, id: RecordingId) -> Result<(), Error> {
        who.must(Right::Operate)?;
        self.inner.recordings.delete(&who.actor, id).await
    }

    /// Drops recordings that are too old or too many. The newest stay.
    pub async fn prune_recordings(&self, keep_days: u32, keep_bytes: u64) -> Result<usize, Error> {
        self.inner.recordings.prune(keep_days, keep_bytes).await
    }

    /// Makes a share link for one terminal. Needs `Operate`.
    pub async fn share(&self, who: &Caller, name: &str, hours: u32) -> Result<NewLink, Error> {
        who.must(Right::Operate)?;
        rules::name(name)?;
        if store::get(self.inner.db.read(), name).await?.is_none() {
            return Err(Failure::not_found("this terminal").into());
        }
        self.inner.links.create(&who.actor, name, hours).await
    }

    /// The share links of a terminal that still work. Needs `Operate`: who sees them learns who else may look.
    pub async fn links(&self, who: &Caller, name: &str) -> Result<Vec<LinkView>, Error> {
        who.must(Right::Operate)?;
        rules::name(name)?;
        self.inner.links.list(name).await
    }

    /// Ends a share link, and closes what was opened by it. Needs `Operate`.
    pub async fn revoke_link(&self, who: &Caller, id: LinkId) -> Result<(), Error> {
        who.must(Right::Operate)?;
        self.inner.links.revoke(&who.actor, id).await
    }

    /// What a share link's secret opens, for a visitor from `address`.
    pub async fn open_link(&self, secret: &str, address: &str) -> Result<Guest, Error> {
        let pass = self.inner.links.open(secret, address).await?;
        Ok(Guest { link: pass.link, terminal: pass.terminal, expires_at: pass.expires_at })
    }

    /// Counts a guest for as long as what this gives is kept.
    pub async fn guest(&self, link: LinkId) -> Result<GuestSeat, Error> {
        Ok(GuestSeat(self.inner.links.watch(link).await?))
    }
}

/// What a share link lets its guest do: look at one terminal until then.
#[derive(Clone, Debug)]
pub struct Guest {
    /// The link.
    pub link: LinkId,
    /// The terminal.
    pub terminal: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A guest who is there.
pub struct GuestSeat(LinkWatch);

impl GuestSeat {
    /// Resolves when the link is revoked or has expired.
    pub async fn ended(&self) {
        self.0.ended().await;
    }
}
