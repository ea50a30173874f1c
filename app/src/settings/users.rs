//! The people who may sign in; for owners.

use leptos::prelude::*;
use server::{
    auth::{UserDraft, UserView},
    caller::Role,
};

use super::{calls, table::table};
use crate::{
    Refusal,
    frame::use_me,
    services::{Act, Asked, Question, choice, field},
    ui::{Ago, StatusBadge, Words, say},
};

/// The users; `None` for whom it is not theirs to see.
type List = Resource<Result<Option<Vec<UserView>>, Refusal>>;

/// The section, for owners. Stands inside of a `Transition`, whose wait the memo joins.
#[component]
pub(super) fn Users(
    /// The users, as loaded.
    list: List,
) -> impl IntoView {
    // A memo, so that the section with all that is being typed stays when the list changes.
    let owner = Memo::new(move |_| matches!(list.get(), Some(Ok(Some(_)))));
    move || owner.get().then(|| section(list))
}

fn section(list: List) -> AnyView {
    let me = use_me();
    let (deletion, making) = (Question::new(), Act::new());
    let row = move |user: UserView| {
        let (mine, shown) = (untrack(|| me.get()).is_some_and(|me| me.name == user.name), user.clone());
        let ask = move |_| deletion.ask(user.clone());
        let last = if mine {
            view! { <StatusBadge word="you" class="ok" /> }.into_any()
        } else {
            view! { <button type="button" on:click=ask>"Delete"</button> }.into_any()
        };
        view! {
            <tr>
                <td>{shown.name}</td>
                <td>{shown.role.word()}</td>
                <td><Ago at=shown.created_at /></td>
                <td class="act">{last}</td>
            </tr>
        }
        .into_any()
    };
    let asked = Asked {
        verb: "Delete",
        text: "Their sessions end and the tokens they made stop working, at once. Their pictures stay.",
        yes: "Delete, with sessions and tokens",
    };
    let done = move |user: UserView| {
        say(format!("{} is deleted", user.name));
        list.refetch();
    };
    let text = |text: &str| RwSignal::new(text.to_owned());
    let (name, password, role) = (text(""), text(""), text("viewer"));
    let send = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let draft = UserDraft {
            name: name.get_untracked().trim().to_lowercase(),
            password: password.get_untracked(),
            role: role.get_untracked().parse().unwrap_or(Role::Viewer),
        };
        making.run(calls::create_user(draft), move |user| {
            name.set(String::new());
            password.set(String::new());
            say(format!("{} may sign in", user.name));
            list.refetch();
        });
    };
    let roles = [
        ("viewer", "Viewer: may look"),
        ("operator", "Operator: may also draw and manage services"),
        ("owner", "Owner: may do everything"),
    ];
    let roles = roles.into_iter().map(|(key, text)| (key.to_owned(), text.to_owned())).collect();
    let rows = move || list.get().map(|all| all.map(Option::unwrap_or_default));
    view! {
        <section class="card" id="users">
            <h2>"Users"</h2>
            {table(rows, &["Name", "Role", "Made"], "Nobody.", row)}
            <h3>"Add a user"</h3>
            <form class="form" autocomplete="off" on:submit=send>
                {field("user-name", "Name", "1 to 40 of a-z 0-9 . _ -", "text", "off", name)}
                {field("user-password", "Password", "At least 10 characters; tell it to them, they can change it", "password", "new-password", password)}
                {choice("user-role", "Role", roles, role)}
                <Words failure=making.failure />
                <div class="actions">
                    <button type="submit" disabled=move || making.busy()>"Add user"</button>
                </div>
            </form>
            {deletion.dialog(asked, |user| &user.name, |user| calls::delete_user(user.id), done)}
        </section>
    }
    .into_any()
}
