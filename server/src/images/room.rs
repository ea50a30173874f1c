//! The room's methods.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, Semaphore, broadcast};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    ImageDraft, ImageFilter, ImageStats, ImageStatus, ImageView, Picture, Progress, WorkflowView,
    dispatch::Dispatcher,
    files::{self, Files},
    graph,
    live::Live,
    rules,
    store::{self, NewImage},
};
use crate::{
    caller::{Actor, Caller, Right},
    clock::{Clock, DAY},
    db::Db,
    error::{Error, Failure, FailureKind},
    events::{Events, NewEvent, Topic},
    id::{ImageId, WorkflowId},
    services::Services,
};

/// Largest source picture taken in, in bytes.
const UPLOAD_BYTES: usize = 32 << 20;
/// How long a file stays that no image names, in milliseconds.
const KEEP_UNUSED: i64 = DAY;
/// Largest workflow saved, in bytes.
const WORKFLOW_BYTES: usize = 1 << 20;

/// A stored file, ready to be served.
#[derive(Clone, Debug)]
pub struct PictureFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its fixed type, from its own first bytes.
    pub media_type: &'static str,
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
pub struct Images(Arc<Inner>);

/// What the room's methods and its dispatcher share.
pub(super) struct Inner {
    pub(super) db: Db,
    pub(super) events: Events,
    pub(super) clock: Clock,
    pub(super) services: Services,
    pub(super) files: Files,
    pub(super) live: Live,
    /// Wakes the dispatcher: something was queued, or a renderer is free.
    pub(super) nudge: Notify,
    /// Held while a picture is decoded: one of 8192 × 8192 takes 268 MB.
    decoding: Semaphore,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
}

