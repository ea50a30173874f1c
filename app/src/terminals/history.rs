//! What a terminal has said: the lines that tmux keeps, with a search in them.

use leptos::{html, prelude::*};
use leptos_router::hooks::{use_location, use_query_map};
use server::terminals::History as Lines;

use super::calls;
use crate::{
    Refusal,
    ui::{CopyButton, icon},
};

/// Lines loaded at first, and how many times more with each step.
const FIRST: usize = 1_000;
const STEP: usize = 4;
/// All that any terminal keeps.
const ALL: usize = 50_000;
/// Lines loaded above one that was found elsewhere: what came since has moved it up.
const ABOVE: usize = 500;
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
    let find = RwSignal::new(use_query_map().with_untracked(|query| query.get("find").unwrap_or_default()));
    // `?find=TEXT#N`: the line that holds the text, N lines above the last one. It is shown among its neighbours.
    let place = use_location().hash.with_untracked(|hash| hash.trim_start_matches('#').parse::<usize>().ok());
    let place = RwSignal::new(place.filter(|_| !find.with_untracked(String::is_empty)));
    let asked =
        RwSignal::new(place.get_untracked().map_or(FIRST, |above| above.saturating_add(ABOVE).clamp(FIRST, ALL)));
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
            // A search that does not see all says so.
            let part = more.is_some().then(|| {
                let words = format!("Searched are the newest {} lines.", lines.len());
                view! {
                    <p class="part quiet" hidden=move || find.with(|text| text.trim().is_empty()) || place.get().is_some()>
                        {words} " " <button type="button" on:click=move |_| asked.set(ALL)>"Search all"</button>
                    </p>
                }
            });
            view! { {part} <div hidden=move || find.with(|text| !text.trim().is_empty()) && place.get().is_none()>{more}</div> {shown(lines, find, place)} }
                .into_any()
        }
    };
    // The newest lines first in sight, as in the terminal; or the line that was found.
    Effect::new(move || {
        place.track();
        if lines.get().is_some()
            && let Some(bottom) = bottom.get()
        {
            request_animation_frame(move || {
                bottom.set_scroll_top(middle_of_found(&bottom).unwrap_or(bottom.scroll_height()))
            });
        }
    });
    let field = NodeRef::<html::Input>::new();
    begin(field);
    let key = move |event: web_sys::KeyboardEvent| {
        if event.key() == "Escape" {
            event.prevent_default();
            event.stop_propagation();
            match find.with_untracked(String::is_empty) {
                true => open.set(false),
                false => {
                    find.set(String::new());
                    place.set(None);
                }
            }
        }
    };
    let count = move || lines.get().and_then(Result::ok).map(|all| format!("{} lines", all.lines.len()));
    view! {
        <section class="past" aria-label="History">
            <header>
                <input type="search" data-search placeholder="Find in these lines" aria-label="Find in these lines"
                    node_ref=field prop:value=find on:keydown=key on:input:target=move |event| { find.set(event.target().value()); place.set(None); } />
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

/// Puts the cursor into the search, unless that brought a keyboard over half the screen.
fn begin(field: NodeRef<html::Input>) {
    #[cfg(feature = "hydrate")]
    Effect::new(move || {
        if let Some(field) = field.get().filter(|_| !super::xterm::touch()) {
            // Once it is on the page.
            request_animation_frame(move || drop(field.focus()));
        }
    });
    #[cfg(not(feature = "hydrate"))]
    let _ = field;
}

/// How far `said` is to be scrolled so that the line which was found is in its middle.
fn middle_of_found(said: &web_sys::HtmlElement) -> Option<i32> {
    use wasm_bindgen::JsCast as _;
    let line = said.query_selector("mark.found").ok()??.dyn_into::<web_sys::HtmlElement>().ok()?;
    Some(line.offset_top() - said.offset_top() - said.client_height() / 2)
}

fn shown(lines: Vec<String>, find: RwSignal<String>, place: RwSignal<Option<usize>>) -> AnyView {
    let lines = StoredValue::new(lines);
    let all = move || {
        let text = find.get();
        if let Some(found) = place.get().and_then(|above| lines.with_value(|lines| among(lines, &text, above))) {
            let [before, line, hit, rest, after] = found;
            return view! { <pre>{before} {line} <mark class="found">{hit}</mark> {rest} {after}</pre> }.into_any();
        }
        if text.trim().is_empty() {
            return view! { <pre>{lines.with_value(|lines| lines.join("\n"))}</pre> }.into_any();
        }
        let found = lines.with_value(|lines| matches(lines, &text));
        if found.is_empty() {
            return view! { <p class="quiet" role="status">"No loaded line holds this."</p> }.into_any();
        }
        let line = |(above, [before, hit, after]): (usize, [String; 3])| {
            view! {
                <p>
                    <button class="quiet" type="button" title="Lines above the last one; shows it among them" on:click=move |_| place.set(Some(above))>{above}</button>
                    " " {before}<mark>{hit}</mark>{after}
                </p>
            }
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

/// The line that holds `text` nearest to the one `above` the last, where it may have moved up since: what stands before it, the line
/// around its hit, what comes after it.
fn among(lines: &[String], text: &str, above: usize) -> Option<[String; 5]> {
    let text = text.trim().to_lowercase();
    let wanted = lines.len().saturating_sub(1).saturating_sub(above);
    let up = (0..=wanted.min(lines.len().checked_sub(1)?)).rev();
    let (at, hit) =
        up.chain(wanted + 1..lines.len()).find_map(|at| Some((at, find_ignoring_case(&lines[at], &text)?)))?;
    let (line, rest) = lines[at].split_at(hit.start);
    let (hit, rest) = rest.split_at(hit.len());
    let end = |lines: &[String], sign: &str| if lines.is_empty() { String::new() } else { sign.to_owned() };
    let (before, after) = (&lines[..at], &lines[at + 1..]);
    let (newline, next) = (end(before, "\n"), end(after, "\n"));
    Some([before.join("\n") + &newline, line.to_owned(), hit.to_owned(), rest.to_owned(), next + &after.join("\n")])
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
    use super::{among, matches};

    #[test]
    fn a_line_found_elsewhere_is_shown_in_its_place_though_it_moved_up() {
        let lines: Vec<String> = ["old hit", "b", "a HIT c", "d", "hit"].map(str::to_owned).into();
        let shown = |above| among(&lines, "hit", above).map(|parts| parts.join("|"));
        assert_eq!(shown(2).as_deref(), Some("old hit\nb\n|a |HIT| c|\nd\nhit"));
        assert_eq!(shown(1).as_deref(), Some("old hit\nb\n|a |HIT| c|\nd\nhit"), "one line came since");
        assert_eq!(shown(0).as_deref(), Some("old hit\nb\na HIT c\nd\n||hit||"));
        assert_eq!(shown(99).as_deref(), Some("|old |hit||\nb\na HIT c\nd\nhit"), "more than there are");
        assert_eq!(among(&lines, "none", 1), None);
        assert_eq!(among(&[], "hit", 1), None);
    }

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
