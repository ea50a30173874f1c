//! Where a stored credential goes, and where it never goes.

use axum::http::header;

use super::*;

/// Every `Authorization` that `fake` was sent.
fn sent(fake: &Fake) -> Vec<String> {
    let seen = fake.seen();
    let values = seen.iter().filter_map(|(_, headers)| headers.get(header::AUTHORIZATION));
    values.map(|value| value.to_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_stored_credential_is_sent_to_its_service_and_shown_to_nobody() {
    let fake = Fake::serve(Mood::Wants(format!("Bearer {SECRET}"))).await;
    let (house, who) = (House::new().await, Caller::cli());
    let id = house.added(with_token("pod", &fake.url())).await.id;
    house.services.set_active(&who, id, true).await.unwrap();
    assert!(sent(&fake).len() >= 3, "test, socket and models: {:?}", fake.seen());

    let report = house.services.check(&who, id).await.unwrap();
    let list = house.services.list(&who).await.unwrap();
    let active = house.services.active().await.unwrap();
    let shown =
        format!("{} {list:?} {report:?} {active:?} {:?}", serde_json::to_string(&list).unwrap(), house.log().await);
    assert!(!shown.contains(SECRET), "{shown}");
    assert_eq!(list[0].auth, "bearer");
    for entry in std::fs::read_dir(house.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(SECRET.len()).any(|bytes| bytes == SECRET.as_bytes()), "{}", path.display());
    }
}

#[tokio::test]
async fn a_stored_credential_never_follows_the_address_to_another_host() {
    let (home, thief) = (Fake::serve(Mood::Well).await, Fake::serve(Mood::Well).await);
    let (house, who) = (House::new().await, Caller::cli());
    let id = house.added(with_token("pod", &home.url())).await.id;

    for refusal in [
        refused(house.services.test(&who, draft("pod", &thief.url()), Some(id)).await),
        refused(house.services.update(&who, id, draft("pod", &thief.url())).await),
        // Another scheme is another place, too.
        refused(house.services.update(&who, id, draft("pod", &home.url().replace("http:", "https:"))).await),
    ] {
        assert_eq!(refusal.kind, FailureKind::Invalid);
        assert!(refusal.message.contains("enter the credential again"), "{}", refusal.message);
    }
    assert!(thief.seen().is_empty(), "{:?}", thief.seen());
    assert_eq!(house.services.get(&who, id).await.unwrap().base_url, format!("{}/", home.url()));

    // On the same host it is kept, whatever the path.
    house.services.update(&who, id, draft("pod", &format!("{}/comfy", home.url()))).await.unwrap();
    house.services.check(&who, id).await.unwrap();
    assert!(sent(&home).iter().all(|value| value == &format!("Bearer {SECRET}")) && !sent(&home).is_empty());
    assert!(home.seen().iter().all(|(path, _)| path.starts_with("/comfy/")), "{:?}", home.seen());

    // A credential entered anew may go anywhere: it is the owner's word.
    let anew = ServiceDraft { auth: Some(ServiceAuth::Bearer { token: "other".into() }), ..draft("pod", &thief.url()) };
    house.services.update(&who, id, anew).await.unwrap();
    house.services.check(&who, id).await.unwrap();
    assert!(sent(&thief).iter().all(|value| value == "Bearer other") && !sent(&thief).is_empty());
}

#[tokio::test]
async fn an_editor_takes_a_credential_away_by_choosing_none() {
    let (house, fake, who) = (House::new().await, Fake::serve(Mood::Well).await, Caller::cli());
    let id = house.added(with_token("pod", &fake.url())).await.id;
    let bare = ServiceDraft { auth: Some(ServiceAuth::None), ..draft("pod", &fake.url()) };
    assert_eq!(house.services.update(&who, id, bare).await.unwrap().auth, "none");
    house.services.check(&who, id).await.unwrap();
    assert!(sent(&fake).is_empty());
}

#[tokio::test]
async fn every_kind_of_credential_arrives_as_it_was_meant() {
    let house = House::new().await;
    let cases = [
        (ServiceAuth::Basic { user: "me".into(), password: "p:q".into() }, "authorization", "Basic bWU6cDpx"),
        (ServiceAuth::Bearer { token: "abc".into() }, "authorization", "Bearer abc"),
        (ServiceAuth::Headers { headers: vec![("X-Tunnel".into(), "open sesame".into())] }, "x-tunnel", "open sesame"),
    ];
    for (auth, name, value) in cases {
        let fake = Fake::serve(Mood::Well).await;
        let draft = ServiceDraft { auth: Some(auth), ..draft("pod", &fake.url()) };
        assert!(house.services.test(&Caller::cli(), draft, None).await.unwrap().good());
        // The socket too: a proxy guards it like everything else.
        assert!(fake.seen().iter().any(|(path, _)| path == "/ws"));
        for (path, headers) in fake.seen() {
            assert_eq!(headers.get(name).and_then(|sent| sent.to_str().ok()), Some(value), "{path}");
        }
    }
}

#[tokio::test]
async fn redirects_are_not_followed_and_carry_nothing_away() {
    let target = Fake::serve(Mood::Well).await;
    let fake = Fake::serve(Mood::Redirects(target.url())).await;
    let (house, who) = (House::new().await, Caller::cli());
    let report = house.services.test(&who, with_token("pod", &fake.url()), None).await.unwrap();
    assert!(!report.good());
    assert!(report.steps[0].answer.contains("redirects are not followed"), "{:?}", report.steps);
    let id = house.added(with_token("pod", &fake.url())).await.id;
    assert_eq!(refused(house.services.set_active(&who, id, true).await).kind, FailureKind::Outside);
    assert_eq!(refused(house.services.catalog(&who, id).await).kind, FailureKind::Outside);
    assert!(target.seen().is_empty(), "{:?}", target.seen());
}

#[tokio::test]
async fn a_credential_of_another_key_makes_that_service_down_and_no_other() {
    let fake = Fake::serve(Mood::Well).await;
    let (house, who) = (House::new().await, Caller::cli());
    let locked = house.added(with_token("locked", &fake.url())).await.id;
    let open = house.added(draft("open", &fake.url())).await.id;
    for id in [locked, open] {
        house.services.set_active(&who, id, true).await.unwrap();
    }
    let seen = fake.seen().len();

    let db = Db::open(&house.folder.path().join("hub.db")).await.unwrap();
    let events = Events::open(db.clone(), house.clock.clone()).await.unwrap();
    let other = Secrets::from_hex(&"ab".repeat(32)).unwrap();
    let services = Services::open(db, events, house.clock.clone(), other, Endpoint::client().unwrap());
    house.clock.advance(SECOND);
    assert_eq!(services.check_active().await.unwrap(), (1, 2));
    let list = services.list(&who).await.unwrap();
    let of = |id| list.iter().find(|view| view.id == id).unwrap();
    assert_eq!((of(locked).health(), of(open).health()), (Health::Down, Health::Healthy));
    let problem = of(locked).checks.last().unwrap().problem.clone().unwrap();
    assert!(problem.contains("enter it again"), "{problem}");
    let asked: Vec<_> = fake.seen().into_iter().skip(seen).collect();
    assert!(asked.iter().all(|(_, headers)| headers.get(header::AUTHORIZATION).is_none()) && asked.len() == 1);
}
