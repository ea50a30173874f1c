//! `presence`: who is there. Agents' sessions are kept as they are wanted, who of them waits is seen; keyboards that nobody
//! types on are free again, what should be recorded is.

use std::time::Duration;

use super::driver::Activate;
use crate::{Hub, clock::Stopwatch};

/// How often tmux is asked while the crew rests and nobody looks: each question starts a process, and nothing is expected.
const SELDOM: Duration = Duration::from_secs(15);

pub(super) struct Presence {
    hub: Hub,
    /// What should run is started once; who ends a shell of their own has ended it.
    begun: bool,
    first_crew: bool,
    /// Why there are no terminals, once it was said.
    without: Option<String>,
    /// When the crew was last looked after.
    looked: Option<Stopwatch>,
    /// The newest event when it was seen to rest. Without another one it still does.
    rests: Option<i64>,
}

impl Presence {
    pub(super) fn new(hub: &Hub, first_crew: bool) -> Self {
        Self { hub: hub.clone(), begun: false, first_crew, without: None, looked: None, rests: None }
    }
}

impl Activate for Presence {
    const NAME: &'static str = "presence";
    const PERIOD: Duration = Duration::from_secs(3);

    async fn activate(&mut self) -> anyhow::Result<String> {
        let terminals = &self.hub.terminals;
        terminals.settle_keyboards();
        terminals.settle_ended().await?;
        // Without tmux the hub goes on without terminals of its own; that is said once, and again to whoever starts one. Machines may
        // have it.
        let ready = terminals.ready().await;
        if let Err(why) = &ready {
            let why = why.to_string();
            if self.without.as_ref() != Some(&why) {
                tracing::warn!(why, "there are no terminals on this machine");
                self.without = Some(why);
            }
        } else if !self.begun {
            if self.first_crew {
                terminals.seed().await?;
            }
            let started = terminals.resume().await?;
            self.begun = true;
            // The crew at once too: who opens the first page finds it at work.
            let crew = self.hub.agents.activate().await?;
            return Ok(format!("started {started} terminals; {crew}"));
        }
        let lately = self.looked.is_some_and(|looked| looked.elapsed() < SELDOM);
        let looked_at = terminals.watched() || self.hub.images.followed();
        let newest = *self.hub.events.follow().borrow();
        if lately && !looked_at && self.rests == Some(newest) {
            return Ok("the crew rests".to_owned());
        }
        if terminals.able().await {
            terminals.reconcile_recording().await?;
        }
        if ready.is_err() {
            // It says so with each agent.
            return Ok(self.hub.agents.activate().await?);
        }
        if lately && !looked_at && self.hub.agents.at_rest().await? {
            self.rests = Some(newest);
            return Ok("the crew rests".to_owned());
        }
        self.looked = Some(Stopwatch::start());
        Ok(self.hub.agents.activate().await?)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;
    use tokio_util::{sync::CancellationToken, task::TaskTracker};

    use super::*;
    use crate::{
        caller::Caller,
        clock::{Clock, MINUTE, Timestamp},
        terminals::{Holder, Home, LinkEnd, TerminalDraft, Who},
    };

    #[tokio::test]
    async fn a_hub_that_cannot_hold_terminals_looks_after_those_of_its_machines() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (folder, there) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir_in("/tmp").expect("a folder"));
        // A socket's path cannot be as long.
        let data = folder.path().join("x".repeat(100));
        let clock = Clock::by_hand(Timestamp::from_millis(1_900_000_000_000));
        let hub = Hub::open(&data, None, clock.clone()).await.expect("the hub opens");
        let mut presence = Presence::new(&hub, true);
        presence.activate().await.expect("goes on");
        assert!(hub.terminals.ready().await.is_err());

        let holder = Holder::open(there.path(), TaskTracker::new(), CancellationToken::new(), clock.clone());
        let (holder, room) = (holder.expect("tmux"), hub.terminals.clone());
        let ((out, inn), (back, from)) = (mpsc::channel(64), mpsc::channel(64));
        let home = Home { data: there.path().display().to_string(), hub: "https://hub.example".to_owned() };
        hub.tasks.spawn(async move { holder.serve(LinkEnd { out, inn: from }).await });
        hub.tasks.spawn(async move { room.connect("pod", home, LinkEnd { out: back, inn }).await });
        let who = Caller::cli();
        let start = TerminalDraft {
            name: "a".to_owned(),
            command: vec!["cat".to_owned()],
            folder: "/".to_owned(),
            machine: Some("pod".to_owned()),
        };
        let mut started = Ok(());
        for _ in 0..200 {
            started = hub.terminals.start(&who, start.clone()).await;
            if started.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        started.expect("the machine has connected");
        let (hands, _eyes) = hub.terminals.join(Who::Known(who), "a", "127.0.0.1").await.expect("joins");
        let take = crate::terminals::Request::Take { over: false };
        hands.ask(take).await.expect("takes the keyboard");
        clock.advance(3 * MINUTE);
        presence.activate().await.expect("goes on");
        let mut told = hub.events.follow();
        loop {
            let events = hub.events.after(0, 1000).await.expect("events");
            if events.iter().any(|event| event.kind == "typed" && event.subject == "a") {
                break;
            }
            let more = tokio::time::timeout(Duration::from_secs(20), told.changed()).await;
            more.expect("the audit log says who typed").expect("the hub runs");
        }
        hub.stop.cancel();
        let socket = there.path().join("terminals/tmux.sock");
        let _ = std::process::Command::new("tmux").arg("-S").arg(socket).arg("kill-server").output();
    }
}
