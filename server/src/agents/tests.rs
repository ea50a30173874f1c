//! The room against a real SQLite file and real tmux; the programs are scripts.

#![expect(clippy::unwrap_used, reason = "a failed unwrap in a helper is a failed test")]

use std::{os::unix::fs::PermissionsExt as _, path::PathBuf, time::Duration};

use tempfile::TempDir;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{AgentDraft, AgentView, Agents, Variable};
use crate::{
    auth::Auth,
    caller::{Actor, Caller, Role},
    clock::{Clock, Timestamp},
    db::Db,
    error::{Error, Failure},
    events::Events,
    id::TokenId,
    secrets::Secrets,
    terminals::Terminals,
};

mod cut_off;
mod far;
mod lives;
mod rooms;
mod screens;
mod starts;

/// A secret that must never be seen where it does not belong.
const SECRET: &str = "hunter2-hunter2-hunter2";
const URL: &str = "http://127.0.0.1:3000/mcp";

struct House {
    agents: Agents,
    auth: Auth,
    terminals: Terminals,
    events: Events,
    clock: Clock,
    folder: TempDir,
    stop: CancellationToken,
}

impl Drop for House {
    fn drop(&mut self) {
        let socket = socket(&self.folder);
        let _ = std::process::Command::new("tmux").arg("-S").arg(socket).arg("kill-server").output();
    }
}

fn socket(folder: &TempDir) -> PathBuf {
    folder.path().join("terminals/tmux.sock")
}

impl House {
    /// A hub that has no agents and does not listen yet.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("bin")).unwrap();
        let clock = Clock::by_hand(Timestamp::from_millis(1_900_000_000_000));
        Self::of(folder, clock).await
    }

    async fn of(folder: TempDir, clock: Clock) -> Self {
        let data = folder.path();
        let db = Db::open(&data.join("hub.db")).await.unwrap();
        let events = Events::open(db.clone(), clock.clone()).await.unwrap();
        let secrets = Secrets::from_file(&data.join("secret.key")).unwrap();
        let auth = Auth::open(db.clone(), events.clone(), clock.clone()).await.unwrap();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let terminals = Terminals::open(db.clone(), events.clone(), clock.clone(), data, tasks.clone(), stop.clone());
        let terminals = terminals.await.unwrap();
        let agents = Agents::open(
            db,
            events.clone(),
            clock.clone(),
            secrets,
            auth.clone(),
            terminals.clone(),
            data,
            vec![data.join("bin")],
            tasks,
        );
        Self { agents, auth, terminals, events, clock, folder, stop }
    }

    /// The hub dies and comes back, and looks after its crew; tmux lives on.
    async fn restart(&mut self) {
        self.stop.cancel();
        // What is dropped with the old house is another folder.
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        *self = Self::of(folder, self.clock.clone()).await;
        self.agents.begin(URL.to_owned(), false).await.unwrap();
        self.terminals.resume().await.unwrap();
        self.agents.activate().await.unwrap();
    }

    /// The same, listening.
    async fn begun() -> Self {
        let house = Self::new().await;
        house.agents.begin(URL.to_owned(), false).await.unwrap();
        house
    }

    /// Puts a program where the hub looks for programs.
    fn program(&self, name: &str, script: &str) {
        let file = self.folder.path().join("bin").join(name);
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    async fn list(&self) -> Vec<AgentView> {
        self.agents.list(&Caller::cli()).await.unwrap()
    }

    async fn made(&self, draft: AgentDraft) -> AgentView {
        self.agents.create(&Caller::cli(), draft).await.unwrap()
    }

    async fn get(&self, of: &AgentView) -> AgentView {
        self.agents.get(&Caller::cli(), of.id).await.unwrap()
    }

    /// The kinds of the events about agents.
    async fn kinds(&self) -> Vec<String> {
        let all = self.events.after(0, 1000).await.unwrap();
        all.into_iter().filter(|event| event.topic == crate::events::Topic::Agents).map(|event| event.kind).collect()
    }

    async fn running(&self) -> Vec<String> {
        self.terminals.live().await.unwrap().into_iter().map(|session| session.name).collect()
    }

    async fn screen(&self, slug: &str) -> String {
        self.terminals.screen_text(&super::terminal(slug)).await.unwrap().join("\n")
    }
}

/// Asks until it is so; at most 10 s.
async fn until<F: Future<Output = bool>>(what: &str, so: impl Fn() -> F) {
    for _ in 0..200 {
        if so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what} did not happen within 10 s");
}

fn draft(slug: &str, profile: &str) -> AgentDraft {
    AgentDraft {
        slug: slug.to_owned(),
        name: slug.to_uppercase(),
        role: String::new(),
        profile: profile.to_owned(),
        model: String::new(),
        command: Vec::new(),
        environment: Vec::new(),
        folder: String::new(),
        machine: None,
        restart_on_exit: true,
    }
}

fn plain(name: &str, value: &str) -> Variable {
    Variable { name: name.to_owned(), value: Some(value.to_owned()), secret: false }
}

fn secret(name: &str, value: Option<&str>) -> Variable {
    Variable { name: name.to_owned(), value: value.map(str::to_owned), secret: true }
}

fn caller(role: Role) -> Caller {
    let id = TokenId::new(Timestamp::from_millis(1));
    Caller { actor: Actor::Token(id, role.word().to_owned()), role, session: None }
}

/// The refusal that `result` must be.
#[track_caller]
fn refused<T>(result: Result<T, Error>) -> Failure {
    match result {
        Err(Error::Refused(failure)) => failure,
        Err(Error::Inside(cause)) => panic!("failed inside: {cause:#}"),
        Ok(_) => panic!("was not refused"),
    }
}
