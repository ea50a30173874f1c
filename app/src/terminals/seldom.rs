//! What is seldom opened of the terminals: in a file of its own, which the browser fetches when one of them is first wanted.
//! Whoever only looks at terminals never loads it. Where it cannot be fetched, that is said in its place.

use leptos::{prelude::*, reactive::computed::ScopedFuture, wasm_split::SplitLoaderError};

use super::{history::History, player::Player, recordings, share, start};
use crate::ui;

/// One of them, with what it needs.
pub(crate) enum Seldom {
    /// The page of a recording.
    Player,
    /// What the terminal `name` has said; false in `open` closes it.
    History { name: String, open: RwSignal<bool> },
    /// The dialog that shares it.
    Share { name: String },
    /// The dialog with its recordings; who `may` deletes them.
    Recordings { name: String, may: Memo<bool> },
    /// The dialog that starts a terminal on a machine.
    Start { open: RwSignal<bool>, machine: RwSignal<String>, lacks: RwSignal<Option<String>> },
}

/// The file could not be fetched.
pub(crate) struct Unloaded;

impl From<SplitLoaderError> for Unloaded {
    fn from(_why: SplitLoaderError) -> Self {
        Self
    }
}

#[leptos::wasm_split::wasm_split(terminals_seldom, wasm_split_path = leptos::wasm_split, preload(load), fallible)]
fn bring(what: Seldom) -> Result<AnyView, Unloaded> {
    Ok(match what {
        Seldom::Player => view! { <Player /> }.into_any(),
        Seldom::History { name, open } => view! { <History name=name open=open /> }.into_any(),
        Seldom::Share { name } => share::body(name),
        Seldom::Recordings { name, may } => recordings::body(name, may),
        Seldom::Start { open, machine, lacks } => start::form(open, machine, lacks),
    })
}

/// The page of a recording.
pub(crate) async fn player() -> AnyView {
    bring(Seldom::Player).await.unwrap_or_else(|Unloaded| unloaded())
}

/// Fetches the file.
#[cfg(feature = "hydrate")]
pub(crate) async fn preload() {
    // Who then wants something of it tries again, and is told.
    let _ = load().await;
}

/// Shows `what` as soon as it is here. Only in the browser: nothing of it is open when a page begins.
pub(super) fn seldom(what: Seldom) -> AnyView {
    let (here, held) = (RwSignal::new(false), StoredValue::new_local(None::<AnyView>));
    let fetch = ScopedFuture::new(async move {
        let view = bring(what).await.unwrap_or_else(|Unloaded| unloaded());
        // It may have been closed meanwhile.
        if held.try_set_value(Some(view)).is_none() {
            here.set(true);
            request_animation_frame(ui::begin_dialog);
        }
    });
    leptos::task::spawn_local(fetch);
    // Taken out: it comes once, and is shown once.
    let view = move || {
        here.track();
        held.try_update_value(Option::take).flatten()
    };
    view! { {view} }.into_any()
}

fn unloaded() -> AnyView {
    view! { <p class="failure" role="alert">"This part of the page could not be fetched; is the hub there? Close it and try again."</p> }
        .into_any()
}
