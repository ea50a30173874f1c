//! The gallery: everything that ended, newest first, with search and filters.

use leptos::prelude::*;
use server::{
    events::Topic,
    id::{ImageId, ServiceId},
    images::{ImageFilter, ImageStats, ImageView},
};

use super::{calls::list_images, tile::tile};
use crate::{
    Refusal, live,
    ui::{actor_face, on_keys, when_typed},
};

/// Images loaded at once.
const PAGE: u32 = 60;

/// What the person chose to see, and what was loaded beyond the first page. Kept while the tab lives, so that one may look
/// at a picture and come back to the same place.
#[derive(Clone, Copy)]
struct Choice {
    filter: RwSignal<ImageFilter>,
    /// `""`, `"today"` or `"this week"`.
    span: RwSignal<&'static str>,
    /// Older images, by "Show more".
    older: RwSignal<Vec<ImageView>>,
    /// The very last image, once "Show more" came back short.
    end: RwSignal<Option<ImageId>>,
    /// How far down the page was when a picture was opened; taken when the page is back.
    scroll: RwSignal<Option<f64>>,
}

impl Choice {
    fn everything() -> ImageFilter {
        ImageFilter { ended: Some(true), limit: PAGE, ..ImageFilter::default() }
    }

    fn new() -> Self {
        Self {
            filter: RwSignal::new(Self::everything()),
            span: RwSignal::new(""),
            older: RwSignal::default(),
            end: RwSignal::new(None),
            scroll: RwSignal::new(None),
        }
    }

    /// The choice of this tab; in the server everything, for each page.
    fn of_this_tab() -> Self {
        #[cfg(feature = "hydrate")]
        {
            thread_local! {
                static KEPT: Choice = super::fields::for_this_tab(Choice::new);
            }
            KEPT.with(|choice| *choice)
        }
        #[cfg(not(feature = "hydrate"))]
        Self::new()
    }

    /// Changes the filter; what was loaded for the one before is dropped.
    fn change(self, change: impl FnOnce(&mut ImageFilter)) {
        self.older.set(Vec::new());
        self.end.set(None);
        self.filter.update(change);
    }

    fn clear(self) {
        self.span.set("");
        self.change(|filter| *filter = Self::everything());
    }

    fn narrowed(self) -> bool {
        self.filter.with(|filter| *filter != Self::everything())
    }
}

/// The chips, the search, the pictures.
#[component]
pub(super) fn Gallery(
    /// For the agents' chips.
    stats: Resource<Result<ImageStats, Refusal>>,
    /// For the choice of renderers.
    services: Resource<Result<Vec<(ServiceId, String)>, Refusal>>,
) -> impl IntoView {
    let live = live::live();
    let choice = Choice::of_this_tab();
    let first =
        Resource::new(move || (live.version(Topic::Images), choice.filter.get()), |(_, filter)| list_images(filter));
    on_keys(|key| matches!(key, "j" | "k") && walk(key == "j"));
    view! {
        {filters(choice, stats, services)}
        <Transition fallback=|| view! { <div class="gallery" aria-busy="true"></div> }>
            {pictures(choice, first)}
        </Transition>
    }
}

fn filters(
    choice: Choice,
    stats: Resource<Result<ImageStats, Refusal>>,
    services: Resource<Result<Vec<(ServiceId, String)>, Refusal>>,
) -> AnyView {
    let agents = move || {
        let rows = stats.get().and_then(Result::ok).map(|stats| stats.by_agent).unwrap_or_default();
        rows.into_iter().map(|row| row.agent).collect::<Vec<_>>()
    };
    let agent = move |slug: String| {
        let here = slug.clone();
        let pressed = move || choice.filter.with(|filter| filter.agent.as_deref() == Some(&*here)).to_string();
        let face = (!slug.is_empty()).then(|| actor_face(&format!("agent:{slug}")));
        let word = if slug.is_empty() { "people".to_owned() } else { slug.clone() };
        let press = move |_| {
            choice.change(|filter| filter.agent = (filter.agent.as_deref() != Some(&*slug)).then(|| slug.clone()));
        };
        view! { <button type="button" class="chip" aria-pressed=pressed on:click=press>{face} {word}</button> }
            .into_any()
    };
    let span = move |word: &'static str, days: u32| {
        let press = move |_| {
            let on = choice.span.get_untracked() != word;
            choice.span.set(if on { word } else { "" });
            choice.change(|filter| filter.since = on.then(|| midnight(days)));
        };
        let pressed = move || (choice.span.get() == word).to_string();
        view! { <button type="button" class="chip" aria-pressed=pressed on:click=press>{word}</button> }.into_any()
    };
    let renderers = move || {
        let services = services.get().and_then(Result::ok).unwrap_or_default();
        let names = services.into_iter().map(|(_, name)| name).chain(["sketch".to_owned()]);
        let now = choice.filter.with_untracked(|filter| filter.renderer.clone());
        let option = |name: String| {
            let chosen = now.as_ref() == Some(&name);
            view! { <option value=name.clone() selected=chosen>{name.clone()}</option> }.into_any()
        };
        names.map(option).collect_view()
    };
    let renderer =
        move |name: String| choice.change(|filter| filter.renderer = Some(name).filter(|name| !name.is_empty()));
    view! {
        <div class="filters chips" id="gallery">
            <button type="button" class="chip" aria-pressed=move || (!choice.narrowed()).to_string() on:click=move |_| choice.clear()>"All"</button>
            <Transition><For each=agents key=Clone::clone children=agent /></Transition>
            {span("today", 0)} {span("this week", 6)}
            <Transition>
                <select aria-label="Renderer" prop:value=move || choice.filter.with(|filter| filter.renderer.clone().unwrap_or_default())
                    on:change:target=move |event| renderer(event.target().value())>
                    <option value="">"any renderer"</option>
                    {renderers}
                </select>
            </Transition>
            {search(choice)}
        </div>
    }
    .into_any()
}

