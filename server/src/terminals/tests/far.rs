//! Sessions of another machine: a runner's end with a real tmux, the hub's end, and a link between them that can be cut.

use bytes::Bytes;
use tokio::{sync::mpsc, task::JoinHandle};

use super::{super::far::*, *};
use crate::{
    error::{Error, FailureKind},
    terminals::JSON,
};

/// The largest frame of a link (`runner/words.rs`).
const FRAME: usize = 1 << 20;

/// A runner on its machine, and the hub far away.
struct Far {
    house: House,
    holder: Holder,
    machine: Machine,
    hub: Sessions,
    stop: CancellationToken,
    link: Option<[JoinHandle<()>; 2]>,
}

impl Far {
    /// Linked, with the sessions of `house`.
    async fn new() -> Self {
        let house = House::new();
        let stop = CancellationToken::new();
        let holder = Holder::open(house.folder.path(), TaskTracker::new(), stop.clone(), Clock::default());
        let machine = Machine::new("pod", Clock::default());
        let place = Place::There(machine.clone());
        let grace = Duration::from_secs(10);
        let hub = Sessions::with_grace(place, TaskTracker::new(), stop.clone(), Clock::default(), grace);
        let mut far = Self { house, holder: holder.expect("tmux"), machine, hub, stop, link: None };
        far.connect().await;
        far
    }

    async fn connect(&mut self) {
        // As small as the real one.
        let ((out, mut sent), (pass, inn), (back, from)) = (mpsc::channel(16), mpsc::channel(16), mpsc::channel(16));
        TaskTracker::new().spawn(async move {
            while let Some(frame) = sent.recv().await {
                let frame: Bytes = frame;
                // What is larger cuts the link.
                if frame.len() > FRAME || pass.send(frame).await.is_err() {
                    break;
                }
            }
        });
        let (holder, machine) = (self.holder.clone(), self.machine.clone());
        let there = TaskTracker::new().spawn(async move { holder.serve(LinkEnd { out, inn: from }).await });
        let here = TaskTracker::new().spawn(async move { machine.serve(home(), LinkEnd { out: back, inn }).await });
        self.link = Some([there, here]);
        until("connected", async || self.machine.away().is_none()).await;
    }

    /// Both ends lose the link at once.
    async fn cut(&mut self) {
        for end in self.link.take().into_iter().flatten() {
            end.abort();
            let _ = end.await;
        }
    }

    async fn listed(&self, name: &str) {
        until(name, async || self.machine.known().iter().any(|session| session.name == name)).await;
    }

