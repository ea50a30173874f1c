//! A bounded shelf in memory, whose things are found by a secret and go by themselves.
//!
//! In memory and not in the database, because what lies here lives for minutes: what a restart loses, a person asks for
//! again by pressing "connect" once more, and nothing that a client was given is lost.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use crate::{
    clock::Timestamp,
    secrets::{hex, random, sha256},
};

/// Things on a shelf at once. Only people who may make tokens put something there.
const PLACES: usize = 1_000;

/// See the module. Things are found by the hash of their secret, so that a look into the memory gives none away.
pub(super) struct Shelf<T> {
    /// Milliseconds until a thing is gone.
    life: i64,
    things: Mutex<HashMap<[u8; 32], (Timestamp, T)>>,
}

impl<T> Shelf<T> {
    pub(super) fn new(life: i64) -> Self {
        Self { life, things: Mutex::default() }
    }

    /// Puts `thing` there; its secret. `None` while the shelf is full.
    pub(super) fn put(&self, thing: T, now: Timestamp) -> Option<String> {
        let secret = hex(&random::<32>());
        let mut things = self.things.lock().unwrap_or_else(PoisonError::into_inner);
        if things.len() >= PLACES {
            things.retain(|_, (until, _)| *until > now);
        }
        if things.len() >= PLACES {
            return None;
        }
        things.insert(sha256(secret.as_bytes()), (now.plus(self.life), thing));
        Some(secret)
    }

    /// Does something with a thing; `None` if there is none.
    pub(super) fn with<R>(&self, secret: &str, now: Timestamp, act: impl FnOnce(&mut T) -> R) -> Option<R> {
        let mut things = self.things.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, thing) = things.get_mut(&sha256(secret.as_bytes()))?;
        (*until > now).then(|| act(thing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shelf_is_bounded_and_empties_itself() {
        let start = Timestamp::from_millis(1_800_000_000_000);
        let shelf = Shelf::new(1_000);
        let first = shelf.put(0, start).expect("a place");
        for n in 1..PLACES {
            assert!(shelf.put(n, start.plus(1)).is_some(), "{n}");
        }
        assert!(shelf.put(PLACES, start.plus(2)).is_none());
        assert_eq!(shelf.with(&first, start.plus(999), |n| std::mem::replace(n, 7)), Some(0));
        assert_eq!(shelf.with(&first, start.plus(999), |n| *n), Some(7));
        assert_eq!(shelf.with(&first, start.plus(1_000), |n| *n), None);
        assert_eq!(shelf.with("nonsense", start, |n| *n), None);
        assert!(shelf.put(PLACES, start.plus(1_000)).is_some(), "the first has gone");
    }
}
