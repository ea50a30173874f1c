//! The loop `system`: deletes what is past its time.

use std::time::Duration;

use super::driver::Activate;
use crate::{Hub, clock::DAY};

/// Days that health checks are kept.
const KEEP_CHECKS: i64 = 7;

pub(super) struct System {
    hub: Hub,
    keep_events: i64,
}

impl System {
    pub(super) fn new(hub: &Hub, keep_events_days: u32) -> Self {
        Self { hub: hub.clone(), keep_events: i64::from(keep_events_days) }
    }
}

impl Activate for System {
    const NAME: &'static str = "system";
    const PERIOD: Duration = Duration::from_secs(3600);

    async fn activate(&mut self) -> anyhow::Result<String> {
        let now = self.hub.clock.now();
        let events = self.hub.events.prune(now.plus(-self.keep_events * DAY)).await?;
        let checks = self.hub.services.prune(now.plus(-KEEP_CHECKS * DAY)).await?;
        let credentials = self.hub.auth.prune().await?;
        let files = self.hub.images.sweep().await?;
        Ok(format!(
            "deleted {events} events, {checks} health checks, {credentials} expired credentials, {files} unused picture files"
        ))
    }
}
