//! The way in for connectors, on the whole program: off by itself, on by a setting, and what it needs then.

use reqwest::{Method, StatusCode, header};
use serde_json::Value;

use crate::{
    client::{answer, http},
    program::{Folder, Hub, PASSWORD, done, run},
};

const ROUTES: [&str; 6] = [
    "/.well-known/oauth-protected-resource",
    "/.well-known/oauth-protected-resource/mcp",
    "/.well-known/oauth-authorization-server",
    "/oauth/authorize",
    "/oauth/token",
    "/oauth/revoke",
];

#[test]
fn a_setting_that_cannot_work_is_told_before_anything_is_opened() {
    for (more, expected) in [
        (vec![], "oauth = true needs public_url"),
        (vec!["--public-url", "http://hub.example.org"], "needs a public_url with https"),
        (vec!["--public-url", "http://10.0.0.7:3000"], "needs a public_url with https"),
    ] {
        let folder = Folder::new();
        let output =
            run(folder.path(), &[&["serve", "--oauth", "--listen", "127.0.0.1:0"], more.as_slice()].concat(), "");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(expected), "{more:?}: {said}");
        assert!(!folder.path().join("central-mcp.db").exists(), "{more:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_there_only_where_a_setting_turns_it_on() {
    let folder = Folder::new();
    let owner = ["user", "create", "--name", "ada", "--role", "owner", "--password-stdin"];
    done(folder.path(), &owner, &format!("{PASSWORD}\n"));
    let hub = Hub::start(folder.path());
    for path in ROUTES {
        for method in [Method::GET, Method::POST] {
            let told = answer(hub.stranger().request(method.clone(), path)).await.unwrap();
            assert_eq!(told.status, StatusCode::NOT_FOUND, "{method} {path}");
        }
    }
    let told = hub.stranger().request(Method::POST, "/mcp").send().await.unwrap();
    assert_eq!(told.headers()[header::WWW_AUTHENTICATE], "Bearer realm=\"central-mcp\"");
    drop(hub);

    let hub = Hub::start_with_oauth(folder.path());
    let resource: Value = hub.stranger().get(ROUTES[1]).await.json();
    assert_eq!(resource["resource"], format!("{}/mcp", hub.url));
    assert_eq!(resource["authorization_servers"][0], hub.url);
    let told = hub.stranger().request(Method::POST, "/mcp").send().await.unwrap();
    assert!(told.headers()[header::WWW_AUTHENTICATE].to_str().unwrap().contains("resource_metadata="));
    hub.stranger().get("/.well-known/openid-configuration").await.refuses(404, "");

    // As a browser: to the sign-in, and back to the page that says what is wrong.
    let asked = format!("{}/oauth/authorize?client_id=fox", hub.url);
    let led = http().get(&asked).header(header::ACCEPT, "text/html").send().await.unwrap();
    assert_eq!(led.headers()[header::LOCATION], "/login?next=%2Foauth%2Fauthorize%3Fclient_id%3Dfox");
    let form = format!("name=ada&password={}&next=%2Foauth%2Fauthorize%3Fclient_id%3Dfox", PASSWORD.replace(' ', "+"));
    let entered = http()
        .post(format!("{}/login", hub.url))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("origin", &hub.url)
        .body(form);
    let entered = entered.send().await.unwrap();
    assert_eq!(entered.headers()[header::LOCATION], "/oauth/authorize?client_id=fox");
    for response in [&led, &entered] {
        assert_eq!(response.headers()["cross-origin-opener-policy"], "unsafe-none");
    }
    let cookie = entered.headers()[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    for (query, expected) in [
        ("client_id=fox", "the parameter \"redirect_uri\" is missing"),
        ("client_id=fox&redirect_uri=https://fox.example/cb", "is not a URL"),
        ("client_id=https://localhost/fox&redirect_uri=https://fox.example/cb", "no address on the public internet"),
    ] {
        let page = http().get(format!("{}/oauth/authorize?{query}", hub.url)).header(header::COOKIE, &cookie);
        let page = page.send().await.unwrap();
        assert_eq!(page.headers()["x-frame-options"], "DENY");
        let html = page.text().await.unwrap();
        assert!(html.contains(expected) && html.contains("Not let in") && !html.contains("<script"), "{html}");
    }
}
