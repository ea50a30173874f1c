//! Typing over a link.

use anyhow::anyhow;
use bytes::Bytes;
use tokio::sync::mpsc;

use super::words;

/// Types into a session over a link.
pub(in crate::terminals) struct Keys {
    pub(super) channel: u32,
    pub(super) out: mpsc::Sender<Bytes>,
}

impl Keys {
    /// Sends keys. Fails when the link is cut.
    pub(in crate::terminals) async fn send(&self, bytes: &[u8]) -> anyhow::Result<()> {
        self.out
            .send(words::keys(self.channel, bytes))
            .await
            .map_err(|_| anyhow!("the connection to its machine is cut"))
    }
}
