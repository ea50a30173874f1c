//! One line of the audit log, in words.

use leptos::prelude::*;
use server::events::{EventView, Topic};

use crate::ui::{Ago, actor_face, capital, exact};

/// An event as a sentence. In `full` with everything that was written of it, and the exact time.
pub(crate) fn line(event: EventView, full: bool) -> AnyView {
    let address = match event.topic {
        Topic::Images if !matches!(event.kind.as_str(), "deleted" | "saved") => {
            Some(format!("/images/{}", event.subject))
        }
        Topic::Images => Some("/images".into()),
        Topic::Services => Some("/services".into()),
        // One that was removed is no longer there.
        Topic::Terminals if event.kind == "removed" => Some("/terminals".into()),
        Topic::Terminals => Some(format!("/terminals/{}", event.subject)),
        Topic::Agents => Some("/agents".into()),
        Topic::Machines => Some("/machines".into()),
        Topic::Auth => None,
    };
    let class =
        if matches!(event.kind.as_str(), "failed" | "down" | "locked" | "reused") { "what bad" } else { "what" };
    // What the hub itself did nobody did: the sentence begins with what happened.
    let name = match event.actor.split_once(':') {
        Some(("loop" | "hub", _)) => None,
        Some(("guest", _)) => Some("a guest".to_owned()),
        Some((_, name)) => Some(name.to_owned()),
        None => Some(event.actor.clone()),
    };
    // Who signed in, or set the hub up, is who did it.
    let own = event.topic == Topic::Auth && name.as_ref() == Some(&event.detail);
    let what = match (event.topic, event.kind.as_str()) {
        (Topic::Auth, "added") if own => "set up this hub",
        (topic, kind) => words(topic, kind).unwrap_or(kind),
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
            let told = full || matches!(event.kind.as_str(), "resized" | "link-made");
            (event.subject, Some(event.detail).filter(|_| told))
        }
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

/// The verb for people; what was done it to follows. `None` for a kind that has no words yet.
fn words(topic: Topic, kind: &str) -> Option<&'static str> {
    Some(match (topic, kind) {
        (Topic::Images, "queued") => "asked for",
        (Topic::Images, "started") => "began to draw on",
        (Topic::Images, "cancelling") => "asked to stop",
        (Topic::Images, "done") => "finished",
        (Topic::Images, "requeued") => "put back into the queue:",
        (Topic::Images, "waits") => "waits:",
        (Topic::Images, "cancelled") => "cancelled",
        (Topic::Images, "failed") => "could not draw:",
        (Topic::Images, "deleted") => "deleted",
        (Topic::Images, "saved") => "saved the workflow",
        (Topic::Services, "healthy") => "found healthy:",
        (Topic::Services, "degraded") => "found degraded:",
        (Topic::Services, "down") => "found down:",
        (Topic::Services, "added") => "added the service",
        (Topic::Services, "changed") => "changed the service",
        (Topic::Services, "removed") => "removed the service",
        (Topic::Services, "activated") => "activated the service",
        (Topic::Services, "deactivated") => "deactivated the service",
        (Topic::Agents, "added") => "added the agent",
        (Topic::Agents, "changed") => "changed the agent",
        (Topic::Agents, "removed") => "deleted the agent",
        (Topic::Agents, "started") => "started",
        (Topic::Agents, "stopped") => "stopped",
        (Topic::Agents, "restarted") => "started again:",
        (Topic::Agents, "ended") => "ended:",
        (Topic::Agents, "asks") => "needs you:",
        (Topic::Agents, "settled") => "no longer waits:",
        (Topic::Agents, "online") => "came back:",
        (Topic::Agents, "offline") => "has gone quiet:",
        (Topic::Terminals, "added") => "added the terminal",
        (Topic::Terminals, "started") => "started the terminal",
        (Topic::Terminals, "stopped") => "stopped the terminal",
        (Topic::Terminals, "removed") => "removed the terminal",
        (Topic::Terminals, "ended") => "ended:",
        (Topic::Terminals, "joined") => "looks at",
        (Topic::Terminals, "left") => "no longer looks at",
        (Topic::Terminals, "took-keyboard") => "took the keyboard of",
        (Topic::Terminals, "typed") => "in",
        (Topic::Terminals, "resized") => "resized",
        (Topic::Terminals, "link-made") => "shared",
        (Topic::Terminals, "link-revoked") => "ended a link to",
        (Topic::Terminals, "recording-on") => "wants recorded:",
        (Topic::Terminals, "recording-off") => "no longer records",
        (Topic::Terminals, "recording-began") => "a recording began of",
        (Topic::Terminals, "recording-ended") => "a recording ended of",
        (Topic::Terminals, "recording-failed") => "a recording failed of",
        (Topic::Terminals, "recording-deleted") => "deleted a recording of",
        (Topic::Terminals, "recordings-pruned") => "removed old recordings of",
        (Topic::Machines, "added") => "invited the machine",
        (Topic::Machines, "joined") => "joined the hub:",
        (Topic::Machines, "connected") => "connected:",
        (Topic::Machines, "lost") => "is away:",
        (Topic::Machines, "removed") => "removed the machine",
        (Topic::Auth, "signed-in") => "signed in",
        (Topic::Auth, "signed-out") => "signed out",
        (Topic::Auth, "locked") => "locked after failed sign-ins:",
        (Topic::Auth, "connected") => "came in with",
        (Topic::Auth, "revoked") => "revoked",
        (Topic::Auth, "granted") => "let in",
        (Topic::Auth, "reused") => "revoked, because what opens it came twice:",
        (Topic::Auth, "added") => "added",
        (Topic::Auth, "removed") => "removed",
        (Topic::Auth, "changed") => "changed",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    /// The kinds that the sources in `folder` write, as far as they stand in words.
    fn kinds(folder: &Path, all: &mut Vec<String>) {
        for entry in fs::read_dir(folder).expect("a folder of the repository").flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() && name != "tests" {
                kinds(&path, all);
            } else if name.ends_with(".rs") && !name.contains("test") {
                let text = fs::read_to_string(&path).expect("a source");
                for before in
                    ["event(\"", "Topic::Auth, \"", "Topic::Images, \"", "Topic::Services, \"", "Topic::Terminals, \""]
                {
                    all.extend(text.split(before).skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
                }
            }
        }
    }

    #[test]
    fn every_kind_that_is_written_has_words() {
        let rooms = Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/src");
        for topic in Topic::ALL {
            let mut all = Vec::new();
            kinds(&rooms.join(topic.word()), &mut all);
            assert!(all.len() >= 3, "{topic:?}: the room writes more than {all:?}");
            all.retain(|kind| words(topic, kind).is_none());
            assert!(all.is_empty(), "{topic:?} writes {all:?}");
        }
    }
}
