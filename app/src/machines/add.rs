//! How another machine joins: its name, then the one line to paste there, then the news that it has come.

use leptos::prelude::*;
use server::{
    clock::{HOUR, Timestamp},
    machines::{HUB, MachineDraft, MachineState, MachineView, NewMachine, ProgramView, install_line},
};

use super::{Desk, calls};
use crate::{
    connect::only_here,
    frame::home,
    live::live,
    services::{Act, field},
    ui::{CopyButton, Dialog, Words, span},
};

/// The dialog: what is asked in it, and what came of it. The line is gone when it is closed.
#[derive(Clone, Copy)]
pub(super) struct Adding {
    open: RwSignal<bool>,
    /// The machine that joins once more; `None`: a new one.
    again: RwSignal<Option<String>>,
    made: RwSignal<Option<Made>>,
}

/// A line that was made, with its secret.
#[derive(Clone)]
struct Made {
    name: String,
    line: String,
    /// Where the machine will find the hub.
    base: String,
    /// The system that the program is for.
    system: String,
    expires_at: Timestamp,
}

impl Adding {
    /// Closed.
    pub(super) fn new() -> Self {
        Self { open: RwSignal::new(false), again: RwSignal::new(None), made: RwSignal::new(None) }
    }

    /// Opens it for a new machine, or for one that joins once more.
    pub(super) fn begin(self, again: Option<String>) {
        self.again.set(again);
        self.made.set(None);
        self.open.set(true);
    }
}

/// The dialog.
#[component]
pub(super) fn AddDialog(
    /// The page's lists.
    desk: Desk,
) -> impl IntoView {
    let adding = desk.adding;
    Effect::new(move || {
        if !adding.open.get() {
            adding.made.set(None);
        }
    });
    let title = Signal::derive(move || match (adding.made.get(), adding.again.get()) {
        (Some(made), _) => format!("Paste this on {}", made.name),
        (None, Some(name)) => format!("Add {name} again"),
        (None, None) => "Add a machine".to_owned(),
    });
    let body = move || match adding.made.get() {
        Some(made) => view! { <Paste made=made desk=desk /> }.into_any(),
        None => view! { <NameForm desk=desk /> }.into_any(),
    };
    view! { <Dialog open=adding.open title=title>{body}</Dialog> }
}

#[component]
fn NameForm(desk: Desk) -> impl IntoView {
    let (adding, act) = (desk.adding, Act::new());
    let again = adding.again.get_untracked();
    let name = RwSignal::new(again.clone().unwrap_or_default());
    let fresh = again.is_none();
    let send = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let name = name.get_untracked().trim().to_owned();
        if fresh && name == HUB {
            return act.fail(format!("\"{HUB}\" is the name of the hub's own machine; choose another"));
        }
        let known = desk.list.get_untracked().and_then(Result::ok).unwrap_or_default();
        if fresh && known.iter().any(|machine| machine.name == name) {
            return act
                .fail(format!("there is a machine {name} already. If it was set up anew, press \"Add again\" at it"));
        }
        let call = async move {
            // First what cannot be without consequence in the second.
            let program = calls::machine_program().await?;
            Ok((program, calls::add_machine(MachineDraft { name }).await?))
        };
        act.run(call, move |(program, new)| {
            adding.made.set(Some(made(program, new)));
            desk.list.refetch();
        });
    };
    view! {
        <form class="form" autocomplete="off" on:submit=send>
            {match again {
                None => field("machine-name", "Name", "What you call it: a-z 0-9 -, such as gpu-1", "text", "off", name),
                Some(name) => view! {
                    <p>
                        "For a machine that was set up anew, or whose line was not used in time. The key that "<b>{name}</b>
                        " has holds until the new line is used."
                    </p>
                }.into_any(),
            }}
            <Words failure=act.failure />
            <div class="actions">
                <button class="primary" type="submit" disabled=move || act.busy()>"Make the install line"</button>
                <button type="button" on:click=move |_| adding.open.set(false)>"Cancel"</button>
            </div>
        </form>
    }
}

