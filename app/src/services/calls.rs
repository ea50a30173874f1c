//! Server functions of outside services: who is calling, call the room, map the error.

use leptos::prelude::*;
use server::{
    id::ServiceId,
    services::{Catalog, ServiceDraft, ServiceView, TestReport},
};

use crate::Refusal;

/// All services by name, each with its last checks.
#[server(prefix = "/api", endpoint = "/list_services", input = leptos::server_fn::codec::Json)]
pub(crate) async fn list_services() -> Result<Vec<ServiceView>, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.services.list(&who).await?)
}

/// Adds a service, not active.
#[server(prefix = "/api", endpoint = "/add_service", input = leptos::server_fn::codec::Json)]
pub(crate) async fn add_service(draft: ServiceDraft) -> Result<ServiceView, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.services.add(&who, draft).await?)
}

/// Replaces a service's settings; `auth: None` keeps the stored credential.
#[server(prefix = "/api", endpoint = "/update_service", input = leptos::server_fn::codec::Json)]
pub(crate) async fn update_service(id: ServiceId, draft: ServiceDraft) -> Result<ServiceView, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.services.update(&who, id, draft).await?)
}

/// Removes a service; its pictures stay.
#[server(prefix = "/api", endpoint = "/remove_service", input = leptos::server_fn::codec::Json)]
pub(crate) async fn remove_service(id: ServiceId) -> Result<(), Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.services.remove(&who, id).await?)
}

/// Gives a service work, once it passed a test, or takes it away.
#[server(prefix = "/api", endpoint = "/set_service_active", input = leptos::server_fn::codec::Json)]
pub(crate) async fn set_service_active(id: ServiceId, active: bool) -> Result<ServiceView, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.services.set_active(&who, id, active).await?)
}

/// Asks the service of a draft for real, without storing anything.
#[server(prefix = "/api", endpoint = "/test_service", input = leptos::server_fn::codec::Json)]
pub(crate) async fn test_service(draft: ServiceDraft, existing: Option<ServiceId>) -> Result<TestReport, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.services.test(&who, draft, existing).await?)
}

/// Tests a stored service and keeps the result as a health check.
#[server(prefix = "/api", endpoint = "/check_service", input = leptos::server_fn::codec::Json)]
pub(crate) async fn check_service(id: ServiceId) -> Result<TestReport, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.services.check(&who, id).await?)
}

/// The models and samplers that a service offers.
#[server(prefix = "/api", endpoint = "/service_catalog", input = leptos::server_fn::codec::Json)]
pub(crate) async fn service_catalog(id: ServiceId) -> Result<Catalog, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.services.catalog(&who, id).await?)
}
