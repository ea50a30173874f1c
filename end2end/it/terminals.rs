//! Terminals as a script meets them: the command line, the socket with a token, and what is refused.

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::header;
use serde_json::{Value, json};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _, http::Request},
};

use crate::{
    program::{Folder, Hub, PASSWORD, done, run, token},
    strangers::sign_in,
};

/// The longest that anything here may take, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// One open socket, and what came over it.
pub(crate) struct Line {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>,
    /// All terminal bytes since the last `clear`.
    pub(crate) seen: String,
    /// The last state that was told.
    pub(crate) state: Value,
    /// The last refusal.
    pub(crate) refused: Option<String>,
    /// The close code.
    pub(crate) closed: Option<u16>,
}

impl Line {
    pub(crate) async fn open(hub: &Hub, token: &str, name: &str) -> Self {
        Self::of(asked(hub.port, name, &[("authorization", &format!("Bearer {token}"))]))
            .await
            .expect("the socket opens")
    }

    pub(crate) async fn of(request: Request<()>) -> Result<Self, Error> {
        let (socket, _) = tokio::time::timeout(PATIENCE, connect_async(request)).await.expect("in time")?;
        Ok(Self { socket, seen: String::new(), state: Value::Null, refused: None, closed: None })
    }

    /// Reads on in the background, as a page does that nobody looks at; the number of bytes so far.
    pub(crate) fn drained(self) -> Arc<AtomicUsize> {
        let bytes = Arc::new(AtomicUsize::new(0));
        let (counted, mut socket) = (bytes.clone(), self.socket);
        tokio::spawn(async move {
            while let Some(Ok(message)) = socket.next().await {
                counted.fetch_add(message.len(), Ordering::Relaxed);
            }
        });
        bytes
    }

    pub(crate) async fn send(&mut self, frame: impl Into<Vec<u8>>) {
        // A socket that the hub has closed says so when it is read.
        let _ = self.socket.send(Message::binary(frame.into())).await;
    }

    pub(crate) async fn types(&mut self, text: &str) {
        self.send(format!("0{text}")).await;
    }

    pub(crate) async fn asks(&mut self, request: Value) {
        self.send(format!("1{request}")).await;
    }

    /// Reads until `good`.
    pub(crate) async fn until(&mut self, what: &str, good: impl Fn(&Self) -> bool) {
        let reading = async {
            while !good(self) {
                match self.socket.next().await {
                    Some(Ok(Message::Binary(frame))) => self.take(&frame),
                    Some(Ok(Message::Close(frame))) => self.closed = Some(frame.map_or(1005, |it| it.code.into())),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => panic!("{what}: the socket broke: {error}; seen: {}", self.seen),
                    None => panic!("{what}: the socket ended ({:?}); seen: {}", self.closed, self.seen),
                }
            }
        };
        if tokio::time::timeout(PATIENCE, reading).await.is_err() {
            let seen = &self.seen[self.seen.floor_char_boundary(self.seen.len().saturating_sub(4_000))..];
            panic!("{what}: not within {} s; state {}; seen last: {seen:?}", PATIENCE.as_secs(), self.state);
        }
    }

    fn take(&mut self, frame: &[u8]) {
        match frame.split_first() {
            Some((b'0', bytes)) => self.seen.push_str(&String::from_utf8_lossy(bytes)),
            Some((b'1', said)) => {
                let said: Value = serde_json::from_slice(said).expect("JSON");
                match said["type"].as_str() {
                    Some("state") => self.state = said,
                    Some("refused") => self.refused = said["why"].as_str().map(str::to_owned),
                    _ => {}
                }
            }
            _ => panic!("an empty or unknown frame: {frame:?}"),
        }
    }

    pub(crate) async fn sees(&mut self, text: &str) {
        // Only what is new is looked through: a flood is long, and comes in many frames.
        let looked = Cell::new(0_usize);
        let there = |line: &Self| {
            let from = line.seen.floor_char_boundary(looked.get().saturating_sub(text.len()));
            looked.set(line.seen.len());
            line.seen[from..].contains(text)
        };
        self.until(text, there).await;
    }

