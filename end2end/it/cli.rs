//! The command line, beside a running hub and alone.

use std::{path::Path, process::Output, time::Duration};

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    fake::{self, Fake},
    program::{Folder, Hub, PASSWORD, done, program, run, token, until},
};

const USER: [&str; 7] = ["user", "create", "--name", "ada", "--role", "owner", "--password-stdin"];

/// Exit code and what was said about it.
fn ended(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[track_caller]
fn ends_with(output: &Output, code: i32, expected: &str) {
    let (ended, said) = ended(output);
    assert_eq!(ended, Some(code), "{said}");
    assert!(said.contains(expected), "expected \"{expected}\", got \"{said}\"");
    assert!(output.stdout.is_empty(), "a script reads no half answer: {}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_made_beside_a_running_hub_closes_its_set_up() {
    let folder = Folder::new();
    let hub = Hub::start(folder.path());
    assert!(hub.setup.as_deref().is_some_and(|link| link.contains("/setup?code=")), "{:?}", hub.setup);
    let made: Value =
        serde_json::from_str(&done(folder.path(), &[&USER[..], &["--json"]].concat(), &format!("{PASSWORD}\n")))
            .unwrap();
    assert_eq!((&made["name"], &made["role"]), (&json!("ada"), &json!("owner")));
    assert!(!made.to_string().contains(PASSWORD) && made.get("password_hash").is_none(), "{made}");
    // The running hub sees it at once: a stranger is led to the login, no longer to the set-up.
    let answer =
        hub.stranger().request(reqwest::Method::GET, "/overview").header("accept", "text/html").send().await.unwrap();
    assert_eq!(answer.headers()["location"], "/login?next=%2Foverview");
    assert!(hub.stop().success());
    assert_eq!(Hub::start(folder.path()).setup, None, "the next start prints no link");
}

#[test]
fn accounts_that_cannot_be_are_refused_with_code_3() {
    let folder = Folder::new();
    let data = folder.path();
    let user = |name: &str, role: &str, password: &str| {
        run(data, &["user", "create", "--name", name, "--role", role, "--password-stdin"], &format!("{password}\n"))
    };
    ends_with(&user("bob", "operator", PASSWORD), 3, "make an owner first");
    ends_with(&user("ada", "owner", "short"), 3, "password");
    ends_with(&user("Ada Lovelace", "owner", PASSWORD), 3, "name");
    ends_with(&user("ada", "agent", PASSWORD), 3, "agent");
    ends_with(&run(data, &USER, ""), 3, "password");
    assert_eq!(done(data, &USER, &format!("{PASSWORD}\n")), "ada may sign in as owner");
    ends_with(&user("ada", "owner", PASSWORD), 3, "already a user ada");
    // Wrong use is clap's own code.
    assert_eq!(user("eve", "king", PASSWORD).status.code(), Some(2));
    assert_eq!(run(data, &["user", "create", "--name", "eve"], "").status.code(), Some(2));
    assert_eq!(run(data, &["nonsense"], "").status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_made_beside_a_running_hub_works_at_once() {
    let folder = Folder::new();
    let hub = Hub::start(folder.path());
    let alone = token(folder.path(), "viewer");
    assert!(alone.starts_with("cmcp_") && !alone.contains(char::is_whitespace), "{alone}");
    assert_eq!(hub.client(&alone).call("list_services", json!({})).await.status, StatusCode::OK);
    let operator = hub.client(&token(folder.path(), "operator"));
    let draft = json!({
        "slug": "b", "name": "Builder", "role": "", "profile": "shell", "model": "", "command": [], "environment": [],
        "folder": "", "machine": null, "restart_on_exit": false,
    });
    assert_eq!(operator.call("create_agent", json!({ "draft": draft })).await.status, StatusCode::OK);
    let args = ["token", "create", "--name", "claude", "--role", "agent", "--agent", "b", "--expires", "90d", "--json"];
    let made: Value = serde_json::from_str(&done(folder.path(), &args, "")).unwrap();
    let view = &made["token"];
    assert_eq!((&view["role"], &view["agent"], &view["name"]), (&json!("agent"), &json!("b"), &json!("claude")));
    let days = (view["expires_at"].as_i64().unwrap() - view["created_at"].as_i64().unwrap()) / 86_400_000;
    assert_eq!(days, 90);
    let client = hub.client(made["secret"].as_str().unwrap());
    let view = client.drawn(json!({ "prompt": "a fox", "width": 64, "height": 64, "steps": 1 }), 20).await;
    assert_eq!((&view["asked_by"], &view["agent"]), (&json!("agent:b"), &json!("b")));
}

#[test]
fn tokens_that_cannot_be_are_refused() {
    let folder = Folder::new();
    let token = |extra: &[&str]| run(folder.path(), &[&["token", "create"], extra].concat(), "");
    // No hub was ever here, and none is made.
    ends_with(&token(&["--name", "x"]), 3, "there is no hub in");
    assert!(!folder.path().exists(), "a folder that was mistyped is left alone");
    let _hub = Hub::start(folder.path());
    ends_with(&token(&["--name", "x", "--role", "owner"]), 3, "owner");
    ends_with(&token(&["--name", ""]), 3, "name");
    ends_with(&token(&["--name", "x", "--agent", "Not A Slug", "--outside"]), 3, "agent");
    // An agent that nobody made, unless it is said that it works elsewhere.
    ends_with(
        &token(&["--name", "x", "--agent", "nobody"]),
        3,
        "there is no agent \"nobody\" on this hub (there are: none)",
    );
    assert_eq!(token(&["--name", "x", "--outside"]).status.code(), Some(2), "nobody is named");
    assert!(token(&["--name", "x", "--agent", "nobody", "--outside"]).status.success());
    assert_eq!(token(&["--name", "x", "--expires", "soon"]).status.code(), Some(2));
    assert_eq!(token(&["--name", "x", "--expires", "0d"]).status.code(), Some(2));
    assert_eq!(token(&[]).status.code(), Some(2));
}

#[test]
fn where_no_hub_runs_one_line_says_so_and_what_to_do() {
    let folder = Folder::new();
    let place = folder.path().display().to_string();
    let expected = format!(
        "central-mcp: no hub runs on {place}; start one with `central-mcp serve --data {place}`, or name its folder with --data\n"
    );
    for args in [&["terminal", "list"][..], &["terminal", "start", "one"], &["terminal", "stop", "one"]] {
        let output = run(folder.path(), args, "");
        ends_with(&output, 1, "no hub runs");
        assert_eq!(ended(&output).1, expected, "one plain line");
    }
    assert!(!folder.path().exists());
}

/// The error of a command that was asked for JSON.
#[track_caller]
fn refusal(output: &Output, code: i32) -> Value {
    let (ended, said) = ended(output);
    assert_eq!(ended, Some(code), "{said}");
    assert!(output.stdout.is_empty(), "a script reads no half answer");
    let mut lines = said.lines();
    let line = lines.next().unwrap();
    assert_eq!(lines.next(), None, "one line: {said}");
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[test]
fn who_asks_for_json_is_refused_in_json() {
    let folder = Folder::new();
    let ask = |args: &[&str]| run(folder.path(), &[args, &["--json"]].concat(), "");
    for args in [&["terminal", "list"][..], &["terminal", "start", "one"], &["terminal", "stop", "one"]] {
        let said = refusal(&ask(args), 1);
        assert_eq!(said["kind"], "outside", "{said}");
        assert!(said["message"].as_str().unwrap().starts_with("no hub runs on"), "{said}");
    }
    let _hub = Hub::start(folder.path());
    for (args, kind) in [
        (&["terminal", "start", "a.b"][..], "invalid"),
        (&["terminal", "stop", "none"], "not_found"),
        (&["terminal", "start", "two", "--folder", "/no/such/folder"], "invalid"),
        (&["token", "create", "--name", "x", "--agent", "nobody"], "invalid"),
    ] {
        let said = refusal(&ask(args), 3);
        assert_eq!(said["kind"], kind, "{args:?}: {said}");
        assert!(said["message"].as_str().is_some_and(|words| !words.is_empty()), "{said}");
    }
}

/// Answers of the conversation, one a line.
fn setup(data: &Path, answers: &[&str]) -> Output {
    run(data, &["setup", "comfyui"], &(answers.join("\n") + "\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comfyui_set_up_beside_a_running_hub_gets_its_work() {
    let (folder, fake) = (Folder::new(), Fake::serve(fake::MODEL).await);
    let hub = Hub::start(folder.path());
    let client = hub.client(&token(folder.path(), "operator"));
    let url = fake.url.clone();
    let data = folder.path().to_owned();
    let output = tokio::task::spawn_blocking(move || setup(&data, &["pod", &url, "bearer", "s3cret-s3cret", "0.59"]))
        .await
        .unwrap();
    let (code, said) = ended(&output);
    assert_eq!(code, Some(0), "{said}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("pod is active"));
    assert!(said.contains("ComfyUI 0.3.75") && !said.contains("s3cret"), "{said}");

    let services = client.call("list_services", json!({})).await.json();
    assert_eq!(
        (&services[0]["name"], &services[0]["active"], &services[0]["auth"]),
        (&json!("pod"), &json!(true), &json!("bearer"))
    );
    assert_eq!(services[0]["price_per_hour"], 590_000);
    let view = client.drawn(json!({ "prompt": "a fox", "width": 64, "height": 64, "steps": 1 }), 20).await;
    assert_eq!(view["renderer"], "pod");
    // 500 ms at $0.59 an hour.
    assert_eq!((&view["drawn_ms"], &view["cost"]), (&json!(500), &json!(82)));
}

#[test]
fn a_comfyui_that_fails_its_test_is_not_stored() {
    let folder = Folder::new();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = setup(folder.path(), &["pod", &format!("http://{closed}"), "none", "0"]);
    ends_with(&output, 3, "the test was not passed, so nothing was stored");
    assert!(ended(&output).1.contains("cannot be connected to"));
    ends_with(&setup(folder.path(), &["pod", "not an address", "none", "0"]), 3, "is not an address");
    ends_with(&setup(folder.path(), &["pod", "http://127.0.0.1:1", "magic"]), 3, "no kind of authentication");
    ends_with(&setup(folder.path(), &["pod", "http://127.0.0.1:1", "none", "cheap"]), 3, "is not a price");
    ends_with(&setup(folder.path(), &["pod"]), 1, "the input ended before");

    let hub = Hub::start(folder.path());
    let services = tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(async { hub.client(&token(folder.path(), "viewer")).call("list_services", json!({})).await.json() });
    assert_eq!(services, json!([]));
}

#[test]
fn a_second_hub_on_the_same_port_says_so_and_touches_nothing() {
    let (first, second) = (Folder::new(), Folder::new());
    let hub = Hub::start(first.path());
    let address = format!("127.0.0.1:{}", hub.port);
    let output = run(second.path(), &["serve", "--listen", &address], "");
    ends_with(&output, 1, &format!("cannot listen on {address}; is another hub running?"));
    assert!(!second.path().exists(), "its data folder was not even made");
}

#[test]
fn help_names_every_setting_with_its_variable() {
    let output = program().args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    for name in
        ["data", "listen", "metrics", "public-url", "secret-key", "log-format", "log", "keep-events-days", "oauth"]
    {
        let variable = format!("CENTRAL_MCP_{}", name.replace('-', "_").to_uppercase());
        assert!(help.contains(&format!("--{name}")) && help.contains(&variable), "{name} in:\n{help}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_is_asked_to_end_ends_in_order_and_takes_its_work_up_again() {
    let folder = Folder::new();
    let hub = Hub::start(folder.path());
    let secret = token(folder.path(), "operator");
    let client = hub.client(&secret);
    // 150 steps at 30 ms: it runs when the hub is asked to end.
    let id = client.draw(json!({ "prompt": "a fox", "width": 64, "height": 64, "steps": 150 })).await["id"].clone();
    client.image_when(&id, "the image is drawn", 20, |view| view["status"] == "running").await;
    let mut live = client.live().await;
    let status = tokio::task::spawn_blocking(move || hub.stop()).await.unwrap();
    assert_eq!(status.code(), Some(0));
    until("the stream ends with the hub", Duration::from_secs(5), async || live.next().await.is_none().then_some(()))
        .await;

    let hub = Hub::start(folder.path());
    let view = hub.client(&secret).ended(&id, 30).await;
    assert_eq!((&view["status"], &view["attempts"]), (&json!("done"), &json!(2)), "{view}");
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_are_told_the_address_that_is_configured_and_not_the_one_a_page_came_by() {
    let folder = Folder::new();
    // Its public address says localhost.
    let hub = Hub::start_with_oauth(folder.path());
    let token = token(folder.path(), "operator");
    let page = |hub: &Hub| {
        let client = crate::client::Client::new(&format!("http://127.0.0.1:{}", hub.port), Some(&token));
        async move { client.get("/connect").await }
    };
    let told = page(&hub).await;
    assert_eq!(told.status, StatusCode::OK);
    assert!(told.text.contains(&format!("http://localhost:{}/mcp", hub.port)), "{}", told.text);
    assert!(!told.text.contains(&format!("http://127.0.0.1:{}/mcp", hub.port)), "{}", told.text);
    drop(hub);
    // None is configured: the one that was used.
    let hub = Hub::start(folder.path());
    assert!(page(&hub).await.text.contains(&format!("http://127.0.0.1:{}/mcp", hub.port)));
}
