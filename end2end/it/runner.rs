//! Machines beside the hub's own: joined by the real install script, held by real runners, refused for good reasons.
//! Terminals over a link are in `runner_link.rs`.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::Duration,
};

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest as _, protocol::CloseFrame},
};

use crate::{
    client::{Client, answer},
    program::{Folder, Hub, program, token, until},
};

/// The longest that something takes which should be at once, on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A hub, and somebody who may add machines.
pub(crate) struct Scene {
    pub(crate) hub: Hub,
    pub(crate) operator: Client,
    pub(crate) folder: Folder,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::with(Hub::start)
    }

    pub(crate) fn with(start: impl FnOnce(&Path) -> Hub) -> Self {
        let folder = Folder::new();
        let hub = start(folder.path());
        let operator = hub.client(&token(folder.path(), "operator"));
        Self { hub, operator, folder }
    }

    /// Adds a machine; its one-time secret.
    pub(crate) async fn add(&self, name: &str) -> String {
        let made = self.operator.call("add_machine", json!({ "draft": { "name": name } })).await.json();
        made["join"].as_str().unwrap().to_owned()
    }

    /// The same, joined; its key.
    async fn key(&self, name: &str) -> String {
        let join = self.add(name).await;
        let request = self.hub.client(&join).request(Method::POST, "/runner/join");
        answer(request).await.unwrap().json()["key"].as_str().unwrap().to_owned()
    }

    async fn machine(&self, name: &str) -> Value {
        let list = self.operator.call("list_machines", json!({})).await.json();
        list.as_array().unwrap().iter().find(|it| it["name"] == name).cloned().unwrap_or_default()
    }

    /// Waits until a machine is as it should be.
    pub(crate) async fn when(&self, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        until(&format!("{name} is {what}"), SOON, async || {
            let view = self.machine(name).await;
            holds(&view).then_some(view)
        })
        .await
    }

    pub(crate) async fn when_state(&self, name: &str, state: &str) -> Value {
        self.when(name, state, |view| view["state"] == state).await
    }

    pub(crate) async fn remove(&self, name: &str) {
        self.operator.call("remove_machine", json!({ "name": name })).await.json();
    }

    async fn sha256(&self) -> String {
        self.operator.call("machine_program", json!({})).await.json()["sha256"].as_str().unwrap().to_owned()
    }

    /// What the page shows, with folders of a test's own and never a service of this machine.
    fn line(&self, join: &str, sha256: &str, place: &Place) -> String {
        format!(
            "curl -fsSL {}/runner/install.sh | CENTRAL_MCP_RUNNER_TOKEN={join} sh -s -- --sha256 {sha256} --to {} --data {} \
             --no-service",
            self.hub.url,
            place.to().display(),
            place.data().display()
        )
    }

    async fn install(&self, join: &str, sha256: &str, place: &Place) -> Output {
        let mut shell = place.shell();
        shell.arg("-c").arg(self.line(join, sha256, place));
        tokio::task::spawn_blocking(move || shell.output().unwrap()).await.unwrap()
    }

    /// Opens a link as a runner would.
    async fn dial(&self, key: &str) -> WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>> {
        let mut request = format!("ws://127.0.0.1:{}/runner", self.hub.port).into_client_request().unwrap();
        request.headers_mut().insert(header::AUTHORIZATION, format!("Bearer {key}").parse().unwrap());
        connect_async(request).await.unwrap().0
    }
}

/// Where a machine's things are: a home of its own.
struct Place {
    home: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    fn to(&self) -> PathBuf {
        self.home.path().join("bin")
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("runner")
    }

    /// A shell whose home is this; the downloaded program must not find settings of this machine.
    fn shell(&self) -> Command {
        let mut shell = Command::new("sh");
        shell.env("HOME", self.home.path()).env("TMPDIR", self.home.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CENTRAL_MCP_") || name == "XDG_DATA_HOME" {
                shell.env_remove(name);
            }
        }
        shell
    }

    /// Everything that lies in it.
    fn all(&self) -> Vec<PathBuf> {
        std::fs::read_dir(self.home.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    /// The process of the runner that the script has started.
    fn pid(&self) -> Option<String> {
        let pid = std::fs::read_to_string(self.data().join("runner.lock")).ok()?.trim().to_owned();
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let own = self.data().to_string_lossy().into_owned();
        String::from_utf8_lossy(&line).contains(&own).then_some(pid)
    }
}

impl Drop for Place {
    /// The script's runner outlives the script, as it should; a test leaves none behind.
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            let _ = Command::new("kill").arg(pid).status();
        }
        kill_tmux(&self.data());
    }
}

fn kill_tmux(data: &Path) {
    let socket = data.join("terminals/tmux.sock");
    if socket.exists() {
        let _ = Command::new("tmux").arg("-S").arg(socket).arg("kill-server").stderr(Stdio::null()).status();
    }
}

