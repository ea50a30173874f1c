//! One session of a machine, as it comes over a link.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{
    super::{
        Keys,
        words::{FRAME_COST, Order, json},
    },
    Machine, Shown,
};

/// A session watched over a link. Dropped, it is watched no more.
pub(in super::super) struct Channel {
    pub(super) machine: Machine,
    pub(super) channel: u32,
    pub(super) out: mpsc::Sender<Bytes>,
    pub(super) left: mpsc::UnboundedSender<u32>,
    pub(super) shown: mpsc::Receiver<Shown>,
    pub(super) held: Arc<AtomicUsize>,
    /// What has arrived since the channel began, and what the machine was told of it.
    pub(super) arrived: u64,
    pub(super) told: u64,
}

impl Channel {
    /// The next thing; `None` when the link is cut. Dropping the future loses nothing.
    pub(in super::super) async fn next(&mut self) -> Option<Shown> {
        let shown = loop {
            tokio::select! {
                biased;
                // Nothing waits for it here; but it is told, however full the link is.
                room = self.out.reserve(), if self.told < self.arrived => {
                    room.ok()?.send(json(&Order::Arrived { channel: self.channel, bytes: self.arrived }));
                    self.told = self.arrived;
                }
                shown = self.shown.recv() => break shown?,
            }
        };
        if let Shown::Snapshot(bytes) | Shown::More(bytes) = &shown {
            self.held.fetch_sub(bytes.len(), Ordering::Relaxed);
            self.arrived += bytes.len() as u64 + FRAME_COST;
        }
        Some(shown)
    }

    /// What types on this channel.
    pub(in super::super) fn keys(&self) -> Keys {
        Keys { channel: self.channel, out: self.out.clone() }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        // A link that is cut takes its channels along.
        let _ = self.left.send(self.channel);
        if let Some(link) = &mut self.machine.lock().link
            && link.out.same_channel(&self.out)
        {
            link.channels.remove(&self.channel);
        }
    }
}
