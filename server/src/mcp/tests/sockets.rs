//! WebSocket on the same path, and the stdio bridge over it. These need a network, so there is a listener.

use futures_util::SinkExt as _;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, Lines};
use tokio_tungstenite::tungstenite::Message;

use super::*;
use crate::{
    auth::Heard,
    clock::MINUTE,
    mcp::bridge::{Bridge, Socket, carry, dial},
};

struct Served {
    house: House,
    address: std::net::SocketAddr,
}

impl Served {
    async fn new() -> Self {
        Self::of(House::new().await).await
    }

    async fn of(house: House) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (hub, router) = (house.hub.clone(), house.router.clone());
        let tasks = hub.tasks.clone();
        tasks.spawn(async move { crate::http::serve(listener, router, &hub).await });
        Self { house, address }
    }

    fn bridge(&self, token: &str) -> Bridge {
        Bridge { url: format!("http://{}/mcp", self.address).parse().unwrap(), token: token.into() }
    }

    async fn open(&self, token: &str) -> Wire {
        Wire(dial(&reqwest::Client::new(), &self.bridge(token)).await.unwrap())
    }
}

/// A client's socket.
struct Wire(Socket);

impl Wire {
    async fn say(&mut self, message: &Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    /// The next message; `None` when the socket has ended.
    async fn hear(&mut self) -> Option<Value> {
        loop {
            let message = tokio::time::timeout(Duration::from_secs(20), self.0.next()).await;
            match message.expect("something is heard within 20 s")? {
                Ok(Message::Text(text)) => return serde_json::from_str(&text).ok(),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The answer to the call `id`, and what was heard before it.
    async fn answer(&mut self, id: u32) -> (Value, Vec<Value>) {
        let mut before = Vec::new();
        loop {
            let message = self.hear().await.unwrap();
            if message["id"] == id {
                return (message, before);
            }
            before.push(message);
        }
    }

    async fn begin(&mut self) {
        let params =
            json!({ "protocolVersion": LEGACY, "capabilities": {}, "clientInfo": { "name": "ws", "version": "1" } });
        self.say(&request(1, "initialize", &params)).await;
        assert_eq!(self.answer(1).await.0["result"]["protocolVersion"], LEGACY);
        self.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
    }
}

fn request(id: u32, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

#[tokio::test]
async fn a_socket_speaks_both_eras() {
    let served = Served::new().await;
    let token = served.house.agent().await;
    let mut old = served.open(&token).await;
    old.begin().await;
    old.say(&request(2, "tools/call", &json!({ "name": "whoami" }))).await;
    assert_eq!(old.answer(2).await.0["result"]["structuredContent"]["agent"], "fox");

    let arguments = with(small("slow"), json!({ "steps": 40 }));
    let params = json!({ "name": "generate_image", "arguments": arguments, "_meta": { "progressToken": 9 } });
    old.say(&request(3, "tools/call", &params)).await;
    let (answer, before) = old.answer(3).await;
    assert_eq!(answer["result"]["structuredContent"]["status"], "done");
    assert!(before.iter().filter(|it| it["params"]["progressToken"] == 9).count() >= 2, "{before:?}");

    let mut new = served.open(&token).await;
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {},
    });
    new.say(&request(1, "server/discover", &json!({ "_meta": meta }))).await;
    assert!(new.answer(1).await.0["result"]["supportedVersions"].is_array());
    new.say(&request(2, "tools/call", &json!({ "name": "whoami", "_meta": meta }))).await;
    assert_eq!(new.answer(2).await.0["result"]["structuredContent"]["agent"], "fox");
    let events = served.house.hub.events.list(&Caller::cli(), EventFilter::newest(50)).await.unwrap();
    assert!(events.iter().any(|event| event.detail == "ws 1 · 2025-11-25 · websocket"));
}

#[tokio::test]
async fn nonsense_on_a_socket_is_answered_and_not_fatal() {
    let served = Served::new().await;
    let token = served.house.agent().await;
    let mut wire = served.open(&token).await;
    wire.begin().await;
    for (text, code) in [("{", -32700), ("[]", -32600), (r#"{"id":5,"method":4}"#, -32600)] {
        wire.0.send(Message::text(text)).await.unwrap();
        assert_eq!(wire.hear().await.unwrap()["error"]["code"], code, "{text}");
    }
    wire.0.send(Message::binary(vec![0_u8; 8])).await.unwrap();
    assert_eq!(wire.hear().await.unwrap()["error"]["code"], -32600);
    wire.say(&request(6, "ping", &json!({}))).await;
    assert_eq!(wire.answer(6).await.0["result"], json!({}));
    // What is far too large ends it.
    wire.0.send(Message::text("x".repeat(5 << 20))).await.ok();
    assert_eq!(wire.hear().await, None);
}

#[tokio::test]
async fn a_socket_reads_large_pictures_one_after_the_other() {
    let served = Served::new().await;
    let token = served.house.agent().await;
    let arguments = json!({ "prompt": "a fox", "width": 64, "height": 64, "steps": 1 });
    let drawn = served.house.facts(&token, "generate_image", arguments).await;
    let mut wire = served.open(&token).await;
    wire.begin().await;
    // More at once than there are places: all are answered, in some order.
    for id in 1..=9 {
        wire.say(&request(id, "resources/read", &json!({ "uri": drawn["images"][0]["uri"] }))).await;
    }
    wire.say(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 77 } })).await;
    let mut answered = std::collections::BTreeSet::new();
    while answered.len() < 9 {
        let message = wire.hear().await.expect("an answer");
        if message["result"]["contents"][0]["blob"].is_string() {
            answered.insert(message["id"].as_i64().unwrap());
        }
    }
    assert_eq!(answered, (1..=9).collect());
}

#[tokio::test]
async fn a_socket_needs_a_token_the_subprotocol_and_no_foreign_page() {
    let served = Served::new().await;
    let token = served.house.agent().await;
    let client = reqwest::Client::new();
    let upgrade = |token: &str, extra: Option<(&str, &str)>, protocol: &str| {
        let mut request = client
            .get(format!("http://{}/mcp", served.address))
            .bearer_auth(token)
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("sec-websocket-protocol", protocol);
        if let Some((name, value)) = extra {
            request = request.header(name, value);
        }
        async move { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(upgrade(&token, None, "mcp").await, 101);
    assert_eq!(upgrade(&token, None, "chat, mcp").await, 101);
    assert_eq!(upgrade("nonsense", None, "mcp").await, 401);
    assert_eq!(upgrade(&token, None, "chat").await, 400);
    assert_eq!(upgrade(&token, Some(("origin", "https://evil.example")), "mcp").await, 403);
    assert_eq!(upgrade(&token, Some(("host", "evil.example")), "mcp").await, 421);
}

#[tokio::test]
async fn a_socket_ends_with_its_token_and_with_the_hub() {
    let served = Served::new().await;
    let (token, other) = (served.house.token(Role::Agent, None, Some(1)).await, served.house.agent().await);
    let (mut ends, mut stays) = (served.open(&token).await, served.open(&other).await);
    ends.begin().await;
    stays.begin().await;
    served.house.clock.advance(crate::clock::DAY + 1);
    assert_eq!(ends.hear().await, None);
    stays.say(&request(6, "ping", &json!({}))).await;
    assert_eq!(stays.answer(6).await.0["result"], json!({}));
    served.house.hub.stop.cancel();
    assert_eq!(stays.hear().await, None);
}

#[tokio::test]
async fn a_socket_that_is_closed_leaves_its_image_alone() {
    let served = Served::new().await;
    let token = served.house.agent().await;
    let mut wire = served.open(&token).await;
    wire.begin().await;
    let params = json!({ "name": "generate_image", "arguments": long("long"), "_meta": { "progressToken": 1 } });
    wire.say(&request(2, "tools/call", &params)).await;
    while wire.hear().await.unwrap()["method"] != "notifications/progress" {}
    let open = served.house.facts(&token, "list_images", json!({ "status": "open" })).await;
    let id = open["images"][0]["id"].as_str().unwrap().to_owned();
    served.house.until(&id, ImageStatus::Running).await;
    drop(wire);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(served.house.image(&id).await.status, ImageStatus::Running);
}

/// A client that knows only stdio: what it writes and what it reads.
struct Stdio {
    input: DuplexStream,
    output: Lines<BufReader<DuplexStream>>,
}

impl Stdio {
    fn begin(bridge: Bridge) -> (Self, tokio::task::JoinHandle<anyhow::Result<()>>) {
        let ((input, theirs), (ours, output)) = (tokio::io::duplex(1 << 20), tokio::io::duplex(1 << 20));
        let carrying = tokio_util::task::TaskTracker::new()
            .spawn(async move { carry(&bridge, BufReader::new(theirs), ours).await });
        (Self { input, output: BufReader::new(output).lines() }, carrying)
    }

    async fn say(&mut self, message: &Value) {
        self.input.write_all(format!("{message}\n").as_bytes()).await.unwrap();
    }

    async fn answer(&mut self, id: u32) -> Value {
        loop {
            let line = tokio::time::timeout(Duration::from_secs(30), self.output.next_line()).await;
            let line = line.expect("a line within 30 s").unwrap().expect("the bridge goes on");
            let message: Value = serde_json::from_str(&line).unwrap();
            if message["id"] == id {
                return message;
            }
        }
    }
}

#[tokio::test]
async fn the_bridge_carries_a_client_and_survives_the_hub() {
    let served = Served::new().await;
    let token = served.house.agent().await;
    let (mut stdio, carrying) = Stdio::begin(served.bridge(&token));
    let params =
        json!({ "protocolVersion": LEGACY, "capabilities": {}, "clientInfo": { "name": "stdio", "version": "1" } });
    stdio.say(&request(1, "initialize", &params)).await;
    assert_eq!(stdio.answer(1).await["result"]["serverInfo"]["name"], "central-mcp");
    stdio.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
    stdio.say(&request(2, "tools/call", &json!({ "name": "generate_image", "arguments": small("a fox") }))).await;
    assert_eq!(stdio.answer(2).await["result"]["structuredContent"]["status"], "done");

    // The hub ends in the middle of a call, and another comes up at the same address with the same data.
    stdio.say(&request(3, "tools/call", &json!({ "name": "generate_image", "arguments": long("long") }))).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let Served { house, address } = served;
    house.hub.close().await;
    let lost = stdio.answer(3).await;
    let known = lost["error"]["message"].as_str().is_some_and(|it| it.contains("goes on"))
        || lost["result"]["structuredContent"]["message"].as_str().is_some_and(|it| it.contains("goes on"));
    assert!(known, "{lost}");

    let hub = Hub::open(house._folder.path(), None, house.clock.clone()).await.unwrap();
    let mcp = Mcp::open(&hub, McpOptions::default());
    let serve = ServeOptions { public_url: None, public_file: |_| false, oauth: None };
    let router = router(hub.clone(), mcp.router(), &serve);
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let serving = hub.clone();
    hub.tasks.spawn(async move { crate::http::serve(listener, router, &serving).await });
    stdio.say(&request(4, "tools/call", &json!({ "name": "whoami" }))).await;
    assert_eq!(stdio.answer(4).await["result"]["structuredContent"]["agent"], "fox");

    // The end of the input is the end.
    let Stdio { input, output } = stdio;
    drop(input);
    tokio::time::timeout(Duration::from_secs(10), carrying).await.expect("it ends").unwrap().unwrap();
    drop(output);
    hub.stop.cancel();
}

#[tokio::test]
async fn the_bridge_says_what_is_wrong_with_the_address_or_the_token() {
    let served = Served::new().await;
    let (_stdio, carrying) = Stdio::begin(served.bridge("nonsense"));
    let error = carrying.await.unwrap().unwrap_err().to_string();
    assert!(error.contains("does not know this token"), "{error}");
    let nobody = Bridge { url: "http://127.0.0.1:1/mcp".parse().unwrap(), token: "x".into() };
    let (_stdio, carrying) = Stdio::begin(nobody);
    let error = carrying.await.unwrap().unwrap_err().to_string();
    assert!(error.contains("no hub answers"), "{error}");
}

#[tokio::test]
async fn whatever_comes_over_an_open_socket_is_heard_of_its_agent() {
    let served = Served::new().await;
    let (token, auth, clock) = (served.house.agent().await, served.house.hub.auth.clone(), &served.house.clock);
    let mut wire = served.open(&token).await;
    wire.begin().await;
    let used = async || auth.tokens(&Caller::cli()).await.unwrap()[0].last_used_at;
    let began = auth.heard("fox").call;
    assert_eq!(began, Some(clock.now()));

    // A ping over a socket that idles is a sign of life, and no call.
    clock.advance(5 * MINUTE);
    wire.say(&request(2, "ping", &json!({}))).await;
    wire.answer(2).await;
    assert_eq!((auth.heard("fox").heartbeat, auth.heard("fox").call), (Some(clock.now()), began));
    // So is what the socket itself says, as the answers to the hub's pings.
    clock.advance(5 * MINUTE);
    wire.0.send(Message::Pong(bytes::Bytes::new())).await.unwrap();
    until("the answer to a ping is heard", || auth.heard("fox").heartbeat == Some(clock.now())).await;
    assert_eq!((used().await, auth.heard("fox").call), (began, began));

    // A call over it is one, as if it had come by itself.
    wire.say(&request(3, "tools/call", &json!({ "name": "whoami" }))).await;
    wire.answer(3).await;
    assert_eq!((used().await, auth.heard("fox").call), (Some(clock.now()), Some(clock.now())));
    // A token that is no agent's is nobody's presence.
    let script = served.house.token(Role::Operator, None, None).await;
    served.open(&script).await.begin().await;
    assert_eq!(auth.heard("operator"), Heard::default());
}

async fn until(what: &str, so: impl Fn() -> bool) {
    for _ in 0..500 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("not within 10 s: {what}");
}
