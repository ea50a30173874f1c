//! How long a grant lives, and what ends it.

use super::*;
use crate::clock::{DAY, HOUR, MINUTE};

#[tokio::test]
async fn an_access_token_works_an_hour_and_a_grant_thirty_days_from_its_last_use() {
    let house = House::new().await;
    let ada = house.ada().await;
    let mut pair = house.let_in(&ada).await;
    house.clock.advance(HOUR - 1);
    assert!(house.works(&pair.access).await);
    house.clock.advance(1);
    assert!(!house.works(&pair.access).await);
    for _ in 0..3 {
        house.clock.advance(29 * DAY);
        // What has stopped working is swept away, and this has not.
        house.hub.auth.prune().await.unwrap();
        pair = house.refresh(&pair.refresh, &[]).await.pair();
        assert!(house.works(&pair.access).await);
    }
    house.clock.advance(30 * DAY);
    assert_eq!(house.refresh(&pair.refresh, &[]).await.error().0, "invalid_grant");
    assert!(house.hub.auth.tokens(&Caller::cli()).await.unwrap().is_empty());
    let other = house.let_in(&house.person("bob", Role::Operator).await).await;
    house.clock.advance(31 * DAY);
    house.hub.auth.prune().await.unwrap();
    assert!(house.hub.auth.tokens(&Caller::cli()).await.unwrap().is_empty());
    assert_eq!(house.refresh(&other.refresh, &[]).await.error().0, "invalid_grant");
}

#[tokio::test]
async fn a_stream_that_is_open_outlives_the_secret_it_was_opened_with() {
    let house = House::new().await;
    let mut pair = house.let_in(&house.ada().await).await;
    let id = house.hub.auth.tokens(&Caller::cli()).await.unwrap()[0].id;
    let lives = async || house.hub.auth.token_lives(id).await.unwrap();
    for _ in 0..3 {
        house.clock.advance(HOUR - 1);
        assert!(lives().await);
        pair = house.refresh(&pair.refresh, &[]).await.pair();
        assert!(lives().await);
    }
    house.clock.advance(HOUR);
    assert!(!lives().await, "not renewed in time");
    house.refresh(&pair.refresh, &[]).await.pair();
    assert!(lives().await);
    house.hub.auth.revoke_token(&Caller::cli(), id).await.unwrap();
    assert!(!lives().await);
}

#[tokio::test]
async fn an_answer_that_was_lost_is_given_again_for_a_minute() {
    let house = House::new().await;
    let ada = house.ada().await;
    let first = house.let_in(&ada).await;
    let second = house.refresh(&first.refresh, &[]).await.pair();
    house.clock.advance(MINUTE);
    let again = house.refresh(&first.refresh, &[]).await;
    assert_eq!((again.pair(), &again.body["expires_in"]), (second.clone(), &json!(3540)));
    assert!(house.works(&second.access).await);
    // Two at once are one.
    let both = tokio::join!(house.refresh(&second.refresh, &[]), house.refresh(&second.refresh, &[]));
    assert_eq!(both.0.pair(), both.1.pair());
    assert!(house.works(&both.0.pair().access).await);
    assert!(house.events("reused").await.is_empty());
}

#[tokio::test]
async fn an_old_refresh_token_ends_its_grant() {
    let house = House::new().await;
    let ada = house.ada().await;
    // The one before, too late; and one older than that, at once.
    for (turns, wait) in [(1, MINUTE + 1), (2, 0), (5, HOUR)] {
        let first = house.let_in(&ada).await;
        let (bystander, mut last) = (house.let_in(&ada).await, first.clone());
        for _ in 0..turns {
            last = house.refresh(&last.refresh, &[]).await.pair();
        }
        house.clock.advance(wait);
        let before = house.events("reused").await.len();
        assert_eq!(house.refresh(&first.refresh, &[]).await.error().0, "invalid_grant", "{turns}");
        assert!(!house.works(&last.access).await, "{turns}");
        assert_eq!(house.refresh(&last.refresh, &[]).await.error().0, "invalid_grant", "{turns}");
        let events = house.events("reused").await;
        assert_eq!((events.len(), events[before].actor.as_str()), (before + 1, "hub:auth"));
        // Another grant of the same client has nothing to do with it.
        house.refresh(&bystander.refresh, &[]).await.pair();
    }
}

#[tokio::test]
async fn what_is_no_refresh_token_of_this_client_is_refused_and_ends_nothing() {
    let house = House::new().await;
    let ada = house.ada().await;
    let pair = house.let_in(&ada).await;
    let owl = house.documents.url("owl.json");
    let (short, long) = (&pair.refresh[..pair.refresh.len() - 1], format!("{}0", pair.refresh));
    let other_family = pair.refresh.replacen(&pair.refresh[5..9], "gggg", 1);
    for token in ["", "nonsense", &pair.access, short, &long, &other_family, &"é".repeat(50)] {
        let told = house.refresh(token, &[]).await;
        let expected = if token.is_empty() { "invalid_request" } else { "invalid_grant" };
        assert_eq!(told.error().0, expected, "{token}");
    }
    assert_eq!(house.refresh(&pair.refresh, &[("client_id", Some(&owl))]).await.error().0, "invalid_grant");
    assert_eq!(
        house.refresh(&pair.refresh, &[("resource", Some("https://evil.example"))]).await.error().0,
        "invalid_target"
    );
    assert!(!house.works(&pair.refresh).await, "it opens nothing by itself");
    assert!(house.works(&pair.access).await);
    house.refresh(&pair.refresh, &[]).await.pair();
}

