//! Pure decisions of the room.

use super::{PASTE, TerminalDraft};
use crate::{
    caller::{Caller, Right},
    error::{Failure, FailureKind},
    id::is_machine_name,
};

/// Names of agents' terminals begin so: nobody's session becomes one by its name.
pub(super) const AGENTS: &str = "agent-";
/// Columns and rows that a terminal may have.
const COLS: std::ops::RangeInclusive<u16> = 20..=400;
/// See [`COLS`].
const ROWS: std::ops::RangeInclusive<u16> = 5..=200;
/// Most arguments of a command, and the most bytes of all together.
const ARGUMENTS: (usize, usize) = (64, 16 * 1024);

/// A terminal's name goes into tmux targets, file names and addresses, so it is of the narrowest alphabet of the three.
pub(super) fn name(name: &str) -> Result<(), Failure> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    // tmux would read a leading dash as an option, and `_hub` is kept for the hub itself.
    if !(1..=64).contains(&name.len()) || !name.bytes().all(good) || name.starts_with(['-', '_']) {
        return Err(Failure::invalid(
            "a terminal's name has 1 to 64 letters, digits, - or _, and begins with a letter or digit",
        ));
    }
    Ok(())
}

/// Refuses a look at a terminal, live or past: one needs `Look`, and an agent sees its own alone, unless it may operate.
pub(super) fn sees(who: &Caller, name: &str) -> Result<(), Failure> {
    who.must(Right::Look)?;
    let own = who.agent().is_some_and(|slug| name.strip_prefix(AGENTS) == Some(slug));
    if own || who.sees_all_terminals() {
        return Ok(());
    }
    let message = "an agent sees its own terminal and no other; for all of them a token needs the role operator, or viewer and no agent";
    Err(Failure::new(FailureKind::Forbidden, message))
}

/// A machine's name, as the page Machines takes it.
fn machine(name: &str) -> Result<(), Failure> {
    if is_machine_name(name) {
        return Ok(());
    }
    Err(Failure::invalid("a machine's name has 1 to 32 of a-z 0-9 -; choose one of the page Machines"))
}

/// What a terminal is started with.
pub(super) fn draft(draft: &TerminalDraft) -> Result<(), Failure> {
    name(&draft.name)?;
    if let Some(name) = &draft.machine {
        machine(name)?;
    }
    let bytes: usize = draft.command.iter().map(String::len).sum();
    if draft.command.len() > ARGUMENTS.0 || bytes > ARGUMENTS.1 {
        return Err(Failure::invalid(format!(
            "a command has at most {} arguments and {} kB; put it into a script",
            ARGUMENTS.0,
            ARGUMENTS.1 / 1024
        )));
    }
    if draft.command.first().is_some_and(String::is_empty) {
        return Err(Failure::invalid("the first word of a command is a program; leave the command empty for a shell"));
    }
    if draft.command.iter().chain([&draft.folder]).any(|text| text.contains('\0')) {
        return Err(Failure::invalid("a command and a folder cannot hold a zero byte"));
    }
    if !draft.folder.is_empty() && !draft.folder.starts_with('/') {
        return Err(Failure::invalid(format!(
            "\"{}\" is not a full path; begin the folder with /",
            draft.folder.chars().take(100).collect::<String>()
        )));
    }
    Ok(())
}

/// A size that programs can live with.
pub(super) fn size(cols: u16, rows: u16) -> Result<(), Failure> {
    if COLS.contains(&cols) && ROWS.contains(&rows) {
        return Ok(());
    }
    Err(Failure::invalid(format!(
        "a terminal has {} to {} columns and {} to {} rows",
        COLS.start(),
        COLS.end(),
        ROWS.start(),
        ROWS.end()
    )))
}

