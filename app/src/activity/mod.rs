//! Activity: the audit log, for people. What happened, who did it, when; by topic, by thing, by words.
//!
//! What is shown is said by the address alone, so that it can be sent to somebody, and the browser's way back works:
//! `/activity?topic=terminals&of=NAME&q=WORDS&before=SEQ`.

mod calls;
mod line;

pub(crate) use line::line;

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
    live::live,
    ui::when_typed,
};

/// Events on one page.
const PAGE: usize = 100;
/// What is asked for: one more tells whether there are older ones.
const ASKED: u32 = PAGE as u32 + 1;

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
            // The router decodes twice.
            address += &format!("{sign}{key}={}", Url::escape(&word.replace('%', "%25")));
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
        limit: ASKED,
    }
}

/// The page.
#[component]
pub(crate) fn Activity() -> impl IntoView {
    let live = live();
    let query = use_query_map();
    let filter = Memo::new(move |_| query.with(asked));
    // What is past changes no more.
    let news = move || {
        let (topic, past) = filter.with(|filter| (filter.topic, filter.before.is_some()));
        Topic::ALL.map(|one| if past || topic.is_some_and(|topic| topic != one) { 0 } else { live.version(one) })
    };
    // With what was asked for: while the next answer is under way the last one stands, with the ways on that belong to it.
    let events = Resource::new(
        move || (news(), filter.get()),
        |(_, filter)| async move { list_events(filter.clone()).await.map(|events| (filter, events)) },
    );
    let shown = move || {
        events.get().map(|answer| match answer {
            Ok((filter, events)) => list(filter, events),
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
        Some(view! {
            <a class="chip lit" href=there title="Show those of others too">
                "only " {subject} " " <span aria-hidden="true">"✕"</span> <span class="hidden">", show others too"</span>
            </a>
        })
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
    let navigate = use_navigate();
    let typed = when_typed(move |text| {
        let there = address(&EventFilter { text, before: None, ..filter.get_untracked() });
        navigate(&there, NavigateOptions { replace: true, scroll: false, ..Default::default() });
    });
    let words = move || filter.with(|filter| filter.text.clone().unwrap_or_default());
    view! {
        // Without script the form itself does it.
        <form action="/activity" on:submit=|event| event.prevent_default()>
            {move || filter.with(|filter| filter.topic).map(|topic| view! { <input type="hidden" name="topic" value=topic.word() /> })}
            {move || filter.with(|filter| filter.subject.clone()).map(|of| view! { <input type="hidden" name="of" value=of /> })}
            <input type="search" name="q" data-search="" placeholder="Name, address, words" aria-label="Search what happened"
                autocomplete="off" maxlength="200" value=words prop:value=words on:input:target=move |event| typed(event.target().value()) />
        </form>
    }
    .into_any()
}

fn list(filter: EventFilter, mut events: Vec<EventView>) -> AnyView {
    let further = |before: Option<i64>, word: &'static str| {
        let there = address(&EventFilter { before, ..filter.clone() });
        view! { <a class="button" href=there>{word}</a> }.into_any()
    };
    let newest = filter.before.map(|_| further(None, "Newest"));
    if events.is_empty() {
        let all = EventFilter { limit: filter.limit, ..EventFilter::default() };
        let (words, all) = match &filter {
            _ if filter == all => ("Nothing has happened yet.", false),
            EventFilter { before: Some(_), .. } => ("There is nothing older.", false),
            _ => ("Nothing like this has happened.", true),
        };
        let all = all.then(|| view! { <a class="button" href="/activity">"Show everything"</a> });
        return view! { <section class="card"><div class="empty"><p>{words}</p> {all} {newest}</div></section> }
            .into_any();
    }
    let more = events.len() > PAGE;
    events.truncate(PAGE);
    let older = events.last().filter(|_| more).map(|last| further(Some(last.seq), "Older"));
    let lines = events.into_iter().map(|event| line(event, true)).collect_view();
    view! {
        <section class="card" aria-label="Events"><ol class="events">{lines}</ol></section>
        <nav class="actions" aria-label="Further events">{newest} {older}</nav>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use leptos_router::location::RequestUrl;

    use super::*;

    #[test]
    fn an_address_says_what_is_shown_and_nothing_else() {
        let all = EventFilter { limit: ASKED, ..EventFilter::default() };
        let some = EventFilter {
            topic: Some(Topic::Terminals),
            subject: Some("a b&c".into()),
            text: Some("ädä?".into()),
            before: Some(7),
            ..all.clone()
        };
        assert_eq!(address(&all), "/activity");
        let odd = EventFilter { text: Some("100%25 %41 ".into()), ..all.clone() };
        for filter in [all.clone(), some.clone(), odd, EventFilter { before: None, ..some }] {
            let there = address(&filter);
            let read = RequestUrl::new(&there).parse().expect("an address");
            assert_eq!(asked(read.search_params()), filter, "{there}");
        }
        let mut wrong = ParamsMap::new();
        for (key, word) in [("topic", "weather"), ("of", ""), ("q", ""), ("before", "x"), ("limit", "9")] {
            wrong.insert(key, word.to_owned());
        }
        assert_eq!(asked(&wrong), all);
    }
}
