//! Screens, and whether somebody should look at them.

use proptest::prelude::*;

use super::*;
use crate::{
    agents::{needs, profiles},
    clock::MINUTE,
};

const QUIET: i64 = MINUTE + 1;

fn needed(profile: &str, screen: &str, bell: bool, quiet: i64, worked: bool) -> Option<String> {
    let lines: Vec<String> = screen.lines().map(str::to_owned).collect();
    let words = profiles::find(profile).unwrap().words;
    needs::needs(&needs::Look { lines: &lines, words, bell, quiet, worked })
}

const CLAUDE_BASH: &str = "
● I'll clean the build folder first.

╭──────────────────────────────────────────────────────────────╮
│ Bash command                                                 │
│                                                              │
│   rm -rf build && cargo build                                │
│   Clean and build                                            │
│                                                              │
│ Do you want to proceed?                                      │
│ ❯ 1. Yes                                                     │
│   2. Yes, and don't ask again for rm commands                │
│   3. No, and tell Claude what to do differently (esc)        │
╰──────────────────────────────────────────────────────────────╯

";

const CLAUDE_EDIT: &str = "
────────────────────────────────────────
 Edit file
 src/main.rs
 Do you want to make this edit to main.rs?
 ❯ 1. Yes
   2. Yes, allow all edits during this session (shift+tab)
   3. No

 Esc to cancel · Tab to amend
";

const CLAUDE_BUSY: &str = "
● Do you want to proceed? was what the script asked; I answered
  1. yes

✻ Thinking… (12s · ↑ 1.2k tokens · esc to interrupt)
╭──────────────────────────────────────────╮
│ >                                        │
╰──────────────────────────────────────────╯
  ? for shortcuts
  auto-accept edits on
  Context left until auto-compact: 12%
  one more line
  and another
";

const CLAUDE_REST: &str = "
● Done: the tests pass.

╭──────────────────────────────────────────╮
│ >                                        │
╰──────────────────────────────────────────╯
  ? for shortcuts
";

const CODEX: &str = "
• Running cargo test

  Would you like to run the following command?

  Reason: the tests need the network

  $ cargo test

› 1. Yes, proceed (y)
  2. Yes, and don't ask again for commands that start with `cargo test` (p)
  3. No, and tell Codex what to do differently (esc)

  Press enter to confirm or esc to cancel
";

const GEMINI: &str = "
│ ?  WriteFile Writing to notes.md
│
│ Apply this change?
│
│ ● 1. Yes, allow once
│   2. Yes, allow always
│   3. Modify with external editor
│   4. No, suggest changes (esc)
│
╰───────────────────────────────
 ⠏ Waiting for user confirmation...
";

const GEMINI_SHELL: &str = "
Allow execution of: 'git, git'?

● 1. Allow once
  2. Allow for this session
  3. No, suggest changes (esc)
";

const OPENCODE: &str = "
┃  △ Permission required
┃  # Remove the build folder
┃  $ rm -rf build
┃
┃  Allow once   Allow always   Reject                 ⇆ select  enter confirm
";

#[test]
fn the_questions_of_known_programs_are_seen_at_once() {
    for (profile, screen, expected) in [
        ("claude-code", CLAUDE_BASH, "asks: Do you want to proceed?"),
        ("glm", CLAUDE_BASH, "asks: Do you want to proceed?"),
        ("claude-code", CLAUDE_EDIT, "asks: Do you want to make this edit to main.rs?"),
        ("codex", CODEX, "asks: Would you like to run the following command?"),
        ("codex", "Allow command?\n\n  $ ls\n\n  Yes (y)   Always   No", "asks: Allow command?"),
        ("gemini-cli", GEMINI, "asks: Apply this change?"),
        ("gemini-cli", GEMINI_SHELL, "asks: Allow execution of: 'git, git'?"),
        ("opencode", OPENCODE, "asks: Permission required"),
    ] {
        assert_eq!(needed(profile, screen, false, 0, false).as_deref(), Some(expected), "{profile}");
        assert_eq!(needed("shell", screen, false, 0, true), None, "a shell knows no such dialog");
    }
}

