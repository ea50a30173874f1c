//! Machines: the computers that hold sessions. Who is here, how busy each is, how another one joins.

mod add;
pub(crate) mod calls;
mod card;
mod choice;
mod gauges;

use leptos::prelude::*;
use leptos_router::{
    NavigateOptions,
    hooks::{use_navigate, use_query_map},
};
use server::{
    caller::Right,
    events::Topic,
    machines::{HUB, MachineState, MachineView},
};

pub(crate) use choice::machine_choice;

use crate::{
    Refusal,
    frame::{Bar, use_me},
    live::{follow, kept, live},
    services::{Asked, Question},
    ui::{icon, say},
};

/// How often the numbers are asked for: no event tells of them.
const EVERY: std::time::Duration = std::time::Duration::from_secs(5);

/// The list, as loaded.
type List = Resource<Result<Vec<MachineView>, Refusal>>;

/// What the cards ask of the page: its lists and its two dialogs.
#[derive(Clone, Copy)]
struct Desk {
    list: List,
    /// How many terminals each machine has.
    terminals: Resource<Result<Vec<(String, usize)>, Refusal>>,
    adding: add::Adding,
    removal: Question<MachineView>,
}

impl Desk {
    /// The machine of this name, as known last.
    fn find(self, name: &str) -> Option<MachineView> {
        self.list.get()?.ok()?.into_iter().find(|machine| machine.name == name)
    }
}

/// The page.
#[component]
pub(crate) fn Machines() -> impl IntoView {
    let (live, me) = (live(), use_me());
    let list: List = kept(move || live.version(Topic::Machines), |_| calls::list_machines());
    let topics = move || (live.version(Topic::Terminals), live.version(Topic::Machines));
    let terminals = kept(topics, |_| calls::machine_terminals());
    let desk = Desk { list, terminals, adding: add::Adding::new(), removal: Question::new() };
    follow(list, EVERY);
    open_when_asked(desk);
    let add = move || {
        me.may(Right::Operate).then(|| {
            view! {
                <button class="primary" type="button" on:click=move |_| desk.adding.begin(None)>{icon("plus")} " Add a machine"</button>
            }
        })
    };
    let all = move || list.get().and_then(Result::ok).unwrap_or_default();
    // Read where the list is, inside the transition: a memo would read it outside.
    let alone = move || all().iter().all(|machine| machine.name == HUB);
    view! {
        <Bar title="Machines">
            <Transition>{move || list.get().and_then(Result::ok).map(|all| sentence(&all))}</Transition>
        </Bar>
        <div class="page machines">
            <Transition fallback=|| view! { <div class="card skeleton" aria-hidden="true"></div> }>
                {move || match list.get() {
                    Some(Err(refusal)) => view! { <p class="failure" role="alert">{refusal.to_string()}</p> }.into_any(),
                    Some(Ok(_)) if !alone() => view! { <div class="toolbar">{add()}</div> }.into_any(),
                    _ => ().into_any(),
                }}
                <div class="list">
                    <For each=all key=|machine| machine.name.clone() let(machine)>
                        <card::Card first=machine desk=desk />
                    </For>
                    {move || matches!(list.get(), Some(Ok(_)) if alone()).then(|| view! { <Empty>{add()}</Empty> })}
                </div>
            </Transition>
        </div>
        <add::AddDialog desk=desk />
        {removal(desk)}
    }
}

/// `/machines?new` opens the form; the mark is taken from the address, so that it can be asked again.
fn open_when_asked(desk: Desk) {
    let (query, navigate) = (use_query_map(), use_navigate());
    Effect::new(move || {
        if query.read().get("new").is_some() {
            desk.adding.begin(None);
            navigate("/machines", NavigateOptions { replace: true, scroll: false, ..Default::default() });
        }
    });
}

/// `3 machines · 2 connected · 1 away`. What is none is not said.
fn sentence(all: &[MachineView]) -> AnyView {
    let count = |state| all.iter().filter(|machine| machine.state == state).count();
    let part = |state: MachineState| {
        let n = count(state);
        (n > 0).then(|| view! { " · " <b>{n}</b> " " {state.word()} })
    };
    let states = [MachineState::Connected, MachineState::Away, MachineState::Invited].map(part);
    view! { <b>{all.len()}</b> {if all.len() == 1 { " machine" } else { " machines" }} {states.into_iter().collect_view()} }
        .into_any()
}

/// What stands beside the hub's own machine before there is another.
#[component]
fn Empty(
    /// The next thing to do.
    children: Children,
) -> impl IntoView {
    view! {
        <section class="card">
            <div class="empty">
                <h2>"No other machine yet"</h2>
                <p>
                    "A machine is a computer that holds sessions: a GPU server, a build machine, the one under your desk. Agents and "
                    "terminals there are watched, typed into and recorded from here as the hub's own, and run on when the network does not."
                </p>
                <p>"One line in its shell adds it. It connects outward, so no port has to be opened."</p>
                <p>
                    "Sessions on the hub's own machine run as the hub's user and may do what it may. A machine, or another user of "
                    "this computer as one, keeps what runs there apart from the hub."
                </p>
                <div class="actions">{children()}</div>
            </div>
        </section>
    }
}

/// The question before a machine is removed.
fn removal(desk: Desk) -> AnyView {
    let asked = Asked {
        verb: "Remove",
        text: "Its key ends and its connection is closed at once. Its terminals leave the list; sessions there run on until somebody \
               ends them. Agents on it can no longer be started.",
        yes: "Remove machine, forget its terminals",
    };
    let done = move |machine: MachineView| {
        say(format!("{} is removed", machine.name));
        desk.list.refetch();
    };
    desk.removal.dialog(asked, |machine| &machine.name, |machine| calls::remove_machine(machine.name.clone()), done)
}
