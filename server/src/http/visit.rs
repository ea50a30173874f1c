//! Who is this? Turns a cookie or a bearer token into a [`Visit`], once per request.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::serve::Shared;
use crate::{
    auth::{Auth, Visitor},
    caller::Caller,
    error::{Error, Failure, FailureKind},
};

/// The cookie where the connection is encrypted. `__Host-` makes browsers insist on Secure, no Domain, and Path=/.
const SECURE_COOKIE: &str = "__Host-session";
/// The cookie on plain http, which is for localhost: not every browser takes Secure cookies there.
const PLAIN_COOKIE: &str = "session";
/// Browsers cap a cookie's age at 400 days; the session itself ends sooner.
const COOKIE_AGE: u32 = 400 * 24 * 3600;

/// What a request came with.
#[derive(Clone)]
pub enum Credential {
    /// A session cookie's value.
    Session(String),
    /// A bearer token.
    Token(String),
}

impl Credential {
    /// Who it belongs to now, asked by the hub itself for a stream that it opened: a token is not used by that. A session is,
    /// for a page that is open is one that is looked at.
    pub async fn still(&self, auth: &Auth) -> Result<Option<Caller>, Error> {
        match self {
            Self::Session(secret) => auth.by_session(secret).await,
            Self::Token(secret) => auth.still_by_token(secret).await,
        }
    }

    /// Who a request with it comes from, if it is valid.
    pub async fn caller(&self, auth: &Auth) -> Result<Option<Caller>, Error> {
        match self {
            Self::Session(secret) => auth.by_session(secret).await,
            Self::Token(secret) => auth.by_token(secret).await,
        }
    }
}

/// What is known of a request's sender; an extension of every request.
#[derive(Clone)]
pub struct Visit {
    /// Who it is, if the credential is valid.
    pub caller: Option<Caller>,
    /// What it came with; kept so that long streams can ask again whether it is still valid.
    pub credential: Option<Credential>,
    /// Where it comes from.
    pub visitor: Visitor,
    /// Whether people reach the hub by https, so that cookies must be marked secure.
    pub secure: bool,
    /// The address that people are told, if one is configured; without a slash at the end.
    pub home: Option<Arc<str>>,
}

impl Visit {
    /// The caller, or the failure a stranger gets.
    pub fn caller(&self) -> Result<&Caller, Failure> {
        self.caller.as_ref().ok_or_else(|| match self.credential {
            Some(Credential::Token(_)) => Failure::new(
                FailureKind::Unauthorized,
                "this token is not valid: unknown, expired or revoked. Make a new one under Settings",
            ),
            _ => Failure::new(
                FailureKind::Unauthorized,
                "sign in first, or send a token as \"Authorization: Bearer TOKEN\"",
            ),
        })
    }
}

/// The `Set-Cookie` value that begins a session.
pub fn session_cookie(secret: &str, secure: bool) -> String {
    let (name, mark) = if secure { (SECURE_COOKIE, "; Secure") } else { (PLAIN_COOKIE, "") };
    format!("{name}={secret}; Path=/; HttpOnly; SameSite=Lax; Max-Age={COOKIE_AGE}{mark}")
}

/// The `Set-Cookie` value that ends it.
pub fn clear_cookie(secure: bool) -> String {
    let (name, mark) = if secure { (SECURE_COOKIE, "; Secure") } else { (PLAIN_COOKIE, "") };
    format!("{name}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0{mark}")
}

/// The layer that adds the [`Visit`].
pub(super) async fn identify(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let headers = request.headers();
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let visitor = Visitor {
        address: address(headers, peer, shared.behind_proxy),
        user_agent: text(headers, header::USER_AGENT, 200),
    };
    let credential = credential(headers, shared.secure);
    let caller = match &credential {
        None => None,
        Some(credential) => match credential.caller(&shared.hub.auth).await {
            Ok(caller) => caller,
            Err(error) => return error.into_response(),
        },
    };
    let (secure, home) = (shared.secure, shared.home.clone());
    request.extensions_mut().insert(Visit { caller, credential, visitor, secure, home });
    next.run(request).await
}

/// A bearer token goes before a cookie: who sends one means it.
fn credential(headers: &HeaderMap, secure: bool) -> Option<Credential> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let value = value.to_str().unwrap_or_default();
        let token = value
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map_or("", |(_, token)| token.trim());
        return Some(Credential::Token(token.to_owned()));
    }
    let name = if secure { SECURE_COOKIE } else { PLAIN_COOKIE };
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| Credential::Session(value.to_owned()))
}

/// The sender's address. The proxy's word counts only where a proxy is configured and the connection is from this machine.
fn address(headers: &HeaderMap, peer: Option<IpAddr>, behind_proxy: bool) -> String {
    let forwarded = || {
        // The last line and its last word are the proxy's own; what stands before them, anybody may have sent.
        let last = headers
            .get_all("x-forwarded-for")
            .iter()
            .next_back()?
            .to_str()
            .ok()?
            .rsplit(',')
            .next()?
            .trim()
            .parse::<IpAddr>()
            .ok()?;
        (behind_proxy && peer?.is_loopback()).then_some(last)
    };
    forwarded().or(peer).map_or_else(|| "unknown".into(), |ip| ip.to_canonical().to_string())
}

fn text(headers: &HeaderMap, name: header::HeaderName, most: usize) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.chars().filter(|c| !c.is_control()).take(most).collect()
}
