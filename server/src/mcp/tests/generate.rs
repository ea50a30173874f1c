//! `generate_image` and its companions, from the call to the picture.

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::*;

/// The kinds of a result's content blocks.
fn kinds(result: &Value) -> Vec<&str> {
    result["content"].as_array().unwrap().iter().map(|block| block["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_prompt_becomes_a_picture_with_a_preview_and_a_link() {
    let house = House::new().await;
    let token = house.agent().await;
    let asked = with(small("a fox 🦊 in the snow"), json!({ "seed": u64::MAX, "task": "T-42" }));
    let result = house.tool(&token, "generate_image", asked).await;
    assert_eq!(kinds(&result), ["text", "image", "resource_link"]);
    let facts = &result["structuredContent"];
    assert_eq!(serde_json::from_str::<Value>(result["content"][0]["text"].as_str().unwrap()).unwrap(), *facts);
    assert_eq!((&facts["status"], &facts["backend"]), (&json!("done"), &json!("sketch")));
    assert!(facts["message"].as_str().unwrap().contains("no model"), "{facts}");
    assert!(facts.get("cost").is_none() && facts["duration_ms"].is_i64(), "{facts}");
    let picture = &facts["images"][0];
    assert_eq!((&picture["width"], &picture["height"]), (&json!(64), &json!(64)));
    assert_eq!(picture["seed"], "18446744073709551615");

    // The preview is a small JPEG, the link the original.
    let preview = &result["content"][1];
    assert_eq!(preview["mimeType"], "image/jpeg");
    let data = preview["data"].as_str().unwrap();
    assert!(data.len() <= 256_000);
    image::load_from_memory(&BASE64_STANDARD.decode(data).unwrap()).unwrap();
    let link = &result["content"][2];
    assert_eq!((&link["uri"], &link["mimeType"]), (&picture["uri"], &json!("image/png")));
    assert_eq!(link["title"], "a fox 🦊 in the snow");
    let read = house.modern(&token, "resources/read", json!({ "uri": link["uri"] })).await;
    let contents = &read.result()["contents"][0];
    let bytes = BASE64_STANDARD.decode(contents["blob"].as_str().unwrap()).unwrap();
    assert_eq!(crate::secrets::hex(&crate::secrets::sha256(&bytes)), picture["sha256"].as_str().unwrap());
    assert_eq!((bytes.len() as u64, &contents["mimeType"]), (picture["bytes"].as_u64().unwrap(), &json!("image/png")));

    // The URL gives the same to who has the token.
    let mut request = ask(Method::GET, &token, &[]);
    *request.uri_mut() = picture["url"].as_str().unwrap().trim_start_matches("http://localhost:3000").parse().unwrap();
    assert_eq!(house.send(request).await.status(), StatusCode::OK);

    // It is the agent's, for the task, in the gallery, the statistics and the audit log.
    let view = house.image(facts["id"].as_str().unwrap()).await;
    assert_eq!((view.agent.as_deref(), view.draft.task.as_deref()), (Some("fox"), Some("T-42")));
    let stats = house.hub.images.stats(&Caller::cli()).await.unwrap();
    assert_eq!((stats.by_agent[0].agent.as_str(), stats.by_agent[0].images), ("fox", 1));
    let events = house.hub.events.list(&Caller::cli(), EventFilter::newest(10)).await.unwrap();
    assert!(events.iter().any(|event| event.kind == "queued" && event.actor == "agent:fox"));
}

#[tokio::test]
async fn what_only_a_missing_service_could_draw_says_so_in_the_first_answer() {
    let house = House::new().await;
    let token = house.agent().await;
    let asked = with(small("x"), json!({ "model": "flux", "wait": false }));
    let facts = house.facts(&token, "generate_image", asked).await;
    assert_eq!(facts["status"], "queued");
    assert!(facts["message"].as_str().unwrap().contains("waits for a ComfyUI service"), "{facts}");
    let facts = house.facts(&token, "generate_image", with(small("y"), json!({ "wait": false }))).await;
    assert!(!facts["message"].as_str().unwrap().contains("ComfyUI"), "the sketch can draw this: {facts}");
}

#[tokio::test]
async fn progress_is_told_at_once_and_only_grows() {
    let house = House::new().await;
    let token = house.agent().await;
    let arguments = with(small("slow"), json!({ "steps": 60 }));
    let params = json!({ "name": "generate_image", "arguments": arguments });
    let request = modern_with(&token, "tools/call", params.clone(), json!({ "progressToken": "p-1" }));
    let mut stream = Stream::open(house.send(request).await);
    let mut told = Vec::new();
    let result = loop {
        let message = stream.next().await.unwrap();
        if message["method"] == "notifications/progress" {
            assert_eq!(message["params"]["progressToken"], "p-1");
            told.push((message["params"]["progress"].as_f64().unwrap(), message["params"].clone()));
            continue;
        }
        break message;
    };
    assert_eq!(result["result"]["structuredContent"]["status"], "done");
    assert_eq!(stream.next().await, None);
    assert!(told.len() >= 3, "{told:?}");
    assert!(told.windows(2).all(|pair| pair[0].0 < pair[1].0), "{told:?}");
    let (_, last) = told.last().unwrap();
    assert_eq!(last["total"], 61.0, "{last}");
    assert!(last["message"].as_str().unwrap().contains("of 60 on sketch"), "{last}");

    let session = Session::begin(&house, &token, LEGACY).await;
    let params = with(params, json!({ "_meta": { "progressToken": 7 } }));
    let answer = session.call("tools/call", params).await;
    let progress: Vec<_> = answer.messages.iter().filter(|it| it["method"] == "notifications/progress").collect();
    assert!(progress.len() >= 3 && progress.iter().all(|it| it["params"]["progressToken"] == 7), "{answer:?}");
    assert_eq!(answer.result()["structuredContent"]["status"], "done");
}

#[tokio::test]
async fn who_does_not_wait_gets_the_id_and_loses_nothing() {
    let house = House::new().await;
    let token = house.agent().await;
    let facts = house.facts(&token, "generate_image", with(small("later"), json!({ "wait": false }))).await;
    assert_eq!(facts["images"], json!([]));
    assert!(facts["message"].as_str().unwrap().contains("call get_image with this id"), "{facts}");
    let id = json!({ "id": facts["id"], "wait": true });
    let result = house.tool(&token, "get_image", id.clone()).await;
    assert_eq!((&result["structuredContent"]["status"], kinds(&result).len()), (&json!("done"), 3));
    let plain = house.tool(&token, "get_image", with(id, json!({ "preview": false }))).await;
    assert_eq!(kinds(&plain), ["text", "resource_link"]);

    // An expired wait is the same as none.
    let watch = crate::clock::Stopwatch::start();
    let facts = house.facts(&token, "generate_image", with(long("long"), json!({ "wait": 1 }))).await;
    assert!((1_000..10_000).contains(&watch.millis()), "{}", watch.millis());
    assert_eq!(facts["status"], "running");
    assert!(facts["step"].as_u64().unwrap() > 0 && facts["steps"] == 2400, "{facts}");
    let queued = house.facts(&token, "generate_image", with(small("next"), json!({ "wait": false }))).await;
    assert_eq!((&queued["status"], &queued["place"]), (&json!("queued"), &json!(0)));
    let cancelled = house.facts(&token, "cancel_image", json!({ "id": queued["id"] })).await;
    assert_eq!((&cancelled["status"], &cancelled["message"]), (&json!("cancelled"), &json!("it is cancelled")));
    // A running one may or may not have ended yet.
    house.facts(&token, "cancel_image", json!({ "id": facts["id"] })).await;
    let result = house.facts(&token, "get_image", json!({ "id": facts["id"], "wait": 20 })).await;
    assert_eq!((&result["status"], &result["message"]), (&json!("cancelled"), &json!("it was cancelled")));
    let again = house.refused(&token, "cancel_image", json!({ "id": facts["id"] })).await;
    assert!(again.contains("already cancelled"), "{again}");
}

#[tokio::test]
async fn a_lost_connection_stops_the_image_only_if_asked() {
    let house = House::new().await;
    let token = house.agent().await;
    for (more, expected) in
        [(json!({}), ImageStatus::Running), (json!({ "cancel_on_disconnect": true }), ImageStatus::Cancelled)]
    {
        let params = json!({ "name": "generate_image", "arguments": with(long("long"), more) });
        let request = modern_with(&token, "tools/call", params, json!({ "progressToken": 1 }));
        let mut stream = Stream::open(house.send(request).await);
        stream.next_of("notifications/progress").await;
        let open = house.facts(&token, "list_images", json!({ "status": "open" })).await;
        let id = open["images"][0]["id"].as_str().unwrap().to_owned();
        house.until(&id, ImageStatus::Running).await;
        drop(stream);
        if expected == ImageStatus::Running {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        house.until(&id, expected).await;
        if expected == ImageStatus::Running {
            house.facts(&token, "cancel_image", json!({ "id": id })).await;
            house.until(&id, ImageStatus::Cancelled).await;
        }
    }
}

#[tokio::test]
async fn a_session_whose_stream_is_lost_stops_the_image_only_if_asked() {
    let house = House::new().await;
    let token = house.agent().await;
    let session = Session::begin(&house, &token, LEGACY).await;
    for (more, expected) in
        [(json!({}), ImageStatus::Running), (json!({ "cancel_on_disconnect": true }), ImageStatus::Cancelled)]
    {
        let call = json!({ "jsonrpc": "2.0", "id": expected.word(), "method": "tools/call", "params": {
            "name": "generate_image", "arguments": with(long("long"), more), "_meta": { "progressToken": 1 },
        }});
        let mut stream = Stream::open(session.post(&call).await);
        stream.next_of("notifications/progress").await;
        let open = house.facts(&token, "list_images", json!({ "status": "open" })).await;
        let id = open["images"][0]["id"].as_str().unwrap().to_owned();
        house.until(&id, ImageStatus::Running).await;
        drop(stream);
        if expected == ImageStatus::Running {
            // Long enough for a cancellation to be seen, if there were one.
            tokio::time::sleep(Duration::from_millis(500)).await;
            assert_eq!(house.image(&id).await.status, expected);
            house.facts(&token, "cancel_image", json!({ "id": id })).await;
            house.until(&id, ImageStatus::Cancelled).await;
        } else {
            house.until(&id, expected).await;
        }
    }
}

#[tokio::test]
async fn who_waits_in_the_queue_hears_something_every_fifteen_seconds() {
    let house = House::new().await;
    let token = house.agent().await;
    let before = house.facts(&token, "generate_image", with(long("before it"), json!({ "wait": false }))).await;
    // Until it is drawn it waits too, and is counted.
    house.until(before["id"].as_str().unwrap(), ImageStatus::Running).await;
    let params = json!({ "name": "generate_image", "arguments": small("behind it") });
    let watch = crate::clock::Stopwatch::start();
    let request = modern_with(&token, "tools/call", params, json!({ "progressToken": 1 }));
    let mut stream = Stream::open(house.send(request).await);
    let first = stream.next_of("notifications/progress").await;
    assert!(watch.millis() < 2_000, "the first word comes at once, this one after {} ms", watch.millis());
    let watch = crate::clock::Stopwatch::start();
    let second = stream.next_of("notifications/progress").await;
    assert!(watch.millis() < 15_000, "{} ms of silence", watch.millis());
    assert_eq!(first["params"]["message"], second["params"]["message"]);
    assert!(first["params"]["progress"].as_f64() < second["params"]["progress"].as_f64());
}

#[tokio::test]
async fn more_calls_than_may_wait_get_their_id_at_once() {
    let house = House::new().await;
    let token = house.agent().await;
    let asked = house.facts(&token, "generate_image", with(long("one for all"), json!({ "wait": false }))).await;
    let id = json!({ "id": asked["id"], "wait": 600 });
    let mut waiting = Vec::new();
    for _ in 0..32 {
        let params = json!({ "name": "get_image", "arguments": id });
        let request = modern_with(&token, "tools/call", params, json!({ "progressToken": 1 }));
        let mut stream = Stream::open(house.send(request).await);
        stream.next_of("notifications/progress").await;
        waiting.push(stream);
    }
    let facts = house.facts(&token, "get_image", id.clone()).await;
    assert!(matches!(facts["status"].as_str(), Some("queued" | "running")), "{facts}");
    // Another token's calls wait all the same, and a place that is left is free again.
    let other = house.token(Role::Agent, Some("owl"), None).await;
    let params = json!({ "name": "get_image", "arguments": id });
    let request = modern_with(&other, "tools/call", params, json!({ "progressToken": 1 }));
    Stream::open(house.send(request).await).next_of("notifications/progress").await;
}

#[tokio::test]
async fn a_session_cancels_a_call_by_a_notification() {
    let house = House::new().await;
    let token = house.agent().await;
    let session = Session::begin(&house, &token, LEGACY).await;
    let arguments = with(long("long"), json!({ "cancel_on_disconnect": true }));
    let call = json!({ "jsonrpc": "2.0", "id": 77, "method": "tools/call", "params": {
        "name": "generate_image", "arguments": arguments, "_meta": { "progressToken": 1 },
    }});
    let mut stream = Stream::open(session.post(&call).await);
    stream.next_of("notifications/progress").await;
    let open = house.facts(&token, "list_images", json!({ "status": "open" })).await;
    let id = open["images"][0]["id"].as_str().unwrap().to_owned();
    house.until(&id, ImageStatus::Running).await;
    let cancel = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 77 } });
    assert_eq!(session.post(&cancel).await.status(), StatusCode::ACCEPTED);
    house.until(&id, ImageStatus::Cancelled).await;
}

