//! Mounts everything of this crate on an axum router: pages, server functions, static files.

use std::{borrow::Cow, sync::LazyLock};

use axum::{
    Extension, Form, Router,
    body::Body,
    extract::{Query, Request},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use leptos::prelude::*;
use leptos_axum::{AxumRouteListing, LeptosRoutes as _};
use rust_embed::RustEmbed;
use serde::Deserialize;
use server::{
    Hub,
    error::{Error, Failure},
    http::{Visit, clear_cookie, session_cookie},
    oauth::Page,
};

use crate::{
    entrance,
    frame::{App, document},
    landing,
    live::Live,
    terminals::guest,
};

/// The browser half and the public files. Release builds carry them inside; debug builds read `target/site`.
#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/../target/site"]
#[allow_missing = true]
// The large ones only compressed: nearly every browser takes them so, and for the others they are unpacked.
#[exclude = "*.wasm"]
#[exclude = "*.mjs"]
// Only the README shows it.
#[exclude = "shot-wall-dark.webp"]
struct Site;

/// Folder of the browser half: `pkg/HASH`. `pkg/missing` when it was not built; pages then work without script.
static PKG: LazyLock<String> = LazyLock::new(|| {
    let hash = Site::get("pkg.txt").and_then(|file| String::from_utf8(file.data.into_owned()).ok());
    format!("pkg/{}", hash.as_deref().map_or("missing", str::trim))
});

/// Folder of the terminal emulator, which `cargo xtask site` brings: `vendor/xterm-VERSION-HASH`.
static VENDOR: LazyLock<String> = LazyLock::new(|| {
    let file = Site::iter().find(|path| path.starts_with("vendor/xterm-") && path.ends_with("/xterm.css"));
    file.and_then(|path| Some(path.rsplit_once('/')?.0.to_owned())).unwrap_or_else(|| "vendor/missing".to_owned())
});

/// Nothing from elsewhere; our own script needs the nonce (the start) and WebAssembly.
pub(crate) const POLICY: &str = "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; \
    connect-src 'self'; manifest-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The stylesheet's address.
pub(crate) fn stylesheet() -> String {
    format!("/{}/main.css", PKG.as_str())
}

/// The address of one of our own scripts (`app/js`).
pub(crate) fn script(name: &str) -> String {
    format!("/{}/{name}", PKG.as_str())
}

/// Where a page's scripts find what they import by name. It must stand before the first of them.
pub(crate) fn import_map() -> String {
    let shim = script("xterm.mjs");
    serde_json::json!({ "imports": {
        "xterm": shim,
        "xterm-addon-unicode11": shim,
        "xterm-addon-web-links": shim,
        "vendor/": format!("/{}/", VENDOR.as_str()),
    } })
    .to_string()
}

/// What Leptos needs to know to write the script tags.
pub(crate) fn options() -> LeptosOptions {
    LeptosOptions::builder().output_name("central-mcp").site_root("target/site").site_pkg_dir(PKG.as_str()).build()
}

/// Whether a path is a static file, for anybody.
pub fn public_file(path: &str) -> bool {
    let name = path.trim_start_matches('/');
    !name.ends_with(".br")
        && name != "pkg.txt"
        && (Site::get(name).is_some() || Site::get(&format!("{name}.br")).is_some())
}

/// The paths of all server functions, for the test that knocks at each.
pub fn server_functions() -> Vec<&'static str> {
    leptos::server_fn::axum::server_fn_paths().map(|(path, _)| path).collect()
}

/// Every route of this crate.
pub fn router(hub: Hub) -> Router {
    let listed: Vec<AxumRouteListing> = leptos_axum::generate_route_list(|| view! { <App live=Live::new(0) /> });
    let context = {
        let hub = hub.clone();
        move || provide_context(hub.clone())
    };
    Router::new()
        .leptos_routes_with_context(&options(), listed, context.clone(), document)
        .route(
            "/api/{*path}",
            post(move |request: Request| leptos_axum::handle_server_fns_with_context(context.clone(), request)),
        )
        .route("/", get(landing_page))
        .route("/s", get(share_page))
        .route("/login", get(login_page).post(login))
        .route("/setup", get(setup_page).post(setup))
        .route("/logout", post(logout))
        .fallback(get(file))
        .layer(Extension(hub))
        .with_state(options())
}

/// Query of the entrance pages.
#[derive(Deserialize)]
struct EntranceQuery {
    #[serde(default)]
    next: String,
    #[serde(default)]
    code: String,
}

/// What the entrance forms send.
#[derive(Deserialize)]
struct EntranceForm {
    name: String,
    password: String,
    #[serde(default)]
    next: String,
    #[serde(default)]
    code: String,
}

