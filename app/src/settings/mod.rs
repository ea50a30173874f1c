//! Settings

use leptos::prelude::*;

/// The page.
#[component]
pub(crate) fn Settings() -> impl IntoView {
    view! { <crate::frame::Bar title="Settings">""</crate::frame::Bar> }
}
