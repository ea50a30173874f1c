//! A ComfyUI made by hand. What it does wrong with a job, the job's own prompt says; one without such a word is drawn.

use std::{
    collections::HashMap,
    io::Cursor,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    body::Body,
    extract::{
        Path, Query, State, WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    http::{StatusCode, header},
    response::{Html, IntoResponse as _, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::sync::broadcast;

/// What it does wrong, by the word in the prompt.
pub(crate) const BROKEN: &str = "BROKEN-PICTURE";
/// A page instead of a picture.
pub(crate) const PAGE: &str = "PAGE-PICTURE";
/// The first submission is answered by a proxy's page.
pub(crate) const PROXY: &str = "PROXY-PAGE";
/// Accepts, and says that a part was left out.
pub(crate) const LEFT_OUT: &str = "LEFT-OUT";
/// Status 200, and an error in the body.
pub(crate) const REFUSED: &str = "REFUSED-WITH-200";
/// The first submission is answered at one byte per second.
pub(crate) const DRIP: &str = "BYTE-PER-SECOND";
/// The picture claims to be 2 GiB long.
pub(crate) const HUGE: &str = "TWO-GIBIBYTES";
/// The picture is large, and honest.
pub(crate) const LARGE: &str = "LARGE-PICTURE";

const WORDS: [&str; 8] = [BROKEN, PAGE, PROXY, LEFT_OUT, REFUSED, DRIP, HUGE, LARGE];

#[derive(Default)]
struct Inner {
    /// Word of each job by id.
    jobs: HashMap<String, &'static str>,
    /// Every graph that was submitted.
    graphs: Vec<Value>,
    /// Submissions of each word.
    tries: HashMap<&'static str, u32>,
}

#[derive(Clone)]
struct Shared {
    inner: Arc<Mutex<Inner>>,
    ended: broadcast::Sender<String>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The running server; ends with the test's runtime.
pub(crate) struct Fake {
    /// Its address.
    pub(crate) url: String,
    shared: Shared,
}

impl Fake {
    /// Serves on a free port.
    pub(crate) async fn serve() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Shared { inner: Arc::default(), ended: broadcast::Sender::new(64) };
        let router = Router::new()
            .route("/system_stats", get(stats))
            .route("/object_info/{class}", get(object_info))
            .route("/ws", get(open))
            .route("/prompt", get(remaining).post(submit))
            .route("/queue", get(queue).post(nothing))
            .route("/history", post(nothing))
            .route("/history/{id}", get(history))
            .route("/view", get(view))
            .with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, shared }
    }

    /// Every graph that was submitted.
    pub(crate) fn graphs(&self) -> Vec<Value> {
        self.shared.lock().graphs.clone()
    }
}

async fn nothing() {}

async fn stats() -> Json<Value> {
    Json(json!({ "system": { "comfyui_version": "0.3.75" }, "devices": [{ "name": "cpu" }] }))
}

async fn object_info(Path(class): Path<String>) -> Json<Value> {
    let names = match class.as_str() {
        "CheckpointLoaderSimple" => json!({ "ckpt_name": [["fake.safetensors"]] }),
        "KSampler" => json!({ "sampler_name": [["euler"]], "scheduler": [["normal"]] }),
        _ => json!({}),
    };
    Json(json!({ class: { "input": { "required": names } } }))
}

async fn open(State(shared): State<Shared>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(move |mut socket: WebSocket| async move {
        let mut ended = shared.ended.subscribe();
        let hello =
            json!({ "type": "status", "data": { "status": { "exec_info": { "queue_remaining": 0 } }, "sid": "x" } });
        let _ = socket.send(Message::text(hello.to_string())).await;
        loop {
            tokio::select! {
                id = ended.recv() => {
                    let Ok(id) = id else { return };
                    let end = json!({ "type": "executing", "data": { "node": null, "prompt_id": id } });
                    if socket.send(Message::text(end.to_string())).await.is_err() { return }
                }
                heard = socket.recv() => if !matches!(heard, Some(Ok(_))) { return },
            }
        }
    })
}

async fn submit(State(shared): State<Shared>, Json(body): Json<Value>) -> Response {
    let id = body["prompt_id"].as_str().unwrap_or_default().to_owned();
    let text = body["prompt"].to_string();
    let word = WORDS.into_iter().find(|word| text.contains(word)).unwrap_or_default();
    let first = {
        let mut inner = shared.lock();
        inner.graphs.push(body["prompt"].clone());
        let tries = inner.tries.entry(word).or_default();
        *tries += 1;
        *tries == 1
    };
    let mut answer = json!({ "prompt_id": id, "number": 1, "node_errors": {} });
    match word {
        PROXY if first => return (StatusCode::BAD_GATEWAY, Html("<h1>502 Bad Gateway</h1>")).into_response(),
        DRIP if first => return drip(),
        REFUSED => {
            answer = json!({ "error": { "type": "prompt_no_outputs", "message": "Prompt has no outputs", "details": "" }, "node_errors": {} });
            return Json(answer).into_response();
        }
        LEFT_OUT => {
            let error = json!({ "type": "required_input_missing", "message": "Required input is missing", "details": "images", "extra_info": { "input_name": "images" } });
            answer["node_errors"] =
                json!({ "8": { "class_type": "SaveImage", "dependent_outputs": ["8"], "errors": [error] } });
        }
        _ => {}
    }
    shared.lock().jobs.insert(id.clone(), word);
    // Nobody may listen: then the history is asked.
    let _ = shared.ended.send(id);
    Json(answer).into_response()
}

/// JSON, one blank at a time, without end.
fn drip() -> Response {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        while sender.send(b" ".to_vec()).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    ([(header::CONTENT_TYPE, "application/json")], pieces(receiver)).into_response()
}

/// What comes through a channel, as a body.
fn pieces(receiver: tokio::sync::mpsc::Receiver<Vec<u8>>) -> Body {
    Body::from_stream(futures_util::stream::unfold(receiver, |mut receiver| async {
        Some((Ok::<_, std::io::Error>(receiver.recv().await?), receiver))
    }))
}

async fn remaining() -> Json<Value> {
    Json(json!({ "exec_info": { "queue_remaining": 0 } }))
}

async fn queue() -> Json<Value> {
    Json(json!({ "queue_running": [], "queue_pending": [] }))
}

async fn history(State(shared): State<Shared>, Path(id): Path<String>) -> Json<Value> {
    let Some(word) = shared.lock().jobs.get(&id).copied() else { return Json(json!({})) };
    let file = json!({ "filename": format!("{word}.png"), "subfolder": "central-mcp", "type": "output" });
    let messages = json!([
        ["execution_start", { "prompt_id": id, "timestamp": 1_000 }],
        ["execution_success", { "prompt_id": id, "timestamp": 1_500 }],
    ]);
    Json(json!({ id: {
        "prompt": [], "outputs": { "9": { "images": [file] } }, "meta": {},
        "status": { "status_str": "success", "completed": true, "messages": messages },
    } }))
}

async fn view(Query(query): Query<HashMap<String, String>>) -> Response {
    let png = [(header::CONTENT_TYPE, "image/png")];
    match query["filename"].trim_end_matches(".png") {
        BROKEN => {
            let whole = picture(64);
            (png, whole[..whole.len() / 2].to_vec()).into_response()
        }
        PAGE => (png, "<html>sorry</html>").into_response(),
        LARGE => (png, picture(1536)).into_response(),
        HUGE => {
            let (sender, receiver) = tokio::sync::mpsc::channel(1);
            tokio::spawn(async move {
                // It begins honestly, and then stays open.
                if sender.send(picture(64)).await.is_ok() {
                    sender.closed().await;
                }
            });
            let length = [(header::CONTENT_LENGTH, "2147483648")];
            (png, length, pieces(receiver)).into_response()
        }
        _ => (png, picture(64)).into_response(),
    }
}

/// A PNG of noise, which no compression makes small: about three bytes per pixel. Never twice the same.
fn picture(edge: u32) -> Vec<u8> {
    static BEGAN: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    let mut state = u64::try_from(BEGAN.elapsed().as_nanos()).unwrap() | 1;
    let pixels = image::RgbImage::from_fn(edge, edge, |_, _| {
        // Xorshift.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let bytes = state.to_le_bytes();
        image::Rgb([bytes[0], bytes[3], bytes[6]])
    });
    let mut out = Cursor::new(Vec::new());
    image::DynamicImage::from(pixels).write_to(&mut out, image::ImageFormat::Png).unwrap();
    out.into_inner()
}
