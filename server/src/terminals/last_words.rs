//! What programs said last that ended badly. tmux keeps the screen of a program that fails (`remain-on-exit failed`) until the next
//! look: then it is read and the session ended. In memory only: until the session is started again, or the hub ends.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::{LastWords, policy::clean};
use crate::clock::Timestamp;

/// Sessions whose last words are kept. The oldest give way.
const KEPT: usize = 64;
/// Lines that are kept of one.
pub(super) const LINES: usize = 200;
/// Longest line in characters.
pub(super) const LINE: usize = 400;
/// What tmux writes below the last screen; who watches reads it. [`announced`] knows it again.
pub(super) const FORMAT: &str =
    "[ended #{?#{==:#{pane_dead_status},},by signal #{pane_dead_signal},with status #{pane_dead_status}}]";
const ANNOUNCED: [&str; 2] = ["[ended with status ", "[ended by signal "];

/// By session.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<HashMap<String, LastWords>>);

impl Kept {
    /// Keeps them.
    pub(super) fn put(&self, session: &str, words: LastWords) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(session.to_owned(), words);
        if kept.len() > KEPT
            && let Some(oldest) = kept.iter().min_by_key(|(_, words)| words.at).map(|(name, _)| name.clone())
        {
            kept.remove(&oldest);
        }
    }

    /// What a session said last, if it ended badly.
    pub(super) fn of(&self, session: &str) -> Option<LastWords> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(session).cloned()
    }

    /// It is started again.
    pub(super) fn forget(&self, session: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(session);
    }
}

/// How a program ended, from tmux's status and signal; `None`: it runs. (Words of a listing: `-` is none.)
pub(super) fn how(status: &str, signal: &str) -> Option<String> {
    match (status, signal) {
        ("-", "-") => None,
        ("-", signal) => Some(format!("signal {signal}")),
        (status, _) => Some(format!("status {status}")),
    }
}

/// Whether tmux may have said that the program has ended. Any program can say so too; then a look finds nothing.
pub(super) fn announced(said: &[u8]) -> bool {
    // Most of what is said has no bracket of this kind before such a word.
    said.windows(7).any(|window| window == b"[ended ")
        && ANNOUNCED.iter().any(|words| said.windows(words.len()).any(|window| window == words.as_bytes()))
}

/// The lines without what tmux wrote below them.
pub(super) fn without_announcement(mut lines: Vec<String>) -> Vec<String> {
    if lines.last().is_some_and(|last| ANNOUNCED.iter().any(|words| last.starts_with(words))) {
        lines.pop();
    }
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// What another machine's runner says: trusted no more than its programs, and its clock not at all beyond ours.
pub(super) fn of_a_stranger(said: LastWords, now: Timestamp) -> LastWords {
    let lines = said.lines.iter().take(LINES).map(|line| clean(line, LINE)).collect();
    LastWords { how: clean(&said.how, 20), at: said.at.min(now), lines }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_give_way() {
        let kept = Kept::default();
        for at in 0..=KEPT {
            let at = i64::try_from(at).expect("small");
            let words = LastWords { how: "status 1".into(), at: Timestamp::from_millis(at), lines: Vec::new() };
            kept.put(&format!("s{at}"), words);
        }
        assert_eq!((kept.of("s0"), kept.of("s1").is_some()), (None, true));
        kept.forget("s1");
        assert_eq!(kept.of("s1"), None);
    }

    #[test]
    fn an_end_is_known_by_its_words() {
        assert_eq!(how("-", "-"), None);
        assert_eq!(how("7", "-").as_deref(), Some("status 7"));
        assert_eq!(how("-", "9").as_deref(), Some("signal 9"));
        assert!(announced(b"\x1b[48;1H[ended with status 7]\x1b[K") && announced(b"[ended by signal 9]"));
        assert!(!announced(b"[ended happily") && !announced(b""));
        let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        assert_eq!(without_announcement(lines(&["a", "", "[ended with status 7]"])), ["a"]);
        assert_eq!(without_announcement(lines(&["a", "[ended oddly]"])), ["a", "[ended oddly]"]);
    }
}
