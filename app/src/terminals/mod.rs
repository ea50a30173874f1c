//! Terminals: the wall of all, one in full size, recordings played again, and the page that a share link leads to.

mod asks;
pub(crate) mod calls;
#[cfg(any(feature = "hydrate", test))]
mod cast;
mod desk;
#[cfg(feature = "hydrate")]
mod ears;
#[cfg(feature = "ssr")]
pub(crate) mod guest;
mod history;
mod keyboard;
mod menu;
mod one;
mod player;
mod recordings;
#[cfg(feature = "hydrate")]
mod reel;
mod rules;
mod seldom;
#[cfg(feature = "hydrate")]
mod session;
mod share;
mod start;
mod thumb;
mod wall;
#[cfg(feature = "hydrate")]
mod xterm;

pub(crate) use one::One;
pub(crate) use seldom::player;
#[cfg(feature = "hydrate")]
pub(crate) use seldom::preload as preload_player;
pub(crate) use wall::Wall;
