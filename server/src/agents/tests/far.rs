//! An agent on another machine: a runner's end with its own tmux and folder, and a link that can be cut.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::{sync::mpsc, task::JoinHandle};

use super::*;
use crate::{
    error::FailureKind,
    terminals::{Holder, Home, LinkEnd},
};

/// A machine called `pod`.
struct Pod {
    folder: TempDir,
    holder: Holder,
    link: Option<[JoinHandle<()>; 2]>,
    /// Whether what it says is lost on the way.
    mute: Arc<AtomicBool>,
}

impl Pod {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let holder = Holder::open(folder.path(), TaskTracker::new(), CancellationToken::new(), Clock::default());
        Self { folder, holder: holder.unwrap(), link: None, mute: Arc::default() }
    }

    async fn connect(&mut self, terminals: &Terminals) {
        let ((out, mut said), (back, from), (heard, inn)) = (mpsc::channel(64), mpsc::channel(64), mpsc::channel(64));
        let mute = self.mute.clone();
        TaskTracker::new().spawn(async move {
            while let Some(frame) = said.recv().await {
                if !mute.load(Ordering::SeqCst) && heard.send(frame).await.is_err() {
                    return;
                }
            }
        });
        let (holder, hub) = (self.holder.clone(), terminals.clone());
        let data = self.folder.path().display().to_string();
        let home = Home { data, hub: "https://hub.example".to_owned() };
        let there = TaskTracker::new().spawn(async move { holder.serve(LinkEnd { out, inn: from }).await });
        let here = TaskTracker::new().spawn(async move { hub.connect("pod", home, LinkEnd { out: back, inn }).await });
        self.link = Some([there, here]);
        until("connected", || async { terminals.away("pod").is_none() }).await;
    }

    /// As when the hub gives up a silent link: its half is dropped.
    async fn cut(&mut self, terminals: &Terminals) {
        let [_, here] = self.link.take().unwrap();
        here.abort();
        assert!(here.await.unwrap_err().is_cancelled());
        assert!(terminals.away("pod").is_some());
    }

    fn has(&self, file: &str) -> bool {
        self.folder.path().join("agents/far").join(file).exists()
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = std::process::Command::new("tmux").arg("-S").arg(socket(&self.folder)).arg("kill-server").output();
    }
}

/// A program that says what it finds.
const FINDS: &str = r#"echo "url $CENTRAL_MCP_URL"; echo "own $PWD"; test -s "$CENTRAL_MCP_CONFIG" && echo ready; cat"#;

