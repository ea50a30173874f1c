//! What to draw: the form at the left of the page.

use leptos::{html, prelude::*};
use leptos_router::hooks::use_query_map;
use server::{events::Topic, id::ServiceId, services::Catalog};

use super::{
    calls::{draw_image, service_choices},
    fields::{Fields, LoraRow, SHAPES},
    source::SourcePicture,
    workflow::{self, Workflows, sketch_note},
};
use crate::{
    Refusal, live,
    ui::{Words, icon},
};

/// What each active service offers, as far as it answered.
type Choices = RwSignal<Vec<(ServiceId, String, Option<Catalog>)>>;

/// The form. Its fields stay as they are after drawing.
#[component]
pub(super) fn Form(
    /// The active services by name.
    services: Resource<Result<Vec<(ServiceId, String)>, Refusal>>,
) -> impl IntoView {
    let fields = Fields::of_this_tab();
    let choices = choices();
    let workflows = workflow::saved();
    let prompt = NodeRef::<html::Textarea>::new();
    let sending = RwSignal::new(false);
    let failure = RwSignal::new(None::<String>);
    let draw = move || {
        if sending.get_untracked() {
            return;
        }
        failure.set(None);
        let draft = match untrack(|| fields.draft(workflow::chosen(workflows, fields).as_ref())) {
            Ok(draft) => draft,
            Err(why) => return failure.set(Some(why)),
        };
        sending.set(true);
        leptos::task::spawn_local(async move {
            let answer = draw_image(draft).await;
            // The page may be gone by now.
            let _ = sending.try_set(false);
            let _ = failure.try_set(answer.err().map(|refusal| refusal.to_string()));
        });
    };
    let on_key = move |event: web_sys::KeyboardEvent| {
        if event.key() == "Enter" && (event.ctrl_key() || event.meta_key()) {
            event.prevent_default();
            draw();
        }
    };
    focus_when_new(prompt);
    // Only on phones (style/pages.css), where the pictures should be in sight too.
    let folded = RwSignal::new(fields.only_prompt());
    view! {
        <form class="draw card" aria-label="Draw" novalidate on:keydown=on_key on:submit=move |event| { event.prevent_default(); draw(); }>
            <label class="field">
                <span>"Prompt"</span>
                <textarea node_ref=prompt rows="5" placeholder="A harbour at dusk, flat shapes, film grain" bind:value=fields.prompt></textarea>
            </label>
            <button type="button" class="quiet fold" aria-controls="draw-rest"
                aria-expanded=move || (!folded.get()).to_string() on:click=move |_| folded.update(|folded| *folded = !*folded)>
                "Shape, model, steps and more"
            </button>
            <div class="rest" id="draw-rest" class:folded=folded>
                <label class="field">
                    <span>"Avoid"</span>
                    <input type="text" placeholder="text, watermark, clutter" autocomplete="off" bind:value=fields.avoid />
                </label>
                {shapes(fields)}
                <div class="row">{model(fields, choices)} {service(fields, services)}</div>
                <div class="row">
                    {number("Steps", fields.steps, "1", "150", "1")} {number("Guidance", fields.guidance, "0", "30", "0.5")}
                </div>
                <div class="row">
                    {seed(fields.seed)} {number("Count", fields.count, "1", "16", "1")}
                </div>
                <SourcePicture fields=fields />
                <details open=fields.more_set()>
                    <summary>"LoRA, sampler, workflow"</summary>
                    {loras(fields, choices)}
                    <div class="row">
                        {select("Sampler", fields.sampler, "euler", move || offered(choices, fields, |catalog| &catalog.samplers))}
                        {select("Scheduler", fields.scheduler, "normal", move || offered(choices, fields, |catalog| &catalog.schedulers))}
                    </div>
                    <Workflows all=workflows fields=fields />
                </details>
            </div>
            <Transition>
                {move || services.get().and_then(Result::ok).filter(Vec::is_empty).map(|_| sketch_note())}
            </Transition>
            <footer>
                <button type="submit" class="primary" disabled=sending>
                    "Draw" <kbd aria-hidden="true">"Ctrl ↵"</kbd>
                </button>
                <Words failure=failure />
            </footer>
        </form>
    }
}

/// Asks for the catalogs in the browser: a service that is slow to answer must not hold the page.
fn choices() -> Choices {
    let choices = Choices::default();
    let live = live::live();
    Effect::new(move || {
        live.version(Topic::Services);
        leptos::task::spawn_local(async move {
            if let Ok(found) = service_choices().await {
                let _ = choices.try_set(found);
            }
        });
    });
    choices
}

/// `/images?new` means: about to type.
fn focus_when_new(prompt: NodeRef<html::Textarea>) {
    let query = use_query_map();
    Effect::new(move || {
        if query.with(|query| query.get_str("new").is_some())
            && let Some(field) = prompt.get()
        {
            let _ = field.focus();
        }
    });
}

/// Everything of one kind that the chosen service offers, or all of them; sorted, once each.
fn offered(choices: Choices, fields: Fields, list: fn(&Catalog) -> &Vec<String>) -> Vec<String> {
    let service = fields.service.get();
    let mut names: Vec<String> = choices.with(|choices| {
        let asked = choices.iter().filter(|(id, ..)| service.is_empty() || id.to_string() == service);
        asked.filter_map(|(.., catalog)| catalog.as_ref()).flat_map(|catalog| list(catalog).iter().cloned()).collect()
    });
    names.sort_unstable();
    names.dedup();
    names
}

