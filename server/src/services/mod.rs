//! Outside services, ComfyUI first: where they are, how the hub signs in, what they cost, whether they work.
//!
//! Never draws anything (the room `images` does, through an [`Endpoint`]), never shows a stored credential, never follows a
//! redirect, and never reads an answer without a limit.

mod model;
pub use model::{
    Catalog, CheckView, Health, MicroUsd, ServiceAuth, ServiceDraft, ServiceKind, ServiceView, TestReport, TestStep,
};

#[cfg(feature = "ssr")]
mod comfyui;
#[cfg(feature = "ssr")]
mod endpoint;
#[cfg(feature = "ssr")]
mod room;
#[cfg(feature = "ssr")]
mod rules;
#[cfg(feature = "ssr")]
mod store;
#[cfg(feature = "ssr")]
pub use endpoint::{Endpoint, EndpointError, Socket};
#[cfg(feature = "ssr")]
pub use room::{ActiveService, Services};

#[cfg(all(test, feature = "ssr"))]
mod tests;
