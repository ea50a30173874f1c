//! The server function of this room: an adapter.

use leptos::{prelude::*, server_fn::codec::Json};
use server::events::{EventFilter, EventView};

use crate::Refusal;

/// Events, newest first: of what the caller may see.
#[server(prefix = "/api", endpoint = "/list_events", input = Json)]
pub(super) async fn list_events(filter: EventFilter) -> Result<Vec<EventView>, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.events.list(&who, filter).await?)
}
