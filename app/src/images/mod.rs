//! Images.

use leptos::prelude::*;

/// The page.
#[component]
pub(crate) fn Images() -> impl IntoView {
    view! { <crate::frame::Bar title="Images">""</crate::frame::Bar> }
}

/// One image.
#[component]
pub(crate) fn Detail() -> impl IntoView {
    view! { <crate::frame::Bar title="Image">""</crate::frame::Bar> }
}
