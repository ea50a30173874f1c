//! The first step: the agent's name, and a token for it.

use leptos::prelude::*;
use server::{
    auth::{NewToken, TokenDraft, TokenView},
    caller::{Right, Role},
};

use super::Desk;
use crate::{
    frame::use_me,
    services::{Act, choice, field},
    settings::{calls, spans},
    ui::{CopyButton, Words, actor_face, icon},
};

/// The card: the form, or the token just made.
#[component]
pub(super) fn TokenStep(
    /// What the steps share.
    desk: Desk,
) -> impl IntoView {
    let me = use_me();
    // Only for the name that is proposed: asked again when a token was made here, and not more often.
    let known = Resource::new(move || desk.count.get(), |_| calls::list_tokens());
    let form = move || {
        known.get().map(|known| {
            let name = proposal(&known.unwrap_or_default());
            if me.may(Right::Operate) {
                view! { <Form desk=desk name=name /> }.into_any()
            } else {
                view! { <p class="quiet">"Operators make tokens. Ask one to make yours, and put it where YOUR_TOKEN stands."</p> }.into_any()
            }
        })
    };
    view! {
        <section class="card step" aria-labelledby="step-token">
            <header><i aria-hidden="true">"1"</i> <h2 id="step-token">"Make a token"</h2></header>
            {move || desk.made.get().map(|token| made(token, desk))}
            <div hidden=move || desk.made.with(Option::is_some)>
                <Transition fallback=|| view! { <div class="skeleton form" aria-hidden="true"></div> }>{form}</Transition>
            </div>
        </section>
    }
}

#[component]
fn Form(desk: Desk, name: String) -> impl IntoView {
    let act = Act::new();
    let (name, expires) = (RwSignal::new(name), RwSignal::new("90".to_owned()));
    let send = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let slug = name.get_untracked().trim().to_owned();
        if let Some(why) = problem(&slug) {
            return act.fail(why.to_owned());
        }
        let draft = TokenDraft {
            name: format!("agent {slug}"),
            role: Role::Agent,
            agent: Some(slug),
            expires_in_days: expires.get_untracked().parse().ok(),
        };
        act.run(calls::create_token(draft), move |token| desk.give(token));
    };
    // What is being typed is told wrong at once; that nothing is typed yet is not.
    let wrong = Signal::derive(move || {
        let failure = act.failure.get();
        name.with(|name| if name.is_empty() { None } else { problem(name.trim()).map(str::to_owned) }).or(failure)
    });
    view! {
        <form class="form" autocomplete="off" on:submit=send>
            {field("connect-name", "Agent", "What you call it; its pictures carry this name", "text", "off", name)}
            {choice("connect-expires", "Token expires", spans(), expires)}
            <Words failure=wrong />
            <div class="actions">
                <button class="primary" type="submit" disabled=move || act.busy()>"Create token"</button>
                <span class="quiet">"It can look and draw, and nothing else."</span>
            </div>
        </form>
    }
}

/// The secret, this once.
fn made(token: NewToken, desk: Desk) -> AnyView {
    let NewToken { secret, token } = token;
    let slug = token.agent.unwrap_or_default();
    // The button that had the focus is gone; what came of it is read next.
    let node = NodeRef::<leptos::html::Div>::new();
    Effect::new(move || {
        if let Some(node) = node.get() {
            let _ = node.focus();
        }
    });
    view! {
        <div class="made" node_ref=node tabindex="-1">
            <p class="who">{actor_face(&format!("agent:{slug}"))} <b>{format!("Token of agent {slug}")}</b> <span class="badge ok">"made"</span></p>
            <div class="command"><code class="mono">{secret.clone()}</code> <CopyButton text=secret what="the token" /></div>
            <p class="help">"Shown this once: the hub keeps only a hash. What you paste already holds it."</p>
            <div class="actions">
                <button type="button" on:click=move |_| desk.again()>{icon("plus")} "Another agent"</button>
                <a class="button" href="/settings#tokens">"All tokens"</a>
            </div>
        </div>
    }
    .into_any()
}

/// Why a text cannot be an agent's name; the hub's own rule, told before it is asked.
fn problem(slug: &str) -> Option<&'static str> {
    if slug.is_empty() {
        return Some("Give the agent a name, such as a or reviewer");
    }
    let fits = slug.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    match (fits, slug.len()) {
        (false, _) => Some("A name is made of a-z, 0-9 and -"),
        (true, 33..) => Some("A name has at most 32 characters"),
        _ => None,
    }
}

/// The first letter that no agent has yet; with all taken, the first number.
fn proposal(known: &[TokenView]) -> String {
    let taken = |name: &str| known.iter().any(|token| token.agent.as_deref() == Some(name));
    let letters = ('a'..='z').map(String::from);
    let numbers = (1..).map(|n: u32| format!("agent-{n}"));
    letters.chain(numbers).find(|name| !taken(name)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use server::{clock::Timestamp, id::TokenId};

    use super::*;

    fn token(agent: &str) -> TokenView {
        let now = Timestamp::from_millis(0);
        TokenView {
            id: TokenId::new(now),
            name: agent.to_owned(),
            role: Role::Agent,
            agent: Some(agent.to_owned()),
            prefix: String::new(),
            created_at: now,
            expires_at: None,
            last_used_at: None,
        }
    }

    #[test]
    fn the_proposed_name_is_the_first_that_is_free() {
        assert_eq!(proposal(&[]), "a");
        assert_eq!(proposal(&[token("a"), token("c")]), "b");
        let all: Vec<_> = ('a'..='z').map(|c| token(&c.to_string())).collect();
        assert_eq!(proposal(&all), "agent-1");
    }

    #[test]
    fn a_name_is_refused_here_exactly_where_the_hub_refuses_it() {
        for good in ["a", "reviewer-2", &"x".repeat(32)] {
            assert_eq!(problem(good), None, "{good}");
        }
        for bad in ["", "A", "a b", "ü", &"x".repeat(33)] {
            assert!(problem(bad).is_some(), "{bad}");
        }
    }
}
