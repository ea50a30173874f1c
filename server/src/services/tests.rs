//! The room against a real SQLite file and ComfyUI servers made by hand.

#![expect(clippy::unwrap_used, reason = "a failed unwrap in a helper is a failed test")]

use tempfile::TempDir;

use super::{
    CheckView, Endpoint, Health, MicroUsd, ServiceAuth, ServiceDraft, ServiceKind, ServiceView, Services, TestReport,
    TestStep, rules,
};
use crate::{
    caller::{Actor, Caller, Role},
    clock::{Clock, SECOND, Timestamp},
    db::Db,
    error::{Error, Failure, FailureKind},
    events::{EventView, Events},
    id::{ServiceId, TokenId},
    secrets::Secrets,
};

mod answers;
mod credentials;
mod drafts;
mod fake;
mod health;

use fake::{Fake, Mood};

/// A secret that must never be seen where it does not belong.
const SECRET: &str = "hunter2-hunter2-hunter2";

struct House {
    services: Services,
    events: Events,
    clock: Clock,
    folder: TempDir,
}

impl House {
    async fn new() -> Self {
        // Another test may have been first; one provider is as good as the other.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::by_hand(Timestamp::from_millis(1_800_000_000_000));
        let db = Db::open(&folder.path().join("hub.db")).await.unwrap();
        let events = Events::open(db.clone(), clock.clone()).await.unwrap();
        let secrets = Secrets::from_file(&folder.path().join("secret.key")).unwrap();
        let services = Services::open(db, events.clone(), clock.clone(), secrets, Endpoint::client().unwrap());
        Self { services, events, clock, folder }
    }

    async fn added(&self, draft: ServiceDraft) -> ServiceView {
        self.services.add(&Caller::cli(), draft).await.unwrap()
    }

    /// A service at `fake` that takes work.
    async fn active(&self, fake: &Fake) -> ServiceView {
        let view = self.added(draft("pod", &fake.url())).await;
        self.services.set_active(&Caller::cli(), view.id, true).await.unwrap()
    }

    async fn log(&self) -> Vec<EventView> {
        self.events.after(0, 1000).await.unwrap()
    }

    async fn kinds(&self) -> Vec<String> {
        self.log().await.into_iter().map(|event| event.kind).collect()
    }
}

fn draft(name: &str, base_url: &str) -> ServiceDraft {
    ServiceDraft {
        name: name.to_owned(),
        kind: ServiceKind::Comfyui,
        base_url: base_url.to_owned(),
        auth: None,
        price_per_hour: MicroUsd(590_000),
    }
}

fn with_token(name: &str, base_url: &str) -> ServiceDraft {
    ServiceDraft { auth: Some(ServiceAuth::Bearer { token: SECRET.to_owned() }), ..draft(name, base_url) }
}

fn caller(role: Role) -> Caller {
    let id = TokenId::new(Timestamp::from_millis(1));
    Caller { actor: Actor::Token(id, role.word().to_owned()), role, session: None }
}

/// The refusal that `result` must be.
#[track_caller]
fn refused<T>(result: Result<T, Error>) -> Failure {
    match result {
        Err(Error::Refused(failure)) => failure,
        Err(Error::Inside(cause)) => panic!("failed inside: {cause:#}"),
        Ok(_) => panic!("was not refused"),
    }
}

#[tokio::test]
async fn a_service_is_added_without_work_changed_and_removed() {
    let (house, fake) = (House::new().await, Fake::serve(Mood::Well).await);
    let added = house.added(draft("pod", &fake.url())).await;
    assert_eq!((added.active, added.health(), added.version.as_deref()), (false, Health::Unknown, None));

    let mut other = draft("big pod", &format!("{}/comfy/", fake.url()));
    other.price_per_hour = MicroUsd(1);
    let changed = house.services.update(&Caller::cli(), added.id, other).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.price_per_hour), ("big pod", MicroUsd(1)));
    assert!(changed.base_url.ends_with("/comfy/"), "{}", changed.base_url);

    house.services.remove(&Caller::cli(), added.id).await.unwrap();
    assert_eq!(refused(house.services.get(&Caller::cli(), added.id).await).kind, FailureKind::NotFound);
    assert!(house.services.list(&Caller::cli()).await.unwrap().is_empty());
    assert_eq!(house.kinds().await, ["added", "changed", "removed"]);
    assert!(fake.seen().is_empty(), "nobody asked for a question: {:?}", fake.seen());
}

