//! The overview: does anything need me, what is going on, what does it cost. Only true numbers.

mod calls;
mod needs;
mod parts;

use leptos::prelude::*;
use server::{events::Topic, services::Health};

use self::{
    calls::{OverviewView, load_overview},
    needs::{Needs, Steps},
    parts::{Crew, Now, Pictures, ServiceList},
};
use crate::{
    frame::Bar,
    live::{kept, live},
    ui::{count, duration, money},
};

/// The page.
#[component]
pub(crate) fn Overview() -> impl IntoView {
    let live = live();
    let changed = move || Topic::ALL.map(|topic| live.version(topic));
    let overview = kept(changed, |_| load_overview());
    view! {
        <Bar title="Overview">
            <Transition>{move || overview.get().and_then(Result::ok).map(|view| sentence(&view))}</Transition>
        </Bar>
        <div class="page">
            <Transition fallback=|| view! { <div class="skeleton" aria-hidden="true"></div> }>
                {move || overview.get().map(|result| match result {
                    Ok(view) => body(view).into_any(),
                    Err(refusal) => view! { <p role="alert" class="failure">{refusal.to_string()}</p> }.into_any(),
                })}
            </Transition>
        </div>
    }
}

/// True facts with the numbers bold; what is zero or unknown is left out.
fn sentence(view: &OverviewView) -> AnyView {
    let stats = &view.stats;
    let down = view.services.iter().filter(|service| service.active && service.health() == Health::Down).count() as i64;
    let mut parts: Vec<(String, &'static str, &'static str)> = Vec::new();
    if !view.waiting.is_empty() {
        parts.push((count(view.waiting.len() as i64, "agent", "agents"), " waiting for you", "/agents"));
    }
    if down > 0 {
        parts.push((count(down, "service", "services"), " down", "/services"));
    }
    if stats.running > 0 {
        parts.push((count(stats.running, "picture", "pictures"), " drawing", "/images"));
    }
    if stats.queued > 0 {
        parts.push((stats.queued.to_string(), " waiting", "/images"));
    }
    if stats.done_day > 0 {
        parts.push((stats.done_day.to_string(), " drawn in 24 h", "/images"));
    }
    if let Some(ms) = stats.median_ms {
        parts.push((duration(ms), " median", "/images"));
    }
    if stats.cost.0 > 0 {
        parts.push((money(stats.cost), " for what is kept", "/images"));
    }
    if parts.is_empty() {
        return "Nothing drawn yet".into_any();
    }
    parts
        .into_iter()
        .enumerate()
        .map(|(n, (number, words, address))| view! { {(n > 0).then_some(" · ")} <a href=address><b>{number}</b>{words}</a> })
        .collect_view()
        .into_any()
}

fn body(view: OverviewView) -> impl IntoView {
    let connected = !view.services.is_empty();
    view! {
        <div class="overview">
            <Needs waiting=view.waiting services=view.services.clone() failed=view.failed />
            <Steps stats=view.stats.clone() connected=connected />
            <div class="board">
                <Pictures stats=view.stats.clone() open=view.open pictures=view.pictures />
                <Now events=view.events />
                <div class="side">
                    <ServiceList services=view.services />
                    <Crew stats=view.stats />
                </div>
            </div>
        </div>
    }
}
