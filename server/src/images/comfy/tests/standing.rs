//! A recorded queue (08: four waiting jobs behind a long one, then one deleted, then all) answers where each job stands.

use std::path::Path;

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};

use super::{super::calls::Known, *};

/// The queue as it was recorded last, for the server that plays it.
type Queue = Arc<Mutex<Value>>;

async fn serve(queue: Queue) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new()
        .route("/queue", get(|State(queue): State<Queue>| async move { Json(queue.lock().unwrap().clone()) }))
        .route("/queue", post(|| async {}))
        .route("/history/{id}", get(|| async { Json(json!({})) }))
        .with_state(queue);
    #[expect(clippy::disallowed_methods, reason = "a stand-in for another program; it ends with the test")]
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

fn word(known: &Known) -> &'static str {
    match known {
        Known::Out { running: true } => "runs",
        Known::Out { running: false } => "waits",
        Known::No => "gone",
        Known::Ended(_) => "ended",
    }
}

#[tokio::test]
async fn a_recorded_queue_says_where_each_of_its_jobs_stands() {
    for version in ["0.33.0", "0.3.75"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("tests/data/comfyui/v{version}/08-cancel-pending-and-queue-order.jsonl"));
        let lines: Vec<Value> =
            std::fs::read_to_string(file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let submitted = lines.iter().filter(|line| line["method"] == "POST" && line["path"] == "/prompt");
        let ids: Vec<&str> = submitted.map(|line| line["resp"]["prompt_id"].as_str().unwrap()).collect();
        let queues = lines.iter().filter(|line| line["method"] == "GET" && line["path"] == "/queue");
        let queues: Vec<&Value> = queues.map(|line| &line["resp"]).collect();
        // In the order of submission: the long one, two more, one in front, one with a number between two others. The
        // second is deleted; deleting the one that runs does nothing; then all that wait are cleared.
        let expected = [
            ["runs", "waits", "waits", "waits", "waits"],
            ["runs", "gone", "waits", "waits", "waits"],
            ["runs", "gone", "gone", "gone", "gone"],
        ];
        assert_eq!((ids.len(), queues.len()), (5, expected.len()), "{version}");

        let queue = Queue::default();
        let client = Client::new(serve(queue.clone()).await, quick());
        for (recorded, expected) in queues.into_iter().zip(expected) {
            *queue.lock().unwrap() = recorded.clone();
            for (id, expected) in ids.iter().zip(expected) {
                let known = client.comfy.shared.calls.standing(id).await.unwrap();
                assert_eq!(word(&known), expected, "{id} of {version}");
            }
        }
    }
}
