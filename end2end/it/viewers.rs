//! What those at a terminal may not do, asked of the real program by a client that does not care what its page would let it do.

use reqwest::header;
use serde_json::{Value, json};
use sqlx::Connection as _;
use tokio_tungstenite::tungstenite::{client::IntoClientRequest as _, http::Request};

use crate::{
    program::{Folder, Hub, PASSWORD, done, token},
    strangers::sign_in_as,
    terminals::{Line, scene},
};

/// A browser that opens sockets.
struct Browser<'a> {
    hub: &'a Hub,
    cookie: String,
}

impl Browser<'_> {
    async fn post(&self, path: &str, body: Value) -> reqwest::Response {
        let home = format!("http://localhost:{}", self.hub.port);
        let ask = reqwest::Client::new().post(format!("{home}{path}")).header(header::ORIGIN, &home);
        ask.header(header::COOKIE, &self.cookie).json(&body).send().await.expect("an answer")
    }

    /// A socket at `path`, with a ticket that `from` gives.
    async fn opens(&self, path: &str, from: &str, asking: Value) -> Line {
        let ticket: Value = self.post(from, asking).await.json().await.expect("JSON");
        let words = format!("terminal, ticket.{}", ticket["ticket"].as_str().expect("a ticket"));
        Line::of(self.request(path, &words)).await.expect("opens")
    }

    fn request(&self, path: &str, words: &str) -> Request<()> {
        let mut request = format!("ws://127.0.0.1:{}{path}", self.hub.port).into_client_request().expect("a request");
        let (home, host) = (format!("http://localhost:{}", self.hub.port), format!("localhost:{}", self.hub.port));
        let headers =
            [("cookie", self.cookie.as_str()), ("origin", &home), ("host", &host), ("sec-websocket-protocol", words)];
        for (key, value) in headers {
            request.headers_mut().insert(key, value.parse().expect("a header"));
        }
        request
    }
}

