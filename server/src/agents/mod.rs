//! Agents: the named workers, each with a role, a command, an environment, a folder, and a terminal of its own.
//!
//! An agent's terminal is the session `agent-SLUG`. What it is started with connects it by itself: the hub's address, a fresh
//! token of its own, and a configuration file in the form its program reads. Presence and "needs you" are never stored:
//! they follow from what was last seen (`model.rs`, `needs.rs`). Presence has one rule: the age of the last contact, which is
//! whatever its terminal writes, and whatever comes with one of its tokens (`auth/heard.rs`), by whichever door.
//!
//! Never: a secret in a view, an event or a log; a shell string; an agent that starts itself with more than the role `agent`.

mod model;
pub use model::*;

#[cfg(feature = "ssr")]
mod environment;
#[cfg(feature = "ssr")]
mod files;
#[cfg(feature = "ssr")]
mod keeper;
#[cfg(feature = "ssr")]
mod launch;
#[cfg(feature = "ssr")]
mod needs;
#[cfg(feature = "ssr")]
mod profiles;
#[cfg(feature = "ssr")]
mod room;
#[cfg(feature = "ssr")]
mod rules;
#[cfg(feature = "ssr")]
mod sessions;
#[cfg(feature = "ssr")]
mod store;
#[cfg(feature = "ssr")]
pub use room::Agents;

#[cfg(all(test, feature = "ssr"))]
mod tests;
