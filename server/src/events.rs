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

/// Every kind of event that is written, with the verb for people; what it was done to follows the verb.
pub const KINDS: [(Topic, &str, &str); 63] = [
    (Topic::Images, "queued", "asked for"),
    (Topic::Images, "started", "began to draw on"),
    (Topic::Images, "cancelling", "asked to stop"),
    (Topic::Images, "done", "finished"),
    (Topic::Images, "requeued", "put back into the queue:"),
    (Topic::Images, "waits", "waits:"),
    (Topic::Images, "cancelled", "cancelled"),
    (Topic::Images, "failed", "could not draw:"),
    (Topic::Images, "deleted", "deleted"),
    (Topic::Images, "saved", "saved the workflow"),
    (Topic::Services, "healthy", "found healthy:"),
    (Topic::Services, "degraded", "found degraded:"),
    (Topic::Services, "down", "found down:"),
    (Topic::Services, "added", "added the service"),
    (Topic::Services, "changed", "changed the service"),
    (Topic::Services, "removed", "removed the service"),
    (Topic::Services, "activated", "activated the service"),
    (Topic::Services, "deactivated", "deactivated the service"),
    (Topic::Agents, "added", "added the agent"),
    (Topic::Agents, "changed", "changed the agent"),
    (Topic::Agents, "removed", "deleted the agent"),
    (Topic::Agents, "started", "started"),
    (Topic::Agents, "stopped", "stopped"),
    (Topic::Agents, "restarted", "started again:"),
    (Topic::Agents, "ended", "ended:"),
    (Topic::Agents, "asks", "needs you:"),
    (Topic::Agents, "settled", "no longer waits:"),
    (Topic::Agents, "online", "came back:"),
    (Topic::Agents, "offline", "has gone quiet:"),
    (Topic::Terminals, "added", "added the terminal"),
    (Topic::Terminals, "started", "started the terminal"),
    (Topic::Terminals, "stopped", "stopped the terminal"),
    (Topic::Terminals, "removed", "removed the terminal"),
    (Topic::Terminals, "ended", "ended:"),
    (Topic::Terminals, "joined", "looks at"),
    (Topic::Terminals, "left", "no longer looks at"),
    (Topic::Terminals, "took-keyboard", "took the keyboard of"),
    (Topic::Terminals, "typed", "in"),
    (Topic::Terminals, "resized", "resized"),
    (Topic::Terminals, "link-made", "shared"),
    (Topic::Terminals, "link-revoked", "ended a link to"),
    (Topic::Terminals, "recording-on", "wants recorded:"),
    (Topic::Terminals, "recording-off", "no longer records"),
    (Topic::Terminals, "recording-began", "a recording began of"),
    (Topic::Terminals, "recording-ended", "a recording ended of"),
    (Topic::Terminals, "recording-failed", "a recording failed of"),
    (Topic::Terminals, "recording-deleted", "deleted a recording of"),
    (Topic::Terminals, "recordings-pruned", "removed old recordings:"),
    (Topic::Machines, "added", "invited the machine"),
    (Topic::Machines, "joined", "joined the hub:"),
    (Topic::Machines, "connected", "connected:"),
    (Topic::Machines, "lost", "is away:"),
    (Topic::Machines, "removed", "removed the machine"),
    (Topic::Auth, "signed-in", "signed in"),
    (Topic::Auth, "signed-out", "signed out"),
    (Topic::Auth, "locked", "locked after failed sign-ins:"),
    (Topic::Auth, "connected", "came in with"),
    (Topic::Auth, "revoked", "revoked"),
    (Topic::Auth, "granted", "let in"),
    (Topic::Auth, "reused", "revoked, because what opens it came twice:"),
    (Topic::Auth, "added", "added"),
    (Topic::Auth, "removed", "removed"),
    (Topic::Auth, "changed", "changed"),
];

