//! The wall: every terminal with its screen in small, and a search in all their histories.

use std::time::Duration;

use leptos::prelude::*;
use leptos_router::{
    NavigateOptions,
    hooks::{use_navigate, use_query_map},
};
use server::{
    caller::Right,
    events::Topic,
    terminals::{Found, TerminalState, TerminalView},
};

use super::{
    calls, rules,
    start::StartDialog,
    thumb::{List, Screens, Thumbs},
};
use crate::{
    Refusal,
    frame::{Bar, use_me},
    live::{kept, live},
    ui::{CopyButton, icon},
};

/// How long after the last key the search begins.
const TYPING: Duration = Duration::from_millis(300);

/// Characters that are looked for at least.
const LEAST: usize = 2;

/// The page.
#[component]
pub(crate) fn Wall() -> impl IntoView {
    let me = use_me();
    let list = terminals();
    let screens = Screens::new();
    screens.follow(list);
    let (starting, machine) = (RwSignal::new(false), RwSignal::new(String::new()));
    start_when_asked(starting, machine);
    let (query, short) = (RwSignal::new(String::new()), RwSignal::new(false));
    let start = move || {
        me.may(Right::Operate).then(|| {
            view! {
                <button class="primary" type="button" on:click=move |_| {
                    machine.set(String::new());
                    starting.set(true);
                }>{icon("plus")} " Start a terminal"</button>
            }
        })
    };
    let (trouble, lacks) = trouble();
    let why = move || trouble.get().and_then(Result::ok).flatten();
    let empty = move || list.get().and_then(Result::ok).is_some_and(|all| all.is_empty());
    let failure = move || list.get().and_then(Result::err).map(|refusal| refusal.to_string());
    view! {
        <Bar title="Terminals">
            <Transition>{move || list.get().and_then(Result::ok).map(|all| sentence(&all))}</Transition>
        </Bar>
        <div class="page wall">
            <Transition fallback=|| view! { <div class="tiles"><div class="card skeleton terminal-card" aria-hidden="true"></div></div> }>
                <div class="toolbar" hidden=move || empty() && why().is_none()>{search(query, short)} {start}</div>
                {move || failure().map(|words| view! { <p class="failure" role="alert">{words}</p> })}
                {move || why().map(|why| lacking(&why))}
                {move || (empty() && why().is_none()).then(|| view! { <Empty>{start()}</Empty> })}
                <p class="quiet" role="status" hidden=move || !short.get()>"Type at least two characters."</p>
                {found(query)}
                <div class="tiles" hidden=move || !query.with(String::is_empty)>
                    <Thumbs list=list screens=screens shown=Signal::derive(|| None) />
                </div>
            </Transition>
        </div>
        <StartDialog open=starting machine=machine lacks=lacks />
    }
}

/// All terminals, asked for again after news of them, of the machines that they are on, and of agents that wait.
pub(super) fn terminals() -> List {
    let live = live();
    let news = move || (live.version(Topic::Terminals), live.version(Topic::Machines), live.version(Topic::Agents));
    kept(news, |_| calls::list_terminals())
}

/// Why nothing can run on the hub's own machine, and what to install.
type Trouble = Resource<Result<Option<String>, Refusal>>;

/// Asks for it, again and again until it is mended; the signal tells it to what does not wait for the answer.
pub(super) fn trouble() -> (Trouble, RwSignal<Option<String>>) {
    let live = live();
    let asked: Trouble = kept(move || live.version(Topic::Terminals), |_| calls::terminal_trouble());
    let why = RwSignal::new(None);
    Effect::new(move || why.set(asked.get().and_then(Result::ok).flatten()));
    // What is installed there is no event here.
    Effect::new(move || {
        live.now.track();
        if why.with_untracked(Option::is_some) {
            asked.refetch();
        }
    });
    (asked, why)
}

/// Says so.
fn lacking(why: &str) -> AnyView {
    view! {
        <section class="card unable" role="alert">
            <h2>"No terminal can run on this machine"</h2>
            <p>{rules::sentence(why)}</p>
            <p class="quiet">"The hub finds by itself what you install, within some seconds. Terminals of other machines go on."</p>
        </section>
    }
    .into_any()
}

/// `/terminals?new=MACHINE` opens the dialog; the mark is taken from the address, so that it can be asked again.
fn start_when_asked(open: RwSignal<bool>, machine: RwSignal<String>) {
    let (query, navigate) = (use_query_map(), use_navigate());
    Effect::new(move || {
        if let Some(on) = query.read().get("new") {
            machine.set(on);
            open.set(true);
            navigate("/terminals", NavigateOptions { replace: true, scroll: false, ..Default::default() });
        }
    });
}

