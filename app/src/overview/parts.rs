//! The cards of the overview.

use leptos::prelude::*;
use server::{
    events::{EventView, Topic},
    images::{ImageStats, ImageStatus, ImageView},
    services::{Health, ServiceView},
};

use crate::{
    live::live,
    ui::{Ago, Sparkline, StatusBadge, actor_face, duration},
};

/// What happened last: the audit log's newest lines.
#[component]
pub(super) fn Now(
    /// Newest first.
    events: Vec<EventView>,
) -> impl IntoView {
    let empty = events.is_empty();
    view! {
        <section class="card now" aria-labelledby="now">
            <header><h2 id="now">"Just now"</h2></header>
            {empty.then(|| view! { <p class="empty">"Nothing has happened yet. Every change will stand here, with who made it."</p> })}
            <ol class="events">{events.into_iter().map(event_line).collect_view()}</ol>
        </section>
    }
}

fn event_line(event: EventView) -> impl IntoView {
    let address = match event.topic {
        Topic::Images if !matches!(event.kind.as_str(), "deleted" | "saved") => {
            Some(format!("/images/{}", event.subject))
        }
        Topic::Images => Some("/images".into()),
        Topic::Services => Some("/services".into()),
        Topic::Auth => None,
    };
    let what = match (event.topic, event.kind.as_str()) {
        (Topic::Images, "queued") => "asked for a picture",
        (Topic::Images, "started") => "began to draw on",
        (Topic::Images, "done") => "finished a picture",
        (Topic::Images, "requeued") => "put a picture back:",
        (Topic::Images, "waits") => "waits:",
        (Topic::Images, "cancelling") => "is cancelling a picture",
        (Topic::Images, "cancelled") => "cancelled a picture",
        (Topic::Images, "failed") => "could not draw a picture:",
        (Topic::Images, "deleted") => "deleted",
        (Topic::Images, "saved") => "saved the workflow",
        (Topic::Services, "healthy") => "found healthy:",
        (Topic::Services, "degraded") => "found degraded:",
        (Topic::Services, "down") => "found down:",
        (Topic::Services, "added") => "added the service",
        (Topic::Services, "changed") => "changed the service",
        (Topic::Services, "removed") => "removed the service",
        (Topic::Services, "activated") => "activated the service",
        (Topic::Services, "deactivated") => "deactivated the service",
        (Topic::Auth, "signed-in") => "signed in",
        (Topic::Auth, "signed-out") => "signed out",
        (Topic::Auth, "locked") => "locked after failed sign-ins:",
        (Topic::Auth, "revoked") => "revoked",
        (Topic::Auth, "added") => "added",
        (Topic::Auth, "removed") => "removed",
        (Topic::Auth, "changed") => "changed",
        _ => "",
    };
    let what = if what.is_empty() { event.kind.clone() } else { what.to_owned() };
    let name = event.actor.split_once(':').map_or(event.actor.as_str(), |(_, name)| name).to_owned();
    let text = view! { <b>{name}</b> " " {what} " " <span class="quiet">{event.detail}</span> };
    view! {
        <li>
            <Ago at=event.at />
            {actor_face(&event.actor)}
            {match address {
                Some(address) => view! { <a href=address>{text}</a> }.into_any(),
                None => view! { <span>{text}</span> }.into_any(),
            }}
        </li>
    }
}

/// What is being drawn, and what was drawn last.
#[component]
pub(super) fn Pictures(
    /// Totals.
    stats: ImageStats,
    /// Running and waiting.
    open: Vec<ImageView>,
    /// Ended, newest first.
    pictures: Vec<ImageView>,
) -> impl IntoView {
    let running: Vec<_> = open.into_iter().filter(|image| image.status == ImageStatus::Running).collect();
    let done: Vec<_> = pictures.into_iter().filter(|image| image.status == ImageStatus::Done).collect();
    let empty = running.is_empty() && done.is_empty();
    let words = match (stats.running + stats.queued, stats.done_day) {
        (0, 0) => String::new(),
        (0, day) => format!("{day} in 24 h"),
        (open, day) => format!("{open} open · {day} in 24 h"),
    };
    view! {
        <section class="card pictures" aria-labelledby="pictures">
            <header><h2 id="pictures">"Pictures" <span class="quiet">" " {words}</span></h2> <a href="/images">"All"</a></header>
            {empty.then(|| view! {
                <div class="empty">
                    <p>"Pictures drawn for you and your agents will stand here."</p>
                    <p><a class="button primary" href="/images?new">"Draw the first"</a></p>
                </div>
            })}
            {running.into_iter().map(drawing).collect_view()}
            <div class="thumbs">{done.into_iter().filter_map(thumb).collect_view()}</div>
        </section>
    }
}

fn drawing(image: ImageView) -> impl IntoView {
    let live = live();
    let (id, first) = (image.id, image.progress.clone().unwrap_or_default());
    let progress = Memo::new(move |_| live.progress(id).unwrap_or_else(|| first.clone()));
    let preview = move || {
        let rev = progress.get().preview;
        (rev > 0).then(|| view! { <img src=format!("/images/{id}/preview?rev={rev}") alt="" width="96" height="96" /> })
    };
    view! {
        <a class="drawing" href=format!("/images/{id}")>
            <span class="preview">{preview}</span>
            <span class="words">
                <b>{image.draft.prompt.clone()}</b>
                <span>{move || {
                    let now = progress.get();
                    if now.steps > 0 { format!("{}, step {} of {}", now.phase, now.step, now.steps) } else { now.phase }
                }}</span>
                <progress aria-label="Steps" max=move || progress.get().steps.max(1) prop:value=move || progress.get().step></progress>
                <span class="quiet">{image.renderer.unwrap_or_default()}</span>
            </span>
        </a>
    }
}

fn thumb(image: ImageView) -> Option<impl IntoView> {
    let picture = image.pictures.first()?.clone();
    let label = image.draft.prompt.clone();
    let title = format!("{label} · {}", image.drawn_ms.map(duration).unwrap_or_default());
    Some(view! {
        <a href=format!("/images/{}", image.id) title=title>
            <img src=format!("/pictures/{}", picture.thumbnail) alt=label width="160" height="160" loading="lazy" decoding="async" />
        </a>
    })
}

/// The services, with their health.
#[component]
pub(super) fn ServiceList(
    /// By name.
    services: Vec<ServiceView>,
) -> impl IntoView {
    let empty = services.is_empty();
    view! {
        <section class="card services" aria-labelledby="services">
            <header><h2 id="services">"Services"</h2> <a href="/services">"All"</a></header>
            {empty.then(|| view! {
                <div class="empty">
                    <p>"No ComfyUI is connected. Until then the built-in sketch draws; it is not a model."</p>
                    <p><a class="button" href="/services?new">"Connect one"</a></p>
                </div>
            })}
            <ul>{services.into_iter().map(service_row).collect_view()}</ul>
        </section>
    }
}

fn service_row(service: ServiceView) -> impl IntoView {
    let health = service.health();
    let class = match health {
        Health::Healthy => "ok",
        Health::Degraded => "warn",
        Health::Down => "bad",
        Health::Unknown => "quiet",
    };
    let ms = service.checks.last().and_then(|check| check.response_ms).map(|ms| format!("{ms} ms"));
    let (word, class) = if service.active { (health.word(), class) } else { ("inactive", "quiet") };
    view! {
        <li>
            <a href="/services">{service.name}</a>
            <StatusBadge word=word class=class />
            <Sparkline checks=service.checks />
            <span class="num">{ms}</span>
        </li>
    }
}
