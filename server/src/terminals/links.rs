//! Share links: one terminal, read-only, for a while, without an account.
//!
//! The link is `/s#SECRET`: a fragment is sent to no server, so it is in no log of ours and of no proxy. The page sends the
//! secret by POST and gets it back as a cookie (HttpOnly, so that no script reads it again; SameSite=Strict; Path=/s). The
//! cookie is the secret itself and no second one: it opens the same terminal for the same time and ends with the same link,
//! so a second would guard nothing and would have to be stored, ended and pruned as well. Every later request by the cookie
//! goes through [`Links::open`] like the first.
//!
//! The secret is 256 random bits, stored as its SHA-256 alone and found by that: how long the search takes says something
//! about hashes, nothing about secrets. Wrong, expired and revoked are one answer, the same words for each.

use std::{fmt, sync::Arc};

use super::{
    LinkView, NewLink,
    store::links::{self as store, LinkRow},
};
use crate::{
    caller::Actor,
    clock::{Clock, HOUR, SECOND, Timestamp},
    db::{Db, WriteTx},
    error::{Error, Failure, FailureKind},
    events::{Events, NewEvent, Topic},
    id::LinkId,
    pace::{Pace, network},
    secrets::{hex, random, sha256},
};

#[cfg(test)]
mod tests;
mod watchers;

pub(super) use watchers::LinkWatch;
use watchers::Watchers;

/// How many hours a link may live: 30 days.
const HOURS: std::ops::RangeInclusive<u32> = 1..=30 * 24;
/// Links that one terminal may have at a time.
const MOST: usize = 50;
/// The path of the page that the secret follows as fragment.
const PAGE: &str = "/s#";
/// Wrong links that a network has free at once, and in a minute.
const WRONG: u32 = 20;
/// Networks that are told apart.
const NETWORKS: usize = 1_000;
/// A secret's length in hexadecimal characters.
const SECRET: usize = 64;

/// What a valid link lets its guest do: look at one terminal until then.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct GuestPass {
    /// The link.
    pub(super) link: LinkId,
    /// The terminal.
    pub(super) terminal: String,
    /// When it ends.
    pub(super) expires_at: Timestamp,
}

impl fmt::Debug for GuestPass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuestPass").field("link", &self.link).field("terminal", &self.terminal).finish_non_exhaustive()
    }
}

/// The share links of all terminals. Cheap to clone.
#[derive(Clone)]
pub(super) struct Links(Arc<Inner>);

struct Inner {
    db: Db,
    events: Events,
    clock: Clock,
    /// Wrong links, by network. Nobody finds 256 random bits; this keeps those who try from filling the log.
    wrong: Pace<String>,
    watchers: Arc<Watchers>,
}

impl Links {
    /// Opens the links.
    pub(super) fn open_room(db: Db, events: Events, clock: Clock) -> Self {
        let watchers = Arc::new(Watchers::new(clock.clone()));
        Self(Arc::new(Inner { db, events, clock, wrong: Pace::new(WRONG, WRONG, NETWORKS), watchers }))
    }

    /// Makes a link to `terminal` that lives for `hours`. Its secret is in the answer and nowhere else. Whether there is
    /// such a terminal, and whether `actor` may, was asked before.
    pub(super) async fn create(&self, actor: &Actor, terminal: &str, hours: u32) -> Result<NewLink, Error> {
        if !HOURS.contains(&hours) {
            return Err(Failure::invalid(format!(
                "a link cannot live for {hours} hours; give {} to {} (30 days)",
                HOURS.start(),
                HOURS.end()
            ))
            .into());
        }
        let inner = &self.0;
        let now = inner.clock.now();
        let secret = hex(&random::<{ SECRET / 2 }>());
        let row = LinkRow {
            id: LinkId::new(now),
            terminal: terminal.to_owned(),
            created_by: actor.to_string(),
            created_at: now,
            expires_at: now.plus(i64::from(hours) * HOUR),
        };
        let mut tx = inner.db.write().await?;
        store::delete_expired(&mut *tx, now).await?;
        if store::of_terminal(&mut *tx, terminal, now).await?.len() >= MOST {
            return Err(Failure::new(
                FailureKind::Conflict,
                format!("this terminal has {MOST} links already; revoke those that nobody needs"),
            )
            .into());
        }
        store::add(&mut *tx, &row, sha256(secret.as_bytes())).await?;
        let event = NewEvent::new(Topic::Terminals, "link-made", terminal, format!("for {hours} h"));
        inner.events.commit(tx, actor, event).await?;
        Ok(NewLink { link: inner.view(row), path: format!("{PAGE}{secret}") })
    }

