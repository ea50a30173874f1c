//! Dark, light, or as the system says. The choice is a cookie, so that the server renders the right one at once.

use leptos::prelude::*;

use super::icon;

/// The colours of the ground (`--ground` in style/tokens.css), for the browser's own bars around the page.
const LIGHT: &str = "#f8f9fb";
const DARK: &str = "#0a0c10";

/// What `theme` shows on a system that is set to `light`.
pub(crate) fn ground(theme: &str, light: bool) -> &'static str {
    match theme {
        "light" => LIGHT,
        "dark" => DARK,
        _ if light => LIGHT,
        _ => DARK,
    }
}

/// Goes from system to dark to light and back.
#[component]
pub(crate) fn ThemeButton() -> impl IntoView {
    let turn = move |_| {
        #[cfg(feature = "hydrate")]
        if let Some(document) = web_sys::window().and_then(|window| window.document())
            && let Some(root) = document.document_element()
        {
            let next = match root.get_attribute("data-theme").as_deref() {
                Some("system") => "dark",
                Some("dark") => "light",
                _ => "system",
            };
            let _ = root.set_attribute("data-theme", next);
            for (light, selector) in [(true, "meta[media*=light]"), (false, "meta[media*=dark]")] {
                if let Ok(Some(meta)) = document.query_selector(selector) {
                    let _ = meta.set_attribute("content", ground(next, light));
                }
            }
            use wasm_bindgen::JsCast as _;
            if let Ok(document) = document.dyn_into::<web_sys::HtmlDocument>() {
                let _ = document.set_cookie(&format!("theme={next}; Path=/; Max-Age=31536000; SameSite=Lax"));
            }
            super::say(format!("Theme: {next}"));
        }
    };
    view! { <button class="quiet" type="button" on:click=turn title="Theme: system, dark, light" aria-label="Change theme">{icon("auto")}</button> }
}
