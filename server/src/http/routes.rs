//! Routes that are not pages: files of pictures, previews, uploads, health.

use std::sync::Arc;

use axum::{
    Extension, Json,
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde::Deserialize;
use tokio_util::io::ReaderStream;

use super::{Visit, serve::Shared};
use crate::{
    error::{Error, Failure},
    id::ImageId,
    images::Upload,
};

/// A page of another site must not show our pictures, and nothing in them may run.
const PICTURE_HEADERS: [(header::HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
    (header::CACHE_CONTROL, "private, max-age=31536000, immutable"),
    (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

#[derive(Deserialize)]
pub(super) struct PictureQuery {
    #[serde(default)]
    download: Option<String>,
}

/// `GET /pictures/SHA256`: a picture, thumbnail or source. The name is the content's hash, so it may be cached for ever.
pub(super) async fn picture(
    State(shared): State<Arc<Shared>>,
    Extension(visit): Extension<Visit>,
    Path(sha256): Path<String>,
    Query(query): Query<PictureQuery>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let file = shared.hub.images.picture(visit.caller()?, &sha256).await?;
    let etag = format!("\"{sha256}\"");
    if headers.get(header::IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == etag.as_bytes()) {
        return Ok((StatusCode::NOT_MODIFIED, PICTURE_HEADERS, [(header::ETAG, etag)]).into_response());
    }
    let open = tokio::fs::File::open(&file.path).await.map_err(|_| Failure::not_found("this picture"))?;
    let length = open.metadata().await.map_err(anyhow::Error::from)?.len();
    let ending = file.media_type.trim_start_matches("image/");
    let disposition = match query.download {
        Some(_) => format!("attachment; filename=\"central-mcp-{}.{ending}\"", &sha256[..12]),
        None => "inline".into(),
    };
    let own = [
        (header::CONTENT_TYPE, file.media_type.to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
        (header::CONTENT_DISPOSITION, disposition),
        (header::ETAG, etag),
    ];
    Ok((PICTURE_HEADERS, own, Body::from_stream(ReaderStream::with_capacity(open, 64 << 10))).into_response())
}

/// `GET /images/ID/preview`: the newest preview of a running image.
pub(super) async fn preview(
    State(shared): State<Arc<Shared>>,
    Extension(visit): Extension<Visit>,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let id: ImageId = id.parse().map_err(|_| Failure::not_found("this image"))?;
    let who = visit.caller()?;
    let preview = shared.hub.images.preview(who, id)?;
    let Some((media_type, bytes)) = preview else {
        // None yet, or no more: a page may ask a moment after the image ended, and that is no fault.
        shared.hub.images.get(who, id).await?;
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let own = [(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, "private, max-age=60")];
    let mut response = (PICTURE_HEADERS, bytes).into_response();
    for (name, value) in own {
        response.headers_mut().insert(name, header::HeaderValue::from_static(value));
    }
    Ok(response)
}

/// `GET /images/ID/workflow.json`: the graph an image was drawn with, to open in ComfyUI.
pub(super) async fn workflow(
    State(shared): State<Arc<Shared>>,
    Extension(visit): Extension<Visit>,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let id: ImageId = id.parse().map_err(|_| Failure::not_found("this image"))?;
    let graph = shared.hub.images.graph(visit.caller()?, id).await?;
    let own = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"central-mcp-{id}.json\"")),
    ];
    Ok((own, graph).into_response())
}

/// `POST /uploads`: a source picture as the raw body.
pub(super) async fn upload(
    State(shared): State<Arc<Shared>>,
    Extension(visit): Extension<Visit>,
    body: Bytes,
) -> Result<Json<Upload>, Error> {
    Ok(Json(shared.hub.images.upload(visit.caller()?, body).await?))
}

/// `GET /healthz`: the process answers.
pub(super) async fn healthy() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the database answers too.
pub(super) async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    match shared.hub.events.newest().await {
        Ok(_) if !shared.hub.stop.is_cancelled() => "ready\n".into_response(),
        Ok(_) => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response(),
        Err(error) => {
            tracing::error!(%error, "not ready: the database does not answer");
            (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer; see the log\n").into_response()
        }
    }
}

/// `GET /casts/ID.cast`: a recording as asciicast v3, read as it is sent.
pub(super) async fn recording(
    State(shared): State<Arc<Shared>>,
    Extension(visit): Extension<Visit>,
    Path(file): Path<String>,
    Query(query): Query<PictureQuery>,
) -> Result<Response, Error> {
    let id = file.strip_suffix(".cast").and_then(|id| id.parse().ok());
    let id = id.ok_or_else(|| Failure::not_found("this recording"))?;
    let (view, text) = shared.hub.terminals.recording(visit.caller()?, id).await?;
    let disposition = match query.download {
        Some(_) => format!("attachment; filename=\"{}-{}.cast\"", view.terminal, view.id),
        None => "inline".into(),
    };
    let headers = [
        (header::CONTENT_TYPE, "application/x-asciicast".to_owned()),
        (header::CONTENT_DISPOSITION, disposition),
        (header::CACHE_CONTROL, "private, no-store".to_owned()),
    ];
    Ok((headers, Body::from_stream(text)).into_response())
}
