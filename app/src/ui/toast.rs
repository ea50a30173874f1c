//! Short messages about what just happened, for acts that have no place of their own on the page.

use std::time::Duration;

use leptos::prelude::*;

use crate::Refusal;

#[derive(Clone, Copy)]
struct Messages(RwSignal<Vec<(u32, bool, String)>>);

/// How long a message stays.
const STAY: Duration = Duration::from_secs(6);

/// Makes the list of messages; once, in the app.
pub(crate) fn provide_toasts() {
    provide_context(Messages(RwSignal::default()));
}

/// Says that something was done.
pub(crate) fn say(text: impl Into<String>) {
    push(true, text.into());
}

/// Says what failed, and what to do.
pub(crate) fn say_failure(refusal: &Refusal) {
    push(false, refusal.to_string());
}

fn push(good: bool, text: String) {
    let Some(Messages(messages)) = use_context::<Messages>() else { return };
    let id = messages.with_untracked(|all| all.last().map_or(0, |(id, ..)| id + 1));
    messages.update(|all| all.push((id, good, text)));
    set_timeout(move || messages.update(|all| all.retain(|(other, ..)| *other != id)), STAY);
}

/// Where the messages appear.
#[component]
pub(crate) fn Toasts() -> impl IntoView {
    let Messages(messages) = expect_context();
    view! {
        <div class="toasts" role="status" aria-live="polite">
            <For each=move || messages.get() key=|(id, ..)| *id let((_, good, text))>
                <p class=if good { "toast" } else { "toast bad" }>{text}</p>
            </For>
        </div>
    }
}
