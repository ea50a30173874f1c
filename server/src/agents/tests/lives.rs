//! Sessions that end, and how they come back.

use proptest::prelude::*;

use super::*;
use crate::{
    agents::{
        AgentState, Contact, ContactKind, Presence, Wanted,
        rules::{Life, Step, wait},
    },
    clock::{MINUTE, SECOND},
};

#[test]
fn the_wait_doubles_from_a_second_to_a_minute_and_is_short_again_after_five_minutes_of_life() {
    let waits: Vec<_> = (0..9).map(|tries| wait(tries) / SECOND).collect();
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    assert_eq!(wait(u32::MAX), MINUTE);

    let (mut life, mut now) = (Life::default(), Timestamp::from_millis(0));
    let mut pauses = Vec::new();
    for up in [0, 0, 0, 5 * MINUTE - 1, 5 * MINUTE, 0] {
        assert_eq!(life.step(false, Wanted::Running, true, now), Step::Start);
        life.started(now);
        now = now.plus(up);
        let gone = now;
        while life.step(false, Wanted::Running, true, now) == Step::Nothing {
            now = now.plus(SECOND);
        }
        pauses.push(now.since(gone) / SECOND);
    }
    assert_eq!(pauses, [1, 2, 4, 8, 1, 2]);
}

proptest! {
    #[test]
    fn whatever_happens_no_session_is_started_more_often_than_the_waits_allow(
        steps in proptest::collection::vec((0_i64..20_000, any::<bool>(), any::<bool>()), 1..300),
    ) {
        let (mut life, mut now) = (Life::default(), Timestamp::from_millis(0));
        let (mut starts, mut live) = (Vec::new(), false);
        for (pause, dies, fails) in steps {
            now = now.plus(pause);
            if dies {
                live = false;
            }
            match life.step(live, Wanted::Running, true, now) {
                Step::Start if fails => {
                    starts.push(now);
                    life.failed(now);
                }
                Step::Start => {
                    prop_assert!(!live, "what runs is not started");
                    starts.push(now);
                    life.started(now);
                    live = true;
                }
                step => prop_assert_eq!(step, Step::Nothing),
            }
            // Nobody waits for longer than a minute.
            prop_assert!(life.not_before.is_none_or(|at| at.since(now) <= MINUTE));
        }
        // A session that dies at once: within any minute there are at most 1 + 2 + 4 + 8 + 16 + 32 s of waits, and each life
        // of five minutes gives that once more.
        for (n, start) in starts.iter().enumerate() {
            let within = starts[n..].iter().filter(|other| other.since(*start) < MINUTE).count();
            prop_assert!(within <= 14, "{within} starts within a minute");
        }
    }
}

#[test]
fn a_session_that_nobody_wants_is_ended_and_one_that_ended_for_good_stays_so() {
    let now = Timestamp::from_millis(0);
    let mut life = Life::default();
    assert_eq!(life.step(true, Wanted::Stopped, true, now), Step::Stop);
    assert_eq!(life.step(false, Wanted::Stopped, true, now), Step::Nothing);
    // Without restart, after the hub itself was restarted on a new boot: never seen, so it is started.
    assert_eq!(life.step(false, Wanted::Running, false, now), Step::Start);
    life.started(now);
    assert_eq!(life.step(true, Wanted::Running, false, now), Step::Nothing);
    assert_eq!(life.step(false, Wanted::Running, false, now), Step::Ended);
}

