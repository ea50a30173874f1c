//! Events: what changed, who did it, when. The table is the audit log and the source of `/live`.
//!
//! A change and its event are rows of one transaction. After the commit the highest sequence number is published on a
//! `watch` channel; who listens reads the rows after the number they saw last. So nothing is lost to a slow listener,
//! nothing comes twice, and order is the table's.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// What part of the product an event is about; the browser refetches by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(sqlx::Type), sqlx(rename_all = "lowercase"))]
#[serde(rename_all = "lowercase")]
pub enum Topic {
    /// Users, sessions, tokens.
    Auth,
    /// Outside services and their health.
    Services,
    /// Images and workflows.
    Images,
    /// Terminals: who joined, left, took the keyboard; recordings, share links.
    Terminals,
    /// Agents and their presence.
    Agents,
    /// Machines that hold sessions: added, joined, connected, lost, removed.
    Machines,
}

/// One row of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventView {
    /// Its place in the order of all events.
    pub seq: i64,
    /// When it was committed.
    pub at: Timestamp,
    /// Who, in the words of `caller::Actor`: `user:NAME`, `token:NAME`, `agent:SLUG`, `guest:LINK`, `loop:NAME`, `hub:ROOM`, `cli`.
    pub actor: String,
    /// What part of the product.
    pub topic: Topic,
    /// What happened: a past participle, such as `queued`, `done`, `added`.
    pub kind: String,
    /// The id of the thing.
    pub subject: String,
    /// A short text for people: a name, the beginning of a prompt.
    pub detail: String,
}

#[cfg(feature = "ssr")]
pub use log::{Events, NewEvent};

#[cfg(feature = "ssr")]
mod log {
    use tokio::sync::watch;

    use super::{EventView, Topic};
    use crate::{
        caller::{Actor, Caller, Right},
        clock::{Clock, Timestamp},
        db::{Db, WriteTx},
        error::Error,
        id::TokenId,
    };

    /// An event to be written.
    #[derive(Clone, Debug)]
    pub struct NewEvent {
        /// What part of the product.
        pub topic: Topic,
        /// What happened.
        pub kind: &'static str,
        /// The id of the thing.
        pub subject: String,
        /// A short text for people; cut at 200 characters.
        pub detail: String,
    }

    impl NewEvent {
        /// An event about `subject`.
        pub fn new(topic: Topic, kind: &'static str, subject: impl ToString, detail: impl Into<String>) -> Self {
            Self { topic, kind, subject: subject.to_string(), detail: detail.into() }
        }
    }

    /// The audit log. Cheap to clone.
    #[derive(Clone, Debug)]
    pub struct Events {
        db: Db,
        clock: Clock,
        last: watch::Sender<i64>,
    }

    impl Events {
        /// Opens the log at its last row.
        pub async fn open(db: Db, clock: Clock) -> Result<Self, Error> {
            let events = Self { db, clock, last: watch::Sender::new(0) };
            let newest = events.newest().await?;
            events.last.send_replace(newest);
            Ok(events)
        }

        /// Writes `event` as `actor`'s, commits the change it belongs to, then tells the listeners.
        pub async fn commit(&self, mut tx: WriteTx, actor: &Actor, event: NewEvent) -> Result<i64, Error> {
            let seq = self.append(&mut tx, actor, event).await?;
            tx.commit().await?;
            self.last.send_if_modified(|last| {
                let newer = seq > *last;
                *last = seq.max(*last);
                newer
            });
            Ok(seq)
        }

        /// The same with any number of events; with none, `tx` changed nothing that anybody follows.
        pub async fn commit_all(&self, mut tx: WriteTx, actor: &Actor, mut events: Vec<NewEvent>) -> Result<(), Error> {
            let Some(last) = events.pop() else { return Ok(tx.commit().await?) };
            for event in events {
                self.append(&mut tx, actor, event).await?;
            }
            self.commit(tx, actor, last).await.map(drop)
        }

        /// Writes `event` into `tx` without committing, for a change that has more than one. End with [`Events::commit`].
        pub async fn append(&self, tx: &mut WriteTx, actor: &Actor, event: NewEvent) -> Result<i64, Error> {
            let (at, actor) = (self.clock.now(), actor.to_string());
            let detail: String = event.detail.chars().take(200).collect();
            let seq = sqlx::query_scalar!(
                r#"insert into events (at, actor, topic, kind, subject, detail) values (?, ?, ?, ?, ?, ?) returning seq as "seq!""#,
                at,
                actor,
                event.topic,
                event.kind,
                event.subject,
                detail,
            )
            .fetch_one(&mut **tx)
            .await?;
            Ok(seq)
        }

        /// The number of the last committed event, and a way to wait for the next.
        pub fn follow(&self) -> watch::Receiver<i64> {
            self.last.subscribe()
        }

        /// The number of the newest event in the table, whichever process wrote it; 0 while there is none.
        pub async fn newest(&self) -> Result<i64, Error> {
            Ok(sqlx::query_scalar!(r#"select coalesce(max(seq), 0) as "seq!: i64" from events"#)
                .fetch_one(self.db.read())
                .await?)
        }

        /// At most `limit` events after `seq`, oldest first.
        pub async fn after(&self, seq: i64, limit: i64) -> Result<Vec<EventView>, Error> {
            Ok(sqlx::query_as!(
                EventView,
                r#"select seq as "seq!", at as "at: Timestamp", actor, topic as "topic: Topic", kind, subject, detail
                   from events where seq > ? order by seq limit ?"#,
                seq,
                limit,
            )
            .fetch_all(self.db.read())
            .await?)
        }

        /// The newest `limit` events, newest first. What concerns accounts, tokens and sign-ins is for operators only, what
        /// concerns terminals for those who see them all.
        pub async fn recent(&self, who: &Caller, limit: i64) -> Result<Vec<EventView>, Error> {
            who.must(Right::Look)?;
            let (all, terminals) = (who.role.may(Right::Operate), who.sees_all_terminals());
            Ok(sqlx::query_as!(
                EventView,
                r#"select seq as "seq!", at as "at: Timestamp", actor, topic as "topic: Topic", kind, subject, detail
                   from events where (?1 or topic <> 'auth') and (?2 or topic <> 'terminals')
                   order by seq desc limit ?3"#,
                all,
                terminals,
                limit,
            )
            .fetch_all(self.db.read())
            .await?)
        }

        /// The client program that came in last with a token, as its event `connected`. Needs `Operate`, as making tokens
        /// does: whoever made it may see it.
        pub async fn connected(&self, who: &Caller, token: TokenId) -> Result<Option<EventView>, Error> {
            who.must(Right::Operate)?;
            Ok(sqlx::query_as!(
                EventView,
                r#"select seq as "seq!", at as "at: Timestamp", actor, topic as "topic: Topic", kind, subject, detail
                   from events where subject = ? and topic = 'auth' and kind = 'connected' order by seq desc limit 1"#,
                token,
            )
            .fetch_optional(self.db.read())
            .await?)
        }

        /// Deletes events committed before `cutoff`; says how many.
        pub async fn prune(&self, cutoff: Timestamp) -> Result<u64, Error> {
            let mut tx = self.db.write().await?;
            let deleted =
                sqlx::query!("delete from events where at < ?", cutoff).execute(&mut *tx).await?.rows_affected();
            tx.commit().await?;
            Ok(deleted)
        }
    }
}
