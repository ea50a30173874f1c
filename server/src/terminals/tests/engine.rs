//! One session, many who watch it.

use super::*;

#[tokio::test]
async fn what_is_typed_is_seen() {
    let house = House::new();
    house.start("a", &["cat"]).await;
    let (mut typist, mut viewer) = (house.viewer("a").await, house.viewer("a").await);
    typist.watch.feed().write("héllo 漢\r".as_bytes()).await.expect("typed");
    let twice = |screen: &str| screen.matches("héllo 漢").count() == 2;
    typist.sees(Pace::Now, "the echo and the answer", twice).await;
    viewer.sees(Pace::Calm, "the echo and the answer", twice).await;
    assert_eq!(typist.state(), viewer.state());
    assert_eq!(typist.snapshots, 1);
    // The keys of tmux itself do nothing.
    typist.watch.feed().write(b"\x02d\x02c\x02\x02:kill-server\rend\r").await.expect("typed");
    typist.reads("end").await;
    assert_eq!(house.tmux.list().await.expect("lists").len(), 1);
}

#[tokio::test]
async fn a_late_joiner_sees_what_the_first_one_sees() {
    let house = House::new();
    let text: String = (1..=500).map(|line| format!("{line} 漢字 wide {}\n", "x".repeat(line % 70))).collect();
    std::fs::write(house.file("text"), text).expect("written");
    let colours = r"printf '\033[1;31mred\033[m \033[48;2;1;2;3mground\033[m \033[4:3mcurl\033[m\n漢字😀\n\033[3;20r\033[5;1Hin\033[?2004h\033[?1000h'; exec cat";
    house.start("plain", &["sh", "-c", colours]).await;
    house.start("less", &["less", "text"]).await;
    house.start("vi", &["vi", "-u", "NONE", "text"]).await;
    for (name, first, keys, then) in [
        ("plain", "in", "typed\r", "typed"),
        ("less", "1 漢字", "/^300\r", "300 漢字"),
        ("vi", "1 漢字", "400G", "400 漢字"),
    ] {
        let mut live = house.viewer(name).await;
        live.reads(first).await;
        let mut late = house.viewer(name).await;
        late.reads(first).await;
        live.watch.feed().write(keys.as_bytes()).await.expect("typed");
        live.reads(then).await;
        late.sees(Pace::Calm, then, |screen| screen.contains(then)).await;
        // Somebody who joins after it all, and the three of them at rest.
        let mut last = house.viewer(name).await;
        last.reads(then).await;
        alike(&mut [&mut live, &mut late, &mut last]).await;
        assert!(live.terminal.screen().alternate_screen(), "tmux draws on the alternate screen");
        assert_eq!(name != "less", live.terminal.screen().bracketed_paste(), "{name}");
    }
}

#[tokio::test]
async fn the_end_of_a_session_is_told_and_its_last_words_stay() {
    let house = House::new();
    house.script("a", "echo famous last words; read line").await;
    let mut viewer = house.viewer("a").await;
    viewer.reads("famous last words").await;
    viewer.watch.feed().write(b"\r").await.expect("typed");
    viewer.ends_seen(&house.tmux).await;
    assert!(viewer.text().contains("famous last words"), "{}", viewer.text());
    assert!(house.sessions.peek("a").is_none());
    let Err(error) = house.sessions.watch("a").await else { panic!("it does not run") };
    assert!(error.to_string().contains("does not run"), "{error}");
    // A new one of the same name is another one.
    house.script("a", "echo again; cat").await;
    house.viewer("a").await.reads("again").await;
    let mut viewer = house.viewer("a").await;
    house.tmux.stop("a").await.expect("stops");
    viewer.ends_seen(&house.tmux).await;
}

#[tokio::test]
async fn a_client_that_tmux_throws_out_comes_back() {
    let house = House::new();
    house.script("a", "echo before; cat").await;
    let mut viewer = house.viewer("a").await;
    viewer.reads("before").await;
    house.tmux(&["detach-client", "-s", "=a"]);
    // Keys that were on their way are lost, as on any line that breaks.
    until("attached again", async || {
        let typed = viewer.watch.feed().write(b"after\r").await.is_ok();
        while timeout(Duration::from_millis(100), viewer.step(Pace::Now)).await.is_ok() {}
        typed && viewer.text().contains("after")
    })
    .await;
    assert!(viewer.text().starts_with("before\n"), "{}", viewer.text());
}

