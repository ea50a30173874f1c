//! The form that makes or changes an agent.

use leptos::prelude::*;
use server::agents::{AgentDraft, AgentView, ProfileView};

use super::{Desk, calls, variables::Rows};
use crate::{
    machines::machine_choice,
    services::{Act, area, field},
    ui::{CopyButton, Words, say},
};

/// What is being typed.
#[derive(Clone, Copy)]
struct Fields {
    slug: RwSignal<String>,
    name: RwSignal<String>,
    role: RwSignal<String>,
    profile: RwSignal<String>,
    model: RwSignal<String>,
    command: RwSignal<String>,
    folder: RwSignal<String>,
    /// Empty: the hub's own.
    machine: RwSignal<String>,
    restart: RwSignal<bool>,
    variables: Rows,
}

impl Fields {
    fn new(draft: Option<&AgentDraft>) -> Self {
        let text = |of: fn(&AgentDraft) -> &str| RwSignal::new(draft.map(of).unwrap_or_default().to_owned());
        Self {
            slug: text(|draft| &draft.slug),
            name: text(|draft| &draft.name),
            role: text(|draft| &draft.role),
            profile: RwSignal::new(draft.map_or("claude-code", |draft| &draft.profile).to_owned()),
            model: text(|draft| &draft.model),
            command: RwSignal::new(draft.map(|draft| draft.command.join("\n")).unwrap_or_default()),
            folder: text(|draft| &draft.folder),
            machine: RwSignal::new(draft.and_then(|draft| draft.machine.clone()).unwrap_or_default()),
            restart: RwSignal::new(draft.is_none_or(|draft| draft.restart_on_exit)),
            variables: Rows::new(draft.map(|draft| draft.environment.as_slice()).unwrap_or_default()),
        }
    }

    fn draft(self) -> AgentDraft {
        let text = |signal: RwSignal<String>| signal.get_untracked().trim().to_owned();
        let (slug, name) = (text(self.slug), text(self.name));
        AgentDraft {
            // The short word is name enough.
            name: if name.is_empty() { slug.clone() } else { name },
            slug,
            role: text(self.role),
            profile: self.profile.get_untracked(),
            model: text(self.model),
            command: words(&self.command.get_untracked()),
            environment: self.variables.variables(),
            folder: text(self.folder),
            machine: Some(self.machine.get_untracked()).filter(|machine| !machine.is_empty()),
            restart_on_exit: self.restart.get_untracked(),
        }
    }
}

/// The form; made anew at each opening of its dialog, so nothing typed stays behind.
#[component]
pub(super) fn AgentForm(
    /// The agent to change; `None` makes one.
    agent: Option<AgentView>,
    /// The page's dialog and list.
    desk: Desk,
) -> impl IntoView {
    let fields = Fields::new(agent.as_ref().map(|agent| &agent.draft));
    let act = Act::new();
    let (id, running) = (agent.as_ref().map(|it| it.id), agent.as_ref().is_some_and(|it| it.state.has_session()));
    // A refused second step must change what the first stored, not make it twice.
    let saved = RwSignal::new(agent.map(|it| (it.id, it.draft)));
    let profiles = LocalResource::new(calls::agent_profiles);
    let all = move || profiles.get().and_then(Result::ok).unwrap_or_default();
    let chosen = Memo::new(move |_| fields.profile.with(|key| all().into_iter().find(|it| it.key == *key)));
    let program = Signal::derive(move || match chosen.get() {
        Some(profile) if profile.program.is_empty() => "the login shell".to_owned(),
        Some(profile) => profile.program,
        None => String::new(),
    });
    // What a profile wants is there to be filled in; what somebody typed stays.
    Effect::new(move || {
        if let Some(profile) = chosen.get() {
            fields.variables.want(&profile.environment);
        }
    });
    let save = move |run: bool| {
        let draft = fields.draft();
        let work = async move {
            let agent = match saved.get_untracked() {
                // As it was seen: who changed it meanwhile is not to be written over.
                Some((id, before)) => calls::edit_agent(id, Some(before), draft).await?,
                None => calls::create_agent(draft).await?,
            };
            saved.set(Some((agent.id, agent.draft.clone())));
            if run { calls::restart_agent(agent.id).await } else { Ok(agent) }
        };
        act.run(work, move |agent: AgentView| {
            desk.form.set(false);
            desk.list.refetch();
            let word = if run { "is saved and started" } else { "is saved" };
            say(format!("{} {word}", agent.draft.name));
        });
    };
    let run = match (id, running) {
        (None, _) => "Save and start",
        (_, true) => "Save and restart",
        (_, false) => "Save and start",
    };
    view! {
        <form
            class="form"
            autocomplete="off"
            on:submit=move |event| {
                event.prevent_default();
                save(false);
            }
        >
            <div class="pair">
                {id.is_none().then(|| field("agent-slug", "Slug", "A short word for life, such as backend: a-z 0-9 -", "text", "off", fields.slug))}
                {field("agent-name", "Name", "What people call it; empty: the slug", "text", "off", fields.name)}
            </div>
            {field("agent-role", "Role", "What it is for, in a sentence", "text", "off", fields.role)}
            {machine_choice("agent-machine", fields.machine)}
            <div class="field">
                <label for="agent-profile">"Program"</label>
                <select id="agent-profile" prop:value=fields.profile on:change:target=move |event| fields.profile.set(event.target().value())>
                    {move || all().into_iter().map(|it| {
                        let selected = fields.profile.get_untracked() == it.key;
                        view! { <option value=it.key selected=selected>{it.name}</option> }
                    }).collect_view()}
                </select>
                {move || chosen.get().filter(|_| fields.machine.with(String::is_empty)).map(missing)}
            </div>
            <div class="pair">
                {field("agent-model", "Model", "Empty: what the program takes by itself", "text", "off", fields.model)}
                {field("agent-folder", "Folder", "Where it works, such as /srv/shop; empty: one of its own", "text", "off", fields.folder)}
            </div>
            {area("agent-command", "Command", "One word a line; empty: the program. What connects it is added", program, "2", fields.command)}
            {fields.variables.view()}
            <label class="check">
                <input type="checkbox" prop:checked=fields.restart on:change:target=move |event| fields.restart.set(event.target().checked()) />
                " Start it again when its program ends"
            </label>
            {running.then(|| view! { <p class="quiet">"It runs; what you change here holds from its next start."</p> })}
            <Words failure=act.failure />
            <div class="actions">
                <button class="primary" type="submit" disabled=move || act.busy()>"Save"</button>
                <button type="button" disabled=move || act.busy() on:click=move |_| save(true)>{run}</button>
            </div>
        </form>
    }
}

/// What to install first, where it is not there.
fn missing(profile: ProfileView) -> AnyView {
    if profile.installed {
        return ().into_any();
    }
    let install = profile.install;
    view! {
        <small class="help">{format!("{} is not installed here; until it is, the session is a shell. To install it:", profile.name)}</small>
        <div class="command"><code>{install.clone()}</code> <CopyButton text=install what="the command" /></div>
    }
    .into_any()
}

/// The words of a command, one a line.
fn words(text: &str) -> Vec<String> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn a_command_has_a_word_a_line_and_empty_lines_are_none() {
        assert_eq!(
            words(" claude \n\n--append-system-prompt\r\nBe brief\n"),
            ["claude", "--append-system-prompt", "Be brief"]
        );
        assert!(words(" \n").is_empty());
    }
}
