//! What people see: pages, and the server functions behind them.
//!
//! No SQL, no HTTP client, no spawn here. A server function is an adapter of about three lines: who is calling, call the
//! room, map the error. Pages compile twice: natively they render HTML, in the browser they take it over (hydration).

// Each `view!` is one nested type; pages with many elements pass the default limit.
#![recursion_limit = "512"]
#![expect(unreachable_pub, reason = "the component macro makes its property structs pub")]

#[cfg(feature = "ssr")]
mod entrance;
mod failure;
mod frame;
mod images;
#[cfg(feature = "ssr")]
mod landing;
mod live;
mod overview;
mod services;
mod settings;
#[cfg(feature = "ssr")]
pub mod site;
mod ui;

pub use failure::Refusal;
pub use frame::App;

/// Takes over the page that the server rendered. Only in the browser.
#[cfg(feature = "hydrate")]
pub fn hydrate() {
    leptos::mount::hydrate_body(App);
}
