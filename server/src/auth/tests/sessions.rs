//! Signed-in browsers.

use super::*;
use crate::clock::{DAY, MINUTE, SECOND};

#[tokio::test]
async fn a_session_ends_thirty_days_after_its_last_use() {
    let (house, ada) = House::with_owner().await;
    house.clock.advance(29 * DAY);
    assert!(house.auth.by_session(&ada.secret).await.unwrap().is_some());
    house.clock.advance(29 * DAY);
    assert!(house.auth.by_session(&ada.secret).await.unwrap().is_some(), "use moved the end");
    house.clock.advance(30 * DAY);
    assert_eq!(house.auth.by_session(&ada.secret).await.unwrap(), None);
    assert_eq!(house.auth.prune().await.unwrap(), 1);
}

#[tokio::test]
async fn the_last_request_is_kept_to_the_minute() {
    let (house, ada) = House::with_owner().await;
    let begun = house.clock.now();
    house.clock.advance(59 * SECOND);
    house.auth.by_session(&ada.secret).await.unwrap();
    assert_eq!(house.auth.sessions(&ada.caller).await.unwrap()[0].last_seen_at, begun);
    house.clock.advance(SECOND);
    house.auth.by_session(&ada.secret).await.unwrap();
    assert_eq!(house.auth.sessions(&ada.caller).await.unwrap()[0].last_seen_at, begun.plus(MINUTE));
}

#[tokio::test]
async fn a_wrong_secret_is_nobody() {
    let (house, ada) = House::with_owner().await;
    for secret in ["", "x", &"0".repeat(64), &ada.secret.to_uppercase()] {
        assert_eq!(house.auth.by_session(secret).await.unwrap(), None);
    }
}

#[tokio::test]
async fn sign_out_ends_the_session_once() {
    let (house, ada) = House::with_owner().await;
    house.auth.logout(&ada.caller).await.unwrap();
    house.auth.logout(&ada.caller).await.unwrap();
    assert_eq!(house.auth.by_session(&ada.secret).await.unwrap(), None);
    assert_eq!(house.kinds().await, ["added", "signed-in", "signed-out"]);
    refused_as(FailureKind::Invalid, house.auth.logout(&Caller::cli()).await);
}

#[tokio::test]
async fn people_see_their_own_sessions_newest_first_and_which_is_current() {
    let (house, first) = House::with_owner().await;
    house.clock.advance(MINUTE);
    let visitor = Visitor { address: "10.0.0.7".to_owned(), user_agent: format!("\u{1b}{}", "x".repeat(300)) };
    let second = house.auth.login("ada", PASSWORD, visitor).await.unwrap();
    let list = house.auth.sessions(&first.caller).await.unwrap();
    assert_eq!(
        list.iter().map(|it| it.id).collect::<Vec<_>>(),
        [second.caller.session, first.caller.session].map(Option::unwrap)
    );
    assert_eq!(list.iter().map(|it| it.current).collect::<Vec<_>>(), [false, true]);
    assert_eq!((list[0].address.as_str(), list[0].user_agent.as_str()), ("10.0.0.7", "x".repeat(200).as_str()));
    assert!(house.auth.sessions(&Caller::cli()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_revoked_session_is_over_at_once() {
    let (house, ada) = House::with_owner().await;
    let other = house.signed_in("ada").await;
    house.auth.revoke_session(&ada.caller, other.caller.session.unwrap()).await.unwrap();
    assert_eq!(house.auth.by_session(&other.secret).await.unwrap(), None);
    assert_eq!(house.log().await.pop().unwrap().kind, "revoked");
}

#[tokio::test]
async fn only_owners_revoke_the_sessions_of_others() {
    let (house, ada) = House::with_owner().await;
    house.user("oto", Role::Operator).await;
    let oto = house.signed_in("oto").await;
    let message =
        refused_as(FailureKind::NotFound, house.auth.revoke_session(&oto.caller, ada.caller.session.unwrap()).await);
    assert!(message.contains("does not exist"));
    house.auth.revoke_session(&ada.caller, oto.caller.session.unwrap()).await.unwrap();
    assert_eq!(house.auth.by_session(&oto.secret).await.unwrap(), None);
}
