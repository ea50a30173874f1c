//! Who watches through which link, in memory only: counted, and told at once when the link ends.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::{Clock, MINUTE, Timestamp},
    id::LinkId,
};

/// The clock is looked at this often: a machine that slept, or whose clock was set, is not to sleep on.
const LOOK: i64 = MINUTE;

#[derive(Default)]
struct Link {
    watchers: usize,
    ended: CancellationToken,
}

/// See the module.
pub(super) struct Watchers {
    clock: Clock,
    links: Mutex<HashMap<LinkId, Link>>,
}

impl Watchers {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, links: Mutex::default() }
    }

    /// One more watches through `id`.
    pub(super) fn enter(self: &Arc<Self>, id: LinkId) -> LinkWatch {
        let mut links = self.lock();
        let link = links.entry(id).or_default();
        link.watchers += 1;
        LinkWatch {
            id,
            ended: link.ended.clone(),
            expires_at: Timestamp::from_millis(i64::MAX),
            watchers: self.clone(),
        }
    }

    /// How many watch through `id`.
    pub(super) fn of(&self, id: LinkId) -> usize {
        self.lock().get(&id).map_or(0, |link| link.watchers)
    }

    /// Tells all who watch through `id` that it is over.
    pub(super) fn end(&self, id: LinkId) {
        if let Some(link) = self.lock().get(&id) {
            link.ended.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<LinkId, Link>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who watches through a link, counted while this lives.
pub(in super::super) struct LinkWatch {
    id: LinkId,
    ended: CancellationToken,
    expires_at: Timestamp,
    watchers: Arc<Watchers>,
}

impl LinkWatch {
    pub(super) fn until(&mut self, expires_at: Timestamp) {
        self.expires_at = expires_at;
    }

    /// Resolves when the link is revoked or has expired.
    pub(in super::super) async fn ended(&self) {
        let expired = async {
            loop {
                let left = self.expires_at.since(self.watchers.clock.now());
                if left <= 0 {
                    return;
                }
                sleep(Duration::from_millis(left.min(LOOK).unsigned_abs())).await;
            }
        };
        tokio::select! {
            () = self.ended.cancelled() => {}
            () = expired => {}
        }
    }
}

impl Drop for LinkWatch {
    fn drop(&mut self) {
        let mut links = self.watchers.lock();
        if let Some(link) = links.get_mut(&self.id) {
            link.watchers = link.watchers.saturating_sub(1);
            if link.watchers == 0 {
                links.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;
    use crate::clock::{HOUR, SECOND};

    const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_link_ends_its_watchers_and_no_others() {
        let clock = Clock::by_hand(START);
        let watchers = Arc::new(Watchers::new(clock.clone()));
        let (one, other) = (LinkId::new(START), LinkId::new(START));
        let (mut first, mut second, third) = (watchers.enter(one), watchers.enter(one), watchers.enter(other));
        assert_eq!((watchers.of(one), watchers.of(other)), (2, 1));
        first.until(START.plus(HOUR));
        second.until(START.plus(2 * HOUR));
        let over = async |watch: &LinkWatch| timeout(Duration::from_secs(90), watch.ended()).await.is_ok();

        assert!(!over(&first).await, "the clock stands still");
        clock.advance(HOUR - 30 * SECOND);
        assert!(!over(&first).await);
        clock.advance(30 * SECOND);
        advance(Duration::from_millis(1)).await;
        assert!(over(&first).await && !over(&second).await);

        watchers.end(one);
        assert!(over(&second).await && !over(&third).await);
        drop((first, second));
        assert_eq!((watchers.of(one), watchers.lock().len()), (0, 1), "who is gone is not remembered");
    }
}
