//! A machine that says too much, the wrong thing, or nothing.

use proptest::prelude::*;

use super::{super::words::LINE, *};

const NOW: Timestamp = Timestamp::from_millis(1_900_000_000_000);

/// The hub's end of a link whose other end is the test.
struct Served {
    machine: Machine,
    clock: Clock,
    out: mpsc::Sender<Bytes>,
    from: mpsc::Receiver<Bytes>,
    served: tokio::task::JoinHandle<()>,
}

impl Served {
    async fn new() -> Self {
        let clock = Clock::by_hand(NOW);
        let machine = Machine::new("pod", clock.clone());
        let ((out, inn), (back, from)) = (mpsc::channel(8), mpsc::channel(8));
        let home = Home { data: "/data".to_owned(), hub: "https://hub.example".to_owned() };
        let hub = machine.clone();
        let served = tokio_util::task::TaskTracker::new()
            .spawn(async move { hub.serve(home, LinkEnd { out: back, inn }).await });
        let new = Self { machine, clock, out, from, served };
        new.lists(vec![session("a")]).await;
        new
    }

    async fn lists(&self, sessions: Vec<SessionInfo>) {
        let mut changes = self.machine.changes();
        self.out.send(json(&Word::Sessions { sessions: Some(sessions) })).await.expect("sent");
        changes.changed().await.expect("told");
    }

    async fn order(&mut self) -> String {
        let frame = self.from.recv().await.expect("an order");
        String::from_utf8_lossy(&frame).into_owned()
    }
}

fn session(name: &str) -> SessionInfo {
    let at = Timestamp::from_millis(i64::MIN);
    let (id, name, title) = ("$0".to_owned(), name.to_owned(), "t".to_owned());
    SessionInfo { id, name, pid: 1, cols: 80, rows: 24, started_at: at, activity: at, bell: false, title }
}

fn said(channel: &Channel, bytes: &'static [u8]) -> Bytes {
    Said { channel: channel.channel, snapshot: false, bytes: Bytes::from_static(bytes) }.frame()
}

#[tokio::test]
async fn more_than_was_let_go_closes_the_link() {
    let mut link = Served::new().await;
    let mut channel = link.machine.watch("a").await.expect("connected");
    assert!(link.order().await.contains("\"watch\""));
    let (first, more) = (said(&channel, b"first"), said(&channel, b"x"));
    link.out.send(first).await.expect("sent");
    let Some(Shown::More(bytes)) = channel.next().await else { panic!("shown") };
    assert_eq!(&bytes[..], b"first");
    // From here on nobody takes any.
    let mut sent = 0;
    while link.out.send(more.clone()).await.is_ok() {
        sent += 1;
        assert!(sent < 10 * FRAMES, "all of it was kept");
    }
    link.served.await.expect("served");
    assert!(link.machine.away().is_some());

    // Few frames, but large.
    let link = Served::new().await;
    let channel = link.machine.watch("a").await.expect("connected");
    let large = Said { channel: channel.channel, snapshot: true, bytes: vec![b'x'; 1 << 20].into() }.frame();
    let mut sent = 0;
    while link.out.send(large.clone()).await.is_ok() {
        sent += 1;
        assert!(sent < 100, "all of it was kept");
    }
    link.served.await.expect("served");
}

#[tokio::test]
async fn no_order_is_lost_on_a_full_link() {
    let mut link = Served::new().await;
    // More than the link holds, all at once.
    let watching: Vec<_> = (0..50)
        .map(|_| {
            let machine = link.machine.clone();
            tokio_util::task::TaskTracker::new().spawn(async move { machine.watch("a").await.expect("connected") })
        })
        .collect();
    for _ in 0..50 {
        assert!(link.order().await.contains("\"watch\""));
    }
    let mut channels = Vec::new();
    for channel in watching {
        channels.push(channel.await.expect("watched"));
    }
    // What has arrived is told, though there was no room when it came.
    let machine = link.machine.clone();
    let asking: Vec<_> = (0..50)
        .map(|_| {
            let machine = machine.clone();
            tokio_util::task::TaskTracker::new().spawn(async move { machine.stop("a").await })
        })
        .collect();
    let mut channel = channels.pop().expect("one");
    link.out.send(said(&channel, b"first")).await.expect("sent");
    assert!(matches!(channel.next().await, Some(Shown::More(_))));
    let number = channel.channel;
    let showing = tokio_util::task::TaskTracker::new().spawn(async move { channel.next().await.is_none() });
    drop(channels);
    let (mut arrived, mut left) = (0, 0);
    while arrived + left < 50 {
        let order = link.order().await;
        arrived += usize::from(order.contains(&format!("\"arrived\",\"channel\":{number},\"bytes\":69")));
        left += usize::from(order.contains("\"leave\""));
    }
    assert_eq!((arrived, left), (1, 49));
    drop(link.out);
    assert!(showing.await.expect("ends"));
    for asked in asking {
        assert!(asked.await.expect("answered").is_err(), "nobody answered");
    }
}

#[tokio::test]
async fn what_a_machine_says_of_its_sessions_is_looked_at() {
    let link = Served::new().await;
    let sized = |cols, rows| SessionInfo { cols, rows, ..session("huge") };
    let titled = SessionInfo { title: "\u{1b}]52;c;x\u{7}t".to_owned(), ..session("b") };
    let wrong = [sized(65_535, 65_535), sized(0, 0), session("../x"), session("-rf"), titled];
    link.lists(wrong.into_iter().chain((0..1_000).map(|n| session(&format!("s{n}")))).collect()).await;
    let known = link.machine.known();
    assert_eq!((known.len(), known[0].name.as_str()), (SESSIONS, "b"));
    assert!(!known[0].title.contains('\u{1b}'), "{}", known[0].title);

    // Its clock is not the hub's: another number means output now, the same one means rest.
    let said = |activity: i64| SessionInfo { activity: Timestamp::from_millis(activity), ..session("a") };
    link.lists(vec![said(1_000)]).await;
    link.clock.advance(60_000);
    link.lists(vec![said(1_000)]).await;
    assert_eq!(link.machine.known()[0].activity, NOW);
    link.lists(vec![said(3_000)]).await;
    assert_eq!(link.machine.known()[0].activity, NOW.plus(60_000));
    assert_eq!(link.machine.known()[0].started_at, NOW);
}