async fn landing_page(headers: HeaderMap, Extension(visit): Extension<Visit>) -> Response {
    let signed_in = visit.caller.is_some();
    plain(StatusCode::OK, &headers, "Central-MCP: a home for a crew of coding agents", move || {
        landing::page(signed_in).into_any()
    })
}

async fn login_page(
    headers: HeaderMap,
    Extension(visit): Extension<Visit>,
    Query(query): Query<EntranceQuery>,
) -> Response {
    if visit.caller.is_some() {
        return Redirect::to(&local(&query.next)).into_response();
    }
    let apart = entrance::beside_opener(&query.next);
    let page =
        plain(StatusCode::OK, &headers, "Sign in", move || entrance::login(String::new(), query.next, None).into_any());
    (apart, page).into_response()
}

async fn login(
    headers: HeaderMap,
    Extension(hub): Extension<Hub>,
    Extension(visit): Extension<Visit>,
    Form(form): Form<EntranceForm>,
) -> Response {
    match hub.auth.login(&form.name, &form.password, visit.visitor).await {
        Ok(signed_in) => {
            let to = entered(&signed_in.secret, visit.secure, &local(&form.next));
            (entrance::beside_opener(&form.next), to).into_response()
        }
        Err(error) => {
            let (status, failure) = told(error);
            let apart = entrance::beside_opener(&form.next);
            let page = plain(status, &headers, "Sign in", move || {
                entrance::login(form.name, form.next, Some(failure.message)).into_any()
            });
            (apart, page).into_response()
        }
    }
}

async fn setup_page(
    headers: HeaderMap,
    Extension(hub): Extension<Hub>,
    Query(query): Query<EntranceQuery>,
) -> Response {
    match hub.auth.setup_code().await {
        Ok(Some(_)) => plain(StatusCode::OK, &headers, "Set up", move || {
            entrance::setup(query.code, String::new(), None).into_any()
        }),
        Ok(None) => Redirect::to("/login").into_response(),
        Err(error) => error.into_response(),
    }
}

async fn setup(
    headers: HeaderMap,
    Extension(hub): Extension<Hub>,
    Extension(visit): Extension<Visit>,
    Form(form): Form<EntranceForm>,
) -> Response {
    match hub.auth.setup(form.code.trim(), &form.name, &form.password, visit.visitor).await {
        Ok(signed_in) => entered(&signed_in.secret, visit.secure, "/overview"),
        Err(error) => {
            let (status, failure) = told(error);
            plain(status, &headers, "Set up", move || {
                entrance::setup(form.code, form.name, Some(failure.message)).into_any()
            })
        }
    }
}

async fn logout(Extension(hub): Extension<Hub>, Extension(visit): Extension<Visit>) -> Response {
    let ended = match visit.caller() {
        Ok(who) => hub.auth.logout(who).await,
        Err(failure) => Err(failure.into()),
    };
    match ended {
        Ok(()) => ([(header::SET_COOKIE, clear_cookie(visit.secure))], Redirect::to("/login")).into_response(),
        Err(error) => error.into_response(),
    }
}

/// What a share link leads to. Its script is a file of ours; only the import map stands in the page.
async fn share_page(headers: HeaderMap) -> Response {
    let nonce = leptos::nonce::Nonce::new();
    let policy = format!("{POLICY}; script-src 'self' 'nonce-{nonce}'");
    let page = plain(StatusCode::OK, &headers, "Shared terminal", || guest::page(nonce.to_string()).into_any());
    let mut page = page;
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        page.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    // A link in a terminal must not tell its page where it stood.
    page.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    page
}

/// A page of the way in for connectors (OAuth): the question, the way back, or why there is none.
pub fn consent(headers: &HeaderMap, page: Page) -> Response {
    match page {
        Page::Consent(page) => {
            let status = if page.failure.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
            plain(status, headers, "Let an agent in", move || entrance::consent(page).into_any())
        }
        Page::Leave(page) => plain(StatusCode::OK, headers, "Going back", move || entrance::leave(page).into_any()),
        Page::Refused(page) => {
            plain(page.status, headers, "Not let in", move || entrance::refused(page.message).into_any())
        }
    }
}

fn entered(secret: &str, secure: bool, next: &str) -> Response {
    ([(header::SET_COOKIE, session_cookie(secret, secure))], Redirect::to(next)).into_response()
}

fn told(error: Error) -> (StatusCode, Failure) {
    let failure = Failure::from(error);
    (StatusCode::from_u16(failure.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), failure)
}

/// Only a path of our own: `//elsewhere` and `/\elsewhere` lead to another host.
fn local(next: &str) -> String {
    let mut chars = next.chars();
    let own = chars.next() == Some('/')
        && !matches!(chars.next(), Some('/' | '\\'))
        && !next.contains(|c: char| c.is_control());
    if own { next.to_owned() } else { "/overview".to_owned() }
}

