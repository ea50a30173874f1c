//! One line of the audit log, in words.

use leptos::prelude::*;
use server::events::{EventView, Topic, verb};

use crate::ui::{Ago, actor_face, capital, exact};

/// An event as a sentence. In `full` with all that tells one from another, and the exact time.
pub(crate) fn line(event: EventView, full: bool) -> AnyView {
    let address = match event.topic {
        Topic::Images if !matches!(event.kind.as_str(), "deleted" | "saved") => {
            Some(format!("/images/{}", event.subject))
        }
        Topic::Images => Some("/images".into()),
        Topic::Services => Some("/services".into()),
        // One that was removed is no longer there; old recordings go of any.
        Topic::Terminals if event.kind == "removed" || event.subject.is_empty() => Some("/terminals".into()),
        Topic::Terminals => Some(format!("/terminals/{}", event.subject)),
        Topic::Agents => Some("/agents".into()),
        Topic::Machines => Some("/machines".into()),
        Topic::Auth => None,
    };
    let class = match event.kind.as_str() {
        "failed" | "recording-failed" | "down" | "locked" | "reused" => "what bad",
        _ => "what",
    };
    // What the hub itself did nobody did: the sentence begins with what happened.
    let name = match event.actor.split_once(':') {
        Some(("loop" | "hub", _)) => None,
        // The end of an id tells one link from another; its beginning is the time.
        Some(("guest", link)) if full => {
            Some(format!("a guest by link …{}", link.get(link.len().saturating_sub(6)..).unwrap_or(link)))
        }
        Some(("guest", _)) => Some("a guest".to_owned()),
        // A person and a token may have one name.
        Some((kind @ ("token" | "agent"), name)) if full => Some(format!("{kind} {name}")),
        Some((_, name)) => Some(name.to_owned()),
        None => Some(event.actor.clone()),
    };
    // Who signed in, or set the hub up, is who did it.
    let own = event.topic == Topic::Auth && name.as_ref() == Some(&event.detail);
    let what = match (event.topic, event.kind.as_str()) {
        (Topic::Auth, "added") if own => "set up this hub",
        (topic, kind) => verb(topic, kind).unwrap_or(kind),
    };
    let what = if name.is_some() { what.to_owned() } else { capital(what) };
    let (object, more) = match event.topic {
        Topic::Images if event.detail.is_empty() => ("a picture".to_owned(), None),
        _ if own => (String::new(), None),
        // Who typed is told by the detail: it is written when the keyboard comes back.
        Topic::Terminals if event.kind == "typed" => {
            (format!("{}: {}", event.subject, event.detail.trim_start_matches("user:")), None)
        }
        Topic::Terminals => {
            let told = full || matches!(event.kind.as_str(), "resized" | "link-made" | "recordings-pruned");
            (event.subject, Some(event.detail).filter(|_| told))
        }
        // Whom, or from where: `user:NAME`, `address:IP`.
        Topic::Auth if event.kind == "locked" => (event.subject.replacen(':', " ", 1), Some(event.detail)),
        _ => (event.detail, None),
    };
    let more = more.map(|more| view! { " " <span class="what">{more}</span> });
    let text =
        view! { {name.map(|name| view! { <b>{name}</b> " " })} <span class=class>{what}</span> " " {object} {more} };
    view! {
        <li>
            {actor_face(&event.actor)}
            {match address {
                Some(address) => view! { <a href=address>{text}</a> }.into_any(),
                None => view! { <span>{text}</span> }.into_any(),
            }}
            {full.then(|| view! { <span class="exact">{exact(event.at)}</span> })}
            <Ago at=event.at />
        </li>
    }
    .into_any()
}
