//! A ComfyUI made by hand, for tests of the hub: `server/src/images/tests` and `end2end/it` both include this file.
//!
//! It draws every job at once. What it does otherwise with a job, a word in the job's own prompt says, so that good and bad
//! jobs can stand in one queue. Shapes are those of the recorded traffic (`server/tests/data/comfyui`), against which the
//! client itself is tested.

use std::{
    collections::HashMap,
    io::Cursor,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
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
use tokio::sync::{broadcast, mpsc};

/// The picture breaks off in the middle.
pub(crate) const BROKEN: &str = "BROKEN-PICTURE";
/// A page instead of a picture.
pub(crate) const PAGE: &str = "PAGE-PICTURE";
/// The picture claims to be 2 GiB long.
pub(crate) const HUGE: &str = "TWO-GIBIBYTES";
/// The picture is large, and honest.
pub(crate) const LARGE: &str = "LARGE-PICTURE";
/// The first submission is answered by a proxy's page.
pub(crate) const PROXY: &str = "PROXY-PAGE";
/// Status 200, and an error in the body.
pub(crate) const REFUSED: &str = "REFUSED-WITH-200";
/// Accepts, and says that a part was left out.
pub(crate) const LEFT_OUT: &str = "LEFT-OUT";
/// The first submission is answered at one byte per second.
pub(crate) const DRIP_PROMPT: &str = "DRIPPING-PROMPT";
/// The first question how the job stands is answered at one byte per second.
pub(crate) const DRIP_HISTORY: &str = "DRIPPING-HISTORY";
/// The first time, the picture comes at one byte per second.
pub(crate) const DRIP_VIEW: &str = "DRIPPING-PICTURE";
/// Works at it for a moment.
pub(crate) const MOMENT: &str = "TAKES-A-MOMENT";
/// Works at it until [`Fake::finish`].
pub(crate) const WORKS: &str = "WORKS-UNTIL-TOLD";
/// The first time it works at it until [`Fake::finish`], and then knows nothing of it.
pub(crate) const FORGOTTEN: &str = "FORGOTTEN-IN-THE-END";
/// The same, the first four times.
pub(crate) const FORGOTTEN_AGAIN: &str = "FORGOTTEN-AGAIN-AND-AGAIN";

const WORDS: [&str; 14] = [
    BROKEN,
    PAGE,
    HUGE,
    LARGE,
    PROXY,
    REFUSED,
    LEFT_OUT,
    DRIP_PROMPT,
    DRIP_HISTORY,
    DRIP_VIEW,
    MOMENT,
    WORKS,
    FORGOTTEN,
    FORGOTTEN_AGAIN,
];

/// A checkpoint to have.
pub(crate) const MODEL: &str = "tiny.safetensors";

/// Width and height of what it draws, whatever is asked for.
pub(crate) const EDGE: u32 = 16;

/// Says at every address that it is a ComfyUI, at one byte per second: the path of a service's own address.
pub(crate) const DRIPPING: &str = "/dripping";

#[derive(Default)]
struct Inner {
    jobs: HashMap<String, Job>,
    /// The body of every submission, in order.
    submitted: Vec<Arc<Value>>,
    /// How often each word was met where it counts.
    met: HashMap<&'static str, u32>,
}

/// A job that it knows.
struct Job {
    word: &'static str,
    pictures: u64,
    stands: Stands,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stands {
    Running,
    /// Runs, and is forgotten in the end.
    Doomed,
    Ended,
}

#[derive(Clone)]
struct Shared {
    inner: Arc<Mutex<Inner>>,
    model: &'static str,
    ended: broadcast::Sender<String>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often this word was met, with this time.
    fn met(&self, word: &'static str) -> u32 {
        let mut inner = self.lock();
        let met = inner.met.entry(word).or_default();
        *met += 1;
        *met
    }

    fn tell_end(&self, id: String) {
        // Nobody may listen: then the history is asked.
        let _ = self.ended.send(id);
    }
}

/// The running server; ends with the test's runtime.
pub(crate) struct Fake {
    /// Its address.
    pub(crate) url: String,
    shared: Shared,
}

impl Fake {
    /// Serves on a free port, with one checkpoint.
    #[expect(clippy::disallowed_methods, reason = "a stand-in for another program; the hub does not wait for it")]
    pub(crate) async fn serve(model: &'static str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Shared { inner: Arc::default(), model, ended: broadcast::Sender::new(64) };
        let router = Router::new()
            .route("/system_stats", get(stats))
            .route("/object_info/{class}", get(object_info))
            .route("/ws", get(open))
            .route("/prompt", get(remaining).post(submit))
            .route("/queue", get(queue))
            .route("/history", post(forget))
            .route("/history/{id}", get(history))
            .route("/view", get(view))
            .route("/api/jobs/{id}/cancel", post(cancel))
            .route(&format!("{DRIPPING}/{{*path}}"), get(|| async { drip("application/json") }))
            .with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, shared }
    }

    /// The body of every submission, in order.
    pub(crate) fn submitted(&self) -> Vec<Arc<Value>> {
        self.shared.lock().submitted.clone()
    }

    /// Ends what it works at.
    pub(crate) fn finish(&self) {
        let mut over = Vec::new();
        self.shared.lock().jobs.retain(|id, job| {
            if job.stands != Stands::Ended {
                over.push(id.clone());
            }
            let kept = job.stands != Stands::Doomed;
            job.stands = Stands::Ended;
            kept
        });
        over.into_iter().for_each(|id| self.shared.tell_end(id));
    }
}

async fn stats() -> Json<Value> {
    Json(json!({ "system": { "comfyui_version": "0.3.75" }, "devices": [{ "name": "cpu" }] }))
}

async fn object_info(State(shared): State<Shared>, Path(class): Path<String>) -> Json<Value> {
    let names = match class.as_str() {
        "CheckpointLoaderSimple" => json!({ "ckpt_name": [[shared.model], {}] }),
        "LoraLoader" => json!({ "lora_name": ["COMBO", { "options": ["a.safetensors"] }] }),
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

#[expect(clippy::disallowed_methods, reason = "a stand-in's drawing is no task of the hub's")]
async fn submit(State(shared): State<Shared>, Json(body): Json<Value>) -> Response {
    let id = body["prompt_id"].as_str().unwrap_or_default().to_owned();
    let text = body["prompt"].to_string();
    let word = WORDS.into_iter().find(|word| text.contains(word)).unwrap_or_default();
    let inputs = || body["prompt"].as_object().into_iter().flat_map(|nodes| nodes.values()).map(|node| &node["inputs"]);
    let other = inputs().find_map(|inputs| inputs["ckpt_name"].as_str()).filter(|model| *model != shared.model);
    let pictures = inputs().find_map(|inputs| inputs["batch_size"].as_u64()).unwrap_or(1);

    let mut answer = json!({ "prompt_id": id, "number": 1, "node_errors": {} });
    let mut stands = Stands::Ended;
    let mut refusal = other.map(lacks);
    match word {
        PROXY if shared.met(word) == 1 => {
            refusal = Some((StatusCode::BAD_GATEWAY, Html("<h1>502 Bad Gateway</h1>")).into_response());
        }
        DRIP_PROMPT if shared.met(word) == 1 => refusal = Some(drip("application/json")),
        REFUSED => {
            let error = json!({ "type": "prompt_no_outputs", "message": "Prompt has no outputs", "details": "" });
            refusal = Some(Json(json!({ "error": error, "node_errors": {} })).into_response());
        }
        LEFT_OUT => {
            let error = json!({ "type": "required_input_missing", "message": "Required input is missing", "details": "images", "extra_info": { "input_name": "images" } });
            answer["node_errors"] =
                json!({ "8": { "class_type": "SaveImage", "dependent_outputs": ["8"], "errors": [error] } });
        }
        MOMENT | WORKS => stands = Stands::Running,
        FORGOTTEN if shared.met(word) == 1 => stands = Stands::Doomed,
        FORGOTTEN_AGAIN if shared.met(word) <= 4 => stands = Stands::Doomed,
        _ => {}
    }
    // In one step, so that who sees the submission can finish the job.
    {
        let mut inner = shared.lock();
        inner.submitted.push(Arc::new(body));
        if refusal.is_none() {
            inner.jobs.insert(id.clone(), Job { word, pictures, stands });
        }
    }
    if let Some(refusal) = refusal {
        return refusal;
    }
    match word {
        MOMENT => drop(tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(3)).await;
            if let Some(job) = shared.lock().jobs.get_mut(&id) {
                job.stands = Stands::Ended;
            }
            shared.tell_end(id);
        })),
        _ if stands == Stands::Ended => shared.tell_end(id),
        _ => {}
    }
    Json(answer).into_response()
}

