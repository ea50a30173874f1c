//! Bad input from people and from backends: a clear error that names the cause, and the queue goes on.

use serde_json::{Value, json};

use crate::{
    client::Client,
    fake::{self, Fake},
    program::{Folder, Hub, token},
};

/// A hub with one service that misbehaves on demand.
struct Scene {
    _hub: Hub,
    client: Client,
    fake: Fake,
    _folder: Folder,
}

impl Scene {
    async fn new() -> Self {
        let (folder, fake) = (Folder::new(), Fake::serve(fake::MODEL).await);
        let hub = Hub::start(folder.path());
        let client = hub.client(&token(folder.path(), "operator"));
        client.service("nasty", &fake.url).await;
        Self { _hub: hub, client, fake, _folder: folder }
    }

    /// Draws a bad one and a good one behind it; how the bad one ended.
    async fn bad(&self, word: &str, seconds: u64) -> Value {
        let bad = self.client.draw(draft(&format!("a fox {word}"))).await["id"].clone();
        let good = self.client.draw(draft("the next one")).await["id"].clone();
        let bad = self.client.ended(&bad, seconds).await;
        let good = self.client.ended(&good, seconds).await;
        assert_eq!(good["status"], "done", "the queue goes on after {word}: {good}");
        bad
    }
}

fn draft(prompt: &str) -> Value {
    json!({ "prompt": prompt, "width": 64, "height": 64, "steps": 1 })
}

