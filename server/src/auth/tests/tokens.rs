//! API tokens.

use super::*;
use crate::{
    auth::rules,
    caller::Actor,
    clock::{DAY, MINUTE, SECOND},
};

#[tokio::test]
async fn a_token_lets_its_holder_in_with_its_role_and_name() {
    let (house, ada) = House::with_owner().await;
    let made = house.token(&ada.caller, Role::Operator).await;
    assert!(made.secret.starts_with("cmcp_") && made.secret.len() == 69);
    assert_eq!(made.token.prefix, made.secret[..9]);
    let caller = house.auth.by_token(&made.secret).await.unwrap().unwrap();
    assert_eq!(caller.actor, Actor::Token(made.token.id, "ci".to_owned()));
    assert_eq!((caller.role, caller.session), (Role::Operator, None));

    let agent = TokenDraft { agent: Some("b".to_owned()), ..token(Role::Agent) };
    let made = house.auth.create_token(&ada.caller, agent).await.unwrap();
    assert_eq!(house.auth.by_token(&made.secret).await.unwrap().unwrap().agent(), Some("b"));
}

#[tokio::test]
async fn a_wrong_token_is_nobody() {
    let (house, ada) = House::with_owner().await;
    let secret = house.token(&ada.caller, Role::Agent).await.secret;
    for wrong in ["", "cmcp_", &format!("cmcp_{}", "0".repeat(64)), &secret[..68], &secret[5..], &ada.secret] {
        assert_eq!(house.auth.by_token(wrong).await.unwrap(), None);
    }
    assert_eq!(house.auth.by_session(&secret).await.unwrap(), None, "a token is no cookie");
}

