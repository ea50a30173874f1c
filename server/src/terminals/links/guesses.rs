//! How often an address may come with a link that does not work. Nobody finds 256 random bits; this keeps those who try from
//! costing anything. One bucket per address: [`BURST`] at once, as many come back in a minute.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    clock::{MINUTE, Timestamp},
    pace::network,
};

/// Wrong links that an address has free.
pub(super) const BURST: i64 = 20;
/// Addresses remembered. More share one bucket until some have rested.
const ADDRESSES: usize = 1_000;
/// The bucket of those for whom there is none.
const OTHERS: &str = "others";

/// Until when each address has to rest to have all its tries again.
#[derive(Default)]
pub(super) struct Guesses(Mutex<HashMap<String, Timestamp>>);

impl Guesses {
    /// In how many milliseconds `address` is heard again; `None`: now.
    pub(super) fn wait(&self, address: &str, now: Timestamp) -> Option<i64> {
        let addresses = self.lock();
        let full = addresses.len() >= ADDRESSES;
        let shared = || addresses.get(OTHERS).filter(|_| full);
        let rested = addresses.get(&network(address)).or_else(shared).copied().unwrap_or(now);
        Some(rested.since(now) - MINUTE + MINUTE / BURST).filter(|wait| *wait > 0)
    }

    /// Counts a link that did not work.
    pub(super) fn count(&self, address: &str, now: Timestamp) {
        let mut addresses = self.lock();
        let mut key = network(address);
        if addresses.len() >= ADDRESSES && !addresses.contains_key(&key) {
            addresses.retain(|_, rested| *rested > now);
            if addresses.len() >= ADDRESSES {
                key = OTHERS.into();
            }
        }
        let rested = addresses.entry(key).or_insert(now);
        *rested = (*rested).max(now).plus(MINUTE / BURST);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    #[test]
    fn who_guesses_is_not_heard_for_a_while() {
        let guesses = Guesses::default();
        for n in 0..BURST {
            assert_eq!(guesses.wait("2001:db8::1", START), None, "{n}");
            guesses.count("2001:db8::1", START);
        }
        assert_eq!(guesses.wait("2001:db8::2", START), Some(3_000), "the same network");
        assert_eq!(guesses.wait("2001:db8:0:1::2", START), None);
        assert_eq!(guesses.wait("2001:db8::1", START.plus(2_999)), Some(1));
        assert_eq!(guesses.wait("2001:db8::1", START.plus(3_000)), None);
        guesses.count("2001:db8::1", START.plus(3_000));
        assert_eq!(guesses.wait("2001:db8::1", START.plus(3_000)), Some(3_000));
    }

    #[test]
    fn many_addresses_share_what_is_remembered() {
        let guesses = Guesses::default();
        for n in 0..2_000_u32 {
            guesses.count(&std::net::Ipv4Addr::from(n).to_string(), START);
        }
        assert!(guesses.lock().len() <= ADDRESSES + 1);
        assert!(guesses.wait("9.9.9.9", START).is_some(), "the strangers' bucket is empty");
        assert_eq!(guesses.wait("0.0.0.7", START), None, "who is known has their own");
        guesses.count("9.9.9.9", START.plus(2_000 * MINUTE));
        assert_eq!(guesses.lock().len(), 1, "who has rested is forgotten");
    }
}
