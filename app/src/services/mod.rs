//! Services

use leptos::prelude::*;

/// The page.
#[component]
pub(crate) fn Services() -> impl IntoView {
    view! { <crate::frame::Bar title="Services">""</crate::frame::Bar> }
}
