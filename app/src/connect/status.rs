//! The last step: has it connected, and as what.

use leptos::prelude::*;
use server::{clock::SECOND, events::EventView};

use super::{Desk, Met, snippets::test_call};
use crate::{
    live::live,
    ui::{Ago, CopyButton},
};

/// After this time without a call the page says how to look for the fault.
const PATIENCE: i64 = 40 * SECOND;
/// What to try first.
const ASK: &str = "Draw a picture of a harbour at dusk with the hub, and show it to me.";

/// The card.
#[component]
pub(super) fn StatusStep(
    /// What the steps share.
    desk: Desk,
    /// The client that came in last with the token.
    met: Met,
) -> impl IntoView {
    let live = live();
    let event = move || met.get().and_then(Result::ok).flatten();
    let line = move || {
        match (desk.token.get(), met.get()) {
        (_, Some(Err(refusal))) => view! { <p class="failure" role="alert">{refusal.to_string()}</p> }.into_any(),
        (None, _) => {
            view! { <p class="state idle"><span>"Make a token first. You will see here when an agent connects with it."</span></p> }
                .into_any()
        }
        (Some(_), Some(Ok(Some(event)))) => connected(event),
        (Some(_), _) => view! { <p class="state wait"><span>"Waiting for the first call…"</span></p> }.into_any(),
    }
    };
    let first = move || {
        event().map(|_| {
            view! {
                <div class="try">
                    <p>"Now ask it:"</p>
                    <div class="command"><code>{ASK}</code> <CopyButton text=ASK.to_owned() what="the request" /></div>
                    <p class="help">"It appears under " <a href="/images">"Images"</a> " while it is drawn."</p>
                </div>
            }
            .into_any()
        })
    };
    let late = Memo::new(move |_| {
        desk.token.get().is_some() && event().is_none() && live.now.get() - desk.since.get() > PATIENCE
    });
    let call = Signal::derive(move || desk.with_secret(test_call));
    view! {
        <section class="card step status" aria-labelledby="step-status">
            <header><i aria-hidden="true">"3"</i> <h2 id="step-status">"See it connect"</h2></header>
            <Transition fallback=|| view! { <div class="skeleton" aria-hidden="true"></div> }>
                <div role="status">{line}</div>
                {first}
                <div class="try" hidden=move || !late.get()>
                    <p>"Nothing yet. Start the client anew, for it reads its settings at the start. Then call from the agent's machine:"</p>
                    <div class="command"><code class="mono">{call}</code> <CopyButton text=call what="the test call" /></div>
                    <p class="help">
                        "If curl connects, look at the client's settings; in Claude Code, " <code>"/mcp"</code>
                        " says what failed. If curl does not, that machine cannot reach this address."
                    </p>
                </div>
            </Transition>
        </section>
    }
}

fn connected(event: EventView) -> AnyView {
    let Hello { client, revision, wire } = Hello::read(&event.detail);
    view! {
        <p class="state ok">
            <span><b>{client}</b> " connected"</span>
            <small>"protocol " <span>{revision}</span> {wire.map(|wire| format!(" · over {wire}"))} " · " <Ago at=event.at /></small>
        </p>
    }
    .into_any()
}

/// What a client said when it came in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hello {
    /// Its name and version.
    pub(super) client: String,
    /// The protocol revision that it speaks.
    revision: String,
    /// How it came; `None` for a way that has no word here.
    wire: Option<&'static str>,
}

impl Hello {
    /// Reads the detail of an event `connected`: `claude-code 2.1.330 · 2026-07-28 · http`. From the right: a client may
    /// call itself what it likes.
    pub(super) fn read(detail: &str) -> Self {
        let mut parts = detail.rsplitn(3, " · ");
        let (wire, revision, client) = (parts.next(), parts.next(), parts.next());
        let wire = match wire {
            Some("http") => Some("HTTP"),
            Some("websocket") => Some("WebSocket"),
            _ => None,
        };
        Self { client: client.unwrap_or(detail).to_owned(), revision: revision.unwrap_or("unknown").to_owned(), wire }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_read_from_the_log_whatever_it_calls_itself() {
        let cases = [
            ("claude-code 2.1.330 · 2026-07-28 · http", "claude-code 2.1.330", "2026-07-28", Some("HTTP")),
            ("a · b 1 · 2025-11-25 · websocket", "a · b 1", "2025-11-25", Some("WebSocket")),
            ("x 1 · 2025-11-25 · pigeon", "x 1", "2025-11-25", None),
            ("odd", "odd", "unknown", None),
        ];
        for (detail, client, revision, wire) in cases {
            let expected = Hello { client: client.to_owned(), revision: revision.to_owned(), wire };
            assert_eq!(Hello::read(detail), expected);
        }
    }
}
