//! Server functions of terminals: who is calling, call the room, map the error.

use leptos::prelude::*;
use server::{
    id::{LinkId, RecordingId},
    terminals::{
        Found, History, LastWords, LinkView, NewLink, RecordingView, ScreenView, TerminalDraft, TerminalView, Ticket,
    },
};

use crate::Refusal;

/// All terminals by name.
#[server(prefix = "/api", endpoint = "/list_terminals", input = leptos::server_fn::codec::Json)]
pub(crate) async fn list_terminals() -> Result<Vec<TerminalView>, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.list_terminals(&who).await?)
}

/// Why no terminal can run on the hub's own machine, and what to install; `None`: they can.
#[server(prefix = "/api", endpoint = "/terminal_trouble", input = leptos::server_fn::codec::Json)]
pub(crate) async fn terminal_trouble() -> Result<Option<String>, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.terminals.trouble(&who).await?)
}

/// What opens one socket, once.
#[server(prefix = "/api", endpoint = "/terminal_ticket", input = leptos::server_fn::codec::Json)]
pub(crate) async fn terminal_ticket(name: String) -> Result<Ticket, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.terminals.ticket(&who, &name)?)
}

/// The screens that changed since those that are `known`, by name and sequence.
#[server(prefix = "/api", endpoint = "/terminal_screens", input = leptos::server_fn::codec::Json)]
pub(crate) async fn terminal_screens(known: Vec<(String, u64)>) -> Result<Vec<ScreenView>, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.terminals.screens(&who, known).await?)
}

/// The last `lines` lines of a terminal's history.
#[server(prefix = "/api", endpoint = "/terminal_history", input = leptos::server_fn::codec::Json)]
pub(crate) async fn terminal_history(name: String, lines: usize) -> Result<History, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.terminals.history(&who, &name, lines).await?)
}

/// What a terminal's program said last, if it failed and was not started since.
#[server(prefix = "/api", endpoint = "/terminal_last_words", input = leptos::server_fn::codec::Json)]
pub(crate) async fn terminal_last_words(name: String) -> Result<Option<LastWords>, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.terminals.last_words(&who, &name).await?)
}

/// The lines of all histories that hold `text`.
#[server(prefix = "/api", endpoint = "/find_history", input = leptos::server_fn::codec::Json)]
pub(crate) async fn find_history(text: String) -> Result<Vec<Found>, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.terminals.find(&who, &text).await?)
}

/// Starts a terminal that is no agent's.
#[server(prefix = "/api", endpoint = "/start_terminal", input = leptos::server_fn::codec::Json)]
pub(crate) async fn start_terminal(draft: TerminalDraft) -> Result<(), Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.terminals.start(&who, draft).await?)
}

/// Starts a terminal that has ended as it was started before; the agent whose it is, if it is one's.
#[server(prefix = "/api", endpoint = "/start_terminal_again", input = leptos::server_fn::codec::Json)]
pub(crate) async fn start_terminal_again(name: String) -> Result<(), Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.start_terminal_again(&who, &name).await?)
}

/// Ends a terminal and what runs in it.
#[server(prefix = "/api", endpoint = "/stop_terminal", input = leptos::server_fn::codec::Json)]
pub(crate) async fn stop_terminal(name: String) -> Result<(), Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.terminals.stop(&who, &name).await?)
}

/// Forgets a terminal that has ended; its recordings stay.
#[server(prefix = "/api", endpoint = "/remove_terminal", input = leptos::server_fn::codec::Json)]
pub(crate) async fn remove_terminal(name: String) -> Result<(), Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.terminals.remove(&who, &name).await?)
}

/// Whether a terminal is recorded whenever it runs.
#[server(prefix = "/api", endpoint = "/record_terminal", input = leptos::server_fn::codec::Json)]
pub(crate) async fn record_terminal(name: String, on: bool) -> Result<(), Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.terminals.record(&who, &name, on).await?)
}

/// The recordings of a terminal, newest first.
#[server(prefix = "/api", endpoint = "/list_recordings", input = leptos::server_fn::codec::Json)]
pub(crate) async fn list_recordings(name: String) -> Result<Vec<RecordingView>, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.terminals.recordings(&who, &name).await?)
}

/// Deletes a recording and its file.
#[server(prefix = "/api", endpoint = "/delete_recording", input = leptos::server_fn::codec::Json)]
pub(crate) async fn delete_recording(id: RecordingId) -> Result<(), Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.terminals.delete_recording(&who, id).await?)
}

/// Makes a link that shows a terminal, and nothing else, for some hours.
#[server(prefix = "/api", endpoint = "/share_terminal", input = leptos::server_fn::codec::Json)]
pub(crate) async fn share_terminal(name: String, hours: u32) -> Result<NewLink, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.terminals.share(&who, &name, hours).await?)
}

/// The links of a terminal that are still good.
#[server(prefix = "/api", endpoint = "/list_links", input = leptos::server_fn::codec::Json)]
pub(crate) async fn list_links(name: String) -> Result<Vec<LinkView>, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.terminals.links(&who, &name).await?)
}

/// Ends a link; who watches through it is shut out at once.
#[server(prefix = "/api", endpoint = "/revoke_link", input = leptos::server_fn::codec::Json)]
pub(crate) async fn revoke_link(id: LinkId) -> Result<(), Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.terminals.revoke_link(&who, id).await?)
}
