//! A reader's place in a feed, and what comes next for it.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use super::{Feed, News, Next, Pace};
use crate::clock::Stopwatch;

/// Who is further behind gets a snapshot, which is shorter.
const BEHIND: u64 = 64 * 1024;
/// How often a hidden page is shown something.
const SLOW: Duration = Duration::from_secs(1);

/// One reader's place in a [`Feed`].
pub(in crate::terminals) struct Reader {
    feed: Arc<Feed>,
    news: watch::Receiver<News>,
    calm: watch::Receiver<u64>,
    /// The epoch and the chunk that comes next; `None`: a snapshot does.
    at: Option<(u64, u64)>,
    size: (u16, u16),
    untyped: u64,
    titles: u64,
    slow: Option<Stopwatch>,
}

impl Reader {
    pub(in crate::terminals) fn new(feed: Arc<Feed>) -> Self {
        let (news, calm, size) = (feed.news.subscribe(), feed.calm.subscribe(), feed.size());
        let (untyped, titles) = {
            let state = feed.lock();
            (state.untyped.0, state.screen.titles())
        };
        Self { feed, news, calm, at: None, size, untyped, titles, slow: None }
    }

    /// What is read.
    pub(in crate::terminals) fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    /// The next thing to tell. May be given up at any time; nothing is lost.
    pub(in crate::terminals) async fn next(&mut self, pace: Pace) -> Next {
        loop {
            self.news.borrow_and_update();
            self.calm.borrow_and_update();
            let wait = match self.look(pace) {
                Ok(next) => return next,
                Err(wait) => wait,
            };
            // Errors mean that the feed is gone, which it cannot be while we hold it.
            match (wait, pace) {
                (Some(rest), _) => tokio::time::sleep(rest).await,
                (None, Pace::Calm) => drop(self.calm.changed().await),
                (None, _) => drop(self.news.changed().await),
            }
        }
    }

    /// What there is to tell, or how long to wait for it (`None`: until there is news).
    fn look(&mut self, pace: Pace) -> Result<Next, Option<Duration>> {
        let feed = Arc::clone(&self.feed);
        let mut state = feed.lock();
        let news = state.news;
        if self.size != state.size {
            self.size = state.size;
            self.at = None;
            return Ok(Next::Resized(state.size.0, state.size.1));
        }
        if self.titles != state.screen.titles() {
            self.titles = state.screen.titles();
            return Ok(Next::Titled);
        }
        if self.untyped != state.untyped.0 {
            self.untyped = state.untyped.0;
            return Ok(Next::Untyped(Arc::clone(&state.untyped.1)));
        }
        if !news.ready {
            return if news.ended { Ok(Next::Ended) } else { Err(None) };
        }
        let place = self.at.filter(|(epoch, _)| *epoch == news.epoch).map(|(_, at)| at);
        if let Some(at) = place {
            let until = if pace == Pace::Calm { state.calm } else { news.seq };
            if at >= until {
                return if news.ended { Ok(Next::Ended) } else { Err(None) };
            }
            let most = if pace == Pace::Every { u64::MAX } else { BEHIND };
            if pace != Pace::Slow && state.behind(at).is_some_and(|behind| behind <= most) {
                self.at = Some((news.epoch, until));
                return Ok(Next::Bytes(state.batch(at, until)));
            }
        }
        if pace == Pace::Slow {
            let rest = self.slow.map_or(Duration::ZERO, |last| SLOW.saturating_sub(last.elapsed()));
            if !rest.is_zero() && !news.ended {
                return Err(Some(rest));
            }
            self.slow = Some(Stopwatch::start());
        }
        self.at = Some((news.epoch, news.seq));
        Ok(Next::Bytes(state.snapshot()))
    }
}
