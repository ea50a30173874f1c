//! Several ComfyUI services, and what happens when one fails.

use std::time::Duration;

use super::{
    ImageView, add, caller, ended,
    fake::{self, Fake},
    hub, running, small, wait,
};
use crate::{
    caller::{Caller, Role},
    images::{ImageDraft, ImageStatus},
    services::MicroUsd,
};

#[tokio::test]
async fn the_cost_is_the_price_of_the_time_that_the_service_says_it_drew() {
    let (dir, fake) = (tempfile::tempdir().expect("a folder"), Fake::serve(fake::MODEL).await);
    let hub = hub(dir.path()).await;
    add(&hub, "one", &fake).await;
    let image = hub.images.draw(&caller("ci", Role::Agent), small("a fox")).await.expect("accepted");
    let view = wait(&hub, image.id, ended).await;
    assert_eq!((view.status, view.renderer.as_deref()), (ImageStatus::Done, Some("one")), "{:?}", view.reason);
    assert_eq!((view.drawn_ms, view.cost), (Some(500), Some(MicroUsd(500))));
    let graph = hub.images.graph(&Caller::of_loop("test"), image.id).await.expect("the graph is kept");
    assert!(graph.contains("a fox") && graph.contains(&view.draft.seed.expect("a seed").to_string()));
    hub.close().await;
}

#[tokio::test]
async fn a_service_without_the_model_hands_the_image_to_another() {
    let dir = tempfile::tempdir().expect("a folder");
    let (poor, rich) = (Fake::serve("other.safetensors").await, Fake::serve(fake::MODEL).await);
    let hub = hub(dir.path()).await;
    add(&hub, "a-poor", &poor).await;
    let who = caller("ci", Role::Agent);
    let wants_the_model = |prompt| ImageDraft { model: Some(fake::MODEL.into()), ..small(prompt) };
    // Alone it is the end, and the reason names the model.
    let image = hub.images.draw(&who, wants_the_model("alone")).await.expect("accepted");
    let view = wait(&hub, image.id, ended).await;
    assert_eq!(view.status, ImageStatus::Failed);
    assert!(view.reason.as_deref().unwrap_or_default().contains(fake::MODEL), "{:?}", view.reason);

    add(&hub, "b-rich", &rich).await;
    for _ in 0..3 {
        let image = hub.images.draw(&who, wants_the_model("together")).await.expect("accepted");
        let view = wait(&hub, image.id, ended).await;
        assert_eq!((view.status, view.renderer.as_deref()), (ImageStatus::Done, Some("b-rich")), "{:?}", view.reason);
    }
    hub.close().await;
}

#[tokio::test]
async fn each_service_has_one_image_at_a_time_and_a_wish_is_kept() {
    let dir = tempfile::tempdir().expect("a folder");
    let (one, two) = (Fake::serve(fake::MODEL).await, Fake::serve(fake::MODEL).await);
    let hub = hub(dir.path()).await;
    let (_, wanted) = (add(&hub, "one", &one).await, add(&hub, "two", &two).await);
    let who = caller("ci", Role::Agent);
    let mut images = Vec::new();
    for n in 0..4 {
        let prompt = if n < 3 { fake::WORKS } else { "the last one" };
        let draft = ImageDraft { service: (n == 0).then_some(wanted), ..small(prompt) };
        images.push(hub.images.draw(&who, draft).await.expect("accepted").id);
    }
    assert_eq!(wait(&hub, images[0], running).await.renderer.as_deref(), Some("two"));
    assert_eq!(wait(&hub, images[1], running).await.renderer.as_deref(), Some("one"));
    given(&one, 1).await;
    given(&two, 1).await;
    assert_eq!(hub.images.get(&who, images[3]).await.expect("there").place, Some(1));
    // A cancelled one makes room for the next, and only there.
    hub.images.cancel(&who, images[0]).await.expect("cancelled");
    assert_eq!(wait(&hub, images[0], ended).await.status, ImageStatus::Cancelled);
    assert_eq!(wait(&hub, images[2], running).await.renderer.as_deref(), Some("two"));
    given(&two, 2).await;
    assert_eq!(one.submitted().len(), 1);
    one.finish();
    two.finish();
    for id in &images[1..] {
        assert_eq!(wait(&hub, *id, ended).await.status, ImageStatus::Done);
    }
    hub.close().await;
}

/// Waits until a service was given so many jobs.
async fn given(fake: &Fake, jobs: usize) {
    let heard = async {
        while fake.submitted().len() < jobs {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), heard).await.expect("the service is given its job within 20 s");
    assert_eq!(fake.submitted().len(), jobs);
}

