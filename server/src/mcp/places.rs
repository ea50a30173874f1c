//! How much of the hub one token may hold at once: whoever has one must not keep the others out.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use crate::id::TokenId;

/// Places of one kind. Cheap to clone.
#[derive(Clone)]
pub(super) struct Places {
    of_one: usize,
    in_all: usize,
    book: Arc<Mutex<Book>>,
    freed: Arc<Notify>,
}

#[derive(Default)]
struct Book {
    of: HashMap<TokenId, usize>,
    all: usize,
}

/// A place that is held until this is dropped.
pub(super) struct Place {
    places: Places,
    token: TokenId,
}

impl Places {
    /// At most `of_one` for each token, and `in_all` for everybody.
    pub(super) fn new(of_one: usize, in_all: usize) -> Self {
        Self { of_one, in_all, book: Arc::default(), freed: Arc::default() }
    }

    /// Takes a place, if there is one.
    pub(super) fn take(&self, token: TokenId) -> Option<Place> {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let held = book.of.get(&token).copied().unwrap_or(0);
        if held >= self.of_one || book.all >= self.in_all {
            return None;
        }
        book.of.insert(token, held + 1);
        book.all += 1;
        Some(Place { places: self.clone(), token })
    }

    /// Takes a place, waiting for one at most so long.
    pub(super) async fn wait(&self, token: TokenId, most: Duration) -> Option<Place> {
        let take = async {
            loop {
                let freed = self.freed.notified();
                if let Some(place) = self.take(token) {
                    return place;
                }
                freed.await;
            }
        };
        tokio::time::timeout(most, take).await.ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        {
            let mut book = self.places.book.lock().unwrap_or_else(PoisonError::into_inner);
            book.all -= 1;
            if let Some(held) = book.of.get_mut(&self.token) {
                *held -= 1;
                if *held == 0 {
                    book.of.remove(&self.token);
                }
            }
        }
        self.places.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[tokio::test]
    async fn places_are_counted_for_each_token_and_in_all_and_come_back() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let (one, two, three) = (TokenId::new(now), TokenId::new(now), TokenId::new(now));
        let places = Places::new(2, 3);
        let first = places.take(one).expect("free");
        let _second = places.take(one).expect("free");
        assert!(places.take(one).is_none());
        let _third = places.take(two).expect("free");
        assert!(places.take(three).is_none());
        assert!(places.wait(one, Duration::from_millis(1)).await.is_none());
        let waiting = places.clone();
        let (came, ()) = tokio::join!(waiting.wait(one, Duration::from_secs(10)), async { drop(first) });
        assert!(came.is_some());
        drop(came);
        assert!(places.take(three).is_some());
    }
}
