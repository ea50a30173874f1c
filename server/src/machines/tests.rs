//! The room against a real SQLite file.

#![expect(clippy::unwrap_used, reason = "a failed unwrap in a helper is a failed test")]

use std::time::Duration;

use tempfile::TempDir;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Ending, Facts, Greeting, MachineDraft, MachineState, MachineView, Machines, NewMachine, PROTOCOL};
use crate::{
    caller::{Actor, Caller, Role},
    clock::{Clock, HOUR, MINUTE, SECOND, Timestamp},
    db::Db,
    error::{Error, Failure, FailureKind},
    events::{EventView, Events, Topic},
    id::TokenId,
};

const START: Timestamp = Timestamp::from_millis(1_900_000_000_000);

struct House {
    machines: Machines,
    events: Events,
    clock: Clock,
    tasks: TaskTracker,
    stop: CancellationToken,
    folder: TempDir,
}

impl House {
    async fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap(), START).await
    }

    async fn at(folder: TempDir, now: Timestamp) -> Self {
        let clock = Clock::by_hand(now);
        let db = Db::open(&folder.path().join("hub.db")).await.unwrap();
        let events = Events::open(db.clone(), clock.clone()).await.unwrap();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let machines = Machines::open(db, events.clone(), clock.clone(), folder.path(), tasks.clone(), stop.clone());
        Self { machines, events, clock, tasks, stop, folder }
    }

    async fn add(&self, name: &str) -> NewMachine {
        self.machines.add(&Caller::cli(), MachineDraft { name: name.into() }).await.unwrap()
    }

    /// A machine that has joined; its key.
    async fn joined(&self, name: &str) -> String {
        let new = self.add(name).await;
        self.machines.join(&new.join).await.unwrap().key
    }

    async fn view(&self, name: &str) -> MachineView {
        let list = self.machines.list(&Caller::cli()).await.unwrap();
        list.into_iter().find(|view| view.name == name).unwrap()
    }

    async fn events(&self) -> Vec<EventView> {
        let all = self.events.after(0, 1000).await.unwrap();
        all.into_iter().filter(|event| event.topic == Topic::Machines).collect()
    }

    async fn kinds(&self) -> Vec<String> {
        self.events().await.into_iter().map(|event| event.kind).collect()
    }

    /// Waits for what was begun beside.
    async fn settle(&self) {
        self.tasks.close();
        tokio::time::timeout(Duration::from_secs(10), self.tasks.wait()).await.unwrap();
        self.tasks.reopen();
    }
}

fn greeting() -> Greeting {
    Greeting {
        version: "0.1.0".into(),
        protocol: PROTOCOL,
        system: "Linux 6.1 x86_64".into(),
        address: "10.0.0.7".into(),
    }
}

fn facts(cpus: u32) -> Facts {
    Facts { cpus, cpu: None, memory_used: 1, memory_total: 2, disk_used: 3, disk_total: 4, gpus: Vec::new() }
}

fn caller(role: Role) -> Caller {
    Caller { actor: Actor::Token(TokenId::new(START), role.word().into()), role, session: None }
}

#[track_caller]
fn refused<T>(result: Result<T, Error>, kind: FailureKind) -> Failure {
    match result {
        Err(Error::Refused(failure)) if failure.kind == kind => failure,
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("was not refused"),
    }
}

#[tokio::test]
async fn the_hub_itself_is_the_first_machine_with_facts_of_its_own() {
    let house = House::new().await;
    house.add("a").await;
    let list = house.machines.list(&caller(Role::Viewer)).await.unwrap();
    assert_eq!(list.iter().map(|view| view.name.as_str()).collect::<Vec<_>>(), ["hub", "a"]);
    let hub = &list[0];
    assert_eq!((hub.state, hub.since, hub.protocol), (MachineState::Connected, Some(START), Some(PROTOCOL)));
    let facts = hub.facts.clone().unwrap();
    assert!(
        facts.cpus > 0 && facts.memory_total > facts.memory_used && facts.disk_total >= facts.disk_used,
        "{facts:?}"
    );
    assert!(facts.memory_used > 0 && facts.disk_used > 0, "{facts:?}");
    // Who asks again at once gets the same; a little later it is read anew.
    house.clock.advance(SECOND);
    assert_eq!(house.view("hub").await.facts_at, Some(START));
    house.clock.advance(SECOND);
    assert_eq!(house.view("hub").await.facts_at, Some(START.plus(2 * SECOND)));
}

