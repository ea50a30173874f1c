//! Fields of forms: a label, what is typed, a hint. They hold their text in a signal of the form.

use leptos::prelude::*;

/// A field of one line. `id` is unique on the page; `complete` is what the browser may fill in, such as `off`.
pub(crate) fn field(
    id: &'static str,
    label: &'static str,
    help: &'static str,
    kind: &'static str,
    complete: &'static str,
    value: RwSignal<String>,
) -> AnyView {
    let input = view! {
        <input
            id=id type=kind autocomplete=complete autocapitalize="off" spellcheck="false"
            aria-describedby=described(id, help)
            prop:value=value on:input:target=move |event| value.set(event.target().value())
        />
    };
    framed(id, label, help, input.into_any())
}

/// A field of several lines, in mono: what is typed here is for machines.
pub(crate) fn area(
    id: &'static str,
    label: &'static str,
    help: &'static str,
    placeholder: Signal<String>,
    rows: &'static str,
    value: RwSignal<String>,
) -> AnyView {
    let input = view! {
        <textarea
            id=id class="mono" rows=rows spellcheck="false" autocomplete="off" placeholder=placeholder
            aria-describedby=described(id, help)
            prop:value=value on:input:target=move |event| value.set(event.target().value())
        ></textarea>
    };
    framed(id, label, help, input.into_any())
}

/// A choice: of each, the value and what people read.
pub(crate) fn choice(
    id: &'static str,
    label: &'static str,
    options: Vec<(String, String)>,
    value: RwSignal<String>,
) -> AnyView {
    let options = options.into_iter().map(|(key, text)| {
        let chosen = value.get_untracked() == key;
        view! { <option value=key selected=chosen>{text}</option> }
    });
    let input = view! {
        <select id=id prop:value=value on:change:target=move |event| value.set(event.target().value())>
            {options.collect_view()}
        </select>
    };
    framed(id, label, "", input.into_any())
}

fn framed(id: &'static str, label: &'static str, help: &'static str, input: AnyView) -> AnyView {
    let help = described(id, help).map(|of| view! { <small class="help" id=of>{help}</small> });
    view! { <div class="field"><label for=id>{label}</label> {input} {help}</div> }.into_any()
}

fn described(id: &str, help: &str) -> Option<String> {
    (!help.is_empty()).then(|| format!("{id}-help"))
}
