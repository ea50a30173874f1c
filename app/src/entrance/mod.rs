//! Set-up and sign-in: plain forms without script.

use leptos::prelude::*;

/// The sign-in form; `failure` is what was wrong with the last try.
#[cfg(feature = "ssr")]
pub(crate) fn login(name: String, next: String, failure: Option<String>) -> impl IntoView {
    view! { <main><h1>"Sign in"</h1>{failure}{name}{next}</main> }
}

/// The set-up form.
#[cfg(feature = "ssr")]
pub(crate) fn setup(code: String, name: String, failure: Option<String>) -> impl IntoView {
    view! { <main><h1>"Set up"</h1>{failure}{code}{name}</main> }
}
