//! Thumbnails: the last lines of each screen in small, asked for again while the page is looked at.

use std::collections::HashMap;

use leptos::prelude::*;
use server::{
    clock::Timestamp,
    terminals::{ScreenView, TerminalState, TerminalView},
};

use super::rules;
use crate::{
    Refusal,
    live::live,
    ui::{StatusBadge, actor_face, agent_hue},
};

/// Lines shown at most; a taller screen shows its last ones, where things happen.
const LINES: usize = 14;
/// A terminal that said something in this time is at work.
const WORKING: i64 = 10_000;
/// How often the screens are asked for, and each how manieth time the list is too: who watches is told by no event.
#[cfg(feature = "hydrate")]
const EVERY: std::time::Duration = std::time::Duration::from_millis(1200);
#[cfg(feature = "hydrate")]
const LIST: u32 = 5;

/// All terminals, as loaded.
pub(super) type List = Resource<Result<Vec<TerminalView>, Refusal>>;

/// The screens, by terminal.
#[derive(Clone, Copy)]
pub(super) struct Screens(RwSignal<HashMap<String, ScreenView>>);

impl Screens {
    /// None yet.
    pub(super) fn new() -> Self {
        Self(RwSignal::default())
    }

    /// Follows the screens, and now and then the list, until the page is left. Only in the browser, and only while
    /// somebody looks at the page.
    pub(super) fn follow(self, list: List) {
        #[cfg(feature = "hydrate")]
        {
            let (busy, turn) = (StoredValue::new(false), StoredValue::new(0_u32));
            let ask = move || {
                let hidden = web_sys::window().and_then(|window| window.document()).is_none_or(|page| page.hidden());
                if hidden || busy.get_value() {
                    return;
                }
                busy.set_value(true);
                turn.update_value(|turn| *turn += 1);
                if turn.get_value() % LIST == 0 {
                    list.refetch();
                }
                let known = self.0.with_untracked(|all| all.values().map(|one| (one.name.clone(), one.seq)).collect());
                leptos::task::spawn_local(async move {
                    if let Ok(changed) = super::calls::terminal_screens(known).await
                        && !changed.is_empty()
                    {
                        let _ =
                            self.0.try_update(|all| all.extend(changed.into_iter().map(|one| (one.name.clone(), one))));
                    }
                    let _ = busy.try_set_value(false);
                });
            };
            Effect::new(move || {
                ask();
                if let Ok(handle) = set_interval_with_handle(ask, EVERY) {
                    on_cleanup(move || handle.clear());
                }
            });
        }
        #[cfg(not(feature = "hydrate"))]
        let _ = list;
    }
}

/// One screen in small. Not for screen readers: the terminal itself is.
pub(super) fn thumb(screens: Screens, name: String) -> AnyView {
    let screen = Memo::new(move |_| screens.0.with(|all| all.get(&name).cloned()));
    let lines = move || screen.get().map(|screen| last_lines(screen).into_iter().map(line).collect_view());
    view! { <div class="thumb" aria-hidden="true">{lines}</div> }.into_any()
}

fn last_lines(screen: ScreenView) -> Vec<Vec<server::terminals::Run>> {
    let skip = screen.lines.len().saturating_sub(LINES);
    screen.lines.into_iter().skip(skip).collect()
}

fn line(runs: Vec<server::terminals::Run>) -> AnyView {
    let run = |run: server::terminals::Run| {
        let style = rules::style(&run);
        if style.is_empty() {
            view! { {run.text} }.into_any()
        } else {
            view! { <i style=style>{run.text}</i> }.into_any()
        }
    };
    view! { <p>{runs.into_iter().map(run).collect_view()}</p> }.into_any()
}

/// The square with the letter: the agent's, or the sign of a terminal that is nobody's.
pub(super) fn face(view: &TerminalView) -> AnyView {
    match &view.agent {
        Some(slug) => actor_face(&format!("agent:{slug}")).into_any(),
        None => actor_face("terminal:").into_any(),
    }
}

/// The hue of its edge; `None` for a terminal that is nobody's.
pub(super) fn hue(view: &TerminalView) -> Option<u32> {
    view.agent.as_deref().map(agent_hue)
}