#[tokio::test]
async fn a_machines_refusal_is_not_the_hubs_own() {
    let mut link = Served::new().await;
    for (kind, becomes) in [
        (FailureKind::Unauthorized, FailureKind::Outside),
        (FailureKind::Internal, FailureKind::Outside),
        (FailureKind::NotFound, FailureKind::NotFound),
    ] {
        let machine = link.machine.clone();
        let asked = tokio_util::task::TaskTracker::new().spawn(async move { machine.stop("a").await });
        let order = link.order().await;
        let id = order.split("\"id\":").nth(1).and_then(|rest| rest.split(',').next()).expect("a number");
        let failure = Failure::new(kind, format!("\u{1b}[31m{}", "x".repeat(5_000)));
        let answer = Word::Answer { id: id.parse().expect("a number"), answer: Err(failure) };
        link.out.send(json(&answer)).await.expect("sent");
        let Err(Error::Refused(failure)) = asked.await.expect("answered") else { panic!("refused") };
        assert_eq!(failure.kind, becomes);
        assert!(failure.message.chars().count() <= WORDS && !failure.message.contains('\u{1b}'));
    }
    // Lines without an end cost nothing once nobody waits, and break only what they belong to.
    let machine = link.machine.clone();
    let asked = tokio_util::task::TaskTracker::new().spawn(async move { machine.history("a", 10).await });
    let order = link.order().await;
    let id: u64 = order.split("\"id\":").nth(1).and_then(|rest| rest.split(',').next()).expect("a").parse().expect("a");
    let lines = vec!["x".repeat(LINE); 64];
    let endless = json(&Word::Lines { id, lines });
    while !asked.is_finished() {
        link.out.send(endless.clone()).await.expect("the link stays");
    }
    assert!(asked.await.expect("answered").is_err());
    link.lists(vec![session("b")]).await;
    assert!(link.machine.lock().link.as_ref().expect("there").asked.is_empty());
}

proptest! {
    /// Whatever comes, the hub goes on; what it does not understand ends the link.
    #[test]
    fn any_frame_is_taken_or_ends_the_link(frames in prop::collection::vec(hostile(), 0..20)) {
        let machine = Machine::new("pod", Clock::by_hand(NOW));
        let (out, _orders) = mpsc::channel(8);
        let (left, _leaving) = mpsc::unbounded_channel();
        let home = Home { data: String::new(), hub: String::new() };
        let (asked, channels) = (HashMap::new(), HashMap::new());
        {
            let mut state = machine.lock();
            state.links = 1;
            state.link = Some(Link { home, out, next: 0, asked, channels, left });
            state.away = None;
        }
        let channel = machine.open();
        for frame in frames {
            machine.take(1, &frame);
        }
        prop_assert!(machine.known().iter().all(|one| rules::name(&one.name).is_ok() && rules::size(one.cols, one.rows).is_ok()));
        drop(channel);
    }

    /// Bytes of any session are what was sent.
    #[test]
    fn terminal_bytes_are_read_as_they_were_written(channel: u32, snapshot: bool, bytes: Vec<u8>) {
        let said = Said { channel, snapshot, bytes: bytes.clone().into() };
        let frame = said.frame();
        prop_assert_eq!(Said::read(&frame.slice(1..)), Some(said));
        let frame = super::super::words::keys(channel, &bytes);
        prop_assert_eq!(super::super::words::read_keys(&frame.slice(1..)), Some((channel, bytes.into())));
    }
}

/// Any bytes, and words that are nearly right.
fn hostile() -> impl Strategy<Value = Bytes> {
    let noise = prop::collection::vec(any::<u8>(), 0..64).prop_map(Bytes::from);
    let words = prop_oneof![
        Just(r#"{"type":"sessions","sessions":[]}"#.to_owned()),
        (any::<u16>(), any::<u16>(), any::<i64>(), "[a-z./-]{0,8}").prop_map(|(cols, rows, at, name)| format!(
            r#"{{"type":"sessions","sessions":[{{"id":"$0","name":"{name}","pid":1,"cols":{cols},"rows":{rows},"started_at":{at},"activity":{at},"bell":true,"lines":1,"title":"t"}}]}}"#
        )),
        (any::<u32>(), any::<u16>()).prop_map(|(channel, size)| format!(
            r#"{{"type":"resized","channel":{channel},"cols":{size},"rows":{size}}}"#
        )),
        any::<u64>().prop_map(|id| format!(r#"{{"type":"answer","id":{id},"answer":{{"Ok":"done"}}}}"#)),
        any::<u64>().prop_map(|id| format!(r#"{{"type":"lines","id":{id},"lines":["x"]}}"#)),
    ];
    let words = words.prop_map(|word| Bytes::from([b"1", word.as_bytes()].concat()));
    let bytes = (0..3_u32, prop::bool::ANY, prop::collection::vec(any::<u8>(), 0..64))
        .prop_map(|(channel, snapshot, bytes)| Said { channel, snapshot, bytes: bytes.into() }.frame());
    prop_oneof![noise, words, bytes]
}
