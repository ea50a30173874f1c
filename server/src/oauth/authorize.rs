//! `/oauth/authorize`: a client asks, a person answers.

use std::sync::Arc;

use axum::{
    Extension,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::Response,
};
use url::Url;

use super::{
    codes::{Code, Use},
    documents::{Client, host, own_computer},
    pages::{ConsentPage, LeavePage, Page, RefusalPage, show},
    rules::{self, Params, Wrong},
    state::Shared,
};
use crate::{
    auth::{Auth, GrantDraft},
    caller::{Caller, Role},
    error::{Failure, FailureKind},
    http::{Credential, Visit},
    id::UserId,
};

/// A question that stands on somebody's screen.
#[derive(Clone)]
pub(super) struct Ticket {
    /// Whose screen: nobody else can answer.
    person: UserId,
    client: Client,
    redirect: Url,
    /// As the client wrote it.
    redirect_uri: String,
    state: Option<String>,
    challenge: String,
    /// What the client asks for.
    role: Role,
    /// What was answered: who presses twice gets the same answer twice.
    answered: Option<LeavePage>,
}

/// `GET /oauth/authorize`: checks who asks for what, and puts the question. Strangers were led to the sign-in before.
pub(super) async fn ask(
    State(oauth): State<Arc<Shared>>,
    Extension(visit): Extension<Visit>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let page = match question(&oauth, &visit, uri.query().unwrap_or_default()).await {
        Ok(page) => page,
        Err(failure) => refused(failure),
    };
    show(oauth.render, &headers, page)
}

async fn question(oauth: &Shared, visit: &Visit, query: &str) -> Result<Page, Failure> {
    // Before anything is fetched: only who may answer makes the hub fetch.
    let (who, person) = person(visit)?;
    let params = Params::read(query.as_bytes())
        .map_err(|name| Failure::invalid(format!("the parameter \"{name}\" came twice; tell the client's makers")))?;
    let missing =
        |name: &str| Failure::invalid(format!("the parameter \"{name}\" is missing; start again from the client"));
    let client_id = params.get("client_id").ok_or_else(|| missing("client_id"))?;
    let redirect_uri = params.get("redirect_uri").ok_or_else(|| missing("redirect_uri"))?;
    let client = oauth.clients.client(client_id).await?;
    let redirect = client.redirect(redirect_uri)?;
    // From here on the client is told what is wrong, where its document says.
    let state = params.get("state").map(str::to_owned);
    let (challenge, role) = match rules::asked(&params, &oauth.resource) {
        Ok(asked) => asked,
        Err(wrong) => {
            let page = oauth.leave_with(&redirect, state.as_deref(), &wrong);
            return Ok(Page::Leave(LeavePage { problem: Some(wrong.description), ..page }));
        }
    };
    let ticket = Ticket {
        person,
        client,
        redirect,
        redirect_uri: redirect_uri.to_owned(),
        state,
        challenge,
        role,
        answered: None,
    };
    let page = ticket.page(who, rules::slug(&ticket.client.name), role, None);
    let secret = oauth.tickets.put(ticket, oauth.hub.clock.now()).ok_or_else(|| {
        Failure::new(FailureKind::TooMany, "too many clients ask to be let in; wait some minutes and try again")
    })?;
    Ok(Page::Consent(ConsentPage { ticket: secret, ..page }))
}

/// `POST /oauth/authorize`: the answer of the form. The guard has seen to it that it came from our own page.
pub(super) async fn answer(
    State(oauth): State<Arc<Shared>>,
    Extension(visit): Extension<Visit>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let page = match decide(&oauth, &visit, &body) {
        Ok(page) => page,
        Err(failure) => refused(failure),
    };
    show(oauth.render, &headers, page)
}

