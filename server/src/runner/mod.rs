//! The runner: our program on another machine, which holds sessions there for a hub.
//!
//! It dials the hub and never listens, so it works behind any router. What it holds does not depend on the link: while the
//! hub is away, sessions go on. A link is one WebSocket (`GET /runner`) of binary frames; the first byte says what follows:
//! `0` and `1` belong to `terminals/far`, `2` is one of the words below (`words.rs`).
//!
//! Never: a socket that listens; a secret in a log, in a list of processes, or over plain http to another machine; an order
//! that is not from the hub that the machine joined.

mod address;
mod client;
mod dial;
mod keeping;
mod link;
mod words;

pub use address::Address;
pub use client::{RunnerOptions, run};
pub(crate) use words::{
    FRAME, HELLO, Hello, OTHER_PROTOCOL, PING, Pipe, REPLACED, SILENCE, Sorted, WITHDRAWN, Word, sort,
};
