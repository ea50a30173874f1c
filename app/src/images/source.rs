//! The picture to start from: dropped or chosen, uploaded, shown small, with how much to change it.

use leptos::prelude::*;

use super::fields::Fields;
use crate::ui::{Words, icon};

/// The drop zone, or the picture that was taken.
#[component]
pub(super) fn SourcePicture(
    /// Where its hash and its change are kept.
    fields: Fields,
) -> impl IntoView {
    let failure = RwSignal::new(None::<String>);
    let sending = RwSignal::new(false);
    let over = RwSignal::new(false);
    let taken = move |sha256: String| {
        view! {
            <div class="source">
                <img src=format!("/pictures/{sha256}") alt="The picture to start from" width="64" height="64" />
                <label>
                    <span>"Change " <output>{fields.denoise}</output></span>
                    <input type="range" min="0.05" max="1" step="0.05"
                        value=fields.denoise.get_untracked() bind:value=fields.denoise />
                </label>
                <button type="button" class="quiet" title="Start from nothing" aria-label="Remove the picture"
                    on:click=move |_| fields.source.set(None)>{icon("close")}</button>
            </div>
        }
        .into_any()
    };
    let zone = move || {
        view! {
            <label
                class="drop" class:over=over
                on:dragover=move |event| { event.prevent_default(); over.set(true); }
                on:dragleave=move |_| over.set(false)
                on:drop=move |event| {
                    event.prevent_default();
                    over.set(false);
                    take(event.data_transfer().and_then(|data| data.files()), fields, sending, failure);
                }
            >
                <input type="file" class="hidden" accept="image/png,image/jpeg,image/webp"
                    on:change:target=move |event| take(event.target().files(), fields, sending, failure) />
                {move || if sending.get() { "Uploading" } else { "Drop a picture to start from it" }}
            </label>
        }
        .into_any()
    };
    view! {
        {move || fields.source.get().map_or_else(zone, taken)}
        <Words failure=failure />
    }
}

/// Uploads the first of `files` and keeps its hash.
fn take(files: Option<web_sys::FileList>, fields: Fields, sending: RwSignal<bool>, failure: RwSignal<Option<String>>) {
    let Some(file) = files.and_then(|files| files.get(0)) else { return };
    sending.set(true);
    failure.set(None);
    leptos::task::spawn_local(async move {
        let answer = upload(file).await;
        // The page may be gone by now; the fields never are.
        let _ = sending.try_set(false);
        match answer {
            Ok(sha256) => fields.source.set(Some(sha256)),
            Err(why) => {
                let _ = failure.try_set(Some(why));
            }
        }
    });
}

/// Sends the file as it is; the answer is its SHA-256.
#[cfg(feature = "hydrate")]
async fn upload(file: web_sys::File) -> Result<String, String> {
    use wasm_bindgen::JsCast as _;
    use wasm_bindgen_futures::JsFuture;

    #[derive(serde::Deserialize)]
    struct Taken {
        sha256: String,
    }

    let unreachable = |_| "the picture did not reach the hub; are you online?".to_owned();
    let window = web_sys::window().ok_or("there is no window")?;
    let init = web_sys::RequestInit::new();
    init.set_method("POST");
    init.set_body(&file);
    let answer = JsFuture::from(window.fetch_with_str_and_init("/uploads", &init)).await.map_err(unreachable)?;
    let answer: web_sys::Response = answer.dyn_into().map_err(unreachable)?;
    let text = JsFuture::from(answer.text().map_err(unreachable)?).await.map_err(unreachable)?;
    let text = text.as_string().unwrap_or_default();
    if answer.ok() {
        serde_json::from_str::<Taken>(&text)
            .map(|taken| taken.sha256)
            .map_err(|error| format!("the answer is not understood ({error})"))
    } else {
        let failure = serde_json::from_str::<server::error::Failure>(&text);
        Err(failure
            .map_or_else(|_| format!("the hub refused the picture ({})", answer.status()), |failure| failure.message))
    }
}

#[cfg(not(feature = "hydrate"))]
async fn upload(_: web_sys::File) -> Result<String, String> {
    Err("only a browser uploads".to_owned())
}
