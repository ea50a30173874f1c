//! What stands around every page: the document, the rail, the bar, the routes.

use leptos::prelude::*;
use leptos_meta::{Title, provide_meta_context};
use leptos_router::{
    Lazy, SsrMode,
    components::{A, Route, Router, Routes},
    path,
};
use serde::{Deserialize, Serialize};
use server::{
    caller::{Right, Role},
    events::Topic,
};

use crate::{
    Refusal,
    agents::calls::agents_waiting,
    live,
    live::{Link, Live},
    overview, pages,
    ui::{self, icon},
};

/// Who is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Me {
    /// The sign-in name.
    pub(crate) name: String,
    /// What they may do.
    pub(crate) role: Role,
    /// As the audit log writes them: `user:NAME`.
    pub(crate) actor: String,
}

/// Who is calling.
#[server(prefix = "/api", endpoint = "/who_am_i", input = leptos::server_fn::codec::Json)]
pub(crate) async fn who_am_i() -> Result<Me, Refusal> {
    let (_, who) = crate::failure::entered()?;
    let actor = who.actor.to_string();
    let name = actor.split_once(':').map_or(actor.as_str(), |(_, name)| name).to_owned();
    Ok(Me { name, role: who.role, actor })
}

/// Who is signed in, for every page; loaded once per tab.
#[derive(Clone, Copy)]
pub(crate) struct MeSignal(Resource<Result<Me, Refusal>>);

impl MeSignal {
    /// The person, once known.
    pub(crate) fn get(self) -> Option<Me> {
        self.0.get().and_then(Result::ok)
    }

    /// Whether they hold `right`. Buttons that would be refused are not shown.
    pub(crate) fn may(self, right: Right) -> bool {
        self.get().is_some_and(|me| me.role.may(right))
    }
}

/// Who is signed in.
pub(crate) fn use_me() -> MeSignal {
    expect_context()
}

/// The pages of the rail: address, name, icon, key after `g`.
pub(crate) const PAGES: [(&str, &str, &str, &str); 7] = [
    ("/overview", "Overview", "home", "o"),
    ("/agents", "Agents", "crew", "a"),
    ("/terminals", "Terminals", "terminal", "x"),
    ("/machines", "Machines", "machine", "m"),
    ("/images", "Images", "image", "i"),
    ("/services", "Services", "server", "v"),
    ("/settings", "Settings", "gear", ","),
];

/// The head of every document.
#[cfg(feature = "ssr")]
pub(crate) fn head(title: &'static str) -> impl IntoView {
    let theme = theme();
    view! {
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover" />
        <meta name="color-scheme" content="dark light" />
        {theme_color("(prefers-color-scheme: light)", ui::ground(theme, true))}
        {theme_color("(prefers-color-scheme: dark)", ui::ground(theme, false))}
        {(!title.is_empty()).then(|| view! { <title>{title}</title> })}
        <meta name="description" content="Run a crew of coding agents on a small cloud VM: terminals, tasks and pictures in one program." />
        <link rel="icon" href="/icon.svg" type="image/svg+xml" />
        <link rel="apple-touch-icon" href="/icon-192.png" />
        <link rel="manifest" href="/manifest.webmanifest" />
        <link rel="stylesheet" href=crate::site::stylesheet() />
    }
}

/// The colour of the browser's own bars on systems that `media` is true of. The macro knows no `media` for this element.
#[cfg(feature = "ssr")]
fn theme_color(media: &'static str, color: &'static str) -> impl IntoView {
    leptos::html::meta().name("theme-color").attr("media", media).content(color)
}

/// The theme that the person chose; where the request is not at hand, the system's.
#[cfg(feature = "ssr")]
fn theme() -> &'static str {
    use_context::<axum::http::request::Parts>().map_or("system", |parts| crate::site::theme(&parts.headers))
}

/// The hub's address as people are told it, if one is configured.
#[cfg(feature = "ssr")]
pub(crate) fn home() -> Option<String> {
    let parts = use_context::<axum::http::request::Parts>()?;
    Some(parts.extensions.get::<server::http::Visit>()?.home.as_ref()?.as_ref().to_owned())
}

/// See above.
#[cfg(not(feature = "ssr"))]
pub(crate) fn home() -> Option<String> {
    leptos::prelude::document().document_element()?.get_attribute("data-home")
}

