//! What the browser may know of terminals, and the words on their socket. Compiled for both halves, so that they agree.

use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    id::{LinkId, RecordingId},
};

/// The first byte of a frame that carries terminal bytes: output from the server (a snapshot too), input from a client.
pub const BYTES: u8 = b'0';
/// The first byte of a frame that carries JSON: a [`Notice`] from the server, a [`Request`] from a client.
pub const JSON: u8 = b'1';
/// The subprotocol a browser offers beside its ticket (`ticket.HEX`).
pub const SUBPROTOCOL: &str = "terminal";
/// Largest frame that a client may send, in bytes.
pub const FRAME: usize = 64 * 1024;
/// Largest paste, in bytes of UTF-8; it is JSON inside a frame.
pub const PASTE: usize = 32 * 1024;

/// Why the server closed a socket: the close code (RFC 6455 §7.4.2, private use), and what a client does then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// 1012: the hub restarts. Come back.
    Restart,
    /// 4000: the terminal cannot be shown right now. Come back later.
    Later,
    /// 4001: access was withdrawn: signed out, role changed, link revoked or expired. Do not come back.
    Withdrawn,
    /// 4004: the session has ended, or there is none. Do not come back before it is started.
    Ended,
    /// 4008: too much: input too large or too fast. Do not come back by yourself.
    TooMuch,
    /// 4009: a message that is not understood. Do not come back by yourself.
    NotUnderstood,
}

impl Closing {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Restart, Self::Later, Self::Withdrawn, Self::Ended, Self::TooMuch, Self::NotUnderstood];

    /// The close code.
    pub const fn code(self) -> u16 {
        match self {
            Self::Restart => 1012,
            Self::Later => 4000,
            Self::Withdrawn => 4001,
            Self::Ended => 4004,
            Self::TooMuch => 4008,
            Self::NotUnderstood => 4009,
        }
    }

    /// What the close code says, for people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Restart => "the hub restarts",
            Self::Later => "the terminal cannot be shown right now",
            Self::Withdrawn => "access was withdrawn",
            Self::Ended => "the session has ended",
            Self::TooMuch => "too much input at once",
            Self::NotUnderstood => "a message was not understood",
        }
    }

    /// Whether a client should come back by itself. A code that is not ours is a broken line.
    pub fn comes_back(code: u16) -> bool {
        Self::ALL.into_iter().find(|it| it.code() == code).is_none_or(|it| matches!(it, Self::Restart | Self::Later))
    }
}

/// What the server tells a viewer beside terminal bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Notice {
    /// How things stand; sent at the beginning and at every change.
    State(Watching),
    /// What was asked was not done, and why.
    Refused {
        /// The reason, and the way out.
        why: String,
    },
    /// The answer to [`Request::Alive`].
    Alive,
}

/// How things stand at one terminal, as one viewer is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watching {
    /// Columns of the session.
    pub cols: u16,
    /// Rows of the session.
    pub rows: u16,
    /// The title that the program set; control characters are removed. Untrusted.
    pub title: String,
    /// How many watch, this viewer included.
    pub viewers: usize,
    /// How many of them came by a share link.
    pub guests: usize,
    /// Who holds the keyboard.
    pub keyboard: Option<Keyboard>,
    /// Whether this viewer may take the keyboard.
    pub may_type: bool,
    /// Since when a recording runs.
    pub recording: Option<Timestamp>,
    /// The machine it is on; `None` is the hub's own.
    #[serde(default)]
    pub machine: Option<String>,
    /// Since when its machine is not connected: what is shown is the last that was seen. `None`: it is.
    #[serde(default)]
    pub away: Option<Timestamp>,
}

/// Who holds the keyboard of a terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyboard {
    /// Who, as the audit log writes them: `user:NAME`, `token:NAME`, `agent:SLUG`.
    pub holder: String,
    /// Whether it is the viewer who is told.
    pub you: bool,
    /// Since when.
    pub since: Timestamp,
}

/// What a viewer asks for beside typing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// To hold the keyboard.
    Take {
        /// Also if somebody else holds it.
        #[serde(default)]
        over: bool,
    },
    /// To give the keyboard back.
    HandBack,
    /// To paste text: bracketed where the program wants it so, at most [`PASTE`] bytes.
    Paste {
        /// The text.
        text: String,
    },
    /// Another size. Only who holds the keyboard.
    Resize {
        /// 20 to 400.
        cols: u16,
        /// 5 to 200.
        rows: u16,
    },
    /// Whether the page is looked at: in the background one snapshot a second is enough.
    Visible {
        /// It is.
        on: bool,
    },
    /// Keeps the line open through proxies; browsers cannot send pings.
    Alive,
}

/// Whether a session runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TerminalState {
    /// Its process runs.
    Running,
    /// Its process has ended, or was never started.
    Ended,
    /// Its machine is not connected, so nobody knows.
    Away,
}

impl TerminalState {
    /// The one word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Ended => "ended",
            Self::Away => "away",
        }
    }
}

