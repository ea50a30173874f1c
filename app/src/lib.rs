//! What people see: pages, and the server functions behind them.
//!
//! No SQL, no HTTP client, no spawn here. A server function is an adapter of about three lines: who is calling, call the
//! room, map the error. Pages compile twice: natively they render HTML, in the browser they take it over (hydration).

// Each `view!` is one nested type; pages with many elements pass the default limit.
#![recursion_limit = "512"]
#![expect(unreachable_pub, reason = "the component macro makes its property structs pub")]

#[cfg(not(erase_components))]
compile_error!(
    "build without RUSTFLAGS in the environment: both halves need the flags of .cargo/config.toml, or no page hydrates"
);

mod activity;
mod agents;
mod connect;
#[cfg(feature = "ssr")]
mod entrance;
mod failure;
mod frame;
mod images;
#[cfg(feature = "ssr")]
mod landing;
mod live;
mod machines;
mod overview;
mod pages;
mod services;
mod settings;
#[cfg(feature = "ssr")]
pub mod site;
mod terminals;
mod ui;

#[cfg(feature = "hydrate")]
use frame::App;

pub use failure::Refusal;

/// Takes over the page that the server rendered. Only in the browser.
#[cfg(feature = "hydrate")]
pub fn hydrate() {
    use std::{cell::Cell, rc::Rc};

    use leptos::prelude::*;

    wasm_bindgen_futures::spawn_local(async {
        let live = Rc::new(Cell::new(None));
        let started = live.clone();
        let page = move || {
            let live = live::Live::new(frame::now());
            started.set(Some(live));
            view! { <App live=live /> }
        };
        leptos::mount::hydrate_from_async(leptos::tachys::dom::body(), page).await.forget();
        // Only now: a page that is still being loaded would take over what the server rendered and miss a change until
        // the next one.
        if let Some(live) = live.take() {
            live.open();
        }
    });
}

/// Says on the page that its program has broken, and what to do. Only in the browser.
#[cfg(feature = "hydrate")]
pub fn broken() {
    let words = web_sys::window().and_then(|window| window.document()?.get_element_by_id("broken"));
    if let Some(words) = words {
        let _ = words.remove_attribute("hidden");
    }
}