    async fn viewer(&self, name: &str) -> Viewer {
        self.listed(name).await;
        Viewer::new(self.hub.watch(name).await.expect("watched"))
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn home() -> Home {
    Home { data: "/data".to_owned(), hub: "https://hub.example".to_owned() }
}

/// A hub's end whose other end is the test itself.
fn by_hand() -> (Machine, JoinHandle<()>, mpsc::Sender<Bytes>, mpsc::Receiver<Bytes>) {
    let machine = Machine::new("pod", Clock::default());
    let ((out, inn), (back, from)) = (mpsc::channel(64), mpsc::channel(64));
    let hub = machine.clone();
    let served = TaskTracker::new().spawn(async move { hub.serve(home(), LinkEnd { out: back, inn }).await });
    (machine, served, out, from)
}

fn word(json: &str) -> Bytes {
    [&[JSON], json.as_bytes()].concat().into()
}

const ONE_SESSION: &str = r#"{"type":"sessions","sessions":[{"id":"$0","name":"a","pid":1,"cols":80,"rows":24,"started_at":0,"activity":0,"bell":false,"lines":24,"title":"\u001b]52;c;x\u0007t"}]}"#;

#[tokio::test]
async fn what_is_typed_here_is_seen_here_and_there() {
    let far = Far::new().await;
    far.house.script("a", "printf '\\033]2;far away\\007'; exec cat").await;
    let (mut here, mut there) = (far.viewer("a").await, far.house.viewer("a").await);
    until("the way for keys", async || here.watch.feed().write("héllo 漢\r".as_bytes()).await.is_ok()).await;
    let twice = |screen: &str| screen.matches("héllo 漢").count() == 2;
    here.sees(Pace::Calm, "the echo and the answer", twice).await;
    there.sees(Pace::Calm, "the echo and the answer", twice).await;
    alike(&mut [&mut here, &mut there]).await;
    until("the title", async || here.watch.feed().title() == "far away").await;

    // Somebody who comes later, and another size.
    let mut late = far.viewer("a").await;
    late.sees(Pace::Now, "the same", twice).await;
    here.watch.feed().resize(100, 30).await.expect("resized");
    until("the new size", async || far.house.tmux.find("a").await.expect("asked").expect("runs").cols == 100).await;
    for viewer in [&mut here, &mut late] {
        until("keys", async || viewer.watch.feed().write(b"stty size\r").await.is_ok()).await;
        viewer.sees(Pace::Now, "the picture", |screen| screen.contains("stty size")).await;
        assert_eq!(viewer.watch.feed().size(), (100, 30));
    }
}

#[tokio::test]
async fn orders_are_carried_out_and_answered() {
    let far = Far::new().await;
    let place = far.hub.place().clone();
    let launch = |name: &str, argv: &[&str]| Launch {
        name: name.to_owned(),
        argv: argv.iter().map(ToString::to_string).collect(),
        cols: 80,
        rows: 24,
        ..Launch::default()
    };
    place.start(&launch("many", &["sh", "-c", "seq 1 9000; exec cat"])).await.expect("starts");
    // Who has started one finds it.
    assert!(place.find("many").await.expect("asked").is_some());
    until("all lines", async || place.history("many", 9100).await.expect("history").total == 9000).await;
    let history = place.history("many", 8000).await.expect("history");
    assert_eq!((history.lines.len(), history.lines[0].as_str(), history.lines[7999].as_str()), (8000, "1001", "9000"));
    assert_eq!(place.find_lines("many", "899", 3).await.expect("found")[0], (1, "8999".to_owned()));
    assert!(place.screen("many").await.expect("screen").contains(&"9000".to_owned()));

    let Err(Error::Refused(twice)) = place.start(&launch("many", &[])).await else { panic!("it runs already") };
    assert_eq!(twice.kind, FailureKind::Conflict);
    let missing = Launch { missing: Some("install it".to_owned()), ..launch("lacks", &["/not/there"]) };
    assert_eq!(place.start(&missing).await.expect("a shell starts"), Began::Shell, "and it says so");
    until("the banner", async || {
        place.screen("lacks").await.expect("screen").first().is_some_and(|line| line == "install it")
    })
    .await;

    place.stop("many").await.expect("stops");
    assert!(place.find("many").await.expect("asked").is_none());
    let Err(Error::Refused(gone)) = place.stop("many").await else { panic!("it does not run") };
    assert_eq!(gone.kind, FailureKind::NotFound);
}

#[tokio::test]
async fn a_cut_link_loses_no_session_and_the_screen_is_right_again() {
    let mut far = Far::new().await;
    far.house.script("a", "while read line; do echo \"heard $line\"; done").await;
    let (mut here, mut there) = (far.viewer("a").await, far.house.viewer("a").await);
    until("keys", async || here.watch.feed().write(b"one\r").await.is_ok()).await;
    here.reads("heard one").await;

    far.cut().await;
    until("away", async || far.machine.away().is_some()).await;
    assert!(here.text().contains("heard one"), "the last picture stays");
    until("no way for keys", async || here.watch.feed().write(b"lost\r").await.is_err()).await;
    let Err(Error::Refused(away)) = far.hub.place().stop("a").await else { panic!("nobody can stop it now") };
    assert!(away.kind == FailureKind::Outside && away.message.contains("pod"), "{}", away.message);
    // Meanwhile work goes on there.
    there.watch.feed().write(b"two\r").await.expect("typed");
    there.reads("heard two").await;

    far.connect().await;
    here.reads("heard two").await;
    assert!(!here.text().contains("lost"), "what was refused is not typed later");
    alike(&mut [&mut here, &mut there]).await;
    until("keys", async || here.watch.feed().write(b"three\r").await.is_ok()).await;
    here.reads("heard three").await;
}

#[tokio::test]
async fn a_session_that_ended_while_the_link_was_cut_is_told_so() {
    let mut far = Far::new().await;
    far.house.start("a", &["cat"]).await;
    let mut here = far.viewer("a").await;
    far.cut().await;
    far.house.tmux.stop("a").await.expect("stops");
    // Another one of the same name is another session.
    far.house.start("keeps", &["cat"]).await;
    far.house.start("a", &["cat"]).await;
    far.connect().await;
    here.ends().await;
    let mut again = far.viewer("a").await;
    until("keys", async || again.watch.feed().write(b"new\r").await.is_ok()).await;
    again.reads("new").await;
}

#[tokio::test]
async fn a_flood_waits_at_its_machine_while_another_session_answers_at_once() {
    let mut far = Far::new().await;
    far.house.start("flood", &["yes", "a line that is said again and again"]).await;
    far.house.start("quiet", &["cat"]).await;
    far.cut().await;
    // A link that carries one frame every few milliseconds.
    let ((out, mut slow), (fast, inn)) = (mpsc::channel::<Bytes>(4), mpsc::channel::<Bytes>(4));
    let (back, from) = mpsc::channel(64);
    let (holder, machine) = (far.holder.clone(), far.machine.clone());
    let carried = TaskTracker::new().spawn(async move {
        let mut bytes = 0;
        while let Some(frame) = slow.recv().await {
            bytes += frame.len();
            tokio::time::sleep(Duration::from_millis(2 + frame.len() as u64 / 2048)).await;
            if fast.send(frame).await.is_err() {
                break;
            }
        }
        bytes
    });
    let there = TaskTracker::new().spawn(async move { holder.serve(LinkEnd { out, inn: from }).await });
    let here = TaskTracker::new().spawn(async move { machine.serve(home(), LinkEnd { out: back, inn }).await });
    until("connected", async || far.machine.away().is_none()).await;

    let mut flood = far.viewer("flood").await;
    flood.reads("a line that is said").await;
    let mut quiet = far.viewer("quiet").await;
    for round in 0..20 {
        let text = format!("round {round}");
        let clock = crate::clock::Stopwatch::start();
        until("keys", async || quiet.watch.feed().write(format!("{text}\r").as_bytes()).await.is_ok()).await;
        quiet.reads(&text).await;
        // The flood's window and one snapshot may be before it.
        assert!(clock.elapsed() < Duration::from_secs(2), "{:?}", clock.elapsed());
    }
    far.link = Some([there, here]);
    far.cut().await;
    assert!(carried.await.expect("counted") > 0);
}

#[tokio::test]
async fn a_machine_is_not_trusted_more_than_its_programs() {
    // What is not understood, and a name or title that is none.
    let (machine, served, out, _from) = by_hand();
    out.send(word(ONE_SESSION)).await.expect("sent");
    until("listed", async || machine.known().len() == 1).await;
    assert!(!machine.known()[0].title.contains('\u{1b}'), "{}", machine.known()[0].title);
    out.send(word(&ONE_SESSION.replace(r#""name":"a""#, r#""name":"../a""#))).await.expect("sent");
    until("dropped", async || machine.known().is_empty()).await;
    out.send(word(r#"{"type":"takes over"}"#)).await.expect("sent");
    timeout(LONG, served).await.expect("the link is closed").expect("served");
    assert!(machine.away().is_some());
}

#[tokio::test]
async fn what_is_large_does_not_cut_the_link() {
    let far = Far::new().await;
    // A line of 1.5 MB, many of them with much in it, and a screen whose every cell has colours of its own.
    let line = "head -c 1500000 /dev/zero | tr '\\0' x; echo; seq -f '%.0f│──┤' 1 40000; echo end; exec cat";
    far.house.script("lines", line).await;
    let colours = "i=0; while [ $i -lt 48000 ]; do i=$((i+1)); \
        printf '\\033[38;2;%d;%d;%dm\\033[48;2;%d;%d;%dm@' $((i%256)) $((i/256)) $((i%99)) $((i%77)) $((i/256)) $((i%55)); \
        done; exec cat";
    far.house.sized("colours", &["sh", "-c", colours], 320, 150).await;
    far.listed("lines").await;
    let place = far.hub.place().clone();
    until("the end", async || place.find_lines("lines", "end", 1).await.is_ok_and(|found| !found.is_empty())).await;
    let history = place.history("lines", 50_000).await.expect("a history");
    assert!(history.lines.len() > 30_000 && history.lines.iter().all(|line| line.len() <= 4_096));
    let found = place.find_lines("lines", "xxxx", 1).await.expect("found");
    assert!(found.iter().all(|(_, line)| line.len() <= 1_024));

    let mut here = far.viewer("colours").await;
    let mut there = far.house.viewer("colours").await;
    let full = |screen: &str| screen.matches('@').count() > 47_000;
    there.sees(Pace::Now, "all of it", full).await;
    here.sees(Pace::Now, "all of it", full).await;
    let mut late = far.viewer("colours").await;
    late.sees(Pace::Now, "all of it", full).await;
    assert!(far.machine.away().is_none() && far.machine.links() == 1, "the link was cut");
}

#[tokio::test]
async fn belongings_stay_in_their_folder() {
    let house = House::new();
    let data = house.folder.path();
    let good = Belongings {
        folder: "agents/a".into(),
        old: vec!["old.json".to_owned()],
        files: vec![("new.json".to_owned(), "secret".to_owned())],
        work: Some("work".to_owned()),
    };
    good.lay(data).expect("written");
    std::fs::write(data.join("agents/a/old.json"), "x").expect("written");
    // Again, with what is there.
    good.lay(data).expect("written");
    assert_eq!(std::fs::read_to_string(data.join("agents/a/new.json")).expect("there"), "secret");
    assert!(!data.join("agents/a/old.json").exists() && data.join("agents/a/work").is_dir());
    let mode = |path: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::metadata(data.join(path)).expect("there").permissions().mode() & 0o777
    };
    assert_eq!((mode("agents/a"), mode("agents/a/new.json")), (0o700, 0o600));
    for folder in ["..", "/etc", "agents/../../x", ""] {
        assert!(Belongings { folder: folder.into(), ..good.clone() }.lay(data).is_err(), "{folder}");
        assert!(Belongings { folder: folder.into(), ..good.clone() }.remove(data).is_err(), "{folder}");
    }
    for name in ["../x", "/etc/x", "", "a/b"] {
        let files = vec![(name.to_owned(), String::new())];
        assert!(Belongings { files, ..good.clone() }.lay(data).is_err(), "{name}");
    }
    good.remove(data).expect("removed");
    assert!(!data.join("agents/a/new.json").exists() && data.join("agents/a/work").is_dir());
}
