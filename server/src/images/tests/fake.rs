//! A small ComfyUI that remembers jobs as the real one does, to test what the hub makes of several of them. Shapes are those
//! of the recorded traffic (`server/tests/data/comfyui`); the client itself is tested against the recordings.

use std::{
    collections::BTreeMap,
    io::Cursor,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::{Path, Query, State, WebSocketUpgrade},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// What a fake does with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Draws at once.
    Draws,
    /// Accepts and then works for ever.
    Works,
    /// Has not the model.
    LacksModel,
    /// Sends something else than a picture.
    SendsJunk,
}

struct Inner {
    manner: Mutex<Manner>,
    jobs: Mutex<BTreeMap<String, Value>>,
    asked: Mutex<u32>,
}

/// See the module. The server ends when dropped.
pub(super) struct Fake {
    pub(super) url: String,
    inner: Arc<Inner>,
    stop: CancellationToken,
}

impl Fake {
    #[expect(clippy::disallowed_methods, reason = "a stand-in for another program; the hub does not wait for it")]
    pub(super) async fn start(manner: Manner) -> Self {
        let inner = Arc::new(Inner { manner: Mutex::new(manner), jobs: Mutex::default(), asked: Mutex::new(0) });
        let router = Router::new()
            .route(
                "/system_stats",
                get(|| async { Json(json!({"system": {"comfyui_version": "0.33.0"}, "devices": [{"name": "cpu"}]})) }),
            )
            .route("/object_info/{class}", get(object_info))
            .route("/ws", get(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(idle) }))
            .route(
                "/prompt",
                post(submit).get(|State(fake): State<Arc<Inner>>| async move {
                    Json(json!({"exec_info": {"queue_remaining": fake.waiting().len()}}))
                }),
            )
            .route("/queue", get(queue).post(|| async { "" }))
            .route("/history", post(|| async { "" }))
            .route("/history/{id}", get(history))
            .route("/view", get(view))
            .route("/api/jobs/{id}/cancel", post(cancel))
            .with_state(inner.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        // Dropped connections, not a graceful end: that is how a server dies.
        tokio::task::spawn(async move {
            tokio::select! {
                result = axum::serve(listener, router).into_future() => result.expect("the fake serves"),
                () = stopped.cancelled() => {}
            }
        });
        Self { url, inner, stop }
    }

    /// How many jobs it was given.
    pub(super) fn asked(&self) -> u32 {
        *self.inner.asked.lock().expect("not poisoned")
    }

    /// Finishes what it works on, and draws from now on.
    pub(super) fn finish(&self) {
        *self.inner.manner.lock().expect("not poisoned") = Manner::Draws;
    }

    /// Stops answering; a restart would have forgotten everything.
    pub(super) fn forget(&self) {
        self.inner.jobs.lock().expect("not poisoned").clear();
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Inner {
    fn manner(&self) -> Manner {
        *self.manner.lock().expect("not poisoned")
    }

    fn waiting(&self) -> Vec<String> {
        if self.manner() == Manner::Works {
            self.jobs.lock().expect("not poisoned").keys().cloned().collect()
        } else {
            Vec::new()
        }
    }
}

/// Keeps the socket open and says nothing: the hub must ask by itself.
async fn idle(mut socket: axum::extract::ws::WebSocket) {
    while let Some(Ok(_)) = socket.recv().await {}
}

async fn object_info(Path(class): Path<String>) -> Json<Value> {
    let required = match class.as_str() {
        "CheckpointLoaderSimple" => json!({"ckpt_name": [["tiny.safetensors"], {}]}),
        "LoraLoader" => json!({"lora_name": ["COMBO", {"options": ["a.safetensors"]}]}),
        _ => json!({"sampler_name": [["euler"]], "scheduler": [["normal"]]}),
    };
    Json(json!({ class: {"input": {"required": required}} }))
}

async fn submit(State(fake): State<Arc<Inner>>, Json(body): Json<Value>) -> Response {
    *fake.asked.lock().expect("not poisoned") += 1;
    if fake.manner() == Manner::LacksModel {
        let error = json!({
            "error": {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation", "details": "", "extra_info": {}},
            "node_errors": {"1": {"class_type": "CheckpointLoaderSimple", "dependent_outputs": ["9"], "errors": [{
                "type": "value_not_in_list", "message": "Value not in list", "details": "ckpt_name: 'tiny.safetensors' not in []",
                "extra_info": {"input_name": "ckpt_name", "received_value": "tiny.safetensors", "input_config": [[], {}]}
            }]}}
        });
        return (StatusCode::BAD_REQUEST, Json(error)).into_response();
    }
    let id = body["prompt_id"].as_str().unwrap_or_default().to_owned();
    fake.jobs.lock().expect("not poisoned").insert(id.clone(), body["prompt"].clone());
    Json(json!({"prompt_id": id, "number": 1, "node_errors": {}})).into_response()
}

async fn queue(State(fake): State<Arc<Inner>>) -> Json<Value> {
    let running: Vec<_> = fake.waiting().into_iter().map(|id| json!([1, id, {}, {}, ["9"]])).collect();
    Json(json!({"queue_running": running, "queue_pending": []}))
}

async fn history(State(fake): State<Arc<Inner>>, Path(id): Path<String>) -> Json<Value> {
    let known = fake.jobs.lock().expect("not poisoned").contains_key(&id);
    if !known || fake.manner() == Manner::Works {
        return Json(json!({}));
    }
    Json(json!({ id.clone(): {
        "prompt": [1, id, {}, {}, ["9"]],
        "outputs": {"9": {"images": [{"filename": "a_00001_.png", "subfolder": "central-mcp", "type": "output"}]}},
        "status": {"status_str": "success", "completed": true, "messages": [
            ["execution_start", {"prompt_id": id, "timestamp": 1_000}], ["execution_success", {"prompt_id": id, "timestamp": 3_500}]
        ]}
    }}))
}

async fn view(State(fake): State<Arc<Inner>>, Query(_): Query<BTreeMap<String, String>>) -> Vec<u8> {
    if fake.manner() == Manner::SendsJunk {
        return b"\x89PNG\r\n\x1a\nand then nothing good".to_vec();
    }
    let mut out = Cursor::new(Vec::new());
    image::DynamicImage::new_rgb8(64, 64).write_to(&mut out, image::ImageFormat::Png).expect("a PNG");
    out.into_inner()
}

async fn cancel(State(fake): State<Arc<Inner>>, Path(id): Path<String>) -> Json<Value> {
    let known = fake.jobs.lock().expect("not poisoned").remove(&id).is_some();
    Json(json!({"cancelled": known}))
}
