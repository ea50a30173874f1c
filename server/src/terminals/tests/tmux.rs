//! What is asked of tmux, and what it must never do.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::error::{Error, FailureKind};

async fn said(house: &House, name: &str, text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    until(text, async || {
        lines = house.tmux.history(name, 200).await.expect("history").0;
        lines.iter().any(|line| line.contains(text))
    })
    .await;
    lines
}

fn kind(result: Result<(), Error>) -> FailureKind {
    match result {
        Err(Error::Refused(failure)) => failure.kind,
        other => panic!("not a refusal: {other:?}"),
    }
}

#[tokio::test]
async fn sessions_are_started_listed_and_stopped() {
    let house = House::new();
    assert_eq!(house.tmux.list().await.expect("lists"), []);
    house.sized("one", &["cat"], 100, 30).await;
    house.start("two", &[]).await;
    let list = house.tmux.list().await.expect("lists");
    assert_eq!(list.iter().map(|session| session.name.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!((list[0].cols, list[0].rows, list[0].bell, list[0].title.as_str()), (100, 30, false, ""));
    let comm = std::fs::read_to_string(format!("/proc/{}/comm", list[0].pid));
    assert!(comm.is_err() || comm.is_ok_and(|comm| ["cat\n", "env\n"].contains(&comm.as_str())));
    // A name is not a pattern, and not the beginning of one.
    assert!(house.tmux.find("on").await.expect("lists").is_none());
    assert_eq!(kind(house.tmux.stop("on").await), FailureKind::NotFound);
    assert_eq!(kind(house.tmux.stop("o*").await), FailureKind::Invalid);
    assert_eq!(kind(house.tmux.stop("$0").await), FailureKind::Invalid);
    house.tmux.stop("one").await.expect("stops");
    assert_eq!(house.tmux.list().await.expect("lists").len(), 1);
    house.tmux.stop("two").await.expect("stops");
    assert_eq!(house.tmux.list().await.expect("lists"), [], "the server stays, without sessions");
    let socket = house.tmux.socket();
    let mode = std::fs::metadata(socket.parent().expect("a folder")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn versions_are_read_and_configurations_fit_them() {
    use crate::terminals::tmux::{configuration, numbers};
    for (said, version) in [
        ("tmux 3.3a\n", Some((3, 3))),
        ("tmux 3.2", Some((3, 2))),
        ("tmux 3.5a-1", Some((3, 5))),
        ("tmux 3.10", Some((3, 10))),
        ("tmux next-3.6", Some((3, 6))),
        ("tmux openbsd-7.5", Some((u32::MAX, 0))),
        ("screen 4", None),
        ("tmux", None),
    ] {
        assert_eq!(numbers(said), version, "{said}");
    }
    assert!(!configuration((3, 2), "screen").contains("passthrough"));
    assert!(configuration((3, 3), "screen").contains("allow-passthrough off"));
}

/// What our tmux is told is what it does: no key, no clipboard, no passthrough.
#[tokio::test]
async fn the_configuration_is_in_force() {
    let house = House::new();
    house.start("a", &["cat"]).await;
    let conf = house.tmux.socket().with_extension("conf");
    let again =
        std::process::Command::new("tmux").arg("-S").arg(house.tmux.socket()).arg("source-file").arg(conf).output();
    assert_eq!(String::from_utf8_lossy(&again.expect("runs").stderr), "", "every line is understood");
    assert_eq!(house.tmux(&["list-keys"]), "");
    for (scope, option, value) in [
        ("-s", "set-clipboard", "off"),
        ("-s", "exit-empty", "off"),
        ("-g", "prefix", "None"),
        ("-g", "history-limit", "50000"),
        ("-g", "status", "off"),
        ("-gw", "remain-on-exit", "failed"),
    ] {
        assert_eq!(house.tmux(&["show-options", scope, "-v", option]).trim(), value, "{option}");
    }
    assert_eq!(house.tmux(&["show-options", "-w", "-v", "-t", "=a:", "window-size"]).trim(), "manual");
}

#[tokio::test]
async fn what_cannot_be_started_is_refused_in_words() {
    let house = House::new();
    house.start("a", &["cat"]).await;
    let folder = house.folder.path().to_owned();
    let named =
        |name: &str| Launch { name: name.to_owned(), folder: folder.clone(), cols: 80, rows: 24, ..Launch::default() };
    let start = async |launch: Launch| kind(house.tmux.start(&launch).await);
    assert_eq!(start(named("a")).await, FailureKind::Conflict);
    for name in ["", "a b", "a:b", "a.b", "=a", "-t", "ä", "#(touch x)", &"x".repeat(65)] {
        let wanted = if name == "-t" { continue } else { FailureKind::Invalid };
        assert_eq!(start(named(name)).await, wanted, "{name}");
    }
    assert_eq!(start(Launch { folder: house.file("none"), ..named("b") }).await, FailureKind::Invalid);
    let environment = vec![("A B".into(), "x".into())];
    assert_eq!(start(Launch { environment, ..named("b") }).await, FailureKind::Invalid);
    assert_eq!(start(Launch { argv: vec!["x".repeat(20_000)], ..named("b") }).await, FailureKind::Invalid);
    assert_eq!(house.tmux.list().await.expect("lists").len(), 1);
}

#[tokio::test]
async fn arguments_are_taken_as_they_are() {
    let house = House::new();
    let words = ["a;", ";", "\\;", "$HOME", "#{pid}", "#(touch /tmp/never)", "-t", "--", "it's \"so\"", "*", "", "ä;"];
    let show = "for word in \"$@\"; do printf '<%s>' \"$word\"; done; echo; pwd; echo END; cat";
    let mut argv = vec!["sh", "-c", show, "name"];
    argv.extend(words);
    let folder = house.file("a #{pid} #(touch never);");
    std::fs::create_dir(&folder).expect("made");
    let argv = argv.iter().map(ToString::to_string).collect();
    let launch = Launch { name: "a".into(), argv, folder, cols: 200, rows: 24, ..Launch::default() };
    house.tmux.start(&launch).await.expect("starts");
    let lines = said(&house, "a", "END").await;
    let wanted: String = words.iter().map(|word| format!("<{word}>")).collect();
    assert_eq!(lines[0], wanted);
    assert!(lines[1].ends_with("a #{pid} #(touch never);"), "{}", lines[1]);
}

#[tokio::test]
async fn a_program_finds_a_clean_environment_and_its_secrets_are_nobodys_arguments() {
    let house = House::new();
    let launch = |name: &str, argv: [&str; 3], environment: &[(&str, &str)]| Launch {
        name: name.to_owned(),
        argv: argv.map(str::to_owned).to_vec(),
        environment: environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        folder: house.folder.path().to_owned(),
        cols: 200,
        rows: 50,
        ..Launch::default()
    };
    let environment = [("SECRET_TOKEN", "hush; $(x) é"), ("PLAIN", "yes")];
    let secret = launch("a", ["sh", "-c", "env; echo END; exec cat"], &environment);
    house.tmux.start(&secret).await.expect("starts");
    let lines = said(&house, "a", "END").await;
    assert!(
        lines.contains(&"SECRET_TOKEN=hush; $(x) é".to_owned()) && lines.contains(&"PLAIN=yes".to_owned()),
        "{lines:?}"
    );
    let known =
        ["SECRET_TOKEN", "PLAIN", "PATH", "HOME", "USER", "SHELL", "LANG", "TERM", "PWD", "OLDPWD", "SHLVL", "_"];
    let more = ["TERM_PROGRAM", "TERM_PROGRAM_VERSION", "COLORTERM"];
    for line in lines.iter().take_while(|line| *line != "END") {
        let name = line.split('=').next().expect("a name");
        assert!(known.contains(&name) || more.contains(&name), "{line}");
    }
    // A path of its own, without tmux in it.
    let path = launch("path", ["/bin/sh", "-c", "echo \"[$PATH]\"; read line"], &[("PATH", "/nowhere")]);
    house.tmux.start(&path).await.expect("starts");
    said(&house, "path", "[/nowhere]").await;
    // The next one finds nothing of the first one's.
    house.script("b", "env; echo END; exec cat").await;
    let lines = said(&house, "b", "END").await;
    assert!(!lines.iter().any(|line| line.contains("hush") || line.starts_with("PLAIN")), "{lines:?}");
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let arguments = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        assert!(!arguments.windows(8).any(|part| part == b"hush; $("), "{:?}", process.path());
    }
}

#[tokio::test]
async fn history_is_text_of_whole_lines() {
    let house = House::new();
    let script = "printf '\\033[31mred\\033[m\\n'; seq 1 100; printf '%0200d\\n' 7; printf '\\033]0;my title\\007'; echo END; cat";
    house.script("a", script).await;
    let lines = said(&house, "a", "END").await;
    assert_eq!(lines[0], "red");
    assert_eq!(lines.len(), 103);
    assert_eq!(lines[101].len(), 200, "a wrapped line is whole");
    let (few, total) = house.tmux.history("a", 3).await.expect("history");
    assert!((103..=130).contains(&total), "{total}");
    assert_eq!(few.len(), 3);
    assert_eq!(few[2], "END");
    // A line of more rows than were asked for is whole too.
    house.script("long", "printf '%09000d\\n' 7; seq 1 22; echo END; exec cat").await;
    said(&house, "long", "END").await;
    let (lines, total) = house.tmux.history("long", 24).await.expect("history");
    assert_eq!((lines.len(), lines[0].len(), total), (24, 9000, 24));
    let (last, _) = house.tmux.history("long", 1).await.expect("history");
    assert_eq!(last, ["END"]);
    let session = house.tmux.find("a").await.expect("lists").expect("runs");
    assert_eq!(session.title, "my title");
    assert!(matches!(house.tmux.history("none", 5).await, Err(Error::Refused(_))));
}

#[tokio::test]
async fn what_failed_says_how_and_what_it_said_last() {
    let house = House::new();
    house.script("seven", "echo the reason; exit 7").await;
    house.script("killed", "echo up; kill -9 $$").await;
    house.script("well", "echo fine; exit 0").await;
    until("their ends", async || house.tmux.list().await.expect("lists").is_empty()).await;
    let seven = house.tmux.last_words("seven").expect("kept");
    assert_eq!((seven.how.as_str(), seven.lines.as_slice()), ("status 7", ["the reason".to_owned()].as_slice()));
    assert_eq!(house.tmux.last_words("killed").expect("kept").how, "signal 9");
    assert_eq!(house.tmux.last_words("well"), None);
    assert_eq!(house.tmux(&["list-sessions"]), "", "nothing stays");
    // Started again before anybody looked.
    house.script("seven", "exit 7").await;
    until("its end", async || house.tmux(&["list-sessions", "-F", "#{pane_dead}"]).contains('1')).await;
    house.script("seven", "exec cat").await;
    assert_eq!((house.tmux.list().await.expect("lists").len(), house.tmux.last_words("seven")), (1, None));
}

#[tokio::test]
async fn a_bell_is_known_whether_somebody_watches_or_not() {
    let house = House::new();
    house.script("a", "printf '\\007'; echo rang; read go; printf '\\007'; echo again; cat").await;
    said(&house, "a", "rang").await;
    until("the bell", async || house.tmux.find("a").await.expect("lists").expect("runs").bell).await;
    let mut viewer = house.viewer("a").await;
    viewer.reads("rang").await;
    let before = viewer.watch.feed().bells();
    viewer.watch.feed().write(b"\r").await.expect("typed");
    viewer.reads("again").await;
    // tmux rings after it has drawn.
    until("the second bell", async || viewer.watch.feed().bells() == before + 1).await;
}

#[tokio::test]
async fn an_interrupt_works_also_when_the_hub_was_told_to_ignore_it() {
    let house = House::new();
    // As a hub that a shell has started in its background: it ignores SIGINT, and so do its children until told otherwise.
    let socket = house.tmux.socket();
    let conf = socket.with_extension("conf");
    let status = std::process::Command::new("sh")
        .args(["-c", "trap '' INT QUIT; exec tmux -S \"$0\" -f \"$1\" start-server"])
        .args([socket, &conf])
        .status();
    assert!(status.expect("runs").success());
    house.script("a", "echo ready; exec sleep 1000").await;
    let mut viewer = house.viewer("a").await;
    viewer.reads("ready").await;
    viewer.watch.feed().write(b"\x03").await.expect("typed");
    viewer.ends_seen(&house.tmux).await;
}
