//! The first glance: what needs somebody, and on a new hub what to do first.

use leptos::prelude::*;
use server::{
    agents::Waiting,
    caller::Right,
    images::{ImageStats, ImageView},
    services::{Health, ServiceView},
};

use crate::{
    frame::use_me,
    ui::{Ago, StatusBadge, actor_face},
};

/// Agents that wait, services that are down, images that failed; nothing at all while there are none.
#[component]
pub(super) fn Needs(
    /// Agents that wait for somebody.
    waiting: Vec<Waiting>,
    /// All services.
    services: Vec<ServiceView>,
    /// Failed within the last day.
    failed: Vec<ImageView>,
) -> impl IntoView {
    let down: Vec<_> =
        services.into_iter().filter(|service| service.active && service.health() == Health::Down).collect();
    (!waiting.is_empty() || !down.is_empty() || !failed.is_empty()).then(|| {
        view! {
            <section class="card needs" aria-labelledby="needs">
                <header><h2 id="needs">"Needs you"</h2></header>
                <ul class="lines">
                    {waiting.into_iter().map(agent).collect_view()} {down.into_iter().map(service).collect_view()} {failed.into_iter().map(image).collect_view()}
                </ul>
            </section>
        }
    })
}

fn agent(waiting: Waiting) -> impl IntoView {
    let terminal = format!("/terminals/agent-{}", waiting.slug);
    view! {
        <li class="asks">
            {actor_face(&format!("agent:{}", waiting.slug))}
            <a href=terminal.clone()><b>{waiting.name}</b> " " {waiting.needs.text}</a>
            <Ago at=waiting.needs.since />
            <a class="button" href=terminal>"Open terminal"</a>
        </li>
    }
}

fn service(service: ServiceView) -> impl IntoView {
    let last = service.checks.last().cloned();
    let problem = last.as_ref().and_then(|check| check.problem.clone());
    view! {
        <li>
            <StatusBadge word="down" class="bad" />
            <a href="/services"><b>{service.name}</b> " " {problem}</a>
            {last.map(|check| view! { <Ago at=check.at /> })}
        </li>
    }
}

fn image(image: ImageView) -> impl IntoView {
    let at = image.finished_at.unwrap_or(image.created_at);
    view! {
        <li>
            <StatusBadge word="failed" class="bad" />
            {actor_face(&image.asked_by)}
            <a href=format!("/images/{}", image.id)><b>{image.draft.prompt}</b> " " {image.reason}</a>
            <Ago at=at />
        </li>
    }
}

/// What a new hub is for, as three things to do; what is done is not shown any more. Only for those who may do them.
#[component]
pub(super) fn Steps(
    /// Whether something was drawn, and whether an agent asked.
    stats: ImageStats,
    /// Whether a service is connected.
    connected: bool,
) -> impl IntoView {
    let me = use_me();
    let asked = stats.by_agent.iter().any(|row| !row.agent.is_empty());
    let all = [
        (
            stats.done > 0,
            "Draw a picture",
            "Until a model is connected the built-in sketch answers.",
            "/images?new",
            "Write a prompt",
        ),
        (
            connected,
            "Connect a ComfyUI",
            "Yours, wherever its GPU is: then real models draw.",
            "/services?new",
            "Add its address",
        ),
        (
            asked,
            "Let an agent ask",
            "Claude Code, Codex or any other: a token, and a line to paste.",
            "/connect",
            "Connect an agent",
        ),
    ];
    let due: Vec<_> = all.into_iter().filter(|(done, ..)| !done).collect();
    move || {
        (!due.is_empty() && me.may(Right::Operate)).then(|| {
            let step = |(_, title, text, address, verb): &(bool, &'static str, &'static str, &'static str, &'static str)| {
                view! { <li><b>{*title}</b> <span>{*text}</span> <a class="button" href=*address>{*verb}</a></li> }
            };
            view! {
                <section class="card first" aria-labelledby="first">
                    <header><h2 id="first">"First steps"</h2> <span class="quiet">{3 - due.len()} " of 3 done"</span></header>
                    <ul>{due.iter().map(step).collect_view()}</ul>
                </section>
            }
        })
    }
}
