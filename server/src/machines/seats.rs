//! Who is here now: one seat for each open link, in memory alone.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::{Facts, Machines};
use crate::{clock::Timestamp, error::Error};

/// What a runner says of itself when its link opens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Greeting {
    /// The version of its program.
    pub version: String,
    /// The number of the protocol that it speaks.
    pub protocol: u32,
    /// Its system, such as `Linux 6.1 x86_64, Debian 12`.
    pub system: String,
    /// The address that its link comes from.
    pub address: String,
}

/// Why a link must close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The machine was removed, or has joined anew: the key that the link came with is not valid any more.
    Withdrawn,
    /// A newer link of the same machine has come.
    Replaced,
}

/// What is known of the machines that are here, and was of those that were since the hub started.
#[derive(Default)]
pub(super) struct Seats(Mutex<Table>);

#[derive(Default)]
struct Table {
    /// The number of the last seat.
    last: u64,
    known: HashMap<String, Known>,
}

/// What a machine's last link said.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) greeting: Greeting,
    pub(super) facts: Option<(Facts, Timestamp)>,
    /// Since when it is connected; `None` when it is away.
    pub(super) since: Option<Timestamp>,
    seat: u64,
    ending: watch::Sender<Option<Ending>>,
}

impl Seats {
    /// Gives the machine `name` its seat; who had it must go. Says the seat's number and how to hear that it ends.
    fn take(&self, name: &str, greeting: Greeting, now: Timestamp) -> (u64, watch::Receiver<Option<Ending>>) {
        let mut table = self.lock();
        table.last += 1;
        let seat = table.last;
        let (ending, ended) = watch::channel(None);
        let known = Known { greeting, facts: None, since: Some(now), seat, ending };
        if let Some(before) = table.known.insert(name.to_owned(), known) {
            before.ending.send_replace(Some(Ending::Replaced));
        }
        (seat, ended)
    }

    /// Gives a seat back; says whether it was still the machine's.
    fn give_back(&self, name: &str, seat: u64) -> bool {
        let mut table = self.lock();
        let Some(known) = table.known.get_mut(name).filter(|known| known.seat == seat) else { return false };
        known.since = None;
        true
    }

    /// Ends the link of `name`, and forgets what it said.
    pub(super) fn withdraw(&self, name: &str) {
        if let Some(known) = self.lock().known.remove(name) {
            known.ending.send_replace(Some(Ending::Withdrawn));
        }
    }

    /// What is known of `name`.
    pub(super) fn known(&self, name: &str) -> Option<Known> {
        self.lock().known.get(name).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one open link: the machine counts as connected for as long as it is kept.
pub struct Seat {
    machines: Machines,
    name: String,
    key_hash: [u8; 32],
    seat: u64,
    ended: watch::Receiver<Option<Ending>>,
    written: Timestamp,
}

impl Seat {
    /// Takes the seat of `name`, without asking whether it may.
    pub(super) fn take(
        machines: Machines,
        name: String,
        key_hash: [u8; 32],
        greeting: Greeting,
        now: Timestamp,
    ) -> Self {
        let (seat, ended) = machines.seats().take(&name, greeting, now);
        Self { machines, name, key_hash, seat, ended, written: now }
    }

    /// The machine's name.
    pub fn machine(&self) -> &str {
        &self.name
    }

    /// Keeps what the machine says of how busy it is. Once a minute this also writes that it is here.
    pub async fn facts(&mut self, facts: Facts) -> Result<(), Error> {
        let now = self.machines.now();
        if let Some(known) = self.machines.seats().lock().known.get_mut(&self.name)
            && known.seat == self.seat
        {
            known.facts = Some((super::rules::facts(facts), now));
        }
        if now.since(self.written) >= super::rules::SEEN_EVERY {
            self.written = now;
            self.machines.seen(&self.name, self.key_hash).await?;
        }
        Ok(())
    }

    /// Resolves when the link must close, and says why.
    pub fn ended(&self) -> impl Future<Output = Ending> + Send + use<> {
        let mut ended = self.ended.clone();
        async move {
            match ended.wait_for(Option::is_some).await.map(|ending| *ending) {
                Ok(Some(ending)) => ending,
                // Nobody can end it any more: it was forgotten.
                Ok(None) | Err(_) => Ending::Withdrawn,
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.machines.seats().give_back(&self.name, self.seat) {
            self.machines.lost(self.name.clone(), self.key_hash);
        }
    }
}
