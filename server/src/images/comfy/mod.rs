//! A ComfyUI server as a renderer: one socket, one job of ours at a time (reference/comfyui.md §3, §4, §8).
//!
//! The socket is a hint: it says what happens now, and it may be silent, late or gone. `/history` and `/queue` are the
//! truth and are asked whenever there is a doubt. Nothing here decides what is drawn, stores anything, or trusts a byte.

mod calls;
mod client;
mod job;
mod protocol;
mod socket;
#[cfg(test)]
mod tests;
mod words;

use std::time::Duration;

use bytes::Bytes;

pub(super) use client::Comfy;

use crate::services::EndpointError;

/// A job to draw.
pub(super) struct Job {
    /// Its id: a lower-case hyphenated UUID, which servers from 0.25 on insist on.
    pub(super) prompt_id: String,
    /// The graph in API format, complete.
    pub(super) graph: serde_json::Value,
    /// Whether it may be on the server already; then it is looked for there and never submitted.
    pub(super) resume: bool,
    /// Whether previews are wanted.
    pub(super) pictures: bool,
}

/// What is heard of a job while it is out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// The server has it.
    Accepted {
        /// What the server left out of the graph, in words.
        warning: Option<String>,
    },
    /// What is going on: `loading`, `sampling`, `decoding`, `fetching`.
    Phase(String),
    /// How far the sampler is. Counts anew for each sampler of the graph.
    Steps {
        /// Steps done.
        step: u32,
        /// Steps in all.
        steps: u32,
    },
    /// A picture of the unfinished work. Not checked to be one.
    Preview {
        /// `image/jpeg` or `image/png`, as the server says.
        media_type: &'static str,
        /// The file.
        bytes: Bytes,
    },
}

/// A job that ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Drawn {
    /// The files, 1 to 64 of at most 256 MiB each, as the server sent them. Not checked to be pictures.
    pub(super) files: Vec<Bytes>,
    /// From the start of execution to its end, in milliseconds, by the server's clock.
    pub(super) drawn_ms: Option<i64>,
    /// What the server left out of the graph, in words.
    pub(super) warning: Option<String>,
    /// The job's id on the server, for [`Comfy::forget`].
    pub(super) prompt_id: String,
}

/// Why a job ended otherwise. The texts are for a person and hold no path of the server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stop {
    /// ComfyUI does not accept it, and no other server will.
    #[error("{0}")]
    Refused(String),
    /// This server cannot: a model or node is missing, or memory. Another one may.
    #[error("{0}")]
    Unfit(String),
    /// It began and failed.
    #[error("{0}")]
    Failed(String),
    /// Cancelled as asked.
    #[error("cancelled")]
    Cancelled,
    /// The server restarted or forgot it: submit again.
    #[error("{0}")]
    Lost(String),
    /// Not there: try another or wait.
    #[error("{0}")]
    Unreachable(String),
}

/// How long things may take. Tests shorten it; there is deliberately no limit on a job as a whole.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    /// Between two questions about a job that is out, when nothing else prompts one.
    pub(super) ask: Duration,
    /// Before a question is repeated that was not answered, or answered too early.
    pub(super) retry: Duration,
    /// Between two questions that only `status` messages prompt: a shared server sends many.
    pub(super) status: Duration,
    /// How long a server may be away before the job is given back.
    pub(super) grace: Duration,
    /// The longest that one small answer may take.
    pub(super) answer: Duration,
    /// The longest that one file may take.
    pub(super) file: Duration,
    /// How long a draw waits for the socket before it goes on without.
    pub(super) socket: Duration,
    /// Between two pings; a socket that was silent for three is dead.
    pub(super) ping: Duration,
    /// The first pause before the socket is opened again; doubles up to forty times this.
    pub(super) reopen: Duration,
    /// How long a cancelled job is watched until it is gone.
    pub(super) cancel: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            ask: Duration::from_secs(5),
            retry: Duration::from_secs(1),
            status: Duration::from_millis(500),
            grace: Duration::from_secs(60),
            answer: Duration::from_secs(30),
            file: Duration::from_secs(900),
            socket: Duration::from_secs(5),
            ping: Duration::from_secs(25),
            reopen: Duration::from_millis(250),
            cancel: Duration::from_secs(20),
        }
    }
}

/// What an endpoint's error means for a job that is not on the server yet.
fn away(error: EndpointError) -> Stop {
    match error {
        EndpointError::Unexpected { status: 413, reason } => Stop::Unfit(reason),
        other => Stop::Unreachable(other.to_string()),
    }
}
