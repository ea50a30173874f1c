//! `kill -9` at any moment: what was accepted is drawn, once, and the database is sound.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::{Connection as _, Row as _};

use crate::{
    client::{Answer, Client},
    fake::{self, Fake},
    program::{Folder, Hub, token, until},
};

const JOBS: usize = 100;
const KILLS: usize = 20;
/// Services that draw for the hub side by side, in the test where they outlive it.
const SERVICES: usize = 4;

/// The two tests that kill at random take turns: side by side on a small machine a hub gets so little done between two kills
/// that they would prove less.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Small and good enough to choose moments; its seed is printed, so that a run can be told again.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let seed = match std::env::var("KILL_SEED") {
            Ok(text) => text.parse().expect("KILL_SEED is a number"),
            Err(_) => now().unsigned_abs(),
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

impl Told {
    fn note(&mut self, prompt: String, answer: reqwest::Result<Answer>) {
        match answer {
            Ok(answer) if answer.status.is_success() => drop(self.accepted.insert(prompt, answer.json()["id"].clone())),
            Ok(answer) => panic!("{prompt}: {} {}", answer.status, answer.text),
            // The answer was lost with the hub: whether it was accepted, only the hub knows.
            Err(_) => drop(self.unheard.insert(prompt)),
        }
    }
}