#[tokio::test]
async fn a_picture_can_be_the_start_of_another() {
    let house = House::new().await;
    let token = house.agent().await;
    let first = house.facts(&token, "generate_image", with(small("first"), json!({ "count": 2 }))).await;
    let (one, two) = (&first["images"][0], &first["images"][1]);
    let bytes = png(200);
    let base64 = BASE64_STANDARD.encode(&bytes);
    let uploaded = crate::secrets::hex(&crate::secrets::sha256(&bytes));
    let whole = format!("central://images/{}", first["id"].as_str().unwrap());
    for (image, expected) in [
        (one["sha256"].clone(), &one["sha256"]),
        (two["uri"].clone(), &two["sha256"]),
        (two["url"].clone(), &two["sha256"]),
        (json!(whole), &one["sha256"]),
        (json!(base64), &json!(uploaded)),
        (json!(format!("data:image/png;base64,{base64}")), &json!(uploaded)),
    ] {
        let asked = with(small("from it"), json!({ "image": image, "wait": false }));
        let id = house.facts(&token, "generate_image", asked).await["id"].clone();
        let source = house.image(id.as_str().unwrap()).await.draft.source.unwrap();
        assert_eq!((json!(source.sha256), source.denoise), (expected.clone(), 0.75), "{image}");
    }
    let missing = json!({ "image": format!("{whole}/3") });
    assert!(house.refused(&token, "generate_image", with(small("x"), missing)).await.contains("no such picture"));
}

