//! Services: the outside servers that draw, how they are, what they cost.

mod act;
pub(crate) mod calls;
mod card;
mod field;
mod form;
mod steps;

use leptos::prelude::*;
use leptos_router::{
    NavigateOptions,
    hooks::{use_navigate, use_query_map},
};
use server::{
    caller::Right,
    events::Topic,
    services::{Health, ServiceView},
};

pub(crate) use act::{Act, Asked, Question};
pub(crate) use field::{area, choice, field};

use crate::{
    Refusal,
    frame::{Bar, use_me},
    live::{kept, live},
    ui::{CopyButton, Dialog, icon, say},
};

/// The list, as loaded.
type List = Resource<Result<Vec<ServiceView>, Refusal>>;

/// What the cards ask of the page: its list and its two dialogs.
#[derive(Clone, Copy)]
struct Desk {
    list: List,
    form: RwSignal<bool>,
    editing: RwSignal<Option<ServiceView>>,
    removal: Question<ServiceView>,
}

impl Desk {
    /// Opens the form for `service`, or for a new one.
    fn edit(self, service: Option<ServiceView>) {
        self.editing.set(service);
        self.form.set(true);
    }
}

/// The page.
#[component]
pub(crate) fn Services() -> impl IntoView {
    let (live, me) = (live(), use_me());
    let list: List = kept(move || live.version(Topic::Services), |_| calls::list_services());
    let desk = Desk { list, form: RwSignal::new(false), editing: RwSignal::new(None), removal: Question::new() };
    open_when_asked(desk);
    let add = move || {
        me.may(Right::Operate).then(|| {
            view! {
                <button class="primary" type="button" on:click=move |_| desk.edit(None)>
                    {icon("plus")} " Add a ComfyUI server"
                </button>
            }
        })
    };
    let all = move || list.get().and_then(Result::ok).unwrap_or_default();
    view! {
        <Bar title="Services">
            <Transition>{move || list.get().and_then(Result::ok).map(|all| sentence(&all))}</Transition>
        </Bar>
        <div class="page services">
            <Transition fallback=|| view! { <div class="card skeleton" aria-hidden="true"></div> }>
                {move || match list.get() {
                    Some(Err(refusal)) => view! { <p class="failure" role="alert">{refusal.to_string()}</p> }.into_any(),
                    Some(Ok(all)) if all.is_empty() => view! { <Empty>{add()}</Empty> }.into_any(),
                    Some(Ok(_)) => view! { <div class="toolbar">{add()}</div> }.into_any(),
                    None => ().into_any(),
                }}
                <div class="list">
                    <For each=all key=|service| service.id let(service)>
                        <card::Card first=service desk=desk />
                    </For>
                </div>
            </Transition>
        </div>
        <FormDialog desk=desk />
        {removal(desk)}
    }
}

/// `/services?new` opens the form; the mark is taken from the address, so that it can be asked again.
fn open_when_asked(desk: Desk) {
    let (query, navigate) = (use_query_map(), use_navigate());
    Effect::new(move || {
        if query.read().get("new").is_some() {
            desk.edit(None);
            navigate("/services", NavigateOptions { replace: true, scroll: false, ..Default::default() });
        }
    });
}

/// `2 services · 1 active · 1 down`. What is none is not said.
fn sentence(all: &[ServiceView]) -> AnyView {
    if all.is_empty() {
        return "Nothing connected yet".into_any();
    }
    let part = |n: usize, word: &'static str| (n > 0).then(|| view! { " · " <b>{n}</b> " " {word} });
    let active = all.iter().filter(|service| service.active).count();
    let with = |health| all.iter().filter(|service| service.active && service.health() == health).count();
    let word = if all.len() == 1 { " service" } else { " services" };
    view! {
        <b>{all.len()}</b> {word} {part(active, "active")} {part(with(Health::Degraded), "degraded")} {part(with(Health::Down), "down")}
    }
    .into_any()
}

/// What stands here before there is a service.
#[component]
fn Empty(
    /// The next thing to do.
    children: Children,
) -> impl IntoView {
    let command = |text: &'static str| {
        view! { <div class="command"><code tabindex="0">{text}</code> <CopyButton text=text.to_owned() what="the command" /></div> }
    };
    view! {
        <section class="card">
            <div class="empty">
            <h2>"No service yet"</h2>
            <p>
                "The servers that draw your pictures live here, with their health and their price. "
                "Until there is one, the built-in renderer sketch answers; it is not a model."
            </p>
            <p>"Start ComfyUI where your GPU is:"</p>
            {command("python main.py --listen 127.0.0.1 --port 8188 --preview-method auto")}
            <p>"Then add it here, or in a terminal on this machine:"</p>
            {command("central-mcp setup comfyui")}
            <div class="actions">{children()}</div>
            </div>
        </section>
    }
}

#[component]
fn FormDialog(desk: Desk) -> impl IntoView {
    let title = Signal::derive(move || match desk.editing.get() {
        Some(service) => format!("Edit {}", service.name),
        None => "Add a ComfyUI server".to_owned(),
    });
    view! {
        <Dialog open=desk.form title=title>
            <form::ServiceForm service=desk.editing.get_untracked() desk=desk />
        </Dialog>
    }
}

/// The question before a service is removed.
fn removal(desk: Desk) -> AnyView {
    let asked = Asked {
        verb: "Remove",
        text: "Its address, its credential and its health history go. Pictures it drew stay; pictures asked of it alone wait.",
        yes: "Remove service; its pictures stay",
    };
    let done = move |service: ServiceView| {
        say(format!("{} is removed", service.name));
        desk.list.refetch();
    };
    desk.removal.dialog(asked, |service| &service.name, |service| calls::remove_service(service.id), done)
}
