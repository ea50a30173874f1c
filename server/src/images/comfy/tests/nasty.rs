//! Servers that misbehave, made by hand.

use std::time::Duration;

use axum::{
    Json, Router,
    body::{Body, Bytes},
    http::{StatusCode, header},
    response::{Html, IntoResponse as _, Response},
    routing::{any, get, post},
};
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use super::{
    Client, ID, Report, Stop, entry,
    fake::{Fake, Script, Step},
    graph, quick,
};
use crate::clock::Stopwatch;

fn ended() -> Step {
    Step::Text(r#"{"type":"executing","data":{"node":null,"prompt_id":"$ID"}}"#.to_owned())
}

fn running(node: &str) -> Step {
    Step::Text(
        json!({ "type": "executing", "data": { "node": node, "display_node": node, "prompt_id": ID } }).to_string(),
    )
}

/// Serves any router on a free port.
async fn serve(router: Router) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    TaskTracker::new().spawn(async move { axum::serve(listener, router).await });
    port
}

/// A body that never ends; `pause` between its pieces.
fn endless(kind: &'static str, first: &'static str, piece: &'static [u8], pause: Duration) -> Response {
    let pieces = futures_util::stream::unfold(true, move |is_first| async move {
        if is_first {
            return Some((Ok::<_, std::io::Error>(Bytes::from_static(first.as_bytes())), false));
        }
        tokio::time::sleep(pause).await;
        Some((Ok(Bytes::from_static(piece)), false))
    });
    ([(header::CONTENT_TYPE, kind)], Body::from_stream(pieces)).into_response()
}

#[tokio::test]
async fn nobody_at_the_address_is_unreachable_at_once() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let client = Client::new(port, quick());
    let stop = client.draw(graph(), false).await.unwrap_err();
    assert!(matches!(&stop, Stop::Unreachable(text) if text.contains("cannot be connected to")), "{stop:?}");
}

#[tokio::test]
async fn a_proxys_page_is_a_server_that_is_not_up() {
    for status in [StatusCode::BAD_GATEWAY, StatusCode::OK] {
        let port =
            serve(Router::new().fallback(any(move || async move { (status, Html("<h1>Bad gateway</h1>")) }))).await;
        let client = Client::new(port, quick());
        let stop = client.draw(graph(), false).await.unwrap_err();
        assert!(matches!(&stop, Stop::Unreachable(text) if !text.contains("<h1>")), "{stop:?}");
    }
}

#[tokio::test]
async fn json_of_something_else_is_not_a_job() {
    let port = serve(Router::new().fallback(any(|| async { Json(json!({ "hello": "world" })) }))).await;
    let client = Client::new(port, quick());
    let stop = client.draw(graph(), false).await.unwrap_err();
    assert!(matches!(&stop, Stop::Unreachable(text) if text.contains("like ComfyUI")), "{stop:?}");
}

#[tokio::test]
async fn a_part_that_was_left_out_is_a_warning() {
    let mut script = Script::accepting(vec![running("9"), Step::Ended(entry("a.png")), ended()]);
    script.answer["node_errors"] = json!({ "8": { "class_type": "SaveImage", "dependent_outputs": ["8"], "errors": [
        { "type": "required_input_missing", "message": "Required input is missing", "details": "images", "extra_info": { "input_name": "images" } },
    ] } });
    let server = Fake::serve(script).await;
    let client = Client::new(server.port, quick());
    let drawn = client.draw(graph(), false).await.unwrap();
    let warning = drawn.warning.unwrap();
    assert!(warning.contains("node 8 (SaveImage) lacks its input images"), "{warning}");
    assert_eq!(client.reports()[0], Report::Accepted { warning: Some(warning) });
    assert_eq!(drawn.drawn_ms, Some(2_500));
}

/// A server that draws honestly, and drips its answers at this path; what becomes of a job there.
async fn dripping(path: &str) -> Stop {
    // A submission that never gets its answer did not arrive.
    let jobs = if path == "/prompt" { json!({}) } else { json!({ ID: entry("a.png") }) };
    let honest = |request: axum::extract::Request| async move {
        match (request.method().as_str(), request.uri().path()) {
            ("POST", "/prompt") => Json(json!({ "prompt_id": ID, "number": 0, "node_errors": {} })).into_response(),
            ("GET", "/queue") => Json(json!({ "queue_running": [], "queue_pending": [] })).into_response(),
            ("GET", path) if path.starts_with("/history/") => Json(jobs).into_response(),
            _ => ().into_response(),
        }
    };
    let kind = if path == "/view" { "image/png" } else { "application/json" };
    let drip = move || async move { endless(kind, "", b" ", Duration::from_millis(50)) };
    let client = Client::new(serve(Router::new().route(path, any(drip)).fallback(honest)).await, quick());
    client.draw(graph(), false).await.unwrap_err()
}

