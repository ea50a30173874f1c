//! The whole way in, through the real router, with clients' documents from a real server on this machine.

use std::{collections::HashMap, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, Method, Request, StatusCode, header},
    response::{IntoResponse as _, Redirect, Response},
    routing::get,
};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tower::ServiceExt as _;
use url::{Url, form_urlencoded};

use super::{Oauth, OauthOptions, Page};
use crate::{
    Hub,
    auth::{UserDraft, Visitor},
    caller::{Caller, Role},
    clock::{Clock, Timestamp},
    events::EventView,
    http::{ServeOptions, router},
    mcp::{Mcp, McpOptions},
};

mod documents;
mod flow;
mod grants;
mod refusals;

const HOME: &str = "https://hub.example.org";
const HOST: &str = "hub.example.org";
const PASSWORD: &str = "correct horse battery";
const BACK: &str = "https://back.example/cb";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
/// How long documents are waited for here.
const WAIT: Duration = Duration::from_millis(500);

/// Changes to the parameters of a request: another value, or none.
type Changes<'a> = &'a [(&'static str, Option<&'a str>)];

struct House {
    hub: Hub,
    clock: Clock,
    router: Router,
    documents: Documents,
    _folder: TempDir,
}

/// Stops the hub's tasks, so that none outlives its test.
impl Drop for House {
    fn drop(&mut self) {
        self.hub.stop.cancel();
    }
}

impl House {
    async fn new() -> Self {
        Self::open(true).await
    }

    async fn open(on: bool) -> Self {
        Self::with(|options| on.then(|| options.fetching_from_loopback(WAIT))).await
    }

    async fn with(change: impl FnOnce(OauthOptions) -> Option<OauthOptions>) -> Self {
        // Another test may have been first; one provider is as good as the other.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::by_hand(Timestamp::from_millis(1_800_000_000_000));
        let hub = Hub::open(folder.path(), None, clock.clone()).await.unwrap();
        let home: Url = HOME.parse().unwrap();
        let oauth = change(OauthOptions::new(&home, plain).unwrap()).map(|it| Oauth::open(&hub, it).unwrap());
        let serve = ServeOptions {
            public_url: Some(home.clone()),
            public_file: |_| false,
            oauth: oauth.as_ref().map(Oauth::challenge),
        };
        let door = McpOptions { public_url: Some(home), ..McpOptions::default() };
        let mut pages = Mcp::open(&hub, door).router();
        if let Some(oauth) = oauth {
            pages = pages.merge(oauth.router());
        }
        let router = router(hub.clone(), pages, &serve);
        Self { hub, clock, router, documents: Documents::serve().await, _folder: folder }
    }

