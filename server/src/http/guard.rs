//! May a stranger come here? Also: is this our own name (DNS rebinding), and is this our own page asking (CSRF)?

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};

use super::{Visit, serve::Shared, visit::Credential};
use crate::{
    error::{Failure, FailureKind},
    oauth::OPENER,
};

/// Who may use a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody: landing, sign-in, set-up, health, static files.
    Public,
    /// A signed-in person or a valid token.
    Known,
    /// Anybody, from any page: what counts is a secret of its own kind, and neither cookie nor token of an account is looked at.
    Apart,
}

/// The layer that refuses foreign names: a page elsewhere can point its own name at our address and then read us.
pub(super) async fn host(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let host = host_of(&request).unwrap_or_default();
    if shared.hosts.allow(&host) {
        return next.run(request).await;
    }
    let message = format!(
        "this hub does not answer to the name \"{}\"; open it by its own name, or set public_url",
        host.chars().take(100).collect::<String>()
    );
    (StatusCode::MISDIRECTED_REQUEST, axum::Json(Failure::new(FailureKind::Forbidden, message))).into_response()
}

/// The layer that lets strangers in only where [`Access`] says so, and writes only from our own pages. With OAuth on, it
/// also tells those whom `/mcp` refuses where they may get a token, and nobody else: a client that finds such words where
/// it has a token may drop the token.
pub(super) async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let challenge = shared.oauth.clone().filter(|_| request.uri().path() == "/mcp");
    let by_token = request.headers().contains_key(header::AUTHORIZATION);
    let mut response = let_in(&shared, request, next).await;
    if let Some(challenge) = challenge.filter(|_| response.status() == StatusCode::UNAUTHORIZED) {
        let error = if by_token { "error=\"invalid_token\", " } else { "" };
        if let Ok(value) = HeaderValue::from_str(&format!("Bearer {error}{challenge}")) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
        }
    }
    response
}

async fn let_in(shared: &Shared, request: Request, next: Next) -> Response {
    let access = access(shared, request.uri().path());
    if access == Access::Apart {
        return next.run(request).await;
    }
    let Some(visit) = request.extensions().get::<Visit>().cloned() else {
        return Failure::new(FailureKind::Internal, "the request was not identified").into_response();
    };
    let by_token = matches!(visit.credential, Some(Credential::Token(_)));
    if !request.method().is_safe() && !by_token && !own_page(request.headers(), host_of(&request)) {
        return Failure::new(
            FailureKind::Forbidden,
            "this came from another site's page; open the hub itself and try again",
        )
        .into_response();
    }
    // A token that is not valid is told so everywhere: its owner should not wonder about a public page.
    let refused = match (access, visit.caller()) {
        (_, Ok(_)) => None,
        (Access::Public, Err(_)) if !by_token => None,
        (_, Err(failure)) => Some(failure),
    };
    let Some(failure) = refused else { return next.run(request).await };
    let page = request.method() == Method::GET
        && !by_token
        && request
            .headers()
            .get(header::ACCEPT)
            .and_then(|accept| accept.to_str().ok())
            .is_some_and(|accept| accept.contains("text/html"));
    if !page {
        return ([(header::WWW_AUTHENTICATE, "Bearer realm=\"central-mcp\"")], failure).into_response();
    }
    match shared.hub.auth.setup_code().await {
        Ok(Some(_)) => Redirect::to("/setup").into_response(),
        Ok(None) => {
            let next = request.uri().path_and_query().map_or("/", |path| path.as_str());
            let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
            let to = Redirect::to(&format!("/login?next={next}"));
            if request.uri().path() == AUTHORIZE { ([OPENER], to).into_response() } else { to.into_response() }
        }
        Err(error) => error.into_response(),
    }
}

/// Where a person lets a client in; there only while OAuth is on.
const AUTHORIZE: &str = "/oauth/authorize";

