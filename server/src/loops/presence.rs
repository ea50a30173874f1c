//! The loop `presence`: keeps the agents' sessions as they are wanted, and sees who is there and who waits for somebody.

use std::time::Duration;

use super::driver::Activate;
use crate::{Hub, agents::Agents};

pub(super) struct Presence {
    agents: Agents,
}

impl Presence {
    pub(super) fn new(hub: &Hub) -> Self {
        Self { agents: hub.agents.clone() }
    }
}

impl Activate for Presence {
    const NAME: &'static str = "presence";
    const PERIOD: Duration = Duration::from_secs(3);

    async fn activate(&mut self) -> anyhow::Result<String> {
        Ok(self.agents.activate().await?)
    }
}
