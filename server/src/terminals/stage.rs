//! Who is at which terminal. In memory only: a restart sends everybody back in.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

/// How many may be there at once, over all terminals. One alone cannot keep the others out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    /// All of them.
    pub(super) all: usize,
    /// Of one person, token or share link.
    pub(super) of_one: usize,
    /// Guests, by whichever link and from wherever: room is kept for those who are known.
    pub(super) guests: usize,
    /// Guests of one network. Those who are known are not counted so: behind a proxy that the hub was not told of, all have
    /// one address.
    pub(super) guests_of_a_network: usize,
}

/// Why there is no room for one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// Too many are there.
    All,
    /// Too many of this one.
    OfOne,
    /// Too many guests.
    Guests,
    /// Too many guests of this network.
    OfANetwork,
}

/// Who is at a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    /// Who, as the audit log writes them.
    pub(super) whose: String,
    /// Of one who came by a share link: from which network.
    pub(super) guest_of: Option<String>,
}

/// One terminal's viewers, by the number that each got when it came.
#[derive(Default)]
struct Stage {
    viewers: BTreeMap<u64, Seat>,
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
    /// Lets one more viewer in, if there is room: their number, and what tells them of changes.
    pub(super) fn enter(&self, terminal: &str, seat: Seat, most: Most) -> Result<(u64, watch::Receiver<()>), Full> {
        let mut inner = self.lock();
        let taken = || inner.1.values().flat_map(|stage| stage.viewers.values());
        if taken().count() >= most.all {
            return Err(Full::All);
        }
        if taken().filter(|other| other.whose == seat.whose).count() >= most.of_one {
            return Err(Full::OfOne);
        }
        if seat.guest_of.is_some() && taken().filter(|other| other.guest_of.is_some()).count() >= most.guests {
            return Err(Full::Guests);
        }
        if seat.guest_of.is_some()
            && taken().filter(|other| other.guest_of == seat.guest_of).count() >= most.guests_of_a_network
        {
            return Err(Full::OfANetwork);
        }
        inner.0 += 1;
        let id = inner.0;
        let stage = inner.1.entry(terminal.to_owned()).or_default();
        stage.viewers.insert(id, seat);
        let changed = stage.changed.subscribe();
        stage.changed.send_replace(());
        Ok((id, changed))
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
            guests: stage.viewers.values().filter(|seat| seat.guest_of.is_some()).count(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, (u64, HashMap<String, Stage>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Most = Most { all: 7, of_one: 3, guests: 3, guests_of_a_network: 2 };

    fn known(name: &str) -> Seat {
        Seat { whose: format!("user:{name}"), guest_of: None }
    }

    fn guest(link: &str, network: &str) -> Seat {
        Seat { whose: format!("guest:{link}"), guest_of: Some(network.into()) }
    }

    #[test]
    fn nobody_takes_all_the_room() {
        let stages = Stages::default();
        let enter = |terminal: &str, seat: Seat| stages.enter(terminal, seat, MOST).map(|(id, _)| id);
        let first = enter("a", known("ada")).expect("room");
        enter("a", known("ada")).expect("room");
        enter("b", known("ada")).expect("room");
        assert_eq!(enter("c", known("ada")), Err(Full::OfOne), "at whichever terminal");
        enter("a", guest("x", "192.0.2.1")).expect("room");
        enter("a", guest("y", "192.0.2.1")).expect("room");
        assert_eq!(enter("a", guest("z", "192.0.2.1")), Err(Full::OfANetwork), "by whichever link");
        assert_eq!(stages.count("a"), Count { viewers: 4, guests: 2 });
        enter("a", guest("z", "192.0.2.2")).expect("room");
        assert_eq!(enter("b", guest("z", "192.0.2.3")), Err(Full::Guests), "from wherever");
        enter("a", known("bob")).expect("room is kept");
        assert_eq!(enter("a", known("bob")), Err(Full::All));
        stages.leave("a", first);
        enter("a", known("bob")).expect("room again");
        assert_eq!(enter("a", known("ada")), Err(Full::All));
    }
}
