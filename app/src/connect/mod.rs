//! Connect an agent: a token, what to paste into the client, and whether it has come in.

mod calls;
mod snippets;
mod status;
mod token;

use leptos::prelude::*;
use leptos_router::{
    NavigateOptions,
    hooks::{use_navigate, use_query_map},
};
use server::{
    auth::NewToken,
    events::{EventView, Topic},
    id::TokenId,
};

pub(crate) use snippets::only_here;

use self::{
    snippets::{Client, PLACE, Snippet, snippets},
    status::StatusStep,
    token::TokenStep,
};
use crate::{
    Refusal,
    frame::{Bar, home},
    live::live,
    ui::CopyButton,
};

/// The client that came in last with the page's token.
type Met = Resource<Result<Option<EventView>, Refusal>>;

/// Leads to the same page for another client or token.
type Go = Box<dyn Fn(Client, Option<TokenId>) + Send + Sync>;

/// What the steps share. The address holds the client and the token's id, never its secret.
#[derive(Clone, Copy)]
struct Desk {
    /// Where the hub is: as it is configured, or as this page was reached.
    origin: RwSignal<String>,
    /// The token just made, with its secret; gone with the page.
    made: RwSignal<Option<NewToken>>,
    /// The token that is waited for.
    token: Memo<Option<TokenId>>,
    /// The client that is shown.
    client: Memo<Client>,
    /// Since when it is waited, in milliseconds since 1970 UTC.
    since: RwSignal<i64>,
    /// How many tokens were made here.
    count: RwSignal<u32>,
    go: StoredValue<Go>,
}

impl Desk {
    fn new() -> Self {
        let (query, navigate) = (use_query_map(), use_navigate());
        let go = move |client: Client, token: Option<TokenId>| {
            let token = token.map(|id| format!("&token={id}")).unwrap_or_default();
            let options = NavigateOptions { replace: true, scroll: false, ..Default::default() };
            navigate(&format!("/connect?client={}{token}", client.key()), options);
        };
        Self {
            origin: RwSignal::new(origin()),
            made: RwSignal::new(None),
            token: Memo::new(move |_| query.read().get("token").and_then(|id| id.parse().ok())),
            client: Memo::new(move |_| Client::of(&query.read().get("client").unwrap_or_default())),
            since: RwSignal::new(live().now.get_untracked()),
            count: RwSignal::new(0),
            go: StoredValue::new(Box::new(go)),
        }
    }

    /// Shows what `client` needs.
    fn choose(self, client: Client) {
        self.go.with_value(|go| go(client, self.token.get_untracked()));
    }

    /// A token was made: from now on it is waited for.
    fn give(self, token: NewToken) {
        let (id, client) = (token.token.id, self.client.get_untracked());
        self.since.set(live().now.get_untracked());
        self.made.set(Some(token));
        self.count.update(|count| *count += 1);
        self.go.with_value(|go| go(client, Some(id)));
    }

    /// Begins again, for another agent.
    fn again(self) {
        self.made.set(None);
        self.go.with_value(|go| go(self.client.get_untracked(), None));
    }

    /// What `text` makes of the hub's address and the secret, if it is known.
    fn with_secret<T>(self, text: impl FnOnce(&str, Option<&str>) -> T) -> T {
        let origin = self.origin.get();
        self.made.with(|made| text(&origin, made.as_ref().map(|made| made.secret.as_str())))
    }
}

/// The page.
#[component]
pub(crate) fn Connect() -> impl IntoView {
    let live = live();
    let desk = Desk::new();
    let met: Met = Resource::new(
        move || (desk.token.get(), live.version(Topic::Auth)),
        |(token, _)| async move {
            match token {
                Some(token) => calls::token_client(token).await,
                None => Ok(None),
            }
        },
    );
    // Unless one is configured, the address that people see is the true one, whatever a proxy told the server.
    Effect::new(move || {
        if home().is_none()
            && let Ok(seen) = window().location().origin()
            && desk.origin.get_untracked() != seen
        {
            desk.origin.set(seen);
        }
    });
    view! {
        <Bar title="Connect an agent">"Agents reach this hub at " <b>{move || format!("{}/mcp", desk.origin.get())}</b></Bar>
        <div class="page connect" data-origin=desk.origin.get_untracked()>
            <TokenStep desk=desk />
            <ClientStep desk=desk />
            <StatusStep desk=desk met=met />
        </div>
    }
}