#[test]
fn what_is_only_quoted_answered_or_under_way_is_no_question() {
    let answered = format!("{CLAUDE_BASH}\n{}", "more output\n".repeat(12));
    for screen in [CLAUDE_BUSY, &answered, "", "Do you want to proceed?", "1. Yes"] {
        assert_eq!(needed("claude-code", screen, false, 0, true), None, "{screen}");
    }
    assert_eq!(needed("claude-code", CLAUDE_BUSY, false, 10 * MINUTE, true), None, "it works");
}

#[test]
fn a_program_at_rest_waits_only_if_it_had_worked_and_only_after_a_while() {
    let waits = Some("has stopped and waits for what to do next");
    assert_eq!(needed("claude-code", CLAUDE_REST, false, QUIET, true).as_deref(), waits);
    assert_eq!(needed("claude-code", CLAUDE_REST, false, QUIET, false), None, "just opened");
    assert_eq!(needed("claude-code", CLAUDE_REST, false, MINUTE, true), None, "a moment ago");
    assert_eq!(needed("shell", CLAUDE_REST, false, QUIET, true), None);
}

#[test]
fn any_program_may_ask_at_the_end_of_its_screen() {
    for line in [
        "Overwrite config.toml? [y/N]",
        "Do you want to continue? [Y/n] ",
        "Password:",
        "Enter passphrase for key '/root/.ssh/id':",
        "Are you sure you want to continue connecting (yes/no/[fingerprint])? ",
        "Press any key to continue...",
    ] {
        let screen = format!("$ some command\n{line}\n\n");
        let expected = format!("asks: {}", line.trim());
        assert_eq!(needed("shell", &screen, false, QUIET, false), Some(expected), "{line}");
        assert_eq!(needed("shell", &screen, false, 0, false), None, "it may still be writing");
    }
    for line in ["user@host:~$", "warning: what now", "100 %"] {
        assert_eq!(needed("shell", line, false, QUIET, true), None, "{line}");
    }
}

#[test]
fn a_bell_is_heard_but_a_question_says_more() {
    assert_eq!(needed("shell", "$", true, 0, false).as_deref(), Some("rang the bell"));
    assert!(needed("claude-code", CLAUDE_BASH, true, 0, false).unwrap().starts_with("asks:"));
}

proptest! {
    #[test]
    fn no_screen_breaks_it_and_what_is_quoted_is_short_and_plain(
        lines in proptest::collection::vec(".{0,300}", 0..40), profile in 0_usize..6, quiet in 0_i64..200_000,
    ) {
        let words = profiles::ALL[profile].words;
        let dialog = ["Permission required DO YOU WANT TO PROCEED? İ".to_owned(), "1. yes".to_owned()];
        let lines: Vec<_> = lines.into_iter().chain(dialog).collect();
        let look = needs::Look { lines: &lines, words, bell: false, quiet, worked: true };
        if let Some(text) = needs::needs(&look) {
            prop_assert!(text.chars().count() <= 200 && !text.contains(char::is_control));
        }
    }
}

#[tokio::test]
async fn an_agent_that_asks_is_told_once_and_its_answer_too() {
    let (house, who) = (House::begun().await, Caller::cli());
    let screen = house.folder.path().join("screen");
    std::fs::write(&screen, CLAUDE_BASH).unwrap();
    house.program("claude", &format!("cat {}; read answer; clear; exec sleep 600", screen.display()));
    let made = house.made(draft("x", "claude-code")).await;
    house.agents.start(&who, made.id).await.unwrap();
    until("the question", || async {
        house.agents.activate().await.unwrap();
        house.get(&made).await.needs.is_some()
    })
    .await;
    let needs = house.get(&made).await.needs.unwrap();
    assert_eq!((needs.text.as_str(), needs.since), ("asks: Do you want to proceed?", house.clock.now()));
    house.clock.advance(MINUTE);
    house.agents.activate().await.unwrap();
    let waiting = house.agents.waiting(&caller(Role::Viewer)).await.unwrap();
    assert_eq!(waiting.len(), 1);
    assert_eq!((waiting[0].slug.as_str(), waiting[0].needs.since), ("x", needs.since), "it has waited since then");

    // Gone with its session.
    house.agents.restart(&who, made.id).await.unwrap();
    assert!(house.get(&made).await.needs.is_none());
    house.agents.stop(&who, made.id).await.unwrap();
    house.agents.activate().await.unwrap();
    let kinds = house.kinds().await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "asks").count(), 1, "{kinds:?}");
    assert_eq!(kinds.iter().filter(|kind| *kind == "settled").count(), 1, "{kinds:?}");
}
