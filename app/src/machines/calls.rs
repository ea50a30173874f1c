//! Server functions of machines: who is calling, call the room, map the error.

use leptos::prelude::*;
use server::machines::{MachineDraft, MachineView, NewMachine, ProgramView};

use crate::Refusal;

/// All machines: the hub's own first, the others by name.
#[server(prefix = "/api", endpoint = "/list_machines", input = leptos::server_fn::codec::Json)]
pub(crate) async fn list_machines() -> Result<Vec<MachineView>, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.machines.list(&who).await?)
}

/// Of each machine beside the hub's own its name, and its name with its state for people.
#[server(prefix = "/api", endpoint = "/machine_choices", input = leptos::server_fn::codec::Json)]
pub(crate) async fn machine_choices() -> Result<Vec<(String, String)>, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(super::choice::others(hub.machines.list(&who).await?))
}

/// How many terminals that have not ended each machine has.
#[server(prefix = "/api", endpoint = "/machine_terminals", input = leptos::server_fn::codec::Json)]
pub(crate) async fn machine_terminals() -> Result<Vec<(String, usize)>, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(super::choice::counted(&hub.terminals.list(&who).await?))
}

/// Lets a machine join, once and within an hour; one that is there already may join anew.
#[server(prefix = "/api", endpoint = "/add_machine", input = leptos::server_fn::codec::Json)]
pub(crate) async fn add_machine(draft: MachineDraft) -> Result<NewMachine, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.machines.add(&who, draft).await?)
}

/// Removes a machine, closes its link and forgets its terminals; what runs on it is left alone.
#[server(prefix = "/api", endpoint = "/remove_machine", input = leptos::server_fn::codec::Json)]
pub(crate) async fn remove_machine(name: String) -> Result<(), Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.remove_machine(&who, &name).await?)
}

/// The program that a machine is given, for the install line.
#[server(prefix = "/api", endpoint = "/machine_program", input = leptos::server_fn::codec::Json)]
pub(crate) async fn machine_program() -> Result<ProgramView, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.machines.program_for(&who).await?)
}
