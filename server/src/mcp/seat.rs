//! Who sits at the other end of a call. Made of the request's or the socket's credential, never of what the call says.

use std::{sync::Arc, time::Duration};

use axum::http::request::Parts;
use rmcp::{ErrorData, model::Extensions};
use tokio_util::sync::CancellationToken;

use crate::{
    auth::Auth,
    caller::{Actor, Caller},
    error::{Failure, FailureKind},
    http::{Credential, Visit},
    id::TokenId,
};

/// How often a long stream or a socket asks whether its token is still valid.
const LOOK: Duration = Duration::from_secs(5);

/// What a connection runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    /// Streamable HTTP.
    Http,
    /// WebSocket.
    Socket,
}

impl Wire {
    /// The word for it, for the audit log.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Socket => "websocket",
        }
    }
}

/// See the module. Goes with every message as an extension.
#[derive(Clone)]
pub(super) struct Seat {
    /// Who it is, and what they may do.
    pub(super) caller: Caller,
    /// The token, which sessions and limits belong to.
    pub(super) token: TokenId,
    /// The hub's address as this client reaches it, without a slash at the end.
    pub(super) home: Arc<str>,
    /// What the connection runs over.
    pub(super) wire: Wire,
    /// Fires when nobody can hear the answer any more. In a session of the handshake revisions the SDK does not tell.
    pub(super) left: CancellationToken,
}

impl Seat {
    /// The seat of a request, which must have come with a valid token.
    pub(super) fn of(visit: &Visit, home: String, wire: Wire) -> Result<Self, Failure> {
        let caller = visit.caller()?.clone();
        let (Some(Credential::Token(_)), Actor::Token(token, _) | Actor::Agent(token, _)) =
            (&visit.credential, &caller.actor)
        else {
            let message = "agents come with a token, a browser's sign-in does not count here; \
                make one under Settings and send it as \"Authorization: Bearer TOKEN\"";
            return Err(Failure::new(FailureKind::Unauthorized, message));
        };
        Ok(Self { token: *token, caller, home: home.into(), wire, left: CancellationToken::new() })
    }

    /// The seat that a message came from: with the HTTP request around it, or with the message itself from a socket.
    pub(super) fn behind(extensions: &Extensions) -> Result<&Self, ErrorData> {
        extensions
            .get::<Self>()
            .or_else(|| extensions.get::<Parts>()?.extensions.get())
            .ok_or_else(|| ErrorData::internal_error("the call came without its sender", None))
    }

    /// Ends when the token is no longer valid. Asked by its id: the secret that it was opened with may have been renewed
    /// since (OAuth), and that cuts nobody off.
    pub(super) async fn gone(&self, auth: &Auth) {
        loop {
            tokio::time::sleep(LOOK).await;
            match auth.token_lives(self.token).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => tracing::warn!(%error, "a stream's token cannot be checked now"),
            }
        }
    }
}
