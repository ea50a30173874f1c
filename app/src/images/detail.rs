//! One image: its pictures large, everything that is known of it, what one can do with it.

use leptos::prelude::*;
use leptos_router::{
    NavigateOptions,
    hooks::{use_navigate, use_params_map},
};
use server::{
    caller::Right,
    error::{Failure, FailureKind},
    events::Topic,
    id::ImageId,
    images::{ImageStatus, ImageView},
};

use super::{
    calls::{act, delete_image, draw_again, get_image, retry_image},
    facts::facts,
    first_words, gallery,
    queue::{cancel_button, may_change, preview, steps},
};
use crate::{
    Refusal,
    frame::{Bar, Me, use_me},
    live::{self, Live},
    ui::{self, Dialog, icon},
};

/// The page of one image.
#[component]
pub(crate) fn Detail() -> impl IntoView {
    let live = live::live();
    let me = use_me();
    let params = use_params_map();
    let id = Memo::new(move |_| params.with(|params| params.get("id").and_then(|id| id.parse::<ImageId>().ok())));
    let image = Resource::new(
        move || (live.version(Topic::Images), id.get()),
        |(_, id)| async move {
            match id {
                Some(id) => get_image(id).await,
                None => Err(Refusal(Failure::not_found("this image"))),
            }
        },
    );
    let navigate = use_navigate();
    ui::on_keys(move |key| {
        let leave = key == "Escape";
        if leave {
            navigate("/images", NavigateOptions::default());
        }
        leave
    });
    view! {
        <Transition fallback=waiting>
            {
                // Every change of any image asks again; only a change of this one makes the page anew.
                let view = Memo::new(move |_| image.get());
                let me = Memo::new(move |_| me.get());
                move || match view.get() {
                    None => ().into_any(),
                    Some(Ok(view)) => page(view, me.get(), live),
                    Some(Err(refusal)) => failed(&refusal.0),
                }
            }
        </Transition>
    }
}

fn waiting() -> AnyView {
    view! { <Bar title="Image">""</Bar> <div class="detail" aria-busy="true"></div> }.into_any()
}

/// Unknown, or not to be had just now. The server function has set the status, except for what is no id at all.
fn failed(failure: &Failure) -> AnyView {
    if failure.kind != FailureKind::NotFound {
        return view! { <Bar title="Image">""</Bar> <div class="page missing"><p role="alert">{failure.message.clone()}</p></div> }.into_any();
    }
    #[cfg(feature = "ssr")]
    if let Some(response) = use_context::<leptos_axum::ResponseOptions>() {
        response.set_status(axum::http::StatusCode::NOT_FOUND);
    }
    view! {
        <Bar title="No such image">""</Bar>
        <div class="page missing">
            <p>"There is no such image. It may have been deleted, or the address is mistyped."</p>
            <p><a class="button primary" href="/images">"To all images"</a></p>
        </div>
    }
    .into_any()
}

fn page(view: ImageView, me: Option<Me>, live: Live) -> AnyView {
    let title = first_words(&view.draft.prompt);
    view! {
        <Bar title=title><a href="/images" title="Esc">"All images"</a></Bar>
        <article class="detail">
            <div class="pictures">{pictures(&view, live)}</div>
            <div class="side card">
                {facts(&view)}
                {actions(&view, me.as_ref())}
            </div>
        </article>
    }
    .into_any()
}

fn pictures(view: &ImageView, live: Live) -> AnyView {
    match view.status {
        ImageStatus::Running => {
            let renderer = view.renderer.as_deref().map(|name| format!(" · {name}")).unwrap_or_default();
            view! { {steps(live, view.id, view.progress.clone(), renderer)} {preview(live, view.id, view.progress.clone())} }.into_any()
        }
        ImageStatus::Queued => {
            let words = match view.place {
                Some(0) => "It is next.".to_owned(),
                Some(place) => format!("{} before it.", ui::count(place.into(), "image is", "images are")),
                None => String::new(),
            };
            view! { <p class="blank">"Waiting to be drawn. " {words}</p> }.into_any()
        }
        _ if view.pictures.is_empty() => {
            view! { <p class="blank">"No picture: " {view.status.word()} "."</p> }.into_any()
        }
        _ => {
            let alt: String = view.draft.prompt.chars().take(300).collect();
            let picture = |picture: &server::images::Picture| {
                let address = format!("/pictures/{}", picture.sha256);
                view! {
                    <a href=address.clone() rel="external" title="Open the original">
                        <img src=address.clone() width=picture.width height=picture.height decoding="async" alt=alt.clone() />
                    </a>
                }
                .into_any()
            };
            view.pictures.iter().map(picture).collect_view().into_any()
        }
    }
}