fn shapes(fields: Fields) -> AnyView {
    let segment = move |(word, width, height): (&'static str, &'static str, &'static str)| {
        let checked =
            move || !fields.own_size.get() && fields.width.with(|w| w == width) && fields.height.with(|h| h == height);
        let choose = move |_| {
            fields.own_size.set(false);
            fields.width.set(width.to_owned());
            fields.height.set(height.to_owned());
        };
        view! {
            <label title=format!("{width} × {height} pixels")>
                <input type="radio" class="hidden" name="shape" checked=untrack(checked) prop:checked=checked on:change=choose />
                <span>{word}</span>
            </label>
        }
        .into_any()
    };
    let own = move || {
        fields.own_size.get().then(|| view! {
            <div class="row">
                {number("Width, pixels", fields.width, "64", "4096", "8")} {number("Height, pixels", fields.height, "64", "4096", "8")}
            </div>
        }.into_any())
    };
    view! {
        <fieldset class="field">
            <legend>"Shape"</legend>
            <div class="segments">
                {SHAPES.map(segment).collect_view()}
                <label title="Any size">
                    <input type="radio" class="hidden" name="shape" prop:checked=fields.own_size on:change=move |_| fields.own_size.set(true) />
                    <span>"Own size"</span>
                </label>
            </div>
        </fieldset>
        {own}
    }
    .into_any()
}

fn number(
    label: &'static str,
    value: RwSignal<String>,
    min: &'static str,
    max: &'static str,
    step: &'static str,
) -> AnyView {
    view! {
        <label class="field">
            <span>{label}</span>
            <input type="number" inputmode="decimal" min=min max=max step=step value=value.get_untracked() bind:value=value />
        </label>
    }
    .into_any()
}

/// Not a number field: browsers round numbers above 2^53.
fn seed(value: RwSignal<String>) -> AnyView {
    view! {
        <label class="field seed">
            <span>"Seed"</span>
            <input type="text" class="mono" inputmode="numeric" maxlength="20" placeholder="random" autocomplete="off" bind:value=value />
            <button type="button" class="quiet" title="Random seed" aria-label="Random seed"
                hidden=move || value.with(String::is_empty) on:click=move |_| value.set(String::new())>{icon("again")}</button>
        </label>
    }
    .into_any()
}

/// A choice of names, with `first` for none of them. A name that is not offered now stays, so that nothing changes by itself.
fn select(
    label: &'static str,
    value: RwSignal<String>,
    first: &'static str,
    names: impl Fn() -> Vec<String> + Send + 'static,
) -> AnyView {
    let options = move || {
        let now = value.get_untracked();
        let mut names = names();
        if !now.is_empty() && !names.contains(&now) {
            names.push(now.clone());
        }
        let option = |name: String| {
            let chosen = name == now;
            view! { <option value=name.clone() selected=chosen>{name.clone()}</option> }.into_any()
        };
        names.into_iter().map(option).collect_view()
    };
    view! {
        <label class="field">
            <span>{label}</span>
            <select on:change:target=move |event| value.set(event.target().value())>
                <option value="">{first}</option>
                {options}
            </select>
        </label>
    }
    .into_any()
}

fn model(fields: Fields, choices: Choices) -> AnyView {
    select("Model", fields.model, "service's first", move || offered(choices, fields, |catalog| &catalog.checkpoints))
}

fn service(fields: Fields, services: Resource<Result<Vec<(ServiceId, String)>, Refusal>>) -> AnyView {
    let options = move || {
        let now = fields.service.get_untracked();
        let option = |(id, name): (ServiceId, String)| {
            let id = id.to_string();
            view! { <option value=id.clone() selected=id == now>{name}</option> }.into_any()
        };
        services.get().and_then(Result::ok).map(|services| services.into_iter().map(option).collect_view())
    };
    view! {
        <label class="field">
            <span>"Service"</span>
            <Transition>
                <select on:change:target=move |event| fields.service.set(event.target().value())>
                    <option value="">"any"</option>
                    {options}
                </select>
            </Transition>
        </label>
    }
    .into_any()
}

fn loras(fields: Fields, choices: Choices) -> AnyView {
    let row = move |(key, name, strength): LoraRow| {
        let (name, strength) = (RwSignal::from(name), RwSignal::from(strength));
        let remove = move |_| fields.loras.update(|rows| rows.retain(|(other, ..)| *other != key));
        view! {
            <div class="lora">
                <label class="field grow">
                    <span>"LoRA"</span>
                    <input type="text" list="lora-names" placeholder="file name" autocomplete="off" value=name.get_untracked() bind:value=name />
                </label>
                {number("Strength", strength, "-10", "10", "0.05")}
                <button type="button" class="quiet" title="Remove this LoRA" aria-label="Remove this LoRA" on:click=remove>{icon("close")}</button>
            </div>
        }
        .into_any()
    };
    let names = move || {
        let names = offered(choices, fields, |catalog| &catalog.loras);
        names.into_iter().map(|name| view! { <option value=name></option> }.into_any()).collect_view()
    };
    view! {
        <For each=move || fields.loras.get() key=|(key, ..)| *key children=row />
        <datalist id="lora-names">{names}</datalist>
        <button type="button" class="quiet add" disabled=move || fields.loras.with(|rows| rows.len() >= 8)
            on:click=move |_| fields.add_lora()>{icon("plus")} "Add a LoRA"</button>
    }
    .into_any()
}
