//! One terminal in full size, beside the others in small.

use leptos::{html, prelude::*};
use leptos_router::{
    NavigateOptions,
    hooks::{use_navigate, use_params_map, use_query_map},
};
use server::{
    caller::Right,
    clock::Timestamp,
    terminals::{Request, TerminalState, TerminalView, Watching},
};

use super::{
    asks, calls,
    desk::{Desk, Line},
    keyboard::{KeyBar, keyboard},
    menu::{self, menu},
    rules::{self, Letters},
    seldom::{Seldom, seldom},
    thumb::{List, Screens, Thumbs, face, hue},
    wall,
};
use crate::{
    frame::{Bar, use_me},
    live::live,
    services::Act,
    ui::{Ago, Words, count, exact, icon, on_keys, span},
};

/// How long it is said why something was not done.
#[cfg(feature = "hydrate")]
const BRIEF: std::time::Duration = std::time::Duration::from_secs(6);

/// The page.
#[component]
pub(crate) fn One() -> impl IntoView {
    let params = use_params_map();
    let name = Memo::new(move |_| params.with(|params| params.get("name")).unwrap_or_default());
    let list = wall::terminals();
    let screens = Screens::new();
    screens.follow(list);
    let sentence = move || list.get().and_then(Result::ok).map(|all| wall::sentence(&all));
    let page = move || {
        // What is not in the list is not there; the list's news alone make nothing anew.
        let there = Memo::new(move |_| {
            let name = name.get();
            list.get().map(|all| (all.map(|all| all.into_iter().any(|one| one.name == name)), name))
        });
        move || match there.get() {
            None => ().into_any(),
            Some((Ok(true), name)) => view! { <Stage name=name list=list /> }.into_any(),
            Some((Ok(false), _)) => missing(),
            Some((Err(refusal), _)) => view! { <p class="failure" role="alert">{refusal.to_string()}</p> }.into_any(),
        }
    };
    view! {
        {move || view! { <Bar title=name.get()><a href="/terminals">"All terminals"</a> " · " <Transition>{sentence}</Transition></Bar> }}
        <div class="one">
            <Transition fallback=|| view! { <div class="card skeleton terminal" aria-hidden="true"></div> }>{page()}</Transition>
            <aside class="side" aria-label="All terminals">
                <Transition>
                    <Thumbs list=list screens=screens shown=Signal::derive(move || Some(name.get())) />
                </Transition>
            </aside>
        </div>
    }
}

fn missing() -> AnyView {
    #[cfg(feature = "ssr")]
    if let Some(response) = use_context::<leptos_axum::ResponseOptions>() {
        response.set_status(axum::http::StatusCode::NOT_FOUND);
    }
    view! {
        <div class="missing">
            <p>"There is no such terminal. It may have been stopped, or the address is mistyped."</p>
            <p><a class="button primary" href="/terminals">"To all terminals"</a></p>
        </div>
    }
    .into_any()
}