#[track_caller]
fn failed_with(view: &Value, expected: &str) {
    let reason = view["reason"].as_str().unwrap_or_default();
    assert_eq!(view["status"], "failed", "{view}");
    assert!(reason.contains(expected), "expected \"{expected}\", got \"{reason}\"");
    assert!(!reason.contains('<') || reason.contains("begin with"), "a stranger's page is not repeated: {reason}");
    assert_eq!(view["pictures"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_sends_no_picture_fails_the_image_with_that_reason() {
    let scene = Scene::new().await;
    failed_with(&scene.bad(fake::BROKEN, 30).await, "the picture is broken");
    failed_with(&scene.bad(fake::PAGE, 30).await, "not a PNG, JPEG or WebP picture");
    failed_with(&scene.bad(fake::HUGE, 30).await, "over 256 MiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_200_that_is_no_success_is_not_taken_for_one() {
    let scene = Scene::new().await;
    failed_with(&scene.bad(fake::REFUSED, 30).await, "no output node");
    // What could be drawn is drawn, and what was left out is said.
    let view = scene.bad(fake::LEFT_OUT, 30).await;
    assert_eq!(view["status"], "done", "{view}");
    assert!(
        view["reason"].as_str().unwrap_or_default().contains("node 8 (SaveImage) lacks its input images"),
        "{view}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxys_page_is_named_and_the_image_drawn_once_the_backend_is_back() {
    let scene = Scene::new().await;
    let id = scene.client.draw(draft(fake::PROXY)).await["id"].clone();
    let waits = |view: &Value| view["status"] == "queued" && view["attempts"] == 1;
    let view = scene.client.image_when(&id, "the image waits again", 20, waits).await;
    let reason = view["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("502") && !reason.contains('<'), "{view}");
    let view = scene.client.ended(&id, 40).await;
    assert_eq!((&view["status"], &view["attempts"]), (&json!("done"), &json!(2)), "{view}");
}

/// What is said of a backend that answers one byte per second.
const DRIPS: &str = "is it overloaded, or the line to it bad?";

/// A service of its own drips once for the job with this word. The job as it ended, and one that stood behind it.
async fn dripped_on(client: &Client, word: &str, fake: &Fake) -> Value {
    let service = client.service(word, &fake.url).await;
    let ask = async |prompt: &str| {
        let mut draft = draft(prompt);
        draft["service"] = service.clone();
        client.draw(draft).await["id"].clone()
    };
    let (bad, good) = (ask(word).await, ask("the next one").await);
    if word == fake::DRIP_PROMPT {
        // The submission itself is given up, so the image goes back into the queue and says why.
        let waits = |view: &Value| view["status"] == "queued" && view["attempts"] == 1;
        let view = client.image_when(&bad, "the image waits again", 20, waits).await;
        assert!(view["reason"].as_str().unwrap_or_default().contains(DRIPS), "{view}");
    }
    let bad = client.ended(&bad, 40).await;
    let good = client.ended(&good, 40).await;
    assert_eq!((&good["status"], &good["renderer"]), (&json!("done"), &json!(word)), "{good}");
    bad
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_per_second_is_given_up_and_the_queue_goes_on() {
    let folder = Folder::new();
    let hub = Hub::start(folder.path());
    let client = hub.client(&token(folder.path(), "operator"));
    let fakes = [Fake::serve(fake::MODEL).await, Fake::serve(fake::MODEL).await, Fake::serve(fake::MODEL).await];

    // Nothing but drips: who tests such a service is told, and it gets no work.
    let address = format!("{}{}", fakes[0].url, fake::DRIPPING);
    let draft = json!({ "name": "drips", "kind": "comfyui", "base_url": address, "auth": null, "price_per_hour": 0 });
    let stats = async {
        let began = std::time::Instant::now();
        let report = client.call("test_service", json!({ "draft": draft, "existing": null })).await.json();
        let (first, more) = (&report["steps"][0], &report["steps"][1]);
        assert_eq!((&first["good"], more), (&json!(false), &Value::Null), "{report}");
        assert!(first["answer"].as_str().unwrap_or_default().contains(DRIPS), "{report}");
        assert!(began.elapsed().as_secs() < 15, "a person waits for this: {} s", began.elapsed().as_secs());
        let id = client.call("add_service", json!({ "draft": draft })).await.json()["id"].clone();
        client.call("set_service_active", json!({ "id": id, "active": true })).await.refuses(502, DRIPS);
    };
    let (prompt, history, view, ()) = tokio::join!(
        dripped_on(&client, fake::DRIP_PROMPT, &fakes[0]),
        dripped_on(&client, fake::DRIP_HISTORY, &fakes[1]),
        dripped_on(&client, fake::DRIP_VIEW, &fakes[2]),
        stats
    );
    // Asked again after the dripping answer, the backend still has the job: it is not drawn a second time.
    for (view, attempts) in [(prompt, 2), (history, 1), (view, 1)] {
        assert_eq!((&view["status"], &view["attempts"]), (&json!("done"), &json!(attempts)), "{view}");
    }
    assert_eq!(fakes.map(|fake| fake.submitted().len()), [3, 2, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn drafts_out_of_bounds_are_refused_with_the_bound() {
    let scene = Scene::new().await;
    let cases = [
        (json!({ "prompt": "x".repeat(64 << 10) }), "prompt is 65536 bytes; use at most 20000"),
        (json!({ "prompt": "" }), "prompt is empty"),
        (json!({ "prompt": "a\0b" }), "zero byte"),
        (json!({ "width": 63 }), "width is 63"),
        (json!({ "width": 100_000 }), "width is 100000"),
        (json!({ "steps": 0 }), "steps is 0"),
        (json!({ "count": 17 }), "count is 17"),
        (json!({ "cfg_scale": 31.0 }), "cfg_scale is 31"),
        (json!({ "model": "" }), "model must be a name"),
    ];
    for (change, expected) in cases {
        let mut wrong = draft("a fox");
        wrong.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        scene.client.call("draw_image", json!({ "draft": wrong })).await.refuses(422, expected);
    }
    // What cannot even be read is the caller's fault too, and names the field or the value.
    let unreadable = [
        (json!({ "width": -64 }), "-64"),
        (json!({ "height": -1 }), "-1"),
        (json!({ "steps": 1.5 }), "1.5"),
        (json!({ "seed": "18446744073709551616" }), "18446744073709551615"),
        (json!({ "seed": -1 }), "18446744073709551615"),
        (json!({ "seed": 1.8446744073709552e19 }), "18446744073709551615"),
        (json!({ "colour": "red" }), "colour"),
        (json!({ "prompt": 5 }), "string"),
    ];
    for (change, expected) in unreadable {
        let mut wrong = draft("a fox");
        wrong.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let answer = scene.client.call("draw_image", json!({ "draft": wrong })).await;
        assert!(answer.status.is_client_error(), "{change}: {} {}", answer.status, answer.text);
        assert!(answer.text.contains(expected), "{change}: expected \"{expected}\", got \"{}\"", answer.text);
    }
    assert_eq!(scene.client.call("list_images", json!({ "filter": {} })).await.json(), json!([]), "none was accepted");
    scene.client.drawn(draft("the next one"), 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn emoji_and_the_largest_seed_reach_the_backend_as_they_are() {
    let scene = Scene::new().await;
    let prompt = "🦊🌅 mañana\n\"quoted\" \\ {{seed}} <script>alert(1)</script> \u{202e}";
    for seed in [json!("18446744073709551615"), json!(u64::MAX)] {
        let mut draft = draft(prompt);
        draft["seed"] = seed;
        let view = scene.client.drawn(draft, 20).await;
        assert_eq!(
            (&view["draft"]["seed"], &view["draft"]["prompt"]),
            (&json!("18446744073709551615"), &json!(prompt))
        );
    }
    let submitted = scene.fake.submitted();
    assert_eq!(submitted.len(), 2);
    for graph in submitted.iter().map(|job| &job["prompt"]) {
        assert_eq!(graph["8"]["inputs"]["seed"], json!(u64::MAX), "{graph}");
        assert_eq!(graph["2"]["inputs"]["text"], json!(prompt), "{graph}");
    }
    let found = scene.client.call("list_images", json!({ "filter": { "text": "🦊" } })).await.json();
    assert_eq!(found.as_array().map(Vec::len), Some(2), "{found}");
}
