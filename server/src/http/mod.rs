//! HTTP: the layers every request passes, and the routes that are not pages.
//!
//! Order, outside in: request id → trace → security headers → panic → host → time and size limits → visit (who is this?) →
//! guard (may a stranger come here?) → route. The guard denies by default: a route that nobody thought of is closed.

mod guard;
mod live;
mod local;
mod routes;
mod runner;
mod serve;
mod share;
mod terminals;
mod visit;

#[cfg(test)]
mod tests;

pub use guard::Access;
pub use local::{LOCAL_SOCKET, local_socket};
pub use serve::{ServeOptions, metrics_listener, router, serve};
pub use visit::{Credential, Visit, clear_cookie, session_cookie};