fn access(shared: &Shared, path: &str) -> Access {
    match path {
        "/" | "/login" | "/setup" | "/healthz" | "/readyz" => Access::Public,
        // Guests of a share link: what counts is the link's secret, and after it a cookie for these paths alone.
        "/s" | "/s/open" | "/s/ticket" | "/s/ws" => Access::Public,
        // Machines: what counts is their own secret, which is no account's. The script is for anybody.
        "/runner" | "/runner/join" | "/runner/program" | "/runner/install.sh" => Access::Apart,
        AUTHORIZE if shared.oauth.is_some() => Access::Known,
        "/oauth/token" | "/oauth/revoke" if shared.oauth.is_some() => Access::Apart,
        _ if path.starts_with("/.well-known/oauth-") && shared.oauth.is_some() => Access::Apart,
        _ if (shared.public_file)(path) => Access::Public,
        // What is not served there is a plain 404, so that no client takes this hub for one that wants OAuth.
        _ if path.starts_with("/.well-known/") || path.starts_with("/oauth/") => Access::Public,
        _ => Access::Known,
    }
}

/// Browsers say where a request comes from, in one or both of two headers; programs send neither.
fn own_page(headers: &HeaderMap, host: Option<String>) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let site = text("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"));
    let origin =
        text("origin").is_none_or(|origin| origin.split_once("://").map(|(_, rest)| rest.to_ascii_lowercase()) == host);
    site && origin
}

/// The name the sender used, with its port. HTTP/2 carries it in the URI.
fn host_of(request: &Request) -> Option<String> {
    let header = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
    header
        .or_else(|| request.uri().authority().map(|authority| authority.to_string()))
        .map(|host| host.to_ascii_lowercase())
}

/// The names the hub answers to.
#[derive(Clone, Debug)]
pub(super) struct Hosts {
    domain: Option<String>,
}

impl Hosts {
    /// Localhost, every numeric address, and `domain` with its sub-domains.
    pub(super) fn new(domain: Option<&str>) -> Self {
        Self { domain: domain.map(str::to_ascii_lowercase) }
    }

    /// Numbers are safe: rebinding needs a name. `host` is in lower case.
    pub(super) fn allow(&self, host: &str) -> bool {
        let bare = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.rsplit_once(':').map_or(host, |(name, _)| name),
        };
        let ours = |domain: &str| bare == domain || bare.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
        bare.parse::<IpAddr>().is_ok() || ours("localhost") || self.domain.as_deref().is_some_and(ours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_and_numbers_are_answered() {
        let hosts = Hosts::new(Some("Hub.example.org"));
        for good in [
            "localhost",
            "localhost:3000",
            "127.0.0.1:3000",
            "[::1]:3000",
            "10.0.0.7",
            "hub.example.org",
            "api.hub.example.org:443",
        ] {
            assert!(hosts.allow(good), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "evilhub.example.org",
            "hub.example.org.evil.example",
            "localhost.evil.example:3000",
            "example.org",
        ] {
            assert!(!hosts.allow(bad), "{bad}");
        }
        assert!(!Hosts::new(None).allow("hub.example.org"));
    }

    #[test]
    fn writes_come_from_our_own_page_or_from_a_program() {
        let cases = [
            (None, None, true),
            (Some("same-origin"), Some("http://localhost:3000"), true),
            (Some("none"), None, true),
            (Some("cross-site"), None, false),
            (Some("same-site"), Some("http://localhost:3000"), false),
            (None, Some("http://evil.example"), false),
            (None, Some("http://localhost:4000"), false),
            (None, Some("null"), false),
        ];
        for (site, origin, expected) in cases {
            let mut headers = HeaderMap::new();
            for (name, value) in [("sec-fetch-site", site), ("origin", origin)] {
                if let Some(value) = value {
                    headers.insert(name, value.parse().expect("a header value"));
                }
            }
            assert_eq!(own_page(&headers, Some("localhost:3000".into())), expected, "{site:?} {origin:?}");
        }
    }
}
