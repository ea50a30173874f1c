//! `kill -9` at any moment: what was accepted is drawn, once, and the database is sound.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::{Connection as _, Row as _};

use crate::{
    client::Client,
    program::{Folder, Hub, token, until},
};

const JOBS: usize = 100;
const KILLS: usize = 20;

/// Small and good enough to choose moments; its seed is printed, so that a run can be told again.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let seed = match std::env::var("KILL_SEED") {
            Ok(text) => text.parse().expect("KILL_SEED is a number"),
            Err(_) => u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap(),
        };
        eprintln!("moments of this run: KILL_SEED={seed}");
        Self(seed | 1)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// What the client was told of each of its prompts.
#[derive(Default)]
struct Told {
    accepted: BTreeMap<String, Value>,
    unheard: BTreeSet<String>,
}

/// Asks for `JOBS / KILLS` images with a pause between, until the hub is gone or all are asked for.
async fn ask(client: &Client, round: usize, dice: &mut Dice, told: &mut Told) {
    let each = JOBS / KILLS;
    for n in round * each..(round + 1) * each {
        let prompt = format!("job {n}");
        let draft = json!({ "prompt": prompt, "width": 64, "height": 64, "steps": 1 + dice.below(3), "count": 1 + dice.below(2) });
        match client.try_call("draw_image", json!({ "draft": draft })).await {
            Ok(answer) if answer.status.is_success() => drop(told.accepted.insert(prompt, answer.json()["id"].clone())),
            Ok(answer) => panic!("{prompt}: {} {}", answer.status, answer.text),
            // The answer was lost with the hub: whether it was accepted, only the hub knows.
            Err(_) => drop(told.unheard.insert(prompt)),
        }
        tokio::time::sleep(Duration::from_millis(dice.below(30))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_twenty_times_during_a_hundred_jobs_it_loses_none_and_draws_none_twice() {
    let (folder, mut dice, mut told) = (Folder::new(), Dice::new(), Told::default());
    let token = token(folder.path(), "operator");
    for round in 0..KILLS {
        let hub = Hub::start(folder.path());
        let client = hub.client(&token);
        let moment = Duration::from_millis(dice.below(500));
        let kill = async {
            tokio::time::sleep(moment).await;
            hub.kill();
        };
        tokio::join!(ask(&client, round, &mut dice, &mut told), kill);
    }
    assert!(
        told.accepted.len() > JOBS / 4,
        "too few were accepted for this to prove anything: {}",
        told.accepted.len()
    );

    let hub = Hub::start(folder.path());
    let client = hub.client(&token);
    until("the queue is empty", Duration::from_secs(90), async || {
        let open = client.call("list_images", json!({ "filter": { "ended": false } })).await.json();
        open.as_array().is_some_and(Vec::is_empty).then_some(())
    })
    .await;
    for (prompt, id) in &told.accepted {
        let view = client.image(id).await;
        assert_eq!((&view["status"], &view["draft"]["prompt"]), (&json!("done"), &json!(prompt)), "{view}");
        let wanted = view["draft"]["count"].as_u64().unwrap();
        assert_eq!(view["pictures"].as_array().map(Vec::len), usize::try_from(wanted).ok(), "{view}");
        let sha256 = view["pictures"][0]["sha256"].as_str().unwrap();
        let bytes = client.bytes(&format!("/pictures/{sha256}")).await;
        let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, sha256, "the file is whole");
    }
    assert!(hub.stop().success());
    sound(&folder, &told).await;
    eprintln!("{} accepted, {} unheard", told.accepted.len(), told.unheard.len());
}

/// Looks into the file itself.
async fn sound(folder: &Folder, told: &Told) {
    let file = format!("sqlite:{}", folder.path().join("central-mcp.db").display());
    let mut db = sqlx::SqliteConnection::connect(&file).await.unwrap();
    let check: String = sqlx::query_scalar("pragma integrity_check").fetch_one(&mut db).await.unwrap();
    assert_eq!(check, "ok");
    assert!(sqlx::query("pragma foreign_key_check").fetch_all(&mut db).await.unwrap().is_empty());

    let rows = sqlx::query("select prompt, count(*) as n, min(status) as status from images group by prompt")
        .fetch_all(&mut db);
    let rows: BTreeMap<String, (i64, String)> =
        rows.await.unwrap().iter().map(|row| (row.get("prompt"), (row.get("n"), row.get("status")))).collect();
    for (prompt, (n, status)) in &rows {
        assert_eq!((*n, status.as_str()), (1, "done"), "{prompt}");
        assert!(told.accepted.contains_key(prompt) || told.unheard.contains(prompt), "{prompt} was never asked for");
    }
    for prompt in told.accepted.keys() {
        assert!(rows.contains_key(prompt), "{prompt} was accepted and is gone");
    }
    // One end of each image in the audit log, and as many picture rows as were asked for.
    let ends = "select count(*) from images i where (select count(*) from events e where e.subject = i.id and e.kind = 'done') <> 1";
    let pictures = "select count(*) from images i where (select count(*) from pictures p where p.image_id = i.id) <> json_extract(i.draft, '$.count')";
    for (query, what) in [(ends, "end other than once"), (pictures, "have another number of pictures")] {
        let wrong: i64 = sqlx::query_scalar(query).fetch_one(&mut db).await.unwrap();
        assert_eq!(wrong, 0, "{wrong} images {what}");
    }
}