/// The verb of an event for people; `None` for a kind that this program does not know: an older or newer one wrote it.
pub fn verb(topic: Topic, kind: &str) -> Option<&'static str> {
    KINDS.into_iter().find(|known| (known.0, known.1) == (topic, kind)).map(|known| known.2)
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
    /// Found in actor, subject, detail, or in the kind's words for people, ignoring the case of ASCII. At most 200 characters.
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
        error::{Error, Failure},
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

    /// The longest text that is sought, in characters.
    const LONGEST: usize = 200;

    /// The kinds whose words for people hold `text`, as JSON texts of `topic kind`.
    fn kinds_of(text: &str) -> String {
        let text = text.to_ascii_lowercase();
        let found = super::KINDS.iter().filter(|(.., verb)| verb.contains(&text));
        let all: Vec<_> = found.map(|(topic, kind, _)| format!("\"{} {kind}\"", topic.word())).collect();
        format!("[{}]", all.join(","))
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
            debug_assert!(
                super::verb(event.topic, event.kind).is_some(),
                "{:?} {} has no words",
                event.topic,
                event.kind
            );
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
        /// concerns terminals for those who see them all: to others it is not there, and asked for by its topic it is refused.
        pub async fn list(&self, who: &Caller, filter: EventFilter) -> Result<Vec<EventView>, Error> {
            who.must(Right::Look)?;
            let (all, terminals) = (who.role.may(Right::Operate), who.sees_all_terminals());
            let closed = [(Topic::Auth, all), (Topic::Terminals, terminals)];
            if closed.into_iter().any(|(topic, seen)| filter.topic == Some(topic) && !seen) {
                who.must(Right::Operate)?;
            }
            let text = filter.text.as_deref().map(str::trim).filter(|text| !text.is_empty());
            if text.is_some_and(|text| text.chars().count() > LONGEST) {
                return Err(Failure::invalid(format!("search for at most {LONGEST} characters")).into());
            }
            let kinds = text.map(kinds_of);
            let text = text.map(like);
            let before = filter.before.unwrap_or(i64::MAX);
            let limit = if filter.limit == 0 { 100 } else { filter.limit.min(200) };
            Ok(sqlx::query_as!(
                EventView,
                r#"select seq as "seq!", at as "at: Timestamp", actor, topic as "topic: Topic", kind, subject, detail
                   from events
                   where seq < ?1 and (?2 or topic <> 'auth') and (?3 or topic <> 'terminals')
                     and (?4 is null or topic = ?4) and (?5 is null or subject = ?5)
                     and (?6 is null or actor || ' ' || subject || ' ' || detail like ?6 escape '\'
                          or topic || ' ' || kind in (select value from json_each(?7)))
                   order by seq desc limit ?8"#,
                before,
                all,
                terminals,
                filter.topic,
                filter.subject,
                text,
                kinds,
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

    use super::{EventFilter, EventView, Events, KINDS, NewEvent, Topic};
    use crate::{
        caller::{Actor, Caller, Role},
        clock::Clock,
        db::Db,
        error::{Failure, FailureKind},
        id::{TokenId, UserId},
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
            ("LOOKS at", vec!["ab", "a"]),
            ("signed in", vec!["7"]),
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
        assert_eq!(read(EventFilter { before: Some(i64::MIN), ..one }).await, []);
        let long = events.list(&who, words(&"é".repeat(201))).await.expect_err("too long");
        assert!(long.to_string().contains("at most 200 characters"), "{long}");
        assert_eq!(read(words(&"é".repeat(200))).await, []);

        for _ in 0..201 {
            let tx = db.write().await.expect("writes");
            events.commit(tx, &ada, NewEvent::new(Topic::Images, "queued", "2", "")).await.expect("commits");
        }
        let sizes = [0, 1, 200, 201, u32::MAX].map(EventFilter::newest);
        let mut found = Vec::new();
        for size in sizes {
            found.push(read(size).await.len());
        }
        assert_eq!(found, [100, 1, 200, 200, 200]);
    }

    #[tokio::test]
    async fn who_only_looks_is_told_of_no_account_and_an_agent_of_no_terminal() {
        let folder = TempDir::new().expect("a folder");
        let (events, db) = log(&folder).await;
        for topic in Topic::ALL {
            let tx = db.write().await.expect("writes");
            let kind = KINDS.into_iter().find(|kind| kind.0 == topic).expect("each has one").1;
            events.commit(tx, &Actor::Cli, NewEvent::new(topic, kind, topic.word(), "same")).await.expect("commits");
        }
        let agent = Actor::Agent(TokenId::new(Clock::default().now()), "a".into());
        for (role, actor, hidden) in [
            (Role::Owner, Actor::Cli, vec![]),
            (Role::Operator, agent.clone(), vec![]),
            (Role::Viewer, Actor::Cli, vec![Topic::Auth]),
            (Role::Viewer, agent.clone(), vec![Topic::Terminals, Topic::Auth]),
            (Role::Agent, agent, vec![Topic::Terminals, Topic::Auth]),
        ] {
            let who = Caller { role, actor, session: None };
            for filter in [EventFilter::default(), EventFilter { text: Some("same".into()), ..EventFilter::default() }]
            {
                let shown = events.list(&who, filter).await.expect("lists");
                let missing = Topic::ALL.into_iter().filter(|topic| shown.iter().all(|event| event.topic != *topic));
                assert_eq!(missing.collect::<Vec<_>>(), hidden, "{who:?}");
            }
            for topic in Topic::ALL {
                let asked = EventFilter { topic: Some(topic), ..EventFilter::default() };
                let answer = events.list(&who, asked).await.map_err(|error| Failure::from(error).kind);
                match hidden.contains(&topic) {
                    true => assert_eq!(answer, Err(FailureKind::Forbidden), "{who:?} {topic:?}"),
                    false => assert_eq!(answer.expect("lists").len(), 1, "{who:?} {topic:?}"),
                }
                let of = EventFilter { subject: Some(topic.word().into()), ..EventFilter::default() };
                let found = events.list(&who, of).await.expect("lists").len();
                assert_eq!(found, usize::from(!hidden.contains(&topic)), "{who:?} {topic:?}");
            }
        }
    }
}
