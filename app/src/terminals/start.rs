//! The dialog that starts a terminal.

use leptos::prelude::*;
use leptos_router::{NavigateOptions, hooks::use_navigate};
use server::terminals::TerminalDraft;

use super::{
    calls, rules,
    seldom::{Seldom, seldom},
};
use crate::{
    machines::machine_choice,
    services::{Act, field},
    ui::{Dialog, Words},
};

/// Asks for name, machine, command and folder; leads to the terminal once it runs.
#[component]
pub(super) fn StartDialog(
    /// Whether it is open.
    open: RwSignal<bool>,
    /// The machine that is proposed; empty: the hub's own.
    machine: RwSignal<String>,
    /// Why nothing can run on the hub's own machine.
    lacks: RwSignal<Option<String>>,
) -> impl IntoView {
    view! { <Dialog open=open title="Start a terminal".to_owned()>{seldom(Seldom::Start { open, machine, lacks })}</Dialog> }
}

pub(super) fn form(open: RwSignal<bool>, machine: RwSignal<String>, lacks: RwSignal<Option<String>>) -> AnyView {
    let text = || RwSignal::new(String::new());
    let (name, command, folder) = (text(), text(), text());
    let act = Act::new();
    let navigate = StoredValue::new(use_navigate());
    let start = move || {
        let command = match rules::words(&command.get_untracked()) {
            Ok(words) => words,
            Err(why) => return act.fail(why),
        };
        let name = name.get_untracked().trim().to_owned();
        let draft = TerminalDraft {
            name: name.clone(),
            command,
            folder: folder.get_untracked().trim().to_owned(),
            machine: Some(machine.get_untracked()).filter(|machine| !machine.is_empty()),
        };
        act.run(calls::start_terminal(draft), move |()| {
            open.set(false);
            navigate.with_value(|go| go(&format!("/terminals/{name}"), NavigateOptions::default()));
        });
    };
    let unable = move || {
        let why = lacks.get().filter(|_| machine.with(String::is_empty))?;
        Some(view! { <p class="failure" role="alert">{rules::sentence(&why)}</p> })
    };
    view! {
        <form
            class="form"
            autocomplete="off"
            on:submit=move |event| {
                event.prevent_default();
                start();
            }
        >
            {field("terminal-name", "Name", "Letters, digits, - and _, such as build", "text", "off", name)}
            {machine_choice("terminal-machine", machine)}
            {unable}
            {field("terminal-command", "Command", "Program and arguments; empty starts your login shell", "text", "off", command)}
            {field("terminal-folder", "Folder", "Where it starts; empty is the home folder", "text", "off", folder)}
            <Words failure=act.failure />
            <div class="actions">
                <button class="primary" type="submit" disabled=move || act.busy()>"Start"</button>
                <button type="button" on:click=move |_| open.set(false)>"Cancel"</button>
            </div>
        </form>
    }
    .into_any()
}
