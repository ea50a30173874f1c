//! Share links against a real SQLite file.

use std::time::Duration;

use tempfile::TempDir;
use tokio::time::timeout;

use super::*;
use crate::{clock::DAY, events::EventView};

const HERE: &str = "10.0.0.1";

struct House {
    links: Links,
    db: Db,
    events: Events,
    clock: Clock,
    folder: TempDir,
}

impl House {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::by_hand(Timestamp::from_millis(1_800_000_000_000));
        let db = Db::open(&folder.path().join("hub.db")).await.unwrap();
        let events = Events::open(db.clone(), clock.clone()).await.unwrap();
        let links = Links::open_room(db.clone(), events.clone(), clock.clone());
        Self { links, db, events, clock, folder }
    }

    async fn made(&self, terminal: &str, hours: u32) -> (LinkView, String) {
        let new = self.links.create(&Actor::Cli, terminal, hours).await.unwrap();
        let secret = new.path.strip_prefix("/s#").unwrap().to_owned();
        (new.link, secret)
    }

    async fn log(&self) -> Vec<EventView> {
        self.events.after(0, 1_000).await.unwrap()
    }
}

#[track_caller]
fn refused<T>(result: Result<T, Error>) -> Failure {
    match result {
        Err(Error::Refused(failure)) => failure,
        Err(Error::Inside(cause)) => panic!("failed inside: {cause:#}"),
        Ok(_) => panic!("was not refused"),
    }
}

#[tokio::test]
async fn a_link_opens_one_terminal_until_it_expires() {
    let house = House::new().await;
    let (link, secret) = house.made("agent-a", 2).await;
    assert_eq!((secret.len(), link.created_by.as_str(), link.watchers), (64, "cli", 0));
    let pass = house.links.open(&secret, HERE).await.unwrap();
    assert_eq!(
        (pass.link, pass.terminal.as_str(), pass.expires_at),
        (link.id, "agent-a", house.clock.now().plus(2 * HOUR))
    );
    assert_eq!(house.links.by_id(link.id).await.unwrap(), Some(pass));
    // Another start of the hub: who has the cookie comes in again.
    let again = Links::open_room(house.db.clone(), house.events.clone(), house.clock.clone());
    assert!(again.open(&secret, HERE).await.is_ok());
    assert_eq!(house.links.list("agent-b").await.unwrap(), []);

    house.clock.advance(2 * HOUR - 1);
    assert!(house.links.open(&secret, HERE).await.is_ok());
    assert_eq!(house.links.list("agent-a").await.unwrap(), vec![link.clone()]);
    house.clock.advance(1);
    refused(house.links.open(&secret, HERE).await);
    refused(house.links.watch(link.id).await);
    assert_eq!((house.links.by_id(link.id).await.unwrap(), house.links.list("agent-a").await.unwrap()), (None, vec![]));
    refused(house.links.revoke(&Actor::Cli, link.id).await);

    for hours in [0, 721, u32::MAX] {
        assert_eq!(refused(house.links.create(&Actor::Cli, "agent-a", hours).await).kind, FailureKind::Invalid);
    }
    assert_eq!(house.made("agent-a", 720).await.0.expires_at, house.clock.now().plus(30 * DAY));
    let kept: i64 = sqlx::query_scalar("select count(*) from terminal_links").fetch_one(house.db.read()).await.unwrap();
    assert_eq!(kept, 1, "the expired row is gone");
}