    async fn send(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// The cookie of a new person.
    async fn person(&self, name: &str, role: Role) -> String {
        let draft = UserDraft { name: name.into(), password: PASSWORD.into(), role };
        self.hub.auth.create_user(&Caller::cli(), draft).await.unwrap();
        let signed_in = self.hub.auth.login(name, PASSWORD, Visitor::default()).await.unwrap();
        format!("__Host-session={}", signed_in.secret)
    }

    /// The cookie of the owner, ada.
    async fn ada(&self) -> String {
        self.person("ada", Role::Owner).await
    }

    /// The client that most tests are about.
    fn fox(&self) -> String {
        self.documents.url("fox.json")
    }

    /// What a client asks for, with some of it changed.
    fn asking(&self, changes: Changes<'_>) -> String {
        let mut params = vec![
            ("response_type", "code".to_owned()),
            ("client_id", self.fox()),
            ("redirect_uri", BACK.to_owned()),
            ("code_challenge", CHALLENGE.to_owned()),
            ("code_challenge_method", "S256".to_owned()),
            ("state", "st&te".to_owned()),
            ("scope", "look draw".to_owned()),
            ("resource", format!("{HOME}/mcp")),
        ];
        change(&mut params, changes);
        format!("/oauth/authorize?{}", encode(&params))
    }

    /// The page that a person sees when a client asks.
    async fn ask(&self, cookie: &str, changes: Changes<'_>) -> Shown {
        let request = Request::get(self.asking(changes)).header("cookie", cookie);
        Shown::read(self.send(to_us(request, Body::empty())).await).await
    }

    /// The page after the form was sent.
    async fn answer(&self, cookie: &str, ticket: &str, changes: Changes<'_>) -> Shown {
        self.answer_from(cookie, ticket, changes, HOME).await
    }

    async fn answer_from(&self, cookie: &str, ticket: &str, changes: Changes<'_>, origin: &str) -> Shown {
        let mut params: Vec<_> = [("ticket", ticket), ("agent", "fox"), ("scope", "draw"), ("answer", "allow")]
            .map(|(name, value)| (name, value.to_owned()))
            .into();
        change(&mut params, changes);
        let request = form("/oauth/authorize").header("cookie", cookie).header("origin", origin);
        Shown::read(self.send(to_us(request, encode(&params).into())).await).await
    }

    /// A code, asked for and allowed.
    async fn code(&self, cookie: &str, changes: Changes<'_>) -> String {
        let ticket = self.ask(cookie, changes).await.ticket();
        let back = self.answer(cookie, &ticket, &[]).await.back();
        back["code"].clone()
    }

    async fn post(&self, path: &str, params: &[(&'static str, String)]) -> Told {
        let request = form(path);
        Told::read(self.send(to_us(request, encode(params).into())).await).await
    }

    /// The answer to a code.
    async fn redeem(&self, code: &str, changes: Changes<'_>) -> Told {
        let mut params = vec![
            ("grant_type", "authorization_code".to_owned()),
            ("client_id", self.fox()),
            ("code", code.to_owned()),
            ("redirect_uri", BACK.to_owned()),
            ("code_verifier", VERIFIER.to_owned()),
            ("resource", format!("{HOME}/mcp")),
        ];
        change(&mut params, changes);
        self.post("/oauth/token", &params).await
    }

    /// The answer to a refresh token.
    async fn refresh(&self, token: &str, changes: Changes<'_>) -> Told {
        let mut params = vec![
            ("grant_type", "refresh_token".to_owned()),
            ("client_id", self.fox()),
            ("refresh_token", token.to_owned()),
        ];
        change(&mut params, changes);
        self.post("/oauth/token", &params).await
    }

    async fn revoke(&self, token: &str, changes: Changes<'_>) -> Told {
        let mut params = vec![("client_id", self.fox()), ("token", token.to_owned())];
        change(&mut params, changes);
        self.post("/oauth/revoke", &params).await
    }

    /// The fox, let in by the person with this cookie.
    async fn let_in(&self, cookie: &str) -> Pair {
        let code = self.code(cookie, &[]).await;
        self.redeem(&code, &[]).await.pair()
    }

    /// What `/mcp` says to a token that asks who it is; the status alone if it is refused.
    async fn whoami(&self, token: &str) -> Result<Value, StatusCode> {
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        });
        let params = json!({ "name": "whoami", "arguments": {}, "_meta": meta });
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
        let request = Request::post("/mcp")
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/call")
            .header("mcp-name", "whoami");
        let response = self.send(to_us(request, body.to_string().into())).await;
        if response.status() != StatusCode::OK {
            return Err(response.status());
        }
        Ok(json_of(response).await["result"]["structuredContent"].clone())
    }

    async fn works(&self, token: &str) -> bool {
        match self.whoami(token).await {
            Ok(_) => true,
            Err(status) => {
                assert_eq!(status, StatusCode::UNAUTHORIZED);
                false
            }
        }
    }

    /// Events of the topic auth of this kind.
    async fn events(&self, kind: &str) -> Vec<EventView> {
        let mut events = self.hub.events.after(0, 1_000).await.unwrap();
        events.retain(|event| event.kind == kind);
        events
    }
}

/// A page as the tests see it: what stands on it, as JSON.
fn plain(_: &HeaderMap, page: Page) -> Response {
    match page {
        Page::Consent(page) => {
            let about = json!({
                "page": "consent", "ticket": page.ticket, "client": page.client, "client_host": page.client_host,
                "redirect_host": page.redirect_host, "own_computer": page.own_computer, "agent": page.agent,
                "role": page.role, "person": page.person, "failure": page.failure,
            });
            Json(about).into_response()
        }
        Page::Leave(page) => {
            Json(json!({ "page": "leave", "to": page.to, "host": page.host, "allowed": page.allowed, "problem": page.problem })).into_response()
        }
        Page::Refused(page) => {
            (page.status, Json(json!({ "page": "refused", "message": page.message }))).into_response()
        }
    }
}

/// What a person sees.
#[derive(Debug)]
struct Shown {
    status: StatusCode,
    headers: HeaderMap,
    page: Value,
}

impl Shown {
    async fn read(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, page: json_of(response).await }
    }

    /// The ticket of the question.
    fn ticket(&self) -> String {
        assert_eq!(self.page["page"], "consent", "{self:?}");
        self.page["ticket"].as_str().unwrap().to_owned()
    }

    /// What goes back to the client, which lies at [`BACK`].
    fn back(&self) -> HashMap<String, String> {
        assert_eq!(self.page["page"], "leave", "{self:?}");
        let to = self.page["to"].as_str().unwrap();
        let by_itself = if self.page["problem"].is_null() { format!("0; url={to}") } else { String::new() };
        assert_eq!(value(&self.headers, "refresh"), by_itself);
        let url: Url = to.parse().unwrap();
        assert!(to.starts_with(BACK), "{to}");
        url.query_pairs().into_owned().collect()
    }

