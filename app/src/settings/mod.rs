//! Settings: the account, who is signed in, tokens, workflows, users, and what this program is.

mod account;
pub(crate) mod calls;
mod sessions;
mod table;
mod tokens;
mod users;
mod workflows;

pub(crate) use tokens::spans;

use leptos::prelude::*;
use server::{caller::Right, events::Topic};

use crate::{
    frame::{Bar, use_me, who_am_i},
    live::live,
};

/// The page.
#[component]
pub(crate) fn Settings() -> impl IntoView {
    let (live, me) = (live(), use_me());
    let version = move || live.version(Topic::Auth);
    // All are made here, in the same order on both sides: inside of a Suspense the server would make them twice.
    let sessions = Resource::new(version, |_| calls::list_sessions());
    let tokens = Resource::new(version, |_| calls::list_tokens());
    let users = Resource::new(version, |_| async {
        // Asked by others it would be refused, and the whole page with it.
        if who_am_i().await?.role.may(Right::Own) { calls::list_users().await.map(Some) } else { Ok(None) }
    });
    let workflows = Resource::new(move || live.version(Topic::Images), |_| crate::images::calls::list_workflows());
    let owner = move || matches!(users.get(), Some(Ok(Some(_))));
    let known = move || {
        let signed_in = sessions.get().and_then(Result::ok).map(|all| all.len());
        let made = tokens.get().and_then(Result::ok).map(|all| all.len());
        let name = me.get().map(|me| view! { <b>{me.name}</b> ", " {me.role.word()} });
        let count = |n: usize, one, many| view! { " · " <b>{n}</b> {if n == 1 { one } else { many }} };
        view! { {name} {signed_in.map(|n| count(n, " session", " sessions"))} {made.map(|n| count(n, " token", " tokens"))} }
    };
    let chip = |id: &str, name: &'static str| view! { <a class="chip" href=format!("#{id}") rel="external">{name}</a> };
    view! {
        <Bar title="Settings">
            <Transition>{known}</Transition>
        </Bar>
        <div class="page settings">
            <nav class="chips" aria-label="On this page">
                {chip("account", "Account")} {chip("sessions", "Sessions")} {chip("tokens", "Tokens")} {chip("workflows", "Workflows")}
                <Transition>{move || owner().then(|| chip("users", "Users"))}</Transition> {chip("about", "About")}
            </nav>
            <account::Account />
            <sessions::Sessions list=sessions />
            <tokens::Tokens list=tokens />
            <workflows::Workflows list=workflows />
            <Transition><users::Users list=users /></Transition>
            <About />
        </div>
    }
}

/// What this program is. Where its data lies is not for browsers.
#[component]
fn About() -> impl IntoView {
    view! {
        <section class="card" id="about">
            <h2>"About"</h2>
            <dl class="facts">
                <dt>"Version"</dt>
                <dd>{env!("CARGO_PKG_VERSION")}</dd>
                <dt>"Licence"</dt>
                <dd>"Apache-2.0"</dd>
                <dt>"What it is"</dt>
                <dd><a href="/" rel="external">"The landing page"</a></dd>
            </dl>
        </section>
    }
}
