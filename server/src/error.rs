//! Failures as a stranger may read them. Which error type to use where:
//!
//! * inside the hub: [`Error`], a refusal in words or a cause from inside; rooms share it, for no caller asks for more;
//! * at the edge (server function, HTTP handler): [`Failure`], made from it. The cause of an
//!   internal failure is logged there, once, and never sent;
//! * in loops and `main`: `anyhow` with context.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The kind of a failure; decides the HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// Nobody is signed in, or the credential is not valid (401).
    Unauthorized,
    /// Known, but not allowed (403).
    Forbidden,
    /// There is no such thing (404).
    NotFound,
    /// The input is wrong; the message says what to change (422).
    Invalid,
    /// It clashes with what is there (409).
    Conflict,
    /// Too much, or too often (429).
    TooMany,
    /// Something outside did not answer as it should (502).
    Outside,
    /// Our own fault; the cause is in the log (500).
    Internal,
}

impl FailureKind {
    /// The HTTP status of this kind.
    pub const fn status(self) -> u16 {
        match self {
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Invalid => 422,
            Self::Conflict => 409,
            Self::TooMany => 429,
            Self::Outside => 502,
            Self::Internal => 500,
        }
    }
}

/// A failure as it crosses the edge: what went wrong, why, and what to do, in words for the reader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Decides the status and what a program does next.
    pub kind: FailureKind,
    /// A sentence for a person. Holds no path, no SQL, no secret.
    pub message: String,
}

impl Failure {
    /// A failure with a message for a person.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// Wrong input.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Invalid, message)
    }

    /// A thing that is not there.
    pub fn not_found(what: impl fmt::Display) -> Self {
        Self::new(FailureKind::NotFound, format!("{what} does not exist; it may have been deleted"))
    }

    /// Our own fault: logs `cause` with all it wraps, and tells the reader only that it is logged.
    #[cfg(feature = "ssr")]
    pub fn internal(cause: impl Into<anyhow::Error>) -> Self {
        tracing::error!(error = format!("{:#}", cause.into()), "a call failed inside");
        Self::new(FailureKind::Internal, "something failed inside the hub; the cause is in its log")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

#[cfg(feature = "ssr")]
impl axum::response::IntoResponse for Failure {
    fn into_response(self) -> axum::response::Response {
        let status = axum::http::StatusCode::from_u16(self.kind.status())
            .unwrap_or(axum::http::StatusCode::INTERNAL_SERVER_ERROR);
        (status, axum::Json(self)).into_response()
    }
}

/// What a room's method fails with: a refusal that the caller may read, or a cause that only the log may.
///
/// Rooms share this one type because nobody branches on more than [`FailureKind`]; a room whose callers do
/// gets its own.
#[cfg(feature = "ssr")]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The answer is no, and the message says why and what to do.
    #[error(transparent)]
    Refused(#[from] Failure),
    /// Something failed inside.
    #[error(transparent)]
    Inside(#[from] anyhow::Error),
}

#[cfg(feature = "ssr")]
impl From<sqlx::Error> for Error {
    fn from(cause: sqlx::Error) -> Self {
        // SQLITE_FULL: the operator can mend it, so the reader is told.
        if cause.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "13") {
            tracing::error!(error = %cause, "the disk is full");
            let message =
                "the hub's disk is full, so nothing was changed; free some space in the data folder, then try again";
            return Self::Refused(Failure::new(FailureKind::Outside, message));
        }
        Self::Inside(anyhow::Error::new(cause).context("the database refused"))
    }
}

#[cfg(feature = "ssr")]
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(failure) => failure,
            Error::Inside(cause) => Self::internal(cause),
        }
    }
}

#[cfg(feature = "ssr")]
impl axum::response::IntoResponse for Error {
    fn into_response(self) -> axum::response::Response {
        Failure::from(self).into_response()
    }
}
