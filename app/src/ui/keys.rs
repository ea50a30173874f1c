//! Keys. Ctrl and ⌘ belong to the browser, so pages are reached by `g` and a letter; nothing happens while somebody types.

#[cfg(feature = "hydrate")]
use leptos::prelude::*;

/// Calls `act` for each key pressed outside of fields, with its name (`"/"`, `"Escape"`, `"g i"`); `Ctrl K` comes from
/// everywhere. `true` means that the key was used. Only in the browser.
pub(crate) fn on_keys(act: impl Fn(&str) -> bool + 'static) {
    #[cfg(feature = "hydrate")]
    {
        let after_g = StoredValue::new_local(false);
        let handle = window_event_listener(leptos::ev::keydown, move |event| {
            let key = event.key();
            let with = event.ctrl_key() || event.meta_key();
            if with && key.eq_ignore_ascii_case("k") {
                if act("Ctrl K") {
                    event.prevent_default();
                }
                return;
            }
            if with || event.alt_key() || typing(&event) {
                return;
            }
            let name = if after_g.get_value() { format!("g {key}") } else { key.clone() };
            after_g.set_value(key == "g" && name == "g");
            if act(&name) {
                event.prevent_default();
            }
        });
        on_cleanup(move || handle.remove());
    }
    #[cfg(not(feature = "hydrate"))]
    drop(act);
}

#[cfg(feature = "hydrate")]
fn typing(event: &web_sys::KeyboardEvent) -> bool {
    use wasm_bindgen::JsCast as _;
    // What is asked in front of the page comes first, also where the focus was lost on a button that went grey.
    let page = web_sys::window().and_then(|window| window.document());
    if page.as_ref().and_then(|page| page.query_selector("dialog[open]").ok()?).is_some() {
        return true;
    }
    // Who holds a keyboard types, wherever the focus is; only the way out is the page's.
    if event.key() != "Escape" && page.and_then(|page| page.query_selector("[data-held]").ok()?).is_some() {
        return true;
    }
    let element = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
    element.is_some_and(|element| {
        matches!(element.tag_name().as_str(), "INPUT" | "TEXTAREA" | "SELECT")
            || element.closest("dialog").ok().flatten().is_some()
    })
}
