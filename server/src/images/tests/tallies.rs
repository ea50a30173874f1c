//! The statistics are kept by triggers (migration 5). Whatever happens to the images, they must say what counting them says.

use std::{cmp::Reverse, collections::BTreeMap};

use proptest::prelude::*;
use sqlx::{Row as _, SqlitePool};

use super::{
    add, caller, ended,
    fake::{self, Fake},
    hub, running, small, wait,
};
use crate::{
    caller::Role,
    clock::{DAY, HOUR, SECOND, Timestamp},
    db::Db,
    id::ImageId,
    images::{
        AgentImages, ImageDraft, ImageStats, ImageStatus, Seed,
        store::{self, NewImage, Outcome},
    },
    services::MicroUsd,
};

/// When each agent last asked for an image; that stays when the image is deleted, so no count of images says it.
type LastAsked = BTreeMap<String, Timestamp>;

struct Counted {
    status: String,
    agent: String,
    created_at: Timestamp,
    finished_at: Option<Timestamp>,
    drawn_ms: Option<i64>,
    cost: Option<i64>,
}

/// What the statistics must be, by looking at every image.
async fn counted(db: &SqlitePool, now: Timestamp, asked: &LastAsked) -> ImageStats {
    let rows = sqlx::query(
        "select status, coalesce(agent, '') as agent, created_at, finished_at, drawn_ms, cost from images
         order by finished_at desc",
    );
    let rows = rows.fetch_all(db).await.expect("the images").into_iter().map(|row| Counted {
        status: row.get("status"),
        agent: row.get("agent"),
        created_at: row.get("created_at"),
        finished_at: row.get("finished_at"),
        drawn_ms: row.get("drawn_ms"),
        cost: row.get("cost"),
    });
    let rows: Vec<_> = rows.collect();
    let many = |holds: &dyn Fn(&Counted) -> bool| {
        i64::try_from(rows.iter().filter(|row| holds(row)).count()).expect("few images")
    };
    let stands = |status: &'static str| many(&|row| row.status == status);
    let done_within = |age: i64| many(&|row| row.status == "done" && row.finished_at >= Some(now.plus(-age)));
    let mut times: Vec<_> = rows.iter().filter(|row| row.status == "done").filter_map(|row| row.drawn_ms).collect();
    assert!(times.len() <= 200, "the median is that of the last 200 only");
    times.sort_unstable();

    let mut by_agent: Vec<AgentImages> = Vec::new();
    for (agent, last_at) in asked {
        let images = many(&|row| row.agent == *agent);
        let newest = rows.iter().filter(|row| row.agent == *agent).map(|row| row.created_at).max();
        assert!(newest <= Some(*last_at), "{agent} asked for an image that this test does not know");
        if images > 0 && *last_at >= now.plus(-7 * DAY) {
            by_agent.push(AgentImages { agent: agent.clone(), images, last_at: *last_at });
        }
    }
    by_agent.sort_by_key(|row| (Reverse(row.images), row.agent.clone()));
    ImageStats {
        running: stands("running"),
        queued: stands("queued"),
        done: stands("done"),
        failed: stands("failed"),
        cancelled: stands("cancelled"),
        done_hour: done_within(HOUR),
        done_day: done_within(DAY),
        done_week: done_within(7 * DAY),
        median_ms: times.get(times.len().saturating_sub(1) / 2).copied(),
        drawn_ms: rows.iter().filter_map(|row| row.drawn_ms).sum(),
        cost: MicroUsd(rows.iter().filter_map(|row| row.cost).sum()),
        by_agent,
        by_task: Vec::new(), // no image here is for a task
    }
}

