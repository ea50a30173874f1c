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

impl Topic {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Agents, Self::Terminals, Self::Machines, Self::Images, Self::Services, Self::Auth];

    /// As it is written in the table and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Services => "services",
            Self::Images => "images",
            Self::Terminals => "terminals",
            Self::Agents => "agents",
            Self::Machines => "machines",
        }
    }
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

/// Which events to list. Everything set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EventFilter {
    /// About this part of the product.
    pub topic: Option<Topic>,
    /// About exactly this thing: [`EventView::subject`].
    pub subject: Option<String>,
    /// Found in actor, kind, subject or detail, ignoring the case of ASCII.
    pub text: Option<String>,
    /// Older than this event: the last one of the page before.
    pub before: Option<i64>,
    /// At most this many, 1 to 200; 0 means 100.
    pub limit: u32,
}

impl EventFilter {
    /// The newest `limit` of all.
    pub fn newest(limit: u32) -> Self {
        Self { limit, ..Self::default() }
    }
}

#[cfg(feature = "ssr")]
pub use log::{Events, NewEvent};

#[cfg(feature = "ssr")]
mod log {
    use tokio::sync::watch;

    use super::{EventFilter, EventView, Topic};
    use crate::{
        caller::{Actor, Caller, Right},
        clock::{Clock, Timestamp},
        db::{Db, WriteTx, like},
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

        /// What `filter` asks for, newest first. What concerns accounts, tokens and sign-ins is for operators only, what
        /// concerns terminals for those who see them all.
        pub async fn list(&self, who: &Caller, filter: EventFilter) -> Result<Vec<EventView>, Error> {
            who.must(Right::Look)?;
            let (all, terminals) = (who.role.may(Right::Operate), who.sees_all_terminals());
            let text = filter.text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(like);
            let before = filter.before.unwrap_or(i64::MAX);
            let limit = if filter.limit == 0 { 100 } else { filter.limit.min(200) };
            Ok(sqlx::query_as!(
                EventView,
                r#"select seq as "seq!", at as "at: Timestamp", actor, topic as "topic: Topic", kind, subject, detail
                   from events
                   where seq < ?1 and (?2 or topic <> 'auth') and (?3 or topic <> 'terminals')
                     and (?4 is null or topic = ?4) and (?5 is null or subject = ?5)
                     and (?6 is null or actor || ' ' || kind || ' ' || subject || ' ' || detail like ?6 escape '\')
                   order by seq desc limit ?7"#,
                before,
                all,
                terminals,
                filter.topic,
                filter.subject,
                text,
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

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use tempfile::TempDir;

    use super::{EventFilter, EventView, Events, NewEvent, Topic};
    use crate::{
        caller::{Actor, Caller, Role},
        clock::Clock,
        db::Db,
        id::UserId,
    };

    async fn log(folder: &TempDir) -> (Events, Db) {
        let db = Db::open(&folder.path().join("hub.db")).await.expect("opens");
        let events = Events::open(db.clone(), Clock::default()).await.expect("opens");
        (events, db)
    }

    fn subjects(events: &[EventView]) -> Vec<&str> {
        events.iter().map(|event| &*event.subject).collect()
    }

    #[tokio::test]
    async fn the_log_is_read_by_topic_by_thing_by_words_and_page_by_page() {
        let folder = TempDir::new().expect("a folder");
        let (events, db) = log(&folder).await;
        let ada = Actor::User(UserId::new(Clock::default().now()), "ada".into());
        for (topic, kind, subject, detail) in [
            (Topic::Images, "queued", "1", "a fox, 100% red"),
            (Topic::Terminals, "joined", "a", "from 10.0.0.7"),
            (Topic::Terminals, "joined", "ab", "from 10.0.0.8"),
            (Topic::Agents, "started", "a", "a"),
            (Topic::Auth, "signed-in", "7", "ada"),
        ] {
            let tx = db.write().await.expect("writes");
            events.commit(tx, &ada, NewEvent::new(topic, kind, subject, detail)).await.expect("commits");
        }
        let who = Caller::cli();
        let read = async |filter| events.list(&who, filter).await.expect("lists");
        let about = |topic| EventFilter { topic: Some(topic), ..EventFilter::default() };
        let words = |text: &str| EventFilter { text: Some(text.into()), ..EventFilter::default() };

        let all = read(EventFilter::default()).await;
        assert_eq!(subjects(&all), ["7", "a", "ab", "a", "1"], "newest first");
        assert_eq!(subjects(&read(about(Topic::Terminals)).await), ["ab", "a"]);
        let one = EventFilter { subject: Some("a".into()), ..about(Topic::Terminals) };
        assert_eq!(subjects(&read(one.clone()).await), ["a"], "exactly this thing, and not the agent of its name");
        for (text, found) in [
            ("10.0.0.8", vec!["ab"]),
            (" FOX ", vec!["1"]),
            ("joined", vec!["ab", "a"]),
            ("user:ada", vec!["7", "a", "ab", "a", "1"]),
            ("100% r", vec!["1"]),
            ("%", vec!["1"]),
            ("_", vec![]),
            ("\\", vec![]),
            ("' or 1 --", vec![]),
            ("  ", vec!["7", "a", "ab", "a", "1"]),
        ] {
            assert_eq!(subjects(&read(words(text)).await), found, "{text:?}");
        }
        let first = read(EventFilter::newest(2)).await;
        let then = read(EventFilter { before: Some(first[1].seq), ..EventFilter::newest(2) }).await;
        let last = read(EventFilter { before: Some(then[1].seq), ..EventFilter::newest(2) }).await;
        assert_eq!([first, then, last].concat(), all, "nothing twice, nothing missed");
        assert_eq!(read(EventFilter::newest(u32::MAX)).await.len(), 5);
        assert_eq!(read(EventFilter { before: Some(i64::MIN), ..one }).await, []);
    }

    #[tokio::test]
    async fn who_only_looks_is_told_of_no_account_and_an_agent_of_no_terminal() {
        let folder = TempDir::new().expect("a folder");
        let (events, db) = log(&folder).await;
        for topic in Topic::ALL {
            let tx = db.write().await.expect("writes");
            let event = NewEvent::new(topic, "added", topic.word(), "");
            events.commit(tx, &Actor::Cli, event).await.expect("commits");
        }
        for (role, hidden) in [
            (Role::Owner, vec![]),
            (Role::Operator, vec![]),
            (Role::Viewer, vec!["auth"]),
            (Role::Agent, vec!["auth", "terminals"]),
        ] {
            let who = Caller { role, ..Caller::cli() };
            let shown = events.list(&who, EventFilter::default()).await.expect("lists");
            let missing: Vec<_> = Topic::ALL
                .iter()
                .rev()
                .map(|topic| topic.word())
                .filter(|word| !subjects(&shown).contains(word))
                .collect();
            assert_eq!(missing, hidden, "{role}");
            let asked = EventFilter { topic: Some(Topic::Auth), ..EventFilter::default() };
            assert_eq!(events.list(&who, asked).await.expect("lists").is_empty(), hidden.contains(&"auth"), "{role}");
        }
    }
}
