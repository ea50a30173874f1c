//! Overview

use leptos::prelude::*;

/// The page.
#[component]
pub(crate) fn Overview() -> impl IntoView {
    view! { <crate::frame::Bar title="Overview">""</crate::frame::Bar> }
}