#[tokio::test]
async fn a_revoked_link_ends_for_those_who_watch_and_those_who_come() {
    let house = House::new().await;
    let (link, secret) = house.made("agent-a", 24).await;
    house.clock.advance(1);
    let (other, _) = house.made("agent-a", 24).await;
    let (first, second) = (house.links.watch(link.id).await.unwrap(), house.links.watch(link.id).await.unwrap());
    let stays = house.links.watch(other.id).await.unwrap();
    let watchers =
        async || house.links.list("agent-a").await.unwrap().iter().map(|it| (it.id, it.watchers)).collect::<Vec<_>>();
    assert_eq!(watchers().await, [(other.id, 1), (link.id, 2)]);
    drop(second);
    assert_eq!(watchers().await, [(other.id, 1), (link.id, 1)]);
    let soon = async |watch: &LinkWatch| timeout(Duration::from_millis(50), watch.ended()).await.is_ok();
    assert!(!soon(&first).await);

    house.links.revoke(&Actor::Cli, link.id).await.unwrap();
    assert!(soon(&first).await && !soon(&stays).await);
    let revoked = refused(house.links.open(&secret, HERE).await);
    let wrong = refused(house.links.open(&"0".repeat(64), HERE).await);
    assert_eq!(revoked, wrong, "no word tells that there was one");
    refused(house.links.watch(link.id).await);
    assert_eq!(refused(house.links.revoke(&Actor::Cli, link.id).await).kind, FailureKind::NotFound);
    assert_eq!(watchers().await, [(other.id, 1)]);

    let elsewhere = house.made("agent-b", 1).await.0;
    for left in [1, 0] {
        let mut tx = house.db.write().await.unwrap();
        let deleted = house.links.delete_all(&mut tx, &Actor::Cli, "agent-a").await.unwrap();
        tx.commit().await.unwrap();
        house.links.close(&deleted);
        assert_eq!(deleted.len(), left);
    }
    assert!(soon(&stays).await);
    assert!(house.links.by_id(elsewhere.id).await.unwrap().is_some());
    let kinds: Vec<_> = house.log().await.into_iter().map(|event| event.kind).collect();
    assert_eq!(kinds, ["link-made", "link-made", "link-revoked", "link-made", "link-revoked"]);
}

#[tokio::test]
async fn who_guesses_is_stopped_and_no_secret_is_kept() {
    let house = House::new().await;
    let (link, secret) = house.made("agent-a", 1).await;
    let upper = secret.to_uppercase();
    let almost = [&secret[..63], if secret.ends_with('0') { "1" } else { "0" }].concat();
    for wrong in ["", "x", &secret[1..], &upper, &almost, "' or 1=1 --", &"ä".repeat(32)] {
        if wrong != secret {
            assert_eq!(refused(house.links.open(wrong, HERE).await).kind, FailureKind::Unauthorized, "{wrong}");
        }
    }
    for _ in 0..WRONG {
        let _ = house.links.open("wrong", HERE).await;
    }
    assert_eq!(refused(house.links.open("wrong", HERE).await).kind, FailureKind::TooMany);
    assert_eq!(refused(house.links.open("wrong", "10.0.0.2").await).kind, FailureKind::Unauthorized);
    house.clock.advance(3_000);
    assert_eq!(refused(house.links.open("wrong", HERE).await).kind, FailureKind::Unauthorized);
    // Also beside somebody who guesses.
    for _ in 0..100 {
        assert!(house.links.open(&secret, HERE).await.is_ok(), "who has a good one may come often");
    }
    let pass = format!("{:?} {:?}", house.links.open(&secret, HERE).await.unwrap(), house.links.list("agent-a").await);
    house.links.revoke(&Actor::Cli, link.id).await.unwrap();
    assert!(!pass.contains(&secret));
    for event in house.log().await {
        assert_eq!((event.topic, event.subject.as_str()), (Topic::Terminals, "agent-a"));
        assert!(!format!("{event:?}").contains(&secret[..16]), "{event:?}");
    }
    house.made("agent-a", 1).await;
    let raw = secret.as_bytes();
    for entry in std::fs::read_dir(house.folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(raw.len()).any(|part| part == raw));
    }
}

#[tokio::test]
async fn a_terminal_has_so_many_links_and_no_more() {
    let house = House::new().await;
    for _ in 0..MOST {
        house.made("agent-a", 1).await;
    }
    assert_eq!(refused(house.links.create(&Actor::Cli, "agent-a", 1).await).kind, FailureKind::Conflict);
    house.made("agent-b", 1).await;
    house.clock.advance(HOUR);
    house.made("agent-a", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_slips_in_while_a_link_is_revoked() {
    let house = House::new().await;
    for _ in 0..50 {
        let (link, _) = house.made("agent-a", 1).await;
        let (watch, revoked) = tokio::join!(house.links.watch(link.id), house.links.revoke(&Actor::Cli, link.id));
        revoked.unwrap();
        if let Ok(watch) = watch {
            timeout(Duration::from_secs(5), watch.ended()).await.expect("it ends for who came in before");
        }
    }
    assert_eq!(house.links.list("agent-a").await.unwrap(), []);
}
