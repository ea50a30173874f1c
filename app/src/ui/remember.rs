//! What the browser keeps for one person: how they like to see things. Nothing is lost where it keeps nothing.

/// Keeps `value` under `name`; an empty one forgets it. Only in the browser.
pub(crate) fn remember(name: &str, value: &str) {
    #[cfg(feature = "hydrate")]
    if let Some(storage) = storage() {
        let _ = if value.is_empty() { storage.remove_item(name) } else { storage.set_item(name, value) };
    }
    #[cfg(not(feature = "hydrate"))]
    let _ = (name, value);
}

/// What is kept under `name`; empty if nothing is.
#[cfg(feature = "hydrate")]
pub(crate) fn remembered(name: &str) -> String {
    storage().and_then(|storage| storage.get_item(name).ok()?).unwrap_or_default()
}

#[cfg(feature = "hydrate")]
fn storage() -> Option<web_sys::Storage> {
    web_sys::window()?.local_storage().ok()?
}