#[tokio::test]
async fn a_saved_workflow_is_named_by_its_name() {
    let house = House::new().await;
    let (token, owner) = (house.agent().await, Caller::cli());
    let graph = r#"{"1": {"class_type": "Thing", "inputs": {"text": "{{prompt}}", "mood": "{{mood}}"}}}"#;
    let saved = house.hub.images.save_workflow(&owner, "moody", graph).await.unwrap();
    let said = house.refused(&token, "generate_image", with(small("x"), json!({ "workflow": "mody" }))).await;
    assert!(said.contains("saved are: moody"), "{said}");
    for name in ["moody".to_owned(), saved.id.to_string()] {
        let asked = json!({ "workflow": name, "inputs": { "mood": "calm" }, "wait": false });
        let id = house.facts(&token, "generate_image", with(small("x"), asked)).await["id"].clone();
        assert_eq!(house.image(id.as_str().unwrap()).await.draft.workflow, Some(saved.id));
    }
}

#[tokio::test]
async fn images_are_listed_page_by_page() {
    let house = House::new().await;
    let (fox, owl) = (house.agent().await, house.token(Role::Agent, Some("owl"), None).await);
    let mut ids = Vec::new();
    for (token, prompt) in [(&fox, "red fox"), (&owl, "blue owl"), (&fox, "green fox")] {
        // Ids begin with the time, and the clock of the house stands still by itself.
        house.clock.advance(1_000);
        ids.push(house.facts(token, "generate_image", small(prompt)).await["id"].clone());
    }
    let list = async |arguments: Value| {
        let facts = house.facts(&fox, "list_images", arguments).await;
        let found: Vec<_> = facts["images"].as_array().unwrap().iter().map(|row| row["id"].clone()).collect();
        (found, facts.get("next").cloned())
    };
    assert_eq!(list(json!({})).await, (vec![ids[2].clone(), ids[1].clone(), ids[0].clone()], None));
    assert_eq!(list(json!({ "limit": 2 })).await, (vec![ids[2].clone(), ids[1].clone()], Some(ids[1].clone())));
    assert_eq!(list(json!({ "limit": 2, "before": ids[1] })).await, (vec![ids[0].clone()], None));
    assert_eq!(list(json!({ "mine": true })).await.0, [ids[2].clone(), ids[0].clone()]);
    assert_eq!(list(json!({ "text": "OWL" })).await.0, [ids[1].clone()]);
    assert_eq!(list(json!({ "status": "open" })).await.0, Vec::<Value>::new());
    let rows = house.facts(&fox, "list_images", json!({ "limit": 1 })).await;
    let row = &rows["images"][0];
    assert_eq!((&row["agent"], &row["prompt"]), (&json!("fox"), &json!("green fox")));
    assert_eq!(row["uris"], json!([format!("central://images/{}/1", ids[2].as_str().unwrap())]));
}

