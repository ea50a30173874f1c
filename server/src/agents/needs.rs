//! Whether an agent waits for somebody, read from its screen. Pure; the screen is untrusted and only ever quoted.

use super::profiles::Words;
use crate::clock::MINUTE;

/// Output must have stopped for this long before a prompt counts as one that waits.
const QUIET: i64 = MINUTE;
/// How far below the last choice the screen may go on (hints, a footer), in lines that are not empty.
const BELOW: usize = 6;
/// How many of the last lines are looked at for the mark of a program at rest.
const FOOT: usize = 8;
/// A quoted line is cut here.
const LONGEST: usize = 160;

/// What is known of a terminal.
pub(super) struct Look<'a> {
    /// The lines on its screen.
    pub(super) lines: &'a [String],
    /// The words of its program.
    pub(super) words: &'a Words,
    /// Whether it rang since somebody looked.
    pub(super) bell: bool,
    /// How long it has written nothing, in milliseconds.
    pub(super) quiet: i64,
    /// Whether it has worked since it was started: what was just opened does not wait for anybody.
    pub(super) worked: bool,
}

/// Why somebody should look; `None`: nothing waits.
pub(super) fn needs(look: &Look<'_>) -> Option<String> {
    let lines = told(look.lines);
    if let Some(question) = permission(&lines, look.words) {
        return Some(format!("asks: {}", cut(question)));
    }
    if look.quiet > QUIET
        && let Some(line) = lines.last().filter(|line| question(line))
    {
        return Some(format!("asks: {}", cut(line)));
    }
    if look.bell {
        return Some("rang the bell".to_owned());
    }
    let rests = || lines.iter().rev().take(FOOT).any(|line| has(line, look.words.idle));
    let waits = look.quiet > QUIET && look.worked && !has_any(&lines, look.words.busy) && rests();
    waits.then(|| "has stopped and waits for what to do next".to_owned())
}

/// Whether the screen says that the program works.
pub(super) fn busy(lines: &[String], words: &Words) -> bool {
    has_any(&told(lines), words.busy)
}

/// The question of a dialog that is open: near the end, with choices below it.
fn permission<'a>(lines: &[&'a str], words: &Words) -> Option<&'a str> {
    let last = lines.iter().rposition(|line| {
        let choice = line.trim_start_matches(|c: char| c.is_whitespace() || "❯›●○•>▶*".contains(c)).to_lowercase();
        words.answers.iter().any(|answer| choice.starts_with(answer))
    })?;
    // The other choices stand below the first, so the question is counted from there.
    let choices = lines[last..].iter().filter(|line| numbered(line)).count();
    if lines.len() - last > BELOW + choices {
        return None;
    }
    let asked = lines[..last].iter().rev().find(|line| has(line, words.asks))?;
    // From the question itself: a frame's title or a sign may stand before it.
    let lower = asked.to_lowercase();
    let start = words.asks.iter().filter_map(|words| lower.find(words)).min()?;
    // Lower case may be longer than what it was; then the line is quoted whole.
    Some(asked.get(start..).filter(|_| lower.len() == asked.len()).unwrap_or(asked))
}

fn numbered(line: &str) -> bool {
    let line = line.trim_start_matches(|c: char| c.is_whitespace() || "❯›●○•>".contains(c));
    line.split_once(". ").is_some_and(|(n, _)| !n.is_empty() && n.len() <= 2 && n.bytes().all(|c| c.is_ascii_digit()))
}

/// Whether a line waits for an answer, whatever the program.
fn question(line: &str) -> bool {
    let lower = line.to_lowercase();
    let ends =
        ["?", "password:", "passphrase:", "[y/n]:", "(y/n):", "press enter to continue", "press any key to continue"];
    let holds = ["[y/n]", "(y/n)", "(yes/no)", "[yes/no]", "(yes/no/[fingerprint])"];
    let lower = lower.trim_end_matches(['.', '…', ' ', '_', '█']);
    ends.iter().any(|end| lower.ends_with(end))
        || holds.iter().any(|mark| lower.contains(mark))
        || (lower.starts_with("enter passphrase") && lower.ends_with(':'))
}

/// The lines that say something, without the frames around them.
fn told(lines: &[String]) -> Vec<&str> {
    let frame = |c: char| c.is_whitespace() || ('\u{2500}'..='\u{259f}').contains(&c) || c == '|';
    lines.iter().map(|line| line.trim_matches(frame)).filter(|line| !line.is_empty()).collect()
}

fn has(line: &str, words: &[&str]) -> bool {
    let lower = line.to_lowercase();
    words.iter().any(|word| lower.contains(word))
}

fn has_any(lines: &[&str], words: &[&str]) -> bool {
    lines.iter().any(|line| has(line, words))
}

fn cut(line: &str) -> String {
    line.chars().filter(|c| !c.is_control()).take(LONGEST).collect()
}