#[tokio::test]
async fn a_client_can_give_back_what_it_has_and_nothing_else() {
    let house = House::new().await;
    let ada = house.ada().await;
    let owl = house.documents.url("owl.json");
    for by_access in [true, false] {
        let (pair, bystander) = (house.let_in(&ada).await, house.let_in(&ada).await);
        let token = if by_access { &pair.access } else { &pair.refresh };
        assert_eq!(house.revoke(token, &[("client_id", Some(&owl))]).await.error().0, "invalid_grant");
        assert_eq!(house.revoke(token, &[("client_id", None)]).await.error().0, "invalid_request");
        assert!(house.works(&pair.access).await);
        // The second time it is as good as given back.
        for _ in 0..2 {
            assert_eq!(house.revoke(token, &[]).await.status, StatusCode::OK);
            assert!(!house.works(&pair.access).await);
        }
        assert_eq!(house.refresh(&pair.refresh, &[]).await.error().0, "invalid_grant");
        assert!(house.works(&bystander.access).await);
    }
    assert_eq!(house.events("revoked").await.len(), 2);
    // A token made under Settings is none of its.
    let draft = crate::auth::TokenDraft { name: "mine".into(), role: Role::Agent, agent: None, expires_in_days: None };
    let mine = house.hub.auth.create_token(&Caller::cli(), draft).await.unwrap().secret;
    assert_eq!(house.revoke(&mine, &[]).await.status, StatusCode::OK);
    assert!(house.works(&mine).await);
}

#[tokio::test]
async fn who_is_gone_has_let_nobody_in() {
    let house = House::new().await;
    house.ada().await;
    let bob = house.person("bob", Role::Operator).await;
    let (pair, code) = (house.let_in(&bob).await, house.code(&bob, &[]).await);
    let users = house.hub.auth.users(&Caller::cli()).await.unwrap();
    let id = users.iter().find(|user| user.name == "bob").unwrap().id;
    house.hub.auth.delete_user(&Caller::cli(), id).await.unwrap();
    assert!(!house.works(&pair.access).await);
    assert_eq!(house.refresh(&pair.refresh, &[]).await.error().0, "invalid_grant");
    assert!(house.redeem(&code, &[]).await.error().1.contains("may no longer let agents in"));
    assert!(house.hub.auth.tokens(&Caller::cli()).await.unwrap().is_empty());
}

#[tokio::test]
async fn who_may_no_longer_loses_what_they_let_in_at_the_next_refresh() {
    let house = House::new().await;
    house.ada().await;
    let bob = house.person("bob", Role::Operator).await;
    let pair = house.let_in(&bob).await;
    // There is no page for it yet; somebody with the file can do it.
    let mut tx = house.hub.db.write().await.unwrap();
    sqlx::query("update users set role = 'viewer' where name = 'bob'").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(house.refresh(&pair.refresh, &[]).await.error().0, "invalid_grant");
    assert!(!house.works(&pair.access).await);
    assert_eq!(house.events("revoked").await.len(), 1);
}

#[tokio::test]
async fn a_restart_forgets_questions_and_codes_and_keeps_grants() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::by_hand(Timestamp::from_millis(1_800_000_000_000));
    let hub = Hub::open(folder.path(), None, clock.clone()).await.unwrap();
    let draft = UserDraft { name: "ada".into(), password: PASSWORD.into(), role: Role::Owner };
    hub.auth.create_user(&Caller::cli(), draft).await.unwrap();
    let who = hub.auth.login("ada", PASSWORD, Visitor::default()).await.unwrap().caller;
    let draft = crate::auth::GrantDraft {
        client_id: "https://client.example/c".into(),
        name: "Fox (client.example)".into(),
        agent: "fox".into(),
        role: Role::Agent,
    };
    let granted = hub.auth.grant(crate::auth::Auth::consent(&who, draft).unwrap()).await.unwrap();
    let next = hub.auth.refresh_grant("https://client.example/c", &granted.refresh).await.unwrap();
    hub.close().await;
    drop(hub);
    // The answer was on its way when the hub ended: it is given again all the same.
    let hub = Hub::open(folder.path(), None, clock).await.unwrap();
    let again = hub.auth.refresh_grant("https://client.example/c", &granted.refresh).await.unwrap();
    assert!(again == next);
    assert_eq!(hub.auth.by_token(&again.access).await.unwrap().unwrap().agent(), Some("fox"));
    assert!(!format!("{again:?}").contains(&again.access));
    hub.close().await;
}
