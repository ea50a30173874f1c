//! The command palette (Ctrl or ⌘ K) and the list of keys (`?`).

use leptos::{html, prelude::*};
use leptos_router::hooks::use_navigate;

use super::{Dialog, icon, on_keys};
use crate::{Refusal, frame::PAGES};

#[derive(Clone, Copy)]
struct Open(RwSignal<bool>);

/// Something the palette can do: its name, where it leads, its sign, its key after `g`.
type Entry = (&'static str, &'static str, &'static str, &'static str);

/// An entry that is shown.
type Found = (String, String, &'static str, &'static str);

/// Agents and terminals by name, with where they are found.
#[server(prefix = "/api", endpoint = "/list_places", input = leptos::server_fn::codec::Json)]
async fn list_places() -> Result<Vec<(String, String)>, Refusal> {
    let (hub, who) = crate::failure::entered()?;
    let (agents, terminals) = (hub.agents.list(&who).await?, hub.terminals.list(&who).await?);
    let page = |name: &str| format!("/terminals/{name}");
    let mut all: Vec<_> = agents
        .into_iter()
        .map(|agent| {
            let there = terminals.iter().any(|terminal| terminal.name == agent.terminal);
            let address = if there { page(&agent.terminal) } else { "/agents".to_owned() };
            (format!("{} · {}", agent.draft.name, agent.terminal), address)
        })
        .collect();
    all.extend(terminals.into_iter().filter(|one| one.agent.is_none()).map(|one| (one.name.clone(), page(&one.name))));
    Ok(all)
}

/// What the palette offers beyond the pages.
const ACTS: [Entry; 10] = [
    ("Draw a picture", "/images?new", "plus", ""),
    ("Add a ComfyUI server", "/services?new", "plus", ""),
    ("New agent", "/agents?new", "plus", ""),
    ("Start a new terminal", "/terminals?new", "plus", ""),
    ("Add a machine", "/machines?new", "plus", ""),
    ("Connect an agent", "/connect", "plus", ""),
    ("Make a token", "/settings#tokens", "plus", ""),
    ("Save a workflow", "/settings#workflows", "plus", ""),
    ("See all activity", "/activity", "clock", ""),
    ("See my sessions", "/settings#sessions", "gear", ""),
];

/// Keys of a terminal's page. While the keyboard is held all but the chords are the program's.
const TERMINAL: [(&str, &str); 11] = [
    ("t", "Take the keyboard"),
    ("Ctrl ⇧ ⏎", "Hand the keyboard back"),
    ("Ctrl ⇧ C", "Copy what is selected"),
    ("Ctrl ⇧ V", "Paste"),
    ("c", "Copy, while you only look"),
    ("h", "History; then / searches it"),
    ("f", "See the whole screen"),
    ("+", "Larger letters"),
    ("-", "Smaller letters"),
    ("]", "Next terminal"),
    ("[", "Previous terminal"),
];

/// Opens the palette, from a button.
pub(crate) fn open_palette() {
    if let Some(Open(open)) = use_context::<Open>() {
        open.set(true);
    }
}

/// Makes the palette openable from every page; call once, above the pages.
pub(crate) fn provide_palette() {
    provide_context(Open(RwSignal::new(false)));
}

