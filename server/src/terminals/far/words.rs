//! The words of a link.

use std::path::{Component, Path, PathBuf};

use bytes::{BufMut as _, Bytes, BytesMut};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    error::Failure,
    terminals::{BYTES, JSON, LastWords, tmux::SessionInfo},
};

/// Bytes of one session that may be on their way; a snapshot may be larger, and then travels alone.
pub(super) const WINDOW: u64 = 64 * 1024;
/// What a frame counts beside its bytes, so that many small ones are bounded too.
pub(super) const FRAME_COST: u64 = 64;
/// Lines of an answer are sent in pieces of about so many bytes, so that keys' echoes pass between them.
pub(super) const PIECE: usize = 64 * 1024;
/// Most bytes of lines that one answer has; of a longer history the oldest lines are left out.
pub(super) const LINES_MOST: usize = 8 << 20;
/// Most characters of a line; a minified file is one line.
pub(super) const LINE: usize = 4_096;
/// Most characters of a line that was found.
pub(super) const FOUND_LINE: usize = 1_024;
/// Most bytes of a screen in one frame; a larger one goes on as what was said after it.
pub(super) const PART: usize = 256 * 1024;
/// What a line takes in memory beside its text.
pub(super) const LINE_COST: usize = size_of::<String>();

/// What the hub orders.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Order {
    /// To be answered with the same number.
    Ask { id: u64, ask: Ask },
    /// Show this session on that channel, a snapshot first.
    Watch { channel: u32, session: String },
    /// Show it no more.
    Leave { channel: u32 },
    /// So much of what was sent on this channel has arrived, since the channel began.
    Arrived { channel: u32, bytes: u64 },
}

/// What the hub asks for.
#[derive(Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub(super) enum Ask {
    Start(Box<Launch>),
    Stop {
        session: String,
    },
    Resize {
        session: String,
        cols: u16,
        rows: u16,
    },
    /// The newest lines, and how many there are.
    History {
        session: String,
        lines: usize,
    },
    Screen {
        session: String,
    },
    /// What it said last, if its program failed.
    LastWords {
        session: String,
    },
    /// Lines that hold this text in lower case, the newest first.
    Find {
        session: String,
        text: String,
        most: usize,
    },
    /// Remove what an agent's session was given.
    Forget(Belongings),
}

/// What the machine says.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Word {
    /// All sessions that run; said first, and at every change. `None`: tmux itself does not run, which says nothing about how
    /// they ended.
    Sessions { sessions: Option<Vec<SessionInfo>> },
    /// A piece of an answer.
    Lines { id: u64, lines: Vec<String> },
    /// The answer, or its end.
    Answer { id: u64, answer: Result<Answer, Failure> },
    /// The session on this channel has this size; a snapshot follows.
    Resized { channel: u32, cols: u16, rows: u16 },
    /// The session on this channel has ended, or does not run.
    Ended { channel: u32 },
    /// The session on this channel cannot be shown now.
    Lost { channel: u32 },
    /// Keys could not be typed.
    Untyped { channel: u32, why: String },
}

/// What was asked for, beside the lines that went before.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    Done,
    /// It was started, but as a shell: see [`Began::Shell`].
    Shell,
    /// What it said last, if its program failed.
    LastWords(Option<LastWords>),
    /// How many lines there are in all.
    Lines {
        total: usize,
    },
    /// How far above the last line, and the line.
    Found {
        found: Vec<(usize, String)>,
    },
}

/// A session to start. Not `Debug`: its variables hold secrets.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Launch {
    /// The terminal's name.
    pub name: String,
    /// Program and arguments; empty: the login shell.
    pub argv: Vec<String>,
    /// Variables beside the usual ones (`PATH`, `HOME`, `LANG`, …).
    pub environment: Vec<(String, String)>,
    /// Where it starts; empty: the home folder.
    pub folder: PathBuf,
    /// Printed before the program starts.
    pub banner: Option<String>,
    /// Where the program is not installed: printed before a login shell that is started instead. `None`: it is not looked for.
    pub missing: Option<String>,
    /// What must lie ready.
    pub belongings: Option<Belongings>,
    /// Its columns; set by the room, which knows how many it had before.
    pub cols: u16,
    /// Its rows, in the same way.
    pub rows: u16,
}

/// How a session has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Began {
    /// With what was asked for.
    AsAsked,
    /// As a login shell with words about the program, which is missing.
    Shell,
}