#[tokio::test]
async fn a_hub_that_comes_back_shows_the_screen_as_it_is() {
    let mut house = House::new();
    house.script("a", "printf 'first\\n\\033[1;32mgreen\\033[m\\n'; cat").await;
    let mut before = house.viewer("a").await;
    before.reads("green").await;
    house.restart();
    let mut after = house.viewer("a").await;
    after.reads("green").await;
    assert_eq!(after.state(), before.state());
    // What was watched before only waits: its hub is gone, its session is not.
    assert!(timeout(Duration::from_millis(100), before.step(Pace::Now)).await.is_err());
    after.watch.feed().write(b"alive\r").await.expect("typed");
    after.reads("alive").await;
}

#[tokio::test]
async fn nobody_watches_and_nothing_runs() {
    let house = House::with_grace(Duration::from_millis(100));
    house.script("a", "echo here; cat").await;
    let mut viewer = house.viewer("a").await;
    viewer.reads("here").await;
    let feed = house.sessions.peek("a").expect("watched");
    assert_eq!(feed.watchers(), 1);
    assert_eq!(house.tmux(&["list-clients"]).lines().count(), 1);
    let mut tap = feed.tap();
    drop(viewer);
    until("left", async || house.tmux(&["list-clients"]).is_empty()).await;
    assert!(house.sessions.peek("a").is_none());
    let end = async { while tap.next(Pace::Every).await != Next::Ended {} };
    timeout(LONG, end).await.expect("a tap does not keep it");
    // Back again, with a larger number.
    let viewer = house.viewer("a").await;
    assert!(viewer.watch.feed().seq() > feed.seq());
}

#[tokio::test]
async fn who_comes_back_within_the_grace_finds_the_same_feed() {
    let house = House::with_grace(Duration::from_secs(5));
    house.script("a", "echo here; cat").await;
    house.viewer("a").await.reads("here").await;
    let feed = house.sessions.peek("a").expect("still attached");
    let mut viewer = house.viewer("a").await;
    viewer.reads("here").await;
    assert!(std::sync::Arc::ptr_eq(&feed, viewer.watch.feed()));
}

#[tokio::test]
async fn another_size_is_told_before_it_is_drawn() {
    let house = House::new();
    let script = "trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done";
    house.script("a", script).await;
    let (mut viewer, mut calm) = (house.viewer("a").await, house.viewer("a").await);
    viewer.reads("ready").await;
    let feed = viewer.watch.feed().clone();
    // A storm, from two sides.
    let storm = async |from: u16| {
        for step in 0..40 {
            feed.resize(60 + from + step, 20 + step % 7).await.expect("resized");
        }
    };
    tokio::join!(storm(0), storm(50));
    feed.resize(100, 30).await.expect("resized");
    viewer.reads("30 100").await;
    calm.sees(Pace::Calm, "the size", |screen| screen.contains("30 100")).await;
    assert_eq!(feed.size(), (100, 30));
    let session = house.tmux.find("a").await.expect("lists").expect("runs");
    assert_eq!((session.cols, session.rows), (100, 30));
    let mut late = house.viewer("a").await;
    late.reads("30 100").await;
    assert_eq!(late.terminal.screen().size(), viewer.terminal.screen().size());
    alike(&mut [&mut viewer, &mut calm, &mut late]).await;
}

#[tokio::test]
async fn a_hidden_page_is_shown_one_screen_a_second() {
    let house = House::new();
    house.script("a", "i=0; while [ $i -lt 150 ]; do i=$((i+1)); echo line $i; sleep 0.01; done; echo END; cat").await;
    let (mut hidden, mut calm) = (house.viewer("a").await, house.viewer("a").await);
    let end = |screen: &str| screen.contains("END");
    tokio::join!(hidden.sees(Pace::Slow, "the end", end), calm.sees(Pace::Calm, "the end", end));
    assert!((1..=5).contains(&hidden.frames), "{}", hidden.frames);
    assert_eq!(hidden.frames, hidden.snapshots);
    assert!(calm.frames <= 130, "{} batches", calm.frames);
    alike(&mut [&mut hidden, &mut calm]).await;
}

