//! The last questions before something that cannot be undone: a paste of several lines, an address to leave for, a
//! keyboard taken from somebody.

use leptos::prelude::*;

use super::{desk::Desk, rules::Pasted};
use crate::ui::Dialog;

/// Lines of a paste that are shown.
const SHOWN: usize = 8;

/// A dialog that is open while `about` holds something.
fn dialog(
    about: RwSignal<Option<String>>,
    title: Signal<String>,
    body: impl Fn(String) -> AnyView + Copy + Send + Sync + 'static,
) -> AnyView {
    let open = RwSignal::new(false);
    // Each follows the other, and says nothing when nothing changed: else they would talk for ever.
    Effect::new(move || {
        let asked = about.with(Option::is_some);
        if open.get_untracked() != asked {
            open.set(asked);
        }
    });
    Effect::new(move || {
        if !open.get() && about.with_untracked(Option::is_some) {
            about.set(None);
        }
    });
    view! {
        <Dialog open=open title=title>
            <div class="body">{move || about.get().map(body)}</div>
        </Dialog>
    }
    .into_any()
}

/// Before several lines are pasted: a program may run each of them.
pub(super) fn pasting(desk: Desk) -> AnyView {
    let lines = move || desk.pasting.with(|text| text.as_deref().map_or(0, lines));
    let title = Signal::derive(move || format!("Paste {} {}?", lines(), if lines() == 1 { "line" } else { "lines" }));
    dialog(desk.pasting, title, move |text| {
        let shown = text.lines().take(SHOWN).collect::<Vec<_>>().join("\n");
        let more = lines().saturating_sub(SHOWN);
        let yes = move |_| {
            if let Some(text) = desk.pasting.get_untracked() {
                desk.put(text);
            }
            desk.pasting.set(None);
            desk.focus();
        };
        view! {
            <p>"The program may run each line as it comes."</p>
            <pre tabindex="0">{shown}</pre>
            {(more > 0).then(|| view! { <p class="quiet">{format!("and {more} more")}</p> })}
            <div class="actions">
                <button class="primary" type="button" autofocus on:click=yes>"Paste"</button>
                <button type="button" on:click=move |_| desk.pasting.set(None)>"Cancel"</button>
            </div>
        }
        .into_any()
    })
}

fn lines(text: &str) -> usize {
    match super::rules::pasted(text) {
        Pasted::Ask(lines) => lines,
        _ => 1,
    }
}

/// Before a link leads away: the words of a link are a program's, and may lie.
pub(super) fn leaving(desk: Desk) -> AnyView {
    let title = Signal::derive(|| "Leave for this address?".to_owned());
    dialog(desk.leaving, title, move |address| {
        let good = address.starts_with("https://") || address.starts_with("http://");
        let go = good.then(|| {
            view! {
                <a class="button primary" href=address.clone() target="_blank" rel="noopener noreferrer external"
                    on:click=move |_| desk.leaving.set(None)>"Open in a new tab"</a>
            }
        });
        view! {
            <p>"A program in the terminal wrote this link. Open it only if you know where it leads."</p>
            <pre class="address" tabindex="0">{address}</pre>
            <div class="actions">
                {go}
                <button type="button" on:click=move |_| desk.leaving.set(None)>"Stay"</button>
            </div>
        }
        .into_any()
    })
}
