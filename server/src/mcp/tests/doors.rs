//! Who is let in, and what is refused with which words.

use super::*;

#[tokio::test]
async fn only_a_valid_token_opens_the_door() {
    let house = House::new().await;
    for token in ["", "nonsense"] {
        let response = house.send(modern(token, "tools/list", json!({}))).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(value(response.headers(), "www-authenticate"), "Bearer realm=\"central-mcp\"");
    }
    let token = house.token(Role::Agent, Some("fox"), Some(1)).await;
    assert_eq!(house.modern(&token, "tools/list", json!({})).await.status, StatusCode::OK);
    house.clock.advance(25 * crate::clock::HOUR);
    assert_eq!(house.modern(&token, "tools/list", json!({})).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_browsers_sign_in_is_no_credential_here() {
    let house = House::new().await;
    let code = house.hub.auth.setup_code().await.unwrap().unwrap();
    let signed_in = house.hub.auth.setup(&code, "ada", "correct horse battery", Visitor::default()).await.unwrap();
    let cookie = format!("session={}", signed_in.secret);
    let mut request = modern("", "tools/list", json!({}));
    request.headers_mut().insert("cookie", cookie.parse().unwrap());
    let answer = Answer::read(house.send(request).await).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.text.contains("agents come with a token"), "{}", answer.text);
}

#[tokio::test]
async fn a_viewers_token_may_look_and_not_draw() {
    let house = House::new().await;
    let (viewer, agent) = (house.token(Role::Viewer, None, None).await, house.agent().await);
    let said = house.refused(&viewer, "generate_image", small("no")).await;
    assert!(said.contains("needs the role agent; you are viewer"), "{said}");
    let id = house.facts(&agent, "generate_image", small("yes")).await["id"].clone();
    assert_eq!(house.facts(&viewer, "get_image", json!({ "id": id })).await["status"], "done");
    let open = house.facts(&agent, "generate_image", with(long("mine"), json!({ "wait": false }))).await["id"].clone();
    for stranger in [viewer, house.token(Role::Agent, Some("owl"), None).await] {
        assert!(house.refused(&stranger, "cancel_image", json!({ "id": open })).await.contains("needs the role"));
    }
    assert_eq!(house.facts(&agent, "cancel_image", json!({ "id": open })).await["id"], open);
}

#[tokio::test]
async fn foreign_pages_and_names_are_refused() {
    let house = House::open(McpOptions {
        public_url: Some("https://hub.example.org".parse().unwrap()),
        ..McpOptions::default()
    })
    .await;
    let token = house.agent().await;
    let status = async |name: &'static str, value: &str| {
        let mut request = modern(&token, "tools/list", json!({}));
        request.headers_mut().insert(name, value.parse().unwrap());
        house.send(request).await.status()
    };
    for origin in ["https://evil.example", "null", "https://hub.example.org.evil.example"] {
        assert_eq!(status("origin", origin).await, StatusCode::FORBIDDEN, "{origin}");
    }
    for origin in ["https://hub.example.org", "http://localhost:6274", "http://127.0.0.1:3000"] {
        assert_eq!(status("origin", origin).await, StatusCode::OK, "{origin}");
    }
    for host in ["evil.example", "evil.example:3000", "hub.example.org.evil.example"] {
        assert_eq!(status("host", host).await, StatusCode::MISDIRECTED_REQUEST, "{host}");
    }
    for host in ["hub.example.org", "api.hub.example.org", "127.0.0.1:3000"] {
        assert_eq!(status("host", host).await, StatusCode::OK, "{host}");
    }
}

#[tokio::test]
async fn a_token_cannot_take_all_connections() {
    let house = House::new().await;
    let (token, other) = (house.agent().await, house.token(Role::Viewer, None, None).await);
    let filter = json!({ "notifications": { "resourcesListChanged": true } });
    let mut open = Vec::new();
    for _ in 0..64 {
        let mut stream = Stream::open(house.send(modern(&token, "subscriptions/listen", filter.clone())).await);
        stream.next_of("notifications/subscriptions/acknowledged").await;
        open.push(stream);
    }
    let refused = house.send(modern(&token, "server/discover", json!({}))).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(value(refused.headers(), "retry-after"), "5");
    assert_eq!(house.send(modern(&other, "server/discover", json!({}))).await.status(), StatusCode::OK);
    open.pop();
    assert_eq!(house.send(modern(&token, "server/discover", json!({}))).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn only_a_tool_call_may_be_large() {
    let house = House::new().await;
    let token = house.agent().await;
    let padding = "x".repeat(70_000);
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": LEGACY, "capabilities": { "experimental": { "x": { "y": padding } } },
        "clientInfo": { "name": "large", "version": "1" },
    }});
    let answer = house.send(post(&token, &[], hello.to_string())).await;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let refused = house.refused(&token, "generate_image", json!({ "prompt": "x", "image": padding })).await;
    assert!(refused.contains("are not a PNG"), "{refused}");
}

