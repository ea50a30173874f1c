//! Users and passwords.

use super::*;
use crate::{auth::rules, caller::Actor, id::UserId};

fn id(who: &SignedIn) -> UserId {
    match who.caller.actor {
        Actor::User(id, _) => id,
        _ => panic!("not a person"),
    }
}

#[tokio::test]
async fn an_owner_makes_lists_and_deletes_users() {
    let (house, ada) = House::with_owner().await;
    let bob = house.auth.create_user(&ada.caller, user("bob", Role::Viewer)).await.unwrap();
    let names: Vec<_> = house.auth.users(&ada.caller).await.unwrap().into_iter().map(|user| user.name).collect();
    assert_eq!(names, ["ada", "bob"]);
    let session = house.signed_in("bob").await;
    house.auth.delete_user(&ada.caller, bob.id).await.unwrap();
    assert_eq!(house.auth.by_session(&session.secret).await.unwrap(), None);
    let last = house.log().await.pop().unwrap();
    assert_eq!((last.actor.as_str(), last.kind.as_str()), ("user:ada", "removed"));
    assert_eq!(last.detail, "bob; sessions ended: 1, tokens revoked: 0");
    refused_as(FailureKind::NotFound, house.auth.delete_user(&ada.caller, bob.id).await);
}

#[tokio::test]
async fn only_owners_manage_users() {
    let (house, ada) = House::with_owner().await;
    for (name, role) in [("vic", Role::Viewer), ("oto", Role::Operator)] {
        house.user(name, role).await;
        let who = house.signed_in(name).await.caller;
        assert!(refused_as(FailureKind::Forbidden, house.auth.users(&who).await).contains("owner"));
        refused_as(FailureKind::Forbidden, house.auth.create_user(&who, user("eve", Role::Owner)).await);
        refused_as(FailureKind::Forbidden, house.auth.delete_user(&who, id(&ada)).await);
    }
}

#[tokio::test]
async fn the_last_owner_stays() {
    let (house, ada) = House::with_owner().await;
    let last = house.auth.delete_user(&ada.caller, id(&ada)).await;
    assert!(refused_as(FailureKind::Conflict, last).contains("last owner"));
    house.user("bea", Role::Owner).await;
    house.auth.delete_user(&ada.caller, id(&ada)).await.unwrap();
    assert_eq!(house.auth.by_session(&ada.secret).await.unwrap(), None);
}

#[tokio::test]
async fn the_first_user_is_an_owner_also_from_the_command_line() {
    let house = House::new().await;
    let viewer = house.auth.create_user(&Caller::cli(), user("vic", Role::Viewer)).await;
    assert!(refused_as(FailureKind::Conflict, viewer).contains("must be an owner"));
    house.user("ada", Role::Owner).await;
    assert_eq!(house.auth.setup_code().await.unwrap(), None, "the set-up is over");
}

#[tokio::test]
async fn a_name_is_given_once_and_agents_are_no_people() {
    let (house, ada) = House::with_owner().await;
    let twice = house.auth.create_user(&ada.caller, user("ada", Role::Viewer)).await;
    assert!(refused_as(FailureKind::Conflict, twice).contains("already a user ada"));
    let agent = house.auth.create_user(&ada.caller, user("bot", Role::Agent)).await;
    assert!(refused_as(FailureKind::Invalid, agent).contains("for tokens"));
    refused_as(FailureKind::Invalid, house.auth.create_user(&ada.caller, user("Bob", Role::Viewer)).await);
    let short = UserDraft { password: "short".to_owned(), ..user("bob", Role::Viewer) };
    refused_as(FailureKind::Invalid, house.auth.create_user(&ada.caller, short).await);
}

#[test]
fn names_are_refused_with_the_reason() {
    let long = "a".repeat(41);
    for (name, reason) in [
        ("", "empty"),
        (long.as_str(), "longer than 40"),
        ("Ada", "'A'"),
        ("a b", "' '"),
        ("ad\u{e4}", "'\u{e4}'"),
        ("a/b", "'/'"),
        ("a\nb", "'\\n'"),
        ("a\u{202e}b", "'\\u{202e}'"),
    ] {
        let message = rules::user_name(name).unwrap_err().message;
        assert!(message.contains(reason), "{name:?}: {message}");
    }
    for name in ["a", "ada.l-2_x", &"a".repeat(40)] {
        rules::user_name(name).unwrap();
    }
}

#[test]
fn passwords_have_at_least_ten_characters_and_at_most_1024_bytes() {
    assert!(rules::password("123456789").unwrap_err().message.contains("has 9 characters"));
    assert!(rules::password(&"x".repeat(1025)).unwrap_err().message.contains("longer than 1024"));
    rules::password("1234567890").unwrap();
    rules::password(&"\u{e4}".repeat(10)).unwrap();
    assert!(rules::password(&"\u{e4}".repeat(9)).is_err(), "characters count, not bytes");
    rules::password(&"x".repeat(1024)).unwrap();
}

#[tokio::test]
async fn a_new_password_works_the_old_does_not_and_other_sessions_end() {
    let (house, ada) = House::with_owner().await;
    let other = house.signed_in("ada").await;
    house.auth.change_password(&ada.caller, PASSWORD, "another long one").await.unwrap();
    assert_eq!(house.auth.by_session(&other.secret).await.unwrap(), None);
    assert!(house.auth.by_session(&ada.secret).await.unwrap().is_some());
    refused_as(FailureKind::Unauthorized, house.auth.login("ada", PASSWORD, from("10.0.0.1")).await);
    house.auth.login("ada", "another long one", from("10.0.0.1")).await.unwrap();
    let changed = house.log().await.into_iter().find(|event| event.kind == "changed").unwrap();
    assert_eq!(changed.detail, "password of ada; other sessions ended: 1");
}

#[tokio::test]
async fn a_wrong_old_password_changes_nothing_and_counts_as_a_failure() {
    let (house, ada) = House::with_owner().await;
    for _ in 0..5 {
        let wrong = house.auth.change_password(&ada.caller, "not my password", "another long one").await;
        assert!(refused_as(FailureKind::Invalid, wrong).contains("old password is not right"));
    }
    let blocked = house.auth.change_password(&ada.caller, PASSWORD, "another long one").await;
    refused_as(FailureKind::TooMany, blocked);
    house.clock.advance(30_000);
    house.signed_in("ada").await;
}

#[tokio::test]
async fn a_bad_new_password_is_refused_and_only_people_have_one() {
    let (house, ada) = House::with_owner().await;
    refused_as(FailureKind::Invalid, house.auth.change_password(&ada.caller, PASSWORD, "short").await);
    let cli = house.auth.change_password(&Caller::cli(), PASSWORD, "another long one").await;
    refused_as(FailureKind::Forbidden, cli);
}
