//! Activity: the audit log, for people. What happened, who did it, when; by topic, by thing, by words.
//!
//! What is shown is said by the address alone, so that it can be sent to somebody, and the browser's way back works:
//! `/activity?topic=terminals&of=NAME&q=WORDS&before=SEQ`.

mod calls;
mod line;

pub(crate) use line::line;

use std::time::Duration;

use leptos::prelude::*;
use leptos_router::{
    NavigateOptions,
    hooks::{use_navigate, use_query_map},
    location::Url,
    params::ParamsMap,
};
use server::{
    caller::Right,
    events::{EventFilter, EventView, Topic},
};

use self::calls::list_events;
use crate::{
    frame::{Bar, use_me},
    live::{kept, live},
};

/// Events on one page.
const PAGE: u32 = 100;
/// How long after the last key the search begins.
const TYPING: Duration = Duration::from_millis(200);

/// The address of what `filter` asks for.
pub(crate) fn address(filter: &EventFilter) -> String {
    let words = [
        ("topic", filter.topic.map(|topic| topic.word().to_owned())),
        ("of", filter.subject.clone()),
        ("q", filter.text.clone()),
        ("before", filter.before.map(|seq| seq.to_string())),
    ];
    let mut address = "/activity".to_owned();
    for (key, word) in words {
        if let Some(word) = word {
            let sign = if address.contains('?') { '&' } else { '?' };
            address += &format!("{sign}{key}={}", Url::escape(&word));
        }
    }
    address
}

/// What an address asks for; what makes no sense in it asks for nothing.
fn asked(query: &ParamsMap) -> EventFilter {
    let word = |key| query.get(key).filter(|word| !word.is_empty());
    EventFilter {
        topic: word("topic").and_then(|word| Topic::ALL.into_iter().find(|topic| topic.word() == word)),
        subject: word("of"),
        text: word("q"),
        before: word("before").and_then(|seq| seq.parse().ok()),
        limit: PAGE,
    }
}

/// The page.
#[component]
pub(crate) fn Activity() -> impl IntoView {
    let live = live();
    let query = use_query_map();
    let filter = Memo::new(move |_| query.with(asked));
    // What is past changes no more.
    let news =
        move || filter.with(|filter| filter.before.is_none()).then(|| Topic::ALL.map(|topic| live.version(topic)));
    let events = kept(move || (news(), filter.get()), |(_, filter)| list_events(filter));
    let shown = move || {
        events.get().map(|answer| match answer {
            Ok(events) => list(events, filter.get_untracked()),
            Err(refusal) => view! { <p class="failure" role="alert">{refusal.to_string()}</p> }.into_any(),
        })
    };
    view! {
        <Bar title="Activity">"What changed, who did it, and when"</Bar>
        <div class="page activity">
            {filters(filter)}
            <Transition fallback=|| view! { <div class="card skeleton" aria-hidden="true"></div> }>{shown}</Transition>
        </div>
    }
}

fn filters(filter: Memo<EventFilter>) -> AnyView {
    let me = use_me();
    let chip = move |topic: Option<Topic>| {
        let name = topic.map_or("All", name);
        let there = move || address(&EventFilter { topic, subject: None, before: None, ..filter.get() });
        let here = move || (filter.with(|filter| filter.topic == topic)).then_some("true");
        view! { <a class="chip" href=there aria-current=here>{name}</a> }.into_any()
    };
    let only = move || {
        let now = filter.get();
        let subject = now.subject.clone()?;
        let there = address(&EventFilter { subject: None, before: None, ..now });
        Some(
            view! { <a class="chip" href=there aria-current="true" title="Show those of others too">"only " {subject} " ✕"</a> },
        )
    };
    let accounts = move || me.may(Right::Operate).then(|| chip(Some(Topic::Auth)));
    view! {
        <nav class="filters chips" aria-label="What is shown">
            {chip(None)}
            {Topic::ALL.into_iter().filter(|topic| *topic != Topic::Auth).map(|topic| chip(Some(topic))).collect_view()}
            <Transition>{accounts}</Transition>
            {only}
            {search(filter)}
        </nav>
    }
    .into_any()
}

fn name(topic: Topic) -> &'static str {
    match topic {
        Topic::Agents => "Agents",
        Topic::Terminals => "Terminals",
        Topic::Machines => "Machines",
        Topic::Images => "Images",
        Topic::Services => "Services",
        Topic::Auth => "Accounts",
    }
}

fn search(filter: Memo<EventFilter>) -> AnyView {
    let (turn, navigate) = (StoredValue::new(0_u32), StoredValue::new(use_navigate()));
    let typed = move |text: String| {
        turn.update_value(|turn| *turn += 1);
        let mine = turn.get_value();
        let look = move || {
            if turn.try_get_value() == Some(mine) {
                let text = Some(text.trim().to_owned()).filter(|text| !text.is_empty());
                let there = address(&EventFilter { text, before: None, ..filter.get_untracked() });
                let how = NavigateOptions { replace: true, scroll: false, ..Default::default() };
                navigate.with_value(|go| go(&there, how));
            }
        };
        set_timeout(look, TYPING);
    };
    view! {
        <input type="search" data-search="" placeholder="Name, address, words" aria-label="Search what happened" autocomplete="off"
            prop:value=move || filter.with(|filter| filter.text.clone().unwrap_or_default())
            on:input:target=move |event| typed(event.target().value()) />
    }
    .into_any()
}

fn list(events: Vec<EventView>, filter: EventFilter) -> AnyView {
    let everything = EventFilter { limit: filter.limit, ..EventFilter::default() };
    if events.is_empty() {
        let words = if filter == everything { "Nothing has happened yet." } else { "Nothing like this has happened." };
        let all = (filter != everything).then(|| view! { <a class="button" href="/activity">"Show everything"</a> });
        return view! { <div class="card empty"><p>{words}</p> {all}</div> }.into_any();
    }
    let older = events.last().filter(|_| events.len() >= PAGE as usize).map(|last| {
        let there = address(&EventFilter { before: Some(last.seq), ..filter.clone() });
        view! { <a class="button" href=there>"Older"</a> }
    });
    let newest = filter.before.is_some().then(|| {
        let there = address(&EventFilter { before: None, ..filter.clone() });
        view! { <a class="button" href=there>"Newest"</a> }
    });
    let lines = events.into_iter().map(|event| line(event, true)).collect_view();
    view! {
        <section class="card" aria-label="Events"><ol class="events">{lines}</ol></section>
        <nav class="actions" aria-label="Further events">{newest} {older}</nav>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_what_is_shown_and_nothing_else() {
        let all = EventFilter { limit: PAGE, ..EventFilter::default() };
        let some = EventFilter {
            topic: Some(Topic::Terminals),
            subject: Some("a b&c".into()),
            text: Some("ädä?".into()),
            before: Some(7),
            ..all.clone()
        };
        assert_eq!(address(&all), "/activity");
        for filter in [all.clone(), some.clone(), EventFilter { before: None, ..some }] {
            let there = address(&filter);
            let query = there.split_once('?').map_or("", |(_, query)| query);
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let mut params = ParamsMap::new();
            for (key, word) in pairs {
                params.insert(key.to_owned(), word.to_owned());
            }
            assert_eq!(asked(&params), filter, "{there}");
        }
        let mut wrong = ParamsMap::new();
        for (key, word) in [("topic", "weather"), ("of", ""), ("q", ""), ("before", "x"), ("limit", "9")] {
            wrong.insert(key, word.to_owned());
        }
        assert_eq!(asked(&wrong), all);
    }
}