#[tokio::test]
async fn a_program_that_ends_is_started_again_when_its_time_has_come() {
    let (house, who) = (House::begun().await, Caller::cli());
    house.program("brief", "exit 1");
    let made = house.made(AgentDraft { command: vec!["brief".into()], ..draft("x", "shell") }).await;
    let before = house.kinds().await.len();
    house.agents.start(&who, made.id).await.unwrap();
    until("its end", || async { house.running().await.is_empty() }).await;
    house.agents.activate().await.unwrap();
    let waits = house.get(&made).await;
    assert_eq!((waits.state, waits.next_try), (AgentState::Starting, Some(house.clock.now().plus(SECOND))));

    house.agents.activate().await.unwrap();
    assert_eq!(house.kinds().await[before..], ["started"], "not before its time");
    house.clock.advance(SECOND);
    house.agents.activate().await.unwrap();
    assert_eq!(house.kinds().await[before..], ["started", "restarted"]);

    // Stopped by a person, it stays stopped.
    until("its end", || async { house.running().await.is_empty() }).await;
    house.agents.stop(&who, made.id).await.unwrap();
    house.clock.advance(MINUTE);
    house.agents.activate().await.unwrap();
    assert_eq!(house.get(&made).await.state, AgentState::Stopped);
    assert!(house.auth.tokens(&who).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_crew_rests_when_all_is_as_wanted_and_a_minute_was_quiet() {
    let (house, who) = (House::begun().await, Caller::cli());
    let made = house.made(draft("x", "shell")).await;
    assert!(house.agents.at_rest().await.unwrap(), "it does not run, and should not");
    house.agents.start(&who, made.id).await.unwrap();
    assert!(!house.agents.at_rest().await.unwrap(), "it has just begun");
    house.clock.advance(MINUTE);
    assert!(house.agents.at_rest().await.unwrap());

    house.terminals.stop_session(&who.actor, &made.terminal).await.unwrap();
    house.agents.activate().await.unwrap();
    assert!(!house.agents.at_rest().await.unwrap(), "it should run, and does not");
}

#[tokio::test]
async fn what_is_done_once_is_not_done_again_because_the_hub_was_away() {
    let (mut house, who) = (House::begun().await, Caller::cli());
    house.program("brief", "sleep 1; echo done >> \"$PWD/times\"");
    let once = AgentDraft { command: vec!["brief".into()], restart_on_exit: false, ..draft("once", "shell") };
    let (once, stays) = (house.made(once).await, house.made(draft("stays", "shell")).await);
    for agent in [&once, &stays] {
        house.agents.start(&who, agent.id).await.unwrap();
    }
    until("its end", || async { house.running().await.len() == 1 }).await;
    house.restart().await;
    let view = house.get(&once).await;
    assert_eq!((view.state, view.wanted), (AgentState::Stopped, Wanted::Stopped));
    assert!(view.problem.unwrap().contains("while the hub did not look"));
    assert_eq!(house.get(&stays).await.state, AgentState::Running);

    // After a new boot nothing runs, and all that is wanted is started.
    house.agents.start(&who, once.id).await.unwrap();
    let socket = socket(&house.folder);
    std::process::Command::new("tmux").arg("-S").arg(socket).arg("kill-server").output().unwrap();
    house.restart().await;
    assert_eq!(house.running().await.len(), 2);
}

#[tokio::test]
async fn an_agent_that_fails_says_how_and_why() {
    let (house, who) = (House::begun().await, Caller::cli());
    house.program("brief", "echo 'error: no API key' >&2; exit 7");
    let asked = AgentDraft { command: vec!["brief".into()], restart_on_exit: false, ..draft("x", "shell") };
    let made = house.made(asked).await;
    house.agents.start(&who, made.id).await.unwrap();
    until("its end", || async { house.running().await.is_empty() }).await;
    house.agents.activate().await.unwrap();
    let problem = house.get(&made).await.problem.unwrap();
    assert!(problem.starts_with("its program ended with status 7 after "), "{problem}");
    assert!(problem.ends_with(" s: error: no API key"), "{problem}");
    let said = house.terminals.last_words(&who, &made.terminal).await.unwrap().unwrap();
    assert_eq!(said.lines, ["error: no API key"]);
}

#[tokio::test]
async fn without_restart_the_end_is_the_end() {
    let (house, who) = (House::begun().await, Caller::cli());
    house.program("brief", "exit 0");
    let asked = AgentDraft { command: vec!["brief".into()], restart_on_exit: false, ..draft("x", "shell") };
    let made = house.made(asked).await;
    house.agents.start(&who, made.id).await.unwrap();
    until("its end", || async { house.running().await.is_empty() }).await;
    house.agents.activate().await.unwrap();
    let ended = house.get(&made).await;
    assert_eq!((ended.state, ended.wanted), (AgentState::Stopped, Wanted::Stopped));
    assert_eq!(house.kinds().await.last().map(String::as_str), Some("ended"));
    assert!(house.auth.tokens(&who).await.unwrap().is_empty(), "its token ends with it");
}

#[tokio::test]
async fn one_that_cannot_be_started_says_why_and_holds_up_nobody() {
    let (mut house, who) = (House::begun().await, Caller::cli());
    let work = house.folder.path().join("work");
    std::fs::create_dir(&work).unwrap();
    let made = house.made(AgentDraft { folder: work.display().to_string(), ..draft("a", "shell") }).await;
    let second = house.made(draft("b", "shell")).await;
    for agent in [&made, &second] {
        house.agents.start(&who, agent.id).await.unwrap();
    }
    std::fs::remove_dir(&work).unwrap();
    for name in ["agent-a", "agent-b"] {
        house.terminals.stop_session(&who.actor, name).await.unwrap();
    }
    house.agents.activate().await.unwrap();
    house.clock.advance(SECOND);
    house.agents.activate().await.unwrap();
    assert_eq!(house.running().await, ["agent-b"]);
    let first = house.get(&made).await;
    assert_eq!(first.state, AgentState::Starting);
    assert!(first.problem.unwrap().contains("is not there"));
    house.restart().await;
    assert!(house.get(&made).await.problem.unwrap().contains("is not there"), "also after the hub was started again");
}

#[tokio::test]
async fn a_call_a_heartbeat_and_a_terminal_are_contacts_and_coming_back_is_told() {
    let (house, who) = (House::begun().await, Caller::cli());
    let made = house.made(draft("x", "shell")).await;
    house.agents.start(&who, made.id).await.unwrap();
    let view = house.get(&made).await;
    assert_eq!(Presence::of(view.contact, house.clock.now()), Presence::Online);
    house.agents.activate().await.unwrap();
    house.clock.advance(11 * MINUTE);
    house.agents.activate().await.unwrap();
    assert_eq!(Presence::of(house.get(&made).await.contact, house.clock.now()), Presence::Offline);

    // A token that a person made for this agent speaks for it too.
    let draft = crate::auth::TokenDraft {
        name: "laptop".into(),
        role: Role::Agent,
        agent: Some("x".into()),
        expires_in_days: None,
    };
    let token = house.auth.create_token(&who, draft).await.unwrap();
    house.auth.by_token(&token.secret).await.unwrap().unwrap();
    house.agents.activate().await.unwrap();
    let contact = house.get(&made).await.contact.unwrap();
    assert_eq!((contact.at, contact.kind), (house.clock.now(), ContactKind::Call));
    let kinds = house.kinds().await;
    assert_eq!(kinds[kinds.len() - 2..], ["offline", "online"]);

    // Calls count to the millisecond, though they are written down to the minute.
    house.clock.advance(30 * SECOND);
    let caller = house.auth.by_token(&token.secret).await.unwrap().unwrap();
    assert_eq!(house.get(&made).await.contact, Some(Contact { at: house.clock.now(), kind: ContactKind::Call }));
    // That the hub itself asks whether an open stream's token still holds is no contact.
    let heard = house.get(&made).await.contact;
    house.clock.advance(MINUTE);
    assert!(house.auth.still_by_token(&token.secret).await.unwrap().is_some());
    assert_eq!(house.get(&made).await.contact, heard);

    // A heartbeat keeps it online, and lets the crew rest.
    for _ in 0..12 {
        house.clock.advance(MINUTE);
        house.auth.heartbeat(&caller);
        house.agents.activate().await.unwrap();
    }
    let view = house.get(&made).await;
    assert_eq!(view.contact, Some(Contact { at: house.clock.now(), kind: ContactKind::Heartbeat }));
    assert_eq!(Presence::of(view.contact, house.clock.now()), Presence::Online);
    assert_eq!(house.kinds().await.last().map(String::as_str), Some("online"), "nothing more to tell");
    assert!(house.agents.at_rest().await.unwrap());
    // Somebody else's is not its.
    let other = Caller { actor: Actor::Agent(TokenId::new(Timestamp::from_millis(1)), "y".into()), ..caller };
    house.clock.advance(MINUTE);
    house.auth.heartbeat(&other);
    assert_eq!(house.get(&made).await.contact, view.contact);
}

#[tokio::test]
async fn why_an_agent_does_not_run_outlives_the_hub() {
    let (mut house, who) = (House::begun().await, Caller::cli());
    house.program("brief", "exit 0");
    let brief = AgentDraft { command: vec!["brief".into()], restart_on_exit: false, ..draft("x", "shell") };
    let brief = house.made(brief).await;
    house.agents.start(&who, brief.id).await.unwrap();
    until("its end", || async { house.running().await.is_empty() }).await;
    house.clock.advance(7 * SECOND);
    house.agents.activate().await.unwrap();
    let nowhere = AgentDraft { folder: "/not/there".into(), ..draft("y", "shell") };
    let nowhere = house.made(nowhere).await;
    let why = async |house: &House| (house.get(&brief).await.problem, house.get(&nowhere).await.problem);
    let ended = Some("its program ended after 7 s".to_owned());
    assert_eq!(why(&house).await, (ended.clone(), None));

    house.restart().await;
    let view = house.get(&brief).await;
    assert_eq!((view.state, view.problem), (AgentState::Stopped, ended));
    // What is asked for anew, or stopped by somebody, has no such reason any more.
    house.program("brief", "exec sleep 600");
    house.agents.start(&who, brief.id).await.unwrap();
    assert_eq!(house.get(&brief).await.problem, None);
    house.agents.stop(&who, brief.id).await.unwrap();
    assert_eq!(house.get(&brief).await.problem, None);
}