/// The terminal itself; made anew for each name.
#[component]
fn Stage(
    /// Which.
    name: String,
    /// For its facts, and its neighbours.
    list: List,
) -> impl IntoView {
    let desk = Desk::new();
    let me = use_me();
    let screen = NodeRef::<html::Div>::new();
    let past = desk.past;
    // In the browser only: what the history is shown by comes in a file of its own.
    let asked = use_query_map().with_untracked(|query| query.get("find").is_some());
    Effect::new(move || past.set(asked));
    // Who closes it and holds the keyboard goes on typing.
    Effect::new(move |before: Option<bool>| {
        let open = past.get();
        if before == Some(true) && !open {
            desk.return_focus();
        }
        open
    });
    connect(desk, name.clone(), screen);
    page_keys(desk, name.clone(), list, past);
    let facts = {
        let name = name.clone();
        Memo::new(move |_| {
            let all = list.get().and_then(Result::ok).unwrap_or_default();
            all.into_iter().find(|one| one.name == name)
        })
    };
    let may = Memo::new(move |_| me.may(Right::Operate));
    let first = facts.get_untracked();
    let own_hue = first.as_ref().and_then(hue);
    let class = if own_hue.is_some() { "card terminal owned" } else { "card terminal" };
    // What the hub's own machine lacks says nothing of another.
    let (_, lacks) = wall::trouble();
    let lacks = Memo::new(move |_| {
        let here = facts.with(|facts| facts.as_ref().is_some_and(|one| one.machine.is_none()));
        lacks.get().filter(|_| here)
    });
    view! {
        <section class=class aria-label=name.clone() data-held=move || desk.holds().then_some("") style=format!("--hue:{}", own_hue.unwrap_or_default())>
            <header>
                {first.as_ref().map(face)}
                <h2>{name.clone()}</h2>
                <p class="quiet about">{move || facts.get().map(|facts| about(&facts, desk.watching.get().as_ref()))}</p>
                {move || desk.bell.get().then(|| view! { <span class="badge warn">"bell"</span> })}
                {keyboard(desk)}
                {menu(desk, name.clone(), facts, may)}
            </header>
            <div class="stage">
                <div class="glass" tabindex="0"><div class="screen" node_ref=screen></div></div>
                {strip(desk, name.clone(), facts, may, lacks)}
                {last_words(desk, name.clone())}
                {
                    let name = name.clone();
                    move || past.get().then(|| seldom(Seldom::History { name: name.clone(), open: past }))
                }
            </div>
            <KeyBar desk=desk />
            {footer(desk, past)}
        </section>
        {asks::pasting(desk)}
        {asks::leaving(desk)}
    }
}

/// Role, what the program calls itself, and the machine.
fn about(facts: &TerminalView, now: Option<&Watching>) -> String {
    let agent = facts.agent.as_ref().map(|slug| format!("agent {slug}"));
    let title = now.map_or(&facts.title, |now| &now.title);
    let title = (!title.is_empty() && *title != facts.name).then(|| title.clone());
    agent
        .into_iter()
        .chain(title)
        .chain(facts.machine.as_ref().map(|machine| format!("on {machine}")))
        .collect::<Vec<_>>()
        .join(" · ")
}

/// The truth about the line, and what was refused.
fn strip(
    desk: Desk,
    name: String,
    facts: Memo<Option<TerminalView>>,
    may: Memo<bool>,
    lacks: Memo<Option<String>>,
) -> AnyView {
    let ended =
        Memo::new(move |_| facts.with(|facts| facts.as_ref().is_some_and(|one| one.state == TerminalState::Ended)));
    let of_agent = Memo::new(move |_| facts.with(|facts| facts.as_ref().is_some_and(|one| one.agent.is_some())));
    let act = Act::new();
    let start = move |_| {
        act.run(calls::start_terminal_again(name.clone()), move |()| desk.connect());
    };
    let away = Memo::new(move |_| match desk.line.get() {
        Line::Open => desk.watching.with(|now| now.as_ref().and_then(|now| now.away)),
        // The line to the hub itself is broken: nothing newer is known of the machine.
        Line::Reconnecting => None,
        Line::Connecting | Line::Closed(_) => facts.with(|facts| facts.as_ref().and_then(|one| one.away)),
    });
    come_back(desk, facts);
    // What failed before it ran fails no more.
    Effect::new(move || {
        if desk.line.get() == Line::Open {
            act.failure.set(None);
        }
    });
    let line = move || {
        if let Some(since) = away.get() {
            return not_connected(desk, facts, since);
        }
        if let Some(why) = lacks.get().filter(|_| desk.line.get() != Line::Open) {
            return view! { <p class="strip bad" role="alert">{rules::sentence(&why)}</p> }.into_any();
        }
        match desk.line.get() {
        Line::Open => ().into_any(),
        Line::Connecting => view! { <p class="strip" role="status">"Connecting…"</p> }.into_any(),
        Line::Reconnecting => {
            view! { <p class="strip warn" role="status">"The line is broken; coming back by itself. What you see is what was known last; keys go nowhere until then."</p> }
                .into_any()
        }
        Line::Closed(why) => {
            let start = start.clone();
            let again = move || {
                if ended.get() && may.get() {
                    view! { <button type="button" disabled=move || act.busy() on:click=start.clone()>
                        {move || if of_agent.get() { "Start the agent" } else { "Start again" }}
                    </button> }.into_any()
                } else {
                    view! { <button type="button" on:click=move |_| desk.connect()>"Connect again"</button> }.into_any()
                }
            };
            view! { <p class="strip bad" role="alert">{rules::sentence(&why)} {again}</p> }.into_any()
        }
    }
    };
    // What was said goes by itself; what must be read first waits for its button.
    #[cfg(feature = "hydrate")]
    Effect::new(move || {
        if let Some(said) = desk.words.get().filter(|said| said != rules::LOST) {
            let gone = move || {
                if desk.words.try_get_untracked().flatten() == Some(said) {
                    desk.words.set(None);
                }
            };
            set_timeout(gone, BRIEF);
        }
    });
    let words = move || {
        desk.words.get().map(|words| {
            view! {
                <p class="strip warn" role="alert">
                    {words}
                    <button class="quiet" type="button" aria-label="Understood" on:click=move |_| {
                        desk.words.set(None);
                        desk.focus();
                    }>{icon("close")}</button>
                </p>
            }
        })
    };
    view! { <div class="strips">{line} {words} <Words failure=act.failure /></div> }.into_any()
}