#[tokio::test]
async fn what_a_hostile_program_says_reaches_nobody() {
    let house = House::new();
    let queries = r"\033]52;c;aGFja2Vk\007\033]52;c;?\007\033Pq#0~\033\\\033P+q544e\033\\\033P$qm\033\\\033[c\033[>c\033[=c\033[5n\033[6n\033[?6n\033[>q\033[?2026$p\033[20t\033[21t\033[14t\033[?u\033[>1u\033_Gi=1,a=q;AAAA\033\\\033]10;?\007\033]11;?\007\033]4;1;?\007\033]1337;File=x\007\033Ptmux;\033\033]52;c;aGk=\007\033\\\033^pm\033\\\033[?1004h\033]0;a\033\\title\007\033]8;;javascript:alert(1)\007link\033]8;;\007\033Z\005";
    house
        .start(
            "a",
            &[
                "sh",
                "-c",
                &format!("stty -echo; read go; stty raw; printf '{queries}'; printf 'DONE\\r\\n'; exec cat -v"),
            ],
        )
        .await;
    let mut viewers = Vec::new();
    for _ in 0..5 {
        viewers.push(house.viewer("a").await);
    }
    viewers[0].watch.feed().write(b"\r").await.expect("typed");
    for viewer in &mut viewers {
        viewer.reads("DONE").await;
        for wrong in [
            "]52",
            "hacked",
            "aGk",
            "\x1bP",
            "\x1b_",
            "\x1b^",
            "]10;",
            "]11;",
            "]4;",
            "]1337",
            "javascript",
            "\x1b[c",
            "\x1b[>",
            "\x1b[6n",
            "\x1b[5n",
            "$p",
            "?1004",
            "?u",
            "\x1bZ",
        ] {
            assert!(!String::from_utf8_lossy(&viewer.seen).contains(wrong), "{wrong:?}");
        }
    }
    // tmux answers a pane once, whoever watches; what it says to its own client to learn about it is answered by nobody.
    // Raw, and shown by `cat -v`: each answer is on the screen.
    let answers = async || house.tmux.history("a", 50).await.expect("history").0.join("");
    until("tmux's own answer", async || answers().await.contains("^[[0n")).await;
    let answers = answers().await;
    assert_eq!(answers.matches("^[[0n").count(), 1, "{answers}");
    assert!(!answers.contains("52;"), "{answers}");
}

/// What we keep is what tmux keeps, also where a character's width is in doubt.
#[tokio::test]
async fn the_screen_here_is_the_screen_of_tmux() {
    let house = House::new();
    let script = "for sign in '⚠\u{fe0f}' '✔\u{fe0f}' '❤\u{fe0f}' '1\u{fe0f}' '漢' 'e\u{301}' '→' '█' '…'; do \
        printf '%s' \"$sign\"; printf '%070d|' 7; printf '\\033[80G#\\n'; done; printf 'END'; cat";
    house.script("a", script).await;
    let mut viewer = house.viewer("a").await;
    viewer.sees(Pace::Now, "the end", |screen| screen.contains("END")).await;
    let plain = |text: &str| text.replace('\u{fe0f}', "");
    let theirs: Vec<String> =
        house.tmux.history("a", 24).await.expect("history").0.iter().map(|line| plain(line)).collect();
    let lines = viewer.watch.feed().screen_lines();
    let text = |line: &Vec<crate::terminals::Run>| line.iter().map(|run| run.text.as_str()).collect::<String>();
    let ours = lines.iter().map(text).collect::<Vec<_>>().join("\n");
    assert_eq!(ours.lines().map(|line| plain(line.trim_end())).collect::<Vec<_>>(), theirs);
}
