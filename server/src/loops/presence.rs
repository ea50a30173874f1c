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
}

impl Presence {
    pub(super) fn new(hub: &Hub, first_crew: bool) -> Self {
        Self { hub: hub.clone(), begun: false, first_crew, without: None, looked: None }
    }
}

impl Activate for Presence {
    const NAME: &'static str = "presence";
    const PERIOD: Duration = Duration::from_secs(3);

    async fn activate(&mut self) -> anyhow::Result<String> {
        let terminals = &self.hub.terminals;
        // Without tmux the hub goes on without terminals; that is said once, and again to whoever starts one.
        if let Err(why) = terminals.ready().await {
            let why = why.to_string();
            if self.without.as_ref() != Some(&why) {
                tracing::warn!(why, "there are no terminals");
                self.without = Some(why);
            }
            // It says so with each agent.
            return Ok(self.hub.agents.activate().await?);
        }
        terminals.settle_keyboards().await?;
        if !self.begun {
            if self.first_crew {
                terminals.seed().await?;
            }
            let started = terminals.resume().await?;
            self.begun = true;
            // The crew at once too: who opens the first page finds it at work.
            let crew = self.hub.agents.activate().await?;
            return Ok(format!("started {started} terminals; {crew}"));
        }
        terminals.reconcile_recording().await?;
        let lately = self.looked.is_some_and(|looked| looked.elapsed() < SELDOM);
        let looked_at = terminals.watched() || self.hub.images.followed();
        if lately && !looked_at && self.hub.agents.at_rest().await? {
            return Ok("the crew rests".to_owned());
        }
        self.looked = Some(Stopwatch::start());
        Ok(self.hub.agents.activate().await?)
    }
}
