//! Cancelling, on servers of all ages.

use serde_json::json;

use super::{
    Client, ID, Stop,
    fake::{Fake, Script, Step},
    graph, quick, recording,
};

/// Draws until the job runs, cancels, and returns what came out with the server's calls.
async fn cancelled(script: Script) -> (Result<super::Drawn, Stop>, Vec<String>) {
    let server = Fake::serve(script).await;
    let client = Client::new(server.port, quick());
    let begun = async {
        server.until("the submission", |server| !server.submitted().is_empty()).await;
        client.cancel.cancel();
    };
    let (result, ()) = tokio::join!(client.draw(graph(), false), begun);
    (result, server.calls())
}

#[tokio::test]
async fn a_recorded_running_job_is_cancelled_and_nothing_else() {
    // 07 was stopped by /interrupt, 09 by the jobs call; a server of today has both, and the newer one is used.
    for (file, index) in [("07", 0), ("09", 0)] {
        let recorded = recording::read("0.33.0", file).into_iter().nth(index).unwrap();
        let (result, calls) = cancelled(recorded.script).await;
        assert_eq!(result, Err(Stop::Cancelled), "{file}");
        assert!(calls.contains(&format!("POST /api/jobs/{ID}/cancel")), "{file}: {calls:?}");
        assert!(!calls.iter().any(|call| call.contains("/interrupt")), "{file}: {calls:?}");
    }
}

#[tokio::test]
async fn an_older_server_gets_a_queue_delete_and_an_interrupt_with_the_id() {
    let mut script = Script::accepting(vec![Step::AwaitCancel, Step::Forget]);
    script.version = "0.3.75";
    let (result, calls) = cancelled(script).await;
    assert_eq!(result, Err(Stop::Cancelled));
    assert_eq!(
        calls[..2],
        [format!("POST /queue {{\"delete\":[\"{ID}\"]}}"), format!("POST /interrupt {{\"prompt_id\":\"{ID}\"}}")]
    );
}

#[tokio::test]
async fn a_server_that_ignores_the_id_is_never_interrupted() {
    let mut script = Script::accepting(vec![Step::AwaitAsked(3), Step::Forget]);
    script.version = "0.3.56";
    let (result, calls) = cancelled(script).await;
    assert_eq!(result, Err(Stop::Cancelled));
    assert!(!calls.iter().any(|call| call.contains("/interrupt")), "{calls:?}");
}

#[tokio::test]
async fn a_job_that_does_not_stop_is_watched_for_a_bounded_time() {
    let (result, _) = cancelled(Script::accepting(Vec::new())).await;
    assert_eq!(result, Err(Stop::Cancelled));
}

#[tokio::test]
async fn a_job_cancelled_before_it_was_sent_is_never_sent() {
    let server = Fake::serve(Script::accepting(Vec::new())).await;
    let client = Client::new(server.port, quick());
    client.cancel.cancel();
    assert_eq!(client.draw(graph(), false).await, Err(Stop::Cancelled));
    assert!(server.submitted().is_empty());
}

#[tokio::test]
async fn somebody_elses_interrupt_is_a_failure_that_says_so() {
    let interrupted = json!({ "outputs": {}, "status": { "status_str": "error", "completed": false, "messages": [
        ["execution_interrupted", { "prompt_id": ID, "node_id": "3", "timestamp": 1 }],
    ] } });
    let end = Step::Text(r#"{"type":"executing","data":{"node":null,"prompt_id":"$ID"}}"#.to_owned());
    let server = Fake::serve(Script::accepting(vec![Step::Ended(interrupted), end])).await;
    let client = Client::new(server.port, quick());
    assert_eq!(
        client.draw(graph(), false).await,
        Err(Stop::Failed("somebody stopped the job on the server".to_owned()))
    );
}
