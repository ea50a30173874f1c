//! What a guest of a share link asks for: `POST /s/open` turns the link's secret into a cookie, `POST /s/ticket?link=ID` gives a
//! ticket, `GET /s/ws?link=ID` is the socket. The page `/s` itself is of the crate `app`.
//!
//! The cookie is for these paths alone (`Path=/s`) and is no account: nothing else of the hub looks at it. Each link has its own,
//! so that two links in two tabs of a browser stay two.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Query, State, ws::WebSocketUpgrade},
    http::{HeaderMap, header},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use serde_json::json;

use super::{Visit, serve::Shared, terminals};
use crate::{
    error::{Error, Failure, FailureKind},
    id::LinkId,
    terminals::{Closing, Guest, Ticket, Who},
};

/// What a cookie's name begins with; the link's id follows.
const COOKIE: &str = "share-";

/// Which link the page is of. Without one there is no cookie to look for.
#[derive(Deserialize)]
pub(super) struct Which {
    link: Option<LinkId>,
}

/// What the page sends of the link's fragment.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Opening {
    secret: String,
}

/// `POST /s/open`: which terminal it is, and a cookie for the rest.
pub(super) async fn open(
    State(shared): State<Arc<Shared>>,
    Extension(visit): Extension<Visit>,
    Json(opening): Json<Opening>,
) -> Result<Response, Error> {
    let guest = shared.hub.terminals.open_link(&opening.secret, &visit.visitor.address).await?;
    let left = guest.expires_at.since(shared.hub.clock.now()) / 1_000;
    let mark = if visit.secure { "; Secure" } else { "" };
    let cookie =
        format!("{COOKIE}{}={}; Path=/s; HttpOnly; SameSite=Strict; Max-Age={left}{mark}", guest.link, opening.secret);
    let body = json!({ "link": guest.link, "terminal": guest.terminal, "expires_at": guest.expires_at });
    Ok(([(header::SET_COOKIE, cookie), (header::CACHE_CONTROL, "no-store".to_owned())], Json(body)).into_response())
}

/// `POST /s/ticket`: a ticket for one socket.
pub(super) async fn ticket(
    State(shared): State<Arc<Shared>>,
    Extension(visit): Extension<Visit>,
    Query(which): Query<Which>,
    headers: HeaderMap,
) -> Result<Json<Ticket>, Error> {
    let guest = guest_of(&shared, &visit, &headers, which).await?;
    Ok(Json(shared.hub.terminals.ticket_for(&Who::Guest(guest.link), &guest.terminal)?))
}

/// `GET /s/ws`: the socket of a guest.
pub(super) async fn guest(
    State(shared): State<Arc<Shared>>,
    Extension(visit): Extension<Visit>,
    Query(which): Query<Which>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Error> {
    let guest = guest_of(&shared, &visit, &headers, which).await?;
    let who = Who::Guest(guest.link);
    terminals::admit(&shared, &who, &guest.terminal, &headers)?;
    let seat = shared.hub.terminals.guest(guest.link).await?;
    let entry = terminals::Entry { who, name: guest.terminal, address: visit.visitor.address, pass: None };
    let over = async move {
        seat.ended().await;
        Closing::Withdrawn
    };
    Ok(terminals::open(shared, upgrade, entry, over))
}

/// Whom the link's cookie belongs to.
async fn guest_of(shared: &Shared, visit: &Visit, headers: &HeaderMap, which: Which) -> Result<Guest, Error> {
    let again = || {
        let message = "open the share link again; this browser has not, or its time is over";
        Failure::new(FailureKind::Unauthorized, message)
    };
    let link = which.link.ok_or_else(again)?;
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let secret = cookies
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| name.strip_prefix(COOKIE) == Some(link.to_string().as_str()))
        .map(|(_, secret)| secret);
    let guest = shared.hub.terminals.open_link(secret.ok_or_else(again)?, &visit.visitor.address).await?;
    if guest.link != link {
        return Err(again().into());
    }
    Ok(guest)
}
