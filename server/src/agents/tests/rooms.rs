//! Making, changing and deleting.

use super::*;
use crate::{
    agents::{AgentState, Wanted},
    error::FailureKind,
};

#[tokio::test]
async fn an_agent_is_made_stopped_changed_and_deleted() {
    let (house, who) = (House::begun().await, Caller::cli());
    let before = house.kinds().await.len();
    let made = house.made(draft("backend", "shell")).await;
    assert_eq!(
        (made.state, made.wanted, made.terminal.as_str()),
        (AgentState::Stopped, Wanted::Stopped, "agent-backend")
    );
    assert_eq!((made.contact, &made.needs, &made.token_prefix), (None, &None, &None));

    let changed = AgentDraft { name: "  The backend ".into(), role: "Builds".into(), ..draft("backend", "codex") };
    let changed = house.agents.edit(&who, made.id, changed).await.unwrap();
    assert_eq!((changed.draft.name.as_str(), changed.profile.as_str()), ("The backend", "Codex"));

    house.agents.delete(&who, made.id).await.unwrap();
    assert!(house.list().await.is_empty());
    assert_eq!(refused(house.agents.get(&who, made.id).await).kind, FailureKind::NotFound);
    assert_eq!(house.kinds().await[before..], ["added", "changed", "removed"]);
}

#[tokio::test]
async fn what_somebody_changed_meanwhile_is_not_written_over() {
    let (house, who) = (House::begun().await, Caller::cli());
    let made = house.made(draft("backend", "shell")).await;
    let by_bob = AgentDraft { role: "of bob".into(), ..made.draft.clone() };
    let bob = house.agents.edit_seen(&who, made.id, Some(&made.draft), by_bob).await.unwrap();
    let by_ada = AgentDraft { name: "Of ada".into(), ..made.draft.clone() };
    let late = refused(house.agents.edit_seen(&who, made.id, Some(&made.draft), by_ada.clone()).await);
    assert_eq!(late.kind, FailureKind::Conflict);
    assert!(late.message.contains("changed meanwhile"), "{}", late.message);
    assert_eq!(house.list().await[0].draft, bob.draft, "nothing is lost");
    let seen = AgentDraft { name: "Of ada".into(), ..bob.draft.clone() };
    house.agents.edit_seen(&who, made.id, Some(&bob.draft), seen).await.unwrap();
    house.agents.edit_seen(&who, made.id, None, by_ada).await.expect("a script says what is to be");
}

#[tokio::test]
async fn the_default_crew_is_made_once_in_the_life_of_a_hub() {
    let house = House::new().await;
    for _ in 0..2 {
        house.agents.begin(URL.to_owned(), true).await.unwrap();
        let slugs: Vec<_> = house.list().await.into_iter().map(|agent| agent.draft.slug).collect();
        assert_eq!(slugs, ["a", "b", "c", "d"]);
    }
    assert!(
        house.list().await.iter().all(|agent| agent.state == AgentState::Starting),
        "they are wanted from the start"
    );
    for agent in house.list().await {
        house.agents.delete(&Caller::cli(), agent.id).await.unwrap();
    }
    house.agents.begin(URL.to_owned(), true).await.unwrap();
    assert!(house.list().await.is_empty());
}

#[tokio::test]
async fn four_sessions_stand_on_a_machine_where_nothing_is_installed() {
    let house = House::new().await;
    assert!(house.agents.activate().await.unwrap().contains("does not listen"), "nobody knows yet where to connect to");
    assert!(house.running().await.is_empty());
    house.agents.begin(URL.to_owned(), true).await.unwrap();
    assert!(house.agents.activate().await.unwrap().starts_with("4 of 4 agents run"));
    house.agents.activate().await.unwrap();
    assert_eq!(house.running().await, ["agent-a", "agent-b", "agent-c", "agent-d"]);
    until("the banners", || async {
        house.screen("a").await.contains("claude.ai/install.sh")
            && house.screen("c").await.contains("npm install -g @openai/codex")
            && house.screen("d").await.contains("ANTHROPIC_AUTH_TOKEN")
    })
    .await;
}

