//! The engine with a real tmux: a server of its own for every test, which ends with it.

mod engine;
mod far;
mod flood;
mod fuzz;
mod room;
mod tmux;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Launch,
    feed::{Next, Pace},
    place::Place,
    sessions::{Sessions, Watch},
    tmux::Tmux,
};
use crate::clock::Clock;

/// Longest that anything here may take; only a failure waits so long.
const LONG: Duration = Duration::from_secs(30);

/// A data folder, its tmux server and the hub's side of it.
struct House {
    folder: TempDir,
    tmux: Tmux,
    sessions: Sessions,
    stop: CancellationToken,
}

impl House {
    fn new() -> Self {
        Self::with_grace(Duration::from_secs(10))
    }

    fn with_grace(grace: Duration) -> Self {
        // Not below TMPDIR: the path of a socket is short.
        let folder = tempfile::Builder::new().prefix("cm").tempdir_in("/tmp").expect("a folder");
        let tmux = Tmux::open(folder.path()).expect("tmux");
        let (sessions, stop) = hub(&tmux, grace);
        Self { folder, tmux, sessions, stop }
    }

    /// The hub dies and comes back; tmux lives on.
    fn restart(&mut self) {
        self.stop.cancel();
        self.tmux = Tmux::open(self.folder.path()).expect("tmux");
        (self.sessions, self.stop) = hub(&self.tmux, Duration::from_secs(10));
    }

    async fn start(&self, name: &str, argv: &[&str]) {
        self.sized(name, argv, 80, 24).await;
    }

    async fn sized(&self, name: &str, argv: &[&str], cols: u16, rows: u16) {
        let argv: Vec<String> = argv.iter().map(ToString::to_string).collect();
        let folder = self.folder.path().to_owned();
        let launch = Launch { name: name.to_owned(), argv, folder, cols, rows, ..Launch::default() };
        self.tmux.start(&launch).await.expect("starts");
    }

    /// A session that runs a script.
    async fn script(&self, name: &str, script: &str) {
        self.start(name, &["sh", "-c", script]).await;
    }

    async fn viewer(&self, name: &str) -> Viewer {
        Viewer::new(self.sessions.watch(name).await.expect("watched"))
    }

    /// Runs a command of tmux by hand.
    fn tmux(&self, words: &[&str]) -> String {
        by_hand(self.tmux.socket(), words)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop.cancel();
        by_hand(self.tmux.socket(), &["kill-server"]);
    }
}

fn hub(tmux: &Tmux, grace: Duration) -> (Sessions, CancellationToken) {
    let stop = CancellationToken::new();
    (Sessions::with_grace(Place::Here(tmux.clone()), TaskTracker::new(), stop.clone(), Clock::default(), grace), stop)
}

fn by_hand(socket: &Path, words: &[&str]) -> String {
    let output = std::process::Command::new("tmux").arg("-S").arg(socket).args(words).output().expect("tmux runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits until something holds that nothing wakes us for.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let all = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LONG, all).await.unwrap_or_else(|_| panic!("{what}: not within {LONG:?}"));
}

/// Somebody who watches, with a terminal of their own.
struct Viewer {
    watch: Watch,
    terminal: vt100::Parser,
    /// Every byte that came.
    seen: Vec<u8>,
    snapshots: usize,
    frames: usize,
}

impl Viewer {
    fn new(watch: Watch) -> Self {
        let terminal = vt100::Parser::default();
        let mut viewer = Self { watch, terminal, seen: Vec::new(), snapshots: 0, frames: 0 };
        let (cols, rows) = viewer.watch.feed().size();
        viewer.size(cols, rows);
        viewer
    }

    fn size(&mut self, cols: u16, rows: u16) {
        let number = |number: u16| number.try_into().expect("not 0");
        self.terminal.set_size(number(rows), number(cols));
    }

    /// Takes the next thing; `false` at the end.
    async fn step(&mut self, pace: Pace) -> bool {
        match self.watch.next(pace).await {
            Next::Bytes(frame) => {
                assert_eq!(frame[0], crate::terminals::BYTES);
                self.frames += 1;
                self.snapshots += usize::from(frame[1..].starts_with(b"\x1bc"));
                self.seen.extend_from_slice(&frame[1..]);
                self.terminal.process(&frame[1..]);
                true
            }
            Next::Resized(cols, rows) => {
                self.size(cols, rows);
                true
            }
            Next::Titled | Next::Untyped(_) => true,
            Next::Ended => false,
        }
    }

    /// Reads until the screen is as `fits` says.
    async fn sees(&mut self, pace: Pace, what: &str, fits: impl Fn(&str) -> bool) {
        let reading = async {
            while !fits(&self.text()) {
                assert!(self.step(pace).await, "{what}: the session ended");
            }
        };
        let late = timeout(LONG, reading).await.is_err();
        assert!(!late, "{what}: not within {LONG:?}; the screen is\n{}", self.text());
    }

    async fn reads(&mut self, text: &str) {
        self.sees(Pace::Now, text, |screen| screen.contains(text)).await;
    }

    /// The session ends while somebody looks now and then, as the hub does: tmux keeps what has failed until then.
    async fn ends_seen(&mut self, tmux: &Tmux) {
        let looks = async {
            let mut now_and_then = tokio::time::interval(Duration::from_millis(100));
            loop {
                now_and_then.tick().await;
                tmux.look().await.expect("looks");
            }
        };
        tokio::select! {
            () = self.ends() => {}
            () = looks => {}
        }
    }

    async fn ends(&mut self) {
        let reading = async { while self.step(Pace::Now).await {} };
        timeout(LONG, reading).await.expect("ends");
    }

    fn text(&self) -> String {
        self.terminal.screen().contents()
    }

    /// All there is to a screen: cells, colours, cursor, modes.
    fn state(&self) -> String {
        let screen = self.terminal.screen();
        format!("{}{:?}{}", screen.state_formatted(), screen.cursor_position(), screen.alternate_screen())
    }
}

/// Lets all read until they show the same, which they must when the session rests.
async fn alike(viewers: &mut [&mut Viewer]) {
    let reading = async {
        loop {
            for viewer in viewers.iter_mut() {
                while timeout(Duration::from_millis(50), viewer.step(Pace::Now)).await.is_ok() {}
            }
            if viewers.windows(2).all(|pair| pair[0].state() == pair[1].state()) {
                break;
            }
        }
    };
    if timeout(Duration::from_secs(5), reading).await.is_err() {
        let states: Vec<String> = viewers.iter().map(|viewer| viewer.state()).collect();
        panic!("they differ: {states:#?}");
    }
}