/// The palette and the list of keys; once, in the app.
#[component]
pub(crate) fn Palette() -> impl IntoView {
    let Open(open) = expect_context();
    let help = RwSignal::new(false);
    let query = RwSignal::new(String::new());
    let chosen = RwSignal::new(0_usize);
    let field = NodeRef::<html::Input>::new();
    let navigate = use_navigate();
    let go = StoredValue::new(move |address: &str| {
        open.set(false);
        navigate(address, leptos_router::NavigateOptions::default());
    });
    on_keys(move |key| match key {
        "Ctrl K" => {
            open.update(|open| *open = !*open);
            true
        }
        "?" => {
            help.set(true);
            true
        }
        "/" => focus_search(),
        _ => match PAGES.iter().find(|(.., letter)| key.strip_prefix("g ") == Some(letter)) {
            Some((address, ..)) => {
                go.with_value(|go| go(address));
                true
            }
            None => false,
        },
    });
    let places = RwSignal::new(Vec::<(String, String)>::new());
    Effect::new(move || {
        if open.get() {
            query.set(String::new());
            chosen.set(0);
            leptos::task::spawn_local(async move {
                // Where they cannot be asked for, pages and acts are found all the same.
                if let Ok(all) = list_places().await {
                    places.set(all);
                }
            });
        }
        if let Some(field) = field.get() {
            let _ = field.focus();
        }
    });
    let found = Memo::new(move |_| {
        let query = query.get().to_lowercase();
        let pages = PAGES.iter().map(|(address, name, sign, key)| (*name, *address, *sign, *key));
        let known =
            pages.chain(ACTS).map(|(name, address, sign, key)| (name.to_owned(), address.to_owned(), sign, key));
        // Of what there may be many, nothing before a letter is typed.
        let places = if query.is_empty() { Vec::new() } else { places.get() };
        let places = places.into_iter().map(|(name, address)| (name, address, "terminal", ""));
        known.chain(places).filter(|(name, ..)| name.to_lowercase().contains(&query)).collect::<Vec<Found>>()
    });
    let on_key = move |event: web_sys::KeyboardEvent| {
        let last = found.with_untracked(Vec::len).saturating_sub(1);
        match event.key().as_str() {
            "ArrowDown" => chosen.update(|n| *n = (*n + 1).min(last)),
            "ArrowUp" => chosen.update(|n| *n = n.saturating_sub(1)),
            "Enter" => {
                if let Some((_, address, ..)) = found.with_untracked(|found| found.get(chosen.get_untracked()).cloned())
                {
                    go.with_value(|go| go(&address));
                }
            }
            _ => return,
        }
        event.prevent_default();
    };
    view! {
        <Dialog open=open title="Search or do anything".to_owned()>
            <div class="palette">
                <input
                    node_ref=field type="text" autofocus placeholder="Page, agent, terminal or action" aria-label="Page, agent, terminal or action" autocomplete="off"
                    role="combobox" aria-expanded="true" aria-controls="palette-list"
                    aria-activedescendant=move || format!("palette-{}", chosen.get())
                    prop:value=query on:input:target=move |event| { query.set(event.target().value()); chosen.set(0); }
                    on:keydown=on_key
                />
                <ul id="palette-list" role="listbox" aria-label="Found">
                    {move || found.get().into_iter().enumerate().map(|(n, (name, address, sign, key))| view! {
                        <li id=format!("palette-{n}") role="option" aria-selected=move || (chosen.get() == n).to_string()
                            on:click=move |_| go.with_value(|go| go(&address)) on:mousemove=move |_| chosen.set(n)>
                            {icon(sign)} <span>{name}</span> {(!key.is_empty()).then(|| view! { <kbd>"g " {key}</kbd> })}
                        </li>
                    }).collect_view()}
                </ul>
                <p class="quiet" hidden=move || found.with(|found| !found.is_empty())>"Nothing of that name."</p>
            </div>
        </Dialog>
        <Dialog open=help title="Keys".to_owned()>
            <dl class="keys">
                <dt><kbd>"Ctrl K"</kbd></dt><dd>"Search or do anything"</dd>
                {PAGES.into_iter().map(|(_, name, _, key)| view! { <dt><kbd>"g " {key}</kbd></dt><dd>{name}</dd> }).collect_view()}
                <dt><kbd>"/"</kbd></dt><dd>"Search this page"</dd>
                <dt><kbd>"j"</kbd> " " <kbd>"k"</kbd></dt><dd>"Next and previous picture"</dd>
                <dt><kbd>"Enter"</kbd></dt><dd>"Open"</dd>
                <dt><kbd>"Ctrl Enter"</kbd></dt><dd>"Draw"</dd>
                <dt><kbd>"Esc"</kbd></dt><dd>"Leave"</dd>
            </dl>
            <h3 class="of-keys">"In a terminal"</h3>
            <dl class="keys">
                {TERMINAL.map(|(key, what)| view! { <dt><kbd>{key}</kbd></dt><dd>{what}</dd> }).into_iter().collect_view()}
            </dl>
        </Dialog>
    }
}

/// Focuses the page's search field, if it has one.
fn focus_search() -> bool {
    #[cfg(feature = "hydrate")]
    {
        use wasm_bindgen::JsCast as _;
        let field = web_sys::window()
            .and_then(|window| window.document())
            .and_then(|document| document.query_selector("input[data-search]").ok()?);
        if let Some(field) = field.and_then(|field| field.dyn_into::<web_sys::HtmlElement>().ok()) {
            return field.focus().is_ok();
        }
    }
    false
}