fn made(program: ProgramView, new: NewMachine) -> Made {
    // As it is configured, or as this page was reached.
    let base = home().or_else(|| window().location().origin().ok()).unwrap_or_default();
    let base = base.trim_end_matches('/').to_owned();
    let line = install_line(&base, &new.join, &program);
    Made { name: new.view.name, line, base, system: program.system, expires_at: new.expires_at }
}

/// The line, this once, and whether the machine has come.
#[component]
fn Paste(made: Made, desk: Desk) -> impl IntoView {
    let live = live();
    let Made { name, line, base, system, expires_at } = made;
    // The button that had the focus is gone; what came of it is read next.
    let node = NodeRef::<leptos::html::Div>::new();
    Effect::new(move || {
        if let Some(node) = node.get() {
            let _ = node.focus();
        }
    });
    let come = {
        let name = name.clone();
        Memo::new(move |_| desk.find(&name).filter(|machine| has_come(machine, expires_at)))
    };
    let left = move || match expires_at.millis() - live.now.get() {
        ms @ 1.. => format!("It is valid once, for another {}, and is shown only now.", span(ms)),
        _ => "Its hour is over: close this and add the machine again.".to_owned(),
    };
    let here = only_here(&base);
    let clear = base.starts_with("http://") && !here;
    let state = {
        let name = name.clone();
        move || match come.get() {
            Some(machine) => {
                let about = [machine.system, machine.address].into_iter().flatten().collect::<Vec<_>>().join(" · ");
                view! { <p class="state ok"><span><b>{machine.name}</b> " is connected"</span> <small>{about}</small></p> }.into_any()
            }
            None => {
                view! { <p class="state wait"><span>"Waiting for " {name.clone()} " to join…"</span></p> }.into_any()
            }
        }
    };
    let start = format!("/terminals?new={name}");
    let next = move || {
        let start = start.clone();
        come.get().map(|_| view! { <a class="button primary" href=start>"Start a terminal on it"</a> })
    };
    view! {
        <div class="body made" node_ref=node tabindex="-1">
            <p>"It fetches this program from the hub, checks it, joins as " <b>{name}</b> " and keeps it running."</p>
            <div class="command"><code class="mono">{line.clone()}</code> <CopyButton text=line what="the install line" /></div>
            <p class="help">{left}</p>
            <ul>
                <li>"For " {system} "."</li>
                <li>"tmux must be there; where you are root it is installed."</li>
                <li>"The machine connects outward to " <code class="mono">{base}</code> ": no port has to be opened."</li>
            </ul>
            {here.then(|| view! {
                <p class="note">
                    "This address is only for the hub's own machine. For machines elsewhere, open this page by a name that they can reach."
                </p>
            })}
            {clear.then(|| view! {
                <p class="note">
                    "This address is not encrypted: the machine's key would cross the network in the clear, so the line is refused. "
                    "Use https, or add " <code class="mono">"--insecure"</code> " where you trust the network."
                </p>
            })}
            <div role="status">{state}</div>
            <div class="actions">
                {next}
                <button type="button" on:click=move |_| desk.adding.open.set(false)>"Done"</button>
            </div>
        </div>
    }
}

/// Whether a machine has used its line, which is good for an hour, and is here since.
fn has_come(machine: &MachineView, expires_at: Timestamp) -> bool {
    let made_at = expires_at.millis() - HOUR;
    machine.state == MachineState::Connected
        && machine.join_expires_at.is_none()
        && machine.since.is_some_and(|since| since.millis() >= made_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_come_when_its_line_was_used_and_not_by_the_link_that_it_had() {
        let at = Timestamp::from_millis;
        let machine = |state, since, line| MachineView {
            name: "a".into(),
            state,
            since: Some(at(since)),
            version: None,
            protocol: None,
            system: None,
            facts: None,
            facts_at: None,
            join_expires_at: line,
            address: None,
        };
        let end = at(HOUR + 1000);
        assert!(has_come(&machine(MachineState::Connected, 1500, None), end));
        for not in [
            machine(MachineState::Connected, 500, None),
            machine(MachineState::Connected, 1500, Some(end)),
            machine(MachineState::Away, 1500, None),
        ] {
            assert!(!has_come(&not, end), "{not:?}");
        }
    }
}