impl Images {
    /// Opens the room and starts its dispatcher, which first takes up again what was running when the hub last ended.
    pub fn open(
        db: Db,
        events: Events,
        clock: Clock,
        services: Services,
        data: &Path,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Result<Self, Error> {
        let files = Files::open(data, clock.clone())?;
        let inner = Arc::new(Inner {
            db,
            events,
            clock,
            services,
            files,
            live: Live::new(),
            nudge: Notify::new(),
            decoding: Semaphore::new(1),
            tasks,
            stop,
        });
        inner.tasks.spawn(Dispatcher::new(inner.clone()).run());
        Ok(Self(inner))
    }

    /// Accepts an image: when this returns it is durable and has its seed.
    pub async fn draw(&self, who: &Caller, draft: ImageDraft) -> Result<ImageView, Error> {
        self.accept(who, draft, None).await
    }

    /// Asks for the same image again: with the same seed, or (`vary`) with a new one.
    pub async fn again(&self, who: &Caller, id: ImageId, vary: bool) -> Result<ImageView, Error> {
        let mut draft = self.get(who, id).await?.draft;
        if vary {
            draft.seed = None;
        }
        self.accept(who, draft, Some(id)).await
    }

    async fn accept(&self, who: &Caller, mut draft: ImageDraft, parent: Option<ImageId>) -> Result<ImageView, Error> {
        who.must(Right::Draw)?;
        rules::check(&draft)?;
        self.check_workflow(&draft).await?;
        if let Some(service) = draft.service {
            // One that is not active may become so; one that is not there never will.
            self.0.services.get(who, service).await?;
        }
        if let Some(source) = &draft.source
            && !self.0.files.path(&source.sha256).exists()
        {
            return Err(Failure::invalid("the source picture is not here; upload it first").into());
        }
        // Known at once, it is told at once; the dispatcher looks again whenever services change.
        let active = self.0.services.active().await?;
        let waits = rules::nobody_draws(&draft, draft.service, active.iter().map(|service| service.id));
        let seed = *draft.seed.get_or_insert_with(rules::random_seed);
        let now = self.0.clock.now();
        let id = ImageId::new(now);
        let asked_by = who.actor.to_string();
        let mut tx = self.0.db.write().await?;
        if store::queued_count(&mut tx).await? >= rules::QUEUE {
            let message =
                format!("{} images wait already; let some finish or cancel some, then ask again", rules::QUEUE);
            return Err(Failure::new(FailureKind::TooMany, message).into());
        }
        store::insert(
            &mut tx,
            &NewImage { id, draft: &draft, seed, asked_by: &asked_by, agent: who.agent(), parent, now },
        )
        .await?;
        let detail = match &draft.task {
            Some(task) => format!("{} · {task}", title(&draft.prompt)),
            None => title(&draft.prompt),
        };
        let queued = NewEvent::new(Topic::Images, "queued", id, detail);
        if let Some(reason) = waits {
            store::set_reason(&mut tx, id, reason).await?;
            self.0.events.append(&mut tx, &who.actor, queued).await?;
            let (actor, event) = Inner::event("waits", id, reason);
            self.0.events.commit(tx, &actor, event).await?;
        } else {
            self.0.events.commit(tx, &who.actor, queued).await?;
        }
        self.0.nudge.notify_one();
        self.view(id).await
    }

    /// A workflow must exist and get a value for each of its own inputs, before the image is accepted.
    async fn check_workflow(&self, draft: &ImageDraft) -> Result<(), Error> {
        let Some(id) = draft.workflow else { return Ok(()) };
        let workflow =
            store::workflow(self.0.db.read(), id).await?.ok_or_else(|| Failure::not_found("this workflow"))?;
        let missing: Vec<_> =
            workflow.inputs.iter().filter(|name| !draft.inputs.contains_key(*name)).map(String::as_str).collect();
        if !missing.is_empty() {
            return Err(Failure::invalid(format!(
                "the workflow \"{}\" needs a value for: {}",
                workflow.name,
                missing.join(", ")
            ))
            .into());
        }
        let unknown: Vec<_> =
            draft.inputs.keys().filter(|name| !workflow.inputs.contains(name)).map(String::as_str).collect();
        if !unknown.is_empty() {
            return Err(Failure::invalid(format!(
                "the workflow \"{}\" has no input named: {}",
                workflow.name,
                unknown.join(", ")
            ))
            .into());
        }
        Ok(())
    }

    /// Puts a failed or cancelled image back into the queue, with the seed it had.
    pub async fn retry(&self, who: &Caller, id: ImageId) -> Result<ImageView, Error> {
        let view = self.own(who, id).await?;
        let mut tx = self.0.db.write().await?;
        if !store::retry(&mut tx, id).await? {
            return Err(conflict(format!(
                "this image is {}; only a failed or cancelled one can be retried",
                view.status.word()
            )));
        }
        self.0
            .events
            .commit(tx, &who.actor, NewEvent::new(Topic::Images, "queued", id, title(&view.draft.prompt)))
            .await?;
        self.0.nudge.notify_one();
        self.view(id).await
    }

    /// Cancels an image. A queued one is cancelled when this returns; a running one as soon as its service lets go.
    pub async fn cancel(&self, who: &Caller, id: ImageId) -> Result<ImageView, Error> {
        let view = self.own(who, id).await?;
        if view.status.ended() {
            return Err(conflict(format!("this image is already {}", view.status.word())));
        }
        let mut tx = self.0.db.write().await?;
        let kind = match store::cancel(&mut tx, id, self.0.clock.now()).await? {
            Some(ImageStatus::Cancelled) => "cancelled",
            Some(ImageStatus::Running) => "cancelling",
            // It ended between the look and the write.
            _ => return Err(conflict("this image has just ended".into())),
        };
        self.0.events.commit(tx, &who.actor, NewEvent::new(Topic::Images, kind, id, title(&view.draft.prompt))).await?;
        self.0.live.cancel(id);
        self.view(id).await
    }

    /// Deletes an ended image, and its files unless another image uses the same.
    pub async fn delete(&self, who: &Caller, id: ImageId) -> Result<(), Error> {
        let view = self.own(who, id).await?;
        let mut tx = self.0.db.write().await?;
        if !store::delete(&mut tx, id).await? {
            return Err(conflict(format!("this image is {}; cancel it first", view.status.word())));
        }
        self.0
            .events
            .commit(tx, &who.actor, NewEvent::new(Topic::Images, "deleted", id, title(&view.draft.prompt)))
            .await?;
        let files = view.pictures.iter().flat_map(|picture| [&picture.sha256, &picture.thumbnail]);
        for sha256 in files.chain(view.draft.source.iter().map(|source| &source.sha256)) {
            if store::file_used(self.0.db.read(), sha256).await? {
                continue;
            }
            // A running image may have stored the same bytes and not recorded them yet. The sweep looks at those again.
            let since = store::running_since(self.0.db.read()).await?;
            if since.is_none_or(|since| self.0.files.stored_at(sha256).is_some_and(|at| at < since)) {
                self.0.files.remove(sha256);
            }
        }
        Ok(())
    }

    /// One image.
    pub async fn get(&self, who: &Caller, id: ImageId) -> Result<ImageView, Error> {
        who.must(Right::Look)?;
        self.view(id).await
    }

    /// Images, newest first. With `ended: Some(false)` the queue: running ones, then waiting ones, oldest first; the other
    /// filters do not apply to it.
    pub async fn list(&self, who: &Caller, filter: ImageFilter) -> Result<Vec<ImageView>, Error> {
        who.must(Right::Look)?;
        if filter.ended == Some(false) {
            let mut views = store::open_views(self.0.db.read(), 200).await?;
            let mut place = 0;
            for view in &mut views {
                view.progress = self.0.live.progress(view.id);
                if view.status == ImageStatus::Queued {
                    view.place = Some(place);
                    // As `store::place` counts.
                    place += u32::from(view.reason.is_none());
                }
            }
            return Ok(views);
        }
        let mut views = store::list(self.0.db.read(), &filter).await?;
        for view in views.iter_mut().filter(|view| !view.status.ended()) {
            self.complete(view).await?;
        }
        Ok(views)
    }

    /// The ComfyUI graph an image was drawn with, as it was sent (API format).
    pub async fn graph(&self, who: &Caller, id: ImageId) -> Result<String, Error> {
        who.must(Right::Look)?;
        store::graph(self.0.db.read(), id).await?.ok_or_else(|| Failure::not_found("a workflow of this image").into())
    }

    /// Totals.
    pub async fn stats(&self, who: &Caller) -> Result<ImageStats, Error> {
        who.must(Right::Look)?;
        store::stats(self.0.db.read(), self.0.clock.now()).await
    }

    /// Live progress of running images. A listener that falls behind reads the images anew.
    pub fn follow(&self) -> broadcast::Receiver<(ImageId, Progress)> {
        self.0.live.follow()
    }

    /// Whether anybody follows that: every open page does.
    pub fn followed(&self) -> bool {
        self.0.live.followed()
    }

    /// The newest preview of a running image: media type and bytes.
    pub fn preview(&self, who: &Caller, id: ImageId) -> Result<Option<(&'static str, Bytes)>, Error> {
        who.must(Right::Look)?;
        Ok(self.0.live.preview(id))
    }

    /// Takes in a source picture: PNG, JPEG or WebP, at most 32 MiB.
    pub async fn upload(&self, who: &Caller, bytes: Bytes) -> Result<Upload, Error> {
        who.must(Right::Draw)?;
        if bytes.len() > UPLOAD_BYTES {
            return Err(
                Failure::invalid(format!("the picture is {} MiB; use at most 32 MiB", bytes.len() >> 20)).into()
            );
        }
        let files = self.0.files.clone();
        let _turn = self.0.decoding.acquire().await.map_err(anyhow::Error::from)?;
        blocking(move || {
            let picture = files::decode(bytes)?;
            let (width, height) = picture.size();
            Ok(Upload { sha256: files.store_source(&picture)?, width, height })
        })
        .await?
    }

    /// A stored picture, thumbnail or source by its hash.
    pub async fn picture(&self, who: &Caller, sha256: &str) -> Result<PictureFile, Error> {
        who.must(Right::Look)?;
        rules::sha256(sha256).map_err(|_| Failure::not_found("this picture"))?;
        let path = self.0.files.path(sha256);
        blocking(move || match files::media_type_of(&path) {
            Some(media_type) => Ok(PictureFile { path, media_type }),
            None => Err(Failure::not_found("this picture").into()),
        })
        .await?
    }

    /// Deletes the files that no image names: sources that nothing was drawn from for a day, and what a crash left
    /// behind. Gives how many.
    pub async fn sweep(&self) -> Result<usize, Error> {
        let cutoff = self.0.clock.now().plus(-KEEP_UNUSED);
        let old = move |files: &Files| -> Result<Vec<String>, Error> {
            let all = files.all()?.into_iter();
            Ok(all.filter(|(_, stored)| *stored < cutoff).map(|(name, _)| name).collect())
        };
        let files = self.0.files.clone();
        let mut names = blocking(move || old(&files)).await??;
        // Asked after the files were listed: what is stored from now on is younger than the cutoff.
        let used = store::used_files(self.0.db.read()).await?;
        names.retain(|name| !used.contains(name));
        names.iter().for_each(|name| self.0.files.remove(name));
        Ok(names.len())
    }

    /// Saved workflows by name.
    pub async fn workflows(&self, who: &Caller) -> Result<Vec<WorkflowView>, Error> {
        who.must(Right::Look)?;
        store::workflows(self.0.db.read()).await
    }

    /// Saves a workflow in API format under a new name.
    pub async fn save_workflow(&self, who: &Caller, name: &str, graph: &str) -> Result<WorkflowView, Error> {
        who.must(Right::Operate)?;
        if name.trim() != name || name.is_empty() || name.chars().count() > 60 || name.chars().any(char::is_control) {
            return Err(Failure::invalid("the name must be 1 to 60 characters without spaces around it").into());
        }
        if graph.len() > WORKFLOW_BYTES {
            return Err(
                Failure::invalid(format!("the workflow is {} KiB; use at most 1024 KiB", graph.len() >> 10)).into()
            );
        }
        let parsed = serde_json::from_str(graph)
            .map_err(|error| Failure::invalid(format!("the workflow is not JSON: {error}")))?;
        let mut inputs = graph::inputs(&parsed).map_err(Failure::invalid)?;
        inputs.retain(|name| !rules::DRAFT_INPUTS.contains(&name.as_str()));
        let now = self.0.clock.now();
        let workflow =
            WorkflowView { id: WorkflowId::new(now), name: name.into(), graph: graph.into(), inputs, created_at: now };
        let mut tx = self.0.db.write().await?;
        if !store::insert_workflow(&mut tx, &workflow).await? {
            return Err(conflict(format!(
                "there is already a workflow named \"{name}\"; choose another name or delete that one"
            )));
        }
        self.0.events.commit(tx, &who.actor, NewEvent::new(Topic::Images, "saved", workflow.id, name)).await?;
        Ok(workflow)
    }

    /// Deletes a workflow. Pictures drawn with it keep their graph; images that wait for it will fail and say so.
    pub async fn delete_workflow(&self, who: &Caller, id: WorkflowId) -> Result<(), Error> {
        who.must(Right::Operate)?;
        let mut tx = self.0.db.write().await?;
        let name = store::delete_workflow(&mut tx, id).await?.ok_or_else(|| Failure::not_found("this workflow"))?;
        self.0.events.commit(tx, &who.actor, NewEvent::new(Topic::Images, "deleted", id, name)).await?;
        Ok(())
    }

    async fn view(&self, id: ImageId) -> Result<ImageView, Error> {
        let mut view = store::get(self.0.db.read(), id).await?.ok_or_else(|| Failure::not_found("this image"))?;
        self.complete(&mut view).await?;
        Ok(view)
    }

    /// Adds what the row does not hold: place in the queue, live progress.
    async fn complete(&self, view: &mut ImageView) -> Result<(), Error> {
        match view.status {
            ImageStatus::Queued => view.place = Some(store::place(self.0.db.read(), view.id).await?),
            ImageStatus::Running => view.progress = self.0.live.progress(view.id),
            _ => {}
        }
        Ok(())
    }

    /// The image, if it is the caller's own or the caller may operate.
    async fn own(&self, who: &Caller, id: ImageId) -> Result<ImageView, Error> {
        who.must(Right::Draw)?;
        let view = self.view(id).await?;
        if view.asked_by != who.actor.to_string() {
            who.must(Right::Operate)?;
        }
        Ok(view)
    }
}

impl Inner {
    /// Decodes and stores what a renderer gave. One broken picture refuses the lot.
    pub(super) async fn store_pictures(self: &Arc<Self>, bytes: Vec<Bytes>) -> Result<Vec<Picture>, Error> {
        let files = self.files.clone();
        let _turn = self.decoding.acquire().await.map_err(anyhow::Error::from)?;
        blocking(move || {
            // One after another: decoded, sixteen large ones would not fit into a small machine. What was stored before a
            // broken one is swept later.
            bytes.into_iter().map(|bytes| files.store(&files::decode(bytes)?)).collect()
        })
        .await?
    }

    /// Writes that `id` changed, by the hub itself.
    pub(super) fn event(kind: &'static str, id: ImageId, detail: impl Into<String>) -> (Actor, NewEvent) {
        (Actor::Hub("images"), NewEvent::new(Topic::Images, kind, id, detail))
    }
}

/// The first words of a prompt, for lists and the audit log.
pub(super) fn title(prompt: &str) -> String {
    prompt.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(120).collect()
}

fn conflict(message: String) -> Error {
    Failure::new(FailureKind::Conflict, message).into()
}

/// Runs what would hold up other work: decoding, scaling, syncing a file.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| anyhow::anyhow!("a blocking job broke: {error}").into())
}
