//! Every watched session, one [`Feed`] each.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    attach, far,
    feed::{Feed, Next, Pace, Reader},
    place::Place,
    rules, tmux,
};
use crate::{
    clock::{Clock, Stopwatch},
    error::Error,
};

/// Longest that somebody who joins waits for tmux to draw.
const FIRST: Duration = Duration::from_secs(2);

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(super) struct Sessions(Arc<Own>);

struct Own {
    place: Place,
    tasks: TaskTracker,
    stop: CancellationToken,
    clock: Clock,
    /// How long an attach outlives its last watcher.
    grace: Duration,
    feeds: Mutex<HashMap<String, Arc<Feed>>>,
}

impl Sessions {
    /// Nobody watches anything yet.
    pub(super) fn new(place: Place, tasks: TaskTracker, stop: CancellationToken, clock: Clock) -> Self {
        Self::with_grace(place, tasks, stop, clock, Duration::from_secs(10))
    }

    pub(super) fn with_grace(
        place: Place,
        tasks: TaskTracker,
        stop: CancellationToken,
        clock: Clock,
        grace: Duration,
    ) -> Self {
        Self(Arc::new(Own { place, tasks, stop, clock, grace, feeds: Mutex::default() }))
    }

    /// Where the sessions are kept.
    pub(super) fn place(&self) -> &Place {
        &self.0.place
    }

    /// Begins to watch; attaches if nobody did. Not found when the session does not run.
    pub(super) async fn watch(&self, name: &str) -> Result<Watch, Error> {
        rules::name(name)?;
        if let Some(watch) = self.join(name) {
            return Self::drawn(watch).await;
        }
        let session = self.0.place.find(name).await?.ok_or_else(|| tmux::gone(name))?;
        let watch = {
            let mut feeds = self.lock();
            match feeds.get(name) {
                // Somebody else was faster.
                Some(feed) if !feed.ended() => Watch::new(feed),
                _ => {
                    let feed = Arc::new(Feed::new(&session, self.0.place.clone(), &self.0.clock));
                    feeds.insert(name.to_owned(), Arc::clone(&feed));
                    let watch = Watch::new(&feed);
                    match self.0.place.clone() {
                        Place::Here(tmux) => self.0.tasks.spawn(attach::run(self.clone(), tmux, feed, session.id)),
                        Place::There(machine) => {
                            self.0.tasks.spawn(far::relay(self.clone(), feed, machine, session.id))
                        }
                    };
                    watch
                }
            }
        };
        Self::drawn(watch).await
    }

    /// The feed of a session, if somebody watches it.
    pub(super) fn peek(&self, name: &str) -> Option<Arc<Feed>> {
        self.lock().get(name).filter(|feed| !feed.ended()).cloned()
    }

    /// Whether somebody watches anything.
    pub(super) fn any(&self) -> bool {
        !self.lock().is_empty()
    }

    pub(super) fn stop(&self) -> &CancellationToken {
        &self.0.stop
    }

    pub(super) fn grace(&self) -> Duration {
        self.0.grace
    }

    /// Forgets a feed that nobody watches; `false` when somebody does after all.
    pub(super) fn leave(&self, feed: &Arc<Feed>) -> bool {
        let mut feeds = self.lock();
        if feed.watchers() > 0 {
            return false;
        }
        Self::forget(&mut feeds, feed);
        true
    }

    /// Forgets a feed whose session has ended.
    pub(super) fn ended(&self, feed: &Arc<Feed>) {
        feed.end();
        Self::forget(&mut self.lock(), feed);
    }

    /// Ends every feed: the place is given up. Who watches hears it as the end of the session.
    pub(super) fn end_all(&self) {
        for (_, feed) in self.lock().drain() {
            feed.end();
        }
    }

    fn forget(feeds: &mut HashMap<String, Arc<Feed>>, feed: &Arc<Feed>) {
        if feeds.get(feed.name()).is_some_and(|known| Arc::ptr_eq(known, feed)) {
            feeds.remove(feed.name());
        }
    }

    fn join(&self, name: &str) -> Option<Watch> {
        self.lock().get(name).filter(|feed| !feed.ended()).map(Watch::new)
    }

    async fn drawn(watch: Watch) -> Result<Watch, Error> {
        match tokio::time::timeout(FIRST, watch.feed().drawn()).await {
            Ok(false) => Err(tmux::gone(watch.feed().name()).into()),
            // Late is no reason to refuse: the snapshot comes when there is one.
            Ok(true) | Err(_) => Ok(watch),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Feed>>> {
        self.0.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who watches. As long as there is one, the session stays attached.
pub(super) struct Watch(Reader);

impl Watch {
    /// Only under the lock of the table, so that no feed is forgotten in between.
    fn new(feed: &Arc<Feed>) -> Self {
        feed.count().send_modify(|count| *count += 1);
        Self(Reader::new(Arc::clone(feed)))
    }

    /// What is watched.
    pub(super) fn feed(&self) -> &Arc<Feed> {
        self.0.feed()
    }

    /// The next thing to tell: a snapshot first. May be given up at any time; nothing is lost.
    pub(super) async fn next(&mut self, pace: Pace) -> Next {
        self.0.next(pace).await
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.feed().count().send_modify(|count| *count -= 1);
    }
}

/// Notices that nobody has watched a feed for the time of grace.
pub(super) struct Lonely {
    watchers: watch::Receiver<usize>,
    grace: Duration,
    /// Since when nobody does.
    since: Option<Stopwatch>,
}

impl Lonely {
    pub(super) fn new(feed: &Feed, grace: Duration) -> Self {
        Self { watchers: feed.count().subscribe(), grace, since: None }
    }

    /// Resolves when the time is over; again after the same time, if it is asked again. Dropping the future loses nothing.
    pub(super) async fn over(&mut self) {
        loop {
            if *self.watchers.borrow_and_update() > 0 {
                self.since = None;
                // The feed is held by who asks, so its count is not gone.
                let _ = self.watchers.changed().await;
                continue;
            }
            let rest = self.grace.saturating_sub(self.since.get_or_insert_with(Stopwatch::start).elapsed());
            tokio::select! {
                _ = self.watchers.changed() => {}
                () = tokio::time::sleep(rest) => {
                    self.since = None;
                    return;
                }
            }
        }
    }
}