#[tokio::test]
async fn two_services_never_share_a_name() {
    let house = House::new().await;
    let one = house.added(draft("one", "http://127.0.0.1:1")).await;
    house.added(draft("two", "http://127.0.0.1:2")).await;
    assert_eq!(
        refused(house.services.add(&Caller::cli(), draft("one", "http://127.0.0.1:3")).await).kind,
        FailureKind::Conflict
    );
    let taken = house.services.update(&Caller::cli(), one.id, draft("two", "http://127.0.0.1:1")).await;
    assert_eq!(refused(taken).kind, FailureKind::Conflict);
    // Its own name is free for it.
    house.services.update(&Caller::cli(), one.id, draft("one", "http://127.0.0.1:4")).await.unwrap();
}

#[tokio::test]
async fn what_does_not_exist_cannot_be_changed_and_leaves_no_trace() {
    let (house, who) = (House::new().await, Caller::cli());
    let id = ServiceId::new(Timestamp::from_millis(5));
    let refusals = [
        refused(house.services.update(&who, id, with_token("pod", "http://127.0.0.1:1")).await),
        refused(house.services.update(&who, id, draft("pod", "http://127.0.0.1:1")).await),
        refused(house.services.remove(&who, id).await),
        refused(house.services.set_active(&who, id, true).await),
        refused(house.services.set_active(&who, id, false).await),
        refused(house.services.check(&who, id).await),
        refused(house.services.catalog(&who, id).await),
    ];
    for refusal in refusals {
        assert_eq!(refusal.kind, FailureKind::NotFound, "{}", refusal.message);
    }
    assert_eq!(house.kinds().await, Vec::<String>::new());
}

#[tokio::test]
async fn lookers_and_agents_look_and_change_nothing() {
    let (house, fake) = (House::new().await, Fake::serve(Mood::Well).await);
    let id = house.added(draft("pod", &fake.url())).await.id;
    for role in [Role::Viewer, Role::Agent] {
        let (who, services) = (caller(role), &house.services);
        assert_eq!(services.list(&who).await.unwrap().len(), 1);
        let refusals = [
            refused(services.add(&who, draft("x", &fake.url())).await),
            refused(services.update(&who, id, draft("x", &fake.url())).await),
            refused(services.remove(&who, id).await),
            refused(services.set_active(&who, id, true).await),
            refused(services.test(&who, draft("x", &fake.url()), None).await),
            refused(services.check(&who, id).await),
        ];
        for refusal in refusals {
            assert_eq!(refusal.kind, FailureKind::Forbidden, "{role}: {}", refusal.message);
            assert!(refusal.message.contains("operator"), "{}", refusal.message);
        }
    }
    assert!(fake.seen().is_empty(), "{:?}", fake.seen());
    assert_eq!(house.kinds().await, ["added"]);
}

#[tokio::test]
async fn only_a_service_that_answers_is_activated() {
    let (house, fake, who) = (House::new().await, Fake::serve(Mood::Broken).await, Caller::cli());
    let id = house.added(draft("pod", &fake.url())).await.id;
    let refusal = refused(house.services.set_active(&who, id, true).await);
    assert_eq!(refusal.kind, FailureKind::Outside);
    assert!(refusal.message.contains("pod stays inactive") && refusal.message.contains("502"), "{}", refusal.message);
    let view = house.services.get(&who, id).await.unwrap();
    assert_eq!((view.active, view.health()), (false, Health::Degraded));
    assert!(house.services.active().await.unwrap().is_empty());

    fake.set(Mood::Well);
    house.clock.advance(SECOND);
    let view = house.services.set_active(&who, id, true).await.unwrap();
    assert_eq!((view.active, view.health(), view.version.as_deref()), (true, Health::Healthy, Some("0.3.75")));
    assert_eq!(view.devices, ["cuda:0 NVIDIA GeForce RTX 4090"]);
    let active = house.services.active().await.unwrap();
    assert_eq!(active.len(), 1);
    assert_eq!((active[0].health, active[0].price_per_hour), (Health::Healthy, MicroUsd(590_000)));

    house.services.set_active(&who, id, false).await.unwrap();
    assert!(house.services.active().await.unwrap().is_empty());
    assert_eq!(house.kinds().await, ["added", "degraded", "healthy", "activated", "deactivated"]);
}