/// The refusal of a checkpoint that it has not.
fn lacks(model: &str) -> Response {
    let error = json!({
        "error": { "type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation", "details": "", "extra_info": {} },
        "node_errors": { "1": { "class_type": "CheckpointLoaderSimple", "dependent_outputs": ["10"], "errors": [{
            "type": "value_not_in_list", "message": "Value not in list", "details": format!("ckpt_name: '{model}' not in []"),
            "extra_info": { "input_name": "ckpt_name", "received_value": model, "input_config": [[], {}] },
        }] } },
    });
    (StatusCode::BAD_REQUEST, Json(error)).into_response()
}

async fn remaining(State(shared): State<Shared>) -> Json<Value> {
    let remaining = shared.lock().jobs.values().filter(|job| job.stands != Stands::Ended).count();
    Json(json!({ "exec_info": { "queue_remaining": remaining } }))
}

async fn queue(State(shared): State<Shared>) -> Json<Value> {
    let inner = shared.lock();
    let running = inner.jobs.iter().filter(|(_, job)| job.stands != Stands::Ended);
    let running: Vec<_> = running.map(|(id, _)| json!([1, id, {}, {}, ["10"]])).collect();
    Json(json!({ "queue_running": running, "queue_pending": [] }))
}

async fn cancel(State(shared): State<Shared>, Path(id): Path<String>) -> Json<Value> {
    let known = shared.lock().jobs.remove(&id).is_some();
    Json(json!({ "cancelled": known }))
}