/// A runner that the test has started itself.
pub(crate) struct Runner {
    pub(crate) child: Child,
    pub(crate) data: tempfile::TempDir,
}

impl Runner {
    pub(crate) fn start(hub: &str, token: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), &["--hub", hub, "--token", token])
    }

    pub(crate) fn start_in(data: tempfile::TempDir, args: &[&str]) -> Self {
        Self::start_by(program(), data, args)
    }

    /// By a command that ends where the program's arguments begin.
    pub(crate) fn start_by(mut command: Command, data: tempfile::TempDir, args: &[&str]) -> Self {
        command.arg("runner").args(args).arg("--data").arg(data.path());
        let log = std::fs::File::create(data.path().join("log")).unwrap();
        Self { child: command.stdin(Stdio::null()).stderr(log).spawn().unwrap(), data }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.data.path().join("log")).unwrap()
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        until("the runner ends", SOON, async || self.child.try_wait().unwrap()).await
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        kill_tmux(self.data.path());
        if std::thread::panicking() {
            eprintln!("--- a runner's log ---\n{}", self.log());
        }
    }
}

#[track_caller]
fn well(output: &Output) -> String {
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    said
}

#[track_caller]
pub(crate) fn fails(output: &Output, expected: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains(expected), "expected \"{expected}\", got \"{said}\"");
}

pub(crate) fn frame(word: Value) -> Message {
    Message::binary(format!("2{word}").into_bytes())
}

