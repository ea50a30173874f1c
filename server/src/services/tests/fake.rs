//! A ComfyUI that answers only questions about itself, in several moods, and remembers what it was asked.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Json, Router,
    body::Body,
    extract::{FromRequestParts, Request, State, WebSocketUpgrade},
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse as _, Redirect, Response},
};
use futures_util::StreamExt as _;
use serde_json::json;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// How it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// As ComfyUI does.
    Well,
    /// As ComfyUI does, for those who send this `Authorization`.
    Wants(String),
    /// A proxy's page, with status 502.
    Broken,
    /// A page with status 200.
    Page,
    /// JSON of something else.
    Stranger,
    /// Redirects everything to this address.
    Redirects(String),
    /// Answers, but no socket can be opened.
    NoSocket,
    /// Answers that claim to be 2 GiB long.
    Huge,
    /// As ComfyUI does, without any model.
    NoModels,
}

/// What it was asked: path and headers.
pub(super) type Seen = Vec<(String, HeaderMap)>;

#[derive(Clone)]
struct Shared(Arc<Mutex<(Mood, Seen)>>);

/// The running server; ends when dropped.
pub(super) struct Fake {
    port: u16,
    shared: Shared,
    _serving: AbortOnDropHandle<()>,
}

impl Fake {
    /// Serves on a free port.
    pub(super) async fn serve(mood: Mood) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Shared(Arc::new(Mutex::new((mood, Vec::new()))));
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let serving = TaskTracker::new().spawn(async move { drop(axum::serve(listener, router).await) });
        Self { port, shared, _serving: AbortOnDropHandle::new(serving) }
    }

    /// Its address.
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it was asked so far.
    pub(super) fn seen(&self) -> Seen {
        self.shared.lock().1.clone()
    }

    /// From now on it answers so.
    pub(super) fn set(&self, mood: Mood) {
        self.shared.lock().0 = mood;
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, (Mood, Seen)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(State(shared): State<Shared>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let mood = {
        let mut inner = shared.lock();
        inner.1.push((path.clone(), request.headers().clone()));
        inner.0.clone()
    };
    match &mood {
        Mood::Broken => return (StatusCode::BAD_GATEWAY, Html("<h1>Bad gateway</h1>")).into_response(),
        Mood::Page => return Html("<h1>It works!</h1>").into_response(),
        Mood::Stranger => return Json(json!({ "hello": "world" })).into_response(),
        Mood::Redirects(to) => return Redirect::temporary(&format!("{to}{path}")).into_response(),
        Mood::Huge => {
            let start = futures_util::stream::once(async { Ok::<_, std::io::Error>("{") });
            let body = Body::from_stream(start.chain(futures_util::stream::pending()));
            let headers = [(header::CONTENT_TYPE, "application/json"), (header::CONTENT_LENGTH, "2147483648")];
            return (headers, body).into_response();
        }
        Mood::Wants(wanted) => {
            let sent = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
            if sent != Some(wanted) {
                return StatusCode::UNAUTHORIZED.into_response();
            }
        }
        Mood::Well | Mood::NoSocket | Mood::NoModels => {}
    }
    match path.rsplit('/').next().unwrap_or_default() {
        "system_stats" => Json(json!({
            "system": { "comfyui_version": "0.3.75" },
            "devices": [{ "name": "cuda:0 NVIDIA GeForce RTX 4090" }],
        }))
        .into_response(),
        "ws" if mood == Mood::NoSocket => StatusCode::BAD_REQUEST.into_response(),
        "ws" => {
            let (mut parts, _) = request.into_parts();
            match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
                Ok(upgrade) => upgrade.on_upgrade(|_| async {}),
                Err(refusal) => refusal.into_response(),
            }
        }
        _ if mood == Mood::NoModels => Json(json!({})).into_response(),
        // The two spellings of a choice, as 0.3.75 has both in one answer.
        "CheckpointLoaderSimple" => Json(json!({ "CheckpointLoaderSimple": { "input": { "required": {
            "ckpt_name": [["sd15.safetensors", "sdxl.safetensors"], { "tooltip": "x" }] } } } }))
        .into_response(),
        "LoraLoader" => Json(json!({ "LoraLoader": { "input": { "required": {
            "lora_name": ["COMBO", { "options": ["tiny.safetensors"] }] } } } }))
        .into_response(),
        "KSampler" => Json(json!({ "KSampler": { "input": { "required": {
            "sampler_name": ["COMBO", { "options": ["euler", "ddim"] }], "scheduler": [["normal", "karras"]] } } } }))
        .into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}
