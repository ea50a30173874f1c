//! Lists of this page, as tables that load, fail, or are empty.

use leptos::prelude::*;

use crate::Refusal;

/// The rows of `list` under `head`. It scrolls inside itself where it does not fit.
pub(super) fn table<T: 'static>(
    list: impl Fn() -> Option<Result<Vec<T>, Refusal>> + Send + Sync + 'static,
    head: &'static [&'static str],
    empty: &'static str,
    row: impl Fn(T) -> AnyView + Send + Sync + 'static,
) -> AnyView {
    let shown = move || match list()? {
        Err(refusal) => Some(view! { <p class="failure" role="alert">{refusal.to_string()}</p> }.into_any()),
        Ok(all) if all.is_empty() => Some(view! { <p class="quiet">{empty}</p> }.into_any()),
        Ok(all) => Some(framed(head, all.into_iter().map(&row).collect())),
    };
    view! { <Transition fallback=|| view! { <div class="skeleton" aria-hidden="true"></div> }>{shown}</Transition> }
        .into_any()
}

fn framed(head: &'static [&'static str], rows: Vec<AnyView>) -> AnyView {
    let head = head.iter().map(|name| view! { <th scope="col">{*name}</th> }).collect_view();
    view! {
        <div class="table" tabindex="0">
            <table>
                <thead><tr>{head} <th scope="col"><span class="hidden">"What can be done"</span></th></tr></thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
    .into_any()
}
