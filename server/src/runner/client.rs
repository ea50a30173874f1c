//! The program `central-mcp runner`: joins once, then keeps a link to the hub for as long as it runs.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Address,
    dial::{self, client},
    keeping::{Keeping, Key},
    link::{Link, Lost},
};
use crate::{
    clock::Stopwatch,
    error::Failure,
    secrets::{hex, random, sha256},
};

/// The first and the longest pause before the hub is dialled again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// A link that was open for so long was a good one: the next pause is the first one again.
const GOOD: Duration = Duration::from_secs(10);
/// The longest that is waited for what still runs at the end.
const LAST: Duration = Duration::from_secs(5);
/// What a one-time secret begins with; anything else is a key.
const JOIN: &str = "cmj_";

/// How a runner is started.
#[derive(Clone)]
pub struct RunnerOptions {
    /// The hub's address; not needed once joined.
    pub hub: Option<String>,
    /// The one-time secret, or a key; not needed once joined.
    pub token: Option<String>,
    /// The data folder, absolute.
    pub data: PathBuf,
    /// Whether plain http to another machine is accepted.
    pub insecure: bool,
    /// Whether to join and end, for who starts the runner in another way.
    pub only_join: bool,
}

/// Runs until `stop`. Ends with a [`Failure`] where trying again would not help, in words that say what to do.
pub async fn run(options: RunnerOptions, stop: CancellationToken) -> anyhow::Result<()> {
    let http = client()?;
    let keeping = Keeping::take(&options.data)?;
    let key = settle(&options, &keeping, &http).await?;
    // Again, for what was kept may be older than the wish to have it encrypted.
    let hub = Address::new(&key.hub, options.insecure)?;
    if options.only_join {
        return Ok(());
    }
    let (tasks, over) = (TaskTracker::new(), stop.child_token());
    let mut link = Link::open(http, hub, key.key, &keeping, &tasks, &over)?;
    let ended = keep_linked(&mut link, &keeping, &stop).await;
    keeping.say(if ended.is_ok() { "ended" } else { "refused" });
    over.cancel();
    tasks.close();
    if tokio::time::timeout(LAST, tasks.wait()).await.is_err() {
        tracing::warn!("some tasks did not end within {} s; they are dropped", LAST.as_secs());
    }
    ended
}

/// Dials again and again; ends with `stop`, or with what the hub refuses for good.
async fn keep_linked(link: &mut Link, keeping: &Keeping, stop: &CancellationToken) -> anyhow::Result<()> {
    let mut pause = PAUSE.0;
    let mut told = String::new();
    loop {
        let watch = Stopwatch::start();
        let Lost(why) = match link.once(keeping, stop).await? {
            Some(lost) => lost,
            None => return Ok(()),
        };
        if watch.elapsed() >= GOOD {
            pause = PAUSE.0;
        }
        // Each change once: the same cause again and again is no news.
        if told != why {
            tracing::warn!("away from the hub: {why}");
            told.clone_from(&why);
        }
        keeping.say(&format!("away: {why}"));
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(jittered(pause)) => {}
        }
        pause = (pause * 2).min(PAUSE.1);
    }
}

/// Between half of it and all of it: a hundred runners do not come back in the same moment.
fn jittered(pause: Duration) -> Duration {
    pause / 2 + pause.mul_f32(f32::from(u16::from_le_bytes(random())) / f32::from(u16::MAX)) / 2
}

/// The key to come with: the one that is kept, or the one that is got for what is given.
async fn settle(options: &RunnerOptions, keeping: &Keeping, http: &reqwest::Client) -> anyhow::Result<Key> {
    let kept = keeping.key()?;
    let token = options.token.as_deref().map(str::trim).filter(|token| !token.is_empty());
    let hub = options.hub.clone().or_else(|| kept.as_ref().map(|kept| kept.hub.clone()));
    let Some(hub) = hub else {
        let message = "this machine has not joined a hub; copy the install line from the page Machines, \
                       or give --hub and --token";
        return Err(Failure::invalid(message).into());
    };
    let hub = Address::new(&hub, options.insecure)?;
    let mark = token.map(|token| hex(&sha256(token.as_bytes())));
    match (token, kept) {
        // The token in a unit or a container's environment stays there after it was used.
        (Some(_), Some(kept)) if kept.joined_with == mark && kept.hub == hub.to_string() => Ok(kept),
        (Some(token), _) => {
            let key = match token.starts_with(JOIN) {
                true => {
                    let joined = dial::join(http, &hub, token).await?;
                    tracing::info!("joined {hub} as the machine {}", joined.machine);
                    Key { hub: hub.to_string(), key: joined.key, joined_with: mark }
                }
                false => Key { hub: hub.to_string(), key: token.to_owned(), joined_with: None },
            };
            keeping.keep(&key).context("joined, but the key cannot be kept")?;
            Ok(key)
        }
        (None, Some(kept)) if kept.hub == hub.to_string() => Ok(kept),
        (None, Some(kept)) => {
            let message = format!(
                "this machine has joined {}, not {hub}; give --token of the other hub to change that",
                kept.hub
            );
            Err(Failure::invalid(message).into())
        }
        (None, None) => {
            let message = format!("this machine has not joined {hub}; give --token, made on the page Machines");
            Err(Failure::invalid(message).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_never_longer_than_said_nor_shorter_than_half() {
        for _ in 0..1_000 {
            let pause = jittered(Duration::from_secs(10));
            assert!((Duration::from_secs(5)..=Duration::from_secs(10)).contains(&pause), "{pause:?}");
        }
    }
}
