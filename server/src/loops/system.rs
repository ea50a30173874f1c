//! The loop `system`: deletes what is past its time.

use std::time::Duration;

use super::driver::Activate;
use crate::{Hub, clock::DAY, config::Keeping};

/// Days that health checks are kept.
const KEEP_CHECKS: i64 = 7;

pub(super) struct System {
    hub: Hub,
    keeping: Keeping,
}

impl System {
    pub(super) fn new(hub: &Hub, keeping: Keeping) -> Self {
        Self { hub: hub.clone(), keeping }
    }
}

impl Activate for System {
    const NAME: &'static str = "system";
    const PERIOD: Duration = Duration::from_secs(3600);

    async fn activate(&mut self) -> anyhow::Result<String> {
        let now = self.hub.clock.now();
        let events = self.hub.events.prune(now.plus(-i64::from(self.keeping.events_days) * DAY)).await?;
        let checks = self.hub.services.prune(now.plus(-KEEP_CHECKS * DAY)).await?;
        let credentials = self.hub.auth.prune().await?;
        let files = self.hub.images.sweep().await?;
        let recordings =
            self.hub.terminals.prune_recordings(self.keeping.recordings_days, self.keeping.recordings_bytes).await?;
        Ok(format!(
            "deleted {events} events, {checks} health checks, {credentials} expired credentials, \
             {files} unused picture files, {recordings} recordings"
        ))
    }
}