    pub(crate) async fn closes(&mut self, code: u16) {
        self.until(&format!("close {code}"), |line| line.closed.is_some()).await;
        assert_eq!(self.closed, Some(code));
    }
}

/// A request for a socket.
pub(crate) fn asked(port: u16, name: &str, headers: &[(&'static str, &str)]) -> Request<()> {
    let mut request = format!("ws://127.0.0.1:{port}/terminals/{name}/ws").into_client_request().expect("a request");
    for (key, value) in headers {
        request.headers_mut().insert(*key, value.parse().expect("a header"));
    }
    request
}

/// The status of a refused upgrade.
pub(crate) async fn refused(request: Request<()>) -> u16 {
    match Line::of(request).await {
        Err(Error::Http(answer)) => answer.status().as_u16(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the socket opened"),
    }
}

/// A hub with the shell `one`, and an operator's token.
pub(crate) async fn scene() -> (Folder, Hub, String) {
    let folder = Folder::new();
    let hub = Hub::start(folder.path());
    let operator = token(folder.path(), "operator");
    done(folder.path(), &["user", "create", "--name", "ada", "--role", "owner", "--password-stdin"], PASSWORD);
    done(folder.path(), &["terminal", "start", "one", "--", "bash", "--norc"], "");
    (folder, hub, operator)
}

fn listed(folder: &Folder, name: &str) -> Value {
    let all: Value = serde_json::from_str(&done(folder.path(), &["terminal", "list", "--json"], "")).expect("JSON");
    all.as_array().expect("a list").iter().find(|it| it["name"] == name).cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_types_and_reads_back() {
    let (folder, hub, operator) = scene().await;
    let before = listed(&folder, "one");
    assert_eq!(
        (&before["state"], &before["viewers"], &before["keyboard"]),
        (&json!("running"), &json!(0), &Value::Null)
    );
    let pid = before["pid"].as_u64().expect("a process id");
    assert!(std::path::Path::new(&format!("/proc/{pid}")).exists() || cfg!(not(target_os = "linux")));

    let mut line = Line::open(&hub, &operator, "one").await;
    line.types("echo he''llo\r").await;
    line.sees("hello").await;
    let during = listed(&folder, "one");
    assert_eq!((&during["viewers"], &during["keyboard"]), (&json!(1), &json!("token:operator")));

    let stopped: Value =
        serde_json::from_str(&done(folder.path(), &["terminal", "stop", "one", "--json"], "")).expect("JSON");
    assert_eq!(stopped["state"], "ended");
    line.closes(4004).await;

    // Again, with what it was started with.
    let again: Value =
        serde_json::from_str(&done(folder.path(), &["terminal", "start", "one", "--json"], "")).expect("JSON");
    assert_eq!(again["state"], "running");
    assert_ne!(again["pid"].as_u64(), Some(pid));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_refused_says_why() {
    let (folder, hub, _) = scene().await;
    for (args, expected) in [
        (&["terminal", "start", "one"][..], "runs already"),
        (&["terminal", "stop", "none"], "does not run"),
        (&["terminal", "start", "a.b"], "is no terminal's name"),
        (&["terminal", "start", "_hub"], "begins with a letter"),
        (&["terminal", "start", "two", "--folder", "/no/such/folder"], "is not there"),
    ] {
        let output = run(folder.path(), args, "");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{args:?}: {said}");
        assert!(said.contains(expected), "{args:?}: {said}");
    }
    hub.kill();
    let output = run(folder.path(), &["terminal", "list"], "");
    assert!(String::from_utf8_lossy(&output.stderr).contains("no hub runs"), "{output:?}");
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_holds_the_keyboard_and_viewers_look() {
    let (folder, hub, operator) = scene().await;
    let (viewer, second) = (
        token(folder.path(), "viewer"),
        done(folder.path(), &["token", "create", "--name", "second", "--role", "operator"], ""),
    );
    let (mut ada, mut bob, mut eve) = (
        Line::open(&hub, &operator, "one").await,
        Line::open(&hub, &second, "one").await,
        Line::open(&hub, &viewer, "one").await,
    );
    eve.types("echo from eve\r").await;
    eve.until("a refusal", |line| line.refused.as_deref().is_some_and(|why| why.contains("role operator"))).await;
    eve.asks(json!({ "type": "take", "over": true })).await;
    eve.refused = None;
    eve.until("a refusal", |line| line.refused.is_some()).await;

    ada.asks(json!({ "type": "take" })).await;
    ada.until("ada holds it", |line| line.state["keyboard"]["you"] == true).await;
    bob.until("bob is told", |line| line.state["keyboard"]["holder"] == "token:operator").await;
    eve.until("eve is told", |line| line.state["keyboard"]["holder"] == "token:operator").await;
    assert_eq!(eve.state["viewers"], 3);
    assert_eq!((&eve.state["may_type"], &bob.state["may_type"]), (&json!(false), &json!(true)));

    bob.types("echo from bob\r").await;
    bob.until("a refusal", |line| {
        line.refused.as_deref().is_some_and(|why| why.contains("token:operator holds the keyboard"))
    })
    .await;
    bob.asks(json!({ "type": "resize", "cols": 100, "rows": 30 })).await;
    bob.refused = None;
    bob.until("a refusal", |line| line.refused.is_some()).await;
    bob.asks(json!({ "type": "take", "over": true })).await;
    ada.until("it was taken", |line| line.state["keyboard"]["holder"] == "token:second").await;
    bob.until("it was taken", |line| line.state["keyboard"]["you"] == true).await;
    bob.asks(json!({ "type": "paste", "text": "echo pas''ted\n" })).await;
    bob.types("\r").await;
    for line in [&mut ada, &mut bob, &mut eve] {
        line.sees("pasted").await;
    }
    bob.asks(json!({ "type": "resize", "cols": 100, "rows": 30 })).await;
    eve.until("the new size", |line| line.state["cols"] == 100 && line.state["rows"] == 30).await;
    bob.asks(json!({ "type": "hand_back" })).await;
    eve.until("it is free", |line| line.state["keyboard"].is_null()).await;
    for line in [&ada, &eve] {
        assert!(!line.seen.contains("from eve") && !line.seen.contains("from bob"), "{}", line.seen);
    }

    drop((ada, bob, eve));
    let events =
        events_until(folder.path(), |events| events.iter().filter(|(_, kind, _)| kind == "left").count() == 3).await;
    let has = |actor: &str, kind: &str, detail: &str| {
        events.iter().any(|it| it.0 == actor && it.1 == kind && it.2.contains(detail))
    };
    assert!(has("token:viewer", "joined", "127.0.0.1"), "{events:?}");
    assert!(has("token:operator", "took-keyboard", "from 127.0.0.1"), "{events:?}");
    assert!(has("token:second", "took-keyboard", "from 127.0.0.1, after token:operator"), "{events:?}");
    assert!(
        has("hub:terminals", "typed", "token:second typed 27 bytes from 127.0.0.1, then handed it back"),
        "{events:?}"
    );
    assert!(has("token:second", "resized", "100 x 30, from 127.0.0.1"), "{events:?}");
    assert!(!events.iter().any(|it| it.2.contains("pas''ted")), "what was typed is nobody's business: {events:?}");
}

/// Actor, kind and detail of all events about terminals, once they are `good`.
async fn events_until(
    data: &std::path::Path,
    good: impl Fn(&[(String, String, String)]) -> bool,
) -> Vec<(String, String, String)> {
    let began = std::time::Instant::now();
    loop {
        let events = events(data).await;
        if good(&events) {
            return events;
        }
        assert!(began.elapsed() < PATIENCE, "{events:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn events(data: &std::path::Path) -> Vec<(String, String, String)> {
    use sqlx::Connection as _;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(data.join("central-mcp.db")).read_only(true);
    let mut db = sqlx::SqliteConnection::connect_with(&options).await.expect("opens");
    let found = sqlx::query_as("select actor, kind, detail from events where topic = 'terminals' order by seq");
    found.fetch_all(&mut db).await.expect("reads")
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_outlive_the_hub() {
    let (folder, hub, operator) = scene().await;
    let pid = listed(&folder, "one")["pid"].clone();
    let mut line = Line::open(&hub, &operator, "one").await;
    line.types("clear; echo bef''ore\r").await;
    line.sees("before").await;
    hub.kill();

    let hub = Hub::start(folder.path());
    let mut line = Line::open(&hub, &operator, "one").await;
    line.sees("before").await;
    assert_eq!(listed(&folder, "one")["pid"], pid);
    line.types("echo aft''er\r").await;
    line.sees("after").await;

    assert!(hub.stop().success());
    line.closes(1012).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_foreign_pages_and_wrong_tickets_are_refused() {
    let (folder, hub, operator) = scene().await;
    let cookie = sign_in(&hub).await;
    let other = sign_in(&hub).await;
    let home = format!("http://localhost:{}", hub.port);
    let host = format!("localhost:{}", hub.port);
    let ticket = async |cookie: &str, name: &str| {
        let ask = reqwest::Client::new().post(format!("{home}/api/terminal_ticket")).header(header::COOKIE, cookie);
        let ask = ask.header(header::ORIGIN, &home).json(&json!({ "name": name }));
        let answer: Value = ask.send().await.expect("an answer").json().await.expect("JSON");
        format!("terminal, ticket.{}", answer["ticket"].as_str().expect("a ticket"))
    };
    let knock = |name: &str, cookie: &str, origin: &str, host: &str, words: &str| {
        let headers = [("cookie", cookie), ("origin", origin), ("host", host), ("sec-websocket-protocol", words)];
        asked(hub.port, name, &headers)
    };

    assert_eq!(refused(asked(hub.port, "one", &[])).await, 401, "nobody");
    assert_eq!(refused(asked(hub.port, "one", &[("authorization", "Bearer cmcp_wrong")])).await, 401, "a wrong token");
    assert_eq!(
        refused(asked(hub.port, "one", &[("authorization", &format!("Bearer {operator}")), ("host", "evil.example")]))
            .await,
        421
    );
    assert_eq!(refused(knock("one", &cookie, &home, &host, "terminal")).await, 403, "no ticket");
    assert_eq!(refused(knock("one", &cookie, &home, &host, "terminal, ticket.00")).await, 403, "a guessed ticket");
    let good = ticket(&cookie, "one").await;
    assert_eq!(refused(knock("one", &cookie, "http://evil.example", &host, &good)).await, 403, "a foreign page");
    let request = asked(hub.port, "one", &[("cookie", &cookie), ("host", &host), ("sec-websocket-protocol", &good)]);
    assert_eq!(refused(request).await, 403, "no page at all");
    let theirs = ticket(&other, "one").await;
    assert_eq!(refused(knock("one", &cookie, &home, &host, &theirs)).await, 403, "another session's ticket");
    done(folder.path(), &["terminal", "start", "two", "--", "bash", "--norc"], "");
    let elsewhere = ticket(&cookie, "two").await;
    assert_eq!(refused(knock("one", &cookie, &home, &host, &elsewhere)).await, 403, "another terminal's ticket");

    // The ticket that the foreign page and the missing page did not use up opens it, once.
    let mut line = Line::of(knock("one", &cookie, &home, &host, &good)).await.expect("opens");
    line.until("a state", |line| line.state["may_type"] == true).await;
    assert_eq!(refused(knock("one", &cookie, &home, &host, &good)).await, 403, "a used ticket");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_or_too_much_closes_the_socket() {
    let (folder, hub, operator) = scene().await;
    let cases: [(&str, Vec<u8>, u16); 6] = [
        ("an unknown first byte", b"2hello".to_vec(), 4009),
        ("an empty frame", Vec::new(), 4009),
        ("no JSON", b"1hello".to_vec(), 4009),
        ("an unknown word", br#"1{"type":"sudo"}"#.to_vec(), 4009),
        ("a word too many", br#"1{"type":"take","as":"owner"}"#.to_vec(), 4009),
        ("a large frame", [b"0".as_slice(), &[b'x'; 70_000]].concat(), 4008),
    ];
    for (what, frame, code) in cases {
        let mut line = Line::open(&hub, &operator, "one").await;
        line.until("a state", |line| line.state.is_object()).await;
        line.send(frame).await;
        line.until(what, |line| line.closed.is_some()).await;
        assert_eq!(line.closed, Some(code), "{what}");
    }
    let mut line = Line::open(&hub, &operator, "one").await;
    for _ in 0..1_000 {
        line.types("").await;
    }
    line.closes(4008).await;

    let mut line = Line::open(&hub, &operator, "none").await;
    line.closes(4004).await;

    // A token that is revoked ends what it opened.
    let made: Value = serde_json::from_str(&done(
        folder.path(),
        &["token", "create", "--name", "brief", "--role", "viewer", "--json"],
        "",
    ))
    .expect("JSON");
    let mut line = Line::open(&hub, made["secret"].as_str().expect("a secret"), "one").await;
    line.until("a state", |line| line.state.is_object()).await;
    let owner = sign_in(&hub).await;
    let home = format!("http://localhost:{}", hub.port);
    let ask = reqwest::Client::new().post(format!("{home}/api/revoke_token")).header(header::COOKIE, owner);
    let ask = ask.header(header::ORIGIN, home).json(&json!({ "id": made["token"]["id"] }));
    assert!(ask.send().await.expect("an answer").status().is_success());
    line.closes(4001).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_link_lets_look_at_one_terminal_until_it_is_revoked() {
    let (_folder, hub, operator) = scene().await;
    let home = format!("http://localhost:{}", hub.port);
    let host = format!("localhost:{}", hub.port);
    let operating = hub.client(&operator);
    let made = operating.call("share_terminal", json!({ "name": "one", "hours": 1 })).await.json();
    let secret =
        made["path"].as_str().and_then(|path| path.strip_prefix("/s#")).expect("a path with a fragment").to_owned();
    let post = async |path: &str, cookie: &str, body: Value| {
        let ask = reqwest::Client::new().post(format!("{home}{path}")).header(header::ORIGIN, &home);
        ask.header(header::COOKIE, cookie).json(&body).send().await.expect("an answer")
    };

    for wrong in ["", "0", &"0".repeat(64), &format!("{secret}0")] {
        assert_eq!(post("/s/open", "", json!({ "secret": wrong })).await.status().as_u16(), 401, "{wrong}");
    }
    let opened = post("/s/open", "", json!({ "secret": secret })).await;
    assert!(opened.status().is_success());
    let cookie = opened.headers()[header::SET_COOKIE].to_str().expect("text").to_owned();
    for mark in ["HttpOnly", "SameSite=Strict", "Path=/s;"] {
        assert!(cookie.contains(mark), "{cookie}");
    }
    let cookie = cookie.split(';').next().expect("a pair").to_owned();
    let opened: Value = opened.json().await.expect("JSON");
    let link = opened["link"].as_str().expect("which link it is");
    let (tickets, socket) = (format!("/s/ticket?link={link}"), format!("/s/ws?link={link}"));
    assert_eq!(post(&tickets, "", json!({})).await.status().as_u16(), 401, "without the cookie");
    let guessed = format!("share-{link}=00");
    assert_eq!(post(&tickets, &guessed, json!({})).await.status().as_u16(), 401, "a guessed cookie");
    // Another link of the same browser: its secret opens its own link alone, whatever the cookie is called.
    let other = operating.call("share_terminal", json!({ "name": "one", "hours": 1 })).await.json();
    let other = other["path"].as_str().and_then(|path| path.strip_prefix("/s#")).expect("a path").to_owned();
    let renamed = format!("share-{link}={other}");
    assert_eq!(post(&tickets, &renamed, json!({})).await.status().as_u16(), 401, "another link's secret");
    // The cookie of a guest is no account.
    for path in ["/api/list_terminals", "/api/terminal_ticket"] {
        assert_eq!(post(path, &cookie, json!({ "name": "one" })).await.status().as_u16(), 401, "{path}");
    }

    let ticket: Value = post(&tickets, &cookie, json!({})).await.json().await.expect("JSON");
    let words = format!("terminal, ticket.{}", ticket["ticket"].as_str().expect("a ticket"));
    let knock = |path: &str| {
        let mut request = format!("ws://127.0.0.1:{}{path}", hub.port).into_client_request().expect("a request");
        let headers = [("cookie", &cookie), ("origin", &home), ("host", &host), ("sec-websocket-protocol", &words)];
        for (key, value) in headers {
            request.headers_mut().insert(key, value.parse().expect("a header"));
        }
        request
    };
    assert_eq!(refused(knock("/terminals/one/ws")).await, 401, "the socket of those who are known");
    let mut guest = Line::of(knock(&socket)).await.expect("opens");
    guest.until("a state", |line| line.state["guests"] == 1).await;
    assert_eq!(guest.state["may_type"], false);
    guest.types("echo from a guest\r").await;
    guest.until("a refusal", |line| line.refused.as_deref().is_some_and(|why| why.contains("look, not type"))).await;
    assert_eq!(refused(knock(&socket)).await, 403, "a used ticket");

    let listed = operating.call("list_links", json!({ "name": "one" })).await.json();
    let listed = listed.as_array().and_then(|all| all.iter().find(|it| it["id"] == link)).expect("it is listed");
    assert_eq!(listed["watchers"], 1);
    operating.call("revoke_link", json!({ "id": link })).await.json();
    guest.closes(4001).await;
    assert_eq!(post("/s/open", "", json!({ "secret": secret })).await.status().as_u16(), 401, "revoked");
    assert!(!hub.log().contains(&secret), "the secret is in no log");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_terminal_says_is_recorded_and_can_be_fetched() {
    let (_folder, hub, operator) = scene().await;
    let operating = hub.client(&operator);
    operating.call("record_terminal", json!({ "name": "one", "on": true })).await.json();
    let mut line = Line::open(&hub, &operator, "one").await;
    line.until("it records", |line| line.state["recording"].is_i64()).await;
    line.types("echo reco''rded\r").await;
    line.sees("recorded").await;
    operating.call("record_terminal", json!({ "name": "one", "on": false })).await.json();
    line.until("it records no more", |line| line.state["recording"].is_null()).await;

    let all = operating.call("list_recordings", json!({ "name": "one" })).await.json();
    let (id, ended) = (all[0]["id"].as_str().expect("an id"), &all[0]["ended_at"]);
    assert!(ended.is_i64() && all[0]["bytes"].as_i64() > Some(100), "{all}");
    let text = operating.get(&format!("/casts/{id}.cast")).await.text;
    let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    assert_eq!(lines.next().expect("a header")["version"], 3);
    let said: String =
        lines.filter(|event| event[1] == "o").map(|event| event[2].as_str().unwrap_or_default().to_owned()).collect();
    assert!(said.contains("recorded"), "{said}");
    assert_eq!(hub.stranger().get(&format!("/casts/{id}.cast")).await.status.as_u16(), 401);
    operating.call("delete_recording", json!({ "id": id })).await.json();
    assert_eq!(operating.get(&format!("/casts/{id}.cast")).await.status.as_u16(), 404);
}
