//! Every door of the program, knocked at by those who may not come in.

use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};

use crate::{
    client::{Answer, Client, answer, http},
    program::{Folder, Hub, PASSWORD, done, token},
};

/// What anybody may see, in a browser.
const OPEN: [&str; 6] = ["/", "/login", "/setup", "/healthz", "/readyz", "/runner/install.sh"];
/// Pages and other routes that only a known visitor may use. Some do not exist: a stranger does not learn which.
const CLOSED: [&str; 21] = [
    "/overview",
    "/connect",
    "/images",
    "/images/0198c0de-0000-7000-8000-000000000000",
    "/images/x/preview",
    "/images/x/workflow.json",
    "/services",
    "/settings",
    "/live",
    "/agents",
    "/terminals",
    "/terminals/one",
    "/terminals/one/ws",
    "/recordings/0198c0de-0000-7000-8000-000000000000",
    "/casts/0198c0de-0000-7000-8000-000000000000.cast",
    "/uploads",
    "/pictures/0000",
    "/api/nonsense",
    "/nonsense",
    "/Login",
    "/login/x",
];
/// What guests of a share link use; everybody else is refused there. Their tests are in `terminals.rs`.
const GUESTS: [&str; 3] = ["/s/open", "/s/ticket", "/s/ws"];
/// What machines use, each with a secret of its own; everybody else is refused there. Their tests are in `runner.rs`.
const MACHINES: [&str; 3] = ["/runner", "/runner/join", "/runner/program"];
/// Ways to not be known.
const WRONG: [&str; 4] = ["Bearer nonsense", "Bearer ", "Basic YWRhOmNvcnJlY3Q=", "cmcp"];

/// Who may call a server function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum May {
    /// A viewer: it only looks, and shows a viewer what is a viewer's.
    Look,
    /// Not a viewer: 403.
    Act,
    /// It concerns things of one's own; of somebody else's there are none: 404.
    Own,
}

/// A hub with something of everything in it.
struct Scene {
    hub: Hub,
    folder: Folder,
    operator: Client,
    image: Value,
    service: Value,
    workflow: Value,
    token: Value,
}

impl Scene {
    async fn new() -> Self {
        let folder = Folder::new();
        let owner = ["user", "create", "--name", "ada", "--role", "owner", "--password-stdin"];
        done(folder.path(), &owner, &format!("{PASSWORD}\n"));
        let hub = Hub::start(folder.path());
        done(folder.path(), &["terminal", "start", "one", "--", "cat"], "");
        let operator = hub.client(&token(folder.path(), "operator"));
        let image =
            operator.drawn(json!({ "prompt": "a fox", "width": 64, "height": 64, "steps": 1 }), 20).await["id"].clone();
        let add = json!({ "draft": service_draft("pod") });
        let service = operator.call("add_service", add).await.json()["id"].clone();
        let save = json!({ "name": "mine", "graph": graph() });
        let workflow = operator.call("save_workflow", save).await.json()["id"].clone();
        let made = operator.call("create_token", json!({ "draft": token_draft() })).await.json();
        Self { hub, folder, operator, image, service, workflow, token: made["token"]["id"].clone() }
    }

