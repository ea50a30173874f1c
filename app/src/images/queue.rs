//! The queue: what is being drawn, with progress and preview, and what waits.

use leptos::prelude::*;
use server::{
    caller::Right,
    id::ImageId,
    images::{ImageStatus, ImageView, Progress},
};

use super::{
    calls::{act, cancel_image},
    first_words,
};
use crate::{
    Refusal,
    frame::{Me, MeSignal, use_me},
    live::{self, Live},
    ui::{self, StatusBadge, actor_face},
};

/// The card; nothing at all while the queue is empty.
#[component]
pub(super) fn Queue(
    /// Running ones first, then waiting ones.
    queue: Resource<Result<Vec<ImageView>, Refusal>>,
) -> impl IntoView {
    // Taken here: a row is made later, where the page's context is no longer at hand.
    let (me, live) = (use_me(), live::live());
    let views = move || queue.get().and_then(Result::ok).unwrap_or_default();
    // A row is made anew when anything of it but the live progress changed.
    let key = |view: &ImageView| (view.id, view.status.word(), view.place, view.reason.clone());
    view! {
        <Transition>
            <Show when=move || !views().is_empty()>
                <section class="queue card" id="queue" aria-label="Queue">
                    <For each=views key=key children=move |view| row(view, me, live) />
                </section>
            </Show>
        </Transition>
    }
}

fn row(view: ImageView, me: MeSignal, live: Live) -> AnyView {
    let cancel = {
        let view = view.clone();
        move || may_change(&view, me.get().as_ref()).then(|| cancel_button(view.id))
    };
    match view.status {
        ImageStatus::Queued => waiting(view, cancel.into_any()),
        _ => drawing(view, cancel.into_any(), live),
    }
}

/// Whether this person may cancel, retry or delete it: their own, or anybody's for an operator.
pub(super) fn may_change(view: &ImageView, me: Option<&Me>) -> bool {
    me.is_some_and(|me| me.role.may(Right::Operate) || (me.role.may(Right::Draw) && me.actor == view.asked_by))
}

/// The button that cancels a waiting or running image.
pub(super) fn cancel_button(id: ImageId) -> AnyView {
    let sent = RwSignal::new(false);
    let cancel = move |_| {
        sent.set(true);
        act(
            async move {
                let answer = cancel_image(id).await;
                if answer.is_err() {
                    // The row may be gone by now.
                    let _ = sent.try_set(false);
                }
                answer
            },
            |_| ui::say("Cancelled"),
        );
    };
    view! { <button type="button" class="cancel" on:click=cancel disabled=sent>"Cancel"</button> }.into_any()
}

fn drawing(view: ImageView, cancel: AnyView, live: Live) -> AnyView {
    let title = first_words(&view.draft.prompt);
    let renderer = view.renderer.clone().unwrap_or_default();
    let seed = view.draft.seed.map(|seed| seed.to_string()).unwrap_or_default();
    let task = view.draft.task.clone().map(|task| view! { <span class="task">"for " {task}</span> });
    let reason = view.reason.clone().map(|reason| view! { <p class="reason">{reason}</p> });
    let id = view.id;
    let last = view.progress.clone();
    view! {
        <article class="job">
            {preview(live, id, last.clone())}
            <div class="what">
                <header>
                    {actor_face(&view.asked_by)}
                    <a class="title" href=format!("/images/{id}")>{title}</a>
                    <StatusBadge word="drawing" class="info" />
                    {cancel}
                </header>
                {steps(live, id, last, format!(" · {renderer}"))}
                <p class="told">"seed " <span class="mono">{seed}</span> " " {task}</p>
                {reason}
            </div>
        </article>
    }
    .into_any()
}

/// The newest preview, in a box that is there from the start so that nothing jumps.
pub(super) fn preview(live: Live, id: ImageId, last: Option<Progress>) -> AnyView {
    let rev = Memo::new(move |_| {
        let before = last.as_ref().map_or(0, |progress| progress.preview);
        live.progress(id).map_or(before, |progress| progress.preview)
    });
    // One element for all previews: a new one would be empty until it has loaded.
    let there = Memo::new(move |_| rev.get() > 0);
    let address = move || format!("/images/{id}/preview?rev={}", rev.get());
    let image = move || there.get().then(|| view! { <img src=address alt="Preview" /> });
    view! { <div class="preview">{image}</div> }.into_any()
}

/// Steps as a segmented bar and in words, with `after` at their end.
pub(super) fn steps(live: Live, id: ImageId, last: Option<Progress>, after: String) -> AnyView {
    let now = Memo::new(move |_| live.progress(id).or_else(|| last.clone()).unwrap_or_default());
    let words = move || {
        now.with(|now| match (now.phase.as_str(), now.steps) {
            ("", _) => "starting".to_owned(),
            (phase, 0) => phase.to_owned(),
            (phase, steps) => format!("{phase}, step {} of {steps}", now.step),
        })
    };
    let style = move || now.with(|now| format!("--step:{};--steps:{}", now.step, now.steps.max(1)));
    let filled = move || now.with(|now| format!("width:{}%", 100 * now.step.min(now.steps) / now.steps.max(1)));
    view! {
        <div
            class="progress steps" role="progressbar" aria-label="Steps" aria-valuemin="0" style=style
            aria-valuenow=move || now.with(|now| now.step.to_string())
            aria-valuemax=move || now.with(|now| now.steps.max(1).to_string())
            aria-valuetext=words
        ><i style=filled></i></div>
        <p class="told"><b>{words}</b> {after}</p>
    }
    .into_any()
}

fn waiting(view: ImageView, cancel: AnyView) -> AnyView {
    let place = view.place.unwrap_or_default();
    let word = if place == 0 { "next" } else { "then" };
    let reason = view.reason.clone().map(|reason| view! { <span class="reason">{reason}</span> });
    view! {
        <div class="waiting">
            <span class="badge quiet" title=format!("{place} before it")>{word}</span>
            {actor_face(&view.asked_by)}
            <a class="title" href=format!("/images/{}", view.id)>{first_words(&view.draft.prompt)}</a>
            {reason}
            {cancel}
        </div>
    }
    .into_any()
}
