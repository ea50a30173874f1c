//! Where the caller is signed in.

use leptos::prelude::*;
use server::auth::SessionView;

use super::{calls, table::table};
use crate::{
    Refusal,
    services::Act,
    ui::{Ago, StatusBadge, Words, say},
};

/// The section.
#[component]
pub(super) fn Sessions(
    /// The sessions, as loaded.
    list: Resource<Result<Vec<SessionView>, Refusal>>,
) -> impl IntoView {
    let act = Act::new();
    let others = move || {
        let all = list.get().and_then(Result::ok).unwrap_or_default();
        all.into_iter().filter(|session| !session.current).map(|session| session.id).collect::<Vec<_>>()
    };
    let end_others = move |_| {
        let ids = untrack(others);
        let work = async move {
            for id in &ids {
                calls::revoke_session(*id).await?;
            }
            Ok(ids.len())
        };
        act.run(work, move |n| {
            say(if n == 1 { "1 session ended".to_owned() } else { format!("{n} sessions ended") });
            list.refetch();
        });
    };
    let row = move |session: SessionView| {
        let id = session.id;
        let end = move |_| {
            act.run(calls::revoke_session(id), move |()| {
                say("Session ended");
                list.refetch();
            });
        };
        let last = if session.current {
            view! { <StatusBadge word="this one" class="ok" /> }.into_any()
        } else {
            view! { <button type="button" disabled=move || act.busy() on:click=end>"End"</button> }.into_any()
        };
        view! {
            <tr>
                <td title=session.user_agent.clone()>{browser(&session.user_agent)}</td>
                <td class="mono">{session.address}</td>
                <td><Ago at=session.created_at /></td>
                <td><Ago at=session.last_seen_at /></td>
                <td class="act">{last}</td>
            </tr>
        }
        .into_any()
    };
    view! {
        <section class="card" id="sessions">
            <h2>"Sessions"</h2>
            <p class="quiet">"Browsers that are signed in as you. One that is not used for 30 days ends by itself."</p>
            {table(move || list.get(), &["Browser", "Address", "Signed in", "Last seen"], "Nobody is signed in.", row)}
            <Words failure=act.failure />
            <Transition>
                {move || (!others().is_empty()).then(|| view! {
                    <div class="actions">
                        <button type="button" disabled=move || act.busy() on:click=end_others>"End all others"</button>
                    </div>
                })}
            </Transition>
        </section>
    }
}

/// `Chrome on Linux` from a browser's own long words; what is not known is cut short.
fn browser(agent: &str) -> String {
    // Order matters: nearly all call themselves Safari, and Edge and Opera also Chrome.
    let names =
        [("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari")];
    let systems = [
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ];
    let find = |all: &[(&str, &'static str)]| all.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name);
    match (find(&names), find(&systems)) {
        (Some(name), Some(system)) => format!("{name} on {system}"),
        (Some(name), None) => name.to_owned(),
        _ if agent.is_empty() => "unknown".to_owned(),
        _ => agent.chars().take(32).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::browser;

    #[test]
    fn browsers_are_told_by_name_and_system() {
        let cases = [
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36",
                "Chrome on Linux",
            ),
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1", "Safari on iPhone"),
            ("Mozilla/5.0 (Windows NT 10.0) Chrome/142.0 Safari/537.36 Edg/142.0", "Edge on Windows"),
            ("curl/8.14.1", "curl/8.14.1"),
            ("", "unknown"),
        ];
        for (agent, expected) in cases {
            assert_eq!(browser(agent), expected);
        }
    }
}