    /// Every server function by name, with arguments that would do something, and who may.
    fn calls(&self) -> Vec<(&'static str, Value, May)> {
        use May::{Act, Look, Own};
        let (image, service) = (json!({ "id": self.image }), json!({ "id": self.service }));
        let (one, nothing) = (json!({ "name": "one" }), json!({ "id": self.image }));
        let draft = json!({ "prompt": "mine now", "width": 64, "height": 64, "steps": 1 });
        let user = json!({ "name": "eve", "password": PASSWORD, "role": "owner" });
        vec![
            ("active_services", json!({}), Look),
            ("get_image", image.clone(), Look),
            ("image_queue", json!({}), Look),
            ("image_stats", json!({}), Look),
            ("list_images", json!({ "filter": {} }), Look),
            ("list_events", json!({ "filter": {} }), Look),
            ("list_services", json!({}), Look),
            ("list_sessions", json!({}), Look),
            ("list_tokens", json!({}), Look),
            ("list_workflows", json!({}), Look),
            ("overview", json!({}), Look),
            ("who_am_i", json!({}), Look),
            ("agent_profiles", json!({}), Look),
            ("agents_waiting", json!({}), Look),
            ("list_agents", json!({}), Look),
            ("find_history", json!({ "text": "fox" }), Look),
            ("list_recordings", one.clone(), Look),
            ("list_terminals", json!({}), Look),
            ("list_places", json!({}), Look),
            ("list_machines", json!({}), Look),
            ("machine_program", json!({}), Look),
            ("machine_choices", json!({}), Look),
            ("machine_terminals", json!({}), Look),
            ("terminal_history", json!({ "name": "one", "lines": 10 }), Look),
            ("terminal_screens", json!({ "known": [] }), Look),
            ("terminal_trouble", json!({}), Look),
            ("terminal_last_words", one.clone(), Look),
            ("terminal_ticket", one.clone(), Look),
            ("list_links", one.clone(), Act),
            ("record_terminal", json!({ "name": "one", "on": true }), Act),
            ("remove_terminal", one.clone(), Act),
            ("share_terminal", json!({ "name": "one", "hours": 1 }), Act),
            ("start_terminal", json!({ "draft": { "name": "evil" } }), Act),
            ("start_terminal_again", one.clone(), Act),
            ("stop_terminal", one, Act),
            ("add_machine", json!({ "draft": { "name": "evil" } }), Act),
            ("remove_machine", json!({ "name": "mine" }), Act),
            ("delete_recording", nothing.clone(), Act),
            ("revoke_link", nothing.clone(), Act),
            ("create_agent", json!({ "draft": agent_draft() }), Act),
            ("edit_agent", json!({ "id": nothing["id"], "draft": agent_draft() }), Act),
            ("delete_agent", nothing.clone(), Act),
            ("start_agent", nothing.clone(), Act),
            ("stop_agent", nothing.clone(), Act),
            ("restart_agent", nothing, Act),
            ("service_choices", json!({}), Look),
            ("service_catalog", service.clone(), Look),
            ("add_service", json!({ "draft": service_draft("evil") }), Act),
            ("cancel_image", image.clone(), Act),
            ("change_password", json!({ "old": PASSWORD, "new": "another long password" }), Act),
            ("check_service", service.clone(), Act),
            ("create_token", json!({ "draft": token_draft() }), Act),
            ("create_user", json!({ "draft": user }), Act),
            ("token_client", json!({ "token": self.token }), Act),
            ("delete_image", image.clone(), Act),
            ("delete_user", json!({ "id": self.image }), Act),
            ("delete_workflow", json!({ "id": self.workflow }), Act),
            ("draw_again", json!({ "id": self.image, "vary": true }), Act),
            ("draw_image", json!({ "draft": draft }), Act),
            ("list_users", json!({}), Act),
            ("remove_service", service.clone(), Act),
            ("retry_image", image, Act),
            ("save_workflow", json!({ "name": "evil", "graph": graph() }), Act),
            ("set_service_active", json!({ "id": self.service, "active": false }), Act),
            ("test_service", json!({ "draft": service_draft("evil"), "existing": null }), Act),
            ("update_service", json!({ "id": self.service, "draft": service_draft("evil") }), Act),
            ("revoke_session", json!({ "id": self.image }), Own),
            ("revoke_token", json!({ "id": self.token }), Own),
        ]
    }

    /// Everything that could have been changed.
    async fn state(&self) -> Vec<Value> {
        let mut state = Vec::new();
        for name in ["list_services", "list_workflows", "list_tokens", "image_stats", "list_agents"] {
            state.push(self.operator.call(name, json!({})).await.json());
        }
        state.push(self.operator.call("list_images", json!({ "filter": {} })).await.json());
        // Last used by the minute: that may change.
        for token in state[2].as_array_mut().unwrap() {
            token["last_used_at"] = Value::Null;
        }
        state
    }

    /// The path of each server function that the program has.
    fn paths(&self) -> Vec<String> {
        let mut paths: Vec<_> = app::site::server_functions().into_iter().map(str::to_owned).collect();
        paths.sort();
        assert!(paths.len() >= 20, "too few to be all: {paths:?}");
        paths
    }
}

fn service_draft(name: &str) -> Value {
    json!({ "name": name, "kind": "comfyui", "base_url": "http://127.0.0.1:9", "auth": null, "price_per_hour": 0 })
}

fn agent_draft() -> Value {
    json!({
        "slug": "evil", "name": "evil", "role": "", "profile": "shell", "model": "", "command": [], "environment": [],
        "folder": "", "machine": null, "restart_on_exit": false,
    })
}

