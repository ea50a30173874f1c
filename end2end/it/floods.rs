//! What one terminal does to the others: floods, storms, crowds and those who never read, against the real program. While each
//! lasts, a key in another terminal is seen soon, and neither the hub nor tmux keeps what nobody reads.

use std::{
    path::Path,
    process::Command,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::net::TcpSocket;
use tokio_tungstenite::client_async;

use crate::{
    program::{Folder, Hub, done},
    terminals::{Line, PATIENCE, asked, scene},
};

/// The longest that a key may take to be seen, on a machine that runs other tests beside.
const WORST: Duration = Duration::from_secs(2);
/// Half of all keys are seen within this.
const USUAL: Duration = Duration::from_millis(500);
/// What the hub and tmux may grow by in bytes, all floods together. tmux keeps 50,000 lines of history for each terminal.
const GROWTH: (u64, u64) = (64 << 20, 96 << 20);

struct Flooded {
    folder: Folder,
    hub: Hub,
    operator: String,
    quiet: Line,
    words: usize,
    began: Instant,
}

impl Flooded {
    async fn new() -> Self {
        let (folder, hub, operator) = scene().await;
        done(folder.path(), &["terminal", "start", "quiet", "--", "cat"], "");
        let mut quiet = Line::open(&hub, &operator, "quiet").await;
        quiet.until("a state", |line| line.state.is_object()).await;
        Self { folder, hub, operator, quiet, words: 0, began: Instant::now() }
    }

    async fn viewer(&self, name: &str) -> Line {
        Line::open(&self.hub, &self.operator, name).await
    }

    /// Types into the quiet terminal for so long; fails where it takes too long to be seen.
    async fn stays_quick(&mut self, during: &str, time: Duration) {
        let (began, mut took) = (Instant::now(), Vec::new());
        while began.elapsed() < time || took.len() < 5 {
            self.words += 1;
            let (word, asked) = (format!("word{}.", self.words), Instant::now());
            self.quiet.seen.clear();
            self.quiet.types(&format!("{word}\r")).await;
            self.quiet.sees(&word).await;
            took.push(asked.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        took.sort();
        let (usual, worst) = (took[took.len() / 2], took[took.len() - 1]);
        let all = self.began.elapsed();
        eprintln!("{during}: {} keys, usual {usual:?}, worst {worst:?}; after {all:.1?}", took.len());
        assert!(usual < USUAL && worst < WORST, "during {during}: usual {usual:?}, worst {worst:?}");
    }

    /// What the hub and tmux hold in memory.
    fn memory(&self) -> (u64, u64) {
        let socket = self.folder.path().join("terminals/tmux.sock");
        let said = Command::new("tmux").arg("-S").arg(socket).args(["display", "-p", "#{pid}"]).output().expect("tmux");
        let tmux = String::from_utf8_lossy(&said.stdout).trim().parse().expect("a process id");
        (resident(self.hub.pid()), resident(tmux))
    }
}

/// A process's resident memory in bytes.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).expect("linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn floods_leave_other_terminals_quick_and_memory_bounded() {
    let mut scene = Flooded::new().await;
    let before = scene.memory();
    let time = Duration::from_secs(1);

    // `yes`, with one who looks, and one who never reads.
    let mut typist = scene.viewer("one").await;
    typist.types("yes 0123456789012345678901234567890123456789\r").await;
    typist.sees("9012345678901234567890123456789").await;
    let seen = scene.viewer("one").await.drained();
    let never = {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(2_048).expect("a small buffer");
        let stream = socket.connect(([127, 0, 0, 1], scene.hub.port).into()).await.expect("connects");
        let bearer = format!("Bearer {}", scene.operator);
        client_async(asked(scene.hub.port, "one", &[("authorization", &bearer)]), stream).await.expect("opens")
    };
    scene.stays_quick("yes, with one who never reads", time).await;
    assert!(seen.load(Ordering::Relaxed) > 10_000, "the flood is shown");
    typist.seen.clear();
    typist.types("\x03").await;
    // What is typed before bash is back from the signal, it may lose.
    typist.sees("bash-").await;

    // A file of 100 MB; each of those who look is sent what changes, and not the file.
    let path = scene.folder.path().join("large");
    let line =
        "a line of a large file, one of a million that nobody reads, a hundred letters in all; and so on it goes\n";
    std::fs::write(&path, line.repeat(100_000_000 / line.len())).expect("written");
    typist.seen.clear();
    typist.types(&format!("cat '{}'; echo THE'' END\r", path.display())).await;
    let before_cat = seen.load(Ordering::Relaxed);
    scene.stays_quick("a file of 100 MB", time).await;
    typist.sees("THE END").await;
    let shown = seen.load(Ordering::Relaxed) - before_cat;
    assert!(shown < 50_000_000, "{shown} bytes of a file of 100 MB were sent to one viewer");

    // A storm of sizes, as many as are let through.
    typist.types("clear\r").await;
    let storm = tokio::spawn(async move {
        for step in 0..200_u16 {
            typist.asks(json!({ "type": "resize", "cols": 60 + step % 120, "rows": 20 + step % 40 })).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        typist.asks(json!({ "type": "resize", "cols": 101, "rows": 31 })).await;
        typist.until("the last size", |line| line.state["cols"] == 101 && line.state["rows"] == 31).await;
        typist
    });
    scene.stays_quick("a storm of sizes", time).await;
    let mut typist = tokio::time::timeout(PATIENCE, storm).await.expect("in time").expect("ends");

    // A crowd at a terminal where much happens.
    let mut crowd = Vec::new();
    for _ in 0..200 {
        crowd.push(scene.viewer("one").await.drained());
    }
    typist.until("all are there", |line| line.state["viewers"] == 203).await;
    typist.types("while :; do seq 1 30; sleep 0.05; done\r").await;
    scene.stays_quick("200 viewers", time).await;
    assert!(crowd.iter().all(|bytes| bytes.load(Ordering::Relaxed) > 1_000), "all of them are shown it");
    typist.types("\x03").await;

    let after = scene.memory();
    let grown = (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1));
    eprintln!("the hub grew by {} MB, tmux by {} MB", grown.0 >> 20, grown.1 >> 20);
    assert!(grown.0 < GROWTH.0 && grown.1 < GROWTH.1, "from {before:?} to {after:?} bytes");
    drop(never);
}
