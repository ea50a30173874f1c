//! Tokens read together at the door.

use std::time::Duration;

use futures_util::future::join_all;

use super::*;
use crate::{
    auth::store::TOKENS_AT_ONCE,
    clock::{DAY, MINUTE},
};

/// Tokens of as many agents.
async fn crew(house: &House, who: &Caller, size: usize) -> Vec<NewToken> {
    let mut crew = Vec::new();
    for n in 0..size {
        let draft = TokenDraft { agent: Some(format!("a{n}")), ..token(Role::Agent) };
        crew.push(house.auth.create_token(who, draft).await.unwrap());
    }
    crew
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_of_many_callers_at_once_gets_their_own_name_and_strangers_none() {
    let (house, ada) = House::with_owner().await;
    let crew = crew(&house, &ada.caller, 3 * TOKENS_AT_ONCE).await;
    let calls = (0..1000).map(|n| {
        let (auth, secret) = (house.auth.clone(), crew[n % crew.len()].secret.clone());
        let stranger = format!("cmcp_{n:064x}");
        house.tasks.spawn(async move {
            let (one, none) = tokio::join!(auth.by_token(&secret), auth.by_token(&stranger));
            assert_eq!(none.unwrap(), None);
            one.unwrap().unwrap().agent().unwrap().to_owned()
        })
    });
    for (n, name) in join_all(calls).await.into_iter().enumerate() {
        assert_eq!(name.unwrap(), format!("a{}", n % crew.len()));
    }
}

#[tokio::test]
async fn a_token_that_another_program_revoked_is_refused_at_once_and_the_others_go_on() {
    let (house, ada) = House::with_owner().await;
    let crew = crew(&house, &ada.caller, TOKENS_AT_ONCE).await;
    let ask = || join_all(crew.iter().map(|token| house.auth.by_token(&token.secret)));
    assert!(ask().await.into_iter().all(|caller| caller.unwrap().is_some()));
    let other = Db::open(&house.folder.path().join("hub.db")).await.unwrap();
    for (n, token) in crew.iter().enumerate() {
        let mut tx = other.write().await.unwrap();
        assert_eq!(crate::auth::store::delete_token(&mut *tx, token.token.id).await.unwrap(), 1);
        tx.commit().await.unwrap();
        let valid: Vec<bool> = ask().await.into_iter().map(|caller| caller.unwrap().is_some()).collect();
        assert_eq!(valid, (0..crew.len()).map(|m| m > n).collect::<Vec<_>>());
    }
    other.close().await;
}

#[tokio::test]
async fn of_tokens_read_together_the_expired_one_alone_is_refused() {
    let (house, ada) = House::with_owner().await;
    let short = TokenDraft { expires_in_days: Some(1), ..token(Role::Agent) };
    let short = house.auth.create_token(&ada.caller, short).await.unwrap();
    let long = house.token(&ada.caller, Role::Agent).await;
    house.clock.advance(DAY);
    let (short, long) = tokio::join!(house.auth.by_token(&short.secret), house.auth.by_token(&long.secret));
    assert_eq!((short.unwrap(), long.unwrap().is_some()), (None, true));
}

#[tokio::test]
async fn a_caller_who_leaves_takes_nobody_elses_answer_away() {
    let (house, ada) = House::with_owner().await;
    let crew = crew(&house, &ada.caller, 2).await;
    // So that no answer waits for a write.
    join_all(crew.iter().map(|token| house.auth.by_token(&token.secret))).await;
    for _ in 0..50 {
        let mut leaving = Box::pin(house.auth.by_token(&crew[0].secret));
        assert!(futures_util::poll!(&mut leaving).is_pending());
        let staying = house.tasks.spawn({
            let (auth, secret) = (house.auth.clone(), crew[1].secret.clone());
            async move { auth.by_token(&secret).await.unwrap().unwrap().agent().unwrap().to_owned() }
        });
        tokio::task::yield_now().await;
        drop(leaving);
        assert_eq!(staying.await.unwrap(), "a1");
    }
}

#[tokio::test]
async fn the_doorman_leaves_with_the_hub_and_whoever_still_asks_is_answered() {
    let (house, ada) = House::with_owner().await;
    let token = house.token(&ada.caller, Role::Agent).await;
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let (auth, secret) = (house.auth.clone(), token.secret.clone());
            house.tasks.spawn(async move { auth.by_token(&secret).await.unwrap().is_some() })
        })
        .collect();
    tokio::task::yield_now().await;
    house.stop.cancel();
    house.tasks.close();
    tokio::time::timeout(Duration::from_secs(5), house.tasks.wait()).await.expect("it leaves");
    assert!(join_all(calls).await.into_iter().all(|known| known.unwrap()));
    assert!(house.auth.by_token(&token.secret).await.unwrap().is_some());
    house.clock.advance(MINUTE);
    house.auth.revoke_token(&ada.caller, token.token.id).await.unwrap();
    assert_eq!(house.auth.by_token(&token.secret).await.unwrap(), None);
    tokio::time::timeout(Duration::from_secs(5), house.db.close()).await.expect("the database closes");
}
