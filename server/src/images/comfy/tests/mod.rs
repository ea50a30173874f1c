//! What the client concludes from recorded and from hand-made servers.

mod cancelling;
mod fake;
mod messages;
mod nasty;
mod real;
mod recorded;
mod recording;
mod standing;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Comfy, Drawn, Job, Pace, Report, Stop};
use crate::services::{Endpoint, ServiceAuth};

/// The id of every job here.
const ID: &str = "0a1b2c3d-0000-4000-8000-000000000001";
/// No test may take longer than this; none should come near it.
const BOUND: Duration = Duration::from_secs(20);

/// A pace at which nothing is waited for in vain.
fn quick() -> Pace {
    Pace {
        ask: Duration::from_millis(150),
        retry: Duration::from_millis(20),
        status: Duration::from_millis(20),
        grace: Duration::from_millis(400),
        answer: Duration::from_millis(500),
        file: Duration::from_millis(800),
        socket: Duration::from_secs(2),
        ping: Duration::from_millis(200),
        reopen: Duration::from_millis(10),
        cancel: Duration::from_secs(2),
    }
}

/// A client at `port`, ended when dropped.
struct Client {
    comfy: Comfy,
    stop: CancellationToken,
    reports: Arc<Mutex<Vec<Report>>>,
    cancel: CancellationToken,
}

impl Client {
    fn new(port: u16, pace: Pace) -> Self {
        // Another test may have been first; one provider is as good as the other.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let base = format!("http://127.0.0.1:{port}").parse().unwrap();
        let endpoint = Endpoint::new(Endpoint::client().unwrap(), &base, ServiceAuth::None);
        let stop = CancellationToken::new();
        let comfy = Comfy::start_at(endpoint, "hub-1".to_owned(), &TaskTracker::new(), stop.clone(), pace);
        Self { comfy, stop, reports: Arc::default(), cancel: CancellationToken::new() }
    }

    async fn draw(&self, graph: Value, resume: bool) -> Result<Drawn, Stop> {
        let job = Job { prompt_id: ID.to_owned(), graph, resume, pictures: true };
        let reports = self.reports.clone();
        let report = move |report| reports.lock().unwrap().push(report);
        tokio::time::timeout(BOUND, self.comfy.draw(job, &report, &self.cancel)).await.expect("a draw took too long")
    }

    fn reports(&self) -> Vec<Report> {
        self.reports.lock().unwrap().clone()
    }

    fn phases(&self) -> Vec<String> {
        let phase = |report| if let Report::Phase(phase) = report { Some(phase) } else { None };
        self.reports().into_iter().filter_map(phase).collect()
    }

    fn previews(&self) -> usize {
        self.reports().iter().filter(|report| matches!(report, Report::Preview { .. })).count()
    }

    fn last_steps(&self) -> Option<(u32, u32)> {
        let steps = |report| if let Report::Steps { step, steps } = report { Some((step, steps)) } else { None };
        self.reports().into_iter().filter_map(steps).last()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A graph with one node of each phase.
fn graph() -> Value {
    json!({
        "3": { "class_type": "KSampler", "inputs": {} },
        "4": { "class_type": "CheckpointLoaderSimple", "inputs": {} },
        "8": { "class_type": "VAEDecode", "inputs": {} },
        "9": { "class_type": "SaveImage", "inputs": {} },
    })
}

/// A history entry with one saved file.
fn entry(filename: &str) -> Value {
    json!({
        "prompt": [],
        "outputs": { "9": { "images": [{ "filename": filename, "subfolder": "central-mcp", "type": "output" }] } },
        "status": { "status_str": "success", "completed": true, "messages": [
            ["execution_start", { "prompt_id": ID, "timestamp": 1_000 }],
            ["execution_success", { "prompt_id": ID, "timestamp": 3_500 }],
        ] },
        "meta": {},
    })
}
