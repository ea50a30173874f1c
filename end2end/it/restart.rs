//! The hub is started again while somebody watches: what they see is right again within a second.
//!
//! Counted is from the moment the new hub answers `/healthz` to the moment the watcher's screen equals what tmux itself says
//! (`capture-pane`), which another hand has changed while no hub was there. The watcher is a client that comes back by itself, every
//! 100 ms; a page begins with 200 ms and waits longer the longer the hub is gone (`app/src/terminals`), which is its own time.
//! Of three restarts the middle one counts: other tests use the same processors. It takes a few hundredths of a second on a
//! machine that does nothing else.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use server::terminals::Screen;

use crate::{
    client::Client,
    program::{Folder, Hub, done},
    terminals::{Line, PATIENCE, asked, scene},
};

/// From the first answer of the new hub to the right screen.
const WITHIN: Duration = Duration::from_secs(1);
/// Between two tries of the watcher.
const AGAIN: Duration = Duration::from_millis(100);

/// Colours, wide letters, a part of a line: drawn once, then as it is told.
const PICTURE: &str = r#"for n in $(seq 1 30); do printf '\033[3%dmline %d é 漢字 ' $((n % 8)) $n; printf '\033[0m%s\n' ok; done
printf '\033[5;40Hhere'; exec cat"#;

/// tmux, asked without the hub.
fn tmux(folder: &Folder, words: &[&str]) -> String {
    let socket = folder.path().join("terminals/tmux.sock");
    let output = Command::new("tmux").arg("-u").arg("-S").arg(socket).args(words).output().expect("tmux runs");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The lines of a screen, without what is empty at their ends.
fn plain(text: &str) -> Vec<String> {
    let mut lines: Vec<_> = text.lines().map(|line| line.trim_end().to_owned()).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// What the watcher sees: the newest whole screen and what followed it.
fn seen(line: &Line) -> Vec<String> {
    let from = line.seen.rfind("\x1bc").unwrap_or(0);
    let size = |name: &str| line.state[name].as_u64().and_then(|number| number.try_into().ok());
    let (Some(cols), Some(rows)) = (size("cols"), size("rows")) else { return Vec::new() };
    plain(&Screen::shown(cols, rows, &line.seen.as_bytes()[from..]).text())
}

/// Comes back until it is let in, then reads until it sees `wanted`; when that was.
async fn comes_back(port: u16, token: &str, wanted: &[String]) -> Instant {
    let began = Instant::now();
    loop {
        let bearer = format!("Bearer {token}");
        if let Ok(mut line) = Line::of(asked(port, "picture", &[("authorization", &bearer)])).await {
            line.until("the picture", |line| seen(line) == wanted).await;
            return Instant::now();
        }
        assert!(began.elapsed() < PATIENCE, "the hub lets nobody in");
        tokio::time::sleep(AGAIN).await;
    }
}

/// When the hub answers.
async fn answers(port: u16) -> Instant {
    let (began, client) = (Instant::now(), Client::new(&format!("http://127.0.0.1:{port}"), None));
    loop {
        let asked = client.request(reqwest::Method::GET, "/healthz").send().await;
        if asked.is_ok_and(|answer| answer.status().is_success()) {
            return Instant::now();
        }
        assert!(began.elapsed() < PATIENCE, "the hub does not answer");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_of_the_hub_the_screen_is_right_within_a_second() {
    let (folder, mut hub, operator) = scene().await;
    done(folder.path(), &["terminal", "start", "picture", "--", "sh", "-c", PICTURE], "");
    let mut line = Line::open(&hub, &operator, "picture").await;
    line.sees("here").await;
    let port = hub.port;
    let mut took = Vec::new();
    for round in 0..3 {
        assert!(tokio::task::spawn_blocking(move || hub.stop()).await.expect("stops").success());
        line.closes(1012).await;
        // Nobody but tmux knows of this.
        let words = format!("round {round} without a hub");
        tmux(&folder, &["send-keys", "-t", "=picture:", "-l", &words]);
        let until = Instant::now();
        let wanted = loop {
            let screen = plain(&tmux(&folder, &["capture-pane", "-p", "-t", "=picture:"]));
            if screen.iter().any(|line| line.contains(&words)) {
                break screen;
            }
            assert!(until.elapsed() < PATIENCE, "{screen:?}");
        };
        assert!(wanted.iter().any(|line| line.contains("漢字")) && wanted.len() > 20, "{wanted:?}");

        let data = folder.path().to_owned();
        let start = tokio::task::spawn_blocking(move || Hub::start_at(&data, port));
        let (began, answered, right) = tokio::join!(start, answers(port), comes_back(port, &operator, &wanted));
        hub = began.expect("starts");
        took.push(right.saturating_duration_since(answered));
        assert_eq!(plain(&tmux(&folder, &["capture-pane", "-p", "-t", "=picture:"])), wanted, "nothing drew meanwhile");
        line = Line::open(&hub, &operator, "picture").await;
        line.sees("here").await;
    }
    took.sort();
    println!("the screen was right {took:?} after the hub answered again");
    assert!(took[1] <= WITHIN, "the screen was right {took:?} after the hub answered again");
}
