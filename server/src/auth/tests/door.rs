//! Set-up and sign-in.

use super::*;
use crate::caller::Actor;

#[tokio::test]
async fn the_code_makes_the_owner_once_and_signs_them_in() {
    let house = House::new().await;
    let code = house.auth.setup_code().await.unwrap().unwrap();
    assert!(code.len() == 32 && code.bytes().all(|c| c.is_ascii_hexdigit()));

    let signed_in = house.auth.setup(&code, " Ada ", PASSWORD, from("10.0.0.1")).await.unwrap();
    assert_eq!(signed_in.secret.len(), 64);
    assert_eq!(signed_in.caller.role, Role::Owner);
    assert!(matches!(&signed_in.caller.actor, Actor::User(_, name) if name == "ada"));
    assert_eq!(house.auth.by_session(&signed_in.secret).await.unwrap(), Some(signed_in.caller));
    assert_eq!(house.kinds().await, ["added", "signed-in"]);

    assert_eq!(house.auth.setup_code().await.unwrap(), None);
    let second = house.auth.setup(&code, "eve", PASSWORD, from("10.0.0.1")).await;
    assert!(refused_as(FailureKind::Conflict, second).contains("sign in instead"));
    assert_eq!(house.restarted().await.setup_code().await.unwrap(), None);
}

#[tokio::test]
async fn two_setups_at_once_make_one_owner() {
    let house = House::new().await;
    let code = house.auth.setup_code().await.unwrap().unwrap();
    let (one, two) = tokio::join!(
        house.auth.setup(&code, "ada", PASSWORD, from("10.0.0.1")),
        house.auth.setup(&code, "eve", PASSWORD, from("10.0.0.2")),
    );
    assert_ne!(one.is_ok(), two.is_ok());
    refused_as(FailureKind::Conflict, if one.is_err() { one } else { two });
    assert_eq!(house.auth.users(&Caller::cli()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_wrong_code_is_refused_before_anything_else_is_looked_at() {
    let house = House::new().await;
    let message = refused_as(FailureKind::Unauthorized, house.auth.setup("", "BAD NAME", "x", from("10.0.0.1")).await);
    assert!(message.contains("set-up code is not right"));
    let other = House::new().await.auth.setup_code().await.unwrap().unwrap();
    refused_as(FailureKind::Unauthorized, house.auth.setup(&other, "ada", PASSWORD, from("10.0.0.1")).await);
    assert!(house.log().await.is_empty());
}

#[tokio::test]
async fn wrong_codes_block_their_address_and_no_other() {
    let house = House::new().await;
    let code = house.auth.setup_code().await.unwrap().unwrap();
    for _ in 0..20 {
        refused_as(FailureKind::Unauthorized, house.auth.setup("no", "ada", PASSWORD, from("10.0.0.9")).await);
    }
    refused_as(FailureKind::TooMany, house.auth.setup(&code, "ada", PASSWORD, from("10.0.0.9")).await);
    assert!(house.auth.setup(&code, "ada", PASSWORD, from("10.0.0.1")).await.is_ok());
}

#[tokio::test]
async fn setup_with_a_bad_name_or_password_says_why_and_keeps_the_code() {
    let house = House::new().await;
    let code = house.auth.setup_code().await.unwrap().unwrap();
    let bad_name = house.auth.setup(&code, "a b", PASSWORD, from("10.0.0.1")).await;
    assert!(refused_as(FailureKind::Invalid, bad_name).contains("' '"));
    let short = house.auth.setup(&code, "ada", "short", from("10.0.0.1")).await;
    assert!(refused_as(FailureKind::Invalid, short).contains("at least 10"));
    assert_eq!(house.auth.setup_code().await.unwrap(), Some(code));
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_get_the_same_words() {
    let (house, _) = House::with_owner().await;
    let wrong = house.miss("ada", "10.0.0.1").await;
    assert_eq!(wrong.kind, FailureKind::Unauthorized);
    assert_eq!(house.miss("nobody", "10.0.0.1").await, wrong);
    assert_eq!(house.miss("not a name!", "10.0.0.1").await, wrong);
    let long = "x".repeat(5000);
    assert_eq!(refused(house.auth.login("ada", &long, from("10.0.0.1")).await), wrong);
    assert_eq!(house.kinds().await, ["added", "signed-in"], "failures write no event");
}

#[tokio::test]
async fn the_right_password_signs_in_however_the_phone_wrote_the_name() {
    let (house, _) = House::with_owner().await;
    let signed_in = house.auth.login("Ada ", PASSWORD, from("10.0.0.1")).await.unwrap();
    assert_eq!(house.auth.by_session(&signed_in.secret).await.unwrap(), Some(signed_in.caller));
}

#[tokio::test]
async fn no_secret_is_stored_or_shown() {
    let (house, owner) = House::with_owner().await;
    let token = house.token(&owner.caller, Role::Agent).await;
    let debug = format!("{owner:?} {token:?} {:?}", user("bob", Role::Viewer));
    for secret in [PASSWORD, &owner.secret, &token.secret] {
        assert!(!debug.contains(secret));
    }
    let copy = house.folder.path().join("copy.db");
    house.db.snapshot(&copy).await.unwrap();
    let bytes = std::fs::read(copy).unwrap();
    for secret in [PASSWORD, &owner.secret, &token.secret] {
        assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()));
    }
}
