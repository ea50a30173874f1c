//! The same hub for clients of every revision: lists, who one is, what is written down of it.

use super::*;

#[tokio::test]
async fn every_revision_finds_the_same_tools() {
    let house = House::new().await;
    let token = house.agent().await;
    let modern = house.modern(&token, "tools/list", json!({})).await;
    assert_eq!(value(&modern.headers, "content-type"), "application/json");
    let result = modern.result();
    assert_eq!((&result["cacheScope"], &result["resultType"]), (&json!("private"), &json!("complete")));
    assert!(result["ttlMs"].as_u64().unwrap() > 0);
    let names: Vec<_> = result["tools"].as_array().unwrap().iter().map(|tool| tool["name"].clone()).collect();
    assert_eq!(names, ["whoami", "generate_image", "get_image", "list_images", "cancel_image"]);
    for revision in ["2025-03-26", "2025-06-18", "2025-11-25"] {
        let session = Session::begin(&house, &token, revision).await;
        assert_eq!(session.call("tools/list", json!({})).await.result()["tools"], result["tools"], "{revision}");
    }
}

#[tokio::test]
async fn a_client_without_sessions_discovers_what_there_is() {
    let house = House::new().await;
    let token = house.agent().await;
    let answer = house.modern(&token, "server/discover", json!({})).await;
    let result = answer.result();
    assert_eq!(result["supportedVersions"], json!(["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"]));
    assert_eq!(result["capabilities"]["resources"], json!({ "subscribe": true, "listChanged": true }));
    assert!(result["capabilities"]["extensions"].get("io.modelcontextprotocol/tasks").is_some(), "{result}");
    assert!(result["instructions"].as_str().unwrap().contains("generate_image"));
    assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "central-mcp");
}

#[tokio::test]
async fn who_one_is_comes_from_the_token() {
    let house = House::new().await;
    let (agent, script) = (house.agent().await, house.token(Role::Operator, None, None).await);
    let me = house.facts(&agent, "whoami", json!({})).await;
    assert_eq!((&me["actor"], &me["agent"], &me["role"]), (&json!("agent:fox"), &json!("fox"), &json!("agent")));
    assert_eq!(me["may"], json!(["look", "draw"]));
    assert_eq!((&me["url"], &me["now"]), (&json!("http://localhost:3000"), &json!("2027-01-15T08:00:00.000Z")));
    let it = house.facts(&script, "whoami", json!({})).await;
    assert_eq!((&it["actor"], it.get("agent")), (&json!("token:operator"), None));
    let session = Session::begin(&house, &agent, LEGACY).await;
    let answer = session.call("tools/call", json!({ "name": "whoami", "arguments": {} })).await;
    assert_eq!(answer.result()["structuredContent"], me);
    // Old clients read the same as text.
    let text = answer.result()["content"][0]["text"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), me);
}

#[tokio::test]
async fn a_new_client_is_written_down_once() {
    let house = House::new().await;
    let token = house.agent().await;
    for _ in 0..3 {
        house.modern(&token, "server/discover", json!({})).await;
        house.facts(&token, "whoami", json!({})).await;
        Session::begin(&house, &token, "2025-06-18").await;
    }
    let events = house.hub.events.list(&Caller::cli(), EventFilter::newest(50)).await.unwrap();
    let connected: Vec<_> = events.iter().rev().filter(|event| event.kind == "connected").collect();
    let details: Vec<_> = connected.iter().map(|event| event.detail.as_str()).collect();
    assert_eq!(details, ["test 1 · 2026-07-28 · http", "old-test 0.9 · 2025-06-18 · http"]);
    let id = house.hub.auth.tokens(&Caller::cli()).await.unwrap()[0].id;
    assert!(connected.iter().all(|event| event.actor == "agent:fox" && event.subject == id.to_string()));
    house.clock.advance(crate::clock::HOUR);
    house.facts(&token, "whoami", json!({})).await;
    let events = house.hub.events.list(&Caller::cli(), EventFilter::newest(50)).await.unwrap();
    assert_eq!(events.iter().filter(|event| event.kind == "connected").count(), 3);
}

#[tokio::test]
async fn streams_end_with_the_hub() {
    let house = House::new().await;
    let token = house.agent().await;
    let session = Session::begin(&house, &token, LEGACY).await;
    let mut standing = session.listen().await;
    let mut listening = Stream::open(
        house
            .send(modern(&token, "subscriptions/listen", json!({ "notifications": { "resourcesListChanged": true } })))
            .await,
    );
    listening.next_of("notifications/subscriptions/acknowledged").await;
    house.hub.close().await;
    assert_eq!(standing.next().await, None);
    // The last word of the other may be its graceful result.
    while let Some(message) = listening.next().await {
        assert!(message.get("result").is_some(), "{message}");
    }
}