/// Asks for `JOBS / KILLS` images with a pause between, until the hub is gone or all are asked for.
async fn ask(client: &Client, round: usize, dice: &mut Dice, told: &mut Told) {
    let each = JOBS / KILLS;
    for n in round * each..(round + 1) * each {
        let prompt = format!("job {n}");
        let draft = json!({ "prompt": prompt, "width": 64, "height": 64, "steps": 1 + dice.below(3), "count": 1 + dice.below(2) });
        told.note(prompt, client.try_call("draw_image", json!({ "draft": draft })).await);
        tokio::time::sleep(Duration::from_millis(dice.below(30))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_twenty_times_during_a_hundred_jobs_it_loses_none_and_draws_none_twice() {
    let _turn = TURN.lock().await;
    let (folder, mut dice, mut told) = (Folder::new(), Dice::new(), Told::default());
    drop(Hub::start(folder.path()));
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
    drained(&client, 90).await;
    for (prompt, id) in &told.accepted {
        let view = client.image(id).await;
        assert_eq!((&view["status"], &view["draft"]["prompt"]), (&json!("done"), &json!(prompt)), "{view}");
        let wanted = view["draft"]["count"].as_u64().unwrap();
        assert_eq!(view["pictures"].as_array().map(Vec::len), usize::try_from(wanted).ok(), "{view}");
        let sha256 = view["pictures"][0]["sha256"].as_str().unwrap();
        let bytes = client.bytes(&format!("/pictures/{sha256}")).await;
        assert_eq!(self::sha256(&bytes), sha256, "the file is whole");
    }
    assert!(hub.stop().success());
    sound(&folder, &told).await;
    eprintln!("{} accepted, {} unheard", told.accepted.len(), told.unheard.len());
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Milliseconds since 1970, as the hub counts.
fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Waits until nothing is open any more.
async fn drained(client: &Client, seconds: u64) {
    until("the queue is empty", Duration::from_secs(seconds), async || {
        let open = client.call("list_images", json!({ "filter": { "ended": false } })).await.json();
        open.as_array().is_some_and(Vec::is_empty).then_some(())
    })
    .await;
}

/// The database, as the hub left it.
async fn open(folder: &Folder) -> sqlx::SqliteConnection {
    let file = format!("sqlite:{}", folder.path().join("central-mcp.db").display());
    sqlx::SqliteConnection::connect(&file).await.unwrap()
}

/// Looks into the file itself.
async fn sound(folder: &Folder, told: &Told) {
    let mut db = open(folder).await;
    let check: String = sqlx::query_scalar("pragma integrity_check").fetch_one(&mut db).await.unwrap();
    assert_eq!(check, "ok");
    assert!(sqlx::query("pragma foreign_key_check").fetch_all(&mut db).await.unwrap().is_empty());

    let rows = sqlx::query(
        "select prompt, count(*) as n, min(status) as status, max(coalesce(reason, '')) as reason,
                (select group_concat(kind || ' ' || detail, '; ') from events where subject = images.id) as log
         from images group by prompt",
    );
    let rows = rows.fetch_all(&mut db).await.unwrap();
    let mut found = BTreeSet::new();
    for row in &rows {
        let (prompt, n, status): (String, i64, &str) = (row.get("prompt"), row.get("n"), row.get("status"));
        let (reason, log): (&str, &str) = (row.get("reason"), row.get("log"));
        assert_eq!((n, status), (1, "done"), "{prompt}: {reason}; {log}");
        assert!(told.accepted.contains_key(&prompt) || told.unheard.contains(&prompt), "{prompt} was never asked for");
        found.insert(prompt);
    }
    for prompt in told.accepted.keys() {
        assert!(found.contains(prompt), "{prompt} was accepted and is gone");
    }
    // One end of each image in the audit log, and as many picture rows as were asked for.
    let ends = "select count(*) from images i where (select count(*) from events e where e.subject = i.id and e.kind = 'done') <> 1";
    let pictures = "select count(*) from images i where (select count(*) from pictures p where p.image_id = i.id) <> json_extract(i.draft, '$.count')";
    for (query, what) in [(ends, "end other than once"), (pictures, "have another number of pictures")] {
        let wrong: i64 = sqlx::query_scalar(query).fetch_one(&mut db).await.unwrap();
        assert_eq!(wrong, 0, "{wrong} images {what}");
    }
}

/// What a job of a service is called there.
fn text(submission: &Value) -> &str {
    submission["prompt"]["2"]["inputs"]["text"].as_str().unwrap()
}

/// Asks for a round's `JOBS` images at once, and counts the answers.
async fn ask_together(client: &Client, round: usize, counts: &[u64], answered: &AtomicUsize, told: &mut Told) {
    let asks = counts.iter().enumerate().map(async |(n, count)| {
        let prompt = format!("{} {round}/{n}", fake::MOMENT);
        let draft = json!({ "prompt": prompt, "width": 64, "height": 64, "steps": 1, "count": count });
        let answer = client.try_call("draw_image", json!({ "draft": draft })).await;
        answered.fetch_add(1, Ordering::Relaxed);
        (prompt, answer)
    });
    for (prompt, answer) in futures_util::future::join_all(asks).await {
        told.note(prompt, answer);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_twenty_rounds_of_a_hundred_jobs_beside_services_that_live_on() {
    let _turn = TURN.lock().await;
    let (folder, mut dice, mut told) = (Folder::in_memory(), Dice::new(), Told::default());
    drop(Hub::start(folder.path()));
    let token = token(folder.path(), "operator");
    let mut fakes = Vec::new();
    for _ in 0..SERVICES {
        fakes.push(Fake::serve(fake::MODEL).await);
    }
    let given = || fakes.iter().map(|fake| fake.submitted().len()).sum::<usize>();
    let mut kills = Vec::new();
    let began = Instant::now();
    for round in 0..KILLS {
        let hub = Hub::start(folder.path());
        let client = hub.client(&token);
        if round == 0 {
            for (n, fake) in fakes.iter().enumerate() {
                client.service(&format!("pod-{n}"), &fake.url).await;
            }
        }
        let counts: Vec<_> = (0..JOBS).map(|_| 1 + dice.below(2)).collect();
        // In one round of four the hub is killed while people still ask, else while it draws what they asked for.
        let some = usize::try_from(dice.below(JOBS as u64)).unwrap();
        let (answers, jobs) = if dice.below(4) == 0 { (some, 0) } else { (JOBS, told.accepted.len() + some) };
        let within_a_job = Duration::from_micros(dice.below(25_000));
        let answered = AtomicUsize::new(0);
        let kill = async {
            until("the asked-for images are accepted, and some of them drawn", Duration::from_secs(60), async || {
                (answered.load(Ordering::Relaxed) >= answers && given() >= jobs).then_some(())
            })
            .await;
            tokio::time::sleep(within_a_job).await;
            hub.kill();
            kills.push(now());
        };
        tokio::join!(ask_together(&client, round, &counts, &answered, &mut told), kill);
    }
    assert!(
        told.accepted.len() > KILLS * JOBS / 2,
        "too few were accepted for this to prove anything: {}",
        told.accepted.len()
    );
    let hub = Hub::start(folder.path());
    drained(&hub.client(&token), 90).await;
    assert!(hub.stop().success());
    sound(&folder, &told).await;
    let caught = drawn_once(&folder, &fakes, &kills).await;
    eprintln!(
        "{} accepted, {} unheard, {caught} caught between their claim and their submission; {:.1} s",
        told.accepted.len(),
        told.unheard.len(),
        began.elapsed().as_secs_f64()
    );
}

/// What the services say they were given, against what the hub says of it; how many images went back into the queue.
async fn drawn_once(folder: &Folder, fakes: &[Fake], kills: &[i64]) -> usize {
    let mut book: BTreeMap<String, Vec<Arc<Value>>> = BTreeMap::new();
    for submission in fakes.iter().flat_map(Fake::submitted) {
        book.entry(text(&submission).to_owned()).or_default().push(submission);
    }
    let mut db = open(folder).await;
    let images = sqlx::query("select id, prompt from images").fetch_all(&mut db).await.unwrap();
    assert_eq!(images.len(), book.len(), "as many images as jobs");
    let mut caught = 0;
    for image in images {
        let (id, prompt): (String, String) = (image.get("id"), image.get("prompt"));
        let submissions = book.get(&prompt).unwrap_or_else(|| panic!("{prompt} is done, and no service drew it"));
        // The services live on and remember, so no kill is a reason to draw anything again.
        let [submission] = &submissions[..] else { panic!("{prompt} was submitted {} times", submissions.len()) };
        let events = sqlx::query("select kind, at, detail from events where subject = ? order by seq").bind(&id);
        let mut started_at = i64::MAX;
        for event in events.fetch_all(&mut db).await.unwrap() {
            let (kind, at, detail): (&str, i64, &str) = (event.get("kind"), event.get("at"), event.get("detail"));
            match kind {
                "started" => started_at = at,
                "requeued" => {
                    let killed = kills.iter().any(|kill| (started_at..=at).contains(kill));
                    assert!(killed, "{prompt} went back into the queue, and no kill was the reason: {detail}");
                    caught += 1;
                }
                _ => {}
            }
        }

        let files = sqlx::query_scalar("select sha256 from pictures where image_id = ? order by n").bind(&id);
        let files: Vec<String> = files.fetch_all(&mut db).await.unwrap();
        let name = |n| format!("{}_{n:05}_.png", submission["prompt_id"].as_str().unwrap());
        let drawn: Vec<_> = (1..=files.len()).map(|n| sha256(&fake::picture(&name(n), fake::EDGE))).collect();
        assert_eq!(files, drawn, "{prompt} has the pictures of its own job, in their order");
        for name in files {
            let file = folder.path().join("pictures").join(&name[..2]).join(&name);
            assert_eq!(sha256(&std::fs::read(file).unwrap()), name, "the file is whole");
        }
    }
    caught
}

/// Asks for an image that a service works at, kills the hub, lets the service finish, and starts the hub again. How the image
/// ended, and how often it was submitted.
async fn killed_while_a_service_works(prompt: &str) -> (Value, usize) {
    let (folder, fake) = (Folder::new(), Fake::serve(fake::MODEL).await);
    drop(Hub::start(folder.path()));
    let token = token(folder.path(), "operator");
    let hub = Hub::start(folder.path());
    let client = hub.client(&token);
    client.service("pod", &fake.url).await;
    let id = client.draw(json!({ "prompt": prompt, "width": 64, "height": 64, "steps": 1 })).await["id"].clone();
    until("the service has the job", Duration::from_secs(20), async || (!fake.submitted().is_empty()).then_some(()))
        .await;
    hub.kill();
    fake.finish();
    let hub = Hub::start(folder.path());
    let view = hub.client(&token).ended(&id, 30).await;
    (view, fake.submitted().len())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_finished_while_the_hub_was_dead_is_fetched_and_what_it_forgot_is_drawn_again() {
    for (word, times) in [(fake::WORKS, 1), (fake::FORGOTTEN, 2)] {
        let (view, submitted) = killed_while_a_service_works(word).await;
        assert_eq!((&view["status"], &view["attempts"], submitted), (&json!("done"), &json!(times), times), "{view}");
    }
}
