//! Health: what a check says, and when it is worth an event.

use super::*;

/// A check, some seconds after the one before.
async fn checked(house: &House) -> (usize, usize) {
    house.clock.advance(30 * SECOND);
    house.services.check_active().await.unwrap()
}

#[tokio::test]
async fn a_check_is_an_event_only_when_the_health_changed() {
    let (house, fake) = (House::new().await, Fake::serve(Mood::Well).await);
    let id = house.active(&fake).await.id;
    let before = ["added", "healthy", "activated"];
    assert_eq!(house.kinds().await, before);
    for _ in 0..3 {
        assert_eq!(checked(&house).await, (1, 1));
    }
    assert_eq!(house.kinds().await, before, "a steady service is silent");

    fake.set(Mood::Broken);
    for _ in 0..3 {
        assert_eq!(checked(&house).await, (0, 1));
    }
    fake.set(Mood::Well);
    for _ in 0..3 {
        assert_eq!(checked(&house).await, (1, 1));
    }
    let log = house.log().await;
    let new: Vec<_> = log.iter().skip(3).map(|event| (event.kind.as_str(), event.actor.as_str())).collect();
    assert_eq!(new, [("down", "loop:infrastructure"), ("healthy", "loop:infrastructure")]);
    assert!(log[3].detail.starts_with("pod: ") && log[3].detail.contains("502"), "{}", log[3].detail);

    let view = house.services.get(&Caller::cli(), id).await.unwrap();
    let healths: Vec<_> = view.checks.iter().map(|check| check.health).collect();
    let expected = [[Health::Healthy; 4].as_slice(), &[Health::Down; 3], &[Health::Healthy; 3]].concat();
    assert_eq!(healths, expected, "every check is kept, oldest first");
    assert!(view.checks.iter().all(|check| check.response_ms.is_some() == (check.health == Health::Healthy)));
}

#[tokio::test]
async fn an_inactive_service_is_left_alone() {
    let (house, fake) = (House::new().await, Fake::serve(Mood::Well).await);
    house.added(draft("pod", &fake.url())).await;
    assert_eq!(checked(&house).await, (0, 0));
    assert!(fake.seen().is_empty());
}

#[tokio::test]
async fn one_service_down_does_not_hide_another() {
    let (house, good, bad) = (House::new().await, Fake::serve(Mood::Well).await, Fake::serve(Mood::Well).await);
    house.active(&good).await;
    let other = house.added(draft("other", &bad.url())).await;
    house.services.set_active(&Caller::cli(), other.id, true).await.unwrap();
    drop(bad);
    assert_eq!(checked(&house).await, (1, 2));
    let healths: Vec<_> = house.services.active().await.unwrap().into_iter().map(|it| (it.name, it.health)).collect();
    assert_eq!(healths, [("other".to_owned(), Health::Down), ("pod".to_owned(), Health::Healthy)]);
}

#[tokio::test]
async fn the_last_sixty_checks_are_shown_and_old_ones_pruned() {
    let (house, fake) = (House::new().await, Fake::serve(Mood::Well).await);
    let id = house.active(&fake).await.id;
    for _ in 0..70 {
        checked(&house).await;
    }
    let view = house.services.get(&Caller::cli(), id).await.unwrap();
    assert_eq!(view.checks.len(), 60);
    assert!(view.checks.is_sorted_by_key(|check| check.at));
    assert_eq!(view.checks.last().unwrap().at, house.clock.now());
    let deleted = house.services.prune(house.clock.now()).await.unwrap();
    assert_eq!(deleted, 70, "all but the newest");
    assert_eq!(house.services.get(&Caller::cli(), id).await.unwrap().checks.len(), 1);
}

#[test]
fn a_test_report_tells_healthy_slow_half_and_dead_apart() {
    let step = |good| TestStep { asked: "?".into(), good, answer: "because".into() };
    let report = |steps: &[bool], response_ms| TestReport {
        steps: steps.iter().copied().map(step).collect(),
        response_ms,
        version: None,
        devices: Vec::new(),
        checkpoints: Vec::new(),
    };
    let cases = [
        (report(&[true, true], Some(12)), Health::Healthy, None),
        (report(&[true], Some(rules::SLOW_MS)), Health::Healthy, None),
        (report(&[true], Some(rules::SLOW_MS + 1)), Health::Degraded, None),
        (report(&[true, false], Some(12)), Health::Degraded, Some("because")),
        (report(&[false], None), Health::Down, Some("because")),
    ];
    let at = Timestamp::from_millis(7);
    for (report, health, problem) in cases {
        let expected = CheckView { at, health, response_ms: report.response_ms, problem: problem.map(str::to_owned) };
        assert_eq!(rules::check_of(&report, at), expected);
    }
}