/// Removes entries of ended jobs, as the hub asks for.
async fn forget(State(shared): State<Shared>, Json(body): Json<Value>) {
    let ids = body["delete"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut inner = shared.lock();
    for id in ids {
        inner.jobs.remove(id);
    }
}

async fn history(State(shared): State<Shared>, Path(id): Path<String>) -> Response {
    let ended =
        shared.lock().jobs.get(&id).filter(|job| job.stands == Stands::Ended).map(|job| (job.word, job.pictures));
    let Some((word, pictures)) = ended else { return Json(json!({})).into_response() };
    if word == DRIP_HISTORY && shared.met(word) == 1 {
        return drip("application/json");
    }
    let file = |n| json!({ "filename": format!("{id}_{n:05}_.png"), "subfolder": "central-mcp", "type": "output" });
    let files: Vec<_> = (1..=pictures).map(file).collect();
    let messages = json!([
        ["execution_start", { "prompt_id": id, "timestamp": 1_000 }],
        ["execution_success", { "prompt_id": id, "timestamp": 1_500 }],
    ]);
    Json(json!({ id: {
        "prompt": [], "outputs": { "10": { "images": files } }, "meta": {},
        "status": { "status_str": "success", "completed": true, "messages": messages },
    } }))
    .into_response()
}

async fn view(State(shared): State<Shared>, Query(query): Query<HashMap<String, String>>) -> Response {
    let name = query.get("filename").map(String::as_str).unwrap_or_default();
    let id = name.split('_').next().unwrap_or_default();
    let Some(word) = shared.lock().jobs.get(id).map(|job| job.word) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let png = [(header::CONTENT_TYPE, "image/png")];
    match word {
        BROKEN => {
            let whole = picture(name, EDGE);
            (png, whole[..whole.len() / 2].to_vec()).into_response()
        }
        PAGE => (png, "<html>sorry</html>").into_response(),
        LARGE => (png, picture(name, 1536)).into_response(),
        HUGE => {
            let length = [(header::CONTENT_LENGTH, "2147483648")];
            // It begins honestly, and then stays open.
            (png, length, endless(picture(name, EDGE), None)).into_response()
        }
        DRIP_VIEW if shared.met(word) == 1 => drip("image/png"),
        _ => (png, picture(name, EDGE)).into_response(),
    }
}

/// One blank a second, without end.
fn drip(media_type: &'static str) -> Response {
    ([(header::CONTENT_TYPE, media_type)], endless(b" ".to_vec(), Some(Duration::from_secs(1)))).into_response()
}

/// A body that begins with `piece` and never ends; with a pause, the piece comes again and again.
#[expect(clippy::disallowed_methods, reason = "it ends with the connection")]
fn endless(piece: Vec<u8>, pause: Option<Duration>) -> Body {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        while sender.send(piece.clone()).await.is_ok() {
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return sender.closed().await,
            }
        }
    });
    Body::from_stream(futures_util::stream::unfold(receiver, |mut receiver| async {
        Some((Ok::<_, std::io::Error>(receiver.recv().await?), receiver))
    }))
}

/// The PNG of this name: noise, which no compression makes small (about three bytes per pixel), and never that of another.
pub(crate) fn picture(name: &str, edge: u32) -> Vec<u8> {
    // FNV-1a, then xorshift.
    let seed = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mut state = seed.max(1);
    let pixels = image::RgbImage::from_fn(edge, edge, |_, _| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let bytes = state.to_le_bytes();
        image::Rgb([bytes[0], bytes[3], bytes[6]])
    });
    let mut out = Cursor::new(Vec::new());
    image::DynamicImage::from(pixels).write_to(&mut out, image::ImageFormat::Png).expect("a PNG");
    out.into_inner()
}
