//! Terminals on other machines: the link between the hub and a runner, both ends of it.
//!
//! How bytes flow. On its machine a runner keeps sessions with the same engine as the hub does here: tmux, an attach that is
//! always drained, the escape policy, a screen (`holder.rs`). For each session that the hub watches, it is a reader of its own
//! feed: the chunks as they come, as long as the hub says that they arrived; and one snapshot in place of all that was said in
//! between when the link was slow or cut. The hub (`machine.rs`, `relay.rs`) feeds that into a feed of its own, which viewers,
//! keyboard, recordings and share links use without knowing where the session is. Orders go the other way, by number, and
//! are answered.
//!
//! Frames are binary, as on a viewer's socket: `0` terminal bytes, `1` JSON (`words.rs`). How they travel is not known here.
//!
//! Never: a machine that names a session of another one's; a chunk that waits in memory for a slow link; an order that is
//! carried out twice; a picture shown as live while its machine is away.

mod holder;
mod keys;
mod machine;
mod relay;
mod words;

use bytes::Bytes;
use tokio::sync::mpsc;

pub use holder::Holder;
pub(super) use keys::Keys;
pub(super) use machine::Machine;
pub(super) use relay::run as relay;
pub use words::{Began, Belongings, Launch};

/// One end of a link. Whole frames; a closed channel is a cut link.
pub struct LinkEnd {
    /// To the other end.
    pub out: mpsc::Sender<Bytes>,
    /// From the other end.
    pub inn: mpsc::Receiver<Bytes>,
}

/// What a machine says of itself when it comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// The runner's data folder there, absolute.
    pub data: String,
    /// How that machine reaches the hub: `https://api.example.org`, no slash at the end.
    pub hub: String,
}
