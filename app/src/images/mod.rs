//! Images: the form, the queue, the gallery, one image.

pub(crate) mod calls;
mod detail;
mod facts;
mod fields;
mod form;
mod gallery;
mod queue;
mod source;
mod tile;
mod workflow;

use leptos::prelude::*;
use server::{caller::Right, events::Topic, images::ImageStats};

pub(crate) use detail::Detail;

use crate::{
    frame::{Bar, use_me},
    live::{kept, live},
    ui::{duration, money},
};

/// The page: the form at the left, queue and gallery at the right.
#[component]
pub(crate) fn Images() -> impl IntoView {
    let live = live();
    let me = use_me();
    let stats = kept(move || live.version(Topic::Images), |_| calls::image_totals());
    let queue = kept(move || live.version(Topic::Images), |_| calls::image_queue());
    let services = kept(move || live.version(Topic::Services), |_| calls::active_services());
    view! {
        <Bar title="Images">
            <Transition>{move || stats.get().and_then(Result::ok).map(sentence)}</Transition>
        </Bar>
        <div class="images">
            <Transition>
                {move || me.get().map(|me| if me.role.may(Right::Draw) {
                    view! { <form::Form services=services /> }.into_any()
                } else {
                    view! {
                        <p class="draw card">"You may look at pictures, but not draw. Ask an owner for the role operator."</p>
                    }.into_any()
                })}
            </Transition>
            <div class="results">
                <queue::Queue queue=queue />
                <gallery::Gallery stats=stats services=services />
            </div>
        </div>
    }
}

/// True facts only: what is zero or unknown is not in it.
fn sentence(stats: ImageStats) -> AnyView {
    let queue = [(stats.running, " drawing"), (stats.queued, " waiting")];
    let mut parts: Vec<AnyView> = queue
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| view! { <a href="#queue"><b>{n}</b>{word}</a> }.into_any())
        .collect();
    if stats.done_day > 0 {
        parts.push(view! { <a href="#gallery"><b>{stats.done_day}</b>" drawn in 24 h"</a> }.into_any());
    } else if stats.done > 0 {
        parts.push(view! { <a href="#gallery"><b>{stats.done}</b>" pictures kept"</a> }.into_any());
    }
    if let Some(ms) = stats.median_ms {
        parts.push(view! { <span>"median "<b>{duration(ms)}</b></span> }.into_any());
    }
    if stats.cost.0 > 0 {
        parts.push(view! { <span><b>{money(stats.cost)}</b>" for what is kept"</span> }.into_any());
    }
    if parts.is_empty() {
        return view! { <span>"Nothing drawn yet"</span> }.into_any();
    }
    let mut first = true;
    parts
        .into_iter()
        .map(|part| {
            let gap = if std::mem::take(&mut first) { "" } else { " · " };
            view! { {gap} {part} }.into_any()
        })
        .collect_view()
        .into_any()
}

/// The first words of a prompt as a title: one line, 72 characters at most.
fn first_words(prompt: &str) -> String {
    let line = prompt.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() {
        return "No prompt".to_owned();
    }
    match line.char_indices().nth(72) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::first_words;

    #[test]
    fn a_title_is_one_line_and_cut_between_characters() {
        assert_eq!(first_words("  a harbour\n at dusk "), "a harbour at dusk");
        assert_eq!(first_words(" \n"), "No prompt");
        assert_eq!(first_words(&"🦊".repeat(80)), format!("{}…", "🦊".repeat(72)));
    }
}
