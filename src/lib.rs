//! The browser's entry, nothing else.

/// Takes over the page that the server rendered.
#[cfg(feature = "hydrate")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    std::panic::set_hook(Box::new(|what| {
        console_error_panic_hook::hook(what);
        app::broken();
    }));
    app::hydrate();
}
