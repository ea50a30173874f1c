//! The room with a real tmux, a real database, and a machine called `pod` whose link can be cut.

use tokio::{sync::mpsc, task::JoinHandle};

use super::{super::*, *};
use crate::{
    caller::Caller,
    db::Db,
    error::{Error, FailureKind},
    events::Events,
    terminals::store,
};

/// A hub's rooms. Its tmux and its database outlive it.
struct Hub {
    folder: TempDir,
    db: Db,
    events: Events,
    room: Terminals,
    stop: CancellationToken,
}

impl Hub {
    async fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("cm").tempdir_in("/tmp").expect("a folder");
        let db = Db::open(&folder.path().join("hub.db")).await.expect("a database");
        let events = Events::open(db.clone(), Clock::default()).await.expect("events");
        let stop = CancellationToken::new();
        let room = room(&db, &events, &folder, &stop).await;
        Self { folder, db, events, room, stop }
    }

    /// The hub dies and comes back.
    async fn restart(&mut self) {
        self.stop.cancel();
        self.stop = CancellationToken::new();
        self.room = room(&self.db, &self.events, &self.folder, &self.stop).await;
    }

    async fn start(&self, name: &str, machine: Option<&str>) -> Result<(), Error> {
        let (command, machine) = (vec!["cat".to_owned()], machine.map(str::to_owned));
        let draft = TerminalDraft { name: name.to_owned(), command, folder: "/".to_owned(), machine };
        self.room.start(&Caller::cli(), draft).await
    }

    fn tmux(&self, words: &[&str]) -> String {
        tmux(&self.folder, words)
    }

    async fn live(&self) -> Vec<String> {
        let mut live: Vec<_> = self.room.live().await.expect("asked").into_iter().map(|session| session.name).collect();
        live.sort();
        live
    }

    /// The names of the terminals that are wanted.
    async fn wanted(&self) -> Vec<String> {
        let rows = store::list(self.db.read()).await.expect("rows");
        rows.into_iter().filter(|row| row.wanted).map(|row| row.name).collect()
    }

    /// The subjects of the events of this kind.
    async fn log(&self, kind: &str) -> Vec<String> {
        let all = self.events.after(0, 1000).await.expect("events");
        all.into_iter().filter(|event| event.kind == kind).map(|event| event.subject).collect()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.stop.cancel();
        self.tmux(&["kill-server"]);
    }
}

async fn room(db: &Db, events: &Events, folder: &TempDir, stop: &CancellationToken) -> Terminals {
    let (tasks, clock) = (TaskTracker::new(), Clock::default());
    Terminals::open(db.clone(), events.clone(), clock, folder.path(), tasks, stop.clone()).await.expect("a room")
}

fn tmux(folder: &TempDir, words: &[&str]) -> String {
    by_hand(&folder.path().join("terminals/tmux.sock"), words)
}

/// The machine.
struct Pod {
    folder: TempDir,
    holder: Holder,
    link: Option<[JoinHandle<()>; 2]>,
}

impl Pod {
    async fn new(hub: &Hub) -> Self {
        let folder = tempfile::Builder::new().prefix("cm").tempdir_in("/tmp").expect("a folder");
        let holder = Holder::open(folder.path(), TaskTracker::new(), CancellationToken::new(), Clock::default());
        let mut pod = Self { folder, holder: holder.expect("tmux"), link: None };
        pod.connect(hub).await;
        pod
    }

    async fn connect(&mut self, hub: &Hub) {
        let ((out, inn), (back, from)) = (mpsc::channel(64), mpsc::channel(64));
        let (holder, room) = (self.holder.clone(), hub.room.clone());
        let home = Home { data: self.folder.path().display().to_string(), hub: "https://hub.example".to_owned() };
        let there = TaskTracker::new().spawn(async move { holder.serve(LinkEnd { out, inn: from }).await });
        let here = TaskTracker::new().spawn(async move { room.connect("pod", home, LinkEnd { out: back, inn }).await });
        self.link = Some([there, here]);
        until("connected", async || hub.room.away("pod").is_none()).await;
    }

    async fn cut(&mut self) {
        for end in self.link.take().into_iter().flatten() {
            end.abort();
            let _ = end.await;
        }
    }

