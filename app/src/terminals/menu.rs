//! What can be done with a terminal beside typing: share it, record it, play its recordings, stop it.

use leptos::{html, prelude::*};
use leptos_router::{NavigateOptions, hooks::use_navigate};
use server::{
    events::{EventFilter, Topic},
    terminals::{TerminalState, TerminalView},
};

use super::{calls, desk::Desk, one, recordings::Recordings, share::ShareDialog};
use crate::{
    activity,
    services::{Act, Asked, Question},
    ui::{icon, say},
};

/// Closes the open menu; false if none is. Its button has the focus then.
pub(super) fn close_menu() -> bool {
    #[cfg(feature = "hydrate")]
    {
        use wasm_bindgen::JsCast as _;
        let page = web_sys::window().and_then(|window| window.document());
        let Some(menu) = page.and_then(|page| page.query_selector(".menu[open]").ok()?) else { return false };
        let button = menu.query_selector("summary").ok().flatten();
        if let Some(button) = button.and_then(|button| button.dyn_into::<web_sys::HtmlElement>().ok()) {
            let _ = button.focus();
        }
        menu.remove_attribute("open").is_ok()
    }
    #[cfg(not(feature = "hydrate"))]
    false
}

/// The buttons at the right of a terminal's head.
pub(super) fn menu(desk: Desk, name: String, facts: Memo<Option<TerminalView>>, may: Memo<bool>) -> AnyView {
    let (sharing, playing) = (RwSignal::new(false), RwSignal::new(false));
    let stop = Question::<String>::new();
    let act = Act::new();
    let node = NodeRef::<html::Details>::new();
    // Every choice closes the menu.
    let close = move || {
        if let Some(details) = node.get_untracked() {
            details.set_open(false);
        }
    };
    let recorded = Memo::new(move |_| facts.with(|facts| facts.as_ref().is_some_and(|facts| facts.recorded)));
    let runs = Memo::new(move |_| {
        facts.with(|facts| facts.as_ref().is_some_and(|facts| facts.state == TerminalState::Running))
    });
    // What could not be done a while ago has been done since.
    Effect::new(move || {
        recorded.track();
        runs.track();
        act.failure.set(None);
    });
    let record = {
        let name = name.clone();
        move |_| {
            close();
            let on = !recorded.get_untracked();
            act.run(calls::record_terminal(name.clone(), on), move |()| {
                say(if on {
                    "Its output is recorded from now on"
                } else {
                    "No longer recorded; what is recorded stays"
                });
            });
        }
    };
    let ask_stop = {
        let name = name.clone();
        move |_| {
            close();
            stop.ask(name.clone());
        }
    };
    let navigate = StoredValue::new(use_navigate());
    let stopped = move |name: String| {
        say(format!("{name} is stopped"));
        navigate.with_value(|go| go("/terminals", NavigateOptions::default()));
    };
    let forget = {
        let name = name.clone();
        move |_| {
            close();
            act.run(calls::remove_terminal(name.clone()), move |()| {
                navigate.with_value(|go| go("/terminals", NavigateOptions::default()));
            });
        }
    };
    let asked = Asked {
        verb: "Stop",
        text: "What runs in it ends at once. Its history goes; its recordings stay.",
        yes: "Stop terminal, lose what runs in it",
    };
    let operating = move || {
        may.get().then(|| {
            let record = record.clone();
            let (ask_stop, forget) = (ask_stop.clone(), forget.clone());
            view! {
                <li hidden=move || !desk.holds()>
                    <button type="button" on:click=move |_| { close(); desk.resize_session(); }>"Fit to my window, for everybody"</button>
                </li>
                <li><button type="button" disabled=move || act.busy() on:click=record>
                    {move || if recorded.get() { "Stop recording" } else { "Record its output" }}
                </button></li>
                <li hidden=move || !runs.get()><button class="danger" type="button" on:click=ask_stop>"Stop terminal…"</button></li>
                <li hidden=move || runs.get()><button type="button" disabled=move || act.busy() on:click=forget>"Remove from the list"</button></li>
            }
        })
    };
    let activity = activity::address(&EventFilter {
        topic: Some(Topic::Terminals),
        subject: Some(name.clone()),
        ..EventFilter::default()
    });
    view! {
        {move || may.get().then(|| view! { <button type="button" on:click=move |_| sharing.set(true)>{icon("share")} "Share"</button> })}
        {one::recording(desk)}
        <details class="menu" node_ref=node>
            <summary aria-label="More" title="More">{icon("more")}</summary>
            <ul>
                <li><button type="button" on:click=move |_| { close(); playing.set(true); }>"Recordings…"</button></li>
                <li><a class="button" href=activity on:click=move |_| close()>"Activity"</a></li>
                <li><button type="button" aria-pressed=move || desk.aloud.get().to_string() on:click=move |_| { close(); desk.read_aloud(); }>
                    {move || if desk.aloud.get() { "Stop screen-reader mode" } else { "Screen-reader mode" }}
                </button></li>
                {operating}
            </ul>
        </details>
        {move || act.failure.get().map(|words| view! { <p class="failure" role="alert">{words}</p> })}
        <ShareDialog name=name.clone() open=sharing runs=runs />
        <Recordings name=name may=may open=playing />
        {stop.dialog(asked, |name| name, |name| calls::stop_terminal(name.clone()), stopped)}
    }
    .into_any()
}
