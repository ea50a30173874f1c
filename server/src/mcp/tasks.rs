//! The Tasks extension (`io.modelcontextprotocol/tasks`), for clients that declare it: a task is an image, under the same id
//! and of the same row, so it is as durable as that.

use rmcp::{
    ErrorData,
    model::{CreateTaskResult, DetailedTask, GetTaskResult, Task, TaskPayload, TaskStatus},
};
use serde_json::Value;

use super::{answer, tools::Call, words::iso};
use crate::{
    caller::Caller,
    error::{Error, Failure, FailureKind},
    id::ImageId,
    images::{ImageStatus, ImageView, Images},
};

/// How often a client should ask, in milliseconds.
const POLL: u64 = 2_000;

/// The task that stands for an image just accepted.
pub(super) fn created(view: &ImageView) -> CreateTaskResult {
    CreateTaskResult::new(task(view))
}

/// `tasks/get`.
pub(super) async fn get(call: &Call<'_>, id: &str) -> Result<GetTaskResult, ErrorData> {
    let view = call.mcp.hub.images.get(&call.seat.caller, image(id)?).await.map_err(told)?;
    let payload = match view.status {
        ImageStatus::Queued | ImageStatus::Running => TaskPayload::Working,
        ImageStatus::Cancelled => TaskPayload::Cancelled,
        // An image that failed is a tool's answer that says so; the call itself went well.
        ImageStatus::Done | ImageStatus::Failed => {
            let result =
                answer::about(call.mcp, call.seat, &view, true).await.map_err(|failure| told(failure.into()))?;
            match serde_json::to_value(result) {
                Ok(Value::Object(result)) => TaskPayload::Completed { result },
                _ => return Err(ErrorData::internal_error("the result cannot be written", None)),
            }
        }
    };
    Ok(GetTaskResult::new(DetailedTask::new(task(&view), payload)))
}

/// `tasks/cancel`. What has ended already is as asked.
pub(super) async fn cancel(images: &Images, who: &Caller, id: &str) -> Result<(), ErrorData> {
    match images.cancel(who, image(id)?).await {
        Ok(_) => Ok(()),
        Err(Error::Refused(failure)) if failure.kind == FailureKind::Conflict => Ok(()),
        Err(error) => Err(told(error)),
    }
}

fn task(view: &ImageView) -> Task {
    let status = match view.status {
        ImageStatus::Queued | ImageStatus::Running => TaskStatus::Working,
        ImageStatus::Done | ImageStatus::Failed => TaskStatus::Completed,
        ImageStatus::Cancelled => TaskStatus::Cancelled,
    };
    let updated = view.finished_at.or(view.started_at).unwrap_or(view.created_at);
    let message = match (&view.progress, view.place) {
        (Some(progress), _) if progress.steps > 0 => {
            format!("{}, step {} of {}", progress.phase, progress.step, progress.steps)
        }
        (Some(progress), _) => progress.phase.clone(),
        (None, Some(place)) => format!("queued, {place} before it"),
        (None, None) => view.status.word().to_owned(),
    };
    Task::new(view.id.to_string(), status, iso(view.created_at), iso(updated))
        .with_status_message(message)
        .with_poll_interval_ms(POLL)
}

fn image(id: &str) -> Result<ImageId, ErrorData> {
    id.parse().map_err(|_| no_task())
}

fn no_task() -> ErrorData {
    ErrorData::invalid_params("there is no such task", None)
}

fn told(error: Error) -> ErrorData {
    let failure = Failure::from(error);
    match failure.kind {
        FailureKind::NotFound => no_task(),
        FailureKind::Internal => ErrorData::internal_error(failure.message, None),
        _ => ErrorData::invalid_request(failure.message, None),
    }
}
