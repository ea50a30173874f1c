//! Draws one claimed image, by a ComfyUI service or by the built-in sketch, and says how it ended.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{
    ImageDraft, Picture, Seed,
    comfy::{Comfy, Job, Report, Stop},
    graph,
    room::{Inner, blocking},
    rules,
    sketch::Sketch,
    store,
};
use crate::{
    caller::Caller,
    clock::Stopwatch,
    error::{Error, Failure, FailureKind},
    id::{ImageId, ServiceId},
};

/// Pause between two steps of the sketch, so that a person can see progress and previews work.
const SKETCH_PACE: Duration = Duration::from_millis(30);

/// How a drawing ended.
pub(super) enum Ending {
    /// Drawn and stored.
    Done {
        /// What came out.
        pictures: Vec<Picture>,
        /// How long the renderer drew, in milliseconds.
        drawn_ms: i64,
        /// What the renderer left out.
        warning: Option<String>,
        /// The job's id on the service, which may forget it once this is recorded.
        prompt_id: Option<String>,
    },
    /// It cannot be drawn.
    Failed(String),
    /// Somebody cancelled it.
    Cancelled,
    /// The renderer lost it; try again.
    Again(String),
    /// The hub ended in the middle, which says nothing of the renderer.
    Interrupted(String),
    /// This renderer cannot; another may.
    Unfit(String),
    /// The renderer is not there; try another, or later.
    Unreachable(String),
}

/// A claimed image for a ComfyUI service.
pub(super) struct Assignment {
    pub(super) id: ImageId,
    pub(super) draft: ImageDraft,
    pub(super) service: ServiceId,
    pub(super) prompt_id: String,
    /// The hub restarted: the service may have it already, or have finished it.
    pub(super) resume: bool,
}

impl From<Stop> for Ending {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Refused(reason) | Stop::Failed(reason) => Self::Failed(reason),
            Stop::Unfit(reason) => Self::Unfit(reason),
            Stop::Cancelled => Self::Cancelled,
            Stop::Lost(reason) => Self::Again(reason),
            Stop::Unreachable(reason) => Self::Unreachable(reason),
        }
    }
}

impl From<Error> for Ending {
    fn from(error: Error) -> Self {
        Self::Failed(Failure::from(error).message)
    }
}

/// Draws on a ComfyUI service.
pub(super) async fn comfy(inner: &Arc<Inner>, work: Assignment, comfy: &Comfy, cancel: &CancellationToken) -> Ending {
    match try_comfy(inner, work, comfy, cancel).await {
        Ok(ending) | Err(ending) => ending,
    }
}

async fn try_comfy(
    inner: &Arc<Inner>,
    work: Assignment,
    comfy: &Comfy,
    cancel: &CancellationToken,
) -> Result<Ending, Ending> {
    let Assignment { id, draft, service, prompt_id, resume } = work;
    let graph = if resume {
        // Kept when it was sent: the names of its nodes tell what the service is doing.
        let kept = store::graph(inner.db.read(), id).await?;
        kept.and_then(|graph| serde_json::from_str(&graph).ok()).unwrap_or(Value::Null)
    } else {
        prepare(inner, (id, &draft), &prompt_id, service, comfy).await?
    };
    let watch = Stopwatch::start();
    let report = |report| match report {
        Report::Accepted { .. } => inner.live.update(id, |progress| progress.phase = "waiting".into()),
        Report::Phase(phase) => inner.live.update(id, |progress| progress.phase = phase),
        Report::Steps { step, steps } => {
            inner.live.update(id, |progress| (progress.step, progress.steps) = (step, steps))
        }
        Report::Preview { media_type, bytes } => inner.live.set_preview(id, media_type, bytes),
    };
    let drawn = comfy.draw(Job { prompt_id, graph, resume, pictures: true }, &report, cancel).await.map_err(
        |stop| match stop {
            // The hub ended between its claim and the service's answer: nothing that the service did wrong.
            Stop::Lost(reason) if resume => Ending::Interrupted(reason),
            stop => stop.into(),
        },
    )?;
    let drawn_ms = drawn.drawn_ms.unwrap_or_else(|| watch.millis());
    let pictures = inner.store_pictures(drawn.files).await.map_err(from_service)?;
    Ok(Ending::Done { pictures, drawn_ms, warning: drawn.warning, prompt_id: Some(drawn.prompt_id) })
}