#[tokio::test]
async fn a_byte_at_a_time_does_not_hold_a_job_for_ever() {
    // The submission, the question how it stands, and a file after an honest job.
    for path in ["/prompt", "/history/{id}", "/view"] {
        let stop = dripping(path).await;
        assert!(matches!(&stop, Stop::Unreachable(text) if text.contains("took longer than")), "{path}: {stop:?}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off_at_the_limit() {
    static PIECE: [u8; 1 << 20] = [b' '; 1 << 20];
    let flood = || async { endless("application/json", "", &PIECE, Duration::ZERO) };
    let port =
        serve(Router::new().route("/prompt", get(flood)).fallback(any(|| async { StatusCode::NOT_FOUND }))).await;
    let mut pace = quick();
    pace.answer = Duration::from_secs(10);
    let client = Client::new(port, pace);
    let error = client.comfy.queue_remaining().await.unwrap_err();
    assert!(error.to_string().contains("over 64 MiB"), "{error}");
}

#[tokio::test]
async fn a_socket_that_closes_in_mid_job_is_opened_again_with_its_flags() {
    let steps = vec![running("3"), Step::Close, running("8"), Step::Ended(entry("a.png")), ended()];
    let server = Fake::serve(Script::accepting(steps)).await;
    let client = Client::new(server.port, quick());
    assert_eq!(client.draw(graph(), false).await.unwrap().files.len(), 1);
    assert_eq!(server.flags().len(), 2);
    assert!(server.flags().iter().all(|flags| flags.contains("supports_preview_metadata")));
    assert_eq!(client.phases(), ["sampling", "decoding", "fetching"]);
}

#[tokio::test]
async fn a_server_without_a_socket_is_asked() {
    let server = Router::new()
        .route("/prompt", post(|| async { Json(json!({ "prompt_id": ID, "number": 0, "node_errors": {} })) }))
        .route("/history/{id}", get(|| async { Json(json!({ ID: entry("a.png") })) }))
        .route("/history", post(|| async {}))
        .route("/view", get(|| async { b"\x89PNG".to_vec() }));
    let client = Client::new(serve(server).await, quick());
    assert_eq!(client.draw(graph(), false).await.unwrap().files.len(), 1);
}

#[tokio::test]
async fn an_open_socket_that_says_nothing_of_a_running_job_is_replaced() {
    let steps = vec![Step::AwaitAsked(4), running("3"), Step::Ended(entry("a.png")), ended()];
    let server = Fake::serve(Script::accepting(steps)).await;
    let client = Client::new(server.port, quick());
    assert_eq!(client.draw(graph(), false).await.unwrap().files.len(), 1);
    assert_eq!(server.flags().len(), 2);
}

#[tokio::test]
async fn a_job_that_the_server_forgot_is_lost_and_not_done() {
    let server = Fake::serve(Script::accepting(vec![running("3"), Step::Close, Step::Forget])).await;
    let client = Client::new(server.port, quick());
    let stop = client.draw(graph(), false).await.unwrap_err();
    assert!(matches!(stop, Stop::Lost(_)), "{stop:?}");
}

#[tokio::test]
async fn a_file_that_is_gone_is_a_failure_with_its_reason() {
    let mut script = Script::accepting(vec![Step::Ended(entry("a.png")), ended()]);
    script.file = None;
    let server = Fake::serve(script).await;
    let client = Client::new(server.port, quick());
    let stop = client.draw(graph(), false).await.unwrap_err();
    assert!(matches!(&stop, Stop::Failed(text) if text.contains("no longer has")), "{stop:?}");
}

#[tokio::test]
async fn after_our_restart_a_job_is_found_and_not_sent_again() {
    let mut script = Script::accepting(vec![Step::AwaitAsked(2), Step::Ended(entry("a.png")), ended()]);
    script.resumed = true;
    let server = Fake::serve(script).await;
    let client = Client::new(server.port, quick());
    assert_eq!(client.draw(graph(), true).await.unwrap().files.len(), 1);
    assert!(server.submitted().is_empty());
    // Unknown there: it is lost, and still not sent again.
    let server = Fake::serve(Script::accepting(Vec::new())).await;
    let client = Client::new(server.port, quick());
    let stop = client.draw(graph(), true).await.unwrap_err();
    assert!(matches!(stop, Stop::Lost(_)), "{stop:?}");
    assert!(server.submitted().is_empty());
}

#[tokio::test]
async fn previews_are_asked_for_and_foreign_ones_are_dropped() {
    let preview = |id: &str, node: &str| {
        let about = json!({ "prompt_id": id, "node_id": node, "image_type": "image/jpeg" }).to_string();
        let length = u32::try_from(about.len()).unwrap().to_be_bytes();
        Step::Binary([&4_u32.to_be_bytes()[..], &length[..], about.as_bytes(), b"jpeg"].concat())
    };
    let other = "ffffffff-0000-4000-8000-000000000001";
    let steps = vec![running("3"), preview(ID, "3"), preview(other, "3"), Step::Ended(entry("a.png")), ended()];
    let server = Fake::serve(Script::accepting(steps)).await;
    let client = Client::new(server.port, quick());
    client.draw(graph(), false).await.unwrap();
    assert_eq!(client.previews(), 1);
    assert_eq!(server.submitted()[0]["extra_data"], json!({ "preview_method": "auto" }));
}

#[tokio::test]
async fn the_socket_is_kept_between_jobs_and_the_end_is_noticed_at_once() {
    let steps = vec![running("3"), Step::Ended(entry("a.png")), ended()];
    let server = Fake::serve(Script::accepting(steps)).await;
    // The usual pace: only the socket can be this quick.
    let client = Client::new(server.port, super::Pace::default());
    for _ in 0..3 {
        let watch = Stopwatch::start();
        client.draw(graph(), false).await.unwrap();
        assert!(watch.elapsed() < Duration::from_secs(2), "{:?}", watch.elapsed());
    }
    assert_eq!(server.flags().len(), 1);
    let remaining: Result<u32, _> = client.comfy.queue_remaining().await;
    assert_eq!(remaining, Ok(1));
    let _: Vec<Value> = server.submitted();
}
