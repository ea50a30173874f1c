//! Saved ComfyUI workflows, to draw with from the images page.

use leptos::prelude::*;
use server::{caller::Right, images::WorkflowView};

use super::table::table;
use crate::{
    Refusal,
    frame::use_me,
    images::calls,
    services::{Act, Asked, Question, area, field},
    ui::{Ago, Words, say},
};

/// The section.
#[component]
pub(super) fn Workflows(
    /// The workflows, as loaded.
    list: Resource<Result<Vec<WorkflowView>, Refusal>>,
) -> impl IntoView {
    let me = use_me();
    let (deletion, saving) = (Question::new(), Act::new());
    let row = move |workflow: WorkflowView| {
        let (name, inputs, created_at) = (workflow.name.clone(), workflow.inputs.join(", "), workflow.created_at);
        let ask = move |_| deletion.ask(workflow.clone());
        let delete = me.may(Right::Operate).then(|| view! { <button type="button" on:click=ask>"Delete"</button> });
        view! {
            <tr>
                <td>{name}</td>
                <td class="mono">{if inputs.is_empty() { "none of its own".to_owned() } else { inputs }}</td>
                <td><Ago at=created_at /></td>
                <td class="act">{delete}</td>
            </tr>
        }
        .into_any()
    };
    let asked = Asked {
        verb: "Delete",
        text: "Pictures drawn with it stay. Images that wait for it will fail and say so.",
        yes: "Delete workflow",
    };
    let done = move |workflow: WorkflowView| {
        say(format!("Workflow {} is deleted", workflow.name));
        list.refetch();
    };
    let (name, graph) = (RwSignal::new(String::new()), RwSignal::new(String::new()));
    let send = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let call = calls::save_workflow(name.get_untracked().trim().to_owned(), graph.get_untracked());
        saving.run(call, move |workflow| {
            name.set(String::new());
            graph.set(String::new());
            say(format!("Workflow {} is saved", workflow.name));
            list.refetch();
        });
    };
    let hint = "In ComfyUI: Workflow, Export (API). A value \"{{prompt}}\" takes what is asked for; so do negative_prompt, seed, \
        width, height, steps, cfg_scale, count, model, sampler, scheduler. Any other {{name}} becomes a field of its own.";
    view! {
        <section class="card" id="workflows">
            <h2>"Workflows"</h2>
            <p class="quiet">"Your own ComfyUI graphs, to draw with from the images page."</p>
            {table(move || list.get(), &["Name", "Its own inputs", "Saved"], "No workflow saved yet.", row)}
            <Transition>
                {move || me.may(Right::Operate).then(|| view! {
                    <h3>"Save a workflow"</h3>
                    <form class="form" autocomplete="off" on:submit=send>
                        {field("workflow-name", "Name", "", "text", "off", name)}
                        {area("workflow-graph", "Graph", hint, "{ \"3\": { \"class_type\": \"KSampler\", … } }".into(), "8", graph)}
                        <Words failure=saving.failure />
                        <div class="actions">
                            <button type="submit" disabled=move || saving.busy()>"Save workflow"</button>
                        </div>
                    </form>
                })}
            </Transition>
            {deletion.dialog(asked, |workflow| &workflow.name, |workflow| calls::delete_workflow(workflow.id), done)}
        </section>
    }
}
