//! One service: how it is, and what can be done with it.

use leptos::prelude::*;
use server::{
    caller::Right,
    services::{Health, ServiceView, TestReport},
};

use super::{Act, Desk, calls, steps::Steps};
use crate::{
    frame::use_me,
    ui::{Ago, CopyButton, Sparkline, StatusBadge, Words, price_per_hour, say},
};

/// The card. It stays in place while its facts change, so that focus and a test's answer are kept.
#[component]
pub(super) fn Card(
    /// The service as first listed.
    first: ServiceView,
    /// The page's list, for what is new of it, and its dialogs.
    desk: Desk,
) -> impl IntoView {
    let (me, list) = (use_me(), desk.list);
    let (id, name) = (first.id, first.name.clone());
    // The last known facts stand in while the service leaves the list.
    let service = Memo::new(move |old: Option<&ServiceView>| {
        let all = list.get().and_then(Result::ok).unwrap_or_default();
        let now = all.into_iter().find(|service| service.id == id);
        now.unwrap_or_else(|| old.unwrap_or(&first).clone())
    });
    let active = Memo::new(move |_| service.with(|service| service.active));
    let act = Act::new();
    let report = RwSignal::new(None::<TestReport>);

    let test = move |_| {
        report.set(None);
        act.run(calls::check_service(id), move |found| {
            report.set(Some(found));
            list.refetch();
        });
    };
    let turn = move |_| {
        let on = !active.get_untracked();
        report.set(None);
        act.run(calls::set_service_active(id, on), move |service: ServiceView| {
            let word = if on { "is active: it takes work now" } else { "is inactive: it takes no more work" };
            say(format!("{} {word}", service.name));
            list.refetch();
        });
    };
    let buttons = move || {
        let busy = move || act.busy();
        me.may(Right::Operate).then(|| {
            view! {
                <div class="actions">
                    <button type="button" disabled=busy on:click=test>"Test now"</button>
                    <button type="button" disabled=busy on:click=turn>
                        {move || if active.get() { "Deactivate" } else { "Activate" }}
                    </button>
                    <button type="button" on:click=move |_| desk.edit(Some(service.get_untracked()))>"Edit"</button>
                    <button class="quiet" type="button" on:click=move |_| desk.removal.ask(service.get_untracked())>"Remove"</button>
                </div>
            }
        })
    };
    view! {
        <article class="card service" aria-label=name>
            {move || facts(service.get())}
            <Words failure=act.failure />
            <div aria-live="polite">
                <p class="quiet" hidden=move || !act.busy()>"Asking the server…"</p>
                {move || report.get().map(|report| view! { <Steps report=report /> })}
            </div>
            {buttons}
        </article>
    }
}

fn facts(service: ServiceView) -> AnyView {
    let health = service.health();
    let colour = match health {
        Health::Healthy => "ok",
        Health::Degraded => "warn",
        Health::Down => "bad",
        Health::Unknown => "quiet",
    };
    let last = service.checks.last().cloned();
    let problem = last.as_ref().and_then(|check| check.problem.clone());
    let checked = last.map(|check| {
        let ms = check.response_ms.map(|ms| format!(" · {ms} ms"));
        view! { <span class="quiet">"checked " <Ago at=check.at /> {ms}</span> }
    });
    let (word, class) = if service.active { ("active", "info") } else { ("inactive", "quiet") };
    let signed_in =
        if service.auth == "none" { "no authentication".to_owned() } else { format!("signs in by {}", service.auth) };
    let version = service.version.map(|version| format!("ComfyUI {version}"));
    view! {
        <header>
            <h2>{service.name}</h2>
            <StatusBadge word=health.word() class=colour />
            <StatusBadge word=word class=class />
            {checked}
            <span class="price">{price_per_hour(service.price_per_hour)}</span>
        </header>
        <p class="address">
            <code class="mono">{service.base_url.clone()}</code> <CopyButton text=service.base_url what="the address" />
            <span class="quiet">{signed_in}</span>
        </p>
        <div class="device">
            <span class="quiet">{version.into_iter().chain(service.devices).collect::<Vec<_>>().join(" · ")}</span>
            {(!service.checks.is_empty()).then(|| view! { <Sparkline checks=service.checks /> })}
        </div>
        {problem.map(|problem| view! { <p class="problem">{problem}</p> })}
    }
    .into_any()
}
