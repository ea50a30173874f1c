//! The server functions of the overview.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use server::{
    agents::Waiting,
    events::EventView,
    images::{ImageStats, ImageView},
    services::ServiceView,
};

use crate::Refusal;

/// Everything that the overview shows, in one answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct OverviewView {
    /// Agents that need somebody, the one that waits longest first.
    pub(crate) waiting: Vec<Waiting>,
    /// Totals.
    pub(crate) stats: ImageStats,
    /// Running and waiting images, at most 4.
    pub(crate) open: Vec<ImageView>,
    /// The newest images with a picture, at most as many as there are places.
    pub(crate) pictures: Vec<ImageView>,
    /// Failed within the last day, as far as they are among the newest images.
    pub(crate) failed: Vec<ImageView>,
    /// All services.
    pub(crate) services: Vec<ServiceView>,
    /// The newest events that tell something, at most 18.
    pub(crate) events: Vec<EventView>,
}

/// What is going on.
#[server(prefix = "/api", endpoint = "/overview", input = leptos::server_fn::codec::Json)]
pub(crate) async fn load_overview() -> Result<OverviewView, Refusal> {
    use server::{
        events::{EventFilter, Topic},
        images::{ImageFilter, ImageStatus},
    };
    let (hub, who) = crate::failure::entered()?;
    // None waits for another, and there are several readers.
    let (waiting, stats, mut open, ended, services, mut events) = tokio::try_join!(
        hub.agents.waiting(&who),
        hub.images.stats(&who),
        hub.images.list(&who, ImageFilter { ended: Some(false), ..Default::default() }),
        hub.images.list(&who, ImageFilter { ended: Some(true), limit: 20, ..Default::default() }),
        hub.services.list(&who),
        hub.events.list(&who, EventFilter::newest(40)),
    )?;
    open.truncate(4);
    let yesterday = server::clock::Timestamp::from_millis(hub.clock.now().millis() - server::clock::DAY);
    let (mut pictures, mut failed) = (Vec::new(), Vec::new());
    for image in ended {
        match image.status {
            ImageStatus::Done if pictures.len() < super::parts::PLACES => pictures.push(image),
            ImageStatus::Failed if image.finished_at > Some(yesterday) => failed.push(image),
            _ => {}
        }
    }
    // That it began says nothing once it has ended, and while it is drawn the card of pictures shows it.
    // That an agent is started with a token of its own is how it is always done.
    events.retain(|event| match event.topic {
        Topic::Agents => true,
        Topic::Auth => event.actor != "loop:presence",
        _ => !matches!(event.kind.as_str(), "started" | "cancelling"),
    });
    events.truncate(18);
    Ok(OverviewView { waiting, stats, open, pictures, failed, services, events })
}
