//! The loop `infrastructure`: checks whether the active services answer.

use std::time::Duration;

use super::driver::Activate;
use crate::{Hub, services::Services};

pub(super) struct Infrastructure {
    services: Services,
}

impl Infrastructure {
    pub(super) fn new(hub: &Hub) -> Self {
        Self { services: hub.services.clone() }
    }
}

impl Activate for Infrastructure {
    const NAME: &'static str = "infrastructure";
    const PERIOD: Duration = Duration::from_secs(30);

    async fn activate(&mut self) -> anyhow::Result<String> {
        let (answered, of) = self.services.check_active().await?;
        Ok(format!("{answered} of {of} active services answered"))
    }
}
