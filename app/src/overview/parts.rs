//! The cards of the overview: what is drawn, who asked for it, what draws.

use leptos::prelude::*;
use server::{
    events::EventView,
    images::{AgentImages, ImageStats, ImageStatus, ImageView, TaskImages},
    services::{Health, ServiceView},
};

use crate::{
    activity::line,
    live::live,
    ui::{Ago, Sparkline, StatusBadge, actor_face, agent_hue, duration, money, price_per_hour},
};

/// Pictures shown at most.
pub(super) const PLACES: usize = 12;

/// What is being drawn, what waits, and what was drawn last.
#[component]
pub(super) fn Pictures(
    /// Totals.
    stats: ImageStats,
    /// Running and waiting.
    open: Vec<ImageView>,
    /// With a picture, newest first.
    pictures: Vec<ImageView>,
) -> impl IntoView {
    let empty = open.is_empty() && pictures.is_empty();
    let (running, waiting): (Vec<_>, Vec<_>) = open.into_iter().partition(|image| image.status == ImageStatus::Running);
    let words = match (stats.running + stats.queued, stats.done_day) {
        (0, 0) => String::new(),
        (0, day) => format!("{day} in 24 h"),
        (open, day) => format!("{open} open · {day} in 24 h"),
    };
    // As many places as there will be pictures: what will live here is seen, and nothing jumps when it comes.
    let places = PLACES.saturating_sub(pictures.len());
    view! {
        <section class="card pictures" aria-labelledby="pictures">
            <header><h2 id="pictures">"Pictures" <span class="quiet">" " {words}</span></h2> <a href="/images">"All"</a></header>
            {empty.then(|| view! { <p class="empty">"Pictures drawn for you and your agents will stand here."</p> })}
            {running.into_iter().map(drawing).collect_view()}
            {(!waiting.is_empty()).then(|| view! { <ul class="lines">{waiting.into_iter().map(next).collect_view()}</ul> })}
            <div class="thumbs">
                {pictures.into_iter().filter_map(thumb).collect_view()}
                {(0..places).map(|_| view! { <i></i> }).collect_view()}
            </div>
        </section>
    }
}

fn drawing(image: ImageView) -> impl IntoView {
    let live = live();
    let (id, first) = (image.id, image.progress.clone().unwrap_or_default());
    let progress = Memo::new(move |_| live.progress(id).unwrap_or_else(|| first.clone()));
    // One element for all previews: a new one would be empty until it has loaded.
    let there = Memo::new(move |_| progress.with(|now| now.preview > 0));
    let address = move || format!("/images/{id}/preview?rev={}", progress.with(|now| now.preview));
    let preview = move || there.get().then(|| view! { <img src=address alt="" width="96" height="96" /> });
    view! {
        <a class="drawing" href=format!("/images/{id}")>
            <span class="preview">{preview}</span>
            <span class="words">
                <span class="who">{actor_face(&image.asked_by)} <b>{image.draft.prompt.clone()}</b></span>
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

fn next(image: ImageView) -> impl IntoView {
    let word = if image.place == Some(0) { "next" } else { "then" };
    view! {
        <li>
            <StatusBadge word=word class="quiet" />
            {actor_face(&image.asked_by)}
            <a href=format!("/images/{}", image.id)>{image.draft.prompt}</a>
            <Ago at=image.created_at />
        </li>
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

/// How much was drawn, for whom, and what it cost; nothing before the first image.
#[component]
pub(super) fn Crew(
    /// Totals.
    stats: ImageStats,
) -> impl IntoView {
    let most = stats.by_agent.iter().map(|row| row.images).max().unwrap_or_default().max(1);
    let busiest = stats.by_task.iter().map(|row| row.images).max().unwrap_or_default().max(1);
    let figures = [(stats.done_hour, "last hour"), (stats.done_day, "24 hours"), (stats.done_week, "7 days")];
    let figure = |(n, words): (i64, &'static str)| view! { <div><dt>{words}</dt> <dd>{n}</dd></div> };
    let mut facts = Vec::new();
    if stats.drawn_ms > 0 {
        facts.push(format!("{} of drawing", duration(stats.drawn_ms)));
    }
    if stats.cost.0 > 0 {
        facts.push(format!("{} for what is kept", money(stats.cost)));
    }
    if stats.failed > 0 {
        facts.push(format!("{} failed", stats.failed));
    }
    (!stats.by_agent.is_empty() || stats.done > 0).then(|| {
        view! {
            <section class="card crew" aria-labelledby="crew">
                <header><h2 id="crew">"Crew"</h2> <span class="quiet">{facts.join(" · ")}</span></header>
                <dl class="figures">{figures.map(figure).into_iter().collect_view()}</dl>
                <ul class="bars">{stats.by_agent.into_iter().take(6).map(|row| bar(row, most)).collect_view()}</ul>
                {(!stats.by_task.is_empty()).then(|| view! {
                    <h3>"Tasks, last 7 days"</h3>
                    <ul class="bars tasks">{stats.by_task.into_iter().map(|row| task(row, busiest)).collect_view()}</ul>
                })}
            </section>
        }
    })
}

/// One agent's images so far, as a bar beside those of the others.
fn bar(row: AgentImages, most: i64) -> impl IntoView {
    let width = format!("width:{}%", 100 * row.images / most);
    let (face, name, style) = match row.agent.as_str() {
        "" => ("user:people".to_owned(), "people".to_owned(), width),
        agent => {
            let style = format!("{width};--hue:{}", agent_hue(agent));
            (format!("agent:{agent}"), agent.to_owned(), style)
        }
    };
    view! {
        <li>
            {actor_face(&face)}
            <span class="name">{name}</span>
            <span class="share"><i style=style></i></span>
            <span class="num" title="asked for so far">{row.images}</span>
            <Ago at=row.last_at />
        </li>
    }
}

/// One task's images, as a bar beside those of the others.
fn task(row: TaskImages, most: i64) -> impl IntoView {
    let style = format!("width:{}%", 100 * row.images / most);
    let title = row.task.clone();
    view! {
        <li>
            <span class="quiet" aria-hidden="true">"#"</span>
            <span class="name" title=title>{row.task}</span>
            <span class="share"><i style=style></i></span>
            <span class="num" title="asked for in these days">{row.images}</span>
            <Ago at=row.last_at />
        </li>
    }
}

/// What happened last.
#[component]
pub(super) fn Now(
    /// Newest first.
    events: Vec<EventView>,
) -> impl IntoView {
    let lines = events.into_iter().map(|event| line(event, false)).collect_view();
    view! {
        <section class="card now" aria-labelledby="now">
            <header><h2 id="now">"Just now"</h2> <a href="/activity">"All"</a></header>
            <ol class="events">{lines}</ol>
        </section>
    }
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
            {empty.then(|| view! { <p class="empty">"No ComfyUI is connected. Until then the built-in sketch draws; it is not a model."</p> })}
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
    let (word, class) = if service.active { (health.word(), class) } else { ("inactive", "quiet") };
    let answer = match service.checks.last().and_then(|check| check.response_ms) {
        Some(ms) => format!("{ms} ms · {}", price_per_hour(service.price_per_hour)),
        None => price_per_hour(service.price_per_hour),
    };
    view! {
        <li>
            <a href="/services">{service.name}</a>
            <StatusBadge word=word class=class />
            <Sparkline checks=service.checks />
            <span class="num">{answer}</span>
        </li>
    }
}