#[tokio::test]
async fn five_megabytes_are_too_much() {
    let house = House::new().await;
    let token = house.agent().await;
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping", "params": { "x": "x".repeat(5 << 20) } });
    let pieces = body.to_string().into_bytes().chunks(1 << 16).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let stream = futures_util::stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>));
    let announced = post(&token, &[("content-length", &body.to_string().len().to_string())], body.to_string());
    for request in [announced, post(&token, &[], Body::from_stream(stream))] {
        let answer = house.send(request).await;
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(value(answer.headers(), "content-type"), "application/json");
    }
}

#[tokio::test]
async fn what_is_no_message_is_told_so() {
    let house = House::new().await;
    let token = house.agent().await;
    let cases = [
        ("", -32700),
        ("{", -32700),
        ("nonsense", -32700),
        ("[]", -32600),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600),
        ("3", -32600),
        ("{}", -32600),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#, -32600),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\u{0}\"}", -32700),
    ];
    for (body, code) in cases {
        let answer = Answer::read(house.send(post(&token, &[], body)).await).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::BAD_REQUEST, code), "{body}");
    }
    // curl and careless clients: any type is as good as both.
    for accept in ["*/*", "application/json, */*;q=0.1"] {
        let mut request = modern(&token, "tools/list", json!({}));
        request.headers_mut().insert("accept", accept.parse().unwrap());
        assert_eq!(house.send(request).await.status(), StatusCode::OK, "{accept}");
    }
    let text = post(&token, &[("content-type", "text/plain")], "{}");
    assert_eq!(house.send(text).await.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    for method in [Method::PUT, Method::PATCH] {
        assert_eq!(house.send(ask(method, &token, &[])).await.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}

#[tokio::test]
async fn unknown_revisions_and_contradicting_headers_are_refused() {
    let house = House::new().await;
    let token = house.agent().await;
    let send = async |version: &str, meta: &str, method: &str, name: &str| {
        let params = json!({ "name": "whoami", "_meta": {
            "io.modelcontextprotocol/protocolVersion": meta, "io.modelcontextprotocol/clientCapabilities": {},
        }});
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
        let headers = [("mcp-protocol-version", version), ("mcp-method", method), ("mcp-name", name)];
        Answer::read(house.send(post(&token, &headers, body.to_string())).await).await
    };
    assert_eq!(send(MODERN, MODERN, "tools/call", "whoami").await.status, StatusCode::OK);
    let unknown = send("2099-01-01", "2099-01-01", "tools/call", "whoami").await;
    assert_eq!((unknown.status, unknown.code()), (StatusCode::BAD_REQUEST, -32022));
    let supported = &unknown.messages[0]["error"]["data"]["supported"];
    assert_eq!(*supported, json!(["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"]));
    for (version, meta, method, name) in [
        (MODERN, "2099-01-01", "tools/call", "whoami"),
        (MODERN, MODERN, "tools/list", "whoami"),
        (MODERN, MODERN, "tools/call", "generate_image"),
    ] {
        let answer = send(version, meta, method, name).await;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::BAD_REQUEST, -32020),
            "{version} {meta} {method} {name}"
        );
    }
    let method = house.modern(&token, "nonsense/method", json!({})).await;
    assert_eq!((method.status, method.code()), (StatusCode::NOT_FOUND, -32601));
    // A handshake that asks for an unknown revision is offered the newest that has one.
    let answer = Answer::read(house.send(initialize(&token, "2099-01-01")).await).await;
    assert_eq!(answer.result()["protocolVersion"], LEGACY);
    let tool = house.modern(&token, "tools/call", json!({ "name": "nonsense" })).await;
    assert_eq!(tool.code(), -32602);
}