/// A guest of a new share link to the terminal `one`.
async fn guest<'a>(hub: &'a Hub, operator: &str) -> Browser<'a> {
    let made = hub.client(operator).call("share_terminal", json!({ "name": "one", "hours": 1 })).await.json();
    let secret = made["path"].as_str().and_then(|path| path.strip_prefix("/s#")).expect("a path with a fragment");
    Browser { hub, cookie: format!("share={secret}") }
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_and_those_who_may_only_look_change_nothing() {
    let (folder, hub, operator) = scene().await;
    let mut typist = Line::open(&hub, &operator, "one").await;
    typist.types("clear\r").await;
    let looking = guest(&hub, &operator).await.opens("/s/ws", "/s/ticket", json!({})).await;
    let viewer = Line::open(&hub, &token(folder.path(), "viewer"), "one").await;
    for (mut line, why) in [(looking, "look, not type"), (viewer, "role operator")] {
        line.until("a state", |line| line.state.is_object()).await;
        assert_eq!(line.state["may_type"], false);
        let size = (line.state["cols"].clone(), line.state["rows"].clone());
        for what in [
            "0echo from a looker\r".to_owned(),
            // An answer of an emulator: to a program, keys.
            "0\x1b[?62;c".to_owned(),
            "0".to_owned(),
            format!("1{}", json!({ "type": "paste", "text": "echo from a looker\n" })),
            format!("1{}", json!({ "type": "resize", "cols": 90, "rows": 30 })),
            format!("1{}", json!({ "type": "take" })),
            format!("1{}", json!({ "type": "take", "over": true })),
        ] {
            line.refused = None;
            line.send(what.clone()).await;
            line.until(&what, |line| line.refused.is_some()).await;
            assert!(line.refused.as_deref().is_some_and(|said| said.contains(why)), "{what}: {:?}", line.refused);
        }
        // What is not theirs they cannot give back either.
        line.asks(json!({ "type": "hand_back" })).await;
        typist.types("echo still'' here\r").await;
        line.sees("still here").await;
        assert_eq!((line.state["cols"].clone(), line.state["rows"].clone()), size);
        assert_eq!(line.state["keyboard"]["holder"], "token:operator");
        assert!(!line.seen.contains("from a looker"), "{}", line.seen);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_role_closes_what_the_old_one_opened() {
    let (folder, hub, _) = scene().await;
    done(folder.path(), &["user", "create", "--name", "bob", "--role", "operator", "--password-stdin"], PASSWORD);
    let bob = Browser { hub: &hub, cookie: sign_in_as(&hub, "bob").await };
    let mut line = bob.opens("/terminals/one/ws", "/api/terminal_ticket", json!({ "name": "one" })).await;
    line.asks(json!({ "type": "take" })).await;
    line.until("the keyboard", |line| line.state["keyboard"]["you"] == true).await;
    // By another process: nothing tells the hub.
    let path = folder.path().join("central-mcp.db");
    let mut db = sqlx::SqliteConnection::connect_with(&sqlx::sqlite::SqliteConnectOptions::new().filename(path))
        .await
        .expect("opens");
    let set =
        sqlx::query("update users set role = 'viewer' where name = 'bob'").execute(&mut db).await.expect("writes");
    assert_eq!(set.rows_affected(), 1);
    let began = std::time::Instant::now();
    line.closes(4001).await;
    assert!(began.elapsed() < std::time::Duration::from_secs(8), "{:?}", began.elapsed());
    // Back as what they are now.
    let mut line = bob.opens("/terminals/one/ws", "/api/terminal_ticket", json!({ "name": "one" })).await;
    line.until("a state", |line| line.state.is_object()).await;
    assert_eq!((&line.state["may_type"], &line.state["keyboard"]), (&json!(false), &Value::Null));
    // Gone altogether.
    sqlx::query("delete from users where name = 'bob'").execute(&mut db).await.expect("writes");
    line.closes(4001).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_guests_leaves_room_for_others() {
    let (_folder, hub, operator) = scene().await;
    let (first, second) = (guest(&hub, &operator).await, guest(&hub, &operator).await);
    let mut crowd = Vec::new();
    for number in 0..100 {
        let browser = if number % 2 == 0 { &first } else { &second };
        let mut line = browser.opens("/s/ws", "/s/ticket", json!({})).await;
        line.until("a state", |line| line.state.is_object()).await;
        crowd.push(line);
    }
    let mut over = first.opens("/s/ws", "/s/ticket", json!({})).await;
    over.closes(4008).await;
    // Those who are known come in, and so does a guest where another has left.
    let mut line = Line::open(&hub, &operator, "one").await;
    line.until("a state", |line| line.state["guests"] == 100).await;
    drop(crowd.pop());
    line.until("one left", |line| line.state["guests"] == 99).await;
    let mut next = second.opens("/s/ws", "/s/ticket", json!({})).await;
    next.until("a state", |line| line.state.is_object()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_title_that_a_program_sets_is_one_line_of_text() {
    let (_folder, hub, operator): (Folder, Hub, String) = scene().await;
    let mut line = Line::open(&hub, &operator, "one").await;
    line.types("printf '\\033]0;<img src=x>\\001\\r\\nok\\033\\\\'\r").await;
    line.until("the title", |line| line.state["title"].as_str().is_some_and(|title| title.contains("ok"))).await;
    let title = line.state["title"].as_str().expect("a title");
    assert!(title.contains("<img src=x>") && !title.chars().any(char::is_control), "{title:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_a_terminal_runs_only_our_own_scripts_and_says_what_it_was_rendered_from() {
    let (_folder, hub, _) = scene().await;
    let cookie = crate::strangers::sign_in(&hub).await;
    let page = async |path: &str| {
        let answer = reqwest::Client::new().get(format!("{}{path}", hub.url)).header(header::COOKIE, &cookie).send();
        let answer = answer.await.expect("an answer");
        let policy = answer.headers()["content-security-policy"].to_str().expect("text").to_owned();
        (policy, answer.text().await.expect("a page"))
    };
    for path in ["/terminals", "/terminals/one"] {
        let (policy, html) = page(path).await;
        let rules: Vec<Vec<&str>> = policy.split(';').map(|rule| rule.split_whitespace().collect()).collect();
        let rule = |name: &str| rules.iter().find(|rule| rule.first() == Some(&name)).map(|rule| rule[1..].to_vec());
        assert_eq!(rule("default-src"), Some(vec!["'none'"]), "{path}");
        assert_eq!(rule("frame-ancestors"), Some(vec!["'none'"]), "{path}");
        assert_eq!(rule("connect-src"), Some(vec!["'self'"]), "{path}");
        let scripts = rule("script-src").expect("a rule for scripts");
        let nonce = scripts.iter().find_map(|word| word.strip_prefix("'nonce-")).expect("a nonce");
        assert_eq!(scripts, ["'self'", &format!("'nonce-{nonce}"), "'wasm-unsafe-eval'"], "{path}");
        let seq = html.split_once("data-seq=\"").and_then(|(_, rest)| rest.split_once('"')).expect("a number").0;
        assert!(seq.parse::<i64>().is_ok_and(|seq| seq > 0), "{path}: {seq}");
    }
    // The landing page has no script, and nothing to say to one.
    let (policy, html) = page("/").await;
    assert!(!policy.contains("script-src") && !html.contains("<script") && !html.contains("data-seq"), "{policy}");
}