    /// What `secret` opens, for a visitor from `address`. Who guesses is told to wait; who has a good one does not.
    pub(super) async fn open(&self, secret: &str, address: &str) -> Result<GuestPass, Error> {
        let (inner, now) = (&self.0, self.0.clock.now());
        let found = match is_secret(secret) {
            true => store::by_secret(inner.db.read(), sha256(secret.as_bytes()), now).await?,
            false => None,
        };
        found.map(GuestPass::from).ok_or_else(|| match inner.wrong.take(network(address), now) {
            Ok(()) => ended().into(),
            Err(wait) => {
                let seconds = (wait + SECOND - 1) / SECOND;
                let message = format!("too many links that do not work came from here; wait {seconds} s and try again");
                Failure::new(FailureKind::TooMany, message).into()
            }
        })
    }

    /// The pass of a link that is valid now; `None` after it was revoked or has expired.
    pub(super) async fn by_id(&self, id: LinkId) -> Result<Option<GuestPass>, Error> {
        Ok(store::by_id(self.0.db.read(), id, self.0.clock.now()).await?.map(GuestPass::from))
    }

    /// Counts one who watches through a link, for as long as what it gives is kept. It also says when the link ends.
    pub(super) async fn watch(&self, id: LinkId) -> Result<LinkWatch, Error> {
        // Counted first, looked up then: a link that is revoked between the two finds the watcher, one that was revoked
        // before is not found.
        let mut watch = self.0.watchers.enter(id);
        let pass = self.by_id(id).await?.ok_or_else(ended)?;
        watch.until(pass.expires_at);
        Ok(watch)
    }

    /// The valid links of `terminal`, newest first.
    pub(super) async fn list(&self, terminal: &str) -> Result<Vec<LinkView>, Error> {
        let rows = store::of_terminal(self.0.db.read(), terminal, self.0.clock.now()).await?;
        Ok(rows.into_iter().map(|row| self.0.view(row)).collect())
    }

    /// Ends a link, and everybody's watching through it.
    pub(super) async fn revoke(&self, actor: &Actor, id: LinkId) -> Result<(), Error> {
        let link = self.by_id(id).await?.ok_or_else(|| Failure::not_found("this link"))?;
        let mut tx = self.0.db.write().await?;
        // Another may have been quicker; then the event is theirs.
        if store::delete(&mut *tx, id).await?.rows_affected() > 0 {
            self.0.events.commit(tx, actor, revoked(&link.terminal, "revoked")).await?;
        }
        self.close(&[id]);
        Ok(())
    }

    /// Deletes all links of `terminal` with the terminal itself, and writes that down: another may come to have its name. After
    /// `tx` was committed, [`Links::close`] is to be told what this gives.
    pub(super) async fn delete_all(
        &self,
        tx: &mut WriteTx,
        actor: &Actor,
        terminal: &str,
    ) -> Result<Vec<LinkId>, Error> {
        let mut ids = Vec::new();
        for link in store::of_terminal(&mut **tx, terminal, self.0.clock.now()).await? {
            store::delete(&mut **tx, link.id).await?;
            ids.push(link.id);
        }
        if !ids.is_empty() {
            let why = "the terminal was removed";
            let detail = if ids.len() == 1 { why.to_owned() } else { format!("{} links: {why}", ids.len()) };
            self.0.events.append(tx, actor, revoked(terminal, detail)).await?;
        }
        Ok(ids)
    }

    /// Ends everybody's watching through links that were deleted.
    pub(super) fn close(&self, ids: &[LinkId]) {
        ids.iter().for_each(|id| self.0.watchers.end(*id));
    }
}

impl Inner {
    fn view(&self, row: LinkRow) -> LinkView {
        LinkView {
            id: row.id,
            terminal: row.terminal,
            created_by: row.created_by,
            created_at: row.created_at,
            expires_at: row.expires_at,
            watchers: self.watchers.of(row.id),
        }
    }
}

impl From<LinkRow> for GuestPass {
    fn from(row: LinkRow) -> Self {
        Self { link: row.id, terminal: row.terminal, expires_at: row.expires_at }
    }
}

fn revoked(terminal: &str, detail: impl Into<String>) -> NewEvent {
    NewEvent::new(Topic::Terminals, "link-revoked", terminal, detail)
}

/// Whether `secret` has the form of one; spares the database what has not.
fn is_secret(secret: &str) -> bool {
    secret.len() == SECRET && secret.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// One answer, whether there never was such a link or is none any more.
fn ended() -> Failure {
    Failure::new(
        FailureKind::Unauthorized,
        "this link does not work: it has expired or was revoked, or a part of it is missing. Ask whoever sent it for another",
    )
}
