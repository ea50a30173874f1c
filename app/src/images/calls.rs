//! The server functions of this room. Each is an adapter: who is calling, call the room, map the error.

use leptos::{prelude::*, server_fn::codec::Json};
use server::{
    id::{ImageId, ServiceId, WorkflowId},
    images::{ImageDraft, ImageFilter, ImageStats, ImageView, WorkflowView},
    services::Catalog,
};

use crate::{Refusal, ui};

/// Accepts an image; when this returns it is durable and has its seed.
#[server(prefix = "/api", endpoint = "/draw_image", input = Json)]
pub(crate) async fn draw_image(draft: ImageDraft) -> Result<ImageView, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.images.draw(&who, draft).await?)
}

/// Asks for the same image again, with the same seed or (`vary`) a new one.
#[server(prefix = "/api", endpoint = "/draw_again", input = Json)]
pub(crate) async fn draw_again(id: ImageId, vary: bool) -> Result<ImageView, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.images.again(&who, id, vary).await?)
}

/// Puts a failed or cancelled image back into the queue.
#[server(prefix = "/api", endpoint = "/retry_image", input = Json)]
pub(crate) async fn retry_image(id: ImageId) -> Result<ImageView, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.images.retry(&who, id).await?)
}

/// Cancels a waiting or running image.
#[server(prefix = "/api", endpoint = "/cancel_image", input = Json)]
pub(crate) async fn cancel_image(id: ImageId) -> Result<ImageView, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.images.cancel(&who, id).await?)
}

/// Deletes an ended image and its files.
#[server(prefix = "/api", endpoint = "/delete_image", input = Json)]
pub(crate) async fn delete_image(id: ImageId) -> Result<(), Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.images.delete(&who, id).await?)
}

/// One image.
#[server(prefix = "/api", endpoint = "/get_image", input = Json)]
pub(crate) async fn get_image(id: ImageId) -> Result<ImageView, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.images.get(&who, id).await?)
}

/// Images, newest first.
#[server(prefix = "/api", endpoint = "/list_images", input = Json)]
pub(crate) async fn list_images(filter: ImageFilter) -> Result<Vec<ImageView>, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.images.list(&who, filter).await?)
}

/// Running images, then waiting ones, oldest first.
#[server(prefix = "/api", endpoint = "/image_queue", input = Json)]
pub(crate) async fn image_queue() -> Result<Vec<ImageView>, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.images.list(&who, ImageFilter { ended: Some(false), ..ImageFilter::default() }).await?)
}

/// Totals. Named apart from its endpoint: the macro's type would clash with [`ImageStats`].
#[server(prefix = "/api", endpoint = "/image_stats", input = Json)]
pub(crate) async fn image_totals() -> Result<ImageStats, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.images.stats(&who).await?)
}

/// Saved workflows by name.
#[server(prefix = "/api", endpoint = "/list_workflows", input = Json)]
pub(crate) async fn list_workflows() -> Result<Vec<WorkflowView>, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.images.workflows(&who).await?)
}

/// Saves a workflow in API format under a new name.
#[server(prefix = "/api", endpoint = "/save_workflow", input = Json)]
pub(crate) async fn save_workflow(name: String, graph: String) -> Result<WorkflowView, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.images.save_workflow(&who, &name, &graph).await?)
}

/// Deletes a saved workflow.
#[server(prefix = "/api", endpoint = "/delete_workflow", input = Json)]
pub(crate) async fn delete_workflow(id: WorkflowId) -> Result<(), Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.images.delete_workflow(&who, id).await?)
}

/// Id and name of every active service. Asks no service, so a page may wait for it.
#[server(prefix = "/api", endpoint = "/active_services", input = Json)]
pub(crate) async fn active_services() -> Result<Vec<(ServiceId, String)>, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    let all = hub.services.list(&who).await?;
    Ok(all.into_iter().filter(|service| service.active).map(|service| (service.id, service.name)).collect())
}

/// What every active service offers; `None` where it does not answer. Asks the services, so no page waits for it.
#[server(prefix = "/api", endpoint = "/service_choices", input = Json)]
pub(crate) async fn service_choices() -> Result<Vec<(ServiceId, String, Option<Catalog>)>, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    let mut choices = Vec::new();
    for service in hub.services.list(&who).await?.into_iter().filter(|service| service.active) {
        // One that is known to be down would only make the others wait.
        let down = service.health() == server::services::Health::Down;
        let catalog = if down { None } else { hub.services.catalog(&who, service.id).await.ok() };
        choices.push((service.id, service.name, catalog));
    }
    Ok(choices)
}

/// Runs a server function from a button; says what failed as a message.
pub(crate) fn act<T: 'static>(
    call: impl Future<Output = Result<T, Refusal>> + 'static,
    then: impl FnOnce(T) + 'static,
) {
    // What follows an await has no owner of its own, and messages are found through it.
    let owner = Owner::current();
    leptos::task::spawn_local(async move {
        let answer = call.await;
        let done = move || match answer {
            Ok(value) => then(value),
            Err(refusal) => ui::say_failure(&refusal),
        };
        match owner {
            Some(owner) => owner.with(done),
            None => done(),
        }
    });
}