/// What a paste puts in: line ends as Enter sends them, and in brackets where the program has asked for them (`bracketed`): another
/// would take the brackets for text. An end mark inside would let what follows pass for typed keys, and other control characters
/// would be keys.
pub(super) fn paste(text: &str, bracketed: bool) -> Result<Vec<u8>, Failure> {
    if text.len() > PASTE {
        return Err(Failure::invalid(format!(
            "a paste has at most {} kB; put the text into a file instead",
            PASTE / 1024
        )));
    }
    let lines = text.replace("\r\n", "\r").replace('\n', "\r");
    let plain: String = lines.chars().filter(|c| !c.is_control() || matches!(c, '\r' | '\t')).collect();
    Ok(match bracketed {
        true => [b"\x1b[200~".as_slice(), plain.as_bytes(), b"\x1b[201~"].concat(),
        false => plain.into_bytes(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_narrow() {
        for good in ["a", "agent-a", "A_1", &"x".repeat(64)] {
            assert!(name(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "_hub", "a b", "a.b", "a:b", "=a", "../a", "ä", "a\n", &"x".repeat(65)] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_agent_sees_its_own_terminal_and_all_others_see_every_one() {
        use crate::{
            caller::{Actor, Role},
            clock::Timestamp,
            id::TokenId,
        };
        let id = TokenId::new(Timestamp::from_millis(1));
        let of = |role, agent: Option<&str>| Caller {
            actor: agent.map_or(Actor::Token(id, "a".into()), |slug| Actor::Agent(id, slug.into())),
            role,
            session: None,
        };
        let terminals = ["agent-a", "agent-a-b", "agent-b", "a", "system", "agent-"];
        let seen = |who: Caller| terminals.into_iter().filter(|name| sees(&who, name).is_ok()).collect::<Vec<_>>();
        assert_eq!(seen(of(Role::Agent, Some("a"))), ["agent-a"]);
        assert_eq!(seen(of(Role::Viewer, Some("b"))), ["agent-b"], "a lower role sees no more");
        assert!(seen(of(Role::Agent, None)).is_empty(), "a script that draws has no terminal");
        for (role, agent) in [(Role::Viewer, None), (Role::Operator, None), (Role::Operator, Some("a"))] {
            assert_eq!(seen(of(role, agent)), terminals, "{role} {agent:?}");
        }
        assert_eq!(seen(Caller::cli()), terminals);
    }

    #[test]
    fn a_paste_cannot_end_itself() {
        let pasted = paste("one\r\ntwo\nthree\x1b[201~rm -rf\x03\u{9b}201~\tend", true).expect("fits");
        assert_eq!(String::from_utf8(pasted).expect("text"), "\x1b[200~one\rtwo\rthree[201~rm -rf201~\tend\x1b[201~");
        assert!(paste(&"x".repeat(PASTE + 1), false).is_err());
        assert_eq!(paste("a\nb", false).expect("fits"), b"a\rb");
    }

    #[test]
    fn commands_folders_and_sizes_have_bounds() {
        let with = |command: &[&str], folder: &str| TerminalDraft {
            name: "a".into(),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            folder: folder.into(),
            machine: None,
        };
        for good in [with(&[], ""), with(&["bash", "-c", ""], "/srv")] {
            assert!(draft(&good).is_ok(), "{good:?}");
        }
        for bad in [
            with(&["x"; 65], ""),
            with(&[""], ""),
            with(&["a\0"], ""),
            with(&[], "srv"),
            with(&[&"x".repeat(20_000)], ""),
        ] {
            assert!(draft(&bad).is_err(), "{bad:?}");
        }
        for (name, good) in
            [("hub", true), ("gpu-1", true), ("", false), ("GPU", false), ("a b", false), ("../a", false)]
        {
            let on = TerminalDraft { machine: Some(name.into()), ..with(&[], "") };
            assert_eq!(draft(&on).is_ok(), good, "{name}");
        }
        assert!(size(80, 24).is_ok());
        for (cols, rows) in [(0, 0), (19, 24), (401, 24), (80, 4), (80, 201)] {
            assert!(size(cols, rows).is_err(), "{cols}x{rows}");
        }
    }
}