#[tokio::test]
async fn lookers_and_agents_look_and_change_nothing() {
    let house = House::begun().await;
    let made = house.made(draft("x", "shell")).await;
    let before = house.kinds().await;
    for role in [Role::Viewer, Role::Agent] {
        let (who, agents) = (caller(role), &house.agents);
        assert_eq!(agents.list(&who).await.unwrap().len(), 1);
        assert!(agents.waiting(&who).await.unwrap().is_empty());
        assert_eq!(agents.profiles(&who).unwrap().len(), 6);
        let refusals = [
            refused(agents.create(&who, draft("y", "shell")).await),
            refused(agents.edit(&who, made.id, draft("x", "shell")).await),
            refused(agents.delete(&who, made.id).await),
            refused(agents.start(&who, made.id).await),
            refused(agents.stop(&who, made.id).await),
            refused(agents.restart(&who, made.id).await),
        ];
        for refusal in refusals {
            assert_eq!(refusal.kind, FailureKind::Forbidden, "{role}: {}", refusal.message);
        }
    }
    assert_eq!(house.kinds().await, before);
    assert!(house.running().await.is_empty());
}

#[tokio::test]
async fn what_cannot_be_is_refused_in_words_that_help() {
    let (house, who) = (House::begun().await, Caller::cli());
    let base = || draft("good", "shell");
    let with = |variable: Variable| AgentDraft { environment: vec![variable], ..base() };
    let drafts = [
        (draft("", "shell"), "slug"),
        (draft("Bad", "shell"), "slug"),
        (draft("a.b", "shell"), "slug"),
        (draft("-a", "shell"), "slug"),
        (draft(&"a".repeat(33), "shell"), "slug"),
        (draft("good", "vim"), "claude-code, codex"),
        (AgentDraft { name: " ".into(), ..base() }, "name"),
        (AgentDraft { name: "a\nb".into(), ..base() }, "name"),
        (AgentDraft { role: "x".repeat(201), ..base() }, "role"),
        (AgentDraft { model: "--danger".into(), ..base() }, "model"),
        (AgentDraft { command: vec![String::new()], ..base() }, "command"),
        (AgentDraft { command: vec!["a".into(), "\u{1b}[2J".into()], ..base() }, "command"),
        (AgentDraft { folder: "relative".into(), ..base() }, "folder"),
        (with(plain("1X", "v")), "letters"),
        (with(plain("A B", "v")), "letters"),
        (with(plain("CENTRAL_MCP_TOKEN", "v")), "set by the hub"),
        (with(plain("X", "a\0b")), "NUL"),
        (with(Variable { name: "X".into(), value: None, secret: false }), "no value"),
        (with(secret("X", None)), "enter one"),
        (AgentDraft { environment: vec![plain("X", "1"), secret("X", Some("2"))], ..base() }, "twice"),
    ];
    for (draft, what) in drafts {
        let shown = format!("{draft:?}");
        let refusal = refused(house.agents.create(&who, draft).await);
        assert_eq!(refusal.kind, FailureKind::Invalid, "{shown}");
        assert!(refusal.message.contains(what), "{shown}: {}", refusal.message);
    }
    let made = house.made(base()).await;
    let twice = refused(house.agents.create(&who, base()).await);
    assert_eq!(twice.kind, FailureKind::Conflict);
    let renamed = refused(house.agents.edit(&who, made.id, draft("other", "shell")).await);
    assert!(renamed.message.contains("for life"), "{}", renamed.message);
}

#[tokio::test]
async fn a_secret_goes_in_and_never_comes_out() {
    let (house, who) = (House::begun().await, Caller::cli());
    let environment = vec![plain("PLAIN", "seen"), secret("KEY", Some(SECRET))];
    let made = house.made(AgentDraft { environment, ..draft("x", "shell") }).await;
    let kept = AgentDraft { environment: vec![secret("KEY", None)], ..draft("x", "shell") };
    let changed = house.agents.edit(&who, made.id, kept).await.unwrap();
    assert_eq!(changed.draft.environment, [secret("KEY", None)]);
    // Another name has no stored secret, and a secret does not become plain by itself.
    let moved = AgentDraft { environment: vec![secret("OTHER", None)], ..draft("x", "shell") };
    assert!(refused(house.agents.edit(&who, made.id, moved).await).message.contains("enter one"));

    house.agents.start(&who, made.id).await.unwrap();
    house.terminals.live().await.unwrap();
    for text in [
        serde_json::to_string(&made).unwrap(),
        serde_json::to_string(&house.list().await).unwrap(),
        format!("{made:?} {changed:?}"),
        format!("{:?}", house.events.after(0, 1000).await.unwrap()),
    ] {
        assert!(!text.contains(SECRET), "{text}");
    }
    let mut stored = std::fs::read(house.folder.path().join("hub.db")).unwrap();
    stored.extend(std::fs::read(house.folder.path().join("hub.db-wal")).unwrap_or_default());
    assert!(!stored.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()));
}
