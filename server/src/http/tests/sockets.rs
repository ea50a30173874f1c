//! The sockets of terminals over real connections and a real tmux: those who vanish, who do not read, who read slowly.

use std::{net::SocketAddr, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

use super::*;
use crate::{
    clock::Stopwatch,
    http::{serve, serve::patient, terminals::Patience},
    terminals::{Launch, TerminalDraft},
};

/// The longest that anything here may take, also on a busy machine.
const LONG: Duration = Duration::from_secs(30);
/// As much as the kernel may hold of what was not read, at each end: about two pictures.
const NARROW: u32 = 16 * 1024;
/// Letters without end, faster than a terminal is drawn.
const FLOOD: &str = "while :; do head -c 6000 /dev/urandom | base64 -w 150; done";

struct Scene {
    house: House,
    address: SocketAddr,
    token: String,
}

impl Scene {
    async fn new(ping: Duration, stalled: Duration) -> Self {
        let house = House::new().await;
        let options = ServeOptions { public_url: None, public_file: |_| false, oauth: None };
        let router = patient(house.hub.clone(), Router::new(), &options, Patience { ping, stalled });
        // What is accepted inherits it: else the kernel would take megabytes before the hub has to wait.
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_send_buffer_size(NARROW).unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = socket.listen(64).unwrap();
        let address = listener.local_addr().unwrap();
        let hub = house.hub.clone();
        house.hub.tasks.spawn(async move { serve(listener, router, &hub).await.unwrap() });
        let token = house.token(Role::Operator, None).await;
        Self { house, address, token }
    }

    async fn start(&self, name: &str, script: &str) {
        let command = ["sh", "-c", script].map(str::to_owned).to_vec();
        let draft = TerminalDraft { name: name.into(), command, folder: String::new(), machine: None };
        self.house.hub.terminals.start(&Caller::cli(), draft).await.unwrap();
    }

    /// A viewer whose kernel takes at most about `unread` bytes.
    async fn viewer(&self, name: &str, unread: Option<u32>) -> Line {
        let socket = TcpSocket::new_v4().unwrap();
        if let Some(unread) = unread {
            socket.set_recv_buffer_size(unread).unwrap();
        }
        let stream = socket.connect(self.address).await.unwrap();
        let uri = format!("ws://localhost:{}/terminals/{name}/ws", self.address.port());
        let mut request = uri.into_client_request().unwrap();
        request.headers_mut().insert("authorization", format!("Bearer {}", self.token).parse().unwrap());
        let (socket, _) = client_async(request, stream).await.unwrap();
        Line { socket, seen: String::new(), state: Value::Null, bytes: 0, snapshots: 0 }
    }

    /// Viewers of a terminal, and who holds its keyboard.
    async fn at(&self, name: &str) -> (usize, Option<String>) {
        let view = self.house.hub.terminals.get(&Caller::cli(), name).await.unwrap();
        (view.viewers, view.keyboard)
    }

    /// Waits until so many are at a terminal.
    async fn until(&self, name: &str, viewers: usize) {
        let began = Stopwatch::start();
        while self.at(name).await.0 != viewers {
            assert!(began.elapsed() < LONG, "{:?} at {name}, not {viewers}", self.at(name).await);
            sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let socket = self.house._folder.path().join("terminals/tmux.sock");
        let _ = std::process::Command::new("tmux").arg("-S").arg(socket).arg("kill-server").output();
    }
}

/// One viewer. It answers pings while it reads, as every client does.
struct Line {
    socket: WebSocketStream<TcpStream>,
    /// The newest of what was shown.
    seen: String,
    state: Value,
    /// Bytes for the emulator in all, and how many frames began with a reset.
    bytes: usize,
    snapshots: usize,
}

impl Line {
    /// Takes one message; `false` at the end.
    async fn step(&mut self) -> bool {
        match self.socket.next().await {
            Some(Ok(Message::Binary(frame))) if frame[0] == b'0' => {
                self.bytes += frame.len() - 1;
                if frame[1..].starts_with(b"\x1bc") {
                    self.snapshots += 1;
                    self.seen.clear();
                }
                self.seen.push_str(&String::from_utf8_lossy(&frame[1..]));
                let surplus = self.seen.floor_char_boundary(self.seen.len().saturating_sub(64 * 1024));
                self.seen.drain(..surplus);
                true
            }
            Some(Ok(Message::Binary(frame))) => {
                let said: Value = serde_json::from_slice(&frame[1..]).unwrap();
                if said["type"] == "state" {
                    self.state = said;
                }
                true
            }
            Some(Ok(message)) => !message.is_close(),
            Some(Err(_)) | None => false,
        }
    }

    async fn until(&mut self, what: &str, good: impl Fn(&Self) -> bool) {
        let reading = async {
            while !good(self) {
                assert!(self.step().await, "{what}: the socket ended");
            }
        };
        assert!(timeout(LONG, reading).await.is_ok(), "{what}: not within {LONG:?}; {}", self.state);
    }

    /// Reads for so long, and is not cut off.
    async fn reads_for(&mut self, time: Duration) {
        let reading = async { while self.step().await {} };
        assert!(timeout(time, reading).await.is_err(), "the socket ended");
    }

    async fn sends(&mut self, frame: &str) {
        self.socket.send(Message::binary(frame.as_bytes().to_vec())).await.unwrap();
    }
}

/// As a laptop that was closed: its connection is open, and nobody is behind it. Nothing tells the hub so but silence.
#[tokio::test]
async fn a_half_open_socket_loses_its_seat_and_the_keyboard_after_three_pings() {
    let ping = Duration::from_millis(150);
    let scene = Scene::new(ping, LONG).await;
    scene.start("one", "cat").await;
    let (mut gone, mut here) = (scene.viewer("one", None).await, scene.viewer("one", None).await);
    let since = Stopwatch::start();
    gone.sends(r#"1{"type":"take"}"#).await;
    gone.until("the keyboard", |line| line.state["keyboard"]["you"] == true).await;
    here.until("both are there", |line| line.state["viewers"] == 2).await;
    here.until("one is gone, and the keyboard is free", |line| {
        line.state["viewers"] == 1 && line.state["keyboard"].is_null()
    })
    .await;
    assert!(since.elapsed() >= ping * 3, "{:?}: too early", since.elapsed());
    assert_eq!(scene.at("one").await, (1, None));
    // Who only looks, and answers pings, stays.
    here.reads_for(ping * 5).await;
    assert_eq!(scene.at("one").await.0, 1);
    drop(gone);
}

/// The same while there is much to send: what is written meets a full buffer, and nothing reads it.
#[tokio::test]
async fn a_half_open_socket_in_a_flood_loses_its_seat_too() {
    // Whichever comes first: three pings without a word, or a buffer that stays full.
    let scene = Scene::new(Duration::from_millis(150), Duration::from_millis(400)).await;
    scene.start("one", FLOOD).await;
    let gone = scene.viewer("one", Some(NARROW)).await;
    scene.until("one", 1).await;
    scene.until("one", 0).await;
    drop(gone);
}

/// It speaks, so it is not gone; but what it is sent is more than it takes.
#[tokio::test]
async fn who_never_reads_is_let_go_and_slows_nobody() {
    let stalled = Duration::from_millis(400);
    let scene = Scene::new(LONG, stalled).await;
    scene.start("flood", FLOOD).await;
    scene.start("quiet", "stty -echo; exec cat").await;
    let mut reader = scene.viewer("flood", None).await;
    let mut quiet = scene.viewer("quiet", None).await;
    reader.until("the flood", |line| line.bytes > 10_000).await;
    quiet.until("a state", |line| line.state.is_object()).await;
    let (mut sink, unread) = scene.viewer("flood", Some(NARROW)).await.socket.split();
    scene.until("flood", 2).await;
    let began = Stopwatch::start();
    for number in 0.. {
        let alive = Message::binary(br#"1{"type":"alive"}"#.to_vec());
        // Once it was let go, its words reach nobody.
        let _ = timeout(Duration::from_millis(1), sink.send(alive)).await;
        let (word, asked) = (format!("word{number}."), Stopwatch::start());
        quiet.sends(&format!("0{word}\r")).await;
        quiet.until(&word, |line| line.seen.contains(&word)).await;
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?} for an echo", asked.elapsed());
        reader.reads_for(Duration::from_millis(50)).await;
        if scene.at("flood").await.0 == 1 {
            break;
        }
        assert!(began.elapsed() < LONG, "it still has its seat");
    }
    assert!(began.elapsed() >= stalled, "{:?}: too early", began.elapsed());
    let before = reader.bytes;
    reader.until("the flood goes on", |line| line.bytes > before + 10_000).await;
    drop((sink, unread));
}

#[tokio::test]
async fn who_reads_late_is_shown_the_screen_as_it_is_and_little_of_the_past() {
    let scene = Scene::new(LONG, LONG).await;
    let enough = scene.house._folder.path().join("enough");
    let script = format!(
        "read go; until test -e {}; do head -c 6000 /dev/urandom | base64 -w 150; done; \
         printf '\\033[H\\033[2JTHE END'; exec cat",
        enough.display()
    );
    scene.start("one", &script).await;
    let (mut reader, mut sleeper) = (scene.viewer("one", None).await, scene.viewer("one", Some(NARROW)).await);
    sleeper.until("a picture", |line| line.snapshots == 1).await;
    reader.sends("0\r").await;
    reader.until("a flood", |line| line.bytes > 300_000).await;
    std::fs::write(&enough, "").unwrap();
    reader.until("the end", |line| line.seen.contains("THE END")).await;
    sleeper.until("the end", |line| line.seen.contains("THE END")).await;
    assert!(sleeper.snapshots > 1, "what it missed is left out");
    assert!(sleeper.bytes < reader.bytes, "{} of {} bytes", sleeper.bytes, reader.bytes);
}

/// When one picture is sent, the next is ready: there must be room for a ping between the two.
#[tokio::test]
async fn who_reads_slowly_is_pinged_and_stays() {
    // Long beside what the buffers between hold for so slow a reader (about a second of it).
    let ping = Duration::from_millis(1_500);
    let scene = Scene::new(ping, LONG).await;
    // More than is read, whatever else the machine does.
    scene.start("one", "exec base64 -w 150 /dev/urandom").await;
    let mut line = scene.viewer("one", Some(NARROW)).await;
    let began = Stopwatch::start();
    while began.elapsed() < ping * 4 + ping / 2 {
        assert!(line.step().await, "taken for gone after {:?}, {} bytes", began.elapsed(), line.bytes);
        sleep(Duration::from_millis(100)).await;
    }
    assert!(line.bytes > 10_000, "{} bytes are no flood", line.bytes);
}

#[tokio::test]
async fn a_terminal_that_an_agent_keeps_open_is_its_heartbeat() {
    let mut scene = Scene::new(Duration::from_secs(30), Duration::from_secs(60)).await;
    scene.token = scene.house.fox().await;
    scene.house.clock.advance(5 * 60_000);
    let launch = Launch { name: "agent-fox".into(), argv: vec!["cat".into()], ..Launch::default() };
    scene.house.hub.terminals.start_session(&Caller::cli().actor, launch, None, Some("fox")).await.unwrap();
    let mut line = scene.viewer("agent-fox", None).await;
    assert!(line.step().await);
    let (auth, clock) = (&scene.house.hub.auth, &scene.house.clock);
    assert_eq!(auth.heard("fox").call, Some(clock.now()), "opening it is a call");
    clock.advance(5 * 60_000);
    let began = Stopwatch::start();
    while auth.heard("fox").heartbeat != Some(clock.now()) {
        assert!(began.elapsed() < LONG, "{:?}", auth.heard("fox"));
        sleep(Duration::from_millis(20)).await;
    }
}
