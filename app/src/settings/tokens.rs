//! API tokens, for agents and scripts.

use leptos::{either::Either, prelude::*};
use server::{
    auth::{NewToken, TokenDraft, TokenView},
    caller::{Right, Role},
    clock::{DAY, Timestamp},
};

use super::{calls, table::table};
use crate::{
    Refusal,
    frame::use_me,
    live::live,
    services::{Act, Asked, Question, choice, field},
    ui::{Ago, CopyButton, Words, actor_face, say},
};

/// The tokens, as loaded.
type List = Resource<Result<Vec<TokenView>, Refusal>>;

/// The section.
#[component]
pub(super) fn Tokens(
    /// The tokens, as loaded.
    list: List,
) -> impl IntoView {
    let me = use_me();
    let revocation = Question::new();
    let row = move |token: TokenView| {
        let ask = {
            let token = token.clone();
            move |_| revocation.ask(token.clone())
        };
        let used = match token.last_used_at {
            Some(at) => Either::Left(view! { <Ago at=at /> }),
            None => Either::Right("never"),
        };
        view! {
            <tr>
                <td>{token.name}</td>
                <td>{token.role.word()}</td>
                <td>{token.agent.map(|slug| view! { {actor_face(&format!("agent:{slug}"))} " " {slug} })}</td>
                <td class="mono">{token.prefix} "…"</td>
                <td><Ago at=token.created_at /></td>
                <td>{used}</td>
                <td>{expiry(token.expires_at)}</td>
                <td class="act"><button type="button" on:click=ask>"Revoke"</button></td>
            </tr>
        }
        .into_any()
    };
    let asked = Asked {
        verb: "Revoke",
        text: "What signs in with it is locked out at once. This cannot be undone.",
        yes: "Revoke, lock out what uses it",
    };
    let done = move |token: TokenView| {
        say(format!("Token {} is revoked", token.name));
        list.refetch();
    };
    let head = &["Name", "Role", "Agent", "Begins with", "Made", "Last used", "Expires"];
    view! {
        <section class="card" id="tokens">
            <header><h2>"Tokens"</h2> <a class="button" href="/connect">"Connect an agent"</a></header>
            <p class="quiet">"Agents and scripts sign in with a token. It can do what its role can, and no more."</p>
            {table(move || list.get(), head, "No token yet.", row)}
            <Transition>
                {move || me.may(Right::Operate).then(|| view! { <NewTokenForm list=list /> })}
            </Transition>
            {revocation.dialog(asked, |token| &token.name, |token| calls::revoke_token(token.id), done)}
        </section>
    }
}

/// `in 29 d`, `never`, or that it has stopped working.
fn expiry(at: Option<Timestamp>) -> impl IntoView + use<> {
    let live = live();
    move || match at.map(|at| at.millis() - live.now.get()) {
        None => "never".to_owned(),
        Some(..=0) => "expired".to_owned(),
        Some(left) if left < DAY => "within a day".to_owned(),
        Some(left) => format!("in {} d", (left + DAY / 2) / DAY),
    }
}

/// How long a token may live, as a choice: days, or `never`.
pub(crate) fn spans() -> Vec<(String, String)> {
    let all = [("30", "In 30 days"), ("90", "In 90 days"), ("365", "In a year"), ("never", "Never")];
    all.map(|(days, text)| (days.to_owned(), text.to_owned())).into()
}

#[component]
fn NewTokenForm(list: List) -> impl IntoView {
    let me = use_me();
    let act = Act::new();
    let text = |text: &str| RwSignal::new(text.to_owned());
    let (name, role, agent, expires) = (text(""), text("agent"), text(""), text("90"));
    let made = RwSignal::new(None::<NewToken>);
    let send = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let agent_slug = agent.get_untracked().trim().to_owned();
        let draft = TokenDraft {
            name: name.get_untracked(),
            role: role.get_untracked().parse().unwrap_or(Role::Viewer),
            agent: Some(agent_slug).filter(|slug| !slug.is_empty()),
            expires_in_days: expires.get_untracked().parse().ok(),
        };
        act.run(calls::create_token(draft), move |token| {
            name.set(String::new());
            agent.set(String::new());
            made.set(Some(token));
            say("Token made. Copy it now");
            list.refetch();
        });
    };
    let mine = untrack(|| me.get()).map_or(Role::Viewer, |me| me.role);
    let roles = [
        (Role::Viewer, "Viewer: may look"),
        (Role::Agent, "Agent: may also draw"),
        (Role::Operator, "Operator: may also manage services"),
    ];
    // A token can do no more than its maker.
    let roles = roles
        .into_iter()
        .filter(|(role, _)| *role <= mine)
        .map(|(role, text)| (role.word().to_owned(), text.to_owned()));
    view! {
        <div aria-live="polite">{move || made.get().map(|token| secret(token, made))}</div>
        <h3>"Make a token"</h3>
        <form class="form" autocomplete="off" on:submit=send>
            {field("token-name", "Name", "What it is for, such as laptop or builds", "text", "off", name)}
            {choice("token-role", "Role", roles.collect(), role)}
            {field("token-agent", "Agent", "Only if it speaks for one, such as a", "text", "off", agent)}
            {choice("token-expires", "Expires", spans(), expires)}
            <Words failure=act.failure />
            <div class="actions">
                <button type="submit" disabled=move || act.busy()>"Make token"</button>
            </div>
        </form>
    }
}

/// The secret, this once, with a call to try it by.
fn secret(token: NewToken, made: RwSignal<Option<NewToken>>) -> AnyView {
    let address = window().location().origin().unwrap_or_default();
    let example = format!(
        "curl -X POST {address}/api/who_am_i -H 'Authorization: Bearer {}' -H 'Content-Type: application/json' -d '{{}}'",
        token.secret
    );
    view! {
        <div class="secret">
            <p><b>{format!("The token {}", token.token.name)}</b> " is shown this once. Copy it now; it is stored only as a hash."</p>
            <p class="command"><code class="mono">{token.secret.clone()}</code> <CopyButton text=token.secret what="the token" /></p>
            <p>"Try it:"</p>
            <p class="command"><code class="mono">{example.clone()}</code> <CopyButton text=example what="the example" /></p>
            <div class="actions">
                <button type="button" on:click=move |_| made.set(None)>"I have copied it"</button>
            </div>
        </div>
    }
    .into_any()
}