    fn tmux(&self, words: &[&str]) -> String {
        tmux(&self.folder, words)
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

#[track_caller]
fn refused<T>(result: Result<T, Error>) -> crate::error::Failure {
    match result {
        Err(Error::Refused(failure)) => failure,
        Err(Error::Inside(cause)) => panic!("failed inside: {cause:#}"),
        Ok(_) => panic!("was not refused"),
    }
}

#[tokio::test]
async fn what_ended_while_the_hub_looked_is_not_started_again() {
    let mut hub = Hub::new().await;
    for name in ["done", "stays", "stopped"] {
        hub.start(name, None).await.expect("starts");
    }
    hub.room.stop(&Caller::cli(), "stopped").await.expect("stops");
    hub.tmux(&["kill-session", "-t", "=done"]);
    assert_eq!(hub.live().await, ["stays"]);
    hub.room.settle_ended().await.expect("written");
    assert_eq!((hub.wanted().await, hub.log("ended").await), (vec!["stays".to_owned()], vec!["done".to_owned()]));

    // The machine is started anew. Its tmux goes first, and the hub may still see that.
    hub.tmux(&["kill-server"]);
    until("the end of tmux", async || hub.live().await.is_empty()).await;
    hub.room.settle_ended().await.expect("written");
    hub.restart().await;
    assert_eq!(hub.room.resume().await.expect("resumes"), 1);
    assert_eq!(hub.live().await, ["stays"]);
}

#[tokio::test]
async fn what_ended_while_the_hub_was_away_is_not_started_again() {
    let mut hub = Hub::new().await;
    hub.start("done", None).await.expect("starts");
    hub.start("stays", None).await.expect("starts");
    hub.stop.cancel();
    hub.tmux(&["kill-session", "-t", "=done"]);
    hub.restart().await;
    assert_eq!(hub.room.resume().await.expect("resumes"), 0);
    assert_eq!((hub.live().await, hub.wanted().await), (vec!["stays".to_owned()], vec!["stays".to_owned()]));
    assert_eq!(hub.log("ended").await, ["done"]);
}

#[tokio::test]
async fn a_machine_starts_again_only_what_did_not_end() {
    let hub = Hub::new().await;
    let mut pod = Pod::new(&hub).await;
    hub.start("done", Some("pod")).await.expect("starts");
    hub.start("only", Some("pod")).await.expect("starts");
    // The hub looks.
    pod.tmux(&["kill-session", "-t", "=done"]);
    until("its end", async || hub.log("ended").await == ["done"]).await;
    hub.start("later", Some("pod")).await.expect("starts");
    // Nobody does.
    pod.cut().await;
    pod.tmux(&["kill-session", "-t", "=later"]);
    pod.connect(&hub).await;
    until("its end", async || hub.log("ended").await == ["done", "later"]).await;
    assert_eq!((hub.live().await, hub.wanted().await), (vec!["only".to_owned()], vec!["only".to_owned()]));
    // It is started anew. Its tmux goes first, and the hub may still see that.
    pod.tmux(&["kill-server"]);
    until("the end of tmux", async || hub.live().await.is_empty()).await;
    hub.room.settle_ended().await.expect("written");
    pod.cut().await;
    pod.connect(&hub).await;
    until("its return", async || hub.live().await == ["only"]).await;
    assert_eq!(hub.log("ended").await, ["done", "later"]);
}

#[tokio::test]
async fn a_terminal_whose_machine_is_away_is_started_nowhere_else() {
    let mut hub = Hub::new().await;
    let mut pod = Pod::new(&hub).await;
    hub.start("a", Some("pod")).await.expect("starts");
    let clash = refused(hub.start("a", None).await);
    assert_eq!(clash.kind, FailureKind::Conflict);
    pod.cut().await;
    for _ in 0..2 {
        let away = refused(hub.start("a", Some("hub")).await);
        assert!(away.kind == FailureKind::Conflict && away.message.contains("the machine pod, which is not connected"));
        // A hub that has not met the machine yet says the same.
        hub.restart().await;
    }
    let unknown = refused(hub.start("b", Some("no-such")).await);
    assert!(unknown.kind == FailureKind::Outside && unknown.message.contains("no-such is not connected"));
    hub.start("b", Some("hub")).await.expect("the hub's own");
    assert_eq!(hub.room.machine_of("b"), None);
}

#[tokio::test]
async fn a_removed_machine_takes_its_terminals_links_and_viewers_along() {
    let hub = Hub::new().await;
    let mut pod = Pod::new(&hub).await;
    let who = Caller::cli();
    hub.start("a", Some("pod")).await.expect("starts");
    hub.start("b", Some("pod")).await.expect("starts");
    hub.start("here", None).await.expect("starts");
    let secret = |link: NewLink| link.path.trim_start_matches("/s#").to_owned();
    let far = hub.room.share(&who, "a", 1).await.expect("shared");
    let link = far.link.id;
    let (far, near) = (secret(far), secret(hub.room.share(&who, "here", 1).await.expect("shared")));
    let seat = hub.room.guest(link).await.expect("a seat");
    let (hands, mut eyes) = hub.room.join(Who::Known(who.clone()), "a", "127.0.0.1").await.expect("joins");
    // Away, its viewers wait; they must not wait for ever.
    pod.cut().await;
    hub.room.forget_machine(&who.actor, "pod").await.expect("forgotten");
    timeout(LONG, seat.ended()).await.expect("the guest hears it");
    let end = async { while eyes.screen.next(Pace::Now).await != Next::Ended {} };
    timeout(LONG, end).await.expect("the viewer hears it");
    hands.leave();
    refused(hub.room.open_link(&far, "127.0.0.1").await);
    assert_eq!(hub.room.open_link(&near, "127.0.0.1").await.expect("opens").terminal, "here");
    assert_eq!(
        (hub.log("removed").await, hub.log("link-revoked").await),
        (vec!["a".into(), "b".into()], vec!["a".into()])
    );
    // The name is free.
    hub.start("a", None).await.expect("starts");
    assert!(hub.room.links(&who, "a").await.expect("asked").is_empty());
}

#[tokio::test]
async fn a_session_started_by_hand_is_a_terminal_while_it_runs() {
    let hub = Hub::new().await;
    let pod = Pod::new(&hub).await;
    hub.start("mine", Some("pod")).await.expect("starts");
    for name in ["hand", "agent-x"] {
        pod.tmux(&["new-session", "-d", "-s", name, "cat"]);
    }
    until("both are listed", async || hub.room.machine_of("hand").is_some()).await;
    assert_eq!(hub.live().await, ["hand", "mine"], "nobody makes an agent's terminal by hand");
    pod.tmux(&["kill-session", "-t", "=hand"]);
    pod.tmux(&["kill-session", "-t", "=mine"]);
    until("it is forgotten", async || hub.room.machine_of("hand").is_none()).await;
    assert_eq!(hub.room.machine_of("mine").as_deref(), Some("pod"), "what is stored stays");
}

#[tokio::test]
async fn a_paste_is_in_brackets_where_the_program_wants_it_so() {
    let hub = Hub::new().await;
    for (name, asks, arrives) in [("plain", "", "one^Mtwo"), ("asks", "\\033[?2004h", "^[[200~one^Mtwo^[[201~")] {
        let script = format!("stty raw -echo; printf '{asks}READY'; exec cat -v");
        let draft = TerminalDraft {
            name: name.to_owned(),
            command: ["sh", "-c", &script].map(str::to_owned).to_vec(),
            folder: "/".to_owned(),
            machine: None,
        };
        hub.room.start(&Caller::cli(), draft).await.expect("starts");
        let screen = async || hub.room.screen_text(name).await.expect("its screen").join("");
        until("the program", async || screen().await.contains("READY")).await;
        let (hands, _eyes) = hub.room.join(Who::Known(Caller::cli()), name, "192.0.2.1").await.expect("joins");
        until("what it asked for", async || hands.feed.pastes_in_brackets() != asks.is_empty()).await;
        hands.ask(Request::Paste { text: "one\ntwo".to_owned() }).await.expect("pastes");
        until("the paste", async || screen().await.contains("two")).await;
        assert_eq!(screen().await, format!("READY{arrives}"));
    }
}

#[tokio::test]
async fn a_key_that_does_not_arrive_takes_the_keyboard_and_counts_for_nothing() {
    let hub = Hub::new().await;
    let mut pod = Pod::new(&hub).await;
    hub.start("a", Some("pod")).await.expect("starts");
    let (hands, _eyes) = hub.room.join(Who::Known(Caller::cli()), "a", "127.0.0.1").await.expect("joins");
    pod.cut().await;
    until("away", async || hub.room.away("pod").is_some()).await;
    assert_eq!(refused(hands.typed(b"lost").await).kind, FailureKind::Outside);
    assert!(hands.holds());
    until("the word of it", async || hub.log("took-keyboard").await == ["a"]).await;
    pod.connect(&hub).await;
    until("the way for keys", async || hands.typed(b"kept\r").await.is_ok()).await;
    hands.ask(Request::HandBack).await.expect("handed back");
    until("the word of it", async || !hub.log("typed").await.is_empty()).await;
    let all = hub.events.after(0, 1000).await.expect("events");
    let typed: Vec<_> = all.iter().filter(|event| event.kind == "typed").map(|event| event.detail.as_str()).collect();
    assert_eq!(typed, ["cli typed 5 bytes from 127.0.0.1, then handed it back"]);
    hands.leave();
}