/// The document of signed-in pages: hydrates.
#[cfg(feature = "ssr")]
pub(crate) fn document() -> impl IntoView {
    use axum::http::{HeaderValue, header};
    let nonce = leptos::nonce::use_nonce();
    if let (Some(nonce), Some(response)) = (&nonce, use_context::<leptos_axum::ResponseOptions>()) {
        let policy = format!("{}; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'", crate::site::POLICY);
        if let Ok(policy) = HeaderValue::from_str(&policy) {
            response.insert_header(header::CONTENT_SECURITY_POLICY, policy);
        }
        response.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    // Before anything is read for the page: what is committed from here on, the browser asks for (live.rs).
    let seq = use_context::<server::Hub>().map(|hub| hub.events.follow().borrow().to_string());
    view! {
        <!DOCTYPE html>
        <html lang="en" data-theme=theme() data-now=now().to_string() data-seq=seq data-home=home()>
            <head>
                {head("")}
                <script type="importmap" nonce=nonce inner_html=crate::site::import_map()></script>
                <HydrationScripts options=crate::site::options() />
                <leptos_meta::MetaTags />
            </head>
            <body>
                <App live=Live::new(now()) />
                <p id="broken" class="failure" role="alert" hidden>
                    "This page has stopped working; nothing that was saved is lost. " <a href="" rel="external">"Reload it"</a>
                </p>
            </body>
        </html>
    }
}

/// The server's time, the same for both halves of a render: the document carries it.
pub(crate) fn now() -> i64 {
    #[cfg(feature = "ssr")]
    {
        use_context::<server::Hub>().map_or(0, |hub| hub.clock.now().millis())
    }
    #[cfg(not(feature = "ssr"))]
    {
        number("data-now").unwrap_or(0)
    }
}

/// The newest event that the document was surely rendered from. Only in the browser.
#[cfg(feature = "hydrate")]
pub(crate) fn rendered_from() -> Option<i64> {
    number("data-seq")
}

/// A number that the document carries.
#[cfg(not(feature = "ssr"))]
fn number(attribute: &str) -> Option<i64> {
    document_element()?.get_attribute(attribute)?.parse().ok()
}

#[cfg(not(feature = "ssr"))]
fn document_element() -> Option<web_sys::Element> {
    web_sys::window()?.document()?.document_element()
}

/// The signed-in application.
#[component]
pub(crate) fn App(
    /// What pages read to follow the hub.
    live: Live,
) -> impl IntoView {
    provide_meta_context();
    provide_context(live);
    provide_context(MeSignal(Resource::new_blocking(|| (), |()| who_am_i())));
    ui::provide_toasts();
    ui::provide_palette();
    view! {
        <Title formatter=|title| format!("{title} · Central-MCP") />
        <Router>
            <a class="skip" href="#main">"Skip to content"</a>
            <Rail />
            <main id="main" tabindex="-1">
                <Routes fallback=missing_page>
                    <Route path=path!("/overview") view=overview::Overview ssr=SsrMode::Async />
                    <Route path=path!("/agents") view={Lazy::<pages::Agents>::new()} ssr=SsrMode::Async />
                    <Route path=path!("/images") view={Lazy::<pages::Images>::new()} ssr=SsrMode::Async />
                    <Route path=path!("/images/:id") view={Lazy::<pages::Image>::new()} ssr=SsrMode::Async />
                    <Route path=path!("/terminals") view={Lazy::<pages::Terminals>::new()} ssr=SsrMode::Async />
                    <Route path=path!("/terminals/:name") view={Lazy::<pages::Terminal>::new()} ssr=SsrMode::Async />
                    <Route path=path!("/recordings/:id") view={Lazy::<pages::Recording>::new()} ssr=SsrMode::Async />
                    <Route path=path!("/machines") view={Lazy::<pages::Machines>::new()} ssr=SsrMode::Async />
                    <Route path=path!("/services") view={Lazy::<pages::Services>::new()} ssr=SsrMode::Async />
                    <Route path=path!("/activity") view={Lazy::<pages::Activity>::new()} ssr=SsrMode::Async />
                    <Route path=path!("/connect") view={Lazy::<pages::Connect>::new()} ssr=SsrMode::Async />
                    <Route path=path!("/settings") view={Lazy::<pages::Settings>::new()} ssr=SsrMode::Async />
                </Routes>
            </main>
            <ui::Palette />
        </Router>
        <ui::Toasts />
    }
}

/// The navigation: a rail at the left, a bar at the bottom of a phone.
#[component]
fn Rail() -> impl IntoView {
    let (me, live) = (use_me(), live::live());
    let waiting = Resource::new(move || live.version(Topic::Agents), |_| agents_waiting());
    let badge = move |address: &str| {
        (address == "/agents").then(|| {
            let n = move || waiting.get().and_then(Result::ok).filter(|n| *n > 0);
            let one = |n: usize| view! { <span class="count" title="agents that need you">{n} <span class="hidden">" need you"</span></span> };
            view! { <Transition>{move || n().map(one)}</Transition> }
        })
    };
    view! {
        <nav class="rail" aria-label="Pages">
            <a class="brand" href="/" rel="external" aria-label="central-mcp, the landing page">{icon("mark")} <span>"central-mcp"</span></a>
            <ul>
                {PAGES
                    .into_iter()
                    .map(|(address, name, sign, key)| {
                        view! {
                            <li>
                                <A href=address>
                                    {icon(sign)} <span class="name">{name}</span> {badge(address)} <kbd aria-hidden="true">"g " {key}</kbd>
                                </A>
                            </li>
                        }
                    })
                    .collect_view()}
            </ul>
            <div class="foot">
                <ui::ThemeButton />
                <Suspense>
                    {move || me.get().map(|me| view! {
                        <span class="who" title=me.role.word()><b>{me.name}</b> " " {me.role.word()}</span>
                    })}
                </Suspense>
                <form method="post" action="/logout">
                    <button class="quiet" type="submit" title="Sign out">{icon("out")} <span class="hidden">"Sign out"</span></button>
                </form>
            </div>
        </nav>
    }
}

/// The bar above a page: its title, the sentence of true facts, the palette, the connection.
#[component]
pub(crate) fn Bar(
    /// The page's name.
    #[prop(into)]
    title: String,
    /// The sentence: true facts with the numbers bold.
    children: Children,
) -> impl IntoView {
    view! {
        <Title text=title.clone() />
        <header class="bar">
            <h1>{title}</h1>
            <p class="sentence">{children()}</p>
            <button class="search" type="button" on:click=|_| ui::open_palette()>
                <span>"Search or do anything"</span> <kbd>"Ctrl K"</kbd>
            </button>
            <Dot />
        </header>
        {cut()}
    }
}

/// Says over every page that the hub cannot be reached: what is shown may be old.
fn cut() -> AnyView {
    let live = live::live();
    let words = Memo::new(move |_| match live.link.get() {
        Link::Offline(hour, minute) => Some(format!("No connection to the hub since {hour:02}:{minute:02}.")),
        _ => None,
    });
    // The dot says it to screen readers.
    let strip =
        move || words.get().map(|words| view! { <p class="strip warn cut"><b>{words}</b> " Trying again."</p> });
    view! { {strip} }.into_any()
}

/// The connection, as a dot with its word.
#[component]
fn Dot() -> impl IntoView {
    let live = live::live();
    let word = Memo::new(move |_| match live.link.get() {
        Link::Connecting => "connecting".to_owned(),
        Link::Live(_) => "live".to_owned(),
        Link::Reconnecting(_) => "reconnecting".to_owned(),
        Link::Offline(hour, minute) => format!("offline since {hour:02}:{minute:02}"),
    });
    // Apart from the word, so that a screen reader is not told of each new time.
    let time = move || match live.link.get() {
        Link::Live(Some(ms)) => format!(" · {ms} ms"),
        _ => String::new(),
    };
    let state = move || match live.link.get() {
        Link::Connecting | Link::Reconnecting(_) => "wait",
        Link::Live(_) => "ok",
        Link::Offline(..) => "bad",
    };
    view! { <span class="dot" role="status" data-state=state>{word} <span class="time" aria-hidden="true">{time}</span></span> }
}

/// What stands at an address that is nobody's.
pub(crate) fn missing_page() -> impl IntoView {
    #[cfg(feature = "ssr")]
    if let Some(response) = use_context::<leptos_axum::ResponseOptions>() {
        response.set_status(axum::http::StatusCode::NOT_FOUND);
    }
    view! {
        <div class="page missing">
            {icon("mark")}
            <h1>"Nothing here"</h1>
            <p>"This address leads nowhere. It may be mistyped, or what stood here is gone."</p>
            <p><a class="button primary" href="/overview">"To the overview"</a></p>
        </div>
    }
}