/// `5 running · 2 need you · 1 recording`. What is none is not said.
pub(super) fn sentence(all: &[TerminalView]) -> AnyView {
    if all.is_empty() {
        return "Nothing runs yet".into_any();
    }
    let count = |what: fn(&TerminalView) -> bool| all.iter().filter(|one| what(one)).count();
    let part = |n: usize, word: &'static str| (n > 0).then(|| view! { " · " <b>{n}</b> " " {word} });
    let need = count(|one| one.needs.is_some());
    let machines = {
        // Those of running ones: a machine that is away is no place where something is known to run.
        let running = all.iter().filter(|one| one.state == TerminalState::Running);
        let mut names: Vec<_> = running.map(|one| one.machine.as_deref()).collect();
        names.sort_unstable();
        names.dedup();
        names.len()
    };
    view! {
        <b>{count(|one| one.state == TerminalState::Running)}</b> " running"
        {(machines > 1).then(|| view! { " on " <b>{machines}</b> " machines" })}
        {part(count(|one| one.state == TerminalState::Away), "away")}
        {part(need, if need == 1 { "needs you" } else { "need you" })}
        {part(count(|one| one.recording.is_some()), "recording")}
        {part(all.iter().map(|one| one.viewers).sum(), "watching")}
    }
    .into_any()
}

fn search(query: RwSignal<String>, short: RwSignal<bool>) -> AnyView {
    let typed = StoredValue::new(0_u32);
    // Only the last key of a burst asks.
    let input = move |event: web_sys::Event| {
        let text = event_target_value(&event);
        typed.update_value(|n| *n += 1);
        let mine = typed.get_value();
        set_timeout(
            move || {
                if typed.try_get_value() == Some(mine) {
                    let text = text.trim();
                    let few = text.chars().count() < LEAST;
                    short.set(few && !text.is_empty());
                    query.set(if few { String::new() } else { text.to_owned() });
                }
            },
            TYPING,
        );
    };
    view! {
        <input type="search" data-search placeholder="Find in all history  ( / )" aria-label="Find in all history" on:input=input />
    }
    .into_any()
}

/// The lines that were found, in place of the wall.
fn found(query: RwSignal<String>) -> AnyView {
    let lines = Resource::new(
        move || query.get(),
        |text| async move { if text.is_empty() { Ok(Vec::new()) } else { calls::find_history(text).await } },
    );
    let line = move |one: Found| {
        let address = format!("/terminals/{}?find={}#{}", one.name, encoded(&query.get_untracked()), one.above);
        view! { <li><span class="quiet">{one.name.clone()}</span> <a class="mono" href=address>{one.line}</a></li> }
    };
    let body = move |all: Result<Vec<Found>, Refusal>| match all {
        Err(refusal) => view! { <p class="failure" role="alert">{refusal.to_string()}</p> }.into_any(),
        Ok(all) if all.is_empty() => view! { <p class="quiet">"No line of any history holds this."</p> }.into_any(),
        Ok(all) => view! { <ul class="lines found">{all.into_iter().map(line).collect_view()}</ul> }.into_any(),
    };
    view! {
        <section class="card" aria-label="Found" aria-live="polite" hidden=move || query.with(String::is_empty)>
            <Transition>{move || (!query.with(String::is_empty)).then(|| lines.get().map(body))}</Transition>
        </section>
    }
    .into_any()
}

/// A word as a part of an address.
pub(super) fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// What stands here before anything runs.
#[component]
fn Empty(
    /// The next thing to do.
    children: Children,
) -> impl IntoView {
    const COMMAND: &str = "central-mcp terminal start build";
    view! {
        <section class="card">
            <div class="empty">
                <h2>"No terminal yet"</h2>
                <p>
                    "Every agent's terminal lives here: watch it, take the keyboard, find what it said, share it by a link. "
                    "Sessions run in tmux and outlive a restart of the hub."
                </p>
                <p>"Start one here, or in a shell on this machine:"</p>
                <div class="command"><code tabindex="0">{COMMAND}</code> <CopyButton text=COMMAND.to_owned() what="the command" /></div>
                <div class="actions">{children()}</div>
            </div>
        </section>
    }
}

#[cfg(test)]
mod tests {
    use super::encoded;

    #[test]
    fn a_search_survives_the_address_bar() {
        assert_eq!(encoded("a b&c=é"), "a%20b%26c%3D%C3%A9");
    }
}
