//! What machines ask for: `GET /runner` is the socket of a link, `POST /runner/join` turns a one-time secret into a key,
//! `GET /runner/program` is this program's file, `GET /runner/install.sh` the script that puts it to work.
//!
//! The secret is in the `Authorization` header and opens nothing but these; accounts and tokens of agents open nothing here.

use std::sync::Arc;

use axum::{
    Extension, Json,
    body::Body,
    extract::{State, ws::WebSocketUpgrade},
    http::{HeaderMap, header},
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use tokio_util::io::ReaderStream;

use super::{Visit, serve::Shared};
use crate::{
    clock::SECOND,
    error::{Error, Failure, FailureKind},
    machines::unknown,
    pace::network,
    runner::FRAME,
};

mod link;
mod script;

/// Buffers of a link: larger than a viewer's, since one carries all sessions of a machine.
const BUFFER: usize = 16 << 10;
/// How much of the program is read at a time.
const PART: usize = 64 << 10;

/// `GET /runner`: the socket of a link.
pub(super) async fn socket(
    State(shared): State<Arc<Shared>>,
    Extension(visit): Extension<Visit>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Error> {
    let key = bearer(&headers);
    let Some(machine) = shared.hub.machines.of_key(key).await? else {
        return Err(strange(&shared, &visit, unknown()));
    };
    let (key, address, tasks) = (key.to_owned(), visit.visitor.address, shared.hub.tasks.clone());
    Ok(upgrade
        .max_message_size(FRAME)
        .max_frame_size(FRAME)
        .read_buffer_size(BUFFER)
        .write_buffer_size(0)
        .on_upgrade(move |socket| {
            tasks.track_future(async move {
                let why = link::hold(&shared.hub, &key, address, socket).await;
                tracing::info!(machine, why, "a link ended");
            })
        })
        .into_response())
}

/// What a machine gets for its one-time secret.
#[derive(Serialize)]
pub(super) struct Joined {
    machine: String,
    key: String,
}

/// `POST /runner/join`: a key, once.
pub(super) async fn join(
    State(shared): State<Arc<Shared>>,
    Extension(visit): Extension<Visit>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    match shared.hub.machines.join(bearer(&headers)).await {
        Ok(joined) => {
            let body = Json(Joined { machine: joined.machine, key: joined.key });
            Ok(([(header::CACHE_CONTROL, "no-store")], body).into_response())
        }
        Err(Error::Refused(failure)) => Err(strange(&shared, &visit, failure)),
        Err(error) => Err(error),
    }
}

/// `GET /runner/program`: the program that the hub itself runs, for who has a secret.
pub(super) async fn program(
    State(shared): State<Arc<Shared>>,
    Extension(visit): Extension<Visit>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let machines = &shared.hub.machines;
    if !machines.admits(bearer(&headers)).await? {
        let why = "the program is for machines that may join; copy the install line from the page Machines";
        return Err(strange(&shared, &visit, Failure::new(FailureKind::Unauthorized, why)));
    }
    let program = machines.program().await?;
    let file = tokio::fs::File::from_std(program.open().map_err(anyhow::Error::from)?);
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, program.view().size.to_string()),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"central-mcp\"".to_owned()),
        (header::CACHE_CONTROL, "private, no-store".to_owned()),
    ];
    Ok((headers, Body::from_stream(ReaderStream::with_capacity(file, PART))).into_response())
}

/// `GET /runner/install.sh`: the script, with this hub's address in it and nothing secret.
pub(super) async fn install(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Result<Response, Error> {
    let base = base(&shared, &headers)?;
    let program = shared.hub.machines.program().await?;
    let own = [(header::CONTENT_TYPE, "text/x-shellscript; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    Ok((own, script::install(&base, program.view())).into_response())
}

/// The hub's address as people type it, else as this request was sent: without a slash at the end.
fn base(shared: &Shared, headers: &HeaderMap) -> Result<String, Failure> {
    if let Some(home) = &shared.home {
        return Ok(home.to_string());
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    // It is one of our own names; still it will stand in a script.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    if host.is_empty() || !host.chars().all(plain) {
        return Err(Failure::invalid("this name of the hub cannot stand in a script; use another, or its number"));
    }
    Ok(format!("http://{host}"))
}

/// The secret that a machine came with; empty when it came with none.
fn bearer(headers: &HeaderMap) -> &str {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token =
        value.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    token.map_or("", |(_, token)| token.trim())
}

/// The refusal for a secret that is none. Who comes with many waits; machines beside them that are known do not.
fn strange(shared: &Shared, visit: &Visit, failure: Failure) -> Error {
    match shared.strange.take(network(&visit.visitor.address), shared.hub.clock.now()) {
        Ok(()) => failure.into(),
        Err(wait) => {
            let seconds = (wait + SECOND - 1) / SECOND;
            let message = format!("too many machines that the hub does not know came from here; wait {seconds} s");
            Failure::new(FailureKind::TooMany, message).into()
        }
    }
}
