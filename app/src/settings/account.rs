//! The account of who is signed in: name, role, password.

use leptos::prelude::*;

use super::calls;
use crate::{
    frame::use_me,
    services::{Act, field},
    ui::{Words, say},
};

/// The section.
#[component]
pub(super) fn Account() -> impl IntoView {
    let me = use_me();
    let act = Act::new();
    let (old, new) = (RwSignal::new(String::new()), RwSignal::new(String::new()));
    let send = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        act.run(calls::change_password(old.get_untracked(), new.get_untracked()), move |()| {
            old.set(String::new());
            new.set(String::new());
            say("Password changed. Your other sessions are ended");
        });
    };
    view! {
        <section class="card" id="account">
            <h2>"Account"</h2>
            <Suspense>
                {move || me.get().map(|me| view! {
                    <dl class="facts">
                        <dt>"Name"</dt>
                        <dd>{me.name}</dd>
                        <dt>"Role"</dt>
                        <dd>{me.role.word()}</dd>
                    </dl>
                })}
            </Suspense>
            <h3>"Change your password"</h3>
            <form class="form" on:submit=send>
                {field("account-old-password", "Old password", "", "password", "current-password", old)}
                {field("account-new-password", "New password", "At least 10 characters, such as four words", "password", "new-password", new)}
                <Words failure=act.failure />
                <div class="actions">
                    <button type="submit" disabled=move || act.busy()>"Change password"</button>
                </div>
            </form>
        </section>
    }
}
