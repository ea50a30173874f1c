//! What a terminal has said: the lines that tmux keeps, with a search in them.

use leptos::{html, prelude::*};
use leptos_router::hooks::use_query_map;
use server::terminals::History as Lines;

use super::calls;
use crate::{
    Refusal,
    ui::{CopyButton, icon},
};

/// Lines loaded at first, and how many times more with each step.
const FIRST: usize = 1_000;
const STEP: usize = 4;
/// Found lines shown at most.
const SHOWN: usize = 1_000;

/// The panel over a terminal.
#[component]
pub(super) fn History(
    /// Which terminal.
    name: String,
    /// Whether it is open; false closes it.
    open: RwSignal<bool>,
) -> impl IntoView {
    let asked = RwSignal::new(FIRST);
    let find = RwSignal::new(use_query_map().with_untracked(|query| query.get("find").unwrap_or_default()));
    let lines = Resource::new(move || asked.get(), move |n| calls::terminal_history(name.clone(), n));
    let text =
        Signal::derive(move || lines.get().and_then(Result::ok).map(|all| all.lines.join("\n")).unwrap_or_default());
    let bottom = NodeRef::<html::Div>::new();
    let body = move |answer: Result<Lines, Refusal>| match answer {
        Err(refusal) => view! { <p class="failure" role="alert">{refusal.to_string()}</p> }.into_any(),
        Ok(all) => {
            let Lines { lines, total } = all;
            let more = (lines.len() < total && lines.len() >= asked.get_untracked()).then(|| {
                view! {
                    <p class="more"><button type="button" on:click=move |_| asked.update(|n| *n *= STEP)>"Load older lines"</button></p>
                }
            });
            view! { {more} {shown(lines, find)} }.into_any()
        }
    };
    // The newest lines first in sight, as in the terminal.
    Effect::new(move || {
        if lines.get().is_some()
            && let Some(bottom) = bottom.get()
        {
            request_animation_frame(move || bottom.set_scroll_top(bottom.scroll_height()));
        }
    });
    let count = move || lines.get().and_then(Result::ok).map(|all| format!("{} lines", all.lines.len()));
    view! {
        <section class="past" aria-label="History">
            <header>
                <input type="search" data-search placeholder="Find in these lines" aria-label="Find in these lines"
                    prop:value=find on:input:target=move |event| find.set(event.target().value()) />
                <span class="quiet"><Transition>{count}</Transition></span>
                <CopyButton text=text what="these lines" />
                <button class="quiet" type="button" aria-label="Close the history" title="Esc" on:click=move |_| open.set(false)>{icon("close")}</button>
            </header>
            <div class="said" tabindex="0" node_ref=bottom>
                <Transition fallback=|| view! { <p class="quiet">"Reading the history…"</p> }>{move || lines.get().map(body)}</Transition>
            </div>
        </section>
    }
}

fn shown(lines: Vec<String>, find: RwSignal<String>) -> AnyView {
    let lines = StoredValue::new(lines);
    let all = move || {
        let text = find.get();
        if text.trim().is_empty() {
            return view! { <pre>{lines.with_value(|lines| lines.join("\n"))}</pre> }.into_any();
        }
        let found = lines.with_value(|lines| matches(lines, &text));
        if found.is_empty() {
            return view! { <p class="quiet" role="status">"No loaded line holds this."</p> }.into_any();
        }
        let line = |(above, [before, hit, after]): (usize, [String; 3])| {
            view! { <p><small title="Lines above the last one">{above}</small> {before}<mark>{hit}</mark>{after}</p> }
                .into_any()
        };
        view! { <div class="hits">{found.into_iter().map(line).collect_view()}</div> }.into_any()
    };
    view! { {all} }.into_any()
}

/// The newest lines that hold `text`, whatever its case: how far above the last one, and the line around its first hit.
fn matches(lines: &[String], text: &str) -> Vec<(usize, [String; 3])> {
    let text = text.trim().to_lowercase();
    let last = lines.len().saturating_sub(1);
    let hit = |(n, line): (usize, &String)| {
        let at = find_ignoring_case(line, &text)?;
        let (before, rest) = line.split_at(at.start);
        let (hit, after) = rest.split_at(at.len());
        Some((last - n, [before.to_owned(), hit.to_owned(), after.to_owned()]))
    };
    let mut found: Vec<_> = lines.iter().enumerate().rev().filter_map(hit).take(SHOWN).collect();
    found.reverse();
    found
}

/// Where `line` holds `text`, which is in small letters. Small letters may have more bytes than capitals, so it is not the place
/// in the line in small letters.
fn find_ignoring_case(line: &str, text: &str) -> Option<std::ops::Range<usize>> {
    let starts = line.char_indices().map(|(at, _)| at);
    starts.into_iter().find_map(|start| {
        let mut left = text;
        for (at, char) in line[start..].char_indices() {
            if left.is_empty() {
                return Some(start..start + at);
            }
            for small in char.to_lowercase() {
                left = left.strip_prefix(small)?;
            }
        }
        left.is_empty().then_some(start..line.len())
    })
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_line_is_found_whatever_its_case_and_letters() {
        let lines: Vec<String> = ["İstanbul ERROR here", "nothing", "an error", "error"].map(str::to_owned).into();
        let found = matches(&lines, " Error ");
        let words: Vec<_> =
            found.iter().map(|(above, [before, hit, after])| format!("{above}:{before}|{hit}|{after}")).collect();
        assert_eq!(words, ["3:İstanbul |ERROR| here", "1:an |error|", "0:|error|"]);
        assert!(matches(&lines, "errors").is_empty());
    }
}
