//! Starts and ends that nobody waits for to the end, or that were killed half way.

use futures_util::FutureExt as _;

use super::*;
use crate::agents::{AgentState, Wanted, room::KEEPER};

impl House {
    /// A token as a start makes it.
    async fn stray(&self, slug: &str) {
        let name = format!("agent {slug}");
        let draft =
            crate::auth::TokenDraft { name, role: Role::Agent, agent: Some(slug.to_owned()), expires_in_days: None };
        self.auth.create_token(&KEEPER, draft).await.unwrap();
    }

    /// The prefixes of all tokens, in order.
    async fn prefixes(&self) -> Vec<String> {
        sorted(self.auth.tokens(&Caller::cli()).await.unwrap().into_iter().map(|token| token.prefix).collect())
    }
}

fn sorted(mut all: Vec<String>) -> Vec<String> {
    all.sort();
    all
}

#[tokio::test]
async fn what_a_closed_page_asked_for_is_done_to_its_end() {
    let (house, who) = (House::begun().await, Caller::cli());
    let made = house.made(draft("x", "shell")).await;
    // Asked once, then dropped: as far as a page that closes at once lets it come.
    assert!(house.agents.start(&who, made.id).now_or_never().is_none());
    until("it runs", || async { house.get(&made).await.state == AgentState::Running }).await;
    let first = house.get(&made).await.token_prefix.unwrap();
    assert_eq!(house.prefixes().await, std::slice::from_ref(&first));

    assert!(house.agents.restart(&who, made.id).now_or_never().is_none());
    until("it runs anew", || async {
        house.kinds().await.last().is_some_and(|kind| kind == "restarted") && house.running().await == ["agent-x"]
    })
    .await;
    let second = house.get(&made).await.token_prefix.unwrap();
    assert_ne!(first, second);
    assert_eq!(house.prefixes().await, [second]);

    assert!(house.agents.stop(&who, made.id).now_or_never().is_none());
    until("it is stopped", || async { house.running().await.is_empty() && house.prefixes().await.is_empty() }).await;
    assert_eq!(house.get(&made).await.wanted, Wanted::Stopped);

    assert!(house.agents.delete(&who, made.id).now_or_never().is_none());
    until("it is gone", || async { house.list().await.is_empty() }).await;
}

#[tokio::test]
async fn a_session_whose_token_is_gone_is_started_anew() {
    let (house, who) = (House::begun().await, Caller::cli());
    let made = house.made(draft("x", "shell")).await;
    house.agents.start(&who, made.id).await.unwrap();
    let pid = async || house.terminals.get(&who, "agent-x").await.unwrap().pid;
    let before = pid().await;
    house.agents.activate().await.unwrap();
    assert_eq!(pid().await, before, "what is well is left alone");

    for token in house.auth.tokens(&who).await.unwrap() {
        house.auth.revoke_token(&who, token.id).await.unwrap();
    }
    house.agents.activate().await.unwrap();
    assert_ne!(pid().await, before);
    assert_eq!(house.prefixes().await, [house.get(&made).await.token_prefix.unwrap()]);
    assert_eq!(house.kinds().await.last().map(String::as_str), Some("restarted"));
}

#[tokio::test]
async fn tokens_that_a_killed_hub_left_are_revoked_and_a_persons_are_not() {
    let (house, who) = (House::begun().await, Caller::cli());
    let (x, y) = (house.made(draft("x", "shell")).await, house.made(draft("y", "shell")).await);
    house.agents.start(&who, y.id).await.unwrap();
    let kept = house.get(&y).await.token_prefix.unwrap();
    let draft = crate::auth::TokenDraft {
        name: "agent x".into(),
        role: Role::Agent,
        agent: Some("x".into()),
        expires_in_days: None,
    };
    let own = house.auth.create_token(&who, draft).await.unwrap().token.prefix;
    house.stray("x").await;
    house.agents.activate().await.unwrap();
    assert_eq!(house.prefixes().await, sorted(vec![own.clone(), kept.clone()]));
    assert_eq!(house.get(&x).await.state, AgentState::Stopped);

    // One that runs: its next start clears away what is left.
    house.stray("y").await;
    house.agents.restart(&who, y.id).await.unwrap();
    let fresh = house.get(&y).await.token_prefix.unwrap();
    assert_ne!(fresh, kept);
    assert_eq!(house.prefixes().await, sorted(vec![fresh, own]));
}
