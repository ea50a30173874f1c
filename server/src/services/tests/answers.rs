//! What a connection test says to whom it finds there.

use super::*;
use crate::clock::Stopwatch;

async fn tested(mood: Mood) -> TestReport {
    let (house, fake) = (House::new().await, Fake::serve(mood).await);
    house.services.test(&Caller::cli(), draft("pod", &fake.url()), None).await.unwrap()
}

#[tokio::test]
async fn a_test_that_passes_says_version_device_and_models() {
    let report = tested(Mood::Well).await;
    assert!(report.good(), "{:?}", report.steps);
    assert_eq!((report.version.as_deref(), report.steps.len()), (Some("0.3.75"), 3));
    assert_eq!(report.checkpoints, ["sd15.safetensors", "sdxl.safetensors"]);
    assert!(report.steps[0].answer.contains("ComfyUI 0.3.75 on cuda:0 NVIDIA GeForce RTX 4090"), "{:?}", report.steps);
}

#[tokio::test]
async fn a_test_that_fails_names_the_cause_and_stops_there() {
    let cases = [
        (Mood::Broken, 1, "not up (status 502)"),
        (Mood::Page, 1, "did not answer like ComfyUI"),
        (Mood::Stranger, 1, "not a ComfyUI server"),
        (Mood::Wants("Bearer x".into()), 1, "wants a credential (status 401)"),
        (Mood::Huge, 1, "over 1 MiB"),
        (Mood::NoSocket, 2, "let the proxy in front pass WebSockets"),
    ];
    for (mood, steps, expected) in cases {
        let watch = Stopwatch::start();
        let report = tested(mood.clone()).await;
        assert!(!report.good() && report.steps.len() == steps, "{mood:?}: {:?}", report.steps);
        let said = &report.steps[steps - 1].answer;
        assert!(said.contains(expected), "{mood:?}: expected \"{expected}\", got \"{said}\"");
        assert!(!said.contains('<'), "a stranger's page is not repeated: {said}");
        assert!(watch.millis() < 5_000, "{mood:?} took {} ms", watch.millis());
    }
}

#[tokio::test]
async fn nobody_there_is_said_at_once_and_without_secrets() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let house = House::new().await;
    let url = format!("http://127.0.0.1:{port}");
    let report = house.services.test(&Caller::cli(), with_token("pod", &url), None).await.unwrap();
    assert!(report.steps[0].answer.contains(&format!("127.0.0.1:{port} cannot be connected to")), "{:?}", report.steps);
    assert_eq!((report.good(), report.response_ms), (false, None));
    assert!(!format!("{report:?}").contains(SECRET));
}

#[tokio::test]
async fn a_server_without_models_may_still_run_saved_workflows() {
    let report = tested(Mood::NoModels).await;
    assert!(report.good() && report.checkpoints.is_empty(), "{:?}", report.steps);
    assert!(report.steps[2].answer.contains("models/checkpoints"), "{:?}", report.steps);
}

#[tokio::test]
async fn a_catalog_reads_both_spellings_and_is_asked_for_once_a_minute() {
    let (house, fake, who) = (House::new().await, Fake::serve(Mood::Well).await, caller(Role::Viewer));
    let id = house.active(&fake).await.id;
    let catalog = house.services.catalog(&who, id).await.unwrap();
    assert_eq!(catalog.checkpoints, ["sd15.safetensors", "sdxl.safetensors"]);
    assert_eq!(
        (catalog.loras, catalog.samplers),
        (vec!["tiny.safetensors".into()], vec!["euler".into(), "ddim".into()])
    );
    assert_eq!(catalog.schedulers, ["normal", "karras"]);

    let asked = fake.seen().len();
    house.clock.advance(59 * SECOND);
    house.services.catalog(&who, id).await.unwrap();
    assert_eq!(fake.seen().len(), asked);
    house.clock.advance(2 * SECOND);
    house.services.catalog(&who, id).await.unwrap();
    assert_eq!(fake.seen().len(), asked + 4);

    fake.set(Mood::Broken);
    house.clock.advance(61 * SECOND);
    let refusal = refused(house.services.catalog(&who, id).await);
    assert!(refusal.kind == FailureKind::Outside && refusal.message.contains("502"), "{}", refusal.message);
}