/// Asks for an image, restarts the hub while a service works at it, and lets that finish meanwhile. How the image ended, and
/// how often the service was given it.
async fn drawn_over_a_restart(prompt: &str) -> (ImageView, usize) {
    let (dir, fake) = (tempfile::tempdir().expect("a folder"), Fake::serve(fake::MODEL).await);
    let first = hub(dir.path()).await;
    add(&first, "one", &fake).await;
    let image = first.images.draw(&caller("ci", Role::Agent), small(prompt)).await.expect("accepted");
    given(&fake, 1).await;
    first.close().await;
    fake.finish();
    let second = hub(dir.path()).await;
    let view = wait(&second, image.id, ended).await;
    second.close().await;
    (view, fake.submitted().len())
}

#[tokio::test]
async fn a_restarted_hub_fetches_what_was_finished_meanwhile() {
    let (view, submitted) = drawn_over_a_restart(fake::WORKS).await;
    assert_eq!((view.status, view.attempts, submitted), (ImageStatus::Done, 1, 1), "{:?}", view.reason);
}

#[tokio::test]
async fn a_restarted_hub_redraws_what_was_forgotten_meanwhile() {
    let (view, submitted) = drawn_over_a_restart(fake::FORGOTTEN).await;
    assert_eq!((view.status, view.attempts, submitted), (ImageStatus::Done, 2, 2), "{:?}", view.reason);
}

#[tokio::test]
async fn restarts_of_the_hub_are_not_counted_against_the_service() {
    let (dir, fake) = (tempfile::tempdir().expect("a folder"), Fake::serve(fake::MODEL).await);
    let first = hub(dir.path()).await;
    add(&first, "one", &fake).await;
    let image = first.images.draw(&caller("ci", Role::Agent), small(fake::FORGOTTEN_AGAIN)).await.expect("accepted");
    given(&fake, 1).await;
    first.close().await;
    for times in 2..=4 {
        fake.finish();
        let next = hub(dir.path()).await;
        given(&fake, times).await;
        next.close().await;
    }
    fake.finish();
    let last = hub(dir.path()).await;
    let view = wait(&last, image.id, ended).await;
    assert_eq!((view.status, view.attempts), (ImageStatus::Done, 5), "{:?}", view.reason);
    last.close().await;
}

#[tokio::test]
async fn images_that_wait_for_an_absent_service_hold_up_nobody() {
    let (dir, fake) = (tempfile::tempdir().expect("a folder"), Fake::serve(fake::MODEL).await);
    let hub = hub(dir.path()).await;
    let who = caller("ada", Role::Operator);
    let absent = add(&hub, "absent", &fake).await;
    hub.services.set_active(&who, absent, false).await.expect("deactivated");
    for _ in 0..205 {
        let draft = ImageDraft { service: Some(absent), ..small("waits") };
        hub.images.draw(&who, draft).await.expect("accepted");
    }
    add(&hub, "present", &fake).await;
    let image = hub.images.draw(&who, small("behind them all")).await.expect("accepted");
    let view = wait(&hub, image.id, ended).await;
    assert_eq!((view.status, view.renderer.as_deref()), (ImageStatus::Done, Some("present")), "{:?}", view.reason);
    hub.close().await;
}

#[tokio::test]
async fn a_service_that_is_not_there_is_refused_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = hub(dir.path()).await;
    let service = Some(crate::id::ServiceId::new(hub.clock.now()));
    let refused = hub.images.draw(&caller("ada", Role::Operator), ImageDraft { service, ..small("a fox") }).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("this service")));
    hub.close().await;
}

#[tokio::test]
async fn one_folder_has_one_hub() {
    let dir = tempfile::tempdir().expect("a folder");
    let first = hub(dir.path()).await;
    let second = crate::Hub::open(dir.path(), None, crate::clock::Clock::default()).await;
    assert!(second.is_err_and(|error| error.to_string().contains("another hub has the data folder")));
    first.close().await;
    hub(dir.path()).await.close().await;
}

#[tokio::test]
async fn junk_instead_of_a_picture_fails_that_image_alone() {
    let (dir, fake) = (tempfile::tempdir().expect("a folder"), Fake::serve(fake::MODEL).await);
    let hub = hub(dir.path()).await;
    add(&hub, "one", &fake).await;
    let who = caller("ci", Role::Agent);
    let image = hub.images.draw(&who, small(fake::PAGE)).await.expect("accepted");
    let view = wait(&hub, image.id, ended).await;
    assert_eq!(view.status, ImageStatus::Failed);
    assert!(view.reason.as_deref().unwrap_or_default().contains("something else than a picture"), "{:?}", view.reason);
    let next = hub.images.draw(&who, small("next")).await.expect("accepted");
    assert_eq!(wait(&hub, next.id, ended).await.status, ImageStatus::Done);
    hub.close().await;
}
