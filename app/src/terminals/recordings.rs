//! The recordings of one terminal.

use leptos::prelude::*;
use server::{events::Topic, terminals::RecordingView};

use super::{
    calls, rules,
    seldom::{Seldom, seldom},
};
use crate::{
    live::live,
    services::Act,
    ui::{Ago, Dialog, Words, bytes, icon},
};

/// The list; made anew at each opening.
#[component]
pub(super) fn Recordings(
    /// Which terminal.
    name: String,
    /// Whether the person may delete them.
    may: Memo<bool>,
    /// Whether it is open.
    open: RwSignal<bool>,
) -> impl IntoView {
    let title = format!("Recordings of {name}");
    view! { <Dialog open=open title=title>{seldom(Seldom::Recordings { name: name.clone(), may })}</Dialog> }
}

pub(super) fn body(name: String, may: Memo<bool>) -> AnyView {
    let of = StoredValue::new(name.clone());
    let live = live();
    let act = Act::new();
    let list = Resource::new(move || live.version(Topic::Terminals), move |_| calls::list_recordings(name.clone()));
    let row = move |one: RecordingView| {
        let id = one.id;
        let length = one.ended_at.map(|end| rules::clock(end.millis() - one.started_at.millis()));
        let ended = one.ended_at.is_some();
        let delete = move |_| act.run(calls::delete_recording(id), move |()| list.refetch());
        let delete = (ended && may.get()).then(|| {
            view! {
                <button class="quiet" type="button" aria-label="Delete this recording" title="Delete it and its file" disabled=move || act.busy() on:click=delete>
                    {icon("trash")}
                </button>
            }
        });
        view! {
            <tr>
                <td><a class="play" href=format!("/recordings/{id}?of={}", of.get_value())>{icon("play")} <Ago at=one.started_at /></a></td>
                <td>{length.unwrap_or_else(|| "runs".to_owned())}</td>
                <td class="num">{bytes(one.bytes)}</td>
                <td class="act">
                    <a class="button quiet" href=format!("/casts/{id}.cast?download") rel="external" download="" aria-label="Download" title="Download (asciicast)">{icon("download")}</a>
                    {delete}
                </td>
            </tr>
        }
    };
    let table = move || {
        list.get().map(|all| match all {
            Err(refusal) => view! { <p class="failure" role="alert">{refusal.to_string()}</p> }.into_any(),
            Ok(all) if all.is_empty() => {
                view! { <p class="quiet">"Nothing is recorded. \"Record its output\" in the menu begins; what is typed is never recorded."</p> }.into_any()
            }
            Ok(all) => view! {
                <div class="table"><table>
                    <thead><tr><th>"Began"</th><th>"Length"</th><th class="num">"Size"</th><th><span class="hidden">"Act"</span></th></tr></thead>
                    <tbody>{all.into_iter().map(row).collect_view()}</tbody>
                </table></div>
            }
            .into_any(),
        })
    };
    view! {
        <div class="body">
            <Words failure=act.failure />
            <Transition fallback=|| view! { <p class="quiet">"Looking…"</p> }>{table}</Transition>
        </div>
    }
    .into_any()
}