#[tokio::test]
async fn a_token_stops_when_it_expires_and_its_row_goes_thirty_days_later() {
    let (house, ada) = House::with_owner().await;
    let draft = TokenDraft { expires_in_days: Some(1), ..token(Role::Agent) };
    let made = house.auth.create_token(&ada.caller, draft).await.unwrap();
    house.clock.advance(DAY - 1);
    assert!(house.auth.by_token(&made.secret).await.unwrap().is_some());
    house.clock.advance(1);
    assert_eq!(house.auth.by_token(&made.secret).await.unwrap(), None);
    assert_eq!(house.auth.prune().await.unwrap(), 0);
    assert_eq!(house.auth.tokens(&ada.caller).await.unwrap().len(), 1, "the list still shows that it expired");
    house.clock.advance(30 * DAY);
    assert_eq!(house.auth.prune().await.unwrap(), 2, "the token, and by now the session");
    assert!(house.auth.tokens(&ada.caller).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_last_call_is_kept_to_the_minute() {
    let (house, ada) = House::with_owner().await;
    let secret = house.token(&ada.caller, Role::Agent).await.secret;
    assert_eq!(house.auth.tokens(&ada.caller).await.unwrap()[0].last_used_at, None);
    let first = house.clock.now();
    house.auth.by_token(&secret).await.unwrap();
    house.clock.advance(59 * SECOND);
    house.auth.by_token(&secret).await.unwrap();
    assert_eq!(house.auth.tokens(&ada.caller).await.unwrap()[0].last_used_at, Some(first));
    house.clock.advance(SECOND);
    house.auth.by_token(&secret).await.unwrap();
    assert_eq!(house.auth.tokens(&ada.caller).await.unwrap()[0].last_used_at, Some(first.plus(MINUTE)));
}

#[tokio::test]
async fn a_revoked_token_is_over_at_once() {
    let (house, ada) = House::with_owner().await;
    let made = house.token(&ada.caller, Role::Agent).await;
    house.auth.revoke_token(&ada.caller, made.token.id).await.unwrap();
    assert_eq!(house.auth.by_token(&made.secret).await.unwrap(), None);
    assert_eq!(house.log().await.pop().unwrap().detail, "token ci");
    refused_as(FailureKind::NotFound, house.auth.revoke_token(&ada.caller, made.token.id).await);
}

#[tokio::test]
async fn viewers_and_agents_make_no_tokens_and_nobody_makes_an_owner() {
    let (house, ada) = House::with_owner().await;
    house.user("vic", Role::Viewer).await;
    let viewer = house.signed_in("vic").await.caller;
    refused_as(FailureKind::Forbidden, house.auth.create_token(&viewer, token(Role::Viewer)).await);
    let agent = house.token(&ada.caller, Role::Agent).await.secret;
    let agent = house.auth.by_token(&agent).await.unwrap().unwrap();
    refused_as(FailureKind::Forbidden, house.auth.create_token(&agent, token(Role::Agent)).await);
    for who in [&ada.caller, &Caller::cli()] {
        let owner = house.auth.create_token(who, token(Role::Owner)).await;
        assert!(refused_as(FailureKind::Invalid, owner).contains("owners are people"));
    }
}

#[test]
fn a_token_is_never_above_its_maker() {
    for maker in Role::ALL {
        for asked in Role::ALL {
            let allowed = rules::token_role(maker, asked).is_ok();
            assert_eq!(allowed, asked <= maker && asked != Role::Owner, "{maker} makes {asked}");
        }
    }
    let refusal = rules::token_role(Role::Agent, Role::Operator).unwrap_err();
    assert_eq!(refusal.kind, FailureKind::Forbidden);
    assert!(refusal.message.contains("you are agent"));
}

#[tokio::test]
async fn operators_see_and_revoke_only_what_they_made() {
    let (house, ada) = House::with_owner().await;
    house.user("oto", Role::Operator).await;
    let oto = house.signed_in("oto").await.caller;
    let hers = house.token(&ada.caller, Role::Agent).await.token;
    let his = house.token(&oto, Role::Agent).await.token;
    house.token(&Caller::cli(), Role::Agent).await;
    assert_eq!(house.auth.tokens(&oto).await.unwrap(), std::slice::from_ref(&his));
    assert_eq!(house.auth.tokens(&ada.caller).await.unwrap().len(), 3);
    refused_as(FailureKind::NotFound, house.auth.revoke_token(&oto, hers.id).await);
    house.auth.revoke_token(&oto, his.id).await.unwrap();
    house.auth.revoke_token(&ada.caller, hers.id).await.unwrap();
}

#[tokio::test]
async fn a_deleted_user_leaves_no_token_behind_nor_what_it_made() {
    let (house, ada) = House::with_owner().await;
    let user = house.user("oto", Role::Operator).await;
    let oto = house.signed_in("oto").await.caller;
    let first = house.token(&oto, Role::Operator).await.secret;
    let script = house.auth.by_token(&first).await.unwrap().unwrap();
    let second = house.token(&script, Role::Operator).await.secret;
    let kept = house.token(&ada.caller, Role::Agent).await.secret;
    house.auth.delete_user(&ada.caller, user.id).await.unwrap();
    assert_eq!(house.auth.by_token(&first).await.unwrap(), None);
    assert_eq!(house.auth.by_token(&second).await.unwrap(), None);
    assert!(house.auth.by_token(&kept).await.unwrap().is_some());
    assert_eq!(house.log().await.pop().unwrap().detail, "oto; sessions ended: 1, tokens revoked: 2");
}

#[test]
fn drafts_are_refused_with_the_reason() {
    let long = "x".repeat(61);
    let named = |name: &str| TokenDraft { name: name.to_owned(), ..token(Role::Agent) };
    let agent = |slug: &str| TokenDraft { agent: Some(slug.to_owned()), ..token(Role::Agent) };
    let days = |days| TokenDraft { expires_in_days: Some(days), ..token(Role::Agent) };
    for (draft, reason) in [
        (named("  "), "no name"),
        (named(&long), "longer than 60"),
        (named("a\nb"), "control character"),
        (agent(""), "empty"),
        (agent(&"a".repeat(33)), "longer than 32"),
        (agent("B"), "'B'"),
        (agent("a_b"), "'_'"),
        (days(0), "1 to 3650"),
        (days(3651), "1 to 3650"),
    ] {
        let message = rules::token(draft.clone()).unwrap_err().message;
        assert!(message.contains(reason), "{draft:?}: {message}");
    }
    assert_eq!(rules::token(named(" my script ")).unwrap().name, "my script");
    for draft in [agent("b-2"), days(1), days(3650), named(&"x".repeat(60))] {
        rules::token(draft).unwrap();
    }
}

#[tokio::test]
async fn what_a_token_made_is_revoked_with_it() {
    let (house, ada) = House::with_owner().await;
    let first = house.token(&ada.caller, Role::Operator).await;
    let thief = house.auth.by_token(&first.secret).await.unwrap().unwrap();
    let second = house.token(&thief, Role::Operator).await;
    let again = house.auth.by_token(&second.secret).await.unwrap().unwrap();
    let third = house.token(&again, Role::Agent).await;
    let other = house.token(&ada.caller, Role::Agent).await;
    house.auth.revoke_token(&ada.caller, first.token.id).await.unwrap();
    for secret in [&first.secret, &second.secret, &third.secret] {
        assert_eq!(house.auth.by_token(secret).await.unwrap(), None);
    }
    assert!(house.auth.by_token(&other.secret).await.unwrap().is_some(), "another's stays");
}