fn token_draft() -> Value {
    json!({ "name": "made", "role": "viewer", "agent": null, "expires_in_days": null })
}

fn graph() -> String {
    json!({ "1": { "class_type": "SaveImage", "inputs": {} } }).to_string()
}

#[track_caller]
fn is_closed(answer: &Answer, what: &str) {
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{what}: {}", answer.text);
    let failure: Value = serde_json::from_str(&answer.text).unwrap_or_default();
    assert_eq!(failure["kind"], "unauthorized", "{what}: {}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_of_server_functions_is_complete() {
    let scene = Scene::new().await;
    let mut known: Vec<_> = scene.calls().into_iter().map(|(name, ..)| format!("/api/{name}")).collect();
    known.sort();
    assert_eq!(
        scene.paths(),
        known,
        "a server function is missing in the table of this file: say there who may call it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_refused_at_every_server_function_and_route() {
    let scene = Scene::new().await;
    let before = scene.state().await;
    let stranger = scene.hub.stranger();
    for path in scene.paths() {
        let arguments =
            scene.calls().into_iter().find(|(name, ..)| path == format!("/api/{name}")).map(|(_, it, _)| it);
        let ask = |method| stranger.request(method, &path).json(&arguments);
        is_closed(&answer(ask(Method::POST)).await.unwrap(), &path);
        is_closed(&answer(ask(Method::GET)).await.unwrap(), &path);
        for wrong in WRONG {
            is_closed(&answer(ask(Method::POST).header(header::AUTHORIZATION, wrong)).await.unwrap(), &path);
        }
        let cookie = ask(Method::POST).header(header::COOKIE, "session=0000; __Host-session=0000");
        is_closed(&answer(cookie).await.unwrap(), &path);
        // As a form of a page, which some server functions take: not even then is anybody led anywhere.
        let form = stranger
            .request(Method::POST, &path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body("id=1");
        is_closed(&answer(form).await.unwrap(), &path);
    }
    for path in CLOSED {
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE] {
            is_closed(&answer(stranger.request(method.clone(), path)).await.unwrap(), &format!("{method} {path}"));
        }
        let page =
            http().get(format!("{}{path}", scene.hub.url)).header(header::ACCEPT, "text/html").send().await.unwrap();
        assert_eq!(page.status(), StatusCode::SEE_OTHER, "{path}");
        let location = page.headers()[header::LOCATION].to_str().unwrap().to_owned();
        assert!(location.starts_with("/login?next=%2F"), "{path}: {location}");
    }
    assert_eq!(scene.state().await, before, "nothing was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn public_doors_stand_open_and_show_nothing_private() {
    let scene = Scene::new().await;
    for path in OPEN {
        let page =
            http().get(format!("{}{path}", scene.hub.url)).header(header::ACCEPT, "text/html").send().await.unwrap();
        assert!(page.status().is_success() || page.status() == StatusCode::SEE_OTHER, "{path}: {}", page.status());
        let text = page.text().await.unwrap();
        for private in ["a fox", "pod", "mine", "127.0.0.1:9"] {
            assert!(path == "/" || !text.contains(private), "{path} shows \"{private}\"");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_looks_at_everything_and_changes_nothing() {
    let scene = Scene::new().await;
    let viewer = scene.hub.client(&token(scene.folder.path(), "viewer"));
    let before = scene.state().await;
    for (name, arguments, may) in scene.calls() {
        let answer = viewer.call(name, arguments).await;
        let (status, text) = (answer.status.as_u16(), &answer.text);
        match may {
            // A catalog of a service that is not there is the service's fault.
            May::Look => assert!(matches!(status, 200 | 502), "{name}: {status} {text}"),
            May::Act => assert_eq!(status, 403, "{name}: {text}"),
            May::Own => assert_eq!(status, 404, "{name}: {text}"),
        }
    }
    let upload = answer(viewer.request(Method::POST, "/uploads").body("x")).await.unwrap();
    assert_eq!(upload.status, StatusCode::FORBIDDEN, "{}", upload.text);
    assert_eq!(scene.state().await, before, "nothing was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_is_refused_from_then_on() {
    let scene = Scene::new().await;
    let made = scene.operator.call("create_token", json!({ "draft": token_draft() })).await.json();
    let guest = scene.hub.client(made["secret"].as_str().unwrap());
    assert_eq!(guest.call("list_images", json!({ "filter": {} })).await.status, StatusCode::OK);
    scene.operator.call("revoke_token", json!({ "id": made["token"]["id"] })).await.json();
    is_closed(&guest.call("list_images", json!({ "filter": {} })).await, "revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_names_and_foreign_pages_are_refused() {
    let scene = Scene::new().await;
    let cookie = sign_in(&scene.hub).await;
    for path in ["/", "/healthz", "/overview", "/api/draw_image"] {
        let ask = scene.operator.request(Method::GET, path).header(header::HOST, "evil.example");
        let refused = answer(ask).await.unwrap();
        assert_eq!(refused.status, StatusCode::MISDIRECTED_REQUEST, "{path}: {}", refused.text);
    }
    let before = scene.state().await;
    for path in scene.paths().iter().map(String::as_str).chain(["/uploads", "/login", "/setup", "/logout"]) {
        for (name, value) in [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")]
        {
            let ask =
                scene.hub.stranger().request(Method::POST, path).header(header::COOKIE, &cookie).header(name, value);
            let refused = answer(ask.json(&json!({ "id": scene.image }))).await.unwrap();
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path} {name}: {value}: {}", refused.text);
        }
    }
    assert_eq!(scene.state().await, before, "nothing was changed");
    // The same cookie from our own page is taken: the refusals above were for the page.
    let own = scene.hub.stranger().request(Method::POST, "/api/list_users").header(header::COOKIE, &cookie);
    let own = answer(own.header("origin", &scene.hub.url).json(&json!({}))).await.unwrap().json();
    assert_eq!(own[0]["name"], "ada");
}

/// Signs the owner in as the form does; the cookie.
pub(crate) async fn sign_in(hub: &Hub) -> String {
    sign_in_as(hub, "ada").await
}

/// The same of somebody else with this password.
pub(crate) async fn sign_in_as(hub: &Hub, name: &str) -> String {
    let form = format!("name={name}&password={}", PASSWORD.replace(' ', "+"));
    let ask = http()
        .post(format!("{}/login", hub.url))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    let answer = ask.header("origin", &hub.url).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite="), "{cookie}");
    cookie.split(';').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn five_megabytes_are_too_many_for_a_server_function() {
    let scene = Scene::new().await;
    for path in scene.paths() {
        let big = format!("{{\"x\":\"{}\"}}", "x".repeat(5 << 20));
        let ask = scene.operator.request(Method::POST, &path).header("content-type", "application/json").body(big);
        // The hub may close before all of it was sent: it never read it.
        if let Ok(answer) = answer(ask).await {
            assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
        }
    }
    assert_eq!(scene.hub.stranger().get("/healthz").await.status, StatusCode::OK);
}

#[test]
fn every_route_of_the_hub_is_in_one_of_the_lists() {
    let source = include_str!("../../server/src/http/serve.rs");
    let routes: Vec<_> =
        source.split(".route(\"").skip(1).filter_map(|rest| rest.split_once('"')).map(|(path, _)| path).collect();
    assert!(routes.len() >= 7, "the routes are declared in another way now: {routes:?}");
    let same = |route: &str, path: &str| {
        route.split('/').count() == path.split('/').count()
            && route.split('/').zip(path.split('/')).all(|(a, b)| a == b || a.starts_with('{'))
    };
    for route in routes {
        assert!(
            OPEN.iter().chain(&CLOSED).chain(&GUESTS).chain(&MACHINES).any(|path| same(route, path)),
            "{route} is in no list"
        );
    }
}

#[test]
fn a_connection_that_never_ends_its_header_is_closed() {
    use std::io::{Read as _, Write as _};
    let folder = Folder::new();
    let hub = Hub::start(folder.path());
    let address = ("127.0.0.1", hub.port);
    let mut slow = std::net::TcpStream::connect(address).expect("connects");
    slow.set_read_timeout(Some(std::time::Duration::from_secs(30))).expect("a limit");
    slow.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").expect("sends");
    let mut answer = Vec::new();
    // The end of the stream, or a reset; anything but the read's own time-out.
    let ended = slow.read_to_end(&mut answer);
    let waited = ended.err().map(|error| error.kind());
    assert!(!matches!(waited, Some(std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)), "{waited:?}");
}
