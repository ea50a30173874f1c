//! Set-up, sign-in and consent: plain forms without script.

use leptos::prelude::*;

mod consent;
pub(crate) use consent::{beside_opener, consent, leave, refused};

use crate::ui::icon;

/// The sign-in form; `failure` is what was wrong with the last try.
pub(crate) fn login(name: String, next: String, failure: Option<String>) -> impl IntoView {
    frame(
        "Sign in",
        view! {
            {failure.map(told)}
            <form method="post" action="/login">
                <input type="hidden" name="next" value=next />
                <label>"Name" <input name="name" value=name autocomplete="username" autocapitalize="none" required autofocus /></label>
                <label>"Password" <input name="password" type="password" autocomplete="current-password" required /></label>
                <button class="primary" type="submit">"Sign in"</button>
            </form>
        }
        .into_any(),
    )
}

/// The set-up form; a code that came with the link is not asked for.
pub(crate) fn setup(code: String, name: String, failure: Option<String>) -> impl IntoView {
    let field = if code.is_empty() || failure.is_some() {
        view! {
            <label>"Set-up code" <input name="code" value=code class="mono" autocomplete="off" required /></label>
        }
        .into_any()
    } else {
        view! { <input type="hidden" name="code" value=code /> }.into_any()
    };
    frame(
        "Set up your hub",
        view! {
            <p>"This makes the owner account. The owner may do everything: connect services, make tokens and invite people."</p>
            {failure.map(told)}
            <form method="post" action="/setup">
                {field}
                <label>"Name" <input name="name" value=name autocomplete="username" autocapitalize="none" required autofocus /></label>
                <label>
                    "Password"
                    <input name="password" type="password" autocomplete="new-password" minlength="10" required />
                    <small class="help">"At least 10 characters"</small>
                </label>
                <button class="primary" type="submit">"Create the owner account"</button>
            </form>
        }
        .into_any(),
    )
}

fn told(failure: String) -> impl IntoView {
    view! { <div class="failure" role="alert">{failure}</div> }
}

fn frame(title: &'static str, body: AnyView) -> impl IntoView {
    view! {
        <main class="entrance">
            <div class="card">
                <a class="mark" href="/">{icon("mark")} "central-mcp"</a>
                <h1>{title}</h1>
                {body}
            </div>
        </main>
    }
}
