//! Server functions of agents: who is calling, call the room, map the error.

use leptos::prelude::*;
use server::{
    agents::{AgentDraft, AgentView, ProfileView},
    id::AgentId,
};

use crate::Refusal;

/// All agents by slug.
#[server(prefix = "/api", endpoint = "/list_agents", input = leptos::server_fn::codec::Json)]
pub(crate) async fn list_agents() -> Result<Vec<AgentView>, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.agents.list(&who).await?)
}

/// How many agents need somebody.
#[server(prefix = "/api", endpoint = "/agents_waiting", input = leptos::server_fn::codec::Json)]
pub(crate) async fn agents_waiting() -> Result<usize, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.agents.waiting(&who).await?.len())
}

/// The programs that an agent may run in.
#[server(prefix = "/api", endpoint = "/agent_profiles", input = leptos::server_fn::codec::Json)]
pub(crate) async fn agent_profiles() -> Result<Vec<ProfileView>, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.agents.profiles(&who)?)
}

/// Makes an agent, not started.
#[server(prefix = "/api", endpoint = "/create_agent", input = leptos::server_fn::codec::Json)]
pub(crate) async fn create_agent(draft: AgentDraft) -> Result<AgentView, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.agents.create(&who, draft).await?)
}

/// Replaces an agent's settings, all but its slug; not if `before` is given and they are no longer so.
#[server(prefix = "/api", endpoint = "/edit_agent", input = leptos::server_fn::codec::Json)]
pub(crate) async fn edit_agent(
    id: AgentId,
    before: Option<AgentDraft>,
    draft: AgentDraft,
) -> Result<AgentView, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.agents.edit_seen(&who, id, before.as_ref(), draft).await?)
}

/// Ends its session, revokes its token, forgets its settings.
#[server(prefix = "/api", endpoint = "/delete_agent", input = leptos::server_fn::codec::Json)]
pub(crate) async fn delete_agent(id: AgentId) -> Result<(), Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.agents.delete(&who, id).await?)
}

/// Starts an agent's session.
#[server(prefix = "/api", endpoint = "/start_agent", input = leptos::server_fn::codec::Json)]
pub(crate) async fn start_agent(id: AgentId) -> Result<AgentView, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.agents.start(&who, id).await?)
}

/// Ends an agent's session.
#[server(prefix = "/api", endpoint = "/stop_agent", input = leptos::server_fn::codec::Json)]
pub(crate) async fn stop_agent(id: AgentId) -> Result<AgentView, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.agents.stop(&who, id).await?)
}

/// Ends an agent's session if it runs, and starts it with its present settings.
#[server(prefix = "/api", endpoint = "/restart_agent", input = leptos::server_fn::codec::Json)]
pub(crate) async fn restart_agent(id: AgentId) -> Result<AgentView, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.agents.restart(&who, id).await?)
}