#[tokio::test]
async fn a_machine_joins_once_and_has_a_key_from_then_on() {
    let house = House::new().await;
    let new = house.add("gpu-1").await;
    assert_eq!((new.expires_at, new.view.state), (START.plus(HOUR), MachineState::Invited));
    assert_eq!(new.view.join_expires_at, Some(START.plus(HOUR)));
    assert!(house.machines.admits(&new.join).await.unwrap());
    assert_eq!(house.machines.of_key(&new.join).await.unwrap(), None, "a one-time secret is no key");

    let joined = house.machines.join(&new.join).await.unwrap();
    assert_eq!(joined.machine, "gpu-1");
    assert!(house.machines.admits(&joined.key).await.unwrap());
    assert_eq!(house.machines.of_key(&joined.key).await.unwrap().as_deref(), Some("gpu-1"));
    assert!(!house.machines.admits(&new.join).await.unwrap(), "used up");
    refused(house.machines.join(&new.join).await, FailureKind::Unauthorized);
    let view = house.view("gpu-1").await;
    assert_eq!((view.state, view.since, view.join_expires_at), (MachineState::Away, None, None));
    assert_eq!(house.kinds().await, ["added", "joined"]);
    for wrong in ["", "cmj_", "nonsense", &new.join.to_uppercase(), &format!("{}0", joined.key)] {
        refused(house.machines.join(wrong).await, FailureKind::Unauthorized);
        assert!(!house.machines.admits(wrong).await.unwrap(), "{wrong}");
    }
}

#[tokio::test]
async fn of_two_that_come_with_the_same_secret_one_joins() {
    let house = House::new().await;
    let new = house.add("gpu-1").await;
    let (one, other) = tokio::join!(house.machines.join(&new.join), house.machines.join(&new.join));
    assert!(one.is_ok() != other.is_ok());
    assert_eq!(house.kinds().await, ["added", "joined"]);
}