/// The theme that a person chose, from the cookie `theme`; anything else follows the system.
pub(crate) fn theme(headers: &HeaderMap) -> &'static str {
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    match cookies.flat_map(|line| line.split(';')).find_map(|pair| pair.trim().strip_prefix("theme=")) {
        Some("dark") => "dark",
        Some("light") => "light",
        _ => "system",
    }
}

/// A page without any script.
fn plain(status: StatusCode, headers: &HeaderMap, title: &'static str, body: impl FnOnce() -> AnyView) -> Response {
    let theme = theme(headers);
    let owner = Owner::new();
    let html = owner.with(|| {
        view! {
            <html lang="en" data-theme=theme>
                <head>{crate::frame::head(title)}</head>
                <body class="plain">{body()}</body>
            </html>
        }
        .to_html()
    });
    let policy = [(header::CONTENT_SECURITY_POLICY, POLICY), (header::CACHE_CONTROL, "no-store")];
    (status, policy, Html(format!("<!DOCTYPE html>{html}"))).into_response()
}

/// A file that lies there only compressed, for a browser that does not take it so: some do on plain http.
fn unpacked(packed: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut brotli_decompressor::Decompressor::new(packed, 16 * 1024), &mut bytes)?;
    Ok(bytes)
}

/// A static file, precompressed where the browser takes brotli; what is not there is a real 404 page.
async fn file(request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/').to_owned();
    let headers = request.headers();
    if !public_file(&path) {
        return plain(StatusCode::NOT_FOUND, headers, "Not found", || crate::frame::missing_page().into_any());
    }
    let takes_brotli = headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("br"));
    let whole = if takes_brotli { None } else { Site::get(&path) };
    let packed = whole.is_none().then(|| Site::get(&format!("{path}.br"))).flatten();
    let is_packed = packed.is_some();
    let Some(file) = whole.or(packed).or_else(|| Site::get(&path)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let etag = format!(
        "\"{}\"",
        file.metadata.sha256_hash()[..16].iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    );
    // Their names change with their content.
    let forever = path.starts_with(PKG.as_str()) || path.starts_with(VENDOR.as_str());
    let cache = if forever { "public, max-age=31536000, immutable" } else { "public, max-age=3600" };
    let mut answer = HeaderMap::new();
    let mut set = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            answer.insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, media_type(&path));
    set(header::CACHE_CONTROL, cache);
    set(header::ETAG, &etag);
    set(header::VARY, "accept-encoding");
    if is_packed && takes_brotli {
        set(header::CONTENT_ENCODING, "br");
    }
    if headers.get(header::IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == etag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, answer).into_response();
    }
    let body = match file.data {
        data if is_packed && !takes_brotli => match unpacked(&data) {
            Ok(bytes) => Body::from(bytes),
            Err(error) => return Failure::internal(error).into_response(),
        },
        Cow::Borrowed(bytes) => Body::from(bytes),
        Cow::Owned(bytes) => Body::from(bytes),
    };
    (answer, body).into_response()
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("webp") => "image/webp",
        Some("webmanifest") => "application/manifest+json",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_leads_only_to_our_own_pages() {
        for own in ["/images", "/images/1?x=2", "/"] {
            assert_eq!(local(own), own);
        }
        for elsewhere in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/a\r\nSet-Cookie: b",
        ] {
            assert_eq!(local(elsewhere), "/overview", "{elsewhere}");
        }
    }

    #[tokio::test]
    async fn the_page_of_a_share_link_runs_only_our_own_scripts_and_tells_nobody_where_it_was() {
        let page = share_page(HeaderMap::new()).await;
        let header = |name: &str| page.headers()[name].to_str().expect("text").to_owned();
        let (policy, referrer) = (header("content-security-policy"), header("referrer-policy"));
        let bytes = axum::body::to_bytes(page.into_body(), 1 << 20).await.expect("a body");
        let html = String::from_utf8(bytes.to_vec()).expect("text");
        let nonce = policy.split_once("'nonce-").and_then(|(_, rest)| rest.split_once('\'')).expect("a nonce").0;
        assert!(policy.contains("default-src 'none'") && !policy.contains("wasm"), "{policy}");
        assert!(policy.contains(&format!("script-src 'self' 'nonce-{nonce}'")), "{policy}");
        assert_eq!(referrer, "no-referrer");
        let scripts: Vec<_> = html.split("<script").skip(1).filter_map(|rest| rest.split_once('>')).collect();
        assert_eq!(scripts.len(), 2, "{html}");
        let (map, loaded) = (scripts[0], scripts[1]);
        assert!(map.0.contains("importmap") && map.0.contains(nonce) && map.1.starts_with("{\"imports\":"), "{html}");
        assert!(loaded.0.contains("/share.mjs\"") && loaded.1.starts_with("</script>"), "{html}");
    }
}
