//! The way in as it should go.

use super::*;

async fn get_json(house: &House, path: &str) -> Told {
    Told::read(house.send(to_us(Request::get(path), Body::empty())).await).await
}

#[tokio::test]
async fn a_connector_finds_its_way_in_and_works_as_an_agent_until_it_is_revoked() {
    let house = House::new().await;
    let ada = house.ada().await;

    // It knows the address alone.
    let knock = house.send(to_us(Request::post("/mcp").header("content-type", "application/json"), "{}".into())).await;
    assert_eq!(knock.status(), StatusCode::UNAUTHORIZED);
    let challenge = value(knock.headers(), "www-authenticate");
    let metadata = format!("{HOME}/.well-known/oauth-protected-resource/mcp");
    assert_eq!(challenge, format!("Bearer resource_metadata=\"{metadata}\", scope=\"look draw\""));
    let resource = get_json(&house, metadata.strip_prefix(HOME).unwrap()).await;
    assert_eq!(resource.body["resource"], format!("{HOME}/mcp"));
    assert_eq!(resource.body["authorization_servers"], json!([HOME]));
    assert_eq!(get_json(&house, "/.well-known/oauth-protected-resource").await.body, resource.body);
    let server = get_json(&house, "/.well-known/oauth-authorization-server").await;
    assert_eq!(server.body["issuer"], HOME);
    for (name, expected) in [
        ("authorization_endpoint", json!(format!("{HOME}/oauth/authorize"))),
        ("token_endpoint", json!(format!("{HOME}/oauth/token"))),
        ("revocation_endpoint", json!(format!("{HOME}/oauth/revoke"))),
        ("code_challenge_methods_supported", json!(["S256"])),
        ("token_endpoint_auth_methods_supported", json!(["none"])),
        ("client_id_metadata_document_supported", json!(true)),
        ("authorization_response_iss_parameter_supported", json!(true)),
        ("scopes_supported", json!(["look", "draw"])),
        ("registration_endpoint", Value::Null),
    ] {
        assert_eq!(server.body[name], expected, "{name}");
    }

    // A person reads and allows.
    let shown = house.ask(&ada, &[]).await;
    assert_eq!(shown.status, StatusCode::OK);
    for (name, expected) in [
        ("client", json!("Fox")),
        ("client_host", json!(format!("localhost:{}", house.documents.port))),
        ("redirect_host", json!("back.example")),
        ("own_computer", json!(false)),
        ("agent", json!("fox")),
        ("role", json!("agent")),
        ("person", json!("ada")),
        ("failure", Value::Null),
    ] {
        assert_eq!(shown.page[name], expected, "{name}");
    }
    for (name, expected) in [
        ("x-frame-options", "DENY"),
        ("cache-control", "no-store"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "unsafe-none"),
    ] {
        assert_eq!(value(&shown.headers, name), expected, "{name}");
    }
    assert!(value(&shown.headers, "content-security-policy").contains("frame-ancestors 'none'"));
    let back = house.answer(&ada, &shown.ticket(), &[("agent", Some("red-fox"))]).await.back();
    assert_eq!((back["state"].as_str(), back["iss"].as_str()), ("st&te", HOME));

    // It changes the code for a token, which works as any other.
    let told = house.redeem(&back["code"], &[]).await;
    assert_eq!(value(&told.headers, "cache-control"), "no-store");
    assert_eq!((&told.body["token_type"], &told.body["expires_in"]), (&json!("Bearer"), &json!(3600)));
    assert_eq!(told.body["scope"], "look draw");
    let first = told.pair();
    let facts = house.whoami(&first.access).await.unwrap();
    assert_eq!((&facts["agent"], &facts["role"]), (&json!("red-fox"), &json!("agent")));

    // New secrets, the same token.
    let listed = house.hub.auth.tokens(&Caller::cli()).await.unwrap();
    house.clock.advance(50 * crate::clock::MINUTE);
    let second = house.refresh(&first.refresh, &[]).await.pair();
    assert!(second.access != first.access && second.refresh != first.refresh);
    assert!(!house.works(&first.access).await && house.works(&second.access).await);
    let again = house.hub.auth.tokens(&Caller::cli()).await.unwrap();
    assert_eq!((listed.len(), again.len()), (1, 1));
    assert_eq!((listed[0].id, listed[0].name.as_str()), (again[0].id, again[0].name.as_str()));
    assert!(again[0].name.starts_with("Fox (localhost:"), "{}", again[0].name);
    assert_eq!(
        again[0].expires_at,
        Some(house.clock.now().plus(30 * crate::clock::DAY)),
        "the grant's, not the hour's"
    );
    assert!(second.access.starts_with(&again[0].prefix));

    // Revoked where all tokens are.
    house.hub.auth.revoke_token(&Caller::cli(), again[0].id).await.unwrap();
    assert!(!house.works(&second.access).await);
    assert_eq!(house.refresh(&second.refresh, &[]).await.error().0, "invalid_grant");

    // All of it is in the audit log, and no secret.
    assert_eq!(house.events("granted").await[0].actor, "user:ada");
    let log = format!("{:?}", house.hub.events.after(0, 1_000).await.unwrap());
    let code = back["code"].clone();
    for secret in [&first.access, &first.refresh, &second.access, &second.refresh, &code, VERIFIER] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[tokio::test]
async fn a_person_decides_the_name_and_how_much_it_may() {
    let house = House::new().await;
    let ada = house.ada().await;
    for (asked, chosen, role, scope) in [
        (Some("look"), None, "viewer", "look"),
        (Some("look"), Some("draw"), "agent", "look draw"),
        (None, Some("look"), "viewer", "look"),
        (Some("openid draw profile"), None, "agent", "look draw"),
    ] {
        let shown = house.ask(&ada, &[("scope", asked)]).await;
        let told = house.answer(&ada, &shown.ticket(), &[("scope", chosen)]).await;
        let told = house.redeem(&told.back()["code"], &[]).await;
        assert_eq!(told.body["scope"], scope, "{asked:?} {chosen:?}");
        assert_eq!(house.whoami(&told.pair().access).await.unwrap()["role"], role);
    }
    // What cannot be is told, and the question stays.
    let ticket = house.ask(&ada, &[]).await.ticket();
    let long = "x".repeat(33);
    for agent in ["", "Red Fox", "fox!", "füchsin", long.as_str()] {
        let shown = house.answer(&ada, &ticket, &[("agent", Some(agent))]).await;
        assert_eq!((shown.ticket(), &shown.page["agent"]), (ticket.clone(), &json!(agent)));
        assert!(shown.page["failure"].as_str().unwrap().contains("the agent"), "{shown:?}");
    }
    let back = house.answer(&ada, &ticket, &[]).await.back();
    // Who presses twice gets the same answer, also if the second is no.
    for answer in ["allow", "deny"] {
        assert_eq!(house.answer(&ada, &ticket, &[("answer", Some(answer))]).await.back(), back);
    }
    assert!(house.works(&house.redeem(&back["code"], &[]).await.pair().access).await);
}

#[tokio::test]
async fn a_no_is_told_to_the_client_and_nothing_is_made() {
    let house = House::new().await;
    let ada = house.ada().await;
    for answer in [Some("deny"), Some("nonsense"), None] {
        let ticket = house.ask(&ada, &[]).await.ticket();
        // Not even a name that cannot be stands in the way of a no.
        let back = house.answer(&ada, &ticket, &[("answer", answer), ("agent", Some("No!"))]).await.back();
        assert_eq!((back["error"].as_str(), back.get("code")), ("access_denied", None), "{answer:?}");
        assert_eq!((back["state"].as_str(), back["iss"].as_str()), ("st&te", HOME));
    }
    assert!(house.hub.auth.tokens(&Caller::cli()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_program_on_the_persons_computer_may_listen_at_any_port() {
    let house = House::new().await;
    let ada = house.ada().await;
    let uri = Some("http://127.0.0.1:53999/callback");
    let shown = house.ask(&ada, &[("redirect_uri", uri)]).await;
    assert_eq!(shown.page["own_computer"], true, "{shown:?}");
    let shown = house.answer(&ada, &shown.ticket(), &[]).await;
    let to: Url = shown.page["to"].as_str().unwrap().parse().unwrap();
    assert_eq!((to.port(), to.path()), (Some(53999), "/callback"));
    let code = to.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    // The code belongs to that port.
    let told = house.redeem(&code, &[("redirect_uri", uri)]).await;
    assert!(house.works(&told.pair().access).await);
}

#[tokio::test]
async fn a_stranger_signs_in_first_and_comes_back() {
    let house = House::new().await;
    let html = |path: &str| to_us(Request::get(path).header("accept", "text/html"), Body::empty());
    let path = house.asking(&[]);
    assert_eq!(value(house.send(html(&path)).await.headers(), "location"), "/setup");
    house.ada().await;
    let led = house.send(html(&path)).await;
    assert_eq!(led.status(), StatusCode::SEE_OTHER);
    let next: String = form_urlencoded::byte_serialize(path.as_bytes()).collect();
    assert_eq!(value(led.headers(), "location"), format!("/login?next={next}"));
    // A window that a client opened stays its window.
    assert_eq!(value(led.headers(), "cross-origin-opener-policy"), "unsafe-none");
    assert_eq!(value(house.send(html("/overview")).await.headers(), "cross-origin-opener-policy"), "same-origin");
}

#[tokio::test]
async fn pages_of_elsewhere_may_read_what_is_public_and_ask_for_tokens() {
    let house = House::new().await;
    let ada = house.ada().await;
    for path in [
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-authorization-server",
        "/oauth/token",
    ] {
        let asks = Request::builder().method(Method::OPTIONS).uri(path).header("origin", "https://inspector.example");
        let told = house.send(to_us(asks, Body::empty())).await;
        assert_eq!(told.status(), StatusCode::NO_CONTENT, "{path}");
        assert_eq!(value(told.headers(), "access-control-allow-origin"), "*", "{path}");
        assert!(!told.headers().contains_key("access-control-allow-credentials"), "{path}");
    }
    // With a wrong credential beside it, which does not count here.
    let code = house.code(&ada, &[]).await;
    let body = encode(&[
        ("grant_type", "authorization_code".into()),
        ("client_id", house.fox()),
        ("code", code),
        ("code_verifier", VERIFIER.into()),
    ]);
    let request = form("/oauth/token")
        .header("origin", "https://inspector.example")
        .header("sec-fetch-site", "cross-site")
        .header("authorization", "Basic Zm94Og==");
    let told = Told::read(house.send(to_us(request, body.into())).await).await;
    assert!(house.works(&told.pair().access).await);
    assert_eq!(value(&told.headers, "access-control-allow-origin"), "*");
    for path in ["/mcp", "/oauth/authorize", "/oauth/revoke"] {
        let asks = Request::builder().method(Method::OPTIONS).uri(path).header("origin", "https://inspector.example");
        let told = house.send(to_us(asks, Body::empty())).await;
        assert!(!told.headers().contains_key("access-control-allow-origin"), "{path}");
    }
}

#[tokio::test]
async fn while_it_is_off_nothing_of_it_exists() {
    let house = House::open(false).await;
    let ada = house.ada().await;
    for path in [
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/oauth/authorize",
        "/oauth/token",
        "/oauth/revoke",
        "/oauth/register",
    ] {
        for (method, cookie) in
            [(Method::GET, ""), (Method::POST, ""), (Method::GET, ada.as_str()), (Method::OPTIONS, "")]
        {
            let request = Request::builder().method(&method).uri(path).header("cookie", cookie);
            let request = request.header("accept", "text/html");
            assert_eq!(
                house.send(to_us(request, Body::empty())).await.status(),
                StatusCode::NOT_FOUND,
                "{method} {path}"
            );
        }
    }
    for token in ["", "Bearer nonsense"] {
        let mut request = Request::post("/mcp");
        if !token.is_empty() {
            request = request.header("authorization", token);
        }
        let told = house.send(to_us(request, Body::empty())).await;
        assert_eq!(value(told.headers(), "www-authenticate"), "Bearer realm=\"central-mcp\"");
    }
}

#[tokio::test]
async fn what_is_not_offered_is_not_there_and_only_mcp_speaks_of_it() {
    let house = House::new().await;
    for path in ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/mcp", "/oauth/register"]
    {
        let told = house.send(to_us(Request::post(path), Body::empty())).await;
        assert_eq!(told.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let told = house.send(to_us(Request::get("/overview"), Body::empty())).await;
    assert_eq!(value(told.headers(), "www-authenticate"), "Bearer realm=\"central-mcp\"");
    let wrong = Request::post("/mcp").header("authorization", "Bearer nonsense");
    let told = house.send(to_us(wrong, Body::empty())).await;
    assert!(
        value(told.headers(), "www-authenticate").starts_with("Bearer error=\"invalid_token\", resource_metadata=")
    );
    // A browser's cookie is no token, and none was sent.
    let ada = house.ada().await;
    let told = house.send(to_us(Request::post("/mcp").header("cookie", ada), Body::empty())).await;
    assert_eq!(told.status(), StatusCode::UNAUTHORIZED);
    assert!(value(told.headers(), "www-authenticate").starts_with("Bearer resource_metadata="));
}
