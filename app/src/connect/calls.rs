//! The server function of this page; tokens are made by those of the settings.

use leptos::prelude::*;
use server::{events::EventView, id::TokenId};

use crate::Refusal;

/// The client program that came in last with a token, if one has.
#[server(prefix = "/api", endpoint = "/token_client", input = leptos::server_fn::codec::Json)]
pub(crate) async fn token_client(token: TokenId) -> Result<Option<EventView>, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.events.connected(&who, token).await?)
}
