//! A small ComfyUI that plays a script once a job is submitted.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{
        Path, Query, State, WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    http::{StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What the server does, in order, after a submission.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Sends this to the open socket; waits for one if there is none.
    Text(String),
    /// The same, binary.
    Binary(Vec<u8>),
    /// Closes the socket.
    Close,
    /// From now on the history has the job.
    Ended(Value),
    /// From now on the job is unknown.
    Forget,
    /// Waits until the job is to be stopped.
    AwaitCancel,
    /// Waits until somebody asked `/queue` so many times more.
    AwaitAsked(usize),
}

/// How the server behaves.
#[derive(Clone, Debug)]
pub(super) struct Script {
    /// What it says its version is.
    pub(super) version: &'static str,
    /// Status of the answer to `POST /prompt`.
    pub(super) status: u16,
    /// Body of it; a string is sent as text.
    pub(super) answer: Value,
    /// Then.
    pub(super) steps: Vec<Step>,
    /// What `/view` sends; `None` is 404.
    pub(super) file: Option<Vec<u8>>,
    /// Whether the job is there from the beginning, as after a restart of ours.
    pub(super) resumed: bool,
}

impl Script {
    /// A server that accepts the job and then takes these steps.
    pub(super) fn accepting(steps: Vec<Step>) -> Self {
        let answer = json!({ "prompt_id": super::ID, "number": 0, "node_errors": {} });
        Self { version: "0.33.0", status: 200, answer, steps, file: Some(b"\x89PNG".to_vec()), resumed: false }
    }
}

struct Inner {
    script: Script,
    socket: Option<mpsc::UnboundedSender<Message>>,
    known: bool,
    history: Option<Value>,
    calls: Vec<String>,
    submitted: Vec<Value>,
    flags: Vec<String>,
    asked: usize,
    cancelled: bool,
    pongs: usize,
}

/// The running server.
#[derive(Clone)]
pub(super) struct Fake {
    inner: Arc<Mutex<Inner>>,
    changed: Arc<Notify>,
    tasks: TaskTracker,
    stop: CancellationToken,
    pub(super) port: u16,
}

impl Fake {
    /// Serves on a free port.
    pub(super) async fn serve(script: Script) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let inner = Inner {
            known: script.resumed,
            script,
            socket: None,
            history: None,
            calls: Vec::new(),
            submitted: Vec::new(),
            flags: Vec::new(),
            asked: 0,
            cancelled: false,
            pongs: 0,
        };
        let fake = Self {
            inner: Arc::new(Mutex::new(inner)),
            changed: Arc::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            port: listener.local_addr().unwrap().port(),
        };
        let router = Router::new()
            .route("/ws", get(open))
            .route("/prompt", get(remaining).post(submit))
            .route("/queue", get(queue).post(take))
            .route("/history", post(take))
            .route("/history/{id}", get(history))
            .route("/interrupt", post(take))
            .route("/api/jobs/{id}/cancel", post(cancel))
            .route("/system_stats", get(stats))
            .route("/view", get(view))
            .with_state(fake.clone());
        let stop = fake.stop.clone();
        fake.tasks.spawn(async move {
            let _ = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
        });
        if fake.lock().script.resumed {
            fake.tasks.spawn(fake.clone().play(super::ID.to_owned()));
        }
        fake
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Every call but the questions, as `METHOD path body`.
    pub(super) fn calls(&self) -> Vec<String> {
        self.lock().calls.clone()
    }

    /// The bodies of `POST /prompt`.
    pub(super) fn submitted(&self) -> Vec<Value> {
        self.lock().submitted.clone()
    }

    /// The first message of each socket.
    pub(super) fn flags(&self) -> Vec<String> {
        self.lock().flags.clone()
    }

    /// Waits until `holds`, for a bounded time.
    pub(super) async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let wait = self.wait(|_| holds(self).then_some(()));
        tokio::time::timeout(Duration::from_secs(10), wait)
            .await
            .unwrap_or_else(|_| panic!("waited in vain for {what}"));
    }

    async fn wait<T>(&self, look: impl Fn(&Self) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(found) = look(self) {
                return found;
            }
            changed.await;
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_waiters();
        result
    }

    async fn play(self, id: String) {
        let mut steps: VecDeque<Step> = self.lock().script.steps.clone().into();
        while let Some(step) = steps.pop_front() {
            match step {
                Step::Text(text) => self.send(Message::text(text.replace("$ID", &id))).await,
                Step::Binary(bytes) => self.send(Message::binary(bytes)).await,
                Step::Close => self.change(|inner| inner.socket = None),
                Step::Ended(entry) => {
                    // The client has read what was sent so far once it answers a ping.
                    let pongs = self.lock().pongs;
                    self.send(Message::Ping(Bytes::new())).await;
                    self.wait(|fake| (fake.lock().pongs > pongs).then_some(())).await;
                    self.change(|inner| inner.history = Some(entry));
                }
                Step::Forget => self.change(|inner| (inner.known, inner.history) = (false, None)),
                Step::AwaitCancel => self.wait(|fake| fake.lock().cancelled.then_some(())).await,
                Step::AwaitAsked(times) => {
                    let goal = self.lock().asked + times;
                    self.wait(|fake| (fake.lock().asked >= goal).then_some(())).await;
                }
            }
        }
    }

    async fn send(&self, message: Message) {
        let socket = self.wait(|fake| fake.lock().socket.clone().filter(|socket| !socket.is_closed())).await;
        // It may close just now; a real server's message is lost then, too.
        let _ = socket.send(message);
    }
}