/// The next word of the hub.
async fn word(socket: &mut WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>) -> Value {
    loop {
        match tokio::time::timeout(SOON, socket.next()).await.unwrap().unwrap().unwrap() {
            Message::Binary(frame) => return serde_json::from_slice(frame.strip_prefix(b"2").unwrap()).unwrap(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Why the hub closed.
async fn closed(socket: &mut WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>) -> CloseFrame {
    loop {
        match tokio::time::timeout(SOON, socket.next()).await.unwrap().unwrap().unwrap() {
            Message::Close(frame) => return frame.unwrap(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn hello(protocol: u32) -> Message {
    frame(json!({ "type": "hello", "protocol": protocol, "version": "0.0.1", "system": "Linux", "data": "/tmp/x",
        "hub": "http://localhost" }))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_install_line_makes_a_machine_and_is_good_for_one() {
    let (scene, place) = (Scene::new(), Place::new());
    let (join, sha256) = (scene.add("gpu-1").await, scene.sha256().await);
    let said = well(&scene.install(&join, &sha256, &place).await);
    assert!(said.contains("This machine is connected to http://localhost:") && said.contains(" as gpu-1."), "{said}");
    assert!(!said.contains(&join), "{said}");

    let view = scene.when("gpu-1", "connected, with facts", |view| !view["facts"].is_null()).await;
    assert_eq!((&view["state"], &view["protocol"]), (&json!("connected"), &json!(1)));
    assert_eq!(view["version"], env!("CARGO_PKG_VERSION"));
    assert!(view["system"].as_str().unwrap().starts_with("Linux "), "{view}");
    assert!(view["facts"]["memory_total"].as_u64().unwrap() > 0, "{view}");
    let mode = |file: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::metadata(place.data().join(file)).unwrap().permissions().mode() & 0o777
    };
    assert_eq!((mode(""), mode("key")), (0o700, 0o600));
    let log = scene.hub.log();
    assert!(!log.contains(&join[4..]), "the secret is in the hub's log");
    let environment = std::fs::read(format!("/proc/{}/environ", place.pid().unwrap())).unwrap();
    assert!(!String::from_utf8_lossy(&environment).contains(&join), "the secret stays with the runner");

    // Once more, on another machine: the secret was used.
    let second = Place::new();
    fails(&scene.install(&join, &sha256, &second).await, "works once");
    assert_eq!(second.all(), Vec::<PathBuf>::new(), "something was left");
    assert_eq!(scene.machine("gpu-1").await["state"], "connected");

    // A new secret for the same machine: it is set up anew, and the runner that was there makes room.
    let before = place.pid().unwrap();
    let again = scene.add("gpu-1").await;
    well(&scene.install(&again, &sha256, &place).await);
    let after = place.pid().unwrap();
    assert_ne!(before, after);
    assert!(!Path::new(&format!("/proc/{before}")).exists(), "the old runner is still there");
    scene.when_state("gpu-1", "connected").await;

    scene.remove("gpu-1").await;
    until("the runner ends", SOON, async || place.pid().is_none().then_some(())).await;
    let log = std::fs::read_to_string(place.data().join("runner.log")).unwrap();
    assert!(log.contains("this machine was removed"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_checksum_installs_nothing_and_spends_nothing() {
    let (scene, place) = (Scene::new(), Place::new());
    let join = scene.add("gpu-1").await;
    fails(&scene.install(&join, &"0".repeat(64), &place).await, "what came is not the hub's program");
    assert_eq!(place.all(), Vec::<PathBuf>::new(), "something was left");
    assert_eq!(scene.machine("gpu-1").await["state"], "invited");
    let joined = answer(scene.hub.client(&join).request(Method::POST, "/runner/join")).await.unwrap().json();
    assert_eq!(joined["machine"], "gpu-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_is_wrong_used_or_cut_short_does_nothing() {
    let (scene, place) = (Scene::new(), Place::new());
    let script = scene.hub.stranger().get("/runner/install.sh").await.text;
    let run = |script: &str, args: &[&str]| {
        std::fs::write(place.home.path().join("script"), script).unwrap();
        let output = place.shell().arg(place.home.path().join("script")).args(args).output().unwrap();
        std::fs::remove_file(place.home.path().join("script")).unwrap();
        assert_eq!(place.all(), Vec::<PathBuf>::new(), "something was left");
        output
    };
    let join = scene.add("gpu-1").await;
    let sha256 = scene.sha256().await;
    let good = ["--token", &join, "--sha256", &sha256, "--to", "/nonexistent/bin"];
    let lines: Vec<_> = script.lines().collect();
    for cut in (0..lines.len()).step_by(7).chain([lines.len() - 1]) {
        let output = run(&lines[..cut].join("\n"), &good);
        assert!(output.stdout.is_empty(), "{cut} lines: {}", String::from_utf8_lossy(&output.stdout));
    }
    for (args, expected) in [
        (&[][..], "there is no token"),
        (&["--token", "cmcp_x", "--sha256", &sha256], "there is no token"),
        (&["--token", "cmj_\"\nurl=x", "--sha256", &sha256], "the token is damaged"),
        (&["--token", &join], "there is no checksum"),
        (&["--token"], "needs a value"),
        (&["--magic"], "is not understood"),
        (&["--token", &join, "--sha256", &sha256, "--data", "runner"], "must begin with /"),
        (&["--token", &join, "--sha256", &sha256, "--data", "/a b"], "letters"),
    ] {
        fails(&run(&script, args), expected);
    }
    for foreign in [
        "http://hub.example.org",
        "http://localhost.example.org:3000",
        "http://127.example.org",
        "http://127.0.0.1.example.org/x",
        "http://[::2]:3000",
    ] {
        fails(&run(&script.replace(&scene.hub.url, foreign), &good), "add --insecure");
    }
    for own in ["http://localhost", "http://127.0.0.1:9", "http://[::1]:9", "https://hub.example.org"] {
        // Nothing answers there, or the first thing that it needs is missing: but it was not refused for its name.
        let output = run(&script.replace(&scene.hub.url, own).replace("has curl || { has wget", "{ false"), &good);
        fails(&output, "curl or GNU wget is needed");
    }
    let arm = script.replace("system='Linux ", "system='Linux z");
    fails(&run(&arm, &good), "the hub's program is for Linux z");
    assert_eq!(scene.machine("gpu-1").await["state"], "invited");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_gets_neither_the_program_nor_a_key_and_is_slowed() {
    let scene = Scene::new();
    let agent = token(scene.folder.path(), "operator");
    let join = scene.add("gpu-1").await;
    let key = scene.key("gpu-2").await;
    let ask = |method: Method, path: &str, token: Option<&str>| {
        let client = token.map_or_else(|| scene.hub.stranger(), |token| scene.hub.client(token));
        answer(client.request(method, path))
    };
    for wrong in [None, Some(agent.as_str()), Some("cmj_0000"), Some("nonsense")] {
        ask(Method::GET, "/runner/program", wrong).await.unwrap().refuses(401, "page Machines");
        ask(Method::POST, "/runner/join", wrong).await.unwrap().refuses(401, "page Machines");
    }
    ask(Method::POST, "/runner/join", Some(&key)).await.unwrap().refuses(401, "lets no machine in");
    // Who has a secret gets exactly the program that was promised.
    for good in [&join, &key] {
        let bytes = scene.hub.client(good).bytes("/runner/program").await;
        let sum: String = <sha2::Sha256 as sha2::Digest>::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(sum, scene.sha256().await);
    }
    // What is for machines opens nothing else.
    assert_eq!(scene.hub.client(&key).get("/overview").await.status, StatusCode::UNAUTHORIZED);
    let mut last = None;
    for _ in 0..30 {
        last = Some(ask(Method::POST, "/runner/join", Some("cmj_0000")).await.unwrap());
    }
    last.unwrap().refuses(429, "too many machines that the hub does not know");
    // A machine that the hub knows is not slowed by them.
    assert_eq!(ask(Method::POST, "/runner/join", Some(&join)).await.unwrap().json()["machine"], "gpu-1");
    let mut socket = scene.dial(&key).await;
    socket.send(hello(1)).await.unwrap();
    assert_eq!(word(&mut socket).await, json!({ "type": "welcome", "machine": "gpu-2" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_protocol_is_refused_in_words() {
    let scene = Scene::new();
    let key = scene.key("gpu-1").await;
    for (protocol, expected) in [
        (0, "this runner speaks protocol 0, the hub speaks 1; run the install line again (page Machines)"),
        (2, "this runner speaks protocol 2, the hub only 1; update the hub"),
    ] {
        let mut socket = scene.dial(&key).await;
        socket.send(hello(protocol)).await.unwrap();
        let refused = word(&mut socket).await;
        assert_eq!(refused, json!({ "type": "refused", "code": 4010, "why": expected }));
        let frame = closed(&mut socket).await;
        assert_eq!((u16::from(frame.code), frame.reason.as_str()), (4010, expected));
    }
    assert_eq!(scene.machine("gpu-1").await["state"], "away");
    // What is not understood is no reason to keep a socket either.
    for odd in [Message::binary("hello"), Message::text("2{}"), frame(json!({ "type": "welcome", "machine": "x" }))] {
        let mut socket = scene.dial(&key).await;
        socket.send(odd).await.unwrap();
        assert_eq!(word(&mut socket).await["code"], 4009);
        assert_eq!(u16::from(closed(&mut socket).await.code), 4009);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_whose_key_is_withdrawn_says_so_and_ends_with_3() {
    let scene = Scene::new();
    let mut runner = Runner::start(&scene.hub.url, &scene.add("gpu-1").await);
    scene.when_state("gpu-1", "connected").await;
    scene.remove("gpu-1").await;
    assert_eq!(runner.ended().await.code(), Some(3));
    assert!(runner.log().contains("this machine was removed"), "{}", runner.log());
    // And from then on at its first word.
    let data = std::mem::replace(&mut runner.data, tempfile::tempdir().unwrap());
    let mut again = Runner::start_in(data, &[]);
    assert_eq!(again.ended().await.code(), Some(3));
    assert!(again.log().contains("does not know this machine"), "{}", again.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_link_of_the_same_machine_closes_the_older() {
    let scene = Scene::new();
    let key = scene.key("gpu-1").await;
    let mut first = scene.dial(&key).await;
    first.send(hello(1)).await.unwrap();
    assert_eq!(word(&mut first).await["type"], "welcome");
    let mut runner = Runner::start(&scene.hub.url, &key);
    assert_eq!(u16::from(closed(&mut first).await.code), 4005);
    scene.when("gpu-1", "the runner", |view| view["version"] == env!("CARGO_PKG_VERSION")).await;
    let mut third = scene.dial(&key).await;
    third.send(hello(1)).await.unwrap();
    assert_eq!(word(&mut third).await["type"], "welcome");
    // Two that push each other out for ever would help nobody.
    assert_eq!(runner.ended().await.code(), Some(3));
    assert!(runner.log().contains("another runner came with this machine's key"), "{}", runner.log());
    assert_eq!(scene.machine("gpu-1").await["state"], "connected");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_outlives_its_hub_and_ends_in_order() {
    let mut scene = Scene::new();
    let join = scene.add("gpu-1").await;
    let mut runner = Runner::start(&scene.hub.url, &join);
    scene.when_state("gpu-1", "connected").await;
    let port = scene.hub.port;
    scene.hub.kill();
    scene.hub = Hub::start_at(scene.folder.path(), port);
    scene.operator = scene.hub.client(&token(scene.folder.path(), "operator"));
    scene.when_state("gpu-1", "connected").await;
    assert!(runner.log().contains("away from the hub: "), "{}", runner.log());

    runner.signal("-TERM");
    assert_eq!(runner.ended().await.code(), Some(0), "{}", runner.log());
    let view = scene.when_state("gpu-1", "away").await;
    assert!(view["since"].as_i64().is_some_and(|since| since > 0), "{view}");

    // Without a word: what it needs is kept. The token that is still in its settings was used, and does no harm.
    for args in [&[][..], &["--hub", &scene.hub.url.clone(), "--token", &join]] {
        let data = std::mem::replace(&mut runner.data, tempfile::tempdir().unwrap());
        runner = Runner::start_in(data, args);
        scene.when_state("gpu-1", "connected").await;
        runner.signal("-TERM");
        assert_eq!(runner.ended().await.code(), Some(0), "{}", runner.log());
        scene.when_state("gpu-1", "away").await;
    }
}
