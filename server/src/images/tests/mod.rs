//! The room with a real database and real files. The renderer is the built-in sketch; ComfyUI is tested in `comfy/tests`
//! and, for real, in `end2end/it`.

#[path = "../../../tests/comfyui/fake.rs"]
mod fake;
mod several;
mod sweep;
mod tallies;

use std::{path::Path, time::Duration};

use bytes::Bytes;

use super::{ImageDraft, ImageFilter, ImageStatus, ImageView, Seed, Source};
use crate::{
    Hub,
    caller::{Actor, Caller, Role},
    clock::Clock,
    error::FailureKind,
    events::EventFilter,
    id::{ImageId, ServiceId, TokenId},
    services::{MicroUsd, ServiceAuth, ServiceDraft, ServiceKind},
};
use fake::Fake;

async fn hub(data: &Path) -> Hub {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Hub::open(data, None, Clock::default()).await.expect("the hub opens")
}

fn caller(name: &str, role: Role) -> Caller {
    let id = TokenId::new(Clock::default().now());
    let actor = if role == Role::Agent { Actor::Agent(id, name.into()) } else { Actor::Token(id, name.into()) };
    Caller { actor, role, session: None }
}

/// Adds and activates a service; an hour of it costs 3.60 dollars, so a second costs 0.001.
async fn add(hub: &Hub, name: &str, fake: &Fake) -> ServiceId {
    let who = Caller::of_loop("test");
    let draft = ServiceDraft {
        name: name.into(),
        kind: ServiceKind::Comfyui,
        base_url: fake.url.clone(),
        auth: Some(ServiceAuth::None),
        price_per_hour: MicroUsd(3_600_000),
    };
    let service = hub.services.add(&who, draft).await.expect("added");
    hub.services.set_active(&who, service.id, true).await.expect("activated").id
}

fn small(prompt: &str) -> ImageDraft {
    ImageDraft { prompt: prompt.into(), width: 64, height: 64, steps: 2, ..ImageDraft::default() }
}

/// Never ends by itself within a test.
fn long(prompt: &str) -> ImageDraft {
    ImageDraft { steps: 150, count: 16, ..small(prompt) }
}

/// Waits until the image is as wanted.
async fn wait(hub: &Hub, id: ImageId, wanted: fn(&ImageView) -> bool) -> ImageView {
    let who = Caller::of_loop("test");
    let mut changed = hub.events.follow();
    let look = async {
        loop {
            let view = hub.images.get(&who, id).await.expect("the image is there");
            if wanted(&view) {
                return view;
            }
            let _ = tokio::time::timeout(Duration::from_millis(50), changed.changed()).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), look).await.expect("the image gets there within 20 s")
}

fn done(view: &ImageView) -> bool {
    view.status == ImageStatus::Done
}

fn running(view: &ImageView) -> bool {
    view.status == ImageStatus::Running
}

fn ended(view: &ImageView) -> bool {
    view.status.ended()
}

#[tokio::test]
async fn an_image_is_drawn_stored_and_attributed() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = hub(dir.path()).await;
    let agent = caller("c", Role::Agent);
    let asked = hub
        .images
        .draw(&agent, ImageDraft { task: Some("T-1".into()), count: 2, ..small("a fox 🦊") })
        .await
        .expect("accepted");
    assert!(asked.draft.seed.is_some(), "the seed is drawn when the image is accepted");

    let view = wait(&hub, asked.id, done).await;
    assert_eq!(
        (view.agent.as_deref(), view.asked_by.as_str(), view.renderer.as_deref()),
        (Some("c"), "agent:c", Some("sketch"))
    );
    assert_eq!((view.pictures.len(), view.cost, view.attempts), (2, None, 1));
    assert_ne!(view.pictures[0].sha256, view.pictures[1].sha256);
    assert_eq!((view.pictures[0].width, view.pictures[0].height), (64, 64));
    let file = hub.images.picture(&agent, &view.pictures[0].sha256).await.expect("the file");
    assert_eq!(file.media_type, "image/png");
    assert_eq!(std::fs::metadata(file.path).expect("the file").len(), view.pictures[0].bytes as u64);

    let stats = hub.images.stats(&agent).await.expect("stats");
    assert_eq!((stats.done, stats.done_hour, stats.done_week, stats.queued, stats.running), (1, 1, 1, 0, 0));
    assert_eq!((stats.by_agent[0].agent.as_str(), stats.by_agent[0].images), ("c", 1));
    assert_eq!((stats.by_task[0].task.as_str(), stats.by_task[0].images), ("T-1", 1));
    let kinds: Vec<_> = hub
        .events
        .list(&Caller::of_loop("test"), EventFilter::newest(10))
        .await
        .expect("events")
        .into_iter()
        .map(|event| event.kind)
        .collect();
    assert_eq!(kinds, ["done", "started", "queued"]);
    hub.close().await;
}