/// Files that a session finds in a folder of its own below its machine's data folder (mode 0700; files 0600). Not `Debug`: they
/// hold secrets.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Belongings {
    /// The folder, relative to the data folder.
    pub folder: PathBuf,
    /// Names of files of an earlier start, which are removed.
    pub old: Vec<String>,
    /// Name and text of each file.
    pub files: Vec<(String, String)>,
    /// A folder in it that is made if it is not there.
    pub work: Option<String>,
}

impl Belongings {
    /// Removes the old files, and writes the new ones. Blocks for a moment.
    pub(in crate::terminals) fn lay(&self, data: &Path) -> anyhow::Result<()> {
        use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
        let folder = self.inside(data)?;
        let mut below = data.to_owned();
        for part in self.folder.components() {
            below.push(part);
            crate::private_folder(&below)?;
        }
        self.remove(data)?;
        for (name, text) in &self.files {
            let file = folder.join(plain(name)?);
            let mut out = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(file)?;
            out.write_all(text.as_bytes())?;
        }
        if let Some(work) = &self.work {
            crate::private_folder(&folder.join(plain(work)?))?;
        }
        Ok(())
    }

    /// Removes the files, old and new. What the session made stays.
    pub(in crate::terminals) fn remove(&self, data: &Path) -> anyhow::Result<()> {
        let folder = self.inside(data)?;
        for name in self.old.iter().chain(self.files.iter().map(|(name, _)| name)) {
            match std::fs::remove_file(folder.join(plain(name)?)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// The folder, which must be below `data`: the hub may order much of a runner, but not to write elsewhere.
    fn inside(&self, data: &Path) -> anyhow::Result<PathBuf> {
        let down = self.folder.components().all(|part| matches!(part, Component::Normal(_)));
        anyhow::ensure!(down && self.folder.components().next().is_some(), "a folder outside of the data folder");
        Ok(data.join(&self.folder))
    }
}

/// A file's name that leads nowhere else.
fn plain(name: &str) -> anyhow::Result<&str> {
    let mut parts = Path::new(name).components();
    let one = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
    anyhow::ensure!(one, "not a file's name");
    Ok(name)
}

/// Terminal bytes as the machine sends them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) channel: u32,
    /// A whole screen, in place of all that was said before.
    pub(super) snapshot: bool,
    pub(super) bytes: Bytes,
}

const SNAPSHOT: u8 = b's';
const MORE: u8 = b'b';

impl Said {
    pub(super) fn frame(&self) -> Bytes {
        let mut frame = BytesMut::with_capacity(self.bytes.len() + 6);
        frame.put_u8(BYTES);
        frame.put_u32(self.channel);
        frame.put_u8(if self.snapshot { SNAPSHOT } else { MORE });
        frame.put_slice(&self.bytes);
        frame.freeze()
    }

    /// What stands after the first byte of a frame.
    pub(super) fn read(rest: &Bytes) -> Option<Self> {
        let (channel, after) = rest.split_first_chunk::<4>()?;
        let (kind, _) = after.split_first()?;
        let snapshot = match *kind {
            SNAPSHOT => true,
            MORE => false,
            _ => return None,
        };
        Some(Self { channel: u32::from_be_bytes(*channel), snapshot, bytes: rest.slice(5..) })
    }
}

/// Keys for a channel, as the hub sends them.
pub(super) fn keys(channel: u32, bytes: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(bytes.len() + 5);
    frame.put_u8(BYTES);
    frame.put_u32(channel);
    frame.put_slice(bytes);
    frame.freeze()
}

/// The channel and the keys, from what stands after the first byte.
pub(super) fn read_keys(rest: &Bytes) -> Option<(u32, Bytes)> {
    let (channel, _) = rest.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*channel), rest.slice(4..)))
}

/// A word as a frame.
pub(super) fn json(word: &impl Serialize) -> Bytes {
    let mut frame = vec![JSON];
    // Plain structs of numbers and texts: writing them to memory cannot fail.
    let _ = serde_json::to_writer(&mut frame, word);
    frame.into()
}

/// A frame, taken apart. `None`: it is not understood.
pub(super) enum Frame<T> {
    Bytes(Bytes),
    Word(T),
}

impl<T: DeserializeOwned> Frame<T> {
    pub(super) fn read(frame: &Bytes) -> Option<Self> {
        match *frame.first()? {
            BYTES => Some(Self::Bytes(frame.slice(1..))),
            JSON => serde_json::from_slice(&frame[1..]).ok().map(Self::Word),
            _ => None,
        }
    }
}
