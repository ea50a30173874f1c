//! Agents: the crew, who of them is there, who waits for somebody, and what each is started with.

pub(crate) mod calls;
mod card;
mod form;
mod variables;

use leptos::prelude::*;
use leptos_router::{
    NavigateOptions,
    hooks::{use_navigate, use_query_map},
};
use server::{
    agents::{AgentState, AgentView, Presence},
    caller::Right,
    clock::Timestamp,
    events::Topic,
};

use crate::{
    Refusal,
    frame::{Bar, use_me},
    live::{follow, kept, live},
    services::{Asked, Question},
    ui::{Dialog, count, icon, say},
};

/// How often contacts are asked for: no event tells of them, and who was heard of must not seem to be gone.
const EVERY: std::time::Duration = std::time::Duration::from_secs(30);

/// The list, as loaded.
type List = Resource<Result<Vec<AgentView>, Refusal>>;

/// What the cards ask of the page: its list and its two dialogs.
#[derive(Clone, Copy)]
struct Desk {
    list: List,
    form: RwSignal<bool>,
    editing: RwSignal<Option<AgentView>>,
    deletion: Question<AgentView>,
}

impl Desk {
    /// Opens the form for `agent`, or for a new one.
    fn edit(self, agent: Option<AgentView>) {
        self.editing.set(agent);
        self.form.set(true);
    }
}

/// The page.
#[component]
pub(crate) fn Agents() -> impl IntoView {
    let (live, me) = (live(), use_me());
    let list: List = kept(move || live.version(Topic::Agents), |_| calls::list_agents());
    let desk = Desk { list, form: RwSignal::new(false), editing: RwSignal::new(None), deletion: Question::new() };
    follow(list, EVERY);
    open_when_asked(desk);
    let add = move || {
        me.may(Right::Operate).then(|| {
            view! {
                <button class="primary" type="button" on:click=move |_| desk.edit(None)>{icon("plus")} " New agent"</button>
            }
        })
    };
    // Who waits stands first; the order of the others never changes.
    let all = move || {
        let mut all = list.get().and_then(Result::ok).unwrap_or_default();
        all.sort_by_key(|agent| agent.needs.as_ref().map_or(i64::MAX, |needs| needs.since.millis()));
        all
    };
    view! {
        <Bar title="Agents">
            <Transition>{move || list.get().and_then(Result::ok).map(|all| sentence(&all, live.now.get()))}</Transition>
        </Bar>
        <div class="page agents">
            <Transition fallback=|| view! { <div class="card skeleton" aria-hidden="true"></div> }>
                {move || match list.get() {
                    Some(Err(refusal)) => view! {
                        <p class="failure" role="alert">{refusal.to_string()}</p>
                        <p><button type="button" on:click=move |_| list.refetch()>"Try again"</button></p>
                    }
                    .into_any(),
                    Some(Ok(all)) if all.is_empty() => view! { <Empty>{add()}</Empty> }.into_any(),
                    Some(Ok(_)) => view! { <div class="toolbar">{add()}</div> }.into_any(),
                    None => ().into_any(),
                }}
                <div class="list">
                    <For each=all key=|agent| agent.id let(agent)>
                        <card::Card first=agent desk=desk />
                    </For>
                </div>
            </Transition>
        </div>
        <FormDialog desk=desk />
        {deletion(desk)}
    }
}

/// `/agents?new` opens the form; the mark is taken from the address, so that it can be asked again.
fn open_when_asked(desk: Desk) {
    let (query, navigate) = (use_query_map(), use_navigate());
    Effect::new(move || {
        if query.read().get("new").is_some() {
            desk.edit(None);
            navigate("/agents", NavigateOptions { replace: true, scroll: false, ..Default::default() });
        }
    });
}

/// `1 needs you · 3 running · 2 online`. What is none is not said.
fn sentence(all: &[AgentView], now: i64) -> AnyView {
    if all.is_empty() {
        return "No crew yet".into_any();
    }
    let now = Timestamp::from_millis(now);
    let waiting = all.iter().filter(|agent| agent.needs.is_some()).count();
    let running = all.iter().filter(|agent| agent.state == AgentState::Running).count();
    let online = all.iter().filter(|agent| Presence::of(agent.contact, now) == Presence::Online).count();
    let mut parts = Vec::new();
    if waiting > 0 {
        parts.push((waiting, if waiting == 1 { " needs you" } else { " need you" }));
    }
    parts.push((running, " running"));
    if online > 0 {
        parts.push((online, " online"));
    }
    let part = |(n, words): (usize, &'static str)| view! { " · " <b>{n}</b> {words} };
    view! { <b>{count(all.len() as i64, "agent", "agents")}</b> {parts.into_iter().map(part).collect_view()} }
        .into_any()
}

/// What stands here before there is an agent.
#[component]
fn Empty(
    /// The next thing to do.
    children: Children,
) -> impl IntoView {
    view! {
        <section class="card">
            <div class="empty">
                <h2>"No agent yet"</h2>
                <p>
                    "Your crew lives here: each agent has a terminal of its own, a role, and a program such as Claude Code, Codex, "
                    "Gemini CLI or opencode. A started agent is connected to this hub by itself."
                </p>
                <p>"An agent that runs elsewhere needs no entry here: " <a href="/connect">"connect it with a token"</a> "."</p>
                <div class="actions">{children()}</div>
            </div>
        </section>
    }
}

#[component]
fn FormDialog(desk: Desk) -> impl IntoView {
    let title = Signal::derive(move || match desk.editing.get() {
        Some(agent) => format!("Edit {}", agent.draft.name),
        None => "New agent".to_owned(),
    });
    view! {
        <Dialog open=desk.form title=title>
            <form::AgentForm agent=desk.editing.get_untracked() desk=desk />
        </Dialog>
    }
}

/// The question before an agent is deleted.
fn deletion(desk: Desk) -> AnyView {
    let asked = Asked {
        verb: "Delete",
        text: "Its session ends with what it is doing, its token is revoked, its variables are forgotten. Its folder of work and its pictures stay.",
        yes: "Delete agent, end its session",
    };
    let done = move |agent: AgentView| {
        say(format!("{} is deleted", agent.draft.name));
        desk.list.refetch();
    };
    desk.deletion.dialog(asked, |agent| &agent.draft.name, |agent| calls::delete_agent(agent.id), done)
}