fn search(choice: Choice) -> AnyView {
    let typed = when_typed(move |text| choice.change(|filter| filter.text = text));
    view! {
        <input type="search" data-search="" placeholder="Prompt, seed, agent, task" aria-label="Search pictures" autocomplete="off"
            prop:value=move || choice.filter.with(|filter| filter.text.clone().unwrap_or_default())
            on:input:target=move |event| typed(event.target().value()) />
    }
    .into_any()
}

fn pictures(choice: Choice, first: Resource<Result<Vec<ImageView>, Refusal>>) -> AnyView {
    let shown = Memo::new(move |before: Option<&Vec<ImageView>>| {
        let newest = first.get().and_then(Result::ok).unwrap_or_default();
        merged(newest, &choice.older.get(), before.map_or(&[], Vec::as_slice))
    });
    let failure = move || first.get().and_then(Result::err).map(|refusal| refusal.to_string());
    // What new images push off the first page while the page is left must not be missed after it: the tail becomes all
    // that is shown.
    on_cleanup(move || {
        let Some(all) = shown.try_get_untracked() else { return };
        // Told to nobody: who would show it is about to go.
        choice.older.maybe_update(|older| {
            if !older.is_empty() {
                *older = all;
            }
            false
        });
    });
    scroll_back(choice, shown);
    let last = move || shown.with(|shown| shown.last().map(|view| view.id));
    let more = move || {
        let full = |views: &Vec<ImageView>| views.len() >= PAGE as usize;
        (choice.end.get().is_none() || choice.end.get() != last())
            && first.get().and_then(Result::ok).is_some_and(|views| full(&views))
    };
    let loading = RwSignal::new(false);
    let load = move |_| {
        let Some(last) = untrack(last) else { return };
        let asked = choice.filter.get_untracked();
        let filter = ImageFilter { before: Some(last), ..asked.clone() };
        loading.set(true);
        super::calls::act(
            async move {
                let answer = list_images(filter).await;
                let _ = loading.try_set(false);
                answer
            },
            move |views| {
                // Another filter was chosen meanwhile.
                if choice.filter.try_get_untracked() != Some(asked) {
                    return;
                }
                let end = views.last().map_or(last, |view| view.id);
                choice.end.set((views.len() < PAGE as usize).then_some(end));
                choice.older.update(|older| older.extend(views));
            },
        );
    };
    view! {
        <crate::ui::Words failure=Signal::derive(failure) />
        <div class="gallery" on:click=move |_| choice.scroll.set(scrolled())>
            <For each=move || shown.get() key=|view| (view.id, view.status.word(), view.pictures.len()) children=tile />
        </div>
        <Show when=move || shown.with(Vec::is_empty) && failure().is_none()>
            {move || if choice.narrowed() { found_nothing(choice) } else { empty() }}
        </Show>
        <Show when=more>
            <button type="button" class="more" on:click=load disabled=loading>"Show more"</button>
        </Show>
    }
    .into_any()
}

/// The first page, then what was loaded by "Show more". What new images push off the first page stays, from `before`.
fn merged(newest: Vec<ImageView>, older: &[ImageView], before: &[ImageView]) -> Vec<ImageView> {
    let Some(last) = newest.last().map(|view| view.id) else { return newest };
    // More came than one page holds: what is between is not known, so the list begins anew.
    let gap = !older.iter().chain(before).any(|view| view.id >= last);
    if older.is_empty() || gap {
        return newest;
    }
    let mut tail: Vec<_> = older.iter().chain(before).filter(|view| view.id < last).cloned().collect();
    tail.sort_by_key(|view| std::cmp::Reverse(view.id));
    tail.dedup_by_key(|view| view.id);
    newest.into_iter().chain(tail).collect()
}

