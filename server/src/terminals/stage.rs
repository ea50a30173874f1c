//! Who is at which terminal. In memory only: a restart sends everybody back in.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

/// One terminal's viewers, by the number that each got when it came; whether it came by a share link.
#[derive(Default)]
struct Stage {
    viewers: BTreeMap<u64, bool>,
    changed: watch::Sender<()>,
}

/// The terminals that somebody is at.
#[derive(Default)]
pub(super) struct Stages(Mutex<(u64, HashMap<String, Stage>)>);

/// How many are at a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// All of them.
    pub(super) viewers: usize,
    /// Those who came by a share link.
    pub(super) guests: usize,
}

impl Stages {
    /// Lets one more viewer in, unless `most` are there in all: their number, and what tells them of changes.
    pub(super) fn enter(&self, terminal: &str, guest: bool, most: usize) -> Option<(u64, watch::Receiver<()>)> {
        let mut inner = self.lock();
        if inner.1.values().map(|stage| stage.viewers.len()).sum::<usize>() >= most {
            return None;
        }
        inner.0 += 1;
        let id = inner.0;
        let stage = inner.1.entry(terminal.to_owned()).or_default();
        stage.viewers.insert(id, guest);
        let changed = stage.changed.subscribe();
        stage.changed.send_replace(());
        Some((id, changed))
    }

    /// Lets a viewer out.
    pub(super) fn leave(&self, terminal: &str, id: u64) {
        let mut inner = self.lock();
        let Some(stage) = inner.1.get_mut(terminal) else { return };
        stage.viewers.remove(&id);
        stage.changed.send_replace(());
        if stage.viewers.is_empty() {
            inner.1.remove(terminal);
        }
    }

    /// Tells the viewers of a terminal to look again.
    pub(super) fn tell(&self, terminal: &str) {
        if let Some(stage) = self.lock().1.get(terminal) {
            stage.changed.send_replace(());
        }
    }

    /// How many are at a terminal.
    pub(super) fn count(&self, terminal: &str) -> Count {
        self.lock().1.get(terminal).map_or_else(Count::default, |stage| Count {
            viewers: stage.viewers.len(),
            guests: stage.viewers.values().filter(|guest| **guest).count(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, (u64, HashMap<String, Stage>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