/// What a program said last that failed before anybody watched it here; who watched has the picture.
fn last_words(desk: Desk, name: String) -> AnyView {
    let over = Memo::new(move |_| matches!(desk.line.get(), Line::Closed(_)) && desk.watching.with(Option::is_none));
    let said = LocalResource::new(move || {
        let name = name.clone();
        async move { if over.get() { calls::terminal_last_words(name).await.ok().flatten() } else { None } }
    });
    let shown = move || {
        let said = said.get().flatten().filter(|_| over.get())?;
        Some(view! {
            <div class="last-words">
                <p>"Its program ended with " {said.how} ", " <Ago at=said.at /> ". What it said last:"</p>
                <pre tabindex="0">{said.lines.join("\n")}</pre>
            </div>
        })
    };
    view! { <Transition>{shown}</Transition> }.into_any()
}

/// Says that the machine is away: what is shown is how it was.
fn not_connected(desk: Desk, facts: Memo<Option<TerminalView>>, since: Timestamp) -> AnyView {
    let live = live();
    let name = facts.with_untracked(|facts| facts.as_ref().and_then(|one| one.machine.clone()));
    let name = name.unwrap_or_else(|| "Its machine".to_owned());
    let picture = move || match desk.watching.with(Option::is_some) {
        true => "this is the last picture.",
        false => "the picture comes when it is back.",
    };
    let lasts = move || match live.now.get() - since.millis() {
        ..5_000 => ", just now".to_owned(),
        ms => format!(", for {} now", span(ms)),
    };
    // The time stands apart, so that a screen reader is not told of each new one.
    view! {
        <p class="strip warn away">
            <span>
                <span role="status"><b>{name}</b> " is not connected"</span>
                <span title=exact(since)>{lasts}</span>
                ". Its sessions run on; " {picture}
            </span>
        </p>
    }
    .into_any()
}

/// What runs again, or is there again, is shown again: it was started anew, or its machine is back.
fn come_back(desk: Desk, facts: Memo<Option<TerminalView>>) {
    let runs = Memo::new(move |_| {
        let there = |one: &TerminalView| one.state == TerminalState::Running && one.away.is_none();
        facts.with(|facts| facts.as_ref().filter(|one| there(one)).and_then(|one| one.started_at))
    });
    // Of when the session is that was connected to last: the list may be told of its end late, or of a quick restart never.
    let tried = StoredValue::new(None::<Timestamp>);
    Effect::new(move |was: Option<bool>| {
        let (now, line) = (runs.get(), desk.line.get());
        let open = line == Line::Open;
        if now.is_none() || (open && was != Some(true)) {
            tried.set_value(now);
        } else if matches!(line, Line::Closed(_)) && tried.get_value() != now {
            tried.set_value(now);
            desk.connect();
        }
        open
    });
}

