//! Terminals: sessions in tmux, shown live to many, typed into by one, recorded, shared by link.
//!
//! How bytes flow. tmux (our own server socket) keeps the sessions, so that they outlive the hub. For each session that somebody
//! watches or records, one `tmux attach` runs in a PTY (`attach.rs`). What it says passes the escape policy (`policy.rs`), which
//! also cuts it at sequence boundaries, then goes under one lock into the screen (`screen.rs`) and the ring (`feed.rs`).
//! A viewer joins by taking a snapshot of the screen and its place in the ring; who falls out of the ring gets a
//! snapshot again. So a slow viewer costs its socket's buffer and nothing else, and tmux is always drained.
//! Keys go the other way through the same PTY, after `keyboard.rs` has said that their sender holds the keyboard.
//!
//! Never: a shell string (argument vectors only), a viewer that writes, an answer of a viewer's emulator, a session without
//! a name that `rules.rs` accepts.

mod model;
pub use model::*;

#[cfg(feature = "ssr")]
mod attach;
#[cfg(feature = "ssr")]
mod far;
#[cfg(feature = "ssr")]
mod feed;
#[cfg(feature = "ssr")]
mod keyboard;
#[cfg(feature = "ssr")]
mod last_words;
#[cfg(feature = "ssr")]
mod links;
#[cfg(feature = "ssr")]
mod lives;
#[cfg(feature = "ssr")]
mod place;
#[cfg(feature = "ssr")]
mod policy;
#[cfg(feature = "ssr")]
mod recorders;
#[cfg(feature = "ssr")]
mod recording;
#[cfg(feature = "ssr")]
mod room;
#[cfg(feature = "ssr")]
mod rules;
#[cfg(feature = "ssr")]
mod said;
#[cfg(feature = "ssr")]
mod screen;
#[cfg(feature = "ssr")]
mod scribe;
#[cfg(feature = "ssr")]
mod sessions;
#[cfg(feature = "ssr")]
mod stage;
#[cfg(feature = "ssr")]
mod store;
#[cfg(feature = "ssr")]
mod tickets;
#[cfg(feature = "ssr")]
mod tmux;
#[cfg(feature = "ssr")]
mod viewer;
#[cfg(feature = "ssr")]
mod viewing;
#[cfg(feature = "ssr")]
mod whereabouts;
#[cfg(feature = "ssr")]
pub use far::{Began, Belongings, Holder, Home, Launch, LinkEnd};
#[cfg(feature = "ssr")]
pub use feed::{Next, Pace};
#[cfg(feature = "ssr")]
pub use recorders::{Guest, GuestSeat};
#[cfg(feature = "ssr")]
pub use room::{LOG, LiveSession, Terminals, log_folder};
#[cfg(feature = "ssr")]
pub use said::Said;
#[cfg(feature = "ssr")]
pub use screen::Screen;
#[cfg(feature = "ssr")]
pub use viewer::{Eyes, Hands, Who};

#[cfg(all(test, feature = "ssr"))]
mod tests;