async fn open(State(fake): State<Fake>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(move |mut socket: WebSocket| async move {
        if let Some(Ok(Message::Text(first))) = socket.recv().await {
            fake.change(|inner| inner.flags.push(first.to_string()));
        }
        let hello = json!({ "type": "status", "data": { "status": { "exec_info": { "queue_remaining": 0 } }, "sid": "hub-1" } });
        let _ = socket.send(Message::text(hello.to_string())).await;
        let (sender, mut messages) = mpsc::unbounded_channel();
        fake.change(|inner| inner.socket = Some(sender));
        loop {
            tokio::select! {
                message = messages.recv() => match message {
                    Some(message) => if socket.send(message).await.is_err() { return },
                    None => return,
                },
                heard = socket.recv() => match heard {
                    Some(Ok(Message::Pong(_))) => fake.change(|inner| inner.pongs += 1),
                    Some(Ok(_)) => {}
                    _ => return,
                },
                () = fake.stop.cancelled() => return,
            }
        }
    })
}

async fn submit(State(fake): State<Fake>, Json(body): Json<Value>) -> Response {
    let id = body["prompt_id"].as_str().unwrap_or_default().to_owned();
    let (status, mut answer) = fake.change(|inner| {
        inner.submitted.push(body);
        inner.known = inner.script.status == 200;
        (inner.script.status, inner.script.answer.clone())
    });
    let status = StatusCode::from_u16(status).unwrap();
    if let Some(text) = answer.as_str() {
        let kind = if text.starts_with('<') { "text/html" } else { "text/plain" };
        return (status, [(header::CONTENT_TYPE, kind)], text.to_owned()).into_response();
    }
    if !answer["prompt_id"].is_null() {
        answer["prompt_id"] = json!(id);
        fake.tasks.spawn(fake.clone().play(id));
    }
    (status, Json(answer)).into_response()
}

async fn remaining(State(fake): State<Fake>) -> Json<Value> {
    let remaining = usize::from(fake.lock().known);
    Json(json!({ "exec_info": { "queue_remaining": remaining } }))
}

async fn queue(State(fake): State<Fake>) -> Json<Value> {
    let running = fake.change(|inner| {
        inner.asked += 1;
        inner.known && inner.history.is_none()
    });
    let jobs = if running { vec![json!([0, super::ID, {}, {}, []])] } else { Vec::new() };
    Json(json!({ "queue_running": jobs, "queue_pending": [] }))
}

async fn history(State(fake): State<Fake>, Path(id): Path<String>) -> Json<Value> {
    match fake.lock().history.clone() {
        Some(entry) => Json(json!({ id: entry })),
        None => Json(json!({})),
    }
}

async fn take(State(fake): State<Fake>, uri: Uri, body: String) -> StatusCode {
    fake.change(|inner| {
        inner.calls.push(format!("POST {} {body}", uri.path()));
        inner.cancelled |= uri.path() == "/interrupt";
    });
    StatusCode::OK
}

async fn cancel(State(fake): State<Fake>, uri: Uri) -> Response {
    if fake.lock().script.version.starts_with("0.3.") {
        return (StatusCode::METHOD_NOT_ALLOWED, "405: Method Not Allowed").into_response();
    }
    fake.change(|inner| {
        inner.calls.push(format!("POST {}", uri.path()));
        inner.cancelled = true;
    });
    Json(json!({ "cancelled": true })).into_response()
}

async fn stats(State(fake): State<Fake>) -> Json<Value> {
    let version = fake.lock().script.version;
    Json(json!({ "system": { "comfyui_version": version }, "devices": [] }))
}

async fn view(State(fake): State<Fake>, Query(query): Query<Vec<(String, String)>>) -> Response {
    fake.change(|inner| {
        inner.calls.push(format!("GET /view {}", query.first().map(|(_, name)| name.clone()).unwrap_or_default()))
    });
    match fake.lock().script.file.clone() {
        Some(file) => ([(header::CONTENT_TYPE, "image/png")], Body::from(Bytes::from(file))).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