fn footer(desk: Desk, past: RwSignal<bool>) -> AnyView {
    let size = move || desk.watching.with(|now| now.as_ref().map(|now| format!("{} × {}", now.cols, now.rows)));
    // Once the line is closed nobody tells how many there are.
    let watching = move || {
        desk.watching.with(|now| {
            let now = now.as_ref().filter(|_| !matches!(desk.line.get(), Line::Closed(_)))?;
            let links = (now.guests > 0).then(|| format!(", {}", count(now.guests as i64, "by a link", "by links")));
            Some(format!("{} watching{}", now.viewers, links.unwrap_or_default()))
        })
    };
    let button = |key: &'static str, word: &'static str, act: Box<dyn Fn()>| {
        view! { <button class="quiet" type="button" on:click=move |_| act()><kbd aria-hidden="true">{key}</kbd> {word}</button> }
            .into_any()
    };
    view! {
        <footer>
            <span>{size}</span>
            <span>{watching}</span>
            <span class="tools">
                <span class="letters">
                    <button class="quiet" type="button" aria-label="A− smaller letters" on:click=move |_| desk.zoom(-1.0)>"A−"</button>
                    <button class="quiet" type="button" aria-label="A+ larger letters" on:click=move |_| desk.zoom(1.0)>"A+"</button>
                </span>
                <button class="quiet" type="button" title="See the whole screen, however small; again: letters to read"
                    aria-pressed=move || (desk.letters.get() == Letters::Whole).to_string() on:click=move |_| desk.fit()>
                    <kbd aria-hidden="true">"f"</kbd> "fit"
                </button>
                {button("h", "history", Box::new(move || past.update(|open| *open = !*open)))}
                {button("c", "copy", Box::new(move || desk.copy()))}
            </span>
        </footer>
    }
    .into_any()
}

/// Once the element is there, the emulator comes into it.
fn connect(desk: Desk, name: String, screen: NodeRef<html::Div>) {
    #[cfg(feature = "hydrate")]
    {
        use wasm_bindgen::JsCast as _;
        Effect::new(move || {
            let Some(screen) = screen.get() else { return };
            let name = name.clone();
            leptos::task::spawn_local(super::session::Session::begin(desk, name, screen.unchecked_into()));
        });
    }
    #[cfg(not(feature = "hydrate"))]
    let _ = (desk, name, screen);
}

/// Keys of the page; while somebody types into the terminal they are the terminal's.
fn page_keys(desk: Desk, name: String, list: List, past: RwSignal<bool>) {
    let navigate = use_navigate();
    let beside = move |step: isize| {
        let all = list.get_untracked().and_then(Result::ok).unwrap_or_default();
        let here = all.iter().position(|one| one.name == name).unwrap_or_default();
        let next = (here as isize + step).rem_euclid(all.len().max(1) as isize) as usize;
        if let Some(one) = all.get(next) {
            navigate(&format!("/terminals/{}", one.name), NavigateOptions::default());
        }
    };
    let leave = use_navigate();
    on_keys(move |key| {
        match key {
            "f" => desk.fit(),
            "h" => past.update(|open| *open = !*open),
            "c" => desk.copy(),
            "t" if desk.may_type() && desk.other().is_none() => desk.ask(&Request::Take { over: false }),
            "+" => desk.zoom(1.0),
            "-" => desk.zoom(-1.0),
            "[" => beside(-1),
            "]" => beside(1),
            "Escape" if menu::close_menu() => desk.return_focus(),
            "Escape" if past.get_untracked() => past.set(false),
            "Escape" if desk.watching.with_untracked(|now| now.as_ref().is_some_and(rules::yours)) => desk.focus(),
            "Escape" => leave("/terminals", NavigateOptions::default()),
            _ => return false,
        }
        true
    });
}

/// `Rec 12:04`, while a recording runs.
pub(super) fn recording(desk: Desk) -> impl Fn() -> Option<AnyView> + Clone {
    let live = live();
    move || {
        let since = desk.watching.with(|now| now.as_ref().and_then(|now| now.recording))?;
        let words = rules::clock(live.now.get() - since.millis());
        Some(
            view! { <span class="badge bad rec" title="Its output is being recorded">"Rec " {words}</span> }.into_any(),
        )
    }
}
