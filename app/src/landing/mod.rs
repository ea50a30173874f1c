//! The landing page: no script, one look.

use leptos::prelude::*;

/// The page.
#[cfg(feature = "ssr")]
pub(crate) fn page(signed_in: bool) -> impl IntoView {
    view! { <main><h1>"Central-MCP"</h1><a href=if signed_in { "/overview" } else { "/login" }>"Open"</a></main> }
}
