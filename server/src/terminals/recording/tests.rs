//! Recordings against a real SQLite file and real files.

use futures_util::StreamExt as _;
use tempfile::TempDir;

use super::*;
use crate::clock::{DAY, Timestamp};

struct House {
    recordings: Recordings,
    db: Db,
    events: Events,
    clock: Clock,
    tasks: TaskTracker,
    stop: CancellationToken,
    folder: TempDir,
}

impl House {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::by_hand(Timestamp::from_millis(1_800_000_000_000));
        let db = Db::open(&folder.path().join("hub.db")).await.unwrap();
        let events = Events::open(db.clone(), clock.clone()).await.unwrap();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let recordings = open(&db, &events, &clock, &folder, &tasks, &stop).await;
        Self { recordings, db, events, clock, tasks, stop, folder }
    }

    /// The recordings as another start of the hub would see them.
    async fn restarted(&self) -> Recordings {
        open(&self.db, &self.events, &self.clock, &self.folder, &self.tasks, &self.stop).await
    }

    fn files(&self) -> Vec<PathBuf> {
        let folder = self.folder.path().join("terminals/recordings");
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    async fn kinds(&self) -> Vec<String> {
        let all = self.events.after(0, 1_000).await.unwrap();
        assert!(
            all.iter().all(
                |event| event.topic == Topic::Terminals && event.actor == "hub:recordings" || event.actor == "cli"
            )
        );
        all.into_iter().map(|event| event.kind).collect()
    }

    /// A recording of `bytes` that has ended.
    async fn recorded(&self, bytes: &'static [u8]) -> RecordingId {
        let mut recorder = self.recordings.begin("agent-a", 80, 24, "").await.unwrap();
        let id = recorder.id();
        recorder.output(self.clock.now(), Bytes::from_static(bytes)).await.unwrap();
        recorder.finish().await;
        id
    }

    async fn view(&self, id: RecordingId) -> RecordingView {
        self.recordings.get(id).await.unwrap()
    }
}

async fn open(
    db: &Db,
    events: &Events,
    clock: &Clock,
    folder: &TempDir,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Recordings {
    let (events, clock) = (events.clone(), clock.clone());
    Recordings::open(db.clone(), events, clock, folder.path(), tasks.clone(), stop.clone()).await.unwrap()
}

async fn text(recordings: &Recordings, id: RecordingId) -> String {
    let mut pieces = std::pin::pin!(recordings.read(id).await.unwrap());
    let mut all = Vec::new();
    while let Some(piece) = pieces.next().await {
        all.extend_from_slice(&piece.unwrap());
    }
    String::from_utf8(all).unwrap()
}

fn events_of(text: &str) -> Vec<(f64, char, String)> {
    text.lines().skip(1).map(|line| serde_json::from_str(line).expect(line)).collect()
}

async fn until(what: impl AsyncFn() -> bool) {
    for _ in 0..1_000 {
        if what().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("it did not come");
}

/// What a terminal says on a busy day, cut into pieces at arbitrary places.
fn busy() -> Vec<Vec<u8>> {
    let mut said = Vec::new();
    for n in 0..3_000_u32 {
        let words = match n % 7 {
            0 => format!("\x1b[{};{}H\x1b[3{}mzeile {n} größer €\x1b[0m", n % 24 + 1, n % 60 + 1, n % 8),
            1 => format!("line {n}\r\n"),
            2 => "\x1b[2J\x1b[H".to_owned(),
            3 => "\x1b[?2004h\x1b[1;7mx\x1b[m\x08".to_owned(),
            4 => format!("\x1b]2;title {n}\x07🙂\t"),
            5 => "\x1b[?1049h".to_owned(),
            _ => format!("\x1b[K\x1b[{}A~\u{7f}", n % 5),
        };
        said.extend_from_slice(words.as_bytes());
    }
    let mut pieces = Vec::new();
    let mut rest = said.as_slice();
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(1 + pieces.len() * 37 % 400));
        pieces.push(piece.to_vec());
        rest = after;
    }
    pieces
}

