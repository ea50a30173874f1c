//! Against a real ComfyUI: `cargo xtask comfyui --install-only` installs one, `cargo xtask test` does so by itself.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::Duration,
};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Client, Job, Pace, Report, Stop};
use crate::{
    clock::Stopwatch,
    images::{ImageDraft, Lora, Seed, Source, graph},
    services::{Endpoint, ServiceAuth},
};

/// A server in a folder of its own; killed when dropped.
struct Real {
    install: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
    child: Child,
}

impl Real {
    async fn start() -> Self {
        let install = std::env::var_os("CENTRAL_MCP_COMFYUI")
            .expect("CENTRAL_MCP_COMFYUI names no ComfyUI; install one with `cargo xtask comfyui --install-only`, or run `cargo xtask test`");
        let install = PathBuf::from(install);
        let folder = tempfile::tempdir().unwrap();
        // ComfyUI cannot choose a port and say which; this one was free a moment ago.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = spawn(&install, &folder, port);
        let mut real = Self { install, folder, port, child };
        real.ready().await;
        real
    }

    async fn ready(&mut self) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let base = format!("http://127.0.0.1:{}", self.port).parse().unwrap();
        let endpoint = Endpoint::new(Endpoint::client().unwrap(), &base, ServiceAuth::None);
        let watch = Stopwatch::start();
        while endpoint.get_json("/system_stats", &[], 1 << 20).await.is_err() {
            assert!(self.child.try_wait().unwrap().is_none(), "ComfyUI ended before it answered");
            assert!(watch.elapsed() < Duration::from_secs(180), "ComfyUI did not answer within three minutes");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    async fn restart(&mut self) {
        self.kill();
        self.child = spawn(&self.install, &self.folder, self.port);
        self.ready().await;
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(install: &std::path::Path, folder: &tempfile::TempDir, port: u16) -> Child {
    let mut start = Command::new(install.join("start"));
    start.arg(port.to_string()).arg(folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
    start.spawn().unwrap()
}

/// A new id each time: the server takes any, and the graph's prefix must be new.
fn job(number: u32, graph: impl FnOnce(&str) -> Value) -> Job {
    let prompt_id = format!("0a1b2c3d-0000-4000-8000-{number:012}");
    let graph = graph(&format!("central-mcp/{prompt_id}"));
    Job { prompt_id, graph, resume: false, pictures: true }
}

fn draft(steps: u32) -> ImageDraft {
    ImageDraft { prompt: "a red fox".into(), width: 64, height: 64, steps, ..ImageDraft::default() }
}

const CHECKPOINT: &str = "tiny-sd15.safetensors";

#[tokio::test]
async fn a_real_server_draws_refuses_cancels_and_restarts() {
    let mut real = Real::start().await;
    let client = Client::new(real.port, Pace::default());
    let never = CancellationToken::new();
    let reports = Mutex::new(Vec::new());
    let report = |report| reports.lock().unwrap().push(report);

    // Text to image, twice the same: each time a new file.
    for number in 0..2 {
        let job = job(number, |prefix| graph::build(&draft(4), Seed(u64::MAX), prefix, CHECKPOINT, None));
        let drawn = client.comfy.draw(job, &report, &never).await.unwrap();
        assert!(drawn.files.len() == 1 && drawn.files[0].starts_with(b"\x89PNG"));
        assert!(drawn.drawn_ms.is_some());
    }
    let heard = std::mem::take(&mut *reports.lock().unwrap());
    assert!(heard.iter().any(|report| matches!(report, Report::Preview { media_type: "image/jpeg", .. })));
    assert!(heard.contains(&Report::Steps { step: 4, steps: 4 }));
    for phase in ["loading", "sampling", "decoding", "fetching"] {
        assert!(heard.contains(&Report::Phase(phase.into())), "{phase}");
    }

    // Image to image with a LoRA, three at once, from an uploaded picture.
    let source = recorded_png();
    let name = client.comfy.upload("source.png", source.clone()).await.unwrap();
    assert_eq!(name, "central-mcp/source.png");
    assert_eq!(client.comfy.upload("source.png", source).await.unwrap(), name);
    let from = ImageDraft {
        count: 3,
        source: Some(Source { sha256: String::new(), denoise: 0.6 }),
        loras: vec![Lora { name: "tiny-lora.safetensors".into(), strength: 0.8 }],
        ..draft(2)
    };
    let drawn = client.comfy.draw(
        job(2, |prefix| graph::build(&from, Seed(1), prefix, CHECKPOINT, Some(&name))),
        &report,
        &never,
    );
    assert_eq!(drawn.await.unwrap().files.len(), 3);

    // A checkpoint that is not there.
    let refused = client.comfy.draw(
        job(3, |prefix| graph::build(&draft(4), Seed(1), prefix, "gone.safetensors", None)),
        &report,
        &never,
    );
    let stop = refused.await.unwrap_err();
    assert!(matches!(&stop, Stop::Unfit(text) if text.contains(CHECKPOINT)), "{stop:?}");

    // Cancelled while sampling, and the server goes on with the next.
    let cancel = CancellationToken::new();
    let sampling = |report| {
        if matches!(report, Report::Steps { .. }) {
            cancel.cancel();
        }
    };
    let long = job(4, |prefix| graph::build(&draft(400), Seed(2), prefix, CHECKPOINT, None));
    assert_eq!(client.comfy.draw(long, &sampling, &cancel).await, Err(Stop::Cancelled));
    assert_eq!(client.comfy.queue_remaining().await, Ok(0));

    // The hub's own share of the time of a job that costs nearly nothing.
    let mut times = Vec::new();
    for number in 100..140 {
        let empty = |prefix: &str| {
            json!({
                "1": { "class_type": "EmptyImage", "inputs": { "width": 64, "height": 64, "batch_size": 1, "color": number } },
                "2": { "class_type": "SaveImage", "inputs": { "images": ["1", 0], "filename_prefix": prefix } },
            })
        };
        let watch = Stopwatch::start();
        client.comfy.draw(job(number, empty), &report, &never).await.unwrap();
        times.push(watch.elapsed());
    }
    times.sort();
    eprintln!("a job that costs nearly nothing: p50 {:?}, p95 {:?}", times[20], times[38]);
    assert!(times[20] < Duration::from_millis(500), "{times:?}");

    // Killed in mid-job and started again: the job is lost, and the same client draws the next.
    let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
    let begins_sampling = move |report| {
        if matches!(report, Report::Steps { .. }) {
            begun.send(()).unwrap();
        }
    };
    let long = job(5, |prefix| graph::build(&draft(2_000), Seed(3), prefix, CHECKPOINT, None));
    let restart = async {
        begins.recv().await.unwrap();
        real.restart().await;
    };
    let (result, ()) = tokio::join!(client.comfy.draw(long, &begins_sampling, &never), restart);
    assert!(matches!(result, Err(Stop::Lost(_))), "{result:?}");
    let again = job(6, |prefix| graph::build(&draft(2), Seed(3), prefix, CHECKPOINT, None));
    assert_eq!(client.comfy.draw(again, &report, &never).await.unwrap().files.len(), 1);
}

fn recorded_png() -> bytes::Bytes {
    super::recording::read("0.33.0", "01").remove(0).script.file.unwrap().into()
}
