//! The server functions of the overview.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use server::{
    events::EventView,
    images::{ImageStats, ImageView},
    services::ServiceView,
};

use crate::Refusal;

/// Everything that the overview shows, in one answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct OverviewView {
    /// Totals.
    pub(crate) stats: ImageStats,
    /// Running and waiting images, at most 4.
    pub(crate) open: Vec<ImageView>,
    /// The newest finished images, at most 8.
    pub(crate) pictures: Vec<ImageView>,
    /// All services.
    pub(crate) services: Vec<ServiceView>,
    /// The newest events, at most 12.
    pub(crate) events: Vec<EventView>,
}

/// What is going on.
#[server(prefix = "/api", endpoint = "/overview", input = leptos::server_fn::codec::Json)]
pub(crate) async fn load_overview() -> Result<OverviewView, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    let mut open = hub.images.list(&who, open_filter()).await?;
    open.truncate(4);
    Ok(OverviewView {
        stats: hub.images.stats(&who).await?,
        open,
        pictures: hub.images.list(&who, done_filter()).await?,
        services: hub.services.list(&who).await?,
        events: hub.events.recent(None, 12).await?,
    })
}

#[cfg(feature = "ssr")]
fn open_filter() -> server::images::ImageFilter {
    server::images::ImageFilter { ended: Some(false), ..Default::default() }
}

#[cfg(feature = "ssr")]
fn done_filter() -> server::images::ImageFilter {
    server::images::ImageFilter { ended: Some(true), limit: 8, ..Default::default() }
}
