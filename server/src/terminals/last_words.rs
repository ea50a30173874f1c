//! What programs said last that ended badly. tmux keeps the screen of a program that fails (`remain-on-exit failed`) until the next
//! look: then it is read and the session ended. In memory only: until the session is started again, or the hub ends.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use rustix::process::{Pid, Signal, kill_process};

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

/// Whether a session's program has ended, and how.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It runs.
    Runs,
    /// It has ended, and tmux, the process `server`, has not heard yet how.
    Unknown { server: i32 },
    /// It has failed.
    Failed { how: String },
}

impl End {
    /// From three words of a listing: tmux's process, or 0 while the program runs; the status and the signal, or `-`.
    pub(super) fn read(server: &str, status: &str, signal: &str) -> Option<Self> {
        Some(match (server.parse().ok()?, status, signal) {
            (0, _, _) => Self::Runs,
            (server, "-", "-") => Self::Unknown { server },
            (_, "-", signal) => Self::Failed { how: format!("signal {signal}") },
            (_, status, _) => Self::Failed { how: format!("status {status}") },
        })
    }
}

/// Has tmux ask its children how they ended. It may have missed the word of one (seen with 3.3a: the child stayed a zombie until
/// another one ended), and asks all of them at every signal. The next look finds it.
pub(super) fn nudge(server: i32) {
    if let Some(server) = Pid::from_raw(server)
        && let Err(error) = kill_process(server, Signal::CHILD)
    {
        tracing::warn!(%error, "tmux cannot be asked how a program ended");
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
        assert_eq!(End::read("0", "-", "-"), Some(End::Runs));
        assert_eq!(End::read("12", "-", "-"), Some(End::Unknown { server: 12 }));
        assert_eq!(End::read("12", "7", "-"), Some(End::Failed { how: "status 7".into() }));
        assert_eq!(End::read("12", "-", "9"), Some(End::Failed { how: "signal 9".into() }));
        assert!(announced(b"\x1b[48;1H[ended with status 7]\x1b[K") && announced(b"[ended by signal 9]"));
        assert!(!announced(b"[ended happily") && !announced(b""));
        let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        assert_eq!(without_announcement(lines(&["a", "", "[ended with status 7]"])), ["a"]);
        assert_eq!(without_announcement(lines(&["a", "[ended oddly]"])), ["a", "[ended oddly]"]);
    }
}
