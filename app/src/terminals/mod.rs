//! Terminals: the wall of all, one in full size, recordings played again, and the page that a share link leads to.

mod calls;
#[cfg(feature = "hydrate")]
mod xterm;

use leptos::prelude::*;

#[component]
pub(crate) fn Wall() -> impl IntoView {}
#[component]
pub(crate) fn One() -> impl IntoView {}
#[component]
pub(crate) fn Player() -> impl IntoView {}
