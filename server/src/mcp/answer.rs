//! What a tool says about an image: facts, a small picture, links to the originals.

use std::time::Duration;

use rmcp::model::{CallToolResult, ContentBlock, Resource};
use serde::Serialize;
use serde_json::Value;

use super::{inline, resources, seat::Seat, state::Shared, words::short};
use crate::{
    error::Failure,
    images::{ImageStatus, ImageView, Images},
};

/// The longest that an answer waits for its preview.
const PREVIEW: Duration = Duration::from_secs(15);

/// The structured content of `generate_image` and `get_image`. What is not known is missing.
#[derive(Debug, Serialize)]
pub(super) struct ImageAnswer {
    id: String,
    status: &'static str,
    images: Vec<PictureAnswer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backend: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<u32>,
    message: String,
}

/// One picture of it.
#[derive(Debug, Serialize)]
struct PictureAnswer {
    uri: String,
    url: String,
    width: u32,
    height: u32,
    /// Decimal text: JavaScript clients lose digits above 2^53.
    seed: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    bytes: i64,
    sha256: String,
    media_type: String,
}

impl ImageAnswer {
    /// The facts of `view`, with addresses that begin with `home`.
    pub(super) fn new(view: &ImageView, model: Option<&str>, home: &str) -> Self {
        let progress = view.progress.as_ref().filter(|progress| progress.steps > 0);
        let images = view.pictures.iter().enumerate().map(|(n, picture)| PictureAnswer {
            uri: resources::picture_uri(view.id, n),
            url: format!("{home}/pictures/{}", picture.sha256),
            width: picture.width,
            height: picture.height,
            seed: view.draft.seed.map(|seed| seed.to_string()).unwrap_or_default(),
            model: model.map(str::to_owned),
            bytes: picture.bytes,
            sha256: picture.sha256.clone(),
            media_type: picture.media_type.clone(),
        });
        Self {
            id: view.id.to_string(),
            status: view.status.word(),
            images: images.collect(),
            backend: view.renderer.clone(),
            duration_ms: view.drawn_ms,
            cost: view.cost.map(|cost| cost.0 as f64 / 1e6),
            place: view.place,
            step: progress.map(|progress| progress.step),
            steps: progress.map(|progress| progress.steps),
            message: message(view),
        }
    }
}

/// What happened and what to do next, in a sentence.
fn message(view: &ImageView) -> String {
    let reason = view.reason.as_deref().unwrap_or_default();
    match view.status {
        ImageStatus::Done if view.is_sketch() => {
            "done, by the built-in placeholder, which is no model: no image service is connected to this hub".into()
        }
        ImageStatus::Done => "done".into(),
        ImageStatus::Failed => format!("it failed: {reason}. Change the call and generate again"),
        ImageStatus::Cancelled => "it was cancelled".into(),
        ImageStatus::Queued if !reason.is_empty() => {
            format!("it {reason}. It goes on when that changes; call get_image with this id later, or cancel_image")
        }
        ImageStatus::Queued => format!(
            "it waits, {} before it; call get_image with this id and wait: true. It goes on without you",
            view.place.unwrap_or(0)
        ),
        ImageStatus::Running => {
            "it is being drawn; call get_image with this id and wait: true. It goes on without you".into()
        }
    }
}

/// The facts of `view` as JSON.
pub(super) async fn facts(images: &Images, seat: &Seat, view: &ImageView) -> Result<Value, Failure> {
    let mut model = view.draft.model.clone();
    if model.is_none() && !view.pictures.is_empty() && !view.is_sketch() {
        // The service chose; the graph that it was sent says what.
        model = images.graph(&seat.caller, view.id).await.ok().and_then(|graph| checkpoint(&graph));
    }
    serde_json::to_value(ImageAnswer::new(view, model.as_deref(), &seat.home)).map_err(Failure::internal)
}

/// The checkpoint that a graph loads, if it loads just one.
fn checkpoint(graph: &str) -> Option<String> {
    let graph: Value = serde_json::from_str(graph).ok()?;
    let mut names = graph.as_object()?.values().filter_map(|node| node["inputs"]["ckpt_name"].as_str());
    let name = names.next()?;
    names.all(|other| other == name).then(|| name.to_owned())
}

/// The whole result for `view`. With `preview`, the first picture is in it, small.
pub(super) async fn about(
    mcp: &Shared,
    seat: &Seat,
    view: &ImageView,
    preview: bool,
) -> Result<CallToolResult, Failure> {
    let facts = facts(&mcp.hub.images, seat, view).await?;
    // The facts as text too, for clients that know no structured content.
    let mut result = CallToolResult::structured(facts);
    if let Some(first) = view.pictures.first().filter(|_| preview) {
        match tokio::time::timeout(PREVIEW, inline::small(mcp, seat, first)).await {
            Ok(Ok(picture)) => result.content.push(picture),
            // The originals are there all the same.
            Ok(Err(failure)) => {
                tracing::warn!(error = %failure, image.id = %view.id, "a picture cannot be made small");
            }
            Err(_) => tracing::info!(image.id = %view.id, "no preview: many pictures are being made small"),
        }
    }
    result.content.extend(links(view).map(ContentBlock::resource_link));
    result.is_error = Some(view.status == ImageStatus::Failed);
    Ok(result)
}

/// The originals, as resources.
pub(super) fn links(view: &ImageView) -> impl Iterator<Item = Resource> + '_ {
    let of = view.pictures.len();
    view.pictures.iter().enumerate().map(move |(n, picture)| {
        let ending = picture.media_type.trim_start_matches("image/");
        let title = short(&view.draft.prompt, 80);
        let title = if of > 1 { format!("{title} ({} of {of})", n + 1) } else { title };
        Resource::new(resources::picture_uri(view.id, n), format!("{}-{}.{ending}", view.id, n + 1))
            .with_title(title)
            .with_description(format!("{} × {}", picture.width, picture.height))
            .with_mime_type(&picture.media_type)
            .with_size(u64::try_from(picture.bytes).unwrap_or(0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checkpoint_is_read_from_the_graph() {
        let cases = [
            (
                r#"{"1":{"class_type":"CheckpointLoaderSimple","inputs":{"ckpt_name":"a.safetensors"}},"2":{"inputs":{}}}"#,
                Some("a.safetensors"),
            ),
            (r#"{"1":{"inputs":{"ckpt_name":"a"}},"2":{"inputs":{"ckpt_name":"b"}}}"#, None),
            (r#"{"1":{"inputs":{"ckpt_name":["3",0]}}}"#, None),
            ("{}", None),
            ("nonsense", None),
        ];
        for (graph, expected) in cases {
            assert_eq!(checkpoint(graph).as_deref(), expected, "{graph}");
        }
    }
}
