//! Feeds a session of another machine into the hub's own feed of it.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::time::sleep;

use super::machine::{Channel, Machine, Shown};
use crate::terminals::{
    feed::{Feed, Way},
    sessions::{Lonely, Sessions},
};

/// How often calm readers are told, as for sessions of our own.
const CALM: Duration = Duration::from_millis(25);
/// Before a session whose screen was lost is watched again.
const AGAIN: Duration = Duration::from_secs(1);

/// Why watching ended.
enum End {
    /// Nobody watches any more.
    Left,
    /// The hub stops.
    Stop,
    /// The session has ended.
    Ended,
    /// The link is cut.
    Cut,
    /// The screen is lost, or cannot be shown; another attempt brings it back.
    Lost,
}

/// Feeds `feed` from the machine until the session with tmux's id `id` ends, or nobody watches. While the machine is away the last
/// picture stays.
pub(in crate::terminals) async fn run(sessions: Sessions, feed: Arc<Feed>, machine: Machine, id: String) {
    let mut changes = machine.changes();
    let mut lonely = Lonely::new(&feed, sessions.grace());
    loop {
        changes.borrow_and_update();
        let still = || machine.known().iter().any(|session| session.name == feed.name() && session.id == id);
        let end = match machine.away() {
            None if !still() => End::Ended,
            None => match machine.watch(feed.name()).await {
                Some(channel) => pump(&sessions, &feed, channel).await,
                None => End::Cut,
            },
            Some(_) => End::Cut,
        };
        // Only a PTY that takes no size fails here, and there is none.
        let _ = feed.connect(None).await;
        match end {
            End::Left => return feed.end(),
            End::Stop => return,
            End::Ended => return sessions.ended(&feed),
            End::Lost => sleep(AGAIN).await,
            End::Cut => loop {
                tokio::select! {
                    () = sessions.stop().cancelled() => return,
                    _ = changes.changed() => break,
                    () = lonely.over() => if sessions.leave(&feed) {
                        return feed.end();
                    },
                }
            },
        }
    }
}

async fn pump(sessions: &Sessions, feed: &Arc<Feed>, mut channel: Channel) -> End {
    let mut lonely = Lonely::new(feed, sessions.grace());
    let (mut calm, mut resting, mut owed) = (pin!(sleep(CALM)), false, false);
    loop {
        tokio::select! {
            shown = channel.next() => match shown {
                None => return End::Cut,
                Some(Shown::Ended) => return End::Ended,
                Some(Shown::Lost) => return End::Lost,
                Some(Shown::Untyped(why)) => feed.untyped(why),
                Some(Shown::Resized(cols, rows)) => feed.resized(cols, rows),
                Some(Shown::Snapshot(bytes)) => {
                    feed.begin();
                    if !feed.publish(&bytes) {
                        return End::Lost;
                    }
                    // The way for keys comes with the first picture, as it does here.
                    let _ = feed.connect(Some(Way::Link(channel.keys()))).await;
                    feed.ready();
                }
                Some(Shown::More(bytes)) => {
                    if !feed.publish(&bytes) {
                        return End::Lost;
                    }
                    if resting {
                        owed = true;
                    } else {
                        feed.calm();
                        calm.set(sleep(CALM));
                        resting = true;
                    }
                }
            },
            () = calm.as_mut(), if resting => {
                resting = owed;
                if owed {
                    feed.calm();
                    calm.set(sleep(CALM));
                    owed = false;
                }
            }
            () = lonely.over() => if sessions.leave(feed) {
                return End::Left;
            },
            () = sessions.stop().cancelled() => return End::Stop,
        }
    }
}
