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

/// Who has a share link.
struct Guest<'a> {
    browser: Browser<'a>,
    link: String,
}

impl Guest<'_> {
    /// A socket of theirs.
    async fn visits(&self) -> Line {
        let link = &self.link;
        self.browser.opens(&format!("/s/ws?link={link}"), &format!("/s/ticket?link={link}"), json!({})).await
    }
}

/// A guest of a new share link to the terminal `one`.
async fn guest<'a>(hub: &'a Hub, operator: &str) -> Guest<'a> {
    let made = hub.client(operator).call("share_terminal", json!({ "name": "one", "hours": 1 })).await.json();
    let secret = made["path"].as_str().and_then(|path| path.strip_prefix("/s#")).expect("a path with a fragment");
    let link = made["link"]["id"].as_str().expect("its id").to_owned();
    Guest { browser: Browser { hub, cookie: format!("share-{link}={secret}") }, link }
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_and_those_who_may_only_look_change_nothing() {
    let (folder, hub, operator) = scene().await;
    let mut typist = Line::open(&hub, &operator, "one").await;
    typist.types("clear\r").await;
    let looking = guest(&hub, &operator).await.visits().await;
    let viewer = Line::open(&hub, &token(folder.path(), "viewer"), "one").await;
    // A guest is not told the names of those who work here.
    let guests = (looking, "look, not type", "somebody");
    for (mut line, why, typing) in [guests, (viewer, "role operator", "token:operator")] {
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
        // Facts come a little after the picture.
        line.until("who types", |line| line.state["keyboard"]["holder"] == typing).await;
        assert!(!line.seen.contains("from a looker"), "{}", line.seen);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agents_token_shows_its_own_terminal_and_no_other() {
    let (folder, hub, operator) = scene().await;
    let operating = hub.client(&operator);
    let draft = json!({
        "slug": "fox", "name": "Fox", "role": "", "profile": "shell", "model": "", "command": ["cat"], "environment": [],
        "folder": "", "machine": null, "restart_on_exit": false,
    });
    let fox = operating.call("create_agent", json!({ "draft": draft })).await.json();
    operating.call("start_agent", json!({ "id": fox["id"] })).await.json();
    let mut typist = Line::open(&hub, &operator, "one").await;
    operating.call("record_terminal", json!({ "name": "one", "on": true })).await.json();
    typist.until("it records", |line| line.state["recording"].is_i64()).await;
    typist.types("echo for'' nobody else\r").await;
    typist.sees("for nobody else").await;
    operating.call("record_terminal", json!({ "name": "one", "on": false })).await.json();
    typist.until("it records no more", |line| line.state["recording"].is_null()).await;
    let cast = operating.call("list_recordings", json!({ "name": "one" })).await.json()[0]["id"].clone();
    let cast = format!("/casts/{}.cast", cast.as_str().expect("an id"));

    let make = |role: &str, agent: &[&str]| {
        done(folder.path(), &[&["token", "create", "--name", "t", "--role", role], agent].concat(), "")
    };
    let own = make("agent", &["--agent", "fox"]);
    for (secret, terminals) in [
        (own.clone(), json!(["agent-fox"])),
        (make("agent", &["--agent", "owl", "--outside"]), json!([])),
        (make("viewer", &["--agent", "owl", "--outside"]), json!([])),
        (make("agent", &[]), json!([])),
        // What an operator chose: these see all.
        (make("operator", &["--agent", "fox"]), json!(["agent-fox", "one"])),
        (make("viewer", &[]), json!(["agent-fox", "one"])),
    ] {
        let sees_one = terminals == json!(["agent-fox", "one"]);
        let status = if sees_one { 200 } else { 403 };
        let client = hub.client(&secret);
        let call = async |name: &str, arguments: Value| client.call(name, arguments).await;
        let names =
            |list: &Value| list.as_array().expect("a list").iter().map(|it| it["name"].clone()).collect::<Value>();
        assert_eq!(names(&call("list_terminals", json!({})).await.json()), terminals);
        assert_eq!(names(&call("terminal_screens", json!({ "known": [] })).await.json()), terminals);
        let found = call("find_history", json!({ "text": "nobody else" })).await.json();
        assert_eq!(found.as_array().is_some_and(|lines| !lines.is_empty()), sees_one, "{found}");
        let one = json!({ "name": "one", "lines": 100 });
        assert_eq!(call("terminal_history", one).await.status.as_u16(), status, "{terminals}");
        for doing in ["terminal_ticket", "list_recordings"] {
            assert_eq!(call(doing, json!({ "name": "one" })).await.status.as_u16(), status, "{doing} {terminals}");
        }
        assert_eq!(client.get(&cast).await.status.as_u16(), status, "the recording, {terminals}");
        let mut line = Line::open(&hub, &secret, "one").await;
        if sees_one {
            line.sees("for nobody else").await;
        } else {
            line.closes(4001).await;
            assert_eq!(line.seen, "");
        }
        let events = call("overview", json!({})).await.json()["events"].clone();
        let told = events.as_array().expect("events").iter().any(|event| event["topic"] == "terminals");
        assert_eq!(told, sees_one, "{events}");
    }
    // Its own it sees by every door.
    let client = hub.client(&own);
    let history = client.call("terminal_history", json!({ "name": "agent-fox", "lines": 100 })).await;
    assert_eq!(history.status.as_u16(), 200);
    let mut line = Line::open(&hub, &own, "agent-fox").await;
    line.until("a state", |line| line.state["may_type"] == false).await;
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
        let mut line = browser.visits().await;
        line.until("a state", |line| line.state.is_object()).await;
        crowd.push(line);
    }
    let mut over = first.visits().await;
    over.closes(4008).await;
    // Those who are known come in, and so does a guest where another has left.
    let mut line = Line::open(&hub, &operator, "one").await;
    line.until("a state", |line| line.state["guests"] == 100).await;
    drop(crowd.pop());
    line.until("one left", |line| line.state["guests"] == 99).await;
    let mut next = second.visits().await;
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