#[tokio::test]
async fn again_keeps_the_seed_and_gives_the_same_file_and_vary_does_not() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = hub(dir.path()).await;
    let who = caller("ci", Role::Operator);
    let first =
        hub.images.draw(&who, ImageDraft { seed: Some(Seed(u64::MAX)), ..small("a harbour") }).await.expect("accepted");
    let first = wait(&hub, first.id, done).await;
    let again = hub.images.again(&who, first.id, false).await.expect("accepted");
    let again = wait(&hub, again.id, done).await;
    assert_eq!((again.draft.seed, again.parent), (Some(Seed(u64::MAX)), Some(first.id)));
    assert_eq!(again.pictures[0].sha256, first.pictures[0].sha256);
    let varied = hub.images.again(&who, first.id, true).await.expect("accepted");
    let varied = wait(&hub, varied.id, done).await;
    assert_ne!(varied.draft.seed, first.draft.seed);
    assert_ne!(varied.pictures[0].sha256, first.pictures[0].sha256);

    // Two images share one file: it goes with the last of them.
    let path = hub.images.picture(&who, &first.pictures[0].sha256).await.expect("the file").path;
    hub.images.delete(&who, first.id).await.expect("deleted");
    assert!(path.exists());
    hub.images.delete(&who, again.id).await.expect("deleted");
    assert!(!path.exists());
    let gone = hub.images.get(&who, first.id).await.map_err(crate::error::Failure::from).expect_err("gone");
    assert_eq!(gone.kind, FailureKind::NotFound);
    hub.close().await;
}

#[tokio::test]
async fn queued_and_running_images_can_be_cancelled_and_then_retried() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = hub(dir.path()).await;
    let who = caller("ci", Role::Operator);
    let first = hub.images.draw(&who, long("long")).await.expect("accepted");
    wait(&hub, first.id, running).await;
    let second = hub.images.draw(&who, small("short")).await.expect("accepted");
    let third = hub.images.draw(&who, small("third")).await.expect("accepted");
    assert_eq!((second.place, third.place), (Some(0), Some(1)));

    let cancelled = hub.images.cancel(&who, second.id).await.expect("cancelled");
    assert_eq!(cancelled.status, ImageStatus::Cancelled);
    hub.images.cancel(&who, first.id).await.expect("asked to stop");
    wait(&hub, first.id, |view| view.status == ImageStatus::Cancelled).await;
    wait(&hub, third.id, done).await;

    let refused =
        hub.images.cancel(&who, second.id).await.map_err(crate::error::Failure::from).expect_err("already cancelled");
    assert_eq!(refused.kind, FailureKind::Conflict);
    hub.images.retry(&who, second.id).await.expect("queued again");
    let view = wait(&hub, second.id, done).await;
    assert_eq!(view.draft.seed, second.draft.seed);
    hub.close().await;
}

#[tokio::test]
async fn what_was_running_when_the_hub_ended_is_drawn_after_the_start() {
    let dir = tempfile::tempdir().expect("a folder");
    let first = hub(dir.path()).await;
    let who = caller("ci", Role::Operator);
    let slow = first.images.draw(&who, ImageDraft { steps: 20, ..small("slow") }).await.expect("accepted");
    let stopped = first.images.draw(&who, long("cancelled as the hub ends")).await.expect("accepted");
    wait(&first, slow.id, running).await;
    first.close().await;

    let second = hub(dir.path()).await;
    let view = wait(&second, slow.id, done).await;
    assert_eq!((view.attempts, view.pictures.len()), (2, 1));
    wait(&second, stopped.id, running).await;
    second.images.cancel(&who, stopped.id).await.expect("cancelled");
    wait(&second, stopped.id, |view| view.status == ImageStatus::Cancelled).await;
    second.close().await;
}