/// Forgets an older image that was deleted, or drawn again under its own id.
pub(super) fn forget(id: ImageId) {
    Choice::of_this_tab().older.update(|older| older.retain(|view| view.id != id));
}

/// How far down the page is.
fn scrolled() -> Option<f64> {
    #[cfg(feature = "hydrate")]
    {
        web_sys::window()?.scroll_y().ok()
    }
    #[cfg(not(feature = "hydrate"))]
    None
}

/// Goes back to where the page was, as soon as the pictures are there.
fn scroll_back(choice: Choice, shown: Memo<Vec<ImageView>>) {
    Effect::new(move || {
        if shown.with(Vec::is_empty) {
            return;
        }
        let Some(y) = choice.scroll.get_untracked() else { return };
        choice.scroll.set(None);
        request_animation_frame(move || window().scroll_to_with_x_and_y(0.0, y));
    });
}

fn found_nothing(choice: Choice) -> AnyView {
    view! {
        <div class="empty">
            <p>"No picture fits this search and these filters."</p>
            <button type="button" on:click=move |_| choice.clear()>"Clear search and filters"</button>
        </div>
    }
    .into_any()
}

fn empty() -> AnyView {
    view! {
        <div class="empty">
            <p>"Every picture that people and agents ask for will live here, with its prompt and seed."</p>
            <p><a href="/images?new">"Write a prompt"</a> " and press " <kbd>"Ctrl ↵"</kbd> " to draw the first one."</p>
        </div>
    }
    .into_any()
}

/// The beginning of the day `days` before today, where the person is.
fn midnight(days: u32) -> server::clock::Timestamp {
    #[cfg(feature = "hydrate")]
    {
        let date = js_sys::Date::new_0();
        date.set_hours(0);
        date.set_minutes(0);
        date.set_seconds(0);
        date.set_milliseconds(0);
        server::clock::Timestamp::from_millis(date.get_time() as i64 - i64::from(days) * server::clock::DAY)
    }
    #[cfg(not(feature = "hydrate"))]
    server::clock::Timestamp::from_millis(i64::from(days))
}

/// Moves the focus to the next or previous picture, or to the first.
fn walk(forward: bool) -> bool {
    #[cfg(feature = "hydrate")]
    {
        use wasm_bindgen::JsCast as _;
        let document = web_sys::window().and_then(|window| window.document());
        let Some(document) = document else { return false };
        let here = document.active_element().filter(|element| element.matches(".gallery > a").unwrap_or(false));
        let next = match here {
            Some(here) if forward => here.next_element_sibling(),
            Some(here) => here.previous_element_sibling(),
            None => document.query_selector(".gallery > a").ok().flatten(),
        };
        if let Some(next) = next.and_then(|next| next.dyn_into::<web_sys::HtmlElement>().ok()) {
            return next.focus().is_ok();
        }
    }
    #[cfg(not(feature = "hydrate"))]
    let _ = forward;
    false
}

#[cfg(test)]
mod tests {
    use server::{
        clock::Timestamp,
        images::{ImageDraft, ImageStatus},
    };

    use super::*;

    /// Images of these numbers, newest first.
    fn views(numbers: std::ops::RangeInclusive<i64>) -> Vec<ImageView> {
        let view = |n: i64| ImageView {
            id: format!("00000000-0000-7000-8000-{n:012}").parse().expect("an id"),
            status: ImageStatus::Done,
            draft: ImageDraft::default(),
            renderer: None,
            asked_by: "user:ada".into(),
            agent: None,
            parent: None,
            created_at: Timestamp::from_millis(n),
            started_at: None,
            finished_at: None,
            drawn_ms: None,
            cost: None,
            attempts: 1,
            reason: None,
            place: None,
            progress: None,
            pictures: Vec::new(),
        };
        numbers.rev().map(view).collect()
    }

    #[test]
    fn older_pictures_stay_below_the_first_page_without_holes() {
        // "Show more" while nothing changes, then while two new ones push two off the first page.
        let all = merged(views(6..=10), &views(1..=5), &views(6..=10));
        assert_eq!(all, views(1..=10));
        assert_eq!(merged(views(8..=12), &views(1..=5), &all), views(1..=12));
        // Left and come back: the tail is all that was shown.
        assert_eq!(merged(views(8..=12), &all, &[]), views(1..=12));
        // So many came that some are on no list.
        assert_eq!(merged(views(20..=24), &all, &[]), views(20..=24));
        // Nothing loaded beyond the first page.
        assert_eq!(merged(views(6..=10), &[], &views(4..=8)), views(6..=10));
    }
}
