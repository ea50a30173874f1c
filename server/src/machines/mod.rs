//! Machines: the computers that hold sessions. The hub's own is one of them; any other runs our program as a **runner**, which
//! keeps one outward socket to the hub, its **link**.
//!
//! This room knows who may come: a machine is added with a one-time secret, joins with that, and has a key of its own from then
//! on. It knows who is here: a link has a seat for as long as it is open. What goes over the link is not its business
//! (`runner/` and `http/runner.rs` carry it, `terminals/far` fills it).
//!
//! Never: a secret in a view, an event or a log; a secret stored in the clear; two links of one machine at a time.

mod model;
pub use model::*;

#[cfg(feature = "ssr")]
mod facts;
#[cfg(feature = "ssr")]
mod program;
#[cfg(feature = "ssr")]
mod room;
#[cfg(feature = "ssr")]
mod rules;
#[cfg(feature = "ssr")]
mod seats;
#[cfg(feature = "ssr")]
mod store;
#[cfg(feature = "ssr")]
pub use facts::{FactsReader, system};
#[cfg(feature = "ssr")]
pub use program::Program;
#[cfg(feature = "ssr")]
pub(crate) use room::unknown;
#[cfg(feature = "ssr")]
pub use room::{Joined, Machines};
#[cfg(feature = "ssr")]
pub use seats::{Ending, Greeting, Seat};

#[cfg(all(test, feature = "ssr"))]
mod tests;
