//! Everything that is known of one image, as a list of facts.

use leptos::prelude::*;
use server::images::{ImageStatus, ImageView};

use crate::ui::{Ago, CopyButton, StatusBadge, actor_face, duration, money};

/// The facts of `view`; what is not known is left out.
pub(super) fn facts(view: &ImageView) -> AnyView {
    let draft = &view.draft;
    let (word, class) = match view.status {
        ImageStatus::Queued => ("waiting", "quiet"),
        ImageStatus::Running => ("drawing", "info"),
        ImageStatus::Done => ("done", "ok"),
        ImageStatus::Failed => ("failed", "bad"),
        ImageStatus::Cancelled => ("cancelled", "quiet"),
    };
    let renderer = if view.is_sketch() {
        Some("sketch, the built-in renderer; not a model".to_owned())
    } else {
        view.renderer.clone()
    };
    let loras: Vec<_> = draft.loras.iter().map(|lora| format!("{} × {}", lora.name, lora.strength)).collect();
    let inputs: Vec<_> = draft.inputs.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let cost = match (view.status, view.cost) {
        (_, Some(cost)) => Some(money(cost)),
        (ImageStatus::Done, None) if view.is_sketch() => Some("nothing, built in".to_owned()),
        (ImageStatus::Done, None) => Some("unknown".to_owned()),
        _ => None,
    };
    let size = match view.pictures.first() {
        Some(picture) => (picture.width, picture.height),
        None => (draft.width, draft.height),
    };
    let seed = draft.seed.map(|seed| seed.to_string()).unwrap_or_default();
    let asked_by = view.asked_by.split_once(':').map_or(&*view.asked_by, |(_, name)| name).to_owned();
    view! {
        <dl class="facts">
            <dt>"State"</dt>
            <dd><StatusBadge word=word class=class /></dd>
            {optional("Reason", reason(view))}
            <dt>"Prompt"</dt>
            <dd class="prompt">
                <p>{draft.prompt.clone()}</p>
                <CopyButton text=draft.prompt.clone() what="the prompt" />
            </dd>
            {optional("Avoid", Some(draft.negative_prompt.clone()))}
            <dt>"Seed"</dt>
            <dd><span class="mono">{seed.clone()}</span> <CopyButton text=seed what="the seed" /></dd>
            <dt>"Size"</dt>
            <dd>{size.0} " × " {size.1} " pixels"</dd>
            <dt>"Steps"</dt>
            <dd>{draft.steps}</dd>
            <dt>"Guidance"</dt>
            <dd>{draft.cfg_scale.to_string()}</dd>
            {optional("Model", draft.model.clone())}
            {optional("Sampler", draft.sampler.clone())}
            {optional("Scheduler", draft.scheduler.clone())}
            {optional("LoRA", Some(loras.join(", ")))}
            {draft.workflow.map(|_| view! { <dt>"Workflow"</dt> <dd>"a saved one"</dd> })}
            {optional("Inputs", Some(inputs.join(", ")))}
            {source(view)}
            {optional("Drawn by", renderer)}
            <dt>"Asked by"</dt>
            <dd>{actor_face(&view.asked_by)} " " {asked_by}</dd>
            {optional("Task", draft.task.clone())}
            {view.parent.map(|parent| view! { <dt>"Made from"</dt> <dd><a href=format!("/images/{parent}")>"an earlier image"</a></dd> })}
            <dt>"Asked"</dt>
            <dd><Ago at=view.created_at /></dd>
            {optional("Drew for", view.drawn_ms.map(duration))}
            {optional("Cost", cost)}
            {(view.attempts > 1).then(|| view! { <dt>"Attempts"</dt> <dd>{view.attempts}</dd> })}
        </dl>
    }
    .into_any()
}

/// Why it failed or waits. A cancelled one may still hold why it waited before, which is no longer true.
pub(super) fn reason(view: &ImageView) -> Option<String> {
    view.reason.clone().filter(|_| view.status != ImageStatus::Cancelled)
}

/// A fact that may be missing; empty text is missing too.
fn optional(name: &'static str, value: Option<String>) -> AnyView {
    match value.filter(|value| !value.is_empty()) {
        Some(value) => view! { <dt>{name}</dt> <dd>{value}</dd> }.into_any(),
        None => ().into_any(),
    }
}

fn source(view: &ImageView) -> AnyView {
    let Some(source) = &view.draft.source else { return ().into_any() };
    let address = format!("/pictures/{}", source.sha256);
    view! {
        <dt>"Started from"</dt>
        <dd>
            <a href=address.clone() rel="external"><img src=address.clone() alt="The picture it started from" width="64" height="64" loading="lazy" /></a>
            " changed by " {source.denoise.to_string()}
        </dd>
    }
    .into_any()
}