#[tokio::test]
async fn rights_decide_and_not_names() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = hub(dir.path()).await;
    let (viewer, mine, other) = (caller("v", Role::Viewer), caller("a", Role::Agent), caller("b", Role::Agent));
    let kind = |error: crate::error::Error| crate::error::Failure::from(error).kind;
    assert_eq!(hub.images.draw(&viewer, small("no")).await.map_err(kind).err(), Some(FailureKind::Forbidden));
    assert_eq!(hub.images.upload(&viewer, Bytes::new()).await.map_err(kind).err(), Some(FailureKind::Forbidden));
    let image = hub.images.draw(&mine, long("mine")).await.expect("accepted");
    assert_eq!(hub.images.cancel(&other, image.id).await.map_err(kind).err(), Some(FailureKind::Forbidden));
    assert_eq!(hub.images.save_workflow(&mine, "w", "{}").await.map_err(kind).err(), Some(FailureKind::Forbidden));
    hub.images.cancel(&mine, image.id).await.expect("one's own");
    wait(&hub, image.id, |view| view.status == ImageStatus::Cancelled).await;
    assert_eq!(hub.images.delete(&other, image.id).await.map_err(kind).err(), Some(FailureKind::Forbidden));
    hub.images.delete(&caller("op", Role::Operator), image.id).await.expect("an operator may");
    hub.close().await;
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = hub(dir.path()).await;
    let (a, b) = (caller("a", Role::Agent), caller("b", Role::Agent));
    let mut ids = Vec::new();
    for (who, prompt) in [(&a, "red 100% fox"), (&b, "blue fox"), (&a, "green_owl")] {
        let id = hub
            .images
            .draw(who, ImageDraft { seed: Some(Seed(ids.len() as u64 + 40)), ..small(prompt) })
            .await
            .expect("accepted")
            .id;
        wait(&hub, id, done).await;
        ids.push(id);
    }
    let text = |text: &str| ImageFilter { text: Some(text.into()), ..ImageFilter::default() };
    let cases = [
        (ImageFilter::default(), vec![2, 1, 0]),
        (text("FOX"), vec![1, 0]),
        (text("100%"), vec![0]),
        (text("n_o"), vec![2]),
        (text("%"), vec![0]),
        (text("42"), vec![2]),
        (text("nothing"), vec![]),
        (ImageFilter { agent: Some("a".into()), ..ImageFilter::default() }, vec![2, 0]),
        (ImageFilter { renderer: Some("sketch".into()), limit: 2, ..ImageFilter::default() }, vec![2, 1]),
        (ImageFilter { before: Some(ids[2]), limit: 1, ..ImageFilter::default() }, vec![1]),
        (ImageFilter { ended: Some(false), ..ImageFilter::default() }, vec![]),
        (ImageFilter { until: Some(hub.clock.now().plus(-60_000)), ..ImageFilter::default() }, vec![]),
    ];
    for (filter, expected) in cases {
        let found: Vec<_> =
            hub.images.list(&a, filter.clone()).await.expect("a list").into_iter().map(|view| view.id).collect();
        assert_eq!(found, expected.iter().map(|n: &usize| ids[*n]).collect::<Vec<_>>(), "{filter:?}");
    }
    hub.close().await;
}

#[tokio::test]
async fn sources_and_workflows_are_checked_before_an_image_is_accepted() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = hub(dir.path()).await;
    let who = caller("op", Role::Operator);
    let message = |error: crate::error::Error| crate::error::Failure::from(error).message;

    let missing = ImageDraft { source: Some(Source { sha256: "a".repeat(64), denoise: 0.5 }), ..small("from nothing") };
    assert!(hub.images.draw(&who, missing).await.map_err(message).expect_err("refused").contains("upload it first"));
    let wrong =
        hub.images.upload(&who, Bytes::from_static(b"not a picture")).await.map_err(message).expect_err("refused");
    assert!(wrong.contains("not a PNG"), "{wrong}");

    let graph = r#"{"1": {"class_type": "Thing", "inputs": {"seed": "{{seed}}", "text": "{{mood}}"}}}"#;
    let workflow = hub.images.save_workflow(&who, "moody", graph).await.expect("saved");
    assert_eq!(workflow.inputs, ["mood"]);
    let taken = hub.images.save_workflow(&who, "moody", graph).await.map_err(message).expect_err("refused");
    assert!(taken.contains("already a workflow named"), "{taken}");
    for (text, expected) in [("{", "not JSON"), (r#"{"nodes": [], "links": []}"#, "API")] {
        let said = hub.images.save_workflow(&who, "other", text).await.map_err(message).expect_err("refused");
        assert!(said.contains(expected), "{said}");
    }

    let needs = ImageDraft { workflow: Some(workflow.id), ..small("calm") };
    assert!(
        hub.images
            .draw(&who, needs.clone())
            .await
            .map_err(message)
            .expect_err("refused")
            .contains("needs a value for: mood")
    );
    let mut given = needs;
    given.inputs.insert("mood".into(), "calm".into());
    let image = hub.images.draw(&who, given).await.expect("accepted");
    // There is no ComfyUI: it waits, and says at once for what.
    assert_eq!(image.status, ImageStatus::Queued);
    assert!(image.reason.expect("a reason").contains("waits for a ComfyUI service"));
    hub.close().await;
}