#[tokio::test]
async fn a_session_is_its_own_tokens_alone() {
    let house = House::new().await;
    let (mine, other) = (house.agent().await, house.token(Role::Operator, None, None).await);
    let session = Session::begin(&house, &mine, LEGACY).await;
    let foreign = [("mcp-session-id", session.id.as_str()), ("mcp-protocol-version", LEGACY)];
    let list = json!({ "jsonrpc": "2.0", "id": 5, "method": "tools/list" }).to_string();
    for (method, body) in [(Method::POST, list), (Method::GET, String::new())] {
        let request = ask(method.clone(), &other, &foreign).map(|_| body.into());
        assert_eq!(house.send(request).await.status(), StatusCode::NOT_FOUND, "{method}");
    }
    let ending = house.send(ask(Method::DELETE, &other, &foreign)).await;
    assert_eq!(ending.status(), StatusCode::NO_CONTENT);
    assert_eq!(session.call("tools/list", json!({})).await.result()["tools"].as_array().unwrap().len(), 5);
    let none = post(&mine, &[], json!({ "jsonrpc": "2.0", "id": 5, "method": "tools/list" }).to_string());
    assert_eq!(house.send(none).await.status(), StatusCode::BAD_REQUEST);

    assert_eq!(house.send(ask(Method::DELETE, &mine, &foreign)).await.status(), StatusCode::NO_CONTENT);
    let gone = session.post(&json!({ "jsonrpc": "2.0", "id": 6, "method": "tools/list" })).await;
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_token_cannot_fill_the_hub_with_sessions() {
    let house = House::open(McpOptions { calls_per_minute: u32::MAX, ..McpOptions::default() }).await;
    let (token, other) = (house.agent().await, house.token(Role::Agent, Some("owl"), None).await);
    let kept = Session::begin(&house, &other, LEGACY).await;
    let first = Session::begin(&house, &token, LEGACY).await;
    let mut last = String::new();
    for _ in 0..10_000 {
        let response = house.send(initialize(&token, LEGACY)).await;
        assert_eq!(response.status(), StatusCode::OK);
        last = value(response.headers(), "mcp-session-id").to_owned();
    }
    let id = house.hub.auth.tokens(&Caller::cli()).await.unwrap();
    let id = id.iter().find(|it| it.agent.as_deref() == Some("fox")).unwrap().id;
    assert_eq!(house.mcp.0.held.of(id), super::super::sessions::OF_ONE);
    // The oldest is gone, the newest and other tokens' are not.
    let gone = first.post(&json!({ "jsonrpc": "2.0", "id": 6, "method": "tools/list" })).await;
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
    let headers = [("mcp-session-id", last.as_str()), ("mcp-protocol-version", LEGACY)];
    let list = json!({ "jsonrpc": "2.0", "id": 6, "method": "tools/list" }).to_string();
    assert_eq!(house.send(post(&token, &headers, list)).await.status(), StatusCode::OK);
    assert_eq!(kept.call("ping", json!({})).await.result(), &json!({}));
}

#[tokio::test]
async fn too_many_calls_are_told_when_to_come_back() {
    let house = House::open(McpOptions { calls_per_minute: 60, ..McpOptions::default() }).await;
    let (token, other) = (house.agent().await, house.agent().await);
    for _ in 0..10 {
        assert_eq!(house.modern(&token, "tools/list", json!({})).await.status, StatusCode::OK);
    }
    let answer = house.modern(&token, "tools/list", json!({})).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(value(&answer.headers, "retry-after"), "2");
    assert_eq!(house.modern(&other, "tools/list", json!({})).await.status, StatusCode::OK);
    house.clock.advance(1_000);
    assert_eq!(house.modern(&token, "tools/list", json!({})).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_sign_in_that_is_not_offered_is_not_there() {
    let house = House::new().await;
    for path in [
        "oauth-protected-resource",
        "oauth-protected-resource/mcp",
        "oauth-authorization-server",
        "openid-configuration",
    ] {
        let mut request = ask(Method::GET, "", &[]);
        *request.uri_mut() = format!("/.well-known/{path}").parse().unwrap();
        assert_eq!(house.send(request).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_call_with_every_parameter_wrong_is_told_all_of_it() {
    let house = House::new().await;
    let token = house.agent().await;
    let wrong = json!({
        "prompt": 7, "negative_prompt": [], "width": "wide", "height": -1, "steps": 2.5, "cfg_scale": "high", "seed": "x",
        "count": {}, "model": 1, "sampler": true, "scheduler": 2, "loras": "a.safetensors", "workflow": 3, "inputs": [],
        "image": 4, "denoise": "much", "task": 5, "wait": "a while", "cancel_on_disconnect": "yes", "colour": "red",
    });
    let said = house.refused(&token, "generate_image", wrong.clone()).await;
    for name in wrong.as_object().unwrap().keys() {
        assert!(said.contains(&format!("\"{name}\"")), "{name} is not in: {said}");
    }
    // Bounds are the room's, in its own words.
    for (more, expected) in [
        (json!({ "width": 63 }), "width is 63; use a multiple of 8 from 64 to 4096"),
        (json!({ "steps": 0 }), "steps is 0; use a number from 1 to 150"),
        (json!({ "count": 17 }), "count is 17"),
        (json!({ "prompt": " " }), "the prompt is empty"),
        (json!({ "prompt": "x".repeat(20_001) }), "use at most 20000"),
        (json!({ "seed": "18446744073709551616" }), "not a seed"),
        (json!({ "loras": [{ "name": "a", "strength": 11 }] }), "LoRA strength is 11"),
        (json!({ "image": "https://evil.example/cat.png" }), "the hub fetches nothing from elsewhere"),
        (json!({ "image": "data:image/png;base64,AAAA" }), "not a PNG, JPEG or WebP"),
        (json!({ "image": "a".repeat(64) }), "upload it first"),
        (json!({ "image": "central://images" }), "give the uri of one picture"),
        (json!({ "denoise": 0.5 }), "\"denoise\" goes with \"image\""),
        (json!({ "workflow": "nonsense" }), "there is no workflow \"nonsense\"; none is saved"),
        (json!({ "inputs": { "a": 1 } }), "inputs belong to a saved workflow"),
        (json!({ "wait": 601 }), "give true, false, or 0 to 600 seconds"),
    ] {
        let said = house.refused(&token, "generate_image", with(small("a fox"), more.clone())).await;
        assert!(said.contains(expected), "{more}: {said}");
    }
    for (tool, arguments, expected) in [
        ("whoami", json!({ "x": 1 }), "this tool takes none"),
        ("get_image", json!({}), "\"id\" is missing"),
        ("get_image", json!({ "id": "../../etc/passwd" }), "is not the id of an image"),
        ("get_image", json!({ "id": "01890a5d-ac96-774b-bcce-b302099a8057" }), "does not exist"),
        ("cancel_image", json!({ "id": 3 }), "\"id\" is 3; give a string"),
        ("list_images", json!({ "status": "all", "limit": 51 }), "give any, open or ended"),
        ("list_images", json!({ "limit": 0 }), "give 1 to 50"),
    ] {
        let said = house.refused(&token, tool, arguments.clone()).await;
        assert!(said.contains(expected), "{tool} {arguments}: {said}");
    }
    assert!(house.hub.images.list(&Caller::cli(), crate::images::ImageFilter::default()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let house = House::new().await;
    let token = house.agent().await;
    let session = Session::begin(&house, &token, LEGACY).await;
    let mut stream = session.listen().await;
    let arguments = json!({ "prompt": "long", "width": 64, "height": 64, "steps": 150, "count": 16 });
    let params = json!({ "name": "generate_image", "arguments": arguments });
    let mut call =
        Stream::open(house.send(modern_with(&token, "tools/call", params, json!({ "progressToken": 1 }))).await);
    call.next_of("notifications/progress").await;
    // It is open, and heard what the call did.
    stream.next_of("notifications/resources/list_changed").await;
    let id = house.hub.auth.tokens(&Caller::cli()).await.unwrap()[0].id;
    house.hub.auth.revoke_token(&Caller::cli(), id).await.unwrap();
    while stream.next().await.is_some() {}
    // A call is not left without an answer.
    let last = loop {
        let message = call.next().await.expect("an answer before the end");
        if message["method"] != "notifications/progress" {
            break message;
        }
    };
    assert_eq!((&last["id"], &last["error"]["code"]), (&json!(1), &json!(-32_000)));
    assert_eq!(call.next().await, None);
}

#[tokio::test]
async fn params_that_are_none_are_told_from_a_method_that_is_none() {
    let house = House::new().await;
    let token = house.agent().await;
    let session = Session::begin(&house, &token, LEGACY).await;
    for (method, params, code, said) in [
        ("tools/call", json!({ "name": "whoami", "arguments": "{}" }), -32602, "an object"),
        ("tools/call", json!({ "name": "whoami", "arguments": [1] }), -32602, "an object"),
        ("tools/call", json!({ "arguments": {} }), -32602, "a tool's name"),
        ("resources/read", json!({ "uri": 3 }), -32602, "\"uri\""),
        ("prompts/get", json!({}), -32602, "a prompt's name"),
        ("tools/fall", json!({}), -32601, "no method \"tools/fall\""),
    ] {
        for answer in [session.call(method, params.clone()).await, house.modern(&token, method, params.clone()).await] {
            // With 2026-07-28 the headers are looked at first.
            if answer.code() != -32020 {
                assert_eq!(answer.code(), code, "{method} {params} {answer:?}");
                assert!(answer.text.contains(&said.replace('"', "\\\"")), "{said}: {}", answer.text);
            }
        }
    }
}
