//! The whole way against a real ComfyUI: prompt, progress, preview, picture, cancel, and a server that dies in mid-job.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    client::{Client, answer, http},
    program::{Folder, Hub, token, until},
};

const CHECKPOINT: &str = "tiny-sd15.safetensors";

/// A server in a folder of its own; killed when dropped.
struct Comfy {
    install: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
    child: Child,
}

impl Comfy {
    async fn start() -> Self {
        let install = std::env::var_os("CENTRAL_MCP_COMFYUI").map(PathBuf::from).expect(
            "CENTRAL_MCP_COMFYUI names no ComfyUI. Install one with `cargo xtask comfyui --install-only` and name its folder \
             (~/.cache/central-mcp/comfyui), or run `cargo xtask test`, which does both",
        );
        let folder = tempfile::tempdir().unwrap();
        // ComfyUI cannot choose a port and say which; this one was free a moment ago.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Self::spawn(&install, folder.path(), port);
        let mut comfy = Self { install, folder, port, child };
        comfy.ready().await;
        comfy
    }

    fn spawn(install: &std::path::Path, folder: &std::path::Path, port: u16) -> Child {
        let mut start = Command::new(install.join("start"));
        start.arg(port.to_string()).arg(folder).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    async fn ready(&mut self) {
        let (http, url) = (http(), format!("{}/system_stats", self.url()));
        until("ComfyUI answers", Duration::from_secs(180), async || {
            assert!(self.child.try_wait().unwrap().is_none(), "ComfyUI ended before it answered");
            http.get(&url).send().await.is_ok().then_some(())
        })
        .await;
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    async fn restart(&mut self) {
        self.child = Self::spawn(&self.install, self.folder.path(), self.port);
        self.ready().await;
    }

    /// Jobs that wait or run there.
    async fn jobs(&self) -> usize {
        let queue = answer(http().get(format!("{}/queue", self.url()))).await.unwrap().json();
        ["queue_running", "queue_pending"].iter().filter_map(|list| queue[list].as_array()).map(Vec::len).sum()
    }
}

impl Drop for Comfy {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A hub with a real ComfyUI as its only service.
struct Scene {
    _hub: Hub,
    client: Client,
    comfy: Comfy,
    _folder: Folder,
}

impl Scene {
    async fn new() -> Self {
        let comfy = Comfy::start().await;
        let folder = Folder::new();
        let hub = Hub::start(folder.path());
        let client = hub.client(&token(folder.path(), "operator"));
        client.service("real", &comfy.url()).await;
        Self { _hub: hub, client, comfy, _folder: folder }
    }
}

fn draft(change: Value) -> Value {
    let mut draft =
        json!({ "prompt": "a red fox in snow", "width": 64, "height": 64, "steps": 4, "seed": "18446744073709551615" });
    draft.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    draft
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_comfyui_draws_what_was_asked_and_everybody_sees_it() {
    let Scene { client, comfy, .. } = &Scene::new().await;

    // Progress and a preview come by /live while it is drawn.
    let mut live = client.live().await;
    let id = client.draw(draft(json!({ "steps": 40 }))).await["id"].clone();
    let (mut steps, mut preview) = (0, None);
    let heard = tokio::time::timeout(Duration::from_secs(90), async {
        while steps < 40 || preview.is_none() {
            let (event, data) = live.next().await.expect("the stream goes on");
            if event == "progress" && data["image"] == id {
                steps = steps.max(data["progress"]["step"].as_u64().unwrap());
                if preview.is_none() && data["progress"]["preview"].as_u64() > Some(0) {
                    let path = format!("/images/{}/preview", id.as_str().unwrap());
                    preview = Some(image::load_from_memory(&client.bytes(&path).await).unwrap());
                }
            }
        }
    });
    assert!(heard.await.is_ok(), "heard {steps} steps, preview: {}", preview.is_some());
    let first = client.ended(&id, 60).await;
    assert_eq!(
        (&first["status"], &first["renderer"], &first["attempts"]),
        (&json!("done"), &json!("real"), &json!(1)),
        "{first}"
    );
    assert!(first["drawn_ms"].as_i64() > Some(0) && first["cost"].as_i64() >= Some(0), "{first}");
    let thumbnail = client.bytes(&format!("/pictures/{}", first["pictures"][0]["thumbnail"].as_str().unwrap())).await;
    assert!(thumbnail.starts_with(b"RIFF") && thumbnail[8..].starts_with(b"WEBP"));

    // The same seed gives the same pixels, another seed gives others.
    let one = client.drawn(draft(json!({})), 60).await;
    let again = client.call("draw_again", json!({ "id": one["id"], "vary": false })).await.json();
    let again = client.ended(&again["id"], 60).await;
    assert_eq!((&again["status"], &again["parent"]), (&json!("done"), &one["id"]), "{again}");
    let pixels = client.pixels(&one, 0).await;
    assert_eq!((pixels.width(), pixels.height()), (64, 64));
    assert_eq!(pixels, client.pixels(&again, 0).await, "same seed, same pixels");
    let other = client.drawn(draft(json!({ "seed": "1" })), 60).await;
    assert_ne!(pixels, client.pixels(&other, 0).await, "another seed, another picture");

    // LoRA, sampler, scheduler, and more than one at once.
    let many = draft(json!({
        "loras": [{ "name": "tiny-lora.safetensors", "strength": 1.0 }], "sampler": "dpmpp_2m", "scheduler": "karras",
        "negative_prompt": "blurry", "model": CHECKPOINT, "count": 2,
    }));
    let many = client.drawn(many, 60).await;
    assert_eq!(many["pictures"].as_array().map(Vec::len), Some(2), "{many}");
    assert_ne!(client.pixels(&many, 0).await, client.pixels(&many, 1).await);

    // Image to image, from an upload.
    let mut png = std::io::Cursor::new(Vec::new());
    image::DynamicImage::ImageRgba8(pixels.clone()).write_to(&mut png, image::ImageFormat::Png).unwrap();
    let upload = answer(client.request(reqwest::Method::POST, "/uploads").body(png.into_inner())).await.unwrap().json();
    let from = client.drawn(draft(json!({ "source": { "sha256": upload["sha256"], "denoise": 0.5 } })), 60).await;
    assert_ne!(client.pixels(&from, 0).await, pixels);

    // What only this server lacks is said with what it has.
    let missing = client.draw(draft(json!({ "model": "gone.safetensors" }))).await["id"].clone();
    let missing = client.ended(&missing, 60).await;
    assert_eq!(missing["status"], "failed");
    let reason = missing["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("gone.safetensors") && reason.contains(CHECKPOINT), "{missing}");

    a_saved_workflow_is_drawn(client).await;
    a_running_job_is_cancelled(client, comfy).await;
}

/// With its own inputs and those of the draft.
async fn a_saved_workflow_is_drawn(client: &Client) {
    let graph = json!({
        "1": { "class_type": "EmptyImage", "inputs": { "width": "{{width}}", "height": "{{height}}", "batch_size": 1, "color": "{{colour}}" } },
        "2": { "class_type": "SaveImage", "inputs": { "images": ["1", 0], "filename_prefix": "mine" } },
    });
    let workflow =
        client.call("save_workflow", json!({ "name": "one colour", "graph": graph.to_string() })).await.json();
    assert_eq!(workflow["inputs"], json!(["colour"]));
    let lacking = draft(json!({ "workflow": workflow["id"] }));
    client.call("draw_image", json!({ "draft": lacking })).await.refuses(422, "needs a value for: colour");
    let asked = draft(json!({ "workflow": workflow["id"], "inputs": { "colour": 0x00ff_8000_u32 }, "width": 72 }));
    // Twice the same: the server itself would draw nothing the second time.
    for _ in 0..2 {
        let view = client.drawn(asked.clone(), 60).await;
        let pixels = client.pixels(&view, 0).await;
        assert_eq!((pixels.width(), pixels.height()), (72, 64));
        assert!(pixels.pixels().all(|pixel| pixel.0 == [255, 128, 0, 255]), "{:?}", pixels.get_pixel(0, 0));
    }
}

/// And the server is free for the next.
async fn a_running_job_is_cancelled(client: &Client, comfy: &Comfy) {
    let id = client.draw(draft(json!({ "steps": 150, "width": 256, "height": 256 }))).await["id"].clone();
    let sampling = |view: &Value| view["progress"]["step"].as_u64() > Some(0);
    client.image_when(&id, "sampling has begun", 60, sampling).await;
    client.call("cancel_image", json!({ "id": id })).await.json();
    let view = client.ended(&id, 30).await;
    assert_eq!((&view["status"], &view["pictures"]), (&json!("cancelled"), &json!([])), "{view}");
    assert_eq!(comfy.jobs().await, 0, "nothing is left on the server");
    client.drawn(draft(json!({ "seed": "7" })), 60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comfyui_killed_in_mid_job_loses_no_image() {
    let mut scene = Scene::new().await;
    let client = scene.client.clone();
    let id = client.draw(draft(json!({ "steps": 60, "width": 128, "height": 128 }))).await["id"].clone();
    let behind = client.draw(draft(json!({ "seed": "2" }))).await["id"].clone();
    let sampling = |view: &Value| view["progress"]["step"].as_u64() > Some(0);
    client.image_when(&id, "sampling has begun", 60, sampling).await;
    scene.comfy.kill();
    scene.comfy.restart().await;
    // Drawn again, or failed with a reason that says so: never silently dropped.
    let view = client.ended(&id, 240).await;
    match view["status"].as_str() {
        Some("done") => assert!(view["attempts"].as_u64() >= Some(2), "{view}"),
        Some("failed") => assert!(view["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{view}"),
        _ => panic!("{view}"),
    }
    let behind = client.ended(&behind, 60).await;
    assert_eq!(behind["status"], "done", "the image behind it is drawn: {behind}");
}
