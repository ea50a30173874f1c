//! The failure of every server function, and the door every one of them passes.

use std::fmt;

use leptos::server_fn::{
    codec::JsonEncoding,
    error::{FromServerFnError, ServerFnErrorErr},
};
use serde::{Deserialize, Serialize};
use server::error::{Failure, FailureKind};

/// A [`Failure`] as a server function's error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Refusal(pub Failure);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromServerFnError for Refusal {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        let failure = match error {
            ServerFnErrorErr::Request(_) => {
                Failure::new(FailureKind::Outside, "the hub cannot be reached; is it running, and are you online?")
            }
            ServerFnErrorErr::Args(why) | ServerFnErrorErr::MissingArg(why) => {
                Failure::invalid(format!("the request is not understood: {why}"))
            }
            ServerFnErrorErr::Deserialization(why) if cfg!(feature = "ssr") => {
                Failure::invalid(format!("the request is not understood: {why}"))
            }
            other => {
                Failure::new(FailureKind::Internal, format!("the answer is not understood ({other}); reload the page"))
            }
        };
        set_status(&failure);
        Self(failure)
    }
}

#[cfg(feature = "ssr")]
impl From<server::error::Error> for Refusal {
    fn from(error: server::error::Error) -> Self {
        let failure = Failure::from(error);
        set_status(&failure);
        Self(failure)
    }
}

/// Leptos 0.8 answers 500 to every failed server function unless the status is set.
#[cfg(feature = "ssr")]
fn set_status(failure: &Failure) {
    if let Some(options) = leptos::prelude::use_context::<leptos_axum::ResponseOptions>()
        && let Ok(status) = axum::http::StatusCode::from_u16(failure.kind.status())
    {
        options.set_status(status);
    }
}

#[cfg(not(feature = "ssr"))]
fn set_status(_: &Failure) {}

/// The hub, and who is calling. Every server function begins with it.
#[cfg(feature = "ssr")]
pub(crate) fn entered() -> Result<(server::Hub, server::caller::Caller), Refusal> {
    use leptos::prelude::use_context;
    let missing = || Failure::new(FailureKind::Internal, "the request did not come through the hub's own door");
    let hub = use_context::<server::Hub>().ok_or_else(missing);
    let visit = use_context::<axum::http::request::Parts>()
        .and_then(|parts| parts.extensions.get::<server::http::Visit>().cloned())
        .ok_or_else(missing);
    match (hub, visit.and_then(|visit| visit.caller().cloned())) {
        (Ok(hub), Ok(caller)) => Ok((hub, caller)),
        (Err(failure), _) | (_, Err(failure)) => {
            set_status(&failure);
            Err(Refusal(failure))
        }
    }
}