#[tokio::test]
async fn what_is_played_back_is_what_was_on_the_screen() {
    use std::os::unix::fs::PermissionsExt as _;
    let house = House::new().await;
    let mut recorder = house.recordings.begin("agent-a", 80, 24, "the title").await.unwrap();
    let id = recorder.id();
    let mut live = vt100::Parser::new(24.try_into().unwrap(), 80.try_into().unwrap(), 0);
    for (n, piece) in busy().into_iter().enumerate() {
        house.clock.advance(7);
        if n == 100 {
            live.screen_mut().set_size(30.try_into().unwrap(), 100.try_into().unwrap());
            recorder.resized(house.clock.now(), 100, 30).await.unwrap();
        }
        live.process(&piece);
        recorder.output(house.clock.now(), piece.into()).await.unwrap();
    }
    recorder.finish().await;

    let text = text(&house.recordings, id).await;
    let header: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!((header["version"].as_u64(), header["title"].as_str()), (Some(3), Some("the title")));
    let mut played = vt100::Parser::new(24.try_into().unwrap(), 80.try_into().unwrap(), 0);
    let mut time = 0.0;
    for (seconds, code, data) in events_of(&text) {
        time += seconds;
        match code {
            'o' => played.process(data.as_bytes()),
            _ => {
                assert_eq!((code, data.as_str()), ('r', "100x30"));
                played.screen_mut().set_size(30.try_into().unwrap(), 100.try_into().unwrap());
            }
        }
    }
    assert_eq!(played.screen().state_formatted(), live.screen().state_formatted());
    let view = house.view(id).await;
    let lasted = view.ended_at.unwrap().since(view.started_at);
    assert!((time * 1_000.0 - lasted as f64).abs() <= 16.0, "{time} s of {lasted} ms");

    let path = house.files().remove(0);
    let about = std::fs::metadata(&path).unwrap();
    assert_eq!((about.permissions().mode() & 0o777, about.len()), (0o600, view.bytes as u64));
    assert!(view.bytes < text.len() as i64 / 2, "{} of {}", view.bytes, text.len());
    assert_eq!(house.kinds().await, ["recording-began", "recording-ended"]);
    assert_eq!(house.recordings.list("agent-a").await.unwrap(), [view]);
    assert!(house.recordings.list("agent-b").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_recording_that_runs_can_be_read_and_a_killed_one_is_settled() {
    let house = House::new().await;
    let mut recorder = house.recordings.begin("agent-a", 80, 24, "").await.unwrap();
    let id = recorder.id();
    assert_eq!(events_of(&text(&house.recordings, id).await), [], "the header stands at once");
    recorder.output(house.clock.now(), Bytes::from_static(b"hello")).await.unwrap();
    // Within some seconds, without anything more being said.
    until(async || events_of(&text(&house.recordings, id).await) == [(0.0, 'o', "hello".to_owned())]).await;
    assert_eq!(house.view(id).await.ended_at, None);
    let running = house.recordings.delete(&Actor::Cli, id).await.unwrap_err();
    assert!(running.to_string().contains("still running"), "{running}");

    // The hub is killed while it writes, and another begins. (Here the first lives on, and is not asked.)
    let path = house.files().remove(0);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, [whole.as_slice(), &whole[..9]].concat()).unwrap();
    std::fs::write(path.with_file_name("00000000-0000-7000-8000-000000000000.cast.zst"), "x").unwrap();
    std::fs::write(path.with_file_name("notes.txt"), "not ours").unwrap();
    let again = house.restarted().await;
    let settled = again.get(id).await.unwrap();
    assert_eq!(settled.bytes, whole.len() as i64);
    assert!(settled.ended_at.is_some());
    assert_eq!(events_of(&text(&again, id).await), [(0.0, 'o', "hello".to_owned())]);
    assert_eq!(house.files().len(), 2, "the file without a row is gone");

    // One whose file never came is no recording.
    std::fs::remove_file(&path).unwrap();
    let mut tx = house.db.write().await.unwrap();
    sqlx::query("update recordings set ended_at = null").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    assert!(house.restarted().await.list("agent-a").await.unwrap().is_empty());
}

#[tokio::test]
async fn one_that_is_dropped_or_whose_hub_ends_has_an_end() {
    let house = House::new().await;
    let mut recorders = Vec::new();
    for terminal in ["dropped", "ended"] {
        let mut recorder = house.recordings.begin(terminal, 80, 24, "").await.unwrap();
        recorder.output(house.clock.now(), Bytes::from_static(b"the last words")).await.unwrap();
        recorders.push(recorder);
    }
    let ids: Vec<_> = recorders.iter().map(Recorder::id).collect();
    drop(recorders.remove(0));
    until(async || house.view(ids[0]).await.ended_at.is_some()).await;
    assert_eq!(house.view(ids[1]).await.ended_at, None);

    house.stop.cancel();
    house.tasks.close();
    house.tasks.wait().await;
    let stopped = recorders[0].output(house.clock.now(), Bytes::from_static(b"!")).await;
    assert_eq!(stopped, Err(Stopped::Closing));
    for id in ids {
        assert!(house.view(id).await.ended_at.is_some());
        assert_eq!(events_of(&text(&house.recordings, id).await), [(0.0, 'o', "the last words".to_owned())]);
    }
}

#[tokio::test]
async fn one_whose_beginner_goes_away_in_the_middle_ends_too() {
    use futures_util::FutureExt as _;
    let house = House::new().await;
    assert!(house.recordings.begin("agent-a", 80, 24, "").now_or_never().is_none());
    until(async || house.kinds().await == ["recording-began", "recording-ended"]).await;
    until(async || house.recordings.0.running().is_empty()).await;
    let left = house.recordings.list("agent-a").await.unwrap();
    assert!(left.len() == 1 && left[0].ended_at.is_some(), "{left:?}");
}

#[tokio::test]
async fn a_full_file_ends_and_another_begins() {
    let house = House::new().await;
    house.recordings.0.limit.store(64 * 1024, Ordering::Relaxed);
    let noise = |n: u32| crate::secrets::hex(&crate::secrets::sha256(&n.to_le_bytes()));
    let (mut sent, mut full) = (0, 0);
    let mut recorder = house.recordings.begin("agent-a", 80, 24, "").await.unwrap();
    let first = recorder.id();
    while full < 3 {
        assert!(sent < 200_000, "no file was ever full");
        let said = (0..16).map(|n| noise(sent * 16 + n)).collect::<String>();
        sent += 1;
        match recorder.output(house.clock.now(), said.into()).await {
            Ok(()) => {}
            Err(stopped) => {
                assert_eq!(stopped, Stopped::Full);
                full += 1;
                recorder.finish().await;
                house.clock.advance(1_000);
                recorder = house.recordings.begin("agent-a", 80, 24, "").await.unwrap();
                recorder.output(house.clock.now(), Bytes::from_static(b"\x1bcsnapshot")).await.unwrap();
            }
        }
    }
    recorder.finish().await;
    let all = house.recordings.list("agent-a").await.unwrap();
    assert_eq!(all.len(), 4);
    assert!(all.iter().all(|it| it.ended_at.is_some() && it.bytes < 3 * 64 * 1024), "{all:?}");
    assert!(all.iter().skip(1).all(|it| it.bytes >= 64 * 1024), "{all:?}");
    assert_eq!(events_of(&text(&house.recordings, all[0].id).await)[0].2, "\u{1b}csnapshot");
    // What was taken in is there, in order, from the first.
    let said: String = events_of(&text(&house.recordings, first).await).into_iter().map(|it| it.2).collect();
    assert!(said.starts_with(&noise(0)) && said.len() > 64 * 1024);
}

#[tokio::test]
async fn a_disk_that_takes_no_more_ends_the_recording_and_nothing_else() {
    let house = House::new().await;
    // As on a full disk: every write to it fails with "no space left on device".
    let full = std::fs::OpenOptions::new().append(true).open("/dev/full").unwrap();
    let running = Arc::new(Running::default());
    let cast = Cast::begin(house.clock.now(), 80, 24, "");
    let id = RecordingId::new(house.clock.now());
    house.recordings.0.running().insert(id, running.clone());
    let new = NewRecording { id, terminal: "agent-a", started_at: house.clock.now(), cols: 80, rows: 24 };
    house.recordings.0.add(&new, 0).await.unwrap();
    let (mut recorder, task) = Recorder::new(id, cast, Writing::of(full), LIMIT, running, house.stop.clone());
    let inner = house.recordings.0.clone();
    house.tasks.spawn(task.run(async move |bytes, failed| inner.ended(id, "agent-a", bytes, failed).await));
    let stopped = loop {
        let said = Bytes::from(vec![b'x'; 10_000]);
        if let Err(stopped) = recorder.output(house.clock.now(), said).await {
            break stopped;
        }
    };
    assert_eq!(stopped, Stopped::Failed);
    recorder.finish().await;
    assert!(house.view(id).await.ended_at.is_some());
    assert_eq!(house.kinds().await, ["recording-began", "recording-failed"]);
    let said = house.events.after(0, 10).await.unwrap().pop().unwrap();
    assert!(said.detail.contains("the disk is full"), "{}", said.detail);

    // No file can be made: the refusal says so, and there is no row.
    std::fs::remove_dir_all(house.folder.path().join("terminals")).unwrap();
    assert!(house.recordings.begin("agent-b", 80, 24, "").await.is_err());
    assert!(house.recordings.list("agent-b").await.unwrap().is_empty());
    assert!(house.recordings.0.running().is_empty());
}

#[tokio::test]
async fn old_recordings_and_those_over_the_limit_go_with_their_files() {
    let house = House::new().await;
    let old = house.recorded(b"old").await;
    house.clock.advance(20 * DAY);
    let older = house.recorded(b"older").await;
    house.clock.advance(DAY);
    let newer = house.recorded(b"newer").await;
    let running = house.recordings.begin("agent-a", 80, 24, "").await.unwrap();
    assert_eq!(house.recordings.prune(30, u64::MAX).await.unwrap(), 0);
    assert_eq!(house.recordings.prune(7, u64::MAX).await.unwrap(), 1);
    assert!(house.recordings.get(old).await.is_err());
    assert_eq!(house.files().len(), 3);
    let both = house.view(newer).await.bytes + house.view(running.id()).await.bytes;
    assert_eq!(house.recordings.prune(7, both as u64).await.unwrap(), 1);
    assert!(house.recordings.get(older).await.is_err());
    assert_eq!(house.recordings.prune(0, 0).await.unwrap(), 1, "all but the one that runs");
    assert_eq!(house.view(running.id()).await.ended_at, None);
    let id = running.id();
    running.finish().await;
    house.recordings.delete(&Actor::Cli, id).await.unwrap();
    assert!(house.recordings.delete(&Actor::Cli, id).await.is_err() && house.recordings.read(id).await.is_err());
    assert!(house.files().is_empty());
    assert_eq!(house.kinds().await.iter().filter(|kind| *kind == "recordings-pruned").count(), 3);
}
