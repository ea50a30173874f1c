//! The keyboard of a terminal: who holds it, how it is taken and handed back, and the keys that a phone lacks.

use leptos::{html, prelude::*};
use server::terminals::Request;

use super::desk::{Desk, Line};
use crate::{frame::use_me, ui::Dialog};

/// Who holds it, and the button that changes that. Handing back is a chord that no program and no browser has a use for:
/// Esc twice, which comes to mind first, is a command of the agents' own programs.
pub(super) fn keyboard(desk: Desk) -> AnyView {
    let over = RwSignal::new(false);
    let me = use_me();
    // One's own other window is nobody else.
    let own = move || me.get().is_some_and(|me| desk.holder().is_some_and(|holder| holder == me.actor));
    let title = Signal::derive(move || match own() {
        true => "Take the keyboard from your other window?".to_owned(),
        false => format!("Take the keyboard from {}?", desk.other().unwrap_or_default()),
    });
    let yes = move |_| {
        over.set(false);
        desk.ask(&Request::Take { over: true });
    };
    let word = move || {
        if desk.holds() {
            return view! { <span class="badge warn" role="status">"you hold the keyboard"</span> }.into_any();
        }
        match desk.other() {
            Some(_) if own() => {
                view! { <span class="badge" role="status">"you hold the keyboard in another window"</span> }.into_any()
            }
            Some(who) => view! { <span class="badge" role="status">{who} " holds the keyboard"</span> }.into_any(),
            None => ().into_any(),
        }
    };
    let button = move || {
        if desk.line.get() != Line::Open || !desk.may_type() {
            return ().into_any();
        }
        if desk.holds() {
            return view! {
                <button type="button" title="Ctrl Shift Enter" on:click=move |_| desk.ask(&Request::HandBack)>
                    "Hand back" <kbd aria-hidden="true">"Ctrl ⇧ ⏎"</kbd>
                </button>
            }
            .into_any();
        }
        match desk.other() {
            Some(_) => view! { <button type="button" on:click=move |_| over.set(true)>{if own() { "Take over here" } else { "Take over" }}</button> }.into_any(),
            None => view! {
                <button class="primary" type="button" on:click=move |_| desk.ask(&Request::Take { over: false })>
                    "Take keyboard" <kbd aria-hidden="true">"t"</kbd>
                </button>
            }
            .into_any(),
        }
    };
    view! {
        {word}
        {button}
        <Dialog open=over title=title>
            <div class="body">
                <p>"What they have typed and not sent stays where it is. They are told, and may take it back."</p>
                <div class="actions">
                    <button class="danger" type="button" on:click=yes>"Take over, they can no longer type"</button>
                    <button type="button" on:click=move |_| over.set(false)>"Cancel"</button>
                </div>
            </div>
        </Dialog>
    }
    .into_any()
}

/// Pastes what is in the clipboard; where the browser does not tell it, the person can put it into the box.
#[cfg(feature = "hydrate")]
async fn paste_clipboard(desk: Desk, node: NodeRef<html::Textarea>) {
    let window = web_sys::window().filter(web_sys::Window::is_secure_context);
    let clipboard = window.map(|window| window.navigator().clipboard());
    // Browsers of some years ago only write it.
    let reads = |it: &web_sys::Clipboard| js_sys::Reflect::has(it, &"readText".into()).unwrap_or_default();
    let text = match clipboard.filter(reads) {
        Some(clipboard) => wasm_bindgen_futures::JsFuture::from(clipboard.read_text()).await.ok(),
        None => None,
    };
    match text.and_then(|text| text.as_string()) {
        Some(text) => desk.paste(text),
        None => {
            desk.words.set(Some(
                "The browser does not let this page read the clipboard: paste into the box, then send.".to_owned(),
            ));
            if let Some(field) = node.get_untracked() {
                let _ = field.focus();
            }
        }
    }
}

/// Keys that a phone lacks, as a program hears them.
const KEYS: [(&str, &str, &str); 7] = [
    ("Esc", "Esc", "\x1b"),
    ("Tab", "Tab", "\t"),
    ("←", "Left", "\x1b[D"),
    ("↑", "Up", "\x1b[A"),
    ("↓", "Down", "\x1b[B"),
    ("→", "Right", "\x1b[C"),
    ("⏎", "Enter", "\r"),
];

/// For thumbs: keys, and a box whose text goes in one piece, because the keyboards of phones send words twice or not at all.
#[component]
pub(super) fn KeyBar(
    /// The terminal.
    desk: Desk,
) -> impl IntoView {
    let (text, node) = (desk.compose, NodeRef::<html::Textarea>::new());
    let paste = move |_| {
        #[cfg(feature = "hydrate")]
        leptos::task::spawn_local(paste_clipboard(desk, node));
    };
    let key = move |(sign, name, keys): (&'static str, &'static str, &'static str)| {
        view! { <button type="button" aria-label=name on:click=move |_| desk.keys(keys)>{sign}</button> }.into_any()
    };
    let (before, after) = KEYS.split_at(2);
    let ctrl = view! {
        <button type="button" aria-pressed=move || desk.ctrl.get().to_string() on:click=move |_| {
            desk.ctrl.update(|on| *on = !*on);
            desk.focus();
        }>"Ctrl"</button>
    };
    view! {
        <div class="keybar" hidden=move || !desk.holds()>
            <div class="row-of-keys" role="group" aria-label="Keys">
                {before.iter().copied().map(key).collect_view()} {ctrl} {after.iter().copied().map(key).collect_view()}
            </div>
            <form class="compose" on:submit=move |event| { event.prevent_default(); desk.send(); }>
                <textarea rows="1" aria-label="Text to send" placeholder="Text to send" autocapitalize="off" spellcheck="false"
                    node_ref=node prop:value=text on:input:target=move |event| text.set(event.target().value())></textarea>
                <button type="button" on:click=paste>"Paste"</button>
                <button class="primary" type="submit">"Send ⏎"</button>
            </form>
        </div>
    }
}
