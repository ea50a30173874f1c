//! A modal dialog: the browser's own, so focus, Esc and the backdrop work as people know them.

use leptos::{html, prelude::*};

use super::icon;

/// Open while `open` is true; closing it (Esc, the cross) sets it to false.
#[component]
pub(crate) fn Dialog(
    /// Whether it is open.
    open: RwSignal<bool>,
    /// Its heading.
    #[prop(into)]
    title: Signal<String>,
    /// What stands in it; made anew at each opening.
    children: ChildrenFn,
) -> impl IntoView {
    let node = NodeRef::<html::Dialog>::new();
    Effect::new(move || {
        let Some(dialog) = node.get() else { return };
        if open.get() && !dialog.open() {
            let _ = dialog.show_modal();
            // Once its content is there: who opened it wants to type, not to close it.
            request_animation_frame(begin_dialog);
        } else if !open.get() && dialog.open() {
            dialog.close();
        }
    });
    let children = StoredValue::new(children);
    view! {
        <dialog node_ref=node on:close=move |_| open.set(false) aria-label=move || title.get()>
            <header>
                <h2>{move || title.get()}</h2>
                <button class="quiet" type="button" on:click=move |_| open.set(false) aria-label="Close">{icon("close")}</button>
            </header>
            {move || open.get().then(|| children.read_value()())}
        </dialog>
    }
}

/// Puts the focus into the first field of the open dialog, if there is one.
pub(crate) fn begin_dialog() {
    use wasm_bindgen::JsCast as _;
    let page = web_sys::window().and_then(|window| window.document());
    let field = page.and_then(|page| page.query_selector("dialog[open] :is(input, textarea, select)").ok()?);
    if let Some(field) = field.and_then(|field| field.dyn_into::<web_sys::HtmlElement>().ok()) {
        let _ = field.focus();
    }
}
