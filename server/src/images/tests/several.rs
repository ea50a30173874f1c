//! Several ComfyUI services, and what happens when one fails.

use super::{
    caller,
    fake::{Fake, Manner},
    hub, running, small, wait,
};
use crate::{
    Hub,
    caller::{Caller, Role},
    id::ServiceId,
    images::{ImageDraft, ImageStatus},
    services::{MicroUsd, ServiceAuth, ServiceDraft, ServiceKind},
};

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

fn ended(view: &super::ImageView) -> bool {
    view.status.ended()
}

#[tokio::test]
async fn the_cost_is_the_price_of_the_time_that_the_service_says_it_drew() {
    let (dir, fake) = (tempfile::tempdir().expect("a folder"), Fake::start(Manner::Draws).await);
    let hub = hub(dir.path()).await;
    add(&hub, "one", &fake).await;
    let image = hub.images.draw(&caller("ci", Role::Agent), small("a fox")).await.expect("accepted");
    let view = wait(&hub, image.id, ended).await;
    assert_eq!((view.status, view.renderer.as_deref()), (ImageStatus::Done, Some("one")), "{:?}", view.reason);
    assert_eq!((view.drawn_ms, view.cost), (Some(2_500), Some(MicroUsd(2_500))));
    let graph = hub.images.graph(&Caller::of_loop("test"), image.id).await.expect("the graph is kept");
    assert!(graph.contains("a fox") && graph.contains(&view.draft.seed.expect("a seed").to_string()));
    hub.close().await;
}

#[tokio::test]
async fn a_service_without_the_model_hands_the_image_to_another() {
    let dir = tempfile::tempdir().expect("a folder");
    let (poor, rich) = (Fake::start(Manner::LacksModel).await, Fake::start(Manner::Draws).await);
    let hub = hub(dir.path()).await;
    add(&hub, "a-poor", &poor).await;
    let who = caller("ci", Role::Agent);
    // Alone it is the end, and the reason names the model.
    let image = hub.images.draw(&who, small("alone")).await.expect("accepted");
    let view = wait(&hub, image.id, ended).await;
    assert_eq!(view.status, ImageStatus::Failed);
    assert!(view.reason.as_deref().unwrap_or_default().contains("tiny.safetensors"), "{:?}", view.reason);

    add(&hub, "b-rich", &rich).await;
    for _ in 0..3 {
        let image = hub.images.draw(&who, small("together")).await.expect("accepted");
        let view = wait(&hub, image.id, ended).await;
        assert_eq!((view.status, view.renderer.as_deref()), (ImageStatus::Done, Some("b-rich")), "{:?}", view.reason);
    }
    hub.close().await;
}

#[tokio::test]
async fn each_service_has_one_image_at_a_time_and_a_wish_is_kept() {
    let dir = tempfile::tempdir().expect("a folder");
    let (one, two) = (Fake::start(Manner::Works).await, Fake::start(Manner::Works).await);
    let hub = hub(dir.path()).await;
    let (_, wanted) = (add(&hub, "one", &one).await, add(&hub, "two", &two).await);
    let who = caller("ci", Role::Agent);
    let mut images = Vec::new();
    for n in 0..4 {
        let draft = ImageDraft { service: (n == 0).then_some(wanted), ..small("busy") };
        images.push(hub.images.draw(&who, draft).await.expect("accepted").id);
    }
    assert_eq!(wait(&hub, images[0], running).await.renderer.as_deref(), Some("two"));
    assert_eq!(wait(&hub, images[1], running).await.renderer.as_deref(), Some("one"));
    assert_eq!((one.asked() <= 1, two.asked() <= 1), (true, true));
    assert_eq!(hub.images.get(&who, images[3]).await.expect("there").place, Some(1));
    // A cancelled one makes room for the next.
    hub.images.cancel(&who, images[0]).await.expect("cancelled");
    assert_eq!(wait(&hub, images[0], ended).await.status, ImageStatus::Cancelled);
    wait(&hub, images[2], running).await;
    one.finish();
    two.finish();
    for id in &images[1..] {
        assert_eq!(wait(&hub, *id, ended).await.status, ImageStatus::Done);
    }
    hub.close().await;
}

#[tokio::test]
async fn a_restarted_hub_fetches_what_was_finished_meanwhile_and_redraws_what_was_forgotten() {
    let (dir, fake) = (tempfile::tempdir().expect("a folder"), Fake::start(Manner::Works).await);
    let who = caller("ci", Role::Agent);
    let first = hub(dir.path()).await;
    add(&first, "one", &fake).await;
    let image = first.images.draw(&who, small("kept")).await.expect("accepted");
    wait(&first, image.id, running).await;
    while fake.asked() == 0 {
        tokio::task::yield_now().await;
    }
    first.close().await;
    fake.finish();
    let second = hub(dir.path()).await;
    let view = wait(&second, image.id, ended).await;
    assert_eq!((view.status, view.attempts, fake.asked()), (ImageStatus::Done, 1, 1));
    second.close().await;

    let (dir, fake) = (tempfile::tempdir().expect("a folder"), Fake::start(Manner::Works).await);
    let third = hub(dir.path()).await;
    add(&third, "one", &fake).await;
    let image = third.images.draw(&who, small("forgotten")).await.expect("accepted");
    wait(&third, image.id, running).await;
    while fake.asked() == 0 {
        tokio::task::yield_now().await;
    }
    third.close().await;
    fake.forget();
    fake.finish();
    let fourth = hub(dir.path()).await;
    let view = wait(&fourth, image.id, ended).await;
    assert_eq!((view.status, view.attempts, fake.asked()), (ImageStatus::Done, 2, 2));
    fourth.close().await;
}

#[tokio::test]
async fn junk_instead_of_a_picture_fails_that_image_alone() {
    let (dir, fake) = (tempfile::tempdir().expect("a folder"), Fake::start(Manner::SendsJunk).await);
    let hub = hub(dir.path()).await;
    add(&hub, "one", &fake).await;
    let who = caller("ci", Role::Agent);
    let image = hub.images.draw(&who, small("junk")).await.expect("accepted");
    let view = wait(&hub, image.id, ended).await;
    assert_eq!(view.status, ImageStatus::Failed);
    assert!(view.reason.as_deref().unwrap_or_default().contains("something else than a picture"), "{:?}", view.reason);
    fake.finish();
    let next = hub.images.draw(&who, small("next")).await.expect("accepted");
    assert_eq!(wait(&hub, next.id, ended).await.status, ImageStatus::Done);
    hub.close().await;
}