#[tokio::test]
async fn the_statistics_say_what_counting_the_images_says() {
    let (dir, fake) = (tempfile::tempdir().expect("a folder"), Fake::serve(fake::MODEL).await);
    let hub = hub(dir.path()).await;
    add(&hub, "one", &fake).await;
    let (fox, owl, operator) = (caller("fox", Role::Agent), caller("owl", Role::Agent), caller("op", Role::Operator));
    let mut asked = LastAsked::new();
    let same = async |asked: &LastAsked, what: &str| {
        let said = hub.images.stats(&operator).await.expect("statistics");
        // The windows are days away from their edges here, so the time between the two looks does not count.
        assert_eq!(said, counted(hub.db.read(), hub.clock.now(), asked).await, "{what}");
        said
    };
    same(&asked, "nothing yet").await;

    let mut ids = Vec::new();
    for (who, prompt) in [(&fox, "one"), (&fox, "two"), (&owl, fake::BROKEN), (&operator, "four"), (&owl, "five")] {
        let view = hub.images.draw(who, small(prompt)).await.expect("accepted");
        asked.insert(view.agent.unwrap_or_default(), view.created_at);
        wait(&hub, view.id, ended).await;
        ids.push(view.id);
    }
    let said = same(&asked, "done and failed").await;
    assert_eq!((said.done, said.failed, said.drawn_ms, said.cost), (4, 1, 2_000, MicroUsd(2_000)));
    assert_eq!((said.done_hour, said.median_ms, said.by_agent.len()), (4, Some(500), 3));

    // One runs and does not end, so the others wait.
    for prompt in [fake::WORKS, "waits", "waits too"] {
        let view = hub.images.draw(&owl, small(prompt)).await.expect("accepted");
        asked.insert("owl".into(), view.created_at);
        ids.push(view.id);
    }
    wait(&hub, ids[5], running).await;
    let said = same(&asked, "running and waiting").await;
    assert_eq!((said.running, said.queued), (1, 2));
    hub.images.cancel(&owl, ids[6]).await.expect("cancelled");
    same(&asked, "a waiting one cancelled").await;
    hub.images.retry(&owl, ids[6]).await.expect("queued again");
    same(&asked, "and asked for again").await;
    hub.images.cancel(&operator, ids[5]).await.expect("asked to stop");
    for id in &ids[5..] {
        wait(&hub, *id, ended).await;
    }
    let said = same(&asked, "a running one cancelled, the others done").await;
    assert_eq!((said.done, said.cancelled, said.failed), (6, 1, 1));
    hub.images.retry(&owl, ids[2]).await.expect("queued again");
    wait(&hub, ids[2], ended).await;
    same(&asked, "failed once more").await;
    // The only one of its agent, the newest of another, one without cost, and one that was drawn.
    for id in [ids[3], ids[7], ids[2], ids[0]] {
        hub.images.delete(&operator, id).await.expect("deleted");
        same(&asked, "deleted").await;
    }
    let said = hub.images.stats(&operator).await.expect("statistics");
    assert_eq!((said.done, said.cancelled, said.failed, said.cost), (3, 1, 0, MicroUsd(1_500)));
    assert_eq!(
        said.by_agent.iter().map(|row| (row.agent.as_str(), row.images)).collect::<Vec<_>>(),
        [("owl", 3), ("fox", 1)]
    );
    hub.close().await;
}

/// What may happen to an image, on any image and in any state: the store decides what has an effect.
#[derive(Clone, Debug)]
enum Act {
    Ask {
        agent: Option<&'static str>,
    },
    Claim(usize),
    Settle(usize, ImageStatus, Option<i64>, Option<i64>),
    Explain(usize),
    Refuse(usize),
    Cancel(usize),
    Retry(usize),
    Delete(usize),
    /// Time passes.
    Pass(i64),
}

