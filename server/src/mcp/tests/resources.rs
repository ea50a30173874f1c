//! Resources, prompts, completion, and what clients are told of changes.

use super::*;

#[tokio::test]
async fn resources_are_listed_and_read() {
    let house = House::new().await;
    let token = house.agent().await;
    let id = house.facts(&token, "generate_image", with(small("a fox"), json!({ "count": 2 }))).await["id"].clone();
    let list = house.modern(&token, "resources/list", json!({})).await;
    let uris: Vec<_> = list.result()["resources"].as_array().unwrap().iter().map(|it| it["uri"].clone()).collect();
    let image = format!("central://images/{}", id.as_str().unwrap());
    assert_eq!(uris, ["central://images".to_owned(), format!("{image}/1"), format!("{image}/2")]);
    assert_eq!(list.result()["cacheScope"], "private");
    let templates = house.modern(&token, "resources/templates/list", json!({})).await;
    let templates = &templates.result()["resourceTemplates"];
    assert_eq!(templates[0]["uriTemplate"], "central://images/{id}");
    assert_eq!(templates[1]["uriTemplate"], "central://images/{id}/{n}");

    let read = async |uri: &str| {
        let answer = house.modern(&token, "resources/read", json!({ "uri": uri })).await;
        let text = answer.result()["contents"][0]["text"].as_str().unwrap().to_owned();
        serde_json::from_str::<Value>(&text).unwrap()
    };
    assert_eq!(read("central://images").await["images"][0]["id"], id);
    let facts = read(&image).await;
    assert_eq!((&facts["status"], &facts["asked"]["prompt"]), (&json!("done"), &json!("a fox")));
    assert_eq!(facts["asked_by"], "agent:fox");
    let picture = house.modern(&token, "resources/read", json!({ "uri": format!("{image}/2") })).await;
    assert!(picture.result()["ttlMs"].as_u64().unwrap() > 1_000_000);

    let session = Session::begin(&house, &token, LEGACY).await;
    for uri in ["central://images/01890a5d-ac96-774b-bcce-b302099a8057", &format!("{image}/3"), "file:///etc/passwd"] {
        assert_eq!(house.modern(&token, "resources/read", json!({ "uri": uri })).await.code(), -32602, "{uri}");
        assert_eq!(session.call("resources/read", json!({ "uri": uri })).await.code(), -32002, "{uri}");
    }
    let cursor = house.modern(&token, "resources/list", json!({ "cursor": "nonsense" })).await;
    assert_eq!(cursor.code(), -32602);
}

#[tokio::test]
async fn a_viewer_may_read_and_nobody_reads_without_a_right() {
    let house = House::new().await;
    let (agent, viewer) = (house.agent().await, house.token(Role::Viewer, None, None).await);
    house.facts(&agent, "generate_image", small("a fox")).await;
    let list = house.modern(&viewer, "resources/list", json!({})).await;
    assert_eq!(list.result()["resources"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn prompts_are_offered_and_completed() {
    let house = House::new().await;
    let token = house.agent().await;
    let list = house.modern(&token, "prompts/list", json!({})).await;
    let names: Vec<_> = list.result()["prompts"].as_array().unwrap().iter().map(|it| it["name"].clone()).collect();
    assert_eq!(names, ["illustrate", "ui_mockup", "diagram", "logo"]);
    let params = json!({ "name": "illustrate", "arguments": { "subject": "a lighthouse", "style": "watercolour" } });
    let prompt = house.modern(&token, "prompts/get", params).await;
    let text = prompt.result()["messages"][0]["content"]["text"].as_str().unwrap().to_owned();
    assert!(text.contains("a lighthouse") && text.contains("watercolour") && text.contains("generate_image"), "{text}");
    let missing = house.modern(&token, "prompts/get", json!({ "name": "illustrate" })).await;
    assert_eq!(missing.code(), -32602);

    let complete = async |reference: Value, name: &str, value: &str| {
        let params = json!({ "ref": reference, "argument": { "name": name, "value": value } });
        let mut request = modern(&token, "completion/complete", params);
        request.headers_mut().remove("mcp-name");
        Answer::read(house.send(request).await).await.result()["completion"]["values"].clone()
    };
    let prompt = json!({ "type": "ref/prompt", "name": "illustrate" });
    assert_eq!(complete(prompt, "style", "p").await, json!(["photograph", "pixel art"]));
    let id = house.facts(&token, "generate_image", small("a fox")).await["id"].clone();
    let template = json!({ "type": "ref/resource", "uri": "central://images/{id}" });
    assert_eq!(complete(template.clone(), "id", &id.as_str().unwrap()[..8]).await, json!([id]));
    assert_eq!(complete(template, "id", "zzz").await, json!([]));
}

#[tokio::test]
async fn a_listener_hears_what_it_asked_for() {
    let house = House::new().await;
    let token = house.agent().await;
    let open = house.facts(&token, "generate_image", with(long("long"), json!({ "wait": false }))).await["id"].clone();
    let uri = format!("central://images/{}", open.as_str().unwrap());
    let wanted =
        json!({ "resourcesListChanged": true, "toolsListChanged": true, "resourceSubscriptions": [uri, "file:///x"] });
    let request = modern(&token, "subscriptions/listen", json!({ "notifications": wanted }));
    let mut stream = Stream::open(house.send(request).await);
    let first = stream.next().await.unwrap();
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged");
    let accepted = json!({ "resourcesListChanged": true, "resourceSubscriptions": [uri] });
    assert_eq!(first["params"]["notifications"], accepted);

    house.facts(&token, "generate_image", with(small("new"), json!({ "wait": false }))).await;
    let changed = stream.next_of("notifications/resources/list_changed").await;
    assert_eq!(changed["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 1);
    house.facts(&token, "cancel_image", json!({ "id": open })).await;
    assert_eq!(stream.next_of("notifications/resources/updated").await["params"]["uri"], uri);
}

#[tokio::test]
async fn a_session_hears_what_it_subscribed_to() {
    let house = House::new().await;
    let token = house.agent().await;
    let session = Session::begin(&house, &token, LEGACY).await;
    let mut stream = session.listen().await;
    let open = house.facts(&token, "generate_image", with(long("long"), json!({ "wait": false }))).await["id"].clone();
    stream.next_of("notifications/resources/list_changed").await;
    let uri = format!("central://images/{}", open.as_str().unwrap());
    assert_eq!(session.call("resources/subscribe", json!({ "uri": uri })).await.result(), &json!({}));
    assert_eq!(session.call("resources/subscribe", json!({ "uri": "file:///x" })).await.code(), -32002);
    house.facts(&token, "cancel_image", json!({ "id": open })).await;
    assert_eq!(stream.next_of("notifications/resources/updated").await["params"]["uri"], uri);
    assert_eq!(session.call("resources/unsubscribe", json!({ "uri": uri })).await.result(), &json!({}));
}