#[tokio::test]
async fn a_client_that_knows_tasks_gets_one_backed_by_the_same_row() {
    let house = House::new().await;
    let token = house.agent().await;
    let knows = json!({ "io.modelcontextprotocol/clientCapabilities": { "extensions": { "io.modelcontextprotocol/tasks": {} } } });
    let send = async |method: &str, params: Value| {
        Answer::read(house.send(modern_with(&token, method, params, knows.clone())).await).await
    };
    let created = send("tools/call", json!({ "name": "generate_image", "arguments": small("as a task") })).await;
    let task = created.result();
    assert_eq!((&task["resultType"], &task["status"]), (&json!("task"), &json!("working")));
    let id = json!({ "taskId": task["taskId"] });
    house.until(task["taskId"].as_str().unwrap(), ImageStatus::Done).await;
    let done = send("tasks/get", id.clone()).await;
    assert_eq!(done.result()["status"], "completed");
    assert_eq!(kinds(&done.result()["result"]), ["text", "image", "resource_link"]);
    // Cancelling what has ended is as asked.
    assert_eq!(send("tasks/cancel", id.clone()).await.result()["resultType"], "complete");

    let open = send("tools/call", json!({ "name": "generate_image", "arguments": long("a long task") })).await;
    let open = json!({ "taskId": open.result()["taskId"] });
    assert_eq!(send("tasks/get", open.clone()).await.result()["status"], "working");
    send("tasks/cancel", open.clone()).await.result();
    house.until(open["taskId"].as_str().unwrap(), ImageStatus::Cancelled).await;
    assert_eq!(send("tasks/get", open).await.result()["status"], "cancelled");

    // Who does not say that it knows them is not bothered.
    assert_eq!(house.modern(&token, "tasks/get", id).await.code(), -32021);
    assert_eq!(send("tasks/get", json!({ "taskId": "nonsense" })).await.code(), -32602);
    let plain = send(
        "tools/call",
        json!({ "name": "generate_image", "arguments": with(small("x"), json!({ "wait": false })) }),
    )
    .await;
    assert_eq!(plain.result()["resultType"], "complete");
}