fn act() -> impl Strategy<Value = Act> {
    let which = 0..30_usize;
    let status = prop::sample::select(vec![
        ImageStatus::Done,
        ImageStatus::Done,
        ImageStatus::Failed,
        ImageStatus::Cancelled,
        ImageStatus::Queued,
    ]);
    let settle = (which.clone(), status, prop::option::of(0..90_000_i64), prop::option::of(0..5_000_i64));
    prop_oneof![
        4 => prop::option::of(prop::sample::select(vec!["fox", "owl", "Ünsal"])).prop_map(|agent| Act::Ask { agent }),
        4 => which.clone().prop_map(Act::Claim),
        4 => settle.prop_map(|(n, status, drawn_ms, cost)| Act::Settle(n, status, drawn_ms, cost)),
        1 => which.clone().prop_map(Act::Explain),
        1 => which.clone().prop_map(Act::Refuse),
        1 => which.clone().prop_map(Act::Cancel),
        1 => which.clone().prop_map(Act::Retry),
        2 => which.prop_map(Act::Delete),
        2 => prop::sample::select(vec![SECOND, HOUR / 2, DAY, 3 * DAY]).prop_map(Act::Pass),
    ]
}

async fn perform(db: &Db, acts: &[Act]) -> (Timestamp, LastAsked) {
    let (mut now, mut asked, mut ids) = (Timestamp::from_millis(1_800_000_000_000), LastAsked::new(), Vec::new());
    let mut tx = db.write().await.expect("the writer");
    for act in acts {
        // Most of what is asked of an image that is not there, or not in that state, is refused: that is part of the test.
        let id = |n: &usize| ids.get(n % ids.len().max(1)).copied().unwrap_or_else(|| ImageId::new(now));
        match act {
            Act::Ask { agent } => {
                let (id, draft) = (ImageId::new(now), ImageDraft::default());
                let asked_by = agent.unwrap_or("cli");
                let new = NewImage { id, draft: &draft, seed: Seed(1), asked_by, agent: *agent, parent: None, now };
                store::insert(&mut tx, &new).await.expect("asked for");
                asked.insert(agent.unwrap_or_default().to_owned(), now);
                ids.push(id);
            }
            Act::Claim(n) => drop(store::claim(&mut tx, id(n), "sketch", None, None, now).await.expect("claims")),
            Act::Settle(n, status, drawn_ms, cost) => {
                let done = *status == ImageStatus::Done;
                let outcome = Outcome {
                    status: *status,
                    drawn_ms: drawn_ms.filter(|_| done),
                    cost: cost.filter(|_| done).map(MicroUsd),
                    reason: None,
                    finished_at: status.ended().then_some(now),
                };
                store::settle(&mut tx, id(n), &outcome).await.map(drop).expect("settles");
            }
            Act::Explain(n) => store::set_reason(&mut tx, id(n), "waits").await.map(drop).expect("explains"),
            Act::Refuse(n) => store::fail_queued(&mut tx, id(n), "no", now).await.map(drop).expect("refuses"),
            // As the room does: an image that has ended is not cancelled any more.
            Act::Cancel(n) => {
                let over = "select count(*) from images where id = ? and status not in ('queued', 'running')";
                let over: i64 =
                    sqlx::query_scalar(over).bind(id(n)).fetch_one(&mut *tx).await.expect("whether it is over");
                if over == 0 {
                    store::cancel(&mut tx, id(n), now).await.map(drop).expect("cancels");
                }
            }
            Act::Retry(n) => store::retry(&mut tx, id(n)).await.map(drop).expect("retries"),
            Act::Delete(n) => store::delete(&mut tx, id(n)).await.map(drop).expect("deletes"),
            Act::Pass(millis) => now = now.plus(*millis),
        }
    }
    tx.commit().await.expect("commits");
    (now, asked)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_events_makes_the_statistics_wrong(acts in prop::collection::vec(act(), 1..150)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (said, counted) = runtime.block_on(async {
            let dir = tempfile::tempdir().expect("a folder");
            let db = Db::open(&dir.path().join("hub.db")).await.expect("opens");
            let (now, asked) = perform(&db, &acts).await;
            let said = store::stats(db.read(), now).await.expect("statistics");
            let counted = counted(db.read(), now, &asked).await;
            db.close().await;
            (said, counted)
        });
        prop_assert_eq!(said, counted);
    }
}