#[tokio::test]
async fn an_agent_runs_on_its_machine_with_all_it_needs() {
    let (house, mut pod, who) = (House::begun().await, Pod::new(), Caller::cli());
    let script = pod.folder.path().join("claude");
    std::fs::write(&script, format!("#!/bin/sh\n{FINDS}\n")).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", pod.folder.path().display());
    let far = house
        .made(AgentDraft {
            machine: Some("pod".into()),
            environment: vec![plain("PATH", &path)],
            ..draft("far", "claude-code")
        })
        .await;
    assert_eq!(refused(house.agents.start(&who, far.id).await).kind, FailureKind::Outside);

    pod.connect(&house.terminals).await;
    house.agents.start(&who, far.id).await.unwrap();
    until("what it finds", || async { house.screen("far").await.contains("ready") }).await;
    let screen = house.screen("far").await;
    assert!(screen.contains("url https://hub.example/mcp"), "{screen}");
    // A long path is wrapped.
    assert!(screen.replace('\n', "").contains("agents/far/work"), "{screen}");
    let view = house.terminals.get(&who, "agent-far").await.unwrap();
    assert_eq!((view.machine.as_deref(), view.state.word()), (Some("pod"), "running"));
    assert!(!house.folder.path().join("agents").exists(), "nothing of it is on the hub's machine");

    // While the link is cut nobody knows; nothing is started anew, and nothing is lost.
    let pid = view.pid;
    pod.cut(&house.terminals).await;
    house.agents.activate().await.unwrap();
    assert_eq!(house.terminals.get(&who, "agent-far").await.unwrap().state.word(), "away");
    assert_eq!(refused(house.agents.restart(&who, far.id).await).kind, FailureKind::Outside);
    pod.connect(&house.terminals).await;
    house.agents.activate().await.unwrap();
    assert_eq!(house.terminals.get(&who, "agent-far").await.unwrap().pid, pid);

    // Stopped while its machine is away, it ends as soon as that is back.
    pod.cut(&house.terminals).await;
    assert_eq!(refused(house.agents.stop(&who, far.id).await).kind, FailureKind::Outside);
    assert!(house.auth.tokens(&who).await.unwrap().is_empty(), "its token still opens the hub");
    pod.connect(&house.terminals).await;
    house.agents.activate().await.unwrap();
    assert!(house.running().await.is_empty());

    house.agents.restart(&who, far.id).await.unwrap();
    until("what it finds", || async { house.screen("far").await.contains("ready") }).await;
    assert!(
        pod.has("mcp.json"),
        "{:?}",
        std::fs::read_dir(pod.folder.path().join("agents/far")).unwrap().collect::<Vec<_>>()
    );
    house.agents.stop(&who, far.id).await.unwrap();
    assert!(house.running().await.is_empty());
    assert!(!pod.has("mcp.json") && pod.has("work"), "its configuration goes, its work stays");
    assert!(house.auth.tokens(&who).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_removed_machine_takes_the_tokens_of_its_agents_along() {
    let (house, mut pod, who) = (House::begun().await, Pod::new(), Caller::cli());
    pod.connect(&house.terminals).await;
    let far = house.made(AgentDraft { machine: Some("pod".into()), ..draft("far", "shell") }).await;
    house.agents.start(&who, far.id).await.unwrap();
    assert_eq!(house.auth.tokens(&who).await.unwrap().len(), 1);
    house.terminals.forget_machine(&who.actor, "pod").await.unwrap();
    house.agents.forget_machine(&who.actor, "pod").await.unwrap();
    assert!(house.auth.tokens(&who).await.unwrap().is_empty(), "its token still opens the hub");
    house.agents.activate().await.unwrap();
    let view = house.get(&far).await;
    assert_eq!((view.state.word(), view.wanted), ("stopped", super::super::Wanted::Stopped));
    assert!(view.problem.unwrap().contains("pod was removed"));
}

#[tokio::test]
async fn what_is_not_installed_there_is_said_there() {
    let (house, mut pod, who) = (House::begun().await, Pod::new(), Caller::cli());
    pod.connect(&house.terminals).await;
    let environment = vec![plain("PATH", "/not/there")];
    let far = AgentDraft { machine: Some("pod".into()), environment, ..draft("far", "codex") };
    let far = house.made(far).await;
    house.agents.start(&who, far.id).await.unwrap();
    until("the banner", || async { house.screen("far").await.contains("is not installed on this machine") }).await;

    let view = house.get(&far).await;
    assert_eq!(view.state, crate::agents::AgentState::NotInstalled, "the machine has told the hub");
    assert!(view.problem.unwrap().contains("Codex is not installed"));

    // A name is one terminal's, wherever it is.
    let moved = AgentDraft { machine: None, ..draft("far", "codex") };
    house.agents.edit(&who, far.id, moved).await.unwrap();
    let clash = refused(house.agents.start(&who, far.id).await);
    assert_eq!(clash.kind, FailureKind::Conflict);

    // While its machine is away nobody knows what runs there; it is started nowhere else.
    pod.cut(&house.terminals).await;
    let away = refused(house.agents.start(&who, far.id).await);
    assert!(away.kind == FailureKind::Conflict && away.message.contains("pod"), "{}", away.message);
    assert!(house.running().await.is_empty());
}

#[tokio::test]
async fn a_start_whose_answer_was_lost_leaves_no_session_without_a_token() {
    let (house, mut pod, who) = (House::begun().await, Pod::new(), Caller::cli());
    pod.connect(&house.terminals).await;
    let far = house.made(AgentDraft { machine: Some("pod".into()), ..draft("far", "shell") }).await;
    let tmux = socket(&pod.folder);
    let there = || {
        let mut asked = std::process::Command::new("tmux");
        let output = asked.arg("-S").arg(&tmux).args(["has-session", "-t", "=agent-far"]).output();
        output.unwrap().status.success()
    };
    // What `ask` makes starts a session there, and nobody here hears of it.
    let lost = async |pod: &mut Pod, ask: JoinHandle<Result<(), Error>>| {
        until("it runs there", || async { there() }).await;
        pod.cut(&house.terminals).await;
        let said = ask.await.unwrap();
        assert!(house.auth.tokens(&who).await.unwrap().is_empty(), "nobody knows whether it runs");
        pod.mute.store(false, Ordering::SeqCst);
        pod.connect(&house.terminals).await;
        said
    };
    let (agents, id) = (house.agents.clone(), far.id);
    let start = async move { agents.start(&Caller::cli(), id).await.map(drop) };
    pod.mute.store(true, Ordering::SeqCst);
    let said = lost(&mut pod, TaskTracker::new().spawn(start)).await;
    assert_eq!(refused(said).kind, FailureKind::Outside);
    // Nobody was told that it started, so nobody wants it.
    house.agents.activate().await.unwrap();
    assert!(!there(), "it was not ended");

    // The same with one that is wanted, and ended there.
    house.agents.start(&who, far.id).await.unwrap();
    let killed =
        std::process::Command::new("tmux").arg("-S").arg(&tmux).args(["kill-session", "-t", "=agent-far"]).status();
    assert!(killed.unwrap().success());
    until("its end is known", || async { house.running().await.is_empty() }).await;
    house.agents.activate().await.unwrap();
    house.clock.advance(crate::clock::MINUTE);
    pod.mute.store(true, Ordering::SeqCst);
    let agents = house.agents.clone();
    let keep = async move { agents.activate().await.map(drop) };
    let _ = lost(&mut pod, TaskTracker::new().spawn(keep)).await;
    assert!(there());
    house.agents.activate().await.unwrap();
    let view = house.get(&far).await;
    assert_eq!(view.state, crate::agents::AgentState::Running);
    assert!(view.token_prefix.is_some() && there(), "it was not started anew with a token");
}
