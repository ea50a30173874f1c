//! Server functions of accounts, sessions and tokens: who is calling, call the room, map the error.

use leptos::prelude::*;
use server::{
    auth::{NewToken, SessionView, TokenDraft, TokenView, UserDraft, UserView},
    id::{SessionId, TokenId, UserId},
};

use crate::Refusal;

/// The caller's sessions, newest first.
#[server(prefix = "/api", endpoint = "/list_sessions", input = leptos::server_fn::codec::Json)]
pub(crate) async fn list_sessions() -> Result<Vec<SessionView>, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.auth.sessions(&who).await?)
}

/// Ends one of the caller's sessions.
#[server(prefix = "/api", endpoint = "/revoke_session", input = leptos::server_fn::codec::Json)]
pub(crate) async fn revoke_session(id: SessionId) -> Result<(), Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.auth.revoke_session(&who, id).await?)
}

/// All users, for an owner.
#[server(prefix = "/api", endpoint = "/list_users", input = leptos::server_fn::codec::Json)]
pub(crate) async fn list_users() -> Result<Vec<UserView>, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.auth.users(&who).await?)
}

/// Makes a user.
#[server(prefix = "/api", endpoint = "/create_user", input = leptos::server_fn::codec::Json)]
pub(crate) async fn create_user(draft: UserDraft) -> Result<UserView, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.auth.create_user(&who, draft).await?)
}

/// Deletes a user with their sessions and tokens.
#[server(prefix = "/api", endpoint = "/delete_user", input = leptos::server_fn::codec::Json)]
pub(crate) async fn delete_user(id: UserId) -> Result<(), Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.auth.delete_user(&who, id).await?)
}

/// Changes the caller's own password and ends their other sessions.
#[server(prefix = "/api", endpoint = "/change_password", input = leptos::server_fn::codec::Json)]
pub(crate) async fn change_password(old: String, new: String) -> Result<(), Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.auth.change_password(&who, &old, &new).await?)
}

/// Tokens: an owner sees all, others those they made.
#[server(prefix = "/api", endpoint = "/list_tokens", input = leptos::server_fn::codec::Json)]
pub(crate) async fn list_tokens() -> Result<Vec<TokenView>, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.auth.tokens(&who).await?)
}

/// Makes a token; its secret is in this answer and nowhere else.
#[server(prefix = "/api", endpoint = "/create_token", input = leptos::server_fn::codec::Json)]
pub(crate) async fn create_token(draft: TokenDraft) -> Result<NewToken, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.auth.create_token(&who, draft).await?)
}

/// Revokes a token.
#[server(prefix = "/api", endpoint = "/revoke_token", input = leptos::server_fn::codec::Json)]
pub(crate) async fn revoke_token(id: TokenId) -> Result<(), Refusal> {
    let (hub, who) = crate::failure::entered()?;
    Ok(hub.auth.revoke_token(&who, id).await?)
}