#[tokio::test]
async fn a_secret_is_over_after_an_hour_and_is_nowhere_in_the_clear() {
    let house = House::new().await;
    let new = house.add("gpu-1").await;
    let key = house.joined("gpu-2").await;
    house.clock.advance(HOUR - 1);
    assert!(house.machines.admits(&new.join).await.unwrap());
    house.clock.advance(1);
    assert!(!house.machines.admits(&new.join).await.unwrap());
    refused(house.machines.join(&new.join).await, FailureKind::Unauthorized);
    assert_eq!(house.view("gpu-1").await.join_expires_at, None);
    assert!(house.machines.admits(&key).await.unwrap(), "a key has no end");

    let events = format!("{:?}", house.events().await);
    let said = format!("{new:?}");
    let mut stored = Vec::new();
    for entry in std::fs::read_dir(house.folder.path()).unwrap() {
        stored.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    for secret in [&new.join, &key] {
        let random = &secret[4..];
        assert!(!events.contains(random) && !said.contains(random));
        assert!(!stored.windows(random.len()).any(|part| part == random.as_bytes()), "it is stored in the clear");
    }
}

#[tokio::test]
async fn who_may_what() {
    let house = House::new().await;
    let draft = || MachineDraft { name: "gpu-1".into() };
    for role in [Role::Viewer, Role::Agent] {
        refused(house.machines.add(&caller(role), draft()).await, FailureKind::Forbidden);
        refused(house.machines.remove(&caller(role), "gpu-1").await, FailureKind::Forbidden);
        assert_eq!(house.machines.list(&caller(role)).await.unwrap().len(), 1);
    }
    house.machines.add(&caller(Role::Operator), draft()).await.unwrap();
    house.machines.remove(&caller(Role::Operator), "gpu-1").await.unwrap();
    refused(house.machines.remove(&Caller::cli(), "gpu-1").await, FailureKind::NotFound);
    for name in ["hub", "", "A", "a b"] {
        let draft = MachineDraft { name: name.into() };
        refused(house.machines.add(&Caller::cli(), draft).await, FailureKind::Invalid);
    }
    refused(house.machines.remove(&Caller::cli(), "hub").await, FailureKind::NotFound);
}

#[tokio::test]
async fn a_machine_is_connected_for_as_long_as_its_seat_is_kept() {
    let house = House::new().await;
    let key = house.joined("gpu-1").await;
    house.clock.advance(MINUTE);
    let mut seat = house.machines.connected(&key, greeting()).await.unwrap();
    seat.facts(facts(8)).await.unwrap();
    let view = house.view("gpu-1").await;
    assert_eq!((view.state, view.since), (MachineState::Connected, Some(START.plus(MINUTE))));
    assert_eq!((view.version.as_deref(), view.address.as_deref()), (Some("0.1.0"), Some("10.0.0.7")));
    assert_eq!((view.facts, view.facts_at), (Some(facts(8)), Some(START.plus(MINUTE))));

    house.clock.advance(MINUTE);
    drop(seat);
    house.settle().await;
    let view = house.view("gpu-1").await;
    assert_eq!((view.state, view.since), (MachineState::Away, Some(START.plus(2 * MINUTE))));
    assert_eq!(view.facts, Some(facts(8)), "what it said last stays");
    assert_eq!(house.kinds().await, ["added", "joined", "connected", "lost"]);
    assert!(house.events().await[1..].iter().all(|event| event.actor == "hub:machines" && event.subject == "gpu-1"));
}

#[tokio::test]
async fn after_a_hard_end_of_the_hub_it_is_known_to_the_minute_when_a_machine_was_here() {
    let house = House::new().await;
    let key = house.joined("gpu-1").await;
    let mut seat = house.machines.connected(&key, greeting()).await.unwrap();
    for _ in 0..7 {
        house.clock.advance(10 * SECOND);
        seat.facts(facts(1)).await.unwrap();
    }
    let _never_dropped = std::mem::ManuallyDrop::new(seat);
    let later = House::at(house.folder, START.plus(HOUR)).await;
    let view = later.view("gpu-1").await;
    assert_eq!((view.state, view.since), (MachineState::Away, Some(START.plus(MINUTE))));
    assert_eq!((view.version, view.facts), (None, None));
}

#[tokio::test]
async fn a_hub_that_ends_does_not_say_that_its_machines_were_lost() {
    let house = House::new().await;
    let key = house.joined("gpu-1").await;
    let seat = house.machines.connected(&key, greeting()).await.unwrap();
    house.clock.advance(SECOND);
    house.stop.cancel();
    drop(seat);
    house.settle().await;
    assert_eq!(house.kinds().await, ["added", "joined", "connected"]);
    assert_eq!(house.view("gpu-1").await.since, Some(START.plus(SECOND)));
}

#[tokio::test]
async fn a_newer_link_takes_the_seat_and_the_older_is_told() {
    let house = House::new().await;
    let key = house.joined("gpu-1").await;
    let mut old = house.machines.connected(&key, greeting()).await.unwrap();
    let new = house.machines.connected(&key, greeting()).await.unwrap();
    assert_eq!(old.ended().await, Ending::Replaced);
    old.facts(facts(99)).await.unwrap();
    drop(old);
    house.settle().await;
    let view = house.view("gpu-1").await;
    assert_eq!((view.state, view.facts), (MachineState::Connected, None), "the older has no say any more");
    assert_eq!(house.kinds().await, ["added", "joined", "connected", "connected"]);
    drop(new);
    house.settle().await;
    assert_eq!(house.view("gpu-1").await.state, MachineState::Away);
}

#[tokio::test]
async fn a_removed_machine_is_shut_out_at_once() {
    let house = House::new().await;
    let key = house.joined("gpu-1").await;
    let seat = house.machines.connected(&key, greeting()).await.unwrap();
    house.machines.remove(&Caller::cli(), "gpu-1").await.unwrap();
    assert_eq!(seat.ended().await, Ending::Withdrawn);
    drop(seat);
    house.settle().await;
    assert!(!house.machines.admits(&key).await.unwrap());
    refused(house.machines.connected(&key, greeting()).await, FailureKind::Unauthorized);
    assert_eq!(house.kinds().await, ["added", "joined", "connected", "removed"], "and is not lost too");
    // Another of the same name is another machine.
    house.add("gpu-1").await;
    let view = house.view("gpu-1").await;
    assert_eq!((view.state, view.version, view.since), (MachineState::Invited, None, None));
}

#[tokio::test]
async fn a_machine_that_is_set_up_anew_gets_another_key_and_keeps_the_old_until_then() {
    let house = House::new().await;
    let key = house.joined("gpu-1").await;
    let seat = house.machines.connected(&key, greeting()).await.unwrap();
    let again = house.add("gpu-1").await;
    assert_eq!(again.view.state, MachineState::Connected);
    assert!(house.machines.admits(&key).await.unwrap());
    let joined = house.machines.join(&again.join).await.unwrap();
    assert_eq!(seat.ended().await, Ending::Withdrawn);
    assert!(!house.machines.admits(&key).await.unwrap() && house.machines.admits(&joined.key).await.unwrap());
    assert_eq!(house.machines.list(&Caller::cli()).await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_a_machine_says_of_itself_is_one_short_line_and_can_be() {
    let house = House::new().await;
    let key = house.joined("gpu-1").await;
    let odd = Greeting { system: format!("a\u{1b}[31m\n{}", "x".repeat(1000)), ..greeting() };
    let mut seat = house.machines.connected(&key, odd).await.unwrap();
    let system = house.view("gpu-1").await.system.unwrap();
    assert!(system.starts_with("a[31mx") && system.len() <= 120, "{system}");
    seat.facts(Facts { cpu: Some(1e9), memory_used: 3, ..facts(1) }).await.unwrap();
    let kept = house.view("gpu-1").await.facts.unwrap();
    assert_eq!((kept.cpu, kept.memory_used), (Some(100.0), 2));
}

#[tokio::test]
async fn the_program_is_the_one_that_runs() {
    let house = House::new().await;
    let program = house.machines.program().await.unwrap();
    let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let view = program.view();
    assert_eq!(view.size, own.len() as u64);
    assert_eq!(view.sha256, crate::secrets::hex(&crate::secrets::sha256(&own)));
    assert!(view.system.starts_with("Linux "), "{}", view.system);
    let line = super::install_line("https://hub.example.org", "cmj_1", view);
    let expected =
        "curl -fsSL https://hub.example.org/runner/install.sh | CENTRAL_MCP_RUNNER_TOKEN=cmj_1 sh -s -- --sha256 ";
    assert!(line.starts_with(expected), "{line}");
}