/// Uploads the source if there is one, builds the graph, and keeps it.
async fn prepare(
    inner: &Arc<Inner>,
    (id, draft): (ImageId, &ImageDraft),
    prompt_id: &str,
    service: ServiceId,
    comfy: &Comfy,
) -> Result<Value, Ending> {
    let seed = draft.seed.unwrap_or(Seed(0));
    let prefix = format!("central-mcp/{prompt_id}");
    let source = match &draft.source {
        None => None,
        Some(source) => {
            let bytes = tokio::fs::read(inner.files.path(&source.sha256)).await;
            let bytes =
                bytes.map_err(|_| Ending::Failed("the source picture is no longer here; upload it again".into()))?;
            Some(comfy.upload(&source.sha256, Bytes::from(bytes)).await?)
        }
    };
    let graph = match draft.workflow {
        Some(workflow) => {
            let saved = store::workflow(inner.db.read(), workflow).await?;
            let saved = saved.ok_or_else(|| Ending::Failed("its workflow was deleted before it was drawn".into()))?;
            let saved = serde_json::from_str(&saved.graph)
                .map_err(|error| Ending::Failed(format!("the workflow is unreadable: {error}")))?;
            let mut graph = graph::fill(&saved, &rules::inputs(draft, seed)).map_err(Ending::Failed)?;
            graph::save_as(&mut graph, &prefix);
            graph
        }
        None => {
            let checkpoint = match &draft.model {
                Some(model) => model.clone(),
                None => first_checkpoint(inner, service).await?,
            };
            graph::build(draft, seed, &prefix, &checkpoint, source.as_deref())
        }
    };
    let mut tx = inner.db.write().await.map_err(Error::from)?;
    store::set_graph(&mut tx, id, &graph.to_string()).await?;
    tx.commit().await.map_err(Error::from)?;
    Ok(graph)
}

/// What an image is drawn with that names no model: the service's first.
async fn first_checkpoint(inner: &Arc<Inner>, service: ServiceId) -> Result<String, Ending> {
    match inner.services.catalog(&Caller::of_hub("images"), service).await {
        Ok(catalog) => catalog.checkpoints.into_iter().next().ok_or_else(|| {
            Ending::Unfit(
                "the service has no checkpoint; put one into its models/checkpoints folder, or use a saved workflow"
                    .into(),
            )
        }),
        Err(error) => Err(Ending::Unreachable(Failure::from(error).message)),
    }
}

/// A file that does not decode is the service's fault, and is told as such.
fn from_service(error: Error) -> Ending {
    match error {
        Error::Refused(failure) if failure.kind == FailureKind::Invalid => {
            Ending::Failed(format!("the service sent something else than a picture: {}", failure.message))
        }
        other => other.into(),
    }
}

/// Draws with the built-in renderer.
pub(super) async fn sketch(inner: &Arc<Inner>, id: ImageId, draft: ImageDraft, cancel: &CancellationToken) -> Ending {
    match try_sketch(inner, id, draft, cancel).await {
        Ok(ending) => ending,
        Err(error) => error.into(),
    }
}

async fn try_sketch(
    inner: &Arc<Inner>,
    id: ImageId,
    draft: ImageDraft,
    cancel: &CancellationToken,
) -> Result<Ending, Error> {
    let (watch, seed, count) = (Stopwatch::start(), draft.seed.unwrap_or(Seed(0)), draft.count);
    let mut files = Vec::new();
    for n in 0..count {
        let mut sketch = Sketch::begin(&draft, seed, n);
        inner.live.update(id, |progress| progress.phase = "sketching".into());
        loop {
            if cancel.is_cancelled() {
                return Ok(Ending::Cancelled);
            }
            let more;
            (sketch, more) = blocking(move || {
                let more = sketch.step();
                (sketch, more)
            })
            .await?;
            if !more {
                break;
            }
            let (step, steps) = sketch.progress();
            inner.live.set_preview(id, "image/jpeg", sketch.preview()?);
            inner.live.update(id, |progress| (progress.step, progress.steps) = (n * steps + step, count * steps));
            tokio::time::sleep(SKETCH_PACE).await;
        }
        files.push(blocking(move || sketch.finish()).await??);
    }
    let pictures = inner.store_pictures(files).await?;
    Ok(Ending::Done { pictures, drawn_ms: watch.millis(), warning: None, prompt_id: None })
}
