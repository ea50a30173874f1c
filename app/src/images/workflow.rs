//! Saved ComfyUI workflows in the form: choose one, fill its inputs, save and delete.

use leptos::prelude::*;
use server::{caller::Right, events::Topic, images::WorkflowView};

use super::{
    calls::{act, delete_workflow, list_workflows, save_workflow},
    fields::Fields,
};
use crate::{
    frame::use_me,
    live,
    ui::{Dialog, Words},
};

/// The saved workflows, followed while the form is open. Only asked for in the browser: no page waits for them.
pub(super) fn saved() -> RwSignal<Vec<WorkflowView>> {
    let all = RwSignal::new(Vec::new());
    let live = live::live();
    Effect::new(move || {
        live.version(Topic::Images);
        leptos::task::spawn_local(async move {
            if let Ok(list) = list_workflows().await
                && all.try_with_untracked(|old| *old != list).unwrap_or(false)
            {
                all.set(list);
            }
        });
    });
    all
}

/// The chosen one of `all`.
pub(super) fn chosen(all: RwSignal<Vec<WorkflowView>>, fields: Fields) -> Option<WorkflowView> {
    let id = fields.workflow.get();
    all.with(|all| all.iter().find(|workflow| workflow.id.to_string() == id).cloned())
}

/// The select, the fields of the chosen workflow's inputs, and for operators the way to save and delete one.
#[component]
pub(super) fn Workflows(
    /// All saved ones.
    all: RwSignal<Vec<WorkflowView>>,
    /// Where the choice and the inputs are kept.
    fields: Fields,
) -> impl IntoView {
    let me = use_me();
    let saving = RwSignal::new(false);
    let options = move || {
        let now = fields.workflow.get_untracked();
        let option = |workflow: WorkflowView| {
            let id = workflow.id.to_string();
            view! { <option value=id.clone() selected=id == now>{workflow.name}</option> }.into_any()
        };
        all.get().into_iter().map(option).collect_view()
    };
    let inputs = move || {
        let names = chosen(all, fields).map(|workflow| workflow.inputs).unwrap_or_default();
        names.into_iter().map(|name| input(name, fields)).collect_view()
    };
    let delete = move || {
        let workflow = chosen(all, fields)?;
        let id = workflow.id;
        let delete = move |_| act(delete_workflow(id), move |()| fields.workflow.set(String::new()));
        Some(
            view! { <button type="button" class="quiet" on:click=delete>"Delete “" {workflow.name} "”"</button> }
                .into_any(),
        )
    };
    let tools = move || {
        me.may(Right::Operate).then(|| {
            view! {
                <div class="tools">
                    <button type="button" class="quiet" on:click=move |_| saving.set(true)>"Save a workflow"</button>
                    {delete}
                </div>
            }
            .into_any()
        })
    };
    view! {
        <label class="field">
            <span>"Workflow"</span>
            <select on:change:target=move |event| fields.workflow.set(event.target().value())>
                <option value="" selected=true>"built-in"</option>
                {options}
            </select>
        </label>
        {inputs}
        <Suspense>{tools}</Suspense>
        <Dialog open=saving title="Save a workflow".to_owned()>
            <SaveForm open=saving fields=fields />
        </Dialog>
    }
}

/// One of the workflow's own inputs.
fn input(name: String, fields: Fields) -> AnyView {
    let value = fields.inputs.with_untracked(|inputs| inputs.get(&name).cloned().unwrap_or_default());
    let label = name.clone();
    let keep = move |text: String| fields.inputs.update(|inputs| drop(inputs.insert(name.clone(), text)));
    view! {
        <label class="field">
            <span class="mono">{label}</span>
            <input type="text" value=value on:input:target=move |event| keep(event.target().value()) />
        </label>
    }
    .into_any()
}

/// Name and graph of a workflow to save.
#[component]
fn SaveForm(open: RwSignal<bool>, fields: Fields) -> impl IntoView {
    let name = RwSignal::new(String::new());
    let graph = RwSignal::new(String::new());
    let failure = RwSignal::new(None::<String>);
    let save = move |_| {
        failure.set(None);
        let call = save_workflow(name.get_untracked(), graph.get_untracked());
        leptos::task::spawn_local(async move {
            match call.await {
                Ok(workflow) => {
                    fields.workflow.set(workflow.id.to_string());
                    let _ = open.try_set(false);
                }
                Err(refusal) => {
                    let _ = failure.try_set(Some(refusal.to_string()));
                }
            }
        });
    };
    view! {
        <div class="body">
            <label class="field">
                <span>"Name"</span>
                <input type="text" maxlength="60" bind:value=name />
            </label>
            <label class="field">
                <span>"Graph"</span>
                <textarea rows="10" class="mono" spellcheck="false" placeholder="{\"3\": {\"class_type\": …" bind:value=graph></textarea>
            </label>
            <p class="quiet">
                "In ComfyUI choose Export (API) and paste the file. A value that is only " <code>"{{prompt}}"</code> " or "
                <code>"{{seed}}"</code> " is filled from the form; any other name becomes a field of its own."
            </p>
            <Words failure=failure />
            <button type="button" class="primary" on:click=save>"Save workflow"</button>
        </div>
    }
}

/// Says that nothing is drawn by a model while no service is there.
pub(super) fn sketch_note() -> AnyView {
    view! {
        <p class="note">
            "No ComfyUI is connected: the built-in sketch draws. It is not a model. "
            <a href="/services">"Connect one"</a>
        </p>
    }
    .into_any()
}