/// The second step: what to paste, for the chosen client.
#[component]
fn ClientStep(desk: Desk) -> impl IntoView {
    let segment = move |client: Client| {
        let checked = move || desk.client.get() == client;
        view! {
            <label>
                <input
                    type="radio" class="hidden" name="client" value=client.key()
                    checked=untrack(checked) prop:checked=checked on:change=move |_| desk.choose(client)
                />
                <span>{client.name()}</span>
            </label>
        }
        .into_any()
    };
    let all = move || {
        let client = desk.client.get();
        let secret = desk.made.with(|made| made.as_ref().map_or(PLACE.to_owned(), |made| made.secret.clone()));
        let all = desk.with_secret(|origin, token| snippets(client, origin, token));
        all.into_iter().map(|snippet| paste(snippet, &secret)).collect_view().into_any()
    };
    let hint = move || match desk.token.get() {
        _ if desk.made.with(Option::is_some) => None,
        None => Some(" stands where the token will be, once it is made."),
        Some(_) => Some(" stands for the token: it was shown once, when it was made."),
    };
    let here = move || desk.origin.with(|origin| only_here(origin));
    view! {
        <section class="card step client" aria-labelledby="step-client">
            <header><i aria-hidden="true">"2"</i> <h2 id="step-client">"Paste it into the client"</h2></header>
            <fieldset>
                <legend class="hidden">"Client"</legend>
                <div class="segments">{Client::ALL.map(segment).collect_view()}</div>
            </fieldset>
            {move || hint().map(|hint| view! { <p class="quiet"><mark>{PLACE}</mark> {hint}</p> })}
            {all}
            <p class="help" hidden=move || !here()>
                "This address is only for programs on the hub's own machine. For agents elsewhere, open this page by a name that they can reach."
            </p>
        </section>
    }
}

/// One thing to paste; the token in it is marked.
fn paste(snippet: Snippet, secret: &str) -> AnyView {
    let Snippet { about, file, text } = snippet;
    let mut parts = text.split(secret);
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| view! { <mark>{secret.to_owned()}</mark> {part.to_owned()} }.into_any()).collect_view();
    view! {
        <div class="paste" class:file=file.is_some()>
            <p>{about} <span class="mono">{file.unwrap_or("terminal")}</span></p>
            <div class="command"><code tabindex=file.map(|_| "0")>{first} {rest}</code> <CopyButton text=text what=if file.is_some() { "this text" } else { "this command" } /></div>
        </div>
    }
    .into_any()
}

/// Where the hub is: as it is configured, or else as this page was reached. In the browser first what the server wrote, so
/// that both halves agree.
fn origin() -> String {
    if let Some(home) = home() {
        return home;
    }
    #[cfg(feature = "ssr")]
    {
        use axum::http::{header, request::Parts};
        let parts = use_context::<Parts>();
        let secure =
            parts.as_ref().and_then(|parts| parts.extensions.get::<server::http::Visit>().map(|visit| visit.secure));
        let host = parts.as_ref().and_then(|parts| {
            let named = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
            named.or(parts.uri.authority().map(|authority| authority.as_str())).map(str::to_owned)
        });
        let scheme = if secure == Some(true) { "https" } else { "http" };
        format!("{scheme}://{}", host.unwrap_or_else(|| "localhost".to_owned()))
    }
    #[cfg(not(feature = "ssr"))]
    {
        let written = document().query_selector("[data-origin]").ok().flatten();
        let written = written.and_then(|page| page.get_attribute("data-origin"));
        written.or_else(|| window().location().origin().ok()).unwrap_or_default()
    }
}
