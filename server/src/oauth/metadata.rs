//! What a client finds out before it asks: where the authorization server is (RFC 9728), and what it can do (RFC 8414).

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{rules, state::Shared};

/// Any page may read these answers; none of them depends on a cookie.
pub(super) const ANY_PAGE: (HeaderName, &str) = (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");

/// `GET /.well-known/oauth-protected-resource` and the same with `/mcp`.
pub(super) async fn resource(State(oauth): State<Arc<Shared>>) -> Response {
    let about = json!({
        "resource": oauth.resource,
        "authorization_servers": [oauth.issuer],
        "scopes_supported": rules::SCOPES,
        "bearer_methods_supported": ["header"],
        "resource_name": "Central-MCP",
    });
    ([ANY_PAGE], Json(about)).into_response()
}

/// `GET /.well-known/oauth-authorization-server`.
pub(super) async fn server(State(oauth): State<Arc<Shared>>) -> Response {
    let issuer = &oauth.issuer;
    let about = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/oauth/authorize"),
        "token_endpoint": format!("{issuer}/oauth/token"),
        "revocation_endpoint": format!("{issuer}/oauth/revoke"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "client_id_metadata_document_supported": true,
        "authorization_response_iss_parameter_supported": true,
        "scopes_supported": rules::SCOPES,
    });
    ([ANY_PAGE], Json(about)).into_response()
}

/// What a browser asks before a page of elsewhere may read an answer.
pub(super) async fn preflight() -> Response {
    let allowed = [
        ANY_PAGE,
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "content-type, mcp-protocol-version"),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    (StatusCode::NO_CONTENT, allowed).into_response()
}
