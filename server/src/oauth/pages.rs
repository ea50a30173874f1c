//! What people see. The pages themselves are made by who serves them; here is what stands on them.

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};

use crate::caller::Role;

/// Makes a page. Gets the headers of the request, for the theme that the person chose.
pub type Render = fn(&HeaderMap, Page) -> Response;

/// A page of the way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// The question.
    Consent(ConsentPage),
    /// The way back to the client.
    Leave(LeavePage),
    /// Why there is no question. Shown where it is not sure that the address to go back to is the client's.
    Refused(RefusalPage),
}

/// Shall this client be let in?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentPage {
    /// What the form sends back, so that it is known what was asked.
    pub ticket: String,
    /// What the client calls itself. Untrusted.
    pub client: String,
    /// The host that vouches for it.
    pub client_host: String,
    /// Where the code goes: a host, or what else the address begins with.
    pub redirect_host: String,
    /// Whether that is the reader's own computer, where any program may be listening.
    pub own_computer: bool,
    /// The agent it will speak for, as proposed or as typed.
    pub agent: String,
    /// What it asks to do, or what was chosen: viewer or agent.
    pub role: Role,
    /// Who is signed in.
    pub person: String,
    /// What was wrong with the last answer.
    pub failure: Option<String>,
}

/// The way back to the client. After a person's answer it goes by itself, and has a link for browsers that do not.
///
/// A page and not a redirect: browsers hold every hop after a form to the form's own policy (`form-action`), and clients
/// redirect further to hosts that nobody can know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeavePage {
    /// The address, with the answer in it.
    pub to: String,
    /// Its host, or what else it begins with.
    pub host: String,
    /// Whether the client was let in.
    pub allowed: bool,
    /// What was wrong with what the client asked. Then nobody was asked, and it does not go by itself: else everybody with a
    /// document could make the hub's address lead to theirs (RFC 9700 §4.11.2).
    pub problem: Option<String>,
}

/// No question is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalPage {
    /// The status to answer with.
    pub status: StatusCode,
    /// Why, and what to do.
    pub message: String,
}

/// Clients open the way in as a window, and some of them talk to it when it has come back to them: the policy of all other
/// pages (`same-origin`) would cut it off from its opener. What protects the question is that it cannot be framed.
pub(crate) const OPENER: (HeaderName, HeaderValue) =
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("unsafe-none"));

/// `page` as it goes out. The policy on referrers is everybody's (`same-origin`): nothing of the address goes to another site, and
/// the form still says that it is ours. With `no-referrer` a browser would send it with `Origin: null`.
pub(super) fn show(render: Render, headers: &HeaderMap, page: Page) -> Response {
    let to = match &page {
        Page::Leave(page) if page.problem.is_none() => HeaderValue::from_str(&format!("0; url={}", page.to)).ok(),
        Page::Leave(_) | Page::Consent(_) | Page::Refused(_) => None,
    };
    let mut response = render(headers, page);
    let answer = response.headers_mut();
    answer.insert(OPENER.0, OPENER.1);
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(to) = to {
        answer.insert(header::REFRESH, to);
    }
    response
}
