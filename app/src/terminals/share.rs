//! Links that show one terminal to somebody without an account.

use leptos::prelude::*;
use server::{
    events::Topic,
    id::LinkId,
    terminals::{LinkView, NewLink},
};

use super::{
    calls, rules,
    seldom::{Seldom, seldom},
};
use crate::{
    live::live,
    services::Act,
    ui::{CopyButton, Dialog, Words, count},
};

/// How long a link may be good.
const HOURS: [(u32, &str); 4] = [(1, "1 hour"), (8, "8 hours"), (24, "1 day"), (168, "7 days")];

/// Makes links, and ends them.
#[component]
pub(super) fn ShareDialog(
    /// Which terminal.
    name: String,
    /// Whether it is open.
    open: RwSignal<bool>,
    /// Whether the terminal runs.
    runs: Memo<bool>,
) -> impl IntoView {
    let title = format!("Share {name}");
    let ended = move || {
        let words = "It does not run now. Who opens a link is told so, and sees it as soon as it runs.";
        (!runs.get()).then(|| view! { <p class="strip warn">{words}</p> })
    };
    view! { <Dialog open=open title=title>{ended} {seldom(Seldom::Share { name: name.clone() })}</Dialog> }
}

pub(super) fn body(name: String) -> AnyView {
    let live = live();
    let act = Act::new();
    let made = RwSignal::new(None::<NewLink>);
    let hours = RwSignal::new(8_u32);
    let of = name.clone();
    let links = Resource::new(move || live.version(Topic::Terminals), move |_| calls::list_links(of.clone()));
    let make = move |_| {
        act.run(calls::share_terminal(name.clone(), hours.get_untracked()), move |link| {
            made.set(Some(link));
            links.refetch();
        });
    };
    let revoke = move |id: LinkId| {
        act.run(calls::revoke_link(id), move |()| {
            made.update(|made| *made = made.take().filter(|made| made.link.id != id));
            links.refetch();
        });
    };
    let choice = |(n, word): (u32, &'static str)| {
        view! {
            <button type="button" role="radio" aria-checked=move || (hours.get() == n).to_string() on:click=move |_| hours.set(n)>{word}</button>
        }
    };
    let shown = move || {
        made.get().map(|made| {
            let address = whole(&made.path);
            view! {
                <div class="secret" role="status">
                    <p>"Shown only now. Who has it may watch, and nothing else."</p>
                    <div class="command"><code tabindex="0">{address.clone()}</code> <CopyButton text=address what="the link" /></div>
                </div>
            }
        })
    };
    let row = move |link: LinkView| {
        let id = link.id;
        view! {
            <tr>
                <td>{left(link.expires_at.millis() - live.now.get_untracked())}</td>
                <td>{count(link.watchers as i64, "watcher", "watchers")}</td>
                <td class="quiet">"by " {rules::person(&link.created_by)}</td>
                <td class="act"><button class="danger" type="button" disabled=move || act.busy() on:click=move |_| revoke(id)>"End it"</button></td>
            </tr>
        }
    };
    let list = move || {
        links.get().map(|all| match all {
            Err(refusal) => view! { <p class="failure" role="alert">{refusal.to_string()}</p> }.into_any(),
            Ok(all) if all.is_empty() => view! { <p class="quiet">"No link is good now."</p> }.into_any(),
            Ok(all) => view! {
                <div class="table"><table>
                    <thead><tr><th>"Ends"</th><th>"Watched"</th><th>"Made"</th><th><span class="hidden">"Act"</span></th></tr></thead>
                    <tbody>{all.into_iter().map(row).collect_view()}</tbody>
                </table></div>
            }
            .into_any(),
        })
    };
    view! {
        <div class="body">
            <p>"A link shows this one terminal, live and read-only, without an account. It shows everything that appears here, secrets too."</p>
            <div class="field">
                <span class="label" id="share-hours">"Good for"</span>
                <div class="segments" role="radiogroup" aria-labelledby="share-hours">{HOURS.map(choice).into_iter().collect_view()}</div>
            </div>
            {shown}
            <Words failure=act.failure />
            <div class="actions"><button class="primary" type="button" disabled=move || act.busy() on:click=make>"Make a link"</button></div>
            <Transition>{list}</Transition>
        </div>
    }
    .into_any()
}

/// The path with this hub's name before it. Only a browser knows it.
fn whole(path: &str) -> String {
    #[cfg(feature = "hydrate")]
    let origin = web_sys::window().and_then(|window| window.location().origin().ok()).unwrap_or_default();
    #[cfg(not(feature = "hydrate"))]
    let origin = "";
    format!("{origin}{path}")
}

/// `in 3 h`, `in 40 min`.
fn left(ms: i64) -> String {
    match ms / 60_000 {
        ..1 => "now".to_owned(),
        minutes @ 1..90 => format!("in {minutes} min"),
        minutes @ 90..2880 => format!("in {} h", (minutes + 30) / 60),
        minutes => format!("in {} days", (minutes + 720) / 1440),
    }
}

#[cfg(test)]
mod tests {
    use super::left;

    #[test]
    fn the_end_of_a_link_is_said_in_its_own_unit() {
        let hour = 3_600_000;
        assert_eq!(
            [left(-1), left(hour), left(8 * hour - 1), left(168 * hour)],
            ["now", "in 60 min", "in 8 h", "in 7 days"]
        );
    }
}