    /// The message of a refusal, which leads nowhere.
    #[track_caller]
    fn refused(&self, status: StatusCode) -> String {
        assert_eq!((self.status, &self.page["page"]), (status, &json!("refused")), "{self:?}");
        assert!(!self.headers.contains_key("refresh") && !self.headers.contains_key("location"), "{self:?}");
        self.page["message"].as_str().unwrap().to_owned()
    }
}

/// What a client is told.
#[derive(Debug)]
struct Told {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pair {
    access: String,
    refresh: String,
}

impl Told {
    async fn read(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, body: json_of(response).await }
    }

    #[track_caller]
    fn pair(&self) -> Pair {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        let text = |name: &str| self.body[name].as_str().unwrap().to_owned();
        Pair { access: text("access_token"), refresh: text("refresh_token") }
    }

    /// The error's word and its sentence.
    #[track_caller]
    fn error(&self) -> (&str, &str) {
        assert_eq!(self.status, StatusCode::BAD_REQUEST, "{self:?}");
        assert_eq!(value(&self.headers, "cache-control"), "no-store");
        (self.body["error"].as_str().unwrap(), self.body["error_description"].as_str().unwrap())
    }
}

/// Serves clients' documents on this machine.
struct Documents {
    port: u16,
    _serving: AbortOnDropHandle<()>,
}

impl Documents {
    async fn serve() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new().route("/{name}", get(document)).with_state(port);
        let serving = TaskTracker::new().spawn(async move { drop(axum::serve(listener, router).await) });
        Self { port, _serving: AbortOnDropHandle::new(serving) }
    }

    fn url(&self, name: &str) -> String {
        format!("http://localhost:{}/{name}", self.port)
    }
}

/// One document; its name says what is wrong with it.
async fn document(State(port): State<u16>, Path(name): Path<String>) -> Response {
    let own = format!("http://localhost:{port}/{name}");
    let good = |more: Value| {
        let mut about = json!({
            "client_id": own, "client_name": "Fox", "redirect_uris": [BACK, "http://127.0.0.1/callback"],
            "token_endpoint_auth_method": "none", "grant_types": ["authorization_code", "refresh_token"],
        });
        for (key, value) in more.as_object().unwrap() {
            about[key] = value.clone();
        }
        about
    };
    let html = [(header::CONTENT_TYPE, "text/html")];
    match name.as_str() {
        "fox.json" | "owl.json" => Json(good(json!({}))).into_response(),
        "evil-name.json" => {
            let name = "<script>\u{202e}evil\n</script>".to_owned() + &"x".repeat(300);
            Json(good(json!({ "client_name": name }))).into_response()
        }
        "impostor.json" => {
            Json(good(json!({ "client_id": format!("http://localhost:{port}/fox.json") }))).into_response()
        }
        "secret.json" => Json(good(json!({ "token_endpoint_auth_method": "client_secret_post" }))).into_response(),
        "script.json" => Json(good(json!({ "redirect_uris": ["javascript:alert(1)"] }))).into_response(),
        "moved.json" => Redirect::temporary("/fox.json").into_response(),
        "page.json" => (html, good(json!({})).to_string()).into_response(),
        "wall.json" => (StatusCode::FORBIDDEN, html, "are you a person?").into_response(),
        "broken.json" => ([(header::CONTENT_TYPE, "application/json")], "{").into_response(),
        "large.json" => Json(good(json!({ "x": "x".repeat(64 << 10) }))).into_response(),
        "endless.json" => {
            let pieces = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 4096]));
            ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(pieces)).into_response()
        }
        "slow.json" => std::future::pending().await,
        "dripping.json" => {
            let start = futures_util::stream::once(async { Ok::<_, std::io::Error>("{") });
            let body = Body::from_stream(start.chain(futures_util::stream::pending()));
            ([(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn to_us(request: axum::http::request::Builder, body: Body) -> Request<Body> {
    let mut request = request.body(body).unwrap();
    request.headers_mut().entry(header::HOST).or_insert(HOST.parse().unwrap());
    request
}

fn form(path: &str) -> axum::http::request::Builder {
    Request::builder().method(Method::POST).uri(path).header("content-type", "application/x-www-form-urlencoded")
}

fn change(params: &mut Vec<(&'static str, String)>, changes: Changes<'_>) {
    for (name, value) in changes {
        params.retain(|(known, _)| known != name);
        if let Some(value) = value {
            params.push((*name, (*value).to_owned()));
        }
    }
}

fn encode(params: &[(&'static str, String)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish()
}

fn value<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

async fn json_of(response: Response) -> Value {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes)))
}
