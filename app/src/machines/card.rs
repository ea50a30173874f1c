//! One machine: how it stands to the hub, how busy it is, what can be done with it.

use leptos::prelude::*;
use server::{
    caller::Right,
    machines::{HUB, MachineState, MachineView},
};

use super::{Desk, gauges::gauges};
use crate::{
    frame::use_me,
    live::live,
    ui::{Ago, StatusBadge, count, exact, icon, span},
};

/// The card. It stays in place while its facts change, so that the focus is kept.
#[component]
pub(super) fn Card(
    /// The machine as first listed.
    first: MachineView,
    /// The page's lists, for what is new of it, and its dialogs.
    desk: Desk,
) -> impl IntoView {
    let me = use_me();
    let (name, own) = (first.name.clone(), first.name == HUB);
    let machine = {
        let name = name.clone();
        // The last known facts stand in while the machine leaves the list.
        Memo::new(move |old: Option<&MachineView>| desk.find(&name).unwrap_or_else(|| old.unwrap_or(&first).clone()))
    };
    let connected = Memo::new(move |_| machine.with(|machine| machine.state == MachineState::Connected));
    let hubs = Memo::new(move |_| desk.find(HUB).and_then(|hub| hub.version));
    let terminals = {
        let name = name.clone();
        move || {
            let all = desk.terminals.get()?.ok()?;
            let n = all.into_iter().find(|(machine, _)| *machine == name).map_or(0, |(_, n)| n);
            let words = count(n as i64, "terminal", "terminals");
            Some(view! { <a class="button" href="/terminals">{icon("terminal")} {words}</a> })
        }
    };
    let buttons = {
        let name = name.clone();
        move || {
            let start = format!("/terminals?new={}", if own { "" } else { &name });
            let again = name.clone();
            me.may(Right::Operate).then(|| {
                view! {
                    {move || connected.get().then(|| view! { <a class="button" href=start.clone()>"Start a terminal"</a> })}
                    {(!own).then(|| view! {
                        <button type="button" on:click=move |_| desk.adding.begin(Some(again.clone()))>"Add again"</button>
                        <button class="quiet" type="button" on:click=move |_| desk.removal.ask(machine.get_untracked())>"Remove…"</button>
                    })}
                }
            })
        }
    };
    view! {
        <article class="card machine" aria-label=name>
            {move || facts(machine.get(), hubs.get())}
            <div class="actions">{terminals} {buttons}</div>
        </article>
    }
}

fn facts(machine: MachineView, hubs: Option<String>) -> AnyView {
    let live = live();
    let (state, own) = (machine.state, machine.name == HUB);
    let class = match state {
        MachineState::Connected => "ok",
        MachineState::Away => "warn",
        MachineState::Invited => "info",
    };
    let (since, line) = (machine.since, machine.join_expires_at);
    let age = since.filter(|_| state != MachineState::Invited).map(|since| {
        let words = move || match live.now.get() - since.millis() {
            ..5_000 => "just now".to_owned(),
            ms => format!("for {}", span(ms)),
        };
        view! { <span class="quiet"><span title=exact(since)>{words}</span> {own.then_some(" · the hub's own")}</span> }
    });
    let valid = move || match (line, state) {
        (Some(end), _) if end.millis() > live.now.get() => {
            let first = if state == MachineState::Invited { "The" } else { "A new" };
            Some(format!("{first} install line is valid for another {}.", span(end.millis() - live.now.get())))
        }
        (_, MachineState::Invited) => Some("Its install line is no longer valid. Add it again for another.".to_owned()),
        _ => None,
    };
    let other = machine.version.as_ref().is_some_and(|version| hubs.is_some_and(|hubs| hubs != *version));
    let version = machine.version.map(|version| match other {
        true => format!("central-mcp {version}, not the hub's version"),
        false => format!("central-mcp {version}"),
    });
    let about = [machine.system, machine.address, version].into_iter().flatten().collect::<Vec<_>>().join(" · ");
    let old = state != MachineState::Connected;
    let load = machine.facts.map(|facts| gauges(&facts, old));
    let none = (load.is_none() && state == MachineState::Connected)
        .then(|| view! { <p class="quiet">"How busy it is has not been said yet."</p> });
    let as_of = machine.facts_at.filter(|_| old).map(|at| view! { <p class="quiet">"How it was " <Ago at=at /></p> });
    view! {
        <header>
            <h2>{machine.name}</h2>
            <StatusBadge word=state.word() class=class />
            {age}
        </header>
        {(!about.is_empty()).then(|| view! { <p class="about">{about}</p> })}
        {move || valid().map(|words| view! { <p class="quiet">{words}</p> })}
        {as_of}
        {load}
        {none}
    }
    .into_any()
}