/// The word for how a terminal is, and its colour.
pub(super) fn state(view: &TerminalView, now: i64) -> (&'static str, &'static str) {
    let lately = |at: Timestamp| now - at.millis() < WORKING;
    match view {
        TerminalView { state: TerminalState::Ended, .. } => ("ended", "quiet"),
        TerminalView { state: TerminalState::Away, .. } => ("away", "warn"),
        TerminalView { needs: Some(_), .. } => ("needs you", "warn"),
        TerminalView { active_at: Some(at), .. } if lately(*at) => ("working", "ok"),
        _ => ("idle", "quiet"),
    }
}

/// Every terminal with its screen in small, each a way to it.
#[component]
pub(super) fn Thumbs(
    /// The terminals.
    list: List,
    /// Their screens.
    screens: Screens,
    /// The one that is shown in full, if one is.
    shown: Signal<Option<String>>,
) -> impl IntoView {
    let live = live();
    let all = move || list.get().and_then(Result::ok).unwrap_or_default();
    let card = move |first: TerminalView| {
        let name = first.name.clone();
        let thumb = thumb(screens, name.clone());
        let address = format!("/terminals/{name}");
        let (hue, face) = (hue(&first), face(&first));
        let here = {
            let name = name.clone();
            Memo::new(move |_| shown.with(|shown| shown.as_ref() == Some(&name)))
        };
        let now = Memo::new(move |_| {
            let all = list.get().and_then(Result::ok).unwrap_or_default();
            all.into_iter().find(|one| one.name == first.name).unwrap_or_else(|| first.clone())
        });
        let away = Memo::new(move |_| now.with(|view| view.state == TerminalState::Away));
        let head = move || {
            let view = now.get();
            let shown = here.get() && !away.get();
            let (word, class) = if shown { ("shown", "quiet") } else { state(&view, live.now.get()) };
            let why = view.needs.clone();
            view! { <span class="quiet where">{view.machine.clone()}</span> <span title=why><StatusBadge word=word class=class /></span> }
        };
        let foot = move || {
            let view = now.get();
            let watching = (view.viewers > 0).then(|| format!("{} watching", view.viewers));
            let held =
                view.keyboard.as_deref().filter(|_| !away.get()).map(|who| format!("{} types", rules::person(who)));
            let recorded = view.recording.map(|_| "recording".to_owned());
            let words: Vec<_> = view.needs.clone().into_iter().chain(held).chain(recorded).chain(watching).collect();
            let words = if words.is_empty() { format!("{} × {}", view.cols, view.rows) } else { words.join(" · ") };
            view! { <span class="facts-line">{words}</span> }
        };
        let class = if hue.is_some() { "card terminal-card owned" } else { "card terminal-card" };
        view! {
            <a class=class class:away=away href=address style=format!("--hue:{}", hue.unwrap_or_default())
                aria-current=move || here.get().then_some("true")>
                <span class="head">{face} <b>{name}</b> {head}</span>
                {thumb}
                {foot}
            </a>
        }
    };
    view! { <For each=all key=|view| view.name.clone() children=card /> }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_somebody_comes_before_what_works() {
        let view = TerminalView {
            name: "a".into(),
            agent: None,
            machine: None,
            state: TerminalState::Running,
            away: None,
            pid: None,
            cols: 80,
            rows: 24,
            title: String::new(),
            viewers: 0,
            keyboard: None,
            recorded: false,
            recording: None,
            active_at: Some(Timestamp::from_millis(1_000)),
            started_at: None,
            needs: None,
        };
        assert_eq!(state(&view, 2_000).0, "working");
        assert_eq!(state(&view, 60_000).0, "idle");
        let asking = TerminalView { needs: Some("a question".into()), ..view };
        assert_eq!(state(&asking, 2_000).0, "needs you");
        assert_eq!(state(&TerminalView { state: TerminalState::Away, ..asking.clone() }, 2_000).0, "away");
        assert_eq!(state(&TerminalView { state: TerminalState::Ended, ..asking }, 2_000).0, "ended");
    }
}
