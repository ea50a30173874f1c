//! Everything that happens: the rooms, their storage, the loops and the transports.
//!
//! This crate knows nothing of Leptos. Without its feature `ssr` it is only the vocabulary that the browser
//! shares with the server (ids, enums, views) and depends on `serde` and `uuid` alone.
//!
//! Direction inside: floor (knows no room) ← rooms (know the floor) ← outer (know the rooms).

// The floor.
pub mod caller;
pub mod clock;
pub mod error;
pub mod events;
pub mod id;

#[cfg(feature = "ssr")]
pub mod config;
#[cfg(feature = "ssr")]
pub mod db;
#[cfg(feature = "ssr")]
pub mod pace;
#[cfg(feature = "ssr")]
pub mod secrets;

// The rooms.
pub mod agents;
pub mod auth;
pub mod images;
pub mod machines;
pub mod services;
pub mod terminals;

// The outer ring.
#[cfg(feature = "ssr")]
pub mod http;
#[cfg(feature = "ssr")]
mod hub;
#[cfg(feature = "ssr")]
pub mod loops;
#[cfg(feature = "ssr")]
pub mod mcp;
#[cfg(feature = "ssr")]
pub mod oauth;
#[cfg(feature = "ssr")]
pub mod runner;
#[cfg(feature = "ssr")]
pub use hub::{DATABASE, Hub, open_secrets, private_folder};