/// A terminal as shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalView {
    /// Its name: 1 to 64 of `A-Z a-z 0-9 _ -`.
    pub name: String,
    /// The agent whose terminal it is (its slug).
    pub agent: Option<String>,
    /// The machine it is on; `None` is the hub's own.
    pub machine: Option<String>,
    /// Whether it runs.
    pub state: TerminalState,
    /// Since when its machine is not connected; `None`: it is.
    #[serde(default)]
    pub away: Option<Timestamp>,
    /// The process id of the session's process, while it runs.
    pub pid: Option<u32>,
    /// Columns.
    pub cols: u16,
    /// Rows.
    pub rows: u16,
    /// The title that the program set. Untrusted.
    pub title: String,
    /// How many watch it now.
    pub viewers: usize,
    /// Who holds the keyboard: `user:NAME`, `token:NAME`, `agent:SLUG`.
    pub keyboard: Option<String>,
    /// Whether its output is recorded whenever it runs.
    pub recorded: bool,
    /// Since when a recording runs.
    pub recording: Option<Timestamp>,
    /// The last output seen, if it was looked at since.
    pub active_at: Option<Timestamp>,
    /// When the session was started.
    pub started_at: Option<Timestamp>,
    /// Why somebody should look: a bell, a question, a stop after output. `None`: nothing waits.
    pub needs: Option<String>,
}

/// A piece of a line in one style. Colours are CSS: `#rrggbb`, or `ansi-0` … `ansi-15` for the theme's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The text. Untrusted.
    pub text: String,
    /// The colour of the text, if not the theme's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    /// The colour behind it, if not the theme's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ground: Option<String>,
    /// Bold.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bold: bool,
    /// Dim.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dim: bool,
}

/// The screen of a terminal at one moment, for a thumbnail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScreenView {
    /// Whose.
    pub name: String,
    /// Grows with every change; ask with it, and an unchanged screen is not sent again.
    pub seq: u64,
    /// Columns.
    pub cols: u16,
    /// Its lines without the empty ones at the end, each as runs of one style.
    pub lines: Vec<Vec<Run>>,
}

/// A terminal to start that is no agent's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalDraft {
    /// Its name: 1 to 64 of `A-Z a-z 0-9 _ -`.
    pub name: String,
    /// Program and arguments; empty: the login shell.
    #[serde(default)]
    pub command: Vec<String>,
    /// The folder it starts in; empty: the home folder.
    #[serde(default)]
    pub folder: String,
    /// The machine it starts on; `None` is the hub's own.
    #[serde(default)]
    pub machine: Option<String>,
}

/// Lines of a terminal's history, oldest first, without colours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The lines. Untrusted.
    pub lines: Vec<String>,
    /// How many lines tmux keeps in all, the screen included. Where `lines` are not all of them: the rows it keeps, which are more
    /// where a line is wrapped or the end of the screen is empty.
    pub total: usize,
}

/// What a program said last that ended badly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastWords {
    /// How it ended: `status 7`, `signal 9`.
    pub how: String,
    /// When.
    pub at: Timestamp,
    /// Its last lines, oldest first, without colours; at most 200. Untrusted.
    pub lines: Vec<String>,
}

/// A line of some terminal's history that holds what was looked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The terminal.
    pub name: String,
    /// How many lines above the last one.
    pub above: usize,
    /// The line. Untrusted.
    pub line: String,
}

/// A recording as shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingView {
    /// Its id.
    pub id: RecordingId,
    /// The terminal.
    pub terminal: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; `None`: it runs.
    pub ended_at: Option<Timestamp>,
    /// Its size on disk in bytes, compressed.
    pub bytes: i64,
}

/// A share link as shown: read-only, one terminal. Its secret is shown once, when it is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkView {
    /// Its id.
    pub id: LinkId,
    /// The terminal.
    pub terminal: String,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// How many watch through it now.
    pub watchers: usize,
}

/// A share link just made. Not `Debug`: it holds the secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewLink {
    /// The link as it will be listed.
    pub link: LinkView,
    /// Path and fragment: `/s#SECRET`. The fragment never reaches a server's log.
    pub path: String,
}

/// What opens one socket, once, within 30 seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// 128 random bits in hex; offered as the subprotocol `ticket.HEX`.
    pub ticket: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_what_is_read_and_what_is_unknown_is_not() {
        let take: Request = serde_json::from_str(r#"{"type":"take"}"#).expect("reads");
        assert_eq!(take, Request::Take { over: false });
        for wrong in
            [r#"{"type":"takes"}"#, r#"{"type":"take","more":1}"#, r#"{"type":"resize","cols":-1,"rows":5}"#, "1"]
        {
            assert!(serde_json::from_str::<Request>(wrong).is_err(), "{wrong}");
        }
        assert!(Closing::comes_back(1006) && Closing::comes_back(1012) && Closing::comes_back(4000));
        assert!(!Closing::comes_back(4001) && !Closing::comes_back(4004) && !Closing::comes_back(4009));
    }
}