fn decide(oauth: &Shared, visit: &Visit, body: &[u8]) -> Result<Page, Failure> {
    let (who, person) = person(visit)?;
    let gone = || Failure::invalid("this question is no longer open; start again from the client");
    let params = Params::read(body).map_err(|_| gone())?;
    let secret = params.get("ticket").unwrap_or_default();
    let now = oauth.hub.clock.now();
    let ticket = oauth.tickets.with(secret, now, |ticket| ticket.clone()).ok_or_else(gone)?;
    if ticket.person != person {
        return Err(gone());
    }
    if let Some(page) = ticket.answered {
        return Ok(Page::Leave(page));
    }
    let state = ticket.state.as_deref();
    let page = if params.get("answer") == Some("allow") {
        // A field that is missing is left as it was asked; a form always has both.
        let role = params.get("scope").map_or(Some(ticket.role), |scope| rules::role(Some(scope)));
        let role = role.ok_or_else(gone)?;
        let agent = params.get("agent").unwrap_or_default().trim().to_owned();
        let client = &ticket.client;
        let draft = GrantDraft {
            client_id: client.id.clone(),
            name: format!("{} ({})", client.name.chars().take(30).collect::<String>().trim(), client.host),
            agent: agent.clone(),
            role,
        };
        let consent = match Auth::consent(who, draft) {
            Ok(consent) => consent,
            Err(failure) => {
                let page = ticket.page(who, agent, role, Some(failure.message));
                return Ok(Page::Consent(ConsentPage { ticket: secret.to_owned(), ..page }));
            }
        };
        let code = Code {
            consent,
            client_id: client.id.clone(),
            redirect_uri: ticket.redirect_uri.clone(),
            challenge: ticket.challenge.clone(),
            made_at: now,
            use_: Use::Fresh,
        };
        match oauth.codes.put(code, now) {
            Some(code) => oauth.leave(&ticket.redirect, state, &[("code", &code)], true),
            None => {
                let wrong = Wrong::new("temporarily_unavailable", "too many codes are open; try again in some minutes");
                oauth.leave_with(&ticket.redirect, state, &wrong)
            }
        }
    } else {
        oauth.leave_with(&ticket.redirect, state, &Wrong::new("access_denied", "the person said no"))
    };
    // Of two answers at once the first one counts.
    let first = oauth.tickets.with(secret, now, |ticket| ticket.answered.get_or_insert(page).clone());
    first.map(Page::Leave).ok_or_else(gone)
}

/// The signed-in person who may let clients in.
fn person(visit: &Visit) -> Result<(&Caller, UserId), Failure> {
    let who = visit.caller()?;
    let person = Auth::may_consent(who)?;
    if !matches!(visit.credential, Some(Credential::Session(_))) {
        return Err(Failure::new(FailureKind::Forbidden, "only a person lets agents in; open this page in a browser"));
    }
    Ok((who, person))
}

impl Ticket {
    fn page(&self, who: &Caller, agent: String, role: Role, failure: Option<String>) -> ConsentPage {
        let actor = who.actor.to_string();
        ConsentPage {
            ticket: String::new(),
            client: self.client.name.clone(),
            client_host: self.client.host.clone(),
            redirect_host: host(&self.redirect),
            own_computer: own_computer(&self.redirect),
            agent,
            role,
            person: actor.split_once(':').map_or(actor.as_str(), |(_, name)| name).to_owned(),
            failure,
        }
    }
}

impl Shared {
    /// Back to the client with `answer`, the state it gave, and who we are (RFC 9207).
    fn leave(&self, redirect: &Url, state: Option<&str>, answer: &[(&str, &str)], allowed: bool) -> LeavePage {
        let mut all = answer.to_vec();
        all.extend(state.map(|state| ("state", state)));
        all.push(("iss", &self.issuer));
        LeavePage { to: rules::with_answer(redirect, &all), host: host(redirect), allowed, problem: None }
    }

    fn leave_with(&self, redirect: &Url, state: Option<&str>, wrong: &Wrong) -> LeavePage {
        let answer = [("error", wrong.error), ("error_description", wrong.description.as_str())];
        self.leave(redirect, state, &answer, false)
    }
}

fn refused(failure: Failure) -> Page {
    let status = StatusCode::from_u16(failure.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // To a browser a wrong request is a 400; 422 is for forms.
    let status = if status == StatusCode::UNPROCESSABLE_ENTITY { StatusCode::BAD_REQUEST } else { status };
    Page::Refused(RefusalPage { status, message: failure.message })
}
