//! `/oauth/token` and `/oauth/revoke`: programs talk here, with what they were given and no cookie.

use std::sync::Arc;

use axum::{
    Extension, Json,
    body::{Body, to_bytes},
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{
    codes::{Brought, Taken},
    metadata::ANY_PAGE,
    rules::{self, Params, Wrong},
    state::Shared,
};
use crate::{
    auth::Granted,
    clock::SECOND,
    error::{Error, Failure},
    http::Visit,
    pace::network,
};

/// Largest request; real ones have a kilobyte.
const LARGEST: usize = 16 << 10;

/// Why there is no token.
enum Refusal {
    /// The client's fault.
    Wrong(Wrong),
    /// It asks too often; seconds to wait.
    TooOften(i64),
    /// Ours.
    Inside(Failure),
}

impl From<Wrong> for Refusal {
    fn from(wrong: Wrong) -> Self {
        Self::Wrong(wrong)
    }
}

/// What the room refuses is the grant's fault: what is wrong with the request was seen before.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(failure) if failure.kind.status() < 500 => {
                Self::Wrong(Wrong::new("invalid_grant", failure.message))
            }
            error => Self::Inside(error.into()),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let say = |status: StatusCode, error: &str, description: String| {
            (status, Json(json!({ "error": error, "error_description": description }))).into_response()
        };
        match self {
            Self::Wrong(wrong) => say(StatusCode::BAD_REQUEST, wrong.error, wrong.description),
            Self::TooOften(seconds) => {
                let words = format!("too many requests from this address; wait {seconds} s and try again");
                let answer = say(StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable", words);
                ([(header::RETRY_AFTER, seconds.to_string())], answer).into_response()
            }
            Self::Inside(failure) => say(StatusCode::INTERNAL_SERVER_ERROR, "server_error", failure.message),
        }
    }
}

/// `POST /oauth/token`: a code or a refresh token becomes an access token. Any page may call it, as none can send what it
/// does not have.
pub(super) async fn token(
    State(oauth): State<Arc<Shared>>,
    Extension(visit): Extension<Visit>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let answer = match exchange(&oauth, &visit, &headers, body).await {
        Ok(granted) => Json(json!({
            "access_token": granted.access,
            "token_type": "Bearer",
            "expires_in": granted.expires_in / SECOND,
            "refresh_token": granted.refresh,
            "scope": rules::scope(granted.role),
        }))
        .into_response(),
        Err(refusal) => refusal.into_response(),
    };
    ([ANY_PAGE, (header::CACHE_CONTROL, "no-store")], answer).into_response()
}

async fn exchange(oauth: &Shared, visit: &Visit, headers: &HeaderMap, body: Body) -> Result<Granted, Refusal> {
    let params = read(oauth, visit, headers, body).await?;
    let client_id = need(&params, "client_id")?;
    rules::resource(&params, &oauth.resource)?;
    match need(&params, "grant_type")? {
        "authorization_code" => {
            let brought = Brought {
                client_id,
                redirect_uri: params.get("redirect_uri"),
                verifier: need(&params, "code_verifier")?,
            };
            redeem(oauth, need(&params, "code")?, &brought).await
        }
        "refresh_token" => {
            let granted = oauth.hub.auth.refresh_grant(client_id, need(&params, "refresh_token")?).await?;
            Ok(granted)
        }
        _ => Err(Wrong::new("unsupported_grant_type", "use authorization_code or refresh_token").into()),
    }
}

/// What a code stands for becomes a token.
async fn redeem(oauth: &Shared, code: &str, brought: &Brought<'_>) -> Result<Granted, Refusal> {
    let now = oauth.hub.clock.now();
    let invalid = |why: &str| Refusal::from(Wrong::new("invalid_grant", why));
    let again = || invalid("this code was used before; what it was changed for has ended. Connect again");
    let taken = oauth.codes.with(code, now, |code| code.take(brought, now));
    let consent = match taken {
        None => return Err(invalid("this code is unknown or has expired; connect again")),
        Some(Taken::Refused(why)) => return Err(invalid(why)),
        Some(Taken::Again(made)) => {
            if let Some(token) = made {
                oauth.hub.auth.end_grant(token).await?;
            }
            return Err(again());
        }
        Some(Taken::Good(consent)) => consent,
    };
    let granted = oauth.hub.auth.grant(consent).await?;
    if oauth.codes.with(code, now, |code| code.became(granted.token)) != Some(true) {
        oauth.hub.auth.end_grant(granted.token).await?;
        return Err(again());
    }
    Ok(granted)
}

/// `POST /oauth/revoke`: a client gives back what it has (RFC 7009). What is unknown is as good as given back.
pub(super) async fn revoke(
    State(oauth): State<Arc<Shared>>,
    Extension(visit): Extension<Visit>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let give_back = async {
        let params = read(&oauth, &visit, &headers, body).await?;
        let (client_id, token) = (need(&params, "client_id")?, need(&params, "token")?);
        Ok::<_, Refusal>(oauth.hub.auth.revoke_grant(client_id, token).await?)
    };
    let answer = match give_back.await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(refusal) => refusal.into_response(),
    };
    ([(header::CACHE_CONTROL, "no-store")], answer).into_response()
}

/// The form of a request, if its sender may send one now.
async fn read(oauth: &Shared, visit: &Visit, headers: &HeaderMap, body: Body) -> Result<Params, Refusal> {
    if let Err(wait) = oauth.pace.take(network(&visit.visitor.address), oauth.hub.clock.now()) {
        return Err(Refusal::TooOften(wait / SECOND + 1));
    }
    let invalid = |why: String| Wrong::new("invalid_request", why);
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded") {
        return Err(invalid("send a form: application/x-www-form-urlencoded".into()).into());
    }
    let body = to_bytes(body, LARGEST).await;
    let body = body.map_err(|_| invalid(format!("the form is over {} KiB", LARGEST >> 10)))?;
    Ok(Params::read(&body).map_err(|name| invalid(format!("\"{name}\" came twice")))?)
}

fn need<'a>(params: &'a Params, name: &str) -> Result<&'a str, Wrong> {
    params.get(name).ok_or_else(|| Wrong::new("invalid_request", format!("\"{name}\" is missing")))
}