fn actions(view: &ImageView, me: Option<&Me>) -> AnyView {
    let id = view.id;
    let ended = view.status.ended();
    let draw = me.is_some_and(|me| me.role.may(Right::Draw));
    let change = may_change(view, me);
    let again = draw.then(|| {
        view! {
            {again_button(id, false, "Again", "Draws it once more with the same seed", "again")}
            {again_button(id, true, "Vary", "Draws it with a new seed", "vary")}
        }
    });
    let retry = (change && matches!(view.status, ImageStatus::Failed | ImageStatus::Cancelled)).then(|| {
        let retry = move |_| {
            act(retry_image(id), move |_| {
                gallery::forget(id);
                ui::say("Back in the queue");
            });
        };
        view! { <button type="button" class="primary" on:click=retry>"Retry"</button> }
    });
    let cancel = (change && !ended).then(|| cancel_button(id));
    let several = view.pictures.len() > 1;
    let downloads = view.pictures.iter().enumerate().map(|(n, picture)| {
        let word = if several { format!("Download {}", n + 1) } else { "Download".to_owned() };
        let size = format!("{} × {}, {}", picture.width, picture.height, ui::bytes(picture.bytes));
        let address = format!("/pictures/{}?download=1", picture.sha256);
        view! { <a class="button" href=address rel="external" download="" title=size>{icon("download")} {word}</a> }
            .into_any()
    });
    let workflow = (view.status == ImageStatus::Done && !view.is_sketch()).then(|| {
        let address = format!("/images/{id}/workflow.json");
        view! { <a class="button" href=address rel="external" download="" title="The graph, to open in ComfyUI">{icon("download")} "Workflow"</a> }
    });
    let delete = (change && ended).then(|| delete_button(id, view.pictures.len()));
    view! {
        <div class="actions">
            {retry} {cancel} {again} {downloads.collect_view()} {workflow} {delete}
        </div>
    }
    .into_any()
}

/// Asks for it again and goes to the new image's page.
fn again_button(id: ImageId, vary: bool, word: &'static str, hint: &'static str, sign: &'static str) -> AnyView {
    let navigate = use_navigate();
    let ask = move |_| {
        let navigate = navigate.clone();
        act(draw_again(id, vary), move |view| {
            navigate(&format!("/images/{}", view.id), NavigateOptions::default());
        });
    };
    view! { <button type="button" title=hint on:click=ask>{icon(sign)} {word}</button> }.into_any()
}

/// Deletes after one more question, whose button names the consequence.
fn delete_button(id: ImageId, pictures: usize) -> AnyView {
    let open = RwSignal::new(false);
    let navigate = use_navigate();
    let delete = move |_| {
        open.set(false);
        // The news may be faster than the answer and take this page away: nothing of it is touched afterwards.
        let navigate = navigate.clone();
        act(delete_image(id), move |()| {
            gallery::forget(id);
            ui::say("Deleted");
            navigate("/images", NavigateOptions::default());
        });
    };
    let word = match pictures {
        0 => "Delete this record",
        1 => "Delete picture and its file",
        _ => "Delete pictures and their files",
    };
    view! {
        <button type="button" class="danger" on:click=move |_| open.set(true)>{icon("trash")} "Delete"</button>
        <Dialog open=open title="Delete this image?".to_owned()>
            <div class="body">
                <p>"It cannot be brought back. The same prompt and seed may draw it again."</p>
                <footer class="actions">
                    <button type="button" on:click=move |_| open.set(false)>"Keep it"</button>
                    <button type="button" class="danger" on:click=delete.clone()>{word}</button>
                </footer>
            </div>
        </Dialog>
    }
    .into_any()
}
