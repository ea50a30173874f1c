//! One agent: how it is, what it needs, what can be done with it.

use leptos::prelude::*;
use server::{
    agents::{AgentState, AgentView, Presence},
    caller::Right,
    clock::Timestamp,
};

use super::{Desk, calls};
use crate::{
    frame::use_me,
    live::live,
    services::Act,
    ui::{Ago, StatusBadge, Words, actor_face, agent_hue, exact, icon, say, span},
};

/// The card. It stays in place while its facts change, so that the focus is kept.
#[component]
pub(super) fn Card(
    /// The agent as first listed.
    first: AgentView,
    /// The page's list, for what is new of it, and its dialogs.
    desk: Desk,
) -> impl IntoView {
    let (me, list) = (use_me(), desk.list);
    let (id, name, slug) = (first.id, first.draft.name.clone(), first.draft.slug.clone());
    let terminal = format!("/terminals/{}", first.terminal);
    // The last known facts stand in while the agent leaves the list.
    let agent = Memo::new(move |old: Option<&AgentView>| {
        let all = list.get().and_then(Result::ok).unwrap_or_default();
        let now = all.into_iter().find(|agent| agent.id == id);
        now.unwrap_or_else(|| old.unwrap_or(&first).clone())
    });
    let state = Memo::new(move |_| agent.with(|agent| agent.state));
    let waits = Memo::new(move |_| agent.with(|agent| agent.needs.is_some()));
    let act = Act::new();
    // What could not be done a while ago has been done since, by whoever it was.
    Effect::new(move |before: Option<AgentState>| {
        let now = state.get();
        if before.is_some_and(|before| before != now) && now != AgentState::Starting {
            act.failure.set(None);
        }
        now
    });
    let done = move |words: &'static str| {
        move |agent: AgentView| {
            say(format!("{} {words}", agent.draft.name));
            list.refetch();
        }
    };
    let start = move |_| act.run(calls::start_agent(id), done("is started"));
    let stop = move |_| act.run(calls::stop_agent(id), done("is stopped"));
    let restart = move |_| act.run(calls::restart_agent(id), done("is started again"));
    let look = {
        let terminal = terminal.clone();
        move || {
            let class = if waits.get() { "button primary" } else { "button" };
            // One that waits for its next try shows there how it ended.
            (state.get().has_session() || agent.with(|agent| agent.started_at.is_some() && agent.next_try.is_some()))
                .then(|| view! { <a class=class href=terminal.clone()>{icon("terminal")} " Open terminal"</a> })
        }
    };
    let busy = move || act.busy();
    let buttons = move || {
        me.may(Right::Operate).then(|| {
            let first = match state.get() {
                AgentState::Stopped => view! { <button type="button" disabled=busy on:click=start>"Start"</button> }.into_any(),
                AgentState::Starting => view! {
                    <button type="button" disabled=busy on:click=restart>"Start now"</button>
                    <button type="button" disabled=busy on:click=stop>"Stop"</button>
                }
                .into_any(),
                AgentState::Running | AgentState::NotInstalled | AgentState::NotSetUp => view! {
                    <button type="button" disabled=busy on:click=stop>"Stop"</button>
                    <button type="button" disabled=busy on:click=restart>"Restart"</button>
                }
                .into_any(),
            };
            view! {
                {first}
                <button type="button" on:click=move |_| desk.edit(Some(agent.get_untracked()))>"Edit"</button>
                <button class="quiet" type="button" on:click=move |_| desk.deletion.ask(agent.get_untracked())>"Delete"</button>
            }
        })
    };
    view! {
        <article class="card agent" class:waits=waits aria-label=name style=format!("--hue:{}", agent_hue(&slug))>
            {move || facts(agent.get())}
            <Words failure=act.failure />
            <div class="actions">{look} {buttons}</div>
        </article>
    }
}

fn facts(agent: AgentView) -> AnyView {
    let class = match agent.state {
        AgentState::Running => "ok",
        AgentState::NotInstalled | AgentState::NotSetUp | AgentState::Starting => "warn",
        AgentState::Stopped => "quiet",
    };
    let word = agent.state.word();
    let draft = agent.draft;
    let mut facts = vec![agent.profile];
    facts.extend(Some(draft.model).filter(|model| !model.is_empty()));
    facts.extend((!draft.restart_on_exit).then(|| "not restarted".to_owned()));
    let folder =
        if draft.folder.is_empty() { format!("agents/{}/work in the data folder", draft.slug) } else { draft.folder };
    let machine = draft.machine.map(|machine| view! { <span>"on " <a href="/machines">{machine}</a></span> });
    let trouble = trouble(agent.problem, agent.next_try);
    let needs = agent.needs.map(|needs| view! { <p class="need"><span>{needs.text}</span> <Ago at=needs.since /></p> });
    let since = agent.started_at.map(|at| view! { <span class="quiet">"started " <Ago at=at /></span> });
    view! {
        <header>
            {actor_face(&format!("agent:{}", draft.slug))}
            <h2>{draft.name} " " <span class="mono quiet">{draft.slug.clone()}</span></h2>
            {presence(agent.contact)}
        </header>
        {needs}
        {(!draft.role.is_empty()).then(|| view! { <p>{draft.role}</p> })}
        <p class="what">
            <StatusBadge word=word class=class /> {trouble} {since} {machine} <span>{facts.join(" · ")}</span>
        </p>
        <p class="what quiet"><code class="mono">{folder}</code></p>
    }
    .into_any()
}

/// Why it is not as it should be, and when it is tried again; that counts down by itself.
fn trouble(problem: Option<String>, next_try: Option<Timestamp>) -> Option<AnyView> {
    let live = live();
    let again = next_try.map(|at| {
        let words = move || match at.millis() - live.now.get() {
            ..1_000 => "next try now".to_owned(),
            ms => format!("next try in {}", span(ms)),
        };
        view! { <span title=exact(at)>{words}</span> }
    });
    let both = problem.is_some() && again.is_some();
    (problem.is_some() || again.is_some())
        .then(|| view! { <span class="trouble">{problem} {both.then_some("; ")} {again}</span> }.into_any())
}

/// The word, how old what it says is, and what that was. It ages by itself.
fn presence(contact: Option<server::agents::Contact>) -> AnyView {
    let live = live();
    let now = Memo::new(move |_| Presence::of(contact, Timestamp::from_millis(live.now.get())));
    let heard = contact.map(|contact| {
        let title = match contact.kind {
            server::agents::ContactKind::Call => {
                "The last call with its token; after a restart of the hub to the minute"
            }
            server::agents::ContactKind::Heartbeat => "The last sign of life on a connection that it holds open",
            server::agents::ContactKind::Terminal => "The last output in its terminal",
        };
        view! { <span title=title>" · " {contact.kind.words()} " " <Ago at=contact.at /></span> }
    });
    view! { <span class="presence" data-presence=move || now.get().word()>{move || now.get().word()} {heard}</span> }
        .into_any()
}
